/* Tables of a trace, for reading and for pictures.
 *
 *   summary.tsv               mean effect of each chart, metric, column and group of tokens, with
 *                             its interval
 *   controls.tsv              patches of which nothing is to be expected
 *   layers.tsv                layers in order of effect at the last subject token, chart by chart
 *   mask.json                 the layers suggested to an unlearning run; none when nothing had an
 *                             effect
 *   experts.tsv, ...          of a mixture of experts: route_tables.c
 *   plots/NAME.tsv            one table a picture */
#include "trace/report/tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "trace/report/differences.h"
#include "trace/report/fact_tables.h"
#include "trace/report/picture.h"
#include "trace/report/route_tables.h"
#include "trace/report/table_parts.h"

/* ---- summary.tsv, controls.tsv --------------------------------------------------------------- */

/* summary.tsv: every average, one line for each chart, metric, column and group of tokens.  A group
 * that no fact has is a line with empty fields. */
static dele_status save_summary(const dele_saving *to)
{
    const dele_trace *trace = to->trace;
    dele_writer out = {0};
    if (dele_table_open(&out, to, "summary.tsv")) return to->err->code;
    fprintf(out.stream, "# effect: what the patch brought back (denoising: score - low; noising: "
                        "high - score; rank and kl the "
                        "other way), mean over facts; se and ci (95 %%, bootstrap) over facts, "
                        "noise_ci over noise draws, no interval of fewer than five; normalised: "
                        "effect / |high - low|\n"
                        "chart\tmetric\tlayer\ttokens\tfacts\tscore\tlow\thigh\teffect\tse\tci_"
                        "low\tci_high\tnoise_ci_low\t"
                        "noise_ci_high\tnormalised\n");
    for (int i = 0; i < trace->n_charts; i++)
        for (int m = 0; m < DELE_N_METRICS; m++)
            for (int col = 0; col < trace->charts[i].n_cols; col++)
                for (int c = 0; c < DELE_N_CATEGORIES; c++) {
                    const dele_effect *e =
                        dele_effect_at(to->stats, trace, i, (dele_metric)m, (dele_category)c, col);
                    fprintf(out.stream, "%s\t%s\t", trace->charts[i].name, dele_metric_name[m]);
                    dele_table_column(out.stream, trace, &trace->charts[i], col);
                    fprintf(out.stream, "\t%s\t%zu", dele_category_name[c], e->n);
                    const double value[] = {
                        e->score,  e->low,     e->high,         e->effect,        e->se,
                        e->ci_low, e->ci_high, e->noise_ci_low, e->noise_ci_high, e->normalised};
                    for (size_t k = 0; k < sizeof value / sizeof *value; k++)
                        dele_table_number(out.stream, e->n ? value[k] : NAN);
                    fputc('\n', out.stream);
                }
    return dele_writer_commit(&out, to->err);
}

static void put_control(FILE *out, const dele_saving *to, int chart, dele_metric metric,
                        const char *name, int col, const dele_effect *e)
{
    if (!e->n) return;
    fprintf(out, "%s\t%s\t%s\t", to->trace->charts[chart].name, dele_metric_name[metric], name);
    if (col >= 0) dele_table_column(out, to->trace, &to->trace->charts[chart], col);
    fprintf(out, "\t%zu", e->n);
    const double value[] = {e->effect,  e->se,           e->ci_low,
                            e->ci_high, e->noise_ci_low, e->noise_ci_high};
    for (size_t k = 0; k < sizeof value / sizeof *value; k++) dele_table_number(out, value[k]);
    fputc('\n', out);
}

/* controls.tsv: effects at random tokens and layers, beside which those of summary.tsv are to be
 * read, and the no-op check. */
static dele_status save_controls(const dele_saving *to)
{
    const dele_trace *trace = to->trace;
    dele_writer out = {0};
    if (dele_table_open(&out, to, "controls.tsv")) return to->err->code;
    fputs("# what effects are worth.  random token: at each layer a token drawn for each fact, "
          "neither the subject's nor "
          "the last where there are such; random layer: at the last subject token, a layer drawn "
          "for each fact; no-op: the "
          "largest change of p when a run's own value is put back\n"
          "chart\tmetric\tcontrol\tlayer\tfacts\teffect\tse\tci_low\tci_high\tnoise_ci_low\tnoise_"
          "ci_high\n",
          out.stream);
    for (int i = 0; i < trace->n_charts; i++)
        for (int m = 0; m < DELE_N_METRICS; m++) {
            const dele_controls *controls = &to->stats->controls[i];
            for (int col = 0, C = trace->charts[i].n_cols; col < C; col++)
                put_control(out.stream, to, i, (dele_metric)m, "random token", col,
                            &controls->token[m * C + col]);
            if (trace->charts[i].n_cols > 1)
                put_control(out.stream, to, i, (dele_metric)m, "random layer", -1,
                            &controls->layer[m]);
        }
    if (isfinite(to->stats->noop))
        fprintf(out.stream, "\tp\tno-op\t\t%zu\t%.6g\t\t\t\t\t\n", trace->n_traced,
                to->stats->noop);
    return dele_writer_commit(&out, to->err);
}

