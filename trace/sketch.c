/* Heatmaps that a terminal can show:
 *
 *   token \ layer    0  1  2  3        p(answer)  clean 0.930   corrupted 0.040
 *   0 The*           ·  ░  ·  ·
 *   1  tower*        █  ▓  ░  ·        <- last subject token
 *
 * Five steps from low (or zero effect) to the map's highest value. */
#include <stdint.h>
#include <string.h>

#include "trace/trace.h"

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
            fprintf(to, "%-10d", l);
    }
}

static void row(FILE *to, const double *effect, int n_layers, double top)
{
    for (int l = 0; l < n_layers; l++) fprintf(to, n_layers <= 20 ? "  %s" : "%s ", shade(effect[l], top));
}

enum { MAX_SKETCH_LAYERS = 256, LABEL = 18 };

void lac_trace_sketch(FILE *to, const lac_traced *traced, lac_kind kind)
{
    const lac_grid *g = &traced->grid;
    if (traced->left_out || !g->scores[kind] || g->n_layers > MAX_SKETCH_LAYERS) return;
    double top = 0, effect[MAX_SKETCH_LAYERS];
    size_t L = (size_t)g->n_layers, width = LABEL;
    for (size_t i = 0; i < (size_t)g->n_tokens * L; i++)
        if (g->scores[kind][i] - g->low > top) top = g->scores[kind][i] - g->low;
    for (int t = 0; t < g->n_tokens; t++)
        if (columns(traced->tokens[t]) + 6 > width) width = columns(traced->tokens[t]) + 6;
    if (width > 28) width = 28;
    char corner[64];
    snprintf(corner, sizeof corner, "token \\ layer");
    header(to, corner, width, g->n_layers);
    fprintf(to, "   %s: p(%s)  clean %.3f  corrupted %.3f\n", lac_kind_name[kind], traced->answer, g->high, g->low);
    for (int t = 0; t < g->n_tokens; t++) {
        char text[128];
        bool subject = t >= g->begin && t < g->end;
        snprintf(text, sizeof text, "%2d %.100s%s", t, traced->tokens[t], subject ? "*" : "");
        label(to, text, width);
        for (size_t l = 0; l < L; l++) effect[l] = g->scores[kind][(size_t)t * L + l] - g->low;
        row(to, effect, g->n_layers, top);
        fputs(t == g->end - 1 ? "   <- last subject token\n" : "\n", to);
    }
}

void lac_trace_sketch_average(FILE *to, const lac_trace *trace, lac_kind kind)
{
    size_t L = (size_t)trace->n_layers;
    if (!trace->effects[kind] || L > MAX_SKETCH_LAYERS) return;
    double top = 0, effect[MAX_SKETCH_LAYERS];
    for (size_t i = 0; i < LAC_N_CATEGORIES * L; i++)
        if (trace->effects[kind][i].effect > top) top = trace->effects[kind][i].effect;
    header(to, "tokens \\ layer", LABEL, trace->n_layers);
    fprintf(to, "   %s: mean effect on p(answer), %zu facts, up to %.3f\n", lac_kind_name[kind], trace->n_traced, top);
    for (size_t c = 0; c < LAC_N_CATEGORIES; c++) {
        const lac_effect *e = trace->effects[kind] + c * L;
        label(to, lac_category_name[c], LABEL);
        for (size_t l = 0; l < L; l++) effect[l] = e[l].effect;
        if (e[0].n)
            row(to, effect, trace->n_layers, top);
        else
            fputs(" (no such tokens)", to);
        fputc('\n', to);
    }
}
