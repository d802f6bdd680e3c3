/* GGUF files by hand: order of rows, tokenizers, and headers that lie. */
#include "claims.h"

#include "model/generate.h"
#include "model/gguf.h"
#include "model_place.h"

static void put_bool(FILE *f, const char *key, int x)
{
    put_text(f, key);
    put_u32(f, 7);
    fputc(x, f);
}

/* A model of ten rows whose byte-level vocabulary has this pre-tokenizer.  add_bos, add_eos -1: no
 * key.  id_key: one more id, or NULL. */
static void write_bpe(place *p, const char *pre, int add_bos, int add_eos, const char *id_key,
                      uint32_t id, const char *last)
{
    const char *const tokens[] = {"h", "i", "<s>", "</s>", "a", "b", "c", "d", "e", last};
    const char *const merges[] = {"h i"};
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    put_string(f, "tokenizer.ggml.model", "gpt2");
    put_string(f, "tokenizer.ggml.pre", pre);
    put_strings(f, "tokenizer.ggml.tokens", tokens, 10);
    put_strings(f, "tokenizer.ggml.merges", merges, 0);
    put_text(f, "tokenizer.ggml.token_type");
    put_u32(f, 9);
    put_u32(f, 5);
    put_u64(f, 10);
    for (uint32_t i = 0; i < 10; i++) put_u32(f, i == 2 || i == 3 || i == 9 ? 3 : 1);
    put_int(f, "tokenizer.ggml.bos_token_id", 2);
    put_int(f, "tokenizer.ggml.eos_token_id", 3);
    if (add_bos >= 0) put_bool(f, "tokenizer.ggml.add_bos_token", add_bos);
    if (add_eos >= 0) put_bool(f, "tokenizer.ggml.add_eos_token", add_eos);
    if (id_key) put_int(f, id_key, id);
    assert_int_equal(fclose(f), 0);
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    write_gguf_with(in(p, "m.gguf"), &m, text, size,
                    7u + (add_bos >= 0) + (add_eos >= 0) + (id_key != NULL));
    free(text);
}

static void a_gguf_without_the_key_adds_the_bos_that_llama_cpp_adds(void **state)
{
    place *p = *state;
    static const struct {
        const char *pre;
        int add_bos, add_eos;
        bool bos, eos;
    } claims[] = {
        {"llama-bpe", -1, -1, true, false}, {"llama3", -1, -1, true, false},
        {"llama-v3", -1, -1, true, false},  {"falcon3", -1, -1, true, false},
        {"pixtral", -1, -1, true, false},   {"lfm2", -1, -1, true, false},
        {"llama-bpe", 0, -1, false, false}, {"smollm", -1, -1, false, false},
        {"smollm", 1, -1, true, false},     {"gpt-2", -1, -1, false, false},
        {"olmo", -1, -1, false, false},     {"qwen2", -1, -1, false, false},
        {"dbrx", -1, -1, false, false},     {"llama-bpe", -1, 1, true, true},
        {"gpt-2", -1, 1, false, true},      {"gpt-2", -1, 0, false, false},
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        dele_model m;
        write_bpe(p, claims[i].pre, claims[i].add_bos, claims[i].add_eos, NULL, 0, "f");
        load(p, &m, in(p, "m.gguf"));
        const int all[] = {2, 0, 1, 3};
        expect_ids(p, m.tokenizer, "hi", all + !claims[i].bos, 2u + claims[i].bos + claims[i].eos);
        expect_ids(p, m.tokenizer, "<s>hi", all,
                   3);         /* it has one already: nothing is added, as in lm_eval */
        dele_gguf_saved saved; /* and the file that is written of it does the same */
        assert_int_equal(
            dele_gguf_save(&saved, &m, in(p, "again.gguf"), DELE_DTYPE_F32, true, &p->err),
            DELE_OK);
        dele_model again;
        load(p, &again, in(p, "again.gguf"));
        expect_ids(p, again.tokenizer, "hi", all + !claims[i].bos,
                   2u + claims[i].bos + claims[i].eos);
        dele_model_release(&again);
        dele_model_release(&m);
    }
}

