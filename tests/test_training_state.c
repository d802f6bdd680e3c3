/* A training state: it comes back as it was, and a file that is not whole is never believed. */
#include "claims.h"

#include <unistd.h>

#include "scratch.h"
#include "unlearn/training_state.h"

typedef struct {
    double loss;
    uint64_t drawn;
    float weights[1000];
} memory;

static void walk(memory *m, dele_training_state *saved)
{
    DELE_SERIALIZE(saved, m->loss);
    DELE_SERIALIZE(saved, m->drawn);
    dele_training_state_bytes(saved, m->weights, sizeof m->weights);
}

static void record(const char *path, memory *m)
{
    dele_training_state saved;
    dele_err err = {0};
    assert_int_equal(dele_training_state_save(&saved, path, &err), DELE_OK);
    walk(m, &saved);
    assert_int_equal(dele_training_state_end(&saved, &err), DELE_OK);
}

static memory some_memory(void)
{
    memory m = {.loss = 1.0 / 3, .drawn = UINT64_MAX - 1};
    for (int i = 0; i < 1000; i++) m.weights[i] = 1.0f / (float)(i + 1);
    return m;
}

static void what_is_saved_is_loaded_again(void **state)
{
    const char *path = scratch_path(*state, "state");
    memory m = some_memory(), back = {0};
    dele_training_state saved;
    dele_err err = {0};
    record(path, &m);
    assert_int_equal(dele_training_state_load(&saved, path, &err), DELE_OK);
    walk(&back, &saved);
    assert_int_equal(dele_training_state_end(&saved, &err), DELE_OK);
    assert_memory_equal(&m, &back, sizeof m);
}

static void the_state_before_stands_until_the_next_is_whole(void **state)
{
    const char *path = scratch_path(*state, "state");
    memory m = some_memory(), back = {0};
    dele_training_state saved, next;
    dele_err err = {0};
    record(path, &m);
    assert_int_equal(dele_training_state_save(&next, path, &err), DELE_OK);
    dele_training_state_bytes(&next, m.weights, 40); /* and killed here */
    fflush(next.out.stream);
    assert_int_equal(dele_training_state_load(&saved, path, &err), DELE_OK);
    walk(&back, &saved);
    assert_int_equal(dele_training_state_end(&saved, &err), DELE_OK);
    assert_memory_equal(&m, &back, sizeof m);
    dele_training_state_abandon(&next);
}

/* Every byte, each flipped in one bit. */
static void a_flipped_bit_is_noticed(void **state)
{
    const char *path = scratch_path(*state, "state");
    memory m = some_memory();
    record(path, &m);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    const long n = ftell(f);
    for (long at = 0; at < n; at += 13) {
        dele_training_state saved;
        dele_err err = {0};
        fseek(f, at, SEEK_SET);
        const int byte = fgetc(f);
        fseek(f, at, SEEK_SET);
        fputc(byte ^ 1 << at % 8, f);
        fflush(f);
        assert_int_equal(dele_training_state_load(&saved, path, &err), DELE_ERR_FORMAT);
        assert_non_null(strstr(err.msg, "damaged"));
        fseek(f, at, SEEK_SET);
        fputc(byte, f);
    }
    fclose(f);
}

static void a_file_that_ends_early_is_noticed(void **state)
{
    const char *path = scratch_path(*state, "state");
    memory m = some_memory();
    record(path, &m);
    for (long n = 4062; n >= 0; n = n > 60 ? n - 59 : n - 1) {
        dele_training_state saved;
        dele_err err = {0};
        assert_int_equal(truncate(path, n), 0);
        assert_int_equal(dele_training_state_load(&saved, path, &err), DELE_ERR_FORMAT);
    }
}

/* More was recorded than is played, or less. */
static void a_walk_that_does_not_fit_is_refused(void **state)
{
    const char *path = scratch_path(*state, "state");
    memory m = some_memory();
    for (int more = 0; more < 2; more++) {
        dele_training_state saved;
        dele_err err = {0};
        record(path, &m);
        assert_int_equal(dele_training_state_load(&saved, path, &err), DELE_OK);
        DELE_SERIALIZE(&saved, m.loss);
        if (more) {
            walk(&m, &saved);
        }
        assert_int_equal(dele_training_state_end(&saved, &err), DELE_ERR_FORMAT);
    }
}

/* A state whose hash is right, with values that the run which reads it cannot have had. */
static void impossible_values_are_refused(void **state)
{
    static const size_t orders[4][3] = {{2, 0, 1}, {0, 0, 1}, {0, 1, 3}, {SIZE_MAX, 1, 2}};
    const char *path = scratch_path(*state, "state");
    for (int k = 0; k < 7; k++) {
        dele_training_state saved;
        dele_err err = {0};
        size_t order[3], n = k == 4 ? 8 : 7;
        uint8_t flag = k == 5 ? 2 : 1;
        bool back = false;
        memcpy(order, orders[k < 4 ? k : 0], sizeof order);
        assert_int_equal(dele_training_state_save(&saved, path, &err), DELE_OK);
        dele_training_state_bytes(&saved, order, sizeof order);
        dele_training_state_size(&saved, &n, 9);
        dele_training_state_bytes(&saved, &flag, sizeof flag);
        assert_int_equal(dele_training_state_end(&saved, &err), DELE_OK);

        assert_int_equal(dele_training_state_load(&saved, path, &err), DELE_OK);
        if (k == 6) dele_training_state_size(&saved, &n, 7); /* the fields in another order */
        dele_training_state_permutation(&saved, order, 3);
        dele_training_state_size(&saved, &n, 7);
        dele_training_state_bool(&saved, &back);
        assert_int_equal(dele_training_state_end(&saved, &err), k ? DELE_ERR_FORMAT : DELE_OK);
        if (k == 0) assert_true(back && n == 7 && order[0] == 2 && order[2] == 1);
    }
}

static void a_table_is_cut_back_to_what_counts(void **state)
{
    const char *path = scratch_path(*state, "state"), *rows = scratch_path(*state, "rows.tsv");
    dele_training_state saved;
    dele_err err = {0};
    FILE *table = fopen(rows, "a+");
    assert_non_null(table);
    fputs("one\n", table);
    assert_int_equal(dele_training_state_save(&saved, path, &err), DELE_OK);
    dele_training_state_table(&saved, table);
    assert_int_equal(dele_training_state_end(&saved, &err), DELE_OK);
    fputs("two, which does not count\n", table);
    assert_int_equal(dele_training_state_load(&saved, path, &err), DELE_OK);
    dele_training_state_table(&saved, table);
    assert_int_equal(dele_training_state_end(&saved, &err), DELE_OK);
    fputs("three\n", table);
    rewind(table);
    char text[64] = "";
    assert_int_equal(fread(text, 1, sizeof text - 1, table), 10);
    assert_string_equal(text, "one\nthree\n");
    assert_int_equal(ftruncate(fileno(table), 2), 0); /* somebody cut it shorter than it was */
    assert_int_equal(dele_training_state_load(&saved, path, &err), DELE_OK);
    dele_training_state_table(&saved, table);
    assert_int_equal(dele_training_state_end(&saved, &err), DELE_ERR_FORMAT);
    fclose(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_saved_is_loaded_again, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(the_state_before_stands_until_the_next_is_whole,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(a_flipped_bit_is_noticed, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(a_file_that_ends_early_is_noticed, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(a_walk_that_does_not_fit_is_refused, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(impossible_values_are_refused, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(a_table_is_cut_back_to_what_counts, scratch_open,
                                        scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
