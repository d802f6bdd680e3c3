#include "trace/corrupt.h"

#include <float.h>
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/random.h"

/* ---- how strong ------------------------------------------------------------------------------ */

static bool number(double *x, const char *text)
{
    char *end;
    *x = strtod(text, &end);
    return end != text && !*end && isfinite(*x);
}

dele_status dele_noise_parse(dele_corruption *c, const char *noise, dele_err *err)
{
    const char *rest = noise;
    c->distribution = DELE_NOISE_GAUSSIAN;
    c->factor = c->sigma = 1;
    c->student = 0;
    bool good = true;
    if (*rest == 'm' || *rest == 't') {
        c->distribution = DELE_NOISE_COVARIANCE;
        good = *rest == 'm' ? !rest[1] : number(&c->student, rest + 1) && c->student > 2;
    } else {
        if (*rest == 'u') c->distribution = DELE_NOISE_UNIFORM, rest++;
        c->relative = *rest == 's';
        rest += c->relative;
        if (*rest || !c->relative) good = number(&c->factor, rest) && c->factor >= 0;
    }
    c->sigma = c->distribution == DELE_NOISE_COVARIANCE ? 1 : c->factor;
    return good ? DELE_OK
                : dele_fail(err, DELE_ERR_USAGE,
                            "--noise \"%s\" is none of s3, 0.1, u0.3, us3, m, t3 (t: more than 2 "
                            "degrees of freedom)",
                            noise);
}

/* Sum of (x - shift)^power over the embeddings of every subject, each encoded alone; *n counts
 * entries. */
static dele_status subject_moment(double *sum, double *n, double shift, int power,
                                  const dele_model *model, const dele_facts *facts,
                                  dele_arena *scratch, dele_err *err)
{
    size_t d_model = (size_t)model->config.hidden_size;
    *sum = *n = 0;
    for (size_t i = 0; i < facts->n; i++) {
        dele_ids ids;
        const char *subject = facts->fact[i].subject;
        dele_arena_reset(scratch);
        if (dele_encode(&ids, model->tokenizer, subject, strlen(subject), true, scratch, err))
            return err->code;
        float *x = dele_alloc_raw(scratch, d_model, sizeof *x, err);
        if (!x) return err->code;
        for (size_t t = 0; t < ids.n; t++) {
            dele_embed_tokens(x, model, &ids.id[t], 1);
            for (size_t c = 0; c < d_model; c++) {
                double v = x[c] - shift;
                *sum += power == 1 ? v : v * v;
            }
        }
        *n += (double)(ids.n * d_model);
    }
    return DELE_OK;
}

static dele_status measure_sigma(dele_corruption *c, const dele_model *model,
                                 const dele_facts *facts, dele_err *err)
{
    dele_arena scratch = {0};
    double sum, squares, n;
    dele_status status = subject_moment(&sum, &n, 0, 1, model, facts, &scratch, err);
    if (!status && n < 2)
        status = dele_fail(err, DELE_ERR_DATA,
                           "%s: no subjects to measure the standard deviation of embeddings on",
                           facts->path);
    if (!status) status = subject_moment(&squares, &n, sum / n, 2, model, facts, &scratch, err);
    dele_arena_release(&scratch);
    if (!status) c->sigma = c->factor * sqrt(squares / (n - 1));
    return status;
}

/* ---- the covariance of a text's embeddings --------------------------------------------------- */

typedef struct {
    double *mean, *covariance; /* [d_model], [dim, d_model], sums until finished */
    double *count;             /* [vocab] how often each token is in the text */
    double n;
} moments;

static dele_status count_tokens(moments *m, const dele_model *model, const char *text, size_t size,
                                dele_err *err)
{
    dele_arena scratch = {0};
    dele_ids ids;
    dele_status status = dele_encode(&ids, model->tokenizer, text, size, false, &scratch, err);
    for (size_t t = 0; t < (status ? 0 : ids.n); t++) m->count[ids.id[t]] += 1;
    if (!status) m->n += (double)ids.n;
    dele_arena_release(&scratch);
    return status;
}

/* x: scratch [d_model]. */
static void add_moments(moments *m, float *x, const dele_model *model)
{
    size_t d_model = (size_t)model->config.hidden_size;
    for (int id = 0; id < model->config.vocab; id++) {
        if (!(m->count[id] > 0)) continue;
        dele_embed_tokens(x, model, &id, 1);
        for (size_t i = 0; i < d_model; i++) m->mean[i] += m->count[id] * x[i] / m->n;
    }
    for (int id = 0; id < model->config.vocab; id++) {
        if (!(m->count[id] > 0)) continue;
        dele_embed_tokens(x, model, &id, 1);
        for (size_t i = 0; i < d_model; i++) {
            double a = m->count[id] * (x[i] - m->mean[i]) / (m->n - 1);
            for (size_t j = 0; j <= i; j++)
                m->covariance[i * d_model + j] += a * (x[j] - m->mean[j]);
        }
    }
}

/* In place: the lower triangle becomes its Cholesky root.  A millionth of the mean variance on the
 * diagonal keeps a covariance of few tokens positive. */
static dele_status cholesky(double *a, size_t d_model, dele_err *err)
{
    double trace = 0;
    for (size_t i = 0; i < d_model; i++) trace += a[i * d_model + i];
    for (size_t i = 0; i < d_model; i++)
        a[i * d_model + i] += 1e-6 * trace / (double)d_model + 1e-300;
    for (size_t i = 0; i < d_model; i++)
        for (size_t j = i + 1; j < d_model; j++) a[i * d_model + j] = a[j * d_model + i];
    gsl_matrix_view view = gsl_matrix_view_array(a, d_model, d_model);
    gsl_error_handler_t *old = gsl_set_error_handler_off();
    int failed = gsl_linalg_cholesky_decomp1(&view.matrix);
    gsl_set_error_handler(old);
    return failed ? dele_fail(err, DELE_ERR_DATA,
                              "the covariance of the text's embeddings has no Cholesky factor; "
                              "give more text with "
                              "--noise-text")
                  : DELE_OK;
}

