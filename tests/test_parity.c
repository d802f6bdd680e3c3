/* The engine gives the numbers that independent programs give: transformers on tiny random models
 * of every family and on SmolLM2-135M, a NumPy float64 forward pass on TinyStories-656K.
 * Fixtures: tests/reference/make_engine_fixtures.py. */
#include "claims.h"

#include "base/file.h"
#include "base/json.h"
#include "base/npz.h"
#include "model/backward.h"
#include "model/generate.h"
#include "tests/family_fixtures.h"
#include "tests/shared.h"

static const double TOLERANCE = 1e-4; /* relative to the largest logit; chosen before looking */

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_run run;
} fixture;

static bool try_open(fixture *f, const char *path)
{
    *f = (fixture){0};
    if (!dele_path_exists(path)) return false;
    dele_err err = {0};
    if (dele_model_load(&f->model, path, &f->arena, &err)) fail_msg("%s", err.msg);
    return true;
}

static void close_fixture(fixture *f)
{
    dele_run_release(&f->run);
    dele_model_release(&f->model);
    dele_arena_release(&f->arena);
}

static cJSON *load_json(const char *path)
{
    dele_err err = {0};
    cJSON *json = dele_json_load(path, &err);
    if (!json) fail_msg("%s", err.msg);
    return json;
}

static dele_ids ids_of(fixture *f, const cJSON *array)
{
    dele_ids ids = {DELE_NEW(&f->arena, int, (size_t)cJSON_GetArraySize(array), NULL), 0};
    const cJSON *item;
    cJSON_ArrayForEach(item, array) ids.id[ids.n++] = item->valueint;
    return ids;
}

/* Logits of every row, in the arena. */
static float *all_logits(fixture *f, dele_ids ids)
{
    dele_err err = {0};
    size_t vocab = (size_t)f->model.config.vocab;
    int *rows = DELE_NEW(&f->arena, int, ids.n, &err);
    float *logits = dele_alloc(&f->arena, ids.n, vocab * sizeof *logits, &err);
    for (size_t i = 0; i < ids.n; i++) rows[i] = (int)i;
    dele_segment s = {.tokens = ids.id, .n_rows = (int)ids.n};
    dele_batch batch = {
        .segments = &s, .n_segments = 1, .output_rows = rows, .n_output_rows = ids.n};
    if (dele_forward(&f->run, &f->model, &batch, &err)) fail_msg("%s", err.msg);
    dele_logits(logits, &f->run, &f->model, f->run.final, ids.n);
    return logits;
}

static void near(double ours, double theirs, double scale, const char *what)
{
    if (!(fabs(ours - theirs) <= TOLERANCE * fmax(1.0, scale)))
        fail_msg("%s: %.7g, reference %.7g", what, ours, theirs);
}

static const char *const tiny[] = {"llama-tied", "llama-untied", "olmo-tied",
                                   "olmo-clip",  "llama-bias",   "qwen2"};
enum { N_TINY = sizeof tiny / sizeof *tiny };

/* A model against the logits of its fixture. */
static void agrees(fixture *f, const char *logits_path, const char *name)
{
    cJSON *json = load_json(logits_path);
    const cJSON *rows = cJSON_GetObjectItem(json, "logits"), *row, *x;
    const float *logits = all_logits(f, ids_of(f, cJSON_GetObjectItem(json, "ids")));
    cJSON_ArrayForEach(row, rows)
    {
        double scale = 0;
        cJSON_ArrayForEach(x, row) scale = fmax(scale, fabs(x->valuedouble));
        cJSON_ArrayForEach(x, row) near(*logits++, x->valuedouble, scale, name);
    }
    cJSON_Delete(json);
}

/* As a directory, and as a GGUF by llama.cpp's names where there is one. */
static void tiny_random_models_agree_with_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_TINY; i++) {
        fixture f;
        char path[512], logits[540], gguf[540];
        snprintf(path, sizeof path, "%s/fixtures/tiny-%s", DELE_TESTS_DIR, tiny[i]);
        snprintf(logits, sizeof logits, "%s/logits.json", path);
        snprintf(gguf, sizeof gguf, "%s.gguf", path);
        if (!try_open(&f, path)) fail_msg("%s is missing", path);
        agrees(&f, logits, tiny[i]);
        close_fixture(&f);
        if (!try_open(&f, gguf)) continue;
        agrees(&f, logits, gguf);
        close_fixture(&f);
    }
}

