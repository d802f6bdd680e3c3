/* The forward pass and generation on tiny random models of every block: identities first. */
#include "claims.h"

#include "base/random.h"
#include "engine_models.h"
#include "model/backward.h"
#include "model/generate.h"
#include "tensor/ops.h"

/* Whether T rows are beyond what the rotation was trained on, so that all of them depend on T. */
static bool grows(int which) { return CONFIGS[which].rope[0].type == DELE_ROPE_DYNAMIC; }

static void states_of(float *out, const fixture *f, const int *tokens)
{
    dele_run run = {0};
    dele_segment s = {.tokens = tokens, .n_rows = T};
    forward(
        &run, &f->model,
        &(dele_batch){.segments = &s, .n_segments = 1, .output_rows = f->rows, .n_output_rows = T});
    memcpy(out, run.final, T * (size_t)f->model.config.hidden_size * sizeof *out);
    dele_run_release(&run);
}

static void changing_a_token_leaves_earlier_rows_alone(void **state)
{
    (void)state;
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        size_t d_model = (size_t)f.model.config.hidden_size;
        float a[T * 32], b[T * 32];
        states_of(a, &f, f.tokens);
        f.tokens[5] = (f.tokens[5] + 1) % V;
        states_of(b, &f, f.tokens);
        assert_memory_equal(a, b, 5 * d_model * sizeof *a);
        assert_true(worst(a + 5 * d_model, b + 5 * d_model, d_model) > 1e-3);
        close_fixture(&f);
    }
}

/* A sequence in three pieces, each continuing the one before, ends where the whole does; two tails
 * share the parents. */
static void pieces_over_shared_parents_equal_the_whole(void **state)
{
    (void)state;
    for (int w = 0; w < N_CONFIGS; w++) {
        if (grows(w)) continue;
        fixture f;
        open_fixture(&f, w);
        size_t d_model = (size_t)f.model.config.hidden_size;
        float whole[T * 32];
        states_of(whole, &f, f.tokens);
        dele_err err = {0};
        dele_run run = {0};
        dele_kv first, second;
        assert_int_equal(dele_kv_init(&first, &f.model.config, NULL, 0, 4, &f.arena, &err),
                         DELE_OK);
        assert_int_equal(dele_kv_init(&second, &f.model.config, &first, 3, 4, &f.arena, &err),
                         DELE_OK);
        dele_segment a = {.tokens = f.tokens, .n_rows = 4, .keep = &first};
        forward(&run, &f.model,
                &(dele_batch){
                    .segments = &a, .n_segments = 1, .output_rows = f.rows, .n_output_rows = 4});
        assert_true(worst(run.final, whole, 4 * d_model) < 1e-5);
        dele_segment b = {
            .tokens = f.tokens + 3, .n_rows = 4, .first_pos = 3, .parent = &first, .keep = &second};
        forward(&run, &f.model, &(dele_batch){.segments = &b, .n_segments = 1});
        dele_segment tails[2] = {
            {.tokens = f.tokens + 7, .n_rows = 2, .first_pos = 7, .parent = &second},
            {.tokens = f.tokens + 7, .n_rows = 2, .first_pos = 7, .parent = &second}};
        forward(&run, &f.model,
                &(dele_batch){
                    .segments = tails, .n_segments = 2, .output_rows = f.rows, .n_output_rows = 4});
        assert_true(worst(run.final, whole + 7 * d_model, 2 * d_model) < 1e-5);
        assert_memory_equal(run.final, run.final + 2 * d_model, 2 * d_model * sizeof *run.final);
        dele_run_release(&run);
        close_fixture(&f);
    }
}

/* Up to the positions trained on (5) a cache is as good as one pass; beyond, only generation
 * continues one, whose new rows are rotated for the length that it has reached. */
