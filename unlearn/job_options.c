#include "unlearn/job_options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* Experts take the place of layers; parts may stand beside them. */
static dele_status resolve_experts(dele_job *job, dele_err *err)
{
    const bool layers = job->layers != job->usual_layers;
    if (layers || job->tensors || job->mask_file)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--experts and --%s both select what is trained; give one of them",
                         layers         ? "layers"
                         : job->tensors ? "tensors"
                                        : "mask");
    job->layers = NULL; /* null in the manifest, as not in force */
    if (job->parts == job->usual_parts) job->parts = NULL;
    return DELE_OK;
}

/* Tensors are selected in one way: by layers and parts, by experts, by patterns of names, or by a
 * file. */
static dele_status resolve_tensors(dele_job *job, dele_err *err)
{
    if (job->experts) return resolve_experts(job, err);
    if (!job->tensors) return DELE_OK;
    const bool layers = job->layers != job->usual_layers, parts = job->parts != job->usual_parts;
    if (layers || parts || job->mask_file)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--tensors and --%s both select what is trained; give one of them",
                         layers  ? "layers"
                         : parts ? "parts"
                                 : "mask");
    job->layers = job->parts = NULL; /* null in the manifest, as not in force */
    return DELE_OK;
}

/* The weight of a balancing loss: a number, or the word model, which only the model's config makes
 * one. */
static dele_status parse_aux(double *coefficient, const char *option, const char *text,
                             dele_err *err)
{
    char *end = NULL;
    if (!text || !strcmp(text, "model")) return DELE_OK;
    *coefficient = strtod(text, &end);
    if (end != text && !*end && *coefficient >= 0 && isfinite(*coefficient)) return DELE_OK;
    return dele_fail(err, DELE_ERR_USAGE, "%s \"%.40s\": give a number of at least 0, or model",
                     option, text);
}

static dele_status resolve_router_terms(dele_job *job, dele_err *err)
{
    double *c = job->train.router.coefficient;
    if (parse_aux(&c[DELE_TERM_BALANCE], "--router-aux", job->router_aux, err) ||
        parse_aux(&c[DELE_TERM_ADAPTER], "--adapter-aux", job->adapter_aux, err))
        return err->code;
    if (job->train.router.over != DELE_BALANCE_CONCATENATED && !job->router_aux &&
        !job->adapter_aux && job->perft.compat == DELE_PERFT_PAPER)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--router-aux-over is about --router-aux and --adapter-aux, and neither "
                         "is given");
    if (!(c[DELE_TERM_Z] >= 0) || !isfinite(c[DELE_TERM_Z]))
        return dele_fail(err, DELE_ERR_USAGE, "--router-z %g: give a number of at least 0",
                         c[DELE_TERM_Z]);
    if (!(c[DELE_TERM_ANCHOR] >= 0) || !isfinite(c[DELE_TERM_ANCHOR]))
        return dele_fail(err, DELE_ERR_USAGE, "--anchor %g: give a number of at least 0",
                         c[DELE_TERM_ANCHOR]);
    if (!job->experts && (c[DELE_TERM_ANCHOR] > 0 || job->retain_reweight))
        return dele_fail(err, DELE_ERR_USAGE, "--%s is about the experts of --experts; give them",
                         job->retain_reweight ? "retain-reweight" : "anchor");
    if (job->train.router_projection < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--router-projection %d: give at least 0",
                         job->train.router_projection);
    if (job->train.router_projection && job->lora)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--router-projection projects the routers' own steps; with --lora there "
                         "are none");
    return DELE_OK;
}

/* --adapter-type selects what is trained, and its result is no checkpoint. */
static dele_status resolve_adapters(const dele_job *job, dele_err *err)
{
    if (dele_perft_options_check(&job->perft, err)) return err->code;
    if (job->perft.variant == DELE_PERFT_NONE) return DELE_OK;
    const char *other = job->lora                              ? "lora"
                        : job->tensors                         ? "tensors"
                        : job->mask_file                       ? "mask"
                        : job->experts                         ? "experts"
                        : job->layers != job->usual_layers     ? "layers"
                        : job->parts != job->usual_parts       ? "parts"
                        : strcmp(job->save.dtype, "keep") != 0 ? "dtype"
                                                               : NULL;
    if (!other) return DELE_OK;
    return dele_fail(err, DELE_ERR_USAGE,
                     "--%s: with --adapter-type the adapters alone are trained and saved, in "
                     "every layer with experts",
                     other);
}

