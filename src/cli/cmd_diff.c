/* deleatur diff -- what moved between two models?
 *
 * Per tensor: bit-equal, or how far.  With d = b - a in double,
 *
 *   change  |d|_2       relative  |d|_2 / |a|_2       largest  max |d_i|       changed  entries
 *                                                     that differ
 *
 * The models may be in different files: one or several, of other number types, a directory or a
 * GGUF.  Weights are compared in float32, and read once.
 *
 * This is how "only these layers moved" is shown rather than claimed. */

#include "cli/cmd.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adapter/adapter.h"
#include "base/json_out.h"
#include "base/table.h"
#include "model/model.h"
#include "option/option.h"

typedef struct {
    const dele_tensor *a;
    bool equal;
    size_t changed;
    double norm, relative, largest;
} change;

/* Some rows of both tensors, and what is summed over each row. */
typedef struct {
    float *a, *b;    /* [some, cols] */
    double *sums;    /* [rows, 3]: squares of the difference, of a; the largest difference */
    size_t *changed; /* [rows] */
} pieces;

static void measure_rows(const pieces *p, size_t from, size_t n, size_t cols)
{
#pragma omp parallel for
    for (size_t r = 0; r < n; r++) {
        double *sums = p->sums + 3 * (from + r);
        for (size_t i = r * cols; i < (r + 1) * cols; i++) {
            double x = p->a[i], d = (double)p->b[i] - x;
            sums[0] += d * d;
            sums[1] += x * x;
            if (!(fabs(d) <= sums[2])) sums[2] = fabs(d); /* NaN shows */
            p->changed[from + r] += memcmp(&p->a[i], &p->b[i], sizeof(float)) != 0;
        }
    }
}

/* Row sums are added in order, so that the figures do not depend on the threads.  A weight that is
 * not finite shows in the largest difference, also where both models have it. */
static dele_status measure(change *c, const dele_model model[2], size_t k, dele_arena *scratch,
                           dele_err *err)
{
    const dele_tensor *a = &model[0].tensors[k], *b = &model[1].tensors[k];
    const size_t some = dele_tensor_piece(a);
    dele_arena_reset(scratch);
    *c = (change){.a = a};
    const pieces p = {.a = dele_alloc_raw(scratch, some, a->cols * sizeof(float), err),
                      .b = dele_alloc_raw(scratch, some, a->cols * sizeof(float), err),
                      .sums = DELE_NEW(scratch, double, 3 * a->rows, err),
                      .changed = DELE_NEW(scratch, size_t, a->rows, err)};
    if (!p.a || !p.b || !p.sums || !p.changed) return DELE_ERR_MEMORY;
    for (size_t from = 0, n; from < a->rows; from += n) {
        n = a->rows - from < some ? a->rows - from : some;
        dele_tensor_rows(p.a, a, from, n);
        dele_tensor_rows(p.b, b, from, n);
        measure_rows(&p, from, n, a->cols);
    }
    double d2 = 0, a2 = 0;
    for (size_t r = 0; r < a->rows; r++) {
        d2 += p.sums[3 * r];
        a2 += p.sums[3 * r + 1];
        if (!(p.sums[3 * r + 2] <= c->largest)) c->largest = p.sums[3 * r + 2];
        c->changed += p.changed[r];
    }
    if (!isfinite(c->largest) &&
        (dele_tensor_finite(&model[0], a, err) || dele_tensor_finite(&model[1], b, err)))
        return DELE_ERR_DATA;
    c->equal = c->changed == 0;
    if (c->equal) return DELE_OK;
    c->norm = sqrt(d2);
    c->relative = a2 > 0 ? sqrt(d2 / a2) : INFINITY;
    return DELE_OK;
}

static dele_status same_shape(const dele_model *a, const dele_model *b, const char *const path[2],
                              dele_err *err)
{
    for (size_t i = 0; i < a->n_tensors || i < b->n_tensors; i++) {
        const dele_tensor *x = i < a->n_tensors ? &a->tensors[i] : NULL,
                          *y = i < b->n_tensors ? &b->tensors[i] : NULL;
        if (x && y && strcmp(x->name, y->name) == 0 && x->rows == y->rows && x->cols == y->cols)
            continue;
        return dele_fail(err, DELE_ERR_DATA,
                         "%s and %s have different shapes: the first difference is %s", path[0],
                         path[1], x ? x->name : y->name);
    }
    return DELE_OK;
}

/* ---- speaking -------------------------------------------------------------------------------- */

/* "3-5,9" of the layers where a part changed, "-" where nothing did. */
static void layer_ranges(char *text, size_t room, const change *list, size_t n, dele_part part,
                         int n_layers)
{
    size_t at = 0;
    text[0] = '\0';
    for (int l = 0; l < n_layers; l++) {
        bool moved[2] = {false, false}; /* this layer, the one before */
        bool next = false;
        for (size_t i = 0; i < n; i++) {
            const dele_tensor *t = list[i].a;
            if (t->part != part || list[i].equal) continue;
            moved[0] |= t->layer == l;
            moved[1] |= t->layer == l - 1;
            next |= t->layer == l + 1;
        }
        if (!moved[0] || (moved[1] && next) || at + 16 > room) continue;
        at += (size_t)snprintf(text + at, room - at, "%s%d", moved[1] ? "-" : at ? "," : "", l);
    }
}

