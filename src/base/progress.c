#include "base/progress.h"
#include "base/text_out.h"

#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Never less than before, so that no duration is negative.  (The bits of positive doubles have the
 * order of their values.) */
double dele_now(void)
{
    static atomic_uint_least64_t latest;
    struct timespec t;
    uint64_t before = atomic_load(&latest), now = 0;
    double seconds = 0;
    if (!clock_gettime(CLOCK_MONOTONIC, &t)) seconds = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    memcpy(&now, &seconds, sizeof now);
    while (now > before && !atomic_compare_exchange_weak(&latest, &before, now)) continue;
    if (now < before) memcpy(&seconds, &before, sizeof seconds);
    return seconds;
}

void dele_print_duration(FILE *to, double seconds)
{
    if (seconds < 10)
        fprintf(to, "%.1f s", seconds);
    else if (seconds < 59.5)
        fprintf(to, "%.0f s", seconds);
    else if (seconds < 3600)
        fprintf(to, "%d min %02d s", (int)seconds / 60, (int)seconds % 60);
    else
        fprintf(to, "%.0f h %02d min", floor(seconds / 3600), (int)fmod(seconds / 60, 60));
}

/* A line of progress: redrawn in place on a terminal, else a line of its own.  The rate counts what
 * this process has done, without what it resumed from. */
static void print_line(dele_progress *p, const char *note, bool last)
{
    double spent = dele_now() - p->started, rate = spent > 0 ? (p->done - p->from) / spent : 0;
    if (p->tty) fputs("\r\033[K", p->to);
    fprintf(p->to, "%s  %.0f/%.0f %s", p->what, p->done, p->total, p->unit);
    if (rate > 0)
        fprintf(p->to,
                rate < 1     ? "  %.2g %s/s"
                : rate < 100 ? "  %.1f %s/s"
                             : "  %.0f %s/s",
                rate, p->unit);
    if (last) {
        fputs("  took ", p->to);
        dele_print_duration(p->to, spent);
    } else if (rate > 0) {
        fputs("  ", p->to);
        dele_print_duration(p->to, (p->total - p->done) / rate);
        fputs(" left", p->to);
    }
    if (note && note[0]) {
        fputs("   ", p->to);
        dele_text_put(p->to, note, DELE_TEXT_LINE);
    }
    if (last || !p->tty) fputc('\n', p->to);
    fflush(p->to);
}

void dele_progress_begin(dele_progress *p, FILE *to, const char *what, const char *unit,
                         double total)
{
    if (!p) return;
    *p = (dele_progress){
        .to = to, .what = what, .unit = unit, .total = total, .started = dele_now()};
    p->tty = to && isatty(fileno(to));
}

void dele_progress_from(dele_progress *p, double done)
{
    if (!p) return;
    p->from = p->done = done;
    p->started = dele_now();
}

void dele_progress_set(dele_progress *p, double done, const char *note)
{
    if (!p || !p->to) return;
    p->done = done;
    double now = dele_now();
    int tenth = p->total > 0 ? (int)(10 * done / p->total) : 0;
    if (p->tty ? now - p->shown < 0.2 : tenth <= p->tenth || tenth >= 10) return;
    p->shown = now;
    p->tenth = tenth;
    print_line(p, note, false);
}

void dele_progress_end(dele_progress *p)
{
    if (!p || !p->to) return;
    print_line(p, NULL, true);
    p->to = NULL;
}
