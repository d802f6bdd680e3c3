#include "model/parity.h"

#include <math.h>
#include <string.h>

#include "base/npz.h"

const char *const dele_parity_site_name[] = {"resid", "attn_out", "experts", "mlp_out", "logits"};

/* ---- the stored states ----------------------------------------------------------------------- */

static dele_status read_tokens(dele_parity_states *s, dele_npz_in *npz, const dele_model *model,
                               dele_arena *arena, dele_err *err)
{
    const dele_config *c = &model->config;
    const int64_t *ids = dele_npz_in_i64(npz, "tokens", 1, &s->n, arena, err);
    if (!ids) return err->code;
    if (s->n < 1 || s->n > (size_t)dele_longest(c))
        return dele_fail(err, DELE_ERR_DATA, "%s has %zu tokens; the model's context is %d",
                         s->path, s->n, dele_longest(c));
    if (!(s->tokens = DELE_NEW(arena, int, s->n, err))) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < s->n; i++) {
        if (ids[i] < 0 || ids[i] >= c->vocab)
            return dele_fail(err, DELE_ERR_DATA,
                             "%s: token %zu has the id %lld, outside the model's vocabulary of %d",
                             s->path, i, (long long)ids[i], c->vocab);
        s->tokens[i] = (int)ids[i];
    }
    return DELE_OK;
}

static const float *read_states(const dele_parity_states *s, dele_npz_in *npz, const char *name,
                                size_t layers, const dele_model *model, dele_arena *arena,
                                dele_err *err)
{
    size_t dims[3] = {layers, s->n, (size_t)model->config.hidden_size};
    return dele_npz_in_f32(npz, name, 3, dims, arena, err);
}

/* The choices of layers with experts are experts, those of others -1. */
static dele_status read_experts(dele_parity_states *s, dele_npz_in *npz, const dele_model *model,
                                dele_arena *arena, dele_err *err)
{
    const dele_config *c = &model->config;
    const size_t each = s->n * (size_t)c->top_k;
    size_t dims[3] = {(size_t)c->n_layers, s->n, (size_t)c->top_k};
    if (!c->n_experts)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s has router choices (\"experts\"), but %s has no router", s->path,
                         model->path);
    s->experts = dele_npz_in_i64(npz, "experts", 3, dims, arena, err);
    if (!s->experts) return err->code;
    for (int l = 0; l < c->n_layers; l++)
        for (size_t i = 0; i < each; i++) {
            const int64_t e = s->experts[(size_t)l * each + i];
            const bool sparse = dele_layer_is_sparse(c, l);
            if (sparse ? e < 0 || e >= c->n_experts : e != -1)
                return dele_fail(err, DELE_ERR_DATA,
                                 "%s: \"experts\" has %lld in layer %d, which has %s", s->path,
                                 (long long)e, l,
                                 sparse ? "fewer experts" : "none: -1 is wanted there");
        }
    return DELE_OK;
}

static dele_status read_arrays(dele_parity_states *s, dele_npz_in *npz, const dele_model *model,
                               dele_arena *arena, dele_err *err)
{
    const size_t layers = (size_t)model->config.n_layers;
    if (read_tokens(s, npz, model, arena, err)) return err->code;
    if (dele_npz_in_has(npz, "experts") && read_experts(s, npz, model, arena, err))
        return err->code;
    size_t logits[2] = {s->n, (size_t)model->config.vocab};
    s->resid = read_states(s, npz, "resid", layers + 1, model, arena, err);
    if (s->resid) s->logits = dele_npz_in_f32(npz, "logits", 2, logits, arena, err);
    if (!err->code && dele_npz_in_has(npz, "attn_out"))
        s->attn_out = read_states(s, npz, "attn_out", layers, model, arena, err);
    if (!err->code && dele_npz_in_has(npz, "mlp_out"))
        s->mlp_out = read_states(s, npz, "mlp_out", layers, model, arena, err);
    return err->code;
}

