#include "text/people.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/unicode.h"

enum { MAX_WORDS = 6 }; /* of a name */

/* ---- words ----------------------------------------------------------------------------------- */

typedef struct {
    size_t begin, end;  /* without the punctuation around it */
    bool capital;       /* begins with one */
    bool first;         /* of a sentence */
    bool cut, cut_next; /* something other than a blank comes before it, after it */
} word;

typedef struct {
    word *word;
    size_t n;
} words;

/* Bytes of punctuation at text's beginning: ASCII's, and the curly quotation marks. */
static size_t punctuation(const char *text, size_t n)
{
    if (n == 0) return 0;
    if (ispunct((unsigned char)text[0])) return 1;
    return n >= 3 && !memcmp(text, "\xe2\x80", 2) && strchr("\x98\x99\x9c\x9d", text[2]) ? 3 : 0;
}

static size_t trailing_punctuation(const char *text, size_t n)
{
    if (n == 0) return 0;
    if (ispunct((unsigned char)text[n - 1])) return 1;
    return n >= 3 && punctuation(text + n - 3, 3) == 3 ? 3 : 0;
}

static bool drop(word *w, const char *text, const char *suffix)
{
    size_t n = strlen(suffix);
    if (w->end - w->begin <= n || memcmp(text + w->end - n, suffix, n)) return false;
    w->end -= n;
    return true;
}

/* Removes the punctuation around a word of n > 0 bytes at text + begin; an initial keeps its full
 * stop. */
static word trim(const char *text, size_t begin, size_t end)
{
    word w = {.begin = begin, .end = end};
    for (size_t k; (k = punctuation(text + w.begin, w.end - w.begin)); w.cut = true) w.begin += k;
    for (size_t k; (k = trailing_punctuation(text + w.begin, w.end - w.begin)); w.cut_next = true) {
        if (text[w.end - 1] == '.' && w.end - w.begin == 2) break;
        w.end -= k;
    }
    w.cut_next |= drop(&w, text, "'s") || drop(&w, text, "\xe2\x80\x99s");
    if (w.end > w.begin) {
        size_t used;
        w.capital = utf8proc_category(dele_utf8_next(text + w.begin, w.end - w.begin, &used)) ==
                    UTF8PROC_CATEGORY_LU;
    }
    return w;
}

static dele_status split(words *out, const char *text, dele_arena *arena, dele_err *err)
{
    size_t n = strlen(text);
    bool first = true;
    *out = (words){.word = DELE_NEW(arena, word, n / 2 + 1, err)};
    if (!out->word) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n;) {
        size_t end = i + strcspn(text + i, " \t\r\n\v\f");
        if (end > i) {
            word w = trim(text, i, end);
            w.first = first;
            first = strchr(".?!:", text[end - 1]) && !(text[end - 1] == '.' && w.end == end);
            if (w.end > w.begin) out->word[out->n++] = w;
        }
        i = end + (end < n);
    }
    return DELE_OK;
}

/* ---- hashes ---------------------------------------------------------------------------------- */

static uint64_t hash(uint64_t h, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001b3u; /* FNV-1a */
    return h;
}

enum { SEED = 0x51ed27 };

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The words that occur in lower case somewhere. */
typedef struct {
    uint64_t *hash;
    size_t n;
} small_words;

static dele_status collect_small(small_words *small, const words *w, const char *const *question,
                                 size_t n, dele_arena *arena, dele_err *err)
{
    size_t total = 0;
    for (size_t q = 0; q < n; q++) total += w[q].n;
    small->hash = DELE_NEW(arena, uint64_t, total + 1, err);
    if (!small->hash) return DELE_ERR_MEMORY;
    for (size_t q = 0; q < n; q++)
        for (const word *x = w[q].word; x < w[q].word + w[q].n; x++)
            if (!x->capital)
                small->hash[small->n++] = hash(SEED, question[q] + x->begin, x->end - x->begin);
    qsort(small->hash, small->n, sizeof *small->hash, by_value);
    return DELE_OK;
}

