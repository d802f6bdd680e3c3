/* config.json, both generations of it: v4 of transformers writes rope_theta and torch_dtype, v5
 * writes rope_parameters and dtype.
 *
 * Every key is in one of three places:
 *   read     a row of the family's table (families/keys.h): a field of dele_config, or it must have
 *            the only supported value (hidden_act "silu")
 *   inert    known not to change the forward pass (use_cache, transformers_version, ...)
 *   unknown  kept when a model is saved; but if its name suggests arithmetic (rope, scale, norm,
 *            bias, window, expert, ...) and its value is not null, false or empty, the model is
 *            refused by that name: without it the numbers would silently be wrong. */
#include "model/config.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/families/families.h"

/* The keys of the rotation (read_rope) beside that of its row. */
static const char *const rotation_keys[] = {"rope_scaling", "rope_parameters",
                                            "partial_rotary_factor"};

typedef enum { TEXT, FLAG, NUMBER, LIST, OBJECT, ANYTHING } value_type;

typedef struct {
    const char *key;
    value_type type; /* ANYTHING: several types are in use */
} inert;

static const inert inert_keys[] = {{"architectures", LIST},
                                   {"torch_dtype", TEXT},
                                   {"dtype", TEXT},
                                   {"transformers_version", TEXT},
                                   {"use_cache", FLAG},
                                   {"initializer_range", NUMBER},
                                   {"pretraining_tp", NUMBER},
                                   {"auto_map", OBJECT},
                                   {"name_or_path", TEXT},
                                   {"is_llama_config", FLAG},
                                   {"rope_interleaved", FLAG},
                                   {"chunk_size_feed_forward", NUMBER},
                                   {"output_attentions", FLAG},
                                   {"output_hidden_states", FLAG},
                                   {"return_dict", FLAG},
                                   {"return_dict_in_generate", FLAG},
                                   {"torchscript", FLAG},
                                   {"attn_implementation", ANYTHING},
                                   {"use_flash_attention_2", FLAG},
                                   {"transformers.js_config", OBJECT},
                                   {"tf_legacy_loss", FLAG},
                                   {"id2label", OBJECT},
                                   {"label2id", OBJECT},
                                   {"problem_type", TEXT},
                                   {"task_specific_params", ANYTHING},
                                   {"finetuning_task", TEXT},
                                   {"tokenizer_class", TEXT},
                                   {"max_length", NUMBER},
                                   {"min_length", NUMBER},
                                   {"do_sample", FLAG},
                                   {"temperature", NUMBER},
                                   {"top_k", NUMBER},
                                   {"top_p", NUMBER},
                                   {"repetition_penalty", NUMBER},
                                   {"length_penalty", NUMBER},
                                   {"num_beams", NUMBER},
                                   {"num_return_sequences", NUMBER},
                                   {"layer_norm_eps", NUMBER},
                                   {"weight_tying", FLAG},
                                   {"use_bfloat16", FLAG},
                                   {"max_window_layers", NUMBER},
                                   {"output_router_logits", FLAG},
                                   {"gradient_checkpointing", FLAG},
                                   {"is_causal", FLAG}};

/* An unknown key that contains one of these words is refused. */
static const char *const maths_words[] = {
    "rope",       "rotary",   "scal",    "multiplier", "softcap",     "norm",   "bias",
    "window",     "expert",   "moe",     "router",     "quant",       "clip",   "clamp",
    "residual",   "parallel", "alibi",   "attn",       "attention",   "attend", "layer",
    "activation", "_act",     "act_fn",  "dropout",    "temperature", "embed",  "head",
    "adapter",    "lora",     "prune",   "skip",       "position",    "logit",  "kv_",
    "key",        "query",    "value",   "mlp",        "ffn",         "eps",    "theta",
    "factor",     "mup",      "depth",   "width",      "dim",         "hidden", "interleaved",
    "causal",     "encoder",  "decoder", "prefix_lm",  "sparse",      "gate",   "mamba",
    "ssm",        "conv"};

static bool listed(const char *const *list, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], key) == 0) return true;
    return false;
}
#define LISTED(list, key) listed((list), sizeof(list) / sizeof *(list), (key))

static bool sounds_like_maths(const char *key)
{
    for (size_t i = 0; i < sizeof maths_words / sizeof *maths_words; i++)
        if (strstr(key, maths_words[i])) return true;
    return false;
}

