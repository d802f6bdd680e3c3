/* The files beside tokenizer.json that change it, as transformers 5.23's AutoTokenizer reads them.
 *
 *   tokenizer_config.json     added_tokens_decoder; the named tokens ("eos_token", ...), every
 *                             other "..._token" that is a text, and extra_special_tokens or
 *                             additional_special_tokens; add_prefix_space
 *   special_tokens_map.json   named tokens, which go before the config's; read only without
 *                             added_tokens_decoder
 *   added_tokens.json         {"text": id}; likewise
 *
 * An added token of tokenizer.json is not changed.  The others are added in this order: tokens with
 * an id, by id; named tokens; extra tokens.  A token that is in the vocabulary gets its id there,
 * any other the next free id: the ids in the files only determine the order, as in the library.
 *
 * The tokenizer class determines the effect of add_prefix_space: GPT2Tokenizer sets it in
 * ByteLevel, LlamaTokenizer omits the blank if it is false, other classes ignore it.  add_bos_token
 * and add_eos_token have no effect beside a tokenizer.json, whose post-processor adds these tokens;
 * beside a vocab.json they make one.
 * The result is written into the parsed document of tokenizer.json, so that one reader suffices. */
#include "text/tokenizer_read.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/texts.h"
#include "text/vocab.h"

typedef struct {
    cJSON *list;                       /* tokenizer.json's added_tokens */
    const cJSON *vocab;                /* its model's vocabulary */
    const cJSON *config, *map, *added; /* the files beside, or NULL */
    const cJSON *missing; /* BOS, EOS and the unknown token that no file names, or NULL */
    dele_text_span *content,
        *word; /* every added token; the vocabulary, read when the first new token comes */
    const cJSON **entry; /* of each word */
    dele_vocab known, words;
    size_t n_known, cap_known, n_words;
    int top; /* the highest id of an added token */
    dele_arena *arena;
    dele_err *err;
} beside;

