#include "unlearn/job.h"

#include <math.h>
#include <omp.h>
#include <string.h>
#include <unistd.h>

#include "adapter/perft_files.h"
#include "base/json_memory.h"
#include "base/json_out.h"
#include "base/text_out.h"
#include "plots/gnuplot.h"
#include "unlearn/job_report.h"

#define STATE "deleatur/state"

/* A job that runs. */
typedef struct {
    const dele_job *job;
    const dele_trainable *trainable;
    const dele_train_data *data;
    const dele_job_output *to;
    dele_outdir out;
    dele_train_report report;
} job_run;

/* ---- the result ------------------------------------------------------------------------------ */

/* The mask as a list of names: reads back with --mask, for this model or one of its kind. */
static dele_status save_mask(const char *path, const dele_model *model, const dele_mask *mask,
                             dele_err *err)
{
    cJSON *json = cJSON_CreateObject(), *names = cJSON_AddArrayToObject(json, "tensors");
    for (size_t k = 0; k < model->n_tensors; k++)
        if (mask->trains[k])
            cJSON_AddItemToArray(names, cJSON_CreateString(model->tensors[k].name));
    dele_status status = dele_json_save(path, json, err);
    cJSON_Delete(json);
    return status;
}

/* Columns (ending with -1) of a table of the run, as a table for a picture; after them one more,
 * the same in each line. */
static dele_status project(const dele_outdir *out, const char *from, const char *to,
                           const char *head, const int *columns, const char *constant,
                           dele_err *err)
{
    dele_arena arena = {0};
    dele_writer table = {0};
    char path[1100];
    snprintf(path, sizeof path, "%s/deleatur/%s", out->part, from);
    char *text = dele_file_read(path, &arena, NULL, err);
    snprintf(path, sizeof path, "%s/deleatur/plots/%s", out->part, to);
    if (text && !dele_writer_open(&table, path, err)) {
        fputs(head, table.stream);
        char *rest = text;
        for (char *line; (line = strsep(&rest, "\n")) && *line;) {
            char *field[16] = {0}, *cursor = line;
            for (int k = 0; k < 16 && cursor; k++) field[k] = strsep(&cursor, "\t");
            if (line == text) continue; /* the names of columns */
            for (const int *c = columns; *c >= 0; c++)
                fprintf(table.stream, "%s%s", c == columns ? "" : "\t", field[*c] ? field[*c] : "");
            fprintf(table.stream, "%s%s\n", constant ? "\t" : "", constant ? constant : "");
        }
        dele_writer_commit(&table, err);
    }
    dele_arena_release(&arena);
    return err->code;
}

/* Plots that cannot be drawn are reported, and are no error: a checkpoint without them is complete.
 * A run that ended at the evaluation before its first update has no losses to plot. */
static void draw(const job_run *r)
{
    static const int learning[] = {0, 6, -1}, unlearning[] = {0, 6, 7, 8, -1},
                     evaluations[] = {0, 1, 3, 2, 4, 5, 7, -1};
    const dele_evaluation_options *o = &r->job->train.evaluations;
    char dir[1100], limit[40];
    dele_err err = {0};
    snprintf(limit, sizeof limit, "%.9g", r->report.start.nll[DELE_RETAIN] + o->retain_budget);
    snprintf(dir, sizeof dir, "%s/deleatur/plots", r->out.part);
    if (r->report.done)
        project(&r->out, "steps.tsv", "losses.tsv", "# plot losses.gp\n# title Training loss\n",
                r->data->set[DELE_FORGET] ? unlearning : learning, NULL, &err);
    if (!err.code && o->eval_every)
        project(&r->out, "evaluations.tsv", "evaluations.tsv",
                "# plot evaluations.gp\n# title Evaluations during unlearning\n", evaluations,
                limit, &err);
    if (!err.code) dele_plots_draw(dir, NULL, &err);
    if (err.code)
        dele_note("%s", err.msg); /* --quiet is about progress, not about what is missing */
}

/* Whether there is an earlier run's state to resume from.  A damaged one, after a power cut, is
 * reported and removed: the run starts again, and has the same result. */
static bool state_is_there(const char *path, bool quiet)
{
    dele_training_state state = {0};
    dele_err err = {0};
    if (!dele_path_exists(path)) return false;
    dele_training_state_load(&state, path, &err);
    dele_training_state_abandon(&state);
    if (err.code) unlink(path);
    if (err.code && !quiet) dele_note("%s; starting again", err.msg);
    if (!err.code && !quiet) dele_note("resuming from %s", path);
    return !err.code;
}

