#include "unlearn/job_report.h"

#include <math.h>

#include "base/json_out.h"
#include "base/progress.h"
#include "base/text_out.h"
#include "tensor/gemm.h"
#include "unlearn/cost.h"

/* ---- before ---------------------------------------------------------------------------------- */

static void say_set(const char *name, const dele_dataset *set)
{
    fprintf(stderr, "  %-9s %zu rows, %zu tokens, %zu of them labels, longest row %zu", name,
            set->n, set->tokens, set->labels, set->longest);
    if (set->n_cut) fprintf(stderr, "; %zu cut to --max-length", set->n_cut);
    if (set->n_left_out)
        fprintf(stderr, "; %zu left out: the prompt alone is longer", set->n_left_out);
    fputc('\n', stderr);
}

/* The listed experts, with the affinity by which they were chosen or the traffic by which retain
 * tokens are weighed. */
static void say_experts(const dele_job *job)
{
    enum { SHOWN = 8 };
    for (size_t i = 0; i < job->listed.n && i < SHOWN; i++) {
        const dele_expert e = job->listed.expert[i];
        fprintf(stderr, "%s%d:%d", i ? ", " : "  experts   ", e.layer, e.expert);
        if (job->affinity.of)
            fprintf(stderr, " (affinity %.3f)",
                    job->affinity.of[e.layer * job->affinity.n_experts + e.expert]);
        if (job->traffic)
            fprintf(stderr, " (%.1f %% of forget labels, %.1f %% of retain labels)",
                    100 * job->traffic[i].forget, 100 * job->traffic[i].retain);
    }
    if (job->listed.n > SHOWN) fprintf(stderr, " and %zu more", job->listed.n - SHOWN);
    if (job->listed.n) fputc('\n', stderr);
}

static void say_memory(const dele_job *job, const dele_trainable *trainable,
                       const dele_train_data *data, const dele_train_report *plan)
{
    const dele_train_size size = dele_train_size_of(data, &job->train, plan);
    dele_train_memory m;
    if (dele_train_count(&m, trainable, &job->train, &size, NULL)) return;
    fprintf(stderr,
            "  memory    about %zu MiB: weights %zu, gradients, moments and copies %zu, "
            "activations %zu\n",
            m.total >> 20, m.weights >> 20, m.buffers >> 20, m.activations >> 20);
}

/* At nine tenths of the rate of a matrix product of an update's size: what the rest of a training
 * step leaves of it. */
static void say_time(const dele_job *job, const dele_trainable *trainable,
                     const dele_train_data *data, const dele_train_report *plan)
{
    const dele_config *c = &trainable->model->config;
    const size_t update = plan->tokens_in_all / plan->updates, most = job->train.batch_tokens;
    const double rate = gemm_rate(update < most ? update : most, (size_t)c->intermediate_size,
                                  (size_t)c->hidden_size);
    const double flops = dele_train_flops(trainable, data, &job->train, plan);
    if (!(rate > 0)) return;
    fprintf(stderr, "  time      about ");
    dele_print_duration(stderr, flops / (0.9 * rate));
    fprintf(stderr, ": %.3g TFLOP, matrix products running at %.0f GFLOP/s now%s\n", flops / 1e12,
            rate / 1e9, data->evaluation.mmlu ? "; MMLU evaluations not counted" : "");
}

static void say_adapters(const dele_model *model)
{
    const dele_perft *p = &model->config.perft;
    const dele_perft_counts n = dele_perft_count(&model->config);
    fprintf(stderr, "  adapters  %s, %s, rank %d, %d in a layer", dele_perft_name[p->variant],
            dele_perft_forms[p->parallel], p->rank, p->adapters);
    if (p->variant == DELE_PERFT_R) fprintf(stderr, ", top %d", p->top_k);
    fprintf(stderr, "%s: %zu weights, %zu of them used for a token\n",
            p->compat ? ", as released" : "", n.trainable, n.activated);
}

