#include "ops/embedding.h"

#include "ops/cpu/cpu.h"

#include <algorithm>
#include <vector>

#include "ops/cpu/rows.h"

namespace evo::ops::cpu {
namespace {

/// Threads split the columns, so that rows of equal id are added in one order.
void embed_backward(const tensor::Tensor& table, const std::vector<int32_t>& ids,
                    const tensor::Tensor& out) {
  if (!out.has_grad() || !table.wants_grad() || ids.empty()) return;
  const tensor::Tensor dout = out.grad();
  const tensor::Tensor dtable = table.grad();
  const int64_t grain = ops::kElementsPerThread / std::ssize(ids) + 16;
  parallel_for(table.shape()[1], grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < std::ssize(ids); ++r) {
      const int32_t id = ids[r];
      ops::add_to(dtable.row(id) + begin, dout.row(r) + begin, end - begin);
    }
  });
}

tensor::Tensor embed_packed(tensor::Tape& tape, const PackedWeight& table,
                            std::span<const int32_t> ids) {
  const tensor::Tensor out = tape.output({std::ssize(ids), table.in()});
  ops::for_each_row(out.rows(), table.in(), [&](int64_t r) {
    const int32_t id = ids[r];
    EVO_CHECK(id >= 0 && id < table.out());
    table.row(id, out.row(r));
  });
  return out;
}

/// Hands the part of dout [N, D] that starts at (row, column) to the gradient of `part`.
void put_gradient(const tensor::Tensor& part, const tensor::Tensor& dout, int64_t row,
                  int64_t column) {
  const GradientSink sink(part);
  const int64_t cols = part.shape()[1];
  ops::for_each_row(part.rows(), cols,
                    [&](int64_t r) { sink.put(r, 0, dout.row(row + r) + column, cols); });
}

}  // namespace

tensor::Tensor embed(tensor::Tape& tape, const Weight& weight, std::span<const int32_t> ids) {
  if (weight.packed && !tape.recording()) return embed_packed(tape, *weight.packed, ids);
  const tensor::Tensor& table = weight.value;
  EVO_CHECK(table.shape().size() == 2);
  const int64_t cols = table.shape()[1];
  const tensor::Tensor out = tape.output({std::ssize(ids), cols});
  ops::for_each_row(out.rows(), cols, [&](int64_t r) {
    const int32_t id = ids[r];
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

tensor::Tensor concat_rows(tensor::Tape& tape, const tensor::Tensor& a, const tensor::Tensor& b) {
  EVO_CHECK(a.shape().size() == 2 && b.shape().size() == 2 && a.shape()[1] == b.shape()[1]);
  const tensor::Tensor out = tape.output({a.rows() + b.rows(), a.shape()[1]});
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

tensor::Tensor concat_cols(tensor::Tape& tape, std::span<const tensor::Tensor> parts) {
  EVO_CHECK(!parts.empty());
  const int64_t rows = parts[0].rows();
  int64_t cols = 0;
  for (const tensor::Tensor& part : parts) {
    EVO_CHECK(part.shape().size() == 2 && part.rows() == rows);
    cols += part.shape()[1];
  }
  const tensor::Tensor out = tape.output({rows, cols});
  ops::for_each_row(rows, cols, [&](int64_t r) {
    float* to = out.row(r);
    for (const tensor::Tensor& part : parts) to = std::copy_n(part.row(r), part.cols(), to);
  });
  if (tape.recording()) {
    tape.record([out, kept = std::vector<tensor::Tensor>(parts.begin(), parts.end())] {
      if (!out.has_grad()) return;
      int64_t column = 0;
      for (const tensor::Tensor& part : kept) {
        put_gradient(part, out.grad(), 0, column);
        column += part.shape()[1];
      }
    });
  }
  return out;
}

tensor::Tensor slice_rows(tensor::Tape& tape, const tensor::Tensor& x, int64_t begin, int64_t end) {
  EVO_CHECK(x.shape().size() == 2 && begin >= 0 && begin <= end && end <= x.rows());
  const int64_t cols = x.shape()[1];
  const tensor::Tensor out = tape.output({end - begin, cols});
  std::copy_n(x.row(begin), out.numel(), out.f32());
  if (tape.recording()) {
    tape.record([=] {
      if (!out.has_grad() || !x.wants_grad()) return;
      ops::add_to(x.grad().row(begin), out.grad().f32(), out.numel());
    });
  }
  return out;
}

}  // namespace evo::ops::cpu
