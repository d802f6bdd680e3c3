#include "score/membership.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/json_out.h"
#include "base/stat_json.h"
#include "score/gradient_norm.h"
#include "score/set_files.h"
#include "score/two_samples.h"
#include "text/row_texts.h"

static const char *const attack_name[DELE_ATTACKS] = {"loss",       "zlib",      "min_k",
                                                      "min_k_plus", "reference", "gradnorm"};

const char *dele_attack_name(dele_attack attack) { return attack_name[attack]; }

/* ---- reading --------------------------------------------------------------------------------- */

static dele_status read_document(void *row, const dele_records *r, const cJSON *json,
                                 dele_arena *arena, dele_err *err)
{
    dele_document *d = row;
    dele_row_texts two;
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "document"));
    if (!text) text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "text"));
    if (text)
        d->text = dele_strdup(arena, text, err);
    else if (dele_row_texts_of(&two, json)) {
        d->text = dele_printf(arena, err, "%s%s%s", two.prompt, two.joined ? "" : " ", two.output);
        if (!(d->prompt = dele_strdup(arena, two.prompt, err))) return err->code;
    } else
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: no text field \"document\" or \"text\"",
                         r->path, r->line);
    if (!d->text) return err->code;
    if (!d->text[0])
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: the text is empty", r->path, r->line);
    return dele_row_id(&d->id, json, arena, err);
}

const char *dele_membership_folder(const char *path, dele_arena *arena, dele_err *err)
{
    static const char *const inner[] = {"mia_data", "mia_data/validation"};
    const char *first = NULL;
    for (int i = 0; i < 2; i++) {
        const char *folder = dele_printf(arena, err, "%s/%s", path, inner[i]);
        const char *file = folder ? dele_printf(arena, err, "%s/member.jsonl", folder) : NULL;
        if (!file) return NULL;
        if (dele_path_exists(file)) return folder;
        if (!first && dele_path_is_dir(folder)) first = folder;
    }
    return first ? first : path;
}

bool dele_membership_is_there(const char *path)
{
    dele_arena arena = {0};
    dele_err err = {0};
    const char *folder = dele_membership_folder(path, &arena, &err);
    const char *file = folder ? dele_printf(&arena, &err, "%s/member.jsonl", folder) : NULL;
    bool there = file && dele_path_exists(file);
    dele_arena_release(&arena);
    return there;
}

dele_status dele_membership_load(dele_membership *data, const char *path, int limit,
                                 dele_arena *arena, dele_err *err)
{
    static const char *const name[] = {"member", "nonmember"};
    const char *folder = dele_membership_folder(path, arena, err);
    dele_document *part[2];
    size_t n[2];
    *data = (dele_membership){0};
    for (int i = 0; folder && i < 2; i++) {
        const char *file = dele_printf(arena, err, "%s/%s.jsonl", folder, name[i]);
        part[i] =
            file ? dele_rows_load(&n[i], sizeof *part[i], file, limit, read_document, arena, err)
                 : NULL;
        if (!part[i]) return err->code;
    }
    data->document = folder ? DELE_NEW(arena, dele_document, n[0] + n[1], err) : NULL;
    if (!data->document) return err->code;
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < n[i]; k++) {
            data->document[data->n] = part[i][k];
            data->document[data->n++].member = i == 0;
        }
    data->n_members = n[0];
    return DELE_OK;
}

/* ---- attacks --------------------------------------------------------------------------------- */

typedef struct {
    const dele_membership *data;
    const dele_membership_opts *opts;
    const dele_model *model;
    dele_run *run;
    dele_run reference_run;
    dele_scored_text *texts, *reference; /* reference: NULL, or by the other model */
    double (*value)[DELE_ATTACKS];
    bool use[DELE_ATTACKS];
    double k;
    dele_gradient_buffers room;
    dele_arena scratch;
} scoring;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double dele_min_k(double *x, size_t n, double k)
{
    size_t lowest = (size_t)((double)n * k);
    double sum = 0;
    if (lowest < 1) lowest = 1;
    if (lowest > n) lowest = n;
    qsort(x, n, sizeof *x, by_value);
    for (size_t i = 0; i < lowest; i++) sum += x[i];
    return -sum / (double)lowest;
}

