/* Every objective on bare rows: against PyTorch (tests/reference/make_objective_fixtures.py), at
 * the limits where one becomes another, and its settings. */
#include "claims.h"

#include "base/json.h"
#include "objective_cases.h"
#include "unlearn/trainer.h"

/* ---- against PyTorch ------------------------------------------------------------------------- */

typedef struct {
    float x[MOST_ROWS * WIDTH], before[MOST_ROWS * WIDTH], gradient[MOST_ROWS * WIDTH],
        steer[WIDTH];
    double nll[MOST_ROWS], settings[DELE_N_SETTINGS];
    int target[MOST_ROWS];
    uint8_t side[MOST_ROWS];
    dele_loss_sequence sequence[8];
    dele_loss_group group;
    dele_loss_batch rows;
} batch;

static double nll_of_row(const float *z, int target)
{
    double sum = 0;
    for (int j = 0; j < WIDTH; j++) sum += exp(z[j]);
    return log(sum) - (double)z[target];
}

/* Sequences with their NLL before, counted as the trainer counts: other answers beside a row in
 * neither. */
static void lay_out(batch *b, const cJSON *c)
{
    const cJSON *s;
    cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(c, "sequences"))
    {
        dele_loss_sequence *to = &b->sequence[b->rows.n_sequences++];
        *to = (dele_loss_sequence){.side = number(s, "side") == 0 ? DELE_FORGET : DELE_RETAIN,
                                   .first = b->rows.n,
                                   .chosen = cJSON_IsTrue(cJSON_GetObjectItem(s, "chosen")),
                                   .n = (size_t)number(s, "rows")};
        for (size_t i = to->first; i < to->first + to->n; i++) {
            b->side[i] = (uint8_t)to->side;
            to->reference += nll_of_row(b->before + i * WIDTH, b->target[i]);
        }
        b->rows.n += to->n;
        if (to->chosen) continue;
        b->group.sequences[to->side]++;
        b->group.tokens[to->side] += to->n;
    }
}

static void read_case(batch *b, const cJSON *c, const dele_objective *objective)
{
    *b = (batch){.rows = {.width = WIDTH,
                          .x = b->x,
                          .reference = b->before,
                          .nll = b->nll,
                          .target = b->target,
                          .side = b->side,
                          .sequence = b->sequence,
                          .group = &b->group,
                          .settings = b->settings,
                          .steer = b->steer}};
    const cJSON *item;
    int n = 0;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(c, "target")) b->target[n++] = item->valueint;
    assert_true(n <= MOST_ROWS && floats(b->x, c, "x") == (size_t)n * WIDTH);
    assert_true(floats(b->before, c, "before") == (size_t)n * WIDTH &&
                floats(b->steer, c, "steering-coeff") == WIDTH);
    assert_true(floats(b->gradient, c, "gradient") == (size_t)n * WIDTH);
    lay_out(b, c);
    assert_int_equal(b->rows.n, n);
    dele_objective_defaults(b->settings, objective);
    for (int k = DELE_NO_SETTING + 1; k < DELE_N_SETTINGS; k++) {
        const double x = number(cJSON_GetObjectItem(c, "settings"), dele_setting_names[k]);
        if (!isnan(x)) b->settings[k] = x;
    }
}

static cJSON *fixture(void)
{
    dele_err err = {0};
    cJSON *file = dele_json_load(DELE_TESTS_DIR "/fixtures/objectives.json", &err);
    if (!file) fail_msg("%s", err.msg);
    assert_int_equal(number(file, "width"), WIDTH);
    return file;
}

static void losses_and_gradients_equal_torch(void **state)
{
    (void)state;
    cJSON *file = fixture();
    const cJSON *c;
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(file, "cases"))
    {
        batch b;
        dele_err err = {0};
        const dele_objective *objective =
            dele_objective_find(cJSON_GetObjectItem(c, "name")->valuestring, &err);
        assert_non_null(objective);
        read_case(&b, c, objective);
        double loss[2] = {0};
        objective->rows(loss, &b.rows);
        if (!near(loss[DELE_FORGET], number(c, "forget"), 0) ||
            !near(loss[DELE_RETAIN], number(c, "retain"), 0))
            fail_msg("%s: losses %.9g and %.9g, torch has %.9g and %.9g", objective->name,
                     loss[DELE_FORGET], loss[DELE_RETAIN], number(c, "forget"),
                     number(c, "retain"));
        const double sign = objective->ascends ? -1 : 1;
        assert_true(number(c, "sign") == sign);
        for (size_t i = 0; i < b.rows.n * WIDTH; i++)
            if (!near(b.x[i], (double)b.gradient[i], 1e-7))
                fail_msg("%s: gradient %zu of row %zu is %.9g, torch has %.9g", objective->name,
                         i % WIDTH, i / WIDTH, (double)b.x[i], (double)b.gradient[i]);
    }
    cJSON_Delete(file);
}

