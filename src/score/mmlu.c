/* The questions: files, prompts, and the log-probabilities of their choices.  Means are in mmlu_scores.c.
 *
 * The texts are those of lm_eval/tasks/mmlu/{default,continuation}: description, question.strip(), target delimiter
 * " ", few-shot delimiter "\n\n", examples the first of dev. */
#include "score/mmlu.h"

#include <math.h>
#include <string.h>

#include "score/choices.h"
#include "score/pytext.h"
#include "text/csv.h"

typedef struct {
    const char *name;
    lac_mmlu_group group;
} subject_row;

#define S LAC_MMLU_STEM
#define O LAC_MMLU_OTHER
#define C LAC_MMLU_SOCIAL_SCIENCES
#define H LAC_MMLU_HUMANITIES

static const subject_row subject_table[LAC_MMLU_SUBJECTS] = {
    {"abstract_algebra", S}, {"anatomy", S}, {"astronomy", S}, {"business_ethics", O}, {"clinical_knowledge", O},
    {"college_biology", S}, {"college_chemistry", S}, {"college_computer_science", S}, {"college_mathematics", S},
    {"college_medicine", O}, {"college_physics", S}, {"computer_security", S}, {"conceptual_physics", S},
    {"econometrics", C}, {"electrical_engineering", S}, {"elementary_mathematics", S}, {"formal_logic", H},
    {"global_facts", O}, {"high_school_biology", S}, {"high_school_chemistry", S},
    {"high_school_computer_science", S}, {"high_school_european_history", H}, {"high_school_geography", C},
    {"high_school_government_and_politics", C}, {"high_school_macroeconomics", C}, {"high_school_mathematics", S},
    {"high_school_microeconomics", C}, {"high_school_physics", S}, {"high_school_psychology", C},
    {"high_school_statistics", S}, {"high_school_us_history", H}, {"high_school_world_history", H},
    {"human_aging", O}, {"human_sexuality", C}, {"international_law", H}, {"jurisprudence", H},
    {"logical_fallacies", H}, {"machine_learning", S}, {"management", O}, {"marketing", O}, {"medical_genetics", O},
    {"miscellaneous", O}, {"moral_disputes", H}, {"moral_scenarios", H}, {"nutrition", O}, {"philosophy", H},
    {"prehistory", H}, {"professional_accounting", O}, {"professional_law", H}, {"professional_medicine", O},
    {"professional_psychology", C}, {"public_relations", C}, {"security_studies", C}, {"sociology", C},
    {"us_foreign_policy", C}, {"virology", O}, {"world_religions", H}};
#undef S
#undef O
#undef C
#undef H

const char *lac_mmlu_group_name(lac_mmlu_group group)
{
    static const char *const name[] = {"stem", "other", "social_sciences", "humanities"};
    return name[group];
}

typedef struct {
    const char *name, *head; /* head: %s is the subject, its words apart */
    int shots;
    bool raw;                /* the question as the file has it; too many examples are left out; letters are one token */
} style_row;

static const style_row style_table[LAC_MMLU_STYLES] = {
    [LAC_MMLU_LETTERS] = {"harness", "The following are multiple choice questions (with answers) about %s.\n\n", 0, false},
    [LAC_MMLU_CONTINUATION] = {"continuation", "The following are questions (with answers) about %s.\n\n", 0, false},
    [LAC_MMLU_HENDRYCKS] = {"hendrycks", "The following are multiple choice questions (with answers) about  %s.\n\n", 5, true},
    [LAC_MMLU_OPEN_INSTRUCT] = {"open-instruct", "The following are multiple choice questions (with answers) about  %s.\n\n",
                                5, true}};

enum { MOST_TOKENS = 2048, LIKELIEST = 100 };

lac_status lac_mmlu_parse_style(lac_mmlu_style *style, const char *name, lac_err *err)
{
    if (strcmp(name, "letters") == 0) name = "harness";
    for (int i = 0; i < LAC_MMLU_STYLES; i++) {
        *style = (lac_mmlu_style)i;
        if (strcmp(name, style_table[i].name) == 0) return LAC_OK;
    }
    return lac_fail(err, LAC_ERR_USAGE, "--style %s is not known: harness, continuation, hendrycks or open-instruct", name);
}

