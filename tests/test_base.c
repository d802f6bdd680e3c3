/* Random numbers, statistics, arenas and options. */
#include "claims.h"

#include <dlfcn.h>
#include <omp.h>

#include "base/nearest.h"
#include "base/path_list.h"
#include "base/random.h"
#include "base/stat.h"
#include "option/option.h"
#include "scratch.h"

/* ---- random numbers -------------------------------------------------------------------------- */

/* Written down from numpy 2: RandomState(1).randn(10, 3, 2048), its first six and last two
 * draws. */
static void normal_draws_are_numpys_bit_for_bit(void **state)
{
    (void)state;
    const double first[] = {0x1.9fd5190657c50p+0,  -0x1.393822fb7d9adp-1, -0x1.0e6c872548fd2p-1,
                            -0x1.12ae1255cb80cp+0, 0x1.bb16b5735117dp-1,  -0x1.2698d1ecca259p+1};
    const double last[] = {0x1.087e508182a16p+0, -0x1.cac64259f1710p-1};
    enum { N = 10 * 3 * 2048 };
    dele_numpy_rng rng;
    dele_numpy_seed(&rng, 1);
    for (int i = 0; i < N; i++) {
        double x = dele_numpy_randn(&rng);
        if (i < 6) assert_true(x == first[i]);
        if (i >= N - 2) assert_true(x == last[i - (N - 2)]);
    }
}

static void uniform_and_chisquare_draws_are_numpys(void **state)
{
    (void)state;
    const double uniform[] = {-0.16595599, 0.44064899, -0.99977125},
                 chi2[] = {1.54386075, 2.21388151, 0.20774936};
    dele_numpy_rng rng;
    dele_numpy_seed(&rng, 1);
    for (int i = 0; i < 3; i++)
        assert_true(fabs(dele_numpy_uniform(&rng, -1, 1) - uniform[i]) < 5e-9);
    dele_numpy_seed(&rng, 2);
    for (int i = 0; i < 3; i++) assert_true(fabs(dele_numpy_chisquare(&rng, 3) - chi2[i]) < 5e-9);
}

/* Chi-square with 1 degree of freedom goes through gamma's other branch (shape below 1), with 2
 * through the exponential: mean df, variance 2 df. */
static void chisquare_has_its_mean_and_variance(void **state)
{
    (void)state;
    enum { N = 40000 };
    static double x[N];
    dele_numpy_rng rng;
    dele_numpy_seed(&rng, 7);
    for (int df = 1; df <= 5; df++) {
        for (int i = 0; i < N; i++) x[i] = dele_numpy_chisquare(&rng, df);
        dele_stat s = dele_stat_of(x, N);
        assert_true(fabs(s.mean - df) < 6 * s.se);
        assert_true(fabs(s.sd * s.sd / (2.0 * df) - 1) < 0.1);
    }
}

/* The first outputs from state {1, 2, 3, 4}, as the authors' own program gives them. */
static void xoshiro_is_the_published_one(void **state)
{
    (void)state;
    dele_rng rng = {{1, 2, 3, 4}};
    assert_int_equal(dele_rng_next(&rng), 11520);
    assert_int_equal(dele_rng_next(&rng), 0);
    assert_int_equal(dele_rng_next(&rng), 1509978240);
    dele_rng_seed(&rng, 0);
    assert_true(rng.s[0] == 0xe220a8397b1dcdafu);
}

static void a_shuffle_keeps_every_item_and_repeats_with_its_seed(void **state)
{
    (void)state;
    enum { N = 257 };
    size_t a[N], b[N], moved = 0, seen[N] = {0};
    for (size_t i = 0; i < N; i++) a[i] = b[i] = i;
    dele_rng rng;
    dele_rng_seed(&rng, 42);
    dele_rng_shuffle(&rng, a, N);
    dele_rng_seed(&rng, 42);
    dele_rng_shuffle(&rng, b, N);
    assert_memory_equal(a, b, sizeof a);
    for (size_t i = 0; i < N; i++) {
        moved += a[i] != i;
        seen[a[i]]++;
    }
    for (size_t i = 0; i < N; i++) assert_int_equal(seen[i], 1);
    assert_true(moved > N / 2);
}

