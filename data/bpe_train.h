/* A small byte-level BPE, learnt from plain ASCII text and written as a tokenizer.json.
 *
 *   id 0            <|endoftext|>
 *   ids 1 .. 256    the bytes, in GPT-2's printable spelling (' ' is Ġ)
 *   ids 257 ..      merges, in the order learnt
 *
 * Every byte has a token, so any text encodes. */
#ifndef DELE_BPE_TRAIN_H
#define DELE_BPE_TRAIN_H

#include "base/file.h"

typedef struct dele_bpe dele_bpe;

/* Learns merges from text until there are `vocab` ids, or no pair occurs in it twice.  Words are
 * cut as GPT-2's pattern cuts ASCII without contractions: an optional space, then letters, digits,
 * or other signs. */
dele_bpe *dele_bpe_learn(const char *text, size_t n, int vocab, dele_arena *arena, dele_err *err);

/* Makes sure that `word` (" fox") is one token: what is left of it is joined by merges of the
 * lowest rank, which change nothing that was learnt. */
dele_status dele_bpe_join(dele_bpe *bpe, const char *word, dele_err *err);

int dele_bpe_size(const dele_bpe *bpe);
dele_status dele_bpe_save(const dele_bpe *bpe, const char *path, dele_err *err);

#endif
