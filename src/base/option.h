/* A command's options are a table; parser, help text, config file and manifest all read the same one.
 *
 *   const lac_option options[] = {
 *       LAC_OPT("facts", &facts, "facts in ROME's format, JSON or JSONL"),
 *       LAC_OPT("window", &window, "layers restored together for mlp and attn"),
 *       LAC_FLAG("reference", &reference, "recompute every cell from scratch"),
 *       {0}};
 *
 * The type is read off the variable; its value beforehand is the default, which --help prints.  A flag needs no
 * argument (--no-NAME clears it).  --config FILE (JSON object, same names) is read before the command line's other
 * options.  Every command also has --help, --threads N, --quiet and --json (--help --json: the table for programs).  A
 * misspelt name gets the nearest one. */
#ifndef LAC_OPTION_H
#define LAC_OPTION_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef enum { LAC_OPT_STRING, LAC_OPT_INT, LAC_OPT_U64, LAC_OPT_DOUBLE, LAC_OPT_BOOL } lac_option_type;

typedef struct {
    const char *name;
    lac_option_type type;
    void *value;
    const char *help;
} lac_option;

#define LAC_OPT_TYPE(p)                                                                                \
    _Generic((p), const char **: LAC_OPT_STRING, int *: LAC_OPT_INT, uint64_t *: LAC_OPT_U64,          \
             double *: LAC_OPT_DOUBLE, bool *: LAC_OPT_BOOL)
#define LAC_OPT(name, p, help) {(name), LAC_OPT_TYPE(p), (p), (help)}
#define LAC_FLAG(name, p, help) {(name), LAC_OPT_BOOL, (p), (help)}

typedef struct {
    const char *command;        /* "trace" */
    const char *summary;        /* one line */
    const char *synopsis;       /* "MODEL --facts FILE --out DIR" */
    const char *example;        /* a whole command line that works */
    const lac_option *options;  /* ends with {0} */
    const char **positional;    /* [n_positional] out: their values, all required */
    int n_positional;
} lac_usage;

/* What every command has. */
typedef struct {
    int threads; /* 0: as OpenMP says */
    bool quiet, json;
    bool help;   /* --help was given and printed: leave with 0 */
} lac_common;

/* Parses argv (argv[0] is the command's name).  A wrong command line is LAC_ERR_USAGE with its sentence.  String
 * values point into argv or into the arena. */
lac_status lac_options_parse(lac_common *common, const lac_usage *usage, int argc, char **argv, lac_arena *arena,
                             lac_err *err);

/* The one of names[n] that `word` probably meant: few letters away; or NULL. */
const char *lac_nearest(const char *word, const char *const *names, size_t n);

/* Every option with its value in force, for the manifest.  The caller owns the object (cJSON_Delete). */
cJSON *lac_options_json(const lac_usage *usage);

#endif
