/* The attack "nudge": does collaboration with another model bring the forgotten back?
 *
 *   unlearned + NUDGER     the unlearned model writes, NUDGER (--with, which was not unlearned)
 *                          where it is not confident; for each gamma
 *   NUDGER + unlearned     the reverse
 *   before + unlearned     as a guardrail, with --before: the unlearned model nudges the original
 *   guard                  the same with the trigger reversed (nudge/guard.h); gamma is its tau
 *
 * Texts have no token probabilities: contains and rougeL_recall are scored.  Of an answer that was
 * found it is said which of the two models wrote it. */
#ifndef DELE_ATTACK_NUDGE_H
#define DELE_ATTACK_NUDGE_H

#include "experiments/attack/attack_job.h"

/* j->nudged [n_nudged] passes in the plain form. */
dele_status attack_nudge_plan(attack_job *j, dele_err *err);

/* What would be refused when the passes begin, before anything is asked: a model that cannot work
 * with the other, and a row that leaves no room for an answer, which the error names. */
dele_status attack_nudge_check(attack_job *j, const dele_model *unlearned, dele_err *err);

/* Generates and scores them; unlearned: the loaded model. */
dele_status attack_nudge_run(attack_job *j, const dele_model *unlearned, dele_err *err);

/* nudge.tsv: a line a pass. */
dele_status attack_nudge_save(attack_job *j, dele_err *err);

#endif
