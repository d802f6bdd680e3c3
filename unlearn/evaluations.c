#include "unlearn/evaluations.h"

#include <limits.h>

const char *const dele_select_name[] = {"last", "best", NULL};

/* ---- a data set ------------------------------------------------------------------------------ */

/* Scores sequences in packed forward passes.  Tables have room for the positions of one pass. */
typedef struct {
    const dele_model *model;
    size_t batch_tokens; /* positions of a pass; a longer sequence has a pass of its own */
    dele_run run;
    dele_segment *segments;
    int *output_rows, *target, *greedy; /* [labels] greedy: the target is the most likely token */
    double *logp;                       /* [labels] of the target */
    dele_route_drift *drift;            /* NULL: routes are not recorded */
    dele_routes routes;                 /* of the present pass */
    size_t position;                    /* of its first row in the set */
    size_t n, n_rows, n_labels;         /* of the present pass: sequences, positions, labels */
} scorer;

static dele_status reserve_scorer(scorer *l, size_t rows, dele_arena *arena, dele_err *err)
{
    bool ok = (l->segments = DELE_NEW(arena, dele_segment, rows, err)) &&
              (l->output_rows = DELE_NEW(arena, int, rows, err)) &&
              (l->target = DELE_NEW(arena, int, rows, err)) &&
              (l->greedy = DELE_NEW(arena, int, rows, err)) &&
              (l->logp = DELE_NEW(arena, double, rows, err));
    return ok ? DELE_OK : err->code;
}

static void lay(scorer *l, const dele_sequence *s)
{
    for (size_t k = s->first_label; k < s->n; k++, l->n_labels++) {
        l->output_rows[l->n_labels] = (int)(l->n_rows + k - 1);
        l->target[l->n_labels] = s->ids[k];
    }
    l->segments[l->n++] =
        (dele_segment){.tokens = s->ids, .n_rows = (int)(s->n - 1), .n_after = 1};
    l->n_rows += s->n - 1;
}

static dele_status pass(scorer *l, dele_err *err)
{
    const dele_batch batch = {.segments = l->segments,
                              .n_segments = l->n,
                              .output_rows = l->output_rows,
                              .n_output_rows = l->n_labels,
                              .routes = l->drift ? &l->routes : NULL};
    if (dele_forward(&l->run, l->model, &batch, err)) return err->code;
    if (l->drift) dele_route_drift_pass(l->drift, &l->routes, l->position);
    l->position += l->n_rows;
    return dele_logprobs(l->logp, l->greedy, &l->run, l->model, l->run.final, l->target,
                         l->n_labels, err);
}

/* Packs as many rows as fit into a pass, and adds up their labels' NLL and the rows whose every
 * label is the most likely token. */
static dele_status evaluate(scorer *l, double *nll, double *exact, const dele_dataset *set,
                            dele_err *err)
{
    double sum = 0;
    size_t labels = 0, right = 0;
    for (size_t i = 0, begin = 0; i < set->n; begin = i) {
        l->n = l->n_rows = l->n_labels = 0;
        do lay(l, &set->row[i++]);
        while (i < set->n && l->n_rows + set->row[i].n - 1 <= l->batch_tokens);
        if (pass(l, err)) return err->code;
        for (size_t k = begin, at = 0; k < i; k++) {
            bool all = true;
            for (size_t end = at + set->row[k].n - set->row[k].first_label; at < end; at++) {
                sum -= l->logp[at];
                all = all && l->greedy[at];
            }
            right += all;
        }
        labels += l->n_labels;
    }
    *nll = sum / (double)labels;
    *exact = (double)right / (double)set->n;
    return DELE_OK;
}

dele_status dele_evaluate_set(double *nll, double *exact, dele_route_drift *routes,
                              const dele_model *model, const dele_dataset *set, size_t batch_tokens,
                              dele_err *err)
{
    scorer l = {.model = model, .batch_tokens = batch_tokens, .drift = routes};
    dele_arena arena = {0};
    const size_t most = batch_tokens > set->longest ? batch_tokens : set->longest;
    if (routes) dele_route_drift_begin(routes);
    if (!reserve_scorer(&l, most, &arena, err) &&
        !(routes && dele_routes_init(&l.routes, &model->config, most, &arena, err)) &&
        !evaluate(&l, nll, exact, set, err) && routes)
        dele_route_drift_end(routes);
    dele_run_release(&l.run);
    dele_arena_release(&arena);
    return err->code;
}