static void print_table(const change *list, size_t n, dele_table_form form, dele_err *err)
{
    dele_table t = {0};
    dele_table_head(&t, "tensor\tchange\trelative\tlargest\tchanged\tentries");
    for (size_t i = 0; i < n; i++) {
        const change *c = &list[i];
        dele_table_text(&t, c->a->name);
        if (c->equal)
            dele_table_cell(&t, "bit-equal");
        else
            dele_table_real(&t, "%.4g", c->norm);
        dele_table_real(&t, "%.3g", c->equal ? NAN : c->relative);
        dele_table_real(&t, "%.4g", c->equal ? NAN : c->largest);
        dele_table_cell(&t, "%zu", c->changed);
        dele_table_cell(&t, "%zu", c->a->rows * c->a->cols);
        dele_table_row(&t);
    }
    dele_table_print(&t, stdout, form, err);
}

/* For each module how many tensors changed, the norm of their change, and in which layers. */
static void print_summary(const change *list, size_t n, int n_layers)
{
    size_t n_equal = 0;
    for (size_t i = 0; i < n; i++) n_equal += list[i].equal;
    printf("\n%zu of %zu tensors bit-equal\n", n_equal, n);
    for (int part = DELE_PART_EMBED; part <= DELE_PART_HEAD; part++) {
        size_t of = 0, moved = 0;
        double norm = 0;
        for (size_t i = 0; i < n; i++) {
            if ((int)list[i].a->part != part) continue;
            of++;
            moved += !list[i].equal;
            norm += list[i].norm * list[i].norm;
        }
        char ranges[256];
        layer_ranges(ranges, sizeof ranges, list, n, (dele_part)part, n_layers);
        if (of && moved)
            printf("  %-6s %3zu of %3zu tensors moved, change %.4g%s%s\n", dele_part_name[part],
                   moved, of, sqrt(norm), ranges[0] ? ", layers " : "", ranges);
        else if (of)
            printf("  %-6s %3zu tensors, none moved\n", dele_part_name[part], of);
    }
}

/* Every tensor with its change, and the two counts of the summary. */
static dele_status print_diff_json(const change *list, size_t n, dele_err *err)
{
    cJSON *object = cJSON_CreateObject(), *tensors = cJSON_AddArrayToObject(object, "tensors");
    size_t n_equal = 0;
    for (size_t i = 0; i < n; i++) {
        const change *c = &list[i];
        cJSON *row = cJSON_CreateObject();
        n_equal += c->equal;
        cJSON_AddStringToObject(row, "name", c->a->name);
        cJSON_AddStringToObject(row, "part", dele_part_name[c->a->part]);
        cJSON_AddItemToObject(
            row, "layer", c->a->layer < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(c->a->layer));
        cJSON_AddBoolToObject(row, "equal", c->equal);
        cJSON_AddNumberToObject(row, "parameters", (double)(c->a->rows * c->a->cols));
        cJSON_AddNumberToObject(row, "changed", (double)c->changed);
        cJSON_AddItemToObject(row, "norm", dele_json_number(c->norm));
        cJSON_AddItemToObject(row, "relative", dele_json_number(c->relative));
        cJSON_AddItemToObject(row, "max_abs", dele_json_number(c->largest));
        cJSON_AddItemToArray(tensors, row);
    }
    cJSON_AddNumberToObject(object, "n_tensors", (double)n);
    cJSON_AddNumberToObject(object, "n_equal", (double)n_equal);
    dele_json_show(object, err);
    cJSON_Delete(object);
    return err->code;
}

static dele_status diff(const char *const path[2], const dele_adapter_options *adapters,
                        const dele_common *common, dele_arena *arena, dele_err *err)
{
    dele_model model[2] = {{.tensors = NULL}, {.tensors = NULL}};
    dele_arena scratch = {0};
    dele_status status = dele_model_map(&model[0], path[0], arena, err);
    if (!status) status = dele_model_map(&model[1], path[1], arena, err);
    if (!status) status = dele_adapters_apply(&model[1], adapters, arena, err);
    if (!status && model[1].config.perft.variant)
        status = dele_fail(err, DELE_ERR_USAGE,
                           "diff: --adapter: adapters beside or within experts change no weight of "
                           "the model; deleatur info MODEL --adapter DIR counts them");
    if (!status) status = same_shape(&model[0], &model[1], path, err);
    size_t n = model[0].n_tensors;
    change *list = status ? NULL : DELE_NEW(arena, change, n, err);
    if (!status && !list) status = DELE_ERR_MEMORY;
    for (size_t i = 0; i < n && !status; i++) status = measure(&list[i], model, i, &scratch, err);
    if (!status && common->json) status = print_diff_json(list, n, err);
    if (!status && !common->json) print_table(list, n, dele_table_form_of(common->csv), err);
    if (!status && !common->json && !common->csv) print_summary(list, n, model[0].config.n_layers);
    dele_model_release(&model[0]);
    dele_model_release(&model[1]);
    dele_arena_release(&scratch);
    return status;
}

int cmd_diff(int argc, char **argv)
{
    const char *path[2] = {NULL, NULL};
    dele_adapter_options adapters = {DELE_ADAPTER_DEFAULTS};
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("adapters of MODEL_B"),
        DELE_ADAPTER_OPTIONS(adapters),
        {0}};
    /* clang-format on */
    const dele_usage usage = {.command = "diff",
                              .summary = "compare the weights of two models, tensor by tensor",
                              .synopsis = "MODEL_A MODEL_B",
                              .example = "deleatur diff before after",
                              .options = options,
                              .positional = path,
                              .n_positional = 2,
                              .tables = true};
    dele_common common = {0};
    dele_arena arena = {0};
    dele_err err = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help)
        diff((const char *const *)path, &adapters, &common, &arena, &err);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
