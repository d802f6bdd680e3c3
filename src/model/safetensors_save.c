/* Writing safetensors: one file, or shards by size with an index.
 *
 *   model.safetensors                                      all tensors
 *   model-00001-of-00003.safetensors ...                   or these, in the order of the table,
 *   model.safetensors.index.json                           with {"metadata": {"total_parameters",
 *                                                          "total_size"}, "weight_map": {...}}
 *
 * A shard takes the tensors that follow one another until the next one would make its data larger
 * than the limit; a tensor that is larger by itself has a shard of its own (as huggingface_hub's
 * split_state_dict_into_shards_factory).  Every file is written as a stream, tensor after tensor
 * and some rows at a time, aside, and moved into place. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file_out.h"
#include "base/json_out.h"
#include "model/form.h"
#include "model/layout.h"
#include "model/safetensors.h"

/* The tensors [first, end) of the table go into one file; bytes of their data. */
typedef struct {
    size_t first, end, bytes;
} shard;

static const char *header_dtype(dele_dtype dtype)
{
    return dtype == DELE_DTYPE_F32 ? "F32" : dtype == DELE_DTYPE_F16 ? "F16" : "BF16";
}

/* The type that a tensor is saved in.  DELE_N_DTYPES keeps the type that its file had, or float32
 * where safetensors has no such type, or the tensors that are one in this file had several. */
static dele_dtype saved_type(const dele_file_tensor *f, dele_dtype dtype)
{
    if (dtype != DELE_N_DTYPES) return dtype;
    const dele_dtype first = f->tensor->stored.type;
    for (size_t i = 0; i < f->n; i++) {
        const dele_matrix_part *stored = &dele_file_member(f, i)->stored;
        if (!stored->data || stored->type > DELE_DTYPE_BF16 || stored->type != first)
            return DELE_DTYPE_F32;
    }
    return first;
}

static size_t saved_bytes(const dele_file_tensor *f, dele_dtype type)
{
    return f->rows * f->cols * dele_dtype_of(type)->bytes;
}

/* ---- one file -------------------------------------------------------------------------------- */

/* The names are the program's own and need no escapes.  The header is padded with blanks so that
 * the data is aligned.  out NULL: only its length is wanted. */
static void write_header(FILE *out, const dele_model *model, const shard *s, dele_dtype dtype,
                         size_t *length)
{
    size_t begin = 0, n = 0;
    char line[256];
    const char *open = "{\"__metadata__\":{\"format\":\"pt\"}";
    n += strlen(open);
    if (out) fputs(open, out);
    dele_file_tensor f;
    for (size_t i = s->first; i < s->end; i = f.next) {
        f = dele_file_tensor_at(model, i, DELE_FILE_HF);
        const dele_dtype type = saved_type(&f, dtype);
        size_t end = begin + saved_bytes(&f, type);
        char shape[64];
        snprintf(shape, sizeof shape, f.n_dims == 1 ? "%zu" : "%zu,%zu", f.dims[0], f.dims[1]);
        n +=
            (size_t)snprintf(line, sizeof line,
                             ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                             f.name, header_dtype(type), shape, begin, end);
        if (out) fputs(line, out);
        begin = end;
    }
    n++;
    if (out) fputc('}', out);
    for (; n % 8; n++)
        if (out) fputc(' ', out);
    *length = n;
}

static dele_status no_room(const char *path, dele_err *err)
{
    return dele_fail(err, DELE_ERR_FILE, "%s: writing failed: %s", path, strerror(errno));
}

