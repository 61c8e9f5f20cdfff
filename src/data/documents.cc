#include "data/documents.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "json/record.h"

namespace evo::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSeparator = "<|endoftext|>";
constexpr size_t kReadAtATime = size_t{1} << 18;
constexpr size_t kLongest = size_t{64} << 20;  // a document must fit into memory
// Bad lines of a file that are skipped: some, or a share.
constexpr int64_t kFewBadLines = 10, kLinesPerBadOne = 100, kNamedLines = 5;

bool is_separator(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line == kSeparator;
}

void trim_line_ends(std::string& text) {
  const size_t begin = text.find_first_not_of("\r\n");
  if (begin == std::string::npos) {
    text.clear();
    return;
  }
  text.erase(text.find_last_not_of("\r\n") + 1);
  text.erase(0, begin);
}

std::vector<text::ChatMessage> messages_of(const json::Record& line) {
  std::vector<text::ChatMessage> messages;
  for (const json::Record& message : line.get_records("messages")) {
    messages.push_back({message.get_string("role"), message.get_string("content")});
  }
  return messages;
}

}  // namespace

DocumentReader::DocumentReader(std::vector<std::string> files, std::string text_field)
    : files_(std::move(files)), text_field_(std::move(text_field)) {
  for (const std::string& file : files_) {
    std::error_code unknown;
    const auto size = fs::file_size(file, unknown);
    if (!unknown) {
      stored_bytes_ += size;
    } else if (!fs::exists(file)) {
      fail("{}: No such file or folder; --data expects files with text", file);
    }
  }
}

size_t DocumentReader::stored_bytes_read() const {
  return finished_bytes_ + (reader_ ? reader_->stored_bytes_read() : 0);
}

std::optional<Document> DocumentReader::next() {
  while (reader_ || open_next()) {
    if (std::optional<Document> document = json_ ? next_json() : next_plain()) return document;
    close();
  }
  return std::nullopt;
}

bool DocumentReader::open_next() {
  if (next_file_ == files_.size()) return false;
  const fs::path file = files_[next_file_++];
  reader_.emplace(file);
  if (reader_->stored().empty()) fail("{} is empty; expected a text", file.string());
  buffer_.clear();
  begin_ = 0;
  line_number_ = bad_lines_ = 0;
  has_good_line_ = false;
  check_ = {};
  while (buffer_.size() < kReadAtATime && read_piece() > 0) continue;
  if (const std::string fault = foreign_format(file, buffer_); !fault.empty()) fail("{}", fault);
  json_ = is_json_lines(file, buffer_);
  if (buffer_.starts_with("\xEF\xBB\xBF")) begin_ = 3;  // a byte order mark
  return true;
}

/// Appends to what was read; how many bytes, 0 at the end of the file.
size_t DocumentReader::read_piece() {
  const size_t before = buffer_.size();
  buffer_.resize(before + kReadAtATime);
  const size_t count = reader_->read(std::span(buffer_).subspan(before));
  buffer_.resize(before + count);
  check_.add(std::string_view(buffer_).substr(before));
  if (check_.refuses(count == 0)) fail("{}", describe_refusal(reader_->path(), check_));
  return count;
}

void DocumentReader::close() {
  if (check_.bad() > 0) {
    notes_.push_back(fmt::format("{}: {} of its {} bytes are no UTF-8; they are kept as they are",
                                 reader_->path().string(), check_.bad(), check_.bytes()));
  }
  if (bad_lines_ > kNamedLines) {
    notes_.push_back(fmt::format("{}: {} of its {} lines were skipped", reader_->path().string(),
                                 bad_lines_, line_number_));
  }
  finished_bytes_ += reader_->stored_bytes_read();
  reader_.reset();
}

/// The next line of the file into line_; false at its end.
bool DocumentReader::read_line() {
  size_t searched = begin_;
  size_t end = buffer_.find('\n', searched);
  while (end == std::string::npos) {
    searched = buffer_.size() - begin_;
    buffer_.erase(0, std::exchange(begin_, 0));
    const size_t count = read_piece();
    end = buffer_.find('\n', searched);
    if (count == 0) break;
  }
  line_ended_ = end != std::string::npos;
  if (!line_ended_) end = buffer_.size();
  if (begin_ == end && !line_ended_) return false;
  line_ = std::string_view(buffer_).substr(begin_, end - begin_);
  begin_ = end + (line_ended_ ? 1 : 0);
  ++line_number_;
  return true;
}

std::optional<Document> DocumentReader::next_plain() {
  Document document;
  while (read_line()) {
    if (!is_separator(line_)) {
      document.text += line_;
      if (line_ended_) document.text += '\n';
      if (document.text.size() < kLongest) continue;
    }
    trim_line_ends(document.text);
    if (!document.text.empty()) return document;
  }
  trim_line_ends(document.text);
  if (document.text.empty()) return std::nullopt;
  return document;
}

std::optional<Document> DocumentReader::next_json() {
  while (read_line()) {
    if (line_.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Document document;
    try {
      document = parse_line();
    } catch (const Error& error) {
      bear_bad_line(error.what());
      continue;
    }
    has_good_line_ = true;
    if (document.is_chat() || !document.text.empty()) return document;
  }
  return std::nullopt;
}

Document DocumentReader::parse_line() const {
  const json::Record line = json::Record::parse_foreign(
      line_, fmt::format("{}, line {}", reader_->path().string(), line_number_));
  Document document;
  if (line.has(text_field_)) {
    document.text = line.get_string(text_field_);
  } else if (line.has("messages")) {
    document.messages = messages_of(line);
  } else if (line.has("completion")) {
    document.prompt = line.get_string("prompt");
    document.text = line.get_string("completion");
  } else {
    fail(
        "{}: expected a text in \"{}\", \"prompt\" and \"completion\", or chat \"messages\"; name "
        "the field with --text-field",
        line.source(), text_field_);
  }
  return document;
}

void DocumentReader::bear_bad_line(const std::string& fault) {
  ++bad_lines_;
  // The first lines say whether the file is what it is taken for.
  if (!has_good_line_) fail("{}", fault);
  if (bad_lines_ > std::max(kFewBadLines, line_number_ / kLinesPerBadOne)) {
    fail("{}; {} of the {} lines so far are bad, and at most {} or 1% are skipped", fault,
         bad_lines_, line_number_, kFewBadLines);
  }
  if (bad_lines_ <= kNamedLines) notes_.push_back("skipping a line: " + fault);
}

}  // namespace evo::data
