#include "base/err.h"

#include <stdio.h>

#include "base/text_out.h"

dele_status dele_fail(dele_err *err, dele_status code, const char *format, ...)
{
    if (!err) return code;
    if (err->code != DELE_OK) return err->code;
    err->code = code;
    char sentence[sizeof err->msg];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    dele_text_show(err->msg, sizeof err->msg, sentence, DELE_TEXT_LINE); /* names out of files may hold anything */
    return code;
}

const char *dele_status_text(dele_status code)
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
    fprintf(stderr, "deleatur: %s\n", err->msg[0] ? err->msg : dele_status_text(err->code));
    return err->code == DELE_ERR_USAGE ? 2 : 1;
}
