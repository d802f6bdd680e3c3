#include "unlearn/tape.h"

#include <string.h>
#include <unistd.h>

static const char begins[] = "lacuna state 1\n";
enum { BEGINS = sizeof begins - 1, CHUNK = 1 << 16 };

/* ---- recording --------------------------------------------------------------------------------------------------- */

lac_status lac_tape_record(lac_tape *t, const char *path, lac_err *err)
{
    *t = (lac_tape){0};
    if (lac_writer_open(&t->out, path, err)) return err->code;
    t->failed = fwrite(begins, 1, BEGINS, t->out.stream) != BEGINS;
    lac_hash_begin(&t->hash);
    lac_hash_add(&t->hash, begins, BEGINS);
    return LAC_OK;
}

static lac_status end_recording(lac_tape *t, lac_err *err)
{
    uint8_t digest[LAC_HASH_SIZE];
    lac_hash_end(&t->hash, digest);
    if (!t->failed && fwrite(digest, 1, sizeof digest, t->out.stream) == sizeof digest)
        return lac_writer_commit(&t->out, err);
    lac_fail(err, LAC_ERR_FILE, "%s could not be written: is the disk full?", t->out.path);
    lac_writer_abandon(&t->out);
    return LAC_ERR_FILE;
}

/* ---- playing ----------------------------------------------------------------------------------------------------- */

/* Reads it through once: its hash is that of all before it.  fields: bytes between the beginning and the hash. */
static bool is_whole(FILE *in, size_t *fields)
{
    lac_hash hash;
    uint8_t chunk[CHUNK], digest[LAC_HASH_SIZE], told[LAC_HASH_SIZE];
    long size = fseek(in, 0, SEEK_END) ? -1 : ftell(in);
    rewind(in);
    if (size < BEGINS + LAC_HASH_SIZE) return false;
    lac_hash_begin(&hash);
    for (size_t left = (size_t)size - LAC_HASH_SIZE, n; left; left -= n) {
        n = fread(chunk, 1, left < CHUNK ? left : CHUNK, in);
        if (!n) return false;
        lac_hash_add(&hash, chunk, n);
    }
    lac_hash_end(&hash, digest);
    if (fread(told, 1, sizeof told, in) != sizeof told || memcmp(told, digest, sizeof told)) return false;
    rewind(in);
    *fields = (size_t)size - LAC_HASH_SIZE - BEGINS;
    return fread(chunk, 1, BEGINS, in) == BEGINS && !memcmp(chunk, begins, BEGINS);
}

lac_status lac_tape_play(lac_tape *t, const char *path, lac_err *err)
{
    *t = (lac_tape){.in = fopen(path, "rbe")};
    if (!t->in) return lac_fail(err, LAC_ERR_FILE, "cannot open %s", path);
    if (is_whole(t->in, &t->left)) return LAC_OK;
    lac_tape_abandon(t);
    return lac_fail(err, LAC_ERR_FORMAT, "%s is damaged: its hash is not that of its bytes", path);
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

void lac_tape_bytes(lac_tape *t, void *data, size_t n)
{
    if (t->failed) return;
    if (t->out.stream) {
        t->failed = fwrite(data, 1, n, t->out.stream) != n;
        lac_hash_add(&t->hash, data, n);
    } else {
        t->failed = n > t->left || fread(data, 1, n, t->in) != n;
        if (!t->failed) t->left -= n;
    }
}

void lac_tape_table(lac_tape *t, FILE *table)
{
    if (t->failed || !table) return;
    const bool synced = !fflush(table) && !fsync(fileno(table)) && !fseek(table, 0, SEEK_END);
    const long stands = synced ? ftell(table) : -1;
    long end = stands;
    LAC_REMEMBER(t, end);
    if (end < 0 || end > stands || (t->in && (ftruncate(fileno(table), end) || fseek(table, 0, SEEK_END))))
        t->failed = true;
}

void lac_tape_abandon(lac_tape *t)
{
    lac_writer_abandon(&t->out);
    if (t->in) fclose(t->in);
    t->in = NULL;
}

lac_status lac_tape_end(lac_tape *t, lac_err *err)
{
    if (t->out.stream) return end_recording(t, err);
    const bool all = !t->failed && !t->left;
    lac_tape_abandon(t);
    return all ? LAC_OK : lac_fail(err, LAC_ERR_FORMAT, "the state of the unfinished run is not of this program, or its "
                                   "tables were changed; remove the directory it is in and begin anew");
}
