/* The stemmer's stems are NLTK's (fixtures/score/porter.tsv, made by reference/rouge_pairs.py:
 * every rule's examples, words of LUME, and made-up ones).  DELE_PORTER_WORDS names another, longer
 * list. */
#include "claims.h"

#include "score/porter.h"

static void stems_are_those_of_nltk(void **state)
{
    (void)state;
    const char *path = getenv("DELE_PORTER_WORDS");
    FILE *file = fopen(path ? path : DELE_TESTS_DIR "/fixtures/score/porter.tsv", "r");
    assert_non_null(file);
    char word[256], stem[256], given[256];
    int n = 0;
    while (fscanf(file, "%255s %255s", word, stem) == 2) {
        strcpy(given, word);
        dele_porter_stem(word);
        if (strcmp(word, stem) != 0) fail_msg("%s: got %s, NLTK gives %s", given, word, stem);
        n++;
    }
    fclose(file);
    assert_true(n > 200);
}

static void a_stem_is_never_longer_than_its_word(void **state)
{
    (void)state;
    static const char letters[] = "aeiousyltngdbz";
    unsigned long seed = 1;
    for (int trial = 0; trial < 200000; trial++) {
        char word[16], stem[16];
        size_t n = 0;
        for (seed = seed * 6364136223846793005UL + 1442695040888963407UL; n < 3 + (seed >> 60);
             n++) {
            seed = seed * 6364136223846793005UL + 1442695040888963407UL;
            if (n == 14) break;
            word[n] = letters[(seed >> 33) % (sizeof letters - 1)];
        }
        word[n] = '\0';
        strcpy(stem, word);
        dele_porter_stem(stem);
        if (strlen(stem) > n || (n && !stem[0] && n > 3)) fail_msg("%s became \"%s\"", word, stem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stems_are_those_of_nltk),
        cmocka_unit_test(a_stem_is_never_longer_than_its_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
