/* Loading a model into float32.
 *
 * The tensors that the config requires and those of the file are
 * compared first, by name and shape: every expected tensor exactly once, and no other.  Memory is
 * allocated afterwards, so that a damaged file fails without allocating. */
#include <stdio.h>
#include <string.h>

#include "base/former.h"
#include "base/json.h"
#include "model/gguf.h"
#include "model/layout.h"
#include "model/safetensors.h"

typedef struct {
    dele_stored *list;
    size_t n;
    bool gguf;
    const char *path;
} source;

static const char *name_in(const source *s, const dele_tensor *t)
{
    return s->gguf ? t->gguf_name : t->name;
}

static bool ignored(const source *s, const char *name)
{
    const char *suffix = "rotary_emb.inv_freq";
    size_t n = strlen(name), k = strlen(suffix);
    return !s->gguf && n >= k && strcmp(name + n - k, suffix) == 0;
}

static bool same_bytes(const dele_stored *a, const dele_stored *b)
{
    return a->dtype == b->dtype && a->n_bytes == b->n_bytes &&
           (a->data == b->data || !memcmp(a->data, b->data, a->n_bytes));
}

/* A tied model's one matrix may be stored as the embedding, as the head, or as both when they
 * agree. */
static dele_status settle_tie(dele_stored **embed, const source *s, const dele_config *c,
                              dele_err *err)
{
    dele_stored *head =
        c->tied && !s->gguf ? dele_stored_find(s->list, s->n, "lm_head.weight") : NULL;
    if (!head) return DELE_OK;
    head->taken = true;
    if (*embed && !same_bytes(*embed, head))
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: tie_word_embeddings is true, but lm_head.weight differs from the "
                         "embedding; set it to false",
                         s->path);
    if (!*embed) *embed = head;
    return DELE_OK;
}

static dele_status check_shape(const dele_stored *stored, const dele_tensor *t, const char *name,
                               dele_err *err)
{
    bool flat = t->vector;
    const size_t want[2] = {flat ? t->cols : t->rows, flat ? 1 : t->cols};
    bool fits = stored->n_dims == (flat ? 1 : 2) && stored->dims[0] == want[0] &&
                (flat || stored->dims[1] == want[1]);
    if (fits) return DELE_OK;
    char is[100] = "";
    for (int i = 0, at = 0; i < stored->n_dims; i++)
        at += snprintf(is + at, sizeof is - (size_t)at, "%s%zu", i ? ", " : "", stored->dims[i]);
    if (flat)
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: %s has the shape [%s], but the config requires [%zu]", stored->file,
                         name, is, want[0]);
    return dele_fail(err, DELE_ERR_FORMAT,
                     "%s: %s has the shape [%s], but the config requires [%zu, %zu]", stored->file,
                     name, is, want[0], want[1]);
}

/* stored[i] is where tensor i is in the file. */
static dele_status match(const dele_stored **stored, const dele_model *model, source *s,
                         dele_err *err)
{
    for (size_t i = 0; i < model->n_tensors; i++) {
        const dele_tensor *t = &model->tensors[i];
        const char *name = name_in(s, t);
        dele_stored *found = dele_stored_find(s->list, s->n, name);
        if (t->slot == DELE_SLOT_EMBED) {
            dele_status status = settle_tie(&found, s, &model->config, err);
            if (status) return status;
        }
        if (!found)
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s: the tensor %s is missing; the config requires it", s->path, name);
        dele_status status = check_shape(found, t, name, err);
        if (status) return status;
        found->taken = true;
        stored[i] = found;
    }
    for (size_t i = 0; i < s->n; i++)
        if (!s->list[i].taken && !ignored(s, s->list[i].name))
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "%s: the config does not have the tensor %.100s", s->path,
                             s->list[i].name);
    return DELE_OK;
}

/* A NaN or infinite weight makes every result of the model meaningless, and some results look
 * valid: the argmax of NaN is id 0.  Every command loads its model here, so such a file is refused
 * here. */
static dele_status read_finite(float *out, const dele_stored *stored, size_t n, dele_err *err)
{
    if (dele_dtype_read(out, stored->data, stored->dtype, n)) return DELE_OK;
    return dele_fail(
        err, DELE_ERR_DATA,
        "%s: %.100s holds a weight that is not finite (NaN or infinite): the model is broken",
        stored->file, stored->name);
}

