/* deleatur info -- what is this model, and how much memory does each job need?
 *
 * The memory figures are worked out from the shapes, as the engine and the trainer ask for it:
 *
 *   weights          4 bytes a parameter, always
 *   a pass           rows x (3 dim + 3 hidden + 2 q_dim + 2 kv_dim) floats
 *   keys and values  2 kv_dim floats a layer and position
 *   training         unlearn/trainer.h */

#include "cli/cmd.h"

#include <stdio.h>
#include <string.h>

#include "base/json_out.h"
#include "base/text_out.h"
#include "option/option.h"
#include "unlearn/trainer.h"

enum { PASS_ROWS = 1024, TRACE_MIB = 1024, LOGIT_ROWS = 256 };

typedef struct {
    const char *job;
    size_t bytes;
} need;

enum { N_NEEDS = 5 };

/* With an update that fills a pass, every position a label. */
static size_t training_bytes(dele_model *m, const dele_mask *mask, const dele_objective *objective)
{
    const dele_trainable trainable = {.model = m, .mask = mask};
    const dele_train_size size = {.rows = PASS_ROWS,
                                  .sequences = PASS_ROWS / 64,
                                  .labels = PASS_ROWS,
                                  .longest = 64,
                                  .tokens = PASS_ROWS};
    dele_train_options o = DELE_TRAIN_DEFAULTS;
    dele_train_memory memory;
    o.objective = objective;
    return dele_train_count(&memory, &trainable, &o, &size, NULL) ? SIZE_MAX : memory.total;
}

/* Memory of the five commands that need most, with their default options: from the shapes of a pass
 * and, for training, from unlearn/cost.h. */
static dele_status estimate(need needs[N_NEEDS], dele_model *m, dele_arena *arena, dele_err *err)
{
    const dele_config *c = &m->config;
    size_t weights = sizeof(float) * dele_model_parameters(m);
    size_t row = 3 * (size_t)c->hidden_size + 3 * (size_t)c->intermediate_size + 2 * dele_q_dim(c) +
                 2 * dele_kv_dim(c);
    size_t pass = row * sizeof(float) * PASS_ROWS,
           logits = (size_t)c->vocab * LOGIT_ROWS * sizeof(float);
    size_t cache = 2 * dele_kv_dim(c) * (size_t)c->n_layers * sizeof(float) *
                   (size_t)(c->context < 2048 ? c->context : 2048);
    dele_mask some, all;
    char layers[32];
    snprintf(layers, sizeof layers, "0-%d", c->n_layers < 6 ? c->n_layers - 1 : 5);
    if (dele_mask_parse(&some, m, layers, "mlp", arena, err) ||
        dele_mask_parse(&all, m, "all", "all", arena, err))
        return err->code;
    needs[0] = (need){"generate", weights + pass + cache + logits};
    needs[1] = (need){"eval", weights + pass + 2 * cache + logits};
    needs[2] = (need){"trace", weights + ((size_t)TRACE_MIB << 20)};
    needs[3] = (need){"unlearn", training_bytes(m, &some, &dele_objective_joint)};
    needs[4] = (need){"finetune", training_bytes(m, &all, &dele_objective_ce)};
    return DELE_OK;
}

/* ---- speaking -------------------------------------------------------------------------------- */

static const char *const part_names[] = {[DELE_PART_EMBED] = "embed",
                                         [DELE_PART_ATTN] = "attn",
                                         [DELE_PART_MLP] = "mlp",
                                         [DELE_PART_NORM] = "norm",
                                         [DELE_PART_HEAD] = "head"};

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

/* What a reader wants to know of a model: its shape, its tokenizer, its parts, the keys of its
 * config that took a default, and the memory that commands take. */
