/* PEFT's LoRA directories: read as PEFT reads them, whole or not at all.
 * Fixtures: tests/reference/make_peft_fixtures.py. */
#include "claims.h"

#include "adapter/adapter.h"
#include "adapter/base_hash.h"
#include "base/file_out.h"
#include "base/json.h"
#include "base/json_out.h"
#include "model/forward.h"
#include "model/safetensors.h"
#include "scratch.h"

#define FIXTURES DELE_TESTS_DIR "/fixtures/"
#define PEFT FIXTURES "peft/"
#define LLAMA FIXTURES "tiny-llama-untied"

static const double TOLERANCE = 1e-4; /* relative to the largest logit; chosen before looking */

typedef struct {
    dele_arena arena;
    dele_model model;
} loaded;

static dele_status try_load(loaded *w, const char *base, const char *list, double scale, int memory,
                            dele_err *err)
{
    *w = (loaded){0};
    const dele_adapter_options o = {list, scale};
    return dele_adapters_load(&w->model, base, &o, memory, SIZE_MAX, &w->arena, err);
}

static void load(loaded *w, const char *base, const char *list, double scale)
{
    dele_err err = {0};
    if (try_load(w, base, list, scale, 0, &err)) fail_msg("%s", err.msg);
}

static void unload(loaded *w)
{
    dele_model_release(&w->model);
    dele_arena_release(&w->arena);
}

/* The logits after the last of the ids, in the arena. */
static float *last_logits(loaded *w, const cJSON *ids)
{
    dele_err err = {0};
    dele_run run = {0};
    int id[16], n = 0;
    for (const cJSON *at = ids->child; at; at = at->next) id[n++] = at->valueint;
    const int row = n - 1;
    const dele_segment s = {.tokens = id, .n_rows = n};
    const dele_batch batch = {
        .segments = &s, .n_segments = 1, .output_rows = &row, .n_output_rows = 1};
    float *logits = DELE_NEW(&w->arena, float, (size_t)w->model.config.vocab, &err);
    if (err.code || dele_forward(&run, &w->model, &batch, &err)) fail_msg("%s", err.msg);
    dele_logits(logits, &run, &w->model, run.final, 1);
    dele_run_release(&run);
    return logits;
}

static cJSON *expected(void)
{
    dele_err err = {0};
    cJSON *json = dele_json_load(PEFT "expected.json", &err);
    if (!json) fail_msg("%s", err.msg);
    return json;
}

static void an_adapter_gives_the_logits_that_peft_gives(void **state)
{
    (void)state;
    cJSON *json = expected();
    const cJSON *ids = dele_json_get(json, "ids");
    int n = 0;
    for (const cJSON *c = json->child; c; c = c->next) {
        const cJSON *theirs = dele_json_get(c, "logits");
        char base[300], dir[300];
        double largest = 0;
        loaded w, bare;
        if (!theirs) continue;
        snprintf(base, sizeof base, FIXTURES "%s", dele_json_string(c, "base"));
        snprintf(dir, sizeof dir, PEFT "%s", c->string);
        load(&w, base, dir, 1);
        load(&bare, base, NULL, 1);
        const float *ours = last_logits(&w, ids), *without = last_logits(&bare, ids);
        const cJSON *x = theirs->child;
        double moved = 0, off = 0;
        for (int i = 0; x; x = x->next, i++) {
            largest = fmax(largest, fabs(x->valuedouble));
            off = fmax(off, fabs(ours[i] - x->valuedouble));
            moved = fmax(moved, fabs(without[i] - x->valuedouble));
        }
        if (!(off <= TOLERANCE * fmax(1, largest))) fail_msg("%s is off by %g", c->string, off);
        if (!(moved > 0.05)) fail_msg("%s changes nothing", c->string);
        unload(&w);
        unload(&bare);
        n++;
    }
    assert_int_equal(n, 8);
    cJSON_Delete(json);
}

/* ---- lambda and weights ---------------------------------------------------------------------- */

static void with_scale_zero_every_tensor_stays_in_its_file(void **state)
{
    (void)state;
    loaded w;
    load(&w, LLAMA, PEFT "patterns", 0);
    for (size_t i = 0; i < w.model.n_tensors; i++) {
        assert_false(w.model.tensors[i].trained);
        if (!w.model.tensors[i].vector) assert_null(w.model.tensors[i].data);
    }
    unload(&w);
}

/* W(x) of a tensor that the adapter "regex" changes, item by item. */
static void weights_at(float *out, size_t n, const char *list, double scale)
{
    loaded w;
    load(&w, LLAMA, list, scale);
    const dele_tensor *t = dele_model_tensor(&w.model, DELE_SLOT_UP, 2);
    assert_int_equal(t->rows * t->cols, n);
    dele_tensor_rows(out, t, 0, t->rows);
    unload(&w);
}

