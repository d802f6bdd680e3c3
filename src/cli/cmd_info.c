/* deleatur info -- what is this model, and how much memory does each job need?
 *
 * The files' headers are read and no weights; config.json alone where a directory has none yet.
 * Memory is the peak of a process at the defaults of each command, counted by the code that lays it
 * out, on arenas that only count (base/arena.h):
 *
 *   weights     the file's pages, of what is copied its float32 or packed copies, of what trains
 *               its masters (model/model.h)
 *   job         generate: dele_generate_bytes, eval: dele_choices_bytes, trace: dele_trace_bytes,
 *               unlearn and finetune: dele_train_count
 *   process     the tokenizer, and PROCESS
 *
 * with as many copies as --memory's default allows, and with none (--memory 0). */
#include <stdio.h>
#include <string.h>

#include "adapter/adapter.h"
#include "adapter/perft_options.h"
#include "base/json_out.h"
#include "base/text_out.h"
#include "cli/cmd.h"
#include "model/generate.h"
#include "option/option.h"
#include "score/choices.h"
#include "trace/run.h"
#include "unlearn/lora.h"
#include "unlearn/trainer.h"

/* What a process holds beside what arenas count: code of the program and of its libraries, buffers
 * of the matrix libraries and of threads, the C library's heap.  Measured as the peak of `deleatur
 * generate` on the embedded model less what is counted here (x86-64, 1 and 2 threads). */
enum { PROCESS = 18 << 20 };

/* What the jobs are given, where their defaults do not say it. */
enum {
    PROMPT = 128, /* generate: tokens of a prompt */
    MAX_NEW = 32,
    QUESTION = 64, /* eval: tokens of a question, and of the examples before it */
    SHOTS = 5 * QUESTION,
    FACT = 12, /* trace: tokens of a prompt; the subject is the first SUBJECT of them */
    SUBJECT = 4,
    EXAMPLE = 128, /* unlearn, finetune: tokens of an example, all of them labels */
};

typedef enum { GENERATE, EVAL, TRACE, UNLEARN, FINETUNE, N_JOBS } job;

static const char *const job_names[N_JOBS] = {"generate", "eval", "trace", "unlearn", "finetune"};
static const char *const job_texts[N_JOBS] = {[GENERATE] = "128 tokens and 32 new ones",
                                              [EVAL] = "full batches, 5 shots",
                                              [TRACE] = "facts of 12 tokens",
                                              [UNLEARN] = "layers 0-5, mlp; full batches",
                                              [FINETUNE] = "every tensor; full batches"};

typedef struct {
    size_t bytes[N_JOBS];
} needs;

static dele_status training_bytes(size_t *bytes, dele_model *m, const char *layers,
                                  const char *parts, const dele_objective *objective,
                                  dele_arena *arena, dele_err *err)
{
    dele_mask mask;
    dele_train_options o = DELE_TRAIN_DEFAULTS;
    dele_train_memory memory;
    o.objective = objective;
    const dele_train_size size = {.rows = o.batch_tokens,
                                  .sequences = o.batch_tokens / EXAMPLE,
                                  .labels = o.batch_tokens,
                                  .longest = EXAMPLE,
                                  .tokens = (size_t)o.batch * EXAMPLE};
    const dele_trainable trainable = {.model = m, .mask = &mask};
    if (dele_mask_parse(&mask, m, layers, parts, arena, err) ||
        dele_train_count(&memory, &trainable, &o, &size, err))
        return err->code;
    *bytes = memory.total;
    return DELE_OK;
}

