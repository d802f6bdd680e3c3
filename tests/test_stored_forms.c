/* Families whose files hold tensors transposed, fused or in pairs: what is saved loads as it was,
 * the files have the shapes that the rows say, and other shapes are refused.  The table of families
 * is this file's own: `odd` has every form, `plain` the same tensors one by one. */
#include "model_files.h"

#include "base/random.h"
#include "model/families/keys.h"
#include "model/families/rows.h"
#include "model/forward.h"
#include "model/gguf.h"
#include "model/safetensors.h"
#include "scratch.h"
#include "unlearn/lora.h"

#define A "model.layers.%d.self_attn."
#define M "model.layers.%d.mlp."
#define ROW(slot, hf, gguf, rows, cols, part, hf_form, gguf_form)                                  \
    {                                                                                              \
        DELE_SLOT_##slot, hf, gguf, DELE_DIM_##rows, DELE_DIM_##cols, DELE_PART_##part,            \
            DELE_INIT_NORMAL, DELE_ALWAYS, DELE_FORM_##hf_form, DELE_FORM_##gguf_form              \
    }

static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_AS_OTHER),
    DELE_KEYS_HEAD_DIM(DELE_JSON_ALWAYS),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(64),
    DELE_KEY_ROTATION,
    DELE_KEY_RMS_NORM_EPS(1e-6),
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
};

/* Of a family that shares its architecture of GGUF with another. */
static const dele_key_row sharer_keys[] = {
    DELE_KEYS_SIZES(DELE_AS_OTHER),
    DELE_KEYS_HEAD_DIM(DELE_JSON_ALWAYS),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(64),
    DELE_KEY_ROTATION,
    DELE_KEY_RMS_NORM_EPS(1e-6),
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    {.gguf = "shares", .kind = DELE_HOLDS_CONSTANT, .value = 0.5, .why = "is not 0.5"},
};

/* clang-format off */
static const dele_tensor_row odd_tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_ATTN_NORM,
    ROW(Q, A "qkv.weight", "blk.%d.attn_q.weight", Q, MODEL, ATTN, FUSED, PAIRED),
    ROW(K, A "qkv.weight", "blk.%d.attn_k.weight", KV, MODEL, ATTN, FUSED, PAIRED),
    ROW(V, A "qkv.weight", "blk.%d.attn_v.weight", KV, MODEL, ATTN, FUSED, PLAIN),
    ROW(Q_BIAS, A "qkv.bias", "blk.%d.attn_q.bias", ONE, Q, ATTN, FUSED, PAIRED),
    ROW(K_BIAS, A "qkv.bias", "blk.%d.attn_k.bias", ONE, KV, ATTN, FUSED, PAIRED),
    ROW(V_BIAS, A "qkv.bias", "blk.%d.attn_v.bias", ONE, KV, ATTN, FUSED, PLAIN),
    ROW(O, A "o.weight", "blk.%d.attn_output.weight", MODEL, Q, ATTN, TRANSPOSED, PLAIN),
    DELE_ROW_MLP_NORM,
    ROW(GATE, M "gate_up.weight", "blk.%d.ffn_up.weight", FF, MODEL, MLP, FUSED_TRANSPOSED, FUSED),
    ROW(UP, M "gate_up.weight", "blk.%d.ffn_up.weight", FF, MODEL, MLP, FUSED_TRANSPOSED, FUSED),
    ROW(DOWN, M "down.weight", "blk.%d.ffn_down.weight", MODEL, FF, MLP, PLAIN, TRANSPOSED),
    DELE_ROW_FINAL_NORM,
    ROW(HEAD, "out.weight", "output.weight", VOCAB, MODEL, HEAD, TRANSPOSED, PLAIN),
};

static const dele_tensor_row plain_tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PLAIN),
    DELE_ROWS_QKV_BIAS(DELE_ALWAYS, DELE_FORM_PLAIN),
    DELE_ROW_O,
    DELE_ROW_MLP_NORM,
    DELE_ROWS_GATE_UP,
    DELE_ROW_DOWN,
    DELE_ROW_FINAL_NORM,
    DELE_ROW_HEAD,
};
/* clang-format on */

