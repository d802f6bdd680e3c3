#include "nudge/completer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "model/config/rotation.h"
#include "tensor/ops.h"
#include "text/continuation.h"

enum { LOGIT_ROWS = 32, FIRST_CAPACITY = 256 };

/* ---- the KV cache ---------------------------------------------------------------------------- */

dele_status dele_completer_init(dele_completer *c, const dele_model *model,
                                const dele_layout *layout, const dele_completer_opts *opts,
                                dele_err *err)
{
    *c = (dele_completer){.model = model, .opts = *opts};
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s holds no tokenizer.json, so text cannot be read",
                         model->path ? model->path : "the model");
    c->ends = dele_ends_of(model, layout);
    return DELE_OK;
}

void dele_completer_release(dele_completer *c)
{
    dele_run_release(&c->run);
    dele_arena_release(&c->kv_arena);
    dele_arena_release(&c->side_arena);
    dele_arena_release(&c->scratch);
}

void dele_completer_forget(dele_completer *c)
{
    c->n = c->n_side = 0;
    c->kv.n_rows = 0;
}

size_t dele_completer_longest(const dele_completer *c)
{
    return (size_t)dele_longest(&c->model->config);
}

bool dele_completer_stops(const dele_completer *c, int id)
{
    for (size_t i = 0; i < c->ends.n; i++)
        if (c->ends.id[i] == id) return true;
    return false;
}

static dele_status too_long(const dele_completer *c, size_t n, dele_err *err)
{
    return dele_fail(err, DELE_ERR_DATA, "a text of %zu tokens does not fit a context of %zu", n,
                     dele_completer_longest(c));
}

/* Room for n positions: keys and values that are in the cache move to a larger one, layer by
 * layer. */
static dele_status reserve(dele_completer *c, size_t n, dele_err *err)
{
    if (n <= c->capacity) return DELE_OK;
    size_t room = c->capacity ? 2 * c->capacity : FIRST_CAPACITY;
    if (room < n) room = n;
    if (room > dele_completer_longest(c)) room = dele_completer_longest(c);
    if (room < n) return too_long(c, n, err);
    dele_arena arena = {0};
    dele_kv kv;
    const dele_config *config = &c->model->config;
    int *id = DELE_NEW(&arena, int, room, err);
    dele_next_token *next = DELE_NEW(&arena, dele_next_token, room, err);
    if (!id || !next || dele_kv_init(&kv, config, NULL, 0, (int)room, &arena, err)) {
        dele_arena_release(&arena);
        return DELE_ERR_MEMORY;
    }
    const size_t bytes = c->n * kv.kv_dim * sizeof(float);
    for (size_t l = 0; l < (size_t)config->n_layers && bytes; l++) {
        memcpy(kv.k + l * room * kv.kv_dim, c->kv.k + l * c->capacity * kv.kv_dim, bytes);
        memcpy(kv.v + l * room * kv.kv_dim, c->kv.v + l * c->capacity * kv.kv_dim, bytes);
    }
    if (c->n) {
        memcpy(id, c->id, c->n * sizeof *id);
        memcpy(next, c->next, c->n * sizeof *next);
    }
    dele_arena_release(&c->kv_arena);
    c->kv_arena = arena;
    c->kv = kv;
    c->kv.n_rows = (int)c->n;
    c->id = id;
    c->next = next;
    c->capacity = room;
    return DELE_OK;
}

static size_t common(const int *a, size_t n_a, const int *b, size_t n_b)
{
    const size_t most = n_a < n_b ? n_a : n_b;
    size_t n = 0;
    while (n < most && a[n] == b[n]) n++;
    return n;
}

/* Whether a sequence of n tokens is computed from its first one on each time. */
static bool is_alone(const dele_completer *c, size_t n)
{
    return c->opts.uncached || n > (size_t)dele_rotation_grows_beyond(&c->model->config);
}

/* ---- the choice of a token ------------------------------------------------------------------- */

/* A number for the seed and the ids before a token: FNV-1a over their bytes. */
static uint64_t seed_of(uint64_t seed, const int *id, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325u ^ seed;
    for (size_t i = 0; i < n; i++)
        for (int byte = 0; byte < 4; byte++)
            hash = (hash ^ ((uint32_t)id[i] >> 8 * byte & 0xff)) * 0x100000001b3u;
    return hash;
}

/* heap[0] is the largest logit, the first of equals: moves the entry at i down to its place. */
static bool is_above(const float *logits, int a, int b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

static void sift(int *heap, size_t n, size_t i, const float *logits)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_above(logits, heap[child + 1], heap[child])) child++;
        if (!is_above(logits, heap[child], heap[i])) return;
        const int moved = heap[i];
        heap[i] = heap[child];
        heap[child] = moved;
    }
}

