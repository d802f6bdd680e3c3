/* PERFT's adapters: the outputs, gradients and updates of a transcription in PyTorch, the
 * identities of their gradients, their counts from the config alone, and their files. Fixtures:
 * tests/reference/make_perft_fixtures.py. */
#include "claims.h"

#include "adapter/adapter.h"
#include "adapter/base_hash.h"
#include "adapter/perft_files.h"
#include "base/json.h"
#include "base/random.h"
#include "model/attach.h"
#include "model/backward.h"
#include "model/forward.h"
#include "model/layout.h"
#include "model/safetensors.h"
#include "scratch.h"
#include "unlearn/lora.h"
#include "unlearn/trainer.h"

#define FIXTURES DELE_TESTS_DIR "/fixtures/"
#define PERFT FIXTURES "perft/"
#define BASE PERFT "olmoe/base"

static const double TOLERANCE = 1e-4; /* chosen before looking */

/* As the script has them. */
enum { FIRST_LABEL = 1, UPDATES = 10, N_ROWS = 2 };
static const int ROW[N_ROWS][7] = {{3, 17, 9, 31, 5, 22, 8}, {11, 2, 38, 14, 6}};
static const int ROW_LENGTH[N_ROWS] = {7, 5};
enum { N_PREDICTED = 7 - 1 + 5 - 1 }; /* rows of a pass: nothing is predicted from a last token */
static const double ROUTER_AUX = 0.2, ADAPTER_AUX = 0.3; /* in cases "balance" */
#define EVERY(family)                                                                              \
    family "/r", family "/r-parallel", family "/e", family "/e-parallel", family "/d",             \
        family "/d-parallel", family "/s", family "/s-parallel", family "/balance"
static const char *const CASES[] = {EVERY("olmoe"),         "olmoe/r-normed",  "olmoe/compat",
                                    "olmoe/compat-balance", EVERY("mixtral"),  "mixtral/compat",
                                    EVERY("qwen2-moe"),     EVERY("qwen3-moe")};
enum { N_CASES = sizeof CASES / sizeof *CASES };

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_safetensors expected;
    dele_run run;
    float **g; /* [n_tensors] */
    dele_router_options router;
    dele_router_terms terms; /* n_layers 0: the case has none */
    dele_patch *patches;     /* [terms.n_patches] */
} world;

/* The model of a case's family. */
static const char *base_of(char path[300], const char *name)
{
    snprintf(path, 300, PERFT "%.*s/base", (int)strcspn(name, "/"), name);
    return path;
}

static void open_case(world *w, const char *name, double scale)
{
    dele_err err = {0};
    char path[300], base[300];
    *w = (world){0};
    snprintf(path, sizeof path, PERFT "%s", name);
    const dele_adapter_options o = {path, scale};
    if (dele_adapters_load(&w->model, base_of(base, name), &o, 64, SIZE_MAX, &w->arena, &err))
        fail_msg("%s", err.msg);
    if (strstr(name, "r-normed")) w->model.config.norm_topk_prob = true;
    snprintf(path, sizeof path, PERFT "%s/expected.safetensors", name);
    if (dele_safetensors_open_file(&w->expected, path, &w->arena, &err)) fail_msg("%s", err.msg);
    w->g = DELE_NEW(&w->arena, float *, w->model.n_tensors, &err);
    for (size_t k = 0; k < w->model.n_tensors; k++) {
        const dele_tensor *t = &w->model.tensors[k];
        w->g[k] = DELE_NEW(&w->arena, float, t->rows * t->cols, &err);
    }
    if (strstr(name, "balance")) {
        w->router.coefficient[DELE_TERM_BALANCE] = ROUTER_AUX;
        w->router.coefficient[DELE_TERM_ADAPTER] = ADAPTER_AUX;
        if (dele_router_terms_init(&w->terms, &w->router, &w->model.config, N_PREDICTED, 0,
                                   &w->arena, &err))
            fail_msg("%s", err.msg);
        w->patches = DELE_NEW(&w->arena, dele_patch, w->terms.n_patches, &err);
    }
    assert_int_equal(err.code, DELE_OK);
}

