/* Writes a tokenizer into a model's directory: the files it was loaded from, byte for byte, or
 * files made from a GGUF's parts. */
#include "text/tokenizer.h"

#include <string.h>

#include "base/file.h"
#include "base/file_out.h"
#include "text/tokenizer_data.h"
#include "text/tokenizer_vocab.h"

/* The files of a model's directory that belong to its tokenizer, for any program that reads them.
 */
static const char *const files[] = {"tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "added_tokens.json",
                                    "vocab.json",
                                    "merges.txt",
                                    "vocab.txt",
                                    "tokenizer.model",
                                    "spiece.model",
                                    "sentencepiece.bpe.model",
                                    "chat_template.jinja",
                                    "chat_template.json"};

static dele_status save_text(const char *text, const char *dir, const char *name, dele_arena *arena,
                             dele_err *err)
{
    dele_writer out = {0};
    const char *path = dele_printf(arena, err, "%s/%s", dir, name);
    if (!path) return DELE_ERR_MEMORY;
    dele_status status = dele_writer_open(&out, path, err);
    if (status) return status;
    fputs(text, out.stream); /* commit finds the stream's error, if any */
    fputc('\n', out.stream);
    status = dele_writer_commit(&out, err);
    if (status) dele_writer_abandon(&out);
    return status;
}

static dele_status copy_if_there(const char *from, const char *dir, const char *name,
                                 dele_arena *arena, dele_err *err)
{
    const char *source = dele_printf(arena, err, "%s/%s", from, name);
    const char *target = dele_printf(arena, err, "%s/%s", dir, name);
    if (!source || !target) return DELE_ERR_MEMORY;
    return dele_path_exists(source) ? dele_file_copy(source, target, err) : DELE_OK;
}

dele_status dele_tokenizer_copy_files(const char *from, const char *dir, dele_err *err)
{
    dele_arena arena = {0};
    dele_status status = DELE_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && !status; i++)
        status = copy_if_there(from, dir, files[i], &arena, err);
    dele_arena_release(&arena);
    return status;
}

static dele_status save(const dele_tokenizer *t, const char *dir, dele_arena *arena, dele_err *err)
{
    if (!t->path) {
        dele_status status = save_text(t->json, dir, "tokenizer.json", arena, err);
        return status ? status : save_text(t->config, dir, "tokenizer_config.json", arena, err);
    }
    const char *slash = strrchr(t->path, '/');
    const char *from =
        slash ? dele_printf(arena, err, "%.*s", (int)(slash - t->path), t->path) : ".";
    const char *target = dele_printf(arena, err, "%s/tokenizer.json", dir);
    if (!from || !target) return DELE_ERR_MEMORY;
    const dele_status status = /* a vocab.json is among the others */
        dele_tokenizer_is_vocab(t->path) ? DELE_OK : dele_file_copy(t->path, target, err);
    return status ? status : dele_tokenizer_copy_files(from, dir, err);
}

dele_status dele_tokenizer_save(const dele_tokenizer *t, const char *dir, dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = save(t, dir, &scratch, err);
    dele_arena_release(&scratch);
    return status;
}
