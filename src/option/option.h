/* A command's options are a table; parser, help text, config file and manifest all read the same
 * one.
 *
 *   const dele_option options[] = {
 *       DELE_GROUP("data"),
 *       DELE_OPT("facts", &facts, "facts in ROME's format, JSON or JSONL"),
 *       DELE_OPT("window", &window, "layers restored together for mlp and attn"),
 *       DELE_FLAG("reference", &reference, "recompute every cell from scratch"),
 *       {0}};
 *
 * The variable's type is the option's type, and its initial value is the default, which --help
 * prints.  A group is a heading over the options that follow it; groups are optional.  A flag needs
 * no argument (--no-NAME clears it).  --config FILE (JSON object, same names) is read before the
 * command line's other options.  Every command also has --help, --threads N, --quiet and --json
 * (--help --json: the table for programs).  The error for a misspelt name suggests the nearest
 * name; the error for another program's name (--learning-rate) suggests deleatur's. */
#ifndef DELE_OPTION_H
#define DELE_OPTION_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef enum {
    DELE_OPT_STRING,
    DELE_OPT_INT,
    DELE_OPT_U64,
    DELE_OPT_DOUBLE,
    DELE_OPT_BOOL,
    DELE_OPT_GROUP
} dele_option_type;

/* One line of a table; of a group, name is "", value NULL and help its title. */
typedef struct {
    const char *name;
    dele_option_type type;
    void *value;
    const char *help;
} dele_option;

#define DELE_OPT_TYPE(p)                                                                           \
    _Generic((p), const char **: DELE_OPT_STRING, int *: DELE_OPT_INT,                             \
             uint64_t *: DELE_OPT_U64, double *: DELE_OPT_DOUBLE, bool *: DELE_OPT_BOOL)
#define DELE_OPT(name, p, help)                                                                    \
    {                                                                                              \
        (name), DELE_OPT_TYPE(p), (p), (help)                                                      \
    }
#define DELE_FLAG(name, p, help)                                                                   \
    {                                                                                              \
        (name), DELE_OPT_BOOL, (p), (help)                                                         \
    }
#define DELE_GROUP(title)                                                                          \
    {                                                                                              \
        "", DELE_OPT_GROUP, NULL, (title)                                                          \
    }

/* A line of the list that a command's help may end with, as the objectives of unlearn. */
typedef struct {
    const char *name, *text;
} dele_usage_entry;

typedef struct {
    const char *command; /* "trace" */
    const char *summary; /* one line */
    const char
        *synopsis; /* "MODEL --facts FILE --out DIR"; its first words name the positional ones */
    const char *example;        /* a whole command line that works */
    const dele_option *options; /* ends with {0} */
    const char **positional;    /* [n_positional] out: their values, all required */
    int n_positional;
    const char *list_title;       /* NULL: no list */
    const dele_usage_entry *list; /* ends with {0} */
    bool tables;                  /* it prints tables, and so has --csv */
} dele_usage;

/* What every command has. */
typedef struct {
    int threads; /* 0: as OpenMP says */
    bool quiet, json, csv;
    bool help; /* --help was given and printed: leave with 0 */
} dele_common;

/* Parses argv (argv[0] is the command's name).  A wrong command line is DELE_ERR_USAGE with a
 * message.  String values point into argv or into the arena. */
dele_status dele_options_parse(dele_common *common, const dele_usage *usage, int argc, char **argv,
                               dele_arena *arena, dele_err *err);

/* The option after o (first: of the table), over the groups' titles; NULL at the end. */
const dele_option *dele_option_next(const dele_option *o);
const dele_option *dele_option_first(const dele_option *table);

/* The k-th of deleatur's names for an option that other programs call `theirs` (transformers, PEFT,
 * lm-evaluation-harness, open-unlearning, ROME; - and _ are the same), or NULL.  A name in capitals
 * is a positional word. */
const char *dele_option_ours(const char *theirs, size_t k);

/* The one of names[n] that is nearest to the misspelt `word`, or NULL. */
const char *dele_nearest(const char *word, const char *const *names, size_t n);

/* Every option with its current value, for the manifest.  The caller owns the object
 * (cJSON_Delete). */
cJSON *dele_options_json(const dele_usage *usage);

#endif
