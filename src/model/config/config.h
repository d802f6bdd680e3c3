/* A model's architecture, read from config.json or a GGUF header.  An unknown key that may change
 * the computation is an error that names the key. */
#ifndef DELE_CONFIG_H
#define DELE_CONFIG_H

#include <cjson/cJSON.h>

#include "base/arena.h"
#include "model/families/family.h"

/* json: a parsed config.json; where: its path, for messages. */
dele_status dele_config_parse(dele_config *config, const cJSON *json, const char *where,
                              dele_err *err);

/* The part of a config.json that is the model's: the object under "text_config" where it is that of
 * a model with other parts, such as one for images; else json. */
#define DELE_CONFIG_PART "text_config"
const cJSON *dele_config_part(const cJSON *json);

/* The keys of json, a parsed config.json, whose default was taken because it lacks them.  Returns
 * their number. */
enum { DELE_MAX_DEFAULTED = 16 };
size_t dele_config_defaulted(const char *names[DELE_MAX_DEFAULTED], const dele_config *config,
                             const cJSON *json);

/* A config.json that transformers loads.  The caller owns it.  Its
 * floats are raw items of cJSON, which can be printed but not read as numbers. */
cJSON *dele_config_json(const dele_config *config);

/* A token id under the key `name` of a file: -1 (none) or a row of the embedding; anything else is
 * an error.  Every id of config.json, generation_config.json and GGUF is checked by this function
 * at load. */
dele_status dele_config_check_id(const dele_config *config, double id, const char *where,
                                 const char *name, dele_err *err);

/* Adds an end of text, if it is not in the list. */
dele_status dele_config_add_end(dele_config *config, int id, const char *where, dele_err *err);

/* generation_config.json: its ids are checked.  Its eos_token_id, a number or a list, replaces the
 * ends of config.json, as in transformers' generate (generation/utils.py,
 * _prepare_generation_config).  A file without eos_token_id does not change them; transformers
 * would then not stop at any id. */
dele_status dele_config_read_generation(dele_config *config, const cJSON *json, const char *where,
                                        dele_err *err);

/* The generation_config.json for a config whose ends do not include eos; NULL: none is needed.  The
 * caller owns it. */
cJSON *dele_config_generation_json(const dele_config *config);

/* The fields that follow from others, of a config whose keys have been read. */
void dele_config_settle(dele_config *config);

/* Checks that sizes are positive, divisible where necessary, and that their products are in range.
 * Both readers call it last. */
dele_status dele_config_check(const dele_config *config, const char *where, dele_err *err);

#endif
