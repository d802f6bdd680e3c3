/* Every key of every family's table: another value changes the config, or is an error that names
 * the key; what the table says is without effect has none.  What each spelling of the rotation, of
 * windows and of layers gives is what transformers 5.23 gives (tests/reference/config_values.py
 * prints it). */
#include "model_files.h"

static dele_status parse(dele_config *c, const cJSON *json, dele_err *err)
{
    *err = (dele_err){0};
    return dele_config_parse(c, json, "config.json", err);
}

static dele_status parse_text(dele_config *c, const char *text, dele_err *err)
{
    cJSON *json = cJSON_Parse(text);
    if (!json) fail_msg("not JSON: %s", text);
    const dele_status status = parse(c, json, err);
    cJSON_Delete(json);
    return status;
}

/* ---- every key ------------------------------------------------------------------------------- */

/* A config.json that can be read as numbers: dele_config_json has its floats as raw text. */
static cJSON *json_of(const dele_config *c)
{
    cJSON *raw = dele_config_json(c);
    char *text = cJSON_Print(raw);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    cJSON_free(text);
    cJSON_Delete(raw);
    return json;
}

/* A value that every reader of the kind takes; NULL: the kind has no single value. */
static cJSON *other_value(const dele_config *c, const dele_key_row *row)
{
    const void *field = (const char *)c + row->field;
    switch (row->kind) {
    case DELE_HOLDS_SIZE:
    case DELE_HOLDS_ROWS:
        return cJSON_CreateNumber(2 * *(const int *)field);
    case DELE_HOLDS_WINDOW:
        return cJSON_CreateNumber(3);
    case DELE_HOLDS_ROOT:
        return cJSON_CreateNumber(77);
    case DELE_HOLDS_POSITIVE:
    case DELE_HOLDS_POSITIVE_OR_NONE:
        return cJSON_CreateNumber(2.5 * (double)*(const float *)field + 0.5);
    case DELE_HOLDS_ROTATION:
        return cJSON_CreateNumber(777);
    case DELE_HOLDS_FLAG:
        return cJSON_CreateBool(!*(const bool *)field);
    case DELE_HOLDS_UNSCALED:
        return cJSON_CreateBool(*(const float *)field != 0);
    case DELE_HOLDS_ACTIVATION:
        return cJSON_CreateString(c->activation == DELE_SILU ? "gelu" : "silu");
    case DELE_HOLDS_ID:
    case DELE_HOLDS_ENDS:
        return cJSON_CreateNumber(7);
    default:
        return NULL;
    }
}

/* The base has no window that a changed key could move where the family's layers slide on demand.
 */
static bool is_on_demand(const dele_config *c, const dele_key_row *row)
{
    return row->kind == DELE_HOLDS_WINDOW && !c->window &&
           dele_family_key(c->family, "use_sliding_window");
}

static void another_value_of_any_key_changes_the_config_or_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t f = 0; f < dele_n_families; f++) {
        const dele_family *family = dele_families[f];
        const dele_config base = tiny_config(family, false);
        for (size_t i = 0; i < family->n_keys; i++) {
            const dele_key_row *row = &family->keys[i];
            cJSON *value = row->hf ? other_value(&base, row) : NULL;
            if (!value || is_on_demand(&base, row)) {
                cJSON_Delete(value);
                continue;
            }
            cJSON *json = json_of(&base);
            dele_config changed;
            dele_err err;
            if (row->kind == DELE_HOLDS_ROTATION) /* its other spelling holds the base's */
                cJSON_DeleteItemFromObject(json, "rope_parameters");
            if (cJSON_GetObjectItem(json, row->hf))
                cJSON_ReplaceItemInObject(json, row->hf, value);
            else
                cJSON_AddItemToObject(json, row->hf, value);
            if (!parse(&changed, json, &err) && !memcmp(&changed, &base, sizeof base))
                fail_msg("%s: another %s changes nothing", family->hf, row->hf);
            cJSON_Delete(json);
        }
    }
}

