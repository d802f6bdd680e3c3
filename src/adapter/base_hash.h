/* Which model an adapter is for: a hash over the values of its base's weights.
 *
 * It is the sha256 over each tensor's name and sha256 of its float32 items, in the order of the
 * table, so that one model in several shards, as a GGUF with the same values, or in a wider type
 * has one hash.  What training or an adapter changed is not part of it: weights are read from the
 * file.
 *
 * DELE_ADAPTER_FILE lies beside every adapter that deleatur writes:
 *
 *   {"type": "lora", "base": "models/taught", "base_sha256": "64 hex digits"} */
#ifndef DELE_BASE_HASH_H
#define DELE_BASE_HASH_H

#include <cjson/cJSON.h>

#include "model/model.h"

#define DELE_ADAPTER_FILE "deleatur_adapter.json"

enum { DELE_HEX_SIZE = 65 };

/* The model must have been loaded from files. */
dele_status dele_base_hash(char hex[DELE_HEX_SIZE], const dele_model *model, dele_err *err);

/* Whether the model was loaded from files; one that a program made has no base to name. */
bool dele_base_is_stored(const dele_model *model);

/* Adds base and base_sha256 of a model to the object. */
dele_status dele_base_put(cJSON *json, const dele_model *model, dele_err *err);

/* Compares the base_sha256 of an object of DELE_ADAPTER_FILE with the model: another model is an
 * error, and where the object has none (json may be NULL) a remark says that it is not checked.
 * dir: the adapter's, for messages. */
dele_status dele_base_check(const cJSON *json, const char *dir, const dele_model *model,
                            dele_err *err);

#endif
