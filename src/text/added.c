/* Added tokens: strings that are one token wherever they occur.  They are matched before the
 * pre-tokenizer runs.
 *
 * Matching has two passes.  The first matches tokens with normalized = false in the original text.
 * The second matches tokens with normalized = true in the normalised text between them; the content
 * of these tokens is normalised by the same rules.  Of several matches the leftmost is taken, and
 * of those the longest: a run of seven blanks is the token for seven blanks.
 *
 * lstrip and rstrip extend a match over the blanks beside it.  single_word allows a match only
 * where no word character is next to it. */
#include "text/encoder.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

/* Lexicographic order, a prefix before its extensions; of equal strings (normalised, two tokens may
 * be one) the special one first, then by id: the order in which the library adds them. */
static int by_text(const void *pa, const void *pb)
{
    const dele_added *x = *(const dele_added *const *)pa, *y = *(const dele_added *const *)pb;
    const dele_text_span *a = &x->pattern, *b = &y->pattern;
    int difference = memcmp(a->text, b->text, a->n < b->n ? a->n : b->n);
    if (difference) return difference;
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    if (x->special != y->special) return x->special ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* The index of the first token for each first byte, in a sorted set. */
static void set_firsts(dele_added_set *set)
{
    for (size_t i = 0, b = 0; b <= 256; b++) {
        while (i < set->n && (unsigned char)set->token[i]->pattern.text[0] < b) i++;
        set->first[b] = i;
    }
}

dele_status dele_added_index(dele_added_set *set, const dele_tokenizer *t, bool normalized,
                             dele_arena *arena, dele_err *err)
{
    set->n = 0;
    set->token = DELE_NEW(arena, const dele_added *, t->n_added + 1, err);
    if (!set->token) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < t->n_added; i++)
        if (t->added[i].normalized == normalized && t->added[i].pattern.n)
            set->token[set->n++] = &t->added[i];
    if (set->n) qsort(set->token, set->n, sizeof *set->token, by_text);
    set_firsts(set);
    return DELE_OK;
}

void dele_added_limit(dele_added_set *set, int n)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->n; i++)
        if (!set->token[i]->beside || set->token[i]->id < n) set->token[kept++] = set->token[i];
    set->n = kept;
    set_firsts(set);
}

/* The first of token[low, high), all alike up to byte k and longer, whose byte k is at least b. */
static size_t first_from(const dele_added_set *set, size_t low, size_t high, size_t k, unsigned b)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)set->token[middle]->pattern.text[k] < b)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that is a prefix of the text.  The tokens that share the text's first k bytes
 * are a range of the sorted set, and each further byte narrows it: at most one binary search for
 * each byte. */
static const dele_added *match_at(const dele_added_set *set, const char *text, size_t n)
{
    unsigned char b = (unsigned char)text[0];
    size_t low = set->first[b], high = set->first[b + 1];
    const dele_added *best = NULL;
    for (size_t k = 1; low < high; k++) {
        if (set->token[low]->pattern.n == k) best = set->token[low];
        while (low < high && set->token[low]->pattern.n == k) low++;
        if (k == n) break;
        low = first_from(set, low, high, k, (unsigned char)text[k]);
        high = first_from(set, low, high, k, (unsigned char)text[k] + 1u);
    }
    return best;
}

static size_t character_before(const char *text, size_t at)
{
    while (at && (text[at - 1] & 0xc0) == 0x80) at--;
    return at ? at - 1 : 0;
}

static bool touches_a_word(const char *text, size_t n, size_t start, size_t stop)
{
    size_t used;
    if (start) {
        size_t before = character_before(text, start);
        if (dele_is_word(dele_utf8_next(text + before, start - before, &used))) return true;
    }
    return stop < n && dele_is_word(dele_utf8_next(text + stop, n - stop, &used));
}

static size_t blanks_before(const char *text, size_t at, size_t not_before)
{
    while (at > not_before) {
        size_t used, before = character_before(text, at);
        if (!dele_is_space(dele_utf8_next(text + before, at - before, &used))) break;
        at = before;
    }
    return at;
}

static size_t blanks_after(const char *text, size_t n, size_t at)
{
    for (size_t used; at < n && dele_is_space(dele_utf8_next(text + at, n - at, &used));)
        at += used;
    return at;
}

dele_status dele_added_split(dele_encoder *e, const dele_added_set *set, const char *text, size_t n,
                             dele_place place,
                             dele_status (*between)(dele_encoder *, const char *, size_t,
                                                    dele_place))
{
    dele_status status = DELE_OK;
    size_t done = 0, at = 0;
    if (!set->n) return n ? between(e, text, n, place) : DELE_OK;
    while (at < n && !status) {
        const dele_added *token = match_at(set, text + at, n - at);
        if (!token) {
            at++;
            continue;
        }
        size_t start = at, stop = at + token->pattern.n;
        at = stop; /* the search resumes after the match itself, with or without its blanks */
        if (token->single_word && touches_a_word(text, n, start, stop)) continue;
        if (token->lstrip) start = blanks_before(text, start, done < start ? done : start);
        if (token->rstrip) stop = blanks_after(text, n, stop);
        if (done < start)
            status = between(e, text + done, start - done, done ? DELE_PLACE_WITHIN : place);
        if (!status) status = dele_encoder_push(e, token->id);
        done = stop;
    }
    if (!status && done < n)
        status = between(e, text + done, n - done, done ? DELE_PLACE_WITHIN : place);
    return status;
}
