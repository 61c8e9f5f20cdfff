// The expressions of a Jinja template.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "template/parse/lexer.h"
#include "template/parse/syntax.h"

namespace evo::jinja {

/// A recursive-descent parser over tokens, in Jinja's order of precedence, loosest first: inline
/// if, or, and, not, comparisons, + and -, ~, * / // %, **, signs, filters and tests, . [] ().
class ExpressionParser {
 public:
  /// The tokens must outlive the parser.
  explicit ExpressionParser(const std::vector<Token>& tokens) : tokens_(tokens) {}

  [[nodiscard]] ExpressionPtr expression();
  /// Expressions with commas between them are a tuple. `with_condition`: an inline `if` may follow.
  [[nodiscard]] ExpressionPtr tuple(bool with_condition);
  /// The filter whose name comes next, over `input`.
  [[nodiscard]] ExpressionPtr filter(ExpressionPtr input);
  /// `first` and the filters behind it.
  [[nodiscard]] ExpressionPtr filtered(ExpressionPtr first);

  [[nodiscard]] const Token& next() const { return tokens_[at_]; }
  [[nodiscard]] bool next_is(Token::Type type) const { return next().type == type; }
  [[nodiscard]] bool next_is_operator(std::string_view text) const;
  [[nodiscard]] bool next_is_name(std::string_view text) const;
  const Token& take();
  bool take_operator(std::string_view text);
  bool take_name(std::string_view text);
  void expect(Token::Type type, std::string_view what);
  void expect_operator(std::string_view text);
  std::string expect_new_name(std::string_view what);  ///< that may be assigned
  [[noreturn]] void fail_expected(std::string_view what) const;

  /// Names that say something about the statement around them: `varargs`, say.
  struct NameCounts {
    int loop = 0, varargs = 0, kwargs = 0, caller = 0;
  };
  /// How often they were read so far.
  [[nodiscard]] const NameCounts& name_counts() const { return name_counts_; }

  /// Counts nesting while it lives; Fault where there is too much.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser);
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExpressionParser& parser_;
  };

 private:
  using Kind = Expression::Kind;
  using Rule = ExpressionPtr (ExpressionParser::*)();

  [[nodiscard]] ExpressionPtr make(Kind kind, size_t offset, std::vector<ExpressionPtr> operands);
  template <class... Operands>
  [[nodiscard]] ExpressionPtr make_of(Kind kind, size_t offset, Operands... operands);

  ExpressionPtr disjunction();
  ExpressionPtr conjunction();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  std::string comparison_operator();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr binary(Rule operand, std::initializer_list<std::string_view> operators);
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr named_primary();
  ExpressionPtr number();
  ExpressionPtr text_literal();
  ExpressionPtr group();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr operand);
  ExpressionPtr attribute(ExpressionPtr operand);
  ExpressionPtr subscript(ExpressionPtr operand);
  ExpressionPtr test(ExpressionPtr value);
  [[nodiscard]] bool begins_test_argument() const;
  void finish_call(Expression& call);

  const std::vector<Token>& tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
  NameCounts name_counts_;
};

}  // namespace evo::jinja
