/* The rotation in config.json. */
#ifndef DELE_CONFIG_ROTATION_H
#define DELE_CONFIG_ROTATION_H

#include "model/config/config_read.h"

/* rope and rotary_dim, from all keys.  row: that of DELE_HOLDS_ROTATION.  The sizes of the config
 * are read before. */
void dele_read_rotation(dele_config *c, const dele_key_row *row, const dele_config_reader *r);

/* Adds the keys for the config's rotation. */
void dele_rotation_json(cJSON *json, const dele_config *c, const dele_key_row *row);

#endif
