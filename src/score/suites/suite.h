/* Suites of `deleatur eval`: data, and how a model's answers to it are scored.
 *
 * A suite is one file with a dele_suite, and its name in DELE_SUITES (suites.h).  What all suites
 * have in common is done here: items are resumed after the lines of an interrupted run, each gets
 * its line in items.jsonl as soon as it is scored, progress is shown, options that a suite does not
 * take are refused, tables are printed and scores saved (src/cli/cmd_eval.c).
 *
 *   load      options and data; sets state, scores and parts
 *   for each part (a subject, a set, or all items)
 *     line      of each item that an earlier run has scored: its numbers are read back
 *     score     the part's other items, by dele_score_questions, dele_score_outputs or dele_scored
 *       item      the scores of one of them, into the state
 *       line      its line in items.jsonl
 *   total     means over the items, into the scores
 *   json      settings and scores, for eval.json
 *   tables    for stdout */
#ifndef DELE_SUITE_H
#define DELE_SUITE_H

#include "base/items.h"
#include "base/progress.h"
#include "base/table.h"
#include "model/forward.h"
#include "score/choices.h"
#include "score/decoder.h"
#include "text/chat.h"

/* Options of the command line that suites take; as DELE_SUITE_DEFAULTS has them: not given. */
typedef struct {
    const char *data;
    int limit; /* maximum number of items of a part or file; 0: all */
    const char *split, *style, *subjects, *ids, *template;
    const char *mmlu_result, *reference, *retrained, *compat;
    int shots, max_new;
    dele_chat chat;
    double min_k;
    bool gradnorm, generate;
} dele_suite_opts;

#define DELE_SUITE_DEFAULTS                                                                        \
    {                                                                                              \
        .shots = -1                                                                                \
    }

/* Items that are computed together; batches do not cross parts. */
typedef struct {
    const char *name; /* beside the progress; or NULL */
    size_t n;
} dele_suite_part;

typedef struct dele_suite dele_suite;

/* A suite being scored on a model.  The caller sets the first group and zeroes the rest. */
typedef struct {
    const dele_suite *suite;
    const dele_suite_opts *opts;
    const dele_model *model, *reference; /* reference: the model of opts->reference, or NULL */
    const dele_decoder *decoder;         /* NULL: the model alone */
    dele_run *run;
    dele_items *items;       /* or NULL: no lines are written */
    dele_progress *progress; /* or NULL */
    size_t first;            /* line of the suite's first item in items.jsonl */
    dele_arena *arena;       /* of all that lives as long as the scores */
    bool quiet;              /* dele_suite_run shows no progress */

    void *state;        /* the suite's own */
    const void *scores; /* as the suite's header says: a dele_tofu_scores of tofu's */
    const dele_suite_part *part;
    size_t n_parts;

    size_t at, before, n_known;     /* the part being scored; items before it; its resumed items */
    dele_arena part_arena, scratch; /* of that part; of one item */
    char *output;                   /* generated text of the item being scored */
    bool ended;                     /* at an end of text, not at the maximum number of tokens */
} dele_scoring;

enum { DELE_SUITE_MOST_OPTIONS = 8, DELE_SUITE_MOST_TABLES = 3 };

/* i: number of an item within its part. */
struct dele_suite {
    const char *name;
    const char *data; /* what --data names, for --help */
    const char *unit; /* of the progress: "questions" */
    const char
        *options[DELE_SUITE_MOST_OPTIONS]; /* beside --data, --limit, --out; NULL ends them */
    /* For deleatur compare: the fields that identify an item, and the field by which changed
     * predictions are counted.  NULL: items are not right or wrong. */
    const char *item_id[3], *item_set;
    /* Files that are read, for the manifest; NULL: --data alone. */
    dele_status (*inputs)(const char *path[2], const dele_suite_opts *opts, dele_arena *arena,
                          dele_err *err);
    dele_status (*load)(dele_scoring *s, dele_err *err);
    dele_status (*score)(dele_scoring *s, dele_err *err);
    dele_status (*item)(dele_scoring *s, size_t i, dele_err *err);
    void (*line)(dele_items_line *line, dele_scoring *s, size_t i);
    dele_status (*total)(dele_scoring *s, dele_err *err);
    void (*json)(cJSON *json, const dele_scoring *s);
    size_t (*tables)(dele_table table[DELE_SUITE_MOST_TABLES], const dele_scoring *s);
};

bool dele_suite_takes(const dele_suite *suite, const char *option);

/* Loads, scores and sums up; shows progress of its own, under that title. */
dele_status dele_suite_run(dele_scoring *s, const char *title, dele_err *err);
/* The same in steps, for data that a program has in memory: an error where a model has no
 * tokenizer; then the caller sets what load would; then the items and the means. */
dele_status dele_suite_check(const dele_scoring *s, dele_err *err);
dele_status dele_suite_score(dele_scoring *s, dele_err *err);

/* ---- what a suite's functions call ----------------------------------------------------------- */

/* Scores the part's questions [n] (score/choices.h), or greedy continuations of its prompts [n]
 * (score/generate_batch.h), and calls item for each.  With a decoder: what that gives
 * (score/decoder.h); chat is not used then.  asked [n]: the questions of which the prompts were
 * made, NULL where one is none; or NULL. */
dele_status dele_score_questions(dele_scoring *s, dele_question *questions, dele_err *err);
dele_status dele_score_outputs(dele_scoring *s, const char *const *prompts,
                               const char *const *asked, const dele_layout *chat, int max_new,
                               dele_err *err);
/* Items first .. first + n - 1 of the part are computed: calls item and writes the lines of those
 * that were not resumed.  A callback of score/choices.h and score/token_scores.h; s: a
 * dele_scoring. */
dele_status dele_scored(void *s, size_t first, size_t n, dele_err *err);

/* One part of n items. */
dele_status dele_suite_one_part(dele_scoring *s, const char *name, size_t n, dele_err *err);

/* --compat is not given or `known`. */
dele_status dele_suite_only_compat(const dele_scoring *s, const char *known, dele_err *err);
int dele_suite_max_new(const dele_scoring *s, int usual);

/* The eval.json of another result, a directory or that file, which must be the suite's; the caller
 * deletes it.  NULL with err set. */
cJSON *dele_suite_result(const char *path, const char *suite, dele_arena *arena, dele_err *err);
/* That of --retrained, which must be scored with the same --compat and, for prompts, --chat and
 * --template; NULL where it is not given, or with err set. */
cJSON *dele_suite_retrained(const dele_scoring *s, bool prompts, dele_err *err);

#endif
