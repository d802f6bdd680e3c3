/* OLMo-1: LayerNorm without parameters, optional clipping of queries, keys and values. */
#include "model/families/families.h"
#include "model/families/rows.h"

/* llama.cpp's olmo rotates in pairs, as its llama does. */
static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED, DELE_ROWS_QKV(DELE_FORM_PAIRED), DELE_ROW_O, DELE_ROWS_GATE_UP, DELE_ROW_DOWN,
    DELE_ROW_HEAD,
};

const dele_family dele_family_olmo = {
    .hf = "olmo",
    .architecture = "OlmoForCausalLM",
    .gguf = "olmo",
    .source = "arXiv 2402.00838; transformers' modeling_olmo",
    .norm = DELE_LAYERNORM,
    .norm_text = "LayerNorm without parameters,",
    .site = DELE_SITES_SEQUENTIAL,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
};
