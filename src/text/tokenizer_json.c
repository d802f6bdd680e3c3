/* Reads tokenizer.json, the `tokenizers` library's own format.
 *
 * An unknown part is an error that names it: an almost right tokenizer would give silently wrong
 * results. */
#include "text/tokenizer_read.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "text/encoder.h"
#include "text/tokenizer.h"
#include "text/tokenizer_vocab.h"
#include "text/unicode.h"

typedef dele_tokenizer_reader reader;

/* ---- JSON, by type --------------------------------------------------------------------------- */

static const char *string(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(dele_json_given(object, name));
}

bool dele_reader_is_id(const cJSON *item)
{
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < INT_MAX / 4 &&
           item->valuedouble == (double)item->valueint;
}

dele_status dele_reader_copy(reader *r, dele_text_span *out, const char *text)
{
    out->text = dele_strdup(r->arena, text, r->err);
    out->n = strlen(text);
    return out->text ? DELE_OK : DELE_ERR_MEMORY;
}

dele_status dele_reader_refuse(reader *r, const char *part, const cJSON *what)
{
    const char *type = string(what, "type");
    return dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                     "%s: the %s \"%s\" is not supported; this tokenizer cannot be used", r->where,
                     part, type ? type : "(without a type)");
}

dele_status dele_reader_broken(reader *r, const char *what)
{
    return dele_fail(r->err, DELE_ERR_FORMAT, "%s: %s; is this a complete tokenizer.json?",
                     r->where, what);
}

/* ---- the model ------------------------------------------------------------------------------- */

/* The tables by id, for a vocabulary of n tokens whose highest id is top, and for the added tokens.
 * Ids with large gaps would make the tables larger than the file. */
static dele_status make_tables(reader *r, size_t n, int top, const cJSON *added)
{
    dele_tokenizer *t = r->t;
    const cJSON *item;
    cJSON_ArrayForEach(item, added)
    {
        const cJSON *id = dele_json_given(item, "id");
        if (!dele_reader_is_id(id) || !string(item, "content"))
            return dele_reader_broken(r, "an added token lacks its id or content");
        if (id->valueint > top) top = id->valueint;
        t->n_added++;
    }
    if ((size_t)top >= 4 * (n + t->n_added) + 65536 && top >= 0)
        return dele_reader_broken(r, "the ids of its vocabulary have large gaps");
    t->size = top + 1;
    t->token = DELE_NEW(r->arena, dele_text_span, (size_t)t->size + 1, r->err);
    t->added_of = DELE_NEW(r->arena, const dele_added *, (size_t)t->size + 1, r->err);
    t->added = DELE_NEW(r->arena, dele_added, t->n_added + 1, r->err);
    if (!t->token || !t->added_of || !t->added) return DELE_ERR_MEMORY;
    return dele_vocab_init(&t->vocab, n, r->arena, r->err);
}

static dele_status put_token(reader *r, int id, const char *text)
{
    dele_text_span *token = &r->t->token[id];
    dele_status status = dele_reader_copy(r, token, text);
    if (token->n > r->t->longest) r->t->longest = token->n;
    return status;
}

/* BPE's vocabulary, {"token": id}. */
static dele_status read_vocab(reader *r, const cJSON *vocab, const cJSON *added)
{
    dele_tokenizer *t = r->t;
    const cJSON *item;
    size_t n = 0;
    int top = -1;
    cJSON_ArrayForEach(item, vocab)
    {
        if (!dele_reader_is_id(item))
            return dele_reader_broken(r, "an entry of its vocabulary has no id");
        if (item->valueint > top) top = item->valueint;
        n++;
    }
    dele_status status = make_tables(r, n, top, added);
    cJSON_ArrayForEach(item, vocab)
    {
        if (status) break;
        if (t->token[item->valueint].text)
            return dele_reader_broken(r, "two entries of its vocabulary share one id");
        status = put_token(r, item->valueint, item->string);
        if (!status && !dele_vocab_add(&t->vocab, t->token, item->valueint))
            return dele_fail(r->err, DELE_ERR_FORMAT,
                             "%s: the token \"%.60s\" appears twice in its vocabulary", r->where,
                             item->string);
    }
    return status;
}

