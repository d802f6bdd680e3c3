/* The page of a study, section by section: what was found, what turned, what ran; between them what
 * stages have left (study_sections.c).
 *
 * Nothing on it is computed here but what the recipe asks for (study_scores.h): it shows what
 * stages have left.  All text goes through dele_html_text; pictures are in the page as data. */
#include "experiments/study/study_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/file_out.h"
#include "base/text_out.h"
#include "experiments/compare/compare_results.h"
#include "experiments/study/study_page.h"
#include "plots/gnuplot.h"
#include "plots/page.h"

enum { MOST_PAIRS = 12, ITEMS = 10 };

/* ---- the top --------------------------------------------------------------------------------- */

static void put_about(FILE *to, const cJSON *about)
{
    const cJSON *line;
    if (cJSON_IsString(about)) dele_html_element(to, "p", "", about->valuestring);
    cJSON_ArrayForEach(line, about) if (cJSON_IsString(line))
        dele_html_element(to, "p", "", line->valuestring);
}

/* The page's head: the recipe's name and text, how many stages are done or have failed, and the
 * time they took together. */
static void put_top(FILE *to, const study_page *p)
{
    const study *s = p->s;
    const char *slash = strrchr(s->plan.path, '/'), *name = slash ? slash + 1 : s->plan.path,
               *dot = strrchr(name, '.');
    char title[200];
    snprintf(title, sizeof title, "Unlearning study: %.*s",
             (int)(dot && dot > name ? dot - name : (ptrdiff_t)strlen(name)), name);
    for (char *c = title; *c; c++)
        if (*c == '_') *c = ' ';
    size_t done = 0, failed = 0;
    double seconds = 0;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        done += s->stage[i].state == STUDY_DONE;
        failed += s->stage[i].state == STUDY_FAILED;
        if (isfinite(s->stage[i].seconds)) seconds += s->stage[i].seconds;
    }
    fputs("<header>\n", to);
    dele_html_element(to, "h1", "", title);
    put_about(to, page_field(s->plan.json, "about"));
    fprintf(to, "<p class=\"soft\">%zu of %zu stages done", done, s->plan.n_stages);
    if (failed) fprintf(to, ", %zu failed", failed);
    fputs("; ", to);
    page_duration(to, seconds);
    fputs(" of work in all.</p>\n</header>\n", to);
}

/* ---- what was found -------------------------------------------------------------------------- */

/* The number of items that all of a column's numbers have; NaN where they differ. */
static double common_n(const study_table *table, size_t column)
{
    double n = (double)NAN;
    for (size_t i = 0; i < table->n_rows; i++) {
        const study_number *x = &table->row[i].number[column];
        if (!isfinite(x->value)) continue;
        if (isnan(n))
            n = x->n;
        else if (n != x->n)
            return (double)NAN;
    }
    return n;
}

/* The table of scores, one line for each row of the study's table.  If all numbers of a column are
 * means over the same number of items, n is given once, in the head; else beside each number. */
static void put_table(FILE *to, const study_page *p)
{
    const study_table *table = p->table;
    if (!table->n_columns) return;
    fputs("<section id=\"table\"><h2>Scores</h2>\n", to);
    put_about(to, page_field(page_field(p->s->plan.json, "table"), "about"));
    fputs("<p class=\"soft\">± one standard error over the items of each number alone; on the same "
          "items a difference is "
          "surer than that.</p>\n<div class=\"wide\"><table>\n<tr>",
          to);
    for (size_t a = 0; a < table->n_axes; a++) dele_html_element(to, "th", "", table->axis[a]);
    for (size_t c = 0; c < table->n_columns; c++) {
        double n = common_n(table, c);
        fputs("<th class=\"n\">", to);
        dele_html_text(to, table->column[c].title);
        if (isfinite(n)) fprintf(to, "<br><small>n %.0f</small>", n);
        fputs("</th>", to);
    }
    fputs("</tr>\n", to);
    for (size_t i = 0; i < table->n_rows; i++) {
        const study_row *row = &table->row[i];
        fputs("<tr>", to);
        for (size_t a = 0; a < table->n_axes; a++)
            dele_html_element(to, "td", "", row->at[a] ? row->at[a] : "");
        for (size_t c = 0; c < table->n_columns; c++)
            page_score(to, &row->number[c], isnan(common_n(table, c)));
        fputs("</tr>\n", to);
    }
    fputs("</table></div>\n", to);
    if (table->n_empty)
        fprintf(to, "<p class=\"soft\">%zu more rows have no numbers yet.</p>\n", table->n_empty);
    fputs("</section>\n", to);
}

