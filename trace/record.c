#include "trace/record.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/file_out.h"
#include "base/former.h"
#include "base/json.h"
#include "base/json_out.h"
#include "base/npz.h"
#include "trace/route_record.h"
#include "trace/rows.h"

enum { MOST_SAMPLES = 1 << 16, MOST_CHARTS = 256 };

static const char *const sample_name[DELE_N_METRICS] = {
    "sample_scores", "sample_logp", "sample_logit_diff", "sample_rank", "sample_kl"};

static char *record_path(const char *dir, int id, const dele_chart *chart, dele_arena *arena,
                         dele_err *err)
{
    return dele_printf(arena, err, "%s/traces/%d_%s.npz", dir, id, chart->name);
}

bool dele_record_exists(const char *dir, int id, const dele_chart *charts, int n_charts)
{
    bool all = true;
    for (int i = 0; i < n_charts && all; i++) {
        dele_arena scratch = {0};
        char *path = record_path(dir, id, &charts[i], &scratch, NULL);
        all = path && dele_path_exists(path);
        dele_arena_release(&scratch);
    }
    return all;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* One metric's [S, T, C] out of the grid's [S, metrics, T, C]. */
static float *metric_values(const dele_grid *g, const dele_chart *chart, int which,
                            dele_metric metric, dele_arena *scratch, dele_err *err)
{
    size_t cells = (size_t)g->n_tokens * (size_t)chart->n_cols;
    float *out = dele_alloc_raw(scratch, (size_t)g->n_samples * cells, sizeof *out, err);
    for (int s = 0; out && s < g->n_samples; s++)
        memcpy(out + (size_t)s * cells, dele_cell(g, chart, which, s, metric, 0, 0),
               cells * sizeof *out);
    return out;
}

/* The arrays that ROME's notebooks read from a case file, under its names: means over samples,
 * float32 where its are. */
static dele_status put_rome(dele_npz *npz, const dele_traced *traced, const dele_chart *chart,
                            int which, dele_arena *scratch, dele_err *err)
{
    const dele_grid *g = &traced->grid;
    size_t T = (size_t)g->n_tokens, dims[2] = {T, (size_t)chart->n_cols};
    float *scores = dele_alloc_raw(scratch, dims[0] * dims[1], sizeof *scores, err),
          high = (float)g->high[DELE_PROB];
    int64_t *ids = DELE_NEW(scratch, int64_t, T, err), range[2] = {g->begin, g->end},
            window = chart->window;
    double low = dele_low_mean(g, DELE_PROB);
    if (!scores || !ids) return err->code;
    for (int t = 0; t < g->n_tokens; t++) {
        ids[t] = g->ids[t];
        for (int col = 0; col < chart->n_cols; col++)
            scores[(size_t)t * dims[1] + (size_t)col] =
                (float)dele_cell_mean(g, chart, which, DELE_PROB, t, col);
    }
    bool failed =
        dele_npz_f32(npz, "scores", scores, 2, dims, err) ||
        dele_npz_f64(npz, "low_score", &low, 0, NULL, err) ||
        dele_npz_f32(npz, "high_score", &high, 0, NULL, err) ||
        dele_npz_i64(npz, "input_ids", ids, 1, &T, err) ||
        dele_npz_strings(npz, "input_tokens", traced->tokens, T, err) ||
        dele_npz_i64(npz, "subject_range", range, 1, (size_t[]){2}, err) ||
        dele_npz_string(npz, "answer", traced->answer, err) ||
        dele_npz_i64(npz, "window", &window, 0, NULL, err) ||
        dele_npz_bool(npz, "correct_prediction", g->greedy, err) ||
        dele_npz_string(npz, "kind", chart->kind == DELE_HIDDEN ? "" : dele_kind_name[chart->kind],
                        err);
    return failed ? err->code : DELE_OK;
}

static dele_status put_samples(dele_npz *npz, const dele_traced *traced, const dele_chart *chart,
                               int which, dele_arena *scratch, dele_err *err)
{
    const dele_grid *g = &traced->grid;
    size_t dims[3] = {(size_t)g->n_samples, (size_t)g->n_tokens, (size_t)chart->n_cols},
           n = (size_t)g->n_answer;
    size_t low[2] = {dims[0], DELE_N_METRICS};
    int64_t foil = g->foil, *answer = DELE_NEW(scratch, int64_t, n, err);
    if (!answer) return err->code;
    for (size_t i = 0; i < n; i++) answer[i] = g->answer[i];
    for (int m = 0; m < DELE_N_METRICS; m++) {
        float *values = metric_values(g, chart, which, (dele_metric)m, scratch, err);
        if (!values || dele_npz_f32(npz, sample_name[m], values, 3, dims, err)) return err->code;
    }
    bool failed = dele_npz_f64(npz, "low", g->low, 2, low, err) ||
                  dele_npz_f64(npz, "high", g->high, 1, low + 1, err) ||
                  dele_npz_i64(npz, "answer_ids", answer, 1, &n, err) ||
                  dele_npz_i64(npz, "foil_id", &foil, 0, NULL, err) ||
                  dele_npz_f64(npz, "noop", &traced->noop, 0, NULL, err);
    return failed ? err->code : DELE_OK;
}

dele_status dele_record_save(const char *dir, const dele_traced *traced, const dele_trace *trace,
                             dele_err *err)
{
    const dele_chart *charts = trace->charts;
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    for (int i = 0; i < trace->n_charts && !status; i++) {
        dele_arena_reset(&scratch);
        char *path = record_path(dir, traced->fact->id, &charts[i], &scratch, err);
        dele_npz *npz = path ? dele_npz_open(path, err) : NULL;
        if (!npz) {
            status = err->code;
            break;
        }
        bool failed =
            put_rome(npz, traced, &charts[i], i, &scratch, err) ||
            put_samples(npz, traced, &charts[i], i, &scratch, err) ||
            (trace->n_experts && dele_route_record_put(npz, &traced->grid, trace, &scratch, err));
        if (dele_npz_close(npz, err) || failed) status = err->code;
    }
    dele_arena_release(&scratch);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

static dele_status check_prompt(const dele_grid *g, dele_npz_in *npz, const char *path,
                                dele_arena *scratch, dele_err *err)
{
    size_t T = (size_t)g->n_tokens, two = 2;
    int64_t *ids = dele_npz_in_i64(npz, "input_ids", 1, &T, scratch, err);
    int64_t *range = ids ? dele_npz_in_i64(npz, "subject_range", 1, &two, scratch, err) : NULL;
    if (!range) return err->code;
    bool same = range[0] == g->begin && range[1] == g->end;
    for (int t = 0; t < g->n_tokens; t++) same &= ids[t] == g->ids[t];
    return same ? DELE_OK
                : dele_fail(err, DELE_ERR_DATA,
                            "%s is the trace of another prompt; remove the directory it is in",
                            path);
}

static dele_status take_values(dele_grid *g, dele_npz_in *npz, const char *path,
                               const dele_chart *chart, int which, dele_arena *arena,
                               dele_arena *scratch, dele_err *err)
{
    size_t cells = (size_t)g->n_tokens * (size_t)chart->n_cols;
    size_t dims[3] = {(size_t)g->n_samples, (size_t)g->n_tokens, (size_t)chart->n_cols};
    g->value[which] =
        dele_alloc_raw(arena, (size_t)g->n_samples * DELE_N_METRICS * cells, sizeof(float), err);
    if (!g->value[which]) return err->code;
    for (int m = 0; m < DELE_N_METRICS; m++) {
        float *values = dele_npz_in_f32(npz, sample_name[m], 3, dims, scratch, err);
        if (!values) return err->code;
        for (size_t i = 0; i < dims[0] * cells; i++)
            if (!dele_metric_can_be((dele_metric)m, (double)values[i]))
                return dele_fail(err, DELE_ERR_DATA, "%s holds scores that are not finite", path);
        for (int s = 0; s < g->n_samples; s++)
            memcpy(dele_cell(g, chart, which, s, (dele_metric)m, 0, 0), values + (size_t)s * cells,
                   cells * sizeof *values);
    }
    return DELE_OK;
}

/* What all of a fact's files have in common, read from the first. */
static dele_status take_common(dele_traced *traced, dele_npz_in *npz, const char *path,
                               const dele_trace *trace, dele_arena *arena, dele_arena *scratch,
                               dele_err *err)
{
    dele_grid *g = &traced->grid;
    size_t low[2] = {0, DELE_N_METRICS}, five = DELE_N_METRICS, n = 0;
    g->low = dele_npz_in_f64(npz, "low", 2, low, arena, err);
    double *high = g->low ? dele_npz_in_f64(npz, "high", 1, &five, scratch, err) : NULL;
    int64_t *answer = high ? dele_npz_in_i64(npz, "answer_ids", 1, &n, scratch, err) : NULL;
    int64_t *foil = answer ? dele_npz_in_i64(npz, "foil_id", 0, NULL, scratch, err) : NULL;
    double *noop = foil ? dele_npz_in_f64(npz, "noop", 0, NULL, scratch, err) : NULL;
    int *ids = noop ? DELE_NEW(arena, int, n ? n : 1, err) : NULL;
    g->value = ids ? DELE_NEW(arena, float *, (size_t)trace->n_charts, err) : NULL;
    if (!g->value) return err->code;
    bool good = low[0] >= 1 && low[0] <= MOST_SAMPLES && n >= 1 && *foil >= -1 && *foil <= INT_MAX;
    for (size_t i = 0; i < n; i++) good &= answer[i] >= 0 && answer[i] <= INT_MAX;
    for (size_t i = 0; i < DELE_N_METRICS * low[0]; i++)
        good &= dele_metric_can_be((dele_metric)(i % DELE_N_METRICS), g->low[i]);
    for (int m = 0; m < DELE_N_METRICS; m++)
        good &= !isnan(high[m]) && dele_metric_can_be((dele_metric)m, high[m]);
    if (!good) return dele_fail(err, DELE_ERR_DATA, "%s has scores or ids out of range", path);
    for (size_t i = 0; i < n; i++) ids[i] = (int)answer[i];
    memcpy(g->high, high, sizeof g->high);
    g->n_samples = (int)low[0];
    g->answer = ids;
    g->n_answer = (int)n;
    g->foil = (int)*foil;
    traced->noop = *noop;
    return trace->n_experts ? dele_route_record_take(g, npz, path, trace, arena, scratch, err)
                            : DELE_OK;
}

dele_status dele_record_load(dele_traced *traced, const char *dir, const dele_trace *trace,
                             dele_arena *arena, dele_err *err)
{
    const dele_chart *charts = trace->charts;
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    for (int i = 0; i < trace->n_charts && !status; i++) {
        dele_arena_reset(&scratch);
        char *path = record_path(dir, traced->fact->id, &charts[i], &scratch, err);
        dele_npz_in *npz = path ? dele_npz_in_open(path, err) : NULL;
        bool failed = !npz || check_prompt(&traced->grid, npz, path, &scratch, err) ||
                      (i == 0 && take_common(traced, npz, path, trace, arena, &scratch, err)) ||
                      take_values(&traced->grid, npz, path, &charts[i], i, arena, &scratch, err);
        if (failed) status = err->code;
        dele_npz_in_close(npz);
    }
    dele_arena_release(&scratch);
    return status;
}

/* ---- facts.jsonl and trace.json -------------------------------------------------------------- */

static cJSON *number_array(const int *x, int n)
{
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < n; i++) cJSON_AddItemToArray(array, cJSON_CreateNumber(x[i]));
    return array;
}

static void add_text(cJSON *row, const char *name, const char *text)
{
    if (text) cJSON_AddStringToObject(row, name, text);
}

/* A line of facts.jsonl.  A fact that was left out has its reason and no result; one whose prompt
 * was not read has no tokens either. */
static cJSON *fact_json(const dele_traced *traced)
{
    const dele_grid *g = &traced->grid;
    cJSON *row = cJSON_CreateObject(), *tokens;
    cJSON_AddNumberToObject(row, "id", traced->fact->id);
    cJSON_AddStringToObject(row, "prompt", traced->fact->prompt);
    cJSON_AddStringToObject(row, "subject", traced->fact->subject);
    cJSON_AddStringToObject(row, "attribute", traced->fact->attribute);
    add_text(row, "relation_id", traced->fact->relation);
    add_text(row, "split", traced->fact->split);
    cJSON_AddBoolToObject(row, "traced", !traced->left_out);
    add_text(row, "reason", traced->left_out);
    add_text(row, "left_out", traced->why);
    cJSON_AddItemToObject(row, "input_ids", number_array(g->ids, g->n_tokens));
    cJSON_AddItemToObject(row, "tokens", tokens = cJSON_CreateArray());
    for (int t = 0; t < g->n_tokens; t++)
        cJSON_AddItemToArray(tokens, cJSON_CreateString(traced->tokens[t]));
    if (g->end > g->begin)
        cJSON_AddItemToObject(row, "subject_range", number_array((int[]){g->begin, g->end}, 2));
    if (traced->answer) {
        cJSON_AddStringToObject(row, "answer", traced->answer);
        cJSON_AddItemToObject(row, "answer_ids", number_array(g->answer, g->n_answer));
        cJSON_AddNumberToObject(row, "answer_id", g->answer[0]);
        cJSON_AddItemToObject(row, "clean", dele_json_number(g->high[DELE_PROB]));
    }
    if (traced->left_out) return row;
    cJSON_AddItemToObject(row, "corrupted", dele_json_number(dele_low_mean(g, DELE_PROB)));
    add_text(row, "foil", traced->foil);
    add_text(row, "partner", traced->partner);
    cJSON_AddNumberToObject(row, "samples", g->n_samples);
    if (isfinite(traced->noop)) cJSON_AddItemToObject(row, "noop", dele_json_number(traced->noop));
    return row;
}

static dele_status write_facts(const dele_trace *trace, const char *dir, dele_err *err)
{
    dele_writer out = {0};
    char path[1200];
    snprintf(path, sizeof path, "%s/facts.jsonl", dir);
    if (dele_writer_open(&out, path, err)) return err->code;
    for (size_t i = 0; i < trace->n; i++) {
        cJSON *row = fact_json(&trace->facts[i]);
        char *line = row ? dele_json_text(row, false) : NULL;
        cJSON_Delete(row);
        if (!line) {
            dele_writer_abandon(&out);
            return dele_fail(err, DELE_ERR_MEMORY, "out of memory while writing facts.jsonl");
        }
        fprintf(out.stream, "%s\n", line);
        cJSON_free(line);
    }
    return dele_writer_commit(&out, err);
}

static void add_mixture(cJSON *json, const dele_trace *trace)
{
    cJSON *dense;
    cJSON_AddNumberToObject(json, "n_experts", trace->n_experts);
    cJSON_AddNumberToObject(json, "top_k", trace->top_k);
    cJSON_AddItemToObject(json, "dense_layers", dense = cJSON_CreateArray());
    for (int l = 0; l < trace->n_layers; l++)
        if (trace->dense[l]) cJSON_AddItemToArray(dense, cJSON_CreateNumber(l));
}

dele_status dele_trace_save_facts(const dele_trace *trace, const char *dir, dele_err *err)
{
    char path[1200];
    cJSON *json = cJSON_CreateObject(), *charts;
    cJSON_AddNumberToObject(json, "n_layers", trace->n_layers);
    cJSON_AddNumberToObject(json, "n_heads", trace->n_heads);
    if (trace->n_experts) add_mixture(json, trace);
    cJSON_AddStringToObject(json, "direction", dele_direction_name[trace->noising]);
    cJSON_AddStringToObject(json, "corrupt", dele_corrupt_name[trace->opts.corrupt]);
    cJSON_AddStringToObject(json, "noise",
                            trace->opts.sigma > 0 ? "" : trace->opts.noise); /* sigma verbatim */
    cJSON_AddBoolToObject(json, "replace", trace->opts.replace);
    cJSON_AddBoolToObject(json, "shared_noise", dele_shares_noise(&trace->opts));
    cJSON_AddStringToObject(json, "edges", dele_edges_name[trace->paper_edges]);
    cJSON_AddStringToObject(json, "model", trace->model);
    cJSON_AddItemToObject(json, "sigma", dele_json_number(trace->sigma));
    cJSON_AddItemToObject(json, "charts", charts = cJSON_CreateArray());
    for (int i = 0; i < trace->n_charts; i++) {
        cJSON *chart = cJSON_CreateObject();
        cJSON_AddStringToObject(chart, "name", trace->charts[i].name);
        cJSON_AddStringToObject(chart, "kind", dele_kind_name[trace->charts[i].kind]);
        cJSON_AddNumberToObject(chart, "severed", trace->charts[i].sever);
        cJSON_AddNumberToObject(chart, "window", trace->charts[i].window);
        cJSON_AddNumberToObject(chart, "columns", trace->charts[i].n_cols);
        cJSON_AddItemToArray(charts, chart);
    }
    snprintf(path, sizeof path, "%s/trace.json", dir);
    dele_status status = dele_json_save(path, json, err);
    cJSON_Delete(json);
    return status ? status : write_facts(trace, dir, err);
}

/* ---- a whole result -------------------------------------------------------------------------- */

/* The whole number of that name in [low, high]; false: there is none. */
static bool whole_number(int *x, const cJSON *row, const char *name, int low, int high)
{
    *x = 0;
    return dele_json_int(x, dele_json_get(row, name)) && *x >= low && *x <= high;
}

/* Which of the words, which end with NULL, the text of that name is; -1: none. */
static int word_of(const cJSON *row, const char *name, const char *const *words)
{
    const char *text = dele_json_string(row, name);
    int i = 0;
    while (words[i] && (!text || strcmp(text, words[i]))) i++;
    return words[i] ? i : -1;
}

static const char *text_of(const cJSON *row, const char *name, dele_arena *arena, dele_err *err)
{
    const char *text = dele_json_string(row, name);
    return text ? dele_strdup(arena, text, err) : NULL;
}

/* The array of ids of that name; NULL where it is none, or holds what is no id (err not set). */
static int *numbers_of(int *n, const cJSON *row, const char *name, dele_arena *arena, dele_err *err)
{
    const cJSON *array = dele_json_get(row, name), *item;
    *n = 0;
    int *out = DELE_NEW(arena, int, (size_t)cJSON_GetArraySize(array) + 1, err);
    if (!out || !cJSON_IsArray(array)) return NULL;
    cJSON_ArrayForEach(item, array) if (!dele_json_int(&out[(*n)++], item) ||
                                        out[*n - 1] < 0) return NULL;
    return out;
}

/* A chart is one that plan.c makes for this model: columns and name follow from its kind, window
 * and severed path. */
static bool read_chart(dele_chart *chart, const cJSON *row, const dele_trace *trace)
{
    static const char *const severed[DELE_N_SEVERS] = {"", "mlp", "attn"};
    const char *name = dele_json_string(row, "name");
    int kind = word_of(row, "kind", dele_kind_name), sever;
    if (!name || kind < 0 || strlen(name) >= sizeof chart->name) return false;
    *chart = (dele_chart){.kind = (dele_kind)kind};
    snprintf(chart->name, sizeof chart->name, "%s", name);
    const bool windowed = dele_kind_has_windows(chart->kind);
    if (!whole_number(&sever, row, "severed", 0, kind == DELE_HIDDEN ? DELE_N_SEVERS - 1 : 0) ||
        !whole_number(&chart->window, row, "window", 1, windowed ? 1 << 20 : 1) ||
        !whole_number(&chart->n_cols, row, "columns", 1, INT_MAX))
        return false;
    chart->sever = (dele_sever)sever;
    char plain[32], wide[32];
    snprintf(plain, sizeof plain, sever ? "%s_no_%s" : "%s%s", dele_kind_name[kind],
             severed[sever]);
    snprintf(wide, sizeof wide, "%s_w%d", dele_kind_name[kind], chart->window);
    if (dele_kind_is_of_experts(chart->kind) && !trace->n_experts) return false;
    const long long L = kind == DELE_EMBEDDING ? 1 : trace->n_layers,
                    columns = L * dele_chart_units(trace, chart);
    return chart->n_cols == columns && (!strcmp(name, plain) || (windowed && !strcmp(name, wide)));
}

/* The charts of trace.json, held against what deleatur writes: the sizes of all later tables follow
 * from them. */
static dele_status load_charts(dele_trace *trace, const cJSON *json, const char *path,
                               dele_arena *arena, dele_err *err)
{
    const cJSON *charts = dele_json_get(json, "charts"), *row;
    trace->charts = DELE_NEW(arena, dele_chart, (size_t)cJSON_GetArraySize(charts) + 1, err);
    if (!trace->charts) return err->code;
    if (cJSON_GetArraySize(charts) > MOST_CHARTS)
        return dele_fail(err, DELE_ERR_DATA, "%s names %d charts; there are at most %d", path,
                         cJSON_GetArraySize(charts), MOST_CHARTS);
    cJSON_ArrayForEach(row, charts)
    {
        dele_chart *chart = &trace->charts[trace->n_charts++];
        if (!read_chart(chart, row, trace))
            return dele_fail(
                err, DELE_ERR_DATA,
                "%s: chart %d is not what deleatur writes for %d layers of %d heads (name, kind, "
                "severed, window or columns)",
                path, trace->n_charts, trace->n_layers, trace->n_heads);
        for (int i = 0; i < trace->n_charts - 1; i++)
            if (!strcmp(trace->charts[i].name, chart->name))
                return dele_fail(err, DELE_ERR_DATA, "%s: the chart \"%s\" is there twice", path,
                                 chart->name);
    }
    return trace->n_charts ? DELE_OK : dele_fail(err, DELE_ERR_DATA, "%s names no charts", path);
}

/* The experts of a mixture's layers, which trace.json has for mixtures alone.  NULL, or the name of
 * a field that is not as deleatur writes it. */
static const char *load_experts(dele_trace *trace, const cJSON *json, dele_arena *arena,
                                dele_err *err)
{
    int n_dense = 0;
    trace->dense = DELE_NEW(arena, bool, (size_t)trace->n_layers, err);
    if (!trace->dense || !dele_json_get(json, "n_experts")) return NULL;
    if (!whole_number(&trace->n_experts, json, "n_experts", 1, DELE_MAX_EXPERTS))
        return "n_experts";
    if (!whole_number(&trace->top_k, json, "top_k", 1, trace->n_experts)) return "top_k";
    const int *dense = numbers_of(&n_dense, json, "dense_layers", arena, err);
    if (!dense) return "dense_layers";
    for (int i = 0; i < n_dense; i++) {
        if (dense[i] >= trace->n_layers || trace->dense[dense[i]]) return "dense_layers";
        trace->dense[dense[i]] = true;
    }
    return n_dense < trace->n_layers ? NULL : "dense_layers";
}

/* The settings of trace.json that a comparison or a page needs, each held against what deleatur
 * writes there: the file may have been made elsewhere. */
static dele_status load_settings(dele_trace *trace, const char *path, dele_arena *arena,
                                 dele_err *err)
{
    cJSON *json = dele_json_load_result(path, err);
    if (!json) return err->code;
    const cJSON *sigma = dele_json_get(json, "sigma");
    const int direction = word_of(json, "direction", dele_direction_name),
              edges = word_of(json, "edges", dele_edges_name),
              corrupt = word_of(json, "corrupt", dele_corrupt_name);
    const char *wrong =
        !whole_number(&trace->n_layers, json, "n_layers", 1, 1 << 16) ? "n_layers"
        : !whole_number(&trace->n_heads, json, "n_heads", 1, 1 << 16) ? "n_heads"
        : direction < 0                                               ? "direction"
        : edges < 0                                                   ? "edges"
        : corrupt < 0                                                 ? "corrupt"
        : !cJSON_IsNumber(sigma) || !isfinite(sigma->valuedouble) || sigma->valuedouble < 0
            ? "sigma"
        : !cJSON_IsBool(dele_json_get(json, "shared_noise")) ? "shared_noise"
        : !cJSON_IsBool(dele_json_get(json, "replace"))      ? "replace"
                                                             : NULL;
    if (!wrong) wrong = load_experts(trace, json, arena, err);
    if (wrong && !err->code)
        dele_fail(err, DELE_ERR_DATA, "%s: \"%s\" is not what deleatur writes there", path, wrong);
    trace->noising = direction == DELE_NOISE;
    trace->paper_edges = edges == DELE_EDGES_PAPER;
    trace->opts.noise_seed =
        cJSON_IsTrue(dele_json_get(json, "shared_noise")) ? DELE_NOISE_SHARED : DELE_NOISE_PER_FACT;
    trace->opts.replace = cJSON_IsTrue(dele_json_get(json, "replace"));
    trace->opts.corrupt = wrong ? DELE_CORRUPT_NOISE : (dele_corrupt_by)corrupt;
    trace->opts.noise = text_of(json, "noise", arena, err);
    trace->model = text_of(json, "model", arena, err);
    trace->sigma = wrong ? 0 : sigma->valuedouble;
    if (!wrong && !err->code) load_charts(trace, json, path, arena, err);
    cJSON_Delete(json);
    return err->code;
}

/* Reads the prompt and its tokens from a line of facts.jsonl.  NULL, or the name of a field that is
 * not as deleatur writes it. */
static const char *load_prompt(dele_traced *traced, dele_fact *fact, const cJSON *row,
                               dele_arena *arena, dele_err *err)
{
    int n_range = 0, n_names = 0;
    const cJSON *tokens = dele_json_get(row, "tokens"), *item;
    if (!whole_number(&fact->id, row, "id", INT_MIN, INT_MAX)) return "id";
    if (!fact->prompt) return "prompt";
    if (!fact->subject) return "subject";
    if (!fact->attribute) return "attribute";
    if (!(traced->grid.ids = numbers_of(&traced->grid.n_tokens, row, "input_ids", arena, err)))
        return "input_ids";
    const int *range = dele_json_get(row, "subject_range")
                           ? numbers_of(&n_range, row, "subject_range", arena, err)
                           : NULL;
    if (dele_json_get(row, "subject_range") && (!range || n_range != 2)) return "subject_range";
    if (range) traced->grid.begin = range[0], traced->grid.end = range[1];
    traced->tokens = DELE_NEW(arena, const char *, (size_t)cJSON_GetArraySize(tokens) + 1, err);
    cJSON_ArrayForEach(item, tokens)
    {
        if (err->code || !cJSON_IsString(item)) return "tokens";
        traced->tokens[n_names++] = dele_strdup(arena, item->valuestring, err);
    }
    return n_names == traced->grid.n_tokens ? NULL : "tokens";
}

/* A line of facts.jsonl and, where the fact was traced, its record.  Token positions are checked
 * here, because every table indexes by them. */
static dele_status load_fact(dele_trace *trace, const dele_records *r, const cJSON *row,
                             const char *dir, dele_arena *arena, dele_err *err)
{
    dele_traced *traced = &trace->facts[trace->n++];
    dele_fact *fact = DELE_NEW(arena, dele_fact, 1, err);
    if (!fact) return err->code;
    *traced = (dele_traced){.fact = fact};
    fact->line = r->line;
    fact->prompt = text_of(row, "prompt", arena, err);
    fact->subject = text_of(row, "subject", arena, err);
    fact->attribute = text_of(row, "attribute", arena, err);
    fact->relation = text_of(row, "relation_id", arena, err);
    fact->split = text_of(row, "split", arena, err);
    traced->left_out = text_of(row, "reason", arena, err);
    traced->answer = text_of(row, "answer", arena, err);
    traced->foil = text_of(row, "foil", arena, err);
    traced->partner = text_of(row, "partner", arena, err);
    const char *wrong = load_prompt(traced, fact, row, arena, err);
    if (err->code) return err->code;
    if (wrong)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: \"%s\" is not what deleatur trace writes there", r->path, r->line,
                         wrong);
    if (traced->left_out) return DELE_OK;
    const dele_grid *g = &traced->grid;
    if (!traced->answer || g->n_tokens < 1 || g->begin < 0 || g->begin >= g->end ||
        g->end > g->n_tokens)
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: a traced fact without answer or subject",
                         r->path, r->line);
    trace->n_traced++;
    return dele_record_load(traced, dir, trace, arena, err);
}