/* "a b", or the newer ["a", "b"]. */
static bool merge_parts(const cJSON *item, dele_text_span *left, dele_text_span *right)
{
    if (cJSON_IsString(item)) {
        const char *blank = strchr(item->valuestring, ' ');
        if (!blank || strchr(blank + 1, ' ')) return false;
        *left = (dele_text_span){item->valuestring, (size_t)(blank - item->valuestring)};
        *right = (dele_text_span){blank + 1, strlen(blank + 1)};
        return true;
    }
    const char *a = cJSON_GetStringValue(cJSON_GetArrayItem(item, 0));
    const char *b = cJSON_GetStringValue(cJSON_GetArrayItem(item, 1));
    if (!cJSON_IsArray(item) || !a || !b) return false;
    *left = (dele_text_span){a, strlen(a)};
    *right = (dele_text_span){b, strlen(b)};
    return true;
}

/* The merges in order of rank.  Both parts and the result must be in the vocabulary. */
static dele_status read_merges(reader *r, const cJSON *merges)
{
    dele_tokenizer *t = r->t;
    int rank = 0;
    const cJSON *item;
    dele_status status =
        dele_merges_init(&t->merges, (size_t)cJSON_GetArraySize(merges), r->arena, r->err);
    char both[2048];
    cJSON_ArrayForEach(item, merges)
    {
        dele_text_span a, b;
        if (status) return status;
        const size_t drop = t->continuing.n; /* the result has the first part's prefix only */
        if (!merge_parts(item, &a, &b) || a.n + b.n > sizeof both || b.n < drop)
            return dele_fail(r->err, DELE_ERR_FORMAT,
                             "%s: merge %d is not two tokens; is the file complete?", r->where,
                             rank);
        memcpy(both, a.text, a.n);
        memcpy(both + a.n, b.text + drop, b.n - drop);
        int left = dele_vocab_find(&t->vocab, t->token, a.text, a.n),
            right = dele_vocab_find(&t->vocab, t->token, b.text, b.n);
        int id = dele_vocab_find(&t->vocab, t->token, both, a.n + b.n - drop);
        if (left < 0 || right < 0 || id < 0)
            return dele_fail(r->err, DELE_ERR_FORMAT,
                             "%s: merge %d, \"%.*s\" and \"%.*s\", is not in the vocabulary",
                             r->where, rank, (int)a.n, a.text, (int)b.n, b.text);
        dele_merges_add(&t->merges, left, right, rank++, id);
    }
    return status;
}

/* The BPE model: its options, its vocabulary and its merges.  What changes ids and is not
 * implemented is refused. */
static dele_status read_bpe(reader *r, const cJSON *model, const cJSON *added)
{
    dele_tokenizer *t = r->t;
    const cJSON *dropout = dele_json_given(model, "dropout");
    const char *unk = string(model, "unk_token");
    const char *before = string(model, "continuing_subword_prefix"),
               *after = string(model, "end_of_word_suffix");
    if (!cJSON_IsObject(dele_json_given(model, "vocab")) ||
        !cJSON_IsArray(dele_json_given(model, "merges")))
        return dele_reader_broken(r, "its model has no vocabulary or no merges");
    if (dropout && dropout->valuedouble != 0)
        return dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                         "%s: a BPE model with dropout, which makes ids random, is not supported",
                         r->where);
    t->byte_fallback = dele_json_flag(model, "byte_fallback", false);
    t->fuse_unk = dele_json_flag(model, "fuse_unk", false);
    t->ignore_merges = dele_json_flag(model, "ignore_merges", false);
    dele_status status = dele_reader_copy(r, &t->continuing, before ? before : "");
    if (!status) status = dele_reader_copy(r, &t->word_end, after ? after : "");
    if (!status) status = read_vocab(r, dele_json_given(model, "vocab"), added);
    if (!status) status = read_merges(r, dele_json_given(model, "merges"));
    t->unk = -1;
    if (!status && unk) t->unk = dele_vocab_find(&t->vocab, t->token, unk, strlen(unk));
    return status;
}

