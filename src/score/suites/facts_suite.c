#include "score/suites/facts_suite.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "template/pytext.h"
#include "text/continuation.h"

static const char *const form_name[DELE_FORMS] = {"prompt", "paraphrase"};
static const char *const split_name[DELE_FACT_SPLITS] = {"all", "forget", "retain"};

typedef struct {
    size_t fact;
    dele_form form;
} place;

typedef struct {
    dele_facts facts;
    const dele_layout *chat;
    dele_facts_scores scores;
    dele_question *questions; /* [n] one choice each: the answer */
    place *places;            /* [n] */
    size_t n;
    const char *top; /* the most likely token where the answer begins, of the item being scored */
} facts_state;

static const char *form_text(const dele_fact *fact, dele_form form)
{
    return form == DELE_FORM_PROMPT ? fact->prompt : fact->paraphrase;
}

/* The prompt as a user's turn, the answer as the beginning of the reply. */
static dele_status encode_turn(dele_choice *choice, const dele_tokenizer *t,
                               const dele_layout *chat, const char *text, const char *answer,
                               dele_arena *arena, dele_err *err)
{
    const char *generated = dele_strip(answer, arena, err);
    dele_continued_ids both;
    if (!generated || dele_encode_answer(&both, t, chat, text, generated, true, arena, err))
        return err->code;
    *choice =
        (dele_choice){.ids = both.id, .n = (int)both.n, .n_scored = (int)(both.n - both.first)};
    return DELE_OK;
}

/* Adds a question where the fact has a prompt of this form that fits the model's context. */
static dele_status encode_form(dele_scoring *s, size_t fact_index, dele_form form,
                               const char *answer, dele_err *err)
{
    facts_state *st = s->state;
    const dele_tokenizer *t = s->model->tokenizer;
    const dele_fact *fact = &st->facts.fact[fact_index];
    const char *text = form_text(fact, form);
    if (!text) return DELE_OK;
    dele_choice *c = DELE_NEW(s->arena, dele_choice, 1, err);
    if (!c) return DELE_ERR_MEMORY;
    dele_status status =
        st->chat       ? encode_turn(c, t, st->chat, text, answer, s->arena, err)
        : fact->joined ? dele_choice_encode_joined(c, t, text, answer, INT_MAX / 2, s->arena, err)
                       : dele_choice_encode(c, t, text, answer, INT_MAX / 2, s->arena, err);
    if (status) return status;
    if (c->n > s->model->config.context) {
        st->scores.n_too_long++;
        return DELE_OK;
    }
    if (c->n_scored < 1 || c->n <= c->n_scored)
        return dele_fail(err, DELE_ERR_DATA,
                         "\"%.80s\" cannot be scored after \"%.80s\": one of the two texts has no "
                         "token of its own",
                         answer, text);
    c->n_blank = (int)dele_blank_ids(t, c->ids + c->n - c->n_scored, (size_t)c->n_scored);
    st->questions[st->n] = (dele_question){c, 1};
    st->places[st->n++] = (place){fact_index, form};
    st->scores.fact[fact_index][form] = (dele_fact_score){.n_blank = c->n_blank, .top = -1};
    return DELE_OK;
}

static dele_status encode_facts(dele_scoring *s, dele_err *err)
{
    facts_state *st = s->state;
    for (size_t i = 0; i < st->facts.n; i++) {
        const dele_fact *fact = &st->facts.fact[i];
        char *answer =
            dele_printf(s->arena, err, "%s%s", fact->joined ? "" : dele_between(fact->attribute),
                        fact->attribute);
        if (!answer) return DELE_ERR_MEMORY;
        for (int form = 0; form < DELE_FORMS; form++)
            if (encode_form(s, i, (dele_form)form, answer, err)) return err->code;
    }
    if (st->n) return DELE_OK;
    return dele_fail(err, DELE_ERR_DATA, "%s: no fact fits the model's context of %d tokens",
                     st->facts.path ? st->facts.path : "the facts", s->model->config.context);
}

static dele_fact_score *fact_score_of(const dele_scoring *s, size_t i)
{
    const facts_state *st = s->state;
    return &st->scores.fact[st->places[i].fact][st->places[i].form];
}

static dele_status facts_item(dele_scoring *s, size_t i, dele_err *err)
{
    facts_state *st = s->state;
    const dele_choice *c = st->questions[i].choice;
    dele_fact_score *score = fact_score_of(s, i);
    *score = (dele_fact_score){.p = exp(c->first_logp),
                               .p_answer = exp(c->logp),
                               .rank = c->first_rank,
                               .n_tokens = c->n_scored,
                               .n_blank = c->n_blank,
                               .top = c->first_top,
                               .greedy = c->greedy};
    if (!s->items) return DELE_OK;
    const size_t before = (size_t)(c->n - c->n_scored + c->n_blank);
    st->top = dele_decode_continuation(s->model->tokenizer, c->ids, before, &score->top, 1, false,
                                       &s->scratch, err);
    return err->code;
}