size_t dele_evaluate_bytes(const dele_model *model, const dele_pass_size *size)
{
    scorer l = {0};
    dele_arena counted = {.counts = true};
    dele_err err = {0};
    dele_status status = reserve_scorer(&l, size->n_rows, &counted, &err);
    if (!status && model->config.n_experts) /* routes are compared */
        status = dele_routes_init(&l.routes, &model->config, size->n_rows, &counted, &err);
    const size_t tables = counted.used;
    dele_arena_release(&counted);
    if (status) return SIZE_MAX;
    return DELE_BYTES(tables, dele_forward_bytes(&model->config, size), dele_tile_bytes(model),
                      dele_logprobs_bytes(&model->config, size->n_output_rows));
}

dele_evaluation dele_evaluation_none(size_t update)
{
    const double none = (double)NAN;
    return (dele_evaluation){.update = update,
                             .nll = {none, none, none},
                             .exact = {none, none, none},
                             .routes = {none, none, none},
                             .mmlu = none};
}

dele_status dele_evaluate_sets(dele_evaluation *score, const dele_evaluation_data *data, int n_sets,
                               const dele_model *model, size_t batch_tokens, dele_err *err)
{
    for (int k = 0; k < n_sets; k++) {
        if (!data->set[k]) continue;
        if (dele_evaluate_set(&score->nll[k], &score->exact[k], data->routes[k], model,
                              data->set[k], batch_tokens, err))
            return err->code;
        if (data->routes[k]) score->routes[k] = data->routes[k]->mean;
    }
    return DELE_OK;
}

/* ---- an evaluation --------------------------------------------------------------------------- */

dele_status dele_evaluations_init(dele_evaluations *c, const dele_evaluation_options *o,
                                  const dele_evaluation_data *data, const dele_trainable *trainable,
                                  size_t batch_tokens, dele_arena *arena, dele_err *err)
{
    *c = (dele_evaluations){.o = o,
                            .data = data,
                            .model = trainable->model,
                            .params = dele_trainable_tensors(trainable),
                            .batch_tokens = batch_tokens};
    if (!o->eval_every || o->select != DELE_SELECT_BEST) return DELE_OK;
    c->best_weights = dele_param_buffers_new(c->params, trainable->mask, false, arena, err);
    return c->best_weights ? DELE_OK : err->code;
}

static dele_status evaluate_mmlu(double *accuracy, const dele_model *model, const dele_mmlu *data,
                                 dele_err *err)
{
    dele_mmlu_scores scores;
    dele_arena arena = {0};
    dele_run run = {0};
    if (!dele_mmlu_run(&scores, data, DELE_MMLU_CONTINUATION, 0, &run, model, &arena, err))
        *accuracy = scores.micro.acc;
    dele_run_release(&run);
    dele_arena_release(&arena);
    return err->code;
}

/* Of what is not a number, infinite. */
static double excess(double beyond) { return isnan(beyond) ? (double)INFINITY : fmax(beyond, 0); }

double dele_retain_excess(const dele_evaluation *check, const dele_evaluation *start,
                          const dele_evaluation_options *o)
{
    if (isnan(o->retain_budget)) return 0;
    return excess(check->nll[DELE_RETAIN] - (start->nll[DELE_RETAIN] + o->retain_budget));
}

double dele_mmlu_excess(const dele_evaluation *check, const dele_evaluation *start,
                        const dele_evaluation_options *o)
{
    return isnan(o->mmlu_budget) ? 0 : excess(start->mmlu - o->mmlu_budget - check->mmlu);
}

static double excesses(const dele_evaluations *c, const dele_evaluation *check)
{
    return dele_retain_excess(check, &c->start, c->o) + dele_mmlu_excess(check, &c->start, c->o);
}

/* What is not a number is beyond any budget. */
static bool is_within(const dele_evaluations *c, const dele_evaluation *check)
{
    const dele_evaluation_options *o = c->o;
    return (!c->data->set[DELE_FORGET] || isfinite(check->nll[DELE_FORGET])) &&
           (isnan(o->retain_budget) ||
            check->nll[DELE_RETAIN] <= c->start.nll[DELE_RETAIN] + o->retain_budget) &&
           (isnan(o->mmlu_budget) || check->mmlu >= c->start.mmlu - o->mmlu_budget);
}

