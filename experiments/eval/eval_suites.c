#include "experiments/eval/eval_suites.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/former.h"
#include "base/progress.h"
#include "base/text_out.h"
#include "score/choice_sets.h"
#include "score/facts_suite.h"
#include "score/lume.h"
#include "score/membership.h"
#include "score/mmlu.h"
#include "score/qa.h"
#include "score/semeval.h"
#include "score/tofu.h"

static void begin_progress(dele_progress *p, const eval_job *j, const char *unit, size_t total)
{
    dele_progress_begin(p, j->quiet ? NULL : stderr, j->suite, unit, (double)total);
}

/* What was asked, at the top of eval.json. */
void eval_add_text(eval_job *j, const char *name, const char *value)
{
    cJSON_AddItemToObject(j->result, name, value ? cJSON_CreateString(value) : cJSON_CreateNull());
}

static void add_scores(eval_job *j, cJSON *scores)
{
    for (cJSON *item; (item = cJSON_DetachItemFromArray(scores, 0));)
        cJSON_AddItemToObject(j->result, item->string, item);
    cJSON_Delete(scores);
}

/* How many tokens a suite lets the model say, where nobody asked for another number. */
static int max_new(const eval_job *j, int usual) { return j->max_new ? j->max_new : usual; }

static const char *style_of(const eval_job *j) { return j->style ? j->style : "harness"; }
static const char *chat_of(const eval_job *j) { return j->chat ? j->chat : "none"; }

/* Prints a table the way that was asked for, and releases it; behind another one stands an empty
 * line. */
static void print_table(eval_job *j, dele_table *table, dele_err *err)
{
    if (j->n_tables++ && !j->json) putchar('\n');
    FILE *to = j->json ? NULL : stdout;
    if (to)
        dele_table_print(table, to, dele_table_form_of(j->csv), err);
    else
        dele_table_release(table);
}

static dele_status only_compat(const eval_job *j, const char *known, dele_err *err)
{
    if (!j->compat || !strcmp(j->compat, known)) return DELE_OK;
    return dele_fail(err, DELE_ERR_USAGE, "--compat %s: --suite %s has %s only", j->compat,
                     j->suite, known);
}

static dele_status eval_mmlu(eval_job *j, dele_err *err)
{
    dele_mmlu data;
    dele_mmlu_scores scores;
    dele_progress progress;
    dele_mmlu_opts opts = {.items = &j->items, .progress = &progress};
    const char *split = j->split ? j->split : "val";
    if (only_compat(j, "pandas", err) || dele_mmlu_parse_style(&opts.style, style_of(j), err))
        return err->code;
    opts.shots = j->shots < 0 ? dele_mmlu_default_shots(opts.style) : j->shots;
    if (opts.shots > 5)
        return dele_fail(err, DELE_ERR_USAGE, "--shots %d: MMLU's dev split has 0 to 5", j->shots);
    if (j->compat && opts.style != DELE_MMLU_HENDRYCKS && opts.style != DELE_MMLU_OPEN_INSTRUCT)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--compat pandas belongs to the styles hendrycks and open-instruct; the "
                         "harness reads no CSV");
    dele_status status =
        dele_mmlu_load(&data, j->data, split, j->subjects, opts.shots, j->limit, &j->arena, err);
    if (status) return status;
    if (j->compat) dele_mmlu_through_pandas(&data);
    begin_progress(&progress, j, "questions", data.n_items);
    status = dele_mmlu_run(&scores, &data, &j->run, &j->model, &opts, &j->arena, err);
    dele_progress_end(&progress);
    if (status) return status;
    eval_add_text(j, "split", split);
    eval_add_text(j, "style", dele_mmlu_style_name(opts.style));
    if (j->compat) eval_add_text(j, "compat", j->compat);
    cJSON_AddNumberToObject(j->result, "shots", opts.shots);
    add_scores(j, dele_mmlu_json(&scores, &data));
    dele_table table = {0};
    dele_mmlu_table(&table, &scores, &data);
    print_table(j, &table, err);
    return err->code;
}

/* What other result of eval is asked for, and of what suite it must be; NULL with err set. */
static cJSON *load_result(eval_job *j, const char *path, const char *suite, dele_err *err)
{
    const char *file =
        dele_printf(&j->arena, err, dele_path_is_dir(path) ? "%s/eval.json" : "%s", path);
    cJSON *json = file && !dele_former_refuse(file, err) ? dele_json_load_result(file, err) : NULL;
    const char *theirs = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "suite"));
    if (!json || (theirs && !strcmp(theirs, suite))) return json;
    if (!theirs) theirs = "unknown";
    dele_fail(err, DELE_ERR_DATA, "%s is a result of suite %s; one of %s is needed", path, theirs,
              suite);
    cJSON_Delete(json);
    return NULL;
}

