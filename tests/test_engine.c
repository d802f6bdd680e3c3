/* The forward and backward pass on tiny random models of every family: identities first. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "model/backward.h"
#include "model/generate.h"
#include "tensor/ops.h"

#include "block_families.h"

enum { T = 9, V = 53 };

typedef struct {
    dele_arena arena;
    dele_model model;
    int tokens[T], targets[T], rows[T];
} fixture;

#define CONFIG(name, layers, width, d_ff, heads, kv_heads, ...)                                    \
    {                                                                                              \
        .family = &dele_family_##name, .n_layers = layers, .hidden_size = width,                   \
        .intermediate_size = d_ff, .n_heads = heads, .n_kv_heads = kv_heads, .head_dim = 8,        \
        .vocab = V, .context = 64, .norm_eps = 1e-5f, .rope[0].theta = 1e4f, .pad = -1,            \
        __VA_ARGS__                                                                                \
    }

/* clang-format off */
static const dele_config CONFIGS[] = {
    CONFIG(llama, 3, 32, 48, 4, 2, .tied = true),
    CONFIG(llama, 2, 24, 40, 3, 3, .tied = false),
    CONFIG(olmo,  3, 32, 48, 4, 4, .tied = true, .clip_qkv = 1.3f),
    CONFIG(olmo,  2, 32, 48, 4, 4, .tied = false),
    CONFIG(llama, 2, 32, 48, 4, 2, .tied = true, .attention_bias = true, .mlp_bias = true),
    CONFIG(qwen2, 2, 32, 48, 4, 2, .tied = false),
    CONFIG(norm_of_width, 3, 32, 48, 4, 2, .attention_bias = true, .clip_qkv = 1.6f, .window = 3,
           .layer_kind = {SLIDING, 0, SLIDING}, .rope[1].theta = 50),
    CONFIG(norm_of_head, 2, 24, 40, 3, 1, .tied = true, .window = 4,
           .layer_kind = {SLIDING, SLIDING}, .attn_scale = 0.5f, .attn_softcap = 1.5f,
           .rotary_dim = 4),
    CONFIG(llama, 3, 32, 48, 4, 2, .layer_kind = {0, UNROTATED, SLIDING | UNROTATED}, .window = 2,
           .rotary_dim = 6, .attn_scale_by_layer = true,
           .rope[0].type = DELE_ROPE_YARN, .rope[0].factor = 4, .rope[0].original_context = 16,
           .rope[0].beta_fast = 32, .rope[0].beta_slow = 1),
    CONFIG(llama, 2, 32, 48, 4, 4, .tied = true,
           .rope[0].type = DELE_ROPE_DYNAMIC, .rope[0].factor = 3, .rope[0].original_context = 5),
    CONFIG(norms_after, 3, 32, 48, 4, 2, .tied = false),
    CONFIG(norms_after, 2, 32, 48, 4, 4, .tied = true, .activation = DELE_GELU),
    CONFIG(norms_about, 2, 32, 48, 4, 2, .tied = true, .activation = DELE_GELU_TANH,
           .embed_scale = 5.656854f, .logit_softcap = 1.5f),
    CONFIG(plain_mlp, 3, 32, 48, 4, 4, .tied = false, .activation = DELE_GELU,
           .parallel_residual = true),
    CONFIG(plain_mlp, 2, 32, 48, 4, 4, .tied = false),
    CONFIG(positions, 2, 32, 48, 4, 4, .tied = true, .activation = DELE_GELU_TANH),
    CONFIG(olmoe, 2, 32, 24, 4, 2, .tied = false, .clip_qkv = 2.2f, .layer_kind = {SPARSE, SPARSE},
           .n_experts = 6, .top_k = 2),
    CONFIG(olmoe, 2, 32, 24, 4, 4, .tied = true, .layer_kind = {SPARSE, SPARSE}, .n_experts = 5,
           .top_k = 3, .norm_topk_prob = true),
    CONFIG(experts_about, 3, 32, 40, 4, 2, .tied = true, .activation = DELE_GELU_TANH,
           .embed_scale = 5.656854f, .layer_kind = {SPARSE, 0, SPARSE}, .n_experts = 4, .top_k = 2, .expert_size = 24,
           .shared_size = 16, .norm_topk_prob = true),
};
/* clang-format on */
enum { N_CONFIGS = sizeof CONFIGS / sizeof *CONFIGS };

/* Whether T rows are beyond what the rotation was trained on, so that all of them depend on T. */
static bool grows(int which) { return CONFIGS[which].rope[0].type == DELE_ROPE_DYNAMIC; }

static void forward(dele_run *run, const dele_model *m, const dele_batch *batch)
{
    dele_err err = {0};
    if (dele_forward(run, m, batch, &err)) fail_msg("%s", err.msg);
}

static dele_batch training_batch(const fixture *f, dele_segment segments[2])
{
    segments[0] = (dele_segment){.tokens = f->tokens, .n_rows = 4};
    segments[1] = (dele_segment){.tokens = f->tokens + 4, .n_rows = T - 4};
    return (dele_batch){.segments = segments,
                        .n_segments = 2,
                        .output_rows = f->rows,
                        .n_output_rows = T,
                        .keep_for_backward = true};
}

/* How far the last expert chosen is above the first one left out, in logits; the least over rows
 * and layers of the training batch. */
static double margin(const fixture *f)
{
    const dele_config *c = &f->model.config;
    const size_t n = (size_t)c->n_experts;
    double least = INFINITY;
    for (int layer = 0; layer < c->n_layers; layer++) {
        float z[T * 8];
        dele_segment segments[2];
        dele_run run = {0};
        dele_batch batch = training_batch(f, segments);
        dele_patch read = {
            .layer = layer, .n_rows = T, .site = DELE_ROUTER_LOGITS, .op = DELE_READ, .seen = z};
        if (!dele_layer_is_sparse(c, layer)) continue;
        batch.patches = &read, batch.n_patches = 1;
        forward(&run, &f->model, &batch);
        for (size_t t = 0; t < T; t++) {
            float *row = z + t * n, in = 0, out = 0;
            for (int k = 0; k <= c->top_k; k++) {
                const size_t top = argmax(row, n);
                in = out, out = row[top], row[top] = -INFINITY;
            }
            least = fmin(least, (double)in - out);
        }
        dele_run_release(&run);
    }
    return least;
}

