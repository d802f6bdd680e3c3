/* Attention and its gradient against plain double loops: spans, windows, soft cap, grouped heads.
 */
#include "claims.h"

#include "base/random.h"
#include "tensor/attention.h"
#include "tensor/ops.h"

enum { HEADS = 4, KV_HEADS = 2, HD = 6, Q = HEADS * HD, KV = KV_HEADS * HD, LD = Q + 2 * KV };
enum { OWN = 150, FIRST = 3, SECOND = 70, KEYS = FIRST + SECOND + OWN }; /* more than two blocks */

static const struct {
    size_t window;
    float scale, softcap;
} HOW[] = {{0, 0.4f, 0},    {1, 0.4f, 0},     {10, 0.7f, 0}, {64, 0.4f, 0}, {KEYS, 1, 0},
           {0, 1.5f, 1.2f}, {10, 1.5f, 1.2f}, {75, 0.5f, 3}, {1000, 2, 50}, {OWN - 1, 1, 0.5f}};
enum { N_HOW = sizeof HOW / sizeof *HOW };

static float qkv[KEYS * LD];

static void fill(void)
{
    dele_rng rng;
    dele_rng_seed(&rng, 3);
    for (size_t i = 0; i < KEYS * LD; i++) qkv[i] = (float)dele_rng_normal(&rng);
}

static const float *q_of(size_t t, size_t h) { return qkv + t * LD + h * HD; }
static const float *k_of(size_t t, size_t h)
{
    return qkv + t * LD + Q + h / (HEADS / KV_HEADS) * HD;
}
static const float *v_of(size_t t, size_t h) { return k_of(t, h) + KV; }

/* p [KEYS] and the derivative of each capped score with respect to q · k. */
static void weights(double *p, double *slope, size_t t, size_t h, size_t how)
{
    const double cap = HOW[how].softcap;
    double sum = 0;
    for (size_t j = 0; j < KEYS; j++) {
        double s = 0;
        p[j] = 0;
        if (j > t || (HOW[how].window && j + HOW[how].window <= t)) continue;
        for (size_t c = 0; c < HD; c++) s += (double)q_of(t, h)[c] * k_of(j, h)[c];
        s *= HOW[how].scale;
        const double capped = cap > 0 ? cap * tanh(s / cap) : s;
        slope[j] = HOW[how].scale * (cap > 0 ? 1 - pow(capped / cap, 2) : 1);
        p[j] = exp(capped);
        sum += p[j];
    }
    for (size_t j = 0; j < KEYS; j++) p[j] /= sum;
}

static dele_heads heads_of(size_t how)
{
    return (dele_heads){.n_heads = HEADS,
                        .n_kv_heads = KV_HEADS,
                        .head_dim = HD,
                        .window = HOW[how].window,
                        .scale = HOW[how].scale,
                        .softcap = HOW[how].softcap};
}

static dele_kv_span span(size_t from, size_t n)
{
    return (dele_kv_span){.k = k_of(from, 0), .v = v_of(from, 0), .n = n, .ld = LD};
}

static void attention_over_spans_is_the_plain_sum(void **state)
{
    (void)state;
    static float z[OWN * Q];
    const dele_kv_span spans[] = {span(0, FIRST), span(FIRST, SECOND), span(FIRST + SECOND, OWN)};
    const dele_attention item = {.z = z,
                                 .q = q_of(FIRST + SECOND, 0),
                                 .n = OWN,
                                 .ldz = Q,
                                 .ldq = LD,
                                 .spans = spans,
                                 .n_spans = 3};
    fill();
    for (size_t how = 0; how < N_HOW; how++) {
        float *scratch =
            calloc(dele_attention_scratch(KEYS, HOW[how].softcap > 0), sizeof *scratch);
        attention_forward(&item, 1, heads_of(how), scratch);
        for (size_t t = 0; t < OWN; t++)
            for (size_t h = 0; h < HEADS; h++) {
                double p[KEYS], slope[KEYS], want[HD] = {0};
                weights(p, slope, FIRST + SECOND + t, h, how);
                for (size_t j = 0; j < KEYS; j++)
                    for (size_t c = 0; c < HD; c++) want[c] += p[j] * v_of(j, h)[c];
                for (size_t c = 0; c < HD; c++)
                    if (!(fabs(want[c] - z[t * Q + h * HD + c]) < 1e-5))
                        fail_msg("case %zu, query %zu, head %zu", how, t, h);
            }
        free(scratch);
    }
}

