/* safetensors (github.com/huggingface/safetensors):
 *
 *   [ u64 length n | n bytes: JSON, padded with blanks | data ]
 *   {"__metadata__": {...},
 *    "name": {"dtype": "BF16", "shape": [r, c], "data_offsets": [begin, end]}, ...}
 *
 * Offsets count from the start of the data.  The format asks that the tensors fill the data without
 * holes and without overlaps; a file that does not is refused, as the reference reader does.  Every
 * size and offset of the header is checked against the file's size before it is used. */
#include "model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { HEADER_LIMIT = 100 << 20 }; /* the reference reader's limit as well */

/* ---- header ---------------------------------------------------------------------------------- */

/* A whole number of 0 .. 2^53, which a double holds exactly. */
static bool read_count(size_t *out, const cJSON *item)
{
    if (!cJSON_IsNumber(item)) return false;
    double x = item->valuedouble;
    if (!(x >= 0 && x <= 0x1p53)) return false;
    *out = (size_t)x;
    return (double)*out == x;
}

/* Types that no weight has, but buffers beside the weights, such as causal masks. */
typedef struct {
    const char *name;
    size_t bytes;
} item_type;
static const item_type *other_type(const char *name)
{
    static const item_type types[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"I16", 2}, {"U16", 2},
                                      {"I32", 4},  {"U32", 4}, {"I64", 8}, {"U64", 8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name)) return &types[i];
    return NULL;
}

/* The bytes that the shape takes; false: more than fit. */
static bool measure(size_t *n_bytes, const dele_stored *t, const item_type *other)
{
    size_t n = 1;
    if (!other) return dele_stored_measure(&n, n_bytes, t);
    for (int i = 0; i < t->n_dims; i++)
        if (__builtin_mul_overflow(n, t->dims[i], &n)) return false;
    return !__builtin_mul_overflow(n, other->bytes, n_bytes);
}

/* The members of a header entry: these three, and no other. */
typedef struct {
    const cJSON *dtype, *shape, *offsets;
} members;

/* Any other member is an error: an entry with one is not of the format that this reader checks. */
static dele_status read_members(members *e, const dele_stored *t, const cJSON *item, dele_err *err)
{
    *e = (members){cJSON_GetObjectItemCaseSensitive(item, "dtype"),
                   cJSON_GetObjectItemCaseSensitive(item, "shape"),
                   cJSON_GetObjectItemCaseSensitive(item, "data_offsets")};
    if (!cJSON_IsObject(item) || !cJSON_IsString(e->dtype) || !cJSON_IsArray(e->shape) ||
        cJSON_GetArraySize(e->offsets) != 2)
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: the header entry of %.100s lacks dtype, shape or data_offsets",
                         t->file, t->name);
    if (dele_dtype_by_name(e->dtype->valuestring) > DELE_DTYPE_BF16 &&
        !other_type(e->dtype->valuestring))
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: %.100s is stored as %.20s; F32, F16 and BF16 are supported", t->file,
                         t->name, e->dtype->valuestring);
    for (const cJSON *key = item->child; key; key = key->next)
        if (key != e->dtype && key != e->shape && key != e->offsets)
            return dele_fail(
                err, DELE_ERR_FORMAT,
                "%s: the header entry of %.100s has a key \"%.60s\" that does not belong "
                "there, or has one twice",
                t->file, t->name, key->string);
    return DELE_OK;
}

/* Two offsets in order, within the data. */
static dele_status read_offsets(size_t *begin, size_t *end, const dele_stored *t,
                                const cJSON *offsets, size_t data_size, dele_err *err)
{
    if (!read_count(begin, cJSON_GetArrayItem(offsets, 0)) ||
        !read_count(end, cJSON_GetArrayItem(offsets, 1)) || *begin > *end)
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: the data_offsets of %.100s are not two offsets in order", t->file,
                         t->name);
    if (*end > data_size)
        return dele_fail(
            err, DELE_ERR_FORMAT,
            "%s: %.100s ends at byte %zu of %zu; the file is cut short or damaged, fetch it again",
            t->file, t->name, *end, data_size);
    return DELE_OK;
}

