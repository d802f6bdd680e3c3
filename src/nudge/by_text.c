/* The rounds of nudging where words are handed over: completion_with_nudging and complete_with_base
 * of the released code, whose order of tests is kept. */
#include <string.h>

#include "nudge/rounds.h"
#include "nudge/words.h"

/* The base's answer at a hand-over: the words that were accepted before it and its completion. */
typedef struct {
    size_t accepted; /* words */
    bool handed;
    dele_completion base;
} hand_over;

/* ---- the nudger's window --------------------------------------------------------------------- */

/* The nudger's completion of its prompt and the text so far. */
static dele_status complete_nudger(dele_completion *w, bool *fits, dele_nudge_job *j, dele_err *err)
{
    const size_t window = (size_t)j->n->opts.window;
    dele_ids ids;
    if (dele_nudge_context(&ids, j, DELE_NUDGE_NUDGER, "", 0, err)) return err->code;
    *fits = dele_nudge_fits(j, DELE_NUDGE_NUDGER, ids.n, window);
    if (!*fits) return DELE_OK;
    dele_status status = dele_completion_begin(w, ids.id, ids.n, window, &j->round, err);
    while (!status && w->n < window && !w->stopped)
        status = dele_nudge_more(w, j, DELE_NUDGE_NUDGER, "", err);
    if (status) return status;
    return dele_nudge_remember(j, DELE_NUDGE_NUDGER, w->id + w->first, w->n, err);
}

/* Makes known, in one pass of the base, what follows the text with each beginning of the draft that
 * ends with a word: one sequence, the whole draft, for those whose ids are its beginning; for the
 * others (ids at the border of a word may differ) a segment each. */
static dele_status verify(dele_nudge_job *j, const char *draft, const dele_words *words,
                          dele_err *err)
{
    dele_completer *base = &j->n->model[DELE_NUDGE_BASE];
    dele_ids whole, *other = DELE_NEW(&j->round, dele_ids, words->n, err);
    size_t n_other = 0;
    if (!other || dele_nudge_context(&whole, j, DELE_NUDGE_BASE, draft, strlen(draft), err))
        return err->code;
    const size_t longest = dele_completer_longest(base);
    if (whole.n > longest) whole.n = longest;
    size_t from = whole.n;
    for (size_t k = 1; k < words->n; k++) {
        dele_ids ids;
        if (words->start[k] + 1 == words->start[k + 1]) continue; /* an empty word */
        if (dele_nudge_context(&ids, j, DELE_NUDGE_BASE, draft, dele_words_length(words, k), err))
            return err->code;
        if (ids.n > whole.n || memcmp(ids.id, whole.id, ids.n * sizeof *ids.id))
            other[n_other++] = ids;
        else if (ids.n < from)
            from = ids.n;
    }
    if (dele_nudge_remember(j, DELE_NUDGE_BASE, whole.id + from, whole.n - from, err))
        return err->code;
    return dele_completer_prepare(base, whole.id, whole.n, from, other, n_other, err);
}

/* Whether the base goes on after the first k words: its next token begins word k, which a blank
 * precedes, or is likely enough.  A special token has no text, which any word begins with. */
static bool takes_over(const dele_nudge_job *j, const char *draft, const dele_words *words,
                       size_t k, const dele_completion *base)
{
    const char *word = draft + words->start[k] - 1;
    const size_t length = words->start[k + 1] - words->start[k], n = base->end[0];
    if (n <= length && !memcmp(word, base->text, n)) return true;
    return !(base->p[0] < j->n->opts.gamma);
}

/* Goes through the words of the draft: the first one is accepted, and further ones until the base
 * takes over.  If it never does, all but the last word, which may be cut, are accepted. */
static dele_status find_hand_over(hand_over *h, dele_nudge_job *j, const char *draft,
                                  const dele_words *words, dele_err *err)
{
    const size_t window = (size_t)j->n->opts.window;
    *h = (hand_over){.accepted = words->n > 1 ? words->n - 1 : 1};
    if (words->n > 1 && j->n->opts.verify == DELE_NUDGE_DRAFT && verify(j, draft, words, err))
        return err->code;
    for (size_t k = 1; k < words->n && !h->handed; k++) {
        if (words->start[k] + 1 == words->start[k + 1]) continue; /* an empty word */
        const size_t length = dele_words_length(words, k);
        const char *pending = dele_strndup(&j->round, draft, length, err);
        dele_ids ids;
        if (!pending || dele_nudge_context(&ids, j, DELE_NUDGE_BASE, draft, length, err))
            return err->code;
        if (!dele_nudge_fits(j, DELE_NUDGE_BASE, ids.n, window)) break;
        if (dele_completion_begin(&h->base, ids.id, ids.n, window, &j->round, err) ||
            dele_nudge_more(&h->base, j, DELE_NUDGE_BASE, pending, err))
            return err->code;
        j->result->base_fetched += window;
        h->handed = takes_over(j, draft, words, k, &h->base);
        if (h->handed) h->accepted = k;
    }
    return DELE_OK;
}

/* ---- the base's text ------------------------------------------------------------------------- */

static const char *chunk_text(const dele_completion *w, size_t first)
{
    return w->n ? w->text + (first ? w->end[first - 1] : 0) : "";
}

/* Completes the chunk from token `first` on as far as its use depends on it.  *low: its first token
 * below gamma, or its end.  Tokens after that one count in the chunk's text alone, which is
 * compared with `text`: they are not asked for where the chunk cannot occur in it any more. */