/* A number of the retrained model says something beside ours only where both were scored in the
 * same way. */
static dele_status same_setting(const eval_job *j, const cJSON *retrained, const char *name,
                                const char *ours, dele_err *err)
{
    const char *theirs = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(retrained, name));
    if (ours && theirs ? !strcmp(ours, theirs) : ours == theirs) return DELE_OK;
    return dele_fail(
        err, DELE_ERR_DATA,
        "--retrained %s was scored %s%s%s%s, this model %s%s%s%s; score both with the same",
        j->retrained, theirs ? "with --" : "without --", name, theirs ? " " : "",
        theirs ? theirs : "", ours ? "with --" : "without --", name, ours ? " " : "",
        ours ? ours : "");
}

/* The result behind --retrained, checked; NULL without one, or with err set. */
static cJSON *load_retrained(eval_job *j, dele_err *err)
{
    const bool prompts = !strcmp(j->suite, "tofu");
    cJSON *json = j->retrained ? load_result(j, j->retrained, j->suite, err) : NULL;
    if (!json || (!same_setting(j, json, "compat", j->compat, err) &&
                  (!prompts || (!same_setting(j, json, "chat", chat_of(j), err) &&
                                !same_setting(j, json, "template", j->template, err)))))
        return json;
    cJSON_Delete(json);
    return NULL;
}

static dele_status membership(dele_membership_scores *scores, eval_job *j, size_t first_item,
                              bool open_unlearning, dele_err *err)
{
    dele_membership data;
    dele_progress progress;
    dele_model reference = {0};
    dele_membership_opts opts = {.open_unlearning = open_unlearning,
                                 .gradnorm = j->gradnorm,
                                 .k = j->min_k,
                                 .first_item = first_item,
                                 .items = &j->items,
                                 .progress = &progress};
    cJSON *retrained = load_retrained(j, err);
    if (err->code || dele_membership_load(&data, j->data, j->limit, &j->arena, err) ||
        (j->reference && dele_model_load(&reference, j->reference, &j->arena, err))) {
        cJSON_Delete(retrained);
        return err->code;
    }
    if (j->reference) opts.reference = &reference;
    begin_progress(&progress, j, "texts", first_item + data.n);
    dele_status status =
        dele_membership_run(scores, &data, &j->run, &j->model, &opts, &j->arena, err);
    dele_progress_end(&progress);
    dele_model_release(&reference);
    if (retrained && !status)
        dele_membership_against(scores, cJSON_GetObjectItemCaseSensitive(retrained, "attacks"));
    cJSON_Delete(retrained);
    return err->code;
}

static dele_status eval_membership(eval_job *j, dele_err *err)
{
    dele_membership_scores scores;
    if (only_compat(j, "open-unlearning", err) || membership(&scores, j, 0, j->compat != NULL, err))
        return err->code;
    eval_add_text(j, "compat", j->compat);
    add_scores(j, dele_membership_json(&scores));
    dele_table table = {0};
    dele_membership_table(&table, &scores);
    print_table(j, &table, err);
    return err->code;
}

static const char *text_of(const cJSON *json, const char *name, dele_arena *arena, dele_err *err)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    return dele_strdup(arena, text ? text : "unknown", err);
}

/* MMLU's mean over questions out of another result, and of which questions; NaN where none is
 * given. */
static dele_status load_mmlu(dele_semeval_mmlu *mmlu, eval_job *j, dele_err *err)
{
    *mmlu = (dele_semeval_mmlu){.acc = NAN};
    cJSON *result = j->mmlu_result ? load_result(j, j->mmlu_result, "mmlu", err) : NULL;
    if (!result) return err->code;
    const cJSON *micro = cJSON_GetObjectItemCaseSensitive(result, "micro");
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(micro, "n");
    const cJSON *shots = cJSON_GetObjectItemCaseSensitive(result, "shots");
    *mmlu = (dele_semeval_mmlu){
        .acc = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(micro, "acc")),
        .style = text_of(result, "style", &j->arena, err),
        .split = text_of(result, "split", &j->arena, err),
        .shots = cJSON_IsNumber(shots) ? shots->valueint : 0,
        .n = cJSON_IsNumber(n) ? (size_t)n->valuedouble : 0};
    cJSON_Delete(result);
    if (!err->code && !dele_semeval_mmlu_is_official(mmlu))
        dele_note(
            "--mmlu-result %s: %zu questions of the %s split in the style %s with %d examples, "
            "where SemEval's final score uses all %d of the test split in the style open-instruct "
            "with %d: "
            "this final score is not comparable with published ones",
            j->mmlu_result, mmlu->n, mmlu->split, mmlu->style, mmlu->shots, DELE_SEMEVAL_MMLU_N,
            DELE_SEMEVAL_MMLU_SHOTS);
    return err->code;
}

