/* Forgetting against keeping: which settings no other is better than in both, as a table for a picture. */
#include "experiments/study_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const cJSON *field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}
static const char *text_field(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(field(object, name));
}

void study_front(bool *front, const double *x, const double *y, size_t n, bool x_low, bool y_low)
{
    const double sx = x_low ? -1 : 1, sy = y_low ? -1 : 1; /* now more is better */
    for (size_t i = 0; i < n; i++) {
        front[i] = isfinite(x[i]) && isfinite(y[i]);
        for (size_t k = 0; k < n && front[i]; k++) {
            if (!isfinite(x[k]) || !isfinite(y[k])) continue;
            const double dx = sx * (x[k] - x[i]), dy = sy * (y[k] - y[i]);
            if (dx >= 0 && dy >= 0 && (dx > 0 || dy > 0)) front[i] = false;
        }
    }
}

/* A point's name in the picture: its coordinate on the axis asked for, or all of them. */
static void put_label(FILE *to, const study_table *table, const study_row *row, size_t label, size_t colour)
{
    bool any = false;
    if (label < table->n_axes && row->at[label]) {
        fputs(row->at[label], to);
        return;
    }
    for (size_t a = 0; a < table->n_axes; a++) {
        if (!row->at[a] || a == colour) continue;
        fprintf(to, "%s%s", any ? " " : "", row->at[a]);
        any = true;
    }
}

enum { FEW = 24 };

typedef struct {
    const study_table *table;
    size_t x, y, colour, label, n; /* places in the table; n points in all */
    const bool *front;
} picture;

static void put_points(FILE *to, const picture *p, const char *colour)
{
    const study_table *table = p->table;
    bool any = false;
    for (size_t i = 0; i < table->n_rows; i++) {
        const study_row *row = &table->row[i];
        const char *own = p->colour < table->n_axes ? row->at[p->colour] : NULL;
        const study_number *x = &row->number[p->x], *y = &row->number[p->y];
        if (!isfinite(x->value) || !isfinite(y->value) || (own ? !colour || strcmp(own, colour) : colour != NULL))
            continue;
        if (!any) fprintf(to, "\"%s\"\n", colour ? colour : "other");
        any = true;
        fprintf(to, "%.6g\t%.6g\t%.6g\t%.6g\t%d\t", x->value, y->value, isfinite(x->error) ? x->error : 0,
                isfinite(y->error) ? y->error : 0, p->front[i]);
        if (p->front[i] || p->n <= FEW)
            put_label(to, table, row, p->label, p->colour); /* else they would cover each other */
        fputc('\n', to);
    }
    if (any) fputs("\n\n", to);
}

typedef struct {
    double x, y;
} spot;

static int by_x(const void *a, const void *b)
{
    const spot *p = a, *q = b;
    if (p->x != q->x) return p->x < q->x ? -1 : 1;
    return (p->y > q->y) - (p->y < q->y);
}

static void put_front(FILE *to, const picture *p, spot *room)
{
    size_t n = 0;
    for (size_t i = 0; i < p->table->n_rows; i++)
        if (p->front[i]) room[n++] = (spot){p->table->row[i].number[p->x].value, p->table->row[i].number[p->y].value};
    if (n) qsort(room, n, sizeof *room, by_x);
    fputs("\"front\"\n", to);
    for (size_t i = 0; i < n; i++) fprintf(to, "%.6g\t%.6g\n", room[i].x, room[i].y);
}

/* The table that plots/pareto.gp draws: a block of points a colour, and the front as the last one. */
dele_status study_save_pareto(const study *s, const study_table *table, const char *dir, dele_err *err)
{
    const cJSON *json = field(s->plan.json, "pareto");
    if (!json) return DELE_OK;
    picture p = {.table = table,
                 .x = study_column_find(table, text_field(json, "x")),
                 .y = study_column_find(table, text_field(json, "y")),
                 .colour = study_axis_find(table, text_field(json, "colour")),
                 .label = study_axis_find(table, text_field(json, "label"))};
    const size_t n = table->n_rows;
    double *x = DELE_NEW(s->arena, double, n, err), *y = DELE_NEW(s->arena, double, n, err);
    bool *front = DELE_NEW(s->arena, bool, n, err);
    spot *room = DELE_NEW(s->arena, spot, n, err);
    const char **colour = DELE_NEW(s->arena, const char *, n, err);
    const char *path = dele_printf(s->arena, err, "%s/pareto.tsv", dir);
    dele_writer out = {0};
    if (!x || !y || !front || !room || !colour || !path) return DELE_ERR_MEMORY;
    if (p.x == table->n_columns || p.y == table->n_columns) return DELE_OK;
    for (size_t i = 0; i < n; i++) {
        x[i] = table->row[i].number[p.x].value;
        y[i] = table->row[i].number[p.y].value;
        p.n += isfinite(x[i]) && isfinite(y[i]);
    }
    if (!p.n || dele_writer_open(&out, path, err)) return err->code;
    const char *xb = text_field(json, "x_better"), *yb = text_field(json, "y_better");
    study_front(front, x, y, n, !strcmp(xb, "low"), !strcmp(yb, "low"));
    p.front = front;
    fprintf(out.stream, "# plot pareto.gp\n# xlabel %s (%s is better)\n# ylabel %s (%s is better)\n",
            table->column[p.x].title, xb, table->column[p.y].title, yb);
    size_t n_colours = study_values_on(colour, table, p.colour);
    for (size_t i = 0; i < n_colours; i++) put_points(out.stream, &p, colour[i]);
    put_points(out.stream, &p, NULL);
    put_front(out.stream, &p, room);
    return dele_writer_commit(&out, err);
}
