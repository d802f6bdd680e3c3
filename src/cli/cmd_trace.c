/* deleatur trace -- where in the model does a fact live?
 *
 *   reads    a model, and facts in ROME's format; or one prompt, whose answer is the model's own,
 *            as in ROME's notebook
 *   writes   DIR/facts.jsonl, trace.json, traces/, summary.tsv, layers.tsv, mask.json, plots/,
 *            page.html, manifest.json (DIR.part until all is there; the same command resumes an
 *            interrupted one); with --attribution only attribution.tsv, attribution_summary.tsv,
 *            attribution_agreement.tsv, manifest.json
 *   next     deleatur unlearn MODEL --mask DIR/mask.json ...; deleatur plot DIR;
 *            deleatur trace --compare BEFORE AFTER (cmd_trace_compare.c) */
#include "cli/cmd.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "adapter/adapter.h"
#include "base/file.h"
#include "base/file_out.h"
#include "base/json_out.h"
#include "base/text_out.h"
#include "model/generate.h"
#include "option/manifest.h"
#include "plots/gnuplot.h"
#include "text/continuation.h"
#include "trace/attribution_facts.h"
#include "trace/partners.h"
#include "trace/plan.h"
#include "trace/record.h"
#include "trace/report/page.h"
#include "trace/report/route_tables.h"
#include "trace/report/stats.h"
#include "trace/report/tables.h"
#include "trace/report/terminal_heatmap.h"
#include "trace/run.h"

/* The command: its options, and what it holds while it runs. */
typedef struct {
    dele_trace_opts o;
    const char *path; /* of the model */
    dele_adapter_options adapters;
    const char *facts, *out;
    const char *prompt, *subject,
        *attribute; /* one fact without a file; attribute "": the model's next token */
    int pictures, attribution_check, reference_check, memory;

    dele_common common;
    dele_manifest manifest;
    dele_outdir dir;
    dele_model model;
    dele_arena arena;
} trace_command;

/* In p.  Sums in another order differ by a tenth of it. */
static const double MOST_DIFFERENCE = 1e-5;

/* The next reason, after fact *i, that no fact before has; *n facts share it.  NULL: that was
 * all. */
static const char *next_reason(size_t *i, size_t *n, const dele_trace *trace)
{
    for (; *i < trace->n; ++*i) {
        const char *why = trace->facts[*i].why;
        bool known = false;
        *n = 0;
        for (size_t k = 0; k < trace->n && why; k++) {
            bool same = trace->facts[k].why && !strcmp(trace->facts[k].why, why);
            known |= same && k < *i;
            *n += same;
        }
        if (why && !known) return trace->facts[(*i)++].why;
    }
    return NULL;
}

static void report_left_out(const dele_trace *trace)
{
    const char *why;
    for (size_t i = 0, shown = 0; i < trace->n; i++) {
        const dele_traced *t = &trace->facts[i];
        if (!t->left_out) continue;
        if (shown++ == 5) {
            printf("  more were left out%s\n",
                   trace->opts.attribution ? "" : ": facts.jsonl has the reasons");
            break;
        }
        dele_text_line(stdout, "  left out %d: %s", t->fact->id, t->left_out);
    }
    for (size_t i = 0, n; (why = next_reason(&i, &n, trace));)
        dele_text_line(stdout, "  left out in all, %s: %zu", why, n);
}

/* Where facts were left out for what the model says, the ways to trace them all the same. */
static void suggest_answer(const dele_trace *trace)
{
    bool other = false, part = false;
    for (size_t i = 0; i < trace->n; i++)
        if (trace->facts[i].why && !strncmp(trace->facts[i].why, "the model", 9)) other = true;
    part = other && trace->opts.answer == DELE_ANSWER_ARGMAX;
    if (part)
        puts("  try --answer greedy, for answers of several tokens (argmax needs an attribute of "
             "one token)");
    if (other)
        puts("  or --answer attribute, which traces the attribute whether the model generates it "
             "or not;\n  deleatur facts MODEL --facts FILE --out known.json selects the facts that "
             "the model knows");
}

/* The result for the terminal: the counts, the maps (of the one fact, where only one was traced,
 * else of the average), and the suggested mask. */