dele_status dele_parity_load(dele_parity_states *states, const char *path, const dele_model *model,
                             dele_arena *arena, dele_err *err)
{
    dele_err own = {0};
    dele_err *e = err ? err : &own;
    *states = (dele_parity_states){.path = path};
    dele_npz_in *npz = dele_npz_in_open(path, e);
    if (npz) read_arrays(states, npz, model, arena, e);
    dele_npz_in_close(npz);
    return e->code;
}

/* ---- the model's states ---------------------------------------------------------------------- */

/* Ours, in the shapes of the stored ones. */
typedef struct {
    float *resid, *attn_out, *mlp_out, *logits;
    dele_routes routes;
} computed;

static dele_patch reading(int layer, dele_site site, float *into, const dele_parity_states *s,
                          size_t slab)
{
    return (dele_patch){
        .layer = layer, .n_rows = (int)s->n, .site = site, .op = DELE_READ, .seen = into + slab};
}

/* Reads what the stored states have: [0] of resid enters layer 0, [l + 1] leaves layer l. */
static size_t ask(dele_patch *patch, const computed *ours, const dele_parity_states *s,
                  const dele_config *c)
{
    const size_t slab = s->n * (size_t)c->hidden_size;
    size_t n = 0;
    patch[n++] = reading(0, DELE_RESID_PRE, ours->resid, s, 0);
    for (int l = 0; l < c->n_layers; l++) {
        const size_t at = (size_t)l * slab;
        if (s->attn_out) patch[n++] = reading(l, DELE_ATTN_OUT, ours->attn_out, s, at);
        if (s->mlp_out) patch[n++] = reading(l, DELE_MLP_OUT, ours->mlp_out, s, at);
        patch[n++] = reading(l, DELE_RESID_POST, ours->resid, s, at + slab);
    }
    return n;
}

static dele_status compute(computed *ours, const dele_parity_states *s, const dele_model *model,
                           dele_arena *arena, dele_err *err)
{
    const dele_config *c = &model->config;
    const size_t layers = (size_t)c->n_layers, d_model = (size_t)c->hidden_size;
    dele_run run = {0};
    *ours = (computed){
        .resid = dele_alloc_raw(arena, (layers + 1) * s->n, d_model * sizeof(float), err),
        .logits = dele_alloc_raw(arena, s->n, (size_t)c->vocab * sizeof(float), err)};
    if (s->attn_out)
        ours->attn_out = dele_alloc_raw(arena, layers * s->n, d_model * sizeof(float), err);
    if (s->mlp_out)
        ours->mlp_out = dele_alloc_raw(arena, layers * s->n, d_model * sizeof(float), err);
    dele_patch *patch = DELE_NEW(arena, dele_patch, 3 * layers + 1, err);
    int *rows = DELE_NEW(arena, int, s->n, err);
    if (!ours->resid || !ours->logits || !patch || !rows || (s->attn_out && !ours->attn_out) ||
        (s->mlp_out && !ours->mlp_out))
        return DELE_ERR_MEMORY;
    if (s->experts && dele_routes_init(&ours->routes, c, s->n, arena, err)) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < s->n; i++) rows[i] = (int)i;
    const dele_segment segment = {.tokens = s->tokens, .n_rows = (int)s->n};
    const dele_batch batch = {.segments = &segment,
                              .n_segments = 1,
                              .patches = patch,
                              .n_patches = ask(patch, ours, s, c),
                              .output_rows = rows,
                              .n_output_rows = s->n,
                              .routes = s->experts ? &ours->routes : NULL};
    dele_status status = dele_forward(&run, model, &batch, err);
    if (!status) dele_logits(ours->logits, &run, model, run.final, s->n);
    dele_run_release(&run);
    return status;
}

/* ---- comparison ------------------------------------------------------------------------------ */

static double row_difference(const float *ours, const float *theirs, size_t width)
{
    double d2 = 0, t2 = 0;
    for (size_t i = 0; i < width; i++) {
        const double t = theirs[i], d = (double)ours[i] - t;
        d2 += d * d;
        t2 += t * t;
    }
    if (d2 == 0) return 0;
    return t2 > 0 && isfinite(d2) && isfinite(t2) ? sqrt(d2 / t2) : INFINITY;
}

