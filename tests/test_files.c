/* Files written aside, JSON that says where it is wrong, npz, manifests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zip.h>

#include "base/file.h"
#include "base/file_out.h"
#include "base/json.h"
#include "base/json_out.h"
#include "base/npz.h"
#include "base/share.h"
#include "option/manifest.h"
#include "scratch.h"

static char *slurp(const char *path, dele_arena *arena, size_t *n)
{
    return dele_file_read(path, arena, n, NULL);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void a_map_and_a_read_see_the_same_bytes(void **state)
{
    const char bytes[] = "one\0two\nthree";
    const char *path = scratch_write(*state, "f", bytes, sizeof bytes);
    dele_map map;
    dele_arena arena = {0};
    size_t n;
    assert_int_equal(dele_map_open(&map, path, NULL), DELE_OK);
    assert_int_equal(map.size, sizeof bytes);
    assert_memory_equal(map.data, bytes, sizeof bytes);
    char *text = slurp(path, &arena, &n);
    assert_int_equal(n, sizeof bytes);
    assert_memory_equal(text, bytes, sizeof bytes + 0);
    assert_int_equal(text[n], 0);
    dele_map_close(&map);
    dele_map_close(&map); /* twice is once */
    dele_arena_release(&arena);
}

static void an_empty_file_is_no_error(void **state)
{
    const char *path = scratch_text(*state, "empty", "");
    dele_map map;
    dele_arena arena = {0};
    size_t n = 7;
    assert_int_equal(dele_map_open(&map, path, NULL), DELE_OK);
    assert_true(map.data == NULL && map.size == 0);
    assert_string_equal(slurp(path, &arena, &n), "");
    assert_int_equal(n, 0);
    dele_arena_release(&arena);
}

static void what_cannot_be_read_is_named(void **state)
{
    scratch *s = *state;
    dele_map map;
    dele_arena arena = {0};
    dele_err err = {0};
    assert_int_equal(dele_map_open(&map, scratch_path(s, "missing"), &err), DELE_ERR_FILE);
    assert_non_null(strstr(err.msg, "missing"));
    err = (dele_err){0};
    assert_int_equal(dele_map_open(&map, s->dir, &err), DELE_ERR_FILE);
    assert_non_null(strstr(err.msg, "is a directory"));
    err = (dele_err){0};
    assert_null(dele_file_read(s->dir, &arena, NULL, &err));
    assert_int_equal(err.code, DELE_ERR_FILE);
    dele_arena_release(&arena);
}

/* ---- writing aside --------------------------------------------------------------------------- */

static void nobody_sees_a_file_before_it_is_committed(void **state)
{
    scratch *s = *state;
    const char *path = scratch_text(s, "f", "old");
    dele_arena arena = {0};
    dele_writer out = {0};
    assert_int_equal(dele_writer_open(&out, path, NULL), DELE_OK);
    fputs("new", out.stream);
    fflush(out.stream);
    assert_string_equal(slurp(path, &arena, NULL), "old");
    assert_int_equal(dele_writer_commit(&out, NULL), DELE_OK);
    assert_string_equal(slurp(path, &arena, NULL), "new");
    dele_writer_abandon(&out); /* after a commit: nothing to do */
    assert_int_equal(scratch_count(s), 1);
    dele_arena_release(&arena);
}

static void an_abandoned_file_leaves_nothing(void **state)
{
    scratch *s = *state;
    dele_writer out = {0};
    assert_int_equal(dele_writer_open(&out, scratch_path(s, "f"), NULL), DELE_OK);
    fputs("half", out.stream);
    dele_writer_abandon(&out);
    assert_int_equal(scratch_count(s), 0);
    dele_writer none = {0};
    dele_writer_abandon(&none);
    assert_int_equal(dele_writer_commit(&none, NULL), DELE_OK);
}

/* Ten bytes wait in the buffer until commit flushes them; a megabyte fails while it is written;
 * either way the old file stays.  The disk is full for the stream's descriptor, which is put on
 * /dev/full. */
static void a_full_disk_fails_the_commit_and_keeps_the_old_file(void **state)
{
    scratch *s = *state;
    int full = open("/dev/full", O_WRONLY);
    if (full < 0) skip();
    for (int i = 0, n = 10; i < 2; i++, n = 1 << 20) {
        const char *path = scratch_text(s, "f", "old");
        dele_writer out = {0};
        dele_err err = {0};
        dele_arena arena = {0};
        assert_int_equal(dele_writer_open(&out, path, &err), DELE_OK);
        assert_true(dup2(full, fileno(out.stream)) >= 0);
        for (int k = 0; k < n; k++) fputc('x', out.stream);
        assert_int_equal(dele_writer_commit(&out, &err), DELE_ERR_FILE);
        assert_non_null(strstr(err.msg, "No space left on device"));
        assert_string_equal(slurp(path, &arena, NULL), "old");
        assert_int_equal(scratch_count(s), 1);
        dele_arena_release(&arena);
    }
    close(full);
}

/* What is at path.part and is not ours: a file, a link to one or to a directory, somebody's
 * directory.  Writers and output directories alike leave it as it is. */
