/* GGUF (github.com/ggml-org/ggml, docs/gguf.md), little-endian:
 *
 *   "GGUF"  u32 version  u64 n_tensors  u64 n_pairs
 *   n_pairs   x  [ string key | u32 type | value ]                  string: u64 length and bytes
 *   n_tensors x  [ string name | u32 n_dims | u64 dims, fastest first | u32 type | u64 offset ]
 *   padding to general.alignment (32 unless said), then the data, to which the offsets refer
 *
 * A cursor reads the mapped file and never passes its end.  The first read beyond the end marks the
 * cursor as failed; that read and all later ones give zeros. */
#include "model/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/foreign.h"
#include "base/json.h"
#include "model/families/families.h"

/* ---- cursor ---------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at, *end;
    bool broken;
} cursor;

static size_t left(const cursor *c) { return (size_t)(c->end - c->at); }

static const uint8_t *take(cursor *c, uint64_t n)
{
    if (c->broken || n > left(c)) {
        c->broken = true;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += n;
    return p;
}

static uint32_t take_u32(cursor *c)
{
    uint32_t x = 0;
    const uint8_t *p = take(c, sizeof x);
    if (p) memcpy(&x, p, sizeof x);
    return x;
}

static uint64_t take_u64(cursor *c)
{
    uint64_t x = 0;
    const uint8_t *p = take(c, sizeof x);
    if (p) memcpy(&x, p, sizeof x);
    return x;
}

/* A string as a NUL-terminated copy; NULL when broken, not UTF-8, or holding a NUL. */
static char *take_string(cursor *c, dele_arena *arena, dele_err *err)
{
    uint64_t n = take_u64(c);
    const uint8_t *p = take(c, n);
    if (p && (memchr(p, 0, n) || !dele_utf8_valid((const char *)p, n))) c->broken = true;
    return c->broken ? NULL : dele_strndup(arena, (const char *)p, n, err);
}

static size_t type_size(dele_gguf_type type)
{
    static const uint8_t size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return size[type];
}

static void skip_strings(cursor *c, uint64_t count)
{
    for (uint64_t i = 0; i < count && !c->broken; i++) take(c, take_u64(c));
}

/* ---- metadata -------------------------------------------------------------------------------- */

/* The type of a pair and where its value is; the value is stepped over, and read where it is asked
 * for.  Lists of lists, which no key has, break the cursor. */
static void take_value(dele_gguf_pair *pair, cursor *c)
{
    uint32_t type = take_u32(c);
    pair->count = 1;
    if (type > DELE_GGUF_F64) {
        c->broken = true;
        return;
    }
    pair->type = pair->item = (dele_gguf_type)type;
    if (type == DELE_GGUF_ARRAY) {
        uint32_t item = take_u32(c);
        pair->count = take_u64(c);
        if (item > DELE_GGUF_F64 || item == DELE_GGUF_ARRAY) {
            c->broken = true;
            return;
        }
        pair->item = (dele_gguf_type)item;
    }
    pair->value = c->at;
    if (pair->item == DELE_GGUF_STRING)
        skip_strings(c, pair->count);
    else if (pair->count > left(c) / type_size(pair->item))
        c->broken = true;
    else
        take(c, pair->count * type_size(pair->item));
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const dele_gguf_pair *)a)->key, ((const dele_gguf_pair *)b)->key);
}

/* g->pair is sorted by key. */
static const dele_gguf_pair *find_pair(const dele_gguf *g, const char *key)
{
    const dele_gguf_pair wanted = {.key = key};
    return g->n_pairs ? bsearch(&wanted, g->pair, g->n_pairs, sizeof wanted, by_key) : NULL;
}

/* A number of any type; false for strings and arrays. */
static bool pair_number(double *out, const dele_gguf_pair *pair)
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
    memcpy(&x, pair->value, type_size(pair->type));
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

/* The number at key, or fallback when it is absent; NAN as fallback makes it required. */
static double get_number(const dele_gguf *g, const char *key, double fallback, dele_err *err)
{
    const dele_gguf_pair *pair = find_pair(g, key);
    double x = fallback;
    if (pair ? !pair_number(&x, pair) || x != x : x != x)
        dele_fail(err, DELE_ERR_FORMAT, "%s: the metadata lacks a number %s", g->file, key);
    return x;
}