static void normals_are_standard_and_below_is_even(void **state)
{
    (void)state;
    enum { N = 40000 };
    static double x[N];
    int count[6] = {0};
    dele_rng rng;
    dele_rng_seed(&rng, 1);
    for (int i = 0; i < N; i++) {
        x[i] = dele_rng_normal(&rng);
        count[dele_rng_below(&rng, 6)]++;
    }
    dele_stat s = dele_stat_of(x, N);
    assert_true(fabs(s.mean) < 5 * s.se && fabs(s.sd - 1) < 0.02);
    for (int k = 0; k < 6; k++) assert_true(abs(count[k] - N / 6) < 5 * sqrt(N * 5.0 / 36));
    assert_int_equal(dele_rng_below(&rng, 1), 0);
}

/* ---- statistics ------------------------------------------------------------------------------ */

static void the_spread_of_a_sample_divides_by_n_minus_one(void **state)
{
    (void)state;
    const double x[] = {2, 4, 4, 4, 5, 5, 7, 9};
    dele_stat s = dele_stat_of(x, 8);
    assert_true(fabs(s.mean - 5) < 1e-12);
    assert_true(fabs(s.sd - sqrt(32.0 / 7)) < 1e-12);
    assert_true(fabs(s.se - sqrt(32.0 / 7 / 8)) < 1e-12);
    assert_true(isnan(dele_stat_of(x, 1).sd) && dele_stat_of(x, 1).mean == 2);
    assert_true(isnan(dele_stat_of(x, 0).mean));
}

static void a_bootstrap_interval_of_a_constant_is_a_point(void **state)
{
    (void)state;
    const double x[] = {3, 3, 3, 3, 3};
    dele_rng rng;
    dele_rng_seed(&rng, 1);
    dele_interval ci;
    assert_int_equal(dele_bootstrap_mean(&ci, x, 5, 0.95, 200, &rng, NULL), DELE_OK);
    assert_true(ci.low == 3 && ci.high == 3);
    assert_int_equal(dele_bootstrap_mean(&ci, x, 0, 0.95, 200, &rng, NULL), DELE_OK);
    assert_true(isnan(ci.low) && isnan(ci.high));
}

/* For a large sample the bootstrap agrees with mean +- 1.96 standard errors. */
static void a_bootstrap_interval_agrees_with_the_normal_one(void **state)
{
    (void)state;
    enum { N = 400 };
    double x[N];
    dele_rng rng;
    dele_rng_seed(&rng, 5);
    for (int i = 0; i < N; i++) x[i] = 10 + 2 * dele_rng_normal(&rng);
    dele_stat s = dele_stat_of(x, N);
    dele_interval ci, again;
    dele_rng copy = rng;
    assert_int_equal(dele_bootstrap_mean(&ci, x, N, 0.95, 4000, &rng, NULL), DELE_OK);
    assert_true(fabs(ci.low - (s.mean - 1.96 * s.se)) < 0.1 * s.se);
    assert_true(fabs(ci.high - (s.mean + 1.96 * s.se)) < 0.1 * s.se);
    dele_bootstrap_mean(&again, x, N, 0.95, 4000, &copy, NULL);
    assert_true(again.low == ci.low && again.high == ci.high);
}

/* ---- arenas ---------------------------------------------------------------------------------- */

static void an_arena_at_its_limit_fails_politely(void **state)
{
    (void)state;
    dele_arena arena = {.limit = (size_t)4 << 20};
    dele_err err = {0};
    assert_non_null(DELE_NEW(&arena, char, 1 << 20, &err));
    assert_null(DELE_NEW(&arena, char, (size_t)64 << 20, &err));
    assert_int_equal(err.code, DELE_ERR_MEMORY);
    assert_non_null(strstr(err.msg, "out of memory"));
    assert_non_null(DELE_NEW(&arena, char, 1 << 20, NULL)); /* the rest still stands */
    dele_arena_release(&arena);
}

static void sizes_that_overflow_are_memory_errors(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_err err = {0};
    assert_null(DELE_NEW(&arena, double, SIZE_MAX / 4, &err));
    assert_null(dele_alloc_raw(&arena, SIZE_MAX - 4096, 1,
                               NULL)); /* rounded up to whole pages it would be few bytes */
    assert_int_equal(err.code, DELE_ERR_MEMORY);
    dele_arena_release(&arena);
}

