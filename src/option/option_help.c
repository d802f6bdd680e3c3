/* A command's help: the table of its options as a page of 80 columns, or as JSON. */
#include "option/option_help.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/texts.h"

enum { WIDTH = 80, TEXT_COLUMN = 26 };

enum { MOST_ARGUMENT = 400 };

/* What is written after an option's name: the kind of its value, or of a choice its words. */
static void argument_of(char text[MOST_ARGUMENT], const dele_option *o)
{
    static const char *const kinds[] = {
        [DELE_OPT_STRING] = "TEXT", [DELE_OPT_INT] = "N", [DELE_OPT_U64] = "N",
        [DELE_OPT_DOUBLE] = "X",    [DELE_OPT_BOOL] = "", [DELE_OPT_CHOICE] = "",
        [DELE_OPT_GROUP] = "",
    };
    if (o->type == DELE_OPT_CHOICE)
        dele_option_words(text, MOST_ARGUMENT, o, "|");
    else
        snprintf(text, MOST_ARGUMENT, "%s", kinds[o->type]);
}

/* Bytes of the next word; of a command line, with the values after an option. */
static size_t word_length(const char *word, bool command)
{
    size_t n = strcspn(word, " ");
    while (command && word[n] && strncmp(word + n, " --", 3)) n += 1 + strcspn(word + n + 1, " ");
    return n;
}

/* Prints the words of text from column `at` on.  A line that would reach WIDTH ends with `tail` ("
 * \\" in a command line) and continues at column `indent`.  Ends the line. */
static void print_wrapped(const char *text, int at, int indent, const char *tail)
{
    bool first = true;
    for (const char *word = text + strspn(text, " "); *word; word += strspn(word, " ")) {
        const size_t n = word_length(word, *tail);
        const int wide = (int)dele_utf8_count(word, n), room = WIDTH - 1 - (int)strlen(tail);
        if (!first && at + 1 + wide > room) {
            printf("%s\n%*s", tail, indent, "");
            at = indent;
        } else if (!first) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)n, word);
        at += wide;
        word += n;
        first = false;
    }
    putchar('\n');
}

/* " [default]" after the help, or nothing. */
static void default_text(char *text, size_t size, const dele_option *o)
{
    *text = 0;
    switch (o->type) {
    case DELE_OPT_STRING: {
        const char *value = *(const char **)o->value;
        if (value && *value) snprintf(text, size, " [%s]", value);
        break;
    }
    case DELE_OPT_INT:
        snprintf(text, size, " [%d]", *(int *)o->value);
        break;
    case DELE_OPT_U64:
        snprintf(text, size, " [%llu]", (unsigned long long)*(uint64_t *)o->value);
        break;
    case DELE_OPT_DOUBLE:
        if (!isnan(*(double *)o->value))
            snprintf(text, size, " [%g]", *(double *)o->value); /* NaN: not given */
        break;
    case DELE_OPT_BOOL:
        if (*(bool *)o->value) snprintf(text, size, " [on; --no-%s]", o->name);
        break;
    case DELE_OPT_CHOICE:
        if (*dele_option_word(o)) snprintf(text, size, " [%s]", dele_option_word(o));
        break;
    case DELE_OPT_GROUP:
        break;
    }
}

/* Prints a term; the words of a choice that do not fit into the line continue below its first one.
 * Returns the column that is reached. */
static int print_term(const char *term)
{
    const char *words = strrchr(term, ' ');
    int at = printf("  %.*s", words ? (int)(words + 1 - term) : 0, term);
    const int indent = at;
    for (const char *word = words ? words + 1 : term; *word;) {
        const int n = (int)strcspn(word, "|") + (word[strcspn(word, "|")] == '|');
        if (at + n >= WIDTH && at > indent) at = printf("\n%*s", indent, "") - 1;
        at += printf("%.*s", n, word);
        word += n;
    }
    return at;
}

/* Prints a term and its text, side by side or, if the term is long, one below the other. */
static void print_entry(const char *term, const char *text)
{
    int at = print_term(term);
    if (at + 2 > TEXT_COLUMN) {
        putchar('\n');
        at = 0;
    }
    printf("%*s", TEXT_COLUMN - at, "");
    print_wrapped(text, TEXT_COLUMN, TEXT_COLUMN, "");
}

