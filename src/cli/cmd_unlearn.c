/* deleatur unlearn -- make a model forget one set of rows and keep another, by training a few of
 * its tensors.
 *
 *   reads    a model; forget and retain rows (JSONL: input, output; or JSON); for some objectives
 *            other answers, or a list of refusals, or the answers of retain rows
 *   writes   a checkpoint, and deleatur/{manifest.json, steps.tsv, mask.json, plots/} in it
 *   next     deleatur diff MODEL DIR, deleatur eval DIR --suite ... */
#include "cli/cmd.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/share.h"
#include "base/text_out.h"
#include "unlearn/alternates.h"
#include "unlearn/job.h"

typedef struct {
    dele_job job;
    const char *forget, *retain, *alternates, *refusals, *objective, *alpha, *variant;
    const char *mmlu, *holdout; /* what is evaluated besides both sets */
    int mmlu_limit;
    double settings[DELE_N_SETTINGS];
} task;

/* What is read for a task.  The arena owns all of it but the model. */
typedef struct {
    task *t;
    dele_arena *arena;
    dele_model model;
    dele_mask mask;
    dele_dataset_options rows; /* how rows are read */
    dele_dataset forget, retain, alternates;
    dele_dataset evaluated; /* the forget rows with their own answers, which training replaces for
                               some objectives */
    dele_dataset holdout;
    dele_mmlu mmlu;
    dele_refusals refusals; /* or answers of retain rows; n 0: neither */
} inputs;

/* The first --limit rows of a file, read as `how` says; no path: none. */
static dele_status read_rows(inputs *in, dele_dataset *set, const char *path,
                             const dele_dataset_options *how, dele_err *err)
{
    if (path && !dele_dataset_add(set, path, in->model.tokenizer, how, in->arena, err))
        dele_dataset_limit(set, (size_t)in->t->job.limit);
    return err->code;
}

/* Whether alternate answers are needed and none are given. */
static bool draws(const task *t) { return t->job.train.objective->alternates && !t->alternates; }

/* What is evaluated during training. */
static dele_status read_evaluated(inputs *in, dele_err *err)
{
    const task *t = in->t;
    in->evaluated = in->forget;
    if (read_rows(in, &in->holdout, t->holdout, &in->rows, err)) return err->code;
    if (t->mmlu) dele_mmlu_load(&in->mmlu, t->mmlu, "val", NULL, 0, t->mmlu_limit, in->arena, err);
    return err->code;
}

/* A refusal for each row; or, where the objective cannot use refusals, the answer of a retain
 * row. */
static dele_status draw_answers(inputs *in, dele_err *err)
{
    task *t = in->t;
    const bool refuses = t->job.train.objective->refuses;
    const uint64_t seed = t->job.train.seed;
    const char *list = t->refusals || !refuses
                           ? t->refusals
                           : dele_share_path("data/refusals.txt", in->arena, err);
    if (err->code || (refuses ? dele_refusals_open(&in->refusals, list, seed, in->arena, err)
                              : dele_alternates_from_retain(&in->refusals, t->forget, t->retain,
                                                            seed, in->arena, err)))
        return err->code;
    t->job.answers = dele_printf(in->arena, err,
                                 refuses ? "refusals sampled from %s"
                                         : "from the rows of %s with the most similar questions",
                                 in->refusals.path);
    return err->code;
}

/* The alternate answer of each row: from a file, line by line, or sampled. */
static dele_status read_alternates(inputs *in, dele_err *err)
{
    dele_dataset_options how = in->rows;
    const task *t = in->t;
    if (!draws(t)) return read_rows(in, &in->alternates, t->alternates, &how, err);
    if (draw_answers(in, err)) return err->code;
    how.refusals = &in->refusals;
    return read_rows(in, &in->alternates, t->forget, &how, err);
}

