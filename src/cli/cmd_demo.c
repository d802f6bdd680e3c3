/* deleatur demo -- demonstration on the embedded model, offline, in under a minute.
 *
 *   1. score     240 facts about people who do not exist, and what everybody knows (bakers make
 *                bread)
 *   2. trace     a few of the facts to forget: which layers carry them, at which token
 *   3. unlearn   eight people, by training the MLPs of layers 0-5 alone
 *   4. score     again: forgotten? and what else was lost?
 *   5. diff      which tensors moved
 *
 * The same functions that the commands call, on a model of 2.3 million weights
 * (data/models/README.md).  --out DIR keeps the unlearned checkpoint; otherwise it goes with the
 * end of the program.  With --json it prints the numbers of the steps instead of the tables and the
 * pictures. */
#include "cli/cmd.h"

#include <string.h>

#include "base/json_out.h"
#include "base/share.h"
#include "base/text_out.h"
#include "option/option.h"
#include "score/suites/facts_suite.h"
#include "trace/report/stats.h"
#include "trace/report/terminal_heatmap.h"
#include "trace/run.h"
#include "unlearn/trainer.h"

typedef struct {
    const char *out;
    dele_train_options train;
    int traced;
    FILE *talk;  /* NULL: silent */
    cJSON *json; /* the result for --json; NULL: text is printed as it comes */
} demo;

typedef struct {
    dele_facts people, plain;
    dele_dataset forget, retain;
} demo_data;

typedef struct {
    dele_facts_scores people, plain;
} demo_scores;

static dele_status load_facts(dele_facts *facts, const char *name, dele_arena *arena, dele_err *err)
{
    const char *path = dele_share_path(name, arena, err);
    return path ? dele_facts_load(facts, path, arena, err) : err->code;
}

static dele_status load_rows(dele_dataset *set, const char *name, const dele_model *model,
                             dele_arena *arena, dele_err *err)
{
    const dele_dataset_options o = {
        .chat = NULL, .eos = false, .max_tokens = (size_t)dele_longest(&model->config)};
    const char *path = dele_share_path(name, arena, err);
    return path ? dele_dataset_add(set, path, model->tokenizer, &o, arena, err) : err->code;
}

static dele_status load(demo_data *data, dele_model *model, dele_arena *arena, dele_err *err)
{
    const char *path = dele_share_path("data/models/demo", arena, err);
    if (!path || dele_model_load_wide(model, path, DELE_DEFAULT_MEMORY, arena, err) ||
        load_facts(&data->people, "data/facts/demo_facts.json", arena, err) ||
        load_facts(&data->plain, "data/facts/demo_plain.json", arena, err) ||
        load_rows(&data->forget, "data/demo/forget.jsonl", model, arena, err) ||
        load_rows(&data->retain, "data/demo/retain.jsonl", model, arena, err))
        return err->code;
    return DELE_OK;
}

static dele_status score(demo_scores *scores, const demo_data *data, const dele_model *model,
                         dele_arena *arena, dele_err *err)
{
    dele_run run = {0};
    const dele_facts_opts opts = {0};
    if (!dele_facts_score(&scores->people, &data->people, &run, model, &opts, arena, err))
        dele_facts_score(&scores->plain, &data->plain, &run, model, &opts, arena, err);
    dele_run_release(&run);
    return err->code;
}

/* The mean effect of each layer's MLP on p(answer) at the last subject token. */
static void add_trace(cJSON *json, const dele_trace *trace, const dele_trace_stats *stats,
                      const char *window)
{
    cJSON *object = cJSON_AddObjectToObject(json, "trace");
    cJSON_AddNumberToObject(object, "facts", (double)trace->n_traced);
    cJSON_AddStringToObject(object, "kind", trace->charts[1].name);
    cJSON_AddStringToObject(object, "window", window);
    cJSON_AddItemToObject(object, "high", dele_json_number(stats->high[DELE_PROB]));
    cJSON_AddItemToObject(object, "low", dele_json_number(stats->low[DELE_PROB]));
    cJSON *effects = cJSON_AddArrayToObject(object, "effects");
    for (int l = 0; l < trace->charts[1].n_cols; l++)
        cJSON_AddItemToArray(
            effects, dele_json_number(
                         dele_effect_at(stats, trace, 1, DELE_PROB, DELE_LAST_SUBJECT, l)->effect));
}

/* Traces some of the forget facts by the defaults but for the window, and prints the first one's
 * hidden states and the average of the MLPs. */
