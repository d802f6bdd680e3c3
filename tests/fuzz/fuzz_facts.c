/* A fact file of each form; the subject of a fact that loads is in its prompt. */
#include "fuzz.h"

#include "model/facts.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    dele_err err = {0};
    dele_facts facts;
    if (dele_facts_load(&facts, fuzz_write("facts.json", data, size), fuzz_arena(), &err)) {
        fuzz_answer(err.code, &err);
        return;
    }
    for (size_t i = 0; i < facts.n; i++) {
        if (!strstr(facts.fact[i].prompt, facts.fact[i].subject)) abort();
        cJSON_Delete(dele_fact_json(&facts.fact[i]));
    }
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