static void put_pareto(FILE *to, const study_page *p)
{
    dele_err ignored = {0};
    const cJSON *json = page_field(p->s->plan.json, "pareto");
    const char *path = dele_printf(p->s->arena, &ignored, "%s/pareto.svg", p->dir);
    if (!json || !path || !dele_path_exists(path)) return;
    fputs("<section id=\"pareto\"><h2>Trade-off</h2>\n", to);
    put_about(to, page_field(json, "about"));
    dele_html_figure(
        to, path, "what each setting gave on two scores",
        "One point a row of the table, bars one standard error; the dashed line is the "
        "front: points that no other "
        "is better than in both.");
    fputs("</section>\n", to);
}

/* The table of rank correlations and the picture of the windows.  The text says why the intervals
 * are rough: windows share layers, so that few are independent. */
static void put_correlations(FILE *to, const study_page *p)
{
    const study_correlations *c = p->correlations;
    if (!c->n) return;
    fputs("<section id=\"correlation\"><h2>Tracing against unlearning</h2>\n", to);
    put_about(to, page_field(page_field(p->s->plan.json, "correlate"), "about"));
    fputs("<p>Spearman’s ρ between the traced effect of a window of layers (chart ", to);
    dele_html_element(to, "code", "", c->chart);
    fputs(
        ", mean over the window) and what training that window gave. Windows share layers, so that "
        "only so many as can be laid side by side count as apart; the 95 % intervals draw runs of "
        "windows, not single "
        "ones, and with so few of them are rough.</p>\n<table>\n<tr><th>score</th><th>traced "
        "at</th><th></th><th class=\"n\">ρ</th>"
        "<th class=\"n\">95 %</th><th class=\"n\">windows</th><th "
        "class=\"n\">non-overlapping</th></tr>\n",
        to);
    for (size_t i = 0; i < c->n; i++) {
        const study_correlation *line = &c->line[i];
        fputs("<tr>", to);
        dele_html_element(to, "td", "", line->score);
        dele_html_element(to, "td", "", line->tokens);
        dele_html_element(to, "td", "", line->by ? line->by : "");
        dele_html_number(to, line->rho);
        if (isfinite(line->interval.low))
            fprintf(to, "<td class=\"n\">%.2f to %.2f</td>", line->interval.low,
                    line->interval.high);
        else
            fputs("<td class=\"n\">too few</td>", to);
        fprintf(to, "<td class=\"n\">%zu</td><td class=\"n\">%zu</td></tr>\n", line->n,
                line->apart);
    }
    fputs("</table>\n", to);
    dele_err ignored = {0};
    dele_html_figure(
        to, dele_printf(p->s->arena, &ignored, "%s/windows.svg", p->dir),
        "what was traced in each window of layers, and what training it gave",
        "Each window at its middle: grey, what tracing saw there (scale on the right); "
        "colours, the score after it was "
        "trained.");
    fputs("</section>\n", to);
}

/* ---- before and after ------------------------------------------------------------------------ */

/* All scores of two results side by side, folded away, and the counts of changed predictions with
 * McNemar's test. */
