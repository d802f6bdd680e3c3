/* What is done to models: asked as they are, written as GGUFs of few bits and read again, taught a few rows again.
 *
 * They are loaded one after the other: the unlearned one (asked in every form, and written as GGUFs), the original, the one
 * that never saw the rows, each GGUF, and the unlearned one again, to be trained.  A pass whose lines all stand in
 * items.jsonl is not asked again, nor is a model loaded for it. */
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "experiments/attack_job.h"
#include "model/gguf.h"
#include "unlearn/trainer.h"

enum { MAX_NEW = 256 };

/* ---- what is to be asked ------------------------------------------------------------------------------------------ */

static attack_pass *new_pass(attack_job *j, const char *model, const attack_form *form, attack_pass *pass, lac_err *err)
{
    *pass = (attack_pass){
        .model = model, .form = form, .score = LAC_NEW(&j->arena, attack_score, form->n, err), .first = j->n_asks};
    j->n_asks += form->n;
    return pass->score ? pass : NULL;
}

static attack_pass *all_forms(attack_job *j, const char *model, lac_err *err)
{
    attack_pass *passes = LAC_NEW(&j->arena, attack_pass, j->set.n_forms, err);
    for (size_t f = 0; passes && f < j->set.n_forms; f++)
        if (!new_pass(j, model, &j->set.form[f], &passes[f], err)) return NULL;
    return passes;
}

static lac_status plan_passes(attack_job *j, lac_err *err)
{
    const attack_settings *s = j->s;
    const attack_form *plain = &j->set.form[0];
    j->unlearned = all_forms(j, "unlearned", err);
    if (s->before) j->before = all_forms(j, "before", err);
    if (s->never) j->never = all_forms(j, "never", err);
    if (s->quantise) j->quantised = LAC_NEW(&j->arena, attack_pass, s->n_types, err);
    for (size_t t = 0; j->quantised && t < s->n_types; t++)
        new_pass(j, lac_dtype_of(s->type[t])->name, plain, &j->quantised[t], err);
    if (s->relearn) j->relearnt = LAC_NEW(&j->arena, attack_pass, 1, err);
    if (j->relearnt) new_pass(j, "relearnt", plain, j->relearnt, err);
    return err->code;
}

/* Which rows are learnt again. */
static lac_status draw_rows(attack_job *j, lac_err *err)
{
    const attack_settings *s = j->s;
    const size_t k = (size_t)s->relearn_rows;
    if (s->relearn && k >= j->set.n)
        return lac_fail(err, LAC_ERR_DATA,
                        "%s has %zu rows: of %d that are learnt again none would be left to ask for; "
                        "lower --relearn-rows",
                        s->forget, j->set.n, s->relearn_rows);
    size_t *order = LAC_NEW(&j->arena, size_t, j->set.n, err);
    j->trained = LAC_NEW(&j->arena, bool, j->set.n, err);
    if (!order || !j->trained) return LAC_ERR_MEMORY;
    lac_rng rng;
    lac_rng_seed(&rng, s->seed);
    for (size_t i = 0; i < j->set.n; i++) order[i] = i;
    lac_rng_shuffle(&rng, order, j->set.n);
    for (size_t i = 0; s->relearn && i < k; i++) j->trained[order[i]] = true;
    return LAC_OK;
}

/* Where no answer has a beginning and a rest, that is said, and the attack left out. */
static lac_status check_prefixes(attack_job *j, lac_err *err)
{
    const attack_settings *s = j->s;
    const bool alone = !s->quantise && !s->relearn && !s->template;
    if (!s->prefix || j->set.form[j->set.n_forms - 1].kind == ATTACK_PREFIX) return LAC_OK;
    static const char why[] = "no answer has tokens enough for a beginning and a rest with a word in it";
    if (alone) return lac_fail(err, LAC_ERR_DATA, "%s: %s; choose other --attacks", s->forget, why);
    if (!s->quiet) fprintf(stderr, "lacuna: the attack \"prefix\" is left out: %s\n", why);
    return LAC_OK;
}

