/* Which tensors a mask means, and what a fact file says. */
#include "model_files.h"

#include "block_families.h"
#include "byte_tokenizer.h"
#include "model/facts.h"
#include "model/mask.h"
#include "tests/shared.h"
#include "text/chat.h"

static size_t trained(const char *layers, const char *parts, int *lowest, bool tied, char *why,
                      size_t room)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model m;
    dele_mask mask;
    tiny_model(&m, &dele_family_llama, tied, &arena);
    dele_status status = dele_mask_parse(&mask, &m, layers, parts, &arena, &err);
    if (why) snprintf(why, room, "%s", err.msg);
    if (lowest) *lowest = status ? -1 : mask.lowest;
    size_t n = status ? 0 : mask.n_trained;
    dele_arena_release(&arena);
    return n;
}

static void layers_and_parts_select_what_they_say(void **state)
{
    (void)state;
    int lowest;
    assert_int_equal(trained("all", "mlp", &lowest, true, NULL, 0), 6);
    assert_int_equal(lowest, 0);
    assert_int_equal(trained("1", "mlp,attn", &lowest, true, NULL, 0), 7);
    assert_int_equal(lowest, 1);
    assert_int_equal(trained("0-1", "norm", &lowest, true, NULL, 0), 5);
    assert_int_equal(trained("1", "embed", &lowest, true, NULL, 0), 1);
    assert_int_equal(lowest, 0);
    assert_int_equal(trained("0", "head", &lowest, false, NULL, 0), 1);
    assert_int_equal(lowest, 2);
    assert_int_equal(trained("all", "all", &lowest, false, NULL, 0), 21);
}

/* Learned positions belong to the embedding, norms and their biases to the norms wherever they
 * stand, biases to their module. */
