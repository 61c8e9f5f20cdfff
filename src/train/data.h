// From files to tokens: documents are encoded side by side and written in their order.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/documents.h"
#include "io/tokens.h"
#include "text/tokenizer.h"

namespace evo {

/// A piece of a conversation as its chat template writes it; only what the assistant says is
/// learnt.
struct ChatPart {
  std::string text;
  bool learn = false;
};
using ChatFormat = std::function<std::vector<ChatPart>(std::span<const ChatMessage>)>;

struct CorpusOptions {
  std::vector<std::string> files;   ///< see io/documents.h
  std::string text_field = "text";  ///< of lines of JSON
  /// Share of the documents that is held out, chosen by a hash of their content: the same ones in
  /// every order, and copies of a document together.
  double held_out = 0;
  ChatFormat chat_format;  ///< without, conversations are an Error
  bool quiet = false;      ///< no progress
};

/// Changes with the stored bytes of any file, with the order of the files and with the options.
[[nodiscard]] uint64_t corpus_fingerprint(const CorpusOptions& options);

/// Documents to train a tokenizer on: all of them or, if that is more than `max_bytes` of text,
/// from the beginning. Throws Error if there is no text at all.
[[nodiscard]] std::vector<std::string> sample_texts(const CorpusOptions& options,
                                                    size_t max_bytes = size_t{256} << 20);

/// All tokens in memory: <|endoftext|> before every document and after the last one; behind it what
/// texts begin with, if the tokenizer says so.
[[nodiscard]] std::vector<int32_t> encode_corpus(const CorpusOptions& options,
                                                 const Tokenizer& tokenizer);

/// The token file of the corpus at `path`: the one that is there if text, options and tokenizer are
/// the same, else a new one. Both of its parts are as encode_corpus() says. Ctrl-C is an Error, and
/// leaves what was there.
TokenFile prepare_tokens(const CorpusOptions& options, const Tokenizer& tokenizer,
                         const std::filesystem::path& path);

}  // namespace evo
