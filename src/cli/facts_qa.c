#include "cli/facts_qa.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/text_out.h"
#include "base/texts.h"
#include "score/facts_build.h"
#include "score/suites/facts_suite.h"

typedef struct {
    size_t outcome[DELE_QA_N_OUTCOMES]; /* rows, by what became of them: their sum is all rows */
    const dele_qa_row *example[DELE_QA_N_OUTCOMES]; /* the first of each */
    size_t rows[2], kept[2];                        /* to forget, to keep */
    size_t people;
} counts;

static bool is_retained(const dele_qa_row *row) { return !strcmp(row->split, "retain"); }

static dele_status count(counts *c, const dele_qa *qa, dele_arena *arena, dele_err *err)
{
    const char **subject = DELE_NEW(arena, const char *, qa->n, err);
    size_t n = 0;
    *c = (counts){0};
    if (!subject) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < qa->n; i++) {
        const dele_qa_row *row = &qa->row[i];
        if (!c->outcome[row->outcome]++) c->example[row->outcome] = row;
        c->rows[is_retained(row)]++;
        if (row->outcome != DELE_QA_KEPT) continue;
        c->kept[is_retained(row)]++;
        subject[n++] = row->fact.subject;
    }
    qsort(subject, n, sizeof *subject, dele_by_text);
    for (size_t i = 0; i < n; i++) c->people += i == 0 || strcmp(subject[i], subject[i - 1]);
    return DELE_OK;
}

static dele_status check_counts(const counts *c, const facts_qa_opts *o, dele_err *err)
{
    if (c->outcome[DELE_QA_KEPT]) return DELE_OK;
    dele_qa_outcome most = DELE_QA_NO_SUBJECT;
    for (int f = DELE_QA_NO_SUBJECT; f < DELE_QA_N_OUTCOMES; f++)
        if (c->outcome[f] > c->outcome[most]) most = (dele_qa_outcome)f;
    return dele_fail(
        err, DELE_ERR_DATA, "%s: none of the %zu rows makes a fact; %zu were left out because: %s",
        o->forget, c->rows[0] + c->rows[1], c->outcome[most], dele_qa_outcome_reason(most));
}

/* Leaves out the facts whose attribute is not the model's greedy continuation, token by token. */
static dele_status filter_known(dele_qa *qa, dele_run *run, const dele_model *model,
                                dele_progress *progress, dele_arena *arena, dele_err *err)
{
    dele_facts facts = {.fact = DELE_NEW(arena, dele_fact, qa->n + 1, err),
                        .path = "the facts built"};
    dele_facts_scores scores;
    dele_facts_opts opts = {.progress = progress};
    if (!facts.fact) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < qa->n; i++)
        if (qa->row[i].outcome == DELE_QA_KEPT) facts.fact[facts.n++] = qa->row[i].fact;
    if (facts.n == 0) return DELE_OK;
    dele_status status = dele_facts_score(&scores, &facts, run, model, &opts, arena, err);
    for (size_t i = 0; i < facts.n && !status; i++)
        if (!scores.fact[i][DELE_FORM_PROMPT].greedy)
            qa->row[facts.fact[i].id].outcome = DELE_QA_UNKNOWN;
    return status;
}

/* Facts from question-and-answer rows: their subjects, prompts and answers are found first, and
 * then the model is asked which of the answers it knows. */
static dele_status build(dele_qa *qa, const facts_qa_opts *o, dele_model *model, dele_run *run,
                         dele_arena *arena, dele_err *err)
{
    const char *const to[] = {o->out, o->forget_out, o->retain_out};
    dele_qa_opts opts = {
        .first_token = o->first_token, .keep_copied = o->keep_copied, .keep_alone = o->keep_alone};
    if (dele_paths_free(to, 3, err) || /* before anything is scored */
        dele_qa_add(qa, o->forget, "forget", arena, err) ||
        (o->retain && dele_qa_add(qa, o->retain, "retain", arena, err)) ||
        dele_adapters_load(model, o->model, &o->adapters, o->memory, SIZE_MAX, arena, err))
        return err->code;
    if (!model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s has no tokenizer: put its tokenizer.json there",
                         o->model);
    opts.context = dele_longest(&model->config);
    if (dele_qa_build(qa, model->tokenizer, &opts, arena, err) || o->keep_unknown) return err->code;
    size_t n = 0;
    for (size_t i = 0; i < qa->n; i++) n += qa->row[i].outcome == DELE_QA_KEPT;
    dele_progress progress;
    dele_progress_begin(&progress, o->quiet ? NULL : stderr, "facts", "prompts", (double)n);
    dele_status status = filter_known(qa, run, model, &progress, arena, err);
    dele_progress_end(&progress);
    return status;
}