/* Keys outside the window may be anything: they are not read. */
static void keys_before_the_window_are_not_read(void **state)
{
    (void)state;
    enum { WINDOW = 10, QUERY = 200 };
    float z[Q];
    const dele_kv_span spans[] = {span(0, 100), span(100, QUERY - 100), span(QUERY, 1)};
    const dele_attention item = {
        .z = z, .q = q_of(QUERY, 0), .n = 1, .ldz = Q, .ldq = LD, .spans = spans, .n_spans = 3};
    float *scratch = calloc(dele_attention_scratch(KEYS, false), sizeof *scratch);
    fill();
    for (size_t i = 0; i < (QUERY - WINDOW + 1) * LD; i++) qkv[i] = NAN;
    attention_forward(&item, 1, heads_of(2), scratch);
    for (size_t i = 0; i < Q; i++) assert_true(isfinite(z[i]));
    free(scratch);
}

/* dv_j += p dz,   dp_j = dz · v_j,   ds_j = p_j (dp_j - Σ p dp) slope_j,   dq, dk from ds. */
static void plain_gradient(double *d, const float *dz, size_t n, size_t how)
{
    for (size_t t = 0; t < n; t++)
        for (size_t h = 0; h < HEADS; h++) {
            const size_t key = Q + h / (HEADS / KV_HEADS) * HD;
            double p[KEYS], slope[KEYS], dp[KEYS] = {0}, mean = 0;
            weights(p, slope, t, h, how);
            for (size_t j = 0; j <= t; j++) {
                for (size_t c = 0; c < HD; c++)
                    dp[j] += (double)dz[t * Q + h * HD + c] * v_of(j, h)[c];
                mean += p[j] * dp[j];
            }
            for (size_t j = 0; j <= t; j++)
                for (size_t c = 0; p[j] > 0 && c < HD; c++) {
                    const double ds = p[j] * (dp[j] - mean) * slope[j];
                    d[j * LD + key + KV + c] += p[j] * dz[t * Q + h * HD + c];
                    d[t * LD + h * HD + c] += ds * k_of(j, h)[c];
                    d[j * LD + key + c] += ds * q_of(t, h)[c];
                }
        }
}

static void the_gradient_is_that_of_the_plain_sum(void **state)
{
    (void)state;
    static float z[OWN * Q], dz[OWN * Q], d[OWN * LD];
    static double want[OWN * LD];
    const dele_kv_span own = span(0, OWN);
    const dele_attention item = {
        .z = z, .q = q_of(0, 0), .n = OWN, .ldz = Q, .ldq = LD, .spans = &own, .n_spans = 1};
    const dele_attention_grad grad = {.dz = dz, .dq = d, .dk = d + Q, .dv = d + Q + KV};
    fill();
    for (size_t i = 0; i < OWN * Q; i++) dz[i] = sinf((float)i);
    for (size_t how = 0; how < N_HOW; how++) {
        float *scratch = calloc(dele_attention_scratch(OWN, HOW[how].softcap > 0), sizeof *scratch);
        for (size_t i = 0; i < OWN * LD; i++) d[i] = 0, want[i] = 0;
        attention_forward(&item, 1, heads_of(how), scratch);
        attention_backward(&grad, &item, 1, heads_of(how), scratch);
        plain_gradient(want, dz, OWN, how);
        for (size_t i = 0; i < OWN * LD; i++)
            if (!(fabs(want[i] - d[i]) < 1e-4))
                fail_msg("case %zu, row %zu, channel %zu: %g, not %g", how, i / LD, i % LD, d[i],
                         want[i]);
        free(scratch);
    }
}

static void a_soft_cap_is_a_tanh(void **state)
{
    (void)state;
    const float ends[] = {INFINITY, -INFINITY, NAN};
    for (float x = -30; x < 30; x += 0.0037f) {
        float y = x;
        softcap(&y, 1, 0.5f, 3);
        const double want = 3 * tanh(0.5 * (double)x / 3);
        assert_true(fabs(y - want) <= 4e-7 * fabs(want));
    }
    for (int i = 0; i < 3; i++) {
        float y = ends[i];
        softcap(&y, 1, 2, 3);
        assert_true(i == 2 ? isnan(y) : y == copysignf(3, ends[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_over_spans_is_the_plain_sum),
        cmocka_unit_test(keys_before_the_window_are_not_read),
        cmocka_unit_test(a_soft_cap_is_a_tanh),
        cmocka_unit_test(the_gradient_is_that_of_the_plain_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
