#include "unlearn/refusals.h"

#include <string.h>

#include "base/json.h"

static bool counts(const char *line)
{
    return *line && *line != '#';
}

/* Cuts the text into lines, trimmed at both ends; returns how many count.  */
static size_t split(char *text, lac_refusals *out)
{
    size_t n = 0;
    char *rest = text;
    for (int number = 1; rest; number++) {
        char *line = strsep(&rest, "\n");
        line += strspn(line, " \t\r");
        for (size_t k = strlen(line); k && strchr(" \t\r", line[k - 1]); k--) line[k - 1] = '\0';
        if (!counts(line)) continue;
        out->text[n] = line;
        out->line[n++] = number;
    }
    return n;
}

lac_status lac_refusals_open(lac_refusals *r, const char *path, uint64_t seed, lac_arena *arena, lac_err *err)
{
    size_t size, most = 1;
    *r = (lac_refusals){.path = path};
    char *text = lac_file_read(path, arena, &size, err);
    if (!text) return err->code;
    if (!lac_utf8_valid(text, size) || memchr(text, '\0', size))
        return lac_fail(err, LAC_ERR_DATA, "%s: not plain text in UTF-8; convert it (iconv) and try again", path);
    for (size_t i = 0; i < size; i++) most += text[i] == '\n';
    if (!(r->text = LAC_NEW(arena, const char *, most, err)) || !(r->line = LAC_NEW(arena, int, most, err)))
        return err->code;
    r->n = split(text, r);
    if (!r->n) return lac_fail(err, LAC_ERR_DATA, "%s:1: no refusal in it; give one to a line", path);
    lac_rng_seed(&r->rng, seed ^ 0x726566757365);
    return LAC_OK;
}

const char *lac_refusals_draw(lac_refusals *r, bool *joined, lac_arena *arena, lac_err *err)
{
    if (r->in_turn && r->n_drawn == r->n) {
        lac_fail(err, LAC_ERR_DATA, "%s: its answers were chosen for %zu rows, and there are more", r->path, r->n);
        return NULL;
    }
    if (r->n_drawn == r->capacity) {
        const size_t capacity = r->capacity ? 2 * r->capacity : 256;
        int *grown = LAC_NEW(arena, int, capacity, err);
        if (!grown) return NULL;
        if (r->n_drawn) memcpy(grown, r->drawn, r->n_drawn * sizeof *grown);
        r->drawn = grown;
        r->capacity = capacity;
    }
    const size_t k = r->in_turn ? r->n_drawn : (size_t)lac_rng_below(&r->rng, r->n);
    *joined = r->joined && r->joined[k];
    r->drawn[r->n_drawn++] = r->line[k];
    return r->text[k];
}
