/* manifest.json: everything needed to repeat a result -- the command, every resolved option, sha256
 * of the inputs, versions, threads, the processor, times. */
#ifndef DELE_MANIFEST_H
#define DELE_MANIFEST_H

#include "base/json.h"
#include "option/option.h"

typedef struct {
    cJSON *json;
    double started;
} dele_manifest;

void dele_manifest_begin(dele_manifest *m, const dele_usage *usage, int argc, char **argv);
/* Adds path, size and sha256 of a file; of a directory, of each regular file in it. */
dele_status dele_manifest_input(dele_manifest *m, const char *path, dele_err *err);
void dele_manifest_set(dele_manifest *m, const char *key, cJSON *value); /* takes the value */
/* The key of a result for dele_outdir_resume: the program, the inputs, and all options except the
 * named ones ("out,pictures"), which do not change the result. */
char *dele_manifest_key(const dele_manifest *m, const char *indifferent, dele_arena *arena,
                        dele_err *err);
/* Adds the end time and writes the file.  Times are under "when", so that the rest is equal from
 * run to run. */
dele_status dele_manifest_save(dele_manifest *m, const char *path, dele_err *err);
void dele_manifest_release(dele_manifest *m);

#endif
