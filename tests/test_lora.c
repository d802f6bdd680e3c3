/* Adapters: what B A can be, what it is at first, and that training moves nothing else. */
#include "claims.h"

#include "scratch.h"
#include "unlearn/trainer.h"

enum { VOCAB = 40, N_ROWS = 6, LENGTH = 7, FIRST = 4 };

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_mask mask;
    int ids[2][N_ROWS][LENGTH];
    dele_sequence row[2][N_ROWS];
    dele_dataset set[2];
    dele_trainable trainable; /* the masked tensors, until a test gives adapters */
    dele_train_data data;     /* both sets */
    dele_train_output output; /* nowhere */
    float **before;           /* [n_tensors] */
} world;

static void make_rows(world *w)
{
    dele_rng rng;
    dele_rng_seed(&rng, 11);
    for (int side = 0; side < 2; side++) {
        w->set[side] = (dele_dataset){.row = w->row[side], .n = N_ROWS, .longest = LENGTH};
        for (int i = 0; i < N_ROWS; i++) {
            for (int k = 0; k < LENGTH; k++) w->ids[side][i][k] = (int)dele_rng_below(&rng, VOCAB);
            w->row[side][i] = (dele_sequence){w->ids[side][i], LENGTH, FIRST, i + 1};
            w->set[side].labels += LENGTH - FIRST;
            w->set[side].tokens += LENGTH;
        }
    }
}

static float **copy_weights(world *w)
{
    dele_err err = {0};
    float **copy = DELE_NEW(&w->arena, float *, w->model.n_tensors, &err);
    for (size_t k = 0; k < w->model.n_tensors; k++) {
        const dele_tensor *t = &w->model.tensors[k];
        copy[k] = DELE_NEW(&w->arena, float, t->rows * t->cols, &err);
        memcpy(copy[k], t->data, t->rows * t->cols * sizeof(float));
    }
    return copy;
}

