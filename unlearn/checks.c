#include "unlearn/checks.h"

lac_status lac_checks_init(lac_checks *c, const lac_check_options *o, const lac_model *model, const lac_model *moving,
                           const lac_mask *mask, size_t batch_tokens, lac_arena *arena, lac_err *err)
{
    *c = (lac_checks){.o = o, .model = model, .moving = moving, .batch_tokens = batch_tokens};
    if (!o->every || !o->best) return LAC_OK;
    c->best_weights = lac_beside_new(moving, mask, false, arena, err);
    return c->best_weights ? LAC_OK : err->code;
}

/* ---- a look at a set --------------------------------------------------------------------------------------------- */

/* Rows side by side for one pass. */
typedef struct {
    lac_run run;
    lac_segment *segments;
    int *wanted, *target, *greedy;
    double *logp;
    size_t n, n_rows, n_labels;
} look;

static lac_status make_room(look *l, size_t rows, lac_arena *arena, lac_err *err)
{
    bool ok = (l->segments = LAC_NEW(arena, lac_segment, rows, err)) && (l->wanted = LAC_NEW(arena, int, rows, err)) &&
              (l->target = LAC_NEW(arena, int, rows, err)) && (l->greedy = LAC_NEW(arena, int, rows, err)) &&
              (l->logp = LAC_NEW(arena, double, rows, err));
    return ok ? LAC_OK : err->code;
}

static void lay(look *l, const lac_sequence *s)
{
    for (size_t k = s->first_label; k < s->n; k++, l->n_labels++) {
        l->wanted[l->n_labels] = (int)(l->n_rows + k - 1);
        l->target[l->n_labels] = s->ids[k];
    }
    l->segments[l->n++] = (lac_segment){.tokens = s->ids, .n_rows = (int)(s->n - 1)};
    l->n_rows += s->n - 1;
}

static lac_status pass(look *l, const lac_model *model, lac_err *err)
{
    const lac_batch batch = {.segments = l->segments, .n_segments = l->n, .wanted = l->wanted, .n_wanted = l->n_labels};
    if (lac_forward(&l->run, model, &batch, err)) return err->code;
    return lac_logprobs(l->logp, l->greedy, &l->run, model, l->run.final, l->target, l->n_labels, err);
}

static lac_status look_at(look *l, double *nll, double *exact, const lac_model *model, const lac_dataset *set,
                          size_t batch_tokens, lac_err *err)
{
    double sum = 0;
    size_t labels = 0, right = 0;
    for (size_t i = 0, begin = 0; i < set->n; begin = i) {
        l->n = l->n_rows = l->n_labels = 0;
        do lay(l, &set->row[i++]);
        while (i < set->n && l->n_rows + set->row[i].n - 1 <= batch_tokens);
        if (pass(l, model, err)) return err->code;
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
    return LAC_OK;
}

lac_status lac_check_set(double *nll, double *exact, const lac_model *model, const lac_dataset *set, size_t batch_tokens,
                         lac_err *err)
{
    look l = {0};
    lac_arena arena = {0};
    if (!make_room(&l, batch_tokens > set->longest ? batch_tokens : set->longest, &arena, err))
        look_at(&l, nll, exact, model, set, batch_tokens, err);
    lac_run_release(&l.run);
    lac_arena_release(&arena);
    return err->code;
}

/* ---- a check ----------------------------------------------------------------------------------------------------- */

static lac_status look_at_mmlu(double *accuracy, const lac_model *model, const lac_mmlu *data, lac_err *err)
{
    const lac_mmlu_opts opts = {.style = LAC_MMLU_CONTINUATION};
    lac_mmlu_scores scores;
    lac_arena arena = {0};
    lac_run run = {0};
    if (!lac_mmlu_run(&scores, data, &run, model, &opts, &arena, err)) *accuracy = scores.micro.acc;
    lac_run_release(&run);
    lac_arena_release(&arena);
    return err->code;
}

/* What is not a number is beyond any budget. */
static bool is_within(const lac_check *check, const lac_check *start, const lac_check_options *o)
{
    return (!o->set[LAC_FORGET] || isfinite(check->nll[LAC_FORGET])) &&
           (isnan(o->retain_budget) || check->nll[LAC_RETAIN] <= start->nll[LAC_RETAIN] + o->retain_budget) &&
           (isnan(o->mmlu_budget) || check->mmlu >= start->mmlu - o->mmlu_budget);
}

static void judge(lac_checks *c, lac_check check)
{
    const bool first = check.update == 0;
    if (first) c->start = check;
    check.within = is_within(&check, &c->start, c->o);
    if (first) c->start = check;
    c->last = check;
    c->beyond = check.within ? 0 : c->beyond + 1;
    c->enough = check.within && check.nll[LAC_FORGET] >= check.nll[LAC_UNSEEN];
    c->stop = c->enough || c->beyond >= c->o->patience;
    if (!c->best_weights || (!first && !(check.within && check.nll[LAC_FORGET] > c->best.nll[LAC_FORGET]))) return;
    c->best = check;
    lac_beside_keep(c->best_weights, c->moving);
}

/* A NaN has a sign, and printf shows it. */
static double unsigned_nan(double x)
{
    return isnan(x) ? (double)NAN : x;
}

static lac_status write_line(FILE *table, const lac_check *k, lac_err *err)
{
    if (!table) return LAC_OK;
    if (k->update == 0) fputs("update\tforget_nll\tforget_exact\tretain_nll\tretain_exact\tmmlu\twithin\tunseen_nll\n", table);
    fprintf(table, "%zu\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%d\t%.9g\n", k->update, unsigned_nan(k->nll[LAC_FORGET]),
            k->exact[LAC_FORGET], unsigned_nan(k->nll[LAC_RETAIN]), k->exact[LAC_RETAIN], k->mmlu, k->within, unsigned_nan(k->nll[LAC_UNSEEN]));
    if (fflush(table) || ferror(table))
        return lac_fail(err, LAC_ERR_FILE, "checks.tsv could not be written: is the disk full?");
    return LAC_OK;
}

lac_status lac_checks_look(lac_checks *c, size_t update, size_t updates, lac_err *err)
{
    const lac_check_options *o = c->o;
    const double none = (double)NAN;
    lac_check check = {.update = update, .nll = {none, none, none}, .exact = {none, none, none}, .mmlu = none};
    if (!o->every || (update % (size_t)o->every && update < updates)) return LAC_OK;
    for (int side = LAC_FORGET; side <= LAC_UNSEEN; side++)
        if (o->set[side] &&
            lac_check_set(&check.nll[side], &check.exact[side], c->model, o->set[side], c->batch_tokens, err))
            return err->code;
    if (o->mmlu && look_at_mmlu(&check.mmlu, c->model, o->mmlu, err)) return err->code;
    judge(c, check);
    return write_line(o->table, &c->last, err);
}

const lac_check *lac_checks_choose(const lac_checks *c)
{
    if (!c->best_weights) return &c->last;
    lac_beside_put_back(c->moving, c->best_weights);
    return &c->best;
}

void lac_checks_remember(lac_checks *c, lac_tape *tape)
{
    if (!c->o->every) return;
    lac_tape_table(tape, c->o->table);
    LAC_REMEMBER(tape, c->start);
    LAC_REMEMBER(tape, c->last);
    LAC_REMEMBER(tape, c->best);
    LAC_REMEMBER(tape, c->beyond);
    LAC_REMEMBER(tape, c->enough);
    LAC_REMEMBER(tape, c->stop);
    if (c->best_weights) lac_beside_remember(c->best_weights, c->moving, tape);
}
