/* Loading a model: its tensors are found in the mapped files.
 *
 * The tensors that the config requires and those of the file are compared first, by name and shape:
 * every expected tensor exactly once, and no other.  Memory is allocated afterwards, so that a
 * damaged file fails without allocating. */
#include <stdio.h>
#include <string.h>

#include "base/former.h"
#include "base/json.h"
#include "model/config/config_text.h"
#include "model/form.h"
#include "model/gguf.h"
#include "model/gguf_config.h"
#include "model/gguf_rotation.h"
#include "model/layout.h"
#include "model/safetensors.h"
#include "text/tokenizer_vocab.h"

typedef struct {
    dele_stored *list;
    size_t n;
    bool gguf;
    dele_file_kind kind;
    bool weights; /* they are read too, not the headers alone */
    const char *path;
} source;

/* Buffers that older versions of transformers wrote with the weights: the frequencies of the
 * rotation, and the causal mask with the value that it puts in place of a score.  In a GGUF, what
 * the config has been read from. */
static bool ignored(const source *s, const dele_config *c, const char *name)
{
    static const char *const suffixes[] = {"rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias",
                                           ".attention.bias", ".attention.masked_bias"};
    const size_t n = strlen(name);
    if (s->gguf && dele_gguf_divisors(NULL, c) && !strcmp(name, DELE_GGUF_DIVISORS)) return true;
    for (size_t i = 0; !s->gguf && i < sizeof suffixes / sizeof *suffixes; i++) {
        const size_t k = strlen(suffixes[i]);
        if (n >= k && strcmp(name + n - k, suffixes[i]) == 0) return true;
    }
    return false;
}

/* A tensor of another part of a model that also reads images. */
static bool beside(const source *s, const dele_config *c, const char *name)
{
    const char *const *begin = s->gguf ? NULL : c->family->beside;
    for (; begin && *begin; begin++)
        if (!strncmp(name, *begin, strlen(*begin))) return true;
    return false;
}

/* A tensor by its own name, or by one with another prefix of the family's. */
static dele_stored *find(const source *s, const dele_family *family, const char *name)
{
    dele_stored *found = dele_stored_find(s->list, s->n, name);
    for (size_t i = 0; !found && !s->gguf && i < family->n_prefixes; i++) {
        const dele_prefix *prefix = &family->prefixes[i];
        const size_t n = strlen(prefix->name);
        char other[160];
        if (strncmp(name, prefix->name, n) != 0) continue;
        snprintf(other, sizeof other, "%s%s", prefix->other, name + n);
        found = dele_stored_find(s->list, s->n, other);
    }
    return found;
}

static bool same_bytes(const dele_stored *a, const dele_stored *b)
{
    return !a->other_type && !b->other_type && a->dtype == b->dtype && a->n_bytes == b->n_bytes &&
           (a->data == b->data || !memcmp(a->data, b->data, a->n_bytes));
}

/* A tied model's one matrix may be stored as the embedding, as the head, or as both when they
 * agree, which is looked at where weights are read. */
static dele_status settle_tie(dele_stored **embed, const source *s, const dele_config *c,
                              dele_err *err)
{
    const dele_tensor_row *row = dele_family_tensor(c->family, DELE_SLOT_HEAD);
    dele_stored *head = row && c->tied && !s->gguf ? find(s, c->family, row->hf) : NULL;
    if (!head) return DELE_OK;
    head->taken = true;
    if (*embed && s->weights && !same_bytes(*embed, head))
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: tie_word_embeddings is true, but %s differs from the embedding; set "
                         "it to false",
                         s->path, row->hf);
    if (!*embed) *embed = head;
    return DELE_OK;
}

/* A directory may hold the experts of a layer as one tensor: the first of them decides. */
static void settle_kind(source *s, const dele_model *model)
{
    size_t i = 0;
    if (s->gguf || !model->config.family->stacked) return;
    while (i < model->n_tensors && model->tensors[i].expert < 0) i++;
    if (i == model->n_tensors) return;
    const dele_file_tensor f = dele_file_tensor_at(model, i, DELE_FILE_STACKED);
    if (!find(s, model->config.family, model->tensors[i].hf_name) &&
        find(s, model->config.family, f.name))
        s->kind = DELE_FILE_STACKED;
}

/* stored[i] is where tensor i is in the file. */
static dele_status match(const dele_stored **stored, const dele_model *model, source *s,
                         dele_err *err)
{
    dele_file_tensor f;
    for (size_t i = 0; i < model->n_tensors; i = f.next) {
        f = dele_file_tensor_at(model, i, s->kind);
        dele_stored *found = find(s, model->config.family, f.name);
        if (f.tensor->slot == DELE_SLOT_EMBED) {
            dele_status status = settle_tie(&found, s, &model->config, err);
            if (status) return status;
        }
        if (!found)
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s: the tensor %s is missing; the config requires it", s->path,
                             f.name);
        dele_status status = dele_file_check(&f, found, err);
        if (status) return status;
        found->taken = true;
        for (size_t j = 0; j < f.n; j++) stored[i + dele_file_place(&f, j)] = found;
    }
    size_t n_beside = 0;
    for (size_t i = 0; i < s->n; i++) {
        const bool is_beside = !s->list[i].taken && beside(s, &model->config, s->list[i].name);
        n_beside += is_beside;
        if (!is_beside && !s->list[i].taken && !ignored(s, &model->config, s->list[i].name))
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "%s: the config does not have the tensor %.100s", s->path,
                             s->list[i].name);
    }
    if (n_beside)
        dele_remark(
            "%s also holds %zu tensors of parts that do not read text; they are not read, and "
            "what is saved is the text model alone",
            s->path, n_beside);
    return DELE_OK;
}