static dele_status pair_up(inputs *in, dele_err *err)
{
    const task *t = in->t;
    if (!in->alternates.n) return DELE_OK;
    if (in->forget.n_left_out || in->alternates.n_left_out || in->forget.n != in->alternates.n)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s has %zu usable rows and %s %zu; row i of each belongs to row i of the "
                         "other, so the counts must be equal",
                         t->forget, in->forget.n,
                         t->alternates ? t->alternates : "the alternate answers", in->alternates.n);
    if (t->job.train.objective->alternates == DELE_ALTERNATES_IN_PLACE) in->forget = in->alternates;
    return DELE_OK;
}

/* Defaults that depend on the model's depth: the layer that is steered, and the layers that are
 * trained where no option selects them: the published 0-5, as far as the model has them, or the
 * steered layer and the two below it.  Of listed experts none lies above the layer that is steered
 * by default. */
static dele_status fit_to_depth(task *t, const dele_model *model, dele_arena *arena, dele_err *err)
{
    const bool steers = t->job.train.objective->at_layer,
               usual = t->job.layers == t->job.usual_layers;
    const int last = model->config.n_layers - 1;
    int from = 0, to = 5;
    if (steers) {
        const bool given = t->settings[DELE_LAYER] >= 0; /* a default is a fraction, below 0 */
        to = dele_layer_of(t->settings[DELE_LAYER], model->config.n_layers);
        for (size_t i = 0; !given && i < t->job.listed.n; i++)
            if (t->job.listed.expert[i].layer > to) to = t->job.listed.expert[i].layer;
        t->settings[DELE_LAYER] = to;
        from = to > last ? 0
               : to > 2  ? to - 2
                         : 0; /* one that is too high is refused later, by its name */
    }
    if (!usual || t->job.tensors || t->job.mask_file) return DELE_OK;
    t->job.layers = dele_printf(arena, err, "%d-%d", from, to < last ? to : last);
    return t->job.layers ? DELE_OK : err->code;
}

/* --retain-reweight */
static dele_status weigh_retain(inputs *in, dele_err *err)
{
    dele_job *job = &in->t->job;
    if (!job->retain_reweight) return DELE_OK;
    job->traffic = DELE_NEW(in->arena, dele_expert_traffic, job->listed.n, err);
    if (!job->traffic) return DELE_ERR_MEMORY;
    return dele_retain_weights(&in->retain, job->traffic, &in->forget, &in->model, &job->listed,
                               job->train.batch_tokens, in->arena, err);
}

static dele_status read_all(inputs *in, dele_err *err)
{
    task *t = in->t;
    if (dele_adapters_load(&in->model, t->job.model, &t->job.adapters, t->job.memory, SIZE_MAX,
                           in->arena, err) ||
        dele_job_attach(&t->job, &in->model, in->arena, err) ||
        dele_job_dataset_options(&in->rows, &t->job, &in->model, in->arena, err) ||
        read_rows(in, &in->forget, t->forget, &in->rows, err) ||
        dele_job_experts(&t->job, &in->model, &in->forget, in->arena, err) ||
        fit_to_depth(t, &in->model, in->arena, err) ||
        dele_job_mask(&in->mask, &t->job, &in->model, in->arena, err) ||
        read_rows(in, &in->retain, t->retain, &in->rows, err) || weigh_retain(in, err) ||
        read_alternates(in, err) || read_evaluated(in, err))
        return err->code;
    return pair_up(in, err);
}

/* The data of the job.  An objective that first learns the forget rows, to subtract what it learnt,
 * has them as its one training set. */
static dele_train_data train_data(const inputs *in)
{
    const task *t = in->t;
    const dele_dataset *retain = t->retain ? &in->retain : NULL;
    const bool learns = !t->job.train.objective->needs_forget;
    return (dele_train_data){
        .set = {learns ? NULL : &in->forget, learns ? &in->forget : retain},
        .alternates = in->alternates.n ? &in->alternates : NULL,
        .evaluation = {.set = {&in->evaluated, retain, t->holdout ? &in->holdout : NULL},
                       .mmlu = t->mmlu ? &in->mmlu : NULL}};
}

