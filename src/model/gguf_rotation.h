/* The rotation, and what differs from layer to layer, in a GGUF. */
#ifndef DELE_GGUF_ROTATION_H
#define DELE_GGUF_ROTATION_H

#include "model/families/family.h"
#include "model/gguf_keys.h"

/* A key of the architecture: "ARCH." and the name. */
typedef struct {
    char text[96];
} dele_gguf_name;
dele_gguf_name dele_gguf_name_of(const dele_family *family, const char *name);

/* Whether the functions below read the key, whose name is after "ARCH.". */
bool dele_gguf_is_rotation_key(const dele_family *family, const char *name);

/* rope, from all keys.  row: that of DELE_HOLDS_ROTATION. */
void dele_gguf_rotation(dele_config *c, const dele_key_row *row, const dele_gguf *g, dele_err *err);

/* layer_kind; a window that no layer has becomes 0. */
void dele_gguf_layers(dele_config *c, const dele_gguf *g, dele_err *err);

/* ---- writing --------------------------------------------------------------------------------- */

/* A key, under the architecture's name unless it begins with "deleatur.", and its value. */
typedef struct {
    const char *name, *text; /* text NULL: a number */
    double number;
    bool whole;
} dele_gguf_said;

/* The keys that a rotation has beside its base.  Returns their number. */
enum { DELE_GGUF_SAID = 12 };
size_t dele_gguf_rotation_keys(dele_gguf_said said[DELE_GGUF_SAID], const dele_config *c);

/* The divisors of the frequencies that llama.cpp has as a tensor, and how many there are; 0: the
 * config has no such tensor.  out may be NULL. */
#define DELE_GGUF_DIVISORS "rope_freqs.weight"
size_t dele_gguf_divisors(float *out, const dele_config *c);

#endif
