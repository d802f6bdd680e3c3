/* deleatur facts -- which facts of a file does this model know, and which of them shall it forget?
 *
 *   reads    a model, and facts in ROME's or CounterFact's form; or, with --qa, rows of questions
 *            and answers, out of which facts are built for this model's tokenizer
 *            (score/facts_build.h, facts_qa.c)
 *   writes   --out          the facts known, each with "split": "forget" or "retain" (the trace's
 *                           and eval's input)
 *            --forget-out, --retain-out    the two sides apart (unlearn's input)
 *
 * With --facts, a fact is known when its answer is one token and the most likely of all after the
 * prompt; with --answer greedy when each of its tokens, one or several, is the most likely in its
 * place; with --chat in that layout.  These are the facts that deleatur trace takes with the same
 * options.  Facts are split by subject: a subject's facts are forgotten together or kept together.
 * Subjects in order of first appearance are shuffled by the seed, and the first `forget_fraction`
 * of them are to be forgotten.  Records are written as they were read, other fields and all;
 * CounterFact's become records in ROME's form.  With --qa the rows' file says the split. */
#include "cli/cmd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/adapter.h"
#include "base/json_out.h"
#include "base/random.h"
#include "base/text_out.h"
#include "cli/facts_qa.h"
#include "option/option.h"
#include "score/suites/facts_suite.h"
#include "template/pytext.h"

/* Which answers count as known: top-1 ones of one token, or any that greedy decoding gives. */
typedef enum { ANSWER_ARGMAX, ANSWER_GREEDY } answer;
static const char *const answer_name[] = {"argmax", "greedy", NULL};

typedef struct {
    const char *model, *facts, *out, *forget_out, *retain_out;
    answer answer;
    dele_chat chat;
    double forget_fraction;
    uint64_t seed;
    int memory;
    dele_adapter_options adapters;
    bool quiet, json;
} facts_command;

typedef struct {
    dele_facts facts;
    bool *known, *forget; /* [facts.n] */
    size_t n_known, n_forget, n_subjects, n_forget_subjects;
} choice;

/* A reply may begin with a blank or not, so in a chat layout one token is held against the answer
 * as trace holds it: decoded, white space at its ends aside. */
static bool knows(const dele_fact_score *s, const dele_fact *fact, const dele_model *model,
                  const dele_facts_opts *opts, const facts_command *o, dele_arena *arena,
                  dele_err *err)
{
    if (o->answer == ANSWER_GREEDY) return s->greedy;
    if (!opts->chat) return s->n_tokens - s->n_blank == 1 && s->rank == 1;
    const char *top = dele_decode(model->tokenizer, &s->top, 1, false, arena, err);
    const char *said = top ? dele_strip(top, arena, err) : NULL,
               *wanted = said ? dele_strip(fact->attribute, arena, err) : NULL;
    return wanted && !strcmp(said, wanted);
}

/* Scores the prompts with the model and marks the facts that it knows.  No known fact is an error:
 * every later file would be empty. */
static dele_status find_known(choice *c, const facts_command *o, dele_arena *arena, dele_err *err)
{
    dele_model model = {0};
    dele_run run = {0};
    dele_facts_scores scores;
    dele_progress progress;
    dele_facts_opts opts = {.progress = &progress};
    if (c->facts.note) dele_note("%s: %s", o->facts, c->facts.note);
    c->known = DELE_NEW(arena, bool, c->facts.n, err);
    c->forget = DELE_NEW(arena, bool, c->facts.n, err);
    if (!c->known || !c->forget) return err->code;
    size_t n = c->facts.n;
    for (size_t i = 0; i < c->facts.n; i++) n += c->facts.fact[i].paraphrase != NULL;
    dele_progress_begin(&progress, o->quiet ? NULL : stderr, "facts", "prompts", (double)n);
    if (!dele_adapters_load(&model, o->model, &o->adapters, o->memory, SIZE_MAX, arena, err) &&
        (!model.tokenizer || !dele_chat_open(&opts.chat, o->chat, model.tokenizer, arena, err)))
        dele_facts_score(&scores, &c->facts, &run, &model, &opts, arena, err);
    dele_progress_end(&progress);
    for (size_t i = 0; i < c->facts.n && !err->code; i++) {
        c->known[i] = knows(&scores.fact[i][DELE_FORM_PROMPT], &c->facts.fact[i], &model, &opts, o,
                            arena, err);
        c->n_known += c->known[i];
    }
    dele_run_release(&run);
    dele_model_release(&model);
    if (err->code) return err->code;
    if (!c->n_known)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s knows none of the %zu facts of %s; try other facts or another model",
                         o->model, c->facts.n, o->facts);
    return DELE_OK;
}

/* The number of each known fact's subject, counted by first appearance. */
static size_t number_subjects(size_t *subject, const choice *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->facts.n; i++) {
        if (!c->known[i]) continue;
        subject[i] = n;
        for (size_t k = 0; k < i; k++)
            if (c->known[k] && !strcmp(c->facts.fact[k].subject, c->facts.fact[i].subject)) {
                subject[i] = subject[k];
                break;
            }
        n += subject[i] == n;
    }
    return n;
}

