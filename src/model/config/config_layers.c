/* What differs from layer to layer in config.json: which layers see a window of keys, which are not
 * rotated, which have experts.
 *
 *   sliding_window, layer_types [a word for each layer]            all families with windows
 *   sliding_window_pattern n: each n-th layer is full              where layer_types is absent
 *   use_sliding_window, max_window_layers: the layers from there on
 *   mlp_only_layers [numbers], decoder_sparse_step n: those layers, and all but each n-th, have an
 *     MLP in a model whose other layers have experts
 *   no_rope_layers [1: rotated, 0: not], no_rope_layer_interval n: each n-th is not rotated
 *
 * Which of them a family has are rows of its table (DELE_HOLDS_PART), and dele_slides says what
 * holds without layer_types. */
#include "model/config/config_layers.h"

#include <math.h>
#include <string.h>

#include "model/families/families.h"

static const cJSON *key_of_layers(const dele_config *c, const char *key,
                                  const dele_config_reader *r)
{
    return dele_family_key(c->family, key) ? dele_read_field(r, key) : NULL;
}

static bool has(const dele_config *c, const char *key)
{
    return dele_family_key(c->family, key) != NULL;
}

/* A whole number of at least 0. */
static int read_from(const dele_config *c, const char *key, int absent, const dele_config_reader *r)
{
    const cJSON *item = key_of_layers(c, key, r);
    const double x = item && cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!item) return absent;
    if (x >= 0 && x <= 1 << 30 && x == floor(x)) return (int)x;
    dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be an integer of at least 0", r->where,
              key);
    return absent;
}

static void read_unrotated(dele_config *c, const dele_config_reader *r)
{
    static const char *const list_key = "no_rope_layers", *const each_key =
                                                              "no_rope_layer_interval";
    const cJSON *list = key_of_layers(c, list_key, r), *each = key_of_layers(c, each_key, r);
    const int n = dele_read_size(r, each_key, each, 4);
    if (!has(c, list_key)) return;
    const cJSON *item = cJSON_IsArray(list) ? list->child : NULL;
    if (list && cJSON_GetArraySize(list) < c->n_layers)
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: \"%s\" must be a list with 0 or 1 for each layer, or null", r->where,
                  list_key);
    for (int l = 0; l < c->n_layers && n > 0; l++, item = item ? item->next : NULL) {
        const bool one = item && cJSON_IsNumber(item) && item->valuedouble == 1,
                   zero = item && cJSON_IsNumber(item) && item->valuedouble == 0;
        if (item && !one && !zero)
            dele_fail(r->err, DELE_ERR_FORMAT, "%s: an item of \"%s\" is neither 0 nor 1", r->where,
                      list_key);
        if (list ? zero : (l + 1) % n == 0) c->layer_kind[l] |= DELE_LAYER_UNROTATED;
    }
}

/* Which layers have experts, in a family that has both kinds (transformers' modeling_qwen2_moe). */
static void read_sparse(dele_config *c, const dele_config_reader *r)
{
    static const char *const step_key = "decoder_sparse_step", *const list_key = "mlp_only_layers";
    if (!has(c, step_key)) return;
    const int step = dele_read_size(r, step_key, key_of_layers(c, step_key, r), 1);
    const cJSON *list = key_of_layers(c, list_key, r);
    for (int l = 0; step > 0 && l < c->n_layers; l++)
        if ((l + 1) % step == 0) c->layer_kind[l] |= DELE_LAYER_SPARSE;
    if (list && !cJSON_IsArray(list))
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a list of layers or null", r->where,
                  list_key);
    for (const cJSON *item = cJSON_IsArray(list) ? list->child : NULL; item; item = item->next) {
        const double x = cJSON_IsNumber(item) ? item->valuedouble : -1;
        if (x >= 0 && x < c->n_layers && x == floor(x)) {
            c->layer_kind[(int)x] &= (unsigned char)~DELE_LAYER_SPARSE;
            continue;
        }
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" names something other than layers 0 to %d",
                  r->where, list_key, c->n_layers - 1);
        return;
    }
}

/* Whether a layer slides where layer_types does not say it. */
static bool slides(const dele_config *c, int layer, int period, int from)
{
    switch (c->family->slides) {
    case DELE_SLIDES_NEVER:
        break;
    case DELE_SLIDES_ALL:
        return c->window > 0;
    case DELE_SLIDES_BETWEEN:
        return (layer + 1) % period != 0;
    case DELE_SLIDES_FROM:
        return c->window > 0 && layer >= from;
    case DELE_SLIDES_EVEN:
        return c->window > 0 && layer % 2 == 0 && layer < from;
    case DELE_SLIDES_UNROTATED:
        return c->window > 0 && c->layer_kind[layer] & DELE_LAYER_UNROTATED;
    }
    return false;
}

