/* Unlearning in mixtures of experts: what is measured of the routers, what trains, and what of the
 * routing stays. */
#include "claims.h"

#include "model/generate.h"
#include "score/token_scores.h"
#include "unlearn/affinity.h"
#include "unlearn/param_buffers.h"
#include "unlearn/retain_weights.h"
#include "unlearn/router_projection.h"
#include "unlearn/trainer.h"

enum { VOCAB = 40, N_ROWS = 6, LENGTH = 7, FIRST = 4, LAYERS = 3, EXPERTS = 4, TOP = 2, D = 32 };

typedef struct {
    dele_arena arena;
    dele_model model;
    int ids[2][N_ROWS][LENGTH];
    dele_sequence row[2][N_ROWS];
    dele_dataset set[2];
    dele_train_data data;
    float **saved;
} fixture;

/* Rows of different lengths, so that token means and row means differ. */
static void make_sets(fixture *f)
{
    dele_rng rng;
    dele_rng_seed(&rng, 11);
    for (int side = 0; side < 2; side++) {
        f->set[side] = (dele_dataset){.row = f->row[side], .n = N_ROWS};
        for (int i = 0; i < N_ROWS; i++) {
            const size_t n = (size_t)(LENGTH - i % 3);
            for (int k = 0; k < LENGTH; k++) f->ids[side][i][k] = (int)dele_rng_below(&rng, VOCAB);
            f->row[side][i] = (dele_sequence){f->ids[side][i], n, FIRST, i + 1};
            f->set[side].labels += n - FIRST;
            f->set[side].tokens += n;
            if (n > f->set[side].longest) f->set[side].longest = n;
        }
    }
    f->data = (dele_train_data){.set = {&f->set[DELE_FORGET], &f->set[DELE_RETAIN]}};
}

