/* The page of a study, section by section: what was found, where facts lay, how training went, what turned, what ran.
 *
 * Nothing on it is computed here but what the recipe asks for (study_scores.h): it shows what stages have left.  All
 * text goes through lac_html_text; pictures stand in the page as data. */
#include "experiments/study_report.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/option.h"
#include "experiments/compare_results.h"
#include "plots/gnuplot.h"
#include "plots/page.h"

enum { MOST_TRACES = 6, MOST_CURVES = 400, MOST_PAIRS = 12, ITEMS = 10, SAID_BYTES = 20000 };

typedef struct {
    const study *s;
    const study_table *table;
    const study_correlations *correlations;
    const char *dir; /* OUT/report */
} page;

static const cJSON *field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}
static const char *text_field(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(field(object, name));
}

/* ---- small pieces ------------------------------------------------------------------------------------------------ */

static void element(FILE *to, const char *name, const char *attributes, const char *text)
{
    fprintf(to, "<%s%s%s>", name, *attributes ? " " : "", attributes);
    lac_html_text(to, text);
    fprintf(to, "</%s>", name);
}

static void number_cell(FILE *to, double x)
{
    if (isfinite(x)) fprintf(to, "<td class=\"n\">%.4g</td>", x);
    else fputs("<td class=\"n\">–</td>", to);
}

static void put_duration(FILE *to, double seconds)
{
    if (!isfinite(seconds)) return;
    if (seconds < 120) fprintf(to, "%.1f s", seconds);
    else if (seconds < 7200) fprintf(to, "%.0f min", seconds / 60);
    else fprintf(to, "%.1f h", seconds / 3600);
}

/* A file's text, bounded; NULL where it is not there. */
static char *read_bounded(const page *p, const char *path, size_t most, bool *cut)
{
    lac_err ignored = {0};
    size_t n = 0;
    char *text = lac_path_exists(path) ? lac_file_read(path, p->s->arena, &n, &ignored) : NULL;
    *cut = text && n > most;
    if (*cut) {
        while (most && ((unsigned char)text[most] & 0xc0) == 0x80) most--; /* not within a character */
        text[most] = '\0';
    }
    return text;
}

/* A .tsv as a table: its first lines of comment as text, its header as the head; at most so many rows. */
static void put_tsv(FILE *to, const page *p, const char *path, size_t most)
{
    bool cut, head = true;
    char *rest = read_bounded(p, path, 1 << 20, &cut);
    size_t n = 0;
    if (!rest) return;
    fputs("<div class=\"wide\"><table>\n", to);
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!*line || *line == '#') continue;
        if (!head && ++n > most) break;
        fputs("<tr>", to);
        for (char *cell; (cell = strsep(&line, "\t"));) element(to, head ? "th" : "td", "", cell);
        fputs("</tr>\n", to);
        head = false;
    }
    fputs("</table></div>\n", to);
    if (n > most) fprintf(to, "<p class=\"soft\">The first %zu lines.</p>\n", most);
}

/* ---- the top ----------------------------------------------------------------------------------------------------- */

static void put_about(FILE *to, const cJSON *about)
{
    const cJSON *line;
    if (cJSON_IsString(about)) element(to, "p", "", about->valuestring);
    cJSON_ArrayForEach(line, about)
        if (cJSON_IsString(line)) element(to, "p", "", line->valuestring);
}

static void put_top(FILE *to, const page *p)
{
    const study *s = p->s;
    const char *slash = strrchr(s->plan.path, '/');
    size_t done = 0, failed = 0;
    double seconds = 0;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        done += s->stage[i].state == STUDY_DONE;
        failed += s->stage[i].state == STUDY_FAILED;
        if (isfinite(s->stage[i].seconds)) seconds += s->stage[i].seconds;
    }
    fputs("<header>\n", to);
    element(to, "h1", "", slash ? slash + 1 : s->plan.path);
    put_about(to, field(s->plan.json, "about"));
    fprintf(to, "<p class=\"soft\">%zu of %zu stages done", done, s->plan.n_stages);
    if (failed) fprintf(to, ", %zu failed", failed);
    fputs("; ", to);
    put_duration(to, seconds);
    fputs(" of work in all.</p>\n</header>\n", to);
}