static void close_case(world *w)
{
    dele_safetensors_close(&w->expected);
    dele_run_release(&w->run);
    dele_model_release(&w->model);
    dele_arena_release(&w->arena);
}

static const float *expected_of(const world *w, const char *kind, const char *name, size_t n)
{
    char full[200];
    snprintf(full, sizeof full, "%s%s", kind, name);
    const dele_stored *s = dele_stored_find(w->expected.tensor, w->expected.n, full);
    if (!s) fail_msg("no %s", full);
    assert_int_equal(s->n_bytes, n * sizeof(float));
    return (const float *)(const void *)s->data;
}

static double gap(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        worst = d > worst || isnan(d) ? d : worst;
    }
    return worst;
}

/* One pass over both rows without their last tokens; its logits, [N_PREDICTED, vocab], in the
 * arena. Where there are terms on routers, their losses are added to terms.loss. */
static float *pass(world *w, dele_batch *batch, uint64_t dropout)
{
    static dele_segment segment[N_ROWS];
    static int output[N_PREDICTED];
    static const uint8_t side[N_PREDICTED]; /* of the terms: all are of one side */
    static const size_t rows[2] = {N_PREDICTED};
    dele_err err = {0};
    for (int i = 0; i < N_ROWS; i++)
        segment[i] = (dele_segment){.tokens = ROW[i], .n_rows = ROW_LENGTH[i] - 1};
    for (int i = 0; i < N_PREDICTED; i++) output[i] = i;
    *batch = (dele_batch){.segments = segment,
                          .n_segments = N_ROWS,
                          .patches = w->patches,
                          .n_patches = w->terms.n_patches,
                          .output_rows = output,
                          .n_output_rows = N_PREDICTED,
                          .keep_for_backward = true,
                          .dropout = dropout};
    if (w->terms.n_layers) {
        dele_router_terms_begin(&w->terms, rows);
        dele_router_terms_read(&w->terms, w->patches, N_PREDICTED);
    }
    float *logits =
        dele_alloc(&w->arena, N_PREDICTED, (size_t)w->model.config.vocab * sizeof *logits, &err);
    if (!logits || dele_forward(&w->run, &w->model, batch, &err)) fail_msg("%s", err.msg);
    dele_logits(logits, &w->run, &w->model, w->run.final, N_PREDICTED);
    if (w->terms.n_layers) dele_router_terms_gradient(&w->terms, side, N_PREDICTED);
    return logits;
}

/* The mean cross-entropy of all labels, without the terms; dlogits, over logits, its gradient. */
static double loss_of(float *logits, size_t vocab)
{
    double loss = 0;
    for (int i = 0, at = 0; i < N_ROWS; i++)
        for (int t = 0; t + 1 < ROW_LENGTH[i]; t++, at++) {
            float *z = logits + (size_t)at * vocab;
            double sum = 0, most = -1e30;
            for (size_t j = 0; j < vocab; j++) most = fmax(most, z[j]);
            for (size_t j = 0; j < vocab; j++) sum += exp(z[j] - most);
            loss += (most + log(sum) - z[ROW[i][t + 1]]) / N_PREDICTED;
            for (size_t j = 0; j < vocab; j++) {
                const double p = exp(z[j] - most) / sum;
                z[j] = (float)((p - ((int)j == ROW[i][t + 1])) / N_PREDICTED);
            }
        }
    return loss;
}

/* With the terms, times their weights. */
static double compute_loss(world *w, uint64_t dropout)
{
    dele_batch batch;
    double loss = loss_of(pass(w, &batch, dropout), (size_t)w->model.config.vocab);
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++)
        loss += w->router.coefficient[i] * w->terms.loss[i];
    return loss;
}

