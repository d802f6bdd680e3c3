/* Unlearning on a tiny model of random weights: what was learnt can be forgotten, and nothing else
 * may move. */
#include "claims.h"

#include "forgetting.h"
#include "unlearn/cost.h"
#include "unlearn/param_buffers.h"

static void forgetting_rises_and_retaining_stays(void **state)
{
    fixture *f = *state;
    dele_train_options o = options(&dele_objective_joint);
    o.adamw.lr = 1e-2;
    o.epochs = 12;
    o.batch = 8;
    dele_train_report report;
    restore_weights(f);
    double forget = ce(f, DELE_FORGET), retain = ce(f, DELE_RETAIN);
    run(f, &o, &report);
    assert_true(fabs(report.first.loss[DELE_RETAIN] - retain) < retain + 0.1);
    assert_int_equal(report.updates, 24);
    assert_true(ce(f, DELE_FORGET) > forget + 2);
    assert_true(ce(f, DELE_RETAIN) < retain + 0.5);
}

static void only_masked_tensors_move(void **state)
{
    fixture *f = *state;
    dele_train_options o = options(&dele_objective_joint);
    dele_train_report report;
    run(f, &o, &report);
    for (size_t k = 0; k < f->model.n_tensors; k++) {
        const dele_tensor *t = &f->model.tensors[k];
        bool same = !memcmp(t->data, f->saved[k], t->rows * t->cols * sizeof(float));
        assert_int_equal(same, !f->mask.trains[k]);
    }
}

/* One micro-batch with its weighted gradient, or many micro-batches with the retain gradient set
 * aside: the same run.  Adam divides by √v, so where a gradient is nearly nothing its rounding is
 * made as large as a step; a tenth of one is allowed. */
static void the_result_does_not_depend_on_batch_tokens(void **state)
{
    fixture *f = *state;
    static const char *const alphas[] = {"paper", "code", "1.5"};
    for (int k = 0; k < 3; k++) {
        dele_train_options o = options(&dele_objective_joint);
        dele_train_report report;
        dele_err err = {0};
        assert_int_equal(dele_alpha_parse(&o.alpha, alphas[k], &err), DELE_OK);
        o.epochs = 2;
        o.micro_batch = 5;
        o.adamw.lr = 1e-3;
        run(f, &o, &report);
        float **whole = copy_of_weights(f);
        for (size_t tokens = 1; tokens < 40; tokens += 19) {
            o.batch_tokens = tokens;
            run(f, &o, &report);
            assert_true(largest_gap(f, whole) < 0.1 * o.adamw.lr);
        }
    }
}

/* Accumulating is exact: the gradient norm of the first update is that of the whole batch, to
 * rounding. */
static void the_gradient_does_not_depend_on_batch_tokens(void **state)
{
    fixture *f = *state;
    for (int by_sequence = 0; by_sequence < 2; by_sequence++) {
        dele_train_options o = options(&dele_objective_joint);
        dele_train_report whole, cut;
        o.epochs = 1;
        o.loss_weights = by_sequence ? DELE_LOSS_BY_SEQUENCES : DELE_LOSS_BY_TOKENS;
        run(f, &o, &whole);
        o.batch_tokens = 1;
        run(f, &o, &cut);
        assert_true(fabs(whole.first.norm - cut.first.norm) < 1e-5 * whole.first.norm);
        for (int side = 0; side < 2; side++)
            assert_true(fabs(whole.first.loss[side] - cut.first.loss[side]) <
                        1e-6 + 1e-5 * whole.first.loss[side]);
    }
}

/* One update of all rows, in one micro-batch and in many: its losses are those computed by hand,
 * row by row. */
static void a_loss_is_one_mean_of_tokens_or_a_mean_of_rows_means(void **state)
{
    fixture *f = *state;
    for (int by_sequence = 0; by_sequence < 2; by_sequence++) {
        double update_batch[2];
        restore_weights(f);
        for (int side = 0; side < 2; side++)
            update_batch[side] = loss_by_hand(f, (dele_side)side, by_sequence);
        for (size_t tokens = 1; tokens <= 1000; tokens += 999) {
            dele_train_options o = options(&dele_objective_joint);
            dele_train_report report;
            o.epochs = 1;
            o.batch = 2 * N_ROWS;
            o.loss_weights = by_sequence ? DELE_LOSS_BY_SEQUENCES : DELE_LOSS_BY_TOKENS;
            o.batch_tokens = tokens;
            run(f, &o, &report);
            assert_int_equal(report.updates, 1);
            for (int side = 0; side < 2; side++)
                assert_true(fabs(report.first.loss[side] - update_batch[side]) <
                            1e-5 * update_batch[side]);
        }
    }
    restore_weights(f);
    assert_true(fabs(loss_by_hand(f, DELE_FORGET, true) - loss_by_hand(f, DELE_FORGET, false)) >
                1e-3 * loss_by_hand(f, DELE_FORGET, true)); /* the two can be told apart */
}