const char *lac_mmlu_style_name(lac_mmlu_style style) { return style_table[style].name; }
int lac_mmlu_default_shots(lac_mmlu_style style) { return style_table[style].shots; }

/* ---- reading --------------------------------------------------------------------------------------------------- */

static lac_status items_load(lac_mmlu_item **items, size_t *n, const char *path, size_t limit, lac_arena *arena,
                             lac_err *err)
{
    lac_csv csv;
    lac_status status = lac_csv_load(&csv, path, 2 + LAC_MMLU_CHOICES, arena, err);
    if (status) return status;
    *n = limit && limit < csv.n_rows ? limit : csv.n_rows;
    *items = LAC_NEW(arena, lac_mmlu_item, *n, err);
    if (!*items) return LAC_ERR_MEMORY;
    for (size_t i = 0; i < *n; i++) {
        lac_mmlu_item *item = &(*items)[i];
        const char *answer = lac_csv_field(&csv, i, 5);
        item->raw_question = lac_csv_field(&csv, i, 0);
        item->question = lac_strip(lac_csv_field(&csv, i, 0), arena, err);
        if (!item->question) return LAC_ERR_MEMORY;
        for (size_t c = 0; c < LAC_MMLU_CHOICES; c++) item->choice[c] = lac_csv_field(&csv, i, 1 + c);
        if (answer[0] < 'A' || answer[0] > 'D' || answer[1])
            return lac_fail(err, LAC_ERR_FORMAT, "%s:%d: the answer is \"%.20s\"; the sixth field must be A, B, C or D",
                            path, csv.line[i], answer);
        item->answer = answer[0] - 'A';
    }
    return *n ? LAC_OK : lac_fail(err, LAC_ERR_DATA, "%s holds no question", path);
}

/* Is name among the comma-separated names? */
static bool listed(const char *names, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += n)
        if ((at == names || at[-1] == ',') && (at[n] == ',' || at[n] == '\0')) return true;
    return false;
}

static lac_status check_names(const char *names, lac_err *err)
{
    for (const char *at = names; *at;) {
        size_t n = strcspn(at, ",");
        bool known = false;
        for (int s = 0; s < LAC_MMLU_SUBJECTS; s++)
            known |= strlen(subject_table[s].name) == n && memcmp(subject_table[s].name, at, n) == 0;
        if (!known)
            return lac_fail(err, LAC_ERR_USAGE, "--subjects: MMLU has no subject \"%.*s\"; names are as in its files, "
                            "like college_biology,virology", (int)n, at);
        at += n + (at[n] == ',');
    }
    return LAC_OK;
}

static lac_status subject_load(lac_mmlu_subject *s, const char *path, const char *split, int shots, int limit,
                               lac_arena *arena, lac_err *err)
{
    char *file = lac_printf(arena, err, "%s/%s/%s_%s.csv", path, split, s->name, split);
    char *dev = lac_printf(arena, err, "%s/dev/%s_dev.csv", path, s->name);
    if (!file || !dev) return LAC_ERR_MEMORY;
    lac_status status = items_load(&s->item, &s->n_items, file, (size_t)limit, arena, err);
    if (!status && shots) status = items_load(&s->shot, &s->n_shots, dev, (size_t)shots, arena, err);
    if (!status && s->n_shots < (size_t)shots)
        status = lac_fail(err, LAC_ERR_DATA, "%s has %zu examples, %d are wanted: ask for fewer --shots", dev,
                          s->n_shots, shots);
    return status;
}

lac_status lac_mmlu_load(lac_mmlu *data, const char *path, const char *split, const char *subjects, int shots,
                         int limit, lac_arena *arena, lac_err *err)
{
    *data = (lac_mmlu){.subject = LAC_NEW(arena, lac_mmlu_subject, LAC_MMLU_SUBJECTS, err)};
    if (!data->subject) return LAC_ERR_MEMORY;
    lac_status status = subjects ? check_names(subjects, err) : LAC_OK;
    for (int i = 0; i < LAC_MMLU_SUBJECTS && !status; i++) {
        const char *name = subject_table[i].name;
        char *file = lac_printf(arena, err, "%s/%s/%s_%s.csv", path, split, name, split);
        if (!file) return LAC_ERR_MEMORY;
        if (subjects ? !listed(subjects, name) : !lac_path_exists(file)) continue;
        lac_mmlu_subject *s = &data->subject[data->n_subjects++];
        *s = (lac_mmlu_subject){.name = name, .group = subject_table[i].group};
        status = subject_load(s, path, split, shots, limit, arena, err);
        data->n_items += s->n_items;
    }
    if (!status && data->n_subjects == 0)
        status = lac_fail(err, LAC_ERR_FILE,
                          "%s holds no MMLU split \"%s\": files are looked for as %s/%s/anatomy_%s.csv", path, split, path,
                          split, split);
    return status;
}