/* A tensor's weights, some rows at a time, in another type than they have or from float32. */
static dele_status write_rows(FILE *out, const dele_file_tensor *f, dele_dtype type,
                              const char *path, dele_arena *scratch, dele_err *err)
{
    const size_t width = f->width, piece = dele_file_piece(f), size = dele_dtype_of(type)->bytes;
    dele_arena_reset(scratch);
    float *rows = dele_alloc_raw(scratch, piece, width * sizeof *rows, err),
          *row = rows ? dele_alloc_raw(scratch, f->cols, sizeof *row, err) : NULL;
    uint8_t *bytes = row ? dele_alloc_raw(scratch, piece, width * size, err) : NULL;
    if (!bytes) return DELE_ERR_MEMORY;
    for (size_t from = 0, n; from < f->height; from += n) {
        n = f->height - from < piece ? f->height - from : piece;
        dele_file_rows(rows, f, from, n, row);
        if (!dele_dtype_write(bytes, rows, type, n * width))
            return dele_fail(
                err, DELE_ERR_DATA, "%s: a weight of %s is too large for %s; give --dtype %s", path,
                f->name, header_dtype(type), type == DELE_DTYPE_F16 ? "bf16 or f32" : "f32");
        if (fwrite(bytes, width * size, n, out) != n) return no_room(path, err);
    }
    return DELE_OK;
}

/* The file's pages of what has been written are dropped: a model with copies of its weights would
 * hold them beside the copies. */
static dele_status write_data(FILE *out, const dele_model *model, const shard *s, dele_dtype dtype,
                              const char *path, dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    dele_file_tensor f;
    for (size_t i = s->first; i < s->end && !status; i = f.next) {
        f = dele_file_tensor_at(model, i, DELE_FILE_HF);
        const dele_dtype type = saved_type(&f, dtype);
        const void *stored = dele_file_bytes(&f, type);
        if (!stored)
            status = write_rows(out, &f, type, path, &scratch, err);
        else if (!dele_write_mapped(out, stored, saved_bytes(&f, type)))
            status = no_room(path, err);
        for (size_t j = 0; j < f.n; j++)
            dele_model_drop(model, &dele_file_member(&f, j)->stored, f.cols);
    }
    dele_arena_release(&scratch);
    return status;
}

static dele_status write_file(const dele_model *model, const shard *s, const char *path,
                              dele_dtype dtype, dele_err *err)
{
    dele_writer out = {0};
    dele_status status = dele_writer_open(&out, path, err);
    if (status) return status;
    size_t length = 0;
    write_header(NULL, model, s, dtype, &length);
    uint64_t stored_length = length;
    fwrite(&stored_length, sizeof stored_length, 1,
           out.stream); /* commit looks at the stream's errors */
    write_header(out.stream, model, s, dtype, &length);
    status = write_data(out.stream, model, s, dtype, path, err);
    if (status) {
        dele_writer_abandon(&out);
        return status;
    }
    return dele_writer_commit(&out, err);
}

static dele_status check_dtype(const char *path, dele_dtype dtype, dele_err *err)
{
    if (dtype <= DELE_DTYPE_BF16 || dtype == DELE_N_DTYPES) return DELE_OK;
    return dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: weights are saved as f32, bf16 or f16", path);
}

dele_status dele_safetensors_save(const dele_model *model, const char *path, dele_dtype dtype,
                                  dele_err *err)
{
    const shard all = {.end = model->n_tensors};
    dele_status status = check_dtype(path, dtype, err);
    return status ? status : write_file(model, &all, path, dtype, err);
}

/* ---- a directory ----------------------------------------------------------------------------- */

/* list [n_tensors]; returns how many shards there are. */
static size_t cut(shard *list, const dele_model *model, dele_dtype dtype, size_t limit)
{
    size_t n = 0;
    dele_file_tensor f;
    for (size_t i = 0; i < model->n_tensors; i = f.next) {
        f = dele_file_tensor_at(model, i, DELE_FILE_HF);
        const size_t bytes = saved_bytes(&f, saved_type(&f, dtype));
        if (!n || bytes > limit || list[n - 1].bytes > limit - bytes) list[n++].first = i;
        list[n - 1].end = f.next;
        list[n - 1].bytes += bytes;
    }
    return n;
}

enum { NAME = 64 }; /* of a shard, with its end */

static void shard_name(char name[NAME], size_t i, size_t n)
{
    if (n == 1)
        snprintf(name, NAME, "model.safetensors");
    else
        snprintf(name, NAME, "model-%05zu-of-%05zu.safetensors", i + 1, n);
}

/* A tensor and the number of its shard. */
typedef struct {
    const char *name;
    size_t shard;
} located;

static int by_tensor_name(const void *a, const void *b)
{
    return strcmp(((const located *)a)->name, ((const located *)b)->name);
}

