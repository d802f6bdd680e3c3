#include "routing/study/anchors.h"

#include <math.h>
#include <string.h>
#include <strings.h>

const char *const dele_anchor_kind_name[] = {"domain specialisation", "load entropy",
                                             "distance to C4"};
const char *const dele_anchors_model = "OLMoE-1B-7B";

#define DS(domain, layer, expert, percent)                                                         \
    {                                                                                              \
        DELE_ANCHOR_SPECIALISATION, domain, layer, expert, (percent) / 100                         \
    }
#define THREE(kind, domain, first, middle, last)                                                   \
    {kind, domain, 0, -1, first}, {kind, domain, 7, -1, middle}, { kind, domain, 15, -1, last }

static const dele_anchor anchors[] = {
    DS("GitHub", 0, 21, 62.6),
    DS("GitHub", 0, 40, 30.3),
    DS("GitHub", 7, 17, 77.0),
    DS("GitHub", 7, 2, 75.6),
    DS("GitHub", 7, 4, 65.7),
    DS("GitHub", 7, 35, 57.4),
    DS("GitHub", 15, 30, 56.4),
    DS("GitHub", 15, 8, 56.2),
    DS("GitHub", 15, 17, 55.0),
    DS("arXiv", 0, 0, 97.7),
    DS("arXiv", 7, 17, 78.5),
    DS("arXiv", 7, 4, 73.5),
    DS("arXiv", 7, 2, 55.3),
    DS("arXiv", 15, 17, 93.7),
    DS("arXiv", 15, 34, 51.3),
    DS("Wikipedia", 0, 11, 77.2),
    DS("Wikipedia", 0, 17, 45.5),
    DS("Wikipedia", 7, 27, 84.8),
    DS("Wikipedia", 15, 36, 58.1),
    DS("Wikipedia", 15, 57, 54.2),
    DS("Wikipedia", 15, 0, 53.4),
    DS("Books", 0, 28, 45.4),
    DS("Books", 7, 28, 50.7),
    DS("Books", 7, 55, 49.8),
    DS("Books", 15, 45, 36.6),
    DS("Books", 15, 14, 36.5),
    DS("C4", 0, 41, 37.7),
    DS("C4", 7, 1, 33.2),
    DS("C4", 15, 7, 31.2),
    THREE(DELE_ANCHOR_ENTROPY, "C4", .990, .982, .968),
    THREE(DELE_ANCHOR_ENTROPY, "GitHub", .961, .851, .853),
    THREE(DELE_ANCHOR_ENTROPY, "arXiv", .943, .866, .864),
    THREE(DELE_ANCHOR_ENTROPY, "Wikipedia", .939, .913, .829),
    THREE(DELE_ANCHOR_DISTANCE, "GitHub", .231, .501, .627),
    THREE(DELE_ANCHOR_DISTANCE, "arXiv", .235, .446, .538),
    THREE(DELE_ANCHOR_DISTANCE, "Books", .166, .333, .228),
    THREE(DELE_ANCHOR_DISTANCE, "Wikipedia", .245, .343, .597),
};

const dele_anchor *dele_anchors_for(size_t *n, const dele_config *c)
{
    const bool same = c->n_layers == 16 && c->n_experts == 64 && c->top_k == 8 &&
                      c->hidden_size == 2048 && dele_expert_size(c) == 1024 && c->vocab == 50304 &&
                      !c->shared_size;
    *n = same ? sizeof anchors / sizeof *anchors : 0;
    return anchors;
}

/* The domain of that name, in lower or upper case, with or without an s at its end; n_domains:
 * there is none. */
static size_t domain_named(const dele_routed *r, const char *name)
{
    const size_t length = strlen(name) - (strchr("sS", name[strlen(name) - 1]) != NULL);
    for (size_t d = 0; d < r->n_domains; d++) {
        const char *own = r->domain_name[d];
        if (!strncasecmp(own, name, length) && (!own[length] || !strcasecmp(own + length, "s")))
            return d;
    }
    return r->n_domains;
}

double dele_anchor_measured(const dele_anchor *a, const dele_routing_measures *m)
{
    const dele_routed *r = &m->routed;
    const size_t d = domain_named(r, a->domain), c4 = domain_named(r, "C4"), D = r->n_domains;
    if (d == D || a->layer >= r->routes.n_layers || !m->layer[a->layer].sparse) return NAN;
    if (a->kind == DELE_ANCHOR_ENTROPY) return m->layer[a->layer].domain_entropy[d];
    if (a->kind == DELE_ANCHOR_SPECIALISATION)
        return dele_domain_specialisation(&m->count[DELE_TOP_K], d, a->layer, a->expert);
    if (c4 == D || c4 == d) return NAN;
    const size_t i = c4 < d ? c4 : d, j = c4 < d ? d : c4,
                 pair = i * D - i * (i + 1) / 2 + j - i - 1;
    return m->domains.distance[pair * (size_t)r->routes.n_layers + (size_t)a->layer].value;
}
