/* The facts of a trace: each is encoded, its subject is found, the model's answer is compared with
 * the attribute, and its cells are computed.
 *
 * The expected-answer filter is ROME's: the model's greedy next token, decoded and stripped, must
 * equal the record's attribute, stripped.  Answers are thus single tokens that the model predicts;
 * every other fact is left out with the reason.  --answer greedy takes attributes of several tokens
 * that greedy decoding gives; --answer attribute takes all of them.
 *
 * Facts with few cells are computed in groups.  A fact's record is written as soon as it is
 * computed, and read back.  A run whose directory has records of the same command (by its key)
 * resumes after them. */
#include "trace/run.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/stat.h"
#include "text/continuation.h"
#include "trace/cells.h"
#include "trace/partners.h"
#include "trace/record.h"

enum { GROUP_ROWS = 8192, MAX_GROUP = 64 };

/* What a group takes: rows of cells, about, and bytes of the prompts' caches. */
typedef struct {
    double rows;
    size_t bytes;
    int n;
} group_size;

static void size_up(group_size *size, const dele_plan *plan, const dele_grid *grid)
{
    const double extra = grid->n_answer > 1 ? grid->n_answer - 1 : 0,
                 rows = grid->n_tokens + extra - grid->begin;
    size->rows += rows * rows / 2 * plan->samples * plan->n_restorations;
    size->bytes += dele_prompt_cache_bytes(plan, grid, plan->samples);
    size->n++;
}

/* Rows enough for full batches, or half of the memory. */
static bool is_full(const group_size *size, const dele_plan *plan)
{
    return size->rows >= GROUP_ROWS || size->n == MAX_GROUP ||
           size->bytes > (size_t)plan->memory << 19;
}

typedef struct {
    dele_prompt_cache work;
    dele_traced *traced;
    dele_arena scratch, drawn;
} member;

typedef struct {
    dele_trace *trace;
    const dele_model *model;
    const dele_facts *facts;
    const dele_plan *plan;
    const dele_encoded_fact *encoded; /* corrupted by tokens only */
    const dele_ablation *ablation;
    const dele_layout *chat;
    const char *dir; /* where records go, or NULL: nothing is written */
    dele_run run;
    dele_progress *progress;
    dele_arena *arena;
    member group[MAX_GROUP];
    int n_group;
    group_size size;
} running;

/* ---- answers --------------------------------------------------------------------------------- */

/* An answer's tokens after its fact's prompt.  Lone blanks before its text are not among them:
 * they belong to the prompt (partners.h), and n_blank counts them. */
typedef struct {
    dele_ids ids;
    size_t n_blank;
} answer_ids;

static dele_status answer_tokens(answer_ids *answer, const running *x, const dele_fact *fact,
                                 const char *attribute, dele_err *err)
{
    const dele_tokenizer *t = x->model->tokenizer;
    size_t n;
    dele_continued_ids both;
    const char *stripped = dele_stripped(&n, attribute),
               *text = dele_strndup(x->arena, stripped, n, err);
    if (!text ||
        dele_encode_answer(&both, t, x->chat, fact->prompt, text, fact->joined, x->arena, err))
        return err->code;
    n = dele_blank_ids(t, both.id + both.first, both.n - both.first);
    *answer = (answer_ids){{both.id + both.first + n, both.n - both.first - n}, n};
    return DELE_OK;
}

static bool says(const running *x, dele_traced *traced, dele_err *err)
{
    size_t said_n, expected_n;
    const char *said = dele_stripped(&said_n, traced->answer);
    const char *expected = dele_stripped(&expected_n, traced->fact->attribute);
    if (said_n == expected_n && !memcmp(said, expected, said_n)) return true;
    traced->why = "the model says something else";
    traced->left_out =
        dele_printf(x->arena, err, "the model says \"%.*s\" (p %.3f), not \"%.*s\"", (int)said_n,
                    said, traced->grid.high[DELE_PROB], (int)expected_n, expected);
    return false;
}

