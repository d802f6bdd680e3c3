#include "score/suites/suite.h"

#include <string.h>

#include "base/file.h"
#include "base/former.h"
#include "score/generate_batch.h"
#include "score/report.h"

bool dele_suite_takes(const dele_suite *suite, const char *option)
{
    for (int i = 0; i < DELE_SUITE_MOST_OPTIONS && suite->options[i]; i++)
        if (!strcmp(suite->options[i], option)) return true;
    return false;
}

/* ---- items ----------------------------------------------------------------------------------- */

static size_t line_of(const dele_scoring *s, size_t i) { return s->first + s->before + i; }

/* An item's line: what the suite measured, and what the decoder did. */
static void describe(dele_items_line *line, dele_scoring *s, size_t i)
{
    *line = (dele_items_line){0};
    s->suite->line(line, s, i);
    if (s->decoder && s->decoder->line) s->decoder->line(s->decoder->data, line);
}

/* The item of the last line that was described is done, now or in an earlier run. */
static void count(const dele_scoring *s)
{
    if (s->decoder && s->decoder->count) s->decoder->count(s->decoder->data);
}

/* Number of the part's first items that are in items.jsonl, read back. */
static size_t resume_part(dele_scoring *s, dele_err *err)
{
    size_t n = 0;
    for (; n < s->part[s->at].n && dele_items_previous(s->items, line_of(s, n)); n++) {
        dele_items_line line;
        describe(&line, s, n);
        if (!dele_items_resume(s->items, line_of(s, n), &line, err)) break;
        count(s);
    }
    return n;
}

static dele_status take_item(dele_scoring *s, size_t i, dele_err *err)
{
    if (i < s->n_known) return DELE_OK; /* computed again in a batch with others */
    dele_status status = s->suite->item(s, i, err);
    if (!status && s->items) {
        dele_items_line line;
        describe(&line, s, i);
        status = dele_items_put(s->items, line_of(s, i), dele_items_json(&line), err);
    }
    if (!status) count(s);
    dele_arena_reset(&s->scratch);
    return status;
}

dele_status dele_scored(void *scoring, size_t first, size_t n, dele_err *err)
{
    dele_scoring *s = scoring;
    dele_status status = DELE_OK;
    for (size_t i = first; i < first + n && !status; i++) status = take_item(s, i, err);
    if (s->progress)
        dele_progress_set(s->progress, (double)line_of(s, first + n), s->part[s->at].name);
    return status;
}

static dele_status on_output(void *scoring, size_t i, char *text, bool ended, dele_err *err)
{
    dele_scoring *s = scoring;
    s->output = text;
    s->ended = ended;
    return take_item(s, i, err);
}

/* The decoder's log-probabilities of one question's choices. */
static dele_status decoder_question(const dele_decoder *d, dele_question *q, dele_err *err)
{
    for (int c = 0; c < q->n_choices; c++) {
        dele_choice *choice = &q->choice[c];
        const dele_status status = d->logp(d->data, &choice->logp, &choice->greedy, choice->ids,
                                           choice->n, choice->n_scored, err);
        if (status) return status;
    }
    return DELE_OK;
}

/* A decoder's models keep the prefix that questions share, for so many questions.  What they keep
 * is computed again where a run goes on within such a block, so that its numbers are the same. */
enum { KEPT_QUESTIONS = 32 };

static dele_status decoder_questions(dele_scoring *s, dele_question *questions, dele_err *err)
{
    const dele_decoder *d = s->decoder;
    const size_t n = s->part[s->at].n;
    if (s->n_known == n) return DELE_OK;
    for (size_t i = s->n_known - s->n_known % KEPT_QUESTIONS; i < n; i++) {
        if (i % KEPT_QUESTIONS == 0) d->forget(d->data);
        if (decoder_question(d, &questions[i], err) || dele_scored(s, i, 1, err)) return err->code;
    }
    return DELE_OK;
}

dele_status dele_score_questions(dele_scoring *s, dele_question *questions, dele_err *err)
{
    const dele_decoder *d = s->decoder;
    if (d && !d->logp)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--decoder %s has no log-likelihoods, which --suite %s scores; --suite "
                         "choices --generate scores what is generated",
                         d->name, s->suite->name);
    if (d) return decoder_questions(s, questions, err);
    const dele_choices_opts opts = {.n_known = s->n_known, .scored = dele_scored, .data = s};
    return dele_choices_score(questions, s->part[s->at].n, s->run, s->model, &opts, err);
}

/* Says which prompt leaves no room for an answer, before any of the part is answered. */
static dele_status check_prompt(const dele_scoring *s, size_t i, const dele_decoder_prompt *prompt,
                                int max_new, dele_err *err)
{
    const char *name = s->part[s->at].name;
    dele_err own = {0};
    if (!s->decoder->check(s->decoder->data, prompt, max_new, &own)) return DELE_OK;
    return dele_fail(err, own.code, "%s: question %zu%s%s: %s", s->opts->data, i + 1,
                     name ? " of " : "", name ? name : "", own.msg);
}

/* One prompt after the other. */
static dele_status decoder_outputs(dele_scoring *s, const char *const *prompts,
                                   const char *const *asked, int max_new, dele_err *err)
{
    dele_arena arena = {0};
    dele_status status = DELE_OK;
    for (size_t i = s->n_known; i < s->part[s->at].n && !status; i++) {
        const dele_decoder_prompt prompt = {asked ? asked[i] : NULL, prompts[i]};
        status = check_prompt(s, i, &prompt, max_new, err);
    }
    for (size_t i = s->n_known; i < s->part[s->at].n && !status; i++) {
        const dele_decoder_prompt prompt = {asked ? asked[i] : NULL, prompts[i]};
        char *text = NULL;
        bool ended = false;
        status =
            s->decoder->generate(s->decoder->data, &text, &ended, &prompt, max_new, &arena, err);
        if (!status) status = on_output(s, i, text, ended, err);
        if (s->progress)
            dele_progress_set(s->progress, (double)line_of(s, i + 1), s->part[s->at].name);
        dele_arena_reset(&arena);
    }
    dele_arena_release(&arena);
    return status;
}

