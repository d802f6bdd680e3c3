/* An upcycled model is the dense one: the same logits whatever its routers choose, every expert the
 * MLP to the byte; and what the mixture's config cannot express is refused by name. */
#include "model_files.h"

#include "model/forward.h"
#include "model/gguf.h"
#include "model/upcycle.h"
#include "scratch.h"

static const double TOLERANCE = 1e-5; /* of the largest logit; chosen before looking */

enum { N_ROWS = 9, MODEL_SEED = 5 };
static const int ids[N_ROWS] = {3, 17, 40, 5, 29, 3, 3, 41, 8};

typedef struct {
    dele_arena arena;
    dele_err err;
    scratch *s;
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    if (!f || scratch_open((void **)&f->s)) return -1;
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    void *s = f->s;
    const int status = scratch_close(&s);
    dele_arena_release(&f->arena);
    free(f);
    return status;
}

/* Heads in groups, rows that fill blocks of 32. */
static void dense_model(dele_model *m, const dele_family *family, bool tied, fixture *f)
{
    dele_config c = tiny_config(family, tied);
    c.hidden_size = 32, c.intermediate_size = 64, c.n_heads = 4, c.n_kv_heads = 2, c.head_dim = 16;
    c.vocab = 48;
    fit_family(&c);
    if (dele_model_layout(m, &c, &f->arena, &f->err)) fail_msg("%s", f->err.msg);
    dele_model_randomise(m, 0.3, MODEL_SEED);
    m->path = "dense";
}

static void load(dele_model *m, const char *path, fixture *f)
{
    if (dele_model_load(m, path, &f->arena, &f->err)) fail_msg("%s", f->err.msg);
}

static const char *saved(const dele_model *m, const char *name, const char *dtype, fixture *f)
{
    const char *dir = dele_printf(&f->arena, &f->err, "%s/%s", f->s->dir, name);
    if (!dir || mkdir(dir, 0777) || dele_model_save(m, dir, dtype, &f->err))
        fail_msg("%s: %s", name, f->err.msg);
    return dir;
}

static dele_status try_upcycle(dele_model *mixture, const dele_model *dense,
                               const dele_upcycle_options *o, fixture *f)
{
    f->err = (dele_err){0};
    return dele_upcycle(mixture, dense, o, &f->arena, &f->err);
}

static void upcycle(dele_model *mixture, const dele_model *dense, const dele_upcycle_options *o,
                    fixture *f)
{
    if (try_upcycle(mixture, dense, o, f)) fail_msg("%s", f->err.msg);
}

/* logits [N_ROWS, vocab] */
static float *logits_of(const dele_model *m, fixture *f)
{
    const size_t vocab = (size_t)m->config.vocab;
    float *logits = DELE_NEW(&f->arena, float, N_ROWS *vocab, &f->err);
    int rows[N_ROWS];
    dele_run run = {0};
    for (int i = 0; i < N_ROWS; i++) rows[i] = i;
    const dele_segment s = {.tokens = ids, .n_rows = N_ROWS};
    const dele_batch batch = {
        .segments = &s, .n_segments = 1, .output_rows = rows, .n_output_rows = N_ROWS};
    if (dele_forward(&run, m, &batch, &f->err)) fail_msg("%s", f->err.msg);
    dele_logits(logits, &run, m, run.final, N_ROWS);
    dele_run_release(&run);
    return logits;
}

static double furthest(const float *a, const float *b, size_t n)
{
    double far = 0, large = 1;
    for (size_t i = 0; i < n; i++) {
        far = fmax(far, fabs((double)a[i] - (double)b[i]));
        large = fmax(large, fabs((double)a[i]));
    }
    return far / large;
}

static void same_logits(const char *dense_path, const char *mixture_path, fixture *f)
{
    dele_model a, b;
    load(&a, dense_path, f);
    load(&b, mixture_path, f);
    const double far =
        furthest(logits_of(&a, f), logits_of(&b, f), N_ROWS * (size_t)a.config.vocab);
    if (!(far <= TOLERANCE)) fail_msg("%s: logits %g away", mixture_path, far);
    dele_model_release(&a);
    dele_model_release(&b);
}