static void put_compared(FILE *to, const compared *result)
{
    fputs(
        "<details><summary>all scores</summary><div class=\"wide\"><table>\n<tr><th>score</th><th "
        "class=\"n\">n</th><th class=\"n\">"
        "before</th><th class=\"n\">after</th><th class=\"n\">change</th></tr>\n",
        to);
    for (size_t i = 0; i < result->n; i++) {
        const compare_row *row = &result->row[i];
        const study_number before = {row->before, row->before_error, (double)NAN},
                           after = {row->after, row->after_error, (double)NAN};
        fputs("<tr>", to);
        dele_html_element(to, "td", "", row->score);
        dele_html_number(to, row->n);
        page_score(to, &before, false);
        page_score(to, &after, false);
        fprintf(to, "<td class=\"n\">%+.4g</td></tr>\n", row->after - row->before);
    }
    fputs("</table></div></details>\n", to);
    if (!result->items.n_rows) return;
    fputs("<table>\n<tr><th>items</th><th class=\"n\">n</th><th class=\"n\">correct to "
          "incorrect</th><th class=\"n\">incorrect to "
          "correct</th>"
          "<th class=\"n\">McNemar’s p</th></tr>\n",
          to);
    for (size_t i = 0; i < result->items.n_rows; i++) {
        const paired_row *row = &result->items.row[i];
        fputs("<tr>", to);
        dele_html_element(to, "td", "", row->name);
        fprintf(to,
                "<td class=\"n\">%zu</td><td class=\"n\">%zu</td><td class=\"n\">%zu</td><td "
                "class=\"n\">%.2g</td></tr>\n",
                row->n, row->correct_to_incorrect, row->incorrect_to_correct, row->p);
    }
    fputs("</table>\n", to);
}

/* A JSON value as a cell's text. */
static void value_cell(FILE *to, const cJSON *value)
{
    const char *text = cJSON_GetStringValue(value);
    char *printed = text || !value ? NULL : cJSON_PrintUnformatted(value);
    dele_html_element(to, "td", "class=\"output\"", text ? text : printed ? printed : "");
    cJSON_free(printed);
}

/* What names the item: the line's other fields. */
static void put_item_name(FILE *to, const cJSON *line)
{
    static const char *const others[] = {"change", "before", "after", "answer"};
    const cJSON *item;
    bool any = false;
    fputs("<td class=\"output\">", to);
    cJSON_ArrayForEach(item, line)
    {
        bool skip = false;
        for (size_t k = 0; k < 4; k++) skip |= !strcmp(item->string, others[k]);
        char *printed = skip || cJSON_IsString(item) ? NULL : cJSON_PrintUnformatted(item);
        if (!skip) {
            fputs(any ? " · " : "", to);
            dele_html_text(to, printed ? printed : item->valuestring ? item->valuestring : "");
            any = true;
        }
        cJSON_free(printed);
    }
    fputs("</td>", to);
}

/* The first `most` changed predictions of a file of them.  A file that cannot be read shows none:
 * the page is written from what exists. */
static void put_flips(FILE *to, const char *path, size_t most)
{
    dele_err ignored = {0};
    dele_records r = {0};
    size_t n = 0;
    if (!most || dele_records_open(&r, path, &ignored)) return;
    for (const cJSON *line; (line = dele_records_next(&r, &ignored)) && n < most; n++) {
        if (!n)
            fputs("<div "
                  "class=\"wide\"><table>\n<tr><th>item</th><th>change</th><th>before</"
                  "th><th>after</th><th>answer</"
                  "th></tr>\n",
                  to);
        fputs("<tr>", to);
        put_item_name(to, line);
        dele_html_element(to, "td", "",
                          page_text_field(line, "change") ? page_text_field(line, "change") : "");
        value_cell(to, page_field(line, "before"));
        value_cell(to, page_field(line, "after"));
        value_cell(to, page_field(line, "answer"));
        fputs("</tr>\n", to);
    }
    dele_records_close(&r);
    if (n)
        fputs("</table></div>\n", to);
    else
        fputs("<p>No prediction changed.</p>\n", to);
}

typedef struct {
    size_t n, shown; /* pairs so far */
} pairs;

/* One pair of results: scores, counts and changed predictions.  Beyond MOST_PAIRS pairs are only
 * counted, so that the page stays readable.  A suite whose items are not right or wrong is compared
 * by its scores alone. */
