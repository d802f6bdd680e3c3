/* A text's way through the tokenizer, and small questions about its vocabulary.
 *
 * Nothing here is written after loading, so that any number of threads may encode with one tokenizer; each call
 * brings its own scratch (lac_encoder). */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "text/tokenizer_inner.h"

lac_status lac_encoder_reserve(void **array, size_t *cap, size_t n, size_t size, lac_err *err)
{
    size_t wanted = *cap ? *cap : 256;
    while (wanted < n) wanted *= 2;
    if (wanted == *cap) return LAC_OK;
    void *fresh = wanted > SIZE_MAX / size ? NULL : realloc(*array, wanted * size);
    if (!fresh) return lac_fail(err, LAC_ERR_MEMORY, "no memory left to tokenise: %zu items of %zu bytes", wanted, size);
    *array = fresh;
    *cap = wanted;
    return LAC_OK;
}

lac_status lac_encoder_push(lac_encoder *e, int id)
{
    if (e->n == e->cap) {
        void *array = e->id;
        lac_status status = lac_encoder_reserve(&array, &e->cap, e->n + 1, sizeof *e->id, e->err);
        e->id = array;
        if (status) return status;
    }
    e->id[e->n++] = id;
    return LAC_OK;
}

static lac_status encode_normalized(lac_encoder *e, const char *text, size_t n, void *unused)
{
    (void)unused;
    return lac_pretokenize(e, 0, text, n);
}

static lac_status encode_raw(lac_encoder *e, const char *text, size_t n, void *arena)
{
    lac_span made;
    lac_status status = lac_normalize(&made, e->t, text, n, arena, e->err);
    return status ? status : lac_added_split(e, &e->t->normalized, made.text, made.n, encode_normalized, NULL);
}

static lac_status encode(lac_encoder *e, const char *text, size_t n, bool add_special, lac_arena *arena)
{
    const lac_tokenizer *t = e->t;
    lac_status status = LAC_OK;
    for (int i = 0; add_special && i < t->n_prefix && !status; i++) status = lac_encoder_push(e, t->prefix[i]);
    if (!status) status = lac_added_split(e, &t->raw, text, n, encode_raw, arena);
    for (int i = 0; add_special && i < t->n_suffix && !status; i++) status = lac_encoder_push(e, t->suffix[i]);
    return status;
}

lac_status lac_encode(lac_ids *out, const lac_tokenizer *t, const char *text, size_t n, bool add_special,
                      lac_arena *arena, lac_err *err)
{
    lac_err own = {0};
    *out = (lac_ids){0};
    if (!err) err = &own;
    if (!lac_utf8_valid(text, n))
        return lac_fail(err, LAC_ERR_DATA, "a text to tokenise is not valid UTF-8: \"%.*s\"", n < 40 ? (int)n : 40, text);

    lac_arena normalised = {.limit = arena->limit};
    lac_encoder e = {.t = t, .err = err, .match = pcre2_match_data_create(16, NULL)};
    lac_status status = e.match ? encode(&e, text, n, add_special, &normalised)
                                : lac_fail(err, LAC_ERR_MEMORY, "no memory left to tokenise a text of %zu bytes", n);
    if (!status) {
        out->id = lac_alloc_raw(arena, e.n ? e.n : 1, sizeof *out->id, err);
        status = out->id ? LAC_OK : LAC_ERR_MEMORY;
    }
    if (!status) {
        if (e.n) memcpy(out->id, e.id, e.n * sizeof *out->id);
        out->n = e.n;
    }
    free(e.id);
    free(e.symbol);
    free(e.heap);
    pcre2_match_data_free(e.match);
    lac_arena_release(&normalised);
    return status;
}

void lac_tokenizer_close(lac_tokenizer *t)
{
    for (int i = 0; t && i < t->n_pre; i++) {
        pcre2_code_free(t->pre[i].regex);
        t->pre[i].regex = NULL;
    }
}

int lac_tokenizer_size(const lac_tokenizer *t) { return t->size; }

int lac_token_id(const lac_tokenizer *t, const char *token)
{
    size_t n = strlen(token);
    for (size_t i = 0; i < t->n_added; i++)
        if (t->added[i].content.n == n && !memcmp(t->added[i].content.text, token, n)) return t->added[i].id;
    return lac_vocab_find(&t->vocab, t->token, token, n);
}

const char *lac_token_text(const lac_tokenizer *t, int id)
{
    return id >= 0 && id < t->size ? t->token[id].text : NULL;
}

int lac_tokenizer_eos(const lac_tokenizer *t) { return t->eos; }
int lac_tokenizer_bos(const lac_tokenizer *t) { return t->bos; }

void lac_tokenizer_set_ids(lac_tokenizer *t, int bos, int eos)
{
    t->bos = bos;
    t->eos = eos;
}
