#include "trace/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/npz.h"
#include "trace/rows.h"

static const char *const sample_name[DELE_N_METRICS] = {"sample_scores", "sample_logp", "sample_logit_diff", "sample_rank",
                                                       "sample_kl"};

static char *record_path(const char *dir, int id, const dele_chart *chart, dele_arena *arena, dele_err *err)
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

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* One metric's [S, T, C] out of the grid's [S, metrics, T, C]. */
static float *metric_values(const dele_grid *g, const dele_chart *chart, int which, dele_metric metric, dele_arena *scratch,
                            dele_err *err)
{
    size_t cells = (size_t)g->n_tokens * (size_t)chart->n_cols;
    float *out = dele_alloc_raw(scratch, (size_t)g->n_samples * cells, sizeof *out, err);
    for (int s = 0; out && s < g->n_samples; s++)
        memcpy(out + (size_t)s * cells, dele_cell(g, chart, which, s, metric, 0, 0), cells * sizeof *out);
    return out;
}

static dele_status put_rome(dele_npz *npz, const dele_traced *traced, const dele_chart *chart, int which, dele_arena *scratch,
                           dele_err *err)
{
    const dele_grid *g = &traced->grid;
    size_t T = (size_t)g->n_tokens, dims[2] = {T, (size_t)chart->n_cols};
    float *scores = dele_alloc_raw(scratch, dims[0] * dims[1], sizeof *scores, err), high = (float)g->high[DELE_PROB];
    int64_t *ids = DELE_NEW(scratch, int64_t, T, err), range[2] = {g->begin, g->end}, window = chart->window;
    double low = dele_low_mean(g, DELE_PROB);
    if (!scores || !ids) return err->code;
    for (int t = 0; t < g->n_tokens; t++) {
        ids[t] = g->ids[t];
        for (int col = 0; col < chart->n_cols; col++)
            scores[(size_t)t * dims[1] + (size_t)col] = (float)dele_cell_mean(g, chart, which, DELE_PROB, t, col);
    }
    bool failed = dele_npz_f32(npz, "scores", scores, 2, dims, err) || dele_npz_f64(npz, "low_score", &low, 0, NULL, err) ||
                  dele_npz_f32(npz, "high_score", &high, 0, NULL, err) || dele_npz_i64(npz, "input_ids", ids, 1, &T, err) ||
                  dele_npz_strings(npz, "input_tokens", traced->tokens, T, err) ||
                  dele_npz_i64(npz, "subject_range", range, 1, (size_t[]){2}, err) ||
                  dele_npz_string(npz, "answer", traced->answer, err) || dele_npz_i64(npz, "window", &window, 0, NULL, err) ||
                  dele_npz_bool(npz, "correct_prediction", g->greedy, err) ||
                  dele_npz_string(npz, "kind", chart->kind == DELE_HIDDEN ? "" : dele_kind_name[chart->kind], err);
    return failed ? err->code : DELE_OK;
}

static dele_status put_samples(dele_npz *npz, const dele_traced *traced, const dele_chart *chart, int which, dele_arena *scratch,
                              dele_err *err)
{
    const dele_grid *g = &traced->grid;
    size_t dims[3] = {(size_t)g->n_samples, (size_t)g->n_tokens, (size_t)chart->n_cols}, n = (size_t)g->n_answer;
    size_t low[2] = {dims[0], DELE_N_METRICS};
    int64_t foil = g->foil, *answer = DELE_NEW(scratch, int64_t, n, err);
    if (!answer) return err->code;
    for (size_t i = 0; i < n; i++) answer[i] = g->answer[i];
    for (int m = 0; m < DELE_N_METRICS; m++) {
        float *values = metric_values(g, chart, which, (dele_metric)m, scratch, err);
        if (!values || dele_npz_f32(npz, sample_name[m], values, 3, dims, err)) return err->code;
    }
    bool failed = dele_npz_f64(npz, "low", g->low, 2, low, err) || dele_npz_f64(npz, "high", g->high, 1, low + 1, err) ||
                  dele_npz_i64(npz, "answer_ids", answer, 1, &n, err) || dele_npz_i64(npz, "foil_id", &foil, 0, NULL, err) ||
                  dele_npz_f64(npz, "noop", &traced->noop, 0, NULL, err);
    return failed ? err->code : DELE_OK;
}

