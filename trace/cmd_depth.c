/* lacuna depth -- are facts gone from a model, or only no longer said?
 *
 *   reads    an unlearned model, the one it was made from, one that never saw the facts; rows of questions and answers
 *   writes   DIR/depth.json, items.jsonl (a line a row), plots/depth.tsv and its picture, manifest.json
 *            (DIR.part until all is there; the same command goes on behind an interrupted one)
 *   prints   the score and the table of layers; with --json, depth.json
 *
 * The three models are in memory at once, as float32. */
#include "trace/cmd_depth.h"

#include <string.h>

#include "base/manifest.h"
#include "plots/gnuplot.h"
#include "trace/depth.h"

typedef struct {
    lac_depth_opts o;
    const char *path[LAC_N_DEPTH_MODELS], *data, *out;
    lac_model model[LAC_N_DEPTH_MODELS];
    lac_items items;
    lac_outdir dir;
    lac_manifest manifest;
    lac_arena arena;
} command;

static lac_status check_command(const command *c, lac_err *err)
{
    if (!*c->path[LAC_DEPTH_FULL] || !*c->data || !*c->out)
        return lac_fail(err, LAC_ERR_USAGE, "depth needs --full MODEL, --retain MODEL, --data FILE and --out DIR "
                        "(lacuna depth --help)");
    if (!*c->path[LAC_DEPTH_RETAIN])
        return lac_fail(err, LAC_ERR_USAGE, "depth needs --retain MODEL, one that never saw the rows; where none was "
                        "trained without them, the base model from before the teaching is one");
    return lac_depth_check(&c->o, err);
}

/* Notes the inputs, opens the directory, loads what is needed; a model named twice is loaded once. */
static lac_status open_all(command *c, const lac_model *models[], const lac_common *common, lac_err *err)
{
    bool resumed;
    char *key;
    if (lac_manifest_input(&c->manifest, c->data, err)) return err->code;
    for (int m = 0; m < LAC_N_DEPTH_MODELS; m++)
        if (lac_manifest_input(&c->manifest, c->path[m], err)) return err->code;
    if (!(key = lac_manifest_key(&c->manifest, "out", &c->arena, err)) ||
        lac_outdir_resume(&c->dir, c->out, key, &resumed, err) || lac_outdir_sub(&c->dir, "plots", err))
        return err->code;
    for (int m = 0; m < LAC_N_DEPTH_MODELS; m++) {
        models[m] = NULL;
        for (int k = 0; k < m && !models[m]; k++)
            if (!strcmp(c->path[k], c->path[m])) models[m] = models[k];
        if (models[m]) continue;
        if (lac_model_load(&c->model[m], c->path[m], &c->arena, err)) return err->code;
        models[m] = &c->model[m];
    }
    char *items = lac_printf(&c->arena, err, "%s/items.jsonl", c->dir.part);
    if (!items || lac_items_open(&c->items, items, err)) return err->code;
    if (c->items.n_old && !common->quiet)
        fprintf(stderr, "lacuna: going on behind %zu rows that stand in %s\n", c->items.n_old, items);
    return LAC_OK;
}

static lac_status save(command *c, const lac_depth *depth, const lac_depth_stats *stats, cJSON *json, lac_err *err)
{
    char *path = lac_printf(&c->arena, err, "%s/depth.json", c->dir.part);
    char *plots = lac_printf(&c->arena, err, "%s/plots", c->dir.part);
    char *manifest = lac_printf(&c->arena, err, "%s/manifest.json", c->dir.part);
    if (!path || !plots || !manifest || lac_json_save(path, json, err) ||
        lac_depth_save_table(depth, stats, c->dir.part, err))
        return err->code;
    lac_err drawing = {0};
    if (lac_plots_draw(plots, NULL, &drawing))
        fprintf(stderr, "lacuna: %s (everything else is in %s)\n", drawing.msg, c->dir.path);
    if (lac_manifest_save(&c->manifest, manifest, err)) return err->code;
    return lac_outdir_commit(&c->dir, err);
}

