/* Forgetting against keeping: which settings no other is better than in both, as a table for a
 * picture. */
#include "experiments/study/study_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_out.h"
#include "base/text_out.h"

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

/* ---- the picture ----------------------------------------------------------------------------- */

/* Names of points stand where they cover neither a point nor each other.  The table that
 * plots/pareto.gp draws holds the place of each, so the picture is laid out here: characters and
 * the plot's frame have these sizes, in its pixels. */
enum { FEW = 24, PLOT_WIDTH = 770, PLOT_HEIGHT = 510, CHARACTER = 6, LINE = 12, MARK = 6 };

typedef struct {
    double x, y, dx, dy; /* the middle, and half the width and height */
} box;

typedef struct {
    size_t row;
    double x, y;
    const char *name; /* "" for none */
    box at;           /* where the name stands, in pixels */
} point;

typedef struct {
    const study_table *table;
    size_t x, y, colour, label, n; /* places in the table; n points in all */
    const bool *front;
    point *point;
    double low[2], high[2]; /* the axes' ends */
} picture;

/* A point's name: its coordinate on the axis asked for, or all of them. */
static const char *name_of(const picture *p, const study_row *row, dele_arena *arena, dele_err *err)
{
    const char *name = "";
    if (p->label < p->table->n_axes && row->at[p->label]) return row->at[p->label];
    for (size_t a = 0; a < p->table->n_axes && name; a++)
        if (row->at[a] && a != p->colour)
            name = dele_printf(arena, err, "%s%s%s", name, *name ? " " : "", row->at[a]);
    return name;
}

static bool same_colour(const picture *p, const study_row *a, const study_row *b)
{
    const char *one = p->colour < p->table->n_axes ? a->at[p->colour] : NULL;
    const char *other = p->colour < p->table->n_axes ? b->at[p->colour] : NULL;
    return one && other ? !strcmp(one, other) : one == other;
}

/* Points, their names where they get one (the front's; all of them where they are few), and one
 * name for those of one colour at one place. */
static dele_status collect(picture *p, const double *x, const double *y, dele_arena *arena,
                           dele_err *err)
{
    const study_table *table = p->table;
    for (size_t i = 0; i < table->n_rows; i++)
        if (isfinite(x[i]) && isfinite(y[i]))
            p->point[p->n++] = (point){.row = i, .x = x[i], .y = y[i], .name = ""};
    for (size_t i = 0; i < p->n; i++) {
        point *at = &p->point[i], *first = at;
        const study_row *row = &table->row[at->row];
        if (!p->front[at->row] && p->n > FEW) continue;
        for (size_t k = i; k-- > 0;)
            if (p->point[k].x == at->x && p->point[k].y == at->y &&
                same_colour(p, &table->row[p->point[k].row], row))
                first = &p->point[k];
        const char *name = name_of(p, row, arena, err);
        first->name =
            name && *first->name ? dele_printf(arena, err, "%s, %s", first->name, name) : name;
        if (!first->name) return err->code;
    }
    return DELE_OK;
}

/* The ends of the axes: all points with their error bars, and a margin. */
static void frame(picture *p)
{
    for (int k = 0; k < 2; k++) {
        p->low[k] = INFINITY, p->high[k] = -INFINITY;
        for (size_t i = 0; i < p->n; i++) {
            const study_number *v = &p->table->row[p->point[i].row].number[k ? p->y : p->x];
            const double error = isfinite(v->error) ? v->error : 0;
            p->low[k] = fmin(p->low[k], v->value - error);
            p->high[k] = fmax(p->high[k], v->value + error);
        }
        double margin = 0.08 * (p->high[k] - p->low[k]);
        if (!(margin > 0)) margin = fabs(p->low[k]) > 0 ? 0.1 * fabs(p->low[k]) : 1;
        p->low[k] -= margin;
        p->high[k] += margin;
    }
}