static void values_of_a_wrong_type_are_refused_by_the_keys_name(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\"4x\"", "[[4]]", "{\"a\":4}", "-7.5", "1e999"};
    for (size_t f = 0; f < dele_n_families; f++)
        for (size_t i = 0; i < dele_families[f]->n_keys; i++)
            for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) {
                const dele_key_row *row = &dele_families[f]->keys[i];
                if (!row->hf || row->kind == DELE_HOLDS_NOTHING) continue;
                const dele_config base = tiny_config(dele_families[f], false);
                cJSON *json = json_of(&base);
                char name[100];
                dele_config changed;
                dele_err err;
                snprintf(name, sizeof name, "\"%s\"", row->hf);
                cJSON_DeleteItemFromObject(json, row->hf);
                cJSON_AddItemToObject(json, row->hf, cJSON_Parse(wrong[w]));
                if (!parse(&changed, json, &err) || !strstr(err.msg, name))
                    fail_msg("%s: %s %s: %s", dele_families[f]->hf, row->hf, wrong[w], err.msg);
                cJSON_Delete(json);
            }
}

/* Keys of the other families are refused, unless they are off. */
static void a_key_of_another_family_is_refused(void **state)
{
    (void)state;
    for (size_t f = 0; f < dele_n_families; f++)
        for (size_t g = 0; g < dele_n_families; g++)
            for (size_t i = 0; i < dele_families[g]->n_keys; i++) {
                const dele_key_row *row = &dele_families[g]->keys[i];
                const bool computes = row->kind <= DELE_HOLDS_UNSCALED && row->hf;
                if (!computes || dele_family_key(dele_families[f], row->hf) ||
                    !strcmp(row->hf, "layer_norm_eps"))
                    continue;
                const dele_config base = tiny_config(dele_families[f], false);
                cJSON *json = json_of(&base);
                dele_config changed;
                dele_err err;
                cJSON_AddNumberToObject(json, row->hf, 3);
                if (!parse(&changed, json, &err) || !strstr(err.msg, row->hf))
                    fail_msg("%s takes %s of %s: %s", dele_families[f]->hf, row->hf,
                             dele_families[g]->hf, err.msg);
                cJSON_Delete(json);
            }
}

/* ---- layers ---------------------------------------------------------------------------------- */

#define SIZES(heads)                                                                               \
    "\"hidden_size\":32,\"intermediate_size\":48,\"num_hidden_layers\":8,\"num_attention_heads\":" \
    "4,\"vocab_size\":67,\"head_dim\":8" heads
#define KV ",\"num_key_value_heads\":2"

