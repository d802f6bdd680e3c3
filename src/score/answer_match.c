#include "score/answer_match.h"

#include <ctype.h>
#include <string.h>

#include "template/pytext.h"

/* re.sub(r"\b(?:The |the |An |A |The |a |an )", "", text), in place */
static void drop_articles(char *text)
{
    static const char *const article[] = {"The ", "the ", "An ", "A ", "a ", "an "};
    char *out = text;
    bool in_word = false; /* the character before ends in a word */
    for (const char *in = text; *in;) {
        size_t n = 0;
        for (size_t k = 0; !in_word && !n && k < sizeof article / sizeof *article; k++)
            if (!strncmp(in, article[k], strlen(article[k]))) n = strlen(article[k]);
        in_word = !n && dele_word_at(in);
        if (n)
            in += n;
        else
            do *out++ = *in++;
            while (((unsigned char)*in & 0xc0) == 0x80);
    }
    *out = '\0';
}

char *dele_answer_normal(const char *text, bool ignore_articles, dele_arena *arena, dele_err *err)
{
    char *copy = dele_strdup(arena, text, err), *lower, *out;
    if (copy && ignore_articles) drop_articles(copy);
    lower = copy ? dele_lower(copy, arena, err) : NULL;
    if (!(out = lower)) return NULL;
    for (const char *in = lower; *in; in++)
        if (!ispunct((unsigned char)*in) || (unsigned char)*in >= 0x80) *out++ = *in;
    *out = '\0';
    return lower;
}

/* Whether the text contains the answer as whole words. */
static bool holds_words(const char *text, const char *answer)
{
    size_t n = strlen(answer);
    for (const char *at = text; n && (at = strstr(at, answer)); at++)
        if (!dele_word_before(text, at) && !dele_word_at(at + n)) return true;
    return false;
}

dele_status dele_answer_match(bool *exact, bool *contains, const dele_answers *answers,
                              const char *generated, dele_arena *arena, dele_err *err)
{
    const bool articles = answers->ignore_articles;
    const char *first = dele_strndup(arena, generated, strcspn(generated, "\n.,"), err);
    if (!first) return DELE_ERR_MEMORY;
    first = dele_strip(first, arena, err);
    if (first) first = dele_answer_normal(first, articles, arena, err);
    const char *whole = dele_answer_normal(generated, articles, arena, err);
    *exact = *contains = false;
    for (int a = 0; first && whole && a < answers->n; a++) {
        const char *answer = dele_answer_normal(answers->text[a], articles, arena, err);
        if (!answer) break;
        *exact |= !strcmp(first, answer);
        *contains |= holds_words(whole, answer);
    }
    return err->code;
}

dele_status dele_exact_match(bool *same, const char *a, const char *b, dele_arena *arena,
                             dele_err *err)
{
    const char *text[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        char *stripped = dele_strip(text[i], arena, err);
        text[i] = stripped ? dele_lower(stripped, arena, err) : NULL;
        if (!text[i]) return DELE_ERR_MEMORY;
    }
    *same = strcmp(text[0], text[1]) == 0;
    return DELE_OK;
}
