/* Causal tracing: where in the model does a fact live?  (Meng et al. 2022, arXiv 2202.05262; ROME's code as it is.)
 *
 * A prompt is run clean; high = p(answer).  Then the subject's tokens are corrupted, S times over, and p(answer) falls
 * to low.  Now one thing at a time is put back to its clean value, at one token t, and everything after it runs on
 * freely: a cell's score is p(answer) then, and what it gained over low is the cell's indirect effect.
 *
 *   hidden (t, l)    the stream as it leaves layer l
 *   mid    (t, l)    the stream between layer l's attention and its MLP
 *   mlp    (t, l)    what the MLPs of a window of layers around l add to the stream
 *   attn   (t, l)    what the attention of those layers adds
 *   head   (t, l, h) what one head of layer l mixes together
 *   embed  (t)       the embedding
 *
 * That is *denoising*: it shows what suffices.  *Noising* puts the corrupted values into the clean run instead, and
 * shows what is needed (Heimersheim & Nanda 2024, arXiv 2404.15255).  Zero and mean ablation are noising with values
 * of their own.
 *
 * A patch at token t whose first layer is a changes nothing before t and nothing below a, so a cell is only ever
 * computed from there on: a segment that joins late, reading the run's own keys and values of what came before (see
 * cells.c).  --reference computes every cell from the tokens up instead; the two agree to rounding, which
 * --reference-check shows on some. */
#ifndef LAC_TRACE_H
#define LAC_TRACE_H

#include <stdio.h>

#include "base/progress.h"
#include "model/facts.h"
#include "model/forward.h"

/* ---- what is traced --------------------------------------------------------------------------------------------- */

typedef enum { LAC_HIDDEN, LAC_MLP, LAC_ATTN, LAC_MID, LAC_HEAD, LAC_EMBEDDING, LAC_N_KINDS } lac_kind;
extern const char *const lac_kind_name[LAC_N_KINDS]; /* "hidden", "mlp", "attn", "mid", "head", "embed" */

/* All of them from the same pass.  The answer's first token decides logit difference, rank and KL. */
typedef enum {
    LAC_PROB,       /* p(answer): the product over its tokens, each after the right ones before it */
    LAC_LOGP,       /* its logarithm */
    LAC_LOGIT_DIFF, /* logit(answer) - logit(foil) */
    LAC_RANK,       /* 1: the likeliest of all tokens */
    LAC_KL,         /* KL(clean || this run) of the next token, nats */
    LAC_N_METRICS
} lac_metric;
extern const char *const lac_metric_name[LAC_N_METRICS]; /* "p", "logp", "logit_diff", "rank", "kl" */

/* Severed paths (ROME section 2.2): while a hidden state is restored, these outputs stay corrupted at its token. */
typedef enum { LAC_SEVER_NOTHING, LAC_SEVER_MLP, LAC_SEVER_ATTN, LAC_N_SEVERS } lac_sever;

/* One map of cells: tokens by columns.  A column is a layer; for heads layer * n_heads + head; for the embedding there
 * is one. */
typedef struct {
    char name[32]; /* "hidden", "mlp", or "mlp_w3" where there are several windows; "hidden_no_mlp" where severed */
    lac_kind kind;
    lac_sever sever;
    int window;    /* layers patched together by mlp and attn; else 1 */
    int n_cols;
} lac_chart;

/* The layers [*from, *to) that a window of w layers around l covers, clipped.  The code's edges reach w/2 below and
 * ceil(w/2) - 1 above (l - 5 .. l + 4 for 10); the paper's text says l - 4 .. l + 5. */
void lac_window(int *from, int *to, int l, int w, int n_layers, bool paper_edges);

/* ---- options ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *kinds;      /* any of hidden,mid,mlp,attn,head,embed */
    const char *windows;    /* widths for mlp and attn: "10", "1,3,5,10" */
    const char *edges;      /* "code" or "paper" */
    const char *sever;      /* "", or any of mlp,attn: hidden charts with that path severed, beside the plain one */
    const char *tokens;     /* "all", "subject", "last-subject", "last": where to patch */
    const char *direction;  /* "denoise" or "noise" */
    const char *corrupt;    /* "noise", "tokens" (another fact's subject), "zero", "mean" (the patched site itself) */
    const char *noise;      /* how strong, see corrupt.h: "s3", "0.1", "u0.3", "us3", "m", "t3" */
    const char *noise_text; /* "m" and "t": a text whose embeddings' covariance is taken; "": the facts' prompts */
    bool replace;           /* noise instead of the embedding, not on top of it */
    double sigma;           /* > 0: taken verbatim, `noise` is not looked at */
    int samples;            /* noise samples a fact */
    double until;           /* > 0: more draws till the peak's 95 % half-width is at most this; see max_samples */
    int max_samples;
    const char *noise_seed; /* "per-fact": facts are independent; "shared": ROME's, the same draws for each */
    uint64_t seed;          /* of numpy's RandomState */
    const char *compat;     /* "" or "rome": shared noise, and its quirks (corrupt.h) */
    int shuffle;            /* > 0: facts in an order drawn by this seed, so that --limit takes a random sample */
    int limit;              /* stop when so many facts are traced; 0: all */
    const char *split;      /* only facts of this split; "" or NULL: all */
    const char *answer;     /* "argmax": the model's own next token, which must be the attribute (ROME's filter);
                             * "greedy": the whole attribute, each of its tokens the model's own choice;
                             * "attribute": the whole attribute, known or not, as for a fact that was unlearned */
    const char *chat;       /* "none": the prompt as it stands; "auto", "olmo", "smollm2": as a user's turn */
    bool reference;         /* recompute every cell from the tokens up */
    bool screen;            /* read the facts and their answers, and compute no cell: see screening.h */
    int memory;             /* MiB for caches and batches */
} lac_trace_opts;

