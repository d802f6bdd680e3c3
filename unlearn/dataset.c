#include "unlearn/dataset.h"

#include <string.h>

#include "text/continuation.h"

dele_status dele_dataset_add_sequence(dele_dataset *set, dele_sequence row, dele_arena *arena,
                                      dele_err *err)
{
    if (set->n == set->capacity) {
        size_t capacity = set->capacity ? 2 * set->capacity : 256;
        dele_sequence *grown = DELE_NEW(arena, dele_sequence, capacity, err);
        if (!grown) return err->code;
        if (set->n) memcpy(grown, set->row, set->n * sizeof *grown);
        set->row = grown;
        set->capacity = capacity;
    }
    set->row[set->n++] = row;
    set->tokens += row.n;
    set->labels += row.n - row.first_label;
    if (row.n > set->longest) set->longest = row.n;
    return DELE_OK;
}

/* ids cut into rows of at most max; neighbours share one id, so that each token is a label once. */
static dele_status append_stream(dele_dataset *set, const int *ids, size_t n, int line, size_t max,
                                 dele_arena *arena, dele_err *err)
{
    for (size_t begin = 0; begin + 1 < n; begin += max - 1) {
        size_t end = begin + max < n ? begin + max : n;
        const dele_sequence row = {ids + begin, end - begin, 1, line};
        if (dele_dataset_add_sequence(set, row, arena, err)) return err->code;
    }
    return DELE_OK;
}

static dele_status append_pair(dele_dataset *set, const dele_continued_ids *both, int eos, int line,
                               size_t max, dele_arena *arena, dele_err *err)
{
    size_t n = both->n + (eos >= 0);
    size_t first = both->first ? both->first : 1; /* nothing predicts the very first token */
    int *ids = DELE_NEW(arena, int, n ? n : 1, err);
    if (!ids) return err->code;
    if (both->n) memcpy(ids, both->id, both->n * sizeof *ids);
    if (eos >= 0) ids[n - 1] = eos;
    if (n > max) {
        n = max;
        set->n_cut++;
    }
    if (n <= first) {
        set->n_left_out++;
        return DELE_OK;
    }
    return dele_dataset_add_sequence(set, (dele_sequence){ids, n, first, line}, arena, err);
}

dele_status dele_dataset_add_texts(dele_dataset *set, const dele_row_texts *texts, const char *path,
                                   int line, const dele_tokenizer *t, const dele_dataset_options *o,
                                   dele_arena *arena, dele_err *err)
{
    const char *prompt = texts->prompt, *output = texts->output;
    if (!*output)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: the output is empty, so there is nothing to learn or to forget",
                         path, line);
    dele_continued_ids both;
    const int end = dele_chat_end(o->chat);
    if (o->eos && end >= 0 && *o->chat->after_reply &&
        !(output = dele_printf(arena, err, "%s%s", output, o->chat->after_reply)))
        return err->code;
    if (dele_encode_answer(&both, t, o->chat, prompt, output, texts->joined, arena, err))
        return err->code;
    return append_pair(set, &both,
                       !o->eos    ? -1
                       : end >= 0 ? end
                                  : dele_tokenizer_eos(t),
                       line, o->max_tokens, arena, err);
}

/* A row of a JSONL file: a prompt and its output, or text alone, which has no prompt and is one
 * stream of labels.  Where refusals are given, the next one replaces the output.  The ids are
 * copied to have room for the end of text. */
static dele_status add_row(dele_dataset *set, const cJSON *row, const dele_records *r,
                           const dele_tokenizer *t, const dele_dataset_options *o,
                           dele_arena *arena, dele_err *err)
{
    dele_row_texts texts;
    if (dele_row_texts_of(&texts, row)) {
        if (o->refusals &&
            !(texts.output = dele_refusals_draw(o->refusals, &texts.joined, arena, err)))
            return err->code;
        return dele_dataset_add_texts(set, &texts, r->path, r->line, t, o, arena, err);
    }
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "text"));
    if (text && o->refusals)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%s:%d: a row with text alone has no question to refuse; give input and output, "
            "or --alternates",
            r->path, r->line);
    if (!text)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: no string fields \"input\" and \"output\" (question and answer, "
                         "prompt and attribute, or text alone, are read too)",
                         r->path, r->line);
    dele_ids all;
    if (dele_encode(&all, t, text, strlen(text), true, arena, err)) return err->code;
    int *ids = DELE_NEW(arena, int, all.n + 1, err);
    if (!ids) return err->code;
    if (all.n) memcpy(ids, all.id, all.n * sizeof *ids);
    if (o->eos) ids[all.n++] = dele_tokenizer_eos(t);
    if (all.n < 2)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: the text has fewer than two tokens, so nothing can be predicted",
                         r->path, r->line);
    return append_stream(set, ids, all.n, r->line, o->max_tokens, arena, err);
}

static dele_status check_dataset_options(const dele_tokenizer *t, const dele_dataset_options *o,
                                         dele_err *err)
{
    if (o->max_tokens < 2)
        return dele_fail(err, DELE_ERR_USAGE, "rows of fewer than 2 tokens predict nothing");
    if (o->eos && dele_tokenizer_eos(t) < 0)
        return dele_fail(err, DELE_ERR_DATA,
                         "the tokenizer has no end-of-text token; train with --no-eos");
    return DELE_OK;
}

dele_status dele_dataset_add(dele_dataset *set, const char *path, const dele_tokenizer *t,
                             const dele_dataset_options *o, dele_arena *arena, dele_err *err)
{
    const size_t before = set->n;
    dele_records r = {0};
    const cJSON *row;
    dele_err own = {0}; /* a caller may pass NULL */
    dele_err *e = err ? err : &own;
    if (check_dataset_options(t, o, e)) return e->code;
    if (!dele_records_open(&r, path, e))
        while ((row = dele_records_next(&r, e)))
            if (add_row(set, row, &r, t, o, arena, e)) break;
    const int line = r.line;
    dele_records_close(&r);
    if (e->code) return e->code;
    if (set->n > before) return DELE_OK;
    if (set->n_left_out)
        return dele_fail(e, DELE_ERR_DATA,
                         "%s: every prompt fills the %zu tokens of a row by itself, so no label is "
                         "left; raise --max-length",
                         path, o->max_tokens);
    return dele_fail(
        e, DELE_ERR_DATA,
        "%s:%d: the set is empty; give at least one row {\"input\": ..., \"output\": ...}", path,
        line ? line : 1);
}

dele_status dele_dataset_add_text(dele_dataset *set, const char *path, const dele_tokenizer *t,
                                  const dele_dataset_options *o, dele_arena *arena, dele_err *err)
{
    size_t size;
    dele_ids ids;
    dele_err own = {0};
    dele_err *e = err ? err : &own;
    if (check_dataset_options(t, o, e)) return e->code;
    const char *text = dele_text_read(path, arena, &size, e);
    if (!text) return e->code;
    if (dele_encode(&ids, t, text, size, true, arena, e)) return e->code;
    if (ids.n < 2)
        return dele_fail(e, DELE_ERR_DATA,
                         "%s:1: the set is empty; give at least two tokens of text", path);
    return append_stream(set, ids.id, ids.n, 0, o->max_tokens, arena, e);
}

void dele_dataset_limit(dele_dataset *set, size_t n)
{
    if (!n || n >= set->n) return;
    set->n = n;
    set->tokens = set->labels = set->longest = 0;
    for (size_t i = 0; i < n; i++) {
        set->tokens += set->row[i].n;
        set->labels += set->row[i].n - set->row[i].first_label;
        if (set->row[i].n > set->longest) set->longest = set->row[i].n;
    }
}
