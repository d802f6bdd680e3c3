#include "unlearn/refusals.h"

#include <string.h>

#include "base/json.h"

static bool counts(const char *line) { return *line && *line != '#'; }

/* Cuts the text into lines, trimmed at both ends; returns how many count.  */
static size_t split(char *text, dele_refusals *out)
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

dele_status dele_refusals_open(dele_refusals *r, const char *path, uint64_t seed, dele_arena *arena,
                               dele_err *err)
{
    size_t size, most = 1;
    *r = (dele_refusals){.path = path};
    char *text = dele_text_read(path, arena, &size, err);
    if (!text) return err->code;
    for (size_t i = 0; i < size; i++) most += text[i] == '\n';
    if (!(r->text = DELE_NEW(arena, const char *, most, err)) ||
        !(r->line = DELE_NEW(arena, int, most, err)))
        return err->code;
    r->n = split(text, r);
    if (!r->n)
        return dele_fail(err, DELE_ERR_DATA, "%s:1: no refusal in it; give one to a line", path);
    dele_rng_seed(&r->rng, seed ^ 0x726566757365);
    return DELE_OK;
}

const char *dele_refusals_draw(dele_refusals *r, bool *joined, dele_arena *arena, dele_err *err)
{
    if (r->in_turn && r->n_drawn == r->n) {
        dele_fail(err, DELE_ERR_DATA, "%s: there are answers for %zu rows, and the set has more",
                  r->path, r->n);
        return NULL;
    }
    if (r->n_drawn == r->capacity) {
        const size_t capacity = r->capacity ? 2 * r->capacity : 256;
        int *grown = DELE_NEW(arena, int, capacity, err);
        if (!grown) return NULL;
        if (r->n_drawn) memcpy(grown, r->drawn, r->n_drawn * sizeof *grown);
        r->drawn = grown;
        r->capacity = capacity;
    }
    const size_t k = r->in_turn ? r->n_drawn : (size_t)dele_rng_below(&r->rng, r->n);
    *joined = r->joined && r->joined[k];
    r->drawn[r->n_drawn++] = r->line[k];
    return r->text[k];
}