static lac_status report(const lac_depth *depth, const lac_depth_stats *stats, const cJSON *json, bool as_json,
                         lac_err *err)
{
    if (as_json) return lac_json_show(json, err);
    lac_depth_print(stdout, depth, stats);
    return LAC_OK;
}

static lac_status work(command *c, const lac_common *common, lac_err *err)
{
    const lac_model *models[LAC_N_DEPTH_MODELS];
    lac_depth depth;
    lac_depth_stats stats;
    lac_progress progress = {0};
    size_t measured = 0;
    if (open_all(c, models, common, err) || lac_depth_check_models(models, err) ||
        lac_depth_read(&depth, c->data, models, &c->o, &c->arena, err))
        return err->code;
    for (size_t i = 0; i < depth.n; i++) measured += !depth.rows[i].left_out;
    lac_progress_begin(&progress, common->quiet ? NULL : stderr, "depth", "rows", (double)measured);
    lac_status status = lac_depth_run(&depth, models, &c->items, &progress, &c->arena, err);
    lac_progress_end(&progress);
    if (lac_items_close(&c->items, err) || status || lac_depth_statistics(&stats, &depth, &c->arena, err))
        return err->code;
    cJSON *json = lac_depth_json(&depth, &stats);
    if (!json) return lac_fail(err, LAC_ERR_MEMORY, "out of memory for the result");
    if (!save(c, &depth, &stats, json, err)) report(&depth, &stats, json, common->json, err);
    cJSON_Delete(json);
    return err->code;
}

int cmd_depth(int argc, char **argv)
{
    command c = {.o = LAC_DEPTH_DEFAULTS, .path = {"", "", NULL}, .data = "", .out = ""};
    const lac_option options[] = {
        LAC_OPT("full", &c.path[LAC_DEPTH_FULL], "the model that was taught the rows, before it was unlearned"),
        LAC_OPT("retain", &c.path[LAC_DEPTH_RETAIN], "a model that never saw the rows: trained without them, or the "
                                                     "base model from before the teaching"),
        LAC_OPT("data", &c.data, "rows of questions and answers, JSONL; \"entity\" in a row: the part of the answer "
                                 "that counts"),
        LAC_OPT("out", &c.out, "a new directory for the result"),
        LAC_OPT("positions", &c.o.positions, "where states are put in: entity (what predicts it, as published) or all"),
        LAC_OPT("threshold", &c.o.threshold, "a layer counts where retain's states cost more nats a token"),
        LAC_OPT("chat", &c.o.chat, "chat layout around the question: none, auto, olmo, smollm2"),
        LAC_OPT("template", &c.o.template, "what stands around the question, {} in its place; default: nothing"),
        LAC_OPT("limit", &c.o.limit, "at most so many rows; 0: all"),
        LAC_OPT("memory", &c.o.memory, "MiB for states and batches, beside the three models"),
        LAC_FLAG("reference", &c.o.reference, "every layer by whole passes from the tokens up (slow)"),
        {0}};
    const lac_usage usage = {.command = "depth", .summary = "are facts gone from a model, or only no longer said?",
                             .synopsis = "UNLEARNED --full TAUGHT --retain MODEL --data ROWS --out DIR",
                             .example = "lacuna depth unlearned --full taught --retain base.gguf --data forget.jsonl "
                                        "--out depth",
                             .options = options, .positional = &c.path[LAC_DEPTH_UNLEARNED], .n_positional = 1};
    lac_err err = {0};
    lac_common common = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &c.arena, &err) && !common.help && !check_command(&c, &err)) {
        lac_manifest_begin(&c.manifest, &usage, argc, argv);
        work(&c, &common, &err);
    }
    lac_err closing = {0};
    lac_items_close(&c.items, &closing);
    if (err.code && !lac_items_stand(&c.dir)) lac_outdir_abandon(&c.dir);
    lac_manifest_release(&c.manifest);
    for (int m = 0; m < LAC_N_DEPTH_MODELS; m++) lac_model_release(&c.model[m]);
    lac_arena_release(&c.arena);
    return lac_complain(&err);
}
