#include "nudge/ensemble.h"

#include <math.h>
#include <string.h>

#include "tensor/ops.h"
#include "text/continuation.h"

enum { BASE, TUNED, N_MODELS, TOP = 5 };

static void mean_of_both(double *to, const float *const *z, size_t vocab)
{
    const double base = log_sum_exp(z[BASE], vocab), tuned = log_sum_exp(z[TUNED], vocab);
    for (size_t v = 0; v < vocab; v++) {
        const double a = z[BASE][v] - base, b = z[TUNED][v] - tuned, most = a > b ? a : b;
        to[v] = most + log((exp(a - most) + exp(b - most)) / 2);
    }
}

dele_status dele_ensemble_init(dele_joint *j, const dele_model *const *models,
                               const dele_layout *const *layouts, dele_err *err)
{
    return dele_joint_init(j, models, layouts, N_MODELS, mean_of_both, err);
}

/* One answer under way. */
typedef struct {
    dele_joint *j;
    const dele_nudge_prompt *prompts;
    const char *text; /* so far, in the caller's arena */
    dele_completion w[N_MODELS];
    int window;
    dele_arena round;
} ensemble_job;

/* ---- a window -------------------------------------------------------------------------------- */

static dele_status begin_window(bool *fits, ensemble_job *job, int i, dele_err *err)
{
    const dele_nudge_prompt *p = &job->prompts[i];
    dele_completer *c = &job->j->model[i];
    const char *all = dele_printf(&job->round, err, "%s%s", p->text, job->text);
    dele_ids ids;
    if (!all ||
        dele_encode_as(&ids, c->model->tokenizer, all, strlen(all), p->part, &job->round, err))
        return err->code;
    *fits = ids.n + (size_t)job->window <= dele_completer_longest(c);
    return !*fits ? DELE_OK
                  : dele_completion_begin(&job->w[i], ids.id, ids.n, (size_t)job->window,
                                          &job->round, err);
}

static bool is_complete(const dele_completion *w) { return w->stopped || w->n == w->room; }

/* Tokens up to number n, if there are so many. */
static dele_status complete(ensemble_job *job, int i, size_t n, dele_err *err)
{
    dele_completion *w = &job->w[i];
    while (w->n < n && !is_complete(w))
        if (dele_completion_more(w, &job->j->model[i], &job->round, err)) return err->code;
    return DELE_OK;
}

/* Tokens with text: a stop has none. */
static size_t n_texts(const dele_completion *w) { return w->n - w->stopped; }

/* The text of token k of a window. */
static const char *token_text(const ensemble_job *job, int i, size_t k, size_t *n)
{
    const dele_completion *w = &job->w[i];
    const size_t from = k ? w->end[k - 1] : 0;
    *n = w->end[k] - from;
    return w->text + from;
}

static bool same_token(const ensemble_job *job, size_t k)
{
    size_t n, m;
    const char *a = token_text(job, BASE, k, &n), *b = token_text(job, TUNED, k, &m);
    return n == m && !memcmp(a, b, n);
}

/* ---- the five most likely tokens ------------------------------------------------------------- */

typedef struct {
    const char *text;
    double p;
} candidate;

/* The candidates of a model after the first k tokens of its window, the most likely first. */
static dele_status top_tokens(candidate *top, ensemble_job *job, int i, size_t k, dele_err *err)
{
    dele_completer *c = &job->j->model[i];
    const dele_completion *w = &job->w[i];
    const size_t vocab = (size_t)c->model->config.vocab, n = w->first + k;
    float *z = DELE_NEW(&job->round, float, vocab, err);
    if (!z || dele_completer_logits(z, c, w->id, n, 1, err)) return err->code;
    const double lse = log_sum_exp(z, vocab);
    for (int t = 0; t < TOP && (size_t)t < vocab; t++) {
        const size_t best = argmax(z, vocab);
        const int id = (int)best;
        top[t].p = exp(z[best] - lse);
        z[best] = -INFINITY;
        top[t].text = best < (size_t)dele_tokenizer_size(c->model->tokenizer)
                          ? dele_decode_continuation(c->model->tokenizer, w->id, n, &id, 1, true,
                                                     &job->round, err)
                          : "";
        if (!top[t].text) return DELE_ERR_MEMORY;
    }
    return DELE_OK;
}