/* Layer 1 is dense. */
static int setup(void **state)
{
    static const dele_config config = {.family = &dele_family_qwen3_moe,
                                       .n_layers = LAYERS,
                                       .layer_kind = {DELE_LAYER_SPARSE, 0, DELE_LAYER_SPARSE},
                                       .hidden_size = D,
                                       .intermediate_size = 48,
                                       .expert_size = 16,
                                       .n_experts = EXPERTS,
                                       .top_k = TOP,
                                       .norm_topk_prob = true,
                                       .n_heads = 4,
                                       .n_kv_heads = 2,
                                       .head_dim = 8,
                                       .vocab = VOCAB,
                                       .context = 32,
                                       .norm_eps = 1e-5f,
                                       .rope[0].theta = 1e4f,
                                       .tied = true,
                                       .pad = -1};
    fixture *f = calloc(1, sizeof *f);
    dele_err err = {0};
    if (!f || dele_model_layout(&f->model, &config, &f->arena, &err)) return -1;
    dele_model_randomise(&f->model, 0.2, 7);
    make_sets(f);
    f->saved = DELE_NEW(&f->arena, float *, f->model.n_tensors, &err);
    for (size_t k = 0; k < f->model.n_tensors; k++) {
        const dele_tensor *t = &f->model.tensors[k];
        f->saved[k] = DELE_NEW(&f->arena, float, t->rows * t->cols, &err);
        memcpy(f->saved[k], t->data, t->rows * t->cols * sizeof(float));
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    dele_model_release(&f->model);
    dele_arena_release(&f->arena);
    free(f);
    return 0;
}

static void restore_weights(fixture *f)
{
    for (size_t k = 0; k < f->model.n_tensors; k++)
        memcpy(f->model.tensors[k].data, f->saved[k],
               f->model.tensors[k].rows * f->model.tensors[k].cols * sizeof(float));
}

static dele_mask mask_of(fixture *f, const char *experts, const char *parts, dele_expert_list *list)
{
    dele_mask mask;
    dele_err err = {0};
    if (dele_expert_list_parse(list, &f->model.config, experts, "--experts", &f->arena, &err) ||
        dele_mask_experts(&mask, &f->model, list, parts, &f->arena, &err))
        fail_msg("%s", err.msg);
    return mask;
}

static dele_train_options options(void)
{
    dele_train_options o = DELE_TRAIN_DEFAULTS;
    o.objective = &dele_objective_grad_diff;
    o.alpha = (dele_alpha){.mode = DELE_ALPHA_FIXED, .fixed = 1};
    o.seed = 5, o.epochs = 4, o.batch = 6, o.collapse = 0, o.adamw.lr = 5e-3;
    return o;
}

static void train(fixture *f, const dele_mask *mask, const dele_train_options *o,
                  dele_train_report *report)
{
    dele_err err = {0};
    const dele_trainable trainable = {.model = &f->model, .mask = mask};
    restore_weights(f);
    if (dele_train(report, &trainable, &f->data, o, NULL, &err)) fail_msg("%s", err.msg);
}

/* ---- by hand --------------------------------------------------------------------------------- */

/* What the router of a layer reads of one row's ids, from the stream after attention, and its
 * logits. */
static void router_by_hand(double h[LENGTH][D], double z[LENGTH][EXPERTS], const fixture *f,
                           const dele_sequence *s, int layer)
{
    float x[LENGTH][D];
    dele_run run = {0};
    dele_err err = {0};
    const dele_segment segment = {.tokens = s->ids, .n_rows = (int)s->n};
    const dele_patch patch = {
        .layer = layer, .n_rows = (int)s->n, .site = DELE_RESID_MID, .op = DELE_READ, .seen = x[0]};
    const dele_batch batch = {
        .segments = &segment, .n_segments = 1, .patches = &patch, .n_patches = 1};
    if (dele_forward(&run, &f->model, &batch, &err)) fail_msg("%s", err.msg);
    dele_run_release(&run);
    const float *norm = dele_model_tensor(&f->model, DELE_SLOT_MLP_NORM, layer)->data,
                *w = dele_model_tensor(&f->model, DELE_SLOT_ROUTER, layer)->data;
    for (size_t t = 0; t < s->n; t++) {
        double square = 1e-5;
        for (int i = 0; i < D; i++) square += (double)x[t][i] * (double)x[t][i] / D;
        for (int i = 0; i < D; i++) h[t][i] = (double)x[t][i] / sqrt(square) * (double)norm[i];
        for (int e = 0; e < EXPERTS; e++) {
            z[t][e] = 0;
            for (int i = 0; i < D; i++) z[t][e] += (double)w[e * D + i] * h[t][i];
        }
    }
}

static bool is_chosen_by_hand(const double z[EXPERTS], int expert)
{
    int above = 0;
    for (int e = 0; e < EXPERTS; e++) above += z[e] > z[expert];
    return above < TOP;
}

/* ---- affinity -------------------------------------------------------------------------------- */

static void affinity_is_the_mean_router_probability_of_sequences(void **state)
{
    fixture *f = *state;
    dele_affinity a;
    dele_err err = {0};
    restore_weights(f);
    for (size_t tokens = 1; tokens <= 1000; tokens += 999) {
        double best = 0;
        if (dele_affinity_measure(&a, &f->model, &f->set[DELE_FORGET], 2, tokens, &f->arena, &err))
            fail_msg("%s", err.msg);
        for (int l = 0; l < LAYERS; l++) {
            double of[EXPERTS] = {0};
            for (int i = 0; i < N_ROWS && l != 1; i++) {
                const dele_sequence *s = &f->row[DELE_FORGET][i];
                double h[LENGTH][D], z[LENGTH][EXPERTS];
                router_by_hand(h, z, f, s, l);
                for (size_t t = 0; t < s->n; t++) {
                    double sum = 0;
                    for (int e = 0; e < EXPERTS; e++) sum += exp(z[t][e]);
                    for (int e = 0; e < EXPERTS; e++)
                        of[e] += exp(z[t][e]) / sum / (double)s->n / N_ROWS;
                }
            }
            for (int e = 0; e < EXPERTS; e++) {
                if (l == 1) {
                    assert_true(isnan(a.of[l * EXPERTS + e]));
                    continue;
                }
                assert_true(fabs(a.of[l * EXPERTS + e] - of[e]) < 1e-5);
                best = fmax(best, of[e]);
            }
        }
        assert_int_equal(a.chosen.n, 2);
        const dele_expert *first = a.chosen.expert;
        assert_true(fabs(a.of[first[0].layer * EXPERTS + first[0].expert] - best) < 1e-5);
        assert_true(a.of[first[1].layer * EXPERTS + first[1].expert] <= best);
    }
    dele_err mine = {0};
    assert_int_equal(
        dele_affinity_measure(&a, &f->model, &f->set[DELE_FORGET], 9, 100, &f->arena, &mine),
        DELE_ERR_USAGE);
    assert_non_null(strstr(mine.msg, "auto:9: the model has 8 experts"));
}

/* Text is divided into rows of one id more than the context: the last one is only a label. */
static void affinity_takes_a_row_of_the_whole_context(void **state)
{
    fixture *f = *state;
    int ids[33];
    dele_affinity a;
    dele_err err = {0};
    for (int i = 0; i < 33; i++) ids[i] = i % VOCAB;
    dele_sequence row = {ids, 33, 1, 0};
    const dele_dataset set = {.row = &row, .n = 1, .longest = 33};
    if (dele_affinity_measure(&a, &f->model, &set, 1, 8, &f->arena, &err)) fail_msg("%s", err.msg);
    double sum = 0;
    for (int e = 0; e < EXPERTS; e++) sum += a.of[e];
    assert_true(fabs(sum - 1) < 1e-9);
}

/* ---- what trains ----------------------------------------------------------------------------- */

static void only_the_listed_experts_and_their_routers_move(void **state)
{
    fixture *f = *state;
    static const char *const parts[] = {NULL, "router"};
    for (int i = 0; i < 2; i++) {
        dele_expert_list list;
        dele_train_report report;
        const dele_mask mask = mask_of(f, "0:2,2:1", parts[i], &list);
        dele_train_options o = options();
        o.router = (dele_router_options){.coefficient = {0.1, 0.01, 1}, .targets = list};
        train(f, &mask, &o, &report);
        for (size_t k = 0; k < f->model.n_tensors; k++) {
            const dele_tensor *t = &f->model.tensors[k];
            const bool same = !memcmp(t->data, f->saved[k], t->rows * t->cols * sizeof(float)),
                       listed =
                           (t->layer == 0 && t->expert == 2) || (t->layer == 2 && t->expert == 1),
                       router = i == 1 && t->slot == DELE_SLOT_ROUTER;
            if (same == (listed || router)) fail_msg("%s", t->name);
        }
    }
}

/* With terms on routers too, whose group is surveyed first. */
static void the_gradient_of_a_mixture_does_not_depend_on_batch_tokens(void **state)
{
    fixture *f = *state;
    static const char *const alphas[] = {"paper", "1.5"};
    for (int i = 0; i < 2; i++) {
        dele_expert_list list;
        dele_train_report whole, cut;
        dele_err err = {0};
        const dele_mask mask = mask_of(f, "0:2,2:1", "router,norm", &list);
        dele_train_options o = options();
        o.objective = &dele_objective_joint;
        assert_int_equal(dele_alpha_parse(&o.alpha, alphas[i], &err), DELE_OK);
        o.epochs = 1;
        o.router = (dele_router_options){.coefficient = {2, 0.5, 3}, .targets = list};
        train(f, &mask, &o, &whole);
        o.batch_tokens = 1;
        train(f, &mask, &o, &cut);
        assert_true(fabs(whole.first.norm - cut.first.norm) < 1e-5 * whole.first.norm);
        assert_true(fabs(whole.first.alpha - cut.first.alpha) < 1e-5 * whole.first.alpha);
        for (int k = 0; k < DELE_N_ROUTER_TERMS; k++)
            assert_true(fabs(whole.first.router[k] - cut.first.router[k]) < 1e-5);
        assert_int_equal(whole.first.tokens, cut.first.tokens);
    }
}

/* γ RMU's loss and the terms on routers, of all rows in one packed batch, at the present weights;
 * and its gradient, where g is not NULL. */
static double steered_loss(fixture *f, const dele_mask *mask, const dele_router_options *router,
                           float **g)
{
    dele_packed_batch p = {0};
    dele_err err = {0};
    dele_arena arena = {0};
    dele_item items[2 * N_ROWS];
    double settings[DELE_N_SETTINGS], loss[2] = {0};
    const double weight[2] = {0.5, 1.5};
    dele_loss_group group = {.sequences = {N_ROWS, N_ROWS}};
    size_t rows[2] = {0};
    dele_objective_defaults(settings, &dele_objective_rmu);
    settings[DELE_LAYER] = 2;
    const dele_packed_batch_options packed = {
        &dele_objective_rmu, settings, 1000, LENGTH, 0, router};
    if (dele_packed_batch_init(&p, &f->model, mask, &packed, &arena, &err)) fail_msg("%s", err.msg);
    for (int i = 0; i < 2 * N_ROWS; i++) {
        const dele_side side = i < N_ROWS ? DELE_RETAIN : DELE_FORGET;
        items[i] = (dele_item){.row = &f->row[side][i % N_ROWS], .side = side};
        group.tokens[side] += dele_packed_batch_labels(&p, &items[i]);
        rows[side] += dele_packed_batch_rows(&p, &items[i]);
    }
    if (dele_packed_batch_steer(&p, 3, items + N_ROWS, N_ROWS, &err)) fail_msg("%s", err.msg);
    dele_router_terms_begin(&p.router, rows);
    if (dele_packed_batch_forward(&p, loss, items, 2 * N_ROWS, &group, &err) ||
        (g && dele_packed_batch_backward(&p, weight, 1, g, &err)))
        fail_msg("%s", err.msg);
    double sum = weight[0] * loss[0] + weight[1] * loss[1];
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++) sum += router->coefficient[i] * p.router.loss[i];
    dele_packed_batch_release(&p);
    dele_arena_release(&arena);
    return sum;
}