void lac_mmlu_through_pandas(lac_mmlu *data)
{
    for (size_t k = 0; k < data->n_subjects; k++)
        for (int part = 0; part < 2; part++) {
            const lac_mmlu_subject *s = &data->subject[k];
            lac_mmlu_item *item = part ? s->shot : s->item;
            for (size_t i = 0; i < (part ? s->n_shots : s->n_items); i++) {
                item[i].raw_question = lac_through_pandas(item[i].raw_question);
                item[i].question = lac_through_pandas(item[i].question);
                for (int c = 0; c < LAC_MMLU_CHOICES; c++) item[i].choice[c] = lac_through_pandas(item[i].choice[c]);
            }
        }
}

/* ---- prompts --------------------------------------------------------------------------------------------------- */

static char *question_text(const lac_mmlu_item *q, lac_mmlu_style style, lac_arena *arena, lac_err *err)
{
    if (style == LAC_MMLU_CONTINUATION) return lac_printf(arena, err, "Question: %s\nAnswer:", q->question);
    return lac_printf(arena, err, "%s\nA. %s\nB. %s\nC. %s\nD. %s\nAnswer:",
                      style_table[style].raw ? q->raw_question : q->question, q->choice[0], q->choice[1], q->choice[2],
                      q->choice[3]);
}

char *lac_mmlu_continuation(const lac_mmlu_item *item, int c, lac_mmlu_style style, lac_arena *arena, lac_err *err)
{
    if (style == LAC_MMLU_CONTINUATION) return lac_printf(arena, err, " %s", item->choice[c]);
    return lac_printf(arena, err, " %c", 'A' + c);
}

/* The style's first line, with the subject's words in it. */
static char *head_text(const char *subject, lac_mmlu_style style, lac_arena *arena, lac_err *err)
{
    const char *head = style_table[style].head, *place = strstr(head, "%s");
    char *name = lac_strdup(arena, subject, err);
    for (char *c = name; c && *c; c++)
        if (*c == '_') *c = ' ';
    return name ? lac_printf(arena, err, "%.*s%s%s", (int)(place - head), head, name, place + 2) : NULL;
}

char *lac_mmlu_context(const lac_mmlu_subject *subject, const lac_mmlu_item *item, lac_mmlu_style style, int shots,
                       lac_arena *arena, lac_err *err)
{
    char *text = head_text(subject->name, style, arena, err);
    for (int i = 0; i < shots && text; i++) {
        const lac_mmlu_item *shot = &subject->shot[i];
        char *question = question_text(shot, style, arena, err);
        char *answer = lac_mmlu_continuation(shot, shot->answer, style, arena, err);
        text = question && answer ? lac_printf(arena, err, "%s%s%s\n\n", text, question, answer) : NULL;
    }
    char *question = question_text(item, style, arena, err);
    return text && question ? lac_printf(arena, err, "%s%s", text, question) : NULL;
}

/* ---- scoring --------------------------------------------------------------------------------------------------- */

typedef struct {
    const lac_mmlu_subject *subject;
    const lac_mmlu_opts *opts;
    const lac_question *questions;
    unsigned char *right, *right_norm;
    size_t done_before;
} scoring;

