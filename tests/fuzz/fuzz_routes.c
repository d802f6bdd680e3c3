/* A tokens.npz as `deleatur routing` writes it or another program does, and all measures of what it
 * says. */
#include "fuzz.h"

#include "routing/contrast.h"
#include "routing/measures.h"
#include "routing/tokens_file.h"
#include "routing/vocabulary.h"

enum { FUZZ_VOCAB = 2003 };

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
    const dele_routed_shape shape = {.n_layers = 3, .n_experts = 16, .vocab = FUZZ_VOCAB};
    dele_err err = {0};
    dele_arena *arena = fuzz_arena();
    dele_routed r;
    dele_document_counts documents;
    dele_expert_counts counts;
    if (dele_tokens_load(&r, fuzz_write("x.npz", data, size), &shape, arena, &err)) {
        fuzz_answer(err.code, &err);
        return;
    }
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