static void what_is_added_is_proportional_to_scale_times_weight(void **state)
{
    (void)state;
    enum { N = 48 * 32 };
    static float w0[N], w1[N], minus[N], half[N], twice[N];
    double moved = 0;
    weights_at(w0, N, NULL, 1);
    weights_at(w1, N, PEFT "regex", 1);
    weights_at(minus, N, PEFT "regex", -1);
    weights_at(half, N, PEFT "regex=0.25", 2);
    weights_at(twice, N, PEFT "regex," PEFT "../peft/regex=-3", 1); /* two adapters: 1 - 3 */
    for (int i = 0; i < N; i++) {
        const double d = w1[i] - w0[i], near = 1e-5;
        moved = fmax(moved, fabs(d));
        assert_true(fabs(minus[i] - w0[i] + d) < near);
        assert_true(fabs(half[i] - w0[i] - d / 2) < near);
        assert_true(fabs(twice[i] - w0[i] + 2 * d) < near);
    }
    assert_true(moved > 0.1);
}

static void refused(const char *base, const char *list, double scale, const char *why)
{
    loaded w;
    dele_err err = {0};
    if (!try_load(&w, base, list, scale, 0, &err)) fail_msg("%s was not refused: %s", list, why);
    if (!strstr(err.msg, why)) fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
    assert_null(w.model.tensors);
    unload(&w);
}

static void a_list_that_cannot_be_meant_is_refused(void **state)
{
    (void)state;
    refused(LLAMA, "", 1, "a directory is missing");
    refused(LLAMA, PEFT "regex,", 1, "a directory is missing");
    refused(LLAMA, PEFT "regex," PEFT "regex=2", 1, "is given twice");
    refused(LLAMA, PEFT "regex=inf", 1, "finite");
    refused(LLAMA, PEFT "regex", (double)NAN, "--adapter-scale");
    refused(LLAMA, NULL, 0.5, "there is no --adapter");
    refused(LLAMA, PEFT "nowhere", 1, "no such directory");
    refused(LLAMA, LLAMA, 1, "there is neither adapter_config.json nor");
    refused(LLAMA, PEFT "regex=1e30", 1e30, "not finite");
}

/* ---- whole or not at all --------------------------------------------------------------------- */

/* A copy of an adapter's directory, in which `from` of the config's text is `to`. */
static const char *changed(scratch *s, const char *name, const char *from, const char *to)
{
    static char dir[520];
    char path[1300], place[700];
    dele_arena arena = {0};
    dele_err err = {0};
    snprintf(dir, sizeof dir, "%s", scratch_path(s, name));
    scratch_remove_one(dir, NULL, 0, NULL);
    snprintf(path, sizeof path, "mkdir -p '%s' && cp " PEFT "%s/* '%s'/", dir, name, dir);
    if (system(path)) fail_msg("no copy of %s", name);
    snprintf(place, sizeof place, "%s/adapter_config.json", dir);
    const char *text = dele_file_read(place, &arena, NULL, &err);
    if (!text) fail_msg("%s", err.msg);
    const char *at = from ? strstr(text, from) : text;
    if (!at) fail_msg("%s has no %s", name, from);
    FILE *out = fopen(place, "w");
    fprintf(out, "%.*s%s%s", (int)(at - text), text, from ? to : "",
            at + (from ? strlen(from) : 0));
    fclose(out);
    dele_arena_release(&arena);
    return dir;
}

static void a_setting_that_is_more_than_lora_is_refused_by_name(void **state)
{
    static const char *const change[][3] = {
        {"\"use_dora\": false", "\"use_dora\": true", "use_dora"},
        {"\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]", "modules_to_save"},
        {"\"lora_bias\": false", "\"lora_bias\": true", "lora_bias"},
        {"\"trainable_token_indices\": null", "\"trainable_token_indices\": [3]",
         "trainable_token_indices"},
        {"\"layer_replication\": null", "\"layer_replication\": [[0, 2]]", "layer_replication"},
        {"\"target_parameters\": null", "\"target_parameters\": [\"experts.gate_up_proj\"]",
         "target_parameters"},
        {"\"use_qalora\": false", "\"use_qalora\": true", "use_qalora"},
        {"\"velora_config\": null", "\"of_a_later_version\": 1", "of_a_later_version"},
        {"\"LORA\"", "\"LOHA\"", "peft_type LOHA"},
        {"\"bias\": \"none\"", "\"bias\": \"all\"", "bias \"all\""},
        {"\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa\"", "pissa"},
        {"\"r\": 3", "\"r\": 0", "r must be"},
        {"\"lora_alpha\": 12", "\"lora_alpha\": \"12\"", "lora_alpha a number"},
        {"\"rank_pattern\": {}", "\"rank_pattern\": {\"up_proj\": 1.5}", "rank_pattern"},
        {".*\\\\.layers", "(.*\\\\.layers", "regular expression"}};
    for (size_t i = 0; i < sizeof change / sizeof *change; i++)
        refused(LLAMA, changed(*state, "regex", change[i][0], change[i][1]), 1, change[i][2]);
}

