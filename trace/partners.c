#include "trace/partners.h"

#include <ctype.h>
#include <string.h>

#include "text/continuation.h"

dele_status dele_prompt_encode(dele_ids *ids, const dele_fact *fact, const dele_tokenizer *t,
                               const dele_layout *chat, dele_arena *arena, dele_err *err)
{
    dele_continued_ids both;
    size_t n;
    const char *stripped = dele_stripped(&n, fact->attribute),
               *answer = dele_strndup(arena, stripped, n, err);
    if (!answer ||
        dele_encode_answer(&both, t, chat, fact->prompt, answer, fact->joined, arena, err))
        return DELE_ERR_MEMORY;
    *ids = (dele_ids){both.id,
                      both.first + dele_blank_ids(t, both.id + both.first, both.n - both.first)};
    return DELE_OK;
}

dele_encoded_fact *dele_facts_encode(const dele_facts *facts, const dele_tokenizer *t,
                                     const dele_layout *chat, dele_arena *arena, dele_err *err)
{
    dele_encoded_fact *all = DELE_NEW(arena, dele_encoded_fact, facts->n + 1, err);
    for (size_t i = 0; all && i < facts->n; i++) {
        dele_err unfound = {0};
        if (dele_prompt_encode(&all[i].ids, &facts->fact[i], t, chat, arena, err)) return NULL;
        if (!all[i].ids.n ||
            dele_subject_range_after(&all[i].begin, &all[i].end, t, &all[i].ids,
                                     dele_chat_head(chat), facts->fact[i].subject, arena, &unfound))
            all[i].begin = all[i].end = 0;
        if (unfound.code == DELE_ERR_MEMORY) {
            dele_fail(err, unfound.code, "%s", unfound.msg);
            return NULL;
        }
    }
    return all;
}

static bool pairs(const dele_encoded_fact *a, const dele_encoded_fact *b)
{
    if (a->ids.n != b->ids.n || a->begin != b->begin || a->end != b->end || a->end == a->begin)
        return false;
    for (int t = 0; t < (int)a->ids.n; t++)
        if ((t < a->begin || t >= a->end) && a->ids.id[t] != b->ids.id[t]) return false;
    return true;
}

const char *dele_stripped(size_t *n, const char *text)
{
    while (isspace((unsigned char)*text)) text++;
    *n = strlen(text);
    while (*n && isspace((unsigned char)text[*n - 1])) --*n;
    return text;
}

/* White space around an attribute is no part of the answer. */
static bool same_answer(const dele_fact *a, const dele_fact *b)
{
    size_t n, m;
    const char *x = dele_stripped(&n, a->attribute), *y = dele_stripped(&m, b->attribute);
    return n == m && !memcmp(x, y, n);
}

size_t dele_partner(const dele_facts *facts, const dele_encoded_fact *encoded, size_t i,
                    size_t after)
{
    for (size_t k = (after + 1) % facts->n; k != i; k = (k + 1) % facts->n)
        if (pairs(&encoded[i], &encoded[k]) && !same_answer(&facts->fact[i], &facts->fact[k]))
            return k;
    return facts->n;
}
