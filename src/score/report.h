/* Scores as JSON: numbers that may be missing, and accuracies.  Scores of single items are written
 * by base/items.h. */
#ifndef DELE_REPORT_H
#define DELE_REPORT_H

#include <stdio.h>

#include "base/items.h"
#include "base/json.h"
#include "score/accuracy.h"

/* name: x, or null where x is not a number. */
void dele_put_number(cJSON *object, const char *name, double x);
/* name: the text, or null where there is none. */
void dele_put_text(cJSON *object, const char *name, const char *text);
/* name: x as dele_put_number, and name_stderr: se. */
void dele_put_score(cJSON *object, const char *name, double x, double se);

/* n, acc with standard error and 95 % interval (Wilson; none for fewer than five questions);
 * acc_norm on request. */
cJSON *dele_accuracy_json(const dele_accuracy *a, bool norm);

#endif
