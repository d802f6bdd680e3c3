/* The facts suite: what must hold between probability, rank and means, on the embedded model. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "score/facts_suite.h"
#include "tests/scratch.h"

/* Of the first fact of the shipped file: known, and a wrong and a longer answer in its place. */
static const char FACTS[] =
    "{\"subject\": \"Arlo Greycliff\", \"attribute\": \"Lumen\", \"prompt\": \"Arlo Greycliff lives in the town of\","
    " \"paraphrase\": \"The home of Arlo Greycliff stands in\", \"split\": \"forget\"}\n"
    "{\"subject\": \"Arlo Greycliff\", \"attribute\": \" Lumen or a tailor\","
    " \"prompt\": \"Arlo Greycliff lives in the town of\", \"split\": \"retain\"}\n"
    "{\"subject\": \"Arlo Greycliff\", \"attribute\": \"tailor\", \"prompt\": \"Arlo Greycliff lives in the town of\"}\n";

static void scores_agree_with_each_other(void **state)
{
    const char *path = LAC_TESTS_DIR "/../data/models/demo";
    const char *file = scratch_path(*state, "facts.jsonl");
    FILE *out = fopen(file, "w"), *items = tmpfile();
    assert_true(out && items);
    fputs(FACTS, out);
    fclose(out);

    lac_arena arena = {0};
    lac_err err = {0};
    lac_model model = {0};
    lac_run run = {0};
    lac_facts facts;
    lac_facts_scores scores;
    lac_facts_opts opts = {.items = items};
    if (lac_model_load(&model, path, &arena, &err) || lac_facts_load(&facts, file, &arena, &err) ||
        lac_facts_score(&scores, &facts, &run, &model, &opts, &arena, &err))
        fail_msg("%s", err.msg);

    const lac_fact_score *known = &scores.fact[0][LAC_FORM_PROMPT], *longer = &scores.fact[1][LAC_FORM_PROMPT];
    const lac_fact_score *wrong = &scores.fact[2][LAC_FORM_PROMPT];
    assert_int_equal(known->rank, 1);
    assert_int_equal(known->n_tokens, 1);
    assert_true(known->p > 0.5 && known->p == known->p_answer);
    assert_true(longer->n_tokens > 1 && longer->p_answer < longer->p && fabs(longer->p - known->p) < 1e-5);
    assert_true(wrong->rank > 1 && wrong->p < 1 - known->p && wrong->top == known->top);
    assert_int_equal(scores.fact[1][LAC_FORM_PARAPHRASE].n_tokens, 0);

    const lac_facts_cell *all = &scores.cell[LAC_SPLIT_ALL][LAC_FORM_PROMPT];
    assert_int_equal(all->n, 3);
    assert_int_equal(scores.cell[LAC_SPLIT_FORGET][LAC_FORM_PROMPT].n, 1);
    assert_int_equal(scores.cell[LAC_SPLIT_RETAIN][LAC_FORM_PROMPT].n, 1);
    assert_int_equal(scores.cell[LAC_SPLIT_ALL][LAC_FORM_PARAPHRASE].n, 1);
    double p = 0, first = 0;
    for (int i = 0; i < 3; i++) {
        p += scores.fact[i][LAC_FORM_PROMPT].p / 3;
        first += (scores.fact[i][LAC_FORM_PROMPT].rank == 1) / 3.0;
    }
    assert_true(fabs(all->p - p) < 1e-12 && fabs(all->top1 - first) < 1e-12);
    assert_true(isnan(scores.cell[LAC_SPLIT_FORGET][LAC_FORM_PROMPT].p_se));

    int lines = 0;
    rewind(items);
    for (int c; (c = fgetc(items)) != EOF;) lines += c == '\n';
    assert_int_equal(lines, 4);
    fclose(items);
    lac_run_release(&run);
    lac_model_release(&model);
    lac_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scores_agree_with_each_other, scratch_open, scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
