/* config.json, both generations of it: v4 of transformers writes rope_theta and torch_dtype, v5
 * writes rope_parameters and dtype.
 *
 * Every key is in one of three places:
 *   read     a field of dele_config, or it must have the only supported value
 *            (hidden_act "silu")
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

static const char *const read_keys[] = {"model_type",
                                        "hidden_size",
                                        "intermediate_size",
                                        "num_hidden_layers",
                                        "num_attention_heads",
                                        "num_key_value_heads",
                                        "head_dim",
                                        "vocab_size",
                                        "max_position_embeddings",
                                        "rms_norm_eps",
                                        "rope_theta",
                                        "rope_parameters",
                                        "rope_scaling",
                                        "clip_qkv",
                                        "tie_word_embeddings",
                                        "hidden_act",
                                        "attention_bias",
                                        "mlp_bias",
                                        "attention_dropout",
                                        "bos_token_id",
                                        "eos_token_id",
                                        "pad_token_id",
                                        "unk_token_id",
                                        "sep_token_id",
                                        "decoder_start_token_id",
                                        "partial_rotary_factor",
                                        "layer_types"};

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
                                   {"gradient_checkpointing", FLAG}};

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

/* Absent or null: fallback, or an error when fallback is negative. */
static int read_int(const reader *r, const char *key, int fallback)
{
    const cJSON *item = field(r, key);
    if (!item && fallback >= 0) return fallback;
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

static bool read_bool(const reader *r, const char *key, bool fallback)
{
    const cJSON *item = field(r, key);
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

/* eos_token_id: one id, a list of ids, or null.  All of them end a text; the first is returned. */
static int read_ends(const reader *r, dele_config *c)
{
    const cJSON *value = field(r, "eos_token_id"),
                *item = cJSON_IsArray(value) ? value->child : value;
    int first = -1;
    for (; item; item = cJSON_IsArray(value) ? item->next : NULL) {
        int id = read_id(r, c, "eos_token_id", item);
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
    read_ends(&r, &c);
    if (mine.code) return dele_fail(err, mine.code, "%s", mine.msg);
    if (c.n_ends) *config = c;
    return DELE_OK;
}

/* ---- keys with one supported value ----------------------------------------------------------- */

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
 * so no order is needed. */
static void read_rope(dele_config *c, const reader *r)
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
    c->rope_theta = read_positive(r, all.theta.name, all.theta.value, 10000);
    if (all.nested.value && read_positive(r, all.nested.name, all.nested.value, 0) != c->rope_theta)
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: \"%s\" is not the base of the rotation that the other keys give (%g where "
                  "they have none), which transformers takes for this family; put it into "
                  "rope_parameters itself",
                  r->where, all.nested.name, (double)c->rope_theta);
}

static void want_false(const reader *r, const char *key)
{
    if (read_bool(r, key, false)) refuse(r->where, key, "is not supported", r->err);
}

static void read_layer_types(const dele_config *c, const reader *r)
{
    const char *key = "layer_types";
    const cJSON *types = field(r, key);
    if (!types) return;
    if (!cJSON_IsArray(types) || cJSON_GetArraySize(types) != c->n_layers)
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a list with one name for each layer",
                  r->where, key);
    for (const cJSON *type = cJSON_IsArray(types) ? types->child : NULL; type; type = type->next)
        if (!cJSON_IsString(type) || strcmp(type->valuestring, "full_attention") != 0)
            refuse(r->where, key, "names a layer other than \"full_attention\"", r->err);
}

static void read_fixed(const dele_config *c, const reader *r)
{
    const cJSON *act = field(r, "hidden_act");
    if (act && !(cJSON_IsString(act) && strcmp(act->valuestring, "silu") == 0))
        refuse(r->where, "hidden_act", "is not \"silu\", the only activation supported", r->err);
    want_false(r, "attention_bias");
    want_false(r, "mlp_bias");
    const cJSON *dropout = field(r, "attention_dropout");
    if (dropout && !(cJSON_IsNumber(dropout) && dropout->valuedouble == 0))
        refuse(r->where, "attention_dropout", "other than 0 is not supported", r->err);
    read_layer_types(c, r);
}

/* The other ids that a config may have; they are checked and not used. */
static void check_other_ids(const dele_config *c, const reader *r)
{
    static const char *const keys[] = {"unk_token_id", "sep_token_id", "decoder_start_token_id"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        read_id(r, c, keys[i], field(r, keys[i]));
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

static void check_key(const cJSON *item, const reader *r)
{
    static const char *const types[] = {"text", "true or false", "a number", "a list", "an object"};
    const char *key = item->string;
    const size_t n = strlen(key);
    if (cJSON_IsNull(item) || LISTED(read_keys, key)) return;
    const inert *known = find_inert(key);
    if (known && !right_type(known, item))
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be %s or null", r->where, key,
                  types[known->type]);
    if (known || key[0] == '_' || is_off(item)) return;
    if (n > 8 && strcmp(key + n - 8, "_version") == 0) return;
    if (n > 8 && strcmp(key + n - 8, "_dropout") == 0 && cJSON_IsNumber(item) &&
        item->valuedouble == 0)
        return;
    if (sounds_like_maths(key))
        dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                  "%s: \"%.100s\" is a key that may change the computation and is not supported; "
                  "remove it from the file if you are sure that it does not",
                  r->where, key);
}

/* Callers of dele_config_parse may have their JSON from elsewhere than dele_json_load. */
static void check_twice(const reader *r)
{
    bool failed = false;
    const char *twice = dele_json_key_twice(r->json, &failed);
    if (failed) dele_fail(r->err, DELE_ERR_MEMORY, "%s: out of memory", r->where);
    if (twice) dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%.100s\" appears twice", r->where, twice);
}

