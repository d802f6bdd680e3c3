/* safetensors files by hand: names, shards, and headers that lie. */
#include "claims.h"

#include <unistd.h>

#include "base/json_out.h"
#include "model/safetensors.h"
#include "model_place.h"

static void expect_header(place *p, const char *header, size_t n_data, const char *words)
{
    FILE *f = fopen(in(p, "model.safetensors"), "wb");
    assert_non_null(f);
    put_u64(f, strlen(header));
    fputs(header, f);
    for (size_t i = 0; i < n_data; i++) fputc(0, f);
    assert_int_equal(fclose(f), 0);
    dele_safetensors st;
    dele_err err = {0};
    dele_status status = dele_safetensors_open(&st, p->dir, &p->arena, &err);
    dele_safetensors_close(&st);
    if (words ? !status || !strstr(err.msg, words) : status)
        fail_msg("%s: \"%s\", not \"%s\"", header, status ? err.msg : "read",
                 words ? words : "read");
}

static void headers_of_safetensors_are_held_to_the_specification(void **state)
{
    place *p = *state;
#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
#define B "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}"
    expect_header(p, "{" A "," B "}", 8, NULL);
    expect_header(p, "{\"__metadata__\":{\"format\":\"pt\"}," A "}    ", 4, NULL);
    expect_header(p, "{" A "}x", 4, "after the JSON");
    expect_header(p, "{" A "}{}", 4, "after the JSON");
    expect_header(p, "{" A "}  \n", 4, "after the JSON");
    expect_header(p, "{" A "}\t", 4, "after the JSON");
    expect_header(p, " {" A "}", 4, "not a JSON object");
    expect_header(p, "[]", 0, "not a JSON object");
    expect_header(p, "{" A "," A "}", 4, "overlap");
    expect_header(p, "{" A ",\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8,
                  "twice");
    expect_header(p, "{" B "}", 8, "take 4 bytes, but 8");
    expect_header(p, "{" A "}", 8, "take 4 bytes, but 8");
    expect_header(p, "{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}", 12,
                  "take 8 bytes, but 12");
    expect_header(p, "{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}", 6,
                  "overlap");
    expect_header(p, "{\"__metadata__\":{\"a\":1}," A "}", 4, "__metadata__");
    expect_header(p, "{\"__metadata__\":[]," A "}", 4, "__metadata__");
    expect_header(p, "{\"__metadata__\":{},\"__metadata__\":{}," A "}", 4, "__metadata__");
    expect_header(p,
                  "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}",
                  4, "shape");
    expect_header(p, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4,
                  "\"x\"");
}

/* ---- safetensors by hand
 * ---------------------------------------------------------------------------------------- */

/* One safetensors file of chosen tensors: names[i] of the model, stored under as[i]. */
static void write_some(const char *path, const dele_model *m, const char *const *names,
                       const char *const *as, size_t n)
{
    char header[8192];
    size_t at = (size_t)snprintf(header, sizeof header, "{"), begin = 0;
    const dele_tensor *chosen[64] = {0};
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (strcmp(m->tensors[k].name, names[i]) != 0) k++;
        const dele_tensor *t = chosen[i] = &m->tensors[k];
        char shape[64];
        if (t->part == DELE_PART_NORM)
            snprintf(shape, sizeof shape, "%zu", t->cols);
        else
            snprintf(shape, sizeof shape, "%zu,%zu", t->rows, t->cols);
        size_t end = begin + t->rows * t->cols * 4;
        at += (size_t)snprintf(header + at, sizeof header - at,
                               "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],"
                               "\"data_offsets\":[%zu,%zu]}",
                               i ? "," : "", as[i], shape, begin, end);
        begin = end;
    }
    header[at++] = '}';
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    put_u64(f, at);
    fwrite(header, 1, at, f);
    for (size_t i = 0; i < n; i++) fwrite(chosen[i]->data, 4, chosen[i]->rows * chosen[i]->cols, f);
    assert_int_equal(fclose(f), 0);
}

/* All names of a model; returns their number. */
static size_t all_names(const char **names, const dele_model *m)
{
    for (size_t i = 0; i < m->n_tensors; i++) names[i] = m->tensors[i].name;
    return m->n_tensors;
}

