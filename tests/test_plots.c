/* Names and texts of tables are data: whatever they hold, nothing runs, a picture comes out, its
 * SVG is well-formed XML, and its labels are the table's texts.  And gnuplot does not outlive the
 * command that started it. */
#include "claims.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/file.h"
#include "plots/gnuplot.h"
#include "scratch.h"

/* ---- a strict reader of XML: UTF-8, legal characters, nesting, attributes, the five entities
 * --- */

typedef struct {
    const unsigned char *at, *end;
    char text[1 << 18]; /* of all elements, unescaped, each in a line of its own */
    size_t n_text;
} xml;

/* One character at the cursor into the text (where keep); false: XML 1.0 has no such character. */
static bool xml_character(xml *x, bool keep)
{
    static const char *const entity[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"};
    const unsigned char *s = x->at;
    size_t n = *s < 0x80                 ? 1
               : *s >= 0xc2 && *s < 0xe0 ? 2
               : *s >= 0xe0 && *s < 0xf0 ? 3
               : *s >= 0xf0 && *s < 0xf5 ? 4
                                         : 0;
    if (!n || n > (size_t)(x->end - s)) return false;
    uint32_t c = n == 1 ? *s : *s & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return false;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if ((c < ' ' && c != '\t' && c != '\n' && c != '\r') || (c >= 0xd800 && c < 0xe000) ||
        c == 0xfffe || c == 0xffff || c == '<' || (n == 3 && c < 0x800) ||
        (n == 4 && (c < 0x10000 || c > 0x10ffff)))
        return false;
    if (keep && c == ']' && x->end - s > 2 && !memcmp(s, "]]>", 3)) return false;
    char out = (char)c;
    if (c == '&') {
        size_t k = 0;
        while (k < 5 && ((size_t)(x->end - s) < strlen(entity[k]) ||
                         memcmp(s, entity[k], strlen(entity[k]))))
            k++;
        if (k == 5) return false;
        n = strlen(entity[k]);
        out = "&<>\"'"[k];
    }
    if (keep && x->n_text + 4 < sizeof x->text) {
        if (c < 0x80)
            x->text[x->n_text++] = out;
        else
            memcpy(x->text + x->n_text, s, n), x->n_text += n;
    }
    x->at += n;
    return true;
}

static bool xml_skip(xml *x, const char *text)
{
    if ((size_t)(x->end - x->at) < strlen(text) || memcmp(x->at, text, strlen(text))) return false;
    x->at += strlen(text);
    return true;
}

static void xml_blanks(xml *x)
{
    while (x->at < x->end && isspace(*x->at)) x->at++;
}

static bool xml_name(xml *x, const unsigned char **name, size_t *n)
{
    *name = x->at;
    while (x->at < x->end && (isalnum(*x->at) || strchr(":_-.", *x->at))) x->at++;
    *n = (size_t)(x->at - *name);
    return *n > 0;
}

/* An element, at its "<". */
static bool xml_element(xml *x, int depth)
{
    const unsigned char *name, *end_name, *attribute;
    size_t n, n_end, n_attribute;
    if (depth > 50 || x->n_text + 8 > sizeof x->text || !xml_skip(x, "<") ||
        !xml_name(x, &name, &n))
        return false;
    for (xml_blanks(x); !xml_skip(x, ">"); xml_blanks(x)) {
        if (xml_skip(x, "/>")) return true;
        if (!xml_name(x, &attribute, &n_attribute)) return false;
        xml_blanks(x);
        if (!xml_skip(x, "=")) return false;
        xml_blanks(x);
        if (x->at == x->end) return false;
        const unsigned char quote = *x->at++;
        if (quote != '"' && quote != '\'') return false;
        while (x->at < x->end && *x->at != quote)
            if (!xml_character(x, false)) return false;
        if (x->at++ >= x->end) return false;
    }
    x->text[x->n_text++] = '\n';
    while (!xml_skip(x, "</")) {
        if (x->at >= x->end) return false;
        if (xml_skip(x, "<!--")) {
            while (!xml_skip(x, "-->"))
                if (x->at++ >= x->end) return false;
        } else if (*x->at == '<' ? !xml_element(x, depth + 1) : !xml_character(x, true)) {
            return false;
        }
    }
    if (!xml_name(x, &end_name, &n_end) || n != n_end || memcmp(name, end_name, n)) return false;
    x->text[x->n_text++] = '\n';
    xml_blanks(x);
    return xml_skip(x, ">");
}

/* Whether a file is one well-formed element after a declaration; x holds its text. */
static bool xml_read(xml *x, const char *path)
{
    dele_map map;
    dele_err err = {0};
    memset(x, 0, sizeof *x);
    if (dele_map_open(&map, path, &err)) return false;
    x->at = map.data, x->end = map.data + map.size;
    bool good = xml_skip(x, "<?xml ");
    while (good && x->at < x->end && !xml_skip(x, "?>")) x->at++;
    xml_blanks(x);
    good = good && xml_element(x, 0);
    xml_blanks(x);
    good = good && x->at == x->end;
    x->text[x->n_text] = '\0';
    dele_map_close(&map);
    return good;
}

static void the_reader_of_xml_is_strict(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"<?xml version='1.0'?><a b='c'>t &amp; &lt;<d/></a>", true},
        {"<?xml version='1.0'?><a>&</a>", false},
        {"<?xml version='1.0'?><a>]]></a>", false},
        {"<?xml version='1.0'?><a><b></a></b>", false},
        {"<?xml version='1.0'?><a>\x01</a>", false},
        {"<?xml version='1.0'?><a>\xff</a>", false},
        {"<?xml version='1.0'?><a>\xef\xbf\xbf</a>", false},
        {"<?xml version='1.0'?><a b='<'></a>", false},
        {"<?xml version='1.0'?><a></a>rest", false},
    };
    static xml x;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(xml_read(&x, scratch_text(*state, "x", cases[i].text)), cases[i].good);
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* As a table holds it, and as it is shown, where that differs. */
static const char *const texts[][2] = {
    {"The sign '' means", NULL},
    {"'''; system('touch $PWNED'); '", NULL},
    {"\"Emma\"*", NULL},
    {"\"", NULL},
    {"a\"b", NULL},
    {"\\n \\t \\\\ \\042 \\", NULL},
    {"`touch $PWNED` $(touch $PWNED) @touch", NULL},
    {"{/=20 x}_a^b@c&d ~e{.5f}", NULL},
    {"50 % of %s%d", NULL},
    {"<b>&amp;</b> ]]> -->", NULL},
    {"# not a comment", NULL},
    {"nan", NULL},
    {"-", NULL},
    {"42", NULL},
    {"8 of 01234567", NULL},
    {"  blanks around  ", NULL},
    {"naïve Ω 漢字", NULL},
    {"next\xc2\x85line \xc2\x9b"
     "31m",
     "next\uFFFDline \uFFFD31m"},
    {"\x1b[31m bell\a del\x7f", "\uFFFD[31m bell\uFFFD del\uFFFD"},
    {"bytes \xff\xc3 \xed\xa0\x80", "bytes \uFFFD\uFFFD \uFFFD\uFFFD\uFFFD"},
    {"none \xef\xbf\xbe \xef\xbf\xbf \xf0\x9f\xbf\xbf", "none \uFFFD \uFFFD \uFFFD"},
    {"turned \xe2\x80\xae over", "turned \uFFFD over"},
    {"| touch $PWNED", NULL},
    {"< touch $PWNED", NULL},
};
enum { N_TEXTS = sizeof texts / sizeof *texts };

