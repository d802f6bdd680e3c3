/* adapter_config.json: what of it is read, what is refused, and which module gets what. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/peft.h"
#include "base/json.h"

/* ---- what may be there ----------------------------------------------------------------------- */

/* Keys that are read, and keys without an effect on what a loaded adapter computes. */
static bool is_known(const char *key)
{
    static const char *const known[] = {"peft_type",
                                        "r",
                                        "lora_alpha",
                                        "target_modules",
                                        "target_parameters",
                                        "exclude_modules",
                                        "layers_to_transform",
                                        "layers_pattern",
                                        "rank_pattern",
                                        "alpha_pattern",
                                        "use_rslora",
                                        "bias",
                                        "init_lora_weights",
                                        "fan_in_fan_out",
                                        "task_type",
                                        "base_model_name_or_path",
                                        "revision",
                                        "inference_mode",
                                        "auto_mapping",
                                        "peft_version",
                                        "lora_dropout",
                                        "megatron_core",
                                        "qalora_group_size",
                                        "runtime_config",
                                        "ensure_weight_tying"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i], key)) return true;
    return false;
}

/* null, false, 0, "", [] and {} mean that a setting is not used. */
static bool is_empty(const cJSON *item)
{
    if (cJSON_IsArray(item) || cJSON_IsObject(item)) return !item->child;
    return cJSON_IsNull(item) || cJSON_IsFalse(item) ||
           (cJSON_IsNumber(item) && item->valuedouble == 0) ||
           (cJSON_IsString(item) && !*item->valuestring);
}

/* A setting that is not known may change what is computed, so that it is refused where it is used:
 * use_dora, modules_to_save, lora_bias, trainable_token_indices, layer_replication, and what later
 * versions of PEFT will have. */
static dele_status refuse_unknown(const dele_peft_config *c, dele_err *err)
{
    for (const cJSON *item = c->json->child; item; item = item->next)
        if (!is_known(item->string) && !is_empty(item))
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "%s: \"%.60s\" is set, which is not supported: this adapter is more "
                             "than LoRA's A and B",
                             c->file, item->string);
    return DELE_OK;
}

/* PiSSA, OLoRA, CorDA, LoftQ and others subtract something from the base's weights when they begin:
 * their A and B do not belong to the base that others have. */
static dele_status check_init(const dele_peft_config *c, dele_err *err)
{
    static const char *const harmless[] = {"gaussian", "orthogonal", "eva"};
    const cJSON *init = dele_json_given(c->json, "init_lora_weights");
    if (!init || cJSON_IsBool(init)) return DELE_OK;
    for (size_t i = 0; cJSON_IsString(init) && i < sizeof harmless / sizeof *harmless; i++)
        if (!strcmp(harmless[i], init->valuestring)) return DELE_OK;
    return dele_fail(err, DELE_ERR_UNSUPPORTED,
                     "%s: init_lora_weights \"%.40s\" is not supported: such adapters belong to a "
                     "base whose weights that initialisation changed",
                     c->file, cJSON_IsString(init) ? init->valuestring : "...");
}

static dele_status check_words(const dele_peft_config *c, dele_err *err)
{
    const char *type = dele_json_string(c->json, "peft_type"),
               *bias = dele_json_string(c->json, "bias");
    if (!type) return dele_fail(err, DELE_ERR_FORMAT, "%s: there is no peft_type", c->file);
    if (strcmp(type, "LORA"))
        return dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: peft_type %.40s is not supported; LORA is",
                         c->file, type);
    if (bias && strcmp(bias, "none"))
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: bias \"%.40s\" is not supported: such adapters replace biases of "
                         "the base; \"none\" is",
                         c->file, bias);
    return DELE_OK;
}

static bool read_rank(size_t *rank, const cJSON *item)
{
    int r = 0;
    if (!dele_json_int(&r, item) || r < 1 || r > 1 << 20) return false;
    *rank = (size_t)r;
    return true;
}

static bool read_alpha(double *alpha, const cJSON *item)
{
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble)) return false;
    *alpha = item->valuedouble;
    return true;
}

/* Whether the module is the name, or ends in it after a dot. */
static bool ends_in(const char *module, const char *name)
{
    const size_t n = strlen(module), k = strlen(name);
    if (n < k || strcmp(module + n - k, name)) return false;
    return n == k || module[n - k - 1] == '.';
}

static bool is_list_of_texts(const cJSON *item)
{
    if (!cJSON_IsArray(item)) return false;
    for (const cJSON *text = item->child; text; text = text->next)
        if (!cJSON_IsString(text)) return false;
    return true;
}

