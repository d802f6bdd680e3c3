/* Mixtures of experts: the block against its equation, routes, the sites within it, losses on
 * routers.  What every block must do is in test_engine.c. */
#include "claims.h"

#include <omp.h>

#include "base/random.h"
#include "model/backward.h"
#include "model/forward.h"

#include "block_families.h"

enum { T = 9, V = 53, D = 32, L = 3, MOST_E = 6 };

#define MIXTURE(name, experts, k, ...)                                                             \
    {                                                                                              \
        .family = &dele_family_##name, .n_layers = L, .hidden_size = D, .intermediate_size = 24,   \
        .n_heads = 4, .n_kv_heads = 2, .head_dim = 8, .vocab = V, .context = 64,                   \
        .norm_eps = 1e-5f, .rope[0].theta = 1e4f, .pad = -1, .n_experts = experts, .top_k = k,     \
        __VA_ARGS__                                                                                \
    }

static const dele_config CONFIGS[] = {
    MIXTURE(olmoe, 6, 2, .layer_kind = {SPARSE, SPARSE, SPARSE}),
    MIXTURE(olmoe, 5, 3, .layer_kind = {SPARSE, SPARSE, SPARSE}, .norm_topk_prob = true),
    MIXTURE(experts_about, 4, 2, .layer_kind = {SPARSE, 0, SPARSE}, .expert_size = 20,
            .shared_size = 28, .embed_scale = 5.656854f, .norm_topk_prob = true),
    MIXTURE(olmoe, 4, 4, .layer_kind = {SPARSE, SPARSE, SPARSE}),
};
enum { N_CONFIGS = sizeof CONFIGS / sizeof *CONFIGS };

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_run run;
    int tokens[T], rows[T];
} fixture;

static void open_fixture(fixture *f, const dele_config *config)
{
    dele_err err = {0};
    dele_rng rng;
    *f = (fixture){0};
    if (dele_model_layout(&f->model, config, &f->arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(&f->model, 0.15, 7);
    dele_rng_seed(&rng, 3);
    for (size_t i = 0; i < f->model.n_tensors; i++) {
        const dele_tensor *t = &f->model.tensors[i];
        for (size_t j = 0; t->part == DELE_PART_ROUTER && j < t->rows * t->cols; j++)
            t->data[j] *= 3;
        for (size_t j = 0; t->part == DELE_PART_NORM && j < t->cols; j++)
            t->data[j] += (float)(0.3 * dele_rng_normal(&rng));
    }
    for (int t = 0; t < T; t++) f->tokens[t] = (int)dele_rng_below(&rng, V), f->rows[t] = t;
}

static void close_fixture(fixture *f)
{
    dele_run_release(&f->run);
    dele_model_release(&f->model);
    dele_arena_release(&f->arena);
}

static void forward(fixture *f, const dele_batch *batch)
{
    dele_err err = {0};
    if (dele_forward(&f->run, &f->model, batch, &err)) fail_msg("%s", err.msg);
}

static dele_batch whole(const fixture *f, dele_segment *s)
{
    *s = (dele_segment){.tokens = f->tokens, .n_rows = T};
    return (dele_batch){.segments = s, .n_segments = 1, .output_rows = f->rows, .n_output_rows = T};
}

static void new_routes(dele_routes *r, fixture *f)
{
    dele_err err = {0};
    if (dele_routes_init(r, &f->model.config, T, &f->arena, &err)) fail_msg("%s", err.msg);
}

static double worst(const float *a, const float *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - b[i]));
    return most;
}

/* ---- the equation ---------------------------------------------------------------------------- */

static const float *weight(const fixture *f, dele_slot slot, int layer, int expert)
{
    return dele_expert_tensor(&f->model, slot, layer, expert)->data;
}

static void product(double *y, const float *w, const double *x, int rows, int cols)
{
    for (int i = 0; i < rows; i++) {
        y[i] = 0;
        for (int j = 0; j < cols; j++) y[i] += (double)w[i * cols + j] * x[j];
    }
}

static void gated(double *y, const double *x, const float *gate, const float *up, const float *down,
                  int d_ff)
{
    double g[64], u[64];
    product(g, gate, x, d_ff, D);
    product(u, up, x, d_ff, D);
    for (int i = 0; i < d_ff; i++) g[i] *= u[i] / (1 + exp(-g[i]));
    product(y, down, g, D, d_ff);
}