/* −CE_F + 1.5 CE_R of all rows, each side a mean of rows' means, some way along a direction. */
static double joint_by_hand(fixture *f, float *const *direction, double step)
{
    restore_weights(f);
    for (size_t k = 0; k < f->model.n_tensors; k++)
        if (direction[k])
            dele_add_scaled(f->model.tensors[k].data, direction[k], step,
                            dele_n_weights(&f->model, k));
    return -loss_by_hand(f, DELE_FORGET, true) + 1.5 * loss_by_hand(f, DELE_RETAIN, true);
}

/* The gradient of the mean of rows' means, taken down four rows at a time, predicts how that mean
 * changes. */
static void the_gradient_weighed_by_sequences_is_that_of_the_loss(void **state)
{
    fixture *f = *state;
    dele_packed_batch p = {0};
    dele_err err = {0};
    dele_arena arena = {0};
    dele_item items[2 * N_ROWS];
    double settings[DELE_N_SETTINGS], length = 0;
    const double weight[2] = {-1, 1.5};
    dele_loss_group group = {.sequences = {N_ROWS, N_ROWS}, .by_sequence = true};
    restore_weights(f);
    dele_objective_defaults(settings, &dele_objective_joint);
    for (int i = 0; i < 2 * N_ROWS; i++) {
        const dele_side side = i < N_ROWS ? DELE_RETAIN : DELE_FORGET;
        items[i] = (dele_item){.row = &f->row[side][i % N_ROWS], .side = side};
    }
    const dele_packed_batch_options packed = {
        &dele_objective_joint, settings, 1000, LENGTH, 0, NULL};
    float **g = dele_param_buffers_new(&f->model, &f->mask, true, &arena, &err);
    if (dele_packed_batch_init(&p, &f->model, &f->mask, &packed, &arena, &err))
        fail_msg("%s", err.msg);
    for (int i = 0; i < 2 * N_ROWS; i += 4) {
        double loss[2] = {0};
        if (dele_packed_batch_forward(&p, loss, items + i, 4, &group, &err) ||
            dele_packed_batch_backward(&p, weight, 1, g, &err))
            fail_msg("%s", err.msg);
    }
    for (size_t k = 0; k < f->model.n_tensors; k++)
        if (g[k]) length += dele_sum_squares(g[k], dele_n_weights(&f->model, k));
    length = sqrt(length);
    const double step = 1e-3 / length;
    const double slope =
        (joint_by_hand(f, g, step) - joint_by_hand(f, g, -step)) / (2 * step * length);
    if (fabs(slope - length) > 0.01 * length)
        fail_msg("the gradient is %g long, the loss rises by %g", length, slope);
    dele_packed_batch_release(&p);
    dele_arena_release(&arena);
}

static void the_same_seed_gives_the_same_bytes(void **state)
{
    fixture *f = *state;
    dele_train_options o = options(&dele_objective_joint);
    dele_train_report report;
    run(f, &o, &report);
    float **once = copy_of_weights(f);
    run(f, &o, &report);
    assert_true(largest_gap(f, once) == 0);
    o.seed = 6;
    run(f, &o, &report);
    assert_true(largest_gap(f, once) > 0);
}

/* A learning rate far too large: the run stops with a sentence, and the weights are finite and
 * usable. */
static void divergence_stops_and_keeps_the_last_good_state(void **state)
{
    fixture *f = *state;
    dele_train_options o = options(&dele_objective_joint);
    dele_train_report report;
    dele_err err = {0};
    o.adamw.lr = 1e30;
    restore_weights(f);
    assert_int_equal(dele_train(&report, &f->trainable, &f->data, &o, NULL, &err),
                     DELE_ERR_DIVERGED);
    assert_non_null(strstr(err.msg, "smaller --lr"));
    assert_true(isfinite(ce(f, DELE_RETAIN)));
    assert_true(largest_gap(f, f->saved) < 1e30); /* the state before the fatal step */
}

static void a_collapse_stops_the_run(void **state)
{
    fixture *f = *state;
    dele_train_options o = options(&dele_objective_joint);
    dele_train_report report;
    dele_err err = {0};
    o.alpha =
        (dele_alpha){.mode = DELE_ALPHA_FIXED, .fixed = 0}; /* nothing holds what is to be kept */
    o.adamw.lr = 3e-2;
    o.epochs = 100;
    restore_weights(f);
    assert_int_equal(dele_train(&report, &f->trainable, &f->data, &o, NULL, &err),
                     DELE_ERR_DIVERGED);
    assert_non_null(strstr(err.msg, "collapsed"));
    assert_true(report.done < report.updates);
}

