/* deleatur nudge -- one text by two models: a base, and a small aligned one where it is unsure.
 *
 *   reads    a base model, a nudger, and a prompt or a file of questions
 *   writes   nudge.json       sums: tokens, the nudger's share, passes, speed
 *            items.jsonl      a line an answer: its text, spans by writer, tokens with the base's
 *                             top-1 probability; appended as it is written
 *            page.html        the answers, each token marked by its writer
 *            manifest.json    (DIR.part until all is there; the same command resumes an
 *                             interrupted one)
 *   prints   an answer, the nudger's words coloured on a terminal; or the table of sums */
#include "cli/cmd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter/adapter.h"
#include "base/json_out.h"
#include "base/progress.h"
#include "base/table.h"
#include "nudge/nudge_json.h"
#include "nudge/prompt.h"
#include "option/result.h"
#include "score/set_files.h"

typedef enum { TASK_REASONING, TASK_OPEN } nudge_task;
static const char *const task_name[] = {"reasoning", "open", NULL};

/* One question of --data. */
typedef struct {
    const char *id, *context, *text;
} nudge_question;

typedef struct {
    const char *path, *with, *prompt, *data, *out, *system, *prefix, *count_with;
    nudge_task task;
    dele_chat chat, base_chat;
    dele_system_place place;
    dele_nudge_opts o;
    dele_adapter_options adapters; /* of the base */
    int memory, limit;
    dele_common common;
    dele_arena arena;
    dele_model base, nudger;
    const dele_layout *layout[2]; /* by dele_nudge_writer */
    dele_nudge *nudge;
    dele_tokenizer *counter;
    dele_result result;
    nudge_question *question; /* [n] */
    size_t n;
    cJSON *items; /* what items.jsonl has */
    dele_nudge_sum sum;
} nudge_command;

/* ---- what is asked --------------------------------------------------------------------------- */

static dele_status check_nudge(nudge_command *c, dele_err *err)
{
    if (!c->with)
        return dele_fail(err, DELE_ERR_USAGE,
                         "nudge needs --with NUDGER (deleatur nudge --help says more)");
    if (!c->prompt == !c->data)
        return dele_fail(err, DELE_ERR_USAGE,
                         "nudge: one of --prompt TEXT and --data FILE is needed");
    if (c->data && !c->out)
        return dele_fail(err, DELE_ERR_USAGE, "nudge: --data needs --out, a directory");
    if (c->limit < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--limit %d: it cannot be negative", c->limit);
    if (c->o.gamma == -1) c->o.gamma = c->o.tokens ? 0.4 : 0.3;
    if (!c->o.max_new) c->o.max_new = c->o.tokens ? 500 : 512;
    if (!c->system) c->system = c->task == TASK_OPEN ? DELE_NUDGE_SYSTEM_OPEN : DELE_NUDGE_SYSTEM;
    if (!c->prefix) c->prefix = c->task == TASK_OPEN ? DELE_NUDGE_PREFIX_OPEN : DELE_NUDGE_PREFIX;
    return DELE_OK;
}

static dele_status read_question(void *row, const dele_records *r, const cJSON *json,
                                 dele_arena *arena, dele_err *err)
{
    static const char *const names[] = {"question", "input", "instruction", "prompt"};
    nudge_question *q = row;
    const char *text = NULL, *context = dele_json_string(json, "context");
    for (size_t i = 0; i < sizeof names / sizeof *names && !text; i++)
        text = dele_json_string(json, names[i]);
    if (!text)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: there is no text \"question\", \"input\", \"instruction\" or "
                         "\"prompt\"",
                         r->path, r->line);
    q->text = dele_strdup(arena, text, err);
    q->context = dele_strdup(arena, context ? context : "", err);
    if (!q->text || !q->context) return err->code;
    return dele_row_id(&q->id, json, arena, err);
}

static dele_status read_questions(nudge_command *c, dele_err *err)
{
    if (c->data) {
        c->question = dele_rows_load(&c->n, sizeof *c->question, c->data, c->limit, read_question,
                                     &c->arena, err);
    } else if ((c->question = DELE_NEW(&c->arena, nudge_question, 1, err))) {
        c->n = 1;
        c->question[0] = (nudge_question){.context = "", .text = c->prompt};
    }
    return c->question ? DELE_OK : err->code;
}

