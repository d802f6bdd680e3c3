/* The depth score: identities first, then the plain way, then a PyTorch transcription
 * (tests/reference/depth.py), then what rows it takes. */
#include "tiny_models.h"

#include "base/file.h"
#include "byte_tokenizer.h"
#include "scratch.h"
#include "trace/depth/depth.h"

/* ---- three tiny models ----------------------------------------------------------------------- */

enum { N_ROWS = 6 };

typedef struct {
    dele_arena arena;
    dele_model model[DELE_N_DEPTH_MODELS];
    const dele_model *models[DELE_N_DEPTH_MODELS];
    dele_depth depth;
} trio;

static const int SHAPE[N_ROWS][2] = {{7, 5},   {9, 4}, {3, 1},
                                     {12, 11}, {6, 3}, {20, 13}}; /* ids, first of the entity */

/* Behind a norm a factor of the output projection is gone: the norm's own weight gets it. */
static bool is_changed(dele_slot slot)
{
    return slot == DELE_SLOT_DOWN || slot == DELE_SLOT_O || slot == DELE_SLOT_ATTN_POST_NORM ||
           slot == DELE_SLOT_MLP_POST_NORM;
}

/* Of the same seed, the MLPs and attention of layers [from, L) then made other by a factor. */
static void open_changed(dele_model *model, int which, int from, float factor, dele_arena *arena)
{
    dele_err err = {0};
    if (dele_model_layout(model, &CONFIGS[which], arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(model, 0.3, 5);
    fill_biases(model);
    for (size_t i = 0; i < model->n_tensors; i++) {
        dele_tensor *t = &model->tensors[i];
        const float less =
            t->vector && model->config.family->norm == DELE_RMSNORM_PLUS_ONE ? 1.0f : 0.0f;
        if (t->layer < from || !is_changed(t->slot)) continue;
        for (size_t k = 0; k < t->rows * t->cols; k++)
            t->data[k] = (t->data[k] + less) * factor - less;
    }
}

/* Retain differs in all layers, unlearned from layer `from` on. */
static void open_trio(trio *x, int which, int from, float factor)
{
    *x = (trio){0};
    open_changed(&x->model[DELE_DEPTH_FULL], which, L, 1, &x->arena);
    open_changed(&x->model[DELE_DEPTH_RETAIN], which, 0, -0.5f, &x->arena);
    open_changed(&x->model[DELE_DEPTH_UNLEARNED], which, from, factor, &x->arena);
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++) x->models[m] = &x->model[m];
}

static void close_trio(trio *x)
{
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++) dele_model_release(&x->model[m]);
    dele_arena_release(&x->arena);
}

static void make_rows(dele_depth *depth, dele_depth_positions positions, bool reference,
                      dele_arena *arena)
{
    dele_err err = {0};
    dele_rng rng;
    *depth = (dele_depth){.opts = DELE_DEPTH_DEFAULTS,
                          .path = "rows",
                          .n_layers = L,
                          .n = N_ROWS,
                          .rows = DELE_NEW(arena, dele_depth_row, N_ROWS, &err)};
    depth->opts.positions = positions;
    depth->opts.reference = reference;
    dele_rng_seed(&rng, 3);
    for (int i = 0; i < N_ROWS; i++) {
        int *ids = DELE_NEW(arena, int, SHAPE[i][0], &err);
        for (int t = 0; t < SHAPE[i][0]; t++) ids[t] = (int)dele_rng_below(&rng, V);
        depth->rows[i] = (dele_depth_row){
            .line = i + 1, .entity = "", .ids = ids, .n_ids = SHAPE[i][0], .first = SHAPE[i][1]};
    }
}

static void measure(dele_depth *depth, const trio *x, dele_items *items, dele_arena *arena)
{
    dele_err err = {0};
    if (dele_depth_run(depth, x->models, items, NULL, arena, &err)) fail_msg("%s", err.msg);
}

static void measure_rows(dele_depth *depth, trio *x, dele_depth_positions positions, bool reference)
{
    make_rows(depth, positions, reference, &x->arena);
    measure(depth, x, NULL, &x->arena);
}