static void fill_fixture(fixture *f, uint64_t seed)
{
    dele_model_randomise(&f->model, 0.15, seed);
    dele_rng rng;
    dele_rng_seed(&rng, 3);
    for (size_t i = 0; i < f->model.n_tensors;
         i++) { /* norms that are not all ones, biases not 0 */
        const dele_tensor *t = &f->model.tensors[i];
        for (size_t j = 0; t->vector && j < t->cols; j++)
            t->data[j] = (float)((t->part == DELE_PART_NORM) + 0.3 * dele_rng_normal(&rng));
        for (size_t j = 0; t->part == DELE_PART_ROUTER && j < t->rows * t->cols; j++)
            t->data[j] *= 3;
    }
    for (int t = 0; t < T; t++) {
        f->tokens[t] = (int)dele_rng_below(&rng, V);
        f->targets[t] = (int)dele_rng_below(&rng, V);
        f->rows[t] = t;
    }
}

/* Of a mixture the first weights whose routes no small step changes. */
static void open_fixture(fixture *f, int which)
{
    dele_err err = {0};
    *f = (fixture){0};
    if (dele_model_layout(&f->model, &CONFIGS[which], &f->arena, &err)) fail_msg("%s", err.msg);
    uint64_t seed = 7;
    do fill_fixture(f, seed++);
    while (margin(f) < 0.25);
}

static void close_fixture(fixture *f)
{
    dele_model_release(&f->model);
    dele_arena_release(&f->arena);
}

static void states_of(float *out, const fixture *f, const int *tokens)
{
    dele_run run = {0};
    dele_segment s = {.tokens = tokens, .n_rows = T};
    forward(
        &run, &f->model,
        &(dele_batch){.segments = &s, .n_segments = 1, .output_rows = f->rows, .n_output_rows = T});
    memcpy(out, run.final, T * (size_t)f->model.config.hidden_size * sizeof *out);
    dele_run_release(&run);
}

static double worst(const float *a, const float *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - b[i]));
    return most;
}

static void changing_a_token_leaves_earlier_rows_alone(void **state)
{
    (void)state;
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        size_t d_model = (size_t)f.model.config.hidden_size;
        float a[T * 32], b[T * 32];
        states_of(a, &f, f.tokens);
        f.tokens[5] = (f.tokens[5] + 1) % V;
        states_of(b, &f, f.tokens);
        assert_memory_equal(a, b, 5 * d_model * sizeof *a);
        assert_true(worst(a + 5 * d_model, b + 5 * d_model, d_model) > 1e-3);
        close_fixture(&f);
    }
}

/* A sequence in three pieces, each continuing the one before, ends where the whole does; two tails
 * share the parents. */
static void pieces_over_shared_parents_equal_the_whole(void **state)
{
    (void)state;
    for (int w = 0; w < N_CONFIGS; w++) {
        if (grows(w)) continue;
        fixture f;
        open_fixture(&f, w);
        size_t d_model = (size_t)f.model.config.hidden_size;
        float whole[T * 32];
        states_of(whole, &f, f.tokens);
        dele_err err = {0};
        dele_run run = {0};
        dele_kv first, second;
        assert_int_equal(dele_kv_init(&first, &f.model.config, NULL, 0, 4, &f.arena, &err),
                         DELE_OK);
        assert_int_equal(dele_kv_init(&second, &f.model.config, &first, 3, 4, &f.arena, &err),
                         DELE_OK);
        dele_segment a = {.tokens = f.tokens, .n_rows = 4, .keep = &first};
        forward(&run, &f.model,
                &(dele_batch){
                    .segments = &a, .n_segments = 1, .output_rows = f.rows, .n_output_rows = 4});
        assert_true(worst(run.final, whole, 4 * d_model) < 1e-5);
        dele_segment b = {
            .tokens = f.tokens + 3, .n_rows = 4, .first_pos = 3, .parent = &first, .keep = &second};
        forward(&run, &f.model, &(dele_batch){.segments = &b, .n_segments = 1});
        dele_segment tails[2] = {
            {.tokens = f.tokens + 7, .n_rows = 2, .first_pos = 7, .parent = &second},
            {.tokens = f.tokens + 7, .n_rows = 2, .first_pos = 7, .parent = &second}};
        forward(&run, &f.model,
                &(dele_batch){
                    .segments = tails, .n_segments = 2, .output_rows = f.rows, .n_output_rows = 4});
        assert_true(worst(run.final, whole + 7 * d_model, 2 * d_model) < 1e-5);
        assert_memory_equal(run.final, run.final + 2 * d_model, 2 * d_model * sizeof *run.final);
        dele_run_release(&run);
        close_fixture(&f);
    }
}

/* Up to the positions trained on (5) a cache is as good as one pass; beyond, only generation
 * continues one, whose new rows are rotated for the length that it has reached. */
static void a_rotation_that_grows_continues_a_cache_only_while_it_does_not_grow(void **state)
{
    (void)state;
    fixture f;
    int which = 0;
    while (!grows(which)) which++;
    open_fixture(&f, which);
    const size_t row = (size_t)f.model.config.hidden_size;
    float whole[T * 32], five[T * 32];
    dele_run run = {0};
    dele_err err = {0};
    dele_kv kv;
    states_of(whole, &f, f.tokens);
    dele_segment s = {.tokens = f.tokens, .n_rows = 5};
    dele_batch batch = {.segments = &s, .n_segments = 1, .output_rows = f.rows, .n_output_rows = 5};
    forward(&run, &f.model, &batch);
    memcpy(five, run.final, 5 * row * sizeof *five);
    assert_true(worst(five, whole, 5 * row) > 1e-3); /* the first rows too */
    s.n_behind = T - 5;
    forward(&run, &f.model, &batch);
    assert_true(worst(run.final, whole, 5 * row) < 1e-5);
    s.n_behind = 0;
    assert_int_equal(dele_kv_init(&kv, &f.model.config, NULL, 0, T, &f.arena, &err), DELE_OK);
    s.n_rows = 3, s.keep = &kv, batch.n_output_rows = 0;
    forward(&run, &f.model, &batch);
    s = (dele_segment){.tokens = f.tokens + 3, .n_rows = 2, .first_pos = 3, .parent = &kv};
    batch.n_output_rows = 2;
    forward(&run, &f.model, &batch);
    assert_true(worst(run.final, five + 3 * row, 2 * row) < 1e-5);
    s.n_rows = 3;
    assert_int_equal(dele_forward(&run, &f.model, &batch, &err), DELE_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "dynamic scaling"));
    s.keep = &kv;
    forward(&run, &f.model, &batch);
    dele_run_release(&run);
    close_fixture(&f);
}

