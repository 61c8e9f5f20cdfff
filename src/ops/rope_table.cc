#include <cmath>
#include <mutex>
#include <vector>

#include "ops/rope.h"

namespace evo::ops {

struct RopeTable::State {
  static constexpr int64_t kPieceRows = 1024;
  struct Piece {
    std::once_flag made;
    tensor::Tensor table;  // [rows, head_size]: cosines, then sines
  };

  State(int size, int64_t positions, RopeFrequencies rates)
      : head_size(size),
        max_position(positions),
        frequencies(std::move(rates)),
        pieces(static_cast<size_t>((positions + kPieceRows - 1) / kPieceRows)) {}

  const float* row(int64_t position) {
    Piece& piece = pieces[position / kPieceRows];
    std::call_once(piece.made, [&] { make(piece, position / kPieceRows * kPieceRows); });
    return piece.table.row(position % kPieceRows);
  }

  void make(Piece& piece, int64_t first) const {
    const int half = head_size / 2;
    const int64_t rows = std::min(kPieceRows, max_position - first);
    const tensor::Tensor table = tensor::Tensor::empty({rows, head_size});
    for (int64_t r = 0; r < rows; ++r) {
      float* const cosines = table.row(r);
      for (int i = 0; i < half; ++i) {
        const double angle = static_cast<double>(first + r) * frequencies.per_position[i];
        cosines[i] = static_cast<float>(frequencies.attention_factor * std::cos(angle));
        cosines[half + i] = static_cast<float>(frequencies.attention_factor * std::sin(angle));
      }
    }
    piece.table = table;
  }

  int head_size;
  int64_t max_position;
  RopeFrequencies frequencies;
  std::vector<Piece> pieces;
};

RopeTable::RopeTable(int head_size, double theta, int64_t max_position, const RopeScaling& scaling)
    : state_(std::make_shared<State>(head_size, max_position,
                                     rope_frequencies(head_size, theta, scaling))) {}

int RopeTable::head_size() const {
  return state_ ? state_->head_size : 0;
}

int64_t RopeTable::max_position() const {
  return state_ ? state_->max_position : 0;
}

const float* RopeTable::cos_row(int64_t position) const {
  return state_->row(position);
}

const float* RopeTable::sin_row(int64_t position) const {
  return state_->row(position) + state_->head_size / 2;
}

}  // namespace evo::ops
