/* Symmetric token replacement (Zhang & Nanda 2024, arXiv 2309.16042): instead of noise, another
 * fact's subject.
 *
 * A partner has the same tokens around a subject of as many tokens, and another answer: the prompts
 * differ in the subject alone.  It is looked for in the fact file: the next such record, beginning
 * again at the file's start.  Where there are several, one whose answer begins with another token
 * too comes before the others: that token is the foil. */
#ifndef DELE_TRACE_PARTNERS_H
#define DELE_TRACE_PARTNERS_H

#include "model/facts.h"
#include "text/chat.h"

typedef struct {
    dele_ids ids;
    int begin, end; /* begin == end: the subject was not found among the tokens */
} dele_encoded_fact;

/* A fact's prompt as tokens: as it stands, or as a user's turn; and behind it the lone blanks that
 * the tokenizer puts before the answer's text, where it puts some (" 1969" as " ", "1", ...): the
 * token that the model is asked for says something. */
dele_status dele_prompt_encode(dele_ids *ids, const dele_fact *fact, const dele_tokenizer *t,
                               dele_chat chat, dele_arena *arena, dele_err *err);

/* Every fact's tokens, [facts->n]; chat is DELE_CHAT_NONE for raw prompts. */
dele_encoded_fact *dele_facts_encode(const dele_facts *facts, const dele_tokenizer *t,
                                     dele_chat chat, dele_arena *arena, dele_err *err);

/* The index of fact i's next partner behind record `after` (i: its first one), or facts->n where
 * there is none. */
size_t dele_partner(const dele_facts *facts, const dele_encoded_fact *encoded, size_t i,
                    size_t after);

/* text without white space at either end. */
const char *dele_stripped(size_t *n, const char *text);

#endif
