/* Reads the steps of a tokenizer.json: normalizer, pre-tokenizer, post-processor and decoder.
 *
 * A step that is not known is refused by name: leaving it out would change ids or texts. */
#include "text/tokenizer_read.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "text/charsmap.h"
#include "text/encoder.h"
#include "text/regex.h"
#include "text/unicode.h"

#define GPT2_PATTERN                                                                               \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

typedef dele_tokenizer_reader reader;

static const char *string_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(dele_json_given(object, name));
}

typedef dele_status step_reader(reader *, const cJSON *, const char *type);

/* A part of the pipeline: nothing, one step, or a Sequence of them under the name `list`. */
static dele_status walk(reader *r, const cJSON *part, const char *list, step_reader *read,
                        int depth)
{
    if (!part) return DELE_OK;
    const char *type = string_of(part, "type");
    if (!type || depth > 8) return dele_reader_broken(r, "a step of its pipeline has no type");
    if (strcmp(type, "Sequence")) return read(r, part, type);
    const cJSON *item;
    dele_status status = DELE_OK;
    cJSON_ArrayForEach(item, dele_json_given(part, list)) if (!status) status =
        walk(r, item, list, read, depth + 1);
    return status;
}

static bool has_room(int n) { return n < DELE_MAX_STEPS; }

static int index_of(const char *const *names, int n, const char *name)
{
    for (int i = 0; name && i < n; i++)
        if (!strcmp(names[i], name)) return i;
    return -1;
}

/* A Replace step: plain text or a pattern, and what is put there. */
static dele_status read_replace(reader *r, const cJSON *json, dele_text_span *from,
                                dele_text_span *to, pcre2_code **regex, const char *part)
{
    const cJSON *pattern = dele_json_given(json, "pattern");
    const char *text = string_of(pattern, "String"), *expression = string_of(pattern, "Regex");
    if (!string_of(json, "content") || (!expression && !(text && *text)))
        return dele_reader_broken(r, "a Replace step lacks its pattern or content");
    dele_status status = dele_reader_copy(r, to, string_of(json, "content"));
    if (!status) status = dele_reader_copy(r, from, text ? text : expression);
    if (status || text) return status;
    return dele_regex_compile(regex, expression, r->where, part, r->err);
}

/* One character, as Metaspace and CharDelimiterSplit have it. */
static bool one_character(const char *text, int32_t *c)
{
    size_t used, n = text ? strlen(text) : 0;
    if (n) *c = dele_utf8_next(text, n, &used);
    return n && used == n;
}

/* ---- normalizers ----------------------------------------------------------------------------- */

static dele_status read_charsmap(reader *r, dele_normalizer_step *step, const cJSON *json)
{
    const char *map = string_of(json, "precompiled_charsmap");
    if (!map) return dele_reader_broken(r, "its Precompiled normalizer has no charsmap");
    step->charsmap = DELE_NEW(r->arena, dele_charsmap, 1, r->err);
    if (!step->charsmap) return DELE_ERR_MEMORY;
    return dele_charsmap_read(step->charsmap, map, r->where, r->arena, r->err);
}

/* One normalizer; the types are in the order of dele_normalizer. */
static dele_status read_normalizer(reader *r, const cJSON *json, const char *type)
{
    static const char *const kinds[] = {"NFC",       "NFD",     "NFKC",        "NFKD",
                                        "Prepend",   "Replace", "Strip",       "StripAccents",
                                        "Lowercase", "Nmt",     "Precompiled", "ByteLevel"};
    const int kind = index_of(kinds, sizeof kinds / sizeof *kinds, type);
    if (!has_room(r->t->n_norm))
        return dele_reader_refuse(r, "normalizer with too many steps:", json);
    if (kind < 0) return dele_reader_refuse(r, "normalizer", json);
    dele_normalizer_step *step = &r->t->norm[r->t->n_norm++];
    step->kind = (dele_normalizer)kind;
    switch (step->kind) {
    case DELE_NORMALIZER_PREPEND:
        if (!string_of(json, "prepend"))
            return dele_reader_broken(r, "its Prepend normalizer has no text");
        return dele_reader_copy(r, &step->to, string_of(json, "prepend"));
    case DELE_NORMALIZER_REPLACE:
        return read_replace(r, json, &step->from, &step->to, &step->regex, "normalizer");
    case DELE_NORMALIZER_STRIP:
        step->left = dele_json_flag(json, "strip_left", true);
        step->right = dele_json_flag(json, "strip_right", true);
        return DELE_OK;
    case DELE_NORMALIZER_PRECOMPILED:
        return read_charsmap(r, step, json);
    default:
        return DELE_OK;
    }
}

