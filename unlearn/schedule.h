/* The learning rate over a run of N updates, W of them warm-up.
 *
 *   warm-up    lr (u + 1) / W               u < W, counted from 0
 *   linear     lr (1 − q)                   q = (u − W) / (N − W), so that the update behind the last would have none
 *   cosine     lr (1 + cos πq) / 2
 *   constant   lr
 *
 * As Hugging Face's schedulers of these names, but that theirs begin the warm-up with an update of rate 0. */
#ifndef DELE_SCHEDULE_H
#define DELE_SCHEDULE_H

#include <stddef.h>

#include "base/err.h"

typedef enum { DELE_LINEAR, DELE_COSINE, DELE_CONSTANT } dele_schedule;

dele_status dele_schedule_parse(dele_schedule *schedule, const char *name, dele_err *err);

double dele_lr_at(dele_schedule schedule, double lr, size_t warmup, size_t update, size_t updates);

#endif
