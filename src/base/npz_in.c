/* Reading .npz files of dele_npz, and of numpy.savez with the same types.
 *
 * The caller gives type and shape.  A member's header is read first.  Memory is allocated only if
 * the header has that type and shape and the zip has the size that follows from them.  A free
 * dimension is bounded by the size of the file: DEFLATE expands a byte to at most 1032. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>

#include "base/npz.h"

enum {
    MAX_DIMS = 8,
    MAX_HEADER = 1024,
    MAX_MEMBERS = 4096,
    MOST_INFLATED = 1032,
    MOST_UNKNOWN = 1 << 20
};

#define ENDIAN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>')

struct dele_npz_in {
    zip_t *zip;
    char path[1024];
    uint64_t size; /* of the file */
};

/* Checks that every member is "name.npy", with a plain name, and appears once. */
static dele_status check_names(const dele_npz_in *npz, dele_err *err)
{
    const zip_int64_t n = zip_get_num_entries(npz->zip, 0);
    if (n < 0 || n > MAX_MEMBERS)
        return dele_fail(err, DELE_ERR_DATA, "%s holds %lld members; an .npz of at most %d is read",
                         npz->path, (long long)n, MAX_MEMBERS);
    for (zip_int64_t i = 0; i < n; i++) {
        const char *name = zip_get_name(npz->zip, (zip_uint64_t)i, ZIP_FL_ENC_GUESS);
        const size_t length = name ? strlen(name) : 0;
        if (length < 5 || length >= 256 || strcmp(name + length - 4, ".npy") ||
            strpbrk(name, "/\\"))
            return dele_fail(err, DELE_ERR_DATA,
                             "%s: the member \"%.100s\" is not an array of an .npz", npz->path,
                             name ? name : "");
        if (zip_name_locate(npz->zip, name, 0) != i)
            return dele_fail(err, DELE_ERR_DATA, "%s: the array \"%.100s\" appears twice",
                             npz->path, name);
    }
    return DELE_OK;
}

dele_npz_in *dele_npz_in_open(const char *path, dele_err *err)
{
    int code = 0;
    dele_npz_in *npz = calloc(1, sizeof *npz);
    if (!npz) {
        dele_fail(err, DELE_ERR_MEMORY, "out of memory while opening %s", path);
        return NULL;
    }
    struct stat st;
    snprintf(npz->path, sizeof npz->path, "%s", path);
    npz->zip = zip_open(path, ZIP_RDONLY, &code);
    if (npz->zip) {
        npz->size = stat(path, &st) ? 0 : (uint64_t)st.st_size;
        if (!check_names(npz, err)) return npz;
        dele_npz_in_close(npz);
        return NULL;
    }
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

static zip_int64_t locate(dele_npz_in *npz, const char *name)
{
    char file[256];
    snprintf(file, sizeof file, "%s.npy", name);
    return zip_name_locate(npz->zip, file, 0);
}

bool dele_npz_in_has(dele_npz_in *npz, const char *name) { return locate(npz, name) >= 0; }

/* Opens the member "name.npy"; *size is what the zip says it holds. */
static zip_file_t *open_member(uint64_t *size, dele_npz_in *npz, const char *name, dele_err *err)
{
    zip_stat_t stat;
    const zip_int64_t at = locate(npz, name);
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    if (at < 0 || zip_stat_index(npz->zip, (zip_uint64_t)at, 0, &stat) ||
        (stat.valid & needed) != needed) {
        dele_fail(err, DELE_ERR_DATA, "%s has no array \"%s\"", npz->path, name);
        return NULL;
    }
    *size = stat.size;
    if (stat.comp_size > npz->size || stat.size / MOST_INFLATED > stat.comp_size) {
        dele_fail(err, DELE_ERR_DATA,
                  "the array \"%s\" of %s states more bytes than the file can hold", name,
                  npz->path);
        return NULL;
    }
    zip_file_t *in = zip_fopen_index(npz->zip, (zip_uint64_t)at, 0);
    if (!in)
        dele_fail(err, DELE_ERR_DATA, "the array \"%s\" of %s cannot be read: %s", name, npz->path,
                  zip_strerror(npz->zip));
    return in;
}

static bool read_entry(zip_file_t *in, void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        const zip_int64_t got = zip_fread(in, (char *)to + done, n - done);
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}

/* The value of a key in the header's Python dict. */
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    at = at ? strchr(at, ':') : NULL;
    return at ? at + 1 + strspn(at + 1, " ") : NULL;
}