/* The gradients g [n_tensors] of the mean cross-entropy of ids 1, 2, ... after those before. */
static void gradients(float **g, fixture *f, dele_ids ids)
{
    dele_err err = {0};
    const size_t vocab = (size_t)f->model.config.vocab, n = ids.n - 1;
    const dele_segment s = {.tokens = ids.id, .n_rows = (int)ids.n};
    int *rows = DELE_NEW(&f->arena, int, n, &err);
    float *logits = dele_alloc(&f->arena, n, vocab * sizeof *logits, &err);
    for (size_t i = 0; i < n; i++) rows[i] = (int)i;
    const dele_batch batch = {.segments = &s,
                              .n_segments = 1,
                              .output_rows = rows,
                              .n_output_rows = n,
                              .keep_for_backward = true};
    if (dele_forward(&f->run, &f->model, &batch, &err)) fail_msg("%s", err.msg);
    dele_logits(logits, &f->run, &f->model, f->run.final, n);
    for (size_t i = 0; i < n; i++) {
        float *row = logits + i * vocab;
        double sum = 0;
        for (size_t j = 0; j < vocab; j++) sum += exp((double)row[j]);
        for (size_t j = 0; j < vocab; j++)
            row[j] = (float)((exp((double)row[j]) / sum - ((int)j == ids.id[i + 1])) / (double)n);
    }
    if (dele_backward(&f->run, &f->model, &batch, logits, &(dele_grads){.g = g}, &err))
        fail_msg("%s", err.msg);
}

static float **new_gradients(fixture *f)
{
    dele_err err = {0};
    float **g = DELE_NEW(&f->arena, float *, f->model.n_tensors, &err);
    for (size_t k = 0; k < f->model.n_tensors; k++)
        g[k] = dele_alloc(&f->arena, f->model.tensors[k].rows * f->model.tensors[k].cols,
                          sizeof(float), &err);
    return g;
}

/* Where a fixture has them: they are the tensors of another model of the same form. */
static void gradients_of_every_tensor_agree_with_torch(void **state)
{
    (void)state;
    int n_compared = 0;
    for (size_t i = 0; i < N_TINY; i++) {
        fixture f, theirs;
        char path[512], logits[540], gradient[540];
        snprintf(path, sizeof path, "%s/fixtures/tiny-%s", DELE_TESTS_DIR, tiny[i]);
        snprintf(logits, sizeof logits, "%s/logits.json", path);
        snprintf(gradient, sizeof gradient, "%s/gradient", path);
        if (!try_open(&theirs, gradient)) continue;
        assert_true(try_open(&f, path));
        cJSON *json = load_json(logits);
        float **g = new_gradients(&f);
        gradients(g, &f, ids_of(&f, cJSON_GetObjectItem(json, "ids")));
        for (size_t k = 0; k < f.model.n_tensors; k++) {
            const dele_tensor *t = &theirs.model.tensors[k];
            const size_t n = t->rows * t->cols;
            float *want = dele_alloc(&f.arena, n, sizeof *want, NULL);
            double scale = 0;
            dele_tensor_rows(want, t, 0, t->rows);
            for (size_t j = 0; j < n; j++) scale = fmax(scale, fabs((double)want[j]));
            assert_true(scale > 0);
            for (size_t j = 0; j < n; j++)
                if (!(fabs((double)g[k][j] - want[j]) <= TOLERANCE * scale))
                    fail_msg("%s, %s: %g, torch %g", tiny[i], t->name, (double)g[k][j],
                             (double)want[j]);
        }
        cJSON_Delete(json);
        close_fixture(&f);
        close_fixture(&theirs);
        n_compared++;
    }
    assert_true(n_compared > 0);
}

/* ---- every family (fixtures/families, by reference/make_family_fixtures.py) -------------------
 */

static const char *const families[] = DELE_FAMILY_FIXTURES;
enum { N_FAMILIES = sizeof families / sizeof *families };

static void open_family(fixture *f, const char *name, const char *beside)
{
    char path[512];
    snprintf(path, sizeof path, "%s/fixtures/families/%s%s", DELE_TESTS_DIR, name, beside);
    if (!try_open(f, path)) fail_msg("%s is missing", path);
}

