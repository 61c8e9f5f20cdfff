#include "ops/cpu/matmul/onednn.h"

#include <omp.h>

#include "tensor/tensor.h"

namespace evo::onednn {
namespace {

const dnnl::engine& engine() {
  static const dnnl::engine made(dnnl::engine::kind::cpu, 0);
  return made;
}

/// oneDNN works on the thread that calls it and makes no others: they would wait for each other by
/// spinning. The number is one per thread, so every thread that comes here says it once.
void stay_on_this_thread() {
  [[maybe_unused]] thread_local const bool said = [] {
    omp_set_num_threads(1);
    return true;
  }();
}

dnnl::stream& stream() {
  stay_on_this_thread();
  thread_local dnnl::stream made(engine());
  return made;
}

/// oneDNN takes data as void*, also where it only reads.
dnnl::memory wrap(const Layout& layout, const void* data) {
  return {layout, engine(), const_cast<void*>(data)};
}

dnnl::matmul::primitive_desc describe(const Layout& src, const Layout& weights, const Layout& dst,
                                      bool accumulate) {
  stay_on_this_thread();  // the plan depends on it
  dnnl::primitive_attr attributes;
  // Scratch from the caller is what makes a primitive safe to run on several threads.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (accumulate) {
    dnnl::post_ops add;
    add.append_sum(1.0f);
    attributes.set_post_ops(add);
  }
  return {dnnl::matmul::desc(src, weights, dst), attributes, engine()};
}

}  // namespace

Layout strided(int64_t rows, int64_t cols, DataType type, int64_t row_stride, int64_t col_stride) {
  return {{rows, cols}, type, dnnl::memory::dims{row_stride, col_stride}};
}

Product::Product(const Layout& src, const Layout& weights, const Layout& dst, bool accumulate)
    : description_(describe(src, weights, dst, accumulate)),
      primitive_(description_),
      src_(description_.src_desc()),
      weights_(description_.weights_desc()),
      dst_(description_.dst_desc()),
      scratch_(description_.scratchpad_desc()) {}

void Product::run(const void* src, const void* weights, void* dst) const {
  const std::shared_ptr<void> scratch = tensor::pooled_bytes(scratch_.get_size());
  primitive_.execute(stream(), {{DNNL_ARG_SRC, wrap(src_, src)},
                                {DNNL_ARG_WEIGHTS, wrap(weights_, weights)},
                                {DNNL_ARG_DST, wrap(dst_, dst)},
                                {DNNL_ARG_SCRATCHPAD, wrap(scratch_, scratch.get())}});
  stream().wait();
}

void reorder(const Layout& from_layout, const void* from, const Layout& to_layout, void* to) {
  dnnl::memory source = wrap(from_layout, from);
  dnnl::memory target = wrap(to_layout, to);
  dnnl::reorder(source, target).execute(stream(), source, target);
  stream().wait();
}

}  // namespace evo::onednn