static void late_joiners_and_neighbours_change_nothing(void **state)
{
    (void)state;
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        size_t d_model = (size_t)f.model.config.hidden_size;
        float whole[T * 32], seen[T * 32];
        states_of(whole, &f, f.tokens);
        dele_patch read[T];
        for (int t = 0; t < T; t++)
            read[t] = (dele_patch){.layer = 0,
                                   .row = t,
                                   .site = DELE_RESID_POST,
                                   .op = DELE_READ,
                                   .seen = seen + (size_t)t * d_model};
        dele_run run = {0};
        dele_segment s = {.tokens = f.tokens, .n_rows = T};
        forward(&run, &f.model,
                &(dele_batch){.segments = &s, .n_segments = 1, .patches = read, .n_patches = T});
        assert_int_equal(run.patches_applied, T);
        dele_segment two[2] = {{.tokens = f.tokens + 2, .n_rows = 5},
                               {.n_rows = T, .start_layer = 1, .states = seen}};
        int rows[T];
        for (int t = 0; t < T; t++) rows[t] = 5 + t;
        forward(&run, &f.model,
                &(dele_batch){
                    .segments = two, .n_segments = 2, .output_rows = rows, .n_output_rows = T});
        assert_true(worst(run.final, whole, T * d_model) < 1e-5);
        dele_run_release(&run);
        close_fixture(&f);
    }
}

/* Products of any number of rows, written over and added, into rows that stand apart; and a whole
 * model.  Where the backend keeps no packed matrices there is nothing to compare, and the plain way
 * must be taken. */
static void packed_matrices_give_the_same_products(void **state)
{
    (void)state;
    enum { N = 70, K = 37, M = 65, LD = 81 };
    static float w[N * K], x[M * K], plain[M * LD], packed[M * LD];
    dele_rng rng;
    dele_rng_seed(&rng, 11);
    for (size_t i = 0; i < N * K; i++) w[i] = (float)dele_rng_normal(&rng);
    for (size_t i = 0; i < M * K; i++) x[i] = (float)dele_rng_normal(&rng);
    gemm_packed *p = gemm_pack(w, N, K);
    for (size_t m = 1; m <= M; m++)
        for (int beta = 0; beta < 2; beta++) {
            for (size_t i = 0; i < M * LD; i++) plain[i] = packed[i] = 0.5f;
            assert_int_equal(gemm_nt_packed(packed, LD, x, K, p, m, (float)beta), p != NULL);
            if (p) gemm_nt(plain, LD, x, K, w, K, m, N, K, (float)beta);
            assert_true(worst(plain, packed, M * LD) < 1e-4);
        }
    gemm_packed_free(p);
    assert_false(gemm_nt_packed(packed, LD, x, K, NULL, M, 0));
}

/* Any number of rows, standing apart; an element does not depend on how many there are. */
static void a_product_of_few_rows_is_the_product(void **state)
{
    (void)state;
    enum { N = 260, K = 272, LDX = 275, LDY = 263, M = 129 };
    static float w[N * K], x[M * LDX], y[M * LDY], few[M * LDY], one[N];
    dele_rng rng;
    dele_rng_seed(&rng, 12);
    for (size_t i = 0; i < N * K; i++) w[i] = (float)dele_rng_normal(&rng);
    for (size_t i = 0; i < M * LDX; i++) x[i] = (float)dele_rng_normal(&rng);
    const bool has = gemm_nt_few(few, LDY, x, LDX, w, K, 1, N, K);
    for (size_t m = 1; m <= M; m++) {
        for (size_t i = 0; i < M * LDY; i++) y[i] = few[i] = 0.5f;
        assert_int_equal(gemm_nt_few(few, LDY, x, LDX, w, K, m, N, K), has && m <= 128);
        if (!has || m > 128) continue;
        gemm_nt(y, LDY, x, LDX, w, K, m, N, K, 0);
        assert_true(worst(y, few, M * LDY) < 1e-4);
        gemm_nt_few(one, N, x + (m - 1) * LDX, LDX, w, K, 1, N, K);
        assert_memory_equal(one, few + (m - 1) * LDY, sizeof one);
    }
    /* sizes that the kernel does not know */
    assert_false(gemm_nt_few(few, LDY, x, LDX, w, K, 4, N - 1, K));
    assert_false(gemm_nt_few(few, LDY, x, LDX, w, K, 4, N, K - 8));
    assert_false(gemm_nt_few(few, LDY, x, LDX, w, K, 4, 8, K));
}

