/* lacuna unlearn -- make a model forget one set of rows and keep another, by training a few of its tensors.
 *
 *   reads    a model; forget and retain rows (JSONL: input, output; or JSON); for some objectives other answers, or
 *            a list of refusals, or the answers of rows to keep
 *   writes   a checkpoint, and lacuna/{manifest.json, steps.tsv, mask.json, plots/} in it
 *   next     lacuna diff MODEL DIR, lacuna eval DIR --suite ... */
#include "unlearn/cmd_unlearn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/share.h"
#include "unlearn/borrow.h"
#include "unlearn/job.h"

typedef struct {
    lac_job job;
    const char *forget, *retain, *alternates, *refusals, *objective, *alpha, *variant;
    const char *mmlu, *unseen, *select; /* of checks */
    const char *pairing;
    int mmlu_limit;
    double settings[LAC_N_SETTINGS];
} task;

typedef struct {
    lac_model model;
    lac_mask mask;
    lac_dataset forget, retain, alternates;
    lac_dataset checked; /* rows to forget as they stand, where their answers are replaced in training */
    lac_dataset unseen;
    lac_mmlu mmlu;
    lac_refusals refusals; /* or answers of rows to keep; n 0: neither */
} materials;

static lac_status read_rows(lac_dataset *set, const char *path, const lac_model *model, const lac_job *job,
                            const lac_dataset_options *o, lac_arena *arena, lac_err *err)
{
    if (path && !lac_dataset_add(set, path, model->tokenizer, o, arena, err))
        lac_dataset_limit(set, (size_t)job->limit);
    return err->code;
}

/* Whether other answers are wanted and none are given. */
static bool draws(const task *t)
{
    return t->job.train.objective->alternates && !t->alternates;
}

/* What is looked at while it trains. */
static lac_status read_checks(materials *m, const task *t, const lac_dataset_options *rows, lac_arena *arena, lac_err *err)
{
    m->checked = m->forget;
    if (read_rows(&m->unseen, t->unseen, &m->model, &t->job, rows, arena, err)) return err->code;
    if (t->mmlu) lac_mmlu_load(&m->mmlu, t->mmlu, "val", NULL, 0, t->mmlu_limit, arena, err);
    return err->code;
}

/* A refusal for each row; or, where those will not do, the answer of a row to keep. */
static lac_status draw_answers(materials *m, task *t, lac_arena *arena, lac_err *err)
{
    const bool refuses = t->job.train.objective->refuses;
    const char *list = t->refusals || !refuses ? t->refusals : lac_share_path("data/refusals.txt", arena, err);
    if (err->code || (refuses ? lac_refusals_open(&m->refusals, list, t->job.train.seed, arena, err)
                              : lac_borrow_answers(&m->refusals, t->forget, t->retain, t->job.train.seed, arena, err)))
        return err->code;
    t->job.answers = lac_printf(arena, err, refuses ? "refusals drawn from %s"
                                                    : "those of the rows of %s whose questions are most alike",
                                m->refusals.path);
    return err->code;
}

/* Another answer to each row: line by line, or drawn. */
static lac_status read_alternates(materials *m, task *t, const lac_dataset_options *rows, lac_arena *arena,
                                  lac_err *err)
{
    lac_dataset_options o = *rows;
    if (!draws(t)) return read_rows(&m->alternates, t->alternates, &m->model, &t->job, &o, arena, err);
    if (draw_answers(m, t, arena, err)) return err->code;
    o.refusals = &m->refusals;
    return read_rows(&m->alternates, t->forget, &m->model, &t->job, &o, arena, err);
}

static lac_status pair_up(materials *m, const task *t, lac_err *err)
{
    if (!m->alternates.n) return LAC_OK;
    if (m->forget.n_left_out || m->alternates.n_left_out || m->forget.n != m->alternates.n)
        return lac_fail(err, LAC_ERR_DATA, "%s has %zu usable rows and %s %zu; they belong together line by line, so "
                        "that neither may have more or be cut to nothing", t->forget, m->forget.n,
                        t->alternates ? t->alternates : "other answers", m->alternates.n);
    if (t->job.train.objective->alternates == LAC_ALTERNATES_IN_PLACE) m->forget = m->alternates;
    return LAC_OK;
}

