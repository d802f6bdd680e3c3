/* The backward pass on tiny random models of every block.  A gradient is right if it predicts how
 * the loss moves, for random v:
 *
 *   <g, v> = (L(w + εv) - L(w - εv)) / 2ε */
#include "claims.h"

#include "base/random.h"
#include "engine_models.h"
#include "model/backward.h"

/* The loss with one state moved, or none (NULL). */
static double moved_loss(const fixture *f, const dele_patch *move)
{
    dele_segment segments[2];
    dele_batch batch = training_batch(f, segments);
    batch.patches = move;
    batch.n_patches = move ? 1 : 0;
    dele_run run = {0};
    double logp[T], sum = 0;
    forward(&run, &f->model, &batch);
    dele_err err = {0};
    assert_int_equal(dele_logprobs(logp, NULL, &run, &f->model, run.final, f->targets, T, &err),
                     DELE_OK);
    for (int t = 0; t < T; t++) sum -= logp[t];
    dele_run_release(&run);
    return sum;
}

static double loss(const fixture *f) { return moved_loss(f, NULL); }

static dele_status backward(const dele_grads *grads, const fixture *f, const dele_batch *batch,
                            dele_err *err)
{
    dele_run run = {0};
    float logits[T * V];
    forward(&run, &f->model, batch);
    dele_logits(logits, &run, &f->model, run.final, T);
    for (int t = 0; t < T; t++) {
        double sum = 0;
        for (int j = 0; j < V; j++) sum += exp(logits[t * V + j]);
        for (int j = 0; j < V; j++)
            logits[t * V + j] = (float)(exp(logits[t * V + j]) / sum) - (j == f->targets[t]);
    }
    dele_status status = dele_backward(&run, &f->model, batch, logits, grads, err);
    dele_run_release(&run);
    return status;
}

static void gradients(float **g, fixture *f, int lowest)
{
    dele_segment segments[2];
    dele_batch batch = training_batch(f, segments);
    batch.lowest = lowest;
    dele_err err = {0};
    if (backward(&(dele_grads){.g = g}, f, &batch, &err)) fail_msg("%s", err.msg);
}

static void a_site_that_the_layers_do_not_have_is_refused_by_both_passes(void **state)
{
    (void)state;
    int refused = 0;
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        dele_run run = {0};
        dele_err err = {0};
        float seen[32];
        dele_segment segments[2];
        open_fixture(&f, which);
        const bool has = dele_config_has_site(&f.model.config, DELE_RESID_MID);
        assert_int_equal(has, !f.model.config.parallel_residual);
        dele_patch patch = {.site = DELE_RESID_MID, .op = DELE_READ, .seen = seen};
        dele_batch batch = training_batch(&f, segments);
        assert_int_equal(backward(&(dele_grads){.reads = &patch, .n_reads = 1}, &f, &batch, &err),
                         has ? DELE_OK : DELE_ERR_UNSUPPORTED);
        batch.patches = &patch, batch.n_patches = 1;
        assert_int_equal(dele_forward(&run, &f.model, &batch, &err),
                         has ? DELE_OK : DELE_ERR_UNSUPPORTED);
        refused += !has;
        dele_run_release(&run);
        close_fixture(&f);
    }
    assert_true(refused > 0);
}

static double slope(const fixture *f, dele_tensor *t, const float *old, const float *v, double eps)
{
    size_t n = t->rows * t->cols;
    for (size_t i = 0; i < n; i++) t->data[i] = (float)(old[i] + eps * v[i]);
    double up = loss(f);
    for (size_t i = 0; i < n; i++) t->data[i] = (float)(old[i] - eps * v[i]);
    double down = loss(f);
    memcpy(t->data, old, n * sizeof *old);
    return (up - down) / (2 * eps);
}

/* The relative gap between <g, v> and the slope, extrapolated from two steps so that the third
 * derivative is gone.  Signed on purpose: with absolute values a flipped sign would pass. */
static double disagreement(const fixture *f, dele_tensor *t, const float *g, dele_rng *rng)
{
    size_t n = t->rows * t->cols;
    float *v = malloc(n * sizeof *v), *old = malloc(n * sizeof *old);
    double predicted = 0, h = t->vector ? 2e-3
                              : f->model.config.n_experts
                                  ? 1e-3
                                  : 2e-4; /* few weights move the loss little */
    memcpy(old, t->data, n * sizeof *old);
    for (size_t i = 0; i < n; i++) {
        v[i] = (float)dele_rng_normal(rng) +
               (g[i] > 0 ? 1.0f : -1.0f); /* leaning along g, so that <g, v> is not small */
        predicted += (double)g[i] * v[i];
    }
    if (fabs(predicted) > 300) h /= 8; /* and a steep loss bends soon */
    double measured = (4 * slope(f, t, old, v, h / 2) - slope(f, t, old, v, h)) / 3;
    free(v), free(old);
    return fabs(predicted - measured) / (fabs(measured) + 1e-3);
}

