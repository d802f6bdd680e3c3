/* Tables become pictures: copies for gnuplot in a temporary directory, one gnuplot for all of them,
 * and its pictures moved into place.  gnuplot.h gives the reasons. */
#include "plots/gnuplot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/file.h"
#include "base/file_out.h"
#include "base/share.h"
#include "base/texts.h"
#include "plots/shown.h"

enum { SECONDS_A_TABLE = 60, MOST_COLUMNS = 32 };

/* A table that is to be drawn. */
typedef struct {
    const char *name;   /* in the directory of the result */
    const char *script; /* "heatmap.gp" */
    bool drawn;
} table;

typedef struct {
    const char *dir;  /* the tables' */
    const char *work; /* ours; gnuplot's working directory */
    table *table;
    size_t n;
    dele_arena *arena; /* names; scratch is for texts of files */
    dele_arena scratch;
    dele_err *err;
} drawing;

/* ---- texts as data --------------------------------------------------------------------------- */

/* A text as a column of a file of gnuplot's: letters, digits and blanks as they are, all other
 * ASCII as octal escapes, what no picture can show as U+FFFD.  The first byte and the last are
 * escapes where they are ASCII, so that nothing is taken for a number, for a missing value or for a
 * quoted string, and no blank is lost; and so is a digit after an escape, for gnuplot reads as
 * many digits as there are. */
static void put_text(FILE *to, const char *text, size_t n)
{
    static const char plain[] = " abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ89",
                      digits[] = "01234567";
    bool escaped = true;
    for (size_t i = 0, used = 0, length; i < n; i += used) {
        const char *bytes = dele_shown_next(&length, &used, text + i, n - i);
        escaped = length == 1 && (!i || i + 1 == n ||
                                  !(strchr(plain, *bytes) || (!escaped && strchr(digits, *bytes))));
        if (escaped)
            fprintf(to, "\\%03o", (unsigned)*bytes);
        else
            fwrite(bytes, 1, length, to);
    }
}

static bool is_number(const char *cell, size_t n)
{
    return strspn(cell, "+-.0123456789eE") >= n || (n == 3 && !memcmp(cell, "nan", 3)) ||
           (n == 1 && *cell == '-');
}

/* A line of a table: texts in the columns that the script names as such, and where a cell is alone
 * on its line, which is the name of a block; numbers elsewhere. */
static void put_row(FILE *to, const char *line, size_t n, const bool *is_text)
{
    const bool alone = !memchr(line, '\t', n);
    for (size_t begin = 0, column = 0; begin <= n; column++) {
        const char *tab = memchr(line + begin, '\t', n - begin);
        const size_t length = tab ? (size_t)(tab - line) - begin : n - begin;
        if (column) fputc('\t', to);
        if (alone || (column < MOST_COLUMNS && is_text[column]) || !is_number(line + begin, length))
            put_text(to, line + begin, length);
        else
            fwrite(line + begin, 1, length, to);
        begin += length + 1;
    }
    fputc('\n', to);
}

/* The columns, from 1, in a script's line "# texts 2 3". */
static void text_columns(bool is_text[MOST_COLUMNS], const char *script)
{
    const char *at = strstr(script, "\n# texts ");
    char *end;
    memset(is_text, 0, MOST_COLUMNS * sizeof *is_text);
    for (at = at ? at + 8 : ""; strtol(at, &end, 10) > 0; at = end) {
        const long column = strtol(at, NULL, 10);
        if (column <= MOST_COLUMNS) is_text[column - 1] = true;
    }
}

/* ---- the working directory ------------------------------------------------------------------- */

static dele_status open_file(dele_writer *out, const drawing *d, const char *kind, size_t k)
{
    char name[60];
    snprintf(name, sizeof name, "%s%zu.tsv", kind, k);
    const char *path = dele_printf(d->arena, d->err, "%s/%s", d->work, name);
    return path ? dele_writer_open(out, path, d->err) : d->err->code;
}

/* The k-th table's files: v, a line "name <tab> value" a variable; t, the rows, without
 * comments. */
