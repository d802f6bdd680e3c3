#include "base/err.h"

#include <stdio.h>

lac_status lac_fail(lac_err *err, lac_status code, const char *format, ...)
{
    if (!err) return code;
    if (err->code != LAC_OK) return err->code;
    err->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->msg, sizeof err->msg, format, args);
    va_end(args);
    for (char *c = err->msg; *c; c++) /* names out of files may hold anything: one line, nothing for the terminal */
        if ((unsigned char)*c < ' ' || *c == 127) *c = '?';
    return code;
}

const char *lac_status_text(lac_status code)
{
    static const char *const text[] = {
#define X(name, words) [name] = words,
        LAC_STATUSES(X)
#undef X
    };
    return text[code];
}

int lac_complain(const lac_err *err)
{
    if (err->code == LAC_OK) return 0;
    fprintf(stderr, "lacuna: %s\n", err->msg[0] ? err->msg : lac_status_text(err->code));
    return err->code == LAC_ERR_USAGE ? 2 : 1;
}
