/* What the tables are made of: a file in the result's directory, a number or nothing, a column by
 * its name. */
#include "trace/report/table_parts.h"

#include <math.h>

dele_status dele_table_open(dele_writer *out, const dele_saving *to, const char *name)
{
    char *path = dele_printf(to->arena, to->err, "%s/%s", to->dir, name);
    return path ? dele_writer_open(out, path, to->err) : to->err->code;
}

void dele_table_number(FILE *to, double x)
{
    if (isfinite(x))
        fprintf(to, "\t%.6g", x);
    else
        fputc('\t', to);
}

void dele_table_interval(FILE *to, dele_interval interval)
{
    dele_table_number(to, interval.low);
    dele_table_number(to, interval.high);
}

void dele_table_column(FILE *to, const dele_trace *trace, const dele_chart *chart, int col)
{
    const int units = dele_chart_units(trace, chart);
    if (dele_kind_has_units(chart->kind))
        fprintf(to, "%d.%d", col / units, col % units);
    else
        fprintf(to, "%d", col);
}