static void a_rotation_that_grows_continues_a_cache_only_while_it_does_not_grow(void **state)
{
    (void)state;
    fixture f;
    int which = 0;
    while (!grows(which)) which++;
    open_fixture(&f, which);
    const size_t row = (size_t)f.model.config.hidden_size;
    float whole[T * 32], five[T * 32];
    dele_run run = {0};
    dele_err err = {0};
    dele_kv kv;
    states_of(whole, &f, f.tokens);
    dele_segment s = {.tokens = f.tokens, .n_rows = 5};
    dele_batch batch = {.segments = &s, .n_segments = 1, .output_rows = f.rows, .n_output_rows = 5};
    forward(&run, &f.model, &batch);
    memcpy(five, run.final, 5 * row * sizeof *five);
    assert_true(worst(five, whole, 5 * row) > 1e-3); /* the first rows too */
    s.n_after = T - 5;
    forward(&run, &f.model, &batch);
    assert_true(worst(run.final, whole, 5 * row) < 1e-5);
    s.n_after = 0;
    assert_int_equal(dele_kv_init(&kv, &f.model.config, NULL, 0, T, &f.arena, &err), DELE_OK);
    s.n_rows = 3, s.keep = &kv, batch.n_output_rows = 0;
    forward(&run, &f.model, &batch);
    s = (dele_segment){.tokens = f.tokens + 3, .n_rows = 2, .first_pos = 3, .parent = &kv};
    batch.n_output_rows = 2;
    forward(&run, &f.model, &batch);
    assert_true(worst(run.final, five + 3 * row, 2 * row) < 1e-5);
    s.n_rows = 3;
    assert_int_equal(dele_forward(&run, &f.model, &batch, &err), DELE_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "dynamic scaling"));
    s.keep = &kv;
    forward(&run, &f.model, &batch);
    dele_run_release(&run);
    close_fixture(&f);
}

static void late_joiners_and_neighbours_change_nothing(void **state)
{
    (void)state;
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        size_t d_model = (size_t)f.model.config.hidden_size;
        float whole[T * 32], seen[T * 32];
        states_of(whole, &f, f.tokens);
        dele_patch read[T];
        for (int t = 0; t < T; t++)
            read[t] = (dele_patch){.layer = 0,
                                   .row = t,
                                   .site = DELE_RESID_POST,
                                   .op = DELE_READ,
                                   .seen = seen + (size_t)t * d_model};
        dele_run run = {0};
        dele_segment s = {.tokens = f.tokens, .n_rows = T};
        forward(&run, &f.model,
                &(dele_batch){.segments = &s, .n_segments = 1, .patches = read, .n_patches = T});
        assert_int_equal(run.patches_applied, T);
        dele_segment two[2] = {{.tokens = f.tokens + 2, .n_rows = 5},
                               {.n_rows = T, .start_layer = 1, .states = seen}};
        int rows[T];
        for (int t = 0; t < T; t++) rows[t] = 5 + t;
        forward(&run, &f.model,
                &(dele_batch){
                    .segments = two, .n_segments = 2, .output_rows = rows, .n_output_rows = T});
        assert_true(worst(run.final, whole, T * d_model) < 1e-5);
        dele_run_release(&run);
        close_fixture(&f);
    }
}

/* Products of any number of rows, written over and added, into rows that stand apart; and a whole
 * model.  Where the backend keeps no packed matrices there is nothing to compare, and the plain way
 * must be taken. */
static void packed_matrices_give_the_same_products(void **state)
{
    (void)state;
    enum { N = 70, K = 37, M = 65, LD = 81 };
    static float w[N * K], x[M * K], plain[M * LD], packed[M * LD];
    dele_rng rng;
    dele_rng_seed(&rng, 11);
    for (size_t i = 0; i < N * K; i++) w[i] = (float)dele_rng_normal(&rng);
    for (size_t i = 0; i < M * K; i++) x[i] = (float)dele_rng_normal(&rng);
    gemm_packed *p = gemm_pack(w, N, K);
    for (size_t m = 1; m <= M; m++)
        for (int beta = 0; beta < 2; beta++) {
            for (size_t i = 0; i < M * LD; i++) plain[i] = packed[i] = 0.5f;
            assert_int_equal(gemm_nt_packed(packed, LD, x, K, p, m, (float)beta), p != NULL);
            if (p) gemm_nt(plain, LD, x, K, w, K, m, N, K, (float)beta);
            assert_true(worst(plain, packed, M * LD) < 1e-4);
        }
    gemm_packed_free(p);
    assert_false(gemm_nt_packed(packed, LD, x, K, NULL, M, 0));
}

