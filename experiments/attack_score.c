/* A form put to a model: every ask scored and said, a line in items.jsonl for each.
 *
 *   exact_match     every token that should come is the likeliest behind those before it: greedy continuation says them
 *   contains        what should come stands, as whole words, in what is said (score/qa.h)
 *   rougeL_recall   of what should come, in what is said, words stemmed (score/rouge.h)
 *   p               the geometric mean of the probabilities of the tokens that should come
 *
 * exact_match and p come from one forward pass over the given tokens, the other two from the text generated greedily. */
#include "experiments/attack.h"

#include <math.h>
#include <string.h>

#include "score/qa.h"
#include "score/rouge.h"
#include "score/say.h"

const char *const attack_measure_names[ATTACK_N_MEASURES] = {"exact_match", "contains", "rougeL_recall", "p"};

typedef struct {
    attack_pass *pass;
    const attack_set *set;
    const attack_score_opts *o;
    const lac_tokenizer *tokenizer;
    lac_arena scratch;
} scoring;

static lac_status put_line(const scoring *s, size_t i, const char *given, const char *said, bool ended, lac_err *err)
{
    const attack_pass *pass = s->pass;
    const attack_ask *ask = &pass->form->ask[i];
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "model", pass->model);
    cJSON_AddStringToObject(line, "form", pass->form->name);
    cJSON_AddStringToObject(line, "id", s->set->row[ask->row].id);
    cJSON_AddStringToObject(line, "given", given);
    cJSON_AddStringToObject(line, "output", ask->target);
    cJSON_AddStringToObject(line, "generated", said);
    for (int m = 0; m < ATTACK_N_MEASURES; m++) lac_put_number(line, attack_measure_names[m], pass->score[i].of[m]);
    cJSON_AddBoolToObject(line, "ended", ended);
    return lac_items_put(s->o->items, pass->first + i, line, err);
}

static lac_status said(void *data, size_t i, char *text, bool ended, lac_err *err)
{
    scoring *s = data;
    const attack_ask *ask = &s->pass->form->ask[i];
    double *score = s->pass->score[i].of;
    const char *target = ask->target;
    const lac_qa_item item = {.answer = &target, .n_answers = 1};
    lac_rouge rouge;
    bool exact, contains;
    lac_arena_reset(&s->scratch);
    const char *given = lac_decode(s->tokenizer, ask->ids, (size_t)ask->first, false, &s->scratch, err);
    if (!given || lac_qa_judge(&exact, &contains, &item, text, &s->scratch, err) ||
        lac_rouge_l(&rouge, target, text, true, &s->scratch, err))
        return err->code;
    score[ATTACK_CONTAINS] = contains;
    score[ATTACK_ROUGE] = rouge.recall;
    return put_line(s, i, given, text, ended, err);
}

static lac_status score_tokens(scoring *s, lac_run *run, const lac_model *model, lac_arena *arena, lac_err *err)
{
    const attack_form *form = s->pass->form;
    lac_scored_text *texts = LAC_NEW(arena, lac_scored_text, form->n, err);
    if (!texts) return LAC_ERR_MEMORY;
    for (size_t i = 0; i < form->n; i++)
        texts[i] = (lac_scored_text){.ids = form->ask[i].ids, .n = form->ask[i].n, .first = form->ask[i].first};
    const lac_token_opts opts = {0};
    lac_status status = lac_token_scores(texts, form->n, run, model, &opts, arena, err);
    for (size_t i = 0; i < form->n && !status; i++) {
        bool all = true;
        for (int t = 0; t < texts[i].n - texts[i].first; t++) all = all && texts[i].greedy[t];
        s->pass->score[i].of[ATTACK_EXACT] = all;
        s->pass->score[i].of[ATTACK_P] = exp(-lac_scored_loss(&texts[i]));
    }
    return status;
}

/* What an earlier run has written of the pass; returns how many lines. */
static size_t recall(attack_pass *pass, const lac_items *items)
{
    size_t n = 0;
    for (const cJSON *old; n < pass->form->n && (old = lac_items_old(items, pass->first + n)); n++)
        for (int m = 0; m < ATTACK_N_MEASURES; m++)
            pass->score[n].of[m] = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(old, attack_measure_names[m]));
    return n;
}

bool attack_pass_stands(attack_pass *pass, const lac_items *items) { return recall(pass, items) == pass->form->n; }

lac_status attack_pass_run(attack_pass *pass, const attack_set *set, lac_run *run, const lac_model *model,
                           const attack_score_opts *o, lac_err *err)
{
    lac_arena arena = {0};
    scoring s = {.pass = pass, .set = set, .o = o, .tokenizer = model->tokenizer};
    lac_ids *given = LAC_NEW(&arena, lac_ids, pass->form->n, err);
    int *ids = NULL;
    size_t total = 0;
    for (size_t i = 0; i < pass->form->n; i++) total += (size_t)pass->form->ask[i].first;
    if (given) ids = LAC_NEW(&arena, int, total, err); /* lac_ids are the writer's */
    lac_status status = ids ? LAC_OK : LAC_ERR_MEMORY;
    for (size_t i = 0; i < pass->form->n && !status; i++) {
        const attack_ask *ask = &pass->form->ask[i];
        given[i] = (lac_ids){ids, (size_t)ask->first};
        memcpy(ids, ask->ids, given[i].n * sizeof *ids);
        ids += ask->first;
    }
    const lac_say_opts say = {.max_new = o->max_new,
                              .encoded = given,
                              .n_known = recall(pass, o->items),
                              .said = said,
                              .data = &s,
                              .progress = o->progress,
                              .before = pass->first};
    if (!status) status = score_tokens(&s, run, model, &arena, err);
    if (!status) status = lac_say(NULL, pass->form->n, run, model, &say, err);
    lac_arena_release(&s.scratch);
    lac_arena_release(&arena);
    return status;
}
