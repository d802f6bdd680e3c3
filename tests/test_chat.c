/* Chat layouts: the named ones against jinja2, the model's own template from each place where it
 * may stand, special tokens, the end of a turn, and what is learnt of a turn. */
#include "claims.h"

#include "base/json.h"
#include "base/json_out.h"
#include "scratch.h"
#include "text/continuation.h"
#include "text/layout_texts.h"
#include "unlearn/dataset.h"

#define FIXTURES DELE_TESTS_DIR "/fixtures/text/template/"

static dele_arena arena; /* a test's memory */
static dele_err err;

static void forget(void)
{
    dele_arena_release(&arena);
    err = (dele_err){0};
}

/* ---- the named layouts ----------------------------------------------------------------------- */

static const char *layout_text(const char *name)
{
    const dele_layout_text *l = dele_layout_texts;
    while (l->name && strcmp(l->name, name)) l++;
    if (!l->name) fail_msg("no layout %s", name);
    return l->text;
}

/* tests/reference/make_template_fixtures.py layouts; DELEATUR_LAYOUTS names a larger file. */
static void every_layout_gives_the_text_of_jinja2(void **state)
{
    (void)state;
    const char *more = getenv("DELEATUR_LAYOUTS"), *path = more ? more : FIXTURES "layouts.jsonl";
    const struct tm day = {0};
    dele_records records = {0};
    const cJSON *row;
    int n = 0, errors = 0;
    assert_int_equal(dele_records_open(&records, path, &err), DELE_OK);
    while ((row = dele_records_next(&records, &err))) {
        const char *text = layout_text(dele_json_string(row, "layout"));
        const char *wanted = dele_json_string(row, "text");
        dele_err why = {0};
        dele_arena own = {0};
        dele_template *t = dele_template_parse(text, strlen(text), "the layout", &own, &why);
        if (!t) fail_msg("%s", why.msg);
        const char *got =
            dele_template_render(t, dele_json_get(row, "variables"), &day, &own, &why);
        if (wanted ? !got || strcmp(got, wanted) : got != NULL)
            fail_msg("%s:%d: wanted %s, got %s", path, records.line, wanted ? wanted : "an error",
                     got ? got : why.msg);
        n++;
        errors += !wanted;
        dele_arena_release(&own);
    }
    assert_int_equal(err.code, DELE_OK);
    dele_records_close(&records);
    print_message("%d conversations, %d of them refused by the layout\n", n, errors);
    assert_true(n > errors && errors > 0);
    forget();
}

static dele_tokenizer *demo_tokenizer(void)
{
    dele_tokenizer *t =
        dele_tokenizer_load(DELE_TESTS_DIR "/../data/models/demo/tokenizer.json", &arena, &err);
    if (!t) fail_msg("%s", err.msg);
    return t;
}

/* The words of dele_chat_name and the files of layouts/ are the same. */
static void each_word_of_the_option_is_a_layout(void **state)
{
    (void)state;
    dele_tokenizer *t = demo_tokenizer();
    size_t words = 0, texts = 0;
    for (int i = 0; dele_chat_name[i]; i++) {
        const dele_layout *layout;
        if (i == DELE_CHAT_AUTO) continue;
        if (dele_chat_open(&layout, (dele_chat)i, t, &arena, &err)) fail_msg("%s", err.msg);
        assert_true((i == DELE_CHAT_NONE) == !layout);
        words += layout != NULL;
    }
    while (dele_layout_texts[texts].name) texts++;
    assert_int_equal(words, texts);
    assert_string_equal(dele_chat_name[DELE_CHAT_PHI_3], "phi-3");
    assert_null(dele_chat_name[DELE_CHAT_PHI_3 + 1]);
    dele_tokenizer_close(t);
    forget();
}

static void a_prompt_is_one_turn_up_to_the_reply(void **state)
{
    (void)state;
    static const struct {
        dele_chat chat;
        const char *prompt, *head;
    } cases[] = {
        {DELE_CHAT_NONE, "Hi", ""},
        {DELE_CHAT_OLMO, "<|endoftext|><|user|>\nHi\n<|assistant|>\n", "<|endoftext|><|user|>\n"},
        {DELE_CHAT_OLMO_2, "<|endoftext|><|user|>\nHi\n<|assistant|>\n", "<|endoftext|><|user|>\n"},
        {DELE_CHAT_SMOLLM2,
         "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
         "Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
         "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
         "Face<|im_end|>\n<|im_start|>user\n"},
        {DELE_CHAT_LLAMA_2, "<s>[INST] Hi [/INST]", "<s>[INST] "},
        {DELE_CHAT_LLAMA_3,
         "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
         "<|start_header_id|>assistant<|end_header_id|>\n\n",
         "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"},
        {DELE_CHAT_QWEN3, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
         "<|im_start|>user\n"},
        {DELE_CHAT_GEMMA, "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n",
         "<bos><start_of_turn>user\n"},
        {DELE_CHAT_MISTRAL, "<s>[INST] Hi [/INST]", "<s>[INST] "},
        {DELE_CHAT_PHI_3, "<|user|>\nHi<|end|>\n<|assistant|>\n", "<|user|>\n"}};
    dele_tokenizer *t = demo_tokenizer();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const dele_layout *layout;
        if (dele_chat_open(&layout, cases[i].chat, t, &arena, &err)) fail_msg("%s", err.msg);
        assert_string_equal(dele_chat_prompt(layout, "Hi", &arena, &err), cases[i].prompt);
        assert_string_equal(dele_chat_head(layout), cases[i].head);
    }
    dele_tokenizer_close(t);
    forget();
}