/* The stored array of floats, whose shape must be this. */
static const float *stored(dele_npz_in *npz, const char *name, size_t a, size_t b, size_t c,
                           fixture *f)
{
    dele_err err = {0};
    const size_t want[] = {a, b, c};
    size_t dims[] = {a, b, c};
    const int n_dims = c ? 3 : 2;
    const float *x = dele_npz_in_f32(npz, name, n_dims, dims, &f->arena, &err);
    if (!x) fail_msg("%s", err.msg);
    assert_memory_equal(dims, want, (size_t)n_dims * sizeof *dims);
    return x;
}

/* All of one array, relative to its largest value. */
static void all_near(const float *ours, const float *theirs, size_t n, const char *name,
                     const char *what)
{
    double scale = 0;
    for (size_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)theirs[i]));
    assert_true(scale > 0);
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)ours[i] - theirs[i]) <= TOLERANCE * scale))
            fail_msg("%s, %s, %zu of %zu: %.7g, transformers %.7g", name, what, i, n,
                     (double)ours[i], (double)theirs[i]);
}

static dele_ids stored_tokens(dele_npz_in *npz, fixture *f)
{
    dele_err err = {0};
    size_t n = 0;
    const int64_t *tokens = dele_npz_in_i64(npz, "tokens", 1, &n, &f->arena, &err);
    if (!tokens) fail_msg("%s", err.msg);
    dele_ids ids = {DELE_NEW(&f->arena, int, n, NULL), n};
    for (size_t i = 0; i < n; i++) ids.id[i] = (int)tokens[i];
    return ids;
}

static dele_npz_in *open_states(const char *name)
{
    char path[512];
    dele_err err = {0};
    snprintf(path, sizeof path, "%s/fixtures/families/%s/states.npz", DELE_TESTS_DIR, name);
    dele_npz_in *npz = dele_npz_in_open(path, &err);
    if (!npz) fail_msg("%s", err.msg);
    return npz;
}

/* Logits, the stream between the layers, and what each sublayer adds to it: where a family has a
 * norm after a sublayer, what is added is the norm's output. */
static void every_familys_states_agree_with_transformers(void **state)
{
    (void)state;
    static const struct {
        dele_site site;
        const char *name;
    } sites[] = {{DELE_RESID_PRE, "resid"},
                 {DELE_RESID_POST, "resid"},
                 {DELE_ATTN_OUT, "attn_out"},
                 {DELE_MLP_OUT, "mlp_out"}};
    for (size_t i = 0; i < N_FAMILIES; i++) {
        fixture f;
        open_family(&f, families[i], "");
        dele_npz_in *npz = open_states(families[i]);
        const dele_ids ids = stored_tokens(npz, &f);
        const dele_config *c = &f.model.config;
        const size_t layers = (size_t)c->n_layers, d = (size_t)c->hidden_size, n = ids.n;
        const float *logits = stored(npz, "logits", n, (size_t)c->vocab, 0, &f);
        all_near(all_logits(&f, ids), logits, n * (size_t)c->vocab, families[i], "logits");
        for (size_t k = 0; k < sizeof sites / sizeof *sites; k++) {
            assert_true(c->family->site[sites[k].site]);
            const bool of_stream = !strcmp(sites[k].name, "resid");
            const float *want = stored(npz, sites[k].name, layers + of_stream, n, d, &f) +
                                (sites[k].site == DELE_RESID_POST ? n * d : 0);
            for (int layer = 0; layer < c->n_layers; layer++, want += n * d) {
                float *seen = dele_alloc(&f.arena, n * d, sizeof *seen, NULL);
                const dele_patch read = {.layer = layer,
                                         .n_rows = (int)n,
                                         .site = sites[k].site,
                                         .op = DELE_READ,
                                         .seen = seen};
                const dele_segment s = {.tokens = ids.id, .n_rows = (int)n};
                const dele_batch batch = {
                    .segments = &s, .n_segments = 1, .patches = &read, .n_patches = 1};
                dele_err err = {0};
                if (dele_forward(&f.run, &f.model, &batch, &err)) fail_msg("%s", err.msg);
                all_near(seen, want, n * d, families[i], sites[k].name);
            }
        }
        dele_npz_in_close(npz);
        close_fixture(&f);
    }
}

