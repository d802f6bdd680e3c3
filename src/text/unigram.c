/* The Unigram model: of all ways to divide a word into tokens, the one with the largest sum of
 * scores (their log probabilities), found by Viterbi's algorithm in time linear in the word.
 *
 * A character without a token of its own counts as the unknown token, with the lowest score of the
 * vocabulary minus 10.  Neighbouring unknown tokens become one, or, under byte_fallback, the tokens
 * of their bytes, where the vocabulary has them all.  Of equal sums the first found remains, which
 * is the one whose last token is longest.
 *
 * Kudo 2018, arXiv 1804.10959; the library's encode_optimized. */
#include "text/encoder.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

#define UNKNOWN_PENALTY 10.0

/* The best path to a byte of the word: its sum, and its last token, which begins at `from`. */
typedef struct dele_path {
    double sum;
    int id, from; /* from -1: there is none yet */
} dele_path;

/* ---- the trie -------------------------------------------------------------------------------- */

static void insert(dele_unigram *u, const dele_text_span *token, int id)
{
    int node = 0;
    for (size_t i = 0; i < token->n; i++) {
        const int byte = (unsigned char)token->text[i];
        const dele_merge *edge = dele_merges_find(&u->edges, node, byte);
        if (edge) {
            node = edge->id;
            continue;
        }
        dele_merges_add(&u->edges, node, byte, 0, u->n_nodes);
        node = u->n_nodes++;
        u->token[node] = -1;
    }
    u->token[node] = id;
}

dele_status dele_unigram_init(dele_tokenizer *t, int n, dele_arena *arena, dele_err *err)
{
    dele_unigram *u = &t->unigram;
    size_t bytes = 0;
    double lowest = 0;
    for (int i = 0; i < n; i++) {
        bytes += t->token[i].n;
        if (i == 0 || u->score[i] < lowest) lowest = u->score[i];
    }
    if (bytes >= INT_MAX)
        return dele_fail(err, DELE_ERR_FORMAT, "a vocabulary of %zu bytes is too large", bytes);
    u->unknown_score = lowest - UNKNOWN_PENALTY;
    u->token = DELE_NEW(arena, int, bytes + 1, err);
    if (!u->token || dele_merges_init(&u->edges, bytes + 1, arena, err)) return DELE_ERR_MEMORY;
    u->token[0] = -1;
    u->n_nodes = 1;
    for (int i = 0; i < n; i++) /* of equal tokens the last counts, as in the library */
        if (t->token[i].n) insert(u, &t->token[i], i);
    return DELE_OK;
}

/* ---- the best path --------------------------------------------------------------------------- */

static void relax(dele_path *to, double sum, int id, size_t from)
{
    if (to->from >= 0 && !(sum > to->sum)) return;
    *to = (dele_path){sum, id, (int)from};
}

/* Viterbi's forward pass: for each place of the word, the best path that ends there.  Tokens begin
 * at characters and end at characters, so every place between two characters has a path. */
static dele_status find_path(dele_encoder *e, const char *text, size_t n)
{
    const dele_tokenizer *t = e->t;
    const dele_unigram *u = &t->unigram;
    dele_path *path = e->path;
    for (size_t i = 0; i <= n; i++) path[i] = (dele_path){0, 0, -1};
    for (size_t at = 0, used; at < n; at += used) {
        const double sum = path[at].sum;
        const dele_merge *edge;
        bool single = false;
        dele_utf8_next(text + at, n - at, &used);
        int node = 0;
        for (size_t i = at; i < n; i++) {
            edge = dele_merges_find(&u->edges, node, (unsigned char)text[i]);
            if (!edge) break;
            node = edge->id;
            const int id = u->token[node];
            if (id < 0) continue;
            relax(&path[i + 1], sum + u->score[id], id, at);
            single = single || i + 1 == at + used;
        }
        if (single) continue;
        if (t->unk < 0)
            return dele_fail(e->err, DELE_ERR_DATA,
                             "a text has the character \"%.*s\", which has no token, and the "
                             "tokenizer has no unknown token",
                             (int)used, text + at);
        relax(&path[at + used], sum + u->unknown_score, t->unk, at);
    }
    return DELE_OK;
}

/* The tokens of a run of unknown characters. */
static dele_status push_unknown(dele_encoder *e, const char *text, size_t n)
{
    const dele_tokenizer *t = e->t;
    const int whole = dele_vocab_find(&t->vocab, t->token, text, n);
    bool bytes = t->byte_fallback && whole < 0;
    for (size_t i = 0; i < n && bytes; i++) bytes = t->byte_id[(unsigned char)text[i]] >= 0;
    if (!bytes) return dele_encoder_push(e, whole >= 0 ? whole : t->unk);
    dele_status status = DELE_OK;
    for (size_t i = 0; i < n && !status; i++)
        status = dele_encoder_push(e, t->byte_id[(unsigned char)text[i]]);
    return status;
}

/* The path back from the word's end is turned around in place: each node then says where its token
 * ends. */
static void turn_path(dele_path *path, size_t n)
{
    for (int at = (int)n, end = -1, id = -1; at >= 0;) {
        const dele_path here = path[at];
        path[at] = (dele_path){0, id, end};
        end = at;
        id = here.id;
        at = at ? here.from : -1;
    }
}

/* The best path's tokens in order.  Neighbouring unknown tokens are one (push_unknown). */
dele_status dele_unigram_word(dele_encoder *e, const char *text, size_t n)
{
    const dele_tokenizer *t = e->t;
    if (n >= INT_MAX / 2)
        return dele_fail(e->err, DELE_ERR_DATA,
                         "a text of %zu bytes without a break is too long; split it", n);
    void *path = e->path;
    dele_status status = dele_encoder_reserve(&path, &e->cap_path, n + 1, sizeof *e->path, e->err);
    e->path = path;
    if (!status) status = find_path(e, text, n);
    if (status) return status;
    turn_path(e->path, n);
    for (size_t at = 0, end; at < n && !status; at = end) {
        const int id = e->path[at].id;
        end = (size_t)e->path[at].from;
        if (id != t->unk) {
            status = dele_encoder_push(e, id);
            continue;
        }
        while (end < n && e->path[end].id == t->unk) end = (size_t)e->path[end].from;
        status = push_unknown(e, text + at, end - at);
    }
    return status;
}
