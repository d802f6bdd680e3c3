#include "score/lume.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "score/pytext.h"
#include "score/rouge.h"
#include "score/say.h"
#include "score/set_files.h"
#include "score/two_samples.h"

const char *lac_lume_kind_name(lac_lume_kind kind)
{
    return kind == LAC_LUME_SC ? "sc" : "qa";
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

typedef struct {
    char **line;
    size_t n;
} id_list;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static lac_status ids_load(id_list *ids, const char *path, lac_arena *arena, lac_err *err)
{
    size_t size = 0;
    char *text = lac_file_read(path, arena, &size, err);
    ids->line = text ? LAC_NEW(arena, char *, size / 2 + 1, err) : NULL;
    if (!ids->line) return err->code;
    for (char *at = strtok_r(text, "\r\n", &text); at; at = strtok_r(NULL, "\r\n", &text)) ids->line[ids->n++] = at;
    if (ids->n == 0) return lac_fail(err, LAC_ERR_DATA, "%s lists no id: one a line is expected", path);
    qsort(ids->line, ids->n, sizeof *ids->line, by_text);
    return LAC_OK;
}

static bool wanted(const id_list *ids, const char *id)
{
    return !ids->line || bsearch(&id, ids->line, ids->n, sizeof *ids->line, by_text);
}

bool lac_lume_parse_id(lac_lume_kind *kind, size_t *document, const char *id)
{
    size_t n = strlen(id);
    while (n > 0 && id[n - 1] >= '0' && id[n - 1] <= '9') n--;
    if (n < 2) return false;
    if (memcmp(id + n - 2, "sc", 2) == 0) *kind = LAC_LUME_SC;
    else if (memcmp(id + n - 2, "qa", 2) == 0) *kind = LAC_LUME_QA;
    else return false;
    *document = n - 2;
    return true;
}

static const char *const split_name[] = {"forget", "retain"};

/* The split that a name says, "forget" or "forget_val"; NULL: none. */
static const char *split_of(const char *name)
{
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(split_name[i]);
        if (!strncmp(name, split_name[i], n) && (!name[n] || strchr("_-.", name[n]))) return split_name[i];
    }
    return NULL;
}

/* A row's own column "split" counts where the file's name says nothing, and may not contradict it. */
static lac_status row_split(const char **split, const lac_records *r, const cJSON *json, lac_err *err)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "split"));
    const char *own = text && (!strcmp(text, split_name[0]) || !strcmp(text, split_name[1])) ? split_of(text) : NULL;
    if (!own || own == *split) return LAC_OK;
    if (split_of(*split))
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: \"split\" is %s, in a file whose name says %s", r->path,
                        r->line, own, *split);
    *split = own;
    return LAC_OK;
}

static lac_status row_read(lac_lume_row *row, const lac_records *r, const cJSON *json, const char *split,
                           lac_arena *arena, lac_err *err)
{
    size_t document;
    const char *field[4];
    static const char *const name[4] = {"id", "input", "output", "task"};
    if (row_split(&split, r, json, err)) return err->code;
    for (int f = 0; f < 4; f++) {
        const char *text = lac_record_string(r, json, name[f], err);
        field[f] = text ? lac_strdup(arena, text, err) : NULL;
        if (!field[f]) return err->code;
    }
    *row = (lac_lume_row){field[0], field[1], field[2], field[3], split, LAC_LUME_SC};
    if (!lac_lume_parse_id(&row->kind, &document, row->id))
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: the id \"%.80s\" must end in sc or qa and a number", r->path,
                        r->line, row->id);
    if (!row->input[0]) return lac_fail(err, LAC_ERR_DATA, "%s:%d: \"input\" is empty", r->path, r->line);
    return LAC_OK;
}

static lac_status rows_reserve(lac_lume *data, size_t *capacity, lac_arena *arena, lac_err *err)
{
    if (data->n < *capacity) return LAC_OK;
    size_t more = *capacity ? 2 * *capacity : 256;
    lac_lume_row *row = LAC_NEW(arena, lac_lume_row, more, err);
    if (!row) return LAC_ERR_MEMORY;
    if (data->n) memcpy(row, data->row, data->n * sizeof *row);
    data->row = row;
    *capacity = more;
    return LAC_OK;
}

