/* deleatur convert -- a model in another form.
 *
 *   --out DIR         a Hugging Face directory that transformers loads, weights as --dtype says
 *   --out FILE.gguf   a GGUF that llama.cpp loads, weights as --type says (model/gguf.h: what falls
 *                     back to what); beside it FILE.gguf.manifest.json
 *
 * With --adapter the adapters are merged into the weights. */

#include "cli/cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapter/adapter.h"
#include "base/file_out.h"
#include "base/json_out.h"
#include "base/text_out.h"
#include "base/texts.h"
#include "model/form.h"
#include "model/gguf.h"
#include "model/model.h"
#include "option/result.h"

typedef struct {
    const char *out, *type;
    dele_save_options save;
    dele_adapter_options adapters;
    bool tokenizer;
} convert_settings;

static dele_status note_directory(const dele_outdir *dir, const char *path,
                                  const convert_settings *s, const dele_usage *usage, int argc,
                                  char **argv, dele_err *err)
{
    dele_manifest manifest;
    dele_manifest_begin(&manifest, usage, argc, argv);
    dele_status status = dele_manifest_input(&manifest, path, err);
    if (!status) status = dele_adapters_note(&manifest, &s->adapters, err);
    if (!status) status = dele_manifest_in_checkpoint(&manifest, dir, err);
    dele_manifest_release(&manifest);
    return status;
}

/* What --json prints of both forms; the caller owns it. */
static cJSON *converted_json(const dele_model *model, size_t n_tensors, const char *out,
                             bool tokenizer)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "out", out);
    cJSON_AddNumberToObject(json, "parameters", (double)dele_model_parameters(model));
    cJSON_AddNumberToObject(json, "tensors", (double)n_tensors);
    cJSON_AddBoolToObject(json, "tokenizer", tokenizer);
    return json;
}

static dele_status show_directory(const dele_model *model, const convert_settings *s, bool as_json,
                                  dele_err *err)
{
    const size_t n_tensors = dele_file_tensors(model, DELE_FILE_HF);
    const bool tokenizer = s->tokenizer && model->tokenizer;
    if (!as_json) {
        dele_text_line(stdout, "%s: %zu parameters in %zu tensors, %s%s", s->out,
                       dele_model_parameters(model), n_tensors,
                       strcmp(s->save.dtype, "keep") ? s->save.dtype : "their types kept",
                       tokenizer ? ", with its tokenizer" : ", no tokenizer");
        return DELE_OK;
    }
    cJSON *json = converted_json(model, n_tensors, s->out, tokenizer);
    cJSON_AddStringToObject(json, "dtype", s->save.dtype);
    dele_json_show(json, err);
    cJSON_Delete(json);
    return err->code;
}

/* The directory is opened before the model is read, so that an --out that is there already is
 * refused at once.  Without a tokenizer the checkpoint is the weights and their config. */