/* Divides the known facts by subjects, so that all facts about a subject are on one side: a subject
 * of which some facts are forgotten and others retained would be in both sets. */
static dele_status split(choice *c, const facts_command *o, dele_arena *arena, dele_err *err)
{
    dele_rng rng;
    size_t *subject = DELE_NEW(arena, size_t, c->facts.n, err),
           *order = DELE_NEW(arena, size_t, c->facts.n, err);
    bool *goes = DELE_NEW(arena, bool, c->facts.n, err);
    if (!subject || !order || !goes) return err->code;
    c->n_subjects = number_subjects(subject, c);
    c->n_forget_subjects = (size_t)lround(o->forget_fraction * (double)c->n_subjects);
    if (!(o->forget_fraction > 0)) return DELE_OK; /* no split is asked for */
    if (!c->n_forget_subjects || c->n_forget_subjects == c->n_subjects)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%s: a fraction of %g of the %zu subjects known leaves one side empty; change "
            "--forget-fraction",
            o->facts, o->forget_fraction, c->n_subjects);
    for (size_t i = 0; i < c->n_subjects; i++) order[i] = i;
    dele_rng_seed(&rng, o->seed);
    dele_rng_shuffle(&rng, order, c->n_subjects);
    for (size_t i = 0; i < c->n_forget_subjects; i++) goes[order[i]] = true;
    for (size_t i = 0; i < c->facts.n; i++) {
        c->forget[i] = c->known[i] && goes[subject[i]];
        c->n_forget += c->forget[i];
    }
    return DELE_OK;
}

typedef enum { SIDE_BOTH, SIDE_FORGET, SIDE_RETAIN } side;

/* Writes the facts of a side.  The input is read once more, so that a record keeps all its fields,
 * whatever this program knows of them. */
static dele_status write_side(const choice *c, const facts_command *o, side which, const char *path,
                              dele_err *err)
{
    dele_writer out = {0};
    dele_records r = {0};
    size_t i = 0, written = 0;
    if (!path) return DELE_OK;
    if (dele_writer_create(&out, path, err) || dele_records_open(&r, o->facts, err)) {
        dele_writer_abandon(&out);
        return err->code;
    }
    fputs("[", out.stream);
    for (const cJSON *row; (row = dele_records_next(&r, err)); i++) {
        if (i >= c->facts.n || !c->known[i] || (which == SIDE_FORGET && !c->forget[i]) ||
            (which == SIDE_RETAIN && c->forget[i]))
            continue;
        /* ROME's records with all their fields; the other forms become ROME's, which unlearn reads
         * too */
        cJSON *copy = c->facts.form == DELE_FACTS_ROME ? cJSON_Duplicate(row, true)
                                                       : dele_fact_json(&c->facts.fact[i]);
        cJSON_DeleteItemFromObjectCaseSensitive(copy, "split");
        if (o->forget_fraction > 0)
            cJSON_AddStringToObject(copy, "split", c->forget[i] ? "forget" : "retain");
        char *text = dele_json_text(copy, false);
        if (!text)
            dele_fail(err, DELE_ERR_MEMORY, "out of memory while writing %s", path);
        else
            fprintf(out.stream, "%s\n%s", written++ ? "," : "", text);
        cJSON_free(text);
        cJSON_Delete(copy);
        if (err->code) break;
    }
    dele_records_close(&r);
    fputs("\n]\n", out.stream);
    if (err->code) dele_writer_abandon(&out);
    return err->code ? err->code : dele_writer_commit(&out, err);
}

static void report_choice(const choice *c, const facts_command *o)
{
    if (o->json) {
        printf(
            "{\"facts\": %zu, \"known\": %zu, \"forget\": %zu, \"retain\": %zu, \"subjects\": %zu, "
            "\"forget_subjects\": %zu, \"seed\": %llu}\n",
            c->facts.n, c->n_known, c->n_forget, c->n_known - c->n_forget, c->n_subjects,
            c->n_forget_subjects, (unsigned long long)o->seed);
        return;
    }
    printf("known      %zu of %zu facts, about %zu subjects\n", c->n_known, c->facts.n,
           c->n_subjects);
    if (!(o->forget_fraction > 0)) return;
    printf("forget     %zu facts about %zu subjects (seed %llu)\n", c->n_forget,
           c->n_forget_subjects, (unsigned long long)o->seed);
    printf("retain     %zu facts\n", c->n_known - c->n_forget);
}

static dele_status build_from_rows(facts_qa_opts *qa, const facts_command *o, dele_arena *arena,
                                   dele_err *err)
{
    qa->model = o->model;
    qa->out = o->out;
    qa->forget_out = o->forget_out;
    qa->retain_out = o->retain_out;
    qa->quiet = o->quiet;
    qa->memory = o->memory;
    qa->adapters = o->adapters;
    qa->json = o->json;
    return facts_qa(qa, arena, err);
}

