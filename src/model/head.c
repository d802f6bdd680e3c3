/* The head: from final states to logits and log-probabilities. */
#include "model/forward.h"
#include "tensor/ops.h"

void dele_logits(float *logits, dele_run *run, const dele_model *model, const float *states,
                 size_t n)
{
    const size_t vocab = model->head.rows;
    const float cap = model->config.logit_softcap;
    linear_forward(logits, vocab, 0, states, model->head.cols, n, &model->head, run->tile);
    if (!(cap > 0)) return;
#pragma omp parallel for if (n > 1)
    for (size_t i = 0; i < n; i++) softcap(logits + i * vocab, vocab, 1, cap);
}

dele_status dele_logits_check(const float *logits, size_t n, const dele_model *model, dele_err *err)
{
    if (all_finite(logits, n * (size_t)model->config.vocab)) return DELE_OK;
    return dele_fail(err, DELE_ERR_DATA,
                     "%s gives logits that are not finite (NaN or infinite): the model is broken",
                     model->path ? model->path : "the model");
}

double dele_head_flops(const dele_config *config, double n)
{
    return 2 * n * config->hidden_size * config->vocab;
}

enum { LOGIT_ROWS = 256 };

static float *lay_chunk(size_t *rows, const dele_config *config, size_t n, dele_arena *arena,
                        dele_err *err)
{
    *rows = n < LOGIT_ROWS ? n : LOGIT_ROWS;
    return dele_alloc_raw(arena, *rows, (size_t)config->vocab * sizeof(float), err);
}

size_t dele_logprobs_bytes(const dele_config *config, size_t n)
{
    dele_arena counted = {.counts = true};
    size_t rows;
    const float *logits = lay_chunk(&rows, config, n, &counted, NULL);
    const size_t bytes = counted.used;
    dele_arena_release(&counted);
    return logits ? bytes : SIZE_MAX;
}

dele_status dele_logprobs(double *logp, int *greedy, dele_run *run, const dele_model *model,
                          const float *states, const int *targets, size_t n, dele_err *err)
{
    size_t d_model = (size_t)model->config.hidden_size, vocab = (size_t)model->config.vocab, chunk;
    float *logits = lay_chunk(&chunk, &model->config, n, &run->arena, err);
    if (!logits) return DELE_ERR_MEMORY;
    for (size_t at = 0; at < n; at += chunk) {
        size_t m = n - at < chunk ? n - at : chunk;
        dele_logits(logits, run, model, states + at * d_model, m);
        run->flops += dele_head_flops(&model->config, (double)m);
#pragma omp parallel for if (m * vocab > 1 << 15)
        for (size_t i = 0; i < m; i++) {
            const float *row = logits + i * vocab;
            logp[at + i] = (double)row[targets[at + i]] - log_sum_exp(row, vocab);
            if (greedy) greedy[at + i] = argmax(row, vocab) == (size_t)targets[at + i];
        }
    }
    return DELE_OK;
}
