/* deleatur parity -- does this model compute what the reference computes?
 *
 *   reads    a model; an .npz of states that another program has stored for some tokens
 *            (model/parity.h; tests/reference/parity_states.py makes one from transformers)
 *   prints   the largest relative difference of a row at each site of each layer, and the first
 *            layer, site and row that drifts: status 1 then */

#include "cli/cmd.h"

#include <stdio.h>
#include <string.h>

#include "adapter/adapter.h"
#include "base/json_out.h"
#include "base/table.h"
#include "model/parity.h"
#include "option/option.h"

typedef struct {
    const char *against;
    double tolerance;
    int memory;
    dele_adapter_options adapters;
} parity_settings;

/* "embed", "3", "head". */
static void put_layer(char text[16], const dele_parity_line *line, int n_layers)
{
    if (line->layer >= 0 && line->layer < n_layers)
        snprintf(text, 16, "%d", line->layer);
    else
        snprintf(text, 16, "%s", line->layer < 0 ? "embed" : "head");
}

/* "layer 3, mlp_out", "the embedding", "the logits". */
static void put_place(char text[64], const dele_parity_line *line)
{
    if (line->layer < 0)
        snprintf(text, 64, "the embedding");
    else if (line->site == DELE_PARITY_LOGITS)
        snprintf(text, 64, "the logits");
    else
        snprintf(text, 64, "layer %d, %s", line->layer, dele_parity_site_name[line->site]);
}

/* The sentence of a model that drifts, with what a look at the other sites suggests. */
static dele_status drifts(const dele_parity *p, const dele_parity_states *s, const dele_model *m,
                          double tolerance, dele_err *err)
{
    const dele_parity_line *d = p->drift, *last = &p->line[p->n_lines - 1];
    const bool normed = d == last - 1 && !last->n_beyond;
    char place[64], token[80] = "";
    put_place(place, d);
    if (m->tokenizer) {
        dele_arena arena = {0};
        const char *text = dele_decode(m->tokenizer, &s->tokens[d->first], 1, false, &arena, NULL);
        if (text) snprintf(token, sizeof token, ", \"%.60s\"", text);
        dele_arena_release(&arena);
    }
    return dele_fail(err, DELE_ERR_DATA,
                     "%s drifts from %s: first %s, row %zu (id %d%s), relative difference %.3g "
                     "beyond %.3g%s",
                     m->path, s->path, place, d->first, s->tokens[d->first], token, d->of_first,
                     tolerance,
                     normed ? "; the logits agree, so the file may have the state after the final "
                              "norm there, as transformers' hidden_states[-1]"
                            : "");
}

static void print_parity_table(const dele_parity *p, int n_layers, dele_table_form form,
                               dele_err *err)
{
    dele_table t = {0};
    dele_table_head(&t, "layer\tsite\tlargest\trow\tbeyond");
    for (size_t i = 0; i < p->n_lines; i++) {
        const dele_parity_line *line = &p->line[i];
        char layer[16];
        put_layer(layer, line, n_layers);
        dele_table_cell(&t, "%s", layer);
        dele_table_cell(&t, "%s", dele_parity_site_name[line->site]);
        dele_table_real(&t, "%.3g", line->largest);
        dele_table_cell(&t, "%zu", line->row);
        dele_table_cell(&t, "%zu", line->n_beyond);
        dele_table_row(&t);
    }
    dele_table_print(&t, stdout, form, err);
}

static cJSON *line_json(const dele_parity_line *line, int n_layers)
{
    char layer[16];
    cJSON *o = cJSON_CreateObject();
    put_layer(layer, line, n_layers);
    cJSON_AddItemToObject(o, "layer",
                          line->layer >= 0 && line->layer < n_layers
                              ? cJSON_CreateNumber(line->layer)
                              : cJSON_CreateString(layer));
    cJSON_AddStringToObject(o, "site", dele_parity_site_name[line->site]);
    cJSON_AddItemToObject(o, "largest", dele_json_number(line->largest));
    cJSON_AddNumberToObject(o, "row", (double)line->row);
    cJSON_AddNumberToObject(o, "beyond", (double)line->n_beyond);
    return o;
}