static dele_status report_trace(const dele_trace *trace, const dele_trace_stats *stats,
                                dele_arena *arena, dele_err *err)
{
    const dele_suggestion *s = &stats->suggestion;
    printf("traced %zu of %zu facts", trace->n_traced, trace->n);
    if (trace->n_traced) printf("; p(answer) clean %.3f", stats->high[DELE_PROB]);
    if (trace->n_traced && isfinite(stats->low[DELE_PROB]))
        printf(", corrupted %.3f", stats->low[DELE_PROB]);
    if (trace->sigma > 0) printf(" (sigma %.6g)", trace->sigma);
    putchar('\n');
    report_left_out(trace);
    if (!trace->n_traced) {
        suggest_answer(trace);
        return DELE_OK;
    }
    const dele_traced *only =
        trace->n_traced == 1 ? trace->facts : NULL; /* its own map says more than its average */
    while (only && only->left_out) only++;
    if (only) dele_text_line(stdout, "%s", only->fact->prompt);
    for (int i = 0; i < trace->n_charts; i++) {
        putchar('\n');
        if (only)
            dele_trace_print_heatmap(stdout, trace, only, i);
        else
            dele_trace_print_average(stdout, trace, stats, i);
    }
    dele_routes_print(stdout, trace, stats, only);
    if (s->to == s->from) {
        printf("\nno mask: %s\n", s->chart < 0 ? "nothing was patched layer by layer"
                                  : !stats->rankings[s->chart].n
                                      ? "nothing was patched at the last subject token"
                                      : "patching changed nothing at the last subject token");
        return DELE_OK;
    }
    const char *words = dele_ranking_words(&stats->rankings[s->chart], arena, err);
    if (!words) return err->code;
    printf("\nmask: %s %d-%d, %.0f %% of the effect; %s\n", trace->charts[s->chart].name, s->from,
           s->to - 1, 100 * s->share, words);
    return DELE_OK;
}

static void add_left_out(cJSON *json, const dele_trace *trace)
{
    const char *why;
    cJSON *counts = cJSON_AddObjectToObject(json, "left_out");
    for (size_t i = 0, n; (why = next_reason(&i, &n, trace));)
        cJSON_AddNumberToObject(counts, why, (double)n);
}

/* The same for --json, without the maps. */
static dele_status report_trace_json(const dele_trace *trace, const dele_trace_stats *stats,
                                     const dele_trace_checked *checked, dele_err *err)
{
    const dele_suggestion *s = &stats->suggestion;
    cJSON *json = cJSON_CreateObject(), *layers;
    cJSON_AddNumberToObject(json, "facts", (double)trace->n);
    cJSON_AddNumberToObject(json, "traced", (double)trace->n_traced);
    add_left_out(json, trace);
    cJSON_AddItemToObject(json, "clean", dele_json_number(stats->high[DELE_PROB]));
    if (isfinite(stats->low[DELE_PROB]))
        cJSON_AddItemToObject(json, "corrupted", dele_json_number(stats->low[DELE_PROB]));
    cJSON_AddItemToObject(json, "sigma", dele_json_number(trace->sigma));
    cJSON_AddItemToObject(json, "suggested_layers", layers = cJSON_CreateArray());
    for (int l = s->from; l < s->to; l++) cJSON_AddItemToArray(layers, cJSON_CreateNumber(l));
    cJSON_AddItemToObject(json, "share", dele_json_number(s->share));
    const dele_ranking *r = s->chart >= 0 ? &stats->rankings[s->chart] : NULL;
    cJSON_AddItemToObject(json, "tied_with_best", layers = cJSON_CreateArray());
    for (int l = 0; r && r->n && l < r->n_layers; l++)
        if (r->tied[l]) cJSON_AddItemToArray(layers, cJSON_CreateNumber(l));
    if (checked) {
        cJSON *check = cJSON_AddObjectToObject(json, "reference_check");
        cJSON_AddNumberToObject(check, "cells", checked->n_cells);
        cJSON_AddNumberToObject(check, "facts", (double)checked->n_facts);
        cJSON_AddItemToObject(check, "difference", dele_json_number(checked->difference));
    }
    dele_json_show(json, err);
    cJSON_Delete(json);
    return err->code;
}

/* Writes all files of a result.  A page or pictures that cannot be made are reported, and the
 * result is complete without them. */