static const char *shown(size_t i) { return texts[i][1] ? texts[i][1] : texts[i][0]; }

/* Whether the text is one of the SVG's, from its first character to its last. */
static bool has_line(const xml *x, const char *line)
{
    size_t n = strlen(line);
    for (const char *at = x->text; (at = strstr(at, line)); at++)
        if ((at == x->text || at[-1] == '\n') && (at[n] == '\n' || !at[n])) return true;
    return false;
}

static void assert_lines(const char *svg)
{
    static xml x;
    assert_true(xml_read(&x, svg));
    for (size_t i = 0; i < N_TEXTS; i++)
        if (!has_line(&x, shown(i))) fail_msg("%s has no label \"%s\"", svg, shown(i));
}

static void draw(scratch *s, size_t n, bool good)
{
    dele_err err = {0};
    dele_drawn drawn = {0};
    const dele_status status = dele_plots_draw(s->dir, &drawn, &err);
    if (good && status) fail_msg("%s", err.msg);
    assert_int_equal(status == DELE_OK, good);
    assert_int_equal(drawn.n, n);
}

static void labels_and_titles_are_the_texts_of_the_table(void **state)
{
    FILE *to = fopen(scratch_path(*state, "map.tsv"), "w");
    assert_non_null(to);
    fprintf(to, "# plot heatmap.gp\n# title title\n# min 0\n# max 1\n");
    for (int i = 0; i < N_TEXTS; i++)
        for (int l = 0; l < 3; l++)
            fprintf(to, "%d\t%s\t%d\t%g\n", i, texts[i][0], l, l / 3. * i / N_TEXTS);
    fclose(to);
    for (int i = 0; i < N_TEXTS; i++) {
        char name[32];
        snprintf(name, sizeof name, "t%d.tsv", i);
        to = fopen(scratch_path(*state, name), "w");
        assert_non_null(to);
        fprintf(to,
                "# plot heatmap.gp\n# title %s\n# note note %s\n# ylabel y%s\n# cblabel "
                "p(%s)\n0\ta\t0\t1\n",
                texts[i][0], texts[i][0], texts[i][0], texts[i][0]);
        fclose(to);
    }
    draw(*state, N_TEXTS + 1, true);
    assert_lines(scratch_path(*state, "map.svg"));
    for (size_t i = 0; i < N_TEXTS; i++) {
        static xml x;
        char name[32], text[200];
        snprintf(name, sizeof name, "t%zu.svg", i);
        assert_true(xml_read(&x, scratch_path(*state, name)));
        if (!has_line(&x, shown(i))) fail_msg("no title \"%s\"", shown(i));
        static const char *const around[][2] = {{"note ", ""}, {"y", ""}, {"p(", ")"}};
        for (size_t k = 0; k < 3; k++) {
            snprintf(text, sizeof text, "%s%s%s", around[k][0], shown(i), around[k][1]);
            if (!has_line(&x, text)) fail_msg("no text \"%s\"", text);
        }
    }
}

