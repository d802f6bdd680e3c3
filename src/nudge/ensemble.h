/* An ensemble of two models, as the baseline of Nudging's program has it
 * (completion_baseline_ensemble in utils.py of github.com/fywalter/nudging, 37bc022).  Text crosses
 * between the models, so that their tokenizers may differ.
 *
 *   round   both complete their prompts and the text so far by `window` tokens
 *           the tuned model ends its text there: its tokens are accepted, the end
 *           else the tokens that both have in common, compared as text, and after them the one
 * with the largest sum of the probabilities among both models' five most likely tokens
 *
 * Over one vocabulary it has log-likelihoods (joint.h): those of (p_base + p_tuned) / 2, over all
 * tokens. */
#ifndef DELE_ENSEMBLE_H
#define DELE_ENSEMBLE_H

#include "nudge/joint.h"

/* models [2]: base, tuned. */
dele_status dele_ensemble_init(dele_joint *j, const dele_model *const *models,
                               const dele_layout *const *layouts, dele_err *err);

/* The text after the prompts [2], in the arena; rounds begin until it has max_new tokens of the
 * base's tokenizer, or a window does not fit a context any more; the prompts leave room for one.
 * ended: by the tuned model. */
dele_status dele_ensemble_generate(char **text, bool *ended, dele_joint *j,
                                   const dele_nudge_prompt *prompts, int window, int max_new,
                                   dele_arena *arena, dele_err *err);

#endif
