#include "routing/tokens_file.h"

#include <limits.h>
#include <math.h>

#include "base/npz.h"

_Static_assert(sizeof(int) == sizeof(int32_t), "arrays of int are written as int32");

dele_status dele_tokens_save(const char *path, const dele_routed *r, dele_err *err)
{
    const size_t dims[] = {r->n, (size_t)r->routes.n_layers, (size_t)r->routes.top_k};
    if (r->n > DELE_MOST_TOKENS)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: %zu tokens are more than the %d that such a file may hold; take "
                         "fewer of each text (--tokens)",
                         path, r->n, DELE_MOST_TOKENS);
    dele_npz *npz = dele_npz_open(path, err);
    if (!npz) return err->code;
    dele_npz_i32(npz, "ids", r->id, 1, dims, err);
    dele_npz_i32(npz, "experts", r->routes.experts, 3, dims, err);
    dele_npz_f32(npz, "weights", r->routes.weights, 3, dims, err);
    dele_npz_i32(npz, "predicted", r->predicted, 1, dims, err);
    dele_npz_i32(npz, "documents", r->document, 1, dims, err);
    dele_npz_i32(npz, "domains", r->domain, 1, dims, err);
    dele_npz_f32(npz, "logp", r->logp, 1, dims, err);
    return dele_npz_close(npz, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct {
    dele_npz_in *npz;
    const char *path;
    dele_arena *arena;
    dele_err *err;
} source;

/* An array of whole numbers, int32 or int64, each of which fits into an int. */
static int *read_whole(const source *s, const char *name, int n_dims, size_t *dims)
{
    dele_err other_type = {0};
    size_t asked[3] = {0}, n = 1;
    for (int i = 0; i < n_dims; i++) asked[i] = dims[i];
    int *out = dele_npz_in_i32(s->npz, name, n_dims, dims, s->arena, &other_type);
    if (out || other_type.code == DELE_ERR_MEMORY) {
        if (!out) dele_fail(s->err, other_type.code, "%s", other_type.msg);
        return out;
    }
    for (int i = 0; i < n_dims; i++) dims[i] = asked[i];
    const int64_t *wide = dele_npz_in_i64(s->npz, name, n_dims, dims, s->arena, &(dele_err){0});
    if (!wide) {
        dele_fail(s->err, other_type.code, "%s", other_type.msg);
        return NULL;
    }
    for (int i = 0; i < n_dims; i++) n *= dims[i];
    if (!(out = DELE_NEW(s->arena, int, n, s->err))) return NULL;
    for (size_t i = 0; i < n; i++) {
        if (wide[i] < INT_MIN || wide[i] > INT_MAX) {
            dele_fail(s->err, DELE_ERR_DATA, "%s: \"%s\" holds %lld, which is no id", s->path, name,
                      (long long)wide[i]);
            return NULL;
        }
        out[i] = (int)wide[i];
    }
    return out;
}

/* Every number of x[n] is in [low, past). */
static dele_status check_range(const source *s, const char *name, const int *x, size_t n, int low,
                               int past)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] < low || x[i] >= past)
            return dele_fail(s->err, DELE_ERR_DATA,
                             "%s: \"%s\" of token %zu is %d; the model's are %d to %d", s->path,
                             name, i, x[i], low, past - 1);
    return DELE_OK;
}

/* The experts of one token in one layer: all -1, or k different ones. */
static dele_status check_token(const source *s, const dele_routed *r, size_t t, int l, bool sparse)
{
    const dele_routes *e = &r->routes;
    const int *expert = dele_routed_experts(r, t, l);
    const float *weight = dele_route_weights(e, t, l);
    for (int i = 0; i < e->top_k; i++) {
        if (!isfinite(weight[i]))
            return dele_fail(s->err, DELE_ERR_DATA,
                             "%s: a weight of token %zu in layer %d is not finite", s->path, t, l);
        if (sparse ? expert[i] < 0 || expert[i] >= e->n_experts : expert[i] != -1)
            return dele_fail(s->err, DELE_ERR_DATA,
                             sparse ? "%s: token %zu has expert %d in layer %d; its experts are 0 "
                                      "to %d"
                                    : "%s: token %zu has expert %d in layer %d, where the first "
                                      "token has none",
                             s->path, t, expert[i], l, e->n_experts - 1);
        for (int k = 0; k < i && sparse; k++)
            if (expert[k] == expert[i])
                return dele_fail(s->err, DELE_ERR_DATA,
                                 "%s: token %zu has expert %d twice in layer %d", s->path, t,
                                 expert[i], l);
    }
    return DELE_OK;
}

static dele_status check_routes(const source *s, const dele_routed *r)
{
    for (int l = 0; l < r->routes.n_layers; l++) {
        const bool sparse = dele_routed_experts(r, 0, l)[0] != -1;
        for (size_t t = 0; t < r->n; t++)
            if (check_token(s, r, t, l, sparse)) return s->err->code;
    }
    return DELE_OK;
}

