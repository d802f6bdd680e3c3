#include "routing/contrast.h"

#include <math.h>
#include <string.h>

#include <gsl/gsl_sort.h>

#include "routing/measures.h"

static const dele_interval unknown = {(double)NAN, (double)NAN};
static const dele_contrast nothing = {
    (double)NAN, {(double)NAN, (double)NAN}, (double)NAN, (double)NAN, (double)NAN};

/* ---- documents as units ---------------------------------------------------------------------- */

typedef struct {
    size_t n;
    int *of_document; /* [n_documents] the unit; -1: the document has no counted token */
    int *domain;      /* [n] */
} units;

/* Documents with counted tokens in the order of domains; of a domain with n > MOST_UNITS documents
 * the d-th goes to unit d * MOST_UNITS / n. */
static dele_status list_units(units *u, const dele_routed *r, dele_arena *arena, dele_err *err)
{
    const size_t D = r->n_domains;
    int *domain = DELE_NEW(arena, int, r->n_documents, err);
    size_t *documents = DELE_NEW(arena, size_t, D + 1, err),
           *first = DELE_NEW(arena, size_t, D + 1, err),
           *seen = DELE_NEW(arena, size_t, D + 1, err);
    *u = (units){.of_document = DELE_NEW(arena, int, r->n_documents, err)};
    if (!domain || !documents || !first || !seen || !u->of_document) return err->code;
    for (size_t d = 0; d < r->n_documents; d++) domain[d] = -1;
    for (size_t t = 0; t < r->n; t++)
        if (r->domain[t] >= 0) domain[r->document[t]] = r->domain[t];
    for (size_t d = 0; d < r->n_documents; d++)
        if (domain[d] >= 0) documents[domain[d]]++;
    for (size_t d = 0; d < D; d++)
        first[d + 1] = first[d] + (documents[d] < DELE_MOST_UNITS ? documents[d] : DELE_MOST_UNITS);
    u->n = first[D];
    u->domain = DELE_NEW(arena, int, u->n, err);
    if (!u->domain) return err->code;
    for (size_t d = 0; d < r->n_documents; d++) {
        u->of_document[d] = -1;
        if (domain[d] < 0) continue;
        const size_t own = (size_t)domain[d], n = first[own + 1] - first[own],
                     at = first[own] + seen[own]++ * n / documents[own];
        u->of_document[d] = (int)at;
        u->domain[at] = domain[d];
    }
    return DELE_OK;
}

dele_status dele_document_count(dele_document_counts *c, const dele_routed *r, int k,
                                dele_arena *arena, dele_err *err)
{
    const size_t L = (size_t)r->routes.n_layers, E = (size_t)r->routes.n_experts;
    units u;
    if (list_units(&u, r, arena, err)) return err->code;
    *c = (dele_document_counts){.n = u.n,
                                .n_domains = r->n_domains,
                                .n_layers = r->routes.n_layers,
                                .n_experts = r->routes.n_experts,
                                .k = k,
                                .domain = u.domain,
                                .tokens = DELE_NEW(arena, uint32_t, u.n, err),
                                .count = DELE_NEW(arena, uint32_t, u.n * L * E, err)};
    if (!c->tokens || !c->count) return err->code;
    for (size_t t = 0; t < r->n; t++) {
        if (r->domain[t] < 0) continue;
        const size_t at = (size_t)u.of_document[r->document[t]];
        c->tokens[at]++;
        for (size_t l = 0; l < L; l++) {
            const int *expert = dele_routed_experts(r, t, (int)l);
            for (int i = 0; i < k && expert[i] >= 0; i++)
                c->count[(at * L + l) * E + (size_t)expert[i]]++;
        }
    }
    return DELE_OK;
}

static const uint32_t *counts_of(const dele_document_counts *c, size_t unit, int l)
{
    return c->count + (unit * (size_t)c->n_layers + (size_t)l) * (size_t)c->n_experts;
}

