/* From files to float32.
 *
 * The config says which tensors there must be; the file says which there are.  They are compared first, by name and
 * shape, every expected tensor exactly once and nothing left over, and only then is memory asked for: a file that
 * lies costs nothing. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "model/gguf.h"
#include "model/layout.h"
#include "model/safetensors.h"

typedef struct {
    lac_stored *list;
    size_t n;
    bool gguf;
    const char *path;
} source;

static const char *name_in(const source *s, const lac_tensor *t) { return s->gguf ? t->gguf_name : t->name; }

static bool ignored(const source *s, const char *name)
{
    const char *suffix = "rotary_emb.inv_freq";
    size_t n = strlen(name), k = strlen(suffix);
    return !s->gguf && n >= k && strcmp(name + n - k, suffix) == 0;
}

static bool same_bytes(const lac_stored *a, const lac_stored *b)
{
    return a->dtype == b->dtype && a->n_bytes == b->n_bytes &&
           (a->data == b->data || !memcmp(a->data, b->data, a->n_bytes));
}

/* A tied model's one matrix may be stored as the embedding, as the head, or as both when they agree. */
static lac_status settle_tie(lac_stored **embed, const source *s, const lac_config *c, lac_err *err)
{
    lac_stored *head = c->tied && !s->gguf ? lac_stored_find(s->list, s->n, "lm_head.weight") : NULL;
    if (!head) return LAC_OK;
    head->taken = true;
    if (*embed && !same_bytes(*embed, head))
        return lac_fail(
            err, LAC_ERR_FORMAT,
            "%s: tie_word_embeddings is true, but lm_head.weight differs from the embedding; set it to false", s->path);
    if (!*embed) *embed = head;
    return LAC_OK;
}

static lac_status check_shape(const lac_stored *stored, const lac_tensor *t, const char *name, lac_err *err)
{
    bool flat = t->part == LAC_PART_NORM;
    const size_t want[2] = {flat ? t->cols : t->rows, flat ? 1 : t->cols};
    bool fits = stored->n_dims == (flat ? 1 : 2) && stored->dims[0] == want[0] && (flat || stored->dims[1] == want[1]);
    if (fits) return LAC_OK;
    char is[100] = "";
    for (int i = 0, at = 0; i < stored->n_dims; i++)
        at += snprintf(is + at, sizeof is - (size_t)at, "%s%zu", i ? ", " : "", stored->dims[i]);
    if (flat)
        return lac_fail(err, LAC_ERR_FORMAT, "%s: %s has the shape [%s], but the config asks for [%zu]", stored->file,
                        name, is, want[0]);
    return lac_fail(err, LAC_ERR_FORMAT, "%s: %s has the shape [%s], but the config asks for [%zu, %zu]", stored->file,
                    name, is, want[0], want[1]);
}

/* stored[i] is where tensor i stands in the file. */
static lac_status match(const lac_stored **stored, const lac_model *model, source *s, lac_err *err)
{
    for (size_t i = 0; i < model->n_tensors; i++) {
        const lac_tensor *t = &model->tensors[i];
        const char *name = name_in(s, t);
        lac_stored *found = lac_stored_find(s->list, s->n, name);
        if (t->slot == LAC_SLOT_EMBED) {
            lac_status status = settle_tie(&found, s, &model->config, err);
            if (status) return status;
        }
        if (!found)
            return lac_fail(err, LAC_ERR_FORMAT, "%s: the tensor %s is missing; the config asks for it", s->path, name);
        lac_status status = check_shape(found, t, name, err);
        if (status) return status;
        found->taken = true;
        stored[i] = found;
    }
    for (size_t i = 0; i < s->n; i++)
        if (!s->list[i].taken && !ignored(s, s->list[i].name))
            return lac_fail(err, LAC_ERR_UNSUPPORTED, "%s: the tensor %.100s is not one that the config asks for",
                            s->path, s->list[i].name);
    return LAC_OK;
}

static lac_status read_tensor(lac_tensor *t, const lac_stored *stored, const lac_config *c, bool gguf,
                              lac_arena *scratch, lac_err *err)
{
    size_t n = t->rows * t->cols;
    if (!gguf || (t->slot != LAC_SLOT_Q && t->slot != LAC_SLOT_K)) {
        lac_dtype_read(t->data, stored->data, stored->dtype, n);
        return LAC_OK;
    }
    lac_arena_reset(scratch);
    float *pairs = lac_alloc_raw(scratch, n, sizeof *pairs, err);
    if (!pairs) return LAC_ERR_MEMORY;
    lac_dtype_read(pairs, stored->data, stored->dtype, n);
    size_t n_heads = (size_t)(t->slot == LAC_SLOT_Q ? c->n_heads : c->n_kv_heads);
    lac_gguf_unpermute(t->data, pairs, n_heads, (size_t)c->head_dim, t->cols);
    return LAC_OK;
}

static lac_status read_model(lac_model *model, source *s, const lac_config *config, lac_arena *arena, lac_err *err)
{
    lac_arena scratch = {0};
    lac_status status = lac_model_table(model, config, arena, err);
    const lac_stored **stored = status ? NULL : LAC_NEW(&scratch, const lac_stored *, model->n_tensors, err);
    if (!status && !stored) status = LAC_ERR_MEMORY;
    if (!status) status = match(stored, model, s, err);
    if (!status) status = lac_model_memory(model, false, arena, err);
    lac_arena pairs = {0};
    for (size_t i = 0; i < model->n_tensors && !status; i++)
        status = read_tensor(&model->tensors[i], stored[i], config, s->gguf, &pairs, err);
    lac_arena_release(&pairs);
    lac_arena_release(&scratch);
    return status;
}