static const char *const named[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
enum { N_NAMED = sizeof named / sizeof *named };

/* "</s>" or {"content": "</s>", ...}. */
static const char *content_of(const cJSON *token)
{
    return cJSON_GetStringValue(cJSON_IsObject(token) ? dele_json_given(token, "content") : token);
}

static const cJSON *named_token(const beside *b, const char *name)
{
    const cJSON *token = dele_json_given(b->map, name);
    if (!token) token = dele_json_given(b->config, name);
    if (token || !b->missing) return token;
    for (int i = 0; i < 3; i++)
        if (!strcmp(name, named[i]) && !cJSON_HasObjectItem(b->config, name)) return b->missing;
    return NULL;
}

static const cJSON *extra_tokens(const beside *b)
{
    static const char *const names[] = {"extra_special_tokens", "additional_special_tokens"};
    for (int i = 0; i < 2; i++) {
        const cJSON *list = named_token(b, names[i]);
        if (cJSON_GetArraySize(list)) return list;
    }
    return NULL;
}

/* ---- adding ---------------------------------------------------------------------------------- */

static bool is_known(const beside *b, const char *content)
{
    return dele_vocab_find(&b->known, b->content, content, strlen(content)) >= 0;
}

static void learn(beside *b, const char *content)
{
    b->content[b->n_known] = (dele_text_span){content, strlen(content)};
    dele_vocab_add(&b->known, b->content, (int)b->n_known++);
}

static dele_status read_words(beside *b)
{
    if (b->word) return DELE_OK;
    const size_t n = (size_t)cJSON_GetArraySize(b->vocab);
    const cJSON *item;
    b->word = DELE_NEW(b->arena, dele_text_span, n + 1, b->err);
    b->entry = DELE_NEW(b->arena, const cJSON *, n + 1, b->err);
    if (!b->word || !b->entry || dele_vocab_init(&b->words, n, b->arena, b->err))
        return DELE_ERR_MEMORY;
    cJSON_ArrayForEach(item, b->vocab)
    { /* {"token": id}, or Unigram's ["token", score] in the order of the ids */
        const char *text =
            item->string ? item->string : cJSON_GetStringValue(cJSON_GetArrayItem(item, 0));
        b->word[b->n_words] = (dele_text_span){text ? text : "", text ? strlen(text) : 0};
        b->entry[b->n_words] = item;
        dele_vocab_put(&b->words, b->word, (int)b->n_words++);
    }
    return DELE_OK;
}

static int id_of_word(const beside *b, int word)
{
    return b->entry[word]->string ? b->entry[word]->valueint : word;
}

/* Appends one token with the flags of its object (NULL: none), unless it exists. */
static dele_status add(beside *b, const char *content, const cJSON *flags, bool special,
                       bool normalized)
{
    if (!content || !*content || is_known(b, content)) return DELE_OK;
    if (read_words(b)) return DELE_ERR_MEMORY;
    const int word = dele_vocab_find(&b->words, b->word, content, strlen(content));
    const int id = word >= 0                   ? id_of_word(b, word)
                   : b->top >= (int)b->n_words ? b->top + 1
                                               : (int)b->n_words;
    cJSON *token = cJSON_CreateObject();
    bool good =
        token && cJSON_AddNumberToObject(token, "id", id) &&
        cJSON_AddStringToObject(token, "content", content) &&
        cJSON_AddBoolToObject(token, "single_word", dele_json_flag(flags, "single_word", false)) &&
        cJSON_AddBoolToObject(token, "lstrip", dele_json_flag(flags, "lstrip", false)) &&
        cJSON_AddBoolToObject(token, "rstrip", dele_json_flag(flags, "rstrip", false)) &&
        cJSON_AddBoolToObject(token, "normalized",
                              dele_json_flag(flags, "normalized", normalized)) &&
        cJSON_AddBoolToObject(token, "special", special) &&
        cJSON_AddTrueToObject(token, "beside") && cJSON_AddItemToArray(b->list, token);
    if (!good) {
        cJSON_Delete(token);
        return dele_fail(b->err, DELE_ERR_MEMORY, "out of memory for the tokenizer's added tokens");
    }
    if (id > b->top) b->top = id;
    learn(b, dele_json_given(token, "content")->valuestring);
    return DELE_OK;
}

/* ---- tokens with ids ------------------------------------------------------------------------- */

typedef struct {
    long id;
    const cJSON *token;
} numbered;

static int by_id(const void *a, const void *b)
{
    const numbered *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Whether a token of added_tokens.json is named or extra, and therefore special. */
static bool is_special(const beside *b, const char *content)
{
    const cJSON *item;
    for (int i = 0; i < N_NAMED; i++) {
        const char *text = content_of(named_token(b, named[i]));
        if (text && !strcmp(text, content)) return true;
    }
    cJSON_ArrayForEach(item, extra_tokens(b))
    {
        const char *text = content_of(item);
        if (text && !strcmp(text, content)) return true;
    }
    return false;
}

/* added_tokens_decoder {"260": {...}}, or added_tokens.json {"<new>": 260}. */
static dele_status add_numbered(beside *b, const cJSON *object, bool decoder)
{
    const size_t n = (size_t)cJSON_GetArraySize(object);
    numbered *order = DELE_NEW(b->arena, numbered, n + 1, b->err);
    size_t used = 0;
    const cJSON *item;
    if (!order) return DELE_ERR_MEMORY;
    cJSON_ArrayForEach(item, object)
    {
        if (decoder ? !content_of(item) || !cJSON_IsObject(item) : !cJSON_IsNumber(item))
            return dele_fail(b->err, DELE_ERR_FORMAT,
                             "%s: \"%.60s\" is not an added token with an id and a content",
                             decoder ? "tokenizer_config.json's added_tokens_decoder"
                                     : "added_tokens.json",
                             item->string ? item->string : "");
        order[used++] = (numbered){decoder ? strtol(item->string, NULL, 10) : item->valueint, item};
    }
    if (used) qsort(order, used, sizeof *order, by_id);
    dele_status status = DELE_OK;
    for (size_t i = 0; i < used && !status; i++) {
        const cJSON *token = order[i].token;
        const char *content = decoder ? content_of(token) : token->string;
        const bool special =
            decoder ? dele_json_flag(token, "special", false) : is_special(b, content);
        status = add(b, content, decoder ? token : NULL, special, !special);
    }
    return status;
}

/* ---- tokens with names ----------------------------------------------------------------------- */

static bool is_named(const char *name)
{
    for (int i = 0; i < N_NAMED; i++)
        if (!strcmp(name, named[i])) return true;
    return false;
}

/* A key "..._token" of the config, beside the named ones, whose value is a text. */
static bool is_other_token(const cJSON *item)
{
    return item->string && cJSON_IsString(item) && dele_ends_with(item->string, "_token") &&
           !is_named(item->string);
}

static dele_status add_named(beside *b)
{
    dele_status status = DELE_OK;
    const cJSON *item;
    for (int i = 0; i < N_NAMED && !status; i++) {
        const cJSON *token = named_token(b, named[i]);
        status = add(b, content_of(token), cJSON_IsObject(token) ? token : NULL, true, false);
    }
    cJSON_ArrayForEach(item, b->config)
    {
        if (status || !is_other_token(item)) continue;
        status = add(b, item->valuestring, NULL, true, false);
    }
    cJSON_ArrayForEach(item, extra_tokens(b))
    {
        if (status) break;
        status = add(b, content_of(item), cJSON_IsObject(item) ? item : NULL, true, false);
    }
    return status;
}

/* ---- the blank before a text ----------------------------------------------------------------- */

/* The steps of a part: the part itself, or the items of its list. */
static cJSON *first_step(cJSON *part, const char *list)
{
    cJSON *steps = cJSON_GetObjectItemCaseSensitive(part, list);
    return steps ? steps->child : part;
}

static bool is_step(const cJSON *step, const char *type)
{
    const char *theirs = cJSON_GetStringValue(dele_json_given(step, "type"));
    return theirs && !strcmp(theirs, type);
}

/* add_prefix_space of tokenizer_config.json, written into the steps of tokenizer.json as each
 * tokenizer class applies it (see above).  The class name may have "Fast" after it. */
static dele_status set_prefix_space(const beside *b, cJSON *json)
{
    const cJSON *space = dele_json_given(b->config, "add_prefix_space");
    const char *class = cJSON_GetStringValue(dele_json_given(b->config, "tokenizer_class"));
    if (!cJSON_IsBool(space) || (!class && !b->missing)) return DELE_OK;
    if (b->missing || !strncmp(class, "GPT2Tokenizer", 13)) { /* what is read from vocab.json */
        for (cJSON *s = first_step(cJSON_GetObjectItemCaseSensitive(json, "pre_tokenizer"),
                                   "pretokenizers");
             s; s = s->next) {
            if (!is_step(s, "ByteLevel")) continue;
            cJSON_DeleteItemFromObjectCaseSensitive(s, "add_prefix_space");
            if (!cJSON_AddBoolToObject(s, "add_prefix_space", cJSON_IsTrue(space)))
                return dele_fail(b->err, DELE_ERR_MEMORY,
                                 "out of memory for the tokenizer's steps");
        }
    } else if (!strncmp(class, "LlamaTokenizer", 14) && cJSON_IsFalse(space)) {
        static const char *const part[][3] = {{"normalizer", "normalizers", "Prepend"},
                                              {"decoder", "decoders", "Strip"}};
        for (int i = 0; i < 2; i++) {
            cJSON *list = cJSON_GetObjectItemCaseSensitive(
                cJSON_GetObjectItemCaseSensitive(json, part[i][0]), part[i][1]);
            for (cJSON *s = list ? list->child : NULL, *next; s; s = next) {
                next = s->next;
                if (is_step(s, part[i][2])) cJSON_Delete(cJSON_DetachItemViaPointer(list, s));
            }
        }
    }
    return DELE_OK;
}

/* ---- tokens before and after a text --------------------------------------------------------- */

static const cJSON *added_token(const beside *b, const char *content)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, b->list)
    {
        const char *theirs = content_of(item);
        if (theirs && !strcmp(theirs, content)) return item;
    }
    return NULL;
}

