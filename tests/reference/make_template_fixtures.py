#!/usr/bin/env python3
"""Templates and what transformers makes of them, for tests/test_template.c.

    make_template_fixtures.py constructs > tests/fixtures/text/template/constructs.jsonl
    make_template_fixtures.py random SEED N                N random expressions, in the same form
    make_template_fixtures.py conversations N FILE ...      N random conversations with each template
    make_template_fixtures.py layouts N > tests/fixtures/text/template/layouts.jsonl    the same with src/text/layouts/

A row: {"template", "variables", "text"}; without "text" the template must fail. A row without a template or variables
has those of the row before it. strftime_now tells 26 July 2024, 13:05:09. A row of layouts has the layout's name in place of
the template."""
import copy, datetime, glob, json, os, random, re, sys

import transformers.utils.chat_template_utils as chat

HERE = os.path.dirname(os.path.abspath(__file__))
LAYOUTS = os.path.join(HERE, "..", "..", "src", "text", "layouts")


class Day(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, 13, 5, 9)


chat.datetime = Day

VARIABLES = {
    "messages": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Häuser & Größe\n"},
                 {"role": "assistant", "content": "a<b", "n": 3}, {"role": "user", "content": [
                     {"type": "text", "text": "one"}, {"type": "image"}, {"type": "text", "text": "two"}]}],
    "s": "Hello, wörld! 日本語 😀", "empty": "", "blank": " \t\n ", "n": 7, "m": -3, "x": 2.5, "yes": True, "no": False,
    "nothing": None, "list": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple"], "nested": [[1, [2]], {"a": [None]}],
    "d": {"b": 1, "a": "x", "items": "own", "get": 5, "c d": [1]}, "lines": "one\n\n  two\r\nthree\n", "q": "it's \"so\"\\",
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True, "tools": None,
    "tool": {"type": "function", "function": {"name": "f", "parameters": {"x": {"type": "number", "default": 1.5}}}}}