static void put_pair(FILE *to, const study_page *p, pairs *so_far, size_t before, size_t after,
                     size_t items)
{
    const study *s = p->s;
    dele_arena arena = {0};
    dele_err err = {0};
    compared result;
    if (!so_far->n++) fputs("<section id=\"items\"><h2>Changed predictions</h2>\n", to);
    if (so_far->shown == MOST_PAIRS) return;
    so_far->shown++;
    const char *flips = dele_printf(&arena, &err, "%s/flips_%zu.jsonl", p->dir, so_far->shown);
    fputs("<h3>", to);
    dele_html_text(to, s->plan.stage[before].name);
    fputs(" → ", to);
    dele_html_text(to, s->plan.stage[after].name);
    fputs("</h3>\n", to);
    bool has_items = flips && !compare_results(&result, s->stage[before].result,
                                               s->stage[after].result, false, flips, &arena, &err);
    if (!has_items && flips) { /* a suite without right and wrong answers has no items to turn */
        err = (dele_err){0};
        compare_results(&result, s->stage[before].result, s->stage[after].result, false, NULL,
                        &arena, &err);
    }
    if (err.code) {
        dele_html_element(to, "p", "class=\"soft\"", err.msg);
    } else {
        put_compared(to, &result);
        if (has_items) {
            put_flips(to, flips, items);
            fprintf(to,
                    "<p class=\"soft\">At most %zu items are shown; all changed predictions: "
                    "report/flips_%zu.jsonl.</p>\n",
                    items, so_far->shown);
        }
    }
    dele_arena_release(&arena);
}

/* Axes that both have, and neither reference fixes, must agree. */
static bool belong_together(const recipe_ref ref[2], const recipe_stage *before,
                            const recipe_stage *after)
{
    for (size_t i = 0; i < before->n_at; i++) {
        bool fixed = false;
        for (int side = 0; side < 2; side++)
            for (size_t k = 0; k < ref[side].n_fixed; k++)
                fixed |= !strcmp(ref[side].fixed[k].axis, before->at[i].axis);
        const char *theirs = fixed ? NULL : recipe_coordinate(after, before->at[i].axis);
        if (theirs && strcmp(theirs, before->at[i].name)) return false;
    }
    return true;
}

/* For each entry of "compare", all pairs of points that are done, fit the two references, and agree
 * on the axes they share. */
static dele_status put_compare(FILE *to, const study_page *p, dele_err *err)
{
    const study *s = p->s;
    const cJSON *json;
    pairs so_far = {0};
    cJSON_ArrayForEach(json, page_field(s->plan.json, "compare"))
    {
        recipe_ref ref[2];
        const cJSON *items = page_field(json, "items");
        if (recipe_ref_parse(&ref[0], page_text_field(json, "before"), s->arena, err) ||
            recipe_ref_parse(&ref[1], page_text_field(json, "after"), s->arena, err))
            return err->code;
        for (size_t a = 0; a < s->plan.n_stages; a++)
            for (size_t b = 0; b < s->plan.n_stages; b++)
                if (a != b && s->stage[a].state == STUDY_DONE && s->stage[b].state == STUDY_DONE &&
                    recipe_ref_fits(&ref[0], &s->plan.stage[a]) &&
                    recipe_ref_fits(&ref[1], &s->plan.stage[b]) &&
                    belong_together(ref, &s->plan.stage[a], &s->plan.stage[b]))
                    put_pair(to, p, &so_far, a, b, items ? (size_t)items->valuedouble : ITEMS);
    }
    if (so_far.n > so_far.shown)
        fprintf(to,
                "<p class=\"soft\">%zu pairs in all; the first %zu are shown, and the table above "
                "has the rest.</p>\n",
                so_far.n, so_far.shown);
    if (so_far.n) fputs("</section>\n", to);
    return DELE_OK;
}

/* ---- what was run ---------------------------------------------------------------------------- */