/* After the clean run: the answer in words, and whether ROME's filter or ours lets the fact in. */
static dele_status judge(const running *x, dele_traced *traced, dele_err *err)
{
    dele_grid *g = &traced->grid;
    traced->answer = dele_decode_continuation(x->model->tokenizer, g->ids, (size_t)g->n_tokens,
                                              g->answer, (size_t)g->n_answer, false, x->arena, err);
    if (!traced->answer) return err->code;
    if (x->trace->opts.answer == DELE_ANSWER_ARGMAX)
        says(x, traced, err);
    else if (x->trace->opts.answer == DELE_ANSWER_GREEDY && !g->greedy) {
        traced->why = "the model does not say the whole answer";
        traced->left_out = dele_printf(x->arena, err, "the model does not say \"%s\" (p %.3f)",
                                       traced->answer, g->high[DELE_PROB]);
    }
    if (x->trace->opts.attribution && g->n_answer != 1 && !traced->left_out) {
        traced->why = "the answer has several tokens";
        traced->left_out =
            dele_printf(x->arena, err, "\"%s\" has %d tokens; attribution patching takes one",
                        traced->answer, g->n_answer);
    }
    return err->code;
}

/* ---- a prompt -------------------------------------------------------------------------------- */

/* The first token with text of fact k's own answer, the foil of facts whose partner k is; -1 where
 * the answer is empty or comes after another number of blank tokens than n_blank. */
static dele_status first_token(int *id, const running *x, size_t k, size_t n_blank, dele_err *err)
{
    answer_ids answer;
    if (answer_tokens(&answer, x, &x->facts->fact[k], x->facts->fact[k].attribute, err))
        return err->code;
    *id = answer.ids.n && answer.n_blank == n_blank ? answer.ids.id[0] : -1;
    return DELE_OK;
}

/* Two answers may begin with the same token ("Lumen town", "Lumen city"): then the difference of
 * their logits is 0, and the next partner is better.  Where all partners' answers do, the first
 * partner is taken, and dele_prompt_cache_clean drops the foil. */
static dele_status choose_partner(size_t *partner, int *foil, const running *x, size_t i,
                                  dele_err *err)
{
    int own, id = -1;
    answer_ids answer;
    *partner = x->facts->n;
    if (answer_tokens(&answer, x, &x->facts->fact[i], x->facts->fact[i].attribute, err))
        return err->code;
    own = answer.ids.n ? answer.ids.id[0] : -1;
    for (size_t k = i; (k = dele_partner(x->facts, x->encoded, i, k)) < x->facts->n;) {
        if (first_token(&id, x, k, answer.n_blank, err)) return err->code;
        if (*partner == x->facts->n || id != own) *partner = k, *foil = id;
        if (id != own) break;
    }
    return DELE_OK;
}

static dele_status set_partner(const running *x, dele_traced *traced, size_t i, dele_err *err)
{
    size_t k;
    if (choose_partner(&k, &traced->grid.foil, x, i, err)) return err->code;
    if (k == x->facts->n) {
        traced->why = "no partner";
        traced->left_out =
            dele_printf(x->arena, err,
                        "no partner: no other fact has these words around a subject of %d tokens "
                        "and another answer",
                        traced->grid.end - traced->grid.begin);
        return err->code;
    }
    traced->partner = x->facts->fact[k].subject;
    traced->grid.partner = x->encoded[k].ids.id + x->encoded[k].begin;
    return DELE_OK;
}

/* Facts are independent draws when each has noise of its own; ROME gives all the same. */
static uint64_t noise_seed(const dele_trace_opts *o, int id)
{
    if (dele_shares_noise(o)) return o->seed;
    dele_rng rng;
    dele_rng_seed(&rng, o->seed ^ ((uint64_t)(unsigned)id << 20));
    return dele_rng_next(&rng) & 0xffffffff;
}

/* Tokens, the subject's place, answer, foil and partner; a prompt that cannot be traced gets its
 * reason. */
