#include "data/loader.h"

#include "base/random.h"

namespace evo::data {

SequenceLoader::SequenceLoader(const TokenFile& tokens, const LoaderOptions& options)
    : tokens_(tokens), length_(options.length) {
  EVO_CHECK(options.length >= 1 && 0 <= options.begin && options.begin <= options.end &&
            options.end <= tokens.size());
  tokens.check_vocabulary(options.vocab_size);
  if (tokens.sources().size() > 1) {
    add_sources(options);
  } else {
    orders_.emplace_back(tokens, options, tokens.path().string());
  }
}

void SequenceLoader::add_sources(const LoaderOptions& options) {
  const bool held_out = options.begin == tokens_.held_out_begin() && options.end == tokens_.size();
  if (!held_out && (options.begin != 0 || options.end != tokens_.held_out_begin())) {
    fail(
        "{}: sources with weights hold out the documents that their shards hold out, {} of {} "
        "tokens; set `validation_fraction` to that share, or make shards with another",
        tokens_.path().string(), tokens_.size() - tokens_.held_out_begin(), tokens_.size());
  }
  std::vector<double> weights;
  for (const TokenFile::Source& source : tokens_.sources()) {
    const auto [begin, end] = held_out ? source.held_out : source.training;
    if (held_out && end - begin <= length_) continue;
    LoaderOptions own = options;
    own.begin = begin;
    own.end = end;
    own.seed = stream_id({options.seed, orders_.size()});  // sources do not go in step
    orders_.emplace_back(tokens_, own, source.name);
    weights.push_back(source.weight);
  }
  if (orders_.empty()) {
    fail("{}: no source holds out {} tokens, which a sequence of length {} needs",
         tokens_.path().string(), length_ + 1, length_);
  }
  mixture_.emplace(weights);
}

int64_t SequenceLoader::sequences_per_epoch() const {
  int64_t count = 0;
  for (const SequenceOrder& order : orders_) count += order.sequences_per_epoch();
  return count;
}

int64_t SequenceLoader::start_of(int64_t index) const {
  if (!mixture_) return orders_.front().start_of(index);
  const auto [source, own_index] = mixture_->at(index);
  return orders_[source].start_of(own_index);
}

void SequenceLoader::fill(int64_t index, std::span<int32_t> out) const {
  EVO_CHECK(std::cmp_equal(out.size(), length_ + 1));
  tokens_.copy(start_of(index), out);
}

void SequenceLoader::fill_learnt(int64_t index, std::span<uint8_t> out) const {
  EVO_CHECK(std::cmp_equal(out.size(), length_ + 1));
  tokens_.copy_learnt(start_of(index), out);
}

}  // namespace evo::data
