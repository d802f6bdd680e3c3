/* Two forward passes for each batch of questions.  Pass one runs the tokens that the choices of
 * each question share and stores their KV cache; pass two runs the remaining tokens of each choice.
 * The row at position p predicts id p + 1, so a sequence of n ids has n - 1 rows, and the last
 * n_scored of them are output rows. */
#include "score/choices.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "template/pytext.h"
#include "tensor/ops.h"
#include "text/continuation.h"

enum { MAX_ROWS = 1024, MIN_ROWS = 128, LOGIT_ROWS = 64 };

/* One log-probability to be computed from an output row. */
typedef struct {
    dele_choice *choice;
    size_t output_row;
    int target;
    bool first;
} ask;

typedef struct {
    dele_segment *segments;
    int *output_rows;
    ask *asks;
    size_t n_segments, n_output_rows, n_asks;
    int n_rows;
} pass;

typedef struct {
    const dele_model *model;
    dele_run *run;
    dele_arena arena; /* of one batch */
    const int *prefix;
    int n_prefix;
    dele_kv prefix_kv;
} job;

static int shared(const int *a, int n_a, const int *b, int n_b)
{
    int n = 0;
    while (n < n_a && n < n_b && a[n] == b[n]) n++;
    return n;
}

static int first_output_row(const dele_choice *c) { return c->n - c->n_scored - 1; }

/* The number of rows that all choices of a question share. */
static int question_prefix(const dele_question *q)
{
    int n = q->choice[0].n - 1;
    for (int i = 1; i < q->n_choices; i++)
        n = shared(q->choice[0].ids, n, q->choice[i].ids, q->choice[i].n - 1);
    return n;
}

static int question_first_wanted(const dele_question *q)
{
    int first = first_output_row(&q->choice[0]);
    for (int i = 1; i < q->n_choices; i++)
        if (first_output_row(&q->choice[i]) < first) first = first_output_row(&q->choice[i]);
    return first;
}

/* The number of a question's rows that are in the common prefix: 0 unless the question begins with
 * the whole prefix. */
static int base_of(const job *j, const dele_question *q)
{
    if (j->n_prefix == 0) return 0;
    return shared(j->prefix, j->n_prefix, q->choice[0].ids, question_prefix(q)) == j->n_prefix
               ? j->n_prefix
               : 0;
}

/* The common prefix of the questions, ending before the first output row.  Questions truncated to
 * the context's length begin differently; those that differ at the first token are ignored. */
static int common_prefix(const dele_question *questions, size_t n)
{
    if (n < 2) return 0;
    const int *ids = questions[0].choice[0].ids;
    int prefix = question_first_wanted(&questions[0]);
    if (question_prefix(&questions[0]) < prefix) prefix = question_prefix(&questions[0]);
    size_t sharing = 1;
    for (size_t i = 1; i < n; i++) {
        int own = question_first_wanted(&questions[i]), all = question_prefix(&questions[i]);
        int common = shared(ids, prefix, questions[i].choice[0].ids, own < all ? own : all);
        if (common < 2) continue;
        prefix = common;
        sharing++;
    }
    return sharing > 1 ? prefix : 0;
}

static int rows_of(const job *j, const dele_question *q)
{
    int common = question_prefix(q), rows = common - base_of(j, q);
    for (int i = 0; i < q->n_choices; i++) rows += q->choice[i].n - 1 - common;
    return rows;
}

static dele_status pass_init(pass *p, const dele_question *questions, size_t n, const job *j,
                             dele_arena *arena, dele_err *err)
{
    size_t segments = 0, rows = 0, asks = 0;
    for (size_t i = 0; i < n; i++) {
        segments += (size_t)questions[i].n_choices + 1;
        rows += (size_t)rows_of(j, &questions[i]);
        for (int c = 0; c < questions[i].n_choices; c++)
            asks += (size_t)questions[i].choice[c].n_scored;
    }
    *p = (pass){.segments = DELE_NEW(arena, dele_segment, segments, err),
                .output_rows = DELE_NEW(arena, int, rows, err),
                .asks = DELE_NEW(arena, ask, asks, err)};
    return p->segments && p->output_rows && p->asks ? DELE_OK : DELE_ERR_MEMORY;
}

