/* Learning rates over a run, by hand. */
#include "claims.h"

#include <stdbool.h>

#include "unlearn/schedule.h"

/* 12 updates, 4 of warm-up. */
static double at(dele_schedule s, size_t update) { return dele_lr_at(s, 2, 4, false, update, 12); }
static double from_zero(dele_schedule s, size_t update)
{
    return dele_lr_at(s, 2, 4, true, update, 12);
}

static bool near(double a, double b) { return fabs(a - b) < 1e-12; }

static void every_schedule_rises_over_the_warm_up(void **state)
{
    (void)state;
    for (int s = DELE_LINEAR; s <= DELE_CONSTANT; s++)
        for (size_t u = 0; u < 4; u++)
            assert_true(near(at((dele_schedule)s, u), 0.5 * (double)(u + 1)));
}

static void begun_at_zero_it_is_one_update_behind(void **state)
{
    (void)state;
    for (int s = DELE_LINEAR; s <= DELE_CONSTANT; s++) {
        assert_true(from_zero((dele_schedule)s, 0) == 0);
        for (size_t u = 1; u < 4; u++)
            assert_true(near(from_zero((dele_schedule)s, u), at((dele_schedule)s, u - 1)));
        for (size_t u = 4; u < 12; u++)
            assert_true(from_zero((dele_schedule)s, u) == at((dele_schedule)s, u));
        assert_true(dele_lr_at((dele_schedule)s, 2, 0, true, 0, 12) == 2); /* no warm-up, no zero */
    }
}

static void behind_it_they_fall_by_their_formulas(void **state)
{
    (void)state;
    const double root = sqrt(0.5);
    for (int s = DELE_LINEAR; s <= DELE_CONSTANT; s++)
        assert_true(near(at((dele_schedule)s, 4), 2));
    assert_true(near(at(DELE_LINEAR, 6), 1.5) && near(at(DELE_LINEAR, 8), 1) &&
                near(at(DELE_LINEAR, 11), 0.25));
    assert_true(near(at(DELE_COSINE, 6), 1 + root) && near(at(DELE_COSINE, 8), 1) &&
                near(at(DELE_COSINE, 10), 1 - root));
    assert_true(near(at(DELE_CONSTANT, 11), 2));
}

static void a_run_of_nothing_but_warm_up_never_falls(void **state)
{
    (void)state;
    for (int s = DELE_LINEAR; s <= DELE_CONSTANT; s++)
        for (size_t u = 0; u < 3; u++)
            assert_true(
                near(dele_lr_at((dele_schedule)s, 3, 5, false, u, 3), 3 * (double)(u + 1) / 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_schedule_rises_over_the_warm_up),
        cmocka_unit_test(begun_at_zero_it_is_one_update_behind),
        cmocka_unit_test(behind_it_they_fall_by_their_formulas),
        cmocka_unit_test(a_run_of_nothing_but_warm_up_never_falls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
