/* Nudging on tiny random models whose tokenizers differ: what has to be the same however it is
 * computed. */
#include "claims.h"

#include "base/json.h"
#include "model/generate.h"
#include "nudge/nudge.h"
#include "nudge/words.h"
#include "text/continuation.h"

#include "nudge_models.h"

enum { N_SEEDS = 4 };

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
    o.max_new = 36;
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

/* A nudger of a seventh of the base's layers drafts the base's text. */
static void a_small_nudgers_drafts_do_not_change_the_text(void **state)
{
    (void)state;
    size_t more = 0;
    for (int kinds = 0; kinds < N_KINDS * N_KINDS; kinds++) {
        pair p = {.base = {.path = NULL}};
        dele_nudge_opts o = options();
        open_nudge_layers(&p.base, kinds / N_KINDS, 14, 3, 0.5, &p.arena);
        open_nudge_model(&p.nudger, kinds % N_KINDS, 4, 0.5, &p.arena);
        const dele_nudge_result drafted = nudged(&p, &o);
        to_plain(&o);
        const dele_nudge_result plain = nudged(&p, &o);
        assert_same(&drafted, &plain);
        assert_true(drafted.passes[DELE_NUDGE_BASE] <= plain.passes[DELE_NUDGE_BASE]);
        more += drafted.rows[DELE_NUDGE_NUDGER] > plain.rows[DELE_NUDGE_NUDGER];
        close_pair(&p);
    }
    assert_true(more > 0);
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

/* ---- limits of gamma, with one model as base and nudger -------------------------------------- */

/* What the model says alone after a prompt, greedily. */
static char *alone(dele_model *m, const char *prompt, size_t n, dele_arena *arena)
{
    dele_err err = {0};
    dele_run run = {0};
    dele_ids ids;
    const dele_ends ends = dele_ends_of(m, NULL);
    int *out = DELE_NEW(arena, int, n, &err);
    size_t n_out;
    if (!out ||
        dele_encode_as(&ids, m->tokenizer, prompt, strlen(prompt), DELE_ENCODE_BEGIN, arena,
                       &err) ||
        dele_generate(out, &n_out, &run, m, ids.id, ids.n, n, ends.id, ends.n, &err))
        fail_msg("%s", err.msg);
    char *text =
        dele_decode_continuation(m->tokenizer, ids.id, ids.n, out, n_out, true, arena, &err);
    dele_run_release(&run);
    return text;
}

/* One model as base and nudger, both with the same prompt. */
static dele_nudge_result nudged_by_itself(pair *p, const dele_nudge_opts *o)
{
    const dele_nudge_prompt prompt = {"ab cd a", DELE_ENCODE_BEGIN};
    dele_err err = {0};
    dele_nudge_result r;
    dele_nudge *n = dele_nudge_open(&p->base, &p->base, NULL, NULL, o, &err);
    if (!n || dele_nudge_generate(&r, n, &prompt, &prompt, &p->arena, &err))
        fail_msg("%s", err.msg);
    dele_nudge_close(n);
    return r;
}

/* By ids there are no rules about repetition, and nothing is encoded again. */
static void a_model_that_nudges_itself_by_ids_says_what_it_says_alone(void **state)
{
    (void)state;
    const double gammas[] = {0, 0.3, 2};
    for (uint64_t seed = 0; seed < N_SEEDS; seed++)
        for (size_t g = 0; g < 3; g++) {
            pair p;
            dele_nudge_opts o = options();
            o.tokens = true;
            o.gamma = gammas[g];
            open_pair(&p, 0, 0, seed);
            const dele_nudge_result r = nudged_by_itself(&p, &o);
            assert_string_equal(r.text, alone(&p.base, "ab cd a", (size_t)o.max_new, &p.arena));
            close_pair(&p);
        }
}

/* A tokenizer of letters encodes what it decodes to the same ids. */
static void above_one_the_base_writes_what_the_nudger_would_have(void **state)
{
    (void)state;
    size_t by_base = 0;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        pair p;
        dele_nudge_opts o = options();
        o.gamma = 2;
        open_pair(&p, LETTERS, LETTERS, seed);
        const dele_nudge_result r = nudged_by_itself(&p, &o);
        const char *text = alone(&p.base, "ab cd a", 4 * (size_t)o.max_new, &p.arena);
        const size_t blanks = strspn(text, " ");
        assert_memory_equal(r.text, text + blanks, strlen(r.text));
        for (size_t i = 0; i < r.n_spans; i++) { /* never more than the token that agrees */
            if (r.span[i].by == DELE_NUDGE_BASE) assert_int_equal(r.span[i].n_tokens, 1);
            by_base += r.span[i].by == DELE_NUDGE_BASE;
        }
        close_pair(&p);
    }
    assert_true(by_base > 10);
}

