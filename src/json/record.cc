#include "json/record.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "files/files.h"
#include "json/json_text.h"

namespace evo::json {

using Json = nlohmann::ordered_json;

struct Record::Impl {
  static Record parse(std::string_view text, std::string_view source, JsonDialect rules);

  Json value = Json::object();
  std::string source = "record";
};

namespace {

constexpr int64_t kMaxForeignBytes = int64_t{64} << 20;

std::string described(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  if (value.is_string()) return shortened(fmt::format("the text \"{}\"", value.get<std::string>()));
  return value.dump();
}

/// What a getter of type T expects, and whether a value is that.
template <class T>
struct Expected;

template <>
struct Expected<bool> {
  static constexpr const char* kName = "true or false";
  static bool matches(const Json& value) { return value.is_boolean(); }
};

template <>
struct Expected<int64_t> {
  static constexpr const char* kName = "a whole number of at most 64 bits";
  static bool matches(const Json& value) {
    if (value.is_number_unsigned()) return std::in_range<int64_t>(value.get<uint64_t>());
    if (value.is_number_integer()) return true;
    if (!value.is_number_float()) return false;
    const double number = value.get<double>();
    return std::trunc(number) == number && std::abs(number) <= 0x1p53;
  }
};

template <>
struct Expected<double> {
  static constexpr const char* kName = "a number";
  static bool matches(const Json& value) { return value.is_number(); }
};

template <>
struct Expected<std::string> {
  static constexpr const char* kName = "a text";
  static bool matches(const Json& value) { return value.is_string(); }
};

/// JSON has no NaN and no infinity; a null is at least visibly "no number".
Json number_json(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

const Json& member(const Json& object, std::string_view source, std::string_view key,
                   std::string_view expected) {
  const auto found = object.find(std::string(key));
  if (found == object.end()) {
    fail("{}: the key \"{}\" is missing; expected {}", source, key, expected);
  }
  return *found;
}

template <class T>
T scalar(const Json& object, std::string_view source, std::string_view key) {
  const Json& value = member(object, source, key, Expected<T>::kName);
  if (!Expected<T>::matches(value)) {
    fail("{}: \"{}\" must be {}, found {}", source, key, Expected<T>::kName, described(value));
  }
  return value.get<T>();
}

template <class T>
std::vector<T> array(const Json& object, std::string_view source, std::string_view key) {
  const std::string expected = fmt::format("an array, each element {}", Expected<T>::kName);
  const Json& value = member(object, source, key, expected);
  if (!value.is_array()) {
    fail("{}: \"{}\" must be {}, found {}", source, key, expected, described(value));
  }
  std::vector<T> result;
  for (const Json& element : value) {
    if (!Expected<T>::matches(element)) {
      fail("{}: \"{}\"[{}] must be {}, found {}", source, key, result.size(), Expected<T>::kName,
           described(element));
    }
    result.push_back(element.get<T>());
  }
  return result;
}

}  // namespace

Record::Record() : impl_(std::make_unique<Impl>()) {}
Record::~Record() = default;
Record::Record(const Record& other) : impl_(std::make_unique<Impl>(*other.impl_)) {}
Record::Record(Record&& other) noexcept = default;
Record& Record::operator=(Record&& other) noexcept = default;
Record& Record::operator=(const Record& other) {
  impl_ = std::make_unique<Impl>(*other.impl_);
  return *this;
}

Record Record::Impl::parse(std::string_view text, std::string_view source, JsonDialect rules) {
  Record record;
  record.impl_->value = parse_json(text, source, rules);
  record.impl_->source = source;
  if (!record.impl_->value.is_object()) {
    fail("{}: expected a JSON object, found {}", source, described(record.impl_->value));
  }
  return record;
}

Record Record::parse(std::string_view text, std::string_view source) {
  return Impl::parse(text, source, JsonDialect::kStandard);
}

Record Record::load(const std::filesystem::path& path, int64_t max_bytes) {
  return parse(files::read_file(path, max_bytes), path.string());
}

Record Record::parse_foreign(std::string_view text, std::string_view source) {
  return Impl::parse(text, source, JsonDialect::kPython);
}

Record Record::load_foreign(const std::filesystem::path& path) {
  return parse_foreign(files::read_file(path, kMaxForeignBytes), path.string());
}

Record& Record::set_bool(std::string_view key, bool value) {
  impl_->value[std::string(key)] = value;
  return *this;
}

Record& Record::set_int(std::string_view key, int64_t value) {
  impl_->value[std::string(key)] = value;
  return *this;
}

Record& Record::set_double(std::string_view key, double value) {
  impl_->value[std::string(key)] = number_json(value);
  return *this;
}

Record& Record::set(std::string_view key, std::string_view value) {
  impl_->value[std::string(key)] = value;
  return *this;
}

Record& Record::set(std::string_view key, const Record& value) {
  impl_->value[std::string(key)] = Json(value.impl_->value);  // a copy: `value` may be *this
  return *this;
}

Record& Record::set(std::string_view key, const std::vector<int64_t>& values) {
  impl_->value[std::string(key)] = values;
  return *this;
}

Record& Record::set(std::string_view key, const std::vector<double>& values) {
  Json array = Json::array();
  for (const double value : values) array.push_back(number_json(value));
  impl_->value[std::string(key)] = std::move(array);
  return *this;
}

Record& Record::set(std::string_view key, const std::vector<std::string>& values) {
  impl_->value[std::string(key)] = values;
  return *this;
}

Record& Record::set(std::string_view key, const std::vector<Record>& values) {
  Json array = Json::array();
  for (const Record& value : values) array.push_back(value.impl_->value);
  impl_->value[std::string(key)] = std::move(array);
  return *this;
}

void Record::erase(std::string_view key) {
  impl_->value.erase(std::string(key));
}

bool Record::has(std::string_view key) const {
  return impl_->value.contains(std::string(key));
}

bool Record::is_null(std::string_view key) const {
  const auto found = impl_->value.find(std::string(key));
  return found != impl_->value.end() && found->is_null();
}

std::vector<std::string> Record::keys() const {
  std::vector<std::string> result;
  for (const auto& item : impl_->value.items()) result.push_back(item.key());
  return result;
}

bool Record::get_bool(std::string_view key) const {
  return scalar<bool>(impl_->value, impl_->source, key);
}

int64_t Record::get_int(std::string_view key) const {
  return scalar<int64_t>(impl_->value, impl_->source, key);
}

double Record::get_double(std::string_view key) const {
  return scalar<double>(impl_->value, impl_->source, key);
}

std::string Record::get_string(std::string_view key) const {
  return scalar<std::string>(impl_->value, impl_->source, key);
}

std::vector<int64_t> Record::get_ints(std::string_view key) const {
  return array<int64_t>(impl_->value, impl_->source, key);
}

std::vector<double> Record::get_doubles(std::string_view key) const {
  return array<double>(impl_->value, impl_->source, key);
}

std::vector<std::string> Record::get_strings(std::string_view key) const {
  return array<std::string>(impl_->value, impl_->source, key);
}

Record Record::get_record(std::string_view key) const {
  const Json& value = member(impl_->value, impl_->source, key, "an object");
  if (!value.is_object()) {
    fail("{}: \"{}\" must be an object, found {}", source(), key, described(value));
  }
  Record result;
  result.impl_->value = value;
  result.impl_->source = fmt::format("{}: {}", source(), key);
  return result;
}

std::vector<Record> Record::get_records(std::string_view key) const {
  const Json& value = member(impl_->value, impl_->source, key, "an array of objects");
  if (!value.is_array()) {
    fail("{}: \"{}\" must be an array of objects, found {}", source(), key, described(value));
  }
  std::vector<Record> result;
  for (const Json& element : value) {
    if (!element.is_object()) {
      fail("{}: \"{}\"[{}] must be an object, found {}", source(), key, result.size(),
           described(element));
    }
    Record& record = result.emplace_back();
    record.impl_->value = element;
    record.impl_->source = fmt::format("{}: {}[{}]", source(), key, result.size() - 1);
  }
  return result;
}

std::vector<std::pair<std::string, Record>> Record::members() const {
  std::vector<std::pair<std::string, Record>> result;
  for (const auto& [name, value] : impl_->value.get_ref<const Json::object_t&>()) {
    if (!value.is_object()) {
      fail("{}: \"{}\" must be an object, found {}", source(), name, described(value));
    }
    Record& record = result.emplace_back(name, Record()).second;
    record.impl_->value = value;
    record.impl_->source = fmt::format("{}: {}", source(), name);
  }
  return result;
}

std::string Record::dump(bool pretty) const {
  return impl_->value.dump(pretty ? 2 : -1, ' ', false, Json::error_handler_t::replace);
}

void Record::save(const std::filesystem::path& path) const {
  files::write_atomically(path, dump(true) + "\n");
}

const std::string& Record::source() const {
  return impl_->source;
}
void Record::set_source(std::string_view source) {
  impl_->source = source;
}

}  // namespace evo::json