static dele_status read_prompt(const running *x, dele_traced *traced, size_t i, dele_err *err)
{
    dele_ids ids;
    answer_ids answer = {0};
    dele_grid *g = &traced->grid;
    const dele_fact *fact = traced->fact;
    const dele_tokenizer *t = x->model->tokenizer;
    if (dele_prompt_encode(&ids, fact, t, x->chat, x->arena, err)) return err->code;
    *g = (dele_grid){.ids = ids.id,
                     .n_tokens = (int)ids.n,
                     .foil = -1,
                     .seed = noise_seed(&x->trace->opts, fact->id)};
    traced->tokens = DELE_NEW(x->arena, const char *, ids.n + 1, err);
    if (!traced->tokens) return err->code;
    for (size_t k = 0; k < ids.n; k++)
        if (!(traced->tokens[k] = dele_decode(t, &ids.id[k], 1, false, x->arena, err)))
            return err->code;
    if (x->trace->opts.answer != DELE_ANSWER_ARGMAX) {
        if (answer_tokens(&answer, x, fact, fact->attribute, err)) return err->code;
        g->answer = answer.ids.id;
        g->n_answer = (int)answer.ids.n;
        if (!answer.ids.n) traced->left_out = traced->why = "the attribute is empty";
    }
    if (ids.n == 0 || (int)(ids.n + answer.ids.n) > x->model->config.context) {
        traced->why = "prompt and answer do not fit the model";
        traced->left_out =
            dele_printf(x->arena, err, "prompt and answer have %zu tokens; the model takes 1 to %d",
                        ids.n + answer.ids.n, x->model->config.context);
    }
    if (traced->left_out || err->code) return err->code;
    dele_err subject = {0};
    if (dele_subject_range_after(&g->begin, &g->end, t, &ids, dele_chat_head(x->chat),
                                 fact->subject, x->arena, &subject)) {
        if (subject.code == DELE_ERR_MEMORY) return dele_fail(err, subject.code, "%s", subject.msg);
        traced->why = "the subject is not found in the prompt";
        traced->left_out = dele_strdup(x->arena, subject.msg, err);
        return err->code;
    }
    if (x->encoded) return set_partner(x, traced, i, err);
    if (fact->foil) {
        answer_ids own, foil;
        if (answer_tokens(&own, x, fact, fact->attribute, err) ||
            answer_tokens(&foil, x, fact, fact->foil, err))
            return err->code;
        if (foil.ids.n && foil.n_blank == own.n_blank) g->foil = foil.ids.id[0];
    }
    return DELE_OK;
}

/* ---- groups of facts ------------------------------------------------------------------------- */

/* The widest 95 % half-width, over charts, of the largest mean effect on p: Student's t over the
 * noise draws. */
static double peak_half_width(const dele_trace *trace, const dele_grid *g)
{
    double widest = 0;
    int S = g->n_samples;
    for (int which = 0; which < trace->n_charts && S > 1; which++) {
        const dele_chart *chart = &trace->charts[which];
        int at_t = -1, at_col = 0;
        double most = 0;
        for (int t = 0; t < g->n_tokens; t++)
            for (int col = 0; col < chart->n_cols; col++) {
                double effect = dele_effect_of(trace, DELE_PROB,
                                               dele_cell_mean(g, chart, which, DELE_PROB, t, col),
                                               g->high[DELE_PROB], dele_low_mean(g, DELE_PROB));
                if (isfinite(effect) && (at_t < 0 || effect > most))
                    most = effect, at_t = t, at_col = col;
            }
        if (at_t < 0) continue;
        double sum = 0, squares = 0;
        for (int s = 0; s < S; s++) {
            double effect = dele_effect_of(
                trace, DELE_PROB, *dele_cell(g, chart, which, s, DELE_PROB, at_t, at_col),
                g->high[DELE_PROB], g->low[(size_t)s * DELE_N_METRICS + DELE_PROB]);
            sum += effect;
            squares += effect * effect;
        }
        double variance = (squares - sum * sum / S) / (S - 1);
        double half = gsl_cdf_tdist_Pinv(0.975, S - 1) * sqrt(variance > 0 ? variance / S : 0);
        if (half > widest) widest = half;
    }
    return widest;
}

/* Where a grid's values grow: what is written down and read back need not outlive its member. */
static dele_arena *grid_arena(const running *x, member *m)
{
    return x->dir ? &m->scratch : x->arena;
}

/* Draws more samples for the members whose interval is still too wide; *again: whether there were
 * any. */