/* Gradients of states and of router logits enter one backward pass, down to a norm of layer 0. */
static void the_gradient_of_steered_states_and_routers_predicts_the_loss(void **state)
{
    fixture *f = *state;
    dele_expert_list list;
    dele_err err = {0};
    double length = 0, at[2];
    const dele_mask mask = mask_of(f, "0:2,2:1", "router,norm,attn", &list);
    const dele_router_options router = {.coefficient = {40, 5, 30}, .targets = list};
    restore_weights(f);
    float **g = dele_param_buffers_new(&f->model, &mask, true, &f->arena, &err);
    assert_non_null(g);
    dele_mask below = mask;
    bool *norm = DELE_NEW(&f->arena, bool, mask.n_tensors, &err);
    for (size_t k = 0; k < mask.n_tensors; k++) /* RMU trains nothing above its layer */
        norm[k] = mask.trains[k] && f->model.tensors[k].layer >= 0;
    below.trains = norm;
    steered_loss(f, &below, &router, g);
    for (size_t k = 0; k < f->model.n_tensors; k++)
        if (norm[k]) length += dele_sum_squares(g[k], dele_n_weights(&f->model, k));
    length = sqrt(length);
    const double step = 2e-3 / length;
    for (int i = 0; i < 2; i++) {
        restore_weights(f);
        for (size_t k = 0; k < f->model.n_tensors; k++)
            if (norm[k])
                dele_add_scaled(f->model.tensors[k].data, g[k], i ? step : -step,
                                dele_n_weights(&f->model, k));
        at[i] = steered_loss(f, &below, &router, NULL);
    }
    restore_weights(f);
    const double slope = (at[1] - at[0]) / (2 * step * length);
    if (fabs(slope - length) > 0.01 * length)
        fail_msg("the gradient is %g long, the loss rises by %g", length, slope);
}