static FILE *open_table(const dele_outdir *out, const char *name, bool anew, dele_err *err)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/deleatur/%s", out->part, name);
    return dele_file_append(path, anew, err);
}

static void close_table(FILE *table, dele_err *err)
{
    const bool bad = table && ferror(table);
    if (table && (fclose(table) || bad))
        dele_fail(err, DELE_ERR_FILE,
                  "the tables of the run could not be written: is the disk full?");
}

/* The NLL and exact match of both sets with the present weights: the same measure for every
 * objective, whatever its own loss. */
static dele_status score_sets(dele_evaluation *score, const job_run *r, dele_err *err)
{
    *score = dele_evaluation_none(0);
    const bool routes = r->data->evaluation.routes[DELE_FORGET]; /* of all sets that have them */
    const int n_sets = routes ? DELE_EVALUATED_SETS : DELE_RETAIN + 1;
    return dele_evaluate_sets(score, &r->data->evaluation, n_sets, r->trainable->model,
                              r->job->train.batch_tokens, err);
}

/* Before training and, by its result, after; evaluations have measured both already.  Where routes
 * are compared, those before training must be recorded in every process, also in one that resumes,
 * and those of the result by layer. */
static dele_status score_before(job_run *r, dele_err *err)
{
    const bool evaluates = r->job->train.evaluations.eval_every;
    if (evaluates && !r->data->evaluation.routes[DELE_FORGET]) return DELE_OK;
    return score_sets(&r->report.before_after[0], r, err);
}

static dele_status score_after(job_run *r, dele_err *err)
{
    dele_train_report *report = &r->report;
    const bool evaluates = r->job->train.evaluations.eval_every;
    if ((!evaluates || r->data->evaluation.routes[DELE_FORGET]) &&
        score_sets(&report->before_after[1], r, err))
        return err->code;
    if (!evaluates) return DELE_OK;
    report->before_after[0] = report->start;
    report->before_after[1] = report->selected;
    return DELE_OK;
}

/* dele_train begins with an empty report, so the scores before training are restored after it. */
static void train(job_run *r, dele_train_output *output, dele_err *err)
{
    const dele_evaluation before = r->report.before_after[0];
    const dele_train_options *o = &r->job->train;
    dele_progress progress;
    dele_train_report plan;
    if (dele_train_plan(&plan, r->data, o, err)) return;
    dele_progress_begin(&progress, r->to->common->quiet ? NULL : stderr, r->to->title, "rows",
                        (double)plan.rows_in_all);
    output->progress = &progress;
    if (!dele_train(&r->report, r->trainable, r->data, o, output, err))
        dele_progress_end(&progress);
    r->report.before_after[0] = before;
}

static dele_status train_into_tables(job_run *r, dele_err *err)
{
    char state[1100];
    snprintf(state, sizeof state, "%s/" STATE, r->out.part);
    dele_train_output output = {.state = state};
    const bool anew = !state_is_there(state, r->to->common->quiet);
    output.steps = open_table(&r->out, "steps.tsv", anew, err);
    if (r->job->train.evaluations.eval_every && output.steps)
        output.evaluations = open_table(&r->out, "evaluations.tsv", anew, err);
    if (!err->code) train(r, &output, err);
    close_table(output.steps, err);
    close_table(output.evaluations, err);
    return err->code;
}

static dele_status save_adapters(const job_run *r, dele_err *err)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/deleatur/adapter", r->out.part);
    if (dele_outdir_sub(&r->out, "deleatur/adapter", err) ||
        dele_lora_save(r->trainable->lora, r->job->model, path, err))
        return err->code;
    if (dele_lora_is_lost_in_peft(r->trainable->lora))
        dele_note("PEFT drops adapters of this model's experts, without a word, since dense MLPs "
                  "beside them have the same names; load them with --adapter of deleatur");
    return DELE_OK;
}

static dele_job_result result_of(const job_run *r, const dele_err *trouble)
{
    return (dele_job_result){r->job, r->trainable, r->data, &r->report, trouble};
}