static void no_objective_lacks_a_reference(void **state)
{
    (void)state;
    cJSON *file = fixture();
    size_t k = 0;
    for (; dele_objective_at(k); k++)
        if (!case_named(file, dele_objective_at(k)->name))
            fail_msg("%s is not in the fixture", dele_objective_at(k)->name);
    assert_true(k >= 17);
    cJSON_Delete(file);
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* As β vanishes, NPO is ascent on the mean NLL of a sequence: cross-entropy divided by sequences,
 * not tokens. */
static void npo_becomes_ascent_as_beta_vanishes(void **state)
{
    (void)state;
    cJSON *file = fixture();
    batch npo, ce;
    double loss[2] = {0};
    read_case(&npo, case_named(file, "npo"), &dele_objective_npo);
    read_case(&ce, case_named(file, "npo"), &dele_objective_ce);
    npo.settings[DELE_BETA] = 1e-7;
    ce.group.tokens[DELE_FORGET] = ce.group.sequences[DELE_FORGET];
    dele_objective_npo.rows(loss, &npo.rows);
    dele_objective_ce.rows(loss, &ce.rows);
    for (size_t i = 0; i < ce.rows.n * WIDTH; i++)
        assert_true(near(npo.x[i],
                         (ce.side[i / WIDTH] == DELE_FORGET ? -1.0 : 1.0) * (double)ce.x[i], 1e-6));
    cJSON_Delete(file);
}

/* SimNPO's S/n makes it a mean over tokens first, over sequences then. */
static void simnpo_becomes_ascent_on_means_as_beta_vanishes(void **state)
{
    (void)state;
    cJSON *file = fixture();
    batch simnpo, ce;
    double loss[2] = {0};
    read_case(&simnpo, case_named(file, "simnpo"), &dele_objective_simnpo);
    read_case(&ce, case_named(file, "simnpo"), &dele_objective_ce);
    simnpo.settings[DELE_BETA] = 1e-7;
    ce.group.tokens[DELE_FORGET] = 1;
    dele_objective_simnpo.rows(loss, &simnpo.rows);
    dele_objective_ce.rows(loss, &ce.rows);
    for (size_t k = 0; k < ce.rows.n_sequences; k++) {
        const dele_loss_sequence *s = &ce.sequence[k];
        const double share = 1 / (double)(s->n * ce.group.sequences[DELE_FORGET]);
        for (size_t i = s->first * WIDTH; s->side == DELE_FORGET && i < (s->first + s->n) * WIDTH;
             i++)
            assert_true(near(simnpo.x[i], -share * (double)ce.x[i], 1e-6));
    }
    cJSON_Delete(file);
}

static void preference_of_an_unchanged_model_is_log_two(void **state)
{
    (void)state;
    static const dele_objective *const objectives[] = {&dele_objective_npo, &dele_objective_dpo,
                                                       &dele_objective_idk_dpo};
    cJSON *file = fixture();
    for (int k = 0; k < 3; k++) {
        batch b;
        double loss[2] = {0};
        read_case(&b, case_named(file, objectives[k]->name), objectives[k]);
        memcpy(b.x, b.before, sizeof b.x);
        objectives[k]->rows(loss, &b.rows);
        assert_true(near(loss[DELE_FORGET], 2 / b.settings[DELE_BETA] * log(2), 0));
    }
    cJSON_Delete(file);
}

static void undial_without_beta_holds_an_unchanged_model_still(void **state)
{
    (void)state;
    cJSON *file = fixture();
    batch b;
    double loss[2] = {0};
    read_case(&b, case_named(file, "undial"), &dele_objective_undial);
    memcpy(b.x, b.before, sizeof b.x);
    b.settings[DELE_BETA] = 0;
    dele_objective_undial.rows(loss, &b.rows);
    for (size_t i = 0; i < b.rows.n * WIDTH; i++)
        if (b.side[i / WIDTH] == DELE_FORGET) assert_true(fabsf(b.x[i]) < 1e-7f);
    cJSON_Delete(file);
}

/* |p_y| + Σ |p_j − p_j/(1 − p_y)| = 2 p_y: never above 2 a token, and nothing where the label is
 * unlikely already. */
static void the_gradient_of_ceu_is_twice_the_labels_probability(void **state)
{
    (void)state;
    cJSON *file = fixture();
    static const float offset[] = {-60, -3, 0, 5, 60};
    for (int k = 0; k < 5; k++) {
        batch b;
        double loss[2] = {0}, p[MOST_ROWS];
        read_case(&b, case_named(file, "ceu"), &dele_objective_ceu);
        for (size_t i = 0; i < b.rows.n; i++) {
            b.x[i * WIDTH + (size_t)b.target[i]] += offset[k];
            p[i] = exp(-nll_of_row(b.x + i * WIDTH, b.target[i]));
        }
        dele_objective_ceu.rows(loss, &b.rows);
        for (size_t i = 0; i < b.rows.n; i++) {
            double sum = 0;
            for (int j = 0; j < WIDTH; j++) sum += fabs((double)b.x[i * WIDTH + (size_t)j]);
            if (b.side[i] == DELE_FORGET)
                assert_true(near(sum, 2 * p[i] / (double)b.group.tokens[DELE_FORGET], 1e-6));
        }
        assert_true(isfinite(loss[DELE_FORGET]));
    }
    cJSON_Delete(file);
}

static void kl_to_itself_is_zero_and_pulls_nowhere(void **state)
{
    (void)state;
    cJSON *file = fixture();
    batch b;
    double loss[2] = {0};
    read_case(&b, case_named(file, "kl"), &dele_objective_kl);
    memcpy(b.x, b.before, sizeof b.x);
    dele_objective_kl.rows(loss, &b.rows);
    assert_true(fabs(loss[DELE_RETAIN]) < 1e-9);
    for (size_t i = 0; i < b.rows.n * WIDTH; i++)
        if (b.side[i / WIDTH] == DELE_RETAIN) assert_true(fabsf(b.x[i]) < 1e-7f);
    cJSON_Delete(file);
}

/* Both objectives on the rows of one case: the same losses and gradients. */
static void assert_same(const cJSON *c, const dele_objective *o, const dele_default *settings,
                        const dele_objective *other)
{
    batch a, b;
    double loss[2][2] = {{0}};
    read_case(&a, c, o);
    read_case(&b, c, other);
    for (; settings->which; settings++)
        a.settings[settings->which] = b.settings[settings->which] = settings->value;
    o->rows(loss[0], &a.rows);
    other->rows(loss[1], &b.rows);
    assert_true(near(loss[0][DELE_FORGET], loss[1][DELE_FORGET], 0) &&
                near(loss[0][DELE_RETAIN], loss[1][DELE_RETAIN], 0));
    for (size_t i = 0; i < b.rows.n * WIDTH; i++) assert_true(near(a.x[i], (double)b.x[i], 1e-7));
}

static void weighted_ascent_without_weights_is_plain_ascent(void **state)
{
    (void)state;
    cJSON *file = fixture();
    static const dele_default none[] = {{DELE_BETA, 0, false}, {0}},
                              neither[] = {{DELE_BETA, 0, false}, {DELE_IMPORTANCE, 0, false}, {0}},
                              half[] = {{DELE_BETA, 0.5, false}, {DELE_IMPORTANCE, 0, false}, {0}};
    assert_same(case_named(file, "wga"), &dele_objective_wga, none, &dele_objective_grad_diff);
    assert_same(case_named(file, "satimp"), &dele_objective_satimp, neither,
                &dele_objective_grad_ascent);
    assert_same(case_named(file, "satimp"), &dele_objective_satimp, half, &dele_objective_wga);
    cJSON_Delete(file);
}

/* Hand-worked: 100, then 100 + 5 (0.5 − 0.3), never below 0, and nothing moves before the warm-up
 * is over. */
static void the_multiplier_follows_the_constraint(void **state)
{
    (void)state;
    dele_alpha a = {.mode = DELE_ALPHA_DUAL, .fixed = 100, .eta = 5, .epsilon = 0.3, .warmup = 1};
    assert_true(dele_alpha_next(&a, 9, 4, 0) == 100 && dele_alpha_next(&a, 0.5, 4, 1) == 100);
    assert_true(fabs(dele_alpha_next(&a, 0.3, 4, 1) - 101) < 1e-12);
    a.fixed = 1;
    dele_alpha_next(&a, 0, 4, 2);
    assert_true(dele_alpha_next(&a, 0.3, 4, 2) == 0);
}

static void idk_is_one_mean_over_both_sides(void **state)
{
    (void)state;
    const dele_loss_group group = {.tokens = {30, 10}, .sequences = {3, 2}};
    double settings[DELE_N_SETTINGS], weight[2];
    dele_alpha alpha = {0};
    dele_objective_defaults(settings, &dele_objective_idk);
    dele_side_weights(weight, &dele_objective_idk, settings, &alpha, 0, &group);
    assert_true(weight[DELE_FORGET] == 0.75 && weight[DELE_RETAIN] == 0.25);
}

/* ---- settings -------------------------------------------------------------------------------- */

static dele_status resolve(double settings[DELE_N_SETTINGS], const dele_objective *o,
                           dele_setting given, double x, const char *alpha, const char *variant,
                           dele_err *err)
{
    dele_alpha read;
    *err = (dele_err){0};
    for (int k = 0; k < DELE_N_SETTINGS; k++) settings[k] = (double)NAN;
    settings[given] = x;
    return dele_objective_resolve(settings, &read, &alpha, o, variant, err);
}

static void settings_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    double s[DELE_N_SETTINGS];
    dele_err err;
    assert_int_equal(resolve(s, &dele_objective_joint, DELE_BETA, 1, NULL, NULL, &err),
                     DELE_ERR_USAGE);
    assert_non_null(strstr(err.msg, "--beta"));
    assert_int_equal(resolve(s, &dele_objective_npo, DELE_BETA, 0, NULL, NULL, &err),
                     DELE_ERR_USAGE);
    assert_int_equal(resolve(s, &dele_objective_npo, DELE_RETAIN_KL, 3, NULL, NULL, &err),
                     DELE_ERR_USAGE);
    assert_int_equal(resolve(s, &dele_objective_rmu, DELE_LAYER, 1.5, NULL, NULL, &err),
                     DELE_ERR_USAGE);
    assert_int_equal(resolve(s, &dele_objective_npo, DELE_BETA, 1, "paper", NULL, &err),
                     DELE_ERR_USAGE);
    assert_int_equal(resolve(s, &dele_objective_idk, DELE_NO_SETTING, 0, "1", NULL, &err),
                     DELE_ERR_USAGE);
    assert_int_equal(resolve(s, &dele_objective_kl, DELE_NO_SETTING, 0, NULL, "toffee", &err),
                     DELE_ERR_USAGE);
    assert_non_null(strstr(err.msg, "tofu"));
}

