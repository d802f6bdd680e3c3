/* A small byte-level BPE, learnt from plain ASCII text and written as a tokenizer.json.
 *
 *   id 0            <|endoftext|>
 *   ids 1 .. 256    the bytes, in GPT-2's printable spelling (' ' is Ġ)
 *   ids 257 ..      merges, in the order learnt
 *
 * Every byte has a token, so any text encodes. */
#ifndef LAC_BPE_TRAIN_H
#define LAC_BPE_TRAIN_H

#include "base/file.h"

typedef struct lac_bpe lac_bpe;

/* Learns merges from text until there are `vocab` ids, or no pair stands in it twice.  Words are cut as GPT-2's
 * pattern cuts ASCII without contractions: an optional space, then letters, digits, or other signs. */
lac_bpe *lac_bpe_learn(const char *text, size_t n, int vocab, lac_arena *arena, lac_err *err);

/* Makes sure that `word` (" fox") is one token: what is left of it is joined by merges of the lowest rank, which
 * change nothing that was learnt. */
lac_status lac_bpe_join(lac_bpe *bpe, const char *word, lac_err *err);

int lac_bpe_size(const lac_bpe *bpe);
lac_status lac_bpe_save(const lac_bpe *bpe, const char *path, lac_err *err);

#endif
