#include "model/model.h"

#include <cmath>
#include <limits>
#include <numbers>
#include <tuple>

#include "model/forward_texts.h"
#include "model/testing.h"
#include "ops/embedding.h"

namespace evo::model {
namespace {

using testing::kTinyContext;
using testing::randomize;
using testing::tiny_config;
using testing::with_blocks;

constexpr int32_t kVocabulary = 64;
constexpr int32_t kLength = 24;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<int32_t> random_text(uint64_t seed, int32_t length) {
  Random random(seed, 4);
  std::vector<int32_t> text(static_cast<size_t>(length));
  for (int32_t& token : text) token = static_cast<int32_t>(random.below(kVocabulary));
  return text;
}

Model random_model(const ModelConfig& config) {
  Model model(config, false);
  randomize(model, 3, 0.2f);
  return model;
}

/// Mature rows [first, first + ids) of a text.
ForwardInput mature_rows(std::span<const int32_t> ids, int32_t first) {
  ForwardInput input;
  input.ids.assign(ids.begin(), ids.end());
  for (int32_t r = first; r < first + static_cast<int32_t>(ids.size()); ++r) {
    input.positions.push_back(r);
    input.ranges.push_back({0, r + 1, 0, 0});
  }
  return input;
}

/// Adds evolving rows at positions start, start + 1 .. , in blocks of `block`, all of which see the
/// mature tokens before `start`. Their latents are a function of the position.
void add_evolving_rows(ForwardInput& input, int32_t start, int32_t count, int32_t block) {
  const auto mature = static_cast<int32_t>(input.ids.size());
  input.z = tensor::Tensor::empty({count, 8});
  input.previous_x = tensor::Tensor::empty({count, 8});
  for (int32_t r = 0; r < count; ++r) {
    Random random(9, static_cast<uint64_t>(start + r));
    random.fill_normal({input.z.row(r), 8});
    random.fill_normal({input.previous_x.row(r), 8});
    input.times.push_back(static_cast<float>(0.05 + 0.9 * random.uniform()));
    input.positions.push_back(start + r);
    const int32_t first = mature + r / block * block;
    input.ranges.push_back({0, start, first, std::min(first + block, mature + count)});
  }
}

/// Rows of logits, one std::vector each: equal if their bits are.
using Rows = std::vector<std::vector<float>>;

void append_logits(const Model& model, const ForwardInput& input, std::span<KvCache* const> caches,
                   Rows& rows) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor h = model.forward(tape, input, caches);
  const tensor::Tensor logits =
      ops::head_logits(tape, h, 0, h.rows(), model.unembedding(), nullptr);
  for (int64_t r = 0; r < logits.rows(); ++r) {
    rows.emplace_back(logits.row(r), logits.row(r) + logits.cols());
  }
}

Rows logits_of(const Model& model, const ForwardInput& input) {
  Rows rows;
  append_logits(model, input, {}, rows);
  return rows;
}

Rows logits_with(KvCache& cache, const Model& model, const ForwardInput& input) {
  Rows rows;
  KvCache* const caches[] = {&cache};
  append_logits(model, input, caches, rows);
  return rows;
}

/// Logits of a text's beginning, in one pass with a cache.
Rows cached_logits_of(const Model& model, const ForwardInput& input) {
  KvCache cache(model.config(), kTinyContext, model.cache_format());
  return logits_with(cache, model, input);
}

/// Logits of a text whose rows come in chunks of the given sizes, over and over.
Rows chunked_logits(const Model& model, std::span<const int32_t> text,
                    std::span<const size_t> sizes, KvCache& cache) {
  Rows rows;
  for (size_t i = 0; !text.empty(); ++i) {
    const size_t count = std::min(sizes[i % sizes.size()], text.size());
    std::ranges::copy(
        logits_with(cache, model,
                    mature_rows(text.first(count), static_cast<int32_t>(cache.length()))),
        std::back_inserter(rows));
    text = text.subspan(count);
  }
  return rows;
}

using ops::CacheFormat;
using tensor::Precision;

/// How a model is used.
struct Use {
  Precision precision;
  int threads;
  const char* blocks;
  CacheFormat cache = CacheFormat::kF32;
};

/// Wide enough for products that sum in several blocks.
class PackedModel : public ::testing::TestWithParam<Use> {
 protected:
  void SetUp() override {
    ModelConfig config = tiny_config(kVocabulary);
    config.hidden_size = config.inner_size = config.ahead_size = kWidth;
    config.intermediate_size = 704;
    config.window_places = 5;
    config.head_dim = 48;
    model_.emplace(random_model(with_blocks(config, GetParam().blocks)));
    model_->pack(GetParam().precision);
    model_->set_cache_format(GetParam().cache);
    set_threads(GetParam().threads);
  }
  void TearDown() override { set_threads(1); }

