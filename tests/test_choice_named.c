/* The choice that a generated answer names: the rules of score/choice_named.h, one after the
 * other. */
#include "claims.h"

#include "score/choice_named.h"

static const char *const choice[] = {"red", "dark red", "blue", "Ann Lee"};

static void an_answer_names_the_choice_that_its_letter_or_its_text_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int named;
    } cases[] = {
        {"The answer is B.", 1}, /* the letter after "answer is", the last of them */
        {"I think the answer is (C), since A. is wrong", 2},
        {"The answer is A. No, the answer is **D**", 3},
        {"Answer: C\nA. B.", 2},
        {"The answer is blue, not A.", 2}, /* "blue" is no letter: its text */
        {"The answer is a", -1},
        {"The answer is E", -1}, /* there are four */
        {"B", 1},                /* the first letter */
        {" (B) dark red", 1},
        {"C. blue", 2},
        {"D: it is D", 3},
        {"A man is red", 0},    /* "A" begins a sentence; the text */
        {"It is Dark Red.", 1}, /* "red" lies within "dark red" */
        {"It is dark red or red", 1},
        {"either red or blue", -1}, /* two */
        {"it is ann lee!", 3},
        {"redder", -1},           /* whole words */
        {"so it must be (C)", 2}, /* a letter at the end */
        {"", -1},
        {"no idea", -1},
        {"\xc3\x84pfel: the answer is D", 3},
    };
    dele_arena arena = {0};
    dele_err err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int named;
        if (dele_choice_named(&named, cases[i].text, choice, 4, &arena, &err))
            fail_msg("%s", err.msg);
        if (named != cases[i].named)
            fail_msg("\"%s\" names %d and not %d", cases[i].text, named, cases[i].named);
    }
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_names_the_choice_that_its_letter_or_its_text_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
