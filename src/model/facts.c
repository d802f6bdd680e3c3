/* Facts, and where a subject's tokens are (ROME, github.com/kmeng01/rome, causal_trace.py find_token_range). */
#include "model/facts.h"

#include <string.h>

#include "base/json.h"

/* ---- loading ---------------------------------------------------------------------------------------------------- */

/* A copy of an optional string field; NULL where absent or null. */
static const char *optional(const cJSON *row, const char *name, lac_arena *arena, lac_err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, name);
    return cJSON_IsString(item) ? lac_strdup(arena, item->valuestring, err) : NULL;
}

static lac_status read_fact(lac_fact *fact, const lac_records *r, const cJSON *row, int index, lac_arena *arena,
                            lac_err *err)
{
    const char *prompt = lac_record_string(r, row, "prompt", err);
    const char *subject = prompt ? lac_record_string(r, row, "subject", err) : NULL;
    const char *attribute = subject ? lac_record_string(r, row, "attribute", err) : NULL;
    if (!attribute) return LAC_ERR_DATA;
    if (!subject[0] || !attribute[0])
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: subject and attribute must not be empty", r->path, r->line);
    if (!strstr(prompt, subject))
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: the subject \"%.100s\" does not stand in the prompt \"%.200s\"",
                        r->path, r->line, subject, prompt);
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(row, "known_id");
    *fact = (lac_fact){.id = cJSON_IsNumber(id) ? id->valueint : index, .line = r->line};
    fact->prompt = lac_strdup(arena, prompt, err);
    fact->subject = lac_strdup(arena, subject, err);
    fact->attribute = lac_strdup(arena, attribute, err);
    fact->paraphrase = optional(row, "paraphrase", arena, err);
    fact->relation = optional(row, "relation_id", arena, err);
    fact->split = optional(row, "split", arena, err);
    if (!fact->prompt || !fact->subject || !fact->attribute) return LAC_ERR_MEMORY;
    if (fact->split && strcmp(fact->split, "forget") != 0 && strcmp(fact->split, "retain") != 0)
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: split \"%.40s\" is neither \"forget\" nor \"retain\"", r->path,
                        r->line, fact->split);
    return LAC_OK;
}

static lac_status push(lac_facts *facts, size_t *capacity, const lac_fact *fact, lac_arena *arena, lac_err *err)
{
    if (facts->n == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 256;
        lac_fact *grown = LAC_NEW(arena, lac_fact, more, err);
        if (!grown) return LAC_ERR_MEMORY;
        if (facts->n) memcpy(grown, facts->fact, facts->n * sizeof *grown);
        facts->fact = grown;
        *capacity = more;
    }
    facts->fact[facts->n++] = *fact;
    return LAC_OK;
}

lac_status lac_facts_load(lac_facts *facts, const char *path, lac_arena *arena, lac_err *err)
{
    lac_err mine = {0};
    lac_records r = {0};
    size_t capacity = 0;
    *facts = (lac_facts){.path = lac_strdup(arena, path, &mine)};
    lac_status status = facts->path ? lac_records_open(&r, facts->path, &mine) : LAC_ERR_MEMORY;
    const cJSON *row;
    while (!status && (row = lac_records_next(&r, &mine))) {
        lac_fact fact;
        status = read_fact(&fact, &r, row, (int)facts->n, arena, &mine);
        if (!status) status = push(facts, &capacity, &fact, arena, &mine);
    }
    lac_records_close(&r);
    if (!mine.code && facts->n == 0) lac_fail(&mine, LAC_ERR_DATA, "%s: no facts in this file", path);
    if (mine.code) return lac_fail(err, mine.code, "%s", mine.msg);
    return LAC_OK;
}

/* ---- the subject's tokens ---------------------------------------------------------------------------------------- */

static char *drop_blanks(char *text)
{
    char *to = text;
    for (const char *from = text; from && *from; from++)
        if (*from != ' ') *to++ = *from;
    if (text) *to = '\0';
    return text;
}

lac_status lac_subject_range(int *begin, int *end, const lac_tokenizer *t, const lac_ids *ids, const char *subject,
                             lac_arena *arena, lac_err *err)
{
    /* Every token alone, then their join, as ROME does: a character split between tokens becomes several U+FFFD in
     * it.  Where ROME stops, because a Llama-style tokenizer drops each token's leading blank, blanks do not count. */
    const char **piece = LAC_NEW(arena, const char *, ids->n + 1, err);
    if (!piece) return LAC_ERR_MEMORY;
    size_t total = 0;
    for (size_t i = 0; i < ids->n; i++) {
        if (!(piece[i] = lac_decode(t, &ids->id[i], 1, false, arena, err))) return err ? err->code : LAC_ERR_MEMORY;
        total += strlen(piece[i]);
    }
    char *whole = LAC_NEW(arena, char, total + 1, err);
    if (!whole) return LAC_ERR_MEMORY;
    for (size_t i = 0, at = 0; i < ids->n; at += strlen(piece[i]), i++) memcpy(whole + at, piece[i], strlen(piece[i]));

    const char *found = subject[0] ? strstr(whole, subject) : NULL;
    if (!found && subject[0]) {
        char *bare = lac_strdup(arena, subject, err);
        if (!bare) return LAC_ERR_MEMORY;
        for (size_t i = 0; i < ids->n; i++)
            if (!(piece[i] = drop_blanks(lac_strdup(arena, piece[i], err)))) return LAC_ERR_MEMORY;
        drop_blanks(whole);
        subject = drop_blanks(bare);
        found = subject[0] ? strstr(whole, subject) : NULL;
    }
    if (!found)
        return lac_fail(err, LAC_ERR_DATA, "the subject \"%.100s\" is not to be found in the decoded tokens \"%.200s\"",
                        subject, whole);
    size_t first = (size_t)(found - whole), last = first + strlen(subject), at = 0;
    *begin = *end = -1;
    for (size_t i = 0; i < ids->n && *end < 0; i++) {
        at += strlen(piece[i]);
        if (*begin < 0 && at > first) *begin = (int)i;
        if (at >= last) *end = (int)i + 1;
    }
    return LAC_OK;
}