/* The Unigram model: its vocabulary is a list of tokens with scores, and unk_id a place in it. */
static dele_status read_unigram(reader *r, const cJSON *model, const cJSON *added)
{
    dele_tokenizer *t = r->t;
    const cJSON *vocab = dele_json_given(model, "vocab"), *unk = dele_json_given(model, "unk_id"),
                *item;
    const int n = cJSON_GetArraySize(vocab);
    int id = 0;
    if (!cJSON_IsArray(vocab) || !n) return dele_reader_broken(r, "its model has no vocabulary");
    if (unk && (!dele_reader_is_id(unk) || unk->valueint >= n))
        return dele_reader_broken(r, "its unk_id is not in the vocabulary");
    dele_status status = make_tables(r, (size_t)n, n - 1, added);
    double *score = status ? NULL : DELE_NEW(r->arena, double, (size_t)t->size + 1, r->err);
    if (!score) return DELE_ERR_MEMORY;
    cJSON_ArrayForEach(item, vocab)
    {
        const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(item, 0));
        const cJSON *value = cJSON_GetArrayItem(item, 1);
        if (!text || !cJSON_IsNumber(value) || !isfinite(value->valuedouble))
            return dele_reader_broken(r, "an entry of its vocabulary is not a token and a score");
        status = put_token(r, id, text);
        if (status) return status;
        dele_vocab_put(&t->vocab, t->token, id);
        score[id++] = value->valuedouble;
    }
    t->model = DELE_MODEL_UNIGRAM;
    t->unigram.score = score;
    t->unk = unk ? unk->valueint : -1;
    t->byte_fallback = dele_json_flag(model, "byte_fallback", false);
    return dele_unigram_init(t, n, r->arena, r->err);
}

static dele_status read_model(reader *r, const cJSON *json)
{
    const cJSON *model = dele_json_given(json, "model"),
                *added = dele_json_given(json, "added_tokens");
    const char *type = string(model, "type");
    if (!cJSON_IsObject(model)) return dele_reader_broken(r, "it has no model");
    if (type ? !strcmp(type, "BPE") : !!dele_json_given(model, "merges"))
        return read_bpe(r, model, added);
    if (type ? !strcmp(type, "Unigram") : !!dele_json_given(model, "unk_id"))
        return read_unigram(r, model, added);
    return dele_reader_refuse(r, "model type", model);
}

/* Bytes need not be written in ByteLevel's alphabet where the model reads them next and each has a
 * token. */
static void find_byte_level(dele_tokenizer *t)
{
    dele_pre_step *last = t->n_pre ? &t->pre[t->n_pre - 1] : NULL;
    char name[4];
    if (!last || last->kind != DELE_PRE_BYTE_LEVEL || t->model != DELE_MODEL_BPE ||
        t->continuing.n || t->word_end.n)
        return;
    for (int i = 0; i < t->n_pre - 1; i++)
        if (t->pre[i].kind == DELE_PRE_BYTE_LEVEL) return;
    for (int b = 0; b < 256; b++)
        if (dele_vocab_find(&t->vocab, t->token, name, dele_utf8_put(name, dele_byte_to_char(b))) <
            0)
            return;
    t->byte_level = true;
    last->written = false;
}

static void find_byte_tokens(dele_tokenizer *t)
{
    for (int b = 0; b < 256; b++) {
        char name[8];
        size_t n = t->byte_level ? dele_utf8_put(name, dele_byte_to_char(b))
                                 : (size_t)snprintf(name, sizeof name, "<0x%02X>", b);
        t->byte_id[b] =
            t->byte_level || t->byte_fallback ? dele_vocab_find(&t->vocab, t->token, name, n) : -1;
    }
}

/* If a character has no token, the library looks for the unknown token in the model's vocabulary.
 * Where every byte is a token this never happens, and the unknown token may be an added token only,
 * or missing. */