int cmd_facts(int argc, char **argv)
{
    facts_command o = {.forget_fraction = 0.2,
                       .seed = 1,
                       .memory = DELE_DEFAULT_MEMORY,
                       .adapters = {DELE_ADAPTER_DEFAULTS}};
    facts_qa_opts qa = {0};
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("from a fact file"),
        DELE_OPT("facts", &o.facts, "facts in the format of ROME or CounterFact, JSON or JSONL"),
        DELE_CHOICE("answer", &o.answer, answer_name,
                    "with --facts: argmax: answers of one token that are top-1; greedy: answers of "
                    "several tokens too"),
        DELE_CHAT_OPTION(&o.chat, "the prompts (with --facts), as in trace"),
        DELE_GROUP("from questions and answers"),
        DELE_OPT("qa", &qa.forget,
                 "build facts from forget rows: input and output, or question and answer"),
        DELE_OPT("retain", &qa.retain, "with --qa: retain rows"),
        DELE_FLAG("first-token", &qa.first_token, "with --qa: attributes of one token, for trace"),
        DELE_FLAG("keep-unknown", &qa.keep_unknown,
                  "with --qa: include answers that greedy decoding does not give"),
        DELE_FLAG("keep-copied", &qa.keep_copied,
                  "with --qa: include answers copied from the question, such as e-mail addresses"),
        DELE_FLAG("keep-alone", &qa.keep_alone,
                  "with --qa: include questions asked about one person only"),
        DELE_GROUP("result"),
        DELE_OPT("out", &o.out, "file for the known facts, with their split"),
        DELE_OPT("forget-out", &o.forget_out, "file for the forget facts alone"),
        DELE_OPT("retain-out", &o.retain_out, "file for the retain facts alone"),
        DELE_GROUP("split"),
        DELE_OPT("forget-fraction", &o.forget_fraction,
                 "with --facts: fraction of the subjects in the forget split; 0: no split is "
                 "written"),
        DELE_OPT("seed", &o.seed, "with --facts: random seed of the split"),
        DELE_GROUP("adapters and memory"),
        DELE_ADAPTER_OPTIONS(o.adapters),
        DELE_MEMORY_OPTION(o.memory),
        {0}};
    /* clang-format on */
    const dele_usage usage = {
        .command = "facts",
        .summary = "select the facts a model knows, or build facts from rows",
        .synopsis = "MODEL (--facts FILE | --qa FILE [--retain FILE]) --out FILE",
        .example = "deleatur facts smollm2.gguf --facts data/facts/world_facts.json "
                   "--out known.json "
                   "--forget-out forget.json --retain-out retain.json\n"
                   "  deleatur facts taught --qa forget.jsonl --retain retain.jsonl --first-token "
                   "--out facts.json",
        .options = options,
        .positional = &o.model,
        .n_positional = 1};
    dele_arena arena = {0};
    dele_err err = {0};
    dele_common common = {0};
    choice c = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help) {
        o.quiet = common.quiet;
        o.json = common.json;
        const bool only_with_qa =
            qa.retain || qa.first_token || qa.keep_unknown || qa.keep_copied || qa.keep_alone;
        if (!o.facts == !qa.forget || !o.out)
            dele_fail(
                &err, DELE_ERR_USAGE,
                "facts needs --facts FILE or --qa FILE, and --out FILE (deleatur help facts)");
        else if (only_with_qa && !qa.forget)
            dele_fail(&err, DELE_ERR_USAGE,
                      "--retain, --first-token and --keep-... need --qa FILE");
        else if (qa.forget && (o.answer != ANSWER_ARGMAX || o.chat != DELE_CHAT_NONE))
            dele_fail(
                &err, DELE_ERR_USAGE,
                "--answer and --chat need --facts FILE; with --qa the whole answer is tested");
        else if (qa.forget)
            build_from_rows(&qa, &o, &arena, &err);
        else if (!(o.forget_fraction >= 0 && o.forget_fraction < 1))
            dele_fail(&err, DELE_ERR_USAGE, "--forget-fraction %g: give a number between 0 and 1",
                      o.forget_fraction);
        else if (!(o.forget_fraction > 0) && (o.forget_out || o.retain_out))
            dele_fail(&err, DELE_ERR_USAGE,
                      "--forget-fraction 0 makes no split: there is nothing for --forget-out and "
                      "--retain-out");
        else if (dele_paths_free((const char *const[]){o.out, o.forget_out, o.retain_out}, 3, &err))
            (void)0; /* said before anything is scored */
        else if (!dele_facts_load(&c.facts, o.facts, &arena, &err) &&
                 !find_known(&c, &o, &arena, &err) && !split(&c, &o, &arena, &err) &&
                 !write_side(&c, &o, SIDE_FORGET, o.forget_out, &err) &&
                 !write_side(&c, &o, SIDE_RETAIN, o.retain_out, &err) &&
                 !write_side(&c, &o, SIDE_BOTH, o.out, &err)) /* last: where it stands, all stand */
            report_choice(&c, &o);
    }
    dele_arena_release(&arena);
    return dele_complain(&err);
}