static bool is_off(const cJSON *item)
{
    return !item || cJSON_IsNull(item) || cJSON_IsFalse(item) ||
           (cJSON_IsString(item) && !item->valuestring[0]) ||
           ((cJSON_IsArray(item) || cJSON_IsObject(item)) && !item->child);
}

static dele_status refuse(const char *where, const char *key, const char *why, dele_err *err)
{
    return dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: \"%s\" %s", where, key, why);
}

/* ---- fields ---------------------------------------------------------------------------------- */

typedef struct {
    const cJSON *json;
    const char *where;
    dele_err *err;
} reader;

static const cJSON *field(const reader *r, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(r->json, key);
    return cJSON_IsNull(item) ? NULL : item;
}

/* absent: the value where item is NULL; NAN: it is required. */
static int read_size(const reader *r, const char *key, const cJSON *item, double absent)
{
    if (!item && !isnan(absent)) return (int)absent;
    double x = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (x < 1 || x > 1 << 30 || x != floor(x)) {
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a positive integer", r->where, key);
        return 0;
    }
    return (int)x;
}

static float read_positive(const reader *r, const char *key, const cJSON *item, float fallback)
{
    if (!item) return fallback;
    double x = cJSON_IsNumber(item) ? item->valuedouble : 0;
    if (!(x >= (double)FLT_MIN && x <= (double)FLT_MAX)) {
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: \"%s\" must be a positive number (in the range of float32)", r->where, key);
        return fallback;
    }
    return (float)x;
}

static bool read_flag(const reader *r, const char *key, const cJSON *item, bool fallback)
{
    if (item && !cJSON_IsBool(item))
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be true or false", r->where, key);
    return item ? cJSON_IsTrue(item) : fallback;
}

/* A token id of a model with c->vocab rows; -1 where it is absent, null or -1. */
static int read_id(const reader *r, const dele_config *c, const char *key, const cJSON *item)
{
    if (!item) return -1;
    if (!cJSON_IsNumber(item)) {
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a token id or null", r->where, key);
        return -1;
    }
    return dele_config_check_id(c, item->valuedouble, r->where, key, r->err)
               ? -1
               : (int)item->valuedouble;
}

/* One id, a list of ids, or null.  All of them end a text; the first is returned. */
static int read_ends(const reader *r, dele_config *c, const char *key, const cJSON *value)
{
    const cJSON *item = cJSON_IsArray(value) ? value->child : value;
    int first = -1;
    for (; item; item = cJSON_IsArray(value) ? item->next : NULL) {
        int id = read_id(r, c, key, item);
        if (id >= 0) dele_config_add_end(c, id, r->where, r->err);
        if (first < 0) first = id;
    }
    return first;
}

dele_status dele_config_check_id(const dele_config *c, double id, const char *where,
                                 const char *name, dele_err *err)
{
    if (id == floor(id) && id >= -1 && id < c->vocab) return DELE_OK;
    if (id == floor(id) && id >= 0)
        return dele_fail(
            err, DELE_ERR_FORMAT,
            "%s: \"%s\" is %.0f, which is outside the vocabulary: the model has ids 0 to %d", where,
            name, id, c->vocab - 1);
    return dele_fail(err, DELE_ERR_FORMAT, "%s: \"%s\" is %g, which is not a token id", where, name,
                     id);
}

dele_status dele_config_add_end(dele_config *c, int id, const char *where, dele_err *err)
{
    for (int i = 0; i < c->n_ends; i++)
        if (c->ends[i] == id) return DELE_OK;
    if (c->n_ends == DELE_MAX_ENDS)
        return dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: more than %d ids end a text", where,
                         DELE_MAX_ENDS);
    c->ends[c->n_ends++] = id;
    return DELE_OK;
}

dele_status dele_config_read_generation(dele_config *config, const cJSON *json, const char *where,
                                        dele_err *err)
{
    dele_err mine = {0};
    const reader r = {json, where, &mine};
    dele_config c = *config;
    if (!cJSON_IsObject(json))
        return dele_fail(err, DELE_ERR_FORMAT, "%s: not a JSON object", where);
    read_id(&r, &c, "bos_token_id", field(&r, "bos_token_id"));
    read_id(&r, &c, "pad_token_id", field(&r, "pad_token_id"));
    read_id(&r, &c, "decoder_start_token_id", field(&r, "decoder_start_token_id"));
    c.n_ends = 0;
    memset(c.ends, 0, sizeof c.ends);
    read_ends(&r, &c, "eos_token_id", field(&r, "eos_token_id"));
    if (mine.code) return dele_fail(err, mine.code, "%s", mine.msg);
    if (c.n_ends) *config = c;
    return DELE_OK;
}

