/* An .npz as tracing writes it, read by names with known types and shapes. */
#include "fuzz.h"

#include "base/npz.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    static const char *const f32[] = {"scores", "sample_scores", "low_score", "x"};
    dele_err err = {0};
    dele_arena *arena = fuzz_arena();
    dele_npz_in *npz = dele_npz_in_open(fuzz_write("x.npz", data, size), &err);
    if (!npz) {
        fuzz_answer(err.code, &err);
        return;
    }
    for (size_t k = 0; k < sizeof f32 / sizeof *f32; k++)
        for (int n = 0; n <= 3; n++) {
            size_t dims[3] = {0};
            err = (dele_err){0};
            float *x = dele_npz_in_f32(npz, f32[k], n, dims, arena, &err);
            if (!x) fuzz_answer(err.code, &err);
            size_t count = 1;
            for (int i = 0; i < n; i++) count *= dims[i];
            if (x && count) {
                volatile float last = x[count - 1];
                (void)last;
            }
        }
    size_t dims[2] = {0};
    err = (dele_err){0};
    if (!dele_npz_in_f64(npz, "low", 2, dims, arena, &err)) fuzz_answer(err.code, &err);
    dims[0] = 0;
    err = (dele_err){0};
    if (!dele_npz_in_i64(npz, "input_ids", 1, dims, arena, &err)) fuzz_answer(err.code, &err);
    dele_npz_in_close(npz);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_npz(data, size, max, &(fuzz_random){seed});
}