/* The official score's three parts, as far as they are there. */
static dele_status add_semeval(eval_job *j, const dele_lume_scores *scores, size_t n_rows,
                               const dele_semeval_mmlu *mmlu, dele_err *err)
{
    dele_membership_scores members = {0};
    double auc = NAN;
    if (dele_path_is_dir(j->data) && dele_membership_is_there(j->data)) {
        if (membership(&members, j, n_rows, false, err)) return err->code;
        auc = members.attack[DELE_ATTACK_LOSS].auc;
        cJSON_AddItemToObject(j->result, "membership", dele_membership_json(&members));
        dele_table table = {0};
        dele_membership_table(&table, &members);
        print_table(j, &table, err);
    }
    if (!scores->complete) return DELE_OK;
    dele_semeval semeval = dele_semeval_score(scores->aggregate, auc, mmlu);
    cJSON_AddItemToObject(j->result, "semeval", dele_semeval_json(&semeval));
    dele_table table = {0};
    dele_semeval_table(&table, &semeval);
    print_table(j, &table, err);
    return err->code;
}

static dele_status eval_lume(eval_job *j, dele_err *err)
{
    dele_lume data;
    dele_lume_scores scores;
    dele_progress progress;
    dele_lume_opts opts = {.max_new = max_new(j, 256),
                           .semeval = j->compat != NULL,
                           .items = &j->items,
                           .progress = &progress};
    dele_semeval_mmlu mmlu;
    if (only_compat(j, "semeval", err)) return err->code;
    dele_status status = load_mmlu(&mmlu, j, err);
    if (!status) status = dele_chat_parse(&opts.chat, chat_of(j), j->model.tokenizer, err);
    if (!status) status = dele_lume_load(&data, j->data, j->limit, j->ids, &j->arena, err);
    if (status) return status;
    begin_progress(&progress, j, "rows", data.n);
    if (j->compat) eval_add_text(j, "compat", j->compat);
    status = dele_lume_run(&scores, &data, &j->run, &j->model, &opts, &j->arena, err);
    dele_progress_end(&progress);
    if (status) return status;
    eval_add_text(j, "chat", chat_of(j));
    cJSON_AddNumberToObject(j->result, "max_new", opts.max_new);
    add_scores(j, dele_lume_json(&scores));
    dele_table table = {0};
    dele_lume_table(&table, &scores);
    print_table(j, &table, err);
    return add_semeval(j, &scores, data.n, &mmlu, err);
}

static dele_status eval_qa(eval_job *j, dele_err *err)
{
    dele_qa_sets data;
    dele_progress progress;
    dele_qa_score_opts opts = {
        .max_new = max_new(j, 32), .items = &j->items, .progress = &progress};
    if (dele_chat_parse(&opts.chat, chat_of(j), j->model.tokenizer, err) ||
        dele_qa_sets_load(&data, j->data, j->limit, &j->arena, err))
        return err->code;
    dele_qa_score *score = DELE_NEW(&j->arena, dele_qa_score, data.n_sets, err);
    if (!score) return DELE_ERR_MEMORY;
    begin_progress(&progress, j, "questions", data.n_items);
    dele_status status = dele_qa_sets_run(score, &data, &j->run, &j->model, &opts, err);
    dele_progress_end(&progress);
    if (status) return status;
    eval_add_text(j, "chat", chat_of(j));
    cJSON_AddNumberToObject(j->result, "max_new", opts.max_new);
    add_scores(j, dele_qa_sets_json(score, &data));
    dele_table table = {0};
    dele_qa_sets_table(&table, score, &data);
    print_table(j, &table, err);
    return err->code;
}

/* --retrained as a log of open-unlearning's; NULL where it is none, or with err set. */
static cJSON *load_log(const eval_job *j, dele_err *err)
{
    cJSON *log =
        j->retrained && !dele_path_is_dir(j->retrained) ? dele_json_load(j->retrained, err) : NULL;
    bool is_log = log && dele_tofu_log_ratios(log);
    if (is_log && j->compat && !strcmp(j->compat, "open-unlearning")) {
        dele_note("%s does not record the template or chat template of its questions; --template "
                  "or --chat must be the same as for it",
                  j->retrained);
        return log;
    }
    if (is_log)
        dele_fail(err, DELE_ERR_DATA,
                  "--retrained %s is a log of open-unlearning's; give --compat open-unlearning",
                  j->retrained);
    cJSON_Delete(log);
    return NULL;
}

