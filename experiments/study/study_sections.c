/* What stages have left, on the page: where facts lay, how training went, attacks, depth, what was
 * printed. */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/texts.h"
#include "experiments/study/study_page.h"
#include "plots/page.h"

enum { MOST_TRACES = 6, MOST_CURVES = 400, SAID_BYTES = 20000 };

/* ---- traces ---------------------------------------------------------------------------------- */

static int is_average(const struct dirent *entry)
{
    const char *name = entry->d_name;
    return dele_ends_with(name, ".svg") &&
           (!strncmp(name, "average_", 8) || !strncmp(name, "lines_", 6));
}

static void put_trace_pictures(FILE *to, const char *result)
{
    char dir[1200], path[1500];
    struct dirent **entry = NULL;
    snprintf(dir, sizeof dir, "%s/plots", result);
    int n = scandir(dir, &entry, is_average, alphasort);
    if (n > 0) fputs("<div class=\"figures\">\n", to);
    for (int i = 0; i < n; i++) {
        if (i < 12 &&
            (size_t)snprintf(path, sizeof path, "%s/%s", dir, entry[i]->d_name) < sizeof path)
            dele_html_figure(to, path, entry[i]->d_name, NULL);
        free(entry[i]);
    }
    if (n > 0) fputs("</div>\n", to);
    if (n >= 0) free(entry);
}

/* The best layers of each chart, and what layers.tsv says of them in words. */
static void put_ranking(FILE *to, const study_page *p, const char *result)
{
    dele_err ignored = {0};
    bool cut;
    const char *path = dele_printf(p->s->arena, &ignored, "%s/layers.tsv", result);
    char *rest = path ? page_read(p, path, 1 << 20, &cut) : NULL;
    if (!rest) return;
    fputs("<table>\n<tr><th>chart</th><th class=\"n\">layer</th><th class=\"n\">rank</th><th "
          "class=\"n\">effect</th>"
          "<th class=\"n\">se</th></tr>\n",
          to);
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *word[8] = {0}, *cursor = line;
        if (!*line || *line == '#') continue;
        for (int k = 0; k < 8 && cursor; k++) word[k] = strsep(&cursor, "\t");
        if (!word[6] || strtol(word[4], NULL, 10) < 1 || strtol(word[4], NULL, 10) > 3) continue;
        fputs("<tr>", to);
        dele_html_element(to, "td", "", word[0]);
        dele_html_element(to, "td", "class=\"n\"", word[1]);
        dele_html_element(to, "td", "class=\"n\"", word[4]);
        dele_html_number(to, strtod(word[5], NULL));
        dele_html_number(to, *word[6] ? strtod(word[6], NULL) : (double)NAN);
        fputs("</tr>\n", to);
    }
    fputs("</table>\n", to);
}

static void put_words_of_layers(FILE *to, const study_page *p, const char *result)
{
    dele_err ignored = {0};
    bool cut;
    const char *path = dele_printf(p->s->arena, &ignored, "%s/layers.tsv", result);
    char *rest = path ? page_read(p, path, 1 << 20, &cut) : NULL;
    for (char *line; rest && (line = strsep(&rest, "\n")) && line[0] == '#';)
        if (strncmp(line, "# layers patched_from", 21) && strncmp(line, "# tied_with_best", 16))
            dele_html_element(to, "p", "class=\"soft\"", line + 1);
}

void page_traces(FILE *to, const study_page *p)
{
    const study *s = p->s;
    size_t n = 0;
    for (size_t i = 0; i < s->plan.n_stages && n < MOST_TRACES; i++) {
        if (strcmp(s->plan.stage[i].command, "trace") || s->stage[i].state != STUDY_DONE) continue;
        if (!n++) fputs("<section id=\"trace\"><h2>Causal tracing</h2>\n", to);
        dele_html_element(to, "h3", "", s->plan.stage[i].name);
        put_words_of_layers(to, p, s->stage[i].result);
        put_trace_pictures(to, s->stage[i].result);
        put_ranking(to, p, s->stage[i].result);
        fputs("<p class=\"soft\">Cell by cell, fact by fact: ", to);
        dele_html_element(to, "code", "", s->stage[i].result);
        fputs("/page.html</p>\n", to);
    }
    if (n) fputs("</section>\n", to);
}