static dele_status scan(size_t *low, dele_nudge_job *j, dele_completion *w, size_t first,
                        const char *text, dele_err *err)
{
    bool found = false;
    for (size_t i = first;; i++) {
        if (i == w->n) {
            if (w->stopped || w->n == w->room) break;
            if (dele_nudge_more(w, j, DELE_NUDGE_BASE, first ? "" : text, err)) return err->code;
        }
        if (!found && w->p[i] < j->n->opts.gamma) {
            found = true;
            *low = i;
        }
        if (found && i + 1 == w->n && !strstr(text, chunk_text(w, first))) break;
    }
    if (!found) *low = w->n;
    return DELE_OK;
}

/* The base's text of this round: its first token, and what follows in chunks until a token is below
 * gamma.  Ends where a chunk occurs in this text already, or its accepted part in all text. */
static dele_status write_base(char **written, dele_nudge_job *j, dele_completion *w, dele_err *err)
{
    const dele_nudge_opts *o = &j->n->opts;
    size_t used, count;
    if (dele_nudge_count(&used, j, j->text, j->length, err)) return err->code;
    const long budget = (long)o->max_new - (long)used;
    char *text = dele_strndup(&j->round, w->text, w->end[0], err);
    for (size_t first = 1;; first = 0) {
        if (!text || dele_nudge_count(&count, j, text, strlen(text), err)) return err->code;
        if ((long)count >= budget) break;
        if (!first) {
            dele_ids ids;
            if (dele_nudge_context(&ids, j, DELE_NUDGE_BASE, text, strlen(text), err))
                return err->code;
            if (!dele_nudge_fits(j, DELE_NUDGE_BASE, ids.n, (size_t)o->window)) break;
            if (dele_completion_begin(w, ids.id, ids.n, (size_t)o->window, &j->round, err))
                return err->code;
            j->result->base_fetched += (size_t)o->window;
        }
        size_t low = 0;
        if (scan(&low, j, w, first, text, err)) return err->code;
        const bool found = low < w->n;
        const char *chunk = chunk_text(w, first);
        if (strstr(text, chunk)) break;
        const size_t begin = first ? w->end[first - 1] : 0;
        const size_t end = low > first ? w->end[low - 1] : begin;
        char *accepted = dele_strndup(&j->round, chunk, end - begin, err);
        const char *all = dele_printf(&j->round, err, "%s%s", j->text, text);
        if (!accepted || !all) return err->code;
        if (dele_words_repeated(accepted, all)) break;
        text = dele_printf(&j->round, err, "%s%s", text, accepted);
        if (found || (!first && w->stopped)) break;
    }
    *written = text;
    return text ? DELE_OK : DELE_ERR_MEMORY;
}

/* Whether the base's completion has any text. */
static dele_status says_something(bool *some, dele_nudge_job *j, dele_completion *w, dele_err *err)
{
    while (!w->end[w->n - 1] && !w->stopped && w->n < w->room)
        if (dele_nudge_more(w, j, DELE_NUDGE_BASE, "", err)) return err->code;
    *some = w->end[w->n - 1] > 0;
    return DELE_OK;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* What one round proposes is compared with earlier ones: the same words for the fourth time in
 * sequence end the answer. */
typedef struct {
    char *last;
    int repeated;
    bool ended; /* there is a reason to stop: result->stop */
} rounds;

static dele_status stop(rounds *r, dele_nudge_job *j, dele_nudge_stop why)
{
    r->ended = true;
    j->result->stop = why;
    return DELE_OK;
}

static dele_status one_round(rounds *r, dele_nudge_job *j, dele_err *err)
{
    dele_completion nudger;
    dele_words words;
    hand_over h;
    bool fits, some = false;
    char *text = NULL;
    if (complete_nudger(&nudger, &fits, j, err)) return err->code;
    if (!fits) return DELE_OK;
    const char *draft = nudger.text;
    if (nudger.stopped) {
        if (dele_nudge_append(j, draft, strlen(draft), DELE_NUDGE_NUDGER, err)) return err->code;
        return stop(r, j, DELE_NUDGE_ENDED);
    }
    if (dele_words_split(&words, draft, &j->round, err) ||
        find_hand_over(&h, j, draft, &words, err))
        return err->code;
    const char *accepted =
        dele_strndup(&j->round, draft, dele_words_length(&words, h.accepted), err);
    if (!accepted) return err->code;
    if (!strcmp(accepted, r->last)) {
        if (++r->repeated >= 3) return stop(r, j, DELE_NUDGE_REPEATED);
    } else {
        r->last = dele_strdup(j->arena, accepted, err);
        r->repeated = 0;
    }
    if (!r->last || dele_nudge_append(j, accepted, strlen(accepted), DELE_NUDGE_NUDGER, err))
        return err->code;
    if (!h.handed) return DELE_OK;
    if (says_something(&some, j, &h.base, err)) return err->code;
    if (!some) return DELE_OK;
    if (write_base(&text, j, &h.base, err)) return err->code;
    return dele_nudge_append(j, text, strlen(text), DELE_NUDGE_BASE, err);
}

dele_status dele_nudge_by_text(dele_nudge_job *j, dele_err *err)
{
    const dele_nudge_opts *o = &j->n->opts;
    dele_nudge_result *result = j->result;
    rounds r = {.last = dele_strdup(j->arena, "", err)};
    size_t count = 0;
    if (!r.last) return DELE_ERR_MEMORY;
    for (;;) {
        dele_arena_reset(&j->round);
        if (dele_nudge_count(&count, j, j->text, j->length, err)) return err->code;
        if (r.ended || j->full || count >= (size_t)o->max_new || result->rounds >= o->max_rounds)
            break;
        result->rounds++;
        if (one_round(&r, j, err)) return err->code;
    }
    if (!r.ended)
        result->stop = j->full                           ? DELE_NUDGE_CONTEXT
                       : result->rounds >= o->max_rounds ? DELE_NUDGE_ROUNDS
                                                         : DELE_NUDGE_LENGTH;
    return DELE_OK;
}
