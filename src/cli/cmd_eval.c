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

#include "adapter/adapter.h"
#include "base/json_out.h"
#include "base/text_out.h"
#include "experiments/compare/lm_eval_results.h"
#include "nudge/decoders.h"
#include "option/result.h"
#include "score/report.h"
#include "score/suites/suites.h"

typedef struct {
    const char *model_path, *out;
    unsigned suite; /* 0: not given; else 1 + its place in dele_suites */
    int memory;     /* MiB for copies of the weights of each model */
    dele_adapter_options adapters;
    dele_decoder_options decoder;
    dele_suite_opts o;
    dele_common common;
    dele_model model, reference, with, untuned;
    dele_decoder decodes; /* with --decoder */
    dele_run run;
    dele_arena arena;
    dele_result result;
    cJSON *json; /* eval.json */
} eval_job;

/* ---- options --------------------------------------------------------------------------------- */

/* An option that was given and that the suite does not take is refused by name. */
static dele_status check_options(eval_job *j, const dele_suite *suite, const dele_option *options,
                                 dele_err *err)
{
    static const dele_suite_opts none = DELE_SUITE_DEFAULTS;
    const char *own = "";
    for (int i = 0; own && i < DELE_SUITE_MOST_OPTIONS && suite->options[i]; i++)
        own = dele_printf(&j->arena, err, "%s%s--%s", own, i ? ", " : "it has ", suite->options[i]);
    if (!own) return err->code;
    for (const dele_option *o = dele_option_first(options); o; o = dele_option_next(o))
        if (dele_option_differs(o, &j->o, &none, sizeof none) && strcmp(o->name, "data") &&
            strcmp(o->name, "limit") && !dele_suite_takes(suite, o->name))
            return dele_fail(err, DELE_ERR_USAGE, "--%s: --suite %s does not use it; %s", o->name,
                             suite->name, *own ? own : "it has --data, --limit and --out only");
    return DELE_OK;
}

static dele_status check_decoder(const eval_job *j, const dele_suite *suite, dele_err *err)
{
    if (dele_decoder_check(&j->decoder, err)) return err->code;
    if (!j->decoder.kind || dele_suite_takes(suite, "decoder")) return DELE_OK;
    return dele_fail(err, DELE_ERR_USAGE,
                     "--decoder %s: --suite %s scores more than what is generated or the "
                     "log-likelihoods of choices; mmlu, choices, qa, gsm8k and lume take it",
                     dele_decoder_name[j->decoder.kind], suite->name);
}

static const dele_suite *find_suite(eval_job *j, const dele_option *options, dele_err *err)
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
    const dele_suite *suite = dele_suites[j->suite - 1];
    if (check_options(j, suite, options, err) || check_decoder(j, suite, err)) return NULL;
    return suite;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Opens the result, of the models and of the files that the suite reads. */
static dele_status open_eval_result(eval_job *j, const dele_suite *suite, dele_err *err)
{
    const char *data[2] = {j->o.data, NULL};
    if (suite->inputs && suite->inputs(data, &j->o, &j->arena, err)) return err->code;
    const char *const path[] = {j->model_path,  j->o.ids,         j->o.reference,
                                j->o.retrained, j->o.mmlu_result, data[0],
                                data[1],        j->decoder.with,  j->decoder.untuned};
    if (dele_adapters_note(&j->result.manifest, &j->adapters, err)) return err->code;
    return dele_result_open(&j->result, path, sizeof path / sizeof *path, j->out,
                            j->common.quiet ? NULL : "items", err);
}

/* The suite's tables on stdout, an empty line between two. */
static void print_suite_tables(const eval_job *j, const dele_scoring *s, dele_err *err)
{
    dele_table table[DELE_SUITE_MOST_TABLES] = {{.n = 0}};
    const size_t n = s->suite->tables(table, s);
    for (size_t i = 0; i < n; i++) {
        if (i) putchar('\n');
        dele_table_print(&table[i], stdout, dele_table_form_of(j->common.csv), err);
    }
}

/* Scores the suite, and prints its tables unless JSON is asked for. */
static dele_status score_suite(eval_job *j, const dele_suite *suite, dele_err *err)
{
    dele_scoring s = {.suite = suite,
                      .opts = &j->o,
                      .model = &j->model,
                      .reference = j->o.reference ? &j->reference : NULL,
                      .decoder = j->decoder.kind ? &j->decodes : NULL,
                      .run = &j->run,
                      .items = &j->result.items,
                      .arena = &j->arena,
                      .quiet = j->common.quiet};
    if (dele_suite_run(&s, suite->name, err) || dele_items_close(s.items, err)) return err->code;
    dele_put_text(j->json, "suite", suite->name);
    dele_put_text(j->json, "model", j->model_path);
    dele_put_text(j->json, "data", j->o.data);
    cJSON_AddNumberToObject(j->json, "limit", j->o.limit);
    suite->json(j->json, &s);
    if (s.decoder) s.decoder->json(s.decoder->data, j->json);
    if (!j->common.json) print_suite_tables(j, &s, err);
    return err->code;
}