static void parts_of_other_blocks_are_where_they_belong(void **state)
{
    (void)state;
    static const struct {
        const dele_family *family;
        const char *layers, *parts;
        size_t n;
        int lowest;
    } cases[] = {{&dele_family_positions, "1", "embed", 2, 0},
                 {&dele_family_positions, "1", "mlp", 4, 1},
                 {&dele_family_positions, "1", "attn", 8, 1},
                 {&dele_family_positions, "1", "norm", 6, 1},
                 {&dele_family_norms_after, "0", "norm", 3, 0},
                 {&dele_family_norms_about, "1", "norm,mlp", 8, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const dele_config config = {.family = cases[i].family,
                                    .n_layers = 2,
                                    .hidden_size = 8,
                                    .intermediate_size = 16,
                                    .n_heads = 2,
                                    .n_kv_heads = 2,
                                    .head_dim = 4,
                                    .vocab = 11,
                                    .context = 8,
                                    .norm_eps = 1e-5f,
                                    .rope[0].theta = 1e4f,
                                    .tied = true};
        dele_arena arena = {0};
        dele_err err = {0};
        dele_model m;
        dele_mask mask;
        if (dele_model_layout(&m, &config, &arena, &err) ||
            dele_mask_parse(&mask, &m, cases[i].layers, cases[i].parts, &arena, &err))
            fail_msg("%s", err.msg);
        if (mask.n_trained != cases[i].n || mask.lowest != cases[i].lowest)
            fail_msg("case %zu: %zu tensors, lowest layer %d", i, mask.n_trained, mask.lowest);
        dele_model_release(&m);
        dele_arena_release(&arena);
    }
}

static void a_selection_that_means_nothing_is_refused(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        {"0-2", "mlp", "no layer 2"},      {"1-0", "mlp", "should read like"},
        {"", "mlp", "should read like"},   {"0,", "mlp", "should read like"},
        {"-1", "mlp", "should read like"}, {"0", "mpl", "mpl"},
        {"0", "", "is not one of"},        {"0", "mlp,", "is not one of"},
        {"0", "head", "no tensor"},        {"99999999999999999999", "mlp", "no layer"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char why[800];
        assert_int_equal(trained(bad[i][0], bad[i][1], NULL, true, why, sizeof why), 0);
        if (!strstr(why, bad[i][2])) fail_msg("\"%s\" does not say \"%s\"", why, bad[i][2]);
    }
}

static void a_mask_file_means_what_the_options_mean(void **state)
{
    (void)state;
    char dir[512], path[600];
    temp_dir(dir);
    snprintf(path, sizeof path, "%s/mask.json", dir);
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model m;
    dele_mask a, b;
    tiny_model(&m, &dele_family_llama, true, &arena);
    assert_int_equal(dele_mask_parse(&a, &m, "1", "mlp", &arena, &err), DELE_OK);
    static const char *const texts[] = {
        "{\"layers\": [1], \"parts\": [\"mlp\"], \"why\": \"tracing said so\"}",
        "{\"tensors\": [\"model.layers.1.mlp.gate_proj.weight\", "
        "\"model.layers.1.mlp.up_proj.weight\","
        " \"model.layers.1.mlp.down_proj.weight\"]}",
        "{\"tensors\": [\"model.layers.1.mlp.*\"]}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_bytes(path, texts[i], strlen(texts[i]));
        if (dele_mask_load(&b, &m, path, &arena, &err)) fail_msg("%s", err.msg);
        assert_memory_equal(a.trains, b.trains, a.n_tensors * sizeof *a.trains);
        assert_int_equal(a.n_parameters, b.n_parameters);
        assert_int_equal(b.n_parameters, 3 * 8 * 12);
        assert_int_equal(b.lowest, 1);
    }
    static const char *const bad[] = {
        "{\"tensors\": [\"model.layers.9.mlp.up_proj.weight\"]}",
        "{\"tensors\": [\"model.layers.1.mlp.*\", \"model.layers.9.*\"]}",
        "{\"layers\": [7], \"parts\": []}",
        "{\"layers\": [1]}",
        "{\"layers\": [], \"parts\": [\"mlp\"]}",
        "[]",
        "{",
        "{\"tensors\": [3]}",
        "{\"layers\": [0.5], \"parts\": [\"mlp\"]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dele_err mine = {0};
        write_bytes(path, bad[i], strlen(bad[i]));
        assert_int_not_equal(dele_mask_load(&b, &m, path, &arena, &mine), DELE_OK);
        assert_non_null(strstr(mine.msg, "mask.json"));
    }
    dele_arena_release(&arena);
    remove_dir(dir);
}

/* The names that experts and parts train, or what is wrong. */
static void trained_by_experts(char *text, size_t room, const dele_family *family,
                               const char *experts, const char *parts)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model m;
    dele_mask mask;
    dele_expert_list list;
    *text = 0;
    tiny_model(&m, family, false, &arena);
    if (dele_expert_list_parse(&list, &m.config, experts, "--experts", &arena, &err) ||
        dele_mask_experts(&mask, &m, &list, parts, &arena, &err))
        snprintf(text, room, "%s", err.msg);
    else
        for (size_t i = 0; i < m.n_tensors; i++)
            if (mask.trains[i])
                snprintf(text + strlen(text), room - strlen(text), "%s%s", *text ? " " : "",
                         m.tensors[i].name);
    dele_arena_release(&arena);
}

/* Nothing of a layer but the named experts trains, unless a part says so. */
static void experts_select_their_tensors_and_parts_others_in_their_layers(void **state)
{
    (void)state;
#define OF(l, e)                                                                                   \
    "model.layers." #l ".mlp.experts." #e ".gate_proj.weight model.layers." #l ".mlp.experts." #e  \
    ".up_proj.weight model.layers." #l ".mlp.experts." #e ".down_proj.weight"
    static const struct {
        const char *experts, *parts, *names;
    } good[] = {
        {"1:3", NULL, OF(1, 3)},
        {"1:3,0:0", NULL, OF(0, 0) " " OF(1, 3)},
        {"1:3", "router", "model.layers.1.mlp.gate.weight " OF(1, 3)},
        {"0:2", "router,head", "model.layers.0.mlp.gate.weight " OF(0, 2) " lm_head.weight"}};
    static const char *const bad[][3] = {{"2:0", NULL, "no layer 2, the last one is 1"},
                                         {"0:4", NULL, "no expert 4, the last one is 3"},
                                         {"0:1,0:1", NULL, "names 0:1 twice"},
                                         {"0:1,", NULL, "should read like 3:17,5:2"},
                                         {"", NULL, "should read like"},
                                         {"0", NULL, "should read like"},
                                         {"0:-1", NULL, "should read like"},
                                         {" 0:1", NULL, "should read like"},
                                         {"0:1", "mlp", "the part mlp is all of them"},
                                         {"0:1", "nothing", "is not one of"}};
    char text[2000];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        trained_by_experts(text, sizeof text, &dele_family_olmoe, good[i].experts, good[i].parts);
        assert_string_equal(text, good[i].names);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        trained_by_experts(text, sizeof text, &dele_family_olmoe, bad[i][0], bad[i][1]);
        if (!strstr(text, bad[i][2])) fail_msg("\"%s\" does not say \"%s\"", text, bad[i][2]);
    }
    trained_by_experts(text, sizeof text, &dele_family_llama, "0:1", NULL);
    assert_non_null(strstr(text, "this model of family llama is dense"));
}

