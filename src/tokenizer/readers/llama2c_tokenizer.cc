#include "tokenizer/readers/llama2c_tokenizer.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "tokenizer/bpe/word_tables.h"
#include "tokenizer/readers/piece_vocabulary.h"
#include "tokenizer/steps/text_decoder.h"

namespace evo::tokenizer {
namespace {

constexpr const char* kSpecialNames[] = {"<unk>", "<s>", "</s>"};

template <class Number>
Number take(std::string_view& bytes, const char* what, size_t piece) {
  Number number;
  if (bytes.size() < sizeof(number)) {
    fail("the llama2.c tokenizer is cut off in the {} of piece {}", what, piece);
  }
  std::memcpy(&number, bytes.data(), sizeof(number));
  bytes.remove_prefix(sizeof(number));
  return number;
}

std::string with_space_marks(std::string_view text) {
  std::string marked;
  for (const char c : text) {
    if (c == ' ') {
      marked += kSpaceMark;
    } else {
      marked += c;
    }
  }
  return marked;
}

Piece read_piece(std::string_view& bytes, size_t id, int32_t longest) {
  Piece piece;
  piece.score = take<float>(bytes, "score", id);
  const auto length = take<int32_t>(bytes, "length", id);
  if (length < 0 || length > longest || static_cast<size_t>(length) > bytes.size()) {
    fail(
        "piece {} of the llama2.c tokenizer has length {}, but the longest has {} and {} bytes are "
        "left in the file",
        id, length, longest, bytes.size());
  }
  piece.text = with_space_marks(bytes.substr(0, length));
  bytes.remove_prefix(static_cast<size_t>(length));
  if (id < std::size(kSpecialNames)) {
    piece.text = kSpecialNames[id];  // written with line ends around it
    piece.kind = id == 0 ? Piece::Kind::kUnknown : Piece::Kind::kControl;
  } else if (byte_of_token(piece.text)) {
    piece.kind = Piece::Kind::kByte;
  }
  return piece;
}

}  // namespace

// SentencePiece's models begin with a small byte too, but what follows is not zero there.
bool is_llama2c_tokenizer(std::string_view content) {
  return content.size() >= 12 && content[0] != 0 && content[1] < 4 && content[2] == 0 &&
         content[3] == 0;
}

TokenizerSpec parse_llama2c_tokenizer(std::string_view content) {
  const auto longest = take<int32_t>(content, "length of the longest piece, before that", 0);
  std::vector<Piece> pieces;
  while (!content.empty()) pieces.push_back(read_piece(content, pieces.size(), longest));
  const bool has_bytes = std::any_of(pieces.begin(), pieces.end(), [](const Piece& piece) {
    return piece.kind == Piece::Kind::kByte;
  });
  return spec_of_pieces(pieces, {.byte_fallback = has_bytes});
}

}  // namespace evo::tokenizer
