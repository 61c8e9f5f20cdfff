// Parts of the interpreter that more than one of its files uses.
#pragma once

#include <optional>
#include <utility>

#include "template/interpreter.h"

namespace evo::jinja {

// Far above what templates need, far below what the stack of a thread holds.
inline constexpr int kMaxLevel = 400;

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

struct Interpreter::Loop {
  const Statement& statement;
  Items items;
  int depth;     // of loops that are calls of themselves: 1 for the outermost
  Scope* outer;  // where it stands
  size_t index = 0;
  std::optional<Items> last_seen = {};  // by loop.changed()
};

class Interpreter::Inside {
 public:
  Inside(Interpreter& interpreter, Scope* outer) : place_(interpreter.scope_) {
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

}  // namespace evo::jinja
