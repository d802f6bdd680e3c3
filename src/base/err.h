/* Errors of the world: files, memory, data that lies, training that diverges.
 *
 * A function that can fail returns lac_status and writes one sentence into the caller's lac_err: what is
 * wrong, where, and what to do next.  The first failure wins; later ones do not overwrite it.  Nothing in
 * the library prints or exits: only a command speaks (lac_complain).  Bugs are asserts, not errors. */
#ifndef LAC_ERR_H
#define LAC_ERR_H

#include <stdarg.h>

#define LAC_STATUSES(X)                                                                                \
    X(LAC_OK, "done")                                                                                  \
    X(LAC_ERR_MEMORY, "out of memory")                                                                 \
    X(LAC_ERR_FILE, "a file could not be read or written")                                             \
    X(LAC_ERR_FORMAT, "a file is not what it says it is")                                              \
    X(LAC_ERR_DATA, "the data cannot be used")                                                         \
    X(LAC_ERR_UNSUPPORTED, "not supported")                                                            \
    X(LAC_ERR_DIVERGED, "training diverged")                                                           \
    X(LAC_ERR_USAGE, "wrong command line")

typedef enum {
#define X(code, text) code,
    LAC_STATUSES(X)
#undef X
} lac_status;

typedef struct {
    lac_status code;
    char msg[768];
} lac_err;

/* Records a failure, unless one is recorded already; returns the status recorded.  err may be NULL. */
lac_status lac_fail(lac_err *err, lac_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

const char *lac_status_text(lac_status code);

/* Prints the sentence on stderr, if there is one.  The exit status: 0, 1 (the world), 2 (the command line). */
int lac_complain(const lac_err *err);

#endif
