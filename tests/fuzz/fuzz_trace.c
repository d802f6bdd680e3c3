/* A trace's directory, as `plot` and `trace --compare` read it: trace.json and facts.jsonl, in one
 * input with a record separator (U+001E) between them. */
#include "fuzz.h"

#include "trace/record.h"
#include "trace/report/stats.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    const uint8_t *cut = memchr(data, 0x1e, size);
    size_t n = cut ? (size_t)(cut - data) : size;
    dele_err err = {0};
    dele_trace trace = {0};
    fuzz_write("trace.json", data, n);
    fuzz_write("facts.jsonl", data + n + (cut != NULL), size - n - (cut != NULL));
    fuzz_answer(dele_trace_load(&trace, fuzz_path("."), fuzz_arena(), &err), &err);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
