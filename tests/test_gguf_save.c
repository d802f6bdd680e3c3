/* GGUFs that we write: read back they are the model, in every type, and the tokenizer too.  (That
 * llama.cpp reads them as such is shown by tests/reference/llama_cpp_logits.py, which needs it.) */
#include "model_files.h"

#include "base/random.h"
#include "model/forward.h"
#include "model/gguf.h"
#include "scratch.h"
#include "shared.h"

#define DEMO DELE_TESTS_DIR "/../data/models/demo"

static dele_arena arena;
static dele_err err;

static int fresh(void **state)
{
    err = (dele_err){0};
    return scratch_open(state);
}

/* Rows that fill blocks of 32 everywhere and of 256 in some places; Q and K have rows to
 * reorder. */
static void wide_model(dele_model *model, const dele_family *family, bool tied)
{
    dele_config c = tiny_config(family, tied);
    c.hidden_size = 64, c.intermediate_size = 256, c.n_heads = 4, c.head_dim = 16,
    c.n_kv_heads = family == &dele_family_olmo ? 4 : 2;
    c.vocab = 48;
    if (family == &dele_family_olmo) c.clip_qkv = 7.5f;
    fit_family(&c);
    if (dele_model_layout(model, &c, &arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(model, 0.05, 11);
}

static void save_and_load(dele_model *back, dele_gguf_saved *saved, const dele_model *m,
                          const char *path, dele_dtype type)
{
    if (dele_gguf_save(saved, m, path, type, m->tokenizer != NULL, &err) ||
        dele_model_load(back, path, &arena, &err))
        fail_msg("%s", err.msg);
}

static void assert_same_shape(const dele_config *a, const dele_config *b)
{
    assert_string_equal(a->family->gguf, b->family->gguf); /* several families may share it */
    assert_int_equal(a->n_layers, b->n_layers);
    assert_int_equal(a->hidden_size, b->hidden_size);
    assert_int_equal(a->intermediate_size, b->intermediate_size);
    assert_int_equal(a->n_heads, b->n_heads);
    assert_int_equal(a->n_kv_heads, b->n_kv_heads);
    assert_int_equal(a->head_dim, b->head_dim);
    assert_int_equal(a->vocab, b->vocab);
    assert_int_equal(a->context, b->context);
    assert_int_equal(a->tied, b->tied);
    assert_int_equal(a->bos, b->bos);
    assert_int_equal(a->eos, b->eos);
    assert_int_equal(a->n_experts, b->n_experts);
    assert_int_equal(a->top_k, b->top_k);
    assert_int_equal(dele_expert_size(a), dele_expert_size(b));
    assert_int_equal(a->shared_size, b->shared_size);
    assert_int_equal(a->norm_topk_prob, b->norm_topk_prob);
    assert_memory_equal(a->layer_kind, b->layer_kind, sizeof a->layer_kind);
    assert_true(a->norm_eps == b->norm_eps && a->rope[0].theta == b->rope[0].theta &&
                a->clip_qkv == b->clip_qkv);
}

/* The weights as they are when stored so: what a model read back must hold, bit for bit. */
static void store_in_place(dele_model *m, dele_dtype output_rows)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        dele_tensor *t = &m->tensors[i];
        const size_t n = t->rows * t->cols;
        const dele_dtype type = dele_gguf_dtype(t, output_rows);
        uint8_t *stored = malloc(n * sizeof(float));
        assert_non_null(stored);
        assert_true(dele_dtype_write(stored, t->data, type, n));
        dele_dtype_read(t->data, stored, type, n);
        free(stored);
    }
}

static void last_logits(float *logits, const dele_model *m)
{
    static const int ids[] = {3, 17, 40, 5, 29}, last = 4;
    dele_run run = {0};
    const dele_segment segment = {.tokens = ids, .n_rows = 5};
    const dele_batch batch = {
        .segments = &segment, .n_segments = 1, .output_rows = &last, .n_output_rows = 1};
    if (dele_forward(&run, m, &batch, &err)) fail_msg("%s", err.msg);
    dele_logits(logits, &run, m, run.final, 1);
    dele_run_release(&run);
}

