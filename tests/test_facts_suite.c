/* The facts suite: what must hold between probability, rank and means, on the embedded model. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/generate.h"
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
    FILE *out = fopen(file, "w");
    lac_items items = {.file = tmpfile()};
    assert_true(out && items.file);
    fputs(FACTS, out);
    fclose(out);

    lac_arena arena = {0};
    lac_err err = {0};
    lac_model model = {0};
    lac_run run = {0};
    lac_facts facts;
    lac_facts_scores scores;
    lac_facts_opts opts = {.items = &items};
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
    rewind(items.file);
    for (int c; (c = fgetc(items.file)) != EOF;) lines += c == '\n';
    assert_int_equal(lines, 4);
    fclose(items.file);
    lac_run_release(&run);
    lac_model_release(&model);
    lac_arena_release(&arena);
}

/* Scores of a fact file on the embedded model, first form. */
static void score(const char *file, lac_fact_score *out, size_t n, const lac_model *model, lac_arena *arena)
{
    lac_err err = {0};
    lac_run run = {0};
    lac_facts facts;
    lac_facts_scores scores;
    lac_facts_opts opts = {0};
    if (lac_facts_load(&facts, file, arena, &err) || lac_facts_score(&scores, &facts, &run, model, &opts, arena, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(facts.n, n);
    for (size_t i = 0; i < n; i++) out[i] = scores.fact[i][LAC_FORM_PROMPT];
    lac_run_release(&run);
}

/* What the model itself says next is greedy from first token to last; the same with another end is not.  A joined
 * fact's tokens are those of the text read through, wherever the prompt ends. */
static void greedy_is_what_the_model_would_say(void **state)
{
    lac_arena arena = {0};
    lac_err err = {0};
    lac_model model = {0};
    lac_run run = {0};
    lac_ids ids;
    int said[2];
    size_t n;
    static const char prompt[] = "Arlo Greycliff lives in the town of";
    if (lac_model_load(&model, LAC_TESTS_DIR "/../data/models/demo", &arena, &err) ||
        lac_encode(&ids, model.tokenizer, prompt, strlen(prompt), true, &arena, &err) ||
        lac_generate(said, &n, &run, &model, ids.id, ids.n, 2, NULL, 0, &err))
        fail_msg("%s", err.msg);
    const char *most = lac_decode(model.tokenizer, said, 1, true, &arena, &err);
    const char *all = lac_decode(model.tokenizer, said, 2, true, &arena, &err);
    char text[1200];
    snprintf(text, sizeof text, "{\"subject\": \"Arlo\", \"prompt\": \"%s\", \"attribute\": \"%s\"}\n"
             "{\"subject\": \"Arlo\", \"prompt\": \"%s\", \"attribute\": \"%s zebra\"}\n"
             "{\"subject\": \"Arlo\", \"prompt\": \"%s\", \"attribute\": \"%s\", \"joined\": true}\n"
             "{\"subject\": \"Arlo\", \"prompt\": \"%s%s\", \"attribute\": \"%s\", \"joined\": true}\n",
             prompt, all, prompt, most, prompt, all, prompt, most, all + strlen(most));
    lac_fact_score s[4];
    score(scratch_text(*state, "facts.jsonl", text), s, 4, &model, &arena);
    assert_true(s[0].greedy && s[0].rank == 1 && s[0].n_tokens == 2);
    assert_true(!s[1].greedy && s[1].rank == 1);
    assert_true(s[2].greedy && fabs(s[2].p_answer - s[0].p_answer) < 1e-5 && s[2].n_tokens == 2);
    assert_true(s[3].greedy && s[3].n_tokens == 1 && s[3].top == said[1]);
    lac_run_release(&run);
    lac_model_release(&model);
    lac_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scores_agree_with_each_other, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(greedy_is_what_the_model_would_say, scratch_open, scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
