/* The two tables of a BPE vocabulary, both open addressing with linear probing and at most half
 * full:
 *
 *   string      -> id           a token's bytes, FNV-1a
 *   (id, id)    -> rank, id     a merge, the pair as one 64-bit key, multiplied by an odd
 *                               constant */
#include "text/vocab.h"

#include <string.h>

static size_t table_size(size_t n)
{
    size_t size = 16;
    while (size < 2 * n + 2) size *= 2;
    return size;
}

static uint64_t hash_bytes(const char *text, size_t n)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    return h ^ h >> 29;
}

dele_status dele_vocab_init(dele_vocab *v, size_t n, dele_arena *arena, dele_err *err)
{
    size_t size = table_size(n);
    v->slot = DELE_NEW(arena, int, size, err);
    v->mask = size - 1;
    return v->slot ? DELE_OK : DELE_ERR_MEMORY;
}

/* The slot of a string, or an empty one where it would be. */
static int *slot_of(const dele_vocab *v, const dele_text_span *token, const char *text, size_t n)
{
    size_t at = hash_bytes(text, n) & v->mask;
    for (; v->slot[at]; at = (at + 1) & v->mask) {
        const dele_text_span *s = &token[v->slot[at] - 1];
        if (s->n == n && !memcmp(s->text, text, n)) break;
    }
    return &v->slot[at];
}

bool dele_vocab_add(dele_vocab *v, const dele_text_span *token, int id)
{
    int *slot = slot_of(v, token, token[id].text, token[id].n);
    if (*slot) return false;
    *slot = id + 1;
    return true;
}

void dele_vocab_put(dele_vocab *v, const dele_text_span *token, int id)
{
    *slot_of(v, token, token[id].text, token[id].n) = id + 1;
}

int dele_vocab_find(const dele_vocab *v, const dele_text_span *token, const char *text, size_t n)
{
    return *slot_of(v, token, text, n) - 1;
}

static uint64_t pair_key(int left, int right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static size_t hash_pair(uint64_t key)
{
    key *= 0x9e3779b97f4a7c15u;
    return (size_t)(key ^ key >> 32);
}

dele_status dele_merges_init(dele_merges *m, size_t n, dele_arena *arena, dele_err *err)
{
    size_t size = table_size(n);
    m->slot = DELE_NEW(arena, dele_merge, size, err);
    m->mask = size - 1;
    if (!m->slot) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < size; i++) m->slot[i].key = DELE_NO_PAIR;
    return DELE_OK;
}

void dele_merges_add(dele_merges *m, int left, int right, int rank, int id)
{
    uint64_t key = pair_key(left, right);
    size_t at = hash_pair(key) & m->mask;
    while (m->slot[at].key != DELE_NO_PAIR && m->slot[at].key != key) at = (at + 1) & m->mask;
    m->slot[at] = (dele_merge){key, rank, id};
}

const dele_merge *dele_merges_find(const dele_merges *m, int left, int right)
{
    uint64_t key = pair_key(left, right);
    for (size_t at = hash_pair(key) & m->mask; m->slot[at].key != DELE_NO_PAIR;
         at = (at + 1) & m->mask)
        if (m->slot[at].key == key) return &m->slot[at];
    return NULL;
}
