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
 *   packed     behind another segment of one batch, and beside it
 *   cached     one row a pass, continuing its own KV cache
 *   parents    three segments, each with the one before as its parent, the last of them twice
 *   late       starting at each layer from the states that enter it
 *   late-tail  the same for the rows behind a parent
 *   generated  ids that differ between cached generation and one whole pass a token (a number)
 *
 * "nan" where the rotation scales with the length of the text, so that no cache can be continued.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/npz.h"
#include "model/generate.h"

enum { MOST = 512 };

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_run run;
    int ids[MOST], rows[MOST], n;
    size_t width, vocab;
    float *logits, *again; /* [n, vocab] */
    float *states;         /* [n_layers, n, d_model]: the stream that enters each layer */
} probe;

static dele_status logits_of(float *out, probe *p, dele_batch *batch, const int *rows, size_t n,
                             dele_err *err)
{
    batch->output_rows = rows, batch->n_output_rows = n;
    dele_status status = dele_forward(&p->run, &p->model, batch, err);
    if (!status) dele_logits(out, &p->run, &p->model, p->run.final, n);
    return status;
}

static double apart(const probe *p, const float *ours, int from, size_t n)
{
    double worst = 0, scale = 1e-30;
    const float *want = p->logits + (size_t)from * p->vocab;
    for (size_t i = 0; i < n * p->vocab; i++) {
        const double gap = fabs((double)ours[i] - want[i]);
        worst = gap > worst || isnan(gap) ? gap : worst;
        scale = fmax(scale, fabs((double)want[i]));
    }
    return worst / scale;
}

/* The whole pass: logits, and every site of every layer into the file. */
static dele_status whole(probe *p, const char *out, dele_err *err)
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
    dele_patch *reads = DELE_NEW(&p->arena, dele_patch, (size_t)n_layers * (N_SITES + 1), err);
    float *seen = dele_alloc(&p->arena, (size_t)n_layers * N_SITES, each * sizeof *seen, err);
    size_t n = 0;
    if (!reads || !seen) return DELE_ERR_MEMORY;
    for (int layer = 0; layer < n_layers; layer++)
        reads[n++] = (dele_patch){.layer = layer,
                                  .n_rows = p->n,
                                  .site = DELE_RESID_PRE,
                                  .op = DELE_READ,
                                  .seen = p->states + (size_t)layer * each};
    const size_t first = n;
    for (size_t k = 0; k < N_SITES; k++)
        for (int layer = 0; layer < (sites[k].site == DELE_EMBED ? 1 : n_layers); layer++)
            if (p->model.config.family->site[sites[k].site]) {
                reads[n] = reads[0];
                reads[n].layer = layer, reads[n].site = sites[k].site;
                reads[n].seen = seen + (n - first) * each;
                n++;
            }
    const dele_segment s = {.tokens = p->ids, .n_rows = p->n};
    dele_batch batch = {.segments = &s, .n_segments = 1, .patches = reads, .n_patches = n};
    dele_status status = logits_of(p->logits, p, &batch, p->rows, (size_t)p->n, err);
    if (status || !*out) return status;
    dele_npz *npz = dele_npz_open(out, err);
    if (!npz) return err->code;
    const size_t wide[] = {(size_t)p->n, p->vocab}, narrow[] = {(size_t)p->n, p->width};
    dele_npz_f32(npz, "logits", p->logits, 2, wide, err);
    for (size_t i = first; i < n; i++)
        for (size_t k = 0; k < N_SITES; k++)
            if (reads[i].site == sites[k].site) {
                char name[64];
                snprintf(name, sizeof name, k ? "%s.%d" : "%s", sites[k].name, reads[i].layer);
                dele_npz_f32(npz, name, reads[i].seen, 2, narrow, err);
            }
    return dele_npz_close(npz, err);
}

/* ---- identities ------------------------------------------------------------------------------ */

