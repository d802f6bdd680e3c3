/* The two prompts of nudging.  The released code writes
 *
 *   base       system \n prefix question \n
 *   nudger     its chat template, with the same system text and "prefix question" as the user
 *
 * with "Question: " as the prefix of reasoning tasks and "Instruction: " of open ones. */
#ifndef DELE_NUDGE_PROMPT_H
#define DELE_NUDGE_PROMPT_H

#include "nudge/nudge_types.h"

#define DELE_NUDGE_SYSTEM "Answer the question by walking through the reasoning steps."
#define DELE_NUDGE_PREFIX "Question: "
#define DELE_NUDGE_SYSTEM_OPEN "You are a helpful assistant."
#define DELE_NUDGE_PREFIX_OPEN "Instruction: "

/* Where a chat layout has the system text: in a turn of its own where it has one, or at the
 * beginning of the user's turn, with a line feed after it. */
typedef enum { DELE_SYSTEM_AUTO, DELE_SYSTEM_TURN, DELE_SYSTEM_USER } dele_system_place;
extern const char *const dele_system_place_name[]; /* "auto", "turn", "user"; NULL at the end */

/* The prompt in the arena; layout NULL: the plain one.  An empty system text is left out. */
dele_status dele_nudge_prompt_of(dele_nudge_prompt *prompt, const dele_layout *layout,
                                 const char *system, dele_system_place place, const char *prefix,
                                 const char *question, dele_arena *arena, dele_err *err);

/* A prompt that is no question: as it is without a layout, else the user's turn. */
dele_status dele_nudge_prompt_as_is(dele_nudge_prompt *prompt, const dele_layout *layout,
                                    const char *text, dele_arena *arena, dele_err *err);

/* An error unless `more` tokens after the prompt fit the model's context. */
dele_status dele_nudge_prompt_fits(const dele_nudge_prompt *prompt, const dele_completer *c,
                                   size_t more, dele_err *err);

/* The layout of a tuned model: of AUTO none where the model has no template. */
dele_status dele_nudge_layout(const dele_layout **layout, dele_chat asked, const dele_tokenizer *t,
                              dele_arena *arena, dele_err *err);

#endif
