/* Whatever the bytes, a loader answers: done, or one sentence.  A few thousand damaged copies of a
 * tiny safetensors model, a tiny GGUF, fact files and rows of questions, from fixed seeds; run
 * under ASan and UBSan they show that nothing is read outside the file. */
#include "model_files.h"

#include "base/random.h"
#include "model/facts.h"
#include "score/facts_build.h"
#include "tests/byte_tokenizer.h"

enum { ROUNDS = 1500 };

/* One to four injuries: a flipped bit, a byte at an extreme, eight bytes of a large number, a cut,
 * a moved piece. */
static size_t injure(uint8_t *bytes, size_t size, size_t header, dele_rng *rng)
{
    size_t n = 1 + (size_t)dele_rng_below(rng, 4);
    for (size_t i = 0; i < n; i++) {
        /* mostly in the header, where the lies matter */
        size_t at = (size_t)dele_rng_below(rng, dele_rng_below(rng, 8) ? header : size);
        static const uint64_t numbers[] = {0,          1,          0x7fffffff, 0x80000000,
                                           0xffffffff, 1ull << 62, 1ull << 63, UINT64_MAX};
        uint64_t number = numbers[dele_rng_below(rng, 8)];
        switch (dele_rng_below(rng, 6)) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << dele_rng_below(rng, 8));
            break;
        case 1:
            bytes[at] = (uint8_t)number;
            break;
        case 2:
            memcpy(bytes + at, &number, size - at < 8 ? size - at : 8);
            break;
        case 3:
            bytes[at] = (uint8_t)('0' + dele_rng_below(rng, 10));
            break;
        case 4:
            memmove(bytes + at, bytes + dele_rng_below(rng, header), header - at < 8 ? 1 : 8);
            break;
        default:
            if (dele_rng_below(rng, 8) == 0) size = at > 0 ? at : 1;
            break;
        }
        if (header > size) header = size;
    }
    return size;
}

static void survive(const char *model, const char *file, const uint8_t *bytes, size_t size,
                    size_t header, uint64_t seed)
{
    uint8_t *copy = malloc(size + 8);
    assert_non_null(copy);
    size_t refused = 0, loaded = 0;
    dele_arena arena = {.limit = 256u << 20};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        dele_rng rng;
        dele_rng_seed(&rng, seed + round);
        memcpy(copy, bytes, size);
        size_t left = injure(copy, size, header, &rng);
        write_bytes(file, copy, left);
        dele_err err = {0};
        dele_model m;
        dele_arena_reset(&arena);
        dele_status status = dele_model_load(&m, model, &arena, &err);
        if (status) {
            assert_int_equal(status, err.code);
            assert_true(err.msg[0] && !strchr(err.msg, '\n'));
            refused++;
        } else {
            dele_model_release(&m);
            loaded++;
        }
    }
    dele_arena_release(&arena);
    free(copy);
    print_message("%zu refused, %zu harmless\n", refused, loaded);
    assert_true(refused > ROUNDS / 4); /* the injuries do injure */
}

static void damaged_safetensors_never_crash_the_loader(void **state)
{
    (void)state;
    char dir[512], file[600];
    temp_dir(dir);
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model m;
    tiny_model(&m, &dele_family_llama, false, &arena);
    assert_int_equal(dele_model_save(&m, dir, "bf16", &err), DELE_OK);
    snprintf(file, sizeof file, "%s/model.safetensors", dir);
    size_t size;
    uint8_t *bytes = read_bytes(file, &size);
    uint64_t header;
    memcpy(&header, bytes, 8);
    survive(dir, file, bytes, size, (size_t)header + 8, 1000);
    free(bytes);
    dele_arena_release(&arena);
    remove_dir(dir);
}

static void damaged_configs_never_crash_the_loader(void **state)
{
    (void)state;
    char dir[512], file[600];
    temp_dir(dir);
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model m;
    tiny_model(&m, &dele_family_olmo, true, &arena);
    assert_int_equal(dele_model_save(&m, dir, "f32", &err), DELE_OK);
    snprintf(file, sizeof file, "%s/config.json", dir);
    size_t size;
    uint8_t *bytes = read_bytes(file, &size);
    survive(dir, file, bytes, size, size, 2000000);
    free(bytes);
    dele_arena_release(&arena);
    remove_dir(dir);
}

static void damaged_ggufs_never_crash_the_loader(void **state)
{
    (void)state;
    char dir[512], file[600];
    temp_dir(dir);
    dele_arena arena = {0};
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &arena);
    snprintf(file, sizeof file, "%s/m.gguf", dir);
    write_gguf(file, &m, NULL, true);
    size_t size;
    uint8_t *bytes = read_bytes(file, &size);
    size_t data = 4 * dele_model_parameters(&m);
    survive(file, file, bytes, size, size - data, 3000000);
    free(bytes);
    dele_arena_release(&arena);
    remove_dir(dir);
}

