#include "trace/report/ranking.h"

#include <gsl/gsl_sort.h>
#include <math.h>

#include "tensor/gemm.h"

enum { SEED_RANKING = 4 << 20 };

typedef struct {
    const dele_fact_rows *rows;
    float *count;      /* [DELE_RESAMPLES, n] */
    float *x;          /* [n, 2C] x_k - x_l about its mean; its square */
    float *sum;        /* [DELE_RESAMPLES, 2C] over a resample */
    float *largest;    /* [DELE_RESAMPLES] */
    double *mean, *se; /* [C] of x_k - x_l */
} workspace;

/* Differences of all layers to layer l, in the float's range whatever the effects' size. */
static void differences(workspace *w, size_t l)
{
    size_t n = w->rows->n, C = w->rows->cols;
    for (size_t k = 0; k < C; k++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < n; i++)
            sum += w->rows->effect[i * C + k] - w->rows->effect[i * C + l];
        w->mean[k] = sum / (double)n;
        for (size_t i = 0; i < n; i++) {
            double d = w->rows->effect[i * C + k] - w->rows->effect[i * C + l] - w->mean[k];
            squares += d * d;
        }
        double sd = sqrt(squares / (double)(n - 1));
        w->se[k] = sd / sqrt((double)n);
        for (size_t i = 0; i < n; i++) {
            double d = w->rows->effect[i * C + k] - w->rows->effect[i * C + l] - w->mean[k];
            w->x[i * 2 * C + k] = sd > 0 ? (float)(d / sd) : 0;
            w->x[i * 2 * C + C + k] = sd > 0 ? (float)(d / sd * d / sd) : 0;
        }
    }
}

/* |t*| of one resample and layer; infinite where its facts are all alike, but for rounding. */
static float t_of(float sum, float squares, size_t n)
{
    double mean = (double)sum / (double)n, variance = (double)squares / (double)n - mean * mean;
    if (variance > 1e-5 * (1 + mean * mean))
        return (float)(fabs(mean) / sqrt(variance / (double)(n - 1)));
    return fabs(mean) > 1e-3 ? INFINITY : 0;
}

/* The 95 % point of max over k of |t*(k, l)|. */
static double critical(workspace *w, size_t l)
{
    size_t n = w->rows->n, C = w->rows->cols;
    gemm_nn(w->sum, 2 * C, w->count, n, w->x, 2 * C, DELE_RESAMPLES, 2 * C, n, 0);
    for (size_t r = 0; r < DELE_RESAMPLES; r++) {
        const float *sum = w->sum + r * 2 * C;
        w->largest[r] = 0;
        for (size_t k = 0; k < C; k++) {
            float t = k == l ? 0 : t_of(sum[k], sum[C + k], n);
            if (t > w->largest[r]) w->largest[r] = t;
        }
    }
    gsl_sort_float(w->largest, 1, DELE_RESAMPLES);
    float above =
        w->largest[DELE_RESAMPLES * 95 / 100]; /* no interpolation: the neighbour may be infinite */
    return (double)above;
}

static bool is_tied(workspace *w, size_t l, size_t best)
{
    if (l == best) return true;
    differences(w, l);
    if (!(w->mean[best] > 0)) return true; /* equal */
    return !(w->mean[best] > critical(w, l) * w->se[best]);
}

static void order(dele_ranking *ranking, const double *effect)
{
    for (int l = 0; l < ranking->n_layers; l++) {
        if (isnan(effect[l])) continue;
        ranking->n_ranked++;
        ranking->rank[l] = 1;
        for (int k = 0; k < ranking->n_layers; k++)
            ranking->rank[l] += effect[k] > effect[l] || (k < l && effect[k] == effect[l]);
        if (ranking->rank[l] == 1) ranking->best = l;
    }
}

static dele_status tie(dele_ranking *ranking, const dele_fact_rows *rows, dele_arena *scratch,
                       dele_err *err)
{
    size_t n = rows->n, C = rows->cols;
    workspace w = {.rows = rows,
                   .count = dele_alloc_raw(scratch, DELE_RESAMPLES * n, sizeof(float), err),
                   .x = dele_alloc_raw(scratch, n * 2 * C, sizeof(float), err),
                   .sum = dele_alloc_raw(scratch, DELE_RESAMPLES * 2 * C, sizeof(float), err),
                   .largest = dele_alloc_raw(scratch, DELE_RESAMPLES, sizeof(float), err),
                   .mean = DELE_NEW(scratch, double, C, err),
                   .se = DELE_NEW(scratch, double, C, err)};
    if (!w.count || !w.x || !w.sum || !w.largest || !w.mean || !w.se) return err->code;
    dele_rng rng;
    dele_rng_seed(&rng, SEED_RANKING);
    dele_resample_counts(w.count, DELE_RESAMPLES, n, &rng);
    for (size_t l = 0; l < C; l++) {
        if (!ranking->rank[l]) continue;
        ranking->tied[l] = n < DELE_LEAST_ITEMS || is_tied(&w, l, (size_t)ranking->best);
        ranking->n_tied += ranking->tied[l];
    }
    return DELE_OK;
}

dele_status dele_rank_layers(dele_ranking *ranking, const dele_fact_rows *rows, dele_arena *arena,
                             dele_err *err)
{
    size_t n = rows->n, C = rows->cols;
    *ranking = (dele_ranking){.n = n,
                              .n_layers = (int)C,
                              .best = -1,
                              .rank = DELE_NEW(arena, int, C, err),
                              .tied = DELE_NEW(arena, bool, C, err)};
    double *effect = DELE_NEW(arena, double, C, err);
    if (!ranking->rank || !ranking->tied || !effect) return err->code;
    if (!n) return DELE_OK;
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < C; l++) effect[l] += rows->effect[i * C + l] / (double)n;
    order(ranking, effect);
    dele_arena scratch = {0};
    dele_status status = tie(ranking, rows, &scratch, err);
    dele_arena_release(&scratch);
    return status;
}

/* The tied layers: "0, 3-7". */
static const char *ranges(const dele_ranking *ranking, dele_arena *arena, dele_err *err)
{
    const char *text = "";
    for (int l = 0, end; l < ranking->n_layers && text; l = end) {
        for (end = l + 1; ranking->tied[l] && end < ranking->n_layers && ranking->tied[end];) end++;
        if (!ranking->tied[l]) continue;
        const char *comma = *text ? ", " : "";
        text = end - l > 1 ? dele_printf(arena, err, "%s%s%d-%d", text, comma, l, end - 1)
                           : dele_printf(arena, err, "%s%s%d", text, comma, l);
    }
    return text;
}

char *dele_ranking_words(const dele_ranking *ranking, dele_arena *arena, dele_err *err)
{
    const char *facts = ranking->n == 1 ? "fact" : "facts";
    if (!ranking->n) return dele_printf(arena, err, "no facts to compare");
    if (ranking->n_ranked == 1) return dele_printf(arena, err, "one layer, nothing to compare");
    if (ranking->n_tied == ranking->n_ranked)
        return dele_printf(arena, err,
                           "%zu %s: no layer is significantly different from the best (%d)",
                           ranking->n, facts, ranking->best);
    if (ranking->n_tied == 1)
        return dele_printf(arena, err,
                           "layer %d is the best, significantly different from all others",
                           ranking->best);
    const char *text = ranges(ranking, arena, err);
    return text ? dele_printf(arena, err,
                              "layers %s are not significantly different from the best (%d)", text,
                              ranking->best)
                : NULL;
}
