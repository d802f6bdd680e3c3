/* Two traces of the same facts, before and after a model was changed: did the fact leave its
 * layers, or the road to it?
 *
 * Facts are matched by id.  A pair counts when both are traced, of the same prompt, for the same
 * answer: a model that forgot no longer says the answer of itself, so trace the one after with
 * --answer attribute. */
#ifndef DELE_TRACE_COMPARE_H
#define DELE_TRACE_COMPARE_H

#include "trace/report/stats.h"

/* Means over the pairs (of effects: those that have such tokens), and after - before, paired. */
typedef struct {
    size_t n;
    double before, after, difference, se;
    dele_interval ci; /* 95 %, bootstrap over facts */
} dele_change;

typedef struct {
    dele_trace before, after;     /* as loaded, but facts are the pairs alone, in the same order */
    size_t n_before, n_after;     /* traced */
    size_t n_other_answer;        /* pairs left out: the answers differ */
    dele_change clean, corrupted; /* p(answer); corrupted is NaN under ablation */
    int n_charts, (*charts)[2];   /* [n_charts] those of both, as indices there */
    const char *warnings[2];      /* what was not quite alike, in words */
    int n_warnings;
    dele_change **changes; /* [n_charts] of [p and logp, DELE_N_CATEGORIES, n_cols + 1]; last: mean
                              over columns */
} dele_comparison;

/* DELE_ERR_DATA where they are not the same experiment: direction, corruption, windows and their
 * edges, layers, prompts, or no pair at all.  Noise of another strength, or shared in one of them,
 * is a warning. */
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

/* compare.tsv, compare_facts.tsv and plots/compare_<chart>.tsv into an existing directory with
 * plots/. */
dele_status dele_comparison_save(const dele_comparison *comparison, const char *dir, dele_err *err);

/* The maps before and after beside each other: plots/compare_average_<chart>.tsv and
 * plots/compare_<id>_<chart>.tsv of one pair (compare_maps.c). */
dele_status dele_comparison_save_maps(const dele_comparison *comparison, size_t pair,
                                      const char *dir, dele_err *err);

/* The means and the facts, for reading. */
void dele_comparison_print(FILE *to, const dele_comparison *comparison);

#endif
