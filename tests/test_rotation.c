/* The frequencies of the rotations, and which layers have which. */
#include "claims.h"

#include <limits.h>

#include "model/config/rotation.h"
#include "model/generate.h"
#include "rotation_values.h"
#include "tensor/ops.h"

static void frequencies_and_factors_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const dele_config c = {.n_layers = 1,
                               .head_dim = CASES[i].head_dim,
                               .context = CASES[i].context,
                               .rope[0] = CASES[i].rope};
        float inv_freq[MOST_PAIRS];
        assert_int_equal(dele_rotation_pairs(&c), CASES[i].head_dim / 2);
        const float factor = dele_rotation_frequencies(inv_freq, &c, &c.rope[0], CASES[i].length);
        assert_true(fabsf(factor / CASES[i].factor - 1) < 1e-6f);
        for (size_t k = 0; k < dele_rotation_pairs(&c); k++)
            if (!(fabsf(inv_freq[k] / CASES[i].inv_freq[k] - 1) < 1e-6f))
                fail_msg("case %zu, pair %zu: %.9g, not %.9g", i, k, inv_freq[k],
                         CASES[i].inv_freq[k]);
    }
}

static void a_part_of_a_head_is_rotated_as_a_smaller_head(void **state)
{
    (void)state;
    const dele_config whole = {.head_dim = 8, .rope[0].theta = 1e4f},
                      part = {.head_dim = 32, .rotary_dim = 8, .rope[0].theta = 1e4f};
    float a[4], b[4];
    assert_int_equal(dele_rotation_pairs(&part), 4);
    dele_rotation_frequencies(a, &whole, &whole.rope[0], 1);
    dele_rotation_frequencies(b, &part, &part.rope[0], 1);
    assert_memory_equal(a, b, sizeof a);
}

static void layers_have_the_rotation_of_their_kind(void **state)
{
    (void)state;
    dele_config c = {.n_layers = 3,
                     .rope = {{.theta = 1e6f}, {.theta = 1e4f}},
                     .layer_kind = {DELE_LAYER_SLIDING, 0, DELE_LAYER_UNROTATED}};
    assert_int_equal(dele_layer_rotation(&c, 0), 1);
    assert_int_equal(dele_layer_rotation(&c, 1), 0);
    assert_int_equal(dele_layer_rotation(&c, 2), DELE_NO_ROTATION);
    assert_true(dele_uses_rotation(&c, 0) && dele_uses_rotation(&c, 1));
    c.rope[1].theta = 0;
    assert_int_equal(dele_layer_rotation(&c, 0), 0);
    assert_false(dele_uses_rotation(&c, 1));
    c.rope[0].theta = 0; /* learned positions */
    assert_false(dele_uses_rotation(&c, 0));
}

static void only_dynamic_scaling_grows(void **state)
{
    (void)state;
    dele_config c = {.n_layers = 1,
                     .context = 8,
                     .rope[0] = {.theta = 1e4f, .type = DELE_ROPE_YARN, .original_context = 8}};
    assert_int_equal(dele_rotation_grows_beyond(&c), INT_MAX);
    c.rope[0].factor = 2.5f;
    assert_int_equal(dele_longest(&c), 8);
    c.rope[0].type = DELE_ROPE_DYNAMIC;
    assert_int_equal(dele_rotation_grows_beyond(&c), 8);
    assert_int_equal(dele_longest(&c), 20);
}

/* Two rows of two heads of 6 channels, of which 4 are rotated; the table of angles has the factor.
 */
static void a_rotation_turns_pairs_and_turns_them_back(void **state)
{
    (void)state;
    enum { ROWS = 2, HEADS = 2, HEAD = 6, LD = 15, PAIRS = 2, FIRST = 3 };
    const float inv_freq[PAIRS] = {1.0f, 0.25f}, factor = 1.5f;
    float table[ROWS * 2 * PAIRS], x[ROWS * LD], y[ROWS * LD];
    for (int i = 0; i < ROWS * LD; i++) x[i] = y[i] = cosf((float)(i * i));
    rope_angles(table, inv_freq, PAIRS, factor, FIRST, ROWS);
    rope(y, LD, table, PAIRS, ROWS, HEADS, HEAD, 1);
    for (int t = 0; t < ROWS; t++)
        for (int i = 0; i < LD; i++) {
            const int head = i / HEAD, at = i % HEAD, pair = at % PAIRS;
            const double angle = (double)(FIRST + t) * inv_freq[pair];
            const float *u = x + t * LD + head * HEAD + pair, *v = u + PAIRS;
            double want = x[t * LD + i];
            if (head < HEADS && at < 2 * PAIRS)
                want = factor * (at < PAIRS ? *u * cos(angle) - *v * sin(angle)
                                            : *v * cos(angle) + *u * sin(angle));
            assert_true(fabs(want - y[t * LD + i]) < 1e-6);
        }
    rope(y, LD, table, PAIRS, ROWS, HEADS, HEAD, -1);
    for (int i = 0; i < ROWS * LD; i++) {
        const int at = i % LD % HEAD;
        const float times = i % LD < HEADS * HEAD && at < 2 * PAIRS ? factor * factor : 1;
        assert_true(fabsf(y[i] - times * x[i]) < 1e-5f);
    }
}

/* Each new token is rotated for the length reached, and the keys before it stay as they were. */
static void generation_beyond_the_context_is_that_of_transformers(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_model model;
    dele_run run = {0};
    dele_err err = {0};
    int out[N_NEW];
    size_t n = 0;
    if (dele_model_load(&model, DELE_TESTS_DIR "/fixtures/tiny-llama-tied", &arena, &err))
        fail_msg("%s", err.msg);
    model.config.context = model.config.rope[0].original_context = CONTEXT;
    model.config.rope[0].type = DELE_ROPE_DYNAMIC;
    model.config.rope[0].factor = FACTOR;
    if (dele_generate(out, &n, &run, &model, GENERATED, N_PROMPT, N_NEW, NULL, 0, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(n, N_NEW);
    assert_memory_equal(out, GENERATED + N_PROMPT, sizeof out);
    dele_run_release(&run);
    dele_model_release(&model);
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_and_factors_are_those_of_transformers),
        cmocka_unit_test(a_part_of_a_head_is_rotated_as_a_smaller_head),
        cmocka_unit_test(layers_have_the_rotation_of_their_kind),
        cmocka_unit_test(only_dynamic_scaling_grows),
        cmocka_unit_test(generation_beyond_the_context_is_that_of_transformers),
        cmocka_unit_test(a_rotation_turns_pairs_and_turns_them_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
