/* MMLU's questions: files, prompts, and the log-probabilities of their choices.  Means are in
 * mmlu_scores.c.
 *
 * The texts are those of lm_eval/tasks/mmlu/{default,continuation}: description, question.strip(),
 * target delimiter " ", few-shot delimiter "\n\n", examples the first of dev. */
#include "score/mmlu.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json_out.h"
#include "score/choices.h"
#include "score/pytext.h"
#include "text/csv.h"

typedef struct {
    const char *name;
    dele_mmlu_group group;
} subject_row;

#define S DELE_MMLU_STEM
#define O DELE_MMLU_OTHER
#define C DELE_MMLU_SOCIAL_SCIENCES
#define H DELE_MMLU_HUMANITIES

static const subject_row subject_table[DELE_MMLU_SUBJECTS] = {
    {"abstract_algebra", S},
    {"anatomy", S},
    {"astronomy", S},
    {"business_ethics", O},
    {"clinical_knowledge", O},
    {"college_biology", S},
    {"college_chemistry", S},
    {"college_computer_science", S},
    {"college_mathematics", S},
    {"college_medicine", O},
    {"college_physics", S},
    {"computer_security", S},
    {"conceptual_physics", S},
    {"econometrics", C},
    {"electrical_engineering", S},
    {"elementary_mathematics", S},
    {"formal_logic", H},
    {"global_facts", O},
    {"high_school_biology", S},
    {"high_school_chemistry", S},
    {"high_school_computer_science", S},
    {"high_school_european_history", H},
    {"high_school_geography", C},
    {"high_school_government_and_politics", C},
    {"high_school_macroeconomics", C},
    {"high_school_mathematics", S},
    {"high_school_microeconomics", C},
    {"high_school_physics", S},
    {"high_school_psychology", C},
    {"high_school_statistics", S},
    {"high_school_us_history", H},
    {"high_school_world_history", H},
    {"human_aging", O},
    {"human_sexuality", C},
    {"international_law", H},
    {"jurisprudence", H},
    {"logical_fallacies", H},
    {"machine_learning", S},
    {"management", O},
    {"marketing", O},
    {"medical_genetics", O},
    {"miscellaneous", O},
    {"moral_disputes", H},
    {"moral_scenarios", H},
    {"nutrition", O},
    {"philosophy", H},
    {"prehistory", H},
    {"professional_accounting", O},
    {"professional_law", H},
    {"professional_medicine", O},
    {"professional_psychology", C},
    {"public_relations", C},
    {"security_studies", C},
    {"sociology", C},
    {"us_foreign_policy", C},
    {"virology", O},
    {"world_religions", H}};
#undef S
#undef O
#undef C
#undef H

const char *dele_mmlu_group_name(dele_mmlu_group group)
{
    static const char *const name[] = {"stem", "other", "social_sciences", "humanities"};
    return name[group];
}

typedef struct {
    const char *name, *head; /* head: %s is the subject, its words apart */
    int shots;
    bool raw; /* the question unchanged; too many examples are left out; letters are one
                 token */
} style_row;

static const style_row style_table[DELE_MMLU_STYLES] = {
    [DELE_MMLU_LETTERS] =
        {"harness", "The following are multiple choice questions (with answers) about %s.\n\n", 0,
         false},
    [DELE_MMLU_CONTINUATION] = {"continuation",
                                "The following are questions (with answers) about %s.\n\n", 0,
                                false},
    [DELE_MMLU_HENDRYCKS] =
        {"hendrycks", "The following are multiple choice questions (with answers) about  %s.\n\n",
         5, true},
    [DELE_MMLU_OPEN_INSTRUCT] = {
        "open-instruct",
        "The following are multiple choice questions (with answers) about  %s.\n\n", 5, true}};

enum { MOST_TOKENS = 2048, LIKELIEST = 100 };

dele_status dele_mmlu_parse_style(dele_mmlu_style *style, const char *name, dele_err *err)
{
    if (strcmp(name, "letters") == 0) name = "harness";
    for (int i = 0; i < DELE_MMLU_STYLES; i++) {
        *style = (dele_mmlu_style)i;
        if (strcmp(name, style_table[i].name) == 0) return DELE_OK;
    }
    return dele_fail(err, DELE_ERR_USAGE,
                     "--style %s is not known: harness, continuation, hendrycks or open-instruct",
                     name);
}