/* silu, gelu, gelu_tanh */
static double activation(int which, double x)
{
    if (which == 0) return x / (1 + exp(-x));
    if (which == 1) return 0.5 * x * erfc(-x * sqrt(0.5));
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

/* The activations against libm in double, gated and plain, and their slopes against differences. */
static void activations_are_what_their_equations_say(void **state)
{
    (void)state;
    static const struct {
        void (*forward[2])(float *h, const float *x, size_t n, size_t width);
        void (*backward[2])(float *dx, const float *dh, const float *x, size_t n, size_t width);
    } activations[] = {
        {{silu_forward, silu_glu_forward}, {silu_backward, silu_glu_backward}},
        {{gelu_forward, gelu_glu_forward}, {gelu_backward, gelu_glu_backward}},
        {{gelu_tanh_forward, gelu_tanh_glu_forward}, {gelu_tanh_backward, gelu_tanh_glu_backward}}};
    enum { N = 3, WIDTH = 4001 };
    static float x[2 * N * WIDTH], h[N * WIDTH], dh[N * WIDTH], dx[2 * N * WIDTH];
    for (int gated = 0; gated < 2; gated++)
        for (int a = 0; a < 3; a++) {
            const size_t columns = WIDTH * (size_t)(gated + 1);
            for (size_t i = 0; i < N * columns; i++) {
                const size_t c = i % columns, t = i / columns;
                x[i] = c < WIDTH ? ((float)c - 2000) * 0.006f * (float)(t + 1) : 1.0f + (float)t;
            }
            for (size_t i = 0; i < N * WIDTH; i++) dh[i] = 0.5f + (float)(i % 3);
            activations[a].forward[gated](h, x, N, WIDTH);
            activations[a].backward[gated](dx, dh, x, N, WIDTH);
            for (size_t t = 0; t < N; t++)
                for (size_t c = 0; c < WIDTH; c++) {
                    const size_t i = t * columns + c, o = t * WIDTH + c;
                    const double v = (double)x[i], up = gated ? (double)x[i + WIDTH] : 1, e = 1e-4,
                                 value = activation(a, v),
                                 slope = (activation(a, v + e) - activation(a, v - e)) / (2 * e);
                    assert_true(fabs(up * value - (double)h[o]) < 1e-6 * (1 + fabs(v)) * up);
                    assert_true(fabs((double)dh[o] * up * slope - (double)dx[i]) < 1e-5 * up);
                    if (gated)
                        assert_true(fabs((double)dh[o] * value - (double)dx[i + WIDTH]) <
                                    3e-6 * (1 + fabs(v)));
                }
        }
}

static void a_soft_cap_is_a_tangent_and_its_slope(void **state)
{
    (void)state;
    enum { N = 4001 };
    static float x[N], y[N], dy[N];
    for (int k = 0; k < 3; k++) {
        const double cap = k == 0 ? 30 : k == 1 ? 1 : 0.25, scale = k == 2 ? 0.5 : 1;
        for (size_t i = 0; i < N; i++) {
            x[i] = y[i] = ((float)i - 2000) * 0.05f;
            dy[i] = 1 + (float)(i % 2);
        }
        softcap(y, N, (float)scale, (float)cap);
        for (size_t i = 0; i < N; i++)
            assert_true(fabs(cap * tanh((double)x[i] * scale / cap) - (double)y[i]) < 5e-7 * cap);
        softcap_backward(y, dy, N, (float)scale, (float)cap);
        for (size_t i = 0; i < N; i++) {
            const double t = tanh((double)x[i] * scale / cap);
            assert_true(fabs((double)dy[i] * scale * (1 - t * t) - (double)y[i]) < 2e-6);
        }
    }
}

static void a_packed_model_says_what_it_said(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        dele_run run = {0}; /* the fixture is in float32: no tile is needed */
        float before[T * 32], after[T * 32], logits[2][T * V];
        open_fixture(&f, which);
        states_of(before, &f, f.tokens);
        dele_logits(logits[0], &run, &f.model, before, T);
        for (int k = 0; k < 2; k++) /* once is enough, twice does no harm */
            assert_int_equal(dele_model_copy(&f.model, SIZE_MAX, NULL, NULL), DELE_OK);
        states_of(after, &f, f.tokens);
        dele_logits(logits[1], &run, &f.model, after, T);
        assert_true(worst(before, after, T * (size_t)f.model.config.hidden_size) < 1e-5);
        assert_true(worst(logits[0], logits[1], T * V) < 1e-5);
        close_fixture(&f);
    }
}

/* Of a site, all heads of it. */
static size_t site_width(const fixture *f, dele_site site)
{
    return (size_t)(site == DELE_ROUTER_LOGITS ? f->model.config.n_experts
                                               : f->model.config.hidden_size);
}

/* Every row of a site, read in one patch of a run of rows: what one patch a row reads. */
static void a_run_of_rows_reads_what_its_rows_read(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++)
        for (int site = DELE_EMBED; site <= DELE_RESID_POST; site++) {
            if (!dele_layer_has_site(&CONFIGS[which], 0, (dele_site)site)) continue;
            fixture f;
            dele_run run = {0};
            float at_once[T * 32], by_row[T * 32];
            dele_patch run_of_rows, rows[T * 4];
            open_fixture(&f, which);
            const size_t heads = site == DELE_HEAD_OUT ? (size_t)f.model.config.n_heads : 1,
                         width = site_width(&f, (dele_site)site), each = width / heads;
            run_of_rows = (dele_patch){.n_rows = T,
                                       .site = (dele_site)site,
                                       .op = DELE_READ,
                                       .head = DELE_ALL_HEADS,
                                       .seen = at_once};
            for (size_t i = 0; i < T * heads; i++)
                rows[i] = (dele_patch){.row = (int)(i / heads),
                                       .site = (dele_site)site,
                                       .op = DELE_READ,
                                       .head = (int)(i % heads),
                                       .seen = by_row + i * each};
            dele_segment s = {.tokens = f.tokens, .n_rows = T};
            dele_batch batch = {.segments = &s,
                                .n_segments = 1,
                                .output_rows = f.rows,
                                .n_output_rows = T,
                                .patches = &run_of_rows,
                                .n_patches = 1};
            forward(&run, &f.model, &batch);
            assert_int_equal(run.patches_applied, 1);
            batch.patches = rows, batch.n_patches = T * heads;
            forward(&run, &f.model, &batch);
            assert_memory_equal(at_once, by_row, T * width * sizeof *by_row);
            dele_run_release(&run);
            close_fixture(&f);
        }
}

/* Replacing, adding and scaling over a run of rows does what one patch a row does. */
static void a_run_of_rows_is_patched_as_its_rows_are(void **state)
{
    (void)state;
    static const dele_patch_op ops[] = {DELE_REPLACE, DELE_ADD, DELE_SCALE};
    enum { FROM = 2, N = 4 };
    for (int site = DELE_RESID_PRE; site <= DELE_RESID_POST; site++)
        for (size_t k = 0; k < N_CONFIGS * sizeof ops / sizeof *ops; k++) {
            const int which = (int)(k % N_CONFIGS);
            const dele_patch_op op = ops[k / N_CONFIGS];
            if (!dele_layer_has_site(&CONFIGS[which], 1, (dele_site)site)) continue;
            fixture f;
            dele_run run = {0};
            float value[N * 32], at_once[T * 32];
            const size_t states = T * (size_t)CONFIGS[which].hidden_size;
            dele_patch rows[N * 4];
            open_fixture(&f, which);
            const size_t heads = site == DELE_HEAD_OUT ? (size_t)f.model.config.n_heads : 1,
                         width = site_width(&f, (dele_site)site), each = width / heads;
            for (size_t i = 0; i < N * width; i++) value[i] = (float)sin((double)i);
            for (size_t i = 0; i < N * heads; i++)
                rows[i] = (dele_patch){.layer = 1,
                                       .row = FROM + (int)(i / heads),
                                       .site = (dele_site)site,
                                       .op = op,
                                       .head = (int)(i % heads),
                                       .value = op == DELE_SCALE ? value + 1 : value + i * each};
            dele_patch run_of_rows = rows[0];
            run_of_rows.n_rows = N, run_of_rows.head = DELE_ALL_HEADS;
            dele_segment s = {.tokens = f.tokens, .n_rows = T};
            dele_batch batch = {.segments = &s,
                                .n_segments = 1,
                                .output_rows = f.rows,
                                .n_output_rows = T,
                                .patches = &run_of_rows,
                                .n_patches = 1};
            forward(&run, &f.model, &batch);
            memcpy(at_once, run.final, states * sizeof *at_once);
            batch.patches = rows, batch.n_patches = N * heads;
            forward(&run, &f.model, &batch);
            assert_memory_equal(at_once, run.final, states * sizeof *at_once);
            dele_run_release(&run);
            close_fixture(&f);
        }
}

