#include "plots/shown.h"

#include "base/text_out.h"

const char *dele_shown_next(size_t *length, size_t *used, const char *text, size_t n)
{
    uint32_t c;
    *length = *used = dele_utf8_sequence(text, n, &c);
    if (*used && !dele_text_is_control(c) && (c & 0xfffe) != 0xfffe && (c < 0xfdd0 || c > 0xfdef))
        return text;
    if (!*used) *used = 1;
    *length = 3;
    return "\xef\xbf\xbd";
}