/* The largest difference of anything that two results hold. */
static double difference(const dele_depth *a, const dele_depth *b)
{
    double most = 0;
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        const dele_depth_row *p = &a->rows[i], *q = &b->rows[i];
        for (int m = 0; m < DELE_N_DEPTH_MODELS; m++) {
            most = fmax(most, fabs(p->s[m] - q->s[m]));
            for (int l = 0; m && l < a->n_layers; l++)
                most = fmax(most, fabs(p->delta[m][l] - q->delta[m][l]));
        }
        assert_int_equal(p->counting, q->counting);
        assert_int_equal(isnan(p->uds), isnan(q->uds));
        if (!isnan(p->uds)) most = fmax(most, fabs(p->uds - q->uds));
    }
    return most;
}

static const dele_depth_positions POSITIONS[] = {DELE_POSITIONS_ENTITY, DELE_POSITIONS_ALL};

/* ---- identities ------------------------------------------------------------------------------ */

static void a_model_that_never_knew_scores_one_exactly(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++)
        for (int p = 0; p < 2; p++) {
            trio x;
            size_t scored = 0;
            open_trio(&x, which, 0, -0.5f); /* as retain is made */
            measure_rows(&x.depth, &x, POSITIONS[p], false);
            for (int i = 0; i < N_ROWS; i++) {
                const dele_depth_row *row = &x.depth.rows[i];
                assert_memory_equal(row->delta[DELE_DEPTH_UNLEARNED], row->delta[DELE_DEPTH_RETAIN],
                                    L * sizeof(double));
                if (!row->counting) continue;
                assert_true(row->uds == 1);
                scored++;
            }
            assert_true(scored >= 2);
            close_trio(&x);
        }
}

static void a_model_that_was_not_unlearned_scores_zero_exactly(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++)
        for (int p = 0; p < 2; p++) {
            trio x;
            size_t scored = 0;
            open_trio(&x, which, L, 1); /* as full is made */
            measure_rows(&x.depth, &x, POSITIONS[p], false);
            for (int i = 0; i < N_ROWS; i++) {
                for (int l = 0; l < L; l++)
                    assert_true(x.depth.rows[i].delta[DELE_DEPTH_UNLEARNED][l] == 0);
                if (!x.depth.rows[i].counting) continue;
                assert_true(x.depth.rows[i].uds == 0);
                scored++;
            }
            assert_true(scored >= 2);
            close_trio(&x);
        }
}

static void layers_below_the_first_trained_one_lose_nothing(void **state)
{
    (void)state;
    for (int from = 1; from < L; from++) {
        trio x;
        open_trio(&x, 0, from, 0.25f);
        measure_rows(&x.depth, &x, DELE_POSITIONS_ENTITY, false);
        for (int i = 0; i < N_ROWS; i++) {
            const double *d2 = x.depth.rows[i].delta[DELE_DEPTH_UNLEARNED];
            for (int l = 0; l < from; l++) assert_true(d2[l] == 0);
            assert_true(d2[from] != 0);
        }
        close_trio(&x);
    }
}

/* The three share the head and the last norm. */
static void behind_the_last_layer_the_difference_is_the_models_own(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++)
        for (int p = 0; p < 2; p++) {
            trio x;
            open_trio(&x, which, 2, 0.25f);
            measure_rows(&x.depth, &x, POSITIONS[p], false);
            for (int i = 0; i < N_ROWS; i++)
                for (int m = DELE_DEPTH_RETAIN; m < DELE_N_DEPTH_MODELS; m++) {
                    const dele_depth_row *row = &x.depth.rows[i];
                    double own = row->s[DELE_DEPTH_FULL] - row->s[m];
                    assert_true(fabs(own) > 1e-3);
                    assert_true(fabs(row->delta[m][L - 1] - own) < 1e-5);
                }
            close_trio(&x);
        }
}

/* With states put in everywhere, layers that are the full model's own add nothing: what is lost
 * after the last changed layer is lost after all above it. */
static void with_all_positions_equal_layers_above_change_nothing(void **state)
{
    (void)state;
    trio x;
    open_trio(&x, 1, L, 1);
    dele_model_randomise(&x.model[DELE_DEPTH_RETAIN], 0.3, 5); /* full again, but layer 1 */
    dele_tensor *down = dele_model_tensor(&x.model[DELE_DEPTH_RETAIN], DELE_SLOT_DOWN, 1);
    for (size_t k = 0; k < down->rows * down->cols; k++) down->data[k] *= -1;
    measure_rows(&x.depth, &x, DELE_POSITIONS_ALL, false);
    for (int i = 0; i < N_ROWS; i++) {
        const double *d1 = x.depth.rows[i].delta[DELE_DEPTH_RETAIN];
        assert_true(d1[0] == 0 && fabs(d1[1]) > 1e-3);
        for (int l = 2; l < L; l++) assert_true(fabs(d1[l] - d1[1]) < 1e-5);
    }
    close_trio(&x);
}