/* ---- intervals of statistics of sums --------------------------------------------------------- */

/* What is resampled: units [n] with `width` numbers each, the first `split` of them on one side and
 * the others on the other, drawn apart (split == n: one side). */
typedef struct {
    size_t n, split, width;
    const double *x; /* [n, width] */
    double (*statistic)(const double *sum, size_t width);
} sample;

static void add_unit(double *sum, const sample *s, size_t unit, double times)
{
    const double *x = s->x + unit * s->width;
    for (size_t i = 0; i < s->width; i++) sum[i] += times * x[i];
}

static double of_all(const sample *s, double *sum)
{
    memset(sum, 0, s->width * sizeof *sum);
    for (size_t u = 0; u < s->n; u++) add_unit(sum, s, u, 1);
    return s->statistic(sum, s->width);
}

static double of_resample(const sample *s, double *sum, int *times, dele_rng *rng)
{
    memset(sum, 0, s->width * sizeof *sum);
    memset(times, 0, s->n * sizeof *times);
    for (size_t i = 0; i < s->split; i++) times[dele_rng_below(rng, s->split)]++;
    for (size_t i = s->split; i < s->n; i++)
        times[s->split + dele_rng_below(rng, s->n - s->split)]++;
    for (size_t u = 0; u < s->n; u++)
        if (times[u]) add_unit(sum, s, u, times[u]);
    return s->statistic(sum, s->width);
}

/* Σ d³ / (Σ d²)^1.5 over the jackknife of one side; sum: that of all units. */
static double skewness(const sample *s, double *sum)
{
    double mean = 0, squares = 0, cubes = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t u = 0; u < s->n; u++) {
            add_unit(sum, s, u, -1);
            const double left = s->statistic(sum, s->width);
            add_unit(sum, s, u, 1);
            if (!pass) mean += left / (double)s->n;
            squares += pass ? (mean - left) * (mean - left) : 0;
            cubes += pass ? (mean - left) * (mean - left) * (mean - left) : 0;
        }
    const double skew = cubes / pow(squares, 1.5);
    return isfinite(skew) ? skew : 0;
}

/* The 95 % interval, BCa or basic; none where a side has too few units.  Equal resamples give an
 * interval without width: models that route all tokens alike. */
static dele_status interval_of(dele_interval *out, const sample *s, bool bca, dele_err *err)
{
    const size_t other = s->n - s->split, least = other && other < s->split ? other : s->split;
    dele_arena arena = {0};
    dele_rng rng;
    *out = unknown;
    if (least < DELE_LEAST_ITEMS) return DELE_OK;
    dele_rng_seed(&rng, 1);
    double *value = DELE_NEW(&arena, double, DELE_ROUTING_RESAMPLES, err),
           *sum = DELE_NEW(&arena, double, s->width, err);
    int *times = DELE_NEW(&arena, int, s->n, err);
    dele_status status = value && sum && times ? DELE_OK : DELE_ERR_MEMORY;
    if (!status) {
        size_t used = 0;
        for (int i = 0; i < DELE_ROUTING_RESAMPLES; i++) {
            value[used] = of_resample(s, sum, times, &rng);
            used += !isnan(value[used]);
        }
        const double own = of_all(s, sum), m = (double)least;
        if (used && !isnan(own))
            *out = dele_is_constant(value, used) ? (dele_interval){own, own}
                   : bca ? dele_bca(value, used, own, skewness(s, sum), least, 0.95)
                         : dele_basic(value, used, own, m - 1, sqrt(m / (m - 1)), 0.95);
    }
    dele_arena_release(&arena);
    return status;
}

static double distance_of_halves(const double *sum, size_t width)
{
    return dele_load_distance(sum, sum + width / 2, (int)(width / 2));
}

static double quotient(const double *sum, size_t width)
{
    (void)width;
    return sum[1] > 0 ? sum[0] / sum[1] : NAN;
}