/* Heads fused one by one, and norms with 1 added. */
/* clang-format off */
static const dele_tensor_row by_head_tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_GEMMA_ATTN_NORM,
    ROW(Q, A "qkv.weight", "blk.%d.attn_qkv.weight", Q, MODEL, ATTN, BY_HEAD, FUSED),
    ROW(K, A "qkv.weight", "blk.%d.attn_qkv.weight", KV, MODEL, ATTN, BY_HEAD, FUSED),
    ROW(V, A "qkv.weight", "blk.%d.attn_qkv.weight", KV, MODEL, ATTN, BY_HEAD, FUSED),
    ROW(Q_BIAS, A "qkv.bias", "blk.%d.attn_qkv.bias", ONE, Q, ATTN, BY_HEAD, FUSED),
    ROW(K_BIAS, A "qkv.bias", "blk.%d.attn_qkv.bias", ONE, KV, ATTN, BY_HEAD, FUSED),
    ROW(V_BIAS, A "qkv.bias", "blk.%d.attn_qkv.bias", ONE, KV, ATTN, BY_HEAD, FUSED),
    DELE_ROW_O,
    DELE_ROW_GEMMA_MLP_NORM,
    DELE_ROWS_GATE_UP,
    DELE_ROW_DOWN,
    DELE_ROW_GEMMA_FINAL_NORM,
    DELE_ROW_HEAD,
};
/* clang-format on */

#define FAMILY(name, rows, key_rows, ...)                                                          \
    static const dele_family name = {.hf = #name,                                                  \
                                     .architecture = "None",                                       \
                                     .source = "",                                                 \
                                     .norm = DELE_RMSNORM,                                         \
                                     .norm_text = "RMSNorm",                                       \
                                     .site = DELE_SITES_SEQUENTIAL,                                \
                                     .tensors = rows,                                              \
                                     .n_tensors = sizeof rows / sizeof *rows,                      \
                                     .keys = key_rows,                                             \
                                     .n_keys = sizeof key_rows / sizeof *key_rows,                 \
                                     __VA_ARGS__}
FAMILY(odd, odd_tensors, keys, .gguf = "odd");
FAMILY(sharer, plain_tensors, sharer_keys, .gguf = "plain", .gguf_key = "shares");
FAMILY(plain, plain_tensors, keys, .gguf = "plain");

FAMILY(by_head, by_head_tensors, keys, .gguf = "by_head");

const dele_family *const dele_families[] = {&odd, &sharer, &plain, &by_head};
const size_t dele_n_families = 4;

enum { V = 37, T = 6 };

static dele_arena arena;
static dele_err err;

/* Every size differs, so that no wrong order fits by chance.  No weight is 0. */
static void make(dele_model *m, const dele_family *family)
{
    dele_config c = tiny_config(family, false);
    c.hidden_size = 24, c.intermediate_size = 40, c.n_heads = 4, c.n_kv_heads = 2, c.head_dim = 8,
    c.vocab = V;
    if (family == &by_head) c.n_kv_heads = c.n_heads;
    if (dele_model_layout(m, &c, &arena, &err)) fail_msg("%s", err.msg);
    dele_rng rng;
    dele_rng_seed(&rng, 5);
    for (size_t i = 0; i < m->n_tensors; i++)
        for (size_t j = 0; j < m->tensors[i].rows * m->tensors[i].cols; j++)
            m->tensors[i].data[j] = (float)(1 + (int)dele_rng_below(&rng, 200)) / 256;
}

static void load(dele_model *m, const char *path)
{
    if (dele_model_load(m, path, &arena, &err)) fail_msg("%s", err.msg);
}

static const char *save_dir(scratch *s, const char *name, const dele_model *m, const char *dtype)
{
    const char *dir = dele_strdup(&arena, scratch_path(s, name), &err);
    mkdir(dir, 0777);
    if (dele_model_save(m, dir, dtype, &err)) fail_msg("%s", err.msg);
    return dir;
}

