// Jinja templates, as far as chat templates of published models use them.
//
// Statements: if, for (else, `if`, recursive, break, continue, loop.*), set (blocks and attributes
// of namespaces too), macro, call, filter, with, block, raw, generation. All expressions of Jinja.
// The filters, tests, methods and functions are listed in the files of builtins/; of Jinja's own,
// filesizeformat, pprint, striptags, urlize, wordwrap, xmlattr, cycler, joiner and lipsum are not
// there. White space is as transformers sets it (trim_blocks and lstrip_blocks). Differences: whole
// numbers have 64 bits; a generator is printed without its place in memory, and what it may fail
// of is found when it is made.
//
// A template comes with a model from somewhere and may be hostile: it can loop for ever, ask for a
// range of 10^9 numbers, or nest itself. It ends in an Error within bounded time, memory and stack.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "template/value.h"

namespace evo::jinja {

using Variables = std::vector<std::pair<std::string, Value>>;

/// Of one rendering.
struct Limits {
  int64_t steps = 5'000'000;           ///< evaluations, list items and 64-byte pieces of text
  int64_t bytes = int64_t{256} << 20;  ///< of all texts and lists that are made, output included
};

/// Published templates have up to 20 KB.
inline constexpr size_t kMaxTemplateBytes = size_t{1} << 20;

/// Immutable, and cheap to copy. May be rendered by any number of threads at the same time.
class Template {
 public:
  /// `name` is what errors call it. Throws Error with line and column if the source has a fault.
  Template(std::string name, std::string_view source);

  /// Throws Error with line and column if the template fails or costs too much, and with the
  /// template's own message if it calls raise_exception().
  [[nodiscard]] std::string render(const Variables& variables, const Limits& limits = {}) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace evo::jinja
