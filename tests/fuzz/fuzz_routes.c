/* A tokens.npz as `deleatur routing` writes it or another program does: all measures of what it
 * says, and a forward pass on its routes (--route-from). */
#include "fuzz.h"

#include "routing/contrast.h"
#include "routing/measures.h"
#include "routing/tokens_file.h"
#include "routing/vocabulary.h"

enum { FUZZ_VOCAB = 2003, FUZZ_EXPERTS = 16 };

/* Runs a mixture of as many layers and experts, made once, on the routes. */
static void follow(const dele_routes *routes)
{
    static dele_arena own;
    static dele_model model;
    dele_err err = {0};
    if (!model.n_tensors) {
        dele_config config = fuzz_mixture_config();
        config.vocab = FUZZ_VOCAB, config.n_experts = FUZZ_EXPERTS;
        if (dele_model_layout(&model, &config, &own, &err)) abort();
        dele_model_randomise(&model, 0.1, 1);
    }
    model.config.top_k = routes->top_k;
    fuzz_run_model(&model, routes);
}

static void measure_layer(const dele_routed *r, int l, dele_arena *arena)
{
    const size_t E = (size_t)r->routes.n_experts;
    dele_err err = {0};
    dele_vocabulary v;
    dele_contrast change;
    uint64_t *together = DELE_NEW(arena, uint64_t, E * E, &err),
             *alone = DELE_NEW(arena, uint64_t, E, &err);
    if (!dele_routed_sparse(r, l) || !together || !alone) return;
    dele_coactivation_count(together, alone, r, l, l % 2);
    for (int by = 0; by < DELE_N_VOCABULARIES; by++)
        if (dele_vocabulary_measure(&v, r, l, r->routes.top_k, (dele_vocabulary_by)by, FUZZ_VOCAB,
                                    2, by % 2, 1, arena, &err))
            fuzz_answer(err.code, &err);
    if (dele_contrast_saturation(&change, r, r, l, 1, -1, &err)) fuzz_answer(err.code, &err);
}

void fuzz_one(const uint8_t *data, size_t size)
{
    const dele_routed_shape shape = {.n_layers = 3, .n_experts = FUZZ_EXPERTS, .vocab = FUZZ_VOCAB};
    dele_err err = {0};
    dele_arena *arena = fuzz_arena();
    dele_routed r;
    dele_document_counts documents;
    dele_expert_counts counts;
    if (dele_tokens_load(&r, fuzz_write("x.npz", data, size), &shape, arena, &err)) {
        fuzz_answer(err.code, &err);
        return;
    }
    follow(&r.routes);
    if (r.n_domains > 8) return; /* pairs of domains take long */
    for (int l = 0; l < shape.n_layers; l++) measure_layer(&r, l, arena);
    dele_domain_contrasts d;
    if (dele_expert_count(&counts, &r, 1, arena, &err) ||
        dele_document_count(&documents, &r, r.routes.top_k, arena, &err) ||
        dele_contrast_domains(&d, &documents, 2, arena, &err))
        fuzz_answer(err.code, &err);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_npz(data, size, max, &(fuzz_random){seed});
}