/* RMSNorm, the largest top_k of the softmax, their weighted sum, of a family whose norms stand
 * before the sublayers, in double. */
static void block_by_the_equation(double *y, const float *x, const fixture *f, int layer)
{
    const dele_config *c = &f->model.config;
    double xn[D], z[MOST_E], e_out[D], square = 0, sum = 0, chosen = 0;
    bool taken[MOST_E] = {0};
    for (int i = 0; i < D; i++) square += (double)x[i] * x[i];
    for (int i = 0; i < D; i++)
        xn[i] = (double)weight(f, DELE_SLOT_MLP_NORM, layer, -1)[i] * x[i] /
                sqrt(square / D + (double)c->norm_eps);
    product(z, weight(f, DELE_SLOT_ROUTER, layer, -1), xn, c->n_experts, D);
    for (int e = 0; e < c->n_experts; e++) sum += z[e] = exp(z[e]);
    for (int k = 0; k < c->top_k; k++) {
        int top = -1;
        for (int e = 0; e < c->n_experts; e++)
            if (!taken[e] && (top < 0 || z[e] > z[top])) top = e;
        taken[top] = true;
        chosen += z[top];
    }
    for (int i = 0; i < D; i++) y[i] = (double)x[i];
    for (int e = 0; e < c->n_experts; e++) {
        if (!taken[e]) continue;
        gated(e_out, xn, weight(f, DELE_SLOT_EXPERT_GATE, layer, e),
              weight(f, DELE_SLOT_EXPERT_UP, layer, e), weight(f, DELE_SLOT_EXPERT_DOWN, layer, e),
              (int)dele_expert_size(c));
        for (int i = 0; i < D; i++) y[i] += e_out[i] * z[e] / (c->norm_topk_prob ? chosen : sum);
    }
}

static void random_rows(float *x, size_t n)
{
    dele_rng rng;
    dele_rng_seed(&rng, 17);
    for (size_t i = 0; i < n * D; i++) x[i] = (float)dele_rng_normal(&rng);
}

/* With as many experts chosen as there are (the last config), all of them weigh in. */
static void the_block_is_what_its_equation_says(void **state)
{
    (void)state;
    enum { N = 70 };
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        float x[N * D], y[N * D];
        double expected[D];
        dele_err err = {0};
        if (CONFIGS[which].shared_size) continue;
        open_fixture(&f, &CONFIGS[which]);
        random_rows(x, N);
        memcpy(y, x, sizeof y);
        assert_int_equal(dele_forward_mlp(y, &f.run, &f.model, 1, N, &err), DELE_OK);
        for (int t = 0; t < N; t++) {
            block_by_the_equation(expected, x + t * D, &f, 1);
            for (int i = 0; i < D; i++)
                assert_true(fabs(expected[i] - (double)y[t * D + i]) < 1e-5);
        }
        close_fixture(&f);
    }
}

static void equal_experts_with_weights_of_one_are_one_mlp(void **state)
{
    (void)state;
    static const dele_slot of[][2] = {{DELE_SLOT_MLP_NORM, DELE_SLOT_MLP_NORM},
                                      {DELE_SLOT_EXPERT_GATE, DELE_SLOT_GATE},
                                      {DELE_SLOT_EXPERT_UP, DELE_SLOT_UP},
                                      {DELE_SLOT_EXPERT_DOWN, DELE_SLOT_DOWN}};
    fixture sparse, dense;
    float x[T * D], y[T * D];
    dele_err err = {0};
    dele_config config = CONFIGS[1];
    config.family = &dele_family_llama;
    config.n_experts = config.top_k = 0;
    memset(config.layer_kind, 0, sizeof config.layer_kind);
    open_fixture(&sparse, &CONFIGS[1]);
    open_fixture(&dense, &config);
    for (int e = 0; e < CONFIGS[1].n_experts; e++)
        for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
            const dele_tensor *from = dele_model_tensor(&dense.model, of[i][1], 2);
            memcpy(dele_expert_tensor(&sparse.model, of[i][0], 2, e)->data, from->data,
                   from->rows * from->cols * sizeof *from->data);
        }
    random_rows(x, T);
    memcpy(y, x, sizeof y);
    assert_int_equal(dele_forward_mlp(x, &sparse.run, &sparse.model, 2, T, &err), DELE_OK);
    assert_int_equal(dele_forward_mlp(y, &dense.run, &dense.model, 2, T, &err), DELE_OK);
    assert_true(worst(x, y, T * D) < 1e-5);
    close_fixture(&sparse);
    close_fixture(&dense);
}

