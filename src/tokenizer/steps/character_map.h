// SentencePiece's table of characters and what they become (NFKC and the like), which Hugging Face
// calls a precompiled charsmap.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evo::tokenizer {

/// May be shared by threads.
class CharacterMap {
 public:
  /// `table`: u32 size of a trie in bytes, the trie (Darts' double array), texts that end in a zero
  /// byte. Throws Error if it is damaged.
  explicit CharacterMap(std::string_view table);

  /// Appends valid UTF-8 with the longest known prefix replaced at each place: as SentencePiece
  /// does.
  void append_longest(std::string_view text, std::string& out) const;

  /// The same, but what is looked up is a grapheme (what people take for a character) of less than
  /// six bytes, which becomes what its shortest known prefix does, or else its characters one by
  /// one: as Hugging Face's library does.
  void append_graphemes(std::string_view text, std::string& out) const;

 private:
  // Calls found(length, text) for every known prefix of `text`, the shortest first.
  template <class Fn>
  void for_each_prefix(std::string_view text, const Fn& found) const;
  bool append_shortest(std::string_view text, std::string& out) const;

  std::vector<uint32_t> trie_;
  std::string texts_;
};

}  // namespace evo::tokenizer
