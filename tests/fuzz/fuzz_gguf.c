/* A .gguf file: metadata, tokenizer and tensors, loaded as a model. */
#include "fuzz.h"

#include "model/model.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    static const char text[] = "a b\xc3\xa9 the cat 12";
    dele_err err = {0};
    dele_model model;
    dele_status status =
        dele_model_load(&model, fuzz_write("m.gguf", data, size), fuzz_arena(), &err);
    fuzz_answer(status, &err);
    if (status) return;
    dele_ids ids;
    if (model.tokenizer &&
        !dele_encode(&ids, model.tokenizer, text, sizeof text - 1, true, fuzz_arena(), &err))
        dele_decode(model.tokenizer, ids.id, ids.n, false, fuzz_arena(), &err);
    dele_model_release(&model);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_gguf(data, size, max, &(fuzz_random){seed});
}
