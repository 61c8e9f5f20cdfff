#include "ops/gumbel.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/gumbel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ops/cpu/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace evo::ops {
namespace HWY_NAMESPACE {
namespace {

using WordTag = hn::ScalableTag<uint64_t>;  // a lane's lower half holds a word
using Word = hn::Vec<WordTag>;
constexpr size_t kMaxBlocks = hn::MaxLanes(WordTag());  // that are computed side by side
constexpr size_t kMaxGroup = 4 * kMaxBlocks;

/// The product of a lane's lower half and a number below 2^32.
HWY_INLINE Word times(Word word, uint64_t factor) {
#if HWY_TARGET == HWY_SCALAR
  return Word{(word.raw & 0xFFFFFFFFu) * factor};
#else
  const WordTag d;
  const hn::Repartition<uint32_t, WordTag> halves;
  return hn::MulEven(hn::BitCast(halves, word), hn::BitCast(halves, hn::Set(d, factor)));
#endif
}

/// Philox-4x32-10 of random.h; what the upper halves of lanes hold is not used.
struct Blocks {
  Word words[4];

  HWY_INLINE Blocks(const GumbelNoise& noise, Word block) {
    const WordTag d;
    Word c0 = block, c1 = hn::ShiftRight<32>(block);
    Word c2 = hn::Set(d, noise.stream & 0xFFFFFFFFu), c3 = hn::Set(d, noise.stream >> 32);
    uint32_t k0 = noise.key[0], k1 = noise.key[1];
    for (int round = 0; round < 10; ++round) {
      const Word p0 = times(c0, 0xD2511F53u), p1 = times(c2, 0xCD9E8D57u);
      c0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), c1), hn::Set(d, uint64_t{k0}));
      c1 = p1;
      c2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), c3), hn::Set(d, uint64_t{k1}));
      c3 = p0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
  }
};

/// Bits of the tokens of Lanes blocks from `block` on.
HWY_INLINE void bits_of_blocks(const GumbelNoise& noise, uint64_t block, uint32_t* bits) {
  const WordTag d;
  const Blocks blocks(noise, hn::Iota(d, block));
  const Word lower = hn::Set(d, 0xFFFFFFFFu);
  const auto pair = [&](Word first, Word second) HWY_ATTR {
    return hn::Or(hn::And(first, lower), hn::ShiftLeft<32>(second));
  };
  HWY_ALIGN uint64_t pairs[2 * kMaxBlocks];
  hn::StoreInterleaved2(pair(blocks.words[0], blocks.words[1]),
                        pair(blocks.words[2], blocks.words[3]), d, pairs);
  std::memcpy(bits, pairs, 4 * hn::Lanes(d) * sizeof(uint32_t));
}

/// Bits of `count` tokens, at most Lanes.
HWY_INLINE void bits_of_tokens(const GumbelNoise& noise, const int32_t* tokens, size_t count,
                               uint32_t* bits) {
  const WordTag d;
  HWY_ALIGN uint64_t buffer[kMaxBlocks] = {};
  for (size_t i = 0; i < count; ++i) buffer[i] = static_cast<uint64_t>(tokens[i]);
  const Word token = hn::Load(d, buffer);
  const Blocks blocks(noise, hn::ShiftRight<2>(token));
  const Word place = hn::And(token, hn::Set(d, 3));
  Word word = blocks.words[0];
  for (uint64_t w = 1; w < 4; ++w) {
    word = hn::IfThenElse(hn::Eq(place, hn::Set(d, w)), blocks.words[w], word);
  }
  hn::Store(word, d, buffer);
  for (size_t i = 0; i < count; ++i) bits[i] = static_cast<uint32_t>(buffer[i]);
}

