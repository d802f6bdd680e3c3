/* The driver of the suites and the lines of items.jsonl, on a suite of two parts that needs no
 * model: an item's score is its number. */
#include "claims.h"

#include "base/file.h"
#include "score/suites/suites.h"
#include "tests/scratch.h"

enum { FIRST = 2, SECOND = 3, ALL = FIRST + SECOND };

typedef struct {
    double score[ALL], mean;
    bool odd[ALL];
    int place[ALL];
    size_t n_items; /* calls of item */
} counted;

static dele_status count_load(dele_scoring *s, dele_err *err)
{
    static const dele_suite_part parts[] = {{"first", FIRST}, {"second", SECOND}};
    s->state = DELE_NEW(s->arena, counted, 1, err);
    s->part = parts;
    s->n_parts = 2;
    return err->code;
}

/* In two batches, as an engine would. */
static dele_status count_score(dele_scoring *s, dele_err *err)
{
    const size_t n = s->part[s->at].n;
    return dele_scored(s, 0, 1, err) ? err->code : dele_scored(s, 1, n - 1, err);
}

static dele_status count_item(dele_scoring *s, size_t i, dele_err *err)
{
    counted *c = s->state;
    const size_t at = s->before + i;
    (void)err;
    c->score[at] = at == 1 ? (double)NAN : (double)at / 8;
    c->odd[at] = at % 2;
    c->place[at] = (int)at;
    c->n_items++;
    return DELE_OK;
}

static void count_line(dele_items_line *line, dele_scoring *s, size_t i)
{
    static const double pair[] = {.5, (double)NAN};
    counted *c = s->state;
    const size_t at = s->before + i;
    dele_key_text(line, "set", s->part[s->at].name);
    dele_key_number(line, "index", (double)i);
    dele_key_text(line, "id", NULL);
    dele_line_real_or_null(line, "score", &c->score[at], 0, 1);
    dele_line_bool(line, "odd", &c->odd[at]);
    dele_line_text(line, "text", "\"x\"");
    dele_line_numbers(line, "pair", pair, 2);
    dele_line_whole(line, "place", &c->place[at], 0, ALL - 1);
}

static dele_status count_total(dele_scoring *s, dele_err *err)
{
    counted *c = s->state;
    (void)err;
    for (size_t i = 0; i < ALL; i++)
        if (!isnan(c->score[i])) c->mean += c->score[i] / ALL;
    return DELE_OK;
}

static const dele_suite counting = {.name = "count",
                                    .unit = "numbers",
                                    .options = {"chat", "max-new"},
                                    .load = count_load,
                                    .score = count_score,
                                    .item = count_item,
                                    .line = count_line,
                                    .total = count_total};

static const char LINES[] =
    "{\"set\":\"first\",\"index\":0,\"score\":0,\"odd\":false,\"text\":\"\\\"x\\\"\","
    "\"pair\":[0.5,null],\"place\":0}\n"
    "{\"set\":\"first\",\"index\":1,\"score\":null,\"odd\":true,\"text\":\"\\\"x\\\"\","
    "\"pair\":[0.5,null],\"place\":1}\n"
    "{\"set\":\"second\",\"index\":0,\"score\":0.25,\"odd\":false,\"text\":\"\\\"x\\\"\","
    "\"pair\":[0.5,null],\"place\":2}\n";

/* Runs the suite after the lines of `text`; *err is the run's, or the one of closing the items. */
static counted run_after(scratch *dir, const char *text, dele_arena *arena, dele_err *err)
{
    dele_items items;
    counted none = {0};
    dele_scoring s = {.suite = &counting, .items = &items, .arena = arena, .quiet = true};
    if (dele_items_open(&items, scratch_text(dir, "items.jsonl", text), err))
        fail_msg("%s", err->msg);
    dele_status status = dele_suite_run(&s, "count", err);
    dele_items_close(&items, err);
    return status ? none : *(counted *)s.state;
}

