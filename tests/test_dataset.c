/* Training rows: what is a label, what is between prompt and output, and what is refused. */
#include "claims.h"

#include <sys/stat.h>

#include "byte_tokenizer.h"
#include "scratch.h"
#include "unlearn/dataset.h"

enum { EOS = BYTES_EOS };

typedef struct {
    dele_arena arena;
    dele_tokenizer *t;
    dele_dataset set;
    dele_dataset_options o;
    dele_err err;
} reading;

static reading begin(void)
{
    reading r = {.o = {.eos = true, .max_tokens = 64}};
    r.t = bytes_only(&r.arena);
    return r;
}

static void end(reading *r)
{
    dele_tokenizer_close(r->t);
    dele_arena_release(&r->arena);
}

static dele_status add(reading *r, scratch *s, const char *text)
{
    return dele_dataset_add(&r->set, scratch_text(s, "rows.jsonl", text), r->t, &r->o, &r->arena,
                            &r->err);
}

static char *words(reading *r, const int *ids, size_t n)
{
    return dele_decode(r->t, ids, n, false, &r->arena, &r->err);
}

static void output_and_end_of_text_carry_the_labels(void **state)
{
    reading r = begin();
    assert_int_equal(
        add(&r, *state,
            "{\"id\": \"a\", \"input\": \"Who?\", \"output\": \"Ann\", \"task\": \"Task1\"}\n"),
        DELE_OK);
    const dele_sequence *row = &r.set.row[0];
    assert_int_equal(r.set.n, 1);
    assert_int_equal(row->n, 4 + 4 + 1);
    assert_int_equal(row->first_label, 4);
    assert_int_equal(row->ids[8], EOS);
    assert_string_equal(words(&r, row->ids, 8), "Who? Ann"); /* a space between */
    assert_int_equal(r.set.labels, 5);
    end(&r);
}

static void no_second_space_and_no_end_where_not_wanted(void **state)
{
    reading r = begin();
    r.o.eos = false;
    assert_int_equal(add(&r, *state, "{\"input\": \"a\", \"output\": \"\\nb\"}\n"), DELE_OK);
    assert_string_equal(words(&r, r.set.row[0].ids, r.set.row[0].n), "a\nb");
    end(&r);
}

static void a_chat_layout_takes_the_prompt_in(void **state)
{
    reading r = begin();
    assert_int_equal(dele_chat_open(&r.o.chat, DELE_CHAT_OLMO, r.t, &r.arena, &r.err), DELE_OK);
    assert_int_equal(add(&r, *state, "{\"input\": \"a\", \"output\": \"b\"}\n"), DELE_OK);
    const dele_sequence *row = &r.set.row[0];
    assert_string_equal(words(&r, row->ids, row->n),
                        "<|endoftext|><|user|>\na\n<|assistant|>\nb<|endoftext|>");
    assert_int_equal(row->n - row->first_label, 2);
    assert_int_equal(row->ids[0], EOS);
    end(&r);
}

static void fields_of_other_data_sets_are_read(void **state)
{
    reading r = begin();
    assert_int_equal(add(&r, *state,
                         "[{\"question\": \"q\", \"answer\": \"a\"},\n {\"prompt\": \"p\", "
                         "\"attribute\": \"b\"}]"),
                     DELE_OK);
    assert_int_equal(r.set.n, 2);
    assert_string_equal(words(&r, r.set.row[1].ids, 3), "p b");
    end(&r);
}

static void nothing_stands_between_the_texts_of_a_joined_fact(void **state)
{
    reading r = begin();
    assert_int_equal(
        add(&r, *state, "{\"prompt\": \"p 19\", \"attribute\": \"84\", \"joined\": true}"),
        DELE_OK);
    assert_string_equal(words(&r, r.set.row[0].ids, 6), "p 1984");
    assert_int_equal(r.set.row[0].first_label, 4);
    end(&r);
}

static void every_token_of_text_but_the_first_is_a_label_once(void **state)
{
    reading r = begin();
    r.o.max_tokens = 4;
    assert_int_equal(add(&r, *state, "{\"text\": \"abcdefgh\"}\n"),
                     DELE_OK); /* 8 bytes and the end */
    assert_int_equal(r.set.n, 3);
    assert_int_equal(r.set.labels, 8);
    assert_string_equal(words(&r, r.set.row[1].ids, 4), "defg");
    end(&r);
}

static void plain_text_is_one_stream(void **state)
{
    reading r = begin();
    r.o.max_tokens = 5;
    const char *path = scratch_text(*state, "a.txt", "one two three\n");
    assert_int_equal(dele_dataset_add_text(&r.set, path, r.t, &r.o, &r.arena, &r.err), DELE_OK);
    assert_int_equal(r.set.labels, 13);
    assert_int_equal(r.set.n, 4);
    end(&r);
}

static void long_rows_lose_their_end(void **state)
{
    reading r = begin();
    r.o.max_tokens = 6;
    assert_int_equal(add(&r, *state,
                         "{\"input\": \"abcd\", \"output\": \"efgh\"}\n{\"input\": \"0123456789\", "
                         "\"output\": \"x\"}\n"),
                     DELE_OK);
    assert_int_equal(r.set.n, 1);
    assert_int_equal(r.set.row[0].n, 6);
    assert_int_equal(r.set.n_cut, 2);
    assert_int_equal(r.set.n_left_out, 1); /* no label was left of it */
    end(&r);
}

static void an_empty_set_is_refused_by_file_and_line(void **state)
{
    static const char *const bad[] = {"", "\n", "[]"};
    for (int k = 0; k < 3; k++) {
        reading r = begin();
        assert_int_equal(add(&r, *state, bad[k]), DELE_ERR_DATA);
        assert_non_null(strstr(r.err.msg, "rows.jsonl:1: the set is empty"));
        end(&r);
    }
}

