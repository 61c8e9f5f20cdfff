// Small tokenizers in the forms of tokenizer_files.h, made in code: for tests and as seeds of the
// fuzzers.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tokenizer/bpe/word_tables.h"
#include "tokenizer/readers/piece_vocabulary.h"

namespace evo::testing {

/// <unk>, <s>, </s>, the 256 bytes, then a vocabulary that has " the", " cat" and what they are
/// made of; later pieces have lower scores, as in SentencePiece's models.
inline std::vector<tokenizer::Piece> sample_pieces() {
  using Kind = tokenizer::Piece::Kind;
  std::vector<tokenizer::Piece> pieces = {
      {"<unk>", 0, Kind::kUnknown}, {"<s>", 0, Kind::kControl}, {"</s>", 0, Kind::kControl}};
  for (int byte = 0; byte < 256; ++byte) {
    pieces.push_back({fmt::format("<0x{:02X}>", byte), 0, Kind::kByte});
  }
  const std::string mark(tokenizer::kSpaceMark);
  const std::string texts[] = {"th",         "at",        mark + "th", mark + "the", "cat",
                               mark + "cat", mark + mark, "\u6771",    mark,         "t",
                               "h",          "e",         "c",         "a"};
  float score = 0;
  for (const std::string& text : texts) pieces.push_back({text, score--, Kind::kNormal});
  return pieces;
}

/// A field of a protobuf message: bytes, or a small number.
inline std::string proto_field(int number, std::string_view content) {
  std::string field;
  const auto add_varint = [&](size_t value) {
    for (; value >= 0x80; value >>= 7) field += static_cast<char>(value | 0x80);
    field += static_cast<char>(value);
  };
  add_varint(static_cast<size_t>(number) << 3 | 2);
  add_varint(content.size());
  return field.append(content);
}
inline std::string proto_number(int number, char value) {
  std::string field;
  size_t key = static_cast<size_t>(number) << 3;
  for (; key >= 0x80; key >>= 7) field += static_cast<char>(key | 0x80);
  return field.append({static_cast<char>(key), value});
}
inline std::string raw_bytes(const auto& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

/// SentencePiece's tokenizer.model of these pieces; `trainer` and `normalizer` are more fields of
/// its settings, which count more than what stands before them.
inline std::string sentencepiece_file(const std::vector<tokenizer::Piece>& pieces,
                                      std::string trainer = "", std::string normalizer = "") {
  std::string file;
  for (const tokenizer::Piece& piece : pieces) {
    const std::string score = std::string(1, 2 << 3 | 5) + raw_bytes(piece.score);
    file += proto_field(
        1, proto_field(1, piece.text) + score + proto_number(3, static_cast<char>(piece.kind)));
  }
  file += proto_field(2, proto_number(3, 2) + proto_number(35, 1) + trainer);
  return file + proto_field(3, proto_field(1, "identity") + proto_number(4, 0) + normalizer);
}

/// llama2.c's tokenizer.bin of these pieces, which has spaces for marks.
inline std::string llama2c_file(const std::vector<tokenizer::Piece>& pieces) {
  std::string file = raw_bytes(int32_t{20});
  for (const tokenizer::Piece& piece : pieces) {
    std::string text;
    std::string_view rest = piece.text;
    for (size_t at; (at = rest.find(tokenizer::kSpaceMark)) != std::string_view::npos;) {
      text.append(rest.substr(0, at)).push_back(' ');
      rest.remove_prefix(at + tokenizer::kSpaceMark.size());
    }
    text += rest;
    if (piece.kind == tokenizer::Piece::Kind::kControl) text = fmt::format("\n{}\n", text);
    file += raw_bytes(piece.score) + raw_bytes(static_cast<int32_t>(text.size())) + text;
  }
  return file;
}

}  // namespace evo::testing