static dele_status compressed_bytes(double *bytes, const char *text, dele_arena *scratch,
                                    dele_err *err)
{
    uLong n = (uLong)strlen(text);
    uLongf room = compressBound(n);
    Bytef *out = DELE_NEW(scratch, Bytef, room, err);
    if (!out) return DELE_ERR_MEMORY;
    if (compress(out, &room, (const Bytef *)text, n) != Z_OK)
        return dele_fail(err, DELE_ERR_MEMORY, "zlib ran out of memory");
    *bytes = (double)room;
    return DELE_OK;
}

static dele_status min_k_attacks(double *value, const scoring *s, const dele_scored_text *t,
                                 dele_arena *scratch, dele_err *err)
{
    const size_t n =
        (size_t)(t->n - t->first) - s->opts->open_unlearning; /* without the last label there */
    value[DELE_ATTACK_MIN_K] = value[DELE_ATTACK_MIN_K_PLUS] = 0;
    if (!n) return DELE_OK;
    double *logp = DELE_NEW(scratch, double, 2 * n, err), *plus = logp + n;
    if (!logp) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        logp[i] = t->logp[i];
        plus[i] = (t->logp[i] - t->mean[i]) / sqrt(fmax(t->variance[i], 1e-6));
    }
    value[DELE_ATTACK_MIN_K] = dele_min_k(logp, n, s->k);
    value[DELE_ATTACK_MIN_K_PLUS] = dele_min_k(plus, n, s->k);
    return DELE_OK;
}

static dele_status attack(scoring *s, size_t i, dele_err *err)
{
    const dele_scored_text *t = &s->texts[i];
    double *value = s->value[i], bytes = 1;
    const char *text = s->data->document[i].text;
    if (s->opts->open_unlearning) /* the labels, as text again */
        text = dele_decode(s->model->tokenizer, t->ids + t->first, (size_t)(t->n - t->first), true,
                           &s->scratch, err);
    if (!text || compressed_bytes(&bytes, text, &s->scratch, err) ||
        min_k_attacks(value, s, t, &s->scratch, err))
        return err->code;
    value[DELE_ATTACK_LOSS] = dele_scored_loss(t);
    value[DELE_ATTACK_ZLIB] = value[DELE_ATTACK_LOSS] / bytes;
    if (s->reference)
        value[DELE_ATTACK_REFERENCE] = value[DELE_ATTACK_LOSS] - dele_scored_loss(&s->reference[i]);
    if (!s->use[DELE_ATTACK_GRADNORM]) return DELE_OK;
    return dele_gradient_norm(&value[DELE_ATTACK_GRADNORM], t, &s->room, s->run, s->model, err);
}

/* The fields that identify an item's line; a resumed line is compared with them. */
static cJSON *item_key(const scoring *s, size_t i)
{
    const dele_document *d = &s->data->document[i];
    cJSON *line = cJSON_CreateObject();
    cJSON_AddNumberToObject(line, "index", (double)i);
    if (d->id) cJSON_AddStringToObject(line, "id", d->id);
    cJSON_AddBoolToObject(line, "member", d->member);
    cJSON_AddNumberToObject(line, "tokens", s->texts[i].n - s->texts[i].first);
    return line;
}

static dele_status put_item(const scoring *s, size_t i, dele_err *err)
{
    cJSON *line = item_key(s, i);
    for (int a = 0; a < DELE_ATTACKS; a++)
        if (s->use[a])
            cJSON_AddItemToObject(line, attack_name[a], dele_json_number(s->value[i][a]));
    return dele_items_put(s->opts->items, s->opts->first_item + i, line, err);
}

static dele_status scored(void *data, size_t first, size_t n, dele_err *err)
{
    scoring *s = data;
    dele_status status = DELE_OK;
    if (s->reference)
        status = dele_token_scores(s->reference + first, n, &s->reference_run, s->opts->reference,
                                   &(dele_token_opts){0}, &s->scratch, err);
    for (size_t i = first; i < first + n && !status; i++) {
        status = attack(s, i, err);
        if (!status) status = put_item(s, i, err);
    }
    dele_arena_reset(&s->scratch);
    if (s->opts->progress)
        dele_progress_set(s->opts->progress, (double)(s->opts->first_item + first + n),
                          "membership");
    return status;
}

