/* Fact files in ROME's format (known_1000.json and its kin): JSON array or JSONL of
 *   {known_id?, subject, attribute, prompt, template?, prediction?, relation_id?, paraphrase?, split?}
 * and where the subject stands among a prompt's tokens. */
#ifndef LAC_FACTS_H
#define LAC_FACTS_H

#include "model/model.h"

typedef struct {
    int id;             /* known_id, or the record's index */
    int line;           /* in the file, for messages */
    const char *prompt, *subject, *attribute;
    const char *paraphrase, *relation, *split; /* NULL where absent; split is "forget" or "retain" */
} lac_fact;

typedef struct {
    lac_fact *fact;
    size_t n;
    const char *path;
} lac_facts;

/* The subject must stand in the prompt (else "file:line: ..."). */
lac_status lac_facts_load(lac_facts *facts, const char *path, lac_arena *arena, lac_err *err);

/* Tokens [*begin, *end) of ids that hold the subject's first occurrence, as ROME finds them: every token decoded
 * alone, joined, the first token whose running end passes the start, the first whose running end reaches the end. */
lac_status lac_subject_range(int *begin, int *end, const lac_tokenizer *t, const lac_ids *ids, const char *subject,
                             lac_arena *arena, lac_err *err);

#endif
