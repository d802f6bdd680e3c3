/* Reads tokenizer.json, the `tokenizers` library's own format.
 *
 * An unknown part is an error that names it: an almost right tokenizer would give silently wrong
 * results. */
#include "text/tokenizer_read.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "text/encoder.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#define GPT2_PATTERN                                                                               \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

typedef struct {
    dele_tokenizer *t;
    const char *where;
    dele_arena *arena;
    dele_err *err;
} reader;

/* ---- JSON, by type --------------------------------------------------------------------------- */

static const char *string(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(dele_json_given(object, name));
}

static bool is_id(const cJSON *item)
{
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < INT_MAX / 4 &&
           item->valuedouble == (double)item->valueint;
}

static dele_status copy(reader *r, dele_text_span *out, const char *text)
{
    out->text = dele_strdup(r->arena, text, r->err);
    out->n = strlen(text);
    return out->text ? DELE_OK : DELE_ERR_MEMORY;
}

static dele_status refuse_part(reader *r, const char *part, const cJSON *what)
{
    const char *type = string(what, "type");
    return dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                     "%s: the %s \"%s\" is not supported; this tokenizer cannot be used", r->where,
                     part, type ? type : "(without a type)");
}

static dele_status broken(reader *r, const char *what)
{
    return dele_fail(r->err, DELE_ERR_FORMAT, "%s: %s; is this a complete tokenizer.json?",
                     r->where, what);
}

typedef dele_status step_reader(reader *, const cJSON *, const char *type);

/* A part of the pipeline: nothing, one step, or a Sequence of them under the name `list`. */
static dele_status walk(reader *r, const cJSON *part, const char *list, step_reader *read,
                        int depth)
{
    if (!part) return DELE_OK;
    const char *type = string(part, "type");
    if (!type || depth > 8) return broken(r, "a step of its pipeline has no type");
    if (strcmp(type, "Sequence")) return read(r, part, type);
    const cJSON *item;
    dele_status status = DELE_OK;
    cJSON_ArrayForEach(item, dele_json_given(part, list)) if (!status) status =
        walk(r, item, list, read, depth + 1);
    return status;
}

static bool room(int n) { return n < DELE_MAX_STEPS; }

/* ---- normalizers, pre-tokenizers, post-processors, decoders ---------------------------------- */

/* Replace's pattern, if it is plain text. */
static const char *plain_pattern(const cJSON *step)
{
    const char *text = string(dele_json_given(step, "pattern"), "String");
    return text && *text ? text : NULL;
}

static dele_status read_normalizer(reader *r, const cJSON *json, const char *type)
{
    static const char *const forms[] = {"NFC", "NFD", "NFKC", "NFKD"};
    if (!room(r->t->n_norm)) return refuse_part(r, "normalizer with too many steps:", json);
    dele_normalizer_step *step = &r->t->norm[r->t->n_norm++];
    for (int i = 0; i < 4; i++)
        if (!strcmp(type, forms[i])) {
            step->kind = (dele_normalizer)(DELE_NORMALIZER_NFC + i);
            return DELE_OK;
        }
    if (!strcmp(type, "Prepend") && string(json, "prepend")) {
        step->kind = DELE_NORMALIZER_PREPEND;
        return copy(r, &step->to, string(json, "prepend"));
    }
    if (!strcmp(type, "Replace") && plain_pattern(json) && string(json, "content")) {
        step->kind = DELE_NORMALIZER_REPLACE;
        dele_status status = copy(r, &step->from, plain_pattern(json));
        return status ? status : copy(r, &step->to, string(json, "content"));
    }
    r->t->n_norm--;
    return refuse_part(r, "normalizer", json);
}

