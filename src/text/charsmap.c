#include "text/charsmap.h"

#include <stdbool.h>
#include <string.h>
#include <utf8proc.h>

#include "base/json.h"
#include "text/unicode.h"

/* ---- reading --------------------------------------------------------------------------------- */

/* Base64 to bytes; false: a character or a length that base64 does not have. */
static bool decode_base64(unsigned char *out, size_t *n_out, const char *text)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text), used = 0;
    uint32_t bits = 0;
    if (n % 4) return false;
    size_t pad = n && text[n - 1] == '=' ? 1 + (text[n - 2] == '=') : 0;
    for (size_t i = 0; i < n - pad; i++) {
        const char *digit = strchr(alphabet, text[i]);
        if (!digit || !text[i]) return false;
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        if (i % 4 == 3)
            for (int k = 16; k >= 0; k -= 8) out[used++] = (unsigned char)(bits >> k);
    }
    if (pad == 1)
        out[used++] = (unsigned char)(bits >> 10), out[used++] = (unsigned char)(bits >> 2);
    if (pad == 2) out[used++] = (unsigned char)(bits >> 4);
    *n_out = used;
    return true;
}

static uint32_t u32_at(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* The sizes in the header are held against the decoded length; offsets within the trie are checked
 * where they are followed (look_up). */
dele_status dele_charsmap_read(dele_charsmap *map, const char *base64, const char *where,
                               dele_arena *arena, dele_err *err)
{
    size_t n = 0;
    unsigned char *bytes = dele_alloc_raw(arena, strlen(base64) + 4, 1, err);
    if (!bytes) return DELE_ERR_MEMORY;
    if (!decode_base64(bytes, &n, base64) || n < 8 || u32_at(bytes) > n - 4 || u32_at(bytes) < 4 ||
        u32_at(bytes) % 4)
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: its precompiled_charsmap is not base64 of a trie and its texts; is "
                         "the file complete?",
                         where);
    map->n_units = u32_at(bytes) / 4;
    uint32_t *unit = DELE_NEW(arena, uint32_t, map->n_units, err);
    if (!unit) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < map->n_units; i++) unit[i] = u32_at(bytes + 4 + 4 * i);
    map->unit = unit;
    map->texts = (const char *)bytes + 4 + 4 * map->n_units;
    map->n_texts = n - 4 - 4 * map->n_units;
    if (!dele_utf8_valid(map->texts, map->n_texts))
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: the texts of its precompiled_charsmap are not UTF-8", where);
    return DELE_OK;
}

/* ---- looking up ------------------------------------------------------------------------------ */

static size_t offset_of(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6); }

/* The text at an offset, which a damaged trie may have put outside or inside a character. */
static bool text_at(const dele_charsmap *m, size_t at, dele_text_span *text)
{
    if (at > m->n_texts || (at < m->n_texts && (m->texts[at] & 0xc0) == 0x80)) return false;
    *text = (dele_text_span){m->texts + at, strnlen(m->texts + at, m->n_texts - at)};
    return true;
}

/* The replacement of the shortest key that is a prefix of the text. */
static bool look_up(const dele_charsmap *m, const char *key, size_t n, dele_text_span *text)
{
    size_t node = offset_of(m->unit[0]);
    for (size_t i = 0; i < n && key[i]; i++) {
        const unsigned char c = (unsigned char)key[i];
        node ^= c;
        if (node >= m->n_units) return false;
        const uint32_t unit = m->unit[node];
        if ((unit & (1u << 31 | 0xff)) != c) return false;
        node ^= offset_of(unit);
        if (!(unit >> 8 & 1)) continue;
        return node < m->n_units && text_at(m, m->unit[node] & 0x7fffffff, text);
    }
    return false;
}

/* ---- applying -------------------------------------------------------------------------------- */

/* The end of the grapheme that begins at text[at].  utf8proc 2.8 has Unicode 15.0; a mark that is
 * newer extends what is before it, as in the library. */
static size_t grapheme_end(const char *text, size_t n, size_t at)
{
    size_t used;
    utf8proc_int32_t state = 0;
    int32_t before = dele_utf8_next(text + at, n - at, &used);
    for (at += used; at < n; at += used) {
        const int32_t c = dele_utf8_next(text + at, n - at, &used);
        const bool newer_mark = utf8proc_category(c) == UTF8PROC_CATEGORY_CN &&
                                *dele_category(c) == 'M' && before >= ' ';
        if (utf8proc_grapheme_break_stateful(before, c, &state) && !newer_mark) break;
        before = c;
    }
    return at;
}

typedef struct {
    char *text; /* NULL: only counted */
    size_t n;
    bool changed;
} rewritten;

static void append(rewritten *r, const char *text, size_t n)
{
    if (r->text && n) memcpy(r->text + r->n, text, n);
    r->n += n;
}

static void rewrite(const dele_charsmap *m, rewritten *r, const dele_text_span *s)
{
    dele_text_span to;
    for (size_t at = 0, end, used; at < s->n; at = end) {
        end = grapheme_end(s->text, s->n, at);
        if (end - at < 6 && look_up(m, s->text + at, end - at, &to)) {
            r->changed = true;
            append(r, to.text, to.n);
            continue;
        }
        for (size_t i = at; i < end; i += used) {
            dele_utf8_next(s->text + i, end - i, &used);
            bool found = look_up(m, s->text + i, used, &to);
            r->changed = r->changed || found;
            append(r, found ? to.text : s->text + i, found ? to.n : used);
        }
    }
}

dele_status dele_charsmap_apply(const dele_charsmap *map, dele_text_span *s, dele_arena *arena,
                                dele_err *err)
{
    rewritten r = {0};
    rewrite(map, &r, s);
    if (!r.changed) return DELE_OK;
    char *text = dele_alloc_raw(arena, r.n + 1, 1, err);
    if (!text) return DELE_ERR_MEMORY;
    r = (rewritten){.text = text};
    rewrite(map, &r, s);
    text[r.n] = 0;
    *s = (dele_text_span){text, r.n};
    return DELE_OK;
}