/* A token drawn from softmax(logits / temperature), among the most likely whose probabilities sum
 * to top_p at least.  heap [n] is scratch; lse: log Σ exp(logits / temperature). */
static int sample(const float *logits, size_t n, double lse, const dele_completer_opts *o,
                  double uniform, int *heap)
{
    double sum = 0;
    size_t kept = n;
    for (size_t i = 0; i < n; i++) heap[i] = (int)i;
    if (o->top_p < 1) { /* the most likely ones move to the end of the heap */
        for (size_t i = n / 2; i-- > 0;) sift(heap, n, i, logits);
        for (kept = 0; kept < n && (!kept || sum < o->top_p); kept++) {
            const int best = heap[0];
            heap[0] = heap[n - 1 - kept];
            heap[n - 1 - kept] = best;
            sift(heap, n - 1 - kept, 0, logits);
            sum += exp(logits[best] / o->temperature - lse);
        }
    }
    const double target = uniform * (o->top_p < 1 ? sum : 1);
    int drawn = heap[n - kept];
    sum = 0;
    for (size_t i = 0; i < kept; i++) {
        drawn = heap[n - 1 - i];
        if ((sum += exp(logits[drawn] / o->temperature - lse)) > target) break;
    }
    return drawn;
}

/* The next token after each of `n` contexts, whose final states are states [n, d_model].  context:
 * their ids, for the draws. */