static dele_status draw_more(running *x, bool *again, dele_err *err)
{
    const dele_trace_opts *o = &x->trace->opts;
    *again = false;
    for (int i = 0; i < x->n_group; i++) {
        dele_prompt_cache *c = &x->group[i].work;
        int have = c->grid->n_samples, most = o->max_samples;
        bool sure = !(o->until > 0) || x->plan->corruption.by != DELE_CORRUPT_NOISE ||
                    have >= most || peak_half_width(x->trace, c->grid) <= o->until;
        c->n_samples = 0;
        if (sure) {
            dele_arena_release(c->drawn);
            continue;
        }
        int n = have + x->plan->samples > most ? most - have : x->plan->samples;
        if (dele_prompt_cache_corrupt(c, &x->run, have, n, grid_arena(x, &x->group[i]), err))
            return err->code;
        *again = true;
    }
    return DELE_OK;
}

static void release_member(member *m)
{
    dele_arena_release(&m->scratch);
    dele_arena_release(&m->drawn);
}

static void release_group(running *x)
{
    for (int i = 0; i < x->n_group; i++) release_member(&x->group[i]);
    x->n_group = 0;
    x->size = (group_size){0};
}

/* A record that an earlier run, or this one, has written: what is reported comes from there. */
static dele_status read_back(running *x, dele_traced *traced, dele_err *err)
{
    return dele_record_load(traced, x->dir, x->trace, x->arena, err);
}

static dele_status say_foil(const running *x, dele_traced *traced, dele_err *err)
{
    int foil = traced->grid.foil;
    if (foil >= 0)
        traced->foil =
            dele_decode_continuation(x->model->tokenizer, traced->grid.ids,
                                     (size_t)traced->grid.n_tokens, &foil, 1, false, x->arena, err);
    return err->code;
}

static dele_status finish_member(running *x, member *m, dele_err *err)
{
    dele_traced *traced = m->traced;
    if (dele_grid_keep_answer(&traced->grid, x->arena, err) ||
        (x->dir && (dele_record_save(x->dir, traced, x->trace, err) || read_back(x, traced, err))))
        return err->code;
    return say_foil(x, traced, err);
}

/* The cells of a group of facts, whose corrupted runs are made first.  With --until, members that
 * are not yet certain get more samples, and the group is computed again for these samples alone. */
static dele_status compute_cells(running *x, dele_err *err)
{
    double price = 0;
    dele_prompt_cache *cases[MAX_GROUP];
    for (int i = 0; i < x->n_group; i++) {
        member *m = &x->group[i];
        cases[i] = &m->work;
        if (dele_prompt_cache_corrupt(cases[i], &x->run, 0, x->plan->samples, grid_arena(x, m),
                                      err))
            return err->code;
        m->traced->noop = NAN; /* ablation has no corrupted run to check */
        if (!dele_ablates(&x->plan->corruption) &&
            dele_noop(&m->traced->noop, cases[i], &x->run, err))
            return err->code;
        price += dele_plan_price(x->plan, cases[i]->grid, cases[i]->n_samples);
    }
    dele_trace_group group = {.plan = x->plan,
                              .model = x->model,
                              .run = &x->run,
                              .cases = cases,
                              .n_cases = x->n_group,
                              .progress = x->progress,
                              .progress_price = price / x->n_group};
    for (bool again = true; again;)
        if (dele_cells_compute(&group, err) || draw_more(x, &again, err)) return err->code;
    for (int i = 0; i < x->n_group; i++)
        if (finish_member(x, &x->group[i], err)) return err->code;
    return DELE_OK;
}

/* Which facts share batches must not depend on where a run was interrupted, or the last bits would:
 * a group with a record missing is computed whole. */
static dele_status compute_group(running *x, dele_err *err)
{
    double began = x->progress ? x->progress->done : 0;
    bool done = x->dir != NULL;
    for (int i = 0; i < x->n_group; i++)
        done = done && dele_record_exists(x->dir, x->group[i].traced->fact->id, x->trace->charts,
                                          x->trace->n_charts);
    for (int i = 0; i < x->n_group && done; i++) {
        dele_traced *traced = x->group[i].traced;
        if (read_back(x, traced, err) || say_foil(x, traced, err)) return err->code;
    }
    if (!done && x->n_group && compute_cells(x, err)) return err->code;
    dele_progress_set(x->progress, began + x->n_group, NULL);
    release_group(x);
    return DELE_OK;
}

