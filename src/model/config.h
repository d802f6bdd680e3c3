/* What a model's shape is.  Read from config.json or a GGUF header; a key that would change the
 * maths and is not known here is refused by name. */
#ifndef DELE_CONFIG_H
#define DELE_CONFIG_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/arena.h"

typedef enum { DELE_LLAMA, DELE_OLMO } dele_family;
typedef enum {
    DELE_RMSNORM,
    DELE_LAYERNORM
} dele_norm_type; /* LAYERNORM: OLMo-1's, without parameters */

enum { DELE_MAX_ENDS = 32 };

typedef struct {
    dele_family family;
    dele_norm_type norm;
    int n_layers, hidden_size, intermediate_size, n_heads, n_kv_heads, head_dim, vocab, context;
    float norm_eps, rope_theta, clip_qkv; /* clip_qkv 0: none */
    bool tied;                            /* the head is the embedding */
    int bos, eos, pad;                    /* -1: none; eos: the first, which training appends */
    int ends[DELE_MAX_ENDS], n_ends;      /* generation stops at any of these; none: at eos */
} dele_config;

/* json: a parsed config.json; where: its path, for messages. */
dele_status dele_config_parse(dele_config *config, const cJSON *json, const char *where,
                              dele_err *err);

/* A config.json that transformers loads (model_type llama or olmo).  The caller owns it.  Its
 * floats are raw items: to be printed, not read (print and parse again to read them). */
cJSON *dele_config_json(const dele_config *config);

/* A token id that a file names under `name`: -1 (none) or a row of the embedding, or an error that
 * says so.  Every source of ids (config.json, generation_config.json, GGUF) goes through it once,
 * at load. */
dele_status dele_config_check_id(const dele_config *config, double id, const char *where,
                                 const char *name, dele_err *err);

/* One more end of text, if it is not among them. */
dele_status dele_config_add_end(dele_config *config, int id, const char *where, dele_err *err);

/* generation_config.json: its ids are checked, and its eos_token_id, a number or a list, takes the
 * place of the ends that config.json names, as in transformers' generate (generation/utils.py,
 * _prepare_generation_config).  A file that names none leaves them as they are; transformers would
 * then stop at none. */
dele_status dele_config_read_generation(dele_config *config, const cJSON *json, const char *where,
                                        dele_err *err);

/* The generation_config.json that a config needs whose ends leave out eos; NULL: none.  The caller
 * owns it. */
cJSON *dele_config_generation_json(const dele_config *config);

/* Checks that sizes are positive, divide, and multiply within range.  Both readers end with it. */
dele_status dele_config_check(const dele_config *config, const char *where, dele_err *err);

#endif
