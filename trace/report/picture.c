#include "trace/report/picture.h"

#include <math.h>
#include <string.h>

#include "base/file_out.h"
#include "base/text_out.h"

/* ---- titles and notes ------------------------------------------------------------------------ */

void dele_picture_text(FILE *to, const char *text) { dele_text_put(to, text, DELE_TEXT_LINE); }

void dele_picture_answer(FILE *to, const char *answer)
{
    while (*answer == ' ') answer++;
    fputs("p(", to);
    dele_picture_text(to, answer);
    fputc(')', to);
}

/* A line "# model demo", or a part of it: by the last part of its path. */
static void put_model(FILE *to, const char *before, const dele_trace *trace)
{
    const char *path = trace->model ? trace->model : "", *end = path + strlen(path);
    while (end > path + 1 && end[-1] == '/') end--;
    const char *begin = end;
    while (begin > path && begin[-1] != '/') begin--;
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)(end - begin), begin);
    fputs(before, to);
    dele_picture_text(to, name);
}

void dele_picture_number(FILE *to, double x)
{
    if (isfinite(x))
        fprintf(to, "\t%.9g", x);
    else
        fputs("\tnan", to); /* printf might say -nan */
}

void dele_picture_layers(FILE *to, const dele_row_stat *stat, int n_layers)
{
    for (int l = 0; l < n_layers; l++) {
        fprintf(to, "%d", l);
        dele_picture_number(to, stat[l].mean);
        dele_picture_number(to, stat[l].facts.low);
        dele_picture_number(to, stat[l].facts.high);
        fputc('\n', to);
    }
}

/* only: the one fact of the picture, or NULL. */
static void corruption(FILE *to, const dele_trace *trace, const dele_traced *only)
{
    const dele_corrupt_by by = trace->opts.corrupt;
    const char *noise = trace->opts.noise;
    if (by == DELE_CORRUPT_TOKENS) {
        fputs("another subject's tokens", to);
        if (!only || !only->partner) return;
        fputs(" (", to);
        dele_picture_text(to, only->partner);
        fputc(')', to);
    } else if (by != DELE_CORRUPT_NOISE) {
        fprintf(to, "%s ablation", dele_corrupt_name[by]);
    } else {
        if (trace->opts.sigma > 0 || !noise || !*noise)
            fprintf(to, "noise of sigma %.3g", trace->sigma);
        else if (*noise == 'm' || *noise == 't')
            fprintf(to, "noise %s (a text's covariance)", noise);
        else
            fprintf(to, "noise %s (sigma %.3g)", noise, trace->sigma);
        if (trace->opts.replace) fputs(" in the embeddings' place", to);
    }
}

/* How the values came about: "denoising, noise s3 (sigma 0.137), 10 draws a fact, n = 25 facts"; of
 * one fact alone where `only` is not NULL, with the subject that was put in its own's place. */
static void put_how(FILE *to, const dele_trace *trace, const dele_traced *only)
{
    int fewest = 0, most = 0;
    for (size_t i = 0; i < trace->n; i++) {
        const dele_traced *traced = only ? only : &trace->facts[i];
        if (traced->left_out) continue;
        int n = traced->grid.n_samples;
        fewest = fewest && fewest < n ? fewest : n;
        most = most > n ? most : n;
    }
    fputs(trace->noising ? "noising, " : "denoising, ", to);
    corruption(to, trace, only);
    if (fewest != most)
        fprintf(to, ", %d to %d draws per fact", fewest, most);
    else if (most > 1)
        fprintf(to, ", %d draws%s", most, only ? "" : " per fact");
    if (!only) fprintf(to, ", n = %zu facts", trace->n_traced);
}

/* The label of a chart's columns: "centre of 3 restored MLP layers". */
static void put_columns(FILE *to, const dele_trace *trace, const dele_chart *chart)
{
    static const char *const site[] = {
        "hidden state", "MLP",    "attention", "hidden state after attention", "head", "embedding",
        "mixture",      "router", "expert"};
    const char *how = trace->noising ? "corrupted" : "restored";
    if (dele_kind_has_windows(chart->kind) && chart->window > 1)
        fprintf(to, "centre of %d %s %s layers", chart->window, how, site[chart->kind]);
    else if (chart->kind == DELE_EMBEDDING)
        fprintf(to, "%s embedding", how);
    else
        fprintf(to, "layer of the %s %s", how, site[chart->kind]);
    if (chart->sever)
        fprintf(to, ", %s severed", chart->sever == DELE_SEVER_MLP ? "MLP" : "attention");
}

