/* config.json, both generations of it: v4 of transformers writes rope_theta and torch_dtype, v5 writes
 * rope_parameters and dtype.
 *
 * Every key is in one of three places:
 *   read     it is a field of dele_config, or must have the one value that we compute with (hidden_act "silu")
 *   inert    it is known not to change the forward pass (use_cache, transformers_version, ...)
 *   unknown  kept when a model is saved; but if its name speaks of arithmetic (rope, scale, norm, bias, window,
 *            expert, ...) and its value is not null, false or empty, the model is refused by that name: computing
 *            without it would give wrong numbers quietly. */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static const char *const read_keys[] = {
    "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings", "rms_norm_eps", "rope_theta",
    "rope_parameters", "rope_scaling", "clip_qkv", "tie_word_embeddings", "hidden_act", "attention_bias", "mlp_bias",
    "attention_dropout", "bos_token_id", "eos_token_id", "pad_token_id", "partial_rotary_factor", "layer_types"};

static const char *const inert_keys[] = {
    "architectures", "torch_dtype", "dtype", "transformers_version", "use_cache", "initializer_range",
    "pretraining_tp", "auto_map", "name_or_path", "is_llama_config", "rope_interleaved", "chunk_size_feed_forward",
    "output_attentions", "output_hidden_states", "return_dict", "return_dict_in_generate", "torchscript",
    "attn_implementation", "use_flash_attention_2", "transformers.js_config", "tf_legacy_loss", "id2label", "label2id",
    "problem_type", "task_specific_params", "finetuning_task", "tokenizer_class", "unk_token_id", "sep_token_id",
    "decoder_start_token_id", "max_length", "min_length", "do_sample", "temperature", "top_k", "top_p",
    "repetition_penalty", "length_penalty", "num_beams", "num_return_sequences", "layer_norm_eps", "weight_tying",
    "use_bfloat16", "max_window_layers", "output_router_logits", "gradient_checkpointing"};

/* Words that make an unknown key suspect. */
static const char *const maths_words[] = {
    "rope", "rotary", "scal", "multiplier", "softcap", "norm", "bias", "window", "expert", "moe", "router", "quant",
    "clip", "clamp", "residual", "parallel", "alibi", "attn", "attention", "attend", "layer", "activation", "_act",
    "act_fn", "dropout", "temperature", "embed", "head", "adapter", "lora", "prune", "skip", "position", "logit",
    "kv_", "key", "query", "value", "mlp", "ffn", "eps", "theta", "factor", "mup", "depth", "width", "dim", "hidden",
    "interleaved", "causal", "encoder", "decoder", "prefix_lm", "sparse", "gate", "mamba", "ssm", "conv"};

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
    return !item || cJSON_IsNull(item) || cJSON_IsFalse(item) || (cJSON_IsString(item) && !item->valuestring[0]) ||
           ((cJSON_IsArray(item) || cJSON_IsObject(item)) && !item->child);
}

static dele_status refuse(const char *where, const char *key, const char *why, dele_err *err)
{
    return dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: \"%s\" %s", where, key, why);
}

/* ---- fields ---------------------------------------------------------------------------------------------------- */

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
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a positive whole number", r->where, key);
        return 0;
    }
    return (int)x;
}

static float read_positive(const reader *r, const char *key, const cJSON *item, float fallback)
{
    if (!item) return fallback;
    if (!cJSON_IsNumber(item) || !(item->valuedouble > 0) || !isfinite(item->valuedouble)) {
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a positive number", r->where, key);
        return fallback;
    }
    return (float)item->valuedouble;
}

static bool read_bool(const reader *r, const char *key, bool fallback)
{
    const cJSON *item = field(r, key);
    if (item && !cJSON_IsBool(item))
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be true or false", r->where, key);
    return item ? cJSON_IsTrue(item) : fallback;
}

/* A token id: number, list of numbers (the first counts), or null. */
static int read_token(const reader *r, const char *key)
{
    const cJSON *item = field(r, key);
    if (cJSON_IsArray(item)) item = item->child;
    if (!item) return -1;
    double x = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (!(x >= -1 && x < 1 << 30 && x == floor(x))) {
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a token id or null", r->where, key);
        return -1;
    }
    return (int)x;
}

/* ---- what must have the one value that we compute with --------------------------------------------------------- */

static const char *rope_kind(const cJSON *rope)
{
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(rope, "rope_type");
    if (!kind) kind = cJSON_GetObjectItemCaseSensitive(rope, "type");
    return cJSON_IsString(kind) ? kind->valuestring : NULL;
}