static size_t resume(scoring *s, dele_err *err)
{
    size_t n = 0;
    for (; n < s->data->n && dele_items_previous(s->opts->items, s->opts->first_item + n); n++) {
        dele_items_field fields[DELE_ATTACKS];
        size_t n_fields = 0;
        for (int a = 0; a < DELE_ATTACKS; a++)
            if (s->use[a])
                fields[n_fields++] =
                    (dele_items_field){attack_name[a], &s->value[n][a], .type = DELE_ITEMS_REAL};
        if (!dele_items_resume(s->opts->items, s->opts->first_item + n, item_key(s, n), fields,
                               n_fields, err))
            break;
    }
    return n;
}

/* The labels of open-unlearning (membership.h).  Prompt and answer are encoded as one text: a token
 * that straddles their boundary counts as the prompt's, as there. */
static dele_status encode_labels(dele_scored_text *t, const dele_document *d,
                                 const dele_model *model, dele_arena *arena, dele_err *err)
{
    const char *front = d->prompt ? d->prompt : "";
    const size_t most = (size_t)model->config.context;
    dele_ids whole, before;
    if (dele_encode(&whole, model->tokenizer, d->text, strlen(d->text), true, arena, err) ||
        dele_encode(&before, model->tokenizer, front, strlen(front), true, arena, err))
        return err->code;
    const int eos = dele_tokenizer_eos(model->tokenizer);
    const bool ends =
        !d->prompt || eos < 0 || whole.n >= most || (whole.n && whole.id[whole.n - 1] == eos);
    int *ids = DELE_NEW(arena, int, whole.n + 1, err);
    if (!ids) return err->code;
    if (whole.n) memcpy(ids, whole.id, whole.n * sizeof *ids);
    size_t n = whole.n < most ? whole.n : most, first = before.n ? before.n : 1;
    if (!ends) ids[n++] = eos;
    if (n <= first)
        return dele_fail(
            err, DELE_ERR_DATA,
            "\"%.80s\": open-unlearning scores none of its tokens, the first %zu being prompt "
            "or special tokens; leave the row out",
            d->text, first);
    *t = (dele_scored_text){.ids = ids, .n = (int)n, .first = (int)first};
    return DELE_OK;
}

static dele_status encode_one(dele_scored_text *t, const scoring *s, size_t i,
                              const dele_model *model, dele_arena *arena, dele_err *err)
{
    const dele_document *d = &s->data->document[i];
    return s->opts->open_unlearning ? encode_labels(t, d, model, arena, err)
                                    : dele_scored_text_encode(t, model, d->text, arena, err);
}

static dele_status encode(scoring *s, dele_arena *arena, dele_err *err)
{
    for (size_t i = 0; i < s->data->n; i++)
        if (encode_one(&s->texts[i], s, i, s->model, arena, err) ||
            (s->reference && encode_one(&s->reference[i], s, i, s->opts->reference, arena, err)))
            return err->code;
    size_t n_cut = 0;
    for (size_t i = 0; i < s->data->n; i++) n_cut += s->texts[i].cut;
    if (n_cut)
        dele_remark(
            "%zu of %zu texts are longer than the model's context of %d tokens and lose their end",
            n_cut, s->data->n, s->model->config.context);
    return DELE_OK;
}

/* ---- sums ------------------------------------------------------------------------------------ */

double dele_priv_leak(double auc, double auc_retrained)
{
    double ours = 1 - auc, theirs = 1 - auc_retrained;
    return theirs > 0 ? 100 * (ours - theirs) / theirs : NAN;
}

static double auc_error(double a, double n, double m)
{
    double q1 = a / (2 - a), q2 = 2 * a * a / (1 + a);
    return sqrt(fmax(0, (a * (1 - a) + (n - 1) * (q1 - a * a) + (m - 1) * (q2 - a * a)) / (n * m)));
}

static dele_status sum_up(dele_membership_scores *scores, const scoring *s, dele_arena *arena,
                          dele_err *err)
{
    size_t n = s->data->n_members, m = s->data->n - n;
    double *x = DELE_NEW(arena, double, s->data->n, err);
    if (!x) return DELE_ERR_MEMORY;
    *scores = (dele_membership_scores){.n_members = n, .n_others = m};
    for (int a = 0; a < DELE_ATTACKS; a++) {
        dele_attack_score *out = &scores->attack[a];
        if (!(out->done = s->use[a])) continue;
        for (size_t i = 0; i < s->data->n; i++) x[i] = -s->value[i][a];
        if (dele_auc(&out->auc, x, n, x + n, m, arena, err)) return err->code;
        out->auc_se = auc_error(out->auc, (double)n, (double)m);
        out->auc_interval = dele_auc_interval(out->auc, n, m, 0.95);
        out->score = 1 - 2 * fabs(out->auc - .5);
        out->priv_leak = dele_priv_leak(out->auc, .5);
    }
    return DELE_OK;
}

