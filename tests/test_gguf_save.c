/* GGUFs that we write: read back they are the model, in every type, and the tokenizer too.  (That llama.cpp reads them as
 * such is shown by tests/reference/llama_cpp_logits.py, which needs it.) */
#include "model_files.h"

#include <math.h>

#include "base/random.h"
#include "model/forward.h"
#include "model/gguf.h"
#include "scratch.h"

#define DEMO LAC_TESTS_DIR "/../data/models/demo"
#define TOKENIZERS LAC_SHARED_DIR "/data/tokenizers"
#define TINYSTORIES LAC_SHARED_DIR "/models/tinystories-656k"

static lac_arena arena;
static lac_err err;

static int fresh(void **state)
{
    err = (lac_err){0};
    return scratch_open(state);
}

/* Rows that fill blocks of 32 everywhere and of 256 in some places; Q and K have rows to reorder. */
static void wide_model(lac_model *model, lac_family family, bool tied)
{
    lac_config c = tiny_config(family, tied);
    c.dim = 64, c.hidden = 256, c.n_heads = 4, c.head_dim = 16, c.n_kv_heads = family == LAC_OLMO ? 4 : 2;
    c.vocab = 48;
    if (family == LAC_OLMO) c.clip_qkv = 7.5f;
    if (lac_model_layout(model, &c, &arena, &err)) fail_msg("%s", err.msg);
    lac_model_randomise(model, 0.05, 11);
}

static void save_and_load(lac_model *back, lac_gguf_saved *saved, const lac_model *m, const char *path, lac_dtype type)
{
    if (lac_gguf_save(saved, m, path, type, m->tokenizer != NULL, &err) || lac_model_load(back, path, &arena, &err))
        fail_msg("%s", err.msg);
}

static void assert_same_shape(const lac_config *a, const lac_config *b)
{
    assert_int_equal(a->family, b->family);
    assert_int_equal(a->norm, b->norm);
    assert_int_equal(a->n_layers, b->n_layers);
    assert_int_equal(a->dim, b->dim);
    assert_int_equal(a->hidden, b->hidden);
    assert_int_equal(a->n_heads, b->n_heads);
    assert_int_equal(a->n_kv_heads, b->n_kv_heads);
    assert_int_equal(a->head_dim, b->head_dim);
    assert_int_equal(a->vocab, b->vocab);
    assert_int_equal(a->context, b->context);
    assert_int_equal(a->tied, b->tied);
    assert_int_equal(a->bos, b->bos);
    assert_int_equal(a->eos, b->eos);
    assert_true(a->norm_eps == b->norm_eps && a->rope_theta == b->rope_theta && a->clip_qkv == b->clip_qkv);
}

/* The weights as they are when stored so: what a model read back must hold, bit for bit. */
static void store_in_place(lac_model *m, lac_dtype wanted)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        lac_tensor *t = &m->tensors[i];
        const size_t n = t->rows * t->cols;
        const lac_dtype type = lac_gguf_dtype(t, wanted);
        uint8_t *stored = malloc(n * sizeof(float));
        assert_non_null(stored);
        assert_true(lac_dtype_write(stored, t->data, type, n));
        lac_dtype_read(t->data, stored, type, n);
        free(stored);
    }
}

static void last_logits(float *logits, const lac_model *m)
{
    static const int ids[] = {3, 17, 40, 5, 29}, last = 4;
    lac_run run = {0};
    const lac_segment segment = {.tokens = ids, .n_rows = 5};
    const lac_batch batch = {.segments = &segment, .n_segments = 1, .wanted = &last, .n_wanted = 1};
    if (lac_forward(&run, m, &batch, &err)) fail_msg("%s", err.msg);
    lac_logits(logits, m, run.final, 1);
    lac_run_release(&run);
}