static bool all_zero(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0) return false;
    return true;
}

static void every_gradient_predicts_the_loss(void **state)
{
    (void)state;
    int experts = 0; /* tensors of experts with rows */
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        dele_rng rng;
        dele_rng_seed(&rng, 11);
        float **g = calloc(f.model.n_tensors, sizeof *g);
        for (size_t i = 0; i < f.model.n_tensors; i++)
            g[i] = calloc(f.model.tensors[i].rows * f.model.tensors[i].cols, sizeof **g);
        gradients(g, &f, 0);
        for (size_t i = 0; i < f.model.n_tensors; i++) {
            double gap = disagreement(&f, &f.model.tensors[i], g[i], &rng);
            if (!(gap < 1e-2)) fail_msg("config %d, %s: gap %g", w, f.model.tensors[i].name, gap);
            size_t n = f.model.tensors[i].rows * f.model.tensors[i].cols;
            if (f.model.tensors[i].expert >= 0 && all_zero(g[i], n)) continue; /* no row's choice */
            experts += f.model.tensors[i].expert >= 0;
            for (size_t j = 0; j < n; j++) g[i][j] = -g[i][j];
            if (!(disagreement(&f, &f.model.tensors[i], g[i], &rng) > 1.0))
                fail_msg("config %d, %s: a flipped sign was not noticed", w,
                         f.model.tensors[i].name);
        }
        for (size_t i = 0; i < f.model.n_tensors; i++) free(g[i]);
        free(g);
        close_fixture(&f);
    }
    assert_true(experts > 50);
}

/* torch's padding_idx, which a family has or not; a tied head's part of the row's gradient stays.
 */
static void the_pad_tokens_row_gets_no_gradient_from_its_places(void **state)
{
    (void)state;
    dele_family trains = dele_family_llama;
    trains.pad_row_trains = true;
    for (int family = 0; family < 2; family++)
        for (int w = 0; w < 2; w++) { /* tied, untied */
            fixture f;
            open_fixture(&f, w);
            dele_config *c = &f.model.config;
            const size_t d_model = (size_t)c->hidden_size, n = V * d_model,
                         row = (size_t)f.tokens[2] * d_model;
            float *with = calloc(n, sizeof *with), *without = calloc(n, sizeof *without);
            float **g = calloc(f.model.n_tensors, sizeof *g);
            if (family) c->family = &trains;
            g[0] = with; /* the embedding's */
            gradients(g, &f, 0);
            c->pad = f.tokens[2];
            g[0] = without;
            gradients(g, &f, 0);
            assert_true(f.model.tensors[0].slot == DELE_SLOT_EMBED);
            for (size_t i = 0; i < n; i++)
                if (family || i < row || i >= row + d_model) assert_true(with[i] == without[i]);
            double left = 0;
            for (size_t i = row; i < row + d_model; i++) left += fabs((double)without[i]);
            assert_int_equal(left > 0, family || c->tied);
            if (!family) assert_true(worst(with + row, without + row, d_model) > 1e-3);
            free(with), free(without), free(g);
            close_fixture(&f);
        }
}

static void freezing_the_rest_leaves_a_gradient_as_it_was(void **state)
{
    (void)state;
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        size_t n_tensors = f.model.n_tensors;
        float **all = calloc(n_tensors, sizeof *all), **one = calloc(n_tensors, sizeof *one);
        for (size_t i = 0; i < n_tensors; i++)
            all[i] = calloc(f.model.tensors[i].rows * f.model.tensors[i].cols, sizeof **all);
        gradients(all, &f, 0);
        for (size_t i = 0; i < n_tensors; i++) {
            size_t n = f.model.tensors[i].rows * f.model.tensors[i].cols;
            if (f.model.tensors[i].layer < 0) continue;
            one[i] = calloc(n, sizeof **one);
            gradients(one, &f, f.model.tensors[i].layer);
            if (memcmp(one[i], all[i], n * sizeof **one))
                fail_msg("config %d, %s trained alone", w, f.model.tensors[i].name);
            free(one[i]);
            one[i] = NULL;
        }
        for (size_t i = 0; i < n_tensors; i++) free(all[i]);
        free(all), free(one);
        close_fixture(&f);
    }
}

