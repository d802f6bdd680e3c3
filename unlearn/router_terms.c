#include "unlearn/router_terms.h"

#include <math.h>
#include <string.h>

#include "unlearn/adamw.h"
#include "unlearn/objectives/objective.h"

const char *const dele_balance_over_name[] = {"concatenated", "layers", NULL};
const char *const dele_term_name[DELE_N_ROUTER_TERMS] = {"balance", "router_z", "anchor"};

/* ---- memory ---------------------------------------------------------------------------------- */

static dele_status reserve_terms(dele_router_terms *t, size_t rows, dele_arena *arena,
                                 dele_err *err)
{
    const size_t n = t->n_layers * (size_t)t->n_experts;
    bool ok = (t->x = dele_alloc_raw(arena, n * rows, sizeof *t->x, err)) &&
              (t->target = DELE_NEW(arena, float, n, err)) &&
              (t->anchored = DELE_NEW(arena, bool, t->n_layers, err)) &&
              (t->chosen = DELE_NEW(arena, double, n, err)) &&
              (t->sum = DELE_NEW(arena, double, t->n_layers *DELE_N_ROUTER_TERMS, err));
    return ok ? DELE_OK : DELE_ERR_MEMORY;
}

/* a of every layer with targets; a target above the layers that are computed is none. */
static void set_targets(dele_router_terms *t)
{
    const dele_expert_list *list = &t->o->targets;
    for (size_t s = 0; s < t->n_layers; s++) {
        int m = 0;
        float *a = t->target + s * (size_t)t->n_experts;
        for (size_t i = 0; i < list->n; i++) m += list->expert[i].layer == t->layer[s];
        for (size_t i = 0; i < list->n; i++)
            if (list->expert[i].layer == t->layer[s]) a[list->expert[i].expert] = 1 / (float)m;
        t->anchored[s] = m > 0;
    }
}

dele_status dele_router_terms_init(dele_router_terms *t, const dele_router_options *o,
                                   const dele_config *config, size_t rows, int lowest,
                                   dele_arena *arena, dele_err *err)
{
    *t = (dele_router_terms){.o = o,
                             .n_experts = config->n_experts,
                             .top_k = config->top_k,
                             .lowest = lowest,
                             .capacity = rows};
    t->layer = DELE_NEW(arena, int, (size_t)config->n_layers, err);
    if (!t->layer) return DELE_ERR_MEMORY;
    for (int l = 0; l < config->n_layers; l++)
        if (dele_layer_is_sparse(config, l)) t->layer[t->n_layers++] = l;
    if (!t->n_layers)
        return dele_fail(err, DELE_ERR_USAGE,
                         "a loss on routers is asked for, and none of the %d layers that are "
                         "computed has experts",
                         config->n_layers);
    if (reserve_terms(t, rows, arena, err)) return DELE_ERR_MEMORY;
    if (!arena->counts) set_targets(t);
    return DELE_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

void dele_largest(int *index, int k, const float *x, int n)
{
    for (int i = 0; i < k; i++) {
        int best = -1;
        for (int e = 0; e < n; e++) {
            bool taken = false;
            for (int j = 0; j < i; j++) taken = taken || index[j] == e;
            if (!taken && (best < 0 || x[e] > x[best])) best = e;
        }
        index[i] = best;
    }
}

void dele_router_terms_begin(dele_router_terms *t, const size_t rows[2])
{
    const size_t n = t->n_layers * (size_t)t->n_experts;
    t->rows[0] = rows[0], t->rows[1] = rows[1];
    t->counted = false;
    for (size_t i = 0; i < n; i++) t->chosen[i] = 0;
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++) t->loss[i] = 0;
}

void dele_router_terms_read(const dele_router_terms *t, dele_patch *patches, size_t n)
{
    for (size_t s = 0; s < t->n_layers; s++)
        patches[s] = (dele_patch){.layer = t->layer[s],
                                  .n_rows = (int)n,
                                  .site = DELE_ROUTER_LOGITS,
                                  .op = DELE_READ,
                                  .seen = t->x + s * t->capacity * (size_t)t->n_experts};
}

void dele_router_terms_count(dele_router_terms *t, size_t n)
{
    const size_t n_experts = (size_t)t->n_experts;
#pragma omp parallel for
    for (size_t s = 0; s < t->n_layers; s++) {
        int index[DELE_MAX_EXPERTS];
        for (size_t r = 0; r < n; r++) {
            dele_largest(index, t->top_k, t->x + (s * t->capacity + r) * n_experts, t->n_experts);
            for (int i = 0; i < t->top_k; i++) t->chosen[s * n_experts + (size_t)index[i]]++;
        }
    }
}