static void eot_and_eom_of_a_gguf_end_a_text(void **state)
{
    place *p = *state;
    static const struct {
        const char *key, *last;
        uint32_t id;
        int end;
    } claims[] = {
        {"tokenizer.ggml.eot_token_id", "f", 6, 6},
        {"tokenizer.ggml.eom_token_id", "f", 7, 7},
        {NULL, "<|eot_id|>", 0, 9},
        {NULL, "<|im_end|>", 0, 9},
        {NULL, "<|eom_id|>", 0, 9},
        {NULL, "<|endoftext|>", 0, -1}, /* not eos: transformers goes on */
        {"tokenizer.ggml.eot_token_id", "<|im_end|>", 3, -1},
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        dele_model m;
        write_bpe(p, "gpt-2", -1, -1, claims[i].key, claims[i].id, claims[i].last);
        load(p, &m, in(p, "m.gguf"));
        dele_ends ends = dele_ends_of(&m, NULL);
        assert_int_equal(ends.id[0], 3);
        assert_int_equal(ends.n, 1 + (claims[i].end >= 0));
        if (claims[i].end >= 0) assert_int_equal(ends.id[1], claims[i].end);
        dele_model_release(&m);
    }
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
                                       "tokenizer.ggml.unknown_token_id",
                                       "tokenizer.ggml.mask_token_id",
                                       "tokenizer.ggml.padding_token_id"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        write_bpe(p, "gpt-2", -1, -1, keys[i], 10, "f");
        expect_refusal(in(p, "m.gguf"), "outside the vocabulary");
    }
}

static void an_empty_gguf_is_no_gguf(void **state)
{
    place *p = *state;
    write_bytes(in(p, "m.gguf"), "", 0);
    expect_refusal(in(p, "m.gguf"), "not a GGUF file");
}

static void a_gguf_may_say_that_it_has_no_tokenizer(void **state)
{
    place *p = *state;
    static const char *const kinds[] = {"none", "no_vocab"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        assert_non_null(f);
        put_string(f, "tokenizer.ggml.model", kinds[i]);
        assert_int_equal(fclose(f), 0);
        dele_model m, back;
        tiny_model(&m, &dele_family_llama, true, &p->arena);
        write_gguf_with(in(p, "m.gguf"), &m, text, size, 1);
        free(text);
        load(p, &back, in(p, "m.gguf"));
        assert_null(back.tokenizer);
        dele_model_release(&back);
    }
}

static void paired_rows_are_read_in_the_order_of_halves(void **state)
{
    (void)state;
    enum { HEADS = 3, HEAD = 8, COLS = 5 };
    float hf[HEADS * HEAD * COLS], paired[HEADS * HEAD * COLS], back[HEADS * HEAD * COLS];
    for (size_t i = 0; i < HEADS * HEAD * COLS; i++) hf[i] = (float)i;
    for (size_t r = 0; r < HEADS * HEAD; r++)
        memcpy(paired + paired_row(r, HEAD) * COLS, hf + r * COLS, COLS * sizeof *hf);
    assert_memory_not_equal(hf, paired, sizeof hf);
    const dele_matrix_part part = {.data = paired,
                                   .type = DELE_DTYPE_F32,
                                   .rows = HEADS * HEAD,
                                   .order = DELE_ROWS_PAIRED,
                                   .step = HEAD};
    dele_part_rows(back, &part, COLS, 0, HEADS * HEAD);
    assert_memory_equal(hf, back, sizeof hf);
}

/* Replaces the first occurrence of a pattern in a copy of the bytes. */
static void patch_bytes(const char *path, const uint8_t *bytes, size_t size, const void *from,
                        size_t n, size_t skip, const void *to, size_t n_to)
{
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    uint8_t *found = memmem(copy, size, from, n);
    assert_non_null(found);
    memcpy(found + skip, to, n_to);
    write_bytes(path, copy, size);
    free(copy);
}