/* ---- losses ---------------------------------------------------------------------------------- */

typedef struct {
    double x, y[2]; /* forget or the only one, retain */
} loss_step;

/* Of deleatur/plots/losses.tsv; thinned to what a small picture shows. */
static size_t read_steps(loss_step *list, size_t most, bool *two, const study_page *p,
                         const char *result)
{
    dele_err ignored = {0};
    bool cut;
    const char *path = dele_printf(p->s->arena, &ignored, "%s/deleatur/plots/losses.tsv", result);
    char *text = path ? page_read(p, path, 8 << 20, &cut) : NULL;
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
            (loss_step){strtod(word[0], NULL),
                        {strtod(word[1], NULL), word[2] ? strtod(word[2], NULL) : (double)NAN}};
    }
    return n;
}

static void put_line(FILE *to, const loss_step *list, size_t n, int which, const char *kind,
                     double low, double high)
{
    const double span = high > low ? high - low : 1,
                 width = list[n - 1].x > list[0].x ? list[n - 1].x - list[0].x : 1;
    fprintf(to, "<polyline class=\"%s\" points=\"", kind);
    for (size_t i = 0; i < n; i++)
        if (isfinite(list[i].y[which]))
            fprintf(to, "%.1f,%.1f ", 44 + 190 * (list[i].x - list[0].x) / width,
                    6 + 90 * (high - list[i].y[which]) / span);
    fputs("\"/>", to);
}

/* Draws the losses of one training stage as a small figure, both curves on one scale. false: there
 * are fewer than two updates, or no finite loss, and nothing is drawn. */
static bool put_curves(FILE *to, const study_page *p, size_t stage)
{
    loss_step list[201];
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
    fprintf(to,
            "<figure><svg viewBox=\"0 0 240 112\" width=\"240\" height=\"112\" role=\"img\" "
            "aria-label=\"losses\">"
            "<text x=\"40\" y=\"12\" text-anchor=\"end\">%.3g</text><text x=\"40\" y=\"98\" "
            "text-anchor=\"end\">%.3g</text>"
            "<path d=\"M44 6V96H236\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\".4\"/>"
            "<text x=\"236\" y=\"108\" text-anchor=\"end\">%.0f updates</text>",
            high, low, list[n - 1].x);
    put_line(to, list, n, 0, two ? "forget" : "retain", low, high);
    if (two) put_line(to, list, n, 1, "retain", low, high);
    fputs("</svg>", to);
    dele_html_element(to, "figcaption", "", p->s->plan.stage[stage].name);
    fputs("</figure>\n", to);
    return true;
}

void page_losses(FILE *to, const study_page *p)
{
    const study *s = p->s;
    size_t n = 0;
    for (size_t i = 0; i < s->plan.n_stages && n < MOST_CURVES; i++) {
        const char *command = s->plan.stage[i].command;
        if ((strcmp(command, "unlearn") && strcmp(command, "finetune")) ||
            (s->stage[i].state != STUDY_DONE && s->stage[i].state != STUDY_FAILED))
            continue;
        if (!n)
            fputs("<section id=\"losses\"><h2>Training loss</h2>\n<p class=\"soft\">Loss by "
                  "update: <span "
                  "style=\"color:"
                  "var(--forget)\">forget set</span>, <span style=\"color:var(--retain)\">retain "
                  "set, or training set</span>. "
                  "Each has "
                  "a scale of its own.</p>\n<div class=\"figures\">\n",
                  to);
        n++;
        put_curves(to, p, i);
    }
    if (n) fputs("</div></section>\n", to);
}

/* ---- attacks, depth, and what was printed ---------------------------------------------------- */

void page_attacks(FILE *to, const study_page *p)
{
    const study *s = p->s;
    dele_err ignored = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        if (strcmp(s->plan.stage[i].command, "attack") || s->stage[i].state != STUDY_DONE) continue;
        const char *path = dele_printf(s->arena, &ignored, "%s/attack.tsv", s->stage[i].result);
        if (!n++) fputs("<section id=\"attacks\"><h2>Attacks</h2>\n", to);
        dele_html_element(to, "h3", "", s->plan.stage[i].name);
        dele_html_figure(to, dele_printf(s->arena, &ignored, "%s/attack.svg", s->stage[i].result),
                         "attacks", NULL);
        if (path) page_tsv(to, p, path, 60);
    }
    if (n) fputs("</section>\n", to);
}