void dele_picture_describe(FILE *to, const dele_trace *trace, const dele_trace *after,
                           const dele_chart *chart, const dele_traced *only)
{
    static const char *const colour[DELE_N_KINDS] = {"purple", "green", "red", "purple", "red",
                                                     "purple", "green", "red", "green"};
    fprintf(to, "# colour %s\n# xlabel ", colour[chart->kind]);
    put_columns(to, trace, chart);
    fputs("\n# note ", to);
    put_how(to, trace, only);
    put_model(to, "\n# model ", trace);
    if (after) put_model(to, " and ", after);
    fputc('\n', to);
}

void dele_picture_how(FILE *to, const dele_trace *trace)
{
    fputs("# note ", to);
    put_how(to, trace, NULL);
    put_model(to, "\n# model ", trace);
    fputc('\n', to);
}

void dele_picture_hues(FILE *to, const bool has[DELE_N_CATEGORIES])
{
    static const int hue[DELE_N_CATEGORIES] = {0, 5, 1, 2, 3, 6};
    fputs("# hues", to);
    for (int c = 0; c < DELE_N_CATEGORIES; c++)
        if (has[c]) fprintf(to, " %d", hue[c]);
    fputc('\n', to);
}

void dele_picture_centre(FILE *to, const dele_trace *trace, const dele_traced *traced)
{
    double centre =
        trace->noising ? traced->grid.high[DELE_PROB] : dele_low_mean(&traced->grid, DELE_PROB);
    fprintf(to, "# centre %.9g\n# side %s\n", centre, trace->noising ? "below" : "above");
}

/* ---- scales ---------------------------------------------------------------------------------- */

static void widen(double *min, double *max, double x)
{
    if (x < *min) *min = x; /* false for NaN, as it should be */
    if (x > *max) *max = x;
}

/* Whether a chart shares the scale of a kind. */
static bool on_scale(const dele_chart *chart, dele_kind kind)
{
    return dele_kind_has_units(kind) ? chart->kind == kind : !dele_kind_has_units(chart->kind);
}

/* Whether a group of tokens is drawn in maps of a kind: of heads and of experts two are. */
static bool is_drawn(dele_kind kind, dele_category category)
{
    return !dele_kind_has_units(kind) || category == DELE_LAST_SUBJECT ||
           category == DELE_LAST_TOKEN;
}

void dele_picture_effects(double *min, double *max, const dele_trace *trace,
                          const dele_trace_stats *stats, dele_kind kind)
{
    *min = *max = 0;
    for (int i = 0; i < trace->n_charts; i++)
        for (int c = 0; c < DELE_N_CATEGORIES && on_scale(&trace->charts[i], kind); c++)
            for (int col = 0; col < trace->charts[i].n_cols && is_drawn(kind, (dele_category)c);
                 col++) {
                const dele_effect *e =
                    dele_effect_at(stats, trace, i, DELE_PROB, (dele_category)c, col);
                if (e->n) widen(min, max, e->effect);
            }
}

void dele_picture_scores(double *min, double *max, const dele_trace *trace,
                         const dele_traced *traced, dele_kind kind)
{
    const dele_grid *g = &traced->grid;
    *min = *max = trace->noising ? g->high[DELE_PROB] : dele_low_mean(g, DELE_PROB);
    for (int i = 0; i < trace->n_charts; i++)
        for (int t = 0; t < g->n_tokens && on_scale(&trace->charts[i], kind); t++) {
            const bool drawn = t == g->end - 1 || t == g->n_tokens - 1;
            for (int col = 0;
                 col < trace->charts[i].n_cols && (drawn || !dele_kind_has_units(kind)); col++)
                widen(min, max, dele_cell_mean(g, &trace->charts[i], i, DELE_PROB, t, col));
        }
}

/* ---- tables that put things together --------------------------------------------------------- */

typedef struct {
    const dele_trace *trace;
    const dele_trace_stats *stats;
    const char *dir;
    dele_err *err;
} saving;