static dele_status to_directory(const char *path, const convert_settings *s,
                                const dele_usage *usage, const dele_common *common, int argc,
                                char **argv, dele_arena *arena, dele_err *err)
{
    dele_save_options save = s->save;
    save.no_tokenizer = !s->tokenizer;
    if (dele_save_options_check(&save, err)) return err->code;
    if (s->type)
        return dele_fail(err, DELE_ERR_USAGE,
                         "convert: --type is for --out FILE.gguf; a directory has --dtype");
    dele_model model = {0};
    dele_outdir dir = {0};
    dele_status status =
        dele_outdir_open(&dir, s->out, err); /* before the long part: it may exist */
    if (!status) status = dele_adapters_load(&model, path, &s->adapters, 0, SIZE_MAX, arena, err);
    if (!status) status = dele_model_save_as(&model, dir.part, &save, err);
    if (!status) status = note_directory(&dir, path, s, usage, argc, argv, err);
    if (!status) status = dele_outdir_commit(&dir, err);
    if (!status)
        status = show_directory(&model, s, common->json, err);
    else
        dele_outdir_abandon(&dir);
    dele_model_release(&model);
    return status;
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

static dele_status parse_type(dele_dtype *type, const convert_settings *s, dele_err *err)
{
    const dele_save_options usual = {DELE_SAVE_DEFAULTS};
    *type = s->type ? dele_dtype_by_name(s->type) : DELE_DTYPE_F32;
    if (strcmp(s->save.dtype, "keep"))
        return dele_fail(err, DELE_ERR_USAGE,
                         "convert: --dtype is for a directory; a GGUF has --type");
    if (strcmp(s->save.shard_size, usual.shard_size))
        return dele_fail(err, DELE_ERR_USAGE,
                         "convert: --shard-size is for a directory; a GGUF is one file");
    if (*type == DELE_N_DTYPES || !dele_dtype_writable(*type))
        return dele_fail(
            err, DELE_ERR_USAGE,
            "convert: --type \"%.20s\" is none of f32, f16, bf16, q8_0, q5_0, q4_0, q4_k", s->type);
    return DELE_OK;
}

static dele_status note_gguf(const char *path, const char *file, const convert_settings *s,
                             const dele_usage *usage, int argc, char **argv, dele_err *err)
{
    dele_manifest manifest;
    dele_manifest_begin(&manifest, usage, argc, argv);
    dele_status status = dele_manifest_input(&manifest, path, err);
    if (!status) status = dele_adapters_note(&manifest, &s->adapters, err);
    if (!status) status = dele_manifest_save(&manifest, file, err);
    dele_manifest_release(&manifest);
    return status;
}

static dele_status show_gguf_json(const dele_gguf_saved *saved, const dele_model *model,
                                  const convert_settings *s, dele_err *err)
{
    cJSON *json = converted_json(model, saved->n_tensors, s->out, s->tokenizer);
    cJSON *types = cJSON_AddObjectToObject(json, "types");
    for (int type = 0; type < DELE_N_DTYPES; type++)
        if (saved->n_of[type])
            cJSON_AddNumberToObject(types, dele_dtype_of((dele_dtype)type)->name,
                                    (double)saved->n_of[type]);
    cJSON_AddNumberToObject(json, "bytes", (double)saved->n_bytes);
    if (saved->fallback[0]) cJSON_AddStringToObject(json, "fallback", saved->fallback);
    if (saved->note[0]) cJSON_AddStringToObject(json, "note", saved->note);
    dele_json_show(json, err);
    cJSON_Delete(json);
    return err->code;
}

static void show_gguf(const dele_gguf_saved *saved, const dele_model *model,
                      const convert_settings *s, bool quiet)
{
    dele_text_put(stdout, s->out, DELE_TEXT_LINE);
    printf(": %zu parameters in %zu tensors:", dele_model_parameters(model), saved->n_tensors);
    for (int type = 0, n = 0; type < DELE_N_DTYPES; type++)
        if (saved->n_of[type])
            printf("%s %zu %s", n++ ? "," : "", saved->n_of[type],
                   dele_dtype_of((dele_dtype)type)->name);
    printf("; %.1f MB%s\n", (double)saved->n_bytes / 1e6,
           s->tokenizer ? ", with its tokenizer" : ", no tokenizer");
    if (quiet) return;
    if (saved->fallback[0]) dele_note("%s", saved->fallback);
    if (saved->note[0]) dele_note("%s", saved->note);
}

static dele_status to_gguf(const char *path, const convert_settings *s, const dele_usage *usage,
                           const dele_common *common, int argc, char **argv, dele_arena *arena,
                           dele_err *err)
{
    dele_dtype type;
    dele_gguf_saved saved;
    dele_model model = {0};
    if (parse_type(&type, s, err)) return err->code;
    const char *noted = dele_printf(arena, err, "%s.manifest.json", s->out);
    if (!noted || dele_path_free(s->out, err) || dele_path_free(noted, err)) return err->code;
    dele_status status = dele_adapters_load(&model, path, &s->adapters, 0, SIZE_MAX, arena, err);
    if (!status) status = dele_path_free(s->out, err); /* still */
    if (!status) status = dele_gguf_save(&saved, &model, s->out, type, s->tokenizer, err);
    if (!status && note_gguf(path, noted, s, usage, argc, argv, err)) {
        status = err->code;
        unlink(s->out); /* ours, and not a result without its manifest */
    }
    if (!status && common->json)
        status = show_gguf_json(&saved, &model, s, err);
    else if (!status)
        show_gguf(&saved, &model, s, common->quiet);
    dele_model_release(&model);
    return status;
}

static dele_status convert(const char *path, const convert_settings *s, const dele_usage *usage,
                           const dele_common *common, int argc, char **argv, dele_arena *arena,
                           dele_err *err)
{
    if (!s->out)
        return dele_fail(err, DELE_ERR_USAGE, "convert: --out DIR or --out FILE.gguf is needed");
    return dele_ends_with(s->out, ".gguf")
               ? to_gguf(path, s, usage, common, argc, argv, arena, err)
               : to_directory(path, s, usage, common, argc, argv, arena, err);
}

int cmd_convert(int argc, char **argv)
{
    convert_settings s = {
        .save = {DELE_SAVE_DEFAULTS}, .adapters = {DELE_ADAPTER_DEFAULTS}, .tokenizer = true};
    const char *path = NULL;
    const dele_option options[] = {
        DELE_GROUP("options"),
        DELE_OPT("out", &s.out, "directory or .gguf file for the result"),
        DELE_OPT("dtype", &s.save.dtype,
                 "directory: data type of the weights: keep (each tensor's own; f32 for types of "
                 "blocks), f32, bf16 or f16"),
        DELE_SHARD_OPTION(s.save.shard_size),
        DELE_OPT("type", &s.type,
                 "GGUF: type of the weights: f32 (default), f16, bf16, q8_0, q5_0, q4_0 or q4_k"),
        DELE_ADAPTER_OPTIONS(s.adapters),
        DELE_FLAG("tokenizer", &s.tokenizer, "include the tokenizer"),
        {0},
    };
    const dele_usage usage = {.command = "convert",
                              .summary = "convert a model to a Hugging Face directory or a GGUF",
                              .synopsis = "MODEL --out DIR  (or --out FILE.gguf --type TYPE)",
                              .example = "deleatur convert model --out model.q4_k.gguf --type q4_k",
                              .options = options,
                              .positional = &path,
                              .n_positional = 1};
    dele_common common = {0};
    dele_arena arena = {0};
    dele_err err = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help)
        convert(path, &s, &usage, &common, argc, argv, &arena, &err);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
