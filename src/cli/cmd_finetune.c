/* deleatur finetune -- teach a model rows or plain text; from random weights with --init.
 *
 *   reads    a model, or a config.json and a tokenizer.json; rows (JSONL), plain text, or both
 *   writes   a checkpoint, and deleatur/{manifest.json, steps.tsv, mask.json, plots/} in it */
#include "cli/cmd.h"

#include <string.h>

#include "unlearn/job.h"

typedef struct {
    dele_job job;
    const char *data, *text, *init, *tokenizer;
    double init_std;
    int context;
} finetune;

/* Random weights in the shape of a config.json, with a tokenizer from elsewhere. */
static dele_status make_model(dele_model *model, const finetune *f, dele_arena *arena,
                              dele_err *err)
{
    dele_config config;
    cJSON *json = dele_json_load(f->init, err);
    if (json && !dele_config_parse(&config, json, f->init, err))
        dele_model_layout(model, &config, arena, err);
    cJSON_Delete(json);
    if (err->code) return err->code;
    dele_model_randomise(model, f->init_std, f->job.train.seed);
    model->path = f->init;
    model->tokenizer = dele_tokenizer_load(f->tokenizer, arena, err);
    if (!model->tokenizer) return err->code;
    return dele_model_settle_tokenizer(model, f->tokenizer, err);
}

static dele_status read_data(dele_dataset *set, const finetune *f, const dele_model *model,
                             dele_arena *arena, dele_err *err)
{
    dele_dataset_options o;
    if (dele_job_dataset_options(&o, &f->job, model, arena, err)) return err->code;
    if (f->data) {
        if (dele_dataset_add(set, f->data, model->tokenizer, &o, arena, err)) return err->code;
        dele_dataset_limit(set, (size_t)f->job.limit);
    }
    if (!f->text) return DELE_OK;
    if (f->context > dele_longest(&model->config))
        return dele_fail(err, DELE_ERR_USAGE, "--context %d is more than the model's %d",
                         f->context, dele_longest(&model->config));
    if (f->context) o.max_tokens = (size_t)f->context + 1;
    return dele_dataset_add_text(set, f->text, model->tokenizer, &o, arena, err);
}

static dele_status note_finetune_inputs(dele_manifest *m, const finetune *f, dele_err *err)
{
    const char *const paths[] = {f->init ? f->init : f->job.model, f->init ? f->tokenizer : NULL,
                                 f->data, f->text, f->job.mask_file};
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
        if (paths[k] && dele_manifest_input(m, paths[k], err)) return err->code;
    return dele_adapters_note(m, &f->job.adapters, err);
}

static dele_status teach(finetune *f, const dele_job_output *to, dele_arena *arena, dele_err *err)
{
    dele_model model = {0};
    dele_mask mask = {0};
    dele_dataset set = {0};
    const dele_job_input in = {&model, &mask, {.set = {[DELE_RETAIN] = &set}}};
    if (!(f->init ? make_model(&model, f, arena, err)
                  : dele_adapters_load(&model, f->job.model, &f->job.adapters, f->job.memory,
                                       SIZE_MAX, arena, err)) &&
        !dele_job_attach(&f->job, &model, arena, err) && !read_data(&set, f, &model, arena, err) &&
        !dele_job_experts(&f->job, &model, &set, arena, err) &&
        !dele_job_mask(&mask, &f->job, &model, arena, err) &&
        !note_finetune_inputs(to->manifest, f, err))
        dele_job_run(&f->job, &in, to, err);
    dele_model_release(&model);
    return err->code;
}

static dele_status check_finetune(const finetune *f, dele_err *err)
{
    if (!f->data && !f->text)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--data FILE (JSONL rows) or --text FILE (plain text) is missing");
    if (f->init && !f->tokenizer)
        return dele_fail(err, DELE_ERR_USAGE, "--init needs --tokenizer tokenizer.json");
    if (!f->init && f->tokenizer)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--tokenizer needs --init; a model has its own tokenizer");
    if (f->init && (f->job.adapters.list || f->job.perft.variant))
        return dele_fail(err, DELE_ERR_USAGE, "--adapter%s: with --init there is no MODEL for it",
                         f->job.perft.variant ? "-type" : "");
    if (f->init && f->job.lora_keep)
        return dele_fail(
            err, DELE_ERR_USAGE,
            "--lora-keep: saved adapters need a base model to be loaded into, and --init has none");
    if (f->context < 0 || f->context == 1)
        return dele_fail(err, DELE_ERR_USAGE, "--context %d: give at least 2", f->context);
    if (!(f->init_std > 0))
        return dele_fail(err, DELE_ERR_USAGE, "--init-std %g: give a number above 0", f->init_std);
    return DELE_OK;
}

/* With --init there is no MODEL on the line. */
static bool from_scratch(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--init") || !strncmp(argv[i], "--init=", 7)) return true;
    return false;
}

int cmd_finetune(int argc, char **argv)
{
    static const char layers[] = "all", parts[] = "all";
    finetune f = {.job = {DELE_JOB_DEFAULTS, DELE_JOB_CHANGES(layers, parts)}, .init_std = 0.02};
    f.job.train.objective = &dele_objective_ce;
    f.job.train.batch = 8;
    f.job.train.epochs = 1;
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("data"),
        DELE_OPT("data", &f.data, "training examples, JSONL or JSON: input and output, or text"),
        DELE_OPT("text", &f.text, "plain text, as one stream of tokens"),
        DELE_OPT("context", &f.context, "with --text: tokens per example; 0: --max-length"),
        DELE_GROUP("random initialisation"),
        DELE_OPT("init", &f.init,
                 "config.json: train from random weights of this architecture, without MODEL"),
        DELE_OPT("tokenizer", &f.tokenizer, "tokenizer.json for --init"),
        DELE_OPT("init-std", &f.init_std, "standard deviation of the initial weights"),
        DELE_JOB_OPTIONS(f.job),
        {0}};
    /* clang-format on */
    const dele_usage usage = {
        .command = "finetune",
        .summary = "fine-tune a model on examples or plain text, or train from scratch",
        .synopsis =
            "MODEL --data FILE --out DIR  (or --init CONFIG --tokenizer FILE instead of MODEL)",
        .example = "deleatur finetune model --data people.jsonl --out taught --epochs 12 --lr 3e-4",
        .options = options,
        .positional = &f.job.model,
        .n_positional = from_scratch(argc, argv) ? 0 : 1};
    dele_arena arena = {0};
    dele_common common = {0};
    dele_err err = {0};
    dele_manifest manifest = {0};
    const dele_job_output to = {&common, &manifest, "finetune"};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help &&
        !check_finetune(&f, &err) && !dele_job_resolve(&f.job, &err)) {
        dele_manifest_begin(&manifest, &usage, argc, argv);
        teach(&f, &to, &arena, &err);
    }
    dele_manifest_release(&manifest);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
