/* Converts a tokenizer to the metadata of a GGUF.
 *
 * A GGUF holds the vocabulary, a type for each token, the merges (or, for SentencePiece, scores), a
 * word for the pre-tokenizer, and a few ids; a tokenizer.json can express more.  So a second
 * tokenizer is built from the parts, and the two are compared in everything that determines the ids
 * of a text.  Only the flags of added tokens (lstrip, rstrip, single_word, normalized) are not
 * compared: no converter keeps them, and they matter only where a text holds such a token; a note
 * says so. */
#include "text/tokenizer_read.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "text/chat.h"
#include "text/encoder.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

static bool same_span(const dele_text_span *a, const dele_text_span *b)
{
    return a->n == b->n && (!a->n || !memcmp(a->text, b->text, a->n));
}

static bool same_text(const char *a, const char *b) { return a && b ? !strcmp(a, b) : a == b; }

/* ---- comparing two tokenizers ---------------------------------------------------------------- */

static bool same_tokens(const dele_tokenizer *a, const dele_tokenizer *b)
{
    if (a->size != b->size) return false;
    for (int i = 0; i < a->size; i++) {
        const dele_added *x = a->added_of[i], *y = b->added_of[i];
        if (!same_text(a->token[i].text, b->token[i].text) || !x != !y ||
            (x && x->special != y->special))
            return false;
    }
    return true;
}

static size_t count_merges(const dele_merges *m)
{
    size_t n = 0;
    for (size_t i = 0; i <= m->mask; i++) n += m->slot[i].key != DELE_NO_PAIR;
    return n;
}

static bool same_merges(const dele_merges *a, const dele_merges *b)
{
    for (size_t i = 0; i <= a->mask; i++) {
        const dele_merge *x = &a->slot[i];
        if (x->key == DELE_NO_PAIR) continue;
        const dele_merge *y = dele_merges_find(b, (int)(x->key >> 32), (int)(x->key & UINT32_MAX));
        if (!y || y->rank != x->rank || y->id != x->id) return false;
    }
    return count_merges(a) == count_merges(b);
}

/* Where the pattern matches everything, a split that keeps only its matches equals a split that
 * isolates them. */
static bool keeps_matches(const dele_pre_step *s)
{
    return s->invert ? s->behavior == DELE_SPLIT_BEHAVIOR_REMOVED
                     : s->behavior == DELE_SPLIT_BEHAVIOR_ISOLATED;
}

/* A split at blanks where the normalizer has replaced them all: it never splits, and a GGUF has no
 * word for it. */
static bool is_idle(const dele_tokenizer *t, const dele_pre_step *s)
{
    const dele_normalizer_step *last = t->n_norm ? &t->norm[t->n_norm - 1] : NULL;
    const bool replaced = last && last->kind == DELE_NORMALIZER_REPLACE && !last->regex &&
                          last->from.n == 1 && *last->from.text == ' ' &&
                          !memchr(last->to.text, ' ', last->to.n);
    return replaced && s->kind == DELE_PRE_REGEX && !s->invert && !strcmp(s->pattern, " ");
}

static int next_step(const dele_tokenizer *t, int i)
{
    while (i < t->n_pre && is_idle(t, &t->pre[i])) i++;
    return i;
}

static bool same_pretokenizer(const dele_tokenizer *a, const dele_tokenizer *b)
{
    if (a->byte_level != b->byte_level) return false;
    for (int i = 0, j = 0;; i++, j++) {
        i = next_step(a, i), j = next_step(b, j);
        if (i == a->n_pre || j == b->n_pre) return i == a->n_pre && j == b->n_pre;
        const dele_pre_step *x = &a->pre[i], *y = &b->pre[j];
        bool same = x->behavior == y->behavior && x->invert == y->invert;
        if (x->kind != y->kind || !same_text(x->pattern, y->pattern) ||
            x->in_class != y->in_class || x->delimiter != y->delimiter ||
            x->prefix_space != y->prefix_space || x->prepend != y->prepend ||
            x->split != y->split || !same_span(&x->replacement, &y->replacement) ||
            (!same && !(keeps_matches(x) && keeps_matches(y))))
            return false;
    }
}