/* Mean and covariance of the embeddings of a text's tokens, with the covariance as its Cholesky
 * factor, which draws are multiplied by.  Both belong to the arena. */
static dele_status measure_covariance(dele_corruption *c, const dele_model *model,
                                      const dele_facts *facts, const char *path, dele_arena *arena,
                                      dele_err *err)
{
    size_t d_model = (size_t)model->config.hidden_size;
    moments m = {.mean = DELE_NEW(arena, double, d_model, err),
                 .covariance = DELE_NEW(arena, double, d_model *d_model, err),
                 .count = DELE_NEW(arena, double, (size_t)model->config.vocab, err)};
    float *x = DELE_NEW(arena, float, d_model, err);
    if (!m.mean || !m.covariance || !m.count || !x) return err->code;
    if (*path) {
        size_t size;
        char *text = dele_text_read(path, arena, &size, err);
        if (!text || count_tokens(&m, model, text, size, err)) return err->code;
    } else {
        for (size_t i = 0; i < facts->n; i++)
            if (count_tokens(&m, model, facts->fact[i].prompt, strlen(facts->fact[i].prompt), err))
                return err->code;
    }
    if (m.n < 2)
        return dele_fail(err, DELE_ERR_DATA, "%s: no text for the covariance of embeddings",
                         *path ? path : facts->path);
    add_moments(&m, x, model);
    c->mean = m.mean;
    c->root = m.covariance;
    return cholesky(m.covariance, d_model, err);
}

dele_status dele_corruption_measure(dele_corruption *c, const dele_model *model,
                                    const dele_facts *facts, const char *text, dele_arena *arena,
                                    dele_err *err)
{
    if (c->by != DELE_CORRUPT_NOISE) return DELE_OK;
    if (c->distribution == DELE_NOISE_COVARIANCE)
        return measure_covariance(c, model, facts, text, arena, err);
    return c->relative ? measure_sigma(c, model, facts, err) : DELE_OK;
}

/* ---- the very numbers ------------------------------------------------------------------------ */

/* One token's noise [d_model]. */
static void draw(double *noise, double *z, const dele_corruption *c, size_t d_model, double stretch,
                 dele_numpy_rng *rng)
{
    if (c->distribution != DELE_NOISE_COVARIANCE) {
        for (size_t i = 0; i < d_model; i++)
            noise[i] =
                c->sigma * (c->distribution == DELE_NOISE_UNIFORM ? dele_numpy_uniform(rng, -1, 1)
                                                                  : dele_numpy_randn(rng));
        return;
    }
    for (size_t i = 0; i < d_model; i++) z[i] = dele_numpy_randn(rng);
    for (size_t i = 0; i < d_model; i++) {
        double sum = 0;
        for (size_t j = 0; j <= i; j++) sum += c->root[i * d_model + j] * z[j];
        noise[i] = (sum + (c->replace || c->rome ? c->mean[i] : 0)) * stretch;
    }
}

/* ROME's 2, whatever the seed, would stretch all facts' noise alike: what is independent has its
 * own, but not z's. */
static uint32_t chi_seed(const dele_corruption *c, uint64_t seed)
{
    dele_rng mix;
    if (c->shared) return 2;
    dele_rng_seed(&mix, ~seed);
    uint32_t own = (uint32_t)dele_rng_next(&mix);
    return own == (uint32_t)seed ? own + 1 : own;
}

dele_status dele_corrupt_embed(float *out, const dele_corruption *c, const dele_model *model,
                               const int *ids, int n, int first_pos, int first, int n_samples,
                               uint64_t seed, dele_err *err)
{
    size_t d_model = (size_t)model->config.hidden_size;
    dele_arena scratch = {0};
    double *noise = DELE_NEW(&scratch, double, d_model, err),
           *z = DELE_NEW(&scratch, double, d_model, err);
    float *x = DELE_NEW(&scratch, float, d_model, err);
    dele_numpy_rng rng, chi;
    bool overflows = false;
    dele_numpy_seed(&rng, (uint32_t)seed);
    dele_numpy_seed(&chi, chi_seed(c, seed));
    for (int s = 0; s < first + n_samples && noise && z && x; s++)
        for (int t = 0; t < n; t++) {
            double stretch = c->student > 0
                                 ? sqrt((c->student - 2) / dele_numpy_chisquare(&chi, c->student))
                                 : 1;
            draw(noise, z, c, d_model, stretch, &rng);
            if (s < first) continue;
            if (c->replace)
                memset(x, 0, d_model * sizeof *x);
            else
                dele_embed_tokens(x, model, &ids[t], 1);
            dele_add_positions(x, model, first_pos + t, 1);
            double squares = 0; /* what the first norm forms, in float32 */
            for (size_t i = 0; i < d_model; i++) {
                double v = (double)x[i] + noise[i];
                squares += v * v;
                *out++ = squares < (double)FLT_MAX ? (float)v : 0;
            }
            overflows |= !(squares < (double)FLT_MAX);
        }
    const bool ok = noise && z && x;
    dele_arena_release(&scratch);
    if (overflows)
        return dele_fail(err, DELE_ERR_USAGE,
                         "the noise is too strong: the squares of a corrupted embedding overflow "
                         "float32; choose a smaller --noise");
    return ok ? DELE_OK : DELE_ERR_MEMORY;
}
