/* Fuzz targets: whatever the bytes of a file, its reader answers with a result or with one
 * sentence.
 *
 *   fuzz_FORMAT.c     one reader of files: fuzz_one() writes the bytes to a file and calls the
 *                     reader
 *   mutate_*.c        mutators that keep a file's structure whole, so that inputs get past its
 *                     header
 *   seeds/FORMAT/     valid files and kept findings; replay.c runs them through fuzz_one() as a
 *                     test
 *
 * Built in two ways (CMakeLists.txt here): by every build as a test that replays the seeds, and by
 * -DDELE_FUZZ=ON with clang as libFuzzer programs in which every arena object is an allocation of
 * its own. */
#ifndef DELE_FUZZ_H
#define DELE_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/families/families.h"
#include "model/model.h"

/* ---- each target defines these two ----------------------------------------------------------- */

/* Reads the bytes as a file of its format and uses what comes out.  Any failure but a sentence
 * aborts. */
void fuzz_one(const uint8_t *data, size_t size);

/* A changed copy of data[size] in place, at most `max` bytes; returns its size. */
size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed);

/* ---- what targets share (fuzz.c) ------------------------------------------------------------- */

/* A path in this process's own folder in memory; valid until the next call but three. */
const char *fuzz_path(const char *name);
const char *fuzz_write(const char *name, const void *data, size_t size); /* returns the path */

/* An input that holds n files: each but the last is a text and ends with a FUZZ_SEPARATOR, the last
 * is the rest.  An empty part is no file. */
enum { FUZZ_SEPARATOR = 0x1e };
void fuzz_write_files(const char *const *names, size_t n, const uint8_t *data, size_t size);

/* The arena of the current input: limited, and released after it. */
dele_arena *fuzz_arena(void);

/* A reader's answer: aborts where a failure has no sentence, or a sentence of two lines. */
void fuzz_answer(dele_status status, const dele_err *err);

/* A tiny Llama: 10 tokens, 2 heads of 4; targets that need a model differ in its layers and head.
 */
dele_config fuzz_config(int n_layers, bool tied);

/* The same as a mixture: 3 layers of 4 experts, 2 a token, stored as OLMoE. */
dele_config fuzz_mixture_config(void);

/* Runs a few tokens through a model that was loaded; forced (NULL: none): routes of as many rows as
 * it runs, FUZZ_TOKENS at most.  Whatever the weights, each row of logits is computed. */
enum { FUZZ_TOKENS = 5 };
void fuzz_run_model(const dele_model *model, const dele_routes *forced);

/* ---- mutators -------------------------------------------------------------------------------- */

typedef struct {
    uint64_t x;
} fuzz_random;
uint64_t fuzz_next(fuzz_random *r);
size_t fuzz_below(fuzz_random *r, size_t n); /* 0 where n is 0 */

/* libFuzzer's own byte mutator, or a few injuries where it is not linked. */
size_t fuzz_bytes(uint8_t *data, size_t size, size_t max, fuzz_random *r);

/* JSON text: a value becomes another one, a member is doubled, moved, removed or renamed. */
size_t fuzz_mutate_json(uint8_t *data, size_t size, size_t max, fuzz_random *r);

/* safetensors: the JSON header; its length field stays right. */
size_t fuzz_mutate_safetensors(uint8_t *data, size_t size, size_t max, fuzz_random *r);

/* One part of an input of n files (fuzz_write_files): JSON, but the last is safetensors. */
size_t fuzz_mutate_files(uint8_t *data, size_t size, size_t max, size_t n, fuzz_random *r);

/* GGUF: a metadata value, its type, a tensor's sizes, type or offset; counts follow. */
size_t fuzz_mutate_gguf(uint8_t *data, size_t size, size_t max, fuzz_random *r);

/* A zip of .npy members: one member's header or data is changed, the zip around it is whole
 * again. */
size_t fuzz_mutate_npz(uint8_t *data, size_t size, size_t max, fuzz_random *r);

#endif
