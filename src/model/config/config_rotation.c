/* The rotation in config.json, in all its spellings.
 *
 *   v4   rope_theta beside rope_scaling {rope_type or type, factor, ...}
 *   v5   rope_parameters {rope_type, rope_theta, factor, ...}
 *
 * Where the rotation differs by kind of layer, rope_parameters has an object for each,
 * "full_attention" and "sliding_attention"; in v4 the keys above are those of the full layers, and
 * the base of the sliding ones has a key of its own.
 *
 * In transformers 5.23 (RotaryEmbeddingConfigMixin, modeling_rope_utils.py) the objects override
 * rope_theta, and rope_scaling overrides rope_parameters.  Here keys that contradict one another
 * are refused, so no order is needed.  A parameter that the type of the rotation does not use is
 * refused too: transformers ignores it with a warning. */
#include "model/config/config_rotation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/families/families.h"

/* ---- the parameters -------------------------------------------------------------------------- */

typedef enum {
    THETA,
    TYPE,
    FRACTION,
    FACTOR,
    ORIGINAL,
    LOW,
    HIGH,
    BETA_FAST,
    BETA_SLOW,
    ATTENTION_FACTOR,
    MSCALE,
    MSCALE_ALL,
    TRUNCATE,
    N_PARAMETERS
} parameter;

static const struct {
    const char *key;
    parameter of;
} keys[] = {{"rope_theta", THETA},
            {"rope_type", TYPE},
            {"type", TYPE},
            {"partial_rotary_factor", FRACTION},
            {"factor", FACTOR},
            {"original_max_position_embeddings", ORIGINAL},
            {"low_freq_factor", LOW},
            {"high_freq_factor", HIGH},
            {"beta_fast", BETA_FAST},
            {"beta_slow", BETA_SLOW},
            {"attention_factor", ATTENTION_FACTOR},
            {"mscale", MSCALE},
            {"mscale_all_dim", MSCALE_ALL},
            {"truncate", TRUNCATE}};

/* What a type needs beside theta and the fraction, and what it may have. */
#define BIT(x) (1u << (x))
static const struct {
    const char *name;
    unsigned needs, may;
} types[] = {[DELE_ROPE_DEFAULT] = {"default", 0, 0},
             [DELE_ROPE_LINEAR] = {"linear", BIT(FACTOR), 0},
             [DELE_ROPE_DYNAMIC] = {"dynamic", BIT(FACTOR), 0},
             [DELE_ROPE_LLAMA3] = {"llama3", BIT(FACTOR) | BIT(LOW) | BIT(HIGH), BIT(ORIGINAL)},
             [DELE_ROPE_YARN] = {"yarn", BIT(FACTOR),
                                 BIT(ORIGINAL) | BIT(BETA_FAST) | BIT(BETA_SLOW) |
                                     BIT(ATTENTION_FACTOR) | BIT(MSCALE) | BIT(MSCALE_ALL) |
                                     BIT(TRUNCATE)}};
enum { N_TYPES = sizeof types / sizeof *types };

/* A value and its name in the file, for messages. */
typedef struct {
    const cJSON *value;
    char name[96];
} found;

/* The rotation of one kind of layer, collected from all keys. */
typedef struct {
    found of[N_PARAMETERS];
    bool null_theta; /* some spelling has it, as null */
} collected;

/* One value that several keys may hold: the same number or text in each, or the file contradicts
 * itself. */
static void agree(found *f, const cJSON *value, const char *name, const dele_config_reader *r)
{
    if (!value || cJSON_IsNull(value)) return;
    if (f->value && !cJSON_Compare(f->value, value, true))
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" and \"%s\" disagree; keep one", r->where,
                  f->name, name);
    if (f->value) return;
    f->value = value;
    snprintf(f->name, sizeof f->name, "%s", name);
}

static const char *parameter_of(parameter *p, const char *key)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(keys[i].key, key)) {
            *p = keys[i].of;
            return keys[i].key;
        }
    return NULL;
}

/* Takes the parameters of one object.  name: the object's, for messages.  Keys that are no
 * parameters are refused, except those of `kinds`, which the caller reads. */
static void take_object(collected *out, const cJSON *object, const char *name, bool kinds,
                        const dele_config_reader *r)
{
    if (!object || cJSON_IsNull(object)) return;
    if (!cJSON_IsObject(object)) {
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be an object or null", r->where, name);
        return;
    }
    for (const cJSON *item = object->child; item; item = item->next) {
        parameter p = THETA;
        const char *key = parameter_of(&p, item->string);
        char full[96];
        snprintf(full, sizeof full, "%s.%.60s", name, item->string);
        if (key) {
            agree(&out->of[p], item, full, r);
            out->null_theta |= p == THETA && cJSON_IsNull(item);
        } else if (!cJSON_IsNull(item) &&
                   !(kinds && (!strcmp(item->string, "full_attention") ||
                               !strcmp(item->string, "sliding_attention")))) {
            dele_read_refuse(r, full, "is not supported");
        }
    }
}

