#include "routing/study/tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *dele_routing_model_name(char buffer[128], const char *path)
{
    const char *end = path + strlen(path);
    while (end > path + 1 && end[-1] == '/') end--;
    const char *begin = end;
    while (begin > path && begin[-1] != '/') begin--;
    snprintf(buffer, 128, "%.*s", (int)(end - begin), begin);
    return buffer;
}

static const char *domain_or_all(const dele_routed *r, size_t d)
{
    return d < r->n_domains ? r->domain_name[d] : "(all)";
}

void dele_routing_texts_table(dele_table *t, const dele_routing_texts *texts,
                              const dele_routing_measures *m, const dele_routing_measures *after)
{
    dele_table_head(t, after ? "text\tdocuments\ttokens\tcounted\tloss\tloss_after"
                             : "text\tdocuments\ttokens\tcounted\tloss");
    for (size_t d = 0; d < texts->n_domains; d++) {
        dele_table_text(t, texts->domain[d].name);
        dele_table_cell(t, "%zu", texts->domain[d].n_documents);
        dele_table_cell(t, "%zu", texts->domain[d].n_tokens);
        dele_table_cell(t, "%llu", (unsigned long long)m->count[DELE_TOP_K].tokens[d]);
        dele_table_real(t, "%.4f", m->loss[d]);
        if (after) dele_table_real(t, "%.4f", after->loss[d]);
        dele_table_row(t);
    }
}

static void put_layer(dele_table *t, const dele_routing_measures *m, int l)
{
    const dele_routing_layer *layer = &m->layer[l];
    const dele_contrast *mean = &m->domains.mean[l];
    dele_most_specialised most;
    int i, j;
    dele_routing_most_specialised(&most, m, l);
    dele_table_cell(t, "%d", l);
    dele_table_real(t, "%.4f", layer->entropy);
    dele_table_real(t, "%.4f", most.share);
    dele_table_cell(t, "%d", most.expert);
    dele_table_text(t, m->routed.domain_name[most.domain]);
    dele_table_real(t, "%.4f", m->domains.largest[l].control);
    dele_table_real(t, "%.4f", mean->value);
    dele_table_real(t, "%.4f", mean->control);
    dele_table_real(t, "%.3g", mean->p);
    dele_table_real(t, "%.4f", dele_coactivation_largest(&i, &j, m, l));
    if (i >= 0)
        dele_table_cell(t, "%d-%d", i, j);
    else
        dele_table_cell(t, "%s", "");
    for (int by = 0; by < DELE_N_VOCABULARIES; by++)
        dele_table_real(t, "%.4f", layer->vocabulary[by][DELE_TOP_1].weighted);
    dele_table_real(t, "%.4f", layer->vocabulary[DELE_BY_INPUT][DELE_TOP_1].chance);
    dele_table_row(t);
}

void dele_routing_layers_table(dele_table *t, const dele_routing_measures *m)
{
    dele_table_head(t, "layer\tentropy\tDS_max\texpert\tdomain\tDS_shuffled\tTV_mean\tTV_shuffled\t"
                       "p\tCA_max\tpair\tVS_input\tVS_truth\tVS_predicted\tVS_chance");
    for (int l = 0; l < m->routed.routes.n_layers; l++)
        if (m->layer[l].sparse) put_layer(t, m, l);
}

static void put_contrast(dele_table *t, const dele_contrast *x, bool control)
{
    dele_table_real(t, "%.6f", x->value);
    dele_table_real(t, "%.6f", x->interval.low);
    dele_table_real(t, "%.6f", x->interval.high);
    if (!control) return;
    dele_table_real(t, "%.6f", x->control);
    dele_table_real(t, "%.6f", x->control_high);
    dele_table_real(t, "%.3g", x->p);
}

void dele_routing_pairs_table(dele_table *t, const dele_routing_measures *m)
{
    const dele_routed *r = &m->routed;
    const size_t L = (size_t)r->routes.n_layers;
    size_t pair = 0;
    dele_table_head(t, "layer\tdomain\tother\tTV\tlow\thigh\tshuffled\tshuffled_95\tp");
    for (size_t a = 0; a < r->n_domains; a++)
        for (size_t b = a + 1; b < r->n_domains; b++, pair++)
            for (size_t l = 0; l < L; l++) {
                if (!m->layer[l].sparse) continue;
                dele_table_cell(t, "%zu", l);
                dele_table_text(t, r->domain_name[a]);
                dele_table_text(t, r->domain_name[b]);
                put_contrast(t, &m->domains.distance[pair * L + l], true);
                dele_table_row(t);
            }
}

void dele_routing_experts_table(dele_table *t, const dele_routing_measures *m)
{
    const dele_routed *r = &m->routed;
    const dele_expert_counts *k = &m->count[DELE_TOP_K], *one = &m->count[DELE_TOP_1];
    dele_table_head(t, "layer\tdomain\texpert\tcount\tDS\tcount_top1\tDS_top1");
    for (int l = 0; l < r->routes.n_layers; l++)
        for (size_t d = 0; d < r->n_domains && m->layer[l].sparse; d++)
            for (int e = 0; e < r->routes.n_experts; e++) {
                dele_table_cell(t, "%d", l);
                dele_table_text(t, r->domain_name[d]);
                dele_table_cell(t, "%d", e);
                dele_table_cell(t, "%llu", (unsigned long long)dele_expert_counts_of(k, d, l)[e]);
                dele_table_real(t, "%.6f", dele_domain_specialisation(k, d, l, e));
                dele_table_cell(t, "%llu", (unsigned long long)dele_expert_counts_of(one, d, l)[e]);
                dele_table_real(t, "%.6f", dele_domain_specialisation(one, d, l, e));
                dele_table_row(t);
            }
}