/* ---- the two kinds of source ------------------------------------------------------------------------------------ */

static lac_status load_gguf(lac_model *model, const char *path, lac_arena *arena, lac_err *err)
{
    lac_gguf g = {0};
    lac_config config;
    lac_tokenizer_parts parts = {0};
    lac_status status = lac_gguf_open(&g, path, arena, err);
    if (!status) status = lac_gguf_config(&config, &g, err);
    if (!status) status = lac_gguf_tokenizer(&parts, &g, arena, err);
    if (!status) {
        source s = {g.tensor, g.n, true, path};
        status = read_model(model, &s, &config, arena, err);
    }
    if (!status && parts.kind) {
        model->tokenizer = lac_tokenizer_build(&parts, arena, err);
        if (!model->tokenizer) status = err ? err->code : LAC_ERR_FORMAT;
    }
    lac_gguf_close(&g);
    return status;
}

/* config.json, parsed and as text. */
static lac_status read_config(lac_config *config, char **text, const char *dir, lac_arena *arena, lac_err *err)
{
    const char *file = lac_printf(arena, err, "%s/config.json", dir);
    if (!file) return LAC_ERR_MEMORY;
    if (!lac_path_exists(file))
        return lac_fail(err, LAC_ERR_FILE,
                        "%s: no config.json there; MODEL is a Hugging Face directory or a .gguf file", dir);
    cJSON *json = lac_json_load(file, err);
    if (!json) return err ? err->code : LAC_ERR_FORMAT;
    lac_status status = lac_config_parse(config, json, file, err);
    cJSON_Delete(json);
    if (!status && !(*text = lac_file_read(file, arena, NULL, err))) status = LAC_ERR_FILE;
    return status;
}

static lac_status load_directory(lac_model *model, const char *dir, lac_arena *arena, lac_err *err)
{
    lac_config config;
    char *text = NULL;
    lac_safetensors st = {0};
    lac_status status = read_config(&config, &text, dir, arena, err);
    if (!status) status = lac_safetensors_open(&st, dir, arena, err);
    if (!status) {
        source s = {st.tensor, st.n, false, dir};
        status = read_model(model, &s, &config, arena, err);
        model->config_text = text;
    }
    lac_safetensors_close(&st);
    const char *tokenizer = status ? NULL : lac_printf(arena, err, "%s/tokenizer.json", dir);
    if (!status && !tokenizer) status = LAC_ERR_MEMORY;
    if (!status && lac_path_exists(tokenizer)) {
        model->tokenizer = lac_tokenizer_load(tokenizer, arena, err);
        if (!model->tokenizer) status = err ? err->code : LAC_ERR_FORMAT;
    }
    return status;
}

lac_status lac_model_load(lac_model *model, const char *path, lac_arena *arena, lac_err *err)
{
    lac_err mine = {0};
    *model = (lac_model){0};
    if (!lac_path_exists(path))
        return lac_fail(err, LAC_ERR_FILE,
                        "%s: no such file or directory; MODEL is a Hugging Face directory or a .gguf file", path);
    const char *kept = lac_strdup(arena, path, err);
    if (!kept) return LAC_ERR_MEMORY;
    lac_status status = lac_path_is_dir(path) ? load_directory(model, kept, arena, &mine)
                                              : load_gguf(model, kept, arena, &mine);
    if (!status && model->tokenizer) {
        const lac_config *c = &model->config;
        lac_tokenizer_set_ids(model->tokenizer, c->bos >= 0 ? c->bos : lac_tokenizer_bos(model->tokenizer),
                              c->eos >= 0 ? c->eos : lac_tokenizer_eos(model->tokenizer));
        int n = lac_tokenizer_size(model->tokenizer);
        if (n > model->config.vocab)
            status = lac_fail(&mine, LAC_ERR_FORMAT, "%s: the tokenizer has %d ids, but the embedding only %d rows",
                              path, n, model->config.vocab);
    }
    if (status) {
        lac_model_release(model);
        *model = (lac_model){0};
        return lac_fail(err, mine.code ? mine.code : status, "%s", mine.msg);
    }
    model->path = kept;
    return LAC_OK;
}

void lac_model_release(lac_model *model)
{
    lac_tokenizer_close(model->tokenizer);
    model->tokenizer = NULL;
    for (int l = 0; model->layers && l < model->config.n_layers; l++) {
        lac_layer *layer = &model->layers[l];
        gemm_packed **packed[] = {&layer->packed_qkv, &layer->packed_o, &layer->packed_gate_up, &layer->packed_down};
        for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
            gemm_packed_free(*packed[i]);
            *packed[i] = NULL;
        }
    }
    gemm_packed_free(model->packed_head);
    model->packed_head = NULL;
}

void lac_model_pack(lac_model *model)
{
    const lac_config *c = &model->config;
    size_t dim = (size_t)c->dim, hidden = (size_t)c->hidden, q_dim = lac_q_dim(c), qkv_dim = q_dim + 2 * lac_kv_dim(c);
    for (int l = 0; l < c->n_layers; l++) {
        lac_layer *layer = &model->layers[l];
        if (!layer->packed_qkv) layer->packed_qkv = gemm_pack(layer->q, qkv_dim, dim);
        if (!layer->packed_o) layer->packed_o = gemm_pack(layer->o, dim, q_dim);
        if (!layer->packed_gate_up) layer->packed_gate_up = gemm_pack(layer->gate, 2 * hidden, dim);
        if (!layer->packed_down) layer->packed_down = gemm_pack(layer->down, dim, hidden);
    }
    if (!model->packed_head) model->packed_head = gemm_pack(model->head, (size_t)c->vocab, dim);
}
