/* lacuna convert -- a GGUF, or a directory in another dtype, as a Hugging Face directory that transformers loads. */
#include <stdio.h>
#include <string.h>

#include "base/manifest.h"
#include "experiments/cmd.h"
#include "model/model.h"

typedef struct {
    const char *out, *dtype;
} settings;

static lac_status write_manifest(const lac_outdir *dir, const char *path, const lac_usage *usage, int argc, char **argv,
                                 lac_arena *arena, lac_err *err)
{
    lac_manifest manifest;
    lac_manifest_begin(&manifest, usage, argc, argv);
    const char *file = lac_printf(arena, err, "%s/lacuna/manifest.json", dir->part);
    lac_status status = file ? lac_outdir_sub(dir, "lacuna", err) : LAC_ERR_MEMORY;
    if (!status) status = lac_manifest_input(&manifest, path, err);
    if (!status) status = lac_manifest_save(&manifest, file, err);
    lac_manifest_release(&manifest);
    return status;
}

static lac_status convert(const char *path, const settings *s, const lac_usage *usage, int argc, char **argv,
                          lac_arena *arena, lac_err *err)
{
    if (!s->out) return lac_fail(err, LAC_ERR_USAGE, "convert: --out DIR is needed");
    if (strcmp(s->dtype, "f32") && strcmp(s->dtype, "bf16") && strcmp(s->dtype, "f16"))
        return lac_fail(err, LAC_ERR_USAGE, "convert: --dtype \"%.20s\" is none of f32, bf16, f16", s->dtype);
    lac_model model = {0};
    lac_outdir dir = {0};
    lac_status status = lac_outdir_open(&dir, s->out, err); /* before the long part: it may exist */
    if (!status) status = lac_model_load(&model, path, arena, err);
    if (!status) status = lac_model_save(&model, dir.part, s->dtype, err);
    if (!status) status = write_manifest(&dir, path, usage, argc, argv, arena, err);
    if (!status) status = lac_outdir_commit(&dir, err);
    if (!status)
        printf("%s: %zu parameters in %zu tensors, %s%s\n", s->out, lac_model_parameters(&model), model.n_tensors,
               s->dtype, model.tokenizer ? ", with its tokenizer" : ", no tokenizer");
    else
        lac_outdir_abandon(&dir);
    lac_model_release(&model);
    return status;
}

int cmd_convert(int argc, char **argv)
{
    settings s = {.dtype = "f32"};
    const char *path = NULL;
    const lac_option options[] = {
        LAC_OPT("out", &s.out, "the directory to make"),
        LAC_OPT("dtype", &s.dtype, "how the weights are stored: f32, bf16 or f16"),
        {0},
    };
    const lac_usage usage = {.command = "convert", .summary = "a GGUF or a directory as a Hugging Face directory",
                             .synopsis = "MODEL --out DIR", .example = "lacuna convert model.gguf --out model",
                             .options = options, .positional = &path, .n_positional = 1};
    lac_common common = {0};
    lac_arena arena = {0};
    lac_err err = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help)
        convert(path, &s, &usage, argc, argv, &arena, &err);
    lac_arena_release(&arena);
    return lac_complain(&err);
}