/* The gradient of that; returns the loss without the terms. */
static double compute_gradients(world *w, uint64_t dropout)
{
    dele_err err = {0};
    dele_batch batch;
    float *dlogits = pass(w, &batch, dropout);
    const double loss = loss_of(dlogits, (size_t)w->model.config.vocab);
    dele_grads grads = {.g = w->g, .adds = w->patches};
    if (w->terms.n_layers)
        grads.n_adds = dele_router_terms_add(&w->terms, w->patches, 1, N_PREDICTED);
    batch.patches = NULL, batch.n_patches = 0;
    for (size_t k = 0; k < w->model.n_tensors; k++) {
        const dele_tensor *t = &w->model.tensors[k];
        if (w->g[k]) memset(w->g[k], 0, t->rows * t->cols * sizeof(float));
    }
    if (dele_backward(&w->run, &w->model, &batch, dlogits, &grads, &err)) fail_msg("%s", err.msg);
    return loss;
}

/* ---- PyTorch --------------------------------------------------------------------------------- */

static void outputs_and_gradients_are_those_of_the_transcription(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        world w;
        dele_batch batch;
        open_case(&w, CASES[i], 1);
        const size_t vocab = (size_t)w.model.config.vocab;
        const float *logits = pass(&w, &batch, 0);
        const double first = gap(logits + 5 * vocab, expected_of(&w, "logits.0", "", vocab), vocab),
                     second =
                         gap(logits + 9 * vocab, expected_of(&w, "logits.1", "", vocab), vocab);
        if (!(first < TOLERANCE && second < TOLERANCE))
            fail_msg("%s: logits are off by %g and %g", CASES[i], first, second);
        const double loss = compute_gradients(&w, 0);
        assert_true(fabs(loss - (double)*expected_of(&w, "loss", "", UPDATES)) < TOLERANCE);
        for (int k = 0; k < 2 && w.terms.n_layers; k++) {
            static const dele_term term[2] = {DELE_TERM_BALANCE, DELE_TERM_ADAPTER};
            const double theirs = (double)*expected_of(&w, dele_term_name[term[k]], "", UPDATES);
            assert_true(fabs(w.terms.loss[term[k]] - theirs) < TOLERANCE);
        }
        size_t n_adapters = 0;
        double largest = 0;
        for (size_t k = 0; k < w.model.n_tensors; k++) {
            const dele_tensor *t = &w.model.tensors[k];
            if (t->part != DELE_PART_ADAPTER) continue;
            const size_t n = t->rows * t->cols;
            const float *theirs = expected_of(&w, "gradient.", t->name, n);
            const double off = gap(w.g[k], theirs, n);
            for (size_t j = 0; j < n; j++) largest = fmax(largest, fabs((double)theirs[j]));
            if (!(off < TOLERANCE))
                fail_msg("%s: gradient of %s off by %g", CASES[i], t->name, off);
            n_adapters++;
        }
        assert_true(n_adapters >= 4 && largest > 100 * TOLERANCE);
        close_case(&w);
    }
}

static dele_mask adapters_alone(world *w)
{
    dele_mask mask;
    dele_err err = {0};
    if (dele_mask_parse(&mask, &w->model, "all", "adapter", &w->arena, &err))
        fail_msg("%s", err.msg);
    return mask;
}

