/* items.jsonl of an interrupted run, resumed by a run of three items. */
#include "fuzz.h"

#include "base/items.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    dele_err err = {0};
    dele_items items = {0};
    if (dele_items_open(&items, fuzz_write("items.jsonl", data, size), &err))
        fuzz_answer(err.code, &err);
    for (int i = 0; i < 3 && !err.code; i++) {
        double p = 0, rank = 0, right = 0;
        const dele_items_field fields[] = {{"p", &p, DELE_ITEMS_REAL, 0, 1, true},
                                           {"rank", &rank, DELE_ITEMS_WHOLE, 0, 0, false},
                                           {"right", &right, DELE_ITEMS_BOOL, 0, 0, false}};
        cJSON *key = cJSON_CreateObject(), *line = cJSON_CreateObject();
        cJSON_AddNumberToObject(key, "index", i);
        cJSON_AddNumberToObject(line, "index", i);
        if (dele_items_resume(&items, (size_t)i, key, fields, 3, &err) &&
            (!(right == 0 || right == 1) || p > 1))
            abort();
        if (err.code)
            cJSON_Delete(line);
        else
            dele_items_put(&items, (size_t)i, line, &err);
    }
    dele_items_close(&items, &err);
    fuzz_answer(err.code, &err);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
