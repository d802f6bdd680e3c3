#include "experiments/attack/attack.h"

#include <stdlib.h>
#include <string.h>

#include "score/set_files.h"
#include "template/pytext.h"
#include "text/continuation.h"

/* ---- rows ------------------------------------------------------------------------------------ */

/* Reads one row.  Its id is "id", else "known_id", else the number of its line, since lines of
 * items.jsonl and paraphrases are assigned to rows by id. */
static dele_status read_row(void *data, const dele_records *r, const cJSON *json, dele_arena *arena,
                            dele_err *err)
{
    attack_row *row = data;
    dele_row_texts texts;
    if (!dele_row_texts_of(&texts, json))
        return dele_fail(
            err, DELE_ERR_DATA,
            "%s:%d: no string fields \"input\" and \"output\" (question and answer, or "
            "prompt and attribute, are read too)",
            r->path, r->line);
    if (!*texts.prompt || !*texts.output)
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: prompt or output is empty", r->path, r->line);
    const cJSON *known = cJSON_GetObjectItemCaseSensitive(json, "known_id");
    const char *paraphrase =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "paraphrase"));
    if (dele_row_id(&row->id, json, arena, err)) return err->code;
    if (!row->id) row->id = dele_json_id(known, arena, err);
    if (!row->id && !err->code) row->id = dele_printf(arena, err, "%d", r->line);
    if (paraphrase && *paraphrase && !(row->paraphrase = dele_strdup(arena, paraphrase, err)))
        return DELE_ERR_MEMORY;
    row->prompt = dele_strdup(arena, texts.prompt, err);
    row->output = dele_strdup(arena, texts.output, err);
    row->joined = texts.joined;
    row->line = r->line;
    return row->id && row->prompt && row->output ? DELE_OK : DELE_ERR_MEMORY;
}

dele_status attack_rows_load(attack_set *set, const char *path, int limit, dele_arena *arena,
                             dele_err *err)
{
    *set = (attack_set){.path = path};
    set->row = dele_rows_load(&set->n, sizeof *set->row, path, limit, read_row, arena, err);
    return set->row ? DELE_OK : err->code;
}

char *attack_next_name(const char **list, dele_arena *arena, dele_err *err)
{
    while (**list == ',' || **list == ' ') ++*list;
    size_t n = strcspn(*list, ", ");
    const char *from = *list;
    *list += n;
    return n ? dele_strndup(arena, from, n, err) : NULL;
}

/* ---- asks ------------------------------------------------------------------------------------ */

typedef struct {
    attack_set *set;
    const dele_model *model;
    dele_dataset_options how;
    dele_arena *arena;
    size_t capacity;
} maker;

static dele_status encode(attack_ask *ask, const maker *k, size_t i, const char *prompt,
                          bool joined, dele_err *err)
{
    const attack_row *row = &k->set->row[i];
    const dele_row_texts texts = {prompt, row->output, joined};
    dele_dataset one = {0};
    if (dele_dataset_add_texts(&one, &texts, k->set->path, row->line, k->model->tokenizer, &k->how,
                               k->arena, err))
        return err->code;
    if (!one.n || one.n_cut)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%s:%d: prompt and output are longer than the model's context of %zu tokens",
            k->set->path, row->line, k->how.max_tokens);
    const dele_sequence *s = &one.row[0];
    *ask = (attack_ask){i, s->ids, (int)s->n, (int)s->first_label, row->output};
    return DELE_OK;
}

static attack_form *new_form(maker *k, attack_form_kind kind, const char *name, dele_err *err)
{
    attack_set *set = k->set;
    if (set->n_forms == k->capacity) {
        size_t more = k->capacity ? 2 * k->capacity : 16;
        attack_form *grown = DELE_NEW(k->arena, attack_form, more, err);
        if (!grown) return NULL;
        if (set->n_forms) memcpy(grown, set->form, set->n_forms * sizeof *grown);
        set->form = grown;
        k->capacity = more;
    }
    attack_form *form = &set->form[set->n_forms];
    *form = (attack_form){
        .kind = kind, .name = name, .ask = DELE_NEW(k->arena, attack_ask, set->n, err)};
    if (!name || !form->ask) return NULL;
    set->n_forms++;
    return form;
}

static dele_status make_plain(maker *k, dele_err *err)
{
    attack_form *form = new_form(k, ATTACK_PLAIN, "plain", err);
    dele_status status = form ? DELE_OK : DELE_ERR_MEMORY;
    for (size_t i = 0; i < k->set->n && !status; i++) {
        status =
            encode(&form->ask[form->n++], k, i, k->set->row[i].prompt, k->set->row[i].joined, err);
        int length = form->ask[i].n - form->ask[i].first;
        if (length > k->set->longest) k->set->longest = length;
    }
    return status;
}

