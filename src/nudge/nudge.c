#include "nudge/nudge.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nudge/prompt.h"
#include "nudge/rounds.h"
#include "nudge/words.h"
#include "text/continuation.h"

const char *const dele_nudge_verify_name[] = {"draft", "plain", NULL};
const char *const dele_nudge_stop_name[] = {"ended", "repeated", "rounds", "length", "context"};

/* The base's operations for a token in terms of the nudger's from which on drafts pay. */
enum { DRAFTS_PAY = 6 };

/* ---- opening --------------------------------------------------------------------------------- */

static dele_status check_opts(const dele_nudge_opts *o, dele_err *err)
{
    if (!(o->gamma >= 0)) return dele_fail(err, DELE_ERR_USAGE, "gamma must be at least 0");
    if (o->window < 1 || o->window > 1 << 16)
        return dele_fail(err, DELE_ERR_USAGE, "the window must be of 1 to 65536 tokens");
    if (o->max_new < 1 || o->max_rounds < 1)
        return dele_fail(err, DELE_ERR_USAGE,
                         "the numbers of new tokens and of rounds must be at least 1");
    if (!(o->base_temperature >= 0) || !(o->nudger_temperature >= 0))
        return dele_fail(err, DELE_ERR_USAGE, "a temperature must be at least 0");
    if (!(o->top_p > 0 && o->top_p <= 1))
        return dele_fail(err, DELE_ERR_USAGE, "top_p must be above 0 and at most 1");
    return DELE_OK;
}

/* Operations for one token after a short text. */
static double token_flops(const dele_model *m)
{
    const dele_config *c = &m->config;
    return dele_layers_flops(c, (size_t)c->n_layers, 256) + dele_head_flops(c, 1);
}

dele_nudge *dele_nudge_open(const dele_model *base, const dele_model *nudger,
                            const dele_layout *base_layout, const dele_layout *nudger_layout,
                            const dele_nudge_opts *opts, dele_err *err)
{
    if (check_opts(opts, err)) return NULL;
    dele_nudge *n = calloc(1, sizeof *n);
    if (!n) {
        dele_fail(err, DELE_ERR_MEMORY, "out of memory for two models' texts");
        return NULL;
    }
    n->opts = *opts;
    dele_completer_opts own = {.temperature = opts->nudger_temperature,
                               .top_p = 1,
                               .seed = opts->seed,
                               .uncached = opts->uncached};
    dele_status status =
        dele_completer_init(&n->model[DELE_NUDGE_NUDGER], nudger, nudger_layout, &own, err);
    own.temperature = opts->base_temperature;
    own.top_p = opts->top_p;
    own.seed = ~opts->seed;
    if (!status)
        status = dele_completer_init(&n->model[DELE_NUDGE_BASE], base, base_layout, &own, err);
    if (!status && opts->tokens && !dele_tokenizer_same_ids(base->tokenizer, nudger->tokenizer))
        status = dele_fail(err, DELE_ERR_UNSUPPORTED,
                           "the two models have different vocabularies, so that tokens cannot be "
                           "handed over; nudge by text (without --tokens)");
    n->counter = opts->counter ? opts->counter : base->tokenizer;
    n->nudger_drafts = token_flops(base) >= DRAFTS_PAY * token_flops(nudger);
    if (!status) return n;
    dele_nudge_close(n);
    return NULL;
}

void dele_nudge_close(dele_nudge *n)
{
    if (!n) return;
    for (int i = 0; i < 2; i++) dele_completer_release(&n->model[i]);
    free(n);
}

dele_status dele_nudge_check(const dele_nudge *n, const dele_nudge_prompt *base_prompt,
                             const dele_nudge_prompt *nudger_prompt, dele_err *err)
{
    const dele_nudge_prompt *const prompt[] = {
        [DELE_NUDGE_NUDGER] = nudger_prompt, [DELE_NUDGE_BASE] = base_prompt};
    const size_t more = (size_t)n->opts.window + n->opts.tokens;
    for (int who = 0; who < 2; who++)
        if (dele_nudge_prompt_fits(prompt[who], &n->model[who], more, err)) return err->code;
    return DELE_OK;
}

/* ---- the result ------------------------------------------------------------------------------ */

/* The text's tokens as the base reads them after its prompt, and its probabilities, most of which
 * are known.  A tokenizer that changes the text gives none. */