static void read_rope(dele_config *c, const reader *r)
{
    const cJSON *scaling = field(r, "rope_scaling"), *rope = field(r, "rope_parameters"),
                *theta = field(r, "rope_theta");
    const char *scaling_kind = rope_kind(scaling), *kind = rope_kind(rope);
    if (!is_off(scaling) && !(scaling_kind && strcmp(scaling_kind, "default") == 0))
        refuse(r->where, "rope_scaling", "changes the positions and is not supported; only null is", r->err);
    if (rope && !cJSON_IsObject(rope)) refuse(r->where, "rope_parameters", "must be an object", r->err);
    if (kind && strcmp(kind, "default") != 0)
        refuse(r->where, "rope_parameters", "has a rope_type other than \"default\", which is not supported", r->err);
    for (const cJSON *item = rope ? rope->child : NULL; item; item = item->next) {
        static const char *const known[] = {"rope_theta", "rope_type", "type", "partial_rotary_factor"};
        if (!is_off(item) && !LISTED(known, item->string))
            dele_fail(r->err, DELE_ERR_UNSUPPORTED, "%s: \"rope_parameters.%s\" is not supported", r->where,
                     item->string);
    }
    const cJSON *partial = cJSON_GetObjectItemCaseSensitive(rope, "partial_rotary_factor");
    if (!partial) partial = field(r, "partial_rotary_factor");
    if (partial && !(cJSON_IsNumber(partial) && partial->valuedouble == 1))
        refuse(r->where, "partial_rotary_factor", "other than 1 is not supported", r->err);

    const cJSON *inner = cJSON_GetObjectItemCaseSensitive(rope, "rope_theta");
    if (inner && theta && inner->valuedouble != theta->valuedouble)
        refuse(r->where, "rope_theta", "and rope_parameters.rope_theta disagree; keep one", r->err);
    c->rope_theta = read_positive(r, "rope_theta", inner ? inner : theta, 10000);
}

static void read_fixed(const reader *r)
{
    const cJSON *act = field(r, "hidden_act");
    if (act && !(cJSON_IsString(act) && strcmp(act->valuestring, "silu") == 0))
        refuse(r->where, "hidden_act", "is not \"silu\", the only activation supported", r->err);
    if (!is_off(field(r, "attention_bias"))) refuse(r->where, "attention_bias", "is not supported", r->err);
    if (!is_off(field(r, "mlp_bias"))) refuse(r->where, "mlp_bias", "is not supported", r->err);
    const cJSON *dropout = field(r, "attention_dropout");
    if (dropout && !(cJSON_IsNumber(dropout) && dropout->valuedouble == 0))
        refuse(r->where, "attention_dropout", "other than 0 is not supported", r->err);
    const cJSON *types = field(r, "layer_types");
    for (const cJSON *type = cJSON_IsArray(types) ? types->child : NULL; type; type = type->next)
        if (!cJSON_IsString(type) || strcmp(type->valuestring, "full_attention") != 0)
            refuse(r->where, "layer_types", "names a layer other than \"full_attention\"", r->err);
}

static void check_unknown(const reader *r)
{
    for (const cJSON *item = r->json->child; item; item = item->next) {
        const char *key = item->string;
        size_t n = strlen(key);
        for (const cJSON *other = item->next; other; other = other->next)
            if (strcmp(other->string, key) == 0)
                dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" stands there twice", r->where, key);
        if (key[0] == '_' || is_off(item) || LISTED(read_keys, key) || LISTED(inert_keys, key)) continue;
        if (n > 8 && strcmp(key + n - 8, "_version") == 0) continue;
        if (n > 8 && strcmp(key + n - 8, "_dropout") == 0 && cJSON_IsNumber(item) && item->valuedouble == 0) continue;
        if (sounds_like_maths(key))
            refuse(r->where, key, "is a key that may change the maths and is not known here; "
                   "remove it from the file if you are sure that it does not", r->err);
    }
}

/* ---- whole ------------------------------------------------------------------------------------------------------ */

static dele_status read_family(dele_config *c, const reader *r)
{
    const cJSON *type = field(r, "model_type");
    const char *name = cJSON_IsString(type) ? type->valuestring : "";
    if (strcmp(name, "llama") == 0) {
        c->family = DELE_LLAMA, c->norm = DELE_RMSNORM;
        c->norm_eps = read_positive(r, "rms_norm_eps", field(r, "rms_norm_eps"), 1e-6f);
    } else if (strcmp(name, "olmo") == 0) {
        c->family = DELE_OLMO, c->norm = DELE_LAYERNORM;
        c->norm_eps = 1e-5f;
        c->clip_qkv = read_positive(r, "clip_qkv", field(r, "clip_qkv"), 0);
    } else {
        return dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                        "%s: model_type \"%.40s\" is not supported; \"llama\" and \"olmo\" are", r->where, name);
    }
    if (c->family == DELE_LLAMA && field(r, "clip_qkv"))
        return refuse(r->where, "clip_qkv", "is known for olmo only", r->err);
    return DELE_OK;
}

