/* Scores against stored cases (reference/score_cases.py): lm_eval's log-likelihoods of choices,
 * attacks as PyTorch gives them, areas and distances as scikit-learn and scipy do.  Tolerances:
 * what comes out of a model 2e-4, being sums of float32 in another order; formulas on given numbers
 * 1e-9 relative. */
#include "claims.h"

#include "base/json.h"
#include "score/answer_match.h"
#include "score/suites/choice_sets.h"
#include "score/suites/membership.h"
#include "score/suites/mmlu.h"
#include "score/suites/qa.h"
#include "score/suites/semeval.h"
#include "score/suites/tofu.h"
#include "score/token_scores.h"
#include "score/two_samples.h"
#include "template/pytext.h"
#include "tests/scratch.h"

#define FIXTURES DELE_TESTS_DIR "/fixtures/score"
#define MODEL DELE_TESTS_DIR "/../data/models/demo"

typedef struct {
    cJSON *cases;
    dele_arena arena;
    dele_model model;
    dele_run run;
    dele_err err;
} world;

static int open_world(void **state)
{
    world *w = calloc(1, sizeof *w);
    if (!w) return -1;
    *state = w;
    w->cases = dele_json_load(FIXTURES "/cases.json", &w->err);
    if (!w->cases || dele_model_load(&w->model, MODEL, &w->arena, &w->err))
        fail_msg("%s", w->err.msg);
    return 0;
}

static int close_world(void **state)
{
    world *w = *state;
    cJSON_Delete(w->cases);
    dele_run_release(&w->run);
    dele_model_release(&w->model);
    dele_arena_release(&w->arena);
    free(w);
    return 0;
}

/* Scores a suite, its lines into items.file from the beginning. */
static const void *score(world *w, const dele_suite *suite, const dele_suite_opts *opts,
                         const dele_model *reference, dele_items *items)
{
    dele_scoring s = {.suite = suite,
                      .opts = opts,
                      .model = &w->model,
                      .reference = reference,
                      .run = &w->run,
                      .items = items,
                      .arena = &w->arena,
                      .quiet = true};
    assert_non_null(items->file);
    if (dele_suite_run(&s, suite->name, &w->err)) fail_msg("%s", w->err.msg);
    rewind(items->file);
    return s.scores;
}

static const cJSON *part(const world *w, const char *name)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(w->cases, name);
    assert_true(cJSON_GetArraySize(found) > 0);
    return found;
}

static void is_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance * (1 + fabs(expected))))
        fail_msg("%.17g, expected %.17g", got, expected);
}

static void choices_are_as_likely_as_the_harness_says(void **state)
{
    world *w = *state;
    const dele_suite_opts opts = {.data = FIXTURES "/sets"};
    dele_items items = {.file = tmpfile()};
    const dele_accuracy *accuracy = score(w, &dele_suite_choices, &opts, NULL, &items);
    char line[4096];
    const cJSON *expected;
    int right = 0;
    cJSON_ArrayForEach(expected, part(w, "choices"))
    {
        assert_non_null(fgets(line, sizeof line, items.file));
        cJSON *item = cJSON_Parse(line);
        assert_string_equal(cJSON_GetObjectItem(item, "set")->valuestring, "village");
        const cJSON *got = cJSON_GetObjectItem(item, "loglikelihoods");
        int n = cJSON_GetArraySize(expected), best = 0;
        assert_int_equal(cJSON_GetArraySize(got), n);
        for (int c = 0; c < n; c++) {
            is_near(cJSON_GetArrayItem(got, c)->valuedouble,
                    cJSON_GetArrayItem(expected, c)->valuedouble, 2e-4);
            if (cJSON_GetArrayItem(expected, c)->valuedouble >
                cJSON_GetArrayItem(expected, best)->valuedouble)
                best = c;
        }
        assert_int_equal(cJSON_GetObjectItem(item, "pick")->valueint, best);
        right += best == cJSON_GetObjectItem(item, "answer")->valueint;
        cJSON_Delete(item);
    }
    assert_int_equal(accuracy->n, 4);
    is_near(accuracy->acc, right / 4., 1e-12);
    fclose(items.file);
}

static double number(const cJSON *object, const char *name)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(object, name);
    assert_true(cJSON_IsNumber(x));
    return x->valuedouble;
}