/* A whole number of least .. 2^30; another is an error.  fallback as above. */
static int get_int(const dele_gguf *g, const char *key, int least, double fallback, dele_err *err)
{
    double x = get_number(g, key, fallback, err);
    if (!(x >= least && x <= 1 << 30) || x != (double)(int)x) {
        dele_fail(err, DELE_ERR_FORMAT, "%s: %s is not an integer of %d or more", g->file, key,
                  least);
        return least;
    }
    return (int)x;
}

/* Does the string at key have this text? */
static bool pair_is(const dele_gguf *g, const char *key, const char *text)
{
    const dele_gguf_pair *pair = find_pair(g, key);
    uint64_t n = 0;
    if (!pair || pair->type != DELE_GGUF_STRING) return false;
    memcpy(&n, pair->value, sizeof n);
    return n == strlen(text) && memcmp(pair->value + sizeof n, text, n) == 0;
}

/* A copy of the string at key; NULL when absent, or with err set. */
static char *get_string(const dele_gguf *g, const char *key, dele_arena *arena, dele_err *err)
{
    const dele_gguf_pair *pair = find_pair(g, key);
    if (!pair) return NULL;
    cursor c = {pair->value, g->map.data + g->map.size, pair->type != DELE_GGUF_STRING};
    char *text = take_string(&c, arena, err);
    if (c.broken)
        dele_fail(err, DELE_ERR_FORMAT, "%s: %s is not a string of valid UTF-8", g->file, key);
    return text;
}

/* ---- tensors --------------------------------------------------------------------------------- */

static dele_status damaged(const dele_gguf *g, const char *what, dele_err *err)
{
    return dele_fail(err, DELE_ERR_FORMAT,
                     "%s: the GGUF header's %s are cut short or damaged; fetch the file again",
                     g->file, what);
}

/* offset[i] and type are kept apart from dele_stored until the data's start is known. */
static dele_status take_info(dele_stored *t, uint64_t *offset, cursor *c, const dele_gguf *g,
                             dele_arena *arena, dele_err *err)
{
    *t = (dele_stored){.file = g->file, .dims = {1, 1, 1, 1}};
    if (!(t->name = take_string(c, arena, err))) return damaged(g, "tensor names", err);
    uint32_t n_dims = take_u32(c);
    if (n_dims > 4)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: %.64s has %u dimensions; the header is damaged",
                         g->file, t->name, n_dims);
    t->n_dims = (int)n_dims;
    for (uint32_t i = 0; i < n_dims; i++) t->dims[n_dims - 1 - i] = take_u64(c);
    uint32_t type = take_u32(c);
    *offset = take_u64(c);
    if (c->broken) return damaged(g, "tensors", err);
    if ((t->dtype = dele_dtype_by_ggml(type)) == DELE_N_DTYPES)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: %.64s is stored in ggml's type %u; F32, F16, BF16, Q4_0, Q4_1, Q5_0, "
                         "Q5_1, Q8_0, Q4_K, Q5_K "
                         "and Q6_K are supported",
                         g->file, t->name, type);
    size_t n_items = 0;
    if (!dele_stored_measure(&n_items, &t->n_bytes, t))
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: the shape of %.64s does not fit its type; the header is damaged",
                         g->file, t->name);
    return DELE_OK;
}

/* Where the data of each tensor is, inside the file and apart from each other; then the list is
 * sorted by name. */
static dele_status place_tensors(dele_gguf *g, const uint64_t *offset, const cursor *c,
                                 dele_arena *arena, dele_err *err)
{
    double align = get_number(g, "general.alignment", 32, err);
    if (!(align >= 8 && align <= 1 << 20) || (size_t)align % 8 != 0)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: general.alignment is not a multiple of 8",
                         g->file);
    size_t header = (size_t)(c->at - g->map.data), step = (size_t)align;
    size_t start = (header + step - 1) / step * step;
    size_t room = start < g->map.size ? g->map.size - start : 0;
    for (size_t i = 0; i < g->n; i++) {
        dele_stored *t = &g->tensor[i];
        if (offset[i] % step != 0)
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s: the offset of %.64s is not aligned; the header is damaged",
                             g->file, t->name);
        if (offset[i] > room || t->n_bytes > room - offset[i])
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s: %.64s extends beyond the end of the file, which is cut short or "
                             "damaged; fetch it again",
                             g->file, t->name);
        t->data = g->map.data + (t->n_bytes ? start + offset[i] : 0);
    }
    const dele_stored **order = DELE_NEW(arena, const dele_stored *, g->n, err);
    if (!order) return DELE_ERR_MEMORY;
    dele_status status = dele_stored_disjoint(g->tensor, g->n, order, err);
    return status ? status : dele_stored_sort(g->tensor, g->n, err);
}

