/* Symmetric token replacement (Zhang & Nanda 2024, arXiv 2309.16042): instead of noise, another fact's subject.
 *
 * A partner has the same tokens around a subject of as many tokens, and another answer: the prompts differ in the
 * subject alone.  It is looked for in the fact file: the next such record, beginning again at the file's start.  Where
 * there are several, one whose answer begins with another token too comes before the others: that token is the foil. */
#ifndef LAC_TRACE_PARTNERS_H
#define LAC_TRACE_PARTNERS_H

#include "model/facts.h"

typedef struct {
    lac_ids ids;
    int begin, end; /* begin == end: the subject was not found among the tokens */
} lac_encoded_fact;

/* A fact's prompt as tokens: as it stands, or as a user's turn. */
lac_status lac_prompt_encode(lac_ids *ids, const lac_fact *fact, const lac_tokenizer *t, lac_chat chat, lac_arena *arena,
                             lac_err *err);

/* Every fact's tokens, [facts->n]; chat is LAC_CHAT_NONE for raw prompts. */
lac_encoded_fact *lac_facts_encode(const lac_facts *facts, const lac_tokenizer *t, lac_chat chat, lac_arena *arena,
                                   lac_err *err);

/* The index of fact i's next partner behind record `after` (i: its first one), or facts->n where there is none. */
size_t lac_partner(const lac_facts *facts, const lac_encoded_fact *encoded, size_t i, size_t after);

/* text without white space at either end. */
const char *lac_stripped(size_t *n, const char *text);

#endif
