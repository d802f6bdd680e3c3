#include "unlearn/job.h"

#include <errno.h>
#include <math.h>
#include <omp.h>
#include <string.h>
#include <unistd.h>

#include "plots/gnuplot.h"
#include "unlearn/memory.h"

#define STATE "lacuna/state"

lac_status lac_job_resolve(lac_job *job, lac_err *err)
{
    if (!job->out) return lac_fail(err, LAC_ERR_USAGE, "--out DIR is missing: where shall the new checkpoint go?");
    if (lac_path_exists(job->out)) /* said before anything is read; the directory is opened late */
        return lac_fail(err, LAC_ERR_FILE, "%s exists already; remove it, or choose another place for the result",
                        job->out);
    if (job->batch_tokens < 1)
        return lac_fail(err, LAC_ERR_USAGE, "--batch-tokens %d: give at least 1", job->batch_tokens);
    if (job->max_length < 0) return lac_fail(err, LAC_ERR_USAGE, "--max-length %d: give at least 0", job->max_length);
    if (job->limit < 0) return lac_fail(err, LAC_ERR_USAGE, "--limit %d: give at least 0", job->limit);
    if (strcmp(job->dtype, "f32") && strcmp(job->dtype, "bf16") && strcmp(job->dtype, "f16"))
        return lac_fail(err, LAC_ERR_USAGE, "--dtype %s is not one of: f32, bf16, f16", job->dtype);
    if (lac_schedule_parse(&job->train.schedule, job->schedule, err)) return err->code;
    job->train.by_sequence = !strcmp(job->weigh, "sequences");
    if (!job->train.by_sequence && strcmp(job->weigh, "tokens"))
        return lac_fail(err, LAC_ERR_USAGE, "--weigh %s is not one of: tokens, sequences", job->weigh);
    if (!(job->train.save_every >= 0))
        return lac_fail(err, LAC_ERR_USAGE, "--save-every %g: give a number of at least 0", job->train.save_every);
    job->train.batch_tokens = (size_t)job->batch_tokens;
    return LAC_OK;
}

lac_status lac_job_mask(lac_mask *mask, const lac_job *job, const lac_model *model, lac_arena *arena, lac_err *err)
{
    return job->mask_file ? lac_mask_load(mask, model, job->mask_file, arena, err)
                          : lac_mask_parse(mask, model, job->layers, job->parts, arena, err);
}

lac_status lac_job_dataset_options(lac_dataset_options *o, const lac_job *job, const lac_model *model, lac_err *err)
{
    if (!model->tokenizer)
        return lac_fail(err, LAC_ERR_DATA, "%s holds no tokenizer; put the model's tokenizer.json beside its weights",
                        job->model);
    if (job->max_length > model->config.context)
        return lac_fail(err, LAC_ERR_USAGE, "--max-length %d is more than the model's context of %d tokens",
                        job->max_length, model->config.context);
    *o = (lac_dataset_options){.eos = job->eos,
                               .max_tokens = (size_t)(job->max_length ? job->max_length : model->config.context)};
    return lac_chat_parse(&o->chat, job->chat, model->tokenizer, err);
}

/* ---- talk ------------------------------------------------------------------------------------------------ */

static void say_set(const char *name, const lac_dataset *set)
{
    fprintf(stderr, "  %-9s %zu rows, %zu tokens, %zu of them labels, longest row %zu", name, set->n, set->tokens,
            set->labels, set->longest);
    if (set->n_cut) fprintf(stderr, "; %zu cut to --max-length", set->n_cut);
    if (set->n_left_out) fprintf(stderr, "; %zu left out, their prompts being longer", set->n_left_out);
    fputc('\n', stderr);
}

