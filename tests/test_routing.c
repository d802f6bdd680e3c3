/* Measures of routing (src/routing/): equal to reference/routing_measures.py on 10,000 tokens, and
 * what holds of any routes; tokens.npz as it is written, read and refused. */
#include "claims.h"

#include "base/json.h"
#include "base/npz.h"
#include "base/random.h"
#include "routing/contrast.h"
#include "routing/measures.h"
#include "routing/tokens_file.h"
#include "routing/vocabulary.h"
#include "scratch.h"

enum {
    TOKENS = 10000,
    LAYERS = 3,
    EXPERTS = 16,
    TOP_K = 4,
    VOCAB = 2003,
    DENSE = 1,
    DOCUMENT = 250,
    WINDOW = 125,
    DOMAINS = 4,
    MIN_COUNT = 10
};

static const dele_routed_shape shape = {LAYERS, EXPERTS, TOP_K, VOCAB};

/* ---- synthetic routes: `synthetic` of routing_measures.py ------------------------------------ */

static uint64_t mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static void synthetic_token(dele_routed *r, size_t t, int l, int model)
{
    const int domain = (int)(t / DOCUMENT) * DOMAINS / (TOKENS / DOCUMENT);
    const bool changed = model && (mix(6000000 + t) & 3) == 0;
    long score[EXPERTS];
    for (int e = 0; e < EXPERTS; e++)
        score[e] =
            (long)(mix(((t * LAYERS + (size_t)l) * EXPERTS + (size_t)e) * 2 + changed) >> 44) +
            (e == (domain * 3 + l) % EXPERTS ? 600000 : 0) + (e == r->id[t] % EXPERTS ? 400000 : 0);
    for (int i = 0; i < TOP_K; i++) {
        int best = 0;
        for (int e = 1; e < EXPERTS; e++)
            if (score[e] > score[best]) best = e;
        dele_route_experts(&r->routes, t, l)[i] = best;
        dele_route_weights(&r->routes, t, l)[i] = 1.0f / (float)(2 + i);
        score[best] = -1;
    }
}

static void synthetic_routes(dele_routed *r, int model, dele_arena *arena)
{
    static const char *const name[] = {"a", "b", "c", "d"};
    assert_int_equal(dele_routed_init(r, TOKENS, LAYERS, EXPERTS, TOP_K, arena, NULL), DELE_OK);
    r->n_documents = TOKENS / DOCUMENT;
    r->n_domains = DOMAINS;
    r->domain_name = name;
    for (size_t t = 0; t < TOKENS; t++)
        r->id[t] = (int)((mix(7000000 + t) % VOCAB) * (mix(8000000 + t) % VOCAB) / VOCAB);
    for (size_t t = 0; t < TOKENS; t++) {
        const bool last = (t + 1) % WINDOW == 0;
        r->document[t] = (int)(t / DOCUMENT);
        r->domain[t] = t % DOCUMENT ? r->document[t] * DOMAINS / (TOKENS / DOCUMENT) : -1;
        r->next[t] = last ? -1 : r->id[t + 1];
        r->predicted[t] =
            mix(9000000 + t) % 3 && !last ? r->next[t] : (int)(mix(9500000 + t) % VOCAB);
        r->logp[t] = last ? NAN : -1.5f;
        for (int l = 0; l < LAYERS; l++)
            if (l != DENSE) synthetic_token(r, t, l, model);
    }
}

typedef struct {
    dele_arena arena;
    dele_routed before, after;
    cJSON *expected;
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    synthetic_routes(&f->before, 0, &f->arena);
    synthetic_routes(&f->after, 1, &f->arena);
    f->expected = dele_json_load(DELE_TESTS_DIR "/fixtures/routing/expected.json", NULL);
    *state = f;
    return f->expected ? 0 : -1;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    cJSON_Delete(f->expected);
    dele_arena_release(&f->arena);
    free(f);
    return 0;
}

/* ---- against the transcription --------------------------------------------------------------- */

static const double near = 1e-12;

static const cJSON *field(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    assert_non_null(item);
    return item;
}

static double number_at(const cJSON *list, int i)
{
    const cJSON *item = cJSON_GetArrayItem(list, i);
    assert_non_null(item);
    return cJSON_IsNull(item) ? NAN : item->valuedouble;
}

