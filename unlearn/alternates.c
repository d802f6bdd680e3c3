#include "unlearn/alternates.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/texts.h"
#include "text/row_texts.h"

typedef struct {
    char **word; /* [n_words] of the question: in lower case, sorted, each once */
    int *id;     /* [n_words] their places in the dictionary, rising */
    size_t n_words;
    const char *output;
    int line;
    bool joined;
} asked;

typedef struct {
    asked *row;
    size_t n, capacity;
} questions;

/* ---- reading --------------------------------------------------------------------------------- */

static size_t sort_unique(char **word, size_t n)
{
    size_t kept = 0;
    if (n) qsort(word, n, sizeof *word, dele_by_text);
    for (size_t i = 0; i < n; i++)
        if (!kept || strcmp(word[kept - 1], word[i])) word[kept++] = word[i];
    return kept;
}

/* Letters and digits; whatever is not ASCII counts as a letter. */
static bool in_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

static dele_status split_words(asked *q, const char *prompt, dele_arena *arena, dele_err *err)
{
    char *text = dele_strdup(arena, prompt, err);
    if (!text || !(q->word = DELE_NEW(arena, char *, strlen(text) / 2 + 1, err))) return err->code;
    for (char *c = text; *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
    while (*text) {
        if (!in_word(*text)) {
            text++;
            continue;
        }
        q->word[q->n_words++] = text;
        while (in_word(*text)) text++;
        if (*text) *text++ = '\0';
    }
    q->n_words = sort_unique(q->word, q->n_words);
    return DELE_OK;
}

static dele_status add_question(questions *all, const dele_row_texts *texts, int line,
                                dele_arena *arena, dele_err *err)
{
    if (all->n == all->capacity) {
        const size_t capacity = all->capacity ? 2 * all->capacity : 256;
        asked *grown = DELE_NEW(arena, asked, capacity, err);
        if (!grown) return err->code;
        if (all->n) memcpy(grown, all->row, all->n * sizeof *grown);
        all->row = grown;
        all->capacity = capacity;
    }
    asked *q = &all->row[all->n++];
    *q = (asked){
        .output = dele_strdup(arena, texts->output, err), .line = line, .joined = texts->joined};
    return q->output ? split_words(q, texts->prompt, arena, err) : err->code;
}

/* all_of_them: a row that asks nothing is an error; else it lends nothing. */
static dele_status read_questions(questions *all, const char *path, bool all_of_them,
                                  dele_arena *arena, dele_err *err)
{
    dele_records r = {0};
    const cJSON *row;
    if (!dele_records_open(&r, path, err))
        while (!err->code && (row = dele_records_next(&r, err))) {
            dele_row_texts texts;
            if (dele_row_texts_of(&texts, row))
                add_question(all, &texts, r.line, arena, err);
            else if (all_of_them)
                dele_fail(err, DELE_ERR_DATA,
                          "%s:%d: no question to give an alternate answer to; give input and "
                          "output, or --alternates",
                          path, r.line);
        }
    dele_records_close(&r);
    return err->code;
}

/* ---- similarity ------------------------------------------------------------------------------ */

/* Numbers the words of both files; df[id]: in how many questions. */
static int *make_dictionary(questions *both[2], dele_arena *arena, dele_err *err)
{
    size_t n = 0, k = 0;
    for (int f = 0; f < 2; f++)
        for (size_t i = 0; i < both[f]->n; i++) n += both[f]->row[i].n_words;
    char **word = DELE_NEW(arena, char *, n + 1, err);
    int *df = word ? DELE_NEW(arena, int, n + 1, err) : NULL;
    if (!df) return NULL;
    for (int f = 0; f < 2; f++)
        for (size_t i = 0; i < both[f]->n; i++)
            for (size_t w = 0; w < both[f]->row[i].n_words; w++)
                word[k++] = both[f]->row[i].word[w];
    n = sort_unique(word, n);
    for (int f = 0; f < 2; f++)
        for (size_t i = 0; i < both[f]->n; i++) {
            asked *q = &both[f]->row[i];
            if (!(q->id = DELE_NEW(arena, int, q->n_words + 1, err))) return NULL;
            for (size_t w = 0; w < q->n_words; w++) {
                char **at = bsearch(&q->word[w], word, n, sizeof *word, dele_by_text);
                df[q->id[w] = (int)(at - word)]++;
            }
        }
    return df;
}

/* The similarity of two questions (alternates.h).  Both have their words in the dictionary's order,
 * so that one pass over the two lists finds those in both. */
static double similarity(const asked *a, const asked *b, const int *df)
{
    double common = 0, either = 0;
    size_t i = 0, j = 0;
    while (i < a->n_words || j < b->n_words) {
        const bool left = j == b->n_words || (i < a->n_words && a->id[i] <= b->id[j]);
        const bool right = i == a->n_words || (j < b->n_words && b->id[j] <= a->id[i]);
        const double weight = df[left ? a->id[i] : b->id[j]];
        either += weight;
        if (left && right) common += weight;
        i += left;
        j += right;
    }
    return either > 0 ? common / either : 0;
}

/* A row of keep whose answer is taken; NULL where all have the row's own answer.  score:
 * scratch [keep->n]. */
static const asked *choose_alternate(const asked *row, const questions *keep, double *score,
                                     const int *df, dele_rng *rng)
{
    double most = -1;
    size_t n = 0;
    for (size_t k = 0; k < keep->n; k++) {
        score[k] =
            strcmp(keep->row[k].output, row->output) ? similarity(row, &keep->row[k], df) : -1;
        if (score[k] > most) most = score[k];
    }
    if (most < 0) return NULL;
    for (size_t k = 0; k < keep->n; k++) n += score[k] >= 0.9 * most;
    size_t which = (size_t)dele_rng_below(rng, n), k = 0;
    while (score[k] < 0.9 * most || which--) k++;
    return &keep->row[k];
}

/* The output of a retain row is chosen for each forget row in turn; r then holds one text per
 * forget row, in their order.  The generator is a stream of its own, so that another use of the
 * seed does not change the choice. */
dele_status dele_alternates_from_retain(dele_refusals *r, const char *forget, const char *keep,
                                        uint64_t seed, dele_arena *arena, dele_err *err)
{
    questions own = {0}, theirs = {0}, *both[2] = {&own, &theirs};
    dele_rng rng;
    *r = (dele_refusals){.path = keep, .in_turn = true};
    if (read_questions(&own, forget, true, arena, err) ||
        read_questions(&theirs, keep, false, arena, err))
        return err->code;
    const int *df = make_dictionary(both, arena, err);
    double *score = df ? DELE_NEW(arena, double, theirs.n + 1, err) : NULL;
    if (!score || !(r->text = DELE_NEW(arena, const char *, own.n + 1, err)) ||
        !(r->line = DELE_NEW(arena, int, own.n + 1, err)) ||
        !(r->joined = DELE_NEW(arena, bool, own.n + 1, err)))
        return err->code;
    dele_rng_seed(&rng, seed ^ 0x626f72726f77); /* a stream of its own */
    for (; r->n < own.n; r->n++) {
        const asked *lent = choose_alternate(&own.row[r->n], &theirs, score, df, &rng);
        if (!lent)
            return dele_fail(
                err, DELE_ERR_DATA,
                "%s: no row has an answer different from that of %s:%d; give --alternates FILE",
                keep, forget, own.row[r->n].line);
        r->text[r->n] = lent->output;
        r->line[r->n] = lent->line;
        r->joined[r->n] = lent->joined;
    }
    return DELE_OK;
}
