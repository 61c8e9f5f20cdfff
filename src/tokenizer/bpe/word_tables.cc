#include "tokenizer/bpe/word_tables.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "text/utf8.h"
#include "tokenizer/bpe/byte_alphabet.h"
#include "tokenizer/steps/text_decoder.h"

namespace evo::tokenizer {
namespace {

// Published vocabularies have tokens of a few hundred bytes at most.
constexpr size_t kMostTokenBytes = 1 << 16;

std::string shown(std::string_view token) {
  constexpr size_t kLength = 80;
  if (token.size() > kLength) return to_byte_alphabet(token.substr(0, kLength)) + "...";
  return text::valid_utf8_prefix(token) == token.size() ? std::string(token)
                                                        : to_byte_alphabet(token);
}

// The tokens that text can become: all but the added ones.
TokenIds index_tokens(const TokenizerSpec& spec) {
  std::unordered_set<int32_t> added;
  for (const AddedToken& token : spec.added) added.insert(token.id);
  TokenIds ids;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const std::string& token = spec.tokens[i];
    if (token.size() > kMostTokenBytes) {
      fail("token {} has {} bytes, but at most {} are supported", id, token.size(),
           kMostTokenBytes);
    }
    if (added.contains(id) || token.empty()) continue;
    const auto [other, is_new] = ids.emplace(token, id);
    if (!is_new && spec.model != TokenizerModel::kUnigram) {
      fail("tokens {} and {} are both '{}'", other->second, id, shown(token));
    }
  }
  return ids;
}

constexpr std::array<int32_t, 256> no_bytes() {
  std::array<int32_t, 256> ids{};
  ids.fill(-1);
  return ids;
}

std::array<int32_t, 256> find_bytes(const TokenIds& ids) {
  std::array<int32_t, 256> bytes = no_bytes();
  for (int byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<char>(byte);
    const auto found = ids.find(std::string_view(&value, 1));
    if (found != ids.end()) bytes[byte] = found->second;
  }
  return bytes;
}

std::array<int32_t, 256> find_fallback(const TokenizerSpec& spec) {
  std::array<int32_t, 256> bytes = no_bytes();
  if (!spec.byte_fallback) return bytes;
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const std::optional<char> byte = byte_of_token(spec.tokens[i]);
    if (byte) bytes[static_cast<unsigned char>(*byte)] = static_cast<int32_t>(i);
  }
  return bytes;
}

std::span<const Merge> checked_merges(const TokenizerSpec& spec) {
  const auto size = static_cast<int32_t>(spec.tokens.size());
  std::unordered_map<uint64_t, size_t> places;
  for (size_t i = 0; i < spec.merges.size(); ++i) {
    const auto [left, right, result] = spec.merges[i];
    for (const int32_t id : {left, right, result}) {
      if (id < 0 || id >= size) fail("merge {} names id {}, but ids are 0..{}", i, id, size - 1);
    }
    if (spec.tokens[result] != spec.tokens[left] + spec.tokens[right]) {
      fail("merge {} of '{}' and '{}' gives '{}'", i, shown(spec.tokens[left]),
           shown(spec.tokens[right]), shown(spec.tokens[result]));
    }
    const auto [other, is_new] = places.emplace(pair_key(left, right), i);
    if (!is_new) {
      fail("merges {} and {} both join '{}' and '{}'", other->second, i, shown(spec.tokens[left]),
           shown(spec.tokens[right]));
    }
  }
  return spec.merges;
}

// Some files have merges that end in a special token. Text that asks for none must not get any.
std::vector<bool> special_ids(const TokenizerSpec& spec) {
  std::vector<bool> special(spec.tokens.size());
  for (const AddedToken& token : spec.added) {
    if (token.special) special[token.id] = true;
  }
  return special;
}

TokenIds find_characters(const TokenizerSpec& spec, const TokenIds& ids) {
  TokenIds characters;
  const auto add = [&](const std::string_view token, int32_t id) {
    if (text::utf8_character_length(token) == token.size()) characters.emplace(token, id);
  };
  for (const auto& [token, id] : ids) add(token, id);
  for (const AddedToken& token : spec.added) {
    if (!token.special && token.in_vocab) add(spec.tokens[token.id], token.id);
  }
  return characters;
}

// All tokens of a Unigram model but the special and the hidden ones.
UnigramTable unigram_table(const TokenizerSpec& spec) {
  if (spec.scores.size() != spec.tokens.size()) {
    fail("the Unigram vocabulary has {} tokens and {} scores", spec.tokens.size(),
         spec.scores.size());
  }
  std::vector<bool> left_out = special_ids(spec);
  for (const AddedToken& token : spec.added) {
    if (token.hidden) left_out[static_cast<size_t>(token.id)] = true;
  }
  std::vector<UnigramPiece> pieces;
  double lowest = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    if (!std::isfinite(spec.scores[i])) fail("the score of token {} is {}", i, spec.scores[i]);
    lowest = std::min(lowest, spec.scores[i]);
    if (!left_out[i]) pieces.push_back({spec.tokens[i], static_cast<int32_t>(i), spec.scores[i]});
  }
  return UnigramTable(pieces, lowest, spec.unknown);
}

// Whether `token` has a mark behind something else.
bool joins_to_mark(std::string_view token) {
  while (token.starts_with(kSpaceMark)) token.remove_prefix(kSpaceMark.size());
  return token.find(kSpaceMark) != std::string_view::npos;
}

bool may_cut_at_space_marks(const TokenizerSpec& spec, const WordTables& tables) {
  if (spec.model != TokenizerModel::kBpe || tables.byte_level || spec.ignore_merges) return false;
  // What stands for an unknown mark depends on its neighbours.
  if (!tables.characters.contains(kSpaceMark)) return false;
  for (const Merge& merge : spec.merges) {
    if (joins_to_mark(spec.tokens[merge.result])) return false;
  }
  return true;
}

}  // namespace

WordTables::WordTables(const TokenizerSpec& spec, bool words_are_bytes)
    : model(spec.model),
      byte_level(words_are_bytes),
      merges(checked_merges(spec), special_ids(spec)),
      unknown(spec.unknown),
      fuse_unknown(spec.fuse_unknown) {
  TokenIds ids = index_tokens(spec);
  bytes = byte_level ? find_bytes(ids) : no_bytes();
  fallback = find_fallback(spec);
  if (!byte_level && model == TokenizerModel::kBpe) characters = find_characters(spec, ids);
  cut_at_space_marks = may_cut_at_space_marks(spec, *this);
  if (model == TokenizerModel::kBpe) {
    if (spec.ignore_merges) whole_words = std::move(ids);
    return;
  }
  if (unknown < 0) {
    fail("the model has no token for what is not in its vocabulary: expected an unk_token");
  }
  if (model == TokenizerModel::kUnigram) {
    unigram = unigram_table(spec);
  } else {
    word_piece = {std::move(ids), spec.continuation, spec.longest_word, unknown};
  }
}

}  // namespace evo::tokenizer
