#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention/attention_forward.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/threads/parallel.h"
#include "ops/cpu/attention/attention_tile-inl.h"
#include "ops/cpu/simd/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

constexpr float kNothingSeen = -std::numeric_limits<float>::infinity();

/// The softmax of a tile, kept up to date window by window (Milakov and Gimelshein 2018, "Online
/// normalizer calculation for softmax").
class ForwardTile {
 public:
  ForwardTile(const AttentionCall& call, const QueryTile& queries, int kv_head)
      : walk_(call, queries, kv_head), scratch_(2 * walk_.panel_floats() + kScoreFloats) {
    queries_ = scratch_.take(walk_.panel_floats());
    sums_ = scratch_.take(walk_.panel_floats());
    weights_ = scratch_.take(kScoreFloats);
    load_panel(walk_.input_heads(call.qkv), walk_.head_size(), walk_.scale(), queries_);
    std::fill_n(sums_, walk_.panel_floats(), 0.0f);
    maximum_.fill(kNothingSeen);
    total_.fill(0.0f);
  }

  /// Goes through the next window; false if there was none.
  bool step() {
    KeyWindow window;
    if (!walk_.next(window)) return false;
    walk_.is_narrow() ? attend<1>(window) : attend<2>(window);
    return true;
  }

  /// `log_sums` [N, query_heads] may be null.
  void finish(const HeadLayout& layout, float* out, float* log_sums) {
    divide_by_total();
    store_panel<false>(sums_, walk_.head_size(), walk_.count(), walk_.output_heads(out));
    if (log_sums == nullptr) return;
    const auto kept = walk_.heads(log_sums, layout.query_heads, 1);
    for (int lane = 0; lane < walk_.count(); ++lane) {
      *kept[lane] = maximum_[lane] + std::log(total_[lane]);
    }
  }

 private:
  template <int kVectors>
  void attend(const KeyWindow& window) {
    const int size = walk_.head_size();
    multiply_heads<kVectors>(walk_.keys(window), queries_, window, size, weights_);
    if (walk_.cap() > 0) cap_scores<kVectors>(weights_, window.count, walk_.cap());
    for (int v = 0; v < kVectors; ++v) update_softmax(window, v * kLanes);
    add_weighted<kVectors>(walk_.values(window), weights_, window, size, sums_);
  }

  /// Scores of one vector of lanes become weights; earlier sums are rescaled to the new maximum.
  /// A lane that sees no key of the window keeps its state bit for bit: exp(0) is exactly 1.
  void update_softmax(const KeyWindow& window, int first_lane) {
    const FloatTag d;
    const auto nothing = hn::Set(d, kNothingSeen);
    float* weights = weights_ + first_lane;
    const SeeingLanes seeing{window};
    for_each_hidden(window, [&](int k) HWY_ATTR {
      float* score = weights + k * kTileWidth;
      const auto sees = seeing.row(k, first_lane).sees;
      hn::Store(hn::IfThenElse(sees, hn::Load(d, score), nothing), d, score);
    });

    const auto old_maximum = hn::Load(d, maximum_.data() + first_lane);
    auto maximum = old_maximum;
    for (int k = 0; k < window.count; ++k) {
      maximum = hn::Max(maximum, hn::Load(d, weights + k * kTileWidth));
    }
    // -inf - -inf would be NaN: lanes that have seen nothing subtract 0 and get exp(-inf) = 0.
    const auto base = hn::IfThenElseZero(hn::Ne(maximum, nothing), maximum);
    auto added = hn::Zero(d);
    for (int k = 0; k < window.count; ++k) {
      const auto weight = Exp(d, hn::Sub(hn::Load(d, weights + k * kTileWidth), base));
      added = hn::Add(added, weight);
      hn::Store(weight, d, weights + k * kTileWidth);
    }

    const auto correction = Exp(d, hn::Sub(old_maximum, base));
    const auto total = hn::Load(d, total_.data() + first_lane);
    hn::Store(hn::MulAdd(total, correction, added), d, total_.data() + first_lane);
    hn::Store(maximum, d, maximum_.data() + first_lane);
    for (int i = 0; i < walk_.head_size(); ++i) {
      float* sum = sums_ + i * kTileWidth + first_lane;
      hn::Store(hn::Mul(hn::Load(d, sum), correction), d, sum);
    }
  }

  void divide_by_total() {
    const FloatTag d;
    for (int lane = 0; lane < kTileWidth; lane += kLanes) {
      const auto total = hn::Load(d, total_.data() + lane);
      for (int i = 0; i < walk_.head_size(); ++i) {
        float* sum = sums_ + i * kTileWidth + lane;
        hn::Store(hn::Div(hn::Load(d, sum), total), d, sum);
      }
    }
  }

  TileWalk walk_;
  Scratch scratch_;
  float* queries_;  // [head_size, lanes], scaled
  float* sums_;     // [head_size, lanes]  sum of exp(score - maximum) * value
  float* weights_;  // [kWindowKeys, lanes]  scores, then exp(score - maximum)
  alignas(64) LaneArray maximum_;
  alignas(64) LaneArray total_;  // sum of exp(score - maximum)
};

void forward(const AttentionCall& call, float* out, float* log_sums) {
  const auto tiles = ops::query_tiles(call.ranges, call.group(), kTileWidth);
  const int64_t work = std::ssize(tiles) * call.layout.kv_heads;
  const int64_t size = std::clamp<int64_t>(work / (4 * threads()), 1, ops::kBatchTiles);
  const int64_t batches = ops::batch_count(tiles, size);
  // One head's batches in a row: they share its keys and values, which then stay in cache.
  parallel_items(batches * call.layout.kv_heads, [&](int64_t item) {
    const int kv_head = static_cast<int>(item / batches);
    std::vector<ForwardTile> batch;
    batch.reserve(size);
    for (const QueryTile& tile : ops::nth_batch(tiles, size, item % batches)) {
      batch.emplace_back(call, tile, kv_head);
    }
    walk_together(batch);
    for (ForwardTile& tile : batch) tile.finish(call.layout, out, log_sums);
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace evo::ops {

HWY_EXPORT(forward);

void attention_forward(const AttentionCall& call, float* out, float* log_sums) {
  HWY_DYNAMIC_DISPATCH(forward)(call, out, log_sums);
}

}  // namespace evo::ops
#endif  // HWY_ONCE
