#include "tokenizer/readers/piece_vocabulary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "text/base64.h"
#include "text/utf8.h"
#include "tokenizer/bpe/word_tables.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/steps/character_map.h"
#include "tokenizer/steps/post_processor.h"

namespace evo::tokenizer {
namespace {

// Finding the merges takes time in the square of a piece's length; SentencePiece makes pieces of at
// most a few dozen characters.
constexpr size_t kLongestPiece = 512;

struct Split {
  Merge merge;
  float score;
  size_t left_characters, right_characters;
};

void check(const std::vector<Piece>& pieces) {
  if (pieces.empty()) fail("the vocabulary is empty");
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    if (!std::isfinite(piece.score)) fail("the score of piece {} is {}", i, piece.score);
    if (piece.text.empty()) fail("piece {} is empty", i);
    if (piece.text.size() > kLongestPiece) {
      fail("piece {} has {} bytes, but at most {} are supported", i, piece.text.size(),
           kLongestPiece);
    }
    if (text::valid_utf8_prefix(piece.text) != piece.text.size()) fail("piece {} is not UTF-8", i);
  }
}

// Bytes and control tokens are never made of their names' characters.
TokenIds index_normal(const std::vector<Piece>& pieces) {
  TokenIds ids;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].kind != Piece::Kind::kNormal) continue;
    const auto [other, is_new] = ids.emplace(pieces[i].text, static_cast<int32_t>(i));
    if (!is_new) fail("pieces {} and {} are both '{}'", other->second, i, pieces[i].text);
  }
  return ids;
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

// The ways to make piece `id` of two, those of lower ids first.
void append_splits(const std::vector<Piece>& pieces, int32_t id, const TokenIds& ids,
                   std::vector<Split>& out) {
  const std::string_view text = pieces[id].text;
  const size_t first = out.size();
  for (size_t cut = text::utf8_character_length(text); cut < text.size();
       cut += text::utf8_character_length(text.substr(cut))) {
    const std::string_view left = text.substr(0, cut), right = text.substr(cut);
    const auto left_id = ids.find(left), right_id = ids.find(right);
    if (left_id == ids.end() || right_id == ids.end()) continue;
    out.push_back({{left_id->second, right_id->second, id},
                   pieces[id].score,
                   count_characters(left),
                   count_characters(right)});
  }
  std::sort(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(),
            [](const Split& a, const Split& b) {
              return std::pair(a.merge.left, a.merge.right) <
                     std::pair(b.merge.left, b.merge.right);
            });
}

std::vector<Merge> find_merges(const std::vector<Piece>& pieces) {
  const TokenIds ids = index_normal(pieces);
  std::vector<Split> splits;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].kind != Piece::Kind::kNormal) continue;
    append_splits(pieces, static_cast<int32_t>(i), ids, splits);
  }
  std::stable_sort(splits.begin(), splits.end(), [](const Split& a, const Split& b) {
    return std::tuple(a.score, a.left_characters, a.right_characters) >
           std::tuple(b.score, b.left_characters, b.right_characters);
  });
  std::vector<Merge> merges;
  for (const Split& split : splits) merges.push_back(split.merge);
  return merges;
}

Json replace(std::string_view pattern, std::string_view content) {
  return {{"type", "Replace"}, {"pattern", {{"String", pattern}}}, {"content", content}};
}

Json replace_regex(std::string_view pattern, std::string_view content) {
  return {{"type", "Replace"}, {"pattern", {{"Regex", pattern}}}, {"content", content}};
}

// As in the published tokenizer.json of Llama-2.
void set_pipeline(const PieceOptions& options, TokenizerSpec& spec) {
  Json normalizers = Json::array(), decoders = Json::array();
  if (!options.character_map.empty()) {
    normalizers.push_back({{"type", "Precompiled"},
                           {"precompiled_charsmap", text::encode_base64(options.character_map)},
                           {"longest_prefixes", true}});
  }
  if (options.one_space_at_a_time) {
    normalizers.push_back(replace_regex(R"(\A +)", ""));
    normalizers.push_back(replace_regex(" {2,}", " "));
  }
  if (options.space_first) normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpaceMark}});
  normalizers.push_back(replace(" ", kSpaceMark));
  if (options.one_space_at_a_time) {
    normalizers.push_back(replace_regex(fmt::format(R"({}+\z)", kSpaceMark), ""));
  }
  decoders.push_back(replace(kSpaceMark, " "));
  decoders.push_back({{"type", "ByteFallback"}});
  decoders.push_back({{"type", "Fuse"}});
  if (options.space_first) {
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  spec.normalizer = Json{{"type", "Sequence"}, {"normalizers", normalizers}}.dump();
  spec.pre_tokenizer = "null";
  spec.decoder = Json{{"type", "Sequence"}, {"decoders", decoders}}.dump();
}

