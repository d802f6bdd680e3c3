#include "score/suites/qa.h"

#include <string.h>

#include "score/accuracy.h"
#include "score/set_files.h"
#include "template/pytext.h"

/* ---- reading --------------------------------------------------------------------------------- */

/* One line of a set: a question or a context, with one answer or a list of them. */
static dele_status read_qa_item(void *row, const dele_records *r, const cJSON *json,
                                dele_arena *arena, dele_err *err)
{
    dele_qa_item *item = row;
    const char *context = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "context"));
    const char *question = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "question"));
    const char *answer = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "answer"));
    if (!(context && context[0]) && !(question && question[0]))
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: there is neither \"question\" nor \"context\"",
                         r->path, r->line);
    item->question = context ? NULL : dele_strdup(arena, question, err);
    if (!context && !item->question) return DELE_ERR_MEMORY;
    item->prompt = context ? dele_strdup(arena, context, err)
                           : dele_printf(arena, err, "Question: %s\nAnswer:", question);
    item->answers.ignore_articles =
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "ignore_articles"));
    if (!item->prompt || dele_row_id(&item->id, json, arena, err)) return err->code;
    if (!answer)
        return dele_row_strings(&item->answers.text, &item->answers.n, r, json, "answers", arena,
                                err);
    item->answers.text = DELE_NEW(arena, const char *, 1, err);
    item->answers.n = 1;
    return item->answers.text && (item->answers.text[0] = dele_strdup(arena, answer, err))
               ? DELE_OK
               : DELE_ERR_MEMORY;
}

dele_status dele_qa_sets_load(dele_qa_sets *data, const char *path, int limit, dele_arena *arena,
                              dele_err *err)
{
    dele_set_files files;
    *data = (dele_qa_sets){0};
    if (dele_set_files_find(&files, path, false, arena, err)) return err->code;
    data->set = DELE_NEW(arena, dele_qa_set, files.n, err);
    for (; data->set && data->n_sets < files.n; data->n_sets++) {
        dele_qa_set *set = &data->set[data->n_sets];
        set->name = files.name[data->n_sets];
        set->item = dele_rows_load(&set->n, sizeof *set->item, files.path[data->n_sets], limit,
                                   read_qa_item, arena, err);
        if (!set->item) break;
        data->n_items += set->n;
    }
    return err->code;
}

dele_status dele_qa_parts(dele_scoring *s, const dele_qa_sets *data, dele_err *err)
{
    dele_suite_part *part = DELE_NEW(s->arena, dele_suite_part, data->n_sets, err);
    if (!part) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < data->n_sets; i++) part[i] = (dele_suite_part){NULL, data->set[i].n};
    s->part = part;
    s->n_parts = data->n_sets;
    return DELE_OK;
}

dele_status dele_qa_score_outputs(dele_scoring *s, const dele_qa_set *set, const dele_layout *chat,
                                  int max_new, dele_err *err)
{
    const char **prompts = DELE_NEW(&s->part_arena, const char *, 2 * set->n, err),
               **asked = prompts + set->n;
    if (!prompts) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < set->n; i++) {
        prompts[i] = set->item[i].prompt;
        asked[i] = set->item[i].question;
    }
    return dele_score_outputs(s, prompts, asked, chat, max_new, err);
}

/* ---- scoring --------------------------------------------------------------------------------- */

typedef struct {
    int exact, contains;
} qa_verdict;

typedef struct {
    dele_qa_sets data;
    const dele_layout *chat;
    int max_new;
    dele_qa_score *score; /* [n_sets] */
    qa_verdict *verdict;  /* [n_items] */
} qa_state;

static const dele_qa_item *qa_item_of(const dele_scoring *s, size_t i)
{
    const qa_state *st = s->state;
    return &st->data.set[s->at].item[i];
}

static dele_status qa_score(dele_scoring *s, dele_err *err)
{
    const qa_state *st = s->state;
    return dele_qa_score_outputs(s, &st->data.set[s->at], st->chat, st->max_new, err);
}

static dele_status qa_item(dele_scoring *s, size_t i, dele_err *err)
{
    qa_state *st = s->state;
    bool exact, contains;
    if (dele_answer_match(&exact, &contains, &qa_item_of(s, i)->answers, s->output, &s->scratch,
                          err))
        return err->code;
    st->verdict[s->before + i] = (qa_verdict){exact, contains};
    return DELE_OK;
}

