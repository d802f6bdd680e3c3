/* AdamW and clipping against torch's numbers (tests/reference/make_adamw_fixture.py), and what must
 * hold anyway. */
#include "claims.h"

#include "base/json.h"
#include "unlearn/adamw.h"

static double number(const cJSON *object, const char *name)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static size_t floats(float *x, const cJSON *array)
{
    size_t n = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, array) x[n++] = (float)item->valuedouble;
    return n;
}

static void ten_steps_equal_torch(void **state)
{
    (void)state;
    dele_err err = {0};
    cJSON *f = dele_json_load(DELE_TESTS_DIR "/fixtures/adamw.json", &err);
    assert_non_null(f);
    dele_adamw_rule rule = {.beta1 = number(f, "beta1"),
                            .beta2 = number(f, "beta2"),
                            .eps = number(f, "eps"),
                            .weight_decay = number(f, "weight_decay")};
    float p[2][16], m[2][16] = {{0}}, v[2][16] = {{0}}, g[2][16], want[16];
    size_t n[2];
    for (int k = 0; k < 2; k++)
        n[k] = floats(p[k], cJSON_GetArrayItem(cJSON_GetObjectItem(f, "start"), k));
    for (int t = 0; t < 10; t++) {
        const cJSON *grads = cJSON_GetArrayItem(cJSON_GetObjectItem(f, "grads"), t);
        const cJSON *after = cJSON_GetArrayItem(cJSON_GetObjectItem(f, "after"), t);
        double sum = 0;
        for (int k = 0; k < 2; k++) {
            floats(g[k], cJSON_GetArrayItem(grads, k));
            sum += dele_sum_squares(g[k], n[k]);
        }
        double norm = cJSON_GetArrayItem(cJSON_GetObjectItem(f, "norms"), t)->valuedouble;
        assert_true(fabs(sqrt(sum) - norm) < 1e-6 * norm);
        rule.lr = cJSON_GetArrayItem(cJSON_GetObjectItem(f, "lr"), t)->valuedouble;
        for (int k = 0; k < 2; k++) {
            dele_scale(g[k], dele_clip_factor(sqrt(sum), number(f, "clip")), n[k]);
            dele_adamw_step(p[k], m[k], v[k], g[k], n[k], &rule, t + 1);
            floats(want, cJSON_GetArrayItem(after, k));
            for (size_t i = 0; i < n[k]; i++)
                assert_true(fabsf(p[k][i] - want[i]) <= 1e-5f * fabsf(want[i]) + 1e-7f);
        }
    }
    cJSON_Delete(f);
}

/* Bias correction makes m/√v the gradient's sign at first, whatever its size. */
static void the_first_step_is_lr_against_the_sign(void **state)
{
    (void)state;
    dele_adamw_rule rule = DELE_ADAMW_DEFAULTS;
    float p[3] = {1, 1, 1}, m[3] = {0}, v[3] = {0}, g[3] = {1e-3f, -40, 2};
    dele_adamw_step(p, m, v, g, 3, &rule, 1);
    assert_true(fabsf(p[0] - (1 - 1e-4f)) < 1e-6f);
    assert_true(fabsf(p[1] - (1 + 1e-4f)) < 1e-6f);
    assert_true(fabsf(p[2] - (1 - 1e-4f)) < 1e-6f);
}

static void clipping_leaves_small_gradients_alone(void **state)
{
    (void)state;
    assert_true(dele_clip_factor(0.5, 1) == 1);
    assert_true(dele_clip_factor(5, 0) == 1);
    assert_true(fabs(dele_clip_factor(5, 1) - 0.2) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_steps_equal_torch),
        cmocka_unit_test(the_first_step_is_lr_against_the_sign),
        cmocka_unit_test(clipping_leaves_small_gradients_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
