/* Long inputs take linear time, or n log n.  The bounds are CPU time, ten times what is needed and
 * a small part of what quadratic work takes. */
#include "claims.h"

#include <time.h>

#include "model/safetensors.h"
#include "model_place.h"
#include "text/people.h"

static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static void sixty_thousand_keys_of_a_gguf_take_no_time(void **state)
{
    place *p = *state;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    enum { N = 60000 };
    for (int i = 0; i < N; i++) {
        char key[40];
        snprintf(key, sizeof key, "some.key.%d", i);
        put_int(f, key, (uint32_t)i);
    }
    assert_int_equal(fclose(f), 0);
    dele_model m, back;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    write_gguf_with(in(p, "m.gguf"), &m, text, size, N);
    free(text);
    double began = seconds();
    load(p, &back, in(p, "m.gguf"));
    assert_true(seconds() - began < 2);
    assert_same_weights(&m, &back);
    dele_model_release(&back);
}

static void a_token_of_200_kilobytes_takes_no_time(void **state)
{
    place *p = *state;
    enum { LONG = 200000 };
    char *token = malloc(LONG + 1), *text = NULL;
    assert_non_null(token);
    for (int i = 0; i < LONG; i++) token[i] = "ab"[i % 3 == 0];
    token[LONG] = 0;
    const char *const tokens[] = {"<unk>", "<s>", "</s>", "a", "b", "ab", "ba", "bab", token, "aa"};
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    put_string(f, "tokenizer.ggml.model", "llama");
    put_strings(f, "tokenizer.ggml.tokens", tokens, 10);
    put_text(f, "tokenizer.ggml.scores");
    put_u32(f, 9);
    put_u32(f, 6);
    put_u64(f, 10);
    for (int i = 0; i < 10; i++) {
        float score = (float)-i;
        fwrite(&score, sizeof score, 1, f);
    }
    assert_int_equal(fclose(f), 0);
    dele_model m, back;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    write_gguf_with(in(p, "m.gguf"), &m, text, size, 3);
    free(text);
    double began = seconds();
    load(p, &back, in(p, "m.gguf"));
    assert_true(seconds() - began < 2);
    const int ids[] = {1, 7}; /* the merges are still found: b a b is one token */
    dele_ids out;
    assert_int_equal(dele_encode(&out, back.tokenizer, "bab", 3, true, &p->arena, &p->err),
                     DELE_OK);
    assert_true(out.n >= 2 && out.id[0] == ids[0] && out.id[out.n - 1] == ids[1]);
    dele_model_release(&back);
    free(token);
}

static void a_hundred_thousand_keys_of_a_config_take_no_time(void **state)
{
    place *p = *state;
    enum { N = 100000 };
    write_model(p, "", NULL);
    FILE *f = fopen(in(p, "m/config.json"), "wb");
    assert_non_null(f);
    fputs("{" LLAMA_SIZES ",\"num_key_value_heads\":1,\"tie_word_embeddings\":true", f);
    for (int i = 0; i < N; i++) fprintf(f, ",\"k%d\":%d", i, i);
    fputs("}", f);
    assert_int_equal(fclose(f), 0);
    double began = seconds();
    dele_model m;
    load(p, &m, in(p, "m"));
    assert_true(seconds() - began < 3);
    dele_model_release(&m);
}