static void ten_updates_are_those_of_the_transcription(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        world w;
        dele_err err = {0};
        dele_dataset rows = {0};
        open_case(&w, CASES[i], 1);
        const dele_mask mask = adapters_alone(&w);
        for (size_t r = 0; r < N_ROWS; r++) {
            const dele_sequence sequence = {ROW[r], (size_t)ROW_LENGTH[r], FIRST_LABEL, 0};
            assert_int_equal(dele_dataset_add_sequence(&rows, sequence, &w.arena, &err), DELE_OK);
        }
        dele_train_options o = DELE_TRAIN_DEFAULTS;
        dele_train_report report = {0};
        const dele_trainable trainable = {.model = &w.model, .mask = &mask};
        const dele_train_data data = {.set = {[DELE_RETAIN] = &rows}};
        o.objective = &dele_objective_ce;
        o.epochs = UPDATES, o.batch = N_ROWS, o.adamw.lr = 1e-2, o.clip = 0;
        o.router = w.router;
        if (i % 2) o.batch_tokens = 1; /* an update in several passes is the same */
        if (dele_train(&report, &trainable, &data, &o, &(dele_train_output){0}, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(report.done, UPDATES);
        const double last = (double)expected_of(&w, "loss", "", UPDATES)[UPDATES - 1];
        if (!(fabs(report.last.loss[DELE_RETAIN] - last) < TOLERANCE))
            fail_msg("%s: loss %g, in PyTorch %g", CASES[i], report.last.loss[DELE_RETAIN], last);
        for (int k = 0; k < DELE_N_ROUTER_TERMS; k++) {
            if (w.router.coefficient[k] == 0) continue;
            const float *of = expected_of(&w, dele_term_name[k], "", UPDATES);
            assert_true(fabs(report.first.router[k] - (double)of[0]) < TOLERANCE);
            assert_true(fabs(report.last.router[k] - (double)of[UPDATES - 1]) < TOLERANCE);
        }
        for (size_t k = 0; k < w.model.n_tensors; k++) {
            const dele_tensor *t = &w.model.tensors[k];
            if (t->part != DELE_PART_ADAPTER) continue;
            const double off = gap(t->data, expected_of(&w, "after.", t->name, t->rows * t->cols),
                                   t->rows * t->cols);
            if (!(off < TOLERANCE)) fail_msg("%s: %s is off by %g", CASES[i], t->name, off);
        }
        close_case(&w);
    }
}

/* ---- identities ------------------------------------------------------------------------------ */

/* Every tensor of the model trains too, so that the gradient that flows through the adapters to
 * what lies below them is checked with theirs. */
static void train_all(world *w)
{
    dele_err err = {0};
    bool *all = DELE_NEW(&w->arena, bool, w->model.n_tensors, &err);
    for (size_t k = 0; all && k < w->model.n_tensors; k++) all[k] = true;
    if (!all || dele_model_train(&w->model, all, &err)) fail_msg("%s", err.msg);
}

static void move(const world *w, float *const *v, double by)
{
    for (size_t k = 0; k < w->model.n_tensors; k++) {
        const dele_tensor *t = &w->model.tensors[k];
        for (size_t i = 0; i < t->rows * t->cols; i++) t->data[i] += (float)(by * (double)v[k][i]);
    }
}

/* The slope of the loss along v, by a step in both directions. */
static double slope_along(world *w, float *const *v, double step, uint64_t dropout)
{
    move(w, v, step);
    const double above = compute_loss(w, dropout);
    move(w, v, -2 * step);
    const double below = compute_loss(w, dropout);
    move(w, v, step);
    return (above - below) / (2 * step);
}

/* <g, v> against the slope of the loss along a random v.  float32 losses of about 5 leave some
 * 0.005 of noise in a slope.  Where a step changes a route the loss jumps, and the slopes of two
 * steps differ: such a v says nothing, and few are. */
static void gradient_predicts(const char *name, uint64_t dropout)
{
    enum { TRIALS = 4 };
    world w;
    dele_err err = {0};
    dele_rng rng;
    open_case(&w, name, 0.7);
    w.model.config.perft.dropout = dropout ? 0.3f : 0;
    train_all(&w);
    compute_gradients(&w, dropout);
    double most_own = 0;
    int smooth = 0;
    dele_rng_seed(&rng, 5);
    for (int trial = 0; trial < TRIALS; trial++) {
        double along = 0, own = 0;
        float **v = DELE_NEW(&w.arena, float *, w.model.n_tensors, &err);
        for (size_t k = 0; k < w.model.n_tensors; k++) {
            const dele_tensor *t = &w.model.tensors[k];
            v[k] = DELE_NEW(&w.arena, float, t->rows * t->cols, &err);
            for (size_t i = 0; i < t->rows * t->cols; i++) {
                v[k][i] = (float)dele_rng_normal(&rng);
                along += (double)w.g[k][i] * (double)v[k][i];
                if (t->part == DELE_PART_ADAPTER) own += (double)w.g[k][i] * (double)v[k][i];
            }
        }
        const double slope = slope_along(&w, v, 3e-5, dropout),
                     other = slope_along(&w, v, 5e-5, dropout);
        if (fabs(other - slope) > 0.05 + 0.01 * fabs(slope)) continue;
        smooth++;
        most_own = fmax(most_own, fabs(own));
        if (!(fabs(along - slope) < 0.01 + 0.01 * fabs(slope)))
            fail_msg("%s: predicted %g, is %g", name, along, slope);
    }
    if (smooth < TRIALS / 2)
        fail_msg("%s: routes change in %d of %d", name, TRIALS - smooth, TRIALS);
    assert_true(most_own > 0.1); /* the adapters' part is no small one */
    close_case(&w);
}

static void gradients_predict_how_the_loss_moves(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) gradient_predicts(CASES[i], 0);
}