static void a_variant_stands_between_default_and_given(void **state)
{
    (void)state;
    double s[DELE_N_SETTINGS];
    dele_err err;
    assert_int_equal(resolve(s, &dele_objective_simnpo, DELE_GAMMA, 0.5, NULL, "author-tofu", &err),
                     DELE_OK);
    assert_true(s[DELE_BETA] == 2.5 && s[DELE_GAMMA] == 0.5 && s[DELE_DELTA] == 0 &&
                isnan(s[DELE_SKIP]));
}

/* TOFU's program has no term for retain rows either. */
static void tofus_dpo_keeps_nothing(void **state)
{
    (void)state;
    double s[DELE_N_SETTINGS];
    dele_err err = {0};
    const dele_objective *const both[] = {&dele_objective_dpo, &dele_objective_idk_dpo};
    for (int i = 0; i < 2; i++)
        for (int tofu = 0; tofu < 2; tofu++) {
            const char *alpha = NULL;
            dele_alpha read;
            for (int k = 0; k < DELE_N_SETTINGS; k++) s[k] = (double)NAN;
            assert_int_equal(
                dele_objective_resolve(s, &read, &alpha, both[i], tofu ? "tofu" : NULL, &err),
                DELE_OK);
            assert_true(read.mode == DELE_ALPHA_FIXED && read.fixed == !tofu);
        }
}

