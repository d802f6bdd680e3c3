/* The table of families.h. */
#include "model/families/families.h"

const dele_family *const dele_families[] = {
#define X(name) &dele_family_##name,
    DELE_FAMILIES(X)
#undef X
};

const size_t dele_n_families = sizeof dele_families / sizeof *dele_families;

const char *const dele_part_name[DELE_N_PARTS] = {[DELE_PART_EMBED] = "embed",
                                                  [DELE_PART_ATTN] = "attn",
                                                  [DELE_PART_MLP] = "mlp",
                                                  [DELE_PART_NORM] = "norm",
                                                  [DELE_PART_HEAD] = "head"};