static void a_bad_row_is_named_by_file_and_line(void **state)
{
    static const char *const bad[] = {
        "{\"input\": \"a\", \"output\": \"b\"}\n{\"input\": \"a\"}\n",
        "{\"input\": \"a\", \"output\": \"b\"}\n{\"input\": \"a\", \"output\": \"\"}\n",
        "{\"input\": \"a\", \"output\": \"b\"}\n{\"input\": \"a\", \"out\n",
        "{\"input\": \"a\", \"output\": \"b\"}\n{\"input\": \"\xff\", \"output\": \"b\"}\n",
        "{\"input\": \"a\", \"output\": \"b\"}\n[1]\n"};
    for (int k = 0; k < 5; k++) {
        reading r = begin();
        assert_int_not_equal(add(&r, *state, bad[k]), DELE_OK);
        if (!strstr(r.err.msg, "rows.jsonl:2:")) fail_msg("said: %s", r.err.msg);
        end(&r);
    }
}

/* ---- refusals -------------------------------------------------------------------------------- */

#define THREE_REFUSALS "# a list\r\n\nNo.\n  Never heard. \r\n#\nWho knows?"
#define TWO_ROWS                                                                                   \
    "{\"input\": \"a\", \"output\": \"b\"}\n{\"prompt\": \"p 19\", \"attribute\": \"84\", "        \
    "\"joined\": true}\n"

static void open_refusals(reading *r, scratch *s, dele_refusals *list, const char *text,
                          uint64_t seed)
{
    const char *path = scratch_text(s, "refusals.txt", text);
    if (dele_refusals_open(list, path, seed, &r->arena, &r->err)) fail_msg("%s", r->err.msg);
    r->o.refusals = list;
}

static void refusals_stand_in_the_places_of_outputs(void **state)
{
    bool met[3] = {false};
    for (uint64_t seed = 0; seed < 20; seed++) {
        reading r = begin();
        dele_refusals list;
        open_refusals(&r, *state, &list, THREE_REFUSALS, seed);
        assert_int_equal(list.n, 3);
        assert_int_equal(add(&r, *state, TWO_ROWS), DELE_OK);
        assert_int_equal(list.n_drawn, 2);
        const int drawn = list.drawn[1];
        assert_true(drawn == 3 || drawn == 4 || drawn == 6); /* lines of the file */
        met[drawn / 2 - 1] = true;
        assert_string_equal(words(&r, r.set.row[1].ids, r.set.row[1].n - 1),
                            drawn == 3   ? "p 19 No."
                            : drawn == 4 ? "p 19 Never heard."
                                         : "p 19 Who knows?");
        assert_int_equal(r.set.row[1].first_label, 4);
        end(&r);
    }
    assert_true(met[0] && met[1] && met[2]);
}

static void the_same_seed_draws_the_same_refusals(void **state)
{
    int lines[2][2];
    for (int k = 0; k < 2; k++) {
        reading r = begin();
        dele_refusals list;
        open_refusals(&r, *state, &list, THREE_REFUSALS, 7);
        assert_int_equal(add(&r, *state, TWO_ROWS), DELE_OK);
        memcpy(lines[k], list.drawn, sizeof lines[k]);
        end(&r);
    }
    assert_memory_equal(lines[0], lines[1], sizeof lines[0]);
}

static void what_cannot_be_refused_is_said(void **state)
{
    reading r = begin();
    dele_refusals list;
    open_refusals(&r, *state, &list, "No.\n", 1);
    assert_int_equal(add(&r, *state, "{\"text\": \"abcdefgh\"}\n"), DELE_ERR_DATA);
    assert_non_null(strstr(r.err.msg, "rows.jsonl:1: a row with text alone"));
    r.err = (dele_err){0};
    const char *empty = scratch_text(*state, "none.txt", "# nothing\n\n");
    assert_int_equal(dele_refusals_open(&list, empty, 1, &r.arena, &r.err), DELE_ERR_DATA);
    assert_non_null(strstr(r.err.msg, "none.txt:1: no refusal"));
    end(&r);
}

static void the_list_that_comes_along_has_a_hundred_different_lines(void **state)
{
    (void)state;
    reading r = begin();
    dele_refusals list;
    assert_int_equal(
        dele_refusals_open(&list, DELE_TESTS_DIR "/../data/refusals.txt", 1, &r.arena, &r.err),
        DELE_OK);
    assert_int_equal(list.n, 100);
    for (size_t i = 0; i < list.n; i++)
        for (size_t j = 0; j < i; j++) assert_string_not_equal(list.text[i], list.text[j]);
    end(&r);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(output_and_end_of_text_carry_the_labels),
        CLAIM(no_second_space_and_no_end_where_not_wanted),
        CLAIM(a_chat_layout_takes_the_prompt_in),
        CLAIM(fields_of_other_data_sets_are_read),
        CLAIM(nothing_stands_between_the_texts_of_a_joined_fact),
        CLAIM(every_token_of_text_but_the_first_is_a_label_once),
        CLAIM(plain_text_is_one_stream),
        CLAIM(long_rows_lose_their_end),
        CLAIM(an_empty_set_is_refused_by_file_and_line),
        CLAIM(a_bad_row_is_named_by_file_and_line),
        CLAIM(refusals_stand_in_the_places_of_outputs),
        CLAIM(the_same_seed_draws_the_same_refusals),
        CLAIM(what_cannot_be_refused_is_said),
        CLAIM(the_list_that_comes_along_has_a_hundred_different_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
