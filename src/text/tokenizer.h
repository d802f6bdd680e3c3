/* Text to token ids and back, byte for byte what the `tokenizers` library gives.
 *
 * Byte-level BPE (GPT-2, NeoX/OLMo, SmolLM2 pre-tokenizers) and BPE with byte fallback (Llama-2 style), read from
 * tokenizer.json or from a GGUF's metadata (model/gguf.h hands over a lac_tokenizer_parts). */
#ifndef LAC_TOKENIZER_H
#define LAC_TOKENIZER_H

#include <stdbool.h>

#include "base/arena.h"

typedef struct lac_tokenizer lac_tokenizer;

typedef struct {
    int *id;
    size_t n;
} lac_ids;

/* What a GGUF says of its tokenizer.  kind "gpt2" (byte-level BPE) or "llama" (SPM, scores instead of merges). */
typedef struct {
    const char *kind, *pre;
    const char *const *tokens; /* [n_tokens] */
    const int *types;          /* [n_tokens] 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte */
    const float *scores;       /* [n_tokens] or NULL */
    const char *const *merges; /* [n_merges] "a b" */
    size_t n_tokens, n_merges;
    int bos, eos, unk, pad; /* -1: none */
    bool add_bos, add_space_prefix;
    const char *chat_template; /* or NULL */
} lac_tokenizer_parts;

/* Lives in the arena (PCRE2's share is released by lac_tokenizer_close, which accepts NULL).  What the parts point to
 * must live as long as the tokenizer that was built of them. */
lac_tokenizer *lac_tokenizer_load(const char *tokenizer_json, lac_arena *arena, lac_err *err);
lac_tokenizer *lac_tokenizer_build(const lac_tokenizer_parts *parts, lac_arena *arena, lac_err *err);
void lac_tokenizer_close(lac_tokenizer *t);

/* The other way: the parts it was built of, or those that say in a GGUF what its tokenizer.json says.  n_tokens: at
 * least so many (a model's rows); ids that have no token are filled up with unused ones.  What comes out was built
 * again and compared; LAC_ERR_UNSUPPORTED names what a GGUF cannot express.  *note: what may differ all the same, where
 * a text holds added tokens, as a sentence; NULL: nothing. */
lac_status lac_tokenizer_parts_of(lac_tokenizer_parts *parts, const char **note, const lac_tokenizer *t, int n_tokens,
                                  lac_arena *arena, lac_err *err);

/* add_special: what the post-processor adds (a BOS for some).  text may hold NUL bytes; must be valid UTF-8. */
lac_status lac_encode(lac_ids *out, const lac_tokenizer *t, const char *text, size_t n, bool add_special,
                      lac_arena *arena, lac_err *err);

/* As tokenizers' decode; skip_special drops special tokens.  Invalid UTF-8 becomes U+FFFD as there. */
char *lac_decode(const lac_tokenizer *t, const int *ids, size_t n, bool skip_special, lac_arena *arena, lac_err *err);

int lac_tokenizer_size(const lac_tokenizer *t); /* ids, added ones counted in */
int lac_token_id(const lac_tokenizer *t, const char *token); /* exact vocabulary entry or added token; -1: none */
const char *lac_token_text(const lac_tokenizer *t, int id);  /* vocabulary form ("Ġthe") */
int lac_tokenizer_eos(const lac_tokenizer *t);               /* -1: unknown */
int lac_tokenizer_bos(const lac_tokenizer *t);
void lac_tokenizer_set_ids(lac_tokenizer *t, int bos, int eos); /* config.json knows them where tokenizer.json does not */

/* Writes tokenizer.json (+ tokenizer_config.json) into a directory: the files it was loaded from, or made from a
 * GGUF's parts so that transformers loads them. */
lac_status lac_tokenizer_save(const lac_tokenizer *t, const char *dir, lac_err *err);

/* ---- chat layouts -------------------------------------------------------------------------------------------- */

typedef enum { LAC_CHAT_NONE, LAC_CHAT_OLMO, LAC_CHAT_SMOLLM2 } lac_chat;

/* By name: "none", "olmo", "smollm2", or "auto" (from the vocabulary: <|im_start|> -> smollm2, else olmo). */
lac_status lac_chat_parse(lac_chat *chat, const char *name, const lac_tokenizer *t, lac_err *err);

/* The layout's own text before the user's words; "" for none. */
const char *lac_chat_head(lac_chat chat);

/* The text of one user turn up to where the assistant begins.  Encode with add_special = false. */
char *lac_chat_prompt(lac_chat chat, const char *user, lac_arena *arena, lac_err *err);

#endif
