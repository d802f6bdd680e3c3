#include "model/sublayers/activation.h"

#include "tensor/ops.h"

dele_activation_pair dele_activation_of(dele_activation activation, bool gated)
{
    static const dele_activation_pair pairs[][2] = {
        [DELE_SILU] = {{silu_forward, silu_backward}, {silu_glu_forward, silu_glu_backward}},
        [DELE_GELU] = {{gelu_forward, gelu_backward}, {gelu_glu_forward, gelu_glu_backward}},
        [DELE_GELU_TANH] = {{gelu_tanh_forward, gelu_tanh_backward},
                            {gelu_tanh_glu_forward, gelu_tanh_glu_backward}}};
    return pairs[activation][gated];
}
