// Loops over float arrays of any length and alignment, for Highway kernels. Re-included per target.
#if defined(EVO_OPS_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EVO_OPS_SIMD_INL_H_
#undef EVO_OPS_SIMD_INL_H_
#else
#define EVO_OPS_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;

/// How a loop body reads and writes a whole vector ...
struct WholeVector {
  template <class D>
  HWY_INLINE hn::Vec<D> load(D d, const float* from) const {
    return hn::LoadU(d, from);
  }
  template <class D>
  HWY_INLINE void store(hn::Vec<D> v, D d, float* to) const {
    hn::StoreU(v, d, to);
  }
};

/// ... and the last `count` elements of an array, less than a vector: the other lanes read as 0.
/// Goes through a buffer because on some targets a masked load touches memory beyond the mask.
struct PartVector {
  size_t count;

  template <class D>
  HWY_INLINE hn::Vec<D> load(D d, const float* from) const {
    HWY_ALIGN float buffer[hn::MaxLanes(D())] = {};
    std::memcpy(buffer, from, count * sizeof(float));
    return hn::Load(d, buffer);
  }
  template <class D>
  HWY_INLINE void store(hn::Vec<D> v, D d, float* to) const {
    HWY_ALIGN float buffer[hn::MaxLanes(D())];
    hn::Store(v, d, buffer);
    std::memcpy(to, buffer, count * sizeof(float));
  }
};

/// body(i, lanes) for i = 0, Lanes(d), 2 Lanes(d) ... below n; the body reads and writes elements
/// from i on with lanes.load(d, p + i) and lanes.store(v, d, p + i). Every element goes through the
/// same vector instructions wherever it lies, so its bits do not depend on its place.
template <class D, class Body>
HWY_INLINE void for_each_vector(D d, size_t n, const Body& body) {
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) body(i, WholeVector());
  if (i < n) body(i, PartVector{n - i});
}

/// Sum of term(i, lanes), a vector, over the elements below n. `term` must be 0 in lanes that read
/// 0. Four sums run side by side to hide the latency of the addition.
template <class D, class Term>
HWY_INLINE hn::TFromD<D> sum_over(D d, size_t n, const Term& term) {
  const size_t lanes = hn::Lanes(d);
  auto sum0 = hn::Zero(d);
  auto sum1 = hn::Zero(d);
  auto sum2 = hn::Zero(d);
  auto sum3 = hn::Zero(d);
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    sum0 = hn::Add(sum0, term(i, WholeVector()));
    sum1 = hn::Add(sum1, term(i + lanes, WholeVector()));
    sum2 = hn::Add(sum2, term(i + 2 * lanes, WholeVector()));
    sum3 = hn::Add(sum3, term(i + 3 * lanes, WholeVector()));
  }
  for (; i + lanes <= n; i += lanes) sum0 = hn::Add(sum0, term(i, WholeVector()));
  if (i < n) sum1 = hn::Add(sum1, term(i, PartVector{n - i}));
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
}

}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#endif  // include guard
