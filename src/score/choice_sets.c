#include "score/choice_sets.h"

#include <math.h>
#include <string.h>

#include "base/json_out.h"
#include "score/choices.h"
#include "score/pytext.h"
#include "score/set_files.h"

/* ---- reading --------------------------------------------------------------------------------- */

/* Every choice's context: its own, or the common one. */
static dele_status read_contexts(dele_choice_item *item, const dele_records *r, const cJSON *json,
                                 dele_arena *arena, dele_err *err)
{
    if (cJSON_HasObjectItem(json, "contexts")) {
        int n;
        if (dele_row_strings(&item->context, &n, r, json, "contexts", arena, err)) return err->code;
        if (n == item->n_choices) return DELE_OK;
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: %d contexts for %d choices; each needs its own", r->path, r->line,
                         n, item->n_choices);
    }
    const cJSON *whole = cJSON_GetObjectItemCaseSensitive(json, "context");
    const cJSON *question = cJSON_GetObjectItemCaseSensitive(json, "question");
    const char *text = cJSON_GetStringValue(cJSON_IsString(whole) ? whole : question);
    if (!text || !text[0])
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: there is no \"question\", \"context\" or \"contexts\"", r->path,
                         r->line);
    text = cJSON_IsString(whole) ? dele_strdup(arena, text, err)
                                 : dele_printf(arena, err, "Question: %s\nAnswer:", text);
    item->context = DELE_NEW(arena, const char *, (size_t)item->n_choices, err);
    if (!text || !item->context) return DELE_ERR_MEMORY;
    for (int c = 0; c < item->n_choices; c++) item->context[c] = text;
    return DELE_OK;
}

/* A number from 0, or a letter from A. */
static int read_answer(const cJSON *answer)
{
    if (cJSON_IsNumber(answer) && answer->valuedouble == answer->valueint) return answer->valueint;
    const char *text = cJSON_GetStringValue(answer);
    return text && text[0] >= 'A' && text[0] <= 'Z' && !text[1] ? text[0] - 'A' : -1;
}

static dele_status read_item(void *row, const dele_records *r, const cJSON *json, dele_arena *arena,
                             dele_err *err)
{
    dele_choice_item *item = row;
    if (dele_row_id(&item->id, json, arena, err) ||
        dele_row_strings(&item->choice, &item->n_choices, r, json, "choices", arena, err) ||
        read_contexts(item, r, json, arena, err))
        return err->code;
    const char *delimiter =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "delimiter"));
    if (delimiter && !(item->delimiter = dele_strdup(arena, delimiter, err)))
        return DELE_ERR_MEMORY;
    item->answer = read_answer(cJSON_GetObjectItemCaseSensitive(json, "answer"));
    if (item->n_choices < 2)
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: an item needs at least two choices", r->path,
                         r->line);
    if (item->answer < 0 || item->answer >= item->n_choices)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%s:%d: \"answer\" must be the right choice's number, from 0 to %d (or its "
            "letter)",
            r->path, r->line, item->n_choices - 1);
    return DELE_OK;
}

dele_status dele_choice_sets_load(dele_choice_sets *data, const char *path, int limit,
                                  dele_arena *arena, dele_err *err)
{
    dele_set_files files;
    *data = (dele_choice_sets){0};
    if (dele_set_files_find(&files, path, false, arena, err)) return err->code;
    data->set = DELE_NEW(arena, dele_choice_set, files.n, err);
    for (; data->set && data->n_sets < files.n; data->n_sets++) {
        dele_choice_set *set = &data->set[data->n_sets];
        set->name = files.name[data->n_sets];
        set->item = dele_rows_load(&set->n, sizeof *set->item, files.path[data->n_sets], limit,
                                   read_item, arena, err);
        if (!set->item) break;
        data->n_items += set->n;
    }
    return err->code;
}

/* ---- scoring --------------------------------------------------------------------------------- */

typedef struct {
    const dele_choice_set *set;
    const dele_question *questions;
    dele_items *items;
    dele_progress *progress;
    unsigned char *right, *right_norm;
    size_t before; /* items of earlier sets */
    dele_arena scratch;
} scoring;

static dele_status encode_item(dele_question *q, const dele_choice_item *item,
                               const dele_model *model, dele_arena *arena, dele_err *err)
{
    q->n_choices = item->n_choices;
    q->choice = DELE_NEW(arena, dele_choice, (size_t)item->n_choices, err);
    for (int c = 0; q->choice && c < item->n_choices; c++) {
        bool blank = dele_lstrip(item->choice[c], strlen(item->choice[c])) > 0;
        const char *between = item->delimiter ? item->delimiter : blank ? "" : " ";
        char *text = dele_printf(arena, err, "%s%s", between, item->choice[c]);
        if (!text || dele_choice_encode(&q->choice[c], model->tokenizer, item->context[c], text,
                                        model->config.context, arena, err))
            return err->code;
    }
    return err->code;
}

/* The fields that identify an item's line; a resumed line is compared with them. */
static cJSON *item_key(const scoring *s, size_t i)
{
    const dele_choice_item *item = &s->set->item[i];
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "set", s->set->name);
    cJSON_AddNumberToObject(line, "index", (double)i);
    if (item->id) cJSON_AddStringToObject(line, "id", item->id);
    return line;
}

static dele_status put_item(scoring *s, size_t i, const double *logp, int pick, int pick_norm,
                            dele_err *err)
{
    const dele_choice_item *item = &s->set->item[i];
    cJSON *line = item_key(s, i), *all = cJSON_AddArrayToObject(line, "loglikelihoods");
    for (int c = 0; c < item->n_choices; c++) cJSON_AddItemToArray(all, dele_json_number(logp[c]));
    cJSON_AddNumberToObject(line, "pick", pick);
    cJSON_AddNumberToObject(line, "pick_norm", pick_norm);
    cJSON_AddNumberToObject(line, "answer", item->answer);
    return dele_items_put(s->items, s->before + i, line, err);
}

