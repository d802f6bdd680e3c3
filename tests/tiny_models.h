/* Two tiny random models, one of each family, and a prompt for them. */
#ifndef DELE_TESTS_TINY_MODELS_H
#define DELE_TESTS_TINY_MODELS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/forward.h"

enum { T = 7, V = 61, L = 5 };

static const dele_config CONFIGS[] = {{.family = &dele_family_llama,
                                       .n_layers = L,
                                       .hidden_size = 32,
                                       .intermediate_size = 48,
                                       .n_heads = 4,
                                       .n_kv_heads = 2,
                                       .head_dim = 8,
                                       .vocab = V,
                                       .context = 64,
                                       .norm_eps = 1e-5f,
                                       .rope_theta = 1e4f,
                                       .tied = true},
                                      {.family = &dele_family_olmo,
                                       .n_layers = L,
                                       .hidden_size = 32,
                                       .intermediate_size = 48,
                                       .n_heads = 4,
                                       .n_kv_heads = 4,
                                       .head_dim = 8,
                                       .vocab = V,
                                       .context = 64,
                                       .norm_eps = 1e-5f,
                                       .rope_theta = 1e4f,
                                       .clip_qkv = 2.0f,
                                       .tied = false}};

static const int IDS[T] = {11, 3, 42, 17, 60, 8, 29};

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_run run;
} fixture;

/* which of CONFIGS; std: of its weights */
static inline void open_tiny(fixture *f, int which, double std)
{
    dele_err err = {0};
    *f = (fixture){0};
    if (dele_model_layout(&f->model, &CONFIGS[which], &f->arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(&f->model, std, 5);
}

static inline void close_fixture(fixture *f)
{
    dele_run_release(&f->run);
    dele_model_release(&f->model);
    dele_arena_release(&f->arena);
}

#endif
