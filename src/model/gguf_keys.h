/* A GGUF's metadata and tensors as they are in the file, and the values of its keys. */
#ifndef DELE_GGUF_KEYS_H
#define DELE_GGUF_KEYS_H

#include "base/file.h"
#include "model/stored.h"

typedef enum {
    DELE_GGUF_U8,
    DELE_GGUF_I8,
    DELE_GGUF_U16,
    DELE_GGUF_I16,
    DELE_GGUF_U32,
    DELE_GGUF_I32,
    DELE_GGUF_F32,
    DELE_GGUF_BOOL,
    DELE_GGUF_STRING,
    DELE_GGUF_ARRAY,
    DELE_GGUF_U64,
    DELE_GGUF_I64,
    DELE_GGUF_F64
} dele_gguf_type;

typedef struct {
    const char *key;
    dele_gguf_type type, item; /* item: of an array */
    uint64_t count;            /* of an array; 1 otherwise */
    const uint8_t *value;      /* in the map, unaligned */
} dele_gguf_pair;

typedef struct {
    const char *file;
    dele_map map;
    dele_gguf_pair *pair; /* sorted by key */
    size_t n_pairs;
    dele_stored *tensor; /* sorted by name */
    size_t n;
    bool no_data; /* the header is in memory, without what is after it */
} dele_gguf;

/* For sorting and finding pairs. */
int dele_gguf_by_key(const void *a, const void *b);

size_t dele_gguf_item_bytes(dele_gguf_type type); /* 0: of strings and arrays */

const dele_gguf_pair *dele_gguf_find(const dele_gguf *g, const char *key); /* NULL: absent */

/* A number of any type; false for strings and arrays. */
bool dele_gguf_value(double *out, const dele_gguf_pair *pair);

/* The number at key, or fallback when it is absent; NAN as fallback makes it required. */
double dele_gguf_number(const dele_gguf *g, const char *key, double fallback, dele_err *err);

/* A whole number of least .. 2^30; another is an error.  fallback as above. */
int dele_gguf_int(const dele_gguf *g, const char *key, int least, double fallback, dele_err *err);

/* Does the string at key have this text? */
bool dele_gguf_is(const dele_gguf *g, const char *key, const char *text);

#endif
