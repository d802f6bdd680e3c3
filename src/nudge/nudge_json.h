/* An answer as JSON, and a list of them as a page.  The page is made of the JSON alone, so that the
 * answers of an earlier, interrupted run are shown as those of this one. */
#ifndef DELE_NUDGE_JSON_H
#define DELE_NUDGE_JSON_H

#include <cjson/cJSON.h>

#include "nudge/nudge.h"

/* Adds to an object: spans [{by, round, tokens, text}], by "nudger" or "base"; and tokens [{by, p,
 * text}], the base's tokens with its top-1 probability before each, where there are any. */
dele_status dele_nudge_put_spans(cJSON *object, const dele_nudge_result *r, dele_err *err);

/* What a list of answers sums up to. */
typedef struct {
    int n;
    double tokens, nudging; /* tokens as the counter counts spans; those of the nudger */
    double passes[2], rows[2], questions, fetched, rounds;
    double seconds,
        timed; /* and the tokens of those answers that took time, that were not resumed */
    int stops[DELE_NUDGE_CONTEXT + 1];
} dele_nudge_sum;

void dele_nudge_add(dele_nudge_sum *sum, const dele_nudge_result *r);
/* n, tokens, nudging_tokens, nudging_share, rounds, base_passes, base_rows, nudger_passes,
 * nudger_rows, base_questions, base_fetched, stops; times, which differ from run to run, are left
 * to dele_nudge_put_speed: seconds, tokens_per_second. */
void dele_nudge_put_sum(cJSON *object, const dele_nudge_sum *sum);
void dele_nudge_put_speed(cJSON *object, const dele_nudge_sum *sum);
double dele_nudge_speed(const dele_nudge_sum *sum); /* tokens a second; NaN: no time */

/* What the page's head says. */
typedef struct {
    const char *base, *nudger;
    double gamma;
    const dele_nudge_sum *sum;
    const cJSON *items; /* list of objects with prompt, generated, stop, spans, tokens */
} dele_nudge_page;

enum { DELE_NUDGE_PAGE_ITEMS = 200 }; /* the first ones are shown */

dele_status dele_nudge_page_write(const char *path, const dele_nudge_page *page, dele_err *err);

#endif