/* Rows 0 .. 3 start at layer 0, rows 4 .. 8 at layer 1: a run over both meets only some at layer 0.
 */
static void a_run_of_rows_of_which_some_are_not_computed_is_an_error(void **state)
{
    (void)state;
    fixture f;
    dele_run run = {0};
    dele_err err = {0};
    float seen[T * 32];
    open_fixture(&f, 0);
    float *states = dele_alloc(&f.arena, 5, 32 * sizeof *states, &err);
    dele_segment s[] = {{.tokens = f.tokens, .n_rows = 4},
                        {.states = states, .n_rows = 5, .start_layer = 1}};
    dele_patch patch = {.n_rows = T, .site = DELE_RESID_POST, .op = DELE_READ, .seen = seen};
    dele_batch batch = {.segments = s, .n_segments = 2, .patches = &patch, .n_patches = 1};
    assert_int_equal(dele_forward(&run, &f.model, &batch, &err), DELE_ERR_DATA);
    patch.layer = 1;
    err = (dele_err){0};
    assert_int_equal(dele_forward(&run, &f.model, &batch, &err), DELE_OK);
    patch.n_rows = T + 1;
    assert_int_equal(dele_forward(&run, &f.model, &batch, &err), DELE_ERR_DATA);
    dele_run_release(&run);
    close_fixture(&f);
}

/* What a pass is said to take is what it takes. */
static void the_memory_of_a_pass_is_counted_by_the_code_that_allocates_it(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++)
        for (int keep = 0; keep < 2; keep++) {
            fixture f;
            dele_run run = {0};
            open_fixture(&f, which);
            dele_segment s = {.tokens = f.tokens, .n_rows = T};
            dele_batch batch = {.segments = &s,
                                .n_segments = 1,
                                .output_rows = f.rows,
                                .n_output_rows = T,
                                .keep_for_backward = keep};
            const dele_pass_size size = {.n_rows = T,
                                         .n_segments = 1,
                                         .n_output_rows = T,
                                         .longest = T,
                                         .keep_for_backward = keep};
            forward(&run, &f.model, &batch);
            const size_t said = dele_forward_bytes(&f.model.config, &size);
            assert_true(said <= run.arena.used && run.arena.used <= said + 4096);
            dele_run_release(&run);
            close_fixture(&f);
        }
}

/* What the two sublayers' sites hold is what the layer adds to the stream, whatever norm they pass.
 */
static void the_outputs_of_a_layers_sublayers_add_up_to_what_it_adds(void **state)
{
    (void)state;
    static const dele_site sites[] = {DELE_RESID_PRE, DELE_ATTN_OUT, DELE_MLP_OUT, DELE_RESID_POST};
    enum { N = 4, LAYER = 1 };
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        dele_run run = {0};
        dele_patch reads[N];
        float seen[N][T * 32];
        open_fixture(&f, which);
        const size_t n = T * (size_t)f.model.config.hidden_size;
        for (int i = 0; i < N; i++)
            reads[i] = (dele_patch){
                .layer = LAYER, .n_rows = T, .site = sites[i], .op = DELE_READ, .seen = seen[i]};
        dele_segment s = {.tokens = f.tokens, .n_rows = T};
        dele_batch batch = {.segments = &s,
                            .n_segments = 1,
                            .output_rows = f.rows,
                            .n_output_rows = T,
                            .patches = reads,
                            .n_patches = N};
        forward(&run, &f.model, &batch);
        for (size_t i = 0; i < n; i++) seen[0][i] += seen[1][i] + seen[2][i];
        assert_true(worst(seen[0], seen[3], n) < 1e-5);
        dele_run_release(&run);
        close_fixture(&f);
    }
}

static void a_patch_that_meets_no_row_is_an_error(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    float value[32] = {0};
    dele_err err = {0};
    dele_run run = {0};
    dele_segment s = {.tokens = f.tokens, .n_rows = T};
    dele_patch p = {.layer = 3, .row = 0, .site = DELE_MLP_OUT, .op = DELE_REPLACE, .value = value};
    assert_int_not_equal(
        dele_forward(&run, &f.model,
                     &(dele_batch){.segments = &s, .n_segments = 1, .patches = &p, .n_patches = 1},
                     &err),
        DELE_OK);
    dele_run_release(&run);
    close_fixture(&f);
}

static void a_model_with_too_little_memory_fails_politely(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    dele_segment s = {.tokens = f.tokens, .n_rows = T};
    dele_err err = {0};
    dele_run run = {.arena = {.limit = 1 << 10}};
    assert_int_equal(
        dele_forward(&run, &f.model, &(dele_batch){.segments = &s, .n_segments = 1}, &err),
        DELE_ERR_MEMORY);
    assert_non_null(strstr(err.msg, "memory"));
    dele_run_release(&run);
    close_fixture(&f);
}

/* ---- gradients
 * ---------------------------------------------------------------------------------------------------
 * A gradient is right if it predicts how the loss moves:  <g, v> = (L(w + εv) - L(w - εv)) / 2ε
 * for random v. */

/* The loss with one state moved, or none (NULL). */
static double moved_loss(const fixture *f, const dele_patch *move)
{
    dele_segment segments[2];
    dele_batch batch = training_batch(f, segments);
    batch.patches = move;
    batch.n_patches = move ? 1 : 0;
    dele_run run = {0};
    double logp[T], sum = 0;
    forward(&run, &f->model, &batch);
    dele_err err = {0};
    assert_int_equal(dele_logprobs(logp, NULL, &run, &f->model, run.final, f->targets, T, &err),
                     DELE_OK);
    for (int t = 0; t < T; t++) sum -= logp[t];
    dele_run_release(&run);
    return sum;
}

static double loss(const fixture *f) { return moved_loss(f, NULL); }

static dele_status backward(const dele_grads *grads, const fixture *f, const dele_batch *batch,
                            dele_err *err)
{
    dele_run run = {0};
    float logits[T * V];
    forward(&run, &f->model, batch);
    dele_logits(logits, &run, &f->model, run.final, T);
    for (int t = 0; t < T; t++) {
        double sum = 0;
        for (int j = 0; j < V; j++) sum += exp(logits[t * V + j]);
        for (int j = 0; j < V; j++)
            logits[t * V + j] = (float)(exp(logits[t * V + j]) / sum) - (j == f->targets[t]);
    }
    dele_status status = dele_backward(&run, &f->model, batch, logits, grads, err);
    dele_run_release(&run);
    return status;
}

