#include "text/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "text/layout_texts.h"
#include "text/tokenizer_data.h"
#include "text/unicode.h"

const char *const dele_chat_name[] = {"none",  "olmo",    "smollm2", "auto",    "olmo-2",
                                      "olmoe", "llama-2", "llama-3", "qwen2.5", "qwen3",
                                      "gemma", "mistral", "phi-3",   NULL};

#define WAY_OUT "name a layout with --chat-layout, or give --chat none for raw prompts"

/* ---- the model's own template ---------------------------------------------------------------- */

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

/* The model's own template.  A missing one is an error, since a guess would give silently wrong
 * numbers; transformers refuses a tokenizer without a template too. */
static const char *own_template(const dele_tokenizer *t, dele_arena *arena, dele_err *err)
{
    const char *text;
    bool some;
    if (dele_chat_template(&text, &some, t, arena, err)) return NULL;
    if (!text)
        dele_fail(err, DELE_ERR_UNSUPPORTED,
                  some
                      ? "--chat auto: none of the model's chat templates is named default; " WAY_OUT
                      : "--chat auto: the model has no chat template; " WAY_OUT);
    return text;
}

/* ---- special tokens -------------------------------------------------------------------------- */

static const char *const special_names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                            "pad_token", "cls_token", "mask_token"};
enum { N_SPECIAL = sizeof special_names / sizeof *special_names };

/* The text of a token that a file names: a string, or an object with its content. */
static const char *token_text_of(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (cJSON_IsObject(item)) item = cJSON_GetObjectItemCaseSensitive(item, "content");
    return cJSON_GetStringValue(item);
}

/* Takes the tokens that a file beside tokenizer.json names and that are not known yet. */
static dele_status special_of_file(const char *text[N_SPECIAL], const dele_tokenizer *t,
                                   const char *file, dele_arena *arena, dele_err *err)
{
    const char *slash = strrchr(t->path, '/');
    const char *path =
        dele_printf(arena, err, "%.*s%s", slash ? (int)(slash - t->path) + 1 : 0, t->path, file);
    if (!path) return DELE_ERR_MEMORY;
    if (!dele_path_exists(path)) return DELE_OK;
    cJSON *json = dele_json_load(path, err);
    if (!json) return DELE_ERR_FORMAT;
    bool full = true;
    for (size_t i = 0; i < N_SPECIAL && full; i++) {
        const char *name = text[i] ? NULL : token_text_of(json, special_names[i]);
        if (name) full = (text[i] = dele_strdup(arena, name, err)) != NULL;
    }
    cJSON_Delete(json);
    return full ? DELE_OK : DELE_ERR_MEMORY;
}

/* bos_token and its like, as a template may name them: those of tokenizer_config.json, then of
 * special_tokens_map.json, then the tokenizer's BOS and EOS; of a GGUF those that its keys give. */
static dele_status find_special(dele_layout *layout, const dele_tokenizer *t, dele_arena *arena,
                                dele_err *err)
{
    const char *text[N_SPECIAL] = {NULL};
    const int ids[N_SPECIAL] = {
        t->bos, t->eos, t->parts.kind ? t->parts.unk : -1, -1, t->parts.kind ? t->parts.pad : -1,
        -1,     -1};
    if (t->path && (special_of_file(text, t, "tokenizer_config.json", arena, err) ||
                    special_of_file(text, t, "special_tokens_map.json", arena, err)))
        return err->code;
    const char **found = DELE_NEW(arena, const char *, N_SPECIAL, err);
    const char **name = DELE_NEW(arena, const char *, N_SPECIAL, err);
    if (!found || !name) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < N_SPECIAL; i++) {
        const bool known = ids[i] >= 0 && ids[i] < t->size && t->token[ids[i]].text;
        if (!text[i] && known) text[i] = t->token[ids[i]].text;
        if (!text[i]) continue;
        name[layout->n_special] = special_names[i];
        found[layout->n_special++] = text[i];
    }
    layout->special = found;
    layout->special_name = name;
    return DELE_OK;
}

/* ---- rendering ------------------------------------------------------------------------------- */

static cJSON *message(const char *role, const char *content)
{
    cJSON *m = cJSON_CreateObject();
    if (cJSON_AddStringToObject(m, "role", role) && cJSON_AddStringToObject(m, "content", content))
        return m;
    cJSON_Delete(m);
    return NULL;
}

/* A copy as transformers gives it to a template: keys without a value are left out, and a reply's
 * reasoning is under each of its names. */
