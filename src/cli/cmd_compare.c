/* deleatur compare -- two results of `deleatur eval` beside each other.
 *
 *   reads    BEFORE/eval.json and AFTER/eval.json, of the same suite
 *   prints   score  n  before  before_stderr  after  after_stderr  change
 *            and, where both hold items.jsonl whose answers are right or wrong, an empty line and
 *            paired  n  correct_to_incorrect  incorrect_to_correct  p               p: McNemar's
 *                                             exact test, two-sided
 *
 * Every score that both hold is a row, named by its path as in a recipe's table:
 * forget.prompt.top1, or of an array scores[split=forget,task=Task1,type=sc].score.  Settings,
 * counts, intervals and single subjects are left out; --subjects brings the last.  Results whose
 * counts differ were made from different items, and are refused: their difference would say
 * nothing. */
#include "cli/cmd.h"

#include <math.h>

#include "base/file_out.h"
#include "base/json_out.h"
#include "base/table.h"
#include "experiments/compare/compare_results.h"
#include "option/option.h"

static void put(dele_table *t, const char *format, double x)
{
    if (isnan(x))
        dele_table_cell(t, "-");
    else
        dele_table_real(t, format, x);
}

/* The table of scores, and below it that of items scored by both results, where there are any. */
static void print_tables(const compared *result, dele_table_form form, dele_err *err)
{
    dele_table scores = {0}, pairs = {0};
    dele_table_head(&scores, "score\tn\tbefore\tbefore_stderr\tafter\tafter_stderr\tchange");
    for (size_t i = 0; i < result->n; i++) {
        const compare_row *row = &result->row[i];
        dele_table_text(&scores, row->score);
        put(&scores, "%.0f", row->n);
        put(&scores, "%.4f", row->before);
        put(&scores, "%.4f", row->before_error);
        put(&scores, "%.4f", row->after);
        put(&scores, "%.4f", row->after_error);
        put(&scores, "%+.4f", row->after - row->before);
        dele_table_row(&scores);
    }
    if (dele_table_print(&scores, stdout, form, err) || !result->items.n_rows) return;
    putchar('\n');
    dele_table_head(&pairs, "paired\tn\tcorrect_to_incorrect\tincorrect_to_correct\tp");
    for (size_t i = 0; i < result->items.n_rows; i++) {
        const paired_row *row = &result->items.row[i];
        dele_table_text(&pairs, row->name);
        dele_table_cell(&pairs, "%zu", row->n);
        dele_table_cell(&pairs, "%zu", row->correct_to_incorrect);
        dele_table_cell(&pairs, "%zu", row->incorrect_to_correct);
        dele_table_real(&pairs, "%.3g", row->p);
        dele_table_row(&pairs);
    }
    dele_table_print(&pairs, stdout, form, err);
}

/* Both tables as one array: rows of scores, and rows with a key "paired". */
static void print_scores_json(const compared *result, dele_err *err)
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
        cJSON_AddNumberToObject(json, "correct_to_incorrect", (double)row->correct_to_incorrect);
        cJSON_AddNumberToObject(json, "incorrect_to_correct", (double)row->incorrect_to_correct);
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
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("options"),
        DELE_FLAG("subjects", &subjects, "mmlu: show every subject"),
        DELE_OPT("flips", &flips, "file for the items whose prediction changed, one a line"),
        {0}};
    /* clang-format on */
    const dele_usage usage = {.command = "compare",
                              .summary = "compare two results of eval",
                              .synopsis = "BEFORE AFTER",
                              .example = "deleatur compare results/before results/after",
                              .options = options,
                              .positional = paths,
                              .n_positional = 2,
                              .tables = true};
    dele_arena arena = {0};
    dele_err err = {0};
    dele_common common = {0};
    compared result;
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help &&
        !(flips && dele_path_free(flips, &err)) &&
        !compare_results(&result, paths[0], paths[1], subjects, flips, &arena, &err)) {
        if (common.json)
            print_scores_json(&result, &err);
        else
            print_tables(&result, dele_table_form_of(common.csv), &err);
    }
    dele_arena_release(&arena);
    return dele_complain(&err);
}