static dele_status show_trace(const demo *d, const demo_data *data, const dele_model *model,
                              dele_arena *arena, dele_err *err)
{
    dele_trace trace;
    dele_trace_stats stats;
    dele_trace_opts o = DELE_TRACE_DEFAULTS;
    dele_progress progress;
    o.windows = "3"; /* 10 of 30 or 48 layers in the papers; 3 of 8 here */
    o.limit = d->traced;
    o.split = "forget";
    dele_progress_begin(&progress, d->talk, "trace", "facts", d->traced);
    dele_status status =
        dele_trace_run(&trace, NULL, model, &data->people, &o, &progress, arena, err);
    dele_progress_end(&progress);
    if (status || dele_trace_statistics(&stats, &trace, arena, err)) return err->code;
    if (d->json) add_trace(d->json, &trace, &stats, o.windows);
    for (size_t i = 0; !d->json && i < trace.n; i++) {
        if (trace.facts[i].left_out) continue;
        printf("\n\"%s\"  what restoring one layer's state brings back\n",
               trace.facts[i].fact->prompt);
        dele_trace_print_heatmap(stdout, &trace, &trace.facts[i], 0); /* hidden states */
        break;
    }
    if (d->json) return DELE_OK;
    printf("\nmean over %zu facts, MLPs of %s layers restored together\n", trace.n_traced,
           o.windows);
    dele_trace_print_average(stdout, &trace, &stats, 1);
    return DELE_OK;
}

static dele_status unlearn_facts(const demo *d, demo_data *data, dele_model *model,
                                 dele_arena *arena, dele_err *err)
{
    dele_mask mask;
    dele_train_report report;
    dele_progress progress;
    if (dele_mask_parse(&mask, model, "0-5", "mlp", arena, err)) return err->code;
    const dele_trainable trainable = {.model = model, .mask = &mask};
    const dele_train_data sets = {.set = {&data->forget, &data->retain}};
    const dele_train_output output = {.progress = &progress};
    if (dele_train_plan(&report, &sets, &d->train, err)) return err->code;
    dele_progress_begin(&progress, d->talk, "unlearn", "rows", (double)report.rows_in_all);
    dele_train(&report, &trainable, &sets, &d->train, &output, err);
    dele_progress_end(&progress);
    if (!err->code && d->json) {
        cJSON *json = cJSON_AddObjectToObject(d->json, "unlearn");
        cJSON_AddNumberToObject(json, "updates", (double)report.done);
        cJSON_AddNumberToObject(json, "batch", d->train.batch);
        cJSON_AddNumberToObject(json, "tensors_trained", (double)mask.n_trained);
        cJSON_AddNumberToObject(json, "tensors", (double)mask.n_tensors);
    } else if (!err->code)
        printf("\nunlearned with %zu updates of %d rows: %zu of %zu tensors may move (MLPs of "
               "layers 0-5)\n",
               report.done, d->train.batch, mask.n_trained, mask.n_tensors);
    return err->code;
}

/* A row of the table: printed, or added to the result. */
static void put_row(cJSON *rows, const char *what, const dele_facts_cell *before,
                    const dele_facts_cell *after)
{
    if (rows) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(rows, row);
        cJSON_AddStringToObject(row, "facts", what);
        cJSON_AddNumberToObject(row, "n", (double)before->n);
        cJSON_AddItemToObject(row, "top1_before", dele_json_number(before->top1));
        cJSON_AddItemToObject(row, "top1_after", dele_json_number(after->top1));
        cJSON_AddItemToObject(row, "p_before", dele_json_number(before->p));
        cJSON_AddItemToObject(row, "p_after", dele_json_number(after->p));
        return;
    }
    printf("%-36s %4zu   %5.1f %% -> %5.1f %%   %.3f -> %.3f\n", what, before->n,
           100 * before->top1, 100 * after->top1, before->p, after->p);
}

static void show_scores(const demo *d, const demo_scores *a, const demo_scores *b)
{
    static const char *const split[] = {"all", "forget set", "retain set"}, *const form[] = {
                                                                                "",
                                                                                ", paraphrased"};
    char what[64];
    cJSON *rows = d->json ? cJSON_AddArrayToObject(d->json, "scores") : NULL;
    if (!d->json) printf("\n%-36s %4s   %-20s %s\n", "facts", "n", "top-1 accuracy", "p(answer)");
    for (int s = DELE_FACT_SPLIT_FORGET; s < DELE_FACT_SPLITS; s++)
        for (int f = 0; f < DELE_FORMS; f++) {
            snprintf(what, sizeof what, "%s%s", split[s], form[f]);
            put_row(rows, what, &a->people.cell[s][f], &b->people.cell[s][f]);
        }
    for (int f = 0; f < DELE_FORMS; f++) {
        snprintf(what, sizeof what, "what everybody knows%s", form[f]);
        put_row(rows, what, &a->plain.cell[DELE_FACT_SPLIT_ALL][f],
                &b->plain.cell[DELE_FACT_SPLIT_ALL][f]);
    }
}

