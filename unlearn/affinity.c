#include "unlearn/affinity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_out.h"

typedef struct {
    dele_affinity *a;
    size_t n_sequences;
} measuring;

/* Adds the mean of softmax(z) over the n rows of a sequence, divided by the number of sequences. */
static dele_status add_sequence(void *data, size_t sequence, int layer, const float *z, size_t n,
                                dele_err *err)
{
    (void)sequence, (void)err;
    const measuring *m = data;
    const int n_experts = m->a->n_experts;
    double *of = m->a->of + (size_t)layer * (size_t)n_experts;
    for (size_t r = 0; r < n; r++, z += n_experts) {
        double top = z[0], sum = 0;
        for (int e = 1; e < n_experts; e++) top = z[e] > top ? z[e] : top;
        for (int e = 0; e < n_experts; e++) sum += exp(z[e] - top);
        for (int e = 0; e < n_experts; e++)
            of[e] += exp(z[e] - top) / sum / (double)n / (double)m->n_sequences;
    }
    return DELE_OK;
}

typedef struct {
    double of;
    dele_expert expert;
} ranked;

static int by_affinity(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->of != y->of) return x->of > y->of ? -1 : 1;
    if (x->expert.layer != y->expert.layer) return x->expert.layer < y->expert.layer ? -1 : 1;
    return x->expert.expert < y->expert.expert ? -1 : x->expert.expert > y->expert.expert;
}

/* All experts in order of affinity; *n of them. */
static ranked *rank_experts(size_t *n, const dele_affinity *a, dele_arena *arena, dele_err *err)
{
    const size_t all = (size_t)a->n_layers * (size_t)a->n_experts;
    ranked *r = DELE_NEW(arena, ranked, all, err);
    *n = 0;
    for (int l = 0; r && l < a->n_layers; l++)
        for (int e = 0; e < a->n_experts; e++) {
            const double of = a->of[(size_t)l * (size_t)a->n_experts + (size_t)e];
            if (!isnan(of)) r[(*n)++] = (ranked){of, {l, e}};
        }
    if (r) qsort(r, *n, sizeof *r, by_affinity);
    return r;
}

static dele_status choose_experts(dele_affinity *a, size_t choose, dele_arena *arena, dele_err *err)
{
    size_t n;
    const ranked *r = rank_experts(&n, a, arena, err);
    if (r && choose > n)
        return dele_fail(err, DELE_ERR_USAGE, "--experts auto:%zu: the model has %zu experts",
                         choose, n);
    a->chosen = (dele_expert_list){.expert = DELE_NEW(arena, dele_expert, choose, err)};
    if (!r || !a->chosen.expert) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < choose; i++) a->chosen.expert[a->chosen.n++] = r[i].expert;
    return DELE_OK;
}

dele_status dele_affinity_measure(dele_affinity *a, const dele_model *model,
                                  const dele_dataset *set, size_t choose, size_t batch_tokens,
                                  dele_arena *arena, dele_err *err)
{
    const dele_config *c = &model->config;
    *a = (dele_affinity){.n_layers = c->n_layers, .n_experts = c->n_experts};
    a->of = DELE_NEW(arena, double, (size_t)c->n_layers *(size_t)c->n_experts, err);
    if (!a->of) return DELE_ERR_MEMORY;
    for (int l = 0; l < c->n_layers; l++)
        for (int e = 0; e < c->n_experts && !dele_layer_is_sparse(c, l); e++)
            a->of[(size_t)l * (size_t)c->n_experts + (size_t)e] = (double)NAN;
    measuring m = {a, set->n};
    const dele_router_survey survey = {
        .batch_tokens = batch_tokens, .seen = add_sequence, .data = &m};
    const dele_status status = dele_router_survey_run(&survey, model, set, err);
    return status ? status : choose_experts(a, choose, arena, err);
}

static bool is_chosen(const dele_affinity *a, dele_expert e)
{
    for (size_t i = 0; i < a->chosen.n; i++)
        if (a->chosen.expert[i].layer == e.layer && a->chosen.expert[i].expert == e.expert)
            return true;
    return false;
}

dele_status dele_affinity_save(const dele_affinity *a, const char *path, dele_err *err)
{
    dele_arena arena = {0};
    dele_writer out = {0};
    size_t n;
    const ranked *r = rank_experts(&n, a, &arena, err);
    dele_status status = r ? dele_writer_open(&out, path, err) : DELE_ERR_MEMORY;
    if (!status) {
        fputs("layer\texpert\taffinity\tchosen\n", out.stream);
        for (size_t i = 0; i < n; i++)
            fprintf(out.stream, "%d\t%d\t%.9g\t%d\n", r[i].expert.layer, r[i].expert.expert,
                    r[i].of, is_chosen(a, r[i].expert));
        status = dele_writer_commit(&out, err);
    }
    dele_arena_release(&arena);
    return status;
}
