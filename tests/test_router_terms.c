/* Terms on routers: against their definitions, against the change of the loss, and against ten
 * updates by torch (tests/reference/router_updates.py). */
#include "claims.h"

#include "base/json.h"
#include "unlearn/trainer.h"

enum { UPDATES = 10, LAYERS = 3, EXPERTS = 5, TOP = 2, ROWS = 7 };

/* ---- the terms alone ------------------------------------------------------------------------- */

/* Layers 0 and 2 have experts. */
static dele_config mixture(void)
{
    return (dele_config){.family = &dele_family_olmoe,
                         .n_layers = LAYERS,
                         .layer_kind = {DELE_LAYER_SPARSE, 0, DELE_LAYER_SPARSE},
                         .n_experts = EXPERTS,
                         .top_k = TOP};
}

typedef struct {
    float z[2][ROWS][EXPERTS];
    uint8_t side[ROWS];
    size_t rows[2];
} logits;

static void draw_logits(logits *l)
{
    dele_rng rng;
    dele_rng_seed(&rng, 3);
    *l = (logits){0};
    for (int s = 0; s < 2; s++)
        for (int r = 0; r < ROWS; r++)
            for (int e = 0; e < EXPERTS; e++) l->z[s][r][e] = (float)dele_rng_normal(&rng);
    for (int r = 0; r < ROWS; r++) {
        l->side[r] = r < 3 ? DELE_RETAIN : DELE_FORGET;
        l->rows[l->side[r]]++;
    }
}