static void print_text(const dele_model *m, const need needs[N_NEEDS])
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
    printf("positions   context %d, rotary base %g\n", c->context, (double)c->rope_theta);
    printf("vocabulary  %d rows, ", c->vocab);
    if (m->tokenizer)
        printf("tokenizer of %d ids, bos %d, eos %d\n", dele_tokenizer_size(m->tokenizer),
               dele_tokenizer_bos(m->tokenizer), dele_tokenizer_eos(m->tokenizer));
    else
        printf("no tokenizer\n");
    printf("parameters  %zu in %zu tensors\n", dele_model_parameters(m), m->n_tensors);
    for (int part = DELE_PART_EMBED; part <= DELE_PART_HEAD; part++) {
        size_t n = part_parameters(m, (dele_part)part);
        if (n) printf("            %-6s %zu\n", part_names[part], n);
    }
    const char *names[DELE_MAX_DEFAULTED];
    size_t n = defaulted(names, m);
    for (size_t i = 0; i < n; i++)
        printf("%s%s%s", i ? ", " : "defaulted   ", names[i], i + 1 == n ? "\n" : "");
    printf("memory      about, in MiB, at %d tokens a pass:\n", PASS_ROWS);
    for (int i = 0; i < N_NEEDS; i++)
        printf("            %-10s %6zu%s\n", needs[i].job, needs[i].bytes >> 20,
               i == 3   ? "   layers 0-5, mlp"
               : i == 4 ? "   every tensor"
                        : "");
}

/* The same for --json, with the whole config. */
static dele_status print_info_json(const dele_model *m, const need needs[N_NEEDS], dele_err *err)
{
    cJSON *o = cJSON_CreateObject(), *parts, *memory, *tokenizer, *missing;
    cJSON_AddStringToObject(o, "model", m->path);
    cJSON_AddItemToObject(o, "config", dele_config_json(&m->config));
    cJSON_AddNumberToObject(o, "parameters", (double)dele_model_parameters(m));
    cJSON_AddNumberToObject(o, "tensors", (double)m->n_tensors);
    parts = cJSON_AddObjectToObject(o, "parts");
    for (int part = DELE_PART_EMBED; part <= DELE_PART_HEAD; part++)
        cJSON_AddNumberToObject(parts, part_names[part],
                                (double)part_parameters(m, (dele_part)part));
    if (m->tokenizer) {
        tokenizer = cJSON_AddObjectToObject(o, "tokenizer");
        cJSON_AddNumberToObject(tokenizer, "ids", dele_tokenizer_size(m->tokenizer));
        cJSON_AddNumberToObject(tokenizer, "bos", dele_tokenizer_bos(m->tokenizer));
        cJSON_AddNumberToObject(tokenizer, "eos", dele_tokenizer_eos(m->tokenizer));
    } else {
        cJSON_AddNullToObject(o, "tokenizer");
    }
    const char *names[DELE_MAX_DEFAULTED];
    size_t n = defaulted(names, m);
    missing = cJSON_AddArrayToObject(o, "defaulted");
    for (size_t i = 0; i < n; i++) cJSON_AddItemToArray(missing, cJSON_CreateString(names[i]));
    memory = cJSON_AddObjectToObject(o, "memory_bytes");
    for (int i = 0; i < N_NEEDS; i++)
        cJSON_AddNumberToObject(memory, needs[i].job, (double)needs[i].bytes);
    dele_json_show(o, err);
    cJSON_Delete(o);
    return err->code;
}

static dele_status info(const char *path, bool json, dele_arena *arena, dele_err *err)
{
    dele_model model = {0};
    need needs[N_NEEDS];
    dele_status status = dele_model_load(&model, path, arena, err);
    if (!status) status = estimate(needs, &model, arena, err);
    if (!status && json) status = print_info_json(&model, needs, err);
    if (!status && !json) print_text(&model, needs);
    dele_model_release(&model);
    return status;
}

int cmd_info(int argc, char **argv)
{
    const char *path = NULL;
    /* clang-format off */
    const dele_option options[] = {
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
        info(path, common.json, &arena, &err);
    dele_arena_release(&arena);
    return dele_complain(&err);
}