static dele_status copy_table(drawing *d, size_t k, const char *text, const bool *is_text)
{
    dele_writer v = {0}, t = {0};
    if (open_file(&v, d, "v", k) || open_file(&t, d, "t", k)) {
        dele_writer_abandon(&v);
        return d->err->code;
    }
    fputs("none\tnone\n", v.stream); /* gnuplot does not read an empty file */
    bool head = true;
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n"), n_name;
        head &= *line == '#';
        if (head && n > 2 && line[1] == ' ') {
            n_name = 2 + strcspn(line + 2, " \n");
            put_text(v.stream, line + 2, n_name - 2);
            fputc('\t', v.stream);
            if (n > n_name) put_text(v.stream, line + n_name + 1, n - n_name - 1);
            fputc('\n', v.stream);
        } else if (!head && n) {
            put_row(t.stream, line, n, is_text);
        } else if (!head) {
            fputc('\n', t.stream);
        }
        line += n + (line[n] == '\n');
    }
    if (dele_writer_commit(&v, d->err))
        dele_writer_abandon(&t);
    else
        dele_writer_commit(&t, d->err);
    return d->err->code;
}

/* One of our scripts into the working directory, where it may be already; its text in the
 * scratch. */
static const char *copy_script(drawing *d, const char *name)
{
    const char *inside = dele_printf(&d->scratch, d->err, "plots/%s", name);
    const char *path = inside ? dele_share_path(inside, &d->scratch, d->err) : NULL;
    const char *to = path ? dele_printf(&d->scratch, d->err, "%s/%s", d->work, name) : NULL;
    if (!to || (!dele_path_exists(to) && dele_file_copy(path, to, d->err))) return NULL;
    return dele_file_read(to, &d->scratch, NULL, d->err);
}

/* Copies one table, if it is one for drawing, and adds it to the list. */
static dele_status add_table(drawing *d, const char *name)
{
    bool is_text[MOST_COLUMNS];
    dele_arena_reset(&d->scratch);
    const char *path = dele_printf(&d->scratch, d->err, "%s/%s", d->dir, name);
    const char *text = path ? dele_file_read(path, &d->scratch, NULL, d->err) : NULL;
    if (!text || strncmp(text, "# plot ", 7)) return d->err->code;
    text += 7;
    const size_t n = strcspn(text, "\n"), letters = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
    if (!letters || letters + 3 != n || strncmp(text + letters, ".gp", 3))
        return dele_fail(d->err, DELE_ERR_DATA, "%s: its first line names no plot script", path);
    char *script = dele_printf(d->arena, d->err, "%.*s", (int)n, text);
    const char *code = script ? copy_script(d, script) : NULL;
    if (!code) return d->err->code;
    text_columns(is_text, code);
    d->table[d->n] = (table){.name = name, .script = script};
    if (copy_table(d, d->n, text + n + (text[n] == '\n'), is_text)) return d->err->code;
    d->n++;
    return DELE_OK;
}

/* What gnuplot does from the k-th table on: words of ours and numbers, nothing else. */
static dele_status write_program(drawing *d, size_t k)
{
    dele_writer out = {0};
    const char *path = dele_printf(d->arena, d->err, "%s/draw.gp", d->work);
    if (!path || dele_writer_open(&out, path, d->err)) return d->err->code;
    for (; k < d->n; k++)
        fprintf(out.stream,
                "reset session\nset print \"-\"\nprint \"table %zu\"\ntable = "
                "\"t%zu.tsv\"\nvariables = \"v%zu.tsv\"\n"
                "out = \"p%zu\"\nload \"common.gp\"\nload \"%s\"\n",
                k, k, k, k, d->table[k].script);
    fprintf(out.stream, "print \"table %zu\"\n", k);
    return dele_writer_commit(&out, d->err);
}

/* ---- gnuplot --------------------------------------------------------------------------------- */

/* In the child, up to exec: dies with its parent, reads nothing, says all into the log, holds none
 * of our files.  (Elsewhere than on Linux a gnuplot whose parent was killed ends with its last
 * table, or by its limit of time; either way it writes nowhere but in the working directory.) */
