#include "plots/page.h"

#include <string.h>

#include "base/file.h"
#include "base/share.h"

lac_status lac_page_write(const char *path, const char *template, const char *marker,
                          lac_status (*fill)(FILE *to, void *context, lac_err *err), void *context, lac_err *err)
{
    lac_arena arena = {0};
    lac_writer out = {0};
    char *name = lac_share_path(template, &arena, err), *page = name ? lac_file_read(name, &arena, NULL, err) : NULL;
    char *at = page ? strstr(page, marker) : NULL;
    if (page && !at)
        lac_fail(err, LAC_ERR_DATA, "%s: no %s, where the contents go; install lacuna again", name, marker);
    if (at && !lac_writer_open(&out, path, err)) {
        fwrite(page, 1, (size_t)(at - page), out.stream);
        if (fill(out.stream, context, err)) {
            lac_writer_abandon(&out);
        } else {
            fputs(at + strlen(marker), out.stream);
            lac_writer_commit(&out, err);
        }
    }
    lac_arena_release(&arena);
    return err->code;
}

void lac_html_text(FILE *to, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (strchr("&<>\"'", c)) fprintf(to, "&#%d;", c);
        else if ((c < ' ' && c != '\n' && c != '\t') || c == 127) fputs("&#xFFFD;", to);
        else fputc(c, to);
    }
}

void lac_base64(FILE *to, const uint8_t *bytes, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits =
            (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        for (size_t k = 0; k < 4; k++) fputc(k <= left ? digit[bits >> (18 - 6 * k) & 63] : '=', to);
    }
}

lac_status lac_html_picture(FILE *to, const char *path, const char *words, lac_err *err)
{
    lac_map map;
    if (lac_map_open(&map, path, err)) return err->code;
    fputs("<img alt=\"", to);
    lac_html_text(to, words);
    fputs("\" src=\"data:image/svg+xml;base64,", to);
    lac_base64(to, map.data, map.size);
    fputs("\">\n", to);
    lac_map_close(&map);
    return LAC_OK;
}
