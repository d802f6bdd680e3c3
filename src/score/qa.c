#include "score/qa.h"

#include <ctype.h>
#include <string.h>

#include "score/accuracy.h"
#include "score/pytext.h"
#include "score/say.h"
#include "score/set_files.h"

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static lac_status read_item(void *row, const lac_records *r, const cJSON *json, lac_arena *arena, lac_err *err)
{
    lac_qa_item *item = row;
    const char *context = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "context"));
    const char *question = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "question"));
    const char *answer = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "answer"));
    if (!(context && context[0]) && !(question && question[0]))
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: neither \"question\" nor \"context\" is there", r->path, r->line);
    item->prompt = context ? lac_strdup(arena, context, err) : lac_printf(arena, err, "Question: %s\nAnswer:", question);
    item->ignore_articles = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "ignore_articles"));
    if (!item->prompt || lac_row_id(&item->id, json, arena, err)) return err->code;
    if (!answer) return lac_row_strings(&item->answer, &item->n_answers, r, json, "answers", arena, err);
    item->answer = LAC_NEW(arena, const char *, 1, err);
    item->n_answers = 1;
    return item->answer && (item->answer[0] = lac_strdup(arena, answer, err)) ? LAC_OK : LAC_ERR_MEMORY;
}

lac_status lac_qa_sets_load(lac_qa_sets *data, const char *path, int limit, lac_arena *arena, lac_err *err)
{
    lac_set_files files;
    *data = (lac_qa_sets){0};
    if (lac_set_files_find(&files, path, false, arena, err)) return err->code;
    data->set = LAC_NEW(arena, lac_qa_set, files.n, err);
    for (; data->set && data->n_sets < files.n; data->n_sets++) {
        lac_qa_set *set = &data->set[data->n_sets];
        set->name = files.name[data->n_sets];
        set->item = lac_rows_load(&set->n, sizeof *set->item, files.path[data->n_sets], limit, read_item, arena, err);
        if (!set->item) break;
        data->n_items += set->n;
    }
    return err->code;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

/* Part of a word, as Python's \w; every letter outside ASCII counts as one. */
static bool in_word(char c) { return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80; }

/* re.sub(r"\b(?:The |the |An |A |The |a |an )", "", text), in place */
static void drop_articles(char *text)
{
    static const char *const article[] = {"The ", "the ", "An ", "A ", "a ", "an "};
    char *out = text, before = ' ';
    for (const char *in = text; *in;) {
        size_t n = 0;
        for (size_t k = 0; !in_word(before) && !n && k < sizeof article / sizeof *article; k++)
            if (!strncmp(in, article[k], strlen(article[k]))) n = strlen(article[k]);
        before = n ? ' ' : *in;
        if (n) in += n;
        else *out++ = *in++;
    }
    *out = '\0';
}

char *lac_qa_normal(const char *text, bool ignore_articles, lac_arena *arena, lac_err *err)
{
    char *copy = lac_strdup(arena, text, err), *lower, *out;
    if (copy && ignore_articles) drop_articles(copy);
    lower = copy ? lac_lower(copy, arena, err) : NULL;
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
        if ((at == text || !in_word(at[-1])) && !in_word(at[n])) return true;
    return false;
}

lac_status lac_qa_judge(bool *exact, bool *contains, const lac_qa_item *item, const char *said, lac_arena *arena,
                        lac_err *err)
{
    const char *first = lac_strndup(arena, said, strcspn(said, "\n.,"), err);
    if (!first) return LAC_ERR_MEMORY;
    first = lac_strip(first, arena, err);
    if (first) first = lac_qa_normal(first, item->ignore_articles, arena, err);
    const char *whole = lac_qa_normal(said, item->ignore_articles, arena, err);
    *exact = *contains = false;
    for (int a = 0; first && whole && a < item->n_answers; a++) {
        const char *answer = lac_qa_normal(item->answer[a], item->ignore_articles, arena, err);
        if (!answer) break;
        *exact |= !strcmp(first, answer);
        *contains |= holds(whole, answer);
    }
    return err->code;
}

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

typedef struct {
    const lac_qa_set *set;
    const lac_qa_score_opts *opts;
    unsigned char *exact, *contains;
    size_t before; /* items of earlier sets */
    lac_arena scratch;
} scoring;

static lac_status said(void *data, size_t i, char *text, bool ended, lac_err *err)
{
    scoring *s = data;
    const lac_qa_item *item = &s->set->item[i];
    bool exact, contains;
    lac_arena_reset(&s->scratch);
    if (lac_qa_judge(&exact, &contains, item, text, &s->scratch, err)) return err->code;
    s->exact[i] = exact;
    s->contains[i] = contains;
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "set", s->set->name);
    cJSON_AddNumberToObject(line, "index", (double)i);
    if (item->id) cJSON_AddStringToObject(line, "id", item->id);
    cJSON_AddStringToObject(line, "output", item->answer[0]);
    cJSON_AddStringToObject(line, "generated", text);
    cJSON_AddNumberToObject(line, "exact_match", exact);
    cJSON_AddNumberToObject(line, "contains", contains);
    cJSON_AddBoolToObject(line, "ended", ended);
    return lac_items_put(s->opts->items, s->before + i, line, err);
}

