/* What a trace leaves behind (formats: ARCHITECTURE.md).
 *
 *   facts.jsonl               one line a fact, traced or left out and why
 *   traces/<id>_<kind>.npz    scores, low_score, high_score, input_ids, input_tokens, subject_range, answer, window,
 *                             correct_prediction, kind as in ROME's files (there hidden's kind is ""), and beside
 *                             them sample_scores [samples, tokens, layers] and sample_low_scores
 *   summary.tsv               mean effect of each kind, layer and group of tokens, with its interval
 *   layers.tsv                layers in order of effect at the last subject token, kind by kind
 *   mask.json                 the layers suggested to an unlearning run; none when nothing had an effect
 *   plots/NAME.tsv            one table a picture */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/npz.h"
#include "trace/trace.h"

typedef struct {
    const lac_trace *trace;
    const char *dir;
    lac_arena *arena; /* scratch */
    lac_err *err;
} saving;

static lac_status open_in(lac_writer *out, const saving *to, const char *name)
{
    char *path = lac_printf(to->arena, to->err, "%s/%s", to->dir, name);
    return path ? lac_writer_open(out, path, to->err) : to->err->code;
}

/* ---- facts.jsonl ------------------------------------------------------------------------------------------------- */

static cJSON *fact_json(const lac_traced *traced)
{
    const lac_grid *g = &traced->grid;
    cJSON *row = cJSON_CreateObject(), *ids, *tokens, *range;
    cJSON_AddNumberToObject(row, "id", traced->fact->id);
    cJSON_AddStringToObject(row, "prompt", traced->fact->prompt);
    cJSON_AddStringToObject(row, "subject", traced->fact->subject);
    cJSON_AddStringToObject(row, "attribute", traced->fact->attribute);
    cJSON_AddBoolToObject(row, "traced", !traced->left_out);
    if (traced->left_out) cJSON_AddStringToObject(row, "reason", traced->left_out);
    cJSON_AddItemToObject(row, "input_ids", ids = cJSON_CreateArray());
    cJSON_AddItemToObject(row, "tokens", tokens = cJSON_CreateArray());
    for (int t = 0; t < g->n_tokens; t++) {
        cJSON_AddItemToArray(ids, cJSON_CreateNumber(g->ids[t]));
        cJSON_AddItemToArray(tokens, cJSON_CreateString(traced->tokens[t]));
    }
    if (g->end > g->begin) {
        cJSON_AddItemToObject(row, "subject_range", range = cJSON_CreateArray());
        cJSON_AddItemToArray(range, cJSON_CreateNumber(g->begin));
        cJSON_AddItemToArray(range, cJSON_CreateNumber(g->end));
    }
    if (traced->answer) {
        cJSON_AddStringToObject(row, "answer", traced->answer);
        cJSON_AddNumberToObject(row, "answer_id", g->answer);
        cJSON_AddItemToObject(row, "clean", lac_json_number(g->high));
    }
    if (!traced->left_out) cJSON_AddItemToObject(row, "corrupted", lac_json_number(g->low));
    return row;
}

static lac_status save_facts(const saving *to)
{
    lac_writer out = {0};
    if (open_in(&out, to, "facts.jsonl")) return to->err->code;
    for (size_t i = 0; i < to->trace->n; i++) {
        cJSON *row = fact_json(&to->trace->facts[i]);
        char *line = row ? cJSON_PrintUnformatted(row) : NULL;
        cJSON_Delete(row);
        if (!line) {
            lac_writer_abandon(&out);
            return lac_fail(to->err, LAC_ERR_MEMORY, "out of memory while writing facts.jsonl");
        }
        fprintf(out.stream, "%s\n", line);
        free(line);
    }
    return lac_writer_commit(&out, to->err);
}

/* ---- traces/<id>_<kind>.npz -------------------------------------------------------------------------------------- */

static float *as_floats(const saving *to, const double *x, size_t n)
{
    float *y = LAC_NEW(to->arena, float, n, to->err);
    for (size_t i = 0; y && i < n; i++) y[i] = (float)x[i];
    return y;
}

