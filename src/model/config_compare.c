#include "model/config_compare.h"

#include <math.h>
#include <stddef.h>

#include "model/rotation.h"

static bool close_to(double a, double b) { return fabs(a - b) <= 1e-5 * (fabs(a) + fabs(b)) / 2; }

/* Whether the layers that have rotation `which` rotate alike. */
static bool same_rotation(const dele_config *a, const dele_config *b, int which)
{
    enum { MOST = 1 << 13 };
    static const float more = 4; /* times the positions that a dynamic rotation was trained on */
    const size_t n = dele_rotation_pairs(a);
    const int far = (int)((float)a->context * more);
    float p[MOST], q[MOST];
    if (dele_uses_rotation(a, which) != dele_uses_rotation(b, which)) return false;
    if (!dele_uses_rotation(a, which)) return true;
    if (n != dele_rotation_pairs(b) || n > MOST) return false;
    for (int length = 1; length <= far; length += far - 1) {
        if (!close_to((double)dele_rotation_frequencies(p, a, &a->rope[which], length),
                      (double)dele_rotation_frequencies(q, b, &b->rope[which], length)))
            return false;
        for (size_t i = 0; i < n; i++)
            if (!close_to((double)p[i], (double)q[i])) return false;
        if (far < 2) break;
    }
    return true;
}

bool dele_configs_rotate_alike(const dele_config *a, const dele_config *b)
{
    for (int which = 0; which < DELE_N_ROTATIONS; which++)
        if (!same_rotation(a, b, which)) return false;
    return true;
}

static const char *layers_difference(const dele_config *a, const dele_config *b)
{
    for (int l = 0; l < a->n_layers; l++) {
        const int differ = a->layer_kind[l] ^ b->layer_kind[l];
        if (differ & DELE_LAYER_SLIDING) return "layers with a window";
        if (differ & DELE_LAYER_UNROTATED) return "layers without rotation";
    }
    return NULL;
}

const char *dele_config_difference(const dele_config *a, const dele_config *b)
{
    const dele_family *f = a->family, *g = b->family;
    const struct {
        const char *name;
        double a, b;
    } fields[] = {
        {"number of layers", a->n_layers, b->n_layers},
        {"width", a->hidden_size, b->hidden_size},
        {"MLP's width", a->intermediate_size, b->intermediate_size},
        {"number of heads", a->n_heads, b->n_heads},
        {"number of key/value heads", a->n_kv_heads, b->n_kv_heads},
        {"head's width", a->head_dim, b->head_dim},
        {"vocabulary", a->vocab, b->vocab},
        {"context", a->context, b->context},
        {"norm", f->norm, g->norm},
        {"norm's epsilon", (double)a->norm_eps, (double)b->norm_eps},
        {"norm of queries and keys", f->qk_norm, g->qk_norm},
        {"clipping of queries, keys and values", (double)a->clip_qkv, (double)b->clip_qkv},
        {"number of rotated channels", (double)dele_rotary_dim(a), (double)dele_rotary_dim(b)},
        {"window", a->window, b->window},
        {"activation", a->activation, b->activation},
        {"factor on the embedding", (double)a->embed_scale, (double)b->embed_scale},
        {"factor on scores", (double)a->attn_scale, (double)b->attn_scale},
        {"factor on scores by layer", a->attn_scale_by_layer, b->attn_scale_by_layer},
        {"soft cap of scores", (double)a->attn_softcap, (double)b->attn_softcap},
        {"soft cap of logits", (double)a->logit_softcap, (double)b->logit_softcap},
        {"parallel residual", a->parallel_residual, b->parallel_residual},
        {"tie of the head to the embedding", a->tied, b->tied},
        {"biases of attention", a->attention_bias, b->attention_bias},
        {"biases of the MLP", a->mlp_bias, b->mlp_bias}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!close_to(fields[i].a, fields[i].b)) return fields[i].name;
    const char *layers = layers_difference(a, b);
    return layers || dele_configs_rotate_alike(a, b) ? layers : "rotation";
}
