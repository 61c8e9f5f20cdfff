// The token file of a corpus, and texts for a tokenizer to learn from. For corpora that are worth a
// folder of their own see train/examples/data_shards.h.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/documents.h"
#include "data/tokens.h"
#include "tokenizer/tokenizer.h"
#include "train/examples/data_encoder.h"

namespace evo::train {

/// Changes with the stored bytes of any file, with the order of the files and with the options.
[[nodiscard]] uint64_t corpus_fingerprint(const CorpusOptions& options);

/// Documents to train a tokenizer on: all of them or, if that is more than `max_bytes` of text,
/// from the beginning. Throws Error if there is no text at all. `notes`, if given, gets what was
/// borne (DocumentReader::take_notes()).
[[nodiscard]] std::vector<std::string> sample_texts(const CorpusOptions& options,
                                                    size_t max_bytes = size_t{256} << 20,
                                                    std::vector<std::string>* notes = nullptr);

/// All tokens in memory: <|endoftext|> before every document and after the last one; behind it what
/// texts begin with, if the tokenizer says so.
[[nodiscard]] std::vector<int32_t> encode_corpus(const CorpusOptions& options,
                                                 const tokenizer::Tokenizer& tokenizer);

/// The token file of the corpus at `path`: the one that is there if text, options and tokenizer are
/// the same, else a new one. Both of its parts are as encode_corpus() says. Ctrl-C is an Error, and
/// leaves what was there.
data::TokenFile prepare_tokens(const CorpusOptions& options, const tokenizer::Tokenizer& tokenizer,
                               const std::filesystem::path& path);

}  // namespace evo::train