dele_status dele_score_outputs(dele_scoring *s, const char *const *prompts,
                               const char *const *asked, const dele_layout *chat, int max_new,
                               dele_err *err)
{
    if (s->decoder) return decoder_outputs(s, prompts, asked, max_new, err);
    const dele_generate_batch_opts opts = {.chat = chat,
                                           .max_new = max_new,
                                           .n_known = s->n_known,
                                           .on_output = on_output,
                                           .data = s,
                                           .progress = s->progress,
                                           .before = line_of(s, 0)};
    return dele_generate_batch(prompts, s->part[s->at].n, s->run, s->model, &opts, err);
}

/* ---- all of a suite -------------------------------------------------------------------------- */

dele_status dele_suite_check(const dele_scoring *s, dele_err *err)
{
    const dele_model *const models[] = {s->model, s->reference};
    for (int i = 0; i < 2; i++)
        if (models[i] && !models[i]->tokenizer)
            return dele_fail(err, DELE_ERR_DATA,
                             "%s has no tokenizer: put its tokenizer.json there",
                             models[i]->path ? models[i]->path : "the model");
    return DELE_OK;
}

static dele_status score_parts(dele_scoring *s, dele_err *err)
{
    for (s->at = s->before = 0; s->at < s->n_parts && !err->code; s->before += s->part[s->at++].n) {
        s->n_known = resume_part(s, err);
        if (!err->code) s->suite->score(s, err);
        dele_arena_reset(&s->part_arena);
    }
    dele_arena_release(&s->part_arena);
    dele_arena_release(&s->scratch);
    return err->code;
}

dele_status dele_suite_score(dele_scoring *s, dele_err *err)
{
    return score_parts(s, err) ? err->code : s->suite->total(s, err);
}

dele_status dele_suite_run(dele_scoring *s, const char *title, dele_err *err)
{
    dele_progress progress;
    size_t total = s->first;
    if (dele_suite_check(s, err) || s->suite->load(s, err)) return err->code;
    for (size_t p = 0; p < s->n_parts; p++) total += s->part[p].n;
    dele_progress_begin(&progress, s->quiet ? NULL : stderr, title, s->suite->unit, (double)total);
    s->progress = &progress;
    score_parts(s, err);
    dele_progress_end(&progress);
    s->progress = NULL;
    return err->code ? err->code : s->suite->total(s, err);
}

dele_status dele_suite_one_part(dele_scoring *s, const char *name, size_t n, dele_err *err)
{
    dele_suite_part *part = DELE_NEW(s->arena, dele_suite_part, 1, err);
    if (!part) return DELE_ERR_MEMORY;
    *part = (dele_suite_part){name, n};
    s->part = part;
    s->n_parts = 1;
    return DELE_OK;
}

/* ---- options --------------------------------------------------------------------------------- */

dele_status dele_suite_only_compat(const dele_scoring *s, const char *known, dele_err *err)
{
    if (!s->opts->compat || !strcmp(s->opts->compat, known)) return DELE_OK;
    return dele_fail(err, DELE_ERR_USAGE, "--compat %s: --suite %s has %s only", s->opts->compat,
                     s->suite->name, known);
}

int dele_suite_max_new(const dele_scoring *s, int usual)
{
    return s->opts->max_new ? s->opts->max_new : usual;
}

/* ---- other results --------------------------------------------------------------------------- */

cJSON *dele_suite_result(const char *path, const char *suite, dele_arena *arena, dele_err *err)
{
    const char *file =
        dele_printf(arena, err, dele_path_is_dir(path) ? "%s/eval.json" : "%s", path);
    cJSON *json = file && !dele_former_refuse(file, err) ? dele_json_load_result(file, err) : NULL;
    const char *theirs = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "suite"));
    if (!json || (theirs && !strcmp(theirs, suite))) return json;
    if (!theirs) theirs = "unknown";
    dele_fail(err, DELE_ERR_DATA, "%s is a result of suite %s; one of %s is needed", path, theirs,
              suite);
    cJSON_Delete(json);
    return NULL;
}

/* A number of the retrained model says something beside ours only where both were scored in the
 * same way. */
static dele_status same_setting(const dele_suite_opts *o, const cJSON *retrained, const char *name,
                                const char *ours, dele_err *err)
{
    const char *theirs = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(retrained, name));
    if (ours && theirs ? !strcmp(ours, theirs) : ours == theirs) return DELE_OK;
    return dele_fail(
        err, DELE_ERR_DATA,
        "--retrained %s was scored %s%s%s%s, this model %s%s%s%s; score both with the same",
        o->retrained, theirs ? "with --" : "without --", name, theirs ? " " : "",
        theirs ? theirs : "", ours ? "with --" : "without --", name, ours ? " " : "",
        ours ? ours : "");
}

cJSON *dele_suite_retrained(const dele_scoring *s, bool prompts, dele_err *err)
{
    const dele_suite_opts *o = s->opts;
    cJSON *json =
        o->retrained ? dele_suite_result(o->retrained, s->suite->name, s->arena, err) : NULL;
    if (!json || (!same_setting(o, json, "compat", o->compat, err) &&
                  (!prompts || (!same_setting(o, json, "chat", dele_chat_name[o->chat], err) &&
                                !same_setting(o, json, "template", o->template, err)))))
        return json;
    cJSON_Delete(json);
    return NULL;
}
