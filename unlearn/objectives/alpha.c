#include "unlearn/objectives/alpha.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dele_status dele_alpha_parse(dele_alpha *alpha, const char *text, dele_err *err)
{
    *alpha = (dele_alpha){.mode = DELE_ALPHA_PAPER};
    if (!strcmp(text, "paper")) return DELE_OK;
    if (!strcmp(text, "code")) {
        alpha->mode = DELE_ALPHA_CODE;
        return DELE_OK;
    }
    char *end;
    alpha->mode = DELE_ALPHA_FIXED;
    alpha->fixed = strtod(text, &end);
    if (end == text || *end || !(alpha->fixed >= 0 && isfinite(alpha->fixed)))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--alpha %s: give paper, code, or a number of at least 0", text);
    return DELE_OK;
}

static double clip(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static double gamma_of(double rise) { return 0.3 * pow(6, rise) + 0.8; }

double dele_alpha_paper(double rise) { return clip(gamma_of(rise), 1.2, 2.8); }

/* Rounded through decimal text, as Python's round does: correct to the last bit of the binary
 * number.  Clipped on both sides of it, because beyond the ceiling the digits do not matter (and
 * may be many). */
double dele_alpha_code(double rise)
{
    char text[16];
    snprintf(text, sizeof text, "%.1f", clip(gamma_of(rise), 1, 3));
    return clip(strtod(text, NULL), 1.2, 2.3);
}

/* PAPER compares the loss with the mean of the groups before it.  CODE compares it with the mean
 * collected in epoch 0, during which the weight is 1.2; dividing by sequences is the published
 * program's (see the header).  DUAL returns the multiplier as it was and updates it for the next
 * group. */
double dele_alpha_next(dele_alpha *alpha, double retain_loss, size_t n_sequences, int epoch)
{
    double mean = alpha->count > 0 ? alpha->sum / alpha->count : retain_loss;
    switch (alpha->mode) {
    case DELE_ALPHA_FIXED:
        return alpha->fixed;
    case DELE_ALPHA_PAPER:
        alpha->sum += retain_loss;
        alpha->count += 1;
        return dele_alpha_paper(retain_loss - mean);
    case DELE_ALPHA_CODE:
        if (epoch > 0) return dele_alpha_code(retain_loss - mean);
        alpha->sum += retain_loss;
        alpha->count += (double)n_sequences;
        return 1.2;
    case DELE_ALPHA_DUAL: {
        const double now = alpha->fixed;
        if (epoch >= alpha->warmup)
            alpha->fixed = fmax(0, now + alpha->eta * (retain_loss - alpha->epsilon));
        return now;
    }
    }
    return alpha->fixed;
}
