#include "ops/embedding.h"

#include "ops/cpu/cpu.h"

#include <algorithm>
#include <vector>

#include "ops/cpu/rows.h"

namespace evo::cpu {
namespace {

/// Threads split the columns, so that rows of equal id are added in one order.
void embed_backward(const Tensor& table, const std::vector<int32_t>& ids, const Tensor& out) {
  if (!out.has_grad() || !table.wants_grad() || ids.empty()) return;
  const Tensor dout = out.grad();
  const Tensor dtable = table.grad();
  const int64_t grain = kElementsPerThread / std::ssize(ids) + 16;
  parallel_for(table.shape()[1], grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < std::ssize(ids); ++r) {
      const int32_t id = ids[static_cast<size_t>(r)];
      add_to(dtable.row(id) + begin, dout.row(r) + begin, end - begin);
    }
  });
}

Tensor embed_packed(Tape& tape, const PackedWeight& table, std::span<const int32_t> ids) {
  const Tensor out = tape.output({std::ssize(ids), table.in()});
  for_each_row(out.rows(), table.in(), [&](int64_t r) {
    const int32_t id = ids[static_cast<size_t>(r)];
    EVO_CHECK(id >= 0 && id < table.out());
    table.row(id, out.row(r));
  });
  return out;
}

/// Hands the part of dout [N, D] that starts at (row, column) to the gradient of `part`.
void put_gradient(const Tensor& part, const Tensor& dout, int64_t row, int64_t column) {
  const GradientSink sink(part);
  const int64_t cols = part.shape()[1];
  for_each_row(part.rows(), cols,
               [&](int64_t r) { sink.put(r, 0, dout.row(row + r) + column, cols); });
}

}  // namespace

Tensor embed(Tape& tape, const Weight& weight, std::span<const int32_t> ids) {
  if (weight.packed && !tape.recording()) return embed_packed(tape, *weight.packed, ids);
  const Tensor& table = weight.value;
  EVO_CHECK(table.shape().size() == 2);
  const int64_t cols = table.shape()[1];
  const Tensor out = tape.output({std::ssize(ids), cols});
  for_each_row(out.rows(), cols, [&](int64_t r) {
    const int32_t id = ids[static_cast<size_t>(r)];
    EVO_CHECK(id >= 0 && id < table.rows());
    std::copy_n(table.row(id), cols, out.row(r));
  });
  if (tape.recording()) {
    tape.record([table, out, kept = std::vector<int32_t>(ids.begin(), ids.end())] {
      embed_backward(table, kept, out);
    });
  }
  return out;
}

Tensor concat_rows(Tape& tape, const Tensor& a, const Tensor& b) {
  EVO_CHECK(a.shape().size() == 2 && b.shape().size() == 2 && a.shape()[1] == b.shape()[1]);
  const Tensor out = tape.output({a.rows() + b.rows(), a.shape()[1]});
  std::copy_n(a.f32(), a.numel(), out.f32());
  std::copy_n(b.f32(), b.numel(), out.f32() + a.numel());
  if (tape.recording()) {
    tape.record([=] {
      if (!out.has_grad()) return;
      put_gradient(a, out.grad(), 0, 0);
      put_gradient(b, out.grad(), a.rows(), 0);
    });
  }
  return out;
}

Tensor concat_cols(Tape& tape, std::span<const Tensor> parts) {
  EVO_CHECK(!parts.empty());
  const int64_t rows = parts[0].rows();
  int64_t cols = 0;
  for (const Tensor& part : parts) {
    EVO_CHECK(part.shape().size() == 2 && part.rows() == rows);
    cols += part.shape()[1];
  }
  const Tensor out = tape.output({rows, cols});
  for_each_row(rows, cols, [&](int64_t r) {
    float* to = out.row(r);
    for (const Tensor& part : parts) to = std::copy_n(part.row(r), part.cols(), to);
  });
  if (tape.recording()) {
    tape.record([out, kept = std::vector<Tensor>(parts.begin(), parts.end())] {
      if (!out.has_grad()) return;
      int64_t column = 0;
      for (const Tensor& part : kept) {
        put_gradient(part, out.grad(), 0, column);
        column += part.shape()[1];
      }
    });
  }
  return out;
}

Tensor slice_rows(Tape& tape, const Tensor& x, int64_t begin, int64_t end) {
  EVO_CHECK(x.shape().size() == 2 && begin >= 0 && begin <= end && end <= x.rows());
  const int64_t cols = x.shape()[1];
  const Tensor out = tape.output({end - begin, cols});
  std::copy_n(x.row(begin), out.numel(), out.f32());
  if (tape.recording()) {
    tape.record([=] {
      if (!out.has_grad() || !x.wants_grad()) return;
      add_to(x.grad().row(begin), out.grad().f32(), out.numel());
    });
  }
  return out;
}

}  // namespace evo::cpu