void dele_job_print_plan(const dele_job *job, const dele_trainable *trainable,
                         const dele_train_data *data)
{
    const dele_dataset *forget = data->set[DELE_FORGET], *retain = data->set[DELE_RETAIN];
    const dele_mask *mask = trainable->mask;
    dele_train_report plan;
    if (dele_train_plan(&plan, data, &job->train, NULL)) return;
    fprintf(stderr, "plan\n");
    if (forget) say_set("forget", forget);
    if (retain) say_set(forget ? "retain" : "data", retain);
    if (job->answers) dele_text_line(stderr, "  answers   %s", job->answers);
    char chunks[40] = "";
    if (job->train.chunks > 1)
        snprintf(chunks, sizeof chunks, "%d chunks of about ", job->train.chunks);
    fprintf(stderr, "  updates   %zu = %s%d epochs of %zu, %zu rows, about %zu tokens\n",
            plan.updates, chunks, job->train.epochs, plan.updates_per_epoch, plan.rows_in_all,
            plan.tokens_in_all);
    fprintf(stderr, "  training  %zu of %zu tensors, %.2f of %.2f million weights\n",
            mask->n_trained, trainable->model->n_tensors, (double)mask->n_parameters / 1e6,
            (double)dele_model_parameters(trainable->model) / 1e6);
    say_experts(job);
    if (trainable->lora)
        fprintf(stderr, "  adapters  rank %d, %.2f million weights\n", job->lora,
                (double)dele_lora_parameters(trainable->lora) / 1e6);
    if (trainable->model->config.perft.variant) say_adapters(trainable->model);
    say_memory(job, trainable, data, &plan);
    say_time(job, trainable, data, &plan);
}

/* ---- evaluations ----------------------------------------------------------------------------- */

/* How the weights of the result were selected, in words. */
static void say_rule(char *text, size_t size, const dele_job_result *result)
{
    const dele_evaluation_options *o = &result->job->train.evaluations;
    const bool best = o->select == DELE_SELECT_BEST;
    size_t n =
        (size_t)snprintf(text, size,
                         best ? "highest forget NLL of the checkpoints evaluated every %d updates"
                              : "last checkpoint, evaluated every %d updates",
                         o->eval_every);
    const char *word = best ? ", with" : "; stopped beyond";
    if (!isnan(o->retain_budget) && n < size) {
        n += (size_t)snprintf(text + n, size - n, "%s retain NLL at most %g above the start's",
                              word, o->retain_budget);
        word = " and";
    }
    if (!isnan(o->mmlu_budget) && n < size)
        n += (size_t)snprintf(text + n, size - n, "%s MMLU at most %g below the start's", word,
                              o->mmlu_budget);
    if (result->data->evaluation.set[DELE_HOLDOUT] && n < size)
        n += (size_t)snprintf(text + n, size - n,
                              "; training ends once forget NLL reaches holdout NLL");
    if (best && n < size) snprintf(text + n, size - n, "; ties: the earliest");
}

static cJSON *evaluation_json(const dele_evaluation *k)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddNumberToObject(j, "update", (double)k->update);
    cJSON_AddItemToObject(j, "forget_nll", dele_json_number(k->nll[DELE_FORGET]));
    cJSON_AddItemToObject(j, "forget_exact", dele_json_number(k->exact[DELE_FORGET]));
    cJSON_AddItemToObject(j, "retain_nll", dele_json_number(k->nll[DELE_RETAIN]));
    cJSON_AddItemToObject(j, "retain_exact", dele_json_number(k->exact[DELE_RETAIN]));
    cJSON_AddItemToObject(j, "holdout_nll", dele_json_number(k->nll[DELE_HOLDOUT]));
    cJSON_AddItemToObject(j, "mmlu", dele_json_number(k->mmlu));
    if (!isnan(k->routes[DELE_FORGET]))
        cJSON_AddItemToObject(j, "forget_routes", dele_json_number(k->routes[DELE_FORGET]));
    if (!isnan(k->routes[DELE_RETAIN]))
        cJSON_AddItemToObject(j, "retain_routes", dele_json_number(k->routes[DELE_RETAIN]));
    cJSON_AddBoolToObject(j, "within_budget", k->within);
    return j;
}

static cJSON *evaluations_json(const dele_job_result *result)
{
    const dele_train_report *r = result->report;
    char rule[400];
    cJSON *j = cJSON_CreateObject();
    say_rule(rule, sizeof rule, result);
    cJSON_AddStringToObject(j, "selection", rule);
    cJSON_AddItemToObject(j, "start", evaluation_json(&r->start));
    cJSON_AddItemToObject(j, "selected", evaluation_json(&r->selected));
    cJSON_AddBoolToObject(j, "stopped_by_budget", r->stopped && !r->enough);
    cJSON_AddBoolToObject(j, "stopped_by_holdout", r->enough);
    return j;
}

static void print_check(const char *name, double start, double chosen)
{
    if (!isnan(start)) printf("%s\t%.3f to %.3f\n", name, start, chosen);
}