/* The base takes over after the first word at the latest that it is asked about. */
static void at_zero_the_nudger_writes_one_word_a_round(void **state)
{
    (void)state;
    size_t rounds = 0;
    for (int kinds = 0; kinds < N_KINDS * N_KINDS; kinds++)
        for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
            pair p;
            dele_nudge_opts o = options();
            o.gamma = 0;
            open_pair(&p, kinds / N_KINDS, kinds % N_KINDS, seed);
            const dele_nudge_result r = nudged(&p, &o);
            for (size_t i = 0; i + 1 < r.n_spans; i++) {
                if (r.span[i].by != DELE_NUDGE_NUDGER) continue;
                const char *text = r.text + r.span[i].from;
                size_t n = r.span[i].n, blanks = 0;
                while (blanks < n && text[blanks] == ' ') blanks++;
                while (n && text[n - 1] == ' ') n--; /* empty words are passed over */
                assert_true(n <= blanks || !memchr(text + blanks, ' ', n - blanks));
                rounds++;
            }
            close_pair(&p);
        }
    assert_true(rounds > 20);
}

/* ---- sampling -------------------------------------------------------------------------------- */

static void to_sampled(dele_nudge_opts *o)
{
    o->base_temperature = 0.8;
    o->nudger_temperature = 1.2;
    o->seed = 609;
}

static void a_seed_gives_one_text_however_it_is_computed(void **state)
{
    (void)state;
    size_t differ = 0;
    for (int kinds = 0; kinds < N_KINDS * N_KINDS; kinds++) {
        pair p;
        dele_nudge_opts o = options();
        open_pair(&p, kinds / N_KINDS, kinds % N_KINDS, 3);
        const dele_nudge_result greedy = nudged(&p, &o);
        to_sampled(&o);
        const dele_nudge_result first = nudged(&p, &o);
        to_plain(&o);
        const dele_nudge_result second = nudged(&p, &o);
        to_uncached(&o);
        const dele_nudge_result third = nudged(&p, &o);
        o.seed++;
        const dele_nudge_result other = nudged(&p, &o);
        assert_same(&first, &second);
        assert_same(&first, &third);
        differ += strcmp(first.text, other.text) && strcmp(first.text, greedy.text);
        close_pair(&p);
    }
    assert_true(differ > N_KINDS);
}

/* Of a vocabulary of 20 tokens: a temperature near 0, and top_p that one token reaches, choose the
 * most likely one. */
static void sampling_without_chance_is_greedy(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        pair p;
        dele_nudge_opts o = options();
        open_pair(&p, 1, 1, seed);
        const dele_nudge_result greedy = nudged(&p, &o);
        o.base_temperature = 1;
        o.top_p = 1e-9;
        o.nudger_temperature = 1e-4;
        const dele_nudge_result sampled = nudged(&p, &o);
        assert_same(&greedy, &sampled);
        close_pair(&p);
    }
}

/* The frequencies of sampled first tokens are the model's probabilities, within what is left of
 * them by top_p. */
static void samples_follow_the_distribution(void **state)
{
    (void)state;
    enum { DRAWS = 2000, MOST = 64 };
    dele_arena arena = {0};
    dele_model m = {0};
    dele_err err = {0};
    open_nudge_model(&m, 0, 5, 0.5, &arena);
    const int id[] = {0, 1, 8, 2};
    const size_t vocab = (size_t)m.config.vocab;
    float logits[MOST];
    double p[MOST], temperature = 1.5;
    assert_true(vocab <= MOST);
    {
        dele_run run = {0};
        const int row = 3;
        const dele_segment segment = {.tokens = id, .n_rows = 4};
        const dele_batch batch = {
            .segments = &segment, .n_segments = 1, .output_rows = &row, .n_output_rows = 1};
        assert_int_equal(dele_forward(&run, &m, &batch, &err), DELE_OK);
        dele_logits(logits, &run, &m, run.final, 1);
        dele_run_release(&run);
    }
    const double top_ps[] = {1, 0.7};
    for (int t = 0; t < 2; t++) {
        size_t count[MOST] = {0};
        double sum = 0, kept = 0;
        for (size_t v = 0; v < vocab; v++) sum += p[v] = exp(logits[v] / temperature);
        for (size_t v = 0; v < vocab; v++) p[v] /= sum;
        bool in[MOST] = {false};
        while (kept < top_ps[t] && top_ps[t] < 1) { /* the most likely until they reach it */
            size_t best = vocab;
            for (size_t v = 0; v < vocab; v++)
                if (!in[v] && (best == vocab || p[v] > p[best])) best = v;
            in[best] = true;
            kept += p[best];
        }
        for (size_t v = 0; v < vocab; v++) p[v] = top_ps[t] < 1 ? in[v] ? p[v] / kept : 0 : p[v];
        dele_completer c;
        const dele_completer_opts o = {.temperature = temperature, .top_p = top_ps[t]};
        assert_int_equal(dele_completer_init(&c, &m, NULL, &o, &err), DELE_OK);
        for (; c.opts.seed < DRAWS; c.opts.seed++) {
            dele_next_token next;
            dele_completer_forget(&c);
            assert_int_equal(dele_completer_next(&next, &c, id, 4, &err), DELE_OK);
            count[next.id]++;
        }
        dele_completer_release(&c);
        for (size_t v = 0; v < vocab; v++) { /* five standard errors */
            const double error = sqrt(p[v] * (1 - p[v]) / DRAWS);
            assert_true(fabs((double)count[v] / DRAWS - p[v]) <= 5 * error + 1e-12);
        }
    }
    dele_model_release(&m);
    dele_arena_release(&arena);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static void words_are_those_of_pythons_split(void **state)
{
    (void)state;
    const struct {
        const char *text;
        size_t n, length[4];
    } cases[] = {{"the cat", 2, {3, 7}}, {"  the  cat", 3, {5, 6, 10}},
                 {"", 1, {0}},           {"   ", 1, {3}},
                 {"a ", 2, {1, 2}},      {"\n a", 2, {1, 3}}};
    dele_arena arena = {0};
    dele_err err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dele_words words;
        assert_int_equal(dele_words_split(&words, cases[i].text, &arena, &err), DELE_OK);
        assert_int_equal(words.n, cases[i].n);
        for (size_t k = 0; k < words.n; k++)
            assert_int_equal(dele_words_length(&words, k + 1), cases[i].length[k]);
    }
    dele_arena_release(&arena);
}