/* The index with its names sorted, as transformers writes it; total_size is the bytes of all data,
 * and a tied matrix counts once in both sums. */
static cJSON *index_json(const dele_model *model, const shard *list, size_t n, located *all)
{
    cJSON *json = cJSON_CreateObject(), *metadata = cJSON_AddObjectToObject(json, "metadata"),
          *map = cJSON_AddObjectToObject(json, "weight_map");
    size_t bytes = 0, n_names = 0;
    dele_file_tensor f;
    for (size_t k = 0; k < n; k++) {
        bytes += list[k].bytes;
        for (size_t i = list[k].first; i < list[k].end; i = f.next) {
            f = dele_file_tensor_at(model, i, DELE_FILE_HF);
            all[n_names++] = (located){f.tensor->hf_name, k};
        }
    }
    qsort(all, n_names, sizeof *all, by_tensor_name);
    cJSON_AddNumberToObject(metadata, "total_parameters", (double)dele_model_parameters(model));
    cJSON_AddNumberToObject(metadata, "total_size", (double)bytes);
    for (size_t i = 0; i < n_names; i++) {
        char name[NAME];
        shard_name(name, all[i].shard, n);
        cJSON_AddStringToObject(map, all[i].name, name);
    }
    return json;
}

static dele_status save_index(const dele_model *model, const shard *list, size_t n,
                              const char *path, dele_arena *arena, dele_err *err)
{
    located *all = DELE_NEW(arena, located, model->n_tensors, err);
    if (!all) return DELE_ERR_MEMORY;
    cJSON *json = index_json(model, list, n, all);
    dele_status status = dele_json_save(path, json, err);
    cJSON_Delete(json);
    return status;
}

/* Whether a name is that of weights which a save of n shards has not written. */
static bool is_stale(const char *name, size_t n)
{
    size_t i, of;
    char written[NAME];
    if (!strcmp(name, "model.safetensors")) return n != 1;
    if (!strcmp(name, "model.safetensors.index.json")) return n == 1;
    if (sscanf(name, "model-%5zu-of-%5zu", &i, &of) != 2 || i < 1 || i > of || of == n)
        return false;
    shard_name(written, i - 1, of);
    return !strcmp(name, written);
}

/* Weights that an earlier save left in the directory: a reader would take model.safetensors before
 * an index, and a shard of another number would be fetched in vain.  A map of such a file stays
 * valid. */
static dele_status remove_stale(const char *dir, size_t n, dele_arena *arena, dele_err *err)
{
    DIR *list = opendir(dir);
    if (!list) return dele_fail_file(err, "read", dir);
    dele_status status = DELE_OK;
    for (const struct dirent *e; !status && (e = readdir(list));) {
        if (!is_stale(e->d_name, n)) continue;
        const char *path = dele_printf(arena, err, "%s/%s", dir, e->d_name);
        if (!path)
            status = DELE_ERR_MEMORY;
        else if (unlink(path))
            status = dele_fail_file(err, "remove", path);
    }
    closedir(list);
    return status;
}

dele_status dele_safetensors_save_dir(const dele_model *model, const char *dir, dele_dtype dtype,
                                      size_t limit, dele_err *err)
{
    dele_arena arena = {0};
    dele_status status = check_dtype(dir, dtype, err);
    shard *list = status ? NULL : DELE_NEW(&arena, shard, model->n_tensors, err);
    if (!status && !list) status = DELE_ERR_MEMORY;
    const size_t n = status ? 0 : cut(list, model, dtype, limit);
    for (size_t i = 0; i < n && !status; i++) {
        char name[NAME];
        shard_name(name, i, n);
        const char *path = dele_printf(&arena, err, "%s/%s", dir, name);
        status = path ? write_file(model, &list[i], path, dtype, err) : DELE_ERR_MEMORY;
    }
    if (!status && n > 1) {
        const char *path = dele_printf(&arena, err, "%s/model.safetensors.index.json", dir);
        status = path ? save_index(model, list, n, path, &arena, err) : DELE_ERR_MEMORY;
    }
    if (!status) status = remove_stale(dir, n, &arena, err);
    dele_arena_release(&arena);
    return status;
}
