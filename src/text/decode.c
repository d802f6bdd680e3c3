/* Ids back to text: each id's token, then the decoder's steps over the list of tokens, then all
 * joined.
 *
 * ByteLevel turns a token's characters back into bytes (a token with a character outside its
 * alphabet is not changed) and decodes the result as UTF-8, each ill-formed part becoming one
 * U+FFFD.  ByteFallback does so for runs of <0xNN>; a run that is not UTF-8 becomes one U+FFFD a
 * byte.  Without a decoder tokens are joined by blanks.
 *
 * An added token that is normalised is decoded to its normalised text (tinystories' <unk> to
 * "▁<unk>").  The library (0.23) then does not treat it as special, and skip_special_tokens keeps
 * it; the same holds here. */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "text/encoder.h"
#include "text/regex.h"
#include "text/unicode.h"

typedef struct {
    dele_text_span *piece;
    size_t n;
    dele_arena *arena;
    dele_err *err;
} pieces;

static const char REPLACEMENT[] = "\xef\xbf\xbd";

/* Length of a well-formed character at s, or 0 with *bad the length of the ill-formed part (Unicode
 * 3.9, table 3-7). */
static size_t well_formed(const unsigned char *s, size_t n, size_t *bad)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t length;
    *bad = 1;
    if (s[0] < 0x80) return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        length = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        length = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (s[0] == 0xe0) low = 0xa0;
    if (s[0] == 0xed) high = 0x9f;
    if (s[0] == 0xf0) low = 0x90;
    if (s[0] == 0xf4) high = 0x8f;
    for (size_t i = 1; i < length; i++, low = 0x80, high = 0xbf) {
        *bad = i;
        if (i >= n || s[i] < low || s[i] > high) return 0;
    }
    return length;
}

static size_t lossy(char *out, const char *bytes, size_t n)
{
    size_t used = 0;
    for (size_t i = 0, bad, good; i < n; i += good ? good : bad) {
        good = well_formed((const unsigned char *)bytes + i, n - i, &bad);
        memcpy(out + used, good ? bytes + i : REPLACEMENT, good ? good : 3);
        used += good ? good : 3;
    }
    return used;
}

static size_t total(const pieces *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) n += p->piece[i].n;
    return n;
}

/* ---- the steps ------------------------------------------------------------------------------- */

static size_t bytes_of(char *out, const dele_text_span *token)
{
    size_t n = 0;
    for (size_t i = 0, used; i < token->n; i += used) {
        int byte = dele_char_to_byte(dele_utf8_next(token->text + i, token->n - i, &used));
        if (byte < 0) {
            memcpy(out, token->text, token->n);
            return token->n;
        }
        out[n++] = (char)byte;
    }
    return n;
}

static dele_status byte_level(pieces *p)
{
    size_t n = 0, all = total(p);
    char *bytes = dele_alloc_raw(p->arena, all + 1, 1, p->err),
         *text = dele_alloc_raw(p->arena, 3 * all + 1, 1, p->err);
    if (!bytes || !text) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < p->n; i++) n += bytes_of(bytes + n, &p->piece[i]);
    if (p->n) p->piece[0] = (dele_text_span){text, lossy(text, bytes, n)};
    p->n = p->n ? 1 : 0;
    return DELE_OK;
}

/* Where `from` occurs in s from `at` on, or a pattern matches; false: nowhere. */
typedef struct {
    const dele_text_span *from;
    dele_regex_search search;
    size_t start, stop;
} finder;

static dele_status find(finder *f, bool *found, dele_err *err)
{
    if (f->search.regex) {
        dele_status status = dele_regex_next(&f->search, found, err);
        f->start = f->search.start;
        f->stop = f->search.stop;
        return status;
    }
    const char *text = f->search.text,
               *at = memmem(text + f->stop, f->search.n - f->stop, f->from->text, f->from->n);
    *found = at;
    if (at) f->start = (size_t)(at - text), f->stop = f->start + f->from->n;
    return DELE_OK;
}

/* Each occurrence in one token is replaced; the token is copied only if there is one. */
static dele_status replace_in(pieces *p, dele_text_span *s, finder f, const dele_text_span *to)
{
    size_t n = 0, cap = 0, done = 0;
    void *made = NULL;
    bool found;
    dele_status status;
    f.search.text = s->text, f.search.n = s->n;
    while (!(status = find(&f, &found, p->err)) && (found || (made && done < s->n))) {
        const size_t keep = (found ? f.start : s->n) - done, put = found ? to->n : 0;
        status = dele_encoder_reserve(&made, &cap, n + keep + put + 1, 1, p->err);
        if (status) break;
        memcpy((char *)made + n, s->text + done, keep);
        memcpy((char *)made + n + keep, to->text, put);
        n += keep + put;
        done = found ? f.stop : s->n;
    }
    if (made && !status) {
        const char *copy = dele_strndup(p->arena, made, n, p->err);
        if (copy)
            *s = (dele_text_span){copy, n};
        else
            status = DELE_ERR_MEMORY;
    }
    free(made);
    return status;
}

