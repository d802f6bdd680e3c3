/* The small files of a model directory: generation_config.json, model.safetensors.index.json,
 * tokenizer_config.json, added_tokens.json and special_tokens_map.json, in this order in one input
 * (fuzz_write_files; an empty part is no file).  The directory's config, weights and tokenizer.json
 * are whole. */
#include "fuzz.h"

#include "model/model.h"

static const char *const names[] = {"generation_config.json", "model.safetensors.index.json",
                                    "tokenizer_config.json", "added_tokens.json",
                                    "special_tokens_map.json"};
enum { N_FILES = sizeof names / sizeof *names };

static const char tokenizer[] = "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 4, "
                                "\"content\": \"<s>\", \"special\": true}], \"model\": {\"type\":"
                                " \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \" \": 3, "
                                "\"<s>\": 4}, \"merges\": [[\"a\", \"b\"]]}}";

static void make_directory(void)
{
    const dele_config config = fuzz_config(1, true);
    dele_err err = {0};
    dele_model model;
    if (dele_model_layout(&model, &config, fuzz_arena(), &err)) abort();
    dele_model_randomise(&model, 0.1, 1);
    if (dele_model_save(&model, fuzz_path("."), "f32", &err)) abort();
    fuzz_write("tokenizer.json", tokenizer, sizeof tokenizer - 1);
}

void fuzz_one(const uint8_t *data, size_t size)
{
    static bool made;
    if (!made) make_directory();
    made = true;
    fuzz_write_files(names, N_FILES, data, size);
    static const char text[] = "ab <s> <new> a";
    dele_err err = {0};
    dele_model model;
    dele_status status = dele_model_load(&model, fuzz_path("."), fuzz_arena(), &err);
    fuzz_answer(status, &err);
    if (status) return;
    dele_ids ids;
    if (model.tokenizer &&
        !dele_encode(&ids, model.tokenizer, text, sizeof text - 1, true, fuzz_arena(), &err))
        for (size_t i = 0; i < ids.n; i++)
            if (ids.id[i] < 0 || ids.id[i] >= model.config.vocab) abort();
    dele_model_release(&model);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
