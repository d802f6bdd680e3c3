/* Causal tracing (activation patching): where in a model is a fact stored?  (Meng et al. 2022,
 * arXiv 2202.05262; ROME's code as it is.)
 *
 * In the clean run, p(answer) is high.  In S corrupted runs, which corrupt the subject's tokens,
 * p(answer) is low.  A cell restores one activation of the corrupted run to its clean value, at one
 * token t, and computes everything after it: p(answer) is then the cell's score, and score − low is
 * its indirect effect.
 *
 *   hidden (t, l)    the residual stream after layer l
 *   mid    (t, l)    the residual stream between layer l's attention and its MLP
 *   mlp    (t, l)    the MLP outputs of a window of layers around l
 *   attn   (t, l)    the attention outputs of these layers
 *   head   (t, l, h) the output of one attention head of layer l
 *   embed  (t)       the embedding
 *
 * and in a mixture of experts
 *
 *   moe    (t, l)    the cells of mlp, of the layers whose MLP is a mixture
 *   router (t, l)    the router's logits of layer l: which experts are chosen, and their weights
 *   expert (t, l, e) what expert e of layer l adds to the layer's output, its weight included;
 *                    where the clean run does not choose it, nothing
 *
 * This is *denoising*: it shows which activations suffice.  *Noising* patches corrupted values into
 * the clean run, and shows which are necessary (Heimersheim & Nanda 2024, arXiv 2404.15255).  Zero
 * and mean ablation are noising with other values.
 *
 * A patch at token t whose first layer is a changes nothing before t and nothing below a, so a cell
 * is computed from there on: its segment starts late and reads the run's KV cache of the tokens
 * before (see cells.c).  --reference computes every cell from the embedding instead; the two agree
 * to rounding, which --reference-check shows on some cells. */
#ifndef DELE_TRACE_H
#define DELE_TRACE_H

#include <stdio.h>

#include "model/facts.h"
#include "model/forward.h"
#include "text/chat.h"
#include "trace/corrupt.h"

/* ---- what is patched and measured ------------------------------------------------------------ */

typedef enum {
    DELE_HIDDEN,
    DELE_MLP,
    DELE_ATTN,
    DELE_MID,
    DELE_HEAD,
    DELE_EMBEDDING,
    DELE_MOE,
    DELE_ROUTER,
    DELE_EXPERT,
    DELE_N_KINDS
} dele_kind;
extern const char
    *const dele_kind_name[DELE_N_KINDS + 1];         /* by kind, as "hidden"; ends with NULL */
extern const dele_site dele_kind_site[DELE_N_KINDS]; /* the site that is patched */

/* Whether several layers are patched together. */
static inline bool dele_kind_has_windows(dele_kind kind)
{
    return kind == DELE_MLP || kind == DELE_ATTN || kind == DELE_MOE;
}
/* Whether only layers with experts have such cells. */
static inline bool dele_kind_is_of_experts(dele_kind kind) { return kind >= DELE_MOE; }
/* Whether a layer has several columns, which are drawn as a map of their own. */
static inline bool dele_kind_has_units(dele_kind kind)
{
    return kind == DELE_HEAD || kind == DELE_EXPERT;
}

/* All are measured in the same pass.  Logit difference, rank and KL are those of the answer's first
 * token. */
typedef enum {
    DELE_PROB,       /* p(answer): the product over its tokens, each given the ones before it */
    DELE_LOGP,       /* its logarithm */
    DELE_LOGIT_DIFF, /* logit(answer) - logit(foil) */
    DELE_RANK,       /* 1: the most likely of all tokens */
    DELE_KL,         /* KL(clean || this run) of the next token, nats */
    DELE_N_METRICS
} dele_metric;
extern const char
    *const dele_metric_name[DELE_N_METRICS]; /* "p", "logp", "logit_diff", "rank", "kl" */

/* Severed paths (ROME, section 2.2): a hidden state is restored, and these outputs are kept
 * corrupted at its token. */
