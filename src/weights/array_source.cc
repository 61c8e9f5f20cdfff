#include "weights/array_source.h"

#include "weights/gguf/gguf_model.h"
#include "weights/weight_folder.h"

namespace evo::weights {

const TensorInfo& ArraySource::checked(std::string_view name,
                                       const std::vector<int64_t>& expected_shape) const {
  const TensorInfo* const tensor = find(name);
  if (tensor == nullptr) {
    fail("{}: there is no array {}; expected one of shape {}", path().string(), name,
         shape_text(expected_shape));
  }
  if (tensor->shape != expected_shape) {
    fail("{}: {} has shape {}, expected {}", path().string(), name, shape_text(tensor->shape),
         shape_text(expected_shape));
  }
  return *tensor;
}

std::unique_ptr<const ArraySource> open_arrays(const std::filesystem::path& model) {
  if (is_gguf(model)) return std::make_unique<GgufArrays>(GgufModel(model));
  return std::make_unique<WeightFolder>(model);
}

}  // namespace evo::weights