static size_t recall(scoring *s)
{
    size_t n = 0;
    for (const cJSON *old; n < s->set->n && (old = lac_items_old(s->opts->items, s->before + n)); n++) {
        s->exact[n] = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(old, "exact_match")) == 1;
        s->contains[n] = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(old, "contains")) == 1;
    }
    return n;
}

static lac_status run_set(lac_qa_score *score, scoring *s, lac_run *run, const lac_model *model, lac_arena *arena,
                          lac_err *err)
{
    size_t n = s->set->n;
    const char **prompts = LAC_NEW(arena, const char *, n, err);
    s->exact = LAC_NEW(arena, unsigned char, n, err);
    s->contains = LAC_NEW(arena, unsigned char, n, err);
    if (!prompts || !s->exact || !s->contains) return LAC_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) prompts[i] = s->set->item[i].prompt;
    lac_say_opts say = {.chat = s->opts->chat,
                        .max_new = s->opts->max_new,
                        .n_known = recall(s),
                        .said = said,
                        .data = s,
                        .progress = s->opts->progress,
                        .before = s->before};
    if (lac_say(prompts, n, run, model, &say, err)) return err->code;
    lac_accuracy both = lac_accuracy_mean(s->exact, s->contains, n);
    *score = (lac_qa_score){n, both.acc, both.acc_se, both.acc_norm, both.acc_norm_se};
    return LAC_OK;
}

lac_status lac_qa_sets_run(lac_qa_score *score, const lac_qa_sets *data, lac_run *run, const lac_model *model,
                           const lac_qa_score_opts *opts, lac_err *err)
{
    scoring s = {.opts = opts};
    lac_arena arena = {0};
    lac_status status = LAC_OK;
    for (size_t i = 0; i < data->n_sets && !status; i++) {
        s.set = &data->set[i];
        status = run_set(&score[i], &s, run, model, &arena, err);
        s.before += data->set[i].n;
        lac_arena_reset(&arena);
    }
    lac_arena_release(&arena);
    lac_arena_release(&s.scratch);
    return status;
}

/* ---- showing ----------------------------------------------------------------------------------------------------- */

cJSON *lac_qa_sets_json(const lac_qa_score *score, const lac_qa_sets *data)
{
    cJSON *json = cJSON_CreateObject(), *sets;
    cJSON_AddNumberToObject(json, "n", (double)data->n_items);
    sets = cJSON_AddObjectToObject(json, "sets");
    for (size_t i = 0; i < data->n_sets; i++) {
        cJSON *one = cJSON_AddObjectToObject(sets, data->set[i].name);
        cJSON_AddNumberToObject(one, "n", (double)score[i].n);
        lac_put_score(one, "exact_match", score[i].exact, score[i].exact_se);
        lac_put_score(one, "contains", score[i].contains, score[i].contains_se);
    }
    return json;
}

void lac_qa_sets_table(FILE *to, const lac_qa_score *score, const lac_qa_sets *data)
{
    fprintf(to, "set\tn\texact_match\tstderr\tcontains\tstderr\n");
    for (size_t i = 0; i < data->n_sets; i++)
        fprintf(to, "%s\t%zu\t%.4f\t%.4f\t%.4f\t%.4f\n", data->set[i].name, score[i].n, score[i].exact, score[i].exact_se,
                score[i].contains, score[i].contains_se);
}
