#include "nudge/job.h"

#include <string.h>

dele_status dele_nudge_append(dele_nudge_job *j, const char *text, size_t n, dele_nudge_writer by,
                              dele_err *err)
{
    if (!n) return DELE_OK;
    if (j->length + n + 1 > j->room) {
        const size_t room = 2 * (j->length + n + 1);
        char *larger = DELE_NEW(j->arena, char, room, err);
        if (!larger) return DELE_ERR_MEMORY;
        memcpy(larger, j->text, j->length);
        j->text = larger;
        j->room = room;
    }
    if (j->n_spans == j->span_room) {
        const size_t room = 2 * j->span_room + 16;
        dele_nudge_span *larger = DELE_NEW(j->arena, dele_nudge_span, room, err);
        if (!larger) return DELE_ERR_MEMORY;
        if (j->n_spans) memcpy(larger, j->span, j->n_spans * sizeof *larger);
        j->span = larger;
        j->span_room = room;
    }
    j->span[j->n_spans++] =
        (dele_nudge_span){.from = j->length, .n = n, .by = by, .round = j->result->rounds};
    memcpy(j->text + j->length, text, n);
    j->length += n;
    j->text[j->length] = 0;
    return DELE_OK;
}

dele_status dele_nudge_count(size_t *count, const dele_nudge_job *j, const char *text, size_t n,
                             dele_err *err)
{
    dele_arena arena = {0};
    dele_ids ids;
    const dele_status status =
        dele_encode_as(&ids, j->n->counter, text, n, DELE_ENCODE_BARE, &arena, err);
    *count = status ? 0 : ids.n;
    dele_arena_release(&arena);
    return status;
}

dele_status dele_nudge_context(dele_ids *ids, dele_nudge_job *j, dele_nudge_writer who,
                               const char *more, size_t n, dele_err *err)
{
    const dele_nudge_prompt *p = j->prompt[who];
    const char *all = dele_printf(&j->round, err, "%s%s%.*s", p->text, j->text, (int)n, more);
    if (!all) return DELE_ERR_MEMORY;
    return dele_encode_as(ids, j->n->model[who].model->tokenizer, all, strlen(all), p->part,
                          &j->round, err);
}

bool dele_nudge_fits(dele_nudge_job *j, dele_nudge_writer who, size_t n, size_t more)
{
    const bool fits = n + more <= dele_completer_longest(&j->n->model[who]);
    j->full |= !fits;
    return fits;
}
