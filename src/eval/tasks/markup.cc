#include "eval/tasks/markup.h"

#include "eval/data/python_text.h"

namespace evo::eval {
namespace {

/// re.sub("\\[.*?\\]", "", text): up to the next closing bracket in the same line.
std::string without_brackets(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '[') {
      const size_t end = text.find_first_of("]\n", at);
      if (end != std::string_view::npos && text[end] == ']') {
        at = end;
        continue;
      }
    }
    result += text[at];
  }
  return result;
}

}  // namespace

std::string without_markup(std::string_view text) {
  return replaced(without_brackets(replaced(strip(text), " [title]", ". ")), "  ", " ");
}

}  // namespace evo::eval
