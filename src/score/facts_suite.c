#include "score/facts_suite.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "score/choices.h"
#include "score/pytext.h"
#include "text/behind.h"

static const char *const form_name[DELE_FORMS] = {"prompt", "paraphrase"};
static const char *const split_name[DELE_FACT_SPLITS] = {"all", "forget", "retain"};

typedef struct {
    size_t fact;
    dele_form form;
} place;

typedef struct {
    const dele_facts *facts;
    const dele_model *model;
    const dele_facts_opts *opts;
    dele_question *questions; /* one choice each: the answer */
    place *places;
    size_t n;
    dele_facts_scores *scores;
    dele_arena scratch;
} scoring;

static const char *form_text(const dele_fact *fact, dele_form form)
{
    return form == DELE_FORM_PROMPT ? fact->prompt : fact->paraphrase;
}

/* The prompt as a user's turn, the answer as the beginning of the reply. */
static dele_status encode_turn(dele_choice *choice, const scoring *s, const char *text,
                               const char *answer, dele_arena *arena, dele_err *err)
{
    const char *generated = dele_strip(answer, arena, err);
    dele_ids_behind both;
    if (!generated || dele_encode_answer(&both, s->model->tokenizer, s->opts->chat, text, generated,
                                         true, arena, err))
        return err->code;
    *choice =
        (dele_choice){.ids = both.id, .n = (int)both.n, .n_scored = (int)(both.n - both.first)};
    return DELE_OK;
}

static dele_status encode_facts(scoring *s, dele_arena *arena, dele_err *err)
{
    const dele_tokenizer *t = s->model->tokenizer;
    for (size_t i = 0; i < s->facts->n; i++) {
        const dele_fact *fact = &s->facts->fact[i];
        char *answer = dele_printf(
            arena, err, "%s%s", fact->joined ? "" : dele_between(fact->attribute), fact->attribute);
        if (!answer) return DELE_ERR_MEMORY;
        for (int form = 0; form < DELE_FORMS; form++) {
            const char *text = form_text(fact, (dele_form)form);
            if (!text) continue;
            dele_question *q = &s->questions[s->n];
            q->choice = DELE_NEW(arena, dele_choice, 1, err);
            q->n_choices = 1;
            if (!q->choice) return DELE_ERR_MEMORY;
            dele_choice *c = q->choice;
            dele_status status =
                s->opts->chat ? encode_turn(c, s, text, answer, arena, err)
                : fact->joined
                    ? dele_choice_encode_joined(c, t, text, answer, INT_MAX / 2, arena, err)
                    : dele_choice_encode(c, t, text, answer, INT_MAX / 2, arena, err);
            if (status) return status;
            if (c->n > s->model->config.context) {
                s->scores->n_too_long++;
                continue;
            }
            if (c->n_scored < 1 || c->n <= c->n_scored)
                return dele_fail(
                    err, DELE_ERR_DATA,
                    "\"%.80s\" cannot be scored after \"%.80s\": one of the two texts has no "
                    "token of its own",
                    answer, text);
            c->n_blank = (int)dele_blank_ids(t, c->ids + c->n - c->n_scored, (size_t)c->n_scored);
            s->places[s->n++] = (place){i, (dele_form)form};
        }
    }
    return DELE_OK;
}

/* The fields that identify an item's line; a resumed line is compared with them. */
static cJSON *item_key(const scoring *s, size_t i)
{
    const dele_fact *fact = &s->facts->fact[s->places[i].fact];
    dele_form form = s->places[i].form;
    cJSON *line = cJSON_CreateObject();
    cJSON_AddNumberToObject(line, "id", fact->id);
    cJSON_AddStringToObject(line, "subject", fact->subject);
    if (fact->relation) cJSON_AddStringToObject(line, "relation", fact->relation);
    if (fact->split) cJSON_AddStringToObject(line, "split", fact->split);
    cJSON_AddStringToObject(line, "form", form_name[form]);
    cJSON_AddStringToObject(line, "text", form_text(fact, form));
    cJSON_AddStringToObject(line, "answer", fact->attribute);
    return line;
}

static dele_status put_item(scoring *s, size_t i, const dele_fact_score *score, dele_err *err)
{
    const dele_choice *c = s->questions[i].choice;
    const size_t before = (size_t)(c->n - c->n_scored + c->n_blank);
    char *top = dele_decode_behind(s->model->tokenizer, c->ids, before, &score->top, 1, false,
                                   &s->scratch, err);
    if (!top) return err->code;
    cJSON *line = item_key(s, i);
    cJSON_AddItemToObject(line, "p", dele_json_number(score->p));
    cJSON_AddNumberToObject(line, "rank", score->rank);
    cJSON_AddNumberToObject(line, "answer_tokens", score->n_tokens);
    cJSON_AddItemToObject(line, "p_answer", dele_json_number(score->p_answer));
    cJSON_AddBoolToObject(line, "greedy", score->greedy);
    cJSON_AddStringToObject(line, "top", top);
    return dele_items_put(s->opts->items, i, line, err);
}