/* Any number of rows, standing apart; an element does not depend on how many there are. */
static void a_product_of_few_rows_is_the_product(void **state)
{
    (void)state;
    enum { N = 260, K = 272, LDX = 275, LDY = 263, M = 129 };
    static float w[N * K], x[M * LDX], y[M * LDY], few[M * LDY], one[N];
    dele_rng rng;
    dele_rng_seed(&rng, 12);
    for (size_t i = 0; i < N * K; i++) w[i] = (float)dele_rng_normal(&rng);
    for (size_t i = 0; i < M * LDX; i++) x[i] = (float)dele_rng_normal(&rng);
    const bool has = gemm_nt_few(few, LDY, x, LDX, w, K, 1, N, K);
    for (size_t m = 1; m <= M; m++) {
        for (size_t i = 0; i < M * LDY; i++) y[i] = few[i] = 0.5f;
        assert_int_equal(gemm_nt_few(few, LDY, x, LDX, w, K, m, N, K), has && m <= 128);
        if (!has || m > 128) continue;
        gemm_nt(y, LDY, x, LDX, w, K, m, N, K, 0);
        assert_true(worst(y, few, M * LDY) < 1e-4);
        gemm_nt_few(one, N, x + (m - 1) * LDX, LDX, w, K, 1, N, K);
        assert_memory_equal(one, few + (m - 1) * LDY, sizeof one);
    }
    /* sizes that the kernel does not know */
    assert_false(gemm_nt_few(few, LDY, x, LDX, w, K, 4, N - 1, K));
    assert_false(gemm_nt_few(few, LDY, x, LDX, w, K, 4, N, K - 8));
    assert_false(gemm_nt_few(few, LDY, x, LDX, w, K, 4, 8, K));
}

/* Its gradients: down through w, in as many parts as it takes, and to w, which is added to. */
static void gradients_of_few_rows_are_the_gradients(void **state)
{
    (void)state;
    enum { OUT = 203, IN = 448, LDX = 451, LDY = 207, M = 129 };
    static float w[OUT * IN], x[M * LDX], dy[M * LDY], dx[M * LDX], few[M * LDX], one[IN];
    static float dw[OUT * LDX], few_dw[OUT * LDX];
    dele_rng rng;
    dele_rng_seed(&rng, 13);
    for (size_t i = 0; i < OUT * IN; i++) w[i] = (float)dele_rng_normal(&rng);
    for (size_t i = 0; i < M * LDX; i++) x[i] = (float)dele_rng_normal(&rng);
    for (size_t i = 0; i < M * LDY; i++) dy[i] = (float)dele_rng_normal(&rng);
    const bool has = gemm_nn_few(few, LDX, dy, LDY, w, IN, 1, IN, OUT);
    for (size_t m = 1; m <= M; m++) {
        for (size_t i = 0; i < M * LDX; i++) dx[i] = few[i] = 0.5f;
        for (size_t i = 0; i < OUT * LDX; i++) dw[i] = few_dw[i] = 0.5f;
        assert_int_equal(gemm_nn_few(few, LDX, dy, LDY, w, IN, m, IN, OUT), has && m <= 128);
        assert_int_equal(gemm_tn_few(few_dw, LDX, dy, LDY, x, LDX, OUT, IN, m), has && m <= 128);
        if (!has || m > 128) continue;
        gemm_nn(dx, LDX, dy, LDY, w, IN, m, IN, OUT, 0);
        gemm_tn(dw, LDX, dy, LDY, x, LDX, OUT, IN, m, 1);
        assert_true(worst(dx, few, M * LDX) < 1e-4);
        assert_true(worst(dw, few_dw, OUT * LDX) < 1e-4);
        gemm_nn_few(one, IN, dy + (m - 1) * LDY, LDY, w, IN, 1, IN, OUT);
        assert_memory_equal(one, few + (m - 1) * LDX, sizeof one);
    }
    /* sizes that the kernels do not know */
    assert_false(gemm_nn_few(few, LDX, dy, LDY, w, IN, 4, IN - 16, OUT));
    assert_false(gemm_nn_few(few, LDX, dy, LDY, w, IN, 4, IN, 8));
    assert_false(gemm_tn_few(few_dw, LDX, dy, LDY, x, LDX, OUT, IN - 16, 4));
    assert_false(gemm_tn_few(few_dw, LDX, dy, LDY, x, LDX, 8, IN, 4));
}

