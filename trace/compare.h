/* Two traces of the same facts, before and after a model was changed: did the fact leave its layers, or the road to it?
 *
 * Facts are matched by id.  A pair counts when both are traced, of the same prompt, for the same answer: a model that
 * forgot no longer says the answer of itself, so trace the one after with --answer attribute. */
#ifndef LAC_TRACE_COMPARE_H
#define LAC_TRACE_COMPARE_H

#include "trace/stats.h"

/* Means over the pairs (of effects: those that have such tokens), and after - before, paired. */
typedef struct {
    size_t n;
    double before, after, difference, se;
    lac_interval ci; /* 95 %, bootstrap over facts */
} lac_change;

typedef struct {
    lac_trace before, after;      /* as loaded, but facts are the pairs alone, in the same order */
    size_t n_before, n_after;     /* traced */
    size_t n_other_answer;        /* pairs left out: the answers differ */
    lac_change clean, corrupted;  /* p(answer); corrupted is NaN under ablation */
    int n_charts, (*charts)[2];   /* [n_charts] those of both, as indices there */
    const char *warnings[2];      /* what was not quite alike, in words */
    int n_warnings;
    lac_change **changes;         /* [n_charts] of [p and logp, LAC_N_CATEGORIES, n_cols + 1]; last: mean over columns */
} lac_comparison;

/* LAC_ERR_DATA where they are not the same experiment: direction, corruption, windows and their edges, layers, prompts,
 * or no pair at all.  Noise of another strength, or shared in one of them, is a warning. */
lac_status lac_trace_compare(lac_comparison *comparison, const lac_trace *before, const lac_trace *after,
                             lac_arena *arena, lac_err *err);

enum { LAC_N_COMPARED = 2 };
extern const lac_metric lac_compared_metric[LAC_N_COMPARED];

static inline const lac_change *lac_change_at(const lac_comparison *c, int chart, int metric, lac_category category,
                                              int col)
{
    int C = c->before.charts[c->charts[chart][0]].n_cols + 1;
    return c->changes[chart] + ((size_t)metric * LAC_N_CATEGORIES + (size_t)category) * (size_t)C + (size_t)col;
}

/* compare.tsv, compare_facts.tsv and plots/compare_<chart>.tsv into an existing directory with plots/. */
lac_status lac_comparison_save(const lac_comparison *comparison, const char *dir, lac_err *err);

/* The maps before and after beside each other: plots/compare_average_<chart>.tsv and plots/compare_<id>_<chart>.tsv of
 * one pair (compare_maps.c). */
lac_status lac_comparison_save_maps(const lac_comparison *comparison, size_t pair, const char *dir, lac_err *err);

/* The means and the facts, for reading; and one pair's maps side by side on a common scale (sketch.c). */
void lac_comparison_print(FILE *to, const lac_comparison *comparison);
void lac_comparison_sketch(FILE *to, const lac_comparison *comparison, size_t pair, int chart);

#endif