/* Names in a legend are columnheader's, names beside points and lines strcol's. */
static void names_of_blocks_and_points_are_the_texts_of_the_table(void **state)
{
    FILE *lines = fopen(scratch_path(*state, "lines.tsv"), "w"),
         *points = fopen(scratch_path(*state, "points.tsv"), "w");
    FILE *bars = fopen(scratch_path(*state, "bars.tsv"), "w"),
         *attack = fopen(scratch_path(*state, "attack.tsv"), "w");
    assert_true(lines && points && bars && attack);
    fprintf(lines, "# plot layers.gp\n# title lines\n");
    fprintf(bars, "# plot severed.gp\n# title bars\n");
    fprintf(points, "# plot pareto.gp\n# title points\n");
    fprintf(attack, "# plot attack.gp\n# title attack\nattack\tvariant\tn\tmeasure\n");
    for (int i = 0; i < N_TEXTS; i++) {
        fprintf(lines, "%s%s\n0\t%d\t0\t1\n1\t%d\t0\t1\n", i ? "\n\n" : "", texts[i][0], i, i);
        fprintf(bars, "%s%s\n0\t%d\t0\t1\n1\t%d\t0\t1\n", i ? "\n\n" : "", texts[i][0], i, i);
        fprintf(points, "kind %d\n%d\t%d\t0\t0\t0\t%s\t%d\t%d\t0\n\n\n", i, i, i, texts[i][0], i,
                i);
        for (int m = 0; m < 4; m++)
            fprintf(attack, "%s\t%s\t9\tp\t.9\t.1\t-\t.5\t.4\t.6\n", texts[i][0],
                    texts[(i + 1) % N_TEXTS][0]);
    }
    fprintf(points, "front\n0\t0\n1\t1\n");
    assert_int_equal(fclose(lines) | fclose(points) | fclose(bars) | fclose(attack), 0);
    draw(*state, 4, true);
    /* a text with "#" in front would be a comment above the first block; here it stands further
     * down */
    assert_lines(scratch_path(*state, "lines.svg"));
    assert_lines(scratch_path(*state, "bars.svg"));
    assert_lines(scratch_path(*state, "points.svg"));
    assert_lines(scratch_path(*state, "attack.svg"));
}