/* Of both sets, whatever the objective's own loss is called. */
static void print_before_after(const dele_train_report *r)
{
    const dele_evaluation *a = &r->before_after[0], *b = &r->before_after[1];
    print_check("forget NLL", a->nll[DELE_FORGET], b->nll[DELE_FORGET]);
    print_check("forget exact", a->exact[DELE_FORGET], b->exact[DELE_FORGET]);
    print_check("retain NLL", a->nll[DELE_RETAIN], b->nll[DELE_RETAIN]);
    print_check("retain exact", a->exact[DELE_RETAIN], b->exact[DELE_RETAIN]);
    print_check("forget routes", a->routes[DELE_FORGET], b->routes[DELE_FORGET]);
    print_check("retain routes", a->routes[DELE_RETAIN], b->routes[DELE_RETAIN]);
}

/* {"before": {"forget_nll", "forget_exact", ...}, "after": {...}} of both sets; NULL where none was
 * scored. */
static cJSON *before_after_json(const dele_train_report *r)
{
    static const char *const times[] = {"before", "after"},
                             *const names[2][3] = {{"forget_nll", "forget_exact", "forget_routes"},
                                                   {"retain_nll", "retain_exact", "retain_routes"}};
    if (isnan(r->before_after[0].nll[DELE_FORGET]) && isnan(r->before_after[0].nll[DELE_RETAIN]))
        return NULL;
    cJSON *j = cJSON_CreateObject();
    for (int i = 0; i < 2; i++) {
        cJSON *score = cJSON_AddObjectToObject(j, times[i]);
        for (int side = DELE_FORGET; side <= DELE_RETAIN; side++) {
            if (isnan(r->before_after[i].nll[side])) continue;
            cJSON_AddItemToObject(score, names[side][0],
                                  dele_json_number(r->before_after[i].nll[side]));
            cJSON_AddItemToObject(score, names[side][1],
                                  dele_json_number(r->before_after[i].exact[side]));
            if (!isnan(r->before_after[i].routes[side]))
                cJSON_AddItemToObject(score, names[side][2],
                                      dele_json_number(r->before_after[i].routes[side]));
        }
    }
    return j;
}

/* A warning that hardly anything was forgotten: the NLL rose by less than a tenth of a nat per
 * label, and exact match fell by less than a tenth.  Rows that were never known cannot be
 * forgotten, and the warning says that instead.  A run that ended because forget NLL reached
 * holdout NLL did what it was asked to do, and has no warning.  The suggestion is fifty updates in
 * all (or twice as many as there were), three times the learning rate, and a quarter of the batch
 * where an epoch has few updates.  In the arena; NULL: no warning. */
static const char *warning_of(const dele_job *job, const dele_train_report *r, dele_arena *arena,
                              dele_err *err)
{
    const dele_evaluation *a = &r->before_after[0], *b = &r->before_after[1];
    if (isnan(a->nll[DELE_FORGET]) || r->enough) return NULL;
    if (a->exact[DELE_FORGET] == 0 && a->nll[DELE_FORGET] > 1)
        return dele_printf(
            arena, err,
            "the model did not know the forget set before training: NLL %.3f, no exact match. Was "
            "it fine-tuned on these rows, with the same chat template (--chat)?",
            a->nll[DELE_FORGET]);
    if (!(b->nll[DELE_FORGET] - a->nll[DELE_FORGET] < 0.1) ||
        !(a->exact[DELE_FORGET] - b->exact[DELE_FORGET] < 0.1))
        return NULL;
    const size_t per_epoch = r->updates_per_epoch ? r->updates_per_epoch : 1;
    const char *batch = "";
    if (job->train.batch > 4 && per_epoch < 20)
        batch = dele_printf(arena, err, ", --batch %d (now %d; more updates per epoch)",
                            job->train.batch < 8 ? 2 : job->train.batch / 4, job->train.batch);
    const size_t epochs = (size_t)job->train.epochs,
                 more = epochs * per_epoch < 50 ? (50 + per_epoch - 1) / per_epoch : 2 * epochs;
    return batch ? dele_printf(arena, err,
                               "the forget loss hardly changed in %zu updates (%zu per epoch): NLL "
                               "%.3f to %.3f, exact "
                               "match %.3f to %.3f. Try --epochs %zu (now %zu), --lr %g (now %g)%s",
                               r->done, per_epoch, a->nll[DELE_FORGET], b->nll[DELE_FORGET],
                               a->exact[DELE_FORGET], b->exact[DELE_FORGET], more, epochs,
                               3 * job->train.adamw.lr, job->train.adamw.lr, batch)
                 : NULL;
}