/* ---- the plain way, and company -------------------------------------------------------------- */

static void joining_late_gives_what_whole_passes_give(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++)
        for (int p = 0; p < 2; p++) {
            trio x;
            dele_depth plain;
            open_trio(&x, which, 1, 0.25f);
            measure_rows(&x.depth, &x, POSITIONS[p], false);
            measure_rows(&plain, &x, POSITIONS[p], true);
            double most = difference(&x.depth, &plain);
            if (!(most < 1e-5))
                fail_msg("%s: they differ by %g", dele_depth_positions_name[p], most);
            close_trio(&x);
        }
}

static void where_states_go_matters(void **state)
{
    (void)state;
    trio x;
    dele_depth all;
    open_trio(&x, 0, 1, 0.25f);
    measure_rows(&x.depth, &x, DELE_POSITIONS_ENTITY, false);
    measure_rows(&all, &x, DELE_POSITIONS_ALL, false);
    double most = 0;
    for (int i = 0; i < N_ROWS; i++)
        most = fmax(most, fabs(all.rows[i].delta[1][1] - x.depth.rows[i].delta[1][1]));
    assert_true(most > 1e-2);
    close_trio(&x);
}

static void a_row_scores_the_same_alone(void **state)
{
    (void)state;
    trio x;
    open_trio(&x, 1, 1, 0.25f);
    measure_rows(&x.depth, &x, DELE_POSITIONS_ENTITY, false);
    for (int i = 0; i < N_ROWS; i++) {
        dele_depth one, same = x.depth;
        make_rows(&one, DELE_POSITIONS_ENTITY, false, &x.arena);
        one.rows += i, one.n = 1;
        same.rows += i, same.n = 1;
        measure(&one, &x, NULL, &x.arena);
        assert_true(difference(&one, &same) < 1e-5);
    }
    close_trio(&x);
}

/* ---- the score of a row ---------------------------------------------------------------------- */

static void a_score_is_the_clipped_share_over_counting_layers(void **state)
{
    (void)state;
    double d1[] = {0.01, 0.05, 0.2, 1.0, 0.8}, d2[] = {9, 9, -1, 0.25, 3};
    dele_depth_row row = {.s = {-1, -3, -2.5}, .delta = {NULL, d1, d2}};
    dele_depth_score(&row, 5, 0.05);
    assert_int_equal(row.counting, 3); /* 0.05 is not above 0.05 */
    assert_true(fabs(row.uds - (0 + 0.25 + 0.8) / 2.0) < 1e-12);
    assert_true(fabs(row.surface - 0.75) < 1e-12);
    dele_depth_score(&row, 5, 1.0);
    assert_int_equal(row.counting, 0);
    assert_true(isnan(row.uds));
    row.s[DELE_DEPTH_RETAIN] = -0.5; /* knows it better than the full one */
    dele_depth_score(&row, 5, 0.05);
    assert_true(isnan(row.surface));
}

static void means_leave_out_rows_without_a_score(void **state)
{
    (void)state;
    dele_err err = {0};
    dele_arena arena = {0};
    double some[] = {0, 1}, none[] = {0, 0}, lost[] = {0, 0.5};
    dele_depth_row rows[] = {{.s = {-1, -2, -2}, .delta = {NULL, some, lost}},
                             {.s = {-1, -1, -1}, .delta = {NULL, none, lost}},
                             {.left_out = "why"}};
    dele_depth d = {.opts = DELE_DEPTH_DEFAULTS, .n_layers = 2, .rows = rows, .n = 3};
    dele_depth_stats stats;
    for (int i = 0; i < 2; i++) dele_depth_score(&rows[i], 2, 0.05);
    assert_int_equal(dele_depth_statistics(&stats, &d, &arena, &err), DELE_OK);
    assert_int_equal(stats.n_measured, 2);
    assert_int_equal(stats.n_left_out, 1);
    assert_int_equal(stats.uds.stat.n, 1);
    assert_true(stats.uds.stat.mean == 0.5);
    assert_true(stats.layers[1].delta[DELE_DEPTH_RETAIN].stat.mean == 0.5);
    assert_int_equal(stats.layers[1].counting, 1);
    assert_true(stats.layers[1].erased == 0.5 && isnan(stats.layers[0].erased));
    const dele_interval ci = stats.layers[1].delta[DELE_DEPTH_RETAIN].ci;
    assert_true(isnan(ci.low) && isnan(ci.high)); /* two rows */
    dele_arena_release(&arena);
}

