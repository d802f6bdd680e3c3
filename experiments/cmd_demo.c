/* lacuna demo -- the whole job on the embedded model, offline, in under a minute.
 *
 *   1. score     240 facts about people who do not exist, and what everybody knows (bakers make bread)
 *   2. trace     a few of the facts to forget: which layers carry them, at which token
 *   3. unlearn   eight people, by training the MLPs of layers 0-5 alone
 *   4. score     again: forgotten? and what else was lost?
 *   5. diff      which tensors moved
 *
 * The same functions that the commands call, on a model of 2.3 million weights (data/models/README.md).  --out DIR
 * keeps the unlearned checkpoint; otherwise it goes with the end of the program. */
#include "experiments/cmd.h"

#include <string.h>

#include "base/option.h"
#include "base/share.h"
#include "score/facts_suite.h"
#include "trace/stats.h"
#include "unlearn/trainer.h"

typedef struct {
    const char *out;
    lac_train_options train;
    int traced;
    FILE *talk; /* NULL: silent */
} demo;

typedef struct {
    lac_facts people, plain;
    lac_dataset forget, retain;
} demo_data;

typedef struct {
    lac_facts_scores people, plain;
} demo_scores;

static lac_status load_facts(lac_facts *facts, const char *name, lac_arena *arena, lac_err *err)
{
    const char *path = lac_share_path(name, arena, err);
    return path ? lac_facts_load(facts, path, arena, err) : err->code;
}

static lac_status load_rows(lac_dataset *set, const char *name, const lac_model *model, lac_arena *arena, lac_err *err)
{
    const lac_dataset_options o = {.chat = LAC_CHAT_NONE, .eos = false, .max_tokens = (size_t)model->config.context};
    const char *path = lac_share_path(name, arena, err);
    return path ? lac_dataset_add(set, path, model->tokenizer, &o, arena, err) : err->code;
}

static lac_status load(demo_data *data, lac_model *model, lac_arena *arena, lac_err *err)
{
    const char *path = lac_share_path("data/models/demo", arena, err);
    if (!path || lac_model_load(model, path, arena, err) ||
        load_facts(&data->people, "data/facts/demo_facts.json", arena, err) ||
        load_facts(&data->plain, "data/facts/demo_plain.json", arena, err) ||
        load_rows(&data->forget, "data/demo/forget.jsonl", model, arena, err) ||
        load_rows(&data->retain, "data/demo/retain.jsonl", model, arena, err))
        return err->code;
    return LAC_OK;
}

static lac_status score(demo_scores *scores, const demo_data *data, const lac_model *model, lac_arena *arena,
                        lac_err *err)
{
    lac_run run = {0};
    const lac_facts_opts opts = {0};
    if (!lac_facts_score(&scores->people, &data->people, &run, model, &opts, arena, err))
        lac_facts_score(&scores->plain, &data->plain, &run, model, &opts, arena, err);
    lac_run_release(&run);
    return err->code;
}

static lac_status show_trace(const demo *d, const demo_data *data, const lac_model *model, lac_arena *arena,
                             lac_err *err)
{
    lac_trace trace;
    lac_trace_stats stats;
    lac_trace_opts o = LAC_TRACE_DEFAULTS;
    lac_progress progress;
    o.windows = "3"; /* 10 of 30 or 48 layers in the papers; 3 of 8 here */
    o.limit = d->traced;
    o.split = "forget";
    lac_progress_begin(&progress, d->talk, "trace", "facts", d->traced);
    lac_status status = lac_trace_run(&trace, NULL, model, &data->people, &o, &progress, arena, err);
    lac_progress_end(&progress);
    if (status || lac_trace_statistics(&stats, &trace, arena, err)) return err->code;
    for (size_t i = 0; i < trace.n; i++) {
        if (trace.facts[i].left_out) continue;
        printf("\n\"%s\"  what restoring one layer's state brings back\n", trace.facts[i].fact->prompt);
        lac_trace_sketch(stdout, &trace, &trace.facts[i], 0); /* hidden states */
        break;
    }
    printf("\nmean over %zu facts, MLPs of %s layers restored together\n", trace.n_traced, o.windows);
    lac_trace_sketch_average(stdout, &trace, &stats, 1);
    return LAC_OK;
}

static lac_status unlearn(const demo *d, demo_data *data, lac_model *model, lac_arena *arena, lac_err *err)
{
    lac_mask mask;
    lac_train_report report;
    lac_progress progress;
    if (lac_mask_parse(&mask, model, "0-5", "mlp", arena, err)) return err->code;
    if (lac_train_plan(&report, &data->forget, &data->retain, &d->train, err)) return err->code;
    lac_progress_begin(&progress, d->talk, "unlearn", "rows", (double)report.rows_in_all);
    lac_train(&report, model, &mask, &data->forget, &data->retain, &d->train, NULL, &progress, err);
    lac_progress_end(&progress);
    if (!err->code)
        printf("\nunlearned with %zu updates of %d rows: %zu of %zu tensors may move (MLPs of layers 0-5)\n",
               report.done, d->train.batch, mask.n_trained, mask.n_tensors);
    return err->code;
}

