#include "experiments/attack/attack_nudge.h"

#include <string.h>

#include "nudge/guard.h"
#include "nudge/nudge.h"
#include "nudge/prompt.h"
#include "text/continuation.h"

/* In the order of the passes of one gamma. */
typedef enum { ONTO_UNLEARNED, BY_UNLEARNED, ONTO_BEFORE, GUARD, N_KINDS } nudge_kind;

static const struct {
    const char *name, *threshold;
    nudge_kind kind;
} kinds[N_KINDS] = {{"unlearned + nudger", "gamma", ONTO_UNLEARNED},
                    {"nudger + unlearned", "gamma", BY_UNLEARNED},
                    {"before + unlearned", "gamma", ONTO_BEFORE},
                    {"guard of before", "tau", GUARD}};

static bool is_asked(const attack_settings *s, nudge_kind kind)
{
    return kind == ONTO_UNLEARNED || kind == BY_UNLEARNED ? s->with != NULL : s->before != NULL;
}

dele_status attack_nudge_plan(attack_job *j, dele_err *err)
{
    const attack_settings *s = j->s;
    const attack_form *plain = &j->set.form[0];
    if (!s->nudge) return DELE_OK;
    j->nudged = DELE_NEW(&j->arena, attack_pass, N_KINDS * s->n_gammas, err);
    for (int kind = 0; j->nudged && kind < N_KINDS && !err->code; kind++)
        for (size_t g = 0; g < s->n_gammas && is_asked(s, (nudge_kind)kind); g++) {
            attack_pass *pass = &j->nudged[j->n_nudged++];
            *pass =
                (attack_pass){.model = dele_printf(&j->arena, err, "%s, %s %g", kinds[kind].name,
                                                   kinds[kind].threshold, s->gamma[g]),
                              .form = plain,
                              .score = DELE_NEW(&j->arena, attack_score, plain->n, err),
                              .writers = DELE_NEW(&j->arena, attack_writers, plain->n, err),
                              .first = j->n_asks};
            if (!pass->model || !pass->score || !pass->writers) return DELE_ERR_MEMORY;
            j->n_asks += plain->n;
        }
    return err->code;
}

/* ---- one pass -------------------------------------------------------------------------------- */

/* A model in an answer by two. */
typedef struct {
    const dele_model *model;
    const dele_layout *layout;
} writer;

/* Two models at work on the asks of a pass. */
typedef struct {
    attack_job *j;
    attack_pass *pass;
    writer base, nudger;
    double gamma;
    dele_nudge *nudge; /* or */
    dele_joint guard;
} pass_job;

/* Scores a text whose spans are given. */
static dele_status put_text(pass_job *p, size_t i, const char *text, const dele_nudge_span *span,
                            size_t n_spans, double nudger, bool ended, dele_arena *arena,
                            dele_err *err)
{
    const attack_ask *ask = &p->pass->form->ask[i];
    const size_t n = strlen(text);
    unsigned char *by = DELE_NEW(arena, unsigned char, n + 1, err);
    char *copy = dele_strdup(arena, text, err);
    const char *given =
        dele_decode(p->base.model->tokenizer, ask->ids, (size_t)ask->first, false, arena, err);
    if (!by || !copy || !given) return DELE_ERR_MEMORY;
    for (size_t k = 0; k < n_spans; k++)
        memset(by + span[k].from,
               span[k].by == DELE_NUDGE_NUDGER ? ATTACK_FOUND_NUDGER : ATTACK_FOUND_BASE,
               span[k].n);
    p->pass->writers[i].nudger = nudger;
    return attack_pass_put(p->pass, &p->j->set, i, given, copy, by, ended, &p->j->how, err);
}

static double fraction(size_t part, size_t rest)
{
    return part + rest ? (double)part / (double)(part + rest) : 0;
}

static const attack_row *row_of(const pass_job *p, size_t i)
{
    return &p->j->set.row[p->pass->form->ask[i].row];
}

/* The prompts of both models. */
static dele_status prompts_of(dele_nudge_prompt *base, dele_nudge_prompt *nudger, const pass_job *p,
                              size_t i, dele_arena *arena, dele_err *err)
{
    const char *prompt = row_of(p, i)->prompt;
    const dele_status status = dele_nudge_prompt_as_is(base, p->base.layout, prompt, arena, err);
    return status ? status : dele_nudge_prompt_as_is(nudger, p->nudger.layout, prompt, arena, err);
}

