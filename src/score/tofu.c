#include "score/tofu.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json_out.h"
#include "base/stat.h"
#include "score/choices.h"
#include "score/generate_batch.h"
#include "score/pytext.h"
#include "score/rouge.h"
#include "score/set_files.h"
#include "score/token_scores.h"
#include "text/behind.h"

static const char *const set_name[DELE_TOFU_SETS] = {"forget", "retain", "real_authors",
                                                     "world_facts"};

dele_status dele_tofu_parse_compat(dele_tofu_compat *compat, const char *name, dele_err *err)
{
    *compat = DELE_TOFU_PLAIN;
    if (!name) return DELE_OK;
    if (!strcmp(name, "open-unlearning"))
        *compat = DELE_TOFU_OPEN_UNLEARNING;
    else if (!strcmp(name, "tofu"))
        *compat = DELE_TOFU_ORIGINAL;
    else
        return dele_fail(err, DELE_ERR_USAGE, "--compat %s is not known: open-unlearning or tofu",
                         name);
    return DELE_OK;
}

/* ---- formulas -------------------------------------------------------------------------------- */

double dele_truth_ratio(double correct, const double *wrong, int n, bool arithmetic, double add)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += arithmetic ? exp(-wrong[i]) : -wrong[i];
    return (arithmetic ? sum / n : exp(sum / n)) / (exp(-correct) + add);
}

double dele_extraction_strength(const bool *greedy, int n, double floor)
{
    int k = n;
    while (k > 0 && greedy[k - 1]) k--;
    return k < n ? 1 - (double)k / n : floor;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A text, a list of texts, or none: null or "". */
static dele_status read_paraphrase(dele_tofu_row *out, const cJSON *item, const dele_records *r,
                                   const cJSON *json, dele_arena *arena, dele_err *err)
{
    const char *text = cJSON_GetStringValue(item);
    if (!item || cJSON_IsNull(item) || (text && !text[0])) return DELE_OK;
    if (!text)
        return dele_row_strings(&out->paraphrase, &out->n_paraphrases, r, json, item->string, arena,
                                err);
    out->paraphrase = DELE_NEW(arena, const char *, 1, err);
    if (!out->paraphrase || !(out->paraphrase[0] = dele_strdup(arena, text, err)))
        return DELE_ERR_MEMORY;
    out->n_paraphrases = 1;
    return DELE_OK;
}

static dele_status read_row(void *row, const dele_records *r, const cJSON *json, dele_arena *arena,
                            dele_err *err)
{
    dele_tofu_row *out = row;
    const char *question = dele_record_string(r, json, "question", err);
    const char *answer = question ? dele_record_string(r, json, "answer", err) : NULL;
    const cJSON *paraphrase = cJSON_GetObjectItemCaseSensitive(json, "paraphrased_answer");
    if (!answer) return err->code;
    if (!question[0] || !answer[0])
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: the question or the answer is empty", r->path,
                         r->line);
    out->question = dele_strdup(arena, question, err);
    out->answer = dele_strdup(arena, answer, err);
    if (err->code || read_paraphrase(out, paraphrase, r, json, arena, err)) return err->code;
    return dele_row_strings(&out->wrong, &out->n_wrong, r, json, "perturbed_answer", arena, err);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static int set_of(const char *name)
{
    int set = 0;
    while (set < DELE_TOFU_SETS && strncmp(name, set_name[set], strlen(set_name[set]))) set++;
    return set;
}

/* In a directory only the files with wrong answers are read, at most one for each set: forget01 is
 * a part of forget05, so both together are no valid set. */
static dele_status choose_files(dele_set_files *files, const char *path, dele_err *err)
{
    const char *first[DELE_TOFU_SETS + 1] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < files->n; i++) {
        if (!ends_with(files->name[i], "_perturbed")) continue;
        int set = set_of(files->name[i]);
        if (first[set] && set < DELE_TOFU_SETS)
            return dele_fail(
                err, DELE_ERR_DATA,
                "%s holds two sets named %s*: %s and %s, which would be counted as one; "
                "put the one to score and the sets of other names into a directory of their own",
                path, set_name[set], first[set], strrchr(files->path[i], '/') + 1);
        first[set] = strrchr(files->path[i], '/') + 1;
        files->path[n] = files->path[i];
        files->name[n++] = files->name[i];
    }
    files->n = n;
    if (n) return DELE_OK;
    return dele_fail(err, DELE_ERR_FILE,
                     "%s holds no file named *_perturbed.jsonl (with the wrong answers)", path);
}

