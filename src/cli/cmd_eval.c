/* deleatur eval -- what does the model know?
 *
 *   reads    a model, and a suite's data    docs/formats.md, docs/scores.md
 *   writes   eval.json                      the suite's scores with n and standard errors
 *            results_lm_eval.json           the same as lm-evaluation-harness has it
 *            items.jsonl                    a line an item, appended as it is scored
 *            manifest.json                  (DIR.part until all is there; the same command resumes
 *                                           an interrupted one)
 *   prints   the table, tab-separated; with --json, eval.json */
#include "cli/cmd.h"

#include <string.h>

#include "base/json_out.h"
#include "base/text_out.h"
#include "experiments/compare/lm_eval_results.h"
#include "option/manifest.h"
#include "score/report.h"
#include "score/suites/suite.h"

typedef struct {
    const char *model_path, *suite, *out;
    int memory; /* MiB for copies of the weights of each model */
    dele_suite_opts o;
    dele_common common;
    dele_model model, reference;
    dele_run run;
    dele_items items;
    dele_arena arena;
    cJSON *result; /* eval.json */
} job;

/* ---- options --------------------------------------------------------------------------------- */

/* Whether the option is one of dele_suite_opts, with a value other than where it is not given. */
static bool is_given(const dele_option *option, const dele_suite_opts *o)
{
    static const dele_suite_opts none = DELE_SUITE_DEFAULTS;
    static const size_t size[] = {[DELE_OPT_STRING] = sizeof(const char *),
                                  [DELE_OPT_INT] = sizeof(int),
                                  [DELE_OPT_U64] = sizeof(uint64_t),
                                  [DELE_OPT_DOUBLE] = sizeof(double),
                                  [DELE_OPT_BOOL] = sizeof(bool)};
    const char *value = option->value, *begin = (const char *)o;
    if (value < begin || value >= begin + sizeof *o) return false;
    return memcmp(value, (const char *)&none + (value - begin), size[option->type]) != 0;
}

/* An option that was given and that the suite does not take is refused by name. */
static dele_status check_options(job *j, const dele_suite *suite, const dele_option *options,
                                 dele_err *err)
{
    const char *own = "";
    for (int i = 0; own && i < DELE_SUITE_MOST_OPTIONS && suite->options[i]; i++)
        own = dele_printf(&j->arena, err, "%s%s--%s", own, i ? ", " : "it has ", suite->options[i]);
    if (!own) return err->code;
    for (const dele_option *o = dele_option_first(options); o; o = dele_option_next(o))
        if (is_given(o, &j->o) && strcmp(o->name, "data") && strcmp(o->name, "limit") &&
            !dele_suite_takes(suite, o->name))
            return dele_fail(err, DELE_ERR_USAGE, "--%s: --suite %s does not use it; %s", o->name,
                             suite->name, *own ? own : "it has --data, --limit and --out only");
    return DELE_OK;
}