/* items.jsonl beside the eval.json that --retrained names, or in its directory. */
static const char *items_of_retrained(eval_job *j, dele_err *err)
{
    const char *slash = strrchr(j->retrained, '/');
    if (dele_path_is_dir(j->retrained))
        return dele_printf(&j->arena, err, "%s/items.jsonl", j->retrained);
    return dele_printf(&j->arena, err, "%.*sitems.jsonl",
                       slash ? (int)(slash + 1 - j->retrained) : 0, j->retrained);
}

static dele_status score_tofu(eval_job *j, const cJSON *log, dele_err *err)
{
    dele_tofu data;
    dele_tofu_scores scores;
    dele_progress progress;
    dele_tofu_opts opts = {.template = j->template,
                           .max_new = max_new(j, 200),
                           .items = &j->items,
                           .progress = &progress};
    if (!log) cJSON_Delete(load_retrained(j, err));
    const char *theirs = j->retrained && !log ? items_of_retrained(j, err) : NULL;
    if (err->code || dele_tofu_parse_compat(&opts.compat, j->compat, err) ||
        dele_chat_parse(&opts.chat, chat_of(j), j->model.tokenizer, err) ||
        dele_tofu_load(&data, j->data, j->limit, &j->arena, err))
        return err->code;
    begin_progress(&progress, j, "questions", data.n);
    dele_status status = dele_tofu_run(&scores, &data, &j->run, &j->model, &opts, &j->arena, err);
    dele_progress_end(&progress);
    if (!status && theirs) status = dele_tofu_quality(&scores, theirs, &j->arena, err);
    if (!status && log)
        status = dele_tofu_quality_of_log(&scores, log, j->retrained, &j->arena, err);
    if (status) return status;
    eval_add_text(j, "compat", j->compat);
    eval_add_text(j, "chat", chat_of(j));
    eval_add_text(j, "template", j->template);
    cJSON_AddNumberToObject(j->result, "max_new", opts.max_new);
    add_scores(j, dele_tofu_json(&scores));
    dele_table table = {0};
    dele_tofu_table(&table, &scores);
    print_table(j, &table, err);
    if (dele_tofu_summary_table(&table, &scores)) print_table(j, &table, err);
    return err->code;
}

static dele_status eval_tofu(eval_job *j, dele_err *err)
{
    cJSON *log = load_log(j, err);
    dele_status status = err->code ? err->code : score_tofu(j, log, err);
    cJSON_Delete(log);
    return status;
}

static dele_status eval_facts(eval_job *j, dele_err *err)
{
    dele_facts facts;
    dele_facts_scores scores;
    dele_progress progress;
    dele_facts_opts opts = {.items = &j->items, .progress = &progress};
    dele_status status = dele_facts_load(&facts, j->data, &j->arena, err);
    if (status) return status;
    if (facts.note) dele_note("%s: %s", j->data, facts.note);
    if (j->limit && (size_t)j->limit < facts.n) facts.n = (size_t)j->limit;
    size_t n = facts.n;
    for (size_t i = 0; i < facts.n; i++) n += facts.fact[i].paraphrase != NULL;
    begin_progress(&progress, j, "prompts", n);
    status = dele_facts_score(&scores, &facts, &j->run, &j->model, &opts, &j->arena, err);
    dele_progress_end(&progress);
    if (status) return status;
    if (scores.n_too_long)
        dele_note("%s: %zu prompt%s left out: with the answer, longer than the model's context of "
                  "%d tokens",
                  j->data, scores.n_too_long, scores.n_too_long == 1 ? " is" : "s are",
                  j->model.config.context);
    cJSON_AddNumberToObject(j->result, "n", (double)facts.n);
    add_scores(j, dele_facts_json(&scores));
    dele_table table = {0};
    dele_facts_table(&table, &scores);
    print_table(j, &table, err);
    return err->code;
}

