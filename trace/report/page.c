/* The data of the page (plots/page.html), one JSON object:
 *
 *   model, direction, corrupt, noise, edges     text
 *   replace      true: noise instead of the embeddings, not added to them
 *   sigma, layers, heads, experts, top_k, facts, traced, maps   numbers (sigma 0: there is none;
 *                experts 0: no mixture); the first `maps` of the facts have cells
 *   metrics, groups   names, in the order of the arrays below
 *   high, low    [metric] means over the traced facts
 *   dense        [layer] the layers of a mixture that have no experts
 *   routes       {quantities: names, values: [metric][quantity] = [n, mean, ci_low, ci_high],
 *                 unchanged: [group][layer] = [n, mean, ci_low, ci_high]} (route_stats.h); null
 *                where there are none
 *   charts       [{name, kind, severed, window, columns,
 *                  spans: [[from, to], ...]  the layers [from, to) that a column patches, for mlp
 *                         and attn
 *                  means: [metric][group][column] = [n, score, low, high, effect, se, ci_low,
 *                         ci_high, noise_ci_low, noise_ci_high], n alone where it is 0
 *                  controls: {token: [metric][column], layer: [metric]}, each [n, effect, ci_low,
 *                         ci_high]
 *                  ranking: {words, rank: [layer], tied: [layer]} where columns are layers}]
 *   noop         the largest change of p when a state is replaced by the run's own value
 *   mask         {chart, from, past, share}: the layers [from, past) of mask.json; null where there
 *                is none
 *   traces       [{id, prompt, subject, tokens, begin, end, answer, foil, partner, split, draws,
 *                  high: [metric], low: [metric],
 *                  experts: of a mixture [last subject token, last token][layer] = [fraction left
 *                         unchanged, expert, weight, expert, weight, ...], [] in a dense layer
 *                  cells: [chart] base64 of float32 scores [metric][token][column], then of the
 *                         upper halves of the float32 half-widths [metric][token][column],
 *                         little-endian}]
 *   left_out     [{id, prompt, reason}]
 *
 * For a comparison, the object is that of the trace before, with two more keys:
 *
 *   after        the object of the trace after, with the same charts and facts in the same order
 *   changes      [chart][metric][group][column] = [n, after − before, ci_low, ci_high], paired, for
 *                the first metrics only
 *
 * Text comes from models and fact files and is never markup: it is written as JSON strings, with
 * "<" as \u003c, so that no text can end the script element that contains it; what cannot be shown
 * (plots/shown.h) is U+FFFD. */
#include "trace/report/page.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <string.h>

#include "base/text_out.h"
#include "plots/page.h"
#include "plots/shown.h"

/* ---- JSON, a piece at a time ----------------------------------------------------------------- */

static void put_text(FILE *to, const char *text)
{
    if (!text) {
        fputs("null", to);
        return;
    }
    fputc('"', to);
    size_t used, length;
    for (size_t n = strlen(text); n; text += used, n -= used) {
        const char *bytes = dele_shown_next(&length, &used, text, n);
        if (strchr("\n\t<\"\\", *text))
            fprintf(to, "\\u%04x", (unsigned)*text);
        else
            fwrite(bytes, 1, length, to);
    }
    fputc('"', to);
}

static void put_number(FILE *to, double x)
{
    if (isfinite(x))
        fprintf(to, "%.6g", x); /* as in summary.tsv */
    else
        fputs("null", to);
}

static void put_number_array(FILE *to, const char *name, const double *x, int n)
{
    fprintf(to, ",\"%s\":[", name);
    for (int i = 0; i < n; i++) {
        if (i) fputc(',', to);
        put_number(to, x[i]);
    }
    fputc(']', to);
}

static void put_named(FILE *to, const char *name, const char *text)
{
    fprintf(to, ",\"%s\":", name);
    put_text(to, text);
}

static void put_names(FILE *to, const char *name, const char *const *text, int n)
{
    fprintf(to, ",\"%s\":[", name);
    for (int i = 0; i < n; i++) {
        if (i) fputc(',', to);
        put_text(to, text[i]);
    }
    fputc(']', to);
}

static void put_array(FILE *to, size_t n_first, const double *x, size_t n)
{
    fprintf(to, "[%zu", n_first);
    for (size_t k = 0; k < n && n_first; k++) {
        fputc(',', to);
        put_number(to, x[k]);
    }
    fputc(']', to);
}

/* ---- charts ---------------------------------------------------------------------------------- */