static void say_memory(const lac_job *job, const lac_model *model, const lac_mask *mask, const lac_train_report *plan,
                       const lac_dataset *forget, const lac_dataset *retain)
{
    const lac_dataset *alternates = job->train.alternates;
    size_t longest = forget ? forget->longest : 0;
    if (retain && retain->longest > longest) longest = retain->longest;
    if (alternates) longest += alternates->longest;
    const lac_train_memory m = lac_train_memory_of(model, mask, &job->train, longest, plan->tokens_in_all / plan->updates);
    fprintf(stderr, "  memory    about %zu MiB: weights %zu, %d copies of what trains %zu, activations %zu\n", m.total >> 20,
            m.weights >> 20, m.n_copies, m.copies >> 20, m.activations >> 20);
}

static void say_plan(const lac_job *job, const lac_model *model, const lac_mask *mask, const lac_dataset *forget,
                     const lac_dataset *retain)
{
    lac_train_report plan;
    if (lac_train_plan(&plan, forget, retain, &job->train, NULL)) return;
    fprintf(stderr, "plan\n");
    if (forget) say_set("forget", forget);
    if (retain) say_set(forget ? "retain" : "data", retain);
    fprintf(stderr, "  updates   %zu = %d epochs of %zu, %zu rows, about %zu tokens\n", plan.updates, job->train.epochs,
            plan.updates_per_epoch, plan.rows_in_all, plan.tokens_in_all);
    fprintf(stderr, "  training  %zu of %zu tensors, %.2f of %.2f million weights\n", mask->n_trained, model->n_tensors,
            (double)mask->n_parameters / 1e6, (double)lac_model_parameters(model) / 1e6);
    say_memory(job, model, mask, &plan, forget, retain);
}

static void say_result(const lac_common *common, const lac_job *job, const lac_train_report *r, bool two_sides)
{
    if (common->json) {
        cJSON *j = cJSON_CreateObject();
        cJSON_AddStringToObject(j, "out", job->out);
        cJSON_AddNumberToObject(j, "updates", (double)r->done);
        cJSON_AddNumberToObject(j, "rows", (double)r->last.rows);
        cJSON_AddNumberToObject(j, "tokens", (double)r->last.tokens);
        if (two_sides) {
            cJSON_AddItemToObject(j, "forget_first", lac_json_number(r->first.loss[LAC_FORGET]));
            cJSON_AddItemToObject(j, "forget_last", lac_json_number(r->last.loss[LAC_FORGET]));
        }
        cJSON_AddItemToObject(j, two_sides ? "retain_first" : "loss_first", lac_json_number(r->first.loss[LAC_RETAIN]));
        cJSON_AddItemToObject(j, two_sides ? "retain_last" : "loss_last", lac_json_number(r->last.loss[LAC_RETAIN]));
        char *text = cJSON_PrintUnformatted(j);
        if (text) puts(text);
        cJSON_free(text);
        cJSON_Delete(j);
        return;
    }
    printf("updates\t%zu\n", r->done);
    if (two_sides) printf("forget loss\t%.3f to %.3f\n", r->first.loss[LAC_FORGET], r->last.loss[LAC_FORGET]);
    if (r->rows[LAC_RETAIN])
        printf("%s\t%.3f to %.3f\n", two_sides ? "retain loss" : "loss", r->first.loss[LAC_RETAIN],
               r->last.loss[LAC_RETAIN]);
    printf("checkpoint\t%s\n", job->out);
    if (!common->quiet && r->seconds > 0)
        fprintf(stderr, "%zu tokens in %.1f s: %.0f tokens/s\n", r->last.tokens - r->before.tokens, r->seconds,
                (double)(r->last.tokens - r->before.tokens) / r->seconds);
}

/* ---- the result ------------------------------------------------------------------------------------------ */

/* The mask as a list of names: reads back with --mask, for this model or one of its kind. */
static lac_status save_mask(const char *path, const lac_model *model, const lac_mask *mask, lac_err *err)
{
    cJSON *json = cJSON_CreateObject(), *names = cJSON_AddArrayToObject(json, "tensors");
    for (size_t k = 0; k < model->n_tensors; k++)
        if (mask->trains[k]) cJSON_AddItemToArray(names, cJSON_CreateString(model->tensors[k].name));
    lac_status status = lac_json_save(path, json, err);
    cJSON_Delete(json);
    return status;
}

