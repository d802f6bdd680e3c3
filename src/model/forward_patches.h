/* The patches of a batch at the sites of a forward pass.  The pass goes through layers and sites in
 * order, and so does it through its patches.  Private to forward.c and forward_*.c. */
#ifndef DELE_FORWARD_PATCHES_H
#define DELE_FORWARD_PATCHES_H

#include "model/forward_pass.h"

/* Puts them into the order in which the pass meets them. */
void dele_patches_sort(dele_forward_pass *p);

/* Applies the patches of (layer, site) to the live rows of data [.., width]; counts those of which
 * every row was live. */
void dele_patch_site(dele_forward_pass *p, int layer, dele_site site, float *data, size_t width,
                     size_t live);

/* The same for EXPERT_OUT, whose values are the contributions of one expert, or of those chosen, to
 * some of the n rows of the block. */
void dele_patch_experts(dele_forward_pass *p, int layer, const dele_moe_saved *s, size_t n);

/* Whether a patch applies at (layer, site), which the pass has yet to reach.  Where none does, the
 * matrix product of a sublayer adds its output to the stream directly. */
bool dele_site_is_patched(const dele_forward_pass *p, int layer, dele_site site);

/* Marks in p->skip_mask the rows whose first patch at this layer's MLP_OUT, the next site, replaces
 * the value.  Returns the number of rows left to compute: all where a site within the MLP is
 * patched or routes are recorded. */
size_t dele_patches_skip(dele_forward_pass *p, int layer, size_t live);

/* An error where a patch applied to no row. */
dele_status dele_patches_check(const dele_forward_pass *p, dele_err *err);

#endif