static dele_status save_trace(trace_command *c, const dele_trace *trace,
                              const dele_trace_stats *stats, dele_err *err)
{
    const dele_outdir *out = &c->dir;
    char path[1100], plots[1100];
    snprintf(path, sizeof path, "%s/manifest.json", out->part);
    snprintf(plots, sizeof plots, "%s/plots", out->part);
    if (dele_trace_save_facts(trace, out->part, err) ||
        dele_trace_save_tables(trace, stats, out->part, c->pictures, err))
        return err->code;
    dele_err drawing = {0}, page = {0};
    if (dele_trace_page(trace, stats, out->part, &page))
        dele_note("%s (everything else is in %s)", page.msg, out->path);
    dele_drawn drawn = {0};
    if (dele_plots_draw(plots, &drawn, &drawing))
        dele_note("%s (everything else is in %s)", drawing.msg, out->path);
    else if (drawn.no_pdf)
        fputs(
            "deleatur: no pictures as .pdf: this gnuplot was built without its pdfcairo terminal\n",
            stderr);
    dele_manifest_set(&c->manifest, "sigma", dele_json_number(trace->sigma));
    /* what was computed in this time; of a resumed run only what this process computed */
    cJSON *when = cJSON_GetObjectItemCaseSensitive(c->manifest.json, "when");
    cJSON_AddItemToObject(when, "trace_seconds", dele_json_number(trace->seconds));
    cJSON_AddItemToObject(when, "row_layers", dele_json_number(trace->row_layers));
    cJSON_AddItemToObject(when, "flops", dele_json_number(trace->flops));
    return dele_manifest_save(&c->manifest, path, err);
}

static dele_status check_by_reference(dele_trace_checked *checked, trace_command *c,
                                      const dele_trace *trace, const dele_facts *facts,
                                      dele_err *err)
{
    *checked = (dele_trace_checked){.chart = -1};
    if (!c->reference_check) return DELE_OK;
    if (dele_trace_check(checked, trace, &c->model, facts, c->reference_check, &c->arena, err))
        return err->code;
    if (checked->difference <= MOST_DIFFERENCE) return DELE_OK;
    char where[80] = "a run without patches";
    if (checked->chart >= 0)
        snprintf(where, sizeof where, "%s at token %d, column %d",
                 trace->charts[checked->chart].name, checked->token, checked->col);
    return dele_fail(
        err, DELE_ERR_DATA,
        "fact %d, %s: p differs by %.2g between the cached and the full computation, more than %g; "
        "trace with --reference",
        checked->fact->fact->id, where, checked->difference, MOST_DIFFERENCE);
}

static double facts_to_trace(const dele_facts *facts, const dele_trace_opts *o)
{
    size_t n = 0;
    for (size_t i = 0; i < facts->n; i++) n += dele_trace_wants(o, &facts->fact[i]);
    return (double)(o->limit && n > (size_t)o->limit ? (size_t)o->limit : n);
}

static dele_status note_trace_inputs(trace_command *c, dele_err *err)
{
    const char *const paths[] = {c->path, c->facts, c->o.noise_text};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (*paths[i] && dele_manifest_input(&c->manifest, paths[i], err)) return err->code;
    return dele_adapters_note(&c->manifest, &c->adapters, err);
}

/* The model's continuation of the fact's prompt, up to the first token with text, as in ROME's
 * notebook. */
static dele_status own_answer(dele_fact *fact, trace_command *c, dele_err *err)
{
    const dele_model *model = &c->model;
    dele_arena *arena = &c->arena;
    enum { MOST = 8 }; /* lone blanks and parts of a character come first at times */
    int said[MOST];
    size_t n, length = 0;
    const dele_layout *chat;
    dele_ids ids;
    dele_run run = {0};
    if (dele_chat_open(&chat, c->o.chat, model->tokenizer, arena, err) ||
        dele_prompt_encode(&ids, fact, model->tokenizer, chat, arena, err))
        return err->code;
    if (!ids.n) return dele_fail(err, DELE_ERR_DATA, "--prompt: the prompt has no tokens");
    dele_generate(said, &n, &run, model, ids.id, ids.n, MOST, NULL, 0, err);
    dele_run_release(&run);
    for (size_t k = 1; k <= n && !err->code && !length; k++) {
        const char *text =
            dele_decode_continuation(model->tokenizer, ids.id, ids.n, said, k, false, arena, err);
        const char *stripped = text ? dele_stripped(&length, text) : "";
        if (length && !strncmp(stripped, "\xef\xbf\xbd", 3)) length = 0; /* half a character */
        fact->attribute = dele_strndup(arena, stripped, length, err);
    }
    if (!err->code && !length)
        return dele_fail(err, DELE_ERR_DATA,
                         "the model generates no token after \"%.200s\"; give --attribute, and "
                         "--answer attribute",
                         fact->prompt);
    return err->code;
}