/* The two models, one of them twice if the paths are the same and the base has no adapters, and
 * their layouts. */
static dele_status load_pair(nudge_command *c, dele_err *err)
{
    const bool one = !strcmp(c->path, c->with) && !c->adapters.list;
    const dele_model *nudger = one ? &c->base : &c->nudger;
    const size_t passes = c->n * (size_t)c->o.max_new;
    if (dele_adapters_load(&c->base, c->path, &c->adapters, c->memory, passes, &c->arena, err) ||
        (!one && dele_model_load_for(&c->nudger, c->with, c->memory, passes, &c->arena, err)))
        return err->code;
    if (!c->base.tokenizer || !nudger->tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s holds no tokenizer.json, so text cannot be read",
                         c->base.tokenizer ? c->with : c->path);
    if (dele_chat_open(&c->layout[DELE_NUDGE_BASE], c->base_chat, c->base.tokenizer, &c->arena,
                       err) ||
        dele_chat_open(&c->layout[DELE_NUDGE_NUDGER], c->chat, nudger->tokenizer, &c->arena, err))
        return err->code;
    if (c->count_with) {
        c->o.counter = c->counter = dele_tokenizer_load(c->count_with, &c->arena, err);
        if (!c->counter) return err->code;
    }
    c->nudge = dele_nudge_open(&c->base, nudger, c->layout[DELE_NUDGE_BASE],
                               c->layout[DELE_NUDGE_NUDGER], &c->o, err);
    return c->nudge ? DELE_OK : err->code;
}

/* ---- answers --------------------------------------------------------------------------------- */

static dele_status prompts_of(dele_nudge_prompt prompt[2], const nudge_command *c,
                              const nudge_question *q, dele_arena *arena, dele_err *err)
{
    const char *prefix = dele_printf(arena, err, "%s%s", q->context, c->prefix);
    for (int who = 0; who < 2; who++)
        if (!prefix || dele_nudge_prompt_of(&prompt[who], c->layout[who], c->system, c->place,
                                            prefix, q->text, arena, err))
            return err->code;
    return DELE_OK;
}

static dele_status answer(nudge_command *c, const nudge_question *q, dele_nudge_result *r,
                          dele_arena *arena, dele_err *err)
{
    dele_nudge_prompt prompt[2];
    if (prompts_of(prompt, c, q, arena, err)) return err->code;
    return dele_nudge_generate(r, c->nudge, &prompt[DELE_NUDGE_BASE], &prompt[DELE_NUDGE_NUDGER],
                               arena, err);
}

/* Says which question leaves no room for an answer, before any is answered. */
static dele_status check_questions(nudge_command *c, dele_err *err)
{
    dele_arena arena = {0};
    for (size_t i = 0; c->data && i < c->n && !err->code; i++) {
        dele_nudge_prompt prompt[2];
        dele_err own = {0};
        dele_arena_reset(&arena);
        if (prompts_of(prompt, c, &c->question[i], &arena, &own) ||
            dele_nudge_check(c->nudge, &prompt[DELE_NUDGE_BASE], &prompt[DELE_NUDGE_NUDGER], &own))
            dele_fail(err, own.code, "%s: question %zu: %s", c->data, i + 1, own.msg);
    }
    dele_arena_release(&arena);
    return err->code;
}

/* An answer's line of items.jsonl but for its spans, read back where it is resumed: into *r what
 * sums need. */
typedef struct {
    int written[2], passes[2], rows[2], questions, fetched, rounds;
} nudge_line;

