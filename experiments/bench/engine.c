/* How near the engine comes to the machine: prefill and a training step in float32 against the
 * sgemm rate that this same program measures.
 *
 *   build/release/bench_engine [MODEL [rows]]        without a model: SmolLM2-135M's shape with
 *                                                    random weights
 *
 * A rate counts the floating-point operations of the weights' products (2 a weight and row forward,
 * 6 with the backward pass) and of causal attention; element-wise work is not counted, so it shows
 * as loss. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/progress.h"
#include "model/forward.h"
#include "tensor/gemm.h"

static const dele_config SMOLLM2_SHAPE = {.n_layers = 30,
                                          .hidden_size = 576,
                                          .intermediate_size = 1536,
                                          .n_heads = 9,
                                          .n_kv_heads = 3,
                                          .head_dim = 64,
                                          .vocab = 49152,
                                          .context = 8192,
                                          .norm_eps = 1e-5f,
                                          .rope[0].theta = 1e5f,
                                          .tied = true};

/* Of one row through the layers. */
static double row_flops(const dele_config *c, double keys)
{
    return dele_layers_flops(c, (size_t)c->n_layers, keys);
}

static void report(const char *what, double flops, int rows, double seconds, double gemm)
{
    printf("%-28s %7.1f GFLOP/s  %6.0f tokens/s  %3.0f %% of sgemm\n", what, flops / seconds / 1e9,
           rows / seconds, 100 * flops / seconds / gemm);
}

static dele_status prefill(dele_run *run, const dele_model *m, const int *tokens, int rows,
                           double gemm, dele_err *err)
{
    int last = rows - 1;
    dele_segment whole = {.tokens = tokens, .n_rows = rows};
    dele_batch batch = {
        .segments = &whole, .n_segments = 1, .output_rows = &last, .n_output_rows = 1};
    double best = 1e9;
    for (int r = 0; r < 4; r++) {
        double t = dele_now();
        if (dele_forward(run, m, &batch, err)) return err->code;
        t = dele_now() - t;
        if (r && t < best) best = t;
    }
    report("prefill", rows * row_flops(&m->config, rows / 2.0), rows, best, gemm);
    return DELE_OK;
}

/* Eight packed sequences, every tensor trained, a label on every row. */
static dele_status training_step(dele_run *run, const dele_model *m, const int *tokens, int rows,
                                 double gemm, dele_arena *arena, dele_err *err)
{
    int each = rows / 8;
    dele_segment packed[8];
    for (int i = 0; i < 8; i++)
        packed[i] = (dele_segment){.tokens = tokens + i * each, .n_rows = each};
    size_t n = (size_t)each * 8, vocab = (size_t)m->config.vocab;
    int *output_rows = DELE_NEW(arena, int, n, err);
    float *logits = dele_alloc(arena, n, vocab * sizeof *logits, err),
          **g = DELE_NEW(arena, float *, m->n_tensors, err);
    if (!output_rows || !logits || !g) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) output_rows[i] = (int)i;
    for (size_t i = 0; i < m->n_tensors; i++)
        if (!(g[i] = DELE_NEW(arena, float, m->tensors[i].rows * m->tensors[i].cols, err)))
            return DELE_ERR_MEMORY;
    dele_batch batch = {.segments = packed,
                        .n_segments = 8,
                        .output_rows = output_rows,
                        .n_output_rows = n,
                        .keep_for_backward = true};
    double best = 1e9;
    for (int r = 0; r < 3; r++) {
        double t = dele_now();
        if (dele_forward(run, m, &batch, err)) return err->code;
        dele_logits(logits, run, m, run->final, n);
        for (size_t i = 0; i < n * vocab; i++) logits[i] *= 1e-6f; /* in the place of a loss */
        if (dele_backward(run, m, &batch, logits, &(dele_grads){.g = g}, err)) return err->code;
        t = dele_now() - t;
        if (r && t < best) best = t;
    }
    double flops =
        (double)n * 3 *
        (row_flops(&m->config, each / 2.0) + 2.0 * m->config.hidden_size * m->config.vocab);
    report("training step", flops, (int)n, best, gemm);
    return DELE_OK;
}

int main(int argc, char **argv)
{
    dele_arena arena = {0};
    dele_model model = {0};
    dele_run run = {0};
    dele_err err = {0};
    dele_config config = SMOLLM2_SHAPE;
    config.family = dele_families[0];
    int rows = argc > 2 ? atoi(argv[2]) : 2048;
    if (argc > 1 ? dele_model_load(&model, argv[1], &arena, &err)
                 : dele_model_layout(&model, &config, &arena, &err))
        return dele_complain(&err);
    if (argc == 1) dele_model_randomise(&model, 0.02, 1);
    const dele_config *c = &model.config;
    double gemm = gemm_rate((size_t)rows, (size_t)c->intermediate_size, (size_t)c->hidden_size);
    printf("%-28s %7.1f GFLOP/s  %d x %d x %d, %d threads\n", "sgemm", gemm / 1e9, rows,
           c->intermediate_size, c->hidden_size, omp_get_max_threads());
    int *tokens = DELE_NEW(&arena, int, (size_t)rows, &err);
    for (int t = 0; tokens && t < rows; t++) tokens[t] = (t * 7919) % c->vocab;
    if (tokens && !prefill(&run, &model, tokens, rows, gemm, &err))
        training_step(&run, &model, tokens, rows < 512 ? rows : 512, gemm, &arena, &err);
    dele_run_release(&run);
    dele_model_release(&model);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
