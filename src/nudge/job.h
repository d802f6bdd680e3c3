/* One answer under way: what the two ways of handing over (by text, by ids) share. */
#ifndef DELE_NUDGE_JOB_H
#define DELE_NUDGE_JOB_H

#include "nudge/nudge_types.h"

struct dele_nudge {
    dele_completer model[2]; /* by dele_nudge_writer */
    dele_nudge_opts opts;
    const dele_tokenizer *counter;
    bool nudger_drafts; /* a pass of the nudger costs so little that it drafts the base's text */
};

typedef struct {
    dele_nudge *n;
    const dele_nudge_prompt *prompt[2];
    dele_nudge_result *result;
    dele_arena *arena; /* of the result */
    dele_arena round;  /* reset before each round */
    char *text;        /* [length] and a terminator; room bytes */
    size_t length, room;
    dele_nudge_span *span; /* of the whole text */
    size_t n_spans, span_room;
    dele_ids said[2]; /* the nudger's windows so far, as ids of each model */
    size_t said_room[2];
    bool full; /* a model's context is */
} dele_nudge_job;

/* Appends n bytes of text by a writer; nothing if n is 0. */
dele_status dele_nudge_append(dele_nudge_job *j, const char *text, size_t n, dele_nudge_writer by,
                              dele_err *err);

/* Tokens of a text as the counter counts it. */
dele_status dele_nudge_count(size_t *count, const dele_nudge_job *j, const char *text, size_t n,
                             dele_err *err);

/* A model's prompt, the text so far and `more` as ids, in the round's arena. */
dele_status dele_nudge_context(dele_ids *ids, dele_nudge_job *j, dele_nudge_writer who,
                               const char *more, size_t n, dele_err *err);

/* Whether `more` tokens after n fit a model's context; if not, the answer ends there. */
bool dele_nudge_fits(dele_nudge_job *j, dele_nudge_writer who, size_t n, size_t more);

/* One token more of a model's completion.  With DELE_NUDGE_DRAFT a pass for it takes along a draft
 * of what may follow; pending (of the base): the text before the completion that is not in j->text
 * yet. */
dele_status dele_nudge_more(dele_completion *w, dele_nudge_job *j, dele_nudge_writer who,
                            const char *pending, dele_err *err);

/* Keeps a window of the nudger as ids of one of the models: what the nudger proposed once it often
 * proposes again, and the base agrees with parts of it. */
dele_status dele_nudge_remember(dele_nudge_job *j, dele_nudge_writer who, const int *id, size_t n,
                                dele_err *err);

/* A draft of at most eight ids that continues id [n]: what follows the last occurrence of its last
 * three, two or one ids in the earlier ones or, of as many, in id itself.  Returns how many. */
size_t dele_nudge_lookup(int *draft, const int *earlier, size_t n_earlier, const int *id, size_t n);

#endif