/* ---- routes ---------------------------------------------------------------------------------- */

static void routes_are_in_order_of_probability_and_ties_go_to_the_lowest(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++)
        for (int tied = 0; tied < 2; tied++) {
            fixture f;
            dele_segment s;
            dele_routes r;
            open_fixture(&f, &CONFIGS[which]);
            for (size_t i = 0; i < f.model.n_tensors && tied; i++)
                if (f.model.tensors[i].part == DELE_PART_ROUTER)
                    memset(f.model.tensors[i].data, 0,
                           f.model.tensors[i].rows * f.model.tensors[i].cols * sizeof(float));
            new_routes(&r, &f);
            dele_batch batch = whole(&f, &s);
            batch.routes = &r;
            forward(&f, &batch);
            assert_int_equal(r.n_rows, T);
            for (int t = 0; t < T; t++)
                for (int l = 0; l < L; l++) {
                    const int *e = dele_route_experts(&r, (size_t)t, l);
                    const float *w = dele_route_weights(&r, (size_t)t, l);
                    double sum = 0;
                    for (int k = 0; k < r.top_k; k++) {
                        if (!dele_layer_is_sparse(&CONFIGS[which], l)) {
                            /* the last layer's rows are all asked for */
                            assert_int_equal(e[k], -1);
                            continue;
                        }
                        if (tied) assert_int_equal(e[k], k);
                        if (k && !tied) assert_true(w[k - 1] >= w[k] && e[k - 1] != e[k]);
                        sum += (double)w[k];
                    }
                    if (sum > 0 && (CONFIGS[which].norm_topk_prob || r.top_k == r.n_experts))
                        assert_true(fabs(sum - 1) < 1e-6);
                }
            close_fixture(&f);
        }
}

/* Also where the last layer computes the tails alone, in two segments. */
static void a_pass_on_its_own_routes_gives_the_same_bytes(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++)
        for (int tails = 0; tails < 2; tails++) {
            fixture f;
            float free_states[T * D];
            dele_routes r, again;
            open_fixture(&f, &CONFIGS[which]);
            new_routes(&r, &f);
            new_routes(&again, &f);
            dele_segment s[] = {{.tokens = f.tokens, .n_rows = 4},
                                {.tokens = f.tokens + 4, .n_rows = T - 4}};
            const int last[] = {3, T - 1};
            dele_batch batch = {.segments = s,
                                .n_segments = 2,
                                .output_rows = tails ? last : f.rows,
                                .n_output_rows = tails ? 2 : T,
                                .routes = &r};
            forward(&f, &batch);
            memcpy(free_states, f.run.final, batch.n_output_rows * D * sizeof(float));
            s[0].forced = s[1].forced = &r, s[1].forced_at = 4;
            batch.routes = &again;
            forward(&f, &batch);
            assert_memory_equal(free_states, f.run.final, batch.n_output_rows * D * sizeof(float));
            const size_t n = T * L * (size_t)r.top_k;
            assert_memory_equal(r.experts, again.experts, n * sizeof *r.experts);
            assert_memory_equal(r.weights, again.weights, n * sizeof *r.weights);
            close_fixture(&f);
        }
}

