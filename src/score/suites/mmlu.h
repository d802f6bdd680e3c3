/* MMLU (Hendrycks et al. 2020) from its original CSV files: the two styles of
 * lm-evaluation-harness 0.4.13, and two older ones that published numbers were made with.
 *
 *   harness, letters (task mmlu)                        continuation (task mmlu_continuation)
 *     The following are multiple choice questions          The following are questions (with
 *     (with answers) about anatomy.                        answers) about anatomy.
 *
 *     <question>                                           Question: <question>
 *     A. <choice>   B. ...  C. ...  D. ... (a line each)   Answer: <choice>
 *     Answer: A
 *
 * Few-shot examples from dev come before the question, in full, each followed by an empty line.
 *
 *   hendrycks       (hendrycks/test, evaluate.py) as letters, but two blanks before the subject and
 *                   the question as the file has it, blanks at its ends included; 5 examples, the
 *                   last ones left out until the prompt has at most 2048 tokens; a letter that is
 *                   not among the 100 most likely tokens counts as -100
 *   open-instruct   (allenai/open-instruct, eval/mmlu; SemEval-2025 task 4 was scored so) the same
 *                   prompt; the last token of " A", " B", ... is scored, whatever its rank
 *
 * Both read the files with pandas, which takes some words (NA, nan, with pandas 2 None) for missing
 * numbers and prints them as "nan".  Here the text is the file's, or after dele_mmlu_through_pandas
 * what pandas 2 makes of it.  One difference: hendrycks counted tokens with GPT-2's vocabulary,
 * this program with the model's. */
#ifndef DELE_MMLU_H
#define DELE_MMLU_H

#include "score/accuracy.h"
#include "score/suites/mmlu_data.h"
#include "score/suites/suite.h"

typedef enum {
    DELE_MMLU_LETTERS,
    DELE_MMLU_CONTINUATION,
    DELE_MMLU_HENDRYCKS,
    DELE_MMLU_OPEN_INSTRUCT,
    DELE_MMLU_STYLES
} dele_mmlu_style;
typedef struct {
    dele_mmlu_style style;
    dele_accuracy *subject;                /* [n_subjects] */
    dele_accuracy group[DELE_MMLU_GROUPS]; /* n 0: no such subject */
    dele_accuracy micro, macro;            /* mean over questions; unweighted mean over subjects */
} dele_mmlu_scores;

/* "harness" (or "letters"), "continuation", "hendrycks", "open-instruct". */
dele_status dele_mmlu_parse_style(dele_mmlu_style *style, const char *name, dele_err *err);
const char *dele_mmlu_style_name(dele_mmlu_style style);

/* The prompt up to and including "Answer:". */
char *dele_mmlu_context(const dele_mmlu_subject *subject, const dele_mmlu_item *item,
                        dele_mmlu_style style, int shots, dele_arena *arena, dele_err *err);
/* The continuation that is scored for choice c: " A", or " " and its text. */
char *dele_mmlu_continuation(const dele_mmlu_item *item, int c, dele_mmlu_style style,
                             dele_arena *arena, dele_err *err);

/* shots: 0 to 5, as loaded. */
dele_status dele_mmlu_run(dele_mmlu_scores *scores, const dele_mmlu *data, dele_mmlu_style style,
                          int shots, dele_run *run, const dele_model *model, dele_arena *arena,
                          dele_err *err);

/* The scores of dele_suite_mmlu are a dele_mmlu_scores. */
extern const dele_suite dele_suite_mmlu;

#endif