static void gradients(float **g, fixture *f, int lowest)
{
    dele_segment segments[2];
    dele_batch batch = training_batch(f, segments);
    batch.lowest = lowest;
    dele_err err = {0};
    if (backward(&(dele_grads){.g = g}, f, &batch, &err)) fail_msg("%s", err.msg);
}

static void a_site_that_the_layers_do_not_have_is_refused_by_both_passes(void **state)
{
    (void)state;
    int refused = 0;
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        dele_run run = {0};
        dele_err err = {0};
        float seen[32];
        dele_segment segments[2];
        open_fixture(&f, which);
        const bool has = dele_config_has_site(&f.model.config, DELE_RESID_MID);
        assert_int_equal(has, !f.model.config.parallel_residual);
        dele_patch patch = {.site = DELE_RESID_MID, .op = DELE_READ, .seen = seen};
        dele_batch batch = training_batch(&f, segments);
        assert_int_equal(backward(&(dele_grads){.reads = &patch, .n_reads = 1}, &f, &batch, &err),
                         has ? DELE_OK : DELE_ERR_UNSUPPORTED);
        batch.patches = &patch, batch.n_patches = 1;
        assert_int_equal(dele_forward(&run, &f.model, &batch, &err),
                         has ? DELE_OK : DELE_ERR_UNSUPPORTED);
        refused += !has;
        dele_run_release(&run);
        close_fixture(&f);
    }
    assert_true(refused > 0);
}

static double slope(const fixture *f, dele_tensor *t, const float *old, const float *v, double eps)
{
    size_t n = t->rows * t->cols;
    for (size_t i = 0; i < n; i++) t->data[i] = (float)(old[i] + eps * v[i]);
    double up = loss(f);
    for (size_t i = 0; i < n; i++) t->data[i] = (float)(old[i] - eps * v[i]);
    double down = loss(f);
    memcpy(t->data, old, n * sizeof *old);
    return (up - down) / (2 * eps);
}

/* The relative gap between <g, v> and the slope, extrapolated from two steps so that the third
 * derivative is gone.  Signed on purpose: with absolute values a flipped sign would pass. */
static double disagreement(const fixture *f, dele_tensor *t, const float *g, dele_rng *rng)
{
    size_t n = t->rows * t->cols;
    float *v = malloc(n * sizeof *v), *old = malloc(n * sizeof *old);
    double predicted = 0, h = t->vector ? 2e-3
                              : f->model.config.n_experts
                                  ? 1e-3
                                  : 2e-4; /* few weights move the loss little */
    memcpy(old, t->data, n * sizeof *old);
    for (size_t i = 0; i < n; i++) {
        v[i] = (float)dele_rng_normal(rng) +
               (g[i] > 0 ? 1.0f : -1.0f); /* leaning along g, so that <g, v> is not small */
        predicted += (double)g[i] * v[i];
    }
    if (fabs(predicted) > 300) h /= 8; /* and a steep loss bends soon */
    double measured = (4 * slope(f, t, old, v, h / 2) - slope(f, t, old, v, h)) / 3;
    free(v), free(old);
    return fabs(predicted - measured) / (fabs(measured) + 1e-3);
}

static bool all_zero(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0) return false;
    return true;
}

static void every_gradient_predicts_the_loss(void **state)
{
    (void)state;
    int experts = 0; /* tensors of experts with rows */
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        dele_rng rng;
        dele_rng_seed(&rng, 11);
        float **g = calloc(f.model.n_tensors, sizeof *g);
        for (size_t i = 0; i < f.model.n_tensors; i++)
            g[i] = calloc(f.model.tensors[i].rows * f.model.tensors[i].cols, sizeof **g);
        gradients(g, &f, 0);
        for (size_t i = 0; i < f.model.n_tensors; i++) {
            double gap = disagreement(&f, &f.model.tensors[i], g[i], &rng);
            if (!(gap < 1e-2)) fail_msg("config %d, %s: gap %g", w, f.model.tensors[i].name, gap);
            size_t n = f.model.tensors[i].rows * f.model.tensors[i].cols;
            if (f.model.tensors[i].expert >= 0 && all_zero(g[i], n)) continue; /* no row's choice */
            experts += f.model.tensors[i].expert >= 0;
            for (size_t j = 0; j < n; j++) g[i][j] = -g[i][j];
            if (!(disagreement(&f, &f.model.tensors[i], g[i], &rng) > 1.0))
                fail_msg("config %d, %s: a flipped sign was not noticed", w,
                         f.model.tensors[i].name);
        }
        for (size_t i = 0; i < f.model.n_tensors; i++) free(g[i]);
        free(g);
        close_fixture(&f);
    }
    assert_true(experts > 50);
}

/* torch's padding_idx, which a family has or not; a tied head's part of the row's gradient stays.
 */
static void the_pad_tokens_row_gets_no_gradient_from_its_places(void **state)
{
    (void)state;
    dele_family trains = dele_family_llama;
    trains.pad_row_trains = true;
    for (int family = 0; family < 2; family++)
        for (int w = 0; w < 2; w++) { /* tied, untied */
            fixture f;
            open_fixture(&f, w);
            dele_config *c = &f.model.config;
            const size_t d_model = (size_t)c->hidden_size, n = V * d_model,
                         row = (size_t)f.tokens[2] * d_model;
            float *with = calloc(n, sizeof *with), *without = calloc(n, sizeof *without);
            float **g = calloc(f.model.n_tensors, sizeof *g);
            if (family) c->family = &trains;
            g[0] = with; /* the embedding's */
            gradients(g, &f, 0);
            c->pad = f.tokens[2];
            g[0] = without;
            gradients(g, &f, 0);
            assert_true(f.model.tensors[0].slot == DELE_SLOT_EMBED);
            for (size_t i = 0; i < n; i++)
                if (family || i < row || i >= row + d_model) assert_true(with[i] == without[i]);
            double left = 0;
            for (size_t i = row; i < row + d_model; i++) left += fabs((double)without[i]);
            assert_int_equal(left > 0, family || c->tied);
            if (!family) assert_true(worst(with + row, without + row, d_model) > 1e-3);
            free(with), free(without), free(g);
            close_fixture(&f);
        }
}

