#include "score/suites/lume.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_out.h"
#include "score/answer_match.h"
#include "score/rouge.h"
#include "score/suites/membership.h"
#include "score/suites/semeval.h"
#include "score/two_samples.h"
#include "template/pytext.h"

/* ---- texts ----------------------------------------------------------------------------------- */

static void replace_all(char *text, const char *from, const char *to)
{
    size_t n_from = strlen(from), n_to = strlen(to);
    char *out = text;
    for (const char *in = text; *in;) {
        if (strncmp(in, from, n_from) == 0) {
            memcpy(out, to, n_to);
            out += n_to;
            in += n_from;
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
}

void dele_clean_up_spaces(char *text)
{
    static const char *const rule[][2] = {
        {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
        {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof rule / sizeof *rule; i++)
        replace_all(text, rule[i][0], rule[i][1]);
}

/* ---- scoring --------------------------------------------------------------------------------- */

typedef struct {
    double recall, precision, f, exact; /* exact: 0 or 1 */
    bool ended;                         /* at an end of text, not at max_new */
} row_scores;

typedef struct {
    dele_lume data;
    const dele_layout *chat;
    int max_new;
    bool semeval; /* quirks of the organisers' script */
    dele_lume_scores scores;
    row_scores *row; /* [n] */
    dele_semeval_mmlu mmlu;
    dele_suite_opts members_opts;
    dele_scoring members; /* the membership part; scores NULL: there is none */
    dele_semeval final;   /* where the scores are complete */
} lume_state;

static double row_score(const lume_state *st, size_t i)
{
    const row_scores *r = &st->row[i];
    return st->data.row[i].kind == DELE_LUME_SC ? r->recall : r->exact;
}

/* Whether the row belongs to a term: the organisers' script expects the kind before one digit. */
static bool counts(const lume_state *st, size_t i)
{
    const char *id = st->data.row[i].id;
    size_t document, n = strlen(id);
    dele_lume_kind kind;
    return !st->semeval || (dele_lume_parse_id(&kind, &document, id) && document + 3 == n);
}

static dele_status lume_score(dele_scoring *s, dele_err *err)
{
    const lume_state *st = s->state;
    const char **prompts = DELE_NEW(&s->part_arena, const char *, st->data.n, err);
    if (!prompts) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < st->data.n; i++) prompts[i] = st->data.row[i].input;
    return dele_score_outputs(s, prompts, NULL, st->chat, st->max_new, err);
}

static dele_status lume_item(dele_scoring *s, size_t i, dele_err *err)
{
    lume_state *st = s->state;
    const dele_lume_row *row = &st->data.row[i];
    dele_rouge rouge;
    bool same;
    dele_clean_up_spaces(s->output);
    const char *output = st->semeval ? dele_through_pandas(row->output) : row->output;
    const char *generated = st->semeval ? dele_through_pandas(s->output) : s->output;
    if (dele_rouge_l(&rouge, output, generated, true, &s->scratch, err) ||
        dele_exact_match(&same, output, generated, &s->scratch, err))
        return err->code;
    st->row[i] = (row_scores){rouge.recall, rouge.precision, rouge.f, same, s->ended};
    return DELE_OK;
}

static void lume_line(dele_items_line *line, dele_scoring *s, size_t i)
{
    lume_state *st = s->state;
    const dele_lume_row *row = &st->data.row[i];
    row_scores *r = &st->row[i];
    dele_key_text(line, "id", row->id);
    dele_key_text(line, "split", row->split);
    dele_key_text(line, "task", row->task);
    dele_key_text(line, "type", dele_lume_kind_name(row->kind));
    dele_key_text(line, "output", row->output);
    dele_line_text(line, "generated", s->output);
    dele_line_real(line, "rougeL_recall", &r->recall, 0, 1);
    dele_line_real(line, "rougeL_precision", &r->precision, 0, 1);
    dele_line_real(line, "rougeL_f", &r->f, 0, 1);
    dele_line_real(line, "exact_match", &r->exact, 0, 1);
    dele_line_bool(line, "ended", &r->ended);
}

static dele_lume_cell *lume_cell_of(dele_lume_scores *scores, const dele_lume_row *row)
{
    for (size_t i = 0; i < scores->n_cells; i++) {
        dele_lume_cell *c = &scores->cell[i];
        if (c->kind == row->kind && strcmp(c->split, row->split) == 0 &&
            strcmp(c->task, row->task) == 0)
            return c;
    }
    dele_lume_cell *c = &scores->cell[scores->n_cells++];
    *c = (dele_lume_cell){.split = row->split, .task = row->task, .kind = row->kind};
    return c;
}

static int by_name(const void *a, const void *b)
{
    const dele_lume_cell *x = a, *y = b;
    int order = strcmp(x->split, y->split);
    if (!order) order = strcmp(x->task, y->task);
    return order ? order : (int)x->kind - (int)y->kind;
}

/* The task aggregate (score/suites/semeval.h): the harmonic mean of twelve terms, 0 where one of
 * them is. */
static void aggregate(dele_lume_scores *scores)
{
    double term[12];
    size_t n = 0;
    for (size_t i = 0; i < scores->n_cells && n < 12; i++) {
        const dele_lume_cell *c = &scores->cell[i];
        bool forget = strcmp(c->split, "forget") == 0;
        if (forget || strcmp(c->split, "retain") == 0) term[n++] = forget ? 1 - c->score : c->score;
    }
    scores->complete = n == 12 && scores->n_cells == 12;
    scores->aggregate = scores->complete ? dele_harmonic_mean(term, n) : 0;
}

/* Means by split, task and kind.  A mean is known before its standard error is summed. */
static dele_status summarise(lume_state *st, dele_arena *arena, dele_err *err)
{
    dele_lume_scores *scores = &st->scores;
    const size_t n = st->data.n;
    *scores = (dele_lume_scores){.cell = DELE_NEW(arena, dele_lume_cell, n, err)};
    if (!scores->cell) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        if (!counts(st, i)) continue;
        dele_lume_cell *c = lume_cell_of(scores, &st->data.row[i]);
        c->n++;
        c->score += row_score(st, i);
        scores->n_cut += !st->row[i].ended;
    }
    for (size_t i = 0; i < scores->n_cells; i++) scores->cell[i].score /= (double)scores->cell[i].n;
    for (size_t i = 0; i < n; i++) {
        if (!counts(st, i)) continue;
        dele_lume_cell *c = lume_cell_of(scores, &st->data.row[i]);
        c->se += (row_score(st, i) - c->score) * (row_score(st, i) - c->score);
    }
    for (size_t i = 0; i < scores->n_cells; i++) {
        dele_lume_cell *c = &scores->cell[i];
        double N = (double)c->n;
        c->se = c->n > 1 ? sqrt(c->se / (N - 1) / N) : NAN;
    }
    qsort(scores->cell, scores->n_cells, sizeof *scores->cell, by_name);
    aggregate(scores);
    return DELE_OK;
}

static bool has_members(const char *data)
{
    return dele_path_is_dir(data) && dele_membership_is_there(data);
}

/* Scores the membership part, whose lines follow the rows' in items.jsonl. */
static dele_status score_members(dele_scoring *s, dele_err *err)
{
    lume_state *st = s->state;
    const char *data = s->opts->data;
    if (!has_members(data)) return DELE_OK;
    st->members_opts = (dele_suite_opts){.data = data, .limit = s->opts->limit};
    st->members = (dele_scoring){.suite = &dele_suite_membership,
                                 .opts = &st->members_opts,
                                 .model = s->model,
                                 .run = s->run,
                                 .items = s->items,
                                 .first = s->first + st->data.n,
                                 .arena = s->arena,
                                 .quiet = s->quiet};
    return dele_suite_run(&st->members, s->suite->name, err);
}

static dele_status lume_total(dele_scoring *s, dele_err *err)
{
    lume_state *st = s->state;
    if (summarise(st, s->arena, err) || score_members(s, err)) return err->code;
    const dele_membership_scores *members = st->members.scores;
    const double auc = members ? members->attack[DELE_ATTACK_LOSS].auc : NAN;
    if (st->scores.complete) st->final = dele_semeval_score(st->scores.aggregate, auc, &st->mmlu);
    return DELE_OK;
}

/* ---- the suite ------------------------------------------------------------------------------- */

static const char *text_or_unknown(const cJSON *json, const char *name, dele_arena *arena,
                                   dele_err *err)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    return dele_strdup(arena, text ? text : "unknown", err);
}

/* MMLU's mean over the questions of --mmlu-result, and of which questions; NaN without one. */
static dele_status load_mmlu(dele_semeval_mmlu *mmlu, const dele_scoring *s, dele_err *err)
{
    const char *path = s->opts->mmlu_result;
    *mmlu = (dele_semeval_mmlu){.acc = NAN};
    cJSON *result = path ? dele_suite_result(path, "mmlu", s->arena, err) : NULL;
    if (!result) return err->code;
    const cJSON *micro = cJSON_GetObjectItemCaseSensitive(result, "micro");
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(micro, "n");
    const cJSON *shots = cJSON_GetObjectItemCaseSensitive(result, "shots");
    *mmlu = (dele_semeval_mmlu){
        .acc = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(micro, "acc")),
        .style = text_or_unknown(result, "style", s->arena, err),
        .split = text_or_unknown(result, "split", s->arena, err),
        .shots = cJSON_IsNumber(shots) ? shots->valueint : 0,
        .n = cJSON_IsNumber(n) ? (size_t)n->valuedouble : 0};
    cJSON_Delete(result);
    if (!err->code && !dele_semeval_mmlu_is_official(mmlu))
        dele_note(
            "--mmlu-result %s: %zu questions of the %s split in the style %s with %d examples, "
            "where SemEval's final score uses all %d of the test split in the style open-instruct "
            "with %d: "
            "this final score is not comparable with published ones",
            path, mmlu->n, mmlu->split, mmlu->style, mmlu->shots, DELE_SEMEVAL_MMLU_N,
            DELE_SEMEVAL_MMLU_SHOTS);
    return err->code;
}