static dele_status eval_choices(eval_job *j, dele_err *err)
{
    dele_choice_sets data;
    dele_progress progress;
    if (dele_choice_sets_load(&data, j->data, j->limit, &j->arena, err)) return err->code;
    dele_accuracy *accuracy = DELE_NEW(&j->arena, dele_accuracy, data.n_sets, err);
    if (!accuracy) return DELE_ERR_MEMORY;
    begin_progress(&progress, j, "questions", data.n_items);
    dele_status status =
        dele_choice_sets_run(accuracy, &data, &j->run, &j->model, &j->items, &progress, err);
    dele_progress_end(&progress);
    if (status) return status;
    add_scores(j, dele_choice_sets_json(accuracy, &data));
    dele_table table = {0};
    dele_choice_sets_table(&table, accuracy, &data);
    print_table(j, &table, err);
    return err->code;
}

static const eval_suite suites[] = {
    {"mmlu", eval_mmlu, true, {"split", "style", "shots", "subjects", "compat"}},
    {"choices", eval_choices, true, {NULL}},
    {"qa", eval_qa, true, {"chat", "max-new"}},
    {"lume", eval_lume, true, {"ids", "chat", "max-new", "mmlu-result", "compat"}},
    {"tofu", eval_tofu, true, {"chat", "max-new", "template", "retrained", "compat"}},
    {"membership",
     eval_membership,
     true,
     {"reference", "gradnorm", "min-k", "retrained", "compat"}},
    {"facts", eval_facts, true, {NULL}},
};

static bool has_option(const eval_suite *suite, const char *name)
{
    for (int i = 0; i < EVAL_MOST_OPTIONS && suite->options[i]; i++)
        if (!strcmp(suite->options[i], name)) return true;
    return false;
}

dele_status eval_check_options(const eval_job *j, const eval_suite *suite, dele_err *err)
{
    const struct {
        const char *name;
        bool given;
    } option[] = {
        {"split", j->split},          {"style", j->style},       {"shots", j->shots != -1},
        {"subjects", j->subjects},    {"ids", j->ids},           {"chat", j->chat},
        {"max-new", j->max_new != 0}, {"template", j->template}, {"mmlu-result", j->mmlu_result},
        {"reference", j->reference},  {"gradnorm", j->gradnorm}, {"min-k", j->min_k != 0},
        {"retrained", j->retrained},  {"compat", j->compat}};
    char own[160] = "";
    for (int i = 0; i < EVAL_MOST_OPTIONS && suite->options[i]; i++)
        snprintf(own + strlen(own), sizeof own - strlen(own), "%s--%s", i ? ", " : "",
                 suite->options[i]);
    for (size_t i = 0; i < sizeof option / sizeof *option; i++)
        if (option[i].given && !has_option(suite, option[i].name))
            return dele_fail(err, DELE_ERR_USAGE, "--%s: --suite %s does not use it; %s%s",
                             option[i].name, suite->name,
                             *own ? "it has " : "it has --data, --limit and --out only", own);
    return DELE_OK;
}

const eval_suite *eval_suite_find(const char *name, dele_err *err)
{
    char known[256] = "";
    const size_t n = sizeof suites / sizeof *suites;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, suites[i].name) == 0) return &suites[i];
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s",
                 i == 0      ? ""
                 : i + 1 < n ? ", "
                             : " or ",
                 suites[i].name);
    }
    dele_fail(err, DELE_ERR_USAGE, "--suite %s is not known: %s", name, known);
    return NULL;
}

/* Of MMLU the split's directory, and dev's where examples came from it. */
dele_status eval_add_inputs(eval_job *j, dele_manifest *manifest, dele_err *err)
{
    const char *inner = dele_membership_folder(j->data, &j->arena, err);
    const char *other[] = {j->ids, j->reference, j->retrained, j->mmlu_result,
                           inner && strcmp(inner, j->data) ? inner : NULL};
    dele_status status = dele_manifest_input(manifest, j->model_path, err);
    for (size_t i = 0; i < sizeof other / sizeof *other && !status; i++)
        if (other[i]) status = dele_manifest_input(manifest, other[i], err);
    if (strcmp(j->suite, "mmlu") != 0)
        return status ? status : dele_manifest_input(manifest, j->data, err);
    dele_mmlu_style style;
    char *split = dele_printf(&j->arena, err, "%s/%s", j->data, j->split ? j->split : "val");
    char *dev = dele_printf(&j->arena, err, "%s/dev", j->data);
    if (!split || !dev || dele_mmlu_parse_style(&style, style_of(j), err)) return err->code;
    bool shots = j->shots < 0 ? dele_mmlu_default_shots(style) > 0 : j->shots > 0;
    if (!status) status = dele_manifest_input(manifest, split, err);
    return !status && shots ? dele_manifest_input(manifest, dev, err) : status;
}
