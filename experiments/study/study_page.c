/* What the sections of a study's page are made of. */
#include "experiments/study/study_page.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/text_out.h"
#include "plots/page.h"

const cJSON *page_field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}
const char *page_text_field(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(page_field(object, name));
}

void page_duration(FILE *to, double seconds)
{
    if (!isfinite(seconds)) return;
    if (seconds < 120)
        fprintf(to, "%.1f s", seconds);
    else if (seconds < 7200)
        fprintf(to, "%.0f min", seconds / 60);
    else
        fprintf(to, "%.1f h", seconds / 3600);
}

/* A file's text, bounded; NULL where it is not there. */
char *page_read(const study_page *p, const char *path, size_t most, bool *cut)
{
    dele_err ignored = {0};
    size_t n = 0;
    char *text = dele_path_exists(path) ? dele_file_read(path, p->s->arena, &n, &ignored) : NULL;
    *cut = text && n > most;
    if (*cut) {
        while (most && ((unsigned char)text[most] & 0xc0) == 0x80)
            most--; /* not within a character */
        text[most] = '\0';
    }
    return text;
}

/* A .tsv as a table: its first lines of comment as text, its header as the head; at most so many
 * rows. */
void page_tsv(FILE *to, const study_page *p, const char *path, size_t most)
{
    bool cut, head = true;
    char *rest = page_read(p, path, 1 << 20, &cut);
    size_t n = 0;
    if (!rest) return;
    fputs("<div class=\"wide\"><table>\n", to);
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!*line || *line == '#') continue;
        if (!head && ++n > most) break;
        fputs("<tr>", to);
        for (char *cell; (cell = strsep(&line, "\t"));) {
            dele_text_from_cell(cell);
            dele_html_element(to, head ? "th" : "td", "", cell);
        }
        fputs("</tr>\n", to);
        head = false;
    }
    fputs("</table></div>\n", to);
    if (n > most) fprintf(to, "<p class=\"soft\">The first %zu lines.</p>\n", most);
}

void page_score(FILE *to, const study_number *x, bool with_n)
{
    fputs("<td class=\"n\">", to);
    if (isfinite(x->value))
        fprintf(to, "%.4g", x->value);
    else
        fputs("–", to);
    if (isfinite(x->value) && isfinite(x->error)) fprintf(to, " <small>± %.2g</small>", x->error);
    if (with_n && isfinite(x->n)) fprintf(to, " <small>(%.0f)</small>", x->n);
    fputs("</td>", to);
}
