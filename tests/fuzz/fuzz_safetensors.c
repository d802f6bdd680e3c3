/* model.safetensors beside a config.json that fits the seeds. */
#include "fuzz.h"

#include "model/model.h"

static const char config[] = "{\"model_type\": \"llama\", \"hidden_size\": 8, "
                             "\"intermediate_size\": 12, \"num_hidden_layers\": 2,"
                             " \"num_attention_heads\": 2, \"num_key_value_heads\": 1, "
                             "\"vocab_size\": 10, \"max_position_embeddings\": 32,"
                             " \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0, "
                             "\"tie_word_embeddings\": false, \"hidden_act\": \"silu\"}";

void fuzz_one(const uint8_t *data, size_t size)
{
    dele_err err = {0};
    dele_model model;
    fuzz_write("config.json", config, sizeof config - 1);
    fuzz_write("model.safetensors", data, size);
    dele_status status = dele_model_load(&model, fuzz_path("."), fuzz_arena(), &err);
    fuzz_answer(status, &err);
    if (!status) dele_model_release(&model);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_safetensors(data, size, max, &(fuzz_random){seed});
}
