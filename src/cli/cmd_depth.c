/* deleatur depth -- unlearning depth (UDS): facts removed, or only not generated?
 *
 *   reads    an unlearned model, the one it was made from, one that never saw the facts; rows of
 *            questions and answers
 *   writes   DIR/depth.json, items.jsonl (a line a row), plots/depth.tsv and its picture,
 *            manifest.json (DIR.part until all is there; the same command resumes an interrupted
 *            one)
 *   prints   the score and the table of layers; with --json, depth.json
 *
 * The three models are in memory at once. */
#include "cli/cmd.h"

#include <string.h>

#include "adapter/adapter.h"
#include "base/json_out.h"
#include "base/text_out.h"
#include "option/result.h"
#include "plots/gnuplot.h"
#include "trace/depth/depth.h"

typedef struct {
    dele_depth_opts o;
    const char *path[DELE_N_DEPTH_MODELS], *data, *out;
    dele_model model[DELE_N_DEPTH_MODELS];
    dele_result result;
    dele_arena arena;
    int memory;
    dele_adapter_options adapters; /* of the unlearned model */
} depth_command;

static dele_status check_command(const depth_command *c, dele_err *err)
{
    if (!*c->path[DELE_DEPTH_FULL] || !*c->data || !*c->out)
        return dele_fail(err, DELE_ERR_USAGE,
                         "depth needs --full MODEL, --retain MODEL, --data FILE and --out DIR "
                         "(deleatur depth --help)");
    if (!*c->path[DELE_DEPTH_RETAIN])
        return dele_fail(err, DELE_ERR_USAGE,
                         "depth needs --retain MODEL, a model that never saw the rows: one trained "
                         "without them, or the base model");
    return dele_depth_check(&c->o, err);
}

/* Notes the inputs, opens the directory, loads what is needed; a model named twice is loaded
 * once. */
static dele_status open_all(depth_command *c, const dele_model *models[], const dele_common *common,
                            dele_err *err)
{
    const char *input[1 + DELE_N_DEPTH_MODELS] = {c->data};
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++) input[1 + m] = c->path[m];
    if (dele_adapters_note(&c->result.manifest, &c->adapters, err) ||
        dele_result_open(&c->result, input, sizeof input / sizeof *input, c->out,
                         common->quiet ? NULL : "rows", err) ||
        dele_outdir_sub(&c->result.dir, "plots", err))
        return err->code;
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++) {
        models[m] = NULL;
        const bool adapted = c->adapters.list && m == DELE_DEPTH_UNLEARNED;
        for (int k = 0; k < m && !models[m] && !adapted; k++)
            if (!strcmp(c->path[k], c->path[m])) models[m] = models[k];
        if (models[m]) continue;
        if (adapted ? dele_adapters_load(&c->model[m], c->path[m], &c->adapters, c->memory,
                                         SIZE_MAX, &c->arena, err)
                    : dele_model_load_wide(&c->model[m], c->path[m], c->memory, &c->arena, err))
            return err->code;
        models[m] = &c->model[m];
    }
    return DELE_OK;
}

static dele_status save_depth(depth_command *c, const dele_depth *depth,
                              const dele_depth_stats *stats, cJSON *json, dele_err *err)
{
    const char *part = c->result.dir.part;
    char *path = dele_printf(&c->arena, err, "%s/depth.json", part);
    char *plots = dele_printf(&c->arena, err, "%s/plots", part);
    if (!path || !plots || dele_json_save(path, json, err) ||
        dele_depth_save_table(depth, stats, part, err))
        return err->code;
    dele_err drawing = {0};
    if (dele_plots_draw(plots, NULL, &drawing))
        dele_note("%s (everything else is in %s)", drawing.msg, c->result.dir.path);
    return dele_result_commit(&c->result, err);
}

static dele_status report_depth(const dele_depth *depth, const dele_depth_stats *stats,
                                const cJSON *json, bool as_json, dele_err *err)
{
    if (as_json) return dele_json_show(json, err);
    dele_depth_print(stdout, depth, stats);
    return DELE_OK;
}