/* {"forget": {"mean", "layers": [share or null, ...]}, "retain": ...}: the share of routes that are
 * those before training. */
static cJSON *routes_json(const dele_job_result *result)
{
    static const char *const names[DELE_EVALUATED_SETS] = {"forget", "retain", "holdout"};
    cJSON *j = cJSON_CreateObject();
    for (int k = 0; k < DELE_EVALUATED_SETS; k++) {
        const dele_route_drift *d = result->data->evaluation.routes[k];
        if (!d) continue;
        cJSON *set = cJSON_AddObjectToObject(j, names[k]);
        cJSON_AddItemToObject(set, "mean", dele_json_number(d->mean));
        cJSON *layers = cJSON_AddArrayToObject(set, "layers");
        for (int l = 0; l < d->n_layers; l++)
            cJSON_AddItemToArray(layers, dele_json_number(d->share[l]));
    }
    return j;
}

static void add_scores(cJSON *to, const dele_job_result *result)
{
    dele_arena arena = {0};
    cJSON *scores = before_after_json(result->report);
    const char *warning = warning_of(result->job, result->report, &arena, NULL);
    if (scores) cJSON_AddItemToObject(to, "scores", scores);
    if (result->data->evaluation.routes[DELE_FORGET])
        cJSON_AddItemToObject(to, "unchanged_routes", routes_json(result));
    if (warning) cJSON_AddStringToObject(to, "warning", warning);
    dele_arena_release(&arena);
}

static void print_checks(const dele_job_result *result)
{
    const dele_train_report *r = result->report;
    char rule[400];
    const dele_evaluation *a = &r->start, *b = &r->selected;
    say_rule(rule, sizeof rule, result);
    printf("selected\tupdate %zu: %s\n", b->update, rule);
    if (r->enough)
        printf("stopped\tforget NLL reached holdout NLL\n");
    else if (r->stopped)
        printf("stopped\tbeyond a budget at %d evaluations in a row\n",
               result->job->train.evaluations.patience);
    print_check("holdout NLL", a->nll[DELE_HOLDOUT], b->nll[DELE_HOLDOUT]);
    print_check("MMLU", a->mmlu, b->mmlu);
}

/* ---- after ----------------------------------------------------------------------------------- */

static const char *kept_state(const dele_job_result *result)
{
    const dele_train_report *r = result->report;
    const dele_evaluation_options *o = &result->job->train.evaluations;
    if (o->eval_every && o->select == DELE_SELECT_BEST) return "best of the evaluated checkpoints";
    return result->trouble->code ? "last good weights"
           : r->enough           ? "where forget NLL reached holdout NLL"
           : r->stopped          ? "where a budget stopped it"
                                 : "after the last update";
}

/* What a mixture's routers and experts had of the run: the listed experts, the last update's terms,
 * the directions that the projection leaves out. */
static void add_router(cJSON *training, const dele_job_result *result)
{
    const dele_job *job = result->job;
    const dele_train_report *r = result->report;
    cJSON *experts = job->listed.n ? cJSON_AddArrayToObject(training, "experts") : NULL;
    for (size_t i = 0; i < job->listed.n; i++) {
        const dele_expert e = job->listed.expert[i];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddNumberToObject(one, "layer", e.layer);
        cJSON_AddNumberToObject(one, "expert", e.expert);
        if (job->affinity.of)
            cJSON_AddNumberToObject(one, "affinity",
                                    job->affinity.of[e.layer * job->affinity.n_experts + e.expert]);
        if (job->traffic) {
            cJSON_AddNumberToObject(one, "forget_share", job->traffic[i].forget);
            cJSON_AddNumberToObject(one, "retain_share", job->traffic[i].retain);
        }
        cJSON_AddItemToArray(experts, one);
    }
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++) {
        if (!(job->train.router.coefficient[i] > 0)) continue;
        cJSON *term = cJSON_AddObjectToObject(training, dele_term_name[i]);
        cJSON_AddNumberToObject(term, "weight", job->train.router.coefficient[i]);
        cJSON_AddNumberToObject(term, "first", r->first.router[i]);
        cJSON_AddNumberToObject(term, "last", r->last.router[i]);
    }
    if (!job->train.router_projection) return;
    cJSON *projection = cJSON_AddObjectToObject(training, "router_projection");
    cJSON_AddNumberToObject(projection, "directions", job->train.router_projection);
    cJSON_AddNumberToObject(projection, "least_share", r->kept[0]);
    cJSON_AddNumberToObject(projection, "most_share", r->kept[1]);
}