EXPRESSIONS = r"""
1
-1
+1
--1
1_000
0x1F
0b101
0o17
1.5
1e3
2.5e-7
1e16
123456789012345680.0
0.1
1e22
1.0
100000.0
0.0001
0.00001
123456.789
-0.0
5e-324
1.7976931348623157e308
'a'
"a\tb\n\\n\x41\u00e9\U0001F600\101\'\""
"a\qb"
'a' 'b' "c"
true
True
false
none
None
[]
[1, 'a', none, true, 1.5, [2], {}]
()
(1,)
(1, 2)
1, 2
{}
{'a': 1, "b": [2], 3: none}
{'a': {'b': 'it"s'}}
['it\'s', "q\"q", 'both\'"', "é", "\n\t\\", "\x07", "\u200b"]
n
m
x
s
nothing
undefined_name
list
nested
d
words
q
[q]
yes
no
n + 1
n - 10
n * m
n / 2
6 / 3
n // 2
m // 2
n // m
n % 3
m % 5
n % m
-7 // 2
-7 % 2
7.5 // 2
-7.5 // 2
7.5 % 2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 0.5
2 ** 3 ** 2
-2 ** 2
1 + 2 * 3
(1 + 2) * 3
1 + 2.5
true + 1
x * 2
'a' + 'b'
'ab' * 3
3 * 'ab'
'ab' * -1
[1] + [2]
[1, 2] * 2
(1,) + (2,)
'a' ~ 1 ~ none ~ [1]
1 ~ 2 + 3
'%s and %d' % ('a', 3)
'%s' % n
'%d%%' % x
'%.2f' % x
'%s' % [1]
'%r' % 'a'
1 < 2
1 < 2 < 3
1 < 3 < 2
1 == 1.0
1 == true
'a' == 'a'
'a' != 'b'
'a' < 'b'
'Z' < 'a'
[1, 2] < [1, 3]
(1, 2) == [1, 2]
[1] == [1.0]
{'a': 1} == {'a': 1}
none == none
none == undefined_name
undefined_name == other
'a' == 1
1 in [1, 2]
'a' in 'cat'
'' in 'x'
'a' not in ['b']
'b' in d
'z' in d
1 in (1,)
n in [7.0]
'x' in undefined_name
not 1
not not ''
1 and 2
0 and 2
0 or 'x'
'' or none
1 and 0 or 3
not 1 == 2
1 if yes else 2
1 if no else 2
1 if no
'a' if no else 'b' if no else 'c'
(1 if yes else 2) + 1
s[0]
s[-1]
s[7]
s[100]
s[1:4]
s[:5]
s[7:]
s[::-1]
s[::2]
s[-3:]
s[-100:3]
s[10:2]
s[8:2:-2]
'abc'[5:]
list[0]
list[-1]
list[5]
list[1:]
list[:-1]
list[::-1]
list[::2]
list[3:0:-1]
(1, 2, 3)[1:]
list[true]
list['a']
list[none]
list[1.0]
d.b
d['b']
d.items()
d['items']
d.get('a')
d.get('zz')
d.get('zz', 9)
d.keys()
d.values()
d.keys() | list
d.zz
d['zz']
d['c d'][0]
d.zz is defined
messages[0].role
messages[0]['content']
messages[1:][0].role
messages[-1].content[0].text
messages[0].nope
messages.0.role
messages | length
nothing.a
n.a
words.1
s.upper()
s.lower()
s.title()
s.capitalize()
'ß ŉ ǰ ﬁ ΣΑΣ İx'.upper()
'ΌΣΟΣ ΑΣ Σ İ'.lower()
'ǆ ß'.title()
"they're bill's 3rd".title()
'ﬁx'.capitalize()
'ßa'.capitalize()
blank.strip()
' a '.strip()
' a '.lstrip()
' a '.rstrip()
'xxaxyx'.strip('x')
'xyaxy'.strip('yx')
'xyaxy'.lstrip('yx')
'éaé'.rstrip('é')
'\u3000a\x85\xa0'.strip()
'a'.strip('')
'a b  c'.split()
' a b '.split()
'a,b,,c'.split(',')
'a,b,c'.split(',', 1)
'a b c d'.split(none, 2)
'a b c '.split(maxsplit=1)
'a--b--c'.rsplit('--', 1)
'abc'.rsplit('b')
''.split(',')
''.split()
'a</think>b'.split('</think>')[-1].lstrip('\n')
lines.splitlines()
lines.splitlines(true)
''.splitlines()
'abc'.startswith('ab')
'abc'.startswith(('x', 'a'))
'abc'.endswith('bc')
'abc'.endswith('')
'aaa'.replace('a', 'b')
'aaa'.replace('a', 'b', 2)
'abc'.replace('', '-')
'äb'.replace('', '-', 2)
'abc'.replace('b', '')
', '.join(['a', 'b'])
''.join(words)
'-'.join('abc')
'abcabc'.find('c')
'abc'.find('z')
'äöü'.find('ü')
'abcabc'.rfind('b')
'abc'.index('c')
'aXbX'.count('X')
'abc'.count('')
'abc'.removeprefix('a')
'abc'.removesuffix('bc')
'a=b=c'.partition('=')
'a=b=c'.rpartition('=')
'abc'.partition('z')
'abc'.rpartition('z')
'{} {}'.format(1, 'a')
'{1}{0}'.format(1, 2)
'{a}{{}}'.format(a=3)
'12'.isdigit()
'a1'.isalnum()
'ab'.isalpha()
' '.isspace()
''.isspace()
'AB'.isupper()
'ab1'.islower()
'1'.islower()
[1, 2, 1].count(1)
[1, 2].index(2)
(1, 2).index(2)
blank | trim
s | trim
'xax' | trim('x')
n | trim
nothing | trim
undefined_name | trim
s | upper
s | lower
s | title
"it's a-b (c) [d] {e} <f> über" | title
s | capitalize
n | string
n | string + 'a'
s | length
list | length
d | length
undefined_name | length
'äö' | count
list | first
list | last
'' | first
[] | first
[] | last
undefined_name | first
undefined_name | last
d | first
d | last
list | join
list | join(', ')
list | join(d='-')
'abc' | join('-')
messages | join(', ', attribute='role')
undefined_name | join
list | sort
list | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
messages | sort(attribute='role') | map(attribute='role') | list
[[2, 1], [1, 2]] | sort
words | unique | list
words | unique(true) | list
list | reverse | list
'abc' | reverse
d | reverse | list
list | min
list | max
words | max
[] | max
list | sum
[1.5, 2] | sum
messages[2:3] | sum(attribute='n')
list | sum(start=10)
'abc' | list
d | list
undefined_name | list
d | items | list
undefined_name | items | list
d | dictsort
{'b': 1, 'A': 2} | dictsort
{'b': 1, 'A': 2} | dictsort(true)
{'b': 2, 'A': 1} | dictsort(by='value')
{'b': 2, 'A': 1} | dictsort(false, 'value', true)
undefined_name | default('x')
undefined_name | d('x')
nothing | default('x')
nothing | default('x', true)
'' | default('x', boolean=true)
undefined_name | default
'42' | int
'42.9' | int
' 12 ' | int
'1_0' | int
'x' | int
'x' | int(5)
none | int
3.9 | int
-3.9 | int
true | int
'1e3' | int
'' | int
'2.5' | float
'x' | float
'x' | float(1.5)
'inf' | float
3 | float
-3 | abs
-3.5 | abs
2.567 | round
2.5 | round
3.5 | round
2.567 | round(2)
2.567 | round(1, 'floor')
2.512 | round(2, 'ceil')
2.675 | round(2)
7 | round
42.55 | round | int
'a b a' | replace('a', 'x')
'aaa' | replace('a', 'b', 1)
1212 | replace(1, 'x')
'a\nb\n\nc' | indent
'a\nb\n\nc' | indent(2, true)
'a\nb\n\nc' | indent(2, first=true, blank=true)
'a\nb' | indent('> ')
'' | indent
'a\n' | indent
'<a href="x">&' | escape
'<b>' | e
'<b>' | safe
messages | map(attribute='role') | list
messages | map(attribute='n') | list
messages | map(attribute='n', default=0) | list
messages | map(attribute='content.0.text') | list
words | map('upper') | list
words | map('replace', 'p', 'q') | join
messages | selectattr('role', 'equalto', 'user') | list | length
messages | selectattr('role', '==', 'user') | map(attribute='content') | first
messages | selectattr('n') | list | length
messages | selectattr('n', 'defined') | list | length
messages | rejectattr('role', 'in', ['user', 'system']) | map(attribute='role') | list
[1, 2, 3, 4] | select('odd') | list
[1, 2, 3, 4] | reject('divisibleby', 2) | list
[0, 1, '', 'a'] | select | list
[1, 5] | select('>', 2) | list
messages | map('length') | list
'%s-%s' | format('a', 1)
s | tojson
tool | tojson
tool | tojson(indent=4)
tool | tojson(indent=0)
tool | tojson(indent='\t')
tool | tojson(separators=(',', ':'))
tool | tojson(sort_keys=true)
s | tojson(ensure_ascii=true)
"\x01\n\"\\/é\u2028\x7f" | tojson
"\x01\n\"\\/é\u2028\x7f" | tojson(true)
[1.5, 1e100, none, true, [], {}, 'a'] | tojson
[1.5, [], {}] | tojson(indent=2)
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
undefined_name | tojson
range(3) | list
range(2, 8, 3) | list
range(5, 0, -2) | list
range(0) | list
range(3)
range(10)[2:5]
range(10)[2]
range(1, 3) | tojson
dict(a=1, b=2)
dict({'a': 1}, b=2)
dict([('a', 1)])
namespace(a=1).a
namespace({'a': 1}).zz
strftime_now('%d %b %Y')
strftime_now('%Y-%m-%d')
strftime_now('%A, %B %d, %Y %H:%M:%S %p')
strftime_now('%-d')
strftime_now('%d %B %Y')
n is defined
undefined_name is defined
undefined_name is undefined
nothing is none
n is not none
n is not defined
s is string
n is string
d is mapping
list is mapping
list is iterable
n is iterable
undefined_name is iterable
list is sequence
d is sequence
s is sequence
d.items() is sequence
(list | map('string')) is sequence
(1, 2) is sequence
n is number
x is number
yes is number
n is integer
yes is integer
x is float
yes is boolean
n is boolean
yes is true
n is true
no is false
nothing is false
n is odd
n is even
m is odd
n is divisibleby 7
n is divisibleby(2)
n is equalto 7
n is eq 7
n is ne 7
n is gt 5
n is lessthan 5
n is le 7
n is ge(8)
n is in [7]
'a' is in 'cat'
n is sameas 7.0
yes is sameas true
nothing is sameas none
s is callable
range is callable
undefined_name is callable
n is defined and n is odd
n is defined or zz
not n is odd
n is not odd
n is odd == true
n | string is string
-n | abs
-(n | abs)
n.zz.zz
undefined_name.a
undefined_name['a']
undefined_name()
undefined_name + 1
'a' + undefined_name
'a' + 1
1 + 'a'
[1] + (1,)
'a' < 1
n < none
none < none
undefined_name < 1
1 in 5
1 in 'a'
n()
s.nope()
none[0]
nothing[1:]
undefined_name[1:]
d[1:2]
list[::0]
list['a':]
n[0]
'a' * 1.5
1 / 0
1 // 0
1 % 0
1.5 % 0
{[]: 1}
{{}: 1}
list.append(4)
list.append
d.update({})
d.pop('a')
d.clear
s.__class__
s.__class__.__mro__
'a'.join([1])
'a'.index('z')
'a'.split('')
[1].index(2)
range(100001)
range(1.5)
range('a')
n | length
none | length
(list | map('string')) | length
(list | map('string')) | last
nothing | list
n | first
n | list
undefined_name | int
'a' | abs
[1, 'a'] | sort
[1, 'a'] | max
n | indent
raise_exception('no ' + 'way')
messages | map('nofilter') | list
messages | nofilter
n is notest
'a'.startswith(1)
'a' in none
namespace(_a=1)
1 2
1 +
(1
[1
'a
a b
{{ 1 }}
1 }} x {{ 2
n if
1 = 2
'\x4'
|upper
n |
n is
"{}".format()
'%d' % 'a'
'%s %s' % 'a'
'%s' % ('a', 'b')
'a'.upper(1)
'a'.strip(1)
d.get()
d.get([])
[] in d
[] in [[]]
list | join(1)
s[1.5]
s['a']
d[[]]
'abc'[1]['a'] is defined
"a" "b" + "c"
-'a'
+[]
not []
[1, 2,]
(1, 2,)
{'a': 1,}
range(3)|map('string')|join('-')|upper
''.join(['a', 'b'])[0]
'a'.upper().lower()
((1))
1if yes else 2
1.__class__
1 .real is defined
true.a
[] is iterable
s|e|length
(1, 2)|join('-')
('a',)|first
(('<b>'|safe) ~ '&')
('<b>'|safe) == '<b>'
('<b>'|safe)|upper
' <b> '|safe|trim
['a', 'b'][1]
['a', 'b'].index('b')
{'a': 1}['a']
{'a': 1}.a
{'a': 1}.items()|list
{'a': 1}|items|first
'a' if 'b' in 'abc' and not 'z' in 'abc' else 'c'
not 'a' in 'b'
1 not in [1] or 2 in [2]
yes and no or yes
(yes or no) and no
1 > 2 == false
1 == 1 == 1
1 != 2 != 1
s.split(' ')|length
s.split(' ')[0:1]
'abc'|first|upper
'abc'|last
'abc'[0]|upper
d.items()|first
d.items()|list|length
d.values()|list|first
d|dictsort|first|first
messages|first|length
messages[0]|tojson
messages|last|tojson
nested|tojson
nested|string
d|string
(1, 'a')|string
none|string
1e5|string
1.0|tojson
1e16|tojson
100|tojson
[1e-7, 123456789.125]|string
""".strip("\n").split("\n")