static dele_status show_diff(const demo *d, const dele_model *before, const dele_model *after,
                             dele_err *err)
{
    size_t same = 0, weights = 0;
    dele_arena scratch = {0};
    for (size_t i = 0; i < before->n_tensors; i++) {
        const dele_tensor *a = &before->tensors[i], *b = &after->tensors[i];
        bool equal = false;
        if (dele_tensor_equal(&equal, a, b, &scratch, err)) break;
        same += equal;
        if (!equal) weights += a->rows * a->cols;
    }
    dele_arena_release(&scratch);
    if (err->code) return err->code;
    if (d->json) {
        cJSON *json = cJSON_AddObjectToObject(d->json, "diff");
        cJSON_AddNumberToObject(json, "tensors", (double)before->n_tensors);
        cJSON_AddNumberToObject(json, "tensors_equal", (double)same);
        cJSON_AddNumberToObject(json, "parameters_in_the_others", (double)weights);
        return DELE_OK;
    }
    printf("\n%zu of %zu tensors are bit-equal to the original; the others hold %.2f of %.2f "
           "million weights\n",
           same, before->n_tensors, (double)weights / 1e6,
           (double)dele_model_parameters(before) / 1e6);
    return DELE_OK;
}

static dele_status keep(const demo *d, const dele_model *model, dele_err *err)
{
    dele_outdir out = {0};
    if (!d->out) return DELE_OK;
    if (dele_outdir_open(&out, d->out, err) || dele_model_save(model, out.part, "f32", err) ||
        dele_outdir_commit(&out, err)) {
        dele_outdir_abandon(&out);
        return err->code;
    }
    if (!d->json) dele_text_line(stdout, "the unlearned model is in %s", d->out);
    return DELE_OK;
}

static dele_status end_demo(const demo *d, double seconds, dele_err *err)
{
    if (!d->json) {
        printf("%.0f s\n", seconds);
        return DELE_OK;
    }
    if (d->out) cJSON_AddStringToObject(d->json, "out", d->out);
    cJSON_AddItemToObject(d->json, "seconds", dele_json_number(seconds));
    return dele_json_show(d->json, err);
}

/* The demonstration from beginning to end.  The model is loaded twice, since show_diff needs it as
 * it was. */
static dele_status demonstrate(const demo *d, dele_arena *arena, dele_err *err)
{
    const double began = dele_now();
    demo_data data = {0};
    demo_scores before, after;
    dele_model original = {0}, model = {0};
    if (!load(&data, &original, arena, err) &&
        !dele_model_load_wide(&model, original.path, DELE_DEFAULT_MEMORY, arena, err) &&
        !score(&before, &data, &original, arena, err)) {
        if (d->json) {
            cJSON_AddNumberToObject(d->json, "parameters",
                                    (double)dele_model_parameters(&original));
            cJSON_AddNumberToObject(d->json, "facts", (double)data.people.n);
        } else
            printf(
                "a model of %.1f million weights, which knows %zu facts about 48 people who do not "
                "exist\n",
                (double)dele_model_parameters(&original) / 1e6, data.people.n);
        if (!show_trace(d, &data, &original, arena, err) &&
            !unlearn_facts(d, &data, &model, arena, err) &&
            !score(&after, &data, &model, arena, err)) {
            show_scores(d, &before, &after);
            show_diff(d, &original, &model, err);
            if (!err->code && !keep(d, &model, err)) end_demo(d, dele_now() - began, err);
        }
    }
    dele_model_release(&original);
    dele_model_release(&model);
    return err->code;
}

int cmd_demo(int argc, char **argv)
{
    demo d = {.traced = 5, .train = DELE_TRAIN_DEFAULTS};
    d.train.objective = dele_objective_find("joint", NULL);
    d.train.epochs = 16;
    d.train.batch = 64;
    d.train.adamw.lr = 5e-4;
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("options"),
        DELE_OPT("out", &d.out, "directory for the unlearned model; must not exist"),
        DELE_OPT("epochs", &d.train.epochs, "number of epochs over the forget rows"),
        DELE_OPT("lr", &d.train.adamw.lr, "peak learning rate"),
        DELE_OPT("seed", &d.train.seed, "random seed of shuffling"),
        {0}};
    /* clang-format on */
    const dele_usage usage = {.command = "demo",
                              .summary = "demonstration on the embedded model, offline",
                              .synopsis = "[--out DIR]",
                              .example = "deleatur demo",
                              .options = options};
    dele_arena arena = {0};
    dele_err err = {0};
    dele_common common = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help) {
        d.talk = common.quiet ? NULL : stderr;
        d.json = common.json ? cJSON_CreateObject() : NULL;
        if (common.json && !d.json)
            dele_fail(&err, DELE_ERR_MEMORY, "out of memory for the result");
        else
            demonstrate(&d, &arena, &err);
        cJSON_Delete(d.json);
    }
    dele_arena_release(&arena);
    return dele_complain(&err);
}
