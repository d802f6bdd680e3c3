/* How a suite's outputs are formed where not by one model alone: several models that write one
 * text, or whose next-token distributions are combined (nudge/).  A suite scores what a decoder
 * gives as it scores a model's own. */
#ifndef DELE_DECODER_H
#define DELE_DECODER_H

#include <cjson/cJSON.h>

#include "base/arena.h"
#include "base/items.h"

/* What is asked: a question, which the decoder puts into its prompts, or where there is none a
 * prompt, which it takes as it is. */
typedef struct {
    const char *question, *prompt; /* question may be NULL */
} dele_decoder_prompt;

typedef struct {
    const char *name; /* of --decoder */
    void *data;       /* passed to its functions */
    /* An error where the prompt leaves no room in a model's context. */
    dele_status (*check)(void *data, const dele_decoder_prompt *prompt, int max_new, dele_err *err);
    /* The text after a prompt that does, in the arena, without white space at its ends changed;
     * ended: at an end of text, not at max_new tokens or the end of a context.  Nothing of earlier
     * prompts changes it. */
    dele_status (*generate)(void *data, char **text, bool *ended, const dele_decoder_prompt *prompt,
                            int max_new, dele_arena *arena, dele_err *err);
    /* log P of the last n_scored of id [n], each after all ids before it, and whether each is the
     * most likely; ids of the suite's model.  NULL: the decoder has no distribution over tokens. */
    dele_status (*logp)(void *data, double *logp, bool *greedy, const int *id, int n, int n_scored,
                        dele_err *err);
    /* Forgets what logp keeps of earlier ids.  That saves time, and moves the rounding of what
     * follows: a suite calls this at places that a resumed run has too. */
    void (*forget)(void *data);
    /* Of the text that was generated last: fields of its item's line beside the suite's, read back
     * where the item is resumed; and their addition to the sums, after either.  Both or none. */
    void (*line)(void *data, dele_items_line *line);
    void (*count)(void *data);
    void (*json)(void *data, cJSON *json); /* its settings and sums, for eval.json */
} dele_decoder;

#endif