#define LAC_TRACE_DEFAULTS                                                                                         \
    ((lac_trace_opts){.kinds = "hidden,mlp,attn", .windows = "10", .edges = "code", .sever = "", .tokens = "all",  \
                      .direction = "denoise", .corrupt = "noise", .noise = "s3", .noise_text = "", .samples = 10,  \
                      .max_samples = 50, .noise_seed = "per-fact", .seed = 1, .compat = "", .split = "",           \
                      .answer = "argmax", .chat = "none", .memory = 1024})

/* ---- one prompt's cells ------------------------------------------------------------------------------------------ */

/* What the heart of the tracer works on, and its result. */
typedef struct {
    const int *ids;           /* [n_tokens] */
    int n_tokens, begin, end; /* the subject is [begin, end) */
    const int *answer;        /* [n_answer] ids; n_answer 0: the greedy next token will be taken */
    int n_answer;
    int foil;                 /* the other answer's first token; -1, or the answer's own: the corrupted run's likeliest
                               * token but the answer is taken */
    const int *partner;       /* [end - begin] tokens to put in the subject's place; corrupted by tokens only */
    uint64_t seed;            /* of this prompt's noise */

    int n_samples;
    double high[LAC_N_METRICS]; /* clean */
    double *low;                /* [n_samples, LAC_N_METRICS] corrupted; NaN under ablation */
    bool greedy;                /* each of the answer's tokens is the clean run's choice */
    float **value;              /* [n_charts] of [n_samples, LAC_N_METRICS, n_tokens, n_cols]; NaN: not asked for */
} lac_grid;

static inline float *lac_cell(const lac_grid *g, const lac_chart *chart, int which, int s, lac_metric metric, int t, int col)
{
    size_t T = (size_t)g->n_tokens, C = (size_t)chart->n_cols;
    return g->value[which] + (((size_t)s * LAC_N_METRICS + (size_t)metric) * T + (size_t)t) * C + (size_t)col;
}

/* Mean over samples of a metric; NaN where the cell was not asked for. */
double lac_cell_mean(const lac_grid *g, const lac_chart *chart, int which, lac_metric metric, int t, int col);
double lac_low_mean(const lac_grid *g, lac_metric metric);

/* ---- facts ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const lac_fact *fact;
    const char *left_out;  /* why it was not traced, or NULL */
    const char *why;       /* the same without this fact's own words, to count by: "no partner" */
    const char **tokens;   /* [grid.n_tokens] each decoded alone */
    const char *answer, *foil; /* decoded */
    const char *partner;   /* the subject put in its place, or NULL */
    double noop;           /* the largest change of p when a run's own value is put back: 0 but for rounding; NaN: not
                            * measured, under ablation */
    lac_grid grid;
} lac_traced;

typedef struct {
    lac_trace_opts opts;
    const char *model;     /* its path */
    lac_chart *charts;
    int n_charts, n_layers, n_heads;
    bool noising, paper_edges;
    double sigma;          /* of the noise; 0 when there is none */
    lac_traced *facts;     /* [n] those looked at, in the file's order or, under --shuffle, in the order drawn */
    size_t n, n_traced;
    double row_layers, flops, seconds;
} lac_trace;

/* How much a value says that the patched thing matters: towards high when denoising, away from it when noising. */
double lac_effect_of(const lac_trace *trace, lac_metric metric, double value, double high, double low);

/* Traces the facts.  dir (may be NULL) is where each fact's record is written as soon as it is there (traces/ must
 * exist), and where those of an earlier run are found. */
lac_status lac_trace_run(lac_trace *trace, const char *dir, const lac_model *model, const lac_facts *facts,
                         const lac_trace_opts *opts, lac_progress *progress, lac_arena *arena, lac_err *err);

/* Some cells of a trace again, each by itself from the tokens up, and their facts' clean and corrupted runs. */
typedef struct {
    int n_cells;
    size_t n_facts;
    double difference;      /* the largest in p, of a single sample */
    const lac_traced *fact; /* where it is, and at which cell; chart -1: in a run that nothing was patched in */
    int chart, token, col;
} lac_trace_checked;

/* n cells of the traced facts, drawn.  model, facts: those of the trace. */
lac_status lac_trace_check(lac_trace_checked *out, const lac_trace *trace, const lac_model *model, const lac_facts *facts,
                           int n, lac_arena *arena, lac_err *err);

/* ---- groups of tokens -------------------------------------------------------------------------------------------- */

/* What facts are averaged over.  A one-token subject is both its first and its last token; a single token after the
 * subject is both the first after it and the last of the prompt. */
typedef enum {
    LAC_FIRST_SUBJECT, LAC_MIDDLE_SUBJECT, LAC_LAST_SUBJECT, LAC_FIRST_AFTER, LAC_FURTHER, LAC_LAST_TOKEN,
    LAC_N_CATEGORIES
} lac_category;
extern const char *const lac_category_name[LAC_N_CATEGORIES];

/* The tokens [*from, *to) of a category in a prompt of T tokens with the subject at [b, e); may be empty. */
void lac_category_range(int *from, int *to, lac_category category, int T, int b, int e);

#endif