/* The most likely token is in the line, not in the score of a resumed item. */
static void facts_line(dele_items_line *line, dele_scoring *s, size_t i)
{
    facts_state *st = s->state;
    const place *at = &st->places[i];
    const dele_fact *fact = &st->facts.fact[at->fact];
    dele_fact_score *score = fact_score_of(s, i);
    dele_key_number(line, "id", fact->id);
    dele_key_text(line, "subject", fact->subject);
    dele_key_text(line, "relation", fact->relation);
    dele_key_text(line, "split", fact->split);
    dele_key_text(line, "form", form_name[at->form]);
    dele_key_text(line, "text", form_text(fact, at->form));
    dele_key_text(line, "answer", fact->attribute);
    dele_line_real(line, "p", &score->p, 0, 1 + 1e-6);
    dele_line_whole(line, "rank", &score->rank, 1, INT_MAX);
    dele_line_whole(line, "answer_tokens", &score->n_tokens, 1, INT_MAX);
    dele_line_real(line, "p_answer", &score->p_answer, 0, 1 + 1e-6);
    dele_line_bool(line, "greedy", &score->greedy);
    dele_line_text(line, "top", st->top);
}

static dele_status facts_score(dele_scoring *s, dele_err *err)
{
    const facts_state *st = s->state;
    return dele_score_questions(s, st->questions, err);
}

static bool in_split(const dele_fact *fact, dele_fact_split split)
{
    return split == DELE_FACT_SPLIT_ALL ||
           (fact->split && strcmp(fact->split, split_name[split]) == 0);
}