typedef enum { DELE_SEVER_NOTHING, DELE_SEVER_MLP, DELE_SEVER_ATTN, DELE_N_SEVERS } dele_sever;

/* One map of cells: tokens by columns.  A column is a layer; for heads layer * n_heads + head, for
 * experts layer * n_experts + expert; for the embedding there is one. */
typedef struct {
    char name[32]; /* "hidden", "mlp", or "mlp_w3" where there are several windows; "hidden_no_mlp"
                      where severed */
    dele_kind kind;
    dele_sever sever;
    int window; /* layers patched together by mlp, attn and moe; else 1 */
    int n_cols;
} dele_chart;

/* The layers [*from, *to) that a window of w layers around l covers, clipped.  The code's edges
 * reach w/2 below and ceil(w/2) - 1 above (l - 5 .. l + 4 for 10); the paper's text says l - 4 .. l
 * + 5. */
void dele_window(int *from, int *to, int l, int w, int n_layers, bool paper_edges);

/* ---- options --------------------------------------------------------------------------------- */

/* Words of options.  Each table has the words by value and ends with NULL. */

/* Which run is patched: the corrupted one with clean values, or the clean one with corrupted
 * values. */
typedef enum { DELE_DENOISE, DELE_NOISE } dele_direction;
extern const char *const dele_direction_name[]; /* "denoise", "noise" */

/* Which layers a window of even width covers: see dele_window. */
typedef enum { DELE_EDGES_CODE, DELE_EDGES_PAPER } dele_edges;
extern const char *const dele_edges_name[]; /* "code", "paper" */

/* Which token positions are patched. */
typedef enum {
    DELE_TOKENS_ALL,
    DELE_TOKENS_SUBJECT,
    DELE_TOKENS_LAST_SUBJECT,
    DELE_TOKENS_LAST
} dele_tokens;
extern const char *const dele_tokens_name[]; /* "all", "subject", "last-subject", "last" */

/* Whether each fact has noise of its own, or all have the same draws, as in ROME. */
typedef enum { DELE_NOISE_PER_FACT, DELE_NOISE_SHARED } dele_noise_seed;
extern const char *const dele_noise_seed_name[]; /* "per-fact", "shared" */

/* Whose results are reproduced (corrupt.h has ROME's particulars). */
typedef enum { DELE_COMPAT_NONE, DELE_COMPAT_ROME } dele_compat;
extern const char *const dele_compat_name[]; /* "", "rome" */

/* Which answers are traced: the model's own next token, which must be the attribute (ROME's
 * filter); the whole attribute, where each of its tokens is the model's own choice; or the whole
 * attribute, generated or not, as for a fact that was unlearned. */
typedef enum { DELE_ANSWER_ARGMAX, DELE_ANSWER_GREEDY, DELE_ANSWER_ATTRIBUTE } dele_answer;
extern const char *const dele_answer_name[]; /* "argmax", "greedy", "attribute" */

typedef struct {
    const char *kinds;   /* any of hidden,mid,mlp,attn,head,embed,moe,router,expert */
    const char *windows; /* widths for mlp, attn and moe: "10", "1,3,5,10" */
    dele_edges edges;
    const char *sever;  /* "", or any of mlp,attn: hidden charts with that path severed, beside the
                           plain one */
    dele_tokens tokens; /* where to patch */
    dele_direction direction;
    dele_corrupt_by corrupt;
    const char *noise;      /* how strong, see corrupt.h: "s3", "0.1", "u0.3", "us3", "m", "t3" */
    const char *noise_text; /* "m" and "t": a text whose embeddings' covariance is taken; "": the
                               facts' prompts */
    bool replace;           /* noise instead of the embedding, not on top of it */
    double sigma;           /* > 0: taken verbatim, `noise` is not looked at */
    int samples;            /* noise samples a fact */
    double until;           /* > 0: more draws till the peak's 95 % half-width is at most this; see
                               max_samples */
    int max_samples;
    dele_noise_seed noise_seed;
    uint64_t seed; /* of numpy's RandomState */
    dele_compat compat;
    int shuffle; /* > 0: facts in an order drawn by this seed, so that --limit takes a random sample
                  */
    int limit;   /* stop when so many facts are traced; 0: all */
    const char *split; /* only facts of this split; "" or NULL: all */
    const char *ids;   /* only facts with one of these ids, as "3,17"; "" or NULL: all */
    dele_answer answer;
    dele_chat chat;   /* the prompt is a user's turn in this layout; NONE: it is raw text */
    bool reference;   /* recompute every cell from the tokens up */
    bool attribution; /* read the facts and their answers, and compute no cell: see
                         attribution_facts.h */
    int memory;       /* MiB for caches and batches */
} dele_trace_opts;

