/* Drafts of what the base will say, which cost it few passes: a pass over one row and a pass over
 * some rows more take nearly the same time where a model's weights are what has to be read. */
#include <string.h>

#include "nudge/job.h"
#include "text/behind.h"

enum { DRAFT = 8, LONGEST_MATCH = 3 };

size_t dele_nudge_lookup(int *draft, size_t room, const int *id, size_t n)
{
    for (size_t match = LONGEST_MATCH; match && n > match; match--) {
        const int *last = id + n - match;
        for (size_t at = n - match; at-- > 0;) {
            if (memcmp(id + at, last, match * sizeof *id)) continue;
            const size_t follow = n - at - match, count = follow < room ? follow : room;
            memcpy(draft, id + at + match, count * sizeof *draft);
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
        status = dele_completion_more(&c, nudger, &j->round, err);
    if (status) return status;
    text = dele_printf(&j->round, err, "%s%.*s", text, (int)c.end[c.n - 1], c.text);
    if (!text || dele_nudge_context(&all, j, DELE_NUDGE_BASE, text, strlen(text), err))
        return err->code;
    if (all.n > first && !memcmp(all.id, w->id, first * sizeof *w->id)) *whole = all;
    return DELE_OK;
}

dele_status dele_nudge_base_more(dele_completion *w, dele_nudge_job *j, const char *behind,
                                 dele_err *err)
{
    dele_completer *base = &j->n->model[DELE_NUDGE_BASE];
    const size_t n = w->first + w->n, longest = dele_completer_longest(base);
    dele_next_token next;
    j->result->base_questions++;
    if (j->n->opts.verify == DELE_NUDGE_DRAFT && !dele_completer_known(base, w->id, n, &next)) {
        dele_ids whole = {.n = 0};
        if (j->n->nudger_drafts && draft_by_nudger(&whole, j, w, behind, err)) return err->code;
        if (!whole.n) {
            whole.id = DELE_NEW(&j->round, int, n + DRAFT, err);
            if (!whole.id) return err->code;
            memcpy(whole.id, w->id, n * sizeof *whole.id);
            whole.n = n + dele_nudge_lookup(whole.id + n, DRAFT, w->id, n);
        }
        if (whole.n > longest) whole.n = longest;
        if (whole.n > n && dele_completer_prepare(base, whole.id, whole.n, n, NULL, 0, err))
            return err->code;
    }
    return dele_completion_more(w, base, &j->round, err);
}