dele_status dele_membership_run(dele_membership_scores *scores, const dele_membership *data,
                                dele_run *run, const dele_model *model,
                                const dele_membership_opts *opts, dele_arena *arena, dele_err *err)
{
    if (!model->tokenizer || (opts->reference && !opts->reference->tokenizer))
        return dele_fail(err, DELE_ERR_DATA,
                         "a model has no tokenizer: put its tokenizer.json there");
    if (opts->k < 0 || opts->k > 1)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--min-k %g: must be a fraction of the tokens, up to 1", opts->k);
    scoring s = {.data = data,
                 .opts = opts,
                 .model = model,
                 .run = run,
                 .texts = DELE_NEW(arena, dele_scored_text, data->n, err),
                 .reference =
                     opts->reference ? DELE_NEW(arena, dele_scored_text, data->n, err) : NULL,
                 .value = dele_alloc(arena, data->n, sizeof *s.value, err),
                 .use = {true, true, true, true, opts->reference != NULL, opts->gradnorm},
                 .k = opts->k > 0             ? opts->k
                      : opts->open_unlearning ? .4
                                              : .2};
    if (!s.texts || !s.value || err->code) return DELE_ERR_MEMORY;
    dele_status status = encode(&s, arena, err);
    dele_token_opts token_opts = {.scored = scored, .data = &s};
    if (!status) token_opts.n_known = resume(&s, err);
    if (!status) status = err->code;
    if (!status) status = dele_token_scores(s.texts, data->n, run, model, &token_opts, arena, err);
    if (!status) status = sum_up(scores, &s, arena, err);
    dele_gradient_buffers_release(&s.room);
    dele_run_release(&s.reference_run);
    dele_arena_release(&s.scratch);
    return status;
}

void dele_membership_against(dele_membership_scores *scores, const cJSON *attacks)
{
    for (int a = 0; a < DELE_ATTACKS; a++) {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(attacks, attack_name[a]);
        const cJSON *auc = cJSON_GetObjectItemCaseSensitive(other, "auc");
        if (cJSON_IsNumber(auc))
            scores->attack[a].priv_leak = dele_priv_leak(scores->attack[a].auc, auc->valuedouble);
    }
}

cJSON *dele_membership_json(const dele_membership_scores *scores)
{
    cJSON *json = cJSON_CreateObject(), *attacks;
    cJSON_AddNumberToObject(json, "members", (double)scores->n_members);
    cJSON_AddNumberToObject(json, "nonmembers", (double)scores->n_others);
    attacks = cJSON_AddObjectToObject(json, "attacks");
    for (int a = 0; a < DELE_ATTACKS; a++) {
        const dele_attack_score *s = &scores->attack[a];
        if (!s->done) continue;
        cJSON *one = cJSON_AddObjectToObject(attacks, attack_name[a]);
        cJSON_AddNumberToObject(one, "n", (double)(scores->n_members + scores->n_others));
        dele_put_score(one, "auc", s->auc, s->auc_se);
        dele_json_interval(one, "auc_interval", s->auc_interval,
                           scores->n_members < scores->n_others ? scores->n_members
                                                                : scores->n_others);
        dele_put_number(one, "score", s->score);
        dele_put_number(one, "priv_leak", s->priv_leak);
    }
    return json;
}

void dele_membership_table(dele_table *t, const dele_membership_scores *scores)
{
    dele_table_head(t, "attack\tmembers\tnonmembers\tauc\tauc_stderr\tscore\tpriv_leak");
    for (int a = 0; a < DELE_ATTACKS; a++) {
        const dele_attack_score *s = &scores->attack[a];
        if (!s->done) continue;
        dele_table_text(t, attack_name[a]);
        dele_table_cell(t, "%zu", scores->n_members);
        dele_table_cell(t, "%zu", scores->n_others);
        dele_table_real(t, "%.4f", s->auc);
        dele_table_real(t, "%.4f", s->auc_se);
        dele_table_real(t, "%.4f", s->score);
        dele_table_real(t, "%.2f", s->priv_leak);
        dele_table_row(t);
    }
}
