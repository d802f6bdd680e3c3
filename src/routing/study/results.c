#include "routing/study/results.h"

#include <math.h>

#include "base/file_out.h"
#include "base/json_out.h"
#include "base/npz.h"
#include "base/stat_json.h"
#include "routing/tokens_file.h"

enum { PAIRS_SHOWN = 20, IDS_SHOWN = 10 };

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_real(cJSON *object, const char *name, double x)
{
    cJSON_AddItemToObject(object, name, dele_json_number(x));
}

static cJSON *contrast_json(const char *name, const dele_contrast *x, size_t n, bool control)
{
    cJSON *o = cJSON_CreateObject();
    put_real(o, name, x->value);
    dele_json_interval(o, "interval", x->interval, n);
    if (!control) return o;
    put_real(o, "control", x->control);
    put_real(o, "control_95", x->control_high);
    put_real(o, "p", x->p);
    return o;
}

/* Documents of a domain (n_domains: of all) that intervals are over. */
static size_t units_of(const dele_document_counts *c, size_t domain)
{
    size_t n = 0;
    for (size_t u = 0; u < c->n; u++) n += domain == c->n_domains || (size_t)c->domain[u] == domain;
    return n;
}

static void put_domains(cJSON *layer, const dele_routing_measures *m, int l)
{
    const dele_routed *r = &m->routed;
    cJSON *list = cJSON_AddArrayToObject(layer, "domains");
    for (size_t d = 0; d < r->n_domains; d++) {
        cJSON *o = cJSON_CreateObject(), *share;
        cJSON_AddItemToArray(list, o);
        cJSON_AddStringToObject(o, "domain", r->domain_name[d]);
        put_real(o, "entropy", m->layer[l].domain_entropy[d]);
        share = cJSON_AddArrayToObject(o, "specialisation");
        for (int e = 0; e < r->routes.n_experts; e++)
            cJSON_AddItemToArray(share, dele_json_number(dele_domain_specialisation(
                                            &m->count[DELE_TOP_K], d, l, e)));
    }
}

static void put_pairs(cJSON *layer, const dele_routing_measures *m, int l)
{
    const dele_routed *r = &m->routed;
    const size_t L = (size_t)r->routes.n_layers;
    cJSON *list = cJSON_AddArrayToObject(layer, "pairs");
    size_t pair = 0;
    for (size_t a = 0; a < r->n_domains; a++)
        for (size_t b = a + 1; b < r->n_domains; b++, pair++) {
            const size_t n = units_of(&m->documents, a), other = units_of(&m->documents, b);
            cJSON *o = contrast_json("distance", &m->domains.distance[pair * L + (size_t)l],
                                     n < other ? n : other, true);
            cJSON_AddStringToObject(o, "domain", r->domain_name[a]);
            cJSON_AddStringToObject(o, "other", r->domain_name[b]);
            cJSON_AddItemToArray(list, o);
        }
}

static void put_control(cJSON *layer, const char *name, const dele_contrast *x)
{
    cJSON *o = cJSON_AddObjectToObject(layer, name);
    put_real(o, "value", x->value);
    put_real(o, "control", x->control);
    put_real(o, "control_95", x->control_high);
    put_real(o, "p", x->p);
}

static void put_vocabulary(cJSON *layer, const dele_routing_measures *m, int l)
{
    cJSON *list = cJSON_AddArrayToObject(layer, "vocabulary");
    for (int by = 0; by < DELE_N_VOCABULARIES; by++)
        for (int set = 0; set < DELE_N_SETS; set++) {
            const dele_vocabulary *v = &m->layer[l].vocabulary[by][set];
            cJSON *o = cJSON_CreateObject();
            cJSON_AddItemToArray(list, o);
            cJSON_AddStringToObject(o, "by", dele_vocabulary_name[by]);
            cJSON_AddNumberToObject(o, "k", dele_set_size(m, set));
            cJSON_AddNumberToObject(o, "ids", (double)v->n_counted);
            put_real(o, "unweighted", v->unweighted);
            put_real(o, "weighted", v->weighted);
            put_real(o, "chance", v->chance);
        }
}

static void put_coactivation(cJSON *layer, const dele_routing_measures *m, int l)
{
    int i, j;
    const double largest = dele_coactivation_largest(&i, &j, m, l);
    cJSON *o = cJSON_AddObjectToObject(layer, "coactivation");
    put_real(o, "largest", largest);
    cJSON_AddNumberToObject(o, "expert", i);
    cJSON_AddNumberToObject(o, "other", j);
}