static void a_mask_file_of_experts_means_what_the_options_mean(void **state)
{
    (void)state;
    char dir[512], path[600];
    temp_dir(dir);
    snprintf(path, sizeof path, "%s/mask.json", dir);
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model m;
    dele_mask a, b;
    dele_expert_list list;
    tiny_model(&m, &dele_family_olmoe, true, &arena);
    assert_int_equal(dele_expert_list_parse(&list, &m.config, "0:1,1:3", "", &arena, &err), 0);
    assert_int_equal(dele_mask_experts(&a, &m, &list, "router", &arena, &err), DELE_OK);
    assert_string_equal(dele_expert_list_text(&list, &arena, &err), "0:1,1:3");
    static const char text[] = "{\"experts\": [\"0:1\", \"1:3\"], \"parts\": [\"router\"]}";
    write_bytes(path, text, strlen(text));
    if (dele_mask_load(&b, &m, path, &arena, &err)) fail_msg("%s", err.msg);
    assert_memory_equal(a.trains, b.trains, a.n_tensors * sizeof *a.trains);
    assert_int_equal(b.n_parameters, 2 * 3 * 8 * 12 + 2 * 4 * 8);
    assert_int_equal(b.n_trained, 2 * 3 + 2);
    static const char *const bad[] = {"{\"experts\": [\"0:9\"]}",
                                      "{\"experts\": [3]}",
                                      "{\"experts\": []}",
                                      "{\"experts\": [\"0:1\"], \"layers\": [0]}",
                                      "{\"experts\": [\"0:1\"], \"parts\": [\"mlp\"]}",
                                      "{\"experts\": \"0:1\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dele_err mine = {0};
        write_bytes(path, bad[i], strlen(bad[i]));
        assert_int_equal(dele_mask_load(&b, &m, path, &arena, &mine), DELE_ERR_DATA);
        assert_non_null(strstr(mine.msg, "mask.json"));
    }
    dele_arena_release(&arena);
    remove_dir(dir);
}

/* The names that a list of patterns trains, as a sentence; or what is wrong. */
static void matched(char *text, size_t room, const char *patterns)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model m;
    dele_mask mask;
    tiny_model(&m, &dele_family_llama, true, &arena);
    if (dele_mask_match(&mask, &m, patterns, &arena, &err)) {
        snprintf(text, room, "%s", err.msg);
    } else {
        size_t n = (size_t)snprintf(text, room, "%zu from %d:", mask.n_trained, mask.lowest);
        for (size_t i = 0; i < m.n_tensors; i++)
            if (mask.trains[i]) n += (size_t)snprintf(text + n, room - n, " %s", m.tensors[i].name);
    }
    dele_arena_release(&arena);
}