static void a_hundred_thousand_tensors_of_an_index_take_no_time(void **state)
{
    place *p = *state;
    enum { N = 100000 };
    FILE *index = fopen(in(p, "model.safetensors.index.json"), "wb"), *shard = NULL;
    char *header = NULL;
    size_t size = 0;
    assert_non_null(index);
    fputs("{\"weight_map\":{", index);
    for (int s = 0; s < 2; s++) {
        char name[40];
        FILE *f = open_memstream(&header, &size);
        assert_non_null(f);
        for (int i = 0; i < N / 2; i++) {
            fprintf(f, "%s\"t%d.%d\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                    i ? "," : "{", s, i, 4 * i, 4 * i + 4);
            fprintf(index, "%s\"t%d.%d\":\"s%d.safetensors\"", i || s ? "," : "", s, i, s);
        }
        fputs("}", f);
        assert_int_equal(fclose(f), 0);
        snprintf(name, sizeof name, "s%d.safetensors", s);
        shard = fopen(in(p, name), "wb");
        assert_non_null(shard);
        put_u64(shard, size);
        fwrite(header, 1, size, shard);
        for (int i = 0; i < N / 2; i++) put_u32(shard, 0);
        assert_int_equal(fclose(shard), 0);
        free(header);
    }
    fputs("}}", index);
    assert_int_equal(fclose(index), 0);
    dele_safetensors st;
    double began = seconds();
    if (dele_safetensors_open(&st, p->dir, &p->arena, &p->err)) fail_msg("%s", p->err.msg);
    assert_true(seconds() - began < 4);
    assert_int_equal(st.n, N);
    dele_safetensors_close(&st);
}

/* 100,000 added tokens that begin alike, in a text of 100,000 bytes that all could begin one. */
static void many_added_tokens_take_no_time_and_the_longest_wins(void **state)
{
    place *p = *state;
    enum { N = 100000 };
    FILE *f = fopen(in(p, "tokenizer.json"), "wb");
    assert_non_null(f);
    fputs("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"<\":0,\"x\":1,\"1\":2},\"merges\":[]},\"added_"
          "tokens\":[",
          f);
    for (int i = 0; i < N; i++)
        fprintf(f, "%s{\"id\":%d,\"content\":\"<<<x%d>\",\"special\":true}", i ? "," : "", i + 3,
                i);
    fprintf(f,
            ",{\"id\":%d,\"content\":\"<<\",\"special\":true},{\"id\":%d,\"content\":\"<<<x1\","
            "\"special\":true}]}",
            N + 3, N + 4);
    assert_int_equal(fclose(f), 0);
    double began = seconds();
    dele_tokenizer *t = dele_tokenizer_load(in(p, "tokenizer.json"), &p->arena, &p->err);
    if (!t) fail_msg("%s", p->err.msg);
    static const struct {
        const char *text;
        int ids[3];
        size_t n;
    } claims[] = {{"<<<x12>", {15}, 1},
                  {"<<<x1>", {4}, 1},
                  {"<<<x1", {N + 4}, 1},
                  {"<<<x1x", {N + 4, 1}, 2},
                  {"<<<x", {N + 3, 0, 1}, 3},
                  {"<<<<", {N + 3, N + 3}, 2},
                  {"<", {0}, 1},
                  {"<<<x99999>", {N + 2}, 1}};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
        expect_ids(p, t, claims[i].text, claims[i].ids, claims[i].n);
    char *text = malloc(N + 1);
    assert_non_null(text);
    memset(text, '<', N);
    dele_ids out;
    assert_int_equal(dele_encode(&out, t, text, N, true, &p->arena, &p->err), DELE_OK);
    assert_int_equal(out.n, N / 2);
    assert_true(seconds() - began < 4);
    free(text);
    dele_tokenizer_close(t);
}

static void a_question_of_100_kilobytes_takes_no_time(void **state)
{
    place *p = *state;
    enum { N = 10000 };
    char *long_one = malloc(16 * N);
    assert_non_null(long_one);
    size_t n = 0;
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(long_one + n, "Name%c%c Of%c ", 'a' + i % 26, 'a' + i / 26 % 26,
                             'a' + i % 7);
    const char *const questions[] = {"Where was Ada Lovelace born?", "Where was Alan Turing born?",
                                     long_one};
    dele_person person[3];
    double began = seconds();
    assert_int_equal(dele_people_find(person, questions, 3, &p->arena, &p->err), DELE_OK);
    assert_true(seconds() - began < 2);
    assert_int_equal(person[0].begin, 10);
    assert_int_equal(person[0].end, 22);
    assert_int_equal(person[1].end, 21);
    free(long_one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(sixty_thousand_keys_of_a_gguf_take_no_time),
        IN_PLACE(a_token_of_200_kilobytes_takes_no_time),
        IN_PLACE(a_hundred_thousand_keys_of_a_config_take_no_time),
        IN_PLACE(a_hundred_thousand_tensors_of_an_index_take_no_time),
        IN_PLACE(many_added_tokens_take_no_time_and_the_longest_wins),
        IN_PLACE(a_question_of_100_kilobytes_takes_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