static dele_status choose(dele_next_token *next, dele_completer *c, const float *states, size_t n,
                          const dele_ids *context, dele_err *err)
{
    const size_t vocab = (size_t)c->model->config.vocab,
                 d_model = (size_t)c->model->config.hidden_size;
    const bool samples = c->opts.temperature > 0;
    dele_arena_reset(&c->scratch);
    const size_t rows = n < LOGIT_ROWS ? n : LOGIT_ROWS;
    float *logits = dele_alloc_raw(&c->scratch, rows, vocab * sizeof *logits, err);
    int *heap = samples ? DELE_NEW(&c->scratch, int, vocab, err) : NULL;
    float *scaled = samples ? DELE_NEW(&c->scratch, float, vocab, err) : NULL;
    if (!logits || (samples && (!heap || !scaled))) return DELE_ERR_MEMORY;
    for (size_t at = 0; at < n; at += rows) {
        const size_t m = n - at < rows ? n - at : rows;
        dele_logits(logits, &c->run, c->model, states + at * d_model, m);
        if (dele_logits_check(logits, m, c->model, err)) return err ? err->code : DELE_ERR_DATA;
#pragma omp parallel for if (m > 1 && m * vocab > 1 << 15)
        for (size_t i = 0; i < m; i++) {
            const float *row = logits + i * vocab;
            const size_t best = argmax(row, vocab);
            next[at + i].id = (int)best;
            next[at + i].p = exp(row[best] - log_sum_exp(row, vocab));
        }
        for (size_t i = 0; i < m && samples; i++) {
            const float *row = logits + i * vocab;
            dele_rng rng;
            dele_rng_seed(&rng, seed_of(c->opts.seed, context[at + i].id, context[at + i].n));
            for (size_t v = 0; v < vocab; v++) scaled[v] = (float)(row[v] / c->opts.temperature);
            next[at + i].id = sample(row, vocab, log_sum_exp(scaled, vocab), &c->opts,
                                     dele_rng_uniform(&rng), heap);
        }
    }
    return DELE_OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

static dele_status pass(dele_completer *c, const dele_segment *segments, size_t n_segments,
                        const int *rows, size_t n_rows, dele_err *err)
{
    const dele_batch batch = {.segments = segments,
                              .n_segments = n_segments,
                              .output_rows = rows,
                              .n_output_rows = n_rows};
    c->passes++;
    for (size_t i = 0; i < n_segments; i++) c->rows += (size_t)segments[i].n_rows;
    return dele_forward(&c->run, c->model, &batch, err);
}

/* The next token of one context without the cache. */
static dele_status next_alone(dele_next_token *next, dele_completer *c, const int *id, size_t n,
                              dele_err *err)
{
    if (n > dele_completer_longest(c)) return too_long(c, n, err);
    const dele_segment segment = {.tokens = id, .n_rows = (int)n};
    const int row = (int)n - 1;
    const dele_ids context = {.id = (int *)id, .n = n};
    const dele_status status = pass(c, &segment, 1, &row, 1, err);
    return status ? status : choose(next, c, c->run.final, 1, &context, err);
}

/* Where the new rows of a sequence begin of which what follows its first `from` .. n ids is wanted:
 * n if all of that is known. */
static size_t first_new(const dele_completer *c, const int *id, size_t n, size_t from)
{
    const size_t shared = common(c->id, c->n, id, n);
    for (size_t i = from - 1; i < shared; i++)
        if (c->next[i].id < 0) return i;
    return shared;
}

/* One pass: the sequence's rows from `start` on, which the cache keeps, and each other sequence's
 * rows after what it shares with the cache. */
static dele_status pass_packed(dele_completer *c, const int *id, size_t n, size_t from,
                               size_t start, const dele_ids *other, size_t n_other, dele_err *err)
{
    const size_t first_row = start > from - 1 ? start : from - 1;
    const size_t own = start < n ? n - first_row : 0, kept = start < n ? start : c->n;
    dele_arena arena = {0};
    dele_segment *segments = DELE_NEW(&arena, dele_segment, n_other + 1, err);
    int *rows = DELE_NEW(&arena, int, own + n_other, err);
    dele_ids *context = DELE_NEW(&arena, dele_ids, own + n_other, err);
    dele_next_token *next = DELE_NEW(&arena, dele_next_token, own + n_other, err);
    dele_status status = segments && rows && context && next ? DELE_OK : DELE_ERR_MEMORY;
    size_t n_segments = 0;
    if (!status && own) {
        status = reserve(c, n, err);
        c->n = start;
        c->kv.n_rows = (int)start;
        segments[n_segments++] = (dele_segment){.tokens = id + start,
                                                .n_rows = (int)(n - start),
                                                .first_pos = (int)start,
                                                .parent = start ? &c->kv : NULL,
                                                .keep = &c->kv};
    }
    for (size_t i = 0; i < own && !status; i++) {
        rows[i] = (int)(first_row - start + i);
        context[i] = (dele_ids){.id = (int *)id, .n = first_row + i + 1};
    }
    int last = own ? (int)(n - start) : 0;
    for (size_t i = 0; i < n_other && !status; i++) {
        const size_t shared = common(c->id, kept, other[i].id, other[i].n - 1);
        segments[n_segments++] = (dele_segment){.tokens = other[i].id + shared,
                                                .n_rows = (int)(other[i].n - shared),
                                                .first_pos = (int)shared,
                                                .parent = shared ? &c->kv : NULL};
        last += (int)(other[i].n - shared);
        rows[own + i] = last - 1;
        context[own + i] = other[i];
    }
    if (!status) status = pass(c, segments, n_segments, rows, own + n_other, err);
    if (!status) status = choose(next, c, c->run.final, own + n_other, context, err);
    if (!status && own) {
        memcpy(c->id + start, id + start, (n - start) * sizeof *c->id);
        for (size_t i = start; i < first_row; i++) c->next[i].id = -1;
        memcpy(c->next + first_row, next, own * sizeof *next);
        c->n = n;
    }
    for (size_t i = 0; i < n_other && !status; i++) {
        int *copy = DELE_NEW(&c->side_arena, int, other[i].n, err);
        if (!copy) status = DELE_ERR_MEMORY;
        if (copy) memcpy(copy, other[i].id, other[i].n * sizeof *copy);
        c->side[i] = (dele_known_context){other[i].n, copy, next[own + i]};
        c->n_side = i + !status;
    }
    dele_arena_release(&arena);
    return status;
}

bool dele_completer_known(const dele_completer *c, const int *id, size_t n, dele_next_token *next)
{
    if (!n || c->opts.uncached) return false;
    if (n <= c->n && c->next[n - 1].id >= 0 && !memcmp(c->id, id, n * sizeof *id)) {
        *next = c->next[n - 1];
        return true;
    }
    for (size_t i = 0; i < c->n_side; i++)
        if (c->side[i].n == n && !memcmp(c->side[i].id, id, n * sizeof *id)) {
            *next = c->side[i].next;
            return true;
        }
    return false;
}

static dele_status check_empty(size_t n, dele_err *err)
{
    if (n) return DELE_OK;
    return dele_fail(err, DELE_ERR_DATA,
                     "a prompt of no tokens: there is nothing to continue; give a text");
}

dele_status dele_completer_next(dele_next_token *next, dele_completer *c, const int *id, size_t n,
                                dele_err *err)
{
    if (check_empty(n, err)) return DELE_ERR_DATA;
    if (dele_completer_known(c, id, n, next)) return DELE_OK;
    if (is_alone(c, n)) return next_alone(next, c, id, n, err);
    const dele_status status = pass_packed(c, id, n, n, first_new(c, id, n, n), NULL, 0, err);
    if (!status) *next = c->next[n - 1];
    return status;
}

dele_status dele_completer_prepare(dele_completer *c, const int *id, size_t n, size_t from,
                                   const dele_ids *other, size_t n_other, dele_err *err)
{
    if (check_empty(n, err) || check_empty(from, err)) return DELE_ERR_DATA;
    if (is_alone(c, n) || from > n) return DELE_OK;
    dele_arena arena = {0};
    dele_ids *asked = DELE_NEW(&arena, dele_ids, n_other + 1, err);
    size_t n_asked = 0;
    for (size_t i = 0; i < n_other && asked; i++) {
        const size_t len = other[i].n;
        const bool within = len >= from && common(id, n, other[i].id, len) == len;
        if (len && !within && !is_alone(c, len) && len <= dele_completer_longest(c))
            asked[n_asked++] = other[i];
    }
    dele_arena_reset(&c->side_arena);
    c->n_side = 0;
    c->side = asked ? DELE_NEW(&c->side_arena, dele_known_context, n_asked + 1, err) : NULL;
    dele_status status = c->side ? DELE_OK : DELE_ERR_MEMORY;
    const size_t start = first_new(c, id, n, from);
    if (!status && (start < n || n_asked))
        status = pass_packed(c, id, n, from, start, asked, n_asked, err);
    dele_arena_release(&arena);
    return status;
}

dele_status dele_completer_logits(float *logits, dele_completer *c, const int *id, size_t n,
                                  size_t n_last, dele_err *err)
{
    if (check_empty(n, err)) return DELE_ERR_DATA;
    if (n > dele_completer_longest(c)) return too_long(c, n, err);
    const bool alone = is_alone(c, n);
    size_t start = alone ? 0 : common(c->id, c->n, id, n);
    if (start > n - n_last) start = n - n_last;
    if (!alone) {
        const dele_status status = reserve(c, n, err);
        if (status) return status;
        c->n = start;
        c->kv.n_rows = (int)start;
    }
    dele_arena arena = {0};
    const dele_segment segment = {.tokens = id + start,
                                  .n_rows = (int)(n - start),
                                  .first_pos = (int)start,
                                  .parent = start ? &c->kv : NULL,
                                  .keep = alone ? NULL : &c->kv};
    int *rows = DELE_NEW(&arena, int, n_last, err);
    for (size_t i = 0; rows && i < n_last; i++) rows[i] = (int)(n - n_last - start + i);
    dele_status status = rows ? pass(c, &segment, 1, rows, n_last, err) : DELE_ERR_MEMORY;
    if (!status) dele_logits(logits, &c->run, c->model, c->run.final, n_last);
    if (!status) status = dele_logits_check(logits, n_last, c->model, err);
    for (size_t i = start; i < n && !status && !alone; i++) {
        c->id[i] = id[i];
        c->next[i].id = -1;
    }
    if (!status && !alone) c->n = n;
    dele_arena_release(&arena);
    return status;
}

/* ---- completions ----------------------------------------------------------------------------- */

dele_status dele_completion_begin(dele_completion *w, const int *id, size_t n, size_t room,
                                  dele_arena *arena, dele_err *err)
{
    *w = (dele_completion){.first = n, .room = room};
    w->id = DELE_NEW(arena, int, n + room, err);
    w->p = DELE_NEW(arena, double, room + 1, err);
    w->end = DELE_NEW(arena, size_t, room + 1, err);
    w->text = dele_strdup(arena, "", err);
    if (!w->id || !w->p || !w->end || !w->text) return DELE_ERR_MEMORY;
    if (n) memcpy(w->id, id, n * sizeof *id);
    return DELE_OK;
}

/* Whether the text ends in U+FFFD: in bytes that are no character, or not yet. */
static bool is_cut(const char *text, size_t n)
{
    return n >= 3 && !memcmp(text + n - 3, "\xef\xbf\xbd", 3);
}

dele_status dele_completion_more(dele_completion *w, dele_completer *c, dele_arena *arena,
                                 dele_err *err)
{
    dele_next_token next;
    dele_status status = dele_completer_next(&next, c, w->id, w->first + w->n, err);
    if (status) return status;
    const size_t before = w->n ? w->end[w->n - 1] : 0;
    w->id[w->first + w->n] = next.id;
    w->p[w->n] = next.p;
    w->end[w->n] = before;
    w->n++;
    w->stopped = dele_completer_stops(c, next.id);
    if (w->stopped) return DELE_OK;
    char *text = dele_decode_continuation(c->model->tokenizer, w->id, w->first, w->id + w->first,
                                          w->n, true, arena, err);
    if (!text) return DELE_ERR_MEMORY;
    const size_t n = strlen(text);
    if (n > before && !is_cut(text, n) && !memcmp(text, w->text, before)) {
        w->text = text;
        w->end[w->n - 1] = n;
    }
    return DELE_OK;
}
