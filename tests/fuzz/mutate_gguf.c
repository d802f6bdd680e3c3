#include "fuzz.h"

enum { MAX_FIELDS = 1 << 14 };

typedef struct {
    size_t at, size;
} field; /* a number of 1, 4 or 8 bytes, or a string's bytes */

typedef struct {
    const uint8_t *data;
    size_t size, at, n;
    field *out;
} walk;

static void note(walk *w, size_t at, size_t size)
{
    if (w->n < MAX_FIELDS && size) w->out[w->n++] = (field){at, size};
}

static uint64_t number(walk *w, size_t bytes)
{
    uint64_t v = 0;
    if (w->size - w->at < bytes) return w->at = w->size, 0;
    memcpy(&v, w->data + w->at, bytes);
    note(w, w->at, bytes);
    w->at += bytes;
    return v;
}

static void string(walk *w)
{
    uint64_t n = number(w, 8);
    if (n > w->size - w->at) n = w->size - w->at;
    note(w, w->at, (size_t)n);
    w->at += (size_t)n;
}

static void value(walk *w, uint64_t type)
{
    static const uint8_t sizes[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 8)
        string(w);
    else if (type == 9) {
        uint64_t item = number(w, 4), n = number(w, 8);
        if (item == 9 || item > 12) return; /* arrays of arrays, or of no type, are skipped */
        for (uint64_t i = 0; i < n && w->at < w->size; i++) value(w, item);
    } else if (type < 13)
        number(w, sizes[type]);
}

/* Every number and string of the header, in the order of the file. */
static size_t fields_of(field *out, const uint8_t *data, size_t size)
{
    walk w = {.data = data, .size = size, .out = out};
    number(&w, 4), number(&w, 4);
    uint64_t tensors = number(&w, 8), pairs = number(&w, 8);
    for (uint64_t i = 0; i < pairs && w.at < size; i++) {
        string(&w);
        value(&w, number(&w, 4));
    }
    for (uint64_t i = 0; i < tensors && w.at < size; i++) {
        string(&w);
        uint64_t dims = number(&w, 4);
        for (uint64_t d = 0; d < dims && w.at < size; d++) number(&w, 8);
        number(&w, 4), number(&w, 8);
    }
    return w.n;
}

size_t fuzz_mutate_gguf(uint8_t *data, size_t size, size_t max, fuzz_random *r)
{
    static field fields[MAX_FIELDS];
    static const uint64_t numbers[] = {
        0,          1,          2,          3,          8,          9,          0x7fffffff,
        0x80000000, 0xffffffff, 1ull << 32, 1ull << 62, 1ull << 63, UINT64_MAX, UINT64_MAX - 31,
        0x7fc00000, 0x7f800000};
    size_t n = fields_of(fields, data, size);
    if (!n || fuzz_below(r, 16) == 0) return fuzz_bytes(data, size, max, r);
    field f = fields[fuzz_below(r, n)];
    if (f.size <= 8 && fuzz_below(r, 3)) {
        uint64_t old = 0, v;
        memcpy(&old, data + f.at, f.size);
        v = fuzz_below(r, 2) ? numbers[fuzz_below(r, sizeof numbers / sizeof *numbers)]
                             : old + fuzz_below(r, 9) - 4;
        memcpy(data + f.at, &v, f.size);
    } else if (fuzz_below(r, 2)) { /* another field's bytes */
        field g = fields[fuzz_below(r, n)];
        memmove(data + f.at, data + g.at, f.size < g.size ? f.size : g.size);
    } else {
        data[f.at + fuzz_below(r, f.size)] = (uint8_t)fuzz_next(r);
    }
    return size;
}
