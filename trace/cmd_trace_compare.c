/* lacuna trace --compare -- the trace of facts before and after their model was changed.
 *
 *   reads    BEFORE and AFTER, directories that lacuna trace wrote
 *   prints   mean effects with paired differences, the facts, and one fact's maps side by side
 *   writes   with --out: compare.tsv, compare_facts.tsv, plots/, page.html, manifest.json */
#include "trace/cmd_trace.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/manifest.h"
#include "plots/gnuplot.h"
#include "trace/page.h"
#include "trace/record.h"

/* The pair that --fact names; the first when it names none. */
static lac_status find_pair(size_t *pair, const lac_comparison *c, const char *fact, lac_err *err)
{
    char *end;
    *pair = 0;
    if (!*fact) return LAC_OK;
    errno = 0;
    long id = strtol(fact, &end, 10);
    if (end == fact || *end || errno || id < INT_MIN || id > INT_MAX)
        return lac_fail(err, LAC_ERR_USAGE, "--fact wants the number of a fact, not \"%s\"", fact);
    for (*pair = 0; *pair < c->before.n; ++*pair)
        if (c->before.facts[*pair].fact->id == id) return LAC_OK;
    return lac_fail(err, LAC_ERR_DATA, "fact %ld is not in both traces; facts.jsonl of each says what is", id);
}

static void add_change(cJSON *row, const lac_change *x)
{
    cJSON_AddNumberToObject(row, "facts", (double)x->n);
    cJSON_AddItemToObject(row, "before", lac_json_number(x->before));
    cJSON_AddItemToObject(row, "after", lac_json_number(x->after));
    cJSON_AddItemToObject(row, "difference", lac_json_number(x->difference));
    cJSON_AddItemToObject(row, "ci_low", lac_json_number(x->ci.low));
    cJSON_AddItemToObject(row, "ci_high", lac_json_number(x->ci.high));
}

static lac_status print_json(const lac_comparison *c, lac_err *err)
{
    cJSON *json = cJSON_CreateObject(), *effects, *clean, *corrupted, *warnings;
    cJSON_AddNumberToObject(json, "facts", (double)c->before.n);
    cJSON_AddNumberToObject(json, "before", (double)c->n_before);
    cJSON_AddNumberToObject(json, "after", (double)c->n_after);
    cJSON_AddNumberToObject(json, "other_answers", (double)c->n_other_answer);
    cJSON_AddItemToObject(json, "warnings", warnings = cJSON_CreateArray());
    for (int i = 0; i < c->n_warnings; i++) cJSON_AddItemToArray(warnings, cJSON_CreateString(c->warnings[i]));
    cJSON_AddItemToObject(json, "clean", clean = cJSON_CreateObject());
    add_change(clean, &c->clean);
    cJSON_AddItemToObject(json, "corrupted", corrupted = cJSON_CreateObject());
    add_change(corrupted, &c->corrupted);
    cJSON_AddItemToObject(json, "effects", effects = cJSON_CreateArray());
    for (int i = 0; i < c->n_charts; i++)
        for (int m = 0; m < LAC_N_COMPARED; m++)
            for (int g = 0; g < LAC_N_CATEGORIES; g++) {
                const lac_chart *chart = &c->before.charts[c->charts[i][0]];
                const lac_change *x = lac_change_at(c, i, m, (lac_category)g, chart->n_cols);
                if (!x->n) continue;
                cJSON *row = cJSON_CreateObject();
                cJSON_AddStringToObject(row, "chart", chart->name);
                cJSON_AddStringToObject(row, "metric", lac_metric_name[lac_compared_metric[m]]);
                cJSON_AddStringToObject(row, "tokens", lac_category_name[g]);
                add_change(row, x);
                cJSON_AddItemToArray(effects, row);
            }
    lac_json_show(json, err);
    cJSON_Delete(json);
    return err->code;
}

static lac_status save(const lac_comparison *c, size_t pair, const char *const paths[2], const char *dir,
                       lac_manifest *manifest, lac_outdir *out, lac_err *err)
{
    char plots[1100], path[1100];
    if (lac_outdir_open(out, dir, err) || lac_outdir_sub(out, "plots", err)) return err->code;
    snprintf(plots, sizeof plots, "%s/plots", out->part);
    snprintf(path, sizeof path, "%s/manifest.json", out->part);
    if (lac_manifest_input(manifest, paths[0], err) || lac_manifest_input(manifest, paths[1], err) ||
        lac_comparison_save(c, out->part, err) || lac_comparison_save_maps(c, pair, out->part, err))
        return err->code;
    lac_err drawing = {0}, page = {0};
    if (lac_comparison_page(c, out->part, &page))
        fprintf(stderr, "lacuna: %s (everything else is in %s)\n", page.msg, out->path);
    if (lac_plots_draw(plots, NULL, &drawing))
        fprintf(stderr, "lacuna: %s (everything else is in %s)\n", drawing.msg, out->path);
    if (lac_manifest_save(manifest, path, err)) return err->code;
    return lac_outdir_commit(out, err);
}

static lac_status work(const char *const paths[2], const char *fact, const char *dir, const lac_common *common,
                       lac_manifest *manifest, lac_outdir *out, lac_arena *arena, lac_err *err)
{
    lac_trace before, after;
    lac_comparison c;
    size_t pair;
    if (lac_trace_load(&before, paths[0], arena, err) || lac_trace_load(&after, paths[1], arena, err) ||
        lac_trace_compare(&c, &before, &after, arena, err) || find_pair(&pair, &c, fact, err) ||
        (*dir && save(&c, pair, paths, dir, manifest, out, err)))
        return err->code;
    if (common->json) return print_json(&c, err);
    lac_comparison_print(stdout, &c);
    for (int i = 0; i < c.n_charts; i++) {
        if (c.before.charts[c.charts[i][0]].kind == LAC_HEAD) continue; /* too many columns to read side by side */
        putchar('\n');
        lac_comparison_sketch(stdout, &c, pair, i);
    }
    return LAC_OK;
}

int cmd_trace_compare(int argc, char **argv)
{
    bool compare = false;
    const char *paths[2] = {0}, *fact = "", *dir = "";
    const lac_option options[] = {
        LAC_FLAG("compare", &compare, "two results of lacuna trace, beside each other"),
        LAC_OPT("fact", &fact, "the number of the fact whose maps are shown and drawn; default: the first in both"),
        LAC_OPT("out", &dir, "a new directory for compare.tsv, compare_facts.tsv and pictures, maps side by side, page.html for a browser"),
        {0}};
    const lac_usage usage = {.command = "trace", .summary = "the trace of facts before and after their model was changed",
                             .synopsis = "--compare BEFORE AFTER [--fact ID] [--out DIR]",
                             .example = "lacuna trace --compare trace-olmo trace-unlearned --fact 7",
                             .options = options, .positional = paths, .n_positional = 2};
    lac_arena arena = {0};
    lac_err err = {0};
    lac_common common = {0};
    lac_outdir out = {0};
    lac_manifest manifest = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help) {
        lac_manifest_begin(&manifest, &usage, argc, argv);
        work(paths, fact, dir, &common, &manifest, &out, &arena, &err);
    }
    if (err.code) lac_outdir_abandon(&out);
    lac_manifest_release(&manifest);
    lac_arena_release(&arena);
    return lac_complain(&err);
}