static const char *save_gguf(scratch *s, const char *name, const dele_model *m, dele_dtype type)
{
    dele_gguf_saved saved;
    const char *path = dele_strdup(&arena, scratch_path(s, name), &err);
    if (dele_gguf_save(&saved, m, path, type, false, &err)) fail_msg("%s", err.msg);
    return path;
}

/* Tensor by tensor of the table, whatever the names in the files. */
static void assert_equal_weights(const dele_model *a, const dele_model *b)
{
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        const dele_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        const size_t n = x->rows * x->cols;
        float p[4096], q[4096];
        assert_int_equal(x->slot, y->slot);
        assert_true(x->rows == y->rows && x->cols == y->cols && n <= 4096);
        dele_tensor_rows(p, x, 0, x->rows);
        dele_tensor_rows(q, y, 0, y->rows);
        if (memcmp(p, q, n * sizeof *p)) fail_msg("%s differs", x->name);
    }
}

static void logits_of(float *out, const dele_model *m)
{
    static const int ids[T] = {3, 17, 36, 5, 29, 0}, rows[T] = {0, 1, 2, 3, 4, 5};
    dele_run run = {0};
    const dele_segment segment = {.tokens = ids, .n_rows = T};
    const dele_batch batch = {
        .segments = &segment, .n_segments = 1, .output_rows = rows, .n_output_rows = T};
    if (dele_forward(&run, m, &batch, &err)) fail_msg("%s", err.msg);
    dele_logits(out, &run, m, run.final, T);
    dele_run_release(&run);
}

static void saved_and_loaded(scratch *s, const dele_family *family)
{
    dele_model m, from_dir, from_half, from_gguf;
    make(&m, family);
    load(&from_dir, save_dir(s, "a", &m, "f32"));
    load(&from_half, save_dir(s, "b", &m, "bf16")); /* the weights are multiples of 1/256 */
    load(&from_gguf, save_gguf(s, "m.gguf", &m, DELE_DTYPE_F16));
    assert_equal_weights(&m, &from_dir);
    assert_equal_weights(&m, &from_half);
    assert_equal_weights(&m, &from_gguf);
    dele_model from_both[2]; /* across the formats, whose forms differ */
    load(&from_both[0], save_gguf(s, "again.gguf", &from_half, DELE_DTYPE_F32));
    load(&from_both[1], save_dir(s, "c", &from_gguf, "f32"));
    for (int i = 0; i < 2; i++) {
        assert_equal_weights(&m, &from_both[i]);
        dele_model_release(&from_both[i]);
    }
    dele_model_release(&from_dir);
    dele_model_release(&from_half);
    dele_model_release(&from_gguf);
}

static void what_is_saved_in_any_form_loads_as_it_was(void **state)
{
    saved_and_loaded(*state, &odd);
    saved_and_loaded(*state, &by_head);
}

static void the_form_does_not_change_a_logit(void **state)
{
    scratch *s = *state;
    dele_model m[2], loaded[3];
    float want[T * V], got[T * V];
    make(&m[0], &plain);
    make(&m[1], &odd);
    load(&loaded[0], save_dir(s, "plain", &m[0], "f32"));
    load(&loaded[1], save_dir(s, "odd", &m[1], "f32"));
    load(&loaded[2], save_gguf(s, "odd.gguf", &m[1], DELE_DTYPE_F32));
    logits_of(want, &m[0]);
    for (int i = 0; i < 3; i++) {
        logits_of(got, &loaded[i]);
        for (size_t k = 0; k < T * V; k++) assert_float_equal(want[k], got[k], 1e-4);
        dele_model_release(&loaded[i]);
    }
}

static void expect_dims(const dele_stored *list, size_t n, const char *name, int n_dims,
                        size_t rows, size_t cols)
{
    const dele_stored *t = dele_stored_find((dele_stored *)list, n, name);
    if (!t) fail_msg("%s is not in the file", name);
    if (t->n_dims != n_dims || t->dims[0] != rows || t->dims[1] != cols)
        fail_msg("%s has %d dimensions: %zu, %zu", name, t->n_dims, t->dims[0], t->dims[1]);
}