TEMPLATES = [
    "", "\n", "a\n", "a\n\n", "a\r\nb\rc", "  {% if yes %}\n  x\n  {% endif %}\ny\n", "a {%- if yes %} b {% endif -%} c",
    "a  {{- n -}}  b", "a\n  {{ n }}\n  b", "  {{ n }}", "{#- c -#} a {# c #} b", "a {#- c -#} b", "x\n  {# c #}\ny", "{#\nc\n#}\nz",
    "{#-#}a", "{#--#}a", " {#+ c +#}\n a", "  {%+ if yes %}a{% endif +%}\n b", "{% if yes -%}\n\n a\n{%- endif %}\n", "{{ '{{' }}{{ \"%}\" }}",
    "{{ {'a': {}} }}{{ {'a':{'b':1}}['a']['b']}}", "{% raw %}{{ n }}{% if %}{# #}{% endraw %}", "a {%- raw -%} {{ x }} {%- endraw -%} b",
    "  {% raw %}\n x\n  {% endraw %}\ny", "{% raw %}a{%+ endraw +%}\nb", "a{{ n }}\n\nb", "a{% if yes %}\n\nb{% endif %}\n\nc", "a\x0b\x0c {%- if yes -%}\x1c\u3000 b{% endif %}",
    "{% for x in list %}{{ x }}{% endfor %}", "{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }} {% endfor %}",
    "{% for x in list %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", "{% for x in list %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in [] %}a{% else %}b{% endfor %}", "{% for x in list %}a{% else %}b{% endfor %}", "{% for x in list %}{% break %}{% else %}b{% endfor %}",
    "{% for x in list %}{{ x }}{% if x == 1 %}{% break %}{% endif %}{% else %}b{% endfor %}", "{% for x in list %}{% continue %}{% else %}b{% endfor %}",
    "{% for x in list %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{% endfor %}", "{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}", "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% for c in 'äb' %}{{ c }}.{% endfor %}", "{% for x in undefined_name %}a{% else %}none{% endfor %}", "{% for x in n %}{% endfor %}", "{% for x in nothing %}{% endfor %}",
    "{% for x in list if x > 1 %}{{ x }}{{ loop.index }}{{ loop.length }}{{ loop.last }}{% endfor %}", "{% for x in list if x > 9 %}{{ x }}{% else %}none{% endfor %}", "{% for m in messages if m.role == 'user' %}{{ loop.index }}{% endfor %}",
    "{% set ns = namespace(k=0) %}{% for x in list if ns.k == 0 %}{{ x }}{% set ns.k = 1 %}{% endfor %}",
    "{% for x in list %}{% for y in list %}{{ x }}{{ y }}{{ loop.index }} {% endfor %}{{ loop.index }}{% endfor %}", "{% for x in list %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}",
    "{% for x in list %}{{ loop.depth }}{{ loop.depth0 }}{{ loop.nope }}{% endfor %}", "{{ loop }}", "{{ loop is defined }}", "{% for x in list recursive %}{{ x }}{% endfor %}x{{ undefined_name.a }}",
    "{% if n %}a{% elif x %}b{% else %}c{% endif %}", "{% if no %}a{% elif x %}b{% else %}c{% endif %}", "{% if no %}a{% elif no %}b{% else %}c{% endif %}", "{% if no %}a{% elif no %}b{% endif %}", "{% if undefined_name %}a{% endif %}b", "{% if n: %}a{% endif %}",
    "{% if '' %}1{% endif %}{% if [] %}2{% endif %}{% if {} %}3{% endif %}{% if 0 %}4{% endif %}{% if 0.0 %}5{% endif %}{% if none %}6{% endif %}{% if 'a' %}7{% endif %}{% if [0] %}8{% endif %}{% if range(0) %}9{% endif %}",
    "{% set a = 1 %}{{ a }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = b = 1 %}", "{% set a %}x{{ n }}y{% endset %}[{{ a }}]", "{% set a | upper %}x{{ n }}y{% endset %}[{{ a }}]", "{% set a | replace('x', 'z') | upper %}x{% endset %}{{ a }}", "{% set a = 1, 2 %}{{ a }}", "{% set (a, b) = (1, 2) %}{{ b }}", "{% set true = 1 %}", "{% set a.b = 1 %}", "{% set n.b = 1 %}", "{% set a[0] = 1 %}",
    "{% set a = 1 %}{% for x in list %}{% set a = a + x %}{{ a }}{% endfor %}{{ a }}", "{% for x in list %}{{ a }}{% set a = x %}{{ a }}{% endfor %}{{ a }}", "{% if yes %}{% set a = 1 %}{% endif %}{{ a }}", "{% if no %}{% set n = 1 %}{% endif %}{{ n }}", "{% for x in list %}{% if loop.first %}{% set n = 1 %}{% endif %}{{ n }}{% endfor %}", "{% set messages = messages[1:] %}{{ messages | length }}", "{% set n = n + 1 %}{{ n }}", "{% for n in list %}{{ n }}{% endfor %}{{ n }}", "{% set x = 1 %}{% set y %}{% set x = 2 %}{{ x }}{% endset %}{{ y }}{{ x }}",
    "{% set ns = namespace(a=0, b='') %}{% for x in list %}{% set ns.a = ns.a + x %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}", "{% set ns = namespace() %}{% set ns.a %}x{% endset %}{{ ns.a }}{{ ns['a'] }}", "{% set ns = namespace(a=1) %}{% set ns.a, b = 3, 4 %}{{ ns.a }}{{ b }}", "{% set ns = namespace() %}{% set ns._a = 1 %}", "{% set ns = namespace(x=[]) %}{% set ns.x = ns.x + [1] %}{{ ns.x }}",
    "{% macro f(a, b=2) %}{{ a }}-{{ b }};{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(b=4, a=5) }}{{ f() }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(zz=2) }}", "{% macro f(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, x=4) }}", "{% macro f(a, b=a) %}{{ b }}{% endmacro %}{{ f(3) }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}", "{% set z = 5 %}{% macro f() %}{{ z }}{{ messages | length }}{% endmacro %}{{ f() }}", "{% macro f() %}{{ z }}{% endmacro %}{% set z = 5 %}{{ f() }}", "{% macro f() %}{{ z }}{% endmacro %}{% for z in list %}{{ f() }}{% endfor %}", "{% macro f() %}{% set q = 1 %}{% endmacro %}{{ f() }}{{ q | length }}", "{% macro f() %} a {% endmacro %}{{ f() | trim }}{{ f().strip() }}{{ f() is string }}", "{% macro f(a, b=1, c) %}{% endmacro %}", "{% macro f(x) %}{{ caller(x) }}{% endmacro %}{% call(y) f(3) %}<{{ y }}>{% endcall %}", "{% macro f() %}[{{ caller() }}]{% endmacro %}{% call f() %}in{% endcall %}", "{% macro f() %}x{% endmacro %}{% call f() %}in{% endcall %}", "{% macro f() %}{% break %}{% endmacro %}", "{% for x in list %}{% macro f() %}{{ x }}{% endmacro %}{{ f() }}{% endfor %}", "{% macro f(items) -%}\n  {%- for i in items %}{{ i }}{% if not loop.last %}, {% endif %}{% endfor -%}\n{%- endmacro %}\n{{ f(list) }}!", "{% macro f() %}{{ f }}{% endmacro %}x", "{{ f is defined }}{% macro f() %}{% endmacro %}{{ f is callable }}", "{% macro f(a) %}{{ a is defined }}{% endmacro %}{{ f() }}",
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter trim | upper %} a {% endfilter %}", "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set n = 1 %}{{ n }}{% endwith %}{{ n }}", "{% generation %}{{ n }}{% endgeneration %}", "a\n{% generation %}\nb\n{% endgeneration %}\nc", "{% for m in messages %}{% generation %}{{ loop.index }}{{ m.role }}{% endgeneration %}{% endfor %}", "{% generation %}{% set n = 1 %}{% endgeneration %}{{ n }}", "{%- generation -%} a {%- endgeneration -%} b",
    "{% if n %}", "{% for x in list %}", "{% endif %}", "{% endfor %}", "{% nope %}", "{% if n %}{% endfor %}", "{{ n", "{% if n", "{# a", "{% raw %}a", "{{ }}", "{% %}", "{% set %}", "{% set a %}", "{% for %}{% endfor %}", "{% for x %}{% endfor %}", "{% break %}", "{% continue %}", "{% if no %}{% break %}{% endif %}", "{{ n }", "{ n }}", "{ { n } }", "}} %} #}", "{", "{{", "{%", "a { b", "{{ n }}}", "{{{ 'a': 1 }}}", "{{ 'a\nb' }}", "{{\n  n\n}}", "{%\nif n\n%}a{%\nendif\n%}", "{{ (1,\n2) }}", "{{ n }}{{ m }}", "{{n}}{{-m}}{{ -m }}{{+m}}",
    "{% set it = list | map('string') %}{{ it | join }}{{ it | join }}", "{% set it = list | reverse %}{{ it | list }}{{ it | list }}", "{% set it = list | map('string') %}{% if it %}a{% endif %}{% for x in it %}{{ loop.length }}{{ x }}{% endfor %}", "{% set it = [] | map('string') %}{% if it %}a{% endif %}", "{% set v = d.items() %}{{ v | list | length }}{{ v | list | length }}", "{% set it = list | select('odd') %}{{ it | first }}{{ it | first }}{{ it | first }}", "{% set it = list | map('string') %}{{ '1' in it }}{{ it | list }}",
    "{% for m in messages %}{% if m.content is string %}{{ m.content | trim }}{% else %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% endif %}|{% endfor %}",
    "{% if (messages[0].role == 'user') != (messages | length % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}x", "{{ raise_exception('a ' ~ n) }}", "{{- bos_token }}{{ eos_token }}{{ unk_token }}", "{{ messages[0]['content'].split(' ') | tojson }}", "{% for k in tool | dictsort %}{{ k[0] }}{% endfor %}", "{{ tool.function.name }}{{ tool['function']['parameters'] | tojson }}", "{% if tools %}a{% elif tools is none %}b{% endif %}", "{%- set loop_messages = messages %}{%- for m in loop_messages %}{%- set content = '<' + m['role'] + '>' %}{%- if loop.index0 == 0 %}{%- set content = bos_token + content %}{%- endif %}{{- content }}{%- endfor %}",
    "{% do 1 %}", "{% block a %}x{% endblock %}y{{ undefined_name.a }}", "{{ self }}{{ undefined_name.a }}", "{{ varargs }}", "{{ n.__class__.__name__ }}", "{{ ''.__class__.__base__.__subclasses__() }}", "{{ messages.append(1) }}", "{% set _ = messages.append(1) %}", "{{ messages.sort() }}", "{{ d.setdefault('k', 1) }}", "{{ lipsum.__globals__ }}", "{{ ''['__class__'] }}", "{{ (''|attr('__class__')).x }}", "{{ d.__len__() }}",
    "{{ n }} {% if yes %}\n{% if yes %}\n  a\n{% endif %}\n{% endif %}\n b", "\t{% if yes %}x{% endif %}\t\n\ty", "x {% if yes %} \n y{% endif %}", "{% if yes %}x{% endif %}  {% if yes %}y{% endif %}\n", "  {%- if yes %}x{% endif %}", "\n\n  {%- if yes %}x{% endif %}", "a\n   {% if yes %}b{% endif %}   {% if yes %}c{% endif %}", "{{ n }}   {% if yes %}c{% endif %}", "{% if yes %}\n   {% if yes %}c{% endif %}{% endif %}", "{{ n -}}\n   {% if yes %}c{% endif %}",
]


