/* Every cell against a plain PyTorch transcription of ROME's algorithm on tiny models of
 * transformers' own making, to 1e-5: two dense ones (tests/reference/rome_trace.py --fixture writes
 * them) and a mixture of experts with its routes (moe_trace.py). */
#include "claims.h"

#include "base/json.h"
#include "trace/plan.h"
#include "trace/run.h"

static double number(const cJSON *row, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, name);
    if (!cJSON_IsNumber(item)) fail_msg("the golden file has no number \"%s\"", name);
    return item->valuedouble;
}

/* The largest difference of the numbers of that name from x[n]. */
static double largest(const cJSON *row, const char *name, const float *x, const double *y, size_t n)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(row, name), *item;
    double most = 0;
    size_t i = 0;
    assert_int_equal(cJSON_GetArraySize(array), n);
    cJSON_ArrayForEach(item, array)
    {
        most = fmax(most, fabs(item->valuedouble - (x ? (double)x[i] : y[i])));
        i++;
    }
    return most;
}

/* The same of a mixture's routes: the experts and their weights, the fraction that the corruption
 * leaves, and the runs under the other run's routes, of which the file has p. */
static double routes_difference(const dele_model *model, const cJSON *row, const dele_grid *g)
{
    const size_t L = (size_t)model->config.n_layers, T = (size_t)g->n_tokens,
                 S = (size_t)g->n_samples, n = T * L * (size_t)model->config.top_k;
    const cJSON *experts = cJSON_GetObjectItemCaseSensitive(row, "experts"), *item;
    double forced[64], most;
    size_t i = 0;
    assert_int_equal(cJSON_GetArraySize(experts), n);
    cJSON_ArrayForEach(item, experts) assert_int_equal(g->routes->experts[i++], item->valueint);
    for (i = 0; i < S * DELE_N_FORCED; i++)
        forced[i] = g->routes->forced[i * DELE_N_METRICS + DELE_PROB];
    most = largest(row, "weights", g->routes->weights, NULL, n);
    most = fmax(most, largest(row, "unchanged", g->routes->unchanged, NULL, S * T * L));
    return fmax(most, largest(row, "forced", NULL, forced, S * DELE_N_FORCED));
}

/* The largest difference of a case's scores. */
static double difference(const dele_model *model, const cJSON *row, bool reference,
                         dele_arena *arena)
{
    dele_err err = {0};
    dele_run run = {0};
    int ids[16], n = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(row, "ids")) ids[n++] =
        item->valueint;
    char window[16];
    snprintf(window, sizeof window, "%d", (int)number(row, "window"));
    dele_trace_opts o = DELE_TRACE_DEFAULTS;
    o.windows = window;
    if (model->config.n_experts) o.kinds = "moe,router,expert";
    o.samples = (int)number(row, "samples");
    o.sigma = number(row, "sigma");
    o.reference = reference;
    dele_plan plan;
    dele_grid g = {.ids = ids,
                   .n_tokens = n,
                   .begin = (int)number(row, "begin"),
                   .end = (int)number(row, "end"),
                   .foil = -1,
                   .seed = 1};
    if (dele_plan_make(&plan, &o, &model->config, arena, &err) ||
        dele_trace_grid(&g, &plan, &run, model, arena, &err))
        fail_msg("%s", err.msg);
    dele_run_release(&run);
    assert_int_equal(g.answer[0], (int)number(row, "answer"));
    double most = fmax(fabs(g.high[DELE_PROB] - number(row, "high")),
                       fabs(dele_low_mean(&g, DELE_PROB) - number(row, "low")));
    assert_int_equal(plan.n_charts, 3);
    for (int i = 0; i < plan.n_charts; i++) {
        const cJSON *scores = cJSON_GetObjectItemCaseSensitive(row, plan.charts[i].name);
        assert_int_equal(cJSON_GetArraySize(scores), n * plan.charts[i].n_cols);
        int k = 0, L = plan.charts[i].n_cols;
        cJSON_ArrayForEach(item, scores)
        {
            most = fmax(most, fabs(item->valuedouble - dele_cell_mean(&g, &plan.charts[i], i,
                                                                      DELE_PROB, k / L, k % L)));
            k++;
        }
    }
    if (model->config.n_experts) most = fmax(most, routes_difference(model, row, &g));
    return most;
}

static void cells_equal(const char *name, int n_cases)
{
    char path[512];
    dele_err err = {0};
    dele_arena arena = {0};
    dele_model model = {0};
    snprintf(path, sizeof path, "%s/fixtures/trace/%s", DELE_TESTS_DIR, name);
    if (dele_model_load(&model, path, &arena, &err)) fail_msg("%s", err.msg);
    snprintf(path, sizeof path, "%s/fixtures/trace/%s/golden.json", DELE_TESTS_DIR, name);
    cJSON *golden = dele_json_load(path, &err);
    if (!golden) fail_msg("%s", err.msg);
    const cJSON *row;
    int cases = 0;
    cJSON_ArrayForEach(row, golden)
    {
        for (int reference = 0; reference < 2; reference++) {
            double most = difference(&model, row, reference, &arena);
            if (!(most < 1e-5)) fail_msg("%s, case %d: scores differ by %g", name, cases, most);
        }
        cases++;
    }
    assert_int_equal(cases, n_cases);
    cJSON_Delete(golden);
    dele_model_release(&model);
    dele_arena_release(&arena);
}

static void a_llamas_cells_are_pytorchs(void **state)
{
    (void)state;
    cells_equal("llama", 4);
}

static void an_olmos_cells_are_pytorchs(void **state)
{
    (void)state;
    cells_equal("olmo", 4);
}

static void a_mixtures_cells_and_routes_are_pytorchs(void **state)
{
    (void)state;
    cells_equal("olmoe", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_llamas_cells_are_pytorchs),
                                       cmocka_unit_test(an_olmos_cells_are_pytorchs),
                                       cmocka_unit_test(a_mixtures_cells_and_routes_are_pytorchs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
