/* A config.json as text, which is changed in places and otherwise copied byte for byte. */
#ifndef DELE_CONFIG_TEXT_H
#define DELE_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Where the value of a key of the outermost object begins and ends; false when the key is not
 * there.  text is JSON. */
bool dele_config_find(size_t *begin, size_t *end, const char *text, const char *key);

#endif
