/* M. Porter, "An algorithm for suffix stripping", Program 14.3 (1980), with the differences of
 * NLTK's default mode:
 *
 *   irregular   a table of a dozen words is looked up before any rule
 *   short       words of one or two letters are left alone
 *   1a, 1b      four letters ending in -ies, -ied keep the e:   dies, died -> die, but flies -> fli
 *   1c          y -> i only after a consonant that is not the first:
 *               happy -> happi, spy -> spi, but enjoy -> enjoy
 *   2           -alli -> -al first, then the step again;  -bli for -abli;  -fulli;  -logi, the l
 *               counted as part of the stem
 *   *o          a word of vowel, consonant also "ends cvc"
 *
 * In a list of rules the first suffix that matches decides, whether its condition holds or not.
 * The measure m of a stem is the number of changes from vowel to consonant.  A y is a consonant
 * where the letter before it is not one. */
#include "score/porter.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool is_plain_vowel(char c)
{
    return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u';
}

/* The letters of a run of y's alternate, so count back to its start. */
static bool is_consonant(const char *word, size_t i)
{
    bool negate = false;
    for (; i > 0 && word[i] == 'y'; i--) negate = !negate;
    return !is_plain_vowel(word[i]) != negate;
}

static int measure(const char *word, size_t n)
{
    int m = 0;
    bool before = true;
    for (size_t i = 0; i < n; i++) {
        bool consonant = word[i] == 'y' ? i == 0 || !before : !is_plain_vowel(word[i]);
        if (i > 0 && !before && consonant) m++;
        before = consonant;
    }
    return m;
}

static bool has_vowel(const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_consonant(word, i)) return true;
    return false;
}

static bool ends_double_consonant(const char *word, size_t n)
{
    return n >= 2 && word[n - 1] == word[n - 2] && is_consonant(word, n - 1);
}

static bool ends_cvc(const char *word, size_t n)
{
    if (n == 2) return !is_consonant(word, 0) && is_consonant(word, 1);
    return n >= 3 && is_consonant(word, n - 3) && !is_consonant(word, n - 2) &&
           is_consonant(word, n - 1) && !strchr("wxy", word[n - 1]);
}

static bool ends_with(const char *word, const char *suffix)
{
    size_t n = strlen(word), m = strlen(suffix);
    return n >= m && memcmp(word + n - m, suffix, m) == 0;
}

typedef struct {
    const char *suffix, *replacement;
} rule;

/* The first rule whose suffix fits; applied if what is left has a measure above `above`.  NULL:
 * none fits. */
static const rule *apply(char *word, const rule *rules, int above)
{
    for (const rule *r = rules; r->suffix; r++) {
        if (!ends_with(word, r->suffix)) continue;
        size_t stem = strlen(word) - strlen(r->suffix);
        if (measure(word, stem) > above) strcpy(word + stem, r->replacement);
        return r;
    }
    return NULL;
}

static void step_1a(char *word)
{
    static const rule rules[] = {
        {"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}, {NULL, NULL}};
    size_t n = strlen(word);
    if (n == 4 && ends_with(word, "ies"))
        word[n - 1] = '\0';
    else
        apply(word, rules, -1);
}

/* After -ed or -ing is gone: conflat -> conflate, hopp -> hop, fil -> file. */
static void step_1b_tidy(char *word)
{
    static const rule rules[] = {{"at", "ate"}, {"bl", "ble"}, {"iz", "ize"}, {NULL, NULL}};
    if (apply(word, rules, -1)) return;
    size_t n = strlen(word);
    if (ends_double_consonant(word, n)) {
        if (!strchr("lsz", word[n - 1])) word[n - 1] = '\0';
    } else if (measure(word, n) == 1 && ends_cvc(word, n)) {
        strcpy(word + n, "e");
    }
}

static void step_1b(char *word)
{
    size_t n = strlen(word);
    if (ends_with(word, "ied")) {
        word[n == 4 ? n - 1 : n - 2] = '\0';
    } else if (ends_with(word, "eed")) {
        if (measure(word, n - 3) > 0) word[n - 1] = '\0';
    } else {
        size_t stem = ends_with(word, "ed") ? n - 2 : ends_with(word, "ing") ? n - 3 : 0;
        if (stem == 0 || !has_vowel(word, stem)) return;
        word[stem] = '\0';
        step_1b_tidy(word);
    }
}

static void step_1c(char *word)
{
    size_t n = strlen(word);
    if (n > 2 && word[n - 1] == 'y' && is_consonant(word, n - 2)) word[n - 1] = 'i';
}

static void step_2(char *word)
{
    static const rule rules[] = {
        {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
        {"izer", "ize"},    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},
        {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
        {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
        {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
        {"fulli", "ful"},   {NULL, NULL}};
    while (ends_with(word, "alli") && measure(word, strlen(word) - 4) > 0)
        word[strlen(word) - 2] = '\0';
    if (apply(word, rules, 0)) return;
    size_t n = strlen(word);
    if (ends_with(word, "logi") && measure(word, n - 3) > 0) word[n - 1] = '\0';
}

static void step_3(char *word)
{
    static const rule rules[] = {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
                                 {"ical", "ic"},  {"ful", ""},   {"ness", ""},    {NULL, NULL}};
    apply(word, rules, 0);
}

static void step_4(char *word)
{
    static const rule before_ion[] = {{"al", ""},    {"ance", ""}, {"ence", ""}, {"er", ""},
                                      {"ic", ""},    {"able", ""}, {"ible", ""}, {"ant", ""},
                                      {"ement", ""}, {"ment", ""}, {"ent", ""},  {NULL, NULL}};
    static const rule after_ion[] = {{"ou", ""},  {"ism", ""}, {"ate", ""}, {"iti", ""},
                                     {"ous", ""}, {"ive", ""}, {"ize", ""}, {NULL, NULL}};
    if (apply(word, before_ion, 1)) return;
    if (!ends_with(word, "ion")) {
        apply(word, after_ion, 1);
        return;
    }
    size_t stem = strlen(word) - 3;
    if (measure(word, stem) > 1 && (word[stem - 1] == 's' || word[stem - 1] == 't'))
        word[stem] = '\0';
}

static void step_5(char *word)
{
    size_t n = strlen(word);
    if (n > 0 && word[n - 1] == 'e') {
        int m = measure(word, n - 1);
        if (m > 1 || (m == 1 && !ends_cvc(word, n - 1))) word[--n] = '\0';
    }
    if (ends_with(word, "ll") && measure(word, n - 1) > 1) word[n - 1] = '\0';
}

void dele_porter_stem(char *word)
{
    static const rule irregular[] = {{"sky", "sky"},
                                     {"skies", "sky"},
                                     {"dying", "die"},
                                     {"lying", "lie"},
                                     {"tying", "tie"},
                                     {"news", "news"},
                                     {"innings", "inning"},
                                     {"inning", "inning"},
                                     {"outings", "outing"},
                                     {"outing", "outing"},
                                     {"cannings", "canning"},
                                     {"canning", "canning"},
                                     {"howe", "howe"},
                                     {"proceed", "proceed"},
                                     {"exceed", "exceed"},
                                     {"succeed", "succeed"},
                                     {NULL, NULL}};
    for (const rule *r = irregular; r->suffix; r++) {
        if (strcmp(word, r->suffix) != 0) continue;
        strcpy(word, r->replacement);
        return;
    }
    if (strlen(word) <= 2) return;
    step_1a(word);
    step_1b(word);
    step_1c(word);
    step_2(word);
    step_3(word);
    step_4(word);
    step_5(word);
}