/* The one fact of --prompt, --subject and --attribute. */
static dele_status prompt_fact(dele_facts *facts, trace_command *c, dele_err *err)
{
    dele_fact *fact = DELE_NEW(&c->arena, dele_fact, 1, err);
    if (!fact) return err->code;
    if (!c->model.tokenizer) return dele_fail(err, DELE_ERR_DATA, "the model holds no tokenizer");
    *fact = (dele_fact){.prompt = c->prompt, .subject = c->subject, .attribute = c->attribute};
    *facts = (dele_facts){.fact = fact, .n = 1, .path = "--prompt"};
    if (!strstr(fact->prompt, fact->subject))
        return dele_fail(err, DELE_ERR_DATA,
                         "--subject: \"%.100s\" does not occur in the prompt \"%.200s\"",
                         fact->subject, fact->prompt);
    return *fact->attribute ? DELE_OK : own_answer(fact, c, err);
}

/* The file's facts before the model, which takes longer; or --prompt's, whose answer is the
 * model's. */
static dele_status read_both(dele_facts *facts, trace_command *c, dele_err *err)
{
    if (dele_memory_check(c->memory, err) ||
        (*c->facts && dele_facts_load(facts, c->facts, &c->arena, err)) ||
        dele_adapters_load(&c->model, c->path, &c->adapters, 0, SIZE_MAX, &c->arena, err))
        return err->code;
    return *c->facts ? DELE_OK : prompt_fact(facts, c, err);
}

/* One prompt without --out: the maps are shown, and nothing is written. */
static dele_status trace_prompt(trace_command *c, dele_err *err)
{
    dele_arena *arena = &c->arena;
    dele_facts facts;
    dele_trace trace;
    dele_trace_stats stats;
    if (dele_plan_check(&c->o, err) || read_both(&facts, c, err) ||
        dele_trace_run(&trace, NULL, &c->model, &facts, &c->o, NULL, arena, err) ||
        dele_trace_statistics(&stats, &trace, arena, err))
        return err->code;
    if (c->common.json) return report_trace_json(&trace, &stats, NULL, err);
    if (report_trace(&trace, &stats, arena, err)) return err->code;
    puts("nothing is written without --out DIR");
    return DELE_OK;
}

/* A trace with --out.  The directory is opened before the model is read, so that the facts that an
 * interrupted run has traced are found; the options that define it are its key. */
static dele_status trace_facts(trace_command *c, dele_err *err)
{
    const bool quiet = c->common.quiet;
    dele_outdir *out = &c->dir;
    dele_arena *arena = &c->arena;
    dele_facts facts;
    dele_trace trace;
    dele_trace_stats stats;
    dele_trace_checked checked;
    dele_progress progress = {0};
    bool resumed;
    char *key = NULL;
    if (dele_plan_check(&c->o, err) || note_trace_inputs(c, err) ||
        !(key = dele_manifest_key(&c->manifest, "out,pictures,reference-check", arena, err)) ||
        dele_outdir_resume(out, c->out, key, &resumed, err) ||
        dele_outdir_sub(out, "traces", err) || dele_outdir_sub(out, "plots", err) ||
        read_both(&facts, c, err) || dele_model_copy(&c->model, (size_t)c->memory << 20, NULL, err))
        return err->code;
    if (facts.note && !quiet) dele_note("%s", facts.note);
    if (resumed && !quiet) dele_note("resuming after what is in %s", out->part);
    dele_progress_begin(&progress, quiet ? NULL : stderr, "trace", "facts",
                        facts_to_trace(&facts, &c->o));
    dele_status status =
        dele_trace_run(&trace, out->part, &c->model, &facts, &c->o, &progress, arena, err);
    dele_progress_end(&progress);
    if (status || check_by_reference(&checked, c, &trace, &facts, err) ||
        dele_trace_statistics(&stats, &trace, arena, err) || save_trace(c, &trace, &stats, err) ||
        dele_outdir_commit(out, err))
        return err->code;
    if (c->common.json)
        return report_trace_json(&trace, &stats, c->reference_check ? &checked : NULL, err);
    if (report_trace(&trace, &stats, arena, err)) return err->code;
    if (c->reference_check)
        printf("\nreference check: %d cells of %zu facts, and these facts' clean and corrupted "
               "runs, recomputed from the embeddings: p differs by at most %.2g\n",
               checked.n_cells, checked.n_facts, checked.difference);
    char page[1100];
    snprintf(page, sizeof page, "%s/page.html", c->out);
    if (dele_path_exists(page)) {
        putchar('\n');
        dele_text_line(stdout, "page: %s (open it in a browser)", page);
    }
    return DELE_OK;
}