static lac_status prepare(attack_job *j, const lac_model *model, lac_err *err)
{
    const attack_settings *s = j->s;
    if (s->relearn && s->eos && model->tokenizer && lac_tokenizer_eos(model->tokenizer) < 0)
        return lac_fail(err, LAC_ERR_DATA, "the tokenizer names no end-of-text token; learn again with --no-eos");
    const attack_form_opts forms = {.chat = s->chat,
                                    .templates = s->template ? s->templates : NULL,
                                    .paraphrases = s->paraphrases,
                                    .prefixes = s->prefix ? s->prefixes : NULL};
    if (attack_forms_make(&j->set, &forms, model, &j->arena, err) || draw_rows(j, err) || check_prefixes(j, err) ||
        plan_passes(j, err))
        return err->code;
    int most = j->set.longest + 8 < MAX_NEW ? j->set.longest + 8 : MAX_NEW;
    if (most >= model->config.context) most = model->config.context - 1;
    j->how =
        (attack_score_opts){.max_new = s->max_new ? s->max_new : most, .items = &j->items, .progress = &j->progress};
    for (size_t t = 0; t < s->n_types; t++)
        for (size_t i = 0; i < model->n_tensors; i++) j->n_stored[t][lac_gguf_dtype(&model->tensors[i], s->type[t])]++;
    return LAC_OK;
}

/* ---- models ------------------------------------------------------------------------------------------------------- */

static lac_status run_passes(attack_job *j, attack_pass *pass, size_t n, const lac_model *model, lac_err *err)
{
    lac_run run = {0};
    lac_status status = LAC_OK;
    for (size_t i = 0; i < n && !status; i++)
        if (!attack_pass_stands(&pass[i], &j->items))
            status = attack_pass_run(&pass[i], &j->set, &run, model, &j->how, err);
    lac_run_release(&run);
    return status;
}

static bool all_stand(attack_job *j, attack_pass *pass, size_t n)
{
    bool all = true;
    for (size_t i = 0; i < n; i++) all = attack_pass_stands(&pass[i], &j->items) && all;
    return all;
}

static char *gguf_path(attack_job *j, size_t t, lac_err *err)
{
    return lac_printf(&j->arena, err, "%s/%s.gguf", j->dir->part, lac_dtype_of(j->s->type[t])->name);
}

/* With the tokenizer where it is kept and can be expressed; read again here it gets the unlearned model's. */
static lac_status write_gguf(attack_job *j, size_t t, const lac_model *model, lac_err *err)
{
    const char *path = gguf_path(j, t, err);
    lac_gguf_saved saved;
    lac_err own = {0};
    if (!path || (all_stand(j, &j->quantised[t], 1) && (!j->s->keep || lac_path_exists(path)))) return err->code;
    if (j->s->keep && !lac_gguf_save(&saved, model, path, j->s->type[t], true, &own)) return LAC_OK;
    if (j->s->keep && own.code != LAC_ERR_UNSUPPORTED) return lac_fail(err, own.code, "%s", own.msg);
    if (j->s->keep && !j->s->quiet) fprintf(stderr, "lacuna: %s\n", own.msg);
    return lac_gguf_save(&saved, model, path, j->s->type[t], false, err);
}

/* The unlearned model: every form, and the GGUFs made of it. */
static lac_status ask_unlearned(attack_job *j, const lac_model *model, lac_err *err)
{
    if (run_passes(j, j->unlearned, j->set.n_forms, model, err)) return err->code;
    for (size_t t = 0; t < j->s->n_types && !err->code; t++) write_gguf(j, t, model, err);
    return err->code;
}

/* The original, or the model that never saw the rows: every form. */
static lac_status ask_other(attack_job *j, const char *path, attack_pass *passes, lac_err *err)
{
    lac_arena arena = {0};
    lac_model model = {0};
    if (!passes || all_stand(j, passes, j->set.n_forms)) return LAC_OK;
    if (!lac_model_load(&model, path, &arena, err) && !attack_same_tokens(&j->set, j->s->chat, &model, err))
        run_passes(j, passes, j->set.n_forms, &model, err);
    lac_model_release(&model);
    lac_arena_release(&arena);
    return err->code;
}

static lac_status ask_quantised(attack_job *j, size_t t, lac_tokenizer *tokenizer, lac_err *err)
{
    lac_arena arena = {0};
    lac_model model = {0};
    const char *path = gguf_path(j, t, err);
    if (!path) return LAC_ERR_MEMORY;
    if (!all_stand(j, &j->quantised[t], 1) && !lac_model_load(&model, path, &arena, err)) {
        lac_tokenizer_close(model.tokenizer);
        model.tokenizer = tokenizer; /* the caller's */
        run_passes(j, &j->quantised[t], 1, &model, err);
    }
    lac_arena_release(&arena);
    if (!err->code && !j->s->keep && lac_path_exists(path) && unlink(path))
        return lac_fail(err, LAC_ERR_FILE, "%s could not be removed", path);
    return err->code;
}