static void same(double x, double y) { assert_true((isnan(x) && isnan(y)) || fabs(x - y) <= near); }

static const cJSON *expected_layer(const fixture *f, int l)
{
    return cJSON_GetArrayItem(field(f->expected, "layers"), l);
}

static void loads_equal_the_transcription(void **state)
{
    fixture *f = *state;
    dele_expert_counts c, top;
    assert_int_equal(dele_expert_count(&c, &f->before, TOP_K, &f->arena, NULL), DELE_OK);
    assert_int_equal(dele_expert_count(&top, &f->before, 1, &f->arena, NULL), DELE_OK);
    for (int l = 0; l < LAYERS; l++) {
        const cJSON *layer = expected_layer(f, l);
        if (l == DENSE) {
            assert_true(cJSON_IsNull(layer));
            continue;
        }
        double load[DOMAINS][EXPERTS], all[EXPERTS] = {0};
        for (size_t d = 0; d < DOMAINS; d++) {
            const cJSON *own = cJSON_GetArrayItem(field(layer, "specialisation"), (int)d),
                        *first = cJSON_GetArrayItem(field(layer, "top1"), (int)d);
            for (int e = 0; e < EXPERTS; e++) {
                load[d][e] = (double)dele_expert_counts_of(&c, d, l)[e];
                all[e] += load[d][e];
                same(dele_domain_specialisation(&c, d, l, e), number_at(own, e));
                same(dele_domain_specialisation(&top, d, l, e), number_at(first, e));
            }
            same(dele_load_entropy(load[d], EXPERTS), number_at(field(layer, "entropy"), (int)d));
        }
        same(dele_load_entropy(all, EXPERTS), number_at(field(layer, "entropy"), DOMAINS));
        int pair = 0;
        for (int a = 0; a < DOMAINS; a++)
            for (int b = a + 1; b < DOMAINS; b++, pair++)
                same(dele_load_distance(load[a], load[b], EXPERTS),
                     number_at(field(layer, "distance"), pair));
    }
}

static void saturation_equals_the_transcription(void **state)
{
    fixture *f = *state;
    size_t n;
    for (int k = 1; k <= TOP_K; k += TOP_K - 1) {
        const cJSON *list = field(field(f->expected, "saturation"), k == 1 ? "1" : "4");
        for (int l = 0; l < LAYERS; l++) {
            if (l == DENSE) continue;
            const cJSON *own = cJSON_GetArrayItem(list, l);
            for (int d = 0; d <= DOMAINS; d++)
                same(dele_saturation(&n, &f->before, &f->after, l, k, d < DOMAINS ? d : -1),
                     number_at(own, d));
            assert_int_equal(n, TOKENS - TOKENS / DOCUMENT);
        }
    }
}

static void coactivation_equals_the_transcription_in_both_modes(void **state)
{
    fixture *f = *state;
    for (int compat = 0; compat < 2; compat++)
        for (int l = 0; l < LAYERS; l++) {
            uint64_t together[EXPERTS * EXPERTS] = {0}, alone[EXPERTS] = {0}, pairs = 0;
            if (l == DENSE) continue;
            const cJSON *list =
                field(field(expected_layer(f, l), "coactivation"), compat ? "olmoe" : "none");
            dele_coactivation_count(together, alone, &f->before, l, compat);
            for (int i = 0; i < EXPERTS; i++)
                for (int j = 0; j < EXPERTS; j++) {
                    pairs += together[i * EXPERTS + j];
                    same((double)together[i * EXPERTS + j] / (double)alone[i],
                         number_at(cJSON_GetArrayItem(list, i), j));
                }
            assert_int_equal(pairs, 2 * (compat ? TOP_K - 1 : TOP_K * (TOP_K - 1) / 2) *
                                        (TOKENS - TOKENS / DOCUMENT));
        }
}

