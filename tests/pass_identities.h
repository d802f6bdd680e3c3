/* Identities of the forward pass of a whole model, for engine_probe.c and test_identities.c: the
 * largest difference of logits from those of one plain pass, relative to the largest logit.
 *
 *   packed     after another segment of one batch, and beside it
 *   cached     one row a pass, continuing its own KV cache
 *   parents    three segments, each with the one before as its parent, the last of them twice
 *   late       starting at each layer from the states that enter it
 *   late-tail  the same for the rows after a parent
 *   generated  ids that differ between cached generation and one whole pass a token (a number) */
#ifndef DELE_TESTS_PASS_IDENTITIES_H
#define DELE_TESTS_PASS_IDENTITIES_H

#include <math.h>
#include <string.h>

#include "model/generate.h"

enum { MOST = 512 };

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_run run;
    int ids[MOST], rows[MOST], n;
    size_t width, vocab;
    float *logits, *again; /* [n, vocab] */
    float *states;         /* [n_layers, n, d_model]: the stream that enters each layer */
} probe;

static inline dele_status logits_of(float *out, probe *p, dele_batch *batch, const int *rows,
                                    size_t n, dele_err *err)
{
    batch->output_rows = rows, batch->n_output_rows = n;
    dele_status status = dele_forward(&p->run, &p->model, batch, err);
    if (!status) dele_logits(out, &p->run, &p->model, p->run.final, n);
    return status;
}

static inline double apart(const probe *p, const float *ours, int from, size_t n)
{
    double worst = 0, scale = 1e-30;
    const float *want = p->logits + (size_t)from * p->vocab;
    for (size_t i = 0; i < n * p->vocab; i++) {
        const double gap = fabs((double)ours[i] - want[i]);
        worst = gap > worst || isnan(gap) ? gap : worst;
        scale = fmax(scale, fabs((double)want[i]));
    }
    return worst / scale;
}

/* Memory for n ids that p->ids holds already: an error where one is not in the vocabulary. */
static inline dele_status lay_out_probe(probe *p, dele_err *err)
{
    const dele_config *c = &p->model.config;
    p->width = (size_t)c->hidden_size, p->vocab = (size_t)c->vocab;
    p->logits = dele_alloc(&p->arena, (size_t)p->n, p->vocab * sizeof(float), err);
    p->again = dele_alloc(&p->arena, (size_t)p->n * 2, p->vocab * sizeof(float), err);
    p->states =
        dele_alloc(&p->arena, (size_t)c->n_layers * (size_t)p->n, p->width * sizeof(float), err);
    if (!p->logits || !p->again || !p->states) return DELE_ERR_MEMORY;
    for (int i = 0; i < p->n; i++) {
        p->rows[i] = i;
        if (p->ids[i] < 0 || (size_t)p->ids[i] >= p->vocab)
            return dele_fail(err, DELE_ERR_DATA, "id %d is not in the vocabulary", p->ids[i]);
    }
    return DELE_OK;
}

/* The pass that the others are held to: logits, and the stream that enters each layer. */
static inline dele_status whole_pass(probe *p, dele_err *err)
{
    const int n_layers = p->model.config.n_layers;
    dele_patch *reads = DELE_NEW(&p->arena, dele_patch, (size_t)n_layers, err);
    if (!reads) return DELE_ERR_MEMORY;
    for (int layer = 0; layer < n_layers; layer++)
        reads[layer] = (dele_patch){.layer = layer,
                                    .n_rows = p->n,
                                    .site = DELE_RESID_PRE,
                                    .op = DELE_READ,
                                    .seen = p->states + (size_t)layer * (size_t)p->n * p->width};
    const dele_segment s = {.tokens = p->ids, .n_rows = p->n};
    dele_batch batch = {
        .segments = &s, .n_segments = 1, .patches = reads, .n_patches = (size_t)n_layers};
    return logits_of(p->logits, p, &batch, p->rows, (size_t)p->n, err);
}

static inline dele_status packed(double *gap, probe *p, dele_err *err)
{
    const int other = p->n / 2;
    dele_segment s[2] = {{.tokens = p->ids + 1, .n_rows = other},
                         {.tokens = p->ids, .n_rows = p->n}};
    int rows[MOST];
    for (int i = 0; i < p->n; i++) rows[i] = other + i;
    dele_batch batch = {.segments = s, .n_segments = 2};
    dele_status status = logits_of(p->again, p, &batch, rows, (size_t)p->n, err);
    *gap = apart(p, p->again, 0, (size_t)p->n);
    const dele_segment first = s[1];
    s[1] = s[0], s[0] = first;
    if (!status) status = logits_of(p->again, p, &batch, p->rows, (size_t)p->n, err);
    *gap = fmax(*gap, apart(p, p->again, 0, (size_t)p->n));
    return status;
}

static inline dele_status cached(double *gap, probe *p, dele_err *err)
{
    dele_kv kv;
    dele_status status = dele_kv_init(&kv, &p->model.config, NULL, 0, p->n, &p->arena, err);
    *gap = 0;
    for (int i = 0; i < p->n && !status; i++) {
        const dele_segment s = {.tokens = p->ids + i,
                                .n_rows = 1,
                                .first_pos = i,
                                .parent = i ? &kv : NULL,
                                .keep = &kv};
        dele_batch batch = {.segments = &s, .n_segments = 1};
        status = logits_of(p->again, p, &batch, p->rows, 1, err);
        *gap = fmax(*gap, apart(p, p->again, i, 1));
    }
    return status;
}