/* ---- attribution patching -------------------------------------------------------------------- */

/* The result of --attribution for --json: counts, and the agreement with exact cells. */
static dele_status screen_json(const dele_attribution_facts *s, dele_err *err)
{
    cJSON *json = cJSON_CreateObject(), *agreement;
    cJSON_AddStringToObject(json, "note", "first-order estimate, not exact");
    cJSON_AddNumberToObject(json, "facts", (double)s->trace->n);
    cJSON_AddNumberToObject(json, "attributed", (double)s->trace->n_traced);
    add_left_out(json, s->trace);
    cJSON_AddItemToObject(json, "sigma", dele_json_number(s->trace->sigma));
    cJSON_AddItemToObject(json, "agreement", agreement = cJSON_CreateArray());
    for (size_t i = 0; i < s->n_checks; i++) {
        const dele_attribution_check *check = &s->checks[i];
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "fact", check->fact->fact->id);
        cJSON_AddStringToObject(row, "chart", s->plan.charts[check->chart].name);
        cJSON_AddStringToObject(row, "metric", dele_metric_name[check->metric]);
        cJSON_AddItemToObject(row, "pearson", dele_json_number(check->agreement.pearson));
        cJSON_AddItemToObject(row, "spearman", dele_json_number(check->agreement.spearman));
        cJSON_AddItemToObject(row, "top", dele_json_number(check->agreement.overlap));
        cJSON_AddItemToArray(agreement, row);
    }
    dele_json_show(json, err);
    cJSON_Delete(json);
    return err->code;
}

/* Attribution patching with --out.  dele_trace_run only reads the facts and their answers here, as
 * for a trace, so that both select the same facts. */
static dele_status attribution(trace_command *c, dele_err *err)
{
    const bool quiet = c->common.quiet;
    dele_outdir *out = &c->dir;
    dele_manifest *manifest = &c->manifest;
    dele_arena *arena = &c->arena;
    dele_facts facts;
    dele_trace trace;
    dele_attribution_facts attribution;
    dele_progress progress = {0};
    bool resumed; /* of a trace that was interrupted; an attribution leaves nothing to resume */
    char file[1100], *key = NULL;
    if (dele_attribution_facts_check(&c->o, err) || note_trace_inputs(c, err) ||
        !(key = dele_manifest_key(manifest, "out,pictures", arena, err)) ||
        dele_outdir_resume(out, c->out, key, &resumed, err) || read_both(&facts, c, err) ||
        dele_trace_run(&trace, NULL, &c->model, &facts, &c->o, NULL, arena, err))
        return err->code;
    if (facts.note && !quiet) dele_note("%s", facts.note);
    dele_progress_begin(&progress, quiet ? NULL : stderr, "attribution", "facts",
                        (double)trace.n_traced);
    dele_status status = dele_attribution_facts_run(&attribution, &trace, &c->model,
                                                    c->attribution_check, &progress, arena, err);
    dele_progress_end(&progress);
    snprintf(file, sizeof file, "%s/manifest.json", out->part);
    dele_manifest_set(manifest, "sigma", dele_json_number(trace.sigma));
    if (status || dele_attribution_facts_save(&attribution, out->part, err) ||
        dele_manifest_save(manifest, file, err) || dele_outdir_commit(out, err))
        return err->code;
    if (c->common.json) return screen_json(&attribution, err);
    dele_attribution_facts_report(stdout, &attribution);
    report_left_out(&trace);
    return DELE_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* Whether a run that failed leaves records that the next one can resume after. */
static bool anything_traced(const dele_outdir *out)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/traces", out->part);
    DIR *dir = *out->part ? opendir(path) : NULL;
    bool any = *out->part && !dir && errno != ENOENT; /* what cannot be read may hold some */
    for (const struct dirent *e; dir && (e = readdir(dir));)
        any |= strstr(e->d_name, ".npz") != NULL;
    if (dir) closedir(dir);
    return any;
}