static lac_status file_load(lac_lume *data, size_t *capacity, const char *path, int limit, const id_list *ids,
                            lac_arena *arena, lac_err *err)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    const char *split = split_of(base);
    if (!split) split = lac_strndup(arena, base, strcspn(base, "."), err);
    if (!split) return LAC_ERR_MEMORY;
    lac_records r = {0};
    lac_status status = lac_records_open(&r, path, err);
    size_t n = 0;
    const cJSON *json;
    while (!status && (!limit || n < (size_t)limit) && (json = lac_records_next(&r, err))) {
        status = rows_reserve(data, capacity, arena, err);
        if (!status) status = row_read(&data->row[data->n], &r, json, split, arena, err);
        if (status || !wanted(ids, data->row[data->n].id)) continue;
        data->n++;
        n++;
    }
    lac_records_close(&r);
    return status ? status : err->code;
}

/* forget.jsonl, or else the one file whose name begins so; NULL: there is none, or err is set. */
static const char *find_split(const lac_set_files *files, const char *dir, const char *split, lac_err *err)
{
    const char *found = NULL;
    for (size_t i = 0; i < files->n; i++)
        if (!strcmp(files->name[i], split)) return files->path[i];
    for (size_t i = 0; i < files->n; i++) {
        if (split_of(files->name[i]) != split) continue;
        if (found) {
            lac_fail(err, LAC_ERR_DATA, "%s holds %s and %s; put the one to score into a directory of its own, or "
                     "name it %s.jsonl", dir, strrchr(found, '/') + 1, strrchr(files->path[i], '/') + 1, split);
            return NULL;
        }
        found = files->path[i];
    }
    return found;
}

static lac_status dir_load(lac_lume *data, const char *dir, int limit, const id_list *ids, lac_arena *arena,
                           lac_err *err)
{
    lac_set_files files;
    size_t capacity = 0;
    bool any = false;
    lac_err none = {0};
    if (lac_set_files_find(&files, dir, false, arena, &none)) files.n = 0;
    for (int i = 0; i < 2 && !err->code; i++) {
        const char *file = find_split(&files, dir, split_name[i], err);
        if (!file || file_load(data, &capacity, file, limit, ids, arena, err)) continue;
        any = true;
    }
    if (err->code || any) return err->code;
    return lac_fail(err, LAC_ERR_FILE, "%s holds neither forget.jsonl nor retain.jsonl (forget_val.jsonl and the like do "
                    "as well); experiments/parquet_rows.py makes .jsonl of .parquet", dir);
}

lac_status lac_lume_load(lac_lume *data, const char *path, int limit, const char *ids, lac_arena *arena, lac_err *err)
{
    id_list list = {0};
    size_t capacity = 0;
    *data = (lac_lume){0};
    lac_status status = ids ? ids_load(&list, ids, arena, err) : LAC_OK;
    if (status) return status;
    status = lac_path_is_dir(path) ? dir_load(data, path, limit, &list, arena, err)
                                   : file_load(data, &capacity, path, limit, &list, arena, err);
    if (!status && data->n == 0)
        return lac_fail(err, LAC_ERR_DATA, "%s: no row %s", path, ids ? "has one of the ids asked for" : "to score");
    return status;
}

/* ---- texts ----------------------------------------------------------------------------------------------------- */

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

