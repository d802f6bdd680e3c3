/* Declarations that the files of the tokenizer share.  The steps of encoding, and their files:
 *
 *   text ─ added tokens, raw ─ normalizer ─ added tokens, normalised ─ pre-tokenizer ─ BPE ─┐
 *             added.c          normalize.c          added.c            pretokenize.c   bpe.c │
 *                                                           ids ─ post-processor ────────────┘
 *                                                                    tokenizer.c */
#ifndef DELE_TOKENIZER_INTERNAL_H
#define DELE_TOKENIZER_INTERNAL_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <cjson/cJSON.h>
#include <pcre2.h>
#include <stdint.h>

#include "text/tokenizer.h"

typedef struct {
    const char *text; /* NUL-terminated where it names a token */
    size_t n;
} dele_text_span;

/* ---- vocabulary: strings to ids, pairs of ids to merges (vocab.c) ---------------------------- */

typedef struct {
    int *slot; /* [mask + 1] id + 1, or 0 where empty */
    size_t mask;
} dele_vocab;

typedef struct {
    uint64_t key; /* left << 32 | right, or DELE_NO_PAIR */
    int rank, id; /* lower ranks merge first; id of the merged token */
} dele_merge;

typedef struct {
    dele_merge *slot; /* [mask + 1] */
    size_t mask;
} dele_merges;

#define DELE_NO_PAIR UINT64_MAX
#define DELE_DIGITS_PATTERN "\\p{IsNumeric}" /* a name of deleatur's, for Digits */

dele_status dele_vocab_init(dele_vocab *v, size_t n, dele_arena *arena, dele_err *err);
bool dele_vocab_add(dele_vocab *v, const dele_text_span *token,
                    int id); /* false: the string exists already */
int dele_vocab_find(const dele_vocab *v, const dele_text_span *token, const char *text,
                    size_t n); /* -1: none */

dele_status dele_merges_init(dele_merges *m, size_t n, dele_arena *arena, dele_err *err);
/* Replaces an earlier entry of the same pair. */
void dele_merges_add(dele_merges *m, int left, int right, int rank, int id);
const dele_merge *dele_merges_find(const dele_merges *m, int left, int right); /* NULL: none */

/* ---- added tokens ---------------------------------------------------------------------------- */

typedef struct {
    dele_text_span content; /* as written */
    dele_text_span pattern; /* as looked for: normalised when `normalized` */
    int id;
    bool single_word, lstrip, rstrip, normalized, special;
    bool beside; /* only the files beside tokenizer.json have the token (tokenizer_beside.c) */
} dele_added;

/* A set of patterns; those that begin with byte b are at [first[b], first[b + 1]), sorted by
 * text. */
typedef struct {
    const dele_added **token;
    size_t n, first[257];
} dele_added_set;

/* ---- the steps ------------------------------------------------------------------------------- */

typedef enum {
    DELE_NORMALIZER_NFC,
    DELE_NORMALIZER_NFD,
    DELE_NORMALIZER_NFKC,
    DELE_NORMALIZER_NFKD,
    DELE_NORMALIZER_PREPEND,
    DELE_NORMALIZER_REPLACE
} dele_normalizer;

typedef struct {
    dele_normalizer kind;
    dele_text_span from, to; /* prepend: to */
} dele_normalizer_step;

typedef enum {
    DELE_SPLIT_BEHAVIOR_REMOVED,
    DELE_SPLIT_BEHAVIOR_ISOLATED,
    DELE_SPLIT_BEHAVIOR_WITH_PREVIOUS,
    DELE_SPLIT_BEHAVIOR_WITH_NEXT,
    DELE_SPLIT_BEHAVIOR_CONTIGUOUS
} dele_split_behavior;

typedef struct {
    pcre2_code *regex;   /* NULL: no split */
    const char *pattern; /* what it was compiled from */
    dele_split_behavior behavior;
    bool invert;       /* the pattern matches the text between the separators */
    bool prefix_space; /* ByteLevel's add_prefix_space */
} dele_pre_step;

typedef enum {
    DELE_DEC_BYTELEVEL,
    DELE_DEC_REPLACE,
    DELE_DEC_BYTE_FALLBACK,
    DELE_DEC_FUSE,
    DELE_DEC_STRIP
} dele_dec;

typedef struct {
    dele_dec kind;
    dele_text_span from, to; /* replace; strip: from */
    int start, stop;         /* strip */
} dele_dec_step;

enum { DELE_MAX_STEPS = 16, DELE_MAX_EXTRA = 16 };

