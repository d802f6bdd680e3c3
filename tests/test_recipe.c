/* Recipes become plans: variables, sweeps, references, order; and each thing that a recipe cannot
 * mean is one sentence.
 */
#include "claims.h"

#include "experiments/study/recipe.h"

typedef struct {
    dele_arena arena;
    dele_err err;
    cJSON *json;
    recipe_plan plan;
} fixture;

static int open_fixture(void **state)
{
    *state = calloc(1, sizeof(fixture));
    return *state ? 0 : -1;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    cJSON_Delete(f->json);
    dele_arena_release(&f->arena);
    free(f);
    return 0;
}

static dele_status read_with(fixture *f, const char *text, const char *const *set, size_t n_set)
{
    cJSON_Delete(f->json);
    f->json = cJSON_Parse(text);
    assert_non_null(f->json);
    f->err = (dele_err){0};
    return recipe_read(&f->plan, f->json, "r.json", set, n_set, &f->arena, &f->err);
}

static dele_status read_recipe(fixture *f, const char *text) { return read_with(f, text, NULL, 0); }

static const recipe_stage *stage(const fixture *f, const char *name)
{
    for (size_t i = 0; i < f->plan.n_stages; i++)
        if (!strcmp(f->plan.stage[i].name, name)) return &f->plan.stage[i];
    fail_msg("no stage %s", name);
    return NULL;
}

static const char *option(const recipe_stage *s, const char *name)
{
    for (size_t i = 0; i < s->n_options; i++)
        if (!strcmp(s->option[i].name, name)) return s->option[i].text;
    return NULL;
}

static void assert_names(const fixture *f, const char *const *names, size_t n)
{
    assert_int_equal(f->plan.n_stages, n);
    for (size_t i = 0; i < n; i++) assert_string_equal(f->plan.stage[i].name, names[i]);
}

/* ---- texts ----------------------------------------------------------------------------------- */

static void variables_are_filled_in_and_signs_doubled_stand_for_themselves(void **state)
{
    fixture *f = *state;
    const char *const set[] = {"lr=3e-4", "odd=a$b@c"};
    assert_int_equal(
        read_with(
            f,
            "{\"vars\": {\"dir\": \"data\", \"file\": \"$dir/${dir}x\", \"lr\": 1, \"odd\": null},"
            " \"stages\": [{\"name\": \"a\", \"run\": \"finetune\", \"model\": \"$file\","
            " \"options\": {\"lr\": \"$lr\", \"money\": \"$$5\", \"mail\": \"x@@y.z\", \"odd\": "
            "\"$odd\","
            " \"eos\": false, \"fast\": true, \"none\": null, \"list\": [1, \"b\", 0.5]}}]}",
            set, 2),
        DELE_OK);
    const recipe_stage *a = stage(f, "a");
    assert_string_equal(a->argument[0], "data/datax");
    assert_string_equal(option(a, "lr"), "3e-4");
    assert_string_equal(option(a, "money"), "$5");
    assert_string_equal(option(a, "mail"), "x@y.z");
    assert_string_equal(option(a, "odd"),
                        "a$b@c"); /* what the command line says is meant as it stands */
    assert_string_equal(option(a, "list"), "1,b,0.5");
    assert_int_equal(a->n_options, 7); /* null is as if it were not there */
    assert_true(a->option[4].off && !a->option[4].text && !a->option[5].off && !a->option[5].text);
}

/* ---- sweeps ---------------------------------------------------------------------------------- */

static const char sweep[] = "{\"vars\": {\"m\": \"model\"}, \"stages\": ["
                            " {\"name\": \"taught\", \"run\": \"finetune\", \"model\": \"$m\"},"
                            " {\"name\": \"forgot\", \"run\": \"unlearn\", \"model\": \"@taught\","
                            "  \"for\": {\"layers\": [{\"name\": \"0-1\", \"top\": 1}, {\"name\": "
                            "\"last\", \"value\": \"6-7\", \"top\": 7}],"
                            "            \"by\": [\"npo\", {\"name\": \"rmu\", \"options\": "
                            "{\"at-layer\": \"${layers.top}\"}}]},"
                            "  \"options\": {\"layers\": \"$layers\", \"objective\": \"$by\"}},"
                            " {\"name\": \"score\", \"run\": \"eval\", \"for\": {\"of\": "
                            "[{\"name\": \"before\", \"value\": \"@taught\"},"
                            "  {\"name\": \"after\", \"value\": \"@forgot\"}]}, \"model\": "
                            "\"$of\", \"options\": {\"suite\": \"facts\"}}]}";

