/* deleatur routing on tiny random mixtures: what it leaves are the routes of the forward pass, the
 * same from a directory and from a GGUF; a model against itself, by running it and from its result;
 * routes of another model followed; what is refused. */
#include "model_files.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "byte_tokenizer.h"
#include "cli/cmd.h"
#include "model/forward.h"
#include "routing/tokens_file.h"
#include "scratch.h"

enum {
    LAYERS = 4,
    DENSE_LAYER = 1,
    MIXTURE_EXPERTS = 6,
    MIXTURE_TOP_K = 2,
    VOCAB = 258,
    WINDOW = 16
};

/* A mixture with a token at the beginning of every text; dense: a layer without experts, or -1. */
static void make_mixture(const char *dir, uint64_t seed, int dense)
{
    dele_arena arena = {0};
    dele_model model = {0};
    dele_err err = {0};
    dele_config c = tiny_config(dele_family_by_hf("qwen3_moe"), false);
    c.n_layers = LAYERS, c.vocab = VOCAB, c.context = 64, c.bos = 257, c.eos = c.ends[0] = 256;
    fit_family(&c);
    c.n_experts = MIXTURE_EXPERTS, c.top_k = MIXTURE_TOP_K;
    if (dense >= 0) c.layer_kind[dense] = 0;
    assert_int_equal(dele_model_layout(&model, &c, &arena, &err), DELE_OK);
    dele_model_randomise(&model, 0.5, seed);
    model.tokenizer = bytes_after("<s>", 3, &arena);
    mkdir(dir, 0777);
    if (dele_model_save(&model, dir, "f32", &err)) fail_msg("%s", err.msg);
    dele_model_release(&model);
    dele_arena_release(&arena);
}

/* Six documents of letters a to h, six of i to p: by the first byte of a row. */
static void write_rows(const char *path, char first, int n)
{
    FILE *f = fopen(path, "w");
    dele_rng rng;
    assert_non_null(f);
    dele_rng_seed(&rng, (uint64_t)first);
    for (int i = 0; i < n; i++) {
        fputs(i % 2 ? "{\"text\": \"" : "{\"input\": \"", f);
        for (int k = 0; k < 20 + i; k++) fputc(first + (char)dele_rng_below(&rng, 8), f);
        fputs(i % 2 ? "\"}\n" : "\", \"output\": \"yes\"}\n", f);
    }
    assert_int_equal(fclose(f), 0);
}

/* In the test's directory: models a and b, texts one.jsonl, two.jsonl, plain.txt.  */
static int open_models(void **state)
{
    if (scratch_open(state)) return -1;
    if (chdir(((scratch *)*state)->dir)) return -1;
    make_mixture("a", 3, DENSE_LAYER);
    make_mixture("b", 4, DENSE_LAYER);
    write_rows("one.jsonl", 'a', 6);
    write_rows("two.jsonl", 'i', 6);
    write_bytes("plain.txt", "abcdefghijklmnopqrstuvwxyzabcdefghijkl", 38);
    return 0;
}

static int close_models(void **state) { return chdir("/") || scratch_close(state) ? -1 : 0; }

/* The status of a command, whose words are a line divided at blanks; stdout and stderr go to the
 * files "out" and "said". */
static int run(int command(int, char **), const char *line)
{
    char text[512], *words[40], *rest = text;
    int n = 0;
    snprintf(text, sizeof text, "%s", line);
    for (char *word; (word = strsep(&rest, " ")) && n < 39;)
        if (*word) words[n++] = word;
    words[n] = NULL;
    fflush(NULL);
    const int out = dup(1), said = dup(2);
    assert_true(out >= 0 && said >= 0 && freopen("out", "w", stdout) &&
                freopen("said", "w", stderr));
    const int status = command(n, words);
    fflush(NULL);
    assert_true(dup2(out, 1) == 1 && dup2(said, 2) == 2);
    close(out);
    close(said);
    return status;
}

static void routes(const char *line)
{
    char whole[400];
    snprintf(whole, sizeof whole, "routing %s --quiet --threads 1 --shuffles 20", line);
    if (run(cmd_routing, whole)) {
        size_t n;
        fail_msg("%s: %s", whole, read_bytes("said", &n));
    }
}

static void refused(const char *line, int status, const char *says)
{
    size_t n;
    char whole[400];
    snprintf(whole, sizeof whole, "routing %s --quiet --threads 1", line);
    assert_int_equal(run(cmd_routing, whole), status);
    char *said = (char *)read_bytes("said", &n);
    if (!strstr(said, says) || strchr(said, '\n') != said + n - 1) fail_msg("%s: %s", line, said);
    free(said);
    assert_false(dele_path_exists("never") || dele_path_exists("never.part"));
}

