/* A directory of a mixture of experts: config.json, then model.safetensors with a tensor an expert
 * or the experts of a layer stacked in one (parts of one input, fuzz_write_files).  What is loaded
 * is run. */
#include "fuzz.h"

static const char *const names[] = {"config.json", "model.safetensors"};
enum { N_FILES = sizeof names / sizeof *names };

void fuzz_one(const uint8_t *data, size_t size)
{
    fuzz_write_files(names, N_FILES, data, size);
    dele_err err = {0};
    dele_model model;
    const dele_status status = dele_model_load(&model, fuzz_path("."), fuzz_arena(), &err);
    fuzz_answer(status, &err);
    if (status) return;
    fuzz_run_model(&model, NULL);
    dele_model_release(&model);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_files(data, size, max, N_FILES, &(fuzz_random){seed});
}