static void vocabulary_equals_the_transcription_in_both_modes(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 2 * LAYERS * DELE_N_VOCABULARIES * 2; i++) {
        const int l = i % LAYERS, by = i / LAYERS % DELE_N_VOCABULARIES, k = i % 2 ? 1 : TOP_K;
        const bool compat = i / LAYERS / DELE_N_VOCABULARIES % 2;
        dele_vocabulary v;
        if (l == DENSE) continue;
        const cJSON *own =
            field(field(field(field(expected_layer(f, l), "vocabulary"), compat ? "olmoe" : "none"),
                        dele_vocabulary_name[by]),
                  k == 1 ? "1" : "4");
        assert_int_equal(dele_vocabulary_measure(&v, &f->before, l, k, (dele_vocabulary_by)by,
                                                 VOCAB, MIN_COUNT, compat, 1, &f->arena, NULL),
                         DELE_OK);
        same(v.unweighted, field(own, "unweighted")->valuedouble);
        same(v.weighted, field(own, "weighted")->valuedouble);
        assert_int_equal(v.n_counted, field(own, "ids")->valueint);
        assert_int_equal(v.n_ids, field(own, "listed")->valueint);
        for (int e = 0; e < EXPERTS; e++)
            same(v.by_expert[e], number_at(field(own, "by_expert"), e));
        for (int x = 0; x < 8; x++) {
            const cJSON *line = cJSON_GetArrayItem(field(own, "first"), x);
            assert_int_equal(v.ids[x].expert, number_at(line, 0));
            assert_int_equal(v.ids[x].id, number_at(line, 1));
            assert_int_equal(v.ids[x].n, number_at(line, 2));
        }
        if (by == DELE_BY_INPUT) assert_true(v.chance < 0.9 * v.weighted);
    }
}

static void distance_of_models_equals_the_transcription(void **state)
{
    fixture *f = *state;
    dele_document_counts a, b;
    assert_int_equal(dele_document_count(&a, &f->before, TOP_K, &f->arena, NULL), DELE_OK);
    assert_int_equal(dele_document_count(&b, &f->after, TOP_K, &f->arena, NULL), DELE_OK);
    for (int l = 0; l < LAYERS; l++) {
        dele_contrast d;
        assert_int_equal(dele_contrast_models(&d, &a, &b, l, -1, 50, NULL), DELE_OK);
        same(d.value, number_at(field(f->expected, "shift"), l));
        assert_int_equal(isnan(d.value), l == DENSE);
        if (l != DENSE) assert_true(d.interval.low <= d.value && d.p > 0 && d.p <= 1);
    }
}

/* ---- identities ------------------------------------------------------------------------------ */

static void a_model_with_itself_is_saturated_and_at_no_distance(void **state)
{
    fixture *f = *state;
    dele_document_counts a;
    dele_contrast d;
    assert_int_equal(dele_document_count(&a, &f->before, TOP_K, &f->arena, NULL), DELE_OK);
    for (int k = 1; k <= TOP_K; k += TOP_K - 1) {
        assert_int_equal(dele_contrast_saturation(&d, &f->before, &f->before, 0, k, -1, NULL),
                         DELE_OK);
        assert_true(d.value == 1 && d.interval.low == 1 && d.interval.high == 1);
    }
    assert_int_equal(dele_contrast_models(&d, &a, &a, 0, -1, 50, NULL), DELE_OK);
    assert_true(d.value == 0 && d.interval.low == 0 && d.interval.high == 0 && d.p == 1);
}

static void uniform_loads_have_entropy_1_and_one_expert_alone_0(void **state)
{
    const double uniform[] = {7, 7, 7, 7, 7}, one[] = {0, 3, 0, 0, 0}, none[5] = {0};
    (void)state;
    assert_true(fabs(dele_load_entropy(uniform, 5) - 1) < 1e-15);
    assert_true(dele_load_entropy(one, 5) == 0);
    assert_true(isnan(dele_load_entropy(none, 5)));
    assert_true(fabs(dele_load_distance(uniform, one, 5) - 0.8) < 1e-15);
    assert_true(isnan(dele_load_distance(uniform, none, 5)));
}

