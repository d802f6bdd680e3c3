/* deleatur compare -- two results of `deleatur eval` beside each other.
 *
 *   reads    BEFORE/eval.json and AFTER/eval.json, of the same suite
 *   prints   score  n  before  stderr  after  stderr  change       tab-separated
 *            and, where both hold items.jsonl whose answers are right or wrong, an empty line and
 *            paired  n  turned_wrong  turned_right  p               p: McNemar's exact test, two-sided
 *
 * Every score that both hold is a row, named by its path as in a recipe's table: forget.prompt.top1, or of an array
 * scores[split=forget,task=Task1,type=sc].score.  Settings, counts, intervals and single subjects are left out;
 * --subjects brings the last.  Results whose counts differ were made from different items, and are
 * refused: their difference would say nothing. */
#include "experiments/cmd.h"

#include <math.h>

#include "base/option.h"
#include "experiments/compare_results.h"

static void print_row(const compare_row *row)
{
    const double x[] = {row->n, row->before, row->before_error, row->after, row->after_error, row->after - row->before};
    printf("%s", row->score);
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        if (isnan(x[i])) printf("\t-");
        else if (i == 0) printf("\t%.0f", x[i]);
        else printf(i == 5 ? "\t%+.4f" : "\t%.4f", x[i]);
    }
    putchar('\n');
}

static void print_tables(const compared *result)
{
    puts("score\tn\tbefore\tstderr\tafter\tstderr\tchange");
    for (size_t i = 0; i < result->n; i++) print_row(&result->row[i]);
    if (result->items.n_rows) puts("\npaired\tn\tturned_wrong\tturned_right\tp");
    for (size_t i = 0; i < result->items.n_rows; i++) {
        const paired_row *row = &result->items.row[i];
        printf("%s\t%zu\t%zu\t%zu\t%.3g\n", row->name, row->n, row->turned_wrong, row->turned_right, row->p);
    }
}

static void print_json(const compared *result, dele_err *err)
{
    cJSON *rows = cJSON_CreateArray();
    for (size_t i = 0; i < result->n; i++) {
        const compare_row *row = &result->row[i];
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "score", row->score);
        cJSON_AddItemToObject(json, "n", dele_json_number(row->n));
        cJSON_AddItemToObject(json, "before", dele_json_number(row->before));
        cJSON_AddItemToObject(json, "before_stderr", dele_json_number(row->before_error));
        cJSON_AddItemToObject(json, "after", dele_json_number(row->after));
        cJSON_AddItemToObject(json, "after_stderr", dele_json_number(row->after_error));
        cJSON_AddItemToObject(json, "change", dele_json_number(row->after - row->before));
        cJSON_AddItemToArray(rows, json);
    }
    for (size_t i = 0; i < result->items.n_rows; i++) {
        const paired_row *row = &result->items.row[i];
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "paired", row->name);
        cJSON_AddNumberToObject(json, "n", (double)row->n);
        cJSON_AddNumberToObject(json, "turned_wrong", (double)row->turned_wrong);
        cJSON_AddNumberToObject(json, "turned_right", (double)row->turned_right);
        cJSON_AddItemToObject(json, "p", dele_json_number(row->p));
        cJSON_AddItemToArray(rows, json);
    }
    dele_json_show(rows, err);
    cJSON_Delete(rows);
}

int cmd_compare(int argc, char **argv)
{
    const char *paths[2] = {0}, *flips = NULL;
    bool subjects = false;
    const dele_option options[] = {DELE_GROUP("options"),
                                  DELE_FLAG("subjects", &subjects, "mmlu: every subject too"),
                                  DELE_OPT("flips", &flips, "a file to write: the questions that turned, a line each"),
                                  {0}};
    const dele_usage usage = {.command = "compare", .summary = "two results of eval beside each other",
                             .synopsis = "BEFORE AFTER", .example = "deleatur compare results/before results/after",
                             .options = options, .positional = paths, .n_positional = 2};
    dele_arena arena = {0};
    dele_err err = {0};
    dele_common common = {0};
    compared result;
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help &&
        !(flips && dele_path_free(flips, &err)) &&
        !compare_results(&result, paths[0], paths[1], subjects, flips, &arena, &err)) {
        if (common.json) print_json(&result, &err);
        else print_tables(&result);
    }
    dele_arena_release(&arena);
    return dele_complain(&err);
}