static dele_status add_file(dele_tofu *data, const char *path, const char *name, int limit,
                            dele_arena *arena, dele_err *err)
{
    int set = set_of(name);
    size_t n;
    if (set == DELE_TOFU_SETS)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: its name must begin with forget, retain, real_authors or world_facts",
                         path);
    dele_tofu_row *row = dele_rows_load(&n, sizeof *row, path, limit, read_row, arena, err);
    dele_tofu_row *all = row ? DELE_NEW(arena, dele_tofu_row, data->n + n, err) : NULL;
    if (!all) return err->code;
    for (size_t i = 0; i < n; i++) row[i].set = (dele_tofu_set)set;
    if (data->n) memcpy(all, data->row, data->n * sizeof *all);
    memcpy(all + data->n, row, n * sizeof *row);
    data->row = all;
    data->n += n;
    return DELE_OK;
}

dele_status dele_tofu_load(dele_tofu *data, const char *path, int limit, dele_arena *arena,
                           dele_err *err)
{
    dele_set_files files;
    *data = (dele_tofu){0};
    if (dele_set_files_find(&files, path, true, arena, err)) return err->code;
    if (dele_path_is_dir(path) && choose_files(&files, path, err)) return err->code;
    for (size_t i = 0; i < files.n && !err->code; i++)
        add_file(data, files.path[i], files.name[i], limit, arena, err);
    return err->code;
}

/* ---- scoring --------------------------------------------------------------------------------- */

typedef struct {
    double loss, probability, ratio, arithmetic, memorization, extraction, rouge;
} values;

typedef struct {
    const dele_tofu *data;
    const dele_tofu_opts *opts;
    const dele_model *model;
    dele_scored_text *texts; /* of each row: the answer, its paraphrase, the wrong ones */
    size_t *first_text;      /* [n + 1] */
    const char **prompts;
    values *value;
    size_t n_known;
    dele_arena scratch;
} scoring;

static const char *make_prompt(const dele_tofu_row *row, const dele_tofu_opts *opts,
                               dele_arena *arena, dele_err *err)
{
    const char *place =
        opts->template && opts->chat == DELE_CHAT_NONE ? strstr(opts->template, "{}") : NULL;
    if (!place) return row->question;
    return dele_printf(arena, err, "%.*s%s%s", (int)(place - opts->template), opts->template,
                       row->question, place + 2);
}

static dele_status append(dele_scored_text *t, const int *ids, size_t n, dele_arena *arena,
                          dele_err *err)
{
    int *all = DELE_NEW(arena, int, (size_t)t->n + n, err);
    if (!all) return DELE_ERR_MEMORY;
    if (t->n) memcpy(all, t->ids, (size_t)t->n * sizeof *all);
    memcpy(all + t->n, ids, n * sizeof *all);
    t->ids = all;
    t->n += (int)n;
    return DELE_OK;
}

/* The answer after the prompt; in a chat layout without a separator, else after a blank. */
static dele_status encode_answer(dele_scored_text *t, const char *prompt, const char *answer,
                                 const scoring *s, dele_arena *arena, dele_err *err)
{
    const dele_tokenizer *tokenizer = s->model->tokenizer;
    int most = s->model->config.context - 1, eos = s->model->config.eos;
    *t = (dele_scored_text){0};
    if (s->opts->chat != DELE_CHAT_NONE) {
        dele_ids_behind both;
        if (dele_encode_answer(&both, tokenizer, s->opts->chat, prompt, answer, false, arena, err))
            return err->code;
        if (!both.first || both.n == both.first || both.n > (size_t)most)
            return dele_fail(err, DELE_ERR_DATA,
                             "\"%.80s\": question and answer do not fit the model's context",
                             answer);
        *t = (dele_scored_text){.ids = both.id, .n = (int)both.n, .first = (int)both.first};
    } else {
        dele_choice c;
        const char *text = dele_printf(arena, err, "%s%s", dele_between(answer), answer);
        if (!text || dele_choice_encode(&c, tokenizer, prompt, text, most, arena, err))
            return err->code;
        *t = (dele_scored_text){.ids = c.ids, .n = c.n, .first = c.n - c.n_scored, .cut = c.cut};
    }
    if (eos < 0) eos = dele_tokenizer_eos(tokenizer);
    return s->opts->compat != DELE_TOFU_PLAIN && eos >= 0 ? append(t, &eos, 1, arena, err)
                                                          : DELE_OK;
}

