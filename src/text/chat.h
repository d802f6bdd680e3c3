/* Chat layouts: the text around what a user says. */
#ifndef DELE_CHAT_H
#define DELE_CHAT_H

#include "base/arena.h"
#include "text/tokenizer_types.h"

typedef enum { DELE_CHAT_NONE, DELE_CHAT_OLMO, DELE_CHAT_SMOLLM2 } dele_chat;

/* By name: "none", "olmo", "smollm2", or "auto": the layout of the model's own chat template.  The
 * template must equal a known one byte for byte, else the error is DELE_ERR_UNSUPPORTED.  t NULL:
 * only the name is checked. */
dele_status dele_chat_parse(dele_chat *chat, const char *name, const dele_tokenizer *t,
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