static void put_means(FILE *to, const dele_trace *trace, const dele_trace_stats *stats, int which)
{
    const dele_chart *chart = &trace->charts[which];
    for (int i = 0; i < DELE_N_METRICS * DELE_N_CATEGORIES * chart->n_cols; i++) {
        int col = i % chart->n_cols, group = i / chart->n_cols % DELE_N_CATEGORIES,
            m = i / chart->n_cols / DELE_N_CATEGORIES;
        const dele_effect *e =
            dele_effect_at(stats, trace, which, (dele_metric)m, (dele_category)group, col);
        const double value[] = {e->score,  e->low,     e->high,         e->effect,       e->se,
                                e->ci_low, e->ci_high, e->noise_ci_low, e->noise_ci_high};
        fputs(i == 0 ? "[[[" : col ? "," : group ? "],[" : "]],[[", to);
        put_array(to, e->n, value, sizeof value / sizeof *value);
    }
    fputs("]]]", to);
}

static void put_spans(FILE *to, const dele_trace *trace, const dele_chart *chart)
{
    fputs(",\"spans\":", to);
    for (int l = 0; l < chart->n_cols; l++) {
        int from, past;
        dele_window(&from, &past, l, chart->window, trace->n_layers, trace->paper_edges);
        fprintf(to, "%c[%d,%d]", l ? ',' : '[', from, past);
    }
    fputc(']', to);
}

static void put_effect(FILE *to, const dele_effect *e)
{
    const double value[] = {e->effect, e->ci_low, e->ci_high};
    put_array(to, e->n, value, 3);
}

static void put_row_stat(FILE *to, const dele_row_stat *stat)
{
    const double value[] = {stat->mean, stat->facts.low, stat->facts.high};
    put_array(to, stat->n, value, 3);
}

/* The routes of a mixture (route_stats.h). */
static void put_routes(FILE *to, const dele_trace *trace, const dele_route_stats *routes)
{
    fputs(",\"dense\":[", to);
    for (int l = 0, n = 0; l < trace->n_layers && trace->n_experts; l++)
        if (trace->dense[l]) fprintf(to, "%s%d", n++ ? "," : "", l);
    fputs("],\n\"routes\":", to);
    if (!routes) {
        fputs("null", to);
        return;
    }
    fputs("{\"values\":", to);
    for (int i = 0; i < DELE_N_METRICS * DELE_N_ROUTE_QUANTITIES; i++) {
        const int m = i / DELE_N_ROUTE_QUANTITIES, q = i % DELE_N_ROUTE_QUANTITIES;
        fputs(i == 0 ? "[[" : q ? "," : "],[", to);
        put_row_stat(to, &routes->quantity[m][q]);
    }
    fputs("]]", to);
    put_names(to, "quantities", dele_route_quantity_name, DELE_N_ROUTE_QUANTITIES);
    fputs(",\"unchanged\":", to);
    for (int i = 0; i < DELE_N_CATEGORIES * trace->n_layers; i++) {
        const int c = i / trace->n_layers, l = i % trace->n_layers;
        fputs(i == 0 ? "[[" : l ? "," : "],[", to);
        put_row_stat(to, &routes->unchanged[c][l]);
    }
    fputs("]]}", to);
}

static void put_controls(FILE *to, const dele_controls *controls, int n_cols)
{
    fputs(",\n\"controls\":{\"token\":", to);
    for (int i = 0; i < DELE_N_METRICS * n_cols; i++) {
        fputs(i == 0 ? "[[" : i % n_cols ? "," : "],[", to);
        put_effect(to, &controls->token[i]);
    }
    fputs("]],\"layer\":", to);
    for (int m = 0; m < DELE_N_METRICS; m++) {
        fputc(m ? ',' : '[', to);
        put_effect(to, &controls->layer[m]);
    }
    fputs("]}", to);
}

static dele_status put_ranking(FILE *to, const dele_ranking *ranking, dele_err *err)
{
    dele_arena scratch = {0};
    const char *words = dele_ranking_words(ranking, &scratch, err);
    if (words && ranking->n) {
        fputs(",\n\"ranking\":{\"words\":", to);
        put_text(to, words);
        for (int l = 0; l < ranking->n_layers; l++)
            fprintf(to, "%s%d", l ? "," : ",\"rank\":[", ranking->rank[l]);
        for (int l = 0; l < ranking->n_layers; l++)
            fprintf(to, "%s%d", l ? "," : "],\"tied\":[", ranking->tied[l]);
        fputs("]}", to);
    }
    dele_arena_release(&scratch);
    return words ? DELE_OK : err->code;
}