/* Checks descr, order and shape of the header's dict; fills in the free dimensions. */
static bool parse_header(size_t *dims, int n_dims, const char *header, const char *descr)
{
    const char *type = value_of(header, "'descr'"), *order = value_of(header, "'fortran_order'"),
               *shape = value_of(header, "'shape'");
    if (!type || !order || !shape || *shape != '(' || strncmp(order, "False", 5)) return false;
    if (*type != '\'' || strncmp(type + 1, descr, strlen(descr)) || type[1 + strlen(descr)] != '\'')
        return false;
    shape++;
    for (int i = 0; i < n_dims; i++) {
        char *end;
        if (*shape < '0' || *shape > '9') return false;
        unsigned long long n = strtoull(shape, &end, 10);
        if (dims[i] ? n != dims[i] : n > MOST_UNKNOWN) return false;
        dims[i] = (size_t)n;
        shape = end + strspn(end, ", ");
    }
    return *shape == ')';
}

/* "3, n, 64": a free dimension is n. */
static void print_shape(char *text, size_t size, int n_dims, const size_t *dims)
{
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < n_dims && at < size; i++) {
        at += (size_t)snprintf(text + at, size - at, "%s", i ? ", " : "");
        if (at < size && dims[i]) at += (size_t)snprintf(text + at, size - at, "%zu", dims[i]);
        if (at < size && !dims[i]) at += (size_t)snprintf(text + at, size - at, "n");
    }
}

/* Reads the values of a member after checking its header against the caller's type and shape. */
static void *read_array(dele_npz_in *npz, zip_file_t *in, uint64_t size, const char *name,
                        const char *descr, size_t item, int n_dims, size_t *dims, dele_arena *arena,
                        dele_err *err)
{
    unsigned char begin[10];
    char header[MAX_HEADER], beyond;
    size_t count = 1, need = 0;
    size_t wanted[MAX_DIMS];
    assert(n_dims <= MAX_DIMS);
    for (int i = 0; i < n_dims; i++) wanted[i] = dims[i]; /* a number has no dims */
    bool fits = read_entry(in, begin, sizeof begin) && !memcmp(begin, "\x93NUMPY\x01\x00", 8);
    const size_t length = fits ? begin[8] | (size_t)begin[9] << 8 : 0;
    fits = fits && length < sizeof header && read_entry(in, header, length);
    header[fits ? length : 0] = '\0';
    fits = fits && parse_header(dims, n_dims, header, descr);
    for (int i = 0; i < n_dims && fits; i++) fits = !__builtin_mul_overflow(count, dims[i], &count);
    fits =
        fits && !__builtin_mul_overflow(count, item, &need) && size == sizeof begin + length + need;
    if (!fits) {
        char shape[100];
        print_shape(shape, sizeof shape, n_dims, wanted);
        dele_fail(err, DELE_ERR_DATA,
                  "the array \"%s\" of %s is not the one that is read there: type %s, shape (%s), "
                  "C order",
                  name, npz->path, descr, shape);
        return NULL;
    }
    void *out = dele_alloc_raw(arena, count ? count : 1, item, err);
    if (!out || (read_entry(in, out, need) && zip_fread(in, &beyond, 1) == 0))
        return out; /* the checksum is verified at the end */
    dele_fail(err, DELE_ERR_DATA, "the array \"%s\" of %s cannot be read: is the file cut short?",
              name, npz->path);
    return NULL;
}

static void *array(dele_npz_in *npz, const char *name, const char *descr, size_t item, int n_dims,
                   size_t *dims, dele_arena *arena, dele_err *err)
{
    uint64_t size;
    zip_file_t *in = open_member(&size, npz, name, err);
    if (!in) return NULL;
    void *out = read_array(npz, in, size, name, descr, item, n_dims, dims, arena, err);
    zip_fclose(in);
    return out;
}

float *dele_npz_in_f32(dele_npz_in *npz, const char *name, int n_dims, size_t *dims,
                       dele_arena *arena, dele_err *err)
{
    return array(npz, name, (const char[]){ENDIAN, 'f', '4', '\0'}, sizeof(float), n_dims, dims,
                 arena, err);
}

double *dele_npz_in_f64(dele_npz_in *npz, const char *name, int n_dims, size_t *dims,
                        dele_arena *arena, dele_err *err)
{
    return array(npz, name, (const char[]){ENDIAN, 'f', '8', '\0'}, sizeof(double), n_dims, dims,
                 arena, err);
}

int64_t *dele_npz_in_i64(dele_npz_in *npz, const char *name, int n_dims, size_t *dims,
                         dele_arena *arena, dele_err *err)
{
    return array(npz, name, (const char[]){ENDIAN, 'i', '8', '\0'}, sizeof(int64_t), n_dims, dims,
                 arena, err);
}

int32_t *dele_npz_in_i32(dele_npz_in *npz, const char *name, int n_dims, size_t *dims,
                         dele_arena *arena, dele_err *err)
{
    return array(npz, name, (const char[]){ENDIAN, 'i', '4', '\0'}, sizeof(int32_t), n_dims, dims,
                 arena, err);
}
