#include "unlearn/schedule.h"

#include <math.h>

const char *const dele_schedule_name[] = {"linear", "cosine", "constant", NULL};

double dele_lr_at(dele_schedule schedule, double lr, size_t warmup, bool from_zero, size_t update,
                  size_t updates)
{
    if (update < warmup) return lr * (double)(update + !from_zero) / (double)warmup;
    if (schedule == DELE_CONSTANT || updates <= warmup) return lr;
    if (schedule == DELE_LINEAR)
        return lr * (double)(updates - update) / (double)(updates - warmup);
    return lr * 0.5 * (1 + cos(acos(-1) * (double)(update - warmup) / (double)(updates - warmup)));
}