static void put_mask(FILE *to, const dele_trace *trace, const dele_trace_stats *stats)
{
    const dele_suggestion *s = &stats->suggestion;
    fputs(",\"noop\":", to);
    put_number(to, stats->noop);
    fputs(",\"mask\":", to);
    if (s->to == s->from) {
        fputs("null", to);
        return;
    }
    fprintf(to, "{\"from\":%d,\"past\":%d", s->from, s->to);
    put_named(to, "chart", trace->charts[s->chart].name);
    fputs(",\"share\":", to);
    put_number(to, s->share);
    fputc('}', to);
}

static dele_status put_charts(FILE *to, const dele_trace *trace, const dele_trace_stats *stats,
                              dele_err *err)
{
    static const char *const severed[DELE_N_SEVERS] = {NULL, "MLP", "attention"};
    fputs(",\n\"charts\":[", to);
    for (int i = 0; i < trace->n_charts; i++) {
        const dele_chart *chart = &trace->charts[i];
        fprintf(to, "%s\n{\"window\":%d,\"columns\":%d", i ? "," : "", chart->window,
                chart->n_cols);
        put_named(to, "name", chart->name);
        put_named(to, "kind", dele_kind_name[chart->kind]);
        put_named(to, "severed", severed[chart->sever]);
        if (dele_kind_has_windows(chart->kind)) put_spans(to, trace, chart);
        fputs(",\n\"means\":", to);
        put_means(to, trace, stats, i);
        put_controls(to, &stats->controls[i], chart->n_cols);
        if (dele_over_layers(chart) && put_ranking(to, &stats->rankings[i], err)) return err->code;
        fputc('}', to);
    }
    fputc(']', to);
    return DELE_OK;
}

/* ---- facts ----------------------------------------------------------------------------------- */

/* The standard error of a cell's mean effect over the noise draws; NaN for a single draw. */
static double error_of(const dele_trace *trace, const dele_grid *g, int which, dele_metric metric,
                       int t, int col)
{
    double sum = 0, squares = 0;
    int S = g->n_samples;
    if (S < 2) return NAN;
    for (int s = 0; s < S; s++) {
        double value = *dele_cell(g, &trace->charts[which], which, s, metric, t, col);
        double effect = dele_effect_of(trace, metric, value, g->high[metric],
                                       g->low[s * DELE_N_METRICS + (int)metric]);
        sum += effect;
        squares += effect * effect;
    }
    double variance = (squares - sum * sum / S) / (S - 1);
    return isnan(variance) ? NAN : sqrt(fmax(variance, 0) / S);
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return isnan(x) ? 0x7fc00000 : bits; /* one NaN, for equal bytes everywhere */
}

static size_t cells_of(const dele_traced *traced, const dele_chart *chart)
{
    return (size_t)DELE_N_METRICS * (size_t)traced->grid.n_tokens * (size_t)chart->n_cols;
}

static dele_status put_cells(FILE *to, const dele_trace *trace, const dele_traced *traced,
                             int which, dele_arena *arena, dele_err *err)
{
    const dele_grid *g = &traced->grid;
    const dele_chart *chart = &trace->charts[which];
    size_t n = cells_of(traced, chart);
    uint8_t *bytes = DELE_NEW(arena, uint8_t, 6 * n, err), *score = bytes,
            *half = bytes ? bytes + 4 * n : NULL;
    if (!bytes) return err->code;
    double student = g->n_samples > 1 ? gsl_cdf_tdist_Pinv(0.975, g->n_samples - 1) : NAN;
    for (int m = 0; m < DELE_N_METRICS; m++)
        for (int t = 0; t < g->n_tokens; t++)
            for (int col = 0; col < chart->n_cols; col++) {
                uint32_t mean =
                    bits_of((float)dele_cell_mean(g, chart, which, (dele_metric)m, t, col));
                double error = error_of(trace, g, which, (dele_metric)m, t, col);
                uint32_t width = bits_of((float)(student * error)) + 0x8000; /* rounds */
                for (int i = 0; i < 4; i++) *score++ = (uint8_t)(mean >> 8 * i);
                for (int i = 2; i < 4; i++) *half++ = (uint8_t)(width >> 8 * i);
            }
    dele_base64(to, bytes, 6 * n);
    return DELE_OK;
}

