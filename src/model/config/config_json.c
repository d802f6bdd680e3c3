/* Writing config.json: the keys of the family's table from a config that has none, as of a GGUF. */
#include <math.h>

#include "model/config/config.h"
#include "model/config/config_layers.h"
#include "model/config/config_read.h"
#include "model/config/config_rotation.h"
#include "model/families/families.h"

static cJSON *token_or_null(int id) { return id < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(id); }

/* Whether config.json's eos_token_id can hold the list of ends.  Its first id is the one that
 * training appends. */
static bool ends_with_eos(const dele_config *c)
{
    for (int i = 0; i < c->n_ends; i++)
        if (c->ends[i] == c->eos) return true;
    return c->n_ends == 0;
}

cJSON *dele_config_generation_json(const dele_config *c)
{
    if (ends_with_eos(c)) return NULL;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "eos_token_id", cJSON_CreateIntArray(c->ends, c->n_ends));
    return json;
}

static cJSON *ends_json(const dele_config *c)
{
    if (c->n_ends < 2 || !ends_with_eos(c)) return token_or_null(c->eos);
    cJSON *list = cJSON_CreateArray();
    if (c->eos >= 0) cJSON_AddItemToArray(list, cJSON_CreateNumber(c->eos));
    for (int i = 0; i < c->n_ends; i++)
        if (c->ends[i] != c->eos) cJSON_AddItemToArray(list, cJSON_CreateNumber(c->ends[i]));
    return list;
}

/* The n of 1 / sqrt(n): a whole number, of which the float has enough digits. */
static cJSON *root_json(float x) { return cJSON_CreateNumber(round(1 / ((double)x * (double)x))); }

/* The family's own name of the activation where that is it. */
static const char *activation_name(const dele_config *c, const dele_key_row *row)
{
    static const char *const names[] = {
        [DELE_SILU] = "silu", [DELE_GELU] = "gelu", [DELE_GELU_TANH] = "gelu_pytorch_tanh"};
    dele_activation own = DELE_SILU;
    return dele_activation_by_name(&own, row->text) && own == c->activation ? row->text
                                                                            : names[c->activation];
}

/* Whether config.json needs the key: without it, the field would be another. */
static bool is_needed(const dele_config *c, const dele_key_row *row, const void *field)
{
    if (row->in_json == DELE_JSON_IF_NEEDED)
        return *(const int *)field != dele_key_absent(c, row, row->hf_absent);
    return row->in_json == DELE_JSON_ALWAYS;
}

/* The value of a row's key; NULL: it has no key, or none is needed. */
static cJSON *key_json(const dele_config *c, const dele_key_row *row)
{
    const void *field = (const char *)c + row->field;
    if (!row->hf || !is_needed(c, row, field)) return NULL;
    switch (row->kind) {
    case DELE_HOLDS_SIZE:
    case DELE_HOLDS_ROWS:
        return cJSON_CreateNumber(*(const int *)field);
    case DELE_HOLDS_WINDOW:
        return c->window ? cJSON_CreateNumber(c->window) : cJSON_CreateNull();
    case DELE_HOLDS_ROOT:
        return root_json(*(const float *)field);
    case DELE_HOLDS_LAYERS:
    case DELE_HOLDS_PART:
        return dele_layers_json(c, row->hf);
    case DELE_HOLDS_ACTIVATION:
        return cJSON_CreateString(activation_name(c, row));
    case DELE_HOLDS_UNSCALED:
        return cJSON_CreateBool(*(const float *)field == 0);
    case DELE_HOLDS_POSITIVE:
    case DELE_HOLDS_FACTOR:
        return dele_float_json(*(const float *)field);
    case DELE_HOLDS_POSITIVE_OR_NONE:
        return *(const float *)field > 0 ? dele_float_json(*(const float *)field)
                                         : cJSON_CreateNull();
    case DELE_HOLDS_FLAG:
        return cJSON_CreateBool(*(const bool *)field);
    case DELE_HOLDS_ID:
        return token_or_null(*(const int *)field);
    case DELE_HOLDS_ENDS:
        return ends_json(c);
    case DELE_HOLDS_RATE:
    case DELE_HOLDS_CONSTANT:
        return dele_float_json((float)row->value);
    case DELE_HOLDS_FALSE:
        return cJSON_CreateFalse();
    case DELE_HOLDS_ROTATION: /* several keys */
    case DELE_HOLDS_ROTATED:
    case DELE_HOLDS_OTHER_ID:
    case DELE_HOLDS_FIELD:
    case DELE_HOLDS_NOTHING:
        break;
    }
    return NULL;
}

cJSON *dele_config_json(const dele_config *c)
{
    const dele_family *f = c->family;
    cJSON *json = cJSON_CreateObject(), *architectures = cJSON_CreateArray();
    cJSON_AddItemToArray(architectures, cJSON_CreateString(f->architecture));
    cJSON_AddItemToObject(json, "architectures", architectures);
    cJSON_AddStringToObject(json, "model_type", f->hf);
    for (size_t i = 0; i < f->n_keys; i++) {
        cJSON *value = key_json(c, &f->keys[i]);
        if (value) cJSON_AddItemToObject(json, f->keys[i].hf, value);
        if (f->keys[i].kind == DELE_HOLDS_ROTATION) dele_rotation_json(json, c, &f->keys[i]);
    }
    cJSON_AddStringToObject(json, "torch_dtype", "float32");
    return json;
}
