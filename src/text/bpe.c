/* Byte-pair encoding of one word: start from its smallest symbols and merge the adjacent pair of
 * the lowest rank (of equal ranks the leftmost) until no pair has a merge.
 *
 * Symbols are bytes under ByteLevel and characters otherwise; a character without a token falls
 * back to its bytes' tokens <0xNN> where all of them exist, else to the unknown token; a run of
 * unknown tokens becomes one if the tokenizer fuses them.
 *
 * For a short word all pairs are scanned for each merge.  For a long word (without a pre-tokenizer
 * the whole text is one word) the pairs are in a heap ordered by (rank, position), and the symbols
 * are a linked list.  A merge leaves stale entries in the heap.  A stale entry is recognised when
 * it is popped, because the pair at its position has changed.  n symbols cost O(n log n).
 *
 * Sennrich, Haddow, Birch 2016, arXiv 1508.07909. */
#include "text/encoder.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

enum { SHORT_WORD = 24, GONE = -2 };

typedef struct dele_symbol {
    int id, previous,
        next; /* neighbours by index, -1: none; id GONE: merged into its left neighbour */
} dele_symbol;

typedef struct dele_candidate {
    int rank, at, left, right, id;
} dele_candidate;

/* ---- symbols --------------------------------------------------------------------------------- */

static bool has_byte_tokens(const dele_tokenizer *t, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (t->byte_id[(unsigned char)text[i]] < 0) return false;
    return true;
}

static size_t symbols_of_bytes(dele_symbol *symbol, const dele_tokenizer *t, const char *text,
                               size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        int id = t->byte_id[(unsigned char)text[i]];
        if (id < 0) id = t->unk;
        if (id >= 0) symbol[count++].id = id;
    }
    return count;
}

/* A character with continuing_subword_prefix before it, unless it is the word's first, and
 * end_of_word_suffix after it, if it is the last.  *form is text itself where neither applies;
 * else it is in e->word. */
static dele_status character_form(dele_encoder *e, dele_text_span *form, const char *text, size_t n,
                                  bool first, bool last)
{
    const dele_text_span *before = &e->t->continuing, *after = &e->t->word_end;
    const size_t n_before = first ? 0 : before->n, n_after = last ? after->n : 0;
    *form = (dele_text_span){text, n};
    if (!n_before && !n_after) return DELE_OK;
    void *word = e->word;
    dele_status status =
        dele_encoder_reserve(&word, &e->cap_word, n_before + n + n_after, 1, e->err);
    e->word = word;
    if (status) return status;
    if (n_before) memcpy(e->word, before->text, n_before);
    memcpy(e->word + n_before, text, n);
    if (n_after) memcpy(e->word + n_before + n, after->text, n_after);
    *form = (dele_text_span){e->word, n_before + n + n_after};
    return DELE_OK;
}

static dele_status put_symbol(dele_encoder *e, size_t *count, int id)
{
    if (*count == e->cap_symbols) {
        void *symbol = e->symbol;
        dele_status status =
            dele_encoder_reserve(&symbol, &e->cap_symbols, *count + 1, sizeof *e->symbol, e->err);
        e->symbol = symbol;
        if (status) return status;
    }
    e->symbol[(*count)++].id = id;
    return DELE_OK;
}

/* The first symbols of a word whose vocabulary is of characters: a character's own token; else the
 * tokens of its bytes, where the vocabulary has them all; else the unknown token, once for a run of
 * such characters where fuse_unk says so.  An unknown token is pending until the next known
 * character emits it, as in the library: the tokens of bytes go before it. */
static dele_status symbols_of_characters(dele_encoder *e, size_t *count, const char *text, size_t n)
{
    const dele_tokenizer *t = e->t;
    bool unknown = false;
    dele_status status = DELE_OK;
    *count = 0;
    for (size_t i = 0, used; i < n && !status; i += used) {
        dele_text_span form;
        dele_utf8_next(text + i, n - i, &used);
        status = character_form(e, &form, text + i, used, i == 0, i + used == n);
        if (status) break;
        int id = dele_vocab_find(&t->vocab, t->token, form.text, form.n);
        if (id >= 0) {
            if (unknown) status = put_symbol(e, count, t->unk);
            unknown = false;
            if (!status) status = put_symbol(e, count, id);
        } else if (t->byte_fallback && has_byte_tokens(t, form.text, form.n)) {
            for (size_t b = 0; b < form.n && !status; b++)
                status = put_symbol(e, count, t->byte_id[(unsigned char)form.text[b]]);
        } else if (t->unk >= 0) {
            if (unknown && !t->fuse_unk) status = put_symbol(e, count, t->unk);
            unknown = true;
        }
    }
    if (unknown && !status) status = put_symbol(e, count, t->unk);
    return status;
}

/* ---- a short word ---------------------------------------------------------------------------- */

/* Scans all pairs for each merge: for few symbols quicker than a heap.  Returns their new number.
 */
static size_t merge_short(dele_symbol *symbol, size_t n, const dele_merges *merges)
{
    const dele_merge *of[SHORT_WORD];
    for (size_t i = 0; i + 1 < n; i++)
        of[i] = dele_merges_find(merges, symbol[i].id, symbol[i + 1].id);
    for (;;) {
        size_t best = 0;
        int rank = INT_MAX;
        for (size_t i = 0; i + 1 < n; i++)
            if (of[i] && of[i]->rank < rank) {
                rank = of[i]->rank;
                best = i;
            }
        if (rank == INT_MAX) return n;
        symbol[best].id = of[best]->id;
        n--;
        for (size_t i = best + 1; i < n; i++) symbol[i].id = symbol[i + 1].id;
        for (size_t i = best + 1; i + 1 < n; i++) of[i] = of[i + 1];
        if (best > 0) of[best - 1] = dele_merges_find(merges, symbol[best - 1].id, symbol[best].id);
        if (best + 1 < n) of[best] = dele_merges_find(merges, symbol[best].id, symbol[best + 1].id);
    }
}

