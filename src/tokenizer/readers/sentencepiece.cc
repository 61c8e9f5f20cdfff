#include "tokenizer/readers/sentencepiece.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "tokenizer/readers/piece_vocabulary.h"

namespace evo::tokenizer {
namespace {

// Walks over the fields of a protobuf message.
class Message {
 public:
  Message(std::string_view bytes, const char* name) : bytes_(bytes), name_(name) {}

  /// The next field; false at the end. Throws Error if the message is cut off or damaged.
  bool next() {
    if (bytes_.empty()) return false;
    const uint64_t key = varint();
    number_ = key >> 3;
    wire_ = static_cast<int>(key & 7);
    if (wire_ == 0) {
      value_ = varint();
    } else if (wire_ == 1) {
      content_ = take(8);
    } else if (wire_ == 2) {
      content_ = take(varint());
    } else if (wire_ == 5) {
      content_ = take(4);
    } else {
      damaged();
    }
    return true;
  }

  uint64_t number() const { return number_; }
  uint64_t value() const { return expect(0), value_; }
  std::string_view content() const { return expect(2), content_; }
  float real() const {
    expect(5);
    float value;
    std::memcpy(&value, content_.data(), sizeof(value));
    return value;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    damaged();
  }

  std::string_view take(uint64_t count) {
    if (count > bytes_.size()) damaged();
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }

  void expect(int wire) const {
    if (wire_ != wire) damaged();
  }

  [[noreturn]] void damaged() const {
    fail("the SentencePiece model is damaged or cut off, in its {}", name_);
  }

  std::string_view bytes_;
  const char* name_;
  uint64_t number_ = 0, value_ = 0;
  int wire_ = 0;
  std::string_view content_;
};

constexpr uint64_t kUnigram = 1, kBpe = 2;

struct Settings {
  uint64_t model_type = kUnigram;
  bool byte_fallback = false, whitespace_as_suffix = false;
  bool space_first = true, remove_extra_whitespaces = true, escape_whitespaces = true;
  std::string character_map;
};

Piece read_piece(std::string_view bytes, size_t id) {
  Piece piece;
  uint64_t kind = static_cast<uint64_t>(Piece::Kind::kNormal);
  for (Message message(bytes, "pieces"); message.next();) {
    if (message.number() == 1) piece.text = message.content();
    if (message.number() == 2) piece.score = message.real();
    if (message.number() == 3) kind = message.value();
  }
  if (kind < 1 || kind > 6) {
    fail("piece {} of the SentencePiece model is of kind {}, which is not supported", id, kind);
  }
  piece.kind = static_cast<Piece::Kind>(kind);
  return piece;
}

void read_trainer(std::string_view bytes, Settings& settings) {
  for (Message message(bytes, "trainer settings"); message.next();) {
    if (message.number() == 3) settings.model_type = message.value();
    if (message.number() == 24) settings.whitespace_as_suffix = message.value() != 0;
    if (message.number() == 35) settings.byte_fallback = message.value() != 0;
  }
}

void read_normalizer(std::string_view bytes, Settings& settings) {
  for (Message message(bytes, "normalizer settings"); message.next();) {
    if (message.number() == 2) settings.character_map = message.content();
    if (message.number() == 3) settings.space_first = message.value() != 0;
    if (message.number() == 4) settings.remove_extra_whitespaces = message.value() != 0;
    if (message.number() == 5) settings.escape_whitespaces = message.value() != 0;
  }
}

void check(const Settings& settings) {
  const auto refuse = [](const char* what) {
    fail("the SentencePiece model {}, which is not supported", what);
  };
  if (settings.model_type != kUnigram && settings.model_type != kBpe) {
    refuse("is not of the type unigram or BPE (but word or char)");
  }
  if (!settings.escape_whitespaces) refuse("does not escape spaces");
  if (settings.whitespace_as_suffix) refuse("puts spaces behind words");
}

}  // namespace

// A model usually begins with its first piece: field 1, a message, and that with its text, field 1
// again. Its settings, fields 2 and 3, may come first: there all has to fit.
bool is_sentencepiece(std::string_view content) {
  if (content.size() <= 3) return false;
  if (content[0] == 0x0A && (content[2] == 0x0A || content[3] == 0x0A)) return true;
  if (content[0] != 0x12 && content[0] != 0x1A) return false;
  try {
    bool has_pieces = false;
    for (Message message(content, "list of parts"); message.next();) {
      has_pieces |= message.number() == 1 && !message.content().empty();
    }
    return has_pieces;
  } catch (const Error&) {
    return false;
  }
}

TokenizerSpec parse_sentencepiece(std::string_view content) {
  std::vector<Piece> pieces;
  Settings settings;
  for (Message message(content, "list of parts"); message.next();) {
    if (message.number() == 1) pieces.push_back(read_piece(message.content(), pieces.size()));
    if (message.number() == 2) read_trainer(message.content(), settings);
    if (message.number() == 3) read_normalizer(message.content(), settings);
  }
  check(settings);
  for (size_t i = 0; i < pieces.size() && settings.model_type == kBpe; ++i) {
    if (pieces[i].kind != Piece::Kind::kUnused) continue;
    fail("piece {} of the BPE model is of the kind 'unused', which is not supported", i);
  }
  return spec_of_pieces(pieces, {.model = settings.model_type == kBpe ? TokenizerModel::kBpe
                                                                      : TokenizerModel::kUnigram,
                                 .byte_fallback = settings.byte_fallback,
                                 .space_first = settings.space_first,
                                 .one_space_at_a_time = settings.remove_extra_whitespaces,
                                 .character_map = settings.character_map});
}

}  // namespace evo::tokenizer