static dele_status lume_load(dele_scoring *s, dele_err *err)
{
    const dele_suite_opts *o = s->opts;
    lume_state *st = s->state = DELE_NEW(s->arena, lume_state, 1, err);
    if (!st || dele_suite_only_compat(s, "semeval", err) || load_mmlu(&st->mmlu, s, err) ||
        dele_chat_open(&st->chat, o->chat, s->model->tokenizer, s->arena, err) ||
        dele_lume_load(&st->data, o->data, o->limit, o->ids, s->arena, err))
        return err->code;
    if (s->decoder && has_members(o->data))
        return dele_fail(err, DELE_ERR_USAGE,
                         "%s has membership data, which --decoder %s cannot score: give the file "
                         "of rows",
                         o->data, s->decoder->name);
    st->max_new = dele_suite_max_new(s, 256);
    st->semeval = o->compat != NULL;
    st->row = DELE_NEW(s->arena, row_scores, st->data.n, err);
    s->scores = &st->scores;
    return st->row ? dele_suite_one_part(s, NULL, st->data.n, err) : DELE_ERR_MEMORY;
}

/* The rows of the result, with the counts and, where all twelve terms exist, their harmonic mean.
 */
static void put_cells(cJSON *json, const dele_lume_scores *scores)
{
    cJSON *cells = cJSON_AddArrayToObject(json, "scores");
    size_t n = 0;
    for (size_t i = 0; i < scores->n_cells; i++) {
        const dele_lume_cell *c = &scores->cell[i];
        cJSON *cell = cJSON_CreateObject();
        n += c->n;
        cJSON_AddStringToObject(cell, "split", c->split);
        cJSON_AddStringToObject(cell, "task", c->task);
        cJSON_AddStringToObject(cell, "type", dele_lume_kind_name(c->kind));
        cJSON_AddStringToObject(cell, "measure",
                                c->kind == DELE_LUME_SC ? "rougeL_recall" : "exact_match");
        cJSON_AddNumberToObject(cell, "n", (double)c->n);
        cJSON_AddItemToObject(cell, "score", dele_json_number(c->score));
        cJSON_AddItemToObject(cell, "stderr", dele_json_number(c->se));
        cJSON_AddItemToArray(cells, cell);
    }
    cJSON_AddNumberToObject(json, "n", (double)n);
    cJSON_AddNumberToObject(json, "cut_at_max_new", (double)scores->n_cut);
    if (scores->complete)
        cJSON_AddItemToObject(json, "task_aggregate", dele_json_number(scores->aggregate));
}