static lac_status save_npz(const saving *to, const lac_traced *traced, lac_kind kind)
{
    lac_err *err = to->err;
    const lac_grid *g = &traced->grid;
    size_t T = (size_t)g->n_tokens, dims[3] = {(size_t)g->n_samples, T, (size_t)g->n_layers};
    float *scores = as_floats(to, g->scores[kind], dims[1] * dims[2]);
    float *samples = as_floats(to, g->samples[kind], dims[0] * dims[1] * dims[2]);
    float *lows = as_floats(to, g->low_sample, dims[0]);
    float high = (float)g->high;
    int64_t *ids = LAC_NEW(to->arena, int64_t, T, err), range[2] = {g->begin, g->end}, window = g->window;
    char *path = lac_printf(to->arena, err, "%s/traces/%d_%s.npz", to->dir, traced->fact->id, lac_kind_name[kind]);
    if (!scores || !samples || !lows || !ids || !path) return err->code;
    for (size_t t = 0; t < T; t++) ids[t] = g->ids[t];
    lac_npz *npz = lac_npz_open(path, err);
    if (!npz) return err->code;
    bool failed = lac_npz_f32(npz, "scores", scores, 2, dims + 1, err) ||
                  lac_npz_f64(npz, "low_score", &g->low, 0, NULL, err) ||
                  lac_npz_f32(npz, "high_score", &high, 0, NULL, err) ||
                  lac_npz_i64(npz, "input_ids", ids, 1, &T, err) ||
                  lac_npz_strings(npz, "input_tokens", traced->tokens, T, err) ||
                  lac_npz_i64(npz, "subject_range", range, 1, (size_t[]){2}, err) ||
                  lac_npz_string(npz, "answer", traced->answer, err) ||
                  lac_npz_i64(npz, "window", &window, 0, NULL, err) ||
                  lac_npz_bool(npz, "correct_prediction", true, err) ||
                  lac_npz_string(npz, "kind", kind == LAC_HIDDEN ? "" : lac_kind_name[kind], err) ||
                  lac_npz_f32(npz, "sample_scores", samples, 3, dims, err) ||
                  lac_npz_f32(npz, "sample_low_scores", lows, 1, dims, err);
    return lac_npz_close(npz, err) || failed ? err->code : LAC_OK;
}

/* ---- summary.tsv, layers.tsv, mask.json -------------------------------------------------------------------------- */

static lac_status save_summary(const saving *to)
{
    const lac_trace *trace = to->trace;
    lac_writer out = {0};
    if (open_in(&out, to, "summary.tsv")) return to->err->code;
    fprintf(out.stream, "# effect: score - low, mean over facts; se and ci (95 %%, bootstrap) over facts\n"
                        "kind\tlayer\ttokens\tfacts\tscore\tlow\teffect\tse\tci_low\tci_high\n");
    for (int kind = 0; kind < LAC_N_KINDS; kind++)
        for (int l = 0; l < trace->n_layers && trace->kind[kind]; l++)
            for (int c = 0; c < LAC_N_CATEGORIES; c++) {
                const lac_effect *e = &trace->effects[kind][c * trace->n_layers + l];
                fprintf(out.stream, "%s\t%d\t%s\t%zu", lac_kind_name[kind], l, lac_category_name[c], e->n);
                const double value[] = {e->score, e->low, e->effect, e->se, e->ci_low, e->ci_high};
                for (size_t i = 0; i < sizeof value / sizeof *value; i++)
                    if (e->n && isfinite(value[i]))
                        fprintf(out.stream, "\t%.6g", value[i]);
                    else
                        fputs("\t", out.stream);
                fputc('\n', out.stream);
            }
    return lac_writer_commit(&out, to->err);
}

/* 1 for the layer with the largest effect; the lower layer first among equals. */
static int rank_of(const lac_effect *row, int n_layers, int l)
{
    int rank = 1;
    for (int i = 0; i < n_layers; i++)
        rank += row[i].effect > row[l].effect || (i < l && !(row[i].effect < row[l].effect));
    return rank;
}