/* The text with the largest sum; the first of equals, the base's candidates before the others. */
static dele_status choose_text(const char **chosen, ensemble_job *job, size_t k, dele_err *err)
{
    candidate top[N_MODELS * TOP] = {{0}};
    if (top_tokens(top, job, BASE, k, err) || top_tokens(top + TOP, job, TUNED, k, err))
        return err->code;
    double most = -1;
    for (int a = 0; a < N_MODELS * TOP; a++) {
        double sum = 0;
        for (int b = 0; top[a].text && b < N_MODELS * TOP; b++)
            if (top[b].text && !strcmp(top[a].text, top[b].text)) sum += top[b].p;
        if (top[a].text && sum > most) most = sum, *chosen = top[a].text;
    }
    return DELE_OK;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* The first token of a model's window that has text; "" if none has. */
static const char *first_text(ensemble_job *job, int i, dele_err *err)
{
    if (complete(job, i, (size_t)job->window, err)) return NULL;
    for (size_t k = 0; k < n_texts(&job->w[i]); k++) {
        size_t n;
        const char *text = token_text(job, i, k, &n);
        if (n) return dele_strndup(&job->round, text, n, err);
    }
    return "";
}

/* What a round adds to the text; "": neither model has anything to say, or a context is full. */
static const char *accepted(bool *ended, ensemble_job *job, dele_err *err)
{
    bool fits[N_MODELS];
    for (int i = 0; i < N_MODELS; i++)
        if (begin_window(&fits[i], job, i, err)) return NULL;
    if (!fits[BASE] || !fits[TUNED]) return "";
    if (complete(job, TUNED, (size_t)job->window, err)) return NULL;
    *ended = job->w[TUNED].stopped;
    if (*ended) return job->w[TUNED].text;
    const char *more = "";
    size_t k = 0, common = 0;
    for (; k < (size_t)job->window; k++) {
        if (complete(job, BASE, k + 1, err)) return NULL;
        if (n_texts(&job->w[BASE]) <= k) break;
        if (!same_token(job, k)) {
            if (choose_text(&more, job, k, err)) return NULL;
            break;
        }
        common = job->w[BASE].end[k];
    }
    more = dele_printf(&job->round, err, "%.*s%s", (int)common, job->w[BASE].text, more);
    for (int i = 0; more && !*more && i < N_MODELS; i++) more = first_text(job, i, err);
    return more;
}

/* Tokens of the text so far. */
static dele_status count(size_t *n, ensemble_job *job, dele_err *err)
{
    dele_ids ids;
    const dele_status status =
        dele_encode_as(&ids, job->j->model[BASE].model->tokenizer, job->text, strlen(job->text),
                       DELE_ENCODE_BARE, &job->round, err);
    *n = status ? 0 : ids.n;
    return status;
}

dele_status dele_ensemble_generate(char **text, bool *ended, dele_joint *j,
                                   const dele_nudge_prompt *prompts, int window, int max_new,
                                   dele_arena *arena, dele_err *err)
{
    ensemble_job job = {.j = j, .prompts = prompts, .text = "", .window = window};
    *ended = false;
    dele_joint_forget(j);
    for (size_t n = 0; n < (size_t)max_new && !*ended;) {
        const char *more = accepted(ended, &job, err);
        const char *all = more ? dele_printf(arena, err, "%s%s", job.text, more) : NULL;
        if (!all) break;
        job.text = all;
        if (!*more || count(&n, &job, err)) break;
        dele_arena_reset(&job.round);
    }
    dele_arena_release(&job.round);
    if (err->code) return err->code;
    *text = dele_strdup(arena, job.text, err);
    return *text ? DELE_OK : DELE_ERR_MEMORY;
}
