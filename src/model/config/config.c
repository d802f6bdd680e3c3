/* Reading config.json, both generations of it: v4 of transformers writes rope_theta and
 * torch_dtype, v5 writes rope_parameters and dtype.
 *
 * Every key is in one of three places:
 *   read     a row of the family's table (families/keys.h): a field of dele_config, or it must have
 *            the only supported value (hidden_act "silu")
 *   inert    known not to change the forward pass (use_cache, transformers_version, ...)
 *   unknown  kept when a model is saved; but if its name suggests arithmetic (rope, scale, norm,
 *            bias, window, expert, ...) and its value is not null, false or empty, the model is
 *            refused by that name: without it the numbers would silently be wrong. */
#include "model/config/config.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/config/config_layers.h"
#include "model/config/config_read.h"
#include "model/config/config_rotation.h"
#include "model/families/families.h"

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

typedef dele_config_reader reader;

/* ---- fields ---------------------------------------------------------------------------------- */

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
    read_id(&r, &c, "bos_token_id", dele_read_field(&r, "bos_token_id"));
    read_id(&r, &c, "pad_token_id", dele_read_field(&r, "pad_token_id"));
    read_id(&r, &c, "decoder_start_token_id", dele_read_field(&r, "decoder_start_token_id"));
    c.n_ends = 0;
    memset(c.ends, 0, sizeof c.ends);
    read_ends(&r, &c, "eos_token_id", dele_read_field(&r, "eos_token_id"));
    if (mine.code) return dele_fail(err, mine.code, "%s", mine.msg);
    if (c.n_ends) *config = c;
    return DELE_OK;
}

/* ---- the family's keys ----------------------------------------------------------------------- */

static dele_activation read_activation(const dele_key_row *row, const cJSON *item, const reader *r)
{
    const char *name = !item ? row->text : cJSON_IsString(item) ? item->valuestring : "";
    dele_activation activation = DELE_SILU;
    if (!dele_activation_by_name(&activation, name))
        dele_read_refuse(r, row->hf,
                         "is not supported: \"silu\", \"gelu\" and \"gelu_pytorch_tanh\" are");
    return activation;
}

/* A rate of dropout, which is 0 at inference.  Training here has no dropout: docs/formats.md. */
static void check_rate(const dele_key_row *row, const cJSON *item, const reader *r)
{
    if (item && !(cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 1))
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a number from 0 to below 1",
                  r->where, row->hf);
}

/* A window of 0 is none, which transformers writes for some families that have a key for its use;
 * used, it is an error. */
static int read_window(const dele_config *c, const dele_key_row *row, const cJSON *item,
                       double absent, const reader *r)
{
    static const char *const use = "use_sliding_window";
    const bool none =
        cJSON_IsNumber(item) && item->valuedouble == 0 && dele_family_key(c->family, use);
    if (!none) return dele_read_size(r, row->hf, item, absent);
    if (cJSON_IsTrue(dele_read_field(r, use)))
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: \"%s\" is 0 and \"%s\" is true; a window must be a positive integer",
                  r->where, row->hf, use);
    return 0;
}

static void check_per_head(const dele_config *c, const reader *r)
{
    if (c->n_heads > 0 && c->hidden_size % c->n_heads != 0)
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: hidden_size %d is not divisible by num_attention_heads %d", r->where,
                  c->hidden_size, c->n_heads);
}

/* Null says that there is none, where the absence of the key may say something else. */
static bool is_null(const dele_key_row *row, const reader *r)
{
    return row->hf && cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(r->json, row->hf));
}

/* The value of a row's key, which may have another name; both at once must agree. */
static const cJSON *read_row(const dele_key_row *row, const reader *r)
{
    const cJSON *item = row->hf ? dele_read_field(r, row->hf) : NULL,
                *other = row->alias ? dele_read_field(r, row->alias) : NULL;
    if (item && other && !cJSON_Compare(item, other, true))
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: \"%s\" and \"%s\" are two names of one key and differ; keep one", r->where,
                  row->hf, row->alias);
    if (row->not_null && is_null(row, r))
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must not be null", r->where, row->hf);
    return item ? item : other;
}

/* Stores or checks one key.  A field without a key in config.json (row->hf NULL) is the row's
 * value. */
