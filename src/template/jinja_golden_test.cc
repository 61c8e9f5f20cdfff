// What templates render to, compared with what jinja2 3.1 gives in the environment that
// transformers makes (trim_blocks, lstrip_blocks, loop controls, json.dumps for tojson).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "template/jinja.h"
#include "template/json.h"

namespace evo::jinja {
namespace {

constexpr const char* kContext = R"({"messages": [{"role": "system", "content": "Be brief. "},
 {"role": "user", "content": " Hi\nthere é日本 "},
 {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello"},
 {"role": "user", "content": "Bye"}], "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true, "tools": null, "d": {"a": 1, "b": [1, 2.5, null, true], "items": 3, "get": 4}, "l": [3, 1, 2], "s": "Hello wörld it's", "n": 7, "f": 2.5, "o": [{"x": {"y": 2}, "n": "b"}, {"x": {"y": 1}, "n": "A"}]})";

struct Golden {
  const char* source;
  const char* expected;
};

const Golden kGoldens[] = {
    {"{% macro g() %}{{ i is defined }}{% endmacro %}{% for i in [1] %}{{ g() }}{% endfor %}",
     "False"},
    {"  {% raw %} {% endraw %}\nb", " b"},
    {"{{ 1+2*3 }} {{ 7//2 }} {{ -7//2 }} {{ -7%3 }} {{ 2**10 }} {{ 7/2 }} {{ 4/2 }} {{ 1e3 }} {{ "
     "1e20 }} {{ 1.5e-7 }} {{0.1+0.2}}",
     "7 3 -4 2 1024 3.5 2.0 1000.0 1e+20 1.5e-07 0.30000000000000004"},
    {"{{ 'a' ~ 1 ~ none ~ true }}", "a1NoneTrue"},
    {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 in l }} {{ 9 not in l }} {{ 'a' in d }} {{ not 1 in l "
     "}}",
     "True False True True True False"},
    {"{{ l[0] }}{{ l[-1] }}{{ l[::-1] }}{{ l[1:] }}{{ l[:-1] }}{{ s[1:4] }}{{ s[::-1] }}{{ s[::2] "
     "}} {{ s[7] }} {{ l[5:1:-2] }}",
     "32[2, 1, 3][1, 2][3, 1]ells'ti dlröw olleHHlowrdi' ö [2]"},
    {"{{ d }} {{ d.a }} {{ d['b'] }} {{ d.get('zz','q') }} {{ d['items'] }} {{ d.b[1] }}",
     "{'a': 1, 'b': [1, 2.5, None, True], 'items': 3, 'get': 4} 1 [1, 2.5, None, True] q 3 2.5"},
    {"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
     "a=1;b=[1, 2.5, None, True];items=3;get=4;"},
    {"{{ messages|length }} {{ messages|map(attribute='role')|join(',') }} {{ "
     "o|map(attribute='x.y')|list }} {{ o|sort(attribute='x.y')|map(attribute='n')|list }}",
     "4 system,user,assistant,user [2, 1] ['A', 'b']"},
    {"{{ o|sort(attribute='n')|map(attribute='n')|join }} {{ ['b','A','c']|sort }} {{ "
     "['b','A','c']|sort(case_sensitive=true) }} {{ l|sort(reverse=true) }}",
     "Ab ['A', 'b', 'c'] ['A', 'b', 'c'] [3, 2, 1]"},
    {"{{ messages|selectattr('role','equalto','user')|map(attribute='content')|list }} {{ "
     "messages|rejectattr('role','in',['user','system'])|list|length }}",
     "[' Hi\\nthere é日本 ', 'Bye'] 1"},
    {"{{ l|select('odd')|list }} {{ l|reject('odd')|list }} {{ [0,1,none]|select|list }}",
     "[3, 1] [2] [1]"},
    {"{{ '  x '|trim }}|{{ 'xxaxx'.strip('x') }}|{{ ' a b  c '.split() }} {{ 'a,b,c'.split(',') }} "
     "{{ 'a,b,c'.split(',',1) }} {{ 'a,b,c'.rsplit(',',1) }} {{ ' a  b c '.split(none,1) }}",
     "x|a|['a', 'b', 'c'] ['a', 'b', 'c'] ['a', 'b,c'] ['a,b', 'c'] ['a', 'b c ']"},
    {"{{ d|tojson }} {{ d|tojson(indent=2) }} {{ 'é\"\\n\\u2028/<>'|tojson }} {{ "
     "'é😀'|tojson(ensure_ascii=true) }} {{ [1,[],{}]|tojson(indent=1) }} {{ "
     "{'b':1,'a':2}|tojson(sort_keys=true) }} {{ [1,2]|tojson(separators=(',',':')) }}",
     "{\"a\": 1, \"b\": [1, 2.5, null, true], \"items\": 3, \"get\": 4} {\n  \"a\": 1,\n  \"b\": "
     "[\n    1,\n    2.5,\n    null,\n    true\n  ],\n  \"items\": 3,\n  \"get\": 4\n} "
     "\"é\\\"\\n\342\200\250/<>\" \"\\u00e9\\ud83d\\ude00\" [\n 1,\n [],\n {}\n] {\"a\": 2, \"b\": "
     "1} [1,2]"},
    {"{{ undefined_thing }}|{{ undefined_thing is defined }}|{{ x|default('dd') }}|{{ "
     "''|default('e', true) }}|{{ none|default('e') }}|{{ none|d('e', boolean=true) }}",
     "|False|dd|e|None|e"},
    {"{{ d.nothing }}|{{ d.nothing is undefined }}", "|True"},
    {"{% set ns = namespace(a=1) %}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% endfor %}{{ "
     "ns.a }}",
     "4"},
    {"{% set x = 0 %}{% for i in [1,2] %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
     "01020"},
    {"{% for i in [] %}a{% else %}b{% endfor %}{% for i in l if i > 1 %}{{ loop.index }}/{{ "
     "loop.length }}:{{ i }}{{ ',' if not loop.last }}{% endfor %}",
     "b1/2:3,2/2:2"},
    {"{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% "
     "endif %}{{ i }}{% endfor %}",
     "0134"},
    {"{% for m in messages %}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ "
     "loop.previtem.role if loop.previtem is defined }}{{ loop.nextitem.role if not loop.last }}{% "
     "endfor %}",
     "0TrueFalse4user1FalseFalse3systemassistant2FalseFalse2useruser3FalseTrue1assistant"},
    {"{% macro m(a, b='x', c=3) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c=5) }}{{ "
     "m(b=2, a=1) }}{{ m() }}",
     "[1x3][1x5][123][x3]"},
    {"{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(3) }}",
     "3210"},
    {"{% set t %}abc {{ n }}{% endset %}{{ t }}|{% set t | upper %}abc{% endset %}{{ t }}",
     "abc 7|ABC"},
    {"{{ (1,) }} {{ (1,2) }} {{ () }} {{ 'a' 'b' }} {{ [1,2,] }} {{ {'a':1,} }} {{ {'a': {'b': "
     "{}}} }}",
     "(1,) (1, 2) () ab [1, 2] {'a': 1} {'a': {'b': {}}}"},
    {"{{ \"a'b\" | list }} {{ [\"a'b\", 'c\"d', 'e\\\\f', 'g\\nh', 'é', \"a'b\\\"c\"] }}",
     "['a', \"'\", 'b'] [\"a'b\", 'c\"d', 'e\\\\f', 'g\\nh', 'é', 'a\\'b\"c']"},
    {"{{ 'x' if true }}{{ 'x' if false }}{{ 'x' if false else 'y' }}{{ 1 if 0 else 2 if 0 else 3 "
     "}}",
     "xy3"},
    {"  yes", "  yes"},
    {"end", "end"},
    {"  {%- if true %}  a  {%- endif -%}   ", "  a"},
    {"  b", "  b"},
    {"x {# comment #} y", "x  y"},
    {"  {# comment #}", ""},
    {"z", "z"},
    {"{% raw %}{{ not }} {% this %}{% endraw %}", "{{ not }} {% this %}"},
    {"{% raw -%}   {{ x }}  {%- endraw %}  z", "{{ x }}  z"},
    {"{{ [1,2,3]|sum }} {{ o|sum(attribute='x.y') }} {{ -3|abs }} {{ (-3)|abs }} {{ 2.5|round }} "
     "{{ 3.5|round }} {{ 2.675|round(2) }} {{ 3|round }} {{ 2.1|round(0,'ceil') }} {{ "
     "42.55|round(1,'floor') }}",
     "6 3 3 3 2.0 4.0 2.67 3 3.0 42.5"},
    {"{{ '12'|int }} {{ 'x'|int }} {{ 'x'|int(5) }} {{ '3.7'|int }} {{ '3.5'|float }} {{ 3.9|int "
     "}} {{ n|string }} {{ n|string is string }} {{ true|int }} {{ ' 5 '|int }}",
     "12 0 5 3 3.5 3 7 True 1 5"},
    {"{{ 'a\\nb\\n\\nc'|indent }}|{{ 'a\\nb'|indent(2, true) }}|{{ 'a\\n\\nb'|indent(2, "
     "blank=true) }}|{{ 'a\\nb\\n'|indent('>') }}",
     "a\n    b\n\n    c|  a\n  b|a\n  \n  b|a\n>b\n"},
    {"{{ 'abc'|first }}{{ 'abc'|last }}{{ l|first }}{{ l|last }}{{ []|first }}{{ 'abc'|reverse "
     "}}{{ l|reverse|list }}{{ 'abc'|list }}{{ d|list }}{{ [1,2,1]|unique|list }}{{ "
     "['a','A']|unique|list }}",
     "ac32cba[2, 1, 3]['a', 'b', 'c']['a', 'b', 'items', 'get'][1, 2]['a']"},
    {"{{ 1 is number }} {{ true is number }} {{ true is integer }} {{ 1 is integer }} {{ 1.0 is "
     "float }} {{ 'a' is string }} {{ d is mapping }} {{ l is sequence }} {{ 'a' is sequence }} {{ "
     "d is sequence }} {{ 1 is iterable }} {{ l is iterable }} {{ none is none }} {{ x is none }} "
     "{{ 1 is boolean }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 4 is "
     "divisibleby 2 }} {{ 4 is divisibleby(3) }} {{ 3 is odd }} {{ 1 is eq 1 }} {{ 1 is in [1] }} "
     "{{ 'a' is not string }}",
     "True True False True True True True True True True False True True False False True False "
     "True True False True True True False"},
    {"{{ x is sequence }} {{ x is iterable }} {{ x is mapping }} {{ x|length }} {{ x|list }} {{ x "
     "== y }} {{ 'a' in x }} {{ x|trim }} {{ x ~ 'a' }} {{ not x }}",
     "True True False 0 [] True False  a True"},
    {"{{ 'a' * 3 }}{{ 2 * 'b' }}{{ [1] * 2 }}{{ [1] + [2] }}{{ 'a' + 'b' }}",
     "aaabb[1, 1][1, 2]ab"},
    {"{{ 'abc'.startswith('a') }}{{ 'abc'.endswith(('x','c')) }}{{ 'a-b'.upper() }}{{ "
     "','.join(['a','b']) }}{{ 'abcabc'.find('c') }}{{ 'abcabc'.count('bc') }}{{ 'a1'.isdigit() "
     "}}{{ '12'.isdigit() }}{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}{{ "
     "'a\\nb\\r\\nc\\n'.splitlines() }}",
     "TrueTrueA-Ba,b22FalseTruebcab['a', 'b', 'c']"},
    {"{{ s.split('</think>')[-1].lstrip('\\n') }}", "Hello wörld it's"},
    {"{% if tools %}t{% elif n == 7 %}seven{% else %}e{% endif %}", "seven"},
    {"{% generation %}abc{{ n }}{% endgeneration %}", "abc7"},
    {"abc", "abc"},
    {"{{ range(5)|list }} {{ range(1,10,3)|list }} {{ range(5,0,-2)|list }} {{ range(0)|list }}",
     "[0, 1, 2, 3, 4] [1, 4, 7] [5, 3, 1] []"},
    {"{{ dict(a=1, b=2) }} {{ dict(a=1).a }} {{ {1: 'x', 'y': 2}[1] }}", "{'a': 1, 'b': 2} 1 x"},
    {"{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (a, b) = (3, 4) %}{{ a }}{{ b }}{% for (a, b) in "
     "[(1,2),(3,4)] %}{{ a }}{{ b }}{% endfor %}",
     "12341234"},
    {"{{ 'a' < 'b' }} {{ [1,2] < [1,3] }} {{ 1 == 1.0 }} {{ true == 1 }} {{ [1] == (1,) }} {{ 'a' "
     "== 1 }} {{ none == false }} {{ {'a':1} == {'a':1.0} }}",
     "True True True True False False False True"},
    {"{{ \"\\x41\\u00e9\\101\\t\\q\" }}", "AéA\t\\q"},
    {"{{ - 3 ** 2 }} {{ -n }} {{ +n }} {{ not not n }} {{ 2 ** 3 ** 2 }} {{ 2 ** -1 }} {{ 10 % 4 * "
     "2 }} {{ 1 - 2 - 3 }} {{ 'a' ~ 1 ~ 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 1_000 }}",
     "9 -7 7 True 64 0.5 4 -4 a12 3.0 0.5 1000"},
    {"{{ messages[0].role }}{{ messages[0]['role'] }}{{ messages[-1]['content'] }}{{ messages[9] "
     "is defined }}{{ messages.0.role }}",
     "systemsystemByeFalsesystem"},
    {"{{ (messages|first).role }} {{ messages[1:] | length }} {{ messages | last | tojson }}",
     "system 3 {\"role\": \"user\", \"content\": \"Bye\"}"},
    {"{% if n is defined and n is not none and n > 3 %}ok{% endif %}", "ok"},
    {"{{ d.items is defined }} {{ s.strip is defined }} {{ s.foo is defined }} {{ d['zz'] is "
     "defined }}",
     "True True False False"},
    {"{{ 'x' if n is string else 'y' }} {{ n if n is defined }}", "y 7"},
    {"{{ 'ab'|map('upper')|join('-') }} {{ ['a',' b ']|map('trim')|join }} {{ "
     "[{'a':1},{}]|map(attribute='a',default=0)|list }} {{ ['a','b']|map('replace','a','z')|list "
     "}}",
     "A-B ab [1, 0] ['z', 'b']"},
    {"{{ 9223372036854775807 + 0 }} {{ 1e16 }} {{ 123456789012345680.0 }} {{ 1e15 }} {{ 0.0001 }} "
     "{{ 0.00001 }} {{ 1.0 }} {{ -0.0 }}",
     "9223372036854775807 1e+16 1.2345678901234568e+17 1000000000000000.0 0.0001 1e-05 1.0 -0.0"},
    {"{{ l is string or l is mapping }} {{ n in [7] and 3 }} {{ 0 or '' or 'z' }} {{ [] or {} }}",
     "False 3 z {}"},
    {"{{ 'a%sb' }} {{ \"{{\" }} {{ '}}' }} {{ '%}' }}", "a%sb {{ }} %}"},
    {"{{ l.count(1) }} {{ d.keys()|list }} {{ d.values()|list }} {{ d|items|list }}",
     "1 ['a', 'b', 'items', 'get'] [1, [1, 2.5, None, True], 3, 4] [('a', 1), ('b', [1, 2.5, None, "
     "True]), ('items', 3), ('get', 4)]"},
    {"{{ namespace(a=1).a }} {% set q = namespace() %}{% set q.z = [1] %}{{ q.z }} {{ q.none }}",
     "1 [1] "},
    {"{% for i in 'aé' %}{{ i }},{% endfor %} {% for k in d %}{{ k }}{% endfor %}",
     "a,é, abitemsget"},
    {"{% set x = 1 %}{% macro g() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ g() }}", "2"},
    {"{% for a in l %}{% for b in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
     "123112321233"},
    {"{% if false %}{{ l|nofilter }}{% endif %}ok", "ok"},
    {"{{ (1 if true else 2) + 3 }} {{ (\"a\" ~ \"b\")|upper }} {{ 'a'|upper ~ 'b' }} {{ 1 + 2|abs "
     "}}",
     "4 AB Ab 3"},
    {"{{ 'A'|lower == 'a' }} {{ l|length > 2 }} {{ l|length - 1 }} {{ (l|length) - 1 }} {{ "
     "l|join(', ')|upper }}",
     "True True 2 2 3, 1, 2"},
    {"{%+ if true %} plus {%+ endif +%}", " plus "},
    {"a", "a"},
    {"b", "b"},
    {"{{- ' x ' -}}   y  {{- 1 }}", " x y1"},
    {"{%- set z = 1 -%}", ""},
    {"  {{ z }}", "  "},
    {"  ", "  "},
    {"{{ 'a'~'b' }}\ttab  {% if 1 %}\t{% endif %}", "ab\ttab  \t"},
    {"{{ {'a':1}.a }} {{ [1,2][0] }} {{ 'abc'[1] }} {{ 'abc'[-1] }} {{ (1,2)[1] }} {{ {}.a is "
     "defined }} {{ 'a'.b }}",
     "1 1 b c 2 False "},
    {"{{ l[10] }}|{{ l['a'] }}|{{ n.foo }}|{{ none.foo }}", "|||"},
    {"{{ none[0] }}", ""},
    {"{{ d|length }}", "4"},
    {"{{ [[1,2],[3]]|map('length')|list }} {{ [1,2]|map('string')|join('+') }} {{ "
     "[true,false]|map('string')|list }}",
     "[2, 1] 1+2 ['True', 'False']"},
    {"{{ '\\u00a0 x\\u3000'|trim }}| {{ '\\u00a0a b'.split() }}", "x| ['a', 'b']"},
    {"{{ ['a', 1, none, 1.5, true]|join('|') }} {{ [none, undefinedvar]|string }}",
     "a|1|None|1.5|True [None, Undefined]"},
    {"{{ 'abc' is in 'xabcx' }} {{ 'a' is in d }} {{ [1]|length is eq 1 }}", "True True True"},
    {"{{ '%s' }}{{ 1 }}2{{ '3' }}", "%s123"},
    {"  {% if true %}\n  yes\n  {% endif %}\nend\n", "  yes\nend"},
    {"a\n  {%- if true %}  a  {%- endif -%}   \n  b\n", "a  ab"},
    {"  {# comment #}\nz\n", "z"},
    {"{% generation %}\nabc\n{% endgeneration %}\nx", "abc\nx"},
    {"{%- for message in messages -%}\n    {{ message.role }}\n{%- endfor -%}\n",
     "systemuserassistantuser"},
    {"a\n   {%+ if true +%}\nb\n   {% endif %}\n{{- ' x ' -}}   y  {{- 1 }}\n", "a\n   \nb\n x y1"},
    {"{%- set z = 1 -%}\n  {{ z }}\n  \n", "1\n  "},
    {"a\n\n", "a\n"},
    {"a\r\nb\r{% if 1 %}\r\n c\r\n{% endif %}\r\n", "a\nb\n c\n"},
    {"{{ 'a\\\nb' }}", "ab"},
    {"  {% raw %}\n  a\n  {% endraw %}\nb", "\n  a\nb"},
    {"x\n  {%- raw -%}\n  a {{ }}\n  {%- endraw -%}\nb", "xa {{ }}b"},
    {"{% if 1 %}\n\n  {% if 2 %}\n a\n  {%endif%}\n{%endif%}", "\n a\n"},
    {"{%-if 1-%} a {%-else-%} b {%-endif-%}", "a"},
    {"   {{ 1 }}\n   {# c -#}\n  x {#- d #} y\n {#+ e +#}\nz", "   1\nx y\n \nz"},
    {"{#a#}\n  {% if 1 %}b{% endif %}", "b"},
    {"{% if 1 -%}\n  {% if 1 %}b{% endif %}{% endif %}", "b"},
    {"{{ 1 }}  {% if 1 %}b{% endif %}", "1  b"},
    {"{% raw %}\n  {% endraw %}\n  {% if 1 %}x{% endif %}", "\nx"},
    {"{% filter upper %}a{{ n }}{% endfilter %}{% filter replace('a','b') | upper %}aXa{% "
     "endfilter %}",
     "A7BXB"},
    {"{% macro m(a) %}[{{ caller() }}{{ a }}]{% endmacro %}{% call m(1) %}body {{ n }}{% endcall "
     "%}",
     "[body 71]"},
    {"{% macro each(l) %}{% for x in l %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% "
     "call(v, i=0) each(l) %}<{{ i }}:{{ v }}>{% endcall %}",
     "<1:3><2:1><3:2>"},
    {"{% macro outer() %}({{ caller() }}){% endmacro %}{% for x in l %}{% call outer() %}{{ x }}{{ "
     "loop.index }}{% endcall %}{% endfor %}",
     "(31)(12)(23)"},
    {"{% for x in l %}{% macro m(y) %}{{ x }}{{ y }};{% endmacro %}{{ m(n) }}{% endfor %}",
     "37;17;27;"},
    {"{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "(1, 2){'x': 3}"},
    {"{% macro m(a, b=2) %}{% endmacro %}{{ m.name }}{{ m.arguments }}", "m('a', 'b')"},
    {"{% with a=1, b=n %}{{ a }}{{ b }}{% set a=5 %}{{ a }}{% endwith %}{{ a is defined }}",
     "175False"},
    {"{% block x %}b{{ n }}{% endblock %}{% block y %}c{% endblock y %}", "b7c"},
    {"{% for x in [[1,[2]],[3]] recursive %}{% if x is iterable %}{{ loop.depth }}({{ loop(x) "
     "}}){% else %}{{ x }}{% endif %}{% endfor %}",
     "1(12(2))1(3)"},
    {"{% for x in l %}{{ loop.cycle('a','b') }}{{ loop.depth0 }}{% endfor %}{% for x in [1,1,2] "
     "%}{{ loop.changed(x) }}{% endfor %}",
     "a0b0a0TrueFalseTrue"},
    {"{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% set a, (b, c) = (4, "
     "(5, 6)) %}{{ a }}{{ b }}{{ c }}",
     "123456"},
    {"{{ '%d %s' % (1, 'a') }}|{{ '%s' % n }}|{{ '%5.2f|%-5s|%05d|%+d|%x|%e|%g|%%' % (1.234, 'ab', "
     "42, 7, 255, 12345.678, 0.0001) }}|{{ '%(a)s-%(b)r' % d }}",
     "1 a|7| 1.23|ab   |00042|+7|ff|1.234568e+04|0.0001|%|1-[1, 2.5, None, True]"},
    {"{{ '{} {x} {1}'.format(1, 2, x=3) if false }}{{ '{} {x}'.format(1, x=2) }}|{{ "
     "'{0:>5}|{1:.2f}|{0!r}|{2[1]}|{3.a}|{4:,}|{1:05.1f}|{4:+d}|{0:*^7}|{5:.1%}'.format('a', 1.5, "
     "[1,2], d, 1234567, 0.25) }}|{{ '{{}}'.format() }}",
     "1 2|    a|1.50|'a'|2|1|1,234,567|001.5|+1234567|***a***|25.0%|{}"},
    {"{{ '%s-%s' | format('x', 1) }}{{ '%(v)s' | format(v=2) }}", "x-12"},
    {"{{ l | min }}{{ l | max }}{{ ['b','A'] | min }}{{ o | max(attribute='x.y') }}{{ [] | max }}",
     "13A{'x': {'y': 2}, 'n': 'b'}"},
    {"{{ {'b':1,'a':2,'C':3} | dictsort }}{{ {'b':1,'a':2} | dictsort(by='value', reverse=true) "
     "}}{% for k, v in {'b':1,'a':2} | dictsort %}{{ k }}{{ v }}{% endfor %}",
     "[('a', 2), ('b', 1), ('C', 3)][('a', 2), ('b', 1)]a2b1"},
    {"{% for r, g in messages | groupby('role') %}{{ r }}{{ g | length }},{% endfor %}{{ (messages "
     "| groupby('role'))[0].grouper }}{{ (messages | groupby('role'))[0].list | length }}",
     "assistant1,system1,user2,assistant1"},
    {"{{ [1,2,3,4,5] | batch(2) | list }}{{ [1,2,3] | batch(2, 0) | list }}{{ [1,2,3,4,5] | "
     "slice(2) | list }}",
     "[[1, 2], [3, 4], [5]][[1, 2], [3, 0]][[1, 2, 3], [4, 5]]"},
    {"{{ 'abc' is lower }}{{ 'ABC' is upper }}{{ 'aB' is lower }}{{ none is sameas none }}{{ 1 is "
     "sameas true }}{{ 'upper' is filter }}{{ 'odd' is test }}{{ 2.5 is odd }}{{ 6 is divisibleby "
     "3.0 }}",
     "TrueTrueFalseTrueFalseTrueTrueFalseTrue"},
    {"{{ none | map('upper') | list }}{{ 0 | select | list }}{{ none | selectattr('a') | list }}{{ "
     "false | rejectattr('a') | join }}",
     "[][][]"},
    {"{% if l | select('gt', 99) %}y{% else %}n{% endif %}{% set g = l | map('string') %}{{ g | "
     "join }}{{ g | join }}",
     "y312"},
    {"{{ d.items() }}{{ d.keys() }}{{ d.values() | list }}{{ d.keys()[0] is defined }}{{ d.items() "
     "| length }}",
     "dict_items([('a', 1), ('b', [1, 2.5, None, True]), ('items', 3), ('get', 4)])dict_keys(['a', "
     "'b', 'items', 'get'])[1, [1, 2.5, None, True], 3, 4]False4"},
    {"{{ '<a>' | e }}{{ '<' | safe ~ '<' }}{{ '<b>' + ('<c>' | safe) }}{{ ('<' | e) + '<' }}{{ "
     "('%s' | safe) % '<' }}{{ '<' | e | upper }}{{ '<' | forceescape }}{{ ('<'|safe) is escaped "
     "}}",
     "&lt;a&gt;<<&lt;b&gt;<c>&lt;&lt;&lt;&LT;&lt;True"},
    {"{{ 'äöüß ﬁ ΑΣ İ ǆ'.upper() }}|{{ 'ÄÖÜ ΑΣ İ'.lower() }}|{{ 'ß ǆ éa'.title() }}|{{ 'straße' | "
     "title }}|{{ 'ÉCOLE' | capitalize }}|{{ 'aÉ'.swapcase() }}|{{ 'Straße'.casefold() }}",
     "ÄÖÜSS FI ΑΣ İ Ǆ|äöü ας i̇|Ss ǅ Éa|Straße|École|Aé|strasse"},
    {"{{ 'abcabc'.rfind('b') }}{{ 'abcabc'.find('b', 2) }}{{ 'abcabc'.find('b', 2, 4) }}{{ "
     "'abc'.index('c') }}{{ 'abcabc'.count('b', -3) }}{{ 'abc'.startswith('b', 1) }}{{ "
     "'x'.find('', 5) }}",
     "44-121True-1"},
    {"{{ 'ab1'.isalnum() }}{{ 'ab'.isalpha() }}{{ '²'.isdigit() }}{{ '²'.isdecimal() }}{{ 'Ab "
     "Cd'.istitle() }}{{ ' \\n'.isspace() }}{{ 'é'.isascii() }}{{ 'É'.isupper() }}{{ ''.islower() "
     "}}",
     "TrueTrueTrueFalseTrueTrueFalseTrueFalse"},
    {"{{ '7'.zfill(3) }}{{ '-7'.zfill(4) }}{{ 'a'.center(4, '*') }}{{ 'a'.ljust(3) }}|{{ "
     "'ab'.rjust(3, '.') }}{{ 'a' | center(5) }}|{{ 'abcd'.center(7, '*') }}",
     "007-007*a**a  |.ab  a  |**abcd*"},
    {"{{ 'a-b-c'.partition('-') }}{{ 'a-b-c'.rpartition('-') }}{{ 'a'.rpartition('-') }}{{ ' a b  "
     "c '.rsplit(none, 1) }}{{ 'a\\nb'.splitlines(true) }}",
     "('a', '-', 'b-c')('a-b', '-', 'c')('', '', 'a')[' a b', 'c']['a\\n', 'b']"},
    {"{{ 'Hello World foo' | truncate(9, leeway=0) }}{{ 'Hello World' | truncate(8, true, '~', 0) "
     "}}{{ 'a b, c' | wordcount }}{{ 'a b/ü&' | urlencode }}{{ 'x' | attr('upper') is callable }}",
     "Hello...Hello W~3a%20b/%C3%BC%26True"},
    {"{{ '0x1f' | int(0, 16) }}{{ '1_000' | int }}{{ '-5' | int }}{{ 'z' | int(7, 16) }}{{ 15 | "
     "round(-1) }}{{ 25 | round(-1) }}{{ 1234.5 | round(-2) }}",
     "311000-5720201200.0"},
    {"{{ dict([('a', 1)]) }}{{ dict(d, **{'y': 2})['y'] }}{% macro m(a, b) %}{{ a }}{{ b }}{% "
     "endmacro %}{{ m(*[1, 2]) }}{{ m(b=1, *[3]) }}",
     "{'a': 1}21231"},
    {"{{ [1,2].index(2) }}{{ {'a':1}.copy() }}{{ {}[[1]] is defined }}{{ missing is callable }}{{ "
     "namespace(a=1) }}",
     "1{'a': 1}FalseTrue<Namespace {'a': 1}>"},
    {"{{ [{'a': missing}, {'b': 1}] | sort(attribute='a') | length }}{{ [[2,'b'],[1,'B'],[2,'A']] "
     "| sort(attribute='0,1') }}{{ ['a','A'] | unique(true) | list }}",
     "2[[1, 'B'], [2, 'A'], [2, 'b']]['a', 'A']"},
    {"{{ 'é\u2028\u200b\\x01' | string | list }}", "['é', '\\u2028', '\\u200b', '\\x01']"},
};

TEST(JinjaGolden, RendersAsPythonDoes) {
  const auto context = nlohmann::ordered_json::parse(kContext);
  Variables variables;
  for (const auto& [name, value] : context.items()) {
    variables.emplace_back(name, from_json(value));
  }
  for (const auto& [source, expected] : kGoldens) {
    EXPECT_EQ(Template("golden", source).render(variables), expected) << source;
  }
}

}  // namespace
}  // namespace evo::jinja
