/* Heatmaps that a terminal can show:
 *
 *   token \ layer    0  1  2  3        p(answer)  clean 0.930   corrupted 0.040
 *   0 The*           ·  ░  ·  ·
 *   1  tower*        █  ▓  ░  ·        <- last subject token
 *
 * Five steps from low (or zero effect) to the map's highest value. */
#include <stdint.h>
#include <string.h>

#include "trace/compare.h"
#include "trace/stats.h"

static const char *shade(double value, double top)
{
    static const char *const steps[] = {"·", "░", "▒", "▓", "█"};
    double x = top > 0 ? value / top : 0;
    int i = (int)(x * 5);
    return steps[i < 0 ? 0 : i > 4 ? 4 : i];
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
        fputc(*text == '\n' || *text == '\t' || *text == '\r' ? ' ' : *text, to);
    }
    while (n++ < width) fputc(' ', to);
}

static void header(FILE *to, const char *corner, size_t width, int n_layers)
{
    label(to, corner, width);
    for (int l = 0; l < n_layers; l++) {
        if (n_layers <= 20)
            fprintf(to, " %2d", l);
        else if (l % 5 == 0)
            fprintf(to, "%-*d", 2 * (n_layers - l < 5 ? n_layers - l : 5), l);
    }
}

static void row(FILE *to, const double *effect, int n_layers, double top)
{
    for (int l = 0; l < n_layers; l++) fprintf(to, n_layers <= 20 ? "  %s" : "%s ", shade(effect[l], top));
}

enum { MAX_SKETCH_LAYERS = 256, LABEL = 18 };

void lac_trace_sketch(FILE *to, const lac_trace *trace, const lac_traced *traced, int which)
{
    const lac_grid *g = &traced->grid;
    const lac_chart *chart = &trace->charts[which];
    if (traced->left_out || chart->n_cols > MAX_SKETCH_LAYERS) return;
    double top = 0, effect[MAX_SKETCH_LAYERS], high = g->high[LAC_PROB], low = lac_low_mean(g, LAC_PROB);
    size_t width = LABEL;
    for (int t = 0; t < g->n_tokens; t++) {
        for (int col = 0; col < chart->n_cols; col++) {
            double e = lac_effect_of(trace, LAC_PROB, lac_cell_mean(g, chart, which, LAC_PROB, t, col), high, low);
            if (e > top) top = e;
        }
        if (columns(traced->tokens[t]) + 6 > width) width = columns(traced->tokens[t]) + 6;
    }
    if (width > 28) width = 28;
    header(to, "token \\ layer", width, chart->n_cols);
    fprintf(to, "   %s: p(%s)  clean %.3f  corrupted %.3f\n", chart->name, traced->answer, high, low);
    for (int t = 0; t < g->n_tokens; t++) {
        char text[128];
        bool subject = t >= g->begin && t < g->end;
        snprintf(text, sizeof text, "%2d %.100s%s", t, traced->tokens[t], subject ? "*" : "");
        label(to, text, width);
        for (int col = 0; col < chart->n_cols; col++)
            effect[col] = lac_effect_of(trace, LAC_PROB, lac_cell_mean(g, chart, which, LAC_PROB, t, col), high, low);
        row(to, effect, chart->n_cols, top);
        fputs(t == g->end - 1 ? "   <- last subject token\n" : "\n", to);
    }
}

void lac_trace_sketch_average(FILE *to, const lac_trace *trace, const lac_trace_stats *stats, int which)
{
    const lac_chart *chart = &trace->charts[which];
    if (chart->n_cols > MAX_SKETCH_LAYERS) return;
    double top = 0, effect[MAX_SKETCH_LAYERS];
    for (int c = 0; c < LAC_N_CATEGORIES; c++)
        for (int col = 0; col < chart->n_cols; col++) {
            double e = lac_effect_at(stats, trace, which, LAC_PROB, (lac_category)c, col)->effect;
            if (e > top) top = e;
        }
    header(to, "tokens \\ layer", LABEL, chart->n_cols);
    fprintf(to, "   %s: mean effect on p(answer), %zu facts, up to %.3f\n", chart->name, trace->n_traced, top);
    for (int c = 0; c < LAC_N_CATEGORIES; c++) {
        const lac_effect *e = lac_effect_at(stats, trace, which, LAC_PROB, (lac_category)c, 0);
        label(to, lac_category_name[c], LABEL);
        for (int col = 0; col < chart->n_cols; col++) effect[col] = e[col].effect;
        if (e[0].n)
            row(to, effect, chart->n_cols, top);
        else
            fputs(" (no such tokens)", to);
        fputc('\n', to);
    }
}

/* ---- before and after -------------------------------------------------------------------------------------------- */

static double cell_effect(const lac_trace *trace, const lac_traced *fact, int chart, int t, int col)
{
    const lac_grid *g = &fact->grid;
    double score = lac_cell_mean(g, &trace->charts[chart], chart, LAC_PROB, t, col);
    return lac_effect_of(trace, LAC_PROB, score, g->high[LAC_PROB], lac_low_mean(g, LAC_PROB));
}

void lac_comparison_sketch(FILE *to, const lac_comparison *c, size_t pair, int chart)
{
    const lac_trace *trace[2] = {&c->before, &c->after};
    const lac_traced *fact[2] = {&c->before.facts[pair], &c->after.facts[pair]};
    const int *which = c->charts[chart];
    int C = c->before.charts[which[0]].n_cols, T = fact[0]->grid.n_tokens;
    const char *between = C <= 20 ? "  |" : "| ";
    double top = 0, effect[MAX_SKETCH_LAYERS];
    if (C > MAX_SKETCH_LAYERS) return;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < T * C; i++) {
            double e = cell_effect(trace[k], fact[k], which[k], i / C, i % C);
            if (e > top) top = e;
        }
    fprintf(to, "%s: effect on p(%s) of fact %d before | after, up to %.3f; clean %.3f | %.3f\n",
            c->before.charts[which[0]].name, fact[0]->answer, fact[0]->fact->id, top, fact[0]->grid.high[LAC_PROB],
            fact[1]->grid.high[LAC_PROB]);
    header(to, "token \\ layer", LABEL, C);
    header(to, between, strlen(between), C);
    fputc('\n', to);
    for (int t = 0; t < T; t++) {
        char text[128];
        bool subject = t >= fact[0]->grid.begin && t < fact[0]->grid.end;
        snprintf(text, sizeof text, "%2d %.100s%s", t, fact[0]->tokens[t], subject ? "*" : "");
        label(to, text, LABEL);
        for (int k = 0; k < 2; k++) {
            for (int col = 0; col < C; col++) effect[col] = cell_effect(trace[k], fact[k], which[k], t, col);
            if (k) fputs(between, to);
            row(to, effect, C, top);
        }
        fputs(t == fact[0]->grid.end - 1 ? "   <- last subject token\n" : "\n", to);
    }
}