/* ---- the rotation ---------------------------------------------------------------------------- */

/* Where a value of the rotation was found: its name in the file, for messages. */
typedef struct {
    const cJSON *value;
    const char *name;
} found;

/* One value that several keys may hold: the same number or text in each, or the file contradicts
 * itself. */
static void agree(found *f, const cJSON *value, const char *name, const reader *r)
{
    if (!value || cJSON_IsNull(value)) return;
    if (f->value && !cJSON_Compare(f->value, value, true))
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" and \"%s\" disagree; keep one", r->where,
                  f->name, name);
    if (!f->value) *f = (found){value, name};
}

/* The rotation parameters, collected from all keys. */
typedef struct {
    found theta, type, partial;
    found nested;    /* the theta under "full_attention" */
    bool null_theta; /* some spelling has it, as null */
} rotation;

/* One object of rotation parameters: rope_scaling or rope_parameters (names[0]), or the object
 * inside it for full-attention layers, the only kind here.  names: for messages, those of the
 * object, of its theta, of its types and of its rotated fraction. */
static void read_rotation(rotation *out, const cJSON *rope, const char *const names[5], bool nested,
                          const reader *r)
{
    if (!rope || cJSON_IsNull(rope)) return;
    if (!cJSON_IsObject(rope)) {
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be an object or null", r->where,
                  names[0]);
        return;
    }
    for (const cJSON *item = rope->child; item; item = item->next) {
        const char *key = item->string;
        if (strcmp(key, "rope_theta") == 0) {
            agree(nested ? &out->nested : &out->theta, item, names[1], r);
            out->null_theta |= !nested && cJSON_IsNull(item);
        } else if (strcmp(key, "rope_type") == 0) {
            agree(&out->type, item, names[2], r);
        } else if (strcmp(key, "type") == 0) {
            agree(&out->type, item, names[3], r);
        } else if (strcmp(key, "partial_rotary_factor") == 0) {
            agree(&out->partial, item, names[4], r);
        } else if (!nested && strcmp(key, "full_attention") == 0) {
            static const char *const inner[] = {"full_attention", "full_attention.rope_theta",
                                                "full_attention.rope_type", "full_attention.type",
                                                "full_attention.partial_rotary_factor"};
            read_rotation(out, item, inner, true, r);
        } else if (strcmp(key, "factor") == 0 && cJSON_IsNumber(item) && item->valuedouble == 1) {
            continue; /* scaling by one */
        } else if (!cJSON_IsNull(item)) {
            dele_fail(r->err, DELE_ERR_UNSUPPORTED, "%s: \"%s.%.60s\" is not supported", r->where,
                      names[0], key);
        }
    }
}

/* The rotation of all spellings: v4's rope_theta beside rope_scaling {rope_type or type,
 * rope_theta}, and v5's rope_parameters {rope_type, rope_theta}, flat or under "full_attention".
 * In transformers 5.23 (RotaryEmbeddingConfigMixin, modeling_rope_utils.py) the objects override
 * rope_theta, and rope_scaling overrides rope_parameters; theta is 10000 where no key has it, and
 * values under a layer type are ignored for these families.  Here contradicting keys are refused,
 * so no order is needed.  Returns theta; absent: where no key has it. */
static float read_rope(const reader *r, double absent)
{
    static const char *const scaling[] = {"rope_scaling", "rope_scaling.rope_theta",
                                          "rope_scaling.rope_type", "rope_scaling.type",
                                          "rope_scaling.partial_rotary_factor"};
    static const char *const parameters[] = {"rope_parameters", "rope_parameters.rope_theta",
                                             "rope_parameters.rope_type", "rope_parameters.type",
                                             "rope_parameters.partial_rotary_factor"};
    const cJSON *theta = cJSON_GetObjectItemCaseSensitive(r->json, "rope_theta");
    rotation all = {.null_theta = cJSON_IsNull(theta)};
    agree(&all.theta, theta, "rope_theta", r);
    agree(&all.partial, field(r, "partial_rotary_factor"), "partial_rotary_factor", r);
    read_rotation(&all, field(r, "rope_scaling"), scaling, false, r);
    read_rotation(&all, field(r, "rope_parameters"), parameters, false, r);

    const cJSON *type = all.type.value, *partial = all.partial.value;
    if (type && !(cJSON_IsString(type) && strcmp(type->valuestring, "default") == 0))
        refuse(r->where, all.type.name, "is not \"default\", the only rotation supported", r->err);
    if (partial && !(cJSON_IsNumber(partial) && partial->valuedouble == 1))
        refuse(r->where, all.partial.name, "other than 1 is not supported", r->err);
    if (!all.theta.value && all.null_theta)
        refuse(r->where, "rope_theta", "is null, and no other key holds the base of the rotation",
               r->err);
    const float base = read_positive(r, all.theta.name, all.theta.value, (float)absent);
    if (all.nested.value && read_positive(r, all.nested.name, all.nested.value, 0) != base)
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: \"%s\" is not the base of the rotation that the other keys give (%g where "
                  "they have none), which transformers takes for this family; put it into "
                  "rope_parameters itself",
                  r->where, all.nested.name, (double)base);
    return base;
}