/* The pattern as a regular expression: unchanged, or plain text with everything quoted. */
static char *split_pattern(reader *r, const cJSON *json)
{
    const cJSON *pattern = dele_json_given(json, "pattern");
    const char *regex = string(pattern, "Regex"), *text = string(pattern, "String");
    if (regex) return dele_strdup(r->arena, regex, r->err);
    if (!text) return NULL;
    char *out = dele_alloc(r->arena, 2 * strlen(text) + 1, 1, r->err), *to = out;
    for (const char *c = text; out && *c; c++) {
        if (strchr("\\^$.[]|()?*+{}-#", *c)) *to++ = '\\';
        *to++ = *c;
    }
    return out;
}

static dele_status read_split(reader *r, dele_pre_step *step, const cJSON *json)
{
    static const char *const behaviors[] = {"Removed", "Isolated", "MergedWithPrevious",
                                            "MergedWithNext", "Contiguous"};
    const char *behavior = string(json, "behavior"), *pattern = split_pattern(r, json);
    int found = -1;
    for (int i = 0; behavior && i < 5; i++)
        if (!strcmp(behavior, behaviors[i])) found = i;
    if (found < 0 || !pattern)
        return broken(r, "its Split pre-tokenizer lacks a pattern or a supported behavior");
    step->behavior = (dele_split_behavior)found;
    step->invert = dele_json_flag(json, "invert", false);
    step->pattern = pattern;
    return dele_pre_regex(step, pattern, r->where, r->err);
}

/* A step of the pre-tokenizer.  ByteLevel must be the last, because it changes the alphabet in
 * which later patterns would be read. */
static dele_status read_pretokenizer(reader *r, const cJSON *json, const char *type)
{
    dele_tokenizer *t = r->t;
    if (!room(t->n_pre)) return refuse_part(r, "pre-tokenizer with too many steps:", json);
    if (t->byte_level)
        return dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                         "%s: a pre-tokenizer \"%s\" after ByteLevel is not supported", r->where,
                         type);
    dele_pre_step *step = &t->pre[t->n_pre++];
    step->behavior = DELE_SPLIT_BEHAVIOR_ISOLATED;
    if (!strcmp(type, "ByteLevel")) {
        t->byte_level = true;
        step->prefix_space = dele_json_flag(json, "add_prefix_space", true);
        step->pattern = dele_json_flag(json, "use_regex", true) ? GPT2_PATTERN : NULL;
        return step->pattern ? dele_pre_regex(step, step->pattern, r->where, r->err) : DELE_OK;
    }
    if (!strcmp(type, "Digits")) {
        if (!dele_json_flag(json, "individual_digits", false))
            step->behavior = DELE_SPLIT_BEHAVIOR_CONTIGUOUS;
        step->pattern = DELE_DIGITS_PATTERN;
        return dele_pre_regex(step, step->pattern, r->where, r->err);
    }
    if (!strcmp(type, "Split")) return read_split(r, step, json);
    t->n_pre--;
    return refuse_part(r, "pre-tokenizer", json);
}

/* TemplateProcessing for one text: special tokens before and after the sequence A. */
static dele_status read_template(reader *r, const cJSON *json)
{
    dele_tokenizer *t = r->t;
    bool after = false;
    const cJSON *item, *id;
    cJSON_ArrayForEach(item, dele_json_given(json, "single"))
    {
        const char *special = string(dele_json_given(item, "SpecialToken"), "id");
        if (dele_json_given(item, "Sequence")) after = true;
        if (!special) continue;
        const cJSON *ids = dele_json_given(
            cJSON_GetObjectItemCaseSensitive(dele_json_given(json, "special_tokens"), special),
            "ids");
        if (!ids) return broken(r, "its post-processor names a special token without ids");
        cJSON_ArrayForEach(id, ids)
        {
            int *n = after ? &t->n_suffix : &t->n_prefix;
            if (!is_id(id) || *n == DELE_MAX_EXTRA)
                return broken(r, "its post-processor's special tokens are not valid");
            (after ? t->suffix : t->prefix)[(*n)++] = id->valueint;
        }
    }
    return DELE_OK;
}

static dele_status read_postprocessor(reader *r, const cJSON *json, const char *type)
{
    if (!strcmp(type, "ByteLevel")) return DELE_OK; /* it changes offsets, not ids */
    if (!strcmp(type, "TemplateProcessing")) return read_template(r, json);
    return refuse_part(r, "post-processor", json);
}