/* Says which row leaves no room for an answer. */
static dele_status check_asks(const pass_job *p, dele_arena *arena, dele_err *err)
{
    for (size_t i = 0; p->nudge && i < p->pass->form->n && !err->code; i++) {
        dele_nudge_prompt base, nudger;
        dele_err own = {0};
        dele_arena_reset(arena);
        if (prompts_of(&base, &nudger, p, i, arena, &own) ||
            dele_nudge_check(p->nudge, &base, &nudger, &own))
            dele_fail(err, own.code, "%s:%d: %s", p->j->set.path, row_of(p, i)->line, own.msg);
    }
    return err->code;
}

static dele_status nudge_ask(pass_job *p, size_t i, dele_arena *arena, dele_err *err)
{
    dele_nudge_prompt base, nudger;
    dele_nudge_result r;
    if (prompts_of(&base, &nudger, p, i, arena, err) ||
        dele_nudge_generate(&r, p->nudge, &base, &nudger, arena, err))
        return err->code;
    const double share = fraction(r.written[DELE_NUDGE_NUDGER], r.written[DELE_NUDGE_BASE]);
    return put_text(p, i, r.text, r.span, r.n_spans, share, r.stop == DELE_NUDGE_ENDED, arena, err);
}

static dele_status guard_ask(pass_job *p, size_t i, dele_arena *arena, dele_err *err)
{
    const attack_ask *ask = &p->pass->form->ask[i];
    const dele_guard_opts o = {.tau = p->gamma, .margin = p->j->s->margin};
    dele_guard_result r;
    if (dele_guard_generate(&r, &p->guard, ask->ids, (size_t)ask->first, p->j->how.max_new, &o,
                            arena, err))
        return err->code;
    return put_text(p, i, r.text, r.span, r.n_spans,
                    fraction(r.n_guarded, r.n_tokens - r.n_guarded), r.ended, arena, err);
}

static dele_status open_writers(pass_job *p, nudge_kind kind, dele_err *err)
{
    const dele_model *const models[] = {p->base.model, p->nudger.model};
    dele_nudge_opts o = DELE_NUDGE_DEFAULTS;
    if (kind == GUARD) return dele_guard_init(&p->guard, models, p->base.layout, err);
    o.gamma = p->gamma, o.max_new = p->j->how.max_new, o.unscored = true;
    p->nudge =
        dele_nudge_open(p->base.model, p->nudger.model, p->base.layout, p->nudger.layout, &o, err);
    return p->nudge ? DELE_OK : err->code;
}

static dele_status check_pass(attack_job *j, attack_pass *pass, nudge_kind kind, double gamma,
                              writer base, writer nudger, dele_err *err)
{
    pass_job p = {.j = j, .pass = pass, .base = base, .nudger = nudger, .gamma = gamma};
    dele_arena arena = {0};
    if (!open_writers(&p, kind, err)) check_asks(&p, &arena, err);
    dele_nudge_close(p.nudge);
    dele_joint_release(&p.guard);
    dele_arena_release(&arena);
    return err->code;
}