static void gradients_are_right_under_dropout_too(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) gradient_predicts(CASES[i], 77);
}

static void dropout_depends_on_its_seed_alone_and_is_off_without_one(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        world w;
        open_case(&w, CASES[i], 1);
        const double without = compute_loss(&w, 1);
        assert_true(without == compute_loss(&w, 0)); /* the file says dropout 0 */
        w.model.config.perft.dropout = 0.5f;
        const double one = compute_loss(&w, 1), other = compute_loss(&w, 2);
        assert_true(one != other && one != without && one == compute_loss(&w, 1));
        assert_true(without == compute_loss(&w, 0));
        close_case(&w);
    }
}

static void with_scale_zero_the_outputs_are_the_bases_bits(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        world w, bare;
        dele_batch batch;
        if (strstr(CASES[i], "balance")) continue; /* adapters that add nothing have no router */
        open_case(&w, CASES[i], 0);
        const size_t n = N_PREDICTED * (size_t)w.model.config.vocab;
        const float *ours = pass(&w, &batch, 0);
        bare = (world){0};
        char base[300];
        dele_err err = {0};
        if (dele_model_load(&bare.model, base_of(base, CASES[i]), &bare.arena, &err))
            fail_msg("%s", err.msg);
        bare.model.config.norm_topk_prob = w.model.config.norm_topk_prob;
        assert_memory_equal(ours, pass(&bare, &batch, 0), n * sizeof *ours);
        compute_gradients(&w, 0); /* a backward pass runs without the adapters */
        for (size_t k = 0; k < w.model.n_tensors; k++)
            if (w.model.tensors[k].part == DELE_PART_ADAPTER) assert_true(w.g[k][0] == 0);
        w.model.config.perft.scale = 1;
        assert_true(gap(pass(&w, &batch, 0), ours, n) > 0.01);
        close_case(&bare);
        close_case(&w);
    }
}

static void a_gate_of_the_released_code_has_no_gradient(void **state)
{
    (void)state;
    world w;
    open_case(&w, "olmoe/compat", 1);
    compute_gradients(&w, 0);
    for (size_t k = 0; k < w.model.n_tensors; k++) {
        const dele_tensor *t = &w.model.tensors[k];
        double sum = 0;
        for (size_t i = 0; i < t->rows * t->cols; i++) sum += fabs((double)w.g[k][i]);
        if (t->slot == DELE_SLOT_PERFT_GATE) assert_true(sum == 0);
        if (t->slot == DELE_SLOT_PERFT_UP) assert_true(sum > 0);
    }
    close_case(&w);
}

static void memory_and_operations_are_foretold(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        world w;
        dele_batch batch;
        open_case(&w, CASES[i], 1);
        const dele_pass_size size = {.n_rows = N_PREDICTED,
                                     .n_segments = 2,
                                     .n_output_rows = N_PREDICTED,
                                     .n_spans = 2,
                                     .longest = 6,
                                     .n_patches = w.terms.n_patches,
                                     .keep_for_backward = true};
        compute_gradients(&w, 0);
        assert_int_equal(w.run.arena.used, dele_forward_bytes(&w.model.config, &size) +
                                               dele_backward_bytes(&w.model.config, &size));
        w.run.flops = 0;
        pass(&w, &batch, 0);
        const double with = w.run.flops;
        w.model.config.perft.variant = DELE_PERFT_NONE;
        w.terms = (dele_router_terms){0};
        w.run.flops = 0;
        pass(&w, &batch, 0);
        w.model.config.perft.variant = DELE_PERFT_S; /* anything but none, to release it */
        assert_true(with > w.run.flops);
        close_case(&w);
    }
}