/* Which refusal, or whose answer, each row got: its line in the file. */
static cJSON *answers_json(const dele_refusals *r, size_t n_rows)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "file", r->path);
    if (!r->in_turn) cJSON_AddNumberToObject(json, "listed", (double)r->n);
    cJSON_AddItemToObject(json, "lines", cJSON_CreateIntArray(r->drawn, (int)n_rows));
    return json;
}

static dele_status note_unlearn_inputs(dele_manifest *manifest, const inputs *in, dele_err *err)
{
    const task *t = in->t;
    const dele_refusals *r = &in->refusals;
    const char *const paths[] = {
        t->job.model, t->forget,       t->retain, t->alternates, r->in_turn ? NULL : r->path,
        t->holdout,   t->job.mask_file};
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
        if (paths[k] && dele_manifest_input(manifest, paths[k], err)) return err->code;
    if (dele_adapters_note(manifest, &t->job.adapters, err)) return err->code;
    if (t->mmlu) {
        char val[1100];
        snprintf(val, sizeof val, "%s/val", t->mmlu);
        if (dele_manifest_input(manifest, val, err)) return err->code;
    }
    if (r->n)
        dele_manifest_set(manifest, r->in_turn ? "alternates_from" : "refusals",
                          answers_json(r, in->alternates.n));
    return DELE_OK;
}

/* Published warm-ups are shorter than published runs; ours may not be. */
static void say_idle_multiplier(const task *t)
{
    const double warmup = t->settings[DELE_DUAL_WARMUP];
    if (warmup >= t->job.train.epochs && t->settings[DELE_ETA] > 0)
        dele_note("lambda stays %g: it is updated from epoch %g on (--dual-warmup), and training "
                  "ends after %d (--epochs)",
                  t->settings[DELE_LAMBDA], warmup, t->job.train.epochs);
}

/* The manifest's options are taken after reading: only then are those known that depend on the
 * model. */
static dele_status unlearn(inputs *in, const dele_usage *usage, const dele_job_output *to,
                           dele_err *err)
{
    const task *t = in->t;
    if (read_all(in, err) || note_unlearn_inputs(to->manifest, in, err)) return err->code;
    dele_manifest_set(to->manifest, "options", dele_options_json(usage));
    if (!to->common->quiet) say_idle_multiplier(t);
    const dele_job_input job = {&in->model, &in->mask, train_data(in)};
    return dele_job_run(&t->job, &job, to, err);
}

static bool retain_is_needed(const dele_objective *o, const dele_alpha *alpha)
{
    return o->needs_forget && (!o->retain_optional || (o->alpha && alpha->fixed > 0));
}

/* Files that an objective needs and are missing, and files that it would not use. */
static dele_status check_files(const task *t, dele_err *err)
{
    const dele_objective *o = t->job.train.objective;
    if (!t->forget)
        return dele_fail(err, DELE_ERR_USAGE, "--forget FILE is missing: the rows to unlearn");
    if (!t->retain && retain_is_needed(o, &t->job.train.alpha))
        return dele_fail(err, DELE_ERR_USAGE, "--retain FILE is missing: the rows to preserve");
    if (!t->retain && draws(t) && !o->refuses)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--retain FILE is missing: %s takes its alternate answers from it; or "
                         "give them with --alternates",
                         o->name);
    if (t->retain && !o->needs_forget)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--retain: --objective %s has no term for retain rows", o->name);
    if (t->alternates && !o->alternates)
        return dele_fail(err, DELE_ERR_USAGE, "--alternates: --objective %s does not use it",
                         o->name);
    if (t->refusals && !o->refuses)
        return dele_fail(err, DELE_ERR_USAGE, "--refusals: --objective %s does not use it",
                         o->name);
    if (t->refusals && t->alternates)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--refusals and --alternates both give answers; give one of them");
    return DELE_OK;
}