static void a_gguf_of_any_type_is_the_model_with_its_weights_so_stored(void **state)
{
    scratch *s = *state;
    static const lac_dtype types[] = {LAC_DTYPE_F32,  LAC_DTYPE_F16,  LAC_DTYPE_BF16, LAC_DTYPE_Q8_0,
                                      LAC_DTYPE_Q5_0, LAC_DTYPE_Q4_0, LAC_DTYPE_Q4_K};
    for (int family = LAC_LLAMA; family <= LAC_OLMO; family++)
        for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
            lac_model m, back;
            lac_gguf_saved saved;
            float want[48], got[48];
            wide_model(&m, (lac_family)family, k % 2);
            save_and_load(&back, &saved, &m, scratch_path(s, "m.gguf"), types[k]);
            assert_same_shape(&m.config, &back.config);
            store_in_place(&m, types[k]);
            assert_same_weights(&m, &back);
            last_logits(want, &m);
            last_logits(got, &back);
            assert_memory_equal(want, got, sizeof want);
        }
}

static void from_a_directory_to_a_gguf_and_back_no_byte_of_a_weight_changes(void **state)
{
    scratch *s = *state;
    for (int family = LAC_LLAMA; family <= LAC_OLMO; family++) {
        lac_model m, back;
        lac_gguf_saved saved;
        const char *dirs[] = {scratch_path(s, family ? "a1" : "a0"), scratch_path(s, family ? "b1" : "b0")};
        char before[65], after[65];
        wide_model(&m, (lac_family)family, false);
        save_and_load(&back, &saved, &m, scratch_path(s, "m.gguf"), LAC_DTYPE_F32);
        const lac_model *models[] = {&m, &back};
        for (int i = 0; i < 2; i++) {
            assert_int_equal(mkdir(dirs[i], 0777), 0);
            if (lac_model_save(models[i], dirs[i], "f32", &err)) fail_msg("%s", err.msg);
        }
        lac_file_sha256(before, lac_printf(&arena, &err, "%s/model.safetensors", dirs[0]), &err);
        lac_file_sha256(after, lac_printf(&arena, &err, "%s/model.safetensors", dirs[1]), &err);
        assert_int_equal(err.code, LAC_OK);
        assert_string_equal(before, after);
    }
}

static void what_does_not_fill_the_blocks_falls_back_and_it_is_said(void **state)
{
    scratch *s = *state;
    lac_model m, back;
    lac_gguf_saved saved;
    wide_model(&m, LAC_LLAMA, true);
    save_and_load(&back, &saved, &m, scratch_path(s, "m.gguf"), LAC_DTYPE_Q4_K);
    assert_int_equal(saved.n_of[LAC_DTYPE_Q4_K], 2); /* down, 256 wide, of both layers */
    assert_int_equal(saved.n_of[LAC_DTYPE_Q5_0], 12);
    assert_int_equal(saved.n_of[LAC_DTYPE_Q8_0], 1); /* the embedding, which is the head */
    assert_int_equal(saved.n_of[LAC_DTYPE_F32], 5);
    assert_int_equal(saved.n_fallen, 12);
    assert_string_equal(saved.fallback, "12 of 20 tensors as q5_0: their rows do not fill blocks of q4_K");
    size_t n;
    uint8_t *file = read_bytes(scratch_path(s, "m.gguf"), &n);
    assert_int_equal(n, saved.n_bytes);
    assert_non_null(memmem(file, n, saved.fallback, strlen(saved.fallback)));
    free(file);
    tiny_model(&m, LAC_LLAMA, true, &arena); /* 8 wide: nothing holds that but the plain types */
    save_and_load(&back, &saved, &m, scratch_path(s, "m.gguf"), LAC_DTYPE_Q8_0);
    assert_int_equal(saved.n_of[LAC_DTYPE_F16], 15);
}

