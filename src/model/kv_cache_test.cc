#include "model/kv_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <utility>

#include "base/random.h"
#include "model/testing.h"

namespace evo::model {
namespace {

using testing::tiny_config;

constexpr ops::HeadLayout kHeads{4, 2, 8};  // of tiny_config

/// Bytes of this process that are in memory.
size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  size_t pages = 0;
  file >> pages >> pages;
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

/// Takes `count` blocks and writes all of each.
std::vector<std::byte*> take_and_write(KvPool& pool, int64_t count) {
  std::vector<std::byte*> blocks;
  for (int64_t i = 0; i < count; ++i) {
    blocks.push_back(pool.take());
    std::memset(blocks.back(), 1, pool.block_bytes());
  }
  return blocks;
}

TEST(KvPool, TakesMemoryAsItIsUsedAndGivesItBack) {
  KvPool pool(tiny_config(16), 200000);
  const size_t size = static_cast<size_t>(pool.blocks()) * pool.block_bytes();
  const size_t before = resident_bytes();
  std::vector<std::byte*> blocks = take_and_write(pool, pool.blocks() / 2);
  const size_t used = resident_bytes();
  EXPECT_GT(used, before + size * 4 / 10);
  EXPECT_LT(used, before + size * 6 / 10);
  EXPECT_EQ(pool.backed_blocks(), pool.blocks() / 2);
  for (const std::byte* block : blocks) pool.give_back(block);
  pool.trim(size);  // they were in use until now
  EXPECT_EQ(pool.backed_blocks(), pool.blocks() / 2);
  pool.trim(size);
  EXPECT_EQ(pool.backed_blocks(), 0);
  EXPECT_LT(resident_bytes(), before + size / 10);
}

TEST(KvPool, WhatIsTakenAgainAndAgainKeepsItsMemory) {
  KvPool pool(tiny_config(16), 10 * ops::kCacheBlock);
  for (const std::byte* block : take_and_write(pool, 7)) pool.give_back(block);
  pool.trim(1 << 30);
  for (int round = 0; round < 3; ++round) {
    for (const std::byte* block : take_and_write(pool, 4)) pool.give_back(block);
    pool.trim(1 << 30);
    EXPECT_EQ(pool.backed_blocks(), 4);
  }
  pool.trim(1);  // at least one
  EXPECT_EQ(pool.backed_blocks(), 3);
  pool.trim(2 * pool.block_bytes());
  EXPECT_EQ(pool.backed_blocks(), 1);
}

/// Appends tokens whose keys and values are a function of (text, position, layer).
void append(KvCache& cache, uint64_t text, int64_t count) {
  cache.reserve(count);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const tensor::Tensor qkv =
        tensor::Tensor::zeros({count + 1, kHeads.row_cols()});  // the first row is not used
    for (int64_t r = 0; r < count; ++r) {
      Random random(text, static_cast<uint64_t>((cache.length() + r) * 2 + layer));
      random.fill_normal({qkv.row(r + 1), static_cast<size_t>(qkv.cols())});
    }
    cache.write(layer, qkv, kHeads, 1);
  }
  cache.advance();
}

/// Key or value of one token and kv head.
std::vector<float> entry(const KvCache& cache, int64_t layer, int64_t token, int64_t head,
                         bool value) {
  std::vector<float> key_found(kHeads.head_size), value_found(kHeads.head_size);
  ops::CachedToken(cache.view(layer), kHeads, token, head)
      .read(key_found.data(), value_found.data());
  return value ? value_found : key_found;
}

/// Tokens [begin, end) are those of `text`.
void expect_tokens(const KvCache& cache, uint64_t text, int64_t begin, int64_t end) {
  ASSERT_LE(end, cache.length());
  for (int64_t token = begin; token < end; ++token) {
    for (int64_t layer = 0; layer < 2; ++layer) {
      Random random(text, static_cast<uint64_t>(token * 2 + layer));
      std::vector<float> row(static_cast<size_t>(kHeads.row_cols()));
      random.fill_normal(row);
      for (int64_t head = 0; head < kHeads.kv_heads; ++head) {
        for (const bool value : {false, true}) {
          const auto first = row.begin() + kHeads.q_cols() + (value ? kHeads.kv_cols() : 0) +
                             head * kHeads.head_size;
          ASSERT_EQ(entry(cache, layer, token, head, value),
                    std::vector<float>(first, first + kHeads.head_size))
              << "text " << text << ", token " << token;
        }
      }
    }
  }
}

std::shared_ptr<KvPool> pool_of(int64_t blocks) {
  ModelConfig config = tiny_config(16);
  config.max_position_embeddings = 1000;
  return std::make_shared<KvPool>(config, blocks * ops::kCacheBlock);
}

TEST(KvPool, BlocksThatLostTheirMemoryAreAsGoodAsNew) {
  const auto pool = pool_of(4);
  KvCache kept(pool);
  append(kept, 1, 70);
  {
    KvCache gone(pool);
    append(gone, 2, 128);
  }
  pool->trim(1 << 30);
  pool->trim(1 << 30);
  EXPECT_EQ(pool->backed_blocks(), 2);
  expect_tokens(kept, 1, 0, 70);
  KvCache next(pool);
  append(next, 3, 128);
  expect_tokens(next, 3, 0, 128);
  expect_tokens(kept, 1, 0, 70);
}

TEST(KvCache, KeepsWhatIsAppended) {
  KvCache cache(pool_of(2));
  EXPECT_EQ(cache.capacity(), 1000);
  EXPECT_EQ(cache.bytes(), 0u);
  for (const int64_t count : {1, 62, 3, 0, 62}) append(cache, 1, count);
  EXPECT_EQ(cache.length(), 128);
  expect_tokens(cache, 1, 0, 128);
  // layers, k and v, G e, f32
  EXPECT_EQ(cache.bytes(), 128u * 2 * 2 * 16 * 4);
}

TEST(KvCache, FormatsTakeTheMemoryThatTheirNumbersDo) {
  const ModelConfig config = tiny_config(16);
  const auto bytes = [&](ops::CacheFormat format) { return KvPool::token_bytes(config, format); };
  const size_t heads = 2 * 2, numbers = heads * 8;  // layers, kv heads; of e
  EXPECT_EQ(bytes(ops::CacheFormat::kF32), 2 * 4 * numbers);
  EXPECT_EQ(bytes(ops::CacheFormat::kBF16), 2 * 2 * numbers);
  EXPECT_EQ(bytes(ops::CacheFormat::kQ8), (2 + 1) * numbers + 4 * heads);
  for (const auto format : {ops::CacheFormat::kBF16, ops::CacheFormat::kQ8}) {
    const KvPool pool(config, 3 * ops::kCacheBlock, format);
    EXPECT_EQ(pool.block_bytes(), ops::kCacheBlock * bytes(format));
  }
}

TEST(KvCache, TokensThatWereOnlyReservedAreForgotten) {
  KvCache cache(pool_of(2));
  append(cache, 1, 10);
  cache.reserve(60);
  EXPECT_EQ(cache.length(), 10);
  append(cache, 1, 5);
  expect_tokens(cache, 1, 0, 15);
}

TEST(KvCache, TruncateGivesBackWholeBlocks) {
  const auto pool = pool_of(2);
  KvCache cache(pool);
  append(cache, 1, 100);
  EXPECT_EQ(pool->free_blocks(), 0);
  cache.truncate(65);
  EXPECT_EQ(pool->free_blocks(), 0);
  cache.truncate(64);
  EXPECT_EQ(pool->free_blocks(), 1);
  cache.truncate(30);
  append(cache, 2, 60);
  expect_tokens(cache, 1, 0, 30);
  expect_tokens(cache, 2, 30, 90);
  cache.truncate(0);
  EXPECT_EQ(pool->free_blocks(), 2);
}

TEST(KvCache, ForksShareFullBlocksAndGoOnApart) {
  const auto pool = pool_of(4);
  KvCache cache(pool);
  append(cache, 1, 70);
  KvCache fork = cache.fork();
  EXPECT_EQ(fork.length(), 70);
  EXPECT_EQ(pool->free_blocks(), 2);
  append(fork, 2, 10);
  EXPECT_EQ(pool->free_blocks(), 1);
  append(cache, 3, 20);
  EXPECT_EQ(pool->free_blocks(), 1);
  expect_tokens(cache, 1, 0, 70);
  expect_tokens(cache, 3, 70, 90);
  expect_tokens(fork, 1, 0, 70);
  expect_tokens(fork, 2, 70, 80);
  EXPECT_EQ(cache.view(1).blocks[0], fork.view(1).blocks[0]);
}

TEST(KvCache, ASharedBlockThatWasFullIsCopiedWhenItIsWrittenAgain) {
  const auto pool = pool_of(3);
  KvCache cache(pool);
  append(cache, 1, 64);
  KvCache fork = cache.fork();
  append(fork, 2, 1);  // a new block: nothing to copy
  EXPECT_EQ(pool->free_blocks(), 1);
  fork.truncate(50);
  append(fork, 3, 14);
  expect_tokens(cache, 1, 0, 64);
  expect_tokens(fork, 1, 0, 50);
  expect_tokens(fork, 3, 50, 64);
}

TEST(KvCache, BlocksAreFreeWhenTheirLastOwnerGoes) {
  const auto pool = pool_of(3);
  auto cache = std::make_unique<KvCache>(pool);
  append(*cache, 1, 128);
  {
    KvCache fork = cache->fork();
    cache.reset();
    EXPECT_EQ(pool->free_blocks(), 1);
    expect_tokens(fork, 1, 0, 128);
    KvCache moved = std::move(fork);
    expect_tokens(moved, 1, 0, 128);
    KvCache other(pool);
    append(other, 2, 1);
    other = std::move(moved);
    expect_tokens(other, 1, 0, 128);
  }
  EXPECT_EQ(pool->free_blocks(), 3);
}

/// The message of the Error that `call` throws.
template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(KvCache, AFullPoolIsAnErrorThatChangesNothing) {
  const auto pool = pool_of(3);
  KvCache a(pool), b(pool);
  append(a, 1, 64);
  append(b, 2, 60);
  const std::string message = error_of([&] { a.reserve(64 + 1); });
  EXPECT_NE(message.find("KV cache is full: 128 more tokens are needed, but only 64 of its 192"),
            std::string::npos)
      << message;
  EXPECT_EQ(pool->free_blocks(), 1);
  expect_tokens(a, 1, 0, 64);
  append(a, 1, 64);
  // A shared block needs room for its copy.
  KvCache fork = b.fork();
  EXPECT_NE(error_of([&] { fork.reserve(1); }).find("full"), std::string::npos);
  expect_tokens(fork, 2, 0, 60);
  a.truncate(64);
  append(fork, 3, 4);
  expect_tokens(b, 2, 0, 60);
  expect_tokens(fork, 3, 60, 64);
}

TEST(KvCache, APoolThatMemoryCannotHoldIsAnError) {
  const ModelConfig config = tiny_config(16);
  EXPECT_NE(error_of([&] { KvPool(config, int64_t{1} << 50); }).find("KV cache"),
            std::string::npos);
  EXPECT_NE(error_of([&] { KvPool(config, int64_t{1} << 58); }).find("KV cache"),
            std::string::npos);
}

TEST(KvCacheDeathTest, RejectsMoreThanItsCapacityAndSequencesInPieces) {
  KvCache cache(tiny_config(16), 5), other(tiny_config(16), 5);
  EXPECT_DEATH(cache.reserve(6), "capacity_");
  EXPECT_DEATH(cache.truncate(1), "length_");
  KvCache* const caches[] = {&cache, &other};
  const int32_t sequences[] = {0, 1, 0};
  EXPECT_DEATH(KvPass(caches, sequences, 3, 3), "is_same");
  const int32_t outside[] = {2};
  EXPECT_DEATH(KvPass(caches, outside, 1, 1), "sequence <");
}

}  // namespace
}  // namespace evo::model
