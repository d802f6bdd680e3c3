/* Tokenizers from files: what those readers share (tokenizer_json.c, tokenizer_steps.c,
 * tokenizer_beside.c, tokenizer_gguf.c, tokenizer_parts.c). */
#ifndef DELE_TOKENIZER_READ_H
#define DELE_TOKENIZER_READ_H

#include <cjson/cJSON.h>

#include "base/arena.h"
#include "text/tokenizer_data.h"

/* A tokenizer that is being read from a document; where is its name in messages. */
typedef struct {
    dele_tokenizer *t;
    const char *where;
    dele_arena *arena;
    dele_err *err;
} dele_tokenizer_reader;

/* The error of a document that lacks something, and of a part that is not supported. */
dele_status dele_reader_broken(dele_tokenizer_reader *r, const char *what);
dele_status dele_reader_refuse(dele_tokenizer_reader *r, const char *part, const cJSON *what);
dele_status dele_reader_copy(dele_tokenizer_reader *r, dele_text_span *out, const char *text);
bool dele_reader_is_id(const cJSON *item);

/* Reads normalizer, pre-tokenizer, post-processor and decoder. */
dele_status dele_tokenizer_steps(dele_tokenizer_reader *r, const cJSON *json);

/* Fills a zeroed tokenizer from a parsed tokenizer.json; `where` is its name in messages. */
dele_status dele_tokenizer_from_json(dele_tokenizer *t, const cJSON *json, const char *where,
                                     dele_arena *arena, dele_err *err);

/* Merges the files beside tokenizer.json into the document that was read from it.  missing: BOS,
 * EOS and the unknown token where no file names them, or NULL. */
dele_status dele_tokenizer_beside(cJSON *json, const char *path, const char *missing,
                                  dele_err *err);

/* The first name by which a GGUF knows a pre-tokenizer of these features (pattern NULL: GPT-2's
 * own); NULL: none. */
const char *dele_pre_name(bool digits, bool nfc, bool ignore_merges, const char *pattern);
/* Ids without a token are in a GGUF as "[PAD17]", unused. */
enum {
    DELE_TOKEN_NORMAL = 1,
    DELE_TOKEN_UNKNOWN,
    DELE_TOKEN_CONTROL,
    DELE_TOKEN_USER_DEFINED,
    DELE_TOKEN_UNUSED,
    DELE_TOKEN_BYTE
};

#endif
