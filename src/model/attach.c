#include "model/attach.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "model/layout.h"

const char *const dele_perft_name[DELE_N_PERFT + 1] = {[DELE_PERFT_NONE] = "",
                                                       [DELE_PERFT_R] = "perft-r",
                                                       [DELE_PERFT_E] = "perft-e",
                                                       [DELE_PERFT_D] = "perft-d",
                                                       [DELE_PERFT_S] = "perft-s"};

/* ---- what is possible ------------------------------------------------------------------------ */

static dele_status check_model(const dele_perft *p, const dele_config *c, const char *what,
                               dele_err *err)
{
    const char *name = dele_perft_name[p->variant];
    if (!c->n_experts)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: %s is for mixtures of experts, and a model of family %s has none; "
                         "LoRA (--lora) is for every model",
                         what, name, c->family->hf);
    if (dele_family_tensor(c->family, DELE_SLOT_MLP_POST_NORM))
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: %s is not defined for blocks with a norm after the experts, as of "
                         "family %s",
                         what, name, c->family->hf);
    if (p->compat && c->family->perft == DELE_PERFT_UNRELEASED)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: compat perft is the code that its authors released, and they "
                         "released none for family %s; leave it out for the paper's equation",
                         what, c->family->hf);
    return DELE_OK;
}

static dele_status check_sizes(const dele_perft *p, const dele_config *c, const char *what,
                               dele_err *err)
{
    if (p->rank < 1 || p->rank > 1 << 16)
        return dele_fail(err, DELE_ERR_USAGE, "%s: the rank is %d; give 1 to 65536", what, p->rank);
    if (p->adapters < 1 || p->adapters > DELE_MAX_EXPERTS)
        return dele_fail(err, DELE_ERR_USAGE, "%s: %d adapters; give 1 to %d", what, p->adapters,
                         DELE_MAX_EXPERTS);
    if (p->variant == DELE_PERFT_R && (p->top_k < 1 || p->top_k > p->adapters))
        return dele_fail(err, DELE_ERR_USAGE, "%s: top %d of %d adapters; give 1 to %d", what,
                         p->top_k, p->adapters, p->adapters);
    if (!p->parallel && (!(p->alpha > 0) || !isfinite(p->alpha)))
        return dele_fail(err, DELE_ERR_USAGE, "%s: alpha is %g; give a number above 0", what,
                         p->alpha);
    if (!(p->dropout >= 0 && p->dropout < 1))
        return dele_fail(err, DELE_ERR_USAGE, "%s: dropout is %g; give 0 to less than 1", what,
                         (double)p->dropout);
    if (p->block_weights && p->top_k > c->top_k)
        return dele_fail(err, DELE_ERR_USAGE,
                         "%s: the released code multiplies the k-th adapter by the model's k-th "
                         "router weight; top %d needs more of them than the model's %d",
                         what, p->top_k, c->top_k);
    return DELE_OK;
}

dele_status dele_perft_settle(dele_perft *p, const dele_config *c, const char *what, dele_err *err)
{
    const dele_status status = check_model(p, c, what, err);
    if (status) return status;
    if (p->variant == DELE_PERFT_E) p->adapters = c->n_experts;
    if (p->variant == DELE_PERFT_S) p->adapters = 1;
    if (p->variant != DELE_PERFT_R) p->top_k = 0;
    p->block_weights = p->compat && p->variant == DELE_PERFT_R &&
                       c->family->perft == DELE_PERFT_WITH_BLOCK_WEIGHTS;
    return check_sizes(p, c, what, err);
}

/* ---- the table ------------------------------------------------------------------------------- */

dele_status dele_model_attach(dele_model *model, const dele_perft *perft, dele_arena *arena,
                              dele_err *err)
{
    dele_model with;
    dele_config config = model->config;
    config.perft = *perft;
    if (model->config.perft.variant)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "the model has adapters of %s already, and one set of them is supported",
                         dele_perft_name[model->config.perft.variant]);
    if (dele_model_table(&with, &config, arena, err)) return err ? err->code : DELE_ERR_MEMORY;
    for (size_t i = 0, own = 0; i < with.n_tensors; i++) {
        dele_tensor *t = &with.tensors[i];
        if (t->part != DELE_PART_ADAPTER)
            *t = model->tensors[own++];
        else if (dele_group_memory(t, 1, true, &model->copies, err))
            return DELE_ERR_MEMORY;
    }
    model->config = config;
    model->tensors = with.tensors;
    model->n_tensors = with.n_tensors;
    model->layer_at = with.layer_at;
    model->layers = with.layers;
    dele_model_point(model);
    return DELE_OK;
}

void dele_perft_begin(const dele_model *model, uint64_t seed)
{
    const dele_perft *p = &model->config.perft;
    const double bound = 1 / sqrt((double)model->config.hidden_size), std = sqrt(2.0 / p->rank);
    dele_rng rng;
    dele_rng_seed(&rng, seed ^ 0x7065726674); /* a stream of its own */
    for (size_t i = 0; i < model->n_tensors; i++) {
        const dele_tensor *t = &model->tensors[i];
        for (size_t k = 0; t->part == DELE_PART_ADAPTER && k < t->rows * t->cols; k++) {
            double x = 0;
            if (t->slot == DELE_SLOT_PERFT_GATE) x = 0.02 * dele_rng_normal(&rng);
            if (t->slot == DELE_SLOT_PERFT_DOWN)
                x = p->compat ? std * dele_rng_normal(&rng)
                              : bound * (2 * dele_rng_uniform(&rng) - 1);
            if (t->slot == DELE_SLOT_PERFT_UP && p->compat) x = 1e-6 * dele_rng_normal(&rng);
            t->data[k] = (float)x;
        }
    }
}
