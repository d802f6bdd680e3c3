/* What is foretold and what is allocated are the same code: the bytes of a pass, of KV caches and
 * of copies of weights are those of the real arenas, to the byte. */
#include "model/backward.h"
#include "tiny_models.h"

enum { N_KEPT = 3 }; /* positions in the KV cache */

static const int ROWS[] = {2, 4, 5, 6};

static size_t logprobs(dele_run *run, const dele_model *model, size_t n)
{
    const size_t before = run->arena.used;
    double logp[sizeof ROWS / sizeof *ROWS];
    dele_err err = {0};
    if (dele_logprobs(logp, NULL, run, model, run->final, IDS, n, &err)) fail_msg("%s", err.msg);
    return run->arena.used - before;
}

/* Two segments, forward and backward, then the log-probabilities of the output rows. */
static void a_training_pass_takes_the_bytes_foretold(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++)
        for (int lowest = 0; lowest < L; lowest += 2) {
            fixture f;
            dele_err err = {0};
            open_tiny(&f, which, 0.1);
            const dele_segment segments[] = {{.tokens = IDS, .n_rows = 4},
                                             {.tokens = IDS + 4, .n_rows = T - 4}};
            const dele_batch batch = {.segments = segments,
                                      .n_segments = 2,
                                      .output_rows = ROWS,
                                      .n_output_rows = 4,
                                      .keep_for_backward = true,
                                      .lowest = lowest};
            const dele_pass_size size = {.n_rows = T,
                                         .n_segments = 2,
                                         .n_spans = 2,
                                         .n_output_rows = 4,
                                         .longest = 4,
                                         .keep_for_backward = true,
                                         .lowest = lowest};
            const dele_config *c = &f.model.config;
            static const float dlogits[4 * V];
            const dele_grads grads = {0};
            if (dele_forward(&f.run, &f.model, &batch, &err)) fail_msg("%s", err.msg);
            assert_int_equal(f.run.arena.used, dele_forward_bytes(c, &size));
            if (dele_backward(&f.run, &f.model, &batch, dlogits, &grads, &err))
                fail_msg("%s", err.msg);
            assert_int_equal(f.run.arena.used,
                             dele_forward_bytes(c, &size) + dele_backward_bytes(c, &size));
            assert_int_equal(logprobs(&f.run, &f.model, 4), dele_logprobs_bytes(c, 4));
            close_fixture(&f);
        }
}

/* A segment that continues a KV cache, with patches. */
static void a_continued_pass_takes_the_bytes_foretold(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        dele_err err = {0};
        dele_kv kv;
        dele_arena caches = {0};
        float seen[32];
        open_tiny(&f, which, 0.1);
        const dele_config *c = &f.model.config;
        if (dele_kv_init(&kv, c, NULL, 0, N_KEPT, &caches, &err)) fail_msg("%s", err.msg);
        assert_int_equal(caches.used, dele_kv_bytes(c, N_KEPT));
        const dele_segment first = {.tokens = IDS, .n_rows = N_KEPT, .keep = &kv};
        const dele_segment then = {
            .tokens = IDS + N_KEPT, .n_rows = T - N_KEPT, .first_pos = N_KEPT, .parent = &kv};
        const dele_patch patch = {
            .layer = 1, .site = DELE_RESID_POST, .op = DELE_READ, .seen = seen};
        const int last = T - N_KEPT - 1;
        const dele_batch begin = {.segments = &first, .n_segments = 1};
        const dele_batch end = {.segments = &then,
                                .n_segments = 1,
                                .patches = &patch,
                                .n_patches = 1,
                                .output_rows = &last,
                                .n_output_rows = 1};
        const dele_pass_size size = {.n_rows = T - N_KEPT,
                                     .n_segments = 1,
                                     .n_spans = 2,
                                     .n_patches = 1,
                                     .n_output_rows = 1,
                                     .longest = T};
        if (dele_forward(&f.run, &f.model, &begin, &err) ||
            dele_forward(&f.run, &f.model, &end, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(f.run.arena.used, dele_forward_bytes(c, &size));
        dele_arena_release(&caches);
        close_fixture(&f);
    }
}

/* Every query counts the keys that it sees; what a pass counts is what is foretold of it. */
static void operations_are_those_of_the_keys_in_the_windows(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        dele_err err = {0};
        open_tiny(&f, which, 0.1);
        const dele_config *c = &f.model.config;
        for (int layer = 0; layer < L; layer++)
            for (int n = 1; n <= T; n++) {
                const int window = c->layer_kind[layer] & DELE_LAYER_SLIDING ? c->window : 0;
                double keys = 0;
                for (int t = T - n; t < T; t++) keys += window && window <= t ? window : t + 1;
                assert_true(dele_heads_flops(c, layer, n, T) == 4 * (double)dele_q_dim(c) * keys);
            }
        const int output_row = T - 2;
        const dele_segment whole = {.tokens = IDS, .n_rows = T};
        const dele_batch batch = {
            .segments = &whole, .n_segments = 1, .output_rows = &output_row, .n_output_rows = 1};
        if (dele_forward(&f.run, &f.model, &batch, &err)) fail_msg("%s", err.msg);
        assert_true(fabs(f.run.flops - dele_segment_flops(c, 0, 0, T, 2)) < 1);
        close_fixture(&f);
    }
}

