/* The rotations of a model: their frequencies (transformers' modeling_rope_utils.py), and which
 * layers have which. */
#ifndef DELE_ROTATION_H
#define DELE_ROTATION_H

#include "model/families/family.h"

enum { DELE_N_ROTATIONS = 2, DELE_NO_ROTATION = -1 };

/* Which of config.rope a layer has, or DELE_NO_ROTATION. */
int dele_layer_rotation(const dele_config *config, int layer);
bool dele_uses_rotation(const dele_config *config, int which); /* a layer has it */

/* Pairs of channels of a head that are rotated. */
static inline size_t dele_rotation_pairs(const dele_config *config)
{
    return dele_rotary_dim(config) / 2;
}

/* inv_freq [pairs] for a sequence of `length` positions, which matters to DELE_ROPE_DYNAMIC alone:
 * beyond the positions trained on, its base grows with the length.  Returns the factor on cosines
 * and sines. */
float dele_rotation_frequencies(float *inv_freq, const dele_config *config, const dele_rope *rope,
                                int length);

/* The longest sequence whose angles do not depend on its length: INT_MAX unless a layer's rotation
 * is DELE_ROPE_DYNAMIC. */
int dele_rotation_grows_beyond(const dele_config *config);

#endif