/* ---- the model's own template ---------------------------------------------------------------- */

#define CHATML                                                                                     \
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + "               \
    "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}" \
    "{% endif %}"

/* A tokenizer whose vocabulary is every byte, BOS "<s>" before each text, and the added tokens of a
 * chat. */
static const char bytes_with_bos[] =
    "{\"version\": \"1.0\", \"added_tokens\": ["
    "{\"id\": 256, \"content\": \"<s>\", \"special\": true, \"normalized\": false, \"lstrip\": "
    "false, \"rstrip\": false, \"single_word\": false},"
    "{\"id\": 257, \"content\": \"</s>\", \"special\": true, \"normalized\": false, \"lstrip\": "
    "false, \"rstrip\": false, \"single_word\": false},"
    "{\"id\": 258, \"content\": \"<|im_end|>\", \"special\": true, \"normalized\": false, "
    "\"lstrip\": false, \"rstrip\": false, \"single_word\": false},"
    "{\"id\": 259, \"content\": \"<bos>\", \"special\": true, \"normalized\": false, \"lstrip\": "
    "false, \"rstrip\": false, \"single_word\": false},"
    "{\"id\": 260, \"content\": \"<end_of_turn>\", \"special\": true, \"normalized\": false, "
    "\"lstrip\": false, \"rstrip\": false, \"single_word\": false}],"
    "\"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": "
    "false, \"trim_offsets\": true, \"use_regex\": false}, \"decoder\": {\"type\": \"ByteLevel\", "
    "\"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true}, "
    "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
    "{\"id\": \"%s\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], "
    "\"pair\": [{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"B\", "
    "\"type_id\": 0}}], \"special_tokens\": {\"%s\": {\"id\": \"%s\", \"ids\": [%d], \"tokens\": "
    "[\"%s\"]}}}, \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
    "\"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false, \"vocab\": {%s}, "
    "\"merges\": []}}";

static void put_bytes(char *out, size_t room)
{
    size_t n = 0;
    for (int b = 0, other = 256; b < 256; b++) {
        const bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        const int c = itself ? b : other++;
        n +=
            (size_t)snprintf(out + n, room - n, "%s\"\\u%04x\": %d", b ? ", " : "", (unsigned)c, b);
    }
}

static dele_tokenizer *bytes_tokenizer(scratch *s, const char *bos, int id)
{
    static char vocab[8192], json[16384];
    put_bytes(vocab, sizeof vocab);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(json, sizeof json, bytes_with_bos, bos, bos, bos, id, bos, vocab);
#pragma GCC diagnostic pop
    dele_tokenizer *t = dele_tokenizer_load(scratch_text(s, "tokenizer.json", json), &arena, &err);
    if (!t) fail_msg("%s", err.msg);
    return t;
}

static const char *auto_prompt(scratch *s, const char *user)
{
    const dele_layout *layout;
    dele_tokenizer *t = bytes_tokenizer(s, "<s>", 256);
    const dele_status status = dele_chat_open(&layout, DELE_CHAT_AUTO, t, &arena, &err);
    const char *text = status ? NULL : dele_chat_prompt(layout, user, &arena, &err);
    dele_tokenizer_close(t);
    return text;
}

static void save_config(scratch *s, cJSON *template)
{
    cJSON *config = cJSON_CreateObject();
    cJSON_AddItemToObject(config, "chat_template", template);
    cJSON_AddStringToObject(config, "bos_token", "<s>");
    cJSON *eos = cJSON_AddObjectToObject(config, "eos_token");
    cJSON_AddStringToObject(eos, "content", "</s>");
    remove(scratch_path(s, "tokenizer_config.json"));
    if (dele_json_save(scratch_path(s, "tokenizer_config.json"), config, &err))
        fail_msg("%s", err.msg);
    cJSON_Delete(config);
}

