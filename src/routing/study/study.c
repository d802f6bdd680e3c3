#include "routing/study/study.h"

#include <math.h>

const char *const dele_routing_compat_name[] = {"none", "olmoe", NULL};

/* ---- one model ------------------------------------------------------------------------------- */

static dele_status measure_loss(dele_routing_measures *m, dele_arena *arena, dele_err *err)
{
    const dele_routed *r = &m->routed;
    const size_t D = r->n_domains;
    size_t *n = DELE_NEW(arena, size_t, D + 1, err);
    m->loss = DELE_NEW(arena, double, D + 1, err);
    if (!n || !m->loss) return err->code;
    for (size_t t = 0; t < r->n; t++) {
        if (r->domain[t] < 0 || isnan(r->logp[t])) continue;
        m->loss[r->domain[t]] -= r->logp[t];
        n[r->domain[t]]++;
    }
    for (size_t d = 0; d < D; d++) {
        m->loss[D] += m->loss[d];
        n[D] += n[d];
    }
    for (size_t d = 0; d <= D; d++) m->loss[d] = n[d] ? m->loss[d] / (double)n[d] : NAN;
    return DELE_OK;
}

/* Entropies of the domains' loads, and of their sum. */
static dele_status measure_entropy(dele_routing_layer *layer, const dele_expert_counts *c, int l,
                                   dele_arena *arena, dele_err *err)
{
    const int E = c->n_experts;
    double *load = DELE_NEW(arena, double, 2 * (size_t)E, err), *all = load + E;
    layer->domain_entropy = DELE_NEW(arena, double, c->n_domains, err);
    if (!load || !layer->domain_entropy) return err->code;
    for (size_t d = 0; d < c->n_domains; d++) {
        for (int e = 0; e < E; e++) {
            load[e] = (double)dele_expert_counts_of(c, d, l)[e];
            all[e] += load[e];
        }
        layer->domain_entropy[d] = dele_load_entropy(load, E);
    }
    layer->entropy = dele_load_entropy(all, E);
    return DELE_OK;
}

static dele_status measure_layer(dele_routing_measures *m, int l, const dele_routing_opts *o,
                                 int vocab, dele_arena *arena, dele_err *err)
{
    dele_routing_layer *layer = &m->layer[l];
    const size_t E = (size_t)m->routed.routes.n_experts;
    const bool compat = o->compat == DELE_ROUTING_AS_RELEASED;
    layer->sparse = dele_routed_sparse(&m->routed, l);
    if (!layer->sparse) return DELE_OK;
    layer->together = DELE_NEW(arena, uint64_t, E * E, err);
    layer->alone = DELE_NEW(arena, uint64_t, E, err);
    if (!layer->together || !layer->alone ||
        measure_entropy(layer, &m->count[DELE_TOP_K], l, arena, err))
        return err->code;
    dele_coactivation_count(layer->together, layer->alone, &m->routed, l, compat);
    for (int by = 0; by < DELE_N_VOCABULARIES; by++)
        for (int set = 0; set < DELE_N_SETS; set++)
            if (dele_vocabulary_measure(&layer->vocabulary[by][set], &m->routed, l,
                                        dele_set_size(m, set), (dele_vocabulary_by)by, vocab,
                                        (uint64_t)o->min_count, compat, 1, arena, err))
                return err->code;
    return DELE_OK;
}

dele_status dele_routing_measure(dele_routing_measures *m, const dele_routing_opts *o, int vocab,
                                 dele_arena *arena, dele_err *err)
{
    const int L = m->routed.routes.n_layers;
    m->layer = DELE_NEW(arena, dele_routing_layer, (size_t)L, err);
    if (!m->layer || measure_loss(m, arena, err)) return err->code;
    for (int set = 0; set < DELE_N_SETS; set++)
        if (dele_expert_count(&m->count[set], &m->routed, dele_set_size(m, set), arena, err))
            return err->code;
    for (int l = 0; l < L; l++)
        if (measure_layer(m, l, o, vocab, arena, err)) return err->code;
    if (dele_document_count(&m->documents, &m->routed, m->routed.routes.top_k, arena, err))
        return err->code;
    return dele_contrast_domains(&m->domains, &m->documents, o->shuffles, arena, err);
}