static int by_size(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static double standard_error(double sum, double squares, double n)
{
    double variance = (squares - sum * sum / n) / (n - 1);
    return n > 1 ? sqrt((variance > 0 ? variance : 0) / n) : NAN;
}

/* The means of a split in one form; ranks [n facts] is scratch. */
static dele_facts_cell facts_cell_of(const facts_state *st, dele_fact_split split, dele_form form,
                                     int *ranks)
{
    double p = 0, pp = 0, answer = 0, answers = 0, top1 = 0, reciprocal = 0;
    size_t n = 0;
    for (size_t i = 0; i < st->facts.n; i++) {
        const dele_fact_score *f = &st->scores.fact[i][form];
        if (f->n_tokens == 0 || !in_split(&st->facts.fact[i], split)) continue;
        p += f->p;
        pp += f->p * f->p;
        answer += f->p_answer;
        answers += f->p_answer * f->p_answer;
        top1 += f->rank == 1;
        reciprocal += 1.0 / f->rank;
        ranks[n++] = f->rank;
    }
    if (n == 0) return (dele_facts_cell){0};
    qsort(ranks, n, sizeof *ranks, by_size);
    double N = (double)n;
    return (dele_facts_cell){.n = n,
                             .p = p / N,
                             .p_se = standard_error(p, pp, N),
                             .p_answer = answer / N,
                             .p_answer_se = standard_error(answer, answers, N),
                             .top1 = top1 / N,
                             .top1_se = standard_error(top1, top1, N),
                             .rank_median = (ranks[(n - 1) / 2] + ranks[n / 2]) / 2.0,
                             .reciprocal_rank = reciprocal / N};
}

static dele_status facts_total(dele_scoring *s, dele_err *err)
{
    facts_state *st = s->state;
    int *ranks = DELE_NEW(s->arena, int, st->facts.n, err);
    if (!ranks) return DELE_ERR_MEMORY;
    for (int split = 0; split < DELE_FACT_SPLITS; split++)
        for (int form = 0; form < DELE_FORMS; form++)
            st->scores.cell[split][form] =
                facts_cell_of(st, (dele_fact_split)split, (dele_form)form, ranks);
    return DELE_OK;
}

/* Room for the scores of st->facts, and their questions. */
static dele_status facts_reserve(dele_scoring *s, dele_err *err)
{
    facts_state *st = s->state;
    const size_t n = st->facts.n;
    st->scores.fact = dele_alloc(s->arena, n, sizeof *st->scores.fact, err);
    st->questions = DELE_NEW(s->arena, dele_question, DELE_FORMS * n, err);
    st->places = DELE_NEW(s->arena, place, DELE_FORMS * n, err);
    if (!st->scores.fact || !st->questions || !st->places) return DELE_ERR_MEMORY;
    s->scores = &st->scores;
    return encode_facts(s, err) ? err->code : dele_suite_one_part(s, NULL, st->n, err);
}

dele_status dele_facts_score(dele_facts_scores *scores, const dele_facts *facts, dele_run *run,
                             const dele_model *model, const dele_facts_opts *opts,
                             dele_arena *arena, dele_err *err)
{
    facts_state st = {.facts = *facts, .chat = opts->chat};
    dele_scoring s = {.suite = &dele_suite_facts,
                      .model = model,
                      .run = run,
                      .items = opts->items,
                      .progress = opts->progress,
                      .arena = arena,
                      .state = &st};
    if (!dele_suite_check(&s, err) && !facts_reserve(&s, err) && !dele_suite_score(&s, err))
        *scores = st.scores;
    return err->code;
}

/* ---- the suite ------------------------------------------------------------------------------- */

static dele_status facts_load(dele_scoring *s, dele_err *err)
{
    const dele_suite_opts *o = s->opts;
    facts_state *st = s->state = DELE_NEW(s->arena, facts_state, 1, err);
    if (!st || dele_facts_load(&st->facts, o->data, s->arena, err)) return err->code;
    if (st->facts.note) dele_note("%s: %s", o->data, st->facts.note);
    if (o->limit && (size_t)o->limit < st->facts.n) st->facts.n = (size_t)o->limit;
    if (facts_reserve(s, err)) return err->code;
    const size_t n = st->scores.n_too_long;
    if (n)
        dele_note("%s: %zu prompt%s left out: with the answer, longer than the model's context of "
                  "%d tokens",
                  o->data, n, n == 1 ? " is" : "s are", s->model->config.context);
    return DELE_OK;
}

/* Means by split and form; a split without facts is left out. */
static void facts_json(cJSON *json, const dele_scoring *s)
{
    const facts_state *st = s->state;
    const dele_facts_scores *scores = &st->scores;
    cJSON_AddNumberToObject(json, "n", (double)st->facts.n);
    if (scores->n_too_long) cJSON_AddNumberToObject(json, "too_long", (double)scores->n_too_long);
    for (int split = 0; split < DELE_FACT_SPLITS; split++) {
        if (scores->cell[split][DELE_FORM_PROMPT].n == 0) continue;
        cJSON *forms = cJSON_AddObjectToObject(json, split_name[split]);
        for (int form = 0; form < DELE_FORMS; form++) {
            const dele_facts_cell *c = &scores->cell[split][form];
            if (c->n == 0) continue;
            cJSON *cell = cJSON_AddObjectToObject(forms, form_name[form]);
            cJSON_AddNumberToObject(cell, "n", (double)c->n);
            dele_put_number(cell, "p", c->p);
            dele_put_number(cell, "p_stderr", c->p_se);
            dele_put_number(cell, "top1", c->top1);
            dele_put_number(cell, "top1_stderr", c->top1_se);
            dele_put_number(cell, "rank_median", c->rank_median);
            dele_put_number(cell, "reciprocal_rank", c->reciprocal_rank);
            dele_put_number(cell, "p_answer", c->p_answer);
            dele_put_number(cell, "p_answer_stderr", c->p_answer_se);
        }
    }
}

/* One table: a row for each split and form that has facts. */
static size_t facts_tables(dele_table *t, const dele_scoring *s)
{
    const dele_facts_scores *scores = s->scores;
    dele_table_head(t, "split\tform\tn\tp\tp_stderr\ttop1\ttop1_stderr\trank_median\tp_answer");
    for (int split = 0; split < DELE_FACT_SPLITS; split++)
        for (int form = 0; form < DELE_FORMS; form++) {
            const dele_facts_cell *c = &scores->cell[split][form];
            if (!c->n) continue;
            dele_table_text(t, split_name[split]);
            dele_table_text(t, form_name[form]);
            dele_table_cell(t, "%zu", c->n);
            dele_table_real(t, "%.4f", c->p);
            dele_table_real(t, "%.4f", c->p_se);
            dele_table_real(t, "%.4f", c->top1);
            dele_table_real(t, "%.4f", c->top1_se);
            dele_table_real(t, "%g", c->rank_median);
            dele_table_real(t, "%.4f", c->p_answer);
            dele_table_row(t);
        }
    return 1;
}

const dele_suite dele_suite_facts = {.name = "facts",
                                     .data = "a fact file",
                                     .unit = "prompts",
                                     .item_id = {"id", "form", "text"},
                                     .item_set = "split",
                                     .load = facts_load,
                                     .score = facts_score,
                                     .item = facts_item,
                                     .line = facts_line,
                                     .total = facts_total,
                                     .json = facts_json,
                                     .tables = facts_tables};
