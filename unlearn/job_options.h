/* The options that `deleatur finetune` and `deleatur unlearn` share, and what they mean. */
#ifndef DELE_UNLEARN_JOB_OPTIONS_H
#define DELE_UNLEARN_JOB_OPTIONS_H

#include "adapter/adapter.h"
#include "option/option.h"
#include "unlearn/train_options.h"

typedef struct {
    const char *model, *out, *layers, *parts, *tensors, *mask_file;
    dele_chat chat;
    const char *usual_layers, *usual_parts; /* the defaults of layers and parts */
    const char *answers; /* for the plan: the source of alternate answers that were not given; or
                            NULL */
    dele_adapter_options adapters; /* of the model, before it is trained */
    dele_save_options save;
    bool eos;
    int batch_tokens, max_length, limit, lora;
    int memory; /* MiB for copies of the weights that do not train */
    double lora_alpha;
    bool lora_keep;
    dele_train_options train;
} dele_job;

/* Defaults of both commands, for a designated initialiser. */
#define DELE_JOB_DEFAULTS                                                                          \
    .save = {DELE_SAVE_DEFAULTS}, .eos = true, .train = DELE_TRAIN_DEFAULTS, .batch_tokens = 1024, \
    .memory = DELE_DEFAULT_MEMORY, .adapters = {DELE_ADAPTER_DEFAULTS}

/* The layers and parts that are trained by default: two static arrays, whose addresses show whether
 * an option has replaced them. */
#define DELE_JOB_CHANGES(l, p) .layers = (l), .usual_layers = (l), .parts = (p), .usual_parts = (p)

/* Rows of a command's option table that both have; job is the variable's name. */
/* clang-format off */
#define DELE_JOB_OPTIONS(job)                                                                    \
    DELE_GROUP("what is trained"),                                                               \
    DELE_OPT("layers", &(job).layers, "layers to train: 0-5,12 or all"),                         \
    DELE_OPT("parts", &(job).parts, "modules to train: mlp,attn,router,norm,embed,head or all"),        \
    DELE_OPT("tensors", &(job).tensors,                                                          \
             "tensors to train, instead: names or patterns, as model.layers.[5-7].mlp.*"),       \
    DELE_OPT("mask", &(job).mask_file, "mask.json of a trace, instead of --layers and --parts"), \
    DELE_OPT("lora", &(job).lora,                                                                \
             "rank of the LoRA adapters trained instead of the weights; 0: no adapters"),        \
    DELE_OPT("lora-alpha", &(job).lora_alpha,                                                    \
             "LoRA alpha: adapters are scaled by alpha / rank; 0: by 1"),                        \
    DELE_FLAG("lora-keep", &(job).lora_keep,                                                     \
              "also save the adapters for PEFT, in DIR/deleatur/adapter"),                       \
    DELE_GROUP("stored adapters"),                                                               \
    DELE_ADAPTER_OPTIONS((job).adapters),                                                        \
    DELE_GROUP("training"),                                                                      \
    DELE_OPT("epochs", &(job).train.epochs, "number of epochs"),                                 \
    DELE_OPT("lr", &(job).train.adamw.lr, "peak learning rate"),                                 \
    DELE_CHOICE("schedule", &(job).train.schedule, dele_schedule_name,                           \
                "linear or cosine (fall to 0), or constant"),                                    \
    DELE_CHOICE("loss-weights", &(job).train.loss_weights, dele_loss_weights_name,               \
                "tokens: loss is the mean over tokens; sequences: mean over sequences of "       \
                "token means"),                                                                  \
    DELE_OPT("warmup", &(job).train.warmup, "number of warm-up updates"),                        \
    DELE_FLAG("warmup-from-zero", &(job).train.warmup_from_zero,                                 \
              "warm-up begins at rate 0, as in transformers"),                                   \
    DELE_OPT("weight-decay", &(job).train.adamw.weight_decay,                                    \
             "decoupled weight decay (AdamW); norms are excluded"),                              \
    DELE_FLAG("decay-all", &(job).train.decay_all, "weight decay includes norms"),               \
    DELE_OPT("beta1", &(job).train.adamw.beta1, "beta1 of AdamW"),                               \
    DELE_OPT("beta2", &(job).train.adamw.beta2, "beta2 of AdamW"),                               \
    DELE_OPT("clip", &(job).train.clip, "maximum norm of the gradient; 0: no clipping"),         \
    DELE_OPT("collapse", &(job).train.collapse,                                                  \
             "divergence guard: stop when the retain loss (finetune: the loss) rises by this "   \
             "many nats; 0: off"),                                                               \
    DELE_OPT("batch", &(job).train.batch, "examples per update"),                                \
    DELE_OPT("batch-tokens", &(job).batch_tokens,                                                \
             "tokens per forward pass; affects memory, and results by rounding only"),           \
    DELE_OPT("seed", &(job).train.seed, "random seed of shuffling and new weights"),             \
    DELE_GROUP("examples"),                                                                      \
    DELE_OPT("max-length", &(job).max_length,                                                    \
             "maximum tokens per example, the rest is truncated; 0: the model's context"),       \
    DELE_OPT("limit", &(job).limit, "use the first N examples of each file; 0: all"),            \
    DELE_CHAT_OPTION(&(job).chat, "the prompt"), \
    DELE_FLAG("eos", &(job).eos, "append end of text to each output, with loss"),                \
    DELE_GROUP("result"),                                                                        \
    DELE_OPT("out", &(job).out, "directory for the new checkpoint; must not exist"),             \
    DELE_OPT("dtype", &(job).save.dtype,                                                         \
             "data type of the saved weights: keep (each tensor's own; frozen ones bit-equal), "  \
             "f32, bf16, f16 (rounded to nearest)"),                                             \
    DELE_SHARD_OPTION((job).save.shard_size),                                                    \
    DELE_MEMORY_OPTION((job).memory),                                                            \
    DELE_OPT("save-every", &(job).train.save_every,                                              \
             "seconds between saved training states, from which a killed run resumes; 0: none")
/* clang-format on */

/* Checks the options and turns words into what they mean, in place. */
dele_status dele_job_resolve(dele_job *job, dele_err *err);

/* The mask that --tensors, --mask or --layers and --parts select; with --lora without the biases,
 * unless --tensors names them.  The arena owns its tables. */
dele_status dele_job_mask(dele_mask *mask, const dele_job *job, const dele_model *model,
                          dele_arena *arena, dele_err *err);

/* How rows of this job are read: with the model's context where --max-length is 0. */
dele_status dele_job_dataset_options(dele_dataset_options *o, const dele_job *job,
                                     const dele_model *model, dele_arena *arena, dele_err *err);

#endif
