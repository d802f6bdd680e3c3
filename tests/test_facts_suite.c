/* The facts suite: what must hold between probability, rank and means, on the embedded model. */
#include "claims.h"

#include "model/generate.h"
#include "score/suites/facts_suite.h"
#include "tests/scratch.h"

/* Of the first fact of the shipped file: known, and a wrong and a longer answer in its place. */
static const char FACTS[] =
    "{\"subject\": \"Arlo Greycliff\", \"attribute\": \"Lumen\", \"prompt\": \"Arlo Greycliff "
    "lives in the town of\","
    " \"paraphrase\": \"The home of Arlo Greycliff is in\", \"split\": \"forget\"}\n"
    "{\"subject\": \"Arlo Greycliff\", \"attribute\": \" Lumen or a tailor\","
    " \"prompt\": \"Arlo Greycliff lives in the town of\", \"split\": \"retain\"}\n"
    "{\"subject\": \"Arlo Greycliff\", \"attribute\": \"tailor\", \"prompt\": \"Arlo Greycliff "
    "lives in the town of\"}\n";

static void scores_agree_with_each_other(void **state)
{
    const char *path = DELE_TESTS_DIR "/../data/models/demo";
    const char *file = scratch_path(*state, "facts.jsonl");
    FILE *out = fopen(file, "w");
    dele_items items = {.file = tmpfile()};
    assert_true(out && items.file);
    fputs(FACTS, out);
    fclose(out);

    dele_arena arena = {0};
    dele_err err = {0};
    dele_model model = {0};
    dele_run run = {0};
    dele_facts facts;
    dele_facts_scores scores;
    dele_facts_opts opts = {.items = &items};
    if (dele_model_load(&model, path, &arena, &err) ||
        dele_facts_load(&facts, file, &arena, &err) ||
        dele_facts_score(&scores, &facts, &run, &model, &opts, &arena, &err))
        fail_msg("%s", err.msg);

    const dele_fact_score *known = &scores.fact[0][DELE_FORM_PROMPT],
                          *longer = &scores.fact[1][DELE_FORM_PROMPT];
    const dele_fact_score *wrong = &scores.fact[2][DELE_FORM_PROMPT];
    assert_int_equal(known->rank, 1);
    assert_int_equal(known->n_tokens, 1);
    assert_true(known->p > 0.5 && known->p == known->p_answer);
    assert_true(longer->n_tokens > 1 && longer->p_answer < longer->p &&
                fabs(longer->p - known->p) < 1e-5);
    assert_true(wrong->rank > 1 && wrong->p < 1 - known->p && wrong->top == known->top);
    assert_int_equal(scores.fact[1][DELE_FORM_PARAPHRASE].n_tokens, 0);

    const dele_facts_cell *all = &scores.cell[DELE_FACT_SPLIT_ALL][DELE_FORM_PROMPT];
    assert_int_equal(all->n, 3);
    assert_int_equal(scores.cell[DELE_FACT_SPLIT_FORGET][DELE_FORM_PROMPT].n, 1);
    assert_int_equal(scores.cell[DELE_FACT_SPLIT_RETAIN][DELE_FORM_PROMPT].n, 1);
    assert_int_equal(scores.cell[DELE_FACT_SPLIT_ALL][DELE_FORM_PARAPHRASE].n, 1);
    double p = 0, first = 0;
    for (int i = 0; i < 3; i++) {
        p += scores.fact[i][DELE_FORM_PROMPT].p / 3;
        first += (scores.fact[i][DELE_FORM_PROMPT].rank == 1) / 3.0;
    }
    assert_true(fabs(all->p - p) < 1e-12 && fabs(all->top1 - first) < 1e-12);
    assert_true(isnan(scores.cell[DELE_FACT_SPLIT_FORGET][DELE_FORM_PROMPT].p_se));

    int lines = 0;
    rewind(items.file);
    for (int c; (c = fgetc(items.file)) != EOF;) lines += c == '\n';
    assert_int_equal(lines, 4);
    fclose(items.file);
    dele_run_release(&run);
    dele_model_release(&model);
    dele_arena_release(&arena);
}

/* Scores of a fact file on the embedded model, first form. */
static void score(const char *file, dele_fact_score *out, size_t n, const dele_model *model,
                  dele_arena *arena)
{
    dele_err err = {0};
    dele_run run = {0};
    dele_facts facts;
    dele_facts_scores scores;
    dele_facts_opts opts = {0};
    if (dele_facts_load(&facts, file, arena, &err) ||
        dele_facts_score(&scores, &facts, &run, model, &opts, arena, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(facts.n, n);
    for (size_t i = 0; i < n; i++) out[i] = scores.fact[i][DELE_FORM_PROMPT];
    dele_run_release(&run);
}

/* What the model itself says next is greedy from first token to last; the same with another end is
 * not.  A joined fact's tokens are those of the text read through, wherever the prompt ends. */
static void greedy_is_what_the_model_would_say(void **state)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model model = {0};
    dele_run run = {0};
    dele_ids ids;
    int said[2];
    size_t n;
    static const char prompt[] = "Arlo Greycliff lives in the town of";
    if (dele_model_load(&model, DELE_TESTS_DIR "/../data/models/demo", &arena, &err) ||
        dele_encode(&ids, model.tokenizer, prompt, strlen(prompt), true, &arena, &err) ||
        dele_generate(said, &n, &run, &model, ids.id, ids.n, 2, NULL, 0, &err))
        fail_msg("%s", err.msg);
    const char *most = dele_decode(model.tokenizer, said, 1, true, &arena, &err);
    const char *all = dele_decode(model.tokenizer, said, 2, true, &arena, &err);
    char text[1200];
    snprintf(
        text, sizeof text,
        "{\"subject\": \"Arlo\", \"prompt\": \"%s\", \"attribute\": \"%s\"}\n"
        "{\"subject\": \"Arlo\", \"prompt\": \"%s\", \"attribute\": \"%s zebra\"}\n"
        "{\"subject\": \"Arlo\", \"prompt\": \"%s\", \"attribute\": \"%s\", \"joined\": true}\n"
        "{\"subject\": \"Arlo\", \"prompt\": \"%s%s\", \"attribute\": \"%s\", \"joined\": true}\n",
        prompt, all, prompt, most, prompt, all, prompt, most, all + strlen(most));
    dele_fact_score s[4];
    score(scratch_text(*state, "facts.jsonl", text), s, 4, &model, &arena);
    assert_true(s[0].greedy && s[0].rank == 1 && s[0].n_tokens == 2);
    assert_true(!s[1].greedy && s[1].rank == 1);
    assert_true(s[2].greedy && fabs(s[2].p_answer - s[0].p_answer) < 1e-5 && s[2].n_tokens == 2);
    assert_true(s[3].greedy && s[3].n_tokens == 1 && s[3].top == said[1]);
    dele_run_release(&run);
    dele_model_release(&model);
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scores_agree_with_each_other, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(greedy_is_what_the_model_would_say, scratch_open,
                                        scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