static dele_status read_entry(dele_stored *t, const cJSON *item, const char *file,
                              const uint8_t *data, size_t data_size, dele_err *err)
{
    members e;
    size_t begin = 0, end = 0;
    *t = (dele_stored){.name = item->string, .file = file, .dims = {1, 1, 1, 1}};
    dele_status status = read_members(&e, t, item, err);
    if (status) return status;
    const item_type *other = other_type(e.dtype->valuestring);
    if (other)
        t->other_type = other->name;
    else
        t->dtype = dele_dtype_by_name(e.dtype->valuestring);
    for (const cJSON *d = e.shape->child; d; d = d->next)
        if (t->n_dims == 4 || !read_count(&t->dims[t->n_dims++], d))
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s: the shape of %.100s does not have one to four dimensions", file,
                             t->name);
    if ((status = read_offsets(&begin, &end, t, e.offsets, data_size, err))) return status;
    if (!measure(&t->n_bytes, t, other) || t->n_bytes != end - begin)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: the shape of %.100s does not fit its %zu bytes",
                         file, t->name, end - begin);
    t->data = data + begin;
    return DELE_OK;
}

static bool is_metadata(const cJSON *item)
{
    if (!cJSON_IsObject(item)) return false;
    for (const cJSON *text = item->child; text; text = text->next)
        if (!cJSON_IsString(text)) return false;
    return true;
}

/* Every entry of a header, whose tensors fill the data without holes and without overlaps. */
static dele_status read_entries(dele_stored *list, size_t *n, const cJSON *json, const char *file,
                                const uint8_t *data, size_t data_size, dele_arena *arena,
                                dele_err *err)
{
    size_t total = 0, n_metadata = 0;
    dele_stored *t = list;
    for (const cJSON *item = json->child; item; item = item->next) {
        if (strcmp(item->string, "__metadata__") == 0) {
            if (n_metadata++ || !is_metadata(item))
                return dele_fail(err, DELE_ERR_FORMAT,
                                 "%s: __metadata__ must be an object whose values are strings",
                                 file);
            continue;
        }
        dele_status status = read_entry(t, item, file, data, data_size, err);
        if (status) return status;
        total += t->n_bytes;
        if (!(t->name = dele_strdup(arena, t->name, err))) return DELE_ERR_MEMORY;
        t++;
    }
    *n = (size_t)(t - list);
    const dele_stored **order = DELE_NEW(arena, const dele_stored *, *n, err);
    if (!order) return DELE_ERR_MEMORY;
    dele_status status = dele_stored_disjoint(list, *n, order, err);
    if (!status && total != data_size)
        status = dele_fail(
            err, DELE_ERR_FORMAT,
            "%s: the tensors take %zu bytes, but %zu follow the header; the file is damaged", file,
            total, data_size);
    return status;
}

/* Whether the text has U+0000, escaped or not: cJSON's strings end there, so that another name
 * would be read than the file has. */
static bool has_zero(const char *text, size_t n)
{
    static const char zero[] = "\\u0000";
    const size_t k = sizeof zero - 1;
    if (memchr(text, 0, n)) return true;
    for (const char *at = text, *end = text + n; (at = memchr(at, '\\', (size_t)(end - at))); at++)
        if ((size_t)(end - at) >= k && !memcmp(at, zero, k)) return true;
    return false;
}