/* What plots/losses.gp draws: the losses (and alpha) of steps.tsv. */
static lac_status save_losses(const lac_outdir *out, bool two_sides, lac_err *err)
{
    lac_arena arena = {0};
    lac_writer table = {0};
    char path[1100];
    snprintf(path, sizeof path, "%s/lacuna/steps.tsv", out->part);
    char *steps = lac_file_read(path, &arena, NULL, err);
    snprintf(path, sizeof path, "%s/lacuna/plots/losses.tsv", out->part);
    if (steps && !lac_writer_open(&table, path, err)) {
        fprintf(table.stream, "# plot losses.gp\n# title %s\n", two_sides ? "unlearning" : "learning");
        char *rest = steps;
        for (char *line; (line = strsep(&rest, "\n")) && *line;) {
            char *field[16] = {0}, *cursor = line;
            for (int k = 0; k < 16 && cursor; k++) field[k] = strsep(&cursor, "\t");
            if (line == steps) continue; /* the names of columns */
            if (two_sides) fprintf(table.stream, "%s\t%s\t%s\t%s\n", field[0], field[6], field[7], field[8]);
            else fprintf(table.stream, "%s\t%s\n", field[0], field[6]);
        }
        lac_writer_commit(&table, err);
    }
    lac_arena_release(&arena);
    return err->code;
}

/* Trouble with the picture is said and borne: a checkpoint without it is still a checkpoint. */
static void draw(const lac_outdir *out, bool two_sides, bool quiet)
{
    char dir[1100];
    lac_err err = {0};
    snprintf(dir, sizeof dir, "%s/lacuna/plots", out->part);
    if (!save_losses(out, two_sides, &err)) lac_plots_draw(dir, NULL, &err);
    if (err.code && !quiet) fprintf(stderr, "lacuna: %s\n", err.msg);
}

/* Whether an earlier run's state is there to go on from.  One that a power cut has damaged is said and dropped: the run
 * begins anew, and ends the same. */
static bool state_stands(const char *path, bool quiet)
{
    lac_tape tape = {0};
    lac_err err = {0};
    if (!lac_path_exists(path)) return false;
    lac_tape_play(&tape, path, &err);
    lac_tape_abandon(&tape);
    if (err.code) unlink(path);
    if (err.code && !quiet) fprintf(stderr, "lacuna: %s; beginning anew\n", err.msg);
    if (!err.code && !quiet) fprintf(stderr, "lacuna: going on from %s\n", path);
    return !err.code;
}

static lac_status train_into(const lac_outdir *out, lac_train_report *report, const lac_job *job,
                             const lac_common *common, lac_model *model, const lac_mask *mask,
                             const lac_dataset *forget, const lac_dataset *retain, const char *what, lac_err *err)
{
    char path[1100], state[1100];
    snprintf(path, sizeof path, "%s/lacuna/steps.tsv", out->part);
    snprintf(state, sizeof state, "%s/" STATE, out->part);
    lac_train_options o = job->train;
    o.state = state;
    FILE *steps = fopen(path, state_stands(state, common->quiet) ? "ae" : "we");
    if (!steps) return lac_fail(err, LAC_ERR_FILE, "cannot write %s: %s", path, strerror(errno));
    lac_progress progress;
    lac_train_report plan;
    if (!lac_train_plan(&plan, forget, retain, &o, err)) {
        lac_progress_begin(&progress, common->quiet ? NULL : stderr, what, "rows", (double)plan.rows_in_all);
        if (!lac_train(report, model, mask, forget, retain, &o, steps, &progress, err)) lac_progress_end(&progress);
    }
    bool bad = ferror(steps);
    if (fclose(steps) || bad) lac_fail(err, LAC_ERR_FILE, "cannot write %s: %s", path, strerror(errno));
    return err->code;
}

