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
 * In a layer with experts a may also be the block's output (moe, the same as mlp there), the
 * router's logits (router), or what one expert e adds to the output (expert), which is 0 where e is
 * not chosen:
 *
 *   effect (t, l, e)  ~  (y_e,clean - y_e,s) · dm / dy      y: the block's sum
 *
 * Which experts a row chooses is constant in the gradient.  So the estimate of a router's logits is
 * that of the weights of the corrupted run's own choice: that other experts would be chosen is not
 * in it.  That of an expert is whole to first order, whichever run chooses it.
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

enum { DELE_N_ATTRIBUTED = DELE_ATTN + 1 }; /* in every model: hidden, mlp and attn */

/* Whether there are estimates of the kind, in models that have it. */
static inline bool dele_kind_is_attributed(dele_kind kind)
{
    return kind <= DELE_ATTN || dele_kind_is_of_experts(kind);
}

typedef struct {
    int samples;
    double sigma;
    uint64_t seed; /* the noise is dele_corrupt_embed's, the same as in an exact trace with the same
                      samples, sigma and seed */
    int memory;   /* MiB beside the model; where all samples do not fit, a pass has fewer of them */
    bool experts; /* moe, router and expert too, of a model with experts */
} dele_attribution_opts;

typedef struct {
    const int *ids; /* [n_tokens] in, as are n_tokens and the subject [begin, end) */
    int n_tokens, begin, end;
    int answer; /* in: id; negative: replaced by the greedy next token of the clean prompt */
    int n_layers, n_samples, n_experts;
    double high, low, log_high,
        log_low; /* p and log p of the answer: clean, corrupted (mean over samples) */
    double *p[DELE_N_KINDS],
        *logp[DELE_N_KINDS]; /* [n_tokens, columns] estimated effects of single layers; NULL where
                              * the kind is not estimated.  A column is a layer, of expert layer *
                              * n_experts + expert.  Layers without experts have 0 in router and
                              * expert; moe is mlp. */
} dele_attribution;

/* Columns of a layer. */
static inline int dele_attribution_units(const dele_attribution *s, dele_kind kind)
{
    return kind == DELE_EXPERT ? s->n_experts : 1;
}

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

/* The same over the cells [n_tokens, n_layers * units] of one prompt that can have an effect: cells
 * before the subject have none, and cells that restore only the last layer have none except at the
 * last token.  window: the layers that both sides restore together (1 for hidden).  sparse
 * [n_layers]: only these layers have cells; NULL: all. */
dele_status dele_attribution_agreement(dele_agreement *out, const dele_attribution *attribution,
                                       const double *estimate, const double *exact, int window,
                                       int units, const bool *sparse, dele_err *err);

#endif
