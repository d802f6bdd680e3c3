/* Files: what may be read, what is written aside and committed whole, hashes and copies. */
#include "claims.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/file_out.h"
#include "base/share.h"
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
        SCRATCH(a_missing_shipped_file_says_where_it_was_looked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