static float value_at(const dele_stored *list, size_t n, const char *name, size_t item)
{
    const dele_stored *t = dele_stored_find((dele_stored *)list, n, name);
    float x;
    memcpy(&x, t->data + item * sizeof x, sizeof x);
    return x;
}

static void the_files_have_the_shapes_and_the_order_of_the_forms(void **state)
{
    scratch *s = *state;
    dele_model m;
    dele_safetensors st;
    dele_gguf g;
    make(&m, &odd);
    if (dele_safetensors_open(&st, save_dir(s, "a", &m, "f32"), &arena, &err) ||
        dele_gguf_open(&g, save_gguf(s, "m.gguf", &m, DELE_DTYPE_F32), &arena, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(st.n, 3 + 2 * 7);
    expect_dims(st.tensor, st.n, "model.layers.1.self_attn.qkv.weight", 2, 32 + 16 + 16, 24);
    expect_dims(st.tensor, st.n, "model.layers.1.self_attn.qkv.bias", 1, 64, 1);
    expect_dims(st.tensor, st.n, "model.layers.1.self_attn.o.weight", 2, 32, 24);
    expect_dims(st.tensor, st.n, "model.layers.1.mlp.gate_up.weight", 2, 24, 80);
    expect_dims(st.tensor, st.n, "out.weight", 2, 24, V);
    const float *k = dele_model_tensor(&m, DELE_SLOT_K, 1)->data,
                *up = dele_model_tensor(&m, DELE_SLOT_UP, 1)->data,
                *v_bias = dele_model_tensor(&m, DELE_SLOT_V_BIAS, 1)->data,
                *down = dele_model_tensor(&m, DELE_SLOT_DOWN, 1)->data;
    assert_true(value_at(st.tensor, st.n, "model.layers.1.self_attn.qkv.weight",
                         (32 + 5) * 24 + 7) == k[5 * 24 + 7]);
    assert_true(value_at(st.tensor, st.n, "model.layers.1.self_attn.qkv.bias", 48 + 3) ==
                v_bias[3]);
    assert_true(value_at(st.tensor, st.n, "model.layers.1.mlp.gate_up.weight", 7 * 80 + 40 + 5) ==
                up[5 * 24 + 7]);
    expect_dims(g.tensor, g.n, "blk.1.ffn_up.weight", 2, 80, 24);
    expect_dims(g.tensor, g.n, "blk.1.ffn_down.weight", 2, 40, 24);
    assert_true(value_at(g.tensor, g.n, "blk.1.ffn_up.weight", (40 + 5) * 24 + 7) ==
                up[5 * 24 + 7]);
    assert_true(value_at(g.tensor, g.n, "blk.1.ffn_down.weight", 5 * 24 + 7) == down[7 * 40 + 5]);
    assert_true(value_at(g.tensor, g.n, "blk.1.attn_k.weight", (8 + 2 * 3 + 1) * 24 + 7) ==
                k[(8 + 4 + 3) * 24 + 7]);
    dele_safetensors_close(&st);
    dele_gguf_close(&g);
}

static void heads_lie_one_by_one_and_norms_have_one_added(void **state)
{
    scratch *s = *state;
    dele_model m;
    dele_safetensors st;
    dele_gguf g;
    make(&m, &by_head);
    if (dele_safetensors_open(&st, save_dir(s, "a", &m, "f32"), &arena, &err) ||
        dele_gguf_open(&g, save_gguf(s, "m.gguf", &m, DELE_DTYPE_F32), &arena, &err))
        fail_msg("%s", err.msg);
    const float *v = dele_model_tensor(&m, DELE_SLOT_V, 1)->data,
                *k_bias = dele_model_tensor(&m, DELE_SLOT_K_BIAS, 1)->data,
                *norm = dele_model_tensor(&m, DELE_SLOT_MLP_NORM, 1)->data;
    const char *const weight = "model.layers.1.self_attn.qkv.weight",
                      *const bias = "model.layers.1.self_attn.qkv.bias",
                      *const mlp_norm = "model.layers.1.pre_feedforward_layernorm.weight";
    expect_dims(st.tensor, st.n, weight, 2, 3 * 32, 24);
    /* row 5 of head 2 of V: head 2 begins at row 48, its V at row 64 */
    assert_true(value_at(st.tensor, st.n, weight, (64 + 5) * 24 + 7) == v[(16 + 5) * 24 + 7]);
    assert_true(value_at(st.tensor, st.n, bias, 3 * 24 + 8 + 3) == k_bias[3 * 8 + 3]);
    assert_true(value_at(g.tensor, g.n, "blk.1.attn_qkv.weight", (64 + 16 + 5) * 24 + 7) ==
                v[(16 + 5) * 24 + 7]);
    assert_true(value_at(st.tensor, st.n, mlp_norm, 3) == norm[3]);
    assert_true(value_at(g.tensor, g.n, "blk.1.ffn_norm.weight", 3) == 1 + norm[3]);
    dele_safetensors_close(&st);
    dele_gguf_close(&g);
}

static void what_is_kept_has_the_bytes_of_its_file(void **state)
{
    scratch *s = *state;
    dele_model m, loaded;
    char sum[2][65];
    make(&m, &odd);
    const char *first = save_dir(s, "a", &m, "bf16");
    load(&loaded, first);
    const char *second = save_dir(s, "b", &loaded, "keep");
    const char *dirs[] = {first, second};
    for (int i = 0; i < 2; i++)
        dele_file_sha256(sum[i], dele_printf(&arena, &err, "%s/model.safetensors", dirs[i]), &err);
    assert_string_equal(sum[0], sum[1]);
    dele_model_release(&loaded);
}

static void training_one_tensor_of_a_fused_one_leaves_the_others(void **state)
{
    scratch *s = *state;
    dele_model m, loaded, again;
    make(&m, &odd);
    load(&loaded, save_dir(s, "a", &m, "bf16"));
    bool *trains = DELE_NEW(&arena, bool, loaded.n_tensors, &err);
    dele_tensor *k = dele_model_tensor(&loaded, DELE_SLOT_K, 1),
                *up = dele_model_tensor(&loaded, DELE_SLOT_UP, 0);
    trains[k - loaded.tensors] = trains[up - loaded.tensors] = true;
    if (dele_model_train(&loaded, trains, &err)) fail_msg("%s", err.msg);
    k->data[3] = -1, up->data[5] = -2;
    dele_model_tensor(&m, DELE_SLOT_K, 1)->data[3] = -1;
    dele_model_tensor(&m, DELE_SLOT_UP, 0)->data[5] = -2;
    const char *dir = save_dir(s, "b", &loaded, "keep");
    load(&again, dir);
    assert_equal_weights(&m, &again);
    for (size_t i = 0; i < again.n_tensors; i++)
        assert_int_equal(again.tensors[i].stored.type, DELE_DTYPE_BF16);
    dele_model_release(&loaded);
    dele_model_release(&again);
}

/* Tensors that the mask [n_tensors] of a model selects. */
static void expect_selected(const dele_model *m, const char *patterns, size_t n)
{
    dele_mask mask;
    if (dele_mask_match(&mask, m, patterns, &arena, &err)) fail_msg("%s", err.msg);
    if (mask.n_trained != n)
        fail_msg("%s selects %zu tensors, not %zu", patterns, mask.n_trained, n);
}

static void parts_of_a_fused_tensor_have_names_of_their_own(void **state)
{
    (void)state;
    dele_model m, p;
    make(&m, &odd);
    make(&p, &plain);
    for (size_t i = 0; i < m.n_tensors; i++) {
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(m.tensors[i].name, m.tensors[k].name);
        expect_selected(&m, m.tensors[i].name, 1); /* a name is a pattern that matches itself */
    }
    assert_string_equal(dele_model_tensor(&m, DELE_SLOT_K, 1)->name,
                        "model.layers.1.self_attn.qkv.weight:k");
    assert_string_equal(dele_model_tensor(&m, DELE_SLOT_V_BIAS, 0)->name,
                        "model.layers.0.self_attn.qkv.bias:v");
    assert_string_equal(dele_model_tensor(&m, DELE_SLOT_GATE, 0)->name,
                        "model.layers.0.mlp.gate_up.weight:gate");
    assert_string_equal(dele_model_tensor(&m, DELE_SLOT_UP, 1)->hf_name,
                        "model.layers.1.mlp.gate_up.weight");
    assert_string_equal(dele_model_tensor(&m, DELE_SLOT_DOWN, 1)->name,
                        "model.layers.1.mlp.down.weight");
    for (size_t i = 0; i < p.n_tensors; i++)
        assert_string_equal(p.tensors[i].name, p.tensors[i].hf_name);
    expect_selected(&m, "model.layers.1.self_attn.qkv.weight", 3);
    expect_selected(&m, "*.weight:v,*.bias:v", 4);
    expect_selected(&m, "model.layers.0.mlp.*", 3);
}

/* B A [rows, cols] of a module in PEFT's file. */
static float *product(const dele_safetensors *st, const char *module, size_t rows, size_t rank,
                      size_t cols)
{
    char name[160];
    float *w = DELE_NEW(&arena, float, rows *cols, &err);
    snprintf(name, sizeof name, "base_model.model.%s.lora_A.weight", module);
    expect_dims(st->tensor, st->n, name, 2, rank, cols);
    const float *a = (const float *)(const void *)dele_stored_find(st->tensor, st->n, name)->data;
    snprintf(name, sizeof name, "base_model.model.%s.lora_B.weight", module);
    expect_dims(st->tensor, st->n, name, 2, rows, rank);
    const float *b = (const float *)(const void *)dele_stored_find(st->tensor, st->n, name)->data;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            for (size_t k = 0; k < rank; k++) w[r * cols + c] += b[r * rank + k] * a[k * cols + c];
    return w;
}

/* Adapters of q and v, of up, and of down: PEFT gets one for each module of the files. */
static void adapters_of_parts_are_one_adapter_of_the_fused_module(void **state)
{
    scratch *s = *state;
    enum { RANK = 2 };
    dele_model m;
    dele_mask mask;
    dele_lora l;
    dele_rng rng;
    const dele_lora_options o = {.rank = RANK, .alpha = 6, .seed = 3};
    make(&m, &odd);
    dele_rng_seed(&rng, 9);
    if (dele_mask_match(&mask, &m, "*.1.*qkv.weight:[qv],*.1.*:up,*.1.*down.weight", &arena,
                        &err) ||
        dele_lora_init(&l, &m, &mask, &o, &arena, &err))
        fail_msg("%s", err.msg);
    for (size_t k = 0; k < m.n_tensors; k++)
        for (size_t i = 0; l.table.tensors[k].data && i < l.table.tensors[k].cols; i++)
            l.table.tensors[k].data[i] = (float)dele_rng_normal(&rng);
    dele_lora_write(&l);
    const char *dir = dele_strdup(&arena, scratch_path(s, "adapter"), &err);
    mkdir(dir, 0777);
    if (dele_lora_save(&l, "base", dir, &err)) fail_msg("%s", err.msg);
    rename(scratch_path(s, "adapter/adapter_model.safetensors"),
           scratch_path(s, "adapter/model.safetensors"));
    dele_safetensors st;
    if (dele_safetensors_open(&st, dir, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(st.n, 6);
    const struct {
        const char *module;
        size_t rows, rank, cols, row; /* row: of the tensor in the module */
        dele_slot slot;
    } want[] = {
        {"model.layers.1.self_attn.qkv", 64, 2 * RANK, 24, 0, DELE_SLOT_Q},
        {"model.layers.1.self_attn.qkv", 64, 2 * RANK, 24, 48, DELE_SLOT_V},
        {"model.layers.1.mlp.gate_up", 80, RANK, 24, 40, DELE_SLOT_UP},
        {"model.layers.1.mlp.down", 24, RANK, 40, 0, DELE_SLOT_DOWN},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const dele_tensor *t = dele_model_tensor(&m, want[i].slot, 1);
        const float *w0 = l.w0[t - m.tensors],
                    *ba = product(&st, want[i].module, want[i].rows, want[i].rank, want[i].cols);
        for (size_t j = 0; j < t->rows * t->cols; j++) /* alpha / rank is 3 for all of them */
            assert_true(fabsf(w0[j] + 3 * ba[want[i].row * t->cols + j] - t->data[j]) < 1e-4f);
    }
    const float *qkv = product(&st, "model.layers.1.self_attn.qkv", 64, 2 * RANK, 24);
    for (size_t j = 32 * 24; j < 48 * 24; j++) assert_true(qkv[j] == 0); /* k has none */
    cJSON *config = dele_json_load(scratch_path(s, "adapter/adapter_config.json"), &err);
    assert_non_null(config);
    const cJSON *ranks = cJSON_GetObjectItem(config, "rank_pattern"),
                *alphas = cJSON_GetObjectItem(config, "alpha_pattern");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(config, "target_modules")), 3);
    assert_int_equal(cJSON_GetArraySize(ranks), 1);
    assert_true(cJSON_GetObjectItem(ranks, "model.layers.1.self_attn.qkv")->valuedouble ==
                2 * RANK);
    assert_true(cJSON_GetObjectItem(alphas, "model.layers.1.self_attn.qkv")->valuedouble == 12);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(config, "fan_in_fan_out"))); /* gate_up */
    cJSON_Delete(config);
    dele_safetensors_close(&st);
}