const char *dele_mmlu_style_name(dele_mmlu_style style) { return style_table[style].name; }
int dele_mmlu_default_shots(dele_mmlu_style style) { return style_table[style].shots; }

/* ---- reading --------------------------------------------------------------------------------- */

static dele_status items_load(dele_mmlu_item **items, size_t *n, const char *path, size_t limit,
                              dele_arena *arena, dele_err *err)
{
    dele_csv csv;
    dele_status status = dele_csv_load(&csv, path, 2 + DELE_MMLU_CHOICES, arena, err);
    if (status) return status;
    *n = limit && limit < csv.n_rows ? limit : csv.n_rows;
    *items = DELE_NEW(arena, dele_mmlu_item, *n, err);
    if (!*items) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < *n; i++) {
        dele_mmlu_item *item = &(*items)[i];
        const char *answer = dele_csv_field(&csv, i, 5);
        item->raw_question = dele_csv_field(&csv, i, 0);
        item->question = dele_strip(dele_csv_field(&csv, i, 0), arena, err);
        if (!item->question) return DELE_ERR_MEMORY;
        for (size_t c = 0; c < DELE_MMLU_CHOICES; c++)
            item->choice[c] = dele_csv_field(&csv, i, 1 + c);
        if (answer[0] < 'A' || answer[0] > 'D' || answer[1])
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s:%d: the answer is \"%.20s\"; the sixth field must be A, B, C or D",
                             path, csv.line[i], answer);
        item->answer = answer[0] - 'A';
    }
    return *n ? DELE_OK : dele_fail(err, DELE_ERR_DATA, "%s holds no question", path);
}

/* Is name among the comma-separated names? */
static bool listed(const char *names, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += n)
        if ((at == names || at[-1] == ',') && (at[n] == ',' || at[n] == '\0')) return true;
    return false;
}

static dele_status check_names(const char *names, dele_err *err)
{
    for (const char *at = names; *at;) {
        size_t n = strcspn(at, ",");
        bool known = false;
        for (int s = 0; s < DELE_MMLU_SUBJECTS; s++)
            known |=
                strlen(subject_table[s].name) == n && memcmp(subject_table[s].name, at, n) == 0;
        if (!known)
            return dele_fail(err, DELE_ERR_USAGE,
                             "--subjects: MMLU has no subject \"%.*s\"; names are as in its files, "
                             "like college_biology,virology",
                             (int)n, at);
        at += n + (at[n] == ',');
    }
    return DELE_OK;
}

static dele_status subject_load(dele_mmlu_subject *s, const char *path, const char *split,
                                int shots, int limit, dele_arena *arena, dele_err *err)
{
    char *file = dele_printf(arena, err, "%s/%s/%s_%s.csv", path, split, s->name, split);
    char *dev = dele_printf(arena, err, "%s/dev/%s_dev.csv", path, s->name);
    if (!file || !dev) return DELE_ERR_MEMORY;
    dele_status status = items_load(&s->item, &s->n_items, file, (size_t)limit, arena, err);
    if (!status && shots)
        status = items_load(&s->shot, &s->n_shots, dev, (size_t)shots, arena, err);
    if (!status && s->n_shots < (size_t)shots)
        status = dele_fail(err, DELE_ERR_DATA, "%s has %zu examples, not %d: set fewer --shots",
                           dev, s->n_shots, shots);
    return status;
}

dele_status dele_mmlu_load(dele_mmlu *data, const char *path, const char *split,
                           const char *subjects, int shots, int limit, dele_arena *arena,
                           dele_err *err)
{
    *data = (dele_mmlu){.subject = DELE_NEW(arena, dele_mmlu_subject, DELE_MMLU_SUBJECTS, err)};
    if (!data->subject) return DELE_ERR_MEMORY;
    dele_status status = subjects ? check_names(subjects, err) : DELE_OK;
    for (int i = 0; i < DELE_MMLU_SUBJECTS && !status; i++) {
        const char *name = subject_table[i].name;
        char *file = dele_printf(arena, err, "%s/%s/%s_%s.csv", path, split, name, split);
        if (!file) return DELE_ERR_MEMORY;
        if (subjects ? !listed(subjects, name) : !dele_path_exists(file)) continue;
        dele_mmlu_subject *s = &data->subject[data->n_subjects++];
        *s = (dele_mmlu_subject){.name = name, .group = subject_table[i].group};
        status = subject_load(s, path, split, shots, limit, arena, err);
        data->n_items += s->n_items;
    }
    if (!status && data->n_subjects == 0)
        status =
            dele_fail(err, DELE_ERR_FILE,
                      "%s holds no MMLU split \"%s\": a file is named like %s/%s/anatomy_%s.csv",
                      path, split, path, split, split);
    return status;
}

