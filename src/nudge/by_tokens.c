/* Nudging between models of one vocabulary: nudging_with_caching.ipynb of the released code.  Ids
 * are handed over, so that no text is encoded again.
 *
 *   round   nudger   drafts `window` ids; if it ends its text, all of them end the answer
 *           base     takes over at the first id that begins a word (not the first of the draft) and
 *                    before which its top-1 probability exceeds gamma; without one the whole draft
 *                    is accepted
 *                    goes on, id by id, while that probability exceeds gamma */
#include <string.h>

#include "nudge/rounds.h"
#include "text/continuation.h"

/* Both models' ids: their prompt and the answer. */
typedef struct {
    int *id;
    size_t first, n, room;
} sequence;

static dele_status begin(sequence *s, dele_nudge_job *j, dele_nudge_writer who, dele_err *err)
{
    dele_ids ids;
    if (dele_nudge_context(&ids, j, who, "", 0, err)) return err->code;
    const size_t longest = dele_completer_longest(&j->n->model[who]);
    s->room = ids.n + (size_t)j->n->opts.max_new;
    if (s->room > longest) s->room = longest;
    s->room += (size_t)j->n->opts.window + 1;
    s->id = DELE_NEW(j->arena, int, s->room, err);
    if (!s->id) return DELE_ERR_MEMORY;
    memcpy(s->id, ids.id, ids.n * sizeof *s->id);
    s->first = s->n = ids.n;
    return DELE_OK;
}

static void put(sequence s[2], const int *id, size_t n)
{
    for (int who = 0; who < 2; who++) {
        memcpy(s[who].id + s[who].n, id, n * sizeof *id);
        s[who].n += n;
    }
}

/* Appends to the text what ids `from` .. of the answer add to it. */
static dele_status write_ids(dele_nudge_job *j, const sequence *s, dele_nudge_writer by,
                             dele_err *err)
{
    const dele_tokenizer *t = j->n->model[DELE_NUDGE_BASE].model->tokenizer;
    const char *text = dele_decode_continuation(t, s->id, s->first, s->id + s->first,
                                                s->n - s->first, true, &j->round, err);
    if (!text) return DELE_ERR_MEMORY;
    const size_t n = strlen(text);
    const bool cut = n >= 3 && !memcmp(text + n - 3, "\xef\xbf\xbd", 3);
    if (cut || n < j->length) return DELE_OK; /* a character's last byte is still to come */
    return dele_nudge_append(j, text + j->length, n - j->length, by, err);
}

/* Whether id i of a sequence begins a word: its text has a blank in front. */
static bool begins_word(const dele_nudge_job *j, const int *id, size_t i, dele_arena *arena,
                        dele_err *err)
{
    const char *text = dele_decode_continuation(j->n->model[DELE_NUDGE_NUDGER].model->tokenizer, id,
                                                i, id + i, 1, false, arena, err);
    return text && *text == ' ';
}

/* Up to `room` ids by the nudger, in draft.  *ended: it ended its text (the stop is the last id),
 * or there is no room for a window. */
static dele_status draft_window(int *draft, size_t *n, bool *ended, dele_nudge_job *j,
                                const sequence *s, size_t room, dele_err *err)
{
    const size_t window = (size_t)j->n->opts.window;
    dele_completion w;
    dele_status status = dele_completion_begin(&w, s->id, s->n, window, &j->round, err);
    for (*n = 0, *ended = false; !status && *n < window && !*ended;) {
        if (*n == room) {
            *ended = true;
            break;
        }
        status = dele_nudge_more(&w, j, DELE_NUDGE_NUDGER, "", err);
        *n = w.n;
        *ended = w.stopped;
    }
    if (status) return status;
    memcpy(draft, w.id + w.first, *n * sizeof *draft);
    for (int who = 0; who < 2; who++)
        if (dele_nudge_remember(j, (dele_nudge_writer)who, draft, *n, err)) return err->code;
    return DELE_OK;
}

/* Where in the draft [n] the base takes over, n: nowhere.  all: the base's ids with the draft
 * after them. */
