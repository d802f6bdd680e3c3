/* lacuna compare -- two results of `lacuna eval` beside each other.
 *
 *   reads    BEFORE/eval.json and AFTER/eval.json, of the same suite
 *   prints   score  n  before  stderr  after  stderr  change       tab-separated
 *            and, where both hold items.jsonl whose answers are right or wrong, an empty line and
 *            paired  n  turned_wrong  turned_right  p               p: McNemar's exact test, two-sided
 *
 * Every number that both hold is a row, named by its path (forget.prompt.top1).  Counts, intervals and single subjects
 * are left out; --subjects brings the last.  Results whose counts differ were made from different items, and are
 * refused: their difference would say nothing. */
#include "experiments/cmd.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/option.h"
#include "experiments/compare_items.h"

typedef struct {
    const char *before_path, *after_path;
    const char *flips; /* where the questions that turned are written, or NULL */
    bool subjects;
    cJSON *rows; /* for --json, else NULL */
} comparison;

static bool is_setting(const char *name)
{
    static const char *const names[] = {"n", "limit", "shots", "max_new", "members", "nonmembers"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return true;
    size_t n = strlen(name);
    return n > 7 && !strcmp(name + n - 7, "_stderr");
}

static double field(const cJSON *object, const char *name, const char *suffix)
{
    char whole[128];
    snprintf(whole, sizeof whole, "%s%s", name, suffix);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, whole);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static void put_row(comparison *c, const char *path, const cJSON *a, const cJSON *b, const char *name)
{
    const double x[] = {field(a, "n", ""), field(a, name, ""), field(a, name, "_stderr"), field(b, name, ""),
                        field(b, name, "_stderr"), field(b, name, "") - field(a, name, "")};
    static const char *const key[] = {"n", "before", "before_stderr", "after", "after_stderr", "change"};
    if (!c->rows) {
        printf("%s", path);
        for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
            if (isnan(x[i])) printf("\t-");
            else if (i == 0) printf("\t%.0f", x[i]);
            else printf(i == 5 ? "\t%+.4f" : "\t%.4f", x[i]);
        }
        putchar('\n');
        return;
    }
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "score", path);
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        cJSON_AddItemToObject(row, key[i], lac_json_number(x[i]));
    cJSON_AddItemToArray(c->rows, row);
}

static lac_status walk(comparison *c, const char *path, const cJSON *a, const cJSON *b, lac_err *err)
{
    double n = field(a, "n", ""), m = field(b, "n", "");
    if (!isnan(n) && !isnan(m) && n != m)
        return lac_fail(err, LAC_ERR_DATA, "%s and %s scored different items (%s: %.0f and %.0f); score both with the "
                        "same data and --limit", c->before_path, c->after_path, *path ? path : "all", n, m);
    const cJSON *x;
    cJSON_ArrayForEach(x, a) {
        char name[512];
        const cJSON *y = x->string ? cJSON_GetObjectItemCaseSensitive(b, x->string) : NULL;
        if (!y || is_setting(x->string) || (!c->subjects && !strcmp(x->string, "subjects"))) continue;
        snprintf(name, sizeof name, "%s%s%s", path, *path ? "." : "", x->string);
        if (cJSON_IsNumber(x) && cJSON_IsNumber(y)) put_row(c, name, a, b, x->string);
        else if (cJSON_IsObject(x) && cJSON_IsObject(y) && walk(c, name, x, y, err)) return err->code;
    }
    return LAC_OK;
}

static cJSON *load(const char *dir, lac_arena *arena, lac_err *err)
{
    const char *path = lac_printf(arena, err, lac_path_is_dir(dir) ? "%s/eval.json" : "%s", dir);
    return path ? lac_json_load(path, err) : NULL;
}

static void put_paired(comparison *c, const paired *items)
{
    if (items->n_rows && !c->rows) puts("\npaired\tn\tturned_wrong\tturned_right\tp");
    for (size_t i = 0; i < items->n_rows; i++) {
        const paired_row *row = &items->row[i];
        if (!c->rows) {
            printf("%s\t%zu\t%zu\t%zu\t%.3g\n", row->name, row->n, row->turned_wrong, row->turned_right, row->p);
            continue;
        }
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "paired", row->name);
        cJSON_AddNumberToObject(json, "n", (double)row->n);
        cJSON_AddNumberToObject(json, "turned_wrong", (double)row->turned_wrong);
        cJSON_AddNumberToObject(json, "turned_right", (double)row->turned_right);
        cJSON_AddItemToObject(json, "p", lac_json_number(row->p));
        cJSON_AddItemToArray(c->rows, json);
    }
}

static lac_status compare(comparison *c, const cJSON *a, const cJSON *b, lac_arena *arena, lac_err *err)
{
    paired items;
    const char *first = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(a, "suite"));
    const char *second = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(b, "suite"));
    if (!first || !second || strcmp(first, second))
        return lac_fail(err, LAC_ERR_DATA, "%s is a result of suite %s and %s of %s; compare two of one suite",
                        c->before_path, first ? first : "unknown", c->after_path, second ? second : "unknown");
    if (!c->rows) puts("score\tn\tbefore\tstderr\tafter\tstderr\tchange");
    if (walk(c, "", a, b, err) ||
        paired_read(&items, first, c->before_path, c->after_path, c->flips, arena, err))
        return err->code;
    put_paired(c, &items);
    return LAC_OK;
}

int cmd_compare(int argc, char **argv)
{
    comparison c = {0};
    const char *paths[2] = {0};
    const lac_option options[] = {LAC_FLAG("subjects", &c.subjects, "mmlu: every subject too"),
                                  LAC_OPT("flips", &c.flips, "a file to write: the questions that turned, a line each"),
                                  {0}};
    const lac_usage usage = {.command = "compare", .summary = "two results of eval beside each other",
                             .synopsis = "BEFORE AFTER", .example = "lacuna compare results/before results/after",
                             .options = options, .positional = paths, .n_positional = 2};
    lac_arena arena = {0};
    lac_err err = {0};
    lac_common common = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help) {
        c.before_path = paths[0];
        c.after_path = paths[1];
        if (common.json) c.rows = cJSON_CreateArray();
        cJSON *a = load(paths[0], &arena, &err), *b = a ? load(paths[1], &arena, &err) : NULL;
        if (b && !compare(&c, a, b, &arena, &err) && c.rows) {
            char *text = cJSON_Print(c.rows);
            if (text) puts(text);
            cJSON_free(text);
        }
        cJSON_Delete(a);
        cJSON_Delete(b);
        cJSON_Delete(c.rows);
    }
    lac_arena_release(&arena);
    return lac_complain(&err);
}
