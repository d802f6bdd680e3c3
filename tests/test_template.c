/* Chat templates against jinja2: expressions and constructs one by one (constructs.jsonl), whole
 * conversations by layout (conversations.jsonl), and what is refused.
 *
 * tests/reference/make_template_fixtures.py writes both files with transformers' renderer.
 * DELEATUR_TEMPLATES names a larger file of the same form to read instead; what is refused there by
 * name is counted. */
#include "claims.h"

#include "base/json.h"
#include "template/template.h"

#define FIXTURES DELE_TESTS_DIR "/fixtures/text/template/"

/* 26 July 2024, the day that the reference script sets. */
static const struct tm day = {.tm_year = 124,
                              .tm_mon = 6,
                              .tm_mday = 26,
                              .tm_wday = 5,
                              .tm_yday = 207,
                              .tm_hour = 13,
                              .tm_min = 5,
                              .tm_sec = 9};

static char *render(const char *text, const cJSON *variables, dele_arena *arena, dele_err *err)
{
    dele_template *t = dele_template_parse(text, strlen(text), "the template", arena, err);
    return t ? dele_template_render(t, variables, &day, arena, err) : NULL;
}

/* Renders each row and compares the text; a row without one must fail.  A row without a template or
 * variables has those of the row before it. */
static void replay(const char *path, bool may_refuse)
{
    dele_records records = {0};
    dele_err err = {0};
    dele_arena arena = {0}, keep = {0};
    const cJSON *row;
    int wrong = 0, n = 0, failed = 0, refused = 0;
    char *template = NULL;
    cJSON *variables = NULL;
    assert_int_equal(dele_records_open(&records, path, &err), DELE_OK);
    while ((row = dele_records_next(&records, &err))) {
        dele_err why = {0};
        const char *given = dele_json_string(row, "template");
        const char *wanted = dele_json_string(row, "text");
        const cJSON *new_variables = dele_json_get(row, "variables");
        if (given) template = dele_strdup(&keep, given, &err);
        if (new_variables) {
            cJSON_Delete(variables);
            variables = cJSON_Duplicate(new_variables, true);
        }
        assert_non_null(template);
        assert_non_null(variables);
        const char *got = render(template, variables, &arena, &why);
        n++;
        failed += !wanted;
        if (wanted && may_refuse && why.code == DELE_ERR_UNSUPPORTED)
            refused++;
        else if (wanted ? !got || strcmp(got, wanted) : got != NULL) {
            wrong++;
            if (wrong <= 20)
                print_error("%s:%d: %s\n  wanted %s\n  got    %s\n", path, records.line, template,
                            wanted ? wanted : "an error", got ? got : why.msg);
        }
        if (!got) assert_true(why.code != DELE_OK && *why.msg);
        dele_arena_reset(&arena);
    }
    assert_int_equal(err.code, DELE_OK);
    dele_records_close(&records);
    cJSON_Delete(variables);
    dele_arena_release(&arena);
    dele_arena_release(&keep);
    print_message("%d texts, %d of them errors; %d refused\n", n, failed, refused);
    assert_true(n > 0);
    assert_int_equal(wrong, 0);
}

