/* The depth score's rows: read and tokenised as by deleatur finetune (unlearn/dataset.h), with the
 * entity among the answer's tokens; and the check that the three models have one shape. */
#include "trace/depth/depth.h"

#include <math.h>
#include <string.h>

#include "model/config/config_compare.h"
#include "model/facts.h"
#include "text/continuation.h"
#include "text/row_texts.h"

const char *const dele_depth_model_name[DELE_N_DEPTH_MODELS] = {"full", "retain", "unlearned"};
const char *const dele_depth_positions_name[] = {"entity", "all", NULL};

static const char *const blanks = " \t\r\n\v\f";

dele_status dele_depth_check(const dele_depth_opts *o, dele_err *err)
{
    if (!(o->threshold >= 0))
        return dele_fail(err, DELE_ERR_USAGE, "--threshold %g: it is in nats a token, 0 or more",
                         o->threshold);
    if (o->limit < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--limit %d: it cannot be negative", o->limit);
    if (o->memory <= 0)
        return dele_fail(err, DELE_ERR_USAGE, "--batch-memory %d: it is in MiB, above 0",
                         o->memory);
    if (*o->template && !strstr(o->template, "{}"))
        return dele_fail(err, DELE_ERR_USAGE, "--template \"%s\" has no {} where the question goes",
                         o->template);
    return DELE_OK;
}

/* ---- do the models belong together? ---------------------------------------------------------- */

/* What two models must share so that states of one can be patched into the other: the family, and
 * what the config says of the computation. */
static dele_status check_shape(const dele_model *full, const dele_model *other, dele_err *err)
{
    const char *here = full->path ? full->path : "the full one",
               *there = other->path ? other->path : "the second model";
    double value[2];
    const char *differs =
        dele_config_difference(value, &other->config, &full->config, DELE_SAME_STATES);
    if (full->config.family != other->config.family)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s and %s are models of different families, so hidden states cannot be "
                         "patched between them: %s there, %s here",
                         there, here, other->config.family->hf, full->config.family->hf);
    if (!differs) return DELE_OK;
    if (isnan(value[0]))
        return dele_fail(err, DELE_ERR_DATA,
                         "%s and %s differ in their %s, so hidden states cannot be patched between "
                         "them",
                         there, here, differs);
    return dele_fail(err, DELE_ERR_DATA,
                     "%s and %s are models of different shape, so hidden states cannot be patched "
                     "between them: %s %g there, %g here",
                     there, here, differs, value[0], value[1]);
}

dele_status dele_depth_check_models(const dele_model *const models[DELE_N_DEPTH_MODELS],
                                    dele_err *err)
{
    for (int m = DELE_DEPTH_RETAIN; m < DELE_N_DEPTH_MODELS; m++)
        if (check_shape(models[DELE_DEPTH_FULL], models[m], err)) return err->code;
    if (!models[DELE_DEPTH_FULL]->tokenizer)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: the model has no tokenizer; put tokenizer.json beside its weights",
                         models[DELE_DEPTH_FULL]->path);
    return DELE_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

typedef struct {
    dele_depth *depth;
    const dele_model *const *models;
    const dele_layout *chat;
    int context;
    size_t capacity;
    dele_arena *arena;
} reading;

static bool same_ids(const dele_continued_ids *a, const dele_continued_ids *b)
{
    return a->n == b->n && a->first == b->first &&
           (!a->n || !memcmp(a->id, b->id, a->n * sizeof *a->id));
}

/* The full model's tokens; the others, where they have a tokenizer of their own, must see the
 * same. */
static dele_status encode_for_all(dele_continued_ids *ids, const dele_row_texts *texts,
                                  const reading *x, int line, dele_err *err)
{
    const dele_model *full = x->models[DELE_DEPTH_FULL];
    if (dele_encode_answer(ids, full->tokenizer, x->chat, texts->prompt, texts->output,
                           texts->joined, x->arena, err))
        return err->code;
    for (int m = DELE_DEPTH_RETAIN; m < DELE_N_DEPTH_MODELS; m++) {
        const dele_tokenizer *t = x->models[m]->tokenizer;
        dele_continued_ids theirs;
        if (!t) continue;
        if (dele_encode_answer(&theirs, t, x->chat, texts->prompt, texts->output, texts->joined,
                               x->arena, err))
            return err->code;
        if (!same_ids(ids, &theirs))
            return dele_fail(
                err, DELE_ERR_DATA,
                "%s tokenises %s:%d differently from %s; the three models must share a tokenizer",
                x->models[m]->path, x->depth->path, line, full->path);
    }
    return DELE_OK;
}

