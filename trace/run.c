/* Facts, one after another: encode, find the subject, ask the model, and trace what it knows.
 *
 * The expected-answer filter is ROME's: the model's greedy next token, decoded and stripped, must equal the record's
 * attribute, stripped.  So answers are single tokens that the model already gets right; everything else is left out
 * and keeps the reason.  With --answer attribute the token is the attribute's whether or not the model puts it first. */
#include <ctype.h>
#include <string.h>

#include "trace/trace.h"

typedef struct {
    const lac_model *model;
    const lac_fact *fact;
    lac_traced *traced;
    lac_arena *arena;
    lac_err *err;
    bool must_match;
} tracing;

/* text without white space at either end. */
static const char *stripped(size_t *n, const char *text)
{
    while (isspace((unsigned char)*text)) text++;
    *n = strlen(text);
    while (*n && isspace((unsigned char)text[*n - 1])) --*n;
    return text;
}

static bool accept(void *context, int answer, double p)
{
    tracing *x = context;
    x->traced->answer = lac_decode(x->model->tokenizer, &answer, 1, false, x->arena, x->err);
    if (!x->traced->answer) return false;
    if (!x->must_match) return true;
    size_t said_n, expected_n;
    const char *said = stripped(&said_n, x->traced->answer), *expected = stripped(&expected_n, x->fact->attribute);
    if (said_n == expected_n && !memcmp(said, expected, said_n)) return true;
    x->traced->left_out = lac_printf(x->arena, x->err, "the model says \"%.*s\" (p %.3f), not \"%.*s\"", (int)said_n, said,
                                     p, (int)expected_n, expected);
    return false;
}

/* The attribute's one token as it follows a prompt, or -1. */
static int attribute_token(tracing *x)
{
    size_t n;
    const char *text = stripped(&n, x->fact->attribute);
    const char *forms[2] = {lac_printf(x->arena, x->err, " %.*s", (int)n, text),
                            lac_strndup(x->arena, text, n, x->err)};
    for (int i = 0; i < 2 && forms[i]; i++) {
        lac_ids ids;
        if (lac_encode(&ids, x->model->tokenizer, forms[i], strlen(forms[i]), false, x->arena, x->err)) return -1;
        if (ids.n == 1) return ids.id[0];
    }
    return -1;
}

/* Tokens and the subject's place; a prompt that cannot be traced gets its reason. */
static lac_status read_prompt(tracing *x, lac_err *err)
{
    lac_ids ids;
    lac_traced *out = x->traced;
    const lac_tokenizer *t = x->model->tokenizer;
    if (lac_encode(&ids, t, x->fact->prompt, strlen(x->fact->prompt), true, x->arena, err)) return err->code;
    out->grid.ids = ids.id;
    out->grid.n_tokens = (int)ids.n;
    out->tokens = LAC_NEW(x->arena, const char *, ids.n, err);
    if (!out->tokens) return err->code;
    for (size_t i = 0; i < ids.n; i++)
        if (!(out->tokens[i] = lac_decode(t, &ids.id[i], 1, false, x->arena, err))) return err->code;
    if (ids.n == 0 || (int)ids.n > x->model->config.context) {
        out->left_out = lac_printf(x->arena, err, "the prompt has %zu tokens; the model takes 1 to %d", ids.n,
                                   x->model->config.context);
        return out->left_out ? LAC_OK : err->code;
    }
    lac_err subject = {0};
    if (lac_subject_range(&out->grid.begin, &out->grid.end, t, &ids, x->fact->subject, x->arena, &subject)) {
        if (subject.code == LAC_ERR_MEMORY) return lac_fail(err, subject.code, "%s", subject.msg);
        out->left_out = lac_strdup(x->arena, subject.msg, err);
        return out->left_out ? LAC_OK : err->code;
    }
    return LAC_OK;
}

