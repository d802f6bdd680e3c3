#include "score/tofu.h"

#include <math.h>
#include <string.h>

#include "base/stat.h"
#include "score/choices.h"
#include "score/pytext.h"
#include "score/rouge.h"
#include "score/say.h"
#include "score/set_files.h"
#include "score/token_scores.h"

static const char *const set_name[LAC_TOFU_SETS] = {"forget", "retain", "real_authors", "world_facts"};

lac_status lac_tofu_parse_compat(lac_tofu_compat *compat, const char *name, lac_err *err)
{
    *compat = LAC_TOFU_PLAIN;
    if (!name) return LAC_OK;
    if (!strcmp(name, "open-unlearning")) *compat = LAC_TOFU_OPEN_UNLEARNING;
    else if (!strcmp(name, "tofu")) *compat = LAC_TOFU_ORIGINAL;
    else return lac_fail(err, LAC_ERR_USAGE, "--compat %s is not known: open-unlearning or tofu", name);
    return LAC_OK;
}

/* ---- formulas ---------------------------------------------------------------------------------------------------- */

double lac_truth_ratio(double correct, const double *wrong, int n, bool arithmetic, double add)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += arithmetic ? exp(-wrong[i]) : -wrong[i];
    return (arithmetic ? sum / n : exp(sum / n)) / (exp(-correct) + add);
}

double lac_extraction_strength(const bool *greedy, int n, double floor)
{
    int k = n;
    while (k > 0 && greedy[k - 1]) k--;
    return k < n ? 1 - (double)k / n : floor;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static lac_status read_row(void *row, const lac_records *r, const cJSON *json, lac_arena *arena, lac_err *err)
{
    lac_tofu_row *out = row;
    const char *question = lac_record_string(r, json, "question", err);
    const char *answer = question ? lac_record_string(r, json, "answer", err) : NULL;
    const char *paraphrase = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "paraphrased_answer"));
    if (!answer) return err->code;
    if (!question[0] || !answer[0])
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: the question or the answer is empty", r->path, r->line);
    out->question = lac_strdup(arena, question, err);
    out->answer = lac_strdup(arena, answer, err);
    if (paraphrase && paraphrase[0]) out->paraphrase = lac_strdup(arena, paraphrase, err);
    if (err->code) return err->code;
    return lac_row_strings(&out->wrong, &out->n_wrong, r, json, "perturbed_answer", arena, err);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static int set_of(const char *name)
{
    int set = 0;
    while (set < LAC_TOFU_SETS && strncmp(name, set_name[set], strlen(set_name[set]))) set++;
    return set;
}

/* Of a directory only those with wrong answers; one of each set: forget01 is a part of forget05, and both together are
 * neither. */
static lac_status choose_files(lac_set_files *files, const char *path, lac_err *err)
{
    const char *first[LAC_TOFU_SETS + 1] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < files->n; i++) {
        if (!ends_with(files->name[i], "_perturbed")) continue;
        int set = set_of(files->name[i]);
        if (first[set] && set < LAC_TOFU_SETS)
            return lac_fail(err, LAC_ERR_DATA, "%s holds two sets named %s*: %s and %s, which would be counted as one; "
                            "put the one to score and the sets of other names into a directory of their own", path,
                            set_name[set], first[set], strrchr(files->path[i], '/') + 1);
        first[set] = strrchr(files->path[i], '/') + 1;
        files->path[n] = files->path[i];
        files->name[n++] = files->name[i];
    }
    files->n = n;
    if (n) return LAC_OK;
    return lac_fail(err, LAC_ERR_FILE, "%s holds no file named *_perturbed.jsonl: those have the wrong answers", path);
}

static lac_status add_file(lac_tofu *data, const char *path, const char *name, int limit, lac_arena *arena, lac_err *err)
{
    int set = set_of(name);
    size_t n;
    if (set == LAC_TOFU_SETS)
        return lac_fail(err, LAC_ERR_DATA, "%s: its name must begin with forget, retain, real_authors or world_facts", path);
    lac_tofu_row *row = lac_rows_load(&n, sizeof *row, path, limit, read_row, arena, err);
    lac_tofu_row *all = row ? LAC_NEW(arena, lac_tofu_row, data->n + n, err) : NULL;
    if (!all) return err->code;
    for (size_t i = 0; i < n; i++) row[i].set = (lac_tofu_set)set;
    if (data->n) memcpy(all, data->row, data->n * sizeof *all);
    memcpy(all + data->n, row, n * sizeof *row);
    data->row = all;
    data->n += n;
    return LAC_OK;
}

