#include "unlearn/job_options.h"

#include <string.h>

#include "base/file.h"

/* Tensors are selected in one way: by layers and parts, by patterns of names, or by a file. */
static dele_status resolve_tensors(dele_job *job, dele_err *err)
{
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
    if (!(job->train.save_every >= 0))
        return dele_fail(err, DELE_ERR_USAGE, "--save-every %g: give a number of at least 0",
                         job->train.save_every);
    job->train.batch_tokens = (size_t)job->batch_tokens;
    return resolve_tensors(job, err);
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

dele_status dele_job_mask(dele_mask *mask, const dele_job *job, const dele_model *model,
                          dele_arena *arena, dele_err *err)
{
    if (job->tensors) return dele_mask_match(mask, model, job->tensors, arena, err);
    const dele_status status =
        job->mask_file ? dele_mask_load(mask, model, job->mask_file, arena, err)
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