/* ---- layers.tsv, mask.json ------------------------------------------------------------------- */

static double effect_on_p(const dele_saving *to, int chart, dele_category category, int l)
{
    return dele_effect_at(to->stats, to->trace, chart, DELE_PROB, category, l)->effect;
}

static dele_status say_ties(FILE *out, const dele_saving *to)
{
    for (int i = 0; i < to->trace->n_charts; i++) {
        if (!to->stats->rankings[i].n_layers) continue;
        const char *words = dele_ranking_words(&to->stats->rankings[i], to->arena, to->err);
        if (!words) return to->err->code;
        fprintf(out, "# %s: %s\n", to->trace->charts[i].name, words);
    }
    return DELE_OK;
}

/* layers.tsv: one line for each layer of the charts over layers, with its rank, its ties with the
 * best layer and its share of the suggested mask.  The mask is made from one chart, so only that
 * chart's lines have a weight. */
static dele_status save_layers(const dele_saving *to)
{
    const dele_trace *trace = to->trace;
    const dele_suggestion *s = &to->stats->suggestion;
    dele_writer out = {0};
    if (dele_table_open(&out, to, "layers.tsv")) return to->err->code;
    if (say_ties(out.stream, to)) {
        dele_writer_abandon(&out);
        return to->err->code;
    }
    fprintf(out.stream, "# layers patched_from..patched_to together; effect on p and rank at the "
                        "last subject token; weight: "
                        "the layer's share once effects are spread over their windows; ci: 95 %%, "
                        "bootstrap over facts, none of fewer than five\n"
                        "# tied_with_best: 1 unless the paired difference to the best layer "
                        "differs from 0 at a simultaneous "
                        "95 %% (max-t bootstrap over facts, all layers at once)\n"
                        "chart\tlayer\tpatched_from\tpatched_to\trank\teffect\tse\tfirst_"
                        "subject\tlast\tweight\tsuggested\t"
                        "ci_low\tci_high\ttied_with_best\n");
    for (int i = 0; i < trace->n_charts; i++)
        for (int l = 0; l < trace->n_layers && dele_over_layers(&trace->charts[i]); l++) {
            const dele_chart *chart = &trace->charts[i];
            const dele_effect *e =
                dele_effect_at(to->stats, trace, i, DELE_PROB, DELE_LAST_SUBJECT, l);
            const dele_ranking *ranking = &to->stats->rankings[i];
            int from = l, past = l + 1;
            if (dele_column_is_absent(trace, chart, l)) continue;
            if (dele_kind_has_windows(chart->kind))
                dele_window(&from, &past, l, chart->window, trace->n_layers, trace->paper_edges);
            fprintf(out.stream, "%s\t%d\t%d\t%d\t", chart->name, l, from, past - 1);
            if (ranking->n) fprintf(out.stream, "%d", ranking->rank[l]);
            dele_table_number(out.stream, e->effect);
            dele_table_number(out.stream, e->se);
            dele_table_number(out.stream, effect_on_p(to, i, DELE_FIRST_SUBJECT, l));
            dele_table_number(out.stream, effect_on_p(to, i, DELE_LAST_TOKEN, l));
            if (i == s->chart)
                fprintf(out.stream, "\t%.6g\t%d", s->weight[l], l >= s->from && l < s->to);
            else
                fputs("\t\t", out.stream);
            dele_table_number(out.stream, e->n ? e->ci_low : NAN);
            dele_table_number(out.stream, e->n ? e->ci_high : NAN);
            fprintf(out.stream, ranking->n ? "\t%d\n" : "\t\n", ranking->tied[l]);
        }
    return dele_writer_commit(&out, to->err);
}

