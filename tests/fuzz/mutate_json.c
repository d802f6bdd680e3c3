/* Works on the text, not on a tree: what is no longer JSON is a case too, but most results are. */
#include "fuzz.h"

enum { MAX_TOKENS = 4096 };

typedef struct {
    size_t begin, end;
    bool key;
} token;

/* Where strings, numbers and words begin and end; a string before a colon is a key. */
static size_t tokens_of(token *t, const uint8_t *s, size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < n && found < MAX_TOKENS;) {
        size_t begin = i;
        if (s[i] == '"') {
            for (i++; i < n && s[i] != '"'; i++)
                if (s[i] == '\\') i++;
            i = i < n ? i + 1 : n;
        } else if (memchr("{}[],: \t\r\n", s[i], 10)) {
            i++;
            continue;
        } else {
            while (i < n && !memchr("{}[],: \t\r\n\"", s[i], 11)) i++;
        }
        size_t next = i;
        while (next < n && memchr(" \t\r\n", s[next], 4)) next++;
        t[found++] = (token){begin, i, next < n && s[next] == ':' && s[begin] == '"'};
    }
    return found;
}

/* data[at .. at + old) becomes text[n]; unchanged where there is no room. */
static size_t put(uint8_t *data, size_t size, size_t max, size_t at, size_t old, const void *text,
                  size_t n)
{
    if (size - old + n > max) return size;
    memmove(data + at + n, data + at + old, size - at - old);
    memcpy(data + at, text, n);
    return size - old + n;
}

static const char *const values[] = {"0",
                                     "1",
                                     "-1",
                                     "2",
                                     "1e308",
                                     "-1e308",
                                     "1e999",
                                     "0.5",
                                     "2147483647",
                                     "2147483648",
                                     "-2147483649",
                                     "4294967296",
                                     "9007199254740993",
                                     "18446744073709551616",
                                     "null",
                                     "true",
                                     "false",
                                     "\"\"",
                                     "\"x\"",
                                     "[]",
                                     "{}",
                                     "[1]",
                                     "[[]]",
                                     "{\"a\":1}",
                                     "[null]",
                                     "\"\\u0000\"",
                                     "\"\\ud800\"",
                                     "\"\xc2\x9b\"",
                                     "\"../../x\"",
                                     "\"%s%n\"",
                                     "[0,0]",
                                     "\"F32\"",
                                     "NaN",
                                     "Infinity",
                                     "-0",
                                     "1.5e-320"};

/* A member `"key": value` around the key token: up to the comma, or the bracket that closes it. */
static size_t member_end(const uint8_t *s, size_t n, size_t at)
{
    int depth = 0;
    for (bool in = false; at < n; at++) {
        if (in) {
            if (s[at] == '\\')
                at++;
            else if (s[at] == '"')
                in = false;
        } else if (s[at] == '"')
            in = true;
        else if (s[at] == '{' || s[at] == '[')
            depth++;
        else if (s[at] == '}' || s[at] == ']') {
            if (!depth--) return at;
        } else if (s[at] == ',' && !depth)
            return at;
    }
    return n;
}

size_t fuzz_mutate_json(uint8_t *data, size_t size, size_t max, fuzz_random *r)
{
    static token t[MAX_TOKENS];
    static uint8_t copy[1 << 16];
    size_t n = tokens_of(t, data, size);
    if (!n || fuzz_below(r, 16) == 0) return fuzz_bytes(data, size, max, r);
    token at = t[fuzz_below(r, n)], from = t[fuzz_below(r, n)];
    size_t length = from.end - from.begin;
    switch (fuzz_below(r, 6)) {
    case 0:
    case 1: { /* a nasty value */
        if (at.key) return size;
        const char *v = values[fuzz_below(r, sizeof values / sizeof *values)];
        return put(data, size, max, at.begin, at.end - at.begin, v, strlen(v));
    }
    case 2: /* a value, or a key, from elsewhere in the file */
        if (length > sizeof copy || at.key != from.key) return size;
        memcpy(copy, data + from.begin, length);
        return put(data, size, max, at.begin, at.end - at.begin, copy, length);
    case 3:
    case 4: { /* a member doubled, or removed */
        if (!at.key) return size;
        size_t end = member_end(data, size, at.begin), m = end - at.begin;
        if (m + 1 > sizeof copy) return size;
        if (fuzz_below(r, 2))
            return put(data, size, max, at.begin, m + (end < size && data[end] == ','), "", 0);
        memcpy(copy, data + at.begin, m);
        copy[m] = ',';
        return put(data, size, max, at.begin, 0, copy, m + 1);
    }
    default: { /* bytes of one token */
        size_t room = max - size + (at.end - at.begin);
        if (at.end - at.begin > sizeof copy) return size;
        if (room > sizeof copy) room = sizeof copy;
        memcpy(copy, data + at.begin, at.end - at.begin);
        size_t m = fuzz_bytes(copy, at.end - at.begin, room, r);
        return put(data, size, max, at.begin, at.end - at.begin, copy, m);
    }
    }
}