/* ---- a long word ----------------------------------------------------------------------------- */

static bool sooner(const dele_candidate *a, const dele_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

/* Puts the pair that begins at a symbol into the heap, if the two have a merge. */
static dele_status heap_push(dele_encoder *e, int at)
{
    const dele_symbol *s = e->symbol;
    if (at < 0 || s[at].next < 0) return DELE_OK;
    int left = s[at].id, right = s[s[at].next].id;
    const dele_merge *merge = dele_merges_find(&e->t->merges, left, right);
    if (!merge) return DELE_OK;
    void *heap = e->heap;
    if (e->n_heap == e->cap_heap) {
        dele_status status =
            dele_encoder_reserve(&heap, &e->cap_heap, e->n_heap + 1, sizeof *e->heap, e->err);
        e->heap = heap;
        if (status) return status;
    }
    dele_candidate new = {merge->rank, at, left, right, merge->id};
    size_t i = e->n_heap++;
    for (; i && sooner(&new, &e->heap[(i - 1) / 2]); i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = new;
    return DELE_OK;
}

static dele_candidate heap_pop(dele_encoder *e)
{
    dele_candidate top = e->heap[0], last = e->heap[--e->n_heap];
    size_t i = 0, n = e->n_heap;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && sooner(&e->heap[child + 1], &e->heap[child])) child++;
        if (!sooner(&e->heap[child], &last)) break;
        e->heap[i] = e->heap[child];
    }
    e->heap[i] = last;
    return top;
}

/* Merges by rank with a heap of candidate pairs, in O(n log n).  The symbols are a linked list; a
 * candidate whose symbols have changed since it was pushed is stale and dropped. */
static dele_status merge_long(dele_encoder *e, size_t n)
{
    dele_symbol *s = e->symbol;
    dele_status status = DELE_OK;
    for (size_t i = 0; i < n; i++) {
        s[i].previous = (int)i - 1;
        s[i].next = i + 1 < n ? (int)i + 1 : -1;
    }
    e->n_heap = 0;
    for (size_t i = 0; i + 1 < n && !status; i++) status = heap_push(e, (int)i);
    while (e->n_heap && !status) {
        dele_candidate c = heap_pop(e);
        int right = s[c.at].next;
        if (s[c.at].id != c.left || right < 0 || s[right].id != c.right) continue; /* stale */
        s[c.at].id = c.id;
        s[c.at].next = s[right].next;
        if (s[right].next >= 0) s[s[right].next].previous = c.at;
        s[right].id = GONE;
        status = heap_push(e, s[c.at].previous);
        if (!status) status = heap_push(e, c.at);
    }
    return status;
}

/* ---- a word ---------------------------------------------------------------------------------- */

/* ignore_merges: the token that a word is as a whole, or -1. */
static dele_status whole_word(dele_encoder *e, int *id, const char *text, size_t n)
{
    const dele_tokenizer *t = e->t;
    *id = -1;
    if (n > t->longest) return DELE_OK; /* a written word is at least as long */
    if (!t->byte_level) {
        *id = dele_vocab_find(&t->vocab, t->token, text, n);
        return DELE_OK;
    }
    char small[512], *written = small;
    size_t length = 0;
    if (n > sizeof small / 2) {
        void *word = e->word;
        dele_status status = dele_encoder_reserve(&word, &e->cap_word, 2 * n, 1, e->err);
        written = e->word = word;
        if (status) return status;
    }
    for (size_t i = 0; i < n; i++)
        length += dele_utf8_put(written + length, dele_byte_to_char((unsigned char)text[i]));
    *id = dele_vocab_find(&t->vocab, t->token, written, length);
    return DELE_OK;
}

/* A whole word that is a token under ignore_merges, else its symbols, merged by the method for its
 * length. */
dele_status dele_bpe_word(dele_encoder *e, const char *text, size_t n)
{
    const dele_tokenizer *t = e->t;
    dele_status status = DELE_OK;
    if (!n) return DELE_OK;
    if (t->ignore_merges) {
        int id;
        status = whole_word(e, &id, text, n);
        if (status || id >= 0) return status ? status : dele_encoder_push(e, id);
    }
    if (n >= INT_MAX / 2)
        return dele_fail(e->err, DELE_ERR_DATA,
                         "a text of %zu bytes without a break is too long; split it", n);
    if (n + 1 > e->cap_symbols) {
        void *symbol = e->symbol;
        status = dele_encoder_reserve(&symbol, &e->cap_symbols, n + 1, sizeof *e->symbol, e->err);
        e->symbol = symbol;
        if (status) return status;
    }
    size_t count = 0;
    if (t->byte_level)
        count = symbols_of_bytes(e->symbol, t, text, n);
    else
        status = symbols_of_characters(e, &count, text, n);
    if (status) return status;
    if (count >= INT_MAX / 2)
        return dele_fail(e->err, DELE_ERR_DATA,
                         "a text of %zu bytes without a break is too long; split it", n);
    if (count <= SHORT_WORD) {
        count = merge_short(e->symbol, count, &t->merges);
        for (size_t i = 0; i < count && !status; i++)
            status = dele_encoder_push(e, e->symbol[i].id);
        return status;
    }
    status = merge_long(e, count);
    for (int i = 0; i >= 0 && !status; i = e->symbol[i].next)
        status = dele_encoder_push(e, e->symbol[i].id);
    return status;
}