static void read_key(dele_config *c, const dele_key_row *row, const reader *r)
{
    void *out = dele_key_field(c, row);
    const cJSON *item = read_row(row, r);
    const bool has_absent = row->hf || row->hf_absent != DELE_REQUIRED;
    const double absent = has_absent ? dele_key_absent(c, row, row->hf_absent) : row->value;
    if (!item && row->hf_absent == DELE_PER_HEAD) check_per_head(c, r);
    switch (row->kind) {
    case DELE_HOLDS_SIZE:
    case DELE_HOLDS_ROWS:
        *(int *)out = dele_read_size(r, row->hf, item, absent);
        break;
    case DELE_HOLDS_POSITIVE:
        *(float *)out = dele_read_positive(r, row->hf, item, (float)absent);
        break;
    case DELE_HOLDS_FACTOR:
        *(float *)out = dele_read_factor(r, row->hf, item, (float)absent);
        break;
    case DELE_HOLDS_POSITIVE_OR_NONE:
        *(float *)out = is_null(row, r) ? 0 : dele_read_positive(r, row->hf, item, (float)absent);
        break;
    case DELE_HOLDS_ROOT:
        *(float *)out = 1 / sqrtf((float)dele_read_size(r, row->hf, item, absent));
        break;
    case DELE_HOLDS_ROTATION:
        dele_read_rotation(c, row, r);
        break;
    case DELE_HOLDS_WINDOW:
        *(int *)out = is_null(row, r) ? 0 : read_window(c, row, item, absent, r);
        break;
    case DELE_HOLDS_LAYERS:
        dele_read_layers(c, row, r);
        break;
    case DELE_HOLDS_ACTIVATION:
        *(dele_activation *)out = read_activation(row, item, r);
        break;
    case DELE_HOLDS_UNSCALED:
        *(float *)out = dele_read_flag(r, row->hf, item, true) ? 0 : 1;
        break;
    case DELE_HOLDS_RATE:
        check_rate(row, item, r);
        break;
    case DELE_HOLDS_FLAG:
        *(bool *)out = dele_read_flag(r, row->hf, item, absent != 0);
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
    case DELE_HOLDS_CONSTANT:
        if (item && !(cJSON_IsNumber(item) && item->valuedouble == row->value))
            dele_read_refuse(r, row->hf, row->why);
        if (row->field) *(float *)out = (float)row->value;
        break;
    case DELE_HOLDS_FALSE:
        if (dele_read_flag(r, row->hf, item, false)) dele_read_refuse(r, row->hf, row->why);
        break;
    case DELE_HOLDS_ROTATED:
    case DELE_HOLDS_FIELD:
    case DELE_HOLDS_PART:
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

/* Whether dele_read_rotation has read the key.  A family with a key of its own for the rotated part
 * does not read the other's. */
static bool is_rotation_key(const dele_config *c, const char *key)
{
    const char *fraction = c->family->rotation ? c->family->rotation->fraction : NULL;
    for (size_t i = 0; i < c->family->n_keys; i++)
        if (c->family->keys[i].kind == DELE_HOLDS_ROTATION)
            return !strcmp(key, "rope_scaling") || !strcmp(key, "rope_parameters") ||
                   !strcmp(key, fraction ? fraction : "partial_rotary_factor");
    return false;
}

/* A key that no row knows.  It is let be if it is inert or says that something is off, and refused
 * if another family computes with it, or if its name suggests arithmetic. */
static void check_key(const dele_config *c, const cJSON *item, const reader *r)
{
    static const char *const types[] = {"text", "true or false", "a number", "a list", "an object"};
    const char *key = item->string;
    const size_t n = strlen(key);
    char known_for[300];
    if (cJSON_IsNull(item) || is_rotation_key(c, key) || dele_family_key(c->family, key)) return;
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
        dele_read_refuse(r, "is_causal", "other than true is not supported: attention is causal");
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

static const dele_family *family_within(const cJSON *json)
{
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "model_type"));
    for (size_t i = 0; type && i < dele_n_families; i++)
        if (dele_families[i]->wrapper && !strcmp(dele_families[i]->wrapper, type))
            return dele_families[i];
    return NULL;
}

const cJSON *dele_config_part(const cJSON *json)
{
    const cJSON *part = cJSON_GetObjectItemCaseSensitive(json, DELE_CONFIG_PART);
    return family_within(json) && cJSON_IsObject(part) ? part : json;
}

/* What a config with other parts says beside the model's own part must not contradict it, and the
 * part is that of the family. */
static void check_part(const cJSON *json, const reader *r)
{
    static const char *const keys[] = {"tie_word_embeddings", "bos_token_id", "eos_token_id",
                                       "pad_token_id"};
    const char *within = cJSON_GetStringValue(dele_read_field(r, "model_type"));
    if (r->json == json) return;
    if (!within || strcmp(within, family_within(json)->hf) != 0)
        dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                  "%s: model_type \"%.40s\" of " DELE_CONFIG_PART " is not supported there",
                  r->where, within ? within : "");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const cJSON *outer = cJSON_GetObjectItemCaseSensitive(json, keys[i]),
                    *inner = dele_read_field(r, keys[i]);
        if (outer && inner && !cJSON_IsNull(outer) && !cJSON_Compare(outer, inner, true))
            dele_fail(r->err, DELE_ERR_FORMAT,
                      "%s: \"%s\" differs from that of " DELE_CONFIG_PART "; keep one", r->where,
                      keys[i]);
    }
}