static void describe(dele_items_line *line, nudge_line *x, const nudge_question *q, size_t i,
                     const dele_nudge_result *r)
{
    const int most = 1 << 30;
    dele_key_number(line, "index", (double)i);
    dele_key_text(line, "id", q->id);
    dele_key_text(line, "prompt", q->text);
    dele_line_text(line, "generated", r ? r->text : "");
    dele_line_text(line, "stop", r ? dele_nudge_stop_name[r->stop] : "");
    dele_line_whole(line, "rounds", &x->rounds, 0, most);
    dele_line_whole(line, "nudger_tokens", &x->written[DELE_NUDGE_NUDGER], 0, most);
    dele_line_whole(line, "base_tokens", &x->written[DELE_NUDGE_BASE], 0, most);
    dele_line_whole(line, "nudger_passes", &x->passes[DELE_NUDGE_NUDGER], 0, most);
    dele_line_whole(line, "base_passes", &x->passes[DELE_NUDGE_BASE], 0, most);
    dele_line_whole(line, "nudger_rows", &x->rows[DELE_NUDGE_NUDGER], 0, most);
    dele_line_whole(line, "base_rows", &x->rows[DELE_NUDGE_BASE], 0, most);
    dele_line_whole(line, "base_questions", &x->questions, 0, most);
    dele_line_whole(line, "base_fetched", &x->fetched, 0, most);
}

static nudge_line line_of(const dele_nudge_result *r)
{
    nudge_line x = {
        .questions = (int)r->base_questions, .fetched = (int)r->base_fetched, .rounds = r->rounds};
    for (int who = 0; who < 2; who++) {
        x.written[who] = (int)r->written[who];
        x.passes[who] = (int)r->passes[who];
        x.rows[who] = (int)r->rows[who];
    }
    return x;
}

static dele_nudge_result result_of(const nudge_line *x)
{
    dele_nudge_result r = {.base_questions = (size_t)x->questions,
                           .base_fetched = (size_t)x->fetched,
                           .rounds = x->rounds};
    for (int who = 0; who < 2; who++) {
        r.written[who] = (size_t)x->written[who];
        r.passes[who] = (size_t)x->passes[who];
        r.rows[who] = (size_t)x->rows[who];
    }
    return r;
}

/* Keeps a copy of the line for the page, which is the same whether the line is read back or not,
 * and writes the line. */
static dele_status keep_line(nudge_command *c, size_t i, cJSON *line, dele_err *err)
{
    cJSON *copy = line ? dele_json_as_read(line) : NULL;
    if (!copy || !cJSON_AddItemToArray(c->items, copy)) {
        cJSON_Delete(copy);
        cJSON_Delete(line);
        return dele_fail(err, DELE_ERR_MEMORY, "out of memory for an answer");
    }
    return dele_items_put(c->out ? &c->result.items : NULL, i, line, err);
}

/* Takes the answer of an earlier run, whose numbers are in x. */
static dele_status take_line(nudge_command *c, size_t i, const nudge_line *x, dele_err *err)
{
    const cJSON *line = dele_items_previous(&c->result.items, i);
    const char *stop = dele_json_string(line, "stop");
    dele_nudge_result r = result_of(x);
    int why = 0;
    while (why <= DELE_NUDGE_CONTEXT && (!stop || strcmp(stop, dele_nudge_stop_name[why]))) why++;
    if (why > DELE_NUDGE_CONTEXT)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%s:%zu: there is no reason to stop of that name; remove the unfinished result",
            c->result.items.path, i + 1);
    r.stop = (dele_nudge_stop)why;
    dele_nudge_add(&c->sum, &r);
    return keep_line(c, i, cJSON_Duplicate(line, true), err);
}

/* Answers a question, or takes the answer of an earlier run. */
static dele_status do_question(nudge_command *c, size_t i, dele_arena *arena, dele_err *err)
{
    const nudge_question *q = &c->question[i];
    nudge_line x = {.rounds = 0};
    dele_items_line line = {.n = 0};
    describe(&line, &x, q, i, NULL);
    if (c->out && dele_items_resume(&c->result.items, i, &line, err))
        return take_line(c, i, &x, err);
    dele_nudge_result r;
    if (err->code || answer(c, q, &r, arena, err)) return err->code;
    dele_nudge_add(&c->sum, &r);
    x = line_of(&r);
    line.n = 0;
    describe(&line, &x, q, i, &r);
    cJSON *json = dele_items_json(&line);
    if (!json) return dele_fail(err, DELE_ERR_MEMORY, "out of memory for an answer");
    if (dele_nudge_put_spans(json, &r, err)) {
        cJSON_Delete(json);
        return err->code;
    }
    return keep_line(c, i, json, err);
}

