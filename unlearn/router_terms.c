#include "unlearn/router_terms.h"

#include <math.h>
#include <string.h>

#include "unlearn/adamw.h"
#include "unlearn/objectives/objective.h"

const char *const dele_balance_over_name[] = {"concatenated", "layers", NULL};
const char *const dele_term_name[DELE_N_ROUTER_TERMS] = {"balance", "router_z", "anchor",
                                                         "adapter_balance"};

/* ---- memory ---------------------------------------------------------------------------------- */

static dele_status reserve_terms(dele_router_terms *t, size_t rows, dele_arena *arena,
                                 dele_err *err)
{
    bool ok = (t->anchored = DELE_NEW(arena, bool, t->n_layers, err)) &&
              (t->sum = DELE_NEW(arena, double, t->n_layers *DELE_N_ROUTER_TERMS, err));
    for (dele_term_routers *of = t->of; ok && of < t->of + t->n_of; of++) {
        const size_t n = t->n_layers * (size_t)of->n;
        ok = (of->x = dele_alloc_raw(arena, n * rows, sizeof *of->x, err)) &&
             (of->chosen = DELE_NEW(arena, double, n, err));
        if (ok && of->site == DELE_ROUTER_LOGITS) ok = (t->target = DELE_NEW(arena, float, n, err));
    }
    return ok ? DELE_OK : DELE_ERR_MEMORY;
}

/* a of every layer with targets; a target above the layers that are computed is none. */
static void set_targets(dele_router_terms *t, size_t n_experts)
{
    const dele_expert_list *list = &t->o->targets;
    for (size_t s = 0; s < t->n_layers; s++) {
        int m = 0;
        float *a = t->target + s * n_experts;
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
    const double *c = o->coefficient;
    *t = (dele_router_terms){.o = o, .lowest = lowest, .capacity = rows};
    if (c[DELE_TERM_ADAPTER] != 0 && !dele_perft_routes(config))
        return dele_fail(err, DELE_ERR_USAGE,
                         "a loss on the adapters' router is asked for, and the model has no "
                         "adapters of perft-r");
    if (c[DELE_TERM_BALANCE] != 0 || c[DELE_TERM_Z] != 0 || c[DELE_TERM_ANCHOR] != 0)
        t->of[t->n_of++] = (dele_term_routers){.site = DELE_ROUTER_LOGITS,
                                               .balance = DELE_TERM_BALANCE,
                                               .n = config->n_experts,
                                               .top_k = config->top_k};
    if (c[DELE_TERM_ADAPTER] != 0)
        t->of[t->n_of++] = (dele_term_routers){.site = DELE_ADAPTER_LOGITS,
                                               .balance = DELE_TERM_ADAPTER,
                                               .n = config->perft.adapters,
                                               .top_k = config->perft.top_k};
    t->layer = DELE_NEW(arena, int, (size_t)config->n_layers, err);
    if (!t->layer) return DELE_ERR_MEMORY;
    for (int l = 0; l < config->n_layers; l++)
        if (dele_layer_is_sparse(config, l)) t->layer[t->n_layers++] = l;
    if (!t->n_layers)
        return dele_fail(err, DELE_ERR_USAGE,
                         "a loss on routers is asked for, and none of the %d layers that are "
                         "computed has experts",
                         config->n_layers);
    t->n_patches = t->n_layers * t->n_of;
    if (reserve_terms(t, rows, arena, err)) return DELE_ERR_MEMORY;
    if (!arena->counts && t->target) set_targets(t, (size_t)config->n_experts);
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
    t->rows[0] = rows[0], t->rows[1] = rows[1];
    t->counted = false;
    for (dele_term_routers *of = t->of; of < t->of + t->n_of; of++)
        for (size_t i = 0; i < t->n_layers * (size_t)of->n; i++) of->chosen[i] = 0;
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++) t->loss[i] = 0;
}

void dele_router_terms_read(const dele_router_terms *t, dele_patch *patches, size_t n)
{
    for (const dele_term_routers *of = t->of; of < t->of + t->n_of; of++)
        for (size_t s = 0; s < t->n_layers; s++)
            *patches++ = (dele_patch){.layer = t->layer[s],
                                      .n_rows = (int)n,
                                      .site = of->site,
                                      .op = DELE_READ,
                                      .seen = of->x + s * t->capacity * (size_t)of->n};
}