def render(template, variables):
    """As apply_chat_template: the text, or None where it fails."""
    try:
        return chat._compile_jinja_template(template).render(**copy.deepcopy(variables))  # `indent` changes a list
    except Exception:
        return None


def row(template, variables=None):
    out = {"template": template, "variables": VARIABLES if variables is None else variables}
    text = render(template, out["variables"])
    if text is not None:
        out["text"] = text
    return out


def constructs():
    return [row("{{ " + e + " }}") for e in EXPRESSIONS] + [row(t) for t in TEMPLATES]


ATOMS = EXPRESSIONS[EXPRESSIONS.index("n"):EXPRESSIONS.index("[q]")] + [
    "0", "1", "-2", "3.5", "'a'", "'b, c'", "''", "true", "none", "[]", "[1, 'x']", "(2, 3)", "{'a': 1}", "words", "messages", "messages[0]",
    "blank", "range(4)", "d.items()", "(list | map('string'))", "tool"]
INFIX = ["+", "-", "*", "//", "%", "/", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or", "is sameas", "is in", "is eq"]
SUFFIX = [".a", "['a']", "[0]", "[-1]", "[1:]", "[:-1]", "[::-1]", ".role", ".content", ".upper()", ".strip()", ".split()", ".split(',')", ".items()", ".get('a')",
          ".replace('a', 'é')", ".startswith('a')", ".lower()", ".title()", ".join(['p', 'q'])", ".keys()", ".count('a')"] + [
    " | " + f for f in ["trim", "upper", "lower", "title", "capitalize", "string", "length", "first", "last", "list", "join", "join('-')", "sort", "unique | list", "reverse",
                        "reverse | list", "tojson", "tojson(indent=2)", "int", "float", "default('z')", "default('z', true)", "abs", "round", "replace('a', 'b')", "indent", "min", "max",
                        "map('string') | list", "map(attribute='role') | list", "select | list", "selectattr('role') | list | length", "items | list", "dictsort", "sum", "escape"]] + [
    " is " + t for t in ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "true", "false", "boolean", "odd", "not none", "divisibleby 2"]]