static bool stands_small(const small_words *small, const char *text, const word *w)
{
    char lower[8];
    size_t used, n;
    n = dele_utf8_put(lower,
                      utf8proc_tolower(dele_utf8_next(text + w->begin, w->end - w->begin, &used)));
    uint64_t h = hash(hash(SEED, lower, n), text + w->begin + used, w->end - w->begin - used);
    return bsearch(&h, small->hash, small->n, sizeof h, by_value) != NULL;
}

/* ---- runs ------------------------------------------------------------------------------------ */

typedef struct {
    size_t question, begin, end;
    uint64_t name, frame;       /* hashes of the run and of what is around it */
    size_t in_frame, questions; /* other runs in its frame, questions in which it occurs */
    bool best;
} run;

typedef struct {
    run *run;
    size_t n, capacity;
} runs;

static dele_status add_run(runs *out, run r, dele_arena *arena, dele_err *err)
{
    if (out->n == out->capacity) {
        size_t capacity = out->capacity ? 2 * out->capacity : 1024;
        run *grown = DELE_NEW(arena, run, capacity, err);
        if (!grown) return DELE_ERR_MEMORY;
        if (out->n) memcpy(grown, out->run, out->n * sizeof *grown);
        out->run = grown;
        out->capacity = capacity;
    }
    out->run[out->n++] = r;
    return DELE_OK;
}

static bool is_name(const small_words *small, const char *text, const word *w)
{
    return w->capital && !(w->first && stands_small(small, text, w));
}

static bool is_particle(const char *text, const word *w)
{
    static const char *const particles[] = {"al", "bin", "da", "de", "del", "den", "der", "di",
                                            "el", "ibn", "la", "le", "van", "von", "y"};
    for (size_t i = 0; i < sizeof particles / sizeof *particles; i++)
        if (strlen(particles[i]) == w->end - w->begin &&
            !memcmp(particles[i], text + w->begin, w->end - w->begin))
            return true;
    return false;
}

/* Hashes of all prefixes and suffixes of a text, so that the hash of each run's frame takes
 * constant time.  Hashing each frame from scratch would take the square of a question's length. */
typedef struct {
    uint64_t *before; /* [capacity] of text[0, i) */
    uint64_t *after;  /* [capacity] of text[i, n), from its end */
    size_t capacity;
} frames;

static dele_status hash_frames(frames *f, const char *text, dele_arena *arena, dele_err *err)
{
    const size_t n = strlen(text);
    if (n + 1 > f->capacity) {
        f->capacity = 2 * (n + 1);
        f->before = DELE_NEW(arena, uint64_t, f->capacity, err);
        f->after = DELE_NEW(arena, uint64_t, f->capacity, err);
        if (!f->before || !f->after) return DELE_ERR_MEMORY;
    }
    f->before[0] = SEED;
    f->after[n] = SEED ^ 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n; i++) f->before[i + 1] = hash(f->before[i], text + i, 1);
    for (size_t i = n; i > 0; i--) f->after[i - 1] = hash(f->after[i], text + i - 1, 1);
    return DELE_OK;
}

/* Adds every run of question q that begins with word number `from`. */
static dele_status runs_from(runs *out, size_t q, size_t from, const words *w,
                             const small_words *small, const char *text, const frames *f,
                             dele_arena *arena, dele_err *err)
{
    if (!is_name(small, text, &w->word[from])) return DELE_OK;
    for (size_t i = from + 1; i < w->n && i < from + MAX_WORDS; i++) {
        const word *x = &w->word[i];
        if (w->word[i - 1].cut_next || x->cut) break;
        if (is_particle(text, x)) continue;
        if (!is_name(small, text, x)) break;
        run r = {.question = q, .begin = w->word[from].begin, .end = x->end};
        r.name = hash(SEED, text + r.begin, r.end - r.begin);
        r.frame = (f->before[r.begin] ^ f->after[r.end]) * 0x9e3779b97f4a7c15u ^ f->after[r.end];
        if (add_run(out, r, arena, err)) return DELE_ERR_MEMORY;
    }
    return DELE_OK;
}

