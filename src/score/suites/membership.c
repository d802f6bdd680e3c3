#include "score/suites/membership.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/json_out.h"
#include "base/stat_json.h"
#include "base/texts.h"
#include "score/gradient_norm.h"
#include "score/set_files.h"
#include "score/token_scores.h"
#include "score/two_samples.h"
#include "text/row_texts.h"

static const char *const attack_name[DELE_ATTACKS] = {"loss",       "zlib",      "min_k",
                                                      "min_k_plus", "reference", "gradnorm"};

/* ---- reading --------------------------------------------------------------------------------- */

/* One text: a document, or a question and an answer with a space between.  The question is kept
 * apart, since open-unlearning scores the answer alone. */
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

/* Where the directory has such files: mia_data or mia_data/validation in it, or itself. */
static const char *folder_of(const char *path, dele_arena *arena, dele_err *err)
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
    const char *folder = folder_of(path, &arena, &err);
    const char *file = folder ? dele_printf(&arena, &err, "%s/member.jsonl", folder) : NULL;
    bool there = file && dele_path_exists(file);
    dele_arena_release(&arena);
    return there;
}

dele_status dele_membership_load(dele_membership *data, const char *path, int limit,
                                 dele_arena *arena, dele_err *err)
{
    static const char *const name[] = {"member", "nonmember"};
    const char *folder = folder_of(path, arena, err);
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
    dele_membership data;
    bool open_unlearning;
    double k;
    bool use[DELE_ATTACKS];
    dele_membership_scores scores;
    double (*value)[DELE_ATTACKS];       /* [n] */
    double retrained_auc[DELE_ATTACKS];  /* NaN: not known */
    dele_scored_text *texts, *reference; /* [n]; reference: NULL, or by the other model */
    dele_run reference_run;
    dele_arena batch; /* of the reference model's scores */
    dele_gradient_buffers room;
} membership_state;

/* Minus the mean of the lowest fraction k of x[n], at least one of them; x is sorted. */
static double min_k(double *x, size_t n, double k)
{
    size_t lowest = (size_t)((double)n * k);
    double sum = 0;
    if (lowest < 1) lowest = 1;
    if (lowest > n) lowest = n;
    qsort(x, n, sizeof *x, dele_by_value);
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

static dele_status min_k_attacks(double *value, const membership_state *st,
                                 const dele_scored_text *t, dele_arena *scratch, dele_err *err)
{
    const size_t n =
        (size_t)(t->n - t->first) - st->open_unlearning; /* without the last label there */
    value[DELE_ATTACK_MIN_K] = value[DELE_ATTACK_MIN_K_PLUS] = 0;
    if (!n) return DELE_OK;
    double *logp = DELE_NEW(scratch, double, 2 * n, err), *plus = logp + n;
    if (!logp) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        logp[i] = t->logp[i];
        plus[i] = (t->logp[i] - t->mean[i]) / sqrt(fmax(t->variance[i], 1e-6));
    }
    value[DELE_ATTACK_MIN_K] = min_k(logp, n, st->k);
    value[DELE_ATTACK_MIN_K_PLUS] = min_k(plus, n, st->k);
    return DELE_OK;
}

/* All attacks on one text from the log-probabilities of its tokens.  The lower a value, the more
 * likely the text is a member. */
static dele_status membership_item(dele_scoring *s, size_t i, dele_err *err)
{
    membership_state *st = s->state;
    const dele_scored_text *t = &st->texts[i];
    double *value = st->value[i], bytes = 1;
    const char *text = st->data.document[i].text;
    if (st->open_unlearning) /* the labels, as text again */
        text = dele_decode(s->model->tokenizer, t->ids + t->first, (size_t)(t->n - t->first), true,
                           &s->scratch, err);
    if (!text || compressed_bytes(&bytes, text, &s->scratch, err) ||
        min_k_attacks(value, st, t, &s->scratch, err))
        return err->code;
    value[DELE_ATTACK_LOSS] = dele_scored_loss(t);
    value[DELE_ATTACK_ZLIB] = value[DELE_ATTACK_LOSS] / bytes;
    if (st->reference)
        value[DELE_ATTACK_REFERENCE] =
            value[DELE_ATTACK_LOSS] - dele_scored_loss(&st->reference[i]);
    if (!st->use[DELE_ATTACK_GRADNORM]) return DELE_OK;
    return dele_gradient_norm(&value[DELE_ATTACK_GRADNORM], t, &st->room, s->run, s->model, err);
}

