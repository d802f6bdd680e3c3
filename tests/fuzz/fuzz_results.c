/* A result of `eval` as `compare` reads it: eval.json and items.jsonl in one input, with a record
 * separator (U+001E) between them; it is compared with itself. */
#include "fuzz.h"

#include "experiments/compare/compare_results.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size ? memchr(data, 0x1e, size) : NULL;
    const size_t n = cut ? (size_t)(cut - data) : size;
    dele_err err = {0};
    compared result = {0};
    fuzz_write("eval.json", data, n);
    fuzz_write("items.jsonl", data + n + (cut != NULL), size - n - (cut != NULL));
    fuzz_answer(
        compare_results(&result, fuzz_path("."), fuzz_path("."), true, NULL, fuzz_arena(), &err),
        &err);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
