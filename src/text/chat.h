/* Chat layouts: the text around what a user and an assistant say.
 *
 * A layout is a chat template (template/template.h): the model's own (AUTO), or one of layouts/,
 * which are in the same language and rendered by the same code.  The text is that of transformers'
 * apply_chat_template.  It is encoded without the tokenizer's own BOS, as there, so that a template
 * that writes one gives one. */
#ifndef DELE_CHAT_H
#define DELE_CHAT_H

#include <cjson/cJSON.h>
#include <time.h>

#include "base/arena.h"
#include "template/template.h"
#include "text/tokenizer_types.h"

/* What is asked for; dele_chat_open turns it into a layout. */
typedef enum {
    DELE_CHAT_NONE,
    DELE_CHAT_OLMO,
    DELE_CHAT_SMOLLM2,
    DELE_CHAT_AUTO,
    DELE_CHAT_OLMO_2,
    DELE_CHAT_OLMOE,
    DELE_CHAT_LLAMA_2,
    DELE_CHAT_LLAMA_3,
    DELE_CHAT_QWEN2_5,
    DELE_CHAT_QWEN3,
    DELE_CHAT_GEMMA,
    DELE_CHAT_MISTRAL,
    DELE_CHAT_PHI_3
} dele_chat;

extern const char *const dele_chat_name[]; /* "none", "olmo", ...; NULL at the end */

/* The row of a command's table of options; what: "the prompt".  The option's other name is
 * --chat-layout (option_names.c). */
#define DELE_CHAT_OPTION(variable, what)                                                           \
    DELE_CHOICE("chat", variable, dele_chat_name,                                                  \
                "chat layout around " what ": auto, the model's own template; none, raw text; or " \
                "a layout by its name, whatever the model has (also --chat-layout)")

/* A layout, for one tokenizer. */
typedef struct {
    const dele_template *template;
    const char *head;         /* the text before what the user says */
    const char *before_reply; /* white space between the prompt and a reply: "" in most */
    const char *after_reply;  /* white space between a reply and its end: "" in most */
    int end;                  /* the token that ends a reply; -1: none */
    const char *const *special, *const *special_name; /* [n_special] bos_token, ... */
    size_t n_special;
    struct tm now; /* what strftime_now tells: now, or SOURCE_DATE_EPOCH in UTC */
} dele_layout;

/* The layout that is asked for, in the arena; NULL for NONE.  A missing template, and one beyond
 * the subset that template/ renders, are DELE_ERR_UNSUPPORTED. */
dele_status dele_chat_open(const dele_layout **layout, dele_chat asked, const dele_tokenizer *t,
                           dele_arena *arena, dele_err *err);

/* The layout's text before the user's text, and the token that ends a reply; "" and -1 without a
 * layout. */
const char *dele_chat_head(const dele_layout *layout);
int dele_chat_end(const dele_layout *layout);

/* The text of one user turn up to the beginning of the assistant's reply; without a layout the
 * user's text.  Encode it with add_special = false. */
char *dele_chat_prompt(const dele_layout *layout, const char *user, dele_arena *arena,
                       dele_err *err);

/* The text of a conversation, a list of {"role", "content"}; reply: up to the beginning of the
 * assistant's next reply. */
char *dele_chat_render(const dele_layout *layout, const cJSON *messages, bool reply,
                       dele_arena *arena, dele_err *err);

/* The model's chat template, in the arena, or NULL. */
dele_status dele_chat_template(const char **text, bool *some, const dele_tokenizer *t,
                               dele_arena *arena, dele_err *err);

#endif