static void lume_json(cJSON *json, const dele_scoring *s)
{
    const lume_state *st = s->state;
    if (s->opts->compat) dele_put_text(json, "compat", s->opts->compat);
    dele_put_text(json, "chat", dele_chat_name[s->opts->chat]);
    cJSON_AddNumberToObject(json, "max_new", st->max_new);
    put_cells(json, &st->scores);
    if (st->members.scores)
        dele_membership_json(cJSON_AddObjectToObject(json, "membership"), st->members.scores);
    if (st->scores.complete) cJSON_AddItemToObject(json, "semeval", dele_semeval_json(&st->final));
}

static void cells_table(dele_table *t, const dele_lume_scores *scores)
{
    dele_table_head(t, "split\ttask\ttype\tmeasure\tn\tscore\tscore_stderr");
    for (size_t i = 0; i < scores->n_cells; i++) {
        const dele_lume_cell *c = &scores->cell[i];
        dele_table_text(t, c->split);
        dele_table_text(t, c->task);
        dele_table_text(t, dele_lume_kind_name(c->kind));
        dele_table_text(t, c->kind == DELE_LUME_SC ? "rougeL_recall" : "exact_match");
        dele_table_cell(t, "%zu", c->n);
        dele_table_real(t, "%.4f", c->score);
        dele_table_real(t, "%.4f", c->se);
        dele_table_row(t);
    }
}

static size_t lume_tables(dele_table *table, const dele_scoring *s)
{
    const lume_state *st = s->state;
    size_t n = 0;
    cells_table(&table[n++], &st->scores);
    if (st->members.scores) n += st->members.suite->tables(&table[n], &st->members);
    if (st->scores.complete) dele_semeval_table(&table[n++], &st->final);
    return n;
}

const dele_suite dele_suite_lume = {
    .name = "lume",
    .data = "JSONL, or directory with forget.jsonl and retain.jsonl (or forget_val.jsonl, ...)",
    .unit = "rows",
    .options = {"ids", "chat", "max-new", "mmlu-result", "compat", "decoder"},
    .item_id = {"split", "id"},
    .item_set = "split",
    .inputs = dele_membership_inputs,
    .load = lume_load,
    .score = lume_score,
    .item = lume_item,
    .line = lume_line,
    .total = lume_total,
    .json = lume_json,
    .tables = lume_tables};