/* Routes of another text change the states; layers whose route is -1 stay free. */
static void given_routes_are_followed_where_there_are_some(void **state)
{
    (void)state;
    fixture f;
    dele_segment s;
    dele_routes given, seen;
    float before[T * D];
    open_fixture(&f, &CONFIGS[0]);
    new_routes(&given, &f);
    new_routes(&seen, &f);
    dele_batch batch = whole(&f, &s);
    batch.routes = &seen;
    forward(&f, &batch);
    memcpy(before, f.run.final, sizeof before);
    given.n_rows = T;
    for (size_t t = 0; t < T; t++)
        for (int l = 0; l < L; l++)
            for (int k = 0; k < given.top_k; k++) {
                dele_route_experts(&given, t, l)[k] = l == 1 ? 4 - k : -1;
                dele_route_weights(&given, t, l)[k] = 0.5f;
            }
    s.forced = &given;
    int first_free = dele_route_experts(&seen, 5, 0)[0];
    forward(&f, &batch);
    for (size_t t = 0; t < T; t++) {
        assert_int_equal(dele_route_experts(&seen, t, 1)[0], 4);
        assert_int_equal(dele_route_experts(&seen, t, 1)[1], 3);
        assert_true(dele_route_weights(&seen, t, 1)[1] == 0.5f);
    }
    assert_int_equal(dele_route_experts(&seen, 5, 0)[0], first_free);
    assert_true(worst(before, f.run.final, T * D) > 1e-3);
    close_fixture(&f);
}

static void a_route_that_is_none_is_refused_before_the_pass(void **state)
{
    (void)state;
    fixture f;
    dele_segment s;
    dele_routes r;
    open_fixture(&f, &CONFIGS[0]);
    new_routes(&r, &f);
    dele_batch batch = whole(&f, &s);
    batch.routes = &r;
    forward(&f, &batch);
    batch.routes = NULL;
    s.forced = &r;
    int *e = dele_route_experts(&r, 6, 2), was = e[1];
    for (int k = 0; k < 7; k++) {
        dele_err err = {0};
        dele_routes other = r;
        const char *say = "row 6 in layer 2";
        if (k == 0) e[1] = e[0];
        if (k == 1) e[1] = 6;
        if (k == 2) e[1] = -1;
        if (k == 3) dele_route_weights(&r, 6, 2)[1] = NAN;
        if (k == 4) s.forced_at = 1, say = "from row 1 on";
        if (k == 5) other.top_k = 1, s.forced = &other, say = "do not fit";
        if (k == 6) batch.routes = &other, other.capacity = T - 1, say = "do not fit";
        assert_int_equal(dele_forward(&f.run, &f.model, &batch, &err), DELE_ERR_DATA);
        assert_non_null(strstr(err.msg, say));
        e[1] = was, dele_route_weights(&r, 6, 2)[1] = 0.1f;
        s.forced_at = 0, s.forced = &r;
    }
    close_fixture(&f);
}

/* ---- sites ----------------------------------------------------------------------------------- */

/* What the experts and the shared expert contribute adds up to the block's output, where no norm
 * stands after it; an expert that a row did not choose contributes 0. */
static void the_contributions_add_up_to_the_output(void **state)
{
    (void)state;
    dele_family plain = dele_family_experts_about;
    dele_tensor_row rows[32];
    plain.n_tensors = 0;
    for (size_t i = 0; i < dele_family_experts_about.n_tensors; i++) /* without norms after */
        if (dele_family_experts_about.tensors[i].slot != DELE_SLOT_ATTN_POST_NORM &&
            dele_family_experts_about.tensors[i].slot != DELE_SLOT_MLP_POST_NORM)
            rows[plain.n_tensors++] = dele_family_experts_about.tensors[i];
    plain.tensors = rows;
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        dele_segment s;
        dele_routes r;
        static float seen[MOST_E + 2][T * D];
        dele_patch reads[MOST_E + 2];
        dele_config config = CONFIGS[which];
        if (config.shared_size) config.family = &plain;
        open_fixture(&f, &config);
        new_routes(&r, &f);
        size_t n = 0;
        for (int e = 0; e < config.n_experts; e++)
            reads[n++] = (dele_patch){.site = DELE_EXPERT_OUT, .expert = e};
        if (config.shared_size) reads[n++] = (dele_patch){.site = DELE_SHARED_OUT};
        reads[n++] = (dele_patch){.site = DELE_MLP_OUT};
        for (size_t i = 0; i < n; i++)
            reads[i].layer = 2, reads[i].n_rows = T, reads[i].op = DELE_READ,
            reads[i].seen = seen[i];
        dele_batch batch = whole(&f, &s);
        batch.patches = reads, batch.n_patches = n, batch.routes = &r;
        forward(&f, &batch);
        for (size_t i = 0; i < T * D; i++) {
            double sum = 0;
            for (size_t j = 0; j + 1 < n; j++) sum += (double)seen[j][i];
            assert_true(fabs(sum - (double)seen[n - 1][i]) < 1e-5);
        }
        for (size_t t = 0; t < T; t++)
            for (int e = 0; e < config.n_experts; e++) {
                bool chosen = false;
                for (int k = 0; k < r.top_k; k++) chosen |= dele_route_experts(&r, t, 2)[k] == e;
                assert_int_equal(fabsf(seen[e][t * D]) > 0, chosen);
            }
        close_fixture(&f);
    }
}