/* The jobs with `memory` MiB of copies; held: bytes of tokenizer and vectors. */
static dele_status foretell(needs *n, const dele_model *model, int memory, size_t held,
                            dele_arena *arena, dele_err *err)
{
    dele_model m, fixed; /* fixed: is not trained, and may be packed */
    char layers[32];
    const int top = model->config.n_layers < 6 ? model->config.n_layers - 1 : 5;
    const dele_grid fact = {.n_tokens = FACT, .end = SUBJECT, .n_answer = 1};
    const dele_trace_opts trace = DELE_TRACE_DEFAULTS;
    snprintf(layers, sizeof layers, "0-%d", top);
    size_t copied;
    if (dele_model_counted(&m, model, arena, err) ||
        dele_model_counted(&fixed, model, arena, err) ||
        dele_model_widen(&m, (size_t)memory << 20, NULL, err) ||
        dele_model_copy(&fixed, (size_t)memory << 20, &copied, err))
        return err->code;
    const size_t weights = dele_model_bytes(&m);
    n->bytes[GENERATE] = DELE_BYTES(weights, dele_generate_bytes(&m, PROMPT, MAX_NEW));
    n->bytes[EVAL] = DELE_BYTES(weights, dele_choices_bytes(&m, SHOTS, QUESTION));
    if (n->bytes[GENERATE] == SIZE_MAX || n->bytes[EVAL] == SIZE_MAX)
        dele_fail(err, DELE_ERR_MEMORY, "out of memory to count what the jobs take");
    if (!err->code &&
        !training_bytes(&n->bytes[UNLEARN], &m, layers, "mlp", &dele_objective_joint, arena, err) &&
        !training_bytes(&n->bytes[FINETUNE], &m, "all", "all", &dele_objective_ce, arena, err) &&
        !dele_trace_bytes(&n->bytes[TRACE], &fact, &trace, &fixed, err))
        n->bytes[TRACE] += copied;
    for (int i = 0; i < N_JOBS; i++) n->bytes[i] += held + PROCESS;
    dele_model_release(&m);
    dele_model_release(&fixed);
    return err->code;
}

/* ---- speaking -------------------------------------------------------------------------------- */

static size_t part_parameters(const dele_model *m, dele_part part)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].part == part) n += m->tensors[i].rows * m->tensors[i].cols;
    return n;
}

/* What the class's own value was taken for, because config.json does not say. */
static size_t defaulted(const char *names[DELE_MAX_DEFAULTED], const dele_model *m)
{
    cJSON *json = m->config_text ? cJSON_Parse(m->config_text) : NULL;
    const size_t n = json ? dele_config_defaulted(names, &m->config, json) : 0;
    cJSON_Delete(json);
    return n;
}

/* Context, rotation or learned positions, windows, soft caps: what a line of the config changes. */
static void print_positions(const dele_config *c)
{
    static const char *const scaling[] = {[DELE_ROPE_DEFAULT] = "",
                                          [DELE_ROPE_LINEAR] = ", linear scaling",
                                          [DELE_ROPE_DYNAMIC] = ", dynamic scaling",
                                          [DELE_ROPE_LLAMA3] = ", llama3 scaling",
                                          [DELE_ROPE_YARN] = ", YaRN scaling"};
    int sliding = 0, unrotated = 0;
    printf("positions   context %d", c->context);
    if (dele_family_tensor(c->family, DELE_SLOT_POSITIONS))
        printf(", learned\n");
    else
        printf(", rotary base %g%s\n", (double)c->rope[0].theta, scaling[c->rope[0].type]);
    for (int l = 0; l < c->n_layers; l++) {
        sliding += (c->layer_kind[l] & DELE_LAYER_SLIDING) != 0;
        unrotated += (c->layer_kind[l] & DELE_LAYER_UNROTATED) != 0;
    }
    if (c->rotary_dim && c->rotary_dim != c->head_dim)
        printf("            the first %d channels of a head are rotated\n", c->rotary_dim);
    if (unrotated) printf("            %d of %d layers without rotation\n", unrotated, c->n_layers);
    if (c->window && sliding && c->rope[1].theta > 0)
        printf("            window of %d keys in %d of %d layers, there rotary base %g\n",
               c->window, sliding, c->n_layers, (double)c->rope[1].theta);
    else if (c->window && sliding)
        printf("            window of %d keys in %d of %d layers\n", c->window, sliding,
               c->n_layers);
    if (c->attn_softcap > 0) printf("            scores capped at %g\n", (double)c->attn_softcap);
    if (c->logit_softcap > 0) printf("            logits capped at %g\n", (double)c->logit_softcap);
    if (c->parallel_residual) printf("            attention and MLP in parallel\n");
}

static int count_sparse(const dele_config *c)
{
    int n = 0;
    for (int l = 0; l < c->n_layers; l++) n += dele_layer_is_sparse(c, l);
    return n;
}

/* "64 experts of 1024, 8 a token, in 16 of 16 layers", the shared expert, and whether the weights
 * of the chosen ones add up to 1. */
