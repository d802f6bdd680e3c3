/* What a model's shape is.  Read from config.json or a GGUF header; a key that would change the maths and is not
 * known here is refused by name. */
#ifndef DELE_CONFIG_H
#define DELE_CONFIG_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/arena.h"

typedef enum { DELE_LLAMA, DELE_OLMO } dele_family;
typedef enum { DELE_RMSNORM, DELE_LAYERNORM } dele_norm; /* LAYERNORM: OLMo-1's, without parameters */

typedef struct {
    dele_family family;
    dele_norm norm;
    int n_layers, dim, hidden, n_heads, n_kv_heads, head_dim, vocab, context;
    float norm_eps, rope_theta, clip_qkv; /* clip_qkv 0: none */
    bool tied;                            /* the head is the embedding */
    int bos, eos, pad;                    /* -1: none */
} dele_config;

/* json: a parsed config.json; where: its path, for messages. */
dele_status dele_config_parse(dele_config *config, const cJSON *json, const char *where, dele_err *err);

/* A config.json that transformers loads (model_type llama or olmo).  The caller owns it.  Its floats are raw items: to
 * be printed, not read (print and parse again to read them). */
cJSON *dele_config_json(const dele_config *config);

/* Checks that sizes are positive, divide, and multiply within range.  Both readers end with it. */
dele_status dele_config_check(const dele_config *config, const char *where, dele_err *err);

#endif