lac_status lac_tofu_load(lac_tofu *data, const char *path, int limit, lac_arena *arena, lac_err *err)
{
    lac_set_files files;
    *data = (lac_tofu){0};
    if (lac_set_files_find(&files, path, true, arena, err)) return err->code;
    if (lac_path_is_dir(path) && choose_files(&files, path, err)) return err->code;
    for (size_t i = 0; i < files.n && !err->code; i++) add_file(data, files.path[i], files.name[i], limit, arena, err);
    return err->code;
}

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

typedef struct {
    double loss, probability, ratio, arithmetic, memorization, extraction, rouge;
} values;

typedef struct {
    const lac_tofu *data;
    const lac_tofu_opts *opts;
    const lac_model *model;
    lac_scored_text *texts; /* of each row: the answer, its paraphrase, the wrong ones */
    size_t *first_text;     /* [n + 1] */
    const char **prompts;
    values *value;
    size_t n_known;
    lac_arena scratch;
} scoring;

static const char *make_prompt(const lac_tofu_row *row, const lac_tofu_opts *opts, lac_arena *arena, lac_err *err)
{
    const char *place = opts->template && opts->chat == LAC_CHAT_NONE ? strstr(opts->template, "{}") : NULL;
    if (!place) return row->question;
    return lac_printf(arena, err, "%.*s%s%s", (int)(place - opts->template), opts->template, row->question, place + 2);
}

static lac_status append(lac_scored_text *t, const int *ids, size_t n, lac_arena *arena, lac_err *err)
{
    int *all = LAC_NEW(arena, int, (size_t)t->n + n, err);
    if (!all) return LAC_ERR_MEMORY;
    if (t->n) memcpy(all, t->ids, (size_t)t->n * sizeof *all);
    memcpy(all + t->n, ids, n * sizeof *all);
    t->ids = all;
    t->n += (int)n;
    return LAC_OK;
}

/* The answer behind the prompt; in a chat it begins at once, else behind a blank. */
static lac_status encode_answer(lac_scored_text *t, const char *prompt, const char *answer, const scoring *s,
                                lac_arena *arena, lac_err *err)
{
    const lac_tokenizer *tokenizer = s->model->tokenizer;
    int most = s->model->config.context - 1, eos = s->model->config.eos;
    *t = (lac_scored_text){0};
    if (s->opts->chat != LAC_CHAT_NONE) {
        lac_ids before, own;
        const char *text = lac_chat_prompt(s->opts->chat, prompt, arena, err);
        if (!text || lac_encode(&before, tokenizer, text, strlen(text), false, arena, err) ||
            lac_encode(&own, tokenizer, answer, strlen(answer), false, arena, err))
            return err->code;
        if (!before.n || !own.n || before.n + own.n > (size_t)most)
            return lac_fail(err, LAC_ERR_DATA, "\"%.80s\": question and answer do not fit the model's context", answer);
        t->first = (int)before.n;
        if (append(t, before.id, before.n, arena, err) || append(t, own.id, own.n, arena, err)) return err->code;
    } else {
        lac_choice c;
        bool blank = lac_lstrip(answer, strlen(answer)) > 0;
        const char *text = lac_printf(arena, err, "%s%s", blank ? "" : " ", answer);
        if (!text || lac_choice_encode(&c, tokenizer, prompt, text, most, arena, err)) return err->code;
        *t = (lac_scored_text){.ids = c.ids, .n = c.n, .first = c.n - c.n_scored};
    }
    if (eos < 0) eos = lac_tokenizer_eos(tokenizer);
    return s->opts->compat != LAC_TOFU_PLAIN && eos >= 0 ? append(t, &eos, 1, arena, err) : LAC_OK;
}

static lac_status encode(scoring *s, lac_arena *arena, lac_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < s->data->n; i++) n += 2 + (size_t)s->data->row[i].n_wrong;
    s->texts = LAC_NEW(arena, lac_scored_text, n, err);
    if (!s->texts) return LAC_ERR_MEMORY;
    n = 0;
    for (size_t i = 0; i < s->data->n; i++) {
        const lac_tofu_row *row = &s->data->row[i];
        s->first_text[i] = n;
        s->prompts[i] = make_prompt(row, s->opts, arena, err);
        if (!s->prompts[i] || encode_answer(&s->texts[n++], s->prompts[i], row->answer, s, arena, err)) return err->code;
        if (row->paraphrase && encode_answer(&s->texts[n++], s->prompts[i], row->paraphrase, s, arena, err)) return err->code;
        for (int k = 0; k < row->n_wrong; k++)
            if (encode_answer(&s->texts[n++], s->prompts[i], row->wrong[k], s, arena, err)) return err->code;
    }
    s->first_text[s->data->n] = n;
    return LAC_OK;
}