static dele_status do_questions(nudge_command *c, dele_err *err)
{
    dele_progress progress;
    dele_arena arena = {0};
    dele_progress_begin(&progress, c->common.quiet || !c->data ? NULL : stderr, "nudge", "answers",
                        (double)c->n);
    if (c->out) dele_progress_from(&progress, (double)c->result.items.n_old);
    for (size_t i = 0; i < c->n && !err->code; i++) {
        dele_arena_reset(&arena);
        if (!do_question(c, i, &arena, err)) dele_progress_set(&progress, (double)i + 1, NULL);
    }
    dele_progress_end(&progress);
    dele_arena_release(&arena);
    return err->code;
}

/* ---- what is shown --------------------------------------------------------------------------- */

static cJSON *sums_json(const nudge_command *c)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "base", c->path);
    cJSON_AddStringToObject(json, "nudger", c->with);
    if (c->data) cJSON_AddStringToObject(json, "data", c->data);
    cJSON_AddItemToObject(json, "gamma", dele_json_number(c->o.gamma));
    cJSON_AddStringToObject(json, "verify", dele_nudge_verify_name[c->o.verify]);
    dele_nudge_put_sum(json, &c->sum);
    return json;
}

/* An answer's text; on a terminal the nudger's words in colour, unless NO_COLOR is set. */
static void print_answer(const cJSON *item)
{
    const bool terminal = isatty(STDOUT_FILENO);
    const char *none = getenv("NO_COLOR");
    const bool coloured = terminal && !(none && *none);
    const cJSON *span;
    cJSON_ArrayForEach(span, cJSON_GetObjectItemCaseSensitive(item, "spans"))
    {
        const char *by = dele_json_string(span, "by"), *text = dele_json_string(span, "text");
        const bool marked = coloured && by && !strcmp(by, "nudger");
        if (marked) fputs("\033[1;33m", stdout);
        if (terminal)
            dele_text_put(stdout, text, DELE_TEXT_LINES);
        else if (text)
            fputs(text, stdout);
        if (marked) fputs("\033[0m", stdout);
    }
    putchar('\n');
}

/* The spans of all answers, one a line. */
static dele_status print_spans(const nudge_command *c, dele_err *err)
{
    dele_table table = {.n = 0};
    const cJSON *item, *span;
    int index = 0;
    dele_table_head(&table, "index\tround\tby\ttokens\ttext");
    cJSON_ArrayForEach(item, c->items)
    {
        cJSON_ArrayForEach(span, cJSON_GetObjectItemCaseSensitive(item, "spans"))
        {
            const cJSON *round = dele_json_get(span, "round"), *n = dele_json_get(span, "tokens");
            dele_table_cell(&table, "%d", index);
            dele_table_real(&table, "%.0f", round ? round->valuedouble : (double)NAN);
            dele_table_text(&table, dele_json_string(span, "by"));
            dele_table_real(&table, "%.0f", n ? n->valuedouble : (double)NAN);
            dele_table_text(&table, dele_json_string(span, "text"));
            dele_table_row(&table);
        }
        index++;
    }
    return dele_table_print(&table, stdout, dele_table_form_of(c->common.csv), err);
}

static dele_status print_sums(const nudge_command *c, dele_err *err)
{
    dele_table table = {.n = 0};
    const dele_nudge_sum *s = &c->sum;
    dele_table_head(&table, "answers\ttokens\tnudging_share\trounds\tbase_passes\tnudger_passes\t"
                            "tokens_per_second");
    dele_table_cell(&table, "%d", s->n);
    dele_table_real(&table, "%.0f", s->tokens);
    dele_table_real(&table, "%.4f", s->tokens > 0 ? s->nudging / s->tokens : (double)NAN);
    dele_table_real(&table, "%.0f", s->rounds);
    dele_table_real(&table, "%.0f", s->passes[DELE_NUDGE_BASE]);
    dele_table_real(&table, "%.0f", s->passes[DELE_NUDGE_NUDGER]);
    dele_table_real(&table, "%.1f", dele_nudge_speed(s));
    dele_table_row(&table);
    return dele_table_print(&table, stdout, dele_table_form_of(c->common.csv), err);
}

