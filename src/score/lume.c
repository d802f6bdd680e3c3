#include "score/lume.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_out.h"
#include "score/generate_batch.h"
#include "score/pytext.h"
#include "score/rouge.h"
#include "score/set_files.h"
#include "score/two_samples.h"

const char *dele_lume_kind_name(dele_lume_kind kind) { return kind == DELE_LUME_SC ? "sc" : "qa"; }

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct {
    char **line;
    size_t n;
} id_list;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static dele_status ids_load(id_list *ids, const char *path, dele_arena *arena, dele_err *err)
{
    size_t size = 0;
    char *text = dele_text_read(path, arena, &size, err);
    ids->line = text ? DELE_NEW(arena, char *, size / 2 + 1, err) : NULL;
    if (!ids->line) return err->code;
    for (char *at = strtok_r(text, "\r\n", &text); at; at = strtok_r(NULL, "\r\n", &text))
        ids->line[ids->n++] = at;
    if (ids->n == 0)
        return dele_fail(err, DELE_ERR_DATA, "%s lists no id; it must have one id a line", path);
    qsort(ids->line, ids->n, sizeof *ids->line, by_text);
    return DELE_OK;
}

static bool wanted(const id_list *ids, const char *id)
{
    return !ids->line || bsearch(&id, ids->line, ids->n, sizeof *ids->line, by_text);
}

bool dele_lume_parse_id(dele_lume_kind *kind, size_t *document, const char *id)
{
    size_t n = strlen(id);
    while (n > 0 && id[n - 1] >= '0' && id[n - 1] <= '9') n--;
    if (n < 2) return false;
    if (memcmp(id + n - 2, "sc", 2) == 0)
        *kind = DELE_LUME_SC;
    else if (memcmp(id + n - 2, "qa", 2) == 0)
        *kind = DELE_LUME_QA;
    else
        return false;
    *document = n - 2;
    return true;
}

static const char *const split_name[] = {"forget", "retain"};

/* The split in a file's name, "forget" or "forget_val"; NULL: none. */
static const char *split_of(const char *name)
{
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(split_name[i]);
        if (!strncmp(name, split_name[i], n) && (!name[n] || strchr("_-.", name[n])))
            return split_name[i];
    }
    return NULL;
}

/* A row's own column "split" is used where the file's name has no split, and must not contradict
 * the name. */
static dele_status row_split(const char **split, const dele_records *r, const cJSON *json,
                             dele_err *err)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "split"));
    const char *own = text && (!strcmp(text, split_name[0]) || !strcmp(text, split_name[1]))
                          ? split_of(text)
                          : NULL;
    if (!own || own == *split) return DELE_OK;
    if (split_of(*split))
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: \"split\" is %s, in a file whose name says %s",
                         r->path, r->line, own, *split);
    *split = own;
    return DELE_OK;
}

static dele_status row_read(dele_lume_row *row, const dele_records *r, const cJSON *json,
                            const char *split, dele_arena *arena, dele_err *err)
{
    size_t document;
    const char *field[4];
    static const char *const name[4] = {"id", "input", "output", "task"};
    if (row_split(&split, r, json, err)) return err->code;
    for (int f = 0; f < 4; f++) {
        const char *text = dele_record_string(r, json, name[f], err);
        field[f] = text ? dele_strdup(arena, text, err) : NULL;
        if (!field[f]) return err->code;
    }
    *row = (dele_lume_row){field[0], field[1], field[2], field[3], split, DELE_LUME_SC};
    if (!dele_lume_parse_id(&row->kind, &document, row->id))
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: the id \"%.80s\" must end in sc or qa and a number", r->path,
                         r->line, row->id);
    if (!row->input[0])
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: \"input\" is empty", r->path, r->line);
    return DELE_OK;
}

static dele_status rows_reserve(dele_lume *data, size_t *capacity, dele_arena *arena, dele_err *err)
{
    if (data->n < *capacity) return DELE_OK;
    size_t more = *capacity ? 2 * *capacity : 256;
    dele_lume_row *row = DELE_NEW(arena, dele_lume_row, more, err);
    if (!row) return DELE_ERR_MEMORY;
    if (data->n) memcpy(row, data->row, data->n * sizeof *row);
    data->row = row;
    *capacity = more;
    return DELE_OK;
}

static dele_status file_load(dele_lume *data, size_t *capacity, const char *path, int limit,
                             const id_list *ids, dele_arena *arena, dele_err *err)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    const char *split = split_of(base);
    if (!split) split = dele_strndup(arena, base, strcspn(base, "."), err);
    if (!split) return DELE_ERR_MEMORY;
    dele_records r = {0};
    dele_status status = dele_records_open(&r, path, err);
    size_t n = 0;
    const cJSON *json;
    while (!status && (!limit || n < (size_t)limit) && (json = dele_records_next(&r, err))) {
        status = rows_reserve(data, capacity, arena, err);
        if (!status) status = row_read(&data->row[data->n], &r, json, split, arena, err);
        if (status || !wanted(ids, data->row[data->n].id)) continue;
        data->n++;
        n++;
    }
    dele_records_close(&r);
    return status ? status : err->code;
}

