#include "nudge/prompt.h"

#include <string.h>

const char *const dele_system_place_name[] = {"auto", "turn", "user", NULL};

static bool add_message(cJSON *list, const char *role, const char *content)
{
    cJSON *m = cJSON_CreateObject();
    if (m && cJSON_AddStringToObject(m, "role", role) &&
        cJSON_AddStringToObject(m, "content", content) && cJSON_AddItemToArray(list, m))
        return true;
    cJSON_Delete(m);
    return false;
}

/* The layout's text of a conversation that the system's turn (NULL: none) begins. */
static char *render(const dele_layout *layout, const char *system, const char *user,
                    dele_arena *arena, dele_err *err)
{
    cJSON *list = cJSON_CreateArray();
    char *text = NULL;
    if (list && (!system || add_message(list, "system", system)) && add_message(list, "user", user))
        text = dele_chat_render(layout, list, true, arena, err);
    else
        dele_fail(err, DELE_ERR_MEMORY, "out of memory for a conversation");
    cJSON_Delete(list);
    return text;
}

dele_status dele_nudge_prompt_of(dele_nudge_prompt *prompt, const dele_layout *layout,
                                 const char *system, dele_system_place place, const char *prefix,
                                 const char *question, dele_arena *arena, dele_err *err)
{
    const char *between = *system ? "\n" : "";
    const char *asked = dele_printf(arena, err, "%s%s", prefix, question);
    const char *joined = dele_printf(arena, err, "%s%s%s%s", system, between, prefix, question);
    if (!asked || !joined) return DELE_ERR_MEMORY;
    prompt->part = layout ? DELE_ENCODE_BARE : DELE_ENCODE_BEGIN;
    if (!layout)
        prompt->text = dele_printf(arena, err, "%s\n", joined);
    else if (!*system || place == DELE_SYSTEM_USER)
        prompt->text = render(layout, NULL, joined, arena, err);
    else if (place == DELE_SYSTEM_TURN)
        prompt->text = render(layout, system, asked, arena, err);
    else { /* a layout without such a turn refuses it, or leaves its text out */
        dele_err refused = {0};
        prompt->text = render(layout, system, asked, arena, &refused);
        if (refused.code == DELE_ERR_MEMORY) *err = refused;
        if (!prompt->text || !strstr(prompt->text, system))
            prompt->text = render(layout, NULL, joined, arena, err);
    }
    return prompt->text ? DELE_OK : err->code;
}

dele_status dele_nudge_prompt_as_is(dele_nudge_prompt *prompt, const dele_layout *layout,
                                    const char *text, dele_arena *arena, dele_err *err)
{
    prompt->part = layout ? DELE_ENCODE_BARE : DELE_ENCODE_BEGIN;
    prompt->text = layout ? dele_chat_prompt(layout, text, arena, err) : text;
    return prompt->text ? DELE_OK : err->code;
}

dele_status dele_nudge_prompt_fits(const dele_nudge_prompt *prompt, const dele_completer *c,
                                   size_t more, dele_err *err)
{
    dele_arena arena = {0};
    dele_ids ids;
    const size_t longest = dele_completer_longest(c);
    dele_status status = dele_encode_as(&ids, c->model->tokenizer, prompt->text,
                                        strlen(prompt->text), prompt->part, &arena, err);
    if (!status && ids.n + more > longest)
        status = dele_fail(err, DELE_ERR_DATA,
                           "a prompt of %zu tokens leaves no room for %zu more in the context of "
                           "%zu of %s; shorten it",
                           ids.n, more, longest, c->model->path ? c->model->path : "a model");
    dele_arena_release(&arena);
    return status;
}

dele_status dele_nudge_layout(const dele_layout **layout, dele_chat asked, const dele_tokenizer *t,
                              dele_arena *arena, dele_err *err)
{
    const char *text;
    bool some;
    *layout = NULL;
    if (asked == DELE_CHAT_AUTO) {
        const dele_status status = dele_chat_template(&text, &some, t, arena, err);
        if (status || !text) return status;
    }
    return dele_chat_open(layout, asked, t, arena, err);
}
