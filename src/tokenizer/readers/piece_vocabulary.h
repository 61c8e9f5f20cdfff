// Vocabularies of pieces with scores, as SentencePiece and llama2.c have them, as a spec.
#pragma once

#include <string>
#include <vector>

#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {

struct Piece {
  /// The numbers are SentencePiece's.
  enum class Kind {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };

  std::string text;  ///< spaces as kSpaceMark
  float score = 0;   ///< of two possible pieces the higher one is made first
  Kind kind = Kind::kNormal;
};

/// `pieces`: [V], id by id. `space_first`: a text gets a space before it, which decoding takes off.
///
/// SentencePiece joins any neighbours whose text together is a piece; here every such pair of
/// pieces becomes a merge, in the order of Hugging Face's converter: by falling score.
TokenizerSpec spec_of_pieces(const std::vector<Piece>& pieces, bool byte_fallback,
                             bool space_first);

/// The pieces of a tokenizer that does what spec_of_pieces() would make of them. Throws Error
/// saying why if it does something else.
struct PieceVocabulary {
  std::vector<Piece> pieces;
  bool space_first = false;
};
PieceVocabulary pieces_of_spec(const TokenizerSpec& spec);

}  // namespace evo::tokenizer
