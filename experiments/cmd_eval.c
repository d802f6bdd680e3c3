/* lacuna eval -- what does the model know?
 *
 *   reads    a model, and a suite's data    mmlu: a directory of CSV files; lume: JSONL; facts: ROME's format
 *   writes   eval.json                      the suite's scores with n and standard errors
 *            items.jsonl                    a line an item, appended as it is scored
 *            manifest.json
 *   prints   the table, tab-separated; with --json, eval.json */
#include "experiments/cmd_eval.h"

#include <string.h>

#include "base/manifest.h"
#include "base/option.h"
#include "base/progress.h"
#include "score/facts_suite.h"
#include "score/lume.h"
#include "score/mmlu.h"

/* Everything a suite needs; result is what goes into eval.json beside the options. */
typedef struct {
    const char *model_path, *suite, *data, *out, *split, *style, *subjects, *ids, *chat;
    int shots, limit, max_new;
    bool quiet, json;
    lac_model model;
    lac_run run;
    lac_arena arena;
    FILE *items;
    cJSON *result;
} job;

static void begin_progress(lac_progress *p, const job *j, const char *unit, size_t total)
{
    lac_progress_begin(p, j->quiet ? NULL : stderr, j->suite, unit, (double)total);
}

/* What was asked, at the top of eval.json. */
static void add_text(job *j, const char *name, const char *value)
{
    cJSON_AddItemToObject(j->result, name, value ? cJSON_CreateString(value) : cJSON_CreateNull());
}

static void add_scores(job *j, cJSON *scores)
{
    for (cJSON *item; (item = cJSON_DetachItemFromArray(scores, 0));)
        cJSON_AddItemToObject(j->result, item->string, item);
    cJSON_Delete(scores);
}

static lac_status eval_mmlu(job *j, lac_err *err)
{
    lac_mmlu data;
    lac_mmlu_scores scores;
    lac_progress progress;
    lac_mmlu_opts opts = {.shots = j->shots, .items = j->items, .progress = &progress};
    const char *split = j->split ? j->split : "val";
    if (j->shots < 0 || j->shots > 5)
        return lac_fail(err, LAC_ERR_USAGE, "--shots %d: MMLU's dev split has 0 to 5", j->shots);
    lac_status status = lac_mmlu_parse_style(&opts.style, j->style, err);
    if (!status) status = lac_mmlu_load(&data, j->data, split, j->subjects, j->shots, j->limit, &j->arena, err);
    if (status) return status;
    begin_progress(&progress, j, "questions", data.n_items);
    status = lac_mmlu_run(&scores, &data, &j->run, &j->model, &opts, &j->arena, err);
    lac_progress_end(&progress);
    if (status) return status;
    add_text(j, "split", split);
    add_text(j, "style", opts.style == LAC_MMLU_LETTERS ? "harness" : "continuation");
    cJSON_AddNumberToObject(j->result, "shots", j->shots);
    add_scores(j, lac_mmlu_json(&scores, &data));
    if (!j->json) lac_mmlu_table(stdout, &scores, &data);
    return LAC_OK;
}

static lac_status eval_lume(job *j, lac_err *err)
{
    lac_lume data;
    lac_lume_scores scores;
    lac_progress progress;
    lac_lume_opts opts = {.max_new = j->max_new, .items = j->items, .progress = &progress};
    lac_status status = lac_chat_parse(&opts.chat, j->chat, j->model.tokenizer, err);
    if (!status) status = lac_lume_load(&data, j->data, j->limit, j->ids, &j->arena, err);
    if (status) return status;
    begin_progress(&progress, j, "rows", data.n);
    status = lac_lume_run(&scores, &data, &j->run, &j->model, &opts, &j->arena, err);
    lac_progress_end(&progress);
    if (status) return status;
    add_text(j, "chat", j->chat);
    cJSON_AddNumberToObject(j->result, "max_new", j->max_new);
    add_scores(j, lac_lume_json(&scores));
    if (!j->json) lac_lume_table(stdout, &scores);
    return LAC_OK;
}

static lac_status eval_facts(job *j, lac_err *err)
{
    lac_facts facts;
    lac_facts_scores scores;
    lac_progress progress;
    lac_facts_opts opts = {.items = j->items, .progress = &progress};
    lac_status status = lac_facts_load(&facts, j->data, &j->arena, err);
    if (status) return status;
    if (facts.note) fprintf(stderr, "lacuna: %s: %s\n", j->data, facts.note);
    if (j->limit && (size_t)j->limit < facts.n) facts.n = (size_t)j->limit;
    size_t n = facts.n;
    for (size_t i = 0; i < facts.n; i++) n += facts.fact[i].paraphrase != NULL;
    begin_progress(&progress, j, "prompts", n);
    status = lac_facts_score(&scores, &facts, &j->run, &j->model, &opts, &j->arena, err);
    lac_progress_end(&progress);
    if (status) return status;
    cJSON_AddNumberToObject(j->result, "n", (double)facts.n);
    add_scores(j, lac_facts_json(&scores));
    if (!j->json) lac_facts_table(stdout, &scores);
    return LAC_OK;
}

typedef struct {
    const char *name;
    lac_status (*eval)(job *j, lac_err *err);
} suite_row;

static const suite_row suites[] = {{"mmlu", eval_mmlu}, {"lume", eval_lume}, {"facts", eval_facts}};

