/* manifest.json: everything needed to repeat a result -- the command, every resolved option, sha256 of the inputs,
 * versions, threads, the processor, times. */
#ifndef LAC_MANIFEST_H
#define LAC_MANIFEST_H

#include "base/json.h"
#include "base/option.h"

typedef struct {
    cJSON *json;
    double started;
} lac_manifest;

void lac_manifest_begin(lac_manifest *m, const lac_usage *usage, int argc, char **argv);
/* Adds path, size and sha256 of a file; of a directory, of each regular file in it. */
lac_status lac_manifest_input(lac_manifest *m, const char *path, lac_err *err);
void lac_manifest_set(lac_manifest *m, const char *key, cJSON *value); /* takes the value */
/* What decides a result's bytes, for lac_outdir_resume: the program, the inputs, and the options but those named
 * ("out,pictures"), which only say where the result goes or what is shown. */
char *lac_manifest_key(const lac_manifest *m, const char *indifferent, lac_arena *arena, lac_err *err);
/* Stamps the end time and writes.  Times stand under "when", so that the rest is equal from run to run. */
lac_status lac_manifest_save(lac_manifest *m, const char *path, lac_err *err);
void lac_manifest_release(lac_manifest *m);

#endif
