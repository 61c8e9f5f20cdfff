#include "io/documents.h"

#include <filesystem>
#include <utility>

#include "base/error.h"
#include "io/record.h"

namespace evo {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSeparator = "<|endoftext|>";
constexpr size_t kPiece = size_t{1} << 18;
constexpr size_t kLongest = size_t{64} << 20;  // a document must fit into memory

/// The extension that says what is in a file, beneath that of a compressed one.
std::string content_extension(const fs::path& path) {
  const fs::path extension = path.extension();
  const bool compressed = extension == ".xz" || extension == ".zst" || extension == ".gz";
  return (compressed ? path.stem().extension() : extension).string();
}

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

std::vector<ChatMessage> messages_of(const Record& line) {
  std::vector<ChatMessage> messages;
  for (const Record& message : line.get_records("messages")) {
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
    finished_bytes_ += reader_->stored_bytes_read();
    reader_.reset();
  }
  return std::nullopt;
}

bool DocumentReader::open_next() {
  if (next_file_ == files_.size()) return false;
  const fs::path file = files_[next_file_++];
  reader_.emplace(file);
  if (reader_->stored().empty()) fail("{} is empty; expected a text", file.string());
  const std::string extension = content_extension(file);
  json_ = extension == ".jsonl" || extension == ".ndjson";
  buffer_.clear();
  begin_ = 0;
  line_number_ = 0;
  return true;
}

/// The next line of the file into line_; false at its end.
bool DocumentReader::read_line() {
  size_t searched = begin_;
  size_t end = buffer_.find('\n', searched);
  while (end == std::string::npos) {
    searched = buffer_.size() - begin_;
    buffer_.erase(0, std::exchange(begin_, 0));
    buffer_.resize(searched + kPiece);
    const size_t count = reader_->read(std::span(buffer_).subspan(searched));
    buffer_.resize(searched + count);
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
    const Record line =
        Record::parse(line_, fmt::format("{}, line {}", reader_->path().string(), line_number_));
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
          "{}: expected a text in \"{}\", \"prompt\" and \"completion\", or chat \"messages\"; "
          "name "
          "the field with --text-field",
          line.source(), text_field_);
    }
    if (document.is_chat() || !document.text.empty()) return document;
  }
  return std::nullopt;
}

}  // namespace evo
