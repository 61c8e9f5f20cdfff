#include "train/data.h"

#include <utility>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/random.h"

namespace evo {
namespace {

constexpr uint64_t kHeldOutStream = 0x686F6C64;
constexpr size_t kBatchBytes = size_t{4} << 20;  // of text, encoded side by side

uint64_t checksum_of(std::string_view text) {
  return checksum64(std::as_bytes(std::span(text)));
}

struct EncodedPart {
  std::vector<int32_t> tokens;
  bool learn = true;
};

struct EncodedDocument {
  std::vector<EncodedPart> parts;
  bool held_out = false;
};

/// A hash of the content as a number in [0, 1).
double place_of(std::span<const ChatPart> parts) {
  uint64_t hash = kHeldOutStream;
  for (const ChatPart& part : parts) hash = stream_id({hash, checksum_of(part.text)});
  return static_cast<double>(hash >> 11) * 0x1p-53;
}

class Encoder {
 public:
  Encoder(const CorpusOptions& options, const Tokenizer& tokenizer)
      : options_(options), tokenizer_(tokenizer) {}

  [[nodiscard]] EncodedDocument encode(const Document& document) const {
    const std::vector<ChatPart> parts = parts_of(document);
    EncodedDocument encoded;
    encoded.held_out = options_.held_out > 0 && place_of(parts) < options_.held_out;
    const std::span<const int32_t> prefix = tokenizer_.prefix();
    encoded.parts.push_back({{prefix.begin(), prefix.end()}, false});
    // A chat template writes special tokens by their names.
    const EncodeOptions encode{.special = document.is_chat()};
    for (const ChatPart& part : parts) {
      encoded.parts.push_back({tokenizer_.encode(part.text, encode), part.learn});
    }
    encoded.parts.back().tokens.push_back(tokenizer_.end_of_text());
    return encoded;
  }

 private:
  [[nodiscard]] std::vector<ChatPart> parts_of(const Document& document) const {
    if (!document.prompt.empty()) return {{document.prompt, false}, {document.text, true}};
    if (!document.is_chat()) return {{document.text, true}};
    if (!options_.chat_format) fail("the data has conversations; expected texts only");
    return options_.chat_format(document.messages);
  }

  const CorpusOptions& options_;
  const Tokenizer& tokenizer_;
};

/// Calls take(EncodedDocument) for every document in order.
template <class Take>
void for_each_encoded(const CorpusOptions& options, const Tokenizer& tokenizer, const Take& take) {
  DocumentReader reader(options.files, options.text_field);
  const Encoder encoder(options, tokenizer);
  Progress progress("encoding", static_cast<double>(reader.stored_bytes()) / 1e6, "MB",
                    options.quiet);
  bool any = false, more = true;
  while (more) {
    std::vector<Document> documents;
    for (size_t bytes = 0; more && bytes < kBatchBytes;) {
      std::optional<Document> document = reader.next();
      more = document.has_value();
      if (!more) break;
      bytes += document->prompt.size() + document->text.size();
      for (const ChatMessage& message : document->messages) bytes += message.content.size();
      documents.push_back(std::move(*document));
    }
    std::vector<EncodedDocument> encoded(documents.size());
    parallel_items(std::ssize(documents), [&](int64_t i) {
      const auto at = static_cast<size_t>(i);
      encoded[at] = encoder.encode(documents[at]);
    });
    for (const EncodedDocument& document : encoded) take(document);
    any = any || !encoded.empty();
    if (interrupted()) fail("interrupted while the text was encoded: nothing was written");
    progress.update(static_cast<double>(reader.stored_bytes_read()) / 1e6);
  }
  progress.finish();
  if (!any) fail("the data holds no text: give files with --data that have some");
}

void write_corpus(const CorpusOptions& options, const Tokenizer& tokenizer,
                  const std::filesystem::path& path, uint64_t fingerprint) {
  TokenWriter writer(path, tokenizer.vocab_size());
  const int32_t end = tokenizer.end_of_text();
  writer.append(std::span(&end, 1));
  bool first_held_out = true;
  for_each_encoded(options, tokenizer, [&](const EncodedDocument& document) {
    if (document.held_out && std::exchange(first_held_out, false)) {
      writer.append_held_out(std::span(&end, 1));
    }
    for (const EncodedPart& part : document.parts) {
      if (document.held_out) {
        writer.append_held_out(part.tokens, part.learn);
      } else {
        writer.append(part.tokens, part.learn);
      }
    }
  });
  writer.commit(tokenizer.fingerprint(), fingerprint);
}

}  // namespace

uint64_t corpus_fingerprint(const CorpusOptions& options) {
  uint64_t hash = stream_id(
      {checksum_of(options.text_field), checksum_of(fmt::format("{}", options.held_out))});
  for (const std::string& file : options.files) {
    hash = stream_id({hash, checksum_of(TextReader(file).stored())});
  }
  if (!options.chat_format) return hash;
  const ChatMessage probe[] = {{"user", "a"}, {"assistant", "b"}};
  for (const ChatPart& part : options.chat_format(probe)) {
    hash = stream_id({hash, checksum_of(part.text), part.learn ? 1u : 0u});
  }
  return hash;
}

std::vector<std::string> sample_texts(const CorpusOptions& options, size_t max_bytes) {
  DocumentReader reader(options.files, options.text_field);
  std::vector<std::string> texts;
  size_t bytes = 0;
  while (bytes < max_bytes) {
    std::optional<Document> document = reader.next();
    if (!document) break;
    for (ChatMessage& message : document->messages) document->text += message.content + "\n";
    document->text.insert(0, document->prompt);
    bytes += document->text.size();
    texts.push_back(std::move(document->text));
  }
  if (texts.empty()) fail("the data holds no text: give files with --data that have some");
  return texts;
}

std::vector<int32_t> encode_corpus(const CorpusOptions& options, const Tokenizer& tokenizer) {
  std::vector<int32_t> tokens = {tokenizer.end_of_text()};
  for_each_encoded(options, tokenizer, [&](const EncodedDocument& document) {
    for (const EncodedPart& part : document.parts) {
      tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
    }
  });
  return tokens;
}

TokenFile prepare_tokens(const CorpusOptions& options, const Tokenizer& tokenizer,
                         const std::filesystem::path& path) {
  const uint64_t fingerprint = corpus_fingerprint(options);
  if (std::filesystem::exists(path)) {
    try {
      TokenFile tokens(path);
      if (tokens.tokenizer_fingerprint() == tokenizer.fingerprint() &&
          tokens.source_fingerprint() == fingerprint) {
        return tokens;
      }
    } catch (const Error& error) {
      log_warning("making the tokens again: {}", error.what());
    }
  }
  write_corpus(options, tokenizer, path, fingerprint);
  return TokenFile(path);
}

}  // namespace evo