#define COMPARE(a, b) ((a) < (b) ? -1 : (a) > (b))

static int by_frame(const void *a, const void *b)
{
    const run *x = a, *y = b;
    return x->frame != y->frame ? COMPARE(x->frame, y->frame) : COMPARE(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    const run *x = a, *y = b;
    return x->name != y->name ? COMPARE(x->name, y->name) : COMPARE(x->question, y->question);
}

/* Sorts the best run of a question first. */
static int by_question(const void *a, const void *b)
{
    const run *x = a, *y = b;
    if (x->question != y->question) return COMPARE(x->question, y->question);
    if (x->in_frame != y->in_frame) return COMPARE(y->in_frame, x->in_frame);
    if (x->questions != y->questions) return COMPARE(y->questions, x->questions);
    if (x->end - x->begin != y->end - y->begin)
        return COMPARE(y->end - y->begin, x->end - x->begin);
    return COMPARE(x->begin, y->begin);
}

/* Counts the different names in each frame, without the run's own. */
static void count_frames(runs *r)
{
    qsort(r->run, r->n, sizeof *r->run, by_frame);
    for (size_t i = 0, end; i < r->n; i = end) {
        size_t names = 0;
        for (end = i; end < r->n && r->run[end].frame == r->run[i].frame; end++)
            names += end > i && r->run[end].name != r->run[end - 1].name;
        for (size_t k = i; k < end; k++) r->run[k].in_frame = names;
    }
}

/* Counts the questions in which each name occurs; with `settle`, a name that is not a person is no
 * longer a best run. */
static void count_names(runs *r, bool settle)
{
    qsort(r->run, r->n, sizeof *r->run, by_name);
    for (size_t i = 0, end; i < r->n; i = end) {
        size_t questions = 0, best = 0, in_frame = 0;
        for (end = i; end < r->n && r->run[end].name == r->run[i].name; end++) {
            questions += end == i || r->run[end].question != r->run[end - 1].question;
            best += r->run[end].best;
            if (r->run[end].best && r->run[end].in_frame > in_frame)
                in_frame = r->run[end].in_frame;
        }
        bool person = 2 * best >= questions && (best > 1 || in_frame > 0);
        for (size_t k = i; k < end; k++) {
            r->run[k].questions = questions;
            if (settle) r->run[k].best &= person;
        }
    }
}

dele_status dele_people_find(dele_person *person, const char *const *question, size_t n,
                             dele_arena *arena, dele_err *err)
{
    runs r = {0};
    small_words small = {0};
    frames f = {0};
    words *w = DELE_NEW(arena, words, n ? n : 1, err);
    dele_status status = w ? DELE_OK : DELE_ERR_MEMORY;
    for (size_t q = 0; q < n && !status; q++) status = split(&w[q], question[q], arena, err);
    if (!status) status = collect_small(&small, w, question, n, arena, err);
    for (size_t q = 0; q < n && !status; q++) {
        status = hash_frames(&f, question[q], arena, err);
        for (size_t i = 0; i < w[q].n && !status; i++)
            status = runs_from(&r, q, i, &w[q], &small, question[q], &f, arena, err);
    }
    if (status) return status;
    memset(person, 0, n * sizeof *person);
    if (r.n == 0) return DELE_OK;
    count_frames(&r);
    count_names(&r, false);
    qsort(r.run, r.n, sizeof *r.run, by_question);
    for (size_t i = 0; i < r.n; i++)
        r.run[i].best = i == 0 || r.run[i].question != r.run[i - 1].question;
    count_names(&r, true);
    for (size_t i = 0; i < r.n; i++)
        if (r.run[i].best) person[r.run[i].question] = (dele_person){r.run[i].begin, r.run[i].end};
    return DELE_OK;
}
