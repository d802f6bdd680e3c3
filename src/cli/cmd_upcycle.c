/* deleatur upcycle -- a dense model as a mixture of experts, to be trained.
 *
 *   reads    a dense model whose block a mixture of transformers has (model/upcycle.h); --adapter:
 *            with stored adapters merged into it
 *   writes   DIR: a Hugging Face directory; every expert is a copy of the layer's MLP, routers are
 *            random; deleatur/manifest.json in it
 *   next     deleatur finetune with --router-aux, deleatur routing */
#include "cli/cmd.h"

#include <stdio.h>

#include "adapter/adapter.h"
#include "base/file_out.h"
#include "base/json_out.h"
#include "base/text_out.h"
#include "model/upcycle.h"
#include "option/result.h"

typedef struct {
    const char *out;
    dele_adapter_options adapters;
    dele_upcycle_options how;
    dele_save_options save;
} upcycle_settings;

static dele_status note_mixture(const dele_outdir *dir, const char *path, const upcycle_settings *s,
                                const dele_usage *usage, int argc, char **argv, dele_err *err)
{
    dele_manifest manifest;
    dele_manifest_begin(&manifest, usage, argc, argv);
    dele_status status = dele_manifest_input(&manifest, path, err);
    if (!status) status = dele_adapters_note(&manifest, &s->adapters, err);
    if (!status) status = dele_manifest_in_checkpoint(&manifest, dir, err);
    dele_manifest_release(&manifest);
    return status;
}

static dele_status show_json(const dele_model *dense, const dele_model *m,
                             const upcycle_settings *s, dele_err *err)
{
    const dele_config *c = &m->config;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "out", s->out);
    cJSON_AddStringToObject(json, "family", c->family->hf);
    cJSON_AddNumberToObject(json, "experts", c->n_experts);
    cJSON_AddNumberToObject(json, "top_k", c->top_k);
    cJSON_AddItemToObject(json, "noise", dele_json_number(s->how.noise));
    cJSON_AddNumberToObject(json, "parameters", (double)dele_model_parameters(m));
    cJSON_AddNumberToObject(json, "parameters_active", (double)dele_model_active(m));
    cJSON_AddNumberToObject(json, "parameters_dense", (double)dele_model_parameters(dense));
    dele_json_show(json, err);
    cJSON_Delete(json);
    return err->code;
}

static void show(const dele_model *dense, const dele_model *m, const upcycle_settings *s)
{
    const dele_config *c = &m->config;
    dele_text_line(stdout,
                   "%s: upcycled to %s: %d experts a layer, %d a token, %s; %zu parameters of "
                   "%zu, %zu for a token",
                   s->out, c->family->hf, c->n_experts, c->top_k,
                   s->how.noise > 0 ? "with noise" : "copies of the MLP", dele_model_parameters(m),
                   dele_model_parameters(dense), dele_model_active(m));
}

/* The directory is opened before the model is read, so that an --out that is there already is
 * refused at once. */
static dele_status upcycle(const char *path, const upcycle_settings *s, const dele_usage *usage,
                           const dele_common *common, int argc, char **argv, dele_arena *arena,
                           dele_err *err)
{
    if (!s->out) return dele_fail(err, DELE_ERR_USAGE, "upcycle: --out DIR is needed");
    if (dele_upcycle_check(&s->how, err) || dele_save_options_check(&s->save, err))
        return err->code;
    dele_model dense = {0}, mixture;
    dele_outdir dir = {0};
    dele_status status = dele_outdir_open(&dir, s->out, err);
    if (!status) status = dele_adapters_load(&dense, path, &s->adapters, 0, SIZE_MAX, arena, err);
    if (!status) status = dele_upcycle(&mixture, &dense, &s->how, arena, err);
    if (!status) status = dele_model_save_as(&mixture, dir.part, &s->save, err);
    if (!status) status = note_mixture(&dir, path, s, usage, argc, argv, err);
    if (!status) status = dele_outdir_commit(&dir, err);
    if (!status && common->json)
        status = show_json(&dense, &mixture, s, err);
    else if (!status)
        show(&dense, &mixture, s);
    else
        dele_outdir_abandon(&dir);
    dele_model_release(&dense);
    return status;
}

int cmd_upcycle(int argc, char **argv)
{
    upcycle_settings s = {.adapters = {DELE_ADAPTER_DEFAULTS},
                          .how = {DELE_UPCYCLE_DEFAULTS},
                          .save = {DELE_SAVE_DEFAULTS}};
    const char *path = NULL;
    const dele_option options[] = {
        DELE_GROUP("mixture"),
        DELE_OPT("experts", &s.how.experts, "experts in each layer, each a copy of its MLP"),
        DELE_OPT("top-k", &s.how.top_k, "experts that each token is routed to"),
        DELE_OPT("router-std", &s.how.router_std, "standard deviation of the new routers' weights"),
        DELE_OPT("noise", &s.how.noise,
                 "relative noise on the experts' weights: each is multiplied by 1 + NOISE N(0, 1); "
                 "0: they are copies, and the mixture computes what the dense model does"),
        DELE_OPT("seed", &s.how.seed, "seed of the routers and of the noise"),
        DELE_ADAPTER_OPTIONS(s.adapters),
        DELE_GROUP("result"),
        DELE_OPT("out", &s.out, "directory for the result"),
        DELE_OPT("dtype", &s.save.dtype,
                 "data type of the weights: keep (each tensor's own; f32 for types of blocks), "
                 "f32, bf16 or f16"),
        DELE_SHARD_OPTION(s.save.shard_size),
        {0},
    };
    const dele_usage usage = {.command = "upcycle",
                              .summary = "make a mixture of experts from a dense model",
                              .synopsis = "MODEL --experts 8 --top-k 2 --out DIR",
                              .example = "deleatur upcycle model --experts 4 --top-k 2 --out moe",
                              .options = options,
                              .positional = &path,
                              .n_positional = 1};
    dele_common common = {0};
    dele_arena arena = {0};
    dele_err err = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help)
        upcycle(path, &s, &usage, &common, argc, argv, &arena, &err);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
