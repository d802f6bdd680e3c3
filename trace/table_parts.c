/* What the tables are made of: a file in the result's directory, a number or nothing, a column by its name. */
#include <math.h>

#include "trace/tables.h"

lac_status lac_table_open(lac_writer *out, const lac_saving *to, const char *name)
{
    char *path = lac_printf(to->arena, to->err, "%s/%s", to->dir, name);
    return path ? lac_writer_open(out, path, to->err) : to->err->code;
}

void lac_table_number(FILE *to, double x)
{
    if (isfinite(x)) fprintf(to, "\t%.6g", x);
    else fputc('\t', to);
}

void lac_table_interval(FILE *to, lac_interval interval)
{
    lac_table_number(to, interval.low);
    lac_table_number(to, interval.high);
}

void lac_table_column(FILE *to, const lac_trace *trace, const lac_chart *chart, int col)
{
    if (chart->kind == LAC_HEAD) fprintf(to, "%d.%d", col / trace->n_heads, col % trace->n_heads);
    else fprintf(to, "%d", col);
}
