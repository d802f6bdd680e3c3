/* The data sets of `eval`: one input is read as each suite's rows. */
#include "fuzz.h"

#include "score/suites/choice_sets.h"
#include "score/suites/lume.h"
#include "score/suites/membership.h"
#include "score/suites/qa.h"
#include "score/suites/tofu.h"

void fuzz_one(const uint8_t *data, size_t size)
{
    dele_arena *arena = fuzz_arena();
    fuzz_write("forget.jsonl", data, size);
    fuzz_write("retain.jsonl", data, size);
    fuzz_write("member.jsonl", data, size);
    fuzz_write("nonmember.jsonl", data, size);
    fuzz_write("forget_perturbed.jsonl", data, size);
    const char *path = fuzz_write("x.jsonl", data, size), *folder = fuzz_path(".");
    dele_err err = {0};
    fuzz_answer(dele_choice_sets_load(&(dele_choice_sets){0}, path, 0, arena, &err), &err);
    err = (dele_err){0};
    fuzz_answer(dele_qa_sets_load(&(dele_qa_sets){0}, path, 0, arena, &err), &err);
    err = (dele_err){0};
    fuzz_answer(dele_lume_load(&(dele_lume){0}, folder, 0, NULL, arena, &err), &err);
    err = (dele_err){0};
    fuzz_answer(dele_tofu_load(&(dele_tofu){0}, folder, 0, arena, &err), &err);
    err = (dele_err){0};
    fuzz_answer(dele_membership_load(&(dele_membership){0}, folder, 0, arena, &err), &err);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_json(data, size, max, &(fuzz_random){seed});
}
