#include "train/data.h"

#include "base/log.h"
#include "base/progress.h"
#include "io/files.h"

namespace evo {
namespace {

constexpr std::string_view kSeparator = "<|endoftext|>";

/// The documents of one text; a separator counts only if it is a line of its own.
void split_documents(std::string_view text, std::vector<std::string_view>& out) {
  size_t begin = 0, search = 0;
  const auto add = [&](size_t end) {
    std::string_view document = text.substr(begin, end - begin);
    while (!document.empty() && (document.front() == '\n' || document.front() == '\r'))
      document.remove_prefix(1);
    while (!document.empty() && (document.back() == '\n' || document.back() == '\r'))
      document.remove_suffix(1);
    if (!document.empty()) out.push_back(document);
  };
  for (;;) {
    const size_t at = text.find(kSeparator, search);
    if (at == std::string_view::npos) break;
    const size_t after = at + kSeparator.size();
    const bool starts_line = at == 0 || text[at - 1] == '\n';
    const bool ends_line = after == text.size() || text[after] == '\n' || text[after] == '\r';
    search = after;
    if (!starts_line || !ends_line) continue;
    add(at);
    begin = after;
  }
  add(text.size());
}

}  // namespace

Corpus::Corpus(const std::vector<std::string>& files) {
  texts_.reserve(files.size());  // documents_ points into the strings
  for (const std::string& file : files) {
    texts_.push_back(read_text_corpus(file));
    const std::string& text = texts_.back();
    bytes_ += text.size();
    const uint64_t parts[] = {fingerprint_, checksum64(std::as_bytes(std::span(text)))};
    fingerprint_ = checksum64(std::as_bytes(std::span(parts)));
    split_documents(text, documents_);
  }
  if (documents_.empty()) fail("the data holds no text: give files with --data that have some");
}

std::vector<int32_t> encode_corpus(const Corpus& corpus, const Tokenizer& tokenizer, bool quiet) {
  Progress progress("encoding", static_cast<double>(corpus.bytes()) / 1e6, "MB", quiet);
  std::vector<int32_t> tokens = {tokenizer.end_of_text()};
  size_t done = 0;
  for (std::string_view document : corpus.documents()) {
    tokenizer.encode_append(document, tokens);
    tokens.push_back(tokenizer.end_of_text());
    done += document.size();
    progress.update(static_cast<double>(done) / 1e6);
  }
  return tokens;
}

TokenFile prepare_tokens(const Corpus& corpus, const Tokenizer& tokenizer,
                         const std::filesystem::path& path, bool quiet) {
  if (std::filesystem::exists(path)) {
    try {
      TokenFile tokens(path);
      if (tokens.tokenizer_fingerprint() == tokenizer.fingerprint() &&
          tokens.source_fingerprint() == corpus.fingerprint()) {
        return tokens;
      }
    } catch (const Error& error) {
      log_warning("making the tokens again: {}", error.what());
    }
  }
  write_tokens(path, encode_corpus(corpus, tokenizer, quiet), tokenizer.fingerprint(),
               corpus.fingerprint());
  return TokenFile(path);
}

}  // namespace evo
