#include "model/kv_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/checked.h"
#include "base/terminal/progress.h"

namespace evo::model {
namespace {

int64_t blocks_of(int64_t tokens) {
  return (tokens + ops::kCacheBlock - 1) / ops::kCacheBlock;
}

int64_t layer_bytes_of(const ModelConfig& config, ops::CacheFormat format) {
  return ops::cache_block_bytes(
      {static_cast<int>(config.num_attention_heads), static_cast<int>(config.num_key_value_heads),
       static_cast<int>(config.head_dim)},
      format);
}

size_t whole_pages(int64_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (static_cast<size_t>(bytes) + page - 1) / page * page;
}

/// Addresses, which the system backs with memory page by page as they are written; null if it has
/// not so much.
std::shared_ptr<void> reserve_addresses(size_t bytes) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  return {memory, [bytes](void* at) { munmap(at, bytes); }};
}

}  // namespace

KvPool::KvPool(const ModelConfig& config, int64_t tokens, ops::CacheFormat format)
    : format_(format),
      longest_sequence_(config.max_position_embeddings),
      layer_bytes_(layer_bytes_of(config, format)),
      block_bytes_(layer_bytes_ * config.num_hidden_layers),
      stride_(whole_pages(block_bytes_)) {
  EVO_CHECK(tokens > 0);
  const int64_t count = blocks_of(tokens);
  const int64_t blocks_bytes = checked_mul(count, static_cast<int64_t>(stride_), "KV cache");
  const int64_t bytes = checked_add<int64_t>(blocks_bytes, ops::kCachePadding, "KV cache");
  storage_ = reserve_addresses(static_cast<size_t>(bytes));
  if (storage_ == nullptr) {
    fail("the KV cache of {} tokens needs {}, which this machine does not have: ask for fewer",
         tokens, format_bytes(static_cast<double>(bytes)));
  }
  references_.assign(count, 0);
  backed_.assign(count, 0);
  free_.resize(count);
  std::iota(free_.rbegin(), free_.rend(), 0);
  least_free_ = count;
}

void KvPool::trim(size_t most_bytes) {
  // The blocks below the lowest level that the stack of free ones had were not taken.
  size_t given_back = 0;
  for (int64_t i = 0; i < least_free_ && given_back < std::max(most_bytes, size_t{1}); ++i) {
    const int32_t index = free_[i];
    uint8_t& backed = backed_[index];
    if (backed == 0) continue;
    madvise(address_of(index), stride_, MADV_DONTNEED);
    backed = 0;
    --backed_count_;
    given_back += stride_;
  }
  least_free_ = free_blocks();
}

size_t KvPool::token_bytes(const ModelConfig& config, ops::CacheFormat format) {
  return static_cast<size_t>(layer_bytes_of(config, format) * config.num_hidden_layers /
                             ops::kCacheBlock);
}

void KvPool::expect_free(int64_t count) const {
  if (count <= free_blocks()) return;
  fail(
      "the KV cache is full: {} more tokens are needed, but only {} of its {} are free (sequences "
      "take them by {}): decode fewer or shorter texts at a time, or give it more tokens",
      count * ops::kCacheBlock, free_blocks() * ops::kCacheBlock, blocks() * ops::kCacheBlock,
      ops::kCacheBlock);
}

std::byte* KvPool::take() {
  EVO_CHECK(!free_.empty());
  const int32_t index = free_.back();
  free_.pop_back();
  references_[index] = 1;
  least_free_ = std::min(least_free_, free_blocks());
  backed_count_ += 1 - std::exchange(backed_[index], uint8_t{1});
  return address_of(index);
}

void KvPool::share(const std::byte* block) {
  ++references_[index_of(block)];
}

void KvPool::give_back(const std::byte* block) {
  const size_t index = index_of(block);
  if (--references_[index] == 0) free_.push_back(static_cast<int32_t>(index));
}

bool KvPool::is_shared(const std::byte* block) const {
  return references_[index_of(block)] > 1;
}

size_t KvPool::index_of(const std::byte* block) const {
  const auto offset = block - static_cast<std::byte*>(storage_.get());
  const size_t index = static_cast<size_t>(offset) / stride_;
  EVO_CHECK(index < references_.size() && references_[index] > 0);
  return index;
}

std::byte* KvPool::address_of(int64_t index) const {
  return static_cast<std::byte*>(storage_.get()) + static_cast<size_t>(index) * stride_;
}

KvCache::KvCache(std::shared_ptr<KvPool> pool)
    : pool_(std::move(pool)), capacity_(pool_->longest_sequence()) {}

