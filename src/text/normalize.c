/* Normalizers: Unicode's normal forms by utf8proc, and Prepend and Replace of Llama-2's tokenizers.
 *
 * ASCII is in every normal form already, so most texts are not copied.
 *
 * The library's tables are those of Unicode 9.0, utf8proc's are newer.  To the library a later
 * character neither decomposes, composes nor is reordered: a barrier.  The tables below list the
 * characters for which this makes a difference, and the text between barriers is normalised
 * separately. */
#include "text/encoder.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/unicode.h"

/* ---- barriers -------------------------------------------------------------------------------- */

/* Newer than Unicode 9.0, with a combining class or a canonical decomposition ... */
static const int32_t newer[][2] = {
    {0x7fd, 0x7fd},     {0x897, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0xece, 0xece},
    {0x1715, 0x1715},   {0x1abf, 0x1aeb},   {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},
    {0x105c9, 0x105c9}, {0x105e4, 0x105e4}, {0x10d24, 0x10d27}, {0x10d69, 0x10d6d},
    {0x10eab, 0x10eac}, {0x10efa, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
    {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x11380, 0x113e2}, {0x1145e, 0x1145e},
    {0x11839, 0x1183a}, {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943},
    {0x119e0, 0x119e0}, {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99},
    {0x11d42, 0x11d42}, {0x11d44, 0x11d45}, {0x11d97, 0x11d97}, {0x11f41, 0x11f42},
    {0x16100, 0x1612f}, {0x16d68, 0x16d6a}, {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f},
    {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef},
    {0x1e5ee, 0x1e5ef}, {0x1e6e3, 0x1e6f5},
};
/* ... and with a compatibility decomposition, which counts in NFKC and NFKD alone. */
static const int32_t newer_compatible[][2] = {
    {0x32ff, 0x32ff},   {0xa7f1, 0xa7f4},   {0xab69, 0xab69},   {0x10781, 0x107ba},
    {0x1ccd6, 0x1ccf9}, {0x1e030, 0x1e06d}, {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9},
};

static bool among(const int32_t range[][2], size_t n, int32_t c)
{
    for (size_t i = 0; i < n && range[i][0] <= c; i++)
        if (c <= range[i][1]) return true;
    return false;
}

static bool is_wall(int32_t c, bool compatible)
{
    if (c < newer[0][0]) return false;
    return among(newer, sizeof newer / sizeof *newer, c) ||
           (compatible &&
            among(newer_compatible, sizeof newer_compatible / sizeof *newer_compatible, c));
}

/* ---- the steps ------------------------------------------------------------------------------- */

static bool is_ascii(const dele_text_span *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->text[i] & 0x80) return false;
    return true;
}

/* Normalises a part without barriers and appends it to `out` (malloc-ed, *used bytes). */
static dele_status put_normal(char **out, size_t *used, const char *text, size_t n, int options,
                              dele_err *err)
{
    utf8proc_uint8_t *made = NULL;
    utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n,
                                           &made, (utf8proc_option_t)options);
    if (length < 0)
        return dele_fail(err, DELE_ERR_DATA, "a text cannot be normalised: %s",
                         utf8proc_errmsg(length));
    char *grown = realloc(*out, *used + (size_t)length + 1);
    if (!grown) {
        free(made);
        return dele_fail(err, DELE_ERR_MEMORY,
                         "out of memory while normalising a text of %zu bytes", n);
    }
    memcpy(grown + *used, made, (size_t)length);
    free(made);
    *out = grown;
    *used += (size_t)length;
    return DELE_OK;
}

/* A Unicode normal form by utf8proc, of the stretches between characters that the library leaves
 * alone (is_wall); those are copied. */
static dele_status normal_form(dele_text_span *s, dele_normalizer kind, dele_arena *arena,
                               dele_err *err)
{
    bool compatible = kind == DELE_NORMALIZER_NFKC || kind == DELE_NORMALIZER_NFKD;
    int options = UTF8PROC_STABLE | (compatible ? UTF8PROC_COMPAT : 0);
    options |= kind == DELE_NORMALIZER_NFC || kind == DELE_NORMALIZER_NFKC ? UTF8PROC_COMPOSE
                                                                           : UTF8PROC_DECOMPOSE;
    if (is_ascii(s)) return DELE_OK;

    char *out = NULL;
    size_t used = 0, done = 0, length;
    dele_status status = DELE_OK;
    for (size_t i = 0; i < s->n && !status; i += length) {
        if (!is_wall(dele_utf8_next(s->text + i, s->n - i, &length), compatible)) continue;
        status = put_normal(&out, &used, s->text + done, i - done, options, err);
        if (!status)
            status =
                put_normal(&out, &used, s->text + i, length, UTF8PROC_STABLE, err); /* as it is */
        done = i + length;
    }
    if (!status) status = put_normal(&out, &used, s->text + done, s->n - done, options, err);
    char *copy = status ? NULL : dele_strndup(arena, out, used, err);
    free(out);
    if (!copy) return status ? status : DELE_ERR_MEMORY;
    *s = (dele_text_span){copy, used};
    return DELE_OK;
}

static dele_status prepend(dele_text_span *s, const dele_text_span *what, dele_arena *arena,
                           dele_err *err)
{
    if (!s->n) return DELE_OK; /* nothing is prepended to an empty text */
    char *made = dele_alloc_raw(arena, s->n + what->n + 1, 1, err);
    if (!made) return DELE_ERR_MEMORY;
    memcpy(made, what->text, what->n);
    memcpy(made + what->n, s->text, s->n);
    made[s->n + what->n] = 0;
    *s = (dele_text_span){made, s->n + what->n};
    return DELE_OK;
}

/* Replaces each occurrence of one text by another: counted first, so that the result is allocated
 * once. */
static dele_status replace(dele_text_span *s, const dele_text_span *from, const dele_text_span *to,
                           dele_arena *arena, dele_err *err)
{
    size_t found = 0;
    const char *end = s->text + s->n;
    for (const char *at = s->text; (at = memmem(at, (size_t)(end - at), from->text, from->n));
         at += from->n)
        found++;
    if (!found) return DELE_OK;
    size_t n = s->n - found * from->n + found * to->n;
    char *made = dele_alloc_raw(arena, n + 1, 1, err), *out = made;
    if (!made) return DELE_ERR_MEMORY;
    const char *last = s->text;
    for (const char *at; (at = memmem(last, (size_t)(end - last), from->text, from->n));
         last = at + from->n) {
        memcpy(out, last, (size_t)(at - last));
        out += at - last;
        memcpy(out, to->text, to->n);
        out += to->n;
    }
    memcpy(out, last, (size_t)(end - last));
    made[n] = 0;
    *s = (dele_text_span){made, n};
    return DELE_OK;
}

dele_status dele_normalize(dele_text_span *out, const dele_tokenizer *t, const char *text, size_t n,
                           bool inside, dele_arena *arena, dele_err *err)
{
    dele_status status = DELE_OK;
    *out = (dele_text_span){text, n};
    for (int i = 0; i < t->n_norm && !status && out->n; i++) {
        const dele_normalizer_step *step = &t->norm[i];
        switch (step->kind) {
        case DELE_NORMALIZER_PREPEND:
            if (!inside) status = prepend(out, &step->to, arena, err);
            break;
        case DELE_NORMALIZER_REPLACE:
            status = replace(out, &step->from, &step->to, arena, err);
            break;
        default:
            status = normal_form(out, step->kind, arena, err);
            break;
        }
    }
    return status;
}