static dele_status packed(double *gap, probe *p, dele_err *err)
{
    const int other = p->n / 2;
    dele_segment s[2] = {{.tokens = p->ids + 1, .n_rows = other},
                         {.tokens = p->ids, .n_rows = p->n}};
    int rows[MOST];
    for (int i = 0; i < p->n; i++) rows[i] = other + i;
    dele_batch batch = {.segments = s, .n_segments = 2};
    dele_status status = logits_of(p->again, p, &batch, rows, (size_t)p->n, err);
    *gap = apart(p, p->again, 0, (size_t)p->n);
    const dele_segment first = s[1];
    s[1] = s[0], s[0] = first;
    if (!status) status = logits_of(p->again, p, &batch, p->rows, (size_t)p->n, err);
    *gap = fmax(*gap, apart(p, p->again, 0, (size_t)p->n));
    return status;
}

static dele_status cached(double *gap, probe *p, dele_err *err)
{
    dele_kv kv;
    dele_status status = dele_kv_init(&kv, &p->model.config, NULL, 0, p->n, &p->arena, err);
    *gap = 0;
    for (int i = 0; i < p->n && !status; i++) {
        const dele_segment s = {.tokens = p->ids + i,
                                .n_rows = 1,
                                .first_pos = i,
                                .parent = i ? &kv : NULL,
                                .keep = &kv};
        dele_batch batch = {.segments = &s, .n_segments = 1};
        status = logits_of(p->again, p, &batch, p->rows, 1, err);
        *gap = fmax(*gap, apart(p, p->again, i, 1));
    }
    return status;
}

static dele_status parents(double *gap, probe *p, dele_err *err)
{
    const int a = p->n / 3, b = 2 * p->n / 3, tail = p->n - b;
    dele_kv kv[2];
    dele_status status = dele_kv_init(&kv[0], &p->model.config, NULL, 0, a, &p->arena, err);
    if (!status) status = dele_kv_init(&kv[1], &p->model.config, &kv[0], a, b - a, &p->arena, err);
    if (status) return status;
    dele_segment s[2] = {{.tokens = p->ids, .n_rows = a, .keep = &kv[0]}};
    dele_batch batch = {.segments = s, .n_segments = 1};
    status = logits_of(p->again, p, &batch, p->rows, (size_t)a, err);
    *gap = apart(p, p->again, 0, (size_t)a);
    s[0] = (dele_segment){
        .tokens = p->ids + a, .n_rows = b - a, .first_pos = a, .parent = &kv[0], .keep = &kv[1]};
    if (!status) status = logits_of(p->again, p, &batch, p->rows, (size_t)(b - a), err);
    *gap = fmax(*gap, apart(p, p->again, a, (size_t)(b - a)));
    s[0] = (dele_segment){.tokens = p->ids + b, .n_rows = tail, .first_pos = b, .parent = &kv[1]};
    s[1] = s[0];
    batch.n_segments = 2;
    if (!status) status = logits_of(p->again, p, &batch, p->rows, (size_t)(2 * tail), err);
    for (int k = 0; k < 2; k++)
        *gap = fmax(*gap, apart(p, p->again + (size_t)(k * tail) * p->vocab, b, (size_t)tail));
    return status;
}

/* From layer 0 on, each segment enters at a later layer; all of the whole text. */
static dele_status late(double *gap, probe *p, dele_err *err)
{
    dele_status status = DELE_OK;
    *gap = 0;
    for (int layer = 1; layer < p->model.config.n_layers && !status; layer++) {
        const dele_segment s[2] = {{.tokens = p->ids + 2, .n_rows = p->n / 2},
                                   {.n_rows = p->n,
                                    .start_layer = layer,
                                    .states = p->states + (size_t)layer * (size_t)p->n * p->width}};
        int rows[MOST];
        for (int i = 0; i < p->n; i++) rows[i] = p->n / 2 + i;
        dele_batch batch = {.segments = s, .n_segments = 2};
        status = logits_of(p->again, p, &batch, rows, (size_t)p->n, err);
        *gap = fmax(*gap, apart(p, p->again, 0, (size_t)p->n));
    }
    return status;
}

