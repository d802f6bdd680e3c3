#include "bpe_train.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/file_out.h"

enum {
    FIRST_BYTE = 1,
    FIRST_MERGE = 257,
    MAX_VOCAB = 4096,
    MAX_MERGES = 2 * MAX_VOCAB,
    MAX_WORD = 64,
    MAX_TOKEN = 3 * MAX_WORD
};

typedef struct {
    int id[MAX_WORD], n, count;
} bpe_word;

struct dele_bpe {
    int left[MAX_MERGES], right[MAX_MERGES], into[MAX_MERGES],
        n_merges;                        /* by rank; two may give one token */
    char text[MAX_VOCAB][MAX_TOKEN + 1]; /* GPT-2's printable spelling, UTF-8 */
    int size;
};

/* ---- words ----------------------------------------------------------------------------------- */

static int kind(char c)
{
    return isspace((unsigned char)c)   ? 0
           : isalpha((unsigned char)c) ? 1
           : isdigit((unsigned char)c) ? 2
                                       : 3;
}

/* The length of the word that text begins with. */
static size_t word_length(const char *text, size_t n)
{
    size_t i = 0;
    if (kind(text[0]) == 0) {
        while (i < n && kind(text[i]) == 0) i++;
        if (i == n || text[i - 1] != ' ') return i;
        if (i > 1) return i - 1; /* the last space goes with the word that follows */
    }
    const int k = kind(text[i]);
    while (i < n && kind(text[i]) == k) i++;
    return i < MAX_WORD ? i : MAX_WORD;
}

static void word_bytes(bpe_word *w, const char *text, size_t n)
{
    w->n = (int)n;
    w->count = 1;
    for (size_t i = 0; i < n; i++) w->id[i] = FIRST_BYTE + (unsigned char)text[i];
}

static uint64_t hash(const char *text, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return h;
}

static bool same_bytes(const bpe_word *w, const char *text, size_t n)
{
    if ((size_t)w->n != n) return false;
    for (size_t i = 0; i < n; i++)
        if (w->id[i] != FIRST_BYTE + (unsigned char)text[i]) return false;
    return true;
}

/* The different words of a text with their counts, in order of first appearance. */
static bpe_word *count_words(size_t *n_words, const char *text, size_t n, dele_arena *arena,
                             dele_err *err)
{
    size_t slots = 64, used = 0;
    while (slots < n) slots *= 2; /* there are fewer words than bytes */
    bpe_word **slot = DELE_NEW(arena, bpe_word *, slots, err);
    bpe_word *words = DELE_NEW(arena, bpe_word, n / 2 + 2, err);
    if (!slot || !words) return NULL;
    for (size_t i = 0, len; i < n; i += len) {
        len = word_length(text + i, n - i);
        size_t at = hash(text + i, len) & (slots - 1);
        while (slot[at] && !same_bytes(slot[at], text + i, len)) at = (at + 1) & (slots - 1);
        if (slot[at]) {
            slot[at]->count++;
            continue;
        }
        if (used == n / 2 + 2) break; /* a text of one-letter words; what is counted suffices */
        slot[at] = &words[used++];
        word_bytes(slot[at], text + i, len);
    }
    *n_words = used;
    return words;
}

/* ---- merges ---------------------------------------------------------------------------------- */

static void apply(bpe_word *w, int left, int right, int id)
{
    int n = 0;
    for (int i = 0; i < w->n; i++) {
        bool joins = i + 1 < w->n && w->id[i] == left && w->id[i + 1] == right;
        w->id[n++] = joins ? id : w->id[i];
        i += joins;
    }
    w->n = n;
}

static int add_merge(dele_bpe *bpe, int left, int right)
{
    char text[MAX_TOKEN +
              1]; /* a word has at most MAX_WORD bytes, each of at most two in this spelling */
    strcpy(text, bpe->text[left]);
    strcat(text, bpe->text[right]);
    int id = FIRST_MERGE;
    while (id < bpe->size && strcmp(bpe->text[id], text)) id++;
    if (id == bpe->size) strcpy(bpe->text[bpe->size++], text);
    bpe->left[bpe->n_merges] = left;
    bpe->right[bpe->n_merges] = right;
    bpe->into[bpe->n_merges++] = id;
    return id;
}

/* The pair that stands most often, the lowest ids first among equals; false when none appears
 * twice. */
static bool best_pair(int *left, int *right, int *count, const bpe_word *words, size_t n_words,
                      int size)
{
    int best = 1;
    memset(count, 0, sizeof *count * (size_t)size * (size_t)size);
    for (size_t w = 0; w < n_words; w++)
        for (int i = 0; i + 1 < words[w].n; i++)
            count[(size_t)words[w].id[i] * (size_t)size + (size_t)words[w].id[i + 1]] +=
                words[w].count;
    for (int a = 0; a < size; a++)
        for (int b = 0; b < size; b++) {
            int c = count[(size_t)a * (size_t)size + (size_t)b];
            if (c <= best) continue;
            best = c;
            *left = a;
            *right = b;
        }
    return best > 1;
}

