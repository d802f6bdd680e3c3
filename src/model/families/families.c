/* The table of families.h. */
#include "model/families/families.h"

const dele_family *const dele_families[] = {
#define X(name) &dele_family_##name,
    DELE_FAMILIES(X)
#undef X
};

const size_t dele_n_families = sizeof dele_families / sizeof *dele_families;
