/* Chat layouts, as the models' own templates write them:
 *
 *   olmo       <|endoftext|><|user|>\nU\n<|assistant|>\n
 *   smollm2    <|im_start|>system\n...<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n
 *
 * SmolLM2's template inserts its system line where a conversation has none. */
#include <string.h>

#include "text/tokenizer.h"

lac_status lac_chat_parse(lac_chat *chat, const char *name, const lac_tokenizer *t, lac_err *err)
{
    if (!strcmp(name, "none")) *chat = LAC_CHAT_NONE;
    else if (!strcmp(name, "olmo")) *chat = LAC_CHAT_OLMO;
    else if (!strcmp(name, "smollm2")) *chat = LAC_CHAT_SMOLLM2;
    else if (!strcmp(name, "auto")) *chat = t && lac_token_id(t, "<|im_start|>") >= 0 ? LAC_CHAT_SMOLLM2 : LAC_CHAT_OLMO;
    else return lac_fail(err, LAC_ERR_USAGE, "no chat layout \"%s\"; choose none, auto, olmo or smollm2", name);
    return LAC_OK;
}

const char *lac_chat_head(lac_chat chat)
{
    switch (chat) {
    case LAC_CHAT_OLMO: return "<|endoftext|><|user|>\n";
    case LAC_CHAT_SMOLLM2:
        return "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
               "<|im_start|>user\n";
    default: return "";
    }
}

char *lac_chat_prompt(lac_chat chat, const char *user, lac_arena *arena, lac_err *err)
{
    const char *head = lac_chat_head(chat);
    switch (chat) {
    case LAC_CHAT_OLMO: return lac_printf(arena, err, "%s%s\n<|assistant|>\n", head, user);
    case LAC_CHAT_SMOLLM2: return lac_printf(arena, err, "%s%s<|im_end|>\n<|im_start|>assistant\n", head, user);
    default: return lac_strdup(arena, user, err);
    }
}
