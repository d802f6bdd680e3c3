/* The passes of a run side by side, and its files: attack.json, attack.tsv and the picture of
 * it. */

#include "experiments/attack/attack_nudge.h"

#include <string.h>

#include "base/json_out.h"
#include "base/text_out.h"
#include "plots/gnuplot.h"

/* ---- outcomes -------------------------------------------------------------------------------- */

/* Room for one, its scores to be filled in. */
static attack_score *room_for(attack_job *j, attack_outcome *o, size_t n, dele_err *err)
{
    attack_score *score = DELE_NEW(&j->arena, attack_score, 4 * n, err);
    if (!score) return NULL;
    o->unlearned = score;
    o->attacked = score + n;
    o->before = j->before ? score + 2 * n : NULL;
    o->never = j->never ? score + 3 * n : NULL;
    return score;
}

/* attacked against the unlearned model asked plainly; the original and the one that never knew are
 * asked in the same form.  trained, where it is not NULL: only rows that are (wanted) or are not
 * among them. */
static dele_status add_outcome(attack_job *j, const char *attack, const char *variant,
                               const attack_pass *attacked, const bool *trained, bool wanted,
                               dele_err *err)
{
    attack_outcome *o = &j->outcome[j->n_outcomes++];
    const attack_form *form = attacked->form;
    const size_t f = (size_t)(form - j->set.form);
    *o = (attack_outcome){.attack = attack, .variant = variant};
    attack_score *score = room_for(j, o, form->n, err);
    if (!score) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < form->n; i++) {
        const size_t row = form->ask[i].row;
        if (trained && trained[row] != wanted) continue;
        score[o->n] = j->unlearned[0].score[row];
        score[form->n + o->n] = attacked->score[i];
        if (j->before) score[2 * form->n + o->n] = j->before[f].score[i];
        if (j->never) score[3 * form->n + o->n] = j->never[f].score[i];
        o->n++;
    }
    return DELE_OK;
}

static void take_best(attack_score *best, const attack_pass *pass)
{
    for (size_t i = 0; i < pass->form->n; i++)
        for (int m = 0; m < ATTACK_N_MEASURES; m++) {
            double *b = &best[pass->form->ask[i].row].of[m], x = pass->score[i].of[m];
            if (x > *b) *b = x;
        }
}

/* The best of plain prompts, templates and paraphrases, row by row and measure by measure; of the
 * other models too. */
static dele_status add_best(attack_job *j, dele_err *err)
{
    const size_t n = j->set.n;
    attack_outcome *o = &j->outcome[j->n_outcomes++];
    *o = (attack_outcome){.attack = "templates", .variant = "best", .n = n};
    attack_score *score = room_for(j, o, n, err);
    if (!score) return DELE_ERR_MEMORY;
    memcpy(score, j->unlearned[0].score, n * sizeof *score);
    for (size_t f = 0; f < j->set.n_forms; f++) {
        if (j->set.form[f].kind == ATTACK_PREFIX) continue;
        take_best(score + n, &j->unlearned[f]);
        if (j->before) take_best(score + 2 * n, &j->before[f]);
        if (j->never) take_best(score + 3 * n, &j->never[f]);
    }
    return DELE_OK;
}

static dele_status add_forms(attack_job *j, const char *attack, attack_form_kind kind,
                             dele_err *err)
{
    for (size_t f = 1; f < j->set.n_forms && !err->code; f++)
        if (j->set.form[f].kind == kind)
            add_outcome(j, attack, j->set.form[f].name, &j->unlearned[f], NULL, false, err);
    return err->code;
}

dele_status attack_make_outcomes(attack_job *j, dele_err *err)
{
    const attack_settings *s = j->s;
    const size_t most = j->set.n_forms + s->n_types + ATTACK_N_REPLAYS + j->n_nudged + 4;
    j->outcome = DELE_NEW(&j->arena, attack_outcome, most, err);
    j->summary = DELE_NEW(&j->arena, attack_summary, most * ATTACK_N_MEASURES, err);
    if (!j->outcome || !j->summary) return DELE_ERR_MEMORY;
    for (size_t t = 0; t < s->n_types && !err->code; t++)
        add_outcome(j, "quantise", j->quantised[t].model, &j->quantised[t], NULL, false, err);
    for (int i = 0; j->replayed && i < ATTACK_N_REPLAYS && !err->code; i++)
        add_outcome(j, "replay", attack_replay_names[i], &j->replayed[i], NULL, false, err);
    if (s->relearn) {
        add_outcome(j, "relearn", "other rows", j->relearnt, j->trained, false, err);
        add_outcome(j, "relearn", "rows learnt again", j->relearnt, j->trained, true, err);
    }
    if (add_forms(j, "templates", ATTACK_TEMPLATE, err) || (s->template && add_best(j, err)) ||
        add_forms(j, "prefix", ATTACK_PREFIX, err))
        return err->code;
    for (size_t i = 0; i < j->n_nudged && !err->code; i++)
        add_outcome(j, "nudge", j->nudged[i].model, &j->nudged[i], NULL, false, err);
    if (err->code) return err->code;
    attack_summary *summary = j->summary;
    for (size_t i = 0; i < j->n_outcomes; i++)
        for (int m = 0; m < ATTACK_N_MEASURES && !err->code; m++)
            attack_summarise(summary++, &j->outcome[i], (attack_measure)m, s->resamples, s->seed,
                             err);
    return err->code;
}