/* Losses and the gradient dz of the terms over all rows, `at` a time. */
static void terms_of(double loss[DELE_N_ROUTER_TERMS], float dz[2][ROWS][EXPERTS], const logits *l,
                     const dele_router_options *o, size_t at)
{
    dele_router_terms t;
    dele_arena arena = {0};
    dele_err err = {0};
    const dele_config c = mixture();
    if (dele_router_terms_init(&t, o, &c, ROWS, 0, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(t.n_layers, 2);
    dele_router_terms_begin(&t, l->rows);
    for (int pass = at < ROWS ? 0 : 1; pass < 2; pass++) {
        for (size_t from = 0; from < ROWS; from += at) {
            const size_t n = ROWS - from < at ? ROWS - from : at;
            for (size_t s = 0; s < 2; s++)
                memcpy(t.of[0].x + s * ROWS * EXPERTS, l->z[s][from], n * sizeof l->z[0][0]);
            if (pass == 0) {
                dele_router_terms_count(&t, n);
                continue;
            }
            dele_router_terms_gradient(&t, l->side + from, n);
            for (size_t s = 0; s < 2; s++)
                memcpy(dz[s][from], t.of[0].x + s * ROWS * EXPERTS, n * sizeof l->z[0][0]);
        }
        t.counted = true;
    }
    memcpy(loss, t.loss, sizeof t.loss);
    dele_arena_release(&arena);
}

static void softmax_by_hand(double *p, const float *z)
{
    double sum = 0;
    for (int e = 0; e < EXPERTS; e++) sum += exp((double)z[e]);
    for (int e = 0; e < EXPERTS; e++) p[e] = exp((double)z[e]) / sum;
}

/* The definition, written as transformers' load_balancing_loss_func: the layers from..to as one
 * set. */
static double balance_by_hand(const logits *l, int from, int to)
{
    double chosen[EXPERTS] = {0}, mean[EXPERTS] = {0}, loss = 0;
    const double n = (to - from) * ROWS;
    for (int s = from; s < to; s++)
        for (int r = 0; r < ROWS; r++) {
            double p[EXPERTS];
            softmax_by_hand(p, l->z[s][r]);
            for (int e = 0; e < EXPERTS; e++) {
                int above = 0;
                for (int other = 0; other < EXPERTS; other++) above += p[other] > p[e];
                chosen[e] += above < TOP;
                mean[e] += p[e];
            }
        }
    for (int e = 0; e < EXPERTS; e++) loss += chosen[e] / n * mean[e] / n;
    return loss * EXPERTS;
}

static const dele_expert TARGETS[] = {{2, 1}, {2, 4}};

static dele_router_options every_term(dele_balance_over over)
{
    return (dele_router_options){.coefficient = {0.7, 0.2, 0.4},
                                 .over = over,
                                 .targets = {(dele_expert *)(uintptr_t)TARGETS, 2}};
}

static void the_terms_are_what_they_are_defined_as(void **state)
{
    (void)state;
    logits l;
    float dz[2][ROWS][EXPERTS];
    double loss[DELE_N_ROUTER_TERMS], z = 0, anchor = 0;
    draw_logits(&l);
    for (int s = 0; s < 2; s++)
        for (int r = 0; r < ROWS; r++) {
            double p[EXPERTS], sum = 0;
            softmax_by_hand(p, l.z[s][r]);
            for (int e = 0; e < EXPERTS; e++) sum += exp((double)l.z[s][r][e]);
            z += log(sum) * log(sum) / (2 * ROWS);
            for (int e = 0; e < EXPERTS && s == 1 && l.side[r] == DELE_FORGET; e++)
                anchor += pow(p[e] - (e == 1 || e == 4 ? 0.5 : 0), 2) / (double)l.rows[DELE_FORGET];
        }
    for (int over = 0; over < 2; over++) {
        const dele_router_options o = every_term((dele_balance_over)over);
        const double balance = over ? (balance_by_hand(&l, 0, 1) + balance_by_hand(&l, 1, 2)) / 2
                                    : balance_by_hand(&l, 0, 2);
        terms_of(loss, dz, &l, &o, ROWS);
        assert_true(fabs(loss[DELE_TERM_BALANCE] - balance) < 1e-6);
        assert_true(fabs(loss[DELE_TERM_Z] - z) < 1e-6);
        assert_true(fabs(loss[DELE_TERM_ANCHOR] - anchor) < 1e-6);
    }
    assert_true(fabs(balance_by_hand(&l, 0, 2) -
                     (balance_by_hand(&l, 0, 1) + balance_by_hand(&l, 1, 2)) / 2) > 1e-3);
}

static double total(const logits *l, const dele_router_options *o)
{
    float dz[2][ROWS][EXPERTS];
    double loss[DELE_N_ROUTER_TERMS], sum = 0;
    terms_of(loss, dz, l, o, ROWS);
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++) sum += o->coefficient[i] * loss[i];
    return sum;
}

/* Each logit moved a little: no choice changes by it. */
static void their_gradient_is_that_of_their_weighted_sum(void **state)
{
    (void)state;
    logits l;
    float dz[2][ROWS][EXPERTS];
    double loss[DELE_N_ROUTER_TERMS];
    for (int over = 0; over < 2; over++) {
        const dele_router_options o = every_term((dele_balance_over)over);
        draw_logits(&l);
        terms_of(loss, dz, &l, &o, ROWS);
        for (int s = 0; s < 2; s++)
            for (int r = 0; r < ROWS; r++)
                for (int e = 0; e < EXPERTS; e++) {
                    const float kept = l.z[s][r][e], step = 1.0f / 512;
                    l.z[s][r][e] = kept + step;
                    const double up = total(&l, &o);
                    l.z[s][r][e] = kept - step;
                    const double down = total(&l, &o), slope = (up - down) / (2.0 * (double)step);
                    l.z[s][r][e] = kept;
                    if (fabs(slope - (double)dz[s][r][e]) > 1e-5)
                        fail_msg("logit %d %d %d: %g, not %g", s, r, e, (double)dz[s][r][e], slope);
                }
    }
}

static void their_sum_does_not_depend_on_the_packed_batches(void **state)
{
    (void)state;
    logits l;
    float whole[2][ROWS][EXPERTS], cut[2][ROWS][EXPERTS];
    double loss[2][DELE_N_ROUTER_TERMS];
    const dele_router_options o = every_term(DELE_BALANCE_CONCATENATED);
    draw_logits(&l);
    terms_of(loss[0], whole, &l, &o, ROWS);
    terms_of(loss[1], cut, &l, &o, 3);
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++) assert_true(fabs(loss[0][i] - loss[1][i]) < 1e-9);
    assert_memory_equal(whole, cut, sizeof whole);
}

/* As torch's topk leaves it open and this project settles it. */
static void among_equals_the_lower_index_is_chosen(void **state)
{
    (void)state;
    const float x[] = {1, 3, 2, 3, 2};
    int index[4];
    dele_largest(index, 4, x, 5);
    const int right[] = {1, 3, 2, 4};
    assert_memory_equal(index, right, sizeof right);
}