static dele_status encode(scoring *s, dele_arena *arena, dele_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < s->data->n; i++)
        n += 1 + (size_t)s->data->row[i].n_paraphrases + (size_t)s->data->row[i].n_wrong;
    s->texts = DELE_NEW(arena, dele_scored_text, n, err);
    if (!s->texts) return DELE_ERR_MEMORY;
    n = 0;
    for (size_t i = 0; i < s->data->n; i++) {
        const dele_tofu_row *row = &s->data->row[i];
        s->first_text[i] = n;
        s->prompts[i] = make_prompt(row, s->opts, arena, err);
        if (!s->prompts[i] ||
            encode_answer(&s->texts[n++], s->prompts[i], row->answer, s, arena, err))
            return err->code;
        for (int k = 0; k < row->n_paraphrases; k++)
            if (encode_answer(&s->texts[n++], s->prompts[i], row->paraphrase[k], s, arena, err))
                return err->code;
        for (int k = 0; k < row->n_wrong; k++)
            if (encode_answer(&s->texts[n++], s->prompts[i], row->wrong[k], s, arena, err))
                return err->code;
    }
    s->first_text[s->data->n] = n;
    size_t n_cut = 0;
    for (size_t i = 0; i < n; i++) n_cut += s->texts[i].cut;
    if (n_cut)
        dele_remark("%zu of %zu questions with an answer are longer than the model's context of %d "
                    "tokens and lose their "
                    "beginning",
                    n_cut, n, s->model->config.context);
    return DELE_OK;
}

/* All scores that follow from one row's losses. */
static dele_status read_losses(scoring *s, size_t i, double **wrong, double *correct, dele_err *err)
{
    const dele_tofu_row *row = &s->data->row[i];
    const dele_scored_text *own = &s->texts[s->first_text[i]], *next = own + 1;
    double add = s->opts->compat == DELE_TOFU_OPEN_UNLEARNING ? 1e-10 : 0, sum = 0;
    values *v = &s->value[i];
    int n = own->n - own->first - (s->opts->compat != DELE_TOFU_PLAIN && own->n - own->first > 1),
        right = 0;
    *wrong = DELE_NEW(&s->scratch, double, (size_t)row->n_wrong, err);
    if (!*wrong) return DELE_ERR_MEMORY;
    v->loss = dele_scored_loss(own);
    *correct = row->n_paraphrases ? 0 : v->loss;
    for (int k = 0; k < row->n_paraphrases; k++)
        *correct += dele_scored_loss(next++) / row->n_paraphrases;
    for (int k = 0; k < row->n_wrong; k++) {
        (*wrong)[k] = dele_scored_loss(&next[k]);
        sum += exp(-(*wrong)[k]);
    }
    v->ratio = dele_truth_ratio(*correct, *wrong, row->n_wrong, false, add);
    v->arithmetic = dele_truth_ratio(*correct, *wrong, row->n_wrong, true, add);
    v->probability = exp(-v->loss);
    if (row->set >= DELE_TOFU_REAL_AUTHORS) v->probability /= v->probability + sum + add;
    for (int t = 0; t < n; t++) right += own->greedy[t];
    v->memorization = (double)right / n;
    v->extraction = dele_extraction_strength(
        own->greedy, n, s->opts->compat == DELE_TOFU_OPEN_UNLEARNING ? 1.0 / n : 0);
    return DELE_OK;
}

static const char *const value_name[] = {"loss",
                                         "probability",
                                         "truth_ratio",
                                         "truth_ratio_arithmetic",
                                         "exact_memorization",
                                         "extraction_strength",
                                         "rougeL_recall"};

static double *value_at(values *v, size_t which)
{
    double *const at[] = {&v->loss,         &v->probability, &v->ratio, &v->arithmetic,
                          &v->memorization, &v->extraction,  &v->rouge};
    return at[which];
}

