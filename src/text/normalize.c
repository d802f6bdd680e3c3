/* Normalizers: Unicode's normal forms through utf8proc, and the two of Llama-2's kin, Prepend and Replace.
 *
 * ASCII is in every normal form already, so most texts pass untouched. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/tokenizer_inner.h"

static bool is_ascii(const lac_span *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->text[i] & 0x80) return false;
    return true;
}

static lac_status normal_form(lac_span *s, lac_norm kind, lac_arena *arena, lac_err *err)
{
    int options = UTF8PROC_STABLE;
    options |= kind == LAC_NORM_NFC || kind == LAC_NORM_NFKC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
    if (kind == LAC_NORM_NFKC || kind == LAC_NORM_NFKD) options |= UTF8PROC_COMPAT;
    if (is_ascii(s)) return LAC_OK;

    utf8proc_uint8_t *made = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)s->text, (utf8proc_ssize_t)s->n, &made,
                                      (utf8proc_option_t)options);
    if (n < 0) return lac_fail(err, LAC_ERR_DATA, "a text cannot be normalised: %s", utf8proc_errmsg(n));
    char *copy = lac_strndup(arena, (const char *)made, (size_t)n, err);
    free(made);
    if (!copy) return LAC_ERR_MEMORY;
    *s = (lac_span){copy, (size_t)n};
    return LAC_OK;
}

static lac_status prepend(lac_span *s, const lac_span *what, lac_arena *arena, lac_err *err)
{
    if (!s->n) return LAC_OK; /* nothing is put before nothing */
    char *made = lac_alloc_raw(arena, s->n + what->n + 1, 1, err);
    if (!made) return LAC_ERR_MEMORY;
    memcpy(made, what->text, what->n);
    memcpy(made + what->n, s->text, s->n);
    made[s->n + what->n] = 0;
    *s = (lac_span){made, s->n + what->n};
    return LAC_OK;
}

static lac_status replace(lac_span *s, const lac_span *from, const lac_span *to, lac_arena *arena, lac_err *err)
{
    size_t found = 0;
    const char *end = s->text + s->n;
    for (const char *at = s->text; (at = memmem(at, (size_t)(end - at), from->text, from->n)); at += from->n) found++;
    if (!found) return LAC_OK;
    size_t n = s->n - found * from->n + found * to->n;
    char *made = lac_alloc_raw(arena, n + 1, 1, err), *out = made;
    if (!made) return LAC_ERR_MEMORY;
    const char *last = s->text;
    for (const char *at; (at = memmem(last, (size_t)(end - last), from->text, from->n)); last = at + from->n) {
        memcpy(out, last, (size_t)(at - last));
        out += at - last;
        memcpy(out, to->text, to->n);
        out += to->n;
    }
    memcpy(out, last, (size_t)(end - last));
    made[n] = 0;
    *s = (lac_span){made, n};
    return LAC_OK;
}

lac_status lac_normalize(lac_span *out, const lac_tokenizer *t, const char *text, size_t n, lac_arena *arena,
                         lac_err *err)
{
    lac_status status = LAC_OK;
    *out = (lac_span){text, n};
    for (int i = 0; i < t->n_norm && !status && out->n; i++) {
        const lac_norm_step *step = &t->norm[i];
        switch (step->kind) {
        case LAC_NORM_PREPEND: status = prepend(out, &step->to, arena, err); break;
        case LAC_NORM_REPLACE: status = replace(out, &step->from, &step->to, arena, err); break;
        default: status = normal_form(out, step->kind, arena, err); break;
        }
    }
    return status;
}