typedef struct {
    int i, j;
    double share;
} active_pair;

static int by_share(const void *a, const void *b)
{
    const active_pair *x = a, *y = b;
    if (x->share != y->share) return x->share > y->share ? -1 : 1;
    if (x->i != y->i) return x->i < y->i ? -1 : 1;
    return (x->j > y->j) - (x->j < y->j);
}

dele_status dele_routing_coactivation_table(dele_table *t, const dele_routing_measures *m, int most,
                                            dele_err *err)
{
    const int E = m->routed.routes.n_experts;
    dele_arena arena = {0};
    active_pair *pair = DELE_NEW(&arena, active_pair, (size_t)E * (size_t)E, err);
    dele_table_head(t, "layer\texpert\tother\ttogether\tCA\tuniform");
    for (int l = 0; l < m->routed.routes.n_layers && pair; l++) {
        int n = 0;
        if (!m->layer[l].sparse) continue;
        for (int i = 0; i < E; i++)
            for (int j = 0; j < E; j++)
                if (dele_coactivation(m, l, i, j) > 0)
                    pair[n++] = (active_pair){i, j, dele_coactivation(m, l, i, j)};
        qsort(pair, (size_t)n, sizeof *pair, by_share);
        for (int x = 0; x < n && x < most; x++) {
            dele_table_cell(t, "%d", l);
            dele_table_cell(t, "%d", pair[x].i);
            dele_table_cell(t, "%d", pair[x].j);
            dele_table_cell(t, "%llu",
                            (unsigned long long)m->layer[l].together[pair[x].i * E + pair[x].j]);
            dele_table_real(t, "%.6f", pair[x].share);
            dele_table_real(t, "%.6f",
                            E > 1 ? (m->routed.routes.top_k - 1) / (double)(E - 1) : (double)NAN);
            dele_table_row(t);
        }
    }
    dele_arena_release(&arena);
    return pair ? DELE_OK : err->code;
}

dele_status dele_routing_vocabulary_table(dele_table *t, const dele_routing_measures *m, int most,
                                          const dele_tokenizer *tokenizer, dele_err *err)
{
    dele_arena arena = {0};
    dele_table_head(t, "layer\tby\texpert\tid\ttoken\tn\tVS");
    for (int i = 0; i < m->routed.routes.n_layers * DELE_N_VOCABULARIES && !err->code; i++) {
        const int l = i / DELE_N_VOCABULARIES, by = i % DELE_N_VOCABULARIES;
        const dele_vocabulary *v = &m->layer[l].vocabulary[by][DELE_TOP_1];
        int shown = 0;
        for (size_t x = 0; x < v->n_ids; x++) {
            shown = x && v->ids[x].expert == v->ids[x - 1].expert ? shown + 1 : 0;
            if (shown >= most) continue;
            const char *text =
                tokenizer ? dele_decode(tokenizer, &v->ids[x].id, 1, false, &arena, err) : "";
            if (!text) break;
            dele_table_cell(t, "%d", l);
            dele_table_cell(t, "%s", dele_vocabulary_name[by]);
            dele_table_cell(t, "%d", v->ids[x].expert);
            dele_table_cell(t, "%d", v->ids[x].id);
            dele_table_text(t, text);
            dele_table_cell(t, "%llu", (unsigned long long)v->ids[x].n);
            dele_table_real(t, "%.6f", v->ids[x].share);
            dele_table_row(t);
        }
        dele_arena_reset(&arena);
    }
    dele_arena_release(&arena);
    return err->code;
}

void dele_routing_comparison_table(dele_table *t, const dele_routing_comparison *c, bool all_only)
{
    const dele_routed *r = &c->before->routed;
    dele_table_head(t,
                    "layer\tdomain\tsaturation\tlow\thigh\tsaturation_top1\tlow_top1\thigh_top1\t"
                    "TV\tTV_low\tTV_high\tTV_swapped\tTV_swapped_95\tp");
    for (int l = 0; l < r->routes.n_layers; l++)
        for (size_t d = all_only ? r->n_domains : 0;
             d <= r->n_domains && c->before->layer[l].sparse; d++) {
            dele_table_cell(t, "%d", l);
            dele_table_text(t, domain_or_all(r, d));
            for (int set = 0; set < DELE_N_SETS; set++)
                put_contrast(t, &c->layer[l].saturation[set][d], false);
            put_contrast(t, &c->layer[l].distance[d], true);
            dele_table_row(t);
        }
}

void dele_routing_anchors_table(dele_table *t, const dele_anchor *anchor, size_t n,
                                const dele_routing_measures *m)
{
    dele_table_head(t, "measure\tdomain\tlayer\texpert\tpublished\there\tdifference");
    for (size_t i = 0; i < n; i++) {
        const double own = dele_anchor_measured(&anchor[i], m);
        dele_table_cell(t, "%s", dele_anchor_kind_name[anchor[i].kind]);
        dele_table_cell(t, "%s", anchor[i].domain);
        dele_table_cell(t, "%d", anchor[i].layer);
        if (anchor[i].expert >= 0)
            dele_table_cell(t, "%d", anchor[i].expert);
        else
            dele_table_cell(t, "%s", "");
        dele_table_real(t, "%.3f", anchor[i].value);
        dele_table_real(t, "%.3f", own);
        dele_table_real(t, "%+.3f", own - anchor[i].value);
        dele_table_row(t);
    }
}
