/* Masks from the command line or from a file: the tensors that are trained. */
#include "model/mask.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

typedef struct {
    bool *layer; /* [n_layers] */
    bool part[DELE_N_PARTS];
    const dele_expert_list *experts; /* NULL: experts are selected as their part is */
} selection;

static dele_status begin_mask(dele_mask *mask, selection *s, const dele_model *model,
                              dele_arena *arena, dele_err *err)
{
    *mask = (dele_mask){.n_tensors = model->n_tensors};
    *s = (selection){0};
    mask->trains = DELE_NEW(arena, bool, model->n_tensors, err);
    s->layer = DELE_NEW(arena, bool, (size_t)model->config.n_layers, err);
    return mask->trains && s->layer ? DELE_OK : DELE_ERR_MEMORY;
}

/* Counts the trained tensors and finds the lowest trained layer; an empty mask is an error. */
static dele_status finish(dele_mask *mask, const dele_model *model, const char *where,
                          dele_err *err)
{
    mask->lowest = model->config.n_layers;
    for (size_t i = 0; i < mask->n_tensors; i++) {
        const dele_tensor *t = &model->tensors[i];
        if (!mask->trains[i]) continue;
        mask->n_trained++;
        mask->n_parameters += t->rows * t->cols;
        int layer = t->part == DELE_PART_EMBED ? 0
                    : t->layer < 0             ? model->config.n_layers
                                               : t->layer;
        if (layer < mask->lowest) mask->lowest = layer;
    }
    if (mask->n_trained == 0)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: no tensor of this model is selected, so nothing would be trained",
                         where);
    return DELE_OK;
}

static bool is_listed(const dele_expert_list *list, int layer, int expert)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->expert[i].layer == layer && list->expert[i].expert == expert) return true;
    return false;
}

/* The final norm is in no layer: part norm alone selects it.  embed and head ignore layers. */
static void select_tensors(dele_mask *mask, const dele_model *model, const selection *s)
{
    for (size_t i = 0; i < model->n_tensors; i++) {
        const dele_tensor *t = &model->tensors[i];
        mask->trains[i] = s->experts && dele_slot_of_expert(t->slot)
                              ? is_listed(s->experts, t->layer, t->expert)
                              : s->part[t->part] && (t->layer < 0 || s->layer[t->layer]);
    }
}

/* ---- the command line: "0-5,12", "mlp,attn" -------------------------------------------------- */

/* A list of layers and ranges.  strtol alone would take signs and spaces: each number must begin
 * with a digit. */
static dele_status parse_layers(selection *s, int n_layers, const char *text, dele_err *err)
{
    if (strcmp(text, "all") == 0) {
        for (int l = 0; l < n_layers; l++) s->layer[l] = true;
        return DELE_OK;
    }
    const char *at = text;
    for (;;) {
        char *end;
        long first = strtol(at, &end, 10), last = first;
        bool good = end != at && *at >= '0' && *at <= '9';
        if (good && *end == '-') {
            at = end + 1;
            last = strtol(at, &end, 10);
            good = end != at && *at >= '0' && *at <= '9' && last >= first;
        }
        if (!good || (*end && *end != ','))
            return dele_fail(err, DELE_ERR_USAGE, "layers \"%.60s\" should read like 0-5,12 or all",
                             text);
        if (last >= n_layers)
            return dele_fail(err, DELE_ERR_USAGE,
                             "layers \"%.60s\": there is no layer %ld, the last one is %d", text,
                             last, n_layers - 1);
        for (long l = first; l <= last; l++) s->layer[l] = true;
        if (!*end) return DELE_OK;
        at = end + 1;
    }
}

static bool select_part(selection *s, const char *name, size_t n)
{
    for (int p = 0; p < DELE_N_PARTS; p++)
        if (strlen(dele_part_name[p]) == n && memcmp(dele_part_name[p], name, n) == 0)
            return s->part[p] = true;
    return false;
}

static dele_status parse_parts(selection *s, const char *text, dele_err *err)
{
    if (strcmp(text, "all") == 0) {
        for (int p = 0; p < DELE_N_PARTS; p++) s->part[p] = true;
        return DELE_OK;
    }
    for (const char *at = text;; at++) {
        size_t n = strcspn(at, ",");
        if (!select_part(s, at, n))
            return dele_fail(
                err, DELE_ERR_USAGE,
                "parts \"%.60s\": \"%.*s\" is not one of mlp, attn, router, norm, embed, head, all",
                text, (int)(n < 40 ? n : 40), at);
        at += n;
        if (!*at) return DELE_OK;
    }
}

