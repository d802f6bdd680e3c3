#include "plots/page.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/file_out.h"
#include "base/share.h"
#include "plots/shown.h"

dele_status dele_page_write(const char *path, const char *template, const char *marker,
                            dele_status (*fill)(FILE *to, void *context, dele_err *err),
                            void *context, dele_err *err)
{
    dele_arena arena = {0};
    dele_writer out = {0};
    char *name = dele_share_path(template, &arena, err),
         *page = name ? dele_file_read(name, &arena, NULL, err) : NULL;
    char *at = page ? strstr(page, marker) : NULL;
    if (page && !at)
        dele_fail(err, DELE_ERR_DATA, "%s: no %s, where the contents go; install deleatur again",
                  name, marker);
    if (at && !dele_writer_open(&out, path, err)) {
        fwrite(page, 1, (size_t)(at - page), out.stream);
        if (fill(out.stream, context, err)) {
            dele_writer_abandon(&out);
        } else {
            fputs(at + strlen(marker), out.stream);
            dele_writer_commit(&out, err);
        }
    }
    dele_arena_release(&arena);
    return err->code;
}

typedef struct {
    const char *title;
    dele_status (*fill)(FILE *to, void *context, dele_err *err);
    void *context;
} report_parts;

static dele_status put_report(FILE *to, void *context, dele_err *err)
{
    const report_parts *r = context;
    dele_html_element(to, "title", "", r->title);
    fputs("\n</head>\n<body>\n", to);
    return r->fill(to, r->context, err);
}

dele_status dele_report_write(const char *path, const char *title,
                              dele_status (*fill)(FILE *to, void *context, dele_err *err),
                              void *context, dele_err *err)
{
    report_parts r = {title, fill, context};
    return dele_page_write(path, "plots/report.html", "@REPORT@", put_report, &r, err);
}

void dele_html_text(FILE *to, const char *text)
{
    size_t used, length;
    for (size_t n = strlen(text); n; text += used, n -= used) {
        const char *bytes = dele_shown_next(&length, &used, text, n);
        if (*text == '\n' || *text == '\t')
            fputc(*text, to);
        else if (strchr("&<>\"'", *bytes))
            fprintf(to, "&#%d;", *bytes);
        else
            fwrite(bytes, 1, length, to);
    }
}

void dele_base64(FILE *to, const uint8_t *bytes, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (left > 2 ? bytes[i + 2] : 0);
        for (size_t k = 0; k < 4; k++)
            fputc(k <= left ? digit[bits >> (18 - 6 * k) & 63] : '=', to);
    }
}

dele_status dele_html_picture(FILE *to, const char *path, const char *words, dele_err *err)
{
    dele_map map;
    if (dele_map_open(&map, path, err)) return err->code;
    fputs("<img alt=\"", to);
    dele_html_text(to, words);
    fputs("\" src=\"data:image/svg+xml;base64,", to);
    dele_base64(to, map.data, map.size);
    fputs("\">\n", to);
    dele_map_close(&map);
    return DELE_OK;
}

void dele_html_element(FILE *to, const char *name, const char *attributes, const char *text)
{
    fprintf(to, "<%s%s%s>", name, *attributes ? " " : "", attributes);
    dele_html_text(to, text);
    fprintf(to, "</%s>", name);
}

void dele_html_number(FILE *to, double x)
{
    if (isfinite(x))
        fprintf(to, "<td class=\"n\">%.4g</td>", x);
    else
        fputs("<td class=\"n\">–</td>", to);
}

void dele_html_figure(FILE *to, const char *path, const char *shows, const char *caption)
{
    dele_err ignored = {0};
    if (!path || !dele_path_exists(path)) return;
    fputs("<figure class=\"picture\">", to);
    dele_html_picture(to, path, shows, &ignored);
    if (caption) dele_html_element(to, "figcaption", "", caption);
    fputs("</figure>\n", to);
}