static double *numbers(const cJSON *array, size_t *n, dele_arena *arena)
{
    dele_err err = {0};
    double *x = DELE_NEW(arena, double, (size_t)cJSON_GetArraySize(array) + 1, &err);
    const cJSON *element;
    *n = 0;
    assert_non_null(x);
    cJSON_ArrayForEach(element, array) x[(*n)++] = element->valuedouble;
    return x;
}

static void write_documents(const char *path, const cJSON *cases, int from, int to)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    for (int i = from; i < to; i++)
        fprintf(out, "{\"document\": \"%s\"}\n",
                cJSON_GetObjectItem(cJSON_GetArrayItem(cases, i), "text")->valuestring);
    fclose(out);
}

static void attacks_see_what_pytorch_sees(void **state)
{
    world *w = *state;
    const cJSON *cases = part(w, "membership");
    static const char *const name[] = {"loss", "zlib", "min_k", "min_k_plus", "gradnorm"};
    scratch *s = NULL;
    assert_int_equal(scratch_open((void **)&s), 0);
    write_documents(scratch_path(s, "member.jsonl"), cases, 0, 2);
    write_documents(scratch_path(s, "nonmember.jsonl"), cases, 2, 4);
    dele_items items = {.file = tmpfile()};
    const dele_suite_opts opts = {.data = s->dir, .gradnorm = true, .min_k = .4};
    const dele_membership_scores *scores =
        score(w, &dele_suite_membership, &opts, &w->model, &items);
    char line[4096];
    const cJSON *expected;
    cJSON_ArrayForEach(expected, cases)
    {
        assert_non_null(fgets(line, sizeof line, items.file));
        cJSON *got = cJSON_Parse(line);
        for (size_t i = 0; i < sizeof name / sizeof *name; i++)
            is_near(number(got, name[i]), number(expected, name[i]), 2e-4);
        assert_true(number(got, "reference") == 0); /* it is the model itself */
        cJSON_Delete(got);
    }
    /* Both members are more likely than both others, by this model's losses or not: the area is
     * that of the four losses. */
    double loss[4], area;
    for (int i = 0; i < 4; i++) loss[i] = -number(cJSON_GetArrayItem(cases, i), "loss");
    assert_int_equal(dele_auc(&area, loss, 2, loss + 2, 2, &w->arena, &w->err), DELE_OK);
    is_near(scores->attack[DELE_ATTACK_LOSS].auc, area, 1e-12);
    is_near(scores->attack[DELE_ATTACK_REFERENCE].auc, .5, 1e-12);
    fclose(items.file);
    scratch_close((void **)&s);
}

static void tokens_are_greedy_where_pytorch_says_so(void **state)
{
    world *w = *state;
    const cJSON *expected, *cases = part(w, "membership");
    dele_scored_text text[4];
    int n = 0, greedy = 0;
    cJSON_ArrayForEach(expected, cases) if (dele_scored_text_encode(
                                                &text[n++], &w->model,
                                                cJSON_GetObjectItem(expected, "text")->valuestring,
                                                &w->arena, &w->err)) fail_msg("%s", w->err.msg);
    if (dele_token_scores(text, 4, &w->run, &w->model, &(dele_token_opts){0}, &w->arena, &w->err))
        fail_msg("%s", w->err.msg);
    n = 0;
    cJSON_ArrayForEach(expected, cases)
    {
        const cJSON *flags = cJSON_GetObjectItem(expected, "greedy");
        assert_int_equal(cJSON_GetArraySize(flags), text[n].n - text[n].first);
        for (int i = 0; i < text[n].n - text[n].first; i++) {
            assert_int_equal(text[n].greedy[i], cJSON_GetArrayItem(flags, i)->valueint);
            greedy += text[n].greedy[i];
        }
        n++;
    }
    assert_true(greedy > 0);
}

static void areas_under_curves_are_scikit_learns(void **state)
{
    world *w = *state;
    const cJSON *c;
    cJSON_ArrayForEach(c, part(w, "auc"))
    {
        size_t n, m;
        double *a = numbers(cJSON_GetObjectItem(c, "member"), &n, &w->arena), auc;
        double *b = numbers(cJSON_GetObjectItem(c, "nonmember"), &m, &w->arena);
        for (size_t i = 0; i < n; i++) a[i] = -a[i];
        for (size_t i = 0; i < m; i++) b[i] = -b[i];
        assert_int_equal(dele_auc(&auc, a, n, b, m, &w->arena, &w->err), DELE_OK);
        is_near(auc, number(c, "auc"), 1e-12);
    }
}

