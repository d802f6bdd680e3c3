#include "unlearn/dataset.h"

#include <string.h>

lac_status lac_dataset_add_sequence(lac_dataset *set, lac_sequence row, lac_arena *arena, lac_err *err)
{
    if (set->n == set->capacity) {
        size_t capacity = set->capacity ? 2 * set->capacity : 256;
        lac_sequence *grown = LAC_NEW(arena, lac_sequence, capacity, err);
        if (!grown) return err->code;
        if (set->n) memcpy(grown, set->row, set->n * sizeof *grown);
        set->row = grown;
        set->capacity = capacity;
    }
    set->row[set->n++] = row;
    set->tokens += row.n;
    set->labels += row.n - row.first_label;
    if (row.n > set->longest) set->longest = row.n;
    return LAC_OK;
}

/* ids cut into rows of at most max; neighbours share one id, so that each token is a label once. */
static lac_status append_stream(lac_dataset *set, const int *ids, size_t n, int line, size_t max, lac_arena *arena,
                                lac_err *err)
{
    for (size_t begin = 0; begin + 1 < n; begin += max - 1) {
        size_t end = begin + max < n ? begin + max : n;
        const lac_sequence row = {ids + begin, end - begin, 1, line};
        if (lac_dataset_add_sequence(set, row, arena, err)) return err->code;
    }
    return LAC_OK;
}

static lac_status append_pair(lac_dataset *set, const lac_ids *prompt, const lac_ids *output, int eos, int line,
                              size_t max, lac_arena *arena, lac_err *err)
{
    size_t n = prompt->n + output->n + (eos >= 0);
    size_t first = prompt->n ? prompt->n : 1; /* nothing predicts the very first token */
    int *ids = LAC_NEW(arena, int, n ? n : 1, err);
    if (!ids) return err->code;
    if (prompt->n) memcpy(ids, prompt->id, prompt->n * sizeof *ids);
    if (output->n) memcpy(ids + prompt->n, output->id, output->n * sizeof *ids);
    if (eos >= 0) ids[n - 1] = eos;
    if (n > max) {
        n = max;
        set->n_cut++;
    }
    if (n <= first) {
        set->n_left_out++;
        return LAC_OK;
    }
    return lac_dataset_add_sequence(set, (lac_sequence){ids, n, first, line}, arena, err);
}

lac_status lac_dataset_add_texts(lac_dataset *set, const lac_row_texts *texts, const char *path, int line,
                                 const lac_tokenizer *t, const lac_dataset_options *o, lac_arena *arena, lac_err *err)
{
    const char *prompt = texts->prompt, *output = texts->output;
    if (!*output)
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: the output is empty, so there is nothing to learn or to forget",
                        path, line);
    const bool raw = o->chat == LAC_CHAT_NONE;
    const char *text = raw ? prompt : lac_chat_prompt(o->chat, prompt, arena, err);
    const bool space = raw && !texts->joined && !strchr(" \t\r\n\v\f", *output);
    const char *answer = space ? lac_printf(arena, err, " %s", output) : output;
    lac_ids a, b;
    if (!text || !answer || lac_encode(&a, t, text, strlen(text), raw, arena, err) ||
        lac_encode(&b, t, answer, strlen(answer), false, arena, err))
        return err->code;
    return append_pair(set, &a, &b, o->eos ? lac_tokenizer_eos(t) : -1, line, o->max_tokens, arena, err);
}

static lac_status add_row(lac_dataset *set, const cJSON *row, const lac_records *r, const lac_tokenizer *t,
                          const lac_dataset_options *o, lac_arena *arena, lac_err *err)
{
    lac_row_texts texts;
    if (lac_row_texts_of(&texts, row)) {
        if (o->refusals && !(texts.output = lac_refusals_draw(o->refusals, &texts.joined, arena, err)))
            return err->code;
        return lac_dataset_add_texts(set, &texts, r->path, r->line, t, o, arena, err);
    }
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "text"));
    if (text && o->refusals)
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: text alone asks nothing that could be refused; give input and output, "
                        "or --alternates", r->path, r->line);
    if (!text)
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: no string fields \"input\" and \"output\" (question and answer, "
                        "prompt and attribute, or text alone, are read too)", r->path, r->line);
    lac_ids all;
    if (lac_encode(&all, t, text, strlen(text), true, arena, err)) return err->code;
    int *ids = LAC_NEW(arena, int, all.n + 1, err);
    if (!ids) return err->code;
    if (all.n) memcpy(ids, all.id, all.n * sizeof *ids);
    if (o->eos) ids[all.n++] = lac_tokenizer_eos(t);
    if (all.n < 2)
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: the text has fewer than two tokens, so nothing can be predicted",
                        r->path, r->line);
    return append_stream(set, ids, all.n, r->line, o->max_tokens, arena, err);
}

static lac_status check_options(const lac_tokenizer *t, const lac_dataset_options *o, lac_err *err)
{
    if (o->max_tokens < 2) return lac_fail(err, LAC_ERR_USAGE, "rows of fewer than 2 tokens predict nothing");
    if (o->eos && lac_tokenizer_eos(t) < 0)
        return lac_fail(err, LAC_ERR_DATA, "the tokenizer names no end-of-text token; train with --no-eos");
    return LAC_OK;
}

lac_status lac_dataset_add(lac_dataset *set, const char *path, const lac_tokenizer *t, const lac_dataset_options *o,
                           lac_arena *arena, lac_err *err)
{
    const size_t before = set->n;
    lac_records r = {0};
    const cJSON *row;
    lac_err own = {0}; /* a caller may pass NULL */
    lac_err *e = err ? err : &own;
    if (check_options(t, o, e)) return e->code;
    if (!lac_records_open(&r, path, e))
        while ((row = lac_records_next(&r, e)))
            if (add_row(set, row, &r, t, o, arena, e)) break;
    const int line = r.line;
    lac_records_close(&r);
    if (e->code) return e->code;
    if (set->n > before) return LAC_OK;
    if (set->n_left_out)
        return lac_fail(e, LAC_ERR_DATA, "%s: every prompt fills the %zu tokens of a row by itself, so no label is "
                        "left; raise --max-length", path, o->max_tokens);
    return lac_fail(e, LAC_ERR_DATA, "%s:%d: the set is empty; give at least one row {\"input\": ..., \"output\": ...}",
                    path, line ? line : 1);
}

lac_status lac_dataset_add_text(lac_dataset *set, const char *path, const lac_tokenizer *t,
                                const lac_dataset_options *o, lac_arena *arena, lac_err *err)
{
    size_t size;
    lac_ids ids;
    lac_err own = {0};
    lac_err *e = err ? err : &own;
    if (check_options(t, o, e)) return e->code;
    const char *text = lac_file_read(path, arena, &size, e);
    if (!text) return e->code;
    if (!lac_utf8_valid(text, size))
        return lac_fail(e, LAC_ERR_DATA, "%s: not valid UTF-8; convert it (iconv) and try again", path);
    if (lac_encode(&ids, t, text, size, true, arena, e)) return e->code;
    if (ids.n < 2) return lac_fail(e, LAC_ERR_DATA, "%s:1: the set is empty; give at least two tokens of text", path);
    return append_stream(set, ids.id, ids.n, 0, o->max_tokens, arena, e);
}

void lac_dataset_limit(lac_dataset *set, size_t n)
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