static cJSON *layers_json(const dele_routing_measures *m)
{
    cJSON *list = cJSON_CreateArray();
    for (int l = 0; l < m->routed.routes.n_layers; l++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToArray(list, o);
        cJSON_AddNumberToObject(o, "layer", l);
        cJSON_AddNumberToObject(o, "experts", m->layer[l].sparse ? m->routed.routes.n_experts : 0);
        if (!m->layer[l].sparse) continue;
        put_real(o, "entropy", m->layer[l].entropy);
        put_control(o, "mean_distance", &m->domains.mean[l]);
        put_control(o, "largest_specialisation", &m->domains.largest[l]);
        put_domains(o, m, l);
        put_pairs(o, m, l);
        put_coactivation(o, m, l);
        put_vocabulary(o, m, l);
    }
    return list;
}

static cJSON *texts_json(const dele_routing_texts *texts, const dele_routing_measures *m)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t d = 0; d < texts->n_domains; d++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToArray(list, o);
        cJSON_AddStringToObject(o, "domain", texts->domain[d].name);
        cJSON_AddStringToObject(o, "path", texts->domain[d].path);
        cJSON_AddNumberToObject(o, "documents", (double)texts->domain[d].n_documents);
        cJSON_AddNumberToObject(o, "tokens", (double)texts->domain[d].n_tokens);
        cJSON_AddNumberToObject(o, "counted", (double)m->count[DELE_TOP_K].tokens[d]);
        cJSON_AddBoolToObject(o, "whole", !texts->domain[d].cut);
        put_real(o, "loss", m->loss[d]);
    }
    return list;
}

static cJSON *change_json(const dele_routing_comparison *c, int l)
{
    const dele_routed *r = &c->before->routed;
    const dele_routing_change *x = &c->layer[l];
    cJSON *o = cJSON_CreateObject(), *list;
    cJSON_AddNumberToObject(o, "layer", l);
    if (!c->before->layer[l].sparse) return o;
    list = cJSON_AddArrayToObject(o, "domains");
    for (size_t d = 0; d <= r->n_domains; d++) {
        const size_t n = units_of(&c->before->documents, d);
        cJSON *domain = cJSON_CreateObject();
        cJSON_AddItemToArray(list, domain);
        if (d < r->n_domains)
            cJSON_AddStringToObject(domain, "domain", r->domain_name[d]);
        else
            cJSON_AddNullToObject(domain, "domain");
        cJSON_AddItemToObject(domain, "saturation",
                              contrast_json("value", &x->saturation[DELE_TOP_K][d], n, false));
        cJSON_AddItemToObject(domain, "saturation_top1",
                              contrast_json("value", &x->saturation[DELE_TOP_1][d], n, false));
        cJSON_AddItemToObject(domain, "distance", contrast_json("value", &x->distance[d], n, true));
    }
    return o;
}

static cJSON *against_json(const dele_routing_study *s)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < s->n_against; i++) {
        const dele_routing_comparison *c = &s->against[i];
        cJSON *o = cJSON_CreateObject(), *changes;
        cJSON_AddItemToArray(list, o);
        cJSON_AddStringToObject(o, "model", c->after->path);
        changes = cJSON_AddArrayToObject(o, "changes");
        for (int l = 0; l < c->before->routed.routes.n_layers; l++)
            cJSON_AddItemToArray(changes, change_json(c, l));
        cJSON_AddItemToObject(o, "texts", texts_json(s->texts, c->after));
        cJSON_AddItemToObject(o, "layers", layers_json(c->after));
    }
    return list;
}

static cJSON *anchors_json(const dele_routing_study *s)
{
    size_t n;
    const dele_anchor *anchor = dele_anchors_for(&n, s->config);
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToArray(list, o);
        cJSON_AddStringToObject(o, "measure", dele_anchor_kind_name[anchor[i].kind]);
        cJSON_AddStringToObject(o, "domain", anchor[i].domain);
        cJSON_AddNumberToObject(o, "layer", anchor[i].layer);
        if (anchor[i].expert >= 0) cJSON_AddNumberToObject(o, "expert", anchor[i].expert);
        put_real(o, "published", anchor[i].value);
        put_real(o, "here", dele_anchor_measured(&anchor[i], s->model));
    }
    return list;
}

