/* MMLU's questions: files, prompts, and the log-probabilities of their choices.  Means are in
 * mmlu_scores.c.
 *
 * The texts are those of lm_eval/tasks/mmlu/{default,continuation}: description, question.strip(),
 * target delimiter " ", few-shot delimiter "\n\n", examples the first of dev. */
#include "score/suites/mmlu.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json_out.h"
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
    int pick, pick_norm;
} mmlu_picks;

typedef struct {
    dele_mmlu data;
    dele_mmlu_style style;
    int shots;
    const char *split;
    dele_mmlu_scores scores;
    mmlu_picks *picked;             /* [n_items] */
    dele_question *questions;       /* of the subject being scored */
    double logp[DELE_MMLU_CHOICES]; /* of the item being scored */
} mmlu_state;

static const dele_mmlu_subject *subject_of(const dele_scoring *s)
{
    const mmlu_state *st = s->state;
    return &st->data.subject[s->at];
}

static dele_status mmlu_item(dele_scoring *s, size_t i, dele_err *err)
{
    (void)err;
    mmlu_state *st = s->state;
    const dele_mmlu_item *item = &subject_of(s)->item[i];
    double norm[DELE_MMLU_CHOICES];
    for (int c = 0; c < DELE_MMLU_CHOICES; c++) {
        const dele_choice *choice = &st->questions[i].choice[c];
        bool unseen = st->style == DELE_MMLU_HENDRYCKS && choice->first_rank > LIKELIEST;
        st->logp[c] = unseen ? -100 : choice->logp;
        norm[c] = st->logp[c] /
                  (st->style == DELE_MMLU_CONTINUATION ? dele_characters(item->choice[c]) : 1);
    }
    st->picked[s->before + i] = (mmlu_picks){dele_argmax(st->logp, DELE_MMLU_CHOICES),
                                             dele_argmax(norm, DELE_MMLU_CHOICES)};
    return DELE_OK;
}

static void mmlu_line(dele_items_line *line, dele_scoring *s, size_t i)
{
    mmlu_state *st = s->state;
    mmlu_picks *picked = &st->picked[s->before + i];
    dele_key_text(line, "subject", subject_of(s)->name);
    dele_key_number(line, "index", (double)i);
    dele_line_numbers(line, "loglikelihoods", st->logp, DELE_MMLU_CHOICES);
    dele_line_whole(line, "pick", &picked->pick, 0, DELE_MMLU_CHOICES - 1);
    if (st->style == DELE_MMLU_CONTINUATION)
        dele_line_whole(line, "pick_norm", &picked->pick_norm, 0, DELE_MMLU_CHOICES - 1);
    dele_key_number(line, "answer", subject_of(s)->item[i].answer);
}

static dele_status encode_prompts(dele_question *q, const dele_mmlu_subject *s,
                                  const dele_mmlu_item *item, const mmlu_state *st,
                                  const dele_model *model, dele_arena *arena, dele_err *err)
{
    char *context = dele_mmlu_context(s, item, st->style, st->shots, arena, err);
    if (!context) return DELE_ERR_MEMORY;
    for (int c = 0; c < DELE_MMLU_CHOICES; c++) {
        char *continuation = dele_mmlu_continuation(item, c, st->style, arena, err);
        if (!continuation || dele_choice_encode(&q->choice[c], model->tokenizer, context,
                                                continuation, model->config.context, arena, err))
            return err->code;
    }
    return DELE_OK;
}

/* The older styles: the prompt, with as many examples as fit, followed by the last token of " A"
 * and of the others. */
static dele_status encode_raw(dele_question *q, const dele_mmlu_subject *s,
                              const dele_mmlu_item *item, const mmlu_state *st,
                              const dele_model *model, dele_arena *arena, dele_err *err)
{
    size_t most = model->config.context < MOST_TOKENS ? (size_t)model->config.context : MOST_TOKENS;
    dele_ids prompt = {0};
    for (int shots = st->shots; shots >= 0; shots--) {
        char *context = dele_mmlu_context(s, item, st->style, shots, arena, err);
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

/* Encodes the subject's questions, and scores those that are not known. */
static dele_status mmlu_score(dele_scoring *s, dele_err *err)
{
    mmlu_state *st = s->state;
    const dele_mmlu_subject *subject = subject_of(s);
    dele_arena *arena = &s->part_arena;
    st->questions = DELE_NEW(arena, dele_question, subject->n_items, err);
    if (!st->questions) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < subject->n_items; i++) {
        dele_question *q = &st->questions[i];
        q->choice = DELE_NEW(arena, dele_choice, DELE_MMLU_CHOICES, err);
        q->n_choices = DELE_MMLU_CHOICES;
        if (!q->choice || (style_table[st->style].raw ? encode_raw : encode_prompts)(
                              q, subject, &subject->item[i], st, s->model, arena, err))
            return err->code;
    }
    return dele_score_questions(s, st->questions, err);
}

/* The subject's accuracy.  Only the style continuation tells the two picks apart. */
static dele_status subject_accuracy(dele_accuracy *accuracy, const dele_mmlu_subject *subject,
                                    const mmlu_picks *picked, bool norm, dele_arena *scratch,
                                    dele_err *err)
{
    const size_t n = subject->n_items;
    unsigned char *right = DELE_NEW(scratch, unsigned char, 2 * n, err), *right_norm = right + n;
    if (!right) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        right[i] = picked[i].pick == subject->item[i].answer;
        right_norm[i] = (norm ? picked[i].pick_norm : picked[i].pick) == subject->item[i].answer;
    }
    *accuracy = dele_accuracy_mean(right, right_norm, n);
    return DELE_OK;
}

