/* Pre-tokenizers: a text is split into words, and the model never joins what a split separates.
 *
 * A tokenizer has a list of steps; each splits a text into pieces, and each piece goes through the
 * next step at once.  A step splits at the matches of a pattern (Split, and ByteLevel with GPT-2's
 * pattern) or at the characters of a class (Digits, Punctuation, white space), by one of five
 * behaviours; ByteLevel then goes on with bytes, and Metaspace writes blanks as another character.
 */
#include "text/encoder.h"

#include <stdlib.h>
#include <string.h>

#include "text/regex.h"
#include "text/unicode.h"

/* ---- splitting ------------------------------------------------------------------------------- */

typedef struct {
    dele_encoder *e;
    int step;
    dele_place place; /* of the text */
    const char *text;
    size_t start, stop; /* a pending piece, for the behaviours that merge neighbours */
    bool holding, holding_match;
} cutter;

/* The next step for a piece of a text.  Only the piece at the text's beginning is where the text
 * is. */
static dele_status go_on(dele_encoder *e, int step, const char *text, size_t start, size_t stop,
                         dele_place place)
{
    const dele_pre_step *s = &e->t->pre[step];
    if (start == stop) return DELE_OK;
    if (start) place = DELE_PLACE_WITHIN;
    if (!s->written) return dele_pretokenize(e, step + 1, text + start, stop - start, place);
    size_t n = 0;
    char *written = malloc(2 * (stop - start));
    if (!written)
        return dele_fail(e->err, DELE_ERR_MEMORY,
                         "out of memory while tokenising a text of %zu bytes", stop - start);
    for (size_t i = start; i < stop; i++)
        n += dele_utf8_put(written + n, dele_byte_to_char((unsigned char)text[i]));
    dele_status status = dele_pretokenize(e, step + 1, written, n, place);
    free(written);
    return status;
}

static dele_status let_go(cutter *c)
{
    if (!c->holding) return DELE_OK;
    c->holding = false;
    return go_on(c->e, c->step, c->text, c->start, c->stop, c->place);
}

/* One part of the text, a match or the text between two matches.  An empty match splits there. */
static dele_status take(cutter *c, size_t start, size_t stop, bool match)
{
    const dele_pre_step *step = &c->e->t->pre[c->step];
    if (start == stop && !match) return DELE_OK;
    if (step->invert) match = !match;
    bool joins = false;
    switch (step->behavior) {
    case DELE_SPLIT_BEHAVIOR_REMOVED:
        if (match) return let_go(c);
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

/* Divides a text by a step's pattern or class: matches, and the stretches between them, go on to
 * the next step according to the step's behaviour (take). */
static dele_status cut(dele_encoder *e, int step, const char *text, size_t n, dele_place place)
{
    const dele_pre_step *s = &e->t->pre[step];
    cutter c = {.e = e, .step = step, .text = text, .place = place};
    dele_regex_search search = {.regex = s->regex, .match = e->match, .text = text, .n = n};
    dele_status status = DELE_OK;
    size_t done = 0;
    for (size_t at = 0, used; !s->regex && at < n && !status; at += used) {
        const int32_t ch = dele_utf8_next(text + at, n - at, &used);
        if (s->in_class ? !s->in_class(ch) : ch != s->delimiter) continue;
        status = take(&c, done, at, false);
        if (!status) status = take(&c, at, at + used, true);
        done = at + used;
    }
    for (bool found = s->regex; found && !status;) {
        status = dele_regex_next(&search, &found, e->err);
        if (status || !found) break;
        status = take(&c, done, search.start, false);
        if (!status) status = take(&c, search.start, search.stop, true);
        done = search.stop;
    }
    if (!status) status = take(&c, done, n, false);
    return status ? status : let_go(&c);
}

/* Puts `before` before a text, malloc-ed. */
static char *put_before(dele_encoder *e, const dele_text_span *before, const char *text, size_t n)
{
    char *made = malloc(before->n + n);
    if (!made)
        dele_fail(e->err, DELE_ERR_MEMORY, "out of memory while tokenising a text of %zu bytes", n);
    if (made) memcpy(made, before->text, before->n);
    if (made) memcpy(made + before->n, text, n);
    return made;
}

static dele_status split_bytes(dele_encoder *e, int step, const char *text, size_t n,
                               dele_place place)
{
    static const dele_text_span blank = {" ", 1};
    const dele_pre_step *s = &e->t->pre[step];
    char *spaced = NULL;
    if (s->prefix_space && text[0] != ' ' && place != DELE_PLACE_CONTINUATION) {
        if (!(spaced = put_before(e, &blank, text, n))) return DELE_ERR_MEMORY;
        text = spaced;
        n++;
    }
    dele_status status =
        s->regex ? cut(e, step, text, n, place) : go_on(e, step, text, 0, n, place);
    free(spaced);
    return status;
}

/* Blanks are replaced, one is put before the text as `prepend` says, and each begins a word. */
static dele_status split_blanks(dele_encoder *e, int step, const char *text, size_t n,
                                dele_place place)
{
    const dele_pre_step *s = &e->t->pre[step];
    const dele_text_span *mark = &s->replacement;
    const bool has = text[0] == ' ' || (n >= mark->n && !memcmp(text, mark->text, mark->n));
    const bool prepend = !has && place != DELE_PLACE_CONTINUATION &&
                         (s->prepend == DELE_PREPEND_ALWAYS ||
                          (s->prepend == DELE_PREPEND_FIRST && place == DELE_PLACE_BEGIN));
    size_t blanks = prepend, used = 0;
    for (size_t i = 0; i < n; i++) blanks += text[i] == ' ';
    char *made = malloc(n + blanks * mark->n);
    if (!made)
        return dele_fail(e->err, DELE_ERR_MEMORY,
                         "out of memory while tokenising a text of %zu bytes", n);
    if (prepend) memcpy(made, mark->text, mark->n), used = mark->n;
    for (size_t i = 0; i < n; i++)
        if (text[i] == ' ')
            memcpy(made + used, mark->text, mark->n), used += mark->n;
        else
            made[used++] = text[i];
    dele_status status =
        s->split ? cut(e, step, made, used, place) : go_on(e, step, made, 0, used, place);
    free(made);
    return status;
}

dele_status dele_pretokenize(dele_encoder *e, int step, const char *text, size_t n,
                             dele_place place)
{
    if (!n) return DELE_OK;
    if (step == e->t->n_pre)
        return e->t->model == DELE_MODEL_UNIGRAM ? dele_unigram_word(e, text, n)
                                                 : dele_bpe_word(e, text, n);
    switch (e->t->pre[step].kind) {
    case DELE_PRE_BYTE_LEVEL:
        return split_bytes(e, step, text, n, place);
    case DELE_PRE_METASPACE:
        return split_blanks(e, step, text, n, place);
    default:
        return cut(e, step, text, n, place);
    }
}
