/* The two texts of a dataset example, by their common names; the first pair that exists is taken:
 *
 *   input, output       LUME's and SemEval's (id and task may be beside them)
 *   question, answer    TOFU's
 *   prompt, attribute   ROME's facts; "joined": true means no separator between the two
 */
#ifndef DELE_ROW_TEXTS_H
#define DELE_ROW_TEXTS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

typedef struct {
    const char *prompt, *output; /* the row's own */
    bool joined;
} dele_row_texts;

/* false: there is no such pair. */
bool dele_row_texts_of(dele_row_texts *texts, const cJSON *row);

#endif