cJSON *dele_routing_json(const dele_routing_study *s)
{
    const dele_routes *r = &s->model->routed.routes;
    cJSON *o = cJSON_CreateObject();
    size_t n_anchors;
    dele_anchors_for(&n_anchors, s->config);
    cJSON_AddStringToObject(o, "model", s->model->path);
    cJSON_AddStringToObject(o, "compat", dele_routing_compat_name[s->opts->compat]);
    cJSON_AddNumberToObject(o, "experts", r->n_experts);
    cJSON_AddNumberToObject(o, "top_k", r->top_k);
    cJSON_AddNumberToObject(o, "uniform", (double)r->top_k / r->n_experts);
    cJSON_AddNumberToObject(o, "min_count", s->opts->min_count);
    cJSON_AddNumberToObject(o, "shuffles", s->opts->shuffles);
    if (s->route_from) cJSON_AddStringToObject(o, "route_from", s->route_from);
    cJSON_AddItemToObject(o, "texts", texts_json(s->texts, s->model));
    cJSON_AddItemToObject(o, "layers", layers_json(s->model));
    cJSON_AddItemToObject(o, "against", against_json(s));
    if (n_anchors) cJSON_AddItemToObject(o, "published", anchors_json(s));
    return o;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Writes the table as dir/name and releases it. */
static dele_status save_table(dele_table *t, const char *dir, const char *name, dele_err *err)
{
    dele_arena arena = {0};
    dele_writer out = {0};
    const char *path = dele_printf(&arena, err, "%s/%s", dir, name);
    if (!path || dele_writer_open(&out, path, err)) {
        dele_arena_release(&t->arena);
    } else if (dele_table_print(t, out.stream, DELE_TABLE_TSV, err)) {
        dele_writer_abandon(&out);
    } else {
        dele_writer_commit(&out, err);
    }
    dele_arena_release(&arena);
    return err->code;
}

static dele_status save_arrays(const dele_routing_measures *m, const char *path, dele_err *err)
{
    const dele_routed *r = &m->routed;
    const size_t L = (size_t)r->routes.n_layers, E = (size_t)r->routes.n_experts;
    const size_t counts[] = {r->n_domains, L, E}, shares[] = {L, E, E};
    dele_arena arena = {0};
    double *share = DELE_NEW(&arena, double, L *E *E, err);
    dele_npz *npz = share ? dele_npz_open(path, err) : NULL;
    if (npz) {
        for (size_t l = 0; l < L; l++)
            for (size_t i = 0; i < E * E; i++)
                share[l * E * E + i] =
                    m->layer[l].sparse ? dele_coactivation(m, (int)l, (int)(i / E), (int)(i % E))
                                       : (double)NAN;
        dele_npz_strings(npz, "domains", r->domain_name, r->n_domains, err);
        dele_npz_i64(npz, "count", (const int64_t *)m->count[DELE_TOP_K].count, 3, counts, err);
        dele_npz_i64(npz, "count_top1", (const int64_t *)m->count[DELE_TOP_1].count, 3, counts,
                     err);
        dele_npz_f64(npz, "coactivation", share, 3, shares, err);
        dele_npz_close(npz, err);
    }
    dele_arena_release(&arena);
    return err->code;
}

/* What is saved of each model. */
static dele_status save_model(const dele_routing_study *s, const dele_routing_measures *m,
                              const char *dir, dele_err *err)
{
    dele_table texts = {0}, layers = {0}, pairs = {0}, experts = {0}, active = {0},
               vocabulary = {0};
    dele_arena arena = {0};
    const char *arrays = dele_printf(&arena, err, "%s/measures.npz", dir),
               *tokens = dele_printf(&arena, err, "%s/tokens.npz", dir);
    dele_routing_texts_table(&texts, s->texts, m, NULL);
    dele_routing_layers_table(&layers, m);
    dele_routing_pairs_table(&pairs, m);
    dele_routing_experts_table(&experts, m);
    dele_routing_coactivation_table(&active, m, PAIRS_SHOWN, err);
    dele_routing_vocabulary_table(&vocabulary, m, IDS_SHOWN, s->tokenizer, err);
    save_table(&texts, dir, "texts.tsv", err);
    save_table(&layers, dir, "layers.tsv", err);
    save_table(&pairs, dir, "pairs.tsv", err);
    save_table(&experts, dir, "experts.tsv", err);
    save_table(&active, dir, "coactivation.tsv", err);
    save_table(&vocabulary, dir, "vocabulary.tsv", err);
    if (!err->code && arrays && tokens && !save_arrays(m, arrays, err))
        dele_tokens_save(tokens, &m->routed, err);
    dele_arena_release(&arena);
    return err->code;
}

dele_status dele_routing_save(const dele_routing_study *s, const char *dir, dele_err *err)
{
    dele_arena arena = {0};
    size_t n_anchors;
    const dele_anchor *anchors = dele_anchors_for(&n_anchors, s->config);
    if (!save_model(s, s->model, dir, err) && n_anchors) {
        dele_table t = {0};
        dele_routing_anchors_table(&t, anchors, n_anchors, s->model);
        save_table(&t, dir, "published.tsv", err);
    }
    for (size_t i = 0; i < s->n_against && !err->code; i++) {
        const char *own = dele_printf(&arena, err, "%s/against_%zu", dir, i + 1);
        dele_table t = {0};
        if (!own || dele_path_make_dirs(own, err) || save_model(s, s->against[i].after, own, err))
            break;
        dele_routing_comparison_table(&t, &s->against[i], false);
        save_table(&t, own, "comparison.tsv", err);
    }
    dele_arena_release(&arena);
    return err->code;
}
