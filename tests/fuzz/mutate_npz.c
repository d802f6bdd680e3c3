#include "fuzz.h"

#include <zip.h>
#include <zlib.h>

enum { MAX_MEMBERS = 64, MAX_MEMBER = 1 << 18 };

/* An npy header's text: a digit, a type letter or a bracket becomes another one. */
static void change_header(uint8_t *npy, size_t size, fuzz_random *r)
{
    static const char signs[] = "0123456789<>|fiuU()', ";
    size_t header = size > 10 ? 10 + (npy[8] | (size_t)npy[9] << 8) : size;
    if (header > size) header = size;
    if (header) npy[fuzz_below(r, header)] = (uint8_t)signs[fuzz_below(r, sizeof signs - 1)];
}

typedef struct {
    uint8_t *at, *end; /* end: of the room */
    bool full;
} writer;

static void put(writer *w, const void *data, size_t n)
{
    if (w->full || (size_t)(w->end - w->at) < n) {
        w->full = true;
        return;
    }
    memcpy(w->at, data, n);
    w->at += n;
}

static void put_number(writer *w, uint64_t x, size_t bytes) { put(w, &x, bytes); }

/* What a local header and an entry of the directory share: from the version needed to the lengths.
 */
static void put_entry(writer *w, const char *name, const uint8_t *member, size_t n)
{
    put_number(w, 20, 2), put_number(w, 0, 2), put_number(w, 0, 2); /* version, flags, stored */
    put_number(w, 0x00210000, 4);                                   /* 1980-01-01 */
    put_number(w, crc32(0, member, (uInt)n), 4), put_number(w, n, 4), put_number(w, n, 4);
    put_number(w, strlen(name), 2), put_number(w, 0, 2);
}

/* Reads the archive with libzip, changes one member, and writes a stored zip by hand (libzip 1.7
 * crashes when it discards some archives that it failed to write).  Returns 0 where the archive
 * cannot be read or the result has no room. */
static size_t rewrite(uint8_t *data, size_t size, size_t max, fuzz_random *r)
{
    static uint8_t member[MAX_MEMBERS][MAX_MEMBER], directory[1 << 16];
    zip_error_t error;
    zip_source_t *in = zip_source_buffer_create(data, size, 0, &error);
    zip_t *from = in ? zip_open_from_source(in, ZIP_RDONLY, &error) : NULL;
    if (!from) return zip_source_free(in), 0;
    static uint8_t result[1 << 20];
    writer out = {result, result + (max < sizeof result ? max : sizeof result), false};
    writer entries = {directory, directory + sizeof directory, false};
    zip_int64_t n = zip_get_num_entries(from, 0), written = 0;
    zip_int64_t which = (zip_int64_t)fuzz_below(r, n > 0 ? (size_t)n : 1);
    for (zip_int64_t i = 0; i < n && i < MAX_MEMBERS; i++) {
        zip_file_t *f = zip_fopen_index(from, (zip_uint64_t)i, 0);
        zip_int64_t length = f ? zip_fread(f, member[i], MAX_MEMBER) : -1;
        const char *name = zip_get_name(from, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        if (f) zip_fclose(f);
        if (length < 0 || !name || strlen(name) > 200) continue;
        size_t m = (size_t)length;
        if (i == which && fuzz_below(r, 2))
            change_header(member[i], m, r);
        else if (i == which)
            m = fuzz_bytes(member[i], m, m + 16 < MAX_MEMBER ? m + 16 : MAX_MEMBER, r);
        const size_t offset = (size_t)(out.at - result);
        put(&out, "PK\3\4", 4), put_entry(&out, name, member[i], m);
        put(&out, name, strlen(name)), put(&out, member[i], m);
        put(&entries, "PK\1\2\24\0", 6), put_entry(&entries, name, member[i], m);
        put_number(&entries, 0, 2), put_number(&entries, 0, 2), put_number(&entries, 0, 2),
            put_number(&entries, 0, 4);
        put_number(&entries, offset, 4), put(&entries, name, strlen(name));
        written++;
    }
    zip_discard(from);
    const size_t begin = (size_t)(out.at - result), length = (size_t)(entries.at - directory);
    put(&out, directory, length);
    put(&out, "PK\5\6\0\0\0\0", 8), put_number(&out, (uint64_t)written, 2),
        put_number(&out, (uint64_t)written, 2);
    put_number(&out, length, 4), put_number(&out, begin, 4), put_number(&out, 0, 2);
    if (out.full || entries.full) return 0;
    memcpy(data, result, (size_t)(out.at - result));
    return (size_t)(out.at - result);
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