static dele_status mmlu_total(dele_scoring *s, dele_err *err)
{
    mmlu_state *st = s->state;
    const dele_mmlu *data = &st->data;
    dele_mmlu_scores *scores = &st->scores;
    const mmlu_picks *picked = st->picked;
    dele_accuracy *some = DELE_NEW(s->arena, dele_accuracy, data->n_subjects, err);
    if (!some) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < data->n_subjects; picked += data->subject[i++].n_items)
        if (subject_accuracy(&scores->subject[i], &data->subject[i], picked,
                             st->style == DELE_MMLU_CONTINUATION, s->arena, err))
            return err->code;
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

/* Room for the scores, and a part for each subject. */
static dele_status mmlu_reserve(dele_scoring *s, dele_err *err)
{
    mmlu_state *st = s->state;
    const dele_mmlu *data = &st->data;
    dele_suite_part *part = DELE_NEW(s->arena, dele_suite_part, data->n_subjects, err);
    st->picked = DELE_NEW(s->arena, mmlu_picks, data->n_items, err);
    st->scores = (dele_mmlu_scores){
        .style = st->style, .subject = DELE_NEW(s->arena, dele_accuracy, data->n_subjects, err)};
    if (!part || !st->picked || !st->scores.subject) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < data->n_subjects; i++)
        part[i] = (dele_suite_part){data->subject[i].name, data->subject[i].n_items};
    s->part = part;
    s->n_parts = data->n_subjects;
    s->scores = &st->scores;
    return DELE_OK;
}

dele_status dele_mmlu_run(dele_mmlu_scores *scores, const dele_mmlu *data, dele_mmlu_style style,
                          int shots, dele_run *run, const dele_model *model, dele_arena *arena,
                          dele_err *err)
{
    mmlu_state st = {.data = *data, .style = style, .shots = shots};
    dele_scoring s = {
        .suite = &dele_suite_mmlu, .model = model, .run = run, .arena = arena, .state = &st};
    if (!dele_suite_check(&s, err) && !mmlu_reserve(&s, err) && !dele_suite_score(&s, err))
        *scores = st.scores;
    return err->code;
}

/* ---- the suite ------------------------------------------------------------------------------- */

static const char *mmlu_split(const dele_suite_opts *o) { return o->split ? o->split : "val"; }

static dele_status parse_style(dele_mmlu_style *style, int *shots, const dele_suite_opts *o,
                               dele_err *err)
{
    if (dele_mmlu_parse_style(style, o->style ? o->style : "harness", err)) return err->code;
    *shots = o->shots < 0 ? style_table[*style].shots : o->shots;
    return DELE_OK;
}

/* The split's directory, and dev's where examples come from it. */
static dele_status mmlu_inputs(const char *path[2], const dele_suite_opts *o, dele_arena *arena,
                               dele_err *err)
{
    dele_mmlu_style style;
    int shots = 0;
    if (parse_style(&style, &shots, o, err)) return err->code;
    path[0] = dele_printf(arena, err, "%s/%s", o->data, mmlu_split(o));
    path[1] = shots > 0 ? dele_printf(arena, err, "%s/dev", o->data) : NULL;
    return err->code;
}

static dele_status mmlu_load(dele_scoring *s, dele_err *err)
{
    const dele_suite_opts *o = s->opts;
    mmlu_state *st = s->state = DELE_NEW(s->arena, mmlu_state, 1, err);
    if (!st || dele_suite_only_compat(s, "pandas", err) ||
        parse_style(&st->style, &st->shots, o, err))
        return err->code;
    st->split = mmlu_split(o);
    if (st->shots > 5)
        return dele_fail(err, DELE_ERR_USAGE, "--shots %d: MMLU's dev split has 0 to 5", o->shots);
    if (o->compat && !style_table[st->style].raw)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--compat pandas belongs to the styles hendrycks and open-instruct; the "
                         "harness reads no CSV");
    if (dele_mmlu_load(&st->data, o->data, st->split, o->subjects, st->shots, o->limit, s->arena,
                       err))
        return err->code;
    if (o->compat) dele_mmlu_through_pandas(&st->data);
    return mmlu_reserve(s, err);
}

static void mmlu_json(cJSON *json, const dele_scoring *s)
{
    const mmlu_state *st = s->state;
    cJSON_AddStringToObject(json, "split", st->split);
    cJSON_AddStringToObject(json, "style", dele_mmlu_style_name(st->style));
    if (s->opts->compat) cJSON_AddStringToObject(json, "compat", s->opts->compat);
    cJSON_AddNumberToObject(json, "shots", st->shots);
    dele_mmlu_json(json, &st->scores, &st->data);
}

static size_t mmlu_tables(dele_table *table, const dele_scoring *s)
{
    const mmlu_state *st = s->state;
    dele_mmlu_table(table, &st->scores, &st->data);
    return 1;
}

const dele_suite dele_suite_mmlu = {.name = "mmlu",
                                    .data = "directory of dev/ val/ test/",
                                    .unit = "questions",
                                    .options = {"split", "style", "shots", "subjects", "compat"},
                                    .item_id = {"subject", "index"},
                                    .inputs = mmlu_inputs,
                                    .load = mmlu_load,
                                    .score = mmlu_score,
                                    .item = mmlu_item,
                                    .line = mmlu_line,
                                    .total = mmlu_total,
                                    .json = mmlu_json,
                                    .tables = mmlu_tables};