static void arena_memory_is_zeroed_aligned_and_reused_after_a_reset(void **state)
{
    (void)state;
    dele_arena arena = {0};
    for (int turn = 0; turn < 3; turn++) {
        unsigned char *a = DELE_NEW(&arena, unsigned char, 1000, NULL),
                      *b = DELE_NEW(&arena, unsigned char, 3 << 20, NULL);
        assert_true((uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0);
        for (int i = 0; i < 1000; i++) assert_int_equal(a[i], 0);
        memset(a, 0xff, 1000);
        memset(b, 0xff, 3 << 20);
        assert_true(arena.reserved <= (size_t)5 << 20);
        dele_arena_reset(&arena);
    }
    dele_arena_release(&arena);
}

static void the_first_failure_wins(void **state)
{
    (void)state;
    dele_err err = {0};
    assert_int_equal(dele_fail(&err, DELE_ERR_FILE, "first %d", 1), DELE_ERR_FILE);
    assert_int_equal(dele_fail(&err, DELE_ERR_DATA, "second"), DELE_ERR_FILE);
    assert_string_equal(err.msg, "first 1");
}

/* ---- options --------------------------------------------------------------------------------- */

typedef enum { NOWHERE, UP, DOWN } direction;
static const char *const direction_names[] = {"", "up", "down", NULL};

typedef struct {
    const char *out, *model;
    int window;
    uint64_t seed;
    double lr;
    bool reference, chat;
    direction to;
} settings;

/* Parses a command line written as one string, words parted by single spaces. */
static dele_status parse(settings *s, dele_common *common, const char *line, dele_arena *arena,
                         dele_err *err)
{
    *s = (settings){.window = 10, .seed = 1, .lr = 1e-4, .chat = true};
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("result"),
        DELE_OPT("out", &s->out, "where to"),          DELE_OPT("window", &s->window,
                 "layers together"),
        DELE_GROUP("method"),
        DELE_OPT("seed", &s->seed, "where chance begins"), DELE_OPT("lr", &s->lr, "step size"),
        DELE_CHOICE("direction", &s->to, direction_names, "where to"),
        DELE_FLAG("reference", &s->reference, "slowly"),   DELE_FLAG("chat", &s->chat,
                  "as a conversation"),
        {0},
    };
    const dele_usage usage = {.command = "test", .summary = "a test", .synopsis = "MODEL --out DIR", .options = options,
                             .positional = &s->model, .n_positional = 1};
    char *copy = dele_strdup(arena, line, NULL), *argv[32], *save = NULL;
    int argc = 0;
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) argv[argc++] = word;
    return dele_options_parse(common, &usage, argc, argv, arena, err);
}

static void options_are_read_in_both_spellings(void **state)
{
    (void)state;
    dele_arena arena = {0};
    settings s;
    dele_common c;
    dele_err err = {0};
    const char *line = "test m.gguf --out here --window=3 --seed 18446744073709551615 --lr 2e-5 --reference --no-chat -q";
    assert_int_equal(parse(&s, &c, line, &arena, &err), DELE_OK);
    assert_string_equal(s.out, "here");
    assert_string_equal(s.model, "m.gguf");
    assert_int_equal(s.window, 3);
    assert_true(s.seed == UINT64_MAX && s.lr == 2e-5 && s.reference && !s.chat && c.quiet && !c.json);
    assert_int_equal(parse(&s, &c, "test --json -- --odd-name", &arena, &err), DELE_OK);
    assert_string_equal(s.model, "--odd-name");
    assert_true(c.json && s.window == 10 && s.chat && s.to == NOWHERE);
    dele_arena_release(&arena);
}

static void a_choice_is_read_and_written_as_its_word(void **state)
{
    dele_arena arena = {0};
    settings s;
    dele_common c;
    dele_err err = {0};
    char line[600];
    assert_int_equal(parse(&s, &c, "test m --direction down", &arena, &err), DELE_OK);
    assert_int_equal(s.to, DOWN);
    snprintf(line, sizeof line, "test m --config %s", scratch_text(*state, "w.json", "{\"direction\": \"up\"}"));
    assert_int_equal(parse(&s, &c, line, &arena, &err), DELE_OK);
    assert_int_equal(s.to, UP);
    const dele_option options[] = {DELE_CHOICE("direction", &s.to, direction_names, "where to"), {0}};
    const dele_usage usage = {.options = options};
    for (s.to = NOWHERE; s.to <= DOWN; s.to++) {
        cJSON *json = dele_options_json(&usage);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "direction")), direction_names[s.to]);
        cJSON_Delete(json);
    }
    dele_arena_release(&arena);
}

