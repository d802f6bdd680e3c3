#include "model/backward_states.h"

#include <string.h>

#include "tensor/ops.h"

static dele_place site_place(const dele_backward_pass *p, dele_site site)
{
    static const dele_place of_site[] = {[DELE_EMBED] = DELE_AT_ENTRY,
                                         [DELE_RESID_PRE] = DELE_AT_ENTRY,
                                         [DELE_HEAD_OUT] = DELE_AT_HEADS,
                                         [DELE_ATTN_OUT] = DELE_AT_MIDDLE,
                                         [DELE_RESID_MID] = DELE_AT_MIDDLE,
                                         [DELE_ROUTER_LOGITS] = DELE_AT_LOGITS,
                                         [DELE_ADAPTER_LOGITS] = DELE_AT_ADAPTER_LOGITS,
                                         [DELE_EXPERT_OUT] = DELE_AT_EXPERTS,
                                         [DELE_SHARED_OUT] = DELE_AT_EXPERTS,
                                         [DELE_MLP_OUT] = DELE_AT_EXIT,
                                         [DELE_RESID_POST] = DELE_AT_EXIT};
    return site == DELE_ATTN_OUT && p->c->parallel_residual ? DELE_AT_EXIT : of_site[site];
}

static bool stands_at(const dele_backward_pass *p, const dele_patch *read, int layer,
                      dele_place where)
{
    return read->layer == layer && site_place(p, read->site) == where &&
           (read->site != DELE_EMBED || layer == 0) && dele_layer_has_site(p->c, layer, read->site);
}

bool dele_reads_any(const dele_backward_pass *p, int layer, dele_place where)
{
    for (size_t i = 0; i < p->grads->n_reads; i++)
        if (stands_at(p, &p->grads->reads[i], layer, where)) return true;
    return false;
}

/* Copies what one read asks for of `from` [rows, width]; false: it names a row, a head or an expert
 * that does not exist. */
static bool read_gradient(const dele_backward_pass *p, const dele_patch *read, const float *from,
                          size_t width)
{
    const size_t n = dele_patch_rows(read), row = (size_t)read->row, head = (size_t)read->head,
                 head_dim = (size_t)p->c->head_dim;
    if (read->row < 0 || row + n > p->rows) return false;
    if (read->site == DELE_EXPERT_OUT && (read->expert < 0 || read->expert >= p->c->n_experts))
        return false;
    if (read->site != DELE_HEAD_OUT || read->head == DELE_ALL_HEADS) {
        memcpy(read->seen, from + row * width, n * width * sizeof *from);
        return true;
    }
    if (read->head < 0 || read->head >= p->c->n_heads) return false;
    for (size_t i = 0; i < n; i++)
        memcpy(read->seen + i * head_dim, from + (row + i) * width + head * head_dim,
               head_dim * sizeof *from);
    return true;
}

void dele_read_gradients(dele_backward_pass *p, int layer, dele_place where, const float *from,
                         size_t width)
{
    for (size_t i = 0; i < p->grads->n_reads; i++) {
        const dele_patch *read = &p->grads->reads[i];
        if (stands_at(p, read, layer, where)) p->reads_met += read_gradient(p, read, from, width);
    }
}

void dele_add_gradients(dele_backward_pass *p, int layer, dele_site site, float *to, size_t width)
{
    for (size_t i = 0; i < p->grads->n_adds; i++) {
        const dele_patch *a = &p->grads->adds[i];
        const size_t n = dele_patch_rows(a);
        if (a->layer != layer || a->site != site || a->row < 0 || (size_t)a->row + n > p->rows)
            continue;
        if (to) add(to + (size_t)a->row * width, a->value, n * width);
        p->adds_met++;
    }
}

dele_status dele_states_check(const dele_backward_pass *p, dele_err *err)
{
    for (size_t i = 0; i < p->grads->n_reads; i++) {
        if (p->grads->reads[i].op != DELE_READ)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "a gradient can be read (DELE_READ), but not replaced or scaled");
        if (!dele_config_has_site(p->c, p->grads->reads[i].site))
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "a gradient is asked for at a site that the layers of this model of "
                             "family %s do not have",
                             p->c->family->hf);
    }
    for (size_t i = 0; i < p->grads->n_adds; i++) {
        const dele_site site = p->grads->adds[i].site;
        const bool can =
            site == DELE_RESID_POST || site == DELE_ROUTER_LOGITS || site == DELE_ADAPTER_LOGITS;
        if (p->grads->adds[i].op != DELE_ADD || !can)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "a gradient can be added at DELE_RESID_POST, DELE_ROUTER_LOGITS and "
                             "DELE_ADAPTER_LOGITS only");
    }
    return DELE_OK;
}

dele_status dele_states_check_met(const dele_backward_pass *p, dele_err *err)
{
    if (p->reads_met != p->grads->n_reads)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%zu of %zu gradients apply to no row: a row or head that does not exist, or a "
            "layer below the lowest that was kept",
            p->grads->n_reads - p->reads_met, p->grads->n_reads);
    if (p->adds_met != p->grads->n_adds)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%zu of %zu gradients of states apply to no row: a row that does not exist, or a "
            "layer below the lowest that was kept",
            p->grads->n_adds - p->adds_met, p->grads->n_adds);
    return DELE_OK;
}