static bool asks_to_compare(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--compare")) return true;
    return false;
}

/* A file of facts or one prompt, where the result goes, and which checks are asked for. */
static dele_status check_trace_command(const trace_command *c, dele_err *err)
{
    if (*c->prompt && *c->facts)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--facts and --prompt both give facts to trace; give one of them");
    if (*c->prompt && !*c->subject)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--prompt needs --subject, the part of it whose embeddings are corrupted");
    if (!*c->prompt && (*c->subject || *c->attribute))
        return dele_fail(err, DELE_ERR_USAGE, "--%s needs --prompt",
                         *c->subject ? "subject" : "attribute");
    if (!*c->prompt && !*c->facts)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--facts FILE is missing, or --prompt TEXT with --subject TEXT");
    if (!*c->out && (*c->facts || c->o.attribution || c->reference_check))
        return dele_fail(err, DELE_ERR_USAGE, "--out DIR is missing: the directory for the result");
    if (c->attribution_check < 0 || (c->attribution_check && !c->o.attribution))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--attribution-check is a number of facts, and needs --attribution");
    if (c->reference_check < 0 || (c->reference_check && c->o.attribution))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--reference-check is a number of cells, and excludes --attribution");
    return DELE_OK;
}

int cmd_trace(int argc, char **argv)
{
    if (asks_to_compare(argc, argv)) return cmd_trace_compare(argc, argv);
    trace_command c = {.o = DELE_TRACE_DEFAULTS,
                       .facts = "",
                       .out = "",
                       .prompt = "",
                       .subject = "",
                       .attribute = "",
                       .pictures = 20,
                       .memory = DELE_DEFAULT_MEMORY,
                       .adapters = {DELE_ADAPTER_DEFAULTS}};
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("data"),
        DELE_OPT("facts", &c.facts, "facts in ROME's format, JSON or JSONL"),
        DELE_OPT("prompt", &c.prompt,
                 "one prompt instead of --facts; needs --subject; --out is optional"),
        DELE_OPT("subject", &c.subject, "subject in --prompt, whose tokens are corrupted"),
        DELE_OPT("attribute", &c.attribute, "answer to --prompt; default: the model's next token"),
        DELE_OPT("out", &c.out, "directory for the result; must not exist"),
        DELE_ADAPTER_OPTIONS(c.adapters),
        DELE_GROUP("what is patched"),
        DELE_OPT("kinds", &c.o.kinds,
                 "activations to patch: any of hidden,mid,mlp,attn,head,embed; of mixtures of "
                 "experts moe,router,expert too"),
        DELE_OPT("window", &c.o.windows,
                 "window of layers patched together for mlp, attn and moe; several as 1,3,5,10"),
        DELE_CHOICE("edges", &c.o.edges, dele_edges_name,
                    "extent of a window of 10: code (l - 5 to l + 4) or paper (l - 4 to l + 5)"),
        DELE_OPT("sever", &c.o.sever,
                 "severed paths: restore hidden states but keep these outputs corrupted at their "
                 "token: any of mlp,attn"),
        DELE_CHOICE("tokens", &c.o.tokens, dele_tokens_name,
                    "token positions to patch"),
        DELE_CHOICE("direction", &c.o.direction, dele_direction_name,
                    "denoise: clean activations into the corrupted run; noise: corrupted ones into "
                    "the clean run"),
        DELE_GROUP("corruption"),
        DELE_CHOICE("corrupt", &c.o.corrupt, dele_corrupt_name,
                    "noise; tokens: another fact's subject; zero, mean: ablation of the patched "
                    "activation"),
        DELE_OPT("noise", &c.o.noise,
                 "noise level: s3 (3 standard deviations of the subjects' embeddings), 0.1; "
                 "uniform: u0.3, us3; a text's covariance: m, t3"),
        DELE_OPT("noise-text", &c.o.noise_text,
                 "text for the covariance of m and t; default: the facts' prompts"),
        DELE_FLAG("replace", &c.o.replace,
                  "replace the embedding by noise instead of adding noise to it"),
        DELE_OPT("noise-sigma", &c.o.sigma, "sigma as a number, instead of --noise"),
        DELE_GROUP("noise samples"),
        DELE_OPT("samples", &c.o.samples, "noise samples per fact"),
        DELE_OPT("until", &c.o.until,
                 "add samples until the 95 % half-width of the peak effect is at most this; 0: "
                 "off"),
        DELE_OPT("max-samples", &c.o.max_samples, "maximum number of samples with --until"),
        DELE_CHOICE("noise-seed", &c.o.noise_seed, dele_noise_seed_name,
                    "per-fact: independent draws; shared: the same draws for all facts, as in "
                    "ROME"),
        DELE_OPT("seed", &c.o.seed, "random seed of the noise (numpy's RandomState)"),
        DELE_CHOICE("compat", &c.o.compat, dele_compat_name,
                    "rome: ROME's shared noise, low score under --replace, mean under m and t"),
        DELE_GROUP("selection of facts"),
        DELE_OPT("shuffle", &c.o.shuffle,
                 "shuffle the facts with this seed, so that --limit takes a random sample; 0: "
                 "file order"),
        DELE_OPT("limit", &c.o.limit, "stop after this many traced facts; 0: all"),
        DELE_OPT("id", &c.o.ids,
                 "only facts with these ids, as 3 or 3,17; sigma is measured on all facts"),
        DELE_OPT("split", &c.o.split,
                 "only facts of this split, for example forget; sigma is measured on all facts"),
        DELE_GROUP("answers"),
        DELE_CHOICE("answer", &c.o.answer, dele_answer_name,
                    "argmax: the attribute must be the top-1 next token; greedy: greedy decoding "
                    "must give all of the attribute; attribute: generated or not"),
        DELE_CHAT_OPTION(&c.o.chat, "the prompt"),
        DELE_GROUP("result and memory"),
        DELE_OPT("pictures", &c.pictures,
                 "number of facts with plots of their own, besides the averages"),
        DELE_MEMORY_OPTION(c.memory),
        DELE_OPT("batch-memory", &c.o.memory, "MiB for KV caches, states and batches"),
        DELE_GROUP("attribution patching (first order) and checks"),
        DELE_FLAG("attribution", &c.o.attribution,
                  "attribution patching: a first-order estimate of all cells from gradients, "
                  "quick, not exact (attribution.tsv)"),
        DELE_OPT("attribution-check", &c.attribution_check,
                 "with --attribution: number of facts traced exactly too, to measure the "
                 "agreement"),
        DELE_OPT("reference-check", &c.reference_check,
                 "number of cells to recompute from the embeddings; p may differ by 1e-5"),
        DELE_FLAG("reference", &c.o.reference,
                  "recompute every cell from the embeddings (slow; agrees to rounding)"),
        {0}};
    /* clang-format on */
    const dele_usage usage = {
        .command = "trace",
        .summary = "locate facts by causal tracing (activation patching)",
        .synopsis = "MODEL --facts FILE --out DIR  (or: MODEL --prompt TEXT --subject TEXT; "
                    "--compare BEFORE AFTER)",
        .example = "deleatur trace models/olmo --facts facts.json --out trace-olmo --limit 20",
        .options = options,
        .positional = &c.path,
        .n_positional = 1};
    dele_err err = {0};
    if (!dele_options_parse(&c.common, &usage, argc, argv, &c.arena, &err) && !c.common.help &&
        !check_trace_command(&c, &err)) {
        dele_manifest_begin(&c.manifest, &usage, argc, argv);
        (!*c.out ? trace_prompt : c.o.attribution ? attribution : trace_facts)(&c, &err);
    }
    if (err.code && !anything_traced(&c.dir)) dele_outdir_abandon(&c.dir);
    dele_manifest_release(&c.manifest);
    dele_model_release(&c.model);
    dele_arena_release(&c.arena);
    return dele_complain(&err);
}