static char *lay_prompt(const char *prompt, const reading *x, dele_err *err)
{
    const char *around = x->depth->opts.template, *place = strstr(around, "{}");
    return place ? dele_printf(x->arena, err, "%.*s%s%s", (int)(place - around), around, prompt,
                               place + 2)
                 : dele_strdup(x->arena, prompt, err);
}

/* The part of the answer that counts: the row's own word for it without blanks around it, or all of
 * it. */
static const char *entity_of(const cJSON *json, const char *output, bool *named, const reading *x,
                             dele_err *err)
{
    static const char *const names[] = {"entity", "answer_span"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, names[i]));
        if (!text) continue;
        *named = true;
        text += strspn(text, blanks);
        size_t n = strlen(text);
        while (n && strchr(blanks, text[n - 1])) n--;
        return dele_strndup(x->arena, text, n, err);
    }
    *named = false;
    return dele_strdup(x->arena, output, err);
}

/* The ids up to the entity's end; a row that cannot be measured gets its reason. */
static dele_status place_entity(dele_depth_row *row, const dele_continued_ids *ids, bool named,
                                const reading *x, dele_err *err)
{
    const dele_ids answer = {ids->id + ids->first, ids->n - ids->first};
    int begin = 0, end = (int)answer.n;
    dele_err unfound = {0};
    if (named && (!*row->entity || !answer.n ||
                  dele_subject_range(&begin, &end, x->models[DELE_DEPTH_FULL]->tokenizer, &answer,
                                     row->entity, x->arena, &unfound)))
        row->left_out = "the entity does not occur in the answer";
    if (unfound.code == DELE_ERR_MEMORY) return dele_fail(err, unfound.code, "%s", unfound.msg);
    if (row->left_out) return DELE_OK;
    row->first = (int)ids->first + begin;
    row->n_ids = (int)ids->first + end;
    if (!end)
        row->left_out = "the answer is empty";
    else if (!row->first)
        row->left_out = "nothing comes before the entity, so nothing predicts it";
    else if (row->n_ids > x->context)
        row->left_out = "the row is longer than the model's context";
    row->ids = ids->id;
    return DELE_OK;
}

static dele_depth_row *append(reading *x, dele_err *err)
{
    dele_depth *d = x->depth;
    if (d->n == x->capacity) {
        x->capacity = x->capacity ? 2 * x->capacity : 64;
        dele_depth_row *grown = DELE_NEW(x->arena, dele_depth_row, x->capacity, err);
        if (!grown) return NULL;
        if (d->n) memcpy(grown, d->rows, d->n * sizeof *grown);
        d->rows = grown;
    }
    return &d->rows[d->n++];
}

static dele_status add_row(reading *x, const cJSON *json, const dele_records *r, dele_err *err)
{
    dele_row_texts texts;
    dele_continued_ids ids;
    bool named;
    if (!dele_row_texts_of(&texts, json))
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: no string fields \"input\" and \"output\" (question and answer, "
                         "prompt and attribute are read too)",
                         r->path, r->line);
    dele_depth_row *row = append(x, err);
    if (!row) return err->code;
    const char *id = dele_json_id(cJSON_GetObjectItemCaseSensitive(json, "id"), x->arena, err);
    if (err->code) return err->code;
    texts.prompt = lay_prompt(texts.prompt, x, err);
    *row = (dele_depth_row){.line = r->line, .id = id};
    row->entity = texts.prompt ? entity_of(json, texts.output, &named, x, err) : NULL;
    if (!row->entity || encode_for_all(&ids, &texts, x, r->line, err)) return err->code;
    return place_entity(row, &ids, named, x, err);
}

dele_status dele_depth_read(dele_depth *depth, const char *path,
                            const dele_model *const models[DELE_N_DEPTH_MODELS],
                            const dele_depth_opts *opts, dele_arena *arena, dele_err *err)
{
    const dele_model *full = models[DELE_DEPTH_FULL];
    *depth = (dele_depth){.opts = *opts, .path = path, .n_layers = full->config.n_layers};
    reading x = {.depth = depth, .models = models, .context = full->config.context, .arena = arena};
    for (int m = 0; m < DELE_N_DEPTH_MODELS; m++)
        if (models[m]->config.context < x.context) x.context = models[m]->config.context;
    dele_records r = {0};
    const cJSON *json;
    if (!dele_chat_open(&x.chat, opts->chat, full->tokenizer, arena, err) &&
        !dele_records_open(&r, path, err))
        while ((!opts->limit || depth->n < (size_t)opts->limit) &&
               (json = dele_records_next(&r, err)))
            if (add_row(&x, json, &r, err)) break;
    dele_records_close(&r);
    if (err->code) return err->code;
    if (!depth->n)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: no rows; give at least one {\"input\": ..., \"output\": ...}", path);
    return DELE_OK;
}