static void distances_of_samples_are_as_likely_as_scipy_says(void **state)
{
    world *w = *state;
    const cJSON *c;
    cJSON_ArrayForEach(c, part(w, "ks"))
    {
        size_t n, m;
        double *a = numbers(cJSON_GetObjectItem(c, "a"), &n, &w->arena),
               *b = numbers(cJSON_GetObjectItem(c, "b"), &m, &w->arena);
        dele_ks ks, other;
        assert_int_equal(dele_ks_two_samples(&ks, a, n, b, m, &w->arena, &w->err), DELE_OK);
        assert_int_equal(dele_ks_two_samples(&other, b, m, a, n, &w->arena, &w->err), DELE_OK);
        is_near(ks.d, number(c, "d"), 1e-12);
        is_near(ks.log_p, number(c, "log_p"), 1e-9);
        is_near(other.log_p, ks.log_p, 1e-9);
    }
}

/* Samples that do not overlap: two of C(2n, n) orders.  For n = 2000 that is exp(-2767), far below
 * any double. */
static void samples_apart_reach_the_floor(void **state)
{
    world *w = *state;
    const cJSON *c;
    cJSON_ArrayForEach(c, part(w, "ks_floors"))
    {
        size_t n = (size_t)number(c, "n");
        double *x = DELE_NEW(&w->arena, double, 2 * n, &w->err);
        dele_ks ks;
        for (size_t i = 0; i < 2 * n; i++) x[i] = (double)i;
        assert_int_equal(dele_ks_two_samples(&ks, x, n, x + n, n, &w->arena, &w->err), DELE_OK);
        is_near(ks.log_p, number(c, "log_p"), 1e-9);
    }
}

static void changed_answers_are_tested_exactly(void **state)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, part(*state, "mcnemar"))
        is_near(dele_mcnemar((size_t)cJSON_GetArrayItem(c, 0)->valuedouble,
                             (size_t)cJSON_GetArrayItem(c, 1)->valuedouble),
                cJSON_GetArrayItem(c, 2)->valuedouble, 1e-9);
}

static void harmonic_means_are_pythons(void **state)
{
    world *w = *state;
    const cJSON *c;
    cJSON_ArrayForEach(c, part(w, "harmonic"))
    {
        size_t n;
        double *x = numbers(cJSON_GetArrayItem(c, 0), &n, &w->arena);
        is_near(dele_harmonic_mean(x, n), cJSON_GetArrayItem(c, 1)->valuedouble, 1e-12);
    }
    /* AILS-NTUA's line of the 7B table: .827, .847 and .443 give .706, from an AUC of .5765 or
     * .4235 */
    dele_semeval_mmlu mmlu = {
        .acc = .443, .style = "open-instruct", .split = "test", .shots = 5, .n = 14042};
    dele_semeval s = dele_semeval_score(.827, .4235, &mmlu);
    is_near(s.membership, .847, 1e-9);
    is_near(s.final, (.827 + .847 + .443) / 3, 1e-12);
    assert_true(isnan(dele_semeval_score(.827, NAN, &mmlu).final));
    const double least[] = {.371, .3711};
    for (int i = 0; i < 2; i++) { /* the award list: above 0.371 */
        mmlu.acc = least[i];
        s = dele_semeval_score(.827, .4235, &mmlu);
        cJSON *json = dele_semeval_json(&s);
        assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(json, "mmlu_suffices")), i);
        cJSON_Delete(json);
    }
    assert_true(dele_semeval_mmlu_is_official(&mmlu));
    mmlu.n--;
    assert_false(dele_semeval_mmlu_is_official(&mmlu));
    mmlu.n++, mmlu.split = "val";
    assert_false(dele_semeval_mmlu_is_official(&mmlu));
    mmlu.split = "test", mmlu.style = "harness";
    assert_false(dele_semeval_mmlu_is_official(&mmlu));
    mmlu.style = "open-instruct", mmlu.shots = 0;
    assert_false(dele_semeval_mmlu_is_official(&mmlu));
}

