/* lacuna convert -- a model in another form.
 *
 *   --out DIR         a Hugging Face directory that transformers loads, weights as --dtype says
 *   --out FILE.gguf   a GGUF that llama.cpp loads, weights as --type says (model/gguf.h: what falls back to what);
 *                     beside it FILE.gguf.manifest.json */
#include <stdio.h>
#include <string.h>

#include "base/manifest.h"
#include "experiments/cmd.h"
#include "model/gguf.h"
#include "model/model.h"

typedef struct {
    const char *out, *dtype, *type;
    bool tokenizer;
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

static lac_status to_directory(const char *path, const settings *s, const lac_usage *usage, int argc, char **argv,
                               lac_arena *arena, lac_err *err)
{
    if (strcmp(s->dtype, "f32") && strcmp(s->dtype, "bf16") && strcmp(s->dtype, "f16"))
        return lac_fail(err, LAC_ERR_USAGE, "convert: --dtype \"%.20s\" is none of f32, bf16, f16", s->dtype);
    if (s->type) return lac_fail(err, LAC_ERR_USAGE, "convert: --type is for --out FILE.gguf; a directory has --dtype");
    lac_model model = {0};
    lac_outdir dir = {0};
    lac_status status = lac_outdir_open(&dir, s->out, err); /* before the long part: it may exist */
    if (!status) status = lac_model_load(&model, path, arena, err);
    if (!status && !s->tokenizer) lac_model_release(&model);
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

/* ---- GGUF ------------------------------------------------------------------------------------------------------- */

static lac_status parse_type(lac_dtype *type, const settings *s, lac_err *err)
{
    *type = s->type ? lac_dtype_by_name(s->type) : LAC_DTYPE_F32;
    if (strcmp(s->dtype, "f32"))
        return lac_fail(err, LAC_ERR_USAGE, "convert: --dtype is for a directory; a GGUF has --type");
    if (*type == LAC_N_DTYPES || !lac_dtype_writable(*type))
        return lac_fail(err, LAC_ERR_USAGE, "convert: --type \"%.20s\" is none of f32, f16, bf16, q8_0, q5_0, q4_0, q4_k",
                        s->type);
    return LAC_OK;
}

static lac_status note_gguf(const char *path, const settings *s, const lac_usage *usage, int argc, char **argv,
                            lac_arena *arena, lac_err *err)
{
    lac_manifest manifest;
    lac_manifest_begin(&manifest, usage, argc, argv);
    const char *file = lac_printf(arena, err, "%s.manifest.json", s->out);
    lac_status status = file ? lac_manifest_input(&manifest, path, err) : LAC_ERR_MEMORY;
    if (!status) status = lac_manifest_save(&manifest, file, err);
    lac_manifest_release(&manifest);
    return status;
}

static void show_gguf(const lac_gguf_saved *saved, const lac_model *model, const settings *s, bool quiet)
{
    printf("%s: %zu parameters in %zu tensors:", s->out, lac_model_parameters(model), model->n_tensors);
    for (int type = 0, n = 0; type < LAC_N_DTYPES; type++)
        if (saved->n_of[type])
            printf("%s %zu %s", n++ ? "," : "", saved->n_of[type], lac_dtype_of((lac_dtype)type)->name);
    printf("; %.1f MB%s\n", (double)saved->n_bytes / 1e6, s->tokenizer ? ", with its tokenizer" : ", no tokenizer");
    if (quiet) return;
    if (saved->fallback[0]) fprintf(stderr, "lacuna: %s\n", saved->fallback);
    if (saved->note[0]) fprintf(stderr, "lacuna: %s\n", saved->note);
}

static lac_status to_gguf(const char *path, const settings *s, const lac_usage *usage, const lac_common *common,
                          int argc, char **argv, lac_arena *arena, lac_err *err)
{
    lac_dtype type;
    lac_gguf_saved saved;
    lac_model model = {0};
    if (parse_type(&type, s, err)) return err->code;
    if (lac_path_exists(s->out))
        return lac_fail(err, LAC_ERR_FILE, "%s exists already; remove it or choose another --out", s->out);
    lac_status status = lac_model_load(&model, path, arena, err);
    if (!status) status = lac_gguf_save(&saved, &model, s->out, type, s->tokenizer, err);
    if (!status) status = note_gguf(path, s, usage, argc, argv, arena, err);
    if (!status) show_gguf(&saved, &model, s, common->quiet);
    lac_model_release(&model);
    return status;
}

static bool names_a_gguf(const char *path)
{
    size_t n = strlen(path);
    return n > 5 && !strcmp(path + n - 5, ".gguf");
}

static lac_status convert(const char *path, const settings *s, const lac_usage *usage, const lac_common *common,
                          int argc, char **argv, lac_arena *arena, lac_err *err)
{
    if (!s->out) return lac_fail(err, LAC_ERR_USAGE, "convert: --out DIR or --out FILE.gguf is needed");
    return names_a_gguf(s->out) ? to_gguf(path, s, usage, common, argc, argv, arena, err)
                                : to_directory(path, s, usage, argc, argv, arena, err);
}

int cmd_convert(int argc, char **argv)
{
    settings s = {.dtype = "f32", .tokenizer = true};
    const char *path = NULL;
    const lac_option options[] = {
        LAC_OPT("out", &s.out, "the directory or .gguf file to make"),
        LAC_OPT("dtype", &s.dtype, "of a directory, how the weights are stored: f32, bf16 or f16"),
        LAC_OPT("type", &s.type, "of a GGUF: f32 (if nothing is said), f16, bf16, q8_0, q5_0, q4_0 or q4_k"),
        LAC_FLAG("tokenizer", &s.tokenizer, "put the tokenizer in"),
        {0},
    };
    const lac_usage usage = {.command = "convert",
                             .summary = "a model as a Hugging Face directory, or as a GGUF",
                             .synopsis = "MODEL --out DIR  (or --out FILE.gguf --type TYPE)",
                             .example = "lacuna convert model --out model.q4_k.gguf --type q4_k",
                             .options = options, .positional = &path, .n_positional = 1};
    lac_common common = {0};
    lac_arena arena = {0};
    lac_err err = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help)
        convert(path, &s, &usage, &common, argc, argv, &arena, &err);
    lac_arena_release(&arena);
    return lac_complain(&err);
}