/* ---- what was found ---------------------------------------------------------------------------------------------- */

/* The number of items that all of a column's numbers have; NaN where they differ. */
static double common_n(const study_table *table, size_t column)
{
    double n = (double)NAN;
    for (size_t i = 0; i < table->n_rows; i++) {
        const study_number *x = &table->row[i].number[column];
        if (!isfinite(x->value)) continue;
        if (isnan(n)) n = x->n;
        else if (n != x->n) return (double)NAN;
    }
    return n;
}

static void put_number(FILE *to, const study_number *x, bool with_n)
{
    fputs("<td class=\"n\">", to);
    if (isfinite(x->value)) fprintf(to, "%.4g", x->value);
    else fputs("–", to);
    if (isfinite(x->value) && isfinite(x->error)) fprintf(to, " <small>± %.2g</small>", x->error);
    if (with_n && isfinite(x->n)) fprintf(to, " <small>(%.0f)</small>", x->n);
    fputs("</td>", to);
}

static void put_table(FILE *to, const page *p)
{
    const study_table *table = p->table;
    if (!table->n_columns) return;
    fputs("<section id=\"table\"><h2>Scores</h2>\n", to);
    put_about(to, field(field(p->s->plan.json, "table"), "about"));
    fputs("<p class=\"soft\">± one standard error over the items of each number alone; on the same items a difference is "
          "surer than that.</p>\n<div class=\"wide\"><table>\n<tr>", to);
    for (size_t a = 0; a < table->n_axes; a++) element(to, "th", "", table->axis[a]);
    for (size_t c = 0; c < table->n_columns; c++) {
        double n = common_n(table, c);
        fputs("<th class=\"n\">", to);
        lac_html_text(to, table->column[c].title);
        if (isfinite(n)) fprintf(to, "<br><small>n %.0f</small>", n);
        fputs("</th>", to);
    }
    fputs("</tr>\n", to);
    for (size_t i = 0; i < table->n_rows; i++) {
        const study_row *row = &table->row[i];
        fputs("<tr>", to);
        for (size_t a = 0; a < table->n_axes; a++) element(to, "td", "", row->at[a] ? row->at[a] : "");
        for (size_t c = 0; c < table->n_columns; c++) put_number(to, &row->number[c], isnan(common_n(table, c)));
        fputs("</tr>\n", to);
    }
    fputs("</table></div>\n", to);
    if (table->n_empty) fprintf(to, "<p class=\"soft\">%zu more rows have no numbers yet.</p>\n", table->n_empty);
    fputs("</section>\n", to);
}

static void put_pareto(FILE *to, const page *p)
{
    lac_err ignored = {0};
    const cJSON *json = field(p->s->plan.json, "pareto");
    const char *path = lac_printf(p->s->arena, &ignored, "%s/pareto.svg", p->dir);
    if (!json || !path || !lac_path_exists(path)) return;
    fputs("<section id=\"pareto\"><h2>The trade-off</h2>\n", to);
    put_about(to, field(json, "about"));
    fputs("<figure class=\"picture\">", to);
    lac_html_picture(to, path, "what each setting gave on two scores", &ignored);
    fputs("<figcaption>One point a row of the table, bars one standard error; the dashed line is the front: points that "
          "no other is better than in both.</figcaption></figure></section>\n", to);
}

