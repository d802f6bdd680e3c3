/* LoRA adapters in PEFT's files: adapter_config.json and adapter_model.safetensors.
 *
 *   base_model.model.MODULE.lora_A.weight [r, in]    base_model.model.MODULE.lora_B.weight [out, r]
 *   base_model.model.MODULE.lora_embedding_A [r, vocab]                .lora_embedding_B [d, r]
 *
 *   W += s B A    s = alpha / r, or alpha / √r with use_rslora; alpha and r of a module are those
 *                 of alpha_pattern and rank_pattern where one of their keys matches it
 *
 * A base_layer.weight, which PEFT writes beside the adapter of a head or an embedding, must be the
 * model's.  fan_in_fan_out says how PEFT's base model stores its weights; A and B are the same
 * without it. Refused by name: every other peft_type, every setting that changes what is computed
 * and is not above (DoRA, modules_to_save, biases, tokens, replicated layers ...), initialisations
 * that changed the base's weights, a tensor of the file that no module takes, a module that
 * target_modules selects and the file has no adapter of, and a shape that does not fit. */
#ifndef DELE_PEFT_H
#define DELE_PEFT_H

#include <cjson/cJSON.h>

#include "model/model.h"

typedef struct {
    cJSON *json; /* the whole file */
    const char *file;
    size_t rank;
    double alpha;
    bool rslora;
} dele_peft_config;

/* Reads and checks adapter_config.json.  file must exist as long as c.  Release accepts a zeroed
 * one. */
dele_status dele_peft_config_read(dele_peft_config *c, const char *file, dele_err *err);
void dele_peft_config_release(dele_peft_config *c);

/* Whether target_modules, exclude_modules and layers_to_transform select a module
 * ("model.layers.0.self_attn.q_proj"). */
dele_status dele_peft_selects(bool *selects, const dele_peft_config *c, const char *module,
                              dele_err *err);

/* The module's rank, and the factor s of B A. */
dele_status dele_peft_module(size_t *rank, double *scale, const dele_peft_config *c,
                             const char *module, dele_err *err);

/* Adds factor · s B A of every module to the model's weights, which become float32 masters.  All of
 * the directory is checked before; with factor 0 nothing else is done. */
dele_status dele_peft_merge(dele_model *model, const char *dir, double factor, dele_err *err);

#endif
