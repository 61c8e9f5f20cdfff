// The feed-forward part by AMX's tiles: blocks of rows and of hidden columns go through all of it
// while they are in the cache of one core. What lies between the products never gets into memory
// in f32; gate and up are kept in bf16 for the backward pass, where the rest is made again.
#include "ops/feed_forward.h"

#include <algorithm>

#include "base/threads/parallel.h"
#include "ops/cpu/activation.h"
#include "ops/cpu/cpu.h"
#include "ops/cpu/formats/bf16/bf16.h"
#include "ops/cpu/matmul/tile_product.h"
#include "ops/cpu/rows.h"
#include "ops/machine.h"

namespace evo::ops::cpu {
namespace {

/// Hidden columns of a block. Sums over all of them are taken block by block.
constexpr int64_t kBlockCols = 256;
constexpr int64_t kMostBlockRows = 128;
static_assert(kPartDepth % kBlockCols == 0 && kPartDepth % kMostBlockRows == 0);

TileSource matrix_rows(const float* data, int64_t rows, int64_t cols) {
  return {data, rows, cols, cols, 1};
}
TileSource matrix_columns(const float* data, int64_t rows, int64_t cols) {
  return {data, cols, rows, 1, cols};
}

/// gate | up is [2F, D], down [out, F].
struct FeedForward {
  tensor::Tensor x, gate_up, down, y;
  Activation f;
  tensor::Tensor kept;  ///< gate | up of every row in bf16, [N, 2F]; undefined without gradients

  [[nodiscard]] int64_t rows() const { return x.rows(); }
  [[nodiscard]] int64_t width() const { return gate_up.cols(); }
  [[nodiscard]] int64_t hidden() const { return down.cols(); }
  [[nodiscard]] int64_t out() const { return down.rows(); }
  [[nodiscard]] const float* gate() const { return gate_up.f32(); }
  [[nodiscard]] const float* up() const { return gate_up.row(hidden()); }
};

/// Up to kMostBlockRows rows and kBlockCols hidden columns.
struct Block {
  int64_t row, rows, col, cols;
};

/// fn(first row, rows) on all threads, then fn of each block of them in order.
template <class Begin, class Each>
void for_each_block(const FeedForward& layer, const Begin& begin, const Each& each) {
  int64_t most = kMostBlockRows;
  while (most > kTileGroup && layer.rows() < 4 * most * threads()) most /= 2;
  parallel_items((layer.rows() + most - 1) / most, [&](int64_t i) {
    const int64_t row = i * most, rows = std::min(most, layer.rows() - row);
    auto state = begin(row, rows);
    for (int64_t col = 0; col < layer.hidden(); col += kBlockCols) {
      each(state, Block{row, rows, col, std::min(kBlockCols, layer.hidden() - col)});
    }
  });
}

/// A block's numbers, rows kBlockCols apart.
class BlockFloats {
 public:
  explicit BlockFloats(int64_t rows)
      : rows_(rows), values_(tensor::pooled_bytes(rows * kBlockCols * sizeof(float))) {}

  [[nodiscard]] float* row(int64_t r) const {
    return static_cast<float*>(values_.get()) + r * kBlockCols;
  }
  [[nodiscard]] TileOutput output(int64_t cols) const {
    return {row(0), rows_, cols, kBlockCols, false};
  }
  /// As a side of products that sum over columns, or over rows.
  [[nodiscard]] TileSource by_rows(int64_t cols) const {
    return {row(0), rows_, cols, kBlockCols, 1};
  }
  [[nodiscard]] TileSource by_columns(int64_t cols) const {
    return {row(0), cols, rows_, 1, kBlockCols};
  }

 private:
  int64_t rows_;
  std::shared_ptr<void> values_;
};

/// out [block's rows, out.cols] += block right^T.
void add_product(const BlockFloats& block, const Block& at, const PackedSide& right,
                 const TileOutput& out) {
  const PackedSide left(block.by_rows(at.cols), TileSide::kLeft);
  multiply_tiles(left.at(0, 0), right.at(0, at.col), tile_steps(at.cols), out);
}

class Forward {
 public:
  explicit Forward(const FeedForward& layer)
      : layer_(layer),
        gate_(matrix_rows(layer.gate(), layer.hidden(), layer.width()), TileSide::kRight),
        up_(matrix_rows(layer.up(), layer.hidden(), layer.width()), TileSide::kRight),
        down_(matrix_rows(layer.down.f32(), layer.out(), layer.hidden()), TileSide::kRight) {}

  void run() const {
    for_each_block(
        layer_, [&](int64_t row, int64_t rows) { return State(layer_, row, rows); },
        [&](State& state, const Block& at) { pass(state, at); });
  }

 private:
  struct State {
    State(const FeedForward& layer, int64_t row, int64_t rows)
        : x(matrix_rows(layer.x.row(row), rows, layer.width()), TileSide::kLeft),
          gate(rows),
          up(rows) {}
    PackedSide x;
    BlockFloats gate, up;
  };

  void pass(State& state, const Block& at) const {
    multiply_columns(state.x, gate_, at.col, state.gate.output(at.cols));
    multiply_columns(state.x, up_, at.col, state.up.output(at.cols));
    for (int64_t r = 0; r < at.rows; ++r) {
      float* const gate = state.gate.row(r);
      float* const up = state.up.row(r);
      if (layer_.kept.defined()) {
        uint16_t* const kept = layer_.kept.bf16() + (at.row + r) * layer_.kept.cols() + at.col;
        convert_to_bf16(gate, at.cols, kept);
        convert_to_bf16(up, at.cols, kept + layer_.hidden());
      }
      activate_gated_row(layer_.f, gate, up, at.cols, gate);
    }
    add_product(state.gate, at, down_,
                {layer_.y.row(at.row), at.rows, layer_.out(), layer_.out(), at.col > 0});
  }