dele_status dele_mask_parse(dele_mask *mask, const dele_model *model, const char *layers,
                            const char *parts, dele_arena *arena, dele_err *err)
{
    selection s;
    dele_status status = begin_mask(mask, &s, model, arena, err);
    if (!status) status = parse_layers(&s, model->config.n_layers, layers, err);
    if (!status) status = parse_parts(&s, parts, err);
    if (status) return status;
    select_tensors(mask, model, &s);
    return finish(mask, model, "layers and parts", err);
}

/* ---- experts: "3:17,5:2" --------------------------------------------------------------------- */

/* Parts count in the layers of the experts.  mlp would mean all experts there. */
static dele_status select_experts(dele_mask *mask, const dele_model *model, selection *s,
                                  const dele_expert_list *experts, const char *where, dele_err *err)
{
    if (s->part[DELE_PART_MLP])
        return dele_fail(err, DELE_ERR_USAGE,
                         "%s: experts are named one by one, and the part mlp is all of them; leave "
                         "one of the two out",
                         where);
    for (size_t i = 0; i < experts->n; i++) s->layer[experts->expert[i].layer] = true;
    s->experts = experts;
    select_tensors(mask, model, s);
    return DELE_OK;
}

dele_status dele_mask_experts(dele_mask *mask, const dele_model *model,
                              const dele_expert_list *experts, const char *parts, dele_arena *arena,
                              dele_err *err)
{
    selection s;
    dele_status status = begin_mask(mask, &s, model, arena, err);
    if (!status && parts) status = parse_parts(&s, parts, err);
    const char *where = parts ? "experts and parts" : "experts";
    if (!status) status = select_experts(mask, model, &s, experts, where, err);
    return status ? status : finish(mask, model, where, err);
}

/* ---- patterns of names: "model.layers.[5-7].mlp.down_proj.weight" ---------------------------- */

/* Shell patterns: * matches any characters, dots too, ? one character, [5-7] one of a range.  A
 * plain name matches itself.  A tensor that is a part of one of the file ("...qkv_proj.weight:k")
 * also goes by the name of that one, which selects all its parts.  A pattern that matches no tensor
 * is an error, otherwise a misspelt layer would silently stay frozen. */
static dele_status select_pattern(dele_mask *mask, const dele_model *model, const char *pattern,
                                  const char *where, dele_err *err)
{
    bool met = false;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (fnmatch(pattern, model->tensors[i].name, 0) == 0 ||
            fnmatch(pattern, model->tensors[i].hf_name, 0) == 0)
            mask->trains[i] = met = true;
    return met ? DELE_OK
               : dele_fail(err, DELE_ERR_DATA,
                           "%s: this model has no tensor %.100s; its names read like %.100s", where,
                           *pattern ? pattern : "with an empty name",
                           model->tensors[model->n_tensors / 2].name);
}

dele_status dele_mask_match(dele_mask *mask, const dele_model *model, const char *patterns,
                            dele_arena *arena, dele_err *err)
{
    selection s;
    dele_status status = begin_mask(mask, &s, model, arena, err);
    char *rest = status ? NULL : dele_strdup(arena, patterns, err);
    if (!rest) return DELE_ERR_MEMORY;
    for (const char *pattern; !status && (pattern = strsep(&rest, ","));)
        status = select_pattern(mask, model, pattern, "tensors", err);
    return status ? status : finish(mask, model, "tensors", err);
}

/* ---- mask.json ------------------------------------------------------------------------------- */

static dele_status load_tensors(dele_mask *mask, const dele_model *model, const cJSON *list,
                                const char *path, dele_err *err)
{
    for (const cJSON *item = list->child; item; item = item->next) {
        if (!cJSON_IsString(item))
            return dele_fail(err, DELE_ERR_DATA, "%s: \"tensors\" must be a list of names", path);
        if (select_pattern(mask, model, item->valuestring, path, err))
            return err ? err->code : DELE_ERR_DATA;
    }
    return DELE_OK;
}