/* ---- facts ----------------------------------------------------------------------------------- */

static dele_status open_case(running *x, member *m, dele_traced *traced, dele_err *err)
{
    *m = (member){.traced = traced};
    m->work = (dele_prompt_cache){.plan = x->plan,
                                  .model = x->model,
                                  .ablation = x->ablation,
                                  .grid = &traced->grid,
                                  .scratch = &m->scratch,
                                  .drawn = &m->drawn};
    return dele_prompt_cache_clean(&m->work, &x->run, err);
}

/* Runs a fact clean; where it is let in it waits in the group, which is computed when it has rows
 * enough for full batches or fills half of the memory. */
static dele_status take_fact(running *x, dele_traced *traced, dele_err *err)
{
    member *m = &x->group[x->n_group++];
    if (open_case(x, m, traced, err) || judge(x, traced, err)) return err->code;
    if (traced->left_out || x->trace->opts.attribution) {
        dele_status status = dele_grid_keep_answer(&traced->grid, x->arena, err);
        x->trace->n_traced += !traced->left_out;
        release_member(m);
        x->n_group--;
        return status;
    }
    x->trace->n_traced++;
    size_up(&x->size, x->plan, &traced->grid);
    const bool full = is_full(&x->size, x->plan);
    return full ? compute_group(x, err) : DELE_OK;
}

static dele_status check_id(const dele_trace *trace, const dele_facts *facts, const dele_fact *fact,
                            dele_err *err)
{
    for (size_t k = 0; k < trace->n; k++)
        if (trace->facts[k].fact->id == fact->id)
            return dele_fail(
                err, DELE_ERR_DATA,
                "%s:%d: known_id %d appears a second time (first: %d); files are named "
                "by it, so give each fact its own",
                facts->path, fact->line, fact->id, trace->facts[k].fact->line);
    return DELE_OK;
}

/* Is the id one of "3,17"? */
static bool listed(const char *list, int id)
{
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
        if (strtol(at, NULL, 10) == id) return true;
    return false;
}

/* Every id asked for is a number, and some fact's. */
static dele_status check_listed(const dele_facts *facts, const char *list, dele_err *err)
{
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',') {
        char *end;
        long id = strtol(at, &end, 10);
        bool known = false;
        if (end == at || (*end && *end != ','))
            return dele_fail(err, DELE_ERR_USAGE, "--id %s: give the ids of facts, as 3 or 3,17",
                             list);
        for (size_t i = 0; i < facts->n && !known; i++) known = facts->fact[i].id == id;
        if (!known)
            return dele_fail(err, DELE_ERR_DATA, "--id %ld: %s has no fact of this known_id", id,
                             facts->path);
    }
    return DELE_OK;
}

bool dele_trace_wants(const dele_trace_opts *o, const dele_fact *fact)
{
    if (o->split && *o->split && (!fact->split || strcmp(fact->split, o->split))) return false;
    return !o->ids || !*o->ids || listed(o->ids, fact->id);
}

/* Facts in the file's order, or in a shuffled one.  A fact that is left out costs its prompt's
 * tokens only, and counts neither for --limit nor in the progress that --limit defines. */
static dele_status trace_all(running *x, dele_err *err)
{
    dele_trace *trace = x->trace;
    const dele_trace_opts *o = &trace->opts;
    size_t *order = DELE_NEW(x->arena, size_t, x->facts->n + 1, err);
    if (!order || (o->ids && check_listed(x->facts, o->ids, err))) return err->code;
    for (size_t i = 0; i < x->facts->n; i++) order[i] = i;
    if (o->shuffle > 0) {
        dele_rng rng;
        dele_rng_seed(&rng, (uint64_t)o->shuffle);
        dele_rng_shuffle(&rng, order, x->facts->n);
    }
    for (size_t at = 0; at < x->facts->n; at++) {
        size_t i = order[at];
        const dele_fact *fact = &x->facts->fact[i];
        if (!dele_trace_wants(o, fact)) continue;
        if (o->limit && trace->n_traced == (size_t)o->limit) break;
        if (check_id(trace, x->facts, fact, err)) return err->code;
        dele_traced *traced = &trace->facts[trace->n++];
        traced->fact = fact;
        if (read_prompt(x, traced, i, err)) return err->code;
        if (!traced->left_out && take_fact(x, traced, err)) return err->code;
        if (traced->left_out && !o->limit)
            dele_progress_set(x->progress, (x->progress ? x->progress->done : 0) + 1, NULL);
    }
    if (trace->n == 0)
        return dele_fail(err, DELE_ERR_DATA, "%s: no facts%s%s; look at its \"split\" fields",
                         x->facts->path, o->split && *o->split ? " of split " : "",
                         o->split ? o->split : "");
    return compute_group(x, err);
}