/* ---- pre-tokenizers -------------------------------------------------------------------------- */

static bool read_behavior(dele_pre_step *step, const cJSON *json)
{
    static const char *const behaviors[] = {"Removed", "Isolated", "MergedWithPrevious",
                                            "MergedWithNext", "Contiguous"};
    const int found = index_of(behaviors, 5, string_of(json, "behavior"));
    if (found >= 0) step->behavior = (dele_split_behavior)found;
    return found >= 0;
}

/* The pattern as a regular expression: unchanged, or plain text with everything quoted. */
static char *split_pattern(reader *r, const cJSON *json)
{
    const cJSON *pattern = dele_json_given(json, "pattern");
    const char *regex = string_of(pattern, "Regex"), *text = string_of(pattern, "String");
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
    const char *pattern = split_pattern(r, json);
    if (!read_behavior(step, json) || !pattern)
        return dele_reader_broken(r, "its Split pre-tokenizer lacks a pattern or a known behavior");
    step->invert = dele_json_flag(json, "invert", false);
    step->pattern = pattern;
    return dele_regex_compile(&step->regex, pattern, r->where, "pre-tokenizer", r->err);
}

static dele_status read_byte_level(reader *r, dele_pre_step *step, const cJSON *json)
{
    step->kind = DELE_PRE_BYTE_LEVEL;
    step->written = true;
    step->prefix_space = dele_json_flag(json, "add_prefix_space", true);
    step->pattern = dele_json_flag(json, "use_regex", true) ? GPT2_PATTERN : NULL;
    if (!step->pattern) return DELE_OK;
    return dele_regex_compile(&step->regex, step->pattern, r->where, "pre-tokenizer", r->err);
}

/* When a blank is put before a text: prepend_scheme, or the older add_prefix_space. */
static bool read_scheme(dele_prepend *prepend, const cJSON *json)
{
    static const char *const schemes[] = {"always", "first", "never"};
    const char *scheme = string_of(json, "prepend_scheme");
    const int found = index_of(schemes, 3, scheme);
    *prepend = found < 0 ? DELE_PREPEND_ALWAYS : (dele_prepend)found;
    if (!dele_json_flag(json, "add_prefix_space", true)) *prepend = DELE_PREPEND_NEVER;
    return !scheme || found >= 0;
}

static dele_status read_metaspace(reader *r, dele_pre_step *step, const cJSON *json)
{
    const char *mark = string_of(json, "replacement");
    step->kind = DELE_PRE_METASPACE;
    step->behavior = DELE_SPLIT_BEHAVIOR_WITH_NEXT;
    step->split = dele_json_flag(json, "split", true);
    if (!one_character(mark, &step->delimiter) || !read_scheme(&step->prepend, json))
        return dele_reader_broken(r, "its Metaspace pre-tokenizer has no valid replacement or "
                                     "prepend_scheme");
    return dele_reader_copy(r, &step->replacement, mark);
}

/* The steps that split at characters of a class: their types, the class and the behaviour. */
static const struct {
    const char *type;
    bool (*in_class)(int32_t c);
    dele_split_behavior behavior;
} class_steps[] = {
    {"Digits", dele_is_numeric, DELE_SPLIT_BEHAVIOR_CONTIGUOUS},
    {"Punctuation", dele_is_punctuation, DELE_SPLIT_BEHAVIOR_ISOLATED},
    {"WhitespaceSplit", dele_is_space, DELE_SPLIT_BEHAVIOR_REMOVED},
    {"Whitespace", dele_is_space, DELE_SPLIT_BEHAVIOR_REMOVED},
    {"Whitespace", dele_is_word, DELE_SPLIT_BEHAVIOR_CONTIGUOUS},
    {"BertPreTokenizer", dele_is_space, DELE_SPLIT_BEHAVIOR_REMOVED},
    {"BertPreTokenizer", dele_is_punctuation, DELE_SPLIT_BEHAVIOR_ISOLATED},
};

