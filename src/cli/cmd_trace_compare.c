/* deleatur trace --compare -- compare the traces of a model before and after unlearning.
 *
 *   reads    BEFORE and AFTER, directories that deleatur trace wrote
 *   prints   mean effects with paired differences, the facts, and one fact's maps side by side
 *   writes   with --out: compare.tsv, compare_facts.tsv, plots/, page.html, manifest.json */
#include "cli/cmd.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/file_out.h"
#include "base/json_out.h"
#include "base/text_out.h"
#include "option/manifest.h"
#include "plots/gnuplot.h"
#include "trace/record.h"
#include "trace/report/page.h"
#include "trace/report/terminal_heatmap.h"

/* The pair that --fact names; the first when it names none. */
static dele_status find_pair(size_t *pair, const dele_comparison *c, const char *fact,
                             dele_err *err)
{
    char *end;
    *pair = 0;
    if (!*fact) return DELE_OK;
    errno = 0;
    long id = strtol(fact, &end, 10);
    if (end == fact || *end || errno || id < INT_MIN || id > INT_MAX)
        return dele_fail(err, DELE_ERR_USAGE, "--fact takes the id of a fact, not \"%s\"", fact);
    for (*pair = 0; *pair < c->before.n; ++*pair)
        if (c->before.facts[*pair].fact->id == id) return DELE_OK;
    return dele_fail(err, DELE_ERR_DATA,
                     "fact %ld is not in both traces; facts.jsonl of each says what is", id);
}

static void add_change(cJSON *row, const dele_change *x)
{
    cJSON_AddNumberToObject(row, "facts", (double)x->n);
    cJSON_AddItemToObject(row, "before", dele_json_number(x->before));
    cJSON_AddItemToObject(row, "after", dele_json_number(x->after));
    cJSON_AddItemToObject(row, "difference", dele_json_number(x->difference));
    cJSON_AddItemToObject(row, "ci_low", dele_json_number(x->ci.low));
    cJSON_AddItemToObject(row, "ci_high", dele_json_number(x->ci.high));
}

/* The changes for --json: of p(answer), and for each chart, metric and group of tokens of the mean
 * over columns. */
static dele_status print_changes_json(const dele_comparison *c, dele_err *err)
{
    cJSON *json = cJSON_CreateObject(), *effects, *clean, *corrupted, *warnings;
    cJSON_AddNumberToObject(json, "facts", (double)c->before.n);
    cJSON_AddNumberToObject(json, "before", (double)c->n_before);
    cJSON_AddNumberToObject(json, "after", (double)c->n_after);
    cJSON_AddNumberToObject(json, "other_answers", (double)c->n_other_answer);
    cJSON_AddItemToObject(json, "warnings", warnings = cJSON_CreateArray());
    for (int i = 0; i < c->n_warnings; i++)
        cJSON_AddItemToArray(warnings, cJSON_CreateString(c->warnings[i]));
    cJSON_AddItemToObject(json, "clean", clean = cJSON_CreateObject());
    add_change(clean, &c->clean);
    cJSON_AddItemToObject(json, "corrupted", corrupted = cJSON_CreateObject());
    add_change(corrupted, &c->corrupted);
    cJSON_AddItemToObject(json, "effects", effects = cJSON_CreateArray());
    for (int i = 0; i < c->n_charts; i++)
        for (int m = 0; m < DELE_N_COMPARED; m++)
            for (int g = 0; g < DELE_N_CATEGORIES; g++) {
                const dele_chart *chart = &c->before.charts[c->charts[i][0]];
                const dele_change *x = dele_change_at(c, i, m, (dele_category)g, chart->n_cols);
                if (!x->n) continue;
                cJSON *row = cJSON_CreateObject();
                cJSON_AddStringToObject(row, "chart", chart->name);
                cJSON_AddStringToObject(row, "metric", dele_metric_name[dele_compared_metric[m]]);
                cJSON_AddStringToObject(row, "tokens", dele_category_name[g]);
                add_change(row, x);
                cJSON_AddItemToArray(effects, row);
            }
    dele_json_show(json, err);
    cJSON_Delete(json);
    return err->code;
}

static dele_status save_comparison(const dele_comparison *c, size_t pair,
                                   const char *const paths[2], const char *dir,
                                   dele_manifest *manifest, dele_outdir *out, dele_err *err)
{
    char plots[1100], path[1100];
    if (dele_outdir_open(out, dir, err) || dele_outdir_sub(out, "plots", err)) return err->code;
    snprintf(plots, sizeof plots, "%s/plots", out->part);
    snprintf(path, sizeof path, "%s/manifest.json", out->part);
    if (dele_manifest_input(manifest, paths[0], err) ||
        dele_manifest_input(manifest, paths[1], err) || dele_comparison_save(c, out->part, err) ||
        dele_comparison_save_maps(c, pair, out->part, err))
        return err->code;
    dele_err drawing = {0}, page = {0};
    if (dele_comparison_page(c, out->part, &page))
        dele_note("%s (everything else is in %s)", page.msg, out->path);
    if (dele_plots_draw(plots, NULL, &drawing))
        dele_note("%s (everything else is in %s)", drawing.msg, out->path);
    if (dele_manifest_save(manifest, path, err)) return err->code;
    return dele_outdir_commit(out, err);
}

static dele_status compare_traces(const char *const paths[2], const char *fact, const char *dir,
                                  const dele_common *common, dele_manifest *manifest,
                                  dele_outdir *out, dele_arena *arena, dele_err *err)
{
    dele_trace before, after;
    dele_comparison c;
    size_t pair;
    if (dele_trace_load(&before, paths[0], arena, err) ||
        dele_trace_load(&after, paths[1], arena, err) ||
        dele_trace_compare(&c, &before, &after, arena, err) || find_pair(&pair, &c, fact, err) ||
        (*dir && save_comparison(&c, pair, paths, dir, manifest, out, err)))
        return err->code;
    if (common->json) return print_changes_json(&c, err);
    dele_comparison_print(stdout, &c);
    for (int i = 0; i < c.n_charts; i++) {
        if (dele_kind_has_units(c.before.charts[c.charts[i][0]].kind))
            continue; /* too many columns to read side by side */
        putchar('\n');
        dele_comparison_print_heatmaps(stdout, &c, pair, i);
    }
    return DELE_OK;
}

int cmd_trace_compare(int argc, char **argv)
{
    bool compare = false;
    const char *paths[2] = {0}, *fact = "", *dir = "";
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("options"),
        DELE_FLAG("compare", &compare, "compare two results of deleatur trace"),
        DELE_OPT("fact", &fact,
                 "id of the fact whose maps are printed and plotted; default: the first in both"),
        DELE_OPT("out", &dir,
                 "directory for compare.tsv, compare_facts.tsv, plots and page.html; must not "
                 "exist"),
        {0}};
    /* clang-format on */
    const dele_usage usage = {
        .command = "trace",
        .summary = "compare the traces of a model before and after unlearning",
        .synopsis = "--compare BEFORE AFTER [--fact ID] [--out DIR]",
        .example = "deleatur trace --compare trace-olmo trace-unlearned --fact 7",
        .options = options,
        .positional = paths,
        .n_positional = 2};
    dele_arena arena = {0};
    dele_err err = {0};
    dele_common common = {0};
    dele_outdir out = {0};
    dele_manifest manifest = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help) {
        dele_manifest_begin(&manifest, &usage, argc, argv);
        compare_traces(paths, fact, dir, &common, &manifest, &out, &arena, &err);
    }
    if (err.code) dele_outdir_abandon(&out);
    dele_manifest_release(&manifest);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
