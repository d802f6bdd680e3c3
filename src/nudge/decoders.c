#include "nudge/decoders.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "nudge/ensemble.h"
#include "nudge/nudge.h"
#include "nudge/prompt.h"
#include "nudge/proxy_tuning.h"

const char *const dele_decoder_name[] = {"none", "nudge", "ensemble", "proxy", NULL};

enum { BASE, WITH, UNTUNED, N_MODELS, WINDOW = 16 };

/* A decoder's data. */
typedef struct {
    dele_decoder_options o;
    const dele_model *model[N_MODELS];
    const dele_layout *layout[N_MODELS];
    dele_joint joint;  /* ensemble, proxy */
    dele_nudge *nudge; /* nudge: opened for a length */
    int max_new;
    int written[2];   /* nudge: tokens of the last answer by nudger and base */
    size_t tokens[2]; /* of all answers so far */
} opened;

dele_status dele_decoder_check(const dele_decoder_options *o, dele_err *err)
{
    static const dele_decoder_options usual = DELE_DECODER_DEFAULTS;
    const bool others = o->kind != DELE_DECODER_NONE, proxy = o->kind == DELE_DECODER_PROXY;
    const char *unused = NULL;
    if (o->with && !others) unused = "with";
    if (o->untuned && !proxy) unused = "proxy-base";
    if (o->chat != usual.chat && !others) unused = "with-chat";
    if (strcmp(o->system, usual.system) && !others) unused = "system";
    if (o->gamma != usual.gamma && o->kind != DELE_DECODER_NUDGE) unused = "gamma";
    if (unused)
        return dele_fail(err, DELE_ERR_USAGE, "--%s: --decoder %s does not use it", unused,
                         dele_decoder_name[o->kind]);
    if (others && !o->with)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--decoder %s needs --with MODEL: the model that writes beside this one",
                         dele_decoder_name[o->kind]);
    if (proxy && !o->untuned)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--decoder proxy needs --proxy-base MODEL: %s before it was tuned",
                         o->with);
    if (!isfinite(o->gamma))
        return dele_fail(err, DELE_ERR_USAGE, "--gamma %g: give a number", o->gamma);
    return DELE_OK;
}

/* ---- prompts --------------------------------------------------------------------------------- */

static dele_status prompts_of(dele_nudge_prompt *to, const opened *d, int n,
                              const dele_decoder_prompt *asked, dele_arena *arena, dele_err *err)
{
    for (int i = 0; i < n; i++) {
        const dele_status status =
            asked->question
                ? dele_nudge_prompt_of(&to[i], d->layout[i], d->o.system, DELE_SYSTEM_AUTO,
                                       DELE_NUDGE_PREFIX, asked->question, arena, err)
                : dele_nudge_prompt_as_is(&to[i], d->layout[i], asked->prompt, arena, err);
        if (status) return status;
    }
    return DELE_OK;
}

/* ---- the three ------------------------------------------------------------------------------- */

/* Opened once for a length, which a suite does not change. */
static dele_status nudge_of(opened *d, int max_new, dele_err *err)
{
    if (d->nudge && d->max_new == max_new) return DELE_OK;
    dele_nudge_opts o = DELE_NUDGE_DEFAULTS;
    o.gamma = d->o.gamma, o.max_new = max_new, o.unscored = true;
    dele_nudge_close(d->nudge);
    d->max_new = max_new;
    d->nudge =
        dele_nudge_open(d->model[BASE], d->model[WITH], d->layout[BASE], d->layout[WITH], &o, err);
    return d->nudge ? DELE_OK : err->code;
}

static dele_status nudge_check(void *data, const dele_decoder_prompt *asked, int max_new,
                               dele_err *err)
{
    opened *d = data;
    dele_arena arena = {0};
    dele_nudge_prompt prompt[2];
    if (!nudge_of(d, max_new, err) && !prompts_of(prompt, d, 2, asked, &arena, err))
        dele_nudge_check(d->nudge, &prompt[BASE], &prompt[WITH], err);
    dele_arena_release(&arena);
    return err->code;
}

/* Room for a window of the ensemble, for one token of proxy tuning. */
static dele_status joint_check(void *data, const dele_decoder_prompt *asked, int max_new,
                               dele_err *err)
{
    opened *d = data;
    const size_t room = d->o.kind == DELE_DECODER_ENSEMBLE ? WINDOW : 1;
    dele_arena arena = {0};
    dele_nudge_prompt prompt[N_MODELS];
    (void)max_new;
    prompts_of(prompt, d, d->joint.n_models, asked, &arena, err);
    for (int i = 0; i < d->joint.n_models && !err->code; i++)
        dele_nudge_prompt_fits(&prompt[i], &d->joint.model[i], room, err);
    dele_arena_release(&arena);
    return err->code;
}

static dele_status nudge_generate(void *data, char **text, bool *ended,
                                  const dele_decoder_prompt *asked, int max_new, dele_arena *arena,
                                  dele_err *err)
{
    opened *d = data;
    dele_nudge_prompt prompt[2];
    dele_nudge_result result;
    if (nudge_of(d, max_new, err) || prompts_of(prompt, d, 2, asked, arena, err) ||
        dele_nudge_generate(&result, d->nudge, &prompt[BASE], &prompt[WITH], arena, err))
        return err->code;
    for (int i = 0; i < 2; i++) d->written[i] = (int)result.written[i];
    *ended = result.stop == DELE_NUDGE_ENDED;
    *text = dele_strdup(arena, result.text, err);
    return *text ? DELE_OK : DELE_ERR_MEMORY;
}