static void qa_line(dele_items_line *line, dele_scoring *s, size_t i)
{
    qa_state *st = s->state;
    const dele_qa_item *item = qa_item_of(s, i);
    qa_verdict *v = &st->verdict[s->before + i];
    dele_key_text(line, "set", st->data.set[s->at].name);
    dele_key_number(line, "index", (double)i);
    dele_key_text(line, "id", item->id);
    dele_key_text(line, "output", item->answers.text[0]);
    dele_line_text(line, "generated", s->output);
    dele_line_whole(line, "exact_match", &v->exact, 0, 1);
    dele_line_whole(line, "contains", &v->contains, 0, 1);
    dele_line_bool(line, "ended", &s->ended);
}

static dele_status qa_total(dele_scoring *s, dele_err *err)
{
    qa_state *st = s->state;
    const qa_verdict *v = st->verdict;
    unsigned char *exact = DELE_NEW(s->arena, unsigned char, 2 * st->data.n_items, err),
                  *contains = exact + st->data.n_items;
    if (!exact) return DELE_ERR_MEMORY;
    for (size_t k = 0; k < st->data.n_sets; k++) {
        const size_t n = st->data.set[k].n;
        for (size_t i = 0; i < n; i++, v++) {
            exact[i] = v->exact == 1;
            contains[i] = v->contains == 1;
        }
        dele_accuracy both = dele_accuracy_mean(exact, contains, n);
        st->score[k] = (dele_qa_score){n, both.acc, both.acc_se, both.acc_norm, both.acc_norm_se};
    }
    return DELE_OK;
}

/* ---- the suite ------------------------------------------------------------------------------- */

static dele_status qa_load(dele_scoring *s, dele_err *err)
{
    qa_state *st = s->state = DELE_NEW(s->arena, qa_state, 1, err);
    if (!st || dele_chat_open(&st->chat, s->opts->chat, s->model->tokenizer, s->arena, err) ||
        dele_qa_sets_load(&st->data, s->opts->data, s->opts->limit, s->arena, err) ||
        dele_qa_parts(s, &st->data, err))
        return err->code;
    st->max_new = dele_suite_max_new(s, 32);
    st->score = DELE_NEW(s->arena, dele_qa_score, st->data.n_sets, err);
    st->verdict = DELE_NEW(s->arena, qa_verdict, st->data.n_items, err);
    s->scores = st->score;
    return st->score && st->verdict ? DELE_OK : DELE_ERR_MEMORY;
}

static void qa_json(cJSON *json, const dele_scoring *s)
{
    const qa_state *st = s->state;
    dele_put_text(json, "chat", dele_chat_name[s->opts->chat]);
    cJSON_AddNumberToObject(json, "max_new", st->max_new);
    cJSON_AddNumberToObject(json, "n", (double)st->data.n_items);
    cJSON *sets = cJSON_AddObjectToObject(json, "sets");
    for (size_t i = 0; i < st->data.n_sets; i++) {
        const dele_qa_score *score = &st->score[i];
        cJSON *one = cJSON_AddObjectToObject(sets, st->data.set[i].name);
        cJSON_AddNumberToObject(one, "n", (double)score->n);
        dele_put_score(one, "exact_match", score->exact, score->exact_se);
        dele_put_score(one, "contains", score->contains, score->contains_se);
    }
}

static size_t qa_tables(dele_table *table, const dele_scoring *s)
{
    const qa_state *st = s->state;
    dele_table_head(table, "set\tn\texact_match\texact_match_stderr\tcontains\tcontains_stderr");
    for (size_t i = 0; i < st->data.n_sets; i++) {
        const dele_qa_score *score = &st->score[i];
        dele_table_text(table, st->data.set[i].name);
        dele_table_cell(table, "%zu", score->n);
        dele_table_real(table, "%.4f", score->exact);
        dele_table_real(table, "%.4f", score->exact_se);
        dele_table_real(table, "%.4f", score->contains);
        dele_table_real(table, "%.4f", score->contains_se);
        dele_table_row(table);
    }
    return 1;
}

const dele_suite dele_suite_qa = {.name = "qa",
                                  .data = "a .jsonl, or a directory of them",
                                  .unit = "questions",
                                  .options = {"chat", "max-new", "decoder"},
                                  .item_id = {"set", "index"},
                                  .item_set = "set",
                                  .load = qa_load,
                                  .score = qa_score,
                                  .item = qa_item,
                                  .line = qa_line,
                                  .total = qa_total,
                                  .json = qa_json,
                                  .tables = qa_tables};
