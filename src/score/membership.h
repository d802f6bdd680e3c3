/* Was this text trained on?  Members and non-members are told apart by a number a text (the lower, the likelier a
 * member), and the attack is as good as the area under its ROC curve: 1 every member stands out, 0.5 none does.
 *
 *   loss         mean of -log p over the text's tokens (Yeom et al. 2018)
 *   zlib         loss / bytes of the text compressed by zlib (Carlini et al. 2021)
 *   reference    loss - the loss of another model that has not seen the members
 *   min_k        minus the mean of the lowest share k of the log p (Shi et al. 2024); at least one token
 *   min_k_plus   the same of (log p - μ)/σ, μ and σ over the vocabulary, σ² at least 1e-6 (Zhang et al. 2024)
 *   gradnorm     the mean over tensors of the norm of the loss's gradient
 *
 *   score        1 - 2 |AUC - 0.5|, SemEval-2025 task 4's: best where nothing can be told
 *   priv_leak    100 (A - A₀)/A₀ with A = 1 - AUC, A₀ that of a model retrained without the members, or 0.5
 *                (MUSE, Shi et al. 2024); null where A₀ is 0
 *
 * The standard error of an AUC is Hanley and McNeil's (1982).
 *
 * compat "open-unlearning": an end-of-text token is put behind every text; loss and gradient have it, the k attacks do
 * not; k is 0.4 as in its configuration files.  Else nothing is added, and k is 0.2. */
#ifndef LAC_MEMBERSHIP_H
#define LAC_MEMBERSHIP_H

#include "base/progress.h"
#include "model/forward.h"
#include "score/report.h"

typedef enum {
    LAC_ATTACK_LOSS,
    LAC_ATTACK_ZLIB,
    LAC_ATTACK_MIN_K,
    LAC_ATTACK_MIN_K_PLUS,
    LAC_ATTACK_REFERENCE,
    LAC_ATTACK_GRADNORM,
    LAC_ATTACKS
} lac_attack;

typedef struct {
    const char *id, *text;
    bool member;
} lac_document;

typedef struct {
    lac_document *document; /* members first */
    size_t n, n_members;
} lac_membership;

typedef struct {
    const lac_model *reference; /* NULL: that attack is left out */
    bool gradnorm;              /* it takes a backward pass a text, and the memory of another model */
    double k;                   /* 0: 0.2, or as compat has it */
    bool open_unlearning;
    size_t first_item;          /* the first document's number in items.jsonl */
    lac_items *items;
    lac_progress *progress;
} lac_membership_opts;

typedef struct {
    bool done;
    double auc, auc_se, score, priv_leak;
} lac_attack_score;

typedef struct {
    size_t n_members, n_others;
    lac_attack_score attack[LAC_ATTACKS];
} lac_membership_scores;

/* Where the directory has such files: mia_data or mia_data/validation in it, or itself. */
const char *lac_membership_folder(const char *path, lac_arena *arena, lac_err *err);
/* member.jsonl and nonmember.jsonl of the directory, or of mia_data in it.  A row's text is its "document", its "text",
 * or its two texts (text/row_texts.h) with a space between.  limit: at most so many rows a file, 0 for all. */
lac_status lac_membership_load(lac_membership *data, const char *path, int limit, lac_arena *arena, lac_err *err);
/* Whether the directory holds such files. */
bool lac_membership_is_there(const char *path);

lac_status lac_membership_run(lac_membership_scores *scores, const lac_membership *data, lac_run *run,
                              const lac_model *model, const lac_membership_opts *opts, lac_arena *arena, lac_err *err);

const char *lac_attack_name(lac_attack attack);

/* Minus the mean of the lowest share k of x[n], at least one of them; x is sorted. */
double lac_min_k(double *x, size_t n, double k);
double lac_priv_leak(double auc, double auc_retrained);

/* PrivLeak against another result's AUCs: an "attacks" object as lac_membership_json writes it. */
void lac_membership_against(lac_membership_scores *scores, const cJSON *attacks);

cJSON *lac_membership_json(const lac_membership_scores *scores);
void lac_membership_table(FILE *to, const lac_membership_scores *scores);

#endif
