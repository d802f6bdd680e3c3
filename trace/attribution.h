/* Attribution patching: a first-order estimate of every cell of a trace from a few passes.
 *
 * After Nanda (2023; Syed, Rager, Conmy 2023, arXiv 2310.10348).  A trace cell restores one
 * activation a of a corrupted run to its clean value and computes the rest of the run; attribution
 * patching uses the corrupted run's gradient instead:
 *
 *   effect (t, l)  ~  mean over samples s of  (a_clean(t, l) - a_s(t, l)) · dm / da (t, l) at the
 *                                             corrupted run s
 *
 * where a is the residual stream after layer l (hidden), or the output of its MLP or attention
 * (mlp, attn), and m is log p(answer) or p(answer), with dp = p d log p.  One clean forward pass, S
 * corrupted ones and S backward passes give all cells of all kinds.
 *
 * A window's estimate is the sum over its layers.  It is less than a first-order estimate: a single
 * layer's gradient includes paths through the window's later layers, which the trace keeps at their
 * clean values.
 *
 * The estimate is good where the step from the corrupted to the clean activation is small, and bad
 * where the model is nonlinear on the way, as in saturated attention (Kramár et al. 2024, arXiv
 * 2403.00745); restoring the residual stream is the largest step.  Use it to choose cells, and
 * dele_trace_grid to measure them. */
#ifndef DELE_ATTRIBUTION_H
#define DELE_ATTRIBUTION_H

#include "trace/trace.h"

enum { DELE_N_ATTRIBUTED = DELE_ATTN + 1 }; /* hidden, mlp and attn */

typedef struct {
    int samples;
    double sigma;
    uint64_t seed; /* the noise is dele_corrupt_embed's, the same as in an exact trace with the same
                      samples, sigma and seed */
    int memory; /* MiB beside the model; where all samples do not fit, a pass has fewer of them */
} dele_attribution_opts;

typedef struct {
    const int *ids; /* [n_tokens] in, as are n_tokens and the subject [begin, end) */
    int n_tokens, begin, end;
    int answer; /* in: id; negative: replaced by the greedy next token of the clean prompt */
    int n_layers, n_samples;
    double high, low, log_high,
        log_low; /* p and log p of the answer: clean, corrupted (mean over samples) */
    double *p[DELE_N_ATTRIBUTED],
        *logp[DELE_N_ATTRIBUTED]; /* [n_tokens, n_layers] estimated effects of single layers */
} dele_attribution;

/* Fills an attribution whose ids, n_tokens, begin, end and answer are given.  The arena owns the
 * estimates. */
dele_status dele_attribution_run(dele_attribution *attribution, dele_run *run,
                                 const dele_model *model, const dele_attribution_opts *opts,
                                 dele_arena *arena, dele_err *err);

/* windowed [n_tokens, n_layers]: sums of single over the layers that a window of w around each
 * restores. */
void dele_attribution_window(double *windowed, const double *single, int n_tokens, int n_layers,
                             int w);

/* The agreement of estimates with exact effects. */
typedef struct {
    size_t n, n_top;          /* cells compared; the top 5 % of them, rounded up */
    double pearson, spearman; /* NaN where either side is constant */
    double overlap; /* fraction of the n_top largest exact effects that are among the n_top largest
                       estimates */
    double scale;   /* least squares of exact = scale · estimate */
} dele_agreement;

dele_status dele_agreement_of(dele_agreement *out, const double *estimate, const double *exact,
                              size_t n, dele_err *err);

/* The same over the cells [n_tokens, n_layers] of one prompt that can have an effect: cells before
 * the subject have none, and cells that restore only the last layer have none except at the last
 * token.  window: the layers that both sides restore together (1 for hidden). */
dele_status dele_attribution_agreement(dele_agreement *out, const dele_attribution *attribution,
                                       const double *estimate, const double *exact, int window,
                                       dele_err *err);

#endif