static void print_options(const dele_option *options)
{
    for (const dele_option *o = options; o && o->name; o++) {
        char term[MOST_ARGUMENT + 80], arg[MOST_ARGUMENT], value[200], text[1200];
        if (o->type == DELE_OPT_GROUP) {
            printf("\n%s\n", o->help);
            continue;
        }
        argument_of(arg, o);
        snprintf(term, sizeof term, "--%s%s%s", o->name, *arg ? " " : "", arg);
        default_text(value, sizeof value, o);
        snprintf(text, sizeof text, "%s%s", o->help, value);
        print_entry(term, text);
    }
}

void dele_options_help(const dele_usage *u, const dele_option *common)
{
    int at = printf("deleatur %s -- ", u->command);
    print_wrapped(u->summary, at, 4, "");
    at = printf("\n  deleatur %s ", u->command);
    print_wrapped(u->synopsis, at - 1, 6, "");
    if (u->options && u->options->name && u->options->type != DELE_OPT_GROUP) putchar('\n');
    print_options(u->options);
    puts("\nevery command");
    print_options(common);
    if (u->list) printf("\n%s\n", u->list_title);
    for (const dele_usage_entry *e = u->list; e && e->name; e++) print_entry(e->name, e->text);
    if (!u->example) return;
    fputs("\nfor example\n\n  ", stdout);
    print_wrapped(u->example, 2, 6, " \\");
}

static cJSON *option_json(const dele_option *o)
{
    cJSON *json = cJSON_CreateObject(), *choices;
    char arg[MOST_ARGUMENT];
    argument_of(arg, o);
    cJSON_AddStringToObject(json, "name", o->name);
    cJSON_AddStringToObject(json, "argument", arg);
    cJSON_AddItemToObject(json, "default", dele_option_value_json(o));
    cJSON_AddStringToObject(json, "help", o->help);
    if (o->type != DELE_OPT_CHOICE) return json;
    cJSON_AddItemToObject(json, "choices", choices = cJSON_CreateArray());
    for (const char *const *word = o->choices; *word; word++)
        if (**word) cJSON_AddItemToArray(choices, cJSON_CreateString(*word));
    return json;
}

/* Adds the options to groups: those before the first heading under `title`. */
static void add_groups(cJSON *groups, const char *title, const dele_option *options)
{
    cJSON *inside = NULL;
    for (const dele_option *o = options; o && o->name; o++) {
        const bool heading = o->type == DELE_OPT_GROUP;
        if (heading || !inside) {
            cJSON *group = cJSON_CreateObject();
            cJSON_AddStringToObject(group, "title", heading ? o->help : title);
            inside = cJSON_AddArrayToObject(group, "options");
            cJSON_AddItemToArray(groups, group);
        }
        if (!heading) cJSON_AddItemToArray(inside, option_json(o));
    }
}

void dele_options_help_json(const dele_usage *u, const dele_option *common)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "command", u->command);
    cJSON_AddStringToObject(json, "summary", u->summary);
    cJSON_AddStringToObject(json, "synopsis", u->synopsis);
    if (u->example) cJSON_AddStringToObject(json, "example", u->example);
    cJSON_AddNumberToObject(json, "words", u->n_positional);
    cJSON_AddItemToObject(json, "options", dele_options_json(u));
    cJSON *groups = cJSON_AddArrayToObject(json, "groups");
    add_groups(groups, "options", u->options);
    add_groups(groups, "every command", common);
    if (u->list) {
        cJSON *list = cJSON_AddObjectToObject(json, "list");
        cJSON_AddStringToObject(list, "title", u->list_title);
        cJSON *entries = cJSON_AddArrayToObject(list, "entries");
        for (const dele_usage_entry *e = u->list; e->name; e++) {
            cJSON *entry = cJSON_CreateObject();
            cJSON_AddStringToObject(entry, "name", e->name);
            cJSON_AddStringToObject(entry, "text", e->text);
            cJSON_AddItemToArray(entries, entry);
        }
    }
    char *text = cJSON_Print(json);
    if (text) puts(text);
    free(text);
    cJSON_Delete(json);
}
