/* What a model's shape is.  Read from config.json or a GGUF header; a key that would change the maths and is not
 * known here is refused by name. */
#ifndef LAC_CONFIG_H
#define LAC_CONFIG_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/arena.h"

typedef enum { LAC_LLAMA, LAC_OLMO } lac_family;
typedef enum { LAC_RMSNORM, LAC_LAYERNORM } lac_norm; /* LAYERNORM: OLMo-1's, without parameters */

typedef struct {
    lac_family family;
    lac_norm norm;
    int n_layers, dim, hidden, n_heads, n_kv_heads, head_dim, vocab, context;
    float norm_eps, rope_theta, clip_qkv; /* clip_qkv 0: none */
    bool tied;                            /* the head is the embedding */
    int bos, eos, pad;                    /* -1: none */
} lac_config;

/* json: a parsed config.json; where: its path, for messages. */
lac_status lac_config_parse(lac_config *config, const cJSON *json, const char *where, lac_err *err);

/* A config.json that transformers loads (model_type llama or olmo).  The caller owns it.  Its floats are raw items: to
 * be printed, not read (print and parse again to read them). */
cJSON *lac_config_json(const lac_config *config);

/* Checks that sizes are positive, divide, and multiply within range.  Both readers end with it. */
lac_status lac_config_check(const lac_config *config, const char *where, lac_err *err);

#endif
