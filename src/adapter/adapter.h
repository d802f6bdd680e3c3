/* Stored adapters: what a command's --adapter lays onto the model that it loads.
 *
 *   W = W0 + lambda Σ_i w_i s_i B_i A_i        lambda: --adapter-scale, w_i: the adapter's weight
 *
 * A directory with adapter_config.json is PEFT's (peft.h) and is merged into float32 masters of
 * the matrices that it has adapters of.  All other tensors keep the bytes of their file; with
 * lambda w_i = 0 so does every tensor.  Adapters of PERFT (perft_files.h), at most one directory
 * of them, are attached to the model and multiplied by lambda w_i in the forward pass. */
#ifndef DELE_ADAPTER_H
#define DELE_ADAPTER_H

#include "model/model.h"
#include "option/manifest.h"

typedef struct {
    const char *list; /* "DIR[=WEIGHT],DIR[=WEIGHT]..."; NULL: no adapters */
    double scale;     /* lambda: any finite number; a negative one subtracts what was learnt */
} dele_adapter_options;

/* A command's options for them; o is a dele_adapter_options, begun with the defaults. */
/* clang-format off */
#define DELE_ADAPTER_DEFAULTS .scale = 1
#define DELE_ADAPTER_OPTIONS(o)                                                                    \
    DELE_OPT("adapter", &(o).list,                                                                 \
             "stored adapters to load with MODEL: DIR[=WEIGHT], several separated by commas"),     \
    DELE_OPT("adapter-scale", &(o).scale,                                                          \
             "lambda: a factor on what the adapters add; 0: as without them, negative: "           \
             "subtracted")
/* clang-format on */

/* One adapter of the list. */
typedef struct {
    const char *dir;
    double weight; /* lambda not included */
    bool peft;     /* an adapter of PEFT; else of PERFT */
} dele_adapter_entry;

/* The list in parts; a directory that is missing, repeated or holds no adapter, a weight or a scale
 * that is no finite number is an error.  The arena owns them. */
dele_status dele_adapters_parse(dele_adapter_entry **entry, size_t *n,
                                const dele_adapter_options *o, dele_arena *arena, dele_err *err);

/* dele_model_load_for (model.h) with the adapters laid on before copies are made: how a command
 * loads the model that --adapter is for.  memory 0: no copies, as dele_model_load. */
dele_status dele_adapters_load(dele_model *model, const char *path, const dele_adapter_options *o,
                               int memory, size_t passes, dele_arena *arena, dele_err *err);

/* Lays the adapters onto a model that dele_model_map gave.  After a failure the caller releases
 * the model. */
dele_status dele_adapters_apply(dele_model *model, const dele_adapter_options *o, dele_arena *arena,
                                dele_err *err);

/* Notes the files of every adapter as inputs. */
dele_status dele_adapters_note(dele_manifest *m, const dele_adapter_options *o, dele_err *err);

#endif
