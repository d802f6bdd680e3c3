/* Encoding and decoding a continuation: the ids of an answer after its prompt, and the text of new
 * ids after earlier ids.
 *
 * A tokenizer encodes "cat" after "the" and "cat" alone to different ids: SentencePiece
 * vocabularies prepend a blank to every text, and so does byte-level BPE with add_prefix_space.  So
 * prompt and answer are encoded as one text, and the result is split after as many ids as the
 * prompt alone has, as in lm-evaluation-harness (lm_eval/api/model.py, _encode_pair):
 *
 *   ids     [ prompt's ids | answer's ids ]          [n], the answer's from `first` on
 *
 * A token straddles the boundary if the ids of the prompt alone are not a prefix of those of the
 * whole: the text "in 19" and "84" has the token " 1984".  DELE_STRADDLE_SPLIT then takes the ids
 * of the prompt alone and encodes the answer as the continuation of a text, with nothing prepended.
 * The ids still decode to the whole text, and the prompt has the same ids as in generation.
 * DELE_STRADDLE_LM_EVAL takes the ids of the prompt alone and the ids of the whole from `first` on,
 * as the harness does: text may be lost or repeated, and `first` may be n.
 *
 * The tokens that the post-processor puts before a text come before the prompt (add_special).
 * Those that it puts after a text are left out, since a continuation may follow. */
#ifndef DELE_CONTINUATION_H
#define DELE_CONTINUATION_H

#include "text/chat.h"
#include "text/tokenizer.h"

typedef struct {
    int *id; /* [n], in the caller's arena */
    size_t n, first;
} dele_continued_ids;

typedef enum { DELE_STRADDLE_SPLIT, DELE_STRADDLE_LM_EVAL } dele_straddle;

/* text [n bytes]: the prompt is its first `border` bytes, the answer the others. */
dele_status dele_encode_continuation(dele_continued_ids *out, const dele_tokenizer *t,
                                     const char *text, size_t n, size_t border, bool add_special,
                                     dele_straddle straddle, dele_arena *arena, dele_err *err);

/* The answer after the prompt in its chat layout (DELE_STRADDLE_SPLIT), with the white space that
 * the layout has between the two.  Without a layout (NULL) one blank separates them, unless the
 * answer is joined or begins with white space. */
dele_status dele_encode_answer(dele_continued_ids *out, const dele_tokenizer *t,
                               const dele_layout *layout, const char *prompt, const char *answer,
                               bool joined, dele_arena *arena, dele_err *err);

/* The prompt alone, in its chat layout: the ids that dele_encode_answer puts first. */
dele_status dele_encode_prompt(dele_ids *out, const dele_tokenizer *t, const dele_layout *layout,
                               const char *prompt, dele_arena *arena, dele_err *err);

/* "" or " ": the separator between a prompt and an answer that is not joined. */
const char *dele_between(const char *answer);

/* The number of leading ids of an answer that are white space only: tokenizers that split digits
 * begin " 1969" with a token for the blank.  At most n - 1. */
size_t dele_blank_ids(const dele_tokenizer *t, const int *ids, size_t n);

/* The text that `more` adds after `ids`: decode(ids + more) without the prefix that it shares with
 * decode(ids).  A character whose bytes are split between the two belongs to the added text.
 * skip_special leaves out special tokens. */
char *dele_decode_continuation(const dele_tokenizer *t, const int *ids, size_t n, const int *more,
                               size_t n_more, bool skip_special, dele_arena *arena, dele_err *err);

#endif
