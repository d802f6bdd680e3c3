/* One run of `deleatur attack`: what was asked for, the passes, and what came of them. */
#ifndef DELE_ATTACK_JOB_H
#define DELE_ATTACK_JOB_H

#include "adapter/adapter.h"
#include "experiments/attack/attack.h"
#include "option/option.h"
#include "option/result.h"
#include "tensor/dtype.h"

enum { ATTACK_MAX_TYPES = 16, ATTACK_MAX_GAMMAS = 16 };

/* Whose weights compute on the other model's routes. */
enum { ATTACK_ORIGINAL_ROUTES, ATTACK_UNLEARNED_ROUTES, ATTACK_N_REPLAYS };
extern const char *const attack_replay_names[ATTACK_N_REPLAYS];

typedef struct {
    const char *model, *before, *never, *forget, *out, *attacks, *types, *templates, *paraphrases,
        *prefixes;
    dele_chat asked_chat; /* chat is what it is for the model */
    const char *layers, *parts;
    const char *with, *gammas; /* nudge: the other model, "0.1,0.3" */
    dele_chat with_chat;
    double margin; /* nudge: of the guard */
    int relearn_rows, relearn_updates, max_new, limit, resamples;
    double relearn_lr;
    uint64_t seed;
    dele_adapter_options adapters; /* of the unlearned model */
    int memory;                    /* MiB for copies of the weights of each model */
    bool keep, eos;
    dele_common common;
    /* resolved */
    bool quantise, relearn, template, prefix, replay, nudge;
    double gamma[ATTACK_MAX_GAMMAS];
    size_t n_gammas;
    const dele_layout *chat;
    dele_dtype type[ATTACK_MAX_TYPES];
    size_t n_types;
} attack_settings;

typedef struct {
    const attack_settings *s;
    dele_result *result; /* its directory and items.jsonl are open */
    attack_set set;
    attack_pass *unlearned, *before, *never; /* [n_forms]; NULL: not there */
    attack_pass *quantised, *relearnt;       /* [n_types], one */
    attack_pass *replayed; /* [ATTACK_N_REPLAYS] each model's weights on the other's routes */
    attack_pass *nudged;   /* [n_nudged] (attack_nudge.h) */
    size_t n_nudged;
    size_t n_asks;                                    /* of all passes */
    bool *trained;                                    /* [set.n] rows that are learnt again */
    size_t n_stored[ATTACK_MAX_TYPES][DELE_N_DTYPES]; /* tensors of each GGUF, by type */
    attack_outcome *outcome;
    size_t n_outcomes;
    attack_summary *summary; /* [n_outcomes * ATTACK_N_MEASURES] */
    dele_progress progress;
    attack_score_opts how;
    dele_arena arena;
} attack_job;

/* Asks everything (attack_models.c), resuming after what is in the directory's items.jsonl. */
dele_status attack_run(attack_job *j, attack_settings *s, dele_err *err);

/* Puts the passes side by side, and writes attack.json and attack.tsv with its picture
 * (attack_outcomes.c). */
dele_status attack_make_outcomes(attack_job *j, dele_err *err);
dele_status attack_save(attack_job *j, dele_err *err);

#endif
