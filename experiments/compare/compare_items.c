#include "experiments/compare/compare_items.h"

#include <string.h>

#include "base/file.h"
#include "base/file_out.h"
#include "base/json.h"
#include "base/json_out.h"
#include "score/suites/suites.h"
#include "score/two_samples.h"

/* By acc_norm; 1 or 0; -1: the item has no such pick. */
static int is_right_norm(const cJSON *item)
{
    const cJSON *pick = dele_json_get(item, "pick_norm"), *answer = dele_json_get(item, "answer");
    return cJSON_IsNumber(pick) && cJSON_IsNumber(answer) ? pick->valueint == answer->valueint : -1;
}

/* 1 or 0; -1: the item is of another kind (a sentence to complete, a text of the membership
 * part). */
static int is_right(const cJSON *item)
{
    const cJSON *pick = dele_json_get(item, "pick"), *answer = dele_json_get(item, "answer"),
                *rank = dele_json_get(item, "rank");
    const cJSON *match = dele_json_get(item, "exact_match"), *type = dele_json_get(item, "type");
    if (cJSON_IsNumber(pick) && cJSON_IsNumber(answer)) return pick->valueint == answer->valueint;
    if (cJSON_IsNumber(rank)) return rank->valueint == 1;
    if (!cJSON_IsNumber(match)) return -1;
    return cJSON_IsString(type) && !strcmp(type->valuestring, "sc") ? -1 : match->valuedouble == 1;
}

static bool same_item(const dele_suite *s, const cJSON *a, const cJSON *b)
{
    for (int k = 0; k < 3 && s->item_id[k]; k++)
        if (!cJSON_Compare(dele_json_get(a, s->item_id[k]), dele_json_get(b, s->item_id[k]),
                           true) &&
            (dele_json_get(a, s->item_id[k]) || dele_json_get(b, s->item_id[k])))
            return false;
    return true;
}

static paired_row *row_of(paired *result, const char *name, dele_arena *arena, dele_err *err)
{
    enum { MOST = 256 };
    for (size_t i = 1; i < result->n_rows; i++)
        if (!strcmp(result->row[i].name, name)) return &result->row[i];
    if (!result->row) result->row = DELE_NEW(arena, paired_row, MOST, err);
    if (!result->row || result->n_rows == MOST)
        return result->row; /* more sets than that: only their sum */
    paired_row *row = &result->row[result->n_rows];
    row->name = dele_strdup(arena, name, err);
    if (!row->name) return NULL;
    result->n_rows++;
    return row;
}

static void count(paired_row *row, int before, int after)
{
    row->n++;
    row->both_right += before && after;
    row->correct_to_incorrect += before && !after;
    row->incorrect_to_correct += !before && after;
}

/* Writes the line of an item whose prediction changed: what identifies it, the direction of the
 * change, both predictions and the right answer.  A suite predicts a choice, a most likely token or
 * a text; the field that both lines have is shown. */
static dele_status put_flip(FILE *to, const dele_suite *s, const cJSON *a, const cJSON *b,
                            int before, dele_err *err)
{
    static const char *const said[] = {"pick", "top", "generated"};
    cJSON *line = cJSON_CreateObject();
    for (int k = 0; k < 3 && s->item_id[k]; k++)
        if (dele_json_get(a, s->item_id[k]))
            cJSON_AddItemToObject(line, s->item_id[k],
                                  cJSON_Duplicate(dele_json_get(a, s->item_id[k]), true));
    cJSON_AddStringToObject(line, "change", before ? "wrong" : "right");
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        if (!dele_json_get(a, said[i]) || !dele_json_get(b, said[i])) continue;
        cJSON_AddItemToObject(line, "before", cJSON_Duplicate(dele_json_get(a, said[i]), true));
        cJSON_AddItemToObject(line, "after", cJSON_Duplicate(dele_json_get(b, said[i]), true));
    }
    const cJSON *answer = dele_json_get(a, "answer")
                              ? dele_json_get(a, "answer")
                              : dele_json_get(a, "output"); /* generated text has the latter */
    if (answer) cJSON_AddItemToObject(line, "answer", cJSON_Duplicate(answer, true));
    char *text = dele_json_text(line, false);
    bool ok = text && fprintf(to, "%s\n", text) > 0;
    cJSON_free(text);
    cJSON_Delete(line);
    return ok ? DELE_OK
              : dele_fail(err, DELE_ERR_FILE,
                          "the changed predictions could not be written: is the disk full?");
}

