/* Ensemble and proxy tuning on tiny random models: what has to hold whatever the weights are. */
#include "claims.h"

#include "model/generate.h"
#include "nudge/decoders.h"
#include "nudge/ensemble.h"
#include "nudge/guard.h"
#include "nudge/proxy_tuning.h"
#include "nudge_models.h"
#include "score/choices.h"
#include "tensor/ops.h"
#include "text/continuation.h"

enum { N_SEEDS = 5, MAX_NEW = 24 };

typedef struct {
    dele_arena arena;
    dele_model model[3];
    dele_err err;
} world;

static void open_world(world *w, int k0, int k1, int k2, uint64_t seed)
{
    const int kind[] = {k0, k1, k2};
    *w = (world){0};
    for (int i = 0; i < 3; i++)
        open_nudge_model(&w->model[i], kind[i], 3 * seed + (uint64_t)i + 1, 0.5, &w->arena);
}

static void close_world(world *w)
{
    for (int i = 0; i < 3; i++) dele_model_release(&w->model[i]);
    dele_arena_release(&w->arena);
}

static const dele_layout *const no_layouts[3];
static const dele_nudge_prompt prompts[] = {
    {"ab cd a", DELE_ENCODE_BEGIN}, {"ab cd a", DELE_ENCODE_BEGIN}, {"ab cd a", DELE_ENCODE_BEGIN}};

/* The model's own greedy text. */
static char *greedy_text(world *w, const dele_model *m)
{
    dele_run run = {0};
    dele_ids ids;
    int out[MAX_NEW];
    size_t n;
    const dele_ends ends = dele_ends_of(m, NULL);
    if (dele_encode_as(&ids, m->tokenizer, prompts[0].text, strlen(prompts[0].text),
                       DELE_ENCODE_BEGIN, &w->arena, &w->err) ||
        dele_generate(out, &n, &run, m, ids.id, ids.n, MAX_NEW, ends.id, ends.n, &w->err))
        fail_msg("%s", w->err.msg);
    dele_run_release(&run);
    char *text =
        dele_decode_continuation(m->tokenizer, ids.id, ids.n, out, n, true, &w->arena, &w->err);
    assert_non_null(text);
    return text;
}

static char *proxy_text(world *w, const dele_model *const *models)
{
    dele_joint j;
    char *text;
    bool ended;
    if (dele_proxy_init(&j, models, no_layouts, &w->err) ||
        dele_proxy_generate(&text, &ended, &j, prompts, MAX_NEW, &w->arena, &w->err))
        fail_msg("%s", w->err.msg);
    dele_joint_release(&j);
    return text;
}

static void a_proxy_that_was_not_tuned_changes_nothing(void **state)
{
    (void)state;
    int different = 0;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        world w;
        open_world(&w, 0, 0, 0, seed);
        const dele_model *same[] = {&w.model[0], &w.model[1], &w.model[1]},
                         *swapped[] = {&w.model[0], &w.model[1], &w.model[0]};
        /* z + (t - t) = z, and z + (t - z) = t */
        assert_string_equal(proxy_text(&w, same), greedy_text(&w, &w.model[0]));
        assert_string_equal(proxy_text(&w, swapped), greedy_text(&w, &w.model[1]));
        const dele_model *tuned[] = {&w.model[0], &w.model[1], &w.model[2]};
        different += strcmp(proxy_text(&w, tuned), greedy_text(&w, &w.model[0])) != 0;
        close_world(&w);
    }
    assert_true(different > N_SEEDS / 2);
}

static void proxy_tuning_of_several_vocabularies_is_refused(void **state)
{
    (void)state;
    world w;
    dele_joint j = {0};
    open_world(&w, 0, 1, 1, 1);
    const dele_model *models[] = {&w.model[0], &w.model[1], &w.model[2]};
    assert_int_equal(dele_proxy_init(&j, models, no_layouts, &w.err), DELE_ERR_DATA);
    assert_non_null(strstr(w.err.msg, "one vocabulary"));
    dele_joint_release(&j);
    close_world(&w);
}

