#include <array>
#include <string>
#include <vector>

#include "tokenizer/bpe/byte_alphabet.h"
#include "tokenizer/readers/gguf/gguf_patterns.h"
#include "tokenizer/readers/gguf/gguf_tokenizer.h"
#include "tokenizer/readers/piece_vocabulary.h"
#include "tokenizer/steps/post_processor.h"
#include "tokenizer/steps/pre_tokenizer.h"

namespace evo::tokenizer {
namespace {

struct Lists {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
  std::vector<float> scores;
};

/// What stands where no token has the id.
void set_unused(Lists& lists, size_t id) {
  lists.texts[id] = fmt::format("[PAD{}]", id);
  lists.types[id] = weights::GgufToken::kUnused;
}

void write_lists(Lists& lists, int64_t rows, weights::GgufWriter& writer) {
  while (std::cmp_less(lists.texts.size(), rows)) {
    lists.texts.emplace_back();
    lists.types.emplace_back();
    set_unused(lists, lists.texts.size() - 1);
    lists.scores.push_back(lists.scores.empty() ? 0 : lists.scores.back());
  }
  writer.set("tokenizer.ggml.tokens", lists.texts);
  writer.set("tokenizer.ggml.token_type", lists.types);
}

void export_bytes(const TokenizerSpec& spec, int64_t rows, weights::GgufWriter& writer) {
  const GgufPattern* const pattern =
      gguf_pattern_of(spec.pre_tokenizer, spec.normalizer, spec.ignore_merges);
  if (pattern == nullptr) {
    fail("the tokenizer cuts texts in a way that GGUF has no name for that evo knows; it knows {}",
         gguf_pattern_names());
  }
  Lists lists;
  for (const std::string& token : spec.tokens) lists.texts.push_back(to_byte_alphabet(token));
  lists.types.resize(lists.texts.size(), weights::GgufToken::kNormal);
  std::vector<std::string> merges;
  for (const Merge& merge : spec.merges) {
    merges.push_back(fmt::format("{} {}", lists.texts[static_cast<size_t>(merge.left)],
                                 lists.texts[static_cast<size_t>(merge.right)]));
  }
  for (const AddedToken& token : spec.added) {
    const auto id = static_cast<size_t>(token.id);
    lists.texts[id] = spec.tokens[id];
    lists.types[id] = token.hidden    ? weights::GgufToken::kUnused
                      : token.special ? weights::GgufToken::kControl
                                      : weights::GgufToken::kUserDefined;
  }
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    if (spec.tokens[i].empty()) set_unused(lists, i);
  }
  writer.set("tokenizer.ggml.model", "gpt2");
  writer.set("tokenizer.ggml.pre", pattern->names.front());
  write_lists(lists, rows, writer);
  writer.set("tokenizer.ggml.merges", merges);
}

void export_pieces(const TokenizerSpec& spec, int64_t rows, weights::GgufWriter& writer) {
  const PieceVocabulary vocabulary = pieces_of_spec(spec);
  Lists lists;
  for (const Piece& piece : vocabulary.pieces) {
    lists.texts.push_back(piece.text);
    lists.types.push_back(static_cast<int32_t>(piece.kind));
    lists.scores.push_back(piece.score);
  }
  writer.set("tokenizer.ggml.model", "llama");
  writer.set("tokenizer.ggml.pre", "default");
  write_lists(lists, rows, writer);
  writer.set("tokenizer.ggml.scores", lists.scores);
  writer.set("tokenizer.ggml.add_space_prefix", vocabulary.space_first);
  if (spec.unknown >= 0)
    writer.set("tokenizer.ggml.unknown_token_id", static_cast<int64_t>(spec.unknown));
}

/// Texts begin and end with one token at most.
void export_frame(const TokenizerSpec& spec, GgufSpecialTokens special,
                  weights::GgufWriter& writer) {
  const PostProcessor frame = PostProcessor::parse(spec.post_processor, spec.tokens.size());
  if (frame.prefix.size() > 1 || frame.suffix.size() > 1)
    fail("the tokenizer puts several tokens around a text: GGUF has room for one on each side");
  if (!frame.prefix.empty()) special.begin = frame.prefix[0];
  if (!frame.suffix.empty()) special.ends.insert(special.ends.begin(), frame.suffix[0]);
  if (special.begin >= 0) writer.set("tokenizer.ggml.bos_token_id", special.begin);
  constexpr std::array kEnds = {"eos", "eot", "eom"};
  size_t place = 0;
  for (size_t i = 0; i < special.ends.size() && place < kEnds.size(); ++i) {
    if (std::find(special.ends.begin(), special.ends.begin() + static_cast<ptrdiff_t>(i),
                  special.ends[i]) != special.ends.begin() + static_cast<ptrdiff_t>(i)) {
      continue;
    }
    writer.set(fmt::format("tokenizer.ggml.{}_token_id", kEnds[place++]), special.ends[i]);
  }
  writer.set("tokenizer.ggml.add_bos_token", !frame.prefix.empty());
  writer.set("tokenizer.ggml.add_eos_token", !frame.suffix.empty());
}

}  // namespace

void export_tokenizer(const TokenizerSpec& spec, const GgufSpecialTokens& special, int64_t rows,
                      weights::GgufWriter& writer) {
  if (spec.model != TokenizerModel::kBpe) {
    fail("the tokenizer's model is not BPE, and GGUF files are written with BPE only");
  }
  if (PreTokenizer(spec.pre_tokenizer).byte_level()) {
    export_bytes(spec, rows, writer);
  } else {
    export_pieces(spec, rows, writer);
  }
  export_frame(spec, special, writer);
}

}  // namespace evo::tokenizer