/* ---- one rotation ---------------------------------------------------------------------------- */

static dele_rope_type type_of(const found *f, const dele_family *family,
                              const dele_config_reader *r)
{
    const char *word = cJSON_IsString(f->value) ? f->value->valuestring : NULL;
    const unsigned allowed = family->rotation ? family->rotation->types : 0;
    if (!f->value) return DELE_ROPE_DEFAULT;
    for (int type = 0; word && type < N_TYPES; type++)
        if (!strcmp(types[type].name, word) && (!allowed || allowed & BIT(type)))
            return (dele_rope_type)type;
    dele_fail(r->err, DELE_ERR_UNSUPPORTED, "%s: \"%s\" is %s%.40s%s, a rotation that is not %s",
              r->where, f->name, word ? "\"" : "", word ? word : "no text", word ? "\"" : "",
              allowed && word ? "supported for this family" : "supported");
    return DELE_ROPE_DEFAULT;
}

/* A number in a range; `absent` where there is none. */
static float number_in(const found *f, double absent, double least, double most,
                       const dele_config_reader *r)
{
    if (!f->value) return (float)absent;
    const double x = cJSON_IsNumber(f->value) ? f->value->valuedouble : (double)NAN;
    if (x >= least && x <= most) return (float)x;
    dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a number from %g to %g", r->where,
              f->name, least, most);
    return (float)absent;
}

/* Refuses what the type does not use, and the lack of what it needs.  name: where the type is. */
static void check_parameters(const collected *all, dele_rope_type type, const char *name,
                             const dele_config_reader *r)
{
    for (int p = FACTOR; p < N_PARAMETERS; p++) {
        const found *f = &all->of[p];
        const bool by_one = p == FACTOR && type == DELE_ROPE_DEFAULT && f->value &&
                            cJSON_IsNumber(f->value) && f->value->valuedouble == 1;
        char why[100];
        if (f->value && !by_one && !((types[type].needs | types[type].may) & BIT(p))) {
            snprintf(why, sizeof why, "is not supported with a rotation of type \"%s\"",
                     types[type].name);
            dele_read_refuse(r, f->name, why);
        }
        if (!f->value && types[type].needs & BIT(p))
            for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
                if (keys[i].of == (parameter)p)
                    dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" is \"%s\", which needs \"%s\"",
                              r->where, name, types[type].name, keys[i].key);
    }
}

/* The parameters of yarn; beta_fast and beta_slow are 32 and 1 where they are absent or 0, and a
 * mscale of 0 is none.  A rotation by kind of layer cannot say that its correction range is not
 * rounded: transformers looks for "truncate" beside the kinds. */
static void settle_yarn(dele_rope *rope, const collected *all, bool by_kind,
                        const dele_config_reader *r)
{
    const found *f = all->of;
    rope->beta_fast = number_in(&f[BETA_FAST], 32, 0, 1e6, r);
    rope->beta_slow = number_in(&f[BETA_SLOW], 1, 0, 1e6, r);
    if (rope->beta_fast == 0) rope->beta_fast = 32;
    if (rope->beta_slow == 0) rope->beta_slow = 1;
    rope->attention_factor = number_in(&f[ATTENTION_FACTOR], 0, 1e-6, 1e6, r);
    rope->mscale = number_in(&f[MSCALE], 0, 0, 1e6, r);
    rope->mscale_all_dim = number_in(&f[MSCALE_ALL], 0, 0, 1e6, r);
    rope->no_truncate = !dele_read_flag(r, f[TRUNCATE].name, f[TRUNCATE].value, true);
    if (by_kind && rope->no_truncate)
        dele_read_refuse(r, f[TRUNCATE].name, "is not supported where layers differ");
}