/* Adds rows begin .. end - 1 of a sequence to the pass. */
static void add_segment(pass *p, const int *ids, int begin, int end, const dele_kv *parent,
                        dele_kv *keep)
{
    p->segments[p->n_segments++] = (dele_segment){.tokens = ids + begin,
                                                  .n_rows = end - begin,
                                                  .first_pos = begin,
                                                  .parent = parent,
                                                  .keep = keep};
    p->n_rows += end - begin;
}

/* Makes rows first .. end - 1 of the last segment, which begins at position `begin`, output rows;
 * row r is output row number result + r - first. */
static size_t want(pass *p, int begin, int first, int end)
{
    size_t result = p->n_output_rows;
    int row0 = p->n_rows - p->segments[p->n_segments - 1].n_rows;
    for (int r = first; r < end; r++) p->output_rows[p->n_output_rows++] = row0 + r - begin;
    return result;
}

/* The log-probabilities of choice c from rows from .. end - 1, of which row `from` is output row
 * number `wanted`. */
static void add_asks(pass *p, dele_choice *c, size_t output_row, int from, int end)
{
    int start = first_output_row(c);
    for (int r = start > from ? start : from; r < end; r++)
        p->asks[p->n_asks++] =
            (ask){c, output_row + (size_t)(r - from), c->ids[r + 1], r == start + c->n_blank};
}

static void read_ask(const ask *a, const float *logits, double log_sum, int top, size_t vocab)
{
    double logp = (double)logits[a->target] - log_sum;
    a->choice->logp += logp;
    a->choice->greedy &= a->target == top;
    if (!a->first) return;
    int more_likely = 0;
    for (size_t v = 0; v < vocab; v++) more_likely += logits[v] > logits[a->target];
    a->choice->first_logp = logp;
    a->choice->first_rank = 1 + more_likely;
    a->choice->first_top = top;
}

/* log Σ exp x with the library's exp, which log_sum_exp of tensor/ops.h replaces by a polynomial:
 * scores keep their last digits. */
static double log_partition(const float *x, size_t n, int *top)
{
    const size_t best = argmax(x, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - (double)x[best]);
    *top = (int)best;
    return (double)x[best] + log(sum);
}

static float *lay_logits(const dele_config *config, dele_arena *arena, dele_err *err)
{
    return dele_alloc_raw(arena, LOGIT_ROWS, (size_t)config->vocab * sizeof(float), err);
}

/* One forward pass over the planned segments, then the log-probabilities that are asked of its
 * rows.  Logits are computed for LOGIT_ROWS rows at a time, because those of all rows would need
 * more memory than the pass itself; each ask finds its row by output_row. */
static dele_status run_pass(pass *p, job *j, dele_err *err)
{
    if (p->n_segments == 0) return DELE_OK;
    const dele_config *config = &j->model->config;
    size_t vocab = (size_t)config->vocab, d_model = (size_t)config->hidden_size;
    dele_batch batch = {.segments = p->segments,
                        .n_segments = p->n_segments,
                        .output_rows = p->output_rows,
                        .n_output_rows = p->n_output_rows};
    dele_status status = dele_forward(j->run, j->model, &batch, err);
    if (status || p->n_output_rows == 0) return status;
    float *logits = lay_logits(config, &j->run->arena, err);
    if (!logits) return DELE_ERR_MEMORY;
    for (size_t begin = 0; begin < p->n_output_rows; begin += LOGIT_ROWS) {
        size_t n = p->n_output_rows - begin < LOGIT_ROWS ? p->n_output_rows - begin : LOGIT_ROWS;
        double log_sum[LOGIT_ROWS];
        int top[LOGIT_ROWS];
        dele_logits(logits, j->run, j->model, j->run->final + begin * d_model, n);
        if ((status = dele_logits_check(logits, n, j->model, err))) return status;
#pragma omp parallel for
        for (size_t i = 0; i < n; i++)
            log_sum[i] = log_partition(logits + i * vocab, vocab, &top[i]);
        for (size_t i = 0; i < p->n_asks; i++) {
            const ask *a = &p->asks[i];
            if (a->output_row < begin || a->output_row >= begin + n) continue;
            size_t row = a->output_row - begin;
            read_ask(a, logits + row * vocab, log_sum[row], top[row], vocab);
        }
    }
    return DELE_OK;
}