static dele_status read_tensor(dele_tensor *t, const dele_stored *stored, const dele_config *c,
                               bool gguf, dele_arena *scratch, dele_err *err)
{
    size_t n = t->rows * t->cols;
    if (!gguf || t->row->gguf_form != DELE_FORM_PAIRED) return read_finite(t->data, stored, n, err);
    dele_arena_reset(scratch);
    float *pairs = dele_alloc_raw(scratch, n, sizeof *pairs, err);
    if (!pairs) return DELE_ERR_MEMORY;
    if (read_finite(pairs, stored, n, err)) return DELE_ERR_DATA;
    size_t n_heads = (size_t)(t->slot == DELE_SLOT_Q ? c->n_heads : c->n_kv_heads);
    dele_gguf_unpermute(t->data, pairs, n_heads, (size_t)c->head_dim, t->cols);
    return DELE_OK;
}

static dele_status read_model(dele_model *model, source *s, const dele_config *config,
                              dele_arena *arena, dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = dele_model_table(model, config, arena, err);
    const dele_stored **stored =
        status ? NULL : DELE_NEW(&scratch, const dele_stored *, model->n_tensors, err);
    if (!status && !stored) status = DELE_ERR_MEMORY;
    if (!status) status = match(stored, model, s, err);
    if (!status) status = dele_model_memory(model, false, arena, err);
    dele_arena pairs = {0};
    for (size_t i = 0; i < model->n_tensors && !status; i++)
        status = read_tensor(&model->tensors[i], stored[i], config, s->gguf, &pairs, err);
    dele_arena_release(&pairs);
    dele_arena_release(&scratch);
    return status;
}

/* ---- the two kinds of source ----------------------------------------------------------------- */

static dele_status load_gguf(dele_model *model, const char *path, dele_arena *arena, dele_err *err)
{
    dele_gguf g = {0};
    dele_config config;
    dele_tokenizer_parts parts = {0};
    dele_status status = dele_gguf_open(&g, path, arena, err);
    if (!status) status = dele_gguf_config(&config, &g, err);
    for (size_t i = 0; !status && i < g.n_pairs; i++)
        if (!strncmp(g.pair[i].key, DELE_FORMER_NAME ".", sizeof DELE_FORMER_NAME)) {
            dele_remark("%s was written by version 0.1; what its keys " DELE_FORMER_NAME
                        ".* say of it is not read",
                        path);
            break;
        }
    if (!status) status = dele_gguf_tokenizer(&parts, &g, arena, err);
    if (!status) status = dele_gguf_named_ends(&config, &g, &parts, err);
    if (!status) {
        source s = {g.tensor, g.n, true, path};
        status = read_model(model, &s, &config, arena, err);
    }
    if (!status && parts.kind) {
        model->tokenizer = dele_tokenizer_build(&parts, arena, err);
        if (!model->tokenizer) status = err ? err->code : DELE_ERR_FORMAT;
    }
    dele_gguf_close(&g);
    return status;
}

/* config.json, parsed and as text. */
static dele_status read_config(dele_config *config, char **text, const char *dir, dele_arena *arena,
                               dele_err *err)
{
    const char *file = dele_printf(arena, err, "%s/config.json", dir);
    if (!file) return DELE_ERR_MEMORY;
    if (!dele_path_exists(file))
        return dele_fail(
            err, DELE_ERR_FILE,
            "%s: there is no config.json; MODEL is a Hugging Face directory or a .gguf file", dir);
    cJSON *json = dele_json_load(file, err);
    if (!json) return err ? err->code : DELE_ERR_FORMAT;
    dele_status status = dele_config_parse(config, json, file, err);
    cJSON_Delete(json);
    if (!status && !(*text = dele_file_read(file, arena, NULL, err))) status = DELE_ERR_FILE;
    return status;
}

/* generation_config.json, where there is one. */
static dele_status read_generation(dele_config *config, const char *dir, dele_arena *arena,
                                   dele_err *err)
{
    const char *file = dele_printf(arena, err, "%s/generation_config.json", dir);
    if (!file) return DELE_ERR_MEMORY;
    if (!dele_path_exists(file)) return DELE_OK;
    cJSON *json = dele_json_load(file, err);
    if (!json) return err ? err->code : DELE_ERR_FORMAT;
    dele_status status = dele_config_read_generation(config, json, file, err);
    cJSON_Delete(json);
    return status;
}