static void truth_ratios_are_those_written_out_in_numpy(void **state)
{
    world *w = *state;
    const cJSON *c = part(w, "tofu"), *row;
    size_t n, k, i = 0;
    double *correct = numbers(cJSON_GetObjectItem(c, "correct"), &n, &w->arena);
    double *ratio = numbers(cJSON_GetObjectItem(c, "ratio"), &n, &w->arena), closer = 0, better = 0;
    double *arithmetic = numbers(cJSON_GetObjectItem(c, "ratio_arithmetic"), &n, &w->arena);
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(c, "wrong"))
    {
        double *wrong = numbers(row, &k, &w->arena),
               r = dele_truth_ratio(correct[i], wrong, (int)k, false, 0);
        is_near(r, ratio[i], 1e-9);
        is_near(dele_truth_ratio(correct[i], wrong, (int)k, true, 0), arithmetic[i], 1e-9);
        closer += fmin(r, 1 / r) / (double)n;
        better += fmax(0, 1 - r) / (double)n;
        i++;
    }
    is_near(closer, number(c, "closer_to_1"), 1e-9);
    is_near(better, number(c, "true_better"), 1e-9);
}

static void extraction_needs_all_that_follows(void **state)
{
    (void)state;
    const bool all[] = {1, 1, 1, 1}, last[] = {1, 0, 1, 1}, none[] = {1, 1, 1, 0};
    is_near(dele_extraction_strength(all, 4, 0), 1, 0);
    is_near(dele_extraction_strength(last, 4, 0), .5, 0);
    is_near(dele_extraction_strength(none, 4, 0), 0, 0);
    is_near(dele_extraction_strength(none, 4, .25), .25, 0); /* open-unlearning's floor */
}

static void tofu_rows_are_scored_as_pytorch_does(void **state)
{
    world *w = *state;
    static const char *const name[] = {"loss",
                                       "probability",
                                       "truth_ratio",
                                       "truth_ratio_arithmetic",
                                       "exact_memorization",
                                       "extraction_strength",
                                       "rougeL_recall"};
    const dele_suite_opts opts = {.data = FIXTURES "/tofu", .max_new = 8};
    dele_items items = {.file = tmpfile()};
    const dele_tofu_scores *scores = score(w, &dele_suite_tofu, &opts, NULL, &items);
    char line[4096];
    const cJSON *expected;
    double nine = 0, memorized = 0, rouge = 0;
    cJSON_ArrayForEach(expected, part(w, "tofu_rows"))
    {
        assert_non_null(fgets(line, sizeof line, items.file));
        cJSON *got = cJSON_Parse(line);
        assert_string_equal(cJSON_GetObjectItem(got, "set")->valuestring,
                            cJSON_GetObjectItem(expected, "set")->valuestring);
        assert_string_equal(cJSON_GetObjectItem(got, "generated")->valuestring,
                            cJSON_GetObjectItem(expected, "generated")->valuestring);
        for (size_t i = 0; i < sizeof name / sizeof *name; i++)
            is_near(number(got, name[i]), number(expected, name[i]), 2e-4);
        memorized += number(got, "exact_memorization");
        rouge += number(got, "rougeL_recall");
        cJSON_Delete(got);
    }
    assert_true(memorized > 0 && rouge > 0); /* else the agreement would say little */
    for (int set = DELE_TOFU_RETAIN; set < DELE_TOFU_SETS; set++) {
        const dele_tofu_cell *c = &scores->set[set];
        nine += 1 / c->probability.mean + 1 / c->rouge.mean + 1 / c->truth_ratio.mean;
    }
    is_near(scores->utility, isfinite(nine) ? 9 / nine : 0, 1e-9);
    fclose(items.file);
}

/* What locuslab/tofu's utils.py makes of the losses in items.jsonl: exp(-losses).mean() over
 * exp(-loss), in every set. */