  const FeedForward& layer_;
  PackedSide gate_, up_, down_;
};

class Backward {
 public:
  explicit Backward(const FeedForward& layer)
      : layer_(layer),
        dy_(layer.y.grad()),
        dx_(layer.x),
        gate_(matrix_columns(layer.gate(), layer.hidden(), layer.width()), TileSide::kRight),
        up_(matrix_columns(layer.up(), layer.hidden(), layer.width()), TileSide::kRight),
        down_(matrix_columns(layer.down.f32(), layer.out(), layer.hidden()), TileSide::kRight),
        active_(layer.hidden(), layer.rows()),
        dgate_(layer.hidden(), layer.rows()),
        dup_(layer.hidden(), layer.rows()) {}

  void run() {
    for_each_block(
        layer_, [&](int64_t row, int64_t rows) { return State(dy_, row, rows); },
        [&](State& state, const Block& at) { pass(state, at); });
    if (layer_.gate_up.wants_grad()) add_gate_up_gradient();
    if (layer_.down.wants_grad()) add_down_gradient();
  }

 private:
  struct State {
    State(const tensor::Tensor& gradient, int64_t row, int64_t rows)
        : dy(matrix_rows(gradient.row(row), rows, gradient.cols()), TileSide::kLeft),
          gate(rows),
          up(rows),
          active(rows),
          dactive(rows) {}
    PackedSide dy;
    BlockFloats gate, up, active, dactive;
  };

  void pass(State& state, const Block& at) {
    multiply_columns(state.dy, down_, at.col, state.dactive.output(at.cols));
    for (int64_t r = 0; r < at.rows; ++r) {
      float* const gate = state.gate.row(r);
      float* const up = state.up.row(r);
      const uint16_t* kept = layer_.kept.bf16() + (at.row + r) * layer_.kept.cols() + at.col;
      widen_bf16(kept, at.cols, gate);
      widen_bf16(kept + layer_.hidden(), at.cols, up);
      activate_gated_row(layer_.f, gate, up, at.cols, state.active.row(r));
      activate_gated_row_backward(layer_.f, gate, up, state.dactive.row(r), at.cols, gate, up);
    }
    if (dx_.wanted()) {
      TileOutput dx = {dx_.row(at.row), at.rows, layer_.width(), layer_.width(),
                       at.col > 0 || !dx_.fresh};
      add_product(state.gate, at, gate_, dx);
      dx.accumulate = true;
      add_product(state.up, at, up_, dx);
    }
    if (layer_.gate_up.wants_grad()) {
      dgate_.pack(state.gate.by_columns(at.cols), TileSide::kLeft, at.col, at.row);
      dup_.pack(state.up.by_columns(at.cols), TileSide::kLeft, at.col, at.row);
    }
    if (layer_.down.wants_grad()) {
      active_.pack(state.active.by_columns(at.cols), TileSide::kRight, at.col, at.row);
    }
  }

  void add_gate_up_gradient() const {
    const GradientSink sink(layer_.gate_up);
    const int64_t hidden = layer_.hidden(), width = layer_.width();
    const PackedSide x(matrix_columns(layer_.x.f32(), layer_.rows(), width), TileSide::kRight);
    multiply_packed(dgate_, x, {sink.row(0), hidden, width, width, !sink.fresh});
    multiply_packed(dup_, x, {sink.row(hidden), hidden, width, width, !sink.fresh});
  }

  void add_down_gradient() const {
    const GradientSink sink(layer_.down);
    multiply_packed(matrix_columns(dy_.f32(), layer_.rows(), layer_.out()), active_,
                    {sink.row(0), layer_.out(), layer_.hidden(), layer_.hidden(), !sink.fresh});
  }

  const FeedForward& layer_;
  tensor::Tensor dy_;
  GradientSink dx_;
  PackedSide gate_, up_, down_;
  PackedSide active_, dgate_, dup_;  // [F] by rows, which sums of weights' gradients go along
};

}  // namespace

tensor::Tensor fused_feed_forward(tensor::Tape& tape, const tensor::Tensor& x,
                                  const Weight& gate_up, const Weight& down, Activation f) {
  const bool tiles = tape.precision() == tensor::Precision::kBF16 && isa() == Isa::kAmx;
  if (!tape.recording() || !tiles || x.rows() == 0) return {};
  FeedForward layer{x, gate_up.value, down.value, tape.output({x.rows(), down.value.rows()}), f,
                    {}};
  EVO_CHECK(x.cols() == layer.width() && layer.gate_up.rows() == 2 * layer.hidden());
  layer.y.set_wants_grad(x.wants_grad() || layer.gate_up.wants_grad() || layer.down.wants_grad());
  if (layer.y.wants_grad()) {
    layer.kept = tensor::Tensor::empty({x.rows(), 2 * layer.hidden()}, tensor::DType::kBF16);
  }
  Forward(layer).run();
  tape.record([=] {
    if (layer.y.has_grad()) Backward(layer).run();
  });
  return layer.y;
}

}  // namespace evo::ops::cpu