static dele_status save_mask(const dele_saving *to)
{
    const dele_suggestion *s = &to->stats->suggestion;
    char *path = dele_printf(to->arena, to->err, "%s/mask.json", to->dir);
    if (!path) return to->err->code;
    if (s->to == s->from) return DELE_OK;
    dele_kind kind = to->trace->charts[s->chart].kind;
    cJSON *mask = cJSON_CreateObject(), *layers, *parts;
    cJSON_AddItemToObject(mask, "layers", layers = cJSON_CreateArray());
    cJSON_AddItemToObject(mask, "parts", parts = cJSON_CreateArray());
    for (int l = s->from; l < s->to; l++) cJSON_AddItemToArray(layers, cJSON_CreateNumber(l));
    const bool router = kind == DELE_ROUTER, mlp = kind == DELE_MLP || kind == DELE_MOE;
    if (router) cJSON_AddItemToArray(parts, cJSON_CreateString("router"));
    if (!router && kind != DELE_ATTN) cJSON_AddItemToArray(parts, cJSON_CreateString("mlp"));
    if (!router && !mlp) cJSON_AddItemToArray(parts, cJSON_CreateString("attn"));
    dele_status status = dele_json_save(path, mask, to->err);
    cJSON_Delete(mask);
    return status;
}

/* ---- tables for pictures --------------------------------------------------------------------- */

/* plots/<id>_<chart>.tsv: the heatmap of one fact's scores, with the range and the centre of the
 * colours in the head. */
static dele_status save_fact_table(const dele_saving *to, const dele_traced *traced, int which)
{
    const dele_grid *g = &traced->grid;
    const dele_chart *chart = &to->trace->charts[which];
    double low, top;
    dele_writer out = {0};
    char *name = dele_printf(to->arena, to->err, "plots/%d_%s.tsv", traced->fact->id, chart->name);
    if (!name || dele_table_open(&out, to, name)) return to->err->code;
    dele_picture_scores(&low, &top, to->trace, traced, chart->kind);
    fputs("# plot heatmap.gp\n# title ", out.stream);
    dele_picture_text(out.stream, traced->fact->prompt);
    fprintf(out.stream, " (clean %.3f", g->high[DELE_PROB]);
    if (isfinite(dele_low_mean(g, DELE_PROB)))
        fprintf(out.stream, ", corrupted %.3f", dele_low_mean(g, DELE_PROB));
    fputs(")\n# ylabel token (* subject)\n# cblabel ", out.stream);
    dele_picture_answer(out.stream, traced->answer);
    fputc('\n', out.stream);
    dele_picture_centre(out.stream, to->trace, traced);
    dele_picture_describe(out.stream, to->trace, NULL, chart, traced);
    fprintf(out.stream, "# min %.9g\n# max %.9g\n#row\ttoken\tlayer\tscore\n", low, top);
    for (int t = 0; t < g->n_tokens; t++)
        for (int col = 0; col < chart->n_cols; col++) {
            fprintf(out.stream, "%d\t%d ", t, t);
            dele_picture_text(out.stream, traced->tokens[t]);
            fprintf(out.stream, "%s\t%d", t >= g->begin && t < g->end ? "*" : "", col);
            dele_picture_number(out.stream, dele_cell_mean(g, chart, which, DELE_PROB, t, col));
            fputc('\n', out.stream);
        }
    return dele_writer_commit(&out, to->err);
}

/* plots/average_<chart>.tsv: the heatmap of the mean effects.  All charts share one range of
 * colours. */
static dele_status save_average_table(const dele_saving *to, int which)
{
    const dele_trace *trace = to->trace;
    const dele_chart *chart = &trace->charts[which];
    dele_writer out = {0};
    double low, top;
    dele_picture_effects(&low, &top, trace, to->stats, chart->kind);
    char *name = dele_printf(to->arena, to->err, "plots/average_%s.tsv", chart->name);
    if (!name || dele_table_open(&out, to, name)) return to->err->code;
    fprintf(out.stream,
            "# plot heatmap.gp\n# title Causal tracing, mean over %zu facts (clean %.3f",
            trace->n_traced, to->stats->high[DELE_PROB]);
    if (isfinite(to->stats->low[DELE_PROB]))
        fprintf(out.stream, ", corrupted %.3f", to->stats->low[DELE_PROB]);
    fputs(")\n# ylabel tokens\n# cblabel indirect effect on p(answer)\n", out.stream);
    dele_picture_describe(out.stream, trace, NULL, chart, NULL);
    fprintf(out.stream, "# min %.9g\n# max %.9g\n#row\ttokens\tlayer\teffect\n", low, top);
    for (int c = 0; c < DELE_N_CATEGORIES; c++)
        for (int col = 0; col < chart->n_cols; col++) {
            const dele_effect *e =
                dele_effect_at(to->stats, trace, which, DELE_PROB, (dele_category)c, col);
            fprintf(out.stream, "%d\t%s%s\t%d", c, dele_category_name[c], e->n ? "" : " (none)",
                    col);
            dele_picture_number(out.stream, e->n ? e->effect : NAN);
            fputc('\n', out.stream);
        }
    return dele_writer_commit(&out, to->err);
}

/* The no-op comes last, and not under ablation. */
static int n_control_lines(const dele_saving *to) { return isfinite(to->stats->noop) ? 3 : 2; }

