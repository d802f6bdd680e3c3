#include "routing/study/page.h"

#include <stdarg.h>
#include <string.h>

#include "base/text_out.h"
#include "plots/page.h"

typedef struct {
    const dele_routing_study *s;
    const char *dir;
} contents;

/* A table as HTML; releases it. */
static dele_status put_table(FILE *to, dele_table *t, dele_err *err)
{
    dele_arena scratch = {0};
    fputs("<div class=\"wide\"><table>\n", to);
    for (size_t i = 0; i < t->n && !t->err.code; i++) {
        const bool head = i < t->columns;
        char *text = dele_strdup(&scratch, t->cell[i].text, err);
        if (!text) break;
        if (i % t->columns == 0) fputs("<tr>", to);
        dele_text_from_cell(text);
        dele_html_element(to, head ? "th" : "td", t->cell[i].number || head ? "class=\"n\"" : "",
                          text);
        if ((i + 1) % t->columns == 0) fputs("</tr>\n", to);
    }
    fputs("</table></div>\n", to);
    const dele_status status =
        t->err.code ? dele_fail(err, t->err.code, "%s", t->err.msg) : DELE_OK;
    dele_arena_release(&t->arena);
    dele_arena_release(&scratch);
    *t = (dele_table){0};
    return status ? status : err->code;
}