/* GPT-2's spelling of a byte: itself where it prints, else the next free sign from U+0100 on. */
static void spell_bytes(dele_bpe *bpe)
{
    int next = 0x100;
    for (int b = 0; b < 256; b++) {
        bool prints = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        int c = prints ? b : next++;
        char *out = bpe->text[FIRST_BYTE + b];
        if (c < 0x80)
            *out++ = (char)c;
        else {
            *out++ = (char)(0xc0 | c >> 6);
            *out++ = (char)(0x80 | (c & 0x3f));
        }
        *out = '\0';
    }
}

dele_bpe *dele_bpe_learn(const char *text, size_t n, int vocab, dele_arena *arena, dele_err *err)
{
    size_t n_words = 0;
    dele_bpe *bpe = DELE_NEW(arena, dele_bpe, 1, err);
    if (!bpe) return NULL;
    if (vocab <= FIRST_MERGE || vocab > MAX_VOCAB) {
        dele_fail(err, DELE_ERR_USAGE, "a vocabulary of %d; give one from %d to %d", vocab,
                  FIRST_MERGE + 1, MAX_VOCAB);
        return NULL;
    }
    strcpy(bpe->text[0], "<|endoftext|>");
    spell_bytes(bpe);
    bpe->size = FIRST_MERGE;
    bpe_word *words = count_words(&n_words, text, n, arena, err);
    int *count = DELE_NEW(arena, int, (size_t)vocab *(size_t)vocab, err), left = 0, right = 0;
    if (!words || !count) return NULL;
    while (bpe->size < vocab && bpe->n_merges < MAX_MERGES &&
           best_pair(&left, &right, count, words, n_words, bpe->size)) {
        const int id = add_merge(bpe, left, right);
        for (size_t w = 0; w < n_words; w++) apply(&words[w], left, right, id);
    }
    return bpe;
}

dele_status dele_bpe_join(dele_bpe *bpe, const char *word, dele_err *err)
{
    bpe_word w;
    if (strlen(word) > MAX_WORD)
        return dele_fail(err, DELE_ERR_DATA, "\"%s\" is too long for one token", word);
    word_bytes(&w, word, strlen(word));
    for (int m = 0; m < bpe->n_merges; m++) apply(&w, bpe->left[m], bpe->right[m], bpe->into[m]);
    while (w.n > 1) {
        if (bpe->size == MAX_VOCAB || bpe->n_merges == MAX_MERGES)
            return dele_fail(err, DELE_ERR_DATA, "no room for \"%s\" in the vocabulary", word);
        const int left = w.id[0], right = w.id[1];
        apply(&w, left, right, add_merge(bpe, left, right));
    }
    return DELE_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

int dele_bpe_size(const dele_bpe *bpe) { return bpe->size; }

static const char before[] =
    "{\n  \"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n"
    "  \"added_tokens\": [{\"id\": 0, \"content\": \"<|endoftext|>\", \"single_word\": false, "
    "\"lstrip\": false, "
    "\"rstrip\": false, \"normalized\": false, \"special\": true}],\n"
    "  \"normalizer\": null,\n"
    "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": "
    "true, "
    "\"use_regex\": true},\n"
    "  \"post_processor\": null,\n"
    "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
    "\"use_regex\": true},\n"
    "  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
    "\"continuing_subword_prefix\": null, "
    "\"end_of_word_suffix\": null, \"fuse_unk\": false, \"byte_fallback\": false, "
    "\"ignore_merges\": false,\n"
    "  \"vocab\": {";

static void put_string(FILE *out, const char *a, const char *b)
{
    fputc('"', out);
    for (const char *s = a; *s; s++) {
        if (*s == '"' || *s == '\\') fputc('\\', out);
        fputc(*s, out);
    }
    if (b) fputc(' ', out);
    for (const char *s = b ? b : ""; *s; s++) {
        if (*s == '"' || *s == '\\') fputc('\\', out);
        fputc(*s, out);
    }
    fputc('"', out);
}

dele_status dele_bpe_save(const dele_bpe *bpe, const char *path, dele_err *err)
{
    dele_writer out = {0};
    if (dele_writer_open(&out, path, err)) return err->code;
    fputs(before, out.stream);
    for (int id = 0; id < bpe->size; id++) {
        fputs(id ? id % 8 ? ", " : ",\n    " : "", out.stream);
        put_string(out.stream, bpe->text[id], NULL);
        fprintf(out.stream, ": %d", id);
    }
    fputs("},\n  \"merges\": [", out.stream);
    for (int m = 0; m < bpe->n_merges; m++) {
        fputs(m ? m % 8 ? ", " : ",\n    " : "", out.stream);
        put_string(out.stream, bpe->text[bpe->left[m]], bpe->text[bpe->right[m]]);
    }
    fputs("]}\n}\n", out.stream);
    return dele_writer_commit(&out, err);
}
