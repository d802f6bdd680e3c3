/* Questions to the table of families and to a family's own tables. */
#include "model/families/families.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const dele_part_name[DELE_N_PARTS] = {
    [DELE_PART_EMBED] = "embed",    [DELE_PART_ATTN] = "attn", [DELE_PART_MLP] = "mlp",
    [DELE_PART_ROUTER] = "router",  [DELE_PART_NORM] = "norm", [DELE_PART_HEAD] = "head",
    [DELE_PART_ADAPTER] = "adapter"};

const dele_family *dele_family_by_hf(const char *model_type)
{
    for (size_t i = 0; i < dele_n_families; i++)
        if (!strcmp(dele_families[i]->hf, model_type)) return dele_families[i];
    return NULL;
}

static const char *name_of(size_t i, bool gguf)
{
    return gguf ? dele_families[i]->gguf : dele_families[i]->hf;
}

/* Several families may share an architecture of GGUF. */
static bool named_before(size_t i, bool gguf)
{
    for (size_t j = 0; j < i; j++)
        if (!strcmp(name_of(i, gguf), name_of(j, gguf))) return true;
    return false;
}

void dele_family_names(char *text, size_t size, bool gguf, const char *last)
{
    size_t n = 0, listed = 0, used = 0;
    for (size_t i = 0; i < dele_n_families; i++) n += !named_before(i, gguf);
    text[0] = 0;
    for (size_t i = 0; i < dele_n_families && used < size; i++) {
        if (named_before(i, gguf)) continue;
        const bool is_last = ++listed == n;
        used += (size_t)snprintf(text + used, size - used, "%s%s%s\"%s\"",
                                 listed == 1 ? ""
                                 : is_last   ? " "
                                             : ", ",
                                 listed > 1 && is_last ? last : "",
                                 listed > 1 && is_last ? " " : "", name_of(i, gguf));
    }
}

const dele_key_row *dele_family_key(const dele_family *family, const char *hf)
{
    for (size_t i = 0; i < family->n_keys; i++) {
        const dele_key_row *row = &family->keys[i];
        if ((row->hf && !strcmp(row->hf, hf)) || (row->alias && !strcmp(row->alias, hf)))
            return row;
    }
    return NULL;
}

const dele_tensor_row *dele_family_tensor(const dele_family *family, dele_slot slot)
{
    for (size_t i = 0; i < family->n_tensors; i++)
        if (family->tensors[i].slot == slot) return &family->tensors[i];
    return NULL;
}

void dele_tensor_name(char *name, size_t size, const char *form, int layer, int expert)
{
    const char *at = strstr(form, "%d"), *next = at ? strstr(at + 2, "%d") : NULL;
    if (next)
        snprintf(name, size, "%.*s%d%.*s%d%s", (int)(at - form), form, layer, (int)(next - at - 2),
                 at + 2, expert, next + 2);
    else if (at)
        snprintf(name, size, "%.*s%d%s", (int)(at - form), form, layer, at + 2);
    else
        snprintf(name, size, "%s", form);
}

double dele_key_absent(const dele_config *c, const dele_key_row *row, dele_absent absent)
{
    switch (absent) {
    case DELE_REQUIRED:
        break;
    case DELE_DEFAULT:
        return row->value;
    case DELE_AS_OTHER:
        return *(const int *)((const char *)c + row->other) * (row->value != 0 ? row->value : 1);
    case DELE_PER_HEAD:
        return c->n_heads > 0 ? (double)c->hidden_size / c->n_heads : 0;
    }
    return (double)NAN;
}