void dele_mmlu_through_pandas(dele_mmlu *data)
{
    for (size_t k = 0; k < data->n_subjects; k++)
        for (int part = 0; part < 2; part++) {
            const dele_mmlu_subject *s = &data->subject[k];
            dele_mmlu_item *item = part ? s->shot : s->item;
            for (size_t i = 0; i < (part ? s->n_shots : s->n_items); i++) {
                item[i].raw_question = dele_through_pandas(item[i].raw_question);
                item[i].question = dele_through_pandas(item[i].question);
                for (int c = 0; c < DELE_MMLU_CHOICES; c++)
                    item[i].choice[c] = dele_through_pandas(item[i].choice[c]);
            }
        }
}

/* ---- prompts --------------------------------------------------------------------------------- */

static char *question_text(const dele_mmlu_item *q, dele_mmlu_style style, dele_arena *arena,
                           dele_err *err)
{
    if (style == DELE_MMLU_CONTINUATION)
        return dele_printf(arena, err, "Question: %s\nAnswer:", q->question);
    return dele_printf(arena, err, "%s\nA. %s\nB. %s\nC. %s\nD. %s\nAnswer:",
                       style_table[style].raw ? q->raw_question : q->question, q->choice[0],
                       q->choice[1], q->choice[2], q->choice[3]);
}

char *dele_mmlu_continuation(const dele_mmlu_item *item, int c, dele_mmlu_style style,
                             dele_arena *arena, dele_err *err)
{
    if (style == DELE_MMLU_CONTINUATION) return dele_printf(arena, err, " %s", item->choice[c]);
    return dele_printf(arena, err, " %c", 'A' + c);
}

/* The style's first line, with the subject's words in it. */
static char *head_text(const char *subject, dele_mmlu_style style, dele_arena *arena, dele_err *err)
{
    const char *head = style_table[style].head, *place = strstr(head, "%s");
    char *name = dele_strdup(arena, subject, err);
    for (char *c = name; c && *c; c++)
        if (*c == '_') *c = ' ';
    return name ? dele_printf(arena, err, "%.*s%s%s", (int)(place - head), head, name, place + 2)
                : NULL;
}

char *dele_mmlu_context(const dele_mmlu_subject *subject, const dele_mmlu_item *item,
                        dele_mmlu_style style, int shots, dele_arena *arena, dele_err *err)
{
    char *text = head_text(subject->name, style, arena, err);
    for (int i = 0; i < shots && text; i++) {
        const dele_mmlu_item *shot = &subject->shot[i];
        char *question = question_text(shot, style, arena, err);
        char *answer = dele_mmlu_continuation(shot, shot->answer, style, arena, err);
        text = question && answer ? dele_printf(arena, err, "%s%s%s\n\n", text, question, answer)
                                  : NULL;
    }
    char *question = question_text(item, style, arena, err);
    return text && question ? dele_printf(arena, err, "%s%s", text, question) : NULL;
}

/* ---- scoring --------------------------------------------------------------------------------- */

typedef struct {
    const dele_mmlu_subject *subject;
    const dele_mmlu_opts *opts;
    const dele_question *questions;
    unsigned char *right, *right_norm;
    size_t done_before;
} scoring;

/* The fields that identify an item's line; a resumed line is compared with them. */
static cJSON *item_key(const scoring *s, size_t index)
{
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "subject", s->subject->name);
    cJSON_AddNumberToObject(line, "index", (double)index);
    return line;
}

static dele_status put_item(scoring *s, size_t index, const double *logp, int pick, int pick_norm,
                            dele_err *err)
{
    cJSON *line = item_key(s, index), *all = cJSON_AddArrayToObject(line, "loglikelihoods");
    for (int c = 0; c < DELE_MMLU_CHOICES; c++)
        cJSON_AddItemToArray(all, dele_json_number(logp[c]));
    cJSON_AddNumberToObject(line, "pick", pick);
    if (s->opts->style == DELE_MMLU_CONTINUATION)
        cJSON_AddNumberToObject(line, "pick_norm", pick_norm);
    cJSON_AddNumberToObject(line, "answer", s->subject->item[index].answer);
    return dele_items_put(s->opts->items, s->done_before + index, line, err);
}

