/* tokenizer.json: loaded, a text encoded and decoded, the parts for a GGUF made of it. */
#include "fuzz.h"

#include "text/tokenizer.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    static const char text[] = "Ann's  caf\xc3\xa9\n\t12 \xe2\x80\x9cthe\xe2\x80\x9d <s>\0 "
                               "\xf0\x9f\x98\x80 e\xcc\x81\xcc\xa3"
                               "\xef\xbc\xa1\xcc\x81_x \xe2\x96\x81 \r\n";
    dele_err err = {0};
    dele_arena *arena = fuzz_arena();
    dele_tokenizer *t = dele_tokenizer_load(fuzz_write("tokenizer.json", data, size), arena, &err);
    if (!t) {
        fuzz_answer(err.code, &err);
        return;
    }
    dele_ids ids;
    if (!dele_encode(&ids, t, text, sizeof text - 1, true, arena, &err)) {
        for (size_t i = 0; i < ids.n; i++)
            if (ids.id[i] < 0 || ids.id[i] >= dele_tokenizer_size(t)) abort();
        dele_decode(t, ids.id, ids.n, true, arena, &err);
    }
    dele_tokenizer_parts parts;
    const char *note;
    err = (dele_err){0};
    fuzz_answer(dele_tokenizer_parts_of(&parts, &note, t, 300, arena, &err), &err);
    dele_tokenizer_close(t);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
