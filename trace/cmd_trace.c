/* lacuna trace -- where in the model does a fact live?
 *
 *   reads    a model, and facts in ROME's format
 *   writes   DIR/facts.jsonl, traces/, summary.tsv, layers.tsv, mask.json, plots/, manifest.json
 *   next     lacuna unlearn MODEL --mask DIR/mask.json ...; lacuna plot DIR */
#include "trace/cmd_trace.h"

#include <string.h>

#include "base/manifest.h"
#include "plots/gnuplot.h"
#include "trace/trace.h"

typedef struct {
    lac_trace_opts o;
    const char *facts, *out;
    int pictures;
} command;

static void report(const lac_trace *trace)
{
    const lac_suggestion *s = &trace->suggestion;
    printf("traced %zu of %zu facts; p(answer) clean %.3f, corrupted %.3f (sigma %.6g)\n", trace->n_traced, trace->n,
           trace->high, trace->low, trace->sigma);
    for (size_t i = 0, shown = 0; i < trace->n; i++) {
        const lac_traced *t = &trace->facts[i];
        if (!t->left_out) continue;
        if (shown++ == 5) {
            printf("  more were left out: facts.jsonl has the reasons\n");
            break;
        }
        printf("  left out %d: %s\n", t->fact->id, t->left_out);
    }
    if (!trace->n_traced) return;
    for (int kind = 0; kind < LAC_N_KINDS; kind++)
        if (trace->kind[kind]) {
            putchar('\n');
            lac_trace_sketch_average(stdout, trace, (lac_kind)kind);
        }
    if (s->to > s->from)
        printf("\nmask: %s %d-%d, carrying %.0f %% of the effect\n", lac_kind_name[s->kind], s->from, s->to - 1,
               100 * s->share);
    else
        printf("\nno mask: restoring gained nothing at the last subject token\n");
}

static lac_status report_json(const lac_trace *trace, lac_err *err)
{
    const lac_suggestion *s = &trace->suggestion;
    cJSON *json = cJSON_CreateObject(), *layers;
    cJSON_AddNumberToObject(json, "facts", (double)trace->n);
    cJSON_AddNumberToObject(json, "traced", (double)trace->n_traced);
    cJSON_AddItemToObject(json, "clean", lac_json_number(trace->high));
    cJSON_AddItemToObject(json, "corrupted", lac_json_number(trace->low));
    cJSON_AddItemToObject(json, "sigma", lac_json_number(trace->sigma));
    cJSON_AddItemToObject(json, "suggested_layers", layers = cJSON_CreateArray());
    for (int l = s->from; l < s->to; l++) cJSON_AddItemToArray(layers, cJSON_CreateNumber(l));
    cJSON_AddItemToObject(json, "share", lac_json_number(s->share));
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (!text) return lac_fail(err, LAC_ERR_MEMORY, "out of memory while printing the result");
    puts(text);
    cJSON_free(text);
    return LAC_OK;
}

static lac_status save(const lac_trace *trace, const command *c, const lac_outdir *out, lac_manifest *manifest,
                       const char *model, lac_err *err)
{
    char path[1100], plots[1100];
    snprintf(path, sizeof path, "%s/manifest.json", out->part);
    snprintf(plots, sizeof plots, "%s/plots", out->part);
    if (lac_trace_save(trace, out->part, c->pictures, err)) return err->code;
    lac_err drawing = {0};
    if (lac_plots_draw(plots, NULL, &drawing))
        fprintf(stderr, "lacuna: %s (everything else is in %s)\n", drawing.msg, out->path);
    lac_manifest_set(manifest, "sigma", lac_json_number(trace->sigma));
    lac_manifest_set(manifest, "row_layers", lac_json_number(trace->row_layers));
    if (lac_manifest_input(manifest, model, err) || lac_manifest_input(manifest, c->facts, err)) return err->code;
    return lac_manifest_save(manifest, path, err);
}