void dele_router_terms_count(dele_router_terms *t, size_t n)
{
    for (dele_term_routers *of = t->of; of < t->of + t->n_of; of++) {
        const size_t width = (size_t)of->n;
#pragma omp parallel for
        for (size_t s = 0; s < t->n_layers; s++) {
            int index[DELE_MAX_EXPERTS];
            for (size_t r = 0; r < n; r++) {
                dele_largest(index, of->top_k, of->x + (s * t->capacity + r) * width, of->n);
                for (int i = 0; i < of->top_k; i++) of->chosen[s * width + (size_t)index[i]]++;
            }
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
static void fill_frequencies(double *f, const dele_router_terms *t, const dele_term_routers *of,
                             size_t layer)
{
    const bool own = t->o->over == DELE_BALANCE_LAYERS;
    const size_t n_experts = (size_t)of->n;
    const double rows = (double)(t->rows[0] + t->rows[1]) * (own ? 1 : (double)t->n_layers);
    for (size_t e = 0; e < n_experts; e++) f[e] = 0;
    for (size_t s = 0; s < t->n_layers; s++)
        for (size_t e = 0; e < n_experts && (!own || s == layer); e++)
            f[e] += of->chosen[s * n_experts + e];
    for (size_t e = 0; e < n_experts; e++) f[e] *= (double)n_experts / rows;
}

/* One layer: the sums of its terms over n rows, and the gradient in the place of the logits.  With
 * g_e = d loss / d p_e, the softmax gives d loss / d z_e = p_e (g_e − Σ p g); the z-loss adds
 * 2 p_e log Σ exp z.  It and the anchor are of the model's own routers. */
static void layer_gradient(dele_router_terms *t, const dele_term_routers *of, size_t s,
                           const uint8_t *side, size_t n)
{
    const int n_experts = of->n;
    const bool own = of->site == DELE_ROUTER_LOGITS;
    const double rows = (double)(t->rows[0] + t->rows[1]), forget = (double)t->rows[DELE_FORGET],
                 mean = 1 / (rows * (double)t->n_layers), *c = t->o->coefficient,
                 balance = c[of->balance], z_loss = own ? c[DELE_TERM_Z] : 0;
    double f[DELE_MAX_EXPERTS], p[DELE_MAX_EXPERTS], g[DELE_MAX_EXPERTS],
        *sum = t->sum + s * DELE_N_ROUTER_TERMS;
    const float *a = own ? t->target + s * (size_t)n_experts : NULL;
    fill_frequencies(f, t, of, s);
    for (size_t r = 0; r < n; r++) {
        float *z = of->x + (s * t->capacity + r) * (size_t)n_experts;
        const bool anchored = own && t->anchored[s] && side[r] == DELE_FORGET;
        const double log_sum = softmax_of(p, z, n_experts);
        double along = 0;
        for (int e = 0; e < n_experts; e++) {
            const double off = anchored ? p[e] - (double)a[e] : 0;
            g[e] = balance * f[e] * mean + 2 * c[DELE_TERM_ANCHOR] * off / fmax(forget, 1);
            along += p[e] * g[e];
            sum[of->balance] += f[e] * p[e] * mean;
            sum[DELE_TERM_ANCHOR] += off * off / fmax(forget, 1);
        }
        sum[DELE_TERM_Z] += own ? log_sum * log_sum * mean : 0;
        for (int e = 0; e < n_experts; e++)
            z[e] = (float)(p[e] * (g[e] - along + 2 * z_loss * log_sum * mean));
    }
}

void dele_router_terms_gradient(dele_router_terms *t, const uint8_t *side, size_t n)
{
    if (!t->counted) dele_router_terms_count(t, n);
    memset(t->sum, 0, t->n_layers * DELE_N_ROUTER_TERMS * sizeof *t->sum);
#pragma omp parallel for
    for (size_t s = 0; s < t->n_layers; s++)
        for (size_t i = 0; i < t->n_of; i++) layer_gradient(t, &t->of[i], s, side, n);
    for (size_t s = 0; s < t->n_layers; s++)
        for (int i = 0; i < DELE_N_ROUTER_TERMS; i++)
            t->loss[i] += t->sum[s * DELE_N_ROUTER_TERMS + (size_t)i];
}

size_t dele_router_terms_add(dele_router_terms *t, dele_patch *patches, double weight, size_t n)
{
    size_t k = 0;
    for (const dele_term_routers *of = t->of; of < t->of + t->n_of; of++)
        for (size_t s = 0; s < t->n_layers; s++) {
            float *x = of->x + s * t->capacity * (size_t)of->n;
            if (t->layer[s] < t->lowest) continue;
            if (weight != 1) dele_scale(x, weight, n * (size_t)of->n);
            patches[k++] = (dele_patch){.layer = t->layer[s],
                                        .n_rows = (int)n,
                                        .site = of->site,
                                        .op = DELE_ADD,
                                        .value = x};
        }
    return k;
}