static void same_bytes(const char *a, const char *b)
{
    size_t n, m;
    uint8_t *x = read_bytes(a, &n), *y = read_bytes(b, &m);
    if (n != m || memcmp(x, y, n)) fail_msg("%s and %s differ", a, b);
    free(x);
    free(y);
}

static void load_tokens(dele_routed *r, const char *path, dele_arena *arena)
{
    const dele_routed_shape shape = {LAYERS, MIXTURE_EXPERTS, MIXTURE_TOP_K, VOCAB};
    dele_err err = {0};
    if (dele_tokens_load(r, path, &shape, arena, &err)) fail_msg("%s", err.msg);
}

static double json_number(const cJSON *json, const char *path)
{
    char text[200], *rest = text;
    snprintf(text, sizeof text, "%s", path);
    for (char *name; (name = strsep(&rest, "/"));) {
        json = *name >= '0' && *name <= '9' ? cJSON_GetArrayItem(json, atoi(name))
                                            : cJSON_GetObjectItemCaseSensitive(json, name);
        if (!json) fail_msg("no %s in %s", name, path);
    }
    return json->valuedouble;
}

/* ---- claims ---------------------------------------------------------------------------------- */

static void tokens_have_the_routes_of_the_forward_pass(void **state)
{
    dele_arena arena = {0};
    dele_model model;
    dele_run pass = {0};
    dele_routed r;
    dele_routes own;
    dele_err err = {0};
    (void)state;
    routes("a --text one.jsonl,letters=plain.txt --window 16 --out result");
    load_tokens(&r, "result/tokens.npz", &arena);
    assert_int_equal(dele_model_load(&model, "a", &arena, &err), DELE_OK);
    assert_int_equal(dele_routes_init(&own, &model.config, WINDOW, &arena, &err), DELE_OK);
    size_t begin = 0, windows = 0, special = 0;
    for (size_t t = 0; t < r.n; t++) {
        special += r.domain[t] < 0;
        assert_int_equal(r.domain[t] < 0, r.id[t] == 257);
        if (r.next[t] >= 0) continue; /* the last of its window */
        int rows[WINDOW];
        for (int i = 0; i < WINDOW; i++) rows[i] = i;
        const dele_segment segment = {.tokens = r.id + begin, .n_rows = (int)(t + 1 - begin)};
        const dele_batch batch = {.segments = &segment,
                                  .n_segments = 1,
                                  .output_rows = rows,
                                  .n_output_rows = t + 1 - begin,
                                  .routes = &own};
        assert_int_equal(dele_forward(&pass, &model, &batch, &err), DELE_OK);
        assert_true(t + 1 - begin <= WINDOW);
        for (size_t row = 0; row < t + 1 - begin; row++)
            for (int l = 0; l < LAYERS; l++) {
                const int *ours = dele_routed_experts(&r, begin + row, l);
                assert_int_equal(ours[0] < 0, l == DENSE_LAYER);
                assert_memory_equal(ours, dele_route_experts(&own, row, l),
                                    MIXTURE_TOP_K * sizeof(int));
                for (int i = 0; i < MIXTURE_TOP_K; i++)
                    assert_true(fabsf(dele_route_weights(&r.routes, begin + row, l)[i] -
                                      dele_route_weights(&own, row, l)[i]) < 1e-5f);
            }
        begin = t + 1;
        windows++;
    }
    /* Rows of 24, 22 (with " yes"), ... tokens after their BOS are two windows each; the stream is
     * one BOS and 38 letters: three windows, each a document. */
    assert_int_equal(windows, 6 * 2 + 3);
    assert_int_equal(special, 6 + 1);
    assert_int_equal(r.n_documents, 6 + 3);
    dele_run_release(&pass);
    dele_model_release(&model);
    dele_arena_release(&arena);
}

static void all_is_left_and_twice_the_same(void **state)
{
    static const char *const files[] = {
        "routing.json",      "texts.tsv",          "layers.tsv",
        "pairs.tsv",         "experts.tsv",        "coactivation.tsv",
        "vocabulary.tsv",    "measures.npz",       "tokens.npz",
        "plots/entropy.tsv", "plots/distance.tsv", "plots/specialisation_layer_0.tsv"};
    (void)state;
    routes("a --text one.jsonl,two.jsonl --out first");
    routes("a --text one.jsonl,two.jsonl --out second");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char one[100], two[100];
        snprintf(one, sizeof one, "first/%s", files[i]);
        snprintf(two, sizeof two, "second/%s", files[i]);
        same_bytes(one, two);
    }
    same_bytes("first/routing.html", "second/routing.html");
    assert_true(dele_path_exists("first/manifest.json"));
}

