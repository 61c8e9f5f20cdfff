#include "template/value.h"

#include <algorithm>
#include <utility>

#include "template/budget.h"

namespace evo::jinja {

// Depth and whether there is a namespace inside are kept, as walking over a value for them could
// take for ever: a list may hold the same list many times.
struct ListData {
  Items items;
  ListKind kind = ListKind::kList;
  int depth = 1;
  bool holds_namespace = false;
  mutable size_t used = 0;  // items that a generator has given
};

struct TextData {
  std::string text;
  bool markup = false;
};

struct DictData {
  std::vector<Entry> entries;
  int depth = 1;
  bool holds_namespace = false;
};

struct NamespaceData {
  std::vector<std::pair<std::string, Value>> attributes;
};

namespace {

template <class Data>
void note_child(Data& data, const Value& child) {
  data.depth = std::max(data.depth, child.depth() + 1);
  data.holds_namespace |= child.holds_namespace();
  if (data.depth > kMaxValueDepth) {
    fault("values inside of each other more than {} deep", kMaxValueDepth);
  }
}

bool equal_items(Budget& budget, const Items& a, const Items& b) {
  return std::ranges::equal(a, b,
                            [&](const Value& x, const Value& y) { return equal(budget, x, y); });
}

bool equal_dicts(Budget& budget, const Value& a, const Value& b) {
  if (a.entries().size() != b.entries().size()) return false;
  return std::ranges::all_of(a.entries(), [&](const Entry& entry) {
    const auto found = find_key(budget, b, entry.first);
    return found && equal(budget, entry.second, b.entries()[*found].second);
  });
}

bool equal_numbers(const Value& a, const Value& b) {
  const auto x = a.as_int(), y = b.as_int();
  return x && y ? *x == *y : a.number() == b.number();
}

}  // namespace

Value Value::undefined(std::string problem) {
  return of(Undefined{std::make_shared<const std::string>(std::move(problem))});
}

Value::Value(std::string value)
    : data_(std::make_shared<const TextData>(TextData{std::move(value)})) {}

Value Value::markup(std::string text) {
  return of(std::make_shared<const TextData>(TextData{std::move(text), true}));
}

Value Value::list_of(ListKind kind, std::vector<Value> items) {
  ListData data{std::move(items), kind};
  for (const Value& item : data.items) note_child(data, item);
  return of(std::make_shared<const ListData>(std::move(data)));
}

Value Value::list(std::vector<Value> items) {
  return list_of(ListKind::kList, std::move(items));
}

Value Value::tuple(std::vector<Value> items) {
  return list_of(ListKind::kTuple, std::move(items));
}

Value Value::generator(std::vector<Value> items) {
  return list_of(ListKind::kGenerator, std::move(items));
}

Value Value::dict(std::vector<Entry> entries) {
  DictData data{std::move(entries)};
  for (const auto& [key, value] : data.entries) {
    note_child(data, key);
    note_child(data, value);
  }
  return of(std::make_shared<const DictData>(std::move(data)));
}

Value Value::name_space(std::vector<std::pair<std::string, Value>> attributes) {
  const Value value = of(std::make_shared<NamespaceData>());
  for (auto& [name, initial] : attributes) value.set_attribute(name, std::move(initial));
  return value;
}

Value Value::callable(CallableData data) {
  data.depth = data.receiver.depth();
  data.holds_namespace = data.receiver.holds_namespace();
  if (data.closure) {
    for (const auto& [name, value] : *data.closure) note_child(data, value);
  }
  return of(std::make_shared<const CallableData>(std::move(data)));
}

bool Value::is_number() const {
  return is(Kind::kBool) || is(Kind::kInt) || is(Kind::kFloat);
}

const Items& Value::items() const {
  return std::get<std::shared_ptr<const ListData>>(data_)->items;
}

std::string_view Value::text() const {
  return std::get<std::shared_ptr<const TextData>>(data_)->text;
}

bool Value::is_markup() const {
  return is(Kind::kString) && std::get<std::shared_ptr<const TextData>>(data_)->markup;
}

ListKind Value::list_kind() const {
  return std::get<std::shared_ptr<const ListData>>(data_)->kind;
}

bool Value::is_tuple() const {
  return is(Kind::kList) && (list_kind() == ListKind::kTuple || list_kind() == ListKind::kGroup);
}

bool Value::is_indexed() const {
  return is_tuple() || (is(Kind::kList) && list_kind() == ListKind::kList);
}

bool Value::is_generator() const {
  return is(Kind::kList) && list_kind() == ListKind::kGenerator;
}

bool Value::is_same(const Value& other) const {
  if (data_.index() != other.data_.index()) return false;
  return std::visit(
      [&](const auto& mine) {
        using Mine = std::decay_t<decltype(mine)>;
        const Mine& its = std::get<Mine>(other.data_);
        if constexpr (std::is_same_v<Mine, None> || std::is_same_v<Mine, Undefined>) {
          return std::is_same_v<Mine, None>;
        } else {
          return mine == its;
        }
      },
      data_);
}

size_t Value::use_up(size_t count) const {
  const ListData& data = *std::get<std::shared_ptr<const ListData>>(data_);
  return std::exchange(data.used, std::max(data.used, std::min(count, data.items.size())));
}

const std::vector<Entry>& Value::entries() const {
  return std::get<std::shared_ptr<const DictData>>(data_)->entries;
}

const CallableData& Value::callable() const {
  return *std::get<std::shared_ptr<const CallableData>>(data_);
}

std::optional<int64_t> Value::as_int() const {
  if (const auto* integer = std::get_if<int64_t>(&data_)) return *integer;
  if (const auto* boolean = std::get_if<bool>(&data_)) return *boolean ? 1 : 0;
  return {};
}

double Value::number() const {
  const auto integer = as_int();
  return integer ? static_cast<double>(*integer) : floating();
}

bool Value::truthy() const {
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return number() != 0;
    case Kind::kString:
      return !text().empty();
    case Kind::kList:
      return is_generator() || !items().empty();
    case Kind::kDict:
      return !entries().empty();
    case Kind::kNamespace:
    case Kind::kCallable:
      return true;
  }
  check_failed("a kind of value", __FILE__, __LINE__);
}

