/* Inputs that hold several files: texts, each ended by FUZZ_SEPARATOR, and one file of any bytes,
 * which is the last. */
#include "fuzz.h"

#include <unistd.h>

/* Where part k of n begins in data[size]; *length: without its separator.  The last is the rest. */
static size_t part_at(const uint8_t *data, size_t size, size_t k, size_t n, size_t *length)
{
    size_t at = 0;
    for (size_t i = 0;; i++) {
        const uint8_t *end =
            i + 1 < n && at < size ? memchr(data + at, FUZZ_SEPARATOR, size - at) : NULL;
        *length = end ? (size_t)(end - data) - at : size - at;
        if (i == k) return at;
        at += *length + (end != NULL);
    }
}

void fuzz_write_files(const char *const *names, size_t n, const uint8_t *data, size_t size)
{
    for (size_t k = 0; k < n; k++) {
        size_t length;
        const size_t at = part_at(data, size, k, n, &length);
        unlink(fuzz_path(names[k]));
        if (length) fuzz_write(names[k], data + at, length);
    }
}

size_t fuzz_mutate_safetensors(uint8_t *data, size_t size, size_t max, fuzz_random *r)
{
    static uint8_t header[1 << 16], body[1 << 20];
    uint64_t n = 0;
    if (size >= 8) memcpy(&n, data, 8);
    if (size < 8 || n > size - 8 || n > sizeof header / 2 || size > sizeof body ||
        fuzz_below(r, 16) == 0)
        return fuzz_bytes(data, size, max, r);
    const size_t rest = size - 8 - (size_t)n,
                 room = max - 8 - rest < sizeof header ? max - 8 - rest : sizeof header;
    memcpy(header, data + 8, (size_t)n);
    memcpy(body, data + 8 + n, rest);
    n = fuzz_mutate_json(header, (size_t)n, room, r);
    memcpy(data, &n, 8);
    memcpy(data + 8, header, (size_t)n);
    memcpy(data + 8 + n, body, rest);
    return 8 + (size_t)n + rest;
}

size_t fuzz_mutate_files(uint8_t *data, size_t size, size_t max, size_t n, fuzz_random *r)
{
    static uint8_t part[1 << 20];
    const size_t k = fuzz_below(r, n);
    size_t length;
    const size_t at = part_at(data, size, k, n, &length), after = size - at - length;
    const size_t room = max - (size - length) < sizeof part ? max - (size - length) : sizeof part;
    if (length > room) return fuzz_bytes(data, size, max, r);
    memcpy(part, data + at, length);
    const size_t changed = k + 1 < n ? fuzz_mutate_json(part, length, room, r)
                                     : fuzz_mutate_safetensors(part, length, room, r);
    memmove(data + at + changed, data + at + length, after);
    memcpy(data + at, part, changed);
    return at + changed + after;
}