static lac_status save_layers(const saving *to)
{
    const lac_trace *trace = to->trace;
    const lac_suggestion *s = &trace->suggestion;
    lac_writer out = {0};
    if (open_in(&out, to, "layers.tsv")) return to->err->code;
    fprintf(out.stream, "# layers restored_from..restored_to put back together; effect and rank at the last subject "
                        "token; weight: the layer's share once effects are spread over their windows\n"
                        "kind\tlayer\trestored_from\trestored_to\trank\teffect\tse\tfirst_subject\tlast\tweight\tsuggested\n");
    for (int kind = 0; kind < LAC_N_KINDS; kind++)
        for (int l = 0; l < trace->n_layers && trace->kind[kind]; l++) {
            const lac_effect *all = trace->effects[kind], *row = all + LAC_LAST_SUBJECT * trace->n_layers;
            int from = l, past = l + 1;
            if (kind != LAC_HIDDEN) lac_window(&from, &past, l, trace->opts.window, trace->n_layers);
            fprintf(out.stream, "%s\t%d\t%d\t%d\t%d\t%.6g\t%.6g\t%.6g\t%.6g\t", lac_kind_name[kind], l, from, past - 1,
                    rank_of(row, trace->n_layers, l), row[l].effect, isfinite(row[l].se) ? row[l].se : 0,
                    all[LAC_FIRST_SUBJECT * trace->n_layers + l].effect,
                    all[LAC_LAST_TOKEN * trace->n_layers + l].effect);
            if (kind == (int)s->kind)
                fprintf(out.stream, "%.6g\t%d\n", s->weight[l], l >= s->from && l < s->to);
            else
                fputs("\t\n", out.stream);
        }
    return lac_writer_commit(&out, to->err);
}

static lac_status save_mask(const saving *to)
{
    const lac_suggestion *s = &to->trace->suggestion;
    char *path = lac_printf(to->arena, to->err, "%s/mask.json", to->dir);
    if (!path) return to->err->code;
    if (s->to == s->from) return LAC_OK;
    cJSON *mask = cJSON_CreateObject(), *layers, *parts;
    cJSON_AddItemToObject(mask, "layers", layers = cJSON_CreateArray());
    cJSON_AddItemToObject(mask, "parts", parts = cJSON_CreateArray());
    for (int l = s->from; l < s->to; l++) cJSON_AddItemToArray(layers, cJSON_CreateNumber(l));
    if (s->kind != LAC_ATTN) cJSON_AddItemToArray(parts, cJSON_CreateString("mlp"));
    if (s->kind != LAC_MLP) cJSON_AddItemToArray(parts, cJSON_CreateString("attn"));
    lac_status status = lac_json_save(path, mask, to->err);
    cJSON_Delete(mask);
    return status;
}

/* ---- tables for pictures ----------------------------------------------------------------------------------------- */

static const char *const colour[LAC_N_KINDS] = {"purple", "green", "red"};

static void plain_text(FILE *to, const char *text)
{
    for (; *text; text++) fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
}

static void describe(FILE *to, const lac_trace *trace, lac_kind kind)
{
    static const char *const what[LAC_N_KINDS] = {"layer restored", "centre of the MLP layers restored",
                                                  "centre of the attention layers restored"};
    fprintf(to, "# colour %s\n# xlabel %s", colour[kind], what[kind]);
    if (kind != LAC_HIDDEN) fprintf(to, " (window %d)", trace->opts.window);
    fputc('\n', to);
}

/* The highest score over all kinds, so that a fact's maps share a scale. */
static double top_score(const lac_grid *g)
{
    double top = g->low;
    for (int kind = 0; kind < LAC_N_KINDS; kind++)
        for (size_t i = 0; g->scores[kind] && i < (size_t)g->n_tokens * (size_t)g->n_layers; i++)
            if (g->scores[kind][i] > top) top = g->scores[kind][i];
    return top;
}

static lac_status save_fact_table(const saving *to, const lac_traced *traced, lac_kind kind)
{
    const lac_grid *g = &traced->grid;
    lac_writer out = {0};
    char *name = lac_printf(to->arena, to->err, "plots/%d_%s.tsv", traced->fact->id, lac_kind_name[kind]);
    if (!name || open_in(&out, to, name)) return to->err->code;
    fputs("# plot heatmap.gp\n# title ", out.stream);
    plain_text(out.stream, traced->fact->prompt);
    fprintf(out.stream, " (clean %.3f, corrupted %.3f)\n# cblabel p(", g->high, g->low);
    plain_text(out.stream, traced->answer);
    fputs(")\n", out.stream);
    describe(out.stream, to->trace, kind);
    fprintf(out.stream, "# min %.9g\n# max %.9g\n#row\ttoken\tlayer\tscore\n", g->low, top_score(g));
    for (int t = 0; t < g->n_tokens; t++)
        for (int l = 0; l < g->n_layers; l++) {
            fprintf(out.stream, "%d\t%d ", t, t);
            plain_text(out.stream, traced->tokens[t]);
            fprintf(out.stream, "%s\t%d\t%.9g\n", t >= g->begin && t < g->end ? "*" : "", l,
                    g->scores[kind][(size_t)t * (size_t)g->n_layers + (size_t)l]);
        }
    return lac_writer_commit(&out, to->err);
}