static lac_status read_all(materials *m, task *t, lac_arena *arena, lac_err *err)
{
    lac_dataset_options rows;
    if (lac_model_load(&m->model, t->job.model, arena, err) ||
        lac_job_mask(&m->mask, &t->job, &m->model, arena, err) ||
        lac_job_dataset_options(&rows, &t->job, &m->model, err) ||
        read_rows(&m->forget, t->forget, &m->model, &t->job, &rows, arena, err) ||
        read_rows(&m->retain, t->retain, &m->model, &t->job, &rows, arena, err) ||
        read_alternates(m, t, &rows, arena, err) || read_checks(m, t, &rows, arena, err))
        return err->code;
    return pair_up(m, t, err);
}

/* Which refusal, or whose answer, each row got: its line in the file. */
static cJSON *answers_json(const lac_refusals *r, size_t n_rows)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "file", r->path);
    if (!r->in_turn) cJSON_AddNumberToObject(json, "listed", (double)r->n);
    cJSON_AddItemToObject(json, "lines", cJSON_CreateIntArray(r->drawn, (int)n_rows));
    return json;
}

static lac_status note_inputs(lac_manifest *manifest, const task *t, const materials *m, lac_err *err)
{
    const char *const paths[] = {t->job.model, t->forget, t->retain, t->alternates,
                                 m->refusals.in_turn ? NULL : m->refusals.path, t->unseen, t->job.mask_file};
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
        if (paths[k] && lac_manifest_input(manifest, paths[k], err)) return err->code;
    if (t->mmlu) {
        char val[1100];
        snprintf(val, sizeof val, "%s/val", t->mmlu);
        if (lac_manifest_input(manifest, val, err)) return err->code;
    }
    if (m->refusals.n)
        lac_manifest_set(manifest, m->refusals.in_turn ? "borrowed" : "refusals",
                         answers_json(&m->refusals, m->alternates.n));
    return LAC_OK;
}

/* Published warm-ups are shorter than published runs; ours may not be. */
static void say_idle_multiplier(const task *t)
{
    const double warmup = t->settings[LAC_DUAL_WARMUP];
    if (warmup >= t->job.train.epochs && t->settings[LAC_ETA] > 0)
        fprintf(stderr, "lacuna: lambda stays %g throughout: it would move from epoch %g on (--dual-warmup), and the run "
                "ends after %d (--epochs)\n", t->settings[LAC_LAMBDA], warmup, t->job.train.epochs);
}

static lac_status unlearn(task *t, const lac_common *common, const lac_usage *usage, int argc, char **argv,
                          lac_arena *arena, lac_err *err)
{
    materials m = {0};
    lac_manifest manifest;
    lac_manifest_begin(&manifest, usage, argc, argv);
    if (!read_all(&m, t, arena, err) && !note_inputs(&manifest, t, &m, err)) {
        const bool learns = !t->job.train.objective->needs_forget; /* and takes back afterwards what it learnt */
        if (!common->quiet) say_idle_multiplier(t);
        lac_check_options *checks = &t->job.train.checks;
        checks->set[LAC_FORGET] = &m.checked;
        checks->set[LAC_RETAIN] = t->retain ? &m.retain : NULL;
        checks->set[LAC_UNSEEN] = t->unseen ? &m.unseen : NULL;
        checks->mmlu = t->mmlu ? &m.mmlu : NULL;
        t->job.train.alternates = m.alternates.n ? &m.alternates : NULL;
        lac_job_run(&t->job, common, &manifest, &m.model, &m.mask, learns ? NULL : &m.forget,
                    learns ? &m.forget : t->retain ? &m.retain : NULL, "unlearn", err);
    }
    lac_manifest_release(&manifest);
    lac_model_release(&m.model);
    return err->code;
}