static void rules_about_repetition_are_those_of_the_transcription(void **state)
{
    (void)state;
    dele_err err = {0};
    cJSON *json = dele_json_load(DELE_TESTS_DIR "/fixtures/nudging_rules.json", &err);
    if (!json) fail_msg("%s", err.msg);
    const cJSON *one;
    size_t n = 0, shorter = 0;
    cJSON_ArrayForEach(one, cJSON_GetObjectItem(json, "without_repetition"))
    {
        const char *text = dele_json_string(one, "text"), *left = dele_json_string(one, "left");
        size_t from, length;
        assert_int_equal(dele_without_repetition(&from, &length, text, &err), DELE_OK);
        assert_int_equal(length, strlen(left));
        assert_memory_equal(text + from, left, length);
        if (length) assert_int_equal(from, dele_json_get(one, "from")->valueint);
        shorter += length + 30 <= strlen(text);
        n++;
    }
    assert_true(n > 80 && shorter > 15);
    cJSON_ArrayForEach(one, cJSON_GetObjectItem(json, "repeated")) assert_int_equal(
        dele_words_repeated(dele_json_string(one, "new"), dele_json_string(one, "earlier")),
        cJSON_IsTrue(dele_json_get(one, "is")));
    cJSON_Delete(json);
}

/* ---- ends and refusals ----------------------------------------------------------------------- */

static void a_full_context_ends_the_answer(void **state)
{
    (void)state;
    pair p;
    dele_nudge_opts o = options();
    o.max_new = o.max_rounds = 100000;
    size_t full = 0;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++)
        for (int tokens = 0; tokens < 2; tokens++) {
            open_pair(&p, 0, 0, seed);
            o.tokens = tokens;
            const dele_nudge_result r = nudged(&p, &o);
            assert_true(r.stop == DELE_NUDGE_CONTEXT || r.stop == DELE_NUDGE_ENDED ||
                        r.stop == DELE_NUDGE_REPEATED);
            full += r.stop == DELE_NUDGE_CONTEXT;
            close_pair(&p);
        }
    assert_true(full > 0);
}

static void other_vocabularies_are_refused_for_ids(void **state)
{
    (void)state;
    pair p;
    dele_err err = {0};
    dele_nudge_opts o = options();
    o.tokens = true;
    open_pair(&p, 0, 1, 0);
    assert_null(dele_nudge_open(&p.base, &p.nudger, NULL, NULL, &o, &err));
    assert_int_equal(err.code, DELE_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "different vocabularies"));
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verified_draft_gives_the_text_of_one_query_a_word),
        cmocka_unit_test(a_cache_gives_the_text_of_no_cache),
        cmocka_unit_test(a_small_nudgers_drafts_do_not_change_the_text),
        cmocka_unit_test(spans_and_tokens_concatenate_to_the_text),
        cmocka_unit_test(a_model_that_nudges_itself_by_ids_says_what_it_says_alone),
        cmocka_unit_test(above_one_the_base_writes_what_the_nudger_would_have),
        cmocka_unit_test(at_zero_the_nudger_writes_one_word_a_round),
        cmocka_unit_test(a_seed_gives_one_text_however_it_is_computed),
        cmocka_unit_test(sampling_without_chance_is_greedy),
        cmocka_unit_test(samples_follow_the_distribution),
        cmocka_unit_test(words_are_those_of_pythons_split),
        cmocka_unit_test(rules_about_repetition_are_those_of_the_transcription),
        cmocka_unit_test(a_full_context_ends_the_answer),
        cmocka_unit_test(other_vocabularies_are_refused_for_ids),
    };
    return cmocka_run_group_tests_name("nudging", tests, NULL, NULL);
}
