/* What is done to models: asked as they are, written as GGUFs of few bits and read again, taught a
 * few rows again.
 *
 * They are loaded one after the other: the unlearned one (asked in every form, and written as
 * GGUFs), the original, the one that never saw the rows, each GGUF, and the unlearned one again, to
 * be trained.  The unlearned one stays, and where routes are replayed the original is loaded beside
 * it once more.  A pass whose lines all are in items.jsonl is not asked again, nor is a model
 * loaded for it. */

#include "experiments/attack/attack_nudge.h"

#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "base/text_out.h"
#include "model/expert_list.h"
#include "model/gguf.h"
#include "unlearn/trainer.h"

enum { MAX_NEW = 256 };

const char *const attack_replay_names[ATTACK_N_REPLAYS] = {"original routes", "unlearned routes"};

/* ---- what is to be asked --------------------------------------------------------------------- */

static attack_pass *new_pass(attack_job *j, const char *model, const attack_form *form,
                             attack_pass *pass, dele_err *err)
{
    *pass = (attack_pass){.model = model,
                          .form = form,
                          .score = DELE_NEW(&j->arena, attack_score, form->n, err),
                          .first = j->n_asks};
    j->n_asks += form->n;
    return pass->score ? pass : NULL;
}

static attack_pass *all_forms(attack_job *j, const char *model, dele_err *err)
{
    attack_pass *passes = DELE_NEW(&j->arena, attack_pass, j->set.n_forms, err);
    for (size_t f = 0; passes && f < j->set.n_forms; f++)
        if (!new_pass(j, model, &j->set.form[f], &passes[f], err)) return NULL;
    return passes;
}

static dele_status plan_passes(attack_job *j, dele_err *err)
{
    const attack_settings *s = j->s;
    const attack_form *plain = &j->set.form[0];
    j->unlearned = all_forms(j, "unlearned", err);
    if (s->before) j->before = all_forms(j, "before", err);
    if (s->never) j->never = all_forms(j, "never", err);
    if (s->quantise) j->quantised = DELE_NEW(&j->arena, attack_pass, s->n_types, err);
    for (size_t t = 0; j->quantised && t < s->n_types; t++)
        new_pass(j, dele_dtype_of(s->type[t])->name, plain, &j->quantised[t], err);
    if (s->replay) j->replayed = DELE_NEW(&j->arena, attack_pass, ATTACK_N_REPLAYS, err);
    for (int i = 0; j->replayed && i < ATTACK_N_REPLAYS; i++)
        new_pass(j, attack_replay_names[i], plain, &j->replayed[i], err);
    if (s->relearn) j->relearnt = DELE_NEW(&j->arena, attack_pass, 1, err);
    if (j->relearnt) new_pass(j, "relearnt", plain, j->relearnt, err);
    return err->code ? err->code : attack_nudge_plan(j, err);
}

/* Which rows are learnt again. */
static dele_status draw_rows(attack_job *j, dele_err *err)
{
    const attack_settings *s = j->s;
    const size_t k = (size_t)s->relearn_rows;
    if (s->relearn && k >= j->set.n)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s has %zu rows: relearning %d leaves none to evaluate; "
                         "lower --relearn-rows",
                         s->forget, j->set.n, s->relearn_rows);
    size_t *order = DELE_NEW(&j->arena, size_t, j->set.n, err);
    j->trained = DELE_NEW(&j->arena, bool, j->set.n, err);
    if (!order || !j->trained) return DELE_ERR_MEMORY;
    dele_rng rng;
    dele_rng_seed(&rng, s->seed);
    for (size_t i = 0; i < j->set.n; i++) order[i] = i;
    dele_rng_shuffle(&rng, order, j->set.n);
    for (size_t i = 0; s->relearn && i < k; i++) j->trained[order[i]] = true;
    return DELE_OK;
}

