/* Normalizers: Unicode's normal forms by utf8proc, charsmaps (charsmap.c), and what works character
 * by character.
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

#include "text/charsmap.h"
#include "text/regex.h"
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

static bool is_newer(const int32_t range[][2], size_t n, int32_t c)
{
    for (size_t i = 0; i < n && range[i][0] <= c; i++)
        if (c <= range[i][1]) return true;
    return false;
}

static bool is_wall(int32_t c, bool compatible)
{
    if (c < newer[0][0]) return false;
    return is_newer(newer, sizeof newer / sizeof *newer, c) ||
           (compatible &&
            is_newer(newer_compatible, sizeof newer_compatible / sizeof *newer_compatible, c));
}

/* ---- the steps ------------------------------------------------------------------------------- */

static bool is_ascii(const dele_text_span *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->text[i] & 0x80) return false;
    return true;
}

/* A text that is being normalised. */
typedef struct {
    char *text; /* what is done */
    size_t n, cap;
    int32_t *code; /* the decomposed characters of a part */
    size_t n_code, cap_code;
    int32_t *run; /* scratch of sort_marks */
    size_t cap_run;
    dele_err *err;
} normal_text;

static int class_of(int32_t c) { return utf8proc_get_property(c)->combining_class; }

/* Each character's decomposition, not yet in order. */
static dele_status decompose(normal_text *t, const char *text, size_t n, int options)
{
    enum { ROOM = 32 }; /* the longest decomposition has 18 characters */
    dele_status status = DELE_OK;
    int boundary = 0;
    t->n_code = 0;
    for (size_t i = 0, used; i < n && !status; i += used) {
        void *array = t->code;
        const int32_t c = dele_utf8_next(text + i, n - i, &used);
        status =
            dele_encoder_reserve(&array, &t->cap_code, t->n_code + ROOM, sizeof *t->code, t->err);
        t->code = array;
        if (status) break;
        const utf8proc_ssize_t put = utf8proc_decompose_char(c, t->code + t->n_code, ROOM,
                                                             (utf8proc_option_t)options, &boundary);
        if (put < 0 || put > ROOM)
            return dele_fail(t->err, DELE_ERR_DATA, "a text cannot be normalised: %s",
                             utf8proc_errmsg(put));
        t->n_code += (size_t)put;
    }
    return status;
}

/* Sorts a run of marks by their combining class and keeps the order within a class.  utf8proc's own
 * sort needs the square of the run's length. */
static dele_status sort_marks(normal_text *t, int32_t *code, size_t n)
{
    size_t start[257] = {0};
    void *array = t->run;
    dele_status status = dele_encoder_reserve(&array, &t->cap_run, n, sizeof *t->run, t->err);
    t->run = array;
    if (status) return status;
    for (size_t i = 0; i < n; i++) start[class_of(code[i]) + 1]++;
    for (int k = 1; k <= 256; k++) start[k] += start[k - 1];
    for (size_t i = 0; i < n; i++) t->run[start[class_of(code[i])]++] = code[i];
    memcpy(code, t->run, n * sizeof *code);
    return DELE_OK;
}

static dele_status reorder(normal_text *t)
{
    dele_status status = DELE_OK;
    for (size_t i = 0, end; i < t->n_code && !status; i = end) {
        bool sorted = true;
        for (end = i; end < t->n_code && t->code[end] >= 0x300 && class_of(t->code[end]); end++)
            if (end > i && class_of(t->code[end]) < class_of(t->code[end - 1])) sorted = false;
        if (!sorted) status = sort_marks(t, t->code + i, end - i);
        if (end == i) end++;
    }
    return status;
}

