/* Chat layouts, as the models' own templates write them (U: the user's text):
 *
 *   olmo       <|endoftext|><|user|>\nU\n<|assistant|>\n
 *   smollm2    <|im_start|>system\n...<|im_end|>\n
 *              <|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n
 *
 * SmolLM2's template inserts its system line where a conversation has none. */
#include "text/chat.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "text/tokenizer_data.h"

const char *const dele_chat_name[] = {"none", "olmo", "smollm2", "auto", NULL};

/* The templates of these layouts, by the SHA-256 of their text: a template that differs in one byte
 * may have another layout.  Sources: tokenizer_config.json of allenai/OLMo-7B-Instruct, and of
 * HuggingFaceTB/SmolLM2-135M-Instruct (its GGUFs hold the same text). */
static const struct {
    const char *sha256;
    dele_chat chat;
} known_templates[] = {
    {"1fd079953619577aaece0bf8136f037aedaadc70c8a813d81e6566cd3ef44601", DELE_CHAT_OLMO},
    {"872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788", DELE_CHAT_SMOLLM2},
};

#define WAY_OUT "name the layout with --chat olmo or --chat smollm2, or --chat none for raw prompts"

/* The template for a conversation: the one named "default" where there are several. */
static const char *default_template(const cJSON *templates)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(templates, "default");
    if (cJSON_IsString(templates)) return templates->valuestring;
    if (item) return cJSON_GetStringValue(item);
    cJSON_ArrayForEach(item, templates)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name"));
        if (name && !strcmp(name, "default"))
            return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "template"));
    }
    return NULL;
}

/* chat_template.jinja has precedence over tokenizer_config.json's chat_template, as in
 * transformers.  *template is NULL if there is none; *some: there are templates, but no default. */
dele_status dele_chat_template(const char **template, bool *some, const dele_tokenizer *t,
                               dele_arena *arena, dele_err *err)
{
    *template = t->parts.chat_template;
    *some = *template != NULL;
    if (*some || !t->path) return DELE_OK;
    const char *slash = strrchr(t->path, '/');
    const int n = slash ? (int)(slash - t->path) + 1 : 0;
    const char *alone = dele_printf(arena, err, "%.*schat_template.jinja", n, t->path);
    const char *config = dele_printf(arena, err, "%.*stokenizer_config.json", n, t->path);
    if (!alone || !config) return DELE_ERR_MEMORY;
    if (dele_path_exists(alone)) {
        *template = dele_text_read(alone, arena, NULL, err);
        *some = true;
        return *template ? DELE_OK : DELE_ERR_FILE;
    }
    if (!dele_path_exists(config)) return DELE_OK;
    cJSON *json = dele_json_load(config, err);
    if (!json) return DELE_ERR_FORMAT;
    const cJSON *templates = cJSON_GetObjectItemCaseSensitive(json, "chat_template");
    const char *text = default_template(templates);
    *some = templates && !cJSON_IsNull(templates);
    *template = text ? dele_strdup(arena, text, err) : NULL;
    cJSON_Delete(json);
    return !text || *template ? DELE_OK : DELE_ERR_MEMORY;
}

/* The layout of the model's own template.  An unknown template and a missing template are errors,
 * since a guess would give silently wrong numbers.  transformers refuses a tokenizer without a
 * template too. */
static dele_status find_own(dele_chat *chat, const dele_tokenizer *t, dele_err *err)
{
    dele_arena scratch = {0};
    const char *template;
    bool some;
    char hex[65];
    dele_status status = dele_chat_template(&template, &some, t, &scratch, err);
    *chat = DELE_CHAT_NONE;
    if (!status && template) dele_text_sha256(hex, template);
    for (size_t i = 0; !status && template && i < sizeof known_templates / sizeof *known_templates;
         i++)
        if (!strcmp(hex, known_templates[i].sha256)) *chat = known_templates[i].chat;
    dele_arena_release(&scratch);
    if (status || *chat != DELE_CHAT_NONE) return status;
    return dele_fail(
        err, DELE_ERR_UNSUPPORTED,
        some ? "--chat auto: the model's chat template is not one of the known ones; " WAY_OUT
             : "--chat auto: the model has no chat template; " WAY_OUT);
}

dele_status dele_chat_resolve(dele_chat *chat, dele_chat asked, const dele_tokenizer *t,
                              dele_err *err)
{
    *chat = asked;
    return asked == DELE_CHAT_AUTO ? find_own(chat, t, err) : DELE_OK;
}

const char *dele_chat_head(dele_chat chat)
{
    switch (chat) {
    case DELE_CHAT_OLMO:
        return "<|endoftext|><|user|>\n";
    case DELE_CHAT_SMOLLM2:
        return "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by "
               "Hugging Face<|im_end|>\n"
               "<|im_start|>user\n";
    default:
        return "";
    }
}

const char *dele_chat_end(dele_chat chat)
{
    switch (chat) {
    case DELE_CHAT_OLMO:
        return "<|endoftext|>";
    case DELE_CHAT_SMOLLM2:
        return "<|im_end|>";
    default:
        return "";
    }
}

char *dele_chat_prompt(dele_chat chat, const char *user, dele_arena *arena, dele_err *err)
{
    const char *head = dele_chat_head(chat);
    switch (chat) {
    case DELE_CHAT_OLMO:
        return dele_printf(arena, err, "%s%s\n<|assistant|>\n", head, user);
    case DELE_CHAT_SMOLLM2:
        return dele_printf(arena, err, "%s%s<|im_end|>\n<|im_start|>assistant\n", head, user);
    default:
        return dele_strdup(arena, user, err);
    }
}
