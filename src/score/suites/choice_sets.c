#include "score/suites/choice_sets.h"

#include <string.h>

#include "score/choice_named.h"
#include "score/set_files.h"
#include "template/pytext.h"

/* ---- reading --------------------------------------------------------------------------------- */

/* Every choice's context: its own, or the common one. */
static dele_status read_contexts(dele_choice_item *item, const dele_records *r, const cJSON *json,
                                 dele_arena *arena, dele_err *err)
{
    if (cJSON_HasObjectItem(json, "contexts")) {
        int n;
        item->contexts = true;
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
    if (!cJSON_IsString(whole) &&
        !(item->question = dele_strdup(arena, question->valuestring, err)))
        return DELE_ERR_MEMORY;
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

/* One line of a set.  Everything that scoring relies on is checked here: two choices or more, a
 * context for each, and an answer that is one of them. */
static dele_status read_choice_item(void *row, const dele_records *r, const cJSON *json,
                                    dele_arena *arena, dele_err *err)
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
                                   read_choice_item, arena, err);
        if (!set->item) break;
        data->n_items += set->n;
    }
    return err->code;
}

/* ---- scoring --------------------------------------------------------------------------------- */

/* By log-likelihood; or the choice that a generated answer names in `pick`, -1: none. */
typedef struct {
    int pick, pick_norm;
} choices_picks;

typedef struct {
    dele_choice_sets data;
    dele_accuracy *accuracy;  /* [n_sets] */
    choices_picks *picked;    /* [n_items] */
    dele_question *questions; /* of the set being scored */
    double *logp;             /* [n_choices] of the item being scored */
    bool generates;
    const dele_layout *chat; /* where it generates */
    int max_new;
} choices_state;

static const dele_choice_item *choice_item_of(const dele_scoring *s, size_t i)
{
    const choices_state *st = s->state;
    return &st->data.set[s->at].item[i];
}

static dele_status encode_choices(dele_question *q, const dele_choice_item *item,
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

/* The question with its choices listed; a context that ends in "Answer:" loses that. */
static char *listed_choices(const dele_choice_item *item, dele_arena *arena, dele_err *err)
{
    static const char begin[] = "Question: ", end[] = "\nAnswer:";
    const char *text = item->question ? item->question : item->context[0];
    size_t n = strlen(text);
    if (!item->question && !strncmp(text, begin, sizeof begin - 1)) {
        text += sizeof begin - 1, n -= sizeof begin - 1;
        if (n >= sizeof end - 1 && !strcmp(text + n - (sizeof end - 1), end)) n -= sizeof end - 1;
    }
    char *all = dele_strndup(arena, text, n, err);
    for (int c = 0; all && c < item->n_choices; c++)
        all = dele_printf(arena, err, "%s\n%c. %s", all, 'A' + c,
                          item->choice[c] + dele_lstrip(item->choice[c], strlen(item->choice[c])));
    return all;
}

static dele_status choices_generate(dele_scoring *s, dele_err *err)
{
    const choices_state *st = s->state;
    const size_t n = st->data.set[s->at].n;
    const char **prompts = DELE_NEW(&s->part_arena, const char *, 2 * n, err),
               **asked = prompts + n;
    if (!prompts) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        asked[i] = listed_choices(choice_item_of(s, i), &s->part_arena, err);
        prompts[i] =
            asked[i] ? dele_printf(&s->part_arena, err, "Question: %s\nAnswer:", asked[i]) : NULL;
        if (!prompts[i]) return DELE_ERR_MEMORY;
    }
    return dele_score_outputs(s, prompts, asked, st->chat, st->max_new, err);
}

static dele_status choices_score(dele_scoring *s, dele_err *err)
{
    choices_state *st = s->state;
    const size_t n = st->data.set[s->at].n;
    if (st->generates) return choices_generate(s, err);
    st->questions = DELE_NEW(&s->part_arena, dele_question, n, err);
    if (!st->questions) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++)
        if (encode_choices(&st->questions[i], choice_item_of(s, i), s->model, &s->part_arena, err))
            return err->code;
    return dele_score_questions(s, st->questions, err);
}

