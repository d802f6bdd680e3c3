/* deleatur routing -- to which experts does a mixture send what, and does another model differ?
 *
 *   reads    a mixture of experts, texts (each file a domain), and other models of its shape or
 *            results of this command, for comparison
 *   writes   DIR/routing.json, tables, measures.npz, tokens.npz, plots/ with pictures,
 *            routing.html, manifest.json; DIR/against_N/ of each other model
 *            (src/routing/study/results.h)
 *   prints   the tables of texts, of layers and of comparisons; with --json, routing.json */
#include "cli/cmd.h"

#include <string.h>

#include "adapter/adapter.h"
#include "base/file_out.h"
#include "base/json_out.h"
#include "base/path_list.h"
#include "base/text_out.h"
#include "option/manifest.h"
#include "plots/gnuplot.h"
#include "routing/study/collect.h"
#include "routing/study/page.h"
#include "routing/study/pictures.h"
#include "routing/tokens_file.h"

enum { MOST_AGAINST = 16 };

typedef struct {
    dele_routing_opts o;
    const char *path, *text, *out, *against, *route_from;
    int window, tokens, memory;
    dele_adapter_options adapters;
    dele_common common;
    dele_manifest manifest;
    dele_outdir dir;
    dele_arena arena;
    dele_model model; /* opened only: config and tokenizer */
    dele_routing_texts texts;
    dele_routing_measures measures[1 + MOST_AGAINST];
    dele_routing_comparison comparison[MOST_AGAINST];
    const char *other[MOST_AGAINST]; /* [n_other] paths of --against */
    size_t n_other;
} routing_command;

/* ---- options --------------------------------------------------------------------------------- */

static dele_status check_numbers(const routing_command *c, dele_err *err)
{
    if (!c->text || !c->out)
        return dele_fail(err, DELE_ERR_USAGE,
                         "routing needs --text FILE,... and --out DIR (deleatur routing --help)");
    if (c->window < 0 || c->window == 1)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--window %d: give at least 2, or 0 for the model's context up to 2048",
                         c->window);
    if (c->tokens < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--tokens %d: it cannot be negative", c->tokens);
    if (c->o.min_count < 1)
        return dele_fail(err, DELE_ERR_USAGE, "--min-count %d: give at least 1", c->o.min_count);
    if (c->o.shuffles < 0 || c->o.shuffles > 100000)
        return dele_fail(err, DELE_ERR_USAGE, "--shuffles %d: give 0 to 100000", c->o.shuffles);
    return dele_memory_check(c->memory, err);
}

static dele_status split_others(routing_command *c, dele_err *err)
{
    char *rest = c->against ? dele_strdup(&c->arena, c->against, err) : NULL;
    for (char *item; (item = dele_path_list_next(&rest, dele_path_list_exists));) {
        if (!*item)
            return dele_fail(err, DELE_ERR_USAGE, "--against: a model is missing in \"%s\"",
                             c->against);
        if (c->n_other == MOST_AGAINST)
            return dele_fail(err, DELE_ERR_USAGE, "--against: more than %d models", MOST_AGAINST);
        c->other[c->n_other++] = item;
    }
    return err->code;
}

/* ---- routes ---------------------------------------------------------------------------------- */

static dele_routed_shape shape_of(const dele_config *config)
{
    return (dele_routed_shape){config->n_layers, config->n_experts, config->top_k, config->vocab};
}

/* The routes of --route-from, which must be of the texts' tokens. */
static dele_status load_forced(dele_routed *forced, routing_command *c, dele_err *err)
{
    const dele_routed_shape shape = shape_of(&c->model.config);
    if (dele_tokens_load(forced, c->route_from, &shape, &c->arena, err)) return err->code;
    for (int l = 0; l < shape.n_layers; l++)
        if (dele_routed_sparse(forced, l) != dele_layer_is_sparse(&c->model.config, l))
            return dele_fail(err, DELE_ERR_DATA, "%s: layer %d %s experts there, unlike in %s",
                             c->route_from, l, dele_routed_sparse(forced, l) ? "has" : "has no",
                             c->path);
    const dele_routed tokens = {
        .n = c->texts.n_tokens, .id = c->texts.id, .routes = forced->routes};
    return dele_routed_same_tokens(forced, &tokens, c->route_from, "--text", err);
}

