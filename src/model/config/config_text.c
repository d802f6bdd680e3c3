#include "model/config/config_text.h"

#include <string.h>

/* Past the string that begins at text[at] == '"'. */
static size_t skip_string(const char *text, size_t at)
{
    for (at++; text[at] && text[at] != '"'; at++)
        if (text[at] == '\\' && text[at + 1]) at++;
    return text[at] ? at + 1 : at;
}

/* Past the value that begins at text[at]. */
static size_t skip_value(const char *text, size_t at)
{
    int depth = 0;
    if (text[at] == '"') return skip_string(text, at);
    if (text[at] != '{' && text[at] != '[') return at + strcspn(text + at, ",} \t\r\n");
    do {
        depth += (text[at] == '{' || text[at] == '[') - (text[at] == '}' || text[at] == ']');
        at = text[at] == '"' ? skip_string(text, at) : at + 1;
    } while (text[at] && depth);
    return at;
}

bool dele_config_find(size_t *begin, size_t *end, const char *text, const char *key)
{
    int depth = 0;
    for (size_t at = 0; text[at];) {
        if (text[at] != '"') {
            depth += (text[at] == '{' || text[at] == '[') - (text[at] == '}' || text[at] == ']');
            at++;
            continue;
        }
        size_t from = at, n = strlen(key);
        at = skip_string(text, at);
        size_t colon = at + strspn(text + at, " \t\r\n");
        if (depth != 1 || text[colon] != ':' || at - from != n + 2 ||
            memcmp(text + from + 1, key, n) != 0)
            continue;
        *begin = colon + 1 + strspn(text + colon + 1, " \t\r\n");
        *end = skip_value(text, *begin);
        return true;
    }
    return false;
}
