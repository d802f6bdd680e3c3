#include "unlearn/training_state.h"

#include <string.h>
#include <unistd.h>

static const char begins[] = "deleatur " DELE_VERSION " state 2\n";
enum { BEGINS = sizeof begins - 1, CHUNK = 1 << 16 };

/* ---- recording ------------------------------------------------------------------------------- */

dele_status dele_training_state_save(dele_training_state *t, const char *path, dele_err *err)
{
    *t = (dele_training_state){0};
    if (dele_writer_open(&t->out, path, err)) return err->code;
    t->failed = fwrite(begins, 1, BEGINS, t->out.stream) != BEGINS;
    dele_hash_begin(&t->hash);
    dele_hash_add(&t->hash, begins, BEGINS);
    return DELE_OK;
}

static dele_status end_recording(dele_training_state *t, dele_err *err)
{
    uint8_t digest[DELE_HASH_SIZE];
    dele_hash_end(&t->hash, digest);
    if (!t->failed && fwrite(digest, 1, sizeof digest, t->out.stream) == sizeof digest)
        return dele_writer_commit(&t->out, err);
    dele_fail(err, DELE_ERR_FILE, "%s could not be written: is the disk full?", t->out.path);
    dele_writer_abandon(&t->out);
    return DELE_ERR_FILE;
}

/* ---- playing --------------------------------------------------------------------------------- */

/* Reads it through once: its hash is that of all before it.  fields: bytes between the beginning
 * and the hash. */
static bool is_whole(FILE *in, size_t *fields)
{
    dele_hash hash;
    uint8_t chunk[CHUNK], digest[DELE_HASH_SIZE], told[DELE_HASH_SIZE];
    long size = fseek(in, 0, SEEK_END) ? -1 : ftell(in);
    rewind(in);
    if (size < BEGINS + DELE_HASH_SIZE) return false;
    dele_hash_begin(&hash);
    for (size_t left = (size_t)size - DELE_HASH_SIZE, n; left; left -= n) {
        n = fread(chunk, 1, left < CHUNK ? left : CHUNK, in);
        if (!n) return false;
        dele_hash_add(&hash, chunk, n);
    }
    dele_hash_end(&hash, digest);
    if (fread(told, 1, sizeof told, in) != sizeof told || memcmp(told, digest, sizeof told))
        return false;
    rewind(in);
    *fields = (size_t)size - DELE_HASH_SIZE - BEGINS;
    return fread(chunk, 1, BEGINS, in) == BEGINS && !memcmp(chunk, begins, BEGINS);
}

dele_status dele_training_state_load(dele_training_state *t, const char *path, dele_err *err)
{
    *t = (dele_training_state){.in = fopen(path, "rbe")};
    if (!t->in) return dele_fail(err, DELE_ERR_FILE, "cannot open %s", path);
    if (is_whole(t->in, &t->left)) return DELE_OK;
    dele_training_state_abandon(t);
    return dele_fail(err, DELE_ERR_FORMAT, "%s is damaged: its hash does not match its content",
                     path);
}

/* ---- both ------------------------------------------------------------------------------------ */

/* Bytes as they are: of a field, or of its length. */
static void transfer(dele_training_state *t, void *data, size_t n)
{
    if (t->failed) return;
    if (t->out.stream) {
        t->failed = fwrite(data, 1, n, t->out.stream) != n;
        dele_hash_add(&t->hash, data, n);
    } else {
        t->failed = n > t->left || fread(data, 1, n, t->in) != n;
        if (!t->failed) t->left -= n;
    }
}

void dele_training_state_bytes(dele_training_state *t, void *data, size_t n)
{
    uint64_t length = n;
    transfer(t, &length, sizeof length);
    dele_training_state_check(t, length == n);
    transfer(t, data, n);
}

void dele_training_state_check(dele_training_state *t, bool right)
{
    if (!right) t->failed = true;
}

void dele_training_state_size(dele_training_state *t, size_t *x, size_t most)
{
    uint64_t value = *x;
    DELE_SERIALIZE(t, value);
    dele_training_state_check(t, value <= most);
    if (!t->failed) *x = (size_t)value;
}

void dele_training_state_bool(dele_training_state *t, bool *x)
{
    uint8_t value = *x;
    DELE_SERIALIZE(t, value);
    dele_training_state_check(t, value <= 1);
    if (!t->failed) *x = value;
}

void dele_training_state_permutation(dele_training_state *t, size_t *p, size_t n)
{
    const size_t seen = ~(SIZE_MAX >> 1); /* the top bit of p[x] marks that x occurred */
    bool each_once = true;
    dele_training_state_bytes(t, p, n * sizeof *p);
    if (t->failed) return;
    for (size_t i = 0; i < n; i++) {
        const size_t x = p[i] & ~seen;
        if (x >= n || p[x] & seen)
            each_once = false;
        else
            p[x] |= seen;
    }
    for (size_t i = 0; i < n; i++) p[i] &= ~seen;
    dele_training_state_check(t, each_once);
}

void dele_training_state_table(dele_training_state *t, FILE *table)
{
    if (t->failed || !table) return;
    const bool synced = !fflush(table) && !fsync(fileno(table)) && !fseek(table, 0, SEEK_END);
    const long stands = synced ? ftell(table) : -1;
    long end = stands;
    DELE_SERIALIZE(t, end);
    if (end < 0 || end > stands ||
        (t->in && (ftruncate(fileno(table), end) || fseek(table, 0, SEEK_END))))
        t->failed = true;
}

void dele_training_state_abandon(dele_training_state *t)
{
    dele_writer_abandon(&t->out);
    if (t->in) fclose(t->in);
    t->in = NULL;
}

dele_status dele_training_state_end(dele_training_state *t, dele_err *err)
{
    if (t->out.stream) return end_recording(t, err);
    const bool all = !t->failed && !t->left;
    dele_training_state_abandon(t);
    return all ? DELE_OK
               : dele_fail(err, DELE_ERR_FORMAT,
                           "the training state of the unfinished run belongs to another program, "
                           "or its tables were changed; remove its directory and start again");
}