/* ---- against PyTorch ------------------------------------------------------------------------- */

static void change(dele_model *model, const cJSON *changes)
{
    const cJSON *pair;
    cJSON_ArrayForEach(pair, changes)
    {
        const char *name = cJSON_GetArrayItem(pair, 0)->valuestring;
        float factor = (float)cJSON_GetArrayItem(pair, 1)->valuedouble;
        size_t i = 0;
        while (i < model->n_tensors && strcmp(model->tensors[i].name, name)) i++;
        if (i == model->n_tensors) fail_msg("no tensor %s", name);
        dele_tensor *t = &model->tensors[i];
        for (size_t k = 0; k < t->rows * t->cols; k++) t->data[k] *= factor;
    }
}

static const cJSON *field(const cJSON *row, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, name);
    if (!item) fail_msg("the golden file has no \"%s\"", name);
    return item;
}

/* One row of the golden file, in a result of its own. */
static double off(const cJSON *golden, const trio *x, bool reference, dele_arena *arena)
{
    dele_err err = {0};
    const cJSON *ids = field(golden, "ids"), *item;
    int *id = DELE_NEW(arena, int, (size_t)cJSON_GetArraySize(ids), &err), n = 0;
    cJSON_ArrayForEach(item, ids) id[n++] = item->valueint;
    dele_depth_row row = {
        .entity = "", .ids = id, .n_ids = n, .first = field(golden, "first")->valueint};
    dele_depth d = {.opts = DELE_DEPTH_DEFAULTS,
                    .path = "golden",
                    .rows = &row,
                    .n = 1,
                    .n_layers = x->models[0]->config.n_layers};
    d.opts.positions = strcmp(field(golden, "positions")->valuestring, "all")
                           ? DELE_POSITIONS_ENTITY
                           : DELE_POSITIONS_ALL;
    d.opts.reference = reference;
    measure(&d, x, NULL, arena);
    static const char *const delta[] = {NULL, "delta1", "delta2"};
    double most = 0;
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++) {
        most = fmax(most, fabs(row.s[m] - cJSON_GetArrayItem(field(golden, "s"), m)->valuedouble));
        for (int l = 0; m && l < d.n_layers; l++)
            most = fmax(most, fabs(row.delta[m][l] -
                                   cJSON_GetArrayItem(field(golden, delta[m]), l)->valuedouble));
    }
    assert_int_equal(row.counting, field(golden, "counting")->valueint);
    return fmax(most, fabs(row.uds - field(golden, "uds")->valuedouble));
}

static void equals_pytorch(const char *name)
{
    char path[512], json[600];
    dele_err err = {0};
    trio x = {0};
    snprintf(path, sizeof path, "%s/fixtures/trace/%s", DELE_TESTS_DIR, name);
    snprintf(json, sizeof json, "%s/depth.json", path);
    cJSON *golden = dele_json_load(json, &err);
    if (!golden) fail_msg("%s", err.msg);
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++) {
        if (dele_model_load(&x.model[m], path, &x.arena, &err)) fail_msg("%s", err.msg);
        bool *all = DELE_NEW(&x.arena, bool, x.model[m].n_tensors, &err);
        for (size_t i = 0; i < x.model[m].n_tensors; i++) all[i] = true;
        if (dele_model_train(&x.model[m], all, &err)) fail_msg("%s", err.msg); /* to be changed */
        if (m) change(&x.model[m], field(field(golden, "changes"), dele_depth_model_name[m]));
        x.models[m] = &x.model[m];
    }
    int rows = 0;
    const cJSON *row;
    cJSON_ArrayForEach(row, field(golden, "rows"))
    {
        for (int reference = 0; reference < 2; reference++) {
            double most = off(row, &x, reference, &x.arena);
            if (!(most < 1e-5)) fail_msg("%s, row %d: they differ by %g", name, rows, most);
        }
        rows++;
    }
    assert_int_equal(rows, 10);
    cJSON_Delete(golden);
    close_trio(&x);
}

