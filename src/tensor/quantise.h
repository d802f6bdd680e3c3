/* Writes one block of GGUF's types from finite numbers: 32, and 256 for q4_k.  False when a scale
 * does not fit into a float16. */
#ifndef DELE_QUANTISE_H
#define DELE_QUANTISE_H

#include <stdbool.h>
#include <stdint.h>

bool quantise_q8_0(uint8_t *block, const float *x);
bool quantise_q5_0(uint8_t *block, const float *x);
bool quantise_q4_0(uint8_t *block, const float *x);
bool quantise_q4_k(uint8_t *block, const float *x);

#endif