/* Tokens that all go to all experts, in different orders. */
static void where_every_token_takes_every_expert_all_is_1(void **state)
{
    fixture *f = *state;
    enum { N = 60, E = 5 };
    dele_routed r;
    dele_expert_counts c;
    dele_vocabulary v;
    uint64_t together[E * E] = {0}, alone[E] = {0};
    size_t n;
    assert_int_equal(dele_routed_init(&r, N, 1, E, E, &f->arena, NULL), DELE_OK);
    r.n_documents = r.n_domains = 1;
    for (size_t t = 0; t < N; t++) {
        r.domain[t] = 0;
        r.id[t] = (int)t % 3;
        for (int i = 0; i < E; i++) dele_route_experts(&r.routes, t, 0)[i] = (i + (int)t) % E;
    }
    assert_int_equal(dele_expert_count(&c, &r, E, &f->arena, NULL), DELE_OK);
    dele_coactivation_count(together, alone, &r, 0, false);
    for (int i = 0; i < E; i++) {
        assert_true(dele_domain_specialisation(&c, 0, 0, i) == 1);
        for (int j = 0; j < E; j++) assert_int_equal(together[i * E + j], i == j ? 0 : alone[i]);
    }
    assert_int_equal(
        dele_vocabulary_measure(&v, &r, 0, E, DELE_BY_INPUT, 3, 1, false, 1, &f->arena, NULL),
        DELE_OK);
    assert_true(v.unweighted == 1 && v.weighted == 1 && v.chance == 1);
    assert_true(dele_saturation(&n, &r, &r, 0, E, -1) == 1 && n == N);
}

/* The labels of domains matter in the fixture's routes by construction, and do not where the
 * documents get labels in turn. */
static void the_control_tells_domains_from_labels_without_meaning(void **state)
{
    fixture *f = *state;
    dele_routed r = f->before;
    for (int meaning = 0; meaning < 2; meaning++) {
        dele_document_counts c;
        dele_domain_contrasts d;
        if (!meaning) {
            r.domain = DELE_NEW(&f->arena, int, TOKENS, NULL);
            for (size_t t = 0; t < TOKENS; t++) r.domain[t] = r.document[t] % DOMAINS;
        }
        assert_int_equal(dele_document_count(&c, meaning ? &f->before : &r, TOP_K, &f->arena, NULL),
                         DELE_OK);
        assert_int_equal(dele_contrast_domains(&d, &c, 99, &f->arena, NULL), DELE_OK);
        assert_int_equal(d.n_pairs, 6);
        for (int l = 0; l < LAYERS; l += 2) {
            const dele_contrast *mean = &d.mean[l], *pair = &d.distance[l];
            if (meaning) {
                assert_true(mean->p == 0.01 && mean->value > 1.5 * mean->control_high);
                assert_true(d.largest[l].p == 0.01 && pair->interval.low > 0.1);
            } else {
                assert_true(mean->p > 0.05 && pair->interval.low == 0);
            }
            assert_true(pair->interval.low <= pair->interval.high && pair->interval.high < 0.3);
        }
        assert_true(isnan(d.mean[DENSE].value) && isnan(d.largest[DENSE].value));
    }
}

static void too_few_documents_have_neither_interval_nor_control(void **state)
{
    fixture *f = *state;
    dele_routed r = f->before;
    dele_document_counts c;
    dele_domain_contrasts d;
    r.document = DELE_NEW(&f->arena, int, TOKENS, NULL);
    for (size_t t = 0; t < TOKENS; t++) r.document[t] = (int)(t * 2 / TOKENS);
    r.domain = DELE_NEW(&f->arena, int, TOKENS, NULL);
    for (size_t t = 0; t < TOKENS; t++) r.domain[t] = r.document[t];
    r.n_documents = r.n_domains = 2;
    assert_int_equal(dele_document_count(&c, &r, TOP_K, &f->arena, NULL), DELE_OK);
    assert_int_equal(c.n, 2);
    assert_int_equal(dele_contrast_domains(&d, &c, 20, &f->arena, NULL), DELE_OK);
    assert_true(d.distance[0].value > 0 && isnan(d.distance[0].interval.low) &&
                isnan(d.distance[0].p));
    /* three documents beside 37: a control, and no interval */
    for (size_t t = 0; t < TOKENS; t++) {
        r.document[t] = f->before.document[t];
        r.domain[t] = r.document[t] >= 3;
    }
    r.n_documents = TOKENS / DOCUMENT;
    assert_int_equal(dele_document_count(&c, &r, TOP_K, &f->arena, NULL), DELE_OK);
    assert_int_equal(dele_contrast_domains(&d, &c, 20, &f->arena, NULL), DELE_OK);
    assert_true(isnan(d.distance[0].interval.low) && d.distance[0].p <= 1);
}