static dele_status save_result(const job_run *r, const dele_err *trouble, dele_err *err)
{
    char path[1100];
    const dele_model *model = r->trainable->model;
    const dele_job_result result = result_of(r, trouble);
    if (r->job->lora_keep && save_adapters(r, err)) return err->code;
    snprintf(path, sizeof path, "%s/deleatur/mask.json", r->out.part);
    if (r->job->affinity.of) {
        char table[1100];
        snprintf(table, sizeof table, "%s/deleatur/affinity.tsv", r->out.part);
        if (dele_affinity_save(&r->job->affinity, table, err)) return err->code;
    }
    const bool adapters = model->config.perft.variant != DELE_PERFT_NONE;
    if ((adapters ? dele_perft_save(model, r->out.part, err)
                  : dele_model_save_as(model, r->out.part, &r->job->save, err)) ||
        save_mask(path, model, r->trainable->mask, err))
        return err->code;
    dele_manifest_set(r->to->manifest, "training", dele_job_training_json(&result));
    snprintf(path, sizeof path, "%s/deleatur/manifest.json", r->out.part);
    return dele_manifest_save(r->to->manifest, path, err);
}

/* Opens the directory: a new one, or what the same command left when it was interrupted.  The
 * number of threads decides the last bits of sums, so it is one of the settings.  How the weights
 * are saved is none: where a weight does not fit into its type, the run ends with another type. */
static dele_status open_result(job_run *r, dele_err *err)
{
    dele_arena arena = {0};
    bool resumed;
    char *key = dele_manifest_key(r->to->manifest, "out,save-every,dtype,shard-size", &arena, err);
    if (key) key = dele_printf(&arena, err, "%s%d threads\n", key, omp_get_max_threads());
    if (key && !dele_outdir_resume(&r->out, r->job->out, key, &resumed, err))
        dele_outdir_sub(&r->out, "deleatur/plots", err);
    dele_arena_release(&arena);
    return err->code;
}

/* Into place without the state; or, with trouble, the state and what belongs to it stay for the
 * same command.  A whole result that cannot be moved stays too, and it is said where. */
static void close_result(dele_outdir *out, const char *result, dele_err *err)
{
    char state[1100];
    const bool whole = !err->code && !dele_json_memory(err);
    if (whole && !dele_outdir_commit(out, err)) {
        snprintf(state, sizeof state, "%s/" STATE, result);
        unlink(state); /* after: a result that cannot be moved into place is not started again */
        return;
    }
    snprintf(state, sizeof state, "%s/" STATE, out->part);
    if (whole && out->part[0])
        dele_remark("the whole result is in %s", out->part);
    else if (out->part[0] && !dele_path_exists(state))
        dele_outdir_abandon(out);
    dele_outdir_leave(out);
}

/* ---- --select best without a best state ------------------------------------------------------ */

static bool selects_best(const dele_job *job)
{
    return job->train.evaluations.eval_every && job->train.evaluations.select == DELE_SELECT_BEST;
}

/* The table of evaluations, beside where the result would be; an earlier one of ours is replaced.
 * Empty: not kept. */
static void keep_checks(char *path, size_t size, const dele_outdir *out)
{
    char from[1100], first[12] = "";
    snprintf(from, sizeof from, "%s/deleatur/evaluations.tsv", out->part);
    snprintf(path, size, "%s.evaluations.tsv", out->path);
    FILE *old = fopen(path, "re");
    if (old) {
        if (!fgets(first, sizeof first, old)) *first = 0;
        fclose(old);
        if (strcmp(first, "update\tforg") != 0) *path = 0;
    }
    if (*path && dele_file_copy(from, path, NULL)) *path = 0;
}

/* By how much the nearest state is beyond the budgets, in words; or that no state within them
 * forgot anything. */
static void say_why(char *why, size_t size, const job_run *r)
{
    const dele_evaluation_options *o = &r->job->train.evaluations;
    const dele_evaluation *k = &r->report.nearest, *start = &r->report.start;
    const double retain = dele_retain_excess(k, start, o), mmlu = dele_mmlu_excess(k, start, o);
    if (!k->update) {
        snprintf(why, size, "none has a higher forget NLL than the model before training");
        return;
    }
    size_t n = (size_t)snprintf(why, size, "the nearest, update %zu, is", k->update);
    if (retain > 0)
        n += (size_t)snprintf(why + n, size - n,
                              " beyond --retain-budget %g by %.3g nats (retain NLL %.3f, allowed "
                              "%.3f)%s",
                              o->retain_budget, retain, k->nll[DELE_RETAIN],
                              start->nll[DELE_RETAIN] + o->retain_budget, mmlu > 0 ? " and" : "");
    if (mmlu > 0)
        n += (size_t)snprintf(why + n, size - n,
                              " beyond --mmlu-budget %g by %.3g (MMLU %.3f, allowed %.3f)",
                              o->mmlu_budget, mmlu, k->mmlu, start->mmlu - o->mmlu_budget);
    if (!(retain > 0) && !(mmlu > 0)) snprintf(why + n, size - n, " without a finite forget NLL");
}