/* The largest absolute value of a tensor. */
static double largest(const dele_tensor *t, fixture *f)
{
    double most = 0;
    float *x = dele_alloc(&f->arena, t->rows * t->cols, sizeof *x, NULL);
    assert_non_null(x);
    dele_tensor_rows(x, t, 0, t->rows);
    for (size_t j = 0; j < t->rows * t->cols; j++) most = fmax(most, fabs((double)x[j]));
    return most;
}

/* The stored gradients are a model of the same form, in float16.  A tensor on which no logit
 * depends has rounding for a gradient: the keys' bias without rotation. */
static void every_familys_gradients_agree_with_torch(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        fixture f, theirs;
        double most = 0;
        open_family(&f, families[i], "");
        open_family(&theirs, families[i], "/gradient");
        dele_npz_in *npz = open_states(families[i]);
        float **g = new_gradients(&f);
        gradients(g, &f, stored_tokens(npz, &f));
        assert_int_equal(f.model.n_tensors, theirs.model.n_tensors);
        for (size_t k = 0; k < f.model.n_tensors; k++)
            most = fmax(most, largest(&theirs.model.tensors[k], &f));
        for (size_t k = 0; k < f.model.n_tensors; k++) {
            const dele_tensor *t = &theirs.model.tensors[k];
            const size_t n = t->rows * t->cols;
            const double allowed = fmax(1e-3 * largest(t, &f), 1e-7 * most);
            float *want = dele_alloc(&f.arena, n, sizeof *want, NULL);
            dele_tensor_rows(want, t, 0, t->rows);
            for (size_t j = 0; j < n; j++)
                if (!(fabs((double)g[k][j] - want[j]) <= allowed))
                    fail_msg("%s, %s: %g, torch %g", families[i], t->name, (double)g[k][j],
                             (double)want[j]);
        }
        dele_npz_in_close(npz);
        close_fixture(&f);
        close_fixture(&theirs);
    }
}

