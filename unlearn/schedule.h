/* The learning rate over a run of N updates, W of them warm-up.
 *
 *   warm-up    lr u / W                     u < W, counted from 0: the first update has rate 0
 *              lr (u + 1) / W               where it does not begin at zero
 *   linear     lr (1 − q)                   q = (u − W) / (N − W), so that the update after the
 *                                           last would have none
 *   cosine     lr (1 + cos πq) / 2
 *   constant   lr
 *
 * Begun at zero these are Hugging Face's get_linear_, get_cosine_ and
 * get_constant_schedule_with_warmup, to the bit of the rate
 * (tests/reference/trainer_updates.py). */
#ifndef DELE_SCHEDULE_H
#define DELE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum { DELE_LINEAR, DELE_COSINE, DELE_CONSTANT } dele_schedule;
extern const char *const dele_schedule_name[]; /* "linear", "cosine", "constant"; NULL */

double dele_lr_at(dele_schedule schedule, double lr, size_t warmup, bool from_zero, size_t update,
                  size_t updates);

#endif
