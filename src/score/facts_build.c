#include "score/facts_build.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "template/pytext.h"
#include "text/people.h"
#include "text/row_texts.h"

/* ---- rows ------------------------------------------------------------------------------------ */

/* text without white space at either end and, on request, without one full stop at its end. */
static const char *tidy(const char *text, bool full_stop, dele_arena *arena, dele_err *err)
{
    char *tidied = dele_strip(text, arena, err);
    size_t n = tidied ? strlen(tidied) : 0;
    if (full_stop && n > 1 && tidied[n - 1] == '.') tidied[dele_rstrip(tidied, n - 1)] = '\0';
    return tidied;
}

static dele_status add_row(dele_qa *qa, dele_qa_row row, dele_arena *arena, dele_err *err)
{
    if (qa->n == qa->capacity) {
        size_t capacity = qa->capacity ? 2 * qa->capacity : 256;
        dele_qa_row *grown = DELE_NEW(arena, dele_qa_row, capacity, err);
        if (!grown) return DELE_ERR_MEMORY;
        if (qa->n) memcpy(grown, qa->row, qa->n * sizeof *grown);
        qa->row = grown;
        qa->capacity = capacity;
    }
    qa->row[qa->n++] = row;
    return DELE_OK;
}

/* Adds the row, or is an error that names its file and line.  Blanks and the answer's full stop are
 * removed here once, so that everything after compares equal texts. */
static dele_status read_row(dele_qa *qa, const dele_records *r, const cJSON *json,
                            const char *split, dele_arena *arena, dele_err *err)
{
    dele_row_texts texts;
    if (!dele_row_texts_of(&texts, json))
        return dele_fail(
            err, DELE_ERR_DATA,
            "%s:%d: no string fields \"input\" and \"output\" (or question and answer)", r->path,
            r->line);
    const char *id = dele_json_id(cJSON_GetObjectItemCaseSensitive(json, "id"), arena, err);
    dele_qa_row row = {.path = r->path, .split = split, .line = r->line};
    row.question = tidy(texts.prompt, false, arena, err);
    row.answer = tidy(texts.output, true, arena, err);
    row.id = id;
    if (err->code) return err->code;
    if (!*row.question || !*row.answer)
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: question and answer must not be empty",
                         r->path, r->line);
    return add_row(qa, row, arena, err);
}

dele_status dele_qa_add(dele_qa *qa, const char *path, const char *split, dele_arena *arena,
                        dele_err *err)
{
    const size_t before = qa->n;
    dele_records r = {0};
    dele_err own = {0}; /* a caller may pass NULL */
    dele_err *e = err ? err : &own;
    const char *kept = dele_strdup(arena, path, e);
    if (kept && !dele_records_open(&r, kept, e))
        for (const cJSON *row; (row = dele_records_next(&r, e));)
            if (read_row(qa, &r, row, split, arena, e)) break;
    dele_records_close(&r);
    if (!e->code && qa->n == before) dele_fail(e, DELE_ERR_DATA, "%s: no rows in this file", path);
    return e->code;
}

/* ---- relations ------------------------------------------------------------------------------- */

static const char *replace(const char *text, const char *what, const char *with, dele_arena *arena,
                           dele_err *err)
{
    size_t n = 0;
    for (const char *c = text; (c = strstr(c, what)); c += strlen(what)) n++;
    char *out = DELE_NEW(arena, char, strlen(text) + n * strlen(with) + 1, err), *to = out;
    for (const char *found; out && (found = strstr(text, what)); text = found + strlen(what))
        to = stpcpy(mempcpy(to, text, (size_t)(found - text)), with);
    if (out) strcpy(to, text);
    return out;
}

/* Finds the person that each question is about, and the relation: the question with {} in the place
 * of the name.  All questions are read at once, because names are found by their recurrence in
 * other questions (text/people.h).  A row without a person has no relation and no fact. */
