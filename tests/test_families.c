/* What holds for the tables of every family, so that a new one that breaks a rule of family.h fails
 * here, by name, and not in a loader. */
#include "claims.h"

#include "model/families/families.h"

#define FOR_FAMILIES(f)                                                                            \
    for (size_t family_ = 0; family_ < dele_n_families; family_++)                                 \
        for (const dele_family *f = dele_families[family_]; f; f = NULL)

static bool same_name(const char *a, const char *b) { return a && b && !strcmp(a, b); }

/* A GGUF of the family is read as another of its architecture, which comes first and needs no key:
 * the tensors are the same, in name and form. */
static void is_read_as(const dele_family *f, const dele_family *other)
{
    for (size_t i = 0; i < f->n_tensors; i++) {
        const dele_tensor_row *a = &f->tensors[i], *b = dele_family_tensor(other, a->slot);
        if (!b || !same_name(a->gguf, b->gguf) || a->gguf_form != b->gguf_form ||
            a->rows != b->rows || a->cols != b->cols)
            fail_msg("%s, whose files are read as %s: %s", f->hf, other->hf, a->gguf);
    }
}

static void no_two_families_have_one_name(void **state)
{
    (void)state;
    FOR_FAMILIES(f)
    {
        assert_true(f->hf && f->architecture && f->gguf && f->source && f->norm_text);
        assert_ptr_equal(dele_family_by_hf(f->hf), f);
        for (size_t j = 0; j < family_; j++)
            if (same_name(dele_families[j]->gguf, f->gguf) && !dele_families[j]->gguf_key)
                is_read_as(f, dele_families[j]);
    }
    assert_null(dele_family_by_hf("none"));
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void no_key_is_in_two_rows_and_no_field_is_read_twice(void **state)
{
    (void)state;
    FOR_FAMILIES(f)
    for (size_t i = 0; i < f->n_keys; i++)
        for (size_t j = 0; j < i; j++) {
            const dele_key_row *a = &f->keys[j], *b = &f->keys[i];
            const char *name = b->hf ? b->hf : b->gguf;
            if (same_name(a->hf, b->hf) || same_name(a->gguf, b->gguf))
                fail_msg("%s: two rows have %s", f->hf, name);
            if (a->field && a->field == b->field && b->kind != DELE_HOLDS_FIELD)
                fail_msg("%s: %s reads a field that another row reads", f->hf, name);
        }
}

/* The offsets of the fields that every config needs. */
static void every_field_is_read(void **state)
{
    (void)state;
    static const size_t needed[] = {
        DELE_FIELD(n_layers), DELE_FIELD(hidden_size), DELE_FIELD(intermediate_size),
        DELE_FIELD(n_heads),  DELE_FIELD(n_kv_heads),  DELE_FIELD(head_dim),
        DELE_FIELD(vocab),    DELE_FIELD(context),     DELE_FIELD(norm_eps),
        DELE_FIELD(rope),     DELE_FIELD(tied),        DELE_FIELD(bos),
        DELE_FIELD(eos),      DELE_FIELD(pad)};
    FOR_FAMILIES(f)
    for (size_t k = 0; k < sizeof needed / sizeof *needed; k++) {
        size_t n = needed[k] == DELE_FIELD(rope) && dele_family_tensor(f, DELE_SLOT_POSITIONS);
        for (size_t i = 0; i < f->n_keys; i++) n += f->keys[i].field == needed[k];
        if (!n) fail_msg("%s: no row reads the field at offset %zu", f->hf, needed[k]);
    }
}

static bool is_read_before(const dele_family *f, size_t row, size_t field)
{
    for (size_t i = 0; i < row; i++)
        if (f->keys[i].field == field) return true;
    return false;
}

static void a_row_refers_only_to_fields_that_are_read_before_it(void **state)
{
    (void)state;
    FOR_FAMILIES(f)
    for (size_t i = 0; i < f->n_keys; i++) {
        const dele_key_row *row = &f->keys[i];
        const char *name = row->hf ? row->hf : row->gguf;
        const bool other = row->hf_absent == DELE_AS_OTHER || row->gguf_absent == DELE_AS_OTHER,
                   per_head = row->hf_absent == DELE_PER_HEAD || row->gguf_absent == DELE_PER_HEAD,
                   id = row->kind == DELE_HOLDS_ID || row->kind == DELE_HOLDS_ENDS ||
                        row->kind == DELE_HOLDS_OTHER_ID;
        if ((other && !is_read_before(f, i, row->other)) ||
            (row->kind == DELE_HOLDS_FIELD && !is_read_before(f, i, row->field)) ||
            (per_head && !(is_read_before(f, i, DELE_FIELD(hidden_size)) &&
                           is_read_before(f, i, DELE_FIELD(n_heads)))) ||
            (id && !is_read_before(f, i, DELE_FIELD(vocab))) ||
            (row->kind == DELE_HOLDS_ROTATION && !(is_read_before(f, i, DELE_FIELD(head_dim)) &&
                                                   is_read_before(f, i, DELE_FIELD(context)))) ||
            (row->kind == DELE_HOLDS_LAYERS && !is_read_before(f, i, DELE_FIELD(n_layers))))
            fail_msg("%s: %s needs a field that a later row reads", f->hf, name);
    }
}

static void a_row_with_one_supported_value_says_why(void **state)
{
    (void)state;
    FOR_FAMILIES(f)
    for (size_t i = 0; i < f->n_keys; i++) {
        const dele_key_row *row = &f->keys[i];
        const bool one = row->kind == DELE_HOLDS_CONSTANT || row->kind == DELE_HOLDS_FALSE ||
                         row->kind == DELE_HOLDS_FIELD || row->kind == DELE_HOLDS_ROTATED,
                   word = row->kind == DELE_HOLDS_ACTIVATION;
        if (one != (row->why != NULL) || word != (row->text != NULL))
            fail_msg("%s: %s", f->hf, row->hf ? row->hf : row->gguf);
        assert_true(row->hf || row->gguf);
    }
}

/* ---- tensors --------------------------------------------------------------------------------- */

static size_t row_of(const dele_family *f, dele_slot slot)
{
    for (size_t i = 0; i < f->n_tensors; i++)
        if (f->tensors[i].slot == slot) return i;
    return f->n_tensors;
}

/* Products take q, k and v together, and gate and up, with their biases. */
static void tensors_of_one_product_follow_one_another(void **state)
{
    (void)state;
    static const dele_slot next_to[][2] = {{DELE_SLOT_Q, DELE_SLOT_K},
                                           {DELE_SLOT_K, DELE_SLOT_V},
                                           {DELE_SLOT_Q_BIAS, DELE_SLOT_K_BIAS},
                                           {DELE_SLOT_K_BIAS, DELE_SLOT_V_BIAS},
                                           {DELE_SLOT_GATE, DELE_SLOT_UP},
                                           {DELE_SLOT_GATE_BIAS, DELE_SLOT_UP_BIAS},
                                           {DELE_SLOT_EXPERT_GATE, DELE_SLOT_EXPERT_UP},
                                           {DELE_SLOT_SHARED_GATE, DELE_SLOT_SHARED_UP}};
    FOR_FAMILIES(f)
    for (size_t i = 0; i < sizeof next_to / sizeof *next_to; i++) {
        const size_t a = row_of(f, next_to[i][0]), b = row_of(f, next_to[i][1]);
        const bool gate = next_to[i][0] == DELE_SLOT_GATE || next_to[i][0] == DELE_SLOT_GATE_BIAS;
        if (a < f->n_tensors ? b != a + 1 || f->tensors[a].when != f->tensors[b].when
                             : b < f->n_tensors && !gate) /* up may stand alone */
            fail_msg("%s: rows of the tensors %d and %d", f->hf, (int)next_to[i][0],
                     (int)next_to[i][1]);
    }
}

static bool has_all(const dele_family *f, const dele_slot *slots, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (row_of(f, slots[i]) == f->n_tensors) return false;
    return true;
}

static void every_family_has_the_tensors_of_its_block_once(void **state)
{
    (void)state;
    static const dele_slot needed[] = {DELE_SLOT_EMBED, DELE_SLOT_Q, DELE_SLOT_O, DELE_SLOT_HEAD};
    static const dele_slot mlp[] = {DELE_SLOT_UP, DELE_SLOT_DOWN},
                           experts[] = {DELE_SLOT_ROUTER, DELE_SLOT_EXPERT_GATE,
                                        DELE_SLOT_EXPERT_UP, DELE_SLOT_EXPERT_DOWN};
    FOR_FAMILIES(f)
    {
        if (!has_all(f, mlp, 2) && !has_all(f, experts, 4))
            fail_msg("%s has neither an MLP nor experts", f->hf);
        for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
            if (row_of(f, needed[i]) == f->n_tensors)
                fail_msg("%s has no tensor %d", f->hf, (int)needed[i]);
        for (size_t i = 0; i < f->n_tensors; i++)
            assert_int_equal(row_of(f, f->tensors[i].slot), i);
    }
}

static bool is_fused(dele_stored_form form)
{
    return form == DELE_FORM_FUSED || form == DELE_FORM_FUSED_TRANSPOSED ||
           form == DELE_FORM_BY_HEAD;
}

/* A name belongs to one row, or to fused rows that follow one another; the layer is in all names of
 * a row or in none. */
static void names_in_files_are_those_of_one_row_unless_fused(void **state)
{
    (void)state;
    FOR_FAMILIES(f)
    for (size_t i = 0; i < f->n_tensors; i++) {
        const dele_tensor_row *b = &f->tensors[i];
        assert_true(!b->gguf || !strstr(b->hf, "%d") == !strstr(b->gguf, "%d"));
        for (size_t j = 0; j < i; j++) {
            const dele_tensor_row *a = &f->tensors[j];
            const bool hf = !strcmp(a->hf, b->hf), gguf = same_name(a->gguf, b->gguf);
            if ((hf && !(is_fused(a->hf_form) && a->hf_form == b->hf_form)) ||
                (gguf && !(is_fused(a->gguf_form) && a->gguf_form == b->gguf_form)))
                fail_msg("%s: two rows are stored as %s", f->hf, hf ? b->hf : b->gguf);
        }
    }
}

/* ---- lists for messages ---------------------------------------------------------------------- */

static void the_list_of_names_is_a_list_of_english(void **state)
{
    (void)state;
    char all[400], some[12];
    dele_family_names(all, sizeof all, false, "and");
    FOR_FAMILIES(f)
    {
        const char *at = strstr(all, f->hf);
        if (!at || at[-1] != '"' || at[strlen(f->hf)] != '"') fail_msg("%s: %s", all, f->hf);
    }
    assert_int_equal(all[0], '"');
    assert_true(dele_n_families < 2 || strstr(all, "\" and \""));
    dele_family_names(some, sizeof some, true, "or");
    assert_true(memchr(some, 0, sizeof some) != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_families_have_one_name),
        cmocka_unit_test(no_key_is_in_two_rows_and_no_field_is_read_twice),
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(a_row_refers_only_to_fields_that_are_read_before_it),
        cmocka_unit_test(a_row_with_one_supported_value_says_why),
        cmocka_unit_test(tensors_of_one_product_follow_one_another),
        cmocka_unit_test(every_family_has_the_tensors_of_its_block_once),
        cmocka_unit_test(names_in_files_are_those_of_one_row_unless_fused),
        cmocka_unit_test(the_list_of_names_is_a_list_of_english),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
