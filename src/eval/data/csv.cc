#include "eval/data/csv.h"

#include "base/error.h"

namespace evo::eval {
namespace {

class CsvParser {
 public:
  CsvParser(std::string_view text, std::string_view source) : text_(text), source_(source) {}

  std::vector<CsvRow> parse() {
    std::vector<CsvRow> rows;
    while (at_ < text_.size()) {
      CsvRow row = next_row();
      if (row.fields.size() > 1 || !row.fields[0].empty()) rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  CsvRow next_row() {
    CsvRow row{line_, {}};
    do {
      row.fields.push_back(next_field());
    } while (take(','));
    take('\r');
    take('\n');
    return row;
  }

  /// A quote begins a quoted part only at the beginning of a field; what follows its end up to the
  /// comma belongs to the field too.
  std::string next_field() {
    std::string field;
    if (take('"')) field = quoted();
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && text_[at_] != '\r') {
      field += text_[at_++];
    }
    return field;
  }

  std::string quoted() {
    const int64_t first_line = line_;
    std::string part;
    while (at_ < text_.size()) {
      if (take('"')) {
        if (!take('"')) return part;
        part += '"';
      } else {
        if (text_[at_] == '\n') ++line_;
        part += text_[at_++];
      }
    }
    fail("{}:{}: the quote that begins here does not end; is the file cut short?", source_,
         first_line);
  }

  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    if (c == '\n') ++line_;
    ++at_;
    return true;
  }

  std::string_view text_, source_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace

std::vector<CsvRow> parse_csv(std::string_view text, std::string_view source) {
  return CsvParser(text, source).parse();
}

}  // namespace evo::eval