void lac_clean_up_spaces(char *text)
{
    static const char *const rule[][2] = {{" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
                                          {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"},
                                          {" 're", "'re"}};
    for (size_t i = 0; i < sizeof rule / sizeof *rule; i++) replace_all(text, rule[i][0], rule[i][1]);
}

lac_status lac_exact_match(bool *same, const char *a, const char *b, lac_arena *arena, lac_err *err)
{
    const char *text[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        char *stripped = lac_strip(text[i], arena, err);
        text[i] = stripped ? lac_lower(stripped, arena, err) : NULL;
        if (!text[i]) return LAC_ERR_MEMORY;
    }
    *same = strcmp(text[0], text[1]) == 0;
    return LAC_OK;
}

/* ---- scoring --------------------------------------------------------------------------------------------------- */

typedef struct {
    const lac_lume *data;
    const lac_lume_opts *opts;
    double *score;
    bool *cut; /* the generation ended at max_new */
    lac_arena scratch;
} scoring;

/* Whether the row belongs to a term: the organisers' script looks for the kind before one digit. */
static bool counts(const scoring *s, size_t i)
{
    const char *id = s->data->row[i].id;
    size_t document, n = strlen(id);
    lac_lume_kind kind;
    return !s->opts->semeval || (lac_lume_parse_id(&kind, &document, id) && document + 3 == n);
}

static lac_status said(void *data, size_t i, char *text, bool ended, lac_err *err)
{
    scoring *s = data;
    const lac_lume_row *row = &s->data->row[i];
    lac_rouge rouge;
    bool same;
    lac_clean_up_spaces(text);
    lac_arena_reset(&s->scratch);
    const char *output = s->opts->semeval ? lac_through_pandas(row->output) : row->output;
    const char *generated = s->opts->semeval ? lac_through_pandas(text) : text;
    if (lac_rouge_l(&rouge, output, generated, true, &s->scratch, err) ||
        lac_exact_match(&same, output, generated, &s->scratch, err))
        return err->code;
    s->score[i] = row->kind == LAC_LUME_SC ? rouge.recall : same;
    s->cut[i] = !ended;
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "id", row->id);
    cJSON_AddStringToObject(line, "split", row->split);
    cJSON_AddStringToObject(line, "task", row->task);
    cJSON_AddStringToObject(line, "type", lac_lume_kind_name(row->kind));
    cJSON_AddStringToObject(line, "output", row->output);
    cJSON_AddStringToObject(line, "generated", text);
    cJSON_AddItemToObject(line, "rougeL_recall", lac_json_number(rouge.recall));
    cJSON_AddItemToObject(line, "rougeL_precision", lac_json_number(rouge.precision));
    cJSON_AddItemToObject(line, "rougeL_f", lac_json_number(rouge.f));
    cJSON_AddNumberToObject(line, "exact_match", same);
    cJSON_AddBoolToObject(line, "ended", ended);
    return lac_items_put(s->opts->items, i, line, err);
}

/* What an earlier run has scored already; returns how many. */
static size_t recall(scoring *s)
{
    size_t n = 0;
    for (const cJSON *old; n < s->data->n && (old = lac_items_old(s->opts->items, n)); n++) {
        const char *name = s->data->row[n].kind == LAC_LUME_SC ? "rougeL_recall" : "exact_match";
        s->score[n] = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(old, name));
        s->cut[n] = cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(old, "ended"));
    }
    return n;
}

static lac_lume_cell *cell_of(lac_lume_scores *scores, const lac_lume_row *row)
{
    for (size_t i = 0; i < scores->n_cells; i++) {
        lac_lume_cell *c = &scores->cell[i];
        if (c->kind == row->kind && strcmp(c->split, row->split) == 0 && strcmp(c->task, row->task) == 0) return c;
    }
    lac_lume_cell *c = &scores->cell[scores->n_cells++];
    *c = (lac_lume_cell){.split = row->split, .task = row->task, .kind = row->kind};
    return c;
}

static int by_name(const void *a, const void *b)
{
    const lac_lume_cell *x = a, *y = b;
    int order = strcmp(x->split, y->split);
    if (!order) order = strcmp(x->task, y->task);
    return order ? order : (int)x->kind - (int)y->kind;
}

/* The task aggregate (score/semeval.h): the harmonic mean of twelve terms, 0 where one of them is. */
static void aggregate(lac_lume_scores *scores)
{
    double term[12];
    size_t n = 0;
    for (size_t i = 0; i < scores->n_cells && n < 12; i++) {
        const lac_lume_cell *c = &scores->cell[i];
        bool forget = strcmp(c->split, "forget") == 0;
        if (forget || strcmp(c->split, "retain") == 0) term[n++] = forget ? 1 - c->score : c->score;
    }
    scores->complete = n == 12 && scores->n_cells == 12;
    scores->aggregate = scores->complete ? lac_harmonic_mean(term, n) : 0;
}

