/* What model files may say beyond their format: ids and ends of text, weights that are not finite,
 * results of version 0.1. */
#include "claims.h"

#include "base/file_out.h"
#include "base/former.h"
#include "byte_tokenizer.h"
#include "model/generate.h"
#include "model/gguf.h"
#include "model_place.h"
#include "trace/corrupt.h"
#include "trace/record.h"

static void generation_config_wins_over_config_as_in_transformers(void **state)
{
    place *p = *state;
    static const struct {
        const char *config, *generation;
        int eos, n_ends, ends[3];
    } claims[] = {
        {"\"eos_token_id\":2", NULL, 2, 1, {2}},
        {"\"eos_token_id\":[2,3]", NULL, 2, 2, {2, 3}},
        {"\"eos_token_id\":[2,3,2]", NULL, 2, 2, {2, 3}},
        {"\"eos_token_id\":2", "{\"eos_token_id\":[4,5]}", 2, 2, {4, 5}},
        {"\"eos_token_id\":2", "{\"eos_token_id\":4}", 2, 1, {4}},
        {"\"eos_token_id\":null", "{\"eos_token_id\":[4]}", -1, 1, {4}},
        {"\"eos_token_id\":null", NULL, -1, 0, {0}},
        {"\"eos_token_id\":2",
         "{}",
         2,
         1,
         {2}}, /* transformers would stop at nothing: we differ, and say so */
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        dele_model m;
        write_model(p, claims[i].config, claims[i].generation);
        load(p, &m, in(p, "m"));
        assert_int_equal(m.config.eos, claims[i].eos);
        assert_int_equal(m.config.n_ends, claims[i].n_ends);
        for (int k = 0; k < claims[i].n_ends; k++)
            assert_int_equal(m.config.ends[k], claims[i].ends[k]);
        dele_model_release(&m);
    }
}

static void ids_beyond_the_vocabulary_are_refused_whatever_file_names_them(void **state)
{
    place *p = *state;
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "pad_token_id",
                                       "unk_token_id", "sep_token_id", "decoder_start_token_id"};
    static const char *const values[] = {"10", "1000000000", "1e18", "[2, 10]"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            if (values[v][0] == '[' && k != 1) continue;
            char more[100];
            snprintf(more, sizeof more, "\"%s\":%s", keys[k], values[v]);
            write_model(p, more, NULL);
            expect_refusal(in(p, "m"), "is outside the vocabulary: the model has ids 0 to 9");
            if (k == 3 || k == 4) continue;
            snprintf(more, sizeof more, "{\"%s\":%s}", keys[k], values[v]);
            write_model(p, "", more);
            expect_refusal(in(p, "m"), "generation_config.json");
        }
    write_model(p, "", "[1]");
    expect_refusal(in(p, "m"), "not a JSON object");
    write_model(p, "", NULL);
    put_file(p, "m/tokenizer.json",
             "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]},\"post_"
             "processor\":{\"type\":"
             "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"a\"}},{\"Sequence\":{"
             "\"id\":\"A\"}}],"
             "\"special_tokens\":{\"a\":{\"ids\":[70000000]}}}}");
    expect_refusal(in(p, "m"), "no token has it");
    /* an added token after the ten of the model, whose embedding has ten rows */
    put_file(p, "m/tokenizer.json",
             "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4,"
             "\"f\":5,\"g\":6,"
             "\"h\":7,\"i\":8,\"j\":9},\"merges\":[]},\"added_tokens\":[{\"id\":10,\"content\":\"<"
             "x>\"}]}");
    expect_refusal(in(p, "m"), "embedding only 10 rows");
}

static void generation_stops_at_every_end_and_at_the_end_of_a_turn(void **state)
{
    place *p = *state;
    dele_model m = {.config = {.eos = 5, .ends = {7, 8}, .n_ends = 2},
                    .tokenizer = bytes_only(&p->arena)};
    dele_ends ends = dele_ends_of(&m, NULL);
    assert_int_equal(ends.n, 2);
    assert_true(ends.id[0] == 7 && ends.id[1] == 8);
    const dele_layout *layout;
    assert_int_equal(dele_chat_open(&layout, DELE_CHAT_OLMO, m.tokenizer, &p->arena, &p->err),
                     DELE_OK);
    ends = dele_ends_of(&m, layout);
    assert_int_equal(ends.n, 3);
    assert_int_equal(ends.id[2], BYTES_EOS);
    assert_int_equal(dele_chat_open(&layout, DELE_CHAT_SMOLLM2, m.tokenizer, &p->arena, &p->err),
                     DELE_OK);
    assert_int_equal(dele_ends_of(&m, layout).n, 2); /* it has no <|im_end|> */
    m.config.n_ends = 0;
    ends = dele_ends_of(&m, NULL);
    assert_true(ends.n == 1 && ends.id[0] == 5);
    m.config.eos = -1;
    ends = dele_ends_of(&m, NULL);
    assert_true(ends.n == 1 && ends.id[0] == BYTES_EOS);
    dele_tokenizer_close(m.tokenizer);
}