/* Everything that one row's losses say. */
static lac_status read_losses(scoring *s, size_t i, double **wrong, double *correct, lac_err *err)
{
    const lac_tofu_row *row = &s->data->row[i];
    const lac_scored_text *own = &s->texts[s->first_text[i]], *next = own + 1;
    double add = s->opts->compat == LAC_TOFU_OPEN_UNLEARNING ? 1e-10 : 0, sum = 0;
    values *v = &s->value[i];
    int n = own->n - own->first - (s->opts->compat != LAC_TOFU_PLAIN && own->n - own->first > 1), right = 0;
    *wrong = LAC_NEW(&s->scratch, double, (size_t)row->n_wrong, err);
    if (!*wrong) return LAC_ERR_MEMORY;
    v->loss = lac_scored_loss(own);
    *correct = row->paraphrase ? lac_scored_loss(next++) : v->loss;
    for (int k = 0; k < row->n_wrong; k++) {
        (*wrong)[k] = lac_scored_loss(&next[k]);
        sum += exp(-(*wrong)[k]);
    }
    v->ratio = lac_truth_ratio(*correct, *wrong, row->n_wrong, false, add);
    v->arithmetic = lac_truth_ratio(*correct, *wrong, row->n_wrong, true, add);
    v->probability = exp(-v->loss);
    if (row->set >= LAC_TOFU_REAL_AUTHORS) v->probability /= v->probability + sum + add;
    for (int t = 0; t < n; t++) right += own->greedy[t];
    v->memorization = (double)right / n;
    v->extraction = lac_extraction_strength(own->greedy, n, s->opts->compat == LAC_TOFU_OPEN_UNLEARNING ? 1.0 / n : 0);
    return LAC_OK;
}

static const char *const value_name[] = {"loss", "probability", "truth_ratio", "truth_ratio_arithmetic",
                                         "exact_memorization", "extraction_strength", "rougeL_recall"};

static double *value_at(values *v, size_t which)
{
    double *const at[] = {&v->loss, &v->probability, &v->ratio, &v->arithmetic, &v->memorization, &v->extraction, &v->rouge};
    return at[which];
}

static lac_status said(void *data, size_t i, char *text, bool ended, lac_err *err)
{
    scoring *s = data;
    const lac_tofu_row *row = &s->data->row[i];
    lac_rouge rouge;
    double *wrong, correct;
    if (i < s->n_known) return LAC_OK;
    lac_arena_reset(&s->scratch);
    if (read_losses(s, i, &wrong, &correct, err) || lac_rouge_l(&rouge, row->answer, text, true, &s->scratch, err))
        return err->code;
    s->value[i].rouge = rouge.recall;
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "set", set_name[row->set]);
    cJSON_AddNumberToObject(line, "index", (double)i);
    cJSON_AddStringToObject(line, "question", row->question);
    cJSON_AddStringToObject(line, "output", row->answer);
    cJSON_AddStringToObject(line, "generated", text);
    cJSON_AddBoolToObject(line, "ended", ended);
    for (size_t k = 0; k < sizeof value_name / sizeof *value_name; k++)
        cJSON_AddItemToObject(line, value_name[k], lac_json_number(*value_at(&s->value[i], k)));
    cJSON_AddItemToObject(line, "loss_correct", lac_json_number(correct));
    cJSON *losses = cJSON_AddArrayToObject(line, "loss_wrong");
    for (int k = 0; k < row->n_wrong; k++) cJSON_AddItemToArray(losses, lac_json_number(wrong[k]));
    return lac_items_put(s->opts->items, i, line, err);
}

static size_t recall(scoring *s)
{
    size_t n = 0;
    for (const cJSON *old; n < s->data->n && (old = lac_items_old(s->opts->items, n)); n++)
        for (size_t k = 0; k < sizeof value_name / sizeof *value_name; k++)
            *value_at(&s->value[n], k) = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(old, value_name[k]));
    return n;
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

/* The truth ratio as it counts in a set's mean.  TOFU's utils.py takes the arithmetic R in every set. */
static double judged(const scoring *s, const values *v, lac_tofu_set set)
{
    const double ratio = s->opts->compat == LAC_TOFU_ORIGINAL ? v->arithmetic : v->ratio;
    if (set != LAC_TOFU_FORGET) return fmax(0, 1 - ratio);
    return fmin(ratio, 1 / (ratio + (s->opts->compat == LAC_TOFU_OPEN_UNLEARNING ? 1e-10 : 0)));
}

