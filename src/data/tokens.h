// The tokens of a corpus as one array: of one token file, or of the shards of several sources.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/tokens_shard.h"
#include "data/tokens_writer.h"

namespace evo::data {

/// Shards that are drawn from together.
struct TokenSource {
  std::string name;   ///< what messages call it
  double weight = 1;  ///< of its sequences, relative to those of the other sources; > 0, finite
  std::vector<TokenShard> shards;
};

struct TokenRange {
  int64_t begin = 0, end = 0;
};

class TokenFile {
 public:
  /// Where a source lies in the array.
  struct Source {
    std::string name;
    double weight = 1;
    TokenRange training, held_out;
  };

  /// One file, which is one source.
  explicit TokenFile(TokenShard shard);
  explicit TokenFile(const std::filesystem::path& path) : TokenFile(TokenShard(path)) {}

  /// The training parts of all sources, then their held-out parts. `name` is what messages call all
  /// of it. Where a shard begins with the token that the one before it ends with, <|endoftext|>,
  /// that comes once: the shards of a corpus are, joined, its token file.
  TokenFile(std::string name, std::vector<TokenSource> sources);

  [[nodiscard]] int64_t size() const { return size_; }
  /// The first of the held-out tokens, which go on to the end; size() if none are.
  [[nodiscard]] int64_t held_out_begin() const { return held_out_begin_; }
  [[nodiscard]] std::span<const Source> sources() const { return sources_; }

  [[nodiscard]] int32_t at(int64_t index) const;
  /// Copies tokens begin .. begin + out.size() - 1.
  void copy(int64_t begin, std::span<int32_t> out) const;
  /// out[i] = 1 if token begin + i is a target, else 0.
  void copy_learnt(int64_t begin, std::span<uint8_t> out) const;
  /// True if there are tokens that are no targets.
  [[nodiscard]] bool has_unlearnt() const;

  /// Throws Error if an id is not below `vocab_size`.
  void check_vocabulary(int64_t vocab_size) const;
  /// Changes with any byte of any shard, with their order and with the weights.
  [[nodiscard]] uint64_t fingerprint() const;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  /// Consecutive tokens of one shard: array index `begin` is token `first` of the shard.
  struct Piece {
    const TokenShard* shard = nullptr;
    int64_t begin = 0, first = 0, count = 0;
  };
  TokenRange add(std::span<const TokenShard> shards, bool held_out);
  template <class Fn>
  void for_each_piece(int64_t begin, int64_t count, const Fn& fn) const;

  std::filesystem::path path_;
  std::vector<std::vector<TokenShard>> shards_;  // of each source; pieces_ point into them
  std::vector<Source> sources_;
  std::vector<Piece> pieces_;  // in order, none empty
  int64_t size_ = 0, held_out_begin_ = 0;
};

}  // namespace evo::data
