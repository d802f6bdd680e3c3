#include "unlearn/retain_weights.h"

#include <string.h>

#include "unlearn/router_survey.h"
#include "unlearn/router_terms.h"

/* One set: which of the listed experts each position is routed to. */
typedef struct {
    const dele_dataset *set;
    const dele_expert_list *experts;
    int n_experts, top_k;
    size_t *first;   /* [n sequences] its first position among all of the set */
    uint8_t *routed; /* [positions, experts->n] */
} traffic_of_set;

static dele_status on_sequence(void *data, size_t sequence, int layer, const float *z, size_t n,
                               dele_err *err)
{
    (void)err;
    const traffic_of_set *t = data;
    int index[DELE_MAX_EXPERTS];
    uint8_t *routed = t->routed + t->first[sequence] * t->experts->n;
    for (size_t r = 0; r < n; r++, z += t->n_experts, routed += t->experts->n) {
        dele_largest(index, t->top_k, z, t->n_experts);
        for (size_t i = 0; i < t->experts->n; i++)
            for (int j = 0; j < t->top_k && t->experts->expert[i].layer == layer; j++)
                if (index[j] == t->experts->expert[i].expert) routed[i] = 1;
    }
    return DELE_OK;
}

static dele_status survey_set(traffic_of_set *t, const dele_dataset *set, const dele_model *model,
                              const dele_expert_list *experts, size_t batch_tokens,
                              dele_arena *arena, dele_err *err)
{
    const dele_config *c = &model->config;
    size_t positions = 0;
    *t = (traffic_of_set){set, experts, c->n_experts, c->top_k, NULL, NULL};
    bool *layers = DELE_NEW(arena, bool, (size_t)c->n_layers, err);
    t->first = DELE_NEW(arena, size_t, set->n, err);
    if (!layers || !t->first) return DELE_ERR_MEMORY;
    for (size_t k = 0; k < set->n; positions += set->row[k++].n) t->first[k] = positions;
    for (size_t i = 0; i < experts->n; i++) layers[experts->expert[i].layer] = true;
    t->routed = dele_alloc(arena, positions, experts->n, err);
    if (!t->routed) return DELE_ERR_MEMORY;
    const dele_router_survey survey = {
        .layers = layers, .batch_tokens = batch_tokens, .seen = on_sequence, .data = t};
    return dele_router_survey_run(&survey, model, set, err);
}

/* A label at id k is predicted from position k − 1. */
static double share_of_labels(const traffic_of_set *t, size_t expert)
{
    double routed = 0, labels = 0;
    for (size_t s = 0; s < t->set->n; s++)
        for (size_t k = t->set->row[s].first_label; k < t->set->row[s].n; k++, labels++)
            routed += t->routed[(t->first[s] + k - 1) * t->experts->n + expert];
    return labels > 0 ? routed / labels : 0;
}

static double weight_of(const dele_expert_traffic *t, bool routed)
{
    if (!(t->retain > 0 && t->retain < 1)) return 1;
    return routed ? t->forget / t->retain : (1 - t->forget) / (1 - t->retain);
}

/* weight[s][k]: of the label at id k of sequence s; that of id 0, which is none, is 1. */
static dele_status weigh(dele_dataset *retain, const traffic_of_set *t,
                         const dele_expert_traffic *traffic, dele_arena *arena, dele_err *err)
{
    const size_t m = t->experts->n;
    float **weight = DELE_NEW(arena, float *, retain->n, err);
    for (size_t s = 0; weight && s < retain->n; s++) {
        weight[s] = DELE_NEW(arena, float, retain->row[s].n, err);
        if (!weight[s]) return DELE_ERR_MEMORY;
        weight[s][0] = 1;
        for (size_t k = 1; k < retain->row[s].n; k++) {
            double sum = 0;
            for (size_t i = 0; i < m; i++)
                sum += weight_of(&traffic[i], t->routed[(t->first[s] + k - 1) * m + i]);
            weight[s][k] = (float)(sum / (double)m);
        }
    }
    retain->weight = (const float *const *)weight;
    return weight ? DELE_OK : DELE_ERR_MEMORY;
}

dele_status dele_retain_weights(dele_dataset *retain, dele_expert_traffic *traffic,
                                const dele_dataset *forget, const dele_model *model,
                                const dele_expert_list *experts, size_t batch_tokens,
                                dele_arena *arena, dele_err *err)
{
    dele_arena scratch = {0};
    traffic_of_set of[2];
    dele_status status = survey_set(&of[0], forget, model, experts, batch_tokens, &scratch, err);
    if (!status) status = survey_set(&of[1], retain, model, experts, batch_tokens, &scratch, err);
    for (size_t i = 0; i < experts->n && !status; i++)
        traffic[i] = (dele_expert_traffic){share_of_labels(&of[0], i), share_of_labels(&of[1], i)};
    if (!status) status = weigh(retain, &of[1], traffic, arena, err);
    dele_arena_release(&scratch);
    return status;
}
