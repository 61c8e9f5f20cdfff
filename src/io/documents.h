// The documents of a corpus, one after the other, from any number of files of any size.
//
// Plain text: documents end at lines that hold "<|endoftext|>" and nothing else, at the end of a
// file and at a line end after 64 MB. JSON lines (names that end in .jsonl or .ndjson): an object
// per line, with a text in a field, with `prompt` and `completion`, or with chat `messages`. Both
// may be compressed (io/text_reader.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/chat_message.h"
#include "io/text_reader.h"

namespace evo {

struct Document {
  std::string text;
  std::string prompt;                 ///< what the text answers, not learnt; mostly empty
  std::vector<ChatMessage> messages;  ///< a conversation instead of a text, if not empty
  [[nodiscard]] bool is_chat() const { return !messages.empty(); }
};

class DocumentReader {
 public:
  /// `text_field` is what lines of JSON have their text in. Throws Error if a file is missing.
  explicit DocumentReader(std::vector<std::string> files, std::string text_field = "text");

  /// The next document that is not empty; nothing at the end. Throws Error that names file and line
  /// of what is no document.
  std::optional<Document> next();

  /// What there is to read, as it is stored, and how much of that was read: for progress.
  [[nodiscard]] size_t stored_bytes() const { return stored_bytes_; }
  [[nodiscard]] size_t stored_bytes_read() const;

 private:
  bool open_next();
  bool read_line();
  std::optional<Document> next_plain();
  std::optional<Document> next_json();

  std::vector<std::string> files_;
  std::string text_field_;
  size_t next_file_ = 0;
  std::optional<TextReader> reader_;
  bool json_ = false;
  std::string buffer_;  // read, but not given out before begin_
  size_t begin_ = 0;
  std::string_view line_;    // the last one, without its end; into buffer_
  bool line_ended_ = false;  // by a newline
  int64_t line_number_ = 0;
  size_t stored_bytes_ = 0, finished_bytes_ = 0;
};

}  // namespace evo