/* 3,000 documents of one token: as many units as there may be, and no token is lost. */
static void many_documents_are_merged_in_their_order(void **state)
{
    fixture *f = *state;
    enum { N = 3000 };
    dele_routed r;
    dele_document_counts c;
    uint64_t tokens = 0;
    assert_int_equal(dele_routed_init(&r, N, 1, 2, 1, &f->arena, NULL), DELE_OK);
    r.n_documents = N;
    r.n_domains = 1;
    for (size_t t = 0; t < N; t++) {
        r.document[t] = (int)t;
        r.domain[t] = 0;
        *dele_route_experts(&r.routes, t, 0) = t >= N / 2;
    }
    assert_int_equal(dele_document_count(&c, &r, 1, &f->arena, NULL), DELE_OK);
    assert_int_equal(c.n, DELE_MOST_UNITS);
    for (size_t u = 0; u < c.n; u++) {
        tokens += c.tokens[u];
        assert_int_equal(c.count[2 * u + (u >= c.n / 2)], c.tokens[u]);
    }
    assert_int_equal(tokens, N);
}

static void models_of_other_shapes_or_tokens_are_not_comparable(void **state)
{
    fixture *f = *state;
    dele_err err = {0};
    dele_routed r = f->after;
    assert_int_equal(dele_routed_comparable(&f->before, &r, "A", "B", &err), DELE_OK);
    r.routes.top_k = 2;
    assert_int_equal(dele_routed_comparable(&f->before, &r, "A", "B", &err), DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "models of one shape"));
    r = f->after;
    r.id = DELE_NEW(&f->arena, int, TOKENS, NULL);
    memcpy(r.id, f->after.id, TOKENS * sizeof *r.id);
    r.id[77]++;
    err = (dele_err){0};
    assert_int_equal(dele_routed_comparable(&f->before, &r, "A", "B", &err), DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "token 77"));
}

/* ---- tokens.npz ------------------------------------------------------------------------------ */

static void what_is_written_is_read_back(void **state)
{
    dele_arena arena = {0};
    dele_routed r, read;
    dele_err err = {0};
    const char *path = scratch_path(*state, "tokens.npz");
    synthetic_routes(&r, 0, &arena);
    assert_int_equal(dele_tokens_save(path, &r, &err), DELE_OK);
    assert_int_equal(dele_tokens_load(&read, path, &shape, &arena, &err), DELE_OK);
    const size_t n = TOKENS * LAYERS * TOP_K;
    assert_int_equal(read.n, TOKENS);
    assert_int_equal(read.n_documents, r.n_documents);
    assert_int_equal(read.n_domains, r.n_domains);
    assert_memory_equal(read.id, r.id, TOKENS * sizeof *r.id);
    assert_memory_equal(read.next, r.next, TOKENS * sizeof *r.next);
    assert_memory_equal(read.predicted, r.predicted, TOKENS * sizeof *r.id);
    assert_memory_equal(read.document, r.document, TOKENS * sizeof *r.id);
    assert_memory_equal(read.domain, r.domain, TOKENS * sizeof *r.id);
    assert_memory_equal(read.routes.experts, r.routes.experts, n * sizeof *r.routes.experts);
    assert_memory_equal(read.routes.weights, r.routes.weights, n * sizeof *r.routes.weights);
    assert_int_equal(read.routes.n_rows, TOKENS);
    dele_arena_release(&arena);
}

static void a_file_of_numpys_with_int64_and_nothing_else_is_read(void **state)
{
    dele_arena arena = {0};
    dele_routed r, synthetic;
    dele_err err = {0};
    (void)state;
    synthetic_routes(&synthetic, 0, &arena);
    assert_int_equal(
        dele_tokens_load(&r, DELE_TESTS_DIR "/fixtures/routing/numpy.npz", &shape, &arena, &err),
        DELE_OK);
    assert_int_equal(r.n, 6);
    assert_memory_equal(r.routes.experts, synthetic.routes.experts,
                        6 * LAYERS * TOP_K * sizeof(int));
    assert_int_equal(r.next[0], r.id[1]);
    assert_int_equal(r.next[5], -1);
    assert_int_equal(r.n_documents, 1);
    dele_arena_release(&arena);
}

/* Six tokens with one thing wrong, and a part of the sentence that says so. */
typedef struct {
    const char *says;
    int layers, top_k, vocab; /* of the model; 0: as they are */
    int id, expert, twice;    /* what is written there */
    float weight;
    const char *missing;
} broken;