static void an_upcycled_model_computes_what_the_dense_one_does(void **state)
{
    fixture *f = *state;
    size_t n = 0;
    for (size_t i = 0; i < dele_n_families; i++)
        for (int tied = 0; tied < 2 && dele_families[i]->upcycled; tied++, n++) {
            const dele_upcycle_options o = {.experts = 5, .top_k = 1 + tied, .router_std = 1};
            dele_model dense, loaded, mixture;
            char name[2][64];
            for (int j = 0; j < 2; j++)
                snprintf(name[j], sizeof name[j], "%s-%d-%d", dele_families[i]->hf, tied, j);
            dense_model(&dense, dele_families[i], tied, f);
            const char *from = saved(&dense, name[0], "f32", f);
            load(&loaded, from, f);
            upcycle(&mixture, &loaded, &o, f);
            assert_ptr_equal(mixture.config.family, dele_families[i]->upcycled);
            const char *to = saved(&mixture, name[1], "keep", f);
            dele_model_release(&loaded);
            same_logits(from, to, f);
        }
    assert_true(n >= 4); /* llama and mistral */
}

static void a_window_and_a_scaled_rotation_are_the_mixtures_too(void **state)
{
    fixture *f = *state;
    const dele_upcycle_options o = {DELE_UPCYCLE_DEFAULTS};
    dele_model dense, mixture;
    dense_model(&dense, &dele_family_mistral, false, f);
    dense.config.window = 4;
    dense.config.rope[0] = (dele_rope){.theta = 500, .type = DELE_ROPE_LINEAR, .factor = 4};
    for (int l = 0; l < dense.config.n_layers; l++) dense.config.layer_kind[l] = DELE_LAYER_SLIDING;
    const char *from = saved(&dense, "dense", "f32", f);
    upcycle(&mixture, &dense, &o, f);
    assert_int_equal(mixture.config.window, 4);
    assert_int_equal(mixture.config.layer_kind[1], DELE_LAYER_SLIDING | DELE_LAYER_SPARSE);
    assert_int_equal(mixture.config.rope[0].type, DELE_ROPE_LINEAR);
    same_logits(from, saved(&mixture, "mixture", "f32", f), f);
}

/* Blocks are widened to float32, and paired rows are put in order. */
static void a_gguf_of_blocks_can_be_upcycled(void **state)
{
    fixture *f = *state;
    const dele_upcycle_options o = {DELE_UPCYCLE_DEFAULTS, .seed = 3};
    dele_model dense, loaded, mixture;
    dele_gguf_saved written;
    dense_model(&dense, &dele_family_llama, true, f);
    const char *path = dele_printf(&f->arena, &f->err, "%s/m.gguf", f->s->dir);
    if (dele_gguf_save(&written, &dense, path, DELE_DTYPE_Q4_0, false, &f->err))
        fail_msg("%s", f->err.msg);
    load(&loaded, path, f);
    assert_int_equal(dele_model_tensor(&loaded, DELE_SLOT_UP, 0)->stored.type, DELE_DTYPE_Q4_0);
    upcycle(&mixture, &loaded, &o, f);
    const char *to = saved(&mixture, "mixture", "keep", f);
    dele_model_release(&loaded);
    same_logits(path, to, f);
}

static void the_same_rows(const dele_tensor *a, const dele_tensor *b, fixture *f)
{
    bool same = false;
    dele_arena scratch_arena = {0};
    if (dele_tensor_equal(&same, a, b, &scratch_arena, &f->err)) fail_msg("%s", f->err.msg);
    if (!same) fail_msg("%s is not %s", a->name, b->name);
    dele_arena_release(&scratch_arena);
}

