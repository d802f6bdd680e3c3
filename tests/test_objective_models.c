/* Every objective through a model: against finite differences in models of several families, and
 * against PyTorch through a tiny OLMo (tests/reference/make_objective_fixtures.py); batches and
 * steering. */
#include "claims.h"

#include "base/json.h"
#include "objective_cases.h"
#include "unlearn/trainer.h"

/* ---- through a model ------------------------------------------------------------------------- */

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_mask mask;
    int ids[3][N_ROWS][LENGTH];
    dele_sequence row[3][N_ROWS];
    dele_dataset set[3]; /* forget, retain, other answers */
} world;

static void make_rows(world *w)
{
    dele_rng rng;
    dele_rng_seed(&rng, 11);
    for (int k = 0; k < 3; k++) {
        w->set[k] = (dele_dataset){.row = w->row[k], .n = N_ROWS};
        for (int i = 0; i < N_ROWS; i++) {
            size_t n = (size_t)(LENGTH - i % 3);
            for (int j = 0; j < LENGTH; j++) w->ids[k][i][j] = (int)dele_rng_below(&rng, VOCAB);
            w->row[k][i] = (dele_sequence){w->ids[k][i], n, FIRST, i + 1};
            w->set[k].labels += n - FIRST;
            w->set[k].tokens += n;
            if (n > w->set[k].longest) w->set[k].longest = n;
        }
    }
}

