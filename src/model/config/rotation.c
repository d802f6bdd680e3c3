/* Frequencies, as transformers computes them, of a config that has passed dele_config_check:
 * float32 where torch's are tensors, double where it computes with Python's numbers.
 *
 *   default   f_i = θ^(-2i/d)
 *   linear    f_i / factor
 *   dynamic   θ' = θ (factor T / T0 - (factor - 1))^(d/(d-2)) for T > T0 positions
 *   llama3    f_i where its wavelength is below T0 / high, f_i / factor where it is above T0 / low,
 *             mixed in between
 *   yarn      f_i for the pairs that turn often within T0, f_i / factor for those that turn seldom,
 *             mixed in between; cosines and sines times a factor
 *
 * T0: the positions trained on; d: the rotated channels of a head. */
#include "model/config/rotation.h"

#include <limits.h>
#include <math.h>

int dele_layer_rotation(const dele_config *c, int layer)
{
    const int kind = c->layer_kind[layer],
              which = (kind & DELE_LAYER_SLIDING) && c->rope[1].theta > 0 ? 1 : 0;
    return (kind & DELE_LAYER_UNROTATED) || !(c->rope[which].theta > 0) ? DELE_NO_ROTATION : which;
}

bool dele_uses_rotation(const dele_config *c, int which)
{
    for (int layer = 0; layer < c->n_layers; layer++)
        if (dele_layer_rotation(c, layer) == which) return true;
    return false;
}

int dele_rotation_grows_beyond(const dele_config *c)
{
    int least = INT_MAX;
    for (int which = 0; which < DELE_N_ROTATIONS; which++) {
        const dele_rope *rope = &c->rope[which];
        if (rope->type == DELE_ROPE_DYNAMIC && dele_uses_rotation(c, which) &&
            rope->original_context < least)
            least = rope->original_context;
    }
    return least;
}

static void plain(float *inv_freq, float theta, size_t dim)
{
    for (size_t i = 0; i < dim / 2; i++)
        inv_freq[i] = 1.0f / powf(theta, (float)(2 * i) / (float)dim);
}

static float dynamic_base(const dele_rope *rope, size_t dim, int length)
{
    if (length <= rope->original_context) return rope->theta;
    const float by =
        rope->factor * (float)length / (float)rope->original_context - (rope->factor - 1);
    return rope->theta * powf(by, (float)((double)dim / ((double)dim - 2)));
}

static void llama3(float *inv_freq, const dele_rope *rope, size_t n)
{
    const float trained = (float)rope->original_context, longest = trained / rope->low_freq_factor,
                shortest = trained / rope->high_freq_factor;
    for (size_t i = 0; i < n; i++) {
        const float f = inv_freq[i], wave = (float)(2 * M_PI) / f;
        if (wave > longest)
            inv_freq[i] = f / rope->factor;
        else if (wave >= shortest) {
            const float smooth = (trained / wave - rope->low_freq_factor) /
                                 (rope->high_freq_factor - rope->low_freq_factor);
            inv_freq[i] = (1 - smooth) * f / rope->factor + smooth * f;
        }
    }
}

static double mscale(double factor, double by)
{
    return factor <= 1 ? 1 : 0.1 * by * log(factor) + 1;
}

/* The pair that turns `turns` times within the positions trained on. */
static double correction_dim(double turns, size_t dim, const dele_rope *rope)
{
    return (double)dim * log(rope->original_context / (turns * 2 * M_PI)) /
           (2 * log((double)rope->theta));
}

static float yarn(float *inv_freq, const dele_rope *rope, size_t dim)
{
    double low = correction_dim(rope->beta_fast, dim, rope),
           high = correction_dim(rope->beta_slow, dim, rope);
    if (!rope->no_truncate) low = floor(low), high = ceil(high);
    low = low > 0 ? low : 0;
    high = high < (double)dim - 1 ? high : (double)dim - 1;
    if (low == high) high += 0.001;
    for (size_t i = 0; i < dim / 2; i++) {
        const float period = powf(rope->theta, (float)(2 * i) / (float)dim);
        float ramp = ((float)i - (float)low) / (float)(high - low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        const float kept = 1 - ramp;
        inv_freq[i] = 1.0f / (rope->factor * period) * (1 - kept) + 1.0f / period * kept;
    }
    if (rope->attention_factor > 0) return rope->attention_factor;
    return (float)(rope->mscale > 0 && rope->mscale_all_dim > 0
                       ? mscale(rope->factor, rope->mscale) /
                             mscale(rope->factor, rope->mscale_all_dim)
                       : mscale(rope->factor, 1));
}

float dele_rotation_frequencies(float *inv_freq, const dele_config *c, const dele_rope *rope,
                                int length)
{
    const size_t dim = dele_rotary_dim(c);
    switch (rope->type) {
    case DELE_ROPE_DEFAULT:
        break;
    case DELE_ROPE_YARN:
        return yarn(inv_freq, rope, dim);
    case DELE_ROPE_DYNAMIC:
        plain(inv_freq, dynamic_base(rope, dim, length), dim);
        return 1;
    case DELE_ROPE_LINEAR:
        plain(inv_freq, rope->theta, dim);
        for (size_t i = 0; i < dim / 2; i++) inv_freq[i] /= rope->factor;
        return 1;
    case DELE_ROPE_LLAMA3:
        plain(inv_freq, rope->theta, dim);
        llama3(inv_freq, rope, dim / 2);
        return 1;
    }
    plain(inv_freq, rope->theta, dim);
    return 1;
}
