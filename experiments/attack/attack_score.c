/* A form put to a model: every ask scored and said, a line in items.jsonl for each.
 *
 *   exact_match     every token that should come is the most likely after those before it: greedy
 *                   continuation says them
 *   contains        what should come stands, as whole words, in what is said (score/answer_match.h)
 *   rougeL_recall   of what should come, in what is said, words stemmed (score/rouge.h)
 *   p               the geometric mean of the probabilities of the tokens that should come
 *
 * exact_match and p come from one forward pass over the given tokens, the other two from the text
 * generated greedily. */
#include "experiments/attack/attack.h"

#include <math.h>
#include <string.h>

#include "score/answer_match.h"
#include "score/generate_batch.h"
#include "score/rouge.h"
#include "template/pytext.h"

const char *const attack_measure_names[ATTACK_N_MEASURES] = {"exact_match", "contains",
                                                             "rougeL_recall", "p"};

typedef struct {
    attack_pass *pass;
    const attack_set *set;
    const attack_score_opts *o;
    const dele_tokenizer *tokenizer;
    dele_arena scratch;
} scoring;

/* The line of ask i; given and generated are only written. */
static dele_items_line item_line(const attack_pass *pass, const attack_set *set, size_t i,
                                 const char *given, const char *generated, bool *ended)
{
    const attack_ask *ask = &pass->form->ask[i];
    dele_items_line line = {0};
    dele_key_text(&line, "model", pass->model);
    dele_key_text(&line, "form", pass->form->name);
    dele_key_text(&line, "id", set->row[ask->row].id);
    dele_key_text(&line, "output", ask->target);
    dele_line_text(&line, "given", given);
    dele_line_text(&line, "generated", generated);
    for (int m = 0; m < ATTACK_N_MEASURES; m++) {
        const bool known = !pass->writers || m == ATTACK_CONTAINS || m == ATTACK_ROUGE;
        if (!known) pass->score[i].of[m] = NAN;
        if (known)
            dele_line_real(&line, attack_measure_names[m], &pass->score[i].of[m], 0, 1 + 1e-6);
    }
    if (pass->writers) {
        dele_line_whole(&line, "found_by", &pass->writers[i].found, 0, ATTACK_N_FOUND - 1);
        dele_line_real(&line, "nudging_tokens", &pass->writers[i].nudger, 0, 1);
    }
    dele_line_bool(&line, "ended", ended);
    return line;
}

/* contains and rougeL_recall of a text. */
static dele_status score_text(double *score, const char *target, const char *text,
                              dele_arena *scratch, dele_err *err)
{
    const dele_answers answers = {.text = &target, .n = 1};
    dele_rouge rouge;
    bool exact, contains;
    if (dele_answer_match(&exact, &contains, &answers, text, scratch, err) ||
        dele_rouge_l(&rouge, target, text, true, scratch, err))
        return err->code;
    score[ATTACK_CONTAINS] = contains;
    score[ATTACK_ROUGE] = rouge.recall;
    return DELE_OK;
}

/* The generated text completes the scores of ask i, whose token scores score_tokens has set before;
 * its line is written at once, so that an interrupted run resumes after it. */
static dele_status on_output(void *data, size_t i, char *text, bool ended, dele_err *err)
{
    scoring *s = data;
    const attack_ask *ask = &s->pass->form->ask[i];
    double *score = s->pass->score[i].of;
    dele_arena_reset(&s->scratch);
    const char *given =
        dele_decode(s->tokenizer, ask->ids, (size_t)ask->first, false, &s->scratch, err);
    if (!given || score_text(score, ask->target, text, &s->scratch, err)) return err->code;
    const dele_items_line line = item_line(s->pass, s->set, i, given, text, &ended);
    return dele_items_put(s->o->items, s->pass->first + i, dele_items_json(&line), err);
}

static bool begins_character(char c) { return ((unsigned char)c & 0xc0) != 0x80; }

static dele_status contains(bool *is, const char *target, const char *text, size_t n,
                            dele_arena *scratch, dele_err *err)
{
    const dele_answers answers = {.text = &target, .n = 1};
    bool exact;
    const char *part = dele_strndup(scratch, text, n, err);
    if (!part || dele_answer_match(&exact, is, &answers, part, scratch, err)) return err->code;
    dele_arena_reset(scratch);
    return DELE_OK;
}

/* Who wrote the answer in a text that contains it: the shortest beginning of the text that contains
 * it, where no word goes on, ends after it, and the shortest end of that begins with it. */
