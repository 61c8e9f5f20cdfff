#include "template/parse/expression_parser.h"

#include <algorithm>
#include <charconv>

#include "template/budget.h"

namespace evo::jinja {
namespace {

using Type = Token::Type;

// Published templates stay below 20.
constexpr int kMaxNesting = 100;
constexpr int kMaxExpressionDepth = 200;

/// Words that cannot be variables.
bool is_keyword(std::string_view name) {
  constexpr std::string_view kWords[] = {"and", "or", "not", "in", "is", "if", "else"};
  return std::ranges::find(kWords, name) != std::end(kWords);
}

void update_depth(Expression& expression) {
  const auto note = [&](const ExpressionPtr& child) {
    if (child) expression.depth = std::max(expression.depth, child->depth + 1);
  };
  std::ranges::for_each(expression.operands, note);
  for (const auto& [name, value] : expression.named) note(value);
  if (expression.depth > kMaxExpressionDepth) {
    throw Fault{fmt::format("this expression has more than {} levels", kMaxExpressionDepth),
                expression.offset};
  }
}

}  // namespace

ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  if (parser_.nesting_ >= kMaxNesting) {
    throw Fault{fmt::format("nested more than {} deep", kMaxNesting), parser_.next().offset};
  }
  ++parser_.nesting_;
}

bool ExpressionParser::next_is_operator(std::string_view text) const {
  return next().type == Type::kOperator && next().text == text;
}

bool ExpressionParser::next_is_name(std::string_view text) const {
  return next().type == Type::kName && next().text == text;
}

const Token& ExpressionParser::take() {
  const Token& token = tokens_[at_];
  if (token.type != Type::kEnd) ++at_;
  return token;
}

bool ExpressionParser::take_operator(std::string_view text) {
  if (!next_is_operator(text)) return false;
  ++at_;
  return true;
}

bool ExpressionParser::take_name(std::string_view text) {
  if (!next_is_name(text)) return false;
  ++at_;
  return true;
}

void ExpressionParser::expect(Type type, std::string_view what) {
  if (!next_is(type)) fail_expected(what);
  take();
}

void ExpressionParser::expect_operator(std::string_view text) {
  if (!take_operator(text)) fail_expected(fmt::format("'{}'", text));
}

std::string ExpressionParser::expect_new_name(std::string_view what) {
  constexpr std::string_view kConstants[] = {"true", "True", "false", "False", "none", "None"};
  const bool reserved =
      is_keyword(next().text) || std::ranges::find(kConstants, next().text) != std::end(kConstants);
  if (!next_is(Type::kName) || reserved) fail_expected(what);
  return take().text;
}

void ExpressionParser::fail_expected(std::string_view what) const {
  throw Fault{fmt::format("expected {}, found {}", what, shown(next())), next().offset};
}

ExpressionPtr ExpressionParser::make(Kind kind, size_t offset,
                                     std::vector<ExpressionPtr> operands) {
  auto result = std::make_unique<Expression>();
  result->kind = kind;
  result->offset = offset;
  result->operands = std::move(operands);
  update_depth(*result);
  return result;
}

template <class... Operands>
ExpressionPtr ExpressionParser::make_of(Kind kind, size_t offset, Operands... operands) {
  std::vector<ExpressionPtr> list;
  (list.push_back(std::move(operands)), ...);
  return make(kind, offset, std::move(list));
}

ExpressionPtr ExpressionParser::tuple(bool with_condition) {
  const size_t offset = next().offset;
  const auto item = [&] { return with_condition ? expression() : disjunction(); };
  std::vector<ExpressionPtr> items;
  items.push_back(item());
  if (!next_is_operator(",")) return std::move(items[0]);
  while (take_operator(",")) {
    const bool ended = next_is(Type::kOutputEnd) || next_is(Type::kBlockEnd) ||
                       next_is_operator(")") || next_is_operator("=") || next_is_name("in");
    if (ended) break;
    items.push_back(item());
  }
  return make(Kind::kTuple, offset, std::move(items));
}

ExpressionPtr ExpressionParser::expression() {
  const Nesting nesting(*this);
  ExpressionPtr result = disjunction();
  while (next_is_name("if")) {
    const size_t offset = take().offset;
    ExpressionPtr condition = disjunction();
    ExpressionPtr otherwise = take_name("else") ? expression() : nullptr;
    result = make_of(Kind::kCondition, offset, std::move(result), std::move(condition),
                     std::move(otherwise));
  }
  return result;
}

ExpressionPtr ExpressionParser::disjunction() {
  ExpressionPtr result = conjunction();
  while (next_is_name("or")) {
    const size_t offset = take().offset;
    result = make_of(Kind::kOr, offset, std::move(result), conjunction());
  }
  return result;
}

ExpressionPtr ExpressionParser::conjunction() {
  ExpressionPtr result = negation();
  while (next_is_name("and")) {
    const size_t offset = take().offset;
    result = make_of(Kind::kAnd, offset, std::move(result), negation());
  }
  return result;
}