/* silu, gelu, gelu_tanh */
static double activation(int which, double x)
{
    if (which == 0) return x / (1 + exp(-x));
    if (which == 1) return 0.5 * x * erfc(-x * sqrt(0.5));
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

/* The activations against libm in double, gated and plain, and their slopes against differences. */
static void activations_are_what_their_equations_say(void **state)
{
    (void)state;
    static const struct {
        void (*forward[2])(float *h, const float *x, size_t n, size_t width);
        void (*backward[2])(float *dx, const float *dh, const float *x, size_t n, size_t width);
    } activations[] = {
        {{silu_forward, silu_glu_forward}, {silu_backward, silu_glu_backward}},
        {{gelu_forward, gelu_glu_forward}, {gelu_backward, gelu_glu_backward}},
        {{gelu_tanh_forward, gelu_tanh_glu_forward}, {gelu_tanh_backward, gelu_tanh_glu_backward}}};
    enum { N = 3, WIDTH = 4001 };
    static float x[2 * N * WIDTH], h[N * WIDTH], dh[N * WIDTH], dx[2 * N * WIDTH];
    for (int gated = 0; gated < 2; gated++)
        for (int a = 0; a < 3; a++) {
            const size_t columns = WIDTH * (size_t)(gated + 1);
            for (size_t i = 0; i < N * columns; i++) {
                const size_t c = i % columns, t = i / columns;
                x[i] = c < WIDTH ? ((float)c - 2000) * 0.006f * (float)(t + 1) : 1.0f + (float)t;
            }
            for (size_t i = 0; i < N * WIDTH; i++) dh[i] = 0.5f + (float)(i % 3);
            activations[a].forward[gated](h, x, N, WIDTH);
            activations[a].backward[gated](dx, dh, x, N, WIDTH);
            for (size_t t = 0; t < N; t++)
                for (size_t c = 0; c < WIDTH; c++) {
                    const size_t i = t * columns + c, o = t * WIDTH + c;
                    const double v = (double)x[i], up = gated ? (double)x[i + WIDTH] : 1, e = 1e-4,
                                 value = activation(a, v),
                                 slope = (activation(a, v + e) - activation(a, v - e)) / (2 * e);
                    assert_true(fabs(up * value - (double)h[o]) < 1e-6 * (1 + fabs(v)) * up);
                    assert_true(fabs((double)dh[o] * up * slope - (double)dx[i]) < 1e-5 * up);
                    if (gated)
                        assert_true(fabs((double)dh[o] * value - (double)dx[i + WIDTH]) <
                                    3e-6 * (1 + fabs(v)));
                }
        }
}

static void a_soft_cap_is_a_tangent_and_its_slope(void **state)
{
    (void)state;
    enum { N = 4001 };
    static float x[N], y[N], dy[N];
    for (int k = 0; k < 3; k++) {
        const double cap = k == 0 ? 30 : k == 1 ? 1 : 0.25, scale = k == 2 ? 0.5 : 1;
        for (size_t i = 0; i < N; i++) {
            x[i] = y[i] = ((float)i - 2000) * 0.05f;
            dy[i] = 1 + (float)(i % 2);
        }
        softcap(y, N, (float)scale, (float)cap);
        for (size_t i = 0; i < N; i++)
            assert_true(fabs(cap * tanh((double)x[i] * scale / cap) - (double)y[i]) < 5e-7 * cap);
        softcap_backward(y, dy, N, (float)scale, (float)cap);
        for (size_t i = 0; i < N; i++) {
            const double t = tanh((double)x[i] * scale / cap);
            assert_true(fabs((double)dy[i] * scale * (1 - t * t) - (double)y[i]) < 2e-6);
        }
    }
}

static void a_packed_model_says_what_it_said(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        dele_run run = {0}; /* the fixture is in float32: no tile is needed */
        float before[T * 32], after[T * 32], logits[2][T * V];
        open_fixture(&f, which);
        states_of(before, &f, f.tokens);
        dele_logits(logits[0], &run, &f.model, before, T);
        for (int k = 0; k < 2; k++) /* once is enough, twice does no harm */
            assert_int_equal(dele_model_copy(&f.model, SIZE_MAX, NULL, NULL), DELE_OK);
        states_of(after, &f, f.tokens);
        dele_logits(logits[1], &run, &f.model, after, T);
        assert_true(worst(before, after, T * (size_t)f.model.config.hidden_size) < 1e-5);
        assert_true(worst(logits[0], logits[1], T * V) < 1e-5);
        close_fixture(&f);
    }
}