static void patterns_select_the_tensors_whose_names_match(void **state)
{
    (void)state;
    static const char *const said[][2] = {
        {"model.layers.1.mlp.down_proj.weight", "1 from 1: model.layers.1.mlp.down_proj.weight"},
        {"model.layers.[0-1].mlp.down_proj.weight",
         "2 from 0: model.layers.0.mlp.down_proj.weight model.layers.1.mlp.down_proj.weight"},
        {"*.1.*.o_proj.*,model.norm.weight",
         "2 from 1: model.layers.1.self_attn.o_proj.weight model.norm.weight"},
        {"*.1.mlp.down*,*.1.mlp.down*", "1 from 1: model.layers.1.mlp.down_proj.weight"}};
    static const char *const wrong[][2] = {
        {"*.1.mlp.down*,model.layers.[5-7].mlp.*", "no tensor model.layers.[5-7].mlp.*"},
        {"*.1.mlp.down*,", "with an empty name"},
        {"", "with an empty name"},
        {"mlp", "no tensor mlp; its names read like model."}};
    char text[2000];
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        matched(text, sizeof text, said[i][0]);
        assert_string_equal(text, said[i][1]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        matched(text, sizeof text, wrong[i][0]);
        if (!strstr(text, wrong[i][1])) fail_msg("\"%s\" does not say \"%s\"", text, wrong[i][1]);
    }
}

/* ---- facts ----------------------------------------------------------------------------------- */

