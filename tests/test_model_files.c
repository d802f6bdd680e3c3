/* Model files: what is saved loads again, in either format, and what is no model is refused. */
#include "claims.h"

#include "base/file_out.h"
#include "model/forward.h"
#include "model/gguf.h"
#include "model_place.h"
#include "tests/shared.h"

/* ---- shapes ---------------------------------------------------------------------------------- */

static void what_is_multiplied_together_lies_together(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_model m;
    tiny_model(&m, &dele_family_llama, false, &arena);
    const dele_config *c = &m.config;
    size_t d_model = (size_t)c->hidden_size;
    for (int l = 0; l < c->n_layers; l++) {
        const dele_layer *layer = &m.layers[l];
        const float *qkv = layer->attn.qkv.wide, *gate_up = layer->mlp.gate_up.wide;
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_Q, l)->data, qkv);
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_K, l)->data,
                         qkv + dele_q_dim(c) * d_model);
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_V, l)->data,
                         qkv + (dele_q_dim(c) + dele_kv_dim(c)) * d_model);
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_GATE, l)->data, gate_up);
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_UP, l)->data,
                         gate_up + (size_t)c->intermediate_size * d_model);
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_DOWN, l)->data, layer->mlp.down.wide);
    }
    assert_ptr_not_equal(m.head.wide, m.embed.wide);
    assert_string_equal(m.tensors[1].name, "model.layers.0.input_layernorm.weight");
    assert_string_equal(m.tensors[m.n_tensors - 1].name, "lm_head.weight");
    dele_arena_release(&arena);
    arena = (dele_arena){0};
    tiny_model(&m, &dele_family_olmo, true, &arena);
    assert_ptr_equal(m.head.wide, m.embed.wide);
    assert_null(m.layers[0].attn.norm.weight);
    assert_null(m.final_norm.weight);
    assert_null(dele_model_tensor(&m, DELE_SLOT_HEAD, -1));
    dele_arena_release(&arena);
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    char x[700], y[700];
    size_t n, m;
    snprintf(x, sizeof x, "%s/%s", a, name);
    snprintf(y, sizeof y, "%s/%s", b, name);
    uint8_t *p = read_bytes(x, &n), *q = read_bytes(y, &m);
    assert_int_equal(n, m);
    assert_memory_equal(p, q, n);
    free(p);
    free(q);
}

static void what_is_saved_loads_and_saves_to_the_same_bytes(void **state)
{
    place *p = *state;
    static const char *const dtypes[] = {"f32", "bf16", "f16"};
    for (int kind = 0; kind < 4; kind++)
        for (int d = 0; d < 3; d++) {
            dele_model m, again;
            tiny_model(&m, kind & 1 ? &dele_family_olmo : &dele_family_llama, kind & 2, &p->arena);
            char *first = sub(p, "first"), *second = sub(p, "second");
            save(p, &m, first, dtypes[d]);
            load(p, &again, first);
            if (d == 0) assert_same_weights(&m, &again);
            save(p, &again, second, dtypes[d]);
            assert_same_file(first, second, "model.safetensors");
            assert_same_file(first, second, "config.json");
            dele_model_release(&again);
        }
}

static void llamas_biases_are_read_and_written_in_both_formats(void **state)
{
    place *p = *state;
    for (int kind = 0; kind < 4; kind++) {
        dele_config c = tiny_config(&dele_family_llama, true);
        dele_model m, from_dir, from_gguf;
        dele_gguf_saved saved;
        c.attention_bias = kind & 1, c.mlp_bias = kind & 2;
        assert_int_equal(dele_model_layout(&m, &c, &p->arena, &p->err), DELE_OK);
        for (size_t i = 0; i < m.n_tensors; i++)
            for (size_t j = 0; j < m.tensors[i].rows * m.tensors[i].cols; j++)
                m.tensors[i].data[j] = (float)(i + j) / 64;
        assert_int_equal(m.n_tensors,
                         2 + 2 * (size_t)(9 + (kind & 1 ? 4 : 0) + (kind & 2 ? 3 : 0)));
        char *dir = sub(p, "d");
        save(p, &m, dir, "f32");
        load(p, &from_dir, dir);
        assert_int_equal(
            dele_gguf_save(&saved, &from_dir, in(p, "m.gguf"), DELE_DTYPE_F32, false, &p->err),
            DELE_OK);
        load(p, &from_gguf, in(p, "m.gguf"));
        const dele_model *loaded[] = {&from_dir, &from_gguf};
        for (int i = 0; i < 2; i++) {
            assert_same_weights(&m, loaded[i]);
            assert_true(loaded[i]->config.attention_bias == c.attention_bias &&
                        loaded[i]->config.mlp_bias == c.mlp_bias);
        }
        dele_model_release(&from_dir);
        dele_model_release(&from_gguf);
    }
}