/* The id of a named token that a flag of the config puts beside each text; -1: none. */
static int put_beside_text(const beside *b, const char *flag, const char *name)
{
    const char *text = content_of(named_token(b, name));
    const cJSON *token = text ? added_token(b, text) : NULL;
    if (!token || !dele_json_flag(b->config, flag, false)) return -1;
    return dele_json_given(token, "id")->valueint;
}

/* add_bos_token and add_eos_token of a tokenizer without a document of its own: a template. */
static dele_status set_template(const beside *b, cJSON *json)
{
    const int bos = b->missing ? put_beside_text(b, "add_bos_token", "bos_token") : -1,
              eos = b->missing ? put_beside_text(b, "add_eos_token", "eos_token") : -1;
    if (bos < 0 && eos < 0) return DELE_OK;
    const char *text = dele_printf(
        b->arena, b->err,
        "{\"type\":\"TemplateProcessing\",\"single\":[%s{\"Sequence\":{\"id\":\"A\"}}%s],"
        "\"special_tokens\":{\"bos\":{\"ids\":[%d]},\"eos\":{\"ids\":[%d]}}}",
        bos < 0 ? "" : "{\"SpecialToken\":{\"id\":\"bos\"}},",
        eos < 0 ? "" : ",{\"SpecialToken\":{\"id\":\"eos\"}}", bos, eos);
    cJSON *template = text ? cJSON_Parse(text) : NULL;
    if (template && cJSON_AddItemToObject(json, "post_processor", template)) return DELE_OK;
    cJSON_Delete(template);
    return dele_fail(b->err, DELE_ERR_MEMORY, "out of memory for the tokenizer's steps");
}

