#include "train/examples/data.h"

#include <utility>

#include "base/log.h"
#include "base/process/watcher.h"
#include "base/random.h"

namespace evo::train {
namespace {

uint64_t checksum_of(std::string_view text) {
  return files::checksum64(std::as_bytes(std::span(text)));
}

template <class Take>
void encode_all(const CorpusOptions& options, const tokenizer::Tokenizer& tokenizer,
                const Take& take) {
  EncodingPlan plan;
  plan.take = take;
  if (encode_documents(options, tokenizer, plan)) return;
  fail_interrupted("interrupted while the text was encoded: nothing was written");
}

}  // namespace

uint64_t corpus_fingerprint(const CorpusOptions& options) {
  uint64_t hash = stream_id(
      {checksum_of(options.text_field), checksum_of(fmt::format("{}", options.held_out))});
  for (const std::string& file : options.files) {
    hash = stream_id({hash, checksum_of(files::TextReader(file).stored())});
  }
  if (!options.chat_format) return hash;
  const text::ChatMessage probe[] = {{"user", "a"}, {"assistant", "b"}};
  for (const ChatPart& part : options.chat_format(probe)) {
    hash = stream_id({hash, checksum_of(part.text), part.learn ? 1u : 0u});
  }
  return hash;
}

std::vector<std::string> sample_texts(const CorpusOptions& options, size_t max_bytes,
                                      std::vector<std::string>* notes) {
  data::DocumentReader reader(options.files, options.text_field);
  std::vector<std::string> texts;
  size_t bytes = 0;
  while (bytes < max_bytes) {
    if (options.stop())
      fail_interrupted("interrupted while the text was read: nothing was written");
    std::optional<data::Document> document = reader.next();
    if (!document) break;
    for (text::ChatMessage& message : document->messages) document->text += message.content + "\n";
    document->text.insert(0, document->prompt);
    bytes += document->text.size();
    texts.push_back(std::move(document->text));
  }
  if (notes != nullptr) *notes = reader.take_notes();
  if (texts.empty()) fail("the data holds no text: give files with --data that have some");
  return texts;
}

std::vector<int32_t> encode_corpus(const CorpusOptions& options,
                                   const tokenizer::Tokenizer& tokenizer) {
  std::vector<int32_t> tokens = {tokenizer.need_end_of_text()};
  encode_all(options, tokenizer, [&](int64_t, const EncodedDocument& document) {
    for (const EncodedPart& part : document.parts) {
      tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
    }
  });
  return tokens;
}

data::TokenFile prepare_tokens(const CorpusOptions& options, const tokenizer::Tokenizer& tokenizer,
                               const std::filesystem::path& path) {
  const uint64_t fingerprint = corpus_fingerprint(options);
  if (std::filesystem::exists(path)) {
    try {
      data::TokenShard tokens(path);
      if (tokens.tokenizer_fingerprint() == tokenizer.fingerprint() &&
          tokens.source_fingerprint() == fingerprint) {
        return data::TokenFile(std::move(tokens));
      }
    } catch (const Error& error) {
      log_warning("making the tokens again: {}", error.what());
    }
  }
  DocumentWriter writer(path, tokenizer);
  encode_all(options, tokenizer,
             [&](int64_t, const EncodedDocument& document) { writer.append(document); });
  writer.commit(fingerprint);
  return data::TokenFile(path);
}

}  // namespace evo::train