static dele_status load_directory(dele_model *model, const char *dir, dele_arena *arena,
                                  dele_err *err)
{
    dele_config config;
    char *text = NULL;
    dele_safetensors st = {0};
    dele_status status = dele_model_check_files(dir, err);
    if (!status) status = read_config(&config, &text, dir, arena, err);
    if (!status) status = read_generation(&config, dir, arena, err);
    if (!status) status = dele_safetensors_open(&st, dir, arena, err);
    if (!status) {
        source s = {st.tensor, st.n, false, dir};
        status = read_model(model, &s, &config, arena, err);
        model->config_text = text;
    }
    dele_safetensors_close(&st);
    const char *tokenizer = status ? NULL : dele_printf(arena, err, "%s/tokenizer.json", dir);
    if (!status && !tokenizer) status = DELE_ERR_MEMORY;
    if (!status && dele_path_exists(tokenizer)) {
        model->tokenizer = dele_tokenizer_load(tokenizer, arena, err);
        if (!model->tokenizer) status = err ? err->code : DELE_ERR_FORMAT;
    }
    return status;
}

dele_status dele_model_settle_tokenizer(dele_model *model, const char *where, dele_err *err)
{
    const dele_config *c = &model->config;
    dele_tokenizer *t = model->tokenizer;
    dele_tokenizer_set_ids(t, c->bos >= 0 ? c->bos : dele_tokenizer_bos(t),
                           c->eos >= 0 ? c->eos : dele_tokenizer_eos(t));
    dele_tokenizer_limit(t, c->vocab);
    if (dele_tokenizer_size(t) <= c->vocab) return DELE_OK;
    return dele_fail(err, DELE_ERR_FORMAT,
                     "%s: the tokenizer has %d ids, but the embedding only %d rows", where,
                     dele_tokenizer_size(t), c->vocab);
}

dele_status dele_model_load(dele_model *model, const char *path, dele_arena *arena, dele_err *err)
{
    dele_err mine = {0};
    *model = (dele_model){0};
    if (!dele_path_exists(path))
        return dele_fail(
            err, DELE_ERR_FILE,
            "%s: no such file or directory; MODEL is a Hugging Face directory or a .gguf file",
            path);
    const char *kept = dele_strdup(arena, path, err);
    if (!kept) return DELE_ERR_MEMORY;
    if (dele_former_checkpoint(path))
        dele_remark("%s is a checkpoint of version 0.1; what its folder " DELE_FORMER_NAME
                    "/ says of it is not read",
                    path);
    dele_status status = dele_path_is_dir(path) ? load_directory(model, kept, arena, &mine)
                                                : load_gguf(model, kept, arena, &mine);
    if (!status && model->tokenizer) status = dele_model_settle_tokenizer(model, path, &mine);
    if (status) {
        dele_model_release(model);
        *model = (dele_model){0};
        return dele_fail(err, mine.code ? mine.code : status, "%s", mine.msg);
    }
    model->path = kept;
    return DELE_OK;
}

void dele_model_release(dele_model *model)
{
    dele_tokenizer_close(model->tokenizer);
    model->tokenizer = NULL;
    for (int l = 0; model->layers && l < model->config.n_layers; l++) {
        dele_layer *layer = &model->layers[l];
        gemm_packed **packed[] = {&layer->packed_qkv, &layer->packed_o, &layer->packed_gate_up,
                                  &layer->packed_down};
        for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
            gemm_packed_free(*packed[i]);
            *packed[i] = NULL;
        }
    }
    gemm_packed_free(model->packed_head);
    model->packed_head = NULL;
}

void dele_model_pack(dele_model *model)
{
    const dele_config *c = &model->config;
    size_t d_model = (size_t)c->hidden_size, d_ff = (size_t)c->intermediate_size,
           q_dim = dele_q_dim(c), qkv_dim = q_dim + 2 * dele_kv_dim(c);
    for (int l = 0; l < c->n_layers; l++) {
        dele_layer *layer = &model->layers[l];
        if (!layer->packed_qkv) layer->packed_qkv = gemm_pack(layer->q, qkv_dim, d_model);
        if (!layer->packed_o) layer->packed_o = gemm_pack(layer->o, d_model, q_dim);
        if (!layer->packed_gate_up)
            layer->packed_gate_up = gemm_pack(layer->gate, 2 * d_ff, d_model);
        if (!layer->packed_down) layer->packed_down = gemm_pack(layer->down, d_model, d_ff);
    }
    if (!model->packed_head) model->packed_head = gemm_pack(model->head, (size_t)c->vocab, d_model);
}