static dele_status scored(void *data, size_t first, size_t n, dele_err *err)
{
    scoring *s = data;
    dele_status status = DELE_OK;
    for (size_t i = first; i < first + n && !status; i++) {
        const dele_mmlu_item *item = &s->subject->item[i];
        double logp[DELE_MMLU_CHOICES], norm[DELE_MMLU_CHOICES];
        for (int c = 0; c < DELE_MMLU_CHOICES; c++) {
            const dele_choice *choice = &s->questions[i].choice[c];
            bool unseen = s->opts->style == DELE_MMLU_HENDRYCKS && choice->first_rank > LIKELIEST;
            logp[c] = unseen ? -100 : choice->logp;
            norm[c] =
                logp[c] /
                (s->opts->style == DELE_MMLU_CONTINUATION ? dele_characters(item->choice[c]) : 1);
        }
        int pick = dele_argmax(logp, DELE_MMLU_CHOICES),
            pick_norm = dele_argmax(norm, DELE_MMLU_CHOICES);
        s->right[i] = pick == item->answer;
        s->right_norm[i] = pick_norm == item->answer;
        status = put_item(s, i, logp, pick, pick_norm, err);
    }
    if (s->opts->progress)
        dele_progress_set(s->opts->progress, (double)(s->done_before + first + n),
                          s->subject->name);
    return status;
}

static dele_status encode_item(dele_question *q, const dele_mmlu_subject *s,
                               const dele_mmlu_item *item, const dele_model *model,
                               const dele_mmlu_opts *opts, dele_arena *arena, dele_err *err)
{
    char *context = dele_mmlu_context(s, item, opts->style, opts->shots, arena, err);
    if (!context) return DELE_ERR_MEMORY;
    for (int c = 0; c < DELE_MMLU_CHOICES; c++) {
        char *continuation = dele_mmlu_continuation(item, c, opts->style, arena, err);
        if (!continuation || dele_choice_encode(&q->choice[c], model->tokenizer, context,
                                                continuation, model->config.context, arena, err))
            return err->code;
    }
    return DELE_OK;
}

/* The older styles: the prompt, with as many examples as fit, followed by the last token of " A"
 * and of the others. */
static dele_status encode_raw(dele_question *q, const dele_mmlu_subject *s,
                              const dele_mmlu_item *item, const dele_model *model,
                              const dele_mmlu_opts *opts, dele_arena *arena, dele_err *err)
{
    size_t most = model->config.context < MOST_TOKENS ? (size_t)model->config.context : MOST_TOKENS;
    dele_ids prompt = {0};
    for (int shots = opts->shots; shots >= 0; shots--) {
        char *context = dele_mmlu_context(s, item, opts->style, shots, arena, err);
        if (!context ||
            dele_encode(&prompt, model->tokenizer, context, strlen(context), true, arena, err))
            return err->code;
        if (prompt.n <= most) break;
    }
    size_t cut = prompt.n > most ? prompt.n - most : 0, n = prompt.n - cut;
    for (int c = 0; c < DELE_MMLU_CHOICES; c++) {
        char letter[] = {' ', (char)('A' + c), '\0'};
        dele_ids ids;
        int *all = DELE_NEW(arena, int, n + 1, err);
        if (!all || dele_encode(&ids, model->tokenizer, letter, 2, false, arena, err))
            return err->code;
        if (!ids.n || !n)
            return dele_fail(err, DELE_ERR_DATA, "the tokenizer has no token for \"%s\"", letter);
        memcpy(all, prompt.id + cut, n * sizeof *all);
        all[n] = ids.id[ids.n - 1];
        q->choice[c] = (dele_choice){.ids = all, .n = (int)n + 1, .n_scored = 1};
    }
    return DELE_OK;
}

