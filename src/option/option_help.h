/* A command's help. */
#ifndef DELE_OPTION_HELP_H
#define DELE_OPTION_HELP_H

#include "option/option_table.h"

/* A command's page on stdout, in 80 columns; common: the options that every command has. */
void dele_options_help(const dele_usage *usage, const dele_option *common);

/* The same for programs:
 *   {"command", "summary", "synopsis", "example", "words": n, "options": {name: default},
 *    "groups": [{"title", "options": [{"name", "argument", "default", "help",
 *    "choices"}]}], "list": {"title", "entries": [...]}}
 * where the last group is what every command has, choices are the words of an option that takes one
 * of them, and list is there for a command that has one. */
void dele_options_help_json(const dele_usage *usage, const dele_option *common);

#endif