static void membership_line(dele_items_line *line, dele_scoring *s, size_t i)
{
    membership_state *st = s->state;
    const dele_document *d = &st->data.document[i];
    dele_key_number(line, "index", (double)i);
    dele_key_text(line, "id", d->id);
    dele_key_bool(line, "member", d->member);
    dele_key_number(line, "tokens", st->texts[i].n - st->texts[i].first);
    for (int a = 0; a < DELE_ATTACKS; a++)
        if (st->use[a]) dele_line_real(line, attack_name[a], &st->value[i][a], 0, 0);
}

/* A batch of texts is scored by the model; now by the reference model, in the same batch. */
static dele_status scored(void *data, size_t first, size_t n, dele_err *err)
{
    dele_scoring *s = data;
    membership_state *st = s->state;
    dele_status status = DELE_OK;
    if (st->reference)
        status = dele_token_scores(st->reference + first, n, &st->reference_run, s->reference,
                                   &(dele_token_opts){0}, &st->batch, err);
    if (!status) status = dele_scored(s, first, n, err);
    dele_arena_reset(&st->batch);
    return status;
}

static dele_status membership_score(dele_scoring *s, dele_err *err)
{
    membership_state *st = s->state;
    const dele_token_opts opts = {.n_known = s->n_known, .scored = scored, .data = s};
    dele_token_scores(st->texts, st->data.n, s->run, s->model, &opts, s->arena, err);
    dele_gradient_buffers_release(&st->room);
    dele_run_release(&st->reference_run);
    dele_arena_release(&st->batch);
    return err->code;
}

/* The labels of open-unlearning (membership.h).  Prompt and answer are encoded as one text: a token
 * that straddles their boundary counts as the prompt's, as there. */
static dele_status encode_labels(dele_scored_text *t, const dele_document *d,
                                 const dele_model *model, dele_arena *arena, dele_err *err)
{
    const char *front = d->prompt ? d->prompt : "";
    const size_t most = (size_t)dele_longest(&model->config);
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

static dele_status encode_one(dele_scored_text *t, const dele_scoring *s, size_t i,
                              const dele_model *model, dele_err *err)
{
    const membership_state *st = s->state;
    const dele_document *d = &st->data.document[i];
    return st->open_unlearning ? encode_labels(t, d, model, s->arena, err)
                               : dele_scored_text_encode(t, model, d->text, s->arena, err);
}

/* Encodes every text for the model and for the reference model, whose tokenizer may be another.
 * This comes before items are resumed, because a line is compared by its number of tokens. */
static dele_status membership_encode(dele_scoring *s, dele_err *err)
{
    membership_state *st = s->state;
    const size_t n = st->data.n;
    st->texts = DELE_NEW(s->arena, dele_scored_text, n, err);
    if (s->reference) st->reference = DELE_NEW(s->arena, dele_scored_text, n, err);
    if (err->code) return err->code;
    size_t n_cut = 0;
    for (size_t i = 0; i < n; i++) {
        if (encode_one(&st->texts[i], s, i, s->model, err) ||
            (s->reference && encode_one(&st->reference[i], s, i, s->reference, err)))
            return err->code;
        n_cut += st->texts[i].cut;
    }
    if (n_cut)
        dele_remark(
            "%zu of %zu texts are longer than the model's context of %d tokens and lose their end",
            n_cut, n, dele_longest(&s->model->config));
    return DELE_OK;
}

/* ---- sums ------------------------------------------------------------------------------------ */

static double priv_leak(double auc, double auc_retrained)
{
    double ours = 1 - auc, theirs = 1 - auc_retrained;
    return theirs > 0 ? 100 * (ours - theirs) / theirs : NAN;
}

static double auc_error(double a, double n, double m)
{
    double q1 = a / (2 - a), q2 = 2 * a * a / (1 + a);
    return sqrt(fmax(0, (a * (1 - a) + (n - 1) * (q1 - a * a) + (m - 1) * (q2 - a * a)) / (n * m)));
}

/* The quality of each attack over all texts.  Values are negated for the AUC, which is the
 * probability that a member's is larger.  PrivLeak compares with the retrained model's AUC, or with
 * chance. */
static dele_status membership_total(dele_scoring *s, dele_err *err)
{
    membership_state *st = s->state;
    size_t n = st->data.n_members, m = st->data.n - n;
    double *x = DELE_NEW(s->arena, double, st->data.n, err);
    if (!x) return DELE_ERR_MEMORY;
    st->scores = (dele_membership_scores){.n_members = n, .n_others = m};
    for (int a = 0; a < DELE_ATTACKS; a++) {
        dele_attack_score *out = &st->scores.attack[a];
        if (!(out->done = st->use[a])) continue;
        for (size_t i = 0; i < st->data.n; i++) x[i] = -st->value[i][a];
        if (dele_auc(&out->auc, x, n, x + n, m, s->arena, err)) return err->code;
        out->auc_se = auc_error(out->auc, (double)n, (double)m);
        out->auc_interval = dele_auc_interval(out->auc, n, m, 0.95);
        out->score = 1 - 2 * fabs(out->auc - .5);
        const double retrained = st->retrained_auc[a];
        out->priv_leak = priv_leak(out->auc, isnan(retrained) ? .5 : retrained);
    }
    s->scores = &st->scores;
    return DELE_OK;
}

/* ---- the suite ------------------------------------------------------------------------------- */

dele_status dele_membership_inputs(const char *path[2], const dele_suite_opts *o, dele_arena *arena,
                                   dele_err *err)
{
    const char *folder = folder_of(o->data, arena, err);
    path[0] = folder && strcmp(folder, o->data) ? folder : o->data;
    path[1] = path[0] == o->data ? NULL : o->data;
    return err->code;
}

/* The AUCs of --retrained. */
static dele_status load_aucs(dele_scoring *s, dele_err *err)
{
    membership_state *st = s->state;
    cJSON *retrained = dele_suite_retrained(s, false, err);
    const cJSON *attacks = cJSON_GetObjectItemCaseSensitive(retrained, "attacks");
    for (int a = 0; a < DELE_ATTACKS; a++) {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(attacks, attack_name[a]);
        st->retrained_auc[a] = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(other, "auc"));
    }
    cJSON_Delete(retrained);
    return err->code;
}

