/* The small C file that calls gnuplot: one process for a whole directory, commands through its standard input, what it
 * complains of kept for our own sentence.  No shell is involved. */
#include "plots/gnuplot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/share.h"

/* ---- a gnuplot that listens ------------------------------------------------------------------------------------- */

typedef struct {
    FILE *to, *complaints;
    pid_t pid;
    struct sigaction old_pipe;
} gnuplot;

static lac_status gnuplot_open(gnuplot *g, lac_err *err)
{
    int in[2], said[2]; /* its commands; whether exec failed */
    *g = (gnuplot){.complaints = tmpfile()};
    if (!g->complaints || pipe(in)) {
        if (g->complaints) fclose(g->complaints);
        return lac_fail(err, LAC_ERR_FILE, "gnuplot could not be started: %s", strerror(errno));
    }
    if (pipe(said)) {
        close(in[0]), close(in[1]), fclose(g->complaints);
        return lac_fail(err, LAC_ERR_FILE, "gnuplot could not be started: %s", strerror(errno));
    }
    fcntl(said[1], F_SETFD, FD_CLOEXEC);
    fcntl(in[1], F_SETFD, FD_CLOEXEC);
    g->pid = fork();
    if (g->pid == 0) {
        dup2(in[0], 0);
        dup2(fileno(g->complaints), 1);
        dup2(fileno(g->complaints), 2);
        close(in[0]), close(said[0]);
        execlp("gnuplot", "gnuplot", "-d", (char *)NULL); /* -d: no start-up file of the user's */
        ssize_t written = write(said[1], "x", 1);
        _exit(written == 1 ? 127 : 126);
    }
    close(in[0]), close(said[1]);
    char byte;
    bool failed = g->pid < 0 || read(said[0], &byte, 1) > 0;
    close(said[0]);
    if (failed) {
        if (g->pid > 0) waitpid(g->pid, NULL, 0);
        close(in[1]), fclose(g->complaints);
        return lac_fail(err, LAC_ERR_UNSUPPORTED, "gnuplot was not found; install it (Debian: apt-get install "
                        "gnuplot-nox), then draw the pictures with lacuna plot DIR");
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &g->old_pipe); /* should it die, writing fails instead of killing us */
    g->to = fdopen(in[1], "w");
    if (!g->to) close(in[1]);
    return LAC_OK;
}

/* Waits for it; its first complaint becomes the sentence. */
static lac_status gnuplot_close(gnuplot *g, const char *dir, lac_err *err)
{
    bool sent = g->to && !ferror(g->to);
    if (g->to && fclose(g->to)) sent = false;
    int status = 0;
    while (waitpid(g->pid, &status, 0) < 0 && errno == EINTR) continue;
    sigaction(SIGPIPE, &g->old_pipe, NULL);
    lac_status result = LAC_OK;
    if (!sent || !WIFEXITED(status) || WEXITSTATUS(status)) {
        char line[400], why[400] = "";
        rewind(g->complaints);
        while (fgets(line, sizeof line, g->complaints)) {
            line[strcspn(line, "\n")] = '\0';
            if (strspn(line, " \t^") != strlen(line)) memcpy(why, line, sizeof why); /* the last one tells why */
        }
        result = lac_fail(err, LAC_ERR_FILE, "gnuplot could not draw the tables in %s: %s", dir,
                          why[0] ? why : "it ended without a word");
    }
    fclose(g->complaints);
    return result;
}

/* A gnuplot string: single quotes, doubled inside; nothing else is special there. */
static void assign(FILE *to, const char *name, size_t n_name, const char *value, size_t n_value)
{
    fprintf(to, "%.*s = '", (int)n_name, name);
    for (size_t i = 0; i < n_value; i++) {
        if (value[i] == '\'') fputc('\'', to);
        fputc(value[i], to);
    }
    fputs("'\n", to);
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* Sends one table's variables and its script; *drawn is false for a .tsv that is not for drawing. */
static lac_status draw(bool *drawn, FILE *to, const char *dir, const char *name, lac_arena *arena, lac_err *err)
{
    char path[1400], stem[1400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(stem, sizeof stem, "%s/%.*s", dir, (int)(strlen(name) - 4), name);
    char *line = lac_file_read(path, arena, NULL, err);
    if (!line) return err->code;
    *drawn = !strncmp(line, "# plot ", 7);
    if (!*drawn) return LAC_OK;
    size_t n_script = strcspn(line + 7, "\n");
    char *name_of = lac_printf(arena, err, "plots/%.*s", (int)n_script, line + 7);
    if (!name_of || memchr(line + 7, '/', n_script))
        return lac_fail(err, LAC_ERR_DATA, "%s: its first line names no plot script", path);
    char *script = lac_share_path(name_of, arena, err);
    if (!script) return err->code;
    fputs("reset session\n", to);
    for (line += 7 + n_script; !strncmp(line, "\n# ", 3); line += strcspn(line, "\n")) {
        line += 3;
        size_t n_name = strcspn(line, " \n"), n = strcspn(line, "\n"), skip = n > n_name ? n_name + 1 : n;
        if (n_name && strspn(line, "abcdefghijklmnopqrstuvwxyz_") >= n_name)
            assign(to, line, n_name, line + skip, n - skip);
    }
    assign(to, "table", 5, path, strlen(path));
    assign(to, "out", 3, stem, strlen(stem));
    fputs("load ", to);
    fputc('\'', to);
    for (const char *p = script; *p; p++) fputs(*p == '\'' ? "''" : (char[]){*p, '\0'}, to);
    fputs("'\n", to);
    return LAC_OK;
}

static int is_table(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return n > 4 && entry->d_name[0] != '.' && !strcmp(entry->d_name + n - 4, ".tsv");
}

lac_status lac_plots_draw(const char *dir, size_t *n_drawn, lac_err *err)
{
    struct dirent **entries = NULL;
    size_t drawn = 0;
    if (n_drawn) *n_drawn = 0;
    int n = scandir(dir, &entries, is_table, alphasort);
    if (n < 0) return lac_fail(err, LAC_ERR_FILE, "%s: %s", dir, strerror(errno));
    gnuplot g;
    lac_arena arena = {0};
    lac_status status = n ? gnuplot_open(&g, err) : LAC_OK;
    bool open = n && !status;
    for (int i = 0; i < n && open && !status; i++) {
        bool one = false;
        lac_arena_reset(&arena);
        status = draw(&one, g.to, dir, entries[i]->d_name, &arena, err);
        drawn += one;
    }
    if (open && gnuplot_close(&g, dir, err)) status = err->code;
    for (int i = 0; i < n; i++) free(entries[i]);
    free(entries);
    lac_arena_release(&arena);
    if (n_drawn) *n_drawn = drawn;
    return status;
}
