/* Greedy continuation: the prompts in one pass, then one row a step for each sequence that goes on. */
#include <string.h>

#include "model/forward.h"

typedef struct {
    lac_kv kv;
    int token; /* the newest one */
    bool done;
} sequence;

static bool is_stop(int token, const int *stops, size_t n_stops)
{
    for (size_t i = 0; i < n_stops; i++)
        if (token == stops[i]) return true;
    return false;
}

/* One pass over the sequences still going: row i's greedy next token becomes its newest. */
static lac_status step(sequence *seq, size_t n, const lac_ids *prompts, lac_run *run, const lac_model *model,
                       lac_arena *arena, lac_err *err)
{
    lac_segment *segments = LAC_NEW(arena, lac_segment, n, err);
    int *wanted = LAC_NEW(arena, int, n, err);
    size_t *who = LAC_NEW(arena, size_t, n, err), live = 0, vocab = (size_t)model->config.vocab;
    if (!segments || !wanted || !who) return LAC_ERR_MEMORY;
    int row = -1;
    for (size_t i = 0; i < n; i++) {
        if (seq[i].done) continue;
        lac_kv *kv = &seq[i].kv;
        segments[live] = prompts ? (lac_segment){.tokens = prompts[i].id, .n_rows = (int)prompts[i].n, .keep = kv}
                                 : (lac_segment){.tokens = &seq[i].token, .n_rows = 1, .first_pos = kv->n_rows,
                                                 .parent = kv, .keep = kv};
        wanted[live] = row += segments[live].n_rows;
        who[live++] = i;
    }
    if (live == 0) return LAC_OK;
    lac_batch batch = {.segments = segments, .n_segments = live, .wanted = wanted, .n_wanted = live};
    if (lac_forward(run, model, &batch, err)) return err->code;
    float *logits = lac_alloc_raw(arena, live, vocab * sizeof *logits, err);
    if (!logits) return LAC_ERR_MEMORY;
    lac_logits(logits, model, run->final, live);
    for (size_t i = 0; i < live; i++) {
        const float *r = logits + i * vocab;
        int best = 0;
        for (int j = 1; j < (int)vocab; j++)
            if (r[j] > r[best]) best = j;
        seq[who[i]].token = best;
    }
    return LAC_OK;
}

static lac_status generate(int **out, size_t *n_out, lac_run *run, const lac_model *model, const lac_ids *prompts,
                           size_t n, size_t max_new, const int *stops, size_t n_stops, lac_arena *arena, lac_err *err)
{
    sequence *seq = LAC_NEW(arena, sequence, n, err);
    if (!seq) return LAC_ERR_MEMORY;
    size_t context = (size_t)model->config.context;
    for (size_t i = 0; i < n; i++) {
        if (prompts[i].n == 0 || prompts[i].n > context)
            return lac_fail(err, LAC_ERR_DATA, "a prompt of %zu tokens cannot be continued in a context of %zu",
                            prompts[i].n, context);
        size_t capacity = prompts[i].n + max_new < context ? prompts[i].n + max_new : context;
        if (lac_kv_init(&seq[i].kv, &model->config, NULL, 0, (int)capacity, arena, err)) return LAC_ERR_MEMORY;
        n_out[i] = 0;
    }
    lac_arena scratch = {0};
    lac_status status = LAC_OK;
    for (size_t k = 0; k < max_new && !status; k++) {
        lac_arena_reset(&scratch);
        status = step(seq, n, k ? NULL : prompts, run, model, &scratch, err);
        size_t going = 0;
        for (size_t i = 0; i < n && !status; i++) {
            if (seq[i].done) continue;
            if (is_stop(seq[i].token, stops, n_stops)) seq[i].done = true;
            else out[i][n_out[i]++] = seq[i].token;
            if (seq[i].kv.n_rows >= seq[i].kv.capacity) seq[i].done = true; /* the context is full */
            going += !seq[i].done;
        }
        if (going == 0) break;
    }
    lac_arena_release(&scratch);
    return status;
}

lac_status lac_generate_batch(int **out, size_t *n_out, lac_run *run, const lac_model *model, const lac_ids *prompts,
                              size_t n, size_t max_new, const int *stops, size_t n_stops, lac_err *err)
{
    lac_arena arena = {0};
    lac_status status = generate(out, n_out, run, model, prompts, n, max_new, stops, n_stops, &arena, err);
    lac_arena_release(&arena);
    return status;
}

lac_status lac_generate(int *out, size_t *n_out, lac_run *run, const lac_model *model, const int *prompt,
                        size_t n_prompt, size_t max_new, const int *stops, size_t n_stops, lac_err *err)
{
    lac_ids ids = {(int *)prompt, n_prompt};
    return lac_generate_batch(&out, n_out, run, model, &ids, 1, max_new, stops, n_stops, err);
}
