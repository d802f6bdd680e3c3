#include "score/gradient_norm.h"

#include <math.h>
#include <string.h>

static lac_status make_room(lac_gradient_room *room, const lac_model *model, lac_err *err)
{
    if (!room->g) room->g = LAC_NEW(&room->arena, float *, model->n_tensors, err);
    for (size_t i = 0; room->g && i < model->n_tensors; i++) {
        const lac_tensor *t = &model->tensors[i];
        if (room->g[i]) memset(room->g[i], 0, t->rows * t->cols * sizeof(float));
        else room->g[i] = lac_alloc(&room->arena, t->rows, t->cols * sizeof(float), err);
        if (!room->g[i]) return LAC_ERR_MEMORY;
    }
    return room->g ? LAC_OK : LAC_ERR_MEMORY;
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
        for (size_t v = 0; v < vocab; v++) x[v] = (float)(exp((double)x[v] - top) / sum / (double)n);
        x[targets[i]] -= 1 / (float)n;
    }
}

static double mean_norm(const lac_gradient_room *room, const lac_model *model)
{
    double sum = 0;
    for (size_t i = 0; i < model->n_tensors; i++) {
        size_t size = model->tensors[i].rows * model->tensors[i].cols;
        double squares = 0;
        for (size_t k = 0; k < size; k++) squares += (double)room->g[i][k] * (double)room->g[i][k];
        sum += sqrt(squares);
    }
    return sum / (double)model->n_tensors;
}

lac_status lac_gradient_norm(double *norm, const lac_scored_text *text, lac_gradient_room *room, lac_run *run,
                             const lac_model *model, lac_err *err)
{
    size_t n = (size_t)(text->n - text->first), vocab = (size_t)model->config.vocab;
    lac_arena_reset(&room->scratch);
    int *wanted = LAC_NEW(&room->scratch, int, n, err);
    float *logits = lac_alloc_raw(&room->scratch, n, vocab * sizeof *logits, err);
    if (!wanted || !logits || make_room(room, model, err)) return LAC_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) wanted[i] = text->first - 1 + (int)i;
    lac_segment segment = {.tokens = text->ids, .n_rows = text->n - 1};
    lac_batch batch = {
        .segments = &segment, .n_segments = 1, .wanted = wanted, .n_wanted = n, .keep_for_backward = true};
    lac_status status = lac_forward(run, model, &batch, err);
    if (status) return status;
    lac_logits(logits, model, run->final, n);
    loss_gradient(logits, text->ids + text->first, n, vocab);
    lac_grads grads = {.g = room->g};
    status = lac_backward(run, model, &batch, logits, &grads, err);
    if (!status) *norm = mean_norm(room, model);
    return status;
}

void lac_gradient_room_release(lac_gradient_room *room)
{
    lac_arena_release(&room->arena);
    lac_arena_release(&room->scratch);
    *room = (lac_gradient_room){0};
}
