#include "template/jinja.h"

#include <algorithm>

#include "template/interpreter.h"
#include "template/parse/lexer.h"
#include "template/parse/parser.h"
#include "template/text.h"

namespace evo::jinja {

struct Template::State {
  std::string name, source;
  Block block;

  /// A Fault as people read it.
  [[noreturn]] void fail_with(const Fault& fault) const {
    if (fault.offset == kNoOffset) fail("{}: {}", name, fault.message);
    const std::string_view before = std::string_view(source).substr(0, fault.offset);
    const size_t line_begin = before.rfind('\n') + 1;  // 0 if there is none
    fail("{}, line {}, column {}: {}", name, 1 + std::ranges::count(before, '\n'),
         1 + count_characters(before.substr(line_begin)), fault.message);
  }
};

Template::Template(std::string name, std::string_view source) {
  auto state = std::make_shared<State>();
  state->name = std::move(name);
  if (source.size() > kMaxTemplateBytes) {
    fail("{}: expected a template of at most {} bytes, found {}", state->name, kMaxTemplateBytes,
         source.size());
  }
  state->source = normalize_source(source);
  try {
    state->block = parse(state->source);
  } catch (const Fault& fault) {
    state->fail_with(fault);
  }
  state_ = std::move(state);
}

std::string Template::render(const Variables& variables, const Limits& limits) const {
  try {
    return Interpreter(variables, Budget(limits.steps, limits.bytes)).run(state_->block);
  } catch (const Fault& fault) {
    state_->fail_with(fault);
  } catch (const Refusal& refusal) {
    fail("{} refuses: {}", state_->name, refusal.message);
  }
}

}  // namespace evo::jinja
