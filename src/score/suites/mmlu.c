/* MMLU's prompts, the log-probabilities of their choices, and their means.
 *
 * The texts are those of lm_eval/tasks/mmlu/{default,continuation}: description, question.strip(),
 * target delimiter " ", few-shot delimiter "\n\n", examples the first of dev. */
#include "score/suites/mmlu.h"

#include <math.h>
#include <string.h>

#include "score/report.h"

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

/* Accuracies by subject and group, over all questions (micro) and over subjects (macro). */
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

/* Checks the options against each other before it reads the files, so that a wrong command line
 * costs no time. */
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

static void put_mmlu_scores(cJSON *json, const dele_mmlu_scores *scores, const dele_mmlu *data)
{
    bool norm = scores->style == DELE_MMLU_CONTINUATION;
    cJSON_AddNumberToObject(json, "n", (double)scores->micro.n);
    cJSON_AddItemToObject(json, "micro", dele_accuracy_json(&scores->micro, norm));
    cJSON_AddItemToObject(json, "macro", dele_accuracy_json(&scores->macro, norm));
    cJSON *groups = cJSON_AddObjectToObject(json, "groups");
    for (int g = 0; g < DELE_MMLU_GROUPS; g++)
        if (scores->group[g].n)
            cJSON_AddItemToObject(groups, dele_mmlu_group_name((dele_mmlu_group)g),
                                  dele_accuracy_json(&scores->group[g], norm));
    cJSON *subjects = cJSON_AddObjectToObject(json, "subjects");
    for (size_t i = 0; i < data->n_subjects; i++) {
        cJSON *subject = dele_accuracy_json(&scores->subject[i], norm);
        cJSON_AddStringToObject(subject, "group", dele_mmlu_group_name(data->subject[i].group));
        cJSON_AddItemToObject(subjects, data->subject[i].name, subject);
    }
}

static void mmlu_row(dele_table *t, const char *name, const dele_accuracy *s, dele_mmlu_style style)
{
    dele_table_text(t, name);
    dele_table_cell(t, "%zu", s->n);
    dele_table_real(t, "%.4f", s->acc);
    dele_table_real(t, "%.4f", s->acc_se);
    if (style == DELE_MMLU_CONTINUATION) {
        dele_table_real(t, "%.4f", s->acc_norm);
        dele_table_real(t, "%.4f", s->acc_norm_se);
    }
    dele_table_row(t);
}

static void mmlu_table(dele_table *t, const dele_mmlu_scores *scores, const dele_mmlu *data)
{
    dele_table_head(t, scores->style == DELE_MMLU_CONTINUATION
                           ? "subject\tn\tacc\tacc_stderr\tacc_norm\tacc_norm_stderr"
                           : "subject\tn\tacc\tacc_stderr");
    for (size_t i = 0; i < data->n_subjects; i++)
        mmlu_row(t, data->subject[i].name, &scores->subject[i], scores->style);
    for (int g = 0; g < DELE_MMLU_GROUPS; g++)
        if (scores->group[g].n)
            mmlu_row(t, dele_mmlu_group_name((dele_mmlu_group)g), &scores->group[g], scores->style);
    mmlu_row(t, "macro", &scores->macro, scores->style);
    mmlu_row(t, "micro", &scores->micro, scores->style);
}

static void mmlu_json(cJSON *json, const dele_scoring *s)
{
    const mmlu_state *st = s->state;
    cJSON_AddStringToObject(json, "split", st->split);
    cJSON_AddStringToObject(json, "style", dele_mmlu_style_name(st->style));
    if (s->opts->compat) cJSON_AddStringToObject(json, "compat", s->opts->compat);
    cJSON_AddNumberToObject(json, "shots", st->shots);
    put_mmlu_scores(json, &st->scores, &st->data);
}

static size_t mmlu_tables(dele_table *table, const dele_scoring *s)
{
    const mmlu_state *st = s->state;
    mmlu_table(table, &st->scores, &st->data);
    return 1;
}

const dele_suite dele_suite_mmlu = {
    .name = "mmlu",
    .data = "directory of dev/ val/ test/",
    .unit = "questions",
    .options = {"split", "style", "shots", "subjects", "compat", "decoder"},
    .item_id = {"subject", "index"},
    .inputs = mmlu_inputs,
    .load = mmlu_load,
    .score = mmlu_score,
    .item = mmlu_item,
    .line = mmlu_line,
    .total = mmlu_total,
    .json = mmlu_json,
    .tables = mmlu_tables};