static dele_status choices_item(dele_scoring *s, size_t i, dele_err *err)
{
    choices_state *st = s->state;
    const dele_choice_item *item = choice_item_of(s, i);
    choices_picks *picked = &st->picked[s->before + i];
    if (st->generates)
        return dele_choice_named(&picked->pick, s->output, item->choice, item->n_choices,
                                 &s->scratch, err);
    st->logp = DELE_NEW(&s->scratch, double, 2 * (size_t)item->n_choices, err);
    if (!st->logp) return DELE_ERR_MEMORY;
    double *norm = st->logp + item->n_choices;
    for (int c = 0; c < item->n_choices; c++) {
        st->logp[c] = st->questions[i].choice[c].logp;
        norm[c] = st->logp[c] / dele_characters(item->choice[c]);
    }
    *picked =
        (choices_picks){dele_argmax(st->logp, item->n_choices), dele_argmax(norm, item->n_choices)};
    return DELE_OK;
}

static void choices_line(dele_items_line *line, dele_scoring *s, size_t i)
{
    choices_state *st = s->state;
    const dele_choice_item *item = choice_item_of(s, i);
    choices_picks *picked = &st->picked[s->before + i];
    dele_key_text(line, "set", st->data.set[s->at].name);
    dele_key_number(line, "index", (double)i);
    dele_key_text(line, "id", item->id);
    if (st->generates) {
        dele_line_text(line, "generated", s->output);
        dele_line_whole(line, "pick", &picked->pick, -1, item->n_choices - 1);
        dele_line_bool(line, "ended", &s->ended);
    } else {
        dele_line_numbers(line, "loglikelihoods", st->logp, (size_t)item->n_choices);
        dele_line_whole(line, "pick", &picked->pick, 0, item->n_choices - 1);
        dele_line_whole(line, "pick_norm", &picked->pick_norm, 0, item->n_choices - 1);
    }
    dele_key_number(line, "answer", item->answer);
}

static dele_status choices_total(dele_scoring *s, dele_err *err)
{
    choices_state *st = s->state;
    const size_t n = st->data.n_items;
    const choices_picks *picked = st->picked;
    unsigned char *right = DELE_NEW(s->arena, unsigned char, 2 * n, err), *right_norm = right + n;
    if (!right) return DELE_ERR_MEMORY;
    for (size_t k = 0; k < st->data.n_sets; k++) {
        const dele_choice_set *set = &st->data.set[k];
        for (size_t i = 0; i < set->n; i++, picked++) {
            right[i] = picked->pick == set->item[i].answer;
            right_norm[i] =
                st->generates ? picked->pick >= 0 : picked->pick_norm == set->item[i].answer;
        }
        st->accuracy[k] = dele_accuracy_mean(right, right_norm, set->n);
    }
    return DELE_OK;
}

/* ---- the suite ------------------------------------------------------------------------------- */

/* What generating needs beside the data: listed choices, a layout, a length. */
static dele_status load_generation(dele_scoring *s, dele_err *err)
{
    choices_state *st = s->state;
    st->generates = s->opts->generate;
    if (!st->generates && (s->opts->max_new || s->opts->chat != DELE_CHAT_NONE))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--%s: --suite choices uses it with --generate alone; without, it scores "
                         "log-likelihoods",
                         s->opts->max_new ? "max-new" : "chat");
    if (!st->generates) return DELE_OK;
    st->max_new = dele_suite_max_new(s, 128);
    for (size_t k = 0; k < st->data.n_sets; k++)
        for (size_t i = 0; i < st->data.set[k].n; i++) {
            const dele_choice_item *item = &st->data.set[k].item[i];
            if (item->contexts || item->n_choices > 26)
                return dele_fail(err, DELE_ERR_DATA,
                                 "%s: item %zu of set %s has %s, which --generate cannot list",
                                 s->opts->data, i + 1, st->data.set[k].name,
                                 item->contexts ? "a context for each choice"
                                                : "more choices than letters");
        }
    return dele_chat_open(&st->chat, s->opts->chat, s->model->tokenizer, s->arena, err);
}

