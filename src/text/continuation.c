#include "text/continuation.h"

#include <string.h>

#include "text/unicode.h"

/* out = a [n_a] followed by b [n_b]. */
static int *joined_ids(const int *a, size_t n_a, const int *b, size_t n_b, dele_arena *arena,
                       dele_err *err)
{
    int *all = DELE_NEW(arena, int, n_a + n_b + 1, err);
    if (all && n_a) memcpy(all, a, n_a * sizeof *all);
    if (all && n_b) memcpy(all + n_a, b, n_b * sizeof *all);
    return all;
}

static bool begins_with(const dele_ids *all, const dele_ids *ids)
{
    return all->n >= ids->n && (!ids->n || !memcmp(all->id, ids->id, ids->n * sizeof *ids->id));
}

dele_status dele_encode_continuation(dele_continued_ids *out, const dele_tokenizer *t,
                                     const char *text, size_t n, size_t border, bool add_special,
                                     dele_straddle straddle, dele_arena *arena, dele_err *err)
{
    const dele_encode_part begin = add_special ? DELE_ENCODE_BEGIN : DELE_ENCODE_BARE;
    dele_err own = {0};
    dele_ids before, all;
    if (!err) err = &own;
    *out = (dele_continued_ids){0};
    if (dele_encode_as(&before, t, text, border, begin, arena, err) ||
        dele_encode_as(&all, t, text, n, begin, arena, err))
        return err->code;
    if (!begins_with(&all, &before) || (all.n == before.n && n > border)) {
        if (straddle == DELE_STRADDLE_SPLIT &&
            dele_encode_as(&all, t, text + border, n - border, DELE_ENCODE_MIDDLE, arena, err))
            return err->code;
        const size_t from = straddle == DELE_STRADDLE_SPLIT ? 0
                            : all.n < before.n              ? all.n
                                                            : before.n;
        all.n -= from;
        all.id = joined_ids(before.id, before.n, all.id + from, all.n, arena, err);
        if (!all.id) return err->code;
        all.n += before.n;
    }
    *out = (dele_continued_ids){all.id, all.n, before.n};
    return DELE_OK;
}

const char *dele_between(const char *answer)
{
    size_t used, n = strlen(answer);
    return !n || dele_is_space(dele_utf8_next(answer, n, &used)) ? "" : " ";
}

dele_status dele_encode_answer(dele_continued_ids *out, const dele_tokenizer *t,
                               const dele_layout *layout, const char *prompt, const char *answer,
                               bool joined, dele_arena *arena, dele_err *err)
{
    const bool raw = !layout;
    const char *text = raw ? prompt : dele_chat_prompt(layout, prompt, arena, err);
    const char *between = joined ? "" : dele_between(answer);
    if (!raw) between = *dele_between(answer) ? layout->before_reply : "";
    const char *whole = text ? dele_printf(arena, err, "%s%s%s", text, between, answer) : NULL;
    if (!whole) return DELE_ERR_MEMORY;
    return dele_encode_continuation(out, t, whole, strlen(whole), strlen(text), raw,
                                    DELE_STRADDLE_SPLIT, arena, err);
}

dele_status dele_encode_prompt(dele_ids *out, const dele_tokenizer *t, const dele_layout *layout,
                               const char *prompt, dele_arena *arena, dele_err *err)
{
    const bool raw = !layout;
    const char *text = raw ? prompt : dele_chat_prompt(layout, prompt, arena, err);
    if (!text) return DELE_ERR_MEMORY;
    return dele_encode_as(out, t, text, strlen(text), raw ? DELE_ENCODE_BEGIN : DELE_ENCODE_BARE,
                          arena, err);
}

size_t dele_blank_ids(const dele_tokenizer *t, const int *ids, size_t n)
{
    dele_arena scratch = {0};
    size_t blank = 0;
    for (bool more = true; more && blank + 1 < n;) {
        const char *said = dele_decode(t, &ids[blank], 1, false, &scratch, NULL);
        size_t n_said = said ? strlen(said) : 0, used;
        more = said != NULL;
        for (size_t i = 0; i < n_said && more; i += used)
            more = dele_is_space(dele_utf8_next(said + i, n_said - i, &used));
        blank += more;
    }
    dele_arena_release(&scratch);
    return blank;
}

/* How many bytes a and b share from their beginnings, up to the end of a character. */
static size_t shared(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n]) n++;
    while (n && ((unsigned char)b[n] & 0xc0) == 0x80) n--;
    return n;
}

char *dele_decode_continuation(const dele_tokenizer *t, const int *ids, size_t n, const int *more,
                               size_t n_more, bool skip_special, dele_arena *arena, dele_err *err)
{
    dele_arena scratch = {.limit = arena->limit};
    const int *all = joined_ids(ids, n, more, n_more, &scratch, err);
    const char *before = all ? dele_decode(t, ids, n, skip_special, &scratch, err) : NULL;
    const char *whole =
        before ? dele_decode(t, all, n + n_more, skip_special, &scratch, err) : NULL;
    char *text = whole ? dele_strdup(arena, whole + shared(before, whole), err) : NULL;
    dele_arena_release(&scratch);
    return text;
}
