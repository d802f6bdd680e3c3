/* A model that continues texts which have much in common: after each text its next token, and the
 * probability of its most likely next token.
 *
 *   KV cache   [ ids of the last text                    ]     one sequence
 *   known        .  .  .  7  .  .  .  31  4  11  .  9  2       next token after an id, where known
 *   a text     [ the same ids           | other ids ]
 *                                         ^ computed from here on
 *
 * What is kept is compared by its ids, never by its length: text that is encoded again may have
 * other ids near its end.  A context that is known costs no pass, and `dele_completer_prepare`
 * makes many known in one pass: all beginnings of a sequence, as in speculative decoding, and
 * sequences that leave it, each as a segment of its own that continues the KV cache.
 *
 * A sampled token is a function of the seed and of the ids before it, so that neither the cache nor
 * the order of the questions changes it. */
#ifndef DELE_COMPLETER_H
#define DELE_COMPLETER_H

#include <stdint.h>

#include "model/forward.h"
#include "model/generate.h"

typedef struct {
    double temperature; /* 0: greedy, the first of equals */
    double top_p;       /* sampled among the most likely tokens whose sum reaches it; 1: all */
    uint64_t seed;
    bool uncached; /* every context is computed from its first token on */
} dele_completer_opts;

typedef struct {
    int id;   /* greedy or sampled; a stop included */
    double p; /* of the most likely token: softmax of the logits, without temperature or top_p */
} dele_next_token;

typedef struct {
    size_t n;
    const int *id; /* [n] */
    dele_next_token next;
} dele_known_context;

typedef struct {
    const dele_model *model;
    dele_ends ends;
    dele_completer_opts opts;
    dele_run run;
    dele_kv kv;
    dele_arena kv_arena, side_arena, scratch;
    int *id;               /* [capacity] the sequence in the KV cache, n of them valid */
    dele_next_token *next; /* [capacity] after each of them; id -1: not known */
    size_t n, capacity;
    dele_known_context *side; /* [n_side] those of segments of their own */
    size_t n_side;
    size_t passes, rows; /* forward passes and their rows so far */
} dele_completer;

/* The model (with a tokenizer) and the layout must outlive it; a layout's end of a turn is a stop.
 * Release accepts a zeroed one. */
dele_status dele_completer_init(dele_completer *c, const dele_model *model,
                                const dele_layout *layout, const dele_completer_opts *opts,
                                dele_err *err);
void dele_completer_release(dele_completer *c);

/* Forgets all that is known; memory is kept.  What is computed from then on has the same bytes as
 * in a new completer: a cache that earlier texts have left changes the heights of passes. */
void dele_completer_forget(dele_completer *c);

/* The longest sequence, in tokens. */
size_t dele_completer_longest(const dele_completer *c);

/* Whether the next token after id [n] is known without a pass; then it is in *next. */
bool dele_completer_known(const dele_completer *c, const int *id, size_t n, dele_next_token *next);

/* The next token after id [n], n >= 1. */
dele_status dele_completer_next(dele_next_token *next, dele_completer *c, const int *id, size_t n,
                                dele_err *err);

/* Makes known, in one pass at most, what follows the first `from`, from + 1, ... n ids of a
 * sequence, and what follows each of `other`.  Contexts that cannot be packed (uncached; a rotation
 * that grows with the text) are left to dele_completer_next. */
dele_status dele_completer_prepare(dele_completer *c, const int *id, size_t n, size_t from,
                                   const dele_ids *other, size_t n_other, dele_err *err);

/* logits [n_last, vocab] of the tokens after the first n - n_last + 1, ... n ids, 1 <= n_last <= n,
 * in one pass over the ids that the cache does not share. */
dele_status dele_completer_logits(float *logits, dele_completer *c, const int *id, size_t n,
                                  size_t n_last, dele_err *err);

bool dele_completer_stops(const dele_completer *c, int id);

/* A completion: new tokens after `first` given ones, and their text.
 *
 *   id     [ given                  | new ]        [first + n], room for `room` new ones
 *   p                                 [n]          probability of the most likely token at each
 *   end                               [n]          length of the new text up to and with each token
 *
 * Special tokens have no text, and neither has a character before its last byte. */
typedef struct {
    int *id;
    double *p;
    size_t *end;
    size_t first, n, room;
    char *text;   /* text[end[n - 1]] is the terminator */
    bool stopped; /* its last token is a stop */
} dele_completion;

/* An empty completion after id [n], in the arena. */
dele_status dele_completion_begin(dele_completion *w, const int *id, size_t n, size_t room,
                                  dele_arena *arena, dele_err *err);
/* One token more.  There must be room, and it must not have stopped. */
dele_status dele_completion_more(dele_completion *w, dele_completer *c, dele_arena *arena,
                                 dele_err *err);

#endif