/* Options of the evaluations that depend on one another.  A budget without its data would never be
 * exceeded, and --select best without a budget would select the most damaged model. */
static dele_status check_checks(task *t, dele_err *err)
{
    dele_evaluation_options *o = &t->job.train.evaluations;
    const bool retain = !isnan(o->retain_budget), mmlu = !isnan(o->mmlu_budget),
               enough = t->holdout, best = o->select == DELE_SELECT_BEST;
    if (!o->eval_every && (retain || mmlu || enough || t->mmlu || best))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--%s: give --eval-every N, the updates between evaluations",
                         t->mmlu || mmlu ? "mmlu"
                         : retain        ? "retain-budget"
                         : enough        ? "holdout"
                                         : "select best");
    if (o->eval_every && t->job.train.objective->negates)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--eval-every: --objective %s forgets only at its end", t->objective);
    if (retain && !(o->retain_budget >= 0))
        return dele_fail(err, DELE_ERR_USAGE, "--retain-budget %g: give at least 0",
                         o->retain_budget);
    if (mmlu && !(o->mmlu_budget >= 0))
        return dele_fail(err, DELE_ERR_USAGE, "--mmlu-budget %g: give at least 0", o->mmlu_budget);
    if (retain && !t->retain)
        return dele_fail(err, DELE_ERR_USAGE, "--retain-budget: there is no --retain to measure");
    if (mmlu && !t->mmlu)
        return dele_fail(err, DELE_ERR_USAGE, "--mmlu-budget: there is no --mmlu to measure");
    if (t->mmlu_limit < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--mmlu-limit %d: give at least 0", t->mmlu_limit);
    if (best && !retain && !mmlu)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--select best: give --retain-budget or --mmlu-budget; without a budget "
                         "it selects the most damaged checkpoint");
    return DELE_OK;
}

/* Words become what they mean. */
static dele_status resolve(task *t, dele_err *err)
{
    dele_train_options *train = &t->job.train;
    if (!(train->objective = dele_objective_find(t->objective, err))) return err->code;
    if (!train->objective->needs_forget && !train->objective->negates)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--objective %s learns, it does not forget; see deleatur finetune",
                         t->objective);
    if (dele_objective_resolve(t->settings, &train->alpha, &t->alpha, train->objective, t->variant,
                               err) ||
        check_files(t, err) || check_checks(t, err))
        return err->code;
    train->settings = t->settings;
    if (!t->retain && (train->router_projection || t->job.retain_reweight))
        return dele_fail(err, DELE_ERR_USAGE, "--%s is about the retain set: give --retain FILE",
                         t->job.retain_reweight ? "retain-reweight" : "router-projection");
    if (train->router.coefficient[DELE_TERM_ANCHOR] > 0 && !train->objective->needs_forget)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--anchor is about forget rows, and --objective %s learns them first",
                         t->objective);
    return dele_job_resolve(&t->job, err);
}

