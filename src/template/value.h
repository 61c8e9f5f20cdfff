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
struct TextData;
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

/// What Python calls the things that a loop can go through. Only lists and tuples have an order of
/// items that one can ask for; a generator gives each of its items once. A group is a tuple whose
/// items have the names `grouper` and `list`.
enum class ListKind { kList, kTuple, kGroup, kGenerator, kItemsView, kKeysView, kValuesView };

/// Cheap to copy: strings, lists and dicts are immutable and shared, but that a generator is used
/// up. Strings are bytes; what is not UTF-8 in them counts as one character per byte. A string may
/// be markup (markupsafe's Markup, which the filters `safe` and `escape` make): what is joined to
/// it is escaped.
class Value {
 public:
  Value() = default;  ///< none
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string value);
  Value(std::string_view value) : Value(std::string(value)) {}
  Value(const char* value) : Value(std::string(value)) {}

  /// `problem` is what an error says when the value is used after all: "'x' is undefined".
  static Value undefined(std::string problem);
  static Value list(std::vector<Value> items);
  static Value tuple(std::vector<Value> items);
  static Value generator(std::vector<Value> items);
  static Value list_of(ListKind kind, std::vector<Value> items);
  static Value markup(std::string text);
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
  [[nodiscard]] std::string_view text() const;
  [[nodiscard]] const std::vector<Value>& items() const;  ///< of a generator: all it ever had
  [[nodiscard]] ListKind list_kind() const;
  [[nodiscard]] const std::vector<std::pair<Value, Value>>& entries() const;
  [[nodiscard]] const CallableData& callable() const;

  // False for values of other kinds.
  [[nodiscard]] bool is_markup() const;
  [[nodiscard]] bool is_tuple() const;    ///< a group is one
  [[nodiscard]] bool is_indexed() const;  ///< a list or a tuple
  [[nodiscard]] bool is_generator() const;

  /// Python's `is`: none, a bool or a number of the same value, or the very same string, list ...
  [[nodiscard]] bool is_same(const Value& other) const;

  /// Of a generator: from now on it has no item before the `count`-th; how many were gone before.
  size_t use_up(size_t count) const;

  [[nodiscard]] std::optional<int64_t> as_int() const;  ///< of an int or a bool
  [[nodiscard]] double number() const;                  ///< of an int, a bool or a float
  [[nodiscard]] bool truthy() const;
  [[nodiscard]] int depth() const;                              ///< 0 unless list or dict
  [[nodiscard]] bool holds_namespace() const;                   ///< or is one
  [[nodiscard]] const Value* find(std::string_view key) const;  ///< in a dict; null if missing
  [[nodiscard]] const Value* attribute(std::string_view name) const;  ///< of a namespace; or null
  /// Of a namespace. Throws Fault for a value that holds one: there are no cycles.
  void set_attribute(const std::string& name, Value value) const;
  /// Attributes of a namespace, in their order.
  [[nodiscard]] const std::vector<std::pair<std::string, Value>>& attributes() const;

 private:
  struct Undefined {
    std::shared_ptr<const std::string> problem;
  };
  struct None {};
  using Data = std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const TextData>,
                            std::shared_ptr<const ListData>, std::shared_ptr<const DictData>,
                            std::shared_ptr<NamespaceData>, std::shared_ptr<const CallableData>>;
  template <class T>
  static Value of(T data) {
    Value value;
    value.data_ = std::move(data);
    return value;
  }
  Data data_ = None{};
};

using Entry = std::pair<Value, Value>;
using Items = std::vector<Value>;

using Function = Value (*)(Budget& budget, const Arguments& arguments);

/// Names and values that a macro sees from where it was made.
using Closure = std::vector<std::pair<std::string, Value>>;

/// A macro, a global function, or a method of a value.
struct CallableData {
  std::string name;
  const Statement* macro = nullptr;
  Function function = nullptr;
  Value receiver = {};  ///< of a method, if there is neither macro nor function
  std::shared_ptr<const Closure> closure = {};  ///< of a macro that is not at the top
  // Value::callable() says these.
  int depth = 0;
  bool holds_namespace = false;
};

/// "str", "int", "list": as Python calls them.
[[nodiscard]] std::string_view type_name(const Value& value);

/// Python's ==.
[[nodiscard]] bool equal(Budget& budget, const Value& a, const Value& b);

/// False for what no dict has as a key: a list or a dict.
[[nodiscard]] bool is_key(const Value& value);
/// Fault for those.
void expect_key(const Value& key);

/// Index of `key` among the entries of a dict; nothing if it is missing.
[[nodiscard]] std::optional<size_t> find_key(Budget& budget, const Value& dict, const Value& key);

}  // namespace evo::jinja