static void every_lie_of_a_gguf_header_is_refused(void **state)
{
    place *p = *state;
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    char *file = dele_printf(&p->arena, &p->err, "%s/m.gguf", p->dir);
    write_gguf(file, &m, NULL, false);
    size_t size;
    uint8_t *bytes = read_bytes(file, &size);
    const uint64_t huge = 1ull << 63, seven = 7;
    const uint32_t five = 5, big = 0x10000000, zero = 0;
    const struct {
        const char *at; /* the byte pattern */
        size_t skip;    /* from its start to what is overwritten */
        const void *to;
        size_t n;
        const char *words;
    } lies[] = {
        {"GGUF", 0, "GGML", 4, "not a GGUF"},
        {"GGUF", 4, &five, 4, "version 5"},
        {"GGUF", 8, &huge, 8, "counts more than the file"},
        {"GGUF", 16, &huge, 8, "counts more than the file"},
        {"GGUF", 16, &seven, 8, ""},
        {"GGUF", 24, &huge, 8, "cut short or damaged"},
        {"general.architecture", 20, &five, 4, ""},
        {"general.architecture", 20, &big, 4, "damaged"},
        {"general.architecture", 24, &huge, 8, "damaged"},
        {"general.architecture", 32, "gemma", 5, "architecture"},
        {"general.architecture", 8, "\xff", 1, "damaged"},
        {"llama.block_count", 21, &big, 4, "number of layers"},
        {"llama.block_count", 21, &zero, 4, "llama.block_count"},
        {"llama.block_count", 21, &five, 4, "blk.2"},
        {"llama.embedding_length", 26, &big, 4, "hidden size"},
        {"llama.feed_forward_length", 29, &five, 4, "config requires"},
        {"llama.context_length", 6, "contexx", 7, "llama.contexx_length"},
        {"llama.attention.head_count_kv", 33, &five, 4, "key/value"},
        {"token_embd.weight", 17, &big, 4, "dimensions"},
        {"token_embd.weight", 17, &zero, 4, ""},
        {"token_embd.weight", 21, &huge, 8, "shape"},
        {"token_embd.weight", 29, &huge, 8, "shape"},
        {"token_embd.weight", 37, &big, 4, "ggml's type"},
        {"token_embd.weight", 37, "\x03", 1, "shape"},
        {"token_embd.weight", 41, &huge, 8, "beyond the end"},
        {"token_embd.weight", 41, &seven, 8, "is not aligned"},
        {"token_embd.weight", 41, "\x20", 1, "overlap"},
        {"token_embd.weight", 0, "token_emba", 10, "token_embd.weight is missing"},
        {"blk.0.attn_q.weight", 0, "blk.0.attn_k", 12, "twice"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        patch_bytes(file, bytes, size, lies[i].at, strlen(lies[i].at), lies[i].skip, lies[i].to,
                    lies[i].n);
        expect_refusal(file, lies[i].words);
    }
    for (size_t cut = 0; cut + 32 < size; cut += cut < 400 ? 1 : 97) {
        write_bytes(file, bytes, cut);
        expect_refusal(file, "m.gguf");
    }
    free(bytes);
    write_gguf(file, &m, NULL, true);
    bytes = read_bytes(file, &size);
    const struct {
        const char *at;
        size_t skip;
        const void *to;
        size_t n;
        const char *words;
    } tokenizer_lies[] = {
        {"tokenizer.ggml.bos_token_id", 31, &big, 4, "outside the vocabulary"},
        {"tokenizer.ggml.tokens", 29, &huge, 8, "damaged"},
        {"tokenizer.ggml.tokens", 37, &huge, 8, "damaged"},
        {"tokenizer.ggml.tokens", 45, "\xff", 1, "valid UTF-8"},
        {"tokenizer.ggml.tokens", 25, &zero, 4, "damaged"},
        {"tokenizer.ggml.token_type", 29, &zero, 4, ""},
        {"tokenizer.ggml.scores", 25, &five, 4, "one entry a token"},
    };
    for (size_t i = 0; i < sizeof tokenizer_lies / sizeof *tokenizer_lies; i++) {
        patch_bytes(file, bytes, size, tokenizer_lies[i].at, strlen(tokenizer_lies[i].at),
                    tokenizer_lies[i].skip, tokenizer_lies[i].to, tokenizer_lies[i].n);
        expect_refusal(file, tokenizer_lies[i].words);
    }
    free(bytes);
    static const char *const extras[] = {"llama.rope.scaling.yarn_log_multiplier",
                                         "llama.attention.clamp_kqv", "llama.expert_shared_count",
                                         "llama.attention.sliding_window"};
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
        write_gguf(file, &m, extras[i], false);
        expect_refusal(file, extras[i]);
    }
    write_gguf(file, &m, "llama.expert_count", false); /* makes it another family */
    expect_refusal(file, "llama.expert_used_count");
}

static void a_gguf_with_attention_to_later_tokens_is_refused(void **state)
{
    place *p = *state;
    dele_model m, back;
    dele_err err = {0};
    const char *file = in(p, "a.gguf"), *key = "llama.attention.causal";
    const uint32_t zero = 0;
    size_t size;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    write_gguf(file, &m, key, false); /* 1: as without the key */
    if (dele_model_load(&back, file, &p->arena, &err)) fail_msg("%s", err.msg);
    dele_model_release(&back);
    uint8_t *bytes = read_bytes(file, &size);
    patch_bytes(file, bytes, size, key, strlen(key), strlen(key) + 4, &zero, sizeof zero);
    expect_refusal(file, key);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(a_gguf_without_the_key_adds_the_bos_that_llama_cpp_adds),
        IN_PLACE(eot_and_eom_of_a_gguf_end_a_text),
        IN_PLACE(an_empty_gguf_is_no_gguf),
        IN_PLACE(a_gguf_may_say_that_it_has_no_tokenizer),
        cmocka_unit_test(paired_rows_are_read_in_the_order_of_halves),
        IN_PLACE(every_lie_of_a_gguf_header_is_refused),
        IN_PLACE(a_gguf_with_attention_to_later_tokens_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