/* Of a site, all heads of it. */
static size_t site_width(const fixture *f, dele_site site)
{
    return (size_t)(site == DELE_ROUTER_LOGITS ? f->model.config.n_experts
                                               : f->model.config.hidden_size);
}

/* Every row of a site, read in one patch of a run of rows: what one patch a row reads. */
static void a_run_of_rows_reads_what_its_rows_read(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++)
        for (int site = DELE_EMBED; site <= DELE_RESID_POST; site++) {
            if (!dele_layer_has_site(&CONFIGS[which], 0, (dele_site)site)) continue;
            fixture f;
            dele_run run = {0};
            float at_once[T * 32], by_row[T * 32];
            dele_patch run_of_rows, rows[T * 4];
            open_fixture(&f, which);
            const size_t heads = site == DELE_HEAD_OUT ? (size_t)f.model.config.n_heads : 1,
                         width = site_width(&f, (dele_site)site), each = width / heads;
            run_of_rows = (dele_patch){.n_rows = T,
                                       .site = (dele_site)site,
                                       .op = DELE_READ,
                                       .head = DELE_ALL_HEADS,
                                       .seen = at_once};
            for (size_t i = 0; i < T * heads; i++)
                rows[i] = (dele_patch){.row = (int)(i / heads),
                                       .site = (dele_site)site,
                                       .op = DELE_READ,
                                       .head = (int)(i % heads),
                                       .seen = by_row + i * each};
            dele_segment s = {.tokens = f.tokens, .n_rows = T};
            dele_batch batch = {.segments = &s,
                                .n_segments = 1,
                                .output_rows = f.rows,
                                .n_output_rows = T,
                                .patches = &run_of_rows,
                                .n_patches = 1};
            forward(&run, &f.model, &batch);
            assert_int_equal(run.patches_applied, 1);
            batch.patches = rows, batch.n_patches = T * heads;
            forward(&run, &f.model, &batch);
            assert_memory_equal(at_once, by_row, T * width * sizeof *by_row);
            dele_run_release(&run);
            close_fixture(&f);
        }
}

/* Replacing, adding and scaling over a run of rows does what one patch a row does. */
static void a_run_of_rows_is_patched_as_its_rows_are(void **state)
{
    (void)state;
    static const dele_patch_op ops[] = {DELE_REPLACE, DELE_ADD, DELE_SCALE};
    enum { FROM = 2, N = 4 };
    for (int site = DELE_RESID_PRE; site <= DELE_RESID_POST; site++)
        for (size_t k = 0; k < N_CONFIGS * sizeof ops / sizeof *ops; k++) {
            const int which = (int)(k % N_CONFIGS);
            const dele_patch_op op = ops[k / N_CONFIGS];
            if (!dele_layer_has_site(&CONFIGS[which], 1, (dele_site)site)) continue;
            fixture f;
            dele_run run = {0};
            float value[N * 32], at_once[T * 32];
            const size_t states = T * (size_t)CONFIGS[which].hidden_size;
            dele_patch rows[N * 4];
            open_fixture(&f, which);
            const size_t heads = site == DELE_HEAD_OUT ? (size_t)f.model.config.n_heads : 1,
                         width = site_width(&f, (dele_site)site), each = width / heads;
            for (size_t i = 0; i < N * width; i++) value[i] = (float)sin((double)i);
            for (size_t i = 0; i < N * heads; i++)
                rows[i] = (dele_patch){.layer = 1,
                                       .row = FROM + (int)(i / heads),
                                       .site = (dele_site)site,
                                       .op = op,
                                       .head = (int)(i % heads),
                                       .value = op == DELE_SCALE ? value + 1 : value + i * each};
            dele_patch run_of_rows = rows[0];
            run_of_rows.n_rows = N, run_of_rows.head = DELE_ALL_HEADS;
            dele_segment s = {.tokens = f.tokens, .n_rows = T};
            dele_batch batch = {.segments = &s,
                                .n_segments = 1,
                                .output_rows = f.rows,
                                .n_output_rows = T,
                                .patches = &run_of_rows,
                                .n_patches = 1};
            forward(&run, &f.model, &batch);
            memcpy(at_once, run.final, states * sizeof *at_once);
            batch.patches = rows, batch.n_patches = N * heads;
            forward(&run, &f.model, &batch);
            assert_memory_equal(at_once, run.final, states * sizeof *at_once);
            dele_run_release(&run);
            close_fixture(&f);
        }
}

