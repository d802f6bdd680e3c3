/* MMLU (Hendrycks et al. 2020) from its original CSV files: lm-evaluation-harness 0.4.13's two styles, and two older
 * ones that published numbers were made with.
 *
 *   harness, letters (task mmlu)                          continuation (task mmlu_continuation)
 *     The following are multiple choice questions            The following are questions (with answers)
 *     (with answers) about anatomy.                          about anatomy.
 *
 *     <question>                                             Question: <question>
 *     A. <choice>   B. ...  C. ...  D. ... (a line each)     Answer: <choice>
 *     Answer: A
 *
 * Examples from dev stand before the question, whole, an empty line after each.
 *
 *   hendrycks       (hendrycks/test, evaluate.py) as letters, but two blanks before the subject and the question as it
 *                   stands in the file, blanks at its ends and all; 5 examples, the last ones left out until the prompt
 *                   has at most 2048 tokens; a letter that is not among the 100 likeliest tokens counts as -100
 *   open-instruct   (allenai/open-instruct, eval/mmlu; SemEval-2025 task 4 was scored so) the same prompt; the last
 *                   token of " A", " B", ... is scored, whatever its rank
 *
 * Both read the files with pandas, which takes some words (NA, nan, with pandas 2 None) for missing numbers and prints
 * them as "nan"; here they are what the file says, or after lac_mmlu_through_pandas as pandas 2 has them.  Left out:
 * hendrycks counted tokens with GPT-2's vocabulary, here it is the model's. */
#ifndef LAC_MMLU_H
#define LAC_MMLU_H

#include "base/progress.h"
#include "model/forward.h"
#include "score/accuracy.h"
#include "score/report.h"

enum { LAC_MMLU_CHOICES = 4, LAC_MMLU_SUBJECTS = 57 };

typedef enum {
    LAC_MMLU_LETTERS,
    LAC_MMLU_CONTINUATION,
    LAC_MMLU_HENDRYCKS,
    LAC_MMLU_OPEN_INSTRUCT,
    LAC_MMLU_STYLES
} lac_mmlu_style;
typedef enum {
    LAC_MMLU_STEM,
    LAC_MMLU_OTHER,
    LAC_MMLU_SOCIAL_SCIENCES,
    LAC_MMLU_HUMANITIES,
    LAC_MMLU_GROUPS
} lac_mmlu_group;

typedef struct {
    const char *question, *raw_question; /* stripped; as in the file */
    const char *choice[LAC_MMLU_CHOICES];
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
    lac_items *items;   /* a line a question; or NULL */
    lac_progress *progress;
} lac_mmlu_opts;

typedef struct {
    lac_mmlu_style style;
    lac_accuracy *subject;                  /* [n_subjects] */
    lac_accuracy group[LAC_MMLU_GROUPS];    /* n 0: no such subject */
    lac_accuracy micro, macro;              /* over questions; the plain mean over subjects */
} lac_mmlu_scores;

/* "harness" (or "letters"), "continuation", "hendrycks", "open-instruct". */
lac_status lac_mmlu_parse_style(lac_mmlu_style *style, const char *name, lac_err *err);
const char *lac_mmlu_style_name(lac_mmlu_style style);
int lac_mmlu_default_shots(lac_mmlu_style style);
const char *lac_mmlu_group_name(lac_mmlu_group group);

/* PATH/<split>/<subject>_<split>.csv and PATH/dev/<subject>_dev.csv (where shots > 0).  subjects: "a,b", or NULL for
 * all that are there.  limit: at most so many questions a subject, 0 for all. */
lac_status lac_mmlu_load(lac_mmlu *data, const char *path, const char *split, const char *subjects, int shots,
                         int limit, lac_arena *arena, lac_err *err);

/* Questions and choices as pandas hands them on (score/pytext.h). */
void lac_mmlu_through_pandas(lac_mmlu *data);

/* Everything up to and with "Answer:". */
char *lac_mmlu_context(const lac_mmlu_subject *subject, const lac_mmlu_item *item, lac_mmlu_style style, int shots,
                       lac_arena *arena, lac_err *err);
/* What is scored for choice c: " A", or " " and its text. */
char *lac_mmlu_continuation(const lac_mmlu_item *item, int c, lac_mmlu_style style, lac_arena *arena, lac_err *err);

lac_status lac_mmlu_run(lac_mmlu_scores *scores, const lac_mmlu *data, lac_run *run, const lac_model *model,
                        const lac_mmlu_opts *opts, lac_arena *arena, lac_err *err);

cJSON *lac_mmlu_json(const lac_mmlu_scores *scores, const lac_mmlu *data);
void lac_mmlu_table(FILE *to, const lac_mmlu_scores *scores, const lac_mmlu *data);

#endif
