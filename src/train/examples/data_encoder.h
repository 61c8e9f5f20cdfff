// Documents to tokens, many at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/process/watcher.h"
#include "data/tokens_writer.h"
#include "text/chat_message.h"
#include "tokenizer/tokenizer.h"

namespace evo::train {

/// A piece of a conversation as its chat template writes it; only what the assistant says is
/// learnt.
struct ChatPart {
  std::string text;
  bool learn = false;
};
using ChatFormat = std::function<std::vector<ChatPart>(std::span<const text::ChatMessage>)>;

/// Conversations as the chat template beside `tokenizer`, a file or a model, writes them; as
/// ChatML if there is none, or if the name is empty.
[[nodiscard]] ChatFormat chat_format_beside(const std::filesystem::path& tokenizer);

struct CorpusOptions {
  std::vector<std::string> files;   ///< see data/documents.h
  std::string text_field = "text";  ///< of lines of JSON
  /// Share of the documents that is held out, chosen by a hash of their content: the same ones in
  /// every order, and copies of a document together.
  double held_out = 0;
  ChatFormat chat_format;                    ///< without, conversations are an Error
  bool quiet = false;                        ///< no progress
  std::function<bool()> stop = interrupted;  ///< true: reading ends, with nothing written
};

struct EncodedPart {
  std::vector<int32_t> tokens;
  bool learn = true;
};

struct EncodedDocument {
  std::vector<EncodedPart> parts;  ///< the last one ends with <|endoftext|>
  bool held_out = false;
};

/// How a corpus is encoded. Documents have numbers 0, 1 ... in the order in which they come, which
/// does not depend on the number of threads.
struct EncodingPlan {
  /// 1: documents come in the order of the files. More: so many files are read at a time, a few
  /// megabytes of each in turn, so that neither unpacking nor parsing holds up many threads.
  int64_t files_at_once = 1;
  std::function<bool(int64_t number)> is_done;  ///< true: leave it out, unencoded; may be empty
  std::function<void(int64_t number, const EncodedDocument&)> take;
  std::function<std::string()> note;  ///< for the progress line; may be empty
};

/// Calls plan.take for every document, in order, on the calling thread. Returns false if
/// options.stop() came first. Throws Error if there is no text at all.
[[nodiscard]] bool encode_documents(const CorpusOptions& options,
                                    const tokenizer::Tokenizer& tokenizer,
                                    const EncodingPlan& plan);

/// Writes documents to a token file, whose parts each begin with <|endoftext|>.
class DocumentWriter {
 public:
  DocumentWriter(const std::filesystem::path& path, const tokenizer::Tokenizer& tokenizer);

  void append(const EncodedDocument& document);
  [[nodiscard]] const data::TokenWriter& tokens() const { return writer_; }
  /// See TokenWriter.
  uint64_t commit(uint64_t source_fingerprint);

 private:
  data::TokenWriter writer_;
  int32_t end_of_text_;
  uint64_t tokenizer_fingerprint_;
};

}  // namespace evo::train