/* A step of the decoder; one that is not known is refused, since leaving it out would change
 * texts. */
static dele_status read_decoder(reader *r, const cJSON *json, const char *type)
{
    dele_tokenizer *t = r->t;
    if (!room(t->n_dec)) return refuse_part(r, "decoder with too many steps:", json);
    dele_dec_step *step = &t->dec[t->n_dec++];
    if (!strcmp(type, "ByteLevel"))
        step->kind = DELE_DEC_BYTELEVEL;
    else if (!strcmp(type, "ByteFallback"))
        step->kind = DELE_DEC_BYTE_FALLBACK;
    else if (!strcmp(type, "Fuse"))
        step->kind = DELE_DEC_FUSE;
    else if (!strcmp(type, "Replace") && plain_pattern(json) && string(json, "content")) {
        step->kind = DELE_DEC_REPLACE;
        dele_status status = copy(r, &step->from, plain_pattern(json));
        return status ? status : copy(r, &step->to, string(json, "content"));
    } else if (!strcmp(type, "Strip") && string(json, "content") && *string(json, "content")) {
        const cJSON *start = dele_json_given(json, "start"), *stop = dele_json_given(json, "stop");
        step->kind = DELE_DEC_STRIP;
        step->start = is_id(start) ? start->valueint : 0;
        step->stop = is_id(stop) ? stop->valueint : 0;
        return copy(r, &step->from, string(json, "content"));
    } else {
        t->n_dec--;
        return refuse_part(r, "decoder", json);
    }
    return DELE_OK;
}

/* ---- the model ------------------------------------------------------------------------------- */

/* Vocabulary and added tokens are counted before they are stored: the highest id gives the size of
 * the tables, and ids with large gaps would make these larger than the file. */