/* The experts of a fact at two of its tokens. */
static void put_fact_experts(FILE *to, const dele_trace *trace, const dele_traced *traced)
{
    static const dele_category at[] = {DELE_LAST_SUBJECT, DELE_LAST_TOKEN};
    const dele_grid *g = &traced->grid;
    fputs(",\"experts\":", to);
    for (int i = 0; i < 2 * trace->n_layers; i++) {
        const int c = i / trace->n_layers, l = i % trace->n_layers,
                  t = c ? g->n_tokens - 1 : g->end - 1;
        const size_t first =
            ((size_t)t * (size_t)trace->n_layers + (size_t)l) * (size_t)trace->top_k;
        fputs(i == 0 ? "[[[" : l ? ",[" : "],[[", to);
        if (!trace->dense[l]) put_number(to, dele_fact_unchanged(trace, traced, at[c], l));
        for (size_t k = first; k < first + (size_t)trace->top_k && !trace->dense[l]; k++) {
            fprintf(to, ",%d,", g->routes->experts[k]);
            put_number(to, (double)g->routes->weights[k]);
        }
        fputc(']', to);
    }
    fputs("]]", to);
}

/* A traced fact as JSON. Its cells follow, one text for each chart, where they still fit into the
 * page. */
static dele_status put_fact(FILE *to, const dele_trace *trace, const dele_traced *traced,
                            bool cells, dele_arena *arena, dele_err *err)
{
    const dele_grid *g = &traced->grid;
    double low[DELE_N_METRICS];
    for (int m = 0; m < DELE_N_METRICS; m++) low[m] = dele_low_mean(g, (dele_metric)m);
    fprintf(to, "{\"id\":%d,\"begin\":%d,\"end\":%d,\"draws\":%d", traced->fact->id, g->begin,
            g->end, g->n_samples);
    put_named(to, "prompt", traced->fact->prompt);
    put_named(to, "subject", traced->fact->subject);
    put_named(to, "answer", traced->answer);
    put_named(to, "foil", traced->foil);
    put_named(to, "partner", traced->partner);
    put_named(to, "split", traced->fact->split);
    put_names(to, "tokens", traced->tokens, g->n_tokens);
    put_number_array(to, "high", g->high, DELE_N_METRICS);
    put_number_array(to, "low", low, DELE_N_METRICS);
    if (g->routes) put_fact_experts(to, trace, traced);
    for (int i = 0; i < trace->n_charts && cells; i++) {
        fputs(i ? "\",\n\"" : ",\"cells\":[\"", to);
        if (put_cells(to, trace, traced, i, arena, err)) return err->code;
    }
    fputs(cells ? "\"]}" : "}", to);
    return DELE_OK;
}

/* How many of the traced facts get maps in so many bytes. */
static size_t facts_that_fit(const dele_trace *trace, size_t room)
{
    size_t bytes = 0, n = 0;
    for (size_t i = 0; i < trace->n; i++) {
        if (trace->facts[i].left_out) continue;
        for (int k = 0; k < trace->n_charts; k++)
            bytes += 8 * cells_of(&trace->facts[i], &trace->charts[k]);
        if (bytes > room) break;
        n++;
    }
    return n;
}

/* The traced facts, of which the first n_maps have cells, and the facts that were left out with
 * their reasons. */
static dele_status put_facts(FILE *to, const dele_trace *trace, size_t n_maps, dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    size_t n = 0;
    fputs(",\n\"traces\":[", to);
    for (size_t i = 0; i < trace->n && !status; i++) {
        if (trace->facts[i].left_out) continue;
        fputs(n ? ",\n" : "\n", to);
        dele_arena_reset(&scratch);
        status = put_fact(to, trace, &trace->facts[i], n < n_maps, &scratch, err);
        n++;
    }
    fputs("],\n\"left_out\":[", to);
    n = 0;
    for (size_t i = 0; i < trace->n; i++) {
        if (!trace->facts[i].left_out) continue;
        fprintf(to, "%s{\"id\":%d", n++ ? ",\n" : "\n", trace->facts[i].fact->id);
        put_named(to, "prompt", trace->facts[i].fact->prompt);
        put_named(to, "reason", trace->facts[i].left_out);
        fputc('}', to);
    }
    fputc(']', to);
    dele_arena_release(&scratch);
    return status;
}

/* ---- the page -------------------------------------------------------------------------------- */