static void a_gguf_of_any_type_is_the_model_with_its_weights_so_stored(void **state)
{
    scratch *s = *state;
    static const dele_dtype types[] = {DELE_DTYPE_F32,  DELE_DTYPE_F16,  DELE_DTYPE_BF16,
                                       DELE_DTYPE_Q8_0, DELE_DTYPE_Q5_0, DELE_DTYPE_Q4_0,
                                       DELE_DTYPE_Q4_K};
    for (size_t f = 0; f < dele_n_families; f++)
        for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
            dele_model m, back;
            dele_gguf_saved saved;
            float want[48], got[48];
            wide_model(&m, dele_families[f], k % 2 && !dele_families[f]->gguf_untied);
            save_and_load(&back, &saved, &m, scratch_path(s, "m.gguf"), types[k]);
            assert_same_shape(&m.config, &back.config);
            store_in_place(&m, types[k]);
            assert_same_weights(&m, &back);
            last_logits(want, &m);
            last_logits(got, &back);
            assert_memory_equal(want, got, sizeof want);
        }
}

/* What a GGUF says of a config comes back; what it cannot say is refused by name before anything is
 * written. */
static void what_a_gguf_cannot_say_is_refused_and_the_rest_comes_back(void **state)
{
    scratch *s = *state;
    static const dele_rope linear = {.theta = 1e4f, .type = DELE_ROPE_LINEAR, .factor = 4},
                           dynamic = {.theta = 1e4f,
                                      .type = DELE_ROPE_DYNAMIC,
                                      .factor = 2,
                                      .original_context = 32},
                           llama3 = {.theta = 500,
                                     .type = DELE_ROPE_LLAMA3,
                                     .factor = 8,
                                     .original_context = 16,
                                     .low_freq_factor = 1,
                                     .high_freq_factor = 4},
                           yarn = {.theta = 1e4f,
                                   .type = DELE_ROPE_YARN,
                                   .factor = 4,
                                   .original_context = 16,
                                   .beta_fast = 32,
                                   .beta_slow = 1,
                                   .attention_factor = 1.5f},
                           uneven = {.theta = 1e4f,
                                     .type = DELE_ROPE_YARN,
                                     .factor = 4,
                                     .original_context = 16,
                                     .beta_fast = 8,
                                     .beta_slow = 1};
    static const struct {
        const char *family;
        const dele_rope *rope;
        int window, gelu;
        float cap, scale;
        bool bias, tied;
        const char *refused;
    } cases[] = {
        {.family = "llama", .rope = &linear},
        {.family = "llama", .rope = &llama3},
        {.family = "llama", .rope = &yarn},
        {.family = "llama", .rope = &dynamic, .refused = "rotation"},
        {.family = "llama", .rope = &uneven, .refused = "beta_fast"},
        {.family = "llama", .gelu = 1, .refused = "activation"},
        {.family = "llama", .bias = true},
        {.family = "mistral", .window = 6, .refused = "window"},
        {.family = "qwen2", .rope = &llama3, .refused = "rotation"},
        {.family = "qwen2", .window = 6, .refused = "window"},
        {.family = "qwen3", .rope = &yarn},
        {.family = "qwen3", .bias = true, .refused = "o_proj.bias"},
        {.family = "gemma2", .cap = 3},
        {.family = "gemma2", .cap = -1, .refused = "soft cap"},
        {.family = "gemma2", .scale = 0.3f, .refused = "factor on scores"},
        {.family = "gemma3_text", .rope = &linear, .cap = 3},
        {.family = "olmo3", .rope = &yarn},
        {.family = "phi3", .window = 6},
        {.family = "phi3", .tied = true},
        {.family = "olmo2", .tied = true, .refused = "tie_word_embeddings"},
        {.family = "gpt_neox", .tied = true, .refused = "tie_word_embeddings"},
        {.family = "gpt2", .scale = 1, .refused = "factor on scores"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const dele_family *family = dele_family_by_hf(cases[i].family);
        dele_model m, back;
        dele_gguf_saved saved;
        dele_config c = tiny_config(family, cases[i].tied);
        c.hidden_size = 64, c.intermediate_size = 256, c.n_heads = 4, c.head_dim = 16, c.vocab = 48;
        fit_family(&c);
        if (cases[i].rope) c.rope[0] = *cases[i].rope;
        if (family->rotation && family->rotation->by_kind && !family->rotation->sliding)
            c.rope[1].theta = c.rope[0].theta;
        if (cases[i].window) c.window = cases[i].window;
        for (int l = 0; cases[i].window && l < c.n_layers; l++)
            c.layer_kind[l] = DELE_LAYER_SLIDING;
        if (cases[i].gelu) c.activation = DELE_GELU;
        if (cases[i].cap != 0) c.logit_softcap = cases[i].cap > 0 ? cases[i].cap : 0;
        if (cases[i].scale != 0) c.attn_scale = cases[i].scale;
        c.attention_bias = cases[i].bias;
        err = (dele_err){0};
        if (dele_model_layout(&m, &c, &arena, &err)) fail_msg("%s: %s", family->hf, err.msg);
        dele_model_randomise(&m, 0.05, 11);
        const char *path = scratch_path(s, "said.gguf");
        remove(path);
        const bool wrote = !dele_gguf_save(&saved, &m, path, DELE_DTYPE_F32, false, &err);
        if (cases[i].refused) {
            if (wrote || !strstr(err.msg, cases[i].refused))
                fail_msg("%s, %zu: \"%s\" does not say %s", family->hf, i, err.msg,
                         cases[i].refused);
            assert_false(dele_path_exists(path));
            continue;
        }
        float want[48], got[48];
        if (!wrote || dele_model_load(&back, path, &arena, &err))
            fail_msg("%s, %zu: %s", family->hf, i, err.msg);
        last_logits(want, &m);
        last_logits(got, &back);
        for (int k = 0; k < c.vocab; k++) assert_float_equal(want[k], got[k], 1e-5);
        dele_model_release(&back);
    }
    err = (dele_err){0};
}

static void from_a_directory_to_a_gguf_and_back_no_byte_of_a_weight_changes(void **state)
{
    scratch *s = *state;
    for (size_t f = 0; f < dele_n_families; f++) {
        dele_model m, back;
        dele_gguf_saved saved;
        char names[2][24];
        snprintf(names[0], sizeof names[0], "a%zu", f);
        snprintf(names[1], sizeof names[1], "b%zu", f);
        const char *dirs[] = {scratch_path(s, names[0]), scratch_path(s, names[1])};
        char before[65], after[65];
        wide_model(&m, dele_families[f], false);
        save_and_load(&back, &saved, &m, scratch_path(s, "m.gguf"), DELE_DTYPE_F32);
        const dele_model *models[] = {&m, &back};
        for (int i = 0; i < 2; i++) {
            assert_int_equal(mkdir(dirs[i], 0777), 0);
            if (dele_model_save(models[i], dirs[i], "f32", &err)) fail_msg("%s", err.msg);
        }
        dele_file_sha256(before, dele_printf(&arena, &err, "%s/model.safetensors", dirs[0]), &err);
        dele_file_sha256(after, dele_printf(&arena, &err, "%s/model.safetensors", dirs[1]), &err);
        assert_int_equal(err.code, DELE_OK);
        assert_string_equal(before, after);
    }
}

static void what_does_not_fill_the_blocks_falls_back_and_it_is_said(void **state)
{
    scratch *s = *state;
    dele_model m, back;
    dele_gguf_saved saved;
    wide_model(&m, &dele_family_llama, true);
    save_and_load(&back, &saved, &m, scratch_path(s, "m.gguf"), DELE_DTYPE_Q4_K);
    assert_int_equal(saved.n_of[DELE_DTYPE_Q4_K], 2); /* down, 256 wide, of both layers */
    assert_int_equal(saved.n_of[DELE_DTYPE_Q5_0], 12);
    assert_int_equal(saved.n_of[DELE_DTYPE_Q8_0], 1); /* the embedding, which is the head */
    assert_int_equal(saved.n_of[DELE_DTYPE_F32], 5);
    assert_int_equal(saved.n_fallen, 12);
    assert_string_equal(saved.fallback,
                        "12 of 20 tensors as q5_0: their rows do not fill blocks of q4_K");
    size_t n;
    uint8_t *file = read_bytes(scratch_path(s, "m.gguf"), &n);
    assert_int_equal(n, saved.n_bytes);
    assert_non_null(memmem(file, n, saved.fallback, strlen(saved.fallback)));
    free(file);
    tiny_model(&m, &dele_family_llama, true,
               &arena); /* 8 wide: nothing holds that but the plain types */
    save_and_load(&back, &saved, &m, scratch_path(s, "m.gguf"), DELE_DTYPE_Q8_0);
    assert_int_equal(saved.n_of[DELE_DTYPE_F16], 15);
}

static void a_weight_that_is_no_number_leaves_no_file(void **state)
{
    scratch *s = *state;
    dele_model m;
    dele_gguf_saved saved;
    wide_model(&m, &dele_family_llama, true);
    m.tensors[3].data[7] = NAN;
    assert_int_equal(
        dele_gguf_save(&saved, &m, scratch_path(s, "m.gguf"), DELE_DTYPE_Q4_0, false, &err),
        DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, m.tensors[3].name));
    assert_false(dele_path_exists(scratch_path(s, "m.gguf")));
    assert_false(dele_path_exists(scratch_path(s, "m.gguf.part")));
}