static bool retain_is_needed(const lac_objective *o, const lac_alpha *alpha)
{
    return o->needs_forget && (!o->retain_optional || (o->alpha && alpha->fixed > 0));
}

static lac_status check_files(const task *t, lac_err *err)
{
    const lac_objective *o = t->job.train.objective;
    if (!t->forget) return lac_fail(err, LAC_ERR_USAGE, "--forget FILE is missing: which rows shall be forgotten?");
    if (!t->retain && retain_is_needed(o, &t->job.train.alpha))
        return lac_fail(err, LAC_ERR_USAGE, "--retain FILE is missing: which rows shall be kept?");
    if (t->retain && !o->needs_forget)
        return lac_fail(err, LAC_ERR_USAGE, "--retain: --objective %s has no term for rows to keep", o->name);
    if (t->alternates && !o->alternates)
        return lac_fail(err, LAC_ERR_USAGE, "--alternates: --objective %s does not use it", o->name);
    if (t->refusals && !o->refuses)
        return lac_fail(err, LAC_ERR_USAGE, "--refusals: --objective %s does not use it", o->name);
    if (t->refusals && t->alternates)
        return lac_fail(err, LAC_ERR_USAGE, "--refusals and --alternates both say what to answer; give one of them");
    return LAC_OK;
}

static lac_status check_checks(task *t, lac_err *err)
{
    lac_check_options *o = &t->job.train.checks;
    const bool retain = !isnan(o->retain_budget), mmlu = !isnan(o->mmlu_budget), enough = t->unseen;
    o->best = !strcmp(t->select, "best");
    if (!o->best && strcmp(t->select, "last"))
        return lac_fail(err, LAC_ERR_USAGE, "--select %s is not one of: last, best", t->select);
    if (!o->every && (retain || mmlu || enough || t->mmlu || o->best))
        return lac_fail(err, LAC_ERR_USAGE, "--%s: give --every N, the updates between checks",
                        t->mmlu || mmlu ? "mmlu" : retain ? "retain-budget" : enough ? "unseen" : "select best");
    if (o->every && t->job.train.objective->negates)
        return lac_fail(err, LAC_ERR_USAGE, "--every: --objective %s forgets only at its end", t->objective);
    if (retain && !(o->retain_budget >= 0))
        return lac_fail(err, LAC_ERR_USAGE, "--retain-budget %g: give at least 0", o->retain_budget);
    if (mmlu && !(o->mmlu_budget >= 0))
        return lac_fail(err, LAC_ERR_USAGE, "--mmlu-budget %g: give at least 0", o->mmlu_budget);
    if (retain && !t->retain) return lac_fail(err, LAC_ERR_USAGE, "--retain-budget: there is no --retain to measure");
    if (mmlu && !t->mmlu) return lac_fail(err, LAC_ERR_USAGE, "--mmlu-budget: there is no --mmlu to measure");
    if (t->mmlu_limit < 0) return lac_fail(err, LAC_ERR_USAGE, "--mmlu-limit %d: give at least 0", t->mmlu_limit);
    if (o->best && !retain && !mmlu)
        return lac_fail(err, LAC_ERR_USAGE, "--select best: give --retain-budget or --mmlu-budget; the state that forgets "
                        "most is else the one most damaged");
    return LAC_OK;
}

/* Words become what they mean. */
static lac_status resolve(task *t, lac_err *err)
{
    lac_train_options *train = &t->job.train;
    if (!(train->objective = lac_objective_find(t->objective, err))) return err->code;
    if (!train->objective->needs_forget && !train->objective->negates)
        return lac_fail(err, LAC_ERR_USAGE, "--objective %s learns, it does not forget; see lacuna finetune",
                        t->objective);
    if (lac_objective_resolve(t->settings, &train->alpha, &t->alpha, train->objective, t->variant, err) ||
        check_files(t, err) || check_checks(t, err))
        return err->code;
    train->settings = t->settings;
    train->random_pairs = !strcmp(t->pairing, "random");
    if (!train->random_pairs && strcmp(t->pairing, "deck"))
        return lac_fail(err, LAC_ERR_USAGE, "--pairing %s is not one of: deck, random", t->pairing);
    return lac_job_resolve(&t->job, err);
}