static void a_learning_rate_that_is_no_number_is_refused(void **state)
{
    fixture *f = *state;
    dele_train_options o = options(&dele_objective_joint);
    dele_train_report report;
    dele_err err = {0};
    o.adamw.lr = (double)NAN;
    restore_weights(f);
    assert_int_equal(dele_train(&report, &f->trainable, &f->data, &o, NULL, &err), DELE_ERR_USAGE);
    assert_true(largest_gap(f, f->saved) == 0);
}

/* 8 rows in updates of at most 3 are 3 updates of 3, 3 and 2 rows; 7 retain rows go round. */
static void rows_are_shared_out_evenly(void **state)
{
    fixture *f = *state;
    dele_train_options o = options(&dele_objective_joint);
    dele_train_report plan;
    dele_err err = {0};
    o.batch = 6;
    o.epochs = 4;
    assert_int_equal(dele_train_plan(&plan, &f->data, &o, &err), DELE_OK);
    assert_int_equal(plan.updates_per_epoch, 3);
    assert_int_equal(plan.updates, 12);
    assert_int_equal(plan.rows_in_all, 4 * (8 + 3 * 3));
    dele_train_report report;
    run(f, &o, &report);
    assert_int_equal(report.last.rows, plan.rows_in_all);
}

/* sampler.h's picture: 16 rows in micro-batches of 3, four of them an update, three epochs of which
 * one update each fits. */
static void left_over_micro_batches_go_with_the_next_epoch(void **state)
{
    fixture *f = *state;
    static const size_t sizes[3][4] = {{3, 3, 3, 3}, {3, 1, 3, 3}, {3, 3, 3, 1}};
    dele_train_options o = options(&dele_objective_joint);
    dele_train_report plan, report;
    dele_err err = {0};
    dele_sampler sampler;
    int seen[2 * N_ROWS] = {0};
    assert_int_equal(dele_alpha_parse(&o.alpha, "code", &err), DELE_OK);
    o.micro_batch = 3;
    o.batch = 12;
    o.epochs = 3;
    assert_int_equal(dele_train_plan(&plan, &f->data, &o, &err), DELE_OK);
    assert_int_equal(plan.updates, 3);
    assert_int_equal(plan.rows_in_all, 12 + 10 + 10);
    assert_int_equal(dele_sampler_init(&sampler, &f->data, &o, &f->arena, &err), DELE_OK);
    for (int u = 0; u < 3; u++) {
        const dele_update_batch update_batch = dele_sampler_next(&sampler);
        assert_int_equal(update_batch.n_groups, 4);
        for (size_t g = 0, i = 0; g < 4; i = update_batch.end[g++])
            assert_int_equal(update_batch.end[g] - i, sizes[u][g]);
        assert_true(update_batch.loss_weight == 0.25 &&
                    update_batch.epoch == (u == 2)); /* 0, 4 and 8 of 6 micro-batches */
        for (size_t i = 0; i < update_batch.n; i++) {
            const dele_side side = update_batch.items[i].side;
            seen[(int)side * N_ROWS + (int)(update_batch.items[i].row - f->row[side])]++;
        }
    }
    for (int i = 0; i < 2 * N_ROWS; i++) assert_int_equal(seen[i], 2); /* two whole epochs */
    run(f, &o, &report);
    assert_int_equal(report.last.rows, plan.rows_in_all);
}

/* Where retain rows go round a whole number of times, to the token. */
static void the_plan_counts_the_tokens(void **state)
{
    fixture *f = *state;
    dele_train_options o = options(&dele_objective_joint);
    dele_train_report plan, report;
    o.batch = 2 * N_ROWS;
    o.epochs = 3;
    assert_int_equal(dele_train_plan(&plan, &f->data, &o, NULL), DELE_OK);
    run(f, &o, &report);
    assert_int_equal(report.last.tokens, plan.tokens_in_all);
    assert_int_equal(report.last.rows, plan.rows_in_all);
}

/* Once through the retain rows: the layers forward, as the engine counted them, and from the lowest
 * trained one up backward; the head on labels both ways; what trains. */
