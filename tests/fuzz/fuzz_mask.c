/* mask.json, against a tiny model. */
#include "fuzz.h"

#include "model/mask.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    static const dele_config config = {.family = DELE_LLAMA,
                                       .norm = DELE_RMSNORM,
                                       .n_layers = 3,
                                       .hidden_size = 8,
                                       .intermediate_size = 12,
                                       .n_heads = 2,
                                       .n_kv_heads = 1,
                                       .head_dim = 4,
                                       .vocab = 10,
                                       .context = 32,
                                       .norm_eps = 1e-5f,
                                       .rope_theta = 1e4f,
                                       .bos = -1,
                                       .eos = -1,
                                       .pad = -1};
    dele_err err = {0};
    dele_model model;
    dele_mask mask;
    if (dele_model_layout(&model, &config, fuzz_arena(), &err)) abort();
    fuzz_answer(
        dele_mask_load(&mask, &model, fuzz_write("mask.json", data, size), fuzz_arena(), &err),
        &err);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
