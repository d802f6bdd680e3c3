#include "base/text_out.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

size_t dele_utf8_sequence(const char *text, size_t n, uint32_t *c)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned first = s[0], low = 0x80, high = 0xbf; /* bounds of the second byte */
    size_t length;
    if (c) *c = first;
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    if (first < 0xe0)
        length = 2;
    else if (first < 0xf0)
        length = 3;
    else
        length = 4;
    if (first == 0xe0) low = 0xa0;  /* overlong */
    if (first == 0xed) high = 0x9f; /* surrogates */
    if (first == 0xf0) low = 0x90;  /* overlong */
    if (first == 0xf4) high = 0x8f; /* beyond U+10FFFF */
    if (length > n || s[1] < low || s[1] > high) return 0;
    uint32_t point = first & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        point = point << 6 | (s[i] & 0x3fu);
    }
    if (c) *c = point;
    return length;
}

bool dele_text_is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* The characters that begin a formula in a spreadsheet, and the apostrophe that marks a quoted
 * cell. */
static bool needs_apostrophe(uint32_t c)
{
    return c == '=' || c == '+' || c == '-' || c == '@' || c == '\'' || c == 0xff1d ||
           c == 0xff0b || c == 0xff0d || c == 0xff20;
}

/* Writes the character at s as it is displayed into out (8 bytes); *used is its length in s.
 * Returns the number of bytes written. */
static size_t show_one(char out[8], size_t *used, const char *s, size_t n, dele_text_form form)
{
    uint32_t c;
    const size_t length = dele_utf8_sequence(s, n, &c);
    *used = length ? length : 1;
    if (length && form == DELE_TEXT_LINES && (c == '\n' || c == '\t')) return *out = (char)c, 1;
    if (c == '\\' && form == DELE_TEXT_CELL) return memcpy(out, "\\\\", 2), 2;
    if (c == '\t') return memcpy(out, "\\t", 2), 2;
    if (c == '\n') return memcpy(out, "\\n", 2), 2;
    if (c == '\r') return memcpy(out, "\\r", 2), 2;
    if (!length || (c < 0x80 && dele_text_is_control(c)))
        return (size_t)snprintf(out, 8, "\\x%02x", (unsigned char)*s);
    if (dele_text_is_control(c)) return (size_t)snprintf(out, 8, "\\u%04x", (unsigned)c);
    memcpy(out, s, length);
    return length;
}

/* The destination of displayed text: a stream, or a buffer of limited size. */
typedef struct {
    FILE *stream;
    char *out;
    size_t room, used, need;
    bool full;
} target;

static void emit(target *to, const char *bytes, size_t n)
{
    to->need += n;
    if (to->stream)
        fwrite(bytes, 1, n, to->stream);
    else if (to->full || to->used + n >= to->room)
        to->full = true;
    else
        memcpy(to->out + to->used, bytes, n), to->used += n;
}

static void show(target *to, const char *text, dele_text_form form)
{
    size_t n = text ? strlen(text) : 0, used = 0;
    uint32_t first = 0;
    if (form == DELE_TEXT_CELL && n && dele_utf8_sequence(text, n, &first) &&
        needs_apostrophe(first))
        emit(to, "'", 1);
    for (size_t i = 0; i < n; i += used) {
        char one[8];
        const size_t length = show_one(one, &used, text + i, n - i, form);
        emit(to, one, length);
    }
}

size_t dele_text_show(char *out, size_t room, const char *text, dele_text_form form)
{
    target to = {.out = out, .room = room};
    show(&to, text, form);
    if (room) out[to.used] = '\0';
    return to.need;
}

void dele_text_put(FILE *to, const char *text, dele_text_form form)
{
    show(&(target){.stream = to}, text, form);
}

/* Without memory for the whole line it is truncated. */
static void put_line(FILE *to, const char *format, va_list args)
{
    char some[1024], *whole = NULL;
    va_list again;
    va_copy(again, args);
    if (vasprintf(&whole, format, args) < 0) {
        whole = NULL;
        vsnprintf(some, sizeof some, format, again);
    }
    va_end(again);
    dele_text_put(to, whole ? whole : some, DELE_TEXT_LINE);
    fputc('\n', to);
    free(whole);
}

void dele_text_line(FILE *to, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_line(to, format, args);
    va_end(args);
}

void dele_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("deleatur: ", stderr);
    put_line(stderr, format, args);
    va_end(args);
}

static bool is_plain(const char *word)
{
    const size_t n =
        strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:+@%");
    return n && !word[n];
}

void dele_shell_put(FILE *to, const char *word)
{
    bool controls = false;
    for (size_t n = strlen(word), i = 0, length; i < n; i += length ? length : 1) {
        uint32_t c;
        length = dele_utf8_sequence(word + i, n - i, &c);
        controls |= !length || dele_text_is_control(c);
    }
    if (is_plain(word)) {
        fputs(word, to);
        return;
    }
    fputs(controls ? "$'" : "'", to);
    for (size_t n = strlen(word), i = 0, used; i < n; i += used) {
        char one[8];
        const size_t length =
            show_one(one, &used, word + i, n - i, controls ? DELE_TEXT_CELL : DELE_TEXT_LINE);
        if (word[i] == '\'')
            fputs(controls ? "\\'" : "'\\''", to);
        else
            fwrite(one, 1, length, to);
    }
    fputc('\'', to);
}

/* n hexadecimal digits, or -1. */
static long hex(const char *s, int n)
{
    long value = 0;
    for (int i = 0; i < n; i++) {
        const char *digit = s[i] ? strchr("0123456789abcdef", s[i]) : NULL;
        if (!digit) return -1;
        value = 16 * value + (digit - "0123456789abcdef");
    }
    return value;
}

/* Decodes the escape at s into out (4 bytes); returns the number of bytes, *used the length in s;
 * 0: not an escape of deleatur's. */
static size_t read_escape(char out[4], size_t *used, const char *s)
{
    long c;
    *used = 2;
    switch (s[1]) {
    case 't':
        return *out = '\t', 1;
    case 'n':
        return *out = '\n', 1;
    case 'r':
        return *out = '\r', 1;
    case '\\':
        return *out = '\\', 1;
    default:
        break;
    }
    if (s[1] == 'x' && (c = hex(s + 2, 2)) > 0) return *used = 4, *out = (char)c, 1;
    if (s[1] != 'u' || (c = hex(s + 2, 4)) < 0x80) return 0;
    *used = 6;
    if (c < 0x800) return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 0x3f)), 2;
    out[0] = (char)(0xe0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 0x3f)),
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
}

void dele_text_from_cell(char *cell)
{
    char *to = cell;
    const char *from = cell + (*cell == '\'');
    while (*from) {
        char bytes[4];
        size_t used = 0, n = *from == '\\' ? read_escape(bytes, &used, from) : 0;
        if (!n) {
            *to++ = *from++;
            continue;
        }
        memcpy(to, bytes, n); /* never longer than the escape */
        to += n;
        from += used;
    }
    *to = '\0';
}
