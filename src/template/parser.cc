#include "template/parser.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "template/budget.h"
#include "template/expression_parser.h"

namespace evo::jinja {
namespace {

using Type = Token::Type;
using StatementPtr = std::unique_ptr<Statement>;

class Parser {
 public:
  explicit Parser(const std::vector<Token>& tokens) : in_(tokens) {}

  Block run() { return body({}, ""); }

 private:
  using Kind = Statement::Kind;

  static StatementPtr make(Kind kind, size_t offset) {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->offset = offset;
    return statement;
  }

  /// Statements up to a tag of one of these names, whose name is the next token then; up to the end
  /// of the template if there are none. `opener` names the tag that is open.
  Block body(std::initializer_list<std::string_view> ends, std::string_view opener) {
    const ExpressionParser::Nesting nesting(in_);
    Block block;
    for (;;) {
      if (in_.next_is(Type::kEnd)) {
        if (ends.size() == 0) return block;
        in_.fail_expected(fmt::format("{{% {} %}} after {{% {} %}}", *(ends.end() - 1), opener));
      }
      const Token& token = in_.take();
      if (token.type == Type::kText) {
        block.push_back(make(Kind::kText, token.offset));
        block.back()->text = token.text;
      } else if (token.type == Type::kOutputBegin) {
        block.push_back(make(Kind::kOutput, token.offset));
        block.back()->value = in_.tuple(true);
        in_.expect(Type::kOutputEnd, "'}}'");
      } else {
        const auto comes = [&](std::string_view end) { return in_.next_is_name(end); };
        if (std::ranges::any_of(ends, comes)) return block;
        block.push_back(statement());
      }
    }
  }

  void end_tag() { in_.expect(Type::kBlockEnd, "'%}'"); }

  StatementPtr statement() {
    static constexpr std::pair<std::string_view, StatementPtr (Parser::*)(size_t)> kStatements[] = {
        {"if", &Parser::if_statement},
        {"for", &Parser::for_statement},
        {"set", &Parser::set_statement},
        {"macro", &Parser::macro_statement},
        {"generation", &Parser::generation_statement},
        {"break", &Parser::break_statement},
        {"continue", &Parser::continue_statement}};
    const size_t offset = in_.next().offset;
    for (const auto& [name, parse] : kStatements) {
      if (in_.take_name(name)) return (this->*parse)(offset);
    }
    in_.fail_expected("if, for, set, macro, generation, break or continue");
  }

  StatementPtr if_statement(size_t offset) {
    StatementPtr result = make(Kind::kIf, offset);
    for (bool last = false; !last;) {
      Branch branch;
      if (result->branches.empty() || in_.take_name("elif")) {
        branch.condition = in_.tuple(true);
      } else {
        in_.take();  // else
      }
      end_tag();
      last = branch.condition == nullptr;
      branch.body = last ? body({"endif"}, "else") : body({"elif", "else", "endif"}, "if");
      result->branches.push_back(std::move(branch));
      last |= in_.next_is_name("endif");
    }
    in_.take();
    end_tag();
    return result;
  }

  Target names() {
    Target target;
    const bool brackets = in_.take_operator("(");
    target.names.push_back(in_.expect_new_name("the name of a variable"));
    while (in_.take_operator(",")) {
      target.unpacks = true;
      if (!in_.next_is(Type::kName) || in_.next_is_name("in")) break;
      target.names.push_back(in_.expect_new_name("the name of a variable"));
    }
    if (brackets) in_.expect_operator(")");
    return target;
  }

  StatementPtr for_statement(size_t offset) {
    StatementPtr result = make(Kind::kFor, offset);
    result->target = names();
    if (!in_.take_name("in")) in_.fail_expected("'in'");
    result->value = in_.tuple(false);
    const int before = in_.loop_names();
    if (in_.take_name("if")) result->condition = in_.expression();
    end_tag();
    ++loops_;
    result->body = body({"else", "endfor"}, "for");
    --loops_;
    result->uses_loop = in_.loop_names() != before;
    if (in_.take_name("else")) {
      end_tag();
      result->otherwise = body({"endfor"}, "else");
    }
    in_.take();
    end_tag();
    return result;
  }

  StatementPtr set_statement(size_t offset) {
    StatementPtr result = make(Kind::kSet, offset);
    result->target = names();
    if (in_.take_operator(".")) {
      if (result->target.unpacks || !in_.next_is(Type::kName))
        in_.fail_expected("the name of an attribute");
      result->target.attribute = in_.take().text;
    }
    if (in_.take_operator("=")) {
      result->value = in_.tuple(true);
      end_tag();
      return result;
    }
    if (result->target.unpacks) in_.fail_expected("'='");
    result->kind = Kind::kSetBlock;
    result->value = block_filters();
    end_tag();
    result->body = body({"endset"}, "set");
    in_.take();
    end_tag();
    return result;
  }

  /// The filters of {% set name | filter %}, over the text of the block; null if there are none.
  ExpressionPtr block_filters() {
    if (!in_.next_is_operator("|")) return nullptr;
    auto text = std::make_unique<Expression>();
    text->kind = Expression::Kind::kName;
    text->offset = in_.next().offset;
    text->name = kBlockText;
    return in_.filtered(std::move(text));
  }

  /// Only at the top, where what a macro sees from outside is the same at every call.
  StatementPtr macro_statement(size_t offset) {
    if (loops_ > 0 || macros_ > 0)
      throw Fault{"macros inside of loops and of macros are not supported", offset};
    StatementPtr result = make(Kind::kMacro, offset);
    result->text = in_.expect_new_name("the name of the macro");
    in_.expect_operator("(");
    while (!in_.next_is_operator(")")) {
      Parameter parameter;
      parameter.name = in_.expect_new_name("the name of a parameter");
      if (in_.take_operator("=")) parameter.fallback = in_.expression();
      result->parameters.push_back(std::move(parameter));
      if (!in_.take_operator(",")) break;
    }
    in_.expect_operator(")");
    end_tag();
    ++macros_;
    result->body = body({"endmacro"}, "macro");
    --macros_;
    in_.take();
    if (!in_.next_is(Type::kBlockEnd)) in_.take_name(result->text);
    end_tag();
    return result;
  }

  StatementPtr generation_statement(size_t offset) {
    StatementPtr result = make(Kind::kGeneration, offset);
    end_tag();
    result->body = body({"endgeneration"}, "generation");
    in_.take();
    end_tag();
    return result;
  }

  StatementPtr jump(Kind kind, std::string_view name, size_t offset) {
    if (loops_ == 0) throw Fault{fmt::format("'{}' outside of a loop", name), offset};
    end_tag();
    return make(kind, offset);
  }
  StatementPtr break_statement(size_t offset) { return jump(Kind::kBreak, "break", offset); }
  StatementPtr continue_statement(size_t offset) {
    return jump(Kind::kContinue, "continue", offset);
  }

  ExpressionParser in_;
  int loops_ = 0, macros_ = 0;  // that are open
};

}  // namespace

Block parse(std::string_view source) {
  const std::vector<Token> tokens = tokenize(source);
  return Parser(tokens).run();
}

}  // namespace evo::jinja