static dele_status replace_pieces(pieces *p, const dele_dec_step *step)
{
    finder f = {.from = &step->from, .search = {.regex = step->regex}};
    dele_status status = DELE_OK;
    if (step->regex && !(f.search.match = pcre2_match_data_create(1, NULL)))
        return dele_fail(p->err, DELE_ERR_MEMORY, "out of memory while decoding");
    for (size_t i = 0; i < p->n && !status; i++) status = replace_in(p, &p->piece[i], f, &step->to);
    pcre2_match_data_free(f.search.match);
    return status;
}

static dele_status replace_text(pieces *p, dele_text_span *s, const char *from, const char *to)
{
    const dele_text_span what = {from, strlen(from)}, with = {to, strlen(to)};
    return replace_in(p, s, (finder){.from = &what}, &with);
}

/* Metaspace's marks are blanks again; in the first token they are dropped, where one was put before
 * the text. */
static dele_status metaspace_pieces(pieces *p, const dele_dec_step *step)
{
    dele_status status = DELE_OK;
    for (size_t i = 0; i < p->n && !status; i++)
        status = replace_text(p, &p->piece[i], step->from.text, i == 0 && step->first ? "" : " ");
    return status;
}

/* What English tokenizers of words put apart. */
static dele_status clean_up(pieces *p, dele_text_span *s)
{
    static const char *const together[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    dele_status status = DELE_OK;
    for (size_t i = 0; i < sizeof together / sizeof *together && !status; i++)
        status = replace_text(p, s, together[i][0], together[i][1]);
    return status;
}

/* A token that continues a word loses its prefix; before any other comes a blank. */
static dele_status word_pieces(pieces *p, const dele_dec_step *step)
{
    const dele_text_span *prefix = &step->from;
    dele_status status = DELE_OK;
    for (size_t i = 0; i < p->n && !status; i++) {
        dele_text_span *s = &p->piece[i];
        if (i && s->n >= prefix->n && !memcmp(s->text, prefix->text, prefix->n)) {
            s->text += prefix->n;
            s->n -= prefix->n;
        } else if (i) {
            char *spaced = dele_alloc_raw(p->arena, s->n + 1, 1, p->err);
            if (!spaced) return DELE_ERR_MEMORY;
            *spaced = ' ';
            if (s->n) memcpy(spaced + 1, s->text, s->n);
            *s = (dele_text_span){spaced, s->n + 1};
        }
        if (step->first) status = clean_up(p, s);
    }
    return status;
}

/* The suffix of a word's last token becomes a blank, except in the last token of all. */
static dele_status suffix_pieces(pieces *p, const dele_dec_step *step)
{
    dele_status status = DELE_OK;
    for (size_t i = 0; i < p->n && !status; i++)
        status = replace_text(p, &p->piece[i], step->from.text, i + 1 < p->n ? " " : "");
    return status;
}

static int byte_token(const dele_text_span *s)
{
    char digits[3] = "", *end;
    if (s->n != 6 || memcmp(s->text, "<0x", 3) || s->text[5] != '>') return -1;
    memcpy(digits, s->text + 3, 2);
    long byte = strtol(digits, &end, 16);
    return end == digits + 2 && byte >= 0 && digits[0] != ' ' ? (int)byte : -1;
}

/* Runs of byte tokens (<0x41>) become their bytes, where these are valid UTF-8; else each byte
 * becomes U+FFFD, as in the library. */
static dele_status byte_fallback(pieces *p)
{
    dele_text_span *made = DELE_NEW(p->arena, dele_text_span, p->n + 1, p->err);
    char *bytes = dele_alloc_raw(p->arena, p->n + 1, 1, p->err);
    size_t n = 0, used = 0;
    if (!made || !bytes) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < p->n;) {
        size_t run = 0;
        for (int byte; i + run < p->n && (byte = byte_token(&p->piece[i + run])) >= 0; run++)
            bytes[used + run] = (char)byte;
        if (!run) {
            made[n++] = p->piece[i++];
            continue;
        }
        if (dele_utf8_valid(bytes + used, run))
            made[n++] = (dele_text_span){bytes + used, run};
        else
            for (size_t k = 0; k < run; k++) made[n++] = (dele_text_span){REPLACEMENT, 3};
        used += run;
        i += run;
    }
    p->piece = made;
    p->n = n;
    return DELE_OK;
}

