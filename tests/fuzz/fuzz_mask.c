/* mask.json, against a tiny model. */
#include "fuzz.h"

#include "model/mask.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    const dele_config config = fuzz_config(3, false);
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
