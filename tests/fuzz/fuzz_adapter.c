/* A directory of an adapter for a tiny mixture of experts: adapter_config.json, which makes it
 * PEFT's, deleatur_adapter.json, which alone makes it PERFT's, and adapter_model.safetensors (parts
 * of one input, fuzz_write_files; an empty one is no file).  What is loaded is run, and PERFT's is
 * written again. */
#include "fuzz.h"

#include "adapter/adapter.h"
#include "adapter/perft_files.h"
#include "model/forward.h"

static const char *const names[] = {"adapter_config.json", "deleatur_adapter.json",
                                    "adapter_model.safetensors"};
enum { N_FILES = sizeof names / sizeof *names };

/* The mixture's config.json and model.safetensors lie beside the adapter's files. */
static void make_base(void)
{
    const dele_config config = fuzz_mixture_config();
    dele_err err = {0};
    dele_model model;
    if (dele_model_layout(&model, &config, fuzz_arena(), &err)) abort();
    dele_model_randomise(&model, 0.1, 1);
    if (dele_model_save(&model, fuzz_path("."), "f32", &err)) abort();
}

void fuzz_one(const uint8_t *data, size_t size)
{
    static bool made;
    if (!made) make_base();
    made = true;
    fuzz_write_files(names, N_FILES, data, size);
    dele_err err = {0};
    dele_model model;
    const dele_adapter_options o = {.list = fuzz_path("."), .scale = 1};
    const dele_status status =
        dele_adapters_load(&model, o.list, &o, 0, SIZE_MAX, fuzz_arena(), &err);
    fuzz_answer(status, &err);
    if (status) return;
    fuzz_run_model(&model, NULL);
    if (model.config.perft.variant != DELE_PERFT_NONE)
        fuzz_answer(dele_perft_save(&model, fuzz_path("."), &err), &err);
    dele_model_release(&model);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_files(data, size, max, N_FILES, &(fuzz_random){seed});
}