static dele_status encode_subject(dele_question *questions, const dele_mmlu_subject *s,
                                  const dele_model *model, const dele_mmlu_opts *opts,
                                  dele_arena *arena, dele_err *err)
{
    for (size_t i = 0; i < s->n_items; i++) {
        questions[i].choice = DELE_NEW(arena, dele_choice, DELE_MMLU_CHOICES, err);
        questions[i].n_choices = DELE_MMLU_CHOICES;
        if (!questions[i].choice) return DELE_ERR_MEMORY;
        dele_status status = (style_table[opts->style].raw ? encode_raw : encode_item)(
            &questions[i], s, &s->item[i], model, opts, arena, err);
        if (status) return status;
    }
    return DELE_OK;
}

/* Loads the scores of an earlier run; returns their number. */
static size_t resume(scoring *s, dele_err *err)
{
    size_t n = 0;
    double pick, norm;
    const dele_items_field fields[] = {
        {"loglikelihoods", .type = DELE_ITEMS_NUMBERS},
        {"pick", &pick, DELE_ITEMS_WHOLE, 0, DELE_MMLU_CHOICES - 1, false},
        {"pick_norm", &norm, DELE_ITEMS_WHOLE, 0, DELE_MMLU_CHOICES - 1, false}};
    const bool both = s->opts->style == DELE_MMLU_CONTINUATION;
    for (; n < s->subject->n_items && dele_items_previous(s->opts->items, s->done_before + n);
         n++) {
        cJSON *key = item_key(s, n);
        cJSON_AddNumberToObject(key, "answer", s->subject->item[n].answer);
        if (!dele_items_resume(s->opts->items, s->done_before + n, key, fields, both ? 3 : 2, err))
            break;
        s->right[n] = (int)pick == s->subject->item[n].answer;
        s->right_norm[n] = both ? (int)norm == s->subject->item[n].answer : s->right[n];
    }
    return n;
}

static dele_status run_subject(dele_accuracy *score, const dele_mmlu_subject *subject,
                               size_t done_before, dele_run *run, const dele_model *model,
                               const dele_mmlu_opts *opts, dele_arena *arena, dele_err *err)
{
    dele_question *questions = DELE_NEW(arena, dele_question, subject->n_items, err);
    scoring s = {.subject = subject,
                 .opts = opts,
                 .questions = questions,
                 .right = DELE_NEW(arena, unsigned char, subject->n_items, err),
                 .right_norm = DELE_NEW(arena, unsigned char, subject->n_items, err),
                 .done_before = done_before};
    if (!questions || !s.right || !s.right_norm) return DELE_ERR_MEMORY;
    dele_choices_opts choices = {
        .max_rows = opts->max_rows, .n_known = resume(&s, err), .scored = scored, .data = &s};
    dele_status status =
        err->code ? err->code : encode_subject(questions, subject, model, opts, arena, err);
    if (!status)
        status = dele_choices_score(questions, subject->n_items, run, model, &choices, err);
    if (!status) *score = dele_accuracy_mean(s.right, s.right_norm, subject->n_items);
    return status;
}

dele_status dele_mmlu_run(dele_mmlu_scores *scores, const dele_mmlu *data, dele_run *run,
                          const dele_model *model, const dele_mmlu_opts *opts, dele_arena *arena,
                          dele_err *err)
{
    *scores = (dele_mmlu_scores){.style = opts->style,
                                 .subject = DELE_NEW(arena, dele_accuracy, data->n_subjects, err)};
    dele_accuracy *some = DELE_NEW(arena, dele_accuracy, data->n_subjects, err);
    if (!scores->subject || !some) return DELE_ERR_MEMORY;
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s has no tokenizer: put its tokenizer.json there",
                         model->path ? model->path : "the model");
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    size_t done = 0;
    for (size_t i = 0; i < data->n_subjects && !status; i++) {
        status = run_subject(&scores->subject[i], &data->subject[i], done, run, model, opts,
                             &scratch, err);
        done += data->subject[i].n_items;
        dele_arena_reset(&scratch);
    }
    dele_arena_release(&scratch);
    if (status) return status;
    for (int g = 0; g < DELE_MMLU_GROUPS; g++) {
        size_t n = 0;
        for (size_t i = 0; i < data->n_subjects; i++)
            if ((int)data->subject[i].group == g) some[n++] = scores->subject[i];
        scores->group[g] = dele_accuracy_pool(some, n);
    }
    scores->micro = dele_accuracy_pool(scores->subject, data->n_subjects);
    scores->macro = dele_accuracy_macro(scores->subject, data->n_subjects);
    return DELE_OK;
}