static void a_wrong_command_line_says_what_is_wrong(void **state)
{
    (void)state;
    const struct {
        const char *line, *says;
    } wrong[] = {
        {"test m --windw 3", "did you mean --window?"},
        {"test m --refrence", "did you mean --reference?"},
        {"test m --thread 2", "did you mean --threads?"},
        {"test m --zebra 3", "deleatur test --help"},
        {"test m --window three", "--window wants a whole number, not \"three\""},
        {"test m --window 3x", "whole number"},
        {"test m --window 99999999999", "whole number"},
        {"test m --seed -1", "0 or more"},
        {"test m --lr nan", "--lr wants a number"},
        {"test m --out", "--out wants text after it"},
        {"test m --out --reference", "--out wants text after it"},
        {"test m --reference=perhaps", "true or false"},
        {"test m --no-window", "no option --no-window"},
        {"test m --direction dwn", "--direction dwn is not one of: up, down; did you mean down?"},
        {"test m --direction sideways", "--direction sideways is not one of: up, down"},
        {"test m --direction", "--direction wants a word after it"},
        {"test m extra", "\"extra\" is one argument too many"},
        {"test", "MODEL is missing: deleatur test MODEL --out DIR"},
        {"test m --learning-rate 3", "no option --learning-rate: say --lr"},
        {"test m --learning_rate=3", "say --lr"},
        {"test m --output_dir x", "say --out"},
        {"test m --model x", "MODEL is a positional argument, deleatur test MODEL --out DIR"},
        {"test m --tasks x", "deleatur test --help"},
        {"test m --=x", "no option --"},
        {"test m --method x", "no option --method"},
        {"test m -z", "no option -z"},
        {"test m --threads -3", "--threads wants 0 or more"},
        {"test m --config /nonexistent/x.json", "/nonexistent/x.json"},
    };
    dele_arena arena = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        settings s;
        dele_common c;
        dele_err err = {0};
        dele_status status = parse(&s, &c, wrong[i].line, &arena, &err);
        if (!strstr(err.msg, wrong[i].says)) fail_msg("%s: says \"%s\"", wrong[i].line, err.msg);
        if (!strstr(wrong[i].line, "--config")) assert_int_equal(status, DELE_ERR_USAGE);
    }
    dele_arena_release(&arena);
}

static void the_command_line_overrules_the_config_file(void **state)
{
    dele_arena arena = {0};
    settings s;
    dele_common c;
    dele_err err = {0};
    const char *path = scratch_text(*state, "o.json",
                                    "{\"window\": 5, \"lr\": 3e-5, \"out\": [\"a\", \"b\"], \"reference\": true,"
                                    " \"seed\": 7, \"quiet\": true}");
    char line[600];
    snprintf(line, sizeof line, "test --window 8 m --config %s", path);
    assert_int_equal(parse(&s, &c, line, &arena, &err), DELE_OK);
    assert_true(s.window == 8 && s.lr == 3e-5 && s.reference && s.seed == 7 && c.quiet);
    assert_string_equal(s.out, "a,b");
    dele_arena_release(&arena);
}

