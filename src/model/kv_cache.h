// Keys and values of mature tokens, in blocks that sequences share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/config.h"
#include "ops/cached_attention.h"
#include "tensor/tensor.h"

namespace evo::model {

/// The memory of all sequences that are decoded together: blocks of kCacheBlock tokens, each with
/// all layers of its tokens. At first only their addresses are taken: the system backs a block with
/// memory when it is first written, and has it back with trim(). To be used, and its caches with
/// it, by one thread at a time.
class KvPool {
 public:
  /// Room for `tokens`, rounded up to whole blocks. Throws Error if there is no such memory.
  KvPool(const ModelConfig& config, int64_t tokens,
         ops::CacheFormat format = ops::CacheFormat::kF32);
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  /// Gives the system the memory of blocks that have been free since the last call, `most_bytes` at
  /// most (and a block at least). So what is taken again and again stays.
  void trim(size_t most_bytes);

  [[nodiscard]] int64_t blocks() const { return std::ssize(references_); }
  [[nodiscard]] int64_t free_blocks() const { return std::ssize(free_); }
  /// Of all blocks, those that have memory: that were taken since trim() last gave it back.
  [[nodiscard]] int64_t backed_blocks() const { return backed_count_; }
  [[nodiscard]] size_t block_bytes() const { return static_cast<size_t>(block_bytes_); }
  /// Keys and values of a token in all layers.
  [[nodiscard]] static size_t token_bytes(const ModelConfig& config, ops::CacheFormat format);
  [[nodiscard]] ops::CacheFormat format() const { return format_; }
  [[nodiscard]] int64_t layer_bytes() const { return layer_bytes_; }
  [[nodiscard]] int64_t longest_sequence() const { return longest_sequence_; }

  /// Throws Error unless so many blocks are free.
  void expect_free(int64_t count) const;
  /// A free block, of which there must be one; it then has one owner.
  std::byte* take();
  /// One owner more, one owner less: a block without any is free.
  void share(const std::byte* block);
  void give_back(const std::byte* block);
  [[nodiscard]] bool is_shared(const std::byte* block) const;

 private:
  [[nodiscard]] size_t index_of(const std::byte* block) const;
  [[nodiscard]] std::byte* address_of(int64_t index) const;

  ops::CacheFormat format_;
  int64_t longest_sequence_, layer_bytes_, block_bytes_;
  size_t stride_;  // bytes from block to block: whole pages
  std::shared_ptr<void> storage_;
  std::vector<int32_t> references_;  // owners by block
  std::vector<int32_t> free_;        // the block taken next is the last
  std::vector<uint8_t> backed_;      // marks of blocks
  int64_t backed_count_ = 0;
  int64_t least_free_ = 0;  // since the last trim()
};

/// One sequence. Entries are exact: they depend on nothing but the tokens before them, so a prefix
/// stays valid whatever follows.
class KvCache {
 public:
  explicit KvCache(std::shared_ptr<KvPool> pool);
  /// With a pool of its own for `capacity` tokens.
  KvCache(const ModelConfig& config, int64_t capacity,
          ops::CacheFormat format = ops::CacheFormat::kF32);
  ~KvCache();
  KvCache(KvCache&& other) noexcept;
  KvCache& operator=(KvCache&& other) noexcept;

  [[nodiscard]] int64_t length() const { return length_; }
  /// The longest that the sequence may become.
  [[nodiscard]] int64_t capacity() const { return capacity_; }
  /// Of the blocks that this sequence uses, those it shares included.
  [[nodiscard]] size_t bytes() const;

  /// Forgets all but the first `length` tokens and gives back the blocks behind them.
  void truncate(int64_t length);

  /// A second sequence with the same tokens. Both may go on: a block that is written is copied
  /// first if it is shared.
  [[nodiscard]] KvCache fork() const;

  /// To append tokens: reserve() room for them, write() keys and values of each layer, advance().
  /// Throws Error if the pool has no room; the sequence then stays as it was.
  void reserve(int64_t rows);
  /// k and v of as many rows of qkv [N, (H + 2G) e] as were reserved, from `first_row` on.
  void write(int64_t layer, const tensor::Tensor& qkv, const ops::HeadLayout& heads,
             int64_t first_row);
  void advance();

  /// Tokens and what was reserved and written behind them.
  [[nodiscard]] ops::CachedKeys view(int64_t layer) const;

 private:
  /// Copies it from the sequences that have it too.
  void own_last_block();

  std::shared_ptr<KvPool> pool_;
  int64_t capacity_, length_ = 0, reserved_ = 0;
  std::vector<std::byte*> blocks_;
};

/// The sequences of one forward pass.
class KvPass {
 public:
  /// Row r belongs to caches[sequences[r]], all rows to the first if `sequences` is empty; rows of
  /// one sequence are consecutive among the mature rows, which come first. Reserves room for them.
  KvPass(std::span<KvCache* const> caches, std::span<const int32_t> sequences, int64_t mature,
         int64_t rows);

  /// Appends keys and values of the mature rows, layer by layer, and has all rows attend.
  tensor::Tensor attention(const tensor::Tape& tape, int64_t layer, const tensor::Tensor& qkv,
                           const ops::HeadLayout& heads, std::span<const ops::KeyRange> ranges);
  /// Counts the appended tokens.
  void advance();

 private:
  /// Mature rows of one sequence.
  struct Run {
    KvCache* cache;
    int64_t first_row, rows;
  };

  std::span<KvCache* const> caches_;
  std::vector<int32_t> sequences_;  // [N]
  std::vector<Run> runs_;
  std::vector<ops::CachedKeys> views_;  // by sequence
};

}  // namespace evo::model
