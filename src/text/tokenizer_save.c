/* Puts a tokenizer beside a model: the files it came from, byte for byte, or those made from a GGUF's parts. */
#include <string.h>

#include "base/file.h"
#include "text/tokenizer_inner.h"

/* What may stand beside tokenizer.json and belongs to it. */
static const char *const beside[] = {"tokenizer_config.json", "special_tokens_map.json", "generation_config.json",
                                     "chat_template.jinja", "added_tokens.json", "vocab.json", "merges.txt"};

static lac_status save_text(const char *text, const char *dir, const char *name, lac_arena *arena, lac_err *err)
{
    lac_writer out = {0};
    const char *path = lac_printf(arena, err, "%s/%s", dir, name);
    if (!path) return LAC_ERR_MEMORY;
    lac_status status = lac_writer_open(&out, path, err);
    if (status) return status;
    fputs(text, out.stream); /* commit finds the stream's error, if any */
    fputc('\n', out.stream);
    status = lac_writer_commit(&out, err);
    if (status) lac_writer_abandon(&out);
    return status;
}

static lac_status copy_beside(const char *from, size_t n_folder, const char *dir, const char *name, lac_arena *arena,
                              lac_err *err)
{
    const char *source = lac_printf(arena, err, "%.*s%s", (int)n_folder, from, name);
    const char *target = lac_printf(arena, err, "%s/%s", dir, name);
    if (!source || !target) return LAC_ERR_MEMORY;
    return lac_path_exists(source) ? lac_file_copy(source, target, err) : LAC_OK;
}

static lac_status save(const lac_tokenizer *t, const char *dir, lac_arena *arena, lac_err *err)
{
    if (!t->path) {
        lac_status status = save_text(t->json, dir, "tokenizer.json", arena, err);
        return status ? status : save_text(t->config, dir, "tokenizer_config.json", arena, err);
    }
    const char *target = lac_printf(arena, err, "%s/tokenizer.json", dir), *slash = strrchr(t->path, '/');
    size_t n_folder = slash ? (size_t)(slash - t->path) + 1 : 0;
    if (!target) return LAC_ERR_MEMORY;
    lac_status status = lac_file_copy(t->path, target, err);
    for (size_t i = 0; i < sizeof beside / sizeof *beside && !status; i++)
        status = copy_beside(t->path, n_folder, dir, beside[i], arena, err);
    return status;
}

lac_status lac_tokenizer_save(const lac_tokenizer *t, const char *dir, lac_err *err)
{
    lac_arena scratch = {0};
    lac_status status = save(t, dir, &scratch, err);
    lac_arena_release(&scratch);
    return status;
}