static void become_gnuplot(const char *work, size_t n_tables, pid_t parent, int said)
{
    const rlim_t seconds = (rlim_t)SECONDS_A_TABLE * (n_tables + 1);
    const struct rlimit limit = {seconds, seconds};
#ifdef __linux__
    if (prctl(PR_SET_PDEATHSIG, SIGKILL)) _exit(126);
#endif
    if (getppid() != parent) _exit(126); /* it died before we could ask */
    if (chdir(work)) _exit(126);
    int in = open("/dev/null", O_RDONLY), log = open("log", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (in < 0 || log < 0 || dup2(in, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) _exit(126);
    for (int fd = 3; fd < 1024; fd++)
        if (fd != said) close(fd);
    setrlimit(RLIMIT_CPU, &limit);
    signal(SIGPIPE, SIG_DFL);
    execlp("gnuplot", "gnuplot", "-d", "draw.gp",
           (char *)NULL); /* -d: no start-up file of the user's */
    ssize_t written = write(said, "x", 1);
    _exit(written == 1 ? 127 : 126);
}

/* Runs the program once; *ok: it came to its end. */
static dele_status run_gnuplot(bool *ok, const drawing *d)
{
    int said[2]; /* whether exec failed */
    const pid_t parent = getpid();
    if (pipe(said))
        return dele_fail(d->err, DELE_ERR_FILE, "gnuplot could not be started: %s",
                         strerror(errno));
    fcntl(said[0], F_SETFD, FD_CLOEXEC);
    fcntl(said[1], F_SETFD, FD_CLOEXEC);
    const pid_t pid = fork();
    if (pid == 0) become_gnuplot(d->work, d->n, parent, said[1]);
    const int why = errno;
    close(said[1]);
    char byte;
    ssize_t got = 0;
    while (pid > 0 && (got = read(said[0], &byte, 1)) < 0 && errno == EINTR) continue;
    close(said[0]);
    if (pid < 0)
        return dele_fail(d->err, DELE_ERR_FILE, "gnuplot could not be started: %s", strerror(why));
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return dele_fail(d->err, DELE_ERR_FILE, "gnuplot was lost: %s", strerror(errno));
    if (got > 0)
        return dele_fail(d->err, DELE_ERR_UNSUPPORTED,
                         "gnuplot was not found; install it (Debian: apt-get install "
                         "gnuplot-nox), then draw the pictures with deleatur plot DIR");
    *ok = WIFEXITED(status) && !WEXITSTATUS(status);
    return DELE_OK;
}

/* The log's last line "table 3", and its last words after that. */
static size_t read_log(const drawing *d, char why[200])
{
    size_t k = 0;
    dele_err ignored = {0};
    dele_arena arena = {0};
    const char *path = dele_printf(&arena, &ignored, "%s/log", d->work);
    char *rest =
        path && dele_path_exists(path) ? dele_file_read(path, &arena, NULL, &ignored) : NULL;
    snprintf(why, 200, "it ended without a word");
    for (char *line; rest && (line = strsep(&rest, "\n"));) {
        if (!strncmp(line, "table ", 6))
            k = strtoull(line + 6, NULL, 10);
        else if (strspn(line, " \t^") != strlen(line))
            snprintf(why, 200, "%.199s", line);
    }
    dele_arena_release(&arena);
    return k;
}

/* Draws all tables; a gnuplot that stops at one is started again after it. */
static dele_status draw_tables(drawing *d)
{
    dele_err first = {0};
    for (size_t k = 0; k < d->n;) {
        bool ok = false;
        char why[200];
        if (write_program(d, k) || run_gnuplot(&ok, d)) return d->err->code;
        size_t at = read_log(d, why);
        if (!ok && at < d->n && at >= k)
            dele_fail(&first, DELE_ERR_FILE, "gnuplot could not draw %s/%s: %s", d->dir,
                      d->table[at].name, why);
        else if (!ok || at != d->n)
            return dele_fail(d->err, DELE_ERR_FILE, "gnuplot could not draw the tables in %s: %s",
                             d->dir, why);
        for (; k < at; k++) d->table[k].drawn = true;
        k += !ok;
    }
    if (first.code) *d->err = first;
    return d->err->code;
}

/* ---- pictures into place --------------------------------------------------------------------- */

/* Writes a picture, and over each place where `from` stands something else: `to` instead of it, or
 * of as many bytes after it where `after` is set. */
static void put_replacing(FILE *out, const uint8_t *data, size_t n, const char *from,
                          const char *to, bool after)
{
    const size_t n_from = strlen(from), n_to = strlen(to), n_skip = after ? n_from + n_to : n_from;
    while (n) {
        const uint8_t *at = memmem(data, n, from, n_from);
        const size_t before = at ? (size_t)(at - data) : n;
        fwrite(data, 1, before, out);
        data += before, n -= before;
        if (n < n_skip) break;
        if (after) fputs(from, out);
        fputs(to, out);
        data += n_skip, n -= n_skip;
    }
    fwrite(data, 1, n, out);
}

/* gnuplot lets "]]>" in a text through into its SVG, where XML forbids it.  A PDF says when it was
 * made, and the same table shall give the same bytes: the date's digits become those of the epoch,
 * in place, so that the file's offsets still hold.  (Cairo writes them plainly up to 1.16; where
 * they are packed away they stay.)  *made: there is one. */
static dele_status place(bool *made, drawing *d, size_t k, const char *type)
{
    dele_map map = {0};
    dele_writer out = {0};
    const char *name = d->table[k].name;
    dele_arena_reset(&d->scratch);
    const char *from = dele_printf(&d->scratch, d->err, "%s/p%zu.%s", d->work, k, type);
    const char *to =
        dele_printf(&d->scratch, d->err, "%s/%.*s.%s", d->dir, (int)(strlen(name) - 4), name, type);
    if (!from || !to) return d->err->code;
    *made = dele_path_exists(from);
    if (!*made || dele_map_open(&map, from, d->err)) return d->err->code;
    if (!dele_writer_open(&out, to, d->err)) {
        if (!strcmp(type, "svg"))
            put_replacing(out.stream, map.data, map.size, "]]>", "]]&gt;", false);
        else if (!strcmp(type, "pdf"))
            put_replacing(out.stream, map.data, map.size, "/CreationDate (D:", "19700101000000",
                          true);
        else
            fwrite(map.data, 1, map.size, out.stream);
        dele_writer_commit(&out, d->err);
    }
    dele_map_close(&map);
    return d->err->code;
}

static dele_status place_all(drawing *d, dele_drawn *drawn)
{
    for (size_t k = 0; k < d->n; k++) {
        bool svg = false, png = false, pdf = false;
        if (!d->table[k].drawn) continue;
        if (place(&svg, d, k, "svg") || place(&png, d, k, "png") || place(&pdf, d, k, "pdf"))
            return d->err->code;
        if (!svg || !png)
            return dele_fail(d->err, DELE_ERR_FILE, "%s/%s: gnuplot left no picture", d->dir,
                             d->table[k].name);
        drawn->n++;
        drawn->no_pdf |= !pdf;
    }
    return DELE_OK;
}

/* ---- a directory ----------------------------------------------------------------------------- */

static int is_table(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && dele_ends_with(entry->d_name, ".tsv");
}

static char *make_work(dele_arena *arena, dele_err *err)
{
    const char *where = getenv("TMPDIR");
    char *work = dele_printf(arena, err, "%s/deleatur-plots-XXXXXX",
                             where && *where == '/' ? where : "/tmp");
    if (!work || mkdtemp(work)) return work;
    dele_fail(err, DELE_ERR_FILE, "%s: no directory to draw in: %s", work, strerror(errno));
    return NULL;
}

/* The tables that can be drawn are, whatever becomes of others; the first failure is the one that
 * is told. */
static void draw_entries(drawing *d, struct dirent **entry, int n, dele_drawn *drawn)
{
    dele_err first = {0}, one = {0}, *told = d->err;
    d->err = &one;
    for (int i = 0; i < n && one.code != DELE_ERR_UNSUPPORTED && one.code != DELE_ERR_MEMORY; i++) {
        one = (dele_err){0};
        if (add_table(d, entry[i]->d_name) && !first.code) first = one;
    }
    one = (dele_err){0};
    if (d->n &&
        (!copy_script(d, "common.gp") || !copy_script(d, "terminal.gp") || draw_tables(d)) &&
        !first.code)
        first = one;
    one = (dele_err){0};
    if (place_all(d, drawn) && !first.code) first = one;
    d->err = told;
    if (first.code) *told = first;
}

dele_status dele_plots_draw(const char *dir, dele_drawn *drawn, dele_err *err)
{
    struct dirent **entries = NULL;
    dele_drawn result = {0};
    dele_arena arena = {0};
    int n = scandir(dir, &entries, is_table, alphasort);
    if (n < 0) return dele_fail(err, DELE_ERR_FILE, "%s: %s", dir, strerror(errno));
    drawing d = {.dir = dir, .arena = &arena, .err = err};
    if (n) d.table = DELE_NEW(&arena, table, (size_t)n, err);
    if (d.table && (d.work = make_work(&arena, err))) {
        dele_err removing = {0};
        draw_entries(&d, entries, n, &result);
        if (dele_path_remove(d.work, &removing) && !err->code) *err = removing;
    }
    for (int i = 0; i < n; i++) free(entries[i]);
    free(entries);
    dele_arena_release(&d.scratch);
    dele_arena_release(&arena);
    if (drawn) *drawn = result;
    return err->code;
}