  static constexpr int64_t kWidth = 256;
  std::optional<Model> model_;
  const std::vector<int32_t> text_ = random_text(1, kLength);
};

INSTANTIATE_TEST_SUITE_P(
    Formats, PackedModel,
    ::testing::Values(Use{Precision::kF32, 1, "llama"}, Use{Precision::kF32, 1, "qwen3"},
                      Use{Precision::kF32, 2, "llama"}, Use{Precision::kBF16, 1, "llama"},
                      Use{Precision::kBF16, 2, "qwen3"}, Use{Precision::kInt8, 2, "llama"}));
INSTANTIATE_TEST_SUITE_P(Blocks, PackedModel,
                         ::testing::Values(Use{Precision::kBF16, 1, "gemma"},
                                           Use{Precision::kF32, 1, "olmo"},
                                           Use{Precision::kF32, 1, "gpt"},
                                           Use{Precision::kInt8, 1, "granite"},
                                           Use{Precision::kBF16, 1, "experts"}));
/// With keys and values that are rounded.
class RoundedCache : public PackedModel {};

const auto kRoundedUses = ::testing::Values(Use{Precision::kF32, 2, "llama", CacheFormat::kBF16},
                                            Use{Precision::kBF16, 1, "gemma", CacheFormat::kBF16},
                                            Use{Precision::kF32, 1, "qwen3", CacheFormat::kQ8},
                                            Use{Precision::kInt8, 2, "llama", CacheFormat::kQ8});
INSTANTIATE_TEST_SUITE_P(Caches, PackedModel, kRoundedUses);
INSTANTIATE_TEST_SUITE_P(Caches, RoundedCache, kRoundedUses);

TEST_P(PackedModel, LogitsHaveTheSameBitsInEveryGroupingOfRows) {
  const Rows expected = cached_logits_of(*model_, mature_rows(text_, 0));
  ASSERT_EQ(expected.size(), static_cast<size_t>(kLength));
  // 16 and 17 straddle a SIMD register and the kernels' tiles.
  const std::vector<std::vector<size_t>> groupings = {{1},  {2},        {3}, {5, 1},
                                                      {16}, {17, 2, 1}, {24}};
  for (const auto& sizes : groupings) {
    KvCache cache(model_->config(), kTinyContext, model_->cache_format());
    EXPECT_TRUE(chunked_logits(*model_, text_, sizes, cache) == expected) << sizes.front();
    EXPECT_EQ(cache.length(), kLength);
  }
}

/// What scores texts finds them as likely as what decodes them.
TEST_P(RoundedCache, WholeTextsAreComputedAsDecodingComputesThem) {
  const std::vector<int32_t> other = random_text(2, 70);
  ForwardInput both = mature_rows(text_, 0);
  const ForwardInput second = mature_rows(other, 0);
  both.ids.insert(both.ids.end(), second.ids.begin(), second.ids.end());
  both.positions.insert(both.positions.end(), second.positions.begin(), second.positions.end());
  for (const ops::KeyRange& range : second.ranges) {
    both.ranges.push_back({kLength, kLength + range.context_end, 0, 0});
  }
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor h = forward_texts(*model_, tape, both);
  const tensor::Tensor logits =
      ops::head_logits(tape, h, 0, h.rows(), model_->unembedding(), nullptr);
  Rows rows;
  for (int64_t r = 0; r < logits.rows(); ++r) {
    rows.emplace_back(logits.row(r), logits.row(r) + logits.cols());
  }
  const size_t sizes[] = {7, 1};
  Rows expected;
  for (const std::vector<int32_t>* text : {&text_, &other}) {
    KvCache cache(model_->config(), kTinyContext, model_->cache_format());
    std::ranges::copy(chunked_logits(*model_, *text, sizes, cache), std::back_inserter(expected));
  }
  EXPECT_TRUE(rows == expected);
  rows.resize(kLength);
  model_->set_cache_format(CacheFormat::kF32);
  EXPECT_FALSE(rows == cached_logits_of(*model_, mature_rows(text_, 0)));  // it was rounded
}

TEST_P(PackedModel, MatureRowsDoNotSeeEvolvingRows) {
  for (const auto& logits : {logits_of, cached_logits_of}) {
    const Rows expected = logits(*model_, mature_rows(text_, 0));
    for (const int32_t count : {1, 4, 19}) {
      ForwardInput input = mature_rows(text_, 0);
      add_evolving_rows(input, kLength, count, 4);
      std::ranges::fill(input.z.values(), kNan);
      Rows rows = logits(*model_, input);
      EXPECT_TRUE(std::isnan(rows.back().front()));  // the poison was there
      rows.resize(kLength);
      EXPECT_TRUE(rows == expected) << count;
    }
  }
}

TEST_P(PackedModel, EvolvingRowsHaveTheSameBitsInEveryCompany) {
  constexpr int32_t kCount = 8;
  ForwardInput alone = mature_rows(text_, 0);
  add_evolving_rows(alone, kLength, kCount, 4);
  Rows expected = cached_logits_of(*model_, alone);
  expected.erase(expected.begin(), expected.begin() + kLength);
  // Most of the context from the cache, as in decoding; then only the first block.
  for (const auto& [fresh, count] : {std::pair(0, kCount), {1, kCount}, {7, kCount}, {3, 4}}) {
    const auto cached = static_cast<size_t>(kLength - fresh);
    KvCache cache(model_->config(), kTinyContext, model_->cache_format());
    const size_t sizes[] = {cached};
    chunked_logits(*model_, std::span(text_).first(cached), sizes, cache);
    ForwardInput input =
        mature_rows(std::span(text_).subspan(cached), static_cast<int32_t>(cached));
    add_evolving_rows(input, kLength, count, 4);
    Rows rows = logits_with(cache, *model_, input);
    rows.erase(rows.begin(), rows.begin() + fresh);
    EXPECT_TRUE(rows == Rows(expected.begin(), expected.begin() + count)) << fresh;
    EXPECT_EQ(cache.length(), kLength);  // evolving rows leave no trace
  }
}

TEST_P(PackedModel, ATruncatedCacheForgets) {
  const std::vector<int32_t> other = random_text(2, 10);
  std::vector<int32_t> joined(text_.begin(), text_.begin() + 12);
  joined.insert(joined.end(), other.begin(), other.end());
  Rows expected = cached_logits_of(*model_, mature_rows(joined, 0));
  expected.erase(expected.begin(), expected.begin() + 12);

  KvCache cache(model_->config(), kTinyContext, model_->cache_format());
  const size_t sizes[] = {9};
  chunked_logits(*model_, text_, sizes, cache);
  cache.truncate(12);
  EXPECT_TRUE(chunked_logits(*model_, other, sizes, cache) == expected);
}

TEST_P(PackedModel, AForkGoesOnLikeItsOrigin) {
  const std::vector<int32_t> other = random_text(2, 10);
  KvCache cache(
      std::make_shared<KvPool>(model_->config(), 2 * kTinyContext, model_->cache_format()));
  const size_t sizes[] = {9};
  chunked_logits(*model_, text_, sizes, cache);
  KvCache fork = cache.fork();
  const Rows first = chunked_logits(*model_, other, sizes, fork);
  chunked_logits(*model_, text_, sizes, cache);
  cache.truncate(kLength);
  EXPECT_TRUE(chunked_logits(*model_, other, sizes, cache) == first);
}

/// One pass over the rows of several; those of inputs[s] belong to sequence s.
ForwardInput joined(std::span<const ForwardInput> inputs) {
  ForwardInput all;
  const auto add_rows = [&](int32_t s, int64_t begin, int64_t end) {
    const ForwardInput& input = inputs[s];
    const auto shift = static_cast<int32_t>(std::ssize(all.positions) - begin);
    for (auto r = static_cast<size_t>(begin); r < static_cast<size_t>(end); ++r) {
      all.positions.push_back(input.positions[r]);
      all.sequences.push_back(s);
      ops::KeyRange& range = all.ranges.emplace_back(input.ranges[r]);
      if (range.self_end == 0) continue;
      range.self_begin += shift;
      range.self_end += shift;
    }
  };
  for (int32_t s = 0; s < std::ssize(inputs); ++s) {
    const ForwardInput& input = inputs[s];
    all.ids.insert(all.ids.end(), input.ids.begin(), input.ids.end());
    add_rows(s, 0, input.mature());
  }
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  for (int32_t s = 0; s < std::ssize(inputs); ++s) {
    const ForwardInput& input = inputs[s];
    if (input.times.empty()) continue;
    all.z = all.z.defined() ? ops::concat_rows(tape, all.z, input.z) : input.z;
    all.previous_x = all.previous_x.defined()
                         ? ops::concat_rows(tape, all.previous_x, input.previous_x)
                         : input.previous_x;
    all.times.insert(all.times.end(), input.times.begin(), input.times.end());
    add_rows(s, input.mature(), input.mature() + input.evolving());
  }
  return all;
}

TEST_P(PackedModel, SequencesOfOnePassHaveTheBitsOfEachAlone) {
  struct Part {
    int32_t cached, fresh, evolving;
  };
  const auto pool =
      std::make_shared<KvPool>(model_->config(), 5 * kTinyContext, model_->cache_format());
  std::vector<KvCache> caches;
  std::vector<ForwardInput> inputs;
  std::vector<Rows> alone;
  for (const auto& [cached, fresh, evolving] :
       {Part{62, 5, 4}, {0, 3, 0}, {70, 0, 3}, {64, 1, 7}}) {
    const std::vector<int32_t> text = random_text(10 + inputs.size(), cached + fresh);
    const auto known = static_cast<size_t>(cached);
    KvCache& cache = caches.emplace_back(pool);
    logits_with(cache, *model_, mature_rows(std::span(text).first(known), 0));
    ForwardInput& input = inputs.emplace_back(mature_rows(std::span(text).subspan(known), cached));
    if (evolving > 0) add_evolving_rows(input, cached + fresh, evolving, 4);
    KvCache fork = cache.fork();
    alone.push_back(logits_with(fork, *model_, input));
  }
  Rows expected;
  for (const bool mature : {true, false}) {
    for (size_t s = 0; s < inputs.size(); ++s) {
      const auto middle = alone[s].begin() + inputs[s].mature();
      expected.insert(expected.end(), mature ? alone[s].begin() : middle,
                      mature ? middle : alone[s].end());
    }
  }
  std::vector<KvCache*> pointers;
  for (KvCache& cache : caches) pointers.push_back(&cache);
  Rows rows;
  append_logits(*model_, joined(inputs), pointers, rows);
  EXPECT_TRUE(rows == expected);
  EXPECT_EQ(caches[0].length(), 67);
  EXPECT_EQ(caches[1].length(), 3);
  EXPECT_EQ(caches[2].length(), 70);
}

TEST(Model, APassThatFindsNoRoomAppendsNothing) {
  const Model model = random_model(tiny_config(kVocabulary));
  const auto pool = std::make_shared<KvPool>(model.config(), 2 * ops::kCacheBlock);
  KvCache a(pool), b(pool);
  const std::vector<int32_t> text = random_text(1, 60);
  logits_with(a, model, mature_rows(text, 0));
  logits_with(b, model, mature_rows(text, 0));
  const std::vector<int32_t> more = random_text(2, 5);
  const ForwardInput inputs[] = {mature_rows(std::span(more).first(1), 60), mature_rows(more, 60)};
  KvCache* const caches[] = {&a, &b};
  Rows rows;
  EXPECT_THROW(append_logits(model, joined(inputs), caches, rows), Error);
  EXPECT_EQ(a.length(), 60);
  EXPECT_EQ(b.length(), 60);
  a.truncate(0);
  EXPECT_TRUE(logits_with(b, model, inputs[1]).size() == 5);
}

TEST(Model, CachedPassesOfAllBlocksGiveWhatUncachedOnesGive) {
  for (const char* kind : testing::kBlockKinds) {
    SCOPED_TRACE(kind);
    const Model model = random_model(with_blocks(tiny_config(kVocabulary), kind));
    ForwardInput input = mature_rows(random_text(1, 100), 0);
    add_evolving_rows(input, 100, 8, 4);
    const Rows plain = logits_of(model, input);
    const Rows cached = cached_logits_of(model, input);
    for (size_t r = 0; r < plain.size(); ++r) {
      for (size_t v = 0; v < plain[r].size(); ++v) {
        ASSERT_NEAR(cached[r][v], plain[r][v], 8e-5) << r;
      }
    }
  }
}

TEST(Model, CachedPassesGiveWhatUncachedOnesGive) {
  for (const int64_t window : {0, 20}) {
    ModelConfig config = tiny_config(kVocabulary);
    config.sliding_window = window;
    config.max_window_layers = window > 0 ? 1 : 0;
    config.qkv_bias = window > 0;
    const Model model = random_model(config);
    ForwardInput input = mature_rows(random_text(1, 100), 0);
    add_evolving_rows(input, 100, 8, 4);
    const Rows plain = logits_of(model, input);
    const Rows cached = cached_logits_of(model, input);
    for (size_t r = 0; r < plain.size(); ++r) {
      for (size_t v = 0; v < plain[r].size(); ++v) {
        // As for packed products below, with sums over up to 108 keys.
        ASSERT_NEAR(cached[r][v], plain[r][v], 8e-5) << r;
      }
    }
  }
}

/// One layer, so that nothing is seen through others.
TEST(Model, AWindowCountsFromTheRowsOwnPlace) {
  ModelConfig config = tiny_config(kVocabulary);
  config.num_hidden_layers = 1;
  config.sliding_window = 5;
  const Model model = random_model(config);
  constexpr int32_t kStart = 20, kCount = 6;  // one block at places 20 to 25
  ForwardInput input = mature_rows(random_text(1, kLength), 0);
  add_evolving_rows(input, kStart, kCount, kCount);
  const Rows before = logits_of(model, input);
  for (int32_t token = 0; token < kStart; ++token) {
    ForwardInput other = input;
    other.ids[token] ^= 1;
    const Rows after = logits_of(model, other);
    for (size_t r = 0; r < before.size(); ++r) {
      const bool mature = r < kLength;
      const auto place = static_cast<int32_t>(mature ? r : r - kLength + kStart);
      const bool sees = token <= place && place - token < 5;
      EXPECT_EQ(before[r] != after[r], sees) << "row " << r << ", token " << token;
    }
  }
}

TEST_P(PackedModel, StepsOfTheFieldsGiveTheFields) {
  constexpr int32_t kRows = 11;
  const std::vector<int32_t> previous = random_text(5, kRows);
  tensor::Tensor h = tensor::Tensor::empty({kRows, kWidth});
  Random(6).fill_normal(h.values());
  std::vector<uint8_t> starts(kRows, 0);
  starts[0] = starts[4] = starts[5] = 1;
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor expected = model_->inner_field(tape, h, previous, starts);
  std::vector<float> state;
  for (int32_t r = 0; r < kRows; ++r) {
    const auto i = static_cast<size_t>(r);
    if (starts[i] != 0) state.assign(model_->config().inner_size, 0.0f);
    const tensor::Tensor row = tensor::Tensor::view(h.row(r), {1, kWidth});
    const tensor::Tensor o = model_->inner_step(row, previous[i], state);
    ASSERT_TRUE(std::ranges::equal(o.values(), std::span(expected.row(r), kWidth))) << r;
  }
}

/// Drafting token by token behind a cache is what the field was trained as. Attention over a cache
/// sums in another order, so the two differ by rounding: a few hundred operations of 2^-24 each.
TEST(Model, StepsOfTheFieldAheadGiveTheField) {
  ModelConfig config = tiny_config(kVocabulary);
  config.ahead_size = 24;
  const Model model = random_model(config);
  const std::vector<int32_t> text = random_text(1, kLength);
  constexpr int32_t kDrafts = 7;
  KvCache cache(model.config(), kTinyContext);
  KvCache* const caches[] = {&cache};
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const ForwardInput input = mature_rows(text, 0);
  AheadInput ahead;
  const tensor::Tensor h = model.forward(tape, input, caches, &ahead.keys);
  const tensor::Tensor last = ops::slice_rows(tape, h, kLength - 1, kLength);
  ahead.h = tensor::Tensor::empty({kDrafts, config.hidden_size});
  ahead.previous = random_text(2, kDrafts);
  for (int32_t j = 0; j < kDrafts; ++j) {
    std::ranges::copy(last.values(), ahead.h.row(j));
    ahead.positions.push_back(kLength + j);
    ahead.context.push_back({0, kLength, 0, 0});
    ahead.starts.push_back(j == 0);
  }
  const tensor::Tensor expected = model.ahead_field(tape, ahead);
  // Beside another text, from whose start the same tokens are drafted at other places.
  const std::vector<int32_t> other_text = random_text(3, 5);
  KvCache other(model.config(), kTinyContext);
  KvCache* const others[] = {&other};
  const tensor::Tensor other_h = model.forward(tape, mature_rows(other_text, 0), others);
  const KvCache* const both[] = {&other, &cache};
  const tensor::Tensor hs = ops::concat_rows(tape, ops::slice_rows(tape, other_h, 4, 5), last);
  const tensor::Tensor states = tensor::Tensor::zeros({2, 6}),
                       alone = tensor::Tensor::zeros({1, 6});
  for (int32_t j = 0; j < kDrafts; ++j) {
    const int32_t previous = ahead.previous[j], place = kLength + j;
    const int32_t previous_of_both[] = {previous, previous}, places[] = {5 + j, place};
    const tensor::Tensor o = model.ahead_step(hs, previous_of_both, places, both, states);
    for (int64_t c = 0; c < o.cols(); ++c) ASSERT_NEAR(o.row(1)[c], expected.row(j)[c], 2e-5);
    const tensor::Tensor same = model.ahead_step(
        last, std::span(&previous, 1), std::span(&place, 1), std::span(both).subspan(1), alone);
    EXPECT_TRUE(std::ranges::equal(same.values(), ops::slice_rows(tape, o, 1, 2).values()));
    EXPECT_GT(std::abs(o.row(0)[0] - o.row(1)[0]), 1e-3);  // each looks at its own text
  }
  // Each draft depends on where it stands and on what was drafted before.
  const int32_t previous = ahead.previous.back(), place = kLength;
  const tensor::Tensor elsewhere = model.ahead_step(
      last, std::span(&previous, 1), std::span(&place, 1), std::span(both).subspan(1), alone);
  EXPECT_GT(std::abs(elsewhere.row(0)[0] - expected.row(kDrafts - 1)[0]), 1e-3);
}

/// Those that make up nearly all of text, in their order, as long as they are few for the width.
TEST(Model, DraftsAheadFromTheLikeliestTokens) {
  ModelConfig config = tiny_config(300);
  config.ahead_size = 24;
  Model model = random_model(config);
  std::vector<float> unigram(300, 0.0f);
  for (size_t token : {7, 20, 299}) unigram[token] = 0.333f;
  unigram[1] = 0.001f;
  model.set_unigram(unigram);
  model.pack(tensor::Precision::kF32);
  EXPECT_TRUE(std::ranges::equal(model.ahead_tokens(), std::vector<int32_t>{7, 20, 299}));
  std::ranges::fill(unigram, 1 / 300.0f);
  unigram[250] = 0.01f;
  model.set_unigram(unigram);
  model.pack(tensor::Precision::kF32);
  EXPECT_EQ(std::ssize(model.ahead_tokens()), 4 * config.hidden_size);
  EXPECT_EQ(model.ahead_tokens().back(), 250);
}

/// An evolving row is told its place in its window; mature rows are not. As rows of a window see
/// each other, what is told to one changes all of its window.
TEST(Model, PlacesAreThoseInTheWindow) {
  ModelConfig config = tiny_config(kVocabulary);
  config.window_places = 3;
  const Model model = random_model(config);
  const auto width = static_cast<size_t>(config.hidden_size);
  const auto changed_rows = [&](int32_t count, int32_t block, int64_t place) {
    ForwardInput input = mature_rows(random_text(1, kLength), 0);
    add_evolving_rows(input, kLength, count, block);
    tensor::Tape tape(tensor::Tape::Mode::kInference);
    const tensor::Tensor before = model.forward(tape, input);
    const tensor::Tensor places = model.parameters().tensor("evo.places.weight");
    for (size_t c = 0; c < width; ++c) places.row(place)[c] += 1.0f;
    const tensor::Tensor after = model.forward(tape, input);
    std::vector<int64_t> rows;
    for (int64_t r = 0; r < after.rows(); ++r) {
      if (!std::equal(after.row(r), after.row(r) + width, before.row(r))) {
        rows.push_back(r - kLength);
      }
    }
    return rows;
  };
  using Changed = std::vector<int64_t>;
  // Windows of 2, 2 and 1 tokens.
  EXPECT_EQ(changed_rows(5, 2, 0), (Changed{0, 1, 2, 3, 4}));
  EXPECT_EQ(changed_rows(5, 2, 1), (Changed{0, 1, 2, 3}));
  EXPECT_EQ(changed_rows(5, 2, 2), Changed());
  // Of a longer window all tokens behind the last place have it.
  EXPECT_EQ(changed_rows(7, 5, 2), (Changed{0, 1, 2, 3, 4}));
}

TEST(Model, PackedF32ProductsGiveWhatPlainOnesGive) {
  Model model = random_model(tiny_config(kVocabulary));
  ForwardInput input = mature_rows(random_text(1, kLength), 0);
  add_evolving_rows(input, kLength, 8, 4);
  const Rows plain = logits_of(model, input);
  model.pack(tensor::Precision::kF32);
  const Rows packed = logits_of(model, input);
  for (size_t r = 0; r < plain.size(); ++r) {
    for (size_t v = 0; v < plain[r].size(); ++v) {
      // Some ten products in a row, sums of up to 64 terms in another order: 64 half-ulps (6e-8)
      // each, relative to logits of about 1, and as much again for what attention makes of it.
      ASSERT_NEAR(packed[r][v], plain[r][v], 8e-5) << r;
    }
  }
}

TEST(Model, MatureRowsSeeOnlyWhatIsBeforeThem) {
  const Model model = random_model(tiny_config(kVocabulary));
  std::vector<int32_t> text = random_text(1, kLength);
  const Rows before = logits_of(model, mature_rows(text, 0));
  text[20] = (text[20] + 1) % kVocabulary;
  const Rows after = logits_of(model, mature_rows(text, 0));
  for (size_t r = 0; r < before.size(); ++r) EXPECT_EQ(before[r] == after[r], r < 20) << r;
}

TEST(Model, EvolvingRowsSeeTheContextAndTheirBlock) {
  const Model model = random_model(tiny_config(kVocabulary));
  constexpr int32_t kStart = 20, kCount = 6, kBlock = 3;  // the context ends before position 20
  ForwardInput input = mature_rows(random_text(1, kLength), 0);
  add_evolving_rows(input, kStart, kCount, kBlock);
  const auto changed_rows = [&](const auto& change) {
    const Rows before = logits_of(model, input);
    change();
    const Rows after = logits_of(model, input);
    std::vector<int> changed;
    for (int r = 0; r < kCount; ++r) {
      const auto row = static_cast<size_t>(kLength + r);
      if (before[row] != after[row]) changed.push_back(r);
    }
    return changed;
  };
  using List = std::vector<int>;
  const List all = {0, 1, 2, 3, 4, 5}, second_block = {3, 4, 5};
  EXPECT_EQ(changed_rows([&] { input.ids[kStart] ^= 1; }), List());
  EXPECT_EQ(changed_rows([&] { input.ids[kStart - 1] ^= 1; }), all);
  EXPECT_EQ(changed_rows([&] { input.z.row(4)[0] += 1; }), second_block);
  EXPECT_EQ(changed_rows([&] { input.previous_x.row(4)[0] += 1; }), second_block);
  EXPECT_EQ(changed_rows([&] { input.times[4] *= 0.5f; }), second_block);
  EXPECT_EQ(changed_rows([&] { input.positions[kLength + 4] += 1; }), second_block);
}

TEST(Model, FreshWeightsAreAFunctionOfTheSeed) {
  const ModelConfig config = tiny_config(kVocabulary);
  Model a(config, false), b(config, false), c(config, false);
  a.initialize(1);
  b.initialize(1);
  c.initialize(2);
  EXPECT_TRUE(std::ranges::equal(a.parameters().values(), b.parameters().values()));
  EXPECT_FALSE(std::ranges::equal(a.parameters().values(), c.parameters().values()));
}

TEST(Model, FreshModulationAndInnerFieldDoNothing) {
  Model model(tiny_config(kVocabulary), false);
  model.initialize(1);
  ForwardInput input = mature_rows(random_text(1, 5), 0);
  add_evolving_rows(input, 5, 3, 3);
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const tensor::Tensor h = model.forward(tape, input);
  const int32_t previous[] = {1, 2, 3, 4, 5, 6, 7, 8};
  const uint8_t starts[8] = {1};
  const tensor::Tensor o = model.inner_field(tape, h, previous, starts);
  EXPECT_TRUE(std::ranges::equal(o.values(), h.values()));
}

TEST(TimeFeatures, AreThoseOfTheDocument) {
  const float times[] = {1.0f, 0.25f};
  const tensor::Tensor phi = time_features(times, 8);
  ASSERT_EQ(phi.shape(), (std::vector<int64_t>{2, 8}));
  for (int r = 0; r < 2; ++r) {
    const double t = times[r], turn = std::numbers::pi / 2;
    const double expected[] = {1,
                               t,
                               std::sin(turn * t),
                               std::sin(turn * 2 * t),
                               std::sin(turn * 3 * t),
                               std::cos(turn * t),
                               std::cos(turn * 2 * t),
                               std::cos(turn * 3 * t)};
    // Values of at most 1 rounded to f32.
    for (int k = 0; k < 8; ++k) EXPECT_NEAR(phi.row(r)[k], expected[k], 6e-8) << r << ' ' << k;
  }
  EXPECT_FALSE(time_features({}, 8).defined());
}

}  // namespace
}  // namespace evo::model