KvCache::KvCache(const ModelConfig& config, int64_t capacity, ops::CacheFormat format)
    : KvCache(std::make_shared<KvPool>(config, capacity, format)) {
  capacity_ = capacity;
}

KvCache::~KvCache() {
  for (const std::byte* block : blocks_) pool_->give_back(block);
}

KvCache::KvCache(KvCache&& other) noexcept
    : pool_(other.pool_),
      capacity_(other.capacity_),
      length_(std::exchange(other.length_, 0)),
      reserved_(std::exchange(other.reserved_, 0)),
      blocks_(std::exchange(other.blocks_, {})) {}

KvCache& KvCache::operator=(KvCache&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(capacity_, other.capacity_);
  std::swap(length_, other.length_);
  std::swap(reserved_, other.reserved_);
  std::swap(blocks_, other.blocks_);
  return *this;
}

size_t KvCache::bytes() const {
  return blocks_.size() * pool_->block_bytes();
}

void KvCache::truncate(int64_t length) {
  EVO_CHECK(length >= 0 && length <= length_);
  length_ = length;
  reserved_ = 0;
  while (std::ssize(blocks_) > blocks_of(length)) {
    pool_->give_back(blocks_.back());
    blocks_.pop_back();
  }
}

KvCache KvCache::fork() const {
  KvCache copy(pool_);
  copy.capacity_ = capacity_;
  copy.length_ = length_;
  copy.blocks_.assign(blocks_.begin(), blocks_.begin() + blocks_of(length_));
  for (const std::byte* block : copy.blocks_) pool_->share(block);
  return copy;
}

void KvCache::reserve(int64_t rows) {
  EVO_CHECK(rows >= 0 && length_ + rows <= capacity_);
  reserved_ = 0;
  const bool fills_shared =
      rows > 0 && length_ % ops::kCacheBlock != 0 && pool_->is_shared(blocks_.back());
  const int64_t more = blocks_of(length_ + rows) - std::ssize(blocks_);
  pool_->expect_free(more + (fills_shared ? 1 : 0));
  if (fills_shared) own_last_block();
  for (int64_t i = 0; i < more; ++i) blocks_.push_back(pool_->take());
  reserved_ = rows;
}

void KvCache::own_last_block() {
  const std::byte* shared = std::exchange(blocks_.back(), pool_->take());
  std::copy_n(shared, pool_->block_bytes(), blocks_.back());
  pool_->give_back(shared);
}

void KvCache::write(int64_t layer, const tensor::Tensor& qkv, const ops::HeadLayout& heads,
                    int64_t first_row) {
  EVO_CHECK(ops::cache_block_bytes(heads, pool_->format()) == pool_->layer_bytes());
  ops::write_keys(qkv, heads, first_row, first_row + reserved_, view(layer), length_);
}

void KvCache::advance() {
  length_ += std::exchange(reserved_, 0);
}

ops::CachedKeys KvCache::view(int64_t layer) const {
  return {blocks_, layer * pool_->layer_bytes(), length_ + reserved_, pool_->format()};
}

KvPass::KvPass(std::span<KvCache* const> caches, std::span<const int32_t> sequences, int64_t mature,
               int64_t rows)
    : caches_(caches), sequences_(sequences.begin(), sequences.end()) {
  if (sequences.empty()) sequences_.assign(rows, 0);
  EVO_CHECK(std::ssize(sequences_) == rows);
  for (int64_t r = 0; r < mature; ++r) {
    const auto sequence = static_cast<size_t>(sequences_[r]);
    EVO_CHECK(sequence < caches.size());
    if (runs_.empty() || runs_.back().cache != caches[sequence]) {
      const auto is_same = [&](const Run& run) { return run.cache == caches[sequence]; };
      EVO_CHECK(std::ranges::none_of(runs_, is_same));
      runs_.push_back({caches[sequence], r, 0});
    }
    ++runs_.back().rows;
  }
  for (const Run& run : runs_) run.cache->reserve(run.rows);
  views_.resize(caches.size());
}

tensor::Tensor KvPass::attention(const tensor::Tape& tape, int64_t layer, const tensor::Tensor& qkv,
                                 const ops::HeadLayout& heads,
                                 std::span<const ops::KeyRange> ranges) {
  for (const Run& run : runs_) run.cache->write(layer, qkv, heads, run.first_row);
  std::ranges::transform(caches_, views_.begin(),
                         [&](const KvCache* cache) { return cache->view(layer); });
  return ops::cached_attention(tape, qkv, heads, ranges, sequences_, views_);
}

void KvPass::advance() {
  for (const Run& run : runs_) run.cache->advance();
}

}  // namespace evo::model
