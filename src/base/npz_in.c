/* Reading .npz: what dele_npz wrote, and what numpy.savez writes of the same types.  Every size is checked against the
 * member's own before a byte is used. */
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "base/npz.h"

enum { MAX_HEADER = 1 << 16 };

#define ENDIAN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>')

struct dele_npz_in {
    zip_t *zip;
    char path[1024];
};

dele_npz_in *dele_npz_in_open(const char *path, dele_err *err)
{
    int code = 0;
    dele_npz_in *npz = calloc(1, sizeof *npz);
    if (!npz) {
        dele_fail(err, DELE_ERR_MEMORY, "out of memory while opening %s", path);
        return NULL;
    }
    snprintf(npz->path, sizeof npz->path, "%s", path);
    npz->zip = zip_open(path, ZIP_RDONLY, &code);
    if (npz->zip) return npz;
    zip_error_t why;
    zip_error_init_with_code(&why, code);
    dele_fail(err, DELE_ERR_FILE, "cannot read %s: %s", path, zip_error_strerror(&why));
    zip_error_fini(&why);
    free(npz);
    return NULL;
}

void dele_npz_in_close(dele_npz_in *npz)
{
    if (!npz) return;
    zip_discard(npz->zip);
    free(npz);
}

/* The member "name.npy", whole; to be freed. */
static char *member(size_t *size, dele_npz_in *npz, const char *name, dele_err *err)
{
    char file[256];
    zip_stat_t stat;
    snprintf(file, sizeof file, "%s.npy", name);
    zip_int64_t at = zip_name_locate(npz->zip, file, 0);
    if (at < 0 || zip_stat_index(npz->zip, (zip_uint64_t)at, 0, &stat) || !(stat.valid & ZIP_STAT_SIZE) ||
        stat.size > SIZE_MAX / 2) {
        dele_fail(err, DELE_ERR_DATA, "%s has no array \"%s\"", npz->path, name);
        return NULL;
    }
    *size = (size_t)stat.size;
    char *bytes = malloc(*size + 1);
    zip_file_t *in = bytes ? zip_fopen_index(npz->zip, (zip_uint64_t)at, 0) : NULL;
    bool whole = in && zip_fread(in, bytes, *size) == (zip_int64_t)*size && zip_fclose(in) == 0;
    if (!whole) {
        dele_fail(err, bytes ? DELE_ERR_DATA : DELE_ERR_MEMORY, "the array \"%s\" of %s cannot be read: is the file cut short?",
                 name, npz->path);
        free(bytes);
        return NULL;
    }
    bytes[*size] = '\0';
    return bytes;
}

/* The value of a key in the header's Python dict. */
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    at = at ? strchr(at, ':') : NULL;
    return at ? at + 1 + strspn(at + 1, " ") : NULL;
}

/* Checks descr, order and shape; returns where the values begin, or 0. */
static size_t parse_header(size_t *dims, int n_dims, const char *bytes, size_t size, const char *descr)
{
    if (size < 10 || memcmp(bytes, "\x93NUMPY\x01\x00", 8)) return 0;
    size_t length = (unsigned char)bytes[8] | (size_t)(unsigned char)bytes[9] << 8, begin = 10 + length;
    if (begin > size || length > MAX_HEADER) return 0;
    char header[1024];
    if (length >= sizeof header) return 0;
    memcpy(header, bytes + 10, length);
    header[length] = '\0';
    const char *type = value_of(header, "'descr'"), *order = value_of(header, "'fortran_order'"),
               *shape = value_of(header, "'shape'");
    if (!type || !order || !shape || *shape != '(' || strncmp(order, "False", 5)) return 0;
    if (*type != '\'' || strncmp(type + 1, descr, strlen(descr)) || type[1 + strlen(descr)] != '\'') return 0;
    shape++;
    for (int i = 0; i < n_dims; i++) {
        char *end;
        unsigned long long n = strtoull(shape, &end, 10);
        if (end == shape || (dims[i] && n != dims[i])) return 0;
        dims[i] = (size_t)n;
        shape = end + strspn(end, ", ");
    }
    return *shape == ')' ? begin : 0;
}

static void *array(dele_npz_in *npz, const char *name, const char *descr, size_t item, int n_dims, size_t *dims,
                   dele_arena *arena, dele_err *err)
{
    size_t size, count = 1, need;
    char *bytes = member(&size, npz, name, err);
    if (!bytes) return NULL;
    void *out = NULL;
    size_t begin = parse_header(dims, n_dims, bytes, size, descr);
    bool fits = begin > 0;
    for (int i = 0; i < n_dims && fits; i++) fits = !__builtin_mul_overflow(count, dims[i], &count);
    fits = fits && !__builtin_mul_overflow(count, item, &need) && need == size - begin;
    if (!fits)
        dele_fail(err, DELE_ERR_DATA, "the array \"%s\" of %s is not what deleatur writes there (type, shape or size)", name,
                 npz->path);
    else if ((out = dele_alloc_raw(arena, count ? count : 1, item, err)))
        memcpy(out, bytes + begin, need);
    free(bytes);
    return out;
}

float *dele_npz_in_f32(dele_npz_in *npz, const char *name, int n_dims, size_t *dims, dele_arena *arena, dele_err *err)
{
    return array(npz, name, (const char[]){ENDIAN, 'f', '4', '\0'}, sizeof(float), n_dims, dims, arena, err);
}

double *dele_npz_in_f64(dele_npz_in *npz, const char *name, int n_dims, size_t *dims, dele_arena *arena, dele_err *err)
{
    return array(npz, name, (const char[]){ENDIAN, 'f', '8', '\0'}, sizeof(double), n_dims, dims, arena, err);
}

int64_t *dele_npz_in_i64(dele_npz_in *npz, const char *name, int n_dims, size_t *dims, dele_arena *arena, dele_err *err)
{
    return array(npz, name, (const char[]){ENDIAN, 'i', '8', '\0'}, sizeof(int64_t), n_dims, dims, arena, err);
}
