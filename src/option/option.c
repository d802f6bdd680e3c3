/* Options: one table, four readers (command line, config file, help, manifest).
 *
 * Order of precedence, lowest first: the variable's initial value, --config FILE, the command line.
 * Both sources use set_text, so that "noise": "s3" in a file is --noise s3, and their errors differ
 * only in the place that they name. */
#include "option/option.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/nearest.h"
#include "option/option_help.h"
#include "option/option_names.h"

enum { MAX_OPTIONS = 128 };

/* The command's options followed by the common ones, as one list. */
typedef struct {
    const dele_usage *usage;
    const char *config;
    dele_option common[7];
} table;

static void table_init(table *t, const dele_usage *usage, dele_common *common)
{
    *t = (table){.usage = usage};
    const dele_option everyones[] = {
        DELE_OPT("config", &t->config,
                 "read options from this file first: a JSON object with the same names"),
        DELE_OPT("threads", &common->threads, "number of threads; 0: one per core"),
        DELE_FLAG("quiet", &common->quiet, "no progress on stderr"),
        DELE_FLAG("json", &common->json, "results on stdout as JSON"),
        DELE_FLAG("help", &common->help, "print this help"),
    };
    const size_t n = sizeof everyones / sizeof *everyones;
    memcpy(t->common, everyones, sizeof everyones);
    if (usage->tables)
        t->common[n] = (dele_option)DELE_FLAG("csv", &common->csv, "tables on stdout as CSV");
}

static const dele_option *find_in(const dele_option *options, const char *name)
{
    for (const dele_option *o = dele_option_first(options); o; o = dele_option_next(o))
        if (!strcmp(o->name, name)) return o;
    return NULL;
}

static const dele_option *find(const table *t, const char *name)
{
    name = dele_option_first_name(name);
    const dele_option *o = find_in(t->usage->options, name);
    return o ? o : find_in(t->common, name);
}

/* ---- misspelt names -------------------------------------------------------------------------- */

/* The k-th positional word of the synopsis, such as "MODEL"; n is its length. */
static const char *positional_name(const dele_usage *usage, int k, size_t *n)
{
    const char *word = usage->synopsis + strspn(usage->synopsis, " ");
    for (; *word; word += strcspn(word, " "), word += strspn(word, " "))
        if (strncmp(word, "--", 2) && k-- == 0) break;
    *n = strcspn(word, " ");
    return word;
}

/* This command's option for a name that another program uses. */
static dele_status fail_foreign(const table *t, const char *where, const char *dashes,
                                const char *name, dele_err *err)
{
    const char *ours;
    for (size_t k = 0; (ours = dele_option_ours(name, k)); k++) {
        if (find(t, ours))
            return dele_fail(err, DELE_ERR_USAGE, "%sno option %s%s: say %s%s", where, dashes, name,
                             dashes, ours);
        size_t n;
        if (isupper((unsigned char)*ours) && t->usage->n_positional &&
            !strncmp(positional_name(t->usage, 0, &n), ours, strlen(ours)))
            return dele_fail(err, DELE_ERR_USAGE,
                             "%sno option %s%s: %s is a positional argument, deleatur %s %s", where,
                             dashes, name, ours, t->usage->command, t->usage->synopsis);
    }
    return DELE_OK;
}

