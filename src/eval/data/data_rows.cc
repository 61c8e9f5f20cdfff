#include "eval/data/data_rows.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "eval/data/csv.h"
#include "eval/data/python_text.h"

namespace evo::eval {
namespace {

/// Goes through a text, counting lines.
class Scanner {
 public:
  Scanner(std::string_view text, std::string_view source) : text_(text), source_(source) {}

  /// The next character that is no space, which is left there; '\0' at the end.
  char peek() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r' || text_[at_] == '\n')) {
      step();
    }
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  void step() { line_ += text_[at_++] == '\n' ? 1 : 0; }

  /// The JSON object that begins here, up to the brace that closes it.
  std::string_view object() {
    const size_t begin = at_;
    const int64_t first_line = line_;
    int depth = 0;
    bool quoted = false;
    do {
      if (at_ == text_.size()) {
        fail("{}:{}: the object that begins here does not end; is the file cut short?", source_,
             first_line);
      }
      const char c = text_[at_];
      if (c == '"') quoted = !quoted;
      if (quoted && c == '\\' && at_ + 1 < text_.size()) step();
      if (!quoted && c == '{') ++depth;
      if (!quoted && c == '}') --depth;
      step();
    } while (depth > 0);
    return text_.substr(begin, at_ - begin);
  }

  [[nodiscard]] std::string place() const { return fmt::format("{}:{}", source_, line_); }

 private:
  std::string_view text_, source_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

std::string found(char c) {
  return c == '\0' ? "the end of the file; is it cut short?" : fmt::format("'{}'", c);
}

/// Rows of "[{...}, {...}]".
std::vector<json::Record> array_rows(const DataFile& file) {
  Scanner scanner(file.text, file.name);
  const auto refuse = [&](std::string_view expected) {
    fail("{}: expected {}, found {}", scanner.place(), expected, found(scanner.peek()));
  };
  scanner.peek();
  scanner.step();  // the bracket
  if (scanner.peek() == ']') return {};
  std::vector<json::Record> rows;
  char separator = ',';
  while (separator == ',') {
    if (scanner.peek() != '{') refuse("an object");
    const std::string place = scanner.place();
    rows.push_back(json::Record::parse(scanner.object(), place));
    separator = scanner.peek();
    if (separator != ',' && separator != ']') refuse("',' or ']' after an object");
    scanner.step();
  }
  if (scanner.peek() != '\0') refuse("the end of the file");
  return rows;
}

std::vector<json::Record> line_rows(const DataFile& file) {
  std::vector<json::Record> rows;
  int64_t number = 0;
  for (const std::string_view line : lines_of(file.text)) {
    ++number;
    if (strip(line).empty()) continue;
    rows.push_back(json::Record::parse(line, fmt::format("{}:{}", file.name, number)));
  }
  return rows;
}

std::vector<json::Record> expect_rows(std::vector<json::Record> rows, const DataFile& file) {
  if (rows.empty()) fail("{}: expected at least one row, found none", file.name);
  return rows;
}

}  // namespace

std::vector<json::Record> json_rows(const DataFile& file) {
  const bool array = Scanner(file.text, file.name).peek() == '[';
  return expect_rows(array ? array_rows(file) : line_rows(file), file);
}

std::vector<json::Record> csv_rows(const DataFile& file, const std::vector<std::string>& columns) {
  std::vector<std::string> names = columns;
  std::vector<json::Record> rows;
  for (const CsvRow& row : parse_csv(file.text, file.name)) {
    if (names.empty()) {
      names = row.fields;
      continue;
    }
    const std::string place = fmt::format("{}:{}", file.name, row.line);
    if (row.fields.size() != names.size()) {
      fail("{}: expected {} values, found {}", place, names.size(), row.fields.size());
    }
    json::Record& record = rows.emplace_back();
    record.set_source(place);
    for (size_t i = 0; i < names.size(); ++i) record.set(names[i], row.fields[i]);
  }
  return expect_rows(std::move(rows), file);
}

std::vector<json::Record> read_rows(const DataFile& file, const std::vector<std::string>& columns) {
  const bool csv = without_compression(file.name).ends_with(".csv");
  return csv ? csv_rows(file, columns) : json_rows(file);
}

std::string_view without_compression(std::string_view name) {
  constexpr std::array<std::string_view, 3> kEndings = {".gz", ".xz", ".zst"};
  for (const std::string_view ending : kEndings) {
    if (name.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  }
  return name;
}

}  // namespace evo::eval