/* Pass one of a question: the rows that its choices share; *kv is the KV cache that its choices
 * continue. */
static dele_status add_question(pass *p, job *j, const dele_question *q, const dele_kv **kv,
                                dele_err *err)
{
    int base = base_of(j, q), common = question_prefix(q), first = question_first_wanted(q);
    const dele_kv *parent = base ? &j->prefix_kv : NULL;
    bool tails = rows_of(j, q) > common - base;
    *kv = parent;
    if (common == base) return DELE_OK;
    dele_kv *own = NULL;
    if (tails) {
        own = DELE_NEW(&j->arena, dele_kv, 1, err);
        if (!own ||
            dele_kv_init(own, &j->model->config, parent, base, common - base, &j->arena, err))
            return DELE_ERR_MEMORY;
        *kv = own;
    }
    add_segment(p, q->choice[0].ids, base, common, parent, own);
    if (first >= common) return DELE_OK;
    size_t output_row = want(p, base, first, common);
    for (int i = 0; i < q->n_choices; i++) add_asks(p, &q->choice[i], output_row, first, common);
    return DELE_OK;
}

/* Pass two: the remaining rows of each choice. */
static void add_tails(pass *p, const dele_question *q, const dele_kv *kv)
{
    int common = question_prefix(q);
    for (int i = 0; i < q->n_choices; i++) {
        dele_choice *c = &q->choice[i];
        if (c->n - 1 == common) continue;
        int first = first_output_row(c) > common ? first_output_row(c) : common;
        add_segment(p, c->ids, common, c->n - 1, kv, NULL);
        add_asks(p, c, want(p, common, first, c->n - 1), first, c->n - 1);
    }
}

static dele_status score_batch(job *j, dele_question *questions, size_t n, dele_err *err)
{
    pass one = {0}, two = {0};
    const dele_kv **kv = DELE_NEW(&j->arena, const dele_kv *, n, err);
    dele_status status = kv ? pass_init(&one, questions, n, j, &j->arena, err) : DELE_ERR_MEMORY;
    if (!status) status = pass_init(&two, questions, n, j, &j->arena, err);
    for (size_t i = 0; i < n && !status; i++)
        status = add_question(&one, j, &questions[i], &kv[i], err);
    if (!status) status = run_pass(&one, j, err);
    for (size_t i = 0; i < n && !status; i++) add_tails(&two, &questions[i], kv[i]);
    if (!status) status = run_pass(&two, j, err);
    return status;
}

static dele_status run_prefix(job *j, const dele_question *questions, size_t n, dele_arena *arena,
                              dele_err *err)
{
    j->n_prefix = common_prefix(questions, n);
    j->prefix = questions[0].choice[0].ids;
    if (j->n_prefix == 0) return DELE_OK;
    dele_status status =
        dele_kv_init(&j->prefix_kv, &j->model->config, NULL, 0, j->n_prefix, arena, err);
    dele_segment segment = {.tokens = j->prefix, .n_rows = j->n_prefix, .keep = &j->prefix_kv};
    dele_batch batch = {.segments = &segment, .n_segments = 1};
    return status ? status : dele_forward(j->run, j->model, &batch, err);
}

static size_t row_budget(const dele_config *config, size_t max_rows)
{
    if (max_rows) return max_rows;
    const size_t rows = ((size_t)256 << 20) / dele_kv_bytes(config, 1);
    return rows > MAX_ROWS ? MAX_ROWS : rows < MIN_ROWS ? MIN_ROWS : rows;
}