static dele_status find_writer(int *found, const char *target, const char *text,
                               const unsigned char *by, dele_arena *scratch, dele_err *err)
{
    const size_t n = strlen(text);
    size_t end = 0, begin = 0;
    for (bool in = false; end < n && !in;) {
        for (end++; end < n && !begins_character(text[end]);) end++;
        if (contains(&in, target, text, end, scratch, err)) return err->code;
        in = in && !dele_word_at(text + end);
    }
    for (size_t at = 1; at < end; at++) {
        bool in;
        if (!begins_character(text[at]) || dele_word_before(text, text + at)) continue;
        if (contains(&in, target, text + at, end - at, scratch, err)) return err->code;
        if (in) begin = at;
    }
    *found = ATTACK_FOUND_NOT;
    for (size_t i = begin; i < end; i++) *found |= by[i];
    return DELE_OK;
}

dele_status attack_pass_put(attack_pass *pass, const attack_set *set, size_t i, const char *given,
                            char *text, const unsigned char *by, bool ended,
                            const attack_score_opts *o, dele_err *err)
{
    const attack_ask *ask = &pass->form->ask[i];
    double *score = pass->score[i].of;
    dele_arena scratch = {0};
    dele_status status = score_text(score, ask->target, text, &scratch, err);
    pass->writers[i].found = ATTACK_FOUND_NOT;
    if (!status && score[ATTACK_CONTAINS] == 1)
        status = find_writer(&pass->writers[i].found, ask->target, text, by, &scratch, err);
    if (!status) {
        const dele_items_line line = item_line(pass, set, i, given, text, &ended);
        status = dele_items_put(o->items, pass->first + i, dele_items_json(&line), err);
    }
    if (o->progress) dele_progress_set(o->progress, (double)(pass->first + i + 1), NULL);
    dele_arena_release(&scratch);
    return status;
}

static dele_status score_tokens(scoring *s, dele_run *run, const dele_model *model,
                                dele_arena *arena, dele_err *err)
{
    const attack_form *form = s->pass->form;
    dele_scored_text *texts = DELE_NEW(arena, dele_scored_text, form->n, err);
    if (!texts) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < form->n; i++)
        texts[i] = (dele_scored_text){
            .ids = form->ask[i].ids, .n = form->ask[i].n, .first = form->ask[i].first};
    const dele_token_opts opts = {.router = s->o->router};
    dele_status status = dele_token_scores(texts, form->n, run, model, &opts, arena, err);
    for (size_t i = 0; i < form->n && !status; i++) {
        bool all = true;
        for (int t = 0; t < texts[i].n - texts[i].first; t++) all = all && texts[i].greedy[t];
        s->pass->score[i].of[ATTACK_EXACT] = all;
        s->pass->score[i].of[ATTACK_P] = exp(-dele_scored_loss(&texts[i]));
    }
    return status;
}

size_t attack_pass_resume(attack_pass *pass, const attack_set *set, dele_items *items,
                          dele_err *err)
{
    size_t n = 0;
    bool ended;
    for (; n < pass->form->n && dele_items_previous(items, pass->first + n); n++) {
        const dele_items_line line = item_line(pass, set, n, NULL, NULL, &ended);
        if (!dele_items_resume(items, pass->first + n, &line, err)) break;
    }
    return n;
}

bool attack_pass_done(attack_pass *pass, const attack_set *set, dele_items *items, dele_err *err)
{
    return attack_pass_resume(pass, set, items, err) == pass->form->n;
}

dele_status attack_pass_run(attack_pass *pass, const attack_set *set, dele_run *run,
                            const dele_model *model, const attack_score_opts *o, dele_err *err)
{
    dele_arena arena = {0};
    scoring s = {.pass = pass, .set = set, .o = o, .tokenizer = model->tokenizer};
    dele_ids *given = DELE_NEW(&arena, dele_ids, pass->form->n, err);
    int *ids = NULL;
    size_t total = 0;
    for (size_t i = 0; i < pass->form->n; i++) total += (size_t)pass->form->ask[i].first;
    if (given) ids = DELE_NEW(&arena, int, total, err); /* dele_ids are the writer's */
    dele_status status = ids ? DELE_OK : DELE_ERR_MEMORY;
    for (size_t i = 0; i < pass->form->n && !status; i++) {
        const attack_ask *ask = &pass->form->ask[i];
        given[i] = (dele_ids){ids, (size_t)ask->first};
        memcpy(ids, ask->ids, given[i].n * sizeof *ids);
        ids += ask->first;
    }
    const dele_generate_batch_opts say = {.chat = o->chat,
                                          .router = o->router,
                                          .max_new = o->max_new,
                                          .encoded = given,
                                          .n_known = attack_pass_resume(pass, set, o->items, err),
                                          .on_output = on_output,
                                          .data = &s,
                                          .progress = o->progress,
                                          .before = pass->first};
    if (!status) status = err->code;
    if (!status) status = score_tokens(&s, run, model, &arena, err);
    if (!status) status = dele_generate_batch(NULL, pass->form->n, run, model, &say, err);
    dele_arena_release(&s.scratch);
    dele_arena_release(&arena);
    return status;
}