static dele_status run_pass(attack_job *j, attack_pass *pass, nudge_kind kind, double gamma,
                            writer base, writer nudger, dele_err *err)
{
    pass_job p = {.j = j, .pass = pass, .base = base, .nudger = nudger, .gamma = gamma};
    dele_arena arena = {0};
    const size_t known = attack_pass_resume(pass, &j->set, &j->result->items, err);
    if (!err->code && known < pass->form->n) open_writers(&p, kind, err);
    for (size_t i = known; i < pass->form->n && !err->code; i++) {
        if (kind == GUARD)
            guard_ask(&p, i, &arena, err);
        else
            nudge_ask(&p, i, &arena, err);
        dele_arena_reset(&arena);
    }
    dele_nudge_close(p.nudge);
    dele_joint_release(&p.guard);
    dele_arena_release(&arena);
    return err->code;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool all_done(attack_job *j, dele_err *err)
{
    bool all = true;
    for (size_t i = 0; i < j->n_nudged && !err->code; i++)
        all = attack_pass_done(&j->nudged[i], &j->set, &j->result->items, err) && all;
    return all;
}

/* The passes with one other model: --with, or the original.  They are run, or only checked: then
 * the model is mapped and not copied. */
static dele_status with_other(attack_job *j, const dele_model *unlearned, bool before, bool check,
                              dele_err *err)
{
    const attack_settings *s = j->s;
    const char *path = before ? s->before : s->with;
    dele_arena arena = {0};
    dele_model model = {0};
    const writer own = {unlearned, s->chat};
    writer other = {&model, s->chat};
    if (!path) return DELE_OK;
    const dele_status status = check ? dele_model_map(&model, path, &arena, err)
                                     : dele_model_load_wide(&model, path, s->memory, &arena, err);
    if (!status && !model.tokenizer)
        dele_fail(err, DELE_ERR_DATA, "%s has no tokenizer: put its tokenizer.json there", path);
    if (!err->code && !before)
        dele_nudge_layout(&other.layout, s->with_chat, model.tokenizer, &arena, err);
    attack_pass *pass = j->nudged;
    for (int kind = 0; kind < N_KINDS && !err->code; kind++)
        for (size_t g = 0; g < s->n_gammas && is_asked(s, (nudge_kind)kind); g++, pass++) {
            const bool original = kind == ONTO_BEFORE || kind == GUARD;
            if (original != before || err->code) continue;
            const bool onto = kind == ONTO_UNLEARNED;
            const writer base = onto ? own : other, nudger = onto ? other : own;
            if (check)
                check_pass(j, pass, (nudge_kind)kind, s->gamma[g], base, nudger, err);
            else
                run_pass(j, pass, (nudge_kind)kind, s->gamma[g], base, nudger, err);
        }
    dele_model_release(&model);
    dele_arena_release(&arena);
    return err->code;
}

static dele_status with_both(attack_job *j, const dele_model *unlearned, bool check, dele_err *err)
{
    if (!j->n_nudged || all_done(j, err) || err->code) return err->code;
    if (!with_other(j, unlearned, false, check, err)) with_other(j, unlearned, true, check, err);
    return err->code;
}

dele_status attack_nudge_run(attack_job *j, const dele_model *unlearned, dele_err *err)
{
    return with_both(j, unlearned, false, err);
}

dele_status attack_nudge_check(attack_job *j, const dele_model *unlearned, dele_err *err)
{
    return with_both(j, unlearned, true, err);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* Means of a pass, and of its rows the fractions in which each writer wrote the answer. */
static void put_pass(dele_table *t, const attack_pass *pass)
{
    double rouge = 0, nudger = 0, found[ATTACK_N_FOUND] = {0};
    const double n = (double)pass->form->n;
    for (size_t i = 0; i < pass->form->n; i++) {
        rouge += pass->score[i].of[ATTACK_ROUGE];
        nudger += pass->writers[i].nudger;
        found[pass->writers[i].found]++;
    }
    dele_table_text(t, pass->model);
    dele_table_cell(t, "%zu", pass->form->n);
    dele_table_real(t, "%.4f", 1 - found[ATTACK_FOUND_NOT] / n);
    for (int f = ATTACK_FOUND_NUDGER; f < ATTACK_N_FOUND; f++)
        dele_table_real(t, "%.4f", found[f] / n);
    dele_table_real(t, "%.4f", rouge / n);
    dele_table_real(t, "%.4f", nudger / n);
    dele_table_row(t);
}

dele_status attack_nudge_save(attack_job *j, dele_err *err)
{
    dele_writer out = {0};
    dele_table table = {0};
    if (!j->n_nudged) return DELE_OK;
    const char *path = dele_printf(&j->arena, err, "%s/nudge.tsv", j->result->dir.part);
    if (!path || dele_writer_open(&out, path, err)) return err->code;
    dele_table_head(&table, "models\tn\tcontains\tby_nudger\tby_base\tby_both\trougeL_recall\t"
                            "nudging_tokens");
    for (size_t i = 0; i < j->n_nudged; i++) put_pass(&table, &j->nudged[i]);
    dele_table_print(&table, out.stream, DELE_TABLE_TSV, err);
    dele_writer_commit(&out, err);
    dele_writer_abandon(&out);
    return err->code;
}