static double to_pixels(const picture *p, int axis, double value)
{
    return (value - p->low[axis]) / (p->high[axis] - p->low[axis]) *
           (axis ? PLOT_HEIGHT : PLOT_WIDTH);
}
static double from_pixels(const picture *p, int axis, double pixels)
{
    return p->low[axis] +
           pixels / (axis ? PLOT_HEIGHT : PLOT_WIDTH) * (p->high[axis] - p->low[axis]);
}

static double overlap(const box *a, const box *b)
{
    const double x = a->dx + b->dx - fabs(a->x - b->x), y = a->dy + b->dy - fabs(a->y - b->y);
    return x > 0 && y > 0 ? x * y : 0;
}

/* How bad a place is for the i-th point's name: what it covers of marks and of the names before it,
 * and what of it is outside the frame. */
static double badness(const picture *p, size_t i, const box *at)
{
    double bad = 0;
    for (size_t k = 0; k < p->n; k++) {
        const point *q = &p->point[k];
        const box mark = {to_pixels(p, 0, q->x), to_pixels(p, 1, q->y), MARK, MARK};
        bad += overlap(at, &mark);
        if (k < i && *q->name) bad += overlap(at, &q->at);
    }
    const box inside = {PLOT_WIDTH / 2.0, PLOT_HEIGHT / 2.0, PLOT_WIDTH / 2.0, PLOT_HEIGHT / 2.0};
    return bad + 4 * at->dx * at->dy - overlap(at, &inside);
}

/* Each name in turn goes to the nearest of places around its point that is free, or to the least
 * bad one. */
static void place_names(picture *p)
{
    for (size_t i = 0; i < p->n; i++) {
        point *q = &p->point[i];
        double least = INFINITY;
        const double width = CHARACTER * (double)strlen(q->name) / 2 + 2;
        for (int ring = 0; ring < 8 && least > 0 && *q->name; ring++)
            for (int k = 0; k < 16 && least > 0; k++) {
                const double angle = (k + 2) * M_PI / 8, far = 14 * ring;
                const box at = {to_pixels(p, 0, q->x) + cos(angle) * (width + MARK + far),
                                to_pixels(p, 1, q->y) + sin(angle) * (LINE / 2.0 + MARK + far),
                                width, LINE / 2.0};
                const double bad = badness(p, i, &at);
                if (bad < least) least = bad, q->at = at;
            }
    }
}

