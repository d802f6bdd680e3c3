/* lacuna generate -- what does the model say?  Greedy, so that the answer is always the same. */
#include <stdio.h>
#include <string.h>

#include "base/option.h"
#include "experiments/cmd.h"
#include "model/generate.h"

typedef struct {
    const char *prompt, *chat;
    int max_new;
} settings;

static cJSON *ids_json(const int *id, size_t n)
{
    return cJSON_CreateIntArray(id, (int)n);
}

static void speak(const settings *s, bool json, const lac_ids *prompt, const int *out, size_t n, const char *text)
{
    if (!json) {
        printf("%s%s\n", s->chat && strcmp(s->chat, "none") ? "" : s->prompt, text);
        return;
    }
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToObject(object, "prompt_ids", ids_json(prompt->id, prompt->n));
    cJSON_AddItemToObject(object, "ids", ids_json(out, n));
    cJSON_AddStringToObject(object, "text", text);
    char *line = cJSON_PrintUnformatted(object);
    if (line) puts(line);
    cJSON_free(line);
    cJSON_Delete(object);
}

static lac_status generate(const char *path, const settings *s, bool json, lac_model *model, lac_run *run,
                           lac_arena *arena, lac_err *err)
{
    if (!s->prompt) return lac_fail(err, LAC_ERR_USAGE, "generate: --prompt TEXT is needed");
    if (s->max_new < 1) return lac_fail(err, LAC_ERR_USAGE, "generate: --max-new must be at least 1");
    if (lac_model_load(model, path, arena, err)) return err->code;
    if (!model->tokenizer) return lac_fail(err, LAC_ERR_DATA, "%s holds no tokenizer.json, so text cannot be read", path);
    lac_chat chat = LAC_CHAT_NONE;
    if (lac_chat_parse(&chat, s->chat, model->tokenizer, err)) return err->code;
    const char *text = chat == LAC_CHAT_NONE ? s->prompt : lac_chat_prompt(chat, s->prompt, arena, err);
    lac_ids ids;
    if (!text || lac_encode(&ids, model->tokenizer, text, strlen(text), chat == LAC_CHAT_NONE, arena, err)) return err->code;
    int *out = LAC_NEW(arena, int, (size_t)s->max_new, err), stop = lac_tokenizer_eos(model->tokenizer);
    size_t n = 0;
    if (!out || lac_generate(out, &n, run, model, ids.id, ids.n, (size_t)s->max_new, &stop, stop >= 0, err)) return err->code;
    char *said = lac_decode(model->tokenizer, out, n, true, arena, err);
    if (!said) return err->code;
    speak(s, json, &ids, out, n, said);
    return LAC_OK;
}

int cmd_generate(int argc, char **argv)
{
    settings s = {.chat = "none", .max_new = 32};
    const char *path = NULL;
    const lac_option options[] = {
        LAC_OPT("prompt", &s.prompt, "the text to continue"),
        LAC_OPT("chat", &s.chat, "chat layout around it: none, auto, olmo, smollm2"),
        LAC_OPT("max-new", &s.max_new, "the most tokens to add"),
        {0},
    };
    const lac_usage usage = {.command = "generate", .summary = "continue a prompt, greedily",
                             .synopsis = "MODEL --prompt TEXT",
                             .example = "lacuna generate model.gguf --prompt 'The capital of France is' --max-new 8",
                             .options = options, .positional = &path, .n_positional = 1};
    lac_common common = {0};
    lac_arena arena = {0};
    lac_model model = {0};
    lac_run run = {0};
    lac_err err = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help)
        generate(path, &s, common.json, &model, &run, &arena, &err);
    lac_run_release(&run);
    lac_model_release(&model);
    lac_arena_release(&arena);
    return lac_complain(&err);
}