static double clipped(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

/* A distance's interval: within 0 and 1, and from 0 on where the control reaches the distance. */
static void bound_interval(dele_contrast *d)
{
    if (!dele_interval_known(d->interval)) return;
    d->interval.low = d->p >= 0.05 ? 0 : clipped(d->interval.low);
    d->interval.high = clipped(d->interval.high);
}

/* Mean, 95th percentile and p of the control's values (written over). */
static void set_control(dele_contrast *d, double *value, size_t n)
{
    double sum = 0, reached = 1;
    if (!n || isnan(d->value)) return;
    for (size_t i = 0; i < n; i++) {
        sum += value[i];
        reached += value[i] >= d->value - 1e-12;
    }
    gsl_sort(value, 1, n);
    d->control = sum / (double)n;
    d->control_high = value[(size_t)(0.95 * (double)(n - 1) + 0.5)];
    d->p = reached / (double)(n + 1);
}

/* ---- domains --------------------------------------------------------------------------------- */

/* Sums of all units by domain, under some assignment of domains to units. */
typedef struct {
    double *count;  /* [n_domains, n_layers, n_experts] */
    double *tokens; /* [n_domains] */
} domain_sums;

static void sum_domains(domain_sums *s, const dele_document_counts *c, const size_t *label_of)
{
    const size_t width = (size_t)c->n_layers * (size_t)c->n_experts;
    memset(s->count, 0, c->n_domains * width * sizeof *s->count);
    memset(s->tokens, 0, c->n_domains * sizeof *s->tokens);
    for (size_t u = 0; u < c->n; u++) {
        const size_t domain = (size_t)c->domain[label_of[u]];
        const uint32_t *x = counts_of(c, u, 0);
        double *sum = s->count + domain * width;
        for (size_t i = 0; i < width; i++) sum[i] += x[i];
        s->tokens[domain] += c->tokens[u];
    }
}

static const double *layer_sums(const domain_sums *s, const dele_document_counts *c, size_t domain,
                                int l)
{
    return s->count + (domain * (size_t)c->n_layers + (size_t)l) * (size_t)c->n_experts;
}

/* All values of one assignment: [n_pairs + 2, n_layers], the pairs' distances, their mean, and the
 * largest DS. */
static void values_of(double *value, const domain_sums *s, const dele_document_counts *c)
{
    const size_t L = (size_t)c->n_layers, D = c->n_domains;
    for (int l = 0; l < c->n_layers; l++) {
        size_t pair = 0, known = 0;
        double sum = 0, largest = NAN;
        for (size_t a = 0; a < D; a++) {
            const double *load = layer_sums(s, c, a, l);
            for (int e = 0; e < c->n_experts && s->tokens[a] > 0; e++)
                largest = fmax(largest, load[e] / s->tokens[a]);
            for (size_t b = a + 1; b < D; b++, pair++) {
                const double x = dele_load_distance(load, layer_sums(s, c, b, l), c->n_experts);
                value[pair * L + (size_t)l] = x;
                if (isnan(x)) continue;
                sum += x;
                known++;
            }
        }
        value[pair * L + (size_t)l] = known ? sum / (double)known : NAN;
        value[(pair + 1) * L + (size_t)l] = largest > 0 ? largest : NAN;
    }
}

/* Whether there are enough documents, of two domains at least, for labels to be shuffled. */
static bool can_shuffle(const dele_document_counts *c)
{
    return c->n >= DELE_LEAST_SHUFFLED && c->domain[0] != c->domain[c->n - 1];
}

static dele_status shuffle_domains(dele_domain_contrasts *d, const dele_document_counts *c,
                                   int shuffles, dele_arena *arena, dele_err *err)
{
    const size_t L = (size_t)c->n_layers, n_values = (d->n_pairs + 2) * L,
                 width = L * (size_t)c->n_experts;
    const size_t n = can_shuffle(c) ? (size_t)shuffles : 0;
    domain_sums sums = {DELE_NEW(arena, double, c->n_domains *width, err),
                        DELE_NEW(arena, double, c->n_domains, err)};
    size_t *label = DELE_NEW(arena, size_t, c->n, err);
    double *own = DELE_NEW(arena, double, n_values, err),
           *value = DELE_NEW(arena, double, n *n_values, err),
           *one = DELE_NEW(arena, double, n_values, err);
    dele_rng rng;
    if (!sums.count || !sums.tokens || !label || !own || !value || !one) return err->code;
    for (size_t u = 0; u < c->n; u++) label[u] = u;
    sum_domains(&sums, c, label);
    values_of(own, &sums, c);
    dele_rng_seed(&rng, 2);
    for (size_t s = 0; s < n; s++) {
        dele_rng_shuffle(&rng, label, c->n);
        sum_domains(&sums, c, label);
        values_of(one, &sums, c);
        for (size_t i = 0; i < n_values; i++) value[i * n + s] = one[i]; /* [n_values, n] */
    }
    for (size_t i = 0; i < n_values; i++) {
        dele_contrast *x = i < d->n_pairs * L         ? &d->distance[i]
                           : i < (d->n_pairs + 1) * L ? &d->mean[i - d->n_pairs * L]
                                                      : &d->largest[i - (d->n_pairs + 1) * L];
        x->value = own[i];
        set_control(x, value + i * n, n);
    }
    return DELE_OK;
}

/* Units of domains a and b as a sample of two sides, the loads in the two halves of a row. */
static dele_status interval_of_pair(dele_contrast *d, const dele_document_counts *c, size_t a,
                                    size_t b, int l, dele_arena *arena, dele_err *err)
{
    const size_t E = (size_t)c->n_experts;
    sample s = {.width = 2 * E, .statistic = distance_of_halves};
    double *x = DELE_NEW(arena, double, c->n *s.width, err);
    if (!x) return err->code;
    for (int side = 0; side < 2; side++)
        for (size_t u = 0; u < c->n; u++) {
            if ((size_t)c->domain[u] != (side ? b : a)) continue;
            for (size_t e = 0; e < E; e++)
                x[s.n * s.width + (side ? E : 0) + e] = counts_of(c, u, l)[e];
            s.n++;
            s.split += !side;
        }
    s.x = x;
    if (!isnan(d->value) && interval_of(&d->interval, &s, false, err)) return err->code;
    bound_interval(d);
    return DELE_OK;
}

dele_status dele_contrast_domains(dele_domain_contrasts *d, const dele_document_counts *c,
                                  int shuffles, dele_arena *arena, dele_err *err)
{
    const size_t L = (size_t)c->n_layers, D = c->n_domains;
    dele_arena scratch = {0};
    *d = (dele_domain_contrasts){.n_pairs = D * (D - 1) / 2};
    d->distance = DELE_NEW(arena, dele_contrast, d->n_pairs * L, err);
    d->mean = DELE_NEW(arena, dele_contrast, L, err);
    d->largest = DELE_NEW(arena, dele_contrast, L, err);
    if (!d->distance || !d->mean || !d->largest) return err->code;
    for (size_t i = 0; i < d->n_pairs * L; i++) d->distance[i] = nothing;
    for (size_t l = 0; l < L; l++) d->mean[l] = d->largest[l] = nothing;
    dele_status status = shuffle_domains(d, c, shuffles, &scratch, err);
    size_t pair = 0;
    for (size_t a = 0; a < D; a++)
        for (size_t b = a + 1; b < D; b++, pair++)
            for (int l = 0; l < c->n_layers && !status; l++) {
                dele_arena_reset(&scratch);
                status =
                    interval_of_pair(&d->distance[pair * L + (size_t)l], c, a, b, l, &scratch, err);
            }
    dele_arena_release(&scratch);
    return status;
}

/* ---- two models ------------------------------------------------------------------------------ */

/* The control of two models: each unit's halves change places with probability 1/2. */
static dele_status swap_models(dele_contrast *d, const sample *s, int shuffles, dele_arena *arena,
                               dele_err *err)
{
    const size_t n = s->n >= DELE_LEAST_ITEMS ? (size_t)shuffles : 0, E = s->width / 2;
    double *value = DELE_NEW(arena, double, n, err), *sum = DELE_NEW(arena, double, s->width, err);
    dele_rng rng;
    if (!value || !sum) return err->code;
    dele_rng_seed(&rng, 3);
    for (size_t i = 0; i < n; i++) {
        memset(sum, 0, s->width * sizeof *sum);
        for (size_t u = 0; u < s->n; u++) {
            const size_t first = dele_rng_next(&rng) >> 63 ? E : 0;
            const double *x = s->x + u * s->width;
            for (size_t e = 0; e < E; e++) {
                sum[e] += x[first + e];
                sum[E + e] += x[E - first + e];
            }
        }
        value[i] = s->statistic(sum, s->width);
    }
    set_control(d, value, n);
    return DELE_OK;
}

dele_status dele_contrast_models(dele_contrast *d, const dele_document_counts *a,
                                 const dele_document_counts *b, int l, int domain, int shuffles,
                                 dele_err *err)
{
    const size_t E = (size_t)a->n_experts;
    dele_arena arena = {0};
    sample s = {.width = 2 * E, .statistic = distance_of_halves};
    double *x = DELE_NEW(&arena, double, a->n *s.width, err),
           *sum = DELE_NEW(&arena, double, s.width, err);
    dele_status status = x && sum ? DELE_OK : DELE_ERR_MEMORY;
    *d = nothing;
    for (size_t u = 0; u < a->n && !status; u++) {
        if (domain >= 0 && a->domain[u] != domain) continue;
        for (size_t e = 0; e < E; e++) {
            x[s.n * s.width + e] = counts_of(a, u, l)[e];
            x[s.n * s.width + E + e] = counts_of(b, u, l)[e];
        }
        s.n++;
    }
    s.split = s.n;
    s.x = x;
    if (!status && !isnan(d->value = of_all(&s, sum)) &&
        !(status = swap_models(d, &s, shuffles, &arena, err)) &&
        !(status = interval_of(&d->interval, &s, false, err)))
        bound_interval(d);
    dele_arena_release(&arena);
    return status;
}

dele_status dele_contrast_saturation(dele_contrast *d, const dele_routed *a, const dele_routed *b,
                                     int l, int k, int domain, dele_err *err)
{
    dele_arena arena = {0};
    units u = {0};
    sample s = {.width = 2, .statistic = quotient};
    size_t n, kept = 0;
    *d = nothing;
    dele_status status = list_units(&u, a, &arena, err);
    double *x = status ? NULL : DELE_NEW(&arena, double, 2 * u.n, err);
    if (!x) {
        dele_arena_release(&arena);
        return err->code;
    }
    for (size_t t = 0; t < a->n; t++) {
        if (a->domain[t] < 0 || (domain >= 0 && a->domain[t] != domain)) continue;
        double *unit = x + 2 * (size_t)u.of_document[a->document[t]];
        unit[0] +=
            dele_common_experts(dele_routed_experts(a, t, l), dele_routed_experts(b, t, l), k);
        unit[1] += k;
    }
    for (size_t i = 0; i<u.n; i++, kept += x[2 * kept + 1]> 0)
        if (i != kept) memcpy(x + 2 * kept, x + 2 * i, 2 * sizeof *x);
    s.n = s.split = kept;
    s.x = x;
    d->value = dele_saturation(&n, a, b, l, k, domain);
    if (n) status = interval_of(&d->interval, &s, true, err);
    dele_arena_release(&arena);
    return status;
}
