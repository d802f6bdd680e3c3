/* What `deleatur finetune` and `deleatur unlearn` do: train, and write a directory.
 *
 *   DIR/  config.json  model.safetensors  tokenizer.json ...      a checkpoint that transformers
 *                                         loads
 *                                         or, of adapters of PERFT, these alone:
 *   DIR/  deleatur_adapter.json  adapter_model.safetensors        for --adapter DIR
 *   DIR/deleatur/  manifest.json  steps.tsv  evaluations.tsv  mask.json
 *                                            plots/{losses,evaluations}.{svg,png}
 *   DIR/deleatur/affinity.tsv                              with --experts auto
 *   DIR/deleatur/adapter/  adapter_config.json  adapter_model.safetensors      with --lora-keep
 *   DIR.part/deleatur/state                                 while it trains: what the same command
 *                                                           resumes from */
#ifndef DELE_UNLEARN_JOB_H
#define DELE_UNLEARN_JOB_H

#include "option/manifest.h"
#include "unlearn/job_options.h"
#include "unlearn/trainer.h"

/* What a job works on.  It belongs to the caller; only the model changes. */
typedef struct {
    dele_model *model;
    const dele_mask *mask;
    dele_train_data data;
} dele_job_input;

/* Where a job's result goes, apart from its directory.  The manifest belongs to the caller, and the
 * job adds what it measured. */
typedef struct {
    const dele_common *common; /* --quiet, --json */
    dele_manifest *manifest;
    const char *title; /* of the progress line */
} dele_job_output;

/* Trains, and writes the result.  Where the same command was interrupted, it is resumed.  On
 * divergence the last good state is written all the same, and the error says where. */
dele_status dele_job_run(const dele_job *job, const dele_job_input *in, const dele_job_output *to,
                         dele_err *err);

#endif