/* A layer's letter: s slides, f is full, S and F are not rotated; e has experts, E and slides. */
static void layers_are_those_of_transformers(void **state)
{
    (void)state;
    static const struct {
        const char *type, *more, *layers;
        int window;
    } cases[] = {
        {"llama", "", "ffffffff", 0},
        {"mistral", "", "ssssssss", 4096},
        {"mistral", ",\"sliding_window\":null", "ffffffff", 0},
        {"mistral", ",\"sliding_window\":5", "ssssssss", 5},
        {"phi3", "", "ffffffff", 0},
        {"phi3", ",\"sliding_window\":5", "ssssssss", 5},
        {"qwen2", ",\"sliding_window\":5", "ffffffff", 0},
        {"qwen2", ",\"sliding_window\":5,\"use_sliding_window\":true", "ffffffff", 0},
        {"qwen2", ",\"sliding_window\":5,\"use_sliding_window\":true,\"max_window_layers\":6",
         "ffffffss", 5},
        {"qwen3", ",\"use_sliding_window\":true,\"max_window_layers\":0", "ssssssss", 4096},
        {"gemma2", "", "sfsfsfsf", 4096},
        {"gemma3_text", "", "sssssfss", 4096},
        {"gemma3_text", ",\"sliding_window_pattern\":3,\"sliding_window\":7", "ssfssfss", 7},
        {"olmo3", "", "sssfsssf", 4096},
        {"olmo3",
         ",\"sliding_window\":4,\"layer_types\":[\"full_attention\",\"sliding_attention\","
         "\"full_attention\",\"full_attention\",\"full_attention\",\"full_attention\","
         "\"full_attention\",\"full_attention\"]",
         "fsffffff", 4},
        {"mixtral", "", "eeeeeeee", 0},
        {"mixtral", ",\"sliding_window\":5", "EEEEEEEE", 5},
        {"olmoe", "", "eeeeeeee", 0},
        {"qwen2_moe", "", "eeeeeeee", 0},
        {"qwen2_moe", ",\"sliding_window\":0", "eeeeeeee", 0},
        {"qwen2_moe", ",\"use_sliding_window\":true,\"sliding_window\":5,\"max_window_layers\":5",
         "EeEeEeee", 5},
        {"qwen2_moe", ",\"mlp_only_layers\":[0,6],\"use_sliding_window\":true", "seEeEese", 4096},
        {"qwen2_moe", ",\"decoder_sparse_step\":3,\"mlp_only_layers\":null", "ffeffeff", 0},
        {"qwen3_moe", ",\"decoder_sparse_step\":2,\"mlp_only_layers\":[3]", "fefffefe", 0},
        {"qwen3_moe", ",\"use_sliding_window\":true,\"sliding_window\":6,\"mlp_only_layers\":[1]",
         "EsEEEEEE", 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[900], got[9] = "";
        dele_config c;
        dele_err err;
        snprintf(text, sizeof text, "{\"model_type\":\"%s\"," SIZES(KV) "%s}", cases[i].type,
                 cases[i].more);
        if (parse_text(&c, text, &err)) fail_msg("%s: %s", text, err.msg);
        for (int l = 0; l < 8; l++) got[l] = "fsFSeE"[c.layer_kind[l] & 7];
        if (strcmp(got, cases[i].layers) || c.window != cases[i].window)
            fail_msg("%s%s: %s, %d", cases[i].type, cases[i].more, got, c.window);
    }
}

static void layers_that_contradict_the_rest_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"mistral", ",\"layer_types\":[\"full_attention\"]", "layer_types"},
        {"mistral", ",\"sliding_window\":0", "sliding_window"},
        {"gemma2", ",\"sliding_window\":null", "sliding_window"},
        {"gemma3_text", ",\"sliding_window_pattern\":0", "sliding_window_pattern"},
        {"gemma3_text", ",\"use_bidirectional_attention\":true", "use_bidirectional_attention"},
        {"qwen2", ",\"max_window_layers\":-1", "max_window_layers"},
        {"qwen3", ",\"use_sliding_window\":1", "use_sliding_window"},
        {"olmo3", ",\"layer_types\":[1,2,3,4,5,6,7,8]", "layer_types"},
        {"mixtral", ",\"sliding_window\":0", "sliding_window"},
        {"qwen2_moe", ",\"sliding_window\":0,\"use_sliding_window\":true",
         "\"use_sliding_window\" is true"},
        {"qwen2_moe",
         ",\"sliding_window\":0,\"layer_types\":[\"sliding_attention\",\"full_attention\","
         "\"sliding_attention\",\"full_attention\",\"full_attention\",\"full_attention\","
         "\"full_attention\",\"full_attention\"]",
         "by \"layer_types\", but there is no window"},
        {"qwen2_moe", ",\"use_sliding_window\":true,\"sliding_window\":0", "sliding_window"},
        {"qwen2_moe", ",\"mlp_only_layers\":[8]", "mlp_only_layers"},
        {"qwen3_moe", ",\"mlp_only_layers\":3", "mlp_only_layers"},
        {"qwen3_moe", ",\"decoder_sparse_step\":0", "decoder_sparse_step"},
        {"olmoe", ",\"mlp_only_layers\":[1]", "mlp_only_layers"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[900];
        dele_config c;
        dele_err err;
        snprintf(text, sizeof text, "{\"model_type\":\"%s\"," SIZES(KV) "%s}", cases[i][0],
                 cases[i][1]);
        if (!parse_text(&c, text, &err) || !strstr(err.msg, cases[i][2]))
            fail_msg("%s: %s", text, err.msg);
    }
}

/* ---- experts --------------------------------------------------------------------------------- */