static void a_sweep_has_a_stage_for_each_point_and_what_refers_to_it_follows(void **state)
{
    fixture *f = *state;
    assert_int_equal(read_recipe(f, sweep), DELE_OK);
    const char *const names[] = {"taught",
                                 "score/of=before",
                                 "forgot/layers=0-1,by=npo",
                                 "score/of=after,layers=0-1,by=npo",
                                 "forgot/layers=0-1,by=rmu",
                                 "score/of=after,layers=0-1,by=rmu",
                                 "forgot/layers=last,by=npo",
                                 "score/of=after,layers=last,by=npo",
                                 "forgot/layers=last,by=rmu",
                                 "score/of=after,layers=last,by=rmu"};
    assert_names(f, names, sizeof names / sizeof *names);
    const recipe_stage *rmu = stage(f, "forgot/layers=last,by=rmu"),
                       *npo = stage(f, "forgot/layers=last,by=npo");
    assert_string_equal(option(rmu, "layers"), "6-7");
    assert_string_equal(option(rmu, "at-layer"), "7");
    assert_null(option(npo, "at-layer"));
    assert_string_equal(rmu->argument[0], "\1taught\2");
    const recipe_stage *score = stage(f, "score/of=after,layers=last,by=rmu");
    assert_string_equal(score->argument[0], "\1forgot/layers=last,by=rmu\2");
    assert_int_equal(score->n_needs, 1);
    assert_ptr_equal(&f->plan.stage[score->needs[0]], rmu);
    for (size_t i = 0; i < f->plan.n_stages; i++) /* what is needed comes before */
        for (size_t k = 0; k < f->plan.stage[i].n_needs; k++)
            assert_true(f->plan.stage[i].needs[k] < i);
}

static void
what_all_points_share_stands_before_them_so_that_each_point_is_whole_before_the_next(void **state)
{
    fixture *f = *state;
    assert_int_equal(
        read_recipe(f, "{\"stages\": ["
                       "{\"name\": \"taught\", \"run\": \"finetune\", \"model\": \"m\"},"
                       "{\"name\": \"forgot\", \"run\": \"unlearn\", \"model\": \"@taught\", "
                       "\"for\": {\"x\": [1, 2, 3]}},"
                       "{\"name\": \"told\", \"run\": \"eval\", \"model\": \"@forgot\"},"
                       "{\"name\": \"people\", \"run\": \"rows\", \"arguments\": [\"r.jsonl\"]},"
                       "{\"name\": \"asked\", \"run\": \"facts\", \"model\": \"@taught\", "
                       "\"options\": {\"qa\": \"@people\"}},"
                       "{\"name\": \"score\", \"run\": \"eval\", \"model\": \"@forgot\", "
                       "\"options\": {\"data\": \"@asked\"}}]}"),
        DELE_OK);
    static const char *const names[] = {"taught",    "people",     "asked",      "forgot/x=1",
                                        "told/x=1",  "score/x=1",  "forgot/x=2", "told/x=2",
                                        "score/x=2", "forgot/x=3", "told/x=3",   "score/x=3"};
    assert_names(f, names, sizeof names / sizeof *names);
}

static void a_coordinate_that_a_reference_fixes_is_not_taken_over(void **state)
{
    fixture *f = *state;
    assert_int_equal(
        read_recipe(f, "{\"stages\": ["
                       "{\"name\": \"a\", \"run\": \"eval\", \"for\": {\"set\": [\"f\", \"r\"], "
                       "\"x\": [1, 2]}},"
                       "{\"name\": \"b\", \"run\": \"compare\", \"arguments\": [\"@a[set=f]\", "
                       "\"@a[set=r]\"]},"
                       "{\"name\": \"c\", \"run\": \"compare\", \"arguments\": [\"@a[set=f,x=1]\", "
                       "\"@a[set=r,x=2]/items.jsonl\"]}]}"),
        DELE_OK);
    assert_int_equal(f->plan.n_stages, 4 + 2 + 1);
    const recipe_stage *b = stage(f, "b/x=2"), *c = stage(f, "c");
    assert_string_equal(b->argument[0], "\1a/set=f,x=2\2");
    assert_string_equal(b->argument[1], "\1a/set=r,x=2\2");
    assert_string_equal(c->argument[1], "\1a/set=r,x=2\2/items.jsonl");
    assert_int_equal(c->n_needs, 2);
}