static dele_status open_table(dele_writer *out, const saving *to, const char *name)
{
    char path[1200];
    int n = snprintf(path, sizeof path, "%s/plots/%s.tsv", to->dir, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return dele_fail(to->err, DELE_ERR_FILE, "%s: too long a path", to->dir);
    return dele_writer_open(out, path, to->err);
}

/* A block of a table of lines or bars: a name, then layer, effect on p at the last subject token,
 * and its interval. */
static void put_block(FILE *out, const saving *to, int chart, const char *name, bool first)
{
    fprintf(out, "%s%s\n", first ? "" : "\n\n", name);
    for (int l = 0; l < to->trace->n_layers; l++) {
        const dele_effect *e =
            dele_effect_at(to->stats, to->trace, chart, DELE_PROB, DELE_LAST_SUBJECT, l);
        fprintf(out, "%d", l);
        dele_picture_number(out, e->effect);
        dele_picture_number(out, e->ci_low);
        dele_picture_number(out, e->ci_high);
        fputc('\n', out);
    }
}

static int find_chart(const dele_trace *trace, dele_kind kind, dele_sever sever)
{
    for (int i = 0; i < trace->n_charts; i++)
        if (trace->charts[i].kind == kind && trace->charts[i].sever == sever) return i;
    return -1;
}

static bool at_last_subject(const saving *to, int chart)
{
    return dele_effect_at(to->stats, to->trace, chart, DELE_PROB, DELE_LAST_SUBJECT, 0)->n > 0;
}

/* ROME's section 2.2: how much of a state's effect goes through the MLPs, or the attention, of the
 * layers above it. */
static dele_status save_severed(const saving *to)
{
    static const char *const name[DELE_N_SEVERS] = {"ordinary", "MLP severed", "attention severed"};
    int plain = find_chart(to->trace, DELE_HIDDEN, DELE_SEVER_NOTHING);
    int cut = find_chart(to->trace, DELE_HIDDEN, DELE_SEVER_MLP);
    if (cut < 0) cut = find_chart(to->trace, DELE_HIDDEN, DELE_SEVER_ATTN);
    if (plain < 0 || cut < 0 || !at_last_subject(to, plain)) return DELE_OK;
    dele_writer out = {0};
    char words[80];
    if (open_table(&out, to, "severed")) return to->err->code;
    fprintf(
        out.stream,
        "# plot severed.gp\n# title Severed paths: one hidden state %s at the last subject token; "
        "%s\n",
        to->trace->noising ? "corrupted" : "restored",
        dele_interval_words(words, to->trace->n_traced, "facts"));
    dele_picture_describe(out.stream, to->trace, NULL, &to->trace->charts[plain], NULL);
    fputs("# hues", out.stream);
    for (int s = 0; s < DELE_N_SEVERS; s++)
        if (find_chart(to->trace, DELE_HIDDEN, (dele_sever)s) >= 0) fprintf(out.stream, " %d", s);
    fputc('\n', out.stream);
    for (int s = 0; s < DELE_N_SEVERS; s++) {
        int chart = find_chart(to->trace, DELE_HIDDEN, (dele_sever)s);
        if (chart >= 0) put_block(out.stream, to, chart, name[s], s == 0);
    }
    return dele_writer_commit(&out, to->err);
}

/* Wide windows blur: the same kind in all its widths shows by how much. */
static dele_status save_windows(const saving *to, dele_kind kind)
{
    const dele_trace *trace = to->trace;
    int n = 0, first = find_chart(trace, kind, DELE_SEVER_NOTHING);
    for (int i = 0; i < trace->n_charts; i++) n += trace->charts[i].kind == kind;
    if (n < 2 || !at_last_subject(to, first)) return DELE_OK;
    dele_writer out = {0};
    char name[64], words[80];
    snprintf(name, sizeof name, "windows_%s", dele_kind_name[kind]);
    if (open_table(&out, to, name)) return to->err->code;
    fprintf(out.stream,
            "# plot layers.gp\n# title Causal tracing of %s by window width, last subject "
            "token; %s\n"
            "# xlabel centre of the %s layers\n# note ",
            kind == DELE_MLP   ? "MLPs"
            : kind == DELE_MOE ? "mixtures"
                               : "attention",
            dele_interval_words(words, trace->n_traced, "facts"),
            trace->noising ? "corrupted" : "restored");
    put_how(out.stream, trace, NULL);
    put_model(out.stream, "\n# model ", trace);
    fputc('\n', out.stream);
    for (int i = 0; i < trace->n_charts; i++) {
        char width[32];
        snprintf(width, sizeof width, trace->charts[i].window == 1 ? "1 layer" : "%d layers",
                 trace->charts[i].window);
        if (trace->charts[i].kind == kind) put_block(out.stream, to, i, width, i == first);
    }
    return dele_writer_commit(&out, to->err);
}

/* ---- heads and experts: layers across, these down, at one token ------------------------------ */

static void put_units(FILE *out, const saving *to, int which, const dele_traced *traced,
                      dele_category tokens)
{
    const dele_trace *trace = to->trace;
    const dele_chart *chart = &trace->charts[which];
    const char *name = dele_kind_name[chart->kind];
    const int units = dele_chart_units(trace, chart);
    fprintf(out, "#%s\t%s\tlayer\tvalue\n", name, name);
    for (int h = 0; h < units; h++)
        for (int l = 0; l < trace->n_layers; l++) {
            int col = l * units + h;
            const dele_effect *e = dele_effect_at(to->stats, trace, which, DELE_PROB, tokens, col);
            double value = e->n ? e->effect : NAN;
            if (traced) value = dele_category_value(trace, traced, which, DELE_PROB, tokens, col);
            fprintf(out, "%d\t%d\t%d", h, h, l);
            dele_picture_number(out, value);
            fputc('\n', out);
        }
}

/* A map of layers by heads, or by experts, at one group of tokens: of one fact, or of the average
 * where traced is NULL.  Without such tokens there is no table. */
static dele_status save_units(const saving *to, int which, const dele_traced *traced,
                              dele_category tokens)
{
    const dele_trace *trace = to->trace;
    const dele_chart *chart = &trace->charts[which];
    const bool subject = tokens == DELE_LAST_SUBJECT;
    const char *suffix = subject ? "last_subject" : "last", *unit = dele_kind_name[chart->kind];
    const int col = dele_first_column(trace, chart);
    bool any = traced ? isfinite(dele_category_value(trace, traced, which, DELE_PROB, tokens, col))
                      : dele_effect_at(to->stats, trace, which, DELE_PROB, tokens, col)->n > 0;
    char name[64];
    double min, max;
    dele_writer out = {0};
    if (!any) return DELE_OK;
    if (traced)
        snprintf(name, sizeof name, "%d_%s_%s", traced->fact->id, unit, suffix);
    else
        snprintf(name, sizeof name, "average_%s_%s", unit, suffix);
    if (open_table(&out, to, name)) return to->err->code;
    const char *at = subject ? "last subject token" : "last token";
    fprintf(out.stream, "# plot heatmap.gp\n# ylabel %s\n# title ", unit);
    if (traced) {
        dele_picture_scores(&min, &max, trace, traced, chart->kind);
        dele_picture_text(out.stream, traced->fact->prompt);
        fprintf(out.stream, " (%ss at the %s)\n# cblabel ", unit, at);
        dele_picture_answer(out.stream, traced->answer);
        fputc('\n', out.stream);
        dele_picture_centre(out.stream, trace, traced);
    } else {
        dele_picture_effects(&min, &max, trace, to->stats, chart->kind);
        fprintf(out.stream,
                "Causal tracing of %ss at the %s, mean over %zu facts\n"
                "# cblabel indirect effect on p(answer)\n",
                unit, at, trace->n_traced);
    }
    dele_picture_describe(out.stream, trace, NULL, chart, traced);
    fprintf(out.stream, "# min %.9g\n# max %.9g\n", min, max);
    put_units(out.stream, to, which, traced, tokens);
    return dele_writer_commit(&out, to->err);
}

static dele_status save_all_units(const saving *to, dele_kind kind, int pictures)
{
    static const dele_category shown[] = {DELE_LAST_SUBJECT, DELE_LAST_TOKEN};
    int which = find_chart(to->trace, kind, DELE_SEVER_NOTHING), drawn = 0;
    if (which < 0) return DELE_OK;
    for (int k = 0; k < 2; k++)
        if (save_units(to, which, NULL, shown[k])) return to->err->code;
    for (size_t i = 0; i < to->trace->n && drawn < pictures; i++) {
        const dele_traced *traced = &to->trace->facts[i];
        if (traced->left_out) continue;
        drawn++;
        for (int k = 0; k < 2; k++)
            if (save_units(to, which, traced, shown[k])) return to->err->code;
    }
    return DELE_OK;
}

dele_status dele_trace_save_pictures(const dele_trace *trace, const dele_trace_stats *stats,
                                     const char *dir, int pictures, dele_err *err)
{
    saving to = {trace, stats, dir, err};
    if (!trace->n_traced) return DELE_OK;
    const bool failed = save_severed(&to) || save_windows(&to, DELE_MLP) ||
                        save_windows(&to, DELE_MOE) || save_windows(&to, DELE_ATTN) ||
                        save_all_units(&to, DELE_HEAD, pictures) ||
                        save_all_units(&to, DELE_EXPERT, pictures);
    return failed ? err->code : DELE_OK;
}