/* ---- the result ------------------------------------------------------------------------------ */

static cJSON *stored_json(const attack_job *j)
{
    cJSON *json = cJSON_CreateObject();
    for (size_t t = 0; t < j->s->n_types; t++) {
        cJSON *one = cJSON_AddObjectToObject(json, dele_dtype_of(j->s->type[t])->name);
        for (int type = 0; type < DELE_N_DTYPES; type++)
            if (j->n_stored[t][type])
                cJSON_AddNumberToObject(one, dele_dtype_of((dele_dtype)type)->name,
                                        (double)j->n_stored[t][type]);
    }
    return json;
}

static cJSON *relearn_json(const attack_job *j)
{
    cJSON *json = cJSON_CreateObject(), *ids = cJSON_CreateArray();
    cJSON_AddNumberToObject(json, "rows", j->s->relearn_rows);
    cJSON_AddNumberToObject(json, "updates", j->s->relearn_updates);
    dele_put_number(json, "lr", j->s->relearn_lr);
    cJSON_AddBoolToObject(json, "eos", j->s->eos);
    cJSON_AddStringToObject(json, "layers", j->s->layers);
    cJSON_AddStringToObject(json, "parts", j->s->parts);
    for (size_t i = 0; i < j->set.n; i++)
        if (j->trained[i]) cJSON_AddItemToArray(ids, cJSON_CreateString(j->set.row[i].id));
    cJSON_AddItemToObject(json, "ids", ids);
    return json;
}

static cJSON *nudge_json(const attack_settings *s)
{
    cJSON *json = cJSON_CreateObject(), *gammas = cJSON_CreateArray();
    cJSON_AddItemToObject(json, "with", s->with ? cJSON_CreateString(s->with) : cJSON_CreateNull());
    cJSON_AddStringToObject(json, "with_chat", dele_chat_name[s->with_chat]);
    for (size_t i = 0; i < s->n_gammas; i++)
        cJSON_AddItemToArray(gammas, cJSON_CreateNumber(s->gamma[i]));
    cJSON_AddItemToObject(json, "gammas", gammas);
    dele_put_number(json, "guard_margin", s->margin);
    return json;
}

/* attack.json: the settings that decide the numbers, what each attack did, and the outcomes. */
static cJSON *result_json(const attack_job *j)
{
    const attack_settings *s = j->s;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "model", s->model);
    cJSON_AddItemToObject(json, "before",
                          s->before ? cJSON_CreateString(s->before) : cJSON_CreateNull());
    cJSON_AddItemToObject(json, "never",
                          s->never ? cJSON_CreateString(s->never) : cJSON_CreateNull());
    cJSON_AddStringToObject(json, "forget", s->forget);
    cJSON_AddNumberToObject(json, "n", (double)j->set.n);
    cJSON_AddStringToObject(json, "chat", dele_chat_name[s->asked_chat]);
    cJSON_AddNumberToObject(json, "max_new", j->how.max_new);
    cJSON_AddNumberToObject(json, "resamples", s->resamples);
    if (s->quantise) cJSON_AddItemToObject(json, "quantise", stored_json(j));
    if (s->relearn) cJSON_AddItemToObject(json, "relearn", relearn_json(j));
    if (s->nudge) cJSON_AddItemToObject(json, "nudge", nudge_json(s));
    cJSON_AddItemToObject(json, "outcomes",
                          attack_outcomes_json(j->outcome, j->summary, j->n_outcomes));
    return json;
}

static dele_status save_table(attack_job *j, dele_err *err)
{
    dele_writer out = {0};
    const char *path = dele_printf(&j->arena, err, "%s/attack.tsv", j->result->dir.part);
    if (!path || dele_writer_open(&out, path, err)) return err->code;
    fputs("# plot attack.gp\n# title Attacks on ", out.stream);
    dele_text_put(out.stream, j->s->model, DELE_TEXT_LINE);
    fprintf(out.stream, ", %zu rows of the forget set%s\n", j->set.n,
            j->set.n < DELE_LEAST_ITEMS ? " (no intervals: fewer than 5)" : "");
    dele_table table = {0};
    attack_outcomes_table(&table, j->outcome, j->summary, j->n_outcomes);
    dele_table_print(&table, out.stream, DELE_TABLE_TSV, err);
    dele_writer_commit(&out, err);
    dele_writer_abandon(&out);
    return err->code;
}

dele_status attack_save(attack_job *j, dele_err *err)
{
    dele_err drawing = {0};
    const char *path = dele_printf(&j->arena, err, "%s/attack.json", j->result->dir.part);
    cJSON *json = result_json(j);
    if (!path || dele_json_save(path, json, err) || save_table(j, err) ||
        attack_nudge_save(j, err)) {
        cJSON_Delete(json);
        return err->code;
    }
    if (dele_plots_draw(j->result->dir.part, NULL, &drawing) && !j->s->common.quiet)
        dele_note("%s", drawing.msg);
    if (j->set.n < DELE_LEAST_ITEMS && !j->s->common.quiet)
        dele_note("%zu rows: no interval is given of fewer than %d", j->set.n, DELE_LEAST_ITEMS);
    if (j->s->common.json)
        dele_json_show(json, err);
    else {
        dele_table table = {0};
        attack_outcomes_table(&table, j->outcome, j->summary, j->n_outcomes);
        dele_table_print(&table, stdout, dele_table_form_of(j->s->common.csv), err);
    }
    cJSON_Delete(json);
    return err->code;
}