static void put_depth_row(FILE *to, const char *name, const cJSON *depth)
{
    static const char *const scores[][2] = {{"uds", "n"}, {"surface", "surface_n"}};
    fputs("<tr>", to);
    dele_html_element(to, "td", "", name);
    for (int k = 0; k < 2; k++) {
        char word[40];
        snprintf(word, sizeof word, "%s_interval", scores[k][0]);
        const cJSON *interval = page_field(depth, word);
        const cJSON *low = cJSON_GetArrayItem(interval, 0), *high = cJSON_GetArrayItem(interval, 1);
        dele_html_number(to, cJSON_GetNumberValue(page_field(depth, scores[k][0])));
        if (cJSON_IsNumber(low) && cJSON_IsNumber(high))
            fprintf(to, "<td class=\"n\">%.3f to %.3f</td>", low->valuedouble, high->valuedouble);
        else
            fputs("<td class=\"n\">–</td>", to);
        dele_html_number(to, cJSON_GetNumberValue(page_field(depth, scores[k][1])));
    }
    fputs("</tr>\n", to);
}

static bool measures_depth(const study *s, size_t stage)
{
    return !strcmp(s->plan.stage[stage].command, "depth") && s->stage[stage].state == STUDY_DONE;
}

void page_depths(FILE *to, const study_page *p)
{
    const study *s = p->s;
    size_t n = 0;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        dele_err ignored = {0};
        const char *path = measures_depth(s, i) ? dele_printf(s->arena, &ignored, "%s/depth.json",
                                                              s->stage[i].result)
                                                : NULL;
        cJSON *depth = path ? dele_json_load_result(path, &ignored) : NULL;
        if (!depth) continue;
        if (!n++)
            fputs("<section id=\"depth\"><h2>Unlearning depth</h2>\n<p>Unlearning depth score: 0, "
                  "with the unlearned model’s hidden states the "
                  "full model gives the answers as well as with its own; 1, as badly as with those "
                  "of the retain model. "
                  "Surface: the same at the models’ own outputs. A high surface score with a low "
                  "depth score is a fact that "
                  "is in the model and is not generated. Intervals are 95 %, over "
                  "rows.</p>\n<table>\n<tr><th></th><th class=\"n\">depth"
                  "</th><th class=\"n\">95 %</th><th class=\"n\">rows</th><th "
                  "class=\"n\">surface</th><th class=\"n\">95 %"
                  "</th><th class=\"n\">rows</th></tr>\n",
                  to);
        put_depth_row(to, s->plan.stage[i].name, depth);
        cJSON_Delete(depth);
    }
    if (n) fputs("</table>\n", to);
    for (size_t i = 0; n && i < s->plan.n_stages; i++) {
        dele_err ignored = {0};
        if (measures_depth(s, i))
            dele_html_figure(
                to, dele_printf(s->arena, &ignored, "%s/plots/depth.svg", s->stage[i].result),
                "what the answer loses with another model’s states, by layer",
                s->plan.stage[i].name);
    }
    if (n) fputs("</section>\n", to);
}

void page_said(FILE *to, const study_page *p)
{
    const study *s = p->s;
    dele_err ignored = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        bool cut;
        if (study_kind_of(&s->plan.stage[i]) != STUDY_PRINTS || s->stage[i].state != STUDY_DONE)
            continue;
        const char *path = dele_printf(s->arena, &ignored, "%s/stdout.txt", s->stage[i].result);
        char *text = path ? page_read(p, path, SAID_BYTES, &cut) : NULL;
        if (!text || !*text || !dele_utf8_valid(text, strlen(text))) continue;
        if (!n++) fputs("<section id=\"output\"><h2>Command output</h2>\n", to);
        fputs("<details><summary>", to);
        dele_html_text(to, s->plan.stage[i].name);
        fputs("</summary><pre>", to);
        dele_html_text(to, text);
        fputs(cut ? "\n...</pre></details>\n" : "</pre></details>\n", to);
    }
    if (n) fputs("</section>\n", to);
}