static void put_correlations(FILE *to, const page *p)
{
    const study_correlations *c = p->correlations;
    if (!c->n) return;
    fputs("<section id=\"correlation\"><h2>Did tracing know it?</h2>\n", to);
    put_about(to, field(field(p->s->plan.json, "correlate"), "about"));
    fputs("<p>Spearman’s ρ between the traced effect of a window of layers (chart ", to);
    element(to, "code", "", c->chart);
    fputs(", last subject token, mean over the window) and what training that window gave. Windows share layers, so that "
          "only so many as can be laid side by side count as apart; the 95 % intervals draw runs of windows, not single "
          "ones, and with so few of them are rough.</p>\n<table>\n<tr><th>score</th><th></th><th class=\"n\">ρ</th>"
          "<th class=\"n\">95 %</th><th class=\"n\">windows</th><th class=\"n\">apart</th></tr>\n", to);
    for (size_t i = 0; i < c->n; i++) {
        const study_correlation *line = &c->line[i];
        fputs("<tr>", to);
        element(to, "td", "", line->score);
        element(to, "td", "", line->by ? line->by : "");
        number_cell(to, line->rho);
        if (isfinite(line->interval.low))
            fprintf(to, "<td class=\"n\">%.2f to %.2f</td>", line->interval.low, line->interval.high);
        else fputs("<td class=\"n\">too few</td>", to);
        fprintf(to, "<td class=\"n\">%zu</td><td class=\"n\">%zu</td></tr>\n", line->n, line->apart);
    }
    fputs("</table></section>\n", to);
}

/* ---- traces ------------------------------------------------------------------------------------------------------ */

static int is_average(const struct dirent *entry)
{
    const char *name = entry->d_name;
    size_t n = strlen(name);
    return n > 4 && !strcmp(name + n - 4, ".svg") && (!strncmp(name, "average_", 8) || !strncmp(name, "lines_", 6));
}

static void put_trace_pictures(FILE *to, const char *result)
{
    char dir[1200], path[1500];
    struct dirent **entry = NULL;
    snprintf(dir, sizeof dir, "%s/plots", result);
    int n = scandir(dir, &entry, is_average, alphasort);
    if (n > 0) fputs("<div class=\"figures\">\n", to);
    for (int i = 0; i < n; i++) {
        lac_err ignored = {0};
        if (i < 12 && (size_t)snprintf(path, sizeof path, "%s/%s", dir, entry[i]->d_name) < sizeof path) {
            fputs("<figure class=\"picture\">", to);
            lac_html_picture(to, path, entry[i]->d_name, &ignored);
            fputs("</figure>\n", to);
        }
        free(entry[i]);
    }
    if (n > 0) fputs("</div>\n", to);
    if (n >= 0) free(entry);
}

/* The best layers of each chart, and what layers.tsv says of them in words. */
static void put_ranking(FILE *to, const page *p, const char *result)
{
    lac_err ignored = {0};
    bool cut;
    const char *path = lac_printf(p->s->arena, &ignored, "%s/layers.tsv", result);
    char *rest = path ? read_bounded(p, path, 1 << 20, &cut) : NULL;
    if (!rest) return;
    fputs("<table>\n<tr><th>chart</th><th class=\"n\">layer</th><th class=\"n\">rank</th><th class=\"n\">effect</th>"
          "<th class=\"n\">se</th></tr>\n", to);
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *word[8] = {0}, *cursor = line;
        if (!*line || *line == '#') continue;
        for (int k = 0; k < 8 && cursor; k++) word[k] = strsep(&cursor, "\t");
        if (!word[6] || strtol(word[4], NULL, 10) < 1 || strtol(word[4], NULL, 10) > 3) continue;
        fputs("<tr>", to);
        element(to, "td", "", word[0]);
        element(to, "td", "class=\"n\"", word[1]);
        element(to, "td", "class=\"n\"", word[4]);
        number_cell(to, strtod(word[5], NULL));
        number_cell(to, *word[6] ? strtod(word[6], NULL) : (double)NAN);
        fputs("</tr>\n", to);
    }
    fputs("</table>\n", to);
}