dele_status dele_record_save(const char *dir, const dele_traced *traced, const dele_chart *charts, int n_charts, dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    for (int i = 0; i < n_charts && !status; i++) {
        dele_arena_reset(&scratch);
        char *path = record_path(dir, traced->fact->id, &charts[i], &scratch, err);
        dele_npz *npz = path ? dele_npz_open(path, err) : NULL;
        if (!npz) {
            status = err->code;
            break;
        }
        bool failed = put_rome(npz, traced, &charts[i], i, &scratch, err) || put_samples(npz, traced, &charts[i], i, &scratch, err);
        if (dele_npz_close(npz, err) || failed) status = err->code;
    }
    dele_arena_release(&scratch);
    return status;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static dele_status check_prompt(const dele_grid *g, dele_npz_in *npz, const char *path, dele_arena *scratch, dele_err *err)
{
    size_t T = (size_t)g->n_tokens, two = 2;
    int64_t *ids = dele_npz_in_i64(npz, "input_ids", 1, &T, scratch, err);
    int64_t *range = ids ? dele_npz_in_i64(npz, "subject_range", 1, &two, scratch, err) : NULL;
    if (!range) return err->code;
    bool same = range[0] == g->begin && range[1] == g->end;
    for (int t = 0; t < g->n_tokens; t++) same &= ids[t] == g->ids[t];
    return same ? DELE_OK : dele_fail(err, DELE_ERR_DATA, "%s is the trace of another prompt; remove the directory it is in", path);
}

static dele_status take_values(dele_grid *g, dele_npz_in *npz, const dele_chart *chart, int which, dele_arena *arena,
                              dele_arena *scratch, dele_err *err)
{
    size_t cells = (size_t)g->n_tokens * (size_t)chart->n_cols;
    size_t dims[3] = {(size_t)g->n_samples, (size_t)g->n_tokens, (size_t)chart->n_cols};
    g->value[which] = dele_alloc_raw(arena, (size_t)g->n_samples * DELE_N_METRICS * cells, sizeof(float), err);
    if (!g->value[which]) return err->code;
    for (int m = 0; m < DELE_N_METRICS; m++) {
        float *values = dele_npz_in_f32(npz, sample_name[m], 3, dims, scratch, err);
        if (!values) return err->code;
        for (int s = 0; s < g->n_samples; s++)
            memcpy(dele_cell(g, chart, which, s, (dele_metric)m, 0, 0), values + (size_t)s * cells, cells * sizeof *values);
    }
    return DELE_OK;
}

/* What all of a fact's files say alike: taken from the first. */
static dele_status take_common(dele_traced *traced, dele_npz_in *npz, int n_charts, dele_arena *arena, dele_arena *scratch, dele_err *err)
{
    dele_grid *g = &traced->grid;
    size_t low[2] = {0, DELE_N_METRICS}, five = DELE_N_METRICS, n = 0;
    g->low = dele_npz_in_f64(npz, "low", 2, low, arena, err);
    double *high = g->low ? dele_npz_in_f64(npz, "high", 1, &five, scratch, err) : NULL;
    int64_t *answer = high ? dele_npz_in_i64(npz, "answer_ids", 1, &n, scratch, err) : NULL;
    int64_t *foil = answer ? dele_npz_in_i64(npz, "foil_id", 0, NULL, scratch, err) : NULL;
    double *noop = foil ? dele_npz_in_f64(npz, "noop", 0, NULL, scratch, err) : NULL;
    int *ids = noop ? DELE_NEW(arena, int, n ? n : 1, err) : NULL;
    g->value = ids ? DELE_NEW(arena, float *, (size_t)n_charts, err) : NULL;
    if (!g->value) return err->code;
    for (size_t i = 0; i < n; i++) ids[i] = (int)answer[i];
    memcpy(g->high, high, sizeof g->high);
    g->n_samples = (int)low[0];
    g->answer = ids;
    g->n_answer = (int)n;
    g->foil = (int)*foil;
    traced->noop = *noop;
    return DELE_OK;
}

dele_status dele_record_load(dele_traced *traced, const char *dir, const dele_chart *charts, int n_charts, dele_arena *arena,
                           dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    for (int i = 0; i < n_charts && !status; i++) {
        dele_arena_reset(&scratch);
        char *path = record_path(dir, traced->fact->id, &charts[i], &scratch, err);
        dele_npz_in *npz = path ? dele_npz_in_open(path, err) : NULL;
        bool failed = !npz || check_prompt(&traced->grid, npz, path, &scratch, err) ||
                      (i == 0 && take_common(traced, npz, n_charts, arena, &scratch, err)) ||
                      take_values(&traced->grid, npz, &charts[i], i, arena, &scratch, err);
        if (failed) status = err->code;
        dele_npz_in_close(npz);
    }
    dele_arena_release(&scratch);
    return status;
}

/* ---- facts.jsonl and trace.json --------------------------------------------------------------------------------- */

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
    for (int t = 0; t < g->n_tokens; t++) cJSON_AddItemToArray(tokens, cJSON_CreateString(traced->tokens[t]));
    if (g->end > g->begin) cJSON_AddItemToObject(row, "subject_range", number_array((int[]){g->begin, g->end}, 2));
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
        char *line = row ? cJSON_PrintUnformatted(row) : NULL;
        cJSON_Delete(row);
        if (!line) {
            dele_writer_abandon(&out);
            return dele_fail(err, DELE_ERR_MEMORY, "out of memory while writing facts.jsonl");
        }
        fprintf(out.stream, "%s\n", line);
        free(line);
    }
    return dele_writer_commit(&out, err);
}

