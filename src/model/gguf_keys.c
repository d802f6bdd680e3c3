#include "model/gguf_keys.h"

#include <stdlib.h>
#include <string.h>

size_t dele_gguf_item_bytes(dele_gguf_type type)
{
    static const uint8_t size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return size[type];
}

int dele_gguf_by_key(const void *a, const void *b)
{
    return strcmp(((const dele_gguf_pair *)a)->key, ((const dele_gguf_pair *)b)->key);
}

const dele_gguf_pair *dele_gguf_find(const dele_gguf *g, const char *key)
{
    const dele_gguf_pair wanted = {.key = key};
    return g->n_pairs ? bsearch(&wanted, g->pair, g->n_pairs, sizeof wanted, dele_gguf_by_key)
                      : NULL;
}

bool dele_gguf_value(double *out, const dele_gguf_pair *pair)
{
    union {
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
        float f32;
        double f64;
    } x = {0};
    if (pair->type == DELE_GGUF_STRING || pair->type == DELE_GGUF_ARRAY) return false;
    memcpy(&x, pair->value, dele_gguf_item_bytes(pair->type));
    switch (pair->type) {
    case DELE_GGUF_U8:
    case DELE_GGUF_BOOL:
        *out = pair->value[0];
        break;
    case DELE_GGUF_I8:
        *out = (int8_t)pair->value[0];
        break;
    case DELE_GGUF_U16:
        *out = x.u16;
        break;
    case DELE_GGUF_I16:
        *out = x.i16;
        break;
    case DELE_GGUF_U32:
        *out = x.u32;
        break;
    case DELE_GGUF_I32:
        *out = x.i32;
        break;
    case DELE_GGUF_U64:
        *out = (double)x.u64;
        break;
    case DELE_GGUF_I64:
        *out = (double)x.i64;
        break;
    case DELE_GGUF_F32:
        *out = (double)x.f32;
        break;
    default:
        *out = x.f64;
        break;
    }
    return true;
}

double dele_gguf_number(const dele_gguf *g, const char *key, double fallback, dele_err *err)
{
    const dele_gguf_pair *pair = dele_gguf_find(g, key);
    double x = fallback;
    if (pair ? !dele_gguf_value(&x, pair) || x != x : x != x)
        dele_fail(err, DELE_ERR_FORMAT, "%s: the metadata lacks a number %s", g->file, key);
    return x;
}

int dele_gguf_int(const dele_gguf *g, const char *key, int least, double fallback, dele_err *err)
{
    double x = dele_gguf_number(g, key, fallback, err);
    if (!(x >= least && x <= 1 << 30) || x != (double)(int)x) {
        dele_fail(err, DELE_ERR_FORMAT, "%s: %s is not an integer of %d or more", g->file, key,
                  least);
        return least;
    }
    return (int)x;
}

bool dele_gguf_is(const dele_gguf *g, const char *key, const char *text)
{
    const dele_gguf_pair *pair = dele_gguf_find(g, key);
    uint64_t n = 0;
    if (!pair || pair->type != DELE_GGUF_STRING) return false;
    memcpy(&n, pair->value, sizeof n);
    return n == strlen(text) && memcmp(pair->value + sizeof n, text, n) == 0;
}
