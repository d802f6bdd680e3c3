/* What the depth score leaves behind: a line a row, means over rows with intervals, the table of
 * layers. */
#include "trace/depth/depth.h"

#include <math.h>
#include <stdio.h>

#include "base/json_out.h"
#include "base/stat_json.h"
#include "trace/report/picture.h"
#include "trace/rows.h"

static const char *const delta_name[DELE_N_DEPTH_MODELS] = {NULL, "delta1", "delta2"};

/* ---- a row's line ---------------------------------------------------------------------------- */

static void put(cJSON *json, const char *name, double x)
{
    cJSON_AddItemToObject(json, name, dele_json_number(x));
}

/* The beginning of a row's line, which is compared when the row is resumed. */
static dele_items_line item_key(const dele_depth_row *row, size_t index)
{
    dele_items_line line = {0};
    dele_key_number(&line, "index", (double)index);
    dele_key_text(&line, "id", row->id);
    dele_key_text(&line, "entity", row->entity ? row->entity : "");
    if (row->left_out)
        dele_key_text(&line, "left_out", row->left_out);
    else
        dele_key_number(&line, "tokens", row->n_ids - row->first);
    return line;
}

cJSON *dele_depth_line(const dele_depth_row *row, size_t index, int n_layers)
{
    const dele_items_line key = item_key(row, index);
    cJSON *line = dele_items_json(&key), *s;
    if (row->left_out) return line;
    cJSON_AddItemToObject(line, "logp", s = cJSON_CreateObject());
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++) put(s, dele_depth_model_name[m], row->s[m]);
    for (int m = DELE_DEPTH_RETAIN; m < DELE_N_DEPTH_MODELS; m++) {
        cJSON *list = cJSON_AddArrayToObject(line, delta_name[m]);
        for (int l = 0; l < n_layers; l++)
            cJSON_AddItemToArray(list, dele_json_number(row->delta[m][l]));
    }
    cJSON_AddNumberToObject(line, "counting", row->counting);
    put(line, "uds", row->uds);
    put(line, "surface", row->surface);
    return line;
}

static bool read_number(double *x, const cJSON *item)
{
    *x = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    return isfinite(*x);
}

/* Of the line only numbers are taken; the rest must be equal to what the row would write, which
 * dele_items_resume checks. */
bool dele_depth_resume(dele_depth_row *row, dele_items *items, size_t index, int n_layers,
                       dele_err *err)
{
    const dele_items_line key = item_key(row, index);
    if (!dele_items_resume(items, index, &key, err)) return false;
    const cJSON *line = dele_items_previous(items, index),
                *s = cJSON_GetObjectItemCaseSensitive(line, "logp");
    bool ok = true;
    for (int m = 0; m < DELE_N_DEPTH_MODELS && ok && !row->left_out; m++) {
        ok = read_number(&row->s[m], cJSON_GetObjectItemCaseSensitive(s, dele_depth_model_name[m]));
        if (m == DELE_DEPTH_FULL) continue;
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(line, delta_name[m]), *item;
        int l = 0;
        ok = ok && cJSON_GetArraySize(list) == n_layers;
        for (item = ok ? list->child : NULL; item; item = item->next)
            ok = read_number(&row->delta[m][l++], item) && ok;
    }
    if (!ok)
        dele_fail(err, DELE_ERR_FORMAT,
                  "%s: line %zu lacks numbers of item %zu (logp, delta1 or delta2); remove the "
                  "unfinished "
                  "result and start again",
                  items->path, index + 1, index);
    return ok;
}

/* ---- over rows ------------------------------------------------------------------------------- */

/* The mean over those of x[n] that are numbers.  Means with the same n have the same resamples.
 * share: the values are between 0 and 1. */
static dele_status mean_of(dele_depth_mean *mean, double *x, size_t n, bool share, dele_err *err)
{
    dele_rng rng;
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i])) x[m++] = x[i];
    mean->stat = dele_stat_of(x, m);
    dele_rng_seed(&rng, 1);
    return (share ? dele_bootstrap_share : dele_bootstrap_mean)(&mean->ci, x, m, 0.95,
                                                                DELE_RESAMPLES, &rng, err);
}