static void a_tied_matrix_may_be_stored_under_either_name_or_both(void **state)
{
    place *p = *state;
    dele_model m, again;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    char *dir = sub(p, "d");
    save(p, &m, dir, "f32");
    const char *names[64] = {0}, *as[64] = {0};
    size_t n = all_names(names, &m);
    memcpy(as, names, sizeof as);
    as[0] = "lm_head.weight";
    write_some(in(p, "d/model.safetensors"), &m, names, as, n);
    load(p, &again, dir);
    assert_same_weights(&m, &again);
    as[0] = names[0];
    names[n] = names[0];
    as[n] = "lm_head.weight";
    write_some(in(p, "d/model.safetensors"), &m, names, as, n + 1);
    load(p, &again, dir);
    assert_same_weights(&m, &again);
    size_t size; /* one bit of the head, the last tensor, flips: now they disagree */
    uint8_t *bytes = read_bytes(in(p, "d/model.safetensors"), &size);
    bytes[size - 1] ^= 1;
    write_bytes(p->path, bytes, size);
    free(bytes);
    expect_refusal(dir, "lm_head.weight differs");
}

static void shards_join_and_a_missing_one_is_named(void **state)
{
    place *p = *state;
    dele_model m, again;
    tiny_model(&m, &dele_family_olmo, false, &p->arena);
    char *dir = sub(p, "d");
    save(p, &m, dir, "f32");
    remove(in(p, "d/model.safetensors"));
    expect_refusal(dir, "neither model.safetensors nor");
    const char *names[64] = {0};
    size_t n = all_names(names, &m), half = n / 2;
    write_some(in(p, "d/a.safetensors"), &m, names, names, half);
    write_some(in(p, "d/b.safetensors"), &m, names + half, names + half, n - half);
    cJSON *index = cJSON_CreateObject(), *map = cJSON_AddObjectToObject(index, "weight_map");
    for (size_t i = 0; i < n; i++)
        cJSON_AddStringToObject(map, names[i], i < half ? "a.safetensors" : "b.safetensors");
    assert_int_equal(dele_json_save(in(p, "d/model.safetensors.index.json"), index, &p->err),
                     DELE_OK);
    load(p, &again, dir);
    assert_same_weights(&m, &again);
    cJSON_ReplaceItemInObject(map, names[0], cJSON_CreateString("b.safetensors"));
    assert_int_equal(dele_json_save(in(p, "d/model.safetensors.index.json"), index, &p->err),
                     DELE_OK);
    expect_refusal(dir, "places");
    cJSON_ReplaceItemInObject(map, names[0], cJSON_CreateString("../a.safetensors"));
    assert_int_equal(dele_json_save(in(p, "d/model.safetensors.index.json"), index, &p->err),
                     DELE_OK);
    expect_refusal(dir, "not a file name");
    cJSON_ReplaceItemInObject(map, names[0], cJSON_CreateString("a.safetensors"));
    assert_int_equal(dele_json_save(in(p, "d/model.safetensors.index.json"), index, &p->err),
                     DELE_OK);
    remove(in(p, "d/b.safetensors"));
    expect_refusal(dir, "b.safetensors: this shard");
    cJSON_Delete(index);
}

/* ---- lies ------------------------------------------------------------------------------------ */

/* Rewrites the header's first `from` as `to`, and fixes the header's length. */
static void edit_header(const char *path, const uint8_t *bytes, size_t size, const char *from,
                        const char *to)
{
    uint64_t n;
    memcpy(&n, bytes, 8);
    const char *header = (const char *)bytes + 8, *found = memmem(header, n, from, strlen(from));
    if (!found) fail_msg("the header has no %s", from);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    put_u64(f, n - strlen(from) + strlen(to));
    fwrite(header, 1, (size_t)(found - header), f);
    fputs(to, f);
    fwrite(found + strlen(from), 1, (size_t)(header + n - found) - strlen(from), f);
    fwrite(bytes + 8 + n, 1, size - 8 - n, f);
    assert_int_equal(fclose(f), 0);
}