/* The anchor alone draws forget positions to the target. */
static void an_anchor_raises_the_targets_probability_on_forget_rows(void **state)
{
    fixture *f = *state;
    dele_expert_list list;
    dele_train_report report;
    dele_affinity before, after;
    dele_err err = {0};
    const dele_mask mask = mask_of(f, "2:1", "router", &list);
    dele_train_options o = options();
    o.router = (dele_router_options){.coefficient = {0, 0, 100}, .targets = list};
    o.epochs = 30;
    restore_weights(f);
    assert_int_equal(
        dele_affinity_measure(&before, &f->model, &f->set[DELE_FORGET], 1, 100, &f->arena, &err),
        0);
    train(f, &mask, &o, &report);
    assert_int_equal(
        dele_affinity_measure(&after, &f->model, &f->set[DELE_FORGET], 1, 100, &f->arena, &err), 0);
    assert_true(after.of[2 * EXPERTS + 1] > before.of[2 * EXPERTS + 1] + 0.3);
    assert_true(report.last.router[DELE_TERM_ANCHOR] < 0.5 * report.first.router[DELE_TERM_ANCHOR]);
    assert_int_equal(after.chosen.expert[0].layer, 2);
    assert_int_equal(after.chosen.expert[0].expert, 1);
}

/* ---- the projection -------------------------------------------------------------------------- */