/* Rows 0 .. 3 start at layer 0, rows 4 .. 8 at layer 1: a run over both meets only some at layer 0.
 */
static void a_run_of_rows_of_which_some_are_not_computed_is_an_error(void **state)
{
    (void)state;
    fixture f;
    dele_run run = {0};
    dele_err err = {0};
    float seen[T * 32];
    open_fixture(&f, 0);
    float *states = dele_alloc(&f.arena, 5, 32 * sizeof *states, &err);
    dele_segment s[] = {{.tokens = f.tokens, .n_rows = 4},
                        {.states = states, .n_rows = 5, .start_layer = 1}};
    dele_patch patch = {.n_rows = T, .site = DELE_RESID_POST, .op = DELE_READ, .seen = seen};
    dele_batch batch = {.segments = s, .n_segments = 2, .patches = &patch, .n_patches = 1};
    assert_int_equal(dele_forward(&run, &f.model, &batch, &err), DELE_ERR_DATA);
    patch.layer = 1;
    err = (dele_err){0};
    assert_int_equal(dele_forward(&run, &f.model, &batch, &err), DELE_OK);
    patch.n_rows = T + 1;
    assert_int_equal(dele_forward(&run, &f.model, &batch, &err), DELE_ERR_DATA);
    dele_run_release(&run);
    close_fixture(&f);
}

/* What a pass is said to take is what it takes. */
static void the_memory_of_a_pass_is_counted_by_the_code_that_allocates_it(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++)
        for (int keep = 0; keep < 2; keep++) {
            fixture f;
            dele_run run = {0};
            open_fixture(&f, which);
            dele_segment s = {.tokens = f.tokens, .n_rows = T};
            dele_batch batch = {.segments = &s,
                                .n_segments = 1,
                                .output_rows = f.rows,
                                .n_output_rows = T,
                                .keep_for_backward = keep};
            const dele_pass_size size = {.n_rows = T,
                                         .n_segments = 1,
                                         .n_output_rows = T,
                                         .longest = T,
                                         .keep_for_backward = keep};
            forward(&run, &f.model, &batch);
            const size_t said = dele_forward_bytes(&f.model.config, &size);
            assert_true(said <= run.arena.used && run.arena.used <= said + 4096);
            dele_run_release(&run);
            close_fixture(&f);
        }
}

/* What the two sublayers' sites hold is what the layer adds to the stream, whatever norm they pass.
 */
static void the_outputs_of_a_layers_sublayers_add_up_to_what_it_adds(void **state)
{
    (void)state;
    static const dele_site sites[] = {DELE_RESID_PRE, DELE_ATTN_OUT, DELE_MLP_OUT, DELE_RESID_POST};
    enum { N = 4, LAYER = 1 };
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        dele_run run = {0};
        dele_patch reads[N];
        float seen[N][T * 32];
        open_fixture(&f, which);
        const size_t n = T * (size_t)f.model.config.hidden_size;
        for (int i = 0; i < N; i++)
            reads[i] = (dele_patch){
                .layer = LAYER, .n_rows = T, .site = sites[i], .op = DELE_READ, .seen = seen[i]};
        dele_segment s = {.tokens = f.tokens, .n_rows = T};
        dele_batch batch = {.segments = &s,
                            .n_segments = 1,
                            .output_rows = f.rows,
                            .n_output_rows = T,
                            .patches = reads,
                            .n_patches = N};
        forward(&run, &f.model, &batch);
        for (size_t i = 0; i < n; i++) seen[0][i] += seen[1][i] + seen[2][i];
        assert_true(worst(seen[0], seen[3], n) < 1e-5);
        dele_run_release(&run);
        close_fixture(&f);
    }
}

