// From text files to a token file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "io/tokens.h"
#include "text/tokenizer.h"

namespace evo {

/// The texts of `files`, split into documents at lines that hold "<|endoftext|>" and nothing else.
class Corpus {
 public:
  /// Throws Error if a file is missing or empty, or if there is no text at all.
  explicit Corpus(const std::vector<std::string>& files);

  [[nodiscard]] const std::vector<std::string_view>& documents() const { return documents_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] uint64_t fingerprint() const { return fingerprint_; }

 private:
  std::vector<std::string> texts_;
  std::vector<std::string_view> documents_;
  size_t bytes_ = 0;
  uint64_t fingerprint_ = 0;
};

/// <|endoftext|> before every document and after the last one.
std::vector<int32_t> encode_corpus(const Corpus& corpus, const Tokenizer& tokenizer, bool quiet);

/// The token file of `corpus` at `path`: the one that is there if text and tokenizer are the same,
/// else a new one.
TokenFile prepare_tokens(const Corpus& corpus, const Tokenizer& tokenizer,
                         const std::filesystem::path& path, bool quiet);

}  // namespace evo