static void freezing_the_rest_leaves_a_gradient_as_it_was(void **state)
{
    (void)state;
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        size_t n_tensors = f.model.n_tensors;
        float **all = calloc(n_tensors, sizeof *all), **one = calloc(n_tensors, sizeof *one);
        for (size_t i = 0; i < n_tensors; i++)
            all[i] = calloc(f.model.tensors[i].rows * f.model.tensors[i].cols, sizeof **all);
        gradients(all, &f, 0);
        for (size_t i = 0; i < n_tensors; i++) {
            size_t n = f.model.tensors[i].rows * f.model.tensors[i].cols;
            if (f.model.tensors[i].layer < 0) continue;
            one[i] = calloc(n, sizeof **one);
            gradients(one, &f, f.model.tensors[i].layer);
            if (memcmp(one[i], all[i], n * sizeof **one))
                fail_msg("config %d, %s trained alone", w, f.model.tensors[i].name);
            free(one[i]);
            one[i] = NULL;
        }
        for (size_t i = 0; i < n_tensors; i++) free(all[i]);
        free(all), free(one);
        close_fixture(&f);
    }
}

/* ---- gradients of states: the same test, a row of a site moved by a patch instead of a tensor
 * --- */

enum { N_SITES = DELE_RESID_POST + 1, MOST_READS = (N_SITES + 3) * 3 * T };

static int width(const fixture *f, const dele_patch *p)
{
    if (p->site == DELE_ROUTER_LOGITS) return f->model.config.n_experts;
    return p->site == DELE_HEAD_OUT ? f->model.config.head_dim : f->model.config.hidden_size;
}

/* Every site that the family has, of every row, seen at [site, layer, head, row] in steps of dim;
 * returns how many. */
static size_t all_sites(dele_patch *reads, float *seen, const fixture *f)
{
    size_t n = 0, d_model = (size_t)f->model.config.hidden_size;
    memset(seen, 0, MOST_READS * 32 * sizeof *seen);
    for (int site = 0; site < N_SITES; site++)
        for (int layer = 0; layer < (site == DELE_EMBED ? 1 : f->model.config.n_layers); layer++)
            for (int head = 0; dele_layer_has_site(&f->model.config, layer, (dele_site)site) &&
                               head < (site == DELE_HEAD_OUT ? f->model.config.n_heads : 1);
                 head++)
                for (int t = 0; t < T; t++, n++)
                    reads[n] = (dele_patch){.layer = layer,
                                            .row = t,
                                            .head = head,
                                            .expert = t % 4, /* chosen by the row or not */
                                            .site = (dele_site)site,
                                            .op = DELE_READ,
                                            .seen = seen + n * d_model};
    return n;
}

static double moved_slope(const fixture *f, dele_patch move, const float *v, double eps)
{
    float value[32];
    double side[2];
    move.op = DELE_ADD;
    move.value = value;
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < width(f, &move); j++) value[j] = (float)((i ? -eps : eps) * v[j]);
        side[i] = moved_loss(f, &move);
    }
    return (side[0] - side[1]) / (2 * eps);
}

static double state_disagreement(const fixture *f, const dele_patch *read, float sign,
                                 dele_rng *rng)
{
    const double steps[N_SITES] = {[DELE_HEAD_OUT] = 2e-3, [DELE_ROUTER_LOGITS] = 3e-2};
    float v[32]; /* along g in every channel: a head has few, and <g, v> must not cancel */
    /* in the stream small beside an embedding, or clip_qkv's kinks are met on the way */
    double predicted = 0, h = steps[read->site] > 0 ? steps[read->site] : 2e-4;
    for (int i = 0; i < width(f, read); i++) {
        v[i] = copysignf(0.5f + fabsf((float)dele_rng_normal(rng)), read->seen[i]);
        predicted += (double)sign * read->seen[i] * v[i];
    }
    double measured = (4 * moved_slope(f, *read, v, h / 2) - moved_slope(f, *read, v, h)) / 3;
    return fabs(predicted - measured) / (fabs(measured) + 1e-3);
}

static double steepness(const dele_patch *read, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += fabs((double)read->seen[i]);
    return sum;
}

static void every_states_gradient_predicts_the_loss(void **state)
{
    (void)state;
    int logits = 0; /* reads of a router's */
    static float seen[MOST_READS * 32];
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        dele_segment segments[2];
        dele_batch batch = training_batch(&f, segments);
        dele_patch reads[MOST_READS];
        dele_rng rng;
        dele_rng_seed(&rng, 13);
        dele_grads grads = {.reads = reads, .n_reads = all_sites(reads, seen, &f)};
        dele_err err = {0};
        if (backward(&grads, &f, &batch, &err)) fail_msg("%s", err.msg);
        for (size_t i = 0; i < grads.n_reads; i++) {
            const dele_patch *r = &reads[i];
            if (r->site == DELE_ROUTER_LOGITS && steepness(r, width(&f, r)) < 5e-3)
                continue; /* lost in the rounding of the loss */
            logits += r->site == DELE_ROUTER_LOGITS;
            double gap = state_disagreement(&f, r, 1, &rng);
            if (!(gap < 1e-2))
                fail_msg("config %d, layer %d, site %d, row %d: gap %g", w, r->layer, r->site,
                         r->row, gap);
            if (!(state_disagreement(&f, r, -1, &rng) > 1.0))
                fail_msg("config %d, layer %d, site %d, row %d: a flipped sign was not noticed", w,
                         r->layer, r->site, r->row);
        }
        close_fixture(&f);
    }
    assert_true(logits > 40);
}

/* What else is computed, how far the pass goes, and whether embeddings were looked up or given
 * change no gradient. */