/* A contribution can be given whether or not the row chose the expert, also together with a patch
 * that replaces the block's output after it. */
static void a_contribution_can_be_given_to_any_expert(void **state)
{
    (void)state;
    enum { ROW = 5, LAYER = 2 };
    fixture f;
    dele_segment s;
    dele_routes r;
    float before[D], after[D], own[D], value[D], twice[D];
    open_fixture(&f, &CONFIGS[0]);
    new_routes(&r, &f);
    random_rows(value, 1);
    dele_patch p[] = {
        {.site = DELE_EXPERT_OUT, .op = DELE_READ, .seen = own},
        {.site = DELE_MLP_OUT, .op = DELE_READ, .seen = before},
    };
    dele_batch batch = whole(&f, &s);
    batch.routes = &r;
    forward(&f, &batch);
    batch.routes = NULL, batch.patches = p;
    for (int e = 0; e < CONFIGS[0].n_experts; e++) {
        for (size_t i = 0; i < 2; i++) p[i].layer = LAYER, p[i].row = ROW, p[i].expert = e;
        p[0].op = DELE_READ, p[0].value = value, batch.n_patches = 2;
        p[1].op = DELE_READ, p[1].seen = before, p[1].value = value;
        forward(&f, &batch);
        p[0].op = DELE_REPLACE, p[1].seen = after;
        forward(&f, &batch);
        for (int i = 0; i < D; i++)
            assert_true(fabsf(after[i] - (before[i] - own[i] + value[i])) < 1e-5f);
        dele_patch more[] = {p[0], p[0], p[0], p[0], p[1], p[1]};
        more[1].op = DELE_ADD;   /* 2 value */
        more[2].op = DELE_SCALE; /* by value[0] */
        more[3].op = DELE_READ, more[3].seen = twice;
        more[4].op = DELE_REPLACE, more[4].value = own; /* the output, after it */
        batch.patches = more, batch.n_patches = 6;
        forward(&f, &batch);
        for (int i = 0; i < D; i++) assert_true(fabsf(twice[i] - 2 * value[i] * value[0]) < 1e-5f);
        assert_memory_equal(after, own, sizeof own);
        batch.patches = p;
    }
    close_fixture(&f);
}

/* Logits of one text restored in the pass of another bring its decisions and their weights. */
static void restoring_logits_restores_the_route(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        fixture f;
        dele_segment s;
        dele_routes clean, restored;
        float logits[T * MOST_E];
        open_fixture(&f, &CONFIGS[which]);
        new_routes(&clean, &f);
        new_routes(&restored, &f);
        dele_patch p = {.layer = 1,
                        .n_rows = T,
                        .site = DELE_ROUTER_LOGITS,
                        .op = DELE_READ,
                        .seen = logits,
                        .value = logits};
        dele_batch batch = whole(&f, &s);
        batch.routes = &clean, batch.patches = &p, batch.n_patches = 1;
        forward(&f, &batch);
        for (int t = 0; t < T; t++) f.tokens[t] = (f.tokens[t] + 7) % V;
        batch.routes = &restored, batch.n_patches = 0;
        forward(&f, &batch);
        int same = 0;
        for (size_t t = 0; t < T; t++)
            same += !memcmp(dele_route_experts(&clean, t, 1), dele_route_experts(&restored, t, 1),
                            (size_t)clean.top_k * sizeof(int));
        assert_true(same < T);
        p.op = DELE_REPLACE, batch.n_patches = 1;
        forward(&f, &batch);
        for (size_t t = 0; t < T; t++) {
            assert_memory_equal(dele_route_experts(&clean, t, 1),
                                dele_route_experts(&restored, t, 1),
                                (size_t)clean.top_k * sizeof(int));
            assert_memory_equal(dele_route_weights(&clean, t, 1),
                                dele_route_weights(&restored, t, 1),
                                (size_t)clean.top_k * sizeof(float));
        }
        close_fixture(&f);
    }
}