static char *ensemble_text(world *w, const dele_model *const *models, int window)
{
    dele_joint j;
    char *text;
    bool ended;
    if (dele_ensemble_init(&j, models, no_layouts, &w->err) ||
        dele_ensemble_generate(&text, &ended, &j, prompts, window, MAX_NEW, &w->arena, &w->err))
        fail_msg("%s", w->err.msg);
    dele_joint_release(&j);
    return text;
}

/* Tokens of this tokenizer have ASCII text, which is encoded again as the same ids only by chance:
 * the first window of a model with itself is its greedy text. */
static void an_ensemble_of_a_model_with_itself_is_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        world w;
        open_world(&w, 0, 0, 0, seed);
        const dele_model *models[] = {&w.model[0], &w.model[0]};
        const char *own = greedy_text(&w, &w.model[0]), *text = ensemble_text(&w, models, MAX_NEW);
        assert_memory_equal(text, own, strlen(own) < strlen(text) ? strlen(own) : strlen(text));
        assert_true(strlen(text) >= strlen(own));
        close_world(&w);
    }
}

static void ensembles_cross_tokenizers_as_text(void **state)
{
    (void)state;
    size_t lengths = 0;
    for (int kinds = 0; kinds < N_KINDS * N_KINDS; kinds++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            world w;
            open_world(&w, kinds / N_KINDS, kinds % N_KINDS, 0, seed);
            const dele_model *models[] = {&w.model[0], &w.model[1]};
            lengths += strlen(ensemble_text(&w, models, 6));
            close_world(&w);
        }
    assert_true(lengths > 100);
}

/* log P by a pass of its own, without caches. */
static double direct_logp(world *w, const int *id, size_t n, size_t n_scored, bool proxy)
{
    const size_t vocab = (size_t)w->model[0].config.vocab;
    double sum = 0;
    for (size_t t = n - n_scored; t < n; t++) {
        double z[3][64], joint[64], most = -INFINITY, total = 0;
        for (int i = 0; i < 3; i++) {
            dele_run run = {0};
            float logits[64];
            const dele_segment segment = {.tokens = id, .n_rows = (int)t};
            const int row = (int)t - 1;
            const dele_batch batch = {&segment, 1, .output_rows = &row, .n_output_rows = 1};
            if (dele_forward(&run, &w->model[i], &batch, &w->err)) fail_msg("%s", w->err.msg);
            dele_logits(logits, &run, &w->model[i], run.final, 1);
            const double lse = log_sum_exp(logits, vocab);
            for (size_t v = 0; v < vocab; v++) z[i][v] = logits[v] - lse;
            dele_run_release(&run);
        }
        for (size_t v = 0; v < vocab; v++) {
            joint[v] = proxy ? z[0][v] + z[1][v] - z[2][v] : log((exp(z[0][v]) + exp(z[1][v])) / 2);
            if (joint[v] > most) most = joint[v];
        }
        for (size_t v = 0; v < vocab; v++) total += exp(joint[v] - most);
        sum += joint[id[t]] - most - log(total);
    }
    return sum;
}

static void log_likelihoods_are_those_of_the_formula(void **state)
{
    (void)state;
    static const int id[] = {3, 5, 2, 7, 1, 4, 6, 2};
    for (int proxy = 0; proxy < 2; proxy++)
        for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
            world w;
            dele_joint j;
            open_world(&w, 0, 0, 0, seed);
            assert_true(w.model[0].config.vocab <= 64);
            const dele_model *models[] = {&w.model[0], &w.model[1], &w.model[2]};
            if (proxy ? dele_proxy_init(&j, models, no_layouts, &w.err)
                      : dele_ensemble_init(&j, models, no_layouts, &w.err))
                fail_msg("%s", w.err.msg);
            for (size_t n = 5; n <= 8; n++) { /* with what the cache has of the last one */
                double logp;
                bool greedy;
                if (dele_joint_logp(&logp, &greedy, &j, id, n, 3, &w.err))
                    fail_msg("%s", w.err.msg);
                const double direct = direct_logp(&w, id, n, 3, proxy);
                assert_true(fabs(logp - direct) < 1e-5 * fabs(direct));
            }
            dele_joint_release(&j);
            close_world(&w);
        }
}