dele_status dele_trace_save_facts(const dele_trace *trace, const char *dir, dele_err *err)
{
    char path[1200];
    cJSON *json = cJSON_CreateObject(), *charts;
    cJSON_AddNumberToObject(json, "n_layers", trace->n_layers);
    cJSON_AddNumberToObject(json, "n_heads", trace->n_heads);
    cJSON_AddStringToObject(json, "direction", trace->noising ? "noise" : "denoise");
    cJSON_AddStringToObject(json, "corrupt", trace->opts.corrupt);
    cJSON_AddStringToObject(json, "noise", trace->opts.sigma > 0 ? "" : trace->opts.noise); /* sigma verbatim */
    cJSON_AddBoolToObject(json, "replace", trace->opts.replace);
    cJSON_AddBoolToObject(json, "shared_noise", dele_shares_noise(trace));
    cJSON_AddStringToObject(json, "edges", trace->paper_edges ? "paper" : "code");
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

/* ---- a whole result --------------------------------------------------------------------------------------------- */

static int whole_number(const cJSON *row, const char *name, int low, int high, int otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, name);
    bool good = cJSON_IsNumber(item) && item->valuedouble >= low && item->valuedouble <= high;
    return good ? item->valueint : otherwise;
}

static const char *text_of(const cJSON *row, const char *name, dele_arena *arena, dele_err *err)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, name));
    return text ? dele_strdup(arena, text, err) : NULL;
}

static int *numbers_of(int *n, const cJSON *row, const char *name, dele_arena *arena, dele_err *err)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(row, name), *item;
    *n = 0;
    int *out = DELE_NEW(arena, int, (size_t)cJSON_GetArraySize(array) + 1, err);
    if (out) cJSON_ArrayForEach(item, array) out[(*n)++] = item->valueint;
    return out;
}

static dele_status load_charts(dele_trace *trace, const cJSON *json, const char *path, dele_arena *arena, dele_err *err)
{
    const cJSON *charts = cJSON_GetObjectItemCaseSensitive(json, "charts"), *row;
    trace->charts = DELE_NEW(arena, dele_chart, (size_t)cJSON_GetArraySize(charts) + 1, err);
    if (!trace->charts) return err->code;
    cJSON_ArrayForEach(row, charts) {
        dele_chart *chart = &trace->charts[trace->n_charts++];
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "name"));
        const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "kind"));
        int k = 0;
        while (kind && k < DELE_N_KINDS && strcmp(kind, dele_kind_name[k])) k++;
        *chart = (dele_chart){.kind = (dele_kind)k, .sever = (dele_sever)whole_number(row, "severed", 0, DELE_N_SEVERS - 1, 0),
                             .window = whole_number(row, "window", 1, 1 << 20, 0),
                             .n_cols = whole_number(row, "columns", 1, 1 << 24, 0)};
        if (!name || !kind || k == DELE_N_KINDS || !chart->window || !chart->n_cols || strlen(name) >= sizeof chart->name ||
            strpbrk(name, "/."))
            return dele_fail(err, DELE_ERR_DATA, "%s: chart %d is not what deleatur writes there", path, trace->n_charts);
        snprintf(chart->name, sizeof chart->name, "%s", name);
    }
    return trace->n_charts ? DELE_OK : dele_fail(err, DELE_ERR_DATA, "%s names no charts", path);
}