static void a_resumed_run_scores_the_other_items_and_ends_with_the_same_bytes(void **state)
{
    dele_arena arena = {0};
    dele_err err = {0};
    size_t n, m;
    const counted whole = run_after(*state, "", &arena, &err);
    const char *text = dele_file_read(scratch_path(*state, "items.jsonl"), &arena, &n, &err);
    assert_int_equal(err.code, DELE_OK);
    assert_int_equal(whole.n_items, ALL);
    assert_memory_equal(text, LINES, sizeof LINES - 1);
    const counted resumed = run_after(*state, LINES, &arena, &err); /* a part and a half */
    const char *again = dele_file_read(scratch_path(*state, "items.jsonl"), &arena, &m, &err);
    assert_int_equal(err.code, DELE_OK);
    assert_int_equal(resumed.n_items, ALL - 3);
    assert_int_equal(n, m);
    assert_memory_equal(text, again, n);
    assert_true(resumed.mean == whole.mean && isnan(resumed.score[1]));
    assert_memory_equal(resumed.odd, whole.odd, sizeof whole.odd);
    assert_memory_equal(resumed.place, whole.place, sizeof whole.place);
    dele_arena_release(&arena);
}

/* LINES with one text in place of another. */
static const char *changed(const char *from, const char *to, dele_arena *arena)
{
    dele_err err = {0};
    const char *at = strstr(LINES, from);
    assert_non_null(at);
    return dele_printf(arena, &err, "%.*s%s%s", (int)(at - LINES), LINES, to, at + strlen(from));
}

static void a_line_that_is_not_the_items_is_refused_by_its_field(void **state)
{
    static const struct {
        const char *from, *to, *words;
    } cases[] = {
        {"\"index\":1", "\"index\":2", "line 2 is not item 1: \"index\" differs"},
        {"\"second\"", "\"first\"", "line 3 is not item 2: \"set\" differs"},
        {"\"score\":0.25", "\"score\":1.5", "\"score\" is out of range"},
        {"\"score\":0.25", "\"score\":\"x\"", "\"score\" is not a finite number"},
        {",\"score\":0.25", "", "\"score\" is missing"},
        {"\"odd\":true", "\"odd\":1", "\"odd\" is neither true nor false"},
        {"\"text\":\"\\\"x\\\"\"", "\"text\":3", "\"text\" is no text"},
        {"[0.5,null]", "[0.5,\"x\"]", "\"pair\" is no list of numbers"},
        {"\"place\":2", "\"place\":1.5", "\"place\" is not an integer"},
        {"\"place\":2", "\"place\":null", "\"place\" is not a finite number"},
        /* another item's line is said to be one, whatever else is wrong in it */
        {"1,\"score\":null", "7,\"score\":\"x\"", "line 2 is not item 1: \"index\" differs"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dele_arena arena = {0};
        dele_err err = {0};
        run_after(*state, changed(cases[i].from, cases[i].to, &arena), &arena, &err);
        if (err.code != DELE_ERR_FORMAT || !strstr(err.msg, cases[i].words))
            fail_msg("\"%s\" does not say \"%s\"", err.msg, cases[i].words);
        dele_arena_release(&arena);
    }
}

static void lines_after_the_last_item_are_an_error(void **state)
{
    dele_arena arena = {0};
    dele_err err = {0};
    size_t n;
    run_after(*state, "", &arena, &err);
    const char *text = dele_file_read(scratch_path(*state, "items.jsonl"), &arena, &n, &err);
    run_after(*state, dele_printf(&arena, &err, "%.*s{}\n", (int)n, text), &arena, &err);
    assert_int_equal(err.code, DELE_ERR_FORMAT);
    assert_non_null(strstr(err.msg, "has 6 lines, for 5 items"));
    dele_arena_release(&arena);
}

static void every_suite_of_the_table_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; dele_suites[i]; i++) {
        const dele_suite *s = dele_suites[i];
        assert_string_equal(s->name, dele_suite_name[i + 1]);
        assert_true(s->data && s->unit && s->load && s->score && s->item && s->line && s->total &&
                    s->json && s->tables);
    }
    assert_true(dele_suite_takes(&counting, "max-new") && !dele_suite_takes(&counting, "style"));
}

int main(void)
{
#define WITH_FILES(claim) cmocka_unit_test_setup_teardown(claim, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        WITH_FILES(a_resumed_run_scores_the_other_items_and_ends_with_the_same_bytes),
        WITH_FILES(a_line_that_is_not_the_items_is_refused_by_its_field),
        WITH_FILES(lines_after_the_last_item_are_an_error),
        cmocka_unit_test(every_suite_of_the_table_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
