/* What the corruption does to a mixture's routes, and the routes to the answer.
 *
 *   experts.tsv             the experts of each fact at its last subject token and at its last
 *                           token, in every layer
 *   routes.tsv              clean and corrupted input under clean and corrupted routes
 *                           (route_stats.h)
 *   unchanged_experts.tsv   how many of a token's experts the corruption leaves, by layer
 *   mask_experts.json       the experts suggested to an unlearning run; none where no effect is
 *                           positive
 *   plots/unchanged_experts.tsv */
#include "trace/report/route_tables.h"

#include <math.h>

#include "base/json_out.h"
#include "base/text_out.h"
#include "trace/report/picture.h"

/* The tokens whose experts are listed. */
static const dele_category listed[] = {DELE_LAST_SUBJECT, DELE_LAST_TOKEN};
enum { N_LISTED = sizeof listed / sizeof *listed };

static int token_of(const dele_traced *fact, dele_category category)
{
    return category == DELE_LAST_SUBJECT ? fact->grid.end - 1 : fact->grid.n_tokens - 1;
}

/* Of one token and layer: [top_k] each. */
static size_t route_at(const dele_trace *trace, int t, int layer)
{
    return ((size_t)t * (size_t)trace->n_layers + (size_t)layer) * (size_t)trace->top_k;
}

/* ---- experts.tsv ----------------------------------------------------------------------------- */

static void list_experts(FILE *out, const dele_trace *trace, const dele_traced *fact,
                         dele_category category)
{
    const int t = token_of(fact, category);
    for (int l = 0; l < trace->n_layers; l++) {
        const size_t at = route_at(trace, t, l);
        if (trace->dense[l]) continue;
        fprintf(out, "%d\t%s\t%d\t", fact->fact->id, dele_category_name[category], t);
        dele_picture_text(out, fact->tokens[t]);
        fprintf(out, "\t%d\t", l);
        for (int k = 0; k < trace->top_k; k++)
            fprintf(out, "%s%d", k ? "," : "", fact->grid.routes->experts[at + (size_t)k]);
        fputc('\t', out);
        for (int k = 0; k < trace->top_k; k++)
            fprintf(out, "%s%.4g", k ? "," : "",
                    (double)fact->grid.routes->weights[at + (size_t)k]);
        dele_table_number(out, dele_fact_unchanged(trace, fact, category, l));
        fputc('\n', out);
    }
}

static dele_status save_experts(const dele_saving *to)
{
    dele_writer out = {0};
    if (dele_table_open(&out, to, "experts.tsv")) return to->err->code;
    fputs("# the experts of the clean run in order of their probability, and the weights of their "
          "outputs; unchanged: the fraction of them that the corrupted run chooses as well, mean "
          "over noise draws\n"
          "id\ttokens\ttoken\ttext\tlayer\texperts\tweights\tunchanged\n",
          out.stream);
    for (size_t i = 0; i < to->trace->n; i++)
        for (int c = 0; c < N_LISTED && !to->trace->facts[i].left_out; c++)
            list_experts(out.stream, to->trace, &to->trace->facts[i], listed[c]);
    return dele_writer_commit(&out, to->err);
}

/* ---- routes.tsv ------------------------------------------------------------------------------ */

static void put_stat(FILE *out, const dele_row_stat *stat)
{
    fprintf(out, "\t%zu", stat->n);
    dele_table_number(out, stat->mean);
    dele_table_number(out, stat->se);
    dele_table_interval(out, stat->facts);
    dele_table_interval(out, stat->noise);
}

static dele_status save_quantities(const dele_saving *to)
{
    const dele_route_stats *stats = to->stats->routes;
    dele_writer out = {0};
    if (dele_table_open(&out, to, "routes.tsv")) return to->err->code;
    fputs("# the input's embeddings clean or corrupted, under the routes of the clean or of the "
          "corrupted run, forced in all layers and at all tokens from the subject on; mean over "
          "facts\n"
          "# total effect: clean - corrupted (rank and kl the other way); restored: over the "
          "corrupted run, lost: below the clean run; input: all that is no route; interaction: "
          "total effect - restored by the routes - restored by the input\n"
          "# se and ci (95 %, bootstrap) over facts, noise_ci over noise draws, no interval of "
          "fewer than five; share: of the total effect\n"
          "metric\tquantity\tfacts\tvalue\tse\tci_low\tci_high\tnoise_ci_low\tnoise_ci_high\t"
          "share\n",
          out.stream);
    for (int m = 0; m < DELE_N_METRICS; m++)
        for (int q = 0; q < DELE_N_ROUTE_QUANTITIES; q++) {
            fprintf(out.stream, "%s\t%s", dele_metric_name[m], dele_route_quantity_name[q]);
            put_stat(out.stream, &stats->quantity[m][q]);
            dele_table_number(
                out.stream, q < DELE_ROUTES_TOTAL
                                ? NAN
                                : dele_route_share(stats, (dele_metric)m, (dele_route_quantity)q));
            fputc('\n', out.stream);
        }
    return dele_writer_commit(&out, to->err);
}