/* Counts an item under "all" and under its set (by may be NULL). */
static dele_status tally(paired *result, const char *by, int before, int after, dele_arena *arena,
                         dele_err *err)
{
    paired_row *all = result->row ? result->row : row_of(result, "all", arena, err);
    if (!all) return err->code;
    count(all, before, after);
    paired_row *own = by ? row_of(result, by, arena, err) : NULL;
    if (own && own != all) count(own, before, after);
    return err->code;
}

/* Reads both files line by line.  Line k of both must be the same item, so that the counts are
 * paired; items that are not right or wrong (is_right) are passed over in both. */
static dele_status read_pairs(paired *result, paired *norm, const dele_suite *s, dele_records r[2],
                              FILE *flips, dele_arena *arena, dele_err *err)
{
    for (;;) {
        const cJSON *a = dele_records_next(&r[0], err),
                    *b = err->code ? NULL : dele_records_next(&r[1], err);
        if (err->code || (!a && !b)) return err->code;
        if (!a || !b || !same_item(s, a, b))
            return dele_fail(err, DELE_ERR_DATA,
                             "%s:%d and %s:%d are not the same item; score both with the same data",
                             r[0].path, r[0].line, r[1].path, r[1].line);
        const char *by = s->item_set ? cJSON_GetStringValue(dele_json_get(a, s->item_set)) : NULL;
        int before = is_right(a), after = is_right(b), before_norm = is_right_norm(a),
            after_norm = is_right_norm(b);
        if (before < 0 || after < 0) continue;
        if (tally(result, by, before, after, arena, err)) return err->code;
        if (before_norm >= 0 && after_norm >= 0 &&
            tally(norm, by, before_norm, after_norm, arena, err))
            return err->code;
        if (flips && before != after && put_flip(flips, s, a, b, before, err)) return err->code;
    }
}

static void finish(paired *result)
{
    if (result->n_rows == 2 && result->row[1].n == result->row[0].n)
        result->n_rows = 1; /* one set is all of them */
    for (size_t i = 0; i < result->n_rows; i++)
        result->row[i].p =
            dele_mcnemar(result->row[i].correct_to_incorrect, result->row[i].incorrect_to_correct);
}

/* Puts the rows by acc_norm after those by acc. */
static dele_status append(paired *result, const paired *norm, dele_arena *arena, dele_err *err)
{
    if (!norm->n_rows) return DELE_OK;
    paired_row *row = DELE_NEW(arena, paired_row, result->n_rows + norm->n_rows, err);
    if (!row) return DELE_ERR_MEMORY;
    if (result->n_rows) memcpy(row, result->row, result->n_rows * sizeof *row);
    for (size_t i = 0; i < norm->n_rows; i++) {
        paired_row *own = &row[result->n_rows + i];
        *own = norm->row[i];
        own->name = dele_printf(arena, err, "%s acc_norm", norm->row[i].name);
        if (!own->name) return DELE_ERR_MEMORY;
    }
    result->row = row;
    result->n_rows += norm->n_rows;
    return DELE_OK;
}

dele_status paired_read(paired *result, const char *suite, const char *before, const char *after,
                        const char *flips, dele_arena *arena, dele_err *err)
{
    const dele_suite *s = NULL;
    const char *dir[2] = {before, after}, *path[2];
    dele_records r[2] = {{0}};
    dele_writer out = {0};
    paired norm = {0};
    *result = (paired){0};
    for (size_t i = 0; dele_suites[i]; i++)
        if (!strcmp(dele_suites[i]->name, suite) && dele_suites[i]->item_id[0]) s = dele_suites[i];
    for (int i = 0; i < 2; i++)
        if (!(path[i] = dele_printf(arena, err, "%s/items.jsonl", dir[i]))) return DELE_ERR_MEMORY;
    if (!s || !dele_path_exists(path[0]) || !dele_path_exists(path[1]))
        return flips
                   ? dele_fail(err, DELE_ERR_DATA,
                               "--flips: there are no two items.jsonl with right and wrong answers")
                   : DELE_OK;
    dele_status status = flips ? dele_writer_open(&out, flips, err) : DELE_OK;
    for (int i = 0; i < 2 && !status; i++) status = dele_records_open(&r[i], path[i], err);
    if (!status) status = read_pairs(result, &norm, s, r, out.stream, arena, err);
    for (int i = 0; i < 2; i++) dele_records_close(&r[i]);
    if (!status && flips) status = dele_writer_commit(&out, err);
    dele_writer_abandon(&out);
    finish(result);
    finish(&norm);
    return status ? status : append(result, &norm, arena, err);
}