int cmd_unlearn(int argc, char **argv)
{
    static const char layers[] = "0-5", parts[] = "mlp";
    task t = {.objective = "joint", .job = {DELE_JOB_DEFAULTS, DELE_JOB_CHANGES(layers, parts)}};
    for (int k = 0; k < DELE_N_SETTINGS; k++) t.settings[k] = (double)NAN; /* not given */
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("data"),
        DELE_OPT("forget", &t.forget, "forget set, JSONL or JSON"),
        DELE_OPT("retain", &t.retain, "retain set, JSONL or JSON"),
        DELE_OPT("alternates", &t.alternates,
                 "dpo, idk, idk-dpo: alternate answers, one per forget example, in the same order"),
        DELE_OPT("refusals", &t.refusals,
                 "idk, idk-dpo: refusals to sample from, without --alternates; default: a list "
                 "of 100"),
        DELE_GROUP("objective"),
        DELE_OPT("objective", &t.objective,
                 "unlearning objective, listed below and in docs/objectives.md"),
        DELE_OPT("variant", &t.variant,
                 "settings of another published implementation of the objective"),
        DELE_OPT("alpha", &t.alpha,
                 "weight of the retain loss: a number; joint: also paper, or code (the published "
                 "program's rule)"),
        DELE_OPT("micro-batch", &t.job.train.micro_batch,
                 "with --alpha code: examples per micro-batch, both sets mixed"),
#define X(id, name, help) DELE_OPT(name, &t.settings[DELE_##id], help),
        DELE_SETTINGS(X)
#undef X
        DELE_GROUP("batches"),
        DELE_OPT("chunks", &t.job.train.chunks,
                 "SUGD: parts of the forget set, trained in order, each for --epochs"),
        DELE_OPT("retain-ratio", &t.job.train.retain_ratio,
                 "retain examples per forget example, within --batch"),
        DELE_CHOICE("pairing", &t.job.train.pairing, dele_pairing_name,
                    "retain examples: permutation (shuffled epochs) or random (with replacement)"),
        DELE_GROUP("evaluation during training"),
        DELE_OPT("eval-every", &t.job.train.evaluations.eval_every,
                 "updates between evaluations of both sets; 0: none"),
        DELE_OPT("mmlu", &t.mmlu,
                 "also evaluate MMLU: directory with val/; continuation style, 0-shot"),
        DELE_OPT("mmlu-limit", &t.mmlu_limit, "questions per subject; 0: all"),
        DELE_OPT("retain-budget", &t.job.train.evaluations.retain_budget,
                 "maximum rise of the retain NLL over training, in nats"),
        DELE_OPT("mmlu-budget", &t.job.train.evaluations.mmlu_budget,
                 "maximum loss of MMLU accuracy, 0 to 1"),
        DELE_OPT("holdout", &t.holdout,
                 "holdout set, never trained on: training ends once forget NLL reaches holdout "
                 "NLL within the budgets"),
        DELE_OPT("patience", &t.job.train.evaluations.patience,
                 "early stopping: consecutive evaluations beyond a budget before training ends"),
        DELE_CHOICE("select", &t.job.train.evaluations.select, dele_select_name,
                    "checkpoint selection: last; or best, the highest forget NLL within the "
                    "budgets"),
        DELE_UNLEARN_ROUTER_OPTIONS(t.job),
        DELE_JOB_OPTIONS(t.job),
        {0}};
    /* clang-format on */
    dele_usage_entry formulas[DELE_N_OBJECTIVES + 1] = {0};
    for (size_t k = 0; k < DELE_N_OBJECTIVES && dele_objective_at(k); k++)
        formulas[k] = (dele_usage_entry){dele_objective_at(k)->name, dele_objective_at(k)->summary};
    const dele_usage usage = {
        .command = "unlearn",
        .summary = "unlearn a forget set, keep a retain set, by training a few layers",
        .synopsis = "MODEL --forget FILE --retain FILE --out DIR",
        .example =
            "deleatur unlearn model --forget forget.jsonl --retain retain.jsonl --out forgot "
            "--layers 0-5 --lr 3e-4",
        .options = options,
        .positional = &t.job.model,
        .n_positional = 1,
        .list_title =
            "objectives (minimised; CE: mean cross-entropy of labels, NLL: of a sequence)",
        .list = formulas};
    dele_arena arena = {0};
    dele_common common = {0};
    dele_err err = {0};
    dele_manifest manifest = {0};
    inputs in = {.t = &t, .arena = &arena};
    const dele_job_output to = {&common, &manifest, "unlearn"};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help &&
        !resolve(&t, &err)) {
        dele_manifest_begin(&manifest, &usage, argc, argv);
        unlearn(&in, &usage, &to, &err);
    }
    dele_manifest_release(&manifest);
    dele_model_release(&in.model);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