/* ---- the family's keys ----------------------------------------------------------------------- */

static void read_layer_types(const dele_config *c, const dele_key_row *row, const cJSON *types,
                             const reader *r)
{
    if (!types) return;
    if (!cJSON_IsArray(types) || cJSON_GetArraySize(types) != c->n_layers)
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a list with one name for each layer",
                  r->where, row->hf);
    for (const cJSON *type = cJSON_IsArray(types) ? types->child : NULL; type; type = type->next)
        if (!cJSON_IsString(type) || strcmp(type->valuestring, row->text) != 0)
            refuse(r->where, row->hf, row->why, r->err);
}

static void check_per_head(const dele_config *c, const reader *r)
{
    if (c->n_heads > 0 && c->hidden_size % c->n_heads != 0)
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: hidden_size %d is not divisible by num_attention_heads %d", r->where,
                  c->hidden_size, c->n_heads);
}

/* Stores or checks one key.  A field without a key in config.json (row->hf NULL) is the row's
 * value. */
static void read_key(dele_config *c, const dele_key_row *row, const reader *r)
{
    void *out = dele_key_field(c, row);
    const cJSON *item = row->hf ? field(r, row->hf) : NULL;
    const double absent = row->hf ? dele_key_absent(c, row, row->hf_absent) : row->value;
    if (!item && row->hf && row->hf_absent == DELE_PER_HEAD) check_per_head(c, r);
    switch (row->kind) {
    case DELE_HOLDS_SIZE:
    case DELE_HOLDS_ROWS:
        *(int *)out = read_size(r, row->hf, item, absent);
        break;
    case DELE_HOLDS_POSITIVE:
    case DELE_HOLDS_POSITIVE_OR_NONE:
        *(float *)out = read_positive(r, row->hf, item, (float)absent);
        break;
    case DELE_HOLDS_ROTATION:
        *(float *)out = read_rope(r, absent);
        break;
    case DELE_HOLDS_FLAG:
        *(bool *)out = read_flag(r, row->hf, item, absent != 0);
        break;
    case DELE_HOLDS_ID:
        *(int *)out = read_id(r, c, row->hf, item);
        break;
    case DELE_HOLDS_ENDS:
        *(int *)out = read_ends(r, c, row->hf, item);
        break;
    case DELE_HOLDS_OTHER_ID:
        read_id(r, c, row->hf, item);
        break;
    case DELE_HOLDS_WORD:
        if (item && !(cJSON_IsString(item) && strcmp(item->valuestring, row->text) == 0))
            refuse(r->where, row->hf, row->why, r->err);
        break;
    case DELE_HOLDS_CONSTANT:
        if (item && !(cJSON_IsNumber(item) && item->valuedouble == row->value))
            refuse(r->where, row->hf, row->why, r->err);
        if (row->field) *(float *)out = (float)row->value;
        break;
    case DELE_HOLDS_FALSE:
        if (read_flag(r, row->hf, item, false)) refuse(r->where, row->hf, row->why, r->err);
        break;
    case DELE_HOLDS_LAYER_TYPES:
        read_layer_types(c, row, item, r);
        break;
    case DELE_HOLDS_FIELD:
    case DELE_HOLDS_NOTHING:
        break;
    }
}

/* ---- every key once -------------------------------------------------------------------------- */

/* Whether the value of an inert key has the type that transformers writes. */
static bool right_type(const inert *known, const cJSON *item)
{
    switch (known->type) {
    case TEXT:
        return cJSON_IsString(item);
    case FLAG:
        return cJSON_IsBool(item);
    case NUMBER:
        return cJSON_IsNumber(item) && isfinite(item->valuedouble);
    case LIST:
        return cJSON_IsArray(item);
    case OBJECT:
        return cJSON_IsObject(item);
    case ANYTHING:
        break;
    }
    return true;
}

