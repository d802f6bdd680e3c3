#include "unlearn/schedule.h"

#include <math.h>
#include <string.h>

dele_status dele_schedule_parse(dele_schedule *schedule, const char *name, dele_err *err)
{
    static const char *const names[] = {
        [DELE_LINEAR] = "linear", [DELE_COSINE] = "cosine", [DELE_CONSTANT] = "constant"};
    for (int k = DELE_LINEAR; k <= DELE_CONSTANT; k++) {
        if (strcmp(names[k], name)) continue;
        *schedule = (dele_schedule)k;
        return DELE_OK;
    }
    return dele_fail(err, DELE_ERR_USAGE, "--schedule %s is not one of: linear, cosine, constant",
                     name);
}

double dele_lr_at(dele_schedule schedule, double lr, size_t warmup, bool from_zero, size_t update,
                  size_t updates)
{
    if (update < warmup) return lr * (double)(update + !from_zero) / (double)warmup;
    if (schedule == DELE_CONSTANT || updates <= warmup) return lr;
    if (schedule == DELE_LINEAR)
        return lr * (double)(updates - update) / (double)(updates - warmup);
    return lr * 0.5 * (1 + cos(acos(-1) * (double)(update - warmup) / (double)(updates - warmup)));
}