/// Upper bounds of the noise of bits. With e = floor(log2) of the upper 31 bits of ~bits, a number
/// x <= ~bits / 2, we have 1 - u > 2^(e - 31), and -log(-log u) < -log(1 - u) < (31 - e) log 2.
template <class D, class Bits>
HWY_INLINE hn::Vec<D> bounds(D d, Bits bits) {
  const hn::RebindToSigned<D> whole;
  // Without its lowest bits x is a float exactly; were it rounded up, e could be too large.
  const auto x =
      hn::And(hn::BitCast(whole, hn::ShiftRight<1>(hn::Not(bits))), hn::Set(whole, 0x7FFFFF00));
  const auto e =
      hn::Sub(hn::ShiftRight<23>(hn::BitCast(whole, hn::ConvertTo(d, x))), hn::Set(whole, 127));
  return hn::Mul(hn::ConvertTo(d, hn::Sub(hn::Set(whole, 31), e)),
                 hn::Set(d, std::numbers::ln2_v<float>));
}

void candidates(const GumbelNoise& noise, const float* logits, size_t n, const int32_t* tokens,
                float temperature, float least, std::vector<GumbelCandidate>& found) {
  constexpr float kMaxGumbel = 22.9f;
  const FloatTag d;
  const hn::RebindToUnsigned<FloatTag> integers;
  const size_t blocks = hn::Lanes(WordTag());
  const size_t group = tokens == nullptr ? 4 * blocks : blocks;
  const float hopeless = least - temperature * kMaxGumbel;
  HWY_ALIGN uint32_t bits[kMaxGroup] = {};
  for (size_t begin = 0; begin < n; begin += group) {
    const size_t count = std::min(group, n - begin);
    if (std::all_of(logits + begin, logits + begin + count,
                    [=](float logit) { return logit < hopeless; })) {
      continue;
    }
    if (tokens == nullptr) {
      bits_of_blocks(noise, begin / 4, bits);
    } else {
      bits_of_tokens(noise, tokens + begin, count, bits);
    }
    for_each_vector(d, count, [&](size_t i, auto part) HWY_ATTR {
      const auto bound = bounds(d, hn::LoadU(integers, bits + i));
      const auto best =
          hn::MulAdd(bound, hn::Set(d, temperature), part.load(d, logits + begin + i));
      const auto hopes = hn::And(hn::Ge(best, hn::Set(d, least)), hn::FirstN(d, count - i));
      if (hn::AllFalse(d, hopes)) return;
      uint8_t mask[8] = {};
      hn::StoreMaskBits(d, hopes, mask);
      for (size_t j = 0; j < hn::Lanes(d); ++j) {
        if ((mask[j / 8] >> (j % 8) & 1) == 0) continue;
        found.push_back({static_cast<int64_t>(begin + i + j), bits[i + j]});
      }
    });
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace evo::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/error.h"
#include "base/random.h"

namespace evo::ops {

HWY_EXPORT(candidates);

uint32_t GumbelNoise::bits(int64_t token) const {
  const auto block = static_cast<uint64_t>(token) / 4;
  return philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                 static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                key)[token % 4];
}

double gumbel(uint32_t bits) {
  const double u = (static_cast<double>(bits) + 0.5) * 0x1p-32;  // in (0, 1)
  return -std::log(-std::log(u));
}

std::vector<GumbelCandidate> gumbel_candidates(const GumbelNoise& noise,
                                               std::span<const float> logits,
                                               std::span<const int32_t> tokens, double temperature,
                                               double score) {
  EVO_CHECK(temperature > 0 && (tokens.empty() || tokens.size() == logits.size()));
  std::vector<GumbelCandidate> found;
  const double least = score * temperature;
  // Rounding of a sum that comes near `least`, of terms that are hardly larger.
  const double slack = 1e-5 * (std::abs(least) + 200 * temperature);
  HWY_DYNAMIC_DISPATCH(candidates)
  (noise, logits.data(), logits.size(), tokens.empty() ? nullptr : tokens.data(),
   static_cast<float>(temperature), static_cast<float>(least - slack), found);
  return found;
}

}  // namespace evo::ops
#endif