static void check_keys(const reader *r)
{
    check_twice(r);
    for (const cJSON *item = r->json->child; item; item = item->next) check_key(item, r);
}

/* ---- whole ----------------------------------------------------------------------------------- */

static dele_status read_family(dele_config *c, const reader *r)
{
    const cJSON *type = field(r, "model_type");
    if (type && !cJSON_IsString(type))
        return dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"model_type\" must be text", r->where);
    const char *name = type ? type->valuestring : "";
    if (strcmp(name, "llama") == 0) {
        c->family = &dele_family_llama;
        c->norm_eps = read_positive(r, "rms_norm_eps", field(r, "rms_norm_eps"), 1e-6f);
    } else if (strcmp(name, "olmo") == 0) {
        c->family = &dele_family_olmo;
        c->norm_eps = 1e-5f;
        c->clip_qkv = read_positive(r, "clip_qkv", field(r, "clip_qkv"), 0);
    } else {
        return dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                         "%s: model_type \"%.40s\" is not supported; \"llama\" and \"olmo\" are",
                         r->where, name);
    }
    if (c->family == &dele_family_llama && field(r, "clip_qkv"))
        return refuse(r->where, "clip_qkv", "is known for olmo only", r->err);
    return DELE_OK;
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
        c.n_layers = read_int(&r, "num_hidden_layers", -1);
        c.hidden_size = read_int(&r, "hidden_size", -1);
        c.intermediate_size = read_int(&r, "intermediate_size", -1);
        c.n_heads = read_int(&r, "num_attention_heads", -1);
        c.vocab = read_int(&r, "vocab_size", -1);
        c.n_kv_heads = read_int(&r, "num_key_value_heads", c.n_heads);
        c.context = read_int(&r, "max_position_embeddings", 2048);
        if (!field(&r, "head_dim") && c.n_heads > 0 && c.hidden_size % c.n_heads != 0)
            dele_fail(&mine, DELE_ERR_FORMAT,
                      "%s: hidden_size %d is not divisible by num_attention_heads %d", where,
                      c.hidden_size, c.n_heads);
        c.head_dim = read_int(&r, "head_dim", c.n_heads > 0 ? c.hidden_size / c.n_heads : 0);
        c.tied = read_bool(&r, "tie_word_embeddings", false);
        c.bos = read_id(&r, &c, "bos_token_id", field(&r, "bos_token_id"));
        c.eos = read_ends(&r, &c);
        c.pad = read_id(&r, &c, "pad_token_id", field(&r, "pad_token_id"));
        check_other_ids(&c, &r);
        read_rope(&c, &r);
        read_fixed(&c, &r);
        check_keys(&r);
        if (!mine.code) dele_config_check(&c, where, &mine);
    }
    if (mine.code) return dele_fail(err, mine.code, "%s", mine.msg);
    *config = c;
    return DELE_OK;
}

dele_status dele_config_check(const dele_config *c, const char *where, dele_err *err)
{
    const struct {
        const char *name;
        int value, most;
    } sizes[] = {{"number of layers", c->n_layers, 1 << 12},
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
    if (!(c->norm_eps > 0) || !isfinite(c->norm_eps) || !(c->rope_theta > 0) ||
        !isfinite(c->rope_theta) || !(c->clip_qkv >= 0) || !isfinite(c->clip_qkv))
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

cJSON *dele_config_json(const dele_config *c)
{
    bool llama = c->family == &dele_family_llama;
    cJSON *json = cJSON_CreateObject(), *architectures = cJSON_CreateArray();
    cJSON_AddItemToArray(architectures,
                         cJSON_CreateString(llama ? "LlamaForCausalLM" : "OlmoForCausalLM"));
    cJSON_AddItemToObject(json, "architectures", architectures);
    cJSON_AddStringToObject(json, "model_type", llama ? "llama" : "olmo");
    cJSON_AddNumberToObject(json, "hidden_size", c->hidden_size);
    cJSON_AddNumberToObject(json, "intermediate_size", c->intermediate_size);
    cJSON_AddNumberToObject(json, "num_hidden_layers", c->n_layers);
    cJSON_AddNumberToObject(json, "num_attention_heads", c->n_heads);
    cJSON_AddNumberToObject(json, "num_key_value_heads", c->n_kv_heads);
    if (llama || c->head_dim * c->n_heads != c->hidden_size)
        cJSON_AddNumberToObject(json, "head_dim", c->head_dim);
    cJSON_AddNumberToObject(json, "vocab_size", c->vocab);
    cJSON_AddNumberToObject(json, "max_position_embeddings", c->context);
    if (llama) cJSON_AddItemToObject(json, "rms_norm_eps", float_number(c->norm_eps));
    if (!llama)
        cJSON_AddItemToObject(json, "clip_qkv",
                              c->clip_qkv > 0 ? float_number(c->clip_qkv) : cJSON_CreateNull());
    cJSON_AddItemToObject(json, "rope_theta", float_number(c->rope_theta));
    cJSON_AddNullToObject(json, "rope_scaling");
    cJSON_AddStringToObject(json, "hidden_act", "silu");
    cJSON_AddFalseToObject(json, "attention_bias");
    if (llama) cJSON_AddFalseToObject(json, "mlp_bias");
    cJSON_AddItemToObject(json, "attention_dropout", float_number(0));
    cJSON_AddBoolToObject(json, "tie_word_embeddings", c->tied);
    cJSON_AddItemToObject(json, "bos_token_id", token_or_null(c->bos));
    cJSON_AddItemToObject(json, "eos_token_id", ends_json(c));
    cJSON_AddItemToObject(json, "pad_token_id", token_or_null(c->pad));
    cJSON_AddStringToObject(json, "torch_dtype", "float32");
    return json;
}
