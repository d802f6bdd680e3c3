/* How near the engine comes to the machine: prefill and a training step in float32 against the
 * sgemm rate that this same program measures.
 *
 *   build/release/bench_engine [MODEL [rows]]        without a model: SmolLM2-135M's shape with
 *                                                    random weights
 *   build/release/bench_engine experts               a mixture of 64 experts, 8 for each row, at 8
 *                                                    to 64 rows an expert, against a dense MLP of
 *                                                    as many operations a row
 *
 * A rate counts the floating-point operations of the weights' products (2 a weight and row forward,
 * 6 with the backward pass) and of causal attention; element-wise work is not counted, so it shows
 * as loss. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/random.h"
#include "model/backward.h"
#include "model/forward.h"
#include "tensor/gemm.h"

/* The first whose layers are all dense with a gated MLP, or all sparse without a shared expert. */
static const dele_family *family_with(bool experts)
{
    for (size_t i = 0; i < dele_n_families; i++) {
        const dele_family *f = dele_families[i];
        if (dele_family_tensor(f, DELE_SLOT_ATTN_NORM) &&
            !dele_family_tensor(f, DELE_SLOT_SHARED_UP) &&
            !dele_family_tensor(f, DELE_SLOT_ROUTER) == !experts &&
            !dele_family_tensor(f, DELE_SLOT_GATE) == experts)
            return f;
    }
    return NULL;
}

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
        for (size_t i = 0; i < n * vocab; i++) logits[i] *= 1e-6f; /* in place of a loss */
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

/* Of the two models, each trial of one after one of the other: seconds of the best. */
static dele_status race(double best[2], dele_run run[2], const dele_model model[2],
                        const dele_batch *batch, float *dlogits, float **const g[2], dele_err *err)
{
    enum { TRIALS = 8 };
    best[0] = best[1] = 1e9;
    for (int i = 0; i < 2 * TRIALS; i++) {
        const int which = i % 2;
        double t = dele_now();
        if (dele_forward(&run[which], &model[which], batch, err)) return err->code;
        if (batch->keep_for_backward && dele_backward(&run[which], &model[which], batch, dlogits,
                                                      &(dele_grads){.g = g[which]}, err))
            return err->code;
        t = dele_now() - t;
        if (i >= 2 && t < best[which]) best[which] = t;
    }
    return DELE_OK;
}

/* Two models that differ in their MLPs alone: experts, and one as wide as the experts of a row
 * together.  Little else: a small vocabulary, one head. */
static dele_status experts_against_dense(dele_arena *arena, dele_err *err)
{
    enum { E = 64, K = 8, D_FF = 512, VOCAB = 64, WIDTH = 1024, MOST = 64 * E / K };
    dele_config config[2] = {{.family = family_with(false),
                              .n_layers = 1,
                              .hidden_size = WIDTH,
                              .intermediate_size = K * D_FF,
                              .n_heads = 1,
                              .n_kv_heads = 1,
                              .head_dim = 64,
                              .vocab = VOCAB,
                              .context = 16,
                              .norm_eps = 1e-5f,
                              .rope[0].theta = 1e4f}};
    dele_model model[2];
    dele_run run[2];
    float **g[2];
    static int rows[MOST];
    static float dlogits[MOST * VOCAB], states[MOST * WIDTH];
    dele_segment s[MOST / 16];
    dele_rng rng;
    config[1] = config[0];
    config[1].family = family_with(true);
    config[1].intermediate_size = D_FF, config[1].n_experts = E, config[1].top_k = K;
    dele_config_settle(&config[1]);
    for (int m = 0; m < 2; m++) {
        if (dele_model_layout(&model[m], &config[m], arena, err)) return err->code;
        run[m] = (dele_run){0};
        dele_model_randomise(&model[m], 0.02, 1);
        if (!(g[m] = DELE_NEW(arena, float *, model[m].n_tensors, err))) return DELE_ERR_MEMORY;
        for (size_t i = 0; i < model[m].n_tensors; i++)
            if (model[m].tensors[i].layer >= 0 &&
                !(g[m][i] = DELE_NEW(arena, float,
                                     model[m].tensors[i].rows *model[m].tensors[i].cols, err)))
                return DELE_ERR_MEMORY;
    }
    for (int i = 0; i < MOST; i++) rows[i] = i, dlogits[i * VOCAB] = 1e-6f;
    dele_rng_seed(&rng, 1);
    for (int i = 0; i < MOST * WIDTH; i++) states[i] = (float)dele_rng_normal(&rng);
    printf("%-28s %16s %16s\n", "", "dense ms", "experts ms");
    for (int each = 8; each <= 64; each *= 2)
        for (int trains = 0; trains < 2; trains++) {
            const int n = each * E / K;
            double best[2];
            for (int i = 0; i * 16 < n; i++)
                s[i] = (dele_segment){.states = states + i * 16 * WIDTH, .n_rows = 16};
            const dele_batch batch = {.segments = s,
                                      .n_segments = (size_t)n / 16,
                                      .output_rows = rows,
                                      .n_output_rows = (size_t)n,
                                      .keep_for_backward = trains};
            if (race(best, run, model, &batch, dlogits, g, err)) return err->code;
            printf("%3d rows an expert, %-8s %16.1f %16.1f   %3.0f %% of the dense rate\n", each,
                   trains ? "training" : "forward", 1e3 * best[0], 1e3 * best[1],
                   100 * best[0] / best[1]);
        }
    dele_run_release(&run[0]), dele_run_release(&run[1]);
    return DELE_OK;
}

int main(int argc, char **argv)
{
    dele_arena arena = {0};
    dele_model model = {0};
    dele_run run = {0};
    dele_err err = {0};
    dele_config config = SMOLLM2_SHAPE;
    config.family = family_with(false);
    if (argc == 2 && !strcmp(argv[1], "experts")) {
        experts_against_dense(&arena, &err);
        dele_arena_release(&arena);
        return dele_complain(&err);
    }
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