static cJSON *copied_message(const cJSON *m)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    cJSON *copy = cJSON_Duplicate(m, true);
    const cJSON *reasoning = NULL;
    for (cJSON *item = copy ? copy->child : NULL, *next; item; item = next) {
        next = item->next;
        if (cJSON_IsNull(item)) cJSON_Delete(cJSON_DetachItemViaPointer(copy, item));
    }
    for (size_t i = 0; i < 3 && !reasoning; i++)
        reasoning = cJSON_GetObjectItemCaseSensitive(copy, names[i]);
    for (size_t i = 0; i < 2 && reasoning; i++)
        if (!cJSON_GetObjectItemCaseSensitive(copy, names[i]) &&
            !cJSON_AddItemToObject(copy, names[i], cJSON_Duplicate(reasoning, true))) {
            cJSON_Delete(copy);
            return NULL;
        }
    return copy;
}

/* The conversation and all that a template may name; the caller owns it.  NULL: no memory. */
static cJSON *variables_of(const dele_layout *layout, const cJSON *messages, bool reply)
{
    cJSON *all = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(all, "messages");
    bool full = list && cJSON_AddBoolToObject(all, "add_generation_prompt", reply) &&
                cJSON_AddNullToObject(all, "tools") && cJSON_AddNullToObject(all, "documents");
    const cJSON *m;
    cJSON_ArrayForEach(m, messages)
    {
        cJSON *copy = full ? copied_message(m) : NULL;
        full = copy && cJSON_AddItemToArray(list, copy);
    }
    for (size_t i = 0; i < layout->n_special && full; i++)
        full = cJSON_AddStringToObject(all, layout->special_name[i], layout->special[i]) != NULL;
    if (full) return all;
    cJSON_Delete(all);
    return NULL;
}

char *dele_chat_render(const dele_layout *layout, const cJSON *messages, bool reply,
                       dele_arena *arena, dele_err *err)
{
    const cJSON *m;
    cJSON_ArrayForEach(m, messages)
    {
        if (cJSON_IsObject(m)) continue;
        dele_fail(err, DELE_ERR_DATA, "a message of a conversation is no object");
        return NULL;
    }
    if (!cJSON_IsArray(messages) || !messages->child) {
        dele_fail(err, DELE_ERR_DATA, "a conversation is a list of at least one message");
        return NULL;
    }
    cJSON *variables = variables_of(layout, messages, reply);
    if (!variables) {
        dele_fail(err, DELE_ERR_MEMORY, "out of memory for a conversation");
        return NULL;
    }
    char *text = dele_template_render(layout->template, variables, &layout->now, arena, err);
    cJSON_Delete(variables);
    return text;
}

/* The text of a user's turn up to the reply, or with a reply. */
static char *render_turn(const dele_layout *layout, const char *user, const char *reply,
                         dele_arena *arena, dele_err *err)
{
    cJSON *messages = cJSON_CreateArray(), *first = message("user", user);
    cJSON *second = reply ? message("assistant", reply) : NULL;
    const bool full = messages && first && (!reply || second);
    if (full) {
        cJSON_AddItemToArray(messages, first);
        if (second) cJSON_AddItemToArray(messages, second);
    } else {
        cJSON_Delete(first);
        cJSON_Delete(second);
    }
    char *text = full ? dele_chat_render(layout, messages, !reply, arena, err) : NULL;
    if (!full) dele_fail(err, DELE_ERR_MEMORY, "out of memory for a conversation");
    cJSON_Delete(messages);
    return text;
}

char *dele_chat_prompt(const dele_layout *layout, const char *user, dele_arena *arena,
                       dele_err *err)
{
    return layout ? render_turn(layout, user, NULL, arena, err) : dele_strdup(arena, user, err);
}

/* ---- what a layout puts around a turn -------------------------------------------------------- */

#define SAID                                                                                       \
    "qzwhatissaidzq" /* stands for a text; nothing that a template would drop or change            \
                      */

static size_t blanks(const char *text)
{
    size_t n = 0, used;
    while (text[n] && dele_is_space(dele_utf8_next(text + n, strlen(text + n), &used))) n += used;
    return n;
}

/* The longest added token at the beginning of a text; -1: there is none. */
static int token_at(const dele_tokenizer *t, const char *text)
{
    const size_t room = strlen(text);
    size_t longest = 0;
    int id = -1;
    for (size_t i = 0; i < t->n_added; i++) {
        const dele_text_span *s = &t->added[i].content;
        if (s->n <= longest || s->n > room || memcmp(s->text, text, s->n)) continue;
        longest = s->n;
        id = t->added[i].id;
    }
    return id;
}