/* Where no answer has a beginning and a rest, that is said, and the attack left out. */
static dele_status check_prefixes(attack_job *j, dele_err *err)
{
    const attack_settings *s = j->s;
    const bool alone = !s->quantise && !s->relearn && !s->template && !s->replay && !s->nudge;
    if (!s->prefix || j->set.form[j->set.n_forms - 1].kind == ATTACK_PREFIX) return DELE_OK;
    static const char why[] = "no answer is long enough for a prefix and a rest with a word in it";
    if (alone)
        return dele_fail(err, DELE_ERR_DATA, "%s: %s; choose other --attacks", s->forget, why);
    if (!s->common.quiet) dele_note("the attack \"prefix\" is left out: %s", why);
    return DELE_OK;
}

/* Makes the forms, the rows to relearn, the passes and the limits of generation from the unlearned
 * model, which is the first to be loaded.  Errors of options and data must come before the first
 * pass, since passes take hours.  By default as many tokens may be generated as the longest answer
 * has, and 8 more. */
static dele_status prepare(attack_job *j, const dele_model *model, dele_err *err)
{
    const attack_settings *s = j->s;
    if (s->relearn && s->eos && model->tokenizer && dele_tokenizer_eos(model->tokenizer) < 0)
        return dele_fail(err, DELE_ERR_DATA,
                         "the tokenizer has no end-of-text token; relearn with --no-eos");
    if (s->replay && dele_config_has_experts(&model->config, "the attack \"replay\"", err))
        return err->code;
    const attack_form_opts forms = {.chat = s->chat,
                                    .templates = s->template ? s->templates : NULL,
                                    .paraphrases = s->paraphrases,
                                    .prefixes = s->prefix ? s->prefixes : NULL};
    if (attack_forms_make(&j->set, &forms, model, &j->arena, err) || draw_rows(j, err) ||
        check_prefixes(j, err) || plan_passes(j, err))
        return err->code;
    int most = j->set.longest + 8 < MAX_NEW ? j->set.longest + 8 : MAX_NEW;
    if (most >= dele_longest(&model->config)) most = dele_longest(&model->config) - 1;
    j->how = (attack_score_opts){.chat = s->chat,
                                 .max_new = s->max_new ? s->max_new : most,
                                 .items = &j->result->items,
                                 .progress = &j->progress};
    for (size_t t = 0; t < s->n_types; t++) dele_gguf_count(j->n_stored[t], model, s->type[t]);
    return DELE_OK;
}

/* ---- models ---------------------------------------------------------------------------------- */

static dele_status run_passes(attack_job *j, attack_pass *pass, size_t n, const dele_model *model,
                              dele_err *err)
{
    dele_run run = {0};
    dele_status status = DELE_OK;
    for (size_t i = 0; i < n && !status; i++) {
        const bool known = attack_pass_done(&pass[i], &j->set, &j->result->items, err);
        status = err->code;
        if (!status && !known)
            status = attack_pass_run(&pass[i], &j->set, &run, model, &j->how, err);
    }
    dele_run_release(&run);
    return status;
}

static bool all_stand(attack_job *j, attack_pass *pass, size_t n, dele_err *err)
{
    bool all = true;
    for (size_t i = 0; i < n; i++)
        all = attack_pass_done(&pass[i], &j->set, &j->result->items, err) && all;
    return all;
}

static char *gguf_path(attack_job *j, size_t t, dele_err *err)
{
    return dele_printf(&j->arena, err, "%s/%s.gguf", j->result->dir.part,
                       dele_dtype_of(j->s->type[t])->name);
}

/* With the tokenizer where it is kept and can be expressed; read again here it gets the unlearned
 * model's. */
static dele_status write_gguf(attack_job *j, size_t t, const dele_model *model, dele_err *err)
{
    const char *path = gguf_path(j, t, err);
    dele_gguf_saved saved;
    dele_err own = {0};
    if (!path ||
        (all_stand(j, &j->quantised[t], 1, err) && (!j->s->keep || dele_path_exists(path))))
        return err->code;
    if (j->s->keep && !dele_gguf_save(&saved, model, path, j->s->type[t], true, &own))
        return DELE_OK;
    if (j->s->keep && own.code != DELE_ERR_UNSUPPORTED)
        return dele_fail(err, own.code, "%s", own.msg);
    if (j->s->keep && !j->s->common.quiet) dele_note("%s", own.msg);
    return dele_gguf_save(&saved, model, path, j->s->type[t], false, err);
}

