#include "score/suites/gsm8k.h"

#include "score/accuracy.h"

enum { N_SCORES = 3 };
static const char *const score_name[N_SCORES] = {"exact_match_strict", "exact_match_flexible",
                                                 "last_number"};

typedef struct {
    int is[N_SCORES]; /* as dele_number_verdict; 0 or 1 */
} verdict;

typedef struct {
    dele_qa_sets data;
    const dele_layout *chat;
    int max_new;
    dele_gsm8k_score *score; /* [n_sets] */
    verdict *verdict;        /* [n_items] */
} gsm8k_state;

static const dele_qa_item *item_of(const dele_scoring *s, size_t i)
{
    const gsm8k_state *st = s->state;
    return &st->data.set[s->at].item[i];
}

static dele_status gsm8k_score(dele_scoring *s, dele_err *err)
{
    const gsm8k_state *st = s->state;
    return dele_qa_score_outputs(s, &st->data.set[s->at], st->chat, st->max_new, err);
}

static dele_status gsm8k_item(dele_scoring *s, size_t i, dele_err *err)
{
    gsm8k_state *st = s->state;
    dele_number_verdict v;
    if (dele_number_match(&v, item_of(s, i)->answers.text[0], s->output, &s->scratch, err))
        return err->code;
    st->verdict[s->before + i] = (verdict){{v.strict, v.flexible, v.last}};
    return DELE_OK;
}

static void gsm8k_line(dele_items_line *line, dele_scoring *s, size_t i)
{
    gsm8k_state *st = s->state;
    const dele_qa_item *item = item_of(s, i);
    verdict *v = &st->verdict[s->before + i];
    dele_key_text(line, "set", st->data.set[s->at].name);
    dele_key_number(line, "index", (double)i);
    dele_key_text(line, "id", item->id);
    dele_key_text(line, "output", item->answers.text[0]);
    dele_line_text(line, "generated", s->output);
    for (int k = 0; k < N_SCORES; k++) dele_line_whole(line, score_name[k], &v->is[k], 0, 1);
    dele_line_bool(line, "ended", &s->ended);
}

static dele_status gsm8k_total(dele_scoring *s, dele_err *err)
{
    gsm8k_state *st = s->state;
    const verdict *v = st->verdict;
    unsigned char *right = DELE_NEW(s->arena, unsigned char, st->data.n_items, err);
    if (!right) return DELE_ERR_MEMORY;
    for (size_t k = 0; k < st->data.n_sets; v += st->data.set[k++].n)
        for (int j = 0; j < N_SCORES; j++) {
            const size_t n = st->score[k].n = st->data.set[k].n;
            for (size_t i = 0; i < n; i++) right[i] = v[i].is[j] == 1;
            const dele_accuracy mean = dele_accuracy_mean(right, right, n);
            st->score[k].score[j] = mean.acc;
            st->score[k].se[j] = mean.acc_se;
        }
    return DELE_OK;
}

/* Sets as those of qa, each of whose answers holds a number. */
static dele_status gsm8k_load(dele_scoring *s, dele_err *err)
{
    gsm8k_state *st = s->state = DELE_NEW(s->arena, gsm8k_state, 1, err);
    if (!st || dele_chat_open(&st->chat, s->opts->chat, s->model->tokenizer, s->arena, err) ||
        dele_qa_sets_load(&st->data, s->opts->data, s->opts->limit, s->arena, err) ||
        dele_qa_parts(s, &st->data, err))
        return err->code;
    for (size_t k = 0; k < st->data.n_sets; k++)
        for (size_t i = 0; i < st->data.set[k].n; i++)
            if (!dele_number_in(st->data.set[k].item[i].answers.text[0]))
                return dele_fail(err, DELE_ERR_DATA,
                                 "%s: question %zu of set %s has an answer without a number; use "
                                 "--suite qa",
                                 s->opts->data, i + 1, st->data.set[k].name);
    st->max_new = dele_suite_max_new(s, 256);
    st->score = DELE_NEW(s->arena, dele_gsm8k_score, st->data.n_sets, err);
    st->verdict = DELE_NEW(s->arena, verdict, st->data.n_items, err);
    s->scores = st->score;
    return st->score && st->verdict ? DELE_OK : DELE_ERR_MEMORY;
}

static void gsm8k_json(cJSON *json, const dele_scoring *s)
{
    const gsm8k_state *st = s->state;
    dele_put_text(json, "chat", dele_chat_name[s->opts->chat]);
    cJSON_AddNumberToObject(json, "max_new", st->max_new);
    cJSON_AddNumberToObject(json, "n", (double)st->data.n_items);
    cJSON *sets = cJSON_AddObjectToObject(json, "sets");
    for (size_t i = 0; i < st->data.n_sets; i++) {
        const dele_gsm8k_score *score = &st->score[i];
        cJSON *one = cJSON_AddObjectToObject(sets, st->data.set[i].name);
        cJSON_AddNumberToObject(one, "n", (double)score->n);
        for (int k = 0; k < N_SCORES; k++)
            dele_put_score(one, score_name[k], score->score[k], score->se[k]);
    }
}

static size_t gsm8k_tables(dele_table *table, const dele_scoring *s)
{
    const gsm8k_state *st = s->state;
    dele_table_head(table, "set\tn\tstrict\tstrict_stderr\tflexible\tflexible_stderr\tlast_number\t"
                           "last_number_stderr");
    for (size_t i = 0; i < st->data.n_sets; i++) {
        const dele_gsm8k_score *score = &st->score[i];
        dele_table_text(table, st->data.set[i].name);
        dele_table_cell(table, "%zu", score->n);
        for (int k = 0; k < N_SCORES; k++) {
            dele_table_real(table, "%.4f", score->score[k]);
            dele_table_real(table, "%.4f", score->se[k]);
        }
        dele_table_row(table);
    }
    return 1;
}

const dele_suite dele_suite_gsm8k = {.name = "gsm8k",
                                     .data = "a .jsonl, or a directory of them",
                                     .unit = "questions",
                                     .options = {"chat", "max-new", "decoder"},
                                     .item_id = {"set", "index"},
                                     .item_set = "set",
                                     .load = gsm8k_load,
                                     .score = gsm8k_score,
                                     .item = gsm8k_item,
                                     .line = gsm8k_line,
                                     .total = gsm8k_total,
                                     .json = gsm8k_json,
                                     .tables = gsm8k_tables};
