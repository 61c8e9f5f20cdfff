// The documents of a corpus, one after the other, from any number of files of any size.
//
// Plain text: documents end at lines that hold "<|endoftext|>" and nothing else, at the end of a
// file and at a line end after 64 MB. JSON lines (names that end in .jsonl or .ndjson, or in .json
// if the first line is an object): an object per line, with a text in a field, with `prompt` and
// `completion`, or with chat `messages`. Both may be compressed (files/text_reader.h).
//
// What is something else is an Error (data/data_files.h). A little of it is borne: of a text, 1% of
// its bytes may be no UTF-8, and are kept as they are; of JSON lines, 1% of a file's lines so far,
// or ten, may be bad, and are skipped, but not the first. Notes say where.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/data_files.h"
#include "files/text_reader.h"
#include "text/chat_message.h"

namespace evo::data {

struct Document {
  std::string text;
  std::string prompt;                       ///< what the text answers, not learnt; mostly empty
  std::vector<text::ChatMessage> messages;  ///< a conversation instead of a text, if not empty
  [[nodiscard]] bool is_chat() const { return !messages.empty(); }
};

class DocumentReader {
 public:
  /// `text_field` is what lines of JSON have their text in. Throws Error if a file is missing.
  explicit DocumentReader(std::vector<std::string> files, std::string text_field = "text");

  /// The next document that is not empty; nothing at the end. Throws Error that names file and line
  /// of what is no document, where there is too much of it.
  std::optional<Document> next();

  /// What was borne since the last call, for people to read.
  [[nodiscard]] std::vector<std::string> take_notes() { return std::exchange(notes_, {}); }

  /// What there is to read, as it is stored, and how much of that was read: for progress.
  [[nodiscard]] size_t stored_bytes() const { return stored_bytes_; }
  [[nodiscard]] size_t stored_bytes_read() const;

 private:
  bool open_next();
  size_t read_piece();
  bool read_line();
  void close();
  Document parse_line() const;
  void bear_bad_line(const std::string& fault);
  std::optional<Document> next_plain();
  std::optional<Document> next_json();

  std::vector<std::string> files_;
  std::string text_field_;
  size_t next_file_ = 0;
  std::optional<files::TextReader> reader_;
  bool json_ = false;
  std::string buffer_;  // read, but not given out before begin_
  size_t begin_ = 0;
  std::string_view line_;    // the last one, without its end; into buffer_
  bool line_ended_ = false;  // by a newline
  int64_t line_number_ = 0, bad_lines_ = 0;
  bool has_good_line_ = false;
  TextCheck check_;  // of plain text
  std::vector<std::string> notes_;
  size_t stored_bytes_ = 0, finished_bytes_ = 0;
};

}  // namespace evo::data