/* The fields that identify an item's line; a resumed line is compared with them. */
static cJSON *item_key(const scoring *s, size_t i)
{
    const dele_tofu_row *row = &s->data->row[i];
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "set", set_name[row->set]);
    cJSON_AddNumberToObject(line, "index", (double)i);
    cJSON_AddStringToObject(line, "question", row->question);
    cJSON_AddStringToObject(line, "output", row->answer);
    return line;
}

static dele_status on_output(void *data, size_t i, char *text, bool ended, dele_err *err)
{
    scoring *s = data;
    const dele_tofu_row *row = &s->data->row[i];
    dele_rouge rouge;
    double *wrong, correct;
    if (i < s->n_known) return DELE_OK;
    dele_arena_reset(&s->scratch);
    if (read_losses(s, i, &wrong, &correct, err) ||
        dele_rouge_l(&rouge, row->answer, text, true, &s->scratch, err))
        return err->code;
    s->value[i].rouge = rouge.recall;
    cJSON *line = item_key(s, i);
    cJSON_AddStringToObject(line, "generated", text);
    cJSON_AddBoolToObject(line, "ended", ended);
    for (size_t k = 0; k < sizeof value_name / sizeof *value_name; k++)
        cJSON_AddItemToObject(line, value_name[k], dele_json_number(*value_at(&s->value[i], k)));
    cJSON_AddItemToObject(line, "loss_correct", dele_json_number(correct));
    cJSON *losses = cJSON_AddArrayToObject(line, "loss_wrong");
    for (int k = 0; k < row->n_wrong; k++) cJSON_AddItemToArray(losses, dele_json_number(wrong[k]));
    return dele_items_put(s->opts->items, i, line, err);
}

static size_t resume(scoring *s, dele_err *err)
{
    enum { N = sizeof value_name / sizeof *value_name };
    size_t n = 0;
    for (; n < s->data->n && dele_items_previous(s->opts->items, n); n++) {
        dele_items_field fields[N + 4] = {
            {"generated", .type = DELE_ITEMS_TEXT},
            {"ended", .type = DELE_ITEMS_BOOL},
            {"loss_correct", .low = 0, .high = DBL_MAX, .nullable = true},
            {"loss_wrong", .type = DELE_ITEMS_NUMBERS}};
        for (size_t k = 0; k < N; k++) { /* a row without wrong answers has no ratio */
            const bool ratio = strstr(value_name[k], "ratio"), loss = !strcmp(value_name[k], "loss");
            fields[4 + k] = (dele_items_field){value_name[k], value_at(&s->value[n], k),
                                               .high = ratio || loss ? DBL_MAX : 1 + 1e-6,
                                               .nullable = ratio};
        }
        if (!dele_items_resume(s->opts->items, n, item_key(s, n), fields, N + 4, err)) break;
    }
    return n;
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* The truth ratio's term in a set's mean.  TOFU's utils.py takes the arithmetic R in every set. */
static double judged(const scoring *s, const values *v, dele_tofu_set set)
{
    const double ratio = s->opts->compat == DELE_TOFU_ORIGINAL ? v->arithmetic : v->ratio;
    if (set != DELE_TOFU_FORGET) return fmax(0, 1 - ratio);
    return fmin(ratio, 1 / (ratio + (s->opts->compat == DELE_TOFU_OPEN_UNLEARNING ? 1e-10 : 0)));
}

static dele_tofu_mean mean_of(double *x, size_t n)
{
    dele_stat stat = dele_stat_of(x, n);
    return (dele_tofu_mean){stat.mean, stat.se};
}

static dele_status sum_up(dele_tofu_scores *scores, const scoring *s, dele_arena *arena,
                          dele_err *err)
{
    size_t most = s->data->n;
    double *x = DELE_NEW(arena, double, 5 * most, err), nine[9];
    scores->forget_ratio = DELE_NEW(arena, double, most, err);
    if (!x || !scores->forget_ratio) return DELE_ERR_MEMORY;
    for (int set = 0; set < DELE_TOFU_SETS; set++) {
        size_t n = 0;
        for (size_t i = 0; i < most; i++) {
            const values *v = &s->value[i];
            if ((int)s->data->row[i].set != set) continue;
            if (set == DELE_TOFU_FORGET) scores->forget_ratio[n] = v->ratio;
            x[n] = v->probability;
            x[most + n] = v->rouge;
            x[2 * most + n] = judged(s, v, (dele_tofu_set)set);
            x[3 * most + n] = v->memorization;
            x[4 * most + n++] = v->extraction;
        }
        if (!n) continue;
        scores->set[set] = (dele_tofu_cell){.n = n,
                                            .probability = mean_of(x, n),
                                            .rouge = mean_of(x + most, n),
                                            .truth_ratio = mean_of(x + 2 * most, n),
                                            .memorization = mean_of(x + 3 * most, n),
                                            .extraction = mean_of(x + 4 * most, n)};
    }
    bool whole = true;
    for (int set = DELE_TOFU_RETAIN; set < DELE_TOFU_SETS; set++) {
        const dele_tofu_cell *c = &scores->set[set];
        double *at = nine + 3 * (set - DELE_TOFU_RETAIN);
        whole &= c->n > 0;
        at[0] = c->probability.mean, at[1] = c->rouge.mean, at[2] = c->truth_ratio.mean;
    }
    scores->utility = whole ? dele_harmonic_mean(nine, 9) : NAN;
    return DELE_OK;
}

dele_status dele_tofu_run(dele_tofu_scores *scores, const dele_tofu *data, dele_run *run,
                          const dele_model *model, const dele_tofu_opts *opts, dele_arena *arena,
                          dele_err *err)
{
    *scores = (dele_tofu_scores){0};
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s has no tokenizer: put its tokenizer.json there",
                         model->path ? model->path : "the model");
    if (opts->template && !strstr(opts->template, "{}"))
        return dele_fail(err, DELE_ERR_USAGE, "--template \"%s\" has no {} for the question",
                         opts->template);
    scoring s = {.data = data,
                 .opts = opts,
                 .model = model,
                 .first_text = DELE_NEW(arena, size_t, data->n + 1, err),
                 .prompts = DELE_NEW(arena, const char *, data->n, err),
                 .value = DELE_NEW(arena, values, data->n, err)};
    if (!s.first_text || !s.prompts || !s.value) return DELE_ERR_MEMORY;
    dele_status status = encode(&s, arena, err);
    s.n_known = status ? 0 : resume(&s, err);
    if (!status) status = err->code;
    dele_token_opts tokens = {.n_known = s.first_text[s.n_known]};
    dele_generate_batch_opts say = {.chat = opts->chat,
                                    .max_new = opts->max_new,
                                    .n_known = s.n_known,
                                    .on_output = on_output,
                                    .data = &s,
                                    .progress = opts->progress};
    if (!status)
        status = dele_token_scores(s.texts, s.first_text[data->n], run, model, &tokens, arena, err);
    if (!status) status = dele_generate_batch(s.prompts, data->n, run, model, &say, err);
    if (!status) status = sum_up(scores, &s, arena, err);
    dele_arena_release(&s.scratch);
    return status;
}

