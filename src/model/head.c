/* The head: from final states to logits and log-probabilities. */
#include "model/forward.h"
#include "tensor/ops.h"

void dele_logits(float *logits, dele_run *run, const dele_model *model, const float *states,
                 size_t n)
{
    linear_forward(logits, model->head.rows, 0, states, model->head.cols, n, &model->head,
                   run->tile);
}

dele_status dele_logits_check(const float *logits, size_t n, const dele_model *model, dele_err *err)
{
    if (all_finite(logits, n * (size_t)model->config.vocab)) return DELE_OK;
    return dele_fail(err, DELE_ERR_DATA,
                     "%s gives logits that are not finite (NaN or infinite): the model is broken",
                     model->path ? model->path : "the model");
}

dele_status dele_logprobs(double *logp, int *greedy, dele_run *run, const dele_model *model,
                          const float *states, const int *targets, size_t n, dele_err *err)
{
    size_t d_model = (size_t)model->config.hidden_size, vocab = (size_t)model->config.vocab,
           chunk = n < 256 ? n : 256;
    float *logits = dele_alloc_raw(&run->arena, chunk, vocab * sizeof *logits, err);
    if (!logits) return DELE_ERR_MEMORY;
    for (size_t at = 0; at < n; at += chunk) {
        size_t m = n - at < chunk ? n - at : chunk;
        dele_logits(logits, run, model, states + at * d_model, m);
        run->flops += 2.0 * (double)m * (double)d_model * (double)vocab;
#pragma omp parallel for if (m * vocab > 1 << 15)
        for (size_t i = 0; i < m; i++) {
            const float *row = logits + i * vocab;
            logp[at + i] = (double)row[targets[at + i]] - log_sum_exp(row, vocab);
            if (greedy) greedy[at + i] = argmax(row, vocab) == (size_t)targets[at + i];
        }
    }
    return DELE_OK;
}