/* ---- templates ------------------------------------------------------------------------------- */

static const char HOLE[] = "{input}";

static char *fill(const char *template, const char *input, dele_arena *arena, dele_err *err)
{
    char *out = dele_strdup(arena, "", err);
    for (const char *hole; out && (hole = strstr(template, HOLE));
         template = hole + sizeof HOLE - 1)
        out = dele_printf(arena, err, "%s%.*s%s", out, (int)(hole - template), template, input);
    return out ? dele_printf(arena, err, "%s%s", out, template) : NULL;
}

static dele_status make_template(maker *k, const char *name, const char *template, dele_err *err)
{
    attack_form *form = new_form(k, ATTACK_TEMPLATE, dele_strdup(k->arena, name, err), err);
    dele_status status = form ? DELE_OK : DELE_ERR_MEMORY;
    for (size_t i = 0; i < k->set->n && !status; i++) {
        const char *prompt = fill(template, k->set->row[i].prompt, k->arena, err);
        bool joined =
            k->set->row[i].joined && !strcmp(template + strlen(template) - (sizeof HOLE - 1), HOLE);
        status =
            prompt ? encode(&form->ask[form->n++], k, i, prompt, joined, err) : DELE_ERR_MEMORY;
    }
    return status;
}

static bool is_known(const attack_set *set, const char *name)
{
    for (size_t f = 0; f < set->n_forms; f++)
        if (!strcmp(set->form[f].name, name)) return true;
    return false;
}

/* Makes a form of each template in the file.  A name must be new and must fit a table, because
 * forms are told apart by name in items.jsonl and in attack.tsv; "best" is the name of the row that
 * takes the best form of each fact. */
static dele_status make_templates(maker *k, const char *path, dele_err *err)
{
    dele_records r = {0};
    const cJSON *row;
    const size_t before = k->set->n_forms;
    dele_records_open(&r, path, err);
    while (!err->code && (row = dele_records_next(&r, err))) {
        const char *name = dele_record_string(&r, row, "name", err);
        const char *template = name ? dele_record_string(&r, row, "template", err) : NULL;
        if (!template) break;
        if (!strstr(template, HOLE))
            dele_fail(err, DELE_ERR_DATA, "%s:%d: the template has no %s for the prompt", path,
                      r.line, HOLE);
        else if (is_known(k->set, name) || strchr(name, '\t') || strchr(name, '\n') ||
                 !strcmp(name, "best"))
            dele_fail(err, DELE_ERR_DATA,
                      "%s:%d: the name \"%.40s\" is used already, or is not valid", path, r.line,
                      name);
        else
            make_template(k, name, template, err);
    }
    dele_records_close(&r);
    if (!err->code && k->set->n_forms == before)
        dele_fail(err, DELE_ERR_DATA, "%s holds no template", path);
    return err->code;
}

/* ---- paraphrases ----------------------------------------------------------------------------- */

static size_t find_row(const attack_set *set, const char *id)
{
    size_t i = 0;
    while (i < set->n && strcmp(set->row[i].id, id)) i++;
    return i;
}

static int by_row(const void *a, const void *b)
{
    size_t x = ((const attack_ask *)a)->row, y = ((const attack_ask *)b)->row;
    return (x > y) - (x < y);
}

/* The form that has the row's next paraphrase: made when the first row gets so many. */
static attack_form *paraphrase_form(maker *k, size_t first, size_t which, dele_err *err)
{
    if (first + which < k->set->n_forms) return &k->set->form[first + which];
    return new_form(k, ATTACK_TEMPLATE, dele_printf(k->arena, err, "paraphrase %zu", which + 1),
                    err);
}

/* Facts bring one along. */
static dele_status make_own_paraphrases(maker *k, dele_err *err)
{
    attack_form *form = new_form(k, ATTACK_TEMPLATE, "own paraphrase", err);
    dele_status status = form ? DELE_OK : DELE_ERR_MEMORY;
    for (size_t i = 0; i < k->set->n && !status; i++) {
        const attack_row *row = &k->set->row[i];
        if (row->paraphrase)
            status = encode(&form->ask[form->n++], k, i, row->paraphrase, row->joined, err);
    }
    if (!status && !form->n) k->set->n_forms--;
    return status;
}