/* The means over all prompts of the file, each token counting once. */
static dele_status measure_means(running *x, dele_ablation *ablation, dele_err *err)
{
    double rows = 0;
    for (size_t i = 0; i < x->facts->n; i++) {
        dele_traced traced = {.fact = &x->facts->fact[i]};
        member m;
        if (read_prompt(x, &traced, i, err)) return err->code;
        if (traced.left_out) continue;
        dele_status status = open_case(x, &m, &traced, err);
        if (!status) rows += dele_ablation_add(ablation, &m.work);
        release_member(&m);
        if (status) return status;
    }
    if (rows > 0) dele_ablation_scale(ablation, x->plan, 1 / rows);
    return DELE_OK;
}

/* What all facts share: the plan, the noise level (measured on all facts of the file, selected or
 * not), the chat template, and the values for ablation. */
static dele_status prepare(running *x, dele_plan *plan, dele_ablation *ablation, dele_err *err)
{
    dele_trace *trace = x->trace;
    const dele_trace_opts *o = &trace->opts;
    if (!x->model->tokenizer)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: the model has no tokenizer; put tokenizer.json beside its weights",
                         x->model->path);
    if (dele_plan_make(plan, o, &x->model->config, x->arena, err) ||
        dele_corruption_measure(&plan->corruption, x->model, x->facts, o->noise_text, x->arena,
                                err) ||
        dele_chat_open(&x->chat, o->chat, x->model->tokenizer, x->arena, err))
        return err->code;
    trace->charts = plan->charts;
    trace->n_charts = plan->n_charts;
    trace->noising = plan->noising;
    trace->paper_edges = plan->paper_edges;
    trace->sigma = plan->corruption.by == DELE_CORRUPT_NOISE &&
                           plan->corruption.distribution != DELE_NOISE_COVARIANCE
                       ? plan->corruption.sigma
                       : 0;
    if (plan->corruption.by == DELE_CORRUPT_TOKENS &&
        !(x->encoded = dele_facts_encode(x->facts, x->model->tokenizer, x->chat, x->arena, err)))
        return err->code;
    if (!dele_ablates(&plan->corruption)) return DELE_OK;
    if (dele_ablation_init(ablation, plan, x->arena, err)) return err->code;
    x->ablation = ablation;
    return plan->corruption.by == DELE_CORRUPT_MEAN ? measure_means(x, ablation, err) : DELE_OK;
}

dele_status dele_trace_run(dele_trace *trace, const char *dir, const dele_model *model,
                           const dele_facts *facts, const dele_trace_opts *opts,
                           dele_progress *progress, dele_arena *arena, dele_err *err)
{
    dele_plan plan;
    dele_ablation ablation;
    double began = dele_now();
    *trace = (dele_trace){.opts = *opts,
                          .model = model->path,
                          .n_layers = model->config.n_layers,
                          .n_heads = model->config.n_heads,
                          .n_experts = model->config.n_experts,
                          .top_k = model->config.top_k};
    running x = {.trace = trace,
                 .model = model,
                 .facts = facts,
                 .plan = &plan,
                 .dir = dir,
                 .progress = progress,
                 .arena = arena};
    trace->facts = DELE_NEW(arena, dele_traced, facts->n ? facts->n : 1, err);
    trace->dense = DELE_NEW(arena, bool, (size_t)trace->n_layers, err);
    for (int l = 0; trace->dense && l < trace->n_layers; l++)
        trace->dense[l] = !dele_layer_is_sparse(&model->config, l);
    dele_status status =
        trace->facts && trace->dense ? prepare(&x, &plan, &ablation, err) : err->code;
    if (!status) status = trace_all(&x, err);
    release_group(&x);
    trace->row_layers = x.run.row_layers;
    trace->flops = x.run.flops;
    trace->seconds = dele_now() - began;
    dele_run_release(&x.run);
    return status;
}