static lac_status summarise(lac_lume_scores *scores, const scoring *s, lac_arena *arena, lac_err *err)
{
    *scores = (lac_lume_scores){.cell = LAC_NEW(arena, lac_lume_cell, s->data->n, err)};
    if (!scores->cell) return LAC_ERR_MEMORY;
    for (size_t i = 0; i < s->data->n; i++) {
        if (!counts(s, i)) continue;
        lac_lume_cell *c = cell_of(scores, &s->data->row[i]);
        c->n++;
        c->score += s->score[i];
        scores->n_cut += s->cut[i];
    }
    for (size_t i = 0; i < scores->n_cells; i++) scores->cell[i].score /= (double)scores->cell[i].n;
    for (size_t i = 0; i < s->data->n; i++) {
        if (!counts(s, i)) continue;
        lac_lume_cell *c = cell_of(scores, &s->data->row[i]);
        c->se += (s->score[i] - c->score) * (s->score[i] - c->score);
    }
    for (size_t i = 0; i < scores->n_cells; i++) {
        lac_lume_cell *c = &scores->cell[i];
        double n = (double)c->n;
        c->se = c->n > 1 ? sqrt(c->se / (n - 1) / n) : NAN;
    }
    qsort(scores->cell, scores->n_cells, sizeof *scores->cell, by_name);
    aggregate(scores);
    return LAC_OK;
}

lac_status lac_lume_run(lac_lume_scores *scores, const lac_lume *data, lac_run *run, const lac_model *model,
                        const lac_lume_opts *opts, lac_arena *arena, lac_err *err)
{
    scoring s = {.data = data,
                 .opts = opts,
                 .score = LAC_NEW(arena, double, data->n, err),
                 .cut = LAC_NEW(arena, bool, data->n, err)};
    const char **prompts = LAC_NEW(arena, const char *, data->n, err);
    if (!prompts || !s.score || !s.cut) return LAC_ERR_MEMORY;
    for (size_t i = 0; i < data->n; i++) prompts[i] = data->row[i].input;
    lac_say_opts say = {.chat = opts->chat,
                        .max_new = opts->max_new,
                        .n_known = recall(&s),
                        .said = said,
                        .data = &s,
                        .progress = opts->progress};
    lac_status status = lac_say(prompts, data->n, run, model, &say, err);
    if (!status) status = summarise(scores, &s, arena, err);
    lac_arena_release(&s.scratch);
    return status;
}

/* ---- showing --------------------------------------------------------------------------------------------------- */

cJSON *lac_lume_json(const lac_lume_scores *scores)
{
    cJSON *json = cJSON_CreateObject(), *cells = cJSON_AddArrayToObject(json, "scores");
    size_t n = 0;
    for (size_t i = 0; i < scores->n_cells; i++) {
        const lac_lume_cell *c = &scores->cell[i];
        cJSON *cell = cJSON_CreateObject();
        n += c->n;
        cJSON_AddStringToObject(cell, "split", c->split);
        cJSON_AddStringToObject(cell, "task", c->task);
        cJSON_AddStringToObject(cell, "type", lac_lume_kind_name(c->kind));
        cJSON_AddStringToObject(cell, "measure", c->kind == LAC_LUME_SC ? "rougeL_recall" : "exact_match");
        cJSON_AddNumberToObject(cell, "n", (double)c->n);
        cJSON_AddItemToObject(cell, "score", lac_json_number(c->score));
        cJSON_AddItemToObject(cell, "stderr", lac_json_number(c->se));
        cJSON_AddItemToArray(cells, cell);
    }
    cJSON_AddNumberToObject(json, "n", (double)n);
    cJSON_AddNumberToObject(json, "cut_at_max_new", (double)scores->n_cut);
    if (scores->complete) cJSON_AddItemToObject(json, "task_aggregate", lac_json_number(scores->aggregate));
    return json;
}

void lac_lume_table(FILE *to, const lac_lume_scores *scores)
{
    fprintf(to, "split\ttask\ttype\tmeasure\tn\tscore\tstderr\n");
    for (size_t i = 0; i < scores->n_cells; i++) {
        const lac_lume_cell *c = &scores->cell[i];
        fprintf(to, "%s\t%s\t%s\t%s\t%zu\t%.4f\t%.4f\n", c->split, c->task, lac_lume_kind_name(c->kind),
                c->kind == LAC_LUME_SC ? "rougeL_recall" : "exact_match", c->n, c->score, c->se);
    }
}
