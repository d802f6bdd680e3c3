#include "score/qa.h"

#include <ctype.h>
#include <string.h>

#include "score/accuracy.h"
#include "score/generate_batch.h"
#include "score/pytext.h"
#include "score/set_files.h"

/* ---- reading --------------------------------------------------------------------------------- */

static dele_status read_item(void *row, const dele_records *r, const cJSON *json, dele_arena *arena,
                             dele_err *err)
{
    dele_qa_item *item = row;
    const char *context = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "context"));
    const char *question = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "question"));
    const char *answer = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "answer"));
    if (!(context && context[0]) && !(question && question[0]))
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: there is neither \"question\" nor \"context\"",
                         r->path, r->line);
    item->prompt = context ? dele_strdup(arena, context, err)
                           : dele_printf(arena, err, "Question: %s\nAnswer:", question);
    item->ignore_articles = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "ignore_articles"));
    if (!item->prompt || dele_row_id(&item->id, json, arena, err)) return err->code;
    if (!answer)
        return dele_row_strings(&item->answer, &item->n_answers, r, json, "answers", arena, err);
    item->answer = DELE_NEW(arena, const char *, 1, err);
    item->n_answers = 1;
    return item->answer && (item->answer[0] = dele_strdup(arena, answer, err)) ? DELE_OK
                                                                               : DELE_ERR_MEMORY;
}

dele_status dele_qa_sets_load(dele_qa_sets *data, const char *path, int limit, dele_arena *arena,
                              dele_err *err)
{
    dele_set_files files;
    *data = (dele_qa_sets){0};
    if (dele_set_files_find(&files, path, false, arena, err)) return err->code;
    data->set = DELE_NEW(arena, dele_qa_set, files.n, err);
    for (; data->set && data->n_sets < files.n; data->n_sets++) {
        dele_qa_set *set = &data->set[data->n_sets];
        set->name = files.name[data->n_sets];
        set->item = dele_rows_load(&set->n, sizeof *set->item, files.path[data->n_sets], limit,
                                   read_item, arena, err);
        if (!set->item) break;
        data->n_items += set->n;
    }
    return err->code;
}

/* ---- judging --------------------------------------------------------------------------------- */

/* re.sub(r"\b(?:The |the |An |A |The |a |an )", "", text), in place */
static void drop_articles(char *text)
{
    static const char *const article[] = {"The ", "the ", "An ", "A ", "a ", "an "};
    char *out = text;
    bool in_word = false; /* the character before ends in a word */
    for (const char *in = text; *in;) {
        size_t n = 0;
        for (size_t k = 0; !in_word && !n && k < sizeof article / sizeof *article; k++)
            if (!strncmp(in, article[k], strlen(article[k]))) n = strlen(article[k]);
        in_word = !n && dele_word_at(in);
        if (n)
            in += n;
        else
            do *out++ = *in++;
            while (((unsigned char)*in & 0xc0) == 0x80);
    }
    *out = '\0';
}

char *dele_qa_normal(const char *text, bool ignore_articles, dele_arena *arena, dele_err *err)
{
    char *copy = dele_strdup(arena, text, err), *lower, *out;
    if (copy && ignore_articles) drop_articles(copy);
    lower = copy ? dele_lower(copy, arena, err) : NULL;
    if (!(out = lower)) return NULL;
    for (const char *in = lower; *in; in++)
        if (!ispunct((unsigned char)*in) || (unsigned char)*in >= 0x80) *out++ = *in;
    *out = '\0';
    return lower;
}

static bool holds(const char *text, const char *answer)
{
    size_t n = strlen(answer);
    for (const char *at = text; n && (at = strstr(at, answer)); at++)
        if (!dele_word_before(text, at) && !dele_word_at(at + n)) return true;
    return false;
}

dele_status dele_qa_judge(bool *exact, bool *contains, const dele_qa_item *item,
                          const char *generated, dele_arena *arena, dele_err *err)
{
    const char *first = dele_strndup(arena, generated, strcspn(generated, "\n.,"), err);
    if (!first) return DELE_ERR_MEMORY;
    first = dele_strip(first, arena, err);
    if (first) first = dele_qa_normal(first, item->ignore_articles, arena, err);
    const char *whole = dele_qa_normal(generated, item->ignore_articles, arena, err);
    *exact = *contains = false;
    for (int a = 0; first && whole && a < item->n_answers; a++) {
        const char *answer = dele_qa_normal(item->answer[a], item->ignore_articles, arena, err);
        if (!answer) break;
        *exact |= !strcmp(first, answer);
        *contains |= holds(whole, answer);
    }
    return err->code;
}

/* ---- scoring --------------------------------------------------------------------------------- */

typedef struct {
    const dele_qa_set *set;
    const dele_qa_score_opts *opts;
    unsigned char *exact, *contains;
    size_t before; /* items of earlier sets */
    dele_arena scratch;
} scoring;