/* forget.jsonl, or else the only file whose name begins so; NULL: there is none, or err is set. */
static const char *find_split(const dele_set_files *files, const char *dir, const char *split,
                              dele_err *err)
{
    const char *found = NULL;
    for (size_t i = 0; i < files->n; i++)
        if (!strcmp(files->name[i], split)) return files->path[i];
    for (size_t i = 0; i < files->n; i++) {
        if (split_of(files->name[i]) != split) continue;
        if (found) {
            dele_fail(err, DELE_ERR_DATA,
                      "%s holds %s and %s; put the one to score into a directory of its own, or "
                      "name it %s.jsonl",
                      dir, strrchr(found, '/') + 1, strrchr(files->path[i], '/') + 1, split);
            return NULL;
        }
        found = files->path[i];
    }
    return found;
}

static dele_status dir_load(dele_lume *data, const char *dir, int limit, const id_list *ids,
                            dele_arena *arena, dele_err *err)
{
    dele_set_files files;
    size_t capacity = 0;
    bool any = false;
    dele_err none = {0};
    if (dele_set_files_find(&files, dir, false, arena, &none)) files.n = 0;
    for (int i = 0; i < 2 && !err->code; i++) {
        const char *file = find_split(&files, dir, split_name[i], err);
        if (!file || file_load(data, &capacity, file, limit, ids, arena, err)) continue;
        any = true;
    }
    if (err->code || any) return err->code;
    return dele_fail(
        err, DELE_ERR_FILE,
        "%s holds neither forget.jsonl nor retain.jsonl (forget_val.jsonl and the like do "
        "as well); experiments/parquet_rows.py makes .jsonl of .parquet",
        dir);
}

dele_status dele_lume_load(dele_lume *data, const char *path, int limit, const char *ids,
                           dele_arena *arena, dele_err *err)
{
    id_list list = {0};
    size_t capacity = 0;
    *data = (dele_lume){0};
    dele_status status = ids ? ids_load(&list, ids, arena, err) : DELE_OK;
    if (status) return status;
    status = dele_path_is_dir(path) ? dir_load(data, path, limit, &list, arena, err)
                                    : file_load(data, &capacity, path, limit, &list, arena, err);
    if (!status && data->n == 0)
        return dele_fail(err, DELE_ERR_DATA, "%s: no row %s", path,
                         ids ? "has one of the ids asked for" : "to score");
    return status;
}

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

dele_status dele_exact_match(bool *same, const char *a, const char *b, dele_arena *arena,
                             dele_err *err)
{
    const char *text[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        char *stripped = dele_strip(text[i], arena, err);
        text[i] = stripped ? dele_lower(stripped, arena, err) : NULL;
        if (!text[i]) return DELE_ERR_MEMORY;
    }
    *same = strcmp(text[0], text[1]) == 0;
    return DELE_OK;
}

/* ---- scoring --------------------------------------------------------------------------------- */

typedef struct {
    const dele_lume *data;
    const dele_lume_opts *opts;
    double *score;
    bool *cut; /* the generation ended at max_new */
    dele_arena scratch;
} scoring;

/* Whether the row belongs to a term: the organisers' script expects the kind before one digit. */
static bool counts(const scoring *s, size_t i)
{
    const char *id = s->data->row[i].id;
    size_t document, n = strlen(id);
    dele_lume_kind kind;
    return !s->opts->semeval || (dele_lume_parse_id(&kind, &document, id) && document + 3 == n);
}

/* The fields that identify an item's line; a resumed line is compared with them. */
static cJSON *item_key(const dele_lume_row *row)
{
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "id", row->id);
    cJSON_AddStringToObject(line, "split", row->split);
    cJSON_AddStringToObject(line, "task", row->task);
    cJSON_AddStringToObject(line, "type", dele_lume_kind_name(row->kind));
    cJSON_AddStringToObject(line, "output", row->output);
    return line;
}

