/* What becomes of an allocation that fails inside cJSON.
 *
 * cJSON_AddStringToObject and its like return NULL, callers rarely look, and an object then lacks a
 * field.  Every allocation of cJSON goes through the hook below, which records a failure; the
 * record is asked where results leave the program (a writer's commit, an output directory's commit,
 * a line of items, --json, main's exit status), so that no result with a hole is ever put in place,
 * whichever call overlooked it. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/json.h"

static atomic_bool failed;

static void *allocate(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (!memory) atomic_store(&failed, true);
    return memory;
}

/* Before main: no object of cJSON's is older than its hooks. */
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

void dele_json_memory_again(void) { atomic_store(&failed, false); }