static dele_status load_parts(selection *s, const cJSON *parts, const char *path, dele_err *err)
{
    for (const cJSON *item = parts ? parts->child : NULL; item; item = item->next)
        if (!cJSON_IsString(item) || !select_part(s, item->valuestring, strlen(item->valuestring)))
            return dele_fail(
                err, DELE_ERR_DATA,
                "%s: \"parts\" holds something other than mlp, attn, router, norm, embed, head",
                path);
    return DELE_OK;
}

static dele_status load_selection(selection *s, int n_layers, const cJSON *layers,
                                  const cJSON *parts, const char *path, dele_err *err)
{
    for (const cJSON *item = layers->child; item; item = item->next) {
        if (!cJSON_IsNumber(item) || item->valuedouble != item->valueint || item->valueint < 0 ||
            item->valueint >= n_layers)
            return dele_fail(err, DELE_ERR_DATA,
                             "%s: \"layers\" holds something other than the layers 0 to %d", path,
                             n_layers - 1);
        s->layer[item->valueint] = true;
    }
    return load_parts(s, parts, path, err);
}

/* ["3:17", "5:2"], with parts or without. */
static dele_status load_experts(dele_mask *mask, const dele_model *model, selection *s,
                                const cJSON *experts, const cJSON *parts, const char *path,
                                dele_arena *arena, dele_err *err)
{
    dele_expert_list list;
    const dele_config *c = &model->config;
    if (cJSON_GetArraySize(experts) > c->n_layers * c->n_experts && c->n_experts)
        return dele_fail(err, DELE_ERR_DATA, "%s: \"experts\" lists more than this model has, %d",
                         path, c->n_layers * c->n_experts);
    char *text = dele_strdup(arena, "", err);
    for (const cJSON *item = experts->child; item && text; item = item->next) {
        if (!cJSON_IsString(item))
            return dele_fail(err, DELE_ERR_DATA, "%s: \"experts\" must be a list like [\"3:17\"]",
                             path);
        text = dele_printf(arena, err, "%s%s%s", text, *text ? "," : "", item->valuestring);
    }
    const char *where = dele_printf(arena, err, "%s: \"experts\"", path);
    if (!text || !where) return DELE_ERR_MEMORY;
    dele_status status = load_parts(s, parts, path, err);
    if (!status) status = dele_expert_list_parse(&list, c, text, where, arena, err);
    if (!status) status = select_experts(mask, model, s, &list, path, err);
    if (status != DELE_ERR_USAGE) return status;
    if (err) err->code = DELE_ERR_DATA; /* it stands in a file */
    return DELE_ERR_DATA;
}

dele_status dele_mask_load(dele_mask *mask, const dele_model *model, const char *path,
                           dele_arena *arena, dele_err *err)
{
    selection s;
    dele_status status = begin_mask(mask, &s, model, arena, err);
    cJSON *json = status ? NULL : dele_json_load(path, err);
    if (!json) return status ? status : err ? err->code : DELE_ERR_FORMAT;
    const cJSON *tensors = cJSON_GetObjectItemCaseSensitive(json, "tensors");
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(json, "layers");
    const cJSON *parts = cJSON_GetObjectItemCaseSensitive(json, "parts");
    const cJSON *experts = cJSON_GetObjectItemCaseSensitive(json, "experts");
    if (cJSON_IsArray(tensors) && !layers && !parts && !experts) {
        status = load_tensors(mask, model, tensors, path, err);
    } else if (cJSON_IsArray(layers) && cJSON_IsArray(parts) && !tensors && !experts) {
        status = load_selection(&s, model->config.n_layers, layers, parts, path, err);
        if (!status) select_tensors(mask, model, &s);
    } else if (cJSON_IsArray(experts) && !layers && !tensors && (!parts || cJSON_IsArray(parts))) {
        status = load_experts(mask, model, &s, experts, parts, path, arena, err);
    } else {
        status = dele_fail(err, DELE_ERR_DATA,
                           "%s: a mask has the lists \"layers\" and \"parts\", or the list "
                           "\"tensors\", or the list \"experts\" with or without \"parts\"",
                           path);
    }
    cJSON_Delete(json);
    return status ? status : finish(mask, model, path, err);
}