/* Rows left out by --limit are passed over. */
static dele_status make_paraphrases(maker *k, const char *path, dele_err *err)
{
    dele_records r = {0};
    const cJSON *json;
    const size_t first = k->set->n_forms;
    size_t *count = DELE_NEW(k->arena, size_t, k->set->n, err);
    if (!count || dele_records_open(&r, path, err)) return err->code;
    while (!err->code && (json = dele_records_next(&r, err))) {
        const char *id = NULL, *input = dele_record_string(&r, json, "input", err);
        if (!input || dele_row_id(&id, json, k->arena, err)) break;
        size_t i = id ? find_row(k->set, id) : k->set->n;
        if (!id)
            dele_fail(err, DELE_ERR_DATA, "%s:%d: a paraphrase needs the \"id\" of its row", path,
                      r.line);
        if (i == k->set->n) continue;
        attack_form *form = paraphrase_form(k, first, count[i]++, err);
        if (form) encode(&form->ask[form->n++], k, i, input, false, err);
    }
    dele_records_close(&r);
    for (size_t f = first; f < k->set->n_forms; f++)
        qsort(k->set->form[f].ask, k->set->form[f].n, sizeof *k->set->form[f].ask, by_row);
    if (!err->code && k->set->n_forms == first)
        dele_fail(err, DELE_ERR_DATA, "%s: no paraphrase has the id of a row of %s", path,
                  k->set->path);
    return err->code;
}

/* ---- prefixes -------------------------------------------------------------------------------- */

/* A letter or a digit of any script. */
static bool has_words(const char *text)
{
    while (*text && (*text == '_' || !dele_word_at(text)))
        text++; /* bytes within a character begin none */
    return *text;
}

/* So many per cent of the answer's tokens are given, at least one, and at least one is left.  Rows
 * of one token, and rows of whose answer nothing but punctuation is left, have no such ask. */
static dele_status make_prefix(maker *k, int percent, dele_err *err)
{
    attack_form *form =
        new_form(k, ATTACK_PREFIX, dele_printf(k->arena, err, "%d %%", percent), err);
    if (!form) return DELE_ERR_MEMORY;
    const attack_form *plain = &k->set->form[0];
    for (size_t i = 0; i < plain->n; i++) {
        attack_ask ask = plain->ask[i];
        int n = ask.n - ask.first, given = n * percent / 100;
        if (n < 2) continue;
        ask.first += given < 1 ? 1 : given > n - 1 ? n - 1 : given;
        ask.target = dele_decode_continuation(k->model->tokenizer, ask.ids, (size_t)ask.first,
                                              ask.ids + ask.first, (size_t)(ask.n - ask.first),
                                              true, k->arena, err);
        if (!ask.target) return DELE_ERR_MEMORY;
        if (has_words(ask.target)) form->ask[form->n++] = ask;
    }
    if (!form->n) k->set->n_forms--;
    return DELE_OK;
}

static dele_status make_prefixes(maker *k, const char *list, dele_err *err)
{
    bool named[100] = {false};
    for (char *name; !err->code && (name = attack_next_name(&list, k->arena, err));) {
        char *end;
        long percent = strtol(name, &end, 10);
        if (*end || percent < 1 || percent > 99)
            return dele_fail(err, DELE_ERR_USAGE,
                             "--prefixes: \"%.20s\" is not a percentage from 1 to 99", name);
        if (named[percent])
            return dele_fail(err, DELE_ERR_USAGE, "--prefixes names %ld twice", percent);
        named[percent] = true;
        make_prefix(k, (int)percent, err);
    }
    return err->code;
}

dele_status attack_forms_make(attack_set *set, const attack_form_opts *o, const dele_model *model,
                              dele_arena *arena, dele_err *err)
{
    maker k = {
        .set = set,
        .model = model,
        .arena = arena,
        .how = {.chat = o->chat, .eos = false, .max_tokens = (size_t)dele_longest(&model->config)}};
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s has no tokenizer: put its tokenizer.json there",
                         model->path ? model->path : "the model");
    set->n_forms = 0;
    if (make_plain(&k, err)) return err->code;
    if (o->templates) make_templates(&k, o->templates, err);
    if (!err->code && o->templates) make_own_paraphrases(&k, err);
    if (!err->code && o->paraphrases) make_paraphrases(&k, o->paraphrases, err);
    if (!err->code && o->prefixes) make_prefixes(&k, o->prefixes, err);
    return err->code;
}

dele_status attack_same_tokens(const attack_set *set, const dele_layout *chat,
                               const dele_model *model, dele_err *err)
{
    dele_arena scratch = {0};
    attack_set theirs = {.path = set->path, .row = set->row, .n = set->n};
    const attack_form_opts plain = {.chat = chat};
    attack_forms_make(&theirs, &plain, model, &scratch, err);
    for (size_t i = 0; i < set->n && !err->code; i++) {
        const attack_ask *a = &set->form[0].ask[i], *b = &theirs.form[0].ask[i];
        if (a->n != b->n || a->first != b->first ||
            memcmp(a->ids, b->ids, (size_t)a->n * sizeof *a->ids))
            dele_fail(err, DELE_ERR_DATA, "%s tokenises %s:%d differently from the unlearned model",
                      model->path, set->path, set->row[i].line);
    }
    dele_arena_release(&scratch);
    return err->code;
}