static void nudge_line(void *data, dele_items_line *line)
{
    opened *d = data;
    dele_line_whole(line, "nudger_tokens", &d->written[DELE_NUDGE_NUDGER], 0, INT_MAX);
    dele_line_whole(line, "base_tokens", &d->written[DELE_NUDGE_BASE], 0, INT_MAX);
}

static void nudge_count(void *data)
{
    opened *d = data;
    for (int i = 0; i < 2; i++) d->tokens[i] += (size_t)d->written[i];
}

static dele_status ensemble_generate(void *data, char **text, bool *ended,
                                     const dele_decoder_prompt *asked, int max_new,
                                     dele_arena *arena, dele_err *err)
{
    opened *d = data;
    dele_nudge_prompt prompt[2];
    const dele_status status = prompts_of(prompt, d, 2, asked, arena, err);
    return status ? status
                  : dele_ensemble_generate(text, ended, &d->joint, prompt, WINDOW, max_new, arena,
                                           err);
}

static dele_status proxy_generate(void *data, char **text, bool *ended,
                                  const dele_decoder_prompt *asked, int max_new, dele_arena *arena,
                                  dele_err *err)
{
    opened *d = data;
    dele_nudge_prompt prompt[N_MODELS];
    const dele_status status = prompts_of(prompt, d, N_MODELS, asked, arena, err);
    return status ? status
                  : dele_proxy_generate(text, ended, &d->joint, prompt, max_new, arena, err);
}

static dele_status joint_logp(void *data, double *logp, bool *greedy, const int *id, int n,
                              int n_scored, dele_err *err)
{
    opened *d = data;
    return dele_joint_logp(logp, greedy, &d->joint, id, (size_t)n, (size_t)n_scored, err);
}

static void joint_forget(void *data)
{
    opened *d = data;
    dele_joint_forget(&d->joint);
}

static void put_settings(void *data, cJSON *json)
{
    const opened *d = data;
    cJSON_AddStringToObject(json, "decoder", dele_decoder_name[d->o.kind]);
    cJSON_AddStringToObject(json, "with", d->o.with);
    if (d->o.untuned) cJSON_AddStringToObject(json, "proxy_base", d->o.untuned);
    cJSON_AddStringToObject(json, "with_chat",
                            d->layout[WITH] ? dele_chat_name[d->o.chat] : "none");
    cJSON_AddStringToObject(json, "system", d->o.system);
    if (d->o.kind != DELE_DECODER_NUDGE) return;
    const size_t all = d->tokens[DELE_NUDGE_NUDGER] + d->tokens[DELE_NUDGE_BASE];
    cJSON_AddNumberToObject(json, "gamma", d->o.gamma);
    if (all)
        cJSON_AddNumberToObject(json, "nudging_tokens",
                                (double)d->tokens[DELE_NUDGE_NUDGER] / (double)all);
}

/* ---- opening --------------------------------------------------------------------------------- */

static dele_status open_kind(dele_decoder *decoder, opened *d, dele_err *err)
{
    switch (d->o.kind) {
    case DELE_DECODER_NONE:
        break;
    case DELE_DECODER_NUDGE:
        decoder->check = nudge_check;
        decoder->generate = nudge_generate;
        decoder->line = nudge_line;
        decoder->count = nudge_count;
        break;
    case DELE_DECODER_ENSEMBLE:
        decoder->check = joint_check;
        decoder->generate = ensemble_generate;
        if (dele_ensemble_init(&d->joint, d->model, d->layout, err)) return err->code;
        break;
    case DELE_DECODER_PROXY:
        decoder->check = joint_check;
        decoder->generate = proxy_generate;
        if (dele_proxy_init(&d->joint, d->model, d->layout, err)) return err->code;
        break;
    }
    if (d->joint.one_vocabulary) decoder->logp = joint_logp;
    return DELE_OK;
}

dele_status dele_decoder_open(dele_decoder *decoder, const dele_decoder_options *o,
                              const dele_model *base, const dele_model *with,
                              const dele_model *untuned, dele_chat base_chat, dele_arena *arena,
                              dele_err *err)
{
    opened *d = DELE_NEW(arena, opened, 1, err);
    *decoder = (dele_decoder){0};
    if (!d) return DELE_ERR_MEMORY;
    *d = (opened){.o = *o, .model = {base, with, untuned}};
    *decoder = (dele_decoder){.name = dele_decoder_name[o->kind],
                              .data = d,
                              .forget = joint_forget,
                              .json = put_settings};
    for (int i = 0; i < N_MODELS; i++)
        if (d->model[i] && !d->model[i]->tokenizer)
            return dele_fail(err, DELE_ERR_DATA,
                             "%s has no tokenizer: put its tokenizer.json there",
                             d->model[i]->path);
    if (dele_chat_open(&d->layout[BASE], base_chat, base->tokenizer, arena, err) ||
        dele_nudge_layout(&d->layout[WITH], o->chat, with->tokenizer, arena, err))
        return err->code;
    return open_kind(decoder, d, err);
}

void dele_decoder_close(dele_decoder *decoder)
{
    opened *d = decoder->data;
    if (!d) return;
    dele_nudge_close(d->nudge);
    dele_joint_release(&d->joint);
    *decoder = (dele_decoder){0};
}
