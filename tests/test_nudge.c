/* Nudging on tiny random models whose tokenizers differ: what has to be the same however it is
 * computed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/generate.h"
#include "nudge/nudge.h"
#include "nudge/words.h"
#include "nudge_models.h"

enum { N_SEEDS = 6 };

typedef struct {
    dele_arena arena;
    dele_model base, nudger;
} pair;

static void open_pair(pair *p, int base, int nudger, uint64_t seed)
{
    *p = (pair){0};
    open_nudge_model(&p->base, base, 2 * seed + 1, 0.5, &p->arena);
    open_nudge_model(&p->nudger, nudger, 2 * seed + 2, 0.5, &p->arena);
}

static void close_pair(pair *p)
{
    dele_model_release(&p->base);
    dele_model_release(&p->nudger);
    dele_arena_release(&p->arena);
}

static dele_nudge_opts options(void)
{
    dele_nudge_opts o = DELE_NUDGE_DEFAULTS;
    o.max_new = 48;
    o.window = 12;
    return o;
}

static dele_nudge_result nudged(pair *p, const dele_nudge_opts *o)
{
    const dele_nudge_prompt base = {"ab cd a", DELE_ENCODE_BEGIN},
                            nudger = {"gh ab cd a", DELE_ENCODE_BEGIN};
    dele_err err = {0};
    dele_nudge_result r;
    dele_nudge *n = dele_nudge_open(&p->base, &p->nudger, NULL, NULL, o, &err);
    if (!n || dele_nudge_generate(&r, n, &base, &nudger, &p->arena, &err)) fail_msg("%s", err.msg);
    dele_nudge_close(n);
    return r;
}

static void assert_same(const dele_nudge_result *a, const dele_nudge_result *b)
{
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->n_spans, b->n_spans);
    assert_int_equal(a->stop, b->stop);
    assert_int_equal(a->rounds, b->rounds);
    for (size_t i = 0; i < a->n_spans; i++) {
        assert_int_equal(a->span[i].n, b->span[i].n);
        assert_int_equal(a->span[i].by, b->span[i].by);
    }
}

/* Every pair of tokenizers, seed and gamma; what the options of one are and of the other. */
static void all_pairs_agree(void (*change)(dele_nudge_opts *), bool fewer)
{
    size_t passes[2] = {0}, written[2] = {0};
    for (int kinds = 0; kinds < N_KINDS * N_KINDS; kinds++)
        for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
            pair p;
            dele_nudge_opts o = options();
            o.gamma = 0.2 + 0.1 * (double)(seed % 3);
            open_pair(&p, kinds / N_KINDS, kinds % N_KINDS, seed);
            const dele_nudge_result first = nudged(&p, &o);
            change(&o);
            const dele_nudge_result second = nudged(&p, &o);
            assert_same(&first, &second);
            for (int by = 0; by < 2; by++) written[by] += first.written[by];
            passes[0] += first.passes[DELE_NUDGE_BASE];
            passes[1] += second.passes[DELE_NUDGE_BASE];
            close_pair(&p);
        }
    assert_true(written[0] > 100 && written[1] > 100);
    if (fewer) assert_true(passes[0] < passes[1]);
}

static void to_plain(dele_nudge_opts *o) { o->verify = DELE_NUDGE_PLAIN; }

static void to_uncached(dele_nudge_opts *o) { o->uncached = true; }

static void a_verified_draft_gives_the_text_of_one_query_a_word(void **state)
{
    (void)state;
    all_pairs_agree(to_plain, true);
}

static void a_cache_gives_the_text_of_no_cache(void **state)
{
    (void)state;
    all_pairs_agree(to_uncached, true);
}

static void spans_and_tokens_concatenate_to_the_text(void **state)
{
    (void)state;
    for (int kinds = 0; kinds < N_KINDS * N_KINDS; kinds++)
        for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
            pair p;
            dele_nudge_opts o = options();
            open_pair(&p, kinds / N_KINDS, kinds % N_KINDS, seed);
            const dele_nudge_result r = nudged(&p, &o);
            size_t at = 0;
            for (size_t i = 0; i < r.n_spans; i++) {
                assert_int_equal(r.span[i].from, at);
                assert_true(r.span[i].n > 0);
                at += r.span[i].n;
            }
            assert_int_equal(at, strlen(r.text));
            at = 0;
            for (size_t i = 0; i < r.n_tokens; i++) {
                assert_int_equal(r.token[i].from, at);
                assert_true(r.token[i].p > 0 && r.token[i].p <= 1);
                at += r.token[i].n;
            }
            assert_int_equal(at, strlen(r.text));
            close_pair(&p);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verified_draft_gives_the_text_of_one_query_a_word),
        cmocka_unit_test(a_cache_gives_the_text_of_no_cache),
        cmocka_unit_test(spans_and_tokens_concatenate_to_the_text),
    };
    return cmocka_run_group_tests_name("nudging", tests, NULL, NULL);
}
