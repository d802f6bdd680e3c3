#include "model/forward_patches.h"

#include <stdlib.h>
#include <string.h>

static int patch_order(const void *a, const void *b)
{
    const dele_patch *p = *(const dele_patch *const *)a, *q = *(const dele_patch *const *)b;
    if (p->layer != q->layer) return p->layer < q->layer ? -1 : 1;
    if (p->site != q->site) return p->site < q->site ? -1 : 1;
    return p < q ? -1 : p > q; /* as the caller listed them */
}

void dele_patches_sort(dele_forward_pass *p)
{
    const dele_batch *b = p->batch;
    for (size_t i = 0; i < b->n_patches; i++) p->patch[i] = &b->patches[i];
    qsort(p->patch, b->n_patches, sizeof *p->patch, patch_order);
}

static void patch_apply(const dele_patch *p, size_t i, float *row, size_t width)
{
    switch (p->op) { /* row i of the patch's rows; it has `width` values */
    case DELE_REPLACE:
        memcpy(row, p->value + i * width, width * sizeof *row);
        break;
    case DELE_ADD:
        for (size_t j = 0; j < width; j++) row[j] += p->value[i * width + j];
        break;
    case DELE_SCALE:
        for (size_t j = 0; j < width; j++) row[j] *= p->value[0];
        break;
    case DELE_READ:
        memcpy(p->seen + i * width, row, width * sizeof *row);
        break;
    }
}

void dele_patch_site(dele_forward_pass *p, int layer, dele_site site, float *data, size_t width,
                     size_t live)
{
    for (; p->next_patch < p->batch->n_patches; p->next_patch++) {
        const dele_patch *patch = p->patch[p->next_patch];
        if (patch->layer > layer || (patch->layer == layer && patch->site > site)) return;
        if (patch->layer < layer || patch->site < site) continue;
        const bool one_head = site == DELE_HEAD_OUT && patch->head != DELE_ALL_HEADS;
        const size_t head_dim = (size_t)p->c->head_dim, n = dele_patch_rows(patch),
                     at = one_head ? (size_t)patch->head * head_dim : 0;
        size_t met = 0;
        for (size_t i = 0; i < n; i++) {
            const int row = dele_live_row(p, (size_t)patch->row + i, live);
            if (row < 0) continue;
            patch_apply(patch, i, data + (size_t)row * width + at, one_head ? head_dim : width);
            met++;
        }
        p->run->patches_applied += met == n;
    }
}

/* The contributions of a row's experts, in the order of its route. */
static void read_chosen(float *seen, dele_forward_pass *p, const dele_moe_saved *s, size_t row,
                        size_t n)
{
    const size_t k = (size_t)p->c->top_k;
    for (size_t j = 0; j < k; j++)
        memcpy(seen + j * p->d_model,
               moe_contribution(s, row, s->expert[row * k + j], false, n, p->c, &p->moe),
               p->d_model * sizeof *seen);
}

void dele_patch_experts(dele_forward_pass *p, int layer, const dele_moe_saved *s, size_t n)
{
    for (; p->next_patch < p->batch->n_patches; p->next_patch++) {
        const dele_patch *patch = p->patch[p->next_patch];
        if (patch->layer != layer || patch->site != DELE_EXPERT_OUT) return;
        const bool makes = patch->op == DELE_REPLACE || patch->op == DELE_ADD;
        size_t met = 0;
        for (size_t i = 0; i < dele_patch_rows(patch); i++) {
            const int row = dele_live_row(p, (size_t)patch->row + i, n);
            if (row < 0) continue;
            met++;
            if (patch->expert == DELE_ALL_EXPERTS) {
                read_chosen(patch->seen + i * (size_t)p->c->top_k * p->d_model, p, s, (size_t)row,
                            n);
                continue;
            }
            float *at = moe_contribution(s, (size_t)row, patch->expert, makes, n, p->c, &p->moe);
            if (at)
                patch_apply(patch, i, at, p->d_model);
            else if (patch->op == DELE_READ)
                memset(patch->seen + i * p->d_model, 0, p->d_model * sizeof *patch->seen);
        }
        p->run->patches_applied += met == dele_patch_rows(patch);
    }
}

bool dele_site_is_patched(const dele_forward_pass *p, int layer, dele_site site)
{
    for (size_t i = p->next_patch; i < p->batch->n_patches; i++) {
        const dele_patch *patch = p->patch[i];
        if (patch->layer != layer || patch->site >= site)
            return patch->layer == layer && patch->site == site;
    }
    return false;
}

size_t dele_patches_skip(dele_forward_pass *p, int layer, size_t live)
{
    size_t left = live;
    memset(p->skip_mask, 0, live * sizeof *p->skip_mask);
    if (p->batch->routes) return live;
    for (size_t i = p->next_patch; i < p->batch->n_patches; i++) {
        const dele_patch *patch = p->patch[i];
        if (patch->layer != layer || patch->site != DELE_MLP_OUT) break;
        for (size_t j = 0; j < dele_patch_rows(patch); j++) {
            const int row = dele_live_row(p, (size_t)patch->row + j, live);
            if (row < 0 || p->skip_mask[row]) continue;
            p->skip_mask[row] = patch->op == DELE_REPLACE ? DELE_ROW_PRUNED : DELE_ROW_REQUIRED;
            left -= p->skip_mask[row] == DELE_ROW_PRUNED;
        }
    }
    return left;
}

dele_status dele_patches_check(const dele_forward_pass *p, dele_err *err)
{
    const size_t applied = p->run->patches_applied, n = p->batch->n_patches;
    if (applied == n) return DELE_OK;
    return dele_fail(err, DELE_ERR_DATA,
                     "%zu of %zu patches apply to no row: a row that starts at a later layer, or a "
                     "layer that the model does not have",
                     n - applied, n);
}
