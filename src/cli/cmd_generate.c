/* deleatur generate -- what does the model say?  Greedy, so that the answer is always the same. */

#include "cli/cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_out.h"
#include "model/generate.h"
#include "option/option.h"
#include "text/behind.h"

typedef struct {
    const char *prompt;
    dele_chat chat;
    int max_new, memory;
} settings;

static cJSON *ids_json(const int *id, size_t n) { return cJSON_CreateIntArray(id, (int)n); }

/* Prints the generated text, behind the prompt where that is raw text.  To a terminal, control
 * characters are shown as text; a pipe gets the bytes. */
static void speak(const settings *s, bool json, const dele_ids *prompt, const int *out, size_t n,
                  const char *text)
{
    if (!json) {
        const bool plain = s->chat == DELE_CHAT_NONE, terminal = isatty(STDOUT_FILENO);
        for (int part = plain ? 0 : 1; part < 2;
             part++) { /* what the model says is shown to a terminal, raw to a pipe */
            const char *own = part ? text : s->prompt;
            if (terminal)
                dele_text_put(stdout, own, DELE_TEXT_LINES);
            else
                fputs(own, stdout);
        }
        putchar('\n');
        return;
    }
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToObject(object, "prompt_ids", ids_json(prompt->id, prompt->n));
    cJSON_AddItemToObject(object, "ids", ids_json(out, n));
    cJSON_AddStringToObject(object, "text", text);
    char *line = dele_json_text(object, false);
    if (line) puts(line);
    cJSON_free(line);
    cJSON_Delete(object);
}

/* Greedy generation until the model ends its text (or its turn, with a chat template) or --max-new
 * tokens. */
static dele_status generate(const char *path, const settings *s, bool json, dele_model *model,
                            dele_run *run, dele_arena *arena, dele_err *err)
{
    if (!s->prompt) return dele_fail(err, DELE_ERR_USAGE, "generate: --prompt TEXT is needed");
    if (s->max_new < 1)
        return dele_fail(err, DELE_ERR_USAGE, "generate: --max-new must be at least 1");
    if (dele_model_load_wide(model, path, s->memory, arena, err)) return err->code;
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s holds no tokenizer.json, so text cannot be read",
                         path);
    dele_chat chat = DELE_CHAT_NONE;
    if (dele_chat_resolve(&chat, s->chat, model->tokenizer, err)) return err->code;
    dele_ids ids;
    if (dele_encode_prompt(&ids, model->tokenizer, chat, s->prompt, arena, err)) return err->code;
    int *out = DELE_NEW(arena, int, (size_t)s->max_new, err);
    const dele_ends ends = dele_ends_of(model, chat);
    size_t n = 0;
    if (!out ||
        dele_generate(out, &n, run, model, ids.id, ids.n, (size_t)s->max_new, ends.id, ends.n, err))
        return err->code;
    char *said = dele_decode_behind(model->tokenizer, ids.id, ids.n, out, n, true, arena, err);
    if (!said) return err->code;
    speak(s, json, &ids, out, n, said);
    return DELE_OK;
}

int cmd_generate(int argc, char **argv)
{
    settings s = {.max_new = 32, .memory = DELE_DEFAULT_MEMORY};
    const char *path = NULL;
    const dele_option options[] = {
        DELE_GROUP("options"),
        DELE_OPT("prompt", &s.prompt, "prompt text"),
        DELE_CHOICE("chat", &s.chat, dele_chat_name, "chat template around the prompt"),
        DELE_OPT("max-new", &s.max_new, "maximum number of new tokens"),
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