/* Without a threshold the guard writes all; above every probability, or at no margin that is met,
 * the original does. */
static void a_guard_writes_where_its_trigger_fires(void **state)
{
    (void)state;
    static const int id[] = {3, 5, 2, 7};
    size_t guarded = 0, tokens = 0;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        world w;
        dele_joint j;
        dele_guard_result r;
        open_world(&w, 0, 0, 0, seed);
        const dele_model *models[] = {&w.model[0], &w.model[1]};
        const struct {
            dele_guard_opts o;
            int model; /* that writes all; -1: both */
        } cases[] = {
            {{0, -INFINITY}, 1}, {{1.1, -INFINITY}, 0}, {{0, INFINITY}, 0}, {{0.1, 0.2}, -1}};
        if (dele_guard_init(&j, models, NULL, &w.err)) fail_msg("%s", w.err.msg);
        for (int k = 0; k < 4; k++) {
            size_t at = 0;
            if (dele_guard_generate(&r, &j, id, 4, MAX_NEW, &cases[k].o, &w.arena, &w.err))
                fail_msg("%s", w.err.msg);
            for (size_t i = 0; i < r.n_spans; at += r.span[i++].n) {
                assert_int_equal(r.span[i].from, at);
                if (i) assert_true(r.span[i].by != r.span[i - 1].by);
            }
            assert_int_equal(at, strlen(r.text));
            if (cases[k].model < 0) {
                guarded += r.n_guarded, tokens += r.n_tokens;
                continue;
            }
            dele_run run = {0};
            int out[MAX_NEW];
            size_t n;
            const dele_model *m = models[cases[k].model];
            const dele_ends ends = dele_ends_of(m, NULL);
            if (dele_generate(out, &n, &run, m, id, 4, MAX_NEW, ends.id, ends.n, &w.err))
                fail_msg("%s", w.err.msg);
            assert_int_equal(n, r.n_tokens);
            assert_int_equal(r.n_guarded, cases[k].model ? n : 0);
            assert_string_equal(r.text, dele_decode_continuation(m->tokenizer, id, 4, out, n, true,
                                                                 &w.arena, &w.err));
            dele_run_release(&run);
        }
        dele_joint_release(&j);
        close_world(&w);
    }
    assert_true(guarded > 0 && guarded < tokens);
}

static void a_guard_ends_where_a_context_is_full(void **state)
{
    (void)state;
    world w;
    dele_joint j;
    dele_ids ids;
    dele_guard_result r;
    const dele_guard_opts o = {.tau = 2}; /* never fires */
    open_world(&w, 0, 0, 0, 1);
    const dele_model *models[] = {&w.model[0], &w.model[1]};
    if (dele_encode_as(&ids, w.model[0].tokenizer, "ab cd a", 7, DELE_ENCODE_BEGIN, &w.arena,
                       &w.err) ||
        dele_guard_init(&j, models, NULL, &w.err))
        fail_msg("%s", w.err.msg);
    w.model[1].config.context = (int)ids.n + 3; /* the guard's is the shorter */
    j.model[0].ends.n = j.model[1].ends.n = 0;
    if (dele_guard_generate(&r, &j, ids.id, ids.n, MAX_NEW, &o, &w.arena, &w.err))
        fail_msg("%s", w.err.msg);
    assert_int_equal(r.n_tokens, 3);
    assert_false(r.ended);
    dele_joint_release(&j);
    close_world(&w);
}

/* A context of CONTEXT tokens for a prompt of fewer and MAX_NEW new ones. */
enum { CONTEXT = 26 };