static void a_gguf_of_the_model_has_the_same_routes(void **state)
{
    dele_arena arena = {0};
    dele_routed a, b;
    (void)state;
    make_mixture("sparse", 5, -1); /* a GGUF cannot say which layers are dense */
    if (run(cmd_convert, "convert sparse --out sparse.gguf --type f32 --quiet")) {
        size_t n;
        fail_msg("%s", read_bytes("said", &n));
    }
    routes("sparse --text one.jsonl,two.jsonl --out directory");
    routes("sparse.gguf --text one.jsonl,two.jsonl --out gguf");
    load_tokens(&a, "directory/tokens.npz", &arena);
    load_tokens(&b, "gguf/tokens.npz", &arena);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.id, b.id, a.n * sizeof *a.id);
    assert_memory_equal(a.routes.experts, b.routes.experts,
                        a.n * LAYERS * MIXTURE_TOP_K * sizeof(int));
    for (size_t i = 0; i < a.n * LAYERS * MIXTURE_TOP_K; i++)
        assert_true(fabsf(a.routes.weights[i] - b.routes.weights[i]) < 1e-5f);
    dele_arena_release(&arena);
}

static void a_model_against_itself_has_not_changed(void **state)
{
    (void)state;
    routes("a --text one.jsonl,two.jsonl --against a --out change");
    cJSON *json = dele_json_load("change/routing.json", NULL);
    assert_non_null(json);
    for (int l = 0; l < LAYERS; l++) {
        char path[100];
        snprintf(path, sizeof path, "against/0/changes/%d/layer", l);
        assert_int_equal(json_number(json, path), l);
        if (l == DENSE_LAYER) continue;
        snprintf(path, sizeof path, "against/0/changes/%d/domains/2/saturation/value", l);
        assert_true(json_number(json, path) == 1);
        snprintf(path, sizeof path, "against/0/changes/%d/domains/2/distance/value", l);
        assert_true(json_number(json, path) == 0);
        snprintf(path, sizeof path, "against/0/changes/%d/domains/0/saturation_top1/value", l);
        assert_true(json_number(json, path) == 1);
    }
    cJSON_Delete(json);
    same_bytes("change/tokens.npz", "change/against_1/tokens.npz");
    same_bytes("change/vocabulary.tsv", "change/against_1/vocabulary.tsv");
}

static void a_result_serves_in_the_place_of_its_model(void **state)
{
    (void)state;
    routes("b --text one.jsonl,two.jsonl --out of_b");
    routes("a --text one.jsonl,two.jsonl --against b --out run");
    routes("a --text one.jsonl,two.jsonl --against of_b,b --out stored");
    same_bytes("run/against_1/comparison.tsv", "stored/against_1/comparison.tsv");
    same_bytes("run/against_1/comparison.tsv", "stored/against_2/comparison.tsv");
    same_bytes("run/against_1/texts.tsv", "stored/against_1/texts.tsv");
    cJSON *json = dele_json_load("run/routing.json", NULL);
    assert_true(json_number(json, "against/0/changes/0/domains/2/saturation/value") < 1);
    assert_true(json_number(json, "against/0/changes/0/domains/2/distance/value") > 0);
    cJSON_Delete(json);
}

static void a_model_follows_routes_from_a_file(void **state)
{
    dele_arena arena = {0};
    dele_routed of_a, of_b, a_as_a, b_as_a;
    (void)state;
    routes("a --text one.jsonl --out of_a");
    routes("b --text one.jsonl --out of_b");
    routes("a --text one.jsonl --route-from of_a/tokens.npz --out a_as_a");
    routes("b --text one.jsonl --route-from of_a/tokens.npz --out b_as_a");
    load_tokens(&of_a, "of_a/tokens.npz", &arena);
    load_tokens(&of_b, "of_b/tokens.npz", &arena);
    load_tokens(&a_as_a, "a_as_a/tokens.npz", &arena);
    load_tokens(&b_as_a, "b_as_a/tokens.npz", &arena);
    const size_t bytes = of_a.n * LAYERS * MIXTURE_TOP_K * sizeof(int);
    assert_memory_equal(a_as_a.routes.experts, of_a.routes.experts, bytes);
    assert_memory_equal(b_as_a.routes.experts, of_a.routes.experts, bytes);
    assert_memory_equal(b_as_a.routes.weights, of_a.routes.weights, bytes);
    assert_memory_not_equal(of_b.routes.experts, of_a.routes.experts, bytes);
    double own = 0, other = 0;
    for (size_t t = 0; t < of_a.n; t++) {
        if (isnan(of_a.logp[t])) continue;
        own = fmax(own, fabs((double)a_as_a.logp[t] - of_a.logp[t]));
        other = fmax(other, fabs((double)b_as_a.logp[t] - of_b.logp[t]));
    }
    assert_true(own < 1e-5);
    assert_true(other > 1e-3);
    dele_arena_release(&arena);
}