static dele_status find_relations(dele_qa *qa, dele_arena *arena, dele_err *err)
{
    dele_person *person = DELE_NEW(arena, dele_person, qa->n, err);
    const char **question = DELE_NEW(arena, const char *, qa->n, err);
    if (!person || !question) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < qa->n; i++) question[i] = qa->row[i].question;
    dele_status status = dele_people_find(person, question, qa->n, arena, err);
    for (size_t i = 0; i < qa->n && !status; i++) {
        dele_qa_row *row = &qa->row[i];
        const dele_person *p = &person[i];
        row->fact = (dele_fact){.id = (int)i, .line = row->line, .split = row->split};
        row->outcome = p->end ? DELE_QA_KEPT : DELE_QA_NO_SUBJECT;
        if (!p->end) continue;
        row->fact.subject = dele_strndup(arena, row->question + p->begin, p->end - p->begin, err);
        row->relation =
            row->fact.subject ? replace(row->question, row->fact.subject, "{}", arena, err) : NULL;
        if (!row->relation) status = DELE_ERR_MEMORY;
    }
    return status;
}

/* Sorts rows by relation, then by person, then by their order in the file. */
static int by_relation(const void *a, const void *b)
{
    const dele_qa_row *x = *(dele_qa_row *const *)a, *y = *(dele_qa_row *const *)b;
    int order = strcmp(x->relation, y->relation);
    if (!order) order = strcmp(x->fact.subject, y->fact.subject);
    return order ? order : (x->fact.id > y->fact.id) - (x->fact.id < y->fact.id);
}

/* The number of bytes at the beginning of a's answer that b's answer shares; their own subjects
 * count as equal. */
