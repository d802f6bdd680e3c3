#include "model/generate.h"

#include "tensor/ops.h"

enum { MAX_SLOTS = 32, PROMPT_ROWS = 1024 };

typedef struct {
    dele_arena arena;   /* its keys and values */
    dele_kv kv, routed; /* of the model, and of the one whose routes it follows */
    dele_continuation *item;
    size_t index;
    int last; /* the id to read next, once the prompt is read */
} slot;

typedef struct {
    dele_continuation *items;
    size_t n, next, n_active;
    slot slots[MAX_SLOTS]; /* the first n_active are in use */
    dele_run *run;
    const dele_model *model;
    const dele_many_opts *opts;
    size_t max_slots;
    float *logits;      /* [max_slots, vocab] */
    dele_routes routes; /* of a pass, where another model's are followed */
} job;

static void add_end(dele_ends *ends, int id)
{
    for (size_t i = 0; i < ends->n; i++)
        if (ends->id[i] == id) return;
    if (id >= 0) ends->id[ends->n++] = id;
}

dele_ends dele_ends_of(const dele_model *model, const dele_layout *layout)
{
    const dele_config *c = &model->config;
    dele_ends ends = {0};
    for (int i = 0; i < c->n_ends; i++) add_end(&ends, c->ends[i]);
    if (!ends.n) add_end(&ends, c->eos >= 0 ? c->eos : dele_tokenizer_eos(model->tokenizer));
    add_end(&ends, dele_chat_end(layout));
    return ends;
}

static int slot_positions(const dele_continuation *item, size_t max_new)
{
    return (int)(item->n_prompt + max_new);
}

/* Starts as many waiting prompts as fit; at least one when no prompt is active. */
static dele_status admit(job *j, dele_err *err)
{
    size_t room = (size_t)512 << 20, rows = 0;
    for (size_t s = 0; s < j->n_active; s++) {
        size_t bytes = j->slots[s].arena.used;
        room = bytes < room ? room - bytes : 0;
    }
    while (j->next < j->n && j->n_active < j->max_slots) {
        dele_continuation *item = &j->items[j->next];
        const int positions = slot_positions(item, j->opts->max_new);
        const size_t bytes =
            dele_kv_bytes(&j->model->config, positions) +
            (j->opts->router ? dele_kv_bytes(&j->opts->router->config, positions) : 0);
        if (j->n_active && (bytes > room || rows + item->n_prompt > PROMPT_ROWS)) break;
        slot *s = &j->slots[j->n_active];
        *s = (slot){.item = item, .index = j->next};
        item->n_out = 0;
        item->stopped = false;
        if (item->n_prompt == 0)
            return dele_fail(err, DELE_ERR_DATA,
                             "a prompt of no tokens: there is nothing to continue; give a text");
        if (item->n_prompt + j->opts->max_new > (size_t)dele_longest(&j->model->config))
            return dele_fail(err, DELE_ERR_DATA,
                             "a prompt of %zu tokens and %zu new ones do not fit a context of %d",
                             item->n_prompt, j->opts->max_new, dele_longest(&j->model->config));
        dele_status status =
            dele_kv_init(&s->kv, &j->model->config, NULL, 0, positions, &s->arena, err);
        const dele_model *router = j->opts->router;
        if (!status && router)
            status = dele_kv_init(&s->routed, &router->config, NULL, 0, positions, &s->arena, err);
        j->n_active++;
        j->next++;
        if (status) return status;
        rows += item->n_prompt;
        room = bytes < room ? room - bytes : 0;
    }
    return DELE_OK;
}

static bool is_stop(const dele_many_opts *opts, int id)
{
    for (size_t i = 0; i < opts->n_stops; i++)
        if (opts->stops[i] == id) return true;
    return false;
}

/* The same pass of the other model, with its own keys and values; then its routes are those of the
 * segments. */
static dele_status take_routes(job *j, const dele_batch *batch, dele_segment *segments,
                               dele_err *err)
{
    dele_segment its[MAX_SLOTS];
    dele_batch pass = *batch;
    size_t row = 0;
    for (size_t i = 0; i < j->n_active; i++) {
        slot *s = &j->slots[i];
        its[i] = segments[i];
        its[i].parent = segments[i].parent ? &s->routed : NULL;
        its[i].keep = &s->routed;
        segments[i].forced = &j->routes;
        segments[i].forced_at = row;
        row += (size_t)segments[i].n_rows;
    }
    pass.segments = its;
    pass.routes = &j->routes;
    return dele_forward(j->run, j->opts->router, &pass, err);
}

/* One pass: all rows of each new prompt, one row of each other slot; then each slot's next id in
 * `last`. */
