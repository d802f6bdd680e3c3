#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text_out.h"

/* Names from files may hold any bytes: the message is printed as one line without control
 * characters. */
static void fill(char *out, size_t room, const char *format, va_list args)
{
    char sentence[sizeof((dele_err *)0)->msg];
    vsnprintf(sentence, sizeof sentence, format, args);
    dele_text_show(out, room, sentence, DELE_TEXT_LINE);
}

dele_status dele_fail(dele_err *err, dele_status code, const char *format, ...)
{
    if (!err) return code;
    if (err->code != DELE_OK) return err->code;
    err->code = code;
    va_list args;
    va_start(args, format);
    fill(err->msg, sizeof err->msg, format, args);
    va_end(args);
    return code;
}

dele_status dele_fail_file(dele_err *err, const char *doing, const char *path)
{
    const int why = errno;
    return dele_fail(err, DELE_ERR_FILE, "cannot %s %s: %s", doing, path, strerror(why));
}

void dele_remark(const char *format, ...)
{
    char text[768];
    va_list args;
    va_start(args, format);
    fill(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "deleatur: %s\n", text);
}

static const char *status_text(dele_status code)
{
    static const char *const text[] = {
#define X(name, words) [name] = words,
        DELE_STATUSES(X)
#undef X
    };
    return text[code];
}

int dele_complain(const dele_err *err)
{
    if (err->code == DELE_OK) return 0;
    fprintf(stderr, "deleatur: %s\n", err->msg[0] ? err->msg : status_text(err->code));
    return err->code == DELE_ERR_USAGE ? 2 : 1;
}
