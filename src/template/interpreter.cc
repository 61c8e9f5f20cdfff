#include "template/interpreter.h"

#include <algorithm>
#include <utility>

#include "template/interpreter_scopes.h"
#include "template/operators.h"
#include "template/parse/parser.h"
#include "template/print.h"

namespace evo::jinja {
namespace {

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
      set(statement.text, macro_value(statement));
      return Flow::kOn;
    case Statement::Kind::kCallBlock:
      return execute_call_block(statement);
    case Statement::Kind::kFilterBlock:
      return execute_filter_block(statement);
    case Statement::Kind::kWith:
      return execute_with(statement);
    case Statement::Kind::kBlock: {
      const Inside inside(*this, &top_);
      return execute(statement.body);
    }
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
Items Interpreter::chosen(const Statement& loop, const Value& over) {
  Items items = elements_of(budget_, over);
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
  return run_loop(statement, evaluate(*statement.value), 1);
}

Interpreter::Flow Interpreter::run_loop(const Statement& statement, const Value& over, int depth) {
  Loop loop{statement, chosen(statement, over), depth, scope_};
  if (loop.items.empty()) {
    const Inside inside(*this, scope_);
    return execute(statement.otherwise);
  }
  for (; loop.index < loop.items.size(); ++loop.index) {
    if (turn(loop) == Flow::kBreak) break;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::turn(Loop& loop) {
  const Inside inside(*this, scope_);
  if (loop.statement.uses_loop) {
    scope_->loop = &loop;
    set("loop", loop_value(loop));
  }
  assign(loop.statement.target, loop.items[loop.index]);
  return execute(loop.statement.body);
}

Value Interpreter::loop_value(const Loop& loop) {
  static const Value kKeys[] = {"index",  "index0",   "revindex", "revindex0", "first", "last",
                                "length", "previtem", "nextitem", "depth",     "depth0"};
  const auto at = static_cast<int64_t>(loop.index), count = std::ssize(loop.items);
  const bool first = at == 0, last = at + 1 == count;
  const Value values[] = {
      at + 1,
      at,
      count - at,
      count - at - 1,
      first,
      last,
      count,
      first ? Value::undefined("there is no previous item") : loop.items[loop.index - 1],
      last ? Value::undefined("there is no next item") : loop.items[loop.index + 1],
      int64_t{loop.depth},
      int64_t{loop.depth} - 1};
  budget_.spend_items(2 * std::size(values));
  std::vector<Entry> entries;
  for (size_t i = 0; i < std::size(values); ++i) entries.emplace_back(kKeys[i], values[i]);
  return Value::dict(std::move(entries));
}

Interpreter::Loop* Interpreter::current_loop() const {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->outer) {
    if (scope->loop != nullptr) return scope->loop;
  }
  return nullptr;
}

/// loop(items): the loop that this is a turn of, over other items; what it prints.
Value Interpreter::call_loop(const Arguments& given) {
  const Bound bound("loop", given, {"iterable"}, 1);
  const Loop* const loop = current_loop();
  if (loop == nullptr || !loop->statement.recursive) {
    fault("only a loop that says 'recursive' can be called");
  }
  const Inside inside(*this, loop->outer);
  std::string outside = std::exchange(out_, {});
  run_loop(loop->statement, *bound[0], loop->depth + 1);
  return std::exchange(out_, std::move(outside));
}

Value Interpreter::call_loop_method(Loop& loop, std::string_view name, const Arguments& given) {
  if (!given.named.empty()) fault("loop.{} takes no names for its arguments", name);
  const Items& items = given.positional;
  if (name == "cycle") {
    if (items.empty()) fault("loop.cycle: expected values to go round");
    return items[loop.index % items.size()];
  }
  const bool same =
      loop.last_seen && equal(budget_, Value::list(*loop.last_seen), Value::list(items));
  loop.last_seen = items;
  return !same;
}

Value Interpreter::filtered_text(const Statement& statement, Flow& flow) {
  const Inside inside(*this, scope_);
  Value text(capture(statement.body, flow));
  if (!statement.value) return text;
  set(kBlockText, std::move(text));
  return evaluate(*statement.value);
}

Interpreter::Flow Interpreter::execute_set_block(const Statement& statement) {
  Flow flow = Flow::kOn;
  assign(statement.target, filtered_text(statement, flow));
  return flow;
}

Interpreter::Flow Interpreter::execute_filter_block(const Statement& statement) {
  Flow flow = Flow::kOn;
  print(filtered_text(statement, flow));
  return flow;
}

Interpreter::Flow Interpreter::execute_with(const Statement& statement) {
  Items values;
  for (const Parameter& one : statement.parameters) values.push_back(evaluate(*one.fallback));
  const Inside inside(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) set(statement.parameters[i].name, values[i]);
  return execute(statement.body);
}

std::string Interpreter::capture(const Block& block, Flow& flow) {
  std::string outside = std::exchange(out_, {});
  flow = execute(block);
  return std::exchange(out_, std::move(outside));
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.attribute.empty()) {
    const Value owner = lookup(target.name);
    expect_defined(owner);
    if (!owner.is(Kind::kNamespace)) {
      fault("'{}' is a {}: only a namespace takes attributes", target.name, type_name(owner));
    }
    return owner.set_attribute(target.attribute, value);
  }
  if (!target.name.empty()) return set(target.name, value);
  const Items items = elements_of(budget_, value);
  if (items.size() != target.parts.size()) {
    fault("expected {} values to take apart, found {}", target.parts.size(), items.size());
  }
  for (size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i]);
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

}  // namespace evo::jinja