/* The number of experts has two names in some families; both at once must agree. */
static void experts_are_read_under_both_names(void **state)
{
    (void)state;
    static const struct {
        const char *type, *more;
        int n_experts; /* 0: refused */
        const char *words;
    } cases[] = {
        {"olmoe", ",\"num_experts\":16", 16, ""},
        {"olmoe", ",\"num_local_experts\":16", 16, ""},
        {"mixtral", ",\"num_experts\":6", 6, ""},
        {"mixtral", ",\"num_local_experts\":6,\"num_experts\":6", 6, ""},
        {"mixtral", ",\"num_local_experts\":6,\"num_experts\":8", 0,
         "\"num_local_experts\" and \"num_experts\""},
        {"qwen3_moe", ",\"num_local_experts\":32", 32, ""},
        {"qwen3_moe", "", 128, ""},
        {"qwen2_moe", ",\"num_local_experts\":32", 0, "num_local_experts"},
        {"qwen2_moe", ",\"num_experts\":3", 0, "4 experts a token of 3"},
        {"mixtral", ",\"num_local_experts\":2000", 0, "2000 experts"},
        {"olmoe", ",\"num_experts_per_tok\":null", 0, "num_experts_per_tok"},
        {"olmoe", ",\"router_aux_loss_coef\":-1", 0, "router_aux_loss_coef"},
        {"mixtral", ",\"norm_topk_prob\":true", 0, "norm_topk_prob"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[900];
        dele_config c;
        dele_err err;
        snprintf(text, sizeof text, "{\"model_type\":\"%s\"," SIZES(KV) "%s}", cases[i].type,
                 cases[i].more);
        const bool read = !parse_text(&c, text, &err);
        if (read ? c.n_experts != cases[i].n_experts
                 : cases[i].n_experts || !strstr(err.msg, cases[i].words))
            fail_msg("%s: %s", text, read ? "taken otherwise" : err.msg);
    }
}

static void the_weights_of_experts_add_up_where_the_config_or_the_family_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *type, *more;
        bool normed;
    } cases[] = {{"olmoe", "", false},     {"olmoe", ",\"norm_topk_prob\":true", true},
                 {"mixtral", "", true},    {"qwen2_moe", "", false},
                 {"qwen3_moe", "", false}, {"qwen3_moe", ",\"norm_topk_prob\":true", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[900];
        dele_config c;
        dele_err err;
        snprintf(text, sizeof text, "{\"model_type\":\"%s\"," SIZES(KV) "%s}", cases[i].type,
                 cases[i].more);
        if (parse_text(&c, text, &err)) fail_msg("%s", err.msg);
        if (c.norm_topk_prob != cases[i].normed) fail_msg("%s", text);
    }
}

/* ---- rotations ------------------------------------------------------------------------------- */

