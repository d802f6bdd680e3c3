/* `deleatur parity`: a model has the states that transformers stored for it, and the first layer,
 * site and row that do not agree are named.  Fixtures: tests/reference/parity_states.py on the
 * models beside them. */
#include "model_files.h"

#include "base/npz.h"
#include "model/parity.h"
#include "scratch.h"

static const double TOLERANCE = 1e-4; /* the command's default */
static const char *const names[] = {"llama-untied", "olmo-clip",     "qwen2",
                                    "gpt2",         "neox-parallel", "phi3",
                                    "gemma2",       "gemma3",        "olmo3-yarn"};
enum { N_NAMES = sizeof names / sizeof *names, N_ALTERED = 3 /* the first of them, of 3 layers */ };

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_parity_states states;
    dele_parity result;
    dele_err err;
    char file[512];
} checked;

static void open_model(checked *c, const char *name)
{
    char dir[512];
    *c = (checked){0};
    snprintf(dir, sizeof dir, "%s/fixtures/families/%s", DELE_TESTS_DIR, name);
    if (!dele_path_exists(dir))
        snprintf(dir, sizeof dir, "%s/fixtures/tiny-%s", DELE_TESTS_DIR, name);
    snprintf(c->file, sizeof c->file, "%s/fixtures/states/%s.npz", DELE_TESTS_DIR, name);
    if (dele_model_load(&c->model, dir, &c->arena, &c->err)) fail_msg("%s", c->err.msg);
}

static void compare(checked *c, double tolerance)
{
    if (dele_parity_load(&c->states, c->file, &c->model, &c->arena, &c->err) ||
        dele_parity_compare(&c->result, &c->states, &c->model, tolerance, &c->arena, &c->err))
        fail_msg("%s", c->err.msg);
}

static void close_model(checked *c)
{
    dele_model_release(&c->model);
    dele_arena_release(&c->arena);
}

/* A weight of a tensor that may then be written to. */
static float *weight(checked *c, dele_slot slot, int layer, size_t item)
{
    bool *trains = DELE_NEW(&c->arena, bool, c->model.n_tensors, &c->err);
    dele_tensor *t = dele_model_tensor(&c->model, slot, layer);
    assert_non_null(t);
    trains[t - c->model.tensors] = true;
    assert_int_equal(dele_model_train(&c->model, trains, &c->err), DELE_OK);
    return t->data + item;
}

static void expect_drift(const checked *c, int layer, dele_parity_site site, size_t row)
{
    const dele_parity_line *d = c->result.drift;
    assert_non_null(d);
    if (d->layer != layer || d->site != site || d->first != row)
        fail_msg("drifts at layer %d, %s, row %zu; expected layer %d, %s, row %zu", d->layer,
                 dele_parity_site_name[d->site], d->first, layer, dele_parity_site_name[site], row);
    assert_true(d->of_first > TOLERANCE && d->largest >= d->of_first && d->n_beyond >= 1);
}

static void every_state_is_that_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_NAMES; i++) {
        checked c;
        open_model(&c, names[i]);
        compare(&c, TOLERANCE);
        assert_null(c.result.drift);
        const size_t layers = (size_t)c.model.config.n_layers;
        assert_int_equal(c.result.n_lines, 3 * layers + 2); /* the fixtures have all sites */
        assert_int_equal(c.result.n_top1, c.states.n);
        for (size_t k = 1; k < c.result.n_lines; k++)
            assert_true(c.result.line[k].largest > 0 && c.result.line[k].largest < 1e-5);
        close_model(&c);
    }
}

static void an_altered_weight_is_found_in_its_layer_and_sublayer(void **state)
{
    (void)state;
    static const struct {
        dele_slot slot;
        dele_parity_site site;
    } altered[] = {{DELE_SLOT_V, DELE_PARITY_ATTN_OUT},
                   {DELE_SLOT_O, DELE_PARITY_ATTN_OUT},
                   {DELE_SLOT_UP, DELE_PARITY_MLP_OUT},
                   {DELE_SLOT_DOWN, DELE_PARITY_MLP_OUT}};
    for (size_t i = 0; i < N_ALTERED; i++)
        for (size_t k = 0; k < sizeof altered / sizeof *altered; k++)
            for (int l = 0; l < 3; l += 2) {
                checked c;
                open_model(&c, names[i]);
                *weight(&c, altered[k].slot, l, 5) += 0.5f;
                compare(&c, TOLERANCE);
                expect_drift(&c, l, altered[k].site, 0);
                close_model(&c);
            }
}