static void write_broken(const char *path, const broken *b, dele_arena *arena)
{
    enum { N = 6 };
    dele_routed r;
    synthetic_routes(&r, 0, arena);
    if (b->id) r.id[3] = b->id;
    if (b->expert) dele_route_experts(&r.routes, 4, 2)[1] = b->expert;
    if (b->twice) dele_route_experts(&r.routes, 2, 0)[3] = dele_route_experts(&r.routes, 2, 0)[1];
    if (b->weight != 0) dele_route_weights(&r.routes, 5, 2)[0] = b->weight;
    const size_t dims[] = {N, LAYERS, TOP_K};
    dele_npz *npz = dele_npz_open(path, NULL);
    assert_non_null(npz);
    if (!b->missing || strcmp(b->missing, "ids")) dele_npz_i32(npz, "ids", r.id, 1, dims, NULL);
    if (!b->missing || strcmp(b->missing, "experts"))
        dele_npz_i32(npz, "experts", r.routes.experts, 3, dims, NULL);
    if (!b->missing || strcmp(b->missing, "weights"))
        dele_npz_f32(npz, "weights", r.routes.weights, 3, dims, NULL);
    assert_int_equal(dele_npz_close(npz, NULL), DELE_OK);
}

static void broken_files_are_refused_in_one_sentence(void **state)
{
    static const broken cases[] = {
        {.says = "\"ids\" of token 3 is 2003", .id = VOCAB},
        {.says = "\"ids\" of token 3 is -1", .id = -1},
        {.says = "\"ids\" of token", .vocab = 2},
        {.says = "token 4 has expert 16 in layer 2; its experts are 0 to 15", .expert = EXPERTS},
        {.says = "token 4 has expert -1 in layer 2", .expert = -1},
        {.says = "twice in layer 0", .twice = 1},
        {.says = "a weight of token 5 in layer 2 is not finite", .weight = NAN},
        {.says = "a weight of token 5 in layer 2 is not finite", .weight = INFINITY},
        {.says = "no array \"ids\"", .missing = "ids"},
        {.says = "no array \"experts\"", .missing = "experts"},
        {.says = "no array \"weights\"", .missing = "weights"},
        {.says = "\"experts\"", .layers = 4},
        {.says = "\"experts\"", .top_k = 2},
    };
    const char *path = scratch_path(*state, "broken.npz");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dele_arena arena = {0};
        dele_err err = {0};
        dele_routed r;
        dele_routed_shape model = shape;
        if (cases[i].layers) model.n_layers = cases[i].layers;
        if (cases[i].top_k) model.top_k = cases[i].top_k;
        if (cases[i].vocab) model.vocab = cases[i].vocab;
        write_broken(path, &cases[i], &arena);
        assert_int_equal(dele_tokens_load(&r, path, &model, &arena, &err), DELE_ERR_DATA);
        if (!strstr(err.msg, cases[i].says)) fail_msg("%s: %s", cases[i].says, err.msg);
        assert_non_null(strstr(err.msg, path));
        dele_arena_release(&arena);
    }
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, open_fixture, close_fixture)
#define FILE_CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        CLAIM(loads_equal_the_transcription),
        CLAIM(saturation_equals_the_transcription),
        CLAIM(coactivation_equals_the_transcription_in_both_modes),
        CLAIM(vocabulary_equals_the_transcription_in_both_modes),
        CLAIM(distance_of_models_equals_the_transcription),
        CLAIM(a_model_with_itself_is_saturated_and_at_no_distance),
        cmocka_unit_test(uniform_loads_have_entropy_1_and_one_expert_alone_0),
        CLAIM(where_every_token_takes_every_expert_all_is_1),
        CLAIM(the_control_tells_domains_from_labels_without_meaning),
        CLAIM(too_few_documents_have_neither_interval_nor_control),
        CLAIM(many_documents_are_merged_in_their_order),
        CLAIM(models_of_other_shapes_or_tokens_are_not_comparable),
        FILE_CLAIM(what_is_written_is_read_back),
        FILE_CLAIM(a_file_of_numpys_with_int64_and_nothing_else_is_read),
        FILE_CLAIM(broken_files_are_refused_in_one_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