/* ---- learning again ----------------------------------------------------------------------------------------------- */

/* A row as it is asked, and the end of text behind it. */
static lac_status add_row(lac_dataset *rows, const attack_job *j, size_t i, const lac_tokenizer *t, lac_arena *arena,
                          lac_err *err)
{
    const attack_ask *ask = &j->set.form[0].ask[i];
    const size_t n = (size_t)ask->n;
    int *ids = LAC_NEW(arena, int, n + 1, err);
    if (!ids) return LAC_ERR_MEMORY;
    memcpy(ids, ask->ids, n * sizeof *ids);
    ids[n] = lac_tokenizer_eos(t);
    return lac_dataset_add_sequence(
        rows, (lac_sequence){ids, n + j->s->eos, (size_t)ask->first, j->set.row[i].line}, arena, err);
}

/* All the rows in every update: so many updates are as many epochs. */
static lac_status learn_again(attack_job *j, lac_model *model, lac_arena *arena, lac_err *err)
{
    const attack_settings *s = j->s;
    lac_dataset rows = {0};
    lac_mask mask;
    lac_train_report report;
    lac_writer steps = {0};
    lac_train_options o = LAC_TRAIN_DEFAULTS;
    o.objective = &lac_objective_ce;
    o.adamw.lr = s->relearn_lr;
    o.schedule = LAC_CONSTANT;
    o.epochs = s->relearn_updates;
    o.batch = s->relearn_rows;
    o.collapse = 0;
    o.seed = s->seed;
    for (size_t i = 0; i < j->set.n && !err->code; i++)
        if (j->trained[i]) add_row(&rows, j, i, model->tokenizer, arena, err);
    const char *path = lac_printf(arena, err, "%s/relearn.tsv", j->dir->part);
    if (err->code || lac_mask_parse(&mask, model, s->layers, s->parts, arena, err) ||
        lac_writer_open(&steps, path, err))
        return err->code;
    if (lac_train(&report, model, &mask, NULL, &rows, &o, steps.stream, NULL, err))
        lac_writer_abandon(&steps);
    else
        lac_writer_commit(&steps, err);
    return err->code;
}

static lac_status ask_relearnt(attack_job *j, lac_err *err)
{
    lac_arena arena = {0};
    lac_model model = {0};
    if (!j->relearnt || all_stand(j, j->relearnt, 1)) return LAC_OK;
    if (!lac_model_load(&model, j->s->model, &arena, err) && !learn_again(j, &model, &arena, err))
        run_passes(j, j->relearnt, 1, &model, err);
    lac_model_release(&model);
    lac_arena_release(&arena);
    return err->code;
}

/* ---- all of it ---------------------------------------------------------------------------------------------------- */

lac_status attack_run(attack_job *j, attack_settings *s, lac_err *err)
{
    lac_arena arena = {0}; /* the unlearned model's; its tokenizer is used to the end */
    lac_model model = {0};
    const char *path = lac_printf(&j->arena, err, "%s/items.jsonl", j->dir->part);
    if (!path || lac_model_load(&model, s->model, &arena, err) ||
        lac_chat_parse(&s->chat, s->chat_name, model.tokenizer, err) ||
        attack_rows_load(&j->set, s->forget, s->limit, &j->arena, err) || prepare(j, &model, err) ||
        lac_items_open(&j->items, path, err)) {
        lac_model_release(&model);
        lac_arena_release(&arena);
        return err->code;
    }
    if (j->items.n_old && !s->quiet)
        fprintf(stderr, "lacuna: going on behind %zu items that stand in %s\n", j->items.n_old, path);
    lac_progress_begin(&j->progress, s->quiet ? NULL : stderr, "attack", "prompts", (double)j->n_asks);
    lac_progress_from(&j->progress, (double)j->items.n_old);
    if (!ask_unlearned(j, &model, err) && !ask_other(j, s->before, j->before, err) &&
        !ask_other(j, s->never, j->never, err))
        for (size_t t = 0; t < s->n_types && !err->code; t++) ask_quantised(j, t, model.tokenizer, err);
    if (!err->code) ask_relearnt(j, err);
    lac_progress_end(&j->progress);
    lac_items_close(&j->items, err);
    lac_model_release(&model);
    lac_arena_release(&arena);
    return err->code;
}
