#include "score/generate_batch.h"

#include <string.h>

#include "model/generate.h"
#include "text/continuation.h"

enum { GROUP = 128 };

typedef struct {
    const dele_generate_batch_opts *opts;
    const dele_model *model;
    const char *const *prompts;
    dele_continuation items[GROUP];
    bool done[GROUP];
    size_t n_cut;                   /* prompts whose beginning was truncated */
    size_t first, n, n_done, given; /* given: items of the group reported so far */
    dele_arena arena, scratch;
} group;

static dele_status encode_prompt(dele_continuation *c, size_t i, group *g, dele_err *err)
{
    size_t max_new = (size_t)g->opts->max_new,
           room = (size_t)dele_longest(&g->model->config) - max_new;
    dele_ids ids = {0};
    int *out = DELE_NEW(&g->arena, int, max_new, err);
    if (g->opts->encoded)
        ids = g->opts->encoded[i];
    else if (dele_encode_prompt(&ids, g->model->tokenizer, g->opts->chat, g->prompts[i], &g->arena,
                                err))
        return err->code;
    if (!out) return DELE_ERR_MEMORY;
    if (!ids.n) return dele_fail(err, DELE_ERR_DATA, "a prompt is empty: nothing can follow it");
    size_t cut = ids.n > room ? ids.n - room : 0;
    g->n_cut += cut > 0;
    *c = (dele_continuation){.prompt = ids.id + cut, .n_prompt = ids.n - cut, .out = out};
    return DELE_OK;
}

/* A continuation of the group is complete.  Texts are reported in the order of the prompts, not in
 * the order in which they end: a line of items.jsonl is written only when all lines before it are,
 * so that an interrupted run leaves a beginning. */
static dele_status finished(void *data, size_t i, dele_err *err)
{
    group *g = data;
    dele_status status = DELE_OK;
    g->done[i] = true;
    g->n_done++;
    for (; !status && g->given < g->n && g->done[g->given]; g->given++) {
        const dele_continuation *c = &g->items[g->given];
        char *text = dele_decode_continuation(g->model->tokenizer, c->prompt, c->n_prompt, c->out,
                                              c->n_out, true, &g->scratch, err);
        status = text
                     ? g->opts->on_output(g->opts->data, g->first + g->given, text, c->stopped, err)
                     : err->code;
        dele_arena_reset(&g->scratch);
    }
    if (g->opts->progress)
        dele_progress_set(g->opts->progress, (double)(g->opts->before + g->first + g->n_done),
                          NULL);
    return status;
}

static dele_status say_group(group *g, dele_run *run, dele_err *err)
{
    const dele_ends ends = dele_ends_of(g->model, g->opts->chat);
    dele_many_opts many = {.max_new = (size_t)g->opts->max_new,
                           .stops = ends.id,
                           .n_stops = ends.n,
                           .router = g->opts->router,
                           .finished = finished,
                           .data = g};
    g->n_done = g->given = 0;
    memset(g->done, 0, sizeof g->done);
    dele_status status = DELE_OK;
    for (size_t i = 0; i < g->n && !status; i++)
        status = encode_prompt(&g->items[i], g->first + i, g, err);
    if (!status) status = dele_generate_many(g->items, g->n, run, g->model, &many, err);
    dele_arena_reset(&g->arena);
    return status;
}

dele_status dele_generate_batch(const char *const *prompts, size_t n, dele_run *run,
                                const dele_model *model, const dele_generate_batch_opts *opts,
                                dele_err *err)
{
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s has no tokenizer: put its tokenizer.json there",
                         model->path ? model->path : "the model");
    if (opts->max_new < 1 || opts->max_new >= dele_longest(&model->config))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--max-new %d must be at least 1 and below the model's context of %d",
                         opts->max_new, dele_longest(&model->config));
    dele_arena own = {0};
    group *g = DELE_NEW(&own, group, 1, err);
    if (!g) return DELE_ERR_MEMORY;
    *g = (group){.opts = opts, .model = model, .prompts = prompts};
    dele_status status = DELE_OK;
    for (; g->first < n && !status; g->first += g->n) {
        g->n = n - g->first < GROUP ? n - g->first : GROUP;
        if (g->first + g->n > opts->n_known) status = say_group(g, run, err);
    }
    if (!status && g->n_cut)
        dele_remark("%zu of %zu prompts are longer than the model's context of %d tokens less %d "
                    "new ones and lose their "
                    "beginning",
                    g->n_cut, n, dele_longest(&model->config), opts->max_new);
    dele_arena_release(&g->arena);
    dele_arena_release(&g->scratch);
    dele_arena_release(&own);
    return status;
}
