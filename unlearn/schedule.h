/* The learning rate over a run of N updates, W of them warm-up.
 *
 *   warm-up    lr (u + 1) / W               u < W, counted from 0
 *   linear     lr (1 − q)                   q = (u − W) / (N − W), so that the update behind the last would have none
 *   cosine     lr (1 + cos πq) / 2
 *   constant   lr
 *
 * As Hugging Face's schedulers of these names, but that theirs begin the warm-up with an update of rate 0. */
#ifndef LAC_SCHEDULE_H
#define LAC_SCHEDULE_H

#include <stddef.h>

#include "base/err.h"

typedef enum { LAC_LINEAR, LAC_COSINE, LAC_CONSTANT } lac_schedule;

lac_status lac_schedule_parse(lac_schedule *schedule, const char *name, lac_err *err);

double lac_lr_at(lac_schedule schedule, double lr, size_t warmup, size_t update, size_t updates);

#endif