/* gamma β/2 undoes the factor 2/β of our formula, whatever β is. */
static void tofus_dpo_has_no_factor_of_beta(void **state)
{
    (void)state;
    double s[DELE_N_SETTINGS];
    dele_err err;
    const dele_objective *const both[] = {&dele_objective_dpo, &dele_objective_idk_dpo};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(resolve(s, both[i], DELE_NO_SETTING, 0, NULL, "tofu", &err), DELE_OK);
        assert_true(s[DELE_BETA] == 0.1 && s[DELE_GAMMA] == 0.05);
        assert_int_equal(resolve(s, both[i], DELE_BETA, 0.5, NULL, "tofu", &err), DELE_OK);
        assert_true(s[DELE_BETA] == 0.5 && s[DELE_GAMMA] == 0.25);
        assert_int_equal(resolve(s, both[i], DELE_GAMMA, 2, NULL, "tofu", &err), DELE_OK);
        assert_true(s[DELE_BETA] == 0.1 && s[DELE_GAMMA] == 2);
        assert_int_equal(resolve(s, both[i], DELE_GAMMA, -0.5, NULL, "tofu", &err), DELE_ERR_USAGE);
    }
}

/* WMDP's layer 7 is one of 32, SemEval's 14 one of 16; the 7B variant's 26 one of 32. */
static void steered_layers_are_a_share_of_the_depth(void **state)
{
    (void)state;
    double s[DELE_N_SETTINGS];
    dele_err err;
    assert_int_equal(resolve(s, &dele_objective_rmu, DELE_NO_SETTING, 0, NULL, NULL, &err),
                     DELE_OK);
    const int layers[] = {1, 2, 8, 16, 32, 48}, expected[] = {0, 0, 2, 4, 7, 11};
    for (int i = 0; i < 6; i++)
        assert_int_equal(dele_layer_of(s[DELE_LAYER], layers[i]), expected[i]);
    assert_int_equal(resolve(s, &dele_objective_adaptive_rmu, DELE_NO_SETTING, 0, NULL, NULL, &err),
                     DELE_OK);
    assert_int_equal(dele_layer_of(s[DELE_LAYER], 16), 14);
    assert_int_equal(dele_layer_of(s[DELE_LAYER], 1), 0);
    assert_int_equal(
        resolve(s, &dele_objective_adaptive_rmu, DELE_NO_SETTING, 0, NULL, "olmo-7b", &err),
        DELE_OK);
    assert_int_equal(dele_layer_of(s[DELE_LAYER], 32), 26);
    assert_int_equal(resolve(s, &dele_objective_rmu, DELE_LAYER, 5, NULL, NULL, &err), DELE_OK);
    assert_int_equal(dele_layer_of(s[DELE_LAYER], 8), 5);
    assert_int_equal(resolve(s, &dele_objective_rmu, DELE_LAYER, -0.25, NULL, NULL, &err),
                     DELE_ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_gradients_equal_torch),
        cmocka_unit_test(no_objective_lacks_a_reference),
        cmocka_unit_test(npo_becomes_ascent_as_beta_vanishes),
        cmocka_unit_test(simnpo_becomes_ascent_on_means_as_beta_vanishes),
        cmocka_unit_test(preference_of_an_unchanged_model_is_log_two),
        cmocka_unit_test(undial_without_beta_holds_an_unchanged_model_still),
        cmocka_unit_test(the_gradient_of_ceu_is_twice_the_labels_probability),
        cmocka_unit_test(kl_to_itself_is_zero_and_pulls_nowhere),
        cmocka_unit_test(weighted_ascent_without_weights_is_plain_ascent),
        cmocka_unit_test(the_multiplier_follows_the_constraint),
        cmocka_unit_test(idk_is_one_mean_over_both_sides),
        cmocka_unit_test(settings_that_mean_nothing_are_refused),
        cmocka_unit_test(a_variant_stands_between_default_and_given),
        cmocka_unit_test(tofus_dpo_keeps_nothing),
        cmocka_unit_test(tofus_dpo_has_no_factor_of_beta),
        cmocka_unit_test(steered_layers_are_a_share_of_the_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