/* ---- gradients of states: the same test, a row of a site moved by a patch instead of a tensor
 * --- */

enum { N_SITES = DELE_RESID_POST + 1, MOST_READS = (N_SITES + 3) * 3 * T };

static int width(const fixture *f, const dele_patch *p)
{
    if (p->site == DELE_ROUTER_LOGITS) return f->model.config.n_experts;
    return p->site == DELE_HEAD_OUT ? f->model.config.head_dim : f->model.config.hidden_size;
}

/* Every site that the family has, of every row, seen at [site, layer, head, row] in steps of dim;
 * returns how many. */
static size_t all_sites(dele_patch *reads, float *seen, const fixture *f)
{
    size_t n = 0, d_model = (size_t)f->model.config.hidden_size;
    memset(seen, 0, MOST_READS * 32 * sizeof *seen);
    for (int site = 0; site < N_SITES; site++)
        for (int layer = 0; layer < (site == DELE_EMBED ? 1 : f->model.config.n_layers); layer++)
            for (int head = 0; dele_layer_has_site(&f->model.config, layer, (dele_site)site) &&
                               head < (site == DELE_HEAD_OUT ? f->model.config.n_heads : 1);
                 head++)
                for (int t = 0; t < T; t++, n++)
                    reads[n] = (dele_patch){.layer = layer,
                                            .row = t,
                                            .head = head,
                                            .expert = t % 4, /* chosen by the row or not */
                                            .site = (dele_site)site,
                                            .op = DELE_READ,
                                            .seen = seen + n * d_model};
    return n;
}

static double moved_slope(const fixture *f, dele_patch move, const float *v, double eps)
{
    float value[32];
    double side[2];
    move.op = DELE_ADD;
    move.value = value;
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < width(f, &move); j++) value[j] = (float)((i ? -eps : eps) * v[j]);
        side[i] = moved_loss(f, &move);
    }
    return (side[0] - side[1]) / (2 * eps);
}

static double state_disagreement(const fixture *f, const dele_patch *read, float sign,
                                 dele_rng *rng)
{
    const double steps[N_SITES] = {[DELE_HEAD_OUT] = 2e-3, [DELE_ROUTER_LOGITS] = 3e-2};
    float v[32]; /* along g in every channel: a head has few, and <g, v> must not cancel */
    /* in the stream small beside an embedding, or clip_qkv's kinks are met on the way */
    double predicted = 0, h = steps[read->site] > 0 ? steps[read->site] : 2e-4;
    for (int i = 0; i < width(f, read); i++) {
        v[i] = copysignf(0.5f + fabsf((float)dele_rng_normal(rng)), read->seen[i]);
        predicted += (double)sign * read->seen[i] * v[i];
    }
    double measured = (4 * moved_slope(f, *read, v, h / 2) - moved_slope(f, *read, v, h)) / 3;
    return fabs(predicted - measured) / (fabs(measured) + 1e-3);
}

static double steepness(const dele_patch *read, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += fabs((double)read->seen[i]);
    return sum;
}

static void every_states_gradient_predicts_the_loss(void **state)
{
    (void)state;
    int logits = 0; /* reads of a router's */
    static float seen[MOST_READS * 32];
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        dele_segment segments[2];
        dele_batch batch = training_batch(&f, segments);
        dele_patch reads[MOST_READS];
        dele_rng rng;
        dele_rng_seed(&rng, 13);
        dele_grads grads = {.reads = reads, .n_reads = all_sites(reads, seen, &f)};
        dele_err err = {0};
        if (backward(&grads, &f, &batch, &err)) fail_msg("%s", err.msg);
        for (size_t i = 0; i < grads.n_reads; i++) {
            const dele_patch *r = &reads[i];
            if (r->site == DELE_ROUTER_LOGITS && steepness(r, width(&f, r)) < 5e-3)
                continue; /* lost in the rounding of the loss */
            logits += r->site == DELE_ROUTER_LOGITS;
            double gap = state_disagreement(&f, r, 1, &rng);
            if (!(gap < 1e-2))
                fail_msg("config %d, layer %d, site %d, row %d: gap %g", w, r->layer, r->site,
                         r->row, gap);
            if (!(state_disagreement(&f, r, -1, &rng) > 1.0))
                fail_msg("config %d, layer %d, site %d, row %d: a flipped sign was not noticed", w,
                         r->layer, r->site, r->row);
        }
        close_fixture(&f);
    }
    assert_true(logits > 40);
}