static void tensors_and_config_must_be_of_one_mind(void **state)
{
    /* one module fewer is selected than the file has adapters of, one more, and another rank */
    refused(LLAMA, changed(*state, "regex", "(0|2)", "(2|4)"), 1, "does not select");
    refused(LLAMA, changed(*state, "regex", "(0|2)", "(0|1|2)"), 1, "holds no adapter of");
    refused(LLAMA, changed(*state, "regex", "\"r\": 3", "\"r\": 2"), 1, "has the shape [3, 32]");
    refused(LLAMA, changed(*state, "patterns", "\"q_proj\": 2", "\"k_proj\": 2"), 1,
            "has the shape");
    /* the same config for a model of other modules or another tie */
    refused(FIXTURES "tiny-llama-tied", PEFT "patterns", 1, "v_proj.lora_B.weight has the shape");
    refused(FIXTURES "tiny-qwen2", PEFT "regex", 1, "has the shape");
    refused(FIXTURES "tiny-llama-tied", PEFT "embedding", 1, "where it is the head too");
    refused(FIXTURES "families/gpt2", PEFT "regex", 1,
            "no place for base_model.model.model.layers");
}

static void a_head_beside_its_adapter_must_be_the_models(void **state)
{
    char path[800];
    dele_safetensors st;
    dele_arena arena = {0};
    dele_err err = {0};
    const char *dir = changed(*state, "patterns", NULL, NULL);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);
    if (dele_safetensors_open_file(&st, path, &arena, &err)) fail_msg("%s", err.msg);
    const dele_stored *head =
        dele_stored_find(st.tensor, st.n, "base_model.model.lm_head.base_layer.weight");
    assert_non_null(head);
    const long at = (long)(head->data - st.map->data) + 5;
    const int byte = head->data[5] ^ 1;
    dele_safetensors_close(&st);
    FILE *f = fopen(path, "r+b");
    fseek(f, at, SEEK_SET);
    fputc(byte, f);
    fclose(f);
    refused(LLAMA, dir, 1, "lm_head.base_layer.weight has other weights");
    dele_arena_release(&arena);
}

static void a_damaged_file_of_weights_is_refused(void **state)
{
    char path[800];
    const char *dir = changed(*state, "regex", NULL, NULL);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, -2, SEEK_END);
    fwrite("\xc0\x7f", 1, 2, f); /* the last number, a bfloat16, is NaN */
    fclose(f);
    refused(LLAMA, dir, 1, "not finite");
    assert_int_equal(truncate(path, 2000), 0);
    refused(LLAMA, dir, 1, "cut short");
    assert_int_equal(remove(path), 0);
    refused(LLAMA, dir, 1, "there is no adapter_model.safetensors");
}

/* ---- the base -------------------------------------------------------------------------------- */

static void an_adapter_that_names_its_base_is_loaded_with_that_base_alone(void **state)
{
    char path[800];
    dele_err err = {0};
    loaded w, other;
    load(&w, FIXTURES "families/phi3", NULL, 1);
    cJSON *json = cJSON_CreateObject();
    if (dele_base_put(json, &w.model, &err)) fail_msg("%s", err.msg);
    assert_string_equal(dele_json_string(json, "base"), FIXTURES "families/phi3");
    unload(&w);
    const char *dir = changed(*state, "fused", NULL, NULL);
    snprintf(path, sizeof path, "%s/" DELE_ADAPTER_FILE, dir);
    if (dele_json_save(path, json, &err)) fail_msg("%s", err.msg);
    load(&w, FIXTURES "families/phi3", dir, 1);
    unload(&w);
    /* one item of another base differs */
    const char *copy = scratch_path(*state, "base");
    snprintf(path, sizeof path, "cp -r '" FIXTURES "families/phi3' '%s'", copy);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", copy);
    FILE *f = fopen(path, "r+b");
    fseek(f, -1, SEEK_END);
    const int last = fgetc(f);
    fseek(f, -1, SEEK_END);
    fputc(last ^ 1, f);
    fclose(f);
    load(&other, copy, NULL, 1);
    unload(&other);
    refused(copy, dir, 1, "was made for another base model");
    refused(copy, dir, 0, "was made for another base model");
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_adapter_gives_the_logits_that_peft_gives),
        cmocka_unit_test(with_scale_zero_every_tensor_stays_in_its_file),
        cmocka_unit_test(what_is_added_is_proportional_to_scale_times_weight),
        cmocka_unit_test(a_list_that_cannot_be_meant_is_refused),
        cmocka_unit_test_setup_teardown(a_setting_that_is_more_than_lora_is_refused_by_name,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(tensors_and_config_must_be_of_one_mind, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(a_head_beside_its_adapter_must_be_the_models, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(a_damaged_file_of_weights_is_refused, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(
            an_adapter_that_names_its_base_is_loaded_with_that_base_alone, scratch_open,
            scratch_close)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
