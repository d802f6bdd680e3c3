/* Chat layouts, as the models' own templates write them:
 *
 *   olmo       <|endoftext|><|user|>\nU\n<|assistant|>\n
 *   smollm2    <|im_start|>system\n...<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n
 *
 * SmolLM2's template inserts its system line where a conversation has none. */
#include <string.h>

#include "text/tokenizer.h"

dele_status dele_chat_parse(dele_chat *chat, const char *name, const dele_tokenizer *t, dele_err *err)
{
    if (!strcmp(name, "none")) *chat = DELE_CHAT_NONE;
    else if (!strcmp(name, "olmo")) *chat = DELE_CHAT_OLMO;
    else if (!strcmp(name, "smollm2")) *chat = DELE_CHAT_SMOLLM2;
    else if (!strcmp(name, "auto")) *chat = t && dele_token_id(t, "<|im_start|>") >= 0 ? DELE_CHAT_SMOLLM2 : DELE_CHAT_OLMO;
    else return dele_fail(err, DELE_ERR_USAGE, "no chat layout \"%s\"; choose none, auto, olmo or smollm2", name);
    return DELE_OK;
}

const char *dele_chat_head(dele_chat chat)
{
    switch (chat) {
    case DELE_CHAT_OLMO: return "<|endoftext|><|user|>\n";
    case DELE_CHAT_SMOLLM2:
        return "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
               "<|im_start|>user\n";
    default: return "";
    }
}

const char *dele_chat_end(dele_chat chat)
{
    switch (chat) {
    case DELE_CHAT_OLMO: return "<|endoftext|>";
    case DELE_CHAT_SMOLLM2: return "<|im_end|>";
    default: return "";
    }
}

char *dele_chat_prompt(dele_chat chat, const char *user, dele_arena *arena, dele_err *err)
{
    const char *head = dele_chat_head(chat);
    switch (chat) {
    case DELE_CHAT_OLMO: return dele_printf(arena, err, "%s%s\n<|assistant|>\n", head, user);
    case DELE_CHAT_SMOLLM2: return dele_printf(arena, err, "%s%s<|im_end|>\n<|im_start|>assistant\n", head, user);
    default: return dele_strdup(arena, user, err);
    }
}