/* Whether all facts have the same noise. */
static inline bool dele_shares_noise(const dele_trace_opts *o)
{
    return o->noise_seed == DELE_NOISE_SHARED || o->compat == DELE_COMPAT_ROME;
}

#define DELE_TRACE_DEFAULTS                                                                        \
    ((dele_trace_opts){.kinds = "hidden,mlp,attn",                                                 \
                       .windows = "10",                                                            \
                       .sever = "",                                                                \
                       .noise = "s3",                                                              \
                       .noise_text = "",                                                           \
                       .samples = 10,                                                              \
                       .max_samples = 50,                                                          \
                       .seed = 1,                                                                  \
                       .split = "",                                                                \
                       .ids = "",                                                                  \
                       .memory = DELE_DEFAULT_MEMORY})

/* ---- one prompt's cells ---------------------------------------------------------------------- */

/* What the samples of a mixture's prompt are run with, beside the clean and the corrupted run: the
 * other run's routes, forced in all layers and at all tokens.  The metrics of these two, the clean
 * run's and the corrupted run's are a table of two by two: the states' input by the routes. */
typedef enum {
    DELE_CLEAN_ROUTES,     /* the corrupted input under the clean run's routes */
    DELE_CORRUPTED_ROUTES, /* the clean input under the corrupted run's routes */
    DELE_N_FORCED
} dele_forced_run;
extern const char *const dele_forced_name[DELE_N_FORCED];

/* The experts of a prompt, in a mixture of experts.  L layers of the model, k chosen experts. */
typedef struct {
    int *experts;     /* [n_tokens, L, k] of the clean run, in order of probability; -1: the layer
                         has none */
    float *weights;   /* [n_tokens, L, k] by which their outputs are multiplied */
    float *unchanged; /* [n_samples, n_tokens, L] the fraction of them that the corrupted run
                         chooses as well; NaN: no experts, or under ablation */
    double *forced;   /* [n_samples, DELE_N_FORCED, DELE_N_METRICS]; NaN under ablation */
} dele_grid_routes;

/* A prompt, and the cells of its maps. */
typedef struct {
    const int *ids;           /* [n_tokens] */
    int n_tokens, begin, end; /* the subject is [begin, end) */
    const int *answer;        /* [n_answer] ids; n_answer 0: the greedy next token will be taken */
    int n_answer;
    int foil; /* the other answer's first token; -1, or the answer's own: replaced by the corrupted
                 run's most likely token other than the answer */
    const int *partner; /* [end - begin] tokens that replace the subject, with --corrupt tokens */
    uint64_t seed;      /* of this prompt's noise */

    int n_samples;
    double high[DELE_N_METRICS]; /* clean */
    double *low;                 /* [n_samples, DELE_N_METRICS] corrupted; NaN under ablation */
    bool greedy;                 /* each of the answer's tokens is the clean run's choice */
    float **
        value; /* [n_charts] of [n_samples, DELE_N_METRICS, n_tokens, n_cols]; NaN: not asked for */
    dele_grid_routes *routes; /* NULL: the model is no mixture of experts */
} dele_grid;

static inline float *dele_cell(const dele_grid *g, const dele_chart *chart, int which, int s,
                               dele_metric metric, int t, int col)
{
    size_t T = (size_t)g->n_tokens, C = (size_t)chart->n_cols;
    return g->value[which] + (((size_t)s * DELE_N_METRICS + (size_t)metric) * T + (size_t)t) * C +
           (size_t)col;
}

