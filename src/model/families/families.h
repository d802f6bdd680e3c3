/* The table of families.  A row declares `const dele_family dele_family_NAME`, which the file
 * NAME.c defines. */
#ifndef DELE_FAMILIES_H
#define DELE_FAMILIES_H

#include "model/families/family.h"

#define DELE_FAMILIES(X)                                                                           \
    X(llama)                                                                                       \
    X(olmo)

#define X(name) extern const dele_family dele_family_##name;
DELE_FAMILIES(X)
#undef X

extern const dele_family *const dele_families[];
extern const size_t dele_n_families;

#endif
