#include "template/parse/parser.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "template/budget.h"
#include "template/parse/expression_parser.h"

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
        {"call", &Parser::call_statement},
        {"filter", &Parser::filter_statement},
        {"with", &Parser::with_statement},
        {"block", &Parser::block_statement},
        {"generation", &Parser::generation_statement},
        {"break", &Parser::break_statement},
        {"continue", &Parser::continue_statement}};
    const size_t offset = in_.next().offset;
    for (const auto& [name, parse] : kStatements) {
      if (in_.take_name(name)) return (this->*parse)(offset);
    }
    in_.fail_expected(
        "if, for, set, macro, call, filter, with, block, generation, break or continue");
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

  /// One name, or targets in brackets.
  Target target_item() {
    if (!in_.take_operator("(")) return {in_.expect_new_name("the name of a variable"), "", {}};
    const ExpressionParser::Nesting nesting(in_);
    Target result = target();
    in_.expect_operator(")");
    return result;
  }

  Target target() {
    Target first = target_item();
    if (!in_.next_is_operator(",")) return first;
    Target result;
    result.parts.push_back(std::move(first));
    while (in_.take_operator(",")) {
      const bool ended =
          in_.next_is_name("in") || in_.next_is_operator("=") || in_.next_is_operator(")");
      if (ended) break;
      result.parts.push_back(target_item());
    }
    return result;
  }

  StatementPtr for_statement(size_t offset) {
    StatementPtr result = make(Kind::kFor, offset);
    result->target = target();
    if (!in_.take_name("in")) in_.fail_expected("'in'");
    result->value = in_.tuple(false);
    const int before = in_.name_counts().loop;
    if (in_.take_name("if")) result->condition = in_.expression();
    result->recursive = in_.take_name("recursive");
    end_tag();
    ++loops_;
    result->body = body({"else", "endfor"}, "for");
    --loops_;
    result->uses_loop = in_.name_counts().loop != before;
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
    result->target = target();
    if (in_.take_operator(".")) {
      if (result->target.name.empty() || !in_.next_is(Type::kName))
        in_.fail_expected("the name of an attribute");
      result->target.attribute = in_.take().text;
    }
    if (in_.take_operator("=")) {
      result->value = in_.tuple(true);
      end_tag();
      return result;
    }
    if (result->target.name.empty()) in_.fail_expected("'='");
    result->kind = Kind::kSetBlock;
    result->value = block_filters();
    end_tag();
    result->body = body({"endset"}, "set");
    in_.take();
    end_tag();
    return result;
  }

  /// The text of a block, as filters over it find it.
  ExpressionPtr block_text() {
    auto text = std::make_unique<Expression>();
    text->kind = Expression::Kind::kName;
    text->offset = in_.next().offset;
    text->name = kBlockText;
    return text;
  }

  /// The filters of {% set name | filter %}, over the text of the block; null if there are none.
  ExpressionPtr block_filters() {
    return in_.next_is_operator("|") ? in_.filtered(block_text()) : nullptr;
  }

  void parameters(Statement& macro) {
    in_.expect_operator("(");
    while (!in_.next_is_operator(")")) {
      Parameter parameter;
      parameter.name = in_.expect_new_name("the name of a parameter");
      if (in_.take_operator("=")) parameter.fallback = in_.expression();
      macro.parameters.push_back(std::move(parameter));
      if (!in_.take_operator(",")) break;
    }
    in_.expect_operator(")");
  }

  /// The body of a macro: no break or continue there belongs to a loop around it.
  Block macro_body(std::string_view end, std::string_view opener) {
    const int outside = std::exchange(loops_, 0);
    Block result = body({end}, opener);
    loops_ = outside;
    in_.take();
    return result;
  }

  StatementPtr macro_statement(size_t offset) {
    StatementPtr result = make(Kind::kMacro, offset);
    result->text = in_.expect_new_name("the name of the macro");
    parameters(*result);
    end_tag();
    const ExpressionParser::NameCounts before = in_.name_counts();
    result->body = macro_body("endmacro", "macro");
    result->takes_positional = in_.name_counts().varargs != before.varargs;
    result->takes_named = in_.name_counts().kwargs != before.kwargs;
    result->takes_caller = in_.name_counts().caller != before.caller;
    if (!in_.next_is(Type::kBlockEnd)) in_.take_name(result->text);
    end_tag();
    return result;
  }

  StatementPtr call_statement(size_t offset) {
    StatementPtr result = make(Kind::kCallBlock, offset);
    result->text = "caller";
    if (in_.next_is_operator("(")) parameters(*result);
    result->value = in_.expression();
    if (result->value->kind != Expression::Kind::kCall) {
      throw Fault{"{% call %} expects the call of a macro", result->value->offset};
    }
    end_tag();
    result->body = macro_body("endcall", "call");
    end_tag();
    return result;
  }

  StatementPtr filter_statement(size_t offset) {
    StatementPtr result = make(Kind::kFilterBlock, offset);
    result->value = in_.filter(block_text());
    result->value = in_.filtered(std::move(result->value));
    end_tag();
    result->body = body({"endfilter"}, "filter");
    in_.take();
    end_tag();
    return result;
  }

  StatementPtr with_statement(size_t offset) {
    StatementPtr result = make(Kind::kWith, offset);
    while (!in_.next_is(Type::kBlockEnd)) {
      if (!result->parameters.empty()) in_.expect_operator(",");
      Parameter one;
      one.name = in_.expect_new_name("the name of a variable");
      in_.expect_operator("=");
      one.fallback = in_.expression();
      result->parameters.push_back(std::move(one));
    }
    end_tag();
    result->body = body({"endwith"}, "with");
    in_.take();
    end_tag();
    return result;
  }

  /// A place that other templates could fill; there are none.
  StatementPtr block_statement(size_t offset) {
    StatementPtr result = make(Kind::kBlock, offset);
    result->text = in_.expect_new_name("the name of the block");
    (void)(in_.take_name("scoped") || in_.take_name("required"));
    end_tag();
    result->body = macro_body("endblock", "block");
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
  int loops_ = 0;  // that are open
};

}  // namespace

Block parse(std::string_view source) {
  const std::vector<Token> tokens = tokenize(source);
  return Parser(tokens).run();
}

}  // namespace evo::jinja
