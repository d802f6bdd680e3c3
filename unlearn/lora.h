/* Low-rank adaptation (LoRA; Hu et al., arXiv 2106.09685), with PEFT's conventions:
 *
 *   W = W0 + s B A        W [rows, cols]   A [rank, cols]   B [rows, rank]   s = alpha / rank
 *   dA = s Bᵀ G           dB = s G Aᵀ      G = dL/dW
 *
 * The model's tensor holds W, so that the forward and the backward pass know nothing of adapters: G
 * comes as for any tensor, is turned into dA and dB, the optimizer moves A and B, and W is written
 * again from W0.  Exact; the price is W0 and G beside W, where adapters kept apart need neither.
 *
 * A begins uniform within ±1/√cols (PEFT's kaiming_uniform with a = √5), B at zero, so that W
 * begins as W0.  Only linear layers can have adapters: no embedding, no norm. */
#ifndef DELE_LORA_H
#define DELE_LORA_H

#include "model/mask.h"

typedef struct {
    size_t rank;
    double alpha;
    dele_model *model;
    dele_model table; /* its tensors are beside the model's: [1, rank · (cols + rows)], A and behind
                       * it B; NULL data where the model's is frozen.  To the optimizer it is a
                       * model like any other */
    float **w0;       /* [n_tensors] as the tensors that train were */
    float *scaled;    /* room for s B */
} dele_lora;

/* rank of at least 1, alpha above 0, and a mask of linear layers alone; else a sentence. */
dele_status dele_lora_check(int rank, double alpha, const dele_model *model, const dele_mask *mask,
                            dele_err *err);

/* Beside the model as it is now.  Everything is the arena's. */
dele_status dele_lora_init(dele_lora *l, dele_model *model, const dele_mask *mask, int rank,
                           double alpha, uint64_t seed, dele_arena *arena, dele_err *err);

size_t dele_lora_parameters(const dele_lora *l);

/* to [tensor's size in the table]: dA and dB of tensor k, from its G. */
void dele_lora_gradient(float *to, const dele_lora *l, size_t k, const float *g);

/* W from W0, A and B, of all. */
void dele_lora_write(const dele_lora *l);

/* W − W0 becomes `factor` times what it is, in B; W follows. */
void dele_lora_scale(const dele_lora *l, double factor);

/* adapter_config.json and adapter_model.safetensors (float32) into an existing directory, as PEFT
 * reads them.  base: where the model before training is. */
dele_status dele_lora_save(const dele_lora *l, const char *base, const char *dir, dele_err *err);

#endif