static void a_tensor_that_is_not_in_its_form_is_refused(void **state)
{
    scratch *s = *state;
    dele_model m;
    make(&m, &odd);
    const char *dir = save_dir(s, "a", &m, "f32"),
               *file = dele_printf(&arena, &err, "%s/model.safetensors", dir);
    static const char *const lies[][3] = {
        {"[32,24]", "[24,32]", "o.weight has the shape [24, 32], but the config requires [32, 24]"},
        {"[24,80]", "[80,24]", "gate_up.weight has the shape [80, 24], but the config requires"},
        {"[64,24]", "[24,64]", "qkv.weight has the shape [24, 64], but the config requires"},
        {"[64]", "[8,8]", "qkv.bias has the shape [8, 8], but the config requires [64]"},
        {"qkv.weight", "q_v.weight", "self_attn.qkv.weight is missing"},
    };
    size_t size;
    uint8_t *bytes = read_bytes(file, &size);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        uint8_t *copy = malloc(size), *at;
        assert_non_null(copy);
        memcpy(copy, bytes, size);
        assert_non_null(at = memmem(copy, size, lies[i][0], strlen(lies[i][0])));
        if (strlen(lies[i][0]) == strlen(lies[i][1])) {
            memcpy(at, lies[i][1], strlen(lies[i][1]));
        } else { /* one blank of the header's padding makes room */
            uint64_t n;
            memcpy(&n, copy, 8);
            assert_true(copy[8 + n - 1] == ' ');
            memmove(at + 1, at, (size_t)(copy + 8 + n - 1 - at));
            memcpy(at, lies[i][1], strlen(lies[i][1]));
        }
        write_bytes(file, copy, size);
        expect_refusal(dir, lies[i][2]);
        free(copy);
    }
    free(bytes);
}