static void every_lie_of_a_safetensors_header_is_refused(void **state)
{
    place *p = *state;
    dele_model m;
    tiny_model(&m, &dele_family_olmo, true, &p->arena);
    char *dir = sub(p, "d"), *file = dele_printf(&p->arena, &p->err, "%s/model.safetensors", dir);
    save(p, &m, dir, "f32");
    size_t size;
    uint8_t *bytes = read_bytes(file, &size);
    static const char *const lies[][3] = {
        {"[10,8]", "[11,8]", "does not fit its"},
        {"[10,8]", "[8,10]", "config requires [10, 8]"},
        {"[10,8]", "[2,5,8]", "config requires [10, 8]"},
        {"[10,8]", "[80]", "config requires [10, 8]"},
        {"[10,8]", "[10,-8]", "shape"},
        {"[10,8]", "[10,8.5]", "shape"},
        {"[10,8]", "[9223372036854775808,8]", "shape"},
        {"[10,8]", "[4611686018427387904,4]", "shape"},
        {"[10,8]", "[1125899906842624,1125899906842624,8,8]", "does not fit"},
        {"[10,8]", "[1,1,1,10,8]", "shape"},
        {"[10,8]", "\"x\"", "lacks"},
        {"[0,320]", "[0,321]", "does not fit its"},
        {"[0,320]", "[320,0]", "in order"},
        {"[0,320]", "[4,324]", "overlap"},
        {"[0,320]", "[-320,0]", "in order"},
        {"[0,320]", "[9000000000000000,9000000000000320]", "cut short"},
        {"[0,320]", "[18446744073709551296,18446744073709551616]", "in order"},
        {"[0,320]", "[0]", "lacks"},
        {"\"F32\"", "\"F64\"", "F64"},
        {"\"F32\"", "\"BF16\"", "does not fit"},
        {"\"F32\"", "32", "lacks"},
        {"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "twice"},
        {"model.embed_tokens.weight", "model.embed_tokens.bias",
         "model.embed_tokens.weight is missing"},
        {"model.embed_tokens.weight",
         "a\xff"
         "b",
         "UTF-8"},
        {"model.embed_tokens.weight", "model.embed_tokens.weight\\u0000x", "U+0000"},
        {"{\"__metadata__\"", "[\"__metadata__\"", "not a JSON object"},
        {"\"pt\"}", "\"pt\"},\"extra\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}",
         "extra"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        edit_header(file, bytes, size, lies[i][0], lies[i][1]);
        expect_refusal(dir, lies[i][2]);
    }
    for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : 97) { /* a download that broke off */
        write_bytes(file, bytes, cut);
        expect_refusal(dir, "model.safetensors");
    }
    static const uint64_t lengths[] = {0, 1, UINT64_MAX, UINT64_MAX - 7, 1ull << 63, 1ull << 32};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(bytes, &lengths[i], 8);
        write_bytes(file, bytes, size);
        expect_refusal(dir, "not a safetensors file");
    }
    free(bytes);
}

static void rotary_tables_are_ignored_and_other_extras_named(void **state)
{
    place *p = *state;
    dele_model m, again;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    char *dir = sub(p, "d"), *file = dele_printf(&p->arena, &p->err, "%s/model.safetensors", dir);
    save(p, &m, dir, "f32");
    const char *names[64] = {0}, *as[64] = {0};
    size_t n = all_names(names, &m);
    memcpy(as, names, sizeof as);
    names[n] = names[1];
    as[n] = "model.layers.0.self_attn.rotary_emb.inv_freq";
    write_some(file, &m, names, as, n + 1);
    load(p, &again, dir);
    assert_same_weights(&m, &again);
    as[n] = "model.layers.0.self_attn.q_proj.bias";
    write_some(file, &m, names, as, n + 1);
    expect_refusal(dir, "q_proj.bias");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(headers_of_safetensors_are_held_to_the_specification),
        IN_PLACE(a_tied_matrix_may_be_stored_under_either_name_or_both),
        IN_PLACE(shards_join_and_a_missing_one_is_named),
        IN_PLACE(every_lie_of_a_safetensors_header_is_refused),
        IN_PLACE(rotary_tables_are_ignored_and_other_extras_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
