/* The table of families.  A row declares `const dele_family dele_family_NAME`, which the file
 * NAME.c defines. */
#ifndef DELE_FAMILIES_H
#define DELE_FAMILIES_H

#include "model/families/family.h"

#define DELE_FAMILIES(X)                                                                           \
    X(mixtral)                                                                                     \
    X(llama)                                                                                       \
    X(gemma2)                                                                                      \
    X(gemma3)                                                                                      \
    X(gpt2)                                                                                        \
    X(gpt_neox)                                                                                    \
    X(mistral)                                                                                     \
    X(olmo)                                                                                        \
    X(olmo3)                                                                                       \
    X(olmo2)                                                                                       \
    X(olmoe)                                                                                       \
    X(phi3)                                                                                        \
    X(qwen2)                                                                                       \
    X(qwen2_moe)                                                                                   \
    X(qwen3)                                                                                       \
    X(qwen3_moe)                                                                                   \
    X(smollm3)

#define X(name) extern const dele_family dele_family_##name;
DELE_FAMILIES(X)
#undef X

extern const dele_family *const dele_families[];
extern const size_t dele_n_families;

/* The family of a model_type of config.json; NULL: none. */
const dele_family *dele_family_by_hf(const char *model_type);

/* The supported names as a list in quotes: "llama", "olmo" and "x".  gguf: the architectures of
 * GGUF; last: the word before the last name. */
void dele_family_names(char *text, size_t size, bool gguf, const char *last);

/* The row of a key of config.json (or of an alias of one), or of a slot; NULL: the family has
 * none. */
const dele_key_row *dele_family_key(const dele_family *family, const char *hf);
const dele_tensor_row *dele_family_tensor(const dele_family *family, dele_slot slot);

/* The name in a tensor's row, with the layer in place of the first %d and the expert in that of
 * a second. */
void dele_tensor_name(char *name, size_t size, const char *form, int layer, int expert);

/* What a field is without its key, from the fields before it; NAN: the key is required. */
double dele_key_absent(const dele_config *config, const dele_key_row *row, dele_absent absent);

#endif