static cJSON *named(const char *name, const char *text)
{
    cJSON *list = cJSON_CreateArray(), *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "name", name);
    cJSON_AddStringToObject(item, "template", text);
    cJSON_AddItemToArray(list, item);
    return list;
}

static void the_models_own_template_is_read_from_where_it_stands(void **state)
{
    scratch *s = *state;
    save_config(s, cJSON_CreateString(CHATML));
    assert_string_equal(auto_prompt(s, "Hi"),
                        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    save_config(s, named("default", "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"));
    assert_string_equal(auto_prompt(s, "Hi"), "<s>Hi</s>");
    scratch_text(s, "chat_template.jinja", "[{{ messages[0]['content'] | trim }}]\n");
    assert_string_equal(auto_prompt(s, " Hi "), "[Hi]"); /* the file goes before the config */
    remove(scratch_path(s, "chat_template.jinja"));
    save_config(s, named("rag", CHATML));
    assert_null(auto_prompt(s, "Hi"));
    assert_non_null(strstr(err.msg, "none of the model's chat templates is named default"));
    forget();
    remove(scratch_path(s, "tokenizer_config.json"));
    assert_null(auto_prompt(s, "Hi"));
    assert_int_equal(err.code, DELE_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "the model has no chat template; name a layout"));
    forget();
}

static void a_template_beyond_the_subset_is_refused_with_the_way_out(void **state)
{
    scratch *s = *state;
    save_config(s, cJSON_CreateString("a\n{% include 'b' %}"));
    assert_null(auto_prompt(s, "Hi"));
    assert_string_equal(err.msg, "the model's chat template, line 2: the tag {% include %} is not "
                                 "supported here; name a layout with --chat-layout, or give "
                                 "--chat none for raw prompts");
    forget();
    save_config(s, cJSON_CreateString("{{ raise_exception('no ' ~ messages[0].role) }}"));
    assert_null(auto_prompt(s, "Hi"));
    assert_int_equal(err.code, DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "the template refuses the conversation: no user"));
    forget();
}

static void the_day_can_be_set(void **state)
{
    scratch *s = *state;
    save_config(s, cJSON_CreateString("{{ strftime_now('%d %b %Y') }}"));
    setenv("SOURCE_DATE_EPOCH", "1721995200", 1);
    assert_string_equal(auto_prompt(s, "Hi"), "26 Jul 2024");
    setenv("SOURCE_DATE_EPOCH", "yesterday", 1);
    assert_null(auto_prompt(s, "Hi"));
    assert_non_null(strstr(err.msg, "SOURCE_DATE_EPOCH is no number of seconds: yesterday"));
    unsetenv("SOURCE_DATE_EPOCH");
    forget();
}

static cJSON *parsed(const char *json)
{
    cJSON *x = cJSON_Parse(json);
    assert_non_null(x);
    return x;
}