dele_status dele_config_parse(dele_config *config, const cJSON *json, const char *where, dele_err *err)
{
    dele_err mine = {0};
    const reader r = {json, where, &mine};
    dele_config c = {0};
    if (!cJSON_IsObject(json)) {
        dele_fail(&mine, DELE_ERR_FORMAT, "%s: not a JSON object", where);
    } else if (!read_family(&c, &r)) {
        c.n_layers = read_int(&r, "num_hidden_layers", -1);
        c.dim = read_int(&r, "hidden_size", -1);
        c.hidden = read_int(&r, "intermediate_size", -1);
        c.n_heads = read_int(&r, "num_attention_heads", -1);
        c.vocab = read_int(&r, "vocab_size", -1);
        c.n_kv_heads = read_int(&r, "num_key_value_heads", c.n_heads);
        c.context = read_int(&r, "max_position_embeddings", 2048);
        if (!field(&r, "head_dim") && c.n_heads > 0 && c.dim % c.n_heads != 0)
            dele_fail(&mine, DELE_ERR_FORMAT, "%s: hidden_size %d is not divisible by num_attention_heads %d", where,
                     c.dim, c.n_heads);
        c.head_dim = read_int(&r, "head_dim", c.n_heads > 0 ? c.dim / c.n_heads : 0);
        c.tied = read_bool(&r, "tie_word_embeddings", false);
        c.bos = read_token(&r, "bos_token_id");
        c.eos = read_token(&r, "eos_token_id");
        c.pad = read_token(&r, "pad_token_id");
        read_rope(&c, &r);
        read_fixed(&r);
        check_unknown(&r);
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
    } sizes[] = {{"number of layers", c->n_layers, 1 << 12}, {"hidden size", c->dim, 1 << 18},
                 {"intermediate size", c->hidden, 1 << 20},  {"number of heads", c->n_heads, 1 << 14},
                 {"number of key/value heads", c->n_kv_heads, 1 << 14}, {"head size", c->head_dim, 1 << 14},
                 {"vocabulary size", c->vocab, 1 << 24},     {"context length", c->context, 1 << 28}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
            return dele_fail(err, DELE_ERR_FORMAT, "%s: a %s of %d is outside 1 to %d", where, sizes[i].name,
                            sizes[i].value, sizes[i].most);
    if (c->n_heads % c->n_kv_heads != 0)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: %d heads cannot share %d key/value heads evenly", where, c->n_heads,
                        c->n_kv_heads);
    if (c->head_dim % 2 != 0)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: a head size of %d is odd, but rotary positions need pairs", where,
                        c->head_dim);
    if ((size_t)c->n_heads * (size_t)c->head_dim > 1 << 20)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: %d heads of %d are more than fit", where, c->n_heads, c->head_dim);
    if (!(c->norm_eps > 0) || !isfinite(c->norm_eps) || !(c->rope_theta > 0) || !isfinite(c->rope_theta) ||
        !(c->clip_qkv >= 0) || !isfinite(c->clip_qkv))
        return dele_fail(err, DELE_ERR_FORMAT, "%s: the norm's epsilon and the rotary base must be positive numbers",
                        where);
    return DELE_OK;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static cJSON *token_or_null(int id) { return id < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(id); }

/* The shortest decimal that reads back as the same float, and that everybody reads as a float: 8.0, 1e-05.  It is raw
 * text to cJSON, which would print 8, and transformers takes no whole number where it wants a float. */
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
    bool llama = c->family == DELE_LLAMA;
    cJSON *json = cJSON_CreateObject(), *architectures = cJSON_CreateArray();
    cJSON_AddItemToArray(architectures, cJSON_CreateString(llama ? "LlamaForCausalLM" : "OlmoForCausalLM"));
    cJSON_AddItemToObject(json, "architectures", architectures);
    cJSON_AddStringToObject(json, "model_type", llama ? "llama" : "olmo");
    cJSON_AddNumberToObject(json, "hidden_size", c->dim);
    cJSON_AddNumberToObject(json, "intermediate_size", c->hidden);
    cJSON_AddNumberToObject(json, "num_hidden_layers", c->n_layers);
    cJSON_AddNumberToObject(json, "num_attention_heads", c->n_heads);
    cJSON_AddNumberToObject(json, "num_key_value_heads", c->n_kv_heads);
    if (llama || c->head_dim * c->n_heads != c->dim) cJSON_AddNumberToObject(json, "head_dim", c->head_dim);
    cJSON_AddNumberToObject(json, "vocab_size", c->vocab);
    cJSON_AddNumberToObject(json, "max_position_embeddings", c->context);
    if (llama) cJSON_AddItemToObject(json, "rms_norm_eps", float_number(c->norm_eps));
    if (!llama)
        cJSON_AddItemToObject(json, "clip_qkv", c->clip_qkv > 0 ? float_number(c->clip_qkv) : cJSON_CreateNull());
    cJSON_AddItemToObject(json, "rope_theta", float_number(c->rope_theta));
    cJSON_AddNullToObject(json, "rope_scaling");
    cJSON_AddStringToObject(json, "hidden_act", "silu");
    cJSON_AddFalseToObject(json, "attention_bias");
    if (llama) cJSON_AddFalseToObject(json, "mlp_bias");
    cJSON_AddItemToObject(json, "attention_dropout", float_number(0));
    cJSON_AddBoolToObject(json, "tie_word_embeddings", c->tied);
    cJSON_AddItemToObject(json, "bos_token_id", token_or_null(c->bos));
    cJSON_AddItemToObject(json, "eos_token_id", token_or_null(c->eos));
    cJSON_AddItemToObject(json, "pad_token_id", token_or_null(c->pad));
    cJSON_AddStringToObject(json, "torch_dtype", "float32");
    return json;
}
