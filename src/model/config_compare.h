/* Whether two configs compute the same. */
#ifndef DELE_CONFIG_COMPARE_H
#define DELE_CONFIG_COMPARE_H

#include "model/families/family.h"

/* The first thing in which the computation of two configs differs, in words; NULL: in nothing.
 * Families are not compared by name, and rotations by their frequencies. */
const char *dele_config_difference(const dele_config *a, const dele_config *b);

/* Whether the layers of two models with the same layers have the same frequencies. */
bool dele_configs_rotate_alike(const dele_config *a, const dele_config *b);

#endif