/* ---- unchanged_experts.tsv ------------------------------------------------------------------- */

static dele_status save_unchanged(const dele_saving *to)
{
    dele_writer out = {0};
    if (dele_table_open(&out, to, "unchanged_experts.tsv")) return to->err->code;
    fprintf(out.stream,
            "# the fraction of a token's experts in the clean run that the corrupted run chooses "
            "as well, mean over facts; %.4g of them by chance; ci as in routes.tsv\n"
            "tokens\tlayer\tfacts\tunchanged\tse\tci_low\tci_high\tnoise_ci_low\tnoise_ci_high\n",
            (double)to->trace->top_k / to->trace->n_experts);
    for (int c = 0; c < DELE_N_CATEGORIES; c++)
        for (int l = 0; l < to->trace->n_layers; l++) {
            if (to->trace->dense[l]) continue;
            fprintf(out.stream, "%s\t%d", dele_category_name[c], l);
            put_stat(out.stream, &to->stats->routes->unchanged[c][l]);
            fputc('\n', out.stream);
        }
    return dele_writer_commit(&out, to->err);
}

/* Lines by layer, one for each group of tokens that facts have. */
static dele_status save_unchanged_picture(const dele_saving *to)
{
    const dele_trace *trace = to->trace;
    dele_writer out = {0};
    char words[80];
    bool begun = false, has[DELE_N_CATEGORIES];
    if (dele_table_open(&out, to, "plots/unchanged_experts.tsv")) return to->err->code;
    fprintf(out.stream,
            "# plot layers.gp\n# title Experts that the corruption leaves unchanged; %s\n",
            dele_interval_words(words, trace->n_traced, "facts"));
    dele_picture_how(out.stream, trace);
    fprintf(out.stream, "# xlabel layer\n# ylabel fraction of the top %d (by chance %.3g)\n",
            trace->top_k, (double)trace->top_k / trace->n_experts);
    for (int c = 0; c < DELE_N_CATEGORIES; c++) has[c] = to->stats->routes->unchanged[c][0].n > 0;
    dele_picture_hues(out.stream, has);
    for (int c = 0; c < DELE_N_CATEGORIES; c++) {
        const dele_row_stat *stat = to->stats->routes->unchanged[c];
        if (!has[c]) continue;
        fprintf(out.stream, "%s%s\n", begun ? "\n\n" : "", dele_category_name[c]);
        begun = true;
        dele_picture_layers(out.stream, stat, trace->n_layers);
    }
    return dele_writer_commit(&out, to->err);
}

/* ---- mask_experts.json ----------------------------------------------------------------------- */

static dele_status save_expert_mask(const dele_saving *to)
{
    const dele_expert_suggestion *s = &to->stats->experts;
    if (!s->n) return DELE_OK;
    char *path = dele_printf(to->arena, to->err, "%s/mask_experts.json", to->dir);
    if (!path) return to->err->code;
    cJSON *mask = cJSON_CreateObject(), *experts;
    cJSON_AddItemToObject(mask, "experts", experts = cJSON_CreateArray());
    for (int i = 0; i < s->n; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d:%d", s->col[i] / to->trace->n_experts,
                 s->col[i] % to->trace->n_experts);
        cJSON_AddItemToArray(experts, cJSON_CreateString(name));
    }
    dele_status status = dele_json_save(path, mask, to->err);
    cJSON_Delete(mask);
    return status;
}

dele_status dele_save_routes(const dele_saving *to)
{
    if (!to->trace->n_experts || !to->trace->n_traced) return DELE_OK;
    bool failed = save_expert_mask(to) || save_experts(to);
    if (to->stats->routes)
        failed = failed || save_quantities(to) || save_unchanged(to) || save_unchanged_picture(to);
    return failed ? to->err->code : DELE_OK;
}

/* ---- for the terminal ------------------------------------------------------------------------ */

/* Without a sign where it is shown as 0. */
static double rounded(double x, double steps) { return fabs(x) * steps < 0.5 ? 0 : x; }