/* ---- the files ------------------------------------------------------------------------------- */

static dele_status load(cJSON **json, const char *path, const char *name, dele_arena *arena,
                        dele_err *err)
{
    const char *slash = strrchr(path, '/');
    const char *file =
        dele_printf(arena, err, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, name);
    *json = NULL;
    if (!file) return DELE_ERR_MEMORY;
    if (!dele_path_exists(file)) return DELE_OK;
    dele_err own = {0};
    *json = dele_json_load(file, &own);
    return *json ? DELE_OK : dele_fail(err, own.code, "%s", own.msg);
}

/* Adds the tokens of the files beside to tokenizer.json's added_tokens, in the order above. `known`
 * has every token that is there already, so that none is added twice. */
static dele_status add_all(beside *b, cJSON *json)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "added_tokens");
    const cJSON *decoder = dele_json_given(b->config, "added_tokens_decoder"), *item;
    if (!cJSON_IsObject(json) || (list && !cJSON_IsArray(list) && !cJSON_IsNull(list)))
        return DELE_OK; /* refused later */
    if (cJSON_IsNull(list))
        cJSON_DeleteItemFromObjectCaseSensitive(json, "added_tokens"), list = NULL;
    if (!list && !(list = cJSON_AddArrayToObject(json, "added_tokens")))
        return dele_fail(b->err, DELE_ERR_MEMORY, "out of memory for the tokenizer's added tokens");
    if (decoder) b->map = b->added = NULL; /* then the config has all tokens */
    b->list = list;
    b->vocab = dele_json_given(dele_json_given(json, "model"), "vocab");
    b->cap_known = (size_t)(cJSON_GetArraySize(list) + cJSON_GetArraySize(decoder) +
                            cJSON_GetArraySize(b->added) + cJSON_GetArraySize(b->config) +
                            cJSON_GetArraySize(extra_tokens(b))) +
                   N_NAMED + 1;
    b->content = DELE_NEW(b->arena, dele_text_span, b->cap_known, b->err);
    if (!b->content || dele_vocab_init(&b->known, b->cap_known, b->arena, b->err))
        return DELE_ERR_MEMORY;
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *id = dele_json_given(item, "id");
        if (content_of(item)) learn(b, content_of(item));
        if (cJSON_IsNumber(id) && id->valueint > b->top && id->valueint < INT_MAX / 4)
            b->top = id->valueint;
    }
    dele_status status = decoder ? add_numbered(b, decoder, true) : DELE_OK;
    if (!status && b->added) status = add_numbered(b, b->added, false);
    if (!status) status = add_named(b);
    if (!status) status = set_template(b, json);
    return status ? status : set_prefix_space(b, json);
}

/* Reads the three files, of which any may be missing, and writes what they add into the document.
 */
dele_status dele_tokenizer_beside(cJSON *json, const char *path, const char *missing, dele_err *err)
{
    dele_arena scratch = {0};
    cJSON *config = NULL, *map = NULL, *added = NULL,
          *named_missing = missing ? cJSON_CreateString(missing) : NULL;
    dele_status status = DELE_OK;
    if (missing && !named_missing)
        status = dele_fail(err, DELE_ERR_MEMORY, "out of memory for the tokenizer's added tokens");
    if (!status) status = load(&config, path, "tokenizer_config.json", &scratch, err);
    if (!status) status = load(&map, path, "special_tokens_map.json", &scratch, err);
    if (!status) status = load(&added, path, "added_tokens.json", &scratch, err);
    beside b = {.config = config,
                .map = map,
                .added = added,
                .missing = named_missing,
                .top = -1,
                .arena = &scratch,
                .err = err};
    if (!status) status = add_all(&b, json);
    cJSON_Delete(config);
    cJSON_Delete(map);
    cJSON_Delete(added);
    cJSON_Delete(named_missing);
    dele_arena_release(&scratch);
    return status;
}