/* Everything that can be wrong before a file is read.  That --out is free is checked here too, so
 * that nothing is loaded in vain; the directory is opened when the job runs. */
dele_status dele_job_resolve(dele_job *job, dele_err *err)
{
    if (!job->out)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--out DIR is missing: the directory for the new checkpoint");
    if (dele_path_exists(job->out)) /* checked before anything is read */
        return dele_fail(err, DELE_ERR_FILE,
                         "%s exists already; remove it, or choose another --out", job->out);
    if (job->batch_tokens < 1)
        return dele_fail(err, DELE_ERR_USAGE, "--batch-tokens %d: give at least 1",
                         job->batch_tokens);
    if (job->max_length < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--max-length %d: give at least 0", job->max_length);
    if (job->limit < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--limit %d: give at least 0", job->limit);
    if (job->memory < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--memory %d: give MiB, at least 0", job->memory);
    if (dele_save_options_check(&job->save, err)) return err->code;
    if (job->lora < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--lora %d: give a rank of at least 1", job->lora);
    if (!job->lora && (job->lora_alpha != 0 || job->lora_keep))
        return dele_fail(err, DELE_ERR_USAGE, "--lora-%s needs --lora RANK",
                         job->lora_keep ? "keep" : "alpha");
    if (job->lora_keep && job->adapters.list)
        return dele_fail(
            err, DELE_ERR_USAGE,
            "--lora-keep: the new adapters would belong to MODEL with --adapter merged "
            "into it, which no file holds; merge it with deleatur convert first");
    if (resolve_adapters(job, err)) return err->code;
    if (!(job->train.save_every >= 0))
        return dele_fail(err, DELE_ERR_USAGE, "--save-every %g: give a number of at least 0",
                         job->train.save_every);
    job->train.batch_tokens = (size_t)job->batch_tokens;
    if (resolve_router_terms(job, err)) return err->code;
    return resolve_tensors(job, err);
}

/* ---- a mixture of experts -------------------------------------------------------------------- */

/* "auto" or "auto:M": the number of experts to choose; 0: the text is a list. */
static dele_status automatic(size_t *choose, const char *text, dele_err *err)
{
    char *end;
    *choose = 0;
    if (strncmp(text, "auto", 4) != 0) return DELE_OK;
    *choose = 1;
    if (!text[4]) return DELE_OK;
    const bool digit = text[4] == ':' && text[5] >= '1' && text[5] <= '9';
    *choose = digit ? strtoul(text + 5, &end, 10) : 0;
    if (!digit || *end)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--experts \"%.60s\" should read like auto, auto:3 or 3:17,5:2", text);
    return DELE_OK;
}

/* A weight that is the config's, because the option says model, or because it is absent and the
 * adapters are as released: their training had it. */
static dele_status aux_of_model(double *coefficient, const char *option, const char *text,
                                const dele_config *c, dele_err *err)
{
    const bool asked = text && !strcmp(text, "model");
    if (asked && !(c->router_aux_coef > 0))
        return dele_fail(err, DELE_ERR_USAGE,
                         "%s model: the config's router_aux_loss_coef is %g; give a number", option,
                         (double)c->router_aux_coef);
    if (asked || (!text && c->perft.compat)) *coefficient = (double)c->router_aux_coef;
    return DELE_OK;
}

static dele_status balance_of_model(dele_job *job, const dele_config *c, dele_err *err)
{
    double *of = job->train.router.coefficient;
    if (aux_of_model(&of[DELE_TERM_BALANCE], "--router-aux", job->router_aux, c, err))
        return err->code;
    if (dele_perft_routes(c))
        return aux_of_model(&of[DELE_TERM_ADAPTER], "--adapter-aux", job->adapter_aux, c, err);
    if (!job->adapter_aux) return DELE_OK;
    return dele_fail(err, DELE_ERR_USAGE,
                     "--adapter-aux is about the router that adapters of perft-r have: give "
                     "--adapter-type perft-r, or --adapter DIR with such");
}

dele_status dele_job_experts(dele_job *job, const dele_model *model, const dele_dataset *set,
                             dele_arena *arena, dele_err *err)
{
    const dele_config *c = &model->config;
    dele_router_options *router = &job->train.router;
    const char *about = job->experts                                ? "--experts"
                        : job->router_aux                           ? "--router-aux"
                        : job->adapter_aux                          ? "--adapter-aux"
                        : router->over != DELE_BALANCE_CONCATENATED ? "--router-aux-over"
                        : router->coefficient[DELE_TERM_Z] != 0     ? "--router-z"
                        : job->train.router_projection              ? "--router-projection"
                                                                    : NULL;
    size_t choose = 0;
    if ((about && dele_config_has_experts(c, about, err)) || balance_of_model(job, c, err))
        return err->code;
    if (!job->experts) return DELE_OK;
    if (automatic(&choose, job->experts, err)) return err->code;
    if (choose ? dele_affinity_measure(&job->affinity, model, set, choose, job->train.batch_tokens,
                                       arena, err)
               : dele_expert_list_parse(&job->listed, c, job->experts, "--experts", arena, err))
        return err->code;
    if (choose) job->listed = job->affinity.chosen;
    router->targets = job->listed;
    return DELE_OK;
}

/* Layers and modules are selected for what adapters can be in: their biases stay frozen, as with
 * PEFT's bias "none".  A module with a bias has a matrix, so the lowest trained layer is the same;
 * a mask file may list biases alone, of which nothing is left. */
static dele_status leave_biases(dele_mask *mask, const dele_model *model, dele_err *err)
{
    for (size_t i = 0; i < model->n_tensors; i++) {
        const dele_tensor *t = &model->tensors[i];
        const bool bias = t->vector && (t->part == DELE_PART_ATTN || t->part == DELE_PART_MLP);
        if (!bias || !mask->trains[i]) continue;
        mask->trains[i] = false;
        mask->n_trained--;
        mask->n_parameters -= t->cols;
    }
    return mask->n_trained ? DELE_OK
                           : dele_fail(err, DELE_ERR_USAGE,
                                       "--lora: the mask selects biases alone, which can have no "
                                       "adapters");
}

dele_status dele_job_attach(const dele_job *job, dele_model *model, dele_arena *arena,
                            dele_err *err)
{
    dele_perft perft;
    if (job->perft.variant == DELE_PERFT_NONE) return DELE_OK;
    if (dele_perft_of(&perft, &job->perft, &model->config, err) ||
        dele_model_attach(model, &perft, arena, err))
        return err->code;
    dele_perft_begin(model, job->train.seed);
    return DELE_OK;
}

/* What of a model with adapters is trained: they alone. */
static dele_status adapters_mask(dele_mask *mask, const dele_job *job, const dele_model *model,
                                 dele_arena *arena, dele_err *err)
{
    if (job->lora || job->tensors || job->mask_file || job->experts)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--%s: the model has adapters of %s, which alone are trained",
                         job->lora        ? "lora"
                         : job->tensors   ? "tensors"
                         : job->mask_file ? "mask"
                                          : "experts",
                         dele_perft_name[model->config.perft.variant]);
    if (model->config.perft.scale != 1)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--adapter-scale, --adapter: adapters of %s that train further have scale "
                         "and weight 1",
                         dele_perft_name[model->config.perft.variant]);
    return dele_mask_parse(mask, model, "all", dele_part_name[DELE_PART_ADAPTER], arena, err);
}

dele_status dele_job_mask(dele_mask *mask, const dele_job *job, const dele_model *model,
                          dele_arena *arena, dele_err *err)
{
    if (model->config.perft.variant) return adapters_mask(mask, job, model, arena, err);
    if (job->tensors) return dele_mask_match(mask, model, job->tensors, arena, err);
    const dele_status status =
        job->experts     ? dele_mask_experts(mask, model, &job->listed, job->parts, arena, err)
        : job->mask_file ? dele_mask_load(mask, model, job->mask_file, arena, err)
                         : dele_mask_parse(mask, model, job->layers, job->parts, arena, err);
    return status || !job->lora ? status : leave_biases(mask, model, err);
}

dele_status dele_job_dataset_options(dele_dataset_options *o, const dele_job *job,
                                     const dele_model *model, dele_arena *arena, dele_err *err)
{
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s holds no tokenizer; put the model's tokenizer.json beside its weights",
                         job->model);
    if (job->max_length > dele_longest(&model->config))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--max-length %d is more than the model's context of %d tokens",
                         job->max_length, dele_longest(&model->config));
    *o = (dele_dataset_options){
        .eos = job->eos,
        .max_tokens = (size_t)(job->max_length ? job->max_length : dele_longest(&model->config))};
    return dele_chat_open(&o->chat, job->chat, model->tokenizer, arena, err);
}