/* The table of stages: state, time, the sentence of a failure, and the command, folded away. */
static void put_stages(FILE *to, const study_page *p)
{
    const study *s = p->s;
    fputs("<section id=\"stages\"><h2>Stages</h2>\n<div "
          "class=\"wide\"><table>\n<tr><th>stage</th><th>state</th><th "
          "class=\"n\">time</th>"
          "<th></th></tr>\n",
          to);
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        const study_stage *stage = &s->stage[i];
        fprintf(to, "<tr%s>",
                stage->state == STUDY_FAILED    ? " class=\"failed\""
                : stage->state == STUDY_CHANGED ? " class=\"changed\""
                                                : "");
        dele_html_element(to, "td", "", s->plan.stage[i].name);
        fprintf(to, "<td>%s%s</td><td class=\"n\">", study_state_words[stage->state],
                stage->dropped ? ", weights dropped" : "");
        page_duration(to, stage->seconds);
        fputs("</td><td>", to);
        if (stage->sentence) dele_html_element(to, "p", "", stage->sentence);
        fputs("<details><summary>command</summary>", to);
        dele_html_element(to, "code", "", stage->line);
        fputs("</details></td></tr>\n", to);
    }
    for (size_t i = 0; i < s->plan.n_left_out; i++) {
        fputs("<tr>", to);
        dele_html_element(to, "td", "", s->plan.left_out[i]);
        fputs("<td>left out</td><td></td><td></td></tr>\n", to);
    }
    fputs("</table></div></section>\n", to);
}

/* The input files with their sizes and hashes, from the record; unfolded if they are few. */
static void put_inputs(FILE *to, const study_page *p)
{
    const cJSON *inputs = page_field(p->s->record, "inputs"), *input;
    size_t n = (size_t)cJSON_GetArraySize(inputs);
    if (!n) return;
    fprintf(to,
            "<details%s><summary>%zu input files</summary><table>\n<tr><th>file</th><th "
            "class=\"n\">bytes</th><th>sha256</th></tr>\n",
            n < 20 ? " open" : "", n);
    cJSON_ArrayForEach(input, inputs)
    {
        fputs("<tr>", to);
        dele_html_element(to, "td", "", input->string);
        fprintf(to, "<td class=\"n\">%.0f</td><td>",
                cJSON_GetNumberValue(page_field(input, "size")));
        dele_html_element(to, "code", "",
                          page_text_field(input, "sha256") ? page_text_field(input, "sha256") : "");
        fputs("</td></tr>\n", to);
    }
    fputs("</table></details>\n", to);
}

/* In what surroundings the results that stand were made, each once: {"2 threads of AMD EPYC": 2,
 * ...}, of their manifests. */
static cJSON *how_made(const study_page *p)
{
    static const char *const places[] = {"manifest.json", "deleatur/manifest.json"};
    cJSON *made = cJSON_CreateObject();
    for (size_t i = 0; i < p->s->plan.n_stages; i++)
        for (size_t k = 0; k < 2 && p->s->stage[i].state == STUDY_DONE; k++) {
            dele_err ignored = {0};
            char words[300];
            const char *path =
                dele_printf(p->s->arena, &ignored, "%s/%s", p->s->stage[i].result, places[k]);
            cJSON *manifest =
                path && dele_path_exists(path) ? dele_json_load_result(path, &ignored) : NULL;
            const double threads = cJSON_GetNumberValue(page_field(manifest, "threads"));
            const char *cpu = page_text_field(manifest, "cpu");
            snprintf(words, sizeof words, "%.0f thread%s%s%.200s", threads, threads == 1 ? "" : "s",
                     cpu ? ", " : "", cpu ? cpu : "");
            if (isfinite(threads) && !page_field(made, words))
                cJSON_AddNumberToObject(made, words, threads);
            cJSON_Delete(manifest);
        }
    return made;
}

/* Said where all results had as many: only as many give the same bytes. */
static void put_threads_option(FILE *to, const cJSON *made)
{
    const cJSON *one;
    const double threads = made->child ? made->child->valuedouble : (double)NAN;
    cJSON_ArrayForEach(one, made) if (one->valuedouble != threads) return;
    if (isfinite(threads)) fprintf(to, " --threads %.0f", threads);
}

