/* deleatur rows -- some rows of a file, or of two, in their order.
 *
 *   reads    JSONL, or a JSON array of objects
 *   writes   JSONL, a line each row that matches, its bytes as they were read
 *
 * What a study needs before it can begin: the first so many people of a data set, two sets as
 * one. */
#include "cli/cmd.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

#include "base/file_out.h"
#include "base/json.h"
#include "base/nearest.h"
#include "option/option.h"

enum { CONDITIONS = 2 };

typedef struct {
    const char *file, *append, *out, *where[CONDITIONS];
    bool not ;
    int limit;
} rows_command;

/* FIELD=REGEX, POSIX extended, anywhere in the field's text. */
typedef struct {
    const char *text, *field;
    regex_t regex;
    bool compiled, seen; /* seen: some row has the field */
} condition;

static dele_status compile(condition *c, const char *text, dele_arena *arena, dele_err *err)
{
    char why[200];
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--where %s: it is written FIELD=EXPRESSION, as in task=^Task2$", text);
    if (!(c->field = dele_strndup(arena, text, (size_t)(equals - text), err)))
        return DELE_ERR_MEMORY;
    int wrong = regcomp(&c->regex, equals + 1, REG_EXTENDED | REG_NOSUB);
    if (wrong) {
        if (wrong == REG_ESPACE)
            return dele_fail(err, DELE_ERR_MEMORY, "out of memory for --where %s", text);
        regerror(wrong, &c->regex, why, sizeof why);
        return dele_fail(err, DELE_ERR_USAGE, "--where %s: %s", text, why);
    }
    c->text = text;
    c->compiled = true;
    return DELE_OK;
}

/* Memory that ends while it is searched is no answer; glibc's regexec says "no match" then, and
 * errno the truth. */
static bool found(const condition *c, const char *text, dele_err *err)
{
    errno = 0;
    const int status = text ? regexec(&c->regex, text, 0, NULL, 0) : REG_ESPACE;
    if (status && (status != REG_NOMATCH || errno == ENOMEM))
        dele_fail(err, DELE_ERR_MEMORY, "out of memory while rows were compared");
    return !status;
}

static bool matches(condition *c, const cJSON *row, dele_err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, c->field);
    if (!c->compiled) return true;
    c->seen |= item != NULL;
    if (cJSON_IsString(item)) return found(c, item->valuestring, err);
    if (!item || cJSON_IsNull(item)) return false;
    char *text = cJSON_PrintUnformatted(item);
    const bool yes = found(c, text, err);
    cJSON_free(text);
    return yes;
}

/* What a field that no row has could have been: the names in the first row. */
static dele_status fail_unknown(const condition *c, const char *path, dele_err *err)
{
    enum { SHOWN = 16 };
    const char *names[SHOWN];
    char list[200] = "";
    size_t n = 0;
    dele_records r = {.pass_on = true};
    const cJSON *row = dele_records_open(&r, path, err) ? NULL : dele_records_next(&r, err);
    for (const cJSON *item = row ? row->child : NULL; item && n < SHOWN; item = item->next) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", n ? ", " : "", item->string);
        names[n++] = item->string;
    }
    const char *near = dele_nearest(c->field, names, n);
    dele_fail(err, DELE_ERR_DATA,
              "--where %s: no row has a field \"%s\"%s%s%s; the first row of %s has %s", c->text,
              c->field, near ? "; did you mean " : "", near ? near : "", near ? "?" : "", path,
              n ? list : "none");
    dele_records_close(&r);
    return err->code;
}

static dele_status copy_rows(FILE *to, const rows_command *o, const char *path, condition *c,
                             size_t *n, dele_err *err)
{
    const size_t limit = (size_t)o->limit;
    dele_records r = {.pass_on = true};
    dele_arena scratch = {0};
    if (dele_records_open(&r, path, err)) return err->code;
    for (const cJSON *row; (!limit || *n < limit) && (row = dele_records_next(&r, err));) {
        const bool first = matches(&c[0], row, err),
                   second = matches(&c[1], row, err); /* both, to see their fields */
        if (err->code) break;
        if ((first && second) == o->not ) continue;
        const char *text = dele_record_text(&r, &scratch, err);
        if (!text) break;
        fprintf(to, "%s\n", text);
        dele_arena_reset(&scratch);
        ++*n;
    }
    dele_arena_release(&scratch);
    dele_records_close(&r);
    return err->code;
}

/* Copies the rows that meet the conditions.  A field that no row has is reported as an unknown
 * name: it would otherwise be a condition that never holds. */
static dele_status filter_rows(const rows_command *o, size_t *n, dele_arena *arena, dele_err *err)
{
    condition c[CONDITIONS] = {{0}};
    dele_writer out = {0};
    if (!o->out)
        return dele_fail(err, DELE_ERR_USAGE, "--out FILE is missing: the file for the rows");
    if (o->not &&!o->where[0] && !o->where[1])
        return dele_fail(err, DELE_ERR_USAGE, "--not needs --where");
    if (o->limit < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--limit %d: it cannot be negative", o->limit);
    for (int i = 0; i < CONDITIONS && !err->code; i++)
        if (o->where[i]) compile(&c[i], o->where[i], arena, err);
    if (!err->code && !dele_writer_create(&out, o->out, err)) {
        copy_rows(out.stream, o, o->file, c, n, err);
        if (!err->code && o->append) copy_rows(out.stream, o, o->append, c, n, err);
        for (int i = 0; i < CONDITIONS && !err->code; i++)
            if (c[i].compiled && !c[i].seen) fail_unknown(&c[i], o->file, err);
        if (!err->code && !*n) dele_fail(err, DELE_ERR_DATA, "%s: no row matches", o->file);
        if (!err->code) dele_writer_commit(&out, err);
        dele_writer_abandon(&out);
    }
    for (int i = 0; i < CONDITIONS; i++)
        if (c[i].compiled) regfree(&c[i].regex);
    return err->code;
}

int cmd_rows(int argc, char **argv)
{
    rows_command o = {0};
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("options"),
        DELE_OPT("out", &o.out, "JSONL file to write"),
        DELE_OPT("where", &o.where[0],
                 "select rows by FIELD=REGEX (POSIX extended, matched anywhere in the field)"),
        DELE_OPT("and", &o.where[1], "a second condition that must hold too"),
        DELE_FLAG("not", &o.not, "select all rows that do not match"),
        DELE_OPT("limit", &o.limit, "use the first N rows; 0: all"),
        DELE_OPT("append", &o.append, "a second file to append"),
        {0}};
    /* clang-format on */
    const dele_usage usage = {
        .command = "rows",
        .summary = "filter rows of JSONL files, and concatenate files",
        .synopsis = "FILE --out FILE",
        .example =
            "deleatur rows forget.jsonl --where 'task=^Task2$' --and 'id=qa[0-4]$' --limit 100 "
            "--out people.jsonl",
        .options = options,
        .positional = &o.file,
        .n_positional = 1};
    dele_arena arena = {0};
    dele_err err = {0};
    dele_common common = {0};
    size_t n = 0;
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help &&
        !filter_rows(&o, &n, &arena, &err))
        printf(common.json ? "{\"rows\": %zu}\n" : "rows\t%zu\n", n);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