static void a_states_gradient_is_the_same_however_it_is_asked_for(void **state)
{
    (void)state;
    static float all[MOST_READS * 32], some[T * 32], given[T * 32];
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        size_t d_model = (size_t)f.model.config.hidden_size, row = d_model * sizeof(float);
        dele_segment segments[2];
        dele_batch batch = training_batch(&f, segments);
        dele_patch reads[MOST_READS], one_site[T];
        dele_err err = {0};
        size_t n = all_sites(reads, all, &f);
        float **g = calloc(f.model.n_tensors, sizeof *g);
        for (size_t i = 0; i < f.model.n_tensors; i++)
            g[i] = calloc(f.model.tensors[i].rows * f.model.tensors[i].cols, sizeof **g);
        assert_int_equal(
            backward(&(dele_grads){.g = g, .reads = reads, .n_reads = n}, &f, &batch, &err),
            DELE_OK);
        dele_embed(given, &f.model, f.tokens, 4, 0);
        dele_embed(given + 4 * d_model, &f.model, f.tokens + 4, T - 4, 0);
        for (int i = 0; i < 2; i++) segments[i].tokens = NULL;
        segments[0].states = given, segments[1].states = given + 4 * d_model;
        for (size_t at = 0; at < n; at += T) {
            for (int t = 0; t < T; t++) {
                one_site[t] = reads[at + (size_t)t];
                one_site[t].seen = some + (size_t)t * d_model;
            }
            batch.lowest = one_site[0].layer;
            memset(some, 0, sizeof some);
            assert_int_equal(
                backward(&(dele_grads){.reads = one_site, .n_reads = T}, &f, &batch, &err),
                DELE_OK);
            assert_memory_equal(some, all + at * d_model, T * row);
        }
        assert_int_equal(backward(&(dele_grads){.g = g}, &f, &batch, &err),
                         DELE_ERR_UNSUPPORTED); /* no ids to train */
        for (size_t i = 0; i < f.model.n_tensors; i++) free(g[i]);
        free(g);
        close_fixture(&f);
    }
}

static void a_gradient_read_that_meets_no_row_is_an_error(void **state)
{
    (void)state;
    static const dele_patch nowhere[] = {
        {.layer = 3, .row = 0, .site = DELE_MLP_OUT, .op = DELE_READ},
        {.layer = 0, .row = 0, .site = DELE_RESID_POST, .op = DELE_READ}, /* not kept */
        {.layer = 1, .row = T, .site = DELE_RESID_MID, .op = DELE_READ},
        {.layer = 1, .row = -1, .site = DELE_RESID_MID, .op = DELE_READ},
        {.layer = 1, .row = 0, .head = 4, .site = DELE_HEAD_OUT, .op = DELE_READ},
        {.layer = 1, .row = 0, .head = -1, .site = DELE_HEAD_OUT, .op = DELE_READ},
        {.layer = 1, .row = 0, .site = DELE_EMBED, .op = DELE_READ}};
    fixture f;
    open_fixture(&f, 0);
    dele_segment segments[2];
    dele_batch batch = training_batch(&f, segments);
    batch.lowest = 1;
    float seen[32];
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        dele_patch reads[2] = {
            {.layer = 1, .row = 0, .head = 3, .site = DELE_HEAD_OUT, .op = DELE_READ, .seen = seen},
            nowhere[i]};
        reads[1].seen = seen;
        dele_err err = {0};
        assert_int_equal(backward(&(dele_grads){.reads = reads, .n_reads = 1}, &f, &batch, &err),
                         DELE_OK);
        assert_int_equal(backward(&(dele_grads){.reads = reads, .n_reads = 2}, &f, &batch, &err),
                         DELE_ERR_DATA);
        assert_non_null(strstr(err.msg, "1 of 2 gradients"));
    }
    close_fixture(&f);
}

static void cached_generation_equals_one_pass_a_token(void **state)
{
    (void)state;
    for (int w = 0; w < N_CONFIGS; w++) {
        if (grows(w)) continue;
        fixture f;
        open_fixture(&f, w);
        int plain[T + 6], out_a[6], out_b[6];
        memcpy(plain, f.tokens, sizeof f.tokens);
        dele_run run = {0};
        dele_err err = {0};
        float *logits = malloc(V * sizeof *logits);
        for (int n = T; n < T + 6; n++) {
            dele_segment s = {.tokens = plain, .n_rows = n};
            int last = n - 1;
            forward(&run, &f.model,
                    &(dele_batch){
                        .segments = &s, .n_segments = 1, .output_rows = &last, .n_output_rows = 1});
            dele_logits(logits, &run, &f.model, run.final, 1);
            plain[n] = 0;
            for (int j = 1; j < V; j++)
                if (logits[j] > logits[plain[n]]) plain[n] = j;
        }
        dele_continuation two[2] = {{.prompt = f.tokens, .n_prompt = T, .out = out_a},
                                    {.prompt = plain, .n_prompt = T + 2, .out = out_b}};
        if (dele_generate_many(two, 2, &run, &f.model, &(dele_many_opts){.max_new = 6}, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(two[0].n_out, 6);
        assert_memory_equal(out_a, plain + T, 6 * sizeof(int));
        assert_memory_equal(out_b, plain + T + 2, 4 * sizeof(int));
        free(logits);
        dele_run_release(&run);
        close_fixture(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changing_a_token_leaves_earlier_rows_alone),
        cmocka_unit_test(pieces_over_shared_parents_equal_the_whole),
        cmocka_unit_test(a_rotation_that_grows_continues_a_cache_only_while_it_does_not_grow),
        cmocka_unit_test(late_joiners_and_neighbours_change_nothing),
        cmocka_unit_test(packed_matrices_give_the_same_products),
        cmocka_unit_test(a_product_of_few_rows_is_the_product),
        cmocka_unit_test(activations_are_what_their_equations_say),
        cmocka_unit_test(a_soft_cap_is_a_tangent_and_its_slope),
        cmocka_unit_test(a_packed_model_says_what_it_said),
        cmocka_unit_test(a_run_of_rows_reads_what_its_rows_read),
        cmocka_unit_test(a_run_of_rows_is_patched_as_its_rows_are),
        cmocka_unit_test(a_run_of_rows_of_which_some_are_not_computed_is_an_error),
        cmocka_unit_test(the_memory_of_a_pass_is_counted_by_the_code_that_allocates_it),
        cmocka_unit_test(the_outputs_of_a_layers_sublayers_add_up_to_what_it_adds),
        cmocka_unit_test(a_site_that_the_layers_do_not_have_is_refused_by_both_passes),
        cmocka_unit_test(a_patch_that_meets_no_row_is_an_error),
        cmocka_unit_test(a_model_with_too_little_memory_fails_politely),
        cmocka_unit_test(every_gradient_predicts_the_loss),
        cmocka_unit_test(the_pad_tokens_row_gets_no_gradient_from_its_places),
        cmocka_unit_test(freezing_the_rest_leaves_a_gradient_as_it_was),
        cmocka_unit_test(every_states_gradient_predicts_the_loss),
        cmocka_unit_test(a_states_gradient_is_the_same_however_it_is_asked_for),
        cmocka_unit_test(a_gradient_read_that_meets_no_row_is_an_error),
        cmocka_unit_test(cached_generation_equals_one_pass_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