static void compat_tofu_takes_the_arithmetic_ratio_in_every_set(void **state)
{
    world *w = *state;
    static const char *const name[] = {"forget", "retain", "real_authors", "world_facts"};
    const dele_suite_opts opts = {.data = FIXTURES "/tofu", .max_new = 1, .compat = "tofu"};
    dele_items items = {.file = tmpfile()};
    const dele_tofu_scores *scores = score(w, &dele_suite_tofu, &opts, NULL, &items);
    char line[4096];
    double sum[4] = {0}, geometric = 0;
    size_t rows[4] = {0};
    while (fgets(line, sizeof line, items.file)) {
        cJSON *row = cJSON_Parse(line);
        const cJSON *losses = cJSON_GetObjectItem(row, "loss_wrong"), *loss;
        double wrong = 0, mean = 0, n = cJSON_GetArraySize(losses);
        int set = 0;
        while (strcmp(name[set], cJSON_GetObjectItem(row, "set")->valuestring)) set++;
        cJSON_ArrayForEach(loss, losses) wrong += exp(-loss->valuedouble) / n,
            mean += loss->valuedouble / n;
        double ratio = wrong / exp(-number(row, "loss_correct")),
               other = exp(number(row, "loss_correct") - mean);
        sum[set] += set ? fmax(0, 1 - ratio) : fmin(ratio, 1 / ratio);
        if (!set) geometric += fmin(other, 1 / other);
        rows[set]++;
        cJSON_Delete(row);
    }
    for (int set = 0; set < 4; set++) {
        assert_int_equal(scores->set[set].n, rows[set]);
        is_near(scores->set[set].truth_ratio.mean, sum[set] / (double)rows[set], 1e-9);
    }
    assert_true(fabs(geometric - sum[0]) > 1e-3); /* else the two could not be told apart */
    fclose(items.file);
}

static void short_answers_match_as_in_the_harness(void **state)
{
    world *w = *state;
    const cJSON *c;
    int right = 0, n = 0;
    cJSON_ArrayForEach(c, part(w, "qa"))
    {
        const cJSON *answers = cJSON_GetObjectItem(c, "answers"), *answer;
        const char *text[4];
        dele_answers item = {.text = text,
                             .ignore_articles =
                                 cJSON_IsTrue(cJSON_GetObjectItem(c, "ignore_articles"))};
        cJSON_ArrayForEach(answer, answers) text[item.n++] = answer->valuestring;
        bool exact, contains;
        const char *said = cJSON_GetObjectItem(c, "said")->valuestring;
        if (dele_answer_match(&exact, &contains, &item, said, &w->arena, &w->err))
            fail_msg("%s", w->err.msg);
        if (exact != cJSON_IsTrue(cJSON_GetObjectItem(c, "exact")))
            fail_msg("\"%s\" was judged %d", said, exact);
        right += exact;
        n++;
    }
    assert_true(right > 0 && right < n);
    /* Whole words only, and beyond the first stop. */
    const char *an[] = {"an"}, *paris[] = {"Paris"};
    bool exact, contains;
    dele_answers item = {.text = an, .n = 1};
    assert_int_equal(dele_answer_match(&exact, &contains, &item, " Japan", &w->arena, &w->err),
                     DELE_OK);
    assert_true(!exact && !contains);
    item.text = paris;
    assert_int_equal(
        dele_answer_match(&exact, &contains, &item, "\nIt is paris, France", &w->arena, &w->err),
        DELE_OK);
    assert_true(!exact && contains);
}

/* With room for 230 tokens two of the three examples stay. */
static void letters_are_as_likely_as_the_old_programs_say(void **state)
{
    world *w = *state;
    static const dele_mmlu_style style[] = {DELE_MMLU_OPEN_INSTRUCT, DELE_MMLU_HENDRYCKS};
    int context = w->model.config.context, unseen = 0;
    w->model.config.context = 230;
    for (int i = 0; i < 2; i++) {
        const char *name = dele_mmlu_style_name(style[i]);
        const dele_suite_opts opts = {.data = FIXTURES "/mmlu", .style = name, .shots = 3};
        dele_items items = {.file = tmpfile()};
        score(w, &dele_suite_mmlu, &opts, NULL, &items);
        char line[4096];
        const cJSON *expected;
        cJSON_ArrayForEach(expected, part(w, "old_mmlu"))
        {
            assert_non_null(fgets(line, sizeof line, items.file));
            cJSON *item = cJSON_Parse(line);
            const cJSON *got = cJSON_GetObjectItem(item, "loglikelihoods");
            const cJSON *theirs = cJSON_GetObjectItem(expected, name);
            for (int c = 0; c < DELE_MMLU_CHOICES; c++) {
                is_near(cJSON_GetArrayItem(got, c)->valuedouble,
                        cJSON_GetArrayItem(theirs, c)->valuedouble, 2e-4);
                unseen += cJSON_GetArrayItem(theirs, c)->valuedouble == -100;
            }
            cJSON_Delete(item);
        }
        fclose(items.file);
    }
    w->model.config.context = context;
    assert_true(unseen > 0);
}