cJSON *dele_job_training_json(const dele_job_result *result)
{
    const dele_train_report *report = result->report;
    const dele_trainable *trainable = result->trainable;
    cJSON *training = cJSON_CreateObject();
    cJSON_AddNumberToObject(training, "updates_planned", (double)report->updates);
    cJSON_AddNumberToObject(training, "updates_done", (double)report->done);
    cJSON_AddNumberToObject(training, "rows", (double)report->last.rows);
    cJSON_AddNumberToObject(training, "tokens", (double)report->last.tokens);
    cJSON_AddNumberToObject(training, "labels", (double)report->last.labels);
    cJSON_AddNumberToObject(training, "tensors_trained", (double)trainable->mask->n_trained);
    cJSON_AddNumberToObject(training, "weights_trained", (double)trainable->mask->n_parameters);
    add_router(training, result);
    if (trainable->lora)
        cJSON_AddNumberToObject(training, "adapter_weights",
                                (double)dele_lora_parameters(trainable->lora));
    if (trainable->model->config.perft.variant)
        cJSON_AddNumberToObject(training, "adapter_weights_activated",
                                (double)dele_perft_count(&trainable->model->config).activated);
    if (result->job->train.evaluations.eval_every)
        cJSON_AddItemToObject(training, "evaluations", evaluations_json(result));
    add_scores(training, result);
    cJSON_AddStringToObject(training, "checkpoint", kept_state(result));
    if (result->trouble->code) cJSON_AddStringToObject(training, "stopped", result->trouble->msg);
    return training;
}

/* The result for --json.  A run with two sides names its losses by side; finetune and an objective
 * that learns its one set name it the loss. */
static void print_json(const dele_job_result *result)
{
    const dele_train_report *r = result->report;
    const bool two_sides = result->data->set[DELE_FORGET];
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "out", result->job->out);
    cJSON_AddNumberToObject(j, "updates", (double)r->done);
    cJSON_AddNumberToObject(j, "rows", (double)r->last.rows);
    cJSON_AddNumberToObject(j, "tokens", (double)r->last.tokens);
    if (two_sides) {
        cJSON_AddItemToObject(j, "forget_first", dele_json_number(r->first.loss[DELE_FORGET]));
        cJSON_AddItemToObject(j, "forget_last", dele_json_number(r->last.loss[DELE_FORGET]));
    }
    cJSON_AddItemToObject(j, two_sides ? "retain_first" : "loss_first",
                          dele_json_number(r->first.loss[DELE_RETAIN]));
    cJSON_AddItemToObject(j, two_sides ? "retain_last" : "loss_last",
                          dele_json_number(r->last.loss[DELE_RETAIN]));
    if (result->job->train.evaluations.eval_every)
        cJSON_AddItemToObject(j, "evaluations", evaluations_json(result));
    add_scores(j, result);
    char *text = dele_json_text(j, false);
    if (text) puts(text);
    cJSON_free(text);
    cJSON_Delete(j);
}

static void print_table(const dele_job_result *result)
{
    const dele_train_report *r = result->report;
    const bool two_sides = result->data->set[DELE_FORGET];
    printf("updates\t%zu\n", r->done);
    if (two_sides)
        printf("forget loss\t%.3f to %.3f\n", r->first.loss[DELE_FORGET],
               r->last.loss[DELE_FORGET]);
    if (r->rows[DELE_RETAIN])
        printf("%s\t%.3f to %.3f\n", two_sides ? "retain loss" : "loss", r->first.loss[DELE_RETAIN],
               r->last.loss[DELE_RETAIN]);
    print_before_after(r);
    if (result->job->train.evaluations.eval_every) print_checks(result);
    fputs(result->trainable->model->config.perft.variant ? "adapters\t" : "checkpoint\t", stdout);
    dele_text_put(stdout, result->job->out, DELE_TEXT_CELL);
    putchar('\n');
}

void dele_job_print_result(const dele_job_result *result, const dele_common *common)
{
    const dele_train_report *r = result->report;
    if (common->json) {
        print_json(result);
        return;
    }
    print_table(result);
    dele_arena arena = {0};
    const char *warning = warning_of(result->job, r, &arena, NULL);
    if (warning) dele_note("warning: %s", warning);
    dele_arena_release(&arena);
    if (!common->quiet && r->seconds > 0)
        fprintf(stderr, "%zu tokens in %.1f s: %.0f tokens/s\n", r->last.tokens - r->before.tokens,
                r->seconds, (double)(r->last.tokens - r->before.tokens) / r->seconds);
}
