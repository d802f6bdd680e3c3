/* What the files of the tokenizer share among themselves.  The way of a text:
 *
 *   text ─ added tokens, raw ─ normalizer ─ added tokens, normalised ─ pre-tokenizer ─ BPE ─ post-processor ─ ids
 *             added.c          normalize.c          added.c            pretokenize.c   bpe.c   tokenizer.c */
#ifndef LAC_TOKENIZER_INNER_H
#define LAC_TOKENIZER_INNER_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <cjson/cJSON.h>
#include <pcre2.h>
#include <stdint.h>

#include "text/tokenizer.h"

typedef struct {
    const char *text; /* NUL-terminated where it names a token */
    size_t n;
} lac_span;

/* ---- vocabulary: strings to ids, pairs of ids to merges (vocab.c) --------------------------------------------- */

typedef struct {
    int *slot; /* [mask + 1] id + 1, or 0 where empty */
    size_t mask;
} lac_vocab;

typedef struct {
    uint64_t key; /* left << 32 | right, or LAC_NO_PAIR */
    int rank, id; /* the lower the rank the sooner; id of the two together */
} lac_merge;

typedef struct {
    lac_merge *slot; /* [mask + 1] */
    size_t mask;
} lac_merges;

#define LAC_NO_PAIR UINT64_MAX
#define LAC_DIGITS_PATTERN "\\p{IsNumeric}" /* our own name, for Digits */

lac_status lac_vocab_init(lac_vocab *v, size_t n, lac_arena *arena, lac_err *err);
void lac_vocab_add(lac_vocab *v, const lac_span *token, int id);
int lac_vocab_find(const lac_vocab *v, const lac_span *token, const char *text, size_t n); /* -1: none */

lac_status lac_merges_init(lac_merges *m, size_t n, lac_arena *arena, lac_err *err);
void lac_merges_add(lac_merges *m, int left, int right, int rank, int id); /* a later one wins */
const lac_merge *lac_merges_find(const lac_merges *m, int left, int right); /* NULL: none */

/* ---- added tokens --------------------------------------------------------------------------------------------- */

typedef struct {
    lac_span content; /* as written */
    lac_span pattern; /* as looked for: normalised when `normalized` */
    int id;
    bool single_word, lstrip, rstrip, normalized, special;
} lac_added;

/* A set of patterns; those that begin with byte b stand at [first[b], first[b + 1]), the longest first. */
typedef struct {
    const lac_added **token;
    size_t n, first[257];
} lac_added_set;

/* ---- the steps ------------------------------------------------------------------------------------------------ */

typedef enum { LAC_NORM_NFC, LAC_NORM_NFD, LAC_NORM_NFKC, LAC_NORM_NFKD, LAC_NORM_PREPEND, LAC_NORM_REPLACE } lac_norm;

typedef struct {
    lac_norm kind;
    lac_span from, to; /* prepend: to */
} lac_norm_step;

typedef enum {
    LAC_SPLIT_REMOVED,
    LAC_SPLIT_ISOLATED,
    LAC_SPLIT_WITH_PREVIOUS,
    LAC_SPLIT_WITH_NEXT,
    LAC_SPLIT_CONTIGUOUS
} lac_split;

typedef struct {
    pcre2_code *regex;  /* NULL: no split */
    const char *pattern; /* what it was compiled from */
    lac_split behavior;
    bool invert;        /* the pattern describes what lies between the separators */
    bool prefix_space;  /* ByteLevel's add_prefix_space */
} lac_pre_step;

typedef enum { LAC_DEC_BYTELEVEL, LAC_DEC_REPLACE, LAC_DEC_BYTE_FALLBACK, LAC_DEC_FUSE, LAC_DEC_STRIP } lac_dec;

typedef struct {
    lac_dec kind;
    lac_span from, to; /* replace; strip: from */
    int start, stop;   /* strip */
} lac_dec_step;

enum { LAC_MAX_STEPS = 16, LAC_MAX_EXTRA = 16 };