static void put_row(const char *what, const lac_facts_cell *before, const lac_facts_cell *after)
{
    printf("%-36s %4zu   %5.1f %% -> %5.1f %%   %.3f -> %.3f\n", what, before->n, 100 * before->top1, 100 * after->top1,
           before->p, after->p);
}

static void show_scores(const demo_scores *a, const demo_scores *b)
{
    static const char *const split[] = {"all", "to forget", "to keep"}, *const form[] = {"", ", in other words"};
    char what[64];
    printf("\n%-36s %4s   %-20s %s\n", "facts", "n", "answered first", "p(answer)");
    for (int s = LAC_SPLIT_FORGET; s < LAC_SPLITS; s++)
        for (int f = 0; f < LAC_FORMS; f++) {
            snprintf(what, sizeof what, "%s%s", split[s], form[f]);
            put_row(what, &a->people.cell[s][f], &b->people.cell[s][f]);
        }
    for (int f = 0; f < LAC_FORMS; f++) {
        snprintf(what, sizeof what, "what everybody knows%s", form[f]);
        put_row(what, &a->plain.cell[LAC_SPLIT_ALL][f], &b->plain.cell[LAC_SPLIT_ALL][f]);
    }
}

static void show_diff(const lac_model *before, const lac_model *after)
{
    size_t same = 0, weights = 0;
    for (size_t i = 0; i < before->n_tensors; i++) {
        const lac_tensor *a = &before->tensors[i], *b = &after->tensors[i];
        bool equal = !memcmp(a->data, b->data, a->rows * a->cols * sizeof *a->data);
        same += equal;
        if (!equal) weights += a->rows * a->cols;
    }
    printf("\n%zu of %zu tensors are bit-equal to the original; the others hold %.2f of %.2f million weights\n", same,
           before->n_tensors, (double)weights / 1e6, (double)lac_model_parameters(before) / 1e6);
}

static lac_status keep(const demo *d, const lac_model *model, lac_err *err)
{
    lac_outdir out = {0};
    if (!d->out) return LAC_OK;
    if (lac_outdir_open(&out, d->out, err) || lac_model_save(model, out.part, "f32", err) ||
        lac_outdir_commit(&out, err)) {
        lac_outdir_abandon(&out);
        return err->code;
    }
    printf("the unlearned model is in %s\n", d->out);
    return LAC_OK;
}

static lac_status show(const demo *d, lac_arena *arena, lac_err *err)
{
    const double began = lac_now();
    demo_data data = {0};
    demo_scores before, after;
    lac_model original = {0}, model = {0};
    if (!load(&data, &original, arena, err) && !lac_model_load(&model, original.path, arena, err) &&
        !score(&before, &data, &original, arena, err)) {
        printf("a model of %.1f million weights, which knows %zu facts about 48 people who do not exist\n",
               (double)lac_model_parameters(&original) / 1e6, data.people.n);
        if (!show_trace(d, &data, &original, arena, err) && !unlearn(d, &data, &model, arena, err) &&
            !score(&after, &data, &model, arena, err)) {
            show_scores(&before, &after);
            show_diff(&original, &model);
            if (!keep(d, &model, err)) printf("%.0f s\n", lac_now() - began);
        }
    }
    lac_model_release(&original);
    lac_model_release(&model);
    return err->code;
}

int cmd_demo(int argc, char **argv)
{
    demo d = {.traced = 5, .train = LAC_TRAIN_DEFAULTS};
    d.train.objective = lac_objective_find("joint", NULL);
    d.train.epochs = 16;
    d.train.batch = 64;
    d.train.adamw.lr = 5e-4;
    const lac_option options[] = {
        LAC_OPT("out", &d.out, "keep the unlearned model in this new directory"),
        LAC_OPT("epochs", &d.train.epochs, "times through the rows to forget"),
        LAC_OPT("lr", &d.train.adamw.lr, "highest learning rate"),
        LAC_OPT("seed", &d.train.seed, "of shuffling"),
        {0}};
    const lac_usage usage = {.command = "demo", .summary = "the whole job on the embedded model, offline",
                             .synopsis = "[--out DIR]", .example = "lacuna demo", .options = options};
    lac_arena arena = {0};
    lac_err err = {0};
    lac_common common = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help) {
        d.talk = common.quiet ? NULL : stderr;
        show(&d, &arena, &err);
    }
    lac_arena_release(&arena);
    return lac_complain(&err);
}
