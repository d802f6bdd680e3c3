/* Attribution patching: what every cell of a trace would give, to first order, for the price of a
 * few passes.
 *
 * After Nanda (2023; Syed, Rager, Conmy 2023, arXiv 2310.10348).  A trace cell puts one state a of
 * a corrupted run back to its clean value and runs on; attribution patching asks the corrupted
 * run's gradient instead:
 *
 *   effect (t, l)  ~  mean over samples s of  (a_clean(t, l) - a_s(t, l)) · dm / da (t, l) at the
 *                                             corrupted run s
 *
 * with a the stream after layer l (hidden), or what its MLP or its attention adds (mlp, attn), and
 * m = log p(answer) or p(answer), dp = p d log p.  One clean forward, S corrupted ones and S
 * backward give all cells of all kinds.
 *
 * A window's estimate is the sum over its layers.  That is not even its first order: a single
 * layer's gradient also runs through the window's later layers, which the trace holds at their
 * clean values, so that paths from one of them to another are counted though they are cut.
 *
 * A first-order estimate, not exact: it is right where the step from the corrupted state to the
 * clean one is small, and wrong where something bends on the way, such as attention that is already
 * decided (Kramár et al. 2024, arXiv 2403.00745); restoring the whole stream is the largest step of
 * all.  It says where to look; dele_trace_grid says what is there. */
#ifndef DELE_ATTRIBUTION_H
#define DELE_ATTRIBUTION_H

#include "trace/trace.h"

enum { DELE_N_ATTRIBUTED = DELE_ATTN + 1 }; /* hidden, mlp and attn */

typedef struct {
    int samples;
    double sigma;
    uint64_t seed; /* the noise is dele_corrupt_embed's: that of an exact trace with the same three
                      numbers */
    int memory; /* MiB beside the model; fewer samples go through together when they do not fit */
} dele_attribution_opts;

typedef struct {
    const int *ids; /* given, as are n_tokens and the subject [begin, end) */
    int n_tokens, begin, end;
    int answer; /* id; < 0: the greedy choice after the clean prompt, filled in */
    int n_layers, n_samples;
    double high, low, log_high,
        log_low; /* p and log p of the answer: clean, corrupted (mean over samples) */
    double *p[DELE_N_ATTRIBUTED],
        *logp[DELE_N_ATTRIBUTED]; /* [n_tokens, n_layers] estimated effects of single layers */
} dele_attribution;

/* Fills an attribution whose ids, n_tokens, begin, end and answer are given; the estimates live in
 * arena. */
dele_status dele_attribution_run(dele_attribution *attribution, dele_run *run,
                                 const dele_model *model, const dele_attribution_opts *opts,
                                 dele_arena *arena, dele_err *err);

/* windowed [n_tokens, n_layers]: sums of single over the layers that a window of w around each
 * restores. */
void dele_attribution_window(double *windowed, const double *single, int n_tokens, int n_layers,
                             int w);

/* How well an estimate tells what is exact. */
typedef struct {
    size_t n, n_top;          /* cells compared; the top 5 % of them, rounded up */
    double pearson, spearman; /* NaN where either side is constant */
    double overlap; /* share of the n_top largest exact effects among the n_top largest estimates */
    double
        scale; /* least squares exact = scale · estimate: 1 where the estimate has the right size */
} dele_agreement;

dele_status dele_agreement_of(dele_agreement *out, const double *estimate, const double *exact,
                              size_t n, dele_err *err);

/* The same over the cells [n_tokens, n_layers] of one prompt that can have an effect at all: those
 * before the subject have none, nor have those that restore the last layer alone at another token
 * than the last.  window: the layers restored together (1 for hidden), which both sides must
 * have. */
dele_status dele_attribution_agreement(dele_agreement *out, const dele_attribution *attribution,
                                       const double *estimate, const double *exact, int window,
                                       dele_err *err);

#endif
