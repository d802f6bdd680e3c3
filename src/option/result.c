#include "option/result.h"

dele_status dele_result_open(dele_result *r, const char *const *input, size_t n, const char *out,
                             const char *unit, dele_err *err)
{
    dele_arena arena = {0};
    bool resumed;
    for (size_t i = 0; i < n; i++)
        if (input[i] && dele_manifest_input(&r->manifest, input[i], err)) return err->code;
    const char *key = dele_manifest_key(&r->manifest, "out", &arena, err);
    if (key && !dele_outdir_resume(&r->dir, out, key, &resumed, err)) {
        const char *path = dele_printf(&arena, err, "%s/items.jsonl", r->dir.part);
        if (path) dele_items_open(&r->items, path, err);
    }
    dele_arena_release(&arena);
    if (!err->code && unit && r->items.n_old)
        dele_note("resuming after %zu %s that are in %s", r->items.n_old, unit, r->items.path);
    return err->code;
}

dele_status dele_result_commit(dele_result *r, dele_err *err)
{
    dele_arena arena = {0};
    const char *path = dele_printf(&arena, err, "%s/manifest.json", r->dir.part);
    if (path && !dele_items_close(&r->items, err) && !dele_manifest_save(&r->manifest, path, err))
        dele_outdir_commit(&r->dir, err);
    dele_arena_release(&arena);
    return err->code;
}

void dele_result_release(dele_result *r)
{
    dele_err unheard = {0}; /* the run has failed already, or the items are closed */
    dele_items_close(&r->items, &unheard);
    if (!dele_items_resumable(&r->dir)) dele_outdir_abandon(&r->dir);
    dele_manifest_release(&r->manifest);
}

dele_status dele_manifest_in_checkpoint(dele_manifest *m, const dele_outdir *dir, dele_err *err)
{
    dele_arena arena = {0};
    const char *file = dele_printf(&arena, err, "%s/deleatur/manifest.json", dir->part);
    dele_status status = file ? dele_outdir_sub(dir, "deleatur", err) : DELE_ERR_MEMORY;
    if (!status) status = dele_manifest_save(m, file, err);
    dele_arena_release(&arena);
    return status;
}
