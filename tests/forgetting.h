/* A tiny model that has learnt two sets by heart, of which one is to be forgotten by its first
 * layer's mlp alone.
 *
 *   cmocka_run_group_tests(tests, setup, teardown)        the fixture is *state; tests begin with
 *                                                         restore_weights */
#ifndef DELE_TEST_FORGETTING_H
#define DELE_TEST_FORGETTING_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unlearn/trainer.h"

enum { VOCAB = 40, N_ROWS = 8, LENGTH = 7, FIRST = 4 };

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_mask mask;
    int ids[2][N_ROWS][LENGTH];
    dele_sequence row[2][N_ROWS];
    dele_dataset set[2];
    dele_trainable trainable; /* the masked tensors */
    dele_train_data data;     /* both sets */
    dele_train_output output; /* nowhere */
    float **saved;
} fixture;

/* Only layer 0's mlp moves. */
static inline void make_mask(fixture *f)
{
    dele_err err = {0};
    dele_model *m = &f->model;
    f->mask = (dele_mask){.trains = DELE_NEW(&f->arena, bool, m->n_tensors, &err),
                          .n_tensors = m->n_tensors};
    for (size_t k = 0; k < m->n_tensors; k++) {
        if (m->tensors[k].layer != 0 || m->tensors[k].part != DELE_PART_MLP) continue;
        f->mask.trains[k] = true;
        f->mask.n_trained++;
        f->mask.n_parameters += m->tensors[k].rows * m->tensors[k].cols;
    }
}

/* Rows of different lengths, so that token means and row means differ. */
static inline void make_sets(fixture *f)
{
    dele_rng rng;
    dele_rng_seed(&rng, 11);
    for (int side = 0; side < 2; side++) {
        f->set[side] = (dele_dataset){.row = f->row[side], .n = N_ROWS};
        for (int i = 0; i < N_ROWS; i++) {
            size_t n = (size_t)(LENGTH - i % 3);
            for (int k = 0; k < LENGTH; k++) f->ids[side][i][k] = (int)dele_rng_below(&rng, VOCAB);
            f->row[side][i] = (dele_sequence){f->ids[side][i], n, FIRST, i + 1};
            f->set[side].labels += n - FIRST;
            f->set[side].tokens += n;
            if (n > f->set[side].longest) f->set[side].longest = n;
        }
    }
}

static inline void save_weights(fixture *f)
{
    dele_err err = {0};
    if (!f->saved) f->saved = DELE_NEW(&f->arena, float *, f->model.n_tensors, &err);
    for (size_t k = 0; k < f->model.n_tensors; k++) {
        const dele_tensor *t = &f->model.tensors[k];
        if (!f->saved[k]) f->saved[k] = DELE_NEW(&f->arena, float, t->rows * t->cols, &err);
        memcpy(f->saved[k], t->data, t->rows * t->cols * sizeof(float));
    }
}

static inline void restore_weights(fixture *f)
{
    for (size_t k = 0; k < f->model.n_tensors; k++)
        memcpy(f->model.tensors[k].data, f->saved[k],
               f->model.tensors[k].rows * f->model.tensors[k].cols * sizeof(float));
}

static inline dele_train_options options(const dele_objective *objective)
{
    dele_train_options o = DELE_TRAIN_DEFAULTS;
    o.objective = objective;
    o.seed = 5;
    return o;
}

static inline bool all(const dele_model *model, dele_mask *mask, bool *trains)
{
    *mask = (dele_mask){.trains = trains,
                        .n_tensors = model->n_tensors,
                        .n_trained = model->n_tensors,
                        .n_parameters = dele_model_parameters(model)};
    memset(trains, true, model->n_tensors);
    return true;
}

