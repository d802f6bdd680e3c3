/* Run-time errors: files, memory, invalid data, training that diverges.
 *
 * A function that can fail returns dele_status and writes one sentence into the caller's dele_err:
 * what is wrong, where, and what to do next.  The first failure wins; later ones do not overwrite
 * it.  The library never exits, and only dele_remark prints: a command prints the error
 * (dele_complain).  Bugs are asserts, not errors. */
#ifndef DELE_ERR_H
#define DELE_ERR_H

#include <stdarg.h>

/* clang-format off */
#define DELE_STATUSES(X)                                           \
    X(DELE_OK,              "done")                                \
    X(DELE_ERR_MEMORY,      "out of memory")                       \
    X(DELE_ERR_FILE,        "a file could not be read or written") \
    X(DELE_ERR_FORMAT,      "a file is not what it says it is")    \
    X(DELE_ERR_DATA,        "the data cannot be used")             \
    X(DELE_ERR_UNSUPPORTED, "not supported")                       \
    X(DELE_ERR_DIVERGED,    "training diverged")                   \
    X(DELE_ERR_USAGE,       "wrong command line")
/* clang-format on */

typedef enum {
#define X(code, text) code,
    DELE_STATUSES(X)
#undef X
} dele_status;

typedef struct {
    dele_status code;
    char msg[768];
} dele_err;

/* Records a failure, unless one is recorded already; returns the status recorded.  err may be
 * NULL. */
dele_status dele_fail(dele_err *err, dele_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same of a file, from errno: "cannot DOING PATH: why". */
dele_status dele_fail_file(dele_err *err, const char *doing, const char *path);

/* Prints a remark, one line on stderr. */
void dele_remark(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints the error on stderr, if there is one.  Returns the exit status: 0, 1 (run-time error), 2
 * (wrong command line). */
int dele_complain(const dele_err *err);

#endif