/* Normalises a part without barriers and appends it. */
static dele_status put_normal(normal_text *t, const char *text, size_t n, int options)
{
    dele_status status = decompose(t, text, n, options);
    if (!status) status = reorder(t);
    if (status) return status;
    const utf8proc_ssize_t count =
        utf8proc_normalize_utf32(t->code, (utf8proc_ssize_t)t->n_code, (utf8proc_option_t)options);
    if (count < 0)
        return dele_fail(t->err, DELE_ERR_DATA, "a text cannot be normalised: %s",
                         utf8proc_errmsg(count));
    void *array = t->text;
    status = dele_encoder_reserve(&array, &t->cap, t->n + 4 * (size_t)count + 1, 1, t->err);
    t->text = array;
    for (utf8proc_ssize_t i = 0; i < count && !status; i++)
        t->n += dele_utf8_put(t->text + t->n, t->code[i]);
    return status;
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

    normal_text t = {.err = err};
    size_t done = 0, length;
    dele_status status = DELE_OK;
    for (size_t i = 0; i < s->n && !status; i += length) {
        if (!is_wall(dele_utf8_next(s->text + i, s->n - i, &length), compatible)) continue;
        status = put_normal(&t, s->text + done, i - done, options);
        if (!status) status = put_normal(&t, s->text + i, length, UTF8PROC_STABLE); /* as it is */
        done = i + length;
    }
    if (!status) status = put_normal(&t, s->text + done, s->n - done, options);
    char *copy = status ? NULL : dele_strndup(arena, t.text, t.n, err);
    free(t.text);
    free(t.code);
    free(t.run);
    if (!copy) return status ? status : DELE_ERR_MEMORY;
    *s = (dele_text_span){copy, t.n};
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

/* Replaces each match of a pattern. */
static dele_status replace_matches(dele_text_span *s, const dele_normalizer_step *step,
                                   dele_arena *arena, dele_err *err)
{
    bool found;
    size_t n = 0, done = 0, cap = 0;
    void *made = NULL;
    dele_status status = DELE_OK;
    dele_regex_search search = {.regex = step->regex,
                                .match = pcre2_match_data_create(1, NULL),
                                .text = s->text,
                                .n = s->n};
    if (!search.match)
        return dele_fail(err, DELE_ERR_MEMORY, "out of memory while normalising a text");
    while (!(status = dele_regex_next(&search, &found, err)) && (found || done < s->n)) {
        const size_t keep = (found ? search.start : s->n) - done, put = found ? step->to.n : 0;
        status = dele_encoder_reserve(&made, &cap, n + keep + put, 1, err);
        if (status) break;
        memcpy((char *)made + n, s->text + done, keep);
        memcpy((char *)made + n + keep, step->to.text, put);
        n += keep + put;
        done = found ? search.stop : s->n;
    }
    pcre2_match_data_free(search.match);
    const char *copy = status ? NULL : dele_strndup(arena, made ? made : "", n, err);
    free(made);
    if (!copy) return status ? status : DELE_ERR_MEMORY;
    *s = (dele_text_span){copy, n};
    return DELE_OK;
}

static void strip_blanks(dele_text_span *s, bool left, bool right)
{
    size_t used;
    while (left && s->n && dele_is_space(dele_utf8_next(s->text, s->n, &used)))
        s->text += used, s->n -= used;
    while (right && s->n) {
        size_t last = s->n - 1;
        while (last && (s->text[last] & 0xc0) == 0x80) last--;
        if (!dele_is_space(dele_utf8_next(s->text + last, s->n - last, &used))) return;
        s->n = last;
    }
}

/* What a SentencePiece model trained with NMT's rules drops (a control character: 0) and reads as a
 * blank. */
static int32_t nmt(int32_t c)
{
    if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f ||
        c == 0x9f)
        return -1;
    const bool blank = c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 ||
                       (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xfeff || c == 0xfffd;
    return blank ? ' ' : c;
}

/* What one character becomes: up to 6 bytes. */
static size_t put_character(char *out, dele_normalizer kind, int32_t c)
{
    switch (kind) {
    case DELE_NORMALIZER_LOWERCASE:
        return dele_put_small(out, c);
    case DELE_NORMALIZER_NMT:
        c = nmt(c);
        return c < 0 ? 0 : dele_utf8_put(out, c);
    default: /* accents */
        return dele_is_mark(c) ? 0 : dele_utf8_put(out, c);
    }
}

/* Character by character. */
static dele_status map_characters(dele_text_span *s, dele_normalizer kind, dele_arena *arena,
                                  dele_err *err)
{
    size_t n = 0, used;
    char *made = dele_alloc_raw(arena, 3 * s->n + 8, 1, err);
    if (!made) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < s->n; i += used)
        n += put_character(made + n, kind, dele_utf8_next(s->text + i, s->n - i, &used));
    made[n] = 0;
    *s = (dele_text_span){made, n};
    return DELE_OK;
}