/* theta: the base where no key has it. */
static dele_rope settle(const collected *all, double theta, const dele_config *c,
                        const dele_config_reader *r)
{
    const bool by_kind = c->family->rotation && c->family->rotation->by_kind;
    const found *f = all->of;
    dele_rope rope = {.type = type_of(&f[TYPE], c->family, r)};
    if (!f[THETA].value && all->null_theta)
        dele_read_refuse(r, "rope_theta",
                         "is null, and no other key holds the base of the rotation");
    rope.theta = dele_read_positive(r, f[THETA].name, f[THETA].value, (float)theta);
    check_parameters(all, rope.type, f[TYPE].name, r);
    if (rope.type == DELE_ROPE_DEFAULT) return rope;
    rope.factor = number_in(&f[FACTOR], 1, 1, 1e6, r);
    if (rope.type != DELE_ROPE_LINEAR)
        rope.original_context = dele_read_size(r, f[ORIGINAL].name, f[ORIGINAL].value, c->context);
    if (rope.type == DELE_ROPE_LLAMA3) {
        rope.low_freq_factor = number_in(&f[LOW], 1, 1e-6, 1e6, r);
        rope.high_freq_factor = number_in(&f[HIGH], 4, 1e-6, 1e6, r);
    }
    if (rope.type == DELE_ROPE_YARN) settle_yarn(&rope, all, by_kind, r);
    return rope;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The channels that a fraction of a head is; 0: all.  The product is that of double precision,
 * rounded down, as in transformers. */
static int rotary_dim(const found *f, const dele_config *c, const dele_config_reader *r)
{
    const dele_rotation_keys *spelled = c->family->rotation;
    const bool whole = !spelled || !spelled->fraction;
    const double x = f->value && cJSON_IsNumber(f->value) ? f->value->valuedouble
                     : f->value || whole                  ? f->value ? (double)NAN : 1
                                                          : spelled->fraction_absent;
    const int n = x > 0 && x <= 1 ? (int)(c->head_dim * x) : 0;
    if (whole && x != 1) dele_read_refuse(r, f->name, "other than 1 is not supported");
    if (!whole && (n < 2 || n % 2))
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: \"%s\" makes %d rotated channels of a head of %d; they must be pairs",
                  r->where, f->value ? f->name : spelled->fraction, n, c->head_dim);
    return whole || n == c->head_dim ? 0 : n;
}

/* A kind of layer that a family without kinds names: the same rotation, which transformers takes
 * from rope_parameters itself. */
static void read_full_alone(collected *all, const cJSON *parameters, float base,
                            const dele_config_reader *r)
{
    const cJSON *full = cJSON_GetObjectItemCaseSensitive(parameters, "full_attention");
    collected inner = {0};
    if (cJSON_GetObjectItemCaseSensitive(parameters, "sliding_attention"))
        dele_read_refuse(r, "rope_parameters.sliding_attention", "is not supported");
    take_object(&inner, full, "full_attention", false, r);
    for (int p = TYPE; p < N_PARAMETERS; p++)
        agree(&all->of[p], inner.of[p].value, inner.of[p].name, r);
    const found *theta = &inner.of[THETA];
    if (theta->value && dele_read_positive(r, theta->name, theta->value, 0) != base)
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: \"%s\" is not the base of the rotation that the other keys give (%g where "
                  "they have none), which transformers takes for this family; put it into "
                  "rope_parameters itself",
                  r->where, theta->name, (double)base);
}

/* One rotation for all layers. */
static void read_flat(dele_config *c, const dele_key_row *row, collected *all,
                      const dele_config_reader *r)
{
    const cJSON *parameters = dele_read_field(r, "rope_parameters");
    take_object(all, parameters, "rope_parameters", true, r);
    const float base =
        dele_read_positive(r, all->of[THETA].name, all->of[THETA].value, (float)row->value);
    if (cJSON_IsObject(parameters)) read_full_alone(all, parameters, base, r);
    c->rope[0] = settle(all, row->value, c, r);
}

/* An object for each kind of layer; parameters beside them are not read by transformers. */
static void read_kinds(dele_config *c, const dele_key_row *row, collected *full,
                       const dele_config_reader *r)
{
    const dele_rotation_keys *spelled = c->family->rotation;
    const cJSON *parameters = dele_read_field(r, "rope_parameters"),
                *theta = dele_read_field(r, row->hf);
    collected beside = {0}, sliding = {0};
    take_object(&beside, parameters, "rope_parameters", true, r);
    for (int p = 0; p < N_PARAMETERS; p++)
        if (beside.of[p].value)
            dele_read_refuse(r, beside.of[p].name,
                             "is not supported: put it under \"full_attention\" or "
                             "\"sliding_attention\"");
    if (spelled->sliding)
        agree(&sliding.of[THETA], dele_read_field(r, spelled->sliding), spelled->sliding, r);
    if (cJSON_IsObject(parameters)) {
        take_object(full, cJSON_GetObjectItemCaseSensitive(parameters, "full_attention"),
                    "full_attention", false, r);
        take_object(&sliding, cJSON_GetObjectItemCaseSensitive(parameters, "sliding_attention"),
                    "sliding_attention", false, r);
    }
    if (!spelled->sliding && theta && !sliding.of[THETA].value && cJSON_IsNumber(theta) &&
        theta->valuedouble != spelled->sliding_absent)
        dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                  "%s: \"%s\" says nothing of the sliding layers, and versions of transformers "
                  "differ; write rope_parameters for both kinds of layer",
                  r->where, row->hf);
    for (int i = 0; i < 2; i++) {
        const found *fraction = &(i ? &sliding : full)->of[FRACTION];
        rotary_dim(fraction, c, r); /* a whole head, or an error */
        c->rope[i] = settle(i ? &sliding : full, i ? spelled->sliding_absent : row->value, c, r);
    }
}

