/* Two traces of the same facts, before and after a model was changed, compared by their effects.
 *
 * Facts are matched by id.  A pair counts where both traces have the fact with the same prompt and
 * the same answer.  A model that forgot a fact no longer generates its answer, so the second trace
 * is made with --answer attribute. */
#ifndef DELE_TRACE_COMPARE_H
#define DELE_TRACE_COMPARE_H

#include "trace/report/stats.h"

/* Means over the pairs (of effects: those pairs that have such tokens), and the paired difference
 * after − before. */
typedef struct {
    size_t n;
    double before, after, difference, se;
    dele_interval ci; /* 95 %, bootstrap over facts */
} dele_change;

typedef struct {
    dele_trace before, after;     /* as loaded, with the facts of the pairs only, in one order */
    size_t n_before, n_after;     /* traced */
    size_t n_other_answer;        /* pairs left out: the answers differ */
    dele_change clean, corrupted; /* p(answer); corrupted is NaN under ablation */
    int n_charts, (*charts)[2];   /* [n_charts] the charts of both, as indices in each */
    const char *warnings[2];      /* differences of the experiments that are not errors */
    int n_warnings;
    dele_change **changes; /* [n_charts] of [p and logp, DELE_N_CATEGORIES, n_cols + 1]; last: mean
                              over columns */
} dele_comparison;

/* DELE_ERR_DATA where they are not the same experiment (direction, corruption, windows and their
 * edges, layers, prompts) or have no pair.  Noise of another strength, or shared in one of them, is
 * a warning. */
dele_status dele_trace_compare(dele_comparison *comparison, const dele_trace *before,
                               const dele_trace *after, dele_arena *arena, dele_err *err);

enum { DELE_N_COMPARED = 2 };
extern const dele_metric dele_compared_metric[DELE_N_COMPARED];

static inline const dele_change *dele_change_at(const dele_comparison *c, int chart, int metric,
                                                dele_category category, int col)
{
    int C = c->before.charts[c->charts[chart][0]].n_cols + 1;
    return c->changes[chart] + ((size_t)metric * DELE_N_CATEGORIES + (size_t)category) * (size_t)C +
           (size_t)col;
}

/* Writes compare.tsv, compare_facts.tsv and plots/compare_<chart>.tsv into an existing directory
 * with plots/. */
dele_status dele_comparison_save(const dele_comparison *comparison, const char *dir, dele_err *err);

/* Writes the maps before and after side by side: plots/compare_average_<chart>.tsv and
 * plots/compare_<id>_<chart>.tsv of one pair (compare_maps.c). */
dele_status dele_comparison_save_maps(const dele_comparison *comparison, size_t pair,
                                      const char *dir, dele_err *err);

/* The means and the facts, as text. */
void dele_comparison_print(FILE *to, const dele_comparison *comparison);

#endif