static void put_words_of_layers(FILE *to, const page *p, const char *result)
{
    lac_err ignored = {0};
    bool cut;
    const char *path = lac_printf(p->s->arena, &ignored, "%s/layers.tsv", result);
    char *rest = path ? read_bounded(p, path, 1 << 20, &cut) : NULL;
    for (char *line; rest && (line = strsep(&rest, "\n")) && line[0] == '#';)
        if (strncmp(line, "# layers patched_from", 21) && strncmp(line, "# tied_with_best", 16))
            element(to, "p", "class=\"soft\"", line + 1);
}

static void put_traces(FILE *to, const page *p)
{
    const study *s = p->s;
    size_t n = 0;
    for (size_t i = 0; i < s->plan.n_stages && n < MOST_TRACES; i++) {
        if (strcmp(s->plan.stage[i].command, "trace") || s->stage[i].state != STUDY_DONE) continue;
        if (!n++) fputs("<section id=\"trace\"><h2>Where facts lay</h2>\n", to);
        element(to, "h3", "", s->plan.stage[i].name);
        put_words_of_layers(to, p, s->stage[i].result);
        put_trace_pictures(to, s->stage[i].result);
        put_ranking(to, p, s->stage[i].result);
        fputs("<p class=\"soft\">Cell by cell, fact by fact: ", to);
        element(to, "code", "", s->stage[i].result);
        fputs("/page.html</p>\n", to);
    }
    if (n) fputs("</section>\n", to);
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

typedef struct {
    double x, y[2]; /* forget or the only one, retain */
} step;

/* Of lacuna/plots/losses.tsv; thinned to what a small picture shows. */
static size_t read_steps(step *list, size_t most, bool *two, const page *p, const char *result)
{
    lac_err ignored = {0};
    bool cut;
    const char *path = lac_printf(p->s->arena, &ignored, "%s/lacuna/plots/losses.tsv", result);
    char *text = path ? read_bounded(p, path, 8 << 20, &cut) : NULL;
    size_t lines = 0, seen = 0, n = 0;
    *two = false;
    for (const char *c = text; c && *c; c++) lines += *c == '\n';
    const size_t stride = lines / most + 1;
    for (char *line; text && (line = strsep(&text, "\n"));) {
        char *word[4] = {0}, *cursor = line;
        if (!*line || *line == '#' || seen++ % stride || n == most) continue;
        for (int k = 0; k < 4 && cursor; k++) word[k] = strsep(&cursor, "\t");
        if (!word[1]) continue;
        *two |= word[2] != NULL;
        list[n++] =
            (step){strtod(word[0], NULL), {strtod(word[1], NULL), word[2] ? strtod(word[2], NULL) : (double)NAN}};
    }
    return n;
}

static void put_line(FILE *to, const step *list, size_t n, int which, const char *kind, double low, double high)
{
    const double span = high > low ? high - low : 1, width = list[n - 1].x > list[0].x ? list[n - 1].x - list[0].x : 1;
    fprintf(to, "<polyline class=\"%s\" points=\"", kind);
    for (size_t i = 0; i < n; i++)
        if (isfinite(list[i].y[which]))
            fprintf(to, "%.1f,%.1f ", 44 + 190 * (list[i].x - list[0].x) / width,
                    6 + 90 * (high - list[i].y[which]) / span);
    fputs("\"/>", to);
}

static bool put_curves(FILE *to, const page *p, size_t stage)
{
    step list[201];
    bool two;
    const size_t n = read_steps(list, 200, &two, p, p->s->stage[stage].result);
    double low = INFINITY, high = -INFINITY;
    if (n < 2) return false;
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++)
            if (isfinite(list[i].y[k])) {
                low = fmin(low, list[i].y[k]);
                high = fmax(high, list[i].y[k]);
            }
    if (!isfinite(low)) return false;
    fprintf(
        to,
        "<figure><svg viewBox=\"0 0 240 112\" width=\"240\" height=\"112\" role=\"img\" aria-label=\"losses\">"
        "<text x=\"40\" y=\"12\" text-anchor=\"end\">%.3g</text><text x=\"40\" y=\"98\" text-anchor=\"end\">%.3g</text>"
        "<path d=\"M44 6V96H236\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\".4\"/>"
        "<text x=\"236\" y=\"108\" text-anchor=\"end\">%.0f updates</text>",
        high, low, list[n - 1].x);
    put_line(to, list, n, 0, two ? "forget" : "retain", low, high);
    if (two) put_line(to, list, n, 1, "retain", low, high);
    fputs("</svg>", to);
    element(to, "figcaption", "", p->s->plan.stage[stage].name);
    fputs("</figure>\n", to);
    return true;
}