/* The largest change of the routers' logits on the rows of a side, whose routers read what they
 * read before: the first sparse layer, below which nothing trains. */
static double largest_change(fixture *f, dele_side side)
{
    double most = 0;
    const dele_tensor *router = dele_model_tensor(&f->model, DELE_SLOT_ROUTER, 0);
    const float *before = f->saved[router - f->model.tensors];
    for (size_t i = 0; i < f->set[side].n; i++) {
        double h[LENGTH][D], z[LENGTH][EXPERTS];
        router_by_hand(h, z, f, &f->row[side][i], 0);
        for (size_t t = 0; t < f->row[side][i].n; t++)
            for (int e = 0; e < EXPERTS; e++) {
                double old = 0;
                for (int j = 0; j < D; j++) old += (double)before[e * D + j] * h[t][j];
                most = fmax(most, fabs(z[t][e] - old));
            }
    }
    return most;
}

/* As many retain positions as directions: their span holds all of them. */
static void projected_routers_answer_retain_inputs_as_before(void **state)
{
    fixture *f = *state;
    dele_expert_list list;
    dele_train_report free_report, report;
    const dele_mask mask = mask_of(f, "0:2", "router", &list);
    dele_train_options o = options();
    f->set[DELE_RETAIN].n = 4; /* 25 positions */
    o.adamw.weight_decay = 0.1;
    train(f, &mask, &o, &free_report);
    const double moved = largest_change(f, DELE_RETAIN);
    o.router_projection = 25;
    train(f, &mask, &o, &report);
    const double held = largest_change(f, DELE_RETAIN), forget = largest_change(f, DELE_FORGET);
    f->set[DELE_RETAIN].n = N_ROWS;
    assert_true(moved > 0.01);
    if (held > 2e-4 * moved) fail_msg("retain logits moved by %g, freely by %g", held, moved);
    assert_true(forget > 100 * held); /* other inputs still can be answered otherwise */
    assert_true(fabs(report.kept[0] - 1) < 1e-5);
}