static void a_patch_of_an_expert_that_is_none_is_refused(void **state)
{
    (void)state;
    fixture f;
    dele_segment s;
    float seen[D];
    open_fixture(&f, &CONFIGS[2]);
    const dele_patch wrong[] = {{.site = DELE_EXPERT_OUT, .expert = 4},
                                {.site = DELE_EXPERT_OUT, .expert = -1},
                                {.site = DELE_EXPERT_OUT, .layer = 1},
                                {.site = DELE_ROUTER_LOGITS, .layer = 1},
                                {.site = DELE_SHARED_OUT, .layer = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        dele_err err = {0};
        dele_patch p = wrong[i];
        p.op = DELE_READ, p.seen = seen;
        dele_batch batch = whole(&f, &s);
        batch.patches = &p, batch.n_patches = 1;
        assert_int_not_equal(dele_forward(&f.run, &f.model, &batch, &err), DELE_OK);
        assert_non_null(strstr(err.msg, wrong[i].layer ? "layer 1 is dense" : "of 4"));
    }
    close_fixture(&f);
}

/* ---- gradients from the logits --------------------------------------------------------------- */

static float router_loss_weight(size_t i) { return (float)sin(0.7 * (double)i); }

/* Σ c z of the logits of a layer, rows 2 .. T - 1; and its gradients. */
static double loss_of_logits(fixture *f, int layer, float **g)
{
    static float dlogits[T * V];
    const size_t n = (size_t)f->model.config.n_experts;
    float z[T * MOST_E], c[T * MOST_E];
    dele_segment s;
    dele_err err = {0};
    dele_patch p = {.layer = layer,
                    .row = 2,
                    .n_rows = T - 2,
                    .site = DELE_ROUTER_LOGITS,
                    .op = DELE_READ,
                    .seen = z};
    dele_batch batch = whole(f, &s);
    batch.patches = &p, batch.n_patches = 1, batch.keep_for_backward = true;
    forward(f, &batch);
    double loss = 0;
    for (size_t i = 0; i < (T - 2) * n; i++)
        c[i] = router_loss_weight(i), loss += (double)c[i] * z[i];
    dele_patch add = p;
    add.op = DELE_ADD, add.value = c;
    const dele_grads grads = {.g = g, .adds = &add, .n_adds = 1};
    if (g && dele_backward(&f->run, &f->model, &batch, dlogits, &grads, &err))
        fail_msg("%s", err.msg);
    return loss;
}

static void a_loss_on_logits_has_gradients_in_the_router_and_below(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        int met = 0;
        open_fixture(&f, &CONFIGS[which]);
        const size_t n_tensors = f.model.n_tensors;
        float **g = calloc(n_tensors, sizeof *g);
        for (size_t i = 0; i < n_tensors; i++)
            g[i] = calloc(f.model.tensors[i].rows * f.model.tensors[i].cols, sizeof **g);
        loss_of_logits(&f, 2, g);
        for (size_t i = 0; i < n_tensors; i++) {
            const dele_tensor *t = &f.model.tensors[i];
            const size_t n = t->rows * t->cols;
            const double h = 2e-4;
            double norm = 0, side[2];
            for (size_t j = 0; j < n; j++) norm += (double)g[i][j] * g[i][j];
            norm = sqrt(norm);
            /* after the router nothing has one */
            if (t->layer == 2 && t->slot > DELE_SLOT_ROUTER) assert_true(norm == 0);
            if (norm < 0.1) continue; /* lost in rounding */
            float *old = malloc(n * sizeof *old);
            memcpy(old, t->data, n * sizeof *old);
            for (int k = 0; k < 2; k++) {
                for (size_t j = 0; j < n; j++)
                    t->data[j] = (float)(old[j] + (k ? -h : h) * (double)g[i][j] / norm);
                side[k] = loss_of_logits(&f, 2, NULL);
            }
            memcpy(t->data, old, n * sizeof *old);
            const double measured = (side[0] - side[1]) / (2 * h);
            if (!(fabs(measured - norm) < 1e-2 * norm + 1e-2))
                fail_msg("config %d, %s: %g, not %g", which, t->name, norm, measured);
            met++;
            free(old);
        }
        assert_true(met > 12);
        for (size_t i = 0; i < n_tensors; i++) free(g[i]);
        free(g);
        close_fixture(&f);
    }
}