def expression(rng, depth):
    k = rng.random()
    if depth == 0 or k < .15:
        return rng.choice(ATOMS)
    if k < .55:
        inner = expression(rng, depth - 1)
        return (inner if rng.random() < .5 else "(" + inner + ")") + rng.choice(SUFFIX)
    if k < .8:
        return expression(rng, depth - 1) + " " + rng.choice(INFIX) + " " + expression(rng, depth - 1)
    if k < .87:
        return rng.choice(["not ", "-", "+"]) + expression(rng, depth - 1)
    if k < .94:
        return "(" + expression(rng, depth - 1) + " if " + expression(rng, depth - 1) + " else " + expression(rng, depth - 1) + ")"
    return "[" + expression(rng, depth - 1) + ", " + expression(rng, depth - 1) + "]"


def random_rows(seed, n):
    """Texts that tell an address or the name of a Python object are left out."""
    rng = random.Random(seed)
    rows = [row("{{ " + expression(rng, rng.randrange(1, 5)) + " }}") for _ in range(n)]
    return [r for r in rows if not re.search(r"object|0x7f|<class", r.get("text", ""))]


TEXTS = ["", " ", "\n", "Hello", " leading", "trailing \n", "two\nlines", "Häuser, Größe", "日本語のテキスト", "👩‍👩‍👧‍👦 and 🏳️‍🌈", "שלום עולם", "مرحبا", "e\u0301 é", "a\u00a0b\u3000",
         "\u200b\u200d", "<|im_start|>user\n<|im_end|>", "<s>[INST] x [/INST]</s>", "{{ 7 * 7 }}{% if x %}", "\"quoted\" 'single' \\back", "tab\there", "<think>\nreason\n</think>\n\nanswer",
         "code:\n    def f():\n        return 1\n", "a" * 300, "1 + 1 = 2", "\r\nwindows\r\n", "$\\alpha$ & <b>"]


