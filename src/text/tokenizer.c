/* Encoding a text, and look-ups in the vocabulary.
 *
 * A tokenizer is not changed after loading, so that any number of threads may encode with it; each
 * call has its own scratch memory (dele_encoder). */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "text/encoder.h"

static dele_status encode_normalized(dele_encoder *e, const char *text, size_t n, dele_place place)
{
    return dele_pretokenize(e, 0, text, n, place);
}

static dele_status encode_raw(dele_encoder *e, const char *text, size_t n, dele_place place)
{
    dele_text_span made;
    dele_status status = dele_normalize(&made, e->t, text, n, &place, e->arena, e->err);
    return status ? status
                  : dele_added_split(e, &e->t->normalized, made.text, made.n, place,
                                     encode_normalized);
}

/* No model was trained on two BOS in a row. */
static bool begins_with_bos(const dele_tokenizer *t, const char *text, size_t n)
{
    const int bos = t->bos >= 0 || !t->n_prefix ? t->bos : t->prefix[0];
    const dele_text_span *token = bos >= 0 && bos < t->size ? &t->token[bos] : NULL;
    return token && token->n && token->n <= n && !memcmp(text, token->text, token->n);
}

static dele_status encode(dele_encoder *e, const char *text, size_t n, dele_encode_part part)
{
    const dele_tokenizer *t = e->t;
    const bool alone = begins_with_bos(t, text, n); /* then the post-processor adds nothing */
    const bool before = !alone && (part == DELE_ENCODE_WHOLE || part == DELE_ENCODE_BEGIN);
    const bool after = !alone && part == DELE_ENCODE_WHOLE;
    dele_status status = DELE_OK;
    const dele_place place =
        part == DELE_ENCODE_MIDDLE ? DELE_PLACE_CONTINUATION : DELE_PLACE_BEGIN;
    for (int i = 0; before && i < t->n_prefix && !status; i++)
        status = dele_encoder_push(e, t->prefix[i]);
    if (!status) status = dele_added_split(e, &t->raw, text, n, place, encode_raw);
    for (int i = 0; after && i < t->n_suffix && !status; i++)
        status = dele_encoder_push(e, t->suffix[i]);
    return status;
}

dele_status dele_encode(dele_ids *out, const dele_tokenizer *t, const char *text, size_t n,
                        bool add_special, dele_arena *arena, dele_err *err)
{
    return dele_encode_as(out, t, text, n, add_special ? DELE_ENCODE_WHOLE : DELE_ENCODE_BARE,
                          arena, err);
}

dele_status dele_encode_as(dele_ids *out, const dele_tokenizer *t, const char *text, size_t n,
                           dele_encode_part part, dele_arena *arena, dele_err *err)
{
    dele_err own = {0};
    *out = (dele_ids){0};
    if (!err) err = &own;
    if (!dele_utf8_valid(text, n))
        return dele_fail(err, DELE_ERR_DATA, "a text to tokenise is not valid UTF-8: \"%.*s\"",
                         n < 40 ? (int)n : 40, text);

    dele_arena normalised = {.limit = arena->limit};
    dele_encoder e = {
        .t = t, .err = err, .match = pcre2_match_data_create(16, NULL), .arena = &normalised};
    dele_status status = e.match
                             ? encode(&e, text, n, part)
                             : dele_fail(err, DELE_ERR_MEMORY,
                                         "out of memory while tokenising a text of %zu bytes", n);
    if (!status) {
        out->id = dele_alloc_raw(arena, e.n ? e.n : 1, sizeof *out->id, err);
        status = out->id ? DELE_OK : DELE_ERR_MEMORY;
    }
    if (!status) {
        if (e.n) memcpy(out->id, e.id, e.n * sizeof *out->id);
        out->n = e.n;
    }
    free(e.id);
    free(e.symbol);
    free(e.heap);
    free(e.path);
    free(e.word);
    pcre2_match_data_free(e.match);
    dele_arena_release(&normalised);
    return status;
}

void dele_tokenizer_close(dele_tokenizer *t)
{
    for (int i = 0; t && i < DELE_MAX_STEPS; i++) {
        pcre2_code_free(t->norm[i].regex);
        pcre2_code_free(t->pre[i].regex);
        pcre2_code_free(t->dec[i].regex);
        t->norm[i].regex = t->pre[i].regex = t->dec[i].regex = NULL;
    }
}

bool dele_token_is_special(const dele_tokenizer *t, int id)
{
    if (id < 0 || id >= t->size) return false;
    if ((t->added_of[id] && t->added_of[id]->special) || id == t->bos || id == t->eos) return true;
    for (int i = 0; i < t->n_prefix; i++)
        if (t->prefix[i] == id) return true;
    for (int i = 0; i < t->n_suffix; i++)
        if (t->suffix[i] == id) return true;
    return false;
}

void dele_tokenizer_limit(dele_tokenizer *t, int n)
{
    if (t->size <= n) return;
    dele_added_limit(&t->raw, n);
    dele_added_limit(&t->normalized, n);
    for (size_t i = 0; i < t->n_added; i++) {
        dele_added *a = &t->added[i];
        if (!a->beside || a->id < n) continue;
        t->token[a->id] = (dele_text_span){0};
        t->added_of[a->id] = NULL;
        a->content = a->pattern = (dele_text_span){"", 0};
        a->id = -1;
    }
    while (t->size > n && !t->token[t->size - 1].text) t->size--;
    if (t->bos >= t->size) t->bos = -1;
    if (t->eos >= t->size) t->eos = -1;
}

int dele_tokenizer_size(const dele_tokenizer *t) { return t->size; }

int dele_token_id(const dele_tokenizer *t, const char *token)
{
    size_t n = strlen(token);
    for (size_t i = 0; i < t->n_added; i++)
        if (t->added[i].content.n == n && !memcmp(t->added[i].content.text, token, n))
            return t->added[i].id;
    return dele_vocab_find(&t->vocab, t->token, token, n);
}

bool dele_tokenizer_same_ids(const dele_tokenizer *a, const dele_tokenizer *b)
{
    if (a == b) return true;
    if (a->size != b->size) return false;
    for (int i = 0; i < a->size; i++) {
        const dele_text_span *x = &a->token[i], *y = &b->token[i];
        if (!x->text != !y->text) return false;
        if (x->text && (x->n != y->n || memcmp(x->text, y->text, x->n))) return false;
    }
    return true;
}

int dele_tokenizer_eos(const dele_tokenizer *t) { return t->eos; }
int dele_tokenizer_bos(const dele_tokenizer *t) { return t->bos; }

void dele_tokenizer_set_ids(dele_tokenizer *t, int bos, int eos)
{
    t->bos = bos;
    t->eos = eos;
}