static bool same_normalizer(const dele_tokenizer *a, const dele_tokenizer *b)
{
    if (a->n_norm != b->n_norm) return false;
    for (int i = 0; i < a->n_norm; i++)
        if (a->norm[i].kind != b->norm[i].kind || !same_span(&a->norm[i].from, &b->norm[i].from) ||
            !same_span(&a->norm[i].to, &b->norm[i].to) || a->norm[i].left != b->norm[i].left ||
            !a->norm[i].regex != !b->norm[i].regex || a->norm[i].right != b->norm[i].right)
            return false;
    return true;
}

static bool same_decoder(const dele_tokenizer *a, const dele_tokenizer *b)
{
    if (a->n_dec != b->n_dec || a->has_decoder != b->has_decoder) return false;
    for (int i = 0; i < a->n_dec; i++) {
        const dele_dec_step *x = &a->dec[i], *y = &b->dec[i];
        if (x->kind != y->kind || !same_span(&x->from, &y->from) || !same_span(&x->to, &y->to) ||
            x->start != y->start || x->stop != y->stop || x->first != y->first ||
            !x->regex != !y->regex)
            return false;
    }
    return true;
}

static bool knows_every_byte(const dele_tokenizer *t)
{
    for (int i = 0; i < 256; i++)
        if (t->byte_id[i] < 0) return false;
    return t->byte_level;
}

/* Irrelevant where every byte is a token: no character is unknown. */
static bool same_unknown(const dele_tokenizer *a, const dele_tokenizer *b)
{
    if (knows_every_byte(a)) return true;
    return a->unk == b->unk && a->byte_fallback == b->byte_fallback && a->fuse_unk == b->fuse_unk;
}

static bool same_template(const dele_tokenizer *a, const dele_tokenizer *b)
{
    return a->n_prefix == b->n_prefix && a->n_suffix == b->n_suffix &&
           !memcmp(a->prefix, b->prefix, (size_t)a->n_prefix * sizeof *a->prefix) &&
           !memcmp(a->suffix, b->suffix, (size_t)a->n_suffix * sizeof *a->suffix);
}

/* Metaspace in the form that transformers 5 gives SentencePiece tokenizers: the text is one word,
 * in which blanks are replaced.  A GGUF has the same replacement. */
static const dele_pre_step *whole_metaspace(const dele_tokenizer *t)
{
    const dele_pre_step *s = t->n_norm == 0 && t->n_pre == 1 ? &t->pre[0] : NULL;
    return s && s->kind == DELE_PRE_METASPACE && !s->split && s->replacement.n == 3 &&
                   !memcmp(s->replacement.text, "\u2581", 3)
               ? s
               : NULL;
}

/* It also puts a blank before a text that has none, where a GGUF knows only a blank before every
 * text (metaspace_note). */
static bool prepends_by_metaspace(const dele_tokenizer *t)
{
    const dele_pre_step *s = whole_metaspace(t);
    return s && s->prepend != DELE_PREPEND_NEVER;
}

/* The name of the first difference; NULL: none. */
static const char *difference(const dele_tokenizer *a, const dele_tokenizer *b)
{
    if (!same_tokens(a, b)) return "vocabulary";
    if (a->model != b->model) return "model";
    if (!same_span(&a->continuing, &b->continuing) || !same_span(&a->word_end, &b->word_end))
        return "prefix or suffix of symbols";
    if (!same_merges(&a->merges, &b->merges) || a->ignore_merges != b->ignore_merges)
        return "list of merges";
    const bool metaspace = whole_metaspace(a) != NULL;
    if (!metaspace && !same_normalizer(a, b)) return "normalizer";
    if (!metaspace && !same_pretokenizer(a, b)) return "pre-tokenizer";
    if (!same_template(a, b)) return "post-processor";
    if (!same_decoder(a, b)) return "decoder";
    return same_unknown(a, b) ? NULL : "treatment of unknown characters";
}

