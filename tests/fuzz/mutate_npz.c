#include "fuzz.h"

#include <zip.h>

enum { MAX_MEMBERS = 64, MAX_MEMBER = 1 << 18 };

/* An npy header's text: a digit, a type letter or a bracket becomes another one. */
static void change_header(uint8_t *npy, size_t size, fuzz_random *r)
{
    static const char signs[] = "0123456789<>|fiuU()', ";
    size_t header = size > 10 ? 10 + (npy[8] | (size_t)npy[9] << 8) : size;
    if (header > size) header = size;
    if (header) npy[fuzz_below(r, header)] = (uint8_t)signs[fuzz_below(r, sizeof signs - 1)];
}

/* The archive read from memory; member `which` changed; written to memory again. */
static size_t rewrite(uint8_t *data, size_t size, size_t max, fuzz_random *r)
{
    static uint8_t member[MAX_MEMBERS][MAX_MEMBER];
    zip_error_t error;
    zip_source_t *in = zip_source_buffer_create(data, size, 0, &error);
    zip_t *from = in ? zip_open_from_source(in, ZIP_RDONLY, &error) : NULL;
    if (!from) return zip_source_free(in), 0;
    zip_source_t *out = zip_source_buffer_create(NULL, 0, 0, &error);
    if (!out) return zip_discard(from), 0;
    zip_source_keep(out);
    zip_t *to = zip_open_from_source(out, ZIP_TRUNCATE | ZIP_CREATE, &error);
    zip_int64_t n = zip_get_num_entries(from, 0);
    zip_int64_t which = (zip_int64_t)fuzz_below(r, n > 0 ? (size_t)n : 1);
    for (zip_int64_t i = 0; to && i < n && i < MAX_MEMBERS; i++) {
        zip_file_t *f = zip_fopen_index(from, (zip_uint64_t)i, 0);
        zip_int64_t length = f ? zip_fread(f, member[i], MAX_MEMBER) : -1;
        if (f) zip_fclose(f);
        if (length < 0) continue;
        size_t m = (size_t)length;
        if (i == which && fuzz_below(r, 2))
            change_header(member[i], m, r);
        else if (i == which)
            m = fuzz_bytes(member[i], m, m + 16 < MAX_MEMBER ? m + 16 : MAX_MEMBER, r);
        zip_source_t *s = zip_source_buffer(to, member[i], m, 0);
        zip_int64_t at =
            s ? zip_file_add(to, zip_get_name(from, (zip_uint64_t)i, 0), s, ZIP_FL_OVERWRITE) : -1;
        if (at < 0)
            zip_source_free(s);
        else
            zip_set_file_compression(to, (zip_uint64_t)at,
                                     fuzz_below(r, 8) ? ZIP_CM_STORE : ZIP_CM_DEFLATE, 0);
    }
    size_t written = 0;
    if (to && zip_close(to) == 0 && zip_source_open(out) == 0) {
        zip_int64_t m = zip_source_read(out, data, max);
        written = m > 0 ? (size_t)m : 0;
        zip_source_close(out);
    } else if (to) {
        zip_discard(to);
    }
    zip_source_free(out);
    zip_discard(from);
    return written;
}

size_t fuzz_mutate_npz(uint8_t *data, size_t size, size_t max, fuzz_random *r)
{
    static uint8_t copy[1 << 20];
    if (fuzz_below(r, 8) == 0 || size > sizeof copy) return fuzz_bytes(data, size, max, r);
    memcpy(copy, data, size);
    size_t n = rewrite(copy, size, sizeof copy, r);
    if (!n || n > max) return fuzz_bytes(data, size, max, r);
    memcpy(data, copy, n);
    return n;
}