/* All but the brace that ends it. */
static dele_status put_trace(FILE *to, const dele_trace *trace, const dele_trace_stats *stats,
                             size_t room, dele_err *err)
{
    size_t n_maps = facts_that_fit(trace, room);
    fprintf(to,
            "{\"layers\":%d,\"heads\":%d,\"experts\":%d,\"top_k\":%d,\"facts\":%zu,\"traced\":%zu,"
            "\"maps\":%zu",
            trace->n_layers, trace->n_heads, trace->n_experts, trace->top_k, trace->n,
            trace->n_traced, n_maps);
    fputs(",\"sigma\":", to);
    put_number(to, trace->sigma);
    put_named(to, "model", trace->model);
    put_named(to, "direction", dele_direction_name[trace->noising]);
    put_named(to, "corrupt", dele_corrupt_name[trace->opts.corrupt]);
    put_named(to, "noise", trace->opts.sigma > 0 ? "" : trace->opts.noise); /* sigma verbatim */
    fprintf(to, ",\"replace\":%s", trace->opts.replace ? "true" : "false");
    put_named(to, "edges", dele_edges_name[trace->paper_edges]);
    put_names(to, "metrics", dele_metric_name, DELE_N_METRICS);
    put_names(to, "groups", dele_category_name, DELE_N_CATEGORIES);
    put_number_array(to, "high", stats->high, DELE_N_METRICS);
    put_number_array(to, "low", stats->low, DELE_N_METRICS);
    put_mask(to, trace, stats);
    put_routes(to, trace, stats->routes);
    return put_charts(to, trace, stats, err) ? err->code : put_facts(to, trace, n_maps, err);
}

typedef struct {
    const dele_trace *trace;
    const dele_trace_stats *stats;
    const dele_comparison
        *comparison; /* or NULL; then trace and stats are those before and after */
} contents;

static void put_changes(FILE *to, const dele_comparison *c)
{
    fputs(",\n\"changes\":[", to);
    for (int i = 0; i < c->n_charts; i++) {
        const int C = c->before.charts[c->charts[i][0]].n_cols;
        for (int k = 0; k < DELE_N_COMPARED * DELE_N_CATEGORIES * C; k++) {
            const int col = k % C, group = k / C % DELE_N_CATEGORIES, m = k / C / DELE_N_CATEGORIES;
            const dele_change *x = dele_change_at(c, i, m, (dele_category)group, col);
            const double value[] = {x->difference, x->ci.low, x->ci.high};
            fputs(k == 0 ? i ? ",\n[[[" : "[[[" : col ? "," : group ? "],[" : "]],[[", to);
            put_array(to, x->n, value, 3);
        }
        fputs("]]]", to);
    }
    fputc(']', to);
}

static dele_status fill(FILE *to, void *context, dele_err *err)
{
    const contents *c = context;
    const size_t room = DELE_PAGE_BYTES / (c->comparison ? 2 : 1);
    if (put_trace(to, &c->trace[0], &c->stats[0], room, err)) return err->code;
    if (c->comparison) {
        fputs(",\n\"after\":", to);
        if (put_trace(to, &c->trace[1], &c->stats[1], room, err)) return err->code;
        fputc('}', to);
        put_changes(to, c->comparison);
    }
    fputs("}\n", to);
    return DELE_OK;
}

static dele_status write_page(const char *dir, contents *c, dele_err *err)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/page.html", dir);
    return dele_page_write(path, "plots/page.html", "@TRACE@", fill, c, err);
}

dele_status dele_trace_page(const dele_trace *trace, const dele_trace_stats *stats, const char *dir,
                            dele_err *err)
{
    contents c = {.trace = trace, .stats = stats};
    return write_page(dir, &c, err);
}

/* The trace on one side with the charts of both alone, in the comparison's order. */
static dele_status charts_of_both(dele_trace *out, const dele_comparison *c, int side,
                                  dele_arena *arena, dele_err *err)
{
    const dele_trace *all = side ? &c->after : &c->before;
    const size_t n = (size_t)c->n_charts;
    *out = *all;
    out->n_charts = c->n_charts;
    out->charts = DELE_NEW(arena, dele_chart, n, err);
    out->facts = DELE_NEW(arena, dele_traced, all->n, err);
    if (!out->charts || !out->facts) return err->code;
    for (size_t i = 0; i < n; i++) out->charts[i] = all->charts[c->charts[i][side]];
    for (size_t k = 0; k < all->n; k++) {
        out->facts[k] = all->facts[k];
        float **value = out->facts[k].grid.value = DELE_NEW(arena, float *, n, err);
        if (!value) return err->code;
        for (size_t i = 0; i < n; i++) value[i] = all->facts[k].grid.value[c->charts[i][side]];
    }
    return DELE_OK;
}

dele_status dele_comparison_page(const dele_comparison *comparison, const char *dir, dele_err *err)
{
    dele_arena arena = {0};
    dele_trace trace[2];
    dele_trace_stats stats[2];
    contents c = {trace, stats, comparison};
    dele_status status = DELE_OK;
    for (int side = 0; side < 2 && !status; side++) {
        status = charts_of_both(&trace[side], comparison, side, &arena, err);
        if (!status) status = dele_trace_statistics(&stats[side], &trace[side], &arena, err);
    }
    if (!status) status = write_page(dir, &c, err);
    dele_arena_release(&arena);
    return status;
}
