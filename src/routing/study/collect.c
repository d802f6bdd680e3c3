#include "routing/study/collect.h"

#include <math.h>
#include <string.h>

#include "tensor/ops.h"

enum { PASS_ROWS = 2048, PREDICTED_ROWS = 64 };

/* The most likely id after a token, and log p of the id that follows it. */
static void read_prediction(dele_routed *r, size_t t, const float *logits, size_t vocab)
{
    const size_t best = argmax(logits, vocab);
    double sum = 0;
    r->predicted[t] = (int)best;
    if (r->next[t] < 0) return;
    for (size_t v = 0; v < vocab; v++) sum += exp((double)logits[v] - (double)logits[best]);
    r->logp[t] = (float)((double)logits[r->next[t]] - (double)logits[best] - log(sum));
}

/* The windows first .. past - 1, whose n tokens begin at r's token `at`, in one pass. */
typedef struct {
    size_t first, past, at, n;
} span;

static dele_status collect_span(dele_routed *r, const span *s, const dele_routing_texts *texts,
                                const dele_model *model, const dele_routes *forced, dele_run *run,
                                dele_arena *scratch, dele_err *err)
{
    const dele_config *c = &model->config;
    const size_t vocab = (size_t)c->vocab, width = (size_t)c->n_layers * (size_t)c->top_k;
    dele_routes routes;
    dele_segment *segment = DELE_NEW(scratch, dele_segment, s->past - s->first, err);
    int *rows = DELE_NEW(scratch, int, s->n, err);
    float *logits = dele_alloc_raw(scratch, PREDICTED_ROWS * vocab, sizeof *logits, err);
    if (!segment || !rows || !logits || dele_routes_init(&routes, c, s->n, scratch, err))
        return err->code;
    for (size_t w = s->first; w < s->past; w++)
        segment[w - s->first] = (dele_segment){.tokens = r->id + texts->window[w].first,
                                               .n_rows = texts->window[w].n,
                                               .forced = forced,
                                               .forced_at = texts->window[w].first};
    for (size_t i = 0; i < s->n; i++) rows[i] = (int)i;
    const dele_batch batch = {.segments = segment,
                              .n_segments = s->past - s->first,
                              .output_rows = rows,
                              .n_output_rows = s->n,
                              .routes = &routes};
    if (dele_forward(run, model, &batch, err)) return err->code;
    memcpy(r->routes.experts + s->at * width, routes.experts, s->n * width * sizeof(int));
    memcpy(r->routes.weights + s->at * width, routes.weights, s->n * width * sizeof(float));
    for (size_t begin = 0; begin < s->n; begin += PREDICTED_ROWS) {
        const size_t n = s->n - begin < PREDICTED_ROWS ? s->n - begin : PREDICTED_ROWS;
        dele_logits(logits, run, model, run->final + begin * (size_t)c->hidden_size, n);
        if (dele_logits_check(logits, n, model, err)) return err->code;
#pragma omp parallel for
        for (size_t i = 0; i < n; i++)
            read_prediction(r, s->at + begin + i, logits + i * vocab, vocab);
    }
    return DELE_OK;
}

dele_status dele_routing_collect(dele_routed *r, const dele_routing_texts *texts,
                                 const dele_model *model, const dele_routes *forced, dele_run *run,
                                 dele_progress *progress, dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    for (span s = {0}; s.past < texts->n_windows && !status;) {
        s = (span){.first = s.past, .past = s.past, .at = s.at + s.n};
        do {
            s.n += (size_t)texts->window[s.past++].n;
        } while (s.past < texts->n_windows && s.n + (size_t)texts->window[s.past].n <= PASS_ROWS);
        status = collect_span(r, &s, texts, model, forced, run, &scratch, err);
        dele_arena_reset(&scratch);
        dele_progress_set(progress, (double)(s.at + s.n), NULL);
    }
    dele_arena_release(&scratch);
    return status;
}
