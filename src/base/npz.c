/* numpy's arrays on disk (numpy/lib/format.py, version 1.0 of the format).
 *
 *   one array   \x93NUMPY 1 0  length of the header (u16)
 *               {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 *               spaces up to a multiple of 64, the last byte a newline, then the values in C order
 *   the .npz    a zip with one such file for each array, "name.npy"
 *
 * Members are stored, not deflated, and dated 1 January 1980 (the first day of DOS), so that the
 * bytes depend on the arrays alone. */
#include "base/npz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#include "base/file.h"
#include "base/json.h"
#include "base/texts.h"

enum { HEADER = 512, DOS_DAY_ONE = 1 << 5 | 1 };

#define ENDIAN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>')

struct dele_npz {
    zip_t *zip;
    char path[1024], part[1040];
    char **member; /* [n_members] libzip reads them as it closes; owned by dele_npz, which
                      frees them */
    size_t n_members;
    bool failed;
};

dele_npz *dele_npz_open(const char *path, dele_err *err)
{
    dele_npz *npz = calloc(1, sizeof *npz);
    if (!npz) {
        dele_fail(err, DELE_ERR_MEMORY, "out of memory while opening %s", path);
        return NULL;
    }
    int code = 0;
    if ((size_t)snprintf(npz->path, sizeof npz->path, "%s", path) >= sizeof npz->path) {
        dele_fail(err, DELE_ERR_FILE, "the path %.200s... is too long to write to", path);
        goto failed;
    }
    snprintf(npz->part, sizeof npz->part, "%s.part", npz->path);
    npz->zip = zip_open(npz->part, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (npz->zip) return npz;
    zip_error_t why;
    zip_error_init_with_code(&why, code);
    dele_fail(err, DELE_ERR_FILE, "cannot write %s: %s", npz->part, zip_error_strerror(&why));
    zip_error_fini(&why);
failed:
    free(npz);
    return NULL;
}

/* Writes the whole header of a .npy into out[HEADER]; returns its length, a multiple of 64. */
static size_t npy_header(char out[HEADER], const char *descr, int n_dims, const size_t *dims)
{
    char shape[160] = "";
    size_t n = 0;
    for (int i = 0; i < n_dims; i++)
        n += (size_t)snprintf(shape + n, sizeof shape - n,
                              i             ? ", %zu"
                              : n_dims == 1 ? "%zu,"
                                            : "%zu",
                              dims[i]);
    char dict[HEADER - 10];
    int used = snprintf(dict, sizeof dict,
                        "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
    size_t total = (10 + (size_t)used + 1 + 63) / 64 * 64, length = total - 10;
    memset(out, ' ', total);
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)(length & 255);
    out[9] = (char)(length >> 8);
    memcpy(out + 10, dict, (size_t)used);
    out[total - 1] = '\n';
    return total;
}

static dele_status fail_zip(dele_npz *npz, dele_err *err)
{
    npz->failed = true;
    return dele_fail(err, DELE_ERR_FILE, "cannot write %s: %s", npz->path, zip_strerror(npz->zip));
}

/* Adds a member (malloc'ed, ownership taken) to the zip. */
static dele_status add_member(dele_npz *npz, const char *name, char *member, size_t size,
                              dele_err *err)
{
    char file[256];
    snprintf(file, sizeof file, "%s.npy", name);
    char **more = realloc(npz->member, (npz->n_members + 1) * sizeof *more);
    if (!more) {
        free(member);
        npz->failed = true;
        return dele_fail(err, DELE_ERR_MEMORY, "out of memory for the array %s of %s", name,
                         npz->path);
    }
    npz->member = more;
    npz->member[npz->n_members++] = member;
    zip_source_t *source = zip_source_buffer(npz->zip, member, size, 0);
    if (!source) return fail_zip(npz, err);
    zip_int64_t at = zip_file_add(npz->zip, file, source, ZIP_FL_ENC_UTF_8);
    if (at < 0) {
        zip_source_free(source);
        return fail_zip(npz, err);
    }
    if (zip_set_file_compression(npz->zip, (zip_uint64_t)at, ZIP_CM_STORE, 0) ||
        zip_file_set_dostime(npz->zip, (zip_uint64_t)at, 0, DOS_DAY_ONE, 0))
        return fail_zip(npz, err);
    return DELE_OK;
}

static dele_status add_array(dele_npz *npz, const char *name, const char *descr, const void *data,
                             size_t item_size, int n_dims, const size_t *dims, dele_err *err)
{
    if (!npz) return err && err->code ? err->code : DELE_ERR_FILE;
    if (npz->failed) return DELE_ERR_FILE;
    size_t size = item_size;
    bool fits = n_dims >= 0 && n_dims <= 6;
    for (int i = 0; fits && i < n_dims; i++) fits = !__builtin_mul_overflow(size, dims[i], &size);
    char header[HEADER];
    size_t head = fits ? npy_header(header, descr, n_dims, dims) : 0;
    char *member = fits && size <= SIZE_MAX - HEADER ? malloc(head + size) : NULL;
    if (!member) {
        npz->failed = true;
        return dele_fail(err, DELE_ERR_MEMORY, "out of memory for the array %s of %s", name,
                         npz->path);
    }
    memcpy(member, header, head);
    if (size) memcpy(member + head, data, size);
    return add_member(npz, name, member, head + size, err);
}

dele_status dele_npz_f32(dele_npz *npz, const char *name, const float *data, int n_dims,
                         const size_t *dims, dele_err *err)
{
    const char descr[] = {ENDIAN, 'f', '4', '\0'};
    return add_array(npz, name, descr, data, sizeof *data, n_dims, dims, err);
}

dele_status dele_npz_f64(dele_npz *npz, const char *name, const double *data, int n_dims,
                         const size_t *dims, dele_err *err)
{
    const char descr[] = {ENDIAN, 'f', '8', '\0'};
    return add_array(npz, name, descr, data, sizeof *data, n_dims, dims, err);
}

dele_status dele_npz_i64(dele_npz *npz, const char *name, const int64_t *data, int n_dims,
                         const size_t *dims, dele_err *err)
{
    const char descr[] = {ENDIAN, 'i', '8', '\0'};
    return add_array(npz, name, descr, data, sizeof *data, n_dims, dims, err);
}

dele_status dele_npz_i32(dele_npz *npz, const char *name, const int32_t *data, int n_dims,
                         const size_t *dims, dele_err *err)
{
    const char descr[] = {ENDIAN, 'i', '4', '\0'};
    return add_array(npz, name, descr, data, sizeof *data, n_dims, dims, err);
}

dele_status dele_npz_bool(dele_npz *npz, const char *name, bool value, dele_err *err)
{
    uint8_t byte = value;
    return add_array(npz, name, "|b1", &byte, 1, 0, NULL, err);
}

/* ---- text: UTF-32, every string as wide as the widest ---------------------------------------- */

/* text is valid UTF-8 */
static void to_utf32(uint32_t *out, const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        uint32_t c = *s++;
        int more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (more) c &= 0x3fu >> more;
        while (more--) c = c << 6 | (*s++ & 0x3f);
        *out++ = c;
    }
}

