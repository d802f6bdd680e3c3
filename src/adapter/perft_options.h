/* The options by which a command makes new adapters of PERFT (model/attach.h). */
#ifndef DELE_PERFT_OPTIONS_H
#define DELE_PERFT_OPTIONS_H

#include "adapter/perft_files.h"
#include "model/attach.h"
#include "option/option.h"

typedef enum { DELE_ADAPTER_LORA, DELE_ADAPTER_PARALLEL } dele_adapter_form;
typedef enum { DELE_PERFT_PAPER, DELE_PERFT_RELEASED } dele_adapter_compat;

typedef struct {
    dele_perft_variant variant; /* NONE: no new adapters */
    int rank, adapters, top_k;
    dele_adapter_form form;
    double alpha, dropout; /* 0, and below 0: the usual */
    dele_adapter_compat compat;
} dele_perft_options;

enum { DELE_PERFT_RANK = 8, DELE_PERFT_ADAPTERS = 2, DELE_PERFT_TOP_K = 1 };
#define DELE_PERFT_DEFAULTS                                                                        \
    .rank = DELE_PERFT_RANK, .adapters = DELE_PERFT_ADAPTERS, .top_k = DELE_PERFT_TOP_K,           \
    .dropout = -1

/* clang-format off */
#define DELE_PERFT_OPTIONS(o)                                                                      \
    DELE_CHOICE("adapter-type", &(o).variant, dele_perft_name,                                     \
                "new adapters of a mixture's experts: perft-r (with a router of their own), "      \
                "perft-e (one per expert), perft-d (several, all used), perft-s (one)"),           \
    DELE_OPT("rank", &(o).rank, "--adapter-type: rank of each adapter"),                           \
    DELE_OPT("adapters", &(o).adapters, "perft-r, perft-d: number of adapters in a layer"),        \
    DELE_OPT("adapter-top-k", &(o).top_k, "perft-r: adapters that are used for a token"),          \
    DELE_CHOICE("adapter-form", &(o).form, dele_perft_forms,                                       \
                "lora (two matrices) or parallel (SiLU between them)"),                            \
    DELE_OPT("adapter-alpha", &(o).alpha,                                                          \
             "lora: outputs are multiplied by alpha / rank; 0: 2 rank"),                           \
    DELE_OPT("adapter-dropout", &(o).dropout,                                                      \
             "dropout in training; below 0: none, or 0.05 with --compat perft"),                   \
    DELE_CHOICE("compat", &(o).compat, dele_perft_compat,                                          \
                "perft: as the code that the authors released, whose equation is not the paper's")
/* clang-format on */

/* Checks that nothing is given without --adapter-type. */
dele_status dele_perft_options_check(const dele_perft_options *o, dele_err *err);

/* What the options mean for a model of this config, settled. */
dele_status dele_perft_of(dele_perft *perft, const dele_perft_options *o, const dele_config *config,
                          dele_err *err);

#endif