static void unknown_keys_survive_a_save_and_dtype_follows(void **state)
{
    place *p = *state;
    dele_model m, again;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    char *dir = sub(p, "a"), *out = sub(p, "b");
    save(p, &m, dir, "f32");
    const char *config =
        "{" LLAMA_BASE ",\"num_key_value_heads\":1,\"tie_word_embeddings\":true,"
        "\"my_note\":{\"dtype\":8.0,\"a\":[1,2.5,\"\\u00e9\"]}, \"dtype\" : \"float32\" }\n";
    const char *expected =
        "{" LLAMA_BASE ",\"num_key_value_heads\":1,\"tie_word_embeddings\":true,"
        "\"my_note\":{\"dtype\":8.0,\"a\":[1,2.5,\"\\u00e9\"]}, \"dtype\" : \"bfloat16\" }\n";
    write_bytes(in(p, "a/config.json"), config, strlen(config));
    write_bytes(in(p, "a/generation_config.json"), "{\"x\": 1}\n", 9);
    load(p, &again, dir);
    save(p, &again, out, "bf16");
    size_t n;
    char *text = (char *)read_bytes(in(p, "b/config.json"), &n);
    assert_string_equal(text, expected);
    free(text);
    assert_same_file(dir, out, "generation_config.json");
    dele_model_release(&again);
}

static void a_gguf_and_a_directory_hold_the_same_model(void **state)
{
    place *p = *state;
    for (int tied = 0; tied < 2; tied++) {
        dele_model m, a, b;
        tiny_model(&m, &dele_family_llama, tied, &p->arena);
        write_gguf(in(p, "m.gguf"), &m, NULL, tied);
        load(p, &a, in(p, "m.gguf"));
        assert_same_weights(&m, &a);
        assert_null(a.config_text);
        assert_true((a.tokenizer != NULL) == tied);
        if (tied) assert_int_equal(dele_token_id(a.tokenizer, "ab"), 7);
        char *dir = sub(p, tied ? "tied" : "untied");
        save(p, &a, dir, "f32");
        load(p, &b, dir);
        assert_same_weights(&m, &b);
        assert_true(a.config.rope[0].theta == b.config.rope[0].theta &&
                    a.config.norm_eps == b.config.norm_eps);
        dele_model_release(&a);
        dele_model_release(&b);
    }
}

static void what_is_not_a_model_gets_one_sentence(void **state)
{
    place *p = *state;
    expect_refusal("/nowhere/at/all", "no such file");
    expect_refusal(p->dir, "no config.json");
    write_bytes(in(p, "empty.gguf"), "", 0);
    expect_refusal(p->path, "not a GGUF");
    write_bytes(in(p, "config.json"), "{\"model_type\": \"llama\",,}", 25);
    expect_refusal(p->dir, "config.json");
}

/* ---- the models at hand ---------------------------------------------------------------------- */

static void a_tokenizer_larger_than_the_embedding_is_refused(void **state)
{
    place *p = *state;
    const char *tokenizer = DELE_TESTS_DIR "/../data/models/demo/tokenizer.json";
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    char *dir = sub(p, "d");
    save(p, &m, dir, "f32");
    assert_int_equal(dele_file_copy(tokenizer, in(p, "d/tokenizer.json"), &p->err), DELE_OK);
    expect_refusal(dir, "embedding only 10 rows");
}

static void the_embedded_model_comes_back_as_it_was_in_its_dtype_and_in_a_wider_one(void **state)
{
    place *p = *state;
    static const char *const dtypes[] = {"bf16", "f32"};
    dele_model m;
    load(p, &m, DELE_TESTS_DIR "/../data/models/demo");
    assert_int_equal(m.config.n_layers, 8);
    for (int i = 0; i < 2; i++) {
        dele_model again;
        char *out = sub(p, dtypes[i]);
        save(p, &m, out, dtypes[i]);
        load(p, &again, out);
        assert_same_weights(&m, &again);
        dele_model_release(&again);
    }
    dele_model_release(&m);
}

