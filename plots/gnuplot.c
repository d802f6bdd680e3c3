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

static dele_status gnuplot_open(gnuplot *g, dele_err *err)
{
    int in[2], said[2]; /* its commands; whether exec failed */
    *g = (gnuplot){.complaints = tmpfile()};
    if (!g->complaints || pipe(in)) {
        if (g->complaints) fclose(g->complaints);
        return dele_fail(err, DELE_ERR_FILE, "gnuplot could not be started: %s", strerror(errno));
    }
    if (pipe(said)) {
        close(in[0]), close(in[1]), fclose(g->complaints);
        return dele_fail(err, DELE_ERR_FILE, "gnuplot could not be started: %s", strerror(errno));
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
        return dele_fail(err, DELE_ERR_UNSUPPORTED, "gnuplot was not found; install it (Debian: apt-get install "
                        "gnuplot-nox), then draw the pictures with deleatur plot DIR");
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &g->old_pipe); /* should it die, writing fails instead of killing us */
    g->to = fdopen(in[1], "w");
    if (!g->to) close(in[1]);
    return DELE_OK;
}

/* Waits for it; its first complaint becomes the sentence. */
static dele_status gnuplot_close(gnuplot *g, const char *dir, dele_err *err)
{
    bool sent = g->to && !ferror(g->to);
    if (g->to && fclose(g->to)) sent = false;
    int status = 0;
    while (waitpid(g->pid, &status, 0) < 0 && errno == EINTR) continue;
    sigaction(SIGPIPE, &g->old_pipe, NULL);
    dele_status result = DELE_OK;
    if (!sent || !WIFEXITED(status) || WEXITSTATUS(status)) {
        char line[400], why[400] = "";
        rewind(g->complaints);
        while (fgets(line, sizeof line, g->complaints)) {
            line[strcspn(line, "\n")] = '\0';
            if (strspn(line, " \t^") != strlen(line)) memcpy(why, line, sizeof why); /* the last one tells why */
        }
        result = dele_fail(err, DELE_ERR_FILE, "gnuplot could not draw the tables in %s: %s", dir,
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
static dele_status draw(bool *drawn, FILE *to, const char *dir, const char *name, dele_arena *arena, dele_err *err)
{
    char path[1400], stem[1400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(stem, sizeof stem, "%s/%.*s", dir, (int)(strlen(name) - 4), name);
    char *line = dele_file_read(path, arena, NULL, err);
    if (!line) return err->code;
    *drawn = !strncmp(line, "# plot ", 7);
    if (!*drawn) return DELE_OK;
    size_t n_script = strcspn(line + 7, "\n");
    char *name_of = dele_printf(arena, err, "plots/%.*s", (int)n_script, line + 7);
    if (!name_of || memchr(line + 7, '/', n_script))
        return dele_fail(err, DELE_ERR_DATA, "%s: its first line names no plot script", path);
    char *script = dele_share_path(name_of, arena, err);
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
    return DELE_OK;
}

/* A PDF says when it was made, and the same table shall give the same bytes: the digits of the date become those of the
 * epoch, in place, so that the file's offsets still hold.  (Cairo writes them plainly up to 1.16; where they are packed
 * away they stay.)  False: there is no such file. */
static bool undate(const char *dir, const char *table, dele_arena *arena, dele_err *err)
{
    static const char key[] = "/CreationDate (D:", epoch[] = "19700101000000";
    size_t n_key = sizeof key - 1, n_date = sizeof epoch - 1;
    char *path = dele_printf(arena, err, "%s/%.*s.pdf", dir, (int)(strlen(table) - 4), table);
    FILE *file = path ? fopen(path, "r+b") : NULL;
    if (!file) return false;
    dele_map map = {0};
    if (!dele_map_open(&map, path, err)) {
        const uint8_t *at = map.size ? memmem(map.data, map.size, key, n_key) : NULL;
        if (at && (size_t)(map.data + map.size - at) > n_key + n_date &&
            (fseek(file, (long)(at - map.data + (ptrdiff_t)n_key), SEEK_SET) || fwrite(epoch, n_date, 1, file) != 1))
            dele_fail(err, DELE_ERR_FILE, "%s: %s", path, strerror(errno));
        dele_map_close(&map);
    }
    if (fclose(file) && !err->code) dele_fail(err, DELE_ERR_FILE, "%s: %s", path, strerror(errno));
    return true;
}

static int is_table(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return n > 4 && entry->d_name[0] != '.' && !strcmp(entry->d_name + n - 4, ".tsv");
}

/* Feeds a gnuplot the n tables; the names of those that it drew are moved to the front. */
static dele_status draw_all(dele_drawn *drawn, const char *dir, struct dirent **entry, int n, dele_err *err)
{
    gnuplot g;
    dele_arena arena = {0};
    if (gnuplot_open(&g, err)) return err->code;
    for (int i = 0; i < n && !err->code; i++) {
        bool one = false;
        dele_arena_reset(&arena);
        if (draw(&one, g.to, dir, entry[i]->d_name, &arena, err) || !one) continue;
        struct dirent *swap = entry[drawn->n];
        entry[drawn->n++] = entry[i];
        entry[i] = swap;
    }
    dele_err closing = {0};
    if (gnuplot_close(&g, dir, &closing) && !err->code) *err = closing;
    for (size_t i = 0; i < drawn->n && !err->code; i++) {
        dele_arena_reset(&arena);
        drawn->no_pdf |= !undate(dir, entry[i]->d_name, &arena, err);
    }
    dele_arena_release(&arena);
    return err->code;
}

dele_status dele_plots_draw(const char *dir, dele_drawn *drawn, dele_err *err)
{
    struct dirent **entries = NULL;
    dele_drawn result = {0};
    int n = scandir(dir, &entries, is_table, alphasort);
    if (n < 0) return dele_fail(err, DELE_ERR_FILE, "%s: %s", dir, strerror(errno));
    dele_status status = n ? draw_all(&result, dir, entries, n, err) : DELE_OK;
    for (int i = 0; i < n; i++) free(entries[i]);
    free(entries);
    if (drawn) *drawn = result;
    return status;
}
