/* The pair of functions of each activation (equations: tensor/ops.h). */
#ifndef DELE_SUBLAYER_ACTIVATION_H
#define DELE_SUBLAYER_ACTIVATION_H

#include "model/families/family.h"

typedef struct {
    void (*forward)(float *h, const float *x, size_t n, size_t width);
    void (*backward)(float *dx, const float *dh, const float *x, size_t n, size_t width);
} dele_activation_pair;

/* gated: x [n, 2 width] holds the gate, then what it multiplies. */
dele_activation_pair dele_activation_of(dele_activation activation, bool gated);

#endif
