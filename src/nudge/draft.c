/* Drafts of what a model will say, which cost it few passes: a pass over one row and a pass over
 * some rows more take nearly the same time where a model's weights are what has to be read. */
#include <string.h>

#include "nudge/job.h"
#include "text/continuation.h"

enum { DRAFT = 8, LONGEST_MATCH = 3 };

/* The ids of a draft after a match of so many ids: few that match by chance cost few rows. */
static size_t draft_length(size_t match) { return match == 3 ? DRAFT : match == 2 ? 4 : 2; }

/* What follows the last occurrence of last [match] in text [n] that something follows. */
static size_t copy_what_follows(int *draft, const int *text, size_t n, const int *last,
                                size_t match)
{
    if (match >= n) return 0;
    for (size_t at = n - match; at-- > 0;) {
        if (memcmp(text + at, last, match * sizeof *text)) continue;
        const size_t most = draft_length(match), follow = n - at - match;
        const size_t count = follow < most ? follow : most;
        memcpy(draft, text + at + match, count * sizeof *draft);
        return count;
    }
    return 0;
}

size_t dele_nudge_lookup(int *draft, const int *earlier, size_t n_earlier, const int *id, size_t n)
{
    for (size_t match = LONGEST_MATCH; match; match--) {
        if (match > n) continue;
        const int *last = id + n - match;
        size_t count = copy_what_follows(draft, earlier, n_earlier, last, match);
        if (!count) count = copy_what_follows(draft, id, n, last, match);
        if (count) return count;
    }
    return 0;
}

/* What the nudger says next, as ids of the base, if the ids so far stay the same.  pending: text of
 * the base that is not in j->text yet. */
static dele_status draft_by_nudger(dele_ids *whole, dele_nudge_job *j, const dele_completion *w,
                                   const char *pending, dele_err *err)
{
    dele_completer *nudger = &j->n->model[DELE_NUDGE_NUDGER];
    const char *text =
        dele_printf(&j->round, err, "%s%.*s", pending, (int)(w->n ? w->end[w->n - 1] : 0), w->text);
    const size_t first = w->first + w->n;
    dele_ids ids, all;
    dele_completion c;
    if (!text || dele_nudge_context(&ids, j, DELE_NUDGE_NUDGER, text, strlen(text), err))
        return err->code;
    if (ids.n + DRAFT > dele_completer_longest(nudger)) return DELE_OK;
    dele_status status = dele_completion_begin(&c, ids.id, ids.n, DRAFT, &j->round, err);
    while (!status && c.n < DRAFT && !c.stopped)
        status = dele_nudge_more(&c, j, DELE_NUDGE_NUDGER, "", err);
    if (status) return status;
    text = dele_printf(&j->round, err, "%s%.*s", text, (int)c.end[c.n - 1], c.text);
    if (!text || dele_nudge_context(&all, j, DELE_NUDGE_BASE, text, strlen(text), err))
        return err->code;
    if (all.n > first && !memcmp(all.id, w->id, first * sizeof *w->id)) *whole = all;
    return DELE_OK;
}

/* Makes known what follows `whole` after its first n ids and after more of them. */
static dele_status prepare(dele_completer *c, dele_ids *whole, size_t n, dele_err *err)
{
    const size_t longest = dele_completer_longest(c);
    if (whole->n > longest) whole->n = longest;
    if (whole->n <= n) return DELE_OK;
    return dele_completer_prepare(c, whole->id, whole->n, n, NULL, 0, err);
}

dele_status dele_nudge_more(dele_completion *w, dele_nudge_job *j, dele_nudge_writer who,
                            const char *pending, dele_err *err)
{
    dele_completer *c = &j->n->model[who];
    const size_t n = w->first + w->n;
    dele_next_token next;
    if (who == DELE_NUDGE_BASE) j->result->base_questions++;
    if (j->n->opts.verify == DELE_NUDGE_DRAFT && !dele_completer_known(c, w->id, n, &next)) {
        dele_ids whole = {.n = 0};
        if (who == DELE_NUDGE_BASE && j->n->nudger_drafts &&
            draft_by_nudger(&whole, j, w, pending, err))
            return err->code;
        if (!whole.n) {
            whole.id = DELE_NEW(&j->round, int, n + DRAFT, err);
            if (!whole.id) return err->code;
            memcpy(whole.id, w->id, n * sizeof *whole.id);
            const dele_ids *said = &j->said[who];
            whole.n = n + dele_nudge_lookup(whole.id + n, said->id, said->n, w->id, n);
        }
        if (prepare(c, &whole, n, err)) return err->code;
    }
    return dele_completion_more(w, c, &j->round, err);
}

dele_status dele_nudge_remember(dele_nudge_job *j, dele_nudge_writer who, const int *id, size_t n,
                                dele_err *err)
{
    dele_ids *said = &j->said[who];
    if (said->n + n > j->said_room[who]) {
        const size_t room = 2 * (said->n + n);
        int *larger = DELE_NEW(j->arena, int, room, err);
        if (!larger) return DELE_ERR_MEMORY;
        if (said->n) memcpy(larger, said->id, said->n * sizeof *larger);
        said->id = larger;
        j->said_room[who] = room;
    }
    if (n) memcpy(said->id + said->n, id, n * sizeof *id);
    said->n += n;
    return DELE_OK;
}