static dele_status fail_unknown(const table *t, const char *where, const char *dashes,
                                const char *name, dele_err *err)
{
    const char *names[MAX_OPTIONS];
    size_t n = 0;
    const dele_option *const both[] = {t->common, t->usage->options};
    if (fail_foreign(t, where, dashes, name, err)) return DELE_ERR_USAGE;
    for (size_t i = 0; i < 2; i++)
        for (const dele_option *o = dele_option_first(both[i]); o && n < MAX_OPTIONS;
             o = dele_option_next(o))
            names[n++] = o->name;
    const char *near = dele_nearest(name, names, n);
    if (near)
        return dele_fail(err, DELE_ERR_USAGE, "%sno option %s%s; did you mean %s%s?", where, dashes,
                         name, dashes, near);
    return dele_fail(err, DELE_ERR_USAGE, "%sno option %s%s (deleatur %s --help lists them)", where,
                     dashes, name, t->usage->command);
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool parse_bool(const char *text, bool *value)
{
    *value = !strcmp(text, "true") || !strcmp(text, "yes") || !strcmp(text, "1");
    return *value || !strcmp(text, "false") || !strcmp(text, "no") || !strcmp(text, "0");
}

static bool set_choice(const dele_option *o, const char *text)
{
    for (unsigned i = 0; o->choices[i]; i++) {
        if (strcmp(o->choices[i], text)) continue;
        memcpy(o->value, &i, sizeof i);
        return true;
    }
    return false;
}

/* Sets an option from its text; false when the text is not of its type.  The text must outlive the
 * option. */
static bool set_text(const dele_option *o, const char *text)
{
    char *end = NULL;
    errno = 0;
    switch (o->type) {
    case DELE_OPT_STRING:
        *(const char **)o->value = text;
        return true;
    case DELE_OPT_BOOL:
        return parse_bool(text, o->value);
    case DELE_OPT_INT: {
        long x = strtol(text, &end, 10);
        if (end == text || *end || errno || x < INT_MIN || x > INT_MAX) return false;
        *(int *)o->value = (int)x;
        return true;
    }
    case DELE_OPT_U64: {
        unsigned long long x = strtoull(text, &end, 10);
        if (end == text || *end || errno || strchr(text, '-')) return false;
        *(uint64_t *)o->value = x;
        return true;
    }
    case DELE_OPT_DOUBLE: {
        double x = strtod(text, &end);
        if (end == text || *end || !isfinite(x)) return false;
        *(double *)o->value = x;
        return true;
    }
    case DELE_OPT_CHOICE:
        return set_choice(o, text);
    case DELE_OPT_GROUP:
        break; /* find() gives none */
    }
    return false;
}

static const char *wants(dele_option_type type)
{
    static const char *const words[] = {
        [DELE_OPT_STRING] = "text",
        [DELE_OPT_INT] = "a whole number",
        [DELE_OPT_U64] = "a whole number, 0 or more",
        [DELE_OPT_DOUBLE] = "a number",
        [DELE_OPT_BOOL] = "true or false",
        [DELE_OPT_CHOICE] = "a word",
        [DELE_OPT_GROUP] = "nothing",
    };
    return words[type];
}

/* The error for a value that is not of the option's type.  shown: the option as it is written in
 * the place that is wrong; text: NULL where a file has no scalar there. */
static dele_status fail_value(const char *shown, const dele_option *o, const char *text,
                              dele_err *err)
{
    if (!text) return dele_fail(err, DELE_ERR_USAGE, "%s wants %s", shown, wants(o->type));
    if (o->type != DELE_OPT_CHOICE)
        return dele_fail(err, DELE_ERR_USAGE, "%s wants %s, not \"%s\"", shown, wants(o->type),
                         text);
    return dele_fail_choice(err, DELE_ERR_USAGE, shown, text, o->choices);
}

/* ---- the config file ------------------------------------------------------------------------- */

/* A scalar's text as on the command line, in the arena; a list becomes a,b,c. */
static const char *scalar_text(const cJSON *item, dele_arena *arena, dele_err *err)
{
    if (cJSON_IsString(item)) return dele_strdup(arena, item->valuestring, err);
    if (cJSON_IsBool(item)) return cJSON_IsTrue(item) ? "true" : "false";
    if (cJSON_IsNumber(item)) {
        char *printed = cJSON_PrintUnformatted(item);
        const char *text = printed ? dele_strdup(arena, printed, err) : NULL;
        free(printed);
        return text;
    }
    if (!cJSON_IsArray(item)) return NULL;
    const char *list = "";
    const cJSON *element;
    cJSON_ArrayForEach(element, item)
    {
        const char *text = cJSON_IsArray(element) ? NULL : scalar_text(element, arena, err);
        if (text) list = dele_printf(arena, err, "%s%s%s", list, *list ? "," : "", text);
        if (!text || !list) return NULL;
    }
    return list;
}

static dele_status set_config_item(table *t, const cJSON *item, const char *path, dele_arena *arena,
                                   dele_err *err)
{
    const dele_option *o = find(t, item->string);
    if (!o || !strcmp(item->string, "config") || !strcmp(item->string, "help"))
        return fail_unknown(t, dele_printf(arena, err, "%s: ", path), "", item->string, err);
    if (cJSON_IsNull(item))
        return DELE_OK; /* as if it were not there: manifests write null for what was not given */
    const char *text = scalar_text(item, arena, err);
    if (text && set_text(o, text)) return DELE_OK;
    if (err && err->code) return err->code;
    const char *shown = dele_printf(arena, err, "%s: \"%s\"", path, item->string);
    return shown ? fail_value(shown, o, text, err) : DELE_ERR_MEMORY;
}

static dele_status read_config(table *t, const char *path, dele_arena *arena, dele_err *err)
{
    cJSON *json = dele_json_load(path, err);
    if (!json) return err ? err->code : DELE_ERR_FILE;
    dele_status status = DELE_OK;
    if (!cJSON_IsObject(json))
        status = dele_fail(err, DELE_ERR_USAGE,
                           "%s: options are in a JSON object, {\"name\": value, ...}", path);
    for (const cJSON *item = status ? NULL : json->child; item && !status; item = item->next)
        status = set_config_item(t, item, path, arena, err);
    cJSON_Delete(json);
    return status;
}

/* ---- the command line ------------------------------------------------------------------------ */

/* Takes argv[*i] and, where the option wants one, its value.  dry: only look for --config. */
static dele_status take_option(table *t, int argc, char **argv, int *i, bool dry, dele_arena *arena,
                               dele_err *err)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '='),
               *text = equals ? equals + 1 : NULL;
    if (equals && !(name = dele_strndup(arena, name, (size_t)(equals - name), err)))
        return DELE_ERR_MEMORY;

    const dele_option *o = find(t, name);
    if (!o && !strncmp(name, "no-", 3) && !equals) {
        o = find(t, name + 3);
        if (o && o->type != DELE_OPT_BOOL) o = NULL;
        if (o) text = "false";
    }
    if (!o) return fail_unknown(t, "", "--", name, err);
    if (!text && o->type == DELE_OPT_BOOL) text = "true";
    if (!text) {
        if (*i + 1 >= argc || (!strncmp(argv[*i + 1], "--", 2) && argv[*i + 1][2]))
            return dele_fail(err, DELE_ERR_USAGE, "--%s wants %s after it", name, wants(o->type));
        text = argv[++*i];
    }
    if (dry != (o->value == &t->config)) return DELE_OK;
    if (set_text(o, text)) return DELE_OK;
    const char *shown = dele_printf(arena, err, "--%s", name);
    return shown ? fail_value(shown, o, text, err) : DELE_ERR_MEMORY;
}

