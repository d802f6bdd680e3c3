/* What differs from layer to layer in config.json. */
#ifndef DELE_CONFIG_LAYERS_H
#define DELE_CONFIG_LAYERS_H

#include "model/config/config_read.h"

/* layer_kind, from all keys; a window that no layer has becomes 0.  row: that of DELE_HOLDS_LAYERS.
 * The sizes and the window of the config are read before. */
void dele_read_layers(dele_config *c, const dele_key_row *row, const dele_config_reader *r);

/* The value of a key of dele_read_layers; NULL: none is needed. */
cJSON *dele_layers_json(const dele_config *c, const char *key);

#endif