/* An F32 tensor of this GGUF whose type now says q8_0: fewer bytes, and as many items. */
static void a_type_of_blocks_is_refused_where_items_are_read_one_by_one(void **state)
{
    scratch *s = *state;
    static const struct {
        const char *name;
        int n_dims;
    } in_blocks[] = {{"blk.0.attn_q.bias", 1}, {"blk.0.ffn_down.weight", 2}};
    dele_model m;
    dele_config c = tiny_config(&odd, false);
    c.hidden_size = 32, c.intermediate_size = 96, c.n_heads = 4, c.n_kv_heads = 2, c.head_dim = 8,
    c.vocab = V;
    if (dele_model_layout(&m, &c, &arena, &err)) fail_msg("%s", err.msg);
    const char *path = save_gguf(s, "m.gguf", &m, DELE_DTYPE_F32);
    size_t size;
    uint8_t *bytes = read_bytes(path, &size);
    for (size_t i = 0; i < sizeof in_blocks / sizeof *in_blocks; i++) {
        uint8_t *at = memmem(bytes, size, in_blocks[i].name, strlen(in_blocks[i].name));
        assert_non_null(at);
        at += strlen(in_blocks[i].name) + 4 + 8 * (size_t)in_blocks[i].n_dims;
        *at = 8;
        write_bytes(path, bytes, size);
        expect_refusal(path, "is stored as q8_0, whose blocks its items cannot be read from");
        *at = 0;
    }
    free(bytes);
}