static void a_patch_that_meets_no_row_is_an_error(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    float value[32] = {0};
    dele_err err = {0};
    dele_run run = {0};
    dele_segment s = {.tokens = f.tokens, .n_rows = T};
    dele_patch p = {.layer = 3, .row = 0, .site = DELE_MLP_OUT, .op = DELE_REPLACE, .value = value};
    assert_int_not_equal(
        dele_forward(&run, &f.model,
                     &(dele_batch){.segments = &s, .n_segments = 1, .patches = &p, .n_patches = 1},
                     &err),
        DELE_OK);
    dele_run_release(&run);
    close_fixture(&f);
}

static void a_model_with_too_little_memory_fails_politely(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    dele_segment s = {.tokens = f.tokens, .n_rows = T};
    dele_err err = {0};
    dele_run run = {.arena = {.limit = 1 << 10}};
    assert_int_equal(
        dele_forward(&run, &f.model, &(dele_batch){.segments = &s, .n_segments = 1}, &err),
        DELE_ERR_MEMORY);
    assert_non_null(strstr(err.msg, "memory"));
    dele_run_release(&run);
    close_fixture(&f);
}

static void cached_generation_equals_one_pass_a_token(void **state)
{
    (void)state;
    for (int w = 0; w < N_CONFIGS; w++) {
        if (grows(w)) continue;
        fixture f;
        open_fixture(&f, w);
        int plain[T + 6], out_a[6], out_b[6];
        memcpy(plain, f.tokens, sizeof f.tokens);
        dele_run run = {0};
        dele_err err = {0};
        float *logits = malloc(V * sizeof *logits);
        for (int n = T; n < T + 6; n++) {
            dele_segment s = {.tokens = plain, .n_rows = n};
            int last = n - 1;
            forward(&run, &f.model,
                    &(dele_batch){
                        .segments = &s, .n_segments = 1, .output_rows = &last, .n_output_rows = 1});
            dele_logits(logits, &run, &f.model, run.final, 1);
            plain[n] = 0;
            for (int j = 1; j < V; j++)
                if (logits[j] > logits[plain[n]]) plain[n] = j;
        }
        dele_continuation two[2] = {{.prompt = f.tokens, .n_prompt = T, .out = out_a},
                                    {.prompt = plain, .n_prompt = T + 2, .out = out_b}};
        if (dele_generate_many(two, 2, &run, &f.model, &(dele_many_opts){.max_new = 6}, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(two[0].n_out, 6);
        assert_memory_equal(out_a, plain + T, 6 * sizeof(int));
        assert_memory_equal(out_b, plain + T + 2, 4 * sizeof(int));
        free(logits);
        dele_run_release(&run);
        close_fixture(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changing_a_token_leaves_earlier_rows_alone),
        cmocka_unit_test(pieces_over_shared_parents_equal_the_whole),
        cmocka_unit_test(a_rotation_that_grows_continues_a_cache_only_while_it_does_not_grow),
        cmocka_unit_test(late_joiners_and_neighbours_change_nothing),
        cmocka_unit_test(packed_matrices_give_the_same_products),
        cmocka_unit_test(a_product_of_few_rows_is_the_product),
        cmocka_unit_test(gradients_of_few_rows_are_the_gradients),
        cmocka_unit_test(activations_are_what_their_equations_say),
        cmocka_unit_test(a_soft_cap_is_a_tangent_and_its_slope),
        cmocka_unit_test(a_packed_model_says_what_it_said),
        cmocka_unit_test(a_run_of_rows_reads_what_its_rows_read),
        cmocka_unit_test(a_run_of_rows_is_patched_as_its_rows_are),
        cmocka_unit_test(a_run_of_rows_of_which_some_are_not_computed_is_an_error),
        cmocka_unit_test(the_memory_of_a_pass_is_counted_by_the_code_that_allocates_it),
        cmocka_unit_test(the_outputs_of_a_layers_sublayers_add_up_to_what_it_adds),
        cmocka_unit_test(a_patch_that_meets_no_row_is_an_error),
        cmocka_unit_test(a_model_with_too_little_memory_fails_politely),
        cmocka_unit_test(cached_generation_equals_one_pass_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
