/* lacuna eval -- what does the model know?
 *
 *   reads    a model, and a suite's data    docs/formats.md, docs/scores.md
 *   writes   eval.json                      the suite's scores with n and standard errors
 *            items.jsonl                    a line an item, appended as it is scored
 *            manifest.json                  (DIR.part until all is there; the same command goes on behind a broken one)
 *   prints   the table, tab-separated; with --json, eval.json */
#include "experiments/cmd_eval.h"

#include <string.h>
#include <unistd.h>

#include "base/option.h"
#include "experiments/eval_suites.h"

static const eval_suite *find_suite(const eval_job *j, lac_err *err)
{
    if (!j->suite || !j->data || !j->out) {
        lac_fail(err, LAC_ERR_USAGE, "eval needs --suite, --data and --out (lacuna eval --help says more)");
        return NULL;
    }
    if (j->limit < 0) {
        lac_fail(err, LAC_ERR_USAGE, "--limit %d: it cannot be negative", j->limit);
        return NULL;
    }
    const eval_suite *suite = eval_suite_find(j->suite, err);
    return suite && !eval_check_options(j, suite, err) ? suite : NULL;
}

/* Runs the suite with items.jsonl open in the directory. */
static lac_status run_suite(eval_job *j, const eval_suite *suite, const lac_outdir *dir, lac_err *err)
{
    char *path = lac_printf(&j->arena, err, "%s/items.jsonl", dir->part);
    if (!path) return LAC_ERR_MEMORY;
    if (!suite->resumes) unlink(path);
    if (lac_items_open(&j->items, path, err)) return err->code;
    if (j->items.n_old && !j->quiet)
        fprintf(stderr, "lacuna: going on behind %zu items that stand in %s\n", j->items.n_old, path);
    eval_add_text(j, "suite", j->suite);
    eval_add_text(j, "model", j->model_path);
    eval_add_text(j, "data", j->data);
    cJSON_AddNumberToObject(j->result, "limit", j->limit);
    lac_status status = suite->eval(j, err);
    lac_status closed = lac_items_close(&j->items, err);
    return status ? status : closed;
}

static lac_status save(eval_job *j, lac_manifest *manifest, lac_outdir *dir, lac_err *err)
{
    char *eval = lac_printf(&j->arena, err, "%s/eval.json", dir->part);
    char *manifest_path = lac_printf(&j->arena, err, "%s/manifest.json", dir->part);
    if (!eval || !manifest_path) return LAC_ERR_MEMORY;
    lac_status status = lac_json_save(eval, j->result, err);
    if (!status) status = lac_manifest_save(manifest, manifest_path, err);
    return status ? status : lac_outdir_commit(dir, err);
}

static lac_status work(eval_job *j, lac_manifest *manifest, lac_outdir *dir, lac_err *err)
{
    const eval_suite *suite = find_suite(j, err);
    bool resumed;
    char *key;
    if (!suite || eval_add_inputs(j, manifest, err) || !(key = lac_manifest_key(manifest, "out", &j->arena, err)) ||
        lac_outdir_resume(dir, j->out, key, &resumed, err) ||
        lac_model_load(&j->model, j->model_path, &j->arena, err) || run_suite(j, suite, dir, err) ||
        save(j, manifest, dir, err))
        return err->code;
    return j->json ? lac_json_show(j->result, err) : LAC_OK;
}

int cmd_eval(int argc, char **argv)
{
    eval_job j = {.shots = -1};
    const lac_option options[] = {
        LAC_OPT("suite", &j.suite, "mmlu, choices, qa, lume, tofu, membership or facts"),
        LAC_OPT("data", &j.data, "mmlu: directory of dev/ val/ test/; choices, qa: a .jsonl, or a directory of them; "
                                 "lume: JSONL, or directory with forget.jsonl and retain.jsonl (or forget_val.jsonl, "
                                 "...); tofu: directory of *_perturbed.jsonl or .json, one forget set; membership: "
                                 "directory of member.jsonl and nonmember.jsonl; "
                                 "facts: a fact file"),
        LAC_OPT("out", &j.out, "directory to make"),
        LAC_OPT("split", &j.split, "mmlu: val or test (default val)"),
        LAC_OPT("style", &j.style, "mmlu: harness (letters; default), continuation (their text), hendrycks, "
                                   "open-instruct"),
        LAC_OPT("shots", &j.shots, "mmlu: examples before the question, 0 to 5; -1: as the style has it, 0 or 5"),
        LAC_OPT("subjects", &j.subjects, "mmlu: only these, comma-separated (default: all that are there)"),
        LAC_OPT("limit", &j.limit, "at most so many questions a subject or set, rows a file, or facts; 0: all"),
        LAC_OPT("ids", &j.ids, "lume: a file with one id a line; only these rows"),
        LAC_OPT("chat", &j.chat, "lume, tofu, qa: none (raw input; default), auto, olmo or smollm2"),
        LAC_OPT("max-new", &j.max_new, "lume, tofu, qa: at most so many new tokens; 0: 256, 200, 32"),
        LAC_OPT("template", &j.template, "tofu: what stands around the question, {} in its place; default: nothing"),
        LAC_OPT("mmlu-result", &j.mmlu_result, "lume: a result of --suite mmlu, for the final score"),
        LAC_OPT("reference", &j.reference, "membership: a model that has not seen the members"),
        LAC_FLAG("gradnorm", &j.gradnorm, "membership: that attack too (a backward pass a text)"),
        LAC_OPT("min-k", &j.min_k, "membership: share of the tokens that Min-K looks at; 0: 0.2"),
        LAC_OPT("retrained", &j.retrained, "membership, tofu: a result of a model that never saw the data; tofu: or "
                                           "open-unlearning's TOFU_EVAL.json of it"),
        LAC_OPT("compat", &j.compat, "quirks of published programs (docs/scores.md): membership: open-unlearning; "
                                     "tofu: open-unlearning, tofu; lume: semeval; mmlu: pandas"),
        {0},
    };
    const lac_usage usage = {
        .command = "eval",
        .summary = "score what a model knows: MMLU, other choices, LUME rows, facts",
        .synopsis = "MODEL --suite SUITE --data PATH --out DIR",
        .example = "lacuna eval models/smollm2 --suite mmlu --data data/mmlu --style continuation --out results/before",
        .options = options,
        .positional = &j.model_path,
        .n_positional = 1,
    };
    lac_err err = {0};
    lac_common common = {0};
    lac_manifest manifest = {0};
    lac_outdir dir = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &j.arena, &err) && !common.help) {
        j.quiet = common.quiet;
        j.json = common.json;
        j.result = cJSON_CreateObject();
        lac_manifest_begin(&manifest, &usage, argc, argv);
        work(&j, &manifest, &dir, &err);
    }
    if (!lac_items_stand(&dir)) lac_outdir_abandon(&dir);
    lac_manifest_release(&manifest);
    cJSON_Delete(j.result);
    lac_run_release(&j.run);
    lac_model_release(&j.model);
    lac_arena_release(&j.arena);
    return lac_complain(&err);
}
