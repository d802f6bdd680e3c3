/* deleatur facts --qa: a fact file out of rows of questions and answers. */
#ifndef DELE_FACTS_QA_H
#define DELE_FACTS_QA_H

#include <stdbool.h>

#include "adapter/adapter.h"

typedef struct {
    const char *forget, *retain; /* forget rows; retain rows, or NULL */
    bool first_token, keep_copied, keep_alone, keep_unknown;
    const char *model, *out, *forget_out, *retain_out; /* the last two may be NULL */
    int memory;                                        /* MiB for copies of the weights */
    dele_adapter_options adapters;
    bool quiet, json;
} facts_qa_opts;

/* Builds, scores, writes and reports. */
dele_status facts_qa(const facts_qa_opts *o, dele_arena *arena, dele_err *err);

#endif