/* ---- comparison with the reference ----------------------------------------------------------- */

static void note_difference(dele_trace_checked *out, double a, double b, const dele_traced *fact,
                            int chart, int token, int col)
{
    double d = isnan(a) || isnan(b) ? INFINITY : fabs(a - b);
    if (out->fact && d <= out->difference) return;
    *out = (dele_trace_checked){out->n_cells, out->n_facts, d, fact, chart, token, col};
}

static dele_status check_runs(dele_trace_checked *out, const dele_traced *fact,
                              const dele_prompt_cache *c, const dele_trace_group *group,
                              double *metrics, dele_err *err)
{
    const dele_corruption *how = &c->plan->corruption;
    double *corrupted = metrics + c->n_samples * DELE_N_METRICS;
    if (dele_runs_reference(metrics, corrupted, c, group, err)) return err->code;
    note_difference(out, metrics[DELE_PROB], fact->grid.high[DELE_PROB], fact, -1, -1, -1);
    for (int s = 0; s < c->n_samples && !dele_ablates(how) && !(how->rome && how->replace); s++)
        note_difference(out, corrupted[s * DELE_N_METRICS], fact->grid.low[s * DELE_N_METRICS],
                        fact, -1, -1, -1);
    return DELE_OK;
}

static dele_status check_cell(dele_trace_checked *out, const dele_traced *fact,
                              const dele_prompt_cache *c, const dele_trace_group *group,
                              double *metrics, dele_rng *rng, dele_err *err)
{
    int from, to, which = (int)dele_rng_below(rng, (uint64_t)c->plan->n_charts);
    const dele_chart *chart = &c->plan->charts[which];
    dele_plan_tokens(&from, &to, c->plan, c->grid);
    int t = from + (int)dele_rng_below(rng, (uint64_t)(to - from));
    int col = (int)dele_rng_below(rng, (uint64_t)chart->n_cols);
    while (!dele_plan_has_cells(c->plan, chart, col)) col = (col + 1) % chart->n_cols;
    if (dele_cell_reference(metrics, c, group, which, t, col, err)) return err->code;
    for (int s = 0; s < c->n_samples; s++)
        note_difference(out, metrics[s * DELE_N_METRICS],
                        (double)*dele_cell(&fact->grid, chart, which, s, DELE_PROB, t, col), fact,
                        which, t, col);
    out->n_cells++;
    return DELE_OK;
}

/* A fact's first draws again: those that any fact has, however many --until added. */
static dele_status check_by_reference(dele_trace_checked *out, running *x, const dele_traced *fact,
                                      int n, dele_rng *rng, dele_err *err)
{
    dele_traced again = *fact;
    member m;
    int S = fact->grid.n_samples < x->plan->samples ? fact->grid.n_samples : x->plan->samples;
    again.grid.n_samples = 0;
    again.grid.routes = NULL; /* the fact's own stay as they are */
    dele_status status = open_case(x, &m, &again, err);
    dele_prompt_cache *cases[] = {&m.work};
    dele_trace_group group = {
        .plan = x->plan, .model = x->model, .run = &x->run, .cases = cases, .n_cases = 1};
    double *metrics = DELE_NEW(&m.scratch, double, (size_t)(2 * S) * DELE_N_METRICS, err);
    if (!status && !metrics) status = err->code;
    if (!status) status = dele_prompt_cache_corrupt(&m.work, &x->run, 0, S, &m.scratch, err);
    if (!status) status = check_runs(out, fact, &m.work, &group, metrics, err);
    for (int i = 0; i < n && !status; i++)
        status = check_cell(out, fact, &m.work, &group, metrics, rng, err);
    out->n_facts++;
    release_member(&m);
    return status;
}