size_t dele_choices_bytes(const dele_model *model, size_t prefix, size_t question)
{
    const dele_config *c = &model->config;
    const size_t budget = row_budget(c, 0), n = budget > question ? budget / question : 1;
    const dele_pass_size size = {.n_rows = n * question,
                                 .n_segments = n,
                                 .n_spans = 2 * n,
                                 .n_output_rows = n,
                                 .longest = prefix + question};
    dele_arena counted = {.counts = true};
    const float *logits = lay_logits(c, &counted, NULL);
    const size_t bytes = counted.used;
    dele_arena_release(&counted);
    if (!logits) return SIZE_MAX;
    return DELE_BYTES(bytes, dele_kv_bytes(c, (int)prefix), dele_forward_bytes(c, &size),
                      dele_tile_bytes(model));
}

dele_status dele_choices_score(dele_question *questions, size_t n, dele_run *run,
                               const dele_model *model, const dele_choices_opts *opts,
                               dele_err *err)
{
    job j = {.model = model, .run = run};
    dele_arena arena = {0};
    size_t budget = row_budget(&model->config, opts->max_rows), n_cut = 0;
    for (size_t i = 0; i < n; i++) n_cut += questions[i].choice[0].cut;
    if (n_cut)
        dele_remark("%zu of %zu questions are longer than the model's context of %d tokens and "
                    "lose their beginning, as in "
                    "lm-evaluation-harness",
                    n_cut, n, model->config.context);
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < questions[i].n_choices; c++) {
            questions[i].choice[c].logp = 0;
            questions[i].choice[c].greedy = true;
        }
    dele_status status = n ? run_prefix(&j, questions, n, &arena, err) : DELE_OK;
    for (size_t begin = 0, end; begin < n && !status; begin = end) {
        size_t rows = (size_t)rows_of(&j, &questions[begin]);
        for (end = begin + 1; end < n; end++) {
            rows += (size_t)rows_of(&j, &questions[end]);
            if (rows > budget) break;
        }
        if (end <= opts->n_known) continue; /* the batches are the same wherever a run resumes */
        status = score_batch(&j, questions + begin, end - begin, err);
        if (!status && opts->scored) status = opts->scored(opts->data, begin, end - begin, err);
        dele_arena_release(&j.arena);
    }
    dele_arena_release(&arena);
    return status;
}

/* The context is the first n_context bytes of `context`; the bytes after them belong to the
 * continuation. */
static dele_status encode_choice(dele_choice *choice, const dele_tokenizer *t, const char *context,
                                 size_t n_context, const char *continuation, dele_straddle straddle,
                                 int max_length, dele_arena *arena, dele_err *err)
{
    char *whole = dele_printf(arena, err, "%s%s", context, continuation);
    dele_continued_ids all;
    if (!whole || dele_encode_continuation(&all, t, whole, strlen(whole), n_context, true, straddle,
                                           arena, err))
        return err->code;
    const size_t own = all.n - all.first;
    if (all.first == 0 || own == 0 || own > (size_t)max_length)
        return dele_fail(
            err, DELE_ERR_DATA,
            "\"%.80s\" cannot be scored after its question: it has %zu tokens of its own "
            "(one to %d are possible)",
            continuation, own, max_length);
    size_t cut = all.n > (size_t)max_length + 1 ? all.n - (size_t)max_length - 1 : 0;
    *choice = (dele_choice){
        .ids = all.id + cut, .n = (int)(all.n - cut), .n_scored = (int)own, .cut = cut > 0};
    return DELE_OK;
}

dele_status dele_choice_encode(dele_choice *choice, const dele_tokenizer *t, const char *context,
                               const char *continuation, int max_length, dele_arena *arena,
                               dele_err *err)
{
    return encode_choice(choice, t, context, dele_rstrip(context, strlen(context)), continuation,
                         DELE_STRADDLE_LM_EVAL, max_length, arena, err);
}

dele_status dele_choice_encode_joined(dele_choice *choice, const dele_tokenizer *t,
                                      const char *context, const char *continuation, int max_length,
                                      dele_arena *arena, dele_err *err)
{
    return encode_choice(choice, t, context, strlen(context), continuation, DELE_STRADDLE_SPLIT,
                         max_length, arena, err);
}