static dele_status membership_load(dele_scoring *s, dele_err *err)
{
    const dele_suite_opts *o = s->opts;
    membership_state *st = s->state = DELE_NEW(s->arena, membership_state, 1, err);
    if (!st || dele_suite_only_compat(s, "open-unlearning", err) || load_aucs(s, err) ||
        dele_membership_load(&st->data, o->data, o->limit, s->arena, err))
        return err->code;
    if (o->min_k < 0 || o->min_k > 1)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--min-k %g: must be a fraction of the tokens, up to 1", o->min_k);
    st->open_unlearning = o->compat != NULL;
    st->k = o->min_k > 0 ? o->min_k : st->open_unlearning ? .4 : .2;
    for (int a = 0; a < DELE_ATTACKS; a++) st->use[a] = true;
    st->use[DELE_ATTACK_REFERENCE] = s->reference != NULL;
    st->use[DELE_ATTACK_GRADNORM] = o->gradnorm;
    st->value = dele_alloc(s->arena, st->data.n, sizeof *st->value, err);
    if (!st->value || membership_encode(s, err)) return err->code;
    return dele_suite_one_part(s, "membership", st->data.n, err);
}

void dele_membership_json(cJSON *json, const dele_membership_scores *scores)
{
    cJSON_AddNumberToObject(json, "members", (double)scores->n_members);
    cJSON_AddNumberToObject(json, "nonmembers", (double)scores->n_others);
    cJSON *attacks = cJSON_AddObjectToObject(json, "attacks");
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
}

static void membership_json(cJSON *json, const dele_scoring *s)
{
    dele_put_text(json, "compat", s->opts->compat);
    dele_membership_json(json, s->scores);
}

static size_t membership_tables(dele_table *t, const dele_scoring *s)
{
    const dele_membership_scores *scores = s->scores;
    dele_table_head(t, "attack\tmembers\tnonmembers\tauc\tauc_stderr\tscore\tpriv_leak");
    for (int a = 0; a < DELE_ATTACKS; a++) {
        const dele_attack_score *one = &scores->attack[a];
        if (!one->done) continue;
        dele_table_text(t, attack_name[a]);
        dele_table_cell(t, "%zu", scores->n_members);
        dele_table_cell(t, "%zu", scores->n_others);
        dele_table_real(t, "%.4f", one->auc);
        dele_table_real(t, "%.4f", one->auc_se);
        dele_table_real(t, "%.4f", one->score);
        dele_table_real(t, "%.2f", one->priv_leak);
        dele_table_row(t);
    }
    return 1;
}

const dele_suite dele_suite_membership = {
    .name = "membership",
    .data = "directory of member.jsonl and nonmember.jsonl",
    .unit = "texts",
    .options = {"reference", "gradnorm", "min-k", "retrained", "compat"},
    .inputs = dele_membership_inputs,
    .load = membership_load,
    .score = membership_score,
    .item = membership_item,
    .line = membership_line,
    .total = membership_total,
    .json = membership_json,
    .tables = membership_tables};
