#include "routing/study/pictures.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_out.h"
#include "base/text_out.h"

enum { MAP_EXPERTS = 16, MOST_PANELS = 26 };

/* ---- parts ----------------------------------------------------------------------------------- */

typedef struct {
    const dele_routing_study *s;
    const dele_routing_measures *before, *after; /* after: NULL, or the first other model */
    const char *dir;
    dele_err *err;
} drawing;

/* Opens dir/NAME.tsv with the script's name. */
__attribute__((format(printf, 4, 5))) static dele_status
open_picture(dele_writer *out, const drawing *d, const char *script, const char *format, ...)
{
    char name[100], path[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    if ((size_t)snprintf(path, sizeof path, "%s/%s.tsv", d->dir, name) >= sizeof path)
        return dele_fail(d->err, DELE_ERR_FILE, "%s: too long a path", d->dir);
    if (dele_writer_open(out, path, d->err)) return d->err->code;
    fprintf(out->stream, "# plot %s\n", script);
    return DELE_OK;
}

static void put_line(FILE *to, const char *name, const char *text)
{
    fprintf(to, "# %s ", name);
    dele_text_put(to, text, DELE_TEXT_LINE);
    fputc('\n', to);
}

/* "# note top 8 of 64 experts, 204,800 tokens" and "# model before.gguf, after". */
static void put_note(FILE *to, const drawing *d, const char *more)
{
    const dele_routes *r = &d->before->routed.routes;
    char before[128], after[128];
    size_t tokens = 0;
    for (size_t i = 0; i < d->before->routed.n_domains; i++)
        tokens += d->before->count[DELE_TOP_K].tokens[i];
    fprintf(to, "# note %s%stop %d of %d experts, %zu tokens\n# model ", more, *more ? "; " : "",
            r->top_k, r->n_experts, tokens);
    dele_text_put(to, dele_routing_model_name(before, d->before->path), DELE_TEXT_LINE);
    if (d->after) {
        fputs(", then ", to);
        dele_text_put(to, dele_routing_model_name(after, d->after->path), DELE_TEXT_LINE);
    }
    fputc('\n', to);
}

static void put_real_cell(FILE *to, double x)
{
    if (isfinite(x))
        fprintf(to, "\t%.9g", x);
    else
        fputs("\tnan", to);
}

static double uniform_share(const drawing *d)
{
    const dele_routes *r = &d->before->routed.routes;
    return (double)r->top_k / r->n_experts;
}

/* ---- bars ------------------------------------------------------------------------------------ */

static dele_status save_specialisation_bars(const drawing *d, int l)
{
    const dele_routed *r = &d->before->routed;
    const size_t n = r->n_domains < MOST_PANELS ? r->n_domains : MOST_PANELS;
    dele_writer out = {0};
    if (open_picture(&out, d, "experts.gp", "specialisation_layer_%d", l)) return d->err->code;
    fprintf(out.stream, "# title Domain specialisation, layer %d\n# level %.9g\n", l,
            uniform_share(d));
    put_note(out.stream, d, "dashed: uniform routing");
    if (d->after) fputs("# pair 1\n", out.stream);
    for (size_t i = 0; i < n; i++) {
        const char name[] = {'p', 'a', 'n', 'e', 'l', '_', (char)('a' + i), '\0'};
        put_line(out.stream, name, r->domain_name[i]);
    }
    for (size_t i = 0; i < n; i++)
        for (int e = 0; e < r->routes.n_experts; e++) {
            fprintf(out.stream, "%zu\t%d", i, e);
            put_real_cell(out.stream,
                          dele_domain_specialisation(&d->before->count[DELE_TOP_K], i, l, e));
            if (d->after)
                put_real_cell(out.stream,
                              dele_domain_specialisation(&d->after->count[DELE_TOP_K], i, l, e));
            fputc('\n', out.stream);
        }
    return dele_writer_commit(&out, d->err);
}

/* Whether an id occurs often enough for a bar. */
static bool has_vocabulary(const dele_routing_measures *m, int l)
{
    for (int by = 0; m && by < DELE_N_VOCABULARIES; by++)
        for (int e = 0; e < m->routed.routes.n_experts; e++)
            if (isfinite(m->layer[l].vocabulary[by][DELE_TOP_1].by_expert[e])) return true;
    return false;
}

static dele_status save_vocabulary_bars(const drawing *d, int l)
{
    dele_writer out = {0};
    if (!has_vocabulary(d->before, l) && !has_vocabulary(d->after, l)) return DELE_OK;
    if (open_picture(&out, d, "experts.gp", "vocabulary_layer_%d", l)) return d->err->code;
    fprintf(out.stream, "# title Vocabulary specialisation of the ids of each expert, layer %d\n",
            l);
    put_note(out.stream, d, "top-1 experts, unweighted means over ids");
    fputs("# ylabel vocabulary specialisation\n# panel_a input id\n# panel_b ground truth: the id "
          "that follows\n# panel_c predicted id\n",
          out.stream);
    if (d->after) fputs("# pair 1\n", out.stream);
    for (int by = 0; by < DELE_N_VOCABULARIES; by++)
        for (int e = 0; e < d->before->routed.routes.n_experts; e++) {
            fprintf(out.stream, "%d\t%d", by, e);
            put_real_cell(out.stream, d->before->layer[l].vocabulary[by][DELE_TOP_1].by_expert[e]);
            if (d->after)
                put_real_cell(out.stream,
                              d->after->layer[l].vocabulary[by][DELE_TOP_1].by_expert[e]);
            fputc('\n', out.stream);
        }
    return dele_writer_commit(&out, d->err);
}

/* ---- maps ------------------------------------------------------------------------------------ */

/* Layers down, experts across; the second model's columns after the first's. */
static dele_status save_specialisation_map(const drawing *d, size_t domain)
{
    const dele_routed *r = &d->before->routed;
    const int E = r->routes.n_experts, L = r->routes.n_layers;
    double most = 0;
    int row = 0;
    dele_writer out = {0};
    if (open_picture(&out, d, "heatmap.gp", "specialisation_%zu", domain)) return d->err->code;
    for (int side = 0; side < (d->after ? 2 : 1); side++)
        for (int i = 0; i < L * E; i++)
            most = fmax(
                most, dele_domain_specialisation(&(side ? d->after : d->before)->count[DELE_TOP_K],
                                                 domain, i / E, i % E));
    fputs("# title Domain specialisation: ", out.stream);
    dele_text_put(out.stream, r->domain_name[domain], DELE_TEXT_LINE);
    fprintf(out.stream,
            "\n# xlabel expert\n# ylabel layer\n# cblabel share of the domain's tokens\n# min "
            "0\n# max %.9g\n",
            most);
    if (d->after) fprintf(out.stream, "# pair %d\n", E);
    char more[60];
    snprintf(more, sizeof more, "uniform routing: %.3g", uniform_share(d));
    put_note(out.stream, d, more);
    for (int l = 0; l < L; l++) {
        if (!d->before->layer[l].sparse) continue;
        for (int x = 0; x < (d->after ? 2 : 1) * E; x++) {
            const dele_routing_measures *m = x < E ? d->before : d->after;
            fprintf(out.stream, "%d\t%d\t%d", row, l, x);
            put_real_cell(out.stream,
                          dele_domain_specialisation(&m->count[DELE_TOP_K], domain, l, x % E));
            fputc('\n', out.stream);
        }
        row++;
    }
    return dele_writer_commit(&out, d->err);
}

typedef struct {
    int i, j;
    double share;
} map_pair;

static int from_the_largest(const void *a, const void *b)
{
    const map_pair *x = a, *y = b;
    if (x->share != y->share) return x->share > y->share ? -1 : 1;
    return x->i != y->i ? (x->i > y->i) - (x->i < y->i) : (x->j > y->j) - (x->j < y->j);
}

/* The experts of the pairs with the largest co-activation, in the order in which they come up, as
 * in the released figures; fewer where fewer are active together. */
static dele_status choose_experts(int chosen[MAP_EXPERTS], int *n, const dele_routing_measures *m,
                                  int l, dele_err *err)
{
    const int E = m->routed.routes.n_experts;
    dele_arena arena = {0};
    map_pair *pair = DELE_NEW(&arena, map_pair, (size_t)E * (size_t)E, err);
    size_t n_pairs = 0;
    *n = 0;
    for (int i = 0; i < E && pair; i++)
        for (int j = 0; j < E; j++) {
            const double x = dele_coactivation(m, l, i, j);
            if (i != j && x > 0) pair[n_pairs++] = (map_pair){i, j, x};
        }
    if (pair) qsort(pair, n_pairs, sizeof *pair, from_the_largest);
    for (size_t p = 0; p < n_pairs; p++)
        for (int side = 0; side < 2 && *n < MAP_EXPERTS; side++) {
            const int e = side ? pair[p].j : pair[p].i;
            bool there = false;
            for (int i = 0; i < *n; i++) there |= chosen[i] == e;
            if (!there) chosen[(*n)++] = e;
        }
    dele_arena_release(&arena);
    return pair ? DELE_OK : err->code;
}

static dele_status save_coactivation_map(const drawing *d, int l)
{
    int chosen[MAP_EXPERTS], n;
    dele_writer out = {0};
    if (choose_experts(chosen, &n, d->before, l, d->err) || n < 2 ||
        open_picture(&out, d, "heatmap.gp", "coactivation_layer_%d", l))
        return d->err->code;
    fprintf(out.stream,
            "# title Co-activation in layer %d: the %d experts with the largest\n# xlabel also "
            "active\n# ylabel expert\n# cblabel share of the expert's tokens\n# labels 1\n# "
            "colour red\n# min 0\n",
            l, n);
    if (d->after) fprintf(out.stream, "# pair %d\n", n);
    put_note(out.stream, d,
             d->s->opts->compat == DELE_ROUTING_AS_RELEASED
                 ? "neighbours in the order of probability only, as released"
                 : "all pairs");
    for (int i = 0; i < n; i++)
        for (int x = 0; x < (d->after ? 2 : 1) * n; x++) {
            const int j = chosen[x % n];
            fprintf(out.stream, "%d\t%d\t%d", i, chosen[i], x);
            put_real_cell(out.stream,
                          chosen[i] == j
                              ? (double)NAN
                              : dele_coactivation(x < n ? d->before : d->after, l, chosen[i], j));
            fprintf(out.stream, "\t%d\n", j);
        }
    return dele_writer_commit(&out, d->err);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* One line of a picture of layers.gp: values by layer. */
static void begin_block(FILE *to, bool *any, const char *name)
{
    if (*any) fputs("\n\n", to);
    *any = true;
    dele_text_put(to, name, DELE_TEXT_LINE);
    fputc('\n', to);
}

static void put_point(FILE *to, int l, double x, dele_interval interval)
{
    if (isnan(x)) return;
    fprintf(to, "%d", l);
    put_real_cell(to, x);
    put_real_cell(to, dele_interval_known(interval) ? interval.low : x);
    put_real_cell(to, dele_interval_known(interval) ? interval.high : x);
    fputc('\n', to);
}

static const dele_interval no_interval = {(double)NAN, (double)NAN};

/* A picture of one model's lines, which has a companion for the first other model, on one scale. */
typedef struct {
    drawing d;          /* before: the model; after: NULL */
    const char *suffix; /* "" or "_after" */
    bool known;         /* there is a value at all */
    double low, high;   /* of the scale */
} lines_picture;

static void put_scale(FILE *to, const lines_picture *x)
{
    if (x->high > x->low) fprintf(to, "# ymin %.9g\n# ymax %.9g\n", x->low, x->high);
}

/* The distances of all pairs of domains and, as grey lines, what shuffled labels give. */
static dele_status save_distances(const lines_picture *x)
{
    const dele_routing_measures *m = x->d.before;
    const dele_routed *r = &m->routed;
    const int L = r->routes.n_layers;
    bool any = false;
    size_t pair = 0;
    char name[300];
    dele_writer out = {0};
    if (r->n_domains < 2) return DELE_OK;
    if (open_picture(&out, &x->d, "layers.gp", "distance%s", x->suffix)) return x->d.err->code;
    fputs("# title Distance of the domains' expert loads (total variation)\n# ylabel TV distance\n"
          "# controls 2\n",
          out.stream);
    put_scale(out.stream, x);
    put_note(out.stream, &x->d, "bands: 95 % over documents");
    for (size_t a = 0; a < r->n_domains; a++)
        for (size_t b = a + 1; b < r->n_domains; b++, pair++) {
            snprintf(name, sizeof name, "%.120s – %.120s", r->domain_name[a], r->domain_name[b]);
            begin_block(out.stream, &any, name);
            for (int l = 0; l < L; l++) {
                const dele_contrast *c = &m->domains.distance[pair * (size_t)L + (size_t)l];
                put_point(out.stream, l, c->value, c->interval);
            }
        }
    begin_block(out.stream, &any, "shuffled domains, mean");
    for (int l = 0; l < L; l++) put_point(out.stream, l, m->domains.mean[l].control, no_interval);
    begin_block(out.stream, &any, "95th percentile");
    for (int l = 0; l < L; l++)
        put_point(out.stream, l, m->domains.mean[l].control_high, no_interval);
    return dele_writer_commit(&out, x->d.err);
}

static double entropy_of(const dele_routing_measures *m, int l, size_t domain)
{
    const dele_routing_layer *layer = &m->layer[l];
    return domain < m->routed.n_domains ? layer->domain_entropy[domain] : layer->entropy;
}

static dele_status save_entropies(const lines_picture *x)
{
    const dele_routing_measures *m = x->d.before;
    const dele_routed *r = &m->routed;
    bool any = false;
    dele_writer out = {0};
    if (open_picture(&out, &x->d, "layers.gp", "entropy%s", x->suffix)) return x->d.err->code;
    fputs("# title Normalised entropy of the expert load\n# ylabel entropy / log(experts)\n",
          out.stream);
    put_scale(out.stream, x);
    put_note(out.stream, &x->d, "1: all experts are used equally");
    for (size_t i = 0; i <= r->n_domains; i++) {
        begin_block(out.stream, &any, i < r->n_domains ? r->domain_name[i] : "all texts");
        for (int l = 0; l < r->routes.n_layers; l++)
            if (m->layer[l].sparse) put_point(out.stream, l, entropy_of(m, l, i), no_interval);
    }
    return dele_writer_commit(&out, x->d.err);
}

/* A layer's vocabulary specialisation as the mode has it. */
static double vocabulary_of(const dele_routing_study *s, const dele_routing_measures *m, int l,
                            int by)
{
    const dele_vocabulary *v = &m->layer[l].vocabulary[by][DELE_TOP_1];
    return s->opts->compat == DELE_ROUTING_AS_RELEASED ? v->unweighted : v->weighted;
}

/* Of short texts no id may occur often enough: then there is no picture. */
static dele_status save_vocabularies(const lines_picture *x)
{
    const dele_routing_measures *m = x->d.before;
    const int L = m->routed.routes.n_layers;
    bool any = false;
    dele_writer out = {0};
    if (!x->known) return DELE_OK;
    if (open_picture(&out, &x->d, "layers.gp", "vocabulary%s", x->suffix)) return x->d.err->code;
    fputs("# title Vocabulary specialisation of the experts\n# ylabel mean over ids of max VS\n# "
          "controls 1\n",
          out.stream);
    put_scale(out.stream, x);
    put_note(out.stream, &x->d,
             x->d.s->opts->compat == DELE_ROUTING_AS_RELEASED
                 ? "top-1 experts, unweighted mean over all ids, as released"
                 : "top-1 experts, weighted by the ids' counts");
    for (int by = 0; by < DELE_N_VOCABULARIES; by++) {
        begin_block(out.stream, &any, dele_vocabulary_name[by]);
        for (int l = 0; l < L; l++)
            if (m->layer[l].sparse)
                put_point(out.stream, l, vocabulary_of(x->d.s, m, l, by), no_interval);
    }
    begin_block(out.stream, &any, "input, ids shuffled");
    for (int l = 0; l < L; l++)
        if (m->layer[l].sparse)
            put_point(out.stream, l, m->layer[l].vocabulary[DELE_BY_INPUT][DELE_TOP_1].chance,
                      no_interval);
    return dele_writer_commit(&out, x->d.err);
}

/* Widens a scale to a value that is known. */
static void widen(lines_picture *x, double value)
{
    if (!isfinite(value)) return;
    x->known = true;
    x->low = fmin(x->low, value);
    x->high = fmax(x->high, value);
}

/* The three pictures of a model's lines, for the model and the first other one. */
static dele_status save_lines(const drawing *d)
{
    lines_picture distance = {0}, entropy = {.low = 1, .high = 1}, vocabulary = {0};
    const dele_routing_measures *side[] = {d->before, d->after};
    const int n = d->after ? 2 : 1, L = d->before->routed.routes.n_layers;
    for (int i = 0; i < n * L; i++) {
        const dele_routing_measures *m = side[i / L];
        const int l = i % L;
        if (!m->layer[l].sparse) continue;
        for (size_t pair = 0; pair < m->domains.n_pairs; pair++) {
            const dele_contrast *c = &m->domains.distance[pair * (size_t)L + (size_t)l];
            widen(&distance, 1.04 * fmax(c->value, c->interval.high));
        }
        for (size_t j = 0; j <= m->routed.n_domains; j++) widen(&entropy, entropy_of(m, l, j));
        for (int by = 0; by < DELE_N_VOCABULARIES; by++)
            widen(&vocabulary, 1.04 * vocabulary_of(d->s, m, l, by));
    }
    entropy.low -= 0.04 * (1 - entropy.low);
    for (int i = 0; i < n; i++) {
        const drawing own = {.s = d->s, .before = side[i], .dir = d->dir, .err = d->err};
        distance.d = entropy.d = vocabulary.d = own;
        distance.suffix = entropy.suffix = vocabulary.suffix = i ? "_after" : "";
        if (save_distances(&distance) || save_entropies(&entropy) || save_vocabularies(&vocabulary))
            return d->err->code;
    }
    return DELE_OK;
}

/* Saturation of each other model against the first, over all texts. */
static dele_status save_saturation(const drawing *d)
{
    const dele_routed *r = &d->before->routed;
    bool any = false;
    char name[300], model[128];
    dele_writer out = {0};
    if (open_picture(&out, d, "layers.gp", "saturation")) return d->err->code;
    fputs("# title Router saturation: experts that stay the same\n# ylabel share of the experts\n",
          out.stream);
    put_note(out.stream, d, "bands: 95 % over documents");
    for (size_t i = 0; i < d->s->n_against; i++)
        for (int set = 0; set < DELE_N_SETS; set++) {
            snprintf(name, sizeof name, "%.120s, top %d",
                     dele_routing_model_name(model, d->s->against[i].after->path),
                     dele_set_size(d->before, set));
            begin_block(out.stream, &any, name);
            for (int l = 0; l < r->routes.n_layers; l++)
                if (d->before->layer[l].sparse) {
                    const dele_contrast *x =
                        &d->s->against[i].layer[l].saturation[set][r->n_domains];
                    put_point(out.stream, l, x->value, x->interval);
                }
        }
    return dele_writer_commit(&out, d->err);
}

/* Distance of the loads of the first other model, by domain, with the control over all texts. */
static dele_status save_shift(const drawing *d)
{
    const dele_routed *r = &d->before->routed;
    const dele_routing_change *layer = d->s->against[0].layer;
    bool any = false;
    dele_writer out = {0};
    if (open_picture(&out, d, "layers.gp", "shift")) return d->err->code;
    fputs("# title Distance of the two models' expert loads (total variation)\n# ylabel TV "
          "distance\n# controls 1\n",
          out.stream);
    put_note(out.stream, d, "bands: 95 % over documents");
    for (size_t i = 0; i <= r->n_domains; i++) {
        begin_block(out.stream, &any, i < r->n_domains ? r->domain_name[i] : "all texts");
        for (int l = 0; l < r->routes.n_layers; l++)
            if (d->before->layer[l].sparse)
                put_point(out.stream, l, layer[l].distance[i].value, layer[l].distance[i].interval);
    }
    begin_block(out.stream, &any, "models swapped, 95th percentile");
    for (int l = 0; l < r->routes.n_layers; l++)
        if (d->before->layer[l].sparse)
            put_point(out.stream, l, layer[l].distance[r->n_domains].control_high, no_interval);
    return dele_writer_commit(&out, d->err);
}

dele_status dele_routing_save_pictures(const dele_routing_study *s, const char *dir, dele_err *err)
{
    const drawing d = {.s = s,
                       .before = s->model,
                       .after = s->n_against ? s->against[0].after : NULL,
                       .dir = dir,
                       .err = err};
    int layer[3];
    const int n = dele_routing_some_layers(layer, s->model);
    for (int i = 0; i < n && !err->code; i++)
        if (!save_specialisation_bars(&d, layer[i]) && !save_vocabulary_bars(&d, layer[i]))
            save_coactivation_map(&d, layer[i]);
    for (size_t i = 0; i < s->model->routed.n_domains && !err->code; i++)
        save_specialisation_map(&d, i);
    if (err->code || save_lines(&d) || !s->n_against || save_saturation(&d)) return err->code;
    return save_shift(&d);
}
