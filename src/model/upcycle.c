#include "model/upcycle.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "model/config/config_compare.h"
#include "model/layout.h"

/* ---- the config ------------------------------------------------------------------------------ */

/* The families that can be upcycled, as a list: llama and mistral. */
static void upcyclable(char *text, size_t size)
{
    size_t n = 0, listed = 0, used = 0;
    text[0] = 0;
    for (size_t i = 0; i < dele_n_families; i++) n += dele_families[i]->upcycled != NULL;
    for (size_t i = 0; i < dele_n_families && used < size; i++) {
        if (!dele_families[i]->upcycled) continue;
        const char *between = listed == 0 ? "" : listed + 1 == n ? " and " : ", ";
        used += (size_t)snprintf(text + used, size - used, "%s%s", between, dele_families[i]->hf);
        listed++;
    }
}

dele_status dele_upcycle_check(const dele_upcycle_options *o, dele_err *err)
{
    if (o->experts < 1 || o->experts > DELE_MAX_EXPERTS)
        return dele_fail(err, DELE_ERR_USAGE, "upcycle: --experts %d: give 1 to %d", o->experts,
                         DELE_MAX_EXPERTS);
    if (o->top_k < 1 || o->top_k > o->experts)
        return dele_fail(err, DELE_ERR_USAGE, "upcycle: --top-k %d: give 1 to --experts (%d)",
                         o->top_k, o->experts);
    if (!(o->router_std > 0) || !isfinite(o->router_std))
        return dele_fail(err, DELE_ERR_USAGE, "upcycle: --router-std %g: give a positive number",
                         o->router_std);
    if (!(o->noise >= 0 && o->noise <= 1))
        return dele_fail(err, DELE_ERR_USAGE, "upcycle: --noise %g: give 0 to 1", o->noise);
    if (o->seed < 0)
        return dele_fail(err, DELE_ERR_USAGE,
                         "upcycle: --seed %d: give a whole number of at least 0", o->seed);
    return DELE_OK;
}

static dele_status check_family(const dele_model *dense, dele_err *err)
{
    const dele_config *c = &dense->config;
    char families[300];
    upcyclable(families, sizeof families);
    if (c->n_experts)
        return dele_fail(err, DELE_ERR_UNSUPPORTED, "%s is a mixture of experts already",
                         dense->path);
    if (!c->family->upcycled)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: no mixture of experts of transformers has the block of %s; %s can be "
                         "upcycled",
                         dense->path, c->family->hf, families);
    return DELE_OK;
}

/* The factor of the balancing loss that the family's config has where it does not say one. */
static float default_aux_coef(const dele_config *c)
{
    for (size_t i = 0; i < c->family->n_keys; i++) {
        const dele_key_row *row = &c->family->keys[i];
        if (row->field == DELE_FIELD(router_aux_coef))
            return (float)dele_key_absent(c, row, row->hf_absent);
    }
    return 0;
}

/* c: as it is read from the config.json that will be written of it, which shows what the family has
 * no key for. */
static dele_status write_and_read(dele_config *c, const char *path, dele_err *err)
{
    char where[160];
    cJSON *json = dele_config_json(c);
    char *text = json ? cJSON_Print(json) : NULL;
    cJSON *again = text ? cJSON_Parse(text) : NULL;
    snprintf(where, sizeof where, "%.100s as %s", path, c->family->hf);
    dele_status status = again ? dele_config_parse(c, again, where, err)
                               : dele_fail(err, DELE_ERR_MEMORY, "%s: out of memory", where);
    cJSON_Delete(again);
    cJSON_free(text);
    cJSON_Delete(json);
    return status;
}

/* The dense model's config with experts in every layer; then the same of the other family, which
 * must say the same.  Ids of ends may be in generation_config.json, and are the dense model's. */
static dele_status mixture_config(dele_config *c, const dele_model *dense,
                                  const dele_upcycle_options *o, dele_err *err)
{
    dele_config wanted = dense->config;
    wanted.n_experts = o->experts;
    wanted.top_k = o->top_k;
    wanted.expert_size = wanted.intermediate_size;
    wanted.norm_topk_prob = true;
    for (int l = 0; l < wanted.n_layers; l++) wanted.layer_kind[l] |= DELE_LAYER_SPARSE;
    *c = wanted;
    c->family = dense->config.family->upcycled;
    c->router_aux_coef = default_aux_coef(c);
    if (write_and_read(c, dense->path, err)) return err->code;
    c->bos = wanted.bos, c->eos = wanted.eos, c->pad = wanted.pad, c->n_ends = wanted.n_ends;
    memcpy(c->ends, wanted.ends, sizeof c->ends);
    const char *lost = dele_config_difference(NULL, &wanted, c, DELE_SAME_MODEL);
    if (!lost) return DELE_OK;
    return dele_fail(err, DELE_ERR_UNSUPPORTED,
                     "%s cannot be upcycled: the config of %s cannot express its %s", dense->path,
                     c->family->hf, lost);
}

