// Macros, what they see and how they get their arguments; all other calls.
#include <algorithm>
#include <iterator>

#include "template/interpreter_scopes.h"
#include "template/operators.h"

namespace evo::jinja {

Interpreter::Flow Interpreter::execute_call_block(const Statement& statement) {
  const Value callee = evaluate(*statement.value->operands[0]);
  expect_defined(callee);
  if (!callee.is(Kind::kCallable) || !callee.callable().macro) {
    fault("{{% call %}} expects a macro, found {}", type_name(callee));
  }
  const Arguments given = arguments(*statement.value);
  const Value caller = macro_value(statement);
  print(call_macro(callee.callable(), given, &caller));
  return Flow::kOn;
}

/// At the top it sees what is there when it is called; elsewhere, what is there now.
Value Interpreter::macro_value(const Statement& statement) {
  CallableData data{.name = statement.text, .macro = &statement};
  if (scope_ == &top_) return Value::callable(std::move(data));
  auto seen = std::make_shared<Closure>();
  for (const Scope* scope = scope_; scope != &top_ && scope != nullptr; scope = scope->outer) {
    budget_.spend_items(2 * scope->names.size());
    seen->insert(seen->end(), scope->names.begin(), scope->names.end());  // the innermost first
  }
  data.closure = std::move(seen);
  return Value::callable(std::move(data));
}

/// All operands but the first are positional arguments.
Arguments Interpreter::arguments(const Expression& expression) {
  Arguments result;
  for (size_t i = 1; i < expression.operands.size(); ++i) {
    result.positional.push_back(evaluate(*expression.operands[i]));
  }
  for (const auto& [name, value] : expression.named) {
    Value given = evaluate(*value);
    if (name == "*") {
      std::ranges::move(elements_of(budget_, given), std::back_inserter(result.positional));
    } else if (name != "**") {
      result.named.emplace_back(name, std::move(given));
    } else {
      if (!given.is(Kind::kDict)) fault("** expects a dict, found {}", type_name(given));
      budget_.spend_items(2 * given.entries().size());
      for (const auto& [key, entry] : given.entries()) {
        if (!key.is(Kind::kString)) fault("** expects names, found {}", type_name(key));
        result.named.emplace_back(key.text(), entry);
      }
    }
  }
  return result;
}

Value Interpreter::call(const Expression& expression) {
  const Expression& named = *expression.operands[0];
  const auto is_loop = [](const Expression& one) {
    return one.kind == Expression::Kind::kName && one.name == "loop";
  };
  Loop* const loop = current_loop();
  if (loop != nullptr && is_loop(named)) return call_loop(arguments(expression));
  const bool of_loop = loop != nullptr && named.kind == Expression::Kind::kAttribute &&
                       (named.name == "cycle" || named.name == "changed") &&
                       is_loop(*named.operands[0]);
  if (of_loop) return call_loop_method(*loop, named.name, arguments(expression));
  const Value callee = evaluate(named);
  expect_defined(callee);
  if (!callee.is(Kind::kCallable)) fault("a {} cannot be called", type_name(callee));
  const Arguments given = arguments(expression);
  const CallableData& target = callee.callable();
  if (target.macro) return call_macro(target, given, nullptr);
  if (target.function) return target.function(budget_, given);
  return call_method(budget_, target.receiver, target.name, given);
}

Value Interpreter::call_macro(const CallableData& callee, const Arguments& given,
                              const Value* caller) {
  const Statement& macro = *callee.macro;
  if (caller && !macro.takes_caller) fault("the macro '{}' makes no use of a caller", macro.text);
  const Inside around(*this, &top_);
  if (callee.closure) {
    scope_->names = *callee.closure;
    if (macro.kind == Statement::Kind::kMacro) set(macro.text, Value::callable(callee));
  }
  const Inside inside(*this, scope_);
  bind_parameters(macro, given);
  bind_rest(macro, given);
  if (caller) set("caller", *caller);
  Flow flow = Flow::kOn;
  return capture(macro.body, flow);
}

void Interpreter::bind_parameters(const Statement& macro, const Arguments& given) {
  const size_t count = std::min(given.positional.size(), macro.parameters.size());
  for (size_t i = 0; i < count; ++i) set(macro.parameters[i].name, given.positional[i]);
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    const auto found =
        std::ranges::find(given.named, parameter.name, &std::pair<std::string, Value>::first);
    if (found != given.named.end()) {
      if (i < count) fault("the macro '{}' was given '{}' twice", macro.text, parameter.name);
      set(parameter.name, found->second);
    } else if (i >= count) {
      set(parameter.name,
          parameter.fallback
              ? evaluate(*parameter.fallback)
              : Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name)));
    }
  }
}

/// What is given beyond the parameters.
void Interpreter::bind_rest(const Statement& macro, const Arguments& given) {
  const size_t most = macro.parameters.size();
  Items more;
  if (given.positional.size() > most) {
    more.assign(given.positional.begin() + static_cast<std::ptrdiff_t>(most),
                given.positional.end());
  }
  if (!more.empty() && !macro.takes_positional) {
    fault("the macro '{}' takes at most {} arguments, found {}", macro.text, most,
          given.positional.size());
  }
  std::vector<Entry> named;
  for (const auto& [name, value] : given.named) {
    const auto same = [&name = name](const Parameter& parameter) { return parameter.name == name; };
    if (std::ranges::any_of(macro.parameters, same)) continue;
    if (!macro.takes_named) {
      fault("the macro '{}' does not take the argument '{}'", macro.text, name);
    }
    named.emplace_back(Value(name), value);
  }
  if (macro.takes_positional) set("varargs", Value::tuple(std::move(more)));
  if (macro.takes_named) set("kwargs", make_dict(budget_, std::move(named)));
}

}  // namespace evo::jinja
