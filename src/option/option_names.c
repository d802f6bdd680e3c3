/* Other programs' names for deleatur's options, for suggestions in error messages. */
#include "option/option_names.h"

#include <stdbool.h>
#include <string.h>

/* The other program's name, then deleatur's names, separated by blanks.  The first one that the
 * command has is suggested. */
static const char *const names[][2] = {
    {"learning-rate", "lr relearn-lr"},
    {"batch-size", "batch batch-tokens memory"},
    {"train-batch-size", "batch"},
    {"per-device-train-batch-size", "batch"},
    {"per-device-eval-batch-size", "batch-tokens memory"},
    {"eval-batch-size", "batch-tokens memory"},
    {"max-batch-size", "batch-tokens memory"},
    {"gradient-accumulation-steps", "batch"},
    {"num-epochs", "epochs"},
    {"num-train-epochs", "epochs"},
    {"n-epochs", "epochs"},
    {"max-steps", "epochs relearn-updates"},
    {"num-steps", "epochs relearn-updates"},
    {"warmup-steps", "warmup"},
    {"warmup-ratio", "warmup"},
    {"lr-scheduler-type", "schedule"},
    {"scheduler", "schedule"},
    {"max-grad-norm", "clip"},
    {"gradient-clipping", "clip"},
    {"wd", "weight-decay"},
    {"adam-beta1", "beta1"},
    {"adam-beta2", "beta2"},
    {"eval-steps", "eval-every"},
    {"eval-interval", "eval-every"},
    {"save-steps", "save-every"},
    {"early-stopping-patience", "patience"},
    {"load-best-model-at-end", "select"},
    {"lora-r", "lora"},
    {"lora-rank", "lora"},
    {"rank", "lora"},
    {"target-modules", "tensors parts"},
    {"max-length", "max-length context"},
    {"max-seq-length", "max-length context"},
    {"block-size", "max-length context"},
    {"cutoff-len", "max-length"},
    {"torch-dtype", "dtype"},
    {"precision", "dtype"},
    {"outtype", "type"},
    {"quantization", "type types"},
    {"output-dir", "out"},
    {"output-path", "out"},
    {"output", "out"},
    {"save-dir", "out"},
    {"outfile", "out"},
    {"model", "MODEL"},
    {"model-path", "MODEL"},
    {"model-name", "MODEL"},
    {"model-args", "MODEL"},
    {"model-name-or-path", "MODEL"},
    {"pretrained", "MODEL"},
    {"pretrained-model-name-or-path", "MODEL"},
    {"tasks", "suite"},
    {"task", "suite"},
    {"num-fewshot", "shots"},
    {"n-shot", "shots"},
    {"max-new-tokens", "max-new"},
    {"max-gen-toks", "max-new"},
    {"max-tokens", "max-new"},
    {"max-samples", "limit"},
    {"num-samples", "limit samples"},
    {"n-samples", "samples limit"},
    {"apply-chat-template", "chat"},
    {"chat-template", "chat"},
    {"system-instruction", "chat"},
    {"trainer", "objective"},
    {"method", "objective"},
    {"forget-loss", "objective"},
    {"loss-type", "objective"},
    {"loss", "objective"},
    {"forget-data", "forget"},
    {"forget-file", "forget"},
    {"forget-set", "forget"},
    {"forget-split", "forget split"},
    {"retain-data", "retain"},
    {"retain-file", "retain"},
    {"retain-set", "retain"},
    {"retain-split", "retain"},
    {"retain-model", "retain never retrained"},
    {"retain-model-path", "retain never retrained"},
    {"retain-logs-path", "retrained"},
    {"reference-model", "reference"},
    {"holdout-split", "holdout"},
    {"train-file", "data"},
    {"dataset", "data facts forget"},
    {"data-path", "data facts forget"},
    {"data-dir", "data"},
    {"fact-file", "facts"},
    {"knowns", "facts"},
    {"noise-level", "noise"},
    {"window-size", "window"},
    {"kind", "kinds"},
    {"token", "tokens"},
    {"trainable-layers", "layers"},
    {"layer", "layers at-layer"},
    {"random-seed", "seed"},
    {"num-threads", "threads"},
    {"n-threads", "threads"},
    {"silent", "quiet"},
    {"behind", "append"},
    {"every", "eval-every"},
    {"micro", "micro-batch"},
    {"screen", "attribution"},
    {"screen-check", "attribution-check"},
    {"share", "forget-fraction"},
    {"steer", "steering-coeff"},
    {"unseen", "holdout"},
    {"weigh", "loss-weights"},
    {"whole", "train-on-prompt"},
};

static bool same(const char *a, const char *b)
{
    for (; *a && (*a == *b || (*a == '_' && *b == '-')); a++, b++) {}
    return !*a && !*b;
}

const char *dele_option_first_name(const char *name)
{
    return strcmp(name, "chat-layout") ? name : "chat";
}

const char *dele_option_ours(const char *theirs, size_t k)
{
    static _Thread_local char name[32];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *ours = names[i][1];
        if (!same(theirs, names[i][0])) continue;
        for (; k && (ours = strchr(ours, ' ')); k--) ours++;
        if (!ours) return NULL;
        size_t n = strcspn(ours, " ");
        memcpy(name, ours, n);
        name[n] = 0;
        return name;
    }
    return NULL;
}