static void a_llamas_depth_is_pytorchs(void **state)
{
    (void)state;
    equals_pytorch("llama");
}

static void an_olmos_depth_is_pytorchs(void **state)
{
    (void)state;
    equals_pytorch("olmo");
}

/* ---- rows and models ------------------------------------------------------------------------- */

/* Three equal models whose tokens are bytes. */
static void open_readers(trio *x)
{
    dele_err err = {0};
    dele_config config = CONFIGS[0];
    config.vocab = 257;
    *x = (trio){0};
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++) {
        if (dele_model_layout(&x->model[m], &config, &x->arena, &err)) fail_msg("%s", err.msg);
        x->model[m].tokenizer = bytes_only(&x->arena);
        x->model[m].path = dele_depth_model_name[m];
        x->models[m] = &x->model[m];
    }
}

static dele_status read_text(trio *x, scratch *files, const char *text, const dele_depth_opts *o,
                             dele_err *err)
{
    const char *path = scratch_text(files, "rows.jsonl", text);
    return dele_depth_read(&x->depth, path, x->models, o, &x->arena, err);
}

static void the_entity_is_what_counts_and_ends_the_row(void **state)
{
    trio x;
    dele_err err = {0};
    dele_depth_opts o = DELE_DEPTH_DEFAULTS;
    open_readers(&x);
    const char *text =
        "{\"id\": \"a\", \"input\": \"Who?\", \"output\": \"It is Bo.\"}\n"
        "{\"question\": \"Who?\", \"answer\": \"It is Bo.\", \"entity\": \" Bo \"}\n"
        "{\"prompt\": \"in 19\", \"attribute\": \"84 or 84\", \"joined\": true, "
        "\"answer_span\": \"84\"}\n"
        "{\"input\": \"Who?\", \"output\": \" It is Bo.\", \"entity\": \"Al\"}\n"
        "{\"input\": \"Who?\", \"output\": \"\"}\n"
        "{\"input\": \"\", \"output\": \"Bo\", \"joined\": true}\n"
        "{\"input\": \"0123456789012345678901234567890123456789012345678901234567890\", "
        "\"output\": \"Bo it is\", \"entity\": \"it\"}\n";
    if (read_text(&x, *state, text, &o, &err)) fail_msg("%s", err.msg);
    const dele_depth_row *r = x.depth.rows;
    assert_int_equal(x.depth.n, 7);
    assert_string_equal(r[0].id, "a");
    assert_true(!r[0].left_out && r[0].first == 4 && r[0].n_ids == 14);  /* " It is Bo." */
    assert_true(!r[1].left_out && r[1].first == 11 && r[1].n_ids == 13); /* "Bo" */
    assert_string_equal(r[1].entity, "Bo");
    assert_true(!r[2].left_out && r[2].first == 5 &&
                r[2].n_ids == 7); /* the first "84", nothing put before it */
    assert_non_null(strstr(r[3].left_out, "does not occur in the answer"));
    assert_non_null(strstr(r[4].left_out, "empty"));
    assert_non_null(strstr(r[5].left_out, "nothing predicts it"));
    assert_non_null(strstr(r[6].left_out, "context"));

    o.limit = 1;
    o.template = "Question: {}\nAnswer:";
    if (read_text(&x, *state, text, &o, &err)) fail_msg("%s", err.msg);
    assert_int_equal(x.depth.n, 1);
    assert_int_equal(x.depth.rows[0].first, 22);
    close_trio(&x);
}

