/* Causal tracing: where in the model does a fact live?  (Meng et al. 2022, arXiv 2202.05262; ROME's code as it is.)
 *
 * A prompt is run clean; its greedy next token is the answer, high = p(answer).  Then noise is added to the
 * embeddings of the subject's tokens, S times over, and p(answer) falls to low.  Now one thing at a time is put back
 * to its clean value, at one token t, and everything after it runs on freely: a cell's score is the mean over the S
 * samples of p(answer), and what it gained over low is the cell's indirect effect.
 *
 *   hidden (t, l)   the stream as it leaves layer l
 *   mlp    (t, l)   what the MLPs of the layers [l - w/2, l + ceil(w/2)), clipped at the edges, add to the stream
 *   attn   (t, l)   what the attention of those layers adds
 *
 * A restoration at token t whose first layer is a changes nothing before t and nothing below a, so a cell is only
 * ever computed from there on: a segment that joins late, reading the sample's own keys and values of what came
 * before (see cells.c).  --reference computes every cell from the tokens up instead; the two agree to rounding. */
#ifndef LAC_TRACE_H
#define LAC_TRACE_H

#include <stdio.h>

#include "base/progress.h"
#include "model/facts.h"
#include "model/forward.h"

typedef enum { LAC_HIDDEN, LAC_MLP, LAC_ATTN, LAC_N_KINDS } lac_kind;
extern const char *const lac_kind_name[LAC_N_KINDS]; /* "hidden", "mlp", "attn" */

/* The groups of tokens that facts are averaged over.  A one-token subject is both its first and its last token; a
 * single token after the subject is both the first after it and the last of the prompt. */
typedef enum {
    LAC_FIRST_SUBJECT, LAC_MIDDLE_SUBJECT, LAC_LAST_SUBJECT, LAC_FIRST_AFTER, LAC_FURTHER, LAC_LAST_TOKEN,
    LAC_N_CATEGORIES
} lac_category;
extern const char *const lac_category_name[LAC_N_CATEGORIES];

/* The tokens [*from, *to) of a category in a prompt of T tokens with the subject at [b, e); may be empty. */
void lac_category_range(int *from, int *to, lac_category category, int T, int b, int e);

/* The layers [*from, *to) that a window of w layers around l restores: the code's edges (the paper's text is off by
 * one from them). */
void lac_window(int *from, int *to, int l, int w, int n_layers);

typedef struct {
    const char *kinds;  /* any of hidden,mlp,attn */
    int window;         /* layers restored together by mlp and attn */
    int samples;        /* noise samples a fact */
    const char *noise;  /* "s3": 3 standard deviations of the subjects' embeddings; or a number */
    double sigma;       /* > 0: taken verbatim, `noise` is not looked at */
    uint64_t seed;      /* of numpy's RandomState, fresh for each fact */
    int limit;          /* stop when so many facts are traced; 0: all */
    const char *split;  /* only facts of this split; "" or NULL: all */
    const char *answer; /* "argmax": the model's own, which must be the attribute (ROME's filter); "attribute": that
                         * token, known or not, as is needed to trace a fact that has been unlearned */
    bool reference;     /* recompute every cell from the tokens up */
    int memory;         /* MiB for caches and batches of one fact */
} lac_trace_opts;

#define LAC_TRACE_DEFAULTS                                                                                         \
    ((lac_trace_opts){.kinds = "hidden,mlp,attn", .window = 10, .samples = 10, .noise = "s3", .seed = 1,           \
                      .split = "", .answer = "argmax", .memory = 1024})

/* One prompt, as ids: what the heart of the tracer works on. */
typedef struct {
    const int *ids;
    int n_tokens, begin, end; /* the subject is [begin, end) */
    int n_layers, n_samples, window;
    int answer;               /* id */
    double high, low;         /* p(answer), clean and corrupted (mean over samples) */
    double *low_sample;       /* [n_samples] */
    double *scores[LAC_N_KINDS];  /* [n_tokens, n_layers], NULL: kind not asked for */
    double *samples[LAC_N_KINDS]; /* [n_samples, n_tokens, n_layers] */
} lac_grid;