static void golden_case(fixture *f, const cJSON *c)
{
    dele_err err = {0};
    const char *prompt = cJSON_GetObjectItem(c, "prompt")->valuestring;
    dele_ids ids, expected = ids_of(f, cJSON_GetObjectItem(c, "ids"));
    if (dele_encode(&ids, f->model.tokenizer, prompt, strlen(prompt), true, &f->arena, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(ids.n, expected.n);
    assert_memory_equal(ids.id, expected.id, ids.n * sizeof *ids.id);
    size_t vocab = (size_t)f->model.config.vocab;
    const float *last = all_logits(f, ids) + (ids.n - 1) * vocab;
    const cJSON *top;
    cJSON_ArrayForEach(top, cJSON_GetObjectItem(c, "top5"))
    {
        double theirs = cJSON_GetArrayItem(top, 1)->valuedouble;
        near(last[cJSON_GetArrayItem(top, 0)->valueint], theirs, fabs(theirs), prompt);
    }
    double *logp = DELE_NEW(&f->arena, double, ids.n, &err), sum = 0;
    assert_int_equal(
        dele_logprobs(logp, NULL, &f->run, &f->model, f->run.final, ids.id + 1, ids.n - 1, &err),
        DELE_OK);
    for (size_t i = 0; i + 1 < ids.n; i++) sum -= logp[i];
    double nll = cJSON_GetObjectItem(c, "mean_nll")->valuedouble;
    near(sum / (double)(ids.n - 1), nll, nll, prompt);

    dele_ids greedy = ids_of(f, cJSON_GetObjectItem(c, "greedy_new_ids"));
    int *out = DELE_NEW(&f->arena, int, greedy.n, &err);
    size_t n_out = 0;
    if (dele_generate(out, &n_out, &f->run, &f->model, ids.id, ids.n, greedy.n, NULL, 0, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(n_out, greedy.n);
    assert_memory_equal(out, greedy.id, n_out * sizeof *out);
}

static void the_embedded_model_gives_transformers_numbers_and_continuations(void **state)
{
    (void)state;
    fixture f;
    if (!try_open(&f, DELE_TESTS_DIR "/../data/models/demo"))
        fail_msg("the embedded model is missing");
    cJSON *json = load_json(DELE_TESTS_DIR "/fixtures/demo_golden.json");
    const cJSON *c, *cases = cJSON_GetObjectItem(json, "cases");
    assert_true(cJSON_GetArraySize(cases) > 4);
    cJSON_ArrayForEach(c, cases) golden_case(&f, c);
    cJSON_Delete(json);
    close_fixture(&f);
}

static void tinystories_gives_its_golden_numbers(void **state)
{
    (void)state;
    static const char *const copies[] = {"", "/bf16"};
    for (int i = 0; i < 2; i++) {
        fixture f;
        char path[512];
        snprintf(path, sizeof path, "%s%s", shared_path("models/tinystories-656k"), copies[i]);
        if (!try_open(&f, path)) fail_msg("%s is missing", path);
        dele_err err = {0};
        if (!f.model.tokenizer) /* the bf16 copy has none of its own */
            f.model.tokenizer = dele_tokenizer_load(
                shared_path("models/tinystories-656k/tokenizer.json"), &f.arena, &err);
        if (!f.model.tokenizer) fail_msg("%s", err.msg);
        cJSON *json = load_json(shared_path("models/tinystories-656k/golden.json"));
        const cJSON *c;
        cJSON_ArrayForEach(c, cJSON_GetObjectItem(json, "cases")) golden_case(&f, c);
        cJSON_Delete(json);
        close_fixture(&f);
    }
}

static void smollm2_agrees_with_transformers_on_twenty_prompts(void **state)
{
    (void)state;
    const char *cache = getenv("DELEATUR_CACHE"), *home = getenv("HOME");
    char path[512];
    snprintf(path, sizeof path, "%s%s/SmolLM2-135M-Instruct.Q4_1.gguf",
             cache  ? cache
             : home ? home
                    : "",
             cache ? "" : "/.cache/deleatur");
    fixture f;
    if (!try_open(&f, path)) {
        print_message("%s is missing (experiments/quickstart.sh fetches it): skipped\n", path);
        skip();
    }
    cJSON *json = load_json(DELE_TESTS_DIR "/fixtures/smollm2_logits.json");
    const cJSON *c, *x;
    double worst = 0;
    cJSON_ArrayForEach(c, json)
    {
        dele_err err = {0};
        const char *prompt = cJSON_GetObjectItem(c, "prompt")->valuestring;
        dele_ids ids, expected = ids_of(&f, cJSON_GetObjectItem(c, "ids"));
        if (dele_encode(&ids, f.model.tokenizer, prompt, strlen(prompt), false, &f.arena, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(ids.n, expected.n);
        assert_memory_equal(ids.id, expected.id, ids.n * sizeof *ids.id);
        size_t vocab = (size_t)f.model.config.vocab, at = 0;
        const float *last = all_logits(&f, ids) + (ids.n - 1) * vocab;
        double scale = cJSON_GetObjectItem(c, "top")->child->valuedouble;
        cJSON_ArrayForEach(x, cJSON_GetObjectItem(c, "every_997th"))
        {
            worst = fmax(worst, fabs(last[at] - x->valuedouble) / scale);
            near(last[at], x->valuedouble, scale, prompt);
            at += 997;
        }
        const cJSON *id = cJSON_GetObjectItem(c, "top_ids")->child;
        for (x = cJSON_GetObjectItem(c, "top")->child; x; x = x->next, id = id->next)
            near(last[id->valueint], x->valuedouble, scale, prompt);
    }
    print_message("largest relative difference %.2g\n", worst);
    cJSON_Delete(json);
    close_fixture(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_random_models_agree_with_transformers),
        cmocka_unit_test(gradients_of_every_tensor_agree_with_torch),
        cmocka_unit_test(every_familys_states_agree_with_transformers),
        cmocka_unit_test(every_familys_gradients_agree_with_torch),
        cmocka_unit_test(the_embedded_model_gives_transformers_numbers_and_continuations),
    };
    const struct CMUnitTest shared[] = {
        cmocka_unit_test(tinystories_gives_its_golden_numbers),
        cmocka_unit_test(smollm2_agrees_with_transformers_on_twenty_prompts),
    };
    if (shared_asked(argc, argv)) return cmocka_run_group_tests(shared, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