/* ---- the parts ------------------------------------------------------------------------------- */

static int type_of(const dele_tokenizer *t, int id)
{
    const dele_added *added = t->added_of[id];
    if (added) return added->special ? DELE_TOKEN_CONTROL : DELE_TOKEN_USER_DEFINED;
    for (int b = 0; t->byte_fallback && b < 256; b++)
        if (t->byte_id[b] == id) return DELE_TOKEN_BYTE;
    return DELE_TOKEN_NORMAL;
}

static dele_status fill_tokens(dele_tokenizer_parts *p, const dele_tokenizer *t, dele_arena *arena,
                               dele_err *err)
{
    const char **token = DELE_NEW(arena, const char *, p->n_tokens, err);
    int *type = DELE_NEW(arena, int, p->n_tokens, err);
    if (!token || !type) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < p->n_tokens; i++) {
        const char *text = i < (size_t)t->size ? t->token[i].text : NULL;
        token[i] = text ? text : dele_printf(arena, err, "[PAD%zu]", i);
        type[i] = text ? type_of(t, (int)i) : DELE_TOKEN_UNUSED;
        if (!token[i]) return DELE_ERR_MEMORY;
    }
    p->tokens = token;
    p->types = type;
    return DELE_OK;
}

/* The merges by rank, as "left right". */
static dele_status fill_merges(dele_tokenizer_parts *p, const dele_tokenizer *t, dele_arena *arena,
                               dele_err *err)
{
    const dele_merges *m = &t->merges;
    size_t n = 0;
    for (size_t i = 0; i <= m->mask; i++)
        if (m->slot[i].key != DELE_NO_PAIR && (size_t)m->slot[i].rank >= n)
            n = (size_t)m->slot[i].rank + 1;
    const char **merge = DELE_NEW(arena, const char *, n + 1, err);
    if (!merge) return DELE_ERR_MEMORY;
    for (size_t i = 0; i <= m->mask; i++) {
        const dele_merge *x = &m->slot[i];
        if (x->key == DELE_NO_PAIR) continue;
        const char *left = t->token[x->key >> 32].text, *right = t->token[x->key & UINT32_MAX].text;
        if (!(merge[x->rank] = dele_printf(arena, err, "%s %s", left, right)))
            return DELE_ERR_MEMORY;
    }
    for (size_t i = 0; i < n; i++)
        if (merge[i]) merge[p->n_merges++] = merge[i]; /* a pair that appeared twice left a gap */
    p->merges = merge;
    return DELE_OK;
}

/* The token that each merge makes, by rank [n_ranks] (-1: a pair that appeared twice left a gap),
 * and the highest rank of the merges that make each token [size]. */
static dele_status merges_by_rank(int **made, int **last, size_t *n_ranks, const dele_tokenizer *t,
                                  dele_arena *arena, dele_err *err)
{
    const dele_merges *m = &t->merges;
    *n_ranks = 0;
    for (size_t i = 0; i <= m->mask; i++)
        if (m->slot[i].key != DELE_NO_PAIR && (size_t)m->slot[i].rank >= *n_ranks)
            *n_ranks = (size_t)m->slot[i].rank + 1;
    *made = DELE_NEW(arena, int, *n_ranks + 1, err);
    *last = DELE_NEW(arena, int, (size_t)t->size + 1, err);
    if (!*made || !*last) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < *n_ranks; i++) (*made)[i] = -1;
    for (size_t i = 0; i <= m->mask; i++) {
        const dele_merge *x = &m->slot[i];
        if (x->key == DELE_NO_PAIR) continue;
        (*made)[x->rank] = (int)x->id;
        if (x->rank > (*last)[x->id]) (*last)[x->id] = x->rank;
    }
    return DELE_OK;
}