static void print_experts(const dele_config *c)
{
    if (!c->n_experts) return;
    printf("experts     %d of width %zu, %d a token, in %d of %d layers\n", c->n_experts,
           dele_expert_size(c), c->top_k, count_sparse(c), c->n_layers);
    if (c->shared_size) printf("            and a shared one of width %d\n", c->shared_size);
    printf("            their weights are the router's probabilities%s\n",
           c->norm_topk_prob ? ", divided by their sum" : "");
}

/* The bytes of the tensors in the file, of the type, and how many they are. */
static size_t type_bytes(size_t *n, const dele_model *m, dele_dtype type)
{
    const dele_dtype_info *info = dele_dtype_of(type);
    size_t bytes = 0;
    *n = 0;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const dele_tensor *t = &m->tensors[i];
        if (t->stored.type != type) continue;
        bytes += t->rows * t->cols / info->items * info->bytes;
        ++*n;
    }
    return bytes;
}

/* "211 Q4_1, 61 F32; 98.3 MB in 1 file", or what is assumed of weights that are not there. */
static void print_weights(const dele_model *m)
{
    size_t bytes = 0, n, some = 0;
    printf("weights     %s", m->n_maps ? "" : "none yet; memory is foretold for ");
    for (int type = 0; type < DELE_N_DTYPES; type++) {
        bytes += type_bytes(&n, m, (dele_dtype)type);
        if (n) printf("%s%zu %s", some++ ? ", " : "", n, dele_dtype_of((dele_dtype)type)->name);
    }
    if (m->n_maps)
        printf("; %.1f MB in %zu file%s\n", (double)bytes / 1e6, m->n_maps,
               m->n_maps == 1 ? "" : "s");
    else
        printf(", %.1f MB\n", (double)bytes / 1e6);
}

/* ---- ends of text and the chat template ------------------------------------------------------ */

/* What ends a generated text, and what the model's chat template makes of a turn. */
typedef struct {
    dele_ends ends;            /* without a layout */
    const dele_layout *layout; /* NULL: no template, or one that is refused */
    dele_err refused, failed;  /* failed: memory ended */
    dele_arena arena;
} turns;

static void find_turns(turns *t, const dele_model *m)
{
    const char *text;
    bool some;
    if (!m->tokenizer) return;
    t->ends = dele_ends_of(m, NULL);
    if (!dele_chat_template(&text, &some, m->tokenizer, &t->arena, &t->refused) && some)
        dele_chat_open(&t->layout, DELE_CHAT_AUTO, m->tokenizer, &t->arena, &t->refused);
    if (t->refused.code == DELE_ERR_MEMORY) t->failed = t->refused;
}

static const char *token_of(turns *t, const dele_model *m, int id)
{
    const char *text =
        id < 0 ? NULL : dele_decode(m->tokenizer, &id, 1, false, &t->arena, &t->failed);
    return text ? text : "";
}

static void print_turns(turns *t, const dele_model *m)
{
    for (size_t i = 0; i < t->ends.n; i++)
        dele_text_line(stdout, "%s%d %s", i ? "            " : "ends        ", t->ends.id[i],
                       token_of(t, m, t->ends.id[i]));
    const int end = dele_chat_end(t->layout);
    if (t->refused.code)
        dele_text_line(stdout, "chat        %s", t->refused.msg);
    else if (end >= 0)
        dele_text_line(stdout, "chat        own template; a reply ends with %d %s", end,
                       token_of(t, m, end));
    else if (t->layout)
        puts("chat        own template; a reply ends with no token of its own");
}

static cJSON *end_json(turns *t, const dele_model *m, int id)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "id", id);
    cJSON_AddStringToObject(o, "token", token_of(t, m, id));
    return o;
}

/* "ends": each id and its token; "chat": null without a template, else its end of a turn or why it
 * is refused. */
static void add_turns(cJSON *to, turns *t, const dele_model *m)
{
    cJSON *ends = cJSON_AddArrayToObject(to, "ends");
    for (size_t i = 0; i < t->ends.n; i++)
        cJSON_AddItemToArray(ends, end_json(t, m, t->ends.id[i]));
    if (!t->layout && !t->refused.code) {
        cJSON_AddNullToObject(to, "chat");
        return;
    }
    cJSON *chat = cJSON_AddObjectToObject(to, "chat");
    if (t->refused.code)
        cJSON_AddStringToObject(chat, "refused", t->refused.msg);
    else if (dele_chat_end(t->layout) >= 0)
        cJSON_AddItemToObject(chat, "end", end_json(t, m, dele_chat_end(t->layout)));
    else
        cJSON_AddNullToObject(chat, "end");
}