/* The head is what stands before the user's text.  The end of a reply is the added token that
 * follows it, after white space or none.  A template that refuses a reply, or that writes more than
 * white space between the prompt and the reply, leaves these empty: a reply then follows the prompt
 * directly. */
static dele_status look_around(dele_layout *layout, const dele_tokenizer *t, dele_arena *arena,
                               dele_err *err)
{
    dele_err why = {0};
    layout->head = layout->before_reply = layout->after_reply = "";
    layout->end = -1;
    char *prompt = render_turn(layout, SAID, NULL, arena, err);
    if (!prompt) return err->code;
    const size_t n = strlen(prompt);
    const char *user = strstr(prompt, SAID);
    if (user && !(layout->head = dele_strndup(arena, prompt, (size_t)(user - prompt), err)))
        return DELE_ERR_MEMORY;
    char *whole = render_turn(layout, SAID, "reply" SAID, arena, &why);
    if (why.code == DELE_ERR_MEMORY) return dele_fail(err, why.code, "%s", why.msg);
    char *said = whole ? strstr(whole, "reply" SAID) : NULL;
    if (!said) return DELE_OK;
    const char *after = said + strlen("reply" SAID);
    const size_t blank = blanks(after), before = strncmp(whole, prompt, n) ? 0 : blanks(whole + n);
    if (said == whole + n + before && before)
        layout->before_reply = dele_strndup(arena, whole + n, before, err);
    layout->end = token_at(t, after + blank);
    if (layout->end >= 0 && blank) layout->after_reply = dele_strndup(arena, after, blank, err);
    return layout->before_reply && layout->after_reply ? DELE_OK : DELE_ERR_MEMORY;
}

const char *dele_chat_head(const dele_layout *layout) { return layout ? layout->head : ""; }

int dele_chat_end(const dele_layout *layout) { return layout ? layout->end : -1; }

/* ---- opening --------------------------------------------------------------------------------- */

/* Now, or the day that SOURCE_DATE_EPOCH names (seconds since 1970, UTC): the variable by which
 * builds are made reproducible. */
static dele_status find_now(struct tm *now, dele_err *err)
{
    const char *fixed = getenv("SOURCE_DATE_EPOCH");
    char *end = NULL;
    time_t at = time(NULL);
    if (!fixed || !*fixed) {
        localtime_r(&at, now);
        return DELE_OK;
    }
    const long long seconds = strtoll(fixed, &end, 10);
    at = (time_t)seconds;
    if (*end || seconds < 0 || !gmtime_r(&at, now))
        return dele_fail(err, DELE_ERR_USAGE, "SOURCE_DATE_EPOCH is no number of seconds: %s",
                         fixed);
    return DELE_OK;
}

static const char *layout_text(dele_chat chat)
{
    const dele_layout_text *l = dele_layout_texts;
    while (l->name && strcmp(l->name, dele_chat_name[chat])) l++;
    return l->text;
}

/* Parses the template and renders one turn with it, so that a layout that opens can be used.  What
 * is refused is told with the way out. */
dele_status dele_chat_open(const dele_layout **layout, dele_chat asked, const dele_tokenizer *t,
                           dele_arena *arena, dele_err *err)
{
    dele_err own = {0};
    *layout = NULL;
    if (!err) err = &own;
    if (asked == DELE_CHAT_NONE) return DELE_OK;
    dele_layout *l = DELE_NEW(arena, dele_layout, 1, err);
    const char *text = !l                        ? NULL
                       : asked == DELE_CHAT_AUTO ? own_template(t, arena, err)
                                                 : layout_text(asked);
    if (!text || find_now(&l->now, err) || find_special(l, t, arena, err)) return err->code;
    const char *where = asked == DELE_CHAT_AUTO
                            ? "the model's chat template"
                            : dele_printf(arena, err, "the chat layout %s", dele_chat_name[asked]);
    l->template = where ? dele_template_parse(text, strlen(text), where, arena, err) : NULL;
    if (!l->template || look_around(l, t, arena, err)) {
        const size_t n = strlen(err->msg);
        if (err->code == DELE_ERR_UNSUPPORTED)
            snprintf(err->msg + n, sizeof err->msg - n, "; " WAY_OUT);
        return err->code;
    }
    if (dele_template_has_date(l->template) && (!getenv("SOURCE_DATE_EPOCH")))
        dele_note("the model's chat template may write today's date into prompts; "
                  "SOURCE_DATE_EPOCH sets another one");
    *layout = l;
    return DELE_OK;
}
