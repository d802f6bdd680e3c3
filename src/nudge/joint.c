#include "nudge/joint.h"

#include <math.h>

/* Whether all models have the same ids; how many, by the smallest embedding. */
static void compare_vocabularies(dele_joint *j)
{
    const dele_model *first = j->model[0].model;
    j->one_vocabulary = true;
    j->vocab = (size_t)dele_tokenizer_size(first->tokenizer);
    for (int i = 0; i < j->n_models; i++) {
        const dele_model *m = j->model[i].model;
        if (i && !dele_tokenizer_same_ids(first->tokenizer, m->tokenizer))
            j->one_vocabulary = false;
        if ((size_t)m->config.vocab < j->vocab) j->vocab = (size_t)m->config.vocab;
    }
}

dele_status dele_joint_init(dele_joint *j, const dele_model *const *models,
                            const dele_layout *const *layouts, int n_models, dele_combine *combine,
                            dele_err *err)
{
    const dele_completer_opts greedy = {.top_p = 1};
    *j = (dele_joint){.n_models = n_models, .combine = combine};
    for (int i = 0; i < n_models; i++)
        if (dele_completer_init(&j->model[i], models[i], layouts[i], &greedy, err))
            return err->code;
    compare_vocabularies(j);
    return DELE_OK;
}

void dele_joint_release(dele_joint *j)
{
    for (int i = 0; i < j->n_models; i++) dele_completer_release(&j->model[i]);
}

void dele_joint_forget(dele_joint *j)
{
    for (int i = 0; i < j->n_models; i++) dele_completer_forget(&j->model[i]);
}

static size_t largest(const double *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static double log_partition(const double *x, size_t n)
{
    const double most = x[largest(x, n)];
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp(x[i] - most);
    return most + log(sum);
}

/* Logits of the models for n contexts each, and one joint distribution. */
typedef struct {
    float *z[DELE_JOINT_MOST];
    double *joint;
} joint_logits;

static dele_status lay_logits(joint_logits *l, const dele_joint *j, size_t n, dele_arena *arena,
                              dele_err *err)
{
    for (int i = 0; i < j->n_models; i++) {
        const size_t vocab = (size_t)j->model[i].model->config.vocab;
        l->z[i] = dele_alloc_raw(arena, n, vocab * sizeof(float), err);
        if (!l->z[i]) return DELE_ERR_MEMORY;
    }
    l->joint = DELE_NEW(arena, double, j->vocab, err);
    return l->joint ? DELE_OK : DELE_ERR_MEMORY;
}

/* l->joint of context t. */
static void combine_row(joint_logits *l, const dele_joint *j, size_t t)
{
    const float *row[DELE_JOINT_MOST];
    for (int i = 0; i < j->n_models; i++)
        row[i] = l->z[i] + t * (size_t)j->model[i].model->config.vocab;
    j->combine(l->joint, row, j->vocab);
}

dele_status dele_joint_next(int *id, dele_joint *j, const dele_ids *ids, dele_err *err)
{
    dele_arena arena = {0};
    joint_logits l;
    dele_status status = lay_logits(&l, j, 1, &arena, err);
    for (int i = 0; i < j->n_models && !status; i++)
        status = dele_completer_logits(l.z[i], &j->model[i], ids[i].id, ids[i].n, 1, err);
    if (!status) combine_row(&l, j, 0);
    if (!status) *id = (int)largest(l.joint, j->vocab);
    dele_arena_release(&arena);
    return status;
}

dele_status dele_joint_logp(double *logp, bool *greedy, dele_joint *j, const int *id, size_t n,
                            size_t n_scored, dele_err *err)
{
    if (!j->one_vocabulary)
        return dele_fail(err, DELE_ERR_DATA,
                         "models of several vocabularies have no common log-likelihoods; --suite "
                         "choices --generate scores what they write");
    dele_arena arena = {0};
    joint_logits l;
    dele_status status = lay_logits(&l, j, n_scored, &arena, err);
    for (int i = 0; i < j->n_models && !status; i++)
        status = dele_completer_logits(l.z[i], &j->model[i], id, n - 1, n_scored, err);
    *logp = 0;
    *greedy = true;
    for (size_t t = 0; t < n_scored && !status; t++) {
        const size_t target = (size_t)id[n - n_scored + t];
        if (target >= j->vocab) {
            status =
                dele_fail(err, DELE_ERR_DATA, "the id %zu is not one that all models have", target);
            break;
        }
        combine_row(&l, j, t);
        *logp += l.joint[target] - log_partition(l.joint, j->vocab);
        *greedy &= largest(l.joint, j->vocab) == target;
    }
    dele_arena_release(&arena);
    return status;
}