/* ---- where the weights are ------------------------------------------------------------------- */

/* A vector and the learned positions are read at once: they are in no product, and small. */
static bool read_at_once(const dele_tensor *t)
{
    return t->vector || t->slot == DELE_SLOT_POSITIONS;
}

static dele_status read_group(dele_tensor *group, size_t n, dele_arena *arena, dele_err *err)
{
    if (dele_group_memory(group, n, false, arena, err)) return DELE_ERR_MEMORY;
    for (size_t j = 0; j < n; j++) {
        dele_tensor *t = &group[j];
        dele_part_rows(t->data, &t->stored, t->vector ? 1 : t->cols, 0,
                       t->vector ? t->cols : t->rows);
    }
    return DELE_OK;
}

static dele_status place(dele_model *model, const dele_stored *const *stored, dele_file_kind kind,
                         dele_arena *arena, dele_err *err)
{
    dele_status status = DELE_OK;
    dele_file_tensor f;
    for (size_t i = 0; i < model->n_tensors; i = f.next) {
        f = dele_file_tensor_at(model, i, kind);
        for (size_t j = 0; j < f.n; j++)
            model->tensors[i + dele_file_place(&f, j)].stored =
                dele_file_part(&f, j, stored[i]->data, stored[i]->dtype);
    }
    for (size_t i = 0, n; i < model->n_tensors && !status; i += n) {
        n = dele_model_group(model, i);
        if (read_at_once(&model->tensors[i]))
            status = read_group(&model->tensors[i], n, arena, err);
    }
    if (!status) dele_model_point(model);
    return status;
}

/* A NaN or infinite weight makes every result of the model meaningless, and some results look
 * valid: the argmax of NaN is id 0.  Every command that computes loads its model here, so such a
 * file is refused here.  What has been copied was checked while it was read. */
static dele_status check_finite(const dele_model *model, dele_err *err)
{
    dele_status status = DELE_OK;
    for (size_t i = 0; i < model->n_tensors && !status; i++) {
        const dele_tensor *t = &model->tensors[i];
        if (!t->data || read_at_once(t)) status = dele_tensor_finite(model, t, err);
    }
    return status;
}

static dele_status read_model(dele_model *model, source *s, const dele_config *config,
                              dele_arena *arena, dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = dele_model_table(model, config, arena, err);
    const dele_stored **stored =
        status ? NULL : DELE_NEW(&scratch, const dele_stored *, model->n_tensors, err);
    if (!status && !stored) status = DELE_ERR_MEMORY;
    if (!status) settle_kind(s, model);
    if (!status) status = match(stored, model, s, err);
    if (!status) status = place(model, stored, s->kind, arena, err);
    dele_arena_release(&scratch);
    return status;
}

/* ---- the two kinds of source ----------------------------------------------------------------- */

/* The config decides before the tokenizer is built: a file that is refused costs little.  The map
 * becomes the model's, whose matrices point into it. */
static dele_status load_gguf(dele_model *model, const char *path, bool weights, dele_arena *arena,
                             dele_err *err)
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
        source s = {g.tensor, g.n, true, DELE_FILE_GGUF, weights, path};
        status = read_model(model, &s, &config, arena, err);
    }
    if (!status && (model->map = DELE_NEW(arena, dele_map, 1, err))) {
        model->map[model->n_maps++] = g.map;
        g.map = (dele_map){0};
    }
    if (!status && !model->map) status = DELE_ERR_MEMORY;
    if (!status && parts.kind) {
        model->tokenizer = dele_tokenizer_build(&parts, arena, err);
        if (!model->tokenizer) status = err ? err->code : DELE_ERR_FORMAT;
    }
    dele_gguf_close(&g);
    return status;
}

/* config.json, parsed and as text: of a config with other parts the model's own. */
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
    const bool within = dele_config_part(json) != json;
    cJSON_Delete(json);
    if (!status && !(*text = dele_file_read(file, arena, NULL, err))) status = DELE_ERR_FILE;
    size_t begin = 0, end = 0;
    if (status || !within || !dele_config_find(&begin, &end, *text, DELE_CONFIG_PART))
        return status;
    *text = dele_strndup(arena, *text + begin, end - begin, err);
    return *text ? DELE_OK : DELE_ERR_MEMORY;
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