static dele_status check_selection(const dele_peft_config *c, dele_err *err)
{
    static const char *const names[] = {"target_modules", "exclude_modules", "layers_pattern"};
    const cJSON *layers = dele_json_given(c->json, "layers_to_transform"),
                *parameters = dele_json_given(c->json, "target_parameters");
    if (parameters && !is_list_of_texts(parameters))
        return dele_fail(err, DELE_ERR_FORMAT, "%s: target_parameters is no list of texts",
                         c->file);
    for (const cJSON *at = parameters ? parameters->child : NULL; at; at = at->next)
        if (!ends_in(at->valuestring, "weight"))
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "%s: target_parameters %.80s is not supported; weights of two "
                             "dimensions are, as of a router (\"gate.weight\")",
                             c->file, at->valuestring);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cJSON *item = dele_json_given(c->json, names[i]);
        if (i == 0 && !item && (!parameters || !parameters->child))
            return dele_fail(err, DELE_ERR_FORMAT, "%s: there is no target_modules", c->file);
        if (item && !cJSON_IsString(item) && !is_list_of_texts(item))
            return dele_fail(err, DELE_ERR_FORMAT, "%s: %s is neither a text nor a list of texts",
                             c->file, names[i]);
    }
    for (const cJSON *at = cJSON_IsArray(layers) ? layers->child : layers; at;
         at = cJSON_IsArray(layers) ? at->next : NULL)
        if (!cJSON_IsNumber(at))
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s: layers_to_transform is neither a number nor a list of numbers",
                             c->file);
    return DELE_OK;
}

static dele_status check_patterns(const dele_peft_config *c, dele_err *err)
{
    const cJSON *ranks = dele_json_given(c->json, "rank_pattern"),
                *alphas = dele_json_given(c->json, "alpha_pattern");
    size_t rank;
    double alpha;
    bool good = (!ranks || cJSON_IsObject(ranks)) && (!alphas || cJSON_IsObject(alphas));
    for (const cJSON *at = good && ranks ? ranks->child : NULL; at && good; at = at->next)
        good = read_rank(&rank, at);
    for (const cJSON *at = good && alphas ? alphas->child : NULL; at && good; at = at->next)
        good = read_alpha(&alpha, at);
    return good ? DELE_OK
                : dele_fail(err, DELE_ERR_FORMAT,
                            "%s: rank_pattern must have ranks of at least 1 by module, and "
                            "alpha_pattern numbers",
                            c->file);
}

dele_status dele_peft_config_read(dele_peft_config *c, const char *file, dele_err *err)
{
    *c = (dele_peft_config){.file = file, .json = dele_json_load(file, err)};
    if (!c->json) return err ? err->code : DELE_ERR_FORMAT;
    if (!cJSON_IsObject(c->json))
        return dele_fail(err, DELE_ERR_FORMAT, "%s: it is no JSON object", file);
    dele_status status = check_words(c, err);
    if (!status) status = refuse_unknown(c, err);
    if (!status) status = check_init(c, err);
    if (!status && (!read_rank(&c->rank, dele_json_get(c->json, "r")) ||
                    !read_alpha(&c->alpha, dele_json_get(c->json, "lora_alpha"))))
        status = dele_fail(err, DELE_ERR_FORMAT,
                           "%s: r must be a rank of at least 1, and lora_alpha a number", file);
    if (!status) status = check_selection(c, err);
    if (!status) status = check_patterns(c, err);
    c->rslora = dele_json_flag(c->json, "use_rslora", false);
    return status;
}

void dele_peft_config_release(dele_peft_config *c)
{
    cJSON_Delete(c->json);
    *c = (dele_peft_config){0};
}

/* ---- which module ---------------------------------------------------------------------------- */

/* Whether a regular expression of Python's matches a text from its first to its last character:
 * re.fullmatch.  layer (may be NULL): the number that the group "idx" matched, -1 without one; the
 * match may then end earlier, as re.match's. */
static dele_status matches(bool *does, int *layer, const dele_peft_config *c, const char *pattern,
                           const char *text, dele_err *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    const uint32_t how = PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | (layer ? 0 : PCRE2_ENDANCHORED);
    pcre2_code *regex =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, how, &code, &at, NULL);
    if (!regex)
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: \"%.100s\" cannot be read as a regular expression", c->file, pattern);
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(regex, NULL);
    int found = match ? pcre2_match(regex, (PCRE2_SPTR)text, strlen(text), 0, 0, match, NULL)
                      : PCRE2_ERROR_NOMEMORY;
    char number[12] = "";
    PCRE2_SIZE size = sizeof number;
    *does = found > 0;
    if (layer) *layer = -1;
    if (layer && *does &&
        !pcre2_substring_copy_byname(match, (PCRE2_SPTR) "idx", (PCRE2_UCHAR *)number, &size))
        *layer = atoi(number);
    pcre2_match_data_free(match);
    pcre2_code_free(regex);
    if (found >= PCRE2_ERROR_NOMATCH) return DELE_OK;
    return dele_fail(err, found == PCRE2_ERROR_NOMEMORY ? DELE_ERR_MEMORY : DELE_ERR_FORMAT,
                     "%s: matching \"%.100s\" took too long", c->file, pattern);
}

static bool in_list(const cJSON *list, const char *module)
{
    for (const cJSON *item = list->child; item; item = item->next)
        if (ends_in(module, item->valuestring)) return true;
    return false;
}

static bool is_listed_whole(const cJSON *list, const char *module)
{
    for (const cJSON *item = list->child; item; item = item->next)
        if (!strcmp(module, item->valuestring)) return true;
    return false;
}

