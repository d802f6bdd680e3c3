/* Fact files: a JSON array or JSONL of records in one of three forms.  The first record's fields
 * determine the form; all records must have it.
 *
 *   ROME's (known_1000.json and its kin, Selective Amnesia's known_QA_T2.json)
 *     {subject, attribute, prompt, known_id?, template?, relation_id?, paraphrase?, split?, foil?,
 *     joined?}
 *
 *   CounterFact's, as published: known by its "requested_rewrite"
 *     {case_id, requested_rewrite {prompt "The mother tongue of {} is", relation_id, target_new
 *     {str},
 *      target_true {str}, subject}, paraphrase_prompts [..]}
 *
 *   EasyEdit's flat copy of it: known by its "ground_truth" and "target_new"
 *     {case_id, subject, prompt, ground_truth, target_new, rephrase_prompt?}
 *
 * In the last two forms the true target is the attribute, the new target the foil, and the first
 * paraphrase the paraphrase.
 *
 * This header also finds a subject among a prompt's tokens. */
#ifndef DELE_FACTS_H
#define DELE_FACTS_H

#include <cjson/cJSON.h>

#include "model/model.h"

typedef enum { DELE_FACTS_ROME, DELE_FACTS_COUNTERFACT, DELE_FACTS_EASYEDIT } dele_facts_form;

typedef struct {
    int id;   /* known_id or case_id, or the record's index */
    int line; /* in the file, for messages */
    const char *prompt, *subject, *attribute;
    const char *paraphrase, *relation,
        *split;           /* NULL where absent; split is "forget" or "retain" */
    const char *template; /* the prompt with {} for the subject, or NULL */
    const char *foil;     /* a wrong answer, or NULL */
    bool joined; /* the attribute follows the prompt at once ("... in 19", "84"); else a space is
                    between them */
} dele_fact;

typedef struct {
    dele_fact *fact;
    size_t n;
    const char *path;
    dele_facts_form form;
    const char *note; /* a remark for stderr about these facts (dele_facts_note), or NULL */
} dele_facts;

/* The subject must occur in the prompt (else "file:line: ..."). */
dele_status dele_facts_load(dele_facts *facts, const char *path, dele_arena *arena, dele_err *err);

/* A remark when every subject is one of the 25 people of Selective Amnesia's known_QA_T2.json and
 * not every record has "split": "retain".  Those people are all in LUME's retain set, so forgetting
 * cannot be measured on them.  The test compares names, so that a filtered or reformatted copy is
 * recognised too.  NULL otherwise. */
const char *dele_facts_note(const dele_facts *facts);

/* The fact as a record in ROME's form.  The caller owns it (cJSON_Delete); NULL: out of memory. */
cJSON *dele_fact_json(const dele_fact *fact);

/* Tokens [*begin, *end) of ids that hold the subject's first occurrence in the decoded text, from
 * the first token with a byte of the subject to the last; a character may be split between tokens.
 * Special tokens are left out, since a begin-of-text token may contain the subject's letters.  ROME
 * (causal_trace.py, find_token_range) decodes each token alone.  It finds the same tokens, except
 * where it fails with an error: on a split character, or on a blank that a Llama-style tokenizer
 * drops. */
dele_status dele_subject_range(int *begin, int *end, const dele_tokenizer *t, const dele_ids *ids,
                               const char *subject, dele_arena *arena, dele_err *err);

/* The same after `head`, the text that the ids begin with (dele_chat_head): a chat layout's own
 * words are not a subject. */
dele_status dele_subject_range_after(int *begin, int *end, const dele_tokenizer *t,
                                     const dele_ids *ids, const char *head, const char *subject,
                                     dele_arena *arena, dele_err *err);

#endif