typedef struct {
    double *x;
    size_t n, capacity;
} ratios;

static dele_status add_ratio(ratios *r, double x, dele_arena *arena, dele_err *err)
{
    if (r->n == r->capacity) {
        double *more =
            DELE_NEW(arena, double, r->capacity = r->capacity ? 2 * r->capacity : 64, err);
        if (!more) return DELE_ERR_MEMORY;
        if (r->n) memcpy(more, r->x, r->n * sizeof *more);
        r->x = more;
    }
    r->x[r->n++] = x;
    return DELE_OK;
}

static dele_status quality(dele_tofu_scores *scores, const ratios *theirs, const char *path,
                           dele_arena *arena, dele_err *err)
{
    if (!theirs->n || !scores->set[DELE_TOFU_FORGET].n)
        return dele_fail(err, DELE_ERR_DATA, "forget quality needs a forget set here and in %s",
                         path);
    scores->n_retrained = theirs->n;
    return dele_ks_two_samples(&scores->quality, scores->forget_ratio,
                               scores->set[DELE_TOFU_FORGET].n, theirs->x, theirs->n, arena, err);
}

dele_status dele_tofu_quality(dele_tofu_scores *scores, const char *items, dele_arena *arena,
                              dele_err *err)
{
    ratios theirs = {0};
    dele_records r = {0};
    dele_status status = dele_records_open(&r, items, err);
    for (const cJSON *row; !status && (row = dele_records_next(&r, err));) {
        const char *set = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "set"));
        const cJSON *ratio = cJSON_GetObjectItemCaseSensitive(row, "truth_ratio");
        if (!set || strcmp(set, "forget") || !cJSON_IsNumber(ratio)) continue;
        status = add_ratio(&theirs, ratio->valuedouble, arena, err);
    }
    dele_records_close(&r);
    return err->code ? err->code : quality(scores, &theirs, items, arena, err);
}