int cmd_unlearn(int argc, char **argv)
{
    static const char layers[] = "0-5", parts[] = "mlp";
    task t = {.objective = "joint", .select = "last", .pairing = "deck",
              .job = {LAC_JOB_DEFAULTS, LAC_JOB_CHANGES(layers, parts)}};
    for (int k = 0; k < LAC_N_SETTINGS; k++) t.settings[k] = (double)NAN; /* not given */
    const lac_option options[] = {
        LAC_OPT("forget", &t.forget, "rows to forget, JSONL or JSON"),
        LAC_OPT("retain", &t.retain, "rows to keep"),
        LAC_OPT("alternates", &t.alternates, "dpo, idk, idk-dpo: another answer to each row to forget, in its order"),
        LAC_OPT("refusals", &t.refusals, "idk, idk-dpo: list to draw from without --alternates; a hundred come along"),
        LAC_OPT("objective", &t.objective, "what is minimised; docs/objectives.md has the formulas"),
        LAC_OPT("variant", &t.variant, "settings of a published recipe that differs from the objective's own"),
        LAC_OPT("alpha", &t.alpha, "weight of the retain loss: a number; joint: paper, or code (its program's)"),
        LAC_OPT("micro", &t.job.train.micro, "with --alpha code: rows of a micro-batch, forget and retain mixed"),
#define X(id, name, help) LAC_OPT(name, &t.settings[LAC_##id], help),
        LAC_SETTINGS(X)
#undef X
        LAC_OPT("chunks", &t.job.train.chunks, "parts of the forget set, in order, each trained for --epochs (SUGD)"),
        LAC_OPT("retain-ratio", &t.job.train.retain_ratio, "rows to keep beside each row to forget, within --batch"),
        LAC_OPT("pairing", &t.pairing, "rows to keep: deck (round and round, shuffled) or random (with replacement)"),
        LAC_OPT("every", &t.job.train.checks.every, "updates between checks of both sets; 0: none"),
        LAC_OPT("mmlu", &t.mmlu, "checks measure MMLU too: directory of val/, continuation style, no examples"),
        LAC_OPT("mmlu-limit", &t.mmlu_limit, "questions a subject; 0: all"),
        LAC_OPT("retain-budget", &t.job.train.checks.retain_budget, "nats that the retain NLL may rise above the start"),
        LAC_OPT("mmlu-budget", &t.job.train.checks.mmlu_budget, "MMLU accuracy that may be lost, 0 to 1"),
        LAC_OPT("unseen", &t.unseen, "rows it never saw: training ends where those to forget are as new to it, within the budgets"),
        LAC_OPT("patience", &t.job.train.checks.patience, "checks in a row beyond a budget that end training"),
        LAC_OPT("select", &t.select, "state that is kept: last; or best, the most forgetful one within the budgets"),
        LAC_JOB_OPTIONS(t.job),
        {0}};
    const lac_usage usage = {.command = "unlearn",
                             .summary = "make a model forget rows and keep others, by training a few layers",
                             .synopsis = "MODEL --forget FILE --retain FILE --out DIR",
                             .example = "lacuna unlearn model --forget forget.jsonl --retain retain.jsonl --out forgot "
                                        "--layers 0-5 --lr 3e-4",
                             .options = options, .positional = &t.job.model, .n_positional = 1};
    lac_arena arena = {0};
    lac_common common = {0};
    lac_err err = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help && !resolve(&t, &err))
        unlearn(&t, &common, &usage, argc, argv, &arena, &err);
    lac_arena_release(&arena);
    return lac_complain(&err);
}