/* Goes through the command line.  It is walked twice: dry, to find --config, whose options come
 * first, and then in earnest. */
static dele_status walk(table *t, int argc, char **argv, bool dry, int *n_positional,
                        dele_arena *arena, dele_err *err)
{
    const dele_usage *u = t->usage;
    bool only_words = false; /* after -- */
    *n_positional = 0;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        dele_status status = DELE_OK;
        if (!only_words && !strcmp(arg, "--")) {
            only_words = true;
        } else if (!only_words && !strncmp(arg, "--", 2)) {
            status = take_option(t, argc, argv, &i, dry, arena, err);
        } else if (!only_words && arg[0] == '-' && arg[1]) {
            if (!strcmp(arg, "-q"))
                set_text(find(t, "quiet"), "true");
            else
                status =
                    dele_fail(err, DELE_ERR_USAGE, "no option %s; options are written --name", arg);
        } else if (*n_positional >= u->n_positional) {
            status =
                dele_fail(err, DELE_ERR_USAGE, "\"%s\" is one argument too many: deleatur %s %s",
                          arg, u->command, u->synopsis);
        } else {
            u->positional[(*n_positional)++] = arg;
        }
        if (status) return status;
    }
    return DELE_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool has_word(int argc, char **argv, const char *word)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], word)) return true;
    return false;
}

dele_status dele_options_parse(dele_common *common, const dele_usage *usage, int argc, char **argv,
                               dele_arena *arena, dele_err *err)
{
    table t;
    *common = (dele_common){0};
    table_init(&t, usage, common);
    if (has_word(argc, argv, "--help") || has_word(argc, argv, "-h")) {
        /* before anything is set, so that the defaults shown are the defaults */
        if (has_word(argc, argv, "--json"))
            dele_options_help_json(usage, t.common);
        else
            dele_options_help(usage, t.common);
        common->help = true;
        return DELE_OK;
    }
    int n = 0;
    dele_status status = walk(&t, argc, argv, true, &n, arena, err);
    if (!status && t.config) status = read_config(&t, t.config, arena, err);
    if (!status) status = walk(&t, argc, argv, false, &n, arena, err);
    if (!status && n < usage->n_positional) {
        size_t length;
        const char *missing = positional_name(usage, n, &length);
        status =
            dele_fail(err, DELE_ERR_USAGE, "%.*s is missing: deleatur %s %s (--help says more)",
                      (int)length, missing, usage->command, usage->synopsis);
    }
    if (!status && common->json && common->csv)
        status = dele_fail(err, DELE_ERR_USAGE, "--json and --csv: choose one of them");
    if (!status && common->threads < 0)
        status =
            dele_fail(err, DELE_ERR_USAGE, "--threads wants 0 or more, not %d", common->threads);
    if (!status && common->threads)
        omp_set_num_threads(common->threads); /* OpenBLAS uses the same threads */
    return status;
}
