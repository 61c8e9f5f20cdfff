#include "eval/tasks/shots.h"

#include "base/error.h"

namespace evo::eval {
namespace {

constexpr uint32_t kSeed = 1234;  // of lm_eval's option --seed for shots, if it is not given

}  // namespace

ShotSampler::ShotSampler(std::vector<Document> pool, size_t shots, size_t draws,
                         std::string_view source)
    : pool_(std::move(pool)), shots_(shots), draws_(draws), random_(kSeed) {
  if (pool_.size() < draws) {
    fail("{}: expected at least {} rows to draw worked examples from, found {}", source, draws,
         pool_.size());
  }
}

std::string ShotSampler::next(std::string_view key) {
  std::string text;
  size_t shown = 0;
  for (const size_t index : random_.sample(pool_.size(), draws_)) {
    if (pool_[index].key == key || shown == shots_) continue;
    text += pool_[index].text;
    ++shown;
  }
  return text;
}

}  // namespace evo::eval