static const inert *find_inert(const char *key)
{
    for (size_t i = 0; i < sizeof inert_keys / sizeof *inert_keys; i++)
        if (strcmp(inert_keys[i].key, key) == 0) return &inert_keys[i];
    return NULL;
}

/* The families that compute with a key: "olmo". */
static void owners(char *text, size_t size, const char *key)
{
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < dele_n_families && used < size; i++) {
        const dele_key_row *row = dele_family_key(dele_families[i], key);
        if (row && row->kind != DELE_HOLDS_NOTHING)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " and " : "",
                                     dele_families[i]->hf);
    }
}

/* A key that no row knows.  It is let be if it is inert or says that something is off, and refused
 * if another family computes with it, or if its name suggests arithmetic. */
static void check_key(const dele_config *c, const cJSON *item, const reader *r)
{
    static const char *const types[] = {"text", "true or false", "a number", "a list", "an object"};
    const char *key = item->string;
    const size_t n = strlen(key);
    char known_for[100];
    if (cJSON_IsNull(item) || LISTED(rotation_keys, key) || dele_family_key(c->family, key)) return;
    const inert *known = find_inert(key);
    if (known && !right_type(known, item))
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be %s or null", r->where, key,
                  types[known->type]);
    if (known || key[0] == '_' || is_off(item)) return;
    if (n > 8 && strcmp(key + n - 8, "_version") == 0) return;
    if (n > 8 && strcmp(key + n - 8, "_dropout") == 0 && cJSON_IsNumber(item) &&
        item->valuedouble == 0)
        return;
    owners(known_for, sizeof known_for, key);
    if (known_for[0])
        dele_fail(r->err, DELE_ERR_UNSUPPORTED, "%s: \"%s\" is known for %s only", r->where, key,
                  known_for);
    if (sounds_like_maths(key))
        dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                  "%s: \"%.100s\" is a key that may change the computation and is not supported; "
                  "remove it from the file if you are sure that it does not",
                  r->where, key);
}

/* transformers masks later positions for any family, unless the config has this key with another
 * value than true (masking_utils.py of 5.23); null, which elsewhere means absent, is one.
 * Embedding models made from a language model have it. */
static void check_causal(const reader *r)
{
    const cJSON *causal = cJSON_GetObjectItemCaseSensitive(r->json, "is_causal");
    if (causal && !cJSON_IsTrue(causal))
        refuse(r->where, "is_causal", "other than true is not supported: attention is causal",
               r->err);
}

/* Callers of dele_config_parse may have their JSON from elsewhere than dele_json_load. */
static void check_twice(const reader *r)
{
    bool failed = false;
    const char *twice = dele_json_key_twice(r->json, &failed);
    if (failed) dele_fail(r->err, DELE_ERR_MEMORY, "%s: out of memory", r->where);
    if (twice) dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%.100s\" appears twice", r->where, twice);
}

static void check_keys(const dele_config *c, const reader *r)
{
    check_twice(r);
    check_causal(r);
    for (const cJSON *item = r->json->child; item; item = item->next) check_key(c, item, r);
}

/* ---- whole ----------------------------------------------------------------------------------- */

static dele_status read_family(dele_config *c, const reader *r)
{
    const cJSON *type = field(r, "model_type");
    if (type && !cJSON_IsString(type))
        return dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"model_type\" must be text", r->where);
    const char *name = type ? type->valuestring : "";
    char names[150];
    if ((c->family = dele_family_by_hf(name))) return DELE_OK;
    dele_family_names(names, sizeof names, false, "and");
    return dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                     "%s: model_type \"%.40s\" is not supported; %s are", r->where, name, names);
}

dele_status dele_config_parse(dele_config *config, const cJSON *json, const char *where,
                              dele_err *err)
{
    dele_err mine = {0};
    const reader r = {json, where, &mine};
    dele_config c = {0};
    if (!cJSON_IsObject(json)) {
        dele_fail(&mine, DELE_ERR_FORMAT, "%s: not a JSON object", where);
    } else if (!read_family(&c, &r)) {
        for (size_t i = 0; i < c.family->n_keys; i++) read_key(&c, &c.family->keys[i], &r);
        check_keys(&c, &r);
        if (!mine.code) dele_config_check(&c, where, &mine);
    }
    if (mine.code) return dele_fail(err, mine.code, "%s", mine.msg);
    *config = c;
    return DELE_OK;
}

