/* Proxy tuning (Liu et al., arXiv 2401.08565): a small model that was tuned, and the same before
 * that, change the next-token logits of a large one of the same vocabulary:
 *
 *   z = z_base + (z_tuned - z_untuned)
 *
 * Exactly, over the whole vocabulary; the baseline in Nudging's program has the hundred largest
 * probabilities of each model only.  Greedy. */
#ifndef DELE_PROXY_TUNING_H
#define DELE_PROXY_TUNING_H

#include "nudge/joint.h"

/* models [3]: base, tuned, untuned.  An error where their vocabularies differ. */
dele_status dele_proxy_init(dele_joint *j, const dele_model *const *models,
                            const dele_layout *const *layouts, dele_err *err);

/* The text after the prompts [3], in the arena; ended: a token was chosen at which the base or the
 * tuned model ends its text, before it has max_new tokens or fills a context; the prompts leave
 * room for one token. */
dele_status dele_proxy_generate(char **text, bool *ended, dele_joint *j,
                                const dele_nudge_prompt *prompts, int max_new, dele_arena *arena,
                                dele_err *err);

#endif