/* bf16 zeros in place of a file. */
static void store_elsewhere(fixture *f)
{
    static const uint16_t zeros[V * 48];
    for (size_t k = 0; k < f->model.n_tensors; k++) {
        dele_tensor *t = &f->model.tensors[k];
        if (t->vector) continue;
        t->data = NULL;
        t->stored = (dele_matrix_part){.data = zeros, .type = DELE_DTYPE_BF16, .rows = t->rows};
    }
    assert_int_equal(dele_model_widen(&f->model, 0, NULL, NULL), DELE_OK); /* aims the matrices */
}

/* Copies and masters, as many as some bytes hold, and the tile of products that read the rest. */
static void copies_take_the_bytes_foretold(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 200000; bytes += 20000) {
        fixture f;
        dele_model counted;
        dele_err err = {0};
        bool trains[128] = {[3] = true, [9] = true};
        open_tiny(&f, 1, 0.1);
        store_elsewhere(&f);
        const size_t in_file = dele_model_bytes(&f.model);
        if (dele_model_counted(&counted, &f.model, &f.arena, &err)) fail_msg("%s", err.msg);
        size_t left[2] = {0}, held[2] = {0};
        if (dele_model_widen(&counted, bytes, &left[0], &err)) fail_msg("%s", err.msg);
        if (dele_model_train(&counted, trains, &err)) fail_msg("%s", err.msg);
        assert_int_equal(dele_model_bytes(&f.model), in_file); /* the model is as it was */
        if (dele_model_widen(&f.model, bytes, &left[1], &err)) fail_msg("%s", err.msg);
        assert_int_equal(left[0], left[1]);
        if (dele_model_train(&f.model, trains, &err)) fail_msg("%s", err.msg);
        assert_int_equal(f.model.copies.used, counted.copies.used);
        assert_int_equal(dele_model_bytes(&f.model), dele_model_bytes(&counted));
        if (dele_run_tile(&f.run, &f.model, &err)) fail_msg("%s", err.msg);
        assert_int_equal(f.run.tile_arena.used, dele_tile_bytes(&counted));
        if (dele_model_copy(&counted, bytes, &held[0], &err) ||
            dele_model_copy(&f.model, bytes, &held[1], &err))
            fail_msg("%s", err.msg);
        assert_int_equal(held[0], held[1]);
        dele_model_release(&counted);
        close_fixture(&f);
    }
}

/* An arena that was filled in several pieces is one block from its next reset on. */
static void a_reset_leaves_one_block(void **state)
{
    (void)state;
    dele_arena arena = {0};
    for (int turn = 1; turn < 20; turn++) {
        for (int i = 0; i < turn; i++) assert_non_null(dele_alloc_raw(&arena, 3, 1 << 20, NULL));
        assert_true(arena.reserved <= 2 * arena.used);
        dele_arena_reset(&arena);
        assert_int_equal(arena.used, 0);
    }
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_training_pass_takes_the_bytes_foretold),
        cmocka_unit_test(a_continued_pass_takes_the_bytes_foretold),
        cmocka_unit_test(operations_are_those_of_the_keys_in_the_windows),
        cmocka_unit_test(copies_take_the_bytes_foretold),
        cmocka_unit_test(a_reset_leaves_one_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