static void a_weight_that_is_no_number_leaves_no_file(void **state)
{
    scratch *s = *state;
    lac_model m;
    lac_gguf_saved saved;
    wide_model(&m, LAC_LLAMA, true);
    m.tensors[3].data[7] = NAN;
    assert_int_equal(lac_gguf_save(&saved, &m, scratch_path(s, "m.gguf"), LAC_DTYPE_Q4_0, false, &err), LAC_ERR_DATA);
    assert_non_null(strstr(err.msg, m.tensors[3].name));
    assert_false(lac_path_exists(scratch_path(s, "m.gguf")));
    assert_false(lac_path_exists(scratch_path(s, "m.gguf.part")));
}

/* ---- tokenizers ------------------------------------------------------------------------------------------------- */

static const char *const TEXTS[] = {"Gorm Ashgrove lives in the town of Tovik.",
                                    "Question: Where? Answer:",
                                    "  two  blanks\n\n\tand 12345 x9",
                                    "caf\u00e9 cafe\u0301 \u4f60\u597d \U0001f600 don't WE'LL",
                                    "a<|endoftext|>b <|im_start|>user\nhi<|im_end|>",
                                    ""};

static void assert_same_tokens(const lac_tokenizer *a, const lac_tokenizer *b)
{
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        lac_ids x, y;
        if (lac_encode(&x, a, TEXTS[i], strlen(TEXTS[i]), true, &arena, &err) ||
            lac_encode(&y, b, TEXTS[i], strlen(TEXTS[i]), true, &arena, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(x.n, y.n);
        if (x.n) assert_memory_equal(x.id, y.id, x.n * sizeof *x.id);
        assert_string_equal(lac_decode(a, x.id, x.n, false, &arena, &err),
                            lac_decode(b, x.id, x.n, false, &arena, &err));
    }
    assert_int_equal(lac_tokenizer_size(a), lac_tokenizer_size(b));
}

static void the_embedded_models_tokenizer_goes_through_a_gguf(void **state)
{
    scratch *s = *state;
    lac_model m, back, again;
    lac_gguf_saved saved;
    if (lac_model_load(&m, DEMO, &arena, &err)) fail_msg("%s", err.msg);
    save_and_load(&back, &saved, &m, scratch_path(s, "m.gguf"), LAC_DTYPE_BF16);
    assert_same_weights(&m, &back); /* it came in bfloat16 */
    assert_same_tokens(m.tokenizer, back.tokenizer);
    assert_int_equal(lac_tokenizer_eos(m.tokenizer), lac_tokenizer_eos(back.tokenizer));
    save_and_load(&again, &saved, &back, scratch_path(s, "again.gguf"), LAC_DTYPE_BF16); /* by its own parts */
    assert_same_tokens(m.tokenizer, again.tokenizer);
    lac_model_release(&m);
    lac_model_release(&back);
    lac_model_release(&again);
}

static void known_tokenizers_become_parts_and_the_same_tokenizer_again(void **state)
{
    (void)state;
    static const struct {
        const char *file, *pre;
    } known[] = {{"gpt2/tokenizer.json", "gpt-2"},
                 {"allenai_gpt-neox-olmo-dolma-v1_5.json", "olmo"},
                 {"allenai_eleuther-ai-gpt-neox-20b-pii-special.json", "olmo"},
                 {"allenai_dolma2.json", "dbrx"}};
    if (!lac_path_exists(TOKENIZERS)) skip();
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const char *note, *path = lac_printf(&arena, &err, "%s/%s", TOKENIZERS, known[i].file);
        lac_tokenizer_parts parts;
        lac_tokenizer *t = lac_tokenizer_load(path, &arena, &err);
        if (!t || lac_tokenizer_parts_of(&parts, &note, t, 0, &arena, &err)) fail_msg("%s", err.msg);
        assert_string_equal(parts.pre, known[i].pre);
        lac_tokenizer *again = lac_tokenizer_build(&parts, &arena, &err);
        if (!again) fail_msg("%s", err.msg);
        assert_same_tokens(t, again);
        lac_tokenizer_close(again);
        lac_tokenizer_close(t);
    }
}

