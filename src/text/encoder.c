#include "text/encoder.h"

#include <stdint.h>
#include <stdlib.h>

dele_status dele_encoder_reserve(void **array, size_t *cap, size_t n, size_t size, dele_err *err)
{
    size_t wanted = *cap ? *cap : 256;
    while (wanted < n) wanted *= 2;
    if (wanted == *cap) return DELE_OK;
    void *fresh = wanted > SIZE_MAX / size ? NULL : realloc(*array, wanted * size);
    if (!fresh)
        return dele_fail(err, DELE_ERR_MEMORY,
                         "out of memory while tokenising: %zu items of %zu bytes", wanted, size);
    *array = fresh;
    *cap = wanted;
    return DELE_OK;
}

dele_status dele_encoder_push(dele_encoder *e, int id)
{
    if (e->n == e->cap) {
        void *array = e->id;
        dele_status status = dele_encoder_reserve(&array, &e->cap, e->n + 1, sizeof *e->id, e->err);
        e->id = array;
        if (status) return status;
    }
    e->id[e->n++] = id;
    return DELE_OK;
}
