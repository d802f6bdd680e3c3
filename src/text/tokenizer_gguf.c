/* Builds a tokenizer from a GGUF's metadata.
 *
 * The parts are written as a tokenizer.json in memory,
 * which the reader of tokenizer.json then reads.  So dele_tokenizer_save writes the very tokenizer
 * that encoded the texts.
 *
 * A GGUF names its pre-tokenizer by a word ("smollm"), for which llama.cpp has patterns.  The words
 * below are the supported ones.  A "llama" vocabulary (SentencePiece) has scores instead of merges:
 * a merge is any token that is the concatenation of two others, and better scores merge first.
 * transformers converts such a vocabulary in the same way. */
#include "text/tokenizer_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "text/encoder.h"
#include "text/tokenizer.h"

#define CL100K(numbers)                                                                            \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers                          \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define QWEN35                                                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"                    \
    "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* Words in upper or lower case, as Mistral's tekken and GPT-4o have them; after: what may follow
 * the letters of a word. */
#define CASED(after, numbers)                                                                      \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"     \
    "+" after "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"                       \
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" after "|" numbers                                             \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define THREE_DIGITS "\\p{N}{1,3}"
#define BYTE_LEVELS_OWN                                                                            \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* The names of pre-tokenizers.  llama.cpp's llama-vocab.cpp (llama_vocab::impl::load) says which of
 * them share a pattern, whether merges are passed over for a word that is a token, and (bos)
 * whether a BOS is added where the file does not say.  The patterns are those of the models'
 * tokenizer.json: llama.cpp's own stand for the same, and some of them are only near it.  nfc: the
 * tokenizer.json has NFC, which llama.cpp leaves out.  Of rows with the same features the first one
 * is written. */
