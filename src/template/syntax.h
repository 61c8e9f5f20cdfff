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
    kCall,       ///< callee, then positional arguments; `named`
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

/// Where a value goes: one name, several (which take a list apart), or an attribute of a namespace.
struct Target {
  std::vector<std::string> names;
  bool unpacks = false;
  std::string attribute;  ///< of namespace names[0]; empty: none
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
    kText,        ///< text
    kOutput,      ///< value
    kIf,          ///< branches
    kFor,         ///< target, value, condition or null, body, otherwise
    kSet,         ///< target, value
    kSetBlock,    ///< target, body; value: the filters over it, or null
    kMacro,       ///< text is its name; parameters, body
    kGeneration,  ///< body: what the assistant says
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
};

}  // namespace evo::jinja
