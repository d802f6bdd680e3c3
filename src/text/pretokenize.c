/* Pre-tokenizers: a text is split into words, and BPE never merges across a split.
 *
 * ByteLevel splits with GPT-2's pattern and then works on bytes; Digits isolates digits; Split
 * splits by any pattern.  Each of the three is a step with a pattern and a behaviour for its
 * matches, and a Sequence is a list of such steps.
 *
 * The patterns run on PCRE2 (UTF, UCP, JIT).  The library's engine is Oniguruma, and the two differ
 * in three classes: PCRE2's \s also contains U+180E, and its \p{L} and \p{N} are of Unicode 14.0
 * (in PCRE2 10.42) instead of 16.0.  So \s, \S, \p{L} and \p{N} are expanded when a pattern is
 * compiled: to White_Space, and to the property with the ranges that Unicode 15.0 to 16.0 added.
 * Rust's is_numeric, which Digits uses, has Unicode 17.0. */
#include "text/encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

#define SPACES                                                                                     \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"    \
    "\\x{205f}\\x{3000}"
#define LETTERS                                                                                    \
    "\\p{L}\\x{1c89}-\\x{1c8a}\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}\\x{105c0}-\\x{105f3}\\x{"     \
    "10d4a}-\\x{10d65}"                                                                            \
    "\\x{10d6f}-\\x{10d85}\\x{10ec2}-\\x{10ec4}\\x{1123f}-\\x{11240}\\x{11380}-\\x{11389}\\x{"     \
    "1138b}\\x{1138e}"                                                                             \
    "\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}\\x{113d3}\\x{11bc0}-\\x{11be0}\\x{11f02}\\x{11f04}" \
    "-\\x{11f10}"                                                                                  \
    "\\x{11f12}-\\x{11f33}\\x{1342f}\\x{13441}-\\x{13446}\\x{13460}-\\x{143fa}\\x{16100}-\\x{"     \
    "1611d}"                                                                                       \
    "\\x{16d40}-\\x{16d6c}\\x{18cff}\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}\\x{1e030}-\\x{"      \
    "1e06d}\\x{1e4d0}-\\x{1e4eb}"                                                                  \
    "\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"
#define NUMBERS                                                                                    \
    "\\p{N}\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}\\x{11f50}-\\x{11f59}"   \
    "\\x{16130}-\\x{16139}"                                                                        \
    "\\x{16d70}-\\x{16d79}\\x{1ccf0}-\\x{1ccf9}\\x{1d2c0}-\\x{1d2d3}\\x{1e4f0}-\\x{1e4f9}\\x{"     \
    "1e5f1}-\\x{1e5fa}"
#define NUMBERS_OF_17 "\\x{11de0}-\\x{11de9}\\x{16ff4}-\\x{16ff6}"

/* ---- compiling ------------------------------------------------------------------------------- */

static const struct {
    const char *written, *inside, *outside; /* in a class, and not in one */
} spelt_out[] = {
    {"\\s", SPACES, "[" SPACES "]"},
    {"\\S", NULL, "[^" SPACES "]"},
    {"\\p{L}", LETTERS, "[" LETTERS "]"},
    {"\\p{N}", NUMBERS, "[" NUMBERS "]"},
    {"\\p{IsNumeric}", NUMBERS NUMBERS_OF_17,
     "[" NUMBERS NUMBERS_OF_17 "]"}, /* our own name, for Digits */
};

/* The pattern with its classes spelt out; malloc-ed. */
static char *spell_out(const char *pattern)
{
    size_t n = strlen(pattern), longest = sizeof LETTERS + sizeof NUMBERS,
           cap = (n + 1) * longest + 1, used = 0;
    char *out = malloc(cap);
    bool in_class = false;
    if (!out) return NULL;
    for (const char *p = pattern; *p;) {
        const char *with = NULL;
        size_t length = *p == '\\' && p[1] ? 2 : 1;
        for (size_t i = 0; i < sizeof spelt_out / sizeof *spelt_out && !with; i++)
            if (!strncmp(p, spelt_out[i].written, strlen(spelt_out[i].written))) {
                with = in_class ? spelt_out[i].inside : spelt_out[i].outside;
                if (with) length = strlen(spelt_out[i].written);
            }
        if (length == 1 && *p == '[') in_class = true;
        if (length == 1 && *p == ']') in_class = false;
        size_t n_with = with ? strlen(with) : length;
        memcpy(out + used, with ? with : p, n_with);
        used += n_with;
        p += length;
    }
    out[used] = 0;
    return out;
}