static dele_status choices_load(dele_scoring *s, dele_err *err)
{
    choices_state *st = s->state = DELE_NEW(s->arena, choices_state, 1, err);
    if (!st || dele_choice_sets_load(&st->data, s->opts->data, s->opts->limit, s->arena, err) ||
        load_generation(s, err))
        return err->code;
    const size_t n = st->data.n_sets;
    dele_suite_part *part = DELE_NEW(s->arena, dele_suite_part, n, err);
    st->accuracy = DELE_NEW(s->arena, dele_accuracy, n, err);
    st->picked = DELE_NEW(s->arena, choices_picks, st->data.n_items, err);
    if (!part || !st->accuracy || !st->picked) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++)
        part[i] = (dele_suite_part){st->data.set[i].name, st->data.set[i].n};
    s->part = part;
    s->n_parts = n;
    s->scores = st->accuracy;
    return DELE_OK;
}

/* An accuracy of the state; generated answers have the fraction that name a choice in place of
 * acc_norm. */
static cJSON *accuracy_json(const choices_state *st, const dele_accuracy *a)
{
    cJSON *json = dele_accuracy_json(a, !st->generates);
    if (st->generates) dele_put_score(json, "named", a->acc_norm, a->acc_norm_se);
    return json;
}

static void choices_json(cJSON *json, const dele_scoring *s)
{
    const choices_state *st = s->state;
    const dele_choice_sets *data = &st->data;
    if (st->generates) {
        cJSON_AddTrueToObject(json, "generate");
        dele_put_text(json, "chat", dele_chat_name[s->opts->chat]);
        cJSON_AddNumberToObject(json, "max_new", st->max_new);
    }
    cJSON_AddNumberToObject(json, "n", (double)data->n_items);
    dele_accuracy macro = dele_accuracy_macro(st->accuracy, data->n_sets);
    if (data->n_sets > 1) cJSON_AddItemToObject(json, "macro", accuracy_json(st, &macro));
    cJSON *sets = cJSON_AddObjectToObject(json, "sets");
    for (size_t i = 0; i < data->n_sets; i++)
        cJSON_AddItemToObject(sets, data->set[i].name, accuracy_json(st, &st->accuracy[i]));
}

static void choices_row(dele_table *t, const char *name, const dele_accuracy *a)
{
    dele_table_text(t, name);
    dele_table_cell(t, "%zu", a->n);
    dele_table_real(t, "%.4f", a->acc);
    dele_table_real(t, "%.4f", a->acc_se);
    dele_table_real(t, "%.4f", a->acc_norm);
    dele_table_real(t, "%.4f", a->acc_norm_se);
    dele_table_row(t);
}

static size_t choices_tables(dele_table *table, const dele_scoring *s)
{
    const choices_state *st = s->state;
    const dele_choice_sets *data = &st->data;
    dele_table_head(table, st->generates ? "set\tn\tacc\tacc_stderr\tnamed\tnamed_stderr"
                                         : "set\tn\tacc\tacc_stderr\tacc_norm\tacc_norm_stderr");
    for (size_t i = 0; i < data->n_sets; i++)
        choices_row(table, data->set[i].name, &st->accuracy[i]);
    dele_accuracy macro = dele_accuracy_macro(st->accuracy, data->n_sets);
    if (data->n_sets > 1) choices_row(table, "macro", &macro);
    return 1;
}

const dele_suite dele_suite_choices = {.name = "choices",
                                       .data = "a .jsonl, or a directory of them",
                                       .unit = "questions",
                                       .options = {"generate", "chat", "max-new", "decoder"},
                                       .item_id = {"set", "index"},
                                       .item_set = "set",
                                       .load = choices_load,
                                       .score = choices_score,
                                       .item = choices_item,
                                       .line = choices_line,
                                       .total = choices_total,
                                       .json = choices_json,
                                       .tables = choices_tables};