static const dele_suite *find_suite(job *j, const dele_option *options, dele_err *err)
{
    if (!j->suite || !j->o.data || !j->out) {
        dele_fail(err, DELE_ERR_USAGE,
                  "eval needs --suite, --data and --out (deleatur eval --help says more)");
        return NULL;
    }
    if (j->o.limit < 0) {
        dele_fail(err, DELE_ERR_USAGE, "--limit %d: it cannot be negative", j->o.limit);
        return NULL;
    }
    const dele_suite *suite = dele_suite_find(j->suite, err);
    return suite && !check_options(j, suite, options, err) ? suite : NULL;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static dele_status add_inputs(job *j, const dele_suite *suite, dele_manifest *manifest,
                              dele_err *err)
{
    const char *data[2] = {j->o.data, NULL};
    dele_status status = DELE_OK;
    if (suite->inputs) status = suite->inputs(data, &j->o, &j->arena, err);
    const char *const path[] = {j->model_path,    j->o.ids, j->o.reference, j->o.retrained,
                                j->o.mmlu_result, data[0],  data[1]};
    for (size_t i = 0; i < sizeof path / sizeof *path && !status; i++)
        if (path[i]) status = dele_manifest_input(manifest, path[i], err);
    return status;
}

/* The suite's tables on stdout, an empty line between two. */
static void print_tables(const job *j, const dele_scoring *s, dele_err *err)
{
    dele_table table[DELE_SUITE_MOST_TABLES] = {{.n = 0}};
    const size_t n = s->suite->tables(table, s);
    for (size_t i = 0; i < n; i++) {
        if (i) putchar('\n');
        dele_table_print(&table[i], stdout, dele_table_form_of(j->common.csv), err);
    }
}

/* Scores the suite, and prints its tables unless JSON is asked for. */
static dele_status score(job *j, const dele_suite *suite, dele_err *err)
{
    dele_scoring s = {.suite = suite,
                      .opts = &j->o,
                      .model = &j->model,
                      .reference = j->o.reference ? &j->reference : NULL,
                      .run = &j->run,
                      .items = &j->items,
                      .arena = &j->arena,
                      .quiet = j->common.quiet};
    dele_put_text(j->result, "suite", j->suite);
    dele_put_text(j->result, "model", j->model_path);
    dele_put_text(j->result, "data", j->o.data);
    cJSON_AddNumberToObject(j->result, "limit", j->o.limit);
    if (dele_suite_run(&s, suite->name, err)) return err->code;
    suite->json(j->result, &s);
    if (!j->common.json) print_tables(j, &s, err);
    return err->code;
}

/* Runs the suite with items.jsonl open in the directory. */
static dele_status run_suite(job *j, const dele_suite *suite, const dele_outdir *dir, dele_err *err)
{
    char *path = dele_printf(&j->arena, err, "%s/items.jsonl", dir->part);
    if (!path || dele_items_open(&j->items, path, err)) return err->code;
    if (j->items.n_old && !j->common.quiet)
        dele_note("resuming after %zu items that are in %s", j->items.n_old, path);
    dele_status status = score(j, suite, err);
    dele_status closed = dele_items_close(&j->items, err);
    return status ? status : closed;
}

static dele_status load_models(job *j, dele_err *err)
{
    if (dele_model_load_wide(&j->model, j->model_path, j->memory, &j->arena, err) || !j->o.reference)
        return err->code;
    return dele_model_load_wide(&j->reference, j->o.reference, j->memory, &j->arena, err);
}

static dele_status save(job *j, dele_manifest *manifest, dele_outdir *dir, dele_err *err)
{
    char *eval = dele_printf(&j->arena, err, "%s/eval.json", dir->part);
    char *manifest_path = dele_printf(&j->arena, err, "%s/manifest.json", dir->part);
    if (!eval || !manifest_path) return DELE_ERR_MEMORY;
    dele_status status = dele_json_save(eval, j->result, err);
    char *shaped = dele_printf(&j->arena, err, "%s/results_lm_eval.json", dir->part);
    cJSON *harness = shaped ? lm_eval_results(j->result) : NULL;
    if (!status) status = shaped ? dele_json_save(shaped, harness, err) : err->code;
    cJSON_Delete(harness);
    if (!status) status = dele_manifest_save(manifest, manifest_path, err);
    return status ? status : dele_outdir_commit(dir, err);
}

static dele_status work(job *j, const dele_option *options, dele_manifest *manifest,
                        dele_outdir *dir, dele_err *err)
{
    const dele_suite *suite = find_suite(j, options, err);
    bool resumed;
    char *key;
    if (!suite || add_inputs(j, suite, manifest, err) ||
        !(key = dele_manifest_key(manifest, "out", &j->arena, err)) ||
        dele_outdir_resume(dir, j->out, key, &resumed, err) || load_models(j, err) ||
        run_suite(j, suite, dir, err) || save(j, manifest, dir, err))
        return err->code;
    return j->common.json ? dele_json_show(j->result, err) : DELE_OK;
}

int cmd_eval(int argc, char **argv)
{
    job j = {.o = DELE_SUITE_DEFAULTS, .memory = DELE_DEFAULT_MEMORY};
    dele_err err = {0};
    const char *suites = dele_suite_names(&j.arena, &err),
               *data = dele_suite_data_help(&j.arena, &err);
    const dele_option options[] = {
        DELE_GROUP("suite and data"),
        DELE_OPT("suite", &j.suite, suites),
        DELE_OPT("data", &j.o.data, data),
        DELE_OPT("out", &j.out, "directory for the result; must not exist"),
        DELE_GROUP("multiple choice"),
        DELE_OPT("split", &j.o.split, "mmlu: val or test (default val)"),
        DELE_OPT("style", &j.o.style,
                 "mmlu: harness (letters; default), continuation (their text), hendrycks, "
                 "open-instruct"),
        DELE_OPT("shots", &j.o.shots,
                 "mmlu: number of few-shot examples, 0 to 5; -1: the style's own, 0 or 5"),
        DELE_OPT("subjects", &j.o.subjects,
                 "mmlu: only these subjects, comma-separated (default: all)"),
        DELE_GROUP("rows and generation"),
        DELE_OPT("limit", &j.o.limit,
                 "maximum number of questions per subject or set, rows per file, or facts; 0: all"),
        DELE_MEMORY_OPTION(j.memory),
        DELE_OPT("ids", &j.o.ids, "lume: a file with one id a line; only these rows"),
        DELE_OPT("chat", &j.o.chat,
                 "lume, tofu, qa: chat template: none (raw input; default), auto, olmo or smollm2"),
        DELE_OPT("max-new", &j.o.max_new,
                 "lume, tofu, qa: maximum number of new tokens; 0: 256, 200, 32"),
        DELE_OPT("template", &j.o.template,
                 "tofu: text around the question, {} stands for it; default: none"),
        DELE_GROUP("LUME"),
        DELE_OPT("mmlu-result", &j.o.mmlu_result,
                 "lume: result of --suite mmlu, for the final score"),
        DELE_GROUP("membership"),
        DELE_OPT("reference", &j.o.reference,
                 "membership: reference model that has not seen the members"),
        DELE_FLAG("gradnorm", &j.o.gradnorm,
                  "membership: also the GradNorm attack (one backward pass per text)"),
        DELE_OPT("min-k", &j.o.min_k,
                 "membership: fraction of the tokens for Min-K % Prob; 0: 0.2"),
        DELE_GROUP("published programs"),
        DELE_OPT("retrained", &j.o.retrained,
                 "membership, tofu: result of a retrained model, which never saw the data; tofu: "
                 "or its TOFU_EVAL.json of open-unlearning"),
        DELE_OPT("compat", &j.o.compat,
                 "reproduce a published program (docs/scores.md): membership: open-unlearning; "
                 "tofu: open-unlearning, tofu; lume: semeval; mmlu: pandas"),
        {0},
    };
    const dele_usage usage = {
        .command = "eval",
        .summary = "evaluate a model: MMLU, multiple choice, LUME, TOFU, membership, facts",
        .synopsis = "MODEL --suite SUITE --data PATH --out DIR",
        .example = "deleatur eval models/smollm2 --suite mmlu --data data/mmlu --style "
                   "continuation --out results/before",
        .options = options,
        .positional = &j.model_path,
        .n_positional = 1,
        .tables = true,
    };
    dele_manifest manifest = {0};
    dele_outdir dir = {0};
    if (!err.code && !dele_options_parse(&j.common, &usage, argc, argv, &j.arena, &err) &&
        !j.common.help) {
        j.result = cJSON_CreateObject();
        dele_manifest_begin(&manifest, &usage, argc, argv);
        work(&j, options, &manifest, &dir, &err);
    }
    if (!dele_items_resumable(&dir)) dele_outdir_abandon(&dir);
    dele_manifest_release(&manifest);
    cJSON_Delete(j.result);
    dele_run_release(&j.run);
    dele_model_release(&j.reference);
    dele_model_release(&j.model);
    dele_arena_release(&j.arena);
    return dele_complain(&err);
}
