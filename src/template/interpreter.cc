#include "template/interpreter.h"

#include <algorithm>
#include <utility>

#include "template/operators.h"
#include "template/parser.h"
#include "template/print.h"

namespace evo::jinja {
namespace {

// Far above what templates need, far below what the stack of a thread holds.
constexpr int kMaxLevel = 400;

/// Calls fn(); a Fault that does not know its place yet is one of `offset`.
template <class Fn>
auto located(size_t offset, const Fn& fn) {
  try {
    return fn();
  } catch (Fault& fault) {
    if (fault.offset == kNoOffset) fault.offset = offset;
    throw;
  }
}

}  // namespace

class Interpreter::Level {
 public:
  explicit Level(Interpreter& interpreter) : level_(interpreter.level_) {
    if (level_ >= kMaxLevel) fault("macros or expressions inside of each other too deep");
    ++level_;
  }
  ~Level() { --level_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  int& level_;
};

class Interpreter::Inside {
 public:
  Inside(Interpreter& interpreter, const Scope* outer) : place_(interpreter.scope_) {
    scope_.outer = outer;
    before_ = std::exchange(place_, &scope_);
  }
  ~Inside() { place_ = before_; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Scope scope_;
  Scope*& place_;
  Scope* before_;
};

std::string Interpreter::run(const Block& block) {
  execute(block);
  return std::move(out_);
}

Interpreter::Flow Interpreter::execute(const Block& block) {
  const Level level(*this);
  for (const auto& statement : block) {
    budget_.spend_steps(1);
    const Flow flow = located(statement->offset, [&] { return execute_one(*statement); });
    if (flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::execute_one(const Statement& statement) {
  switch (statement.kind) {
    case Statement::Kind::kText:
      budget_.spend_bytes(statement.text.size());
      out_ += statement.text;
      return Flow::kOn;
    case Statement::Kind::kOutput:
      print(evaluate(*statement.value));
      return Flow::kOn;
    case Statement::Kind::kIf:
      return execute_if(statement);
    case Statement::Kind::kFor:
      return execute_for(statement);
    case Statement::Kind::kSet:
      assign(statement.target, evaluate(*statement.value));
      return Flow::kOn;
    case Statement::Kind::kSetBlock:
      return execute_set_block(statement);
    case Statement::Kind::kMacro:
      define_macro(statement);
      return Flow::kOn;
    case Statement::Kind::kGeneration:
      return execute(statement.body);
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      return Flow::kContinue;
  }
  check_failed("a statement", __FILE__, __LINE__);
}

Interpreter::Flow Interpreter::execute_if(const Statement& statement) {
  for (const Branch& branch : statement.branches) {
    const bool taken = !branch.condition || evaluate(*branch.condition).truthy();
    if (taken) return execute(branch.body);
  }
  return Flow::kOn;
}

/// The items that a loop runs through, those left out that its `if` does not want.
Items Interpreter::chosen(const Statement& loop) {
  Items items = elements_of(budget_, evaluate(*loop.value));
  if (!loop.condition) return items;
  Items kept;
  for (Value& item : items) {
    const Inside inside(*this, scope_);
    assign(loop.target, item);
    if (evaluate(*loop.condition).truthy()) kept.push_back(std::move(item));
  }
  return kept;
}

Interpreter::Flow Interpreter::execute_for(const Statement& statement) {
  const Items items = chosen(statement);
  if (items.empty()) {
    const Inside inside(*this, scope_);
    return execute(statement.otherwise);
  }
  for (size_t i = 0; i < items.size(); ++i) {
    if (turn(statement, items, i) == Flow::kBreak) break;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::turn(const Statement& statement, const Items& items, size_t index) {
  const Inside inside(*this, scope_);
  if (statement.uses_loop) set("loop", loop_value(items, index));
  assign(statement.target, items[index]);
  return execute(statement.body);
}

Value Interpreter::loop_value(const Items& items, size_t index) {
  static const Value kKeys[] = {"index", "index0", "revindex", "revindex0", "first",
                                "last",  "length", "previtem", "nextitem"};
  const auto at = static_cast<int64_t>(index), count = std::ssize(items);
  const bool first = at == 0, last = at + 1 == count;
  const Value values[] = {at + 1,
                          at,
                          count - at,
                          count - at - 1,
                          first,
                          last,
                          count,
                          first ? Value::undefined("there is no previous item") : items[index - 1],
                          last ? Value::undefined("there is no next item") : items[index + 1]};
  budget_.spend_items(2 * std::size(values));
  std::vector<Entry> entries;
  for (size_t i = 0; i < std::size(values); ++i) entries.emplace_back(kKeys[i], values[i]);
  return Value::dict(std::move(entries));
}

Interpreter::Flow Interpreter::execute_set_block(const Statement& statement) {
  Flow flow = Flow::kOn;
  Value text;
  {
    const Inside inside(*this, scope_);
    text = Value(capture(statement.body, flow));
    if (statement.value) {
      set(kBlockText, std::move(text));
      text = evaluate(*statement.value);
    }
  }
  assign(statement.target, text);
  return flow;
}

std::string Interpreter::capture(const Block& block, Flow& flow) {
  std::string outside = std::exchange(out_, {});
  flow = execute(block);
  return std::exchange(out_, std::move(outside));
}

void Interpreter::define_macro(const Statement& statement) {
  set(statement.text, Value::callable({.name = statement.text, .macro = &statement}));
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.attribute.empty()) {
    const Value owner = lookup(target.names[0]);
    expect_defined(owner);
    if (!owner.is(Kind::kNamespace)) {
      fault("'{}' is a {}: only a namespace takes attributes", target.names[0], type_name(owner));
    }
    return owner.set_attribute(target.attribute, value);
  }
  if (!target.unpacks) return set(target.names[0], value);
  const Items items = elements_of(budget_, value);
  if (items.size() != target.names.size()) {
    fault("expected {} values for {}, found {}", target.names.size(), fmt::join(target.names, ", "),
          items.size());
  }
  for (size_t i = 0; i < items.size(); ++i) set(target.names[i], items[i]);
}

void Interpreter::set(const std::string& name, Value value) {
  for (auto& [known, old] : scope_->names) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  scope_->names.emplace_back(name, std::move(value));
}

void Interpreter::print(const Value& value) {
  if (value.is(Kind::kString)) {  // without a copy
    budget_.spend_bytes(value.text().size());
    out_ += value.text();
  } else {
    out_ += to_text(budget_, value);
  }
}

Value Interpreter::lookup(const std::string& name) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->outer) {
    for (const auto& [known, value] : scope->names) {
      if (known == name) return value;
    }
  }
  if (const Function function = find_function(name)) {
    return Value::callable({.name = name, .function = function});
  }
  return Value::undefined(fmt::format("'{}' is undefined", name));
}

Value Interpreter::evaluate(const Expression& expression) {
  const Level level(*this);
  budget_.spend_steps(1);
  return located(expression.offset, [&] { return evaluate_kind(expression); });
}

Value Interpreter::evaluate_kind(const Expression& expression) {
  using enum Expression::Kind;
  const auto operand = [&](size_t i) { return evaluate(*expression.operands[i]); };
  switch (expression.kind) {
    case kLiteral:
      return expression.literal;
    case kName:
      return lookup(expression.name);
    case kList:
      return budget_.list(evaluate_all(expression));
    case kTuple:
      return Value::tuple(evaluate_all(expression));
    case kDict:
      return dict(expression);
    case kNot:
      return !operand(0).truthy();
    case kNegate:
      return negate(operand(0));
    case kPlus:
      return apply_binary(budget_, "+", Value(int64_t{0}), operand(0));
    case kAnd: {
      const Value left = operand(0);
      return left.truthy() ? operand(1) : left;
    }
    case kOr: {
      const Value left = operand(0);
      return left.truthy() ? left : operand(1);
    }
    case kBinary: {
      const Value left = operand(0);
      return apply_binary(budget_, expression.name, left, operand(1));
    }
    case kConcat:
      return concatenation(expression);
    case kCompare:
      return comparison(expression);
    case kCondition:
      return condition(expression);
    case kAttribute:
      return attribute_of(budget_, operand(0), expression.name);
    case kItem: {
      const Value container = operand(0);
      return item_of(budget_, container, operand(1));
    }
    case kSlice:
      return slice(expression);
    case kCall:
      return call(expression);
    case kFilter: {
      const Value input = operand(0);
      return apply_filter(budget_, expression.name, input, arguments(expression));
    }
    case kTest: {
      const Value value = operand(0);
      return apply_test(budget_, expression.name, value, arguments(expression));
    }
  }
  check_failed("an expression", __FILE__, __LINE__);
}

Items Interpreter::evaluate_all(const Expression& expression) {
  Items items;
  for (const ExpressionPtr& operand : expression.operands) items.push_back(evaluate(*operand));
  return items;
}

Value Interpreter::evaluate_part(const ExpressionPtr& part) {
  return part ? evaluate(*part) : Value();
}

Value Interpreter::dict(const Expression& expression) {
  const Items items = evaluate_all(expression);
  std::vector<Entry> entries;
  for (size_t i = 0; i + 1 < items.size(); i += 2) entries.emplace_back(items[i], items[i + 1]);
  return make_dict(budget_, std::move(entries));
}

Value Interpreter::concatenation(const Expression& expression) {
  return join_texts(budget_, evaluate_all(expression), "", false);
}

bool Interpreter::comparison(const Expression& expression) {
  Value left = evaluate(*expression.operands[0]);
  for (size_t i = 0; i < expression.names.size(); ++i) {
    Value right = evaluate(*expression.operands[i + 1]);
    if (!holds(budget_, expression.names[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::condition(const Expression& expression) {
  const auto& parts = expression.operands;
  if (evaluate(*parts[1]).truthy()) return evaluate(*parts[0]);
  if (parts[2]) return evaluate(*parts[2]);
  return Value::undefined("the inline if is false and has no else");
}

Value Interpreter::slice(const Expression& expression) {
  const auto& parts = expression.operands;
  const Value container = evaluate(*parts[0]);
  const Value begin = evaluate_part(parts[1]), end = evaluate_part(parts[2]);
  return slice_of(budget_, container, begin, end, evaluate_part(parts[3]));
}

/// All operands but the first are positional arguments.
Arguments Interpreter::arguments(const Expression& expression) {
  Arguments result;
  for (size_t i = 1; i < expression.operands.size(); ++i) {
    result.positional.push_back(evaluate(*expression.operands[i]));
  }
  for (const auto& [name, value] : expression.named) {
    result.named.emplace_back(name, evaluate(*value));
  }
  return result;
}

Value Interpreter::call(const Expression& expression) {
  const Value callee = evaluate(*expression.operands[0]);
  expect_defined(callee);
  if (!callee.is(Kind::kCallable)) fault("a {} cannot be called", type_name(callee));
  const Arguments given = arguments(expression);
  const CallableData& target = callee.callable();
  if (target.macro) return call_macro(*target.macro, given);
  if (target.function) return target.function(budget_, given);
  return call_method(budget_, target.receiver, target.name, given);
}

Value Interpreter::call_macro(const Statement& macro, const Arguments& given) {
  if (given.positional.size() > macro.parameters.size()) {
    fault("the macro '{}' takes at most {} arguments, found {}", macro.text,
          macro.parameters.size(), given.positional.size());
  }
  const Inside inside(*this, &top_);
  for (size_t i = 0; i < given.positional.size(); ++i) {
    set(macro.parameters[i].name, given.positional[i]);
  }
  for (const auto& [name, value] : given.named) {
    const auto same = [&name = name](const Parameter& parameter) { return parameter.name == name; };
    const auto found = std::ranges::find_if(macro.parameters, same);
    const bool taken = found - macro.parameters.begin() < std::ssize(given.positional);
    if (found == macro.parameters.end() || taken) {
      fault("the macro '{}' does not take the argument '{}'{}", macro.text, name,
            taken ? " twice" : "");
    }
    set(name, value);
  }
  for (const Parameter& parameter : macro.parameters) {
    const auto known = [&](const auto& one) { return one.first == parameter.name; };
    if (std::ranges::any_of(scope_->names, known)) continue;
    set(parameter.name,
        parameter.fallback
            ? evaluate(*parameter.fallback)
            : Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name)));
  }
  Flow flow = Flow::kOn;
  return capture(macro.body, flow);
}

}  // namespace evo::jinja
