/* model.safetensors beside a config.json that fits the seeds; the mutator changes the JSON header
 * and keeps its length field right. */
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
    static uint8_t header[1 << 16], body[1 << 20];
    fuzz_random r = {seed};
    uint64_t n = 0;
    if (size >= 8) memcpy(&n, data, 8);
    if (size < 8 || n > size - 8 || n > sizeof header / 2 || size > sizeof body ||
        fuzz_below(&r, 16) == 0)
        return fuzz_bytes(data, size, max, &r);
    size_t rest = size - 8 - (size_t)n,
           room = max - 8 - rest < sizeof header ? max - 8 - rest : sizeof header;
    memcpy(header, data + 8, (size_t)n);
    memcpy(body, data + 8 + n, rest);
    n = fuzz_mutate_json(header, (size_t)n, room, &r);
    memcpy(data, &n, 8);
    memcpy(data + 8, header, (size_t)n);
    memcpy(data + 8 + n, body, rest);
    return 8 + (size_t)n + rest;
}