/* A given route follows from nothing: the router has no gradient, the experts have theirs. */
static void a_given_route_gives_the_router_no_gradient(void **state)
{
    (void)state;
    fixture f;
    dele_segment s;
    dele_routes r;
    dele_err err = {0};
    static float dlogits[T * V];
    open_fixture(&f, &CONFIGS[1]);
    new_routes(&r, &f);
    dele_batch batch = whole(&f, &s);
    batch.routes = &r;
    forward(&f, &batch);
    for (size_t i = 0; i < T * V; i++) dlogits[i] = router_loss_weight(i);
    batch.routes = NULL, batch.keep_for_backward = true;
    float **g = calloc(f.model.n_tensors, sizeof *g);
    for (int given = 0; given < 2; given++) {
        s.forced = given ? &r : NULL;
        double routers = 0, experts = 0;
        for (size_t i = 0; i < f.model.n_tensors; i++) {
            free(g[i]);
            g[i] = calloc(f.model.tensors[i].rows * f.model.tensors[i].cols, sizeof **g);
        }
        forward(&f, &batch);
        const dele_grads grads = {.g = g};
        if (dele_backward(&f.run, &f.model, &batch, dlogits, &grads, &err)) fail_msg("%s", err.msg);
        for (size_t i = 0; i < f.model.n_tensors; i++)
            for (size_t j = 0; j < f.model.tensors[i].rows * f.model.tensors[i].cols; j++) {
                routers += f.model.tensors[i].part == DELE_PART_ROUTER && g[i][j] != 0;
                experts += f.model.tensors[i].expert >= 0 && g[i][j] != 0;
            }
        assert_int_equal(routers > 0, !given);
        assert_true(experts > 0);
    }
    for (size_t i = 0; i < f.model.n_tensors; i++) free(g[i]);
    free(g);
    close_fixture(&f);
}

/* ---- repeats --------------------------------------------------------------------------------- */

static void the_number_of_threads_changes_no_byte(void **state)
{
    (void)state;
    const int threads = omp_get_max_threads();
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        float final[2][T * D];
        open_fixture(&f, &CONFIGS[which]);
        const size_t n_tensors = f.model.n_tensors;
        float **g[2];
        for (int k = 0; k < 2; k++) {
            g[k] = calloc(n_tensors, sizeof **g);
            for (size_t i = 0; i < n_tensors; i++)
                g[k][i] = calloc(f.model.tensors[i].rows * f.model.tensors[i].cols, sizeof(float));
            omp_set_num_threads(k ? 3 : 1);
            loss_of_logits(&f, 2, g[k]);
            memcpy(final[k], f.run.final, sizeof final[k]);
        }
        omp_set_num_threads(threads);
        assert_memory_equal(final[0], final[1], sizeof final[0]);
        for (size_t i = 0; i < n_tensors; i++) {
            assert_memory_equal(g[0][i], g[1][i],
                                f.model.tensors[i].rows * f.model.tensors[i].cols * sizeof(float));
            free(g[0][i]), free(g[1][i]);
        }
        free(g[0]), free(g[1]);
        close_fixture(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_block_is_what_its_equation_says),
        cmocka_unit_test(equal_experts_with_weights_of_one_are_one_mlp),
        cmocka_unit_test(routes_are_in_order_of_probability_and_ties_go_to_the_lowest),
        cmocka_unit_test(a_pass_on_its_own_routes_gives_the_same_bytes),
        cmocka_unit_test(given_routes_are_followed_where_there_are_some),
        cmocka_unit_test(a_route_that_is_none_is_refused_before_the_pass),
        cmocka_unit_test(the_contributions_add_up_to_the_output),
        cmocka_unit_test(a_contribution_can_be_given_to_any_expert),
        cmocka_unit_test(restoring_logits_restores_the_route),
        cmocka_unit_test(a_patch_of_an_expert_that_is_none_is_refused),
        cmocka_unit_test(a_loss_on_logits_has_gradients_in_the_router_and_below),
        cmocka_unit_test(a_given_route_gives_the_router_no_gradient),
        cmocka_unit_test(the_number_of_threads_changes_no_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
