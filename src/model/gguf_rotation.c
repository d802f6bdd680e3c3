/* llama.cpp's keys for the rotation:
 *
 *   rope.freq_base, rope.freq_base_swa                     bases of full and of sliding layers
 *   rope.scaling.type                                      "none", "linear", "yarn"
 *   rope.scaling.factor, .original_context_length          .attn_factor and .yarn_...: of yarn
 *   rope_freqs.weight                                      a tensor: llama3, as divisors
 *
 * Scaling is that of the full layers alone where layers differ.  llama.cpp multiplies yarn's
 * cosines and sines by 0.1 ln(factor) + 1 and by attn_factor; yarn_attn_factor, which its converter
 * writes, changes nothing.
 *
 * Of a llama3 rotation a file of llama.cpp has the divisors and not the parameters.  They are those
 * of the published models, or those that deleatur wrote beside them, and the divisors are compared
 * with what follows from them. */
#include "model/gguf_rotation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/config/rotation.h"
#include "model/families/families.h"
#include "tensor/dtype.h"

#define OWN "deleatur.llama3."

dele_gguf_name dele_gguf_name_of(const dele_family *family, const char *name)
{
    dele_gguf_name key;
    snprintf(key.text, sizeof key.text, "%s.%s", family->gguf, name);
    return key;
}

static double number(const dele_gguf *g, const dele_family *f, const char *name, double fallback,
                     dele_err *err)
{
    return dele_gguf_number(g, dele_gguf_name_of(f, name).text, fallback, err);
}

static bool by_kind(const dele_family *f) { return f->rotation && f->rotation->by_kind; }

bool dele_gguf_is_rotation_key(const dele_family *f, const char *name)
{
    static const char *const names[] = {"rope.scaling.type",
                                        "rope.scaling.factor",
                                        "rope.scaling.original_context_length",
                                        "rope.scaling.finetuned",
                                        "rope.scaling.attn_factor",
                                        "rope.scaling.yarn_attn_factor",
                                        "rope.scaling.yarn_ext_factor",
                                        "rope.scaling.yarn_beta_fast",
                                        "rope.scaling.yarn_beta_slow"};
    if (dele_family_tensor(f, DELE_SLOT_POSITIONS)) return false;
    if (f->slides == DELE_SLIDES_BETWEEN && !strcmp(name, "attention.sliding_window_pattern"))
        return true;
    if (by_kind(f) && !strcmp(name, "rope.freq_base_swa")) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

/* ---- llama3 ---------------------------------------------------------------------------------- */

static size_t divisors(float *out, const dele_config *c, const dele_rope *rope)
{
    enum { MOST = 1 << 13 };
    const dele_rope plain = {.theta = rope->theta};
    const size_t n = dele_rotation_pairs(c);
    float before[MOST];
    if (!out || n > MOST) return n;
    dele_rotation_frequencies(before, c, &plain, 1);
    dele_rotation_frequencies(out, c, rope, 1);
    for (size_t i = 0; i < n; i++) out[i] = before[i] / out[i];
    return n;
}

size_t dele_gguf_divisors(float *out, const dele_config *c)
{
    if (c->rope[0].type != DELE_ROPE_LLAMA3 || !c->family->gguf_divisors) return 0;
    return divisors(out, c, &c->rope[0]);
}

/* Takes the parameters, and compares what follows from them with the file. */
static void read_llama3(dele_config *c, const dele_stored *t, const dele_gguf *g, dele_err *err)
{
    enum { MOST = 1 << 13 };
    const size_t n = dele_rotation_pairs(c);
    float file[MOST], own[MOST], most = 1;
    if (t->n_dims != 1 || t->dims[0] != n || n > MOST || t->dtype != DELE_DTYPE_F32) {
        dele_fail(err, DELE_ERR_FORMAT, "%s: %s does not have %zu numbers of type F32", g->file,
                  t->name, n);
        return;
    }
    if (!g->no_data) dele_dtype_read(file, t->data, t->dtype, n);
    for (size_t i = 0; i < n && !g->no_data; i++) most = fmaxf(most, file[i]);
    c->rope[0].type = DELE_ROPE_LLAMA3;
    c->rope[0].factor = (float)dele_gguf_number(g, OWN "factor", (double)most, err);
    c->rope[0].low_freq_factor = (float)dele_gguf_number(g, OWN "low_freq_factor", 1, err);
    c->rope[0].high_freq_factor = (float)dele_gguf_number(g, OWN "high_freq_factor", 4, err);
    c->rope[0].original_context = dele_gguf_int(g, OWN "original_context_length", 1, 8192, err);
    if (g->no_data || err->code) return;
    divisors(own, c, &c->rope[0]);
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(own[i] - file[i]) <= 1e-4f * own[i])) {
            dele_fail(
                err, DELE_ERR_UNSUPPORTED,
                "%s: the numbers of %s are not those of a llama3 rotation with low_freq_factor "
                "%g, high_freq_factor %g and %d positions trained on",
                g->file, t->name, (double)c->rope[0].low_freq_factor,
                (double)c->rope[0].high_freq_factor, c->rope[0].original_context);
            return;
        }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* What llama.cpp multiplies yarn's cosines and sines by where no key says more. */
