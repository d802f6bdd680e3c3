/* A command's options are a table; parser, help text, config file and manifest all read the same
 * one.
 *
 *   const dele_option options[] = {
 *       DELE_GROUP("data"),
 *       DELE_OPT("facts", &facts, "facts in ROME's format, JSON or JSONL"),
 *       DELE_OPT("window", &window, "layers restored together for mlp and attn"),
 *       DELE_CHOICE("direction", &direction, direction_names, "into which run"),
 *       DELE_FLAG("reference", &reference, "recompute every cell from scratch"),
 *       {0}};
 *
 * The variable's type is the option's type, and its initial value is the default, which --help
 * prints.  A group is a heading over the options that follow it; groups are optional.  A flag needs
 * no argument (--no-NAME clears it).  A choice is an enum with a table of its words: help, man page
 * and completion list them, and an unknown word is an error that suggests the nearest.  --config
 * FILE (JSON object, same names) is read before the command line's other options.  Every command
 * also has --help, --threads N, --quiet and --json
 * (--help --json: the table for programs).  The error for a misspelt name suggests the nearest
 * name; the error for another program's name (--learning-rate) suggests deleatur's. */
#ifndef DELE_OPTION_H
#define DELE_OPTION_H

#include "base/arena.h"
#include "option/option_table.h"

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

#endif
