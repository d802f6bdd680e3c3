/* Heatmaps that a terminal can show:
 *
 *   token \ layer    0  1  2  3        hidden: indirect effect on p( Seoul), up to 0.890;  clean
 *                                      0.930  corrupted 0.040
 *   0 The*           ·  ░  ·  -
 *   1  tower*        █  ▓  ░  ·        <- last subject token
 *
 * Five steps from zero effect to the map's largest, either way: what goes the other way by a fifth
 * of that or more is shown as "-", by three fifths or more as "=", as the pictures have a dash
 * there.  A map of too many columns for a terminal is named, with the way to see it. */
#include "trace/report/terminal_heatmap.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/text_out.h"

static const char *shade(double value, double top)
{
    if (isnan(value)) return " "; /* not measured */
    static const char *const steps[] = {"·", "░", "▒", "▓", "█"}, *const other_way[] = {
                                                                      "·", "-", "-", "=", "="};
    int i = top > 0 && isfinite(value) ? (int)(fabs(value) / top * 5) : 0;
    return (value < 0 ? other_way : steps)[i > 4 ? 4 : i];
}

static void raise_top(double *top, double effect)
{
    if (fabs(effect) > *top) *top = fabs(effect); /* false for NaN */
}

/* Code points, near enough to columns for a label. */
static size_t columns(const char *text)
{
    size_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static void label(FILE *to, const char *text, size_t width)
{
    size_t n = 0;
    for (; *text && (n < width || ((unsigned char)*text & 0xC0) == 0x80); text++) {
        n += ((unsigned char)*text & 0xC0) != 0x80;
        fputc(*text, to);
    }
    while (n++ < width) fputc(' ', to);
}

static const char *corner(const dele_chart *chart, bool groups)
{
    if (chart->kind == DELE_HEAD) return groups ? "tokens \\ layer.head" : "token \\ layer.head";
    if (chart->kind == DELE_EXPERT)
        return groups ? "tokens \\ layer.expert" : "token \\ layer.expert";
    return groups ? "tokens \\ layer" : "token \\ layer";
}

enum { MAX_SKETCH_LAYERS = 256, MAX_SKETCH_UNITS = 80, LABEL = 18 };

/* The labels' width: that of the corner at least. */
static size_t label_width(const dele_chart *chart)
{
    return chart->kind == DELE_HEAD ? LABEL + 2 : chart->kind == DELE_EXPERT ? LABEL + 4 : LABEL;
}

/* A token as the label of a row: its number, itself, a star on the subject's. */
static size_t name_token(char out[160], int t, const char *token, bool subject)
{
    char shown[128];
    dele_text_show(shown, sizeof shown, token, DELE_TEXT_LINE);
    snprintf(out, 160, "%2d %s%s", t, shown, subject ? "*" : "");
    return columns(out);
}

/* Of heads and experts the first of each layer is named, as 3.0: layer 3, head 0. */
static void header(FILE *to, const char *corner, size_t width, int n_layers, int heads)
{
    label(to, corner, width);
    for (int col = 0; heads > 1 && col < n_layers; col += heads) {
        char name[32];
        const int room = (n_layers <= 20 ? 3 : 2) * heads;
        snprintf(name, sizeof name, "%s%d.0", n_layers <= 20 ? " " : "", col / heads);
        fprintf(to, "%-*s", room, (int)strlen(name) < room ? name : "");
    }
    if (heads > 1) return;
    for (int l = 0; l < n_layers; l++) {
        if (n_layers <= 20)
            fprintf(to, " %2d", l);
        else if (l % 5 == 0)
            fprintf(to, "%-*d", 2 * (n_layers - l < 5 ? n_layers - l : 5), l);
    }
}

static void row(FILE *to, const double *effect, int n_layers, double top)
{
    for (int l = 0; l < n_layers; l++)
        fprintf(to, n_layers <= 20 ? "  %s" : "%s ", shade(effect[l], top));
}

/* Whether a terminal can show the chart; a line says so where it cannot. */
static bool fits(FILE *to, const dele_chart *chart)
{
    if (chart->n_cols <= (dele_kind_has_units(chart->kind) ? MAX_SKETCH_UNITS : MAX_SKETCH_LAYERS))
        return true;
    fprintf(to, "%s: %d columns, more than fit here; see page.html, or the pictures in plots/\n",
            chart->name, chart->n_cols);
    return false;
}

void dele_trace_print_heatmap(FILE *to, const dele_trace *trace, const dele_traced *traced,
                              int which)
{
    const dele_grid *g = &traced->grid;
    const dele_chart *chart = &trace->charts[which];
    if (traced->left_out || !fits(to, chart)) return;
    double top = 0, effect[MAX_SKETCH_LAYERS], low = dele_low_mean(g, DELE_PROB);
    size_t width = label_width(chart);
    for (int t = 0; t < g->n_tokens; t++) {
        for (int col = 0; col < chart->n_cols; col++)
            raise_top(&top, dele_cell_effect(trace, traced, which, t, col));
        char text[160];
        const size_t own = name_token(text, t, traced->tokens[t], true) + 2;
        if (own > width) width = own;
    }
    if (width > 28) width = 28;
    header(to, corner(chart, false), width, chart->n_cols, dele_chart_units(trace, chart));
    fprintf(to, "   %s: indirect effect on p(", chart->name);
    dele_text_put(to, traced->answer, DELE_TEXT_LINE);
    fprintf(to, "), up to %.3f;  clean %.3f", top, g->high[DELE_PROB]);
    if (isfinite(low)) fprintf(to, "  corrupted %.3f", low);
    fputc('\n', to);
    for (int t = 0; t < g->n_tokens; t++) {
        char text[160];
        name_token(text, t, traced->tokens[t], t >= g->begin && t < g->end);
        label(to, text, width);
        for (int col = 0; col < chart->n_cols; col++)
            effect[col] = dele_cell_effect(trace, traced, which, t, col);
        row(to, effect, chart->n_cols, top);
        fputs(t == g->end - 1 ? "   <- last subject token\n" : "\n", to);
    }
}

void dele_trace_print_average(FILE *to, const dele_trace *trace, const dele_trace_stats *stats,
                              int which)
{
    const dele_chart *chart = &trace->charts[which];
    if (!fits(to, chart)) return;
    double top = 0, effect[MAX_SKETCH_LAYERS];
    for (int c = 0; c < DELE_N_CATEGORIES; c++)
        for (int col = 0; col < chart->n_cols; col++)
            raise_top(
                &top,
                dele_effect_at(stats, trace, which, DELE_PROB, (dele_category)c, col)->effect);
    header(to, corner(chart, true), label_width(chart), chart->n_cols,
           dele_chart_units(trace, chart));
    fprintf(to, "   %s: mean indirect effect on p(answer), %zu facts, up to %.3f\n", chart->name,
            trace->n_traced, top);
    for (int c = 0; c < DELE_N_CATEGORIES; c++) {
        const dele_effect *e = dele_effect_at(stats, trace, which, DELE_PROB, (dele_category)c, 0);
        label(to, dele_category_name[c], label_width(chart));
        for (int col = 0; col < chart->n_cols; col++) effect[col] = e[col].effect;
        if (e[0].n)
            row(to, effect, chart->n_cols, top);
        else
            fputs(" (no such tokens)", to);
        fputc('\n', to);
    }
}

/* ---- before and after ------------------------------------------------------------------------ */

void dele_comparison_print_heatmaps(FILE *to, const dele_comparison *c, size_t pair, int chart)
{
    const dele_trace *trace[2] = {&c->before, &c->after};
    const dele_traced *fact[2] = {&c->before.facts[pair], &c->after.facts[pair]};
    const int *which = c->charts[chart];
    int C = c->before.charts[which[0]].n_cols, T = fact[0]->grid.n_tokens;
    const char *between = C <= 20 ? "  |" : "| ";
    double top = 0, effect[MAX_SKETCH_LAYERS];
    if (!fits(to, &c->before.charts[which[0]])) return;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < T * C; i++)
            raise_top(&top, dele_cell_effect(trace[k], fact[k], which[k], i / C, i % C));
    dele_text_line(
        to, "%s: indirect effect on p(%s) of fact %d before | after, up to %.3f; clean %.3f | %.3f",
        c->before.charts[which[0]].name, fact[0]->answer, fact[0]->fact->id, top,
        fact[0]->grid.high[DELE_PROB], fact[1]->grid.high[DELE_PROB]);
    const int heads = dele_chart_units(trace[0], &c->before.charts[which[0]]);
    const size_t width = label_width(&c->before.charts[which[0]]);
    header(to, corner(&c->before.charts[which[0]], false), width, C, heads);
    header(to, between, strlen(between), C, heads);
    fputc('\n', to);
    for (int t = 0; t < T; t++) {
        char text[160];
        name_token(text, t, fact[0]->tokens[t], t >= fact[0]->grid.begin && t < fact[0]->grid.end);
        label(to, text, width);
        for (int k = 0; k < 2; k++) {
            for (int col = 0; col < C; col++)
                effect[col] = dele_cell_effect(trace[k], fact[k], which[k], t, col);
            if (k) fputs(between, to);
            row(to, effect, C, top);
        }
        fputs(t == fact[0]->grid.end - 1 ? "   <- last subject token\n" : "\n", to);
    }
}
