#include "model/config/config_compare.h"

#include <math.h>
#include <stddef.h>

#include "model/config/rotation.h"

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

static bool rotate_alike(const dele_config *a, const dele_config *b)
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
        if (differ & DELE_LAYER_SPARSE) return "layers with experts";
    }
    return NULL;
}

const char *dele_config_difference(double values[2], const dele_config *a, const dele_config *b,
                                   dele_in_common common)
{
    const dele_family *f = a->family, *g = b->family;
    const bool whole = common == DELE_SAME_MODEL;
    const struct {
        const char *name;
        double a, b;
        bool asked;
    } fields[] = {
        {"number of layers", a->n_layers, b->n_layers, true},
        {"width", a->hidden_size, b->hidden_size, true},
        {"MLP's width", a->intermediate_size, b->intermediate_size, true},
        {"number of experts", a->n_experts, b->n_experts, true},
        {"experts a token", a->top_k, b->top_k, true},
        {"experts' width", (double)dele_expert_size(a), (double)dele_expert_size(b),
         a->n_experts > 0},
        {"shared expert's width", a->shared_size, b->shared_size, true},
        {"sum of the chosen experts' weights (norm_topk_prob)", a->norm_topk_prob,
         b->norm_topk_prob, true},
        {"number of heads", a->n_heads, b->n_heads, true},
        {"number of key/value heads", a->n_kv_heads, b->n_kv_heads, true},
        {"head's width", a->head_dim, b->head_dim, true},
        {"vocabulary", a->vocab, b->vocab, true},
        {"context", a->context, b->context, whole},
        {"norm", f->norm, g->norm, true},
        {"norm's epsilon", (double)a->norm_eps, (double)b->norm_eps, true},
        {"norm of queries and keys", f->qk_norm, g->qk_norm, true},
        {"clipping of queries, keys and values", (double)a->clip_qkv, (double)b->clip_qkv, true},
        {"number of rotated channels", (double)dele_rotary_dim(a), (double)dele_rotary_dim(b),
         true},
        {"window", a->window, b->window, true},
        {"activation", a->activation, b->activation, true},
        {"factor on the embedding", (double)a->embed_scale, (double)b->embed_scale, true},
        {"factor on scores", (double)a->attn_scale, (double)b->attn_scale, true},
        {"factor on scores by layer", a->attn_scale_by_layer, b->attn_scale_by_layer, true},
        {"soft cap of scores", (double)a->attn_softcap, (double)b->attn_softcap, true},
        {"soft cap of logits", (double)a->logit_softcap, (double)b->logit_softcap, true},
        {"parallel residual", a->parallel_residual, b->parallel_residual, true},
        {"tie of the head to the embedding", a->tied, b->tied, whole},
        {"biases of attention", a->attention_bias, b->attention_bias, whole},
        {"biases of the MLP", a->mlp_bias, b->mlp_bias, whole}};
    double unused[2];
    double *out = values ? values : unused;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        out[0] = fields[i].a, out[1] = fields[i].b;
        if (fields[i].asked && !close_to(out[0], out[1])) return fields[i].name;
    }
    out[0] = out[1] = (double)NAN;
    const char *layers = layers_difference(a, b);
    return layers || rotate_alike(a, b) ? layers : "rotation";
}
