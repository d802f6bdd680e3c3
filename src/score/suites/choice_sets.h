/* Multiple choice in one plain form: ARC, HellaSwag, PIQA and similar sets, or a set of your own.
 * One item a line, in one of three forms:
 *
 *   {"id": "7", "question": "Who wrote it?", "choices": ["Ann", "Bo"], "answer": 0}
 *
 *   {"context": "A man is on a roof. He",
 *    "choices": ["sings.", "starts pulling up roofing."], "answer": 1}
 *
 *   {"contexts": ["... so Sarah", "... so Maria"],
 *    "choices": ["was glad.", "was glad."], "answer": 1}
 *
 * The prompt of a question is "Question: <question>\nAnswer:", the prompt of a context is the
 * context unchanged; with "contexts", each choice has its own.  A blank separates context and
 * choice unless the choice begins with white space; an item's "delimiter" replaces that rule
 * (HellaSwag's harness prompt has a blank before endings that begin with one themselves).  The
 * choice with the largest log-probability is picked (the first of equal ones); acc_norm picks by
 * log-probability per character of the choice.  These are lm-evaluation-harness 0.4.13's acc and
 * acc_norm for multiple_choice tasks without examples.
 *
 * With --generate the model writes an answer to
 *
 *   Question: <question, or context>
 *   A. <choice>
 *   B. <choice>
 *   Answer:
 *
 * and acc is over the choices that its answers name (score/choice_named.h).  "contexts" have no
 * such prompt. */
#ifndef DELE_CHOICE_SETS_H
#define DELE_CHOICE_SETS_H

#include "score/accuracy.h"
#include "score/report.h"
#include "score/suites/suite.h"

typedef struct {
    const char *id;        /* NULL: it has none */
    const char *question;  /* NULL: it has a context, or several */
    const char **context;  /* [n_choices]; all the same text but for "contexts" */
    bool contexts;         /* each choice has its own */
    const char **choice;   /* [n_choices] */
    const char *delimiter; /* or NULL */
    int n_choices, answer;
} dele_choice_item;

typedef struct {
    const char *name; /* of the file, without .jsonl */
    dele_choice_item *item;
    size_t n;
} dele_choice_set;

typedef struct {
    dele_choice_set *set;
    size_t n_sets, n_items;
} dele_choice_sets;

/* A file, or a directory in which each .jsonl file is a set, in the order of their names.  limit:
 * maximum number of items per set, 0 for all. */
dele_status dele_choice_sets_load(dele_choice_sets *data, const char *path, int limit,
                                  dele_arena *arena, dele_err *err);

/* The scores of dele_suite_choices are a dele_accuracy [n_sets]. */
extern const dele_suite dele_suite_choices;

#endif