static dele_status score(dele_nudge_job *j, dele_err *err)
{
    dele_completer *base = &j->n->model[DELE_NUDGE_BASE];
    const dele_nudge_prompt *p = j->prompt[DELE_NUDGE_BASE];
    const char *all = dele_printf(&j->round, err, "%s%s", p->text, j->text);
    dele_continued_ids ids;
    if (!all ||
        dele_encode_continuation(&ids, base->model->tokenizer, all, strlen(all), strlen(p->text),
                                 p->part == DELE_ENCODE_BEGIN, DELE_STRADDLE_SPLIT, &j->round, err))
        return err->code;
    const size_t n = ids.n - ids.first;
    if (!n || !ids.first || ids.n > dele_completer_longest(base)) return DELE_OK;
    dele_nudge_token *token = DELE_NEW(j->arena, dele_nudge_token, n, err);
    if (!token || dele_completer_prepare(base, ids.id, ids.n - 1, ids.first, NULL, 0, err))
        return err->code;
    size_t end = 0, span = 0;
    for (size_t i = 0; i < n; i++) {
        dele_next_token next;
        const size_t before = ids.first + i;
        char *text = dele_decode_continuation(base->model->tokenizer, ids.id, ids.first,
                                              ids.id + ids.first, i + 1, false, &j->round, err);
        if (!text || dele_completer_next(&next, base, ids.id, before, err)) return err->code;
        size_t to = strlen(text);
        while (to > end && (to > j->length || memcmp(text, j->text, to))) to--;
        while (to > end && ((unsigned char)j->text[to] & 0xc0) == 0x80) to--;
        while (span + 1 < j->n_spans && j->span[span].from + j->span[span].n <= end) span++;
        token[i] =
            (dele_nudge_token){.from = end, .n = to - end, .by = j->span[span].by, .p = next.p};
        end = to;
    }
    if (end != j->length) return DELE_OK;
    j->result->token = token;
    j->result->n_tokens = n;
    return DELE_OK;
}

/* Moves a run of the whole text into the answer, its bytes from .. from + n - 1; false: it lies
 * outside. */
static bool clip(size_t *at, size_t *length, size_t from, size_t n)
{
    const size_t begin = *at > from ? *at : from;
    const size_t end = *at + *length < from + n ? *at + *length : from + n;
    if (begin >= end) return false;
    *at = begin - from;
    *length = end - begin;
    return true;
}

/* The answer: the whole text or what the rules about repetition leave of it, with the runs of it
 * that are left. */
static dele_status finish(dele_nudge_job *j, dele_err *err)
{
    dele_nudge_result *r = j->result;
    size_t from = 0, n = j->length, kept = 0;
    if (!j->n->opts.tokens && dele_without_repetition(&from, &n, j->text, err)) return err->code;
    r->text = dele_strndup(j->arena, j->text + from, n, err);
    if (!r->text) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < j->n_spans; i++) {
        dele_nudge_span s = j->span[i];
        if (!clip(&s.from, &s.n, from, n)) continue;
        if (dele_nudge_count(&s.n_tokens, j, r->text + s.from, s.n, err)) return err->code;
        r->written[s.by] += s.n_tokens;
        j->span[kept++] = s;
    }
    r->span = j->span;
    r->n_spans = kept;
    dele_nudge_token *token = (dele_nudge_token *)r->token;
    kept = 0;
    for (size_t i = 0; i < r->n_tokens; i++) {
        dele_nudge_token t = token[i];
        if (clip(&t.from, &t.n, from, n)) token[kept++] = t;
    }
    r->n_tokens = kept;
    return DELE_OK;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

dele_status dele_nudge_generate(dele_nudge_result *result, dele_nudge *n,
                                const dele_nudge_prompt *base_prompt,
                                const dele_nudge_prompt *nudger_prompt, dele_arena *arena,
                                dele_err *err)
{
    const double begun = now();
    dele_nudge_job j = {.n = n, .result = result, .arena = arena};
    *result = (dele_nudge_result){0};
    j.prompt[DELE_NUDGE_BASE] = base_prompt;
    j.prompt[DELE_NUDGE_NUDGER] = nudger_prompt;
    j.text = DELE_NEW(arena, char, j.room = 1024, err);
    size_t passes[2], rows[2];
    for (int i = 0; i < 2; i++) dele_completer_forget(&n->model[i]);
    for (int i = 0; i < 2; i++) passes[i] = n->model[i].passes, rows[i] = n->model[i].rows;
    dele_status status = j.text ? DELE_OK : DELE_ERR_MEMORY;
    if (!status) status = dele_nudge_check(n, base_prompt, nudger_prompt, err);
    if (!status)
        status = n->opts.tokens ? dele_nudge_by_tokens(&j, err) : dele_nudge_by_text(&j, err);
    for (int i = 0; i < 2; i++) {
        result->passes[i] = n->model[i].passes - passes[i];
        result->rows[i] = n->model[i].rows - rows[i];
    }
    result->seconds = now() - begun;
    if (!status && !n->opts.unscored) status = score(&j, err);
    if (!status) status = finish(&j, err);
    dele_arena_release(&j.round);
    return status;
}