/* The rotary base has no default where rope_parameters holds it. */
static bool takes_default(const dele_key_row *row, const cJSON *json)
{
    const cJSON *rope = cJSON_GetObjectItemCaseSensitive(json, "rope_parameters");
    return row->told && !cJSON_GetObjectItemCaseSensitive(json, row->hf) &&
           !(row->kind == DELE_HOLDS_ROTATION && cJSON_GetObjectItemCaseSensitive(rope, row->hf));
}

size_t dele_config_defaulted(const char *names[DELE_MAX_DEFAULTED], const dele_config *c,
                             const cJSON *json)
{
    size_t n = 0;
    for (size_t i = 0; i < c->family->n_keys && n < DELE_MAX_DEFAULTED; i++)
        if (takes_default(&c->family->keys[i], json)) names[n++] = c->family->keys[i].hf;
    return n;
}

/* The limits are far beyond any model, and keep every product of sizes within size_t. */
dele_status dele_config_check(const dele_config *c, const char *where, dele_err *err)
{
    const struct {
        const char *name;
        int value, most;
    } sizes[] = {{"number of layers", c->n_layers, DELE_MAX_LAYERS},
                 {"hidden size", c->hidden_size, 1 << 18},
                 {"intermediate size", c->intermediate_size, 1 << 20},
                 {"number of heads", c->n_heads, 1 << 14},
                 {"number of key/value heads", c->n_kv_heads, 1 << 14},
                 {"head size", c->head_dim, 1 << 14},
                 {"vocabulary size", c->vocab, 1 << 24},
                 {"context length", c->context, 1 << 28}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
            return dele_fail(err, DELE_ERR_FORMAT, "%s: a %s of %d is outside 1 to %d", where,
                             sizes[i].name, sizes[i].value, sizes[i].most);
    if (c->n_heads % c->n_kv_heads != 0)
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: %d heads cannot share %d key/value heads evenly", where, c->n_heads,
                         c->n_kv_heads);
    if (c->head_dim % 2 != 0)
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: a head size of %d is odd, but rotary positions need pairs", where,
                         c->head_dim);
    if ((size_t)c->n_heads * (size_t)c->head_dim > 1 << 20)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: %d heads of %d are more than fit", where,
                         c->n_heads, c->head_dim);
    if (!(c->norm_eps > 0) || !isfinite(c->norm_eps) || !(c->rope[0].theta > 0) ||
        !isfinite(c->rope[0].theta) || !(c->clip_qkv >= 0) || !isfinite(c->clip_qkv))
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: the norm's epsilon and the rotary base must be positive numbers",
                         where);
    return DELE_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

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

/* The shortest decimal that reads back as the same float and has the form of a float: 8.0, 1e-05.
 * It is a raw item of cJSON, which would print 8; transformers refuses an integer where it expects
 * a float. */
static cJSON *float_number(float x)
{
    char text[40];
    if (x == floorf(x) && fabsf(x) < 1e9f) {
        snprintf(text, sizeof text, "%.1f", (double)x);
        return cJSON_CreateRaw(text);
    }
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) break;
    }
    return cJSON_CreateRaw(text);
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
    case DELE_HOLDS_POSITIVE:
    case DELE_HOLDS_ROTATION:
        return float_number(*(const float *)field);
    case DELE_HOLDS_POSITIVE_OR_NONE:
        return *(const float *)field > 0 ? float_number(*(const float *)field) : cJSON_CreateNull();
    case DELE_HOLDS_FLAG:
        return cJSON_CreateBool(*(const bool *)field);
    case DELE_HOLDS_ID:
        return token_or_null(*(const int *)field);
    case DELE_HOLDS_ENDS:
        return ends_json(c);
    case DELE_HOLDS_WORD:
        return cJSON_CreateString(row->text);
    case DELE_HOLDS_CONSTANT:
        return float_number((float)row->value);
    case DELE_HOLDS_FALSE:
        return cJSON_CreateFalse();
    case DELE_HOLDS_OTHER_ID:
    case DELE_HOLDS_LAYER_TYPES:
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
        if (f->keys[i].kind == DELE_HOLDS_ROTATION) cJSON_AddNullToObject(json, "rope_scaling");
    }
    cJSON_AddStringToObject(json, "torch_dtype", "float32");
    return json;
}