/* The facts kept of one split, or of both where it is NULL. */
static dele_status write_facts(const dele_qa *qa, const char *split, const char *path,
                               dele_err *err)
{
    dele_writer out = {0};
    size_t written = 0;
    if (!path) return DELE_OK;
    if (dele_writer_create(&out, path, err)) return err->code;
    fputs("[", out.stream);
    for (size_t i = 0; i < qa->n && !err->code; i++) {
        const dele_qa_row *row = &qa->row[i];
        if (row->outcome != DELE_QA_KEPT || (split && strcmp(row->split, split))) continue;
        cJSON *json = dele_qa_json(row);
        char *text = json ? dele_json_text(json, false) : NULL;
        if (text)
            fprintf(out.stream, "%s\n%s", written++ ? "," : "", text);
        else
            dele_fail(err, DELE_ERR_MEMORY, "out of memory while writing %s", path);
        cJSON_free(text);
        cJSON_Delete(json);
    }
    fputs("\n]\n", out.stream);
    if (err->code) dele_writer_abandon(&out);
    return err->code ? err->code : dele_writer_commit(&out, err);
}

static void report_counts(const counts *c)
{
    printf("rows read  %6zu  %zu forget, %zu retain\n", c->rows[0] + c->rows[1], c->rows[0],
           c->rows[1]);
    printf("kept       %6zu  %zu forget, %zu retain, about %zu people\n", c->outcome[DELE_QA_KEPT],
           c->kept[0], c->kept[1], c->people);
    for (int f = DELE_QA_KEPT + 1; f < DELE_QA_N_OUTCOMES; f++)
        if (c->outcome[f])
            dele_text_line(stdout, "left out   %6zu  %s; the first: %s:%d", c->outcome[f],
                           dele_qa_outcome_reason((dele_qa_outcome)f), c->example[f]->path,
                           c->example[f]->line);
}

static void report_counts_json(const counts *c)
{
    printf("{\"rows\": %zu, \"kept\": %zu, \"forget\": %zu, \"retain\": %zu, \"subjects\": %zu, "
           "\"left_out\": {",
           c->rows[0] + c->rows[1], c->outcome[DELE_QA_KEPT], c->kept[0], c->kept[1], c->people);
    for (int f = DELE_QA_KEPT + 1; f < DELE_QA_N_OUTCOMES; f++)
        printf("%s\"%s\": %zu", f > DELE_QA_KEPT + 1 ? ", " : "",
               dele_qa_outcome_name((dele_qa_outcome)f), c->outcome[f]);
    printf("}}\n");
}

/* Says it where the people built into facts are those of known_QA_T2.json and some are labelled as
 * to be forgotten. */
static dele_status warn(const dele_qa *qa, const facts_qa_opts *o, dele_arena *arena, dele_err *err)
{
    dele_facts facts = {.fact = DELE_NEW(arena, dele_fact, qa->n, err)};
    if (!facts.fact) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < qa->n; i++)
        if (qa->row[i].outcome == DELE_QA_KEPT) facts.fact[facts.n++] = qa->row[i].fact;
    const char *note = dele_facts_note(&facts);
    if (note) dele_note("%s: %s", o->forget, note);
    return DELE_OK;
}

dele_status facts_qa(const facts_qa_opts *o, dele_arena *arena, dele_err *err)
{
    dele_qa qa = {0};
    dele_model model = {0};
    dele_run run = {0};
    counts c;
    if (!build(&qa, o, &model, &run, arena, err) && !count(&c, &qa, arena, err) &&
        !check_counts(&c, o, err) && !warn(&qa, o, arena, err) &&
        !write_facts(&qa, "forget", o->forget_out, err) &&
        !write_facts(&qa, "retain", o->retain_out, err) && !write_facts(&qa, NULL, o->out, err))
        (o->json ? report_counts_json : report_counts)(&c);
    dele_run_release(&run);
    dele_model_release(&model);
    return err->code;
}
