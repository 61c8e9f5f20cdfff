#include "train/examples/data_encoder.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/process/watcher.h"
#include "base/random.h"
#include "base/threads/parallel.h"
#include "chat/chat_template.h"
#include "data/documents.h"
#include "weights/gguf/gguf_file.h"

namespace evo::train {
namespace {

constexpr uint64_t kHeldOutStream = 0x686F6C64;
constexpr size_t kBatchBytes = size_t{4} << 20;  // of text, of one reader, encoded side by side

/// A hash of the content as a number in [0, 1).
double place_of(std::span<const ChatPart> parts) {
  uint64_t hash = kHeldOutStream;
  for (const ChatPart& part : parts) {
    hash = stream_id({hash, files::checksum64(std::as_bytes(std::span(part.text)))});
  }
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

class DocumentEncoder {
 public:
  DocumentEncoder(const CorpusOptions& options, const tokenizer::Tokenizer& tokenizer)
      : options_(options), tokenizer_(tokenizer) {}

  [[nodiscard]] EncodedDocument encode(const data::Document& document) const {
    const std::vector<ChatPart> parts = parts_of(document);
    EncodedDocument encoded;
    encoded.held_out = options_.held_out > 0 && place_of(parts) < options_.held_out;
    const std::span<const int32_t> prefix = tokenizer_.prefix();
    encoded.parts.push_back({{prefix.begin(), prefix.end()}, false});
    // A chat template writes special tokens by their names.
    const tokenizer::EncodeOptions encode{.special = document.is_chat()};
    for (const ChatPart& part : parts) {
      encoded.parts.push_back({tokenizer_.encode(part.text, encode), part.learn});
    }
    encoded.parts.back().tokens.push_back(tokenizer_.need_end_of_text());
    return encoded;
  }

 private:
  [[nodiscard]] std::vector<ChatPart> parts_of(const data::Document& document) const {
    if (!document.prompt.empty()) return {{document.prompt, false}, {document.text, true}};
    if (!document.is_chat()) return {{document.text, true}};
    if (!options_.chat_format) fail("the data has conversations; expected texts only");
    return options_.chat_format(document.messages);
  }

  const CorpusOptions& options_;
  const tokenizer::Tokenizer& tokenizer_;
};

std::vector<data::Document> read_batch(data::DocumentReader& reader) {
  std::vector<data::Document> batch;
  for (size_t bytes = 0; bytes < kBatchBytes;) {
    std::optional<data::Document> document = reader.next();
    if (!document) break;
    bytes += document->prompt.size() + document->text.size();
    for (const text::ChatMessage& message : document->messages) bytes += message.content.size();
    batch.push_back(std::move(*document));
  }
  return batch;
}

/// Every n-th file to each of n readers.
std::vector<data::DocumentReader> open_readers(const CorpusOptions& options, int64_t most) {
  const size_t count = std::min(options.files.size(), static_cast<size_t>(most));
  std::vector<std::vector<std::string>> files(count);
  for (size_t i = 0; i < options.files.size(); ++i) files[i % count].push_back(options.files[i]);
  std::vector<data::DocumentReader> readers;
  for (auto& own : files) readers.emplace_back(std::move(own), options.text_field);
  return readers;
}

double megabytes(std::span<const data::DocumentReader> readers,
                 size_t (data::DocumentReader::*bytes)() const) {
  double sum = 0;
  for (const data::DocumentReader& reader : readers)
    sum += static_cast<double>((reader.*bytes)()) / 1e6;
  return sum;
}

/// The next documents of all readers, those of the first one first.
std::vector<data::Document> read_round(std::span<data::DocumentReader> readers) {
  std::vector<std::vector<data::Document>> batches(readers.size());
  parallel_items(std::ssize(readers), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    batches[at] = read_batch(readers[at]);
  });
  std::vector<data::Document> documents;
  for (auto& batch : batches) std::ranges::move(batch, std::back_inserter(documents));
  return documents;
}

}  // namespace

ChatFormat chat_format_beside(const std::filesystem::path& tokenizer) {
  const bool is_model = std::filesystem::is_directory(tokenizer) || weights::is_gguf(tokenizer);
  chat::ChatTemplate chat =
      tokenizer.empty() ? chat::ChatTemplate::chatml()
                        : chat::ChatTemplate::load(is_model ? tokenizer : tokenizer.parent_path());
  return [chat = std::move(chat)](std::span<const text::ChatMessage> messages) {
    const chat::ChatText text = chat.render_answers(messages);
    std::vector<ChatPart> parts;
    size_t place = 0;
    const auto add = [&](size_t end, bool learn) {
      if (end > place) parts.push_back({text.text.substr(place, end - place), learn});
      place = end;
    };
    for (const chat::TextSpan& answer : text.answers) {
      add(answer.begin, false);
      add(answer.end, true);
    }
    add(text.text.size(), false);
    return parts;
  };
}

bool encode_documents(const CorpusOptions& options, const tokenizer::Tokenizer& tokenizer,
                      const EncodingPlan& plan) {
  std::vector<data::DocumentReader> readers = open_readers(options, plan.files_at_once);
  const DocumentEncoder encoder(options, tokenizer);
  Progress progress("encoding", megabytes(readers, &data::DocumentReader::stored_bytes), "MB",
                    options.quiet);
  int64_t number = 0;
  while (true) {
    const std::vector<data::Document> documents = read_round(readers);
    for (data::DocumentReader& reader : readers) {
      for (const std::string& note : reader.take_notes()) log_warning("{}", note);
    }
    if (documents.empty()) break;
    std::vector<std::optional<EncodedDocument>> encoded(documents.size());
    parallel_items(std::ssize(documents), [&](int64_t i) {
      const auto at = static_cast<size_t>(i);
      if (!plan.is_done || !plan.is_done(number + i)) encoded[at] = encoder.encode(documents[at]);
    });
    for (const auto& document : encoded) {
      if (document) plan.take(number, *document);
      ++number;
    }
    if (options.stop()) return false;
    progress.update(megabytes(readers, &data::DocumentReader::stored_bytes_read),
                    plan.note ? plan.note() : "");
  }
  progress.finish();
  if (number == 0) fail("the data holds no text: give files with --data that have some");
  return true;
}

DocumentWriter::DocumentWriter(const std::filesystem::path& path,
                               const tokenizer::Tokenizer& tokenizer)
    : writer_(path, tokenizer.vocab_size()),
      end_of_text_(tokenizer.need_end_of_text()),
      tokenizer_fingerprint_(tokenizer.fingerprint()) {
  writer_.append(std::span(&end_of_text_, 1));
}

void DocumentWriter::append(const EncodedDocument& document) {
  if (document.held_out && writer_.held_out_size() == 0) {
    writer_.append_held_out(std::span(&end_of_text_, 1));
  }
  for (const EncodedPart& part : document.parts) {
    if (document.held_out) {
      writer_.append_held_out(part.tokens, part.learn);
    } else {
      writer_.append(part.tokens, part.learn);
    }
  }
}

uint64_t DocumentWriter::commit(uint64_t source_fingerprint) {
  return writer_.commit(tokenizer_fingerprint_, source_fingerprint);
}

}  // namespace evo::train
