/* PERFT's adapters in files, alone: DELE_ADAPTER_FILE says what they are,
 *
 *   {"type": "perft-r", "form": "lora", "rank": 8, "adapters": 2, "top_k": 1, "alpha": 16,
 *    "dropout": 0, "compat": "", "base": "...", "base_sha256": "..."}
 *
 * and adapter_model.safetensors holds their tensors under the released code's names
 * (model/layout_perft.c).  form: lora or parallel; top_k: of perft-r; compat: "" or "perft". */
#ifndef DELE_PERFT_FILES_H
#define DELE_PERFT_FILES_H

#include "model/model.h"

/* The words of "form" and of "compat", by dele_perft's parallel and compat; end with NULL. */
extern const char *const dele_perft_forms[3], *const dele_perft_compat[3];

/* Writes both files into an existing directory, in float32. */
dele_status dele_perft_save(const dele_model *model, const char *dir, dele_err *err);

/* Reads what the directory's adapters are; not their weights. */
dele_status dele_perft_describe(dele_perft *perft, const dele_config *config, const char *dir,
                                dele_err *err);

/* Attaches the directory's adapters to the model, multiplied by `scale` (model/attach.h).  Another
 * base, a tensor that is missing or left over, a shape that does not fit or a number that is not
 * finite is an error. */
dele_status dele_perft_load(dele_model *model, const char *dir, double scale, dele_arena *arena,
                            dele_err *err);

#endif
