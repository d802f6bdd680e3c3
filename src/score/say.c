#include "score/say.h"

#include <string.h>

#include "model/generate.h"

enum { GROUP = 128 };

typedef struct {
    const lac_say_opts *opts;
    const lac_model *model;
    const char *const *prompts;
    lac_continuation items[GROUP];
    bool done[GROUP];
    size_t first, n, n_done, given; /* given: a prefix of the group has been handed on */
    lac_arena arena, scratch;
} group;

static lac_status encode_text(lac_ids *ids, const char *prompt, group *g, lac_err *err)
{
    bool raw = g->opts->chat == LAC_CHAT_NONE;
    const char *text = raw ? prompt : lac_chat_prompt(g->opts->chat, prompt, &g->arena, err);
    return text ? lac_encode(ids, g->model->tokenizer, text, strlen(text), raw, &g->arena, err) : LAC_ERR_MEMORY;
}

static lac_status encode(lac_continuation *c, size_t i, group *g, lac_err *err)
{
    size_t max_new = (size_t)g->opts->max_new, room = (size_t)g->model->config.context - max_new;
    lac_ids ids = {0};
    int *out = LAC_NEW(&g->arena, int, max_new, err);
    if (g->opts->encoded) ids = g->opts->encoded[i];
    else if (encode_text(&ids, g->prompts[i], g, err)) return err->code;
    if (!out) return LAC_ERR_MEMORY;
    if (!ids.n) return lac_fail(err, LAC_ERR_DATA, "a prompt is empty: nothing can follow it");
    size_t cut = ids.n > room ? ids.n - room : 0;
    *c = (lac_continuation){.prompt = ids.id + cut, .n_prompt = ids.n - cut, .out = out};
    return LAC_OK;
}

static lac_status finished(void *data, size_t i, lac_err *err)
{
    group *g = data;
    lac_status status = LAC_OK;
    g->done[i] = true;
    g->n_done++;
    for (; !status && g->given < g->n && g->done[g->given]; g->given++) {
        const lac_continuation *c = &g->items[g->given];
        char *text = lac_decode(g->model->tokenizer, c->out, c->n_out, true, &g->scratch, err);
        status = text ? g->opts->said(g->opts->data, g->first + g->given, text, c->stopped, err) : err->code;
        lac_arena_reset(&g->scratch);
    }
    if (g->opts->progress)
        lac_progress_set(g->opts->progress, (double)(g->opts->before + g->first + g->n_done), NULL);
    return status;
}

static lac_status say_group(group *g, lac_run *run, lac_err *err)
{
    int stops[2] = {g->model->config.eos, lac_tokenizer_eos(g->model->tokenizer)};
    lac_many_opts many = {
        .max_new = (size_t)g->opts->max_new, .stops = stops, .n_stops = 2, .finished = finished, .data = g};
    g->n_done = g->given = 0;
    memset(g->done, 0, sizeof g->done);
    lac_status status = LAC_OK;
    for (size_t i = 0; i < g->n && !status; i++) status = encode(&g->items[i], g->first + i, g, err);
    if (!status) status = lac_generate_many(g->items, g->n, run, g->model, &many, err);
    lac_arena_reset(&g->arena);
    return status;
}

lac_status lac_say(const char *const *prompts, size_t n, lac_run *run, const lac_model *model, const lac_say_opts *opts,
                   lac_err *err)
{
    if (!model->tokenizer)
        return lac_fail(err, LAC_ERR_DATA, "%s has no tokenizer: put its tokenizer.json there",
                        model->path ? model->path : "the model");
    if (opts->max_new < 1 || opts->max_new >= model->config.context)
        return lac_fail(err, LAC_ERR_USAGE, "--max-new %d must be at least 1 and below the model's context of %d",
                        opts->max_new, model->config.context);
    lac_arena own = {0};
    group *g = LAC_NEW(&own, group, 1, err);
    if (!g) return LAC_ERR_MEMORY;
    *g = (group){.opts = opts, .model = model, .prompts = prompts};
    lac_status status = LAC_OK;
    for (; g->first < n && !status; g->first += g->n) {
        g->n = n - g->first < GROUP ? n - g->first : GROUP;
        if (g->first + g->n > opts->n_known) status = say_group(g, run, err);
    }
    lac_arena_release(&g->arena);
    lac_arena_release(&g->scratch);
    lac_arena_release(&own);
    return status;
}
