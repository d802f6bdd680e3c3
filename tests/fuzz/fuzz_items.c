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
        double p = 0;
        int rank = 0;
        bool right = false;
        dele_items_line fields = {0};
        cJSON *line = cJSON_CreateObject();
        cJSON_AddNumberToObject(line, "index", i);
        dele_key_number(&fields, "index", i);
        dele_line_real_or_null(&fields, "p", &p, 0, 1);
        dele_line_whole(&fields, "rank", &rank, 0, 0);
        dele_line_bool(&fields, "right", &right);
        if (dele_items_resume(&items, (size_t)i, &fields, &err) && p > 1) abort();
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