/* The model before training is not a result: the job fails and says why no other state is one. */
static void fail_none(const job_run *r, dele_err *err)
{
    const bool diverged = err->code == DELE_ERR_DIVERGED;
    char table[1100], why[700];
    keep_checks(table, sizeof table, &r->out);
    say_why(why, sizeof why, r);
    *err = (dele_err){0};
    dele_fail(err, DELE_ERR_DATA,
              "--select best: no evaluated checkpoint%s can be selected: %s; nothing is "
              "written%s%s. Try a smaller "
              "--lr, a smaller --eval-every, or a larger budget",
              diverged ? " before training diverged" : "", why,
              *table ? " but the table of evaluations, " : "", table);
}

/* Writes the result: the trained model, or after divergence the last good weights.  An error while
 * writing replaces no earlier one. */
static void keep_result(job_run *r, dele_err *err)
{
    dele_err save = {0};
    if (!save_result(r, err, &save)) draw(r);
    close_result(&r->out, r->job->out, &save);
    if (save.code && !err->code) *err = save;
    if (err->code != DELE_ERR_DIVERGED || save.code) return;
    const size_t used = strlen(err->msg);
    snprintf(err->msg + used, sizeof err->msg - used, " (saved in %s%s)", r->job->out,
             selects_best(r->job) ? ": the best checkpoint evaluated before" : "");
}

static dele_status run(job_run *r, dele_err *err)
{
    const dele_common *common = r->to->common;
    if (!common->quiet) dele_job_print_plan(r->job, r->trainable, r->data);
    if (!open_result(r, err) && !score_before(r, err)) train_into_tables(r, err);
    if (!err->code) score_after(r, err);
    if (err->code && err->code != DELE_ERR_DIVERGED) {
        close_result(&r->out, r->job->out, err);
    } else if (selects_best(r->job) && r->report.selected.update == 0) {
        fail_none(r, err);
        dele_outdir_abandon(&r->out);
    } else {
        keep_result(r, err);
    }
    const dele_job_result result = result_of(r, err);
    if (!err->code) dele_job_print_result(&result, common);
    return err->code;
}

/* The routes of a mixture are compared wherever a set to forget is scored. */
static dele_status watch_routes(dele_train_data *data, const dele_model *model, dele_arena *arena,
                                dele_err *err)
{
    dele_evaluation_data *e = &data->evaluation;
    if (!model->config.n_experts || !e->set[DELE_FORGET]) return DELE_OK;
    for (int k = 0; k < DELE_EVALUATED_SETS; k++) {
        const dele_dataset *set = e->set[k];
        if (!set) continue;
        size_t rows = 0;
        for (size_t i = 0; i < set->n; i++) rows += set->row[i].n - 1;
        e->routes[k] = DELE_NEW(arena, dele_route_drift, 1, err);
        if (!e->routes[k] || dele_route_drift_init(e->routes[k], &model->config, rows, arena, err))
            return DELE_ERR_MEMORY;
    }
    return DELE_OK;
}

dele_status dele_job_run(const dele_job *job, const dele_job_input *in, const dele_job_output *to,
                         dele_err *err)
{
    dele_arena arena = {0};
    dele_lora lora;
    const dele_trainable trainable = {in->model, in->mask, job->lora ? &lora : NULL};
    const dele_lora_options adapters = {.rank = job->lora,
                                        .alpha = job->lora_alpha != 0 ? job->lora_alpha : job->lora,
                                        .seed = job->train.seed};
    dele_train_data data = in->data;
    job_run r = {.job = job, .trainable = &trainable, .data = &data, .to = to};
    if (watch_routes(&data, in->model, &arena, err)) {
        dele_arena_release(&arena);
        return err->code;
    }
    if (!job->lora || !dele_lora_init(&lora, in->model, in->mask, &adapters, &arena, err))
        run(&r, err);
    dele_arena_release(&arena);
    return err->code;
}
