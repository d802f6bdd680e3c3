/* The options that `deleatur finetune` and `deleatur unlearn` share, and what they mean. */
#ifndef DELE_UNLEARN_JOB_OPTIONS_H
#define DELE_UNLEARN_JOB_OPTIONS_H

#include "adapter/adapter.h"
#include "adapter/perft_options.h"
#include "option/option.h"
#include "unlearn/affinity.h"
#include "unlearn/retain_weights.h"
#include "unlearn/train_options.h"

typedef struct {
    const char *model, *out, *layers, *parts, *tensors, *mask_file;
    dele_chat chat;
    const char *experts, *router_aux, *adapter_aux; /* of a mixture of experts; NULL: not given */
    dele_expert_list listed;                        /* of --experts (dele_job_experts) */
    dele_affinity affinity;                         /* of --experts auto; of NULL: not measured */
    bool retain_reweight;
    dele_expert_traffic *traffic; /* [listed.n] with retain_reweight, once it is measured */
    const char *usual_layers, *usual_parts; /* the defaults of layers and parts */
    const char *answers; /* for the plan: the source of alternate answers that were not given; or
                            NULL */
    dele_adapter_options adapters; /* of the model, before it is trained */
    dele_perft_options perft;      /* new ones, which are trained instead of the weights */
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
    .memory = DELE_DEFAULT_MEMORY, .adapters = {DELE_ADAPTER_DEFAULTS},                            \
    .perft = {DELE_PERFT_DEFAULTS}

/* The layers and parts that are trained by default: two static arrays, whose addresses show whether
 * an option has replaced them. */
#define DELE_JOB_CHANGES(l, p) .layers = (l), .usual_layers = (l), .parts = (p), .usual_parts = (p)

/* Rows of a command's option table that both have; job is the variable's name. */
/* clang-format off */
#define DELE_JOB_OPTIONS(job)                                                                    \
    DELE_GROUP("what is trained"),                                                               \
    DELE_OPT("layers", &(job).layers, "layers to train: 0-5,12 or all"),                         \
    DELE_OPT("parts", &(job).parts,                                                              \
             "modules to train: mlp,attn,router,norm,embed,head or all"),                        \
    DELE_OPT("tensors", &(job).tensors,                                                          \
             "tensors to train, instead: names or patterns, as model.layers.[5-7].mlp.*"),       \
    DELE_OPT("mask", &(job).mask_file, "mask.json of a trace, instead of --layers and --parts"), \
    DELE_OPT("experts", &(job).experts,                                                          \
             "mixture of experts: experts to train, instead of --layers: 3:17,5:2 "              \
             "(LAYER:EXPERT), or auto:M, the M with the highest router probability on the "      \
             "forget set (finetune: the examples), auto alone: 1; --parts adds modules of "      \
             "their layers, such as router"),                                                    \
    DELE_OPT("lora", &(job).lora,                                                                \
             "rank of the LoRA adapters trained instead of the weights; 0: no adapters"),        \
    DELE_OPT("lora-alpha", &(job).lora_alpha,                                                    \
             "LoRA alpha: adapters are scaled by alpha / rank; 0: by 1"),                        \
    DELE_FLAG("lora-keep", &(job).lora_keep,                                                     \
              "also save the adapters for PEFT, in DIR/deleatur/adapter"),                       \
    DELE_GROUP("adapters beside the experts"),                                                   \
    DELE_PERFT_OPTIONS((job).perft),                                                             \
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
    DELE_OPT("router-aux", &(job).router_aux,                                                    \
             "mixture of experts: weight of the load-balancing loss, a number, or model (the "     \
             "config's router_aux_loss_coef); default: 0"),                                      \
    DELE_OPT("adapter-aux", &(job).adapter_aux,                                                  \
             "perft-r: weight of the load-balancing loss of the adapters' router, a number, or "   \
             "model, as --router-aux; default of both: 0, or model with --compat perft"),        \
    DELE_CHOICE("router-aux-over", &(job).train.router.over, dele_balance_over_name,             \
                "load-balancing losses: over all layers' tokens concatenated, as in "             \
                "transformers, or the mean of the layers' own"),                                 \
    DELE_OPT("router-z", &(job).train.router.coefficient[DELE_TERM_Z],                           \
             "mixture of experts: weight of the router z-loss"),                                 \
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

/* What the options about a mixture of experts mean for this model: the listed experts, chosen by
 * their affinity to `set` where --experts says auto, and the coefficients of terms on routers.  An
 * option about mixtures is refused where the model is dense.  The arena owns the tables. */
dele_status dele_job_experts(dele_job *job, const dele_model *model, const dele_dataset *set,
                             dele_arena *arena, dele_err *err);

/* With the terms that unlearning alone has: SEUF's anchor and the projection of routers; and
 * whether retain tokens are weighed by the experts. */
#define DELE_UNLEARN_ROUTER_OPTIONS(job)                                                           \
    DELE_GROUP("mixtures of experts"),                                                             \
        DELE_OPT("anchor", &(job).train.router.coefficient[DELE_TERM_ANCHOR],                      \
                 "weight of SEUF's anchor: on forget tokens the routers choose the experts of "    \
                 "--experts"),                                                                     \
        DELE_OPT(                                                                                  \
            "router-projection", &(job).train.router_projection,                                   \
            "after GRIP: routers do not move along the N main directions of what they read on "    \
            "the retain set; 0: none"),                                                            \
        DELE_FLAG(                                                                                 \
            "retain-reweight", &(job).retain_reweight,                                             \
            "after TRACE: retain tokens are weighted so that the experts of --experts get the "    \
            "same share of the retain traffic as of the forget traffic")

/* Adds the new adapters of --adapter-type to the loaded model, where it is given. */
dele_status dele_job_attach(const dele_job *job, dele_model *model, dele_arena *arena,
                            dele_err *err);

/* The mask that --experts, --tensors, --mask or --layers and --parts select; with --lora without
 * the biases, unless --tensors names them.  Of a model with adapters of PERFT, new or loaded: those
 * alone.  The arena owns its tables. */
dele_status dele_job_mask(dele_mask *mask, const dele_job *job, const dele_model *model,
                          dele_arena *arena, dele_err *err);

/* How rows of this job are read: with the model's context where --max-length is 0. */
dele_status dele_job_dataset_options(dele_dataset_options *o, const dele_job *job,
                                     const dele_model *model, dele_arena *arena, dele_err *err);

#endif