static int by_id(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* Files are named by id, so each id is one fact's. */
static dele_status check_ids(const dele_trace *trace, const char *path, dele_arena *arena,
                             dele_err *err)
{
    int *id = DELE_NEW(arena, int, trace->n + 1, err);
    if (!id) return err->code;
    for (size_t i = 0; i < trace->n; i++) id[i] = trace->facts[i].fact->id;
    qsort(id, trace->n, sizeof *id, by_id);
    for (size_t i = 1; i < trace->n; i++)
        if (id[i - 1] == id[i])
            return dele_fail(err, DELE_ERR_DATA, "%s: the fact %d is there twice", path, id[i]);
    return DELE_OK;
}

dele_status dele_trace_load(dele_trace *trace, const char *dir, dele_arena *arena, dele_err *err)
{
    *trace = (dele_trace){.opts = DELE_TRACE_DEFAULTS};
    char *settings = dele_printf(arena, err, "%s/trace.json", dir),
         *path = dele_printf(arena, err, "%s/facts.jsonl", dir);
    if (!settings || !path || dele_former_refuse(dir, err) ||
        load_settings(trace, settings, arena, err))
        return err->code;
    dele_records r = {0};
    size_t n = 0;
    dele_status status = dele_records_open(&r, path, err);
    while (!status && dele_records_next(&r, err)) n++;
    dele_records_close(&r);
    if (status || err->code) return err->code;
    trace->facts = DELE_NEW(arena, dele_traced, n + 1, err);
    if (!trace->facts) return err->code;
    r = (dele_records){0};
    status = dele_records_open(&r, path, err);
    const cJSON *row;
    while (!status && (row = dele_records_next(&r, err)))
        status = load_fact(trace, &r, row, dir, arena, err);
    dele_records_close(&r);
    if (!status && !err->code) check_ids(trace, path, arena, err);
    return status ? status : err->code;
}
