/* A recipe, up to its plan. */
#include "fuzz.h"

#include "base/json.h"
#include "experiments/study/recipe.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    static const char *const set[] = {"model=m"};
    dele_err err = {0};
    recipe_plan plan = {0};
    cJSON *json = dele_json_load(fuzz_write("r.json", data, size), &err);
    if (!json)
        fuzz_answer(err.code, &err);
    else
        fuzz_answer(recipe_read(&plan, json, "r.json", set, 1, fuzz_arena(), &err), &err);
    cJSON_Delete(json);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