/* What else is computed, how far the pass goes, and whether embeddings were looked up or given
 * change no gradient. */
static void a_states_gradient_is_the_same_however_it_is_asked_for(void **state)
{
    (void)state;
    static float all[MOST_READS * 32], some[T * 32], given[T * 32];
    for (int w = 0; w < N_CONFIGS; w++) {
        fixture f;
        open_fixture(&f, w);
        size_t d_model = (size_t)f.model.config.hidden_size, row = d_model * sizeof(float);
        dele_segment segments[2];
        dele_batch batch = training_batch(&f, segments);
        dele_patch reads[MOST_READS], one_site[T];
        dele_err err = {0};
        size_t n = all_sites(reads, all, &f);
        float **g = calloc(f.model.n_tensors, sizeof *g);
        for (size_t i = 0; i < f.model.n_tensors; i++)
            g[i] = calloc(f.model.tensors[i].rows * f.model.tensors[i].cols, sizeof **g);
        assert_int_equal(
            backward(&(dele_grads){.g = g, .reads = reads, .n_reads = n}, &f, &batch, &err),
            DELE_OK);
        dele_embed(given, &f.model, f.tokens, 4, 0);
        dele_embed(given + 4 * d_model, &f.model, f.tokens + 4, T - 4, 0);
        for (int i = 0; i < 2; i++) segments[i].tokens = NULL;
        segments[0].states = given, segments[1].states = given + 4 * d_model;
        for (size_t at = 0; at < n; at += T) {
            for (int t = 0; t < T; t++) {
                one_site[t] = reads[at + (size_t)t];
                one_site[t].seen = some + (size_t)t * d_model;
            }
            batch.lowest = one_site[0].layer;
            memset(some, 0, sizeof some);
            assert_int_equal(
                backward(&(dele_grads){.reads = one_site, .n_reads = T}, &f, &batch, &err),
                DELE_OK);
            assert_memory_equal(some, all + at * d_model, T * row);
        }
        assert_int_equal(backward(&(dele_grads){.g = g}, &f, &batch, &err),
                         DELE_ERR_UNSUPPORTED); /* no ids to train */
        for (size_t i = 0; i < f.model.n_tensors; i++) free(g[i]);
        free(g);
        close_fixture(&f);
    }
}

static void a_gradient_read_that_meets_no_row_is_an_error(void **state)
{
    (void)state;
    static const dele_patch nowhere[] = {
        {.layer = 3, .row = 0, .site = DELE_MLP_OUT, .op = DELE_READ},
        {.layer = 0, .row = 0, .site = DELE_RESID_POST, .op = DELE_READ}, /* not kept */
        {.layer = 1, .row = T, .site = DELE_RESID_MID, .op = DELE_READ},
        {.layer = 1, .row = -1, .site = DELE_RESID_MID, .op = DELE_READ},
        {.layer = 1, .row = 0, .head = 4, .site = DELE_HEAD_OUT, .op = DELE_READ},
        {.layer = 1, .row = 0, .head = -1, .site = DELE_HEAD_OUT, .op = DELE_READ},
        {.layer = 1, .row = 0, .site = DELE_EMBED, .op = DELE_READ}};
    fixture f;
    open_fixture(&f, 0);
    dele_segment segments[2];
    dele_batch batch = training_batch(&f, segments);
    batch.lowest = 1;
    float seen[32];
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        dele_patch reads[2] = {
            {.layer = 1, .row = 0, .head = 3, .site = DELE_HEAD_OUT, .op = DELE_READ, .seen = seen},
            nowhere[i]};
        reads[1].seen = seen;
        dele_err err = {0};
        assert_int_equal(backward(&(dele_grads){.reads = reads, .n_reads = 1}, &f, &batch, &err),
                         DELE_OK);
        assert_int_equal(backward(&(dele_grads){.reads = reads, .n_reads = 2}, &f, &batch, &err),
                         DELE_ERR_DATA);
        assert_non_null(strstr(err.msg, "1 of 2 gradients"));
    }
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_site_that_the_layers_do_not_have_is_refused_by_both_passes),
        cmocka_unit_test(every_gradient_predicts_the_loss),
        cmocka_unit_test(the_pad_tokens_row_gets_no_gradient_from_its_places),
        cmocka_unit_test(freezing_the_rest_leaves_a_gradient_as_it_was),
        cmocka_unit_test(every_states_gradient_predicts_the_loss),
        cmocka_unit_test(a_states_gradient_is_the_same_however_it_is_asked_for),
        cmocka_unit_test(a_gradient_read_that_meets_no_row_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