/* SentencePiece merges by the score of the merged token: here minus a rank.  Tokens whose merges
 * lie among one another's (as those of Gemma's runs of blanks, which have one score in its own
 * file) get the same score, minus the lowest rank of them all: between equals the longer left part
 * is first, and a tokenizer built from the parts shows whether that was the order (check). */
static dele_status fill_scores(dele_tokenizer_parts *p, const dele_tokenizer *t, dele_arena *arena,
                               dele_err *err)
{
    int *made, *last;
    size_t n_ranks, begin = 0, end = 0; /* of the ranks with the present score: [begin, end) */
    if (merges_by_rank(&made, &last, &n_ranks, t, arena, err)) return DELE_ERR_MEMORY;
    float *score = DELE_NEW(arena, float, p->n_tokens, err);
    if (!score) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < p->n_tokens; i++)
        score[i] = p->types[i] == DELE_TOKEN_NORMAL ? -(float)(n_ranks + 1) : 0;
    for (size_t rank = 0; rank < n_ranks; rank++) {
        if (made[rank] < 0) continue;
        if (rank >= end) begin = rank;
        if ((size_t)last[made[rank]] >= end) end = (size_t)last[made[rank]] + 1;
        score[made[rank]] = -(float)begin;
    }
    p->scores = score;
    return DELE_OK;
}

static const char *pre_name_of(const dele_tokenizer *t)
{
    bool nfc = t->n_norm > 0 && t->norm[0].kind == DELE_NORMALIZER_NFC, digits = false;
    const char *pattern = NULL;
    for (int i = 0; i < t->n_pre; i++) {
        const char *theirs = t->pre[i].pattern;
        if (t->pre[i].in_class == dele_is_numeric)
            digits = true;
        else if (theirs && i < t->n_pre - 1)
            pattern = theirs; /* the last step is ByteLevel, with a pattern or without */
    }
    return dele_pre_name(digits, nfc, t->ignore_merges, pattern);
}

static dele_status refuse_in_gguf(const dele_tokenizer *t, const char *what, dele_err *err)
{
    return dele_fail(err, DELE_ERR_UNSUPPORTED,
                     "%s: the %s of this tokenizer cannot be expressed in a GGUF; leave the "
                     "tokenizer out (--no-tokenizer)",
                     t->path ? t->path : "the tokenizer", what);
}

/* Whether tokens are written in ByteLevel's alphabet.  A vocabulary that lacks some bytes is too.
 */
static bool writes_bytes(const dele_tokenizer *t)
{
    const dele_pre_step *last = t->n_pre ? &t->pre[t->n_pre - 1] : NULL;
    return t->byte_level || (last && last->kind == DELE_PRE_BYTE_LEVEL);
}

/* The parts of a tokenizer that was read from a file; what they cannot express is found by building
 * a tokenizer from them (check). */
static dele_status from_file(dele_tokenizer_parts *p, const dele_tokenizer *t, dele_arena *arena,
                             dele_err *err)
{
    const bool bpe = writes_bytes(t);
    if (t->model == DELE_MODEL_UNIGRAM) return refuse_in_gguf(t, "Unigram model", err);
    p->kind = bpe ? "gpt2" : "llama";
    p->bos = t->bos >= 0 || !t->n_prefix ? t->bos : t->prefix[0];
    p->eos = t->eos;
    p->unk = bpe ? -1 : t->unk;
    p->pad = -1;
    p->add_bos = t->n_prefix > 0;
    p->add_eos =
        t->n_suffix > 0; /* dele_tokenizer_build must give the same added tokens, such as a BOS */
    p->add_space_prefix = !bpe && (prepends_by_metaspace(t) ||
                                   (t->n_norm > 0 && t->norm[0].kind == DELE_NORMALIZER_PREPEND));
    if (bpe && !(p->pre = pre_name_of(t))) return refuse_in_gguf(t, "pre-tokenizer", err);
    if (!bpe && (p->bos < 0 || p->eos < 0))
        return refuse_in_gguf(t, "lack of a begin or end token", err);
    dele_status status = fill_tokens(p, t, arena, err);
    if (!status) status = bpe ? fill_merges(p, t, arena, err) : fill_scores(p, t, arena, err);
    bool some;
    if (!status && t->path) status = dele_chat_template(&p->chat_template, &some, t, arena, err);
    return status;
}