static dele_status check_unknown(reader *r, const char *unk)
{
    const dele_tokenizer *t = r->t;
    bool every_byte = t->byte_level || t->byte_fallback;
    for (int b = 0; b < 256; b++) every_byte = every_byte && t->byte_id[b] >= 0;
    if (!unk || t->unk >= 0 || every_byte) return DELE_OK;
    return dele_fail(
        r->err, DELE_ERR_FORMAT,
        "%s: its unknown token \"%s\" is not in the vocabulary, and some bytes have no "
        "token",
        r->where, unk);
}

/* The id of an added token, as in the library: its id in the model's vocabulary, or else the next
 * free id after the vocabulary.  In a valid file that is the id in the file. */
static dele_status added_id(reader *r, dele_added *a, int n_vocab, int *top)
{
    dele_tokenizer *t = r->t;
    a->id = dele_vocab_find(&t->vocab, t->token, a->content.text, a->content.n);
    if (a->id < 0) a->id = *top >= n_vocab ? *top + 1 : n_vocab;
    if (a->id > *top) *top = a->id;
    const char *there = a->id < t->size ? t->token[a->id].text : "";
    if (there && strcmp(there, a->content.text))
        return dele_reader_broken(r, "an added token has the id of another token");
    return DELE_OK;
}

/* The added tokens with their flags, and the two indices by which they are found: in raw and in
 * normalised text. */
static dele_status read_added(reader *r, const cJSON *list, int n_vocab)
{
    dele_tokenizer *t = r->t;
    const cJSON *item;
    int top = -1;
    size_t i = 0;
    cJSON_ArrayForEach(item, list)
    {
        dele_added *a = &t->added[i++];
        dele_place place = DELE_PLACE_BEGIN;
        dele_status status = dele_reader_copy(r, &a->content, string(item, "content"));
        if (status) return status;
        a->single_word = dele_json_flag(item, "single_word", false);
        a->lstrip = dele_json_flag(item, "lstrip", false);
        a->rstrip = dele_json_flag(item, "rstrip", false);
        a->special = dele_json_flag(item, "special", false);
        a->beside = dele_json_flag(item, "beside", false);
        a->normalized = dele_json_flag(item, "normalized", !a->special);
        status = added_id(r, a, n_vocab, &top);
        if (status) return status;
        a->pattern = a->content;
        if (a->normalized)
            status = dele_normalize(&a->pattern, t, a->content.text, a->content.n, &place, r->arena,
                                    r->err);
        if (status) return status;
        t->token[a->id] = a->content;
        t->added_of[a->id] = a;
    }
    dele_status status = dele_added_index(&t->raw, t, false, r->arena, r->err);
    return status ? status : dele_added_index(&t->normalized, t, true, r->arena, r->err);
}

/* Every id that the post-processor adds must belong to a token. */
static dele_status check_template(reader *r)
{
    const dele_tokenizer *t = r->t;
    for (int i = 0; i < t->n_prefix + t->n_suffix; i++) {
        int id = i < t->n_prefix ? t->prefix[i] : t->suffix[i - t->n_prefix];
        if (id >= t->size || !t->token[id].text)
            return dele_fail(r->err, DELE_ERR_FORMAT,
                             "%s: its post-processor adds the id %d, but no token has it", r->where,
                             id);
    }
    return DELE_OK;
}

/* Every flag of the file, wherever it is in the tree, is true, false or null: dele_json_flag takes
 * anything else for false.  Vocabulary, merges and the tokens of a template have no flags. */
static dele_status check_flags(const reader *r, const cJSON *json)
{
    static const char *const flags[] = {
        "ignore_merges", "byte_fallback", "fuse_unk",   "single_word",       "lstrip",
        "rstrip",        "special",       "normalized", "add_prefix_space",  "use_regex",
        "invert",        "split",         "cleanup",    "individual_digits", "strip_left",
        "strip_right",   "trim_offsets",  "lowercase",  "strip_accents",     "clean_text"};
    for (const cJSON *item = json->child; item; item = item->next) {
        const char *key = item->string ? item->string : "";
        if (!strcmp(key, "vocab") || !strcmp(key, "merges") || !strcmp(key, "special_tokens"))
            continue;
        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
            if (!strcmp(key, flags[i]) && !cJSON_IsBool(item) && !cJSON_IsNull(item))
                return dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be true, false or null",
                                 r->where, key);
        if (check_flags(r, item)) return DELE_ERR_FORMAT;
    }
    return DELE_OK;
}

