#include "experiments/eval_suites.h"

#include <string.h>

#include "base/progress.h"
#include "score/choice_sets.h"
#include "score/facts_suite.h"
#include "score/lume.h"
#include "score/mmlu.h"

static void begin_progress(lac_progress *p, const eval_job *j, const char *unit, size_t total)
{
    lac_progress_begin(p, j->quiet ? NULL : stderr, j->suite, unit, (double)total);
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

static lac_status eval_mmlu(eval_job *j, lac_err *err)
{
    lac_mmlu data;
    lac_mmlu_scores scores;
    lac_progress progress;
    lac_mmlu_opts opts = {.items = &j->items, .progress = &progress};
    const char *split = j->split ? j->split : "val";
    if (lac_mmlu_parse_style(&opts.style, j->style, err)) return err->code;
    opts.shots = j->shots < 0 ? lac_mmlu_default_shots(opts.style) : j->shots;
    if (opts.shots > 5) return lac_fail(err, LAC_ERR_USAGE, "--shots %d: MMLU's dev split has 0 to 5", j->shots);
    lac_status status = lac_mmlu_load(&data, j->data, split, j->subjects, opts.shots, j->limit, &j->arena, err);
    if (status) return status;
    begin_progress(&progress, j, "questions", data.n_items);
    status = lac_mmlu_run(&scores, &data, &j->run, &j->model, &opts, &j->arena, err);
    lac_progress_end(&progress);
    if (status) return status;
    eval_add_text(j, "split", split);
    eval_add_text(j, "style", lac_mmlu_style_name(opts.style));
    cJSON_AddNumberToObject(j->result, "shots", opts.shots);
    add_scores(j, lac_mmlu_json(&scores, &data));
    if (!j->json) lac_mmlu_table(stdout, &scores, &data);
    return LAC_OK;
}

static lac_status eval_lume(eval_job *j, lac_err *err)
{
    lac_lume data;
    lac_lume_scores scores;
    lac_progress progress;
    lac_lume_opts opts = {.max_new = j->max_new, .items = &j->items, .progress = &progress};
    lac_status status = lac_chat_parse(&opts.chat, j->chat, j->model.tokenizer, err);
    if (!status) status = lac_lume_load(&data, j->data, j->limit, j->ids, &j->arena, err);
    if (status) return status;
    begin_progress(&progress, j, "rows", data.n);
    status = lac_lume_run(&scores, &data, &j->run, &j->model, &opts, &j->arena, err);
    lac_progress_end(&progress);
    if (status) return status;
    eval_add_text(j, "chat", j->chat);
    cJSON_AddNumberToObject(j->result, "max_new", j->max_new);
    add_scores(j, lac_lume_json(&scores));
    if (!j->json) lac_lume_table(stdout, &scores);
    return LAC_OK;
}

static lac_status eval_facts(eval_job *j, lac_err *err)
{
    lac_facts facts;
    lac_facts_scores scores;
    lac_progress progress;
    lac_facts_opts opts = {.items = &j->items, .progress = &progress};
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

static lac_status eval_choices(eval_job *j, lac_err *err)
{
    lac_choice_sets data;
    lac_progress progress;
    if (lac_choice_sets_load(&data, j->data, j->limit, &j->arena, err)) return err->code;
    lac_accuracy *accuracy = LAC_NEW(&j->arena, lac_accuracy, data.n_sets, err);
    if (!accuracy) return LAC_ERR_MEMORY;
    begin_progress(&progress, j, "questions", data.n_items);
    lac_status status = lac_choice_sets_run(accuracy, &data, &j->run, &j->model, &j->items, &progress, err);
    lac_progress_end(&progress);
    if (status) return status;
    add_scores(j, lac_choice_sets_json(accuracy, &data));
    if (!j->json) lac_choice_sets_table(stdout, accuracy, &data);
    return LAC_OK;
}

static const eval_suite suites[] = {
    {"mmlu", eval_mmlu, true},
    {"choices", eval_choices, true},
    {"lume", eval_lume, false},
    {"facts", eval_facts, true},
};

const eval_suite *eval_suite_find(const char *name, lac_err *err)
{
    char known[256] = "";
    const size_t n = sizeof suites / sizeof *suites;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, suites[i].name) == 0) return &suites[i];
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " or ", suites[i].name);
    }
    lac_fail(err, LAC_ERR_USAGE, "--suite %s is not known: %s", name, known);
    return NULL;
}

/* Of MMLU the split's directory, and dev's where examples came from it. */
lac_status eval_add_inputs(eval_job *j, lac_manifest *manifest, lac_err *err)
{
    lac_status status = lac_manifest_input(manifest, j->model_path, err);
    if (strcmp(j->suite, "mmlu") != 0) {
        if (!status) status = lac_manifest_input(manifest, j->data, err);
        return !status && j->ids ? lac_manifest_input(manifest, j->ids, err) : status;
    }
    lac_mmlu_style style;
    char *split = lac_printf(&j->arena, err, "%s/%s", j->data, j->split ? j->split : "val");
    char *dev = lac_printf(&j->arena, err, "%s/dev", j->data);
    if (!split || !dev || lac_mmlu_parse_style(&style, j->style, err)) return err->code;
    bool shots = j->shots < 0 ? lac_mmlu_default_shots(style) > 0 : j->shots > 0;
    if (!status) status = lac_manifest_input(manifest, split, err);
    return !status && shots ? lac_manifest_input(manifest, dev, err) : status;
}
