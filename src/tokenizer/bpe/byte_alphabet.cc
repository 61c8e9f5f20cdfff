#include "tokenizer/bpe/byte_alphabet.h"

#include <array>
#include <cstdint>

namespace evo::tokenizer {
namespace {

struct Alphabet {
  std::array<uint16_t, 256> code_of_byte{};
  std::array<int16_t, 0x144> byte_of_code{};  // -1: not in the alphabet
};

constexpr bool is_printable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.byte_of_code.fill(-1);
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const int code = is_printable(byte) ? byte : next++;
    alphabet.code_of_byte[byte] = static_cast<uint16_t>(code);
    alphabet.byte_of_code[code] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string to_byte_alphabet(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    const int code = kAlphabet.code_of_byte[static_cast<unsigned char>(byte)];
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else {
      text += static_cast<char>(0xC0 | code >> 6);
      text += static_cast<char>(0x80 | (code & 0x3F));
    }
  }
  return text;
}

std::optional<std::string> from_byte_alphabet(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    size_t code = static_cast<unsigned char>(text[i]);
    if (code >= 0x80) {  // the alphabet has characters of one and two bytes only
      if (code < 0xC2 || code > 0xDF || i + 1 == text.size()) return std::nullopt;
      const auto low = static_cast<unsigned char>(text[++i]);
      if ((low & 0xC0) != 0x80) return std::nullopt;
      code = (code & 0x1F) << 6 | (low & 0x3F);
    }
    if (code >= kAlphabet.byte_of_code.size() || kAlphabet.byte_of_code[code] < 0) {
      return std::nullopt;
    }
    bytes += static_cast<char>(kAlphabet.byte_of_code[code]);
  }
  return bytes;
}

}  // namespace evo::tokenizer
