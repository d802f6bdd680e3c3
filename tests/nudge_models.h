/* Tiny random models over a few letters, with tokenizers that divide words differently. */
#ifndef DELE_TESTS_NUDGE_MODELS_H
#define DELE_TESTS_NUDGE_MODELS_H

#include "claims.h"

#include "model/model.h"

/* Byte-level BPE over a..h, the blank (three times: blanks are frequent), with merges within
 * words. */
static inline dele_tokenizer *pairs_tokenizer(const char *const *merges, size_t n_merges,
                                              dele_arena *arena)
{
    static const char *const letters[] = {"a", "b", "c", "d",      "e",
                                          "f", "g", "h", "\u0120", "<|end|>"};
    enum { N_LETTERS = sizeof letters / sizeof *letters };
    const size_t n = N_LETTERS + n_merges;
    dele_err err = {0};
    const char **token = DELE_NEW(arena, const char *, n, &err);
    int *type = DELE_NEW(arena, int, n, &err);
    assert_non_null(token);
    assert_non_null(type);
    for (size_t i = 0; i < n; i++) type[i] = i == N_LETTERS - 1 ? 3 : 1;
    for (size_t i = 0; i < N_LETTERS; i++) token[i] = letters[i];
    for (size_t i = 0; i < n_merges; i++) {
        const char *blank = strchr(merges[i], ' ');
        token[N_LETTERS + i] =
            dele_printf(arena, &err, "%.*s%s", (int)(blank - merges[i]), merges[i], blank + 1);
    }
    const dele_tokenizer_parts parts = {.kind = "gpt2",
                                        .pre = "gpt-2",
                                        .tokens = token,
                                        .types = type,
                                        .merges = merges,
                                        .n_tokens = n,
                                        .n_merges = n_merges,
                                        .bos = -1,
                                        .eos = N_LETTERS - 1,
                                        .unk = -1,
                                        .pad = -1};
    dele_tokenizer *t = dele_tokenizer_build(&parts, arena, &err);
    if (!t) fail_msg("%s", err.msg);
    return t;
}

/* SentencePiece over the same letters, the blank and the end: its tokens "a_" and "b_" join the end
 * of a word with the blank after it, so that the ids of a text's beginning are no beginning of the
 * text's ids. */
static inline dele_tokenizer *straddling_tokenizer(dele_arena *arena)
{
    static const char *const tokens[] = {"<unk>",    "<s>",      "</s>",    "\u2581",  "a",
                                         "b",        "c",        "d",       "e",       "f",
                                         "g",        "h",        "ab",      "a\u2581", "b\u2581",
                                         "\u2581cd", "\u2581ef", "\u2581c", "\u2581e"};
    enum { N = sizeof tokens / sizeof *tokens };
    static int type[N];
    static float score[N];
    for (int i = 0; i < N; i++) {
        type[i] = i == 0 ? 2 : i < 3 ? 3 : 1;
        score[i] = (float)-i;
    }
    const dele_tokenizer_parts parts = {.kind = "llama",
                                        .tokens = tokens,
                                        .types = type,
                                        .scores = score,
                                        .n_tokens = N,
                                        .bos = 1,
                                        .eos = 2,
                                        .unk = 0,
                                        .pad = -1,
                                        .add_bos = true};
    dele_err err = {0};
    dele_tokenizer *t = dele_tokenizer_build(&parts, arena, &err);
    if (!t) fail_msg("%s", err.msg);
    return t;
}

static inline dele_tokenizer *tokenizer_kind(int kind, dele_arena *arena)
{
    static const char *const first[] = {"\u0120 a", "a b",      "\u0120a b", "\u0120 c",
                                        "c d",      "\u0120 e", "g h"};
    static const char *const second[] = {"\u0120 b", "b c", "\u0120b c",
                                         "\u0120 a", "e f", "\u0120 g"};
    if (kind == 0) return pairs_tokenizer(first, sizeof first / sizeof *first, arena);
    if (kind == 1) return pairs_tokenizer(second, sizeof second / sizeof *second, arena);
    return kind == 2 ? straddling_tokenizer(arena) : pairs_tokenizer(NULL, 0, arena);
}

/* All kinds of tokenizers; and one more, of letters alone. */
enum { N_KINDS = 3, LETTERS = N_KINDS, NUDGE_CONTEXT = 256 };

/* A model with the tokenizer, which dele_model_release closes. */
static inline void open_nudge_layers(dele_model *model, int kind, int layers, uint64_t seed,
                                     double std, dele_arena *arena)
{
    dele_err err = {0};
    dele_tokenizer *t = tokenizer_kind(kind, arena);
    const dele_config config = {.family = &dele_family_llama,
                                .n_layers = layers,
                                .hidden_size = 32,
                                .intermediate_size = 48,
                                .n_heads = 4,
                                .n_kv_heads = 2,
                                .head_dim = 8,
                                .vocab = dele_tokenizer_size(t),
                                .context = NUDGE_CONTEXT,
                                .norm_eps = 1e-5f,
                                .rope[0].theta = 1e4f,
                                .bos = dele_tokenizer_bos(t),
                                .eos = dele_tokenizer_eos(t),
                                .pad = -1,
                                .tied = false};
    if (dele_model_layout(model, &config, arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(model, std, seed);
    const dele_tensor *head = dele_model_tensor(model, DELE_SLOT_HEAD, -1);
    for (size_t i = 0; i < head->cols; i++) /* the end is seldom the most likely token */
        head->data[(size_t)config.eos * head->cols + i] *= 0.3f;
    model->tokenizer = t;
}

static inline void open_nudge_model(dele_model *model, int kind, uint64_t seed, double std,
                                    dele_arena *arena)
{
    open_nudge_layers(model, kind, 2, seed, std, arena);
}

#endif