/* The sums; with --prompt also the answer's own fields. */
static dele_status show_nudge_json(const nudge_command *c, cJSON *sums, dele_err *err)
{
    dele_nudge_put_speed(sums, &c->sum);
    const cJSON *item, *answer_item = c->data ? NULL : cJSON_GetArrayItem(c->items, 0);
    cJSON_ArrayForEach(item, answer_item)
    {
        if (!cJSON_GetObjectItemCaseSensitive(sums, item->string))
            cJSON_AddItemToObject(sums, item->string, cJSON_Duplicate(item, true));
        else if (!strcmp(item->string, "tokens")) /* sums have a number of this name */
            cJSON_ReplaceItemInObjectCaseSensitive(sums, "tokens", cJSON_Duplicate(item, true));
    }
    return dele_json_show(sums, err);
}

/* The table of sums, of one answer its text or with --csv its spans. */
static dele_status show_nudge(const nudge_command *c, dele_err *err)
{
    if (c->data) return print_sums(c, err);
    if (c->common.csv) return print_spans(c, err);
    print_answer(cJSON_GetArrayItem(c->items, 0));
    const dele_nudge_sum *s = &c->sum;
    if (!c->common.quiet)
        dele_note("%.0f tokens, %.1f %% of them by the nudger, in %.0f rounds; %.0f passes of the "
                  "base, %.0f of the nudger; %.1f tokens a second",
                  s->tokens, s->tokens > 0 ? 100 * s->nudging / s->tokens : 0.0, s->rounds,
                  s->passes[DELE_NUDGE_BASE], s->passes[DELE_NUDGE_NUDGER], dele_nudge_speed(s));
    return DELE_OK;
}

static dele_status save_nudge(nudge_command *c, const cJSON *sums, dele_err *err)
{
    const char *part = c->result.dir.part;
    const char *json = dele_printf(&c->arena, err, "%s/nudge.json", part);
    const char *html = dele_printf(&c->arena, err, "%s/page.html", part);
    const dele_nudge_page page = {
        .base = c->path, .nudger = c->with, .gamma = c->o.gamma, .sum = &c->sum, .items = c->items};
    dele_manifest_set(&c->result.manifest, "seconds", dele_json_number(c->sum.seconds));
    dele_err own = {0};
    if (!json || !html || dele_json_save(json, sums, err)) return err->code;
    if (dele_nudge_page_write(html, &page, &own))
        dele_note("%s (everything else is in %s)", own.msg, c->out);
    return dele_result_commit(&c->result, err);
}

static dele_status run_nudge(nudge_command *c, dele_err *err)
{
    const char *const input[] = {c->path, c->with, c->data, c->count_with};
    if (check_nudge(c, err) || read_questions(c, err)) return err->code;
    if (dele_adapters_note(&c->result.manifest, &c->adapters, err)) return err->code;
    if (c->out && dele_result_open(&c->result, input, sizeof input / sizeof *input, c->out,
                                   c->common.quiet ? NULL : "answers", err))
        return err->code;
    if (load_pair(c, err) || check_questions(c, err) || do_questions(c, err)) return err->code;
    cJSON *sums = sums_json(c);
    /* what can fail comes before the result is moved into place, but for JSON, which is of a whole
     * result */
    if (!c->common.json) show_nudge(c, err);
    if (c->out && !err->code) save_nudge(c, sums, err);
    if (c->common.json && !err->code) show_nudge_json(c, sums, err);
    cJSON_Delete(sums);
    return err->code;
}

