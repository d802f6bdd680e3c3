/* What the engine computes with a model, for comparison with another program
 * (reference/compare_families.py).
 *
 *   engine_probe < LINES        a line: MODEL TAB IDS TAB OUT TAB GRADIENTS
 *
 * IDS are token ids with commas between.  OUT is an .npz: logits [n, vocab], embed, residual.L,
 * attn_out.L and mlp_out.L [n, d_model] where the block has the site; of layers with experts
 * router.L [n, n_experts], logits, and for all layers experts [n, layers, top_k] (model/sublayers/
 * routes.h).  GRADIENTS is an existing
 * directory, into which the gradients of the mean cross-entropy of the second id and those after
 * it are saved as a model of the same form.  Either may be empty: nothing is written, and without
 * GRADIENTS no identity is checked.  For each line of input one line of output: "ok", and for each
 * identity of the pass its name and the largest difference of logits, relative to the largest
 * logit; or "refused" and the message.
 *
 * The identities are pass_identities.h's.  "nan" is said where the rotation scales with the length
 * of the text, so that no cache can be continued. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/npz.h"
#include "model/backward.h"
#include "model/config/rotation.h"
#include "tests/pass_identities.h"

static const struct {
    dele_site site;
    const char *name;
} sites[] = {{DELE_EMBED, "embed"},
             {DELE_RESID_POST, "residual"},
             {DELE_ATTN_OUT, "attn_out"},
             {DELE_ROUTER_LOGITS, "router"},
             {DELE_MLP_OUT, "mlp_out"}};
enum { N_SITES = sizeof sites / sizeof *sites };

static size_t site_width(const probe *p, dele_site site)
{
    return site == DELE_ROUTER_LOGITS ? (size_t)p->model.config.n_experts : p->width;
}

/* A reading of every site of every layer that has it; returns their number, or 0 with err set. */
static size_t read_sites(dele_patch **reads, probe *p, dele_err *err)
{
    const dele_config *c = &p->model.config;
    size_t n = 0;
    *reads = DELE_NEW(&p->arena, dele_patch, (size_t)c->n_layers * N_SITES, err);
    if (!*reads) return 0;
    for (size_t k = 0; k < N_SITES; k++)
        for (int layer = 0; layer < (sites[k].site == DELE_EMBED ? 1 : c->n_layers); layer++) {
            if (!dele_layer_has_site(c, layer, sites[k].site)) continue;
            float *seen = dele_alloc(&p->arena, (size_t)p->n,
                                     site_width(p, sites[k].site) * sizeof *seen, err);
            if (!seen) return 0;
            (*reads)[n++] = (dele_patch){.layer = layer,
                                         .n_rows = p->n,
                                         .site = sites[k].site,
                                         .op = DELE_READ,
                                         .seen = seen};
        }
    return n;
}

static void put_site(dele_npz *npz, const dele_patch *read, const probe *p, dele_err *err)
{
    size_t k = 0;
    char name[64];
    while (sites[k].site != read->site) k++;
    const size_t dims[] = {(size_t)p->n, site_width(p, read->site)};
    snprintf(name, sizeof name, k ? "%s.%d" : "%s", sites[k].name, read->layer);
    dele_npz_f32(npz, name, read->seen, 2, dims, err);
}

static dele_status put_experts(dele_npz *npz, const dele_routes *routes, probe *p, dele_err *err)
{
    const size_t dims[] = {(size_t)p->n, (size_t)routes->n_layers, (size_t)routes->top_k},
                 n = dims[0] * dims[1] * dims[2];
    int64_t *experts = DELE_NEW(&p->arena, int64_t, n, err);
    if (!experts) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) experts[i] = routes->experts[i];
    return dele_npz_i64(npz, "experts", experts, 3, dims, err);
}

/* Logits, every site of every layer and the routes into the file. */
static dele_status write_states(probe *p, const char *out, dele_err *err)
{
    dele_patch *reads;
    dele_routes routes = {0};
    const size_t n = read_sites(&reads, p, err);
    if (!n) return err->code;
    const dele_config *c = &p->model.config;
    const bool routed = c->n_experts > 0;
    if (routed && dele_routes_init(&routes, c, (size_t)p->n, &p->arena, err)) return err->code;
    const dele_segment s = {.tokens = p->ids, .n_rows = p->n};
    dele_batch batch = {.segments = &s,
                        .n_segments = 1,
                        .patches = reads,
                        .n_patches = n,
                        .routes = routed ? &routes : NULL};
    dele_status status = logits_of(p->again, p, &batch, p->rows, (size_t)p->n, err);
    if (status) return status;
    dele_npz *npz = dele_npz_open(out, err);
    if (!npz) return err->code;
    const size_t wide[] = {(size_t)p->n, p->vocab};
    dele_npz_f32(npz, "logits", p->again, 2, wide, err);
    for (size_t i = 0; i < n; i++) put_site(npz, &reads[i], p, err);
    if (routed) put_experts(npz, &routes, p, err);
    return dele_npz_close(npz, err);
}