static dele_status scored(void *data, size_t first, size_t n, dele_err *err)
{
    scoring *s = data;
    dele_status status = DELE_OK;
    for (size_t i = first; i < first + n && !status; i++) {
        const dele_choice *c = s->questions[i].choice;
        dele_fact_score *score = &s->scores->fact[s->places[i].fact][s->places[i].form];
        *score = (dele_fact_score){.p = exp(c->first_logp),
                                   .p_answer = exp(c->logp),
                                   .rank = c->first_rank,
                                   .n_tokens = c->n_scored,
                                   .n_blank = c->n_blank,
                                   .top = c->first_top,
                                   .greedy = c->greedy};
        if (s->opts->items) status = put_item(s, i, score, err);
    }
    dele_arena_reset(&s->scratch);
    if (s->opts->progress) dele_progress_set(s->opts->progress, (double)(first + n), NULL);
    return status;
}

/* Loads the scores of an earlier run; returns their number.  (The most likely token is in the file,
 * not in the score.) */
static size_t resume(scoring *s, dele_err *err)
{
    size_t n = 0;
    const double most = INT_MAX;
    double p, p_answer, rank, tokens, greedy;
    const dele_items_field fields[] = {{"p", &p, DELE_ITEMS_REAL, 0, 1 + 1e-6, false},
                                       {"p_answer", &p_answer, DELE_ITEMS_REAL, 0, 1 + 1e-6, false},
                                       {"rank", &rank, DELE_ITEMS_WHOLE, 1, most, false},
                                       {"answer_tokens", &tokens, DELE_ITEMS_WHOLE, 1, most, false},
                                       {"greedy", &greedy, .type = DELE_ITEMS_BOOL},
                                       {"top", .type = DELE_ITEMS_TEXT}};
    for (; n < s->n && dele_items_previous(s->opts->items, n); n++) {
        if (!dele_items_resume(s->opts->items, n, item_key(s, n), fields,
                               sizeof fields / sizeof *fields, err))
            break;
        s->scores->fact[s->places[n].fact][s->places[n].form] =
            (dele_fact_score){.p = p,
                              .p_answer = p_answer,
                              .rank = (int)rank,
                              .n_tokens = (int)tokens,
                              .top = -1,
                              .n_blank = s->questions[n].choice->n_blank,
                              .greedy = greedy == 1};
    }
    return n;
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

static dele_facts_cell cell_of(const scoring *s, dele_fact_split split, dele_form form, int *ranks)
{
    double p = 0, pp = 0, answer = 0, answers = 0, top1 = 0, reciprocal = 0;
    size_t n = 0;
    for (size_t i = 0; i < s->facts->n; i++) {
        const dele_fact_score *f = &s->scores->fact[i][form];
        if (f->n_tokens == 0 || !in_split(&s->facts->fact[i], split)) continue;
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

dele_status dele_facts_score(dele_facts_scores *scores, const dele_facts *facts, dele_run *run,
                             const dele_model *model, const dele_facts_opts *opts,
                             dele_arena *arena, dele_err *err)
{
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s has no tokenizer: put its tokenizer.json there",
                         model->path ? model->path : "the model");
    *scores = (dele_facts_scores){.fact = dele_alloc(arena, facts->n, sizeof *scores->fact, err)};
    scoring s = {.facts = facts,
                 .model = model,
                 .opts = opts,
                 .questions = DELE_NEW(arena, dele_question, DELE_FORMS * facts->n, err),
                 .places = DELE_NEW(arena, place, DELE_FORMS * facts->n, err),
                 .scores = scores};
    int *ranks = DELE_NEW(arena, int, facts->n, err);
    if (!scores->fact || !s.questions || !s.places || !ranks) return DELE_ERR_MEMORY;
    dele_choices_opts choices = {.scored = scored, .data = &s};
    dele_status status = encode_facts(&s, arena, err);
    if (!status && !s.n)
        status = dele_fail(err, DELE_ERR_DATA, "%s: no fact fits the model's context of %d tokens",
                           facts->path ? facts->path : "the facts", model->config.context);
    if (!status) choices.n_known = resume(&s, err);
    if (!status) status = err->code;
    if (!status) status = dele_choices_score(s.questions, s.n, run, model, &choices, err);
    for (int split = 0; split < DELE_FACT_SPLITS && !status; split++)
        for (int form = 0; form < DELE_FORMS; form++)
            scores->cell[split][form] = cell_of(&s, (dele_fact_split)split, (dele_form)form, ranks);
    dele_arena_release(&s.scratch);
    return status;
}

cJSON *dele_facts_json(const dele_facts_scores *scores)
{
    cJSON *json = cJSON_CreateObject();
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
    return json;
}

void dele_facts_table(dele_table *t, const dele_facts_scores *scores)
{
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
}