/* ---- two models ------------------------------------------------------------------------------ */

static dele_status compare_layer(dele_routing_change *x, const dele_routing_comparison *c, int l,
                                 const dele_routing_opts *o, dele_arena *arena, dele_err *err)
{
    const dele_routing_measures *a = c->before, *b = c->after;
    const size_t n = a->routed.n_domains + 1;
    x->distance = DELE_NEW(arena, dele_contrast, n, err);
    if (!x->distance) return err->code;
    for (size_t d = 0; d < n; d++)
        if (dele_contrast_models(&x->distance[d], &a->documents, &b->documents, l,
                                 d + 1 < n ? (int)d : -1, o->shuffles, err))
            return err->code;
    for (int set = 0; set < DELE_N_SETS; set++) {
        x->saturation[set] = DELE_NEW(arena, dele_contrast, n, err);
        if (!x->saturation[set]) return err->code;
        for (size_t d = 0; d < n; d++)
            if (dele_contrast_saturation(&x->saturation[set][d], &a->routed, &b->routed, l,
                                         dele_set_size(a, set), d + 1 < n ? (int)d : -1, err))
                return err->code;
    }
    return DELE_OK;
}

dele_status dele_routing_compare(dele_routing_comparison *c, const dele_routing_measures *before,
                                 const dele_routing_measures *after, const dele_routing_opts *o,
                                 dele_arena *arena, dele_err *err)
{
    const int L = before->routed.routes.n_layers;
    *c = (dele_routing_comparison){.before = before,
                                   .after = after,
                                   .layer = DELE_NEW(arena, dele_routing_change, (size_t)L, err)};
    if (!c->layer) return err->code;
    for (int l = 0; l < L; l++)
        if (before->layer[l].sparse && compare_layer(&c->layer[l], c, l, o, arena, err))
            return err->code;
    return DELE_OK;
}

/* ---- what tables and pictures show ----------------------------------------------------------- */

int dele_routing_some_layers(int layer[3], const dele_routing_measures *m)
{
    const int L = m->routed.routes.n_layers;
    int sparse = 0, n = 0;
    for (int l = 0; l < L; l++) sparse += m->layer[l].sparse;
    for (int l = 0, i = 0; l < L; l++) {
        if (!m->layer[l].sparse) continue;
        if (i == 0 || i == (sparse - 1) / 2 || i == sparse - 1) layer[n++] = l;
        i++;
    }
    return n;
}

double dele_coactivation(const dele_routing_measures *m, int layer, int i, int j)
{
    const dele_routing_layer *l = &m->layer[layer];
    const size_t E = (size_t)m->routed.routes.n_experts;
    return l->alone[i] ? (double)l->together[(size_t)i * E + (size_t)j] / (double)l->alone[i] : NAN;
}

double dele_coactivation_largest(int *i_of, int *j_of, const dele_routing_measures *m, int layer)
{
    const int E = m->routed.routes.n_experts;
    double largest = NAN;
    *i_of = *j_of = -1;
    for (int i = 0; i < E; i++)
        for (int j = 0; j < E; j++) {
            const double x = dele_coactivation(m, layer, i, j);
            if (!(x > 0) || x <= largest) continue;
            largest = x;
            *i_of = i;
            *j_of = j;
        }
    return largest;
}

bool dele_routing_most_specialised(dele_most_specialised *most, const dele_routing_measures *m,
                                   int layer)
{
    const dele_expert_counts *c = &m->count[DELE_TOP_K];
    *most = (dele_most_specialised){.share = -1};
    for (size_t d = 0; d < c->n_domains && m->layer[layer].sparse; d++)
        for (int e = 0; e < c->n_experts; e++) {
            const double share = dele_domain_specialisation(c, d, layer, e);
            if (share > most->share) *most = (dele_most_specialised){e, d, share};
        }
    return most->share >= 0;
}