/* A row's difference d joins the line. */
static void put_row(dele_parity_line *line, size_t row, double d, double tolerance)
{
    if (d > line->largest) line->largest = d, line->row = row;
    if (d > tolerance && !line->n_beyond++) line->first = row, line->of_first = d;
}

/* The share of a row's experts that are not among the stored ones. */
static double experts_difference(const int *ours, const int64_t *theirs, size_t k)
{
    size_t missing = 0;
    for (size_t i = 0; i < k; i++) {
        bool found = false;
        for (size_t j = 0; j < k; j++) found |= ours[i] == theirs[j];
        missing += !found;
    }
    return (double)missing / (double)k;
}

static void compare_experts(dele_parity *p, int layer, const dele_routes *ours,
                            const dele_parity_states *s, double tolerance)
{
    const size_t k = (size_t)ours->top_k;
    dele_parity_line *line = &p->line[p->n_lines++];
    *line = (dele_parity_line){.layer = layer, .site = DELE_PARITY_EXPERTS};
    for (size_t i = 0; i < s->n; i++)
        put_row(line, i,
                experts_difference(dele_route_experts(ours, i, layer),
                                   s->experts + ((size_t)layer * s->n + i) * k, k),
                tolerance);
    if (line->n_beyond && !p->drift) p->drift = line;
}

static void compare_rows(dele_parity *p, int layer, dele_parity_site site, const float *ours,
                         const float *theirs, size_t n, size_t width, double tolerance)
{
    dele_parity_line *line = &p->line[p->n_lines++];
    *line = (dele_parity_line){.layer = layer, .site = site};
    for (size_t i = 0; i < n; i++)
        put_row(line, i, row_difference(ours + i * width, theirs + i * width, width), tolerance);
    if (line->n_beyond && !p->drift) p->drift = line;
}

static size_t top1(const float *logits, size_t vocab)
{
    size_t best = 0;
    for (size_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

dele_status dele_parity_compare(dele_parity *result, const dele_parity_states *states,
                                const dele_model *model, double tolerance, dele_arena *arena,
                                dele_err *err)
{
    const dele_parity_states *s = states;
    const dele_config *c = &model->config;
    const size_t n = s->n, width = (size_t)c->hidden_size, slab = n * width,
                 vocab = (size_t)c->vocab;
    computed ours;
    *result = (dele_parity){0};
    result->line = DELE_NEW(arena, dele_parity_line, 4 * (size_t)c->n_layers + 2, err);
    if (!result->line || compute(&ours, s, model, arena, err))
        return err ? err->code : DELE_ERR_MEMORY;
    compare_rows(result, -1, DELE_PARITY_RESID, ours.resid, s->resid, n, width, tolerance);
    for (int l = 0; l < c->n_layers; l++) {
        const size_t at = (size_t)l * slab;
        if (s->attn_out)
            compare_rows(result, l, DELE_PARITY_ATTN_OUT, ours.attn_out + at, s->attn_out + at, n,
                         width, tolerance);
        if (s->experts && dele_layer_is_sparse(c, l))
            compare_experts(result, l, &ours.routes, s, tolerance);
        if (s->mlp_out)
            compare_rows(result, l, DELE_PARITY_MLP_OUT, ours.mlp_out + at, s->mlp_out + at, n,
                         width, tolerance);
        compare_rows(result, l, DELE_PARITY_RESID, ours.resid + at + slab, s->resid + at + slab, n,
                     width, tolerance);
    }
    compare_rows(result, c->n_layers, DELE_PARITY_LOGITS, ours.logits, s->logits, n, vocab,
                 tolerance);
    for (size_t i = 0; i < n; i++)
        result->n_top1 +=
            top1(ours.logits + i * vocab, vocab) == top1(s->logits + i * vocab, vocab);
    return DELE_OK;
}