struct dele_tokenizer {
    dele_text_span *token;       /* [size] vocabulary form; text NULL where an id is not used */
    const dele_added **added_of; /* [size] or NULL where the id is not an added token's */
    int size;
    dele_vocab vocab; /* the model's strings */
    dele_merges merges;
    bool byte_level; /* symbols are bytes, tokens are written in ByteLevel's alphabet */
    bool byte_fallback, fuse_unk, ignore_merges;
    int unk;          /* -1: characters without a token vanish */
    int byte_id[256]; /* the token of a lone byte, under byte_level or byte_fallback; -1: none */

    dele_added *added;
    size_t n_added;
    dele_added_set raw, normalized;

    dele_normalizer_step norm[DELE_MAX_STEPS];
    dele_pre_step pre[DELE_MAX_STEPS];
    dele_dec_step dec[DELE_MAX_STEPS];
    int n_norm, n_pre, n_dec;
    bool has_decoder;
    int prefix[DELE_MAX_EXTRA], suffix[DELE_MAX_EXTRA]; /* what the post-processor adds */
    int n_prefix, n_suffix;

    int bos, eos;
    const char *path;           /* the tokenizer.json it was read from, or NULL */
    const char *json;           /* tokenizer.json made from a GGUF's parts, or NULL */
    const char *config;         /* tokenizer_config.json likewise */
    dele_tokenizer_parts parts; /* those parts; kind NULL: there are none */
};

/* The state of one dele_encode: scratch that grows and the ids so far. */
typedef struct dele_encoder {
    const dele_tokenizer *t;
    dele_err *err;
    int *id;
    size_t n, cap;
    struct dele_symbol *symbol;
    size_t cap_symbols;
    struct dele_candidate *heap;
    size_t n_heap, cap_heap;
    pcre2_match_data *match;
    const char *border; /* where a continuation begins: nothing is prepended; or NULL */
} dele_encoder;

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

dele_status dele_encoder_push(dele_encoder *e, int id);
/* Makes room for n items of the given size in a malloc-ed array. */
dele_status dele_encoder_reserve(void **array, size_t *cap, size_t n, size_t size, dele_err *err);

dele_status dele_bpe_word(dele_encoder *e, const char *text, size_t n);

dele_status dele_pretokenize(dele_encoder *e, int step, const char *text, size_t n);
/* Compiles a pattern written for the library's regex engine. */
dele_status dele_pre_regex(dele_pre_step *step, const char *pattern, const char *where,
                           dele_err *err);

/* *out is text itself where nothing changed, else in the arena.  inside: the text continues another
 * one, so nothing is prepended. */
dele_status dele_normalize(dele_text_span *out, const dele_tokenizer *t, const char *text, size_t n,
                           bool inside, dele_arena *arena, dele_err *err);

/* The model's chat template (chat.c), in the arena, or NULL. */
dele_status dele_chat_template(const char **text, bool *some, const dele_tokenizer *t,
                               dele_arena *arena, dele_err *err);

/* Merges the files beside tokenizer.json into the document that was read from it. */
dele_status dele_tokenizer_beside(cJSON *json, const char *path, dele_err *err);

dele_status dele_added_index(dele_added_set *set, const dele_tokenizer *t, bool normalized,
                             dele_arena *arena, dele_err *err);
/* Removes the added tokens from id n on that only the files beside tokenizer.json have. */
void dele_added_limit(dele_added_set *set, int n);
/* Calls between with each part of the text that is not an added token, and pushes the ids of the
 * added tokens. */
dele_status dele_added_split(dele_encoder *e, const dele_added_set *set, const char *text, size_t n,
                             dele_status (*between)(dele_encoder *, const char *, size_t, void *),
                             void *context);

/* The first name by which a GGUF knows a pre-tokenizer of these features (pattern NULL: GPT-2's
 * own); NULL: none. */
const char *dele_pre_name(bool digits, bool nfc, bool ignore_merges, const char *pattern);
/* Ids without a token are in a GGUF as "[PAD17]", unused. */
enum {
    DELE_TOKEN_NORMAL = 1,
    DELE_TOKEN_UNKNOWN,
    DELE_TOKEN_CONTROL,
    DELE_TOKEN_USER_DEFINED,
    DELE_TOKEN_UNUSED,
    DELE_TOKEN_BYTE
};

/* Fills a zeroed tokenizer from a parsed tokenizer.json; `where` is its name in messages. */
dele_status dele_tokenizer_from_json(dele_tokenizer *t, const cJSON *json, const char *where,
                                     dele_arena *arena, dele_err *err);

/* ByteLevel's alphabet: the code point that stands for a byte, and back (-1: none). */
int dele_byte_to_char(int byte);
int dele_char_to_byte(int32_t c);

/* One code point at text[0, n), n > 0, of valid UTF-8; its length in *used. */
int32_t dele_utf8_next(const char *text, size_t n, size_t *used);
size_t dele_utf8_put(char *out, int32_t c); /* up to 4 bytes */
bool dele_is_space(int32_t c);              /* Unicode's White_Space */

#endif
