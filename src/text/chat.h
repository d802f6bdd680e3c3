/* Chat layouts: the text around what a user says. */
#ifndef DELE_CHAT_H
#define DELE_CHAT_H

#include "base/arena.h"
#include "text/tokenizer_types.h"

/* AUTO asks for the layout of the model's own chat template; dele_chat_resolve turns it into one of
 * the others. */
typedef enum { DELE_CHAT_NONE, DELE_CHAT_OLMO, DELE_CHAT_SMOLLM2, DELE_CHAT_AUTO } dele_chat;
extern const char *const dele_chat_name[]; /* "none", "olmo", "smollm2", "auto"; NULL */

/* The layout that is asked for.  For AUTO, the model's template must equal a known one byte for
 * byte; an unknown one and a missing one are DELE_ERR_UNSUPPORTED. */
dele_status dele_chat_resolve(dele_chat *chat, dele_chat asked, const dele_tokenizer *t,
                              dele_err *err);

/* The layout's own text before the user's text; "" for none. */
const char *dele_chat_head(dele_chat chat);

/* The token that ends a turn; "" for none. */
const char *dele_chat_end(dele_chat chat);

/* The text of one user turn up to the beginning of the assistant's reply.  Encode it with
 * add_special = false. */
char *dele_chat_prompt(dele_chat chat, const char *user, dele_arena *arena, dele_err *err);

/* The model's chat template (chat.c), in the arena, or NULL. */
dele_status dele_chat_template(const char **text, bool *some, const dele_tokenizer *t,
                               dele_arena *arena, dele_err *err);

#endif