/* Mean over samples of a metric; NaN where the cell was not asked for. */
double dele_cell_mean(const dele_grid *g, const dele_chart *chart, int which, dele_metric metric,
                      int t, int col);
double dele_low_mean(const dele_grid *g, dele_metric metric);

/* ---- facts ----------------------------------------------------------------------------------- */

typedef struct {
    const dele_fact *fact;
    const char *left_out;      /* the reason why it was not traced; NULL: it was */
    const char *why;           /* the kind of reason, to count by: "no partner" */
    const char **tokens;       /* [grid.n_tokens] each decoded alone */
    const char *answer, *foil; /* decoded */
    const char *partner;       /* the subject that replaced it in the corrupted run, or NULL */
    double noop; /* the largest change of p when a state is replaced by the run's own value: 0 but
                    for rounding; NaN: not measured, under ablation */
    dele_grid grid;
} dele_traced;

typedef struct {
    dele_trace_opts opts;
    const char *model; /* its path */
    dele_chart *charts;
    int n_charts, n_layers, n_heads;
    int n_experts, top_k; /* of a mixture of experts; else 0 */
    bool *dense;          /* [n_layers] its layers without experts; NULL: none */
    bool noising, paper_edges;
    double sigma;       /* of the noise; 0 when there is none */
    dele_traced *facts; /* [n] traced or left out, in the file's order or, with --shuffle, in the
                           shuffled order */
    size_t n, n_traced;
    double row_layers, flops, seconds;
} dele_trace;

/* Columns of a chart for each layer: heads, experts, or 1. */
static inline int dele_chart_units(const dele_trace *trace, const dele_chart *chart)
{
    return chart->kind == DELE_HEAD     ? trace->n_heads
           : chart->kind == DELE_EXPERT ? trace->n_experts
                                        : 1;
}

/* Whether no fact can have such a cell: its layer has no experts. */
static inline bool dele_column_is_absent(const dele_trace *trace, const dele_chart *chart, int col)
{
    return dele_kind_is_of_experts(chart->kind) && trace->dense &&
           trace->dense[col / dele_chart_units(trace, chart)];
}

/* The first column that is not absent. */
static inline int dele_first_column(const dele_trace *trace, const dele_chart *chart)
{
    int col = 0;
    while (col < chart->n_cols - 1 && dele_column_is_absent(trace, chart, col)) col++;
    return col;
}

/* The effect of a patch on a metric, positive where the patched activation matters: value − low
 * when denoising, high − value when noising; rank and KL, which fall as p rises, have the other
 * sign. */
double dele_effect_of(const dele_trace *trace, dele_metric metric, double value, double high,
                      double low);

/* ---- groups of tokens ------------------------------------------------------------------------ */

/* Groups of tokens over which facts are averaged.  The token of a one-token subject is its first
 * and its last; a single token after the subject is the first after it and the last of the
 * prompt. */
typedef enum {
    DELE_FIRST_SUBJECT,
    DELE_MIDDLE_SUBJECT,
    DELE_LAST_SUBJECT,
    DELE_FIRST_AFTER,
    DELE_FURTHER,
    DELE_LAST_TOKEN,
    DELE_N_CATEGORIES
} dele_category;
extern const char *const dele_category_name[DELE_N_CATEGORIES];

/* The tokens [*from, *to) of a category in a prompt of T tokens with the subject at [b, e); may be
 * empty. */
void dele_category_range(int *from, int *to, dele_category category, int T, int b, int e);

/* A cell's mean effect on p over its fact's noise samples. */
double dele_cell_effect(const dele_trace *trace, const dele_traced *fact, int chart, int t,
                        int col);

/* A fact's mean over a category's tokens; NaN where it has none, or they were not patched. */
double dele_category_value(const dele_trace *trace, const dele_traced *fact, int chart,
                           dele_metric metric, dele_category category, int col);

#endif