static void foretells_operations(const fixture *f, double counted)
{
    dele_train_options o = options(&dele_objective_joint);
    const dele_dataset *set = &f->set[DELE_RETAIN];
    const dele_train_report plan = {.updates = 1, .tokens_in_all = set->tokens};
    dele_train_data data = {.set = {[DELE_RETAIN] = set}};
    const dele_config *c = &f->model.config;
    const double backward = 1 - (double)f->mask.lowest / c->n_layers,
                 head = 4.0 * (double)set->labels * c->hidden_size * c->vocab;
    const double output_rows = (1 + backward) * counted + head +
                               2.0 * (double)(set->tokens - set->n) * (double)f->mask.n_parameters;
    const double told = dele_train_flops(&f->trainable, &data, &o, &plan);
    if (fabs(told - output_rows) > 0.05 * output_rows)
        fail_msg("%g operations foretold, %g by the engine's count", told, output_rows);
    o.evaluations = (dele_evaluation_options){.eval_every = 1};
    data.evaluation.set[DELE_RETAIN] = set;
    const double evaluations = dele_train_flops(&f->trainable, &data, &o, &plan) - told;
    if (fabs(evaluations - 2 * (counted + head / 2)) > 0.05 * evaluations)
        fail_msg("%g operations foretold of two checks", evaluations);
}

/* The trainer's buffers and the passes of a packed batch take what is foretold, to the byte: for
 * one objective of each kind. */
static void training_takes_the_bytes_foretold(void **state)
{
    fixture *f = *state;
    static const char *const names[] = {"joint", "npo", "rmu"};
    for (int k = 0; k < 3; k++) {
        dele_err err = {0};
        dele_train_options o = options(dele_objective_find(names[k], &err));
        dele_train_report report;
        dele_train_memory told;
        double settings[DELE_N_SETTINGS];
        o.epochs = 1;
        o.evaluations.eval_every = 1;
        o.evaluations.select = DELE_SELECT_BEST;
        dele_objective_defaults(settings, o.objective);
        settings[DELE_LAYER] = 1;
        o.settings = settings;
        run(f, &o, &report);
        const dele_train_size size = {
            .rows = o.batch_tokens, .labels = o.batch_tokens, .sequences = 1, .longest = LENGTH};
        if (dele_train_count(&told, &f->trainable, &o, &size, &err)) fail_msg("%s", err.msg);
        assert_int_equal(report.buffers, told.buffers);
        assert_int_equal(told.weights, 4 * dele_model_parameters(&f->model));
    }
}

static void a_packed_batch_takes_the_bytes_foretold(void **state)
{
    fixture *f = *state;
    dele_packed_batch p = {0};
    dele_err err = {0};
    dele_arena arena = {0};
    dele_item items[N_ROWS];
    double settings[DELE_N_SETTINGS], loss[2] = {0};
    const double weight[2] = {1, 1};
    dele_loss_group group = {0};
    dele_pass_size size = {.n_segments = N_ROWS, .n_spans = N_ROWS, .longest = LENGTH - 1};
    dele_objective_defaults(settings, &dele_objective_joint);
    for (int i = 0; i < N_ROWS; i++) {
        items[i] = (dele_item){.row = &f->row[DELE_RETAIN][i], .side = DELE_RETAIN};
        size.n_output_rows += items[i].row->n - FIRST;
        size.n_rows += items[i].row->n - 1;
    }
    group.tokens[DELE_RETAIN] = size.n_output_rows;
    group.sequences[DELE_RETAIN] = N_ROWS;
    const dele_packed_batch_options packed = {
        &dele_objective_joint, settings, size.n_rows, LENGTH, 0, NULL};
    float **g = dele_param_buffers_new(&f->model, &f->mask, true, &arena, &err);
    if (dele_packed_batch_init(&p, &f->model, &f->mask, &packed, &arena, &err) ||
        dele_packed_batch_forward(&p, loss, items, N_ROWS, &group, &err) ||
        dele_packed_batch_backward(&p, weight, 1, g, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(p.now.run.arena.used + p.now.run.tile_arena.used,
                     dele_packed_batch_bytes(&p, size));
    foretells_operations(f, p.now.run.flops);
    dele_packed_batch_release(&p);
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forgetting_rises_and_retaining_stays),
        cmocka_unit_test(only_masked_tensors_move),
        cmocka_unit_test(the_result_does_not_depend_on_batch_tokens),
        cmocka_unit_test(the_gradient_does_not_depend_on_batch_tokens),
        cmocka_unit_test(a_loss_is_one_mean_of_tokens_or_a_mean_of_rows_means),
        cmocka_unit_test(the_gradient_weighed_by_sequences_is_that_of_the_loss),
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(divergence_stops_and_keeps_the_last_good_state),
        cmocka_unit_test(a_collapse_stops_the_run),
        cmocka_unit_test(a_learning_rate_that_is_no_number_is_refused),
        cmocka_unit_test(rows_are_shared_out_evenly),
        cmocka_unit_test(left_over_micro_batches_go_with_the_next_epoch),
        cmocka_unit_test(the_plan_counts_the_tokens),
        cmocka_unit_test(training_takes_the_bytes_foretold),
        cmocka_unit_test(a_packed_batch_takes_the_bytes_foretold),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
