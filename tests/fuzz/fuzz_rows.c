/* Training rows (JSONL, or a JSON array) encoded for training, and the people that their questions
 * are about. */
#include "fuzz.h"

#include "score/facts_build.h"
#include "tests/byte_tokenizer.h"
#include "unlearn/dataset.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    dele_err err = {0};
    dele_arena *arena = fuzz_arena();
    const char *path = fuzz_write("rows.jsonl", data, size);
    dele_tokenizer *t = bytes_only(arena);
    dele_dataset set = {0};
    const dele_dataset_options o = {.eos = true, .max_tokens = 64};
    dele_status status = dele_dataset_add(&set, path, t, &o, arena, &err);
    fuzz_answer(status, &err);
    for (size_t i = 0; !status && i < set.n; i++)
        if (set.row[i].n > 64 || set.row[i].first_label >= set.row[i].n) abort();
    dele_qa qa = {0};
    const dele_qa_opts opts = {.context = 64, .first_token = size % 2};
    err = (dele_err){0};
    if (dele_qa_add(&qa, path, "forget", arena, &err) || dele_qa_build(&qa, t, &opts, arena, &err))
        fuzz_answer(err.code, &err);
    dele_tokenizer_close(t);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
