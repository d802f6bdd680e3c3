/* Process set-up.
 *
 * Standard descriptors: a shell can start the program with descriptor 2 closed.
 * The first file that is opened would then be number 2 and receive every progress line.  A closed
 * stdin or stderr is opened as /dev/null; so is stdout, but for reading, so that printing a result
 * fails instead of being lost.
 *
 * Waiting threads: between two parallel loops libgomp's threads spin for some milliseconds.  That
 * is fastest on an idle machine and slows all processes on a shared one.  libgomp reads
 * OMP_WAIT_POLICY when it is loaded, before main, so the program executes itself once more with the
 * variable set.  The process stays the same (id, descriptors, parent), and its id in
 * DELEATUR_STARTED marks the second execution. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_memory.h"
#include "base/text_out.h"

static void open_standard_descriptors(void)
{
    static const int mode[] = {O_RDONLY, O_RDONLY, O_WRONLY};
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", mode[fd]) != fd) _exit(1);
}

/* Executes the program again with passive waiting; returns if the user set a policy, or if that is
 * not possible. */
static void wait_passively(char **argv)
{
    char path[4096], id[24];
    const char *begun = getenv("DELEATUR_STARTED");
    snprintf(id, sizeof id, "%ld", (long)getpid());
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || (begun && !strcmp(begun, id)))
        return;
    ssize_t n = readlink("/proc/self/exe", path,
                         sizeof path - 1); /* its own name rather than "exe" in ps and top */
    if (n <= 0 || setenv("DELEATUR_STARTED", id, 1) || setenv("OMP_WAIT_POLICY", "passive", 1))
        return;
    path[n] = '\0';
    execv(path, argv);
    execv("/proc/self/exe", argv); /* the file was replaced meanwhile */
}

void dele_process_begin(char **argv)
{
    open_standard_descriptors();
    if (argv[0] && argv[1] && argv[1][0] != '-')
        wait_passively(argv); /* --version and --help compute nothing */
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
}

static int reader_left(void)
{
    struct pollfd out = {.fd = 1, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

int dele_process_end(int status)
{
    dele_err err = {0};
    errno = 0;
    const int flushed = fflush(stdout), why = errno;
    if (flushed || ferror(stdout)) { /* a full disk behind a redirection */
        if (!reader_left())
            dele_note("the result could not be printed: %s",
                      why ? strerror(why) : "an earlier write failed");
        return status ? status : 1;
    }
    if (!status && dele_json_memory(&err)) return dele_complain(&err);
    return status;
}