static void every_expert_is_the_mlp_to_the_byte_in_its_own_type(void **state)
{
    fixture *f = *state;
    static const dele_slot of[3][2] = {{DELE_SLOT_EXPERT_GATE, DELE_SLOT_GATE},
                                       {DELE_SLOT_EXPERT_UP, DELE_SLOT_UP},
                                       {DELE_SLOT_EXPERT_DOWN, DELE_SLOT_DOWN}};
    const dele_upcycle_options o = {.experts = 3, .top_k = 2, .router_std = 0.02};
    dele_model made, dense, table, mixture;
    dense_model(&made, &dele_family_llama, true, f);
    load(&dense, saved(&made, "dense", "bf16", f), f);
    upcycle(&table, &dense, &o, f);
    load(&mixture, saved(&table, "mixture", "keep", f), f);
    for (int l = 0; l < mixture.config.n_layers; l++)
        for (int e = 0; e < 3; e++)
            for (int k = 0; k < 3; k++) {
                const dele_tensor *a = dele_expert_tensor(&mixture, of[k][0], l, e);
                assert_int_equal(a->stored.type, DELE_DTYPE_BF16);
                the_same_rows(a, dele_model_tensor(&dense, of[k][1], l), f);
            }
    const dele_tensor *router = dele_model_tensor(&mixture, DELE_SLOT_ROUTER, 0);
    assert_int_equal(router->stored.type, DELE_DTYPE_BF16); /* a file of one type */
    the_same_rows(router, dele_model_tensor(&table, DELE_SLOT_ROUTER, 0), f);
    dele_model_release(&dense);
    dele_model_release(&mixture);
}

static double spread(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum / (double)n);
}

static void routers_have_the_spread_and_the_seed_that_were_given(void **state)
{
    fixture *f = *state;
    dele_model dense, m[3];
    float *router[3];
    enum { ROUTER = 8 * 32 };
    dense_model(&dense, &dele_family_llama, true, f);
    for (int i = 0; i < 3; i++) {
        const dele_upcycle_options o = {
            .experts = 8, .top_k = 2, .router_std = 0.5, .seed = i == 2 ? 1 : 0};
        upcycle(&m[i], &dense, &o, f);
        router[i] = DELE_NEW(&f->arena, float, ROUTER, &f->err);
        dele_tensor_rows(router[i], dele_model_tensor(&m[i], DELE_SLOT_ROUTER, 1), 0, 8);
    }
    assert_memory_equal(router[0], router[1], ROUTER * sizeof(float));
    assert_true(memcmp(router[0], router[2], ROUTER * sizeof(float)) != 0);
    assert_true(fabs(spread(router[0], ROUTER) - 0.5) < 0.1); /* four standard errors */
}

static void noise_is_relative_and_the_same_however_rows_are_read(void **state)
{
    fixture *f = *state;
    enum { ROWS = 64, COLS = 32, ALL = ROWS * COLS };
    const dele_upcycle_options o = {DELE_UPCYCLE_DEFAULTS, .noise = 0.1, .seed = 9};
    dele_model dense, m, back;
    static float clean[ALL], noisy[ALL], one[ALL], ratio[ALL];
    dense_model(&dense, &dele_family_llama, true, f);
    upcycle(&m, &dense, &o, f);
    const dele_tensor *t = dele_expert_tensor(&m, DELE_SLOT_EXPERT_UP, 1, 2);
    dele_tensor_rows(clean, dele_model_tensor(&dense, DELE_SLOT_UP, 1), 0, ROWS);
    dele_tensor_rows(noisy, t, 0, ROWS);
    for (size_t r = ROWS; r-- > 0;) dele_tensor_rows(one + r * COLS, t, r, 1);
    assert_memory_equal(noisy, one, sizeof noisy);
    for (size_t i = 0; i < ALL; i++) ratio[i] = noisy[i] / clean[i] - 1;
    assert_true(fabs(spread(ratio, ALL) - 0.1) < 0.01); /* six standard errors */
    dele_tensor_rows(one, dele_expert_tensor(&m, DELE_SLOT_EXPERT_UP, 1, 3), 0, ROWS);
    assert_true(memcmp(noisy, one, sizeof noisy) != 0); /* each expert its own */
    load(&back, saved(&m, "noisy", "f32", f), f);
    dele_tensor_rows(one, dele_expert_tensor(&back, DELE_SLOT_EXPERT_UP, 1, 2), 0, ROWS);
    assert_memory_equal(noisy, one, sizeof noisy);
    the_same_rows(dele_model_tensor(&back, DELE_SLOT_Q, 0),
                  dele_model_tensor(&dense, DELE_SLOT_Q, 0), f);
    dele_model_release(&back);
}