static void a_key_tells_families_of_one_architecture_apart(void **state)
{
    scratch *s = *state;
    const dele_family *const families[] = {&sharer, &plain};
    for (int i = 0; i < 2; i++) {
        dele_model m, loaded;
        make(&m, families[i]);
        load(&loaded, save_gguf(s, "m.gguf", &m, DELE_DTYPE_F32));
        assert_ptr_equal(loaded.config.family, families[i]);
        assert_equal_weights(&m, &loaded);
        dele_model_release(&loaded);
    }
    expect_refusal(scratch_write(s, "n.gguf", "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24),
                   "architecture \"odd\", \"plain\" or \"by_head\" are supported");
}

static void columns_are_not_kept_in_blocks(void **state)
{
    scratch *s = *state;
    dele_model m, loaded;
    dele_config c = tiny_config(&odd, false);
    c.hidden_size = 64, c.intermediate_size = 96, c.n_heads = 4, c.n_kv_heads = 2, c.head_dim = 16,
    c.vocab = 32;
    if (dele_model_layout(&m, &c, &arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(&m, 0.1, 3);
    const char *path = save_gguf(s, "m.gguf", &m, DELE_DTYPE_Q8_0);
    dele_gguf g;
    if (dele_gguf_open(&g, path, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(dele_stored_find(g.tensor, g.n, "blk.0.ffn_down.weight")->dtype,
                     DELE_DTYPE_F16);
    assert_int_equal(dele_stored_find(g.tensor, g.n, "blk.0.ffn_up.weight")->dtype,
                     DELE_DTYPE_Q8_0);
    dele_gguf_close(&g);
    load(&loaded, path);
    float up[64], gate_up[64]; /* the second tensor of a fused one, in blocks */
    const dele_tensor *want = dele_model_tensor(&m, DELE_SLOT_UP, 1),
                      *got = dele_model_tensor(&loaded, DELE_SLOT_UP, 1);
    dele_tensor_rows(up, want, 90, 1);
    dele_tensor_rows(gate_up, got, 90, 1);
    for (int i = 0; i < 64; i++) assert_float_equal(up[i], gate_up[i], 2e-3);
    dele_model_release(&loaded);
}

static int fresh(void **state)
{
    err = (dele_err){0};
    return scratch_open(state);
}

static int done(void **state)
{
    dele_arena_release(&arena);
    arena = (dele_arena){0};
    return scratch_close(state);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fresh, done)
    const struct CMUnitTest tests[] = {
        TEST(what_is_saved_in_any_form_loads_as_it_was),
        TEST(the_form_does_not_change_a_logit),
        TEST(the_files_have_the_shapes_and_the_order_of_the_forms),
        TEST(heads_lie_one_by_one_and_norms_have_one_added),
        TEST(what_is_kept_has_the_bytes_of_its_file),
        TEST(training_one_tensor_of_a_fused_one_leaves_the_others),
        TEST(parts_of_a_fused_tensor_have_names_of_their_own),
        TEST(adapters_of_parts_are_one_adapter_of_the_fused_module),
        TEST(a_tensor_that_is_not_in_its_form_is_refused),
        TEST(a_type_of_blocks_is_refused_where_items_are_read_one_by_one),
        TEST(a_key_tells_families_of_one_architecture_apart),
        TEST(columns_are_not_kept_in_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