static void count_layer(dele_depth_layer *layer, const dele_depth *d, int l)
{
    double missing = 0, erased = 0;
    for (size_t i = 0; i < d->n; i++) {
        const dele_depth_row *row = &d->rows[i];
        if (row->left_out || !(row->delta[DELE_DEPTH_RETAIN][l] > d->opts.threshold)) continue;
        layer->counting++;
        missing += row->delta[DELE_DEPTH_RETAIN][l];
        erased +=
            fmin(fmax(row->delta[DELE_DEPTH_UNLEARNED][l], 0), row->delta[DELE_DEPTH_RETAIN][l]);
    }
    layer->erased = layer->counting ? erased / missing : NAN;
}

typedef double value_of(const dele_depth_row *row, int model, int layer);

static double uds_of(const dele_depth_row *row, int m, int l) { return (void)m, (void)l, row->uds; }
static double surface_of(const dele_depth_row *row, int m, int l)
{
    return (void)m, (void)l, row->surface;
}
static double s_of(const dele_depth_row *row, int m, int l) { return (void)l, row->s[m]; }
static double delta_of(const dele_depth_row *row, int m, int l) { return row->delta[m][l]; }

typedef struct {
    const dele_depth *depth;
    double *x; /* [depth->n] */
    dele_err *err;
} collecting;

/* Over the rows that were measured and have such a value. */
static dele_status collect(dele_depth_mean *mean, const collecting *c, value_of *value, int model,
                           int layer)
{
    size_t n = 0;
    for (size_t i = 0; i < c->depth->n; i++)
        if (!c->depth->rows[i].left_out) c->x[n++] = value(&c->depth->rows[i], model, layer);
    return mean_of(mean, c->x, n, value == uds_of || value == surface_of, c->err);
}

dele_status dele_depth_statistics(dele_depth_stats *stats, const dele_depth *d, dele_arena *arena,
                                  dele_err *err)
{
    *stats =
        (dele_depth_stats){.layers = DELE_NEW(arena, dele_depth_layer, (size_t)d->n_layers, err)};
    const collecting c = {d, DELE_NEW(arena, double, d->n + 1, err), err};
    if (!stats->layers || !c.x) return err->code;
    for (size_t i = 0; i < d->n; i++)
        *(d->rows[i].left_out ? &stats->n_left_out : &stats->n_measured) += 1;
    if (collect(&stats->uds, &c, uds_of, 0, 0) || collect(&stats->surface, &c, surface_of, 0, 0))
        return err->code;
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++)
        if (collect(&stats->s[m], &c, s_of, m, 0)) return err->code;
    for (int l = 0; l < d->n_layers; l++) {
        count_layer(&stats->layers[l], d, l);
        for (int m = DELE_DEPTH_RETAIN; m < DELE_N_DEPTH_MODELS; m++)
            if (collect(&stats->layers[l].delta[m], &c, delta_of, m, l)) return err->code;
    }
    return DELE_OK;
}

/* ---- JSON, table and text -------------------------------------------------------------------- */

static void put_mean(cJSON *json, const char *name, const dele_depth_mean *mean)
{
    char whole[64];
    put(json, name, mean->stat.n ? mean->stat.mean : NAN);
    snprintf(whole, sizeof whole, "%s_stderr", name);
    put(json, whole, mean->stat.se);
    snprintf(whole, sizeof whole, "%s_interval", name);
    dele_json_interval(json, whole, mean->ci, mean->stat.n);
}

cJSON *dele_depth_json(const dele_depth *d, const dele_depth_stats *stats)
{
    cJSON *json = cJSON_CreateObject(), *s;
    put_mean(json, "uds", &stats->uds);
    cJSON_AddNumberToObject(json, "n", (double)stats->uds.stat.n);
    cJSON_AddNumberToObject(json, "rows", (double)d->n);
    cJSON_AddNumberToObject(json, "left_out", (double)stats->n_left_out);
    cJSON_AddNumberToObject(json, "without_counting_layer",
                            (double)(stats->n_measured - stats->uds.stat.n));
    put_mean(json, "surface", &stats->surface);
    cJSON_AddNumberToObject(json, "surface_n", (double)stats->surface.stat.n);
    cJSON_AddItemToObject(json, "logp", s = cJSON_CreateObject());
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++)
        put_mean(s, dele_depth_model_name[m], &stats->s[m]);
    cJSON_AddStringToObject(json, "positions", dele_depth_positions_name[d->opts.positions]);
    put(json, "threshold", d->opts.threshold);
    cJSON_AddNumberToObject(json, "layers", d->n_layers);
    return json;
}

