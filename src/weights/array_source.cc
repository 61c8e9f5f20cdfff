#include "weights/array_source.h"

#include "weights/gguf/gguf_model.h"
#include "weights/weight_folder.h"

namespace evo::weights {

const TensorInfo& ArraySource::checked(std::string_view name,
                                       const std::vector<int64_t>& expected_shape) const {
  return checked_tensor(find(name), path(), name, expected_shape);
}

std::unique_ptr<const ArraySource> open_arrays(const std::filesystem::path& model) {
  if (is_gguf(model)) return std::make_unique<GgufArrays>(GgufModel(model));
  return std::make_unique<WeightFolder>(model);
}

}  // namespace evo::weights