static lac_status save_result(const lac_outdir *out, const lac_job *job, lac_manifest *manifest, lac_model *model,
                              const lac_mask *mask, const lac_train_report *report, const lac_err *trouble,
                              lac_err *err)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/lacuna/mask.json", out->part);
    if (lac_model_save(model, out->part, job->dtype, err) || save_mask(path, model, mask, err)) return err->code;
    cJSON *training = cJSON_CreateObject();
    cJSON_AddNumberToObject(training, "updates_planned", (double)report->updates);
    cJSON_AddNumberToObject(training, "updates_done", (double)report->done);
    cJSON_AddNumberToObject(training, "rows", (double)report->last.rows);
    cJSON_AddNumberToObject(training, "tokens", (double)report->last.tokens);
    cJSON_AddNumberToObject(training, "labels", (double)report->last.labels);
    cJSON_AddNumberToObject(training, "tensors_trained", (double)mask->n_trained);
    cJSON_AddNumberToObject(training, "weights_trained", (double)mask->n_parameters);
    cJSON_AddStringToObject(training, "checkpoint", trouble->code ? "last good state" : "after the last update");
    if (trouble->code) cJSON_AddStringToObject(training, "stopped", trouble->msg);
    lac_manifest_set(manifest, "training", training);
    snprintf(path, sizeof path, "%s/lacuna/manifest.json", out->part);
    return lac_manifest_save(manifest, path, err);
}

/* Opens the directory: a new one, or what the same command left when it was broken off.  The number of threads decides
 * the last bits of sums, so it is one of the settings. */
static lac_status open_result(lac_outdir *out, const lac_job *job, const lac_manifest *manifest, lac_err *err)
{
    lac_arena arena = {0};
    bool resumed;
    char *key = lac_manifest_key(manifest, "out,save-every", &arena, err);
    if (key) key = lac_printf(&arena, err, "%s%d threads\n", key, omp_get_max_threads());
    if (key && !lac_outdir_resume(out, job->out, key, &resumed, err)) lac_outdir_sub(out, "lacuna/plots", err);
    lac_arena_release(&arena);
    return err->code;
}

/* Into place without the state; or, with trouble, the state and what belongs to it stay for the same command. */
static void close_result(lac_outdir *out, lac_err *err)
{
    char state[1100];
    snprintf(state, sizeof state, "%s/" STATE, out->part);
    if (err->code) {
        if (!lac_path_exists(state)) lac_outdir_abandon(out);
        return;
    }
    unlink(state);
    lac_outdir_commit(out, err);
}

lac_status lac_job_run(const lac_job *job, const lac_common *common, lac_manifest *manifest, lac_model *model,
                       const lac_mask *mask, const lac_dataset *forget, const lac_dataset *retain, const char *what,
                       lac_err *err)
{
    lac_outdir out = {0};
    lac_train_report report = {0};
    lac_err save = {0};
    if (!common->quiet) say_plan(job, model, mask, forget, retain);
    if (!open_result(&out, job, manifest, err))
        train_into(&out, &report, job, common, model, mask, forget, retain, what, err);
    if (!err->code || err->code == LAC_ERR_DIVERGED) {
        if (!save_result(&out, job, manifest, model, mask, &report, err, &save))
            draw(&out, forget != NULL, common->quiet);
        close_result(&out, &save);
        if (save.code && !err->code) *err = save;
    } else {
        close_result(&out, err);
    }
    if (err->code == LAC_ERR_DIVERGED && !save.code) {
        size_t used = strlen(err->msg);
        snprintf(err->msg + used, sizeof err->msg - used, " (saved in %s)", job->out);
    }
    if (!err->code) say_result(common, job, &report, forget != NULL);
    return err->code;
}