static dele_status late_tail(double *gap, probe *p, dele_err *err)
{
    const int from = 2 * p->n / 3, tail = p->n - from;
    dele_kv kv;
    dele_status status = dele_kv_init(&kv, &p->model.config, NULL, 0, from, &p->arena, err);
    *gap = 0;
    if (status) return status;
    dele_segment s = {.tokens = p->ids, .n_rows = from, .keep = &kv};
    dele_batch batch = {.segments = &s, .n_segments = 1};
    status = logits_of(p->again, p, &batch, p->rows, 1, err);
    for (int layer = 1; layer < p->model.config.n_layers && !status; layer++) {
        const float *states = p->states + ((size_t)layer * (size_t)p->n + (size_t)from) * p->width;
        s = (dele_segment){.n_rows = tail,
                           .first_pos = from,
                           .parent = &kv,
                           .start_layer = layer,
                           .states = states};
        status = logits_of(p->again, p, &batch, p->rows, (size_t)tail, err);
        *gap = fmax(*gap, apart(p, p->again, from, (size_t)tail));
    }
    return status;
}

static dele_status generated(double *gap, probe *p, dele_err *err)
{
    enum { NEW = 12 };
    int plain[MOST + NEW], out[NEW];
    size_t n_out = 0;
    dele_status status = DELE_OK;
    float *row = dele_alloc(&p->arena, p->vocab, sizeof *row, err);
    if (!row) return DELE_ERR_MEMORY;
    memcpy(plain, p->ids, (size_t)p->n * sizeof *plain);
    for (int n = p->n; n < p->n + NEW && !status; n++) {
        const dele_segment s = {.tokens = plain, .n_rows = n};
        const int last = n - 1;
        dele_batch batch = {.segments = &s, .n_segments = 1};
        status = logits_of(row, p, &batch, &last, 1, err);
        plain[n] = 0;
        for (size_t j = 1; j < p->vocab; j++)
            if (row[j] > row[plain[n]]) plain[n] = (int)j;
    }
    if (!status)
        status =
            dele_generate(out, &n_out, &p->run, &p->model, p->ids, (size_t)p->n, NEW, NULL, 0, err);
    *gap = NEW - (double)n_out;
    for (size_t i = 0; i < n_out; i++) *gap += out[i] != plain[p->n + (int)i];
    return status;
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

static const struct {
    const char *name;
    dele_status (*check)(double *gap, probe *p, dele_err *err);
} IDENTITIES[] = {{"packed", packed}, {"cached", cached},       {"parents", parents},
                  {"late", late},     {"late-tail", late_tail}, {"generated", generated}};
enum { N_IDENTITIES = sizeof IDENTITIES / sizeof *IDENTITIES };

static dele_status look(probe *p, const char *out, const char *grads, double *gap, dele_err *err)
{
    dele_status status = DELE_OK;
    p->width = (size_t)p->model.config.hidden_size, p->vocab = (size_t)p->model.config.vocab;
    p->logits = dele_alloc(&p->arena, (size_t)p->n, p->vocab * sizeof(float), err);
    p->again = dele_alloc(&p->arena, (size_t)p->n * 2, p->vocab * sizeof(float), err);
    p->states = dele_alloc(&p->arena, (size_t)p->model.config.n_layers * (size_t)p->n,
                           p->width * sizeof(float), err);
    if (!p->logits || !p->again || !p->states) return DELE_ERR_MEMORY;
    for (int i = 0; i < p->n; i++)
        if (p->ids[i] < 0 || (size_t)p->ids[i] >= p->vocab)
            return dele_fail(err, DELE_ERR_DATA, "id %d is not in the vocabulary", p->ids[i]);
    status = whole(p, out, err);
    for (size_t k = 0; k < N_IDENTITIES && *grads && !status; k++) {
        dele_err mine = {0};
        status = IDENTITIES[k].check(&gap[k], p, &mine);
        if (status && strstr(mine.msg, "dynamic scaling"))
            status = DELE_OK, gap[k] = NAN; /* it says why it continues no KV cache */
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
        for (int i = 0; i < p.n; i++) p.rows[i] = i;
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
