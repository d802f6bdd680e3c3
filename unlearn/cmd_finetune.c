/* lacuna finetune -- teach a model rows or plain text; from random weights with --init.
 *
 *   reads    a model, or a config.json and a tokenizer.json; rows (JSONL), plain text, or both
 *   writes   a checkpoint, and lacuna/{manifest.json, steps.tsv, mask.json, plots/} in it */
#include "unlearn/cmd_finetune.h"

#include <string.h>

#include "unlearn/job.h"

typedef struct {
    lac_job job;
    const char *data, *text, *init, *tokenizer;
    double init_std;
    int context;
} finetune;

/* Random weights in the shape of a config.json, with a tokenizer from elsewhere. */
static lac_status make_model(lac_model *model, const finetune *f, lac_arena *arena, lac_err *err)
{
    lac_config config;
    cJSON *json = lac_json_load(f->init, err);
    if (json && !lac_config_parse(&config, json, f->init, err)) lac_model_layout(model, &config, arena, err);
    cJSON_Delete(json);
    if (err->code) return err->code;
    lac_model_randomise(model, f->init_std, f->job.train.seed);
    model->path = f->init;
    model->tokenizer = lac_tokenizer_load(f->tokenizer, arena, err);
    if (!model->tokenizer) return err->code;
    if (config.eos >= 0 || config.bos >= 0) lac_tokenizer_set_ids(model->tokenizer, config.bos, config.eos);
    if (lac_tokenizer_size(model->tokenizer) > config.vocab)
        return lac_fail(err, LAC_ERR_DATA, "%s has %d tokens and %s a vocabulary of %d; raise vocab_size", f->tokenizer,
                        lac_tokenizer_size(model->tokenizer), f->init, config.vocab);
    return LAC_OK;
}

static lac_status read_data(lac_dataset *set, const finetune *f, const lac_model *model, lac_arena *arena, lac_err *err)
{
    lac_dataset_options o;
    if (lac_job_dataset_options(&o, &f->job, model, err)) return err->code;
    if (f->data) {
        if (lac_dataset_add(set, f->data, model->tokenizer, &o, arena, err)) return err->code;
        lac_dataset_limit(set, (size_t)f->job.limit);
    }
    if (!f->text) return LAC_OK;
    if (f->context > model->config.context)
        return lac_fail(err, LAC_ERR_USAGE, "--context %d is more than the model's %d", f->context,
                        model->config.context);
    if (f->context) o.max_tokens = (size_t)f->context + 1;
    return lac_dataset_add_text(set, f->text, model->tokenizer, &o, arena, err);
}

static lac_status note_inputs(lac_manifest *m, const finetune *f, lac_err *err)
{
    const char *const paths[] = {f->init ? f->init : f->job.model, f->init ? f->tokenizer : NULL, f->data, f->text,
                                 f->job.mask_file};
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
        if (paths[k] && lac_manifest_input(m, paths[k], err)) return err->code;
    return LAC_OK;
}

static lac_status teach(const finetune *f, const lac_common *common, const lac_usage *usage, int argc, char **argv,
                        lac_arena *arena, lac_err *err)
{
    lac_model model = {0};
    lac_mask mask = {0};
    lac_dataset set = {0};
    lac_manifest manifest;
    lac_manifest_begin(&manifest, usage, argc, argv);
    if (!(f->init ? make_model(&model, f, arena, err) : lac_model_load(&model, f->job.model, arena, err)) &&
        !lac_job_mask(&mask, &f->job, &model, arena, err) && !read_data(&set, f, &model, arena, err) &&
        !note_inputs(&manifest, f, err))
        lac_job_run(&f->job, common, &manifest, &model, &mask, NULL, &set, "finetune", err);
    lac_manifest_release(&manifest);
    lac_model_release(&model);
    return err->code;
}

static lac_status check(const finetune *f, lac_err *err)
{
    if (!f->data && !f->text)
        return lac_fail(err, LAC_ERR_USAGE, "--data FILE (JSONL rows) or --text FILE (plain text) is missing");
    if (f->init && !f->tokenizer) return lac_fail(err, LAC_ERR_USAGE, "--init needs --tokenizer tokenizer.json");
    if (!f->init && f->tokenizer)
        return lac_fail(err, LAC_ERR_USAGE, "--tokenizer goes with --init; a model brings its own");
    if (f->init && f->job.lora_keep)
        return lac_fail(err, LAC_ERR_USAGE, "--lora-keep: adapters need a model that they can be loaded beside; --init "
                        "makes one up");
    if (f->context < 0 || f->context == 1)
        return lac_fail(err, LAC_ERR_USAGE, "--context %d: give at least 2", f->context);
    if (!(f->init_std > 0)) return lac_fail(err, LAC_ERR_USAGE, "--init-std %g: give a number above 0", f->init_std);
    return LAC_OK;
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
    finetune f = {.job = {LAC_JOB_DEFAULTS, LAC_JOB_CHANGES(layers, parts)},
                  .init_std = 0.02};
    f.job.train.objective = &lac_objective_ce;
    f.job.train.batch = 8;
    f.job.train.epochs = 1;
    const lac_option options[] = {
        LAC_OPT("data", &f.data, "rows to learn, JSONL or JSON: input and output, or text"),
        LAC_OPT("text", &f.text, "plain text to learn, as one stream"),
        LAC_OPT("context", &f.context, "tokens a row is cut to with --text; 0: --max-length"),
        LAC_OPT("init", &f.init, "config.json: start from random weights in its shape, without MODEL"),
        LAC_OPT("tokenizer", &f.tokenizer, "tokenizer.json for --init"),
        LAC_OPT("init-std", &f.init_std, "standard deviation of new weights"),
        LAC_JOB_OPTIONS(f.job),
        {0}};
    const lac_usage usage = {.command = "finetune",
                             .summary = "teach a model rows or plain text, or train one from scratch",
                             .synopsis = "MODEL --data FILE --out DIR  (or --init CONFIG --tokenizer FILE in place of MODEL)",
                             .example = "lacuna finetune model --data people.jsonl --out taught --epochs 12 --lr 3e-4",
                             .options = options, .positional = &f.job.model,
                             .n_positional = from_scratch(argc, argv) ? 0 : 1};
    lac_arena arena = {0};
    lac_common common = {0};
    lac_err err = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help && !check(&f, &err) &&
        !lac_job_resolve(&f.job, &err))
        teach(&f, &common, &usage, argc, argv, &arena, &err);
    lac_arena_release(&arena);
    return lac_complain(&err);
}