struct lac_tokenizer {
    lac_span *token; /* [size] vocabulary form; text NULL where an id is not used */
    const lac_added **added_of; /* [size] or NULL where the id is not an added token's */
    int size;
    lac_vocab vocab;         /* the model's strings */
    lac_merges merges;
    bool byte_level; /* symbols are bytes, tokens are written in ByteLevel's alphabet */
    bool byte_fallback, fuse_unk, ignore_merges;
    int unk;                 /* -1: characters without a token vanish */
    int byte_id[256];        /* the token of a lone byte, under byte_level or byte_fallback; -1: none */

    lac_added *added;
    size_t n_added;
    lac_added_set raw, normalized;

    lac_norm_step norm[LAC_MAX_STEPS];
    lac_pre_step pre[LAC_MAX_STEPS];
    lac_dec_step dec[LAC_MAX_STEPS];
    int n_norm, n_pre, n_dec;
    bool has_decoder;
    int prefix[LAC_MAX_EXTRA], suffix[LAC_MAX_EXTRA]; /* what the post-processor adds */
    int n_prefix, n_suffix;

    int bos, eos;
    const char *path;      /* the tokenizer.json it was read from, or NULL */
    const char *json;      /* tokenizer.json made from a GGUF's parts, or NULL */
    const char *config;    /* tokenizer_config.json likewise */
    lac_tokenizer_parts parts; /* those parts; kind NULL: there are none */
};

/* The state of one lac_encode: scratch that grows and the ids so far. */
typedef struct lac_encoder {
    const lac_tokenizer *t;
    lac_err *err;
    int *id;
    size_t n, cap;
    struct lac_symbol *symbol;
    size_t cap_symbols;
    struct lac_candidate *heap;
    size_t n_heap, cap_heap;
    pcre2_match_data *match;
} lac_encoder;

lac_status lac_encoder_push(lac_encoder *e, int id);
/* Makes room for n items of the given size in a malloc-ed array. */
lac_status lac_encoder_reserve(void **array, size_t *cap, size_t n, size_t size, lac_err *err);

lac_status lac_bpe_word(lac_encoder *e, const char *text, size_t n);

lac_status lac_pretokenize(lac_encoder *e, int step, const char *text, size_t n);
/* Compiles a pattern written for the library's regex engine. */
lac_status lac_pre_regex(lac_pre_step *step, const char *pattern, const char *where, lac_err *err);

/* *out is text itself where nothing changed, else lives in the arena. */
lac_status lac_normalize(lac_span *out, const lac_tokenizer *t, const char *text, size_t n, lac_arena *arena,
                         lac_err *err);

lac_status lac_added_index(lac_added_set *set, const lac_tokenizer *t, bool normalized, lac_arena *arena, lac_err *err);
/* Calls between with each stretch that is no added token and pushes the ids of those that are. */
lac_status lac_added_split(lac_encoder *e, const lac_added_set *set, const char *text, size_t n,
                           lac_status (*between)(lac_encoder *, const char *, size_t, void *), void *context);

/* The first name by which a GGUF knows a pre-tokenizer of these features (pattern NULL: GPT-2's own); NULL: none. */
const char *lac_pre_name(bool digits, bool nfc, bool ignore_merges, const char *pattern);
/* Ids without a token stand in a GGUF as "[PAD17]", unused. */
enum { LAC_TOKEN_NORMAL = 1, LAC_TOKEN_UNKNOWN, LAC_TOKEN_CONTROL, LAC_TOKEN_USER_DEFINED, LAC_TOKEN_UNUSED, LAC_TOKEN_BYTE };

/* Fills a zeroed tokenizer from a parsed tokenizer.json; `where` names it in messages. */
lac_status lac_tokenizer_from_json(lac_tokenizer *t, const cJSON *json, const char *where, lac_arena *arena,
                                   lac_err *err);

/* ByteLevel's alphabet: the code point that stands for a byte, and back (-1: none). */
int lac_byte_to_char(int byte);
int lac_char_to_byte(int32_t c);

/* One code point at text[0, n), n > 0, of valid UTF-8; its length in *used. */
int32_t lac_utf8_next(const char *text, size_t n, size_t *used);
size_t lac_utf8_put(char *out, int32_t c); /* up to 4 bytes */
bool lac_is_space(int32_t c);              /* Unicode's White_Space */

#endif
