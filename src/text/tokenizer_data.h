/* What a tokenizer is made of: its vocabulary, its added tokens and the steps of encoding and
 * decoding. */
#ifndef DELE_TOKENIZER_DATA_H
#define DELE_TOKENIZER_DATA_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "text/tokenizer_types.h"
#include "text/vocab.h"

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

#endif