/* Keys that are null are as if they were missing, and a reply's reasoning is under each name. */
static void a_conversation_is_prepared_as_by_transformers(void **state)
{
    scratch *s = *state;
    const dele_layout *layout;
    save_config(s, cJSON_CreateString("{% for m in messages %}{{ m.content is defined }} "
                                      "{{ m.reasoning_content }} {{ m.thinking }}|{% endfor %}"
                                      "{{ tools is none }} {{ add_generation_prompt }}"));
    dele_tokenizer *t = bytes_tokenizer(s, "<s>", 256);
    cJSON *list = parsed("[{\"role\": \"user\", \"content\": null}, {\"role\": \"assistant\", "
                         "\"content\": \"a\", \"reasoning\": \"b\"}]");
    assert_int_equal(dele_chat_open(&layout, DELE_CHAT_AUTO, t, &arena, &err), DELE_OK);
    assert_string_equal(dele_chat_render(layout, list, false, &arena, &err),
                        "False  |True b b|True False");
    cJSON_Delete(list);
    list = parsed("[]");
    assert_null(dele_chat_render(layout, list, true, &arena, &err));
    assert_non_null(strstr(err.msg, "at least one message"));
    cJSON_Delete(list);
    dele_tokenizer_close(t);
    forget();
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static size_t count(const dele_ids *ids, int id)
{
    size_t n = 0;
    for (size_t i = 0; i < ids->n; i++) n += ids->id[i] == id;
    return n;
}

/* The tokenizer puts its BOS before each text, and the layout writes one. */
static void no_prompt_has_two_begins(void **state)
{
    scratch *s = *state;
    static const struct {
        dele_chat chat;
        const char *bos;
        int id;
    } cases[] = {{DELE_CHAT_LLAMA_2, "<s>", 256},
                 {DELE_CHAT_MISTRAL, "<s>", 256},
                 {DELE_CHAT_GEMMA, "<bos>", 259}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const dele_layout *layout;
        dele_ids ids;
        dele_continued_ids both;
        dele_tokenizer *t = bytes_tokenizer(s, cases[i].bos, cases[i].id);
        assert_int_equal(dele_chat_open(&layout, cases[i].chat, t, &arena, &err), DELE_OK);
        assert_int_equal(dele_encode_prompt(&ids, t, layout, "Hi", &arena, &err), DELE_OK);
        assert_int_equal(count(&ids, cases[i].id), 1);
        assert_int_equal(ids.id[0], cases[i].id);
        assert_int_equal(dele_encode_answer(&both, t, layout, "Hi", "yes", false, &arena, &err),
                         DELE_OK);
        assert_int_equal(count(&(dele_ids){both.id, both.n}, cases[i].id), 1);
        assert_memory_equal(both.id, ids.id, ids.n * sizeof *ids.id);
        const char *text = dele_chat_prompt(layout, "Hi", &arena, &err); /* by the usual way too */
        assert_int_equal(dele_encode(&ids, t, text, strlen(text), true, &arena, &err), DELE_OK);
        assert_int_equal(count(&ids, cases[i].id), 1);
        dele_tokenizer_close(t);
    }
    forget();
}

static void the_end_of_a_turn_is_the_token_behind_a_reply(void **state)
{
    scratch *s = *state;
    static const struct {
        dele_chat chat;
        int end;
        const char *before, *after;
    } cases[] = {{DELE_CHAT_LLAMA_2, 257, " ", " "}, {DELE_CHAT_MISTRAL, 257, "", ""},
                 {DELE_CHAT_GEMMA, 260, "", ""},     {DELE_CHAT_QWEN2_5, 258, "", ""},
                 {DELE_CHAT_QWEN3, 258, "", ""},     {DELE_CHAT_LLAMA_3, -1, "", ""}};
    dele_tokenizer *t = bytes_tokenizer(s, "<s>", 256);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const dele_layout *layout;
        assert_int_equal(dele_chat_open(&layout, cases[i].chat, t, &arena, &err), DELE_OK);
        assert_int_equal(dele_chat_end(layout), cases[i].end);
        assert_string_equal(layout->before_reply, cases[i].before);
        assert_string_equal(layout->after_reply, cases[i].after);
    }
    dele_tokenizer_close(t);
    forget();
}

/* What is learnt of a row is the reply and its end, and the row is the conversation's text. */
static void a_reply_and_its_end_carry_the_labels(void **state)
{
    scratch *s = *state;
    static const struct {
        dele_chat chat;
        const char *whole, *learnt;
    } cases[] = {
        {DELE_CHAT_LLAMA_2, "<s>[INST] Hi [/INST] yes </s>", " yes </s>"},
        {DELE_CHAT_GEMMA,
         "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nyes<end_of_turn>",
         "yes<end_of_turn>"},
        {DELE_CHAT_QWEN3, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>",
         "yes<|im_end|>"}};
    dele_tokenizer *t = bytes_tokenizer(s, "<s>", 256);
    const char *path = scratch_text(s, "rows.jsonl", "{\"input\": \"Hi\", \"output\": \"yes\"}\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dele_dataset set = {0};
        dele_dataset_options o = {.eos = true, .max_tokens = 1000};
        dele_tokenizer_set_ids(t, 256, 257);
        assert_int_equal(dele_chat_open(&o.chat, cases[i].chat, t, &arena, &err), DELE_OK);
        if (dele_dataset_add(&set, path, t, &o, &arena, &err)) fail_msg("%s", err.msg);
        const dele_sequence *row = &set.row[0];
        assert_string_equal(dele_decode(t, row->ids, row->n, false, &arena, &err), cases[i].whole);
        assert_string_equal(dele_decode(t, row->ids + row->first_label, row->n - row->first_label,
                                        false, &arena, &err),
                            cases[i].learnt);
    }
    dele_tokenizer_close(t);
    forget();
}

int main(void)
{
#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_gives_the_text_of_jinja2),
        cmocka_unit_test(each_word_of_the_option_is_a_layout),
        cmocka_unit_test(a_prompt_is_one_turn_up_to_the_reply),
        IN_A_DIRECTORY(the_models_own_template_is_read_from_where_it_stands),
        IN_A_DIRECTORY(a_template_beyond_the_subset_is_refused_with_the_way_out),
        IN_A_DIRECTORY(the_day_can_be_set),
        IN_A_DIRECTORY(a_conversation_is_prepared_as_by_transformers),
        IN_A_DIRECTORY(no_prompt_has_two_begins),
        IN_A_DIRECTORY(the_end_of_a_turn_is_the_token_behind_a_reply),
        IN_A_DIRECTORY(a_reply_and_its_end_carry_the_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