static void an_embedding_and_a_head_are_found_where_they_are_read(void **state)
{
    (void)state;
    checked c;
    open_model(&c, "llama-untied");
    compare(&c, TOLERANCE);
    const size_t d_model = (size_t)c.model.config.hidden_size, row = 4;
    const int id = c.states.tokens[row];
    for (size_t i = 0; i < row; i++) assert_int_not_equal(c.states.tokens[i], id);
    *weight(&c, DELE_SLOT_EMBED, -1, (size_t)id * d_model) += 0.1f;
    compare(&c, TOLERANCE);
    expect_drift(&c, -1, DELE_PARITY_RESID, row);
    close_model(&c);
    open_model(&c, "llama-untied");
    *weight(&c, DELE_SLOT_HEAD, -1, 0) += 0.1f;
    compare(&c, TOLERANCE);
    expect_drift(&c, 3, DELE_PARITY_LOGITS, 0);
    close_model(&c);
}

static void the_tolerance_decides(void **state)
{
    (void)state;
    checked c;
    open_model(&c, "qwen2");
    *weight(&c, DELE_SLOT_O, 1, 7) += 1e-3f;
    compare(&c, 1e-6);
    expect_drift(&c, 1, DELE_PARITY_ATTN_OUT, 0);
    compare(&c, 0.5);
    assert_null(c.result.drift);
    close_model(&c);
}

/* Writes the fixture's arrays again, without those of the sublayers; what is wrong is a letter. */
static const char *write_states(scratch *s, const checked *c, char wrong)
{
    const char *path = scratch_path(s, "states.npz");
    const dele_config *f = &c->model.config;
    const size_t layers = (size_t)f->n_layers, d = (size_t)f->hidden_size, n = c->states.n,
                 vocab = (size_t)f->vocab;
    dele_err err = {0};
    dele_arena arena = {0};
    int64_t *ids = DELE_NEW(&arena, int64_t, n, &err);
    float *resid = DELE_NEW(&arena, float, (layers + 1) * n * d, &err);
    for (size_t i = 0; i < n; i++) ids[i] = c->states.tokens[i];
    memcpy(resid, c->states.resid, (layers + 1) * n * d * sizeof *resid);
    if (wrong == 'i') ids[2] = f->vocab;
    if (wrong == 'n') resid[layers * n * d + 3] = NAN;
    if (wrong == 'f') resid[layers * n * d + 3] += 1; /* only after the last layer */
    dele_npz *out = dele_npz_open(path, &err);
    assert_non_null(out);
    dele_npz_i64(out, "tokens", ids, 1, (size_t[]){n}, &err);
    dele_npz_f32(out, "resid", resid, 3, (size_t[]){layers + (wrong != 'l'), n, d}, &err);
    if (wrong != 'm') dele_npz_f32(out, "logits", c->states.logits, 2, (size_t[]){n, vocab}, &err);
    if (wrong == 'e') dele_npz_i64(out, "experts", ids, 3, (size_t[]){1, n, 1}, &err);
    if (dele_npz_close(out, &err)) fail_msg("%s", err.msg);
    dele_arena_release(&arena);
    return path;
}

static void the_stream_alone_names_the_layer(void **state)
{
    checked c;
    open_model(&c, "llama-untied");
    compare(&c, TOLERANCE);
    snprintf(c.file, sizeof c.file, "%s", write_states(*state, &c, ' '));
    compare(&c, TOLERANCE);
    assert_null(c.result.drift);
    assert_int_equal(c.result.n_lines, (size_t)c.model.config.n_layers + 2);
    *weight(&c, DELE_SLOT_DOWN, 1, 0) += 0.5f;
    compare(&c, TOLERANCE);
    expect_drift(&c, 1, DELE_PARITY_RESID, 0);
    close_model(&c);
}

