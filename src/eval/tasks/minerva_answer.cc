// Python's regular expressions of the harness are quoted where they are followed. In all of them a
// `.` is any character but a line break, so that they work line by line.
#include "eval/tasks/minerva_answer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "eval/data/python_text.h"
#include "eval/tasks/parts.h"
#include "text/utf8.h"

namespace evo::eval {
namespace {

/// Length of the character at `at`; a byte that begins none counts as one.
size_t character_length(std::string_view text, size_t at) {
  return std::max<size_t>(1, text::utf8_character_length(text.substr(at)));
}

size_t line_end(std::string_view text, size_t at) {
  return std::min(text.find('\n', at), text.size());
}

/// The part of `text` from `begin` on that ends with the brace that closes the first one.
std::optional<std::string_view> braced(std::string_view text, size_t begin) {
  int64_t open = 0;
  for (size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '{') ++open;
    if (text[i] == '}' && --open == 0) return text.substr(begin, i + 1 - begin);
  }
  return std::nullopt;
}

/// `(.*?)(\$)(.*?)(\$)(.*)` -> `$\3$`: of a line with two dollar signs, what they enclose.
std::string without_prose(std::string_view text) {
  std::string result;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = line_end(text, at);
    const std::string_view line = text.substr(at, end - at);
    const size_t first = line.find('$');
    const size_t second = first == std::string_view::npos ? first : line.find('$', first + 1);
    result += second == std::string_view::npos ? line : line.substr(first, second + 1 - first);
    if (end < text.size()) result += '\n';
    at = end + 1;
  }
  return result;
}

/// `(\\name\{)(.*?)(\})` -> `\2`, or, if `greedy`, with `(.*)`: the braces' content in their place.
std::string unwrapped(std::string_view text, std::string_view command, bool greedy = false) {
  std::string result;
  size_t at = 0;
  for (size_t found; (found = text.find(command, at)) != std::string_view::npos;) {
    const size_t begin = found + command.size();
    const std::string_view rest = text.substr(begin, line_end(text, begin) - begin);
    const size_t brace = greedy ? rest.rfind('}') : rest.find('}');
    if (brace == std::string_view::npos) {
      result += text.substr(at, begin - at);
      at = begin;
    } else {
      result += text.substr(at, found - at);
      result += rest.substr(0, brace);
      at = begin + brace + 1;
    }
  }
  return result += text.substr(at);
}

/// `(frac)([^{])(.)` -> `frac{\2}{\3}`: \frac12 becomes \frac{1}{2}.
std::string with_braced_fractions(std::string_view text) {
  constexpr std::string_view kName = "frac";
  std::string result;
  size_t at = 0;
  for (size_t found; (found = text.find(kName, at)) != std::string_view::npos;) {
    const size_t upper = found + kName.size();
    result += text.substr(at, upper - at);
    at = upper;
    if (upper >= text.size() || text[upper] == '{') continue;
    const size_t lower = upper + character_length(text, upper);
    if (lower >= text.size() || text[lower] == '\n') continue;
    at = lower + character_length(text, lower);
    result += '{';
    result += text.substr(upper, lower - upper);
    result += "}{";
    result += text.substr(lower, at - lower);
    result += '}';
  }
  return result += text.substr(at);
}

/// `(sqrt)([^{])` -> `sqrt{\2}`.
std::string with_braced_roots(std::string_view text) {
  constexpr std::string_view kName = "sqrt";
  std::string result;
  size_t at = 0;
  for (size_t found; (found = text.find(kName, at)) != std::string_view::npos;) {
    const size_t radicand = found + kName.size();
    result += text.substr(at, radicand - at);
    at = radicand;
    if (radicand >= text.size() || text[radicand] == '{') continue;
    at = radicand + character_length(text, radicand);
    result += '{';
    result += text.substr(radicand, at - radicand);
    result += '}';
  }
  return result += text.substr(at);
}