static dele_status on_output(void *data, size_t i, char *text, bool ended, dele_err *err)
{
    scoring *s = data;
    const dele_lume_row *row = &s->data->row[i];
    dele_rouge rouge;
    bool same;
    dele_clean_up_spaces(text);
    dele_arena_reset(&s->scratch);
    const char *output = s->opts->semeval ? dele_through_pandas(row->output) : row->output;
    const char *generated = s->opts->semeval ? dele_through_pandas(text) : text;
    if (dele_rouge_l(&rouge, output, generated, true, &s->scratch, err) ||
        dele_exact_match(&same, output, generated, &s->scratch, err))
        return err->code;
    s->score[i] = row->kind == DELE_LUME_SC ? rouge.recall : same;
    s->cut[i] = !ended;
    cJSON *line = item_key(row);
    cJSON_AddStringToObject(line, "generated", text);
    cJSON_AddItemToObject(line, "rougeL_recall", dele_json_number(rouge.recall));
    cJSON_AddItemToObject(line, "rougeL_precision", dele_json_number(rouge.precision));
    cJSON_AddItemToObject(line, "rougeL_f", dele_json_number(rouge.f));
    cJSON_AddNumberToObject(line, "exact_match", same);
    cJSON_AddBoolToObject(line, "ended", ended);
    return dele_items_put(s->opts->items, i, line, err);
}

/* Loads the scores of an earlier run; returns their number. */
static size_t resume(scoring *s, dele_err *err)
{
    size_t n = 0;
    for (; n < s->data->n && dele_items_previous(s->opts->items, n); n++) {
        double score, ended;
        const bool sc = s->data->row[n].kind == DELE_LUME_SC; /* which of the scores counts */
        const dele_items_field fields[] = {
            {"generated", .type = DELE_ITEMS_TEXT},
            {"rougeL_recall", sc ? &score : NULL, DELE_ITEMS_REAL, 0, 1, false},
            {"rougeL_precision", NULL, DELE_ITEMS_REAL, 0, 1, false},
            {"rougeL_f", NULL, DELE_ITEMS_REAL, 0, 1, false},
            {"exact_match", sc ? NULL : &score, DELE_ITEMS_REAL, 0, 1, false},
            {"ended", &ended, .type = DELE_ITEMS_BOOL}};
        if (!dele_items_resume(s->opts->items, n, item_key(&s->data->row[n]), fields,
                               sizeof fields / sizeof *fields, err))
            break;
        s->score[n] = score;
        s->cut[n] = ended == 0;
    }
    return n;
}

static dele_lume_cell *cell_of(dele_lume_scores *scores, const dele_lume_row *row)
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

/* The task aggregate (score/semeval.h): the harmonic mean of twelve terms, 0 where one of them
 * is. */
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

static dele_status summarise(dele_lume_scores *scores, const scoring *s, dele_arena *arena,
                             dele_err *err)
{
    *scores = (dele_lume_scores){.cell = DELE_NEW(arena, dele_lume_cell, s->data->n, err)};
    if (!scores->cell) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < s->data->n; i++) {
        if (!counts(s, i)) continue;
        dele_lume_cell *c = cell_of(scores, &s->data->row[i]);
        c->n++;
        c->score += s->score[i];
        scores->n_cut += s->cut[i];
    }
    for (size_t i = 0; i < scores->n_cells; i++) scores->cell[i].score /= (double)scores->cell[i].n;
    for (size_t i = 0; i < s->data->n; i++) {
        if (!counts(s, i)) continue;
        dele_lume_cell *c = cell_of(scores, &s->data->row[i]);
        c->se += (s->score[i] - c->score) * (s->score[i] - c->score);
    }
    for (size_t i = 0; i < scores->n_cells; i++) {
        dele_lume_cell *c = &scores->cell[i];
        double n = (double)c->n;
        c->se = c->n > 1 ? sqrt(c->se / (n - 1) / n) : NAN;
    }
    qsort(scores->cell, scores->n_cells, sizeof *scores->cell, by_name);
    aggregate(scores);
    return DELE_OK;
}

dele_status dele_lume_run(dele_lume_scores *scores, const dele_lume *data, dele_run *run,
                          const dele_model *model, const dele_lume_opts *opts, dele_arena *arena,
                          dele_err *err)
{
    scoring s = {.data = data,
                 .opts = opts,
                 .score = DELE_NEW(arena, double, data->n, err),
                 .cut = DELE_NEW(arena, bool, data->n, err)};
    const char **prompts = DELE_NEW(arena, const char *, data->n, err);
    if (!prompts || !s.score || !s.cut) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < data->n; i++) prompts[i] = data->row[i].input;
    dele_generate_batch_opts say = {.chat = opts->chat,
                                    .max_new = opts->max_new,
                                    .n_known = resume(&s, err),
                                    .on_output = on_output,
                                    .data = &s,
                                    .progress = opts->progress};
    dele_status status =
        err->code ? err->code : dele_generate_batch(prompts, data->n, run, model, &say, err);
    if (!status) status = summarise(scores, &s, arena, err);
    dele_arena_release(&s.scratch);
    return status;
}

/* ---- showing --------------------------------------------------------------------------------- */

cJSON *dele_lume_json(const dele_lume_scores *scores)
{
    cJSON *json = cJSON_CreateObject(), *cells = cJSON_AddArrayToObject(json, "scores");
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
    return json;
}

void dele_lume_table(dele_table *t, const dele_lume_scores *scores)
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
