/* Checks while a model forgets: what they measure, when they end a run, and which state they
 * keep. */
#include "claims.h"

#include "forgetting.h"

/* Whether the model says all of a row's labels, asked row by row. */
static bool says(const fixture *f, const dele_sequence *s)
{
    int output_rows[LENGTH], greedy[LENGTH];
    double logp[LENGTH];
    dele_run run = {0};
    dele_err err = {0};
    const size_t labels = s->n - s->first_label;
    for (size_t k = 0; k < labels; k++) output_rows[k] = (int)(s->first_label + k - 1);
    dele_segment segment = {.tokens = s->ids, .n_rows = (int)s->n - 1};
    dele_batch batch = {
        .segments = &segment, .n_segments = 1, .output_rows = output_rows, .n_output_rows = labels};
    if (dele_forward(&run, &f->model, &batch, &err) ||
        dele_logprobs(logp, greedy, &run, &f->model, run.final, s->ids + s->first_label, labels,
                      &err))
        fail_msg("%s", err.msg);
    dele_run_release(&run);
    for (size_t k = 0; k < labels; k++)
        if (!greedy[k]) return false;
    return true;
}

/* An update of 8 rows, all of the epoch's; constant lr, so that a shorter run is the longer one's
 * beginning. */
static dele_train_options checked(fixture *f)
{
    dele_train_options o = options(&dele_objective_joint);
    o.adamw.lr = 1e-2;
    o.schedule = DELE_CONSTANT;
    o.epochs = 12;
    o.batch = 16;
    o.collapse = 0;
    o.evaluations.eval_every = 2;
    f->data.evaluation =
        (dele_evaluation_data){.set = {&f->set[DELE_FORGET], &f->set[DELE_RETAIN]}};
    return o;
}

/* One label of a row is made wrong, so that its other labels are not enough. */
static void a_look_is_what_a_row_by_row_count_gives(void **state)
{
    fixture *f = *state;
    dele_err err = {0};
    restore_weights(f);
    int *label = &f->ids[DELE_FORGET][3][f->row[DELE_FORGET][3].n - 1], was = *label;
    *label = (was + 1) % VOCAB;
    for (size_t tokens = 1; tokens < 100; tokens += 17) {
        double nll, exact, right = 0;
        if (dele_evaluate_set(&nll, &exact, NULL, &f->model, &f->set[DELE_FORGET], tokens, &err))
            fail_msg("%s", err.msg);
        for (int i = 0; i < N_ROWS; i++) right += says(f, &f->row[DELE_FORGET][i]);
        assert_true(right > 0 && right < N_ROWS);
        assert_true(exact == right / N_ROWS);
        assert_true(fabs(nll - loss_by_hand(f, DELE_FORGET, false)) < 1e-6 * nll);
    }
    *label = was;
}

static void evaluating_changes_nothing(void **state)
{
    fixture *f = *state;
    dele_train_options o = checked(f);
    dele_train_report report;
    run(f, &o, &report);
    float **with = copy_of_weights(f);
    assert_int_equal(report.selected.update, 12);
    assert_true(fabs(report.selected.nll[DELE_FORGET] - ce(f, DELE_FORGET)) <
                1e-6 * report.selected.nll[DELE_FORGET]);
    o.evaluations.eval_every = 0;
    run(f, &o, &report);
    assert_true(largest_gap(f, with) == 0);
}

/* The table says what was seen; best is the highest forget nll of the lines within, and the weights
 * are that state's. */
static void the_best_state_is_the_most_forgetful_within_the_budget(void **state)
{
    fixture *f = *state;
    dele_train_options o = checked(f);
    dele_train_report report, again;
    char *text = NULL, *line;
    size_t size, best_update = 0, lines = 0, beyond = 0;
    double best = -1, first = 0;
    o.evaluations.select = DELE_SELECT_BEST;
    o.evaluations.retain_budget = 0.02;
    o.evaluations.patience = 100;
    o.alpha =
        (dele_alpha){.mode = DELE_ALPHA_FIXED, .fixed = 0.5}; /* the retain loss will suffer */
    f->output.evaluations = open_memstream(&text, &size);
    run(f, &o, &report);
    fclose(f->output.evaluations);
    f->output.evaluations = NULL;
    char *rest = text;
    strsep(&rest, "\n");
    while ((line = strsep(&rest, "\n")) && *line) {
        size_t update;
        double nll[2], exact[2], mmlu;
        int within;
        assert_int_equal(sscanf(line, "%zu %lf %lf %lf %lf %lf %d", &update, &nll[0], &exact[0],
                                &nll[1], &exact[1], &mmlu, &within),
                         7);
        if (lines++ == 0) first = nll[1];
        assert_int_equal(within, nll[1] <= first + 0.02);
        beyond += !within;
        if (!within || nll[0] <= best) continue;
        best = nll[0];
        best_update = update;
    }
    free(text);
    assert_int_equal(lines, 7);
    assert_true(beyond > 0 && best_update > 0); /* else nothing was put to the test */
    assert_int_equal(report.selected.update, best_update);
    assert_int_equal(report.done, best_update);
    float **kept = copy_of_weights(f);
    o.epochs = (int)best_update;
    o.evaluations.eval_every = 0;
    run(f, &o, &again);
    assert_true(largest_gap(f, kept) == 0);
}