static inline dele_status parents(double *gap, probe *p, dele_err *err)
{
    const int a = p->n / 3, b = 2 * p->n / 3, tail = p->n - b;
    dele_kv kv[2];
    dele_status status = dele_kv_init(&kv[0], &p->model.config, NULL, 0, a, &p->arena, err);
    if (!status) status = dele_kv_init(&kv[1], &p->model.config, &kv[0], a, b - a, &p->arena, err);
    if (status) return status;
    dele_segment s[2] = {{.tokens = p->ids, .n_rows = a, .keep = &kv[0]}};
    dele_batch batch = {.segments = s, .n_segments = 1};
    status = logits_of(p->again, p, &batch, p->rows, (size_t)a, err);
    *gap = apart(p, p->again, 0, (size_t)a);
    s[0] = (dele_segment){
        .tokens = p->ids + a, .n_rows = b - a, .first_pos = a, .parent = &kv[0], .keep = &kv[1]};
    if (!status) status = logits_of(p->again, p, &batch, p->rows, (size_t)(b - a), err);
    *gap = fmax(*gap, apart(p, p->again, a, (size_t)(b - a)));
    s[0] = (dele_segment){.tokens = p->ids + b, .n_rows = tail, .first_pos = b, .parent = &kv[1]};
    s[1] = s[0];
    batch.n_segments = 2;
    if (!status) status = logits_of(p->again, p, &batch, p->rows, (size_t)(2 * tail), err);
    for (int k = 0; k < 2; k++)
        *gap = fmax(*gap, apart(p, p->again + (size_t)(k * tail) * p->vocab, b, (size_t)tail));
    return status;
}

/* From layer 0 on, each segment enters at a later layer; all of the whole text. */
static inline dele_status late(double *gap, probe *p, dele_err *err)
{
    dele_status status = DELE_OK;
    *gap = 0;
    for (int layer = 1; layer < p->model.config.n_layers && !status; layer++) {
        const dele_segment s[2] = {{.tokens = p->ids + 2, .n_rows = p->n / 2},
                                   {.n_rows = p->n,
                                    .start_layer = layer,
                                    .states = p->states + (size_t)layer * (size_t)p->n * p->width}};
        int rows[MOST];
        for (int i = 0; i < p->n; i++) rows[i] = p->n / 2 + i;
        dele_batch batch = {.segments = s, .n_segments = 2};
        status = logits_of(p->again, p, &batch, rows, (size_t)p->n, err);
        *gap = fmax(*gap, apart(p, p->again, 0, (size_t)p->n));
    }
    return status;
}

static inline dele_status late_tail(double *gap, probe *p, dele_err *err)
{
    const int from = 2 * p->n / 3, tail = p->n - from;
    dele_kv kv;
    dele_status status = dele_kv_init(&kv, &p->model.config, NULL, 0, from, &p->arena, err);
    *gap = 0;
    if (status) return status;
    dele_segment s = {.tokens = p->ids, .n_rows = from, .keep = &kv};
    dele_batch batch = {.segments = &s, .n_segments = 1};
    status = logits_of(p->again, p, &batch, p->rows, 1, err);
    for (int layer = 1; layer < p->model.config.n_layers && !status; layer++) {
        const float *states = p->states + ((size_t)layer * (size_t)p->n + (size_t)from) * p->width;
        s = (dele_segment){.n_rows = tail,
                           .first_pos = from,
                           .parent = &kv,
                           .start_layer = layer,
                           .states = states};
        status = logits_of(p->again, p, &batch, p->rows, (size_t)tail, err);
        *gap = fmax(*gap, apart(p, p->again, from, (size_t)tail));
    }
    return status;
}

static inline dele_status generated(double *gap, probe *p, dele_err *err)
{
    enum { NEW = 12 };
    int plain[MOST + NEW], out[NEW];
    size_t n_out = 0;
    dele_status status = DELE_OK;
    float *row = dele_alloc(&p->arena, p->vocab, sizeof *row, err);
    if (!row) return DELE_ERR_MEMORY;
    memcpy(plain, p->ids, (size_t)p->n * sizeof *plain);
    for (int n = p->n; n < p->n + NEW && !status; n++) {
        const dele_segment s = {.tokens = plain, .n_rows = n};
        const int last = n - 1;
        dele_batch batch = {.segments = &s, .n_segments = 1};
        status = logits_of(row, p, &batch, &last, 1, err);
        plain[n] = 0;
        for (size_t j = 1; j < p->vocab; j++)
            if (row[j] > row[plain[n]]) plain[n] = (int)j;
    }
    if (!status)
        status =
            dele_generate(out, &n_out, &p->run, &p->model, p->ids, (size_t)p->n, NEW, NULL, 0, err);
    *gap = NEW - (double)n_out;
    for (size_t i = 0; i < n_out; i++) *gap += out[i] != plain[p->n + (int)i];
    return status;
}

static const struct {
    const char *name;
    dele_status (*check)(double *gap, probe *p, dele_err *err);
} IDENTITIES[] = {{"packed", packed}, {"cached", cached},       {"parents", parents},
                  {"late", late},     {"late-tail", late_tail}, {"generated", generated}};
enum { N_IDENTITIES = sizeof IDENTITIES / sizeof *IDENTITIES };

#endif
