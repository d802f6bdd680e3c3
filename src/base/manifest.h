/* manifest.json: everything needed to repeat a result -- the command, every resolved option, sha256
 * of the inputs, versions, threads, the processor, times. */
#ifndef DELE_MANIFEST_H
#define DELE_MANIFEST_H

#include "base/json.h"
#include "base/option.h"

typedef struct {
    cJSON *json;
    double started;
} dele_manifest;

void dele_manifest_begin(dele_manifest *m, const dele_usage *usage, int argc, char **argv);
/* Adds path, size and sha256 of a file; of a directory, of each regular file in it. */
dele_status dele_manifest_input(dele_manifest *m, const char *path, dele_err *err);
void dele_manifest_set(dele_manifest *m, const char *key, cJSON *value); /* takes the value */
/* What decides a result's bytes, for dele_outdir_resume: the program, the inputs, and the options
 * but those named ("out,pictures"), which only say where the result goes or what is shown. */
char *dele_manifest_key(const dele_manifest *m, const char *indifferent, dele_arena *arena,
                        dele_err *err);
/* Stamps the end time and writes.  Times stand under "when", so that the rest is equal from run to
 * run. */
dele_status dele_manifest_save(dele_manifest *m, const char *path, dele_err *err);
void dele_manifest_release(dele_manifest *m);

#endif
