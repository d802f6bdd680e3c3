/* Every family as it is read from a checkpoint (fixtures/families): one pass is the same however
 * its rows are packed, cached, continued from parents or started late. */
#include "claims.h"

#include "base/npz.h"
#include "tests/family_fixtures.h"
#include "tests/pass_identities.h"

static const double TOLERANCE = 1e-5; /* relative to the largest logit; chosen before looking */

static void open_probe(probe *p, const char *name)
{
    char path[512], states[540];
    dele_err err = {0};
    size_t n = 0;
    *p = (probe){.n = 0};
    snprintf(path, sizeof path, "%s/fixtures/families/%s", DELE_TESTS_DIR, name);
    snprintf(states, sizeof states, "%s/states.npz", path);
    dele_npz_in *npz = dele_npz_in_open(states, &err);
    if (!npz || dele_model_load(&p->model, path, &p->arena, &err)) fail_msg("%s", err.msg);
    const int64_t *tokens = dele_npz_in_i64(npz, "tokens", 1, &n, &p->arena, &err);
    if (!tokens) fail_msg("%s", err.msg);
    assert_true(n > 16 && n <= MOST); /* longer than the fixtures' windows */
    p->n = (int)n;
    for (size_t i = 0; i < n; i++) p->ids[i] = (int)tokens[i];
    dele_npz_in_close(npz);
    if (lay_out_probe(p, &err) || whole_pass(p, &err)) fail_msg("%s", err.msg);
}

static void every_family_computes_the_same_however_its_rows_come(void **state)
{
    (void)state;
    static const char *const families[] = DELE_FAMILY_FIXTURES;
    static probe p;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        open_probe(&p, families[i]);
        for (size_t k = 0; k < N_IDENTITIES; k++) {
            dele_err err = {0};
            double gap = INFINITY;
            if (IDENTITIES[k].check(&gap, &p, &err)) fail_msg("%s: %s", families[i], err.msg);
            if (!(gap <= TOLERANCE))
                fail_msg("%s: %s differs by %g", families[i], IDENTITIES[k].name, gap);
        }
        dele_run_release(&p.run);
        dele_model_release(&p.model);
        dele_arena_release(&p.arena);
    }
}

/* The comparison is a program too: other states that enter a layer are seen. */
static void a_wrong_start_is_seen(void **state)
{
    (void)state;
    static const char *const families[] = DELE_FAMILY_FIXTURES;
    static probe p;
    dele_err err = {0};
    double gap = 0;
    open_probe(&p, families[0]);
    for (size_t i = 0; i < (size_t)p.n * p.width; i++) p.states[(size_t)p.n * p.width + i] *= 1.01f;
    assert_int_equal(late(&gap, &p, &err), DELE_OK);
    assert_true(gap > 10 * TOLERANCE);
    dele_run_release(&p.run);
    dele_model_release(&p.model);
    dele_arena_release(&p.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_computes_the_same_however_its_rows_come),
        cmocka_unit_test(a_wrong_start_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
