/* The state of an unfinished training run: its hash is made right, so that every field after it is
 * read.  The seed is an empty file: training from nothing writes the first state. */
#include "fuzz.h"

#include "base/hash.h"
#include "unlearn/trainer.h"

enum { ROWS = 6, IDS = 5 };

void fuzz_one(const uint8_t *data, size_t size)
{
    const dele_config config = fuzz_config(1, false);
    static const int ids[IDS] = {1, 2, 3, 4, 5};
    dele_arena *arena = fuzz_arena();
    dele_err err = {0};
    dele_model model;
    dele_mask mask;
    dele_dataset forget = {0}, retain = {0};
    if (dele_model_layout(&model, &config, arena, &err) ||
        dele_mask_parse(&mask, &model, "all", "mlp", arena, &err))
        abort();
    dele_model_randomise(&model, 0.1, 1);
    for (int i = 0; i < ROWS; i++) {
        const dele_sequence row = {ids, IDS, 2, i + 1};
        if (dele_dataset_add_sequence(i % 2 ? &forget : &retain, row, arena, &err)) abort();
    }
    dele_train_options o = DELE_TRAIN_DEFAULTS;
    o.objective = dele_objective_find("npo", &err);
    if (dele_alpha_parse(&o.alpha, "1", &err)) abort();
    o.epochs = 2;
    o.batch = 4;
    o.save_every = 1e-9;
    const dele_trainable trainable = {.model = &model, .mask = &mask};
    const dele_train_data sets = {.set = {&forget, &retain}};
    const dele_train_output output = {.state = size ? fuzz_write("state", data, size)
                                                    : fuzz_path("state")};
    dele_train_report report;
    fuzz_answer(dele_train(&report, &trainable, &sets, &o, &output, &err), &err);
}

/* What the run before wrote: a valid state, whatever this version's format is. */
static size_t last_state(uint8_t *data, size_t max)
{
    FILE *in = fopen(fuzz_path("state"), "rb");
    size_t n = in ? fread(data, 1, max, in) : 0;
    if (in) fclose(in);
    return n;
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    fuzz_random r = {seed};
    if (size < 64) size = last_state(data, max);
    if (size < 64) return fuzz_bytes(data, size, max, &r);
    size_t body = size - DELE_HASH_SIZE;
    if (fuzz_below(&r, 4)) { /* a number of 4 or 8 bytes */
        static const uint64_t numbers[] = {
            0, 1, 2, 3, 6, 7, 0xffffffff, 0x7fffffff, 1ull << 40, UINT64_MAX, 1ull << 63};
        uint64_t v = numbers[fuzz_below(&r, sizeof numbers / sizeof *numbers)];
        memcpy(data + 16 + fuzz_below(&r, body - 24), &v, fuzz_below(&r, 2) ? 4 : 8);
    } else {
        size_t n = fuzz_bytes(data, body, max - DELE_HASH_SIZE, &r);
        body = n;
    }
    dele_hash hash;
    dele_hash_begin(&hash);
    dele_hash_add(&hash, data, body);
    dele_hash_end(&hash, data + body);
    return body + DELE_HASH_SIZE;
}