/* Two layers of random weights; layer 0's attention and mlp have adapters. */
static void make_world(world *w)
{
    static const dele_config config = {.family = &dele_family_llama,
                                       .n_layers = 2,
                                       .hidden_size = 32,
                                       .intermediate_size = 48,
                                       .n_heads = 4,
                                       .n_kv_heads = 2,
                                       .head_dim = 8,
                                       .vocab = VOCAB,
                                       .context = 32,
                                       .norm_eps = 1e-5f,
                                       .rope[0].theta = 1e4f,
                                       .tied = true};
    dele_err err = {0};
    *w = (world){0};
    if (dele_model_layout(&w->model, &config, &w->arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(&w->model, 0.2, 7);
    if (dele_mask_parse(&w->mask, &w->model, "0", "attn,mlp", &w->arena, &err))
        fail_msg("%s", err.msg);
    make_rows(w);
    w->trainable = (dele_trainable){.model = &w->model, .mask = &w->mask};
    w->data = (dele_train_data){.set = {&w->set[DELE_FORGET], &w->set[DELE_RETAIN]}};
    w->before = copy_weights(w);
}

static void end_world(world *w)
{
    dele_model_release(&w->model);
    dele_arena_release(&w->arena);
}

static dele_lora adapters(world *w, int rank, double alpha)
{
    dele_lora l;
    dele_err err = {0};
    const dele_lora_options o = {.rank = rank, .alpha = alpha, .seed = 3};
    if (dele_lora_init(&l, &w->model, &w->mask, &o, &w->arena, &err)) fail_msg("%s", err.msg);
    return l;
}

static double largest_gap(const world *w, float *const *other)
{
    double most = 0;
    for (size_t k = 0; k < w->model.n_tensors; k++)
        for (size_t i = 0; i < w->model.tensors[k].rows * w->model.tensors[k].cols; i++)
            most = fmax(most, fabs((double)w->model.tensors[k].data[i] - (double)other[k][i]));
    return most;
}

/* ---- identities ------------------------------------------------------------------------------ */

static void adapters_begin_as_the_model_itself(void **state)
{
    (void)state;
    world w;
    make_world(&w);
    const dele_lora l = adapters(&w, 3, 6);
    dele_lora_write(&l);
    assert_true(largest_gap(&w, w.before) == 0);
    size_t n = 0;
    for (size_t k = 0; k < w.model.n_tensors; k++) {
        const dele_tensor *t = &w.model.tensors[k];
        const float *a = l.table.tensors[k].data;
        if (!w.mask.trains[k]) {
            assert_null(a);
            continue;
        }
        n += 3 * (t->rows + t->cols);
        double most = 0;
        for (size_t i = 0; i < 3 * t->cols; i++) most = fmax(most, fabs((double)a[i]));
        assert_true(most * sqrt((double)t->cols) <= 1.0001 && most * sqrt((double)t->cols) > 0.9);
        for (size_t i = 3 * t->cols; i < l.table.tensors[k].cols; i++) assert_true(a[i] == 0);
    }
    assert_int_equal(dele_lora_parameters(&l), n);
    end_world(&w);
}

/* W = W0 + s B A, multiplied out here in double. */
static void the_tensor_is_what_it_was_and_the_product(void **state)
{
    (void)state;
    world w;
    dele_rng rng;
    dele_rng_seed(&rng, 1);
    make_world(&w);
    const dele_lora l = adapters(&w, 3, 6);
    for (size_t k = 0; k < w.model.n_tensors; k++)
        for (size_t i = 0; i < l.table.tensors[k].cols; i++)
            l.table.tensors[k].data[i] = (float)(dele_rng_uniform(&rng) - 0.5);
    dele_lora_write(&l);
    for (size_t k = 0; k < w.model.n_tensors; k++) {
        const dele_tensor *t = &w.model.tensors[k];
        const float *a = l.table.tensors[k].data, *b = a ? a + 3 * t->cols : NULL;
        for (size_t i = 0; i < t->rows * t->cols; i++) {
            double sum = (double)w.before[k][i];
            for (size_t r = 0; a && r < 3; r++)
                sum += 2 * (double)b[i / t->cols * 3 + r] * (double)a[r * t->cols + i % t->cols];
            assert_true(fabs((double)t->data[i] - sum) < 1e-6);
        }
    }
    end_world(&w);
}

/* With rank = rows, B the unit matrix (over s) and A the change give any change at all. */
static void a_full_rank_reaches_any_change(void **state)
{
    (void)state;
    world w;
    dele_rng rng;
    dele_rng_seed(&rng, 2);
    make_world(&w);
    const int rank = 48; /* the most rows any of them has */
    const dele_lora l = adapters(&w, rank, 24);
    float **output_rows = copy_weights(&w);
    for (size_t k = 0; k < w.model.n_tensors; k++) {
        const dele_tensor *t = &w.model.tensors[k];
        float *a = l.table.tensors[k].data;
        if (!a) continue;
        assert_true(t->rows <= (size_t)rank);
        memset(a, 0, l.table.tensors[k].cols * sizeof *a);
        for (size_t i = 0; i < t->rows; i++) {
            a[(size_t)rank * t->cols + i * (size_t)rank + i] = 2; /* s = 1/2 */
            for (size_t j = 0; j < t->cols; j++) {
                const float change = (float)(dele_rng_uniform(&rng) - 0.5);
                a[i * t->cols + j] = change;
                output_rows[k][i * t->cols + j] += change;
            }
        }
    }
    dele_lora_write(&l);
    assert_true(largest_gap(&w, output_rows) < 1e-6);
    end_world(&w);
}

/* <dA, U> + <dB, V> = <G, d/dε W(A + εU, B + εV)>: the gradient predicts what any step of A and B
 * does. */
static void the_gradient_predicts_a_step_of_the_adapters(void **state)
{
    (void)state;
    world w;
    dele_rng rng;
    dele_err err = {0};
    dele_rng_seed(&rng, 5);
    make_world(&w);
    const dele_lora l = adapters(&w, 3, 6);
    for (size_t k = 0; k < w.model.n_tensors; k++) {
        const dele_tensor *t = &w.model.tensors[k];
        float *ab = l.table.tensors[k].data;
        const size_t n = l.table.tensors[k].cols, n_weights = t->rows * t->cols;
        if (!ab) continue;
        float *g = DELE_NEW(&w.arena, float, n_weights, &err),
              *d = DELE_NEW(&w.arena, float, n, &err);
        float *step = DELE_NEW(&w.arena, float, n, &err);
        for (size_t i = 0; i < n_weights; i++) g[i] = (float)(dele_rng_uniform(&rng) - 0.5);
        for (size_t i = 0; i < n; i++) ab[i] = (float)(dele_rng_uniform(&rng) - 0.5);
        for (size_t i = 0; i < n; i++) step[i] = (float)(dele_rng_uniform(&rng) - 0.5);
        dele_lora_gradient(d, &l, k, g);
        double predicted = 0, seen = 0;
        for (size_t i = 0; i < n; i++) predicted += (double)d[i] * (double)step[i];
        for (int side = 1; side >= -1;
             side -= 2) { /* W is quadratic in ε, so the central difference is exact */
            for (size_t i = 0; i < n; i++) ab[i] += (float)side * step[i];
            dele_lora_write(&l);
            for (size_t i = 0; i < n_weights; i++)
                seen += side * (double)g[i] * (double)t->data[i] / 2;
            for (size_t i = 0; i < n; i++) ab[i] -= (float)side * step[i];
        }
        assert_true(fabs(predicted - seen) < 1e-3 * fmax(1, fabs(predicted)));
    }
    end_world(&w);
}

/* ---- training -------------------------------------------------------------------------------- */

static dele_train_options options(const dele_objective *objective)
{
    dele_train_options o = DELE_TRAIN_DEFAULTS;
    o.objective = objective;
    o.batch = 4;
    o.epochs = 4;
    o.adamw.lr = 1e-2;
    return o;
}

static void train(world *w, const dele_train_options *o, dele_train_report *report)
{
    dele_err err = {0};
    const bool two = o->objective->needs_forget;
    w->data.set[DELE_FORGET] = two ? &w->set[0] : NULL;
    w->data.set[DELE_RETAIN] = &w->set[two ? 1 : 0];
    if (dele_train(report, &w->trainable, &w->data, o, &w->output, &err)) fail_msg("%s", err.msg);
}

/* A matrix of rank 1 has no 2 by 2 block with a determinant. */
static void training_changes_by_the_rank_and_no_more(void **state)
{
    (void)state;
    world w;
    dele_train_report report;
    make_world(&w);
    dele_lora l = adapters(&w, 1, 1);
    const dele_train_options o = options(&dele_objective_joint);
    w.trainable.lora = &l;
    train(&w, &o, &report);
    for (size_t k = 0; k < w.model.n_tensors; k++) {
        const dele_tensor *t = &w.model.tensors[k];
        const float *was = w.before[k];
        double largest = 0;
        for (size_t i = 0; i < t->rows * t->cols; i++)
            largest = fmax(largest, fabs((double)t->data[i] - (double)was[i]));
        assert_int_equal(largest > 1e-4, w.mask.trains[k]);
        for (size_t i = 0; i + 1 < t->rows && w.mask.trains[k]; i++)
            for (size_t j = 0; j + 1 < t->cols; j++) {
                const size_t at = i * t->cols + j, below = at + t->cols;
                const double a = (double)t->data[at] - (double)was[at];
                const double b = (double)t->data[at + 1] - (double)was[at + 1];
                const double c = (double)t->data[below] - (double)was[below];
                const double d = (double)t->data[below + 1] - (double)was[below + 1];
                assert_true(fabs(a * d - b * c) < 1e-5 * largest);
            }
    }
    end_world(&w);
}

/* The first update's losses are the model's own; its gradient is B's alone, for dA = s Bᵀ G = 0. */
static void the_first_losses_are_those_without_adapters(void **state)
{
    (void)state;
    world plain, with;
    dele_train_report report[2];
    make_world(&plain), make_world(&with);
    dele_lora l = adapters(&with, 2, 4);
    dele_train_options o = options(&dele_objective_npo);
    train(&plain, &o, &report[0]);
    with.trainable.lora = &l;
    train(&with, &o, &report[1]);
    for (int side = 0; side < 2; side++)
        assert_true(report[0].first.loss[side] == report[1].first.loss[side]);
    assert_true(report[1].first.norm > 0 && report[1].first.norm != report[0].first.norm);
    end_world(&plain), end_world(&with);
}

/* A task vector taken back: W0 − γ s B A, in the tensor and in the adapter that would be kept. */
static void a_task_vector_is_taken_back_in_the_adapters_too(void **state)
{
    (void)state;
    world learnt, negated;
    dele_train_report report;
    make_world(&learnt), make_world(&negated);
    dele_lora a = adapters(&learnt, 2, 2), b = adapters(&negated, 2, 2);
    dele_train_options o = options(&dele_objective_ce);
    learnt.trainable.lora = &a, negated.trainable.lora = &b;
    train(&learnt, &o, &report);
    o.objective = &dele_objective_task_vector;
    train(&negated, &o, &report);
    float **mirrored = copy_weights(&learnt);
    for (size_t k = 0; k < learnt.model.n_tensors; k++)
        for (size_t i = 0; i < learnt.model.tensors[k].rows * learnt.model.tensors[k].cols; i++)
            mirrored[k][i] = 2 * learnt.before[k][i] - mirrored[k][i];
    assert_true(largest_gap(&learnt, learnt.before) > 1e-3);
    assert_true(largest_gap(&negated, mirrored) < 1e-6);
    dele_lora_write(&b);
    assert_true(largest_gap(&negated, mirrored) < 1e-6);
    end_world(&learnt), end_world(&negated);
}

static void divergence_restores_the_last_good_adapters(void **state)
{
    (void)state;
    world w;
    dele_train_report report;
    dele_err err = {0};
    make_world(&w);
    dele_lora l = adapters(&w, 2, 2);
    dele_train_options o = options(&dele_objective_joint);
    w.trainable.lora = &l;
    o.adamw.lr = 1e25;
    assert_int_equal(dele_train(&report, &w.trainable, &w.data, &o, NULL, &err), DELE_ERR_DIVERGED);
    float **now = copy_weights(&w);
    dele_lora_write(&l);
    assert_true(largest_gap(&w, now) == 0 && isfinite(largest_gap(&w, w.before)));
    end_world(&w);
}

/* The best checked state is put back in the adapters, and the tensors follow: here the start, for
 * every other is beyond the budget. */
static void the_best_state_is_one_of_the_adapters(void **state)
{
    (void)state;
    world w;
    dele_train_report report;
    make_world(&w);
    dele_lora l = adapters(&w, 2, 2);
    dele_train_options o = options(&dele_objective_joint);
    w.trainable.lora = &l;
    o.evaluations = (dele_evaluation_options)DELE_EVALUATION_DEFAULTS;
    o.evaluations.eval_every = 1;
    w.data.evaluation.set[DELE_FORGET] = &w.set[DELE_FORGET];
    w.data.evaluation.set[DELE_RETAIN] = &w.set[DELE_RETAIN];
    o.evaluations.retain_budget = -1;
    o.evaluations.patience = 1000;
    o.evaluations.select = DELE_SELECT_BEST;
    train(&w, &o, &report);
    assert_true(report.done == 0 && report.selected.update == 0 && report.last.rows > 0);
    assert_true(largest_gap(&w, w.before) == 0);
    end_world(&w);
}

/* Two epochs that leave their state behind, and another process that resumes from it to four: A, B,
 * their moments and what is kept of them are in it. */
static void a_run_goes_on_from_the_state_of_its_adapters(void **state)
{
    world whole, first, again;
    dele_train_report report;
    make_world(&whole), make_world(&first), make_world(&again);
    dele_lora a = adapters(&whole, 2, 2), b = adapters(&first, 2, 2), c = adapters(&again, 2, 2);
    dele_train_options o = options(&dele_objective_joint);
    whole.trainable.lora = &a, first.trainable.lora = &b, again.trainable.lora = &c;
    o.schedule = DELE_CONSTANT;
    train(&whole, &o, &report);
    const size_t updates = report.done;
    const char *saved = scratch_path(*state, "state");
    first.output.state = again.output.state = saved;
    o.save_every = 1e-9;
    o.epochs = 2;
    train(&first, &o, &report);
    assert_true(dele_path_exists(saved) && report.done < updates);
    o.save_every = 0;
    o.epochs = 4;
    train(&again, &o, &report);
    assert_true(report.before.rows > 0 && report.done == updates);
    float **as_undisturbed = copy_weights(&whole);
    assert_true(largest_gap(&again, as_undisturbed) == 0 &&
                largest_gap(&again, again.before) > 1e-3);
    end_world(&whole), end_world(&first), end_world(&again);
}

/* ---- what cannot be -------------------------------------------------------------------------- */

static void what_is_no_linear_layer_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const parts[] = {"embed", "norm", "all"};
    world w;
    make_world(&w);
    for (int k = 0; k < 3; k++) {
        dele_err err = {0};
        if (dele_mask_parse(&w.mask, &w.model, "0", parts[k], &w.arena, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(dele_lora_check(&(dele_lora_options){4, 4, 3}, &w.model, &w.mask, &err),
                         DELE_ERR_USAGE);
        assert_non_null(strstr(err.msg, k == 1 ? "layernorm.weight is no linear"
                                               : "embed_tokens.weight is no linear"));
    }
    dele_err err = {0};
    if (dele_mask_parse(&w.mask, &w.model, "0", "mlp", &w.arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(dele_lora_check(&(dele_lora_options){0, 4, 3}, &w.model, &w.mask, &err),
                     DELE_ERR_USAGE);
    assert_int_equal(
        dele_lora_check(&(dele_lora_options){4, (double)NAN, 3}, &w.model, &w.mask, &err),
        DELE_ERR_USAGE);
    end_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapters_begin_as_the_model_itself),
        cmocka_unit_test(the_tensor_is_what_it_was_and_the_product),
        cmocka_unit_test(a_full_rank_reaches_any_change),
        cmocka_unit_test(the_gradient_predicts_a_step_of_the_adapters),
        cmocka_unit_test(training_changes_by_the_rank_and_no_more),
        cmocka_unit_test(the_first_losses_are_those_without_adapters),
        cmocka_unit_test(a_task_vector_is_taken_back_in_the_adapters_too),
        cmocka_unit_test(divergence_restores_the_last_good_adapters),
        cmocka_unit_test(the_best_state_is_one_of_the_adapters),
        cmocka_unit_test_setup_teardown(a_run_goes_on_from_the_state_of_its_adapters, scratch_open,
                                        scratch_close),
        cmocka_unit_test(what_is_no_linear_layer_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