static dele_status load_settings(dele_trace *trace, const char *path, dele_arena *arena, dele_err *err)
{
    cJSON *json = dele_json_load(path, err);
    if (!json) return err->code;
    const char *direction = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "direction"));
    const char *edges = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "edges"));
    const cJSON *sigma = cJSON_GetObjectItemCaseSensitive(json, "sigma");
    trace->n_layers = whole_number(json, "n_layers", 1, 1 << 16, 0);
    trace->n_heads = whole_number(json, "n_heads", 1, 1 << 16, 1);
    trace->noising = direction && !strcmp(direction, "noise");
    trace->paper_edges = edges && !strcmp(edges, "paper");
    bool shared = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "shared_noise"));
    trace->opts.noise_seed = shared ? "shared" : "per-fact";
    trace->opts.replace = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "replace"));
    trace->opts.corrupt = text_of(json, "corrupt", arena, err);
    trace->opts.noise = text_of(json, "noise", arena, err);
    trace->model = text_of(json, "model", arena, err);
    trace->sigma = cJSON_IsNumber(sigma) ? sigma->valuedouble : 0;
    dele_status status = trace->n_layers ? load_charts(trace, json, path, arena, err)
                                        : dele_fail(err, DELE_ERR_DATA, "%s has no number n_layers", path);
    cJSON_Delete(json);
    return status ? status : err->code;
}

static dele_status load_fact(dele_trace *trace, const dele_records *r, const cJSON *row, const char *dir, dele_arena *arena,
                            dele_err *err)
{
    dele_traced *traced = &trace->facts[trace->n++];
    dele_fact *fact = DELE_NEW(arena, dele_fact, 1, err);
    int n_tokens, n_range, n_names = 0;
    if (!fact) return err->code;
    *traced = (dele_traced){.fact = fact};
    fact->id = whole_number(row, "id", -(1 << 30), 1 << 30, 0);
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
    traced->grid.ids = numbers_of(&n_tokens, row, "input_ids", arena, err);
    const int *range = numbers_of(&n_range, row, "subject_range", arena, err);
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(row, "tokens"), *item;
    traced->tokens = DELE_NEW(arena, const char *, (size_t)cJSON_GetArraySize(tokens) + 1, err);
    if (err->code) return err->code;
    cJSON_ArrayForEach(item, tokens) {
        traced->tokens[n_names] = dele_strdup(arena, cJSON_IsString(item) ? item->valuestring : "", err);
        if (!traced->tokens[n_names++]) return err->code;
    }
    traced->grid.n_tokens = n_tokens;
    if (n_range == 2) traced->grid.begin = range[0], traced->grid.end = range[1];
    if (!fact->prompt || !fact->subject || !fact->attribute || n_names != n_tokens)
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: not a line that deleatur trace writes", r->path, r->line);
    if (traced->left_out) return DELE_OK;
    if (!traced->answer || n_tokens < 1 || traced->grid.begin < 0 || traced->grid.begin >= traced->grid.end ||
        traced->grid.end > n_tokens)
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: a traced fact without answer or subject", r->path, r->line);
    trace->n_traced++;
    return dele_record_load(traced, dir, trace->charts, trace->n_charts, arena, err);
}

dele_status dele_trace_load(dele_trace *trace, const char *dir, dele_arena *arena, dele_err *err)
{
    *trace = (dele_trace){.opts = DELE_TRACE_DEFAULTS};
    char *settings = dele_printf(arena, err, "%s/trace.json", dir), *path = dele_printf(arena, err, "%s/facts.jsonl", dir);
    if (!settings || !path || load_settings(trace, settings, arena, err)) return err->code;
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
    while (!status && (row = dele_records_next(&r, err))) status = load_fact(trace, &r, row, dir, arena, err);
    dele_records_close(&r);
    return status ? status : err->code;
}
