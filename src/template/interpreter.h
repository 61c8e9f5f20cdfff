// Runs the syntax tree of a Jinja template.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "template/builtins/builtins.h"
#include "template/jinja.h"
#include "template/parse/syntax.h"

namespace evo::jinja {

/// One rendering. Scopes are Jinja's: a loop's body has its own, anew for every turn, and so has a
/// macro; an `if` has none.
class Interpreter {
 public:
  Interpreter(const Variables& variables, Budget budget) : budget_(budget) {
    top_.names = variables;
  }

  /// The text of the template. Throws Fault and Refusal.
  std::string run(const Block& block);

 private:
  enum class Flow { kOn, kBreak, kContinue };
  struct Loop;  // one that runs, and the turn it is in
  struct Scope {
    Variables names;
    Scope* outer = nullptr;
    Loop* loop = nullptr;  // whose turn it is
  };
  class Level;   // counts how deep expressions, statements and macros are inside of each other
  class Inside;  // a scope while it is the innermost one

  Flow execute(const Block& block);
  Flow execute_one(const Statement& statement);
  Flow execute_if(const Statement& statement);
  Flow execute_for(const Statement& statement);
  Flow run_loop(const Statement& statement, const Value& over, int depth);
  Flow turn(Loop& loop);
  Flow execute_set_block(const Statement& statement);
  Flow execute_filter_block(const Statement& statement);
  Flow execute_call_block(const Statement& statement);
  Flow execute_with(const Statement& statement);
  [[nodiscard]] Items chosen(const Statement& loop, const Value& over);
  [[nodiscard]] Value loop_value(const Loop& loop);
  [[nodiscard]] Loop* current_loop() const;
  [[nodiscard]] Value call_loop(const Arguments& given);
  [[nodiscard]] Value call_loop_method(Loop& loop, std::string_view name, const Arguments& given);
  /// The macro of a statement, with what it sees from here.
  [[nodiscard]] Value macro_value(const Statement& statement);
  /// The text of a block through the filters in `value`, if there are any.
  [[nodiscard]] Value filtered_text(const Statement& statement, Flow& flow);
  void assign(const Target& target, const Value& value);
  void set(const std::string& name, Value value);
  void print(const Value& value);
  /// What a block prints, apart from what is printed around it.
  [[nodiscard]] std::string capture(const Block& block, Flow& flow);

  [[nodiscard]] Value evaluate(const Expression& expression);
  [[nodiscard]] Value evaluate_kind(const Expression& expression);
  [[nodiscard]] Value evaluate_part(const ExpressionPtr& part);  ///< none if there is none
  [[nodiscard]] Items evaluate_all(const Expression& expression);
  [[nodiscard]] Value dict(const Expression& expression);
  [[nodiscard]] Value concatenation(const Expression& expression);
  [[nodiscard]] bool comparison(const Expression& expression);
  [[nodiscard]] Value condition(const Expression& expression);
  [[nodiscard]] Value slice(const Expression& expression);
  [[nodiscard]] Value call(const Expression& expression);
  /// `caller` is what a call block gives it; null: none.
  [[nodiscard]] Value call_macro(const CallableData& callee, const Arguments& arguments,
                                 const Value* caller);
  void bind_parameters(const Statement& macro, const Arguments& arguments);
  void bind_rest(const Statement& macro, const Arguments& arguments);
  [[nodiscard]] Arguments arguments(const Expression& expression);
  [[nodiscard]] Value lookup(const std::string& name);

  Budget budget_;
  Scope top_;
  Scope* scope_ = &top_;
  std::string out_;
  int level_ = 0;
};

}  // namespace evo::jinja