/* Whether a word of layer_types is that of a sliding layer; another than these two is an error. */
static bool is_sliding(const cJSON *word, const char *key, const dele_config_reader *r)
{
    const char *text = cJSON_IsString(word) ? word->valuestring : "";
    const bool sliding = !strcmp(text, "sliding_attention");
    if (!sliding && strcmp(text, "full_attention") != 0)
        dele_read_refuse(r, key,
                         "names a layer other than \"full_attention\" and \"sliding_attention\"");
    return sliding;
}

/* The window's own key may be off: then it is none. */
static void read_use(dele_config *c, const dele_config_reader *r)
{
    static const char *const key = "use_sliding_window";
    if (has(c, key) && !dele_read_flag(r, key, key_of_layers(c, key, r), false)) c->window = 0;
}

void dele_read_layers(dele_config *c, const dele_key_row *row, const dele_config_reader *r)
{
    const dele_family *f = c->family;
    const cJSON *types = dele_read_field(r, row->hf),
                *each = key_of_layers(c, "sliding_window_pattern", r);
    const int period = dele_read_size(r, "sliding_window_pattern", each, f->period ? f->period : 1),
              from = read_from(c, "max_window_layers", (int)row->value, r);
    bool any = false;
    if (c->n_layers < 1 || c->n_layers > DELE_MAX_LAYERS || period < 1) return; /* an error yet */
    if (types && (!cJSON_IsArray(types) || cJSON_GetArraySize(types) != c->n_layers)) {
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a list with one name for each layer",
                  r->where, row->hf);
        return;
    }
    read_use(c, r);
    read_unrotated(c, r);
    read_sparse(c, r);
    const cJSON *word = types ? types->child : NULL;
    for (int l = 0; l < c->n_layers; l++, word = word ? word->next : NULL) {
        const bool rule = slides(c, l, period, from),
                   is = word ? is_sliding(word, row->hf, r) : rule;
        if (word && is != rule && (f->slides == DELE_SLIDES_NEVER || f->slides == DELE_SLIDES_ALL))
            dele_read_refuse(r, row->hf,
                             f->slides == DELE_SLIDES_NEVER
                                 ? "names a layer other than \"full_attention\""
                                 : "does not agree with sliding_window, which transformers goes by "
                                   "for this family");
        if (is) c->layer_kind[l] |= DELE_LAYER_SLIDING;
        any |= is;
    }
    if (any && !c->window)
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: layers have sliding attention%s%s%s, but there is no window: "
                  "\"sliding_window\" is "
                  "null or 0, or use_sliding_window is not true",
                  r->where, types ? " by \"" : "", types ? row->hf : "", types ? "\"" : "");
    if (!any) c->window = 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool is_kind(const dele_config *c, int layer, int kind)
{
    return c->layer_kind[layer] & kind;
}

static cJSON *types_json(const dele_config *c)
{
    if (c->family->slides == DELE_SLIDES_NEVER || c->family->slides == DELE_SLIDES_ALL) return NULL;
    cJSON *list = cJSON_CreateArray();
    for (int l = 0; l < c->n_layers; l++)
        cJSON_AddItemToArray(list, cJSON_CreateString(is_kind(c, l, DELE_LAYER_SLIDING)
                                                          ? "sliding_attention"
                                                          : "full_attention"));
    return list;
}

/* The period after which a layer is full, if there is one; NULL otherwise. */
static cJSON *pattern_json(const dele_config *c)
{
    int n = 1;
    while (n <= c->n_layers && is_kind(c, n - 1, DELE_LAYER_SLIDING)) n++;
    for (int l = 0; l < c->n_layers; l++)
        if (is_kind(c, l, DELE_LAYER_SLIDING) != ((l + 1) % n != 0)) return NULL;
    return cJSON_CreateNumber(n);
}

static cJSON *dense_json(const dele_config *c)
{
    cJSON *list = cJSON_CreateArray();
    for (int l = 0; l < c->n_layers; l++)
        if (!is_kind(c, l, DELE_LAYER_SPARSE)) cJSON_AddItemToArray(list, cJSON_CreateNumber(l));
    return list;
}

cJSON *dele_layers_json(const dele_config *c, const char *key)
{
    int first = 0;
    if (!strcmp(key, "layer_types")) return types_json(c);
    if (!strcmp(key, "sliding_window_pattern")) return pattern_json(c);
    if (!strcmp(key, "use_sliding_window")) return cJSON_CreateBool(c->window > 0);
    if (!strcmp(key, "decoder_sparse_step")) return cJSON_CreateNumber(1);
    if (!strcmp(key, "mlp_only_layers")) return dense_json(c);
    if (!strcmp(key, "max_window_layers")) {
        while (first < c->n_layers && !is_kind(c, first, DELE_LAYER_SLIDING)) first++;
        return cJSON_CreateNumber(first);
    }
    if (strcmp(key, "no_rope_layers") != 0) return NULL;
    cJSON *list = cJSON_CreateArray();
    for (int l = 0; l < c->n_layers; l++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(!is_kind(c, l, DELE_LAYER_UNROTATED)));
    return list;
}