static void a_stage_may_name_files_of_its_own_result(void **state)
{
    fixture *f = *state;
    assert_int_equal(
        read_recipe(f,
                    "{\"stages\": [{\"name\": \"known\", \"run\": \"facts\", \"for\": {\"s\": [1]},"
                    " \"options\": {\"forget-out\": \"@known/forget.json\"}}]}"),
        DELE_OK);
    assert_string_equal(option(stage(f, "known/s=1"), "forget-out"), "\1known/s=1\2/forget.json");
    assert_int_equal(f->plan.stage[0].n_needs, 0);
}

static void what_an_if_leaves_out_takes_what_refers_to_it_along(void **state)
{
    fixture *f = *state;
    const char *text =
        "{\"vars\": {\"mmlu\": \"\"}, \"stages\": [{\"name\": \"a\", \"run\": \"info\"},"
        "{\"name\": \"b\", \"run\": \"eval\", \"if\": \"$mmlu\", \"model\": \"@a\"},"
        "{\"name\": \"c\", \"run\": \"info\", \"model\": \"@b\"}]}";
    const char *const set[] = {"mmlu=there"};
    assert_int_equal(read_recipe(f, text), DELE_OK);
    assert_int_equal(f->plan.n_stages, 1);
    assert_int_equal(f->plan.n_left_out, 2);
    assert_int_equal(read_with(f, text, set, 1), DELE_OK);
    assert_int_equal(f->plan.n_stages, 3);
}

static void patterns_choose_stages_and_what_they_stand_on(void **state)
{
    fixture *f = *state;
    bool wanted[16];
    assert_int_equal(read_recipe(f, sweep), DELE_OK);
    assert_int_equal(recipe_select(wanted, &f->plan, "score/*last*npo", true, &f->arena, &f->err),
                     DELE_OK);
    for (size_t i = 0; i < f->plan.n_stages; i++) {
        const char *name = f->plan.stage[i].name;
        assert_int_equal(wanted[i], !strcmp(name, "taught") ||
                                        !strcmp(name, "forgot/layers=last,by=npo") ||
                                        !strcmp(name, "score/of=after,layers=last,by=npo"));
    }
    assert_int_equal(recipe_select(wanted, &f->plan, "forgot", false, &f->arena, &f->err), DELE_OK);
    size_t n = 0;
    for (size_t i = 0; i < f->plan.n_stages; i++) n += wanted[i];
    assert_int_equal(n, 4);
    assert_int_equal(recipe_select(wanted, &f->plan, "forgt", true, &f->arena, &f->err),
                     DELE_ERR_USAGE);
}

/* ---- what a recipe cannot mean --------------------------------------------------------------- */

#define STAGES(inner) "{\"stages\": [" inner "]}"
#define A "{\"name\": \"a\", \"run\": \"info\"}"