static double plain_factor(double factor) { return factor > 1 ? 0.1 * log(factor) + 1 : 1; }

static void read_yarn(dele_config *c, const dele_gguf *g, dele_err *err)
{
    const dele_family *f = c->family;
    dele_rope *rope = &c->rope[0];
    const double more = number(g, f, "rope.scaling.attn_factor", 1, err);
    rope->beta_fast = (float)number(g, f, "rope.scaling.yarn_beta_fast", 32, err);
    rope->beta_slow = (float)number(g, f, "rope.scaling.yarn_beta_slow", 1, err);
    if (more != 1) rope->attention_factor = (float)(more * plain_factor((double)rope->factor));
    if (number(g, f, "rope.scaling.yarn_ext_factor", 1, err) != 1)
        dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: %s.rope.scaling.yarn_ext_factor is not 1",
                  g->file, f->gguf);
}

static void read_scaling(dele_config *c, const dele_gguf *g, dele_err *err)
{
    const dele_family *f = c->family;
    const dele_gguf_name type = dele_gguf_name_of(f, "rope.scaling.type");
    const double factor = number(g, f, "rope.scaling.factor", 1, err);
    const bool has = dele_gguf_find(g, type.text), yarn = dele_gguf_is(g, type.text, "yarn"),
               linear = has ? dele_gguf_is(g, type.text, "linear") : factor != 1 && factor != 0;
    dele_rope *rope = &c->rope[0];
    if (dele_gguf_find(g, "rope.scaling.type") ||
        (has && !yarn && !linear && !dele_gguf_is(g, type.text, "none"))) {
        dele_fail(err, DELE_ERR_UNSUPPORTED,
                  "%s: %s is not supported; \"none\", \"linear\" and \"yarn\" are", g->file,
                  type.text);
        return;
    }
    if (!yarn && number(g, f, "rope.scaling.attn_factor", 1, err) != 1)
        dele_fail(err, DELE_ERR_UNSUPPORTED,
                  "%s: %s.rope.scaling.attn_factor without yarn is not supported", g->file,
                  f->gguf);
    if (!yarn && !linear) return;
    rope->type = yarn ? DELE_ROPE_YARN : DELE_ROPE_LINEAR;
    rope->factor = factor > 0 ? (float)factor : 1;
    if (f->rotation && f->rotation->types && !(f->rotation->types & 1u << rope->type))
        dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: %s is not supported for this architecture",
                  g->file, type.text);
    if (!yarn) return;
    rope->original_context = dele_gguf_int(
        g, dele_gguf_name_of(f, "rope.scaling.original_context_length").text, 1, c->context, err);
    read_yarn(c, g, err);
}

void dele_gguf_rotation(dele_config *c, const dele_key_row *row, const dele_gguf *g, dele_err *err)
{
    const dele_family *f = c->family;
    const dele_stored *t =
        f->gguf_divisors ? dele_stored_find(g->tensor, g->n, DELE_GGUF_DIVISORS) : NULL;
    c->rope[0].theta = (float)number(g, f, row->gguf, row->value, err);
    read_scaling(c, g, err);
    if (t && c->rope[0].type != DELE_ROPE_DEFAULT)
        dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: a scaled rotation with the tensor %s", g->file,
                  t->name);
    else if (t)
        read_llama3(c, t, g, err);
    if (!by_kind(f)) return;
    const bool own = f->rotation->sliding; /* the base of sliding layers may differ */
    const double theta = (double)c->rope[0].theta;
    c->rope[1].theta =
        (float)number(g, f, "rope.freq_base_swa", own ? f->rotation->sliding_absent : theta, err);
    if (!own && c->rope[1].theta != c->rope[0].theta)
        dele_fail(
            err, DELE_ERR_UNSUPPORTED,
            "%s: %s.rope.freq_base_swa differs from rope.freq_base, which holds for all layers "
            "of this architecture",
            g->file, f->gguf);
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* Whether a layer slides: an item of the list, or all but each n-th, or what the architecture has.
 */
