/* The result directory of a command that scores items: OUT.part with items.jsonl and manifest.json,
 * resumed by the same command after an interruption, moved to OUT when all is there.
 *
 *   dele_result r = {0};
 *   dele_manifest_begin(&r.manifest, &usage, argc, argv);
 *   if (!dele_result_open(&r, inputs, n, out, "items", err) && !work(&r.items, r.dir.part, err))
 *       dele_result_commit(&r, err);
 *   dele_result_release(&r); */
#ifndef DELE_RESULT_H
#define DELE_RESULT_H

#include "base/file_out.h"
#include "base/items.h"
#include "option/manifest.h"

typedef struct {
    dele_manifest manifest;
    dele_outdir dir;
    dele_items items;
} dele_result;

/* Adds the inputs [n] (files or directories; NULL: left out) to the manifest, and opens the
 * directory and its items.jsonl.  unit: what a line is, for the note that a run is resumed; NULL:
 * no note. */
dele_status dele_result_open(dele_result *r, const char *const *input, size_t n, const char *out,
                             const char *unit, dele_err *err);
/* Closes items.jsonl, writes manifest.json and moves the directory into place. */
dele_status dele_result_commit(dele_result *r, dele_err *err);
/* An unfinished directory is removed unless the command can resume after its items.  Accepts a
 * zeroed result. */
void dele_result_release(dele_result *r);

/* deleatur/manifest.json in the directory of a checkpoint that a command writes. */
dele_status dele_manifest_in_checkpoint(dele_manifest *m, const dele_outdir *dir, dele_err *err);

#endif