/* The fields that identify an item's line; a resumed line is compared with them. */
static cJSON *item_key(const scoring *s, size_t i)
{
    const dele_qa_item *item = &s->set->item[i];
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "set", s->set->name);
    cJSON_AddNumberToObject(line, "index", (double)i);
    if (item->id) cJSON_AddStringToObject(line, "id", item->id);
    cJSON_AddStringToObject(line, "output", item->answer[0]);
    return line;
}

static dele_status on_output(void *data, size_t i, char *text, bool ended, dele_err *err)
{
    scoring *s = data;
    const dele_qa_item *item = &s->set->item[i];
    bool exact, contains;
    dele_arena_reset(&s->scratch);
    if (dele_qa_judge(&exact, &contains, item, text, &s->scratch, err)) return err->code;
    s->exact[i] = exact;
    s->contains[i] = contains;
    cJSON *line = item_key(s, i);
    cJSON_AddStringToObject(line, "generated", text);
    cJSON_AddNumberToObject(line, "exact_match", exact);
    cJSON_AddNumberToObject(line, "contains", contains);
    cJSON_AddBoolToObject(line, "ended", ended);
    return dele_items_put(s->opts->items, s->before + i, line, err);
}

static size_t resume(scoring *s, dele_err *err)
{
    size_t n = 0;
    double exact, contains;
    const dele_items_field fields[] = {{"exact_match", &exact, DELE_ITEMS_WHOLE, 0, 1, false},
                                       {"contains", &contains, DELE_ITEMS_WHOLE, 0, 1, false},
                                       {"generated", .type = DELE_ITEMS_TEXT},
                                       {"ended", .type = DELE_ITEMS_BOOL}};
    for (; n < s->set->n && dele_items_previous(s->opts->items, s->before + n); n++) {
        if (!dele_items_resume(s->opts->items, s->before + n, item_key(s, n), fields, 4, err))
            break;
        s->exact[n] = exact == 1;
        s->contains[n] = contains == 1;
    }
    return n;
}

static dele_status run_set(dele_qa_score *score, scoring *s, dele_run *run, const dele_model *model,
                           dele_arena *arena, dele_err *err)
{
    size_t n = s->set->n;
    const char **prompts = DELE_NEW(arena, const char *, n, err);
    s->exact = DELE_NEW(arena, unsigned char, n, err);
    s->contains = DELE_NEW(arena, unsigned char, n, err);
    if (!prompts || !s->exact || !s->contains) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) prompts[i] = s->set->item[i].prompt;
    dele_generate_batch_opts say = {.chat = s->opts->chat,
                                    .max_new = s->opts->max_new,
                                    .n_known = resume(s, err),
                                    .on_output = on_output,
                                    .data = s,
                                    .progress = s->opts->progress,
                                    .before = s->before};
    if (err->code || dele_generate_batch(prompts, n, run, model, &say, err)) return err->code;
    dele_accuracy both = dele_accuracy_mean(s->exact, s->contains, n);
    *score = (dele_qa_score){n, both.acc, both.acc_se, both.acc_norm, both.acc_norm_se};
    return DELE_OK;
}

dele_status dele_qa_sets_run(dele_qa_score *score, const dele_qa_sets *data, dele_run *run,
                             const dele_model *model, const dele_qa_score_opts *opts, dele_err *err)
{
    scoring s = {.opts = opts};
    dele_arena arena = {0};
    dele_status status = DELE_OK;
    for (size_t i = 0; i < data->n_sets && !status; i++) {
        s.set = &data->set[i];
        status = run_set(&score[i], &s, run, model, &arena, err);
        s.before += data->set[i].n;
        dele_arena_reset(&arena);
    }
    dele_arena_release(&arena);
    dele_arena_release(&s.scratch);
    return status;
}

/* ---- showing --------------------------------------------------------------------------------- */

cJSON *dele_qa_sets_json(const dele_qa_score *score, const dele_qa_sets *data)
{
    cJSON *json = cJSON_CreateObject(), *sets;
    cJSON_AddNumberToObject(json, "n", (double)data->n_items);
    sets = cJSON_AddObjectToObject(json, "sets");
    for (size_t i = 0; i < data->n_sets; i++) {
        cJSON *one = cJSON_AddObjectToObject(sets, data->set[i].name);
        cJSON_AddNumberToObject(one, "n", (double)score[i].n);
        dele_put_score(one, "exact_match", score[i].exact, score[i].exact_se);
        dele_put_score(one, "contains", score[i].contains, score[i].contains_se);
    }
    return json;
}

void dele_qa_sets_table(dele_table *t, const dele_qa_score *score, const dele_qa_sets *data)
{
    dele_table_head(t, "set\tn\texact_match\texact_match_stderr\tcontains\tcontains_stderr");
    for (size_t i = 0; i < data->n_sets; i++) {
        dele_table_text(t, data->set[i].name);
        dele_table_cell(t, "%zu", score[i].n);
        dele_table_real(t, "%.4f", score[i].exact);
        dele_table_real(t, "%.4f", score[i].exact_se);
        dele_table_real(t, "%.4f", score[i].contains);
        dele_table_real(t, "%.4f", score[i].contains_se);
        dele_table_row(t);
    }
}