static dele_status step(job *j, dele_err *err)
{
    dele_segment segments[MAX_SLOTS];
    int output_rows[MAX_SLOTS], n_rows = 0;
    for (size_t i = 0; i < j->n_active; i++) {
        slot *s = &j->slots[i];
        bool fresh = s->kv.n_rows == 0;
        segments[i] = (dele_segment){.tokens = fresh ? s->item->prompt : &s->last,
                                     .n_rows = fresh ? (int)s->item->n_prompt : 1,
                                     .first_pos = s->kv.n_rows,
                                     .parent = fresh ? NULL : &s->kv,
                                     .keep = &s->kv};
        n_rows += segments[i].n_rows;
        output_rows[i] = n_rows - 1;
    }
    dele_batch batch = {.segments = segments,
                        .n_segments = j->n_active,
                        .output_rows = output_rows,
                        .n_output_rows = j->n_active};
    dele_status status = j->opts->router ? take_routes(j, &batch, segments, err) : DELE_OK;
    if (!status) status = dele_forward(j->run, j->model, &batch, err);
    if (status) return status;
    dele_logits(j->logits, j->run, j->model, j->run->final, j->n_active);
    if ((status = dele_logits_check(j->logits, j->n_active, j->model, err))) return status;
    size_t vocab = (size_t)j->model->config.vocab;
    for (size_t i = 0; i < j->n_active; i++)
        j->slots[i].last = (int)argmax(j->logits + i * vocab, vocab);
    return DELE_OK;
}

/* Appends the new ids.  A finished slot reports its item, and the later slots move up. */
static dele_status collect(job *j, dele_err *err)
{
    dele_status status = DELE_OK;
    size_t kept = 0;
    for (size_t i = 0; i < j->n_active; i++) {
        slot *s = &j->slots[i];
        s->item->stopped = is_stop(j->opts, s->last);
        if (!s->item->stopped) s->item->out[s->item->n_out++] = s->last;
        if (s->item->stopped || s->item->n_out == j->opts->max_new) {
            dele_arena_release(&s->arena);
            if (!status && j->opts->finished)
                status = j->opts->finished(j->opts->data, s->index, err);
        } else {
            if (kept != i) {
                j->slots[kept] = *s;
                *s = (slot){0};
            }
            kept++;
        }
    }
    j->n_active = kept;
    return status;
}

static float *lay_logits(const dele_config *config, size_t slots, dele_arena *arena, dele_err *err)
{
    return dele_alloc_raw(arena, slots, (size_t)config->vocab * sizeof(float), err);
}

/* Rows of a pass at most: a prompt that is longer than PROMPT_ROWS is admitted alone, or beside
 * slots of one row. */
static size_t most_rows(const dele_continuation *items, size_t n)
{
    size_t most = PROMPT_ROWS;
    for (size_t i = 0; i < n; i++)
        if (items[i].n_prompt > most) most = items[i].n_prompt;
    return most + MAX_SLOTS;
}

size_t dele_generate_bytes(const dele_model *model, size_t n_prompt, size_t max_new)
{
    const dele_config *c = &model->config;
    const dele_pass_size size = {
        .n_rows = n_prompt, .n_segments = 1, .n_spans = 1, .n_output_rows = 1, .longest = n_prompt};
    dele_arena counted = {.counts = true};
    const float *logits = lay_logits(c, 1, &counted, NULL);
    const size_t bytes = counted.used;
    dele_arena_release(&counted);
    if (!logits) return SIZE_MAX;
    return DELE_BYTES(bytes, dele_kv_bytes(c, (int)(n_prompt + max_new)),
                      dele_forward_bytes(c, &size), dele_tile_bytes(model));
}

dele_status dele_generate_many(dele_continuation *items, size_t n, dele_run *run,
                               const dele_model *model, const dele_many_opts *opts, dele_err *err)
{
    if (n == 0 || opts->max_new == 0) return DELE_OK;
    dele_arena arena = {0};
    job *j = DELE_NEW(&arena, job, 1, err);
    dele_status status = j ? DELE_OK : DELE_ERR_MEMORY;
    if (j) {
        *j = (job){.items = items, .n = n, .run = run, .model = model, .opts = opts};
        j->max_slots = opts->max_slots && opts->max_slots < MAX_SLOTS ? opts->max_slots : MAX_SLOTS;
        j->logits = lay_logits(&model->config, j->max_slots, &arena, err);
        if (!j->logits) status = DELE_ERR_MEMORY;
        if (!status && opts->router)
            status = dele_routes_init(&j->routes, &opts->router->config, most_rows(items, n),
                                      &arena, err);
    }
    while (!status && (j->next < n || j->n_active)) {
        status = admit(j, err);
        if (!status) status = step(j, err);
        if (!status) status = collect(j, err);
    }
    for (size_t i = 0; j && i < MAX_SLOTS; i++) dele_arena_release(&j->slots[i].arena);
    dele_arena_release(&arena);
    return status;
}

dele_status dele_generate(int *out, size_t *n_out, dele_run *run, const dele_model *model,
                          const int *prompt, size_t n_prompt, size_t max_new, const int *stops,
                          size_t n_stops, dele_err *err)
{
    dele_continuation item = {.prompt = prompt, .n_prompt = n_prompt, .out = out};
    dele_many_opts opts = {.max_new = max_new, .stops = stops, .n_stops = n_stops, .max_slots = 1};
    dele_status status = dele_generate_many(&item, 1, run, model, &opts, err);
    *n_out = item.n_out;
    return status;
}