void dele_read_rotation(dele_config *c, const dele_key_row *row, const dele_config_reader *r)
{
    const dele_rotation_keys *spelled = c->family->rotation;
    const char *fraction =
        spelled && spelled->fraction ? spelled->fraction : "partial_rotary_factor";
    const cJSON *theta = cJSON_GetObjectItemCaseSensitive(r->json, row->hf);
    collected all = {.null_theta = theta && cJSON_IsNull(theta)};
    agree(&all.of[THETA], theta, row->hf, r);
    agree(&all.of[FRACTION], dele_read_field(r, fraction), fraction, r);
    take_object(&all, dele_read_field(r, "rope_scaling"), "rope_scaling", false, r);
    if (spelled && spelled->by_kind) {
        if (!strcmp(all.of[TYPE].name, "rope_scaling.type"))
            dele_read_refuse(
                r, "rope_scaling.type",
                "is not read by transformers where layers differ; write \"rope_type\"");
        read_kinds(c, row, &all, r);
        return;
    }
    read_flat(c, row, &all, r);
    c->rotary_dim = rotary_dim(&all.of[FRACTION], c, r);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The parameters of a scaled rotation, without its base. */
static void add_scaling(cJSON *object, const dele_rope *rope)
{
    const unsigned has = types[rope->type].needs | types[rope->type].may;
    const struct {
        parameter of;
        float value;
    } numbers[] = {{FACTOR, rope->factor},         {LOW, rope->low_freq_factor},
                   {HIGH, rope->high_freq_factor}, {BETA_FAST, rope->beta_fast},
                   {BETA_SLOW, rope->beta_slow},   {ATTENTION_FACTOR, rope->attention_factor},
                   {MSCALE, rope->mscale},         {MSCALE_ALL, rope->mscale_all_dim}};
    cJSON_AddStringToObject(object, "rope_type", types[rope->type].name);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            if (keys[k].of == numbers[i].of && has & BIT(numbers[i].of) && numbers[i].value > 0)
                cJSON_AddItemToObject(object, keys[k].key, dele_float_json(numbers[i].value));
    if (has & BIT(ORIGINAL))
        cJSON_AddNumberToObject(object, "original_max_position_embeddings", rope->original_context);
    if (rope->no_truncate) cJSON_AddFalseToObject(object, "truncate");
}

/* The shortest decimal whose product with the head gives the rotated channels. */
static cJSON *fraction_json(const dele_config *c)
{
    const int n = (int)dele_rotary_dim(c);
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)n / c->head_dim);
        if ((int)(c->head_dim * strtod(text, NULL)) == n) break;
    }
    return cJSON_CreateRaw(n == c->head_dim ? "1.0" : text);
}

static void add_kind(cJSON *parameters, const char *kind, const dele_rope *rope)
{
    cJSON *object = cJSON_AddObjectToObject(parameters, kind);
    cJSON_AddItemToObject(object, "rope_theta", dele_float_json(rope->theta));
    add_scaling(object, rope);
}

/* The keys of transformers 4, which 5 reads too; where they cannot say it, those of 5 beside
 * them. */
void dele_rotation_json(cJSON *json, const dele_config *c, const dele_key_row *row)
{
    const dele_rotation_keys *spelled = c->family->rotation;
    cJSON_AddItemToObject(json, row->hf, dele_float_json(c->rope[0].theta));
    if (c->rope[0].type == DELE_ROPE_DEFAULT)
        cJSON_AddNullToObject(json, "rope_scaling");
    else
        add_scaling(cJSON_AddObjectToObject(json, "rope_scaling"), &c->rope[0]);
    if (spelled && spelled->fraction)
        cJSON_AddItemToObject(json, spelled->fraction, fraction_json(c));
    if (!spelled || !spelled->by_kind) return;
    if (spelled->sliding)
        cJSON_AddItemToObject(json, spelled->sliding, dele_float_json(c->rope[1].theta));
    if (spelled->sliding && c->rope[1].type == DELE_ROPE_DEFAULT) return;
    cJSON *parameters = cJSON_AddObjectToObject(json, "rope_parameters");
    add_kind(parameters, "full_attention", &c->rope[0]);
    add_kind(parameters, "sliding_attention", &c->rope[1]);
}