static void rotations_are_those_of_transformers(void **state)
{
    (void)state;
#define YARN "{\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":32"
    static const struct {
        const char *type, *more;
        dele_rope full, sliding;
        int rotary_dim;
    } cases[] = {
        {"llama",
         "\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.0}",
         {.theta = 1e4f, .type = DELE_ROPE_LINEAR, .factor = 2},
         {.theta = 0},
         0},
        {"llama",
         "\"rope_parameters\":{\"rope_type\":\"dynamic\",\"factor\":3,\"rope_theta\":50.0}",
         {.theta = 50, .type = DELE_ROPE_DYNAMIC, .factor = 3, .original_context = 64},
         {.theta = 0},
         0},
        {"llama",
         "\"rope_theta\":5e5,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,"
         "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_embeddings\":"
         "32}",
         {.theta = 5e5f,
          .type = DELE_ROPE_LLAMA3,
          .factor = 8,
          .original_context = 32,
          .low_freq_factor = 1,
          .high_freq_factor = 4},
         {.theta = 0},
         0},
        {"qwen2",
         "\"rope_scaling\":" YARN "}",
         {.theta = 1e4f,
          .type = DELE_ROPE_YARN,
          .factor = 4,
          .original_context = 32,
          .beta_fast = 32,
          .beta_slow = 1},
         {.theta = 0},
         0},
        {"qwen3",
         "\"rope_scaling\":" YARN ",\"beta_fast\":8,\"beta_slow\":2,\"mscale\":1.5,"
         "\"mscale_all_dim\":0.5,\"attention_factor\":1.25,\"truncate\":false}",
         {.theta = 1e4f,
          .type = DELE_ROPE_YARN,
          .factor = 4,
          .original_context = 32,
          .beta_fast = 8,
          .beta_slow = 2,
          .attention_factor = 1.25f,
          .mscale = 1.5f,
          .mscale_all_dim = 0.5f,
          .no_truncate = true},
         {.theta = 0},
         0},
        {"gemma3_text", "\"rope_theta\":300.0", {.theta = 300}, {.theta = 1e4f}, 0},
        {"gemma3_text",
         "\"rope_local_base_freq\":30,\"rope_scaling\":{\"rope_type\":\"linear\","
         "\"factor\":8}",
         {.theta = 1e6f, .type = DELE_ROPE_LINEAR, .factor = 8},
         {.theta = 30},
         0},
        {"gemma3_text",
         "\"rope_parameters\":{\"sliding_attention\":{\"rope_theta\":20.0},"
         "\"full_attention\":{\"rope_type\":\"default\",\"rope_theta\":400.0}}",
         {.theta = 400},
         {.theta = 20},
         0},
        {"olmo3", "\"rope_theta\":500000", {.theta = 5e5f}, {.theta = 5e5f}, 0},
        {"olmo3",
         "\"rope_theta\":500000,\"rope_scaling\":" YARN "}",
         {.theta = 5e5f,
          .type = DELE_ROPE_YARN,
          .factor = 4,
          .original_context = 32,
          .beta_fast = 32,
          .beta_slow = 1},
         {.theta = 5e5f},
         0},
        {"gpt_neox", "\"hidden_act\":\"gelu\"", {.theta = 1e4f}, {.theta = 0}, 2},
        {"gpt_neox", "\"rotary_pct\":0.5,\"rotary_emb_base\":70", {.theta = 70}, {.theta = 0}, 4},
        {"gpt_neox",
         "\"rope_parameters\":{\"partial_rotary_factor\":1.0,\"rope_theta\":9}",
         {.theta = 9},
         {.theta = 0},
         0},
        {"phi3", "\"partial_rotary_factor\":0.75", {.theta = 1e4f}, {.theta = 0}, 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[900];
        dele_config c;
        dele_err err;
        const bool neox = !strcmp(cases[i].type, "gpt_neox");
        snprintf(text, sizeof text, "{\"model_type\":\"%s\",%s,\"max_position_embeddings\":64,%s}",
                 cases[i].type,
                 neox ? "\"hidden_size\":32,\"intermediate_size\":48,\"num_hidden_layers\":2,"
                        "\"num_attention_heads\":4,\"vocab_size\":67"
                      : SIZES(KV),
                 cases[i].more);
        if (parse_text(&c, text, &err)) fail_msg("%s: %s", text, err.msg);
        if (memcmp(&c.rope[0], &cases[i].full, sizeof c.rope[0]) ||
            memcmp(&c.rope[1], &cases[i].sliding, sizeof c.rope[1]) ||
            c.rotary_dim != cases[i].rotary_dim)
            fail_msg("%s, %s: base %g, %g, type %d, factor %g, %d channels", cases[i].type,
                     cases[i].more, (double)c.rope[0].theta, (double)c.rope[1].theta,
                     (int)c.rope[0].type, (double)c.rope[0].factor, c.rotary_dim);
        cJSON *again = json_of(&c); /* and written it is the same */
        dele_config back;
        if (parse(&back, again, &err)) fail_msg("%s: %s", cases[i].more, err.msg);
        assert_memory_equal(back.rope, c.rope, sizeof c.rope);
        assert_int_equal(back.rotary_dim, c.rotary_dim);
        cJSON_Delete(again);
    }
}

static void rotations_that_a_family_does_not_have_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"llama", "\"rope_scaling\":{\"rope_type\":\"longrope\",\"factor\":2}", "longrope"},
        {"llama", "\"rope_scaling\":{\"rope_type\":\"proportional\"}", "proportional"},
        {"llama", "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2,\"beta_fast\":3}",
         "beta_fast"},
        {"llama",
         "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,"
         "\"high_freq_factor\":1}",
         "low_freq_factor"},
        {"phi3", "\"rope_scaling\":" YARN "}", "yarn"},
        {"phi3", "\"partial_rotary_factor\":0.2", "partial_rotary_factor"},
        {"olmo3", "\"rope_theta\":10000.0", "rope_theta"},
        {"gemma3_text", "\"rope_scaling\":{\"type\":\"linear\",\"factor\":8}", "rope_scaling.type"},
        {"olmo3", "\"rope_parameters\":{\"rope_theta\":10000.0}", "full_attention"},
        {"olmo3", "\"rope_parameters\":{\"full_attention\":" YARN ",\"truncate\":false}}",
         "truncate"},
        {"gemma3_text", "\"rope_parameters\":{\"full_attention\":{\"partial_rotary_factor\":0.5}}",
         "partial_rotary_factor"},
        {"gpt_neox", "\"rope_theta\":500.0", "rope_theta"},
        {"gpt_neox", "\"partial_rotary_factor\":0.5", "partial_rotary_factor"},
        {"gpt2", "\"rope_theta\":500.0", "rope_theta"},
        {"gpt2", "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2}", "rope_scaling"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const dele_config base = tiny_config(dele_family_by_hf(cases[i][0]), false);
        char text[600];
        dele_config c;
        dele_err err;
        cJSON *json = json_of(&base), *more;
        static const char *const own[] = {"rope_theta", "rope_scaling", "rope_parameters",
                                          "rope_local_base_freq", "partial_rotary_factor"};
        for (size_t k = 0; k < sizeof own / sizeof *own; k++)
            cJSON_DeleteItemFromObject(json, own[k]);
        snprintf(text, sizeof text, "{%s}", cases[i][1]);
        assert_non_null(more = cJSON_Parse(text));
        while (more->child) {
            cJSON *item = cJSON_DetachItemViaPointer(more, more->child);
            cJSON_AddItemToObject(json, item->string, item);
        }
        cJSON_Delete(more);
        if (!parse(&c, json, &err) || !strstr(err.msg, cases[i][2]))
            fail_msg("%s, %s: %s", cases[i][0], cases[i][1], err.msg);
        cJSON_Delete(json);
    }
}

