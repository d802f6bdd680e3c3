#include "trace/partners.h"

#include <ctype.h>
#include <string.h>

lac_status lac_prompt_encode(lac_ids *ids, const lac_fact *fact, const lac_tokenizer *t, lac_chat chat, lac_arena *arena,
                             lac_err *err)
{
    const char *text = chat == LAC_CHAT_NONE ? fact->prompt : lac_chat_prompt(chat, fact->prompt, arena, err);
    return text ? lac_encode(ids, t, text, strlen(text), chat == LAC_CHAT_NONE, arena, err) : err->code;
}

lac_encoded_fact *lac_facts_encode(const lac_facts *facts, const lac_tokenizer *t, lac_chat chat, lac_arena *arena,
                                   lac_err *err)
{
    lac_encoded_fact *all = LAC_NEW(arena, lac_encoded_fact, facts->n + 1, err);
    for (size_t i = 0; all && i < facts->n; i++) {
        lac_err unfound = {0};
        if (lac_prompt_encode(&all[i].ids, &facts->fact[i], t, chat, arena, err)) return NULL;
        if (!all[i].ids.n || lac_subject_range_behind(&all[i].begin, &all[i].end, t, &all[i].ids, lac_chat_head(chat),
                                                      facts->fact[i].subject, arena, &unfound))
            all[i].begin = all[i].end = 0;
        if (unfound.code == LAC_ERR_MEMORY) {
            lac_fail(err, unfound.code, "%s", unfound.msg);
            return NULL;
        }
    }
    return all;
}

static bool pairs(const lac_encoded_fact *a, const lac_encoded_fact *b)
{
    if (a->ids.n != b->ids.n || a->begin != b->begin || a->end != b->end || a->end == a->begin) return false;
    for (int t = 0; t < (int)a->ids.n; t++)
        if ((t < a->begin || t >= a->end) && a->ids.id[t] != b->ids.id[t]) return false;
    return true;
}

const char *lac_stripped(size_t *n, const char *text)
{
    while (isspace((unsigned char)*text)) text++;
    *n = strlen(text);
    while (*n && isspace((unsigned char)text[*n - 1])) --*n;
    return text;
}

/* White space around an attribute is no part of the answer. */
static bool same_answer(const lac_fact *a, const lac_fact *b)
{
    size_t n, m;
    const char *x = lac_stripped(&n, a->attribute), *y = lac_stripped(&m, b->attribute);
    return n == m && !memcmp(x, y, n);
}

size_t lac_partner(const lac_facts *facts, const lac_encoded_fact *encoded, size_t i, size_t after)
{
    for (size_t k = (after + 1) % facts->n; k != i; k = (k + 1) % facts->n)
        if (pairs(&encoded[i], &encoded[k]) && !same_answer(&facts->fact[i], &facts->fact[k])) return k;
    return facts->n;
}
