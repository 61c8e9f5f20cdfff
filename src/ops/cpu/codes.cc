#include "ops/codes.h"

#include "ops/cpu/cpu.h"

#include <cmath>
#include <vector>

#include "base/threads/parallel.h"

namespace evo::ops::cpu {
namespace {

constexpr int64_t kCodeGrain = 1024;  // rows of a few dozen numbers: fewer are not worth a thread

double dot(const float* a, const float* b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

/// sqrt(d) / |row| for every row [V]; Error if a row has no direction.
std::vector<float> row_scales(const tensor::Tensor& table) {
  const int64_t rows = table.rows(), d = table.cols();
  std::vector<float> scales(static_cast<size_t>(rows));
  parallel_for(rows, kCodeGrain, [&](int64_t begin, int64_t end) {
    for (int64_t v = begin; v < end; ++v) {
      const double square = dot(table.row(v), table.row(v), d);
      scales[v] = static_cast<float>(std::sqrt(static_cast<double>(d) / square));
    }
  });
  for (int64_t v = 0; v < rows; ++v) {
    const float scale = scales[v];
    if (std::isfinite(scale) && scale > 0) continue;
    fail(
        "row {} of the code table [{}, {}] has length {}, expected a positive finite number: the "
        "direction of a code is all that counts. Start the row from random numbers; if training "
        "made it so, lower the learning rate",
        v, rows, d, std::sqrt(dot(table.row(v), table.row(v), d)));
  }
  return scales;
}

/// With c = s C and s = sqrt(d) / |C|: dC += s (dc - c (c . dc) / d).
void add_table_gradient(const tensor::Tensor& table, const tensor::Tensor& codes,
                        const std::vector<float>& scales) {
  const int64_t d = codes.cols();
  const tensor::Tensor table_grad = table.grad(), codes_grad = codes.grad();
  parallel_for(codes.rows(), kCodeGrain, [&](int64_t begin, int64_t end) {
    for (int64_t v = begin; v < end; ++v) {
      const float* c = codes.row(v);
      const float* dc = codes_grad.row(v);
      float* target = table_grad.row(v);
      const auto along = static_cast<float>(dot(c, dc, d) / static_cast<double>(d));
      const float scale = scales[v];
      for (int64_t j = 0; j < d; ++j) target[j] += scale * (dc[j] - c[j] * along);
    }
  });
}

}  // namespace

tensor::Tensor normalize_codes(tensor::Tape& tape, const tensor::Tensor& table) {
  const int64_t d = table.cols();
  std::vector<float> scales = row_scales(table);
  tensor::Tensor codes = tape.output(table.shape());
  parallel_for(table.rows(), kCodeGrain, [&](int64_t begin, int64_t end) {
    for (int64_t v = begin; v < end; ++v) {
      const float scale = scales[v];
      for (int64_t j = 0; j < d; ++j) codes.row(v)[j] = scale * table.row(v)[j];
    }
  });
  if (!tape.recording()) return codes;

  codes.set_wants_grad(table.wants_grad());
  if (!table.wants_grad()) return codes;
  tape.record([table, codes, scales = std::move(scales)] {
    if (codes.has_grad()) add_table_gradient(table, codes, scales);
  });
  return codes;
}

tensor::Tensor gaussian_bridge(tensor::Tape& tape, const tensor::Tensor& codes,
                               std::span<const int32_t> ids, std::span<const float> signal,
                               const tensor::Tensor& noise) {
  const int64_t d = codes.cols();
  EVO_CHECK(ids.size() == signal.size());
  EVO_CHECK(noise.numel() == static_cast<int64_t>(ids.size()) * d);
  tensor::Tensor z = tape.output({static_cast<int64_t>(ids.size()), d});
  for (size_t r = 0; r < ids.size(); ++r) {
    EVO_CHECK(ids[r] >= 0 && ids[r] < codes.rows());
    EVO_CHECK(signal[r] >= 0.0f && signal[r] <= 1.0f);
    const float* c = codes.row(ids[r]);
    const float* e = noise.f32() + static_cast<int64_t>(r) * d;
    const float keep = std::sqrt(signal[r]), blur = std::sqrt(1.0f - signal[r]);
    for (int64_t j = 0; j < d; ++j) z.row(static_cast<int64_t>(r))[j] = keep * c[j] + blur * e[j];
  }
  if (!tape.recording()) return z;

  z.set_wants_grad(codes.wants_grad());
  if (!codes.wants_grad()) return z;
  tape.record([codes, z, d, id_of = std::vector<int32_t>(ids.begin(), ids.end()),
               signal_of = std::vector<float>(signal.begin(), signal.end())] {
    if (!z.has_grad()) return;
    const tensor::Tensor dz = z.grad(), dc = codes.grad();
    for (size_t r = 0; r < id_of.size(); ++r) {  // one thread: rows of equal id must not race
      const float keep = std::sqrt(signal_of[r]);
      const float* from = dz.f32() + static_cast<int64_t>(r) * d;
      float* to = dc.row(id_of[r]);
      for (int64_t j = 0; j < d; ++j) to[j] += keep * from[j];
    }
  });
  return z;
}

}  // namespace evo::ops::cpu