/* Of a map before and after, whose columns have names, and of panels of bars. */
static void names_of_columns_and_panels_are_the_texts_of_the_table(void **state)
{
    FILE *map = fopen(scratch_path(*state, "columns.tsv"), "w"),
         *bars = fopen(scratch_path(*state, "panels.tsv"), "w");
    const int n = N_TEXTS < 26 ? N_TEXTS : 26;
    assert_true(map && bars);
    fprintf(map, "# plot heatmap.gp\n# title map\n# labels 1\n# pair %d\n", n);
    fprintf(bars, "# plot experts.gp\n# title bars\n# level 0.25\n# pair 1\n");
    for (int i = 0; i < n; i++) fprintf(bars, "# panel_%c %s\n", 'a' + i, texts[i][0]);
    for (int i = 0; i < 2 * n; i++) {
        fprintf(map, "0\ta\t%d\t%g\t%s\n", i, i / 60., texts[i % n][0]);
        fprintf(bars, "%d\t%d\t%g\t%g\n", i % n, i / n, i / 60., 1 - i / 60.);
    }
    assert_int_equal(fclose(map) | fclose(bars), 0);
    draw(*state, 2, true);
    static xml x;
    const char *const picture[] = {"columns.svg", "panels.svg"};
    for (int k = 0; k < 2; k++) {
        assert_true(xml_read(&x, scratch_path(*state, picture[k])));
        assert_true(has_line(&x, "before") && has_line(&x, "after"));
        for (int i = 0; i < n; i++)
            if (!has_line(&x, shown((size_t)i)))
                fail_msg("%s has no text \"%s\"", picture[k], shown((size_t)i));
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

static const char *const names[] = {
    "b\nsystem(\"touch $PWNED\")\n",
    "<touch $PWNED;#",
    "|touch $PWNED;#",
    "a'; system('touch $PWNED'); '",
    "`touch $PWNED`",
    "$(touch $PWNED)",
    ";touch $PWNED;",
    "\" . system(\"touch $PWNED\") . \"",
    "-",
    "+",
    "-e",
    "@x",
    "#",
    " ",
    "\\",
    "new\r\nline",
    "\xff\xfe",
    "%s%n",
    "café",
};
enum { N_NAMES = sizeof names / sizeof *names };

static const char *const table =
    "# plot layers.gp\n# title t\n# table x\n# out y\n# formats z\nline\n0\t1\t0\t2\n1\t2\t1\t3\n";

/* Both the tables' names and the directory's; and nothing but the pictures is left. */
static void names_are_no_commands(void **state)
{
    scratch *s = *state;
    char pwned[400], dir[400], file[600], temporary[400];
    snprintf(pwned, sizeof pwned, "%s/PWNED", s->dir);
    snprintf(temporary, sizeof temporary, "%s/tmp", s->dir);
    assert_int_equal(
        mkdir(temporary, 0700) | setenv("PWNED", pwned, 1) | setenv("TMPDIR", temporary, 1), 0);
    for (size_t d = 0; d < N_NAMES; d++) {
        dele_err err = {0};
        dele_drawn drawn = {0};
        snprintf(dir, sizeof dir, "%s/%s", s->dir, names[d]);
        assert_int_equal(mkdir(dir, 0700), 0);
        size_t n = d ? 1 : N_NAMES;
        for (size_t i = 0; i < n; i++) {
            snprintf(file, sizeof file, "%s/%s.tsv", dir, names[i]);
            FILE *to = fopen(file, "w");
            assert_true(to && fputs(table, to) >= 0 && !fclose(to));
        }
        if (dele_plots_draw(dir, &drawn, &err)) fail_msg("%s", err.msg);
        assert_int_equal(drawn.n, n);
        for (size_t i = 0; i < n; i++) {
            static xml x;
            snprintf(file, sizeof file, "%s/%s.svg", dir, names[i]);
            assert_true(xml_read(&x, file));
            snprintf(file, sizeof file, "%s/%s.png", dir, names[i]);
            assert_true(dele_path_exists(file));
        }
    }
    assert_false(dele_path_exists(pwned));
    assert_int_equal(scratch_count(s), N_NAMES + 1);
    assert_int_equal(rmdir(temporary), 0); /* gnuplot's directory is gone */
    unsetenv("TMPDIR");
}

static void scripts_are_ours_alone(void **state)
{
    static const char *const heads[] = {
        "# plot ../x.gp\n0\t1\n", "# plot a'.gp\n",
        "# plot |sh.gp\n",        "# plot \n",
        "# plot none.gp\n",       "# plot heatmap.gp \n0\ta\t0\t1\n",
        "# plot heatmap.gp\r\n"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        scratch_text(*state, "a.tsv", heads[i]);
        draw(*state, 0, false);
    }
}

static void a_table_that_cannot_be_drawn_does_not_keep_others_from_it(void **state)
{
    dele_err err = {0};
    dele_drawn drawn = {0};
    scratch_text(*state, "a.tsv", table);
    scratch_text(*state, "b.tsv", "# plot heatmap.gp\n# title no rows\n");
    scratch_text(*state, "c.tsv", table);
    scratch_text(*state, "d.tsv", "# plot heatmap.gp\n# min 0\n0\ta\t999999\t1\n");
    scratch_text(*state, "e.tsv", table);
    scratch_text(*state, "f.tsv", "no table for drawing\n");
    assert_int_equal(dele_plots_draw(((scratch *)*state)->dir, &drawn, &err), DELE_ERR_FILE);
    assert_non_null(strstr(err.msg, "/b.tsv: "));
    assert_int_equal(drawn.n, 3);
    for (const char *c = "ace"; *c; c++)
        assert_true(dele_path_exists(scratch_path(*state, (char[]){*c, '.', 's', 'v', 'g', 0})));
    for (const char *c = "bdf"; *c; c++)
        assert_false(dele_path_exists(scratch_path(*state, (char[]){*c, '.', 's', 'v', 'g', 0})));
}

/* ---- the process ----------------------------------------------------------------------------- */

/* A gnuplot of our own first on the path; the path as it was. */
static char *fake_gnuplot(scratch *s, const char *script)
{
    char bin[400], path[4000], *old = strdup(getenv("PATH"));
    snprintf(bin, sizeof bin, "%s/bin", s->dir);
    assert_int_equal(mkdir(bin, 0700), 0);
    assert_int_equal(chmod(scratch_text(s, "bin/gnuplot", script), 0700), 0);
    snprintf(path, sizeof path, "%s:%s", bin, old);
    setenv("PATH", path, 1);
    return old;
}

static void restore_path(char *old)
{
    setenv("PATH", old, 1);
    free(old);
}

static void a_gnuplot_that_fails_makes_a_sentence_and_no_picture(void **state)
{
    static const char *const scripts[] = {
        "#!/bin/sh\nexit 1\n", "#!/bin/sh\nkill -9 $$\n", "#!/bin/sh\necho table 7\nexit 1\n",
        "#!/bin/sh\nexit 0\n", "#!/bin/sh\necho half >p0.svg\nexit 1\n"};
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        dele_err err = {0};
        dele_drawn drawn = {0};
        scratch_text(*state, "a.tsv", table);
        char *old = fake_gnuplot(*state, scripts[i]);
        assert_int_equal(dele_plots_draw(((scratch *)*state)->dir, &drawn, &err), DELE_ERR_FILE);
        restore_path(old);
        assert_non_null(strstr(err.msg, "gnuplot could not draw"));
        assert_int_equal(drawn.n, 0);
        assert_false(dele_path_exists(scratch_path(*state, "a.svg")));
        unlink(scratch_path(*state, "bin/gnuplot"));
        rmdir(scratch_path(*state, "bin"));
    }
}

static void no_gnuplot_is_said(void **state)
{
    dele_err err = {0};
    char *old = strdup(getenv("PATH"));
    scratch_text(*state, "a.tsv", table);
    setenv("PATH", ((scratch *)*state)->dir, 1);
    assert_int_equal(dele_plots_draw(((scratch *)*state)->dir, NULL, &err), DELE_ERR_UNSUPPORTED);
    restore_path(old);
    assert_non_null(strstr(err.msg, "install it"));
}

/* A command is killed while its gnuplot still draws. */
static void gnuplot_dies_with_the_command_that_started_it(void **state)
{
#ifdef __linux__
    char script[700];
    const char *started = scratch_path(*state, "started");
    const struct timespec tick = {0, 10000000};
    snprintf(script, sizeof script, "#!/bin/sh\necho $$ >%s.new && mv %s.new %s\nexec sleep 600\n",
             started, started, started);
    char *old = fake_gnuplot(*state, script);
    scratch_text(*state, "a.tsv", table);
    setenv("TMPDIR", ((scratch *)*state)->dir, 1);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1),
                     0); /* so that the orphan's end is ours to see */
    pid_t command = fork(), gnuplot = 0;
    if (!command) {
        dele_err err = {0};
        dele_plots_draw(((scratch *)*state)->dir, NULL, &err);
        _exit(0);
    }
    started = scratch_path(*state, "started");
    for (int i = 0; i < 1000 && !dele_path_exists(started); i++) nanosleep(&tick, NULL);
    FILE *from = fopen(started, "r");
    assert_true(from && fscanf(from, "%d", &gnuplot) == 1 && gnuplot > 0);
    fclose(from);
    int status = 0, ended = 0;
    assert_int_equal(kill(command, SIGKILL), 0);
    assert_int_equal(waitpid(command, &status, 0), command);
    for (int i = 0; i < 500 && ended == 0; i++) {
        ended = waitpid(gnuplot, &status, WNOHANG);
        nanosleep(&tick, NULL);
    }
    if (ended != gnuplot) kill(gnuplot, SIGKILL), waitpid(gnuplot, NULL, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    unsetenv("TMPDIR");
    restore_path(old);
    assert_int_equal(ended, gnuplot);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_false(dele_path_exists(scratch_path(*state, "a.svg")));
#else
    (void)state;
#endif
}