static lac_status save_average_table(const saving *to, lac_kind kind, double top)
{
    const lac_trace *trace = to->trace;
    lac_writer out = {0};
    char *name = lac_printf(to->arena, to->err, "plots/average_%s.tsv", lac_kind_name[kind]);
    if (!name || open_in(&out, to, name)) return to->err->code;
    fprintf(out.stream, "# plot heatmap.gp\n# title mean over %zu facts (clean %.3f, corrupted %.3f)\n"
                        "# cblabel effect on p(answer)\n", trace->n_traced, trace->high, trace->low);
    describe(out.stream, trace, kind);
    fprintf(out.stream, "# min 0\n# max %.9g\n#row\ttokens\tlayer\teffect\n", top);
    for (int c = 0; c < LAC_N_CATEGORIES; c++)
        for (int l = 0; l < trace->n_layers; l++) {
            const lac_effect *e = &trace->effects[kind][c * trace->n_layers + l];
            fprintf(out.stream, "%d\t%s%s%s\t%d\t%.9g\n", c, lac_category_name[c], c <= LAC_LAST_SUBJECT ? "*" : "",
                    e->n ? "" : " (none)", l, e->effect);
        }
    return lac_writer_commit(&out, to->err);
}

static lac_status save_line_table(const saving *to, lac_kind kind)
{
    const lac_trace *trace = to->trace;
    lac_writer out = {0};
    char *name = lac_printf(to->arena, to->err, "plots/lines_%s.tsv", lac_kind_name[kind]);
    if (!name || open_in(&out, to, name)) return to->err->code;
    fprintf(out.stream, "# plot layers.gp\n# title %s: mean over %zu facts, 95 %% bootstrap intervals over facts\n",
            lac_kind_name[kind], trace->n_traced);
    describe(out.stream, trace, kind);
    for (int c = 0; c < LAC_N_CATEGORIES; c++) {
        const lac_effect *e = trace->effects[kind] + c * trace->n_layers;
        if (!e->n) continue;
        fprintf(out.stream, "%s%s\n", c ? "\n\n" : "", lac_category_name[c]);
        for (int l = 0; l < trace->n_layers; l++)
            fprintf(out.stream, "%d\t%.9g\t%.9g\t%.9g\n", l, e[l].effect, e[l].ci_low, e[l].ci_high);
    }
    return lac_writer_commit(&out, to->err);
}

static lac_status save_averages(const saving *to)
{
    const lac_trace *trace = to->trace;
    double top = 0;
    for (int kind = 0; kind < LAC_N_KINDS; kind++)
        for (int i = 0; trace->kind[kind] && i < LAC_N_CATEGORIES * trace->n_layers; i++)
            if (trace->effects[kind][i].effect > top) top = trace->effects[kind][i].effect;
    for (int kind = 0; kind < LAC_N_KINDS && trace->n_traced; kind++)
        if (trace->kind[kind] &&
            (save_average_table(to, (lac_kind)kind, top) || save_line_table(to, (lac_kind)kind)))
            return to->err->code;
    return LAC_OK;
}

lac_status lac_trace_save(const lac_trace *trace, const char *dir, int pictures, lac_err *err)
{
    lac_arena scratch = {0};
    saving to = {trace, dir, &scratch, err};
    lac_outdir out = {0};
    snprintf(out.part, sizeof out.part, "%s", dir);
    bool failed = lac_outdir_sub(&out, "traces", err) || lac_outdir_sub(&out, "plots", err) || save_facts(&to) ||
                  save_summary(&to) || save_layers(&to) || save_mask(&to) || save_averages(&to);
    int drawn = 0;
    for (size_t i = 0; i < trace->n && !failed; i++) {
        const lac_traced *traced = &trace->facts[i];
        lac_arena_reset(&scratch);
        if (traced->left_out) continue;
        bool picture = drawn++ < pictures;
        for (int kind = 0; kind < LAC_N_KINDS && !failed; kind++)
            if (trace->kind[kind])
                failed = save_npz(&to, traced, (lac_kind)kind) ||
                         (picture && save_fact_table(&to, traced, (lac_kind)kind));
    }
    lac_arena_release(&scratch);
    return failed ? err->code : LAC_OK;
}
