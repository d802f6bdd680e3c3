#include "unlearn/tape.h"

#include <string.h>
#include <unistd.h>

static const char begins[] = "lacuna state 1\n";
enum { HASH = 32 };

lac_status lac_tape_record(lac_tape *t, const char *path, lac_err *err)
{
    *t = (lac_tape){0};
    if (lac_writer_open(&t->out, path, err)) return err->code;
    t->failed = fwrite(begins, 1, sizeof begins - 1, t->out.stream) != sizeof begins - 1;
    return LAC_OK;
}

lac_status lac_tape_play(lac_tape *t, const char *path, lac_err *err)
{
    uint8_t hash[HASH];
    *t = (lac_tape){.at = sizeof begins - 1};
    if (lac_map_open(&t->map, path, err)) return err->code;
    const size_t n = t->map.size;
    bool whole = n >= t->at + HASH && !memcmp(t->map.data, begins, t->at);
    if (whole) lac_sha256(hash, t->map.data, n - HASH);
    if (whole && !memcmp(hash, t->map.data + n - HASH, HASH)) return LAC_OK;
    lac_map_close(&t->map);
    return lac_fail(err, LAC_ERR_FORMAT, "%s is damaged: its hash is not that of its bytes", path);
}

void lac_tape_bytes(lac_tape *t, void *data, size_t n)
{
    if (t->failed || !n) return;
    if (t->out.stream) {
        t->failed = fwrite(data, 1, n, t->out.stream) != n;
    } else if (t->map.size - HASH - t->at < n) {
        t->failed = true;
    } else {
        memcpy(data, t->map.data + t->at, n);
        t->at += n;
    }
}

void lac_tape_table(lac_tape *t, FILE *table)
{
    long end = -1;
    if (t->failed || !table) return;
    const bool synced = !fflush(table) && !fsync(fileno(table)) && !fseek(table, 0, SEEK_END);
    const long stands = synced ? ftell(table) : -1;
    if (t->out.stream) end = stands;
    LAC_REMEMBER(t, end);
    if (end < 0 || end > stands || (t->map.size && (ftruncate(fileno(table), end) || fseek(table, 0, SEEK_END))))
        t->failed = true;
}

static lac_status end_recording(lac_tape *t, lac_err *err)
{
    uint8_t hash[HASH];
    lac_map map = {0};
    char path[sizeof t->out.path];
    snprintf(path, sizeof path, "%s", t->out.path);
    bool ok = !t->failed && !fflush(t->out.stream) && !lac_map_open(&map, t->out.part, err);
    if (ok) {
        lac_sha256(hash, map.data, map.size);
        ok = fwrite(hash, 1, HASH, t->out.stream) == HASH;
    }
    lac_map_close(&map);
    if (ok) return lac_writer_commit(&t->out, err);
    lac_writer_abandon(&t->out);
    return lac_fail(err, LAC_ERR_FILE, "%s could not be written: is the disk full?", path);
}

void lac_tape_abandon(lac_tape *t)
{
    lac_writer_abandon(&t->out);
    lac_map_close(&t->map);
}

lac_status lac_tape_end(lac_tape *t, lac_err *err)
{
    if (t->out.stream) return end_recording(t, err);
    const bool all = !t->failed && t->at == t->map.size - HASH;
    lac_map_close(&t->map);
    return all ? LAC_OK : lac_fail(err, LAC_ERR_FORMAT, "the state of the unfinished run is not of this program, or its "
                                   "tables were changed; remove the directory it is in and begin anew");
}
