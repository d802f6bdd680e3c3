/* Whether two configs compute the same. */
#ifndef DELE_CONFIG_COMPARE_H
#define DELE_CONFIG_COMPARE_H

#include "model/families/family.h"

/* What two models shall have in common. */
typedef enum {
    DELE_SAME_MODEL, /* everything that the config says of the computation */
    DELE_SAME_STATES /* what a state means to the layers above: neither the context, nor the tie of
                      * the head, nor biases */
} dele_in_common;

/* The first thing in which the computation of two configs differs, in words; NULL: in nothing.
 * Families are not compared by name, and rotations by their frequencies.  values (may be NULL): of
 * a and of b, NAN where it is not one number. */
const char *dele_config_difference(double values[2], const dele_config *a, const dele_config *b,
                                   dele_in_common common);

#endif