static void put_delta(FILE *to, const dele_depth_mean *mean)
{
    dele_picture_number(to, mean->stat.mean);
    dele_picture_number(to, mean->ci.low);
    dele_picture_number(to, mean->ci.high);
}

/* " [low, high]", or why there is none. */
static const char *interval_text(char text[48], const dele_depth_mean *mean)
{
    if (dele_interval_known(mean->ci))
        snprintf(text, 48, " [%.4f, %.4f]", mean->ci.low, mean->ci.high);
    else
        snprintf(text, 48, " (no interval: fewer than %d rows)", DELE_LEAST_ITEMS);
    return text;
}

dele_status dele_depth_save_table(const dele_depth *d, const dele_depth_stats *stats,
                                  const char *dir, dele_err *err)
{
    char path[1200], interval[48], words[80];
    dele_writer out = {0};
    int n = snprintf(path, sizeof path, "%s/plots/depth.tsv", dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return dele_fail(err, DELE_ERR_FILE, "%s: too long a path", dir);
    if (dele_writer_open(&out, path, err)) return err->code;
    fputs("# plot depth.gp\n# title Unlearning depth: log p(answer) lost when another model's "
          "states replace those after a layer\n",
          out.stream);
    if (stats->uds.stat.n)
        fprintf(out.stream, "# note UDS %.4f%s, n = %zu rows; ", stats->uds.stat.mean,
                stats->uds.stat.n < DELE_LEAST_ITEMS ? "" : interval_text(interval, &stats->uds),
                stats->uds.stat.n);
    else
        fputs("# note no UDS: no row has a layer above the threshold; ", out.stream);
    fprintf(out.stream, "%s\n", dele_interval_words(words, stats->n_measured, "rows"));
    fputs("#layer\trows\tdelta1\tdelta1_low\tdelta1_high\tdelta2\tdelta2_low\tdelta2_"
          "high\tcounting\terased\n",
          out.stream);
    for (int l = 0; l < d->n_layers; l++) {
        const dele_depth_layer *layer = &stats->layers[l];
        fprintf(out.stream, "%d\t%zu", l, stats->n_measured);
        put_delta(out.stream, &layer->delta[DELE_DEPTH_RETAIN]);
        put_delta(out.stream, &layer->delta[DELE_DEPTH_UNLEARNED]);
        dele_picture_number(out.stream, stats->n_measured
                                            ? (double)layer->counting / (double)stats->n_measured
                                            : NAN);
        dele_picture_number(out.stream, layer->erased);
        fputc('\n', out.stream);
    }
    return dele_writer_commit(&out, err);
}

static void print_mean(FILE *to, const char *what, const dele_depth_mean *mean)
{
    char interval[48];
    if (mean->stat.n)
        fprintf(to, "%-42s %.4f %s  of %zu rows\n", what, mean->stat.mean,
                interval_text(interval, mean), mean->stat.n);
    else
        fprintf(to, "%-42s none: no row has one\n", what);
}

void dele_depth_print(FILE *to, const dele_depth *d, const dele_depth_stats *stats)
{
    print_mean(to, "UDS (0: stored, 1: removed), 95 %", &stats->uds);
    print_mean(to, "surface score, at the models' own outputs", &stats->surface);
    if (stats->n_measured > stats->uds.stat.n)
        fprintf(to, "%zu rows have no layer above the threshold of %g, and so no score\n",
                stats->n_measured - stats->uds.stat.n, d->opts.threshold);
    if (stats->n_left_out)
        fprintf(to, "%zu rows were left out: items.jsonl has the reasons\n", stats->n_left_out);
    fputs("mean log p per token:", to);
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++)
        fprintf(to, "%s %s %.3f", m ? "," : "", dele_depth_model_name[m], stats->s[m].stat.mean);
    fputs("\n\nlayer      delta, retain     unlearned   rows counted  erased\n", to);
    for (int l = 0; l < d->n_layers && stats->n_measured; l++) {
        const dele_depth_layer *layer = &stats->layers[l];
        fprintf(to, "%5d  %17.4f  %12.4f  %13zu  ", l, layer->delta[DELE_DEPTH_RETAIN].stat.mean,
                layer->delta[DELE_DEPTH_UNLEARNED].stat.mean, layer->counting);
        if (layer->counting)
            fprintf(to, "%12.3f\n", layer->erased);
        else
            fprintf(to, "%12s\n", "-");
    }
}