/* Readers of every set with ever more memory: refused politely until it is enough. */
static void memory_that_ends_is_an_error_and_no_crash(void **state)
{
    (void)state;
    scratch *s = NULL;
    assert_int_equal(scratch_open((void **)&s), 0);
    const char *short_ones = scratch_text(
        s, "short.jsonl", "{\"question\": \"Who?\", \"answers\": [\"Bo\", \"Ann\"]}\n");
    scratch_text(s, "member.jsonl", "{\"document\": \"Arlo\"}\n");
    scratch_text(s, "nonmember.jsonl", "{\"text\": \"Bo\"}\n");
    for (int kind = 0; kind < 4; kind++) {
        bool refused = false, done = false;
        for (size_t limit = 64; !done; limit += limit / 2) {
            dele_arena arena = {.limit = limit};
            dele_err err = {0};
            dele_choice_sets choices;
            dele_qa_sets qa;
            dele_tofu tofu;
            dele_membership members;
            dele_status status =
                kind == 0   ? dele_choice_sets_load(&choices, FIXTURES "/sets", 0, &arena, &err)
                : kind == 1 ? dele_qa_sets_load(&qa, short_ones, 0, &arena, &err)
                : kind == 2 ? dele_tofu_load(&tofu, FIXTURES "/tofu", 0, &arena, &err)
                            : dele_membership_load(&members, s->dir, 0, &arena, &err);
            if (status) assert_int_equal(status, DELE_ERR_MEMORY);
            done = status == DELE_OK;
            refused |= !done;
            dele_arena_release(&arena);
            assert_true(limit < (size_t)1 << 30);
        }
        assert_true(refused);
    }
    scratch_close((void **)&s);
}

/* The texts of hendrycks/test's evaluate.py, written down by hand: two blanks, and the question
 * unstripped. */
static void the_old_prompt_has_two_blanks_and_the_raw_question(void **state)
{
    world *w = *state;
    dele_mmlu data;
    if (dele_mmlu_load(&data, FIXTURES "/mmlu", "val", "college_biology", 1, 0, &w->arena, &w->err))
        fail_msg("%s", w->err.msg);
    const char *text = dele_mmlu_context(&data.subject[0], &data.subject[0].item[0],
                                         DELE_MMLU_OPEN_INSTRUCT, 1, &w->arena, &w->err);
    assert_string_equal(
        text,
        "The following are multiple choice questions (with answers) about  college biology.\n\n"
        "What is 2 + 2?\nA. 3\nB. 4\nC. 5\nD. 22\nAnswer: B\n\n"
        "\xc2\xa0The line\nbreaks here\r\nand a CR\rthere  \nA.   padded  \nB. None\n"
        "C. na\xc3\xafve \"caf\xc3\xa9\"\nD. D.\nAnswer:");
    dele_mmlu_through_pandas(&data);
    text = dele_mmlu_context(&data.subject[0], &data.subject[0].item[0], DELE_MMLU_OPEN_INSTRUCT, 1,
                             &w->arena, &w->err);
    assert_non_null(strstr(text, "A.   padded  \nB. nan\nC. na\xc3\xafve"));
    assert_string_equal(dele_through_pandas(""), "nan");
    assert_string_equal(dele_through_pandas("none"), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices_are_as_likely_as_the_harness_says),
        cmocka_unit_test(attacks_see_what_pytorch_sees),
        cmocka_unit_test(tokens_are_greedy_where_pytorch_says_so),
        cmocka_unit_test(areas_under_curves_are_scikit_learns),
        cmocka_unit_test(distances_of_samples_are_as_likely_as_scipy_says),
        cmocka_unit_test(samples_apart_reach_the_floor),
        cmocka_unit_test(changed_answers_are_tested_exactly),
        cmocka_unit_test(harmonic_means_are_pythons),
        cmocka_unit_test(truth_ratios_are_those_written_out_in_numpy),
        cmocka_unit_test(extraction_needs_all_that_follows),
        cmocka_unit_test(tofu_rows_are_scored_as_pytorch_does),
        cmocka_unit_test(compat_tofu_takes_the_arithmetic_ratio_in_every_set),
        cmocka_unit_test(short_answers_match_as_in_the_harness),
        cmocka_unit_test(letters_are_as_likely_as_the_old_programs_say),
        cmocka_unit_test(memory_that_ends_is_an_error_and_no_crash),
        cmocka_unit_test(the_old_prompt_has_two_blanks_and_the_raw_question),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