static void a_projection_without_routers_or_of_the_whole_width_is_refused(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *parts, *says;
        int n;
    } bad[] = {{NULL, "no router is trained", 4}, {"router", "could not move at all", D}};
    for (int i = 0; i < 2; i++) {
        dele_expert_list list;
        dele_train_report report;
        dele_err err = {0};
        const dele_mask mask = mask_of(f, "0:2", bad[i].parts, &list);
        const dele_trainable trainable = {.model = &f->model, .mask = &mask};
        dele_train_options o = options();
        o.router_projection = bad[i].n;
        assert_int_equal(dele_train(&report, &trainable, &f->data, &o, NULL, &err), DELE_ERR_USAGE);
        assert_non_null(strstr(err.msg, bad[i].says));
    }
}

/* ---- weights of retain tokens ---------------------------------------------------------------- */

/* The share of a set's labels whose position is routed to an expert, weighted. */
static double share_by_hand(const fixture *f, dele_side side, dele_expert e,
                            const float *const *weight)
{
    double routed = 0, all = 0;
    for (int i = 0; i < N_ROWS; i++) {
        double h[LENGTH][D], z[LENGTH][EXPERTS];
        const dele_sequence *s = &f->row[side][i];
        router_by_hand(h, z, f, s, e.layer);
        for (size_t k = s->first_label; k < s->n; k++) {
            const double w = weight ? (double)weight[i][k] : 1;
            routed += is_chosen_by_hand(z[k - 1], e.expert) ? w : 0;
            all += w;
        }
    }
    return routed / all;
}

static void weighted_retain_labels_send_an_expert_the_forget_sets_share(void **state)
{
    fixture *f = *state;
    dele_err err = {0};
    restore_weights(f);
    int told_apart = 0;
    for (int l = 0; l < LAYERS; l += 2)
        for (int e = 0; e < EXPERTS; e++) {
            dele_expert expert = {l, e};
            const dele_expert_list one = {&expert, 1};
            dele_expert_traffic traffic;
            dele_dataset retain = f->set[DELE_RETAIN];
            double sum = 0, n = 0;
            if (dele_retain_weights(&retain, &traffic, &f->set[DELE_FORGET], &f->model, &one, 10,
                                    &f->arena, &err))
                fail_msg("%s", err.msg);
            const double forget = share_by_hand(f, DELE_FORGET, expert, NULL),
                         before = share_by_hand(f, DELE_RETAIN, expert, NULL),
                         after = share_by_hand(f, DELE_RETAIN, expert, retain.weight);
            assert_true(fabs(traffic.forget - forget) < 1e-9);
            assert_true(fabs(traffic.retain - before) < 1e-9);
            for (int i = 0; i < N_ROWS; i++)
                for (size_t k = FIRST; k < f->row[DELE_RETAIN][i].n; k++, n++)
                    sum += (double)retain.weight[i][k];
            assert_true(fabs(sum / n - 1) < 1e-5);
            if (before > 0 && before < 1) assert_true(fabs(after - forget) < 1e-5);
            told_apart += before > 0 && before < 1 && fabs(before - forget) > 0.05;
        }
    assert_true(told_apart > 2);
}

/* A label of weight 2 counts twice, and no other loss changes. */
static void a_weight_multiplies_a_labels_loss(void **state)
{
    fixture *f = *state;
    static float twice[LENGTH], one[LENGTH];
    const float *weight[N_ROWS];
    dele_expert_list list;
    dele_train_report plain, all, first;
    const dele_mask mask = mask_of(f, "0:2", NULL, &list);
    for (int k = 0; k < LENGTH; k++) twice[k] = 2, one[k] = 1;
    for (int by_sequence = 0; by_sequence < 2; by_sequence++) {
        dele_train_options o = options();
        o.epochs = 1, o.batch = 2 * N_ROWS;
        o.loss_weights = by_sequence ? DELE_LOSS_BY_SEQUENCES : DELE_LOSS_BY_TOKENS;
        train(f, &mask, &o, &plain);
        for (int i = 0; i < N_ROWS; i++) weight[i] = twice;
        f->set[DELE_RETAIN].weight = weight;
        train(f, &mask, &o, &all);
        for (int i = 1; i < N_ROWS; i++) weight[i] = one;
        train(f, &mask, &o, &first);
        f->set[DELE_RETAIN].weight = NULL;
        const double rise = first.first.loss[DELE_RETAIN] - plain.first.loss[DELE_RETAIN];
        assert_true(fabs(all.first.loss[DELE_RETAIN] - 2 * plain.first.loss[DELE_RETAIN]) < 1e-5);
        assert_true(all.first.loss[DELE_FORGET] == plain.first.loss[DELE_FORGET]);
        assert_true(rise > 0.1 && rise < 0.5 * plain.first.loss[DELE_RETAIN]);
    }
}