static void a_full_context_ends_an_answer(void **state)
{
    (void)state;
    const dele_decoder_kind kinds[] = {DELE_DECODER_NUDGE, DELE_DECODER_ENSEMBLE,
                                       DELE_DECODER_PROXY};
    static const char more[] = " ab cd ab cd ab cd ab cd ab cd ab cd ab cd ab cd ab cd ab cd";
    size_t longest = 0;
    for (size_t k = 0; k < 3; k++)
        for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
            world w;
            dele_decoder d;
            dele_decoder_options o = DELE_DECODER_DEFAULTS;
            dele_ids ids;
            char *text = NULL;
            bool ended = false;
            open_world(&w, 0, 0, 0, seed);
            for (int i = 0; i < 3; i++) w.model[i].config.context = CONTEXT;
            o.kind = kinds[k], o.with = "w", o.untuned = "u", o.chat = DELE_CHAT_NONE;
            if (dele_decoder_open(&d, &o, &w.model[0], &w.model[1], &w.model[2], DELE_CHAT_NONE,
                                  &w.arena, &w.err))
                fail_msg("%s", w.err.msg);
            const dele_decoder_prompt fits = {NULL, prompts[0].text}, no = {NULL, more};
            if (d.check(d.data, &fits, MAX_NEW, &w.err) ||
                d.generate(d.data, &text, &ended, &fits, MAX_NEW, &w.arena, &w.err))
                fail_msg("%s: %s", d.name, w.err.msg);
            const char *all = dele_printf(&w.arena, &w.err, "%s%s", fits.prompt, text);
            if (dele_encode_as(&ids, w.model[0].tokenizer, all, strlen(all), DELE_ENCODE_BEGIN,
                               &w.arena, &w.err))
                fail_msg("%s", w.err.msg);
            if (!ended && ids.n > longest) longest = ids.n;
            assert_int_equal(d.check(d.data, &no, MAX_NEW, &w.err), DELE_ERR_DATA);
            assert_non_null(strstr(w.err.msg, "leaves no room"));
            dele_decoder_close(&d);
            close_world(&w);
        }
    assert_true(longest > CONTEXT / 2 && longest <= CONTEXT);
}

static void a_decoder_takes_the_options_of_its_kind_alone(void **state)
{
    (void)state;
    static const struct {
        dele_decoder_options o;
        const char *says;
    } cases[] = {
        {{.kind = DELE_DECODER_NUDGE, .gamma = 0.3}, "needs --with"},
        {{.kind = DELE_DECODER_PROXY, .with = "a", .gamma = 0.3}, "needs --proxy-base"},
        {{.kind = DELE_DECODER_NUDGE, .with = "a", .untuned = "b", .gamma = 0.3}, "--proxy-base"},
        {{.with = "a", .gamma = 0.3}, "--with: --decoder none"},
        {{.kind = DELE_DECODER_ENSEMBLE, .with = "a", .gamma = 0.5}, "--gamma"},
        {{.kind = DELE_DECODER_NUDGE, .with = "a", .gamma = NAN}, "give a number"},
        {{.kind = DELE_DECODER_NUDGE, .with = "a", .gamma = 0.4}, NULL},
        {{.kind = DELE_DECODER_NONE, .gamma = 0.3}, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dele_decoder_options o = cases[i].o;
        dele_err err = {0};
        o.chat = DELE_CHAT_AUTO, o.system = DELE_NUDGE_SYSTEM;
        const dele_status status = dele_decoder_check(&o, &err);
        if (!cases[i].says) assert_int_equal(status, DELE_OK);
        if (cases[i].says && (!status || !strstr(err.msg, cases[i].says)))
            fail_msg("%zu: %s", i, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proxy_that_was_not_tuned_changes_nothing),
        cmocka_unit_test(proxy_tuning_of_several_vocabularies_is_refused),
        cmocka_unit_test(an_ensemble_of_a_model_with_itself_is_the_model),
        cmocka_unit_test(ensembles_cross_tokenizers_as_text),
        cmocka_unit_test(log_likelihoods_are_those_of_the_formula),
        cmocka_unit_test(a_guard_writes_where_its_trigger_fires),
        cmocka_unit_test(a_guard_ends_where_a_context_is_full),
        cmocka_unit_test(a_full_context_ends_an_answer),
        cmocka_unit_test(a_decoder_takes_the_options_of_its_kind_alone),
    };
    return cmocka_run_group_tests_name("joint decoding", tests, NULL, NULL);
}
