/* Drafts of what a model will say, which cost it few passes: a pass over one row and a pass over
 * some rows more take nearly the same time where a model's weights are what has to be read. */
#include <string.h>

#include "nudge/job.h"
#include "text/behind.h"

enum { DRAFT = 8, SHORT_DRAFT = 4, LONGEST_MATCH = 3, SHORTEST_MATCH = 2 };

size_t dele_nudge_lookup(int *draft, const int *text, size_t n_text, const int *id, size_t n)
{
    for (size_t match = LONGEST_MATCH; match >= SHORTEST_MATCH; match--) {
        if (match > n || match >= n_text) continue;
        const int *last = id + n - match;
        for (size_t at = n_text - match; at-- > 0;) {
            if (memcmp(text + at, last, match * sizeof *text)) continue;
            const size_t most = match == LONGEST_MATCH ? DRAFT : SHORT_DRAFT;
            const size_t follow = n_text - at - match, count = follow < most ? follow : most;
            memcpy(draft, text + at + match, count * sizeof *draft);
            return count;
        }
    }
    return 0;
}

/* What the nudger says next, as ids of the base, if the ids so far stay the same.  behind: text of
 * the base that is not in j->text yet. */
static dele_status draft_by_nudger(dele_ids *whole, dele_nudge_job *j, const dele_completion *w,
                                   const char *behind, dele_err *err)
{
    dele_completer *nudger = &j->n->model[DELE_NUDGE_NUDGER];
    const char *text =
        dele_printf(&j->round, err, "%s%.*s", behind, (int)(w->n ? w->end[w->n - 1] : 0), w->text);
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
                            const char *behind, dele_err *err)
{
    dele_completer *c = &j->n->model[who];
    const size_t n = w->first + w->n;
    dele_next_token next;
    if (who == DELE_NUDGE_BASE) j->result->base_questions++;
    if (j->n->opts.verify == DELE_NUDGE_DRAFT && !dele_completer_known(c, w->id, n, &next)) {
        dele_ids whole = {.n = 0};
        if (who == DELE_NUDGE_BASE && j->n->nudger_drafts &&
            draft_by_nudger(&whole, j, w, behind, err))
            return err->code;
        if (!whole.n) {
            whole.id = DELE_NEW(&j->round, int, n + DRAFT, err);
            if (!whole.id) return err->code;
            memcpy(whole.id, w->id, n * sizeof *whole.id);
            size_t count = 0;
            if (who == DELE_NUDGE_NUDGER)
                count = dele_nudge_lookup(whole.id + n, j->said, j->n_said, w->id, n);
            if (!count) count = dele_nudge_lookup(whole.id + n, w->id, n, w->id, n);
            whole.n = n + count;
        }
        if (prepare(c, &whole, n, err)) return err->code;
    }
    return dele_completion_more(w, c, &j->round, err);
}

dele_status dele_nudge_remember(dele_nudge_job *j, const dele_completion *w, dele_err *err)
{
    if (j->n_said + w->n > j->said_room) {
        const size_t room = 2 * (j->n_said + w->n);
        int *larger = DELE_NEW(j->arena, int, room, err);
        if (!larger) return DELE_ERR_MEMORY;
        if (j->n_said) memcpy(larger, j->said, j->n_said * sizeof *larger);
        j->said = larger;
        j->said_room = room;
    }
    memcpy(j->said + j->n_said, w->id + w->first, w->n * sizeof *j->said);
    j->n_said += w->n;
    return DELE_OK;
}