static void an_unknown_key_in_the_config_file_is_an_error(void **state)
{
    dele_arena arena = {0};
    const struct {
        const char *json, *says;
    } wrong[] = {
        {"{\"windwo\": 5}", "did you mean window?"},
        {"{\"window\": 5.5}", "\"window\" wants a whole number"},
        {"{\"window\": {}}", "\"window\" wants"},
        {"{\"direction\": \"dwn\"}", "\"direction\" dwn is not one of: up, down; did you mean down?"},
        {"[1]", "JSON object"},
        {"{\"window\": ", "ends before it is complete"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        settings s;
        dele_common c;
        dele_err err = {0};
        char line[600];
        snprintf(line, sizeof line, "test m --config=%s", scratch_text(*state, "o.json", wrong[i].json));
        assert_int_not_equal(parse(&s, &c, line, &arena, &err), DELE_OK);
        if (!strstr(err.msg, wrong[i].says)) fail_msg("%s: says \"%s\"", wrong[i].json, err.msg);
        assert_non_null(strstr(err.msg, "o.json"));
    }
    dele_arena_release(&arena);
}

static void threads_reach_openmp(void **state)
{
    (void)state;
    int before = omp_get_max_threads();
    dele_arena arena = {0};
    settings s;
    dele_common c;
    assert_int_equal(parse(&s, &c, "test m --threads 3", &arena, NULL), DELE_OK);
    assert_int_equal(omp_get_max_threads(), 3);
    omp_set_num_threads(before);
    dele_arena_release(&arena);
}

static void options_in_force_can_be_written_down(void **state)
{
    (void)state;
    const char *out = NULL;
    double lr = 0.1;
    uint64_t seed = UINT64_MAX;
    bool flag = true;
    const dele_option options[] = {DELE_GROUP("a"), DELE_OPT("out", &out, ""), DELE_GROUP("b"), DELE_OPT("lr", &lr, ""), DELE_OPT("seed", &seed, ""),
                                  DELE_FLAG("flag", &flag, ""), {0}};
    /* clang-format on */
    const dele_usage usage = {.options = options};
    cJSON *json = dele_options_json(&usage);
    char *text = cJSON_PrintUnformatted(json);
    assert_string_equal(text,
                        "{\"out\":null,\"lr\":0.1,\"seed\":18446744073709551615,\"flag\":true}");
    free(text);
    cJSON_Delete(json);
}

static void a_near_miss_finds_its_word_and_a_far_one_does_not(void **state)
{
    (void)state;
    const char *const names[] = {"trace", "unlearn", "eval", "run"};
    assert_string_equal(dele_nearest("tracce", names, 4), "trace");
    assert_string_equal(dele_nearest("unlaern", names, 4), "unlearn");
    assert_string_equal(dele_nearest("evl", names, 4), "eval");
    assert_null(dele_nearest("zebra", names, 4));
    assert_null(dele_nearest("x", names, 4));
}

/* ---- the matrix library ---------------------------------------------------------------------- */

void cblas_sgemm(void); /* only its address is taken */

/* GSL brings a slow CBLAS with the same names; were it to answer, everything would work, ten times
 * slower. */
static bool is_known(char *entry)
{
    return !strcmp(entry, "a") || !strcmp(entry, "b,c") || !strcmp(entry, "b,c,d=1");
}

static void a_path_in_a_list_keeps_its_own_commas(void **state)
{
    (void)state;
    char text[] = "a,b,c,unknown,,b,c,d=1", only[] = "b,c", *list = text;
    static const char *const wanted[] = {"a", "b,c", "unknown", "", "b,c", "d=1"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_string_equal(dele_path_list_next(&list, is_known), wanted[i]);
    assert_null(dele_path_list_next(&list, is_known));
    list = only;
    assert_string_equal(dele_path_list_next(&list, is_known), "b,c");
    assert_null(list);
}

static void the_matrix_product_is_openblas(void **state)
{
    (void)state;
    Dl_info info;
    void (*volatile f)(void) = cblas_sgemm;
    void *address;
    memcpy(&address, (void *)&f, sizeof address);
    assert_true(dladdr(address, &info) != 0);
    assert_null(strstr(info.dli_fname, "gslcblas"));
}

int main(void)
{
#define SCRATCH(claim) cmocka_unit_test_setup_teardown(claim, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_draws_are_numpys_bit_for_bit),
        cmocka_unit_test(uniform_and_chisquare_draws_are_numpys),
        cmocka_unit_test(chisquare_has_its_mean_and_variance),
        cmocka_unit_test(xoshiro_is_the_published_one),
        cmocka_unit_test(a_shuffle_keeps_every_item_and_repeats_with_its_seed),
        cmocka_unit_test(normals_are_standard_and_below_is_even),
        cmocka_unit_test(the_spread_of_a_sample_divides_by_n_minus_one),
        cmocka_unit_test(a_bootstrap_interval_of_a_constant_is_a_point),
        cmocka_unit_test(a_bootstrap_interval_agrees_with_the_normal_one),
        cmocka_unit_test(an_arena_at_its_limit_fails_politely),
        cmocka_unit_test(sizes_that_overflow_are_memory_errors),
        cmocka_unit_test(arena_memory_is_zeroed_aligned_and_reused_after_a_reset),
        cmocka_unit_test(the_first_failure_wins),
        cmocka_unit_test(options_are_read_in_both_spellings),
        SCRATCH(a_choice_is_read_and_written_as_its_word),
        cmocka_unit_test(a_wrong_command_line_says_what_is_wrong),
        SCRATCH(the_command_line_overrules_the_config_file),
        SCRATCH(an_unknown_key_in_the_config_file_is_an_error),
        cmocka_unit_test(threads_reach_openmp),
        cmocka_unit_test(options_in_force_can_be_written_down),
        cmocka_unit_test(a_near_miss_finds_its_word_and_a_far_one_does_not),
        cmocka_unit_test(a_path_in_a_list_keeps_its_own_commas),
        cmocka_unit_test(the_matrix_product_is_openblas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