/* One file's tensors, in the arena. */
static dele_status read_header(dele_stored **list, size_t *n, const dele_map *map, const char *file,
                               dele_arena *arena, dele_err *err)
{
    uint64_t length = 0;
    if (map->size >= 8) memcpy(&length, map->data, 8);
    if (map->size < 8 || length > map->size - 8 || length > HEADER_LIMIT || length < 2)
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: not a safetensors file (a header of %llu bytes in a file of %zu)",
                         file, (unsigned long long)length, map->size);
    const char *text = (const char *)map->data + 8;
    if (!dele_utf8_valid(text, length))
        return dele_fail(err, DELE_ERR_FORMAT, "%s: the safetensors header is not valid UTF-8",
                         file);
    if (has_zero(text, length))
        return dele_fail(err, DELE_ERR_FORMAT, "%s: U+0000 in the safetensors header", file);
    const char *end = NULL;
    cJSON *json = text[0] == '{' ? cJSON_ParseWithLengthOpts(text, length, &end, false) : NULL;
    dele_status status = DELE_OK;
    if (!cJSON_IsObject(json))
        status = dele_fail(err, DELE_ERR_FORMAT, "%s: the safetensors header is not a JSON object",
                           file);
    for (; !status && end < text + length; end++)
        if (*end != ' ')
            status = dele_fail(err, DELE_ERR_FORMAT,
                               "%s: something other than blanks is after the JSON of the "
                               "safetensors header; the file is damaged",
                               file);
    size_t room = json ? (size_t)cJSON_GetArraySize(json) : 0;
    if (!status && !(*list = DELE_NEW(arena, dele_stored, room, err))) status = DELE_ERR_MEMORY;
    if (!status)
        status = read_entries(*list, n, json, file, map->data + 8 + length,
                              map->size - 8 - (size_t)length, arena, err);
    cJSON_Delete(json);
    return status;
}

/* ---- one file, many files -------------------------------------------------------------------- */

static dele_status open_file(dele_safetensors *st, const char *file, dele_stored **list, size_t *n,
                             dele_arena *arena, dele_err *err)
{
    dele_map map = {0};
    dele_status status = dele_map_open(&map, file, err);
    if (status) return status;
    st->map[st->n_maps++] = map;
    return read_header(list, n, &map, file, arena, err);
}

static dele_status open_single(dele_safetensors *st, const char *file, dele_arena *arena,
                               dele_err *err)
{
    if (!(st->map = DELE_NEW(arena, dele_map, 1, err))) return DELE_ERR_MEMORY;
    return open_file(st, file, &st->tensor, &st->n, arena, err);
}

/* One line of the index: a tensor and the shard that holds it. */
typedef struct {
    const char *name, *shard;
} placed;

static int by_shard_and_name(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    const int order = strcmp(x->shard, y->shard);
    return order ? order : strcmp(x->name, y->name);
}

/* The weight_map by shard and name; shards must be names inside the directory. */
static dele_status read_index(placed *entry, const cJSON *weight_map, const char *index,
                              dele_err *err)
{
    size_t n = 0;
    for (const cJSON *item = weight_map->child; item; item = item->next) {
        if (!cJSON_IsString(item) || !item->valuestring[0] || strchr(item->valuestring, '/'))
            return dele_fail(err, DELE_ERR_FORMAT, "%s: the shard of %.100s is not a file name",
                             index, item->string);
        entry[n++] = (placed){item->string, item->valuestring};
    }
    qsort(entry, n, sizeof *entry, by_shard_and_name);
    for (size_t i = 1; i < n; i++)
        if (by_shard_and_name(&entry[i - 1], &entry[i]) == 0)
            return dele_fail(err, DELE_ERR_FORMAT, "%s: the tensor %.100s appears twice", index,
                             entry[i].name);
    return DELE_OK;
}

/* Checks that a shard holds exactly the tensors that the index lists for it: entries[0 .. said),
 * sorted by name. */
static dele_status check_shard(dele_stored *list, size_t n, const placed *entries, size_t said,
                               const char *index, dele_err *err)
{
    const char *shard = entries->shard;
    dele_status status = dele_stored_sort(list, n, err);
    if (status) return status;
    if (said != n)
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: the index places %zu tensors in %s, which holds %zu", index, said,
                         shard, n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(entries[i].name, list[i].name))
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s: the tensor %.100s is in %s, where the index does not place it",
                             index, list[i].name, shard);
    }
    return DELE_OK;
}

static size_t count_shards(const placed *entry, size_t n)
{
    size_t count = n > 0;
    for (size_t i = 1; i < n; i++) count += strcmp(entry[i - 1].shard, entry[i].shard) != 0;
    return count;
}

/* The shards that an index names, one after the other in the order of their names; each holds the
 * tensors that the index says, and no other. */