/* ---- routing drift --------------------------------------------------------------------------- */

/* Of all positions but in the last layer, where those from the first label's on are computed. */
static double unchanged_by_hand(fixture *f, int layer, bool before[][EXPERTS])
{
    size_t common = 0, n = 0, at = 0;
    for (int i = 0; i < N_ROWS; i++) {
        double h[LENGTH][D], z[LENGTH][EXPERTS];
        const dele_sequence *s = &f->row[DELE_FORGET][i];
        router_by_hand(h, z, f, s, layer);
        for (size_t t = 0; t + 1 < s->n; t++, at++) {
            if (layer == LAYERS - 1 && t + 1 < s->first_label) continue;
            for (int e = 0; e < EXPERTS; e++) common += before[at][e] && is_chosen_by_hand(z[t], e);
            n++;
        }
    }
    return (double)common / (double)(n * TOP);
}

static void routes_by_hand(bool chosen[][EXPERTS], fixture *f, int layer)
{
    size_t at = 0;
    for (int i = 0; i < N_ROWS; i++) {
        double h[LENGTH][D], z[LENGTH][EXPERTS];
        router_by_hand(h, z, f, &f->row[DELE_FORGET][i], layer);
        for (size_t t = 0; t + 1 < f->row[DELE_FORGET][i].n; t++, at++)
            for (int e = 0; e < EXPERTS; e++) chosen[at][e] = is_chosen_by_hand(z[t], e);
    }
}

static void drift_is_the_share_of_choices_that_stay(void **state)
{
    fixture *f = *state;
    static bool chosen[LAYERS][N_ROWS * LENGTH][EXPERTS];
    dele_route_drift d;
    dele_err err = {0};
    double nll, exact;
    const size_t rows = f->set[DELE_FORGET].tokens - N_ROWS;
    restore_weights(f);
    if (dele_route_drift_init(&d, &f->model.config, rows, &f->arena, &err)) fail_msg("%s", err.msg);
    for (int k = 0; k < 2; k++) {
        if (dele_evaluate_set(&nll, &exact, &d, &f->model, &f->set[DELE_FORGET], 12, &err))
            fail_msg("%s", err.msg);
        assert_true(d.mean == 1 && d.share[0] == 1 && isnan(d.share[1]) && d.share[2] == 1);
    }
    for (int l = 0; l < LAYERS; l += 2) routes_by_hand(chosen[l], f, l);
    dele_tensor *router = dele_model_tensor(&f->model, DELE_SLOT_ROUTER, 0);
    dele_rng rng;
    dele_rng_seed(&rng, 4);
    for (size_t i = 0; i < router->rows * router->cols; i++)
        router->data[i] += (float)(0.2 * dele_rng_normal(&rng));
    if (dele_evaluate_set(&nll, &exact, &d, &f->model, &f->set[DELE_FORGET], 1000, &err))
        fail_msg("%s", err.msg);
    for (int l = 0; l < LAYERS; l += 2)
        assert_true(fabs(d.share[l] - unchanged_by_hand(f, l, chosen[l])) < 1e-9);
    assert_true(d.share[0] < 0.95 && d.share[0] > 0.2);
    assert_true(fabs(d.mean - (d.share[0] + d.share[2]) / 2) < 1e-12);
    restore_weights(f);
}

