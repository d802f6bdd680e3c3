/* Low-rank adaptation (LoRA; Hu et al., arXiv 2106.09685), with PEFT's conventions:
 *
 *   W = W0 + s B A        W [rows, cols]   A [rank, cols]   B [rows, rank]   s = alpha / rank
 *   dA = s Bᵀ G           dB = s G Aᵀ      G = dL/dW
 *
 * The model's tensor holds W, so that the forward and the backward pass are those without adapters.
 * G, the gradient of W, is computed as for any tensor and turned into dA and dB; the optimizer
 * updates A and B; W is computed again from W0.  The result is exact.  It costs memory for W0 and
 * G, which adapters that are applied in the forward pass do not need.
 *
 * A begins uniform within ±1/√cols (PEFT's kaiming_uniform with a = √5) and B at zero, so that W
 * begins as W0.  Only linear layers can have adapters; embeddings and norms cannot. */
#ifndef DELE_LORA_H
#define DELE_LORA_H

#include "model/mask.h"

typedef struct {
    size_t rank;
    double alpha;
    dele_model *model;
    dele_model table; /* one tensor for each of the model's, [1, rank · (cols + rows)]: A and after
                         it B; NULL data where the model's tensor is frozen.  To the optimizer it is
                         a model */
    float **w0;       /* [n_tensors] W0 of the trained tensors; else NULL */
    float *scaled;    /* scratch for s B */
} dele_lora;

typedef struct {
    int rank;
    double alpha;
    uint64_t seed; /* of the initial A */
} dele_lora_options;

/* Checks that the rank is at least 1, alpha above 0, and that the mask has linear layers only. */
dele_status dele_lora_check(const dele_lora_options *o, const dele_model *model,
                            const dele_mask *mask, dele_err *err);

/* Adapters for the model's present weights, which become W0.  The model must exist as long as l;
 * the arena owns everything else. */
dele_status dele_lora_init(dele_lora *l, dele_model *model, const dele_mask *mask,
                           const dele_lora_options *o, dele_arena *arena, dele_err *err);

/* Number of weights of all adapters. */
size_t dele_lora_parameters(const dele_lora *l);

/* Weights that adapters of this rank have, and those that are used for a token: of an expert's
 * matrices no more than the model's top_k of a layer.  The model needs no weights. */
typedef struct {
    size_t tensors, trainable, activated;
} dele_lora_counts;
dele_lora_counts dele_lora_count(const dele_model *model, const dele_mask *mask, int rank);

/* Bytes of the arena that dele_lora_init takes with this mask. */
size_t dele_lora_bytes(const dele_lora *l, const dele_mask *mask);

/* dA and dB of tensor k from its G.  to [cols of the table's tensor k] */
void dele_lora_gradient(float *to, const dele_lora *l, size_t k, const float *g);

/* Computes every trained W from W0, A and B. */
void dele_lora_write(const dele_lora *l);

/* Multiplies every W − W0 by `factor`, in B, and computes W again. */
void dele_lora_scale(const dele_lora *l, double factor);

/* Writes adapter_config.json and adapter_model.safetensors (float32) into an existing directory, as
 * PEFT reads them.  base: path of the model before training. */
dele_status dele_lora_save(const dele_lora *l, const char *base, const char *dir, dele_err *err);

/* Whether PEFT reads adapters of single experts from that directory otherwise than it says.  PEFT
 * 0.21 with transformers 5 takes them for adapters of fused parameters, by the last names of their
 * modules, which dense MLPs of the same model (of other layers, or a shared expert) have too: it
 * drops some of them. */
bool dele_lora_is_lost_in_peft(const dele_lora *l);

#endif