static dele_status read_class_steps(reader *r, const cJSON *json, const char *type, int *found)
{
    dele_tokenizer *t = r->t;
    *found = 0;
    for (size_t i = 0; i < sizeof class_steps / sizeof *class_steps; i++) {
        if (strcmp(type, class_steps[i].type)) continue;
        if (!has_room(t->n_pre))
            return dele_reader_refuse(r, "pre-tokenizer with too many steps:", json);
        dele_pre_step *step = &t->pre[t->n_pre++];
        step->kind = DELE_PRE_CLASS;
        step->in_class = class_steps[i].in_class;
        step->behavior = class_steps[i].behavior;
        if (dele_json_flag(json, "individual_digits", false))
            step->behavior = DELE_SPLIT_BEHAVIOR_ISOLATED;
        if (string_of(json, "behavior") && !read_behavior(step, json))
            return dele_reader_broken(r, "its Punctuation pre-tokenizer has no known behavior");
        ++*found;
    }
    return DELE_OK;
}

/* One pre-tokenizer, which may be two steps (Whitespace removes blanks and splits words from the
 * rest). */
static dele_status read_pretokenizer(reader *r, const cJSON *json, const char *type)
{
    dele_tokenizer *t = r->t;
    int found;
    dele_status status = read_class_steps(r, json, type, &found);
    if (status || found) return status;
    if (!has_room(t->n_pre))
        return dele_reader_refuse(r, "pre-tokenizer with too many steps:", json);
    dele_pre_step *step = &t->pre[t->n_pre++];
    step->behavior = DELE_SPLIT_BEHAVIOR_ISOLATED;
    if (!strcmp(type, "ByteLevel")) return read_byte_level(r, step, json);
    if (!strcmp(type, "Split")) return read_split(r, step, json);
    if (!strcmp(type, "Metaspace")) return read_metaspace(r, step, json);
    if (!strcmp(type, "CharDelimiterSplit") &&
        one_character(string_of(json, "delimiter"), &step->delimiter)) {
        step->kind = DELE_PRE_CLASS;
        step->behavior = DELE_SPLIT_BEHAVIOR_REMOVED;
        return DELE_OK;
    }
    t->n_pre--;
    return dele_reader_refuse(r, "pre-tokenizer", json);
}

/* ---- post-processors ------------------------------------------------------------------------- */

/* One token before the text or after it; of two processors the later one's is the outer. */
static dele_status add_special(reader *r, const cJSON *id, bool after, int *at)
{
    dele_tokenizer *t = r->t;
    int *n = after ? &t->n_suffix : &t->n_prefix, *list = after ? t->suffix : t->prefix;
    if (!dele_reader_is_id(id) || *n == DELE_MAX_EXTRA)
        return dele_reader_broken(r, "its post-processor's special tokens are not valid");
    if (after) {
        list[(*n)++] = id->valueint;
        return DELE_OK;
    }
    memmove(list + *at + 1, list + *at, (size_t)(*n - *at) * sizeof *list);
    list[(*at)++] = id->valueint;
    ++*n;
    return DELE_OK;
}

/* TemplateProcessing for one text: special tokens before and after the sequence A. */
static dele_status read_template(reader *r, const cJSON *json)
{
    int texts = 0, at = 0;
    const cJSON *item, *id;
    cJSON_ArrayForEach(item, dele_json_given(json, "single"))
    {
        const char *special = string_of(dele_json_given(item, "SpecialToken"), "id");
        if (dele_json_given(item, "Sequence")) texts++;
        if (!special) continue;
        const cJSON *ids = dele_json_given(
            cJSON_GetObjectItemCaseSensitive(dele_json_given(json, "special_tokens"), special),
            "ids");
        if (!ids)
            return dele_reader_broken(r, "its post-processor names a special token without ids");
        cJSON_ArrayForEach(id, ids)
        {
            dele_status status = add_special(r, id, texts > 0, &at);
            if (status) return status;
        }
    }
    if (texts != 1)
        return dele_fail(r->err, DELE_ERR_UNSUPPORTED,
                         "%s: a TemplateProcessing whose single form has the text %d times is not "
                         "supported",
                         r->where, texts);
    return DELE_OK;
}