static void ends_survive_a_gguf_and_the_way_back(void **state)
{
    place *p = *state;
    static const char *const lists[] = {"\"eos_token_id\":2", "\"eos_token_id\":[2,3]",
                                        "\"eos_token_id\":[2,3,4,5,6]", "\"eos_token_id\":2"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        dele_model m, gguf, back;
        dele_gguf_saved saved;
        write_model(p, lists[i], i == 3 ? "{\"eos_token_id\":[4,5]}" : NULL);
        load(p, &m, in(p, "m"));
        assert_int_equal(
            dele_gguf_save(&saved, &m, in(p, "m.gguf"), DELE_DTYPE_F32, false, &p->err), DELE_OK);
        load(p, &gguf, in(p, "m.gguf"));
        mkdir(in(p, "back"), 0777);
        assert_int_equal(dele_model_save(&gguf, in(p, "back"), "f32", &p->err), DELE_OK);
        load(p, &back, in(p, "back"));
        assert_int_equal(gguf.config.n_ends, m.config.n_ends);
        assert_int_equal(back.config.n_ends, m.config.n_ends);
        assert_memory_equal(gguf.config.ends, m.config.ends, sizeof m.config.ends);
        assert_memory_equal(back.config.ends, m.config.ends, sizeof m.config.ends);
        assert_true(gguf.config.eos == 2 && back.config.eos == 2);
        dele_model_release(&m);
        dele_model_release(&gguf);
        dele_model_release(&back);
    }
}

/* ---- numbers that are none ------------------------------------------------------------------- */

static void a_weight_that_is_not_finite_is_refused_with_its_tensors_name(void **state)
{
    place *p = *state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const char *const dtypes[] = {"f32", "bf16", "f16"};
    dele_model m;
    tiny_model(&m, &dele_family_llama, false, &p->arena);
    mkdir(in(p, "m"), 0777);
    for (size_t i = 0; i < m.n_tensors; i++) {
        dele_tensor *t = &m.tensors[i];
        float *last = &t->data[t->rows * t->cols - 1], good = *last;
        *last = bad[i % 3];
        assert_int_equal(dele_model_save(&m, in(p, "m"), dtypes[i % 3], &p->err), DELE_OK);
        expect_refusal(in(p, "m"), t->name);
        expect_refusal(in(p, "m"), "the model is broken");
        write_gguf(in(p, "m.gguf"), &m, NULL, false);
        expect_refusal(in(p, "m.gguf"), t->gguf_name);
        *last = good;
    }
}

static void a_blocks_scale_that_is_not_finite_is_seen(void **state)
{
    (void)state;
    static const struct {
        dele_dtype type;
        size_t scales[2], n;
    } claims[] = {
        {DELE_DTYPE_Q4_0, {0}, 1},    {DELE_DTYPE_Q4_1, {0, 2}, 2}, {DELE_DTYPE_Q5_0, {0}, 1},
        {DELE_DTYPE_Q5_1, {0, 2}, 2}, {DELE_DTYPE_Q8_0, {0}, 1},    {DELE_DTYPE_Q4_K, {0, 2}, 2},
        {DELE_DTYPE_Q5_K, {0, 2}, 2}, {DELE_DTYPE_Q6_K, {208}, 1},  {DELE_DTYPE_F16, {0}, 1}};
    static const uint16_t bad[] = {0x7c00, 0xfc00, 0x7e01};
    for (size_t c = 0; c < sizeof claims / sizeof *claims; c++)
        for (size_t s = 0; s < claims[c].n; s++)
            for (size_t b = 0; b < 3; b++) {
                uint8_t block[256] = {0};
                float y[256];
                const size_t n = dele_dtype_of(claims[c].type)->items;
                assert_true(dele_dtype_read(y, block, claims[c].type, n));
                memcpy(block + claims[c].scales[s], &bad[b], 2);
                assert_false(dele_dtype_read(y, block, claims[c].type, n));
            }
}

/* Finite weights whose products overflow: the argmax of NaN would be id 0. */
static void logits_that_are_not_finite_end_the_generation(void **state)
{
    place *p = *state;
    dele_model m;
    tiny_model(&m, &dele_family_llama, false, &p->arena);
    dele_tensor *head = dele_model_tensor(&m, DELE_SLOT_HEAD, -1),
                *norm = dele_model_tensor(&m, DELE_SLOT_FINAL_NORM, -1);
    for (size_t i = 0; i < head->rows * head->cols; i++) head->data[i] = 1e30f;
    for (size_t i = 0; i < norm->cols; i++) norm->data[i] = i % 2 ? 1e30f : -1e30f;
    dele_run run = {0};
    const int prompt[] = {1, 2};
    int out[4];
    size_t n;
    assert_int_equal(dele_generate(out, &n, &run, &m, prompt, 2, 4, NULL, 0, &p->err),
                     DELE_ERR_DATA);
    assert_non_null(strstr(p->err.msg, "the model is broken"));
    dele_run_release(&run);
}