static dele_status write_bytes(dele_text_span *s, dele_arena *arena, dele_err *err)
{
    size_t n = 0;
    char *made = dele_alloc_raw(arena, 2 * s->n + 1, 1, err);
    if (!made) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < s->n; i++)
        n += dele_utf8_put(made + n, dele_byte_to_char((unsigned char)s->text[i]));
    *s = (dele_text_span){made, n};
    return DELE_OK;
}

/* Whether a step drops what the text begins with.  The library then no longer counts the rest as
 * the beginning of a text (Metaspace's scheme "first"). */
static bool drops_first(const dele_text_span *s, const dele_normalizer_step *step)
{
    char small[8];
    size_t used;
    const int32_t c = dele_utf8_next(s->text, s->n, &used);
    switch (step->kind) {
    case DELE_NORMALIZER_STRIP:
        return step->left && dele_is_space(c);
    case DELE_NORMALIZER_STRIP_ACCENTS:
    case DELE_NORMALIZER_NMT:
        return !put_character(small, step->kind, c);
    case DELE_NORMALIZER_REPLACE:
        return !step->regex && !step->to.n && s->n >= step->from.n &&
               !memcmp(s->text, step->from.text, step->from.n);
    default:
        return false;
    }
}

/* One step.  At the beginning of a text that continues another one (inside) nothing is prepended or
 * stripped. */
static dele_status normalize_step(dele_text_span *out, const dele_normalizer_step *step,
                                  bool inside, dele_arena *arena, dele_err *err)
{
    switch (step->kind) {
    case DELE_NORMALIZER_PREPEND:
        return inside ? DELE_OK : prepend(out, &step->to, arena, err);
    case DELE_NORMALIZER_REPLACE:
        return step->regex ? replace_matches(out, step, arena, err)
                           : replace(out, &step->from, &step->to, arena, err);
    case DELE_NORMALIZER_STRIP:
        strip_blanks(out, step->left && !inside, step->right);
        return DELE_OK;
    case DELE_NORMALIZER_STRIP_ACCENTS:
    case DELE_NORMALIZER_LOWERCASE:
    case DELE_NORMALIZER_NMT:
        return map_characters(out, step->kind, arena, err);
    case DELE_NORMALIZER_PRECOMPILED:
        return dele_charsmap_apply(step->charsmap, out, arena, err);
    case DELE_NORMALIZER_BYTE_LEVEL:
        return write_bytes(out, arena, err);
    default:
        return normal_form(out, step->kind, arena, err);
    }
}

dele_status dele_normalize(dele_text_span *out, const dele_tokenizer *t, const char *text, size_t n,
                           dele_place *place, dele_arena *arena, dele_err *err)
{
    const bool inside = *place == DELE_PLACE_CONTINUATION;
    dele_status status = DELE_OK;
    *out = (dele_text_span){text, n};
    for (int i = 0; i < t->n_norm && !status && out->n; i++) {
        const dele_normalizer_step *step = &t->norm[i];
        if (*place == DELE_PLACE_BEGIN && drops_first(out, step)) *place = DELE_PLACE_WITHIN;
        status = normalize_step(out, step, inside, arena, err);
    }
    return status;
}