static dele_status open_shards(dele_safetensors *st, const char *dir, const char *index,
                               const cJSON *json, dele_arena *arena, dele_err *err)
{
    const cJSON *weight_map = cJSON_GetObjectItemCaseSensitive(json, "weight_map");
    if (!cJSON_IsObject(weight_map) || !weight_map->child)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: no \"weight_map\" object", index);
    const size_t n_entries = (size_t)cJSON_GetArraySize(weight_map);
    placed *entry = DELE_NEW(arena, placed, n_entries, err);
    if (!entry || read_index(entry, weight_map, index, err))
        return entry ? DELE_ERR_FORMAT : DELE_ERR_MEMORY;
    const size_t n_shards = count_shards(entry, n_entries);
    st->map = DELE_NEW(arena, dele_map, n_shards, err);
    st->tensor = DELE_NEW(arena, dele_stored, n_entries, err);
    if (!st->map || !st->tensor) return DELE_ERR_MEMORY;
    dele_status status = DELE_OK;
    for (size_t i = 0, next; i < n_entries; i = next) {
        const char *file = dele_printf(arena, err, "%s/%s", dir, entry[i].shard);
        dele_stored *list = NULL;
        size_t n = 0;
        for (next = i + 1; next < n_entries && strcmp(entry[i].shard, entry[next].shard) == 0;)
            next++;
        if (!file) return DELE_ERR_MEMORY;
        if (!dele_path_exists(file))
            return dele_fail(
                err, DELE_ERR_FILE,
                "%s: this shard, one of %zu that the index names, is missing; fetch it", file,
                n_shards);
        if ((status = open_file(st, file, &list, &n, arena, err))) return status;
        if ((status = check_shard(list, n, &entry[i], next - i, index, err))) return status;
        if (n) memcpy(st->tensor + st->n, list, n * sizeof *list);
        st->n += n;
    }
    return DELE_OK;
}

bool dele_safetensors_there(const char *dir)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin", "pytorch_model.bin.index.json"};
    dele_arena arena = {0};
    bool there = false;
    for (size_t i = 0; i < sizeof names / sizeof *names && !there; i++) {
        const char *path = dele_printf(&arena, NULL, "%s/%s", dir, names[i]);
        there = !path || dele_path_exists(path); /* without memory for it: opening says so */
    }
    dele_arena_release(&arena);
    return there;
}

dele_status dele_safetensors_open(dele_safetensors *st, const char *dir, dele_arena *arena,
                                  dele_err *err)
{
    *st = (dele_safetensors){0};
    const char *single = dele_printf(arena, err, "%s/model.safetensors", dir);
    const char *index = dele_printf(arena, err, "%s/model.safetensors.index.json", dir);
    if (!single || !index) return DELE_ERR_MEMORY;
    dele_status status = DELE_OK;
    if (dele_path_exists(single)) {
        status = open_single(st, single, arena, err);
    } else if (dele_path_exists(index)) {
        cJSON *json = dele_json_load(index, err);
        status = json ? open_shards(st, dir, index, json, arena, err) : DELE_ERR_FORMAT;
        cJSON_Delete(json);
    } else {
        const bool pickled = dele_safetensors_there(dir);
        status = dele_fail(
            err, DELE_ERR_FILE,
            "%s: there is neither model.safetensors nor model.safetensors.index.json%s", dir,
            pickled ? "; pytorch_model.bin is not read: "
                      "AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT) makes "
                      "safetensors files of it"
                    : "");
    }
    if (!status) status = dele_stored_sort(st->tensor, st->n, err);
    if (status) dele_safetensors_close(st);
    return status;
}

dele_status dele_safetensors_open_file(dele_safetensors *st, const char *file, dele_arena *arena,
                                       dele_err *err)
{
    *st = (dele_safetensors){0};
    dele_status status = open_single(st, file, arena, err);
    if (!status) status = dele_stored_sort(st->tensor, st->n, err);
    if (status) dele_safetensors_close(st);
    return status;
}

void dele_safetensors_close(dele_safetensors *st)
{
    for (size_t i = 0; i < st->n_maps; i++) dele_map_close(&st->map[i]);
    *st = (dele_safetensors){0};
}