static lac_tofu_mean mean_of(double *x, size_t n)
{
    lac_stat stat = lac_stat_of(x, n);
    return (lac_tofu_mean){stat.mean, stat.se};
}

static lac_status sum_up(lac_tofu_scores *scores, const scoring *s, lac_arena *arena, lac_err *err)
{
    size_t most = s->data->n;
    double *x = LAC_NEW(arena, double, 5 * most, err), nine[9];
    scores->forget_ratio = LAC_NEW(arena, double, most, err);
    if (!x || !scores->forget_ratio) return LAC_ERR_MEMORY;
    for (int set = 0; set < LAC_TOFU_SETS; set++) {
        size_t n = 0;
        for (size_t i = 0; i < most; i++) {
            const values *v = &s->value[i];
            if ((int)s->data->row[i].set != set) continue;
            if (set == LAC_TOFU_FORGET) scores->forget_ratio[n] = v->ratio;
            x[n] = v->probability;
            x[most + n] = v->rouge;
            x[2 * most + n] = judged(s, v, (lac_tofu_set)set);
            x[3 * most + n] = v->memorization;
            x[4 * most + n++] = v->extraction;
        }
        if (!n) continue;
        scores->set[set] = (lac_tofu_cell){.n = n,
                                           .probability = mean_of(x, n),
                                           .rouge = mean_of(x + most, n),
                                           .truth_ratio = mean_of(x + 2 * most, n),
                                           .memorization = mean_of(x + 3 * most, n),
                                           .extraction = mean_of(x + 4 * most, n)};
    }
    bool whole = true;
    for (int set = LAC_TOFU_RETAIN; set < LAC_TOFU_SETS; set++) {
        const lac_tofu_cell *c = &scores->set[set];
        double *at = nine + 3 * (set - LAC_TOFU_RETAIN);
        whole &= c->n > 0;
        at[0] = c->probability.mean, at[1] = c->rouge.mean, at[2] = c->truth_ratio.mean;
    }
    scores->utility = whole ? lac_harmonic_mean(nine, 9) : NAN;
    return LAC_OK;
}

lac_status lac_tofu_run(lac_tofu_scores *scores, const lac_tofu *data, lac_run *run, const lac_model *model,
                        const lac_tofu_opts *opts, lac_arena *arena, lac_err *err)
{
    *scores = (lac_tofu_scores){0};
    if (!model->tokenizer)
        return lac_fail(err, LAC_ERR_DATA, "%s has no tokenizer: put its tokenizer.json there",
                        model->path ? model->path : "the model");
    if (opts->template && !strstr(opts->template, "{}"))
        return lac_fail(err, LAC_ERR_USAGE, "--template \"%s\" has no {} where the question goes", opts->template);
    scoring s = {.data = data,
                 .opts = opts,
                 .model = model,
                 .first_text = LAC_NEW(arena, size_t, data->n + 1, err),
                 .prompts = LAC_NEW(arena, const char *, data->n, err),
                 .value = LAC_NEW(arena, values, data->n, err)};
    if (!s.first_text || !s.prompts || !s.value) return LAC_ERR_MEMORY;
    lac_status status = encode(&s, arena, err);
    s.n_known = recall(&s);
    lac_token_opts tokens = {.n_known = s.first_text[s.n_known]};
    lac_say_opts say = {.chat = opts->chat,
                        .max_new = opts->max_new,
                        .n_known = s.n_known,
                        .said = said,
                        .data = &s,
                        .progress = opts->progress};
    if (!status) status = lac_token_scores(s.texts, s.first_text[data->n], run, model, &tokens, arena, err);
    if (!status) status = lac_say(s.prompts, data->n, run, model, &say, err);
    if (!status) status = sum_up(scores, &s, arena, err);
    lac_arena_release(&s.scratch);
    return status;
}

typedef struct {
    double *x;
    size_t n, capacity;
} ratios;

static lac_status add_ratio(ratios *r, double x, lac_arena *arena, lac_err *err)
{
    if (r->n == r->capacity) {
        double *more = LAC_NEW(arena, double, r->capacity = r->capacity ? 2 * r->capacity : 64, err);
        if (!more) return LAC_ERR_MEMORY;
        if (r->n) memcpy(more, r->x, r->n * sizeof *more);
        r->x = more;
    }
    r->x[r->n++] = x;
    return LAC_OK;
}

