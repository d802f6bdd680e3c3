/* A model that is a table: after token a comes b, whatever stood before.  One layer that does
 * nothing; the embedding is one-hot, so that the head's columns are the rows of the table. */
#ifndef DELE_TESTS_TABLE_MODEL_H
#define DELE_TESTS_TABLE_MODEL_H

#include "claims.h"

#include "model/model.h"

/* Takes the tokenizer: dele_model_release closes it. */
static inline void table_model(dele_model *model, dele_tokenizer *t, int context, dele_arena *arena)
{
    dele_err err = {0};
    const int vocab = dele_tokenizer_size(t), d_model = (vocab + 1) / 2 * 2;
    const dele_config config = {.family = &dele_family_llama,
                                .n_layers = 1,
                                .hidden_size = d_model,
                                .intermediate_size = 4,
                                .n_heads = 1,
                                .n_kv_heads = 1,
                                .head_dim = d_model,
                                .vocab = vocab,
                                .context = context,
                                .norm_eps = 1e-5f,
                                .rope[0].theta = 10000,
                                .bos = dele_tokenizer_bos(t),
                                .eos = dele_tokenizer_eos(t),
                                .pad = -1};
    if (dele_model_layout(model, &config, arena, &err)) fail_msg("%s", err.msg);
    for (size_t i = 0; i < model->n_tensors; i++) {
        const dele_tensor *x = &model->tensors[i];
        for (size_t k = 0; k < x->cols && x->part == DELE_PART_NORM; k++) x->data[k] = 1;
        for (size_t k = 0; k < x->rows && x->part == DELE_PART_EMBED; k++)
            x->data[k * x->cols + k] = 1;
    }
    model->tokenizer = t;
}

/* Behind token a comes b: its logit is 20, all others' 0. */
static inline void table_says(dele_model *model, int a, int b)
{
    const dele_tensor *head = dele_model_tensor(model, DELE_SLOT_HEAD, -1);
    head->data[(size_t)b * head->cols + (size_t)a] = 20 / sqrtf((float)model->config.hidden_size);
}

/* A SentencePiece tokenizer that puts a blank before every text and <s> before that: <unk> <s>
 * </s>, the 256 bytes, the blank, some letters, and the words "the" and "cat" after a blank. */
static inline dele_tokenizer *spm_tokenizer(dele_arena *arena)
{
    static const char *const more[] = {"\u2581",    "t",       "h",        "e",
                                       "c",         "a",       "\u2581t",  "\u2581th",
                                       "\u2581the", "\u2581c", "\u2581ca", "\u2581cat"};
    enum { N_MORE = sizeof more / sizeof *more, N = 259 + N_MORE };
    static char byte[256][8];
    static const char *token[N] = {"<unk>", "<s>", "</s>"};
    static int type[N] = {2, 3, 3};
    static float score[N];
    for (int b = 0; b < 256; b++) {
        snprintf(byte[b], sizeof byte[b], "<0x%02X>", b);
        token[3 + b] = byte[b];
        type[3 + b] = 6;
    }
    for (int i = 0; i < N_MORE; i++) {
        token[259 + i] = more[i];
        type[259 + i] = 1;
        score[259 + i] = (float)-i;
    }
    const dele_tokenizer_parts parts = {.kind = "llama",
                                        .tokens = token,
                                        .types = type,
                                        .scores = score,
                                        .n_tokens = N,
                                        .bos = 1,
                                        .eos = 2,
                                        .unk = 0,
                                        .pad = -1,
                                        .add_bos = true,
                                        .add_space_prefix = true};
    dele_err err = {0};
    dele_tokenizer *t = dele_tokenizer_build(&parts, arena, &err);
    if (!t) fail_msg("%s", err.msg);
    return t;
}

#endif
