/* Membership inference: was a text in the training set?  An attack gives each text one number (the
 * lower, the more likely the text is a member).  Its quality is the area under the ROC curve: 1
 * separates all members from all non-members, 0.5 is chance.
 *
 *   loss         mean of -log p over the text's tokens (Yeom et al. 2018)
 *   zlib         loss / bytes of the text compressed by zlib (Carlini et al. 2021)
 *   reference    loss - the loss of another model that was not trained on the members
 *   min_k        minus the mean of the lowest fraction k of the log p (Shi et al. 2024); at least
 *                one token
 *   min_k_plus   the same of (log p - μ)/σ, μ and σ over the vocabulary, σ² at least 1e-6 (Zhang et
 *                al. 2024)
 *   gradnorm     the mean over tensors of the norm of the loss's gradient
 *
 *   score        1 - 2 |AUC - 0.5|, SemEval-2025 task 4's: best where the attack is at chance
 *   priv_leak    100 (A - A₀)/A₀ with A = 1 - AUC, A₀ that of a model retrained without the
 *                members, or 0.5 (MUSE, Shi et al. 2024); null where A₀ is 0
 *
 * The standard error of an AUC is Hanley and McNeil's (1982), 0 where the AUC is 1.  Its interval
 * is Newcombe's, which has a positive width there (base/stat.h).
 *
 * By default every token after the first is scored and k is 0.2.  compat "open-unlearning" scores
 * that program's labels (locuslab/open-unlearning, src/data/utils.py and src/evals/metrics):
 *
 *   question and answer   the answer alone: "question answer" is encoded as one text and split
 *                         after as many tokens as the question has by itself; an end-of-text token
 *                         follows unless the answer ends with one
 *   plain text            every token after those that the tokenizer puts in front, at least after
 *                         the first; no end-of-text token
 *   loss, gradnorm        over all of these
 *   min_k, min_k_plus     without the last of them (0 where none is left), k = 0.4
 *   zlib                  bytes of these tokens as text again: the first token of a plain text is
 *                         left out
 *
 * The prompt has no chat layout there either unless its model configuration says so. */
#ifndef DELE_MEMBERSHIP_H
#define DELE_MEMBERSHIP_H

#include "base/stat.h"
#include "score/report.h"
#include "score/suites/suite.h"

typedef enum {
    DELE_ATTACK_LOSS,
    DELE_ATTACK_ZLIB,
    DELE_ATTACK_MIN_K,
    DELE_ATTACK_MIN_K_PLUS,
    DELE_ATTACK_REFERENCE,
    DELE_ATTACK_GRADNORM,
    DELE_ATTACKS
} dele_attack;

typedef struct {
    const char *id, *text;
    const char
        *prompt; /* what text begins with and open-unlearning does not score; NULL: plain text */
    bool member;
} dele_document;

typedef struct {
    dele_document *document; /* members first */
    size_t n, n_members;
} dele_membership;

typedef struct {
    bool done;
    double auc, auc_se, score, priv_leak;
    dele_interval auc_interval; /* 95 %; none with fewer than five members or others */
} dele_attack_score;

typedef struct {
    size_t n_members, n_others;
    dele_attack_score attack[DELE_ATTACKS];
} dele_membership_scores;

/* member.jsonl and nonmember.jsonl of the directory, or of mia_data in it.  A row's text is its
 * "document", its "text", or its two texts (text/row_texts.h) with a space between.  limit: maximum
 * number of rows per file, 0 for all. */
dele_status dele_membership_load(dele_membership *data, const char *path, int limit,
                                 dele_arena *arena, dele_err *err);
/* Whether the directory holds such files. */
bool dele_membership_is_there(const char *path);

/* The folder of such files where it is not the directory itself, and the directory
 * (dele_suite.inputs). */
dele_status dele_membership_inputs(const char *path[2], const dele_suite_opts *o, dele_arena *arena,
                                   dele_err *err);

/* The scores of dele_suite_membership are a dele_membership_scores. */
extern const dele_suite dele_suite_membership;
void dele_membership_json(cJSON *json, const dele_membership_scores *scores);

#endif
