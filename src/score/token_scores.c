#include "score/token_scores.h"

#include <math.h>
#include <string.h>

#include "tensor/ops.h"

enum { MAX_ROWS = 1024, LOGIT_ROWS = 64 };

/* One row of logits: all scores of the next token. */
static void read_logits(dele_scored_text *text, int at, const float *logits, size_t vocab)
{
    const size_t best = argmax(logits, vocab);
    double top = logits[best], sum = 0, first = 0, second = 0;
    for (size_t v = 0; v < vocab; v++) {
        double x = (double)logits[v] - top, p = exp(x);
        sum += p;
        first += p * x;
        second += p * x * x;
    }
    /* With log p = x - log Σ: μ = E x - log Σ, and the variance is that of x. */
    double log_sum = log(sum), mean = first / sum;
    int target = text->ids[text->first + at];
    text->logp[at] = (double)logits[target] - top - log_sum;
    text->greedy[at] = (size_t)target == best;
    text->mean[at] = mean - log_sum;
    text->variance[at] = second / sum - mean * mean;
}

typedef struct {
    int text, at;
} place;

typedef struct {
    dele_segment *segments;
    int *output_rows;
    place *places;
    size_t n_output_rows;
} batch_plan;

/* Packs n texts into one batch: a segment for each, without its last token, which predicts nothing.
 * Row r of a segment predicts token r + 1; the rows before `first` - 1 are computed for the KV
 * cache only and are no output rows. */
static dele_status plan(batch_plan *b, const dele_scored_text *texts, size_t n, dele_arena *arena,
                        dele_err *err)
{
    size_t rows = 0, row0 = 0;
    for (size_t i = 0; i < n; i++) rows += (size_t)(texts[i].n - texts[i].first);
    *b = (batch_plan){.segments = DELE_NEW(arena, dele_segment, n, err),
                      .output_rows = DELE_NEW(arena, int, rows, err),
                      .places = DELE_NEW(arena, place, rows, err)};
    if (!b->segments || !b->output_rows || !b->places) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const dele_scored_text *t = &texts[i];
        b->segments[i] = (dele_segment){.tokens = t->ids, .n_rows = t->n - 1, .n_after = 1};
        for (int r = t->first - 1; r < t->n - 1; r++) {
            b->places[b->n_output_rows] = (place){(int)i, r + 1 - t->first};
            b->output_rows[b->n_output_rows++] = (int)row0 + r;
        }
        row0 += (size_t)(t->n - 1);
    }
    return DELE_OK;
}

/* The same pass of another model, whose routes are then those of the segments. */
static dele_status take_routes(dele_routes *routes, const dele_batch *batch, dele_segment *segments,
                               dele_run *run, const dele_model *router, dele_arena *scratch,
                               dele_err *err)
{
    dele_batch pass = *batch;
    size_t rows = 0;
    for (size_t i = 0; i < batch->n_segments; i++) rows += (size_t)segments[i].n_rows;
    pass.routes = routes;
    if (dele_routes_init(routes, &router->config, rows, scratch, err)) return DELE_ERR_MEMORY;
    const dele_status status = dele_forward(run, router, &pass, err);
    for (size_t i = 0, row = 0; i < batch->n_segments; row += (size_t)segments[i++].n_rows)
        segments[i].forced = routes, segments[i].forced_at = row;
    return status;
}

/* Scores n texts in one forward pass.  Logits are computed for LOGIT_ROWS rows at a time, because
 * those of all rows would need more memory than the pass itself. */
static dele_status score_packed_texts(dele_scored_text *texts, size_t n, dele_run *run,
                                      const dele_model *model, const dele_model *router,
                                      dele_arena *scratch, dele_err *err)
{
    batch_plan b;
    dele_routes routes;
    size_t vocab = (size_t)model->config.vocab, d_model = (size_t)model->config.hidden_size;
    float *logits = dele_alloc_raw(scratch, LOGIT_ROWS * vocab, sizeof *logits, err);
    if (!logits || plan(&b, texts, n, scratch, err)) return DELE_ERR_MEMORY;
    dele_batch batch = {.segments = b.segments,
                        .n_segments = n,
                        .output_rows = b.output_rows,
                        .n_output_rows = b.n_output_rows};
    dele_status status =
        router ? take_routes(&routes, &batch, b.segments, run, router, scratch, err) : DELE_OK;
    if (!status) status = dele_forward(run, model, &batch, err);
    for (size_t begin = 0; begin < b.n_output_rows && !status; begin += LOGIT_ROWS) {
        size_t rows = b.n_output_rows - begin < LOGIT_ROWS ? b.n_output_rows - begin : LOGIT_ROWS;
        dele_logits(logits, run, model, run->final + begin * d_model, rows);
        if ((status = dele_logits_check(logits, rows, model, err))) break;
#pragma omp parallel for
        for (size_t i = 0; i < rows; i++) {
            const place *at = &b.places[begin + i];
            read_logits(&texts[at->text], at->at, logits + i * vocab, vocab);
        }
    }
    return status;
}

static dele_status reserve_scores(dele_scored_text *t, dele_arena *arena, dele_err *err)
{
    size_t n = (size_t)(t->n - t->first);
    t->logp = DELE_NEW(arena, double, 3 * n, err);
    t->greedy = DELE_NEW(arena, bool, n, err);
    if (!t->logp || !t->greedy) return DELE_ERR_MEMORY;
    t->mean = t->logp + n;
    t->variance = t->mean + n;
    return DELE_OK;
}

dele_status dele_token_scores(dele_scored_text *texts, size_t n, dele_run *run,
                              const dele_model *model, const dele_token_opts *opts,
                              dele_arena *arena, dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    for (size_t i = 0; i < n && !status; i++) status = reserve_scores(&texts[i], arena, err);
    for (size_t begin = 0, end; begin < n && !status; begin = end) {
        int rows = texts[begin].n - 1;
        for (end = begin + 1; end < n && rows + texts[end].n - 1 <= MAX_ROWS; end++)
            rows += texts[end].n - 1;
        if (end <= opts->n_known) continue; /* the batches are the same wherever a run resumes */
        status =
            score_packed_texts(texts + begin, end - begin, run, model, opts->router, &scratch, err);
        dele_arena_reset(&scratch);
        if (!status && opts->scored) status = opts->scored(opts->data, begin, end - begin, err);
    }
    dele_arena_release(&scratch);
    return status;
}

dele_status dele_scored_text_encode(dele_scored_text *text, const dele_model *model,
                                    const char *whole, dele_arena *arena, dele_err *err)
{
    dele_ids ids;
    if (dele_encode(&ids, model->tokenizer, whole, strlen(whole), true, arena, err))
        return err->code;
    if (ids.n < 2)
        return dele_fail(err, DELE_ERR_DATA,
                         "\"%.80s\" has fewer than two tokens, so there is none to predict", whole);
    size_t most = (size_t)dele_longest(&model->config);
    *text = (dele_scored_text){
        .ids = ids.id, .n = (int)(ids.n < most ? ids.n : most), .first = 1, .cut = ids.n > most};
    return DELE_OK;
}

double dele_scored_loss(const dele_scored_text *text)
{
    double sum = 0;
    int n = text->n - text->first;
    for (int i = 0; i < n; i++) sum += text->logp[i];
    return -sum / n;
}