static void a_model_cut_below_its_experts_is_refused(void **state)
{
    (void)state;
    dele_config c = mixture();
    dele_router_terms t;
    dele_arena arena = {0};
    dele_err err = {0};
    const dele_router_options o = every_term(DELE_BALANCE_LAYERS);
    c.layer_kind[0] = 0;
    c.n_layers = 2;
    assert_int_equal(dele_router_terms_init(&t, &o, &c, ROWS, 0, &arena, &err), DELE_ERR_USAGE);
    assert_non_null(strstr(err.msg, "none of the 2 layers that are computed has experts"));
    dele_arena_release(&arena);
}

static void a_loss_on_the_router_of_adapters_needs_one(void **state)
{
    (void)state;
    dele_config c = mixture();
    dele_router_terms t;
    dele_arena arena = {0};
    const dele_router_options o = {.coefficient = {[DELE_TERM_ADAPTER] = 0.1}};
    for (int variant = DELE_PERFT_NONE; variant < DELE_N_PERFT; variant++) {
        dele_err err = {0};
        c.perft = (dele_perft){
            .variant = (dele_perft_variant)variant, .adapters = 3, .top_k = 1, .scale = 1};
        const dele_status status = dele_router_terms_init(&t, &o, &c, ROWS, 0, &arena, &err);
        assert_int_equal(status, variant == DELE_PERFT_R ? DELE_OK : DELE_ERR_USAGE);
        if (status) assert_non_null(strstr(err.msg, "no adapters of perft-r"));
        if (!status) assert_true(t.n_patches == 2 && t.of[0].n == 3);
    }
    dele_arena_release(&arena);
}

/* ---- ten updates by torch -------------------------------------------------------------------- */

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_mask mask;
    dele_dataset rows[2]; /* by side; without an anchor all are to be learnt */
    cJSON *file;
    const cJSON *run;
} world;

static double number(const cJSON *object, const char *name)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(object, name);
    assert_true(cJSON_IsNumber(x));
    return x->valuedouble;
}

static void open_world(world *w, int which)
{
    dele_err err = {0};
    *w = (world){.file = dele_json_load(DELE_TESTS_DIR "/fixtures/router_updates.json", &err)};
    if (!w->file ||
        dele_model_load(&w->model, DELE_TESTS_DIR "/fixtures/tiny-olmoe", &w->arena, &err) ||
        dele_mask_parse(&w->mask, &w->model, "all", "all", &w->arena, &err))
        fail_msg("%s", err.msg);
    w->run = cJSON_GetArrayItem(cJSON_GetObjectItem(w->file, "runs"), which);
    const int n_forget = number(w->run, "anchor") > 0 ? (int)number(w->file, "forget") : 0;
    int i = 0;
    const cJSON *row, *id;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(w->file, "rows"))
    {
        int *ids = DELE_NEW(&w->arena, int, (size_t)cJSON_GetArraySize(row), &err);
        size_t n = 0;
        assert_non_null(ids);
        cJSON_ArrayForEach(id, row) ids[n++] = id->valueint;
        const dele_sequence sequence = {ids, n, (size_t)number(w->file, "first"), 0};
        const dele_side side = i++ < n_forget ? DELE_FORGET : DELE_RETAIN;
        assert_int_equal(dele_dataset_add_sequence(&w->rows[side], sequence, &w->arena, &err), 0);
    }
}

static void close_world(world *w)
{
    cJSON_Delete(w->file);
    dele_model_release(&w->model);
    dele_arena_release(&w->arena);
}

