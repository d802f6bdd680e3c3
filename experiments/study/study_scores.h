/* The numbers of a study: results of its stages as one table, the front of a trade-off, and whether
 * what tracing ranked is what worked.  docs/recipes.md has the keys "table", "pareto",
 * "correlate". */
#ifndef DELE_STUDY_SCORES_H
#define DELE_STUDY_SCORES_H

#include "base/stat.h"
#include "experiments/study/study.h"

/* A column: numbers at a place in a file of some stages' results. */
typedef struct {
    const char *title, *file, *path; /* "eval.json", "forget.prompt.top1" */
    recipe_ref stages;
    const cJSON
        *at; /* {"axis": "name"}: coordinates that its rows get beside their stages' own; or NULL */
} study_column;

typedef struct {
    double value, error, n; /* NaN where not there */
} study_number;

typedef struct {
    const char **at;      /* [n_axes] the row's coordinates; NULL where it has none */
    study_number *number; /* [n_columns] */
} study_row;

typedef struct {
    const char **axis;
    study_column *column;
    study_row *row;
    size_t n_axes, n_columns, n_rows;
    size_t n_empty; /* rows that have no number yet, and are left out */
} study_table;

/* Whether what the recipe asks for can be had of the plan: said before hours of work. */
dele_status study_check_scores(const recipe_plan *plan, dele_arena *arena, dele_err *err);

/* Of the results that stand.  A row is a point, less the coordinates that a column's reference
 * fixes; n_columns 0: the recipe asks for no table. */
dele_status study_table_read(study_table *table, const study *s, dele_err *err);

/* The number at a path as "scores[type=qa].score", with its _stderr and n from beside it. */
study_number study_number_at(const cJSON *json, const char *path);

size_t study_column_find(const study_table *table, const char *title); /* n_columns: none */
size_t study_axis_find(const study_table *table, const char *axis);    /* n_axes: none */

/* What no other point is better than: at least as good in both, and better in one.  NaN: not in
 * it. */
void study_front(bool *front, const double *x, const double *y, size_t n, bool x_low, bool y_low);

/* "0-3", "0-3,8", "all": layers in a row of n_layers flags; their number, 0 where the text says
 * something else. */
int study_layers(bool *chosen, int n_layers, const char *text);

/* Layers first to last: what tracing saw there, and what training them gave. */
typedef struct {
    int first, last;
    double effect, score; /* the traced effect's mean over the layers */
} study_window;

/* Traced effect of windows of layers against a score, of the rows that share a coordinate (by).
 * Windows overlap: `apart` is how many can be laid side by side, and the interval draws runs of
 * windows, each begun where the last one's layers end. */
typedef struct {
    const char *score, *tokens, *by; /* tokens: where a state was put back, "last subject + last" */
    const study_window *window;      /* [n] in order of their first layers, in the study's arena */
    size_t n, apart;
    double rho;
    dele_interval interval; /* NaN with fewer than five runs */
} study_correlation;

typedef struct {
    study_correlation *line;
    size_t n;
    const char *chart, *trace, *axis;
} study_correlations;

/* The place of a name among those that the plan's stages have on an axis, from 0.  Pictures choose
 * colours by it, so that a result that is missing does not change those of others. */
size_t study_place_on(const study *s, const char *axis, const char *name);

/* "last subject", "first subject", "last", or a sum of them. */
bool study_tokens_known(const char *text);

dele_status study_correlate(study_correlations *c, const study_table *table, const study *s,
                            dele_err *err);

/* Its numbers alone: windows in order of their first layers. */
dele_status study_rank_correlation(study_correlation *c, const double *effect, const double *score,
                                   const int *first, size_t n, int width, dele_err *err);

/* dir/table.tsv, pareto.tsv, correlation.tsv and windows.tsv; none where the recipe asks for
 * none. */
dele_status study_save_table(const study *s, const study_table *table, const char *dir,
                             dele_err *err);
dele_status study_save_pareto(const study *s, const study_table *table, const char *dir,
                              dele_err *err);
dele_status study_save_correlations(const study *s, const study_correlations *c, const char *dir,
                                    dele_err *err);

/* ---- between study_scores.c, study_check.c, study_tradeoff.c and study_correlate.c ----------- */

/* The columns that the recipe asks for; none, where it wants no table. */
dele_status study_read_columns(study_table *table, const recipe_plan *plan, dele_arena *arena,
                               dele_err *err);

/* A reference to stages of the plan, or of what an "if" left out of it (then any is false). */
dele_status study_check_ref(bool *any, recipe_ref *ref, const char *text, const recipe_plan *plan,
                            dele_arena *arena, dele_err *err);

size_t study_values_on(const char **value, const study_table *table,
                       size_t axis);       /* that rows have, each once */
void study_put_number(FILE *to, double x); /* a tab, and the number where there is one */

#endif