/* The head of the file, and its two counts.  A pair takes at least 13 bytes and a tensor 24: no
 * count can be larger than what is left allows. */
static dele_status read_head(uint64_t *n_tensors, uint64_t *n_pairs, cursor *c, const dele_gguf *g,
                             dele_err *err)
{
    const uint32_t magic = take_u32(c), version = take_u32(c);
    *n_tensors = take_u64(c), *n_pairs = take_u64(c);
    if (c->broken || magic != 0x46554747)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: not a GGUF file", g->file);
    if (version != 2 && version != 3)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: GGUF version %u is not supported; 2 and 3 are", g->file, version);
    if (*n_pairs > left(c) / 13 || *n_tensors > left(c) / 24 || *n_pairs > 1 << 16)
        return dele_fail(
            err, DELE_ERR_FORMAT,
            "%s: the header counts more than the file can hold; it is cut short or damaged",
            g->file);
    return DELE_OK;
}

static dele_status read_pairs(dele_gguf *g, uint64_t n_pairs, cursor *c, dele_arena *arena,
                              dele_err *err)
{
    if (!(g->pair = DELE_NEW(arena, dele_gguf_pair, (size_t)n_pairs, err))) return DELE_ERR_MEMORY;
    for (uint64_t i = 0; i < n_pairs; i++) {
        const char *key = take_string(c, arena, err);
        dele_gguf_pair pair = {.key = key};
        if (key) take_value(&pair, c);
        if (!key || c->broken) return damaged(g, "metadata", err);
        g->pair[g->n_pairs++] = pair;
    }
    if (n_pairs > 1) qsort(g->pair, g->n_pairs, sizeof *g->pair, by_key);
    for (size_t i = 1; i < g->n_pairs; i++)
        if (strcmp(g->pair[i - 1].key, g->pair[i].key) == 0)
            return dele_fail(err, DELE_ERR_FORMAT, "%s: the key %.100s appears twice", g->file,
                             g->pair[i].key);
    return DELE_OK;
}

static dele_status read_all(dele_gguf *g, dele_arena *arena, dele_err *err)
{
    uint64_t n_tensors, n_pairs;
    if (g->map.size < 24) /* data may be NULL */
        return dele_fail(err, DELE_ERR_FORMAT, "%s: not a GGUF file", g->file);
    cursor c = {g->map.data, g->map.data + g->map.size, false};
    dele_status status = read_head(&n_tensors, &n_pairs, &c, g, err);
    if (!status) status = read_pairs(g, n_pairs, &c, arena, err);
    if (status) return status;
    uint64_t *offset = DELE_NEW(arena, uint64_t, (size_t)n_tensors, err);
    g->tensor = DELE_NEW(arena, dele_stored, (size_t)n_tensors, err);
    if (!offset || !g->tensor) return DELE_ERR_MEMORY;
    for (; g->n < n_tensors; g->n++)
        if ((status = take_info(&g->tensor[g->n], &offset[g->n], &c, g, arena, err))) return status;
    return place_tensors(g, offset, &c, arena, err);
}

dele_status dele_gguf_open(dele_gguf *g, const char *file, dele_arena *arena, dele_err *err)
{
    *g = (dele_gguf){.file = file};
    dele_status status = dele_map_open(&g->map, file, err);
    const char *foreign = status ? NULL : dele_foreign_model(g->map.data, g->map.size);
    if (foreign) status = dele_fail(err, DELE_ERR_FORMAT, "%s %s", file, foreign);
    if (!status) status = read_all(g, arena, err);
    if (status) dele_gguf_close(g);
    return status;
}

void dele_gguf_close(dele_gguf *g)
{
    dele_map_close(&g->map);
    *g = (dele_gguf){0};
}

/* ---- config ---------------------------------------------------------------------------------- */

/* A key of the architecture: "ARCH." and the name. */
typedef struct {
    char text[96];
} arch_key;

static arch_key key_of(const dele_family *family, const char *name)
{
    arch_key key;
    snprintf(key.text, sizeof key.text, "%s.%s", family->gguf, name);
    return key;
}