static void put_how_made(FILE *to, const cJSON *made)
{
    const cJSON *one;
    if (!made->child) return;
    fputs("<p>Made with ", to);
    cJSON_ArrayForEach(one, made)
    {
        if (one != made->child) fputs("; ", to);
        dele_html_text(to, one->string);
    }
    fputs(". The last bits of sums depend on the number of threads and on the processor: as many "
          "threads on the same kind "
          "give the same bytes, others the same numbers but for rounding.</p>\n",
          to);
}

/* A word of a command line, quoted for a shell. */
static void put_word(FILE *to, const char *word)
{
    char *quoted = NULL;
    size_t n = 0;
    FILE *own = open_memstream(&quoted, &n);
    if (!own) return;
    dele_shell_put(own, word);
    if (!fclose(own) && quoted) dele_html_text(to, quoted);
    free(quoted);
}

/* How to repeat the study: the command line with the variables that were set, the program's hash,
 * where the results were made, the input files and the recipe itself. */
static dele_status put_reproduce(FILE *to, const study_page *p, dele_err *err)
{
    const study *s = p->s;
    cJSON *made = how_made(p);
    fputs("<section id=\"again\"><h2>Reproduce</h2>\n<pre>deleatur run ", to);
    put_word(to, s->plan.path);
    fputs(" --out ", to);
    put_word(to, s->out);
    for (size_t i = 0; i < s->plan.n_vars; i++) {
        if (!s->plan.var[i].was_set) continue;
        const char *set =
            dele_printf(s->arena, err, "%s=%s", s->plan.var[i].name, s->plan.var[i].text);
        fputs(" --set ", to);
        if (set) put_word(to, set);
    }
    put_threads_option(to, made);
    fprintf(to, "</pre>\n<p>deleatur %s, the program’s sha256 ", DELE_VERSION);
    dele_html_element(to, "code", "", s->program);
    fputs(". Every result has a manifest.json with all options, versions, threads and times; "
          "study.json has the "
          "stages’ keys.</p>\n",
          to);
    put_how_made(to, made);
    put_inputs(to, p);
    char *recipe = cJSON_Print(s->plan.json);
    fputs("<details><summary>the recipe</summary><pre>", to);
    dele_html_text(to, recipe ? recipe : "");
    fputs("</pre></details></section>\n", to);
    cJSON_free(recipe);
    cJSON_Delete(made);
    return err->code;
}

/* ---- the page -------------------------------------------------------------------------------- */

static dele_status put_page(FILE *to, void *context, dele_err *err)
{
    const study_page *p = context;
    put_top(to, p);
    put_table(to, p);
    put_pareto(to, p);
    put_correlations(to, p);
    page_attacks(to, p);
    page_depths(to, p);
    page_traces(to, p);
    page_losses(to, p);
    if (put_compare(to, p, err)) return err->code;
    page_said(to, p);
    put_stages(to, p);
    return put_reproduce(to, p, err);
}

dele_status study_report(const study *s, dele_err *err)
{
    study_table table;
    study_correlations correlations = {0};
    const char *dir = dele_printf(s->arena, err, "%s/report", s->out);
    const char *path = dele_printf(s->arena, err, "%s/report.html", s->out);
    if (!dir || !path || study_table_read(&table, s, err)) return err->code;
    dele_err trouble = {0};
    if (study_correlate(&correlations, &table, s, &trouble)) {
        dele_note("%s", trouble.msg); /* the rest of the page is none the worse for it */
        correlations.n = 0;
    }
    if (dele_path_remove(dir, err) || dele_path_make_dirs(dir, err) ||
        study_save_table(s, &table, dir, err) || study_save_pareto(s, &table, dir, err) ||
        study_save_correlations(s, &correlations, dir, err))
        return err->code;
    dele_err drawing = {0};
    if (dele_plots_draw(dir, NULL, &drawing)) dele_note("%s", drawing.msg);
    study_page p = {.s = s, .table = &table, .correlations = &correlations, .dir = dir};
    return dele_report_write(path, "Unlearning study", put_page, &p, err);
}
