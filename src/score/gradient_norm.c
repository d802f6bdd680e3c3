#include "score/gradient_norm.h"

#include <math.h>
#include <string.h>

#include "model/backward.h"

static dele_status reserve_gradients(dele_gradient_buffers *buffers, const dele_model *model,
                                     dele_err *err)
{
    if (!buffers->g) buffers->g = DELE_NEW(&buffers->arena, float *, model->n_tensors, err);
    for (size_t i = 0; buffers->g && i < model->n_tensors; i++) {
        const dele_tensor *t = &model->tensors[i];
        if (buffers->g[i])
            memset(buffers->g[i], 0, t->rows * t->cols * sizeof(float));
        else
            buffers->g[i] = dele_alloc(&buffers->arena, t->rows, t->cols * sizeof(float), err);
        if (!buffers->g[i]) return DELE_ERR_MEMORY;
    }
    return buffers->g ? DELE_OK : DELE_ERR_MEMORY;
}

/* logits [n, vocab] -> ∂ mean loss / ∂ logits = (softmax - 1 at the target) / n */
static void loss_gradient(float *logits, const int *targets, size_t n, size_t vocab)
{
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) {
        float *x = logits + i * vocab;
        double top = x[0], sum = 0;
        for (size_t v = 1; v < vocab; v++) top = fmax(top, (double)x[v]);
        for (size_t v = 0; v < vocab; v++) sum += exp((double)x[v] - top);
        for (size_t v = 0; v < vocab; v++)
            x[v] = (float)(exp((double)x[v] - top) / sum / (double)n);
        x[targets[i]] -= 1 / (float)n;
    }
}

static double mean_norm(const dele_gradient_buffers *buffers, const dele_model *model)
{
    double sum = 0;
    for (size_t i = 0; i < model->n_tensors; i++) {
        size_t size = model->tensors[i].rows * model->tensors[i].cols;
        double squares = 0;
        for (size_t k = 0; k < size; k++)
            squares += (double)buffers->g[i][k] * (double)buffers->g[i][k];
        sum += sqrt(squares);
    }
    return sum / (double)model->n_tensors;
}

dele_status dele_gradient_norm(double *norm, const dele_scored_text *text,
                               dele_gradient_buffers *buffers, dele_run *run,
                               const dele_model *model, dele_err *err)
{
    size_t n = (size_t)(text->n - text->first), vocab = (size_t)model->config.vocab;
    dele_arena_reset(&buffers->scratch);
    int *output_rows = DELE_NEW(&buffers->scratch, int, n, err);
    float *logits = dele_alloc_raw(&buffers->scratch, n, vocab * sizeof *logits, err);
    if (!output_rows || !logits || reserve_gradients(buffers, model, err)) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) output_rows[i] = text->first - 1 + (int)i;
    dele_segment segment = {.tokens = text->ids, .n_rows = text->n - 1, .n_after = 1};
    dele_batch batch = {.segments = &segment,
                        .n_segments = 1,
                        .output_rows = output_rows,
                        .n_output_rows = n,
                        .keep_for_backward = true};
    dele_status status = dele_forward(run, model, &batch, err);
    if (status) return status;
    dele_logits(logits, run, model, run->final, n);
    if ((status = dele_logits_check(logits, n, model, err))) return status;
    loss_gradient(logits, text->ids + text->first, n, vocab);
    dele_grads grads = {.g = buffers->g};
    status = dele_backward(run, model, &batch, logits, &grads, err);
    if (!status) *norm = mean_norm(buffers, model);
    return status;
}

void dele_gradient_buffers_release(dele_gradient_buffers *buffers)
{
    dele_arena_release(&buffers->arena);
    dele_arena_release(&buffers->scratch);
    *buffers = (dele_gradient_buffers){0};
}