static void refuse_key(const dele_gguf *g, const char *key, const char *why, dele_err *err)
{
    dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: %s %s", g->file, key, why);
}

/* The first family whose architecture the file has, and whose gguf_key, where it needs one. */
static const dele_family *find_family(const dele_gguf *g, dele_err *err)
{
    char names[150];
    for (size_t i = 0; i < dele_n_families; i++) {
        const dele_family *f = dele_families[i];
        if (pair_is(g, "general.architecture", f->gguf) &&
            (!f->gguf_key || find_pair(g, key_of(f, f->gguf_key).text)))
            return f;
    }
    dele_family_names(names, sizeof names, true, "or");
    dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: only GGUF files of architecture %s are supported",
              g->file, names);
    return NULL;
}

static bool is_known(const dele_family *family, const char *name)
{
    for (size_t i = 0; i < family->n_keys; i++)
        if (family->keys[i].gguf && !strcmp(name, family->keys[i].gguf)) return true;
    return !strcmp(name, "rope.scaling.type") || !strcmp(name, "tensor_data_layout");
}

/* Whether the value of a key that no row knows says that the model does without it: llama.cpp
 * writes 0 for what a model does not have.  Only attention is causal unless the key says otherwise.
 */
static bool is_without(const dele_gguf_pair *pair, const char *name)
{
    double x = -1;
    return pair_number(&x, pair) && x == (strcmp(name, "attention.causal") ? 0 : 1);
}

/* Refuses a file whose computation is another than that of the family's rows: a scaled rotation, a
 * part of a split model, or a key under the architecture's name that no row knows and whose value
 * changes something. */
static dele_status check_names(const dele_family *family, const dele_gguf *g, dele_err *err)
{
    const arch_key scaling = key_of(family, "rope.scaling.type");
    const size_t n_arch = strlen(family->gguf);
    if (find_pair(g, "rope.scaling.type") ||
        (find_pair(g, scaling.text) && !pair_is(g, scaling.text, "none")))
        return dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: %s is not supported; only \"none\" is",
                         g->file, scaling.text);
    if (get_number(g, "split.count", 0, err) > 1)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: split.count says that this is one of several files; join them first",
                         g->file);
    for (size_t i = 0; i < g->n_pairs; i++) {
        const char *key = g->pair[i].key;
        if (strncmp(key, family->gguf, n_arch) != 0 || key[n_arch] != '.') continue;
        const char *name = key + n_arch + 1;
        if (!is_known(family, name) && !is_without(&g->pair[i], name))
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "%s: the key %.100s may change the computation and is not supported",
                             g->file, key);
    }
    return DELE_OK;
}

/* The tensor of a slot; in layers, that of the first. */
static const dele_stored *find_slot(const dele_gguf *g, const dele_family *family, dele_slot slot)
{
    const dele_tensor_row *row = dele_family_tensor(family, slot);
    char name[64];
    if (row) dele_tensor_name(name, sizeof name, row->gguf, 0);
    return row ? dele_stored_find(g->tensor, g->n, name) : NULL;
}

/* The vocabulary size is the number of rows of the embedding. */
static int vocab_rows(const dele_gguf *g, const dele_family *family, dele_err *err)
{
    const dele_stored *t = find_slot(g, family, DELE_SLOT_EMBED);
    if (!t || t->n_dims != 2 || t->dims[0] > 1 << 24) {
        dele_fail(err, DELE_ERR_FORMAT, "%s: the tensor %s is missing or has no rows and columns",
                  g->file, dele_family_tensor(family, DELE_SLOT_EMBED)->gguf);
        return 0;
    }
    return (int)t->dims[0];
}

/* Stores or checks one key.  A field without a key in GGUF follows from the file's tensors, or is
 * the row's value; the ids are read with those of the tokenizer (get_ids). */
