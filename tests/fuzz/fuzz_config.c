/* config.json of a model directory. */
#include "fuzz.h"

#include "base/json.h"
#include "model/config/config.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    dele_err err = {0};
    const char *path = fuzz_write("config.json", data, size);
    cJSON *json = dele_json_load(path, &err);
    dele_config config;
    if (!json)
        fuzz_answer(err.code, &err);
    else if (dele_config_parse(&config, json, path, &err))
        fuzz_answer(err.code, &err);
    else
        cJSON_Delete(dele_config_json(&config));
    cJSON_Delete(json);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