const cJSON *dele_tofu_log_ratios(const cJSON *log)
{
    static const char *const name[] = {"forget_truth_ratio", "forget_Truth_Ratio"};
    for (int i = 0; i < 2; i++) {
        const cJSON *metric = cJSON_GetObjectItemCaseSensitive(log, name[i]);
        const cJSON *rows = cJSON_GetObjectItemCaseSensitive(metric, "value_by_index");
        if (rows) return rows;
    }
    return NULL;
}

dele_status dele_tofu_quality_of_log(dele_tofu_scores *scores, const cJSON *log, const char *path,
                                     dele_arena *arena, dele_err *err)
{
    ratios theirs = {0};
    const cJSON *row;
    cJSON_ArrayForEach(row, dele_tofu_log_ratios(log))
    {
        const cJSON *score = cJSON_GetObjectItemCaseSensitive(row, "score");
        if (cJSON_IsNumber(score) && add_ratio(&theirs, score->valuedouble, arena, err))
            return err->code;
    }
    return quality(scores, &theirs, path, arena, err);
}

/* ---- showing --------------------------------------------------------------------------------- */

cJSON *dele_tofu_json(const dele_tofu_scores *scores)
{
    cJSON *json = cJSON_CreateObject();
    for (int set = 0; set < DELE_TOFU_SETS; set++) {
        const dele_tofu_cell *c = &scores->set[set];
        if (!c->n) continue;
        cJSON *cell = cJSON_AddObjectToObject(json, set_name[set]);
        cJSON_AddNumberToObject(cell, "n", (double)c->n);
        dele_put_score(cell, "probability", c->probability.mean, c->probability.se);
        dele_put_score(cell, "rougeL_recall", c->rouge.mean, c->rouge.se);
        dele_put_score(cell, "truth_ratio", c->truth_ratio.mean, c->truth_ratio.se);
        dele_put_score(cell, "exact_memorization", c->memorization.mean, c->memorization.se);
        dele_put_score(cell, "extraction_strength", c->extraction.mean, c->extraction.se);
    }
    if (isfinite(scores->utility)) dele_put_number(json, "model_utility", scores->utility);
    if (scores->n_retrained) {
        cJSON *quality = cJSON_AddObjectToObject(json, "forget_quality");
        dele_put_number(quality, "ks_distance", scores->quality.d);
        dele_put_number(quality, "p", exp(scores->quality.log_p));
        dele_put_number(quality, "log10_p", scores->quality.log_p / log(10));
    }
    return json;
}

void dele_tofu_table(dele_table *t, const dele_tofu_scores *scores)
{
    dele_table_head(
        t,
        "set\tn\tprobability\trougeL_recall\ttruth_ratio\texact_memorization\textraction_strength");
    for (int set = 0; set < DELE_TOFU_SETS; set++) {
        const dele_tofu_cell *c = &scores->set[set];
        const double x[] = {c->probability.mean, c->rouge.mean, c->truth_ratio.mean,
                            c->memorization.mean, c->extraction.mean};
        if (!c->n) continue;
        dele_table_text(t, set_name[set]);
        dele_table_cell(t, "%zu", c->n);
        for (size_t k = 0; k < sizeof x / sizeof *x; k++) dele_table_real(t, "%.4f", x[k]);
        dele_table_row(t);
    }
}

bool dele_tofu_summary_table(dele_table *t, const dele_tofu_scores *scores)
{
    if (!isfinite(scores->utility) && !scores->n_retrained) return false;
    dele_table_head(t, "measure\tvalue\tlog10");
    if (isfinite(scores->utility)) {
        dele_table_text(t, "model utility");
        dele_table_real(t, "%.4f", scores->utility);
        dele_table_row(t);
    }
    if (!scores->n_retrained) return true;
    dele_table_text(t, "forget quality");
    dele_table_real(t, "%.4g", exp(scores->quality.log_p));
    dele_table_real(t, "%.3f", scores->quality.log_p / log(10));
    dele_table_row(t);
    return true;
}