static const struct {
    const char *name;
    bool digits, nfc, ignore_merges, bos;
    const char *pattern; /* NULL: GPT-2's, ByteLevel's own */
} pre_tokenizers[] = {
    {"gpt-2", false, false, false, false, NULL},
    {"gpt2", false, false, false, false, NULL},
    {"phi-2", false, false, false, false, NULL},
    {"jais", false, false, false, false, NULL},
    {"trillion", false, false, false, false, NULL},
    {"exaone4", false, false, false, false, NULL},
    {"mellum", false, false, false, false, NULL},
    {"granite-docling", false, false, false, false, NULL},
    {"olmo", false, true, false, false, NULL},
    {"mpt", false, true, false, false, NULL},
    {"smollm", true, false, false, false, NULL},
    {"starcoder", true, false, false, false, NULL},
    {"refact", true, false, false, false, NULL},
    {"command-r", true, false, false, false, NULL},
    {"codeshell", true, false, false, false, NULL},
    {"exaone", true, false, false, false, NULL},
    {"minerva-7b", true, false, false, false, NULL},
    {"dbrx", false, false, false, false, CL100K(THREE_DIGITS)},
    {"smaug-bpe", false, false, false, false, CL100K(THREE_DIGITS)},
    {"chatglm-bpe", false, false, false, false, CL100K(THREE_DIGITS)},
    {"glm4", false, false, false, false, CL100K(THREE_DIGITS)},
    {"llama-bpe", false, false, true, true, CL100K(THREE_DIGITS)},
    {"llama3", false, false, true, true, CL100K(THREE_DIGITS)},
    {"llama-v3", false, false, true, true, CL100K(THREE_DIGITS)},
    {"falcon3", false, false, true, true, CL100K(THREE_DIGITS)},
    {"falcon-h1", false, false, true, true, CL100K(THREE_DIGITS)},
    {"pixtral", false, false, true, true, CL100K(THREE_DIGITS)},
    {"midm-2.0", false, false, true, true, CL100K(THREE_DIGITS)},
    {"lfm2", false, false, true, true, CL100K(THREE_DIGITS)},
    {"jina-v5-nano", false, false, true, true, CL100K(THREE_DIGITS)},
    {"qwen2", false, true, false, false, CL100K("\\p{N}")},
    {"deepseek-r1-qwen", false, true, false, false, CL100K("\\p{N}")},
    {"megrez", false, true, false, false, CL100K("\\p{N}")},
    {"stablelm2", false, false, false, false, CL100K("\\p{N}")},
    {"hunyuan", false, false, false, false, CL100K("\\p{N}")},
    {"qwen35", false, true, false, false, QWEN35},
    {"tekken", false, false, true, true, CASED("", "\\p{N}")},
    {"gpt-4o", false, false, false, false, CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", THREE_DIGITS)},
    {"llama4", false, false, false, false, CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", THREE_DIGITS)},
    {"default", false, false, false, false, ""}, /* default_patterns */
};

/* "default", and a file that names none: llama.cpp's own four patterns, one after the other. */
static const char *const default_patterns[] = {"[\\p{P}\\$\\+<=>\\^~\\|]+", BYTE_LEVELS_OWN,
                                               "\\p{N}+", "[0-9][0-9][0-9]"};

bool dele_pre_adds_bos(const char *pre)
{
    for (size_t i = 0; pre && i < sizeof pre_tokenizers / sizeof *pre_tokenizers; i++)
        if (!strcmp(pre_tokenizers[i].name, pre)) return pre_tokenizers[i].bos;
    return false;
}

const char *dele_pre_name(bool digits, bool nfc, bool ignore_merges, const char *pattern)
{
    for (size_t i = 0; i < sizeof pre_tokenizers / sizeof *pre_tokenizers; i++) {
        const char *theirs = pre_tokenizers[i].pattern;
        bool same = theirs && pattern ? !strcmp(theirs, pattern) : theirs == pattern;
        if (same && pre_tokenizers[i].digits == digits && pre_tokenizers[i].nfc == nfc &&
            pre_tokenizers[i].ignore_merges == ignore_merges)
            return pre_tokenizers[i].name;
    }
    return NULL;
}

/* A cJSON document under construction; a failed allocation is recorded. */
typedef struct {
    const dele_tokenizer_parts *parts;
    bool failed;
} maker;

static cJSON *put(maker *m, cJSON *object, const char *name, cJSON *value)
{
    if (!value || !object ||
        !(name ? cJSON_AddItemToObject(object, name, value)
               : cJSON_AddItemToArray(object, value))) {
        cJSON_Delete(value);
        m->failed = true;
        return NULL;
    }
    return value;
}

static void put_text(maker *m, cJSON *object, const char *name, const char *text)
{
    put(m, object, name, cJSON_CreateString(text));
}

static void put_flag(maker *m, cJSON *object, const char *name, bool value)
{
    put(m, object, name, cJSON_CreateBool(value));
}

static cJSON *put_step(maker *m, cJSON *list, const char *type)
{
    cJSON *step = put(m, list, NULL, cJSON_CreateObject());
    put_text(m, step, "type", type);
    return step;
}

/* {"type": "Sequence", list: []}; returns the list. */
static cJSON *put_sequence(maker *m, cJSON *root, const char *part, const char *list)
{
    cJSON *step = put(m, root, part, cJSON_CreateObject());
    put_text(m, step, "type", "Sequence");
    return put(m, step, list, cJSON_CreateArray());
}

static cJSON *put_byte_level(maker *m, cJSON *object, bool use_regex)
{
    put_flag(m, object, "add_prefix_space", false);
    put_flag(m, object, "trim_offsets", true);
    put_flag(m, object, "use_regex", use_regex);
    return object;
}

static void put_replace(maker *m, cJSON *list, const char *from, const char *to)
{
    cJSON *step = put_step(m, list, "Replace");
    put_text(m, put(m, step, "pattern", cJSON_CreateObject()), "String", from);
    put_text(m, step, "content", to);
}

static bool is_valid(const dele_tokenizer_parts *p, int id)
{
    return id >= 0 && (size_t)id < p->n_tokens;
}

/* ---- the document ---------------------------------------------------------------------------- */

static void put_added_tokens(maker *m, cJSON *root)
{
    const dele_tokenizer_parts *p = m->parts;
    cJSON *list = put(m, root, "added_tokens", cJSON_CreateArray());
    for (size_t i = 0; p->types && i < p->n_tokens; i++) {
        int type = p->types[i];
        if (type != DELE_TOKEN_UNKNOWN && type != DELE_TOKEN_CONTROL &&
            type != DELE_TOKEN_USER_DEFINED)
            continue;
        cJSON *token = put(m, list, NULL, cJSON_CreateObject());
        put(m, token, "id", cJSON_CreateNumber((double)i));
        put_text(m, token, "content", p->tokens[i]);
        put_flag(m, token, "single_word", false);
        put_flag(m, token, "lstrip", false);
        put_flag(m, token, "rstrip", false);
        put_flag(m, token, "normalized", false);
        put_flag(m, token, "special", type != DELE_TOKEN_USER_DEFINED);
    }
}

static void put_byte_level_steps(maker *m, cJSON *root, size_t pre)
{
    if (pre_tokenizers[pre].nfc)
        put_text(m, put(m, root, "normalizer", cJSON_CreateObject()), "type", "NFC");
    else
        put(m, root, "normalizer", cJSON_CreateNull());
    cJSON *list = put_sequence(m, root, "pre_tokenizer", "pretokenizers");
    const char *pattern = pre_tokenizers[pre].pattern;
    const bool several = !strcmp(pre_tokenizers[pre].name, "default");
    const size_t n = several ? sizeof default_patterns / sizeof *default_patterns : pattern != NULL;
    if (pre_tokenizers[pre].digits)
        put_flag(m, put_step(m, list, "Digits"), "individual_digits", true);
    for (size_t i = 0; i < n; i++) {
        cJSON *split = put_step(m, list, "Split");
        put_text(m, put(m, split, "pattern", cJSON_CreateObject()), "Regex",
                 several ? default_patterns[i] : pattern);
        put_text(m, split, "behavior", "Isolated");
        put_flag(m, split, "invert", false);
    }
    put_byte_level(m, put_step(m, list, "ByteLevel"), !pattern);
    cJSON *decoder = put(m, root, "decoder", cJSON_CreateObject());
    put_text(m, decoder, "type", "ByteLevel");
    put_byte_level(m, decoder, true);
}

static void put_sentencepiece_steps(maker *m, cJSON *root)
{
    cJSON *list = put_sequence(m, root, "normalizer", "normalizers");
    if (m->parts->add_space_prefix) put_text(m, put_step(m, list, "Prepend"), "prepend", "\u2581");
    put_replace(m, list, " ", "\u2581");
    put(m, root, "pre_tokenizer", cJSON_CreateNull());
    list = put_sequence(m, root, "decoder", "decoders");
    put_replace(m, list, "\u2581", " ");
    put_step(m, list, "ByteFallback");
    put_step(m, list, "Fuse");
    if (!m->parts->add_space_prefix) return;
    cJSON *strip = put_step(m, list, "Strip");
    put_text(m, strip, "content", " ");
    put(m, strip, "start", cJSON_CreateNumber(1));
    put(m, strip, "stop", cJSON_CreateNumber(0));
}

static void put_special(maker *m, cJSON *list, int id, int type)
{
    cJSON *token =
        put(m, put(m, list, NULL, cJSON_CreateObject()), "SpecialToken", cJSON_CreateObject());
    put_text(m, token, "id", m->parts->tokens[id]);
    put(m, token, "type_id", cJSON_CreateNumber(type));
}

static void put_special_ids(maker *m, cJSON *special, int id)
{
    const char *text = m->parts->tokens[id];
    if (cJSON_GetObjectItemCaseSensitive(special, text)) return; /* begin and end are one token */
    cJSON *token = put(m, special, text, cJSON_CreateObject());
    put_text(m, token, "id", text);
    put(m, put(m, token, "ids", cJSON_CreateArray()), NULL, cJSON_CreateNumber(id));
    put(m, put(m, token, "tokens", cJSON_CreateArray()), NULL, cJSON_CreateString(text));
}

/* BOS, the text and EOS, as add_bos and add_eos say. */
static void put_template(maker *m, cJSON *root)
{
    const dele_tokenizer_parts *p = m->parts;
    const bool bos = p->add_bos && is_valid(p, p->bos), eos = p->add_eos && is_valid(p, p->eos);
    if (!bos && !eos) {
        put(m, root, "post_processor", cJSON_CreateNull());
        return;
    }
    cJSON *template = put(m, root, "post_processor", cJSON_CreateObject());
    put_text(m, template, "type", "TemplateProcessing");
    for (int pair = 0; pair < 2; pair++) {
        cJSON *list = put(m, template, pair ? "pair" : "single", cJSON_CreateArray());
        for (int i = 0; i <= pair; i++) {
            if (bos) put_special(m, list, p->bos, i);
            cJSON *text =
                put(m, put(m, list, NULL, cJSON_CreateObject()), "Sequence", cJSON_CreateObject());
            put_text(m, text, "id", i ? "B" : "A");
            put(m, text, "type_id", cJSON_CreateNumber(i));
            if (eos) put_special(m, list, p->eos, i);
        }
    }
    cJSON *special = put(m, template, "special_tokens", cJSON_CreateObject());
    if (bos) put_special_ids(m, special, p->bos);
    if (eos) put_special_ids(m, special, p->eos);
}

/* ---- merges from scores ---------------------------------------------------------------------- */

typedef struct {
    float score;
    size_t n_left, n_right, order;
    int left, right;
} scored;

static int better_first(const void *pa, const void *pb)
{
    const scored *a = pa, *b = pb;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    if (a->n_left != b->n_left) return a->n_left > b->n_left ? -1 : 1;
    if (a->n_right != b->n_right) return a->n_right > b->n_right ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static size_t characters(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += (text[i] & 0xc0) != 0x80;
    return count;
}

/* Every split of a token is looked up.  Hashing each prefix and suffix from scratch would take the
 * square of the token's length.  With numbers modulo the prime 2^61 - 1,
 *
 *   h(0) = 0,   h(k + 1) = h(k) B + byte k + 1,         hash of [a, b) = h(b) - h(a) B^(b - a)
 *
 * the hash of a substring costs one multiplication (Rabin and Karp).  A hit is compared byte for
 * byte. */
#define PRIME (((uint64_t)1 << 61) - 1)
#define BASE ((uint64_t)0x0b1c3a55e7f12d39)

static uint64_t times(uint64_t a, uint64_t b)
{
    __uint128_t x = (__uint128_t)a * b;
    uint64_t sum = (uint64_t)(x & PRIME) + (uint64_t)(x >> 61);
    return sum >= PRIME ? sum - PRIME : sum;
}

static uint64_t plus(uint64_t a, uint64_t b) { return a + b >= PRIME ? a + b - PRIME : a + b; }

typedef struct {
    int *slot; /* [mask + 1] id + 1, or 0 */
    size_t mask;
    uint64_t *of;    /* [n_tokens] the whole token's hash */
    uint64_t *at;    /* [longest + 1] h of the token that is being split */
    uint64_t *power; /* [longest + 1] */
} cut_table;

/* A hash table of all tokens by polynomial hash, and the powers that give the hash of any stretch
 * of a token from its prefixes' hashes.  An entry is not compared by text here: find_stretch
 * compares. */
static dele_status make_cut_table(cut_table *c, const dele_text_span *token, size_t n,
                                  dele_arena *arena, dele_err *err)
{
    size_t longest = 0, size = 16;
    for (size_t i = 0; i < n; i++) longest = token[i].n > longest ? token[i].n : longest;
    while (size < 2 * n + 2) size *= 2;
    *c = (cut_table){.slot = DELE_NEW(arena, int, size, err),
                     .mask = size - 1,
                     .of = DELE_NEW(arena, uint64_t, n, err),
                     .at = DELE_NEW(arena, uint64_t, longest + 1, err),
                     .power = DELE_NEW(arena, uint64_t, longest + 1, err)};
    if (!c->slot || !c->of || !c->at || !c->power) return DELE_ERR_MEMORY;
    c->power[0] = 1;
    for (size_t i = 0; i < longest; i++) c->power[i + 1] = times(c->power[i], BASE);
    for (size_t i = 0; i < n; i++) {
        uint64_t h = 0;
        for (size_t k = 0; k < token[i].n; k++)
            h = plus(times(h, BASE), (unsigned char)token[i].text[k] + 1u);
        size_t at = h & c->mask;
        while (c->slot[at] &&
               (c->of[c->slot[at] - 1] != h || token[c->slot[at] - 1].n != token[i].n))
            at = (at + 1) & c->mask;
        if (!c->slot[at])
            c->slot[at] = (int)i + 1; /* else it exists already: a token that appears twice */
        c->of[i] = h;
    }
    return DELE_OK;
}

/* The id of the token at [from, to) of the current token, or -1. */
static int find_stretch(const cut_table *c, const dele_text_span *token,
                        const dele_text_span *whole, size_t from, size_t to)
{
    uint64_t h = plus(c->at[to], PRIME - times(c->at[from], c->power[to - from]));
    if (h == PRIME) h = 0;
    for (size_t at = h & c->mask; c->slot[at]; at = (at + 1) & c->mask) {
        int id = c->slot[at] - 1;
        if (c->of[id] == h && token[id].n == to - from &&
            !memcmp(token[id].text, whole->text + from, to - from))
            return id;
    }
    return -1;
}

/* The limit for the text of all merges: a vocabulary of nested tokens (a, aa, aaa, ...) would make
 * more of it than memory holds. */
enum { MERGE_TEXT_LIMIT = 256 << 20 };

/* Every merge that a SentencePiece vocabulary implies: each division of a token into two tokens,
 * with the score by which they are ranked.  The limit is on the text of all merges, which a crafted
 * vocabulary would make quadratic. */
static dele_status find_merges(void **array, size_t *n, const dele_tokenizer_parts *p,
                               const dele_text_span *token, dele_arena *arena, dele_err *err)
{
    cut_table c;
    size_t cap = 0, text = 0;
    dele_status status = make_cut_table(&c, token, p->n_tokens, arena, err);
    for (size_t i = 0; i < p->n_tokens && !status; i++) {
        const dele_text_span *t = &token[i];
        for (size_t k = 0; k < t->n; k++)
            c.at[k + 1] = plus(times(c.at[k], BASE), (unsigned char)t->text[k] + 1u);
        for (size_t cut = 1; cut < t->n && !status; cut++) {
            if ((t->text[cut] & 0xc0) == 0x80) continue;
            int left = find_stretch(&c, token, t, 0, cut),
                right = left < 0 ? -1 : find_stretch(&c, token, t, cut, t->n);
            if (right < 0) continue;
            text += t->n;
            if (text > MERGE_TEXT_LIMIT)
                return dele_fail(err, DELE_ERR_UNSUPPORTED,
                                 "the GGUF's vocabulary makes merges of more than %d MiB; it is "
                                 "damaged",
                                 MERGE_TEXT_LIMIT >> 20);
            status = dele_encoder_reserve(array, &cap, *n + 1, sizeof(scored), err);
            if (status) break;
            ((scored *)*array)[*n] = (scored){p->scores[i],
                                              characters(t->text, cut),
                                              characters(t->text + cut, t->n - cut),
                                              *n,
                                              left,
                                              right};
            ++*n;
        }
    }
    return status;
}

static dele_status put_scored_merges(maker *m, cJSON *list, const dele_text_span *token,
                                     dele_arena *arena, dele_err *err)
{
    const dele_tokenizer_parts *p = m->parts;
    void *array = NULL;
    size_t n = 0;
    dele_status status = find_merges(&array, &n, p, token, arena, err);
    scored *merges = array;
    if (n && !status) qsort(merges, n, sizeof *merges, better_first);
    for (size_t i = 0; i < n && !status; i++) {
        cJSON *pair = put(m, list, NULL, cJSON_CreateArray());
        put_text(m, pair, NULL, p->tokens[merges[i].left]);
        put_text(m, pair, NULL, p->tokens[merges[i].right]);
    }
    free(merges);
    return status;
}

static dele_status put_merges(maker *m, cJSON *list, dele_err *err)
{
    const dele_tokenizer_parts *p = m->parts;
    for (size_t i = 0; i < p->n_merges; i++) put_text(m, list, NULL, p->merges[i]);
    if (p->n_merges || !p->scores) return DELE_OK;
    dele_arena scratch = {0};
    dele_text_span *token = DELE_NEW(&scratch, dele_text_span, p->n_tokens + 1, err);
    for (size_t i = 0; token && i < p->n_tokens; i++)
        token[i] = (dele_text_span){p->tokens[i], strlen(p->tokens[i])};
    dele_status status = token ? put_scored_merges(m, list, token, &scratch, err) : DELE_ERR_MEMORY;
    dele_arena_release(&scratch);
    return status;
}

/* An id without a token: "[PAD17]", unused. */
static bool fills_a_hole(const dele_tokenizer_parts *p, size_t i)
{
    char name[32];
    snprintf(name, sizeof name, "[PAD%zu]", i);
    return p->types && p->types[i] == DELE_TOKEN_UNUSED && !strcmp(p->tokens[i], name);
}

static dele_status put_model(maker *m, cJSON *root, bool sentencepiece, bool ignore_merges,
                             dele_err *err)
{
    const dele_tokenizer_parts *p = m->parts;
    cJSON *model = put(m, root, "model", cJSON_CreateObject());
    put_text(m, model, "type", "BPE");
    put(m, model, "dropout", cJSON_CreateNull());
    if (sentencepiece && is_valid(p, p->unk))
        put_text(m, model, "unk_token", p->tokens[p->unk]);
    else
        put(m, model, "unk_token", cJSON_CreateNull());
    put(m, model, "continuing_subword_prefix", cJSON_CreateNull());
    put(m, model, "end_of_word_suffix", cJSON_CreateNull());
    put_flag(m, model, "fuse_unk", sentencepiece);
    put_flag(m, model, "byte_fallback", sentencepiece);
    put_flag(m, model, "ignore_merges", ignore_merges);
    cJSON *vocab = put(m, model, "vocab", cJSON_CreateObject());
    for (size_t i = 0; i < p->n_tokens; i++)
        if (!fills_a_hole(p, i)) put(m, vocab, p->tokens[i], cJSON_CreateNumber((double)i));
    return put_merges(m, put(m, model, "merges", cJSON_CreateArray()), err);
}

static void put_named(maker *m, cJSON *root, const char *name, int id)
{
    if (is_valid(m->parts, id)) put_text(m, root, name, m->parts->tokens[id]);
}

/* tokenizer_config.json, which transformers needs beside tokenizer.json. */
static cJSON *make_config(maker *m)
{
    const dele_tokenizer_parts *p = m->parts;
    cJSON *root = cJSON_CreateObject();
    put_flag(m, root, "add_bos_token", p->add_bos);
    if (p->add_eos) put_flag(m, root, "add_eos_token", true);
    put_named(m, root, "bos_token", p->bos);
    put_named(m, root, "eos_token", p->eos);
    put_named(m, root, "unk_token", p->unk);
    put_named(m, root, "pad_token", p->pad);
    put_flag(m, root, "clean_up_tokenization_spaces", false);
    put_text(m, root, "tokenizer_class", "PreTrainedTokenizerFast");
    if (p->chat_template) put_text(m, root, "chat_template", p->chat_template);
    return root;
}

/* The tokenizer.json that transformers would have written for a GGUF's vocabulary, so that one
 * reader suffices.  An unknown kind or pre-tokenizer is refused, since a guess would give wrong
 * ids. */
static cJSON *make_tokenizer(maker *m, dele_err *err)
{
    const dele_tokenizer_parts *p = m->parts;
    bool sentencepiece = !strcmp(p->kind, "llama");
    const char *pre = p->pre && *p->pre ? p->pre : "default";
    size_t n = sizeof pre_tokenizers / sizeof *pre_tokenizers, i = 0;
    while (i < n && strcmp(pre, pre_tokenizers[i].name)) i++;
    if (!sentencepiece && strcmp(p->kind, "gpt2")) {
        dele_fail(err, DELE_ERR_UNSUPPORTED,
                  "the GGUF's tokenizer is of kind \"%s\"; gpt2 and llama are supported", p->kind);
        return NULL;
    }
    if (!sentencepiece && i == n) {
        dele_fail(err, DELE_ERR_UNSUPPORTED,
                  "the GGUF's pre-tokenizer \"%s\" is not known; convert the model from its "
                  "Hugging Face directory instead",
                  pre);
        return NULL;
    }
    cJSON *root = cJSON_CreateObject();
    put_text(m, root, "version", "1.0");
    put(m, root, "truncation", cJSON_CreateNull());
    put(m, root, "padding", cJSON_CreateNull());
    put_added_tokens(m, root);
    if (sentencepiece)
        put_sentencepiece_steps(m, root);
    else
        put_byte_level_steps(m, root, i);
    put_template(m, root);
    if (put_model(m, root, sentencepiece, !sentencepiece && pre_tokenizers[i].ignore_merges, err) ||
        m->failed) {
        dele_fail(err, DELE_ERR_MEMORY, "out of memory for the GGUF's tokenizer");
        cJSON_Delete(root);
        return NULL;
    }
    return root;
}

/* The document as text in the arena. */
static const char *text_of(const cJSON *json, bool pretty, dele_arena *arena, dele_err *err)
{
    char *printed = json ? pretty ? cJSON_Print(json) : cJSON_PrintUnformatted(json) : NULL;
    if (!printed) dele_fail(err, DELE_ERR_MEMORY, "out of memory for the GGUF's tokenizer");
    const char *copy = printed ? dele_strdup(arena, printed, err) : NULL;
    cJSON_free(printed);
    return copy;
}

dele_tokenizer *dele_tokenizer_build(const dele_tokenizer_parts *parts, dele_arena *arena,
                                     dele_err *err)
{
    maker m = {.parts = parts};
    dele_tokenizer *t = DELE_NEW(arena, dele_tokenizer, 1, err);
    cJSON *json = t ? make_tokenizer(&m, err) : NULL;
    if (!json) return NULL;
    cJSON *config = make_config(&m);
    dele_status status = dele_tokenizer_from_json(t, json, "the GGUF's tokenizer", arena, err);
    if (!status && !((t->json = text_of(json, false, arena, err)) &&
                     (t->config = text_of(config, true, arena, err))))
        status = DELE_ERR_MEMORY;
    cJSON_Delete(config);
    cJSON_Delete(json);
    if (!status) {
        t->parts = *parts;
        t->bos = is_valid(parts, parts->bos) ? parts->bos : -1;
        t->eos = is_valid(parts, parts->eos) ? parts->eos : -1;
        return t;
    }
    dele_tokenizer_close(t);
    return NULL;
}