static lac_status find_suite(const suite_row **suite, const job *j, lac_err *err)
{
    *suite = NULL;
    if (!j->suite || !j->data || !j->out)
        return lac_fail(err, LAC_ERR_USAGE, "eval needs --suite, --data and --out (lacuna eval --help says more)");
    if (j->limit < 0) return lac_fail(err, LAC_ERR_USAGE, "--limit %d: it cannot be negative", j->limit);
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        if (strcmp(j->suite, suites[i].name) == 0) *suite = &suites[i];
    return *suite ? LAC_OK : lac_fail(err, LAC_ERR_USAGE, "--suite %s is not known: mmlu, lume or facts", j->suite);
}

/* Runs the suite with items.jsonl open in the directory. */
static lac_status run_suite(job *j, const suite_row *suite, const lac_outdir *dir, lac_err *err)
{
    char *path = lac_printf(&j->arena, err, "%s/items.jsonl", dir->part);
    if (!path) return LAC_ERR_MEMORY;
    j->items = fopen(path, "w");
    if (!j->items) return lac_fail(err, LAC_ERR_FILE, "%s could not be opened for writing", path);
    add_text(j, "suite", j->suite);
    add_text(j, "model", j->model_path);
    add_text(j, "data", j->data);
    cJSON_AddNumberToObject(j->result, "limit", j->limit);
    lac_status status = suite->eval(j, err);
    if (fclose(j->items) && !status)
        status = lac_fail(err, LAC_ERR_FILE, "%s could not be written: is the disk full?", path);
    return status;
}

/* The files that were read: of MMLU the split's directory, and dev's where examples came from it. */
static lac_status add_inputs(job *j, lac_manifest *manifest, lac_err *err)
{
    lac_status status = lac_manifest_input(manifest, j->model_path, err);
    if (strcmp(j->suite, "mmlu") != 0) {
        if (!status) status = lac_manifest_input(manifest, j->data, err);
        return !status && j->ids ? lac_manifest_input(manifest, j->ids, err) : status;
    }
    char *split = lac_printf(&j->arena, err, "%s/%s", j->data, j->split ? j->split : "val");
    char *dev = lac_printf(&j->arena, err, "%s/dev", j->data);
    if (!split || !dev) return LAC_ERR_MEMORY;
    if (!status) status = lac_manifest_input(manifest, split, err);
    return !status && j->shots ? lac_manifest_input(manifest, dev, err) : status;
}

static lac_status save(job *j, lac_manifest *manifest, lac_outdir *dir, lac_err *err)
{
    char *eval = lac_printf(&j->arena, err, "%s/eval.json", dir->part);
    char *manifest_path = lac_printf(&j->arena, err, "%s/manifest.json", dir->part);
    if (!eval || !manifest_path) return LAC_ERR_MEMORY;
    lac_status status = lac_json_save(eval, j->result, err);
    if (!status) status = add_inputs(j, manifest, err);
    if (!status) status = lac_manifest_save(manifest, manifest_path, err);
    return status ? status : lac_outdir_commit(dir, err);
}

int cmd_eval(int argc, char **argv)
{
    job j = {.style = "harness", .chat = "none", .max_new = 256};
    const lac_option options[] = {
        LAC_OPT("suite", &j.suite, "mmlu, lume or facts"),
        LAC_OPT("data", &j.data, "mmlu: directory of dev/ val/ test/; lume: JSONL, or directory with forget.jsonl and "
                                 "retain.jsonl; facts: a fact file"),
        LAC_OPT("out", &j.out, "directory to make"),
        LAC_OPT("split", &j.split, "mmlu: val or test (default val)"),
        LAC_OPT("style", &j.style, "mmlu: harness (letters) or continuation (the choices' own text)"),
        LAC_OPT("shots", &j.shots, "mmlu: examples before the question, 0 to 5"),
        LAC_OPT("subjects", &j.subjects, "mmlu: only these, comma-separated (default: all that are there)"),
        LAC_OPT("limit", &j.limit, "at most so many questions a subject, rows a file, or facts; 0: all"),
        LAC_OPT("ids", &j.ids, "lume: a file with one id a line; only these rows"),
        LAC_OPT("chat", &j.chat, "lume: none (raw input), auto, olmo or smollm2"),
        LAC_OPT("max-new", &j.max_new, "lume: at most so many new tokens"),
        {0},
    };
    const lac_usage usage = {
        .command = "eval",
        .summary = "score what a model knows: MMLU, LUME rows, facts",
        .synopsis = "MODEL --suite mmlu|lume|facts --data PATH --out DIR",
        .example = "lacuna eval models/smollm2 --suite mmlu --data data/mmlu --style continuation --out results/before",
        .options = options,
        .positional = &j.model_path,
        .n_positional = 1,
    };
    lac_err err = {0};
    lac_common common = {0};
    lac_manifest manifest = {0};
    lac_outdir dir = {0};
    const suite_row *suite;
    if (lac_options_parse(&common, &usage, argc, argv, &j.arena, &err) || common.help) goto done;
    j.quiet = common.quiet;
    j.json = common.json;
    j.result = cJSON_CreateObject();
    lac_manifest_begin(&manifest, &usage, argc, argv);
    if (!find_suite(&suite, &j, &err) && !lac_outdir_open(&dir, j.out, &err) &&
        !lac_model_load(&j.model, j.model_path, &j.arena, &err) && !run_suite(&j, suite, &dir, &err) &&
        !save(&j, &manifest, &dir, &err) && j.json) {
        char *text = cJSON_Print(j.result);
        if (text) puts(text);
        cJSON_free(text);
    }
done:
    lac_outdir_abandon(&dir);
    lac_manifest_release(&manifest);
    cJSON_Delete(j.result);
    lac_run_release(&j.run);
    lac_model_release(&j.model);
    lac_arena_release(&j.arena);
    return lac_complain(&err);
}