static void read_key_value(dele_config *c, const dele_key_row *row, const dele_gguf *g,
                           dele_err *err)
{
    void *out = dele_key_field(c, row);
    const arch_key key = key_of(c->family, row->gguf ? row->gguf : "");
    const double absent = row->gguf ? dele_key_absent(c, row, row->gguf_absent) : row->value;
    switch (row->kind) {
    case DELE_HOLDS_SIZE:
        *(int *)out = get_int(g, key.text, 1, floor(absent), err);
        break;
    case DELE_HOLDS_ROWS:
        *(int *)out = vocab_rows(g, c->family, err);
        break;
    case DELE_HOLDS_POSITIVE:
    case DELE_HOLDS_POSITIVE_OR_NONE:
        *(float *)out = (float)get_number(g, key.text, absent, err);
        break;
    case DELE_HOLDS_ROTATION:
        c->rope[0].theta = (float)get_number(g, key.text, absent, err);
        break;
    case DELE_HOLDS_ROTATED:
        if (get_int(g, key.text, 1, c->head_dim, err) != c->head_dim)
            refuse_key(g, key.text, row->why, err);
        break;
    case DELE_HOLDS_FLAG:
        *(bool *)out = row->tensor == DELE_TENSOR_NONE
                           ? row->value != 0
                           : (row->tensor == DELE_TENSOR_PRESENT) ==
                                 (find_slot(g, c->family, row->slot) != NULL);
        break;
    case DELE_HOLDS_CONSTANT:
        if (row->gguf && (float)get_number(g, key.text, absent, err) != (float)row->value)
            refuse_key(g, key.text, row->why, err);
        if (row->field) *(float *)out = (float)row->value;
        break;
    case DELE_HOLDS_FIELD:
        if (get_int(g, key.text, 1, *(int *)out, err) != *(int *)out)
            refuse_key(g, key.text, row->why, err);
        break;
    case DELE_HOLDS_ID:
    case DELE_HOLDS_ENDS:
    case DELE_HOLDS_OTHER_ID:
    case DELE_HOLDS_WINDOW:
    case DELE_HOLDS_LAYERS:
    case DELE_HOLDS_ROOT:
    case DELE_HOLDS_UNSCALED:
    case DELE_HOLDS_ACTIVATION:
    case DELE_HOLDS_FALSE:
    case DELE_HOLDS_PART:
    case DELE_HOLDS_RATE:
    case DELE_HOLDS_NOTHING:
        break;
    }
}

/* A token id; fallback (taken where the vocabulary holds it) when the key is absent. */
static int get_id(const dele_gguf *g, const dele_config *c, const char *key, int fallback,
                  dele_err *err)
{
    if (!find_pair(g, key)) return fallback < c->vocab ? fallback : -1;
    double x = get_number(g, key, -1, err);
    return dele_config_check_id(c, x, g->file, key, err) ? -1 : (int)x;
}

/* The ids that end a text: those of eos, eot and eom, as in llama.cpp.  A file that deleatur wrote
 * lists the model's own ids, of which there may be more or fewer (deleatur.end_token_ids). */
static void get_ends(dele_config *c, const dele_gguf *g, dele_err *err)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    static const char *const unused[] = {
        "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.seperator_token_id",
        "tokenizer.ggml.mask_token_id", "tokenizer.ggml.cls_token_id"};
    const dele_gguf_pair *own = find_pair(g, DELE_GGUF_ENDS);
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++) get_id(g, c, unused[i], -1, err);
    if (c->eos >= 0) dele_config_add_end(c, c->eos, g->file, err);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int id = get_id(g, c, keys[i], -1, err);
        if (id >= 0) dele_config_add_end(c, id, g->file, err);
    }
    if (!own) return;
    c->n_ends = 0;
    memset(c->ends, 0, sizeof c->ends);
    if (own->type != DELE_GGUF_ARRAY || own->item != DELE_GGUF_I32)
        dele_fail(err, DELE_ERR_FORMAT, "%s: %s is not a list of ids", g->file, own->key);
    for (uint64_t i = 0; !err->code && i < own->count; i++) {
        int32_t id;
        memcpy(&id, own->value + i * sizeof id, sizeof id);
        if (!dele_config_check_id(c, id, g->file, own->key, err) && id >= 0)
            dele_config_add_end(c, id, g->file, err);
    }
}

static void get_ids(dele_config *c, const dele_gguf *g, dele_err *err)
{
    const bool spm = pair_is(g, "tokenizer.ggml.model", "llama");
    c->bos = get_id(g, c, "tokenizer.ggml.bos_token_id", spm ? 1 : -1, err);
    c->eos = get_id(g, c, "tokenizer.ggml.eos_token_id", spm ? 2 : -1, err);
    c->pad = get_id(g, c, "tokenizer.ggml.padding_token_id", -1, err);
    get_ends(c, g, err);
}

