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
#include <unistd.h>

#include "base/json_out.h"
#include "base/text_out.h"
#include "experiments/compare/lm_eval_results.h"
#include "experiments/eval/eval_suites.h"
#include "option/option.h"

static const eval_suite *find_suite(const eval_job *j, dele_err *err)
{
    if (!j->suite || !j->data || !j->out) {
        dele_fail(err, DELE_ERR_USAGE,
                  "eval needs --suite, --data and --out (deleatur eval --help says more)");
        return NULL;
    }
    if (j->limit < 0) {
        dele_fail(err, DELE_ERR_USAGE, "--limit %d: it cannot be negative", j->limit);
        return NULL;
    }
    const eval_suite *suite = eval_suite_find(j->suite, err);
    return suite && !eval_check_options(j, suite, err) ? suite : NULL;
}

/* Runs the suite with items.jsonl open in the directory. */
static dele_status run_suite(eval_job *j, const eval_suite *suite, const dele_outdir *dir,
                             dele_err *err)
{
    char *path = dele_printf(&j->arena, err, "%s/items.jsonl", dir->part);
    if (!path) return DELE_ERR_MEMORY;
    if (!suite->resumes) unlink(path);
    if (dele_items_open(&j->items, path, err)) return err->code;
    if (j->items.n_old && !j->quiet)
        dele_note("resuming after %zu items that are in %s", j->items.n_old, path);
    eval_add_text(j, "suite", j->suite);
    eval_add_text(j, "model", j->model_path);
    eval_add_text(j, "data", j->data);
    cJSON_AddNumberToObject(j->result, "limit", j->limit);
    dele_status status = suite->eval(j, err);
    dele_status closed = dele_items_close(&j->items, err);
    return status ? status : closed;
}

static dele_status save(eval_job *j, dele_manifest *manifest, dele_outdir *dir, dele_err *err)
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

static dele_status work(eval_job *j, dele_manifest *manifest, dele_outdir *dir, dele_err *err)
{
    const eval_suite *suite = find_suite(j, err);
    bool resumed;
    char *key;
    if (!suite || eval_add_inputs(j, manifest, err) ||
        !(key = dele_manifest_key(manifest, "out", &j->arena, err)) ||
        dele_outdir_resume(dir, j->out, key, &resumed, err) ||
        dele_model_load(&j->model, j->model_path, &j->arena, err) ||
        run_suite(j, suite, dir, err) || save(j, manifest, dir, err))
        return err->code;
    return j->json ? dele_json_show(j->result, err) : DELE_OK;
}

int cmd_eval(int argc, char **argv)
{
    eval_job j = {.shots = -1};
    const dele_option options[] = {
        DELE_GROUP("suite and data"),
        DELE_OPT("suite", &j.suite, "mmlu, choices, qa, lume, tofu, membership or facts"),
        DELE_OPT(
            "data", &j.data,
            "mmlu: directory of dev/ val/ test/; choices, qa: a .jsonl, or a directory of them; "
            "lume: JSONL, or directory with forget.jsonl and retain.jsonl (or forget_val.jsonl, "
            "...); tofu: directory of *_perturbed.jsonl or .json, one forget set; membership: "
            "directory of member.jsonl and nonmember.jsonl; "
            "facts: a fact file"),
        DELE_OPT("out", &j.out, "directory for the result; must not exist"),
        DELE_GROUP("multiple choice"),
        DELE_OPT("split", &j.split, "mmlu: val or test (default val)"),
        DELE_OPT("style", &j.style,
                 "mmlu: harness (letters; default), continuation (their text), hendrycks, "
                 "open-instruct"),
        DELE_OPT("shots", &j.shots,
                 "mmlu: number of few-shot examples, 0 to 5; -1: the style's own, 0 or 5"),
        DELE_OPT("subjects", &j.subjects,
                 "mmlu: only these subjects, comma-separated (default: all)"),
        DELE_GROUP("rows and generation"),
        DELE_OPT("limit", &j.limit,
                 "maximum number of questions per subject or set, rows per file, or facts; 0: all"),
        DELE_OPT("ids", &j.ids, "lume: a file with one id a line; only these rows"),
        DELE_OPT("chat", &j.chat,
                 "lume, tofu, qa: chat template: none (raw input; default), auto, olmo or smollm2"),
        DELE_OPT("max-new", &j.max_new,
                 "lume, tofu, qa: maximum number of new tokens; 0: 256, 200, 32"),
        DELE_OPT("template", &j.template,
                 "tofu: text around the question, {} stands for it; default: none"),
        DELE_GROUP("LUME"),
        DELE_OPT("mmlu-result", &j.mmlu_result,
                 "lume: result of --suite mmlu, for the final score"),
        DELE_GROUP("membership"),
        DELE_OPT("reference", &j.reference,
                 "membership: reference model that has not seen the members"),
        DELE_FLAG("gradnorm", &j.gradnorm,
                  "membership: also the GradNorm attack (one backward pass per text)"),
        DELE_OPT("min-k", &j.min_k, "membership: fraction of the tokens for Min-K % Prob; 0: 0.2"),
        DELE_GROUP("published programs"),
        DELE_OPT("retrained", &j.retrained,
                 "membership, tofu: result of a retrained model, which never saw the data; tofu: "
                 "or its TOFU_EVAL.json of open-unlearning"),
        DELE_OPT("compat", &j.compat,
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
    dele_err err = {0};
    dele_common common = {0};
    dele_manifest manifest = {0};
    dele_outdir dir = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &j.arena, &err) && !common.help) {
        j.quiet = common.quiet;
        j.json = common.json;
        j.csv = common.csv;
        j.result = cJSON_CreateObject();
        dele_manifest_begin(&manifest, &usage, argc, argv);
        work(&j, &manifest, &dir, &err);
    }
    if (!dele_items_resumable(&dir)) dele_outdir_abandon(&dir);
    dele_manifest_release(&manifest);
    cJSON_Delete(j.result);
    dele_run_release(&j.run);
    dele_model_release(&j.model);
    dele_arena_release(&j.arena);
    return dele_complain(&err);
}