static void where_every_step_is_too_dear_the_start_is_kept(void **state)
{
    fixture *f = *state;
    dele_train_options o = checked(f);
    dele_train_report report;
    o.adamw.lr = 1;
    o.evaluations.eval_every = 1;
    o.evaluations.select = DELE_SELECT_BEST;
    o.evaluations.retain_budget = 0.1;
    run(f, &o, &report);
    assert_true(report.stopped);
    assert_int_equal(report.selected.update, 0);
    assert_true(largest_gap(f, f->saved) == 0);
}

/* Three in a row, not three in all. */
static void training_ends_after_so_many_checks_in_a_row_beyond_the_budget(void **state)
{
    fixture *f = *state;
    dele_train_options o = checked(f);
    dele_train_report report;
    o.evaluations.eval_every = 1;
    o.evaluations.retain_budget = 0.02;
    o.alpha = (dele_alpha){.mode = DELE_ALPHA_FIXED, .fixed = 0};
    for (int patience = 1; patience <= 3; patience++) {
        o.evaluations.patience = patience;
        run(f, &o, &report);
        assert_true(report.stopped && report.done < report.updates);
        assert_int_equal(report.selected.update,
                         report.done); /* the last state is kept, beyond or not */
        assert_false(report.selected.within);
        const size_t ended = report.done;
        float **last = copy_of_weights(f);
        dele_train_options shorter = o;
        shorter.evaluations.eval_every = 0;
        shorter.epochs = (int)ended;
        run(f, &shorter, &report);
        assert_true(largest_gap(f, last) == 0);
        shorter.epochs =
            (int)(ended - (size_t)patience); /* the state before the first of them was within */
        if (shorter.epochs)
            run(f, &shorter, &report);
        else
            restore_weights(f);
        const double now = ce(f, DELE_RETAIN);
        restore_weights(f);
        assert_true(now <= ce(f, DELE_RETAIN) + 0.02);
    }
}

/* The retain rows play what was never seen: training ends at the first check at which they are no
 * newer than the others. */
static void training_ends_when_forget_nll_reaches_holdout_nll(void **state)
{
    fixture *f = *state;
    dele_train_options o = checked(f);
    dele_train_report report;
    char *text = NULL, *line;
    size_t size, lines = 0;
    double retain = 0, holdout = 0, forget = 0;
    o.evaluations.eval_every = 1;
    f->data.evaluation.set[DELE_HOLDOUT] = &f->set[DELE_RETAIN];
    f->data.evaluation.set[DELE_RETAIN] = NULL;
    f->output.evaluations = open_memstream(&text, &size);
    run(f, &o, &report);
    fclose(f->output.evaluations);
    f->output.evaluations = NULL;
    char *rest = text;
    strsep(&rest, "\n");
    while ((line = strsep(&rest, "\n")) && *line) {
        assert_true(lines++ == 0 || forget < holdout); /* none of those before was enough */
        assert_int_equal(
            sscanf(line, "%*u %lf %*f %lf %*f %*f %*d %lf", &forget, &retain, &holdout), 3);
        assert_true(isnan(retain));
    }
    free(text);
    assert_true(lines > 1 && forget >= holdout);
    assert_true(report.enough && report.stopped && report.done < report.updates);
    assert_int_equal(report.done, lines - 1);
    assert_true(fabs(holdout - ce(f, DELE_RETAIN)) < 1e-6 * holdout &&
                fabs(forget - ce(f, DELE_FORGET)) < 1e-6 * forget);
    f->data.evaluation.set[DELE_HOLDOUT] = &f->set[DELE_FORGET]; /* as new as itself */
    run(f, &o, &report);
    assert_true(report.enough && report.done == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_look_is_what_a_row_by_row_count_gives),
        cmocka_unit_test(evaluating_changes_nothing),
        cmocka_unit_test(the_best_state_is_the_most_forgetful_within_the_budget),
        cmocka_unit_test(where_every_step_is_too_dear_the_start_is_kept),
        cmocka_unit_test(training_ends_after_so_many_checks_in_a_row_beyond_the_budget),
        cmocka_unit_test(training_ends_when_forget_nll_reaches_holdout_nll),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