/* active: the model's own weights that are used for a token. */
static void print_counts(size_t trainable, size_t activated, size_t active)
{
    printf("            %zu weights, %zu used for a token (%.3f %% of the model's that are)\n",
           trainable, activated, 100 * (double)activated / (double)active);
}

/* Adapters of PERFT, which --adapter or --adapter-type names. */
static void print_adapters(const dele_model *m)
{
    const dele_perft *p = &m->config.perft;
    const dele_perft_counts n = dele_perft_count(&m->config);
    printf("adapters    %s, %s, rank %d, %d in a layer", dele_perft_name[p->variant],
           dele_perft_forms[p->parallel], p->rank, p->adapters);
    if (p->variant == DELE_PERFT_R) printf(", top %d", p->top_k);
    puts(p->compat ? ", as released" : "");
    print_counts(n.trainable, n.activated, dele_model_active(m) - n.activated);
}

/* What a reader wants to know of a model: its shape, its tokenizer, its parts, the keys of its
 * config that took a default, and the memory that commands take.  lora: of --lora, or NULL. */
static dele_status print_text(const dele_model *m, const dele_lora_counts *lora, const needs *with,
                              const needs *without, dele_err *err)
{
    const dele_config *c = &m->config;
    dele_text_line(stdout, "model       %s", m->path);
    printf("family      %s, %s eps %g%s\n", c->family->hf, c->family->norm_text,
           (double)c->norm_eps, c->tied ? ", head tied to the embedding" : "");
    printf("shape       %d layers, width %d, MLP %d, %d heads of %d over %d key/value heads\n",
           c->n_layers, c->hidden_size, c->intermediate_size, c->n_heads, c->head_dim,
           c->n_kv_heads);
    if (c->clip_qkv > 0)
        printf("            queries, keys and values clipped to %g\n", (double)c->clip_qkv);
    print_experts(c);
    print_positions(c);
    printf("vocabulary  %d rows, ", c->vocab);
    if (m->tokenizer)
        printf("tokenizer of %d ids, bos %d, eos %d\n", dele_tokenizer_size(m->tokenizer),
               dele_tokenizer_bos(m->tokenizer), dele_tokenizer_eos(m->tokenizer));
    else
        printf("no tokenizer\n");
    turns t = {0};
    find_turns(&t, m);
    print_turns(&t, m);
    if (t.failed.code) *err = t.failed;
    dele_arena_release(&t.arena);
    if (err->code) return err->code;
    printf("parameters  %zu in %zu tensors\n", dele_model_parameters(m), m->n_tensors);
    if (c->n_experts) printf("            active %zu (what a token uses)\n", dele_model_active(m));
    for (int part = DELE_PART_EMBED; part < DELE_N_PARTS; part++) {
        size_t n = part_parameters(m, (dele_part)part);
        if (n) printf("            %-6s %zu\n", dele_part_name[part], n);
    }
    if (m->config.perft.variant) print_adapters(m);
    if (lora) printf("adapters    LoRA on %zu tensors\n", lora->tensors);
    if (lora) print_counts(lora->trainable, lora->activated, dele_model_active(m));
    print_weights(m);
    const char *names[DELE_MAX_DEFAULTED];
    size_t n = defaulted(names, m);
    for (size_t i = 0; i < n; i++)
        printf("%s%s%s", i ? ", " : "defaulted   ", names[i], i + 1 == n ? "\n" : "");
    printf("memory      peak, in MiB, with copies of weights (--memory %d) and without (0):\n",
           DELE_DEFAULT_MEMORY);
    for (int i = 0; i < N_JOBS; i++)
        printf("            %-10s %6zu %6zu   %s\n", job_names[i], with->bytes[i] >> 20,
               without->bytes[i] >> 20, job_texts[i]);
    return DELE_OK;
}