int Value::depth() const {
  if (is(Kind::kList)) return std::get<std::shared_ptr<const ListData>>(data_)->depth;
  if (is(Kind::kDict)) return std::get<std::shared_ptr<const DictData>>(data_)->depth;
  if (is(Kind::kCallable)) return callable().depth;
  return 0;
}

bool Value::holds_namespace() const {
  if (is(Kind::kList)) return std::get<std::shared_ptr<const ListData>>(data_)->holds_namespace;
  if (is(Kind::kDict)) return std::get<std::shared_ptr<const DictData>>(data_)->holds_namespace;
  if (is(Kind::kCallable)) return callable().holds_namespace;
  return is(Kind::kNamespace);
}

const Value* Value::find(std::string_view key) const {
  for (const auto& [name, value] : entries()) {
    if (name.is(Kind::kString) && name.text() == key) return &value;
  }
  return nullptr;
}

const Value* Value::attribute(std::string_view name) const {
  for (const auto& [key, value] : attributes()) {
    if (key == name) return &value;
  }
  return nullptr;
}

const std::vector<std::pair<std::string, Value>>& Value::attributes() const {
  return std::get<std::shared_ptr<NamespaceData>>(data_)->attributes;
}

void Value::set_attribute(const std::string& name, Value value) const {
  if (value.holds_namespace()) fault("a namespace cannot hold another one, as '{}'", name);
  auto& attributes = std::get<std::shared_ptr<NamespaceData>>(data_)->attributes;
  for (auto& [key, old] : attributes) {
    if (key != name) continue;
    old = std::move(value);
    return;
  }
  attributes.emplace_back(name, std::move(value));
}

std::string_view type_name(const Value& value) {
  static constexpr std::string_view kListNames[] = {
      "list", "tuple", "tuple", "generator", "dict_items", "dict_keys", "dict_values"};
  switch (value.kind()) {
    case Kind::kUndefined:
      return "undefined";
    case Kind::kNone:
      return "none";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return kListNames[static_cast<size_t>(value.list_kind())];
    case Kind::kDict:
      return "dict";
    case Kind::kNamespace:
      return "namespace";
    case Kind::kCallable:
      return "function";
  }
  check_failed("a kind of value", __FILE__, __LINE__);
}

bool equal(Budget& budget, const Value& a, const Value& b) {
  budget.spend_steps(1);
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kString:
      budget.spend_reading(a.text().size());
      return a.text() == b.text();
    case Kind::kList:
      return a.is_tuple() == b.is_tuple() && type_name(a) == type_name(b) && !a.is_generator() &&
             equal_items(budget, a.items(), b.items());
    case Kind::kDict:
      return equal_dicts(budget, a, b);
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    default:
      return false;  // namespaces and functions: nobody compares them
  }
}

bool is_key(const Value& value) {
  return !value.is(Kind::kDict) && (!value.is(Kind::kList) || value.is_tuple());
}

void expect_key(const Value& key) {
  if (!is_key(key)) fault("a {} cannot be a key of a dict", type_name(key));
}

std::optional<size_t> find_key(Budget& budget, const Value& dict, const Value& key) {
  expect_key(key);
  const auto& entries = dict.entries();
  for (size_t i = 0; i < entries.size(); ++i) {
    if (equal(budget, entries[i].first, key)) return i;
  }
  return {};
}

}  // namespace evo::jinja