/* Runs a model over the texts.  It is released before the next one is loaded. */
static dele_status run_model(routing_command *c, dele_routed *r, const char *path, bool first,
                             dele_err *err)
{
    static const dele_adapter_options none = {DELE_ADAPTER_DEFAULTS};
    char name[128];
    dele_model model = {0};
    dele_arena arena = {0};
    dele_run run = {0};
    dele_routed forced;
    dele_progress progress = {0};
    if (!(first && c->route_from && load_forced(&forced, c, err)) &&
        !dele_adapters_load(&model, path, first ? &c->adapters : &none, c->memory, SIZE_MAX, &arena,
                            err) &&
        !dele_routing_texts_routed(r, &c->texts, &model.config, &c->arena, err)) {
        if (model.config.vocab != c->model.config.vocab) {
            dele_fail(
                err, DELE_ERR_DATA,
                "%s has a vocabulary of %d ids, %s one of %d; routes can only be compared between "
                "models of one tokenizer",
                c->path, c->model.config.vocab, path, model.config.vocab);
        } else {
            dele_progress_begin(&progress, c->common.quiet ? NULL : stderr,
                                dele_routing_model_name(name, path), "tokens", (double)r->n);
            dele_routing_collect(r, &c->texts, &model,
                                 first && c->route_from ? &forced.routes : NULL, &run, &progress,
                                 err);
            dele_progress_end(&progress);
        }
    }
    dele_run_release(&run);
    dele_model_release(&model);
    dele_arena_release(&arena);
    return err->code;
}

/* The routes of another model: from a result of this command, or by running it. */
static dele_status routes_of_other(routing_command *c, dele_routed *r, const char *path,
                                   dele_err *err)
{
    const char *file = dele_printf(&c->arena, err, "%s/tokens.npz", path);
    const dele_routed_shape shape = shape_of(&c->model.config);
    dele_routed stored;
    if (!file) return err->code;
    if (!dele_path_exists(file)) return run_model(c, r, path, false, err);
    if (dele_tokens_load(&stored, file, &shape, &c->arena, err)) return err->code;
    /* documents, domains and next ids are the texts' */
    if (dele_routing_texts_routed(r, &c->texts, &c->model.config, &c->arena, err) ||
        dele_routed_same_tokens(&stored, r, path, "--text", err))
        return err->code;
    r->routes = stored.routes;
    r->predicted = stored.predicted;
    r->logp = stored.logp;
    return DELE_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static dele_status open_routing(routing_command *c, dele_err *err)
{
    if (dele_manifest_input(&c->manifest, c->path, err) ||
        dele_adapters_note(&c->manifest, &c->adapters, err))
        return err->code;
    for (size_t d = 0; d < c->texts.n_domains; d++)
        if (dele_manifest_input(&c->manifest, c->texts.domain[d].path, err)) return err->code;
    for (size_t i = 0; i < c->n_other; i++)
        if (dele_manifest_input(&c->manifest, c->other[i], err)) return err->code;
    if (c->route_from && dele_manifest_input(&c->manifest, c->route_from, err)) return err->code;
    return dele_outdir_open(&c->dir, c->out, err) || dele_outdir_sub(&c->dir, "plots", err)
               ? err->code
               : DELE_OK;
}

/* The model's config and tokenizer, and the texts in its tokens. */
static dele_status read_texts(routing_command *c, dele_err *err)
{
    if (dele_model_open(&c->model, c->path, &c->arena, err)) return err->code;
    const dele_config *config = &c->model.config;
    if (!config->n_experts)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s is no mixture of experts (family %s); routing can be studied in one",
                         c->path, config->family->hf);
    if (!c->model.tokenizer)
        return dele_fail(err, DELE_ERR_DATA, "%s holds no tokenizer, so text cannot be read",
                         c->path);
    const int longest = dele_longest(config);
    if (c->window > longest)
        return dele_fail(err, DELE_ERR_USAGE, "--window %d: the model's context is %d", c->window,
                         longest);
    const int window = c->window ? c->window : longest < 2048 ? longest : 2048;
    if (dele_routing_texts_read(&c->texts, c->model.tokenizer, window, (size_t)c->tokens, &c->arena,
                                err))
        return err->code;
    if (c->texts.n_tokens > DELE_MOST_TOKENS)
        return dele_fail(
            err, DELE_ERR_DATA,
            "the texts have %zu tokens, of which a result holds %d at most; take fewer "
            "of each with --tokens",
            c->texts.n_tokens, DELE_MOST_TOKENS);
    return DELE_OK;
}