/* Two layers of which the first one's mlp trains, all random. */
static void make_world_of(world *w, const dele_family *family)
{
    const dele_config config = {.family = family,
                                .n_layers = 2,
                                .hidden_size = 32,
                                .intermediate_size = 64,
                                .n_experts = 4,
                                .top_k = 2,
                                .n_heads = 4,
                                .n_kv_heads = family == &dele_family_olmo ? 4 : 2,
                                .head_dim = 8,
                                .vocab = VOCAB,
                                .context = 32,
                                .norm_eps = 1e-5f,
                                .rope[0].theta = 1e4f,
                                .tied = true};
    dele_err err = {0};
    *w = (world){0};
    dele_config settled = config;
    dele_config_settle(&settled);
    if (dele_model_layout(&w->model, &settled, &w->arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(&w->model, 0.2, 7);
    make_rows(w);
    const size_t n = w->model.n_tensors;
    w->mask = (dele_mask){.trains = DELE_NEW(&w->arena, bool, n, &err), .n_tensors = n};
    for (size_t k = 0; k < n; k++) {
        const dele_tensor *t = &w->model.tensors[k];
        if (t->layer != 0 || t->part != DELE_PART_MLP) continue;
        w->mask.trains[k] = true;
        w->mask.n_trained++;
        w->mask.n_parameters += t->rows * t->cols;
    }
}

static void make_world(world *w) { make_world_of(w, &dele_family_llama); }

static void end_world(world *w)
{
    dele_model_release(&w->model);
    dele_arena_release(&w->arena);
}

/* weights += step · direction in what trains */
static void move(world *w, float *const *direction, double step)
{
    for (size_t k = 0; k < w->model.n_tensors; k++)
        for (size_t i = 0;
             w->mask.trains[k] && i < w->model.tensors[k].rows * w->model.tensors[k].cols; i++)
            w->model.tensors[k].data[i] += (float)(step * (double)direction[k][i]);
}

static float **room_for_weights(world *w, dele_rng *noise)
{
    dele_err err = {0};
    float **g = DELE_NEW(&w->arena, float *, w->model.n_tensors, &err);
    for (size_t k = 0; k < w->model.n_tensors; k++) {
        const size_t n = w->model.tensors[k].rows * w->model.tensors[k].cols;
        if (!w->mask.trains[k]) continue;
        assert_non_null(g[k] = DELE_NEW(&w->arena, float, n, &err));
        for (size_t i = 0; noise && i < n; i++) g[k][i] = (float)(dele_rng_uniform(noise) - 0.5);
    }
    return g;
}

static double loss_now(dele_packed_batch *p, const dele_item *items, size_t n,
                       const dele_loss_group *group, const double weight[2])
{
    double loss[2] = {0};
    dele_err err = {0};
    if (dele_packed_batch_forward(p, loss, items, n, group, &err)) fail_msg("%s", err.msg);
    return weight[0] * loss[0] + weight[1] * loss[1];
}

/* These hold a part of their loss fixed, so that their gradient is not their loss's (PyTorch's
 * above is). */
static bool holds_fixed(const dele_objective *o)
{
    return o == &dele_objective_ceu || o == &dele_objective_wga || o == &dele_objective_satimp;
}

static void leave_logits(double loss[2], const dele_loss_batch *rows) { (void)loss, (void)rows; }

/* Σ d · z over the labelled rows, d a gradient by logits that stays: its slope is the gradient's,
 * whatever part of the loss an objective holds fixed. */
static double held_loss_now(dele_packed_batch *p, const float *d, const dele_item *items, size_t n,
                            const dele_loss_group *group, const double weight[2])
{
    static const dele_objective look = {.name = "look", .rows = leave_logits};
    const dele_objective *own = p->objective;
    p->objective = &look;
    loss_now(p, items, n, group, weight);
    p->objective = own;
    double sum = 0;
    for (size_t i = 0; i < p->n_labels * p->width; i++)
        sum += weight[p->side[i / p->width]] * (double)d[i] * (double)p->now.x[i];
    return sum;
}

/* One batch of an objective, its model before training compared with the one that has moved
 * since. */
static void slope_equals_difference(const dele_objective *o, const dele_family *family,
                                    double retain_kl, double whole)
{
    world w;
    dele_packed_batch p;
    dele_err err = {0};
    double settings[DELE_N_SETTINGS], before[2][N_ROWS], length = 0;
    dele_item items[2 * N_ROWS];
    dele_loss_group group = {0};
    const double weight[2] = {o->ascends ? -1 : 1, 1};
    make_world_of(&w, family);
    dele_objective_defaults(settings, o);
    if (!isnan(settings[DELE_LAYER])) settings[DELE_LAYER] = 0;
    if (retain_kl == 1) settings[DELE_RETAIN_KL] = 1;
    if (whole == 1) settings[DELE_TRAIN_ON_PROMPT] = 1;
    const dele_packed_batch_options packed = {o, settings, 1000, LENGTH, 0, NULL};
    if (dele_packed_batch_init(&p, &w.model, &w.mask, &packed, &w.arena, &err))
        fail_msg("%s", err.msg);
    for (int k = 0; k < 2 && o->reference_nll; k++)
        if (dele_packed_batch_nll(&p, before[k], w.row[k ? 2 : DELE_FORGET], N_ROWS, &err))
            fail_msg("%s", err.msg);
    for (int i = 0; i < 2 * N_ROWS; i++) {
        const dele_side side = i < N_ROWS ? DELE_RETAIN : DELE_FORGET;
        dele_item *it = &items[i];
        *it = (dele_item){.row = &w.row[side][i % N_ROWS], .side = side};
        if (side == DELE_FORGET && o->alternates == DELE_ALTERNATES_BESIDE)
            it->chosen = &w.row[2][i % N_ROWS];
        for (int k = 0; k < 2 && o->reference_nll; k++) it->reference[k] = before[k][i % N_ROWS];
        group.sequences[side]++;
        group.tokens[side] += dele_packed_batch_labels(&p, it);
    }
    if (p.steer && dele_packed_batch_steer(&p, 3, items + N_ROWS, N_ROWS, &err))
        fail_msg("%s", err.msg);
    const bool is_whole = whole == 1 && o->train_on_prompt & DELE_ON_FORGET;
    assert_int_equal(group.tokens[DELE_FORGET],
                     is_whole ? w.set[0].tokens - N_ROWS
                              : w.set[0].labels - (isnan(settings[DELE_SKIP])
                                                       ? 0
                                                       : (size_t)settings[DELE_SKIP] * N_ROWS));
    dele_rng noise;
    dele_rng_seed(&noise, 5);
    move(&w, room_for_weights(&w, &noise), 0.1);
    float **g = room_for_weights(&w, NULL);
    loss_now(&p, items, 2 * N_ROWS, &group, weight);
    const size_t n_gradient = p.n_labels * p.width;
    float *d = holds_fixed(o) ? DELE_NEW(&w.arena, float, n_gradient, &err) : NULL;
    if (d) memcpy(d, p.now.x, n_gradient * sizeof *d);
    if (dele_packed_batch_backward(&p, weight, 1, g, &err)) fail_msg("%s", err.msg);
    for (size_t k = 0; k < w.model.n_tensors; k++)
        if (g[k])
            length += dele_sum_squares(g[k], w.model.tensors[k].rows * w.model.tensors[k].cols);
    length = sqrt(length);
    assert_true(length > 1e-4);
    const double step = (length > 1 ? 5e-4 : 2e-3) / length; /* steep losses are curved too */
    move(&w, g, step);
    double side[2]; /* above and below */
    for (int k = 0; k < 2; k++) {
        side[k] = d ? held_loss_now(&p, d, items, 2 * N_ROWS, &group, weight)
                    : loss_now(&p, items, 2 * N_ROWS, &group, weight);
        move(&w, g, -2 * step);
    }
    const double slope = (side[0] - side[1]) / (2 * step * length);
    if (fabs(slope - length) > 0.01 * length)
        fail_msg("%s, %s: the gradient is %g long, the loss rises by %g", o->name, family->hf,
                 length, slope);
    dele_packed_batch_release(&p);
    end_world(&w);
}

static void gradients_through_a_model_equal_finite_differences(void **state)
{
    (void)state;
    for (size_t f = 0; f < dele_n_families; f++) {
        for (size_t k = 0; dele_objective_at(k); k++)
            if (f == 0 || (k + f) % 3 == 0) /* the losses meet a family at its logits alone */
                slope_equals_difference(dele_objective_at(k), dele_families[f], 0, 0);
        if (f % 3) continue;
        slope_equals_difference(&dele_objective_grad_diff, dele_families[f], 1, 0);
        slope_equals_difference(&dele_objective_npo, dele_families[f], 1, 0);
        slope_equals_difference(&dele_objective_kl, dele_families[f], 0, 1);
        slope_equals_difference(&dele_objective_undial, dele_families[f], 0, 1);
        slope_equals_difference(&dele_objective_rmu, dele_families[f], 0, 1);
        slope_equals_difference(&dele_objective_adaptive_rmu, dele_families[f], 0, 1);
    }
}

/* ---- through an OLMo, against PyTorch's autograd --------------------------------------------- */

enum { MOST_SEQUENCES = 8, MOST_IDS = 16 };

typedef struct {
    int ids[MOST_SEQUENCES][MOST_IDS];
    dele_sequence row[MOST_SEQUENCES];
    dele_side side[MOST_SEQUENCES];
    bool chosen[MOST_SEQUENCES];
    size_t n;
} sequences;

static void read_sequences(sequences *all, const cJSON *file)
{
    const cJSON *s, *id;
    cJSON_ArrayForEach(s, cJSON_GetObjectItem(file, "sequences"))
    {
        const size_t k = all->n++;
        dele_sequence *row = &all->row[k];
        assert_true(k < MOST_SEQUENCES);
        *row = (dele_sequence){.ids = all->ids[k], .first_label = (size_t)number(file, "first")};
        cJSON_ArrayForEach(id, cJSON_GetObjectItem(s, "ids")) all->ids[k][row->n++] = id->valueint;
        all->side[k] = number(s, "side") == 0 ? DELE_FORGET : DELE_RETAIN;
        all->chosen[k] = cJSON_IsTrue(cJSON_GetObjectItem(s, "chosen"));
    }
}

/* As the trainer makes them: another answer beside its row, in its place, or not there. */
static size_t make_items(dele_item *items, dele_loss_group *group, dele_packed_batch *p,
                         const sequences *all)
{
    size_t n = 0;
    dele_err err = {0};
    *group = (dele_loss_group){0};
    for (size_t k = 0; k < all->n; k++) {
        if (all->chosen[k]) continue;
        dele_item *it = &items[n++];
        *it = (dele_item){.row = &all->row[k], .side = all->side[k]};
        const bool has_chosen = k + 1 < all->n && all->chosen[k + 1];
        if (has_chosen && p->objective->alternates == DELE_ALTERNATES_BESIDE)
            it->chosen = &all->row[k + 1];
        if (has_chosen && p->objective->alternates == DELE_ALTERNATES_IN_PLACE)
            it->row = &all->row[k + 1];
        for (int j = 0; j < 2 && p->objective->reference_nll; j++)
            if ((j ? it->chosen : it->row) &&
                dele_packed_batch_nll(p, &it->reference[j], j ? it->chosen : it->row, 1, &err))
                fail_msg("%s", err.msg);
        group->sequences[it->side]++;
        group->tokens[it->side] += dele_packed_batch_labels(p, it);
    }
    return n;
}

static void gradient_equals(const float *got, const cJSON *want, size_t n, const char *who)
{
    const double length = number(want, "length"), own = sqrt(dele_sum_squares(got, n));
    const cJSON *x;
    size_t i = 0;
    if (!near(own, length, 0))
        fail_msg("%s: the gradient is %.9g long, torch's %.9g", who, own, length);
    cJSON_ArrayForEach(x, cJSON_GetObjectItem(want, "every_17th"))
    {
        assert_true(i < n);
        if (!near((double)got[i], x->valuedouble, 1e-5 * length))
            fail_msg("%s: number %zu is %.9g, torch has %.9g", who, i, (double)got[i],
                     x->valuedouble);
        i += 17;
    }
    assert_true(i >= n);
}

/* The direction is drawn, so that torch's is taken; the length, where the model's states decide it,
 * is torch's as well. */
static void take_steer(dele_packed_batch *p, const cJSON *c, const dele_item *forget,
                       size_t n_forget)
{
    float steer[64];
    dele_err err = {0};
    assert_true(p->width <= 64 && floats(steer, c, "steering-coeff") == p->width);
    if (p->objective->adaptive) {
        if (dele_packed_batch_steer(p, 3, forget, n_forget, &err)) fail_msg("%s", err.msg);
        assert_true(
            near(dele_sum_squares(p->steer, p->width), dele_sum_squares(steer, p->width), 0));
    }
    memcpy(p->steer, steer, p->width * sizeof *steer);
}

static void olmo_case_equals(const cJSON *file, const cJSON *c, const sequences *all)
{
    world w = {0};
    dele_packed_batch p;
    dele_loss_group group;
    dele_item items[MOST_SEQUENCES];
    dele_err err = {0};
    double settings[DELE_N_SETTINGS], loss[2] = {0};
    const dele_objective *o =
        dele_objective_find(cJSON_GetObjectItem(c, "name")->valuestring, &err);
    const double weight[2] = {o->ascends ? -1 : 1, 1};
    if (dele_model_load(&w.model, DELE_TESTS_DIR "/fixtures/tiny-olmo-tied", &w.arena, &err) ||
        dele_mask_match(&w.mask, &w.model, "model.layers.[01].mlp.*", &w.arena, &err) ||
        dele_model_train(&w.model, w.mask.trains, &err))
        fail_msg("%s", err.msg);
    dele_objective_defaults(settings, o);
    for (int k = DELE_NO_SETTING + 1; k < DELE_N_SETTINGS; k++) {
        const double x = number(cJSON_GetObjectItem(c, "settings"), dele_setting_names[k]);
        if (!isnan(x)) settings[k] = x;
    }
    if (o->at_layer) settings[DELE_LAYER] = number(file, "at_layer");
    const dele_packed_batch_options packed = {o, settings, 1000, MOST_IDS, 0, NULL};
    if (dele_packed_batch_init(&p, &w.model, &w.mask, &packed, &w.arena, &err))
        fail_msg("%s", err.msg);
    const size_t n = make_items(items, &group, &p, all);
    if (p.steer)
        take_steer(&p, c, items + group.sequences[DELE_RETAIN], group.sequences[DELE_FORGET]);
    for (size_t k = 0; k < w.model.n_tensors; k++)
        for (size_t i = 0;
             w.mask.trains[k] && i < w.model.tensors[k].rows * w.model.tensors[k].cols; i++)
            w.model.tensors[k].data[i] *= (float)number(file, "moved");
    float **g = room_for_weights(&w, NULL);
    if (dele_packed_batch_forward(&p, loss, items, n, &group, &err) ||
        dele_packed_batch_backward(&p, weight, 1, g, &err))
        fail_msg("%s: %s", o->name, err.msg);
    if (!near(loss[DELE_FORGET], number(c, "forget"), 0) ||
        !near(loss[DELE_RETAIN], number(c, "retain"), 0))
        fail_msg("%s: losses %.9g and %.9g, torch has %.9g and %.9g", o->name, loss[DELE_FORGET],
                 loss[DELE_RETAIN], number(c, "forget"), number(c, "retain"));
    for (size_t k = 0; k < w.model.n_tensors; k++) {
        char who[160];
        const dele_tensor *t = &w.model.tensors[k];
        snprintf(who, sizeof who, "%s, %s", o->name, t->name);
        if (w.mask.trains[k])
            gradient_equals(g[k], cJSON_GetObjectItem(cJSON_GetObjectItem(c, "gradient"), t->name),
                            t->rows * t->cols, who);
    }
    dele_packed_batch_release(&p);
    end_world(&w);
}

static void losses_and_gradients_through_an_olmo_equal_torchs(void **state)
{
    (void)state;
    dele_err err = {0};
    sequences all = {0};
    const cJSON *c;
    cJSON *file = dele_json_load(DELE_TESTS_DIR "/fixtures/objectives_olmo.json", &err);
    if (!file) fail_msg("%s", err.msg);
    read_sequences(&all, file);
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(file, "cases")) olmo_case_equals(file, c, &all);
    for (size_t k = 0; dele_objective_at(k); k++)
        assert_non_null(case_named(file, dele_objective_at(k)->name));
    cJSON_Delete(file);
}

static void train(world *w, dele_train_report *report, const dele_objective *o, double *settings,
                  size_t batch_tokens, int epochs)
{
    dele_err err = {0};
    dele_train_options options = DELE_TRAIN_DEFAULTS;
    const char *alpha = NULL;
    for (int k = 0; k < DELE_N_SETTINGS; k++) settings[k] = (double)NAN;
    if (o->at_layer) settings[DELE_LAYER] = 0;
    if (dele_objective_resolve(settings, &options.alpha, &alpha, o, NULL, &err))
        fail_msg("%s", err.msg);
    options.objective = o;
    options.settings = settings;
    options.epochs = epochs;
    options.batch = 8;
    options.batch_tokens = batch_tokens;
    options.adamw.lr = 1e-3;
    const bool two = o->needs_forget, pairs = o->alternates == DELE_ALTERNATES_BESIDE;
    const dele_trainable trainable = {.model = &w->model, .mask = &w->mask};
    const dele_train_data data = {.set = {two ? &w->set[0] : NULL, &w->set[two ? 1 : 0]},
                                  .alternates = pairs ? &w->set[2] : NULL};
    if (dele_train(report, &trainable, &data, &options, NULL, &err))
        fail_msg("%s: %s", o->name, err.msg);
}

/* Accumulated over micro-batches of one row each, the first update's gradient and losses are those
 * of the whole batch. */
static void no_objective_depends_on_batch_tokens(void **state)
{
    (void)state;
    for (size_t k = 0; dele_objective_at(k); k++) {
        dele_train_report report[2];
        double settings[DELE_N_SETTINGS];
        for (int cut = 0; cut < 2; cut++) {
            world w;
            make_world(&w);
            train(&w, &report[cut], dele_objective_at(k), settings, cut ? 1 : 1000, 1);
            end_world(&w);
        }
        const dele_step *a = &report[0].first, *b = &report[1].first;
        bool same = fabs(a->norm - b->norm) <= 1e-4 * a->norm;
        for (int side = 0; side < 2; side++)
            same = same && (isnan(a->loss[side]) ? isnan(b->loss[side])
                                                 : near(a->loss[side], b->loss[side], 1e-6));
        if (!same)
            fail_msg("%s: in one piece %g long, in many %g", dele_objective_at(k)->name, a->norm,
                     b->norm);
    }
}

/* θ' = θ − (θ_learnt − θ): what cross-entropy learns from the same rows, mirrored. */
static void a_task_vector_is_what_was_learnt_mirrored(void **state)
{
    (void)state;
    world was, learnt, negated;
    double settings[DELE_N_SETTINGS];
    dele_train_report report;
    make_world(&was), make_world(&learnt), make_world(&negated);
    train(&learnt, &report, &dele_objective_ce, settings, 1000, 3);
    train(&negated, &report, &dele_objective_task_vector, settings, 1000, 3);
    double moved = 0;
    for (size_t k = 0; k < was.model.n_tensors; k++)
        for (size_t i = 0; i < was.model.tensors[k].rows * was.model.tensors[k].cols; i++) {
            const double a = was.model.tensors[k].data[i], b = learnt.model.tensors[k].data[i];
            moved = fmax(moved, fabs(b - a));
            assert_true(fabs(negated.model.tensors[k].data[i] - (2 * a - b)) < 1e-6);
        }
    assert_true(moved > 1e-3);
    end_world(&was), end_world(&learnt), end_world(&negated);
}

/* ---- steering -------------------------------------------------------------------------------- */

/* Mean length of layer 0's output above the labelled rows of the first n forget rows, each read by
 * itself. */
static double mean_state_length(const world *w, const dele_sequence *rows, size_t n)
{
    double sum = 0;
    size_t count = 0;
    dele_run run = {0};
    dele_err err = {0};
    for (size_t i = 0; i < n; i++)
        for (size_t k = rows[i].first_label; k < rows[i].n; k++, count++) {
            float seen[32];
            const dele_segment segment = {.tokens = rows[i].ids, .n_rows = (int)rows[i].n - 1};
            const dele_patch read = {
                .row = (int)k - 1, .site = DELE_RESID_POST, .op = DELE_READ, .seen = seen};
            const dele_batch one = {
                .segments = &segment, .n_segments = 1, .patches = &read, .n_patches = 1};
            if (dele_forward(&run, &w->model, &one, &err)) fail_msg("%s", err.msg);
            double squares = 0;
            for (int j = 0; j < 32; j++) squares += (double)seen[j] * (double)seen[j];
            sum += sqrt(squares);
        }
    dele_run_release(&run);
    return sum / (double)count;
}

/* What adaptive-rmu measures are the rows of the first update, and looking at them changes nothing
 * that follows. */
static void peeking_shows_the_first_update_and_takes_nothing(void **state)
{
    (void)state;
    world w;
    dele_err err = {0};
    dele_train_options o = DELE_TRAIN_DEFAULTS;
    dele_train_report plan;
    dele_sampler sampler[2];
    dele_item seen[8];
    make_world(&w);
    o.objective = &dele_objective_adaptive_rmu;
    o.batch = 4;
    const dele_train_data data = {.set = {&w.set[0], &w.set[1]}};
    if (dele_train_plan(&plan, &data, &o, &err)) fail_msg("%s", err.msg);
    for (int k = 0; k < 2; k++)
        if (dele_sampler_init(&sampler[k], &data, &o, &w.arena, &err)) fail_msg("%s", err.msg);
    const dele_update_batch first = dele_sampler_peek(&sampler[0]);
    assert_int_equal(first.n, 4);
    memcpy(seen, first.items, first.n * sizeof *seen);
    for (int update = 0; update < 7; update++) {
        const dele_update_batch looked = dele_sampler_next(&sampler[0]),
                                not = dele_sampler_next(&sampler[1]);
        assert_int_equal(looked.n, not .n);
        for (size_t i = 0; i < not .n; i++) {
            assert_ptr_equal(looked.items[i].row, not .items[i].row);
            if (update == 0) assert_ptr_equal(seen[i].row, not .items[i].row);
        }
    }
    end_world(&w);
}

static void steer_by(const dele_objective *o, double length, size_t batch_tokens, float steer[32],
                     double *mean)
{
    world w;
    dele_packed_batch p;
    dele_err err = {0};
    double settings[DELE_N_SETTINGS];
    dele_item items[N_ROWS];
    make_world(&w);
    dele_objective_defaults(settings, o);
    settings[DELE_LAYER] = 0;
    settings[DELE_STEERING_COEFF] = length;
    const dele_packed_batch_options packed = {o, settings, batch_tokens, LENGTH, 0, NULL};
    if (dele_packed_batch_init(&p, &w.model, &w.mask, &packed, &w.arena, &err))
        fail_msg("%s", err.msg);
    for (int i = 0; i < N_ROWS; i++)
        items[i] = (dele_item){.row = &w.row[DELE_FORGET][i], .side = DELE_FORGET};
    if (dele_packed_batch_steer(&p, 3, items, N_ROWS, &err)) fail_msg("%s", err.msg);
    memcpy(steer, p.steer, 32 * sizeof *steer);
    *mean = mean_state_length(&w, w.row[DELE_FORGET], N_ROWS);
    dele_packed_batch_release(&p);
    end_world(&w);
}

/* Given the mean length as a number, rmu steers to the very vector that adaptive-rmu finds by
 * itself. */
static void adaptive_rmu_is_rmu_with_the_length_of_the_states(void **state)
{
    (void)state;
    float fixed[32], adaptive[32], in_pieces[32];
    double mean;
    steer_by(&dele_objective_adaptive_rmu, 3, 1000, adaptive, &mean);
    steer_by(&dele_objective_adaptive_rmu, 3, 1, in_pieces, &mean);
    assert_true(mean > 0.1);
    steer_by(&dele_objective_rmu, 3 * mean, 1000, fixed, &mean);
    double length = 0;
    for (int j = 0; j < 32; j++) {
        assert_true(near(adaptive[j], (double)fixed[j], 0) &&
                    near(in_pieces[j], (double)fixed[j], 0));
        length += (double)adaptive[j] * (double)adaptive[j];
    }
    assert_true(near(sqrt(length), 3 * mean, 0));
}

static void rmu_refuses_what_lies_above_its_layer(void **state)
{
    (void)state;
    world w;
    dele_packed_batch p;
    dele_err err = {0};
    double settings[DELE_N_SETTINGS];
    const dele_packed_batch_options packed = {&dele_objective_rmu, settings, 100, LENGTH, 0, NULL};
    make_world(&w);
    dele_objective_defaults(settings, &dele_objective_rmu);
    settings[DELE_LAYER] = 7;
    assert_int_equal(dele_packed_batch_init(&p, &w.model, &w.mask, &packed, &w.arena, &err),
                     DELE_ERR_USAGE); /* layer 7 of 2 */
    settings[DELE_LAYER] = 0;
    for (size_t k = 0; k < w.mask.n_tensors; k++)
        if (w.model.tensors[k].layer == 1) w.mask.trains[k] = true;
    err = (dele_err){0};
    assert_int_equal(dele_packed_batch_init(&p, &w.model, &w.mask, &packed, &w.arena, &err),
                     DELE_ERR_USAGE);
    assert_non_null(strstr(err.msg, "above layer 0"));
    end_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_through_a_model_equal_finite_differences),
        cmocka_unit_test(losses_and_gradients_through_an_olmo_equal_torchs),
        cmocka_unit_test(no_objective_depends_on_batch_tokens),
        cmocka_unit_test(a_task_vector_is_what_was_learnt_mirrored),
        cmocka_unit_test(peeking_shows_the_first_update_and_takes_nothing),
        cmocka_unit_test(adaptive_rmu_is_rmu_with_the_length_of_the_states),
        cmocka_unit_test(rmu_refuses_what_lies_above_its_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
