/* tokens.npz: the experts of every token, for other programs, for comparison with another model,
 * and for running a model on another's routes (--route-from).
 *
 *   ids         [tokens] int32             token ids, in the order in which they were run
 *   experts     [tokens, layers, k] int32  in order of router probability; -1: the layer has none
 *   weights     [tokens, layers, k] float  what the outputs are multiplied by; 0 beside -1
 *   predicted   [tokens] int32             the most likely next id; -1: not known
 *   documents   [tokens] int32             from 0, not decreasing
 *   domains     [tokens] int32             -1: a special token, which measures leave out
 *   logp        [tokens] float             natural log-probability of the token that follows in the
 *                                          window; NaN: the last of a window
 *
 * The first three are needed, and are all that a file for --route-from has to have; whole numbers
 * may be int64.  What is read is checked: ids against the vocabulary, experts against their number,
 * k different ones in each token of a layer or -1 throughout the layer, weights finite. */
#ifndef DELE_ROUTING_TOKENS_FILE_H
#define DELE_ROUTING_TOKENS_FILE_H

#include "routing/routed.h"

enum { DELE_MOST_TOKENS = 1 << 20 }; /* of a file: as many as npz.h reads */

/* What a file is held against.  top_k 0: any. */
typedef struct {
    int n_layers, n_experts, top_k, vocab;
} dele_routed_shape;

dele_status dele_tokens_save(const char *path, const dele_routed *r, dele_err *err);

/* A file as routed tokens in the arena.  Without "documents" and "domains" all tokens are one
 * document of one domain; domain_name stays empty, for the file has none.  `next` is the following
 * id where the file has logp there, or where it has no logp. */
dele_status dele_tokens_load(dele_routed *r, const char *path, const dele_routed_shape *shape,
                             dele_arena *arena, dele_err *err);

#endif
