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
    DELE_NORMALIZER_REPLACE,
    DELE_NORMALIZER_STRIP,
    DELE_NORMALIZER_STRIP_ACCENTS,
    DELE_NORMALIZER_LOWERCASE,
    DELE_NORMALIZER_NMT,
    DELE_NORMALIZER_PRECOMPILED,
    DELE_NORMALIZER_BYTE_LEVEL
} dele_normalizer;

typedef struct {
    dele_normalizer kind;
    dele_text_span from, to;        /* replace; prepend: to */
    pcre2_code *regex;              /* replace: a pattern in place of from, or NULL */
    bool left, right;               /* strip */
    struct dele_charsmap *charsmap; /* precompiled (charsmap.h) */
} dele_normalizer_step;

typedef enum {
    DELE_SPLIT_BEHAVIOR_REMOVED,
    DELE_SPLIT_BEHAVIOR_ISOLATED,
    DELE_SPLIT_BEHAVIOR_WITH_PREVIOUS,
    DELE_SPLIT_BEHAVIOR_WITH_NEXT,
    DELE_SPLIT_BEHAVIOR_CONTIGUOUS
} dele_split_behavior;

typedef enum {
    DELE_PRE_REGEX,      /* at the matches of a pattern */
    DELE_PRE_CLASS,      /* at each character of a class */
    DELE_PRE_BYTE_LEVEL, /* at the matches of GPT-2's pattern or nowhere; then bytes for text */
    DELE_PRE_METASPACE   /* before each blank, which is written as another character */
} dele_pre;

typedef enum { DELE_PREPEND_ALWAYS, DELE_PREPEND_FIRST, DELE_PREPEND_NEVER } dele_prepend;

typedef struct {
    dele_pre kind;
    pcre2_code *regex;           /* NULL: no split */
    const char *pattern;         /* what it was compiled from */
    bool (*in_class)(int32_t c); /* class; NULL: c is `delimiter` */
    int32_t delimiter;
    dele_split_behavior behavior;
    bool invert;                /* the pattern matches the text between the separators */
    bool prefix_space;          /* ByteLevel's add_prefix_space */
    bool written;               /* ByteLevel: the text goes on in its alphabet, not as bytes */
    dele_text_span replacement; /* Metaspace: what a blank becomes */
    dele_prepend prepend;       /* Metaspace */
    bool split;                 /* Metaspace: before each replacement */
} dele_pre_step;

typedef enum {
    DELE_DEC_BYTELEVEL,
    DELE_DEC_REPLACE,
    DELE_DEC_BYTE_FALLBACK,
    DELE_DEC_FUSE,
    DELE_DEC_STRIP,
    DELE_DEC_METASPACE,
    DELE_DEC_WORDPIECE,
    DELE_DEC_SUFFIX /* "BPEDecoder" */
} dele_dec;

typedef struct {
    dele_dec kind;
    dele_text_span from, to; /* replace; strip, metaspace, word piece, suffix: from */
    pcre2_code *regex;       /* replace: a pattern in place of from, or NULL */
    int start, stop;         /* strip */
    bool first;              /* metaspace: the first token loses its blank; word piece: cleanup */
} dele_dec_step;

/* ---- the model ------------------------------------------------------------------------------- */

typedef enum { DELE_MODEL_BPE, DELE_MODEL_UNIGRAM } dele_model_kind;

/* A trie of the vocabulary's bytes: the edges (node, byte) -> node, and the token that ends at a
 * node (-1: none); and each token's score. */
typedef struct {
    dele_merges edges;
    int *token;           /* [n_nodes] */
    const double *score;  /* [size] */
    double unknown_score; /* of a character without a token */
    int n_nodes;
} dele_unigram;

enum { DELE_MAX_STEPS = 16, DELE_MAX_EXTRA = 16 };

struct dele_tokenizer {
    dele_text_span *token;       /* [size] vocabulary form; text NULL where an id is not used */
    const dele_added **added_of; /* [size] or NULL where the id is not an added token's */
    int size;
    size_t longest;   /* bytes of the longest token */
    dele_vocab vocab; /* the model's strings */
    dele_model_kind model;
    dele_merges merges;   /* BPE */
    dele_unigram unigram; /* Unigram */
    bool byte_level;      /* BPE: symbols are bytes, tokens are written in ByteLevel's alphabet */
    bool byte_fallback, fuse_unk, ignore_merges;
    dele_text_span continuing, word_end; /* BPE: continuing_subword_prefix, end_of_word_suffix */
    int unk;                             /* -1: characters without a token vanish */
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