/* Some of these rows cannot be measured; those that can are. */
static void rows_left_out_do_not_stop_the_others(void **state)
{
    trio x;
    dele_err err = {0};
    const dele_depth_opts o = DELE_DEPTH_DEFAULTS;
    open_readers(&x);
    dele_model_randomise(&x.model[DELE_DEPTH_FULL], 0.3, 1);
    dele_model_randomise(&x.model[DELE_DEPTH_RETAIN], 0.3, 2);
    dele_model_randomise(&x.model[DELE_DEPTH_UNLEARNED], 0.3, 3);
    const char *text = "{\"input\": \"a\", \"output\": \"b\", \"entity\": \"c\"}\n"
                       "{\"input\": \"a\", \"output\": \"b\"}\n"
                       "{\"input\": \"a\", \"output\": \"\"}\n";
    if (read_text(&x, *state, text, &o, &err)) fail_msg("%s", err.msg);
    measure(&x.depth, &x, NULL, &x.arena);
    assert_true(x.depth.rows[0].left_out && !x.depth.rows[1].left_out && x.depth.rows[2].left_out);
    assert_true(x.depth.rows[1].s[DELE_DEPTH_FULL] < 0);
    close_trio(&x);
}

static void forget_tokenizer(dele_model *model)
{
    dele_tokenizer_close(model->tokenizer);
    model->tokenizer = NULL;
}

static void what_does_not_belong_together_is_refused(void **state)
{
    trio x;
    dele_err err = {0};
    dele_depth_opts o = DELE_DEPTH_DEFAULTS;
    open_readers(&x);
    assert_int_equal(dele_depth_check_models(x.models, &err), DELE_OK);
    x.model[DELE_DEPTH_RETAIN].config.intermediate_size = 64;
    assert_int_equal(dele_depth_check_models(x.models, &err), DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "retain and full are models of different shape"));
    assert_non_null(strstr(err.msg, "MLP's width 64 there, 48 here"));
    err = (dele_err){0};
    x.model[DELE_DEPTH_RETAIN].config.intermediate_size = 48;
    x.model[DELE_DEPTH_RETAIN].config.layer_kind[1] = DELE_LAYER_SLIDING;
    assert_int_equal(dele_depth_check_models(x.models, &err), DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "differ in their layers with a window"));
    err = (dele_err){0};
    x.model[DELE_DEPTH_RETAIN].config.layer_kind[1] = 0;
    const dele_rope was = x.model[0].config.rope[0];
    for (int i = 0; i < DELE_N_DEPTH_MODELS; i++)
        x.model[i].config.rope[0] = (dele_rope){.theta = was.theta,
                                                .type = DELE_ROPE_LLAMA3,
                                                .factor = 8,
                                                .original_context = 100,
                                                .low_freq_factor = i == DELE_DEPTH_RETAIN ? 2 : 1,
                                                .high_freq_factor = 4};
    assert_int_equal(dele_depth_check_models(x.models, &err), DELE_ERR_DATA);
    if (!strstr(err.msg, "differ in their rotation")) fail_msg("%s", err.msg);
    err = (dele_err){0};
    for (int i = 0; i < DELE_N_DEPTH_MODELS; i++) x.model[i].config.rope[0] = was;
    forget_tokenizer(&x.model[DELE_DEPTH_UNLEARNED]); /* then the full one's serves */
    forget_tokenizer(&x.model[DELE_DEPTH_FULL]);
    assert_int_equal(dele_depth_check_models(x.models, &err), DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "no tokenizer"));

    char json[256];
    snprintf(json, sizeof json, "%s/../data/models/demo/tokenizer.json", DELE_TESTS_DIR);
    err = (dele_err){0};
    x.model[DELE_DEPTH_FULL].tokenizer = bytes_only(&x.arena);
    assert_int_equal(read_text(&x, *state, "{\"input\": \"a man\", \"output\": \"b\"}\n", &o, &err),
                     DELE_OK);
    x.model[DELE_DEPTH_UNLEARNED].tokenizer = dele_tokenizer_load(json, &x.arena, &err);
    assert_int_equal(read_text(&x, *state, "{\"input\": \"a man\", \"output\": \"b\"}\n", &o, &err),
                     DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "rows.jsonl:1 differently from full"));
    forget_tokenizer(&x.model[DELE_DEPTH_UNLEARNED]);
    err = (dele_err){0};
    assert_int_equal(read_text(&x, *state, "", &o, &err), DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "no rows"));
    err = (dele_err){0};
    assert_int_equal(read_text(&x, *state, "{\"input\": \"a\"}\n", &o, &err), DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "rows.jsonl:1: no string fields"));
    close_trio(&x);
}

