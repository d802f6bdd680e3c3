/* Nudging (Fei, Razeghi and Singh, ACL 2025, arXiv 2410.09300): a base model writes where it is
 * confident, and a small aligned model, the nudger, writes where it is not.
 *
 *   round      nudger    completes its prompt and the text so far by `window` tokens; if it ends
 *                        its text there, all of them are accepted and generation stops
 *              words     w_1 of the completion is accepted; then w_2, w_3, ... until the base's
 *                        next token begins the next word, or has a probability of gamma at least
 *              base      goes on from there until its most likely token has less than gamma
 *
 * The algorithm is that of the authors' utils.py (github.com/fywalter/nudging, 37bc022), with its
 * rules about repetition and its post-processing; docs/nudging.md says where it has to differ.
 * Everything crosses between the models as text, so that their tokenizers may differ.
 *
 * Verification (DELE_NUDGE_DRAFT): the words of a window are scored by the base in one pass, as
 * in speculative decoding, and the base's own text is taken from that pass for as long as it
 * repeats the draft; after it, drafts come from earlier text (or from the nudger, where it is much
 * smaller).  DELE_NUDGE_PLAIN asks the base for one token at a time.  Both give the same text, up
 * to ties between tokens that rounding decides. */
#ifndef DELE_NUDGE_H
#define DELE_NUDGE_H

#include "nudge/nudge_types.h"

extern const char *const dele_nudge_verify_name[]; /* "draft", "plain"; NULL at the end */
extern const char *const dele_nudge_stop_name[];

/* The models must outlive it and have tokenizers; nudger_layout (NULL: none) gives the token that
 * ends the nudger's turn.  base and nudger may be one model.  Close accepts NULL. */
dele_nudge *dele_nudge_open(const dele_model *base, const dele_model *nudger,
                            const dele_layout *base_layout, const dele_layout *nudger_layout,
                            const dele_nudge_opts *opts, dele_err *err);
void dele_nudge_close(dele_nudge *n);

/* An error unless both prompts leave room for a window.  dele_nudge_generate takes prompts that do;
 * an answer after them ends where a context is full. */
dele_status dele_nudge_check(const dele_nudge *n, const dele_nudge_prompt *base_prompt,
                             const dele_nudge_prompt *nudger_prompt, dele_err *err);

/* One answer, in the arena.  Nothing of earlier answers is used, so that it has the same bytes
 * wherever it stands in a list. */
dele_status dele_nudge_generate(dele_nudge_result *result, dele_nudge *n,
                                const dele_nudge_prompt *base_prompt,
                                const dele_nudge_prompt *nudger_prompt, dele_arena *arena,
                                dele_err *err);

#endif