static void released_counts_are_lower_and_limits_hold(void **state)
{
    dele_arena arena = {0};
    dele_routed r;
    (void)state;
    routes("a --text one.jsonl,two.jsonl --tokens 40 --out few --json");
    load_tokens(&r, "few/tokens.npz", &arena);
    assert_int_equal(r.n, 80);
    same_bytes("out", "few/routing.json");
    routes("a --text one.jsonl,two.jsonl --tokens 40 --out released --compat olmoe --json");
    cJSON *own = dele_json_load("few/routing.json", NULL),
          *released = dele_json_load("released/routing.json", NULL);
    const char *path = "layers/0/vocabulary/0/ids";
    assert_true(json_number(released, path) > json_number(own, path));
    cJSON_Delete(own);
    cJSON_Delete(released);
    dele_arena_release(&arena);
}

static void what_cannot_be_studied_is_refused(void **state)
{
    dele_arena arena = {0};
    dele_model dense;
    dele_err err = {0};
    (void)state;
    tiny_model(&dense, dele_family_by_hf("qwen3"), false, &arena);
    mkdir("dense", 0777);
    assert_int_equal(dele_model_save(&dense, "dense", "f32", &err), DELE_OK);
    dele_model_release(&dense);
    routes("a --text one.jsonl --out of_one");
    write_bytes("empty.jsonl", "", 0);
    write_bytes("other.jsonl", "{\"words\": \"x\"}\n", 15);
    refused("dense --text one.jsonl --out never", 1, "is no mixture of experts");
    refused("a --out never", 2, "--text");
    refused("a --text one.jsonl", 2, "--out");
    refused("a --text one.jsonl,x=one.jsonl,x=two.jsonl --out never", 2, "two files are named");
    refused("a --text one.jsonl, --out never", 2, "a file is missing");
    refused("a --text none.jsonl --out never", 1, "none.jsonl");
    refused("a --text empty.jsonl --out never", 1, "holds no text");
    refused("a --text other.jsonl --out never", 1, "other.jsonl:1: no \"text\"");
    refused("a --text one.jsonl --window 65 --out never", 2, "the model's context is 64");
    refused("a --text one.jsonl --window 1 --out never", 2, "--window 1");
    refused("a --text one.jsonl --min-count 0 --out never", 2, "--min-count 0");
    refused("a --text two.jsonl --against of_one --out never", 1, "on the same tokens");
    refused("a --text two.jsonl --route-from of_one/tokens.npz --out never", 1,
            "on the same tokens");
    refused("a --text one.jsonl --route-from of_one/measures.npz --out never", 1, "\"ids\"");
    refused("a --text one.jsonl --against dense --out never", 1, "has no experts");
    refused("a --text one.jsonl --against a,,b --out never", 2, "a model is missing");
    refused("a --text one.jsonl --out of_one", 1, "of_one");
    dele_arena_release(&arena);
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, open_models, close_models)
    /* Without gnuplot, and in memory: pictures and syncs would take longer than all the rest. */
    setenv("PATH", "", 1);
    if (!access("/dev/shm", W_OK)) setenv("TMPDIR", "/dev/shm", 1);
    const struct CMUnitTest tests[] = {
        CLAIM(tokens_have_the_routes_of_the_forward_pass),
        CLAIM(all_is_left_and_twice_the_same),
        CLAIM(a_gguf_of_the_model_has_the_same_routes),
        CLAIM(a_model_against_itself_has_not_changed),
        CLAIM(a_result_serves_in_the_place_of_its_model),
        CLAIM(a_model_follows_routes_from_a_file),
        CLAIM(released_counts_are_lower_and_limits_hold),
        CLAIM(what_cannot_be_studied_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