static dele_status read_family(dele_config *c, const reader *r)
{
    const cJSON *type = dele_read_field(r, "model_type");
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
    const reader r = {dele_config_part(json), where, &mine};
    dele_config c = {0};
    if (!cJSON_IsObject(json)) {
        dele_fail(&mine, DELE_ERR_FORMAT, "%s: not a JSON object", where);
    } else if (!read_family(&c, &r)) {
        check_part(json, &r);
        for (size_t i = 0; i < c.family->n_keys; i++) read_key(&c, &c.family->keys[i], &r);
        dele_config_settle(&c);
        check_keys(&c, &r);
        if (!mine.code) dele_config_check(&c, where, &mine);
    }
    if (mine.code) return dele_fail(err, mine.code, "%s", mine.msg);
    *config = c;
    return DELE_OK;
}

void dele_config_settle(dele_config *c)
{
    const dele_family *f = c->family;
    if (f->embed_scaled) c->embed_scale = sqrtf((float)c->hidden_size);
    if (f->renormalises) c->norm_topk_prob = true;
    const bool experts_alone =
        dele_family_tensor(f, DELE_SLOT_ROUTER) && !dele_family_tensor(f, DELE_SLOT_UP);
    for (int l = 0; experts_alone && l < c->n_layers && l < DELE_MAX_LAYERS; l++)
        c->layer_kind[l] |= DELE_LAYER_SPARSE;
}

/* Whether rope_parameters holds the rotary base, itself or for each kind of layer. */
static bool gives_base(const cJSON *rope)
{
    const cJSON *kind = rope ? rope->child : NULL;
    if (!kind || cJSON_GetObjectItemCaseSensitive(rope, "rope_theta")) return kind;
    for (; kind; kind = kind->next)
        if (!cJSON_GetObjectItemCaseSensitive(kind, "rope_theta")) return false;
    return true;
}

static bool takes_default(const dele_key_row *row, const cJSON *json)
{
    const cJSON *rope = cJSON_GetObjectItemCaseSensitive(json, "rope_parameters");
    return row->told && !cJSON_GetObjectItemCaseSensitive(json, row->hf) &&
           !(row->alias && cJSON_GetObjectItemCaseSensitive(json, row->alias)) &&
           !(row->kind == DELE_HOLDS_ROTATION && gives_base(rope));
}

size_t dele_config_defaulted(const char *names[DELE_MAX_DEFAULTED], const dele_config *c,
                             const cJSON *whole)
{
    const cJSON *json = dele_config_part(whole);
    size_t n = 0;
    for (size_t i = 0; i < c->family->n_keys && n < DELE_MAX_DEFAULTED; i++)
        if (takes_default(&c->family->keys[i], json)) names[n++] = c->family->keys[i].hf;
    return n;
}

/* ---- checking -------------------------------------------------------------------------------- */

static bool in_range(float x, float least) { return isfinite(x) && x >= least; }

/* One rotation: the parameters of its type are there. */
static bool rope_is_whole(const dele_rope *rope)
{
    const bool scaled = rope->type != DELE_ROPE_DEFAULT;
    if (!(rope->theta > 0) || !isfinite(rope->theta) || rope->type > DELE_ROPE_YARN) return false;
    if (scaled && !in_range(rope->factor, 1)) return false;
    if (scaled && rope->type != DELE_ROPE_LINEAR && rope->original_context < 1) return false;
    switch (rope->type) {
    case DELE_ROPE_DEFAULT:
    case DELE_ROPE_LINEAR:
    case DELE_ROPE_DYNAMIC:
        break;
    case DELE_ROPE_LLAMA3:
        return rope->low_freq_factor > 0 && in_range(rope->high_freq_factor, 0) &&
               rope->high_freq_factor > rope->low_freq_factor;
    case DELE_ROPE_YARN:
        return rope->theta > 1 && rope->beta_slow > 0 && in_range(rope->beta_fast, 0) &&
               rope->beta_fast > rope->beta_slow && in_range(rope->attention_factor, 0) &&
               in_range(rope->mscale, 0) && in_range(rope->mscale_all_dim, 0);
    }
    return true;
}