void set_added(const std::vector<Piece>& pieces, TokenizerSpec& spec) {
  std::vector<AddedToken> hidden;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const Piece::Kind kind = pieces[i].kind;
    if (kind == Piece::Kind::kUnknown) spec.unknown = id;
    if (kind == Piece::Kind::kUnknown || kind == Piece::Kind::kControl) {
      spec.added.push_back({.id = id});
    } else if (kind == Piece::Kind::kUserDefined) {
      spec.added.push_back({.id = id, .normalized = true, .verbatim = true, .special = false});
    } else if (spec.model == TokenizerModel::kUnigram && kind != Piece::Kind::kNormal) {
      hidden.push_back({.id = id, .special = false, .hidden = true});
    }
    if (kind == Piece::Kind::kControl && pieces[i].text == "<s>") {
      spec.post_processor = PostProcessor::json_with_prefix(pieces[i].text, id);
    }
  }
  spec.added.insert(spec.added.end(), hidden.begin(), hidden.end());
}

// SentencePiece keeps user-defined pieces from its table of characters. Here they are looked for
// behind it, which is the same if it does not change them.
void check_user_defined(const std::vector<Piece>& pieces, const std::string& character_map) {
  if (character_map.empty()) return;
  const CharacterMap map(character_map);
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].kind != Piece::Kind::kUserDefined) continue;
    std::string changed;
    map.append_longest(pieces[i].text, changed);
    if (changed == pieces[i].text) continue;
    fail(
        "the user-defined piece {} is '{}', which the model's table of characters makes '{}' of: "
        "that is not supported",
        i, pieces[i].text, changed);
  }
}

/// A sequence of one step is that step.
Json only_step(const std::string& section) {
  Json step = Json::parse(section);
  const bool wrapped = step.is_object() && step.value("type", "") == "Sequence" &&
                       step.contains("normalizers") && step["normalizers"].size() == 1;
  return wrapped ? step["normalizers"][0] : step;
}

/// Whether nothing is cut: Gemma's cuts at spaces, of which its normalizer has left none.
bool cuts_nothing(const TokenizerSpec& spec) {
  const Json step = Json::parse(spec.pre_tokenizer);
  if (step.is_null()) return true;
  return step.value("type", "") == "Split" && step.contains("pattern") &&
         step["pattern"] == Json{{"String", " "}} &&
         only_step(spec.normalizer) == replace(" ", kSpaceMark);
}

/// SentencePiece finds user-defined pieces whole, where Hugging Face's converter lists their
/// merges.
std::vector<Merge> merges_of_normal(const TokenizerSpec& spec, const std::vector<Piece>& pieces) {
  std::vector<Merge> merges;
  for (const Merge& merge : spec.merges) {
    const bool normal = std::ranges::all_of(
        std::array{merge.left, merge.right, merge.result},
        [&](int32_t id) { return pieces[static_cast<size_t>(id)].kind == Piece::Kind::kNormal; });
    if (normal) merges.push_back(merge);
  }
  return merges;
}

}  // namespace

TokenizerSpec spec_of_pieces(const std::vector<Piece>& pieces, const PieceOptions& options) {
  check(pieces);
  TokenizerSpec spec;
  spec.model = options.model;
  check_user_defined(pieces, options.character_map);
  for (const Piece& piece : pieces) spec.tokens.push_back(piece.text);
  if (spec.model == TokenizerModel::kBpe) {
    spec.merges = find_merges(pieces);
    spec.fuse_unknown = true;
  } else {
    for (const Piece& piece : pieces) spec.scores.push_back(piece.score);
  }
  spec.byte_fallback = options.byte_fallback;
  set_pipeline(options, spec);
  set_added(pieces, spec);
  return spec;
}

PieceVocabulary pieces_of_spec(const TokenizerSpec& spec) {
  PieceVocabulary vocabulary;
  for (const std::string& token : spec.tokens) vocabulary.pieces.push_back({token, 0});
  const auto piece = [&](int32_t id) -> Piece& {
    return vocabulary.pieces[static_cast<size_t>(id)];
  };
  for (const AddedToken& token : spec.added)
    piece(token.id).kind = token.special ? Piece::Kind::kControl : Piece::Kind::kUserDefined;
  if (spec.unknown >= 0) piece(spec.unknown).kind = Piece::Kind::kUnknown;
  if (spec.byte_fallback) {
    for (Piece& one : vocabulary.pieces) {
      const bool byte =
          one.text.size() == 6 && one.text.starts_with("<0x") && one.text.ends_with(">");
      if (byte && one.kind == Piece::Kind::kNormal) one.kind = Piece::Kind::kByte;
    }
  }
  // The first merge that makes a piece decides when it is made.
  const auto most = static_cast<float>(spec.merges.size());
  for (Piece& one : vocabulary.pieces) one.score = -most;
  for (size_t i = spec.merges.size(); i-- > 0;)
    piece(spec.merges[i].result).score = -static_cast<float>(i);
  vocabulary.space_first = spec.normalizer.find("Prepend") != std::string::npos;
  const TokenizerSpec same =
      spec_of_pieces(vocabulary.pieces,
                     {.byte_fallback = spec.byte_fallback, .space_first = vocabulary.space_first});
  const bool same_steps = only_step(same.normalizer) == only_step(spec.normalizer) &&
                          same.decoder == spec.decoder && cuts_nothing(spec);
  if (!same_steps)
    fail("the tokenizer normalizes or decodes in another way than SentencePiece's BPE");
  if (same.merges != merges_of_normal(spec, vocabulary.pieces))
    fail("the tokenizer's merges are not those of a SentencePiece vocabulary");
  return vocabulary;
}

}  // namespace evo::tokenizer
