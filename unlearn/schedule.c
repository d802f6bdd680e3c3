#include "unlearn/schedule.h"

#include <math.h>
#include <string.h>

lac_status lac_schedule_parse(lac_schedule *schedule, const char *name, lac_err *err)
{
    static const char *const names[] = {[LAC_LINEAR] = "linear", [LAC_COSINE] = "cosine", [LAC_CONSTANT] = "constant"};
    for (int k = LAC_LINEAR; k <= LAC_CONSTANT; k++) {
        if (strcmp(names[k], name)) continue;
        *schedule = (lac_schedule)k;
        return LAC_OK;
    }
    return lac_fail(err, LAC_ERR_USAGE, "--schedule %s is not one of: linear, cosine, constant", name);
}

double lac_lr_at(lac_schedule schedule, double lr, size_t warmup, size_t update, size_t updates)
{
    if (update < warmup) return lr * (double)(update + 1) / (double)warmup;
    if (schedule == LAC_CONSTANT || updates <= warmup) return lr;
    if (schedule == LAC_LINEAR) return lr * (double)(updates - update) / (double)(updates - warmup);
    return lr * 0.5 * (1 + cos(acos(-1) * (double)(update - warmup) / (double)(updates - warmup)));
}