/* ---- replayed routes ------------------------------------------------------------------------- */

typedef struct {
    int out[N_ROWS][8];
    size_t n_out[N_ROWS];
    double logp[N_ROWS][LENGTH];
} answers;

static void answer(answers *a, fixture *f, const dele_model *router)
{
    dele_run run = {0};
    dele_err err = {0};
    dele_continuation items[N_ROWS] = {0};
    dele_scored_text texts[N_ROWS] = {0};
    dele_arena arena = {0};
    *a = (answers){0};
    for (int i = 0; i < N_ROWS; i++) {
        items[i] = (dele_continuation){
            .prompt = f->ids[0][i], .n_prompt = (size_t)(FIRST - i % 2), .out = a->out[i]};
        texts[i] = (dele_scored_text){.ids = f->ids[0][i], .n = LENGTH, .first = FIRST};
    }
    const dele_many_opts many = {.max_new = 8, .max_slots = 3, .router = router};
    const dele_token_opts scores = {.router = router};
    if (dele_generate_many(items, N_ROWS, &run, &f->model, &many, &err) ||
        dele_token_scores(texts, N_ROWS, &run, &f->model, &scores, &arena, &err))
        fail_msg("%s", err.msg);
    for (int i = 0; i < N_ROWS; i++) {
        a->n_out[i] = items[i].n_out;
        memcpy(a->logp[i], texts[i].logp, (LENGTH - FIRST) * sizeof(double));
    }
    dele_run_release(&run);
    dele_arena_release(&arena);
}

static void replay_of_the_own_routes_changes_no_byte_and_of_others_does(void **state)
{
    fixture *f = *state;
    answers own, replayed, original, other;
    dele_arena arena = {0};
    dele_model before;
    dele_err err = {0};
    restore_weights(f);
    answer(&own, f, NULL);
    answer(&replayed, f, &f->model);
    assert_memory_equal(&own, &replayed, sizeof own);
    /* routers that were moved alone: on the routes of before nothing has changed */
    bool *routers = DELE_NEW(&arena, bool, f->model.n_tensors, &err);
    for (size_t k = 0; k < f->model.n_tensors; k++)
        routers[k] = f->model.tensors[k].slot == DELE_SLOT_ROUTER;
    if (dele_model_freeze(&before, &f->model, routers, &arena, &err)) fail_msg("%s", err.msg);
    for (int l = 0; l < LAYERS; l += 2) {
        const dele_tensor *router = dele_model_tensor(&f->model, DELE_SLOT_ROUTER, l);
        for (size_t i = 0; i < router->rows * router->cols; i++) router->data[i] *= -1;
    }
    answer(&other, f, NULL);
    answer(&original, f, &before);
    assert_memory_not_equal(&own, &other, sizeof own);
    assert_memory_equal(&own, &original, sizeof own);
    restore_weights(f);
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(affinity_is_the_mean_router_probability_of_sequences),
        cmocka_unit_test(affinity_takes_a_row_of_the_whole_context),
        cmocka_unit_test(only_the_listed_experts_and_their_routers_move),
        cmocka_unit_test(the_gradient_of_a_mixture_does_not_depend_on_batch_tokens),
        cmocka_unit_test(the_gradient_of_steered_states_and_routers_predicts_the_loss),
        cmocka_unit_test(an_anchor_raises_the_targets_probability_on_forget_rows),
        cmocka_unit_test(projected_routers_answer_retain_inputs_as_before),
        cmocka_unit_test(a_projection_without_routers_or_of_the_whole_width_is_refused),
        cmocka_unit_test(weighted_retain_labels_send_an_expert_the_forget_sets_share),
        cmocka_unit_test(a_weight_multiplies_a_labels_loss),
        cmocka_unit_test(drift_is_the_share_of_choices_that_stay),
        cmocka_unit_test(replay_of_the_own_routes_changes_no_byte_and_of_others_does),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