static void print_effect(FILE *to, const dele_route_stats *stats, dele_route_quantity q)
{
    const dele_row_stat *x = &stats->quantity[DELE_PROB][q];
    fprintf(to, "%s %.3f", dele_route_quantity_name[q], rounded(x->mean, 1e3));
    if (dele_interval_known(x->facts))
        fprintf(to, " [%.3f, %.3f]", rounded(x->facts.low, 1e3), rounded(x->facts.high, 1e3));
    fprintf(to, ", %.0f %% of the total effect",
            rounded(100 * dele_route_share(stats, DELE_PROB, q), 1));
}

/* Mean over layers, by groups of tokens. */
static void print_unchanged(FILE *to, const dele_trace *trace, const dele_route_stats *stats)
{
    fprintf(to, "experts unchanged by the corruption, mean over layers (by chance %.0f %%):",
            100.0 * trace->top_k / trace->n_experts);
    for (int c = 0; c < N_LISTED; c++) {
        double sum = 0, n = 0;
        for (int l = 0; l < trace->n_layers; l++)
            if (stats->unchanged[listed[c]][l].n && !trace->dense[l])
                sum += stats->unchanged[listed[c]][l].mean, n++;
        if (n > 0)
            fprintf(to, "%s %s %.0f %%", c ? "," : "", dele_category_name[listed[c]],
                    100 * sum / n);
    }
    fputc('\n', to);
}

static void print_experts(FILE *to, const dele_trace *trace, const dele_traced *fact)
{
    const int t = token_of(fact, DELE_LAST_SUBJECT);
    fputs("experts at the last subject token (weight), and the fraction left unchanged\n", to);
    for (int l = 0; l < trace->n_layers; l++) {
        const size_t at = route_at(trace, t, l);
        const double unchanged = dele_fact_unchanged(trace, fact, DELE_LAST_SUBJECT, l);
        if (trace->dense[l]) continue;
        fprintf(to, "  layer %-3d", l);
        for (int k = 0; k < trace->top_k; k++)
            fprintf(to, " %3d (%.3f)", fact->grid.routes->experts[at + (size_t)k],
                    (double)fact->grid.routes->weights[at + (size_t)k]);
        if (isfinite(unchanged)) fprintf(to, "  %3.0f %%", 100 * unchanged);
        fputc('\n', to);
    }
}

/* The first of mask_experts.json. */
static void print_suggestion(FILE *to, const dele_trace *trace, const dele_trace_stats *stats)
{
    enum { SHOWN = 8 };
    const dele_expert_suggestion *s = &stats->experts;
    if (!s->n) return;
    fprintf(to, "\nmask_experts: %d expert%s, %.0f %% of the effect:", s->n, s->n == 1 ? "" : "s",
            100 * s->share);
    for (int i = 0; i < s->n && i < SHOWN; i++)
        fprintf(to, "%s %d:%d (%.3f)", i ? "," : "", s->col[i] / trace->n_experts,
                s->col[i] % trace->n_experts,
                dele_effect_at(stats, trace, s->chart, DELE_PROB, DELE_LAST_SUBJECT, s->col[i])
                    ->effect);
    fputs(s->n > SHOWN ? ", ...\n" : "\n", to);
}

void dele_routes_print(FILE *to, const dele_trace *trace, const dele_trace_stats *stats,
                       const dele_traced *only)
{
    const dele_route_stats *r = stats->routes;
    if (!trace->n_experts || !trace->n_traced) return;
    print_suggestion(to, trace, stats);
    if (r) {
        const dele_row_stat *p = r->quantity[DELE_PROB];
        fprintf(to,
                "\n%-18s clean routes  corrupted routes   p(answer), mean over %zu fact%s\n"
                "%-18s %12.3f  %16.3f\n%-18s %12.3f  %16.3f\n",
                "", p[0].n, p[0].n == 1 ? "" : "s", "clean input", p[DELE_ROUTES_CLEAN].mean,
                p[DELE_ROUTES_CORRUPTED_FORCED].mean, "corrupted input",
                p[DELE_ROUTES_CLEAN_FORCED].mean, p[DELE_ROUTES_CORRUPTED].mean);
        print_effect(to, r, DELE_ROUTES_RESTORED);
        fputs("; ", to);
        print_effect(to, r, DELE_ROUTES_LOST);
        fputc('\n', to);
        print_unchanged(to, trace, r);
    }
    if (only) print_experts(to, trace, only);
}
