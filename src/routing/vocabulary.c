#include "routing/vocabulary.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"

const char *const dele_vocabulary_name[DELE_N_VOCABULARIES + 1] = {"input", "ground truth",
                                                                   "predicted", NULL};

/* Ids of tokens as places among the ids that occur, and how often each goes to each expert. */
typedef struct {
    size_t n, n_ids; /* tokens with an id; ids */
    size_t *token;   /* [n] */
    size_t *place;   /* [n] of the token's id */
    int *id;         /* [n_ids] ascending */
    uint64_t *count; /* [n_ids] */
    uint64_t *pair;  /* [n_ids, n_experts] */
    size_t *first;   /* [n_ids, n_experts] 1 + the first token of the pair, in order of tokens and
                      * then of probability; 0: none */
} table;

static const int *ids_of(const dele_routed *r, dele_vocabulary_by by)
{
    return by == DELE_BY_INPUT ? r->id : by == DELE_BY_TRUTH ? r->next : r->predicted;
}

/* The tokens that have an id, and the ids that occur. */
static dele_status list_tokens(table *x, const int *ids, const dele_routed *r, int vocab,
                               dele_arena *arena, dele_err *err)
{
    size_t *place = DELE_NEW(arena, size_t, (size_t)vocab, err); /* 1 + the place; 0: none */
    *x = (table){.token = DELE_NEW(arena, size_t, r->n, err),
                 .place = DELE_NEW(arena, size_t, r->n, err)};
    if (!place || !x->token || !x->place) return err->code;
    for (size_t t = 0; t < r->n; t++)
        if (r->domain[t] >= 0 && ids[t] >= 0 && ids[t] < vocab) {
            x->token[x->n++] = t;
            place[ids[t]] = 1;
        }
    for (int v = 0; v < vocab; v++)
        if (place[v]) place[v] = ++x->n_ids;
    x->id = DELE_NEW(arena, int, x->n_ids, err);
    x->count = DELE_NEW(arena, uint64_t, x->n_ids, err);
    if (!x->id || !x->count) return err->code;
    for (int v = 0; v < vocab; v++)
        if (place[v]) x->id[place[v] - 1] = v;
    for (size_t i = 0; i < x->n; i++) {
        x->place[i] = place[ids[x->token[i]]] - 1;
        x->count[x->place[i]]++;
    }
    return DELE_OK;
}

static void count_pairs(table *x, const dele_routed *r, int l, int k)
{
    const size_t E = (size_t)r->routes.n_experts;
    for (size_t i = 0; i < x->n_ids * E; i++) x->pair[i] = x->first[i] = 0;
    for (size_t i = 0; i < x->n; i++) {
        const int *expert = dele_routed_experts(r, x->token[i], l);
        for (int j = 0; j < k; j++) {
            const size_t at = x->place[i] * E + (size_t)expert[j];
            x->pair[at]++;
            if (!x->first[at]) x->first[at] = i * (size_t)k + (size_t)j + 1;
        }
    }
}

/* The expert of the largest count; of equal ones the lowest, or with compat the first that was
 * met. */
static int expert_of(const table *x, size_t id, int E, bool compat)
{
    const uint64_t *pair = x->pair + id * (size_t)E;
    const size_t *first = x->first + id * (size_t)E;
    int best = 0;
    for (int e = 1; e < E; e++)
        if (pair[e] > pair[best] ||
            (compat && pair[e] == pair[best] && pair[e] && first[e] < first[best]))
            best = e;
    return best;
}

static double weighted_share(const table *x, int E, uint64_t least)
{
    uint64_t most = 0, all = 0;
    for (size_t i = 0; i < x->n_ids; i++) {
        if (x->count[i] < least) continue;
        most += x->pair[i * (size_t)E + (size_t)expert_of(x, i, E, false)];
        all += x->count[i];
    }
    return all ? (double)most / (double)all : NAN;
}

static int by_expert(const void *a, const void *b)
{
    const dele_vocabulary_id *x = a, *y = b;
    if (x->expert != y->expert) return x->expert < y->expert ? -1 : 1;
    if (x->share != y->share) return x->share > y->share ? -1 : 1;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Means over ids, in all and by expert, and the list. */
static void summarise(dele_vocabulary *v, const table *x, int E, uint64_t min_count, bool compat)
{
    const uint64_t least = compat ? 1 : min_count;
    double sum = 0;
    for (size_t i = 0; i < x->n_ids; i++) {
        const int e = expert_of(x, i, E, compat);
        const double share = (double)x->pair[i * (size_t)E + (size_t)e] / (double)x->count[i];
        if (x->count[i] >= min_count)
            v->ids[v->n_ids++] =
                (dele_vocabulary_id){.id = x->id[i], .expert = e, .n = x->count[i], .share = share};
        if (x->count[i] < least) continue;
        v->n_counted++;
        sum += share;
        v->by_expert[e] += share;
        v->ids_of_expert[e]++;
    }
    v->unweighted = v->n_counted ? sum / (double)v->n_counted : NAN;
    v->weighted = weighted_share(x, E, least);
    for (int e = 0; e < E; e++)
        v->by_expert[e] = v->ids_of_expert[e] ? v->by_expert[e] / (double)v->ids_of_expert[e] : NAN;
    qsort(v->ids, v->n_ids, sizeof *v->ids, by_expert);
}

dele_status dele_vocabulary_measure(dele_vocabulary *v, const dele_routed *r, int l, int k,
                                    dele_vocabulary_by by, int vocab, uint64_t min_count,
                                    bool compat, uint64_t seed, dele_arena *arena, dele_err *err)
{
    const int E = r->routes.n_experts;
    dele_arena scratch = {0};
    dele_rng rng;
    table x;
    dele_status status = list_tokens(&x, ids_of(r, by), r, vocab, &scratch, err);
    if (!status) {
        *v = (dele_vocabulary){.ids = DELE_NEW(arena, dele_vocabulary_id, x.n_ids, err),
                               .by_expert = DELE_NEW(arena, double, (size_t)E, err),
                               .ids_of_expert = DELE_NEW(arena, uint64_t, (size_t)E, err)};
        x.pair = DELE_NEW(&scratch, uint64_t, x.n_ids * (size_t)E, err);
        x.first = DELE_NEW(&scratch, size_t, x.n_ids * (size_t)E, err);
        if (!v->ids || !v->by_expert || !v->ids_of_expert || !x.pair || !x.first)
            status = DELE_ERR_MEMORY;
    }
    if (!status) {
        count_pairs(&x, r, l, k);
        summarise(v, &x, E, min_count, compat);
        dele_rng_seed(&rng, seed);
        dele_rng_shuffle(&rng, x.place, x.n);
        count_pairs(&x, r, l, k);
        v->chance = weighted_share(&x, E, compat ? 1 : min_count);
    }
    dele_arena_release(&scratch);
    return status;
}
