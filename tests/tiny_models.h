/* Tiny random models of different blocks, and a prompt for them. */
#ifndef DELE_TESTS_TINY_MODELS_H
#define DELE_TESTS_TINY_MODELS_H

#include "claims.h"

#include "base/random.h"
#include "model/forward.h"

#include "block_families.h"

enum { T = 7, V = 61, L = 5 };

#define TINY(name, kv_heads, ...)                                                                  \
    {                                                                                              \
        .family = &dele_family_##name, .n_layers = L, .hidden_size = 32, .intermediate_size = 48,  \
        .n_heads = 4, .n_kv_heads = kv_heads, .head_dim = 8, .vocab = V, .context = 64,            \
        .norm_eps = 1e-5f, .rope[0].theta = 1e4f, .pad = -1, __VA_ARGS__                           \
    }

static const dele_config CONFIGS[] = {
    TINY(llama, 2, .tied = true),
    TINY(olmo, 4, .tied = false, .clip_qkv = 2.0f),
    TINY(llama, 2, .tied = true, .attention_bias = true, .mlp_bias = true),
    TINY(norms_about, 2, .tied = true, .activation = DELE_GELU_TANH, .embed_scale = 5.656854f,
         .logit_softcap = 4.0f),
    TINY(plain_mlp, 4, .tied = false, .activation = DELE_GELU, .parallel_residual = true),
    TINY(positions, 4, .tied = true, .activation = DELE_GELU_TANH),
    TINY(norm_of_width, 2, .clip_qkv = 2.0f, .window = 3, .rope[1].theta = 50,
         .layer_kind = {SLIDING, 0, SLIDING, UNROTATED, SLIDING}),
    TINY(norm_of_head, 1, .tied = true, .window = 4, .attn_scale = 0.5f, .attn_softcap = 1.5f,
         .rotary_dim = 4, .layer_kind = {SLIDING, SLIDING, SLIDING, SLIDING, SLIDING}),
    TINY(olmoe, 4, .tied = false, .layer_kind = {SPARSE, SPARSE, SPARSE, SPARSE, SPARSE},
         .n_experts = 6, .top_k = 2),
    TINY(experts_about, 2, .tied = true, .layer_kind = {0, SPARSE, SPARSE, 0, SPARSE},
         .n_experts = 5, .top_k = 3, .expert_size = 24, .shared_size = 16, .norm_topk_prob = true),
    TINY(olmoe, 2, .tied = true, .n_experts = 8, .top_k = 3, .norm_topk_prob = true,
         .layer_kind = {SPARSE, SPARSE, SPARSE, SPARSE, SPARSE}), /* routes far from a tie */
};
enum { N_CONFIGS = sizeof CONFIGS / sizeof *CONFIGS };

static const int IDS[T] = {11, 3, 42, 17, 60, 8, 29};

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_run run;
} fixture;

/* Biases begin as 0, where a pass that forgets them would not be seen. */
static inline void fill_biases(dele_model *model)
{
    dele_rng rng;
    dele_rng_seed(&rng, 9);
    for (size_t i = 0; i < model->n_tensors; i++) {
        const dele_tensor *t = &model->tensors[i];
        for (size_t j = 0; t->row->init == DELE_INIT_ZEROS && j < t->cols; j++)
            t->data[j] = (float)(0.1 * dele_rng_normal(&rng));
    }
}

/* which of CONFIGS; std: of its weights */
static inline void open_tiny(fixture *f, int which, double std)
{
    dele_err err = {0};
    *f = (fixture){0};
    if (dele_model_layout(&f->model, &CONFIGS[which], &f->arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(&f->model, std, 5);
    fill_biases(&f->model);
}

static inline void close_fixture(fixture *f)
{
    dele_run_release(&f->run);
    dele_model_release(&f->model);
    dele_arena_release(&f->arena);
}

#endif
