/* A SentencePiece model's "precompiled_charsmap": rules that rewrite short strings, as in nmt_nfkc.
 *
 *   u32            n, the trie's size in bytes, little-endian as all that follows
 *   u32 [n / 4]    a double-array trie (darts-clone): keys are the strings to be replaced, values
 *                  are offsets into the texts
 *   bytes          the texts that replace them, each closed by a zero byte
 *
 * In a unit of the trie, bits 0-7 are the label, bit 8 says that a value ends here, bit 9 that the
 * offset is shifted by 8, and bits 10-31 are the offset; a unit that holds a value has it in bits
 * 0-30.  A child is at (node ^ offset) ^ label.
 *
 * Applied as the `tokenizers` library does (normalizers/precompiled.rs): to each grapheme of fewer
 * than six bytes, else to each of its characters.  Of the keys that begin a grapheme the shortest
 * decides, and what follows it in the grapheme is lost. */
#ifndef DELE_CHARSMAP_H
#define DELE_CHARSMAP_H

#include <stdint.h>

#include "base/arena.h"
#include "text/vocab.h"

typedef struct dele_charsmap {
    const uint32_t *unit; /* [n_units] */
    size_t n_units;
    const char *texts; /* [n_texts], valid UTF-8 */
    size_t n_texts;
} dele_charsmap;

/* From base64; where: the file, for messages. */
dele_status dele_charsmap_read(dele_charsmap *map, const char *base64, const char *where,
                               dele_arena *arena, dele_err *err);
/* *s becomes the rewritten text, in the arena, if anything changed. */
dele_status dele_charsmap_apply(const dele_charsmap *map, dele_text_span *s, dele_arena *arena,
                                dele_err *err);

#endif