/* An array of texts in numpy's type U: UTF-32, all as wide as the longest. */
static dele_status add_strings(dele_npz *npz, const char *name, const char *const *text, size_t n,
                               int n_dims, dele_err *err)
{
    if (!npz) return err && err->code ? err->code : DELE_ERR_FILE;
    size_t width = 1;
    for (size_t i = 0; i < n; i++) {
        if (!dele_utf8_valid(text[i], strlen(text[i]))) {
            npz->failed = true;
            return dele_fail(err, DELE_ERR_DATA, "%s: a text in the array %s is not UTF-8",
                             npz->path, name);
        }
        size_t length = dele_utf8_count(text[i], strlen(text[i]));
        if (length > width) width = length;
    }
    uint32_t *cells = calloc(n ? n : 1, width * sizeof *cells);
    if (!cells) {
        npz->failed = true;
        return dele_fail(err, DELE_ERR_MEMORY, "out of memory for the array %s of %s", name,
                         npz->path);
    }
    for (size_t i = 0; i < n; i++) to_utf32(cells + i * width, text[i]);
    char descr[32];
    snprintf(descr, sizeof descr, "%cU%zu", ENDIAN, width);
    dele_status status = add_array(npz, name, descr, cells, width * sizeof *cells, n_dims, &n, err);
    free(cells);
    return status;
}

dele_status dele_npz_strings(dele_npz *npz, const char *name, const char *const *text, size_t n,
                             dele_err *err)
{
    return add_strings(npz, name, text, n, 1, err);
}

dele_status dele_npz_string(dele_npz *npz, const char *name, const char *text, dele_err *err)
{
    return add_strings(npz, name, &text, 1, 0, err);
}

/* ---- into place ------------------------------------------------------------------------------ */

/* libzip has written and closed part; sync it to the disk, and rename it. */
static dele_status rename_part(const dele_npz *npz, dele_err *err)
{
    int fd = open(npz->part, O_RDONLY | O_CLOEXEC);
    bool bad = fd < 0 || fsync(fd) || rename(npz->part, npz->path);
    dele_status status = DELE_OK;
    if (bad) status = dele_fail_file(err, "write", npz->path);
    if (fd >= 0) close(fd);
    if (bad) unlink(npz->part);
    return status;
}

dele_status dele_npz_close(dele_npz *npz, dele_err *err)
{
    if (!npz) return err && err->code ? err->code : DELE_ERR_FILE;
    dele_status status = npz->failed ? DELE_ERR_FILE : DELE_OK;
    if (!status && zip_close(npz->zip))
        status = fail_zip(npz, err);
    else if (!status)
        npz->zip = NULL;
    if (npz->zip) zip_discard(npz->zip);
    for (size_t i = 0; i < npz->n_members; i++) free(npz->member[i]);
    free(npz->member);
    if (!status) status = rename_part(npz, err);
    free(npz);
    return status;
}
