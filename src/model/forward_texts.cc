#include "model/forward_texts.h"

#include <memory>

namespace evo::model {

tensor::Tensor forward_texts(const Model& model, tensor::Tape& tape, const ForwardInput& input) {
  if (model.cache_format() == ops::CacheFormat::kF32) return model.forward(tape, input);
  ForwardInput cached = input;
  std::vector<int64_t> lengths;  // of the texts
  for (int32_t r = 0; r < static_cast<int32_t>(input.mature()); ++r) {
    ops::KeyRange& range = cached.ranges[r];
    EVO_CHECK(range.context_end == r + 1 && range.self_begin == range.self_end);
    if (range.context_begin == r) lengths.push_back(0);
    EVO_CHECK(!lengths.empty() && range.context_begin == r - lengths.back());
    ++lengths.back();
    cached.sequences.push_back(static_cast<int32_t>(lengths.size()) - 1);
    range = {0, static_cast<int32_t>(lengths.back()), 0, 0};
  }
  int64_t room = 0;
  for (const int64_t length : lengths) room += length + ops::kCacheBlock;
  const auto pool = std::make_shared<KvPool>(model.config(), room, model.cache_format());
  std::vector<KvCache> caches;
  for (size_t i = 0; i < lengths.size(); ++i) caches.emplace_back(pool);
  std::vector<KvCache*> pointers;
  for (KvCache& cache : caches) pointers.push_back(&cache);
  return model.forward(tape, cached, pointers);
}

}  // namespace evo::model
