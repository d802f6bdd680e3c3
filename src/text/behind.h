/* One text behind another: the ids of an answer behind its prompt, and the text of new ids behind
 * older ones.
 *
 * A tokenizer encodes "cat" behind "the" and "cat" alone to different ids: SentencePiece
 * vocabularies prepend a blank to every text, byte-level ones do with add_prefix_space.  So prompt
 * and answer are encoded as one text, and the result is split by the number of ids of the prompt
 * alone, as lm-evaluation-harness does (lm_eval/api/model.py, _encode_pair):
 *
 *   ids     [ prompt's ids | answer's ids ]          [n], the answer's from `first` on
 *
 * A token straddles the border where the ids of the prompt alone do not begin those of the whole:
 * "in 19" and "84" have " 1984" in common.  Then DELE_STRADDLE_SPLIT takes the prompt's own ids and
 * encodes the answer as the middle of a text, nothing prepended: the ids still decode to the whole
 * text, and the model reads the prompt as it reads it before it generates.  DELE_STRADDLE_LM_EVAL
 * takes the prompt's own ids and the whole's ids from `first` on, as the harness does: text may be
 * lost or repeated, and `first` may be n.
 *
 * What the post-processor puts before a text comes before the prompt (add_special); what it puts
 * behind a text is left out, since the text goes on. */
#ifndef DELE_BEHIND_H
#define DELE_BEHIND_H

#include "text/tokenizer.h"

typedef struct {
    int *id; /* [n], in the caller's arena */
    size_t n, first;
} dele_ids_behind;

typedef enum { DELE_STRADDLE_SPLIT, DELE_STRADDLE_LM_EVAL } dele_straddle;

/* text [n bytes]: the prompt is its first `border` bytes, the answer the others. */
dele_status dele_encode_behind(dele_ids_behind *out, const dele_tokenizer *t, const char *text,
                               size_t n, size_t border, bool add_special, dele_straddle straddle,
                               dele_arena *arena, dele_err *err);

/* The answer behind the prompt in its chat layout (DELE_STRADDLE_SPLIT).  Raw text gets one blank
 * between the two, unless the answer is joined or begins with white space. */
dele_status dele_encode_answer(dele_ids_behind *out, const dele_tokenizer *t, dele_chat chat,
                               const char *prompt, const char *answer, bool joined,
                               dele_arena *arena, dele_err *err);

/* The prompt alone, in its chat layout: the ids that dele_encode_answer puts first. */
dele_status dele_encode_prompt(dele_ids *out, const dele_tokenizer *t, dele_chat chat,
                               const char *prompt, dele_arena *arena, dele_err *err);

/* "" or " ": what is between a prompt and an answer that is not joined. */
const char *dele_between(const char *answer);

/* How many of the n ids that an answer begins with say white space only: digit-splitting tokenizers
 * give " 1969" a lone blank first.  At most n - 1. */
size_t dele_blank_ids(const dele_tokenizer *t, const int *ids, size_t n);

/* The text that `more` adds behind `ids`: decode(ids + more) without what it shares with
 * decode(ids).  A character whose bytes are split between the two belongs to what is added.
 * Special tokens are left out where skip_special says so. */
char *dele_decode_behind(const dele_tokenizer *t, const int *ids, size_t n, const int *more,
                         size_t n_more, bool skip_special, dele_arena *arena, dele_err *err);

#endif