/* ---- within another config ------------------------------------------------------------------- */

static void the_text_config_of_a_model_with_other_parts_is_read(void **state)
{
    (void)state;
#define GEMMA "\"text_config\":{\"model_type\":\"gemma3_text\"," SIZES(KV) "}"
    dele_config c;
    dele_err err;
    if (parse_text(&c,
                   "{\"model_type\":\"gemma3\",\"vision_config\":{\"hidden_size\":9}," GEMMA "}",
                   &err))
        fail_msg("%s", err.msg);
    assert_string_equal(c.family->hf, "gemma3_text");
    assert_int_equal(c.hidden_size, 32);
    static const char *const wrong[][2] = {
        {"{\"model_type\":\"gemma3\",\"tie_word_embeddings\":false,\"text_config\":{\"model_type\":"
         "\"gemma3_text\",\"tie_word_embeddings\":true," SIZES(KV) "}}",
         "tie_word_embeddings"},
        {"{\"model_type\":\"gemma3\",\"text_config\":{\"model_type\":\"llama\"," SIZES(KV) "}}",
         "text_config"},
        {"{\"model_type\":\"gemma3\"}", "gemma3"},
        {"{\"model_type\":\"llava\"," GEMMA "}", "llava"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (!parse_text(&c, wrong[i][0], &err) || !strstr(err.msg, wrong[i][1]))
            fail_msg("%s: %s", wrong[i][0], err.msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_value_of_any_key_changes_the_config_or_is_refused_by_name),
        cmocka_unit_test(values_of_a_wrong_type_are_refused_by_the_keys_name),
        cmocka_unit_test(a_key_of_another_family_is_refused),
        cmocka_unit_test(layers_are_those_of_transformers),
        cmocka_unit_test(layers_that_contradict_the_rest_are_refused),
        cmocka_unit_test(experts_are_read_under_both_names),
        cmocka_unit_test(the_weights_of_experts_add_up_where_the_config_or_the_family_says_so),
        cmocka_unit_test(rotations_are_those_of_transformers),
        cmocka_unit_test(rotations_that_a_family_does_not_have_are_refused_by_name),
        cmocka_unit_test(the_text_config_of_a_model_with_other_parts_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