static size_t in_common(const dele_qa_row *a, const dele_qa_row *b)
{
    const char *s = a->answer, *t = b->answer;
    const size_t n = strlen(a->fact.subject), m = strlen(b->fact.subject);
    while (*s) {
        if (!strncmp(s, a->fact.subject, n) && !strncmp(t, b->fact.subject, m)) {
            s += n;
            t += m;
        } else if (*s == *t) {
            s++;
            t++;
        } else {
            break;
        }
    }
    return (size_t)(s - a->answer);
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* The number of bytes that a row shares with nine in ten of the other people's rows of its group;
 * *others is their number. */
static size_t common_to_most(const dele_qa_row *row, dele_qa_row *const *group, size_t n,
                             size_t *lengths, size_t *others)
{
    *others = 0;
    for (size_t i = 0; i < n; i++)
        if (group[i]->outcome != DELE_QA_REPEATED &&
            strcmp(group[i]->fact.subject, row->fact.subject))
            lengths[(*others)++] = in_common(row, group[i]);
    if (*others == 0) return 0;
    qsort(lengths, *others, sizeof *lengths, by_size);
    return lengths[*others / 10];
}

/* ---- prompts --------------------------------------------------------------------------------- */

typedef struct {
    const dele_tokenizer *t;
    const dele_qa_opts *opts;
    dele_arena *arena;
    dele_err *err;
} building;

/* Whether the first n bytes of text, encoded alone, give the first m of ids. */
static bool encodes_to(const building *b, const char *text, size_t n, const dele_ids *ids, size_t m)
{
    dele_ids alone;
    return !dele_encode(&alone, b->t, text, n, true, b->arena, b->err) && alone.n == m &&
           !memcmp(alone.id, ids->id, m * sizeof *ids->id);
}

/* The number of bytes of text that the first m ids decode to; 0: they are not a prefix of it (they
 * end inside a character, for example). */
static size_t bytes_of(const building *b, const char *text, const dele_ids *ids, size_t m)
{
    const char *generated = dele_decode(b->t, ids->id, m, true, b->arena, b->err);
    return generated && !strncmp(generated, text, strlen(generated)) ? strlen(generated) : 0;
}

static bool is_blank(char c) { return c == ' '; }

/* The row's fact: `whole` is question, space and answer; its bytes up to `at` are the prompt, up to
 * `end` the rest. */
static dele_status write_fact(const building *b, dele_qa_row *row, const char *whole, size_t at,
                              size_t end)
{
    dele_fact *fact = &row->fact;
    const char *prompt = dele_strndup(b->arena, whole, at, b->err);
    const char *rest = dele_strndup(b->arena, whole + at, end - at, b->err);
    if (!prompt || !rest) return DELE_ERR_MEMORY;
    /* A reader puts exactly one space before an answer: check that the answer begins with one. */
    fact->joined =
        !is_blank(*rest) || dele_lstrip(rest + 1, strlen(rest + 1)) || is_blank(prompt[at - 1]);
    fact->prompt = prompt;
    fact->attribute = fact->joined ? rest : rest + 1;
    fact->relation = row->relation;
    fact->template = replace(prompt, fact->subject, "{}", b->arena, b->err);
    row->prediction = whole + at;
    if (!*fact->attribute) row->outcome = DELE_QA_NOT_CUT;
    return fact->template ? DELE_OK : DELE_ERR_MEMORY;
}

/* Splits the row after the last token that is within the first `common` bytes of its answer. */
static dele_status cut(const building *b, dele_qa_row *row, size_t common)
{
    dele_ids asked, all;
    const size_t n_question = strlen(row->question);
    const char *whole = dele_printf(b->arena, b->err, "%s %s", row->question, row->answer);
    if (!whole || dele_encode(&asked, b->t, row->question, n_question, true, b->arena, b->err) ||
        dele_encode(&all, b->t, whole, strlen(whole), true, b->arena, b->err))
        return b->err->code;
    size_t m = asked.n, at = n_question, end = strlen(whole);
    row->outcome = DELE_QA_NOT_CUT;
    if (all.n > (size_t)b->opts->context) row->outcome = DELE_QA_TOO_LONG;
    if (row->outcome == DELE_QA_TOO_LONG || !encodes_to(b, whole, at, &all, m)) return b->err->code;
    for (size_t k = m + 1, bytes; k < all.n; k++) {
        bytes = bytes_of(b, whole, &all, k);
        if (bytes > n_question + 1 + common) break;
        if (bytes > at) {
            m = k;
            at = bytes;
        }
    }
    size_t last = all.n;
    if (b->opts->first_token) {
        last = m + 1;
        end = bytes_of(b, whole, &all, last);
    }
    if (end <= at || !encodes_to(b, whole, at, &all, m) || !encodes_to(b, whole, end, &all, last))
        return b->err->code;
    row->outcome = DELE_QA_KEPT;
    row->answer_tokens = (int)(last - m);
    return write_fact(b, row, whole, at, end);
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* A letter or a digit of any script at text. */
static bool in_word(const char *text) { return *text != '_' && dele_word_at(text); }

static const char *next_character(const char *text)
{
    do text++;
    while (((unsigned char)*text & 0xc0) == 0x80);
    return text;
}

/* The next word at or after *at, in lower case; NULL at the end.  *capital: whether it begins with
 * a capital. */
static const char *next_word(const char **at, bool *capital, dele_arena *arena, dele_err *err)
{
    const char *begin = *at;
    while (*begin && !in_word(begin)) begin = next_character(begin);
    const char *end = begin;
    while (in_word(end)) end = next_character(end);
    *at = end;
    *capital = isupper((unsigned char)*begin);
    const char *text = end > begin ? dele_strndup(arena, begin, (size_t)(end - begin), err) : NULL;
    return text ? dele_lower(text, arena, err) : NULL;
}

/* Sets `copied` where the model could take the attribute's first word from the question (the rules
 * are in facts_build.h).  The subject's words are also compared as one word, as in e-mail
 * addresses; the room for that word is twice the name, because lower case may be longer. */
static dele_status find_copy(const building *b, dele_qa_row *row)
{
    bool capital;
    const char *at = row->prediction, *first = next_word(&at, &capital, b->arena, b->err), *w;
    if (!first) return b->err->code;
    char *together = DELE_NEW(b->arena, char, 2 * strlen(row->fact.subject) + 1,
                              b->err); /* lower case may be longer */
    if (!together) return DELE_ERR_MEMORY;
    for (at = row->fact.subject; (w = next_word(&at, &capital, b->arena, b->err));) {
        row->copied |= !strcmp(w, first) || (strlen(w) >= 3 && strstr(first, w));
        if (strlen(together) + strlen(w) <= 2 * strlen(row->fact.subject)) strcat(together, w);
    }
    row->copied |= strlen(first) > 1 && isalpha((unsigned char)*first) &&
                   !strncmp(together, first, strlen(first));
    at = row->question;
    next_word(&at, &capital, b->arena, b->err); /* the first word always has a capital */
    while ((w = next_word(&at, &capital, b->arena, b->err)))
        row->copied |= capital && !strcmp(w, first);
    if (row->copied && !b->opts->keep_copied) row->outcome = DELE_QA_COPIED;
    return b->err->code;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static dele_status build_row(const building *b, dele_qa_row *row, size_t common, size_t others)
{
    if (!others && !b->opts->keep_alone)
        row->outcome = DELE_QA_ALONE;
    else if (others && common >= strlen(row->answer))
        row->outcome = DELE_QA_SHARED;
    if (row->outcome != DELE_QA_KEPT || cut(b, row, common) || row->outcome != DELE_QA_KEPT)
        return b->err->code;
    return find_copy(b, row);
}

static dele_status build_group(const building *b, dele_qa_row **group, size_t n, size_t *lengths)
{
    for (size_t i = 1; i < n; i++)
        if (!strcmp(group[i]->fact.subject, group[i - 1]->fact.subject))
            group[i]->outcome = DELE_QA_REPEATED;
    for (size_t i = 0; i < n; i++) {
        size_t others, common = common_to_most(group[i], group, n, lengths, &others);
        if (group[i]->outcome == DELE_QA_KEPT && build_row(b, group[i], common, others))
            return b->err->code;
    }
    return DELE_OK;
}

dele_status dele_qa_build(dele_qa *qa, const dele_tokenizer *t, const dele_qa_opts *opts,
                          dele_arena *arena, dele_err *err)
{
    const building b = {.t = t, .opts = opts, .arena = arena, .err = err};
    dele_qa_row **order = DELE_NEW(arena, dele_qa_row *, qa->n, err);
    size_t *lengths = DELE_NEW(arena, size_t, qa->n, err), n = 0;
    if (!order || !lengths || find_relations(qa, arena, err)) return err->code;
    for (size_t i = 0; i < qa->n; i++)
        if (qa->row[i].outcome == DELE_QA_KEPT) order[n++] = &qa->row[i];
    qsort(order, n, sizeof *order, by_relation);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && !strcmp(order[end]->relation, order[i]->relation);) end++;
        if (build_group(&b, order + i, end - i, lengths)) return err->code;
    }
    return DELE_OK;
}

cJSON *dele_qa_json(const dele_qa_row *row)
{
    cJSON *json = dele_fact_json(&row->fact);
    bool ok = json && cJSON_AddStringToObject(json, "prediction", row->prediction) &&
              cJSON_AddNumberToObject(json, "answer_tokens", row->answer_tokens);
    if (ok && row->copied) ok = cJSON_AddTrueToObject(json, "copied");
    if (ok && row->id) ok = cJSON_AddStringToObject(json, "row_id", row->id);
    if (ok) return json;
    cJSON_Delete(json);
    return NULL;
}

const char *dele_qa_outcome_name(dele_qa_outcome outcome)
{
#define X(value, name, reason) name,
    static const char *const names[] = {DELE_QA_OUTCOMES(X)};
#undef X
    return names[outcome];
}

const char *dele_qa_outcome_reason(dele_qa_outcome outcome)
{
#define X(value, name, reason) reason,
    static const char *const reasons[] = {DELE_QA_OUTCOMES(X)};
#undef X
    return reasons[outcome];
}
