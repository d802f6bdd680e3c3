/* Attacks on a model that was made to forget: how much is recovered?
 *
 * A row's *form* is a way of asking for it: plainly, by a template or paraphrase, or with the
 * answer's beginning given.  A *pass* is a form put to a model: the original (before), the
 * unlearned one, or one that an attack made of it (quantised, relearnt).  An *outcome* holds three
 * passes side by side, row by row:
 *
 *   recovery                      = (attacked - unlearned) / (before - unlearned)
 *   recovery above never-trained  = (attacked - never) / (before - never)              never: a
 *                                 model that never saw the rows
 *
 * docs/attacks.md has the definitions; attack_rows.c the forms, attack_score.c the passes,
 * attack_report.c the outcomes, cmd_attack.c what is done to models. */
#ifndef DELE_ATTACK_H
#define DELE_ATTACK_H

#include "base/items.h"
#include "base/progress.h"
#include "base/stat.h"
#include "base/table.h"
#include "score/report.h"
#include "score/token_scores.h"
#include "text/chat.h"
#include "unlearn/dataset.h"

/* ---- rows and forms -------------------------------------------------------------------------- */

typedef struct {
    const char *id, *prompt,
        *output; /* id: "id" or "known_id", or the line's number where the row has neither */
    const char *paraphrase; /* the row's own; or NULL */
    bool joined;
    int line;
} attack_row;

typedef enum { ATTACK_PLAIN, ATTACK_TEMPLATE, ATTACK_PREFIX } attack_form_kind;

/* ids[0 .. first) are given, ids[first .. n) should come: by length the very ones that training
 * saw. */
typedef struct {
    size_t row;
    const int *ids;
    int n, first;
    const char *target; /* what should come, as text */
} attack_ask;

typedef struct {
    attack_form_kind kind;
    const char *name;
    attack_ask *ask; /* [n] in the order of the rows; some rows may have none */
    size_t n;
} attack_form;

typedef struct {
    const char *path;
    attack_row *row;
    size_t n;
    attack_form *form; /* form[0]: plain, an ask for every row */
    size_t n_forms;
    int longest; /* tokens of the longest answer */
} attack_set;

/* Rows of a JSONL file (or JSON array), as training reads them.  limit 0: all. */
dele_status attack_rows_load(attack_set *set, const char *path, int limit, dele_arena *arena,
                             dele_err *err);

/* templates: {"name": ..., "template": "... {input} ..."} a line, and the rows' own paraphrases; or
 * NULL.  paraphrases: {"id": ..., "input": ...} a line, the k-th of an id being form "paraphrase
 * k"; or NULL.  prefixes: "25,50,75", per cent of the answer's tokens; or NULL.  Where no row has a
 * rest there is no such form. */
typedef struct {
    const dele_layout *chat;
    const char *templates, *paraphrases, *prefixes;
} attack_form_opts;

dele_status attack_forms_make(attack_set *set, const attack_form_opts *o, const dele_model *model,
                              dele_arena *arena, dele_err *err);

/* Do both models cut the rows into the same tokens?  An error that says so, if not. */
dele_status attack_same_tokens(const attack_set *set, const dele_layout *chat,
                               const dele_model *model, dele_err *err);

/* The next of a comma-separated list: a copy of it; NULL at the end. */
char *attack_next_name(const char **list, dele_arena *arena, dele_err *err);

/* ---- passes ---------------------------------------------------------------------------------- */

typedef enum {
    ATTACK_EXACT,
    ATTACK_CONTAINS,
    ATTACK_ROUGE,
    ATTACK_P,
    ATTACK_N_MEASURES
} attack_measure;
extern const char *const attack_measure_names[ATTACK_N_MEASURES];

typedef struct {
    double of[ATTACK_N_MEASURES];
} attack_score;

/* Which of two models wrote an answer that their text contains. */
typedef enum {
    ATTACK_FOUND_NOT,
    ATTACK_FOUND_NUDGER,
    ATTACK_FOUND_BASE,
    ATTACK_FOUND_BOTH,
    ATTACK_N_FOUND
} attack_found;

typedef struct {
    int found;     /* attack_found */
    double nudger; /* fraction of the text's tokens that the nudger wrote */
} attack_writers;

typedef struct {
    const char *model; /* "before", "unlearned", "never", "q4_0", "relearnt", "original routes" */
    const attack_form *form;
    attack_score *score;     /* [form->n] */
    attack_writers *writers; /* [form->n] of texts by two models, whose exact_match and p are NaN:
                              * they have no token probabilities; NULL: one model's */
    size_t first;            /* its first line in items.jsonl */
} attack_pass;

typedef struct {
    const dele_layout *chat;  /* of the questions: the end of a turn ends an answer */
    const dele_model *router; /* a mixture whose routes the model follows; NULL: its own */
    int max_new;
    dele_items *items;
    dele_progress *progress;
} attack_score_opts;

/* Whether every line of the pass was written by an earlier run; then its scores are read back.
 * false with err set where a line is another item's. */
bool attack_pass_done(attack_pass *pass, const attack_set *set, dele_items *items, dele_err *err);

/* Of a pass by two models: scores the text of ask i, whose writers are set but for found, and
 * writes its line.  by [strlen(text)]: who wrote each byte, ATTACK_FOUND_NUDGER or _BASE. */
dele_status attack_pass_put(attack_pass *pass, const attack_set *set, size_t i, const char *given,
                            char *text, const unsigned char *by, bool ended,
                            const attack_score_opts *o, dele_err *err);

/* The number of a pass's first lines that an earlier run wrote, read back. */
size_t attack_pass_resume(attack_pass *pass, const attack_set *set, dele_items *items,
                          dele_err *err);

dele_status attack_pass_run(attack_pass *pass, const attack_set *set, dele_run *run,
                            const dele_model *model, const attack_score_opts *o, dele_err *err);

/* ---- outcomes -------------------------------------------------------------------------------- */

typedef struct {
    const char *attack, *variant;
    size_t n;
    const attack_score *before,
        *never; /* [n] in the same form as attacked; NULL: there is no such model */
    const attack_score *unlearned; /* [n] asked plainly */
    const attack_score *attacked;  /* [n] */
} attack_outcome;

/* A difference to the original of less than this, or with an interval that reaches 0 (where there
 * is one), leaves a share of it undefined. */
#define ATTACK_LEAST_FORGOTTEN 0.02

typedef struct {
    double share;     /* NaN: undefined, and why says so */
    dele_interval ci; /* 95 %, over rows, none of fewer than five; as all here */
    const char *why;
} attack_share;

typedef struct {
    double before, unlearned, never, attacked, attacked_se,
        change; /* means; change: attacked - unlearned */
    dele_interval attacked_ci, change_ci;
    attack_share recovery, recovery_above_never_trained;
} attack_summary;

dele_status attack_summarise(attack_summary *s, const attack_outcome *o, attack_measure m,
                             int resamples, uint64_t seed, dele_err *err);

/* n outcomes as JSON (an array), and as a table that plots/attack.gp draws; s [n *
 * ATTACK_N_MEASURES]. */
cJSON *attack_outcomes_json(const attack_outcome *o, const attack_summary *s, size_t n);
void attack_outcomes_table(dele_table *t, const attack_outcome *o, const attack_summary *s,
                           size_t n);

#endif
