/* Vocabulary specialisation of experts (OLMoE, section 5.4): does the router send a token id to the
 * same expert wherever it occurs?
 *
 *   VS(i, x) = N(i in E_k(t), x(t) = x) / N(x(t) = x)
 *
 * x(t) is one of three ids of token t: the input id itself; the id that follows in the window
 * (ground truth); the id that the model finds most likely to follow (predicted).  A token without
 * such an id is left out.  An id belongs to the expert with the largest VS, of equal ones to the
 * lowest; a layer's specialisation is the mean of max_i VS(i, x)
 *
 *   unweighted         over the ids x that occur min_count times and more
 *   token-weighted     over the same ids, each as often as it occurs
 *   by chance          token-weighted, of ids that were shuffled among the tokens: what the
 *                      frequencies of ids and experts give alone
 *
 * A rare id is "specialised" by itself: one that occurs once has VS = 1.  The released code takes
 * the unweighted mean over all ids, those included, and of equal experts the one that was met first
 * (`compat`: min_count is 1, then, in all means; lists keep the minimum count, as there). */
#ifndef DELE_ROUTING_VOCABULARY_H
#define DELE_ROUTING_VOCABULARY_H

#include <stdint.h>

#include "routing/routed.h"

typedef enum {
    DELE_BY_INPUT,
    DELE_BY_TRUTH,
    DELE_BY_PREDICTED,
    DELE_N_VOCABULARIES
} dele_vocabulary_by;
extern const char *const dele_vocabulary_name[DELE_N_VOCABULARIES + 1]; /* "input", ...; NULL */

typedef struct {
    int id, expert; /* the expert to which it belongs */
    uint64_t n;     /* occurrences */
    double share;   /* VS of that expert */
} dele_vocabulary_id;

typedef struct {
    dele_vocabulary_id *ids; /* [n_ids] that occur min_count times and more, by expert, then from
                              * the largest share down, then by occurrences */
    size_t n_ids;
    size_t n_counted;                    /* ids in the means */
    double unweighted, weighted, chance; /* NaN where no id is counted */
    double *by_expert;       /* [n_experts] unweighted mean over the expert's ids in the means; NaN:
                              * it has none */
    uint64_t *ids_of_expert; /* [n_experts] */
} dele_vocabulary;

/* Of layer l.  vocab: ids are below it.  seed: of the shuffle. */
dele_status dele_vocabulary_measure(dele_vocabulary *v, const dele_routed *r, int l, int k,
                                    dele_vocabulary_by by, int vocab, uint64_t min_count,
                                    bool compat, uint64_t seed, dele_arena *arena, dele_err *err);

#endif
