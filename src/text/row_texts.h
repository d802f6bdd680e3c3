/* The two texts of a row of a data set, by the names that the world gives them; the first pair that
 * fits:
 *
 *   input, output       LUME's and SemEval's (id and task may be beside them)
 *   question, answer    TOFU's
 *   prompt, attribute   ROME's facts; "joined": true says that nothing is between the two
 */
#ifndef DELE_ROW_TEXTS_H
#define DELE_ROW_TEXTS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

typedef struct {
    const char *prompt, *output; /* the row's own */
    bool joined;
} dele_row_texts;

/* false: no pair fits. */
bool dele_row_texts_of(dele_row_texts *texts, const cJSON *row);

#endif
