/* Alpha's two readings, and the joint objective's loss and gradient by hand. */
#include "claims.h"

#include "unlearn/objectives/objective.h"

static void paper_and_code_differ_as_published(void **state)
{
    (void)state;
    static const double rise[] = {0, .16, .3, .5, .7, .90, 1.0, 1.06, 1.5, 400};
    static const double paper[] = {1.2, 1.20, 1.31, 1.53, 1.85, 2.30, 2.60, 2.80, 2.8, 2.8};
    static const double code[] = {1.2, 1.2, 1.3, 1.5, 1.9, 2.3, 2.3, 2.3, 2.3, 2.3};
    for (size_t k = 0; k < sizeof rise / sizeof *rise; k++) {
        assert_true(fabs(dele_alpha_paper(rise[k]) - paper[k]) < 0.0051);
        assert_true(fabs(dele_alpha_code(rise[k]) - code[k]) < 1e-12);
    }
    assert_true(dele_alpha_paper(-3) == 1.2 && dele_alpha_code(-3) == 1.2);
}

static void paper_compares_with_the_mean_of_all_losses_before(void **state)
{
    (void)state;
    dele_alpha a = {.mode = DELE_ALPHA_PAPER};
    assert_true(dele_alpha_next(&a, 1.0, 6, 0) == 1.2);                   /* nothing before */
    assert_true(dele_alpha_next(&a, 1.5, 6, 0) == dele_alpha_paper(0.5)); /* mean of 1.0 */
    assert_true(dele_alpha_next(&a, 2.25, 6, 3) ==
                dele_alpha_paper(1.0)); /* mean of 1.0, 1.5, in any epoch */
}

/* Two batches of mean loss 1.2 with six retain rows each: the published mean is 0.2, so an
 * unchanged loss counts as a rise of 1.0. */
static void code_divides_batch_means_by_sequences_and_freezes(void **state)
{
    (void)state;
    dele_alpha a = {.mode = DELE_ALPHA_CODE};
    assert_true(dele_alpha_next(&a, 1.2, 6, 0) == 1.2);
    assert_true(dele_alpha_next(&a, 1.2, 6, 0) == 1.2);
    assert_true(dele_alpha_next(&a, 1.2, 6, 1) == dele_alpha_code(1.0));
    assert_true(dele_alpha_next(&a, 9.0, 6, 1) == 2.3);
    assert_true(dele_alpha_next(&a, 0.5, 6, 2) ==
                dele_alpha_code(0.3)); /* 9.0 did not join the mean */
}

static void alpha_is_read_from_words_and_numbers(void **state)
{
    (void)state;
    dele_alpha a;
    dele_err err = {0};
    assert_int_equal(dele_alpha_parse(&a, "paper", &err), DELE_OK);
    assert_int_equal(a.mode, DELE_ALPHA_PAPER);
    assert_int_equal(dele_alpha_parse(&a, "code", &err), DELE_OK);
    assert_int_equal(a.mode, DELE_ALPHA_CODE);
    assert_int_equal(dele_alpha_parse(&a, "1.5", &err), DELE_OK);
    assert_true(a.mode == DELE_ALPHA_FIXED && dele_alpha_next(&a, 7, 1, 0) == 1.5);
    assert_int_equal(dele_alpha_parse(&a, "nan", &err), DELE_ERR_USAGE);
}

/* Three rows, two of them forget rows, vocabulary of three: each side's mean and gradient stand on
 * their own. */
static void losses_are_token_means_of_each_side(void **state)
{
    (void)state;
    float z[9] = {0, 0, 0, 1, 2, 3, 0, logf(2), 0};
    const float was[9] = {0, 0, 0, 1, 2, 3, 0, logf(2), 0};
    const int target[3] = {1, 2, 1};
    const uint8_t side[3] = {DELE_FORGET, DELE_FORGET, DELE_RETAIN};
    double nll[3], loss[2] = {0}, weight[2];
    dele_loss_group group = {.tokens = {2, 1}, .sequences = {1, 1}};
    dele_loss_batch rows = {
        .n = 3, .width = 3, .x = z, .nll = nll, .target = target, .side = side, .group = &group};
    dele_objective_joint.rows(loss, &rows);
    double nll1 = log(exp(1) + exp(2) + exp(3)) - 3;
    assert_true(fabs(loss[DELE_FORGET] - (log(3) + nll1) / 2) < 1e-6);
    assert_true(fabs(loss[DELE_RETAIN] - log(2)) < 1e-6);
    for (int i = 0; i < 3; i++) {
        double sum = 0, total = 0;
        for (int j = 0; j < 3; j++) sum += exp(was[3 * i + j]);
        for (int j = 0; j < 3; j++) {
            double want =
                (exp(was[3 * i + j]) / sum - (j == target[i])) / (double)group.tokens[side[i]];
            assert_true(fabs(z[3 * i + j] - want) < 1e-6);
            total += z[3 * i + j];
        }
        assert_true(fabs(total) < 1e-6); /* adding a constant to all logits changes no loss */
    }
    dele_alpha fixed = {.mode = DELE_ALPHA_FIXED, .fixed = 2};
    double settings[DELE_N_SETTINGS];
    dele_objective_defaults(settings, &dele_objective_joint);
    dele_side_weights(weight, &dele_objective_joint, settings, &fixed, loss[DELE_RETAIN], &group);
    assert_true(weight[DELE_FORGET] == -1 && weight[DELE_RETAIN] == 2);
}

static void an_unknown_objective_is_told_which_there_are(void **state)
{
    (void)state;
    dele_err err = {0};
    assert_null(dele_objective_find("joynt", &err));
    assert_int_equal(err.code, DELE_ERR_USAGE);
    assert_non_null(strstr(err.msg, "joint"));
    assert_ptr_equal(dele_objective_find("joint", &err), &dele_objective_joint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paper_and_code_differ_as_published),
        cmocka_unit_test(paper_compares_with_the_mean_of_all_losses_before),
        cmocka_unit_test(code_divides_batch_means_by_sequences_and_freezes),
        cmocka_unit_test(alpha_is_read_from_words_and_numbers),
        cmocka_unit_test(losses_are_token_means_of_each_side),
        cmocka_unit_test(an_unknown_objective_is_told_which_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