/* The picture dir/plots/NAME.svg, if it was drawn. */
__attribute__((format(printf, 4, 5))) static void
put_picture(FILE *to, const contents *c, const char *caption, const char *format, ...)
{
    char name[100], path[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    if ((size_t)snprintf(path, sizeof path, "%s/plots/%s.svg", c->dir, name) < sizeof path)
        dele_html_figure(to, path, caption, caption);
}

/* ---- sections -------------------------------------------------------------------------------- */

static void put_top(FILE *to, const contents *c)
{
    const dele_routing_study *s = c->s;
    const dele_routes *r = &s->model->routed.routes;
    char name[128];
    int sparse = 0;
    for (int l = 0; l < r->n_layers; l++) sparse += s->model->layer[l].sparse;
    fputs("<header>\n<h1>Routing of ", to);
    dele_html_text(to, dele_routing_model_name(name, s->model->path));
    for (size_t i = 0; i < s->n_against; i++) {
        fputs(i ? ", " : ", then ", to);
        dele_html_text(to, dele_routing_model_name(name, s->against[i].after->path));
    }
    fprintf(to,
            "</h1>\n<p>%d of %d layers are mixtures of %d experts, of which each token takes %d; "
            "uniform routing would give each expert %.3g of the tokens.</p>\n",
            sparse, r->n_layers, r->n_experts, r->top_k, (double)r->top_k / r->n_experts);
    if (s->opts->compat == DELE_ROUTING_AS_RELEASED)
        fprintf(to,
                "<p>Co-activation and vocabulary specialisation are counted as the released code "
                "does (--compat %s).</p>\n",
                dele_routing_compat_name[s->opts->compat]);
    if (s->route_from) {
        fputs("<p>The model followed the routes of ", to);
        dele_html_element(to, "code", "", s->route_from);
        fputs(" instead of its own.</p>\n", to);
    }
    fputs("</header>\n", to);
}

static dele_status put_texts(FILE *to, const contents *c, dele_err *err)
{
    dele_table t = {0};
    fputs("<section><h2>Texts</h2>\n<p class=\"soft\">Each file is a domain. Counted: all but "
          "special tokens. Loss: nats per token.</p>\n",
          to);
    dele_routing_texts_table(&t, c->s->texts, c->s->model,
                             c->s->n_against ? c->s->against[0].after : NULL);
    put_table(to, &t, err);
    fputs("</section>\n", to);
    return err->code;
}

static dele_status put_comparisons(FILE *to, const contents *c, dele_err *err)
{
    if (!c->s->n_against) return DELE_OK;
    fputs("<section><h2>Before and after</h2>\n<p>Router saturation is the share of a token's "
          "experts that both models choose. TV is the total variation distance of the expert "
          "loads; swapped is what it would be if the two models' routes of a document could "
          "change places.</p>\n",
          to);
    for (size_t i = 0; i < c->s->n_against; i++) {
        dele_table t = {0};
        char name[128];
        dele_html_element(to, "h3", "",
                          dele_routing_model_name(name, c->s->against[i].after->path));
        dele_routing_comparison_table(&t, &c->s->against[i], true);
        if (put_table(to, &t, err)) return err->code;
    }
    fputs("<div class=\"figures\">", to);
    put_picture(to, c, "Router saturation by layer.", "saturation");
    put_picture(to, c, "Distance of the two models' expert loads by layer and text.", "shift");
    fputs("</div></section>\n", to);
    return DELE_OK;
}

static dele_status put_layers(FILE *to, const contents *c, dele_err *err)
{
    dele_table t = {0};
    fputs("<section><h2>Layers</h2>\n<p class=\"soft\">DS_max: the largest domain "
          "specialisation, of which expert in which domain, and with shuffled domains. TV_mean: "
          "mean distance of two domains' loads, with shuffled domains, and p. CA_max: the largest "
          "co-activation. VS: vocabulary specialisation of top-1 experts, token-weighted, and "
          "with shuffled ids.</p>\n",
          to);
    dele_routing_layers_table(&t, c->s->model);
    put_table(to, &t, err);
    fputs("<div class=\"figures\">", to);
    for (int i = 0; i < 6; i++) {
        static const char *const name[] = {"entropy", "distance", "vocabulary"};
        static const char *const caption[] = {
            "Entropy of the load: 1 where all experts are used equally",
            "Distance of the domains' loads; grey: documents with shuffled domains",
            "Vocabulary specialisation; grey: shuffled ids"};
        char text[100];
        snprintf(text, sizeof text, "%s%s.", caption[i / 2],
                 !c->s->n_against ? ""
                 : i % 2          ? "; after"
                                  : "; before");
        put_picture(to, c, text, "%s%s", name[i / 2], i % 2 ? "_after" : "");
    }
    fputs("</div></section>\n", to);
    return err->code;
}

static void put_pictures(FILE *to, const contents *c)
{
    const dele_routing_measures *m = c->s->model;
    int layer[3];
    const int n = dele_routing_some_layers(layer, m);
    fputs("<section><h2>Domain specialisation</h2>\n<p>The share of a domain's tokens for which "
          "an expert is among those chosen.</p>\n<div class=\"figures\">",
          to);
    for (int i = 0; i < n; i++)
        put_picture(to, c, "Domain specialisation by expert.", "specialisation_layer_%d", layer[i]);
    for (size_t d = 0; d < m->routed.n_domains; d++)
        put_picture(to, c, m->routed.domain_name[d], "specialisation_%zu", d);
    fputs("</div></section>\n<section><h2>Co-activation</h2>\n<p>How often the expert of the "
          "column is active where that of the row is.</p>\n<div class=\"figures\">",
          to);
    for (int i = 0; i < n; i++)
        put_picture(to, c, "The experts with the largest co-activation.", "coactivation_layer_%d",
                    layer[i]);
    fputs("</div></section>\n<section><h2>Vocabulary specialisation</h2>\n", to);
    if (c->s->opts->compat != DELE_ROUTING_AS_RELEASED)
        fprintf(to, "<p>Of ids that occur %d times or more.</p>\n", c->s->opts->min_count);
    fputs("<div class=\"figures\">", to);
    for (int i = 0; i < n; i++)
        put_picture(to, c, "Mean over the ids that belong to each expert.", "vocabulary_layer_%d",
                    layer[i]);
    fputs("</div></section>\n", to);
}

static dele_status put_published(FILE *to, const contents *c, dele_err *err)
{
    size_t n;
    const dele_anchor *anchors = dele_anchors_for(&n, c->s->config);
    dele_table t = {0};
    if (!n) return DELE_OK;
    fputs("<section><h2>Published numbers</h2>\n<p class=\"soft\">Of ", to);
    dele_html_text(to, dele_anchors_model);
    fputs(", from the counts that its authors released. Two of their own runs differ by up to "
          "0.007. A domain is compared where a text has its name (GitHub, arXiv, Wikipedia, Books, "
          "C4). Fine-tuning moved the loads of layers 0, 7 and 15 by TV 0.048, 0.050 and 0.083, "
          "preference optimisation by 0.006, 0.007 and 0.011.</p>\n",
          to);
    dele_routing_anchors_table(&t, anchors, n, c->s->model);
    put_table(to, &t, err);
    fputs("</section>\n", to);
    return err->code;
}

static dele_status fill_page(FILE *to, void *context, dele_err *err)
{
    const contents *c = context;
    put_top(to, c);
    if (put_texts(to, c, err) || put_comparisons(to, c, err) || put_layers(to, c, err))
        return err->code;
    put_pictures(to, c);
    return put_published(to, c, err);
}

dele_status dele_routing_page(const dele_routing_study *s, const char *dir, dele_err *err)
{
    dele_arena arena = {0};
    contents c = {s, dir};
    const char *path = dele_printf(&arena, err, "%s/routing.html", dir);
    if (path) dele_report_write(path, "Routing study", fill_page, &c, err);
    dele_arena_release(&arena);
    return err->code;
}