bool dele_gguf_says(const dele_config *c)
{
    return !c->window && c->rope[0].type == DELE_ROPE_DEFAULT && c->activation == DELE_SILU &&
           !c->family->rotation && c->attn_scale == 0;
}

dele_status dele_gguf_config(dele_config *config, const dele_gguf *g, dele_err *err)
{
    dele_err mine = {0};
    dele_config c = {.family = find_family(g, &mine)};
    if (c.family && !check_names(c.family, g, &mine)) {
        for (size_t i = 0; i < c.family->n_keys; i++)
            read_key_value(&c, &c.family->keys[i], g, &mine);
        get_ids(&c, g, &mine);
        if (!mine.code && (!dele_gguf_says(&c) || c.family->slides == DELE_SLIDES_BETWEEN ||
                           dele_family_tensor(c.family, DELE_SLOT_POSITIONS)))
            dele_fail(&mine, DELE_ERR_UNSUPPORTED,
                      "%s: GGUF files of architecture %s are not supported yet", g->file,
                      c.family->gguf);
        if (!mine.code) dele_config_check(&c, g->file, &mine);
    }
    if (mine.code) return dele_fail(err, mine.code, "%s", mine.msg);
    *config = c;
    return DELE_OK;
}

/* ---- tokenizer ------------------------------------------------------------------------------- */

static const char *const *get_strings(size_t *n, const dele_gguf *g, const char *key,
                                      dele_arena *arena, dele_err *err)
{
    const dele_gguf_pair *pair = find_pair(g, key);
    *n = 0;
    if (!pair) return NULL;
    if (pair->type != DELE_GGUF_ARRAY || pair->item != DELE_GGUF_STRING) {
        dele_fail(err, DELE_ERR_FORMAT, "%s: %s is not a list of strings", g->file, key);
        return NULL;
    }
    const char **list = DELE_NEW(arena, const char *, (size_t)pair->count, err);
    cursor c = {pair->value, g->map.data + g->map.size, false};
    for (uint64_t i = 0; list && i < pair->count; i++)
        if (!(list[i] = take_string(&c, arena, err))) {
            dele_fail(err, DELE_ERR_FORMAT, "%s: item %llu of %s is not valid UTF-8", g->file,
                      (unsigned long long)i, key);
            return NULL;
        }
    *n = list ? (size_t)pair->count : 0;
    return list;
}

/* A list of n 4-byte items, copied; NULL when absent. */
static void *get_words(const dele_gguf *g, const char *key, dele_gguf_type item, size_t n,
                       dele_arena *arena, dele_err *err)
{
    const dele_gguf_pair *pair = find_pair(g, key);
    if (!pair) return NULL;
    bool fits = pair->item == item || (item == DELE_GGUF_I32 && pair->item == DELE_GGUF_U32);
    if (pair->type != DELE_GGUF_ARRAY || !fits || pair->count != n) {
        dele_fail(err, DELE_ERR_FORMAT, "%s: %s does not have one entry a token", g->file, key);
        return NULL;
    }
    void *copy = dele_alloc(arena, n, 4, err);
    if (copy && n) memcpy(copy, pair->value, n * 4);
    return copy;
}

static void get_vocabulary(dele_tokenizer_parts *p, const dele_gguf *g, dele_arena *arena,
                           dele_err *err)
{
    p->pre = get_string(g, "tokenizer.ggml.pre", arena, err);
    p->tokens = get_strings(&p->n_tokens, g, "tokenizer.ggml.tokens", arena, err);
    p->merges = get_strings(&p->n_merges, g, "tokenizer.ggml.merges", arena, err);
    p->types = get_words(g, "tokenizer.ggml.token_type", DELE_GGUF_I32, p->n_tokens, arena, err);
    p->scores = get_words(g, "tokenizer.ggml.scores", DELE_GGUF_F32, p->n_tokens, arena, err);
}

/* The special ids and what is added to a text; without a key, what llama.cpp assumes for the kind
 * and the pre-tokenizer. */
