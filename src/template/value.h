// The values of a Jinja template: Python's, as far as templates meet them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace evo::jinja {

class Budget;
class Value;
struct Arguments;
struct Statement;
struct ListData;
struct DictData;
struct NamespaceData;
struct CallableData;

/// Lists and dicts inside of each other: deeper is an error, so that whoever walks over a value may
/// recurse.
inline constexpr int kMaxValueDepth = 100;

enum class Kind {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kDict,
  kNamespace,
  kCallable
};

/// Cheap to copy: strings, lists and dicts are immutable and shared. Strings are bytes; what is not
/// UTF-8 in them counts as one character per byte.
class Value {
 public:
  Value() = default;  ///< none
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string value) : data_(std::make_shared<const std::string>(std::move(value))) {}
  Value(std::string_view value) : Value(std::string(value)) {}
  Value(const char* value) : Value(std::string(value)) {}

  /// `problem` is what an error says when the value is used after all: "'x' is undefined".
  static Value undefined(std::string problem);
  static Value list(std::vector<Value> items);
  static Value tuple(std::vector<Value> items);
  /// Keys must differ.
  static Value dict(std::vector<std::pair<Value, Value>> entries);
  static Value name_space(std::vector<std::pair<std::string, Value>> attributes);
  static Value callable(CallableData data);

  [[nodiscard]] Kind kind() const { return static_cast<Kind>(data_.index()); }
  [[nodiscard]] bool is(Kind kind) const { return this->kind() == kind; }
  [[nodiscard]] bool is_number() const;  ///< a bool is one

  // Each for values of that kind only.
  [[nodiscard]] const std::string& problem() const { return *std::get<0>(data_).problem; }
  [[nodiscard]] bool boolean() const { return std::get<bool>(data_); }
  [[nodiscard]] double floating() const { return std::get<double>(data_); }
  [[nodiscard]] std::string_view text() const {
    return *std::get<std::shared_ptr<const std::string>>(data_);
  }
  [[nodiscard]] const std::vector<Value>& items() const;
  [[nodiscard]] bool is_tuple() const;
  [[nodiscard]] const std::vector<std::pair<Value, Value>>& entries() const;
  [[nodiscard]] const CallableData& callable() const;

  [[nodiscard]] std::optional<int64_t> as_int() const;  ///< of an int or a bool
  [[nodiscard]] double number() const;                  ///< of an int, a bool or a float
  [[nodiscard]] bool truthy() const;
  [[nodiscard]] int depth() const;                              ///< 0 unless list or dict
  [[nodiscard]] bool holds_namespace() const;                   ///< or is one
  [[nodiscard]] const Value* find(std::string_view key) const;  ///< in a dict; null if missing
  [[nodiscard]] const Value* attribute(std::string_view name) const;  ///< of a namespace; or null
  /// Of a namespace. Throws Fault for a value that holds one: there are no cycles.
  void set_attribute(const std::string& name, Value value) const;

 private:
  struct Undefined {
    std::shared_ptr<const std::string> problem;
  };
  struct None {};
  using Data =
      std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const std::string>,
                   std::shared_ptr<const ListData>, std::shared_ptr<const DictData>,
                   std::shared_ptr<NamespaceData>, std::shared_ptr<const CallableData>>;
  template <class T>
  static Value of(T data) {
    Value value;
    value.data_ = std::move(data);
    return value;
  }
  static Value sequence(std::vector<Value> items, bool tuple);

  Data data_ = None{};
};

using Entry = std::pair<Value, Value>;
using Items = std::vector<Value>;

using Function = Value (*)(Budget& budget, const Arguments& arguments);

/// A macro, a global function, or a method of a value.
struct CallableData {
  std::string name;
  const Statement* macro = nullptr;
  Function function = nullptr;
  Value receiver = {};  ///< of a method, if there is neither macro nor function
};

/// "str", "int", "list": as Python calls them.
[[nodiscard]] std::string_view type_name(const Value& value);

/// Python's ==.
[[nodiscard]] bool equal(Budget& budget, const Value& a, const Value& b);

/// Fault for a value that no dict has as a key: a list or a dict.
void expect_key(const Value& key);

/// Index of `key` among the entries of a dict; nothing if it is missing.
[[nodiscard]] std::optional<size_t> find_key(Budget& budget, const Value& dict, const Value& key);

}  // namespace evo::jinja
