#include "tensor/gradient_watch.h"

#include <algorithm>
#include <mutex>

namespace evo::tensor {

/// All views with a gradient, of every model in the process: few, and made when a model is.
struct GradientWatch::Registry {
  std::mutex mutex;
  std::vector<std::weak_ptr<Tensor::Impl>> views;

  static Registry& instance() {
    static auto* const registry = new Registry;  // never destroyed, as the pool
    return *registry;
  }
};

void GradientWatch::list(const Tensor& view) {
  Registry& all = Registry::instance();
  const std::lock_guard lock(all.mutex);
  std::erase_if(all.views, [](const auto& old) { return old.expired(); });
  all.views.push_back(view.impl_);
}

GradientWatch::GradientWatch(std::span<const float> gradients) {
  Registry& all = Registry::instance();
  const std::lock_guard lock(all.mutex);
  for (const auto& listed : all.views) {
    Tensor view(listed.lock());
    if (!view.defined()) continue;
    const auto* const first = static_cast<const float*>(view.impl_->grad->data);
    if (first < gradients.data() || first >= gradients.data() + gradients.size()) continue;
    const int64_t begin = first - gradients.data();
    const int64_t handles = view.impl_.use_count();
    views_.push_back({begin, begin + view.numel(), std::move(view), handles});
  }
}

bool GradientWatch::complete(int64_t begin, int64_t end) const {
  return std::ranges::all_of(views_, [&](const View& view) {
    const bool apart = view.end <= begin || end <= view.begin;
    return apart || view.handle.impl_.use_count() <= view.handles;
  });
}

}  // namespace evo::tensor