static void get_special(dele_tokenizer_parts *p, const dele_gguf *g, dele_err *err)
{
    const bool spm = strcmp(p->kind, "llama") == 0, adds_bos = spm || dele_pre_adds_bos(p->pre);
    p->bos = get_int(g, "tokenizer.ggml.bos_token_id", -1, spm ? 1 : -1, err);
    p->eos = get_int(g, "tokenizer.ggml.eos_token_id", -1, spm ? 2 : -1, err);
    p->unk = get_int(g, "tokenizer.ggml.unknown_token_id", -1, spm ? 0 : -1, err);
    p->pad = get_int(g, "tokenizer.ggml.padding_token_id", -1, -1, err);
    p->add_bos = get_number(g, "tokenizer.ggml.add_bos_token", adds_bos, err) != 0;
    p->add_eos = get_number(g, "tokenizer.ggml.add_eos_token", 0, err) != 0;
    if (p->add_bos && p->bos < 0)
        dele_fail(err, DELE_ERR_FORMAT,
                  "%s: its tokenizer puts a BOS before each text, but no "
                  "tokenizer.ggml.bos_token_id says which",
                  g->file);
    if (p->add_eos && p->eos < 0)
        dele_fail(err, DELE_ERR_FORMAT,
                  "%s: its tokenizer puts an EOS after each text, but no "
                  "tokenizer.ggml.eos_token_id says which",
                  g->file);
    p->add_space_prefix = get_number(g, "tokenizer.ggml.add_space_prefix", spm, err) != 0;
}

/* Without a list of types all tokens are normal, as ggml reads it. */
static void settle_types(dele_tokenizer_parts *p, dele_arena *arena, dele_err *err)
{
    int *types = p->types ? NULL : DELE_NEW(arena, int, p->n_tokens, err);
    for (size_t i = 0; types && i < p->n_tokens; i++) types[i] = 1;
    if (types) p->types = types;
}

static void check_ids(const dele_tokenizer_parts *p, const dele_gguf *g, dele_err *err)
{
    const int ids[] = {p->bos, p->eos, p->unk, p->pad};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i] >= 0 && (size_t)ids[i] >= p->n_tokens)
            dele_fail(err, DELE_ERR_FORMAT, "%s: a special token's id %d is beyond the %zu tokens",
                      g->file, ids[i], p->n_tokens);
}

dele_status dele_gguf_tokenizer(dele_tokenizer_parts *parts, const dele_gguf *g, dele_arena *arena,
                                dele_err *err)
{
    dele_err mine = {0};
    dele_tokenizer_parts p = {0};
    p.kind = get_string(g, "tokenizer.ggml.model", arena, &mine);
    if (p.kind && (!strcmp(p.kind, "none") || !strcmp(p.kind, "no_vocab"))) p.kind = NULL;
    if (p.kind) {
        get_vocabulary(&p, g, arena, &mine);
        get_special(&p, g, &mine);
        p.chat_template = get_string(g, "tokenizer.chat_template", arena, &mine);
        if (!p.tokens || p.n_tokens == 0)
            dele_fail(&mine, DELE_ERR_FORMAT, "%s: the tokenizer has no tokens", g->file);
        if (!mine.code) settle_types(&p, arena, &mine);
        if (!mine.code) check_ids(&p, g, &mine);
    }
    if (mine.code) return dele_fail(err, mine.code, "%s", mine.msg);
    *parts = p;
    return DELE_OK;
}

/* Where the keys are missing, llama.cpp finds the ids of eot and eom by their texts
 * (llama-vocab.cpp, load).  Its list has <|endoftext|> as well.  This one leaves it out, because
 * transformers does not stop there unless eos_token_id has it. */
dele_status dele_gguf_named_ends(dele_config *config, const dele_gguf *g,
                                 const dele_tokenizer_parts *parts, dele_err *err)
{
    static const char *const texts[] = {"<|eot_id|>",    "<|im_end|>", "<|end|>",
                                        "<end_of_turn>", "<EOT>",      "<end_of_utterance>",
                                        "<|eom_id|>"};
    const size_t n_texts = sizeof texts / sizeof *texts;
    dele_status status = DELE_OK;
    if (find_pair(g, DELE_GGUF_ENDS)) return DELE_OK;
    const bool has_eot = find_pair(g, "tokenizer.ggml.eot_token_id"),
               has_eom = find_pair(g, "tokenizer.ggml.eom_token_id");
    for (size_t i = 0; i < parts->n_tokens && i < (size_t)config->vocab && !status; i++)
        for (size_t k = has_eot ? n_texts - 1 : 0; k < n_texts - has_eom && !status; k++)
            if (!strcmp(parts->tokens[i], texts[k]))
                status = dele_config_add_end(config, (int)i, g->file, err);
    return status;
}
