#include "nudge/proxy_tuning.h"

#include <string.h>

#include "text/continuation.h"

enum { BASE, TUNED, UNTUNED, N_MODELS };

static void tuned_logits(double *to, const float *const *z, size_t vocab)
{
    for (size_t v = 0; v < vocab; v++)
        to[v] = (double)z[BASE][v] + ((double)z[TUNED][v] - (double)z[UNTUNED][v]);
}

dele_status dele_proxy_init(dele_joint *j, const dele_model *const *models,
                            const dele_layout *const *layouts, dele_err *err)
{
    const dele_status status = dele_joint_init(j, models, layouts, N_MODELS, tuned_logits, err);
    if (status || j->one_vocabulary) return status;
    return dele_fail(err, DELE_ERR_DATA,
                     "proxy tuning adds logits: its three models must have one vocabulary; nudging "
                     "and the ensemble take models of several");
}

/* A model's prompt, with room for max_new ids after it; *room becomes less where its context does
 * not have so many. */
static dele_status begin_sequence(dele_ids *ids, size_t *room, const dele_completer *c,
                                  const dele_nudge_prompt *prompt, size_t max_new,
                                  dele_arena *arena, dele_err *err)
{
    const size_t longest = dele_completer_longest(c);
    dele_ids own;
    if (dele_encode_as(&own, c->model->tokenizer, prompt->text, strlen(prompt->text), prompt->part,
                       arena, err))
        return err->code;
    if (own.n + *room > longest) *room = longest > own.n ? longest - own.n : 0;
    *ids = (dele_ids){.id = DELE_NEW(arena, int, own.n + max_new, err), .n = own.n};
    if (!ids->id) return DELE_ERR_MEMORY;
    if (own.n) memcpy(ids->id, own.id, own.n * sizeof *own.id);
    return DELE_OK;
}

dele_status dele_proxy_generate(char **text, bool *ended, dele_joint *j,
                                const dele_nudge_prompt *prompts, int max_new, dele_arena *arena,
                                dele_err *err)
{
    dele_ids ids[N_MODELS];
    size_t made = 0, room = (size_t)max_new;
    dele_joint_forget(j);
    for (int i = 0; i < N_MODELS; i++)
        if (begin_sequence(&ids[i], &room, &j->model[i], &prompts[i], (size_t)max_new, arena, err))
            return err->code;
    *ended = false;
    while (made < room) {
        int next;
        if (dele_joint_next(&next, j, ids, err)) return err->code;
        *ended = dele_completer_stops(&j->model[BASE], next) ||
                 dele_completer_stops(&j->model[TUNED], next);
        if (*ended) break;
        for (int i = 0; i < N_MODELS; i++) ids[i].id[ids[i].n++] = next;
        made++;
    }
    const size_t first = ids[BASE].n - made;
    *text = dele_decode_continuation(j->model[BASE].model->tokenizer, ids[BASE].id, first,
                                     ids[BASE].id + first, made, true, arena, err);
    return *text ? DELE_OK : DELE_ERR_MEMORY;
}