/* The unlearned model: every form, and the GGUFs made of it. */
static dele_status ask_unlearned(attack_job *j, const dele_model *model, dele_err *err)
{
    if (run_passes(j, j->unlearned, j->set.n_forms, model, err)) return err->code;
    for (size_t t = 0; t < j->s->n_types && !err->code; t++) write_gguf(j, t, model, err);
    return err->code;
}

static dele_status load_unlearned(dele_model *model, const attack_settings *s, dele_arena *arena,
                                  dele_err *err)
{
    return dele_adapters_load(model, s->model, &s->adapters, s->memory, SIZE_MAX, arena, err);
}

/* The original, or the model that never saw the rows: every form. */
static dele_status ask_other(attack_job *j, const char *path, attack_pass *passes, dele_err *err)
{
    dele_arena arena = {0};
    dele_model model = {0};
    if (!passes || all_stand(j, passes, j->set.n_forms, err)) return err->code;
    if (!dele_model_load_wide(&model, path, j->s->memory, &arena, err) &&
        !attack_same_tokens(&j->set, j->s->chat, &model, err))
        run_passes(j, passes, j->set.n_forms, &model, err);
    dele_model_release(&model);
    dele_arena_release(&arena);
    return err->code;
}

static dele_status ask_quantised(attack_job *j, size_t t, dele_tokenizer *tokenizer, dele_err *err)
{
    dele_arena arena = {0};
    dele_model model = {0};
    const char *path = gguf_path(j, t, err);
    if (!path) return DELE_ERR_MEMORY;
    if (!all_stand(j, &j->quantised[t], 1, err) && !err->code &&
        !dele_model_load_wide(&model, path, j->s->memory, &arena, err)) {
        dele_tokenizer_close(model.tokenizer);
        model.tokenizer = tokenizer; /* the caller's */
        run_passes(j, &j->quantised[t], 1, &model, err);
        model.tokenizer = NULL;
    }
    dele_model_release(&model);
    dele_arena_release(&arena);
    if (!err->code && !j->s->keep && dele_path_exists(path) && unlink(path))
        return dele_fail(err, DELE_ERR_FILE, "%s could not be removed", path);
    return err->code;
}

/* ---- another model's routes ------------------------------------------------------------------ */

static dele_status check_same_routing(const dele_model *a, const dele_model *b, dele_err *err)
{
    const dele_config *x = &a->config, *y = &b->config;
    bool same = x->n_layers == y->n_layers && x->n_experts == y->n_experts && x->top_k == y->top_k;
    for (int l = 0; same && l < x->n_layers; l++)
        same = dele_layer_is_sparse(x, l) == dele_layer_is_sparse(y, l);
    return same ? DELE_OK
                : dele_fail(err, DELE_ERR_DATA,
                            "%s and %s do not have the same layers and experts, so neither can "
                            "follow the other's routes",
                            a->path, b->path);
}

/* The unlearned weights on the original's routes, and the original's weights on those of the
 * unlearned model: whether what was forgotten is gone from the weights, or is only not reached. */
static dele_status ask_replayed(attack_job *j, const dele_model *unlearned, dele_err *err)
{
    dele_arena arena = {0};
    dele_model before = {0};
    if (!j->replayed || all_stand(j, j->replayed, ATTACK_N_REPLAYS, err)) return err->code;
    if (!dele_model_load_wide(&before, j->s->before, j->s->memory, &arena, err) &&
        !attack_same_tokens(&j->set, j->s->chat, &before, err) &&
        !check_same_routing(unlearned, &before, err)) {
        j->how.router = &before;
        run_passes(j, &j->replayed[ATTACK_ORIGINAL_ROUTES], 1, unlearned, err);
        j->how.router = unlearned;
        if (!err->code) run_passes(j, &j->replayed[ATTACK_UNLEARNED_ROUTES], 1, &before, err);
        j->how.router = NULL;
    }
    dele_model_release(&before);
    dele_arena_release(&arena);
    return err->code;
}

/* ---- learning again -------------------------------------------------------------------------- */