static dele_status load_eval_models(eval_job *j, dele_err *err)
{
    if (dele_adapters_load(&j->model, j->model_path, &j->adapters, j->memory, SIZE_MAX, &j->arena,
                           err))
        return err->code;
    const char *const path[] = {j->o.reference, j->decoder.with, j->decoder.untuned};
    dele_model *const model[] = {&j->reference, &j->with, &j->untuned};
    for (int i = 0; i < 3; i++)
        if (path[i] && dele_model_load_wide(model[i], path[i], j->memory, &j->arena, err))
            return err->code;
    if (!j->decoder.kind) return DELE_OK;
    return dele_decoder_open(&j->decodes, &j->decoder, &j->model, &j->with,
                             j->decoder.untuned ? &j->untuned : NULL, j->o.chat, &j->arena, err);
}

static dele_status save_eval(eval_job *j, dele_err *err)
{
    const char *part = j->result.dir.part;
    const char *eval = dele_printf(&j->arena, err, "%s/eval.json", part);
    const char *shaped = dele_printf(&j->arena, err, "%s/results_lm_eval.json", part);
    if (!eval || !shaped || dele_json_save(eval, j->json, err)) return err->code;
    cJSON *harness = lm_eval_results(j->json);
    dele_json_save(shaped, harness, err);
    cJSON_Delete(harness);
    return err->code;
}

static dele_status run_eval(eval_job *j, const dele_option *options, dele_err *err)
{
    const dele_suite *suite = find_suite(j, options, err);
    if (!suite || open_eval_result(j, suite, err) || load_eval_models(j, err) ||
        score_suite(j, suite, err) || save_eval(j, err) || dele_result_commit(&j->result, err))
        return err->code;
    return j->common.json ? dele_json_show(j->json, err) : DELE_OK;
}

int cmd_eval(int argc, char **argv)
{
    eval_job j = {.o = DELE_SUITE_DEFAULTS,
                  .memory = DELE_DEFAULT_MEMORY,
                  .adapters = {DELE_ADAPTER_DEFAULTS},
                  .decoder = DELE_DECODER_DEFAULTS};
    dele_err err = {0};
    const char *data = dele_suite_data_help(&j.arena, &err);
    const dele_option options[] = {
        DELE_GROUP("suite and data"),
        DELE_CHOICE("suite", &j.suite, dele_suite_name, "what is evaluated"),
        DELE_OPT("data", &j.o.data, data),
        DELE_OPT("out", &j.out, "directory for the result; must not exist"),
        DELE_ADAPTER_OPTIONS(j.adapters),
        DELE_GROUP("multiple choice"),
        DELE_OPT("split", &j.o.split, "mmlu: val or test (default val)"),
        DELE_OPT("style", &j.o.style,
                 "mmlu: harness (letters; default), continuation (their text), hendrycks, "
                 "open-instruct"),
        DELE_OPT("shots", &j.o.shots,
                 "mmlu: number of few-shot examples, 0 to 5; -1: the style's own, 0 or 5"),
        DELE_OPT("subjects", &j.o.subjects,
                 "mmlu: only these subjects, comma-separated (default: all)"),
        DELE_FLAG(
            "generate", &j.o.generate,
            "choices: the model writes an answer, and the letter or text that it names counts"),
        DELE_GROUP("rows and generation"),
        DELE_OPT("limit", &j.o.limit,
                 "maximum number of questions per subject or set, rows per file, or facts; 0: all"),
        DELE_MEMORY_OPTION(j.memory),
        DELE_OPT("ids", &j.o.ids, "lume: a file with one id a line; only these rows"),
        DELE_CHAT_OPTION(&j.o.chat, "the input (lume, tofu, qa, gsm8k; choices with --generate)"),
        DELE_OPT("max-new", &j.o.max_new,
                 "lume, tofu, qa, gsm8k, choices: maximum number of new tokens; 0: 256, 200, 32, "
                 "256, 128"),
        DELE_OPT("template", &j.o.template,
                 "tofu: text around the question, {} stands for it; default: none"),
        DELE_GROUP("several models at a time"),
        DELE_DECODER_ROWS(j.decoder),
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
        .summary = "evaluate a model: MMLU, multiple choice, short answers, GSM8K, LUME, TOFU, "
                   "membership, facts",
        .synopsis = "MODEL --suite SUITE --data PATH --out DIR",
        .example = "deleatur eval models/smollm2 --suite mmlu --data data/mmlu --style "
                   "continuation --out results/before",
        .options = options,
        .positional = &j.model_path,
        .n_positional = 1,
        .tables = true,
    };
    if (!err.code && !dele_options_parse(&j.common, &usage, argc, argv, &j.arena, &err) &&
        !j.common.help) {
        j.json = cJSON_CreateObject();
        dele_manifest_begin(&j.result.manifest, &usage, argc, argv);
        run_eval(&j, options, &err);
    }
    dele_result_release(&j.result);
    cJSON_Delete(j.json);
    dele_decoder_close(&j.decodes);
    dele_run_release(&j.run);
    dele_model_release(&j.untuned);
    dele_model_release(&j.with);
    dele_model_release(&j.reference);
    dele_model_release(&j.model);
    dele_arena_release(&j.arena);
    return dele_complain(&err);
}