/* ---- counts ---------------------------------------------------------------------------------- */

static void counts_of_olmoe_follow_from_its_config_alone(void **state)
{
    (void)state;
    static const struct {
        dele_perft_variant variant;
        int rank, adapters, top_k;
        size_t trainable, activated;
    } of[] = {
        {DELE_PERFT_S, 8, 1, 0, 524288, 524288},    {DELE_PERFT_S, 16, 1, 0, 1048576, 1048576},
        {DELE_PERFT_S, 32, 1, 0, 2097152, 2097152}, {DELE_PERFT_R, 8, 2, 1, 1114112, 589824},
        {DELE_PERFT_R, 8, 2, 2, 1114112, 1114112},  {DELE_PERFT_R, 16, 2, 1, 2162688, 1114112},
        {DELE_PERFT_R, 16, 4, 2, 4325376, 2228224}, {DELE_PERFT_E, 2, 0, 0, 8388608, 1048576},
        {DELE_PERFT_E, 8, 0, 0, 33554432, 4194304}, {DELE_PERFT_E, 16, 0, 0, 67108864, 8388608}};
    dele_err err = {0};
    dele_arena arena = {0};
    dele_config c;
    cJSON *json = cJSON_Parse(
        "{\"model_type\": \"olmoe\", \"hidden_size\": 2048, \"intermediate_size\": 1024,"
        "\"num_hidden_layers\": 16, \"num_attention_heads\": 16, \"num_key_value_heads\": 16,"
        "\"num_experts\": 64, \"num_experts_per_tok\": 8, \"norm_topk_prob\": false,"
        "\"vocab_size\": 50304, \"max_position_embeddings\": 4096, \"rope_theta\": 10000.0,"
        "\"rms_norm_eps\": 1e-5, \"hidden_act\": \"silu\", \"tie_word_embeddings\": false}");
    if (dele_config_parse(&c, json, "config", &err)) fail_msg("%s", err.msg);
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        dele_model model;
        c.perft = (dele_perft){.variant = of[i].variant,
                               .rank = of[i].rank,
                               .adapters = of[i].adapters,
                               .top_k = of[i].top_k,
                               .alpha = 1};
        if (dele_perft_settle(&c.perft, &c, "test", &err)) fail_msg("%s", err.msg);
        const dele_perft_counts n = dele_perft_count(&c);
        assert_int_equal(n.trainable, of[i].trainable);
        assert_int_equal(n.activated, of[i].activated);
        /* and they are what the table has */
        size_t in_table = 0;
        dele_arena_reset(&arena);
        if (dele_model_table(&model, &c, &arena, &err)) fail_msg("%s", err.msg);
        for (size_t k = 0; k < model.n_tensors; k++)
            if (model.tensors[k].part == DELE_PART_ADAPTER)
                in_table += model.tensors[k].rows * model.tensors[k].cols;
        assert_int_equal(in_table, of[i].trainable);
    }
    /* LoRA beside them: attention, routers, and experts, of which a token uses 8 of 64 */
    static const struct {
        const char *tensors;
        int rank;
        size_t trainable, activated;
    } lora[] = {{"*q_proj.weight,*v_proj.weight", 4, 524288, 524288},
                {"*mlp.gate.weight", 4, 135168, 135168},
                {"*experts.*.up_proj.weight", 2, 6291456, 786432},
                {"*experts.7.up_proj.weight", 2, 98304, 98304}};
    for (size_t i = 0; i < sizeof lora / sizeof *lora; i++) {
        dele_model model;
        dele_mask mask;
        dele_arena_reset(&arena);
        c.perft = (dele_perft){0};
        if (dele_model_table(&model, &c, &arena, &err) ||
            dele_mask_match(&mask, &model, lora[i].tensors, &arena, &err))
            fail_msg("%s", err.msg);
        const dele_lora_counts n = dele_lora_count(&model, &mask, lora[i].rank);
        assert_int_equal(n.trainable, lora[i].trainable);
        assert_int_equal(n.activated, lora[i].activated);
    }
    cJSON_Delete(json);
    dele_arena_release(&arena);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const struct {
        dele_perft p;
        const char *why;
    } of[] = {
        {{.variant = DELE_PERFT_R, .rank = 0, .adapters = 2, .top_k = 1, .alpha = 1}, "rank is 0"},
        {{.variant = DELE_PERFT_R, .rank = 2, .adapters = 0, .top_k = 1, .alpha = 1}, "0 adapters"},
        {{.variant = DELE_PERFT_R, .rank = 2, .adapters = 2, .top_k = 3, .alpha = 1}, "top 3 of 2"},
        {{.variant = DELE_PERFT_D, .rank = 2, .adapters = 2, .alpha = 0}, "alpha is 0"},
        {{.variant = DELE_PERFT_D, .rank = 2, .adapters = 2, .alpha = 1, .dropout = 1}, "dropout"},
        {{.variant = DELE_PERFT_R,
          .rank = 2,
          .adapters = 4,
          .top_k = 3,
          .alpha = 1,
          .compat = true},
         "more of them than the model's 2"}};
    dele_arena arena = {0};
    dele_model model;
    dele_err err = {0};
    if (dele_model_load(&model, BASE, &arena, &err)) fail_msg("%s", err.msg);
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        dele_perft p = of[i].p;
        dele_err own = {0};
        assert_int_not_equal(dele_perft_settle(&p, &model.config, "test", &own), DELE_OK);
        if (!strstr(own.msg, of[i].why)) fail_msg("\"%s\" does not say %s", own.msg, of[i].why);
    }
    dele_model_release(&model);
    dele_perft p = {.variant = DELE_PERFT_S, .rank = 2, .alpha = 1};
    if (dele_model_load(&model, FIXTURES "tiny-llama-tied", &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(dele_perft_settle(&p, &model.config, "test", &err), DELE_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "is for mixtures of experts"));
    dele_model_release(&model);
    dele_arena_release(&arena);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void an_adapter_is_stored_alone_and_comes_back(void **state)
{
    for (int i = 0; i < N_CASES; i++) {
        world w, back;
        dele_err err = {0};
        char command[900], dir[300], base[300];
        open_case(&w, CASES[i], 1);
        snprintf(dir, sizeof dir, "%s", scratch_path(*state, CASES[i]));
        snprintf(command, sizeof command, "mkdir -p '%s'", dir);
        assert_int_equal(system(command), 0);
        if (dele_perft_save(&w.model, dir, &err)) fail_msg("%s", err.msg);
        back = (world){0};
        const dele_adapter_options o = {dir, 1};
        if (dele_adapters_load(&back.model, base_of(base, CASES[i]), &o, 0, SIZE_MAX, &back.arena,
                               &err))
            fail_msg("%s", err.msg);
        const dele_perft *a = &w.model.config.perft, *b = &back.model.config.perft;
        assert_true(a->variant == b->variant && a->rank == b->rank && a->adapters == b->adapters &&
                    a->top_k == b->top_k && a->parallel == b->parallel && a->compat == b->compat &&
                    a->alpha == b->alpha);
        assert_int_equal(w.model.n_tensors, back.model.n_tensors);
        for (size_t k = 0; k < w.model.n_tensors; k++) {
            const dele_tensor *t = &w.model.tensors[k];
            if (t->part == DELE_PART_ADAPTER)
                assert_memory_equal(t->data, back.model.tensors[k].data,
                                    t->rows * t->cols * sizeof(float));
        }
        /* the base's own tensors stay in their file */
        for (size_t k = 0; k < back.model.n_tensors; k++)
            if (back.model.tensors[k].part == DELE_PART_MLP && back.model.tensors[k].rows > 1)
                assert_null(back.model.tensors[k].data);
        close_case(&back);
        close_case(&w);
    }
}

static void refused(const char *base, const char *list, const char *why)
{
    dele_arena arena = {0};
    dele_model model;
    dele_err err = {0};
    const dele_adapter_options o = {list, 1};
    if (!dele_adapters_load(&model, base, &o, 0, SIZE_MAX, &arena, &err))
        fail_msg("not refused: %s", why);
    if (!strstr(err.msg, why)) fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
    dele_arena_release(&arena);
}

/* A copy of case "olmoe/r" with another description. */
static const char *described(scratch *s, const char *text)
{
    static char dir[300];
    char command[900], path[400];
    snprintf(dir, sizeof dir, "%s", scratch_path(s, "r"));
    snprintf(command, sizeof command, "mkdir -p '%s' && cp " PERFT "olmoe/r/* '%s'/", dir, dir);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/" DELE_ADAPTER_FILE, dir);
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    return dir;
}

static void the_wrong_adapter_is_refused_by_name(void **state)
{
    static const char good[] = "\"type\": \"perft-r\", \"form\": \"lora\", \"alpha\": 6";
    static const char *const of[][3] = {
        {"\"rank\": 2, \"adapters\": 3, \"top_k\": 2", "", "has the shape [3, 16]"},
        {"\"rank\": 3, \"adapters\": 4, \"top_k\": 2", "", "shape [3, 16], but"},
        {"\"rank\": 3, \"adapters\": 2, \"top_k\": 2", "", "has the shape [3, 16]"},
        {"\"rank\": 3, \"adapters\": 3, \"top_k\": 9", "", "top 9 of 3"},
        {"\"rank\": 3.5, \"adapters\": 3, \"top_k\": 2", "", "whole numbers"},
        {"\"rank\": 3, \"adapters\": 3, \"top_k\": 2", ", \"compat\": \"other\"", "not known"},
        {"\"rank\": 3, \"adapters\": 3, \"top_k\": 2", ", \"base_sha256\": \"12\"", "64 hex"},
        {"\"rank\": 3, \"adapters\": 3, \"top_k\": 2",
         ", \"base_sha256\": "
         "\"0123456789012345678901234567890123456789012345678901234567890123\"",
         "another base model"}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char text[600];
        snprintf(text, sizeof text, "{%s, %s%s}", good, of[i][0], of[i][1]);
        refused(BASE, described(*state, text), of[i][2]);
    }
    refused(BASE, described(*state, "{\"type\": \"perft-x\"}"), "is none of perft-r");
    refused(BASE,
            described(*state, "{\"type\": \"perft-e\", \"form\": \"lora\", \"alpha\": 1, "
                              "\"rank\": 3, \"adapters\": 6}"),
            "is missing");
    refused(BASE,
            described(*state, "{\"type\": \"perft-e\", \"form\": \"lora\", \"alpha\": 1, "
                              "\"rank\": 3, \"adapters\": 5}"),
            "has 6 with this model");
    refused(FIXTURES "tiny-llama-tied", PERFT "olmoe/r", "is for mixtures of experts");
    refused(PERFT "qwen2-moe/base", PERFT "olmoe/compat", "released none for family qwen2_moe");
    refused(BASE, PERFT "olmoe/r," PERFT "olmoe/d", "has adapters of perft-r already");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_and_gradients_are_those_of_the_transcription),
        cmocka_unit_test(ten_updates_are_those_of_the_transcription),
        cmocka_unit_test(gradients_predict_how_the_loss_moves),
        cmocka_unit_test(gradients_are_right_under_dropout_too),
        cmocka_unit_test(dropout_depends_on_its_seed_alone_and_is_off_without_one),
        cmocka_unit_test(with_scale_zero_the_outputs_are_the_bases_bits),
        cmocka_unit_test(a_gate_of_the_released_code_has_no_gradient),
        cmocka_unit_test(memory_and_operations_are_foretold),
        cmocka_unit_test(counts_of_olmoe_follow_from_its_config_alone),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test_setup_teardown(an_adapter_is_stored_alone_and_comes_back, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(the_wrong_adapter_is_refused_by_name, scratch_open,
                                        scratch_close)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
