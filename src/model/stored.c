#include "model/stored.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(((const dele_stored *)a)->name, ((const dele_stored *)b)->name);
}

dele_status dele_stored_sort(dele_stored *list, size_t n, dele_err *err)
{
    if (n > 1) qsort(list, n, sizeof *list, by_name);
    for (size_t i = 1; i < n; i++)
        if (strcmp(list[i - 1].name, list[i].name) == 0)
            return dele_fail(err, DELE_ERR_FORMAT, "%s: the tensor %.100s appears twice",
                             list[i].file, list[i].name);
    return DELE_OK;
}

dele_stored *dele_stored_find(dele_stored *list, size_t n, const char *name)
{
    const dele_stored key = {.name = name};
    return n ? bsearch(&key, list, n, sizeof *list, by_name) : NULL;
}

static int by_place(const void *a, const void *b)
{
    const dele_stored *x = *(const dele_stored *const *)a, *y = *(const dele_stored *const *)b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

dele_status dele_stored_disjoint(const dele_stored *list, size_t n, const dele_stored **order,
                                 dele_err *err)
{
    for (size_t i = 0; i < n; i++) order[i] = &list[i];
    if (n > 1) qsort(order, n, sizeof *order, by_place);
    for (size_t i = 1; i < n; i++)
        if (order[i - 1]->data + order[i - 1]->n_bytes > order[i]->data)
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s: the tensors %.100s and %.100s overlap; the file is damaged",
                             order[i]->file, order[i - 1]->name, order[i]->name);
    return DELE_OK;
}

bool dele_stored_measure(size_t *n_items, size_t *n_bytes, const dele_stored *t)
{
    const dele_dtype_info *info = dele_dtype_of(t->dtype);
    size_t n = 1;
    for (int i = 0; i < t->n_dims; i++)
        if (__builtin_mul_overflow(n, t->dims[i], &n)) return false;
    if (t->n_dims > 0 && t->dims[t->n_dims - 1] % info->items != 0) return false;
    *n_items = n;
    return !__builtin_mul_overflow(n / info->items, info->bytes, n_bytes);
}
