/* PERFT's adapters (sublayers/perft.h) attached to a model: they become tensors of its table, in
 * every sparse layer, with float32 memory, so that masks, gradients, the optimizer, training states
 * and counts know them as any other tensor.  The model's own tensors stay as they are. */
#ifndef DELE_ATTACH_H
#define DELE_ATTACH_H

#include "model/model.h"

/* "perft-r", "perft-e", "perft-d", "perft-s", after "" for none. */
extern const char *const dele_perft_name[DELE_N_PERFT + 1]; /* ends with NULL */

/* Fills what follows from the variant and the model (adapters of E and S), and checks the rest:
 * sizes, top_k, alpha, dropout, and that the model is a mixture of experts in whose blocks adapters
 * can be.  what: an option or a file, for messages. */
dele_status dele_perft_settle(dele_perft *perft, const dele_config *config, const char *what,
                              dele_err *err);

/* The adapters, their weights zero; perft is settled.  The model must have none yet, and no packed
 * copies.  The arena owns the new table, the model's copies the weights. */
dele_status dele_model_attach(dele_model *model, const dele_perft *perft, dele_arena *arena,
                              dele_err *err);

/* Initial weights.  LoRA and parallel adapters: Down uniform within ±1/√d_model (as PEFT's A), Up
 * zero, gate N(0, 0.02).  compat: Down N(0, 2/rank), of parallel ones N(0, 2/rank) too, Up N(0,
 * 1e-6²), as released. */
void dele_perft_begin(const dele_model *model, uint64_t seed);

#endif