static dele_status scored(void *data, size_t first, size_t n, dele_err *err)
{
    scoring *s = data;
    dele_status status = DELE_OK;
    for (size_t i = first; i < first + n && !status; i++) {
        const dele_choice_item *item = &s->set->item[i];
        double *logp = DELE_NEW(&s->scratch, double, 2 * (size_t)item->n_choices, err), *norm;
        if (!logp) return DELE_ERR_MEMORY;
        norm = logp + item->n_choices;
        for (int c = 0; c < item->n_choices; c++) {
            logp[c] = s->questions[i].choice[c].logp;
            norm[c] = logp[c] / dele_characters(item->choice[c]);
        }
        int pick = dele_argmax(logp, item->n_choices),
            pick_norm = dele_argmax(norm, item->n_choices);
        s->right[i] = pick == item->answer;
        s->right_norm[i] = pick_norm == item->answer;
        status = put_item(s, i, logp, pick, pick_norm, err);
        dele_arena_reset(&s->scratch);
    }
    if (s->progress) dele_progress_set(s->progress, (double)(s->before + first + n), s->set->name);
    return status;
}

/* Loads the scores of an earlier run; returns their number. */
static size_t resume(scoring *s, dele_err *err)
{
    size_t n = 0;
    for (; n < s->set->n && dele_items_previous(s->items, s->before + n); n++) {
        const dele_choice_item *item = &s->set->item[n];
        double pick, norm;
        const dele_items_field fields[] = {
            {"pick", &pick, DELE_ITEMS_WHOLE, 0, item->n_choices - 1, false},
            {"pick_norm", &norm, DELE_ITEMS_WHOLE, 0, item->n_choices - 1, false},
            {"loglikelihoods", .type = DELE_ITEMS_NUMBERS}};
        cJSON *key = item_key(s, n);
        cJSON_AddNumberToObject(key, "answer", item->answer);
        if (!dele_items_resume(s->items, s->before + n, key, fields, 3, err)) break;
        s->right[n] = (int)pick == item->answer;
        s->right_norm[n] = (int)norm == item->answer;
    }
    return n;
}

static dele_status run_set(dele_accuracy *accuracy, scoring *s, dele_run *run,
                           const dele_model *model, dele_arena *arena, dele_err *err)
{
    size_t n = s->set->n;
    dele_question *questions = DELE_NEW(arena, dele_question, n, err);
    s->questions = questions;
    s->right = DELE_NEW(arena, unsigned char, n, err);
    s->right_norm = DELE_NEW(arena, unsigned char, n, err);
    if (!questions || !s->right || !s->right_norm) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++)
        if (encode_item(&questions[i], &s->set->item[i], model, arena, err)) return err->code;
    dele_choices_opts opts = {.n_known = resume(s, err), .scored = scored, .data = s};
    if (err->code || dele_choices_score(questions, n, run, model, &opts, err)) return err->code;
    *accuracy = dele_accuracy_mean(s->right, s->right_norm, n);
    return DELE_OK;
}

dele_status dele_choice_sets_run(dele_accuracy *accuracy, const dele_choice_sets *data,
                                 dele_run *run, const dele_model *model, dele_items *items,
                                 dele_progress *progress, dele_err *err)
{
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s has no tokenizer: put its tokenizer.json there",
                         model->path ? model->path : "the model");
    scoring s = {.items = items, .progress = progress};
    dele_arena set_arena = {0};
    dele_status status = DELE_OK;
    for (size_t i = 0; i < data->n_sets && !status; i++) {
        s.set = &data->set[i];
        status = run_set(&accuracy[i], &s, run, model, &set_arena, err);
        s.before += data->set[i].n;
        dele_arena_reset(&set_arena);
    }
    dele_arena_release(&set_arena);
    dele_arena_release(&s.scratch);
    return status;
}

/* ---- showing --------------------------------------------------------------------------------- */

cJSON *dele_choice_sets_json(const dele_accuracy *accuracy, const dele_choice_sets *data)
{
    cJSON *json = cJSON_CreateObject(), *sets;
    cJSON_AddNumberToObject(json, "n", (double)data->n_items);
    dele_accuracy macro = dele_accuracy_macro(accuracy, data->n_sets);
    if (data->n_sets > 1) cJSON_AddItemToObject(json, "macro", dele_accuracy_json(&macro, true));
    sets = cJSON_AddObjectToObject(json, "sets");
    for (size_t i = 0; i < data->n_sets; i++)
        cJSON_AddItemToObject(sets, data->set[i].name, dele_accuracy_json(&accuracy[i], true));
    return json;
}

static void table_row(dele_table *t, const char *name, const dele_accuracy *a)
{
    dele_table_text(t, name);
    dele_table_cell(t, "%zu", a->n);
    dele_table_real(t, "%.4f", a->acc);
    dele_table_real(t, "%.4f", a->acc_se);
    dele_table_real(t, "%.4f", a->acc_norm);
    dele_table_real(t, "%.4f", a->acc_norm_se);
    dele_table_row(t);
}

void dele_choice_sets_table(dele_table *t, const dele_accuracy *accuracy,
                            const dele_choice_sets *data)
{
    dele_table_head(t, "set\tn\tacc\tacc_stderr\tacc_norm\tacc_norm_stderr");
    for (size_t i = 0; i < data->n_sets; i++) table_row(t, data->set[i].name, &accuracy[i]);
    dele_accuracy macro = dele_accuracy_macro(accuracy, data->n_sets);
    if (data->n_sets > 1) table_row(t, "macro", &macro);
}