static dele_status join(pieces *p, const char *between)
{
    size_t used = 0, gap = strlen(between);
    char *text = dele_alloc_raw(p->arena, total(p) + gap * p->n + 1, 1, p->err);
    if (!text) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < p->n; i++) {
        if (i) memcpy(text + used, between, gap);
        if (i) used += gap;
        memcpy(text + used, p->piece[i].text, p->piece[i].n);
        used += p->piece[i].n;
    }
    text[used] = 0;
    if (!p->piece) p->piece = DELE_NEW(p->arena, dele_text_span, 1, p->err);
    if (!p->piece) return DELE_ERR_MEMORY;
    p->piece[0] = (dele_text_span){text, used};
    p->n = 1;
    return DELE_OK;
}

static void strip(dele_text_span *s, const dele_dec_step *step)
{
    const dele_text_span *c = &step->from;
    for (int i = 0; i < step->start && s->n >= c->n && !memcmp(s->text, c->text, c->n); i++) {
        s->text += c->n;
        s->n -= c->n;
    }
    for (int i = 0; i < step->stop && s->n >= c->n && !memcmp(s->text + s->n - c->n, c->text, c->n);
         i++)
        s->n -= c->n;
}

/* One step of the decoder over the list of tokens; some make one text of all. */
static dele_status apply(pieces *p, const dele_dec_step *step)
{
    switch (step->kind) {
    case DELE_DEC_BYTELEVEL:
        return byte_level(p);
    case DELE_DEC_REPLACE:
        return replace_pieces(p, step);
    case DELE_DEC_BYTE_FALLBACK:
        return byte_fallback(p);
    case DELE_DEC_FUSE:
        return p->n ? join(p, "") : DELE_OK;
    case DELE_DEC_STRIP:
        for (size_t i = 0; i < p->n; i++) strip(&p->piece[i], step);
        return DELE_OK;
    case DELE_DEC_METASPACE:
        return metaspace_pieces(p, step);
    case DELE_DEC_WORDPIECE:
        return word_pieces(p, step);
    case DELE_DEC_SUFFIX:
        return suffix_pieces(p, step);
    }
    return DELE_OK;
}

static bool reads_as_special(const dele_added *added)
{
    return added && added->special && added->pattern.n == added->content.n &&
           !memcmp(added->pattern.text, added->content.text, added->content.n);
}

/* The text with U+FFFD for each zero byte, which would end it. */
static char *without_zeros(const char *text, size_t n, dele_arena *arena, dele_err *err)
{
    char *out = DELE_NEW(arena, char, 3 * n + 1, err), *end = out;
    for (size_t i = 0; out && i < n; i++) {
        if (text[i]) {
            *end++ = text[i];
        } else {
            memcpy(end, "\xef\xbf\xbd", 3);
            end += 3;
        }
    }
    return out;
}

char *dele_decode(const dele_tokenizer *t, const int *ids, size_t n, bool skip_special,
                  dele_arena *arena, dele_err *err)
{
    size_t length;
    char *text = dele_decode_bytes(&length, t, ids, n, skip_special, arena, err);
    return text && strlen(text) < length ? without_zeros(text, length, arena, err) : text;
}

/* Ids without a token (padded rows of the embedding) are left out. */
char *dele_decode_bytes(size_t *length, const dele_tokenizer *t, const int *ids, size_t n,
                        bool skip_special, dele_arena *arena, dele_err *err)
{
    dele_arena scratch = {.limit = arena->limit};
    pieces p = {
        .piece = DELE_NEW(&scratch, dele_text_span, n + 1, err), .arena = &scratch, .err = err};
    dele_status status = p.piece ? DELE_OK : DELE_ERR_MEMORY;
    for (size_t i = 0; i < n && !status; i++) {
        int id = ids[i];
        if (id < 0 || id >= t->size || !t->token[id].text)
            continue; /* padded rows of the embedding */
        const dele_added *added = t->added_of[id];
        if (skip_special && reads_as_special(added)) continue;
        p.piece[p.n++] = added ? added->pattern : t->token[id];
    }
    for (int i = 0; i < t->n_dec && !status; i++) status = apply(&p, &t->dec[i]);
    if (!status) status = join(&p, t->has_decoder ? "" : " ");
    char *text = status ? NULL : dele_strndup(arena, p.piece[0].text, p.piece[0].n, err);
    *length = text ? p.piece[0].n : 0;
    dele_arena_release(&scratch);
    return text;
}