static void put_losses(FILE *to, const page *p)
{
    const study *s = p->s;
    size_t n = 0;
    for (size_t i = 0; i < s->plan.n_stages && n < MOST_CURVES; i++) {
        const char *command = s->plan.stage[i].command;
        if ((strcmp(command, "unlearn") && strcmp(command, "finetune")) ||
            (s->stage[i].state != STUDY_DONE && s->stage[i].state != STUDY_FAILED))
            continue;
        if (!n)
            fputs("<section id=\"losses\"><h2>How training went</h2>\n<p class=\"soft\">Loss by update: <span "
                  "style=\"color:"
                  "var(--forget)\">to forget</span>, <span style=\"color:var(--retain)\">to keep, or to learn</span>. "
                  "Each has "
                  "a scale of its own.</p>\n<div class=\"figures\">\n",
                  to);
        n++;
        put_curves(to, p, i);
    }
    if (n) fputs("</div></section>\n", to);
}

/* ---- before and after -------------------------------------------------------------------------------------------- */

static void put_compared(FILE *to, const compared *result)
{
    fputs("<details><summary>all scores</summary><div class=\"wide\"><table>\n<tr><th>score</th><th "
          "class=\"n\">n</th><th class=\"n\">"
          "before</th><th class=\"n\">after</th><th class=\"n\">change</th></tr>\n",
          to);
    for (size_t i = 0; i < result->n; i++) {
        const compare_row *row = &result->row[i];
        const study_number before = {row->before, row->before_error, (double)NAN},
                           after = {row->after, row->after_error, (double)NAN};
        fputs("<tr>", to);
        element(to, "td", "", row->score);
        number_cell(to, row->n);
        put_number(to, &before, false);
        put_number(to, &after, false);
        fprintf(to, "<td class=\"n\">%+.4g</td></tr>\n", row->after - row->before);
    }
    fputs("</table></div></details>\n", to);
    if (!result->items.n_rows) return;
    fputs("<table>\n<tr><th>items</th><th class=\"n\">n</th><th class=\"n\">turned wrong</th><th class=\"n\">turned "
          "right</th>"
          "<th class=\"n\">McNemar’s p</th></tr>\n",
          to);
    for (size_t i = 0; i < result->items.n_rows; i++) {
        const paired_row *row = &result->items.row[i];
        fputs("<tr>", to);
        element(to, "td", "", row->name);
        fprintf(
            to,
            "<td class=\"n\">%zu</td><td class=\"n\">%zu</td><td class=\"n\">%zu</td><td class=\"n\">%.2g</td></tr>\n",
            row->n, row->turned_wrong, row->turned_right, row->p);
    }
    fputs("</table>\n", to);
}

/* A JSON value as a cell's text. */
static void value_cell(FILE *to, const cJSON *value)
{
    const char *text = cJSON_GetStringValue(value);
    char *printed = text || !value ? NULL : cJSON_PrintUnformatted(value);
    element(to, "td", "class=\"said\"", text ? text : printed ? printed : "");
    cJSON_free(printed);
}

