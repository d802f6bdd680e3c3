/* GPT-2's first form of a tokenizer, vocab.json and merges.txt, where no tokenizer.json is there.
 */
#ifndef DELE_TOKENIZER_VOCAB_H
#define DELE_TOKENIZER_VOCAB_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/arena.h"

/* The file that a directory's tokenizer is read from: tokenizer.json, or vocab.json where
 * merges.txt is beside it and their class is known; NULL: there is none.  Without memory err is
 * set. */
const char *dele_tokenizer_find(const char *dir, dele_arena *arena, dele_err *err);

/* BOS, EOS and the unknown token where no file beside names them. */
#define DELE_VOCAB_END_OF_TEXT "<|endoftext|>"

bool dele_tokenizer_is_vocab(const char *path);
/* The two files as a tokenizer.json, which the caller deletes; path is that of vocab.json. */
cJSON *dele_tokenizer_from_vocab(const char *path, dele_arena *arena, dele_err *err);

#endif
