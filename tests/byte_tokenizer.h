/* A byte-level tokenizer without merges: a token is a byte, its id the byte's rank in GPT-2's
 * alphabet. */
#ifndef DELE_TEST_BYTE_TOKENIZER_H
#define DELE_TEST_BYTE_TOKENIZER_H

#include "claims.h"

#include "text/tokenizer.h"

enum { BYTES_EOS = 256 };

/* With one token more, of a GGUF's type (3 control, 4 user-defined), put before every text; NULL:
 * none. */
static inline dele_tokenizer *bytes_after(const char *bos, int type, dele_arena *arena)
{
    static char text[258][32];
    static const char *tokens[258];
    static int types[258];
    int next = 0x100, n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int b = 0; b < 256; b++) {
            bool visible = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
            if (visible == (pass == 1)) continue;
            int c = visible ? b : next++;
            if (c < 0x80)
                snprintf(text[n], sizeof text[n], "%c", c);
            else
                snprintf(text[n], sizeof text[n], "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
            types[n++] = 1;
        }
    strcpy(text[BYTES_EOS], "<|endoftext|>");
    types[BYTES_EOS] = 3;
    for (int i = 0; i < 257; i++) tokens[i] = text[i];
    tokens[257] = bos;
    types[257] = type;
    dele_tokenizer_parts parts = {.kind = "gpt2",
                                  .pre = "gpt-2",
                                  .tokens = tokens,
                                  .types = types,
                                  .n_tokens = bos ? 258 : 257,
                                  .bos = bos ? 257 : -1,
                                  .add_bos = bos != NULL,
                                  .eos = BYTES_EOS,
                                  .unk = -1,
                                  .pad = -1};
    dele_err err = {0};
    dele_tokenizer *t = dele_tokenizer_build(&parts, arena, &err);
    if (!t) fail_msg("%s", err.msg);
    return t;
}

static inline dele_tokenizer *bytes_only(dele_arena *arena) { return bytes_after(NULL, 0, arena); }

#endif