/* What names the item: the line's other fields. */
static void put_item_name(FILE *to, const cJSON *line)
{
    static const char *const others[] = {"turned", "before", "after", "answer"};
    const cJSON *item;
    bool any = false;
    fputs("<td class=\"said\">", to);
    cJSON_ArrayForEach(item, line)
    {
        bool skip = false;
        for (size_t k = 0; k < 4; k++) skip |= !strcmp(item->string, others[k]);
        char *printed = skip || cJSON_IsString(item) ? NULL : cJSON_PrintUnformatted(item);
        if (!skip) {
            fputs(any ? " · " : "", to);
            lac_html_text(to, printed ? printed : item->valuestring ? item->valuestring : "");
            any = true;
        }
        cJSON_free(printed);
    }
    fputs("</td>", to);
}

static void put_flips(FILE *to, const char *path, size_t most)
{
    lac_err ignored = {0};
    lac_records r = {0};
    size_t n = 0;
    if (!most || lac_records_open(&r, path, &ignored)) return;
    for (const cJSON *line; (line = lac_records_next(&r, &ignored)) && n < most; n++) {
        if (!n)
            fputs("<div "
                  "class=\"wide\"><table>\n<tr><th>item</th><th>turned</th><th>before</th><th>after</th><th>answer</"
                  "th></tr>\n",
                  to);
        fputs("<tr>", to);
        put_item_name(to, line);
        element(to, "td", "", text_field(line, "turned") ? text_field(line, "turned") : "");
        value_cell(to, field(line, "before"));
        value_cell(to, field(line, "after"));
        value_cell(to, field(line, "answer"));
        fputs("</tr>\n", to);
    }
    lac_records_close(&r);
    if (n) fputs("</table></div>\n", to);
    else fputs("<p>No item turned.</p>\n", to);
}

typedef struct {
    size_t n, shown; /* pairs so far */
} pairs;

static void put_pair(FILE *to, const page *p, pairs *so_far, size_t before, size_t after, size_t items)
{
    const study *s = p->s;
    lac_arena arena = {0};
    lac_err err = {0};
    compared result;
    if (!so_far->n++) fputs("<section id=\"items\"><h2>What turned</h2>\n", to);
    if (so_far->shown == MOST_PAIRS) return;
    so_far->shown++;
    const char *flips = lac_printf(&arena, &err, "%s/flips_%zu.jsonl", p->dir, so_far->shown);
    fputs("<h3>", to);
    lac_html_text(to, s->plan.stage[before].name);
    fputs(" → ", to);
    lac_html_text(to, s->plan.stage[after].name);
    fputs("</h3>\n", to);
    bool has_items =
        flips && !compare_results(&result, s->stage[before].result, s->stage[after].result, false, flips, &arena, &err);
    if (!has_items && flips) { /* a suite without right and wrong answers has no items to turn */
        err = (lac_err){0};
        compare_results(&result, s->stage[before].result, s->stage[after].result, false, NULL, &arena, &err);
    }
    if (err.code) {
        element(to, "p", "class=\"soft\"", err.msg);
    } else {
        put_compared(to, &result);
        if (has_items) {
            put_flips(to, flips, items);
            fprintf(to, "<p class=\"soft\">At most %zu items are shown; all that turned: report/flips_%zu.jsonl.</p>\n",
                    items, so_far->shown);
        }
    }
    lac_arena_release(&arena);
}

/* Axes that both have, and neither reference fixes, must agree. */
static bool belong_together(const recipe_ref ref[2], const recipe_stage *before, const recipe_stage *after)
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