/* Compares an evaluation with the budgets, counts, and stores the weights of a new best state.  The
 * start is compared with itself: it is within the budgets unless a score is not a number. */
static void judge(dele_evaluations *c, dele_evaluation check)
{
    const bool first = check.update == 0;
    if (first) c->start = check;
    check.within = is_within(c, &check);
    if (first) c->start = check;
    c->last = check;
    if (!check.within && (!c->nearest.update || excesses(c, &check) < excesses(c, &c->nearest)))
        c->nearest = check;
    c->beyond = check.within ? 0 : c->beyond + 1;
    c->enough = check.within && check.nll[DELE_FORGET] >= check.nll[DELE_HOLDOUT];
    c->stop = c->enough || c->beyond >= c->o->patience;
    if (!c->best_weights ||
        (!first && !(check.within && check.nll[DELE_FORGET] > c->best.nll[DELE_FORGET])))
        return;
    c->best = check;
    dele_param_buffers_store(c->best_weights, c->params);
}

/* A NaN has a sign, and printf shows it. */
static double unsigned_nan(double x) { return isnan(x) ? (double)NAN : x; }

/* routes: whether they are compared. */
static dele_status write_line(FILE *table, const dele_evaluation *k, bool routes, dele_err *err)
{
    if (!table) return DELE_OK;
    if (k->update == 0)
        fprintf(table,
                "update\tforget_nll\tforget_exact\tretain_nll\tretain_exact\tmmlu\twithin_"
                "budget\tholdout_nll%s\n",
                routes ? "\tforget_routes\tretain_routes" : "");
    fprintf(table, "%zu\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%d\t%.9g", k->update,
            unsigned_nan(k->nll[DELE_FORGET]), k->exact[DELE_FORGET],
            unsigned_nan(k->nll[DELE_RETAIN]), k->exact[DELE_RETAIN], k->mmlu, k->within,
            unsigned_nan(k->nll[DELE_HOLDOUT]));
    if (routes)
        fprintf(table, "\t%.9g\t%.9g", unsigned_nan(k->routes[DELE_FORGET]),
                unsigned_nan(k->routes[DELE_RETAIN]));
    putc('\n', table);
    if (fflush(table) || ferror(table))
        return dele_fail(err, DELE_ERR_FILE,
                         "evaluations.tsv could not be written: is the disk full?");
    return DELE_OK;
}

dele_status dele_evaluations_run(dele_evaluations *c, size_t update, size_t updates, dele_err *err)
{
    const size_t every = (size_t)c->o->eval_every;
    dele_evaluation check = dele_evaluation_none(update);
    if (!every || (update % every && update < updates)) return DELE_OK;
    if (dele_evaluate_sets(&check, c->data, DELE_EVALUATED_SETS, c->model, c->batch_tokens, err) ||
        (c->data->mmlu && evaluate_mmlu(&check.mmlu, c->model, c->data->mmlu, err)))
        return err->code;
    judge(c, check);
    return write_line(c->table, &c->last, c->data->routes[DELE_FORGET], err);
}

const dele_evaluation *dele_evaluations_select(const dele_evaluations *c)
{
    if (!c->best_weights) return &c->last;
    dele_param_buffers_restore(c->params, c->best_weights);
    return &c->best;
}

static void serialize_evaluation(dele_evaluation *c, size_t updates, dele_training_state *state)
{
    dele_training_state_size(state, &c->update, updates);
    DELE_SERIALIZE(state, c->nll);
    DELE_SERIALIZE(state, c->exact);
    DELE_SERIALIZE(state, c->mmlu);
    DELE_SERIALIZE(state, c->routes);
    dele_training_state_bool(state, &c->within);
}

void dele_evaluations_serialize(dele_evaluations *c, size_t updates, dele_training_state *state)
{
    if (!c->o->eval_every) return;
    dele_training_state_table(state, c->table);
    serialize_evaluation(&c->start, updates, state);
    serialize_evaluation(&c->last, updates, state);
    serialize_evaluation(&c->best, updates, state);
    serialize_evaluation(&c->nearest, updates, state);
    DELE_SERIALIZE(state, c->beyond);
    dele_training_state_check(state, c->beyond >= 0 && c->beyond < INT_MAX);
    dele_training_state_bool(state, &c->enough);
    dele_training_state_bool(state, &c->stop);
    if (c->best_weights) dele_param_buffers_serialize(c->best_weights, c->params, state);
}