/* A row as it is asked, and the end of text after it. */
static dele_status add_row(dele_dataset *rows, const attack_job *j, size_t i,
                           const dele_tokenizer *t, dele_arena *arena, dele_err *err)
{
    const attack_ask *ask = &j->set.form[0].ask[i];
    const size_t n = (size_t)ask->n;
    int *ids = DELE_NEW(arena, int, n + 1, err);
    if (!ids) return DELE_ERR_MEMORY;
    memcpy(ids, ask->ids, n * sizeof *ids);
    ids[n] = dele_tokenizer_eos(t);
    return dele_dataset_add_sequence(
        rows, (dele_sequence){ids, n + j->s->eos, (size_t)ask->first, j->set.row[i].line}, arena,
        err);
}

/* All the rows in every update: so many updates are as many epochs. */
static dele_status learn_again(attack_job *j, dele_model *model, dele_arena *arena, dele_err *err)
{
    const attack_settings *s = j->s;
    dele_dataset rows = {0};
    dele_mask mask;
    dele_train_report report;
    dele_writer steps = {0};
    dele_train_options o = DELE_TRAIN_DEFAULTS;
    o.objective = &dele_objective_ce;
    o.adamw.lr = s->relearn_lr;
    o.schedule = DELE_CONSTANT;
    o.epochs = s->relearn_updates;
    o.batch = s->relearn_rows;
    o.collapse = 0;
    o.seed = s->seed;
    for (size_t i = 0; i < j->set.n && !err->code; i++)
        if (j->trained[i]) add_row(&rows, j, i, model->tokenizer, arena, err);
    const char *path = dele_printf(arena, err, "%s/relearn.tsv", j->result->dir.part);
    if (err->code || dele_mask_parse(&mask, model, s->layers, s->parts, arena, err) ||
        dele_writer_open(&steps, path, err))
        return err->code;
    const dele_trainable trainable = {.model = model, .mask = &mask};
    const dele_train_data data = {.set = {[DELE_RETAIN] = &rows}};
    const dele_train_output output = {.steps = steps.stream};
    if (dele_train(&report, &trainable, &data, &o, &output, err))
        dele_writer_abandon(&steps);
    else
        dele_writer_commit(&steps, err);
    return err->code;
}

static dele_status ask_relearnt(attack_job *j, dele_err *err)
{
    dele_arena arena = {0};
    dele_model model = {0};
    if (!j->relearnt || all_stand(j, j->relearnt, 1, err)) return err->code;
    if (!load_unlearned(&model, j->s, &arena, err) && !learn_again(j, &model, &arena, err))
        run_passes(j, j->relearnt, 1, &model, err);
    dele_model_release(&model);
    dele_arena_release(&arena);
    return err->code;
}

/* ---- all of it ------------------------------------------------------------------------------- */

dele_status attack_run(attack_job *j, attack_settings *s, dele_err *err)
{
    dele_arena arena = {0}; /* the unlearned model's; its tokenizer is used to the end */
    dele_model model = {0};
    if (load_unlearned(&model, s, &arena, err) ||
        dele_chat_open(&s->chat, s->asked_chat, model.tokenizer, &arena, err) ||
        attack_rows_load(&j->set, s->forget, s->limit, &j->arena, err) || prepare(j, &model, err) ||
        attack_nudge_check(j, &model, err)) {
        dele_model_release(&model);
        dele_arena_release(&arena);
        return err->code;
    }
    dele_progress_begin(&j->progress, s->common.quiet ? NULL : stderr, "attack", "prompts",
                        (double)j->n_asks);
    dele_progress_from(&j->progress, (double)j->result->items.n_old);
    if (!ask_unlearned(j, &model, err) && !ask_other(j, s->before, j->before, err) &&
        !ask_other(j, s->never, j->never, err))
        for (size_t t = 0; t < s->n_types && !err->code; t++)
            ask_quantised(j, t, model.tokenizer, err);
    if (!err->code) ask_replayed(j, &model, err);
    if (!err->code) attack_nudge_run(j, &model, err);
    if (!err->code) ask_relearnt(j, err);
    dele_progress_end(&j->progress);
    dele_items_close(&j->result->items, err);
    dele_model_release(&model);
    dele_arena_release(&arena);
    return err->code;
}
