/* MMLU's CSV. */
#include "fuzz.h"

#include "text/csv.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    dele_err err = {0};
    dele_csv csv;
    size_t columns = 6;
    dele_status status =
        dele_csv_load(&csv, fuzz_write("x.csv", data, size), columns, fuzz_arena(), &err);
    fuzz_answer(status, &err);
    for (size_t i = 0; !status && i < csv.n_rows * columns; i++)
        if (strlen(csv.field[i]) > size) abort();
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static const char *const bits[] = {"\"",           "\"\"",          ",", "\r\n", "\n", "\r",
                                       "\xef\xbb\xbf", "a,b,c,d,e,f\n", "\0"};
    fuzz_random r = {seed};
    const char *bit = bits[fuzz_below(&r, sizeof bits / sizeof *bits)];
    size_t n = *bit ? strlen(bit) : 1, at = fuzz_below(&r, size + 1);
    if (fuzz_below(&r, 2) || size + n > max) return fuzz_bytes(data, size, max, &r);
    memmove(data + at + n, data + at, size - at);
    memcpy(data + at, bit, n);
    return size + n;
}