/* ---- gradients ------------------------------------------------------------------------------- */

static dele_status gradients(probe *p, const char *dir, dele_err *err)
{
    const size_t n = (size_t)p->n - 1, n_tensors = p->model.n_tensors;
    bool *trains = DELE_NEW(&p->arena, bool, n_tensors, err);
    float **g = DELE_NEW(&p->arena, float *, n_tensors, err);
    if (!trains || !g) return DELE_ERR_MEMORY;
    for (size_t k = 0; k < n_tensors; k++) {
        const dele_tensor *t = &p->model.tensors[k];
        trains[k] = true;
        g[k] = dele_alloc(&p->arena, t->rows * t->cols, sizeof **g, err);
        if (!g[k]) return DELE_ERR_MEMORY;
    }
    dele_status status = dele_model_train(&p->model, trains, err);
    const dele_segment s = {.tokens = p->ids, .n_rows = p->n};
    dele_batch batch = {.segments = &s, .n_segments = 1, .keep_for_backward = true};
    if (!status) status = logits_of(p->again, p, &batch, p->rows, n, err);
    for (size_t i = 0; i < n && !status; i++) {
        float *row = p->again + i * p->vocab;
        double sum = 0, most = -INFINITY;
        for (size_t j = 0; j < p->vocab; j++) most = fmax(most, row[j]);
        for (size_t j = 0; j < p->vocab; j++) sum += exp((double)row[j] - most);
        for (size_t j = 0; j < p->vocab; j++)
            row[j] =
                (float)((exp((double)row[j] - most) / sum - ((int)j == p->ids[i + 1])) / (double)n);
    }
    if (!status)
        status = dele_backward(&p->run, &p->model, &batch, p->again, &(dele_grads){.g = g}, err);
    if (status) return status;
    for (size_t k = 0; k < n_tensors; k++)
        memcpy(p->model.tensors[k].data, g[k],
               p->model.tensors[k].rows * p->model.tensors[k].cols * sizeof **g);
    return dele_model_save(&p->model, dir, "f32", err);
}

/* ---- a line ---------------------------------------------------------------------------------- */

static dele_status look(probe *p, const char *out, const char *grads, double *gap, dele_err *err)
{
    dele_status status = lay_out_probe(p, err);
    if (!status) status = whole_pass(p, err);
    if (!status && *out) status = write_states(p, out, err);
    for (size_t k = 0; k < N_IDENTITIES && *grads && !status; k++) {
        dele_err mine = {0};
        if (IDENTITIES[k].check == cached && p->n > dele_rotation_grows_beyond(&p->model.config)) {
            gap[k] = NAN; /* as generate, whose states are not one pass's (test_rotation.c) */
            continue;
        }
        status = IDENTITIES[k].check(&gap[k], p, &mine);
        if (status && (strstr(mine.msg, "dynamic scaling") ||
                       (p->n > p->model.config.context && strstr(mine.msg, "does not fit"))))
            status = DELE_OK, gap[k] = NAN; /* it says why it continues no KV cache, or ends */
        else if (status)
            *err = mine;
    }
    if (!status && *grads) status = gradients(p, grads, err);
    return status;
}

static int parse_ids(int *ids, char *text)
{
    int n = 0;
    for (char *save, *word = strtok_r(text, ",", &save); word && n < MOST;
         word = strtok_r(NULL, ",", &save))
        ids[n++] = atoi(word);
    return n;
}

int main(void)
{
    static char line[1 << 16];
    while (fgets(line, sizeof line, stdin)) {
        char none[] = "", *part[4] = {line, none, none, none};
        for (int k = 1; k < 4; k++) {
            char *tab = strchr(part[k - 1], '\t');
            if (!tab) break;
            *tab = 0, part[k] = tab + 1;
        }
        for (int k = 0; k < 4; k++) part[k][strcspn(part[k], "\n")] = 0;
        static probe p;
        p = (probe){.n = 0};
        p.n = parse_ids(p.ids, part[1]);
        dele_err err = {0};
        double gap[N_IDENTITIES] = {0};
        dele_status status = dele_model_load(&p.model, part[0], &p.arena, &err);
        if (!status) {
            status = look(&p, part[2], part[3], gap, &err);
            dele_run_release(&p.run);
            dele_model_release(&p.model);
        }
        if (status)
            printf("refused\t%s\n", err.msg);
        else {
            printf("ok");
            for (size_t k = 0; k < N_IDENTITIES && *part[3]; k++)
                printf("\t%s\t%.3g", IDENTITIES[k].name, gap[k]);
            putchar('\n');
        }
        fflush(stdout);
        dele_arena_release(&p.arena);
    }
    return 0;
}