static dele_status check_rotation(const dele_config *c, const char *where, dele_err *err)
{
    const int dim = (int)dele_rotary_dim(c);
    if (dele_family_tensor(c->family, DELE_SLOT_POSITIONS)) return DELE_OK;
    if (dim < 2 || dim > c->head_dim || dim % 2 != 0)
        return dele_fail(err, DELE_ERR_FORMAT,
                         c->rotary_dim
                             ? "%s: %d rotated channels of a head are odd, or more than it has"
                             : "%s: a head size of %d is odd, but rotary positions need pairs",
                         where, dim);
    if (!rope_is_whole(&c->rope[0]) || (c->rope[1].theta != 0 && !rope_is_whole(&c->rope[1])))
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: the rotary base must be a positive number, and the parameters of the "
                         "rotation in order (factor at least 1; low_freq_factor below "
                         "high_freq_factor; beta_slow below beta_fast)",
                         where);
    for (int i = 0; i < 2; i++)
        if (c->rope[i].type == DELE_ROPE_DYNAMIC && dim < 4)
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s: a dynamic rotation needs more than 2 rotated channels", where);
    return DELE_OK;
}

static dele_status check_experts(const dele_config *c, const char *where, dele_err *err)
{
    int sparse = 0;
    for (int l = 0; l < c->n_layers; l++) sparse += dele_layer_is_sparse(c, l);
    if (!sparse) return DELE_OK;
    if (c->n_experts < 1 || c->n_experts > DELE_MAX_EXPERTS)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: %d experts; from 1 to %d are supported", where,
                         c->n_experts, DELE_MAX_EXPERTS);
    if (c->top_k < 1 || c->top_k > c->n_experts)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: %d experts a token of %d", where, c->top_k,
                         c->n_experts);
    return DELE_OK;
}

static dele_status check_layers(const dele_config *c, const char *where, dele_err *err)
{
    const int kinds = DELE_LAYER_SLIDING | DELE_LAYER_UNROTATED | DELE_LAYER_SPARSE;
    if (check_experts(c, where, err)) return err ? err->code : DELE_ERR_FORMAT;
    for (int l = 0; l < c->n_layers; l++)
        if (c->layer_kind[l] & ~kinds || (c->layer_kind[l] & DELE_LAYER_SLIDING && c->window < 1))
            return dele_fail(err, DELE_ERR_FORMAT, "%s: layer %d slides, but there is no window",
                             where, l);
    if (c->window >= 0) return DELE_OK;
    return dele_fail(err, DELE_ERR_FORMAT, "%s: a window of %d keys", where, c->window);
}

static dele_status check_numbers(const dele_config *c, const char *where, dele_err *err)
{
    const struct {
        const char *name;
        float value;
    } numbers[] = {{"clipping of queries, keys and values", c->clip_qkv},
                   {"factor on the embedding", c->embed_scale},
                   {"factor on scores", c->attn_scale},
                   {"soft cap on scores", c->attn_softcap},
                   {"soft cap on logits", c->logit_softcap}};
    if (!(c->norm_eps > 0) || !isfinite(c->norm_eps))
        return dele_fail(err, DELE_ERR_FORMAT, "%s: the norm's epsilon must be a positive number",
                         where);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!in_range(numbers[i].value, 0))
            return dele_fail(err, DELE_ERR_FORMAT, "%s: a %s of %g", where, numbers[i].name,
                             (double)numbers[i].value);
    return DELE_OK;
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
    if ((size_t)c->n_heads * (size_t)c->head_dim > 1 << 20)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: %d heads of %d are more than fit", where,
                         c->n_heads, c->head_dim);
    if (check_numbers(c, where, err) || check_layers(c, where, err) ||
        check_rotation(c, where, err))
        return err ? err->code : DELE_ERR_FORMAT;
    return DELE_OK;
}