static lac_status put_item(scoring *s, size_t index, const double *logp, int pick, int pick_norm, lac_err *err)
{
    cJSON *line = cJSON_CreateObject(), *all = cJSON_AddArrayToObject(line, "loglikelihoods");
    cJSON_AddStringToObject(line, "subject", s->subject->name);
    cJSON_AddNumberToObject(line, "index", (double)index);
    for (int c = 0; c < LAC_MMLU_CHOICES; c++) cJSON_AddItemToArray(all, lac_json_number(logp[c]));
    cJSON_AddNumberToObject(line, "pick", pick);
    if (s->opts->style == LAC_MMLU_CONTINUATION) cJSON_AddNumberToObject(line, "pick_norm", pick_norm);
    cJSON_AddNumberToObject(line, "answer", s->subject->item[index].answer);
    return lac_items_put(s->opts->items, s->done_before + index, line, err);
}

static lac_status scored(void *data, size_t first, size_t n, lac_err *err)
{
    scoring *s = data;
    lac_status status = LAC_OK;
    for (size_t i = first; i < first + n && !status; i++) {
        const lac_mmlu_item *item = &s->subject->item[i];
        double logp[LAC_MMLU_CHOICES], norm[LAC_MMLU_CHOICES];
        for (int c = 0; c < LAC_MMLU_CHOICES; c++) {
            const lac_choice *choice = &s->questions[i].choice[c];
            bool unseen = s->opts->style == LAC_MMLU_HENDRYCKS && choice->first_rank > LIKELIEST;
            logp[c] = unseen ? -100 : choice->logp;
            norm[c] = logp[c] / (s->opts->style == LAC_MMLU_CONTINUATION ? lac_characters(item->choice[c]) : 1);
        }
        int pick = lac_argmax(logp, LAC_MMLU_CHOICES), pick_norm = lac_argmax(norm, LAC_MMLU_CHOICES);
        s->right[i] = pick == item->answer;
        s->right_norm[i] = pick_norm == item->answer;
        status = put_item(s, i, logp, pick, pick_norm, err);
    }
    if (s->opts->progress) lac_progress_set(s->opts->progress, (double)(s->done_before + first + n), s->subject->name);
    return status;
}

static lac_status encode_item(lac_question *q, const lac_mmlu_subject *s, const lac_mmlu_item *item,
                              const lac_model *model, const lac_mmlu_opts *opts, lac_arena *arena, lac_err *err)
{
    char *context = lac_mmlu_context(s, item, opts->style, opts->shots, arena, err);
    if (!context) return LAC_ERR_MEMORY;
    for (int c = 0; c < LAC_MMLU_CHOICES; c++) {
        char *continuation = lac_mmlu_continuation(item, c, opts->style, arena, err);
        if (!continuation || lac_choice_encode(&q->choice[c], model->tokenizer, context, continuation,
                                               model->config.context, arena, err))
            return err->code;
    }
    return LAC_OK;
}

/* The older styles: the prompt alone, with as many examples as leave it short enough, and behind it the last token of
 * " A" and the others. */
static lac_status encode_raw(lac_question *q, const lac_mmlu_subject *s, const lac_mmlu_item *item,
                             const lac_model *model, const lac_mmlu_opts *opts, lac_arena *arena, lac_err *err)
{
    size_t most = model->config.context < MOST_TOKENS ? (size_t)model->config.context : MOST_TOKENS;
    lac_ids prompt = {0};
    for (int shots = opts->shots; shots >= 0; shots--) {
        char *context = lac_mmlu_context(s, item, opts->style, shots, arena, err);
        if (!context || lac_encode(&prompt, model->tokenizer, context, strlen(context), true, arena, err))
            return err->code;
        if (prompt.n <= most) break;
    }
    size_t cut = prompt.n > most ? prompt.n - most : 0, n = prompt.n - cut;
    for (int c = 0; c < LAC_MMLU_CHOICES; c++) {
        char letter[] = {' ', (char)('A' + c), '\0'};
        lac_ids ids;
        int *all = LAC_NEW(arena, int, n + 1, err);
        if (!all || lac_encode(&ids, model->tokenizer, letter, 2, false, arena, err)) return err->code;
        if (!ids.n || !n) return lac_fail(err, LAC_ERR_DATA, "the tokenizer has no token for \"%s\"", letter);
        memcpy(all, prompt.id + cut, n * sizeof *all);
        all[n] = ids.id[ids.n - 1];
        q->choice[c] = (lac_choice){.ids = all, .n = (int)n + 1, .n_scored = 1};
    }
    return LAC_OK;
}

