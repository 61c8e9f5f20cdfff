// The syntax tree of a Jinja template.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "template/value.h"

namespace evo::jinja {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Block = std::vector<std::unique_ptr<Statement>>;

struct Expression {
  enum class Kind {
    kLiteral,    ///< literal
    kName,       ///< name
    kList,       ///< operands
    kTuple,      ///< operands
    kDict,       ///< key, value, key, value ...
    kNot,        ///< operand
    kNegate,     ///< operand
    kPlus,       ///< operand
    kAnd,        ///< two operands
    kOr,         ///< two operands
    kBinary,     ///< two operands, `name` is the operator
    kConcat,     ///< operands, joined as text
    kCompare,    ///< operands, `names` are the operators between them
    kCondition,  ///< then, condition, else; the last may be null
    kAttribute,  ///< operand.name
    kItem,       ///< operand[operand]
    kSlice,      ///< operand[begin:end:step], each of which may be null
    kCall,       ///< callee, then positional arguments; `named`. There "*" and "**" stand for
                 ///< a list and a dict of more arguments
    kFilter,     ///< input, then positional arguments; `name`, `named`
    kTest        ///< value, then positional arguments; `name`, `named`
  };
  Kind kind = Kind::kLiteral;
  size_t offset = 0;  ///< in the source
  std::string name;
  Value literal;
  std::vector<ExpressionPtr> operands;
  std::vector<std::string> names;
  std::vector<std::pair<std::string, ExpressionPtr>> named;  ///< arguments with keywords
  int depth = 1;
};

/// Where a value goes: a name, several targets (which take a list apart), or an attribute of a
/// namespace.
struct Target {
  std::string name;
  std::string attribute;      ///< of namespace `name`; empty: none
  std::vector<Target> parts;  ///< if it has no name
};

struct Branch {
  ExpressionPtr condition;  ///< null: else
  Block body;
};

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  ///< null: none
};

struct Statement {
  enum class Kind {
    kText,         ///< text
    kOutput,       ///< value
    kIf,           ///< branches
    kFor,          ///< target, value, condition or null, body, otherwise; recursive
    kSet,          ///< target, value
    kSetBlock,     ///< target, body; value: the filters over it, or null
    kMacro,        ///< text is its name; parameters, body; takes_*
    kCallBlock,    ///< value: a call; body and parameters: the macro that it gets as `caller`
    kFilterBlock,  ///< value: filters over the text of the body
    kWith,         ///< parameters: names and what they mean in the body
    kBlock,        ///< body
    kGeneration,   ///< body: what the assistant says
    kBreak,
    kContinue
  };
  Kind kind = Kind::kText;
  size_t offset = 0;
  std::string text;
  ExpressionPtr value, condition;
  Target target;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
  Block body, otherwise;
  bool uses_loop = false;  ///< a `for` in which `loop` occurs
  bool recursive = false;  ///< a `for` whose `loop` can be called
  /// Names that occur in a macro, by which it says that it takes them.
  bool takes_positional = false, takes_named = false, takes_caller = false;
};

}  // namespace evo::jinja
