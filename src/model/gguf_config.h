/* The config of a GGUF. */
#ifndef DELE_GGUF_CONFIG_H
#define DELE_GGUF_CONFIG_H

#include "model/config/config.h"
#include "model/gguf_keys.h"

/* The keys of the family's table; an unknown key under the architecture's name is an error that
 * names the key. */
dele_status dele_gguf_config(dele_config *config, const dele_gguf *g, dele_err *err);

#endif
