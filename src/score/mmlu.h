/* MMLU (Hendrycks et al. 2020) from its original CSV files, in lm-evaluation-harness 0.4.13's two styles.
 *
 *   letters (task mmlu)                                   continuation (task mmlu_continuation)
 *     The following are multiple choice questions            The following are questions (with answers)
 *     (with answers) about anatomy.                          about anatomy.
 *
 *     <question>                                             Question: <question>
 *     A. <choice>   B. ...  C. ...  D. ... (a line each)     Answer: <choice>
 *     Answer: A
 *
 * Examples from dev stand before the question, whole, an empty line after each. */
#ifndef LAC_MMLU_H
#define LAC_MMLU_H

#include <stdio.h>

#include "base/json.h"
#include "base/progress.h"
#include "model/forward.h"

enum { LAC_MMLU_CHOICES = 4, LAC_MMLU_SUBJECTS = 57 };

typedef enum { LAC_MMLU_LETTERS, LAC_MMLU_CONTINUATION } lac_mmlu_style;
typedef enum {
    LAC_MMLU_STEM,
    LAC_MMLU_OTHER,
    LAC_MMLU_SOCIAL_SCIENCES,
    LAC_MMLU_HUMANITIES,
    LAC_MMLU_GROUPS
} lac_mmlu_group;

typedef struct {
    const char *question, *choice[LAC_MMLU_CHOICES];
    int answer; /* 0..3 */
} lac_mmlu_item;

typedef struct {
    const char *name; /* "college_biology" */
    lac_mmlu_group group;
    lac_mmlu_item *item, *shot; /* the split's questions; dev's, in order */
    size_t n_items, n_shots;
} lac_mmlu_subject;

typedef struct {
    lac_mmlu_subject *subject;
    size_t n_subjects, n_items;
} lac_mmlu;

typedef struct {
    lac_mmlu_style style;
    int shots;          /* 0..5 */
    size_t max_rows;    /* of one forward pass; 0: chosen */
    FILE *items;        /* items.jsonl, a line a question, flushed; or NULL */
    lac_progress *progress;
} lac_mmlu_opts;

/* A mean with its standard error; acc_norm picks by log-probability per character of the choice. */
typedef struct {
    size_t n;
    double acc, acc_se, acc_norm, acc_norm_se;
} lac_mmlu_score;

typedef struct {
    lac_mmlu_style style;
    lac_mmlu_score *subject;                  /* [n_subjects] */
    lac_mmlu_score group[LAC_MMLU_GROUPS];    /* n 0: no such subject */
    lac_mmlu_score micro, macro;              /* over questions; the plain mean over subjects */
} lac_mmlu_scores;

/* "harness" (letters) or "continuation". */
lac_status lac_mmlu_parse_style(lac_mmlu_style *style, const char *name, lac_err *err);
const char *lac_mmlu_group_name(lac_mmlu_group group);

/* PATH/<split>/<subject>_<split>.csv and PATH/dev/<subject>_dev.csv (where shots > 0).  subjects: "a,b", or NULL for
 * all that are there.  limit: at most so many questions a subject, 0 for all. */
lac_status lac_mmlu_load(lac_mmlu *data, const char *path, const char *split, const char *subjects, int shots,
                         int limit, lac_arena *arena, lac_err *err);

/* Everything up to and with "Answer:". */
char *lac_mmlu_context(const lac_mmlu_subject *subject, const lac_mmlu_item *item, lac_mmlu_style style, int shots,
                       lac_arena *arena, lac_err *err);
/* What is scored for choice c: " A", or " " and its text. */
char *lac_mmlu_continuation(const lac_mmlu_item *item, int c, lac_mmlu_style style, lac_arena *arena, lac_err *err);

lac_status lac_mmlu_run(lac_mmlu_scores *scores, const lac_mmlu *data, lac_run *run, const lac_model *model,
                        const lac_mmlu_opts *opts, lac_arena *arena, lac_err *err);

/* From n questions of 0 or 1: mean and sd(n-1)/sqrt(n). */
lac_mmlu_score lac_mmlu_mean(const unsigned char *right, const unsigned char *right_norm, size_t n);
/* Of subjects' scores: the mean over questions, with the pooled standard error sqrt(Σ (n-1) n se² / (N-K) / N). */
lac_mmlu_score lac_mmlu_pool(const lac_mmlu_score *score, size_t n);
/* The plain mean over subjects, with sqrt(Σ se²) / K. */
lac_mmlu_score lac_mmlu_macro(const lac_mmlu_score *score, size_t n);

cJSON *lac_mmlu_json(const lac_mmlu_scores *scores, const lac_mmlu *data);
void lac_mmlu_table(FILE *to, const lac_mmlu_scores *scores, const lac_mmlu *data);

#endif