static void a_row_that_memory_cannot_hold_is_named(void **state)
{
    (void)state;
    trio x;
    dele_err err = {0};
    open_trio(&x, 0, 1, 0.25f);
    make_rows(&x.depth, DELE_POSITIONS_ENTITY, false, &x.arena);
    enum { LONG = 60 };
    static const int ids[LONG];
    x.depth.opts.memory =
        0; /* the command line refuses it; here it stands for a model that is too large */
    x.depth.rows[2] =
        (dele_depth_row){.line = 3, .entity = "", .ids = ids, .n_ids = LONG, .first = 1};
    assert_int_equal(dele_depth_run(&x.depth, x.models, NULL, NULL, &x.arena, &err),
                     DELE_ERR_MEMORY);
    assert_non_null(strstr(err.msg, "needs --batch-memory"));
    close_trio(&x);
}

/* ---- going on -------------------------------------------------------------------------------- */

static void run_with_items(trio *x, dele_depth *depth, const char *path, size_t expect_old)
{
    dele_err err = {0};
    dele_items items;
    make_rows(depth, DELE_POSITIONS_ENTITY, false, &x->arena);
    if (dele_items_open(&items, path, &err)) fail_msg("%s", err.msg);
    assert_int_equal(items.n_old, expect_old);
    measure(depth, x, &items, &x->arena);
    assert_int_equal(dele_items_close(&items, &err), DELE_OK);
}

static void going_on_behind_a_broken_run_gives_the_same(void **state)
{
    trio x;
    dele_err err = {0};
    dele_depth whole, again, resumed;
    open_trio(&x, 0, 1, 0.25f);
    char first[512], second[512];
    snprintf(first, sizeof first, "%s", scratch_path(*state, "a.jsonl"));
    snprintf(second, sizeof second, "%s", scratch_path(*state, "b.jsonl"));
    run_with_items(&x, &whole, first, 0);
    size_t n, m;
    char *text = dele_file_read(first, &x.arena, &n, &err),
         *line = strchr(strchr(text, '\n') + 1, '\n');
    scratch_write(*state, "b.jsonl", text,
                  (size_t)(line - text) + 20); /* two lines and part of a third */
    run_with_items(&x, &again, second, 2);
    char *other = dele_file_read(second, &x.arena, &m, &err);
    assert_int_equal(n, m);
    assert_memory_equal(text, other, n);
    run_with_items(&x, &resumed, second, N_ROWS); /* nothing is left to compute */
    assert_true(difference(&whole, &resumed) == 0);
    assert_true(difference(&whole, &again) == 0);

    scratch_text(*state, "b.jsonl", "{\"index\": 0}\n{}\n{}\n{}\n{}\n{}\n");
    dele_items items;
    make_rows(&again, DELE_POSITIONS_ENTITY, false, &x.arena);
    assert_int_equal(dele_items_open(&items, second, &err), DELE_OK);
    assert_int_equal(dele_depth_run(&again, x.models, &items, NULL, &x.arena, &err),
                     DELE_ERR_FORMAT);
    assert_non_null(strstr(err.msg, "line 1"));
    dele_err closing = {0};
    dele_items_close(&items, &closing);
    close_trio(&x);
}

int main(void)
{
#define WITH_FILES(claim) cmocka_unit_test_setup_teardown(claim, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_that_never_knew_scores_one_exactly),
        cmocka_unit_test(a_model_that_was_not_unlearned_scores_zero_exactly),
        cmocka_unit_test(layers_below_the_first_trained_one_lose_nothing),
        cmocka_unit_test(behind_the_last_layer_the_difference_is_the_models_own),
        cmocka_unit_test(with_all_positions_equal_layers_above_change_nothing),
        cmocka_unit_test(joining_late_gives_what_whole_passes_give),
        cmocka_unit_test(where_states_go_matters),
        cmocka_unit_test(a_row_scores_the_same_alone),
        cmocka_unit_test(a_score_is_the_clipped_share_over_counting_layers),
        cmocka_unit_test(means_leave_out_rows_without_a_score),
        cmocka_unit_test(a_llamas_depth_is_pytorchs),
        cmocka_unit_test(an_olmos_depth_is_pytorchs),
        WITH_FILES(the_entity_is_what_counts_and_ends_the_row),
        WITH_FILES(rows_left_out_do_not_stop_the_others),
        WITH_FILES(what_does_not_belong_together_is_refused),
        cmocka_unit_test(a_row_that_memory_cannot_hold_is_named),
        WITH_FILES(going_on_behind_a_broken_run_gives_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