static lac_status trace_fact(tracing *x, lac_run *run, const lac_trace *trace, lac_progress *progress, lac_err *err)
{
    if (read_prompt(x, err)) return err->code;
    if (x->traced->left_out) return LAC_OK;
    x->traced->grid.answer = x->must_match ? -1 : attribute_token(x);
    if (err->code) return err->code;
    if (!x->must_match && x->traced->grid.answer < 0) {
        x->traced->left_out = lac_printf(x->arena, err, "\"%s\" is not a single token", x->fact->attribute);
        return x->traced->left_out ? LAC_OK : err->code;
    }
    if (lac_trace_grid(&x->traced->grid, run, x->model, &trace->opts, trace->sigma, accept, x, progress, x->arena, err))
        return err->code;
    return err->code;
}

static lac_status check_options(const lac_trace *trace, const lac_model *model, lac_err *err)
{
    const lac_trace_opts *o = &trace->opts;
    if (!model->tokenizer)
        return lac_fail(err, LAC_ERR_DATA, "%s: the model has no tokenizer; put tokenizer.json beside its weights",
                        model->path);
    if (strcmp(o->answer, "argmax") && strcmp(o->answer, "attribute"))
        return lac_fail(err, LAC_ERR_USAGE, "--answer \"%s\" is neither argmax nor attribute", o->answer);
    if (o->window < 1 || o->samples < 1 || o->limit < 0 || o->memory < 1)
        return lac_fail(err, LAC_ERR_USAGE, "--window, --samples and --memory must be at least 1, --limit at least 0");
    return LAC_OK;
}

static lac_status trace_all(lac_trace *trace, const lac_model *model, const lac_facts *facts, lac_run *run,
                            lac_progress *progress, lac_arena *arena, lac_err *err)
{
    const lac_trace_opts *o = &trace->opts;
    for (size_t i = 0; i < facts->n; i++) {
        const lac_fact *fact = &facts->fact[i];
        if (o->split && *o->split && (!fact->split || strcmp(fact->split, o->split))) continue;
        if (o->limit && trace->n_traced == (size_t)o->limit) break;
        for (size_t k = 0; k < trace->n; k++)
            if (trace->facts[k].fact->id == fact->id)
                return lac_fail(err, LAC_ERR_DATA, "%s:%d: known_id %d stands there a second time (first: %d); files are "
                                "named by it, so give each fact its own", facts->path, fact->line, fact->id,
                                trace->facts[k].fact->line);
        lac_traced *traced = &trace->facts[trace->n++];
        traced->fact = fact;
        tracing x = {model, fact, traced, arena, err, !strcmp(o->answer, "argmax")};
        double before = progress ? progress->done : 0;
        if (trace_fact(&x, run, trace, progress, err)) return err->code;
        trace->n_traced += !traced->left_out;
        if (!o->limit || !traced->left_out) lac_progress_set(progress, before + 1, NULL);
    }
    if (trace->n == 0)
        return lac_fail(err, LAC_ERR_DATA, "%s: no facts%s%s; look at its \"split\" fields", facts->path,
                        o->split && *o->split ? " of split " : "", o->split ? o->split : "");
    trace->row_layers = run->row_layers;
    return LAC_OK;
}

lac_status lac_trace_run(lac_trace *trace, const lac_model *model, const lac_facts *facts, const lac_trace_opts *opts,
                         lac_progress *progress, lac_arena *arena, lac_err *err)
{
    *trace = (lac_trace){.opts = *opts, .n_layers = model->config.n_layers, .sigma = opts->sigma};
    if (check_options(trace, model, err) || lac_kinds_parse(trace->kind, opts->kinds, err)) return err->code;
    if (!(opts->sigma > 0) && lac_noise_sigma(&trace->sigma, opts->noise, model, facts, err)) return err->code;
    trace->facts = LAC_NEW(arena, lac_traced, facts->n ? facts->n : 1, err);
    if (!trace->facts) return err->code;
    lac_run run = {0};
    lac_status status = trace_all(trace, model, facts, &run, progress, arena, err);
    lac_run_release(&run);
    return status ? status : lac_trace_average(trace, arena, err);
}