/* ---- the tensors ----------------------------------------------------------------------------- */

static dele_slot dense_slot(dele_slot slot)
{
    switch (slot) {
    case DELE_SLOT_EXPERT_GATE:
        return DELE_SLOT_GATE;
    case DELE_SLOT_EXPERT_UP:
        return DELE_SLOT_UP;
    case DELE_SLOT_EXPERT_DOWN:
        return DELE_SLOT_DOWN;
    default:
        return slot;
    }
}

/* A router in the type of the layer's MLP, where files have that type, as its file would hold it:
 * a file of several types would be read in one of them by transformers. */
static dele_status make_router(dele_tensor *t, dele_dtype type, double std, dele_rng *rng,
                               dele_arena *arena, dele_err *err)
{
    const size_t n = t->rows * t->cols;
    float *draws = dele_alloc_raw(arena, n, sizeof *draws, err);
    void *stored = draws ? dele_alloc_raw(arena, n, dele_dtype_of(type)->bytes, err) : NULL;
    if (!stored) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) draws[i] = (float)(std * dele_rng_normal(rng));
    if (!dele_dtype_write(stored, draws, type, n))
        return dele_fail(err, DELE_ERR_DATA,
                         "upcycle: a weight of %s is too large for %s; give a "
                         "smaller --router-std",
                         t->name, dele_dtype_of(type)->name);
    t->stored = (dele_matrix_part){.data = stored, .type = type, .rows = t->rows};
    return DELE_OK;
}

/* Tensor i of the mixture; taken [n_tensors of the dense one]: what has been copied. */
static dele_status take_tensor(dele_model *mixture, size_t i, bool *taken, const dele_model *dense,
                               const dele_upcycle_options *o, dele_err *err)
{
    dele_tensor *t = &mixture->tensors[i];
    const dele_tensor *from = dele_model_tensor(dense, dense_slot(t->slot), t->layer);
    if (!from || from->rows != t->rows || from->cols != t->cols)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s cannot be upcycled: it has no tensor of the shape of %s in %s",
                         dense->path, t->name, mixture->config.family->hf);
    taken[from - dense->tensors] = true;
    t->stored = from->stored;
    t->data = from->data;
    t->trained = from->trained;
    if (o->noise > 0 && dele_slot_of_expert(t->slot)) {
        t->noise = (dele_tensor_noise){(float)o->noise, (uint64_t)o->seed << 32 | i};
        t->trained = true;
    }
    return DELE_OK;
}

static dele_status take_tensors(dele_model *mixture, const dele_model *dense,
                                const dele_upcycle_options *o, dele_arena *arena, dele_err *err)
{
    dele_rng rng;
    dele_status status = DELE_OK;
    bool *taken = DELE_NEW(arena, bool, dense->n_tensors, err);
    if (!taken) return DELE_ERR_MEMORY;
    dele_rng_seed(&rng, (uint64_t)o->seed);
    for (size_t i = 0; i < mixture->n_tensors && !status; i++) {
        dele_tensor *t = &mixture->tensors[i];
        if (t->slot != DELE_SLOT_ROUTER) {
            status = take_tensor(mixture, i, taken, dense, o, err);
            continue;
        }
        const dele_tensor *up = dele_model_tensor(dense, DELE_SLOT_UP, t->layer);
        const bool plain = up && up->stored.type <= DELE_DTYPE_BF16;
        const dele_dtype type = plain ? up->stored.type : DELE_DTYPE_F32;
        status = make_router(t, type, o->router_std, &rng, arena, err);
    }
    for (size_t i = 0; i < dense->n_tensors && !status; i++)
        if (!taken[i])
            status = dele_fail(err, DELE_ERR_UNSUPPORTED,
                               "%s cannot be upcycled: %s has no tensor for %s", dense->path,
                               mixture->config.family->hf, dense->tensors[i].name);
    return status;
}

dele_status dele_upcycle(dele_model *mixture, const dele_model *dense,
                         const dele_upcycle_options *o, dele_arena *arena, dele_err *err)
{
    dele_config c;
    dele_status status = dele_upcycle_check(o, err);
    if (!status) status = check_family(dense, err);
    if (!status) status = mixture_config(&c, dense, o, err);
    if (!status) status = dele_model_table(mixture, &c, arena, err);
    if (!status) status = take_tensors(mixture, dense, o, arena, err);
    if (status) return status;
    mixture->tokenizer = dense->tokenizer;
    mixture->path = dense->path;
    mixture->map = dense->map;
    mixture->n_maps = dense->n_maps;
    return DELE_OK;
}