/* A model that has learnt both sets by heart; the masked part alone is to forget one of them. */
static inline int setup(void **state)
{
    static const dele_config config = {.family = &dele_family_llama,
                                       .n_layers = 2,
                                       .hidden_size = 32,
                                       .intermediate_size = 64,
                                       .n_heads = 4,
                                       .n_kv_heads = 2,
                                       .head_dim = 8,
                                       .vocab = VOCAB,
                                       .context = 32,
                                       .norm_eps = 1e-5f,
                                       .rope[0].theta = 1e4f,
                                       .tied = true};
    fixture *f = calloc(1, sizeof *f);
    dele_err err = {0};
    if (!f || dele_model_layout(&f->model, &config, &f->arena, &err)) return -1;
    dele_model_randomise(&f->model, 0.05, 7);
    make_sets(f);
    dele_dataset both = {.row = DELE_NEW(&f->arena, dele_sequence, 2 * N_ROWS, &err),
                         .n = 2 * N_ROWS,
                         .longest = LENGTH};
    memcpy(both.row, f->row[0], sizeof f->row[0]);
    memcpy(both.row + N_ROWS, f->row[1], sizeof f->row[1]);
    bool trains[64];
    dele_mask everything;
    all(&f->model, &everything, trains);
    dele_train_options o = options(&dele_objective_ce);
    o.adamw.lr = 1e-2;
    o.epochs = 40;
    o.batch = 8;
    dele_train_report report;
    const dele_trainable whole = {.model = &f->model, .mask = &everything};
    const dele_train_data learnt = {.set = {[DELE_RETAIN] = &both}};
    if (dele_train(&report, &whole, &learnt, &o, NULL, &err)) fail_msg("%s", err.msg);
    if (report.last.loss[DELE_RETAIN] > 0.1)
        fail_msg("the tiny model did not learn: %g", report.last.loss[DELE_RETAIN]);
    make_mask(f);
    f->trainable = (dele_trainable){.model = &f->model, .mask = &f->mask};
    f->data = (dele_train_data){.set = {&f->set[DELE_FORGET], &f->set[DELE_RETAIN]}};
    save_weights(f);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    fixture *f = *state;
    dele_model_release(&f->model);
    dele_arena_release(&f->arena);
    free(f);
    return 0;
}

/* Of one row, summed over its labels. */
static inline double nll_of(const fixture *f, const dele_sequence *s)
{
    double sum = 0, logp[LENGTH];
    int output_rows[LENGTH];
    dele_run run = {0};
    dele_err err = {0};
    const size_t labels = s->n - s->first_label;
    for (size_t k = 0; k < labels; k++) output_rows[k] = (int)(s->first_label + k - 1);
    dele_segment segment = {.tokens = s->ids, .n_rows = (int)s->n - 1};
    dele_batch batch = {
        .segments = &segment, .n_segments = 1, .output_rows = output_rows, .n_output_rows = labels};
    if (dele_forward(&run, &f->model, &batch, &err) ||
        dele_logprobs(logp, NULL, &run, &f->model, run.final, s->ids + s->first_label, labels,
                      &err))
        fail_msg("%s", err.msg);
    for (size_t k = 0; k < labels; k++) sum -= logp[k];
    dele_run_release(&run);
    return sum;
}

/* One mean over all labels of a side, or the mean of its rows' means. */
static inline double loss_by_hand(const fixture *f, dele_side side, bool by_sequence)
{
    double sum = 0, n = 0;
    for (int i = 0; i < N_ROWS; i++) {
        const dele_sequence *s = &f->row[side][i];
        const double labels = (double)(s->n - s->first_label);
        sum += nll_of(f, s) / (by_sequence ? labels : 1);
        n += by_sequence ? 1 : labels;
    }
    return sum / n;
}

static inline double ce(const fixture *f, dele_side side) { return loss_by_hand(f, side, false); }

static inline void run(fixture *f, const dele_train_options *o, dele_train_report *report)
{
    dele_err err = {0};
    restore_weights(f);
    if (dele_train(report, &f->trainable, &f->data, o, &f->output, &err)) fail_msg("%s", err.msg);
}

static inline double largest_gap(const fixture *f, float *const *other)
{
    double most = 0;
    for (size_t k = 0; k < f->model.n_tensors; k++)
        for (size_t i = 0; i < f->model.tensors[k].rows * f->model.tensors[k].cols; i++)
            most = fmax(most, fabs((double)f->model.tensors[k].data[i] - other[k][i]));
    return most;
}

static inline float **copy_of_weights(fixture *f)
{
    float **keep = f->saved;
    f->saved = NULL;
    save_weights(f);
    float **copy = f->saved;
    f->saved = keep;
    return copy;
}

#endif