/* The number type that a config.json names; float32 where it names none, as transformers has it. */
static dele_dtype named_type(const char *config_text)
{
    static const char *const keys[] = {"dtype", "torch_dtype"};
    dele_dtype type = DELE_DTYPE_F32;
    cJSON *json = cJSON_Parse(config_text);
    for (int i = 1; i >= 0; i--) {
        const char *word = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, keys[i]));
        if (word && !strcmp(word, "bfloat16")) type = DELE_DTYPE_BF16;
        if (word && !strcmp(word, "float16")) type = DELE_DTYPE_F16;
        if (word && !strcmp(word, "float32")) type = DELE_DTYPE_F32;
    }
    cJSON_Delete(json);
    return type;
}

/* A model of a directory that has no weights yet. */
static dele_status without_weights(dele_model *model, const dele_config *config, const char *text,
                                   dele_arena *arena, dele_err *err)
{
    dele_status status = dele_model_table(model, config, arena, err);
    const dele_dtype type = named_type(text);
    for (size_t i = 0; !status && i < model->n_tensors; i++)
        model->tensors[i].stored = (dele_matrix_part){.type = type, .rows = model->tensors[i].rows};
    if (!status) dele_model_point(model);
    return status;
}

/* The files of a directory are checked before one of them is read.  weights: they must be there. */
static dele_status load_directory(dele_model *model, const char *dir, bool weights,
                                  dele_arena *arena, dele_err *err)
{
    dele_config config;
    char *text = NULL;
    dele_safetensors st = {0};
    dele_status status = dele_model_check_files(dir, err);
    if (!status) status = read_config(&config, &text, dir, arena, err);
    if (!status) status = read_generation(&config, dir, arena, err);
    if (!status && !weights && !dele_safetensors_there(dir)) {
        status = without_weights(model, &config, text, arena, err);
    } else if (!status) {
        status = dele_safetensors_open(&st, dir, arena, err);
        source s = {st.tensor, st.n, false, DELE_FILE_HF, weights, dir};
        if (!status) status = read_model(model, &s, &config, arena, err);
        model->map = st.map;
        model->n_maps = st.n_maps;
    }
    model->config_text = text;
    const char *tokenizer = status ? NULL : dele_tokenizer_find(dir, arena, err);
    if (!status && !tokenizer && err) status = err->code;
    if (tokenizer) {
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

/* After a failure nothing stays open, and the model is empty. */
static dele_status give_up(dele_model *model, dele_status status)
{
    dele_model_release(model);
    *model = (dele_model){0};
    return status;
}

static dele_status open_model(dele_model *model, const char *path, bool weights, dele_arena *arena,
                              dele_err *err)
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
    dele_status status = dele_path_is_dir(path) ? load_directory(model, kept, weights, arena, &mine)
                                                : load_gguf(model, kept, weights, arena, &mine);
    if (!status && model->tokenizer) status = dele_model_settle_tokenizer(model, path, &mine);
    if (status)
        return give_up(model, dele_fail(err, mine.code ? mine.code : status, "%s", mine.msg));
    model->path = kept;
    return DELE_OK;
}

dele_status dele_model_open(dele_model *model, const char *path, dele_arena *arena, dele_err *err)
{
    return open_model(model, path, false, arena, err);
}

dele_status dele_model_map(dele_model *model, const char *path, dele_arena *arena, dele_err *err)
{
    return open_model(model, path, true, arena, err);
}

dele_status dele_model_load(dele_model *model, const char *path, dele_arena *arena, dele_err *err)
{
    dele_status status = open_model(model, path, true, arena, err);
    if (!status && check_finite(model, err)) return give_up(model, DELE_ERR_DATA);
    return status;
}

dele_status dele_memory_check(int memory, dele_err *err)
{
    if (memory >= 0) return DELE_OK;
    return dele_fail(err, DELE_ERR_USAGE, "--memory %d: give MiB, at least 0", memory);
}

dele_status dele_model_ready(dele_model *model, int memory, size_t passes, dele_err *err)
{
    const bool plain = passes > DELE_FEW_PASSES;
    dele_status status = dele_model_widen_some(model, (size_t)memory << 20, plain, NULL, err);
    return status ? status : check_finite(model, err);
}

dele_status dele_model_load_for(dele_model *model, const char *path, int memory, size_t passes,
                                dele_arena *arena, dele_err *err)
{
    dele_status status = dele_memory_check(memory, err);
    if (!status) status = dele_model_map(model, path, arena, err);
    if (status) return status;
    status = dele_model_ready(model, memory, passes, err);
    return status ? give_up(model, status) : DELE_OK;
}

dele_status dele_model_load_wide(dele_model *model, const char *path, int memory, dele_arena *arena,
                                 dele_err *err)
{
    return dele_model_load_for(model, path, memory, SIZE_MAX, arena, err);
}

void dele_model_release(dele_model *model)
{
    dele_tokenizer_close(model->tokenizer);
    model->tokenizer = NULL;
    for (size_t i = 0; i < model->n_tensors; i++) {
        dele_matrix *w = dele_group_matrix(model, &model->tensors[i]);
        if (!w) continue;
        gemm_packed_free(w->packed);
        w->packed = NULL;
    }
    for (size_t i = 0; i < model->n_maps; i++) dele_map_close(&model->map[i]);
    model->n_maps = 0;
    dele_arena_release(&model->copies);
}
