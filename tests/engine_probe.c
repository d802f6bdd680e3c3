/* What the engine computes with a model, for comparison with another program
 * (reference/compare_families.py).
 *
 *   engine_probe < LINES        a line: MODEL TAB IDS TAB OUT TAB GRADIENTS
 *
 * IDS are token ids with commas between.  OUT is an .npz: logits [n, vocab], embed, residual.L,
 * attn_out.L and mlp_out.L [n, d_model] where the block has the site.  GRADIENTS is an existing
 * directory, into which the gradients of the mean cross-entropy of the second id and those behind
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
#include "model/config/rotation.h"
#include "tests/pass_identities.h"

/* Logits, and every site of every layer, into the file. */
static dele_status write_states(probe *p, const char *out, dele_err *err)
{
    static const struct {
        dele_site site;
        const char *name;
    } sites[] = {{DELE_EMBED, "embed"},
                 {DELE_RESID_POST, "residual"},
                 {DELE_ATTN_OUT, "attn_out"},
                 {DELE_MLP_OUT, "mlp_out"}};
    enum { N_SITES = sizeof sites / sizeof *sites };
    const int n_layers = p->model.config.n_layers;
    const size_t each = (size_t)p->n * p->width;
    dele_patch *reads = DELE_NEW(&p->arena, dele_patch, (size_t)n_layers * N_SITES, err);
    float *seen = dele_alloc(&p->arena, (size_t)n_layers * N_SITES, each * sizeof *seen, err);
    size_t n = 0;
    if (!reads || !seen) return DELE_ERR_MEMORY;
    for (size_t k = 0; k < N_SITES; k++)
        for (int layer = 0; layer < (sites[k].site == DELE_EMBED ? 1 : n_layers); layer++)
            if (p->model.config.family->site[sites[k].site]) {
                reads[n] = (dele_patch){.layer = layer,
                                        .n_rows = p->n,
                                        .site = sites[k].site,
                                        .op = DELE_READ,
                                        .seen = seen + n * each};
                n++;
            }
    const dele_segment s = {.tokens = p->ids, .n_rows = p->n};
    dele_batch batch = {.segments = &s, .n_segments = 1, .patches = reads, .n_patches = n};
    dele_status status = logits_of(p->again, p, &batch, p->rows, (size_t)p->n, err);
    if (status) return status;
    dele_npz *npz = dele_npz_open(out, err);
    if (!npz) return err->code;
    const size_t wide[] = {(size_t)p->n, p->vocab}, narrow[] = {(size_t)p->n, p->width};
    dele_npz_f32(npz, "logits", p->again, 2, wide, err);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < N_SITES; k++)
            if (reads[i].site == sites[k].site) {
                char name[64];
                snprintf(name, sizeof name, k ? "%s.%d" : "%s", sites[k].name, reads[i].layer);
                dele_npz_f32(npz, name, reads[i].seen, 2, narrow, err);
            }
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