/* Trains one tensor of a bf16 model (its weights become others), saves with "keep": the file's type
 * and size stay, frozen tensors have their bytes, the trained one its weights rounded to bf16. */
static void a_checkpoint_keeps_its_type_and_the_bytes_of_what_is_frozen(void **state)
{
    place *p = *state;
    dele_model m, before, after;
    load(p, &m, DELE_TESTS_DIR "/../data/models/demo");
    load(p, &before, DELE_TESTS_DIR "/../data/models/demo");
    dele_tensor *t = dele_model_tensor(&m, DELE_SLOT_UP, 3); /* shares a product with GATE */
    bool *trains = DELE_NEW(&p->arena, bool, m.n_tensors, &p->err);
    trains[t - m.tensors] = true;
    assert_int_equal(dele_model_train(&m, trains, &p->err), DELE_OK);
    for (size_t i = 0; i < t->rows * t->cols; i++) t->data[i] *= 1.37f;
    char *out = sub(p, "kept");
    save(p, &m, out, "keep");
    load(p, &after, out);
    assert_int_equal(after.map[0].size, before.map[0].size);
    for (size_t i = 0; i < m.n_tensors; i++) {
        const dele_matrix_part *a = &before.tensors[i].stored, *b = &after.tensors[i].stored;
        const size_t n = m.tensors[i].rows * m.tensors[i].cols;
        assert_int_equal(b->type, DELE_DTYPE_BF16);
        if (!trains[i]) {
            assert_memory_equal(a->data, b->data, 2 * n);
            continue;
        }
        uint16_t *rounded = dele_alloc(&p->arena, n, sizeof *rounded, &p->err);
        assert_true(dele_dtype_write(rounded, t->data, DELE_DTYPE_BF16, n));
        assert_memory_equal(rounded, b->data, 2 * n);
    }
    dele_model_release(&after);
    dele_model_release(&before);
    dele_model_release(&m);
}

static void weights_that_stay_in_the_file_give_the_states_of_a_float32_copy(void **state)
{
    place *p = *state;
    enum { ROWS = 6 };
    static const int ids[ROWS] = {3, 17, 40, 5, 29, 11}, rows[ROWS] = {0, 1, 2, 3, 4, 5};
    dele_model mapped, wide;
    dele_run run[2] = {{.n_rows = 0}, {.n_rows = 0}};
    load(p, &mapped, DELE_TESTS_DIR "/../data/models/demo");
    assert_int_equal(
        dele_model_load_wide(&wide, DELE_TESTS_DIR "/../data/models/demo", 64, &p->arena, &p->err),
        DELE_OK);
    assert_null(mapped.layers[0].attn.qkv.wide);
    assert_non_null(wide.layers[0].attn.qkv.wide);
    const dele_segment s = {.tokens = ids, .n_rows = ROWS};
    const dele_batch batch = {
        .segments = &s, .n_segments = 1, .output_rows = rows, .n_output_rows = ROWS};
    assert_int_equal(dele_forward(&run[0], &mapped, &batch, &p->err), DELE_OK);
    assert_int_equal(dele_forward(&run[1], &wide, &batch, &p->err), DELE_OK);
    for (size_t i = 0; i < ROWS * (size_t)wide.config.hidden_size; i++)
        assert_true(fabsf(run[0].final[i] - run[1].final[i]) < 1e-4f);
    for (int i = 0; i < 2; i++) dele_run_release(&run[i]);
    dele_model_release(&wide);
    dele_model_release(&mapped);
}

static void tinystories_comes_back_as_it_was(void **state)
{
    place *p = *state;
    const char *dir = shared_path("models/tinystories-656k");
    dele_model m, again, half, half_again;
    load(p, &m, dir);
    assert_int_equal(dele_model_parameters(&m), 656000);
    char *out = sub(p, "f32"), *out_half = sub(p, "bf16");
    save(p, &m, out, "f32");
    load(p, &again, out);
    assert_same_weights(&m, &again);
    load(p, &half, shared_path("models/tinystories-656k/bf16"));
    save(p, &half, out_half, "bf16");
    load(p, &half_again, out_half);
    assert_same_weights(&half, &half_again);
    dele_model_release(&m);
    dele_model_release(&again);
    dele_model_release(&half);
    dele_model_release(&half_again);
}