static void add_weights(cJSON *to, const dele_model *m)
{
    cJSON *weights = cJSON_AddObjectToObject(to, "weights"),
          *types = cJSON_AddObjectToObject(weights, "tensors_of_type");
    size_t bytes = 0, n;
    for (int type = 0; type < DELE_N_DTYPES; type++) {
        bytes += type_bytes(&n, m, (dele_dtype)type);
        if (n) cJSON_AddNumberToObject(types, dele_dtype_of((dele_dtype)type)->name, (double)n);
    }
    cJSON_AddNumberToObject(weights, "bytes", (double)bytes);
    cJSON_AddNumberToObject(weights, "files", (double)m->n_maps);
}

/* "experts": null, or what print_experts says. */
static void add_experts(cJSON *to, const dele_config *c)
{
    if (!c->n_experts) {
        cJSON_AddNullToObject(to, "experts");
        return;
    }
    cJSON *experts = cJSON_AddObjectToObject(to, "experts");
    cJSON_AddNumberToObject(experts, "number", c->n_experts);
    cJSON_AddNumberToObject(experts, "per_token", c->top_k);
    cJSON_AddNumberToObject(experts, "size", (double)dele_expert_size(c));
    cJSON_AddNumberToObject(experts, "shared_size", c->shared_size);
    cJSON_AddNumberToObject(experts, "layers", count_sparse(c));
    cJSON_AddBoolToObject(experts, "renormalised", c->norm_topk_prob);
}

static void add_needs(cJSON *to, const char *name, const needs *n)
{
    cJSON *memory = cJSON_AddObjectToObject(to, name);
    for (int i = 0; i < N_JOBS; i++)
        cJSON_AddNumberToObject(memory, job_names[i], (double)n->bytes[i]);
}

static void add_counts(cJSON *to, const char *type, size_t trainable, size_t activated)
{
    cJSON *adapters = cJSON_AddObjectToObject(to, "adapters");
    cJSON_AddStringToObject(adapters, "type", type);
    cJSON_AddNumberToObject(adapters, "weights", (double)trainable);
    cJSON_AddNumberToObject(adapters, "activated", (double)activated);
}

/* The same for --json, with the whole config, and the memory with and without copies of weights. */
static dele_status print_info_json(const dele_model *m, const dele_lora_counts *lora,
                                   const needs *with, const needs *without, dele_err *err)
{
    cJSON *o = cJSON_CreateObject(), *parts, *tokenizer, *missing;
    cJSON_AddStringToObject(o, "model", m->path);
    cJSON_AddItemToObject(o, "config", dele_config_json(&m->config));
    cJSON_AddNumberToObject(o, "parameters", (double)dele_model_parameters(m));
    cJSON_AddNumberToObject(o, "active_parameters", (double)dele_model_active(m));
    cJSON_AddNumberToObject(o, "tensors", (double)m->n_tensors);
    parts = cJSON_AddObjectToObject(o, "parts");
    for (int part = DELE_PART_EMBED; part < DELE_N_PARTS; part++)
        cJSON_AddNumberToObject(parts, dele_part_name[part],
                                (double)part_parameters(m, (dele_part)part));
    add_experts(o, &m->config);
    if (m->config.perft.variant) {
        const dele_perft_counts n = dele_perft_count(&m->config);
        add_counts(o, dele_perft_name[m->config.perft.variant], n.trainable, n.activated);
    }
    if (lora) add_counts(o, "lora", lora->trainable, lora->activated);
    add_weights(o, m);
    if (m->tokenizer) {
        tokenizer = cJSON_AddObjectToObject(o, "tokenizer");
        cJSON_AddNumberToObject(tokenizer, "ids", dele_tokenizer_size(m->tokenizer));
        cJSON_AddNumberToObject(tokenizer, "bos", dele_tokenizer_bos(m->tokenizer));
        cJSON_AddNumberToObject(tokenizer, "eos", dele_tokenizer_eos(m->tokenizer));
    } else {
        cJSON_AddNullToObject(o, "tokenizer");
    }
    turns t = {0};
    find_turns(&t, m);
    add_turns(o, &t, m);
    if (t.failed.code) *err = t.failed;
    dele_arena_release(&t.arena);
    const char *names[DELE_MAX_DEFAULTED];
    size_t n = defaulted(names, m);
    missing = cJSON_AddArrayToObject(o, "defaulted");
    for (size_t i = 0; i < n; i++) cJSON_AddItemToArray(missing, cJSON_CreateString(names[i]));
    add_needs(o, "memory_bytes", with);
    add_needs(o, "memory_bytes_without_copies", without);
    if (!err->code) dele_json_show(o, err);
    cJSON_Delete(o);
    return err->code;
}