static bool layer_slides(const dele_config *c, const dele_gguf_pair *pattern, int layer)
{
    double period = c->family->period;
    if (pattern && pattern->type == DELE_GGUF_ARRAY) return pattern->value[layer] != 0;
    if (pattern) dele_gguf_value(&period, pattern);
    return period >= 1 && (layer + 1) % (int)period != 0;
}

void dele_gguf_layers(dele_config *c, const dele_gguf *g, dele_err *err)
{
    const dele_family *f = c->family;
    const dele_gguf_name key = dele_gguf_name_of(f, "attention.sliding_window_pattern");
    const dele_gguf_pair *pattern =
        f->slides == DELE_SLIDES_BETWEEN ? dele_gguf_find(g, key.text) : NULL;
    bool any = false;
    if (c->n_layers < 1 || c->n_layers > DELE_MAX_LAYERS) return; /* an error yet */
    double period = 1;
    if (pattern &&
        (pattern->type == DELE_GGUF_ARRAY
             ? pattern->item != DELE_GGUF_BOOL || pattern->count != (size_t)c->n_layers
             : !dele_gguf_value(&period, pattern) || !(period >= 1 && period < 1 << 20))) {
        dele_fail(err, DELE_ERR_FORMAT,
                  "%s: %s is neither a number nor a list with one truth a layer", g->file,
                  pattern->key);
        return;
    }
    for (int l = 0; l < c->n_layers; l++) {
        const bool is = f->slides == DELE_SLIDES_ALL       ? c->window > 0
                        : f->slides == DELE_SLIDES_BETWEEN ? layer_slides(c, pattern, l)
                                                           : false;
        if (is) c->layer_kind[l] |= DELE_LAYER_SLIDING;
        if (f->gguf_unrotated && (l + 1) % f->gguf_unrotated == 0)
            c->layer_kind[l] |= DELE_LAYER_UNROTATED;
        /* llama.cpp's architectures with experts have them in every layer */
        if (dele_family_tensor(f, DELE_SLOT_ROUTER)) c->layer_kind[l] |= DELE_LAYER_SPARSE;
        any |= is;
    }
    if (!any) c->window = 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

size_t dele_gguf_rotation_keys(dele_gguf_said said[DELE_GGUF_SAID], const dele_config *c)
{
    const dele_rope *rope = &c->rope[0];
    const double factor = (double)rope->factor, of_cosines = (double)rope->attention_factor,
                 more = of_cosines > 0 ? of_cosines / plain_factor(factor) : 1;
    size_t n = 0;
    if (by_kind(c->family))
        said[n++] = (dele_gguf_said){"rope.freq_base_swa", NULL, (double)c->rope[1].theta, false};
    if (rope->type == DELE_ROPE_LINEAR || rope->type == DELE_ROPE_YARN) {
        said[n++] = (dele_gguf_said){"rope.scaling.type",
                                     rope->type == DELE_ROPE_YARN ? "yarn" : "linear", 0, false};
        said[n++] = (dele_gguf_said){"rope.scaling.factor", NULL, factor, false};
    }
    if (rope->type == DELE_ROPE_YARN) {
        said[n++] = (dele_gguf_said){"rope.scaling.original_context_length", NULL,
                                     rope->original_context, true};
        said[n++] =
            (dele_gguf_said){"rope.scaling.yarn_beta_fast", NULL, (double)rope->beta_fast, false};
        said[n++] =
            (dele_gguf_said){"rope.scaling.yarn_beta_slow", NULL, (double)rope->beta_slow, false};
        if (fabs(more - 1) > 1e-6)
            said[n++] = (dele_gguf_said){"rope.scaling.attn_factor", NULL, more, false};
    }
    if (dele_gguf_divisors(NULL, c)) {
        said[n++] = (dele_gguf_said){OWN "factor", NULL, factor, false};
        said[n++] =
            (dele_gguf_said){OWN "low_freq_factor", NULL, (double)rope->low_freq_factor, false};
        said[n++] =
            (dele_gguf_said){OWN "high_freq_factor", NULL, (double)rope->high_freq_factor, false};
        said[n++] =
            (dele_gguf_said){OWN "original_context_length", NULL, rope->original_context, true};
    }
    return n;
}