/* The last blocks of a table of lines: layers.gp draws them thin and grey. */
static void put_control_lines(FILE *out, const dele_saving *to, int which)
{
    const dele_controls *controls = &to->stats->controls[which];
    int C = to->trace->charts[which].n_cols;
    const dele_effect noop = {
        .effect = to->stats->noop, .ci_low = to->stats->noop, .ci_high = to->stats->noop};
    const dele_effect *first[] = {controls->token + DELE_PROB * C, controls->layer + DELE_PROB,
                                  &noop};
    static const char *const name[] = {"random token", "random layer", "no-op"};
    for (int k = 0; k < n_control_lines(to); k++) {
        fprintf(out, "\n\n%s (control)\n", name[k]);
        for (int col = 0; col < C; col++) {
            const dele_effect *e = k ? first[k] : first[k] + col;
            bool known = e->n || k == 2;
            fprintf(out, "%d", col);
            dele_picture_number(out, known ? e->effect : NAN);
            dele_picture_number(out, known ? e->ci_low : NAN);
            dele_picture_number(out, known ? e->ci_high : NAN);
            fputc('\n', out);
        }
    }
}

/* plots/lines_<chart>.tsv: effects by layer with their intervals, one block for each group of
 * tokens that the facts have, and then the controls. */
static dele_status save_line_table(const dele_saving *to, int which)
{
    const dele_trace *trace = to->trace;
    const dele_chart *chart = &trace->charts[which];
    dele_writer out = {0};
    char *name = dele_printf(to->arena, to->err, "plots/lines_%s.tsv", chart->name);
    if (!name || dele_table_open(&out, to, name)) return to->err->code;
    char words[80];
    fprintf(out.stream, "# plot layers.gp\n# title Causal tracing, mean over facts; %s\n",
            dele_interval_words(words, trace->n_traced, "facts"));
    dele_picture_describe(out.stream, trace, NULL, chart, NULL);
    fprintf(out.stream, "# controls %d\n", n_control_lines(to));
    bool has[DELE_N_CATEGORIES];
    for (int c = 0; c < DELE_N_CATEGORIES; c++)
        has[c] = dele_effect_at(to->stats, trace, which, DELE_PROB, (dele_category)c, 0)->n > 0;
    dele_picture_hues(out.stream, has);
    bool begun = false;
    for (int c = 0; c < DELE_N_CATEGORIES; c++) {
        if (!has[c]) continue;
        fprintf(out.stream, "%s%s\n", begun ? "\n\n" : "", dele_category_name[c]);
        begun = true;
        for (int col = 0; col < chart->n_cols; col++) {
            const dele_effect *e =
                dele_effect_at(to->stats, trace, which, DELE_PROB, (dele_category)c, col);
            fprintf(out.stream, "%d", col);
            dele_picture_number(out.stream, e->effect);
            dele_picture_number(out.stream, e->ci_low);
            dele_picture_number(out.stream, e->ci_high);
            fputc('\n', out.stream);
        }
    }
    put_control_lines(out.stream, to, which);
    return dele_writer_commit(&out, to->err);
}

static dele_status save_averages(const dele_saving *to)
{
    const dele_trace *trace = to->trace;
    for (int i = 0; i < trace->n_charts && trace->n_traced; i++) {
        if (dele_kind_has_units(trace->charts[i].kind)) continue; /* see picture.c */
        if (save_average_table(to, i) || (trace->charts[i].n_cols > 1 && save_line_table(to, i)))
            return to->err->code;
    }
    return DELE_OK;
}

dele_status dele_trace_save_tables(const dele_trace *trace, const dele_trace_stats *stats,
                                   const char *dir, int pictures, dele_err *err)
{
    dele_arena scratch = {0};
    dele_saving to = {trace, stats, dir, &scratch, err};
    bool failed = save_summary(&to) || save_controls(&to) || save_layers(&to) || save_mask(&to) ||
                  dele_save_fact_effects(&to) || dele_save_peaks(&to) ||
                  dele_save_differences(&to) || save_averages(&to) || dele_save_routes(&to) ||
                  dele_trace_save_pictures(trace, stats, dir, pictures, err);
    int drawn = 0;
    for (size_t i = 0; i < trace->n && !failed; i++) {
        dele_arena_reset(&scratch);
        if (trace->facts[i].left_out || drawn++ >= pictures) continue;
        for (int k = 0; k < trace->n_charts && !failed; k++)
            failed = !dele_kind_has_units(trace->charts[k].kind) &&
                     save_fact_table(&to, &trace->facts[i], k);
    }
    dele_arena_release(&scratch);
    return failed ? err->code : DELE_OK;
}
