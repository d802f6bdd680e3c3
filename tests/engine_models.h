/* Tiny random models of every block, a training batch of two segments, and how far two results are
 * apart. */
#ifndef DELE_TESTS_ENGINE_MODELS_H
#define DELE_TESTS_ENGINE_MODELS_H

#include "claims.h"

#include "base/random.h"
#include "model/backward.h"
#include "model/forward.h"
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

static inline void forward(dele_run *run, const dele_model *m, const dele_batch *batch)
{
    dele_err err = {0};
    if (dele_forward(run, m, batch, &err)) fail_msg("%s", err.msg);
}

static inline dele_batch training_batch(const fixture *f, dele_segment segments[2])
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
static inline double margin(const fixture *f)
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

static inline void fill_fixture(fixture *f, uint64_t seed)
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
static inline void open_fixture(fixture *f, int which)
{
    dele_err err = {0};
    *f = (fixture){0};
    if (dele_model_layout(&f->model, &CONFIGS[which], &f->arena, &err)) fail_msg("%s", err.msg);
    uint64_t seed = 7;
    do fill_fixture(f, seed++);
    while (margin(f) < 0.25);
}

static inline void close_fixture(fixture *f)
{
    dele_model_release(&f->model);
    dele_arena_release(&f->arena);
}

static inline double worst(const float *a, const float *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - b[i]));
    return most;
}

#endif