static void experts_take_no_memory(void **state)
{
    fixture *f = *state;
    const dele_upcycle_options few = {.experts = 2, .top_k = 2, .router_std = 0.02},
                               many = {.experts = 4, .top_k = 2, .router_std = 0.02};
    dele_model dense, m;
    size_t used[2];
    dele_config c = tiny_config(&dele_family_llama, true);
    c.intermediate_size = 1 << 14;
    if (dele_model_layout(&dense, &c, &f->arena, &f->err)) fail_msg("%s", f->err.msg);
    dense.path = "dense";
    for (int i = 0; i < 2; i++) {
        const size_t before = f->arena.used;
        upcycle(&m, &dense, i ? &many : &few, f);
        used[i] = f->arena.used - before;
    }
    const size_t expert = sizeof(float) * 3 * (1 << 14) * (size_t)c.hidden_size;
    assert_true(used[1] - used[0] < expert / 8);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void refused(const dele_model *dense, const dele_upcycle_options *o, dele_status status,
                    const char *words, fixture *f)
{
    dele_model mixture;
    const dele_status got = try_upcycle(&mixture, dense, o, f);
    if (got != status || !strstr(f->err.msg, words))
        fail_msg("status %d and \"%s\", not %d and \"%s\"", got, f->err.msg, status, words);
}

static void what_the_mixture_cannot_express_is_refused_by_name(void **state)
{
    fixture *f = *state;
    const dele_upcycle_options o = {DELE_UPCYCLE_DEFAULTS};
    dele_model dense, mixture;
    dele_config c = tiny_config(&dele_family_llama, false);
    c.attention_bias = true;
    if (dele_model_layout(&dense, &c, &f->arena, &f->err)) fail_msg("%s", f->err.msg);
    dense.path = "dense";
    refused(&dense, &o, DELE_ERR_UNSUPPORTED, "biases of attention", f);
    c.attention_bias = false, c.mlp_bias = true;
    if (dele_model_layout(&dense, &c, &f->arena, &f->err)) fail_msg("%s", f->err.msg);
    dense.path = "dense";
    refused(&dense, &o, DELE_ERR_UNSUPPORTED, "biases of the MLP", f);
    dense_model(&dense, &dele_family_gemma2, true, f);
    refused(&dense, &o, DELE_ERR_UNSUPPORTED, "the block of gemma2; ", f);
    assert_non_null(strstr(f->err.msg, "llama"));
    dense_model(&dense, &dele_family_llama, true, f);
    upcycle(&mixture, &dense, &o, f);
    refused(&mixture, &o, DELE_ERR_UNSUPPORTED, "is a mixture of experts already", f);
}

static void numbers_out_of_range_are_a_wrong_command_line(void **state)
{
    fixture *f = *state;
    static const struct {
        dele_upcycle_options o;
        const char *words;
    } wrong[] = {{{0, 2, 0.02, 0, 0}, "--experts 0"},
                 {{DELE_MAX_EXPERTS + 1, 2, 0.02, 0, 0}, "--experts 1025"},
                 {{8, 9, 0.02, 0, 0}, "--top-k 9"},
                 {{8, 0, 0.02, 0, 0}, "--top-k 0"},
                 {{8, 2, 0, 0, 0}, "--router-std 0"},
                 {{8, 2, (double)INFINITY, 0, 0}, "--router-std inf"},
                 {{8, 2, 0.02, -1, 0}, "--noise -1"},
                 {{8, 2, 0.02, (double)NAN, 0}, "--noise"},
                 {{8, 2, 0.02, 0, -1}, "--seed -1"}};
    dele_model dense;
    dense_model(&dense, &dele_family_llama, true, f);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refused(&dense, &wrong[i].o, DELE_ERR_USAGE, wrong[i].words, f);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(an_upcycled_model_computes_what_the_dense_one_does),
        CLAIM(a_window_and_a_scaled_rotation_are_the_mixtures_too),
        CLAIM(a_gguf_of_blocks_can_be_upcycled),
        CLAIM(every_expert_is_the_mlp_to_the_byte_in_its_own_type),
        CLAIM(routers_have_the_spread_and_the_seed_that_were_given),
        CLAIM(noise_is_relative_and_the_same_however_rows_are_read),
        CLAIM(experts_take_no_memory),
        CLAIM(what_the_mixture_cannot_express_is_refused_by_name),
        CLAIM(numbers_out_of_range_are_a_wrong_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