static void states_that_are_not_the_models_are_refused(void **state)
{
    static const struct {
        char wrong;
        const char *words;
    } bad[] = {{'i', "outside the model's vocabulary"},
               {'l', "shape (4, 12, 32)"},
               {'m', "has no array \"logits\""},
               {'e', "has no router"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        checked c;
        open_model(&c, "llama-untied");
        compare(&c, TOLERANCE);
        const char *path = write_states(*state, &c, bad[i].wrong);
        if (!dele_parity_load(&c.states, path, &c.model, &c.arena, &c.err))
            fail_msg("%c is taken", bad[i].wrong);
        if (!strstr(c.err.msg, bad[i].words))
            fail_msg("\"%s\" does not say \"%s\"", c.err.msg, bad[i].words);
        close_model(&c);
    }
}

static void a_state_that_is_no_number_drifts(void **state)
{
    static const char wrong[] = {'n', 'f'};
    for (size_t i = 0; i < sizeof wrong; i++) {
        checked c;
        open_model(&c, "llama-untied");
        compare(&c, TOLERANCE);
        snprintf(c.file, sizeof c.file, "%s", write_states(*state, &c, wrong[i]));
        compare(&c, TOLERANCE);
        expect_drift(&c, 2, DELE_PARITY_RESID, 0);
        assert_true(isinf(c.result.drift->of_first) == (wrong[i] == 'n'));
        close_model(&c);
    }
}

/* ---- router choices -------------------------------------------------------------------------- */

static void open_mixture(checked *c, const char *name)
{
    open_model(c, name);
    snprintf(c->file, sizeof c->file, "%s/fixtures/families/%s/states.npz", DELE_TESTS_DIR, name);
}

static int count_sparse(const dele_config *c)
{
    int n = 0;
    for (int l = 0; l < c->n_layers; l++) n += dele_layer_is_sparse(c, l);
    return n;
}

static void another_choice_of_experts_is_found_where_the_router_stands(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int layer; /* with a router */
    } cases[] = {{"olmoe", 1}, {"mixtral", 0}, {"qwen2-moe", 2}, {"qwen3-moe", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        checked c;
        size_t n_lines = 0;
        open_mixture(&c, cases[i].name);
        compare(&c, TOLERANCE);
        assert_null(c.result.drift);
        for (size_t k = 0; k < c.result.n_lines; k++)
            if (c.result.line[k].site == DELE_PARITY_EXPERTS) {
                n_lines++;
                assert_true(c.result.line[k].largest == 0);
            }
        assert_int_equal(n_lines, count_sparse(&c.model.config));
        float *router = weight(&c, DELE_SLOT_ROUTER, cases[i].layer, 0);
        const size_t width = (size_t)c.model.config.hidden_size;
        for (size_t k = 0; k < (size_t)c.model.config.n_experts * width; k++) router[k] *= -1;
        compare(&c, TOLERANCE);
        assert_int_equal(c.result.drift->layer, cases[i].layer);
        assert_int_equal(c.result.drift->site, DELE_PARITY_EXPERTS);
        close_model(&c);
    }
}

/* The fixture's arrays again, with experts of which one is `wrong` in a layer. */
static void write_experts(const char *path, const checked *c, int layer, int64_t wrong)
{
    const dele_config *f = &c->model.config;
    const size_t layers = (size_t)f->n_layers, d = (size_t)f->hidden_size, n = c->states.n,
                 k = (size_t)f->top_k;
    dele_err err = {0};
    dele_arena arena = {0};
    int64_t *experts = DELE_NEW(&arena, int64_t, layers * n * k, &err),
            *ids = DELE_NEW(&arena, int64_t, n, &err);
    memcpy(experts, c->states.experts, layers * n * k * sizeof *experts);
    experts[(size_t)layer * n * k + 1] = wrong;
    for (size_t i = 0; i < n; i++) ids[i] = c->states.tokens[i];
    dele_npz *out = dele_npz_open(path, &err);
    assert_non_null(out);
    dele_npz_i64(out, "tokens", ids, 1, (size_t[]){n}, &err);
    dele_npz_f32(out, "resid", c->states.resid, 3, (size_t[]){layers + 1, n, d}, &err);
    dele_npz_f32(out, "logits", c->states.logits, 2, (size_t[]){n, (size_t)f->vocab}, &err);
    dele_npz_i64(out, "experts", experts, 3, (size_t[]){layers, n, k}, &err);
    if (dele_npz_close(out, &err)) fail_msg("%s", err.msg);
    dele_arena_release(&arena);
}

static void choices_that_no_router_makes_are_refused(void **state)
{
    static const struct {
        int layer;
        int64_t wrong;
        const char *words;
    } cases[] = {{0, 4, "has 4 in layer 0, which has fewer experts"},
                 {2, -1, "has -1 in layer 2"},
                 {1, 0, "has 0 in layer 1, which has none"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        checked c;
        open_mixture(&c, "qwen2-moe"); /* its second layer is dense */
        compare(&c, TOLERANCE);
        const char *path = scratch_path(*state, "states.npz");
        write_experts(path, &c, cases[i].layer, cases[i].wrong);
        if (!dele_parity_load(&c.states, path, &c.model, &c.arena, &c.err))
            fail_msg("case %zu is taken", i);
        if (!strstr(c.err.msg, cases[i].words)) fail_msg("%s", c.err.msg);
        close_model(&c);
    }
}

int main(void)
{
#define IN_SCRATCH(claim) cmocka_unit_test_setup_teardown(claim, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_is_that_of_transformers),
        cmocka_unit_test(an_altered_weight_is_found_in_its_layer_and_sublayer),
        cmocka_unit_test(an_embedding_and_a_head_are_found_where_they_are_read),
        cmocka_unit_test(the_tolerance_decides),
        IN_SCRATCH(the_stream_alone_names_the_layer),
        IN_SCRATCH(states_that_are_not_the_models_are_refused),
        IN_SCRATCH(a_state_that_is_no_number_drifts),
        cmocka_unit_test(another_choice_of_experts_is_found_where_the_router_stands),
        IN_SCRATCH(choices_that_no_router_makes_are_refused),
    };
    return cmocka_run_group_tests_name("states", tests, NULL, NULL);
}