dele_status dele_pre_regex(dele_pre_step *step, const char *pattern, const char *where,
                           dele_err *err)
{
    int code;
    PCRE2_SIZE at;
    char *spelt = spell_out(pattern);
    if (!spelt)
        return dele_fail(err, DELE_ERR_MEMORY, "%s: no memory left for its patterns", where);
    step->regex = pcre2_compile((PCRE2_SPTR)spelt, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                                &code, &at, NULL);
    free(spelt);
    if (!step->regex) {
        PCRE2_UCHAR why[128] = "";
        pcre2_get_error_message(code, why, sizeof why);
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: PCRE2 cannot read the pattern \"%.200s\" of its pre-tokenizer: %s",
                         where, pattern, (const char *)why);
    }
    pcre2_jit_compile(step->regex,
                      PCRE2_JIT_COMPLETE); /* where there is no JIT, matching works without */
    return DELE_OK;
}

/* ---- splitting ------------------------------------------------------------------------------- */

typedef struct {
    dele_encoder *e;
    int step;
    const char *text;
    size_t start, stop; /* a pending piece, for the behaviours that merge neighbours */
    bool holding, holding_match;
} cutter;

static dele_status let_go(cutter *c)
{
    if (!c->holding) return DELE_OK;
    c->holding = false;
    return dele_pretokenize(c->e, c->step + 1, c->text + c->start, c->stop - c->start);
}

/* One part of the text, a match or the text between two matches. */
static dele_status take(cutter *c, size_t start, size_t stop, bool match)
{
    const dele_pre_step *step = &c->e->t->pre[c->step];
    if (start == stop) return DELE_OK;
    if (step->invert) match = !match;
    bool joins = false;
    switch (step->behavior) {
    case DELE_SPLIT_BEHAVIOR_REMOVED:
        if (match) return DELE_OK;
        break;
    case DELE_SPLIT_BEHAVIOR_ISOLATED:
        break;
    case DELE_SPLIT_BEHAVIOR_WITH_PREVIOUS:
        joins = match && !c->holding_match;
        break;
    case DELE_SPLIT_BEHAVIOR_WITH_NEXT:
        joins = !match && c->holding_match;
        break;
    case DELE_SPLIT_BEHAVIOR_CONTIGUOUS:
        joins = match == c->holding_match;
        break;
    }
    dele_status status = DELE_OK;
    if (c->holding && joins) {
        c->stop = stop;
    } else {
        status = let_go(c);
        c->start = start;
        c->stop = stop;
        c->holding = true;
    }
    c->holding_match = match;
    return status;
}

static int match_from(const dele_encoder *e, const pcre2_code *regex, const char *text, size_t n,
                      size_t at)
{
    int found = pcre2_match(regex, (PCRE2_SPTR)text, n, at, PCRE2_NO_UTF_CHECK, e->match, NULL);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(regex, (PCRE2_SPTR)text, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                            e->match, NULL);
    return found;
}

/* Divides a text by a step's pattern: matches, and the stretches between them, go on to the next
 * step according to the step's behaviour (take). */
static dele_status cut(dele_encoder *e, int step, const char *text, size_t n)
{
    cutter c = {.e = e, .step = step, .text = text};
    dele_status status = DELE_OK;
    size_t done = 0, at = 0;
    while (at < n && !status) {
        int found = match_from(e, e->t->pre[step].regex, text, n, at);
        if (found == PCRE2_ERROR_NOMATCH) break;
        if (found < 0) {
            PCRE2_UCHAR why[128] = "";
            pcre2_get_error_message(found, why, sizeof why);
            return dele_fail(e->err, DELE_ERR_DATA,
                             "the pre-tokenizer's pattern failed on a text of %zu bytes: %s", n,
                             (const char *)why);
        }
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(e->match);
        size_t start = span[0], stop = span[1], used;
        at = stop;
        if (start == stop) { /* an empty match splits nothing: continue at the next character */
            if (stop >= n) break;
            dele_utf8_next(text + stop, n - stop, &used);
            at = stop + used;
            continue;
        }
        status = take(&c, done, start, false);
        if (!status) status = take(&c, start, stop, true);
        done = stop;
    }
    if (!status) status = take(&c, done, n, false);
    return status ? status : let_go(&c);
}

dele_status dele_pretokenize(dele_encoder *e, int step, const char *text, size_t n)
{
    if (!n) return DELE_OK;
    if (step == e->t->n_pre) return dele_bpe_word(e, text, n);
    const dele_pre_step *s = &e->t->pre[step];
    char *spaced = NULL;
    if (s->prefix_space && text[0] != ' ' && text != e->border) {
        spaced = malloc(n + 1);
        if (!spaced)
            return dele_fail(e->err, DELE_ERR_MEMORY,
                             "out of memory while tokenising a text of %zu bytes", n);
        spaced[0] = ' ';
        memcpy(spaced + 1, text, n);
        text = spaced;
        n++;
    }
    dele_status status = s->regex ? cut(e, step, text, n) : dele_pretokenize(e, step + 1, text, n);
    free(spaced);
    return status;
}