static void smollm2_loads_from_its_gguf(void **state)
{
    place *p = *state;
    char path[512];
    const char *cache = getenv("DELEATUR_CACHE"), *home = getenv("HOME");
    snprintf(path, sizeof path, "%s%s/SmolLM2-135M-Instruct.Q4_1.gguf",
             cache  ? cache
             : home ? home
                    : "",
             cache ? "" : "/.cache/deleatur");
    if (!dele_path_exists(path)) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    dele_model m;
    load(p, &m, path);
    assert_int_equal(dele_model_parameters(&m), 134515008);
    assert_int_equal(m.n_tensors, 272);
    assert_true(m.config.tied && m.config.rope[0].theta == 1e5f && m.config.norm_eps == 1e-5f &&
                m.config.eos == 2);
    assert_non_null(m.tokenizer);
    dele_model_release(&m);
}

/* With many passes to come every matrix that a product reads is copied; with few, what is float32
 * in the file stays there.  In both cases each weight is checked. */
static void a_load_copies_for_many_passes_and_checks_every_weight(void **state)
{
    place *p = *state;
    dele_model m, few, many;
    tiny_model(&m, &dele_family_llama, false, &p->arena);
    char *dir = sub(p, "m");
    save(p, &m, dir, "f32");
    if (dele_model_load_for(&few, dir, 16, 1, &p->arena, &p->err) ||
        dele_model_load_wide(&many, dir, 16, &p->arena, &p->err))
        fail_msg("%s", p->err.msg);
    const dele_slot slots[] = {DELE_SLOT_Q, DELE_SLOT_O, DELE_SLOT_UP, DELE_SLOT_DOWN};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        assert_null(dele_model_tensor(&few, slots[i], 1)->data);
        assert_non_null(dele_model_tensor(&many, slots[i], 1)->data);
    }
    assert_non_null(few.layers[1].mlp.down.wide);
    assert_null(dele_model_tensor(&many, DELE_SLOT_EMBED, -1)->data); /* in no product */
    assert_same_weights(&few, &many);
    dele_model_release(&few);
    dele_model_release(&many);
    for (size_t i = 0; i < m.n_tensors; i++) {
        dele_tensor *t = &m.tensors[i];
        float *at = &t->data[t->rows * t->cols - 1], was = *at;
        *at = NAN;
        char *broken = sub(p, "broken");
        save(p, &m, broken, "f32");
        *at = was;
        for (int k = 0; k < 4; k++) {
            dele_err err = {0};
            dele_model bad;
            if (!dele_model_load_for(&bad, broken, k < 2 ? 16 : 0, k % 2 ? 1 : 1000, &p->arena,
                                     &err))
                fail_msg("%s: loaded", t->name);
            if (!strstr(err.msg, t->name) || !strstr(err.msg, "not finite"))
                fail_msg("\"%s\" does not name %s", err.msg, t->name);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_multiplied_together_lies_together),
        IN_PLACE(what_is_saved_loads_and_saves_to_the_same_bytes),
        IN_PLACE(llamas_biases_are_read_and_written_in_both_formats),
        IN_PLACE(unknown_keys_survive_a_save_and_dtype_follows),
        IN_PLACE(a_gguf_and_a_directory_hold_the_same_model),
        IN_PLACE(what_is_not_a_model_gets_one_sentence),
        IN_PLACE(a_tokenizer_larger_than_the_embedding_is_refused),
        IN_PLACE(the_embedded_model_comes_back_as_it_was_in_its_dtype_and_in_a_wider_one),
        IN_PLACE(a_checkpoint_keeps_its_type_and_the_bytes_of_what_is_frozen),
        IN_PLACE(weights_that_stay_in_the_file_give_the_states_of_a_float32_copy),
        IN_PLACE(a_load_copies_for_many_passes_and_checks_every_weight),
    };
    const struct CMUnitTest shared[] = {
        IN_PLACE(tinystories_comes_back_as_it_was),
        IN_PLACE(smollm2_loads_from_its_gguf),
    };
    if (shared_asked(argc, argv)) return cmocka_run_group_tests(shared, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
