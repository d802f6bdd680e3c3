/* lacuna unlearn -- make a model forget one set of rows and keep another, by training a few of its tensors.
 *
 *   reads    a model; forget and retain rows (JSONL: input, output; or JSON)
 *   writes   a checkpoint, and lacuna/{manifest.json, steps.tsv, mask.json, plots/} in it
 *   next     lacuna diff MODEL DIR, lacuna eval DIR --suite ... */
#include "unlearn/cmd_unlearn.h"

#include "unlearn/job.h"

static lac_status read_rows(lac_dataset *set, const char *path, const lac_model *model, const lac_job *job,
                            const lac_dataset_options *o, lac_arena *arena, lac_err *err)
{
    if (!lac_dataset_add(set, path, model->tokenizer, o, arena, err)) lac_dataset_limit(set, (size_t)job->limit);
    return err->code;
}

static lac_status unlearn(lac_job *job, const lac_common *common, const lac_usage *usage, int argc, char **argv,
                          const char *forget_path, const char *retain_path, lac_arena *arena, lac_err *err)
{
    lac_model model = {0};
    lac_mask mask = {0};
    lac_dataset forget = {0}, retain = {0};
    lac_dataset_options rows;
    lac_manifest manifest;
    lac_manifest_begin(&manifest, usage, argc, argv);
    if (!lac_model_load(&model, job->model, arena, err) && !lac_job_mask(&mask, job, &model, arena, err) &&
        !lac_job_dataset_options(&rows, job, &model, err) &&
        !read_rows(&forget, forget_path, &model, job, &rows, arena, err) &&
        !read_rows(&retain, retain_path, &model, job, &rows, arena, err) &&
        !lac_manifest_input(&manifest, job->model, err) && !lac_manifest_input(&manifest, forget_path, err) &&
        !lac_manifest_input(&manifest, retain_path, err) &&
        !(job->mask_file && lac_manifest_input(&manifest, job->mask_file, err)))
        lac_job_run(job, common, &manifest, &model, &mask, &forget, &retain, "unlearn", err);
    lac_manifest_release(&manifest);
    lac_model_release(&model);
    return err->code;
}

int cmd_unlearn(int argc, char **argv)
{
    const char *forget = NULL, *retain = NULL, *objective = "joint", *alpha = "paper";
    lac_job job = {.dtype = "f32", .schedule = "linear", .chat = "none", .layers = "0-5", .parts = "mlp", .eos = true,
                   .train = LAC_TRAIN_DEFAULTS, .batch_tokens = 1024};
    const lac_option options[] = {
        LAC_OPT("forget", &forget, "rows to forget, JSONL or JSON"),
        LAC_OPT("retain", &retain, "rows to keep"),
        LAC_OPT("objective", &objective, "what is minimised: joint"),
        LAC_OPT("alpha", &alpha, "weight of the retain loss: paper, code (the published program's), or a number"),
        LAC_OPT("micro", &job.train.micro, "with --alpha code: rows of a micro-batch, forget and retain mixed"),
        LAC_JOB_OPTIONS(job),
        {0}};
    const lac_usage usage = {.command = "unlearn",
                             .summary = "make a model forget rows and keep others, by training a few layers",
                             .synopsis = "MODEL --forget FILE --retain FILE --out DIR",
                             .example = "lacuna unlearn model --forget forget.jsonl --retain retain.jsonl --out forgot "
                                        "--layers 0-5 --lr 3e-4",
                             .options = options, .positional = &job.model, .n_positional = 1};
    lac_arena arena = {0};
    lac_common common = {0};
    lac_err err = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help) {
        if (!forget || !retain)
            lac_fail(&err, LAC_ERR_USAGE, "--%s FILE is missing: which rows shall be %s?", forget ? "retain" : "forget",
                     forget ? "kept" : "forgotten");
        job.train.objective = lac_objective_find(objective, &err);
        if (job.train.objective && !job.train.objective->needs_forget)
            lac_fail(&err, LAC_ERR_USAGE, "--objective %s learns, it does not forget; see lacuna finetune", objective);
        if (!err.code && !lac_alpha_parse(&job.train.alpha, alpha, &err) && !lac_job_resolve(&job, &err))
            unlearn(&job, &common, &usage, argc, argv, forget, retain, &arena, &err);
    }
    lac_arena_release(&arena);
    return lac_complain(&err);
}