/* Reads, measures and saves.  Rows that an interrupted run has measured come from items.jsonl. */
static dele_status measure_depth(depth_command *c, const dele_common *common, dele_err *err)
{
    const dele_model *models[DELE_N_DEPTH_MODELS];
    dele_depth depth;
    dele_depth_stats stats;
    dele_progress progress = {0};
    size_t measured = 0;
    if (open_all(c, models, common, err) || dele_depth_check_models(models, err) ||
        dele_depth_read(&depth, c->data, models, &c->o, &c->arena, err))
        return err->code;
    for (size_t i = 0; i < depth.n; i++) measured += !depth.rows[i].left_out;
    dele_progress_begin(&progress, common->quiet ? NULL : stderr, "depth", "rows",
                        (double)measured);
    dele_status status =
        dele_depth_run(&depth, models, &c->result.items, &progress, &c->arena, err);
    dele_progress_end(&progress);
    if (dele_items_close(&c->result.items, err) || status ||
        dele_depth_statistics(&stats, &depth, &c->arena, err))
        return err->code;
    cJSON *json = dele_depth_json(&depth, &stats);
    if (!json) return dele_fail(err, DELE_ERR_MEMORY, "out of memory for the result");
    if (!save_depth(c, &depth, &stats, json, err))
        report_depth(&depth, &stats, json, common->json, err);
    cJSON_Delete(json);
    return err->code;
}

int cmd_depth(int argc, char **argv)
{
    depth_command c = {.o = DELE_DEPTH_DEFAULTS,
                       .path = {"", "", NULL},
                       .data = "",
                       .out = "",
                       .memory = DELE_DEFAULT_MEMORY,
                       .adapters = {DELE_ADAPTER_DEFAULTS}};
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("models and data"),
        DELE_OPT("full", &c.path[DELE_DEPTH_FULL],
                 "the model fine-tuned on the rows, before unlearning"),
        DELE_OPT("retain", &c.path[DELE_DEPTH_RETAIN],
                 "a model that never saw the rows: trained without them, or the base model"),
        DELE_ADAPTER_OPTIONS(c.adapters),
        DELE_OPT("data", &c.data,
                 "question-answer rows, JSONL; \"entity\" in a row: the part of the answer that "
                 "is scored"),
        DELE_GROUP("result"),
        DELE_OPT("out", &c.out, "directory for the result; must not exist"),
        DELE_GROUP("method"),
        DELE_CHOICE("positions", &c.o.positions, dele_depth_positions_name,
                    "positions that are patched: entity (those that predict it, as published) or "
                    "all"),
        DELE_OPT("threshold", &c.o.threshold,
                 "minimum loss of log p with retain's hidden states, in nats per token, for a "
                 "layer to count"),
        DELE_CHAT_OPTION(&c.o.chat, "the question"),
        DELE_OPT("template", &c.o.template,
                 "text around the question, {} stands for it; default: none"),
        DELE_GROUP("rows and memory"),
        DELE_OPT("limit", &c.o.limit, "maximum number of rows; 0: all"),
        DELE_MEMORY_OPTION(c.memory),
        DELE_OPT("batch-memory", &c.o.memory, "MiB for hidden states and batches"),
        DELE_FLAG("reference", &c.o.reference, "every layer by full forward passes (slow)"),
        {0}};
    /* clang-format on */
    const dele_usage usage = {
        .command = "depth",
        .summary = "unlearning depth (UDS): facts removed, or only not generated?",
        .synopsis = "UNLEARNED --full TAUGHT --retain MODEL --data ROWS --out DIR",
        .example = "deleatur depth unlearned --full taught --retain base.gguf --data forget.jsonl "
                   "--out depth",
        .options = options,
        .positional = &c.path[DELE_DEPTH_UNLEARNED],
        .n_positional = 1};
    dele_err err = {0};
    dele_common common = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &c.arena, &err) && !common.help &&
        !check_command(&c, &err)) {
        dele_manifest_begin(&c.result.manifest, &usage, argc, argv);
        measure_depth(&c, &common, &err);
    }
    dele_result_release(&c.result);
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++) dele_model_release(&c.model[m]);
    dele_arena_release(&c.arena);
    return dele_complain(&err);
}