/* The arrays that only `deleatur routing` writes; where they are missing, every token is of one
 * document of one domain. */
static dele_status read_beside(dele_routed *r, const source *s, int vocab)
{
    size_t dims[] = {r->n};
    r->predicted = r->document = r->domain = NULL;
    if (dele_npz_in_has(s->npz, "predicted") &&
        (!(r->predicted = read_whole(s, "predicted", 1, dims)) ||
         check_range(s, "predicted", r->predicted, r->n, -1, vocab)))
        return s->err->code;
    if (dele_npz_in_has(s->npz, "documents") &&
        (!(r->document = read_whole(s, "documents", 1, dims)) ||
         check_range(s, "documents", r->document, r->n, 0, (int)r->n)))
        return s->err->code;
    if (dele_npz_in_has(s->npz, "domains") &&
        (!(r->domain = read_whole(s, "domains", 1, dims)) ||
         check_range(s, "domains", r->domain, r->n, -1, (int)r->n)))
        return s->err->code;
    if (!r->document && !(r->document = DELE_NEW(s->arena, int, r->n, s->err))) return s->err->code;
    if (!r->domain && !(r->domain = DELE_NEW(s->arena, int, r->n, s->err))) return s->err->code;
    if (!r->predicted) {
        if (!(r->predicted = DELE_NEW(s->arena, int, r->n, s->err))) return s->err->code;
        for (size_t t = 0; t < r->n; t++) r->predicted[t] = -1;
    }
    r->n_documents = 1;
    r->n_domains = 1;
    for (size_t t = 0; t < r->n; t++) {
        if (t && r->document[t] < r->document[t - 1])
            return dele_fail(s->err, DELE_ERR_DATA,
                             "%s: the document of token %zu is %d, after one of document %d; the "
                             "tokens of a document follow each other",
                             s->path, t, r->document[t], r->document[t - 1]);
        r->n_documents = (size_t)r->document[t] + 1;
        if (r->domain[t] >= (int)r->n_domains) r->n_domains = (size_t)r->domain[t] + 1;
    }
    return DELE_OK;
}

static dele_status read_next(dele_routed *r, const source *s)
{
    size_t dims[] = {r->n};
    const bool has = dele_npz_in_has(s->npz, "logp");
    r->logp = has ? dele_npz_in_f32(s->npz, "logp", 1, dims, s->arena, s->err)
                  : DELE_NEW(s->arena, float, r->n, s->err);
    r->next = DELE_NEW(s->arena, int, r->n, s->err);
    if (!r->logp || !r->next) return s->err->code;
    for (size_t t = 0; t < r->n; t++) {
        const bool last = t + 1 == r->n || r->document[t + 1] != r->document[t];
        if (!has) r->logp[t] = NAN;
        if (isinf(r->logp[t]))
            return dele_fail(s->err, DELE_ERR_DATA,
                             "%s: the log-probability of token %zu is infinite", s->path, t);
        r->next[t] = last || (has && isnan(r->logp[t])) ? -1 : r->id[t + 1];
    }
    return DELE_OK;
}

static dele_status read_tokens(dele_routed *r, const source *s, const dele_routed_shape *shape)
{
    size_t dims[3] = {0, (size_t)shape->n_layers, (size_t)shape->top_k};
    *r = (dele_routed){0};
    r->id = read_whole(s, "ids", 1, dims);
    if (!r->id) return s->err->code;
    if (!dims[0]) return dele_fail(s->err, DELE_ERR_DATA, "%s holds no tokens", s->path);
    r->n = dims[0];
    r->routes = (dele_routes){.n_rows = r->n,
                              .capacity = r->n,
                              .n_layers = shape->n_layers,
                              .n_experts = shape->n_experts};
    if (check_range(s, "ids", r->id, r->n, 0, shape->vocab)) return s->err->code;
    r->routes.experts = read_whole(s, "experts", 3, dims);
    if (!r->routes.experts) return s->err->code;
    r->routes.top_k = (int)dims[2];
    if (!r->routes.top_k || r->routes.top_k > shape->n_experts)
        return dele_fail(s->err, DELE_ERR_DATA,
                         "%s has %zu experts a token; the model has %d experts", s->path, dims[2],
                         shape->n_experts);
    r->routes.weights = dele_npz_in_f32(s->npz, "weights", 3, dims, s->arena, s->err);
    if (!r->routes.weights || check_routes(s, r) || read_beside(r, s, shape->vocab))
        return s->err->code;
    return read_next(r, s);
}

dele_status dele_tokens_load(dele_routed *r, const char *path, const dele_routed_shape *shape,
                             dele_arena *arena, dele_err *err)
{
    const source s = {dele_npz_in_open(path, err), path, arena, err};
    if (!s.npz) return err->code;
    const dele_status status = read_tokens(r, &s, shape);
    dele_npz_in_close(s.npz);
    return status;
}