static lac_status put_compare(FILE *to, const page *p, lac_err *err)
{
    const study *s = p->s;
    const cJSON *json;
    pairs so_far = {0};
    cJSON_ArrayForEach(json, field(s->plan.json, "compare"))
    {
        recipe_ref ref[2];
        const cJSON *items = field(json, "items");
        if (recipe_ref_parse(&ref[0], text_field(json, "before"), s->arena, err) ||
            recipe_ref_parse(&ref[1], text_field(json, "after"), s->arena, err))
            return err->code;
        for (size_t a = 0; a < s->plan.n_stages; a++)
            for (size_t b = 0; b < s->plan.n_stages; b++)
                if (a != b && s->stage[a].state == STUDY_DONE && s->stage[b].state == STUDY_DONE &&
                    recipe_ref_fits(&ref[0], &s->plan.stage[a]) && recipe_ref_fits(&ref[1], &s->plan.stage[b]) &&
                    belong_together(ref, &s->plan.stage[a], &s->plan.stage[b]))
                    put_pair(to, p, &so_far, a, b, items ? (size_t)items->valuedouble : ITEMS);
    }
    if (so_far.n > so_far.shown)
        fprintf(to,
                "<p class=\"soft\">%zu pairs in all; the first %zu are shown, and the table above has the rest.</p>\n",
                so_far.n, so_far.shown);
    if (so_far.n) fputs("</section>\n", to);
    return LAC_OK;
}

/* ---- attacks, and what was printed ------------------------------------------------------------------------------- */

static void put_attacks(FILE *to, const page *p)
{
    const study *s = p->s;
    lac_err ignored = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        if (strcmp(s->plan.stage[i].command, "attack") || s->stage[i].state != STUDY_DONE) continue;
        const char *path = lac_printf(s->arena, &ignored, "%s/attack.tsv", s->stage[i].result);
        if (!n++) fputs("<section id=\"attacks\"><h2>Attacks</h2>\n", to);
        element(to, "h3", "", s->plan.stage[i].name);
        const char *picture = lac_printf(s->arena, &ignored, "%s/attack.svg", s->stage[i].result);
        if (picture && lac_path_exists(picture)) {
            fputs("<figure class=\"picture\">", to);
            lac_html_picture(to, picture, "attacks", &ignored);
            fputs("</figure>\n", to);
        }
        if (path) put_tsv(to, p, path, 60);
    }
    if (n) fputs("</section>\n", to);
}

static void put_said(FILE *to, const page *p)
{
    const study *s = p->s;
    lac_err ignored = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        bool cut;
        if (study_kind_of(&s->plan.stage[i]) != STUDY_SAYS || s->stage[i].state != STUDY_DONE) continue;
        const char *path = lac_printf(s->arena, &ignored, "%s/said.txt", s->stage[i].result);
        char *text = path ? read_bounded(p, path, SAID_BYTES, &cut) : NULL;
        if (!text || !*text || !lac_utf8_valid(text, strlen(text))) continue;
        if (!n++) fputs("<section id=\"said\"><h2>What commands said</h2>\n", to);
        fputs("<details><summary>", to);
        lac_html_text(to, s->plan.stage[i].name);
        fputs("</summary><pre>", to);
        lac_html_text(to, text);
        fputs(cut ? "\n...</pre></details>\n" : "</pre></details>\n", to);
    }
    if (n) fputs("</section>\n", to);
}

/* ---- what was run ------------------------------------------------------------------------------------------------ */

static void put_stages(FILE *to, const page *p)
{
    const study *s = p->s;
    fputs("<section id=\"stages\"><h2>Stages</h2>\n<div class=\"wide\"><table>\n<tr><th>stage</th><th>state</th><th "
          "class=\"n\">time</th>"
          "<th></th></tr>\n",
          to);
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        const study_stage *stage = &s->stage[i];
        fprintf(to, "<tr%s>", stage->state == STUDY_FAILED    ? " class=\"failed\""
                              : stage->state == STUDY_CHANGED ? " class=\"changed\""
                                                              : "");
        element(to, "td", "", s->plan.stage[i].name);
        fprintf(to, "<td>%s%s</td><td class=\"n\">", study_state_words[stage->state],
                stage->dropped ? ", weights dropped" : "");
        put_duration(to, stage->seconds);
        fputs("</td><td>", to);
        if (stage->sentence) element(to, "p", "", stage->sentence);
        fputs("<details><summary>command</summary>", to);
        element(to, "code", "", stage->line);
        fputs("</details></td></tr>\n", to);
    }
    for (size_t i = 0; i < s->plan.n_left_out; i++) {
        fputs("<tr>", to);
        element(to, "td", "", s->plan.left_out[i]);
        fputs("<td>left out</td><td></td><td></td></tr>\n", to);
    }
    fputs("</table></div></section>\n", to);
}