static void every_construct_gives_the_text_of_jinja2(void **state)
{
    (void)state;
    const char *more = getenv("DELEATUR_TEMPLATES");
    replay(more ? more : FIXTURES "constructs.jsonl", more != NULL);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void check_refused(const char *text, dele_status code, const char *says)
{
    dele_arena arena = {0};
    dele_err err = {0};
    cJSON *variables = cJSON_Parse("{\"n\": 2, \"d\": {}, \"l\": [], \"big\": 9007199254740993e3}");
    const char *got = render(text, variables, &arena, &err);
    if (got || err.code != code || !strstr(err.msg, says))
        fail_msg("%s: wanted \"%s\", got %d \"%s\"", text, says, err.code, got ? got : err.msg);
    cJSON_Delete(variables);
    dele_arena_release(&arena);
}

static void what_is_beyond_the_subset_is_named_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {{"a\n{% include 'b' %}", "line 2: the tag {% include %} is not supported"},
                 {"{% extends 'b' %}", "the tag {% extends %}"},
                 {"{% import 'b' as c %}", "the tag {% import %}"},
                 {"{% block a %}{% endblock %}", "the tag {% block %}"},
                 {"{% do n %}", "the tag {% do %}"},
                 {"{% for x in l recursive %}{% endfor %}", "a recursive loop"},
                 {"\n\n{{ n | xmlattr }}", "line 3: the filter \"xmlattr\" is not supported"},
                 {"{{ n is escaped_by }}", "the test \"escaped_by\" is not supported"},
                 {"{{ 'a'.zfill(3) }}", "the method zfill of a text is not supported"},
                 {"{{ lipsum() }}", "the function lipsum is not supported"},
                 {"{{ 'a\\N{DIGIT ONE}' }}", "this escape in a string is not supported"},
                 {"{{ '\\ud83d' }}", "half a surrogate pair"},
                 {"{{ 9223372036854775808 }}", "an integer of more than 64 bits"},
                 {"{{ 9223372036854775807 + 1 }}", "an integer of more than 64 bits"},
                 {"{{ 2 ** 64 }}", "an integer of more than 64 bits"},
                 {"{{ d.items }}", "a method as text is not supported"},
                 {"{{ ('a' | safe) + 'b' }}", "+ with a safe text is not supported"},
                 {"{{ strftime_now('%f') }}", "strftime_now(\"%f\") is not supported"},
                 {"{{ d.__class__() }}", "dict.__class__ is refused, as by jinja2's sandbox"},
                 {"{% set x = l.append(1) %}", "list.append is refused, as by jinja2's sandbox"},
                 {"{% set ns = namespace() %}{% set ns._x = 1 %}", "an underscore in front"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(cases[i].text, DELE_ERR_UNSUPPORTED, cases[i].says);
    check_refused("{{ raise_exception('roles must\nalternate') }}", DELE_ERR_DATA,
                  "the template refuses the conversation: roles must\\nalternate");
    check_refused("\n{{ n", DELE_ERR_FORMAT, "line 2: {{ without its }}");
    check_refused("{% if n %}", DELE_ERR_FORMAT, "the template ends before {% endif %}");
    check_refused("{{ 'a\xff' }}", DELE_ERR_FORMAT, "not UTF-8");
}

static char *repeat(const char *open, const char *middle, const char *close, int n)
{
    const size_t a = strlen(open), b = strlen(middle), c = strlen(close);
    char *text = malloc((a + c) * (size_t)n + b + 1), *at = text;
    for (int i = 0; i < n; i++, at += a) memcpy(at, open, a);
    memcpy(at, middle, b);
    at += b;
    for (int i = 0; i < n; i++, at += c) memcpy(at, close, c);
    *at = 0;
    return text;
}

static void a_hostile_template_ends_with_a_sentence(void **state)
{
    (void)state;
    static const char four_loops[] =
        "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}"
        "{% for e in range(100000) %}{{ e }}{% endfor %}{% endfor %}{% endfor %}{% endfor %}";
    check_refused(four_loops, DELE_ERR_UNSUPPORTED, "the template takes more than 256 MiB");
    check_refused("{% set r = range(99999) %}{% for a in r %}{{ -1 in r }}{% endfor %}",
                  DELE_ERR_UNSUPPORTED, "the template takes more than 20000000 steps");
    check_refused("{% set ns = namespace(s='ab') %}{% for i in range(100) %}"
                  "{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
                  DELE_ERR_UNSUPPORTED, "the template makes a text of more than 16 MiB");
    check_refused("{% for i in range(99999) %}{{ 'abcdefgh' * 1000 }}{% endfor %}",
                  DELE_ERR_UNSUPPORTED, "");
    check_refused("{{ 'a' * 9000000000000000000 }}", DELE_ERR_UNSUPPORTED, "");
    check_refused("{{ [1] * 9000000000000000000 }}", DELE_ERR_UNSUPPORTED, "");
    check_refused("{{ ('a' * 60000000).replace('a', 'bbbb') }}", DELE_ERR_UNSUPPORTED, "");
    check_refused("{{ ('a' * 1000000).split('a') | join('a' * 1000000) }}", DELE_ERR_UNSUPPORTED,
                  "");
    check_refused("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", DELE_ERR_UNSUPPORTED,
                  "nested more than 400 deep");
    check_refused("{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
                  DELE_ERR_UNSUPPORTED, "nested more than 400 deep");
    check_refused("{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}"
                  "{% endfor %}{{ ns.x }}",
                  DELE_ERR_UNSUPPORTED, "nested more than 100 deep");
    check_refused("{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}"
                  "{% endfor %}{{ ns.x | tojson }}",
                  DELE_ERR_UNSUPPORTED, "nested more than 100 deep");
    check_refused("{% set ns = namespace(x=[], y=[]) %}{% for i in range(1000) %}"
                  "{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
                  DELE_ERR_UNSUPPORTED, "nested more than 400 deep");
}

static void nesting_is_limited(void **state)
{
    (void)state;
    static const struct {
        const char *before, *open, *middle, *close, *after;
    } cases[] = {{"{{ ", "(", "1", ")", " }}"},
                 {"{{ ", "[", "1", "]", " }}"},
                 {"{{ ", "not ", "1", "", " }}"},
                 {"{{ ", "-", "1", "", " }}"},
                 {"{{ ", "1+", "1", "", " }}"},
                 {"{{ ", "", "1", "|int", " }}"},
                 {"{{ ", "", "d", ".a", " }}"},
                 {"{{ ", "", "1", " if 1 else 1", " }}"},
                 {"{{ ", "1 if 1 else ", "1", "", " }}"},
                 {"", "{% if 1 %}", "", "{% endif %}", ""},
                 {"", "{% for x in d %}", "", "{% endfor %}", ""},
                 {"", "{% set x %}", "", "{% endset %}", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dele_arena arena = {0};
        dele_err err = {0};
        char *middle = repeat(cases[i].open, cases[i].middle, cases[i].close, 100000), *text = NULL;
        if (asprintf(&text, "%s%s%s", cases[i].before, middle, cases[i].after) < 0) fail();
        cJSON *variables = cJSON_Parse("{\"d\": {}}");
        if (render(text, variables, &arena, &err)) fail_msg("%.40s is taken", text);
        assert_non_null(strstr(err.msg, ", line 1: "));
        cJSON_Delete(variables);
        free(text);
        free(middle);
        dele_arena_release(&arena);
    }
}

static void a_date_is_told_where_the_template_asks_for_one(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_err err = {0};
    static const char with[] = "{% if no %}{{ strftime_now('%Y') }}{% endif %}", without[] = "a";
    assert_true(dele_template_has_date(
        dele_template_parse(with, sizeof with - 1, "the template", &arena, &err)));
    assert_false(dele_template_has_date(
        dele_template_parse(without, sizeof without - 1, "the template", &arena, &err)));
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_construct_gives_the_text_of_jinja2),
        cmocka_unit_test(what_is_beyond_the_subset_is_named_with_its_line),
        cmocka_unit_test(a_hostile_template_ends_with_a_sentence),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(a_date_is_told_where_the_template_asks_for_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