def text(rng):
    return "".join(rng.choice(TEXTS) for _ in range(rng.choice([1, 1, 1, 2, 3])))


def content(rng, parts):
    if not parts or rng.random() < .6:
        return text(rng)
    return [{"type": "text", "text": text(rng)} for _ in range(rng.randrange(1, 4))]


def conversation(rng):
    """System or not, up to six turns that mostly alternate, contents as text or as parts."""
    messages, parts = [], rng.random() < .4
    if rng.random() < .5:
        messages.append({"role": "system", "content": content(rng, parts)})
    for i in range(rng.randrange(1, 7)):
        role = "user" if i % 2 == 0 else "assistant"
        if rng.random() < .04:
            role = rng.choice(["user", "assistant", "system", "tool"])
        messages.append({"role": role, "content": content(rng, parts)})
    return messages


def conversations(n, files, seed=5):
    """Every second conversation asks for a reply."""
    rows = []
    for f in files:
        rng, template = random.Random(seed), open(f, encoding="utf-8", newline="").read()
        for i in range(n):
            variables = {"messages": conversation(rng), "tools": None, "documents": None, "add_generation_prompt": i % 2 == 0, "bos_token": "<s>", "eos_token": "</s>",
                         "unk_token": "<unk>", "pad_token": "<pad>"}
            given = dict(variables, messages=chat._alias_reasoning_fields(variables["messages"]))
            rows.append(row(template, given))
    return rows


def main():
    what, rest = sys.argv[1], sys.argv[2:]
    if what == "constructs":
        rows = constructs()
    elif what == "random":
        rows = random_rows(int(rest[0]), int(rest[1]))
    elif what == "conversations":
        rows = conversations(int(rest[0]), rest[1:])
    else:
        rows = []
        for f in sorted(glob.glob(os.path.join(LAYOUTS, "*.jinja"))):
            name = {"layout": os.path.basename(f)[:-len(".jinja")]}
            rows += [{**name, **{k: v for k, v in r.items() if k != "template"}} for r in conversations(int(rest[0]), [f])]
    last = {}
    for r in rows:
        print(json.dumps({k: v for k, v in r.items() if k == "text" or what == "layouts" or last.get(k) != v}, ensure_ascii=True))
        last = r


if __name__ == "__main__":
    main()