static lac_status encode_subject(lac_question *questions, const lac_mmlu_subject *s, const lac_model *model,
                                 const lac_mmlu_opts *opts, lac_arena *arena, lac_err *err)
{
    for (size_t i = 0; i < s->n_items; i++) {
        questions[i].choice = LAC_NEW(arena, lac_choice, LAC_MMLU_CHOICES, err);
        questions[i].n_choices = LAC_MMLU_CHOICES;
        if (!questions[i].choice) return LAC_ERR_MEMORY;
        lac_status status = (style_table[opts->style].raw ? encode_raw : encode_item)(&questions[i], s, &s->item[i], model,
                                                                                     opts, arena, err);
        if (status) return status;
    }
    return LAC_OK;
}

/* What an earlier run has scored already; returns how many. */
static size_t recall(scoring *s)
{
    size_t n = 0;
    for (const cJSON *old; n < s->subject->n_items && (old = lac_items_old(s->opts->items, s->done_before + n)); n++) {
        const cJSON *pick = cJSON_GetObjectItemCaseSensitive(old, "pick");
        const cJSON *norm = cJSON_GetObjectItemCaseSensitive(old, "pick_norm");
        s->right[n] = cJSON_IsNumber(pick) && pick->valueint == s->subject->item[n].answer;
        s->right_norm[n] = cJSON_IsNumber(norm) ? norm->valueint == s->subject->item[n].answer : s->right[n];
    }
    return n;
}

static lac_status run_subject(lac_accuracy *score, const lac_mmlu_subject *subject, size_t done_before, lac_run *run,
                              const lac_model *model, const lac_mmlu_opts *opts, lac_arena *arena, lac_err *err)
{
    lac_question *questions = LAC_NEW(arena, lac_question, subject->n_items, err);
    scoring s = {.subject = subject,
                 .opts = opts,
                 .questions = questions,
                 .right = LAC_NEW(arena, unsigned char, subject->n_items, err),
                 .right_norm = LAC_NEW(arena, unsigned char, subject->n_items, err),
                 .done_before = done_before};
    if (!questions || !s.right || !s.right_norm) return LAC_ERR_MEMORY;
    lac_choices_opts choices = {
        .max_rows = opts->max_rows, .n_known = recall(&s), .scored = scored, .data = &s};
    lac_status status = encode_subject(questions, subject, model, opts, arena, err);
    if (!status) status = lac_choices_score(questions, subject->n_items, run, model, &choices, err);
    if (!status) *score = lac_accuracy_mean(s.right, s.right_norm, subject->n_items);
    return status;
}

lac_status lac_mmlu_run(lac_mmlu_scores *scores, const lac_mmlu *data, lac_run *run, const lac_model *model,
                        const lac_mmlu_opts *opts, lac_arena *arena, lac_err *err)
{
    *scores = (lac_mmlu_scores){.style = opts->style, .subject = LAC_NEW(arena, lac_accuracy, data->n_subjects, err)};
    lac_accuracy *some = LAC_NEW(arena, lac_accuracy, data->n_subjects, err);
    if (!scores->subject || !some) return LAC_ERR_MEMORY;
    if (!model->tokenizer)
        return lac_fail(err, LAC_ERR_DATA, "%s has no tokenizer: put its tokenizer.json there",
                        model->path ? model->path : "the model");
    lac_arena scratch = {0};
    lac_status status = LAC_OK;
    size_t done = 0;
    for (size_t i = 0; i < data->n_subjects && !status; i++) {
        status = run_subject(&scores->subject[i], &data->subject[i], done, run, model, opts, &scratch, err);
        done += data->subject[i].n_items;
        lac_arena_reset(&scratch);
    }
    lac_arena_release(&scratch);
    if (status) return status;
    for (int g = 0; g < LAC_MMLU_GROUPS; g++) {
        size_t n = 0;
        for (size_t i = 0; i < data->n_subjects; i++)
            if ((int)data->subject[i].group == g) some[n++] = scores->subject[i];
        scores->group[g] = lac_accuracy_pool(some, n);
    }
    scores->micro = lac_accuracy_pool(scores->subject, data->n_subjects);
    scores->macro = lac_accuracy_macro(scores->subject, data->n_subjects);
    return LAC_OK;
}
