/* Which rows an update gets: chunks, ratios, pairing. */
#include "claims.h"

#include "forgetting.h"
#include "unlearn/sampler.h"

/* Deals a whole run; seen[update][side][row] counts. */
static size_t sample_all(fixture *f, const dele_train_options *o, int (*seen)[2][N_ROWS],
                         dele_update_batch *update_batches)
{
    dele_train_report plan;
    dele_sampler sampler;
    dele_err err = {0};
    if (dele_train_plan(&plan, &f->data, o, &err) ||
        dele_sampler_init(&sampler, &f->data, o, &f->arena, &err))
        fail_msg("%s", err.msg);
    size_t rows = 0;
    for (size_t u = 0; u < plan.updates; u++) {
        update_batches[u] = dele_sampler_next(&sampler);
        rows += update_batches[u].n;
        for (size_t i = 0; i < update_batches[u].n; i++) {
            const dele_side side = update_batches[u].items[i].side;
            seen[u][side][update_batches[u].items[i].row - f->row[side]]++;
        }
    }
    assert_int_equal(rows, plan.rows_in_all);
    return plan.updates;
}

/* 8 rows in 3 chunks are rows 0-1, 2-4 and 5-7; two an update: 1, 2 and 2 updates an epoch, three
 * epochs each. */
static void a_chunk_is_through_before_the_next_begins(void **state)
{
    fixture *f = *state;
    static const size_t begin[] = {0, 2, 5, 8}, per_epoch[] = {1, 2, 2};
    static int seen[40][2][N_ROWS];
    dele_update_batch update_batches[40];
    dele_train_options o = options(&dele_objective_joint);
    o.chunks = 3;
    o.epochs = 3;
    o.batch = 4;
    memset(seen, 0, sizeof seen);
    assert_int_equal(sample_all(f, &o, seen, update_batches), 15);
    for (size_t c = 0, u = 0; c < 3; c++)
        for (size_t epoch = 0; epoch < 3; epoch++) {
            int rows[N_ROWS] = {0};
            for (size_t k = 0; k < per_epoch[c]; k++, u++) {
                assert_int_equal(update_batches[u].epoch, 3 * c + epoch);
                assert_int_equal(update_batches[u].step, epoch * per_epoch[c] + k);
                assert_int_equal(update_batches[u].steps, 3 * per_epoch[c]);
                for (size_t i = 0; i < N_ROWS; i++) rows[i] += seen[u][DELE_FORGET][i];
            }
            for (size_t i = 0; i < N_ROWS; i++)
                assert_int_equal(rows[i], i >= begin[c] && i < begin[c + 1]);
        }
}

static int total(int (*seen)[2][N_ROWS], size_t updates, dele_side side, int row)
{
    int n = 0;
    for (size_t u = 0; u < updates; u++) n += seen[u][side][row];
    return n;
}

/* One forget row and seven to keep in each update; they go round, so no row is ever two ahead of
 * another. */
static void retain_rows_stand_beside_at_their_ratio_and_go_round(void **state)
{
    fixture *f = *state;
    static int seen[40][2][N_ROWS];
    dele_update_batch update_batches[40];
    dele_train_options o = options(&dele_objective_joint);
    o.retain_ratio = 7;
    o.batch = 8;
    o.epochs = 4;
    memset(seen, 0, sizeof seen);
    const size_t updates = sample_all(f, &o, seen, update_batches);
    assert_int_equal(updates, 32);
    for (size_t u = 0; u < updates; u++) {
        int n[2] = {0}, least = 1000, most = 0;
        for (int row = 0; row < N_ROWS; row++) {
            const int so_far = total(seen, u + 1, DELE_RETAIN, row);
            n[0] += seen[u][0][row], n[1] += seen[u][1][row];
            least = so_far < least ? so_far : least, most = so_far > most ? so_far : most;
        }
        assert_int_equal(n[DELE_FORGET], 1);
        assert_int_equal(n[DELE_RETAIN], 7);
        assert_true(most - least <= 1);
    }
    for (int row = 0; row < N_ROWS; row++)
        assert_int_equal(total(seen, updates, DELE_FORGET, row), 4);
}

