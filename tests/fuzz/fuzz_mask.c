/* mask.json, against a tiny model, and against a tiny mixture of experts. */
#include "fuzz.h"

#include "model/mask.h"

static void load_mask_for(const dele_config *config, const char *path)
{
    dele_err err = {0};
    dele_model model;
    dele_mask mask;
    if (dele_model_layout(&model, config, fuzz_arena(), &err)) abort();
    fuzz_answer(dele_mask_load(&mask, &model, path, fuzz_arena(), &err), &err);
}

void fuzz_one(const uint8_t *data, size_t size)
{
    const char *path = fuzz_write("mask.json", data, size);
    const dele_config dense = fuzz_config(3, false), mixture = fuzz_mixture_config();
    load_mask_for(&dense, path);
    load_mask_for(&mixture, path);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