static dele_status read_vocab(reader *r, const cJSON *vocab, const cJSON *added)
{
    dele_tokenizer *t = r->t;
    const cJSON *item;
    size_t n = 0;
    int top = -1;
    cJSON_ArrayForEach(item, vocab)
    {
        if (!is_id(item)) return broken(r, "an entry of its vocabulary has no id");
        if (item->valueint > top) top = item->valueint;
        n++;
    }
    cJSON_ArrayForEach(item, added)
    {
        const cJSON *id = dele_json_given(item, "id");
        if (!is_id(id) || !string(item, "content"))
            return broken(r, "an added token lacks its id or content");
        if (id->valueint > top) top = id->valueint;
        t->n_added++;
    }
    if ((size_t)top >= 4 * (n + t->n_added) + 65536)
        return broken(r, "the ids of its vocabulary have large gaps");
    t->size = top + 1;
    t->token = DELE_NEW(r->arena, dele_text_span, (size_t)t->size + 1, r->err);
    t->added_of = DELE_NEW(r->arena, const dele_added *, (size_t)t->size + 1, r->err);
    t->added = DELE_NEW(r->arena, dele_added, t->n_added + 1, r->err);
    dele_status status = dele_vocab_init(&t->vocab, n, r->arena, r->err);
    if (!t->token || !t->added_of || !t->added) status = DELE_ERR_MEMORY;
    cJSON_ArrayForEach(item, vocab)
    {
        if (status) break;
        if (t->token[item->valueint].text)
            return broken(r, "two entries of its vocabulary share one id");
        status = copy(r, &t->token[item->valueint], item->string);
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
        if (!merge_parts(item, &a, &b) || a.n + b.n > sizeof both)
            return dele_fail(r->err, DELE_ERR_FORMAT,
                             "%s: merge %d is not two tokens; is the file complete?", r->where,
                             rank);
        memcpy(both, a.text, a.n);
        memcpy(both + a.n, b.text, b.n);
        int left = dele_vocab_find(&t->vocab, t->token, a.text, a.n),
            right = dele_vocab_find(&t->vocab, t->token, b.text, b.n);
        int id = dele_vocab_find(&t->vocab, t->token, both, a.n + b.n);
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
static dele_status read_model(reader *r, const cJSON *json)
{
    dele_tokenizer *t = r->t;
    const cJSON *model = dele_json_given(json, "model"),
                *dropout = dele_json_given(model, "dropout");
    const char *type = string(model, "type"), *unk = string(model, "unk_token");
    const char *before = string(model, "continuing_subword_prefix"),
               *after = string(model, "end_of_word_suffix");
    if (!cJSON_IsObject(model)) return broken(r, "it has no model");
    if (type ? strcmp(type, "BPE") : !dele_json_given(model, "merges"))
        return refuse_part(r, "model type", model);
    if (!cJSON_IsObject(dele_json_given(model, "vocab")) ||
        !cJSON_IsArray(dele_json_given(model, "merges")))
        return broken(r, "its model has no vocabulary or no merges");
    if ((before && *before) || (after && *after) || (dropout && dropout->valuedouble != 0))
        return dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                         "%s: a BPE model with continuing_subword_prefix, end_of_word_suffix "
                         "or dropout is not supported",
                         r->where);
    t->byte_fallback = dele_json_flag(model, "byte_fallback", false);
    t->fuse_unk = dele_json_flag(model, "fuse_unk", false);
    t->ignore_merges = dele_json_flag(model, "ignore_merges", false);
    dele_status status =
        read_vocab(r, dele_json_given(model, "vocab"), dele_json_given(json, "added_tokens"));
    if (!status) status = read_merges(r, dele_json_given(model, "merges"));
    t->unk = -1;
    if (!status && unk) t->unk = dele_vocab_find(&t->vocab, t->token, unk, strlen(unk));
    return status;
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
        return broken(r, "an added token has the id of another token");
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
        dele_status status = copy(r, &a->content, string(item, "content"));
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
            status = dele_normalize(&a->pattern, t, a->content.text, a->content.n, false, r->arena,
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

dele_status dele_tokenizer_from_json(dele_tokenizer *t, const cJSON *json, const char *where,
                                     dele_arena *arena, dele_err *err)
{
    reader r = {.t = t, .where = where, .arena = arena, .err = err};
    t->bos = t->eos = -1;
    if (!cJSON_IsObject(json)) return broken(&r, "it is not a JSON object");
    const cJSON *decoder = dele_json_given(json, "decoder");
    t->has_decoder = decoder;
    dele_status status = read_model(&r, json);
    if (!status)
        status = walk(&r, dele_json_given(json, "normalizer"), "normalizers", read_normalizer, 0);
    if (!status)
        status =
            walk(&r, dele_json_given(json, "pre_tokenizer"), "pretokenizers", read_pretokenizer, 0);
    if (!status)
        status =
            walk(&r, dele_json_given(json, "post_processor"), "processors", read_postprocessor, 0);
    if (!status) status = walk(&r, decoder, "decoders", read_decoder, 0);
    if (status) return status;
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

dele_tokenizer *dele_tokenizer_load(const char *tokenizer_json, dele_arena *arena, dele_err *err)
{
    dele_tokenizer *t = DELE_NEW(arena, dele_tokenizer, 1, err);
    cJSON *json = t ? dele_json_load(tokenizer_json, err) : NULL;
    if (!json) return NULL;
    dele_status status = dele_tokenizer_beside(json, tokenizer_json, err);
    if (!status) status = dele_tokenizer_from_json(t, json, tokenizer_json, arena, err);
    cJSON_Delete(json);
    if (!status && !(t->path = dele_strdup(arena, tokenizer_json, err))) status = DELE_ERR_MEMORY;
    if (!status) status = read_neighbour(t, tokenizer_json, "tokenizer_config.json", arena, err);
    if (!status) status = read_neighbour(t, tokenizer_json, "special_tokens_map.json", arena, err);
    if (!status) return t;
    dele_tokenizer_close(t);
    return NULL;
}
