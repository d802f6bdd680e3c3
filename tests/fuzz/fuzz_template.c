/* A chat template: parsed, and rendered for two conversations. */
#include "fuzz.h"

#include "base/json.h"
#include "template/template.h"

static const char *const conversations[] = {
    "{\"messages\": [{\"role\": \"system\", \"content\": \" Be brief. \"}, {\"role\": \"user\", "
    "\"content\": \"H\\u00e4user\\n\"}, {\"role\": \"assistant\", \"content\": \"a<b\"}], "
    "\"tools\": null, \"add_generation_prompt\": true, \"bos_token\": \"<s>\", \"n\": 7, \"m\": "
    "-3, "
    "\"x\": 2.5, \"yes\": true, \"no\": false, \"nothing\": null, \"list\": [3, 1, 2], \"words\": "
    "[\"pear\", \"Apple\", \"fig\", \"apple\"], \"nested\": [[1, [2]], {\"a\": [null]}], \"d\": "
    "{\"b\": 1, \"a\": \"x\", \"items\": \"own\", \"get\": 5, \"c d\": [1]}, \"s\": \"Hello, "
    "w\u00f6rld\", \"q\": \"it's \\\"so\\\"\", \"empty\": \"\", \"blank\": \" \\t\\n \", "
    "\"lines\": \"one\\n\\n  two\\r\\nthree\\n\", \"tool\": {\"type\": \"function\"}}",
    "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"\"}, "
    "{\"type\": \"text\", \"text\": \"two\"}]}], \"add_generation_prompt\": false, \"n\": [1, "
    "-2.5, true, {\"k\": null}]}"};

void fuzz_one(const uint8_t *data, size_t size)
{
    const struct tm day = {.tm_year = 124, .tm_mon = 6, .tm_mday = 26};
    dele_err err = {0};
    dele_template *t =
        dele_template_parse((const char *)data, size, "the template", fuzz_arena(), &err);
    fuzz_answer(t ? DELE_OK : err.code ? err.code : DELE_ERR_FORMAT, &err);
    for (int i = 0; t && i < 2; i++) {
        cJSON *variables = cJSON_Parse(conversations[i]);
        err = (dele_err){0};
        const char *text = dele_template_render(t, variables, &day, fuzz_arena(), &err);
        fuzz_answer(text ? DELE_OK : err.code ? err.code : DELE_ERR_FORMAT, &err);
        if (text && !dele_utf8_valid(text, strlen(text))) abort();
        cJSON_Delete(variables);
    }
}

/* Pieces of the language are put in, so that inputs get past the lexer. */
size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static const char *const bits[] = {"{{ ",
                                       " }}",
                                       "{% ",
                                       " %}",
                                       "{%- ",
                                       " -%}",
                                       "{# ",
                                       " #}",
                                       "{% if ",
                                       "{% else %}",
                                       "{% endif %}",
                                       "{% for m in messages %}",
                                       "{% for k, v in m.items() %}",
                                       "{% endfor %}",
                                       "{% set x = ",
                                       "{% set x %}",
                                       "{% endset %}",
                                       "{% set ns = namespace(a=1) %}",
                                       "{% set ns.a = ",
                                       "{% macro f(a, b=2) %}",
                                       "{% endmacro %}",
                                       "{{ f(1, b=x) }}",
                                       "{% break %}",
                                       "{% raw %}",
                                       "{% endraw %}",
                                       "{% generation %}",
                                       "{% endgeneration %}",
                                       "messages",
                                       "m",
                                       "x",
                                       "n",
                                       "ns.a",
                                       "loop.last",
                                       "loop.previtem",
                                       ".content",
                                       "['role']",
                                       "[1:]",
                                       "[::-1]",
                                       "[0]",
                                       "[-1:]",
                                       " | trim",
                                       " | tojson(indent=2)",
                                       " | join(', ')",
                                       " | map(attribute='a')",
                                       " | selectattr('role', 'equalto', 'user')",
                                       " | list",
                                       " | first",
                                       " | sort",
                                       " | unique",
                                       " | indent(2)",
                                       " | replace('a', '')",
                                       " | title",
                                       " | int",
                                       " | round(1)",
                                       " | dictsort",
                                       " | reverse",
                                       " is defined",
                                       " is not none",
                                       " is string",
                                       " is divisibleby 2",
                                       " in ",
                                       " not in ",
                                       " and ",
                                       " or ",
                                       "not ",
                                       " if ",
                                       " else ",
                                       ".split('a')",
                                       ".split()",
                                       ".rsplit('b', 1)",
                                       ".strip()",
                                       ".replace('', 'b')",
                                       ".splitlines()",
                                       ".format(1)",
                                       ".partition('a')",
                                       ".rfind('a')",
                                       ".upper()",
                                       ".items()",
                                       ".get('a')",
                                       "range(3)",
                                       "namespace(a=1)",
                                       "dict(a=1)",
                                       "strftime_now('%d %b')",
                                       "raise_exception('a')",
                                       "'a\\n\\u00e9'",
                                       "\"b\"",
                                       "1.5e3",
                                       "0x1f",
                                       "99999999999",
                                       "-1",
                                       "[",
                                       "]",
                                       "{",
                                       "}",
                                       "(",
                                       ")",
                                       ",",
                                       ":",
                                       " ~ ",
                                       " + ",
                                       " * ",
                                       " // ",
                                       " % ",
                                       " ** ",
                                       " < "};
    fuzz_random r = {seed};
    const char *bit = bits[fuzz_below(&r, sizeof bits / sizeof *bits)];
    const size_t n = strlen(bit), at = fuzz_below(&r, size + 1);
    if (!fuzz_below(&r, 3) || size + n > max) return fuzz_bytes(data, size, max, &r);
    memmove(data + at + n, data + at, size - at);
    memcpy(data + at, bit, n);
    return size + n;
}