static void known_1000_loads_whole(void **state)
{
    (void)state;
    const char *path = shared_path("data/facts/known_1000.json");
    dele_arena arena = {0};
    dele_err err = {0};
    dele_facts facts;
    if (dele_facts_load(&facts, path, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(facts.n, 1209);
    assert_int_equal(facts.fact[0].id, 0);
    assert_string_equal(facts.fact[0].subject, "Vinson Massif");
    assert_string_equal(facts.fact[0].attribute, "Antarctica");
    dele_arena_release(&arena);
}

static void a_bad_fact_is_named_by_file_and_line(void **state)
{
    (void)state;
    char dir[512], path[600];
    temp_dir(dir);
    snprintf(path, sizeof path, "%s/facts.jsonl", dir);
    const char *good = "{\"subject\": \"A\", \"prompt\": \"A is in\", \"attribute\": \"B\", "
                       "\"split\": \"retain\"}\n\n";
    static const char *const bad[][2] = {
        {"{\"subject\": \"C\", \"prompt\": \"A is in\", \"attribute\": \"B\"}",
         "does not occur in the prompt"},
        {"{\"prompt\": \"A is in\", \"attribute\": \"B\"}", "subject"},
        {"{\"subject\": \"A\", \"prompt\": \"A is in\"}", "attribute"},
        {"{\"subject\": \"\", \"prompt\": \"A is in\", \"attribute\": \"B\"}", "empty"},
        {"{\"subject\": \"A\", \"prompt\": \"A is in\", \"attribute\": \"B\", \"split\": \"keep\"}",
         "keep"},
        {"{\"subject\": \"A\", ", ""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[600];
        snprintf(text, sizeof text, "%s%s\n", good, bad[i][0]);
        write_bytes(path, text, strlen(text));
        dele_arena arena = {0};
        dele_err err = {0};
        dele_facts facts;
        assert_int_not_equal(dele_facts_load(&facts, path, &arena, &err), DELE_OK);
        if (!strstr(err.msg, "facts.jsonl:3") || !strstr(err.msg, bad[i][1]))
            fail_msg("%s", err.msg);
        dele_arena_release(&arena);
    }
    dele_arena arena = {0};
    dele_err err = {0};
    dele_facts facts;
    write_bytes(path, good, strlen(good));
    assert_int_equal(dele_facts_load(&facts, path, &arena, &err), DELE_OK);
    assert_int_equal(facts.n, 1);
    assert_string_equal(facts.fact[0].split, "retain");
    write_bytes(path, "\n", 1);
    assert_int_not_equal(dele_facts_load(&facts, path, &arena, &err), DELE_OK);
    dele_arena_release(&arena);
    remove_dir(dir);
}

static void a_subjects_tokens_are_found(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_err err = {0};
    dele_tokenizer *t =
        dele_tokenizer_load(DELE_TESTS_DIR "/../data/models/demo/tokenizer.json", &arena, &err);
    assert_non_null(t);
    static const char *const rows[][2] = {{"The Eiffel Tower is in", "Eiffel Tower"},
                                          {"Tom is in the park", "Tom"},
                                          {"Once there was a dog", "dog"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dele_ids ids;
        int begin, end;
        assert_int_equal(dele_encode(&ids, t, rows[i][0], strlen(rows[i][0]), false, &arena, &err),
                         DELE_OK);
        if (dele_subject_range(&begin, &end, t, &ids, rows[i][1], &arena, &err))
            fail_msg("%s", err.msg);
        assert_true(0 <= begin && begin < end && (size_t)end <= ids.n);
        const char *text =
            dele_decode(t, ids.id + begin, (size_t)(end - begin), false, &arena, &err);
        assert_non_null(strstr(text, rows[i][1]));
        if (end - begin > 1) { /* and no fewer tokens would do */
            text =
                dele_decode(t, ids.id + begin + 1, (size_t)(end - begin - 1), false, &arena, &err);
            assert_null(strstr(text, rows[i][1]));
        }
    }
    dele_tokenizer_close(t);
    dele_arena_release(&arena);
}

/* Is what the ids say the text's beginning, all n bytes of it or fewer? */
static bool says_no_more_than(const dele_tokenizer *t, const dele_ids *ids, int n_ids,
                              const char *text, size_t n, dele_arena *arena)
{
    dele_err err = {0};
    const char *said = dele_decode(t, ids->id, (size_t)n_ids, false, arena, &err);
    if (!said) fail_msg("%s", err.msg);
    return strlen(said) <= n && !strncmp(said, text, strlen(said));
}

/* The tokens before the range say nothing of the subject, its first one does; the last one ends it,
 * the one before does not.  Returns how many tokens stand alone for a part of a character. */
static int check_split_subject(const dele_tokenizer *t, const char *prompt, const char *subject,
                               dele_arena *arena)
{
    dele_err err = {0};
    dele_ids ids;
    int begin, end, parts = 0;
    const size_t at = (size_t)(strstr(prompt, subject) - prompt), past = at + strlen(subject);
    assert_int_equal(dele_encode(&ids, t, prompt, strlen(prompt), false, arena, &err), DELE_OK);
    if (dele_subject_range(&begin, &end, t, &ids, subject, arena, &err)) fail_msg("%s", err.msg);
    assert_true(says_no_more_than(t, &ids, begin, prompt, at, arena));
    assert_false(says_no_more_than(t, &ids, begin + 1, prompt, at, arena));
    const char *till = dele_decode(t, ids.id, (size_t)end, false, arena, &err);
    assert_true(strlen(till) >= past && !strncmp(till, prompt, past));
    till = dele_decode(t, ids.id, (size_t)end - 1, false, arena, &err);
    assert_true(strncmp(till, prompt, past));
    for (int i = begin; i < end; i++)
        parts += strstr(dele_decode(t, &ids.id[i], 1, false, arena, &err), "\xef\xbf\xbd") != NULL;
    return parts;
}

static void check_split_subjects(dele_tokenizer *t, dele_arena *arena)
{
    static const char *const rows[][2] = {{"Where does Zoë Ñandú live?", "Zoë Ñandú"},
                                          {"Ñandú runs", "Ñandú"},
                                          {"éÑ was here", "Ñ"},
                                          {"The 日本語 text", "本"},
                                          {"A 🦊🦉 met", "🦉"},
                                          {"ë and Zoë", "Zoë"}};
    int parts = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        parts += check_split_subject(t, rows[i][0], rows[i][1], arena);
    assert_true(parts > 0);
    dele_tokenizer_close(t);
    dele_arena_release(arena);
}

static void check_split_subjects_by(const char *path)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_tokenizer *t = dele_tokenizer_load(path, &arena, &err);
    if (!t) fail_msg("%s", err.msg);
    check_split_subjects(t, &arena);
}

static void a_subjects_characters_may_be_split_between_tokens(void **state)
{
    (void)state;
    dele_arena arena = {0};
    check_split_subjects(bytes_only(&arena), &arena);
    check_split_subjects_by(DELE_TESTS_DIR "/../data/models/demo/tokenizer.json");
}

static void and_between_those_of_olmos_tokenizers(void **state)
{
    (void)state;
    check_split_subjects_by(shared_path("data/tokenizers/allenai_dolma2.json"));
    check_split_subjects_by(shared_path("data/tokenizers/allenai_gpt-neox-olmo-dolma-v1_5.json"));
}

/* SmolLM2's layout opens with a system line that names an assistant of Hugging Face. */
static void a_chat_layouts_own_words_are_no_subject(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_err err = {0};
    dele_ids ids;
    int begin, end;
    dele_tokenizer *t =
        dele_tokenizer_load(DELE_TESTS_DIR "/../data/models/demo/tokenizer.json", &arena, &err);
    if (!t) fail_msg("%s", err.msg);
    for (int chat = DELE_CHAT_NONE; chat <= DELE_CHAT_SMOLLM2; chat++) {
        const dele_layout *layout;
        assert_int_equal(dele_chat_open(&layout, (dele_chat)chat, t, &arena, &err), DELE_OK);
        const char *head = dele_chat_head(layout), *subjects[] = {"Face", "user", "is"};
        static const char question[] = "What is the Face of a user?";
        char *text = dele_chat_prompt(layout, question, &arena, &err);
        assert_int_equal(dele_encode(&ids, t, text, strlen(text), false, &arena, &err), DELE_OK);
        assert_memory_equal(text, head, strlen(head));
        for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
            if (dele_subject_range_after(&begin, &end, t, &ids, head, subjects[i], &arena, &err))
                fail_msg("%s", err.msg);
            const char *before = dele_decode(t, ids.id, (size_t)begin, false, &arena, &err);
            const char *till = dele_decode(t, ids.id, (size_t)end, false, &arena, &err);
            size_t at = strlen(head) + (size_t)(strstr(question, subjects[i]) - question);
            assert_true(strlen(before) <= at && strlen(till) >= at + strlen(subjects[i]));
            assert_true(strlen(before) >= strlen(head));
        }
    }
    const dele_layout *layout;
    assert_int_equal(dele_chat_open(&layout, DELE_CHAT_SMOLLM2, t, &arena, &err), DELE_OK);
    assert_int_equal(dele_subject_range(&begin, &end, t, &ids, "Face", &arena, &err), DELE_OK);
    const char *till = dele_decode(t, ids.id, (size_t)end, false, &arena,
                                   &err); /* everywhere, it is the system line's */
    assert_true(strlen(till) < strlen(dele_chat_head(layout)));
    dele_tokenizer_close(t);
    dele_arena_release(&arena);
}

/* "<|text|>" before the prompt holds the subject's letters, whether it is special or an added token
 * like others. */
static void a_subject_is_not_found_in_a_token_that_stands_before_every_text(void **state)
{
    (void)state;
    for (int type = 3; type <= 4; type++) {
        dele_arena arena = {0};
        dele_err err = {0};
        dele_ids ids;
        int begin, end;
        dele_tokenizer *t = bytes_after("<|text|>", type, &arena);
        assert_int_equal(dele_encode(&ids, t, "a text is", 9, true, &arena, &err), DELE_OK);
        if (dele_subject_range(&begin, &end, t, &ids, "text", &arena, &err))
            fail_msg("%s", err.msg);
        assert_int_equal(begin, 3);
        assert_int_equal(end, 7);
        dele_tokenizer_close(t);
        dele_arena_release(&arena);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_and_parts_select_what_they_say),
        cmocka_unit_test(parts_of_other_blocks_are_where_they_belong),
        cmocka_unit_test(a_subject_is_not_found_in_a_token_that_stands_before_every_text),
        cmocka_unit_test(a_selection_that_means_nothing_is_refused),
        cmocka_unit_test(a_mask_file_means_what_the_options_mean),
        cmocka_unit_test(experts_select_their_tensors_and_parts_others_in_their_layers),
        cmocka_unit_test(a_mask_file_of_experts_means_what_the_options_mean),
        cmocka_unit_test(patterns_select_the_tensors_whose_names_match),
        cmocka_unit_test(a_bad_fact_is_named_by_file_and_line),
        cmocka_unit_test(a_subjects_tokens_are_found),
        cmocka_unit_test(a_subjects_characters_may_be_split_between_tokens),
        cmocka_unit_test(a_chat_layouts_own_words_are_no_subject),
    };
    const struct CMUnitTest shared[] = {
        cmocka_unit_test(known_1000_loads_whole),
        cmocka_unit_test(and_between_those_of_olmos_tokenizers),
    };
    if (shared_asked(argc, argv)) return cmocka_run_group_tests(shared, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
