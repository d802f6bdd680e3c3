/* lacuna facts --qa: a fact file out of rows of questions and answers. */
#ifndef LAC_FACTS_QA_H
#define LAC_FACTS_QA_H

#include <stdbool.h>

#include "base/arena.h"

typedef struct {
    const char *forget, *retain;                /* rows to forget; rows to keep, or NULL */
    bool first_token, keep_copied, keep_alone, keep_unknown;
    const char *model, *out, *forget_out, *retain_out; /* the last two may be NULL */
    bool quiet, json;
} facts_qa_opts;

/* Builds, scores, writes and reports. */
lac_status facts_qa(const facts_qa_opts *o, lac_arena *arena, lac_err *err);

#endif