ExpressionPtr ExpressionParser::negation() {
  if (!next_is_name("not")) return comparison();
  const Nesting nesting(*this);
  const size_t offset = take().offset;
  return make_of(Kind::kNot, offset, negation());
}

/// Takes an operator of a comparison; empty if none comes.
std::string ExpressionParser::comparison_operator() {
  for (const std::string_view one : {"==", "!=", "<=", ">=", "<", ">"}) {
    if (take_operator(one)) return std::string(one);
  }
  if (take_name("in")) return "in";
  const bool not_in =
      next_is_name("not") && tokens_[at_ + 1].type == Type::kName && tokens_[at_ + 1].text == "in";
  if (!not_in) return {};
  at_ += 2;
  return "not in";
}

ExpressionPtr ExpressionParser::comparison() {
  const size_t offset = next().offset;
  std::vector<ExpressionPtr> operands;
  std::vector<std::string> operators;
  operands.push_back(sum());
  for (std::string one; !(one = comparison_operator()).empty();) {
    operators.push_back(std::move(one));
    operands.push_back(sum());
  }
  if (operators.empty()) return std::move(operands[0]);
  ExpressionPtr result = make(Kind::kCompare, offset, std::move(operands));
  result->names = std::move(operators);
  return result;
}

ExpressionPtr ExpressionParser::binary(Rule operand,
                                       std::initializer_list<std::string_view> operators) {
  ExpressionPtr result = (this->*operand)();
  const auto comes = [&](std::string_view one) { return next_is_operator(one); };
  while (std::ranges::any_of(operators, comes)) {
    const Token& token = take();
    result = make_of(Kind::kBinary, token.offset, std::move(result), (this->*operand)());
    result->name = token.text;
  }
  return result;
}

ExpressionPtr ExpressionParser::sum() {
  return binary(&ExpressionParser::concatenation, {"+", "-"});
}

ExpressionPtr ExpressionParser::concatenation() {
  const size_t offset = next().offset;
  std::vector<ExpressionPtr> operands;
  operands.push_back(product());
  while (take_operator("~")) operands.push_back(product());
  if (operands.size() == 1) return std::move(operands[0]);
  return make(Kind::kConcat, offset, std::move(operands));
}

ExpressionPtr ExpressionParser::product() {
  return binary(&ExpressionParser::power, {"*", "/", "//", "%"});
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr result = unary(true);
  while (next_is_operator("**")) {
    const Token& token = take();
    result = make_of(Kind::kBinary, token.offset, std::move(result), unary(true));
    result->name = token.text;
  }
  return result;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  ExpressionPtr result;
  if (next_is_operator("-") || next_is_operator("+")) {
    const Nesting nesting(*this);
    const Token& sign = take();
    result = make_of(sign.text == "-" ? Kind::kNegate : Kind::kPlus, sign.offset, unary(false));
  } else {
    result = primary();
  }
  result = postfix(std::move(result));
  return with_filters ? filtered(std::move(result)) : std::move(result);
}

ExpressionPtr ExpressionParser::primary() {
  switch (next().type) {
    case Type::kName:
      return named_primary();
    case Type::kString:
      return text_literal();
    case Type::kInteger:
    case Type::kFloat:
      return number();
    default:
      if (next_is_operator("(")) return group();
      if (next_is_operator("[")) return list();
      if (next_is_operator("{")) return dict();
      fail_expected("an expression");
  }
}

ExpressionPtr ExpressionParser::named_primary() {
  if (is_keyword(next().text)) fail_expected("an expression");
  const Token& token = take();
  const std::string& name = token.text;
  ExpressionPtr result = make(Kind::kLiteral, token.offset, {});
  if (name == "true" || name == "True") {
    result->literal = Value(true);
  } else if (name == "false" || name == "False") {
    result->literal = Value(false);
  } else if (name != "none" && name != "None") {
    result->kind = Kind::kName;
    result->name = name;
    name_counts_.loop += name == "loop";
    name_counts_.varargs += name == "varargs";
    name_counts_.kwargs += name == "kwargs";
    name_counts_.caller += name == "caller";
  }
  return result;
}

ExpressionPtr ExpressionParser::number() {
  const Token& token = take();
  ExpressionPtr result = make(Kind::kLiteral, token.offset, {});
  const char* const end = token.text.data() + token.text.size();
  const auto read = [&](auto value) {
    if (std::from_chars(token.text.data(), end, value).ec != std::errc()) {
      throw Fault{fmt::format("expected a number of 64 bits, found {}", token.text.substr(0, 40)),
                  token.offset};
    }
    result->literal = Value(value);
  };
  if (token.type == Type::kInteger) {
    read(int64_t{0});
  } else {
    read(0.0);
  }
  return result;
}

/// Strings side by side are one.
ExpressionPtr ExpressionParser::text_literal() {
  ExpressionPtr result = make(Kind::kLiteral, next().offset, {});
  std::string text;
  while (next_is(Type::kString)) text += take().text;
  result->literal = Value(std::move(text));
  return result;
}