static void the_same_table_gives_the_same_bytes(void **state)
{
    char hex[2][3][65];
    static const char *const file[] = {"a.svg", "a.png", "a.pdf"};
    scratch_text(*state, "a.tsv", table);
    for (int k = 0; k < 2; k++) {
        dele_err err = {0};
        draw(*state, 1, true);
        for (int i = 0; i < 3; i++) {
            memset(hex[k][i], 0, sizeof hex[k][i]);
            if (dele_path_exists(scratch_path(*state, file[i])))
                assert_int_equal(dele_file_sha256(hex[k][i], scratch_path(*state, file[i]), &err),
                                 DELE_OK);
        }
        if (!k) nanosleep(&(struct timespec){1, 100000000}, NULL); /* a PDF's date has seconds */
    }
    assert_memory_equal(hex[0], hex[1], sizeof hex[0]);
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
    if (system("gnuplot --version >/dev/null 2>&1")) {
        puts("skipped: gnuplot is not installed");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        CLAIM(the_reader_of_xml_is_strict),
        CLAIM(labels_and_titles_are_the_texts_of_the_table),
        CLAIM(names_of_blocks_and_points_are_the_texts_of_the_table),
        CLAIM(names_of_columns_and_panels_are_the_texts_of_the_table),
        CLAIM(names_are_no_commands),
        CLAIM(scripts_are_ours_alone),
        CLAIM(a_table_that_cannot_be_drawn_does_not_keep_others_from_it),
        CLAIM(a_gnuplot_that_fails_makes_a_sentence_and_no_picture),
        CLAIM(no_gnuplot_is_said),
        CLAIM(gnuplot_dies_with_the_command_that_started_it),
        CLAIM(the_same_table_gives_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