/* Trained merges of one pair a token are not what SentencePiece would do by scores. */
static void a_tokenizer_that_a_gguf_cannot_express_is_refused_and_can_be_left_out(void **state)
{
    scratch *s = *state;
    lac_model m, back;
    lac_gguf_saved saved;
    if (!lac_path_exists(TINYSTORIES)) skip();
    if (lac_model_load(&m, TINYSTORIES, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(lac_gguf_save(&saved, &m, scratch_path(s, "m.gguf"), LAC_DTYPE_F32, true, &err),
                     LAC_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "merges"));
    assert_non_null(strstr(err.msg, "--no-tokenizer"));
    err = (lac_err){0};
    if (lac_gguf_save(&saved, &m, scratch_path(s, "m.gguf"), LAC_DTYPE_F32, false, &err)) fail_msg("%s", err.msg);
    if (lac_model_load(&back, scratch_path(s, "m.gguf"), &arena, &err)) fail_msg("%s", err.msg);
    assert_same_weights(&m, &back);
    assert_null(back.tokenizer);
    lac_model_release(&m);
}

static void a_sentencepiece_vocabulary_goes_through_a_gguf_with_unused_ids_behind_it(void **state)
{
    scratch *s = *state;
    lac_model m, a, b;
    lac_gguf_saved saved;
    const char *note;
    lac_tokenizer_parts parts;
    tiny_model(&m, LAC_LLAMA, true, &arena);
    write_gguf(scratch_path(s, "a.gguf"), &m, NULL, true); /* ten tokens, scores */
    if (lac_model_load(&a, scratch_path(s, "a.gguf"), &arena, &err)) fail_msg("%s", err.msg);
    save_and_load(&b, &saved, &a, scratch_path(s, "b.gguf"), LAC_DTYPE_F32);
    assert_same_tokens(a.tokenizer, b.tokenizer);
    if (lac_tokenizer_parts_of(&parts, &note, a.tokenizer, 13, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(parts.n_tokens, 13);
    assert_string_equal(parts.tokens[12], "[PAD12]");
    lac_tokenizer *padded = lac_tokenizer_build(&parts, &arena, &err);
    assert_same_tokens(a.tokenizer, padded);
    /* a Hugging Face copy of it has merges in place of scores, and comes to the same */
    assert_int_equal(mkdir(scratch_path(s, "hf"), 0777), 0);
    if (lac_model_save(&a, scratch_path(s, "hf"), "f32", &err)) fail_msg("%s", err.msg);
    lac_tokenizer *hf = lac_tokenizer_load(scratch_path(s, "hf/tokenizer.json"), &arena, &err);
    if (!hf || lac_tokenizer_parts_of(&parts, &note, hf, 0, &arena, &err)) fail_msg("%s", err.msg);
    assert_string_equal(parts.kind, "llama");
    lac_tokenizer_close(hf);
    lac_tokenizer_close(padded);
    lac_model_release(&a);
    lac_model_release(&b);
}

int main(void)
{
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, fresh, scratch_close)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(a_gguf_of_any_type_is_the_model_with_its_weights_so_stored),
        IN_SCRATCH(from_a_directory_to_a_gguf_and_back_no_byte_of_a_weight_changes),
        IN_SCRATCH(what_does_not_fill_the_blocks_falls_back_and_it_is_said),
        IN_SCRATCH(a_weight_that_is_no_number_leaves_no_file),
        IN_SCRATCH(the_embedded_models_tokenizer_goes_through_a_gguf),
        IN_SCRATCH(known_tokenizers_become_parts_and_the_same_tokenizer_again),
        IN_SCRATCH(a_tokenizer_that_a_gguf_cannot_express_is_refused_and_can_be_left_out),
        IN_SCRATCH(a_sentencepiece_vocabulary_goes_through_a_gguf_with_unused_ids_behind_it),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    lac_arena_release(&arena);
    return failed;
}