static void what_is_not_ours_is_never_touched(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    scratch_text(s, "precious", "thesis");
    mkdir(scratch_path(s, "home"), 0777);
    scratch_text(s, "home/thesis", "thesis");
    assert_int_equal(symlink("precious", scratch_path(s, "a.part")), 0);
    assert_int_equal(symlink("home", scratch_path(s, "b.part")), 0);
    scratch_text(s, "c.part", "thesis");
    mkdir(scratch_path(s, "d.part"), 0777);
    scratch_text(s, "d.part/thesis", "thesis");
    mkdir(scratch_path(s, "e.part"), 0777); /* the mark's name, but a link */
    assert_int_equal(symlink("../precious", scratch_path(s, "e.part/deleatur.unfinished")), 0);
    mkdir(scratch_path(s, "f.part"), 0777); /* or one file with two names */
    assert_int_equal(
        link(scratch_path(s, "precious"), scratch_path(s, "f.part/deleatur.unfinished")), 0);
    for (const char *name = "abcdef"; *name; name++) {
        const char path[] = {*name, '\0'};
        dele_writer out = {0};
        dele_outdir dir = {0};
        dele_err err = {0};
        bool resumed;
        assert_int_equal(dele_writer_open(&out, scratch_path(s, path), &err), DELE_ERR_FILE);
        if (!strstr(err.msg, ".part exists and is not an unfinished result of deleatur"))
            fail_msg("%s: %s", path, err.msg);
        assert_int_equal(dele_outdir_open(&dir, scratch_path(s, path), NULL), DELE_ERR_FILE);
        assert_int_equal(dele_outdir_resume(&dir, scratch_path(s, path), "thesis", &resumed, NULL),
                         DELE_ERR_FILE);
        assert_int_equal(dele_part_remove(scratch_path(s, path), NULL), DELE_ERR_FILE);
        dele_writer_abandon(&out);
        dele_outdir_abandon(&dir);
    }
    const char *kept[] = {"precious",      "home/thesis", "a.part",
                          "b.part/thesis", "c.part",      "d.part/thesis"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_string_equal(slurp(scratch_path(s, kept[i]), &arena, NULL), "thesis");
    assert_int_equal(scratch_count(s), 8);
    dele_arena_release(&arena);
}

static void create_never_overwrites_and_open_does(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_writer out = {0};
    dele_err err = {0};
    const char *path = scratch_text(s, "f", "old");
    assert_int_equal(dele_writer_create(&out, path, &err), DELE_ERR_FILE);
    assert_non_null(strstr(err.msg, "f exists already; remove it, or choose another path"));
    assert_int_equal(dele_writer_create(&out, scratch_path(s, "g"), NULL), DELE_OK);
    fputs("mine", out.stream);
    scratch_text(s, "g", "came meanwhile");
    assert_int_equal(dele_writer_commit(&out, NULL), DELE_ERR_FILE);
    assert_string_equal(slurp(scratch_path(s, "g"), &arena, NULL), "came meanwhile");
    assert_int_equal(scratch_count(s), 2);
    dele_arena_release(&arena);
}

/* Locks belong to open files, so a second opening in this process stands for another process. */
static void the_second_of_two_writers_is_refused(void **state)
{
    scratch *s = *state;
    dele_writer first = {0}, second = {0};
    dele_outdir one = {0}, two = {0};
    dele_err err = {0};
    bool resumed;
    assert_int_equal(dele_writer_open(&first, scratch_path(s, "f"), NULL), DELE_OK);
    assert_int_equal(dele_writer_open(&second, scratch_path(s, "f"), &err), DELE_ERR_FILE);
    assert_non_null(strstr(err.msg, "another deleatur is writing to"));
    fputs("first", first.stream);
    assert_int_equal(dele_writer_commit(&first, NULL), DELE_OK);
    assert_int_equal(dele_outdir_resume(&one, scratch_path(s, "d"), "key", &resumed, NULL),
                     DELE_OK);
    err = (dele_err){0};
    assert_int_equal(dele_outdir_resume(&two, scratch_path(s, "d"), "key", &resumed, &err),
                     DELE_ERR_FILE);
    assert_non_null(strstr(err.msg, "another deleatur is writing to"));
    assert_int_equal(dele_outdir_open(&two, scratch_path(s, "d"), NULL), DELE_ERR_FILE);
    dele_outdir_leave(&one);
    assert_int_equal(dele_outdir_resume(&two, scratch_path(s, "d"), "key", &resumed, NULL),
                     DELE_OK);
    assert_true(resumed);
    assert_int_equal(dele_outdir_commit(&two, NULL), DELE_OK);
    assert_int_equal(scratch_count(s), 2);
}

/* A directory put in place of ours while we write gets nothing of us, and ours does not take
 * its name. */
static void a_swapped_directory_is_noticed(void **state)
{
    scratch *s = *state;
    dele_outdir dir = {0};
    dele_err err = {0};
    assert_int_equal(dele_outdir_open(&dir, scratch_path(s, "d"), NULL), DELE_OK);
    assert_int_equal(rename(scratch_path(s, "d.part"), scratch_path(s, "elsewhere")), 0);
    mkdir(scratch_path(s, "d.part"), 0777);
    scratch_text(s, "d.part/thesis", "thesis");
    assert_int_equal(dele_outdir_commit(&dir, &err), DELE_ERR_FILE);
    dele_outdir_abandon(&dir);
    assert_true(dele_path_exists(scratch_path(s, "d.part/thesis")) &&
                !dele_path_exists(scratch_path(s, "d")));
}

/* ---- what may be read ------------------------------------------------------------------------ */

static void a_models_links_stay_in_its_cache(void **state)
{
    scratch *s = *state;
    const char *const folders[] = {"hub",
                                   "hub/models--a--b",
                                   "hub/models--a--b/blobs",
                                   "hub/models--a--b/snapshots",
                                   "hub/models--a--b/snapshots/1",
                                   "hub/models--c",
                                   "hub/models--c/blobs"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        mkdir(scratch_path(s, folders[i]), 0777);
    scratch_text(s, "secret", "secret");
    scratch_text(s, "hub/models--a--b/blobs/f00", "{}");
    scratch_text(s, "hub/models--a--b/refs", "1");
    scratch_text(s, "hub/models--c/blobs/f00", "{}");
    assert_int_equal(symlink("../../../../secret", scratch_path(s, "hub/models--a--b/blobs/bad")),
                     0);
    const struct {
        const char *to, *says; /* NULL: it may be read */
    } link[] = {{"../../blobs/f00", NULL},
                {"../../blobs/../blobs/f00", NULL},
                {"../../blobs/bad", "outside the model"},
                {"../../refs", "outside the model"},
                {"../../../models--c/blobs/f00", "outside the model"},
                {"../../../../secret", "outside the model"},
                {"/dev/zero", "outside the model"},
                {"nothing", "outside the model"}};
    const char *own = "hub/models--a--b/snapshots/1/config.json";
    for (size_t i = 0; i < sizeof link / sizeof *link; i++) {
        dele_err err = {0};
        assert_int_equal(symlink(link[i].to, scratch_path(s, own)), 0);
        const dele_status status = dele_path_is_shipped(scratch_path(s, own), &err);
        if (link[i].says ? !strstr(err.msg, link[i].says) : status)
            fail_msg("%s: %s", link[i].to, err.msg);
        err = (dele_err){0};
        if ((dele_file_copy(scratch_path(s, own), scratch_path(s, "copy"), &err) == DELE_OK) !=
            !link[i].says)
            fail_msg("copy of %s: %s", link[i].to, err.msg);
        unlink(scratch_path(s, own));
        unlink(scratch_path(s, "copy"));
    }
    /* the folder itself may be reached through a link of the user's */
    assert_int_equal(symlink("../../blobs/f00", scratch_path(s, own)), 0);
    assert_int_equal(symlink("hub/models--a--b/snapshots/1", scratch_path(s, "m")), 0);
    assert_int_equal(dele_path_is_shipped(scratch_path(s, "m/config.json"), NULL), DELE_OK);
}

static void devices_and_silent_pipes_are_refused_and_speaking_ones_read(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_map map;
    dele_err err = {0};
    int ends[2];
    char name[40], hex[65];
    size_t n;
    assert_null(dele_file_read("/dev/zero", &arena, NULL, &err));
    assert_non_null(strstr(err.msg, "/dev/zero is a device"));
    assert_int_equal(pipe(ends), 0);
    snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
    assert_int_equal(write(ends[1], "{}\n", 3), 3);
    close(ends[1]);
    assert_string_equal(slurp(name, &arena, &n), "{}\n");
    close(ends[0]);
    assert_int_equal(mkfifo(scratch_path(s, "fifo"), 0666), 0);
    err = (dele_err){0};
    assert_int_equal(dele_map_open(&map, scratch_path(s, "fifo"), &err),
                     DELE_ERR_FILE); /* at once: no waiting for a writer */
    assert_non_null(strstr(err.msg, "fifo is a pipe, not a regular file"));
    assert_int_equal(dele_file_sha256(hex, scratch_path(s, "fifo"), NULL), DELE_ERR_FILE);
    assert_int_equal(dele_file_copy(scratch_path(s, "fifo"), scratch_path(s, "copy"), NULL),
                     DELE_ERR_FILE);
    assert_int_equal(dele_path_is_shipped(scratch_path(s, "fifo"), NULL), DELE_ERR_FILE);
    dele_arena_release(&arena);
}

enum { CUT = 1 << 16 };

static void touch(const dele_map *map) { _exit(map->data[CUT - 1]); }

static void write_all(const dele_map *map)
{
    FILE *to = tmpfile();
    _exit(to && dele_write_mapped(to, map->data, map->size) ? 8 : 9);
}

/* In a child: a map is cut short, and used after its new end.  The sentence and exit 1, no
 * signal. */
static void ends_with_a_sentence(scratch *s, void use(const dele_map *))
{
    static char bytes[CUT];
    int said[2], status;
    const char *path = scratch_write(s, "weights", bytes, sizeof bytes);
    assert_int_equal(pipe(said), 0);
    pid_t child = fork();
    if (child == 0) {
        dele_map map;
        dup2(said[1], 2);
        if (dele_map_open(&map, path, NULL) || truncate(path, 100)) _exit(7);
        use(&map);
    }
    close(said[1]);
    char text[400] = "";
    ssize_t n = 0, used = 0;
    while ((n = read(said[0], text + used, sizeof text - 1 - (size_t)used)) > 0) used += n;
    close(said[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_non_null(strstr(text, "weights became shorter while it was read"));
}

static void a_file_cut_short_while_it_is_mapped_ends_with_a_sentence(void **state)
{
    ends_with_a_sentence(*state, touch);
}

static void a_file_cut_short_while_it_is_copied_is_named(void **state)
{
    ends_with_a_sentence(*state, write_all);
}

static void an_output_directory_appears_whole_or_not_at_all(void **state)
{
    scratch *s = *state;
    const char *path =
        scratch_path(s, "new/result/"); /* parents are made, slashes at the end do not matter */
    dele_outdir out = {0};
    assert_int_equal(dele_outdir_open(&out, path, NULL), DELE_OK);
    assert_int_equal(dele_outdir_sub(&out, "deleatur/plots", NULL), DELE_OK);
    assert_false(dele_path_exists(scratch_path(s, "new/result")));
    assert_int_equal(dele_outdir_commit(&out, NULL), DELE_OK);
    assert_true(dele_path_is_dir(scratch_path(s, "new/result/deleatur/plots")));
    assert_false(dele_path_exists(scratch_path(s, "new/result.part")));
    dele_outdir_abandon(&out); /* after a commit: nothing to do */
    assert_true(dele_path_is_dir(scratch_path(s, "new/result")));
}

static void an_output_directory_never_overwrites(void **state)
{
    scratch *s = *state;
    dele_outdir out = {0};
    dele_err err = {0};
    mkdir(scratch_path(s, "there"), 0777);
    assert_int_equal(dele_outdir_open(&out, scratch_path(s, "there"), &err), DELE_ERR_FILE);
    assert_non_null(strstr(err.msg, "exists already"));
    dele_outdir_abandon(&out);
    assert_true(dele_path_is_dir(scratch_path(s, "there")));
}

static void a_broken_runs_leftovers_are_cleared_away(void **state)
{
    scratch *s = *state;
    mkdir(scratch_path(s, "r.part"), 0777);
    scratch_text(s, "r.part/deleatur.unfinished",
                 ""); /* its process is dead: nobody holds the lock */
    scratch_text(s, "r.part/stale", "stale");
    dele_outdir out = {0};
    assert_int_equal(dele_outdir_open(&out, scratch_path(s, "r"), NULL), DELE_OK);
    assert_false(dele_path_exists(scratch_path(s, "r.part/stale")));
    scratch_text(s, "r.part/fresh", "fresh");
    dele_outdir_abandon(&out);
    assert_int_equal(scratch_count(s), 0);
    mkdir(scratch_path(s, "f.part"), 0777);
    scratch_text(s, "f.part/deleatur.unfinished", "half a");
    dele_writer file = {0};
    assert_int_equal(dele_writer_open(&file, scratch_path(s, "f"), NULL), DELE_OK);
    assert_int_equal(dele_writer_commit(&file, NULL), DELE_OK);
    assert_int_equal(scratch_count(s), 1);
}

/* ---- whole files ----------------------------------------------------------------------------- */

/* FIPS 180-4's own examples */
static void sha256_is_the_standards(void **state)
{
    char hex[65];
    assert_int_equal(dele_file_sha256(hex, scratch_text(*state, "abc", "abc"), NULL), DELE_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(dele_file_sha256(hex, scratch_text(*state, "none", ""), NULL), DELE_OK);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    dele_err err = {0};
    assert_int_equal(dele_file_sha256(hex, scratch_path(*state, "missing"), &err), DELE_ERR_FILE);
}

static void a_copy_has_the_same_bytes(void **state)
{
    scratch *s = *state;
    static char bytes[200000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 31 >> 3);
    const char *from = scratch_write(s, "a", bytes, sizeof bytes), *to = scratch_path(s, "b");
    dele_arena arena = {0};
    size_t n;
    assert_int_equal(dele_file_copy(from, to, NULL), DELE_OK);
    assert_memory_equal(slurp(to, &arena, &n), bytes, sizeof bytes);
    assert_int_equal(n, sizeof bytes);
    dele_arena_release(&arena);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void utf8_is_told_from_what_is_not(void **state)
{
    (void)state;
    const char *good[] = {"", "abc", "é", "日本", "😀", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    const char *bad[] = {"\x80",
                         "\xc0\xaf",
                         "\xc3",
                         "\xe0\x9f\xbf",
                         "\xed\xa0\x80",
                         "\xf0\x8f\xbf\xbf",
                         "\xf4\x90\x80\x80",
                         "\xff",
                         "a\xe6\x97",
                         "\xe6\x97zz"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(dele_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(dele_utf8_valid(bad[i], strlen(bad[i])));
}

/* Reads every record; returns how many, leaving the error where it was. */
static int count_records(const char *path, dele_err *err)
{
    dele_records r = {0};
    if (dele_records_open(&r, path, err)) return -1;
    int n = 0;
    const cJSON *row;
    while ((row = dele_records_next(&r, err)) && dele_record_string(&r, row, "subject", err)) n++;
    dele_records_close(&r);
    return n;
}

static void lines_and_arrays_give_the_same_records(void **state)
{
    dele_err err = {0};
    const char *lines =
        "\xef\xbb\xbf{\"subject\": \"a\"}\r\n\n  \n{\"subject\": \"b\"}\n{\"subject\": \"c\"}";
    assert_int_equal(count_records(scratch_text(*state, "l.jsonl", lines), &err), 3);
    const char *array = " [{\"subject\": \"a\"},\n {\"subject\": \"b\"},\n {\"subject\": \"c\"}]\n";
    assert_int_equal(count_records(scratch_text(*state, "a.json", array), &err), 3);
    assert_int_equal(count_records(scratch_text(*state, "none.jsonl", ""), &err), 0);
    assert_int_equal(err.code, DELE_OK);
}

static void a_bad_record_is_named_by_file_and_line(void **state)
{
    const struct {
        const char *text, *says;
        int records;
    } wrong[] = {
        {"{\"subject\": \"a\"}\n\n{\"subject\": }\n", "r.jsonl:3: not JSON near \"}\"", 1},
        {"{\"subject\": \"a\"}\n{\"subject\": \"b\"", "r.jsonl:2: the JSON ends before", 1},
        {"{\"subject\": \"a\"}\n{\"subjct\": \"b\"}\n", "r.jsonl:2: no string field \"subject\"",
         1},
        {"{\"subject\": 3}\n", "r.jsonl:1: no string field \"subject\"", 0},
        {"{\"subject\": \"a\"}\n17\n", "r.jsonl:2: a record must be an object", 1},
        {"{\"subject\": \"a\"} {\"subject\": \"b\"}\n", "r.jsonl:1: not JSON near", 0},
        {"{\"subject\": \"a\"}\n{\"subject\": \"caf\xe9\"}\n", "r.jsonl:2: byte 0xe9 is not UTF-8",
         -1},
        {"[{\"subject\": \"a\"},\n\n {\"subject\" \"b\"}]", "r.jsonl:3: not JSON near", 1},
        {"[{\"subject\": \"a\"}, 5]", "r.jsonl:2: a record must be an object", 1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        dele_err err = {0};
        assert_int_equal(count_records(scratch_text(*state, "r.jsonl", wrong[i].text), &err),
                         wrong[i].records);
        if (!strstr(err.msg, wrong[i].says)) fail_msg("%s: says \"%s\"", wrong[i].text, err.msg);
    }
}

/* cJSON's strings end at U+0000 and a double is no id: what it cannot hold is refused, or passed on
 * as it was read. */
static void what_a_json_string_cannot_hold_is_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"{\"a\": 1}\n{\"a\": \"x\\u0000y\"}\n", "r.jsonl:2: U+0000 in a string"},
        {"{\"a\": \"\\udc80\"}", "r.jsonl:1: half of a surrogate pair"},
        {"{\"a\": \"\\ud83d x\"}", "r.jsonl:1: half of a surrogate pair"},
        {"{\"a\": \"x\ty\"}", "r.jsonl:1: a control character inside a string"},
        {"{\"a\": 1, \"b\": 2, \"a\": 3}", "r.jsonl:1: the key \"a\" appears twice"},
        {"{\"b\": [{\"c\": {\"x\": 1, \"\\u0078\": 2}}]}",
         "r.jsonl:1: the key \"x\" appears twice"},
        {"[\n{\"a\": 1},\n{\"a\": \"\\u0000\"}]", "r.jsonl:3: U+0000 in a string"},
        {"[{\"a\": 1} {\"a\": 2}]", "r.jsonl:1: not JSON near"},
        {"[{\"a\": 1},]", "r.jsonl:1: not JSON near"},
        {"[{\"a\": 1}] x", "r.jsonl:1: not JSON near"},
        {"[{\"a\": 1}", "r.jsonl:1: the JSON ends before"},
        {"[{\"a\": ]}", "r.jsonl:1: not JSON near"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        dele_err err = {0};
        dele_records r = {0};
        if (!dele_records_open(&r, scratch_text(*state, "r.jsonl", wrong[i].text), &err))
            while (dele_records_next(&r, &err)) continue;
        dele_records_close(&r);
        if (!strstr(err.msg, wrong[i].says)) fail_msg("%s: says \"%s\"", wrong[i].text, err.msg);
    }
    dele_err err = {0};
    assert_null(
        dele_json_load(scratch_text(*state, "c.json", "{\n\"a\": {\"k\": 1,\n\"k\": 2}}"), &err));
    assert_non_null(strstr(err.msg, "the key \"k\" appears twice"));
    /* a pair is a character, and an escaped backslash before u0000 is none */
    err = (dele_err){0};
    cJSON *json = dele_json_load(
        scratch_text(*state, "c.json", "{\"a\": \"\\ud83d\\ude00\", \"b\": \"\\\\u0000\"}"), &err);
    assert_string_equal(cJSON_GetObjectItem(json, "a")->valuestring, "\xf0\x9f\x98\x80");
    assert_string_equal(cJSON_GetObjectItem(json, "b")->valuestring, "\\u0000");
    cJSON_Delete(json);
}

static void a_row_is_passed_on_byte_for_byte(void **state)
{
    static const char *const row[] = {
        "{\"id\":1161888007138312219,  \"x\": 0.30000000000000004, \"y\":1.0e2}",
        "{\"a\":\"x\\u0000y\", \"half\": \"\\ud800\", \"slash\": \"\\/\", \"e\": \"caf\\u00e9\"}"};
    char lines[512], array[512];
    snprintf(lines, sizeof lines, "  %s \r\n\n%s", row[0], row[1]);
    snprintf(array, sizeof array, " [ %s ,\n%s\n]\n", row[0], row[1]);
    for (int form = 0; form < 2; form++) {
        dele_err err = {0};
        dele_arena arena = {0};
        dele_records r = {.pass_on = true};
        assert_int_equal(
            dele_records_open(&r, scratch_text(*state, "r", form ? array : lines), &err), DELE_OK);
        for (int i = 0; i < 2; i++) {
            const cJSON *json = dele_records_next(&r, &err);
            if (!json) fail_msg("%s", err.msg);
            assert_string_equal(dele_record_text(&r, &arena, &err), row[i]);
            const cJSON *id = cJSON_GetObjectItem(json, "id");
            if (id) assert_string_equal(dele_json_id(id, &arena, &err), "1161888007138312219");
            if (i)
                assert_string_equal(cJSON_GetObjectItem(json, "a")->valuestring, "x\xef\xbf\xbdy");
        }
        assert_null(dele_records_next(&r, &err));
        assert_int_equal(err.code, DELE_OK);
        dele_records_close(&r);
        dele_arena_release(&arena);
    }
}

static void a_path_that_is_not_utf8_survives_json(void **state)
{
    static const char path[] = "a\xff\x9b"
                               "b\xc3\xa9\xed\xb2\x80\xc2\x9b\x1b\xe2\x80\xae/c";
    dele_err err = {0};
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "path", path);
    assert_int_equal(dele_json_save(scratch_path(*state, "m.json"), json, &err), DELE_OK);
    cJSON_Delete(json);
    dele_arena arena = {0};
    const char *text = dele_file_read(scratch_path(*state, "m.json"), &arena, NULL, &err);
    assert_true(dele_utf8_valid(text, strlen(text)));
    /* as Python's json.dumps(os.fsdecode(path)) has the bytes; controls escaped; é as it is */
    assert_non_null(
        strstr(text, "a\\udcff\\udc9bb\xc3\xa9\\udced\\udcb2\\udc80\\u009b\\u001b\\u202e/c"));
    json = dele_json_load_result(scratch_path(*state, "m.json"), &err);
    if (!json) fail_msg("%s", err.msg);
    assert_string_equal(cJSON_GetObjectItem(json, "path")->valuestring, path);
    cJSON_Delete(json);
    assert_null(
        dele_json_load(scratch_path(*state, "m.json"), &err)); /* somebody's text is UTF-8 */
    dele_arena_release(&arena);
}

static void an_array_of_another_shape_is_refused_before_its_memory(void **state)
{
    /* 2^28 float32 of zeros deflate to a megabyte; the caller wants seven */
    dele_err err = {0};
    dele_arena arena = {.limit = 1 << 20};
    const char *path = scratch_path(*state, "bomb.npz");
    int code;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    const size_t n = (size_t)1 << 26; /* a quarter of a gigabyte */
    char *bytes = calloc(1, 128 + n);
    assert_non_null(bytes);
    memset(bytes, ' ', 128);
    memcpy(bytes, "\x93NUMPY\x01\x00\x76\x00", 10);
    char dict[100];
    const int used = snprintf(dict, sizeof dict,
                              "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu,), }", n / 4);
    memcpy(bytes + 10, dict, (size_t)used);
    bytes[127] = '\n';
    zip_file_add(zip, "scores.npy", zip_source_buffer(zip, bytes, 128 + n, 0), 0);
    assert_int_equal(zip_close(zip), 0);
    free(bytes);
    dele_npz_in *npz = dele_npz_in_open(path, &err);
    size_t seven = 7, any = 0;
    assert_null(dele_npz_in_f32(npz, "scores", 1, &seven, &arena, &err));
    assert_non_null(strstr(err.msg, "type <f4, shape (7), C order"));
    err = (dele_err){0};
    assert_null(dele_npz_in_f32(npz, "scores", 1, &any, &arena,
                                &err)); /* more than any unknown dimension may be */
    assert_non_null(strstr(err.msg, "type <f4, shape (n), C order"));
    assert_int_equal(arena.used, 0);
    dele_npz_in_close(npz);
}

/* Under the sanitizer for undefined behaviour: no dims are copied from nowhere. */
static void a_number_of_an_npz_is_an_array_without_dims(void **state)
{
    dele_err err = {0};
    dele_arena arena = {0};
    const char *path = scratch_path(*state, "number.npz");
    const int64_t answer = 42;
    dele_npz *out = dele_npz_open(path, &err);
    if (!out || dele_npz_i64(out, "answer", &answer, 0, NULL, &err) || dele_npz_close(out, &err))
        fail_msg("%s", err.msg);
    dele_npz_in *npz = dele_npz_in_open(path, &err);
    const int64_t *back = npz ? dele_npz_in_i64(npz, "answer", 0, NULL, &arena, &err) : NULL;
    if (!back) fail_msg("%s", err.msg);
    assert_int_equal(*back, 42);
    dele_npz_in_close(npz);
    dele_arena_release(&arena);
}

static void members_of_an_npz_are_plain_names_once(void **state)
{
    static const char *const names[] = {"../evil.npy", "a/b.npy", "notes.txt", ".npy"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        dele_err err = {0};
        int code;
        const char *path = scratch_path(*state, "n.npz");
        zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
        zip_file_add(zip, names[i], zip_source_buffer(zip, "x", 1, 0), 0);
        assert_int_equal(zip_close(zip), 0);
        assert_null(dele_npz_in_open(path, &err));
        if (!strstr(err.msg, "is not an array of an .npz")) fail_msg("%s: %s", names[i], err.msg);
    }
}

static void a_bad_json_file_is_named_by_its_line(void **state)
{
    dele_err err = {0};
    assert_null(
        dele_json_load(scratch_text(*state, "c.json", "{\n \"a\": 1,\n \"b\": tru\n}"), &err));
    assert_non_null(strstr(err.msg, "c.json:3: not JSON near"));
    err = (dele_err){0};
    assert_null(dele_json_load(scratch_write(*state, "z.json", "{}\0", 3), &err));
    assert_non_null(strstr(err.msg, "z.json:1: a zero byte"));
    err = (dele_err){0};
    assert_null(dele_json_load(scratch_text(*state, "e.json", ""), &err));
    assert_non_null(strstr(err.msg, "ends before it is complete"));
}

static void numbers_read_back_as_they_were(void **state)
{
    (void)state;
    const double x[] = {0, 0.1, 1.0 / 3, 1e300, -2.5e-310, 123456789012345678.0, 5e-324};
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        cJSON *json = dele_json_number(x[i]);
        assert_true(strtod(json->valuestring, NULL) == x[i]);
        cJSON_Delete(json);
    }
    cJSON *tenth = dele_json_number(0.1), *nan = dele_json_number(0.0 / 0.0);
    assert_string_equal(tenth->valuestring, "0.1");
    assert_string_equal(nan->valuestring, "null");
    cJSON_Delete(tenth);
    cJSON_Delete(nan);
}

static void what_is_saved_loads_again(void **state)
{
    const char *path = scratch_path(*state, "s.json");
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "text", "日本 \"quoted\"\n");
    cJSON_AddItemToObject(json, "x", dele_json_number(0.1));
    assert_int_equal(dele_json_save(path, json, NULL), DELE_OK);
    cJSON *again = dele_json_load(path, NULL);
    assert_string_equal(cJSON_GetObjectItem(again, "text")->valuestring, "日本 \"quoted\"\n");
    assert_true(cJSON_GetObjectItem(again, "x")->valuedouble == 0.1);
    cJSON_Delete(json);
    cJSON_Delete(again);
}

/* ---- npz ------------------------------------------------------------------------------------- */

static dele_status write_npz(const char *path, dele_err *err)
{
    const float scores[] = {1, 2, 3, 4, 5, 6.5f};
    const double low = 0.25;
    const int64_t ids[] = {-1, 0, (int64_t)1 << 40};
    const size_t shape[] = {2, 3}, three = 3;
    const char *tokens[] = {"Héllo", "", "日本😀x"};
    dele_npz *npz = dele_npz_open(path, err);
    dele_npz_f32(npz, "scores", scores, 2, shape, err);
    dele_npz_f64(npz, "low_score", &low, 0, NULL, err);
    dele_npz_i64(npz, "input_ids", ids, 1, &three, err);
    dele_npz_bool(npz, "correct_prediction", true, err);
    dele_npz_strings(npz, "input_tokens", tokens, 3, err);
    dele_npz_string(npz, "kind", "mlp", err);
    return dele_npz_close(npz, err);
}

static void the_same_arrays_give_the_same_bytes(void **state)
{
    scratch *s = *state;
    char a[65], b[65];
    assert_int_equal(write_npz(scratch_path(s, "a.npz"), NULL), DELE_OK);
    setenv("TZ", "Asia/Tokyo", 1);
    assert_int_equal(write_npz(scratch_path(s, "b.npz"), NULL), DELE_OK);
    unsetenv("TZ");
    dele_file_sha256(a, scratch_path(s, "a.npz"), NULL);
    dele_file_sha256(b, scratch_path(s, "b.npz"), NULL);
    assert_string_equal(a, b);
    assert_int_equal(scratch_count(s), 2);
}

/* By the letter of numpy's format description: magic, version, header padded to 64, then the
 * values. */
static void an_npz_member_is_an_npy(void **state)
{
    const char *path = scratch_path(*state, "a.npz");
    assert_int_equal(write_npz(path, NULL), DELE_OK);
    zip_t *zip = zip_open(path, ZIP_RDONLY, NULL);
    assert_non_null(zip);
    char bytes[400];
    zip_file_t *file = zip_fopen(zip, "scores.npy", 0);
    zip_int64_t n = zip_fread(file, bytes, sizeof bytes);
    assert_int_equal(n, 128 + 6 * 4);
    assert_memory_equal(bytes, "\x93NUMPY\x01\x00\x76\x00", 10);
    assert_memory_equal(bytes + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
                        59);
    assert_int_equal(bytes[127], '\n');
    float last;
    memcpy(&last, bytes + 128 + 20, 4);
    assert_true(last == 6.5f);
    zip_fclose(file);
    file = zip_fopen(zip, "input_tokens.npy", 0);
    n = zip_fread(file, bytes, sizeof bytes);
    assert_int_equal(n, 128 + 3 * 5 * 4);
    assert_non_null(strstr(bytes + 10, "'descr': '<U5'"));
    uint32_t smile;
    memcpy(&smile, bytes + 128 + (2 * 5 + 2) * 4, 4);
    assert_int_equal(smile, 0x1f600);
    zip_fclose(file);
    zip_discard(zip);
}

/* The judge is numpy itself; run where DELE_TEST_PYTHON names a Python that has it. */
static void numpy_reads_an_npz(void **state)
{
    scratch *s = *state;
    const char *python = getenv("DELE_TEST_PYTHON");
    const char *path = scratch_path(s, "a.npz");
    assert_int_equal(write_npz(path, NULL), DELE_OK);
    char command[1400];
    snprintf(command, sizeof command,
             "'%s' -c \"import numpy as np; z = np.load('%s'); assert z['scores'].tolist() == [[1, "
             "2, 3], [4, 5, 6.5]];"
             " assert z['low_score'] == 0.25 and z['low_score'].shape == (); assert "
             "z['input_ids'][2] == 2**40;"
             " assert z['correct_prediction'] == True; assert z['input_tokens'].tolist() == "
             "['Héllo', '', '日本😀x'];"
             " assert str(z['kind']) == 'mlp'\"",
             python, path);
    assert_int_equal(system(command), 0);
}

static void a_failed_npz_leaves_nothing(void **state)
{
    scratch *s = *state;
    dele_err err = {0};
    dele_npz *npz = dele_npz_open(scratch_path(s, "a.npz"), &err);
    assert_int_equal(dele_npz_string(npz, "bad", "caf\xe9", &err), DELE_ERR_DATA);
    assert_int_equal(dele_npz_close(npz, &err), DELE_ERR_FILE);
    assert_non_null(strstr(err.msg, "not UTF-8"));
    assert_int_equal(scratch_count(s), 0);
    err = (dele_err){0};
    assert_int_not_equal(write_npz("/nonexistent/place/a.npz", &err), DELE_OK);
    assert_non_null(strstr(err.msg, "/nonexistent/place/a.npz"));
}

/* ---- manifests ------------------------------------------------------------------------------- */

static void write_manifest(const char *path, const char *input)
{
    int window = 3;
    const char *model = "m";
    /* clang-format off */
    const dele_option options[] = {
        DELE_OPT("window", &window, ""),
        {0}};
    /* clang-format on */
    const dele_usage usage = {
        .command = "trace", .options = options, .positional = &model, .n_positional = 1};
    char *argv[] = {(char[]){"trace"}, (char[]){"m"}};
    dele_manifest m;
    dele_manifest_begin(&m, &usage, 2, argv);
    assert_int_equal(dele_manifest_input(&m, input, NULL), DELE_OK);
    dele_manifest_set(&m, "n_facts", cJSON_CreateNumber(4));
    dele_manifest_set(&m, "n_facts", cJSON_CreateNumber(5)); /* set again: replaced */
    assert_int_equal(dele_manifest_save(&m, path, NULL), DELE_OK);
    dele_manifest_release(&m);
}

static void a_manifest_says_how_to_repeat_the_result(void **state)
{
    scratch *s = *state;
    mkdir(scratch_path(s, "in"), 0777);
    mkdir(scratch_path(s, "in/sub"), 0777);
    scratch_text(s, "in/b", "");
    scratch_text(s, "in/a", "abc");
    write_manifest(scratch_path(s, "manifest.json"), scratch_path(s, "in"));
    cJSON *m = dele_json_load(scratch_path(s, "manifest.json"), NULL);
    assert_int_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(m, "options"), "window")->valueint, 3);
    assert_string_equal(cJSON_GetArrayItem(cJSON_GetObjectItem(m, "command"), 1)->valuestring,
                        "trace");
    assert_int_equal(cJSON_GetObjectItem(m, "n_facts")->valueint, 5);
    const cJSON *inputs = cJSON_GetObjectItem(m, "inputs");
    assert_int_equal(cJSON_GetArraySize(inputs), 2);
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetArrayItem(inputs, 0), "sha256")->valuestring,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cJSON_Delete(m);
}

static void manifests_differ_only_in_when(void **state)
{
    scratch *s = *state;
    scratch_text(s, "in", "abc");
    char *text[2];
    for (int i = 0; i < 2; i++) {
        write_manifest(scratch_path(s, "manifest.json"), scratch_path(s, "in"));
        cJSON *m = dele_json_load(scratch_path(s, "manifest.json"), NULL);
        assert_true(cJSON_IsObject(cJSON_GetObjectItem(m, "when")));
        cJSON_DeleteItemFromObject(m, "when");
        text[i] = cJSON_Print(m);
        cJSON_Delete(m);
        usleep(20000);
    }
    assert_string_equal(text[0], text[1]);
    free(text[0]);
    free(text[1]);
}

static void a_missing_shipped_file_says_where_it_was_looked_for(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_err err = {0};
    assert_null(dele_share_path("plots/no-such.gp", &arena, &err));
    assert_non_null(strstr(err.msg, "plots/no-such.gp"));
    setenv("DELEATUR_SHARE", s->dir, 1);
    scratch_text(s, "x.gp", "");
    assert_string_equal(dele_share_path("x.gp", &arena, NULL), scratch_path(s, "x.gp"));
    unsetenv("DELEATUR_SHARE");
    dele_arena_release(&arena);
}

int main(void)
{
#define SCRATCH(claim) cmocka_unit_test_setup_teardown(claim, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        SCRATCH(a_map_and_a_read_see_the_same_bytes),
        SCRATCH(an_empty_file_is_no_error),
        SCRATCH(what_cannot_be_read_is_named),
        SCRATCH(nobody_sees_a_file_before_it_is_committed),
        SCRATCH(an_abandoned_file_leaves_nothing),
        SCRATCH(a_full_disk_fails_the_commit_and_keeps_the_old_file),
        SCRATCH(what_is_not_ours_is_never_touched),
        SCRATCH(create_never_overwrites_and_open_does),
        SCRATCH(the_second_of_two_writers_is_refused),
        SCRATCH(a_swapped_directory_is_noticed),
        SCRATCH(a_models_links_stay_in_its_cache),
        SCRATCH(devices_and_silent_pipes_are_refused_and_speaking_ones_read),
        SCRATCH(a_file_cut_short_while_it_is_mapped_ends_with_a_sentence),
        SCRATCH(a_file_cut_short_while_it_is_copied_is_named),
        SCRATCH(an_output_directory_appears_whole_or_not_at_all),
        SCRATCH(an_output_directory_never_overwrites),
        SCRATCH(a_broken_runs_leftovers_are_cleared_away),
        SCRATCH(sha256_is_the_standards),
        SCRATCH(a_copy_has_the_same_bytes),
        cmocka_unit_test(utf8_is_told_from_what_is_not),
        SCRATCH(lines_and_arrays_give_the_same_records),
        SCRATCH(a_bad_record_is_named_by_file_and_line),
        SCRATCH(what_a_json_string_cannot_hold_is_refused),
        SCRATCH(a_row_is_passed_on_byte_for_byte),
        SCRATCH(a_path_that_is_not_utf8_survives_json),
        SCRATCH(an_array_of_another_shape_is_refused_before_its_memory),
        SCRATCH(a_number_of_an_npz_is_an_array_without_dims),
        SCRATCH(members_of_an_npz_are_plain_names_once),
        SCRATCH(a_bad_json_file_is_named_by_its_line),
        cmocka_unit_test(numbers_read_back_as_they_were),
        SCRATCH(what_is_saved_loads_again),
        SCRATCH(the_same_arrays_give_the_same_bytes),
        SCRATCH(an_npz_member_is_an_npy),
        SCRATCH(a_failed_npz_leaves_nothing),
        SCRATCH(a_manifest_says_how_to_repeat_the_result),
        SCRATCH(manifests_differ_only_in_when),
        SCRATCH(a_missing_shipped_file_says_where_it_was_looked_for),
    };
    const struct CMUnitTest by_numpy[] = {SCRATCH(numpy_reads_an_npz)};
    if (getenv("DELE_TEST_PYTHON") && cmocka_run_group_tests(by_numpy, NULL, NULL)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