static void each_bad_recipe_is_one_sentence_with_the_place(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"{\"stags\": []}", "r.json: no key \"stags\"; did you mean stages"},
        {"{\"stages\": []}", "\"stages\" is a list of at least one stage"},
        {STAGES("{\"run\": \"info\"}"), "r.json: stage 1: an object with a \"name\""},
        {STAGES("{\"name\": \"a\"}"), "stage \"a\": \"run\" says which command"},
        {STAGES("{\"name\": \"a\", \"run\": \"run\"}"), "cannot run recipes"},
        {STAGES("{\"name\": \"a/b\", \"run\": \"info\"}"), "a stage's name is made of letters"},
        {STAGES("{\"name\": \"logs\", \"run\": \"info\"}"), "the name is taken"},
        {STAGES(A ", " A), "the name is taken"},
        {STAGES("{\"name\": \"a\", \"run\": \"info\", \"option\": {}}"),
         "no key \"option\"; did you mean options"},
        {STAGES("{\"name\": \"a\", \"run\": \"info\", \"model\": \"$m\"}"),
         "stage \"a\": no variable $m"},
        {"{\"vars\": {\"model\": 1}, \"stages\": [{\"name\": \"a\", \"run\": \"info\", \"model\": "
         "\"$modle\"}]}",
         "did you mean $model"},
        {"{\"vars\": {\"m\": null}, \"stages\": [{\"name\": \"a\", \"run\": \"info\", \"model\": "
         "\"$m\"}]}",
         "--set m="},
        {"{\"vars\": {\"m\": \"$n\", \"n\": \"$m\"}, \"stages\": [{\"name\": \"a\", \"run\": "
         "\"info\", \"model\": "
         "\"$m\"}]}",
         "stands for itself"},
        {"{\"vars\": {\"m\": {}}, \"stages\": [" A "]}", "vars: \"m\" wants a text"},
        {STAGES("{\"name\": \"a\", \"run\": \"info\", \"model\": \"$\"}"), "a dollar itself is $$"},
        {STAGES("{\"name\": \"a\", \"run\": \"info\", \"model\": \"@b\"}, {\"name\": \"b\", "
                "\"run\": \"info\"}"),
         "comes later"},
        {STAGES("{\"name\": \"ab\", \"run\": \"info\"}, {\"name\": \"b\", \"run\": \"info\", "
                "\"model\": \"@ac\"}"),
         "no stage has that name; did you mean @ab"},
        {STAGES(A ", {\"name\": \"b\", \"run\": \"info\", \"model\": \"@a[x=1]\"}"),
         "a point of \"a\" that is not there: [x=1]"},
        {STAGES(A ", {\"name\": \"b\", \"run\": \"info\", \"model\": \"@a[x]\"}"),
         "a point is written [axis=value"},
        {STAGES("{\"name\": \"a\", \"run\": \"info\", \"for\": {\"x\": []}}"),
         "\"x\" wants a list of values"},
        {STAGES("{\"name\": \"a\", \"run\": \"info\", \"for\": {\"x\": [\"0-5,12\"]}}"),
         "cannot be part of a name: 0-5,12"},
        {STAGES("{\"name\": \"a\", \"run\": \"info\", \"for\": {\"x\": [1, 1]}}"),
         "two of its points have one name"},
        {"{\"vars\": {\"x\": 1}, \"stages\": [{\"name\": \"a\", \"run\": \"info\", \"for\": "
         "{\"x\": [1]}}]}",
         "a variable already"},
        {STAGES(
             "{\"name\": \"a\", \"run\": \"info\", \"for\": {\"x\": [1]}, \"model\": \"${x.y}\"}"),
         "x=1 has no such field"},
        {STAGES("{\"name\": \"a\", \"run\": \"info\", \"for\": {\"x\": [1]}},"
                "{\"name\": \"b\", \"run\": \"info\", \"for\": {\"x\": [2]}, \"model\": \"@a\"}"),
         "share an axis, and no value"},
        {STAGES("{\"name\": \"a\", \"run\": \"info\", \"options\": {\"x\": {}}}"),
         "the option \"x\" has no value"},
        {STAGES("{\"name\": \"a\", \"run\": \"info\", \"model\": \"m\", \"arguments\": []}"),
         "give either"},
        {STAGES("{\"name\": \"a\", \"run\": \"info\", \"model\": \"x\\u0001y\"}"),
         "control character"},
    };
    fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_recipe(f, cases[i].text), DELE_ERR_DATA);
        if (!strstr(f->err.msg, cases[i].said))
            fail_msg("%s\n  said: %s\n  not: %s", cases[i].text, f->err.msg, cases[i].said);
        assert_memory_equal(f->err.msg, "r.json: ", 8);
    }
}

static void settings_that_the_recipe_does_not_have_are_refused(void **state)
{
    fixture *f = *state;
    const char *const wrong[] = {"epoch=1"}, *const none[] = {"epochs"};
    const char *text = "{\"vars\": {\"epochs\": 1}, \"stages\": [" A "]}";
    assert_int_equal(read_with(f, text, wrong, 1), DELE_ERR_USAGE);
    assert_non_null(strstr(f->err.msg, "did you mean epochs"));
    assert_int_equal(read_with(f, text, none, 1), DELE_ERR_USAGE);
    assert_non_null(strstr(f->err.msg, "NAME=VALUE"));
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        CLAIM(variables_are_filled_in_and_signs_doubled_stand_for_themselves),
        CLAIM(a_sweep_has_a_stage_for_each_point_and_what_refers_to_it_follows),
        CLAIM(what_all_points_share_stands_before_them_so_that_each_point_is_whole_before_the_next),
        CLAIM(a_coordinate_that_a_reference_fixes_is_not_taken_over),
        CLAIM(a_stage_may_name_files_of_its_own_result),
        CLAIM(what_an_if_leaves_out_takes_what_refers_to_it_along),
        CLAIM(patterns_choose_stages_and_what_they_stand_on),
        CLAIM(each_bad_recipe_is_one_sentence_with_the_place),
        CLAIM(settings_that_the_recipe_does_not_have_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