/* ---- tokenizers ------------------------------------------------------------------------------ */

static const char *const TEXTS[] = {"Gorm Ashgrove lives in the town of Tovik.",
                                    "Question: Where? Answer:",
                                    "  two  blanks\n\n\tand 12345 x9",
                                    "caf\u00e9 cafe\u0301 \u4f60\u597d \U0001f600 don't WE'LL",
                                    "a<|endoftext|>b <|im_start|>user\nhi<|im_end|>",
                                    ""};

static void assert_same_tokens(const dele_tokenizer *a, const dele_tokenizer *b)
{
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        dele_ids x, y;
        if (dele_encode(&x, a, TEXTS[i], strlen(TEXTS[i]), true, &arena, &err) ||
            dele_encode(&y, b, TEXTS[i], strlen(TEXTS[i]), true, &arena, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(x.n, y.n);
        if (x.n) assert_memory_equal(x.id, y.id, x.n * sizeof *x.id);
        assert_string_equal(dele_decode(a, x.id, x.n, false, &arena, &err),
                            dele_decode(b, x.id, x.n, false, &arena, &err));
    }
    assert_int_equal(dele_tokenizer_size(a), dele_tokenizer_size(b));
}

static void the_embedded_models_tokenizer_goes_through_a_gguf(void **state)
{
    scratch *s = *state;
    dele_model m, back, again;
    dele_gguf_saved saved;
    if (dele_model_load(&m, DEMO, &arena, &err)) fail_msg("%s", err.msg);
    save_and_load(&back, &saved, &m, scratch_path(s, "m.gguf"), DELE_DTYPE_BF16);
    assert_same_weights(&m, &back); /* it came in bfloat16 */
    assert_same_tokens(m.tokenizer, back.tokenizer);
    assert_int_equal(dele_tokenizer_eos(m.tokenizer), dele_tokenizer_eos(back.tokenizer));
    save_and_load(&again, &saved, &back, scratch_path(s, "again.gguf"),
                  DELE_DTYPE_BF16); /* by its own parts */
    assert_same_tokens(m.tokenizer, again.tokenizer);
    dele_model_release(&m);
    dele_model_release(&back);
    dele_model_release(&again);
}

/* A tokenizer.json, its parts for a GGUF with this pre-tokenizer, and the tokenizer of the parts.
 */
static void goes_through_parts(const char *path, const char *pre)
{
    const char *note;
    dele_tokenizer_parts parts;
    dele_tokenizer *t = dele_tokenizer_load(path, &arena, &err);
    if (!t || dele_tokenizer_parts_of(&parts, &note, t, 0, &arena, &err)) fail_msg("%s", err.msg);
    assert_string_equal(parts.pre, pre);
    dele_tokenizer *again = dele_tokenizer_build(&parts, &arena, &err);
    if (!again) fail_msg("%s", err.msg);
    assert_same_tokens(t, again);
    dele_tokenizer_close(again);
    dele_tokenizer_close(t);
}

static void a_tokenizer_like_qwen2s_becomes_parts_and_the_same_tokenizer_again(void **state)
{
    (void)state;
    goes_through_parts(DELE_TESTS_DIR "/fixtures/text/qwen2_tokenizer.json", "qwen2");
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
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        goes_through_parts(
            dele_printf(&arena, &err, "%s/%s", shared_path("data/tokenizers"), known[i].file),
            known[i].pre);
}

/* "ab" comes of a + b alone, though SentencePiece would also make "abc" of a + "bc": the list has
 * one pair a token. */
static const char TRAINED_MERGES[] =
    "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true}],"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"
    "\"\u2581\"},"
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" "
    "\"},\"content\":\"\u2581\"}]},\"pre_tokenizer\":null,"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{"
    "\"String\":\"\u2581\"},\"content\":\" \"},"
    "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" "
    "\",\"start\":1,\"stop\":0}]},"
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true,"
    "\"vocab\":{\"<unk>\":0,\"\u2581\":1,\"a\":2,\"b\":3,\"c\":4,\"ab\":5,\"bc\":6,\"abc\":7,"
    "\"\u2581a\":8,\"!\":9},"
    "\"merges\":[\"a b\",\"b c\",\"ab c\",\"\u2581 a\"]}}";

/* Trained merges of one pair a token are not what SentencePiece would do by scores. */
static void a_tokenizer_that_a_gguf_cannot_express_is_refused_and_can_be_left_out(void **state)
{
    scratch *s = *state;
    dele_model m, back;
    dele_gguf_saved saved;
    tiny_model(&m, &dele_family_llama, true, &arena); /* ten rows of embedding for the ten tokens */
    assert_int_equal(mkdir(scratch_path(s, "trained"), 0777), 0);
    if (dele_model_save(&m, scratch_path(s, "trained"), "f32", &err)) fail_msg("%s", err.msg);
    scratch_text(s, "trained/tokenizer.json", TRAINED_MERGES);
    dele_model_release(&m);
    if (dele_model_load(&m, scratch_path(s, "trained"), &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(
        dele_gguf_save(&saved, &m, scratch_path(s, "m.gguf"), DELE_DTYPE_F32, true, &err),
        DELE_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "merges"));
    assert_non_null(strstr(err.msg, "--no-tokenizer"));
    err = (dele_err){0};
    if (dele_gguf_save(&saved, &m, scratch_path(s, "m.gguf"), DELE_DTYPE_F32, false, &err))
        fail_msg("%s", err.msg);
    if (dele_model_load(&back, scratch_path(s, "m.gguf"), &arena, &err)) fail_msg("%s", err.msg);
    assert_same_weights(&m, &back);
    assert_null(back.tokenizer);
    dele_model_release(&m);
}

static void a_sentencepiece_vocabulary_goes_through_a_gguf_with_unused_ids_behind_it(void **state)
{
    scratch *s = *state;
    dele_model m, a, b;
    dele_gguf_saved saved;
    const char *note;
    dele_tokenizer_parts parts;
    tiny_model(&m, &dele_family_llama, true, &arena);
    write_gguf(scratch_path(s, "a.gguf"), &m, NULL, true); /* ten tokens, scores */
    if (dele_model_load(&a, scratch_path(s, "a.gguf"), &arena, &err)) fail_msg("%s", err.msg);
    save_and_load(&b, &saved, &a, scratch_path(s, "b.gguf"), DELE_DTYPE_F32);
    assert_same_tokens(a.tokenizer, b.tokenizer);
    if (dele_tokenizer_parts_of(&parts, &note, a.tokenizer, 13, &arena, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(parts.n_tokens, 13);
    assert_string_equal(parts.tokens[12], "[PAD12]");
    dele_tokenizer *padded = dele_tokenizer_build(&parts, &arena, &err);
    assert_same_tokens(a.tokenizer, padded);
    /* a Hugging Face copy of it has merges in place of scores, and comes to the same */
    assert_int_equal(mkdir(scratch_path(s, "hf"), 0777), 0);
    if (dele_model_save(&a, scratch_path(s, "hf"), "f32", &err)) fail_msg("%s", err.msg);
    dele_tokenizer *hf = dele_tokenizer_load(scratch_path(s, "hf/tokenizer.json"), &arena, &err);
    if (!hf || dele_tokenizer_parts_of(&parts, &note, hf, 0, &arena, &err)) fail_msg("%s", err.msg);
    assert_string_equal(parts.kind, "llama");
    dele_tokenizer_close(hf);
    dele_tokenizer_close(padded);
    dele_model_release(&a);
    dele_model_release(&b);
}

/* A SentencePiece vocabulary of which "\u2581\u2581" and longer runs of blanks have one score, as
 * in Gemma's. */
static const char *const RUNS[] = {"<unk>",
                                   "<s>",
                                   "</s>",
                                   "\u2581",
                                   "a",
                                   "\u2581a",
                                   "\u2581\u2581",
                                   "\u2581\u2581\u2581",
                                   "\u2581\u2581\u2581\u2581",
                                   "\u2581\u2581\u2581\u2581\u2581",
                                   "aa"};
enum { N_RUNS = sizeof RUNS / sizeof *RUNS };

static dele_tokenizer *tokenizer_of_runs(bool add_space_prefix)
{
    static const int types[N_RUNS] = {2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
    static const float scores[N_RUNS] = {0, 0, 0, -9, -9, -1, -7, -7, -7, -7, -3};
    const dele_tokenizer_parts parts = {.kind = "llama",
                                        .tokens = RUNS,
                                        .types = types,
                                        .scores = scores,
                                        .n_tokens = N_RUNS,
                                        .bos = 1,
                                        .eos = 2,
                                        .unk = 0,
                                        .pad = -1,
                                        .add_bos = true,
                                        .add_space_prefix = add_space_prefix};
    dele_tokenizer *t = dele_tokenizer_build(&parts, &arena, &err);
    if (!t) fail_msg("%s", err.msg);
    return t;
}

/* The merges of tokens of one score lie among one another's.  A tokenizer.json keeps the order
 * alone. */
static void tokens_of_one_score_have_one_score_again_after_a_list_of_merges(void **state)
{
    scratch *s = *state;
    const char *note;
    dele_tokenizer_parts parts;
    dele_tokenizer *t = tokenizer_of_runs(false);
    if (dele_tokenizer_save(t, s->dir, &err)) fail_msg("%s", err.msg);
    dele_tokenizer *read = dele_tokenizer_load(scratch_path(s, "tokenizer.json"), &arena, &err);
    if (!read || dele_tokenizer_parts_of(&parts, &note, read, 0, &arena, &err))
        fail_msg("%s", err.msg);
    assert_null(note);
    assert_true(parts.scores[7] == parts.scores[9] && parts.scores[8] == parts.scores[9]);
    assert_true(parts.scores[5] > parts.scores[10] && parts.scores[10] > parts.scores[7] &&
                parts.scores[7] > parts.scores[6]);
    dele_tokenizer *again = dele_tokenizer_build(&parts, &arena, &err);
    if (!again) fail_msg("%s", err.msg);
    assert_same_tokens(t, again);
    dele_tokenizer_close(again);
    dele_tokenizer_close(read);
    dele_tokenizer_close(t);
}

static bool same_ids(const dele_tokenizer *a, const dele_tokenizer *b, const char *text)
{
    dele_ids x, y;
    if (dele_encode(&x, a, text, strlen(text), true, &arena, &err) ||
        dele_encode(&y, b, text, strlen(text), true, &arena, &err))
        fail_msg("%s", err.msg);
    return x.n == y.n && !memcmp(x.id, y.id, x.n * sizeof *x.id);
}

/* The tokenizer of runs in the form in which transformers 5 saves Llama's and Mistral's. */
static dele_tokenizer *by_metaspace(scratch *s, const char *scheme)
{
    dele_tokenizer *t = tokenizer_of_runs(strcmp(scheme, "never") != 0);
    if (dele_tokenizer_save(t, s->dir, &err)) fail_msg("%s", err.msg);
    dele_tokenizer_close(t);
    cJSON *json = dele_json_load(scratch_path(s, "tokenizer.json"), &err);
    assert_non_null(json);
    cJSON_DeleteItemFromObject(json, "normalizer");
    cJSON_DeleteItemFromObject(json, "pre_tokenizer");
    cJSON *step = cJSON_AddObjectToObject(json, "pre_tokenizer");
    cJSON_AddStringToObject(step, "type", "Metaspace");
    cJSON_AddStringToObject(step, "replacement", "\u2581");
    cJSON_AddStringToObject(step, "prepend_scheme", scheme);
    cJSON_AddFalseToObject(step, "split");
    char *text = cJSON_PrintUnformatted(json);
    scratch_text(s, "metaspace.json", text);
    cJSON_free(text);
    cJSON_Delete(json);
    t = dele_tokenizer_load(scratch_path(s, "metaspace.json"), &arena, &err);
    if (!t) fail_msg("%s", err.msg);
    return t;
}

static void a_blank_by_metaspace_becomes_a_gguf_with_a_note_of_what_differs(void **state)
{
    static const char *const schemes[] = {"first", "always", "never"};
    const char *note;
    dele_tokenizer_parts parts;
    for (int i = 0; i < 3; i++) {
        const bool prepends = i < 2;
        dele_tokenizer *t = by_metaspace(*state, schemes[i]);
        if (dele_tokenizer_parts_of(&parts, &note, t, 0, &arena, &err)) fail_msg("%s", err.msg);
        assert_int_equal(parts.add_space_prefix, prepends);
        dele_tokenizer *again = dele_tokenizer_build(&parts, &arena, &err);
        if (!again) fail_msg("%s", err.msg);
        assert_true(same_ids(t, again, "a") && same_ids(t, again, "aa  a   aa") &&
                    same_ids(t, again, "a     "));
        assert_int_equal(same_ids(t, again, " a"), !prepends);
        assert_int_equal(note && strstr(note, "begins with a blank"), prepends);
        dele_tokenizer_close(again);
        dele_tokenizer_close(t);
    }
}

int main(int argc, char **argv)
{
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, fresh, scratch_close)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(a_gguf_of_any_type_is_the_model_with_its_weights_so_stored),
        IN_SCRATCH(what_a_gguf_cannot_say_is_refused_and_the_rest_comes_back),
        IN_SCRATCH(from_a_directory_to_a_gguf_and_back_no_byte_of_a_weight_changes),
        IN_SCRATCH(what_does_not_fill_the_blocks_falls_back_and_it_is_said),
        IN_SCRATCH(a_weight_that_is_no_number_leaves_no_file),
        IN_SCRATCH(the_embedded_models_tokenizer_goes_through_a_gguf),
        IN_SCRATCH(a_tokenizer_like_qwen2s_becomes_parts_and_the_same_tokenizer_again),
        IN_SCRATCH(a_tokenizer_that_a_gguf_cannot_express_is_refused_and_can_be_left_out),
        IN_SCRATCH(a_sentencepiece_vocabulary_goes_through_a_gguf_with_unused_ids_behind_it),
        IN_SCRATCH(tokens_of_one_score_have_one_score_again_after_a_list_of_merges),
        IN_SCRATCH(a_blank_by_metaspace_becomes_a_gguf_with_a_note_of_what_differs),
    };
    const struct CMUnitTest shared[] = {
        IN_SCRATCH(known_tokenizers_become_parts_and_the_same_tokenizer_again)};
    int failed = shared_asked(argc, argv) ? cmocka_run_group_tests(shared, NULL, NULL)
                                          : cmocka_run_group_tests(tests, NULL, NULL);
    dele_arena_release(&arena);
    return failed;
}