/* The existing parts, padded with unused tokens. */
static dele_status from_parts(dele_tokenizer_parts *p, const dele_tokenizer *t, dele_arena *arena,
                              dele_err *err)
{
    const size_t n = p->n_tokens, known = t->parts.n_tokens;
    *p = t->parts;
    p->n_tokens = known;
    if (n <= known) return DELE_OK;
    const char **token = DELE_NEW(arena, const char *, n, err);
    int *type = DELE_NEW(arena, int, n, err);
    float *score = p->scores ? DELE_NEW(arena, float, n, err) : NULL;
    if (!token || !type || (p->scores && !score)) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        token[i] = i < known ? p->tokens[i] : dele_printf(arena, err, "[PAD%zu]", i);
        type[i] = i >= known ? DELE_TOKEN_UNUSED : p->types ? p->types[i] : DELE_TOKEN_NORMAL;
        if (score && i < known) score[i] = p->scores[i];
        if (!token[i]) return DELE_ERR_MEMORY;
    }
    p->tokens = token, p->types = type, p->scores = score, p->n_tokens = n;
    return DELE_OK;
}

static const char *flags_note(const dele_tokenizer *t, dele_arena *arena, dele_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_added; i++) {
        const dele_added *a = &t->added[i];
        n += a->lstrip || a->rstrip || a->single_word ||
             (a->normalized && !same_span(&a->content, &a->pattern));
    }
    if (!n) return NULL;
    return dele_printf(
        arena, err,
        "%zu of %zu added tokens have flags (lstrip, rstrip, single_word, normalized) that a "
        "GGUF cannot express: a text that holds such a token may be encoded differently",
        n, t->n_added);
}

static const char *metaspace_note(const dele_tokenizer *t)
{
    if (!prepends_by_metaspace(t)) return NULL;
    return "the tokenizer puts a blank before a text that begins with none, and a GGUF before "
           "every "
           "text and after every special token: a text that begins with a blank, and what follows "
           "a "
           "special token, may be encoded differently";
}

static dele_status check(const dele_tokenizer_parts *p, const dele_tokenizer *t, dele_err *err)
{
    dele_arena scratch = {0};
    dele_tokenizer *again = dele_tokenizer_build(p, &scratch, err);
    const char *what = again ? difference(t, again) : NULL;
    dele_tokenizer_close(again);
    dele_arena_release(&scratch);
    return !again ? DELE_ERR_UNSUPPORTED : what ? refuse_in_gguf(t, what, err) : DELE_OK;
}

dele_status dele_tokenizer_parts_of(dele_tokenizer_parts *parts, const char **note,
                                    const dele_tokenizer *t, int n_tokens, dele_arena *arena,
                                    dele_err *err)
{
    *parts = (dele_tokenizer_parts){.n_tokens = (size_t)(n_tokens > t->size ? n_tokens : t->size)};
    *note = NULL;
    if (t->parts.kind) return from_parts(parts, t, arena, err);
    dele_status status = from_file(parts, t, arena, err);
    if (!status) status = check(parts, t, err);
    const char *metaspace = metaspace_note(t), *flags = status ? NULL : flags_note(t, arena, err);
    *note = metaspace && flags ? dele_printf(arena, err, "%s; %s", metaspace, flags)
            : metaspace        ? metaspace
                               : flags;
    return status;
}