// SUBSTITUTIONS and REMOVED_EXPRESSIONS of the harness; their order matters.
using Substitution = std::pair<std::string_view, std::string_view>;
constexpr std::array<Substitution, 10> kSubstitutions = {{{"an ", ""},
                                                          {"a ", ""},
                                                          {".$", "$"},
                                                          {"\\$", ""},
                                                          {"\\ ", ""},
                                                          {" ", ""},
                                                          {"mbox", "text"},
                                                          {",\\text{and}", ","},
                                                          {"\\text{and}", ","},
                                                          {"\\text{m}", "\\text{}"}}};
constexpr std::array<std::string_view, 42> kRemoved = {"square",       "ways",
                                                       "integers",     "dollars",
                                                       "mph",          "inches",
                                                       "ft",           "hours",
                                                       "km",           "units",
                                                       "\\ldots",      "sue",
                                                       "points",       "feet",
                                                       "minutes",      "digits",
                                                       "cents",        "degrees",
                                                       "cm",           "gm",
                                                       "pounds",       "meters",
                                                       "meals",        "edges",
                                                       "students",     "childrentickets",
                                                       "multiples",    "\\text{s}",
                                                       "\\text{.}",    "\\text{\ns}",
                                                       "\\text{}^2",   "\\text{}^3",
                                                       "\\text{\n}",   "\\text{}",
                                                       "\\mathrm{th}", "^\\circ",
                                                       "^{\\circ}",    "\\;",
                                                       ",\\!",         "{,}",
                                                       "\"",           "\\dots"};

std::string substituted(std::string_view answer) {
  std::string text(answer);
  for (const auto& [before, after] : kSubstitutions) text = replaced(text, before, after);
  for (const std::string_view expression : kRemoved) text = replaced(text, expression, "");
  return text;
}

}  // namespace

std::optional<std::string> boxed_answer(std::string_view solution) {
  constexpr std::string_view kSpaced = "\\boxed ", kBraced = "\\boxed{";
  if (const size_t at = solution.rfind(kSpaced); at != std::string_view::npos) {
    const std::string_view answer = solution.substr(at + kSpaced.size());
    return std::string(answer.substr(0, answer.find('$')));
  }
  const size_t at = solution.rfind(kBraced.substr(0, kBraced.size() - 1));
  if (at == std::string_view::npos) return std::nullopt;
  const std::optional<std::string_view> box = braced(solution, at);
  if (!box || !box->starts_with(kBraced)) return std::nullopt;
  return std::string(box->substr(kBraced.size(), box->size() - kBraced.size() - 1));
}

std::string stated_answer(std::string_view generated) {
  // `Final Answer: The final answer is(.*?). I hope it is correct.`, whose dots are any character.
  constexpr std::string_view kBegin = "Final Answer: The final answer is";
  constexpr std::string_view kEnd = " I hope it is correct";
  const std::string text = std::string(generated) + "I hope it is correct.";
  for (size_t at = text.find(kBegin); at != std::string::npos; at = text.find(kBegin, at + 1)) {
    const size_t begin = at + kBegin.size();
    const std::string_view line =
        std::string_view(text).substr(begin, line_end(text, begin) - begin);
    // The dots ask for one character before kEnd and one behind it.
    const size_t end = line.find(kEnd, line.empty() ? 0 : character_length(line, 0));
    if (end == std::string_view::npos || end + kEnd.size() >= line.size()) continue;
    return std::string(strip(without_last_character(line.substr(0, end))));
  }
  return "[invalidanswer]";
}

std::string normal_answer(std::string_view answer) {
  const size_t equals = answer.rfind('=');
  std::string text =
      substituted(equals == std::string_view::npos ? answer : answer.substr(equals + 1));
  text = without_prose(text);
  for (const std::string_view command : {"\\text{", "\\textbf{", "\\overline{"}) {
    text = unwrapped(text, command);
  }
  text = unwrapped(text, "\\boxed{", true);
  text = replaced(with_braced_roots(with_braced_fractions(text)), "$", "");
  const std::string number = replaced(text, ",", "");
  const bool whole = !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
  return whole ? number : text;
}

}  // namespace evo::eval