typedef struct {
    dele_perft_options perft;
    dele_adapter_options adapters;
    int lora;
    const char *tensors;
} info_settings;

/* The adapters that the options name, or that a directory of PERFT holds; NONE: neither. */
static dele_status find_adapters(dele_perft *perft, const info_settings *s,
                                 const dele_config *config, dele_arena *arena, dele_err *err)
{
    dele_adapter_entry *entry;
    size_t n;
    *perft = (dele_perft){0};
    if (dele_perft_options_check(&s->perft, err) ||
        dele_adapters_parse(&entry, &n, &s->adapters, arena, err))
        return err->code;
    if (s->perft.variant) return dele_perft_of(perft, &s->perft, config, err);
    for (size_t i = 0; i < n && !err->code; i++)
        if (!entry[i].peft) dele_perft_describe(perft, config, entry[i].dir, err);
    return err->code;
}

/* The adapters of --lora on --tensors; rank 0: none. */
static dele_status count_lora(dele_lora_counts *counts, const info_settings *s,
                              const dele_model *model, dele_arena *arena, dele_err *err)
{
    dele_mask mask;
    const dele_lora_options o = {.rank = s->lora, .alpha = 1};
    if (!s->lora && !s->tensors) return DELE_OK;
    if (!s->lora || !s->tensors)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--lora RANK and --tensors PATTERNS count adapters together; --%s is "
                         "missing",
                         s->lora ? "tensors" : "lora");
    if (s->perft.variant)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--lora and --adapter-type are two kinds of adapters; give one of them");
    if (dele_mask_match(&mask, model, s->tensors, arena, err) ||
        dele_lora_check(&o, model, &mask, err))
        return err->code;
    *counts = dele_lora_count(model, &mask, s->lora);
    return DELE_OK;
}

static dele_status info(const char *path, const info_settings *s, bool json, dele_arena *arena,
                        dele_err *err)
{
    dele_model model = {0};
    needs with, without;
    dele_perft perft;
    dele_lora_counts counts = {0};
    const dele_lora_counts *lora = s->lora ? &counts : NULL;
    dele_status status = dele_model_open(&model, path, arena, err);
    if (!status) status = count_lora(&counts, s, &model, arena, err);
    if (!status) status = find_adapters(&perft, s, &model.config, arena, err);
    if (!status && perft.variant) status = dele_model_attach(&model, &perft, arena, err);
    const size_t held = arena->used;
    if (!status) status = foretell(&with, &model, DELE_DEFAULT_MEMORY, held, arena, err);
    if (!status) status = foretell(&without, &model, 0, held, arena, err);
    if (!status && json) status = print_info_json(&model, lora, &with, &without, err);
    if (!status && !json) status = print_text(&model, lora, &with, &without, err);
    dele_model_release(&model);
    return status;
}

int cmd_info(int argc, char **argv)
{
    const char *path = NULL;
    info_settings s = {.perft = {DELE_PERFT_DEFAULTS}, .adapters = {DELE_ADAPTER_DEFAULTS}};
    /* clang-format off */
    const dele_option options[] = {
        DELE_GROUP("LoRA, counted"),
        DELE_OPT("lora", &s.lora, "rank of adapters on the matrices of --tensors; 0: none"),
        DELE_OPT("tensors", &s.tensors, "names or patterns, as *q_proj.weight,*v_proj.weight"),
        DELE_GROUP("adapters of PERFT, counted"),
        DELE_ADAPTER_OPTIONS(s.adapters),
        DELE_PERFT_OPTIONS(s.perft),
        {0}};
    /* clang-format on */
    const dele_usage usage = {.command = "info",
                              .summary =
                                  "architecture, parameters, tokenizer, memory of each command",
                              .synopsis = "MODEL",
                              .example = "deleatur info model.gguf",
                              .options = options,
                              .positional = &path,
                              .n_positional = 1};
    dele_common common = {0};
    dele_arena arena = {0};
    dele_err err = {0};
    if (!dele_options_parse(&common, &usage, argc, argv, &arena, &err) && !common.help)
        info(path, &s, common.json, &arena, &err);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