int cmd_nudge(int argc, char **argv)
{
    nudge_command c = {.o = DELE_NUDGE_DEFAULTS,
                       .chat = DELE_CHAT_AUTO,
                       .adapters = {DELE_ADAPTER_DEFAULTS},
                       .memory = DELE_DEFAULT_MEMORY};
    dele_err err = {0};
    c.o.gamma = -1;
    c.o.max_new = 0;
    const dele_option options[] = {
        DELE_GROUP("models and prompts"),
        DELE_OPT("with", &c.with, "the nudger: a small aligned model"),
        DELE_ADAPTER_OPTIONS(c.adapters),
        DELE_OPT("prompt", &c.prompt, "question"),
        DELE_OPT("data", &c.data,
                 "in place of --prompt: a JSONL file of questions; field question, input, "
                 "instruction or prompt, and context before it"),
        DELE_OPT("limit", &c.limit, "maximum number of questions; 0: all"),
        DELE_OPT("out", &c.out, "directory for the result; must not exist"),
        DELE_CHOICE("task", &c.task, task_name,
                    "prompts of the paper: reasoning (\"Question: \", by reasoning steps) or open "
                    "(\"Instruction: \")"),
        DELE_OPT("system", &c.system, "system text of both prompts, in place of the task's"),
        DELE_OPT("prefix", &c.prefix, "text before the question, in place of the task's"),
        DELE_CHAT_OPTION(&c.chat, "the nudger's prompt"),
        DELE_CHOICE("base-chat", &c.base_chat, dele_chat_name,
                    "chat layout around the base's prompt: none is the paper's"),
        DELE_CHOICE("system-place", &c.place, dele_system_place_name,
                    "where a chat layout has the system text: turn, its own; user, before the "
                    "question; auto: its own where the layout has one"),
        DELE_MEMORY_OPTION(c.memory),
        DELE_GROUP("hand-over"),
        DELE_OPT("gamma", &c.o.gamma,
                 "the base writes while its top-1 probability is at least this; -1: 0.3, with "
                 "--tokens 0.4"),
        DELE_OPT("window", &c.o.window, "tokens requested from a model at a time"),
        DELE_OPT(
            "max-new", &c.o.max_new,
            "no further round once the answer has this many tokens; 0: 512, with --tokens 500"),
        DELE_OPT("max-rounds", &c.o.max_rounds, "maximum number of rounds"),
        DELE_OPT("count-with", &c.count_with,
                 "a tokenizer.json that counts tokens; default: the base's tokenizer"),
        DELE_CHOICE("verify", &c.o.verify, dele_nudge_verify_name,
                    "draft: the base scores a window of the nudger in one pass; plain: one token a "
                    "pass.  The text is the same"),
        DELE_FLAG("tokens", &c.o.tokens,
                  "models of one vocabulary: hand over token ids, as the paper's notebook does"),
        DELE_FLAG("unscored", &c.o.unscored,
                  "leave out the base's top-1 probability of each token"),
        DELE_GROUP("sampling"),
        DELE_OPT("temperature", &c.o.base_temperature, "temperature of the base; 0: greedy"),
        DELE_OPT("nudger-temperature", &c.o.nudger_temperature,
                 "temperature of the nudger; 0: greedy"),
        DELE_OPT("top-p", &c.o.top_p,
                 "probability mass of the tokens among which the base is sampled"),
        DELE_OPT("seed", &c.o.seed, "random seed of the samples"),
        {0},
    };
    const dele_usage usage = {
        .command = "nudge",
        .summary = "nudging: a small aligned model writes where a base model is unsure",
        .synopsis = "BASE --with NUDGER --prompt TEXT | --data FILE --out DIR",
        .example = "deleatur nudge models/base --with models/small-instruct --prompt 'What is 12 "
                   "times 7?'",
        .options = options,
        .positional = &c.path,
        .n_positional = 1,
        .tables = true};
    if (!dele_options_parse(&c.common, &usage, argc, argv, &c.arena, &err) && !c.common.help) {
        if ((c.items = cJSON_CreateArray())) {
            dele_manifest_begin(&c.result.manifest, &usage, argc, argv);
            run_nudge(&c, &err);
        } else {
            dele_fail(&err, DELE_ERR_MEMORY, "out of memory for answers");
        }
    }
    dele_nudge_close(c.nudge);
    dele_tokenizer_close(c.counter);
    dele_result_release(&c.result);
    cJSON_Delete(c.items);
    dele_model_release(&c.nudger);
    dele_model_release(&c.base);
    dele_arena_release(&c.arena);
    return dele_complain(&err);
}
