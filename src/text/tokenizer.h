/* Text to token ids and back, byte for byte what the `tokenizers` library gives.
 *
 * BPE, byte-level or with byte fallback, and Unigram, read from tokenizer.json
 * (docs/tokenizers.md), from GPT-2's vocab.json and merges.txt, or from a GGUF's metadata
 * (model/gguf.h hands over a dele_tokenizer_parts). */
#ifndef DELE_TOKENIZER_H
#define DELE_TOKENIZER_H

#include "base/arena.h"
#include "text/tokenizer_types.h"

/* path: a tokenizer.json, or a vocab.json (tokenizer_vocab.h).  The tokenizer is in the arena;
 * dele_tokenizer_close, which accepts NULL, releases PCRE2's memory. The memory that the parts
 * point to must live as long as the tokenizer.
 */
dele_tokenizer *dele_tokenizer_load(const char *path, dele_arena *arena, dele_err *err);
dele_tokenizer *dele_tokenizer_build(const dele_tokenizer_parts *parts, dele_arena *arena,
                                     dele_err *err);
void dele_tokenizer_close(dele_tokenizer *t);

/* Whether llama.cpp puts a BOS before each text if a GGUF with this pre-tokenizer ("llama-bpe";
 * NULL: none is named) has no key add_bos_token.  (A "llama" vocabulary always has a BOS then.) */
bool dele_pre_adds_bos(const char *pre);

/* The reverse: the parts it was built of, or the parts that express its tokenizer.json in a GGUF.
 * n_tokens: the least number of tokens (a model's rows); ids without a token become unused tokens.
 * The parts are verified by building a tokenizer from them; DELE_ERR_UNSUPPORTED names what a GGUF
 * cannot express.  *note: a sentence about texts that what reads the GGUF may encode differently
 * (added tokens with flags, Metaspace's blank); NULL: nothing. */
dele_status dele_tokenizer_parts_of(dele_tokenizer_parts *parts, const char **note,
                                    const dele_tokenizer *t, int n_tokens, dele_arena *arena,
                                    dele_err *err);

/* add_special: add the post-processor's tokens (for some tokenizers a BOS), unless the text begins
 * with the text of the BOS already, as in lm_eval (models/huggingface.py, tok_encode).  text may
 * hold NUL bytes and must be valid UTF-8. */
dele_status dele_encode(dele_ids *out, const dele_tokenizer *t, const char *text, size_t n,
                        bool add_special, dele_arena *arena, dele_err *err);

/* Which part of a text is encoded: the whole text, with the post-processor's tokens; its beginning,
 * without the tokens that are added at the end; either without special tokens; or a continuation,
 * to which nothing is prepended. */
typedef enum {
    DELE_ENCODE_WHOLE,
    DELE_ENCODE_BEGIN,
    DELE_ENCODE_BARE,
    DELE_ENCODE_MIDDLE
} dele_encode_part;

dele_status dele_encode_as(dele_ids *out, const dele_tokenizer *t, const char *text, size_t n,
                           dele_encode_part part, dele_arena *arena, dele_err *err);

/* As decode of the `tokenizers` library; skip_special drops special tokens.  Invalid UTF-8 and
 * U+0000, which would end the text, become U+FFFD. */
char *dele_decode(const dele_tokenizer *t, const int *ids, size_t n, bool skip_special,
                  dele_arena *arena, dele_err *err);
/* The same with its length, for a text that may hold NUL bytes. */
char *dele_decode_bytes(size_t *length, const dele_tokenizer *t, const int *ids, size_t n,
                        bool skip_special, dele_arena *arena, dele_err *err);

/* Whether the id is special: a special added token, a token that the post-processor adds, the ids
 * that begin and end a text. */
bool dele_token_is_special(const dele_tokenizer *t, int id);
/* Removes the added tokens from id n on that only the files beside tokenizer.json have (a "<pad>"
 * without a row in the embedding): their text is then encoded as any other text.  transformers
 * gives them ids outside the embedding. */
void dele_tokenizer_limit(dele_tokenizer *t, int n);
int dele_tokenizer_size(const dele_tokenizer *t); /* number of ids, added tokens included */
int dele_token_id(const dele_tokenizer *t,
                  const char *token); /* exact vocabulary entry or added token; -1: none */
/* Whether both have the same token at each id, so that ids of one can be read by the other. */
bool dele_tokenizer_same_ids(const dele_tokenizer *a, const dele_tokenizer *b);
int dele_tokenizer_eos(const dele_tokenizer *t); /* -1: unknown */
int dele_tokenizer_bos(const dele_tokenizer *t);
void dele_tokenizer_set_ids(dele_tokenizer *t, int bos,
                            int eos); /* from config.json, where tokenizer.json lacks them */

/* Writes tokenizer.json (and tokenizer_config.json) into a directory: the files it was loaded from,
 * or files made from a GGUF's parts that transformers loads. */
dele_status dele_tokenizer_save(const dele_tokenizer *t, const char *dir, dele_err *err);

/* Copies those files of a model's directory that belong to a tokenizer, byte for byte. */
dele_status dele_tokenizer_copy_files(const char *from, const char *dir, dele_err *err);

#endif
