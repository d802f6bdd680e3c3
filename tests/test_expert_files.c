/* Experts in files: of each its own tensors, or one tensor for all experts of a layer, in
 * directories as transformers 5 saves with save_original_format=False; what is saved is always of
 * each expert its own, and the bytes of what did not train are kept. */
#include "model_files.h"

#include "model/form.h"
#include "model/mask.h"
#include "scratch.h"

static dele_arena arena;
static dele_err err;

static int fresh(void **state)
{
    err = (dele_err){0};
    return scratch_open(state);
}

static const char *const mixtures[] = {"olmoe", "mixtral", "qwen2_moe", "qwen3_moe"};
enum { N_MIXTURES = sizeof mixtures / sizeof *mixtures };

/* Three layers; of a family that has both kinds, the second is dense.  3 experts, so that no wrong
 * order fits by chance. */
static void make(dele_model *m, const char *name)
{
    dele_config c = tiny_config(dele_family_by_hf(name), false);
    c.n_layers = 3, c.n_experts = 3;
    fit_family(&c);
    c.n_experts = 3;
    if (dele_family_tensor(c.family, DELE_SLOT_UP)) c.layer_kind[1] = 0;
    if (dele_model_layout(m, &c, &arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(m, 0.5, 3);
}

static void save(const dele_model *m, const char *dir, const char *dtype, const char *shard_size)
{
    dele_save_options o = {DELE_SAVE_DEFAULTS};
    o.dtype = dtype;
    if (shard_size) o.shard_size = shard_size;
    mkdir(dir, 0777);
    if (dele_model_save_as(m, dir, &o, &err)) fail_msg("%s", err.msg);
}

static void load(dele_model *m, const char *dir)
{
    err = (dele_err){0};
    if (dele_model_load(m, dir, &arena, &err)) fail_msg("%s", err.msg);
}

/* ---- a directory of stacked experts, written here
 * ------------------------------------------------ */

/* What is wrong with it: nothing, no tensor of layer 2, one expert less, separate tensors beside.
 */
typedef enum { RIGHT, MISSING, FEWER, BOTH } fault;

typedef struct {
    FILE *header, *data;
    size_t at;
} stacked_file;

static void begin(stacked_file *f, const char *name, const size_t *dims, int n_dims)
{
    size_t bytes = sizeof(float);
    fprintf(f->header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", f->at ? "," : "{", name);
    for (int i = 0; i < n_dims; i++)
        fprintf(f->header, "%s%zu", i ? "," : "", dims[i]), bytes *= dims[i];
    fprintf(f->header, "],\"data_offsets\":[%zu,%zu]}", f->at, f->at + bytes);
    f->at += bytes;
}

static void put(stacked_file *f, const dele_tensor *t)
{
    fwrite(t->data, sizeof(float), t->rows * t->cols, f->data);
}

/* gate_up_proj [E, 2 F, D], gate above up, and down_proj [E, D, F], neither with ".weight". */
static void put_layer(stacked_file *f, const dele_model *m, int layer, fault wrong)
{
    const size_t d = (size_t)m->config.hidden_size, ff = dele_expert_size(&m->config),
                 n = (size_t)m->config.n_experts - (wrong == FEWER && layer == 2);
    char name[96];
    snprintf(name, sizeof name, "model.layers.%d.mlp.experts.gate_up_proj", layer);
    begin(f, name, (size_t[]){n, 2 * ff, d}, 3);
    for (size_t e = 0; e < n; e++) {
        put(f, dele_expert_tensor(m, DELE_SLOT_EXPERT_GATE, layer, (int)e));
        put(f, dele_expert_tensor(m, DELE_SLOT_EXPERT_UP, layer, (int)e));
    }
    if (wrong == MISSING && layer == 2) return;
    snprintf(name, sizeof name, "model.layers.%d.mlp.experts.down_proj", layer);
    begin(f, name, (size_t[]){n, d, ff}, 3);
    for (size_t e = 0; e < n; e++)
        put(f, dele_expert_tensor(m, DELE_SLOT_EXPERT_DOWN, layer, (int)e));
}

/* The name in such a directory of what is no expert's. */
static const char *plain_name(const dele_tensor *t, char text[96])
{
    snprintf(text, 96, "%s", t->hf_name);
    if (strstr(t->hf_name, "block_sparse_moe"))
        snprintf(text, 96, "model.layers.%d.mlp.gate.weight", t->layer);
    return text;
}

static void write_stacked(const dele_model *m, const char *dir, fault wrong)
{
    char path[700], name[96], *header = NULL, *data = NULL;
    size_t n_header, n_data;
    stacked_file f = {open_memstream(&header, &n_header), open_memstream(&data, &n_data), 0};
    for (size_t i = 0; i < m->n_tensors; i++) {
        const dele_tensor *t = &m->tensors[i];
        if (t->expert > 0 && wrong != BOTH) continue;
        if (t->slot == DELE_SLOT_EXPERT_GATE && t->expert == 0) put_layer(&f, m, t->layer, wrong);
        if (t->expert >= 0 && wrong != BOTH) continue;
        const bool row = t->slot == DELE_SLOT_SHARED_SCALE;
        const size_t dims[] = {t->rows, t->cols};
        begin(&f, plain_name(t, name), t->vector && !row ? dims + 1 : dims,
              t->vector && !row ? 1 : 2);
        put(&f, t);
    }
    fputc('}', f.header);
    assert_int_equal(fclose(f.header), 0);
    assert_int_equal(fclose(f.data), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    put_u64(out, n_header);
    fwrite(header, 1, n_header, out);
    fwrite(data, 1, n_data, out);
    assert_int_equal(fclose(out), 0);
    free(header);
    free(data);
}

static void assert_same_bytes(const char *a, const char *b)
{
    char x[700], y[700];
    size_t n, m;
    snprintf(x, sizeof x, "%s/model.safetensors", a);
    snprintf(y, sizeof y, "%s/model.safetensors", b);
    uint8_t *p = read_bytes(x, &n), *q = read_bytes(y, &m);
    assert_int_equal(n, m);
    assert_memory_equal(p, q, n);
    free(p);
    free(q);
}

static void stacked_experts_are_the_model_of_separate_ones_and_are_saved_so(void **state)
{
    for (size_t i = 0; i < N_MIXTURES; i++) {
        dele_model m, back;
        make(&m, mixtures[i]);
        const char *apart = scratch_path(*state, "apart"), *one = scratch_path(*state, "one"),
                   *again = scratch_path(*state, "again");
        save(&m, apart, "f32", NULL);
        save(&m, one, "f32", NULL);
        write_stacked(&m, one, RIGHT);
        load(&back, one);
        assert_same_weights(&m, &back);
        save(&back, again, "keep", NULL);
        assert_same_bytes(apart, again);
        dele_model_release(&back);
    }
}

static void a_directory_with_wrong_experts_is_refused_by_name(void **state)
{
    static const struct {
        fault wrong;
        const char *words;
    } cases[] = {
        {MISSING, "model.layers.2.mlp.experts.down_proj is missing"},
        {FEWER, "model.layers.2.mlp.experts.gate_up_proj has the shape [2, 12, 8], but the config "
                "requires [3, 12, 8]"},
        {BOTH, "the config does not have the tensor model.layers."},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        dele_model m, back;
        make(&m, "qwen3_moe");
        const char *dir = scratch_path(*state, "one");
        save(&m, dir, "f32", NULL);
        write_stacked(&m, dir, cases[k].wrong);
        err = (dele_err){0};
        if (!dele_model_load(&back, dir, &arena, &err)) fail_msg("case %zu is taken", k);
        if (!strstr(err.msg, cases[k].words)) fail_msg("%s", err.msg);
    }
}

static void shards_of_experts_are_read_as_one_model(void **state)
{
    for (size_t i = 0; i < N_MIXTURES; i++) {
        dele_model m, back;
        make(&m, mixtures[i]);
        const char *dir = scratch_path(*state, mixtures[i]);
        save(&m, dir, "f32", "2KB");
        load(&back, dir);
        assert_true(back.n_maps > 3);
        assert_same_weights(&m, &back);
        dele_model_release(&back);
    }
}

/* Of a model in bfloat16, saved again after one expert's weight changed, every other tensor is what
 * it was. */
static void only_the_trained_expert_changes(void **state)
{
    for (size_t i = 0; i < N_MIXTURES; i++) {
        dele_model m, trained, back;
        dele_arena scratch_arena = {0};
        make(&m, mixtures[i]);
        const char *from = scratch_path(*state, "from"), *to = scratch_path(*state, "to");
        save(&m, from, "bf16", NULL);
        load(&m, from);
        load(&trained, from);
        bool *marks = DELE_NEW(&arena, bool, m.n_tensors, &err);
        dele_tensor *t = dele_expert_tensor(&trained, DELE_SLOT_EXPERT_DOWN, 2, 1);
        marks[t - trained.tensors] = true;
        if (dele_model_train(&trained, marks, &err)) fail_msg("%s", err.msg);
        t->data[5] += 1;
        save(&trained, to, "keep", NULL);
        load(&back, to);
        for (size_t k = 0; k < m.n_tensors; k++) {
            bool equal;
            assert_int_equal(back.tensors[k].stored.type, DELE_DTYPE_BF16);
            assert_int_equal(
                dele_tensor_equal(&equal, &m.tensors[k], &back.tensors[k], &scratch_arena, &err),
                DELE_OK);
            if (equal == marks[k]) fail_msg("%s", m.tensors[k].name);
        }
        dele_arena_release(&scratch_arena);
        dele_model_release(&m);
        dele_model_release(&trained);
        dele_model_release(&back);
    }
}

static void a_shared_experts_gate_is_a_vector_or_a_row_in_a_gguf(void **state)
{
    (void)state;
    dele_model m;
    make(&m, "qwen2_moe");
    const size_t d = (size_t)m.config.hidden_size;
    const dele_tensor *t = dele_model_tensor(&m, DELE_SLOT_SHARED_SCALE, 0);
    const dele_file_tensor f = dele_file_tensor_at(&m, (size_t)(t - m.tensors), DELE_FILE_GGUF);
    const struct {
        int n_dims;
        size_t dims[4];
        bool fits;
    } shapes[] = {{1, {d, 1, 1, 1}, true},
                  {2, {1, d, 1, 1}, true},
                  {2, {d, 1, 1, 1}, false},
                  {2, {2, d, 1, 1}, false},
                  {3, {1, 1, d, 1}, false}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        dele_stored stored = {.name = f.name, .file = "m.gguf", .n_dims = shapes[i].n_dims};
        memcpy(stored.dims, shapes[i].dims, sizeof stored.dims);
        err = (dele_err){0};
        assert_int_equal(!dele_file_check(&f, &stored, &err), shapes[i].fits);
    }
}

/* ---- masks -------------------------------------------------------------------------------------
 */

static size_t trained_of(const dele_mask *mask, const dele_model *m, dele_part part)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_tensors; i++) n += mask->trains[i] && m->tensors[i].part == part;
    return n;
}

static void patterns_and_parts_select_experts_and_routers(void **state)
{
    (void)state;
    dele_model m;
    dele_mask mask;
    make(&m, "qwen2_moe"); /* layers 0 and 2 have 3 experts of 3 tensors, a router, a shared one */
    assert_int_equal(dele_mask_match(&mask, &m, "model.layers.*.mlp.experts.1.*", &arena, &err),
                     DELE_OK);
    assert_int_equal(mask.n_trained, 2 * 3);
    for (size_t i = 0; i < m.n_tensors; i++)
        assert_int_equal(mask.trains[i], m.tensors[i].expert == 1);
    assert_int_equal(dele_mask_parse(&mask, &m, "all", "router", &arena, &err), DELE_OK);
    assert_int_equal(mask.n_trained, 2);
    assert_int_equal(trained_of(&mask, &m, DELE_PART_ROUTER), 2);
    assert_int_equal(dele_mask_parse(&mask, &m, "0-1", "mlp", &arena, &err), DELE_OK);
    assert_int_equal(mask.n_trained, 3 * 3 + 4 + 3); /* experts, shared and its gate; a dense MLP */
    assert_int_equal(trained_of(&mask, &m, DELE_PART_MLP), mask.n_trained);
}

int main(void)
{
#define IN_SCRATCH(claim) cmocka_unit_test_setup_teardown(claim, fresh, scratch_close)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(stacked_experts_are_the_model_of_separate_ones_and_are_saved_so),
        IN_SCRATCH(a_directory_with_wrong_experts_is_refused_by_name),
        IN_SCRATCH(shards_of_experts_are_read_as_one_model),
        IN_SCRATCH(only_the_trained_expert_changes),
        cmocka_unit_test(a_shared_experts_gate_is_a_vector_or_a_row_in_a_gguf),
        cmocka_unit_test(patterns_and_parts_select_experts_and_routers),
    };
    return cmocka_run_group_tests_name("expert files", tests, NULL, NULL);
}