static dele_status find_takeover(size_t *at, dele_next_token *next, dele_nudge_job *j,
                                 const int *all, size_t first, size_t n, const sequence *nudger,
                                 const int *draft, dele_err *err)
{
    dele_completer *base = &j->n->model[DELE_NUDGE_BASE];
    int *own = DELE_NEW(&j->round, int, nudger->n + n, err);
    if (!own) return DELE_ERR_MEMORY;
    memcpy(own, nudger->id, nudger->n * sizeof *own);
    memcpy(own + nudger->n, draft, n * sizeof *own);
    if (j->n->opts.verify == DELE_NUDGE_DRAFT &&
        dele_completer_prepare(base, all, first + n, first + 1, NULL, 0, err))
        return err->code;
    for (*at = 1; *at < n; ++*at) {
        if (!begins_word(j, own, nudger->n + *at, &j->round, err)) {
            if (err->code) return err->code;
            continue;
        }
        j->result->base_questions++;
        if (dele_completer_next(next, base, all, first + *at, err)) return err->code;
        if (next->p > j->n->opts.gamma) return DELE_OK;
    }
    *at = n;
    return DELE_OK;
}

/* The base's ids while they are likely enough. */
static dele_status write_base_ids(dele_nudge_job *j, sequence s[2], dele_err *err)
{
    dele_completer *base = &j->n->model[DELE_NUDGE_BASE];
    sequence *own = &s[DELE_NUDGE_BASE];
    while (own->n - own->first < (size_t)j->n->opts.max_new) {
        dele_next_token next;
        if (dele_completer_stops(base, own->id[own->n - 1])) break;
        for (int who = 0; who < 2 && !j->full; who++)
            j->full = s[who].n + 1 > dele_completer_longest(&j->n->model[who]);
        if (j->full) break;
        dele_completion w; /* one token, with a draft after it */
        if (dele_completion_begin(&w, own->id, own->n, 1, &j->round, err) ||
            dele_nudge_more(&w, j, DELE_NUDGE_BASE, "", err))
            return err->code;
        next = (dele_next_token){w.id[w.first], w.p[0]};
        if (!(next.p > j->n->opts.gamma)) break;
        put(s, &next.id, 1);
    }
    return DELE_OK;
}

dele_status dele_nudge_by_tokens(dele_nudge_job *j, dele_err *err)
{
    const dele_nudge_opts *o = &j->n->opts;
    dele_nudge_result *result = j->result;
    sequence s[2];
    dele_completer *base = &j->n->model[DELE_NUDGE_BASE];
    sequence *own = &s[DELE_NUDGE_BASE], *nudger = &s[DELE_NUDGE_NUDGER];
    if (begin(nudger, j, DELE_NUDGE_NUDGER, err) || begin(own, j, DELE_NUDGE_BASE, err))
        return err->code;
    int *draft = DELE_NEW(j->arena, int, (size_t)o->window + 1, err);
    if (!draft) return DELE_ERR_MEMORY;
    result->stop = DELE_NUDGE_LENGTH;
    for (;;) {
        dele_arena_reset(&j->round);
        const size_t written = own->n - own->first;
        if (written >= (size_t)o->max_new) break;
        if (result->rounds >= o->max_rounds) {
            result->stop = DELE_NUDGE_ROUNDS;
            break;
        }
        for (int who = 0; who < 2; who++)
            j->full |= s[who].n + (size_t)o->window + 1 > dele_completer_longest(&j->n->model[who]);
        if (j->full) {
            result->stop = DELE_NUDGE_CONTEXT;
            break;
        }
        result->rounds++;
        size_t n = 0, at = 0, before = own->n;
        bool ended;
        dele_next_token next;
        if (draft_window(draft, &n, &ended, j, nudger, (size_t)o->max_new - written, err))
            return err->code;
        if (ended) {
            put(s, draft, n);
            if (dele_completer_stops(&j->n->model[DELE_NUDGE_NUDGER], draft[n - 1]))
                result->stop = DELE_NUDGE_ENDED;
            if (write_ids(j, own, DELE_NUDGE_NUDGER, err)) return err->code;
            break;
        }
        memcpy(own->id + before, draft, n * sizeof *draft);
        if (find_takeover(&at, &next, j, own->id, before, n, nudger, draft, err)) return err->code;
        put(s, draft, at);
        if (write_ids(j, own, DELE_NUDGE_NUDGER, err)) return err->code;
        if (at < n) put(s, &next.id, 1);
        if (write_base_ids(j, s, err) || write_ids(j, own, DELE_NUDGE_BASE, err)) return err->code;
        if (dele_completer_stops(base, own->id[own->n - 1])) {
            result->stop = DELE_NUDGE_ENDED;
            break;
        }
    }
    return DELE_OK;
}
