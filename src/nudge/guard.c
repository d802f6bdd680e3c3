#include "nudge/guard.h"

#include <math.h>
#include <string.h>

#include "tensor/ops.h"
#include "text/continuation.h"

enum { ORIGINAL, GUARD, N_MODELS };

dele_status dele_guard_init(dele_joint *j, const dele_model *const *models,
                            const dele_layout *layout, dele_err *err)
{
    const dele_layout *const layouts[] = {layout, layout};
    const dele_status status = dele_joint_init(j, models, layouts, N_MODELS, NULL, err);
    if (status || j->one_vocabulary) return status;
    return dele_fail(err, DELE_ERR_DATA,
                     "the guardrail compares probabilities of tokens: both models must have one "
                     "vocabulary");
}

/* The next token after id [n], and who writes it.  z [2, vocab of each]: scratch. */
static dele_status next_token(int *token, dele_nudge_writer *by, dele_joint *j, const int *id,
                              size_t n, const dele_guard_opts *o, float *const *z, dele_err *err)
{
    for (int i = 0; i < N_MODELS; i++)
        if (dele_completer_logits(z[i], &j->model[i], id, n, 1, err)) return err->code;
    const size_t top = argmax(z[ORIGINAL], j->vocab);
    const double logp = z[ORIGINAL][top] - log_sum_exp(z[ORIGINAL], j->vocab),
                 guard = z[GUARD][top] - log_sum_exp(z[GUARD], j->vocab);
    const bool fires = exp(logp) >= o->tau && logp - guard >= o->margin;
    *by = fires ? DELE_NUDGE_NUDGER : DELE_NUDGE_BASE;
    *token = (int)(fires ? argmax(z[GUARD], j->vocab) : top);
    return DELE_OK;
}

/* Spans of the text from who wrote each token; a token's text ends where that of all tokens up to
 * it does. */
static dele_status make_spans(dele_guard_result *r, const dele_joint *j, const int *id, size_t n,
                              const dele_nudge_writer *by, dele_arena *arena, dele_err *err)
{
    dele_nudge_span *span = DELE_NEW(arena, dele_nudge_span, r->n_tokens + 1, err);
    if (!span) return DELE_ERR_MEMORY;
    r->span = span;
    for (size_t t = 0, at = 0; t < r->n_tokens; t++) {
        const char *text = dele_decode_continuation(j->model[ORIGINAL].model->tokenizer, id, n,
                                                    id + n, t + 1, true, arena, err);
        if (!text) return DELE_ERR_MEMORY;
        size_t end = strlen(text);
        if (end < at || t + 1 == r->n_tokens) end = t + 1 == r->n_tokens ? strlen(r->text) : at;
        if (!r->n_spans || span[r->n_spans - 1].by != by[t])
            span[r->n_spans++] = (dele_nudge_span){.from = at, .by = by[t], .round = 1};
        span[r->n_spans - 1].n += end - at;
        span[r->n_spans - 1].n_tokens++;
        at = end;
    }
    return DELE_OK;
}

dele_status dele_guard_generate(dele_guard_result *r, dele_joint *j, const int *id, size_t n,
                                int max_new, const dele_guard_opts *o, dele_arena *arena,
                                dele_err *err)
{
    float *z[N_MODELS];
    int *all = DELE_NEW(arena, int, n + (size_t)max_new, err);
    dele_nudge_writer *by = DELE_NEW(arena, dele_nudge_writer, (size_t)max_new, err);
    *r = (dele_guard_result){0};
    for (int i = 0; i < N_MODELS; i++)
        if (!(z[i] = DELE_NEW(arena, float, (size_t)j->model[i].model->config.vocab, err)))
            return DELE_ERR_MEMORY;
    if (!all || !by) return DELE_ERR_MEMORY;
    memcpy(all, id, n * sizeof *all);
    dele_joint_forget(j);
    size_t longest = n + (size_t)max_new;
    for (int i = 0; i < N_MODELS; i++)
        if (longest > dele_completer_longest(&j->model[i]))
            longest = dele_completer_longest(&j->model[i]);
    while (n + r->n_tokens < longest) {
        const size_t at = n + r->n_tokens;
        if (next_token(&all[at], &by[r->n_tokens], j, all, at, o, z, err)) return err->code;
        const bool guarded = by[r->n_tokens] == DELE_NUDGE_NUDGER;
        r->ended = dele_completer_stops(&j->model[guarded ? GUARD : ORIGINAL], all[at]);
        if (r->ended) break;
        r->n_tokens++;
        r->n_guarded += guarded;
    }
    r->text = dele_decode_continuation(j->model[ORIGINAL].model->tokenizer, all, n, all + n,
                                       r->n_tokens, true, arena, err);
    return r->text ? make_spans(r, j, all, n, by, arena, err) : DELE_ERR_MEMORY;
}