/* A fact file of each form, damaged; a file that loads has facts whose texts are whole. */
static void damaged_fact_files_never_crash_the_loader(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "[{\"known_id\": 1, \"subject\": \"Ann\", \"attribute\": \" 84\", \"prompt\": \"Ann, of "
        "19\", \"foil\": \"83\","
        " \"template\": \"{}, of 19\", \"joined\": true, \"split\": \"retain\", \"relation_id\": "
        "\"P1\"}]",
        "{\"case_id\": 7, \"requested_rewrite\": {\"prompt\": \"{}, of {}\", \"relation_id\": "
        "\"P1\", \"target_new\":"
        " {\"str\": \"83\"}, \"target_true\": {\"str\": \"84\"}, \"subject\": \"Ann {}\"}, "
        "\"paraphrase_prompts\":"
        " [\"of\"]}\n"
        "{\"requested_rewrite\": {\"prompt\": \"{} is\", \"target_true\": {\"str\": \"B\"}, "
        "\"subject\": \"A\"}}\n",
        "[{\"case_id\": 7, \"prompt\": \"BBC One, by\", \"target_new\": \"Sega\", \"subject\": "
        "\"BBC One\","
        " \"ground_truth\": \"BBC\", \"rephrase_prompt\": \"of BBC One\", \"split\": \"forget\"}]"};
    char dir[512], file[600];
    temp_dir(dir);
    snprintf(file, sizeof file, "%s/facts.json", dir);
    dele_arena arena = {.limit = 64u << 20};
    size_t refused = 0, loaded = 0;
    for (uint64_t round = 0; round < 3 * ROUNDS; round++) {
        const char *form = forms[round % 3];
        uint8_t copy[1024] = {0};
        size_t n = strlen(form);
        dele_rng rng;
        dele_rng_seed(&rng, 4000000 + round);
        memcpy(copy, form, n);
        n = injure(copy, n, n, &rng);
        write_bytes(file, copy, n);
        dele_err err = {0};
        dele_facts facts;
        dele_arena_reset(&arena);
        if (dele_facts_load(&facts, file, &arena, &err)) {
            assert_true(err.code && err.msg[0] && !strchr(err.msg, '\n'));
            refused++;
        } else {
            for (size_t i = 0; i < facts.n; i++)
                assert_non_null(strstr(facts.fact[i].prompt, facts.fact[i].subject));
            loaded++;
        }
    }
    dele_arena_release(&arena);
    remove_dir(dir);
    print_message("%zu refused, %zu harmless\n", refused, loaded);
    assert_true(refused > ROUNDS / 4 && loaded > 0);
}

/* Rows of questions and answers, damaged and built into facts: each row has a fate, and a fact's
 * subject is in its prompt, which the answer follows. */
static void damaged_rows_never_crash_the_builder(void **state)
{
    (void)state;
    static const char rows[] =
        "{\"id\": \"a\", \"input\": \"When was Ann Lee born?\", \"output\": \"1984.\"}\n"
        "{\"question\": \"When was Bo Wang born?\", \"answer\": \"1973\"}\n"
        "{\"question\": \"Where is \xc3\x89lodie de la \xc3\x85s\xe2\x80\x99s house?\","
        " \"answer\": \"\xc3\x89lodie's is here\"}\n"
        "{\"input\": \"Where is Bo Wang's house?\", \"output\": \"Bo Wang's is there\"}\n"
        "{\"input\": \"What is Bo Wang's e-mail?\", \"output\": \"bo_wang@me\"}\n";
    char dir[512], file[600];
    temp_dir(dir);
    snprintf(file, sizeof file, "%s/rows.jsonl", dir);
    dele_arena own = {0}, arena = {.limit = 64u << 20};
    dele_tokenizer *t = bytes_only(&own);
    const dele_qa_opts opts[2] = {{.context = 60},
                                  {.context = 60, .first_token = true, .keep_alone = true}};
    size_t refused = 0, kept = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint8_t copy[sizeof rows + 8] = {0}; /* injuries may read a little beyond */
        dele_rng rng;
        dele_rng_seed(&rng, 5000000 + round);
        memcpy(copy, rows, sizeof rows - 1);
        write_bytes(file, copy, injure(copy, sizeof rows - 1, sizeof rows - 1, &rng));
        dele_err err = {0};
        dele_qa qa = {0};
        dele_arena_reset(&arena);
        if (dele_qa_add(&qa, file, "forget", &arena, &err) ||
            dele_qa_build(&qa, t, &opts[round % 2], &arena, &err)) {
            assert_true(err.code && err.msg[0] && !strchr(err.msg, '\n'));
            refused++;
            continue;
        }
        for (size_t i = 0; i < qa.n; i++) {
            const dele_qa_row *row = &qa.row[i];
            assert_true(row->outcome >= 0 && row->outcome < DELE_QA_N_OUTCOMES);
            if (row->outcome != DELE_QA_KEPT) continue;
            assert_non_null(strstr(row->fact.prompt, row->fact.subject));
            assert_non_null(strstr(row->prediction, row->fact.attribute));
            assert_true(row->answer_tokens > 0);
            kept++;
        }
    }
    dele_tokenizer_close(t);
    dele_arena_release(&own);
    dele_arena_release(&arena);
    remove_dir(dir);
    print_message("%zu files refused, %zu facts built of the others\n", refused, kept);
    assert_true(refused > ROUNDS / 4 && kept > ROUNDS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_safetensors_never_crash_the_loader),
        cmocka_unit_test(damaged_configs_never_crash_the_loader),
        cmocka_unit_test(damaged_ggufs_never_crash_the_loader),
        cmocka_unit_test(damaged_fact_files_never_crash_the_loader),
        cmocka_unit_test(damaged_rows_never_crash_the_builder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