/* A block: a name, then what pareto.gp says of its columns. */
static void put_points(FILE *to, const picture *p, const char *colour)
{
    bool any = false;
    for (size_t i = 0; i < p->n; i++) {
        const point *q = &p->point[i];
        const study_row *row = &p->table->row[q->row];
        const char *own = p->colour < p->table->n_axes ? row->at[p->colour] : NULL;
        const double ex = row->number[p->x].error, ey = row->number[p->y].error;
        if (own ? !colour || strcmp(own, colour) : colour != NULL) continue;
        if (!any) dele_text_put(to, colour ? colour : "other", DELE_TEXT_LINE), fputc('\n', to);
        any = true;
        const double far = fabs(q->at.x - to_pixels(p, 0, q->x)) - q->at.dx,
                     up = fabs(q->at.y - to_pixels(p, 1, q->y));
        fprintf(to, "%.6g\t%.6g\t%.6g\t%.6g\t%d\t", q->x, q->y, isfinite(ex) ? ex : 0,
                isfinite(ey) ? ey : 0, p->front[q->row]);
        dele_text_put(to, q->name, DELE_TEXT_LINE);
        if (*q->name)
            fprintf(to, "\t%.6g\t%.6g\t%d\n", from_pixels(p, 0, q->at.x),
                    from_pixels(p, 1, q->at.y), far > 2 * MARK || up > 2 * LINE);
        else
            fputs("\tnan\tnan\t0\n", to);
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
    for (size_t i = 0; i < p->n; i++)
        if (p->front[p->point[i].row]) room[n++] = (spot){p->point[i].x, p->point[i].y};
    if (n) qsort(room, n, sizeof *room, by_x);
    fputs("Pareto front\n", to);
    for (size_t i = 0; i < n; i++) fprintf(to, "%.6g\t%.6g\n", room[i].x, room[i].y);
}

/* Whether a block of this colour has points. */
static bool is_drawn(const picture *p, const char *colour)
{
    for (size_t i = 0; i < p->n; i++) {
        const study_row *row = &p->table->row[p->point[i].row];
        const char *own = p->colour < p->table->n_axes ? row->at[p->colour] : NULL;
        if (own && colour ? !strcmp(own, colour) : own == colour) return true;
    }
    return false;
}

static void put_head(FILE *to, const picture *p, const study *s, const cJSON *json,
                     const char **colour, size_t n_colours)
{
    const study_column *column = p->table->column;
    fputs("# plot pareto.gp\n"
          "# title Trade-off between two scores; bars are one standard error\n# xlabel ",
          to);
    dele_text_put(to, column[p->x].title, DELE_TEXT_LINE);
    fprintf(to, " (%s is better)\n# ylabel ", dele_json_string(json, "x_better"));
    dele_text_put(to, column[p->y].title, DELE_TEXT_LINE);
    fprintf(to, " (%s is better)\n# xmin %.9g\n# xmax %.9g\n# ymin %.9g\n# ymax %.9g\n# hues",
            dele_json_string(json, "y_better"), p->low[0], p->high[0], p->low[1], p->high[1]);
    for (size_t i = 0; i < n_colours; i++)
        if (is_drawn(p, colour[i]))
            fprintf(to, " %zu", study_place_on(s, dele_json_string(json, "colour"), colour[i]));
    fputs(is_drawn(p, NULL) ? " 6\n" : "\n", to); /* black */
}

/* The table that plots/pareto.gp draws: a block of points a colour, and the front as the last
 * one. */
dele_status study_save_pareto(const study *s, const study_table *table, const char *dir,
                              dele_err *err)
{
    const cJSON *json = dele_json_get(s->plan.json, "pareto");
    if (!json) return DELE_OK;
    picture p = {.table = table,
                 .x = study_column_find(table, dele_json_string(json, "x")),
                 .y = study_column_find(table, dele_json_string(json, "y")),
                 .colour = study_axis_find(table, dele_json_string(json, "colour")),
                 .label = study_axis_find(table, dele_json_string(json, "label"))};
    const size_t n = table->n_rows;
    double *x = DELE_NEW(s->arena, double, n, err), *y = DELE_NEW(s->arena, double, n, err);
    bool *front = DELE_NEW(s->arena, bool, n, err);
    spot *room = DELE_NEW(s->arena, spot, n, err);
    p.point = DELE_NEW(s->arena, point, n, err);
    const char **colour = DELE_NEW(s->arena, const char *, n, err);
    const char *path = dele_printf(s->arena, err, "%s/pareto.tsv", dir);
    dele_writer out = {0};
    if (!x || !y || !front || !room || !p.point || !colour || !path) return err->code;
    if (p.x == table->n_columns || p.y == table->n_columns) return DELE_OK;
    for (size_t i = 0; i < n; i++) {
        x[i] = table->row[i].number[p.x].value;
        y[i] = table->row[i].number[p.y].value;
    }
    study_front(front, x, y, n, !strcmp(dele_json_string(json, "x_better"), "low"),
                !strcmp(dele_json_string(json, "y_better"), "low"));
    p.front = front;
    if (collect(&p, x, y, s->arena, err)) return err->code;
    if (!p.n) return DELE_OK;
    frame(&p);
    place_names(&p);
    if (dele_writer_open(&out, path, err)) return err->code;
    size_t n_colours = study_values_on(colour, table, p.colour);
    put_head(out.stream, &p, s, json, colour, n_colours);
    for (size_t i = 0; i < n_colours; i++) put_points(out.stream, &p, colour[i]);
    put_points(out.stream, &p, NULL);
    put_front(out.stream, &p, room);
    return dele_writer_commit(&out, err);
}