static lac_status quality(lac_tofu_scores *scores, const ratios *theirs, const char *path, lac_arena *arena,
                          lac_err *err)
{
    if (!theirs->n || !scores->set[LAC_TOFU_FORGET].n)
        return lac_fail(err, LAC_ERR_DATA, "forget quality needs a forget set here and in %s", path);
    scores->n_retrained = theirs->n;
    return lac_ks_two_samples(&scores->quality, scores->forget_ratio, scores->set[LAC_TOFU_FORGET].n, theirs->x,
                              theirs->n, arena, err);
}

lac_status lac_tofu_quality(lac_tofu_scores *scores, const char *items, lac_arena *arena, lac_err *err)
{
    ratios theirs = {0};
    lac_records r = {0};
    lac_status status = lac_records_open(&r, items, err);
    for (const cJSON *row; !status && (row = lac_records_next(&r, err));) {
        const char *set = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "set"));
        const cJSON *ratio = cJSON_GetObjectItemCaseSensitive(row, "truth_ratio");
        if (!set || strcmp(set, "forget") || !cJSON_IsNumber(ratio)) continue;
        status = add_ratio(&theirs, ratio->valuedouble, arena, err);
    }
    lac_records_close(&r);
    return err->code ? err->code : quality(scores, &theirs, items, arena, err);
}

const cJSON *lac_tofu_log_ratios(const cJSON *log)
{
    static const char *const name[] = {"forget_truth_ratio", "forget_Truth_Ratio"};
    for (int i = 0; i < 2; i++) {
        const cJSON *metric = cJSON_GetObjectItemCaseSensitive(log, name[i]);
        const cJSON *rows = cJSON_GetObjectItemCaseSensitive(metric, "value_by_index");
        if (rows) return rows;
    }
    return NULL;
}

lac_status lac_tofu_quality_of_log(lac_tofu_scores *scores, const cJSON *log, const char *path, lac_arena *arena,
                                   lac_err *err)
{
    ratios theirs = {0};
    const cJSON *row;
    cJSON_ArrayForEach(row, lac_tofu_log_ratios(log)) {
        const cJSON *score = cJSON_GetObjectItemCaseSensitive(row, "score");
        if (cJSON_IsNumber(score) && add_ratio(&theirs, score->valuedouble, arena, err)) return err->code;
    }
    return quality(scores, &theirs, path, arena, err);
}

/* ---- showing ----------------------------------------------------------------------------------------------------- */

cJSON *lac_tofu_json(const lac_tofu_scores *scores)
{
    cJSON *json = cJSON_CreateObject();
    for (int set = 0; set < LAC_TOFU_SETS; set++) {
        const lac_tofu_cell *c = &scores->set[set];
        if (!c->n) continue;
        cJSON *cell = cJSON_AddObjectToObject(json, set_name[set]);
        cJSON_AddNumberToObject(cell, "n", (double)c->n);
        lac_put_score(cell, "probability", c->probability.mean, c->probability.se);
        lac_put_score(cell, "rougeL_recall", c->rouge.mean, c->rouge.se);
        lac_put_score(cell, "truth_ratio", c->truth_ratio.mean, c->truth_ratio.se);
        lac_put_score(cell, "exact_memorization", c->memorization.mean, c->memorization.se);
        lac_put_score(cell, "extraction_strength", c->extraction.mean, c->extraction.se);
    }
    if (isfinite(scores->utility)) lac_put_number(json, "model_utility", scores->utility);
    if (scores->n_retrained) {
        cJSON *quality = cJSON_AddObjectToObject(json, "forget_quality");
        lac_put_number(quality, "ks_distance", scores->quality.d);
        lac_put_number(quality, "p", exp(scores->quality.log_p));
        lac_put_number(quality, "log10_p", scores->quality.log_p / log(10));
    }
    return json;
}

void lac_tofu_table(FILE *to, const lac_tofu_scores *scores)
{
    fprintf(to, "set\tn\tprobability\trougeL_recall\ttruth_ratio\texact_memorization\textraction_strength\n");
    for (int set = 0; set < LAC_TOFU_SETS; set++) {
        const lac_tofu_cell *c = &scores->set[set];
        if (c->n)
            fprintf(to, "%s\t%zu\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f\n", set_name[set], c->n, c->probability.mean, c->rouge.mean,
                    c->truth_ratio.mean, c->memorization.mean, c->extraction.mean);
    }
    if (isfinite(scores->utility)) fprintf(to, "model utility\t%.4f\n", scores->utility);
    if (scores->n_retrained)
        fprintf(to, "forget quality\t%.4g\tlog10 %.3f\n", exp(scores->quality.log_p), scores->quality.log_p / log(10));
}