static dele_status print_parity_json(const dele_parity *p, const dele_parity_states *s,
                                     int n_layers, double tolerance, dele_err *err)
{
    cJSON *o = cJSON_CreateObject(), *sites = cJSON_AddArrayToObject(o, "sites"), *drift;
    for (size_t i = 0; i < p->n_lines; i++)
        cJSON_AddItemToArray(sites, line_json(&p->line[i], n_layers));
    cJSON_AddNumberToObject(o, "rows", (double)s->n);
    cJSON_AddNumberToObject(o, "top1_equal", (double)p->n_top1);
    cJSON_AddItemToObject(o, "tolerance", dele_json_number(tolerance));
    if (p->drift) {
        drift = line_json(p->drift, n_layers);
        cJSON_AddItemToObject(o, "drift", drift);
        cJSON_AddNumberToObject(drift, "first_row", (double)p->drift->first);
        cJSON_AddItemToObject(drift, "difference", dele_json_number(p->drift->of_first));
    } else {
        cJSON_AddNullToObject(o, "drift");
    }
    dele_json_show(o, err);
    cJSON_Delete(o);
    return err->code;
}

/* The table or the JSON first: a model that drifts is an error, and both are wanted then. */
static dele_status print_parity(const dele_parity *p, const dele_parity_states *s,
                                const dele_model *m, const parity_settings *o,
                                const dele_common *common, dele_err *err)
{
    const int n_layers = m->config.n_layers;
    if (common->json)
        print_parity_json(p, s, n_layers, o->tolerance, err);
    else
        print_parity_table(p, n_layers, dele_table_form_of(common->csv), err);
    if (!err->code && p->drift) return drifts(p, s, m, o->tolerance, err);
    const dele_parity_line *worst = p->line;
    char place[64];
    for (size_t i = 1; i < p->n_lines; i++)
        if (p->line[i].largest > worst->largest) worst = &p->line[i];
    put_place(place, worst);
    if (!err->code && !common->json && !common->csv)
        printf("\nno drift beyond %g: the largest relative difference is %.3g (%s, row %zu); the "
               "most likely token is the same in %zu of %zu rows\n",
               o->tolerance, worst->largest, place, worst->row, p->n_top1, s->n);
    return err->code;
}

static dele_status parity(const char *path, const parity_settings *o, const dele_common *common,
                          dele_arena *arena, dele_err *err)
{
    dele_model model = {0};
    dele_parity_states states;
    dele_parity result;
    if (!o->against) return dele_fail(err, DELE_ERR_USAGE, "parity: --against FILE.npz is needed");
    if (!(o->tolerance > 0))
        return dele_fail(err, DELE_ERR_USAGE, "--tolerance %g: give a number above 0",
                         o->tolerance);
    if (!dele_adapters_load(&model, path, &o->adapters, o->memory, 1, arena, err) &&
        !dele_parity_load(&states, o->against, &model, arena, err) &&
        !dele_parity_compare(&result, &states, &model, o->tolerance, arena, err))
        print_parity(&result, &states, &model, o, common, err);
    dele_model_release(&model);
    return err->code;
}

int cmd_parity(int argc, char **argv)
{
    parity_settings s = {
        .tolerance = 1e-4, .memory = DELE_DEFAULT_MEMORY, .adapters = {DELE_ADAPTER_DEFAULTS}};
    const char *path = NULL;
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("options"),
        DELE_OPT("against", &s.against,
                 "stored states (.npz) of the same model in another program"),
        DELE_OPT("tolerance", &s.tolerance,
                 "a row drifts where |ours - theirs| is more than this part of |theirs|"),
        DELE_ADAPTER_OPTIONS(s.adapters),
        DELE_MEMORY_OPTION(s.memory),
        {0}};
    /* clang-format on */
    const dele_usage usage = {
        .command = "parity",
        .summary = "compare a model's states with stored ones; name the first that drifts",
        .synopsis = "MODEL --against FILE.npz",
        .example = "deleatur parity model --against states.npz",
        .options = options,
        .positional = &path,
        .n_positional = 1,
        .tables = true};
    dele_common common = {0};
    dele_arena arena = {0};
    dele_err err = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help)
        parity(path, &s, &common, &arena, &err);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