static dele_status save_routing(routing_command *c, const dele_routing_study *s, const cJSON *json,
                                dele_err *err)
{
    const char *part = c->dir.part;
    const char *result = dele_printf(&c->arena, err, "%s/routing.json", part),
               *plots = dele_printf(&c->arena, err, "%s/plots", part),
               *manifest = dele_printf(&c->arena, err, "%s/manifest.json", part);
    if (!result || !plots || !manifest || dele_json_save(result, json, err) ||
        dele_routing_save(s, part, err) || dele_routing_save_pictures(s, plots, err))
        return err->code;
    dele_err drawing = {0}, page = {0};
    if (dele_plots_draw(plots, NULL, &drawing))
        dele_note("%s (everything else is in %s)", drawing.msg, c->dir.path);
    if (dele_routing_page(s, part, &page))
        dele_note("%s (everything else is in %s)", page.msg, c->dir.path);
    if (dele_manifest_save(&c->manifest, manifest, err)) return err->code;
    return dele_outdir_commit(&c->dir, err);
}

static void print_routing_table(const routing_command *c, dele_table *t, dele_err *err)
{
    dele_table_print(t, stdout, dele_table_form_of(c->common.csv), err);
}

static dele_status print_routing(const routing_command *c, const dele_routing_study *s,
                                 const cJSON *json, dele_err *err)
{
    size_t n_anchors;
    const dele_anchor *anchors = dele_anchors_for(&n_anchors, s->config);
    dele_table texts = {0}, layers = {0}, published = {0};
    if (c->common.json) return dele_json_show(json, err);
    dele_routing_texts_table(&texts, s->texts, s->model, s->n_against ? s->against[0].after : NULL);
    print_routing_table(c, &texts, err);
    putchar('\n');
    dele_routing_layers_table(&layers, s->model);
    print_routing_table(c, &layers, err);
    for (size_t i = 0; i < s->n_against; i++) {
        dele_table changes = {0};
        putchar('\n');
        dele_routing_comparison_table(&changes, &s->against[i], true);
        print_routing_table(c, &changes, err);
    }
    if (n_anchors) {
        putchar('\n');
        dele_routing_anchors_table(&published, anchors, n_anchors, s->model);
        print_routing_table(c, &published, err);
    }
    return err->code;
}

/* Routes and measures of all models, and the comparisons. */
static dele_status measure_models(routing_command *c, dele_err *err)
{
    for (size_t i = 0; i <= c->n_other; i++) {
        dele_routing_measures *m = &c->measures[i];
        m->path = i ? c->other[i - 1] : c->path;
        if (i ? routes_of_other(c, &m->routed, m->path, err)
              : run_model(c, &m->routed, m->path, true, err))
            return err->code;
        if (i && dele_routed_comparable(&c->measures[0].routed, &m->routed, c->path, m->path, err))
            return err->code;
    }
    for (size_t i = 0; i <= c->n_other; i++) {
        if (dele_routing_measure(&c->measures[i], &c->o, c->model.config.vocab, &c->arena, err) ||
            (i && dele_routing_compare(&c->comparison[i - 1], &c->measures[0], &c->measures[i],
                                       &c->o, &c->arena, err)))
            return err->code;
    }
    return DELE_OK;
}

