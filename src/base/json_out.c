#include "base/json_out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file_out.h"
#include "base/json_memory.h"
#include "base/text_out.h"

/* Escapes bytes that are not UTF-8 as \udcHH, and control characters (base/text_out.h) as \uHHHH,
 * in printed JSON.  cJSON copies both, inside strings only, and escapes the first 32 characters
 * itself; so a byte below a blank here is its own layout. */
static char *escape_controls(const char *printed)
{
    size_t n = strlen(printed), need = 1;
    char *out = NULL, *to = NULL;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0, length; i < n; i += length ? length : 1) {
            uint32_t c;
            length = dele_utf8_sequence(printed + i, n - i, &c);
            if (length && (c < ' ' || !dele_text_is_control(c))) {
                if (to) memcpy(to, printed + i, length), to += length;
                need += to ? 0 : length;
            } else {
                if (to)
                    to += sprintf(to, "\\u%04x",
                                  length ? (unsigned)c : 0xdc00u + (unsigned char)printed[i]);
                need += to ? 0 : 6;
            }
        }
        if (!pass && !(out = to = cJSON_malloc(need))) return NULL;
    }
    *to = '\0';
    return out;
}

char *dele_json_text(const cJSON *json, bool pretty)
{
    if (!json || dele_json_memory(NULL)) return NULL; /* fields may be missing */
    char *printed = pretty ? cJSON_Print(json) : cJSON_PrintUnformatted(json);
    char *text = printed ? escape_controls(printed) : NULL;
    cJSON_free(printed);
    return text;
}

dele_status dele_json_save(const char *path, const cJSON *json, dele_err *err)
{
    char *text = dele_json_text(json, true);
    if (!text) return dele_fail(err, DELE_ERR_MEMORY, "out of memory while writing %s", path);
    dele_writer out = {0};
    dele_status status = dele_writer_open(&out, path, err);
    if (!status) {
        fprintf(out.stream, "%s\n", text); /* errors stay in the stream until commit checks them */
        status = dele_writer_commit(&out, err);
    }
    cJSON_free(text);
    return status;
}

dele_status dele_json_show(const cJSON *json, dele_err *err)
{
    char *text = dele_json_text(json, true);
    if (!text) return dele_fail(err, DELE_ERR_MEMORY, "out of memory while printing the result");
    puts(text); /* main checks for a full disk behind a redirection */
    cJSON_free(text);
    return DELE_OK;
}

cJSON *dele_json_number(double x)
{
    char text[40] = "null"; /* JSON has no NaN and no infinity */
    for (int digits = 15; isfinite(x) && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    return cJSON_CreateRaw(text);
}

cJSON *dele_json_as_read(const cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);
    cJSON *copy = text ? cJSON_Parse(text) : NULL;
    cJSON_free(text);
    return copy;
}

cJSON *dele_json_utc_now(void)
{
    char text[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (gmtime_r(&now, &tm)) strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return cJSON_CreateString(text);
}
