// Faults of templates are named with their place, and hostile templates end soon.
#include "template/jinja.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/testing.h"
#include "template/json.h"

namespace evo::jinja {
namespace {

using evo::testing::expect_error;

std::string render(std::string_view source, const Variables& variables = {}) {
  return Template("test", source).render(variables);
}

TEST(Jinja, SyntaxErrorsSayWhereAndWhat) {
  const std::pair<const char*, std::vector<std::string_view>> cases[] = {
      {"a\n{{ 1 + }}", {"test, line 2, column 8", "expected an expression", "found '}}'"}},
      {"{% if x %}a", {"line 1, column 12", "{% endif %} after {% if %}", "end of the template"}},
      {"{% for x in y %}{% endif %}", {"column 20", "expected if, for, set", "'endif'"}},
      {"{% endfor %}", {"expected if, for, set", "found 'endfor'"}},
      {"{{ 'abc }}", {"column 4", "expected ' at the end of this string"}},
      {"{{ (1 }}", {"expected ')', found '}'"}},
      {"{{ 1", {"column 1", "expected '}}'"}},
      {"{# x", {"column 1", "expected '#}'"}},
      {"{% raw %} x", {"{% endraw %}"}},
      {"{{ a ? b }}", {"column 6", "no meaning"}},
      {"{{ 99999999999999999999 }}", {"64 bits"}},
      {"{% set 1 = 2 %}", {"name of a variable", "'1'"}},
      {"{% set none = 2 %}", {"name of a variable"}},
      {"{% break %}", {"'break' outside of a loop"}},
      {"{% for i in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
       {"outside of a loop"}},
      {"{% call m %}x{% endcall %}", {"expects the call of a macro"}},
      {"{% filter %}x{% endfilter %}", {"name of a filter"}},
      {"{% with a %}{% endwith %}", {"expected '='"}},
      {"{{ 1 is number is true }}", {"one test cannot follow another"}},
      {"{{ f(a=1, 2) }}", {"a name and '='"}},
      {"{{ x[] }}", {"an index"}},
      {"{{ x. }}", {"name of an attribute"}},
      {"{{ x | }}", {"name of a filter"}},
      {"{{ '\\ud800' }}", {"expected a character"}}};
  for (const auto& [source, parts] : cases) {
    SCOPED_TRACE(source);
    for (const std::string_view part : parts) {
      expect_error([&, text = source] { Template("test", text); }, {part});
    }
  }
}

TEST(Jinja, FaultsOfARunSayWhereAndWhat) {
  const std::pair<const char*, std::vector<std::string_view>> cases[] = {
      {"\n\n  {{ missing.name }}", {"line 3, column 14", "'missing' is undefined"}},
      {"é{{ 1 + 'a' }}", {"line 1, column 7", "'+' cannot be applied to int and str"}},
      {"{{ missing + 1 }}", {"'missing' is undefined"}},
      {"{{ {}.a.b }}", {"a dict has no 'a'"}},
      {"{{ [1][5].b }}", {"a list has no item 5"}},
      {"{{ missing() }}", {"'missing' is undefined"}},
      {"{{ 'a'.nope() }}", {"a str has no 'nope'"}},
      {"{{ 5() }}", {"a int cannot be called"}},
      {"{{ 1 | nope }}", {"there is no filter 'nope'"}},
      {"{{ 1 is nope }}", {"there is no test 'nope'"}},
      {"{{ 'a' | trim(1, 2) }}", {"trim takes at most 1"}},
      {"{{ 'a' | trim(char='b') }}", {"trim has no argument 'char'", "chars"}},
      {"{{ 'a'.replace('b') }}", {"replace needs the argument 'new'"}},
      {"{{ 'a'.replace(1, 'b') }}", {"replace expects a string as 'old', found int"}},
      {"{{ 1 // 0 }}", {"division by zero"}},
      {"{{ 1.0 % 0 }}", {"division by zero"}},
      {"{{ 9223372036854775807 + 1 }}", {"64 bits"}},
      {"{{ 10 ** 100 }}", {"64 bits"}},
      {"{{ '9223372036854775808' | int }}", {"64 bits"}},
      {"{{ (-9223372036854775807 - 1) | round(-1) }}", {"64 bits"}},
      {"{{ (l | map('string')) | length }}", {"generator has no length"}},
      {"{{ [[1] | map('string')] | tojson }}", {"JSON has no value for generator"}},
      {"{{ '%d' % 'x' }}", {"expected a number, found str"}},
      {"{{ '%s %s' % (1,) }}", {"wants more than the 1 values"}},
      {"{{ '%s' % (1, 2) }}", {"2 values are given, 1 used"}},
      {"{{ '{1}'.format(1) }}", {"no argument 1"}},
      {"{{ '{:d}'.format('a') }}", {"a str cannot be shown as 'd'"}},
      {"{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", {"no use of a caller"}},
      {"{% for x in [1] %}{{ loop([]) }}{% endfor %}", {"says 'recursive'"}},
      {"{{ (0 - 9223372036854775807 - 1) // -1 }}", {"64 bits"}},
      {"{{ 1 < 'a' }}", {"cannot be applied to int and str"}},
      {"{% for i in 5 %}{% endfor %}", {"something to go through, found int"}},
      {"{% set a, b = [1] %}", {"expected 2 values to take apart, found 1"}},
      {"{% set x = {} %}{% set x.a = 1 %}", {"only a namespace takes attributes"}},
      {"{{ [1] | tojson | nope }}", {"column 19"}},
      {"{{ missing | tojson }}", {"'missing' is undefined"}},
      {"{{ {[1]: 2} }}", {"a list cannot be a key"}},
      {"{{ [1, 2][::0] }}", {"step 0"}},
      {"{{ 'a'.split('') }}", {"separator is empty"}},
      {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", {"'m' takes at most 1"}},
      {"{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", {"does not take the argument 'b'"}}};
  for (const auto& [source, parts] : cases) {
    SCOPED_TRACE(source);
    for (const std::string_view part : parts) {
      expect_error([&, text = source] { render(text); }, {part});
    }
  }
}

TEST(Jinja, RaiseExceptionGivesTheTemplatesMessage) {
  expect_error([] { render("{{ raise_exception('roles must ' ~ 'alternate') }}"); },
               {"test refuses: roles must alternate"});
}

/// Every one would take hours, gigabytes or the whole stack.
TEST(Jinja, HostileTemplatesEndSoon) {
  const auto nested = [](size_t count, std::string_view open, std::string_view middle,
                         std::string_view close) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += open;
    text += middle;
    for (size_t i = 0; i < count; ++i) text += close;
    return text;
  };
  const std::string sources[] = {
      "{{ range(10 ** 9) | list | length }}",
      "{{ range(10 ** 18) }}",
      "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
      "{{ 'abc' * 10 ** 12 }}",
      "{{ [1] * 10 ** 10 }}",
      "{{ 'a' * 9223372036854775807 * 9 }}",
      "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}"
      "{% endfor %}",
      "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s.replace('a', "
      "ns.s) %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}"
      "{% endfor %}{{ ns.s }}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}"
      "{% endfor %}{{ ns.s == [ns.s] or ns.s | tojson }}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(9999) %}{% set ns.s = [ns.s] %}{% endfor "
      "%}",
      "{% set ns = namespace() %}{% set ns.self = [ns] %}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro m(n) %}{% for i in range(9) %}{{ m(n) if n else '' }}{% endfor %}{% endmacro %}"
      "{{ m(1) }}",
      "{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}",
      "{{ 'a' | indent(10 ** 11, true) }}",
      "{{ ('a\n' * 9999) | indent(99999) }}",
      "{{ [1] | tojson(indent=10 ** 11) }}",
      "{{ (['x' * 9999] * 999999) | join(',' * 9999) }}",
      "{{ ('ab' * 99999).strip('ba' * 99999) }}",
      "{% for i in range(99999) %}{{ '%999999s' % 1 }}{% endfor %}",
      "{{ '{:>99999999999}'.format(1) }}",
      "{{ 'a'.center(10 ** 15) }}",
      "{{ [1] | batch(10 ** 11, 0) | list }}",
      "{% for i in range(9999) %}{{ ('ß' * 999999) | title }}{% endfor %}",
      "{% for x in [1] recursive %}{{ loop([1, 1, 1]) }}{% endfor %}",
      "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{% call m() %}x"
      "{% endcall %}",
      "{% set ns = namespace(c=1) %}{% macro m() %}{% set ns.c = caller %}{% endmacro %}"
      "{% for i in range(999) %}{% set k = ns.c %}{% call m() %}{{ k }}{% endcall %}{% endfor %}",
      "{{ ('a' * 9999999).count('a' * 4999999 ~ 'b') ~ ('x' * 99999999) * 9 }}",
      "{{ " + nested(5000, "(", "1", ")") + " }}",
      "{{ " + nested(5000, "[", "1", "]") + " }}",
      "{{ " + nested(5000, "not ", "1", "") + " }}",
      "{{ " + nested(5000, "-", "1", "") + " }}",
      "{{ " + nested(5000, "f(", "1", ")") + " }}",
      "{{ 1 " + nested(5000, "+ 1 ", "", "") + " }}",
      "{{ 'a' " + nested(5000, "| trim ", "", "") + " }}",
      "{{ a" + nested(5000, ".b", "", "") + " }}",
      "{{ " + nested(5000, "a if b else ", "1", "") + " }}",
      nested(5000, "{% if 1 %}", "x", "{% endif %}"),
      std::string(2 << 20, 'x')};
  for (const std::string& source : sources) {
    SCOPED_TRACE(source.substr(0, 100));
    expect_error([&] { render(source); }, {"test"});
  }
}

TEST(Jinja, LimitsAreThoseOfTheCaller) {
  const Template loop("test", "{% for i in range(100) %}x{% endfor %}");
  EXPECT_EQ(loop.render({}).size(), 100);
  expect_error([&] { (void)loop.render({}, {.steps = 150}); }, {"more than 150 steps"});
  expect_error([&] { (void)loop.render({}, {.bytes = 1000}); }, {"more than 1000 bytes"});
}

TEST(Jinja, LongTextsAreCheap) {
  const std::string text(4 << 20, 'x');
  EXPECT_EQ(render("{% for m in l %}{{ m.strip() + '\\n' }}{% endfor %}",
                   {{"l", Value::list({Value(text), Value(text)})}})
                .size(),
            2 * text.size() + 2);
}

TEST(Jinja, TextNeedNotBeUtf8) {
  const std::string bytes = "a\xFF\xC3(\xED\xA0\x80 ";
  EXPECT_EQ(render("{{ s }}", {{"s", Value(bytes)}}), bytes);
  EXPECT_EQ(render("{{ s.strip() }}|{{ s | length }}|{{ s[1] }}", {{"s", Value(bytes)}}),
            bytes.substr(0, bytes.size() - 1) + "|8|\xFF");
}

TEST(Jinja, MacrosAndNamesakesOfMethods) {
  // A dict's entry is reached by [] even if a method has its name, as in Python.
  EXPECT_EQ(render("{{ {'items': 1}['items'] }} {{ {'items': 1} | map(attribute='x') | list }}"),
            "1 [Undefined]");
  EXPECT_EQ(render("{% macro endless(n) %}{{ n }}{{ endless(n - 1) if n }}{% endmacro %}"
                   "{{ endless(20) }}")
                .size(),
            32);  // 20 down to 0: 11 numbers of two digits and 10 of one
}

TEST(Jinja, StrftimeNow) {
  EXPECT_EQ(render("{{ strftime_now('%Y') | length }}"), "4");
  expect_error([] { render("{{ strftime_now('%Y' * 999) }}"); }, {"strftime_now"});
}

TEST(Jinja, JsonKeepsTypesAndOrder) {
  const auto json = nlohmann::ordered_json::parse(
      R"({"z": 1, "a": [true, null, 1.0, 18446744073709551615], "b": "x"})");
  EXPECT_EQ(render("{{ v | tojson }}", {{"v", from_json(json)}}),
            R"({"z": 1, "a": [true, null, 1.0, 1.8446744073709552e+19], "b": "x"})");
}

}  // namespace
}  // namespace evo::jinja
