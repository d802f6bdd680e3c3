/* Failed allocations inside cJSON.
 *
 * cJSON_AddStringToObject and similar functions return NULL on failure, and an object whose caller
 * does not check lacks a field.  Every allocation of cJSON goes through the hook below, which
 * records a failure.  The record is checked where results leave the program (a writer's commit, an
 * output directory's commit, a line of items, --json, main's exit status), so that an incomplete
 * result is never moved into place. */
#include "base/json_memory.h"

#include <cjson/cJSON.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

static atomic_bool failed;

static void *allocate(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (!memory) atomic_store(&failed, true);
    return memory;
}

/* Runs before main, so that the hooks exist before any object of cJSON. */
__attribute__((constructor)) static void watch(void)
{
    cJSON_Hooks hooks = {.malloc_fn = allocate, .free_fn = free};
    cJSON_InitHooks(&hooks);
}

dele_status dele_json_memory(dele_err *err)
{
    if (!atomic_load(&failed)) return DELE_OK;
    return dele_fail(err, DELE_ERR_MEMORY,
                     "out of memory while a result was built; nothing of it was written");
}

void dele_json_memory_failed(void) { atomic_store(&failed, true); }