ExpressionPtr ExpressionParser::group() {
  const size_t offset = take().offset;
  if (take_operator(")")) return make(Kind::kTuple, offset, {});
  ExpressionPtr result = tuple(true);
  expect_operator(")");
  return result;
}

ExpressionPtr ExpressionParser::list() {
  const size_t offset = take().offset;
  std::vector<ExpressionPtr> items;
  while (!next_is_operator("]")) {
    items.push_back(expression());
    if (!take_operator(",")) break;
  }
  expect_operator("]");
  return make(Kind::kList, offset, std::move(items));
}

ExpressionPtr ExpressionParser::dict() {
  const size_t offset = take().offset;
  std::vector<ExpressionPtr> items;
  while (!next_is_operator("}")) {
    items.push_back(expression());
    expect_operator(":");
    items.push_back(expression());
    if (!take_operator(",")) break;
  }
  expect_operator("}");
  return make(Kind::kDict, offset, std::move(items));
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr operand) {
  for (;;) {
    if (next_is_operator(".")) {
      operand = attribute(std::move(operand));
    } else if (next_is_operator("[")) {
      operand = subscript(std::move(operand));
    } else if (next_is_operator("(")) {
      operand = make_of(Kind::kCall, next().offset, std::move(operand));
      finish_call(*operand);
    } else {
      return operand;
    }
  }
}

ExpressionPtr ExpressionParser::attribute(ExpressionPtr operand) {
  take();
  const size_t offset = next().offset;
  if (next_is(Type::kInteger)) {
    return make_of(Kind::kItem, offset, std::move(operand), number());
  }
  if (!next_is(Type::kName)) fail_expected("the name of an attribute");
  ExpressionPtr result = make_of(Kind::kAttribute, offset, std::move(operand));
  result->name = take().text;
  return result;
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr operand) {
  const size_t offset = take().offset;
  ExpressionPtr parts[3];
  int colons = 0;
  for (ExpressionPtr& part : parts) {
    if (!next_is_operator(":") && !next_is_operator("]")) part = expression();
    if (&part == &parts[2] || !take_operator(":")) break;
    ++colons;
  }
  if (colons == 0 && !parts[0]) fail_expected("an index");
  expect_operator("]");
  if (colons == 0) return make_of(Kind::kItem, offset, std::move(operand), std::move(parts[0]));
  return make_of(Kind::kSlice, offset, std::move(operand), std::move(parts[0]), std::move(parts[1]),
                 std::move(parts[2]));
}

ExpressionPtr ExpressionParser::filtered(ExpressionPtr first) {
  for (;;) {
    if (take_operator("|")) {
      first = filter(std::move(first));
    } else if (next_is_name("is")) {
      first = test(std::move(first));
    } else if (next_is_operator("(")) {
      first = postfix(std::move(first));
    } else {
      return first;
    }
  }
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr input) {
  if (!next_is(Type::kName)) fail_expected("the name of a filter");
  ExpressionPtr result = make_of(Kind::kFilter, next().offset, std::move(input));
  result->name = take().text;
  if (next_is_operator("(")) finish_call(*result);
  return result;
}

/// What may be the argument of a test without brackets: `x is divisibleby 3`.
bool ExpressionParser::begins_test_argument() const {
  switch (next().type) {
    case Type::kName:
      return !is_keyword(next().text);
    case Type::kString:
    case Type::kInteger:
    case Type::kFloat:
      return true;
    default:
      return next_is_operator("[") || next_is_operator("{");
  }
}

ExpressionPtr ExpressionParser::test(ExpressionPtr value) {
  take();
  const bool negated = take_name("not");
  if (!next_is(Type::kName)) fail_expected("the name of a test");
  const size_t offset = next().offset;
  ExpressionPtr result = make_of(Kind::kTest, offset, std::move(value));
  result->name = take().text;
  if (next_is_operator("(")) {
    finish_call(*result);
  } else if (next_is_name("is")) {
    throw Fault{"one test cannot follow another: put the first one into brackets", next().offset};
  } else if (begins_test_argument()) {
    result->operands.push_back(postfix(primary()));
    update_depth(*result);
  }
  return negated ? make_of(Kind::kNot, offset, std::move(result)) : std::move(result);
}

/// The arguments in brackets that a call, a filter or a test has.
void ExpressionParser::finish_call(Expression& call) {
  const Nesting nesting(*this);
  expect_operator("(");
  while (!next_is_operator(")")) {
    const bool keyword = next_is(Type::kName) && tokens_[at_ + 1].type == Type::kOperator &&
                         tokens_[at_ + 1].text == "=";
    if (next_is_operator("*") || next_is_operator("**")) {
      std::string sign = take().text;
      call.named.emplace_back(std::move(sign), expression());
    } else if (keyword) {
      std::string name = take().text;
      take();
      call.named.emplace_back(std::move(name), expression());
    } else {
      if (!call.named.empty()) fail_expected("a name and '=', as before");
      call.operands.push_back(expression());
    }
    if (!take_operator(",")) break;
  }
  expect_operator(")");
  update_depth(call);
}

}  // namespace evo::jinja
