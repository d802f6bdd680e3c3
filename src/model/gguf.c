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
    else if (pair->count > left(c) / dele_gguf_item_bytes(pair->item))
        c->broken = true;
    else
        take(c, pair->count * dele_gguf_item_bytes(pair->item));
}

/* A copy of the string at key; NULL when absent, or with err set. */
static char *get_string(const dele_gguf *g, const char *key, dele_arena *arena, dele_err *err)
{
    const dele_gguf_pair *pair = dele_gguf_find(g, key);
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
    double align = dele_gguf_number(g, "general.alignment", 32, err);
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
    if (n_pairs > 1) qsort(g->pair, g->n_pairs, sizeof *g->pair, dele_gguf_by_key);
    for (size_t i = 1; i < g->n_pairs; i++)
        if (strcmp(g->pair[i - 1].key, g->pair[i].key) == 0)
            return dele_fail(err, DELE_ERR_FORMAT, "%s: the key %.100s appears twice", g->file,
                             g->pair[i].key);
    return DELE_OK;
}

dele_status dele_gguf_parse(dele_gguf *g, dele_arena *arena, dele_err *err)
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
    if (!status) status = dele_gguf_parse(g, arena, err);
    if (status) dele_gguf_close(g);
    return status;
}

void dele_gguf_close(dele_gguf *g)
{
    dele_map_close(&g->map);
    *g = (dele_gguf){0};
}

/* ---- tokenizer ------------------------------------------------------------------------------- */

static const char *const *get_strings(size_t *n, const dele_gguf *g, const char *key,
                                      dele_arena *arena, dele_err *err)
{
    const dele_gguf_pair *pair = dele_gguf_find(g, key);
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
    const dele_gguf_pair *pair = dele_gguf_find(g, key);
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
    p->bos = dele_gguf_int(g, "tokenizer.ggml.bos_token_id", -1, spm ? 1 : -1, err);
    p->eos = dele_gguf_int(g, "tokenizer.ggml.eos_token_id", -1, spm ? 2 : -1, err);
    p->unk = dele_gguf_int(g, "tokenizer.ggml.unknown_token_id", -1, spm ? 0 : -1, err);
    p->pad = dele_gguf_int(g, "tokenizer.ggml.padding_token_id", -1, -1, err);
    p->add_bos = dele_gguf_number(g, "tokenizer.ggml.add_bos_token", adds_bos, err) != 0;
    p->add_eos = dele_gguf_number(g, "tokenizer.ggml.add_eos_token", 0, err) != 0;
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
    p->add_space_prefix = dele_gguf_number(g, "tokenizer.ggml.add_space_prefix", spm, err) != 0;
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
    if (dele_gguf_find(g, DELE_GGUF_ENDS)) return DELE_OK;
    const bool has_eot = dele_gguf_find(g, "tokenizer.ggml.eot_token_id"),
               has_eom = dele_gguf_find(g, "tokenizer.ggml.eom_token_id");
    for (size_t i = 0; i < parts->n_tokens && i < (size_t)config->vocab && !status; i++)
        for (size_t k = has_eot ? n_texts - 1 : 0; k < n_texts - has_eom && !status; k++)
            if (!strcmp(parts->tokens[i], texts[k]))
                status = dele_config_add_end(config, (int)i, g->file, err);
    return status;
}