static void put_inputs(FILE *to, const page *p)
{
    const cJSON *inputs = field(p->s->record, "inputs"), *input;
    size_t n = (size_t)cJSON_GetArraySize(inputs);
    if (!n) return;
    fprintf(to,
            "<details%s><summary>%zu input files</summary><table>\n<tr><th>file</th><th "
            "class=\"n\">bytes</th><th>sha256</th></tr>\n",
            n < 20 ? " open" : "", n);
    cJSON_ArrayForEach(input, inputs)
    {
        fputs("<tr>", to);
        element(to, "td", "", input->string);
        fprintf(to, "<td class=\"n\">%.0f</td><td>", cJSON_GetNumberValue(field(input, "size")));
        element(to, "code", "", text_field(input, "sha256") ? text_field(input, "sha256") : "");
        fputs("</td></tr>\n", to);
    }
    fputs("</table></details>\n", to);
}

static void put_reproduce(FILE *to, const page *p)
{
    const study *s = p->s;
    fputs("<section id=\"again\"><h2>To repeat it</h2>\n<pre>lacuna run ", to);
    lac_html_text(to, s->plan.path);
    fputs(" --out ", to);
    lac_html_text(to, s->out);
    for (size_t i = 0; i < s->plan.n_vars; i++) {
        if (!s->plan.var[i].was_set) continue;
        fputs(" --set '", to);
        lac_html_text(to, s->plan.var[i].name);
        fputs("=", to);
        lac_html_text(to, s->plan.var[i].text);
        fputs("'", to);
    }
    fprintf(to, "</pre>\n<p>lacuna %s, the program’s sha256 ", LAC_VERSION);
    element(to, "code", "", s->program);
    fputs(". Every result has a manifest.json with all options, versions, threads and times; study.json has the "
          "stages’ keys.</p>\n",
          to);
    put_inputs(to, p);
    char *recipe = cJSON_Print(s->plan.json);
    fputs("<details><summary>the recipe</summary><pre>", to);
    lac_html_text(to, recipe ? recipe : "");
    fputs("</pre></details></section>\n", to);
    cJSON_free(recipe);
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static lac_status fill(FILE *to, void *context, lac_err *err)
{
    const page *p = context;
    put_top(to, p);
    put_table(to, p);
    put_pareto(to, p);
    put_correlations(to, p);
    put_attacks(to, p);
    put_traces(to, p);
    put_losses(to, p);
    if (put_compare(to, p, err)) return err->code;
    put_said(to, p);
    put_stages(to, p);
    put_reproduce(to, p);
    return LAC_OK;
}

lac_status study_report(const study *s, lac_err *err)
{
    study_table table;
    study_correlations correlations = {0};
    const char *dir = lac_printf(s->arena, err, "%s/report", s->out);
    const char *path = lac_printf(s->arena, err, "%s/report.html", s->out);
    if (!dir || !path || study_table_read(&table, s, err)) return err->code;
    lac_err trouble = {0};
    if (study_correlate(&correlations, &table, s, &trouble)) {
        fprintf(stderr, "lacuna: %s\n", trouble.msg); /* the rest of the page is none the worse for it */
        correlations.n = 0;
    }
    if (lac_path_remove(dir, err) || lac_path_make_dirs(dir, err) ||
        study_save_scores(s, &table, &correlations, dir, err))
        return err->code;
    lac_err drawing = {0};
    if (lac_plots_draw(dir, NULL, &drawing)) fprintf(stderr, "lacuna: %s\n", drawing.msg);
    page p = {.s = s, .table = &table, .correlations = &correlations, .dir = dir};
    return lac_page_write(path, "plots/report.html", "@STUDY@", fill, &p, err);
}
