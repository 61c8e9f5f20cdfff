#include "flow/pca.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "base/threads/parallel.h"

namespace evo::flow {
namespace {

constexpr int64_t kMaxRows = 8192;
constexpr int kIterations = 60;
constexpr uint64_t kCodesSeed = 0x636f646573;  // of codes that no embedding gives

using Vector = std::vector<double>;

Vector column_means(std::span<const float> table, int64_t rows, int64_t width) {
  Vector mean(static_cast<size_t>(width), 0.0);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < width; ++c) mean[c] += table[r * width + c];
  }
  for (double& value : mean) value /= static_cast<double>(rows);
  return mean;
}

/// Covariance [D, D] of every `stride`-th row.
Vector covariance(std::span<const float> table, int64_t rows, int64_t width, const Vector& mean) {
  const int64_t stride = (rows + kMaxRows - 1) / kMaxRows;
  const auto size = static_cast<size_t>(width);
  Vector result(size * size, 0.0);
  parallel_for(width, 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < rows; r += stride) {
      const float* row = table.data() + r * width;
      for (int64_t i = begin; i < end; ++i) {
        const double left = row[i] - mean[i];
        double* out = result.data() + i * width;
        for (int64_t j = 0; j < width; ++j) out[j] += left * (row[j] - mean[j]);
      }
    }
  });
  const double sampled = static_cast<double>((rows + stride - 1) / stride);
  for (double& value : result) value /= sampled;
  return result;
}

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// Gram-Schmidt on the d rows of `basis` [d, D].
void orthonormalize(Vector& basis, int64_t count, int64_t width) {
  for (int64_t k = 0; k < count; ++k) {
    double* row = basis.data() + k * width;
    for (int64_t j = 0; j < k; ++j) {
      const double* earlier = basis.data() + j * width;
      const double along = dot(row, earlier, width);
      for (int64_t c = 0; c < width; ++c) row[c] -= along * earlier[c];
    }
    const double norm = std::sqrt(dot(row, row, width));
    if (!(norm > 1e-30))
      fail("the embedding has fewer than {} directions: use a smaller code_size", count);
    for (int64_t c = 0; c < width; ++c) row[c] /= norm;
  }
}

void fix_signs(Vector& basis, int64_t count, int64_t width) {
  for (int64_t k = 0; k < count; ++k) {
    double* row = basis.data() + k * width;
    const double* largest = std::max_element(
        row, row + width, [](double a, double b) { return std::abs(a) < std::abs(b); });
    if (*largest < 0) std::transform(row, row + width, row, std::negate<>());
  }
}

Vector leading_directions(const Vector& matrix, int64_t count, int64_t width) {
  Vector basis(static_cast<size_t>(count * width));
  Random random(0, stream_id({0x706361}));
  for (double& value : basis) value = random.normal();
  Vector next(basis.size());
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    orthonormalize(basis, count, width);
    parallel_for(count * width, 256, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        next[i] = dot(matrix.data() + i % width * width, basis.data() + i / width * width, width);
      }
    });
    basis.swap(next);
  }
  orthonormalize(basis, count, width);
  fix_signs(basis, count, width);
  return basis;
}

/// Gives all but the first of rows with equal codes a code of their own, drawn at random for the
/// row.
void tell_apart(int64_t rows, int64_t d, std::span<float> codes) {
  const auto row = [&](int64_t r) { return codes.subspan(r * d, d); };
  std::vector<int64_t> order(static_cast<size_t>(rows));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) {
    return std::ranges::lexicographical_compare(row(a), row(b));
  });
  std::vector<int64_t> repeated;
  for (size_t i = 1; i < order.size(); ++i) {
    if (std::ranges::equal(row(order[i - 1]), row(order[i]))) repeated.push_back(order[i]);
  }
  for (const int64_t r : repeated) Random(kCodesSeed, static_cast<uint64_t>(r)).fill_normal(row(r));
}

}  // namespace

PrincipalAxes principal_axes(std::span<const float> table, int64_t D, int64_t d) {
  EVO_CHECK(D > 0 && d > 0 && d <= D && table.size() % static_cast<size_t>(D) == 0);
  PrincipalAxes axes;
  axes.mean = column_means(table, static_cast<int64_t>(table.size()) / D, D);
  const Vector matrix = covariance(table, static_cast<int64_t>(table.size()) / D, D, axes.mean);
  axes.directions = leading_directions(matrix, d, D);
  Vector image(static_cast<size_t>(D));
  for (int64_t k = 0; k < d; ++k) {
    const double* direction = axes.directions.data() + k * D;
    for (int64_t i = 0; i < D; ++i) image[i] = dot(matrix.data() + i * D, direction, D);
    axes.deviations.push_back(std::sqrt(std::max(dot(direction, image.data(), D), 1e-30)));
  }
  return axes;
}

void principal_codes(std::span<const float> table, int64_t D, int64_t d, std::span<float> codes) {
  const PrincipalAxes axes = principal_axes(table, D, d);
  const auto rows = static_cast<int64_t>(table.size()) / D;
  EVO_CHECK(static_cast<int64_t>(codes.size()) == rows * d);
  for (int64_t k = 0; k < d; ++k) {
    const double* direction = axes.directions.data() + k * D;
    const double offset = dot(direction, axes.mean.data(), D);
    parallel_for(rows, 256, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        double projection = -offset;
        for (int64_t c = 0; c < D; ++c) projection += direction[c] * table[r * D + c];
        codes[r * d + k] = static_cast<float>(projection / axes.deviations[k]);
      }
    });
  }
  tell_apart(rows, d, codes);
}

}  // namespace evo::flow
