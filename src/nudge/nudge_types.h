/* Options, prompts and results of nudging (nudge.h). */
#ifndef DELE_NUDGE_TYPES_H
#define DELE_NUDGE_TYPES_H

#include "nudge/completer.h"

/* Two models with their KV caches. */
typedef struct dele_nudge dele_nudge;

typedef enum { DELE_NUDGE_DRAFT, DELE_NUDGE_PLAIN } dele_nudge_verify;

typedef struct {
    double gamma; /* threshold of the base's top-1 probability */
    int window;   /* tokens that a model is asked for at a time */
    int max_new;  /* no further round once the text has as many tokens */
    int max_rounds;
    const dele_tokenizer *counter; /* counts the text's tokens for max_new; NULL: the base's */
    dele_nudge_verify verify;
    /* The variant of the authors' notebook for models of one vocabulary: ids are handed over in
     * place of text, at tokens that begin a word, where the probability exceeds gamma; no rule of
     * agreement, no post-processing, and the base may end the text. */
    bool tokens;
    double base_temperature, nudger_temperature; /* 0: greedy */
    double top_p;                                /* of the base, where it is sampled */
    uint64_t seed;
    bool uncached; /* without KV caches, for tests */
    bool unscored; /* without the base's probabilities of all tokens: one pass less */
} dele_nudge_opts;

/* The defaults of run_api.py; for `tokens` those of the notebook are gamma 0.4 and max_new 500. */
#define DELE_NUDGE_DEFAULTS                                                                        \
    {                                                                                              \
        .gamma = 0.3, .window = 16, .max_new = 512, .max_rounds = 150, .top_p = 0.9                \
    }

/* What a model continues: text, and how it is encoded (DELE_ENCODE_BEGIN for raw text,
 * DELE_ENCODE_BARE for a chat layout's). */
typedef struct {
    const char *text;
    dele_encode_part part;
} dele_nudge_prompt;

typedef enum { DELE_NUDGE_NUDGER, DELE_NUDGE_BASE } dele_nudge_writer;

typedef enum {
    DELE_NUDGE_ENDED,    /* the nudger ended its text (with `tokens`: or the base) */
    DELE_NUDGE_REPEATED, /* the same words three times more in sequence */
    DELE_NUDGE_ROUNDS,   /* max_rounds */
    DELE_NUDGE_LENGTH,   /* max_new */
    DELE_NUDGE_CONTEXT   /* a model's context is full */
} dele_nudge_stop;

/* A run of text by one writer: bytes from .. from + n - 1 of the result's text. */
typedef struct {
    size_t from, n;
    dele_nudge_writer by;
    int round;       /* from 1 */
    size_t n_tokens; /* as the counter counts the span alone */
} dele_nudge_span;

/* A token of the text as the base reads it, and the base's top-1 probability before it. */
typedef struct {
    size_t from, n;
    dele_nudge_writer by; /* who wrote its first byte */
    double p;
} dele_nudge_token;

typedef struct {
    const char *text;              /* the answer */
    const dele_nudge_span *span;   /* [n_spans] they concatenate to the text */
    const dele_nudge_token *token; /* [n_tokens] so do they; none if unscored */
    size_t n_spans, n_tokens;
    dele_nudge_stop stop;
    int rounds;
    size_t written[2];     /* tokens by writer, as the counter counts each span */
    size_t passes[2];      /* forward passes of the nudger and of the base */
    size_t rows[2];        /* and their rows */
    size_t base_questions; /* different contexts after which the base's next token was needed: its
                            * passes if each took one */
    size_t base_fetched;   /* tokens that the released code, which fetches `window` of them each
                            * time, would have asked the base for */
    double seconds;
} dele_nudge_result;

#endif
