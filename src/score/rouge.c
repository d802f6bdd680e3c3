/* ROUGE-L (C.-Y. Lin, 2004) on the longest common subsequence of words:
 *
 *   L[i][j] = L[i-1][j-1] + 1                   where the words are equal
 *           = max(L[i-1][j], L[i][j-1])         else
 *
 * The text is lower-cased by Unicode's rules before everything outside [a-z0-9] becomes a space.
 * Two letters outside ASCII become ASCII thereby: U+212A (the Kelvin sign) is k, U+0130 (dotted
 * capital I) is i and a combining dot. */
#include "score/rouge.h"

#include <string.h>

#include "score/porter.h"

typedef struct {
    char **word;
    size_t n;
} word_list;

/* Copies text with its words' letters lower-cased and every other byte a NUL; returns the length of
 * the copy. */
static size_t clean(char *out, const char *text)
{
    size_t n = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            out[n++] = (char)(*c - 'A' + 'a');
        } else if ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9')) {
            out[n++] = (char)*c;
        } else if (c[0] == 0xe2 && c[1] == 0x84 && c[2] == 0xaa) {
            out[n++] = 'k';
            c += 2;
        } else if (c[0] == 0xc4 && c[1] == 0xb0) {
            out[n++] = 'i';
            out[n++] = '\0';
            c++;
        } else {
            out[n++] = '\0';
        }
    }
    out[n] = '\0';
    return n;
}

/* Lower-cased words of [a-z0-9]; on request, words of more than three letters are stemmed. */
static dele_status words_of(word_list *words, const char *text, bool stem, dele_arena *arena,
                            dele_err *err)
{
    size_t length = strlen(text);
    char *copy = DELE_NEW(arena, char, length + 1, err);
    words->word = DELE_NEW(arena, char *, length / 2 + 1, err);
    words->n = 0;
    if (!copy || !words->word) return DELE_ERR_MEMORY;
    size_t n = clean(copy, text);
    for (char *c = copy; c < copy + n; c += strlen(c) + 1)
        if (*c) words->word[words->n++] = c;
    for (size_t i = 0; stem && i < words->n; i++)
        if (strlen(words->word[i]) > 3) dele_porter_stem(words->word[i]);
    return DELE_OK;
}

static dele_status common_subsequence(int *length, const word_list *a, const word_list *b,
                                      dele_arena *arena, dele_err *err)
{
    int *row = DELE_NEW(arena, int, b->n + 1, err);
    if (!row) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < a->n; i++) {
        int diagonal = 0; /* L[i-1][j-1] */
        for (size_t j = 1; j <= b->n; j++) {
            int above = row[j];
            if (strcmp(a->word[i], b->word[j - 1]) == 0)
                row[j] = diagonal + 1;
            else if (row[j - 1] > above)
                row[j] = row[j - 1];
            diagonal = above;
        }
    }
    *length = row[b->n];
    return DELE_OK;
}

dele_status dele_rouge_l(dele_rouge *out, const char *target, const char *prediction, bool stem,
                         dele_arena *arena, dele_err *err)
{
    word_list t, p;
    int lcs = 0;
    *out = (dele_rouge){0};
    dele_status status = words_of(&t, target, stem, arena, err);
    if (!status) status = words_of(&p, prediction, stem, arena, err);
    if (!status) status = common_subsequence(&lcs, &t, &p, arena, err);
    if (status || lcs == 0) return status;
    out->precision = (double)lcs / (double)p.n;
    out->recall = (double)lcs / (double)t.n;
    out->f = 2 * out->precision * out->recall / (out->precision + out->recall);
    return DELE_OK;
}