/* "cls": ["<s>", 0], "sep": ["</s>", 2]: the first before the text, the second after it. */
static dele_status read_cls_sep(reader *r, const cJSON *json)
{
    int at = 0;
    const cJSON *cls = dele_json_given(json, "cls"), *sep = dele_json_given(json, "sep");
    dele_status status = add_special(r, cJSON_GetArrayItem(cls, 1), false, &at);
    return status ? status : add_special(r, cJSON_GetArrayItem(sep, 1), true, &at);
}

static dele_status read_postprocessor(reader *r, const cJSON *json, const char *type)
{
    if (!strcmp(type, "ByteLevel")) return DELE_OK; /* it changes offsets, not ids */
    if (!strcmp(type, "TemplateProcessing")) return read_template(r, json);
    if (!strcmp(type, "RobertaProcessing") || !strcmp(type, "BertProcessing"))
        return read_cls_sep(r, json);
    return dele_reader_refuse(r, "post-processor", json);
}

/* ---- decoders -------------------------------------------------------------------------------- */

static dele_status read_strip(reader *r, dele_dec_step *step, const cJSON *json)
{
    const cJSON *start = dele_json_given(json, "start"), *stop = dele_json_given(json, "stop");
    int32_t c;
    if (!one_character(string_of(json, "content"), &c))
        return dele_reader_broken(r, "its Strip decoder has no character");
    step->start = dele_reader_is_id(start) ? start->valueint : 0;
    step->stop = dele_reader_is_id(stop) ? stop->valueint : 0;
    return dele_reader_copy(r, &step->from, string_of(json, "content"));
}

/* One decoder; the types are in the order of dele_dec. */
static dele_status read_decoder(reader *r, const cJSON *json, const char *type)
{
    static const char *const kinds[] = {"ByteLevel", "Replace",   "ByteFallback", "Fuse",
                                        "Strip",     "Metaspace", "WordPiece",    "BPEDecoder"};
    const int kind = index_of(kinds, sizeof kinds / sizeof *kinds, type);
    dele_prepend prepend;
    int32_t c;
    if (!has_room(r->t->n_dec)) return dele_reader_refuse(r, "decoder with too many steps:", json);
    if (kind < 0) return dele_reader_refuse(r, "decoder", json);
    dele_dec_step *step = &r->t->dec[r->t->n_dec++];
    step->kind = (dele_dec)kind;
    switch (step->kind) {
    case DELE_DEC_REPLACE:
        return read_replace(r, json, &step->from, &step->to, &step->regex, "decoder");
    case DELE_DEC_STRIP:
        return read_strip(r, step, json);
    case DELE_DEC_METASPACE:
        if (!one_character(string_of(json, "replacement"), &c) || !read_scheme(&prepend, json))
            return dele_reader_broken(r, "its Metaspace decoder has no valid replacement");
        step->first = prepend != DELE_PREPEND_NEVER;
        return dele_reader_copy(r, &step->from, string_of(json, "replacement"));
    case DELE_DEC_WORDPIECE:
        step->first = dele_json_flag(json, "cleanup", true);
        return dele_reader_copy(r, &step->from,
                                string_of(json, "prefix") ? string_of(json, "prefix") : "##");
    case DELE_DEC_SUFFIX:
        if (!string_of(json, "suffix") || !*string_of(json, "suffix"))
            return dele_reader_broken(r, "its BPEDecoder has no suffix");
        return dele_reader_copy(r, &step->from, string_of(json, "suffix"));
    default:
        return DELE_OK;
    }
}

dele_status dele_tokenizer_steps(reader *r, const cJSON *json)
{
    const cJSON *decoder = dele_json_given(json, "decoder");
    r->t->has_decoder = decoder;
    dele_status status =
        walk(r, dele_json_given(json, "normalizer"), "normalizers", read_normalizer, 0);
    if (!status)
        status =
            walk(r, dele_json_given(json, "pre_tokenizer"), "pretokenizers", read_pretokenizer, 0);
    if (!status)
        status =
            walk(r, dele_json_given(json, "post_processor"), "processors", read_postprocessor, 0);
    return status ? status : walk(r, decoder, "decoders", read_decoder, 0);
}
