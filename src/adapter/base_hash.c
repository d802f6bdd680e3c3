#include "adapter/base_hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/json_out.h"

static void to_hex(char hex[DELE_HEX_SIZE], const uint8_t digest[DELE_HASH_SIZE])
{
    for (size_t i = 0; i < DELE_HASH_SIZE; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static bool of_base(const dele_tensor *t) { return t->part != DELE_PART_ADAPTER; }

/* The digest of a tensor's items as float32, read from the file some rows at a time. */
static bool tensor_digest(uint8_t digest[DELE_HASH_SIZE], const dele_tensor *t)
{
    const size_t cols = t->vector ? 1 : t->cols, rows = t->vector ? t->cols : t->rows;
    const bool whole = t->stored.order != DELE_ROWS_PLAIN;
    const size_t some = t->vector || whole ? rows : dele_tensor_piece(t);
    float *items = malloc((some < rows ? some : rows) * cols * sizeof *items);
    dele_hash h;
    if (!items) return false;
    dele_hash_begin(&h);
    for (size_t from = 0, n; from < rows; from += n) {
        n = rows - from < some ? rows - from : some;
        dele_part_rows(items, &t->stored, cols, from, n);
        dele_hash_add(&h, items, n * cols * sizeof *items);
    }
    dele_hash_end(&h, digest);
    free(items);
    return true;
}

bool dele_base_is_stored(const dele_model *model)
{
    for (size_t i = 0; i < model->n_tensors; i++)
        if (of_base(&model->tensors[i]) && !model->tensors[i].stored.data) return false;
    return true;
}

dele_status dele_base_hash(char hex[DELE_HEX_SIZE], const dele_model *model, dele_err *err)
{
    uint8_t(*digest)[DELE_HASH_SIZE] = malloc(model->n_tensors * sizeof *digest),
    all[DELE_HASH_SIZE];
    bool good = digest != NULL;
    if (!dele_base_is_stored(model)) {
        free(digest);
        return dele_fail(err, DELE_ERR_DATA,
                         "the model was not loaded from files, so there is no base that an "
                         "adapter could name");
    }
#pragma omp parallel for schedule(dynamic) reduction(&& : good)
    for (size_t i = 0; i < model->n_tensors; i++)
        if (digest && of_base(&model->tensors[i]))
            good = tensor_digest(digest[i], &model->tensors[i]) && good;
    if (!good) {
        free(digest);
        return dele_fail(err, DELE_ERR_MEMORY, "out of memory for the hash of the base model");
    }
    dele_hash h;
    dele_hash_begin(&h);
    for (size_t i = 0; i < model->n_tensors; i++) {
        if (!of_base(&model->tensors[i])) continue;
        dele_hash_add(&h, model->tensors[i].name, strlen(model->tensors[i].name) + 1);
        dele_hash_add(&h, digest[i], sizeof digest[i]);
    }
    dele_hash_end(&h, all);
    to_hex(hex, all);
    free(digest);
    return DELE_OK;
}

dele_status dele_base_put(cJSON *json, const dele_model *model, dele_err *err)
{
    char hex[DELE_HEX_SIZE];
    if (dele_base_hash(hex, model, err)) return err->code;
    cJSON_AddStringToObject(json, "base", model->path);
    cJSON_AddStringToObject(json, "base_sha256", hex);
    return DELE_OK;
}

dele_status dele_base_check(const cJSON *json, const char *dir, const dele_model *model,
                            dele_err *err)
{
    const cJSON *wanted = dele_json_given(json, "base_sha256");
    const char *base = dele_json_string(json, "base");
    char hex[DELE_HEX_SIZE];
    if (!wanted) {
        dele_remark("%s records no hash of its base model; that it was made for %s is not checked",
                    dir, model->path);
        return DELE_OK;
    }
    if (!cJSON_IsString(wanted) || strlen(wanted->valuestring) != DELE_HEX_SIZE - 1)
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s/" DELE_ADAPTER_FILE ": base_sha256 is no text of 64 hex digits", dir);
    if (dele_base_hash(hex, model, err)) return err->code;
    if (!strcmp(hex, wanted->valuestring)) return DELE_OK;
    return dele_fail(err, DELE_ERR_DATA,
                     "%s was made for another base model (%s%.100s%sweights with sha256 %.12s...); "
                     "the weights of %s have %.12s...",
                     dir, base ? "\"" : "", base ? base : "", base ? "\", " : "",
                     wanted->valuestring, model->path, hex);
}