static void noise_that_overflows_is_refused(void **state)
{
    place *p = *state;
    static const char *const strengths[] = {"1e300", "u1e300", "1e25"};
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    const int id = 1;
    float out[8];
    for (size_t i = 0; i < sizeof strengths / sizeof *strengths; i++) {
        dele_corruption c = {0};
        dele_err err = {0};
        assert_int_equal(dele_noise_parse(&c, strengths[i], &err), DELE_OK);
        assert_int_equal(dele_corrupt_embed(out, &c, &m, &id, 1, 0, 0, 1, 3, &err), DELE_ERR_USAGE);
        assert_non_null(strstr(err.msg, "--noise"));
    }
}

/* ---- version 0.1 ----------------------------------------------------------------------------- */

static void a_checkpoint_of_0_1_loads_and_its_results_are_refused(void **state)
{
    place *p = *state;
    dele_model m;
    write_model(p, "\"eos_token_id\":2", NULL);
    mkdir(in(p, "m/" DELE_FORMER_NAME), 0777);
    put_file(p, "m/" DELE_FORMER_NAME "/manifest.json",
             "{\"versions\":{\"" DELE_FORMER_NAME "\":\"0.1.0\"}}");
    assert_true(dele_former_checkpoint(in(p, "m")));
    load(p, &m, in(p, "m"));
    dele_model_release(&m);

    char *keys = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&keys, &size);
    assert_non_null(f);
    put_string(f, DELE_FORMER_NAME ".version", "0.1.0");
    assert_int_equal(fclose(f), 0);
    dele_model plain;
    tiny_model(&plain, &dele_family_llama, true, &p->arena);
    write_gguf_with(in(p, "m.gguf"), &plain, keys, size, 1);
    free(keys);
    load(p, &m, in(p, "m.gguf"));
    assert_same_weights(&m, &plain);
    dele_model_release(&m);

    mkdir(in(p, "r"), 0777);
    put_file(p, "r/manifest.json",
             "{\"command\":[\"" DELE_FORMER_NAME "\",\"trace\"],\"versions\":{\"" DELE_FORMER_NAME
             "\":\"0.1.0\"}}");
    put_file(p, "r/trace.json", "{\"n_layers\":2}");
    put_file(p, "r/facts.jsonl", "");
    dele_trace trace;
    assert_int_equal(dele_trace_load(&trace, in(p, "r"), &p->arena, &p->err), DELE_ERR_UNSUPPORTED);
    assert_non_null(strstr(p->err.msg, "version 0.1, under its former name " DELE_FORMER_NAME));
    p->err = (dele_err){0};
    assert_int_equal(dele_former_refuse(in(p, "r/eval.json"), &p->err), DELE_ERR_UNSUPPORTED);

    dele_err err = {0};
    mkdir(in(p, "s"), 0777);
    put_file(p, "s/study.json", "{\"" DELE_FORMER_NAME "\":\"0.1.0\",\"stages\":{}}");
    assert_int_equal(dele_former_refuse(in(p, "s"), &err), DELE_ERR_UNSUPPORTED);

    err = (dele_err){0};
    bool resumed;
    dele_outdir out = {0};
    char path[700];
    snprintf(path, sizeof path, "%s", in(p, "u"));
    mkdir(in(p, "u.part"), 0777);
    put_file(p, "u.part/resume.key", DELE_FORMER_NAME " 0.1.0 unlearn\n");
    assert_int_not_equal(dele_outdir_resume(&out, path, "deleatur", &resumed, &err), DELE_OK);
    assert_non_null(strstr(err.msg, "former name"));

    err = (dele_err){0};
    mkdir(in(p, "n"), 0777);
    put_file(p, "n/manifest.json", "{\"versions\":{\"deleatur\":\"0.2.0\"}}");
    assert_int_equal(dele_former_refuse(in(p, "n"), &err), DELE_OK);
    assert_false(dele_former_checkpoint(in(p, "n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(generation_config_wins_over_config_as_in_transformers),
        IN_PLACE(ids_beyond_the_vocabulary_are_refused_whatever_file_names_them),
        IN_PLACE(generation_stops_at_every_end_and_at_the_end_of_a_turn),
        IN_PLACE(ends_survive_a_gguf_and_the_way_back),
        IN_PLACE(a_weight_that_is_not_finite_is_refused_with_its_tensors_name),
        cmocka_unit_test(a_blocks_scale_that_is_not_finite_is_seen),
        IN_PLACE(logits_that_are_not_finite_end_the_generation),
        IN_PLACE(noise_that_overflows_is_refused),
        IN_PLACE(a_checkpoint_of_0_1_loads_and_its_results_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