dele_status dele_tokenizer_from_json(dele_tokenizer *t, const cJSON *json, const char *where,
                                     dele_arena *arena, dele_err *err)
{
    reader r = {.t = t, .where = where, .arena = arena, .err = err};
    t->bos = t->eos = -1;
    if (!cJSON_IsObject(json)) return dele_reader_broken(&r, "it is not a JSON object");
    if (check_flags(&r, json)) return err ? err->code : DELE_ERR_FORMAT;
    dele_status status = read_model(&r, json);
    if (!status) status = dele_tokenizer_steps(&r, json);
    if (status) return status;
    find_byte_level(t);
    find_byte_tokens(t);
    if (check_unknown(&r, string(dele_json_given(json, "model"), "unk_token")))
        return err ? err->code : DELE_ERR_FORMAT;
    status =
        read_added(&r, dele_json_given(json, "added_tokens"),
                   cJSON_GetArraySize(dele_json_given(dele_json_given(json, "model"), "vocab")));
    return status ? status : check_template(&r);
}

/* ---- the file and the files beside it -------------------------------------------------------- */

/* {"eos_token": "</s>"} or {"eos_token": {"content": "</s>"}}. */
static int id_of_named(const dele_tokenizer *t, const cJSON *json, const char *name)
{
    const cJSON *item = dele_json_given(json, name);
    const char *text = cJSON_IsObject(item) ? string(item, "content") : cJSON_GetStringValue(item);
    return text ? dele_token_id(t, text) : -1;
}

static dele_status read_neighbour(dele_tokenizer *t, const char *path, const char *name,
                                  dele_arena *arena, dele_err *err)
{
    const char *slash = strrchr(path, '/');
    char *beside = slash ? dele_printf(arena, err, "%.*s/%s", (int)(slash - path), path, name)
                         : dele_strdup(arena, name, err);
    if (!beside) return DELE_ERR_MEMORY;
    if (!dele_path_exists(beside)) return DELE_OK;
    dele_err own = {0};
    cJSON *json = dele_json_load(beside, &own);
    if (!json) return dele_fail(err, own.code, "%s", own.msg);
    if (t->bos < 0) t->bos = id_of_named(t, json, "bos_token");
    if (t->eos < 0) t->eos = id_of_named(t, json, "eos_token");
    cJSON_Delete(json);
    return DELE_OK;
}

dele_tokenizer *dele_tokenizer_load(const char *path, dele_arena *arena, dele_err *err)
{
    dele_tokenizer *t = DELE_NEW(arena, dele_tokenizer, 1, err);
    if (!t) return NULL;
    const bool vocab = dele_tokenizer_is_vocab(path);
    const char *missing = vocab ? DELE_VOCAB_END_OF_TEXT : NULL;
    cJSON *json = vocab ? dele_tokenizer_from_vocab(path, arena, err) : dele_json_load(path, err);
    if (!json) return NULL;
    dele_status status = dele_tokenizer_beside(json, path, missing, err);
    if (!status) status = dele_tokenizer_from_json(t, json, path, arena, err);
    cJSON_Delete(json);
    if (!status && !(t->path = dele_strdup(arena, path, err))) status = DELE_ERR_MEMORY;
    if (!status) status = read_neighbour(t, path, "tokenizer_config.json", arena, err);
    if (!status) status = read_neighbour(t, path, "special_tokens_map.json", arena, err);
    if (!status && missing && t->bos < 0) t->bos = dele_token_id(t, missing);
    if (!status && missing && t->eos < 0) t->eos = dele_token_id(t, missing);
    if (!status) return t;
    dele_tokenizer_close(t);
    return NULL;
}