/* ---- gradient -------------------------------------------------------------------------------- */

/* Softmax of z into p; returns log Σ exp z. */
static double softmax_of(double *p, const float *z, int n)
{
    double top = z[0], sum = 0;
    for (int e = 1; e < n; e++) top = z[e] > top ? z[e] : top;
    for (int e = 0; e < n; e++) sum += p[e] = exp(z[e] - top);
    for (int e = 0; e < n; e++) p[e] /= sum;
    return top + log(sum);
}

/* E F_e of a layer: its own choices, or those of all layers, in the mean of a row. */
static void fill_frequencies(double *f, const dele_router_terms *t, size_t layer)
{
    const bool own = t->o->over == DELE_BALANCE_LAYERS;
    const size_t n_experts = (size_t)t->n_experts;
    const double rows = (double)(t->rows[0] + t->rows[1]) * (own ? 1 : (double)t->n_layers);
    for (size_t e = 0; e < n_experts; e++) f[e] = 0;
    for (size_t s = 0; s < t->n_layers; s++)
        for (size_t e = 0; e < n_experts && (!own || s == layer); e++)
            f[e] += t->chosen[s * n_experts + e];
    for (size_t e = 0; e < n_experts; e++) f[e] *= (double)n_experts / rows;
}

/* One layer: the sums of its terms over n rows, and the gradient in the place of the logits.  With
 * g_e = d loss / d p_e, the softmax gives d loss / d z_e = p_e (g_e − Σ p g); the z-loss adds
 * 2 p_e log Σ exp z. */
static void layer_gradient(dele_router_terms *t, size_t s, const uint8_t *side, size_t n)
{
    const int n_experts = t->n_experts;
    const double rows = (double)(t->rows[0] + t->rows[1]), forget = (double)t->rows[DELE_FORGET],
                 mean = 1 / (rows * (double)t->n_layers), *c = t->o->coefficient;
    double f[DELE_MAX_EXPERTS], p[DELE_MAX_EXPERTS], g[DELE_MAX_EXPERTS],
        *sum = t->sum + s * DELE_N_ROUTER_TERMS;
    const float *a = t->target + s * (size_t)n_experts;
    memset(sum, 0, DELE_N_ROUTER_TERMS * sizeof *sum);
    fill_frequencies(f, t, s);
    for (size_t r = 0; r < n; r++) {
        float *z = t->x + (s * t->capacity + r) * (size_t)n_experts;
        const bool anchored = t->anchored[s] && side[r] == DELE_FORGET;
        const double log_sum = softmax_of(p, z, n_experts);
        double along = 0;
        for (int e = 0; e < n_experts; e++) {
            const double off = p[e] - (double)a[e];
            g[e] = c[DELE_TERM_BALANCE] * f[e] * mean +
                   (anchored ? 2 * c[DELE_TERM_ANCHOR] * off / forget : 0);
            along += p[e] * g[e];
            sum[DELE_TERM_BALANCE] += f[e] * p[e] * mean;
            sum[DELE_TERM_ANCHOR] += anchored ? off * off / forget : 0;
        }
        sum[DELE_TERM_Z] += log_sum * log_sum * mean;
        for (int e = 0; e < n_experts; e++)
            z[e] = (float)(p[e] * (g[e] - along + 2 * c[DELE_TERM_Z] * log_sum * mean));
    }
}

void dele_router_terms_gradient(dele_router_terms *t, const uint8_t *side, size_t n)
{
    if (!t->counted) dele_router_terms_count(t, n);
#pragma omp parallel for
    for (size_t s = 0; s < t->n_layers; s++) layer_gradient(t, s, side, n);
    for (size_t s = 0; s < t->n_layers; s++)
        for (int i = 0; i < DELE_N_ROUTER_TERMS; i++)
            t->loss[i] += t->sum[s * DELE_N_ROUTER_TERMS + (size_t)i];
}

size_t dele_router_terms_add(dele_router_terms *t, dele_patch *patches, double weight, size_t n)
{
    size_t k = 0;
    for (size_t s = 0; s < t->n_layers; s++) {
        float *x = t->x + s * t->capacity * (size_t)t->n_experts;
        if (t->layer[s] < t->lowest) continue;
        if (weight != 1) dele_scale(x, weight, n * (size_t)t->n_experts);
        patches[k++] = (dele_patch){.layer = t->layer[s],
                                    .n_rows = (int)n,
                                    .site = DELE_ROUTER_LOGITS,
                                    .op = DELE_ADD,
                                    .value = x};
    }
    return k;
}