static dele_status check_facts(dele_trace_checked *out, running *x, const dele_trace *trace, int n,
                               dele_err *err)
{
    size_t *order = DELE_NEW(x->arena, size_t, trace->n + 1, err), m = 0;
    dele_rng rng;
    if (!order) return err->code;
    for (size_t i = 0; i < trace->n; i++)
        if (!trace->facts[i].left_out) order[m++] = i;
    dele_rng_seed(&rng, trace->opts.seed);
    dele_rng_shuffle(&rng, order, m);
    for (size_t i = 0; i < m && i < (size_t)n;
         i++) { /* as many facts as cells, or all of them in turn */
        int cells = n / (int)m + (i < (size_t)n % m);
        if (check_by_reference(out, x, &trace->facts[order[i]], cells, &rng, err)) return err->code;
    }
    return DELE_OK;
}

dele_status dele_trace_check(dele_trace_checked *out, const dele_trace *trace,
                             const dele_model *model, const dele_facts *facts, int n,
                             dele_arena *arena, dele_err *err)
{
    dele_plan plan;
    dele_ablation ablation;
    dele_trace again = *trace;
    running x = {.trace = &again, .model = model, .facts = facts, .plan = &plan, .arena = arena};
    *out = (dele_trace_checked){.chart = -1, .token = -1, .col = -1};
    dele_status status = prepare(&x, &plan, &ablation, err);
    if (!status) status = check_facts(out, &x, trace, n, err);
    dele_run_release(&x.run);
    return status;
}

dele_status dele_trace_grid(dele_grid *grid, const dele_plan *plan, dele_run *run,
                            const dele_model *model, dele_arena *arena, dele_err *err)
{
    if (grid->begin < 0 || grid->begin >= grid->end || grid->end > grid->n_tokens)
        return dele_fail(err, DELE_ERR_DATA,
                         "subject tokens %d to %d are not among the prompt's %d", grid->begin,
                         grid->end, grid->n_tokens);
    dele_ablation zero;
    dele_arena scratch = {0}, drawn = {0};
    dele_prompt_cache work = {
        .plan = plan, .model = model, .grid = grid, .scratch = &scratch, .drawn = &drawn};
    dele_prompt_cache *cases[] = {&work};
    dele_trace_group group = {
        .plan = plan, .model = model, .run = run, .cases = cases, .n_cases = 1};
    dele_status status = DELE_OK;
    if (dele_ablates(&plan->corruption)) {
        status = dele_ablation_init(&zero, plan, &scratch, err);
        work.ablation = &zero;
    }
    if (!status) status = dele_prompt_cache_clean(&work, run, err);
    if (!status) status = dele_prompt_cache_corrupt(&work, run, 0, plan->samples, arena, err);
    if (!status) status = dele_cells_compute(&group, err);
    if (!status) status = dele_grid_keep_answer(grid, arena, err);
    dele_arena_release(&scratch);
    dele_arena_release(&drawn);
    return status;
}

/* ---- counting -------------------------------------------------------------------------------- */

dele_status dele_trace_bytes(size_t *bytes, const dele_grid *prompt, const dele_trace_opts *opts,
                             const dele_model *model, dele_err *err)
{
    dele_arena scratch = {0};
    dele_plan plan;
    dele_grid grid = *prompt;
    group_size size = {0};
    dele_prompt_cache *cases[MAX_GROUP];
    dele_status status = dele_plan_make(&plan, opts, &model->config, &scratch, err);
    dele_prompt_cache one = {.plan = &plan,
                             .model = model,
                             .grid = &grid,
                             .n_rows = grid.n_tokens + (grid.n_answer > 1 ? grid.n_answer - 1 : 0)};
    one.n_samples = plan.samples;
    while (!status && !is_full(&size, &plan)) {
        cases[size.n] = &one;
        size_up(&size, &plan, &grid);
    }
    const dele_trace_group group = {
        .plan = &plan, .model = model, .cases = cases, .n_cases = size.n};
    if (!status)
        status = dele_cells_bytes(bytes, &group,
                                  size.n * dele_plan_rows(&plan, &grid, plan.samples), err);
    dele_arena_release(&scratch);
    return status;
}
