/* deleatur generate -- what does the model say?  Greedy, so that the answer is always the same. */

#include "cli/cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapter/adapter.h"
#include "base/json.h"
#include "base/json_out.h"
#include "model/generate.h"
#include "option/option.h"
#include "text/continuation.h"

typedef struct {
    const char *prompt, *messages;
    dele_chat chat;
    int max_new, memory;
    dele_adapter_options adapters;
} settings;

static cJSON *ids_json(const int *id, size_t n) { return cJSON_CreateIntArray(id, (int)n); }

/* Prints the generated text, after the prompt where that is raw text, or the prompt alone where
 * nothing is generated.  To a terminal, control characters are shown as text; a pipe gets the
 * bytes. */
static void speak(const settings *s, bool json, const char *prompt, const dele_ids *ids,
                  const int *out, size_t n, const char *text)
{
    if (!json) {
        const bool whole = s->chat == DELE_CHAT_NONE || !s->max_new;
        const bool terminal = isatty(STDOUT_FILENO);
        for (int part = whole ? 0 : 1; part < 2; part++) {
            const char *own = part ? text : prompt;
            if (terminal)
                dele_text_put(stdout, own, DELE_TEXT_LINES);
            else
                fputs(own, stdout);
        }
        putchar('\n');
        return;
    }
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "prompt", prompt);
    cJSON_AddItemToObject(object, "prompt_ids", ids_json(ids->id, ids->n));
    cJSON_AddItemToObject(object, "ids", ids_json(out, n));
    cJSON_AddStringToObject(object, "text", text);
    char *line = dele_json_text(object, false);
    if (line) puts(line);
    cJSON_free(line);
    cJSON_Delete(object);
}

/* The text of --prompt in its layout, or of the conversation of --messages. */
static const char *prompt_text(const settings *s, const dele_layout *layout, dele_arena *arena,
                               dele_err *err)
{
    if (s->prompt) return dele_chat_prompt(layout, s->prompt, arena, err);
    cJSON *json = dele_json_load(s->messages, err);
    const cJSON *list = cJSON_IsObject(json) ? dele_json_get(json, "messages") : json;
    char *text = json ? dele_chat_render(layout, list, true, arena, err) : NULL;
    cJSON_Delete(json);
    return text;
}

static dele_status check(const settings *s, dele_err *err)
{
    if (!s->prompt == !s->messages)
        return dele_fail(err, DELE_ERR_USAGE,
                         "generate: one of --prompt TEXT and --messages FILE is needed");
    if (s->messages && s->chat == DELE_CHAT_NONE)
        return dele_fail(err, DELE_ERR_USAGE,
                         "generate: --messages needs a layout: --chat auto, the model's own "
                         "template, or --chat-layout NAME");
    if (s->max_new < 0)
        return dele_fail(err, DELE_ERR_USAGE, "generate: --max-new must be at least 0");
    return DELE_OK;
}

/* Greedy generation until the model ends its text (or its turn, with a chat layout) or --max-new
 * tokens. */
static dele_status generate(const char *path, const settings *s, bool json, dele_model *model,
                            dele_run *run, dele_arena *arena, dele_err *err)
{
    const dele_layout *layout;
    dele_ids ids;
    if (check(s, err) ||
        dele_adapters_load(model, path, &s->adapters, s->memory, (size_t)s->max_new, arena, err))
        return err->code;
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s holds no tokenizer.json, so text cannot be read",
                         path);
    if (dele_chat_open(&layout, s->chat, model->tokenizer, arena, err)) return err->code;
    const char *text = prompt_text(s, layout, arena, err);
    if (!text || dele_encode_as(&ids, model->tokenizer, text, strlen(text),
                                layout ? DELE_ENCODE_BARE : DELE_ENCODE_BEGIN, arena, err))
        return err->code;
    int *out = DELE_NEW(arena, int, (size_t)s->max_new + 1, err);
    const dele_ends ends = dele_ends_of(model, layout);
    size_t n = 0;
    if (!out || (s->max_new && dele_generate(out, &n, run, model, ids.id, ids.n, (size_t)s->max_new,
                                             ends.id, ends.n, err)))
        return err->code;
    char *said =
        dele_decode_continuation(model->tokenizer, ids.id, ids.n, out, n, true, arena, err);
    if (!said) return err->code;
    speak(s, json, text, &ids, out, n, said);
    return DELE_OK;
}

int cmd_generate(int argc, char **argv)
{
    settings s = {
        .max_new = 32, .memory = DELE_DEFAULT_MEMORY, .adapters = {DELE_ADAPTER_DEFAULTS}};
    const char *path = NULL;
    const dele_option options[] = {
        DELE_GROUP("options"),
        DELE_OPT("prompt", &s.prompt, "prompt text"),
        DELE_OPT("messages", &s.messages,
                 "in place of --prompt: a file with a conversation, a JSON list of objects with "
                 "role and content"),
        DELE_CHAT_OPTION(&s.chat, "the prompt"),
        DELE_OPT("max-new", &s.max_new,
                 "maximum number of new tokens; 0: the prompt alone, in its layout"),
        DELE_ADAPTER_OPTIONS(s.adapters),
        DELE_MEMORY_OPTION(s.memory),
        {0},
    };
    const dele_usage usage = {
        .command = "generate",
        .summary = "greedy generation from a prompt",
        .synopsis = "MODEL --prompt TEXT",
        .example = "deleatur generate model.gguf --prompt 'The capital of France is' --max-new 8",
        .options = options,
        .positional = &path,
        .n_positional = 1};
    dele_common common = {0};
    dele_arena arena = {0};
    dele_model model = {0};
    dele_run run = {0};
    dele_err err = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help)
        generate(path, &s, common.json, &model, &run, &arena, &err);
    dele_run_release(&run);
    dele_model_release(&model);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