/* Which kinds a list like "hidden,mlp" names. */
lac_status lac_kinds_parse(bool wanted[LAC_N_KINDS], const char *kinds, lac_err *err);

/* Fills a grid whose ids, n_tokens, begin and end are given.  grid->answer < 0: the greedy choice.  `accept` (may be
 * NULL) is shown the answer before the costly part; when it says no the grid stays without scores.  Progress moves
 * from its present place by one. */
typedef bool lac_accept(void *context, int answer, double p);
lac_status lac_trace_grid(lac_grid *grid, lac_run *run, const lac_model *model, const lac_trace_opts *opts,
                          double sigma, lac_accept *accept, void *context, lac_progress *progress, lac_arena *arena,
                          lac_err *err);

/* Rows times layers that lac_trace_grid computes for such a prompt: the price, known beforehand. */
double lac_trace_price(const lac_trace_opts *opts, int n_layers, int n_tokens, int begin);

/* sigma of "s3" or "0.1": sF is F times the unbiased standard deviation of all embedding entries of all the file's
 * subjects, each encoded alone. */
lac_status lac_noise_sigma(double *sigma, const char *noise, const lac_model *model, const lac_facts *facts,
                           lac_err *err);

/* The corrupted embeddings [n_samples, n, dim] of ids[0..n): x = (float)((double)x + sigma z), z from RandomState(seed)
 * in the order sample, token, channel, so that fewer samples are a prefix of more. */
void lac_noise_embed(float *out, const lac_model *model, const int *ids, int n, int n_samples, double sigma,
                     uint64_t seed);

typedef struct {
    const lac_fact *fact;
    const char *left_out;  /* why it was not traced, or NULL */
    const char **tokens;   /* [grid.n_tokens] each decoded alone */
    const char *answer;    /* decoded */
    lac_grid grid;
} lac_traced;

/* Mean effect of a cell of the averaged map, over the facts that have such tokens. */
typedef struct {
    size_t n;
    double score, low, effect, se, ci_low, ci_high; /* of the same n facts; interval: bootstrap over facts, 95 % */
} lac_effect;

/* The shortest run of neighbouring layers with at least half of the effect. */
typedef struct {
    lac_kind kind;
    int from, to;   /* layers [from, to); empty when nothing gained anything */
    double share;   /* of the positive effect */
    double *weight; /* [n_layers] each layer's part of it: cells spread over the layers that they restored */
} lac_suggestion;

typedef struct {
    lac_trace_opts opts;
    bool kind[LAC_N_KINDS];
    int n_layers;
    double sigma;
    lac_traced *facts; /* [n] those looked at, in the file's order */
    size_t n, n_traced;
    double high, low;  /* means over the traced facts */
    lac_effect *effects[LAC_N_KINDS]; /* [LAC_N_CATEGORIES, n_layers] */
    lac_suggestion suggestion;
    double row_layers;
} lac_trace;

lac_status lac_trace_run(lac_trace *trace, const lac_model *model, const lac_facts *facts, const lac_trace_opts *opts,
                         lac_progress *progress, lac_arena *arena, lac_err *err);

/* The averages, ranking and suggestion; part of lac_trace_run, apart for those who bring their own grids. */
lac_status lac_trace_average(lac_trace *trace, lac_arena *arena, lac_err *err);

/* facts.jsonl, traces/, summary.tsv, layers.tsv, mask.json and plots/ *.tsv (the first `pictures` facts and the
 * averages) into an existing directory.  lac_plots_draw (plots/gnuplot.h) makes the pictures. */
lac_status lac_trace_save(const lac_trace *trace, const char *dir, int pictures, lac_err *err);

/* Heatmaps for the terminal: of one traced fact, and of the averages. */
void lac_trace_sketch(FILE *to, const lac_traced *traced, lac_kind kind);
void lac_trace_sketch_average(FILE *to, const lac_trace *trace, lac_kind kind);

#endif