static dele_status in_setting(bool *is, const dele_peft_config *c, const cJSON *setting,
                              const char *module, dele_err *err)
{
    if (cJSON_IsString(setting)) return matches(is, NULL, c, setting->valuestring, module, err);
    *is = in_list(setting, module);
    return DELE_OK;
}

/* The layer that PEFT takes a module for: the first number after a name, or after one of
 * layers_pattern; -1: none. */
static dele_status layer_of(int *layer, const dele_peft_config *c, const char *module,
                            dele_err *err)
{
    const cJSON *pattern = dele_json_given(c->json, "layers_pattern");
    const cJSON *at = cJSON_IsArray(pattern) ? pattern->child : pattern;
    bool does = false;
    if (!at || is_empty(pattern))
        return matches(&does, layer, c, ".*?\\.[^.]*\\.(?<idx>\\d+)\\.", module, err);
    for (; at && !does; at = cJSON_IsArray(pattern) ? at->next : NULL) {
        char regex[300];
        if (snprintf(regex, sizeof regex, "(?:^|.*?\\.)%s\\.(?<idx>\\d+)\\.", at->valuestring) >=
            (int)sizeof regex)
            return dele_fail(err, DELE_ERR_FORMAT, "%s: layers_pattern is too long", c->file);
        const dele_status status = matches(&does, layer, c, regex, module, err);
        if (status) return status;
    }
    return DELE_OK;
}

static dele_status in_layers(bool *is, const dele_peft_config *c, const cJSON *layers,
                             const char *module, dele_err *err)
{
    int layer = -1;
    const dele_status status = layer_of(&layer, c, module, err);
    *is = false;
    if (status || layer < 0) return status;
    if (cJSON_IsNumber(layers)) *is = layers->valuedouble == layer;
    for (const cJSON *at = cJSON_IsArray(layers) ? layers->child : NULL; at; at = at->next)
        *is |= at->valuedouble == layer;
    return DELE_OK;
}

/* The head of a model is no target of "all-linear". */
static bool is_linear(const char *module)
{
    return !ends_in(module, "lm_head") && !ends_in(module, "embed_out") &&
           !strstr(module, "embed_tokens");
}

/* Whether target_parameters has the module's weight: "mlp.gate.weight" of
 * "model.layers.0.mlp.gate".
 */
static bool is_parameter(const dele_peft_config *c, const char *module)
{
    const cJSON *parameters = dele_json_given(c->json, "target_parameters");
    char weight[300];
    const bool fits = snprintf(weight, sizeof weight, "%s.weight", module) < (int)sizeof weight;
    return fits && parameters && in_list(parameters, weight);
}

dele_status dele_peft_selects(bool *selects, const dele_peft_config *c, const char *module,
                              dele_err *err)
{
    const cJSON *targets = dele_json_given(c->json, "target_modules"),
                *not = dele_json_given(c->json, "exclude_modules"),
                *layers = dele_json_given(c->json, "layers_to_transform");
    bool out = false;
    dele_status status = DELE_OK;
    if (not &&!is_empty(not )) status = in_setting(&out, c, not, module, err);
    *selects = !status && is_parameter(c, module);
    if (status || *selects || out || !targets) return status;
    if (cJSON_IsString(targets) && !strcmp(targets->valuestring, "all-linear")) {
        *selects = is_linear(module);
        return DELE_OK;
    }
    status = in_setting(selects, c, targets, module, err);
    if (status || !*selects || !cJSON_IsArray(targets) || is_listed_whole(targets, module) ||
        !layers || (cJSON_IsArray(layers) && !layers->child))
        return status;
    return in_layers(selects, c, layers, module, err);
}

/* The value of the first key of a pattern that matches the module; NULL: none does. */
static dele_status pattern_value(const cJSON **value, const dele_peft_config *c, const char *name,
                                 const char *module, dele_err *err)
{
    const cJSON *pattern = dele_json_given(c->json, name);
    *value = NULL;
    for (const cJSON *at = pattern ? pattern->child : NULL; at; at = at->next) {
        char regex[300];
        bool does = false;
        if (snprintf(regex, sizeof regex, "(.*\\.)?(%s)$", at->string) >= (int)sizeof regex)
            return dele_fail(err, DELE_ERR_FORMAT, "%s: a key of %s is too long", c->file, name);
        const dele_status status = matches(&does, NULL, c, regex, module, err);
        if (status) return status;
        if (!does) continue;
        *value = at;
        break;
    }
    return DELE_OK;
}

dele_status dele_peft_module(size_t *rank, double *scale, const dele_peft_config *c,
                             const char *module, dele_err *err)
{
    const cJSON *own_rank, *own_alpha;
    double alpha = c->alpha;
    *rank = c->rank;
    dele_status status = pattern_value(&own_rank, c, "rank_pattern", module, err);
    if (!status) status = pattern_value(&own_alpha, c, "alpha_pattern", module, err);
    if (status) return status;
    if (own_rank) read_rank(rank, own_rank);
    if (own_alpha) read_alpha(&alpha, own_alpha);
    *scale = alpha / (c->rslora ? sqrt((double)*rank) : (double)*rank);
    return DELE_OK;
}