/* All rows are one update. */
static dele_train_options options_of(const world *w, dele_expert *target)
{
    dele_train_options o = DELE_TRAIN_DEFAULTS;
    dele_err err = {0};
    const bool forgets = w->rows[DELE_FORGET].n;
    o.objective = forgets ? &dele_objective_grad_diff : &dele_objective_ce;
    if (forgets && dele_alpha_parse(&o.alpha, "1.5", &err)) fail_msg("%s", err.msg);
    o.epochs = UPDATES, o.schedule = DELE_CONSTANT, o.clip = 0, o.collapse = 0;
    o.batch = (int)(w->rows[0].n + w->rows[1].n);
    o.adamw.lr = number(w->file, "lr"), o.adamw.eps = number(w->file, "eps");
    o.router.coefficient[DELE_TERM_BALANCE] = number(w->run, "balance");
    o.router.coefficient[DELE_TERM_Z] = number(w->run, "z");
    o.router.coefficient[DELE_TERM_ANCHOR] = number(w->run, "anchor");
    const char *over = cJSON_GetObjectItem(w->run, "over")->valuestring;
    o.router.over = strcmp(over, "layers") ? DELE_BALANCE_CONCATENATED : DELE_BALANCE_LAYERS;
    if (!forgets) return o;
    const cJSON *of = cJSON_GetObjectItem(w->run, "target");
    *target =
        (dele_expert){cJSON_GetArrayItem(of, 0)->valueint, cJSON_GetArrayItem(of, 1)->valueint};
    o.router.targets = (dele_expert_list){target, 1};
    return o;
}

static void check_after(const world *w, double tolerance)
{
    for (size_t k = 0; k < w->model.n_tensors; k++) {
        const dele_tensor *t = &w->model.tensors[k];
        const cJSON *x,
            *after =
                cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItem(w->run, "after"), t->name);
        size_t i = 0;
        assert_true(cJSON_GetArraySize(after) > 0);
        cJSON_ArrayForEach(x, after)
        {
            if (fabs((double)t->data[i] - x->valuedouble) > tolerance)
                fail_msg("%s[%zu] is %.9g, torch's %.9g", t->name, i, (double)t->data[i],
                         x->valuedouble);
            i += 7;
        }
    }
}

/* Norms, the terms and the weights: in one packed batch and in one for each row. */
static void updates_with_terms_on_routers_are_torchs(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++)
        for (size_t tokens = 1; tokens <= 1000; tokens += 999) {
            world w;
            dele_expert target;
            dele_train_report report = {0};
            dele_err err = {0};
            FILE *steps = tmpfile();
            char line[512];
            open_world(&w, which);
            dele_train_options o = options_of(&w, &target);
            o.batch_tokens = tokens;
            const bool forgets = w.rows[DELE_FORGET].n;
            const dele_trainable trainable = {.model = &w.model, .mask = &w.mask};
            const dele_train_data data = {
                .set = {forgets ? &w.rows[DELE_FORGET] : NULL, &w.rows[DELE_RETAIN]}};
            const dele_train_output output = {.steps = steps};
            assert_non_null(steps);
            if (dele_train(&report, &trainable, &data, &o, &output, &err)) fail_msg("%s", err.msg);
            assert_int_equal(report.done, UPDATES);
            rewind(steps);
            assert_non_null(fgets(line, sizeof line, steps));
            for (int term = 0; term < DELE_N_ROUTER_TERMS; term++)
                assert_int_equal(strstr(line, dele_term_name[term]) != NULL,
                                 o.router.coefficient[term] != 0);
            for (int u = 0; u < UPDATES; u++) {
                const cJSON *step = cJSON_GetArrayItem(cJSON_GetObjectItem(w.run, "steps"), u);
                char *cursor = line;
                assert_non_null(fgets(line, sizeof line, steps));
                for (int skip = forgets ? 9 : 7; skip; skip--) strsep(&cursor, "\t");
                for (int i = 0; i <= DELE_N_ROUTER_TERMS; i++) {
                    if (i && o.router.coefficient[i - 1] == 0) continue;
                    const double ours = strtod(strsep(&cursor, "\t"), NULL),
                                 theirs = cJSON_GetArrayItem(step, i)->valuedouble;
                    if (fabs(ours - theirs) > 1e-4 * fmax(1, fabs(theirs)))
                        fail_msg("run %d, update %d, column %d: %.9g, torch's %.9g", which, u + 1,
                                 i, ours, theirs);
                }
            }
            check_after(&w, 1e-4);
            fclose(steps);
            close_world(&w);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_terms_are_what_they_are_defined_as),
        cmocka_unit_test(their_gradient_is_that_of_their_weighted_sum),
        cmocka_unit_test(their_sum_does_not_depend_on_the_packed_batches),
        cmocka_unit_test(among_equals_the_lower_index_is_chosen),
        cmocka_unit_test(a_model_cut_below_its_experts_is_refused),
        cmocka_unit_test(a_loss_on_the_router_of_adapters_needs_one),
        cmocka_unit_test(updates_with_terms_on_routers_are_torchs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
