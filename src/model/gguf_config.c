/* The config of a GGUF: the keys of the family's table, under llama.cpp's names. */
#include "model/gguf_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/config/config_read.h"
#include "model/families/families.h"
#include "model/gguf.h"
#include "model/gguf_rotation.h"

static void refuse_key(const dele_gguf *g, const char *key, const char *why, dele_err *err)
{
    dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: %s %s", g->file, key, why);
}

/* Whether the file has the key that it needs to be of the family; llama.cpp writes 0 for what a
 * model does not have. */
static bool has_key(const dele_gguf *g, const dele_family *f)
{
    double x = 1;
    const dele_gguf_pair *pair = dele_gguf_find(g, dele_gguf_name_of(f, f->gguf_key).text);
    if (pair) dele_gguf_value(&x, pair);
    return pair && x != 0;
}

/* The first family whose architecture the file has, and whose gguf_key, where it needs one. */
static const dele_family *find_family(const dele_gguf *g, dele_err *err)
{
    char names[150];
    for (size_t i = 0; i < dele_n_families; i++) {
        const dele_family *f = dele_families[i];
        if (dele_gguf_is(g, "general.architecture", f->gguf) && (!f->gguf_key || has_key(g, f)))
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
    return dele_gguf_is_rotation_key(family, name) || !strcmp(name, "tensor_data_layout");
}

/* Whether the value of a key that no row knows says that the model does without it: llama.cpp
 * writes 0 for what a model does not have.  Only attention is causal unless the key says otherwise.
 */
static bool is_without(const dele_gguf_pair *pair, const char *name)
{
    double x = -1;
    return dele_gguf_value(&x, pair) && x == (strcmp(name, "attention.causal") ? 0 : 1);
}

/* Refuses a part of a split model, and a file with a key under the architecture's name that no row
 * knows and whose value changes something. */
static dele_status check_names(const dele_family *family, const dele_gguf *g, dele_err *err)
{
    const size_t n_arch = strlen(family->gguf);
    if (dele_gguf_number(g, "split.count", 0, err) > 1)
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
    if (!row || !row->gguf) return NULL;
    dele_tensor_name(name, sizeof name, row->gguf, 0, 0);
    return dele_stored_find(g->tensor, g->n, name);
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

/* The number n of scores' factor 1 / sqrt(n): llama.cpp has no key for it, and takes the width of a
 * head, or in the model with so many layers that of the stream for each head. */
static int root_of(const dele_config *c, const dele_key_row *row)
{
    return c->n_layers == row->layers && c->n_heads ? c->hidden_size / c->n_heads : c->head_dim;
}

/* 0: the whole head. */
static int read_rotated(const dele_config *c, const dele_key_row *row, const char *key,
                        const dele_gguf *g, dele_err *err)
{
    const int n = dele_gguf_int(g, key, 1, c->head_dim, err);
    if (n == c->head_dim) return 0;
    if (!c->family->rotation || !c->family->rotation->fraction) refuse_key(g, key, row->why, err);
    return n;
}

/* Stores or checks one key.  A field without a key in GGUF follows from the file's tensors, or is
 * the row's value; the ids are read with those of the tokenizer (get_ids). */
static void read_key_value(dele_config *c, const dele_key_row *row, const dele_gguf *g,
                           dele_err *err)
{
    void *out = dele_key_field(c, row);
    const dele_gguf_name key = dele_gguf_name_of(c->family, row->gguf ? row->gguf : "");
    const bool has_absent = row->gguf || row->gguf_absent != DELE_REQUIRED;
    const double absent = has_absent ? dele_key_absent(c, row, row->gguf_absent) : row->value;
    switch (row->kind) {
    case DELE_HOLDS_SIZE:
        *(int *)out = dele_gguf_int(g, key.text, 1, floor(absent), err);
        break;
    case DELE_HOLDS_ROWS:
        *(int *)out = vocab_rows(g, c->family, err);
        break;
    case DELE_HOLDS_FACTOR: /* of training: no GGUF has one */
        *(float *)out = (float)row->value;
        break;
    case DELE_HOLDS_POSITIVE:
    case DELE_HOLDS_POSITIVE_OR_NONE:
        *(float *)out = (float)dele_gguf_number(g, key.text, absent, err);
        break;
    case DELE_HOLDS_ROTATION:
        dele_gguf_rotation(c, row, g, err);
        break;
    case DELE_HOLDS_ROTATED:
        c->rotary_dim = read_rotated(c, row, key.text, g, err);
        break;
    case DELE_HOLDS_ROOT:
        *(float *)out = 1 / sqrtf((float)root_of(c, row));
        break;
    case DELE_HOLDS_WINDOW:
        if (row->gguf) *(int *)out = dele_gguf_int(g, key.text, 0, absent, err);
        break;
    case DELE_HOLDS_LAYERS:
        dele_gguf_layers(c, g, err);
        break;
    case DELE_HOLDS_ACTIVATION:
        dele_activation_by_name(out, row->text);
        break;
    case DELE_HOLDS_FLAG:
        *(bool *)out = row->gguf ? dele_gguf_number(g, key.text, absent, err) != 0
                       : row->tensor == DELE_TENSOR_NONE
                           ? row->value != 0
                           : (row->tensor == DELE_TENSOR_PRESENT) ==
                                 (find_slot(g, c->family, row->slot) != NULL);
        break;
    case DELE_HOLDS_CONSTANT:
        if (row->gguf && (float)dele_gguf_number(g, key.text, absent, err) != (float)row->value)
            refuse_key(g, key.text, row->why, err);
        if (row->field) *(float *)out = (float)row->value;
        break;
    case DELE_HOLDS_FIELD:
        if (dele_gguf_int(g, key.text, 1, *(int *)out, err) != *(int *)out)
            refuse_key(g, key.text, row->why, err);
        break;
    case DELE_HOLDS_ID:
    case DELE_HOLDS_ENDS:
    case DELE_HOLDS_OTHER_ID:
    case DELE_HOLDS_UNSCALED:
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
    if (!dele_gguf_find(g, key)) return fallback < c->vocab ? fallback : -1;
    double x = dele_gguf_number(g, key, -1, err);
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
    const dele_gguf_pair *own = dele_gguf_find(g, DELE_GGUF_ENDS);
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
    const bool spm = dele_gguf_is(g, "tokenizer.ggml.model", "llama");
    c->bos = get_id(g, c, "tokenizer.ggml.bos_token_id", spm ? 1 : -1, err);
    c->eos = get_id(g, c, "tokenizer.ggml.eos_token_id", spm ? 2 : -1, err);
    c->pad = get_id(g, c, "tokenizer.ggml.padding_token_id", -1, err);
    get_ends(c, g, err);
}

dele_status dele_gguf_config(dele_config *config, const dele_gguf *g, dele_err *err)
{
    dele_err mine = {0};
    dele_config c = {.family = find_family(g, &mine)};
    if (c.family && !check_names(c.family, g, &mine)) {
        for (size_t i = 0; i < c.family->n_keys; i++)
            read_key_value(&c, &c.family->keys[i], g, &mine);
        get_ids(&c, g, &mine);
        if (c.family->gguf_renormalises) c.norm_topk_prob = true;
        dele_config_settle(&c);
        if (!mine.code) dele_config_check(&c, g->file, &mine);
    }
    if (mine.code) return dele_fail(err, mine.code, "%s", mine.msg);
    *config = c;
    return DELE_OK;
}