static void random_pairs_are_drawn_with_replacement(void **state)
{
    fixture *f = *state;
    static int seen[40][2][N_ROWS];
    dele_update_batch update_batches[40];
    dele_train_options o = options(&dele_objective_joint);
    o.pairing = DELE_PAIRING_RANDOM;
    o.batch = 8;
    o.epochs = 20;
    memset(seen, 0, sizeof seen);
    const size_t updates = sample_all(
        f, &o, seen, update_batches); /* 40 updates of 4 draws from 8 rows: 20 a row expected */
    int least = 1000, most = 0, twice = 0;
    for (int row = 0; row < N_ROWS; row++) {
        const int n = total(seen, updates, DELE_RETAIN, row);
        least = n < least ? n : least, most = n > most ? n : most;
        for (size_t u = 0; u < updates; u++) twice += seen[u][DELE_RETAIN][row] > 1;
        assert_int_equal(total(seen, updates, DELE_FORGET, row), 20);
    }
    assert_true(most - least > 1 && twice > 0); /* a deck would give neither */
    assert_true(least > 5 &&
                most < 45); /* but nobody is favoured: beyond three standard deviations of 4.2 */
}

/* A chunk is a run of its own: fresh moments, its own schedule.  An update is all of a chunk, and
 * all that is kept. */
static void two_chunks_are_two_runs_one_after_the_other(void **state)
{
    fixture *f = *state;
    dele_train_options o = options(&dele_objective_joint);
    dele_train_report report;
    dele_err err = {0};
    o.adamw.lr = 1e-3;
    o.alpha = (dele_alpha){.mode = DELE_ALPHA_FIXED, .fixed = 1};
    o.epochs = 3;
    o.batch = 12;
    o.retain_ratio = 2; /* 4 to forget, 8 to keep */
    o.chunks = 2;
    run(f, &o, &report);
    assert_int_equal(report.updates, 6);
    float **chunked = copy_of_weights(f);
    restore_weights(f);
    o.chunks = 1;
    for (int half = 0; half < 2; half++) {
        dele_dataset part = f->set[DELE_FORGET];
        part.row += half * N_ROWS / 2;
        part.n = N_ROWS / 2;
        const dele_train_data data = {.set = {&part, &f->set[DELE_RETAIN]}};
        if (dele_train(&report, &f->trainable, &data, &o, NULL, &err)) fail_msg("%s", err.msg);
    }
    assert_true(largest_gap(f, chunked) <
                0.1 * o.adamw.lr); /* sums in another order; a step is as large as lr */
    assert_true(largest_gap(f, f->saved) > o.adamw.lr);
}

static void what_cannot_be_sampled_is_refused(void **state)
{
    fixture *f = *state;
    dele_train_report plan;
    dele_train_options o = options(&dele_objective_joint), bad = o;
    bad.chunks = N_ROWS + 1;
    assert_int_equal(dele_train_plan(&plan, &f->data, &bad, NULL), DELE_ERR_USAGE);
    bad = o;
    bad.retain_ratio = o.batch;
    assert_int_equal(dele_train_plan(&plan, &f->data, &bad, NULL), DELE_ERR_USAGE);
    bad = o;
    bad.chunks = 2;
    bad.alpha.mode = DELE_ALPHA_CODE;
    assert_int_equal(dele_train_plan(&plan, &f->data, &bad, NULL), DELE_ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_is_through_before_the_next_begins),
        cmocka_unit_test(retain_rows_stand_beside_at_their_ratio_and_go_round),
        cmocka_unit_test(random_pairs_are_drawn_with_replacement),
        cmocka_unit_test(two_chunks_are_two_runs_one_after_the_other),
        cmocka_unit_test(what_cannot_be_sampled_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