static lac_status work(const command *c, const char *path, const lac_common *common, lac_manifest *manifest,
                       lac_outdir *out, lac_model *model, lac_arena *arena, lac_err *err)
{
    lac_facts facts;
    lac_trace trace;
    lac_progress progress = {0};
    if (lac_outdir_open(out, c->out, err) || lac_model_load(model, path, arena, err) ||
        lac_facts_load(&facts, c->facts, arena, err))
        return err->code;
    size_t n = 0;
    for (size_t i = 0; i < facts.n; i++)
        n += !*c->o.split || (facts.fact[i].split && !strcmp(facts.fact[i].split, c->o.split));
    if (c->o.limit && n > (size_t)c->o.limit) n = (size_t)c->o.limit;
    lac_progress_begin(&progress, common->quiet ? NULL : stderr, "trace", "facts", (double)n);
    lac_status status = lac_trace_run(&trace, model, &facts, &c->o, &progress, arena, err);
    lac_progress_end(&progress);
    if (status || save(&trace, c, out, manifest, path, err) || lac_outdir_commit(out, err)) return err->code;
    if (common->json) return report_json(&trace, err);
    report(&trace);
    return LAC_OK;
}

int cmd_trace(int argc, char **argv)
{
    command c = {.o = LAC_TRACE_DEFAULTS, .facts = "", .out = "", .pictures = 20};
    const char *model_path = NULL;
    const lac_option options[] = {
        LAC_OPT("facts", &c.facts, "facts in ROME's format, JSON or JSONL"),
        LAC_OPT("out", &c.out, "a new directory for the result"),
        LAC_OPT("kinds", &c.o.kinds, "what is restored: any of hidden,mlp,attn"),
        LAC_OPT("window", &c.o.window, "layers restored together for mlp and attn"),
        LAC_OPT("samples", &c.o.samples, "noise samples a fact"),
        LAC_OPT("noise", &c.o.noise, "s3: three standard deviations of the subjects' embeddings; or a number"),
        LAC_OPT("noise-sigma", &c.o.sigma, "sigma verbatim, instead of --noise"),
        LAC_OPT("seed", &c.o.seed, "of the noise (numpy's RandomState), fresh for each fact"),
        LAC_OPT("limit", &c.o.limit, "stop when so many facts are traced; 0: all"),
        LAC_OPT("split", &c.o.split, "only facts of this split, as in forget; sigma is still measured on all"),
        LAC_OPT("answer", &c.o.answer, "argmax: the model's own, which must be the attribute; attribute: that token"),
        LAC_OPT("pictures", &c.pictures, "facts that get pictures of their own, besides the averages"),
        LAC_OPT("memory", &c.o.memory, "MiB for one fact's caches and batches, beside the model"),
        LAC_FLAG("reference", &c.o.reference, "recompute every cell from the tokens up (slow; agrees to rounding)"),
        {0}};
    const lac_usage usage = {.command = "trace", .summary = "find the layers that carry a fact, by causal tracing",
                             .synopsis = "MODEL --facts FILE --out DIR",
                             .example = "lacuna trace models/olmo --facts facts.json --out trace-olmo --limit 20",
                             .options = options, .positional = &model_path, .n_positional = 1};
    lac_arena arena = {0};
    lac_err err = {0};
    lac_common common = {0};
    lac_model model = {0};
    lac_outdir out = {0};
    lac_manifest manifest = {0};
    if (!lac_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help) {
        if (!*c.facts || !*c.out)
            lac_fail(&err, LAC_ERR_USAGE, "trace needs --facts FILE and --out DIR (lacuna trace --help)");
        else {
            lac_manifest_begin(&manifest, &usage, argc, argv);
            work(&c, model_path, &common, &manifest, &out, &model, &arena, &err);
        }
    }
    if (err.code) lac_outdir_abandon(&out);
    lac_manifest_release(&manifest);
    lac_model_release(&model);
    lac_arena_release(&arena);
    return lac_complain(&err);
}
