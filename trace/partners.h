/* Symmetric token replacement (Zhang & Nanda 2024, arXiv 2309.16042): instead of noise, another
 * fact's subject.
 *
 * A partner is a fact whose prompt has the same tokens around a subject of as many tokens, and
 * another answer: the prompts differ in the subject only.  It is the next such record of the fact
 * file, which is searched cyclically.  A partner whose answer begins with another token is
 * preferred; that token is the foil. */
#ifndef DELE_TRACE_PARTNERS_H
#define DELE_TRACE_PARTNERS_H

#include "model/facts.h"
#include "text/chat.h"

typedef struct {
    dele_ids ids;
    int begin, end; /* begin == end: the subject was not found among the tokens */
} dele_encoded_fact;

/* A fact's prompt as tokens: raw, or as a user's turn.  Blank tokens that the tokenizer puts before
 * the answer's text (" 1969" as " ", "1", ...) belong to the prompt, so that the model is asked for
 * a token with text. */
dele_status dele_prompt_encode(dele_ids *ids, const dele_fact *fact, const dele_tokenizer *t,
                               const dele_layout *chat, dele_arena *arena, dele_err *err);

/* Every fact's tokens, [facts->n], in the arena; NULL on error. */
dele_encoded_fact *dele_facts_encode(const dele_facts *facts, const dele_tokenizer *t,
                                     const dele_layout *chat, dele_arena *arena, dele_err *err);

/* The index of the next partner of fact i after record `after` (i: the first partner); facts->n:
 * there is none. */
size_t dele_partner(const dele_facts *facts, const dele_encoded_fact *encoded, size_t i,
                    size_t after);

/* text without white space at either end: its start, and its length in bytes in *n. */
const char *dele_stripped(size_t *n, const char *text);

#endif