static dele_status study_routing(routing_command *c, dele_err *err)
{
    if (check_numbers(c, err) || split_others(c, err) ||
        dele_routing_texts_list(&c->texts, c->text, &c->arena, err) || open_routing(c, err) ||
        read_texts(c, err) || measure_models(c, err))
        return err->code;
    const dele_routing_study s = {.opts = &c->o,
                                  .texts = &c->texts,
                                  .model = &c->measures[0],
                                  .against = c->comparison,
                                  .n_against = c->n_other,
                                  .config = &c->model.config,
                                  .tokenizer = c->model.tokenizer,
                                  .route_from = c->route_from};
    cJSON *json = dele_routing_json(&s);
    if (!json) return dele_fail(err, DELE_ERR_MEMORY, "out of memory for the result");
    if (!save_routing(c, &s, json, err)) print_routing(c, &s, json, err);
    cJSON_Delete(json);
    return err->code;
}

int cmd_routing(int argc, char **argv)
{
    routing_command c = {.o = DELE_ROUTING_DEFAULTS,
                         .memory = DELE_DEFAULT_MEMORY,
                         .adapters = {DELE_ADAPTER_DEFAULTS}};
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("texts"),
        DELE_OPT("text", &c.text,
                 "texts, each file a domain: PATH or NAME=PATH, several separated by commas; "
                 ".jsonl: each row is a document (\"text\", or prompt and output); other files: "
                 "plain text, each window is a document"),
        DELE_OPT("window", &c.window,
                 "maximum number of tokens of a window, which is run alone; 0: the model's "
                 "context, at most 2048"),
        DELE_OPT("tokens", &c.tokens, "maximum number of tokens of each text; 0: all"),
        DELE_GROUP("result"),
        DELE_OPT("out", &c.out, "directory for the result; must not exist"),
        DELE_GROUP("models"),
        DELE_OPT("against", &c.against,
                 "other models to compare with MODEL (after unlearning; earlier checkpoints), or "
                 "results of this command on the same texts; several separated by commas"),
        DELE_OPT("route-from", &c.route_from,
                 "a tokens.npz of the same texts: MODEL follows its routes instead of its "
                 "own"),
        DELE_ADAPTER_OPTIONS(c.adapters),
        DELE_MEMORY_OPTION(c.memory),
        DELE_GROUP("measures"),
        DELE_OPT("min-count", &c.o.min_count,
                 "vocabulary specialisation: ids that occur less often do not count"),
        DELE_OPT("shuffles", &c.o.shuffles,
                 "random reassignments of documents for the controls; 0: none"),
        DELE_CHOICE("compat", &c.o.compat, dele_routing_compat_name,
                    "count co-activation and vocabulary specialisation as defined (none), or as "
                    "the code released with the paper does (docs/moe.md)"),
        {0}};
    /* clang-format on */
    const dele_usage usage = {
        .command = "routing",
        .summary =
            "where a mixture of experts sends its tokens: specialisation, saturation, pictures",
        .synopsis = "MODEL --text FILE,... --out DIR",
        .example = "deleatur routing before --text forget.jsonl,retain.jsonl --against after --out "
                   "routes",
        .options = options,
        .positional = &c.path,
        .n_positional = 1,
        .tables = true};
    dele_err err = {0};
    if (!dele_options_parse(&c.common, &usage, argc, argv, &c.arena, &err) && !c.common.help) {
        dele_manifest_begin(&c.manifest, &usage, argc, argv);
        study_routing(&c, &err);
    }
    dele_outdir_abandon(&c.dir);
    dele_manifest_release(&c.manifest);
    dele_model_release(&c.model);
    dele_arena_release(&c.arena);
    return dele_complain(&err);
}
