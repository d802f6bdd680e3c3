/* Ids and decoded text of many texts, for reference/compare_tokenizers.py.
 *
 *   tokens_of TOKENIZER < requests > answers     TOKENIZER: a tokenizer.json, a vocab.json or a
 * GGUF
 *
 *   request   u32 n, n bytes: a text to encode; or u32 0x80000000 + n, n ids (i32): to decode
 *   answer    of a text: u32 n, n ids, with the post-processor's tokens; u32 n, n ids, without; of
 *             ids: u32 n, n bytes, the text; u32 n, n bytes, the text without special tokens.  An
 *             error: u32 0xffffffff; u32 n, n bytes, its message
 *
 * Numbers have the machine's byte order. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "text/tokenizer.h"

static void put(const void *bytes, size_t n)
{
    const uint32_t length = (uint32_t)n;
    fwrite(&length, 4, 1, stdout);
    if (n) fwrite(bytes, 1, n, stdout);
}

static void put_error(const dele_err *err)
{
    const uint32_t mark = UINT32_MAX;
    fwrite(&mark, 4, 1, stdout);
    put(err->msg, strlen(err->msg));
}

static void put_ids(const dele_ids *ids)
{
    const uint32_t n = (uint32_t)ids->n;
    fwrite(&n, 4, 1, stdout);
    fwrite(ids->id, sizeof *ids->id, ids->n, stdout);
}

static void answer_text(const dele_tokenizer *t, const char *text, size_t n, dele_arena *arena)
{
    dele_err err = {0};
    dele_ids whole, bare;
    if (dele_encode(&whole, t, text, n, true, arena, &err) ||
        dele_encode(&bare, t, text, n, false, arena, &err)) {
        put_error(&err);
        return;
    }
    put_ids(&whole);
    put_ids(&bare);
}

static void answer_ids(const dele_tokenizer *t, const int *ids, size_t n, dele_arena *arena)
{
    dele_err err = {0};
    char *text[2];
    size_t length[2];
    for (int skip = 0; skip < 2; skip++) {
        text[skip] = dele_decode_bytes(&length[skip], t, ids, n, skip, arena, &err);
        if (!text[skip]) {
            put_error(&err);
            return;
        }
    }
    for (int skip = 0; skip < 2; skip++) put(text[skip], length[skip]);
}

static dele_tokenizer *load(const char *path, dele_arena *arena, dele_err *err)
{
    const char *dot = strrchr(path, '.');
    dele_gguf g = {0};
    dele_tokenizer_parts parts;
    if (!dot || strcmp(dot, ".gguf")) return dele_tokenizer_load(path, arena, err);
    const bool read =
        !dele_gguf_open(&g, path, arena, err) && !dele_gguf_tokenizer(&parts, &g, arena, err);
    dele_tokenizer *t = read ? dele_tokenizer_build(&parts, arena, err) : NULL;
    dele_gguf_close(&g);
    return t;
}

int main(int argc, char **argv)
{
    dele_arena arena = {0}, scratch = {0};
    dele_err err = {0};
    dele_tokenizer *t = argc == 2 ? load(argv[1], &arena, &err) : NULL;
    char *text = NULL;
    if (!t) {
        fprintf(stderr, "%s\n", argc == 2 ? err.msg : "usage: tokens_of TOKENIZER");
        dele_arena_release(&arena);
        return 1;
    }
    for (uint32_t n; fread(&n, 4, 1, stdin) == 1;) {
        const bool ids = n >> 31;
        const size_t count = n & INT32_MAX, size = ids ? 4 * count : count;
        char *grown = realloc(text, size + 4);
        if (!grown) break;
        text = grown;
        if (fread(text, 1, size, stdin) != size) break;
        if (ids)
            answer_ids(t, (const int *)(const void *)text, count, &scratch);
        else
            answer_text(t, text, count, &scratch);
        dele_arena_release(&scratch);
        scratch = (dele_arena){0};
    }
    free(text);
    dele_tokenizer_close(t);
    dele_arena_release(&arena);
    return fflush(stdout) ? 1 : 0;
}
