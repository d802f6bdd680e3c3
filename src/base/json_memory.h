/* Failed allocations inside cJSON. */
#ifndef DELE_JSON_MEMORY_H
#define DELE_JSON_MEMORY_H

#include "base/err.h"

/* DELE_ERR_MEMORY after any allocation inside cJSON has failed (json_memory.c): an object may
 * lack fields.  It is checked wherever a result leaves the program. */
dele_status dele_json_memory(dele_err *err);
void dele_json_memory_failed(void); /* records a failed allocation of a result outside cJSON */

#endif
